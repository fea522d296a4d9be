/**
 * The in-memory network between a client and the simulator, where frames, dials and requests can be changed on their
 * way: what the simulator's own fault language cannot say.
 */
import type { Effect } from "effect"
import type * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { PublicTag } from "../../src/domain/Channel.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { Codec, ExchangeAdapter, Sink, Topic } from "../../src/ExchangeAdapter.ts"

export type Frame = MemoryNetwork.MemoryFrame
type Service = MemoryNetwork.MemoryNetwork["Service"]
type Request = MemoryNetwork.MemoryRequest
type Answer = Effect.Effect<MemoryNetwork.MemoryResponse, MemoryNetwork.MemoryRefusal>

/** What a frame of the server is, as the adapter's own codec reads it. */
export interface About {
  readonly kind: "data" | "ack" | "refusal" | "pong" | "other"
  /** Of data. */
  readonly channel: PublicTag | null
  readonly symbol: string | null
  readonly events: ReadonlyArray<MarketEvent>
}

type Down = (frame: Frame, about: About, pass: (frame: Frame) => void) => void
type Up = (frame: Frame, pass: (frame: Frame) => void) => void
type Http = (request: Request, ask: Answer) => Answer

const encoder = new TextEncoder()

export const bytesOf = (frame: Frame): Uint8Array => typeof frame === "string" ? encoder.encode(frame) : frame

/** Notes what a codec says about one frame. */
class Ear implements Sink {
  kind: About["kind"] = "other"
  readonly events: Array<MarketEvent> = []

  event(_topic: Topic, event: MarketEvent): void {
    this.kind = "data"
    this.events.push(event)
  }
  acknowledged(): void {
    this.kind = "ack"
  }
  rejected(): void {
    this.kind = "refusal"
  }
  pong(): void {
    this.kind = "pong"
  }
  reply(): void {}
  closing(): void {}
  ignored(): void {}
  failed(): void {}
  fallback(): void {}
}

/** One client's end of the network, with what is to go wrong on it. Null: nothing. */
export class Network {
  down: Down | null = null
  up: Up | null = null
  http: Http | null = null
  /** Why the dial of this number, from 1, is refused. */
  refuse: ((dial: number) => string | null) | null = null
  dials = 0
  readonly #clients = new Set<MemoryNetwork.MemoryPeerHandlers>()
  readonly #codec: Codec

  constructor(adapter: ExchangeAdapter) {
    this.#codec = adapter.makeCodec({
      topicOf: (key, channel, symbol) => ({ key, channel, symbol, pair: null, contractSize: 1, slot: null })
    })
  }

  about(frame: Frame): About {
    const ear = new Ear()
    this.#codec.decode(bytesOf(frame), 0, ear)
    const [first] = ear.events
    return {
      kind: ear.kind,
      channel: first === undefined ? null : Channel.tagOf[first._tag],
      symbol: first?.symbol ?? null,
      events: ear.events
    }
  }

  /** The server sends a frame of our own making on every open connection. */
  push(frame: Frame): void {
    for (const client of [...this.#clients]) client.onFrame(frame)
  }

  wrap(network: Service): Service {
    return {
      connect: (url, client, headers) => {
        this.dials++
        const refused = this.refuse?.(this.dials) ?? null
        return refused === null ? this.#connect(network, url, client, headers) : { refused }
      },
      request: (request) => this.http === null ? network.request(request) : this.http(request, network.request(request))
    }
  }

  #connect(
    network: Service,
    url: string,
    client: MemoryNetwork.MemoryPeerHandlers,
    headers: Readonly<Record<string, string>> | undefined
  ): MemoryNetwork.MemorySocket | MemoryNetwork.MemoryRefusal {
    const pass = (frame: Frame): void => {
      if (this.#clients.has(client)) client.onFrame(frame)
    }
    this.#clients.add(client)
    const socket = network.connect(url, {
      onFrame: (frame) => this.down === null ? pass(frame) : this.down(frame, this.about(frame), pass),
      onClose: (code, reason) => {
        this.#clients.delete(client)
        client.onClose(code, reason)
      }
    }, headers)
    if ("refused" in socket) {
      this.#clients.delete(client)
      return socket
    }
    return {
      send: (frame) => this.up === null ? socket.send(frame) : this.up(frame, socket.send),
      close: (code, reason) => {
        this.#clients.delete(client)
        socket.close(code, reason)
      }
    }
  }
}

// ---- what may be done to a frame ------------------------------------------------------------------------------------

const like = (frame: Frame, bytes: Uint8Array): Frame =>
  typeof frame === "string" ? Buffer.from(bytes).toString() : bytes

/** Its first half. */
export const cut = (frame: Frame): Frame => frame.slice(0, Math.floor(frame.length / 2))

/** Its second half is no text, no number and no message. */
export const garbled = (frame: Frame): Frame => {
  const bytes = Uint8Array.from(bytesOf(frame))
  return bytes.fill(0xff, Math.floor(bytes.length / 2))
}

/** A protobuf field of a number that nobody uses, of length 3. */
const newField = Uint8Array.of(0xa2, 0x1f, 3, 0x6e, 0x65, 0x77)

/** With a field that nobody has told us of. */
export const extended = (frame: Frame): Frame =>
  typeof frame === "string"
    ? frame.replace("{", "{\"new_field\":{\"list\":[1,\"two\",null]},")
    : Uint8Array.from(Buffer.concat([frame, newField]))

/** The same length with other text in it, wherever it stands. */
export const replaced = (frame: Frame, text: string, by: string): Frame =>
  like(frame, Buffer.from(Buffer.from(bytesOf(frame)).toString("latin1").replaceAll(text, by), "latin1"))
