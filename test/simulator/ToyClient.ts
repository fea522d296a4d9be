/** A client of the toy exchange that keeps everything it receives, and books built as a client builds them. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { isRefusal, MemoryNetwork } from "../../src/connection/MemoryNetwork.ts"
import type { WorldBook, WorldDelta, WorldLevel } from "../../src/ExchangeDialect.ts"
import type { ToyMessage } from "./ToyDialect.ts"

const textOf = (frame: string | Uint8Array): string =>
  typeof frame === "string" ? frame : new TextDecoder().decode(frame)

const parsed = (text: string): ToyMessage | null => {
  try {
    return JSON.parse(text) as ToyMessage
  } catch {
    return null
  }
}

export interface ToyClient {
  /** Every frame as it came. */
  readonly frames: ReadonlyArray<string | Uint8Array>
  /** Those of them that can be read. */
  readonly messages: () => ReadonlyArray<ToyMessage>
  readonly of: <T extends ToyMessage["type"]>(
    type: T,
    topic?: string
  ) => ReadonlyArray<Extract<ToyMessage, { readonly type: T }>>
  readonly closes: ReadonlyArray<readonly [code: number, reason: string]>
  readonly send: (op: string, topic?: string) => void
  readonly close: () => void
}

export const connect = (url: string): Effect.Effect<ToyClient, { readonly refused: string }, MemoryNetwork> =>
  Effect.flatMap(MemoryNetwork, (network) => {
    const frames: Array<string | Uint8Array> = []
    const closes: Array<readonly [number, string]> = []
    const socket = network.connect(url, {
      onFrame: (frame) => frames.push(frame),
      onClose: (code, reason) => closes.push([code, reason])
    })
    if (isRefusal(socket)) return Effect.fail(socket)
    const messages = () => frames.flatMap((frame) => parsed(textOf(frame)) ?? [])
    return Effect.succeed<ToyClient>({
      frames,
      messages,
      of: (type, topic) =>
        messages().filter((message) =>
          message.type === type && (topic === undefined || ("topic" in message && message.topic === topic))
        ) as never,
      closes,
      send: (op, topic) => socket.send(JSON.stringify({ op, topic })),
      close: () => socket.close(1000, "")
    })
  })

/** Price text to quantity text of one side. */
type SideMap = Map<string, string>

/** A book kept in the simplest way there is. */
export class ReplayedBook {
  readonly bids: SideMap
  readonly asks: SideMap
  version: number

  constructor(book: WorldBook) {
    this.bids = new Map(book.bids.map(({ price, quantity }) => [price, quantity]))
    this.asks = new Map(book.asks.map(({ price, quantity }) => [price, quantity]))
    this.version = book.version
  }

  apply(delta: WorldDelta): void {
    assert.strictEqual(delta.firstVersion, this.version + 1, "deltas are contiguous")
    assert.isAtLeast(delta.version, delta.firstVersion)
    for (const level of delta.bids) set(this.bids, level)
    for (const level of delta.asks) set(this.asks, level)
    this.version = delta.version
  }

  levels(): {
    readonly version: number
    readonly bids: ReadonlyArray<WorldLevel>
    readonly asks: ReadonlyArray<WorldLevel>
  } {
    return { version: this.version, bids: sorted(this.bids, -1), asks: sorted(this.asks, 1) }
  }
}

const set = (side: SideMap, { price, quantity }: WorldLevel): void => {
  if (quantity === "0") side.delete(price)
  else side.set(price, quantity)
}

const sorted = (side: SideMap, direction: 1 | -1): ReadonlyArray<WorldLevel> =>
  [...side].map(([price, quantity]) => ({ price, quantity })).sort((a, b) =>
    direction * (Number(a.price) - Number(b.price))
  )

/** Without its time, which a replayed book does not know. */
export const withoutTime = ({ version, bids, asks }: WorldBook) => ({ version, bids, asks })
