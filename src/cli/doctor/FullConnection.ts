/** How many topics an exchange takes on one connection: a connection of its own, filled without the session's sharding. */
import { Clock, Duration, Effect, Result } from "effect"
import { FrameSocket } from "../../connection/FrameSocket.ts"
import type { Answer, ExchangeAdapter, Request } from "../../ExchangeAdapter.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import { contextOf } from "../FrameDecoder.ts"
import { FrameReader } from "./FrameReader.ts"
import type { SeenFrame } from "./FrameReader.ts"
import type { Wanted } from "./Wanted.ts"

/** By the exchange's own answers, on one connection. */
export interface Filled {
  readonly asked: number
  readonly accepted: number
  /** The first refusal, or why the connection ended. */
  readonly firstError: string | null
}

/** How long the answers may take. */
const within = Duration.seconds(10)

/** Which topics were accepted and which refused. */
class Answers {
  readonly accepted = new Set<string>()
  readonly refused = new Set<string>()
  readonly #requests: ReadonlyMap<string, Request>
  firstError: string | null = null

  constructor(requests: ReadonlyArray<Request>) {
    this.#requests = new Map(requests.map((request) => [String(request.id), request]))
  }

  get count(): number {
    return this.accepted.size + this.refused.size
  }

  onFrame({ acknowledged, rejected }: SeenFrame): void {
    for (const answer of acknowledged) for (const key of this.#keysOf(answer)) this.accepted.add(key)
    for (const { answer, refusal } of rejected) {
      this.firstError ??= `${refusal.code} ${refusal.detail}`.trim()
      for (const key of this.#keysOf(answer)) this.refused.add(key)
    }
  }

  #keysOf({ requestId, topics }: Answer): ReadonlyArray<string> {
    return topics ?? this.#requests.get(String(requestId))?.topics.map(({ key }) => key) ?? []
  }
}

/** Subscribes all of them on one connection and counts the answers. */
const count = Effect.fnUntraced(function*(adapter: ExchangeAdapter, url: string, wanted: ReadonlyArray<Wanted>) {
  const clock = yield* Clock.Clock
  const socket = yield* FrameSocket
  const connection = yield* socket.open(adapter.id, adapter.endpoint(url))
  const context = contextOf(adapter, () => undefined)
  let id = 0
  const requests = adapter.subscribe(
    wanted.map(({ channel, key, symbol }) => context.topicOf(key, channel._tag, symbol)),
    { nowMillis: clock.currentTimeMillisUnsafe(), nextId: () => ++id }
  )
  const answers = new Answers(requests)
  const reader = new FrameReader(adapter, () => undefined)
  const read = Effect.map(connection.pull, ({ frames, receivedAt }) => {
    for (const frame of frames) answers.onFrame(reader.read(frame, receivedAt))
    return answers.count >= wanted.length
  })
  const write = Effect.forEach(
    requests,
    ({ frame }) => Effect.andThen(connection.write(frame), Effect.sleep(1_000 / adapter.limits.requestsPerSecond)),
    { discard: true }
  )
  const ended = yield* Effect.result(
    Effect.all([write, Effect.repeat(read, { until: (isDone: boolean) => isDone })], {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.timeoutOrElse({ duration: within, orElse: () => Effect.void }))
  )
  if (Result.isFailure(ended)) answers.firstError ??= ended.failure.message
  return { accepted: answers.accepted.size, firstError: answers.firstError }
}, Effect.scoped)

/** Never fails: what went wrong is in the result. */
export const fill = (
  adapter: ExchangeAdapter,
  url: string,
  wanted: ReadonlyArray<Wanted>
): Effect.Effect<Filled, never, FrameSocket> =>
  count(adapter, url, wanted).pipe(
    Effect.catch((error: ExchangeError) => Effect.succeed({ accepted: 0, firstError: error.message })),
    Effect.map((found) => ({ asked: wanted.length, ...found }))
  )
