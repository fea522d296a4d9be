/** Simulated sessions written down, and the log of whatever session is at hand. */
import { Effect, Fiber, Stream } from "effect"
import type { Scope } from "effect"
import * as EventJson from "../../src/cli/EventJson.ts"
import * as Journal from "../../src/connection/Journal.ts"
import type { ChannelChoice, PublicChannel } from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { MarketRest } from "../../src/MarketRest.ts"
import { handlersFor, PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

export type Pairs = [TradingPair, ...Array<TradingPair>]
export type Channels = [ChannelChoice, ...Array<ChannelChoice>]

/** What a program got, as lines. */
export interface Log {
  /** By handlers: events, breaks, and changes of connections. */
  readonly handled: Array<string>
  /** By the session's stream: events with their origin, and breaks. */
  readonly streamed: Array<string>
  /** By feeds beside the session. */
  readonly fed: Array<string>
}

/** Puts consumers on the session; the effect that it returns waits until the stream has ended. */
export const consume = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const log: Log = { handled: [], streamed: [], fed: [] }
  const event = (event: MarketEvent): void => void log.handled.push(JSON.stringify(EventJson.event(event)))
  yield* websocket.handle(handlersFor(websocket.channels, {
    onBookTicker: event,
    onTrade: event,
    onBook: event,
    onTicker: event,
    onKline: event,
    onFuturesTicker: event,
    onLiquidation: event,
    onContractStats: event,
    onGap: (gap) => void log.handled.push(JSON.stringify({ symbol: gap.symbol, gap: EventJson.gap(gap) })),
    onStatus: (status) => void log.handled.push(JSON.stringify(status))
  }))
  const reading = yield* websocket.events.pipe(
    Stream.runForEach((item) =>
      Effect.sync(() => {
        const json = item._tag === "Gap"
          ? { symbol: item.symbol, gap: EventJson.gap(item) }
          : { origin: item.origin, ...EventJson.event(item.value) }
        log.streamed.push(JSON.stringify(json))
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  return { log, reading }
})

/** Reads feeds beside the session into its log. */
const read = (log: Log, feeds: ReadonlyArray<PublicChannel>) =>
  Effect.forEach(feeds, (channel) =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const stream: Stream.Stream<Feed<MarketEvent>, ExchangeError> = yield* websocket.feed(channel)
      yield* Effect.forkScoped(
        Stream.runForEach(stream, (item) =>
          Effect.sync(() => {
            const json = item._tag === "Gap" ? { gap: EventJson.gap(item) } : EventJson.event(item.value)
            log.fed.push(JSON.stringify(json))
          })),
        { startImmediately: true }
      )
    }), { discard: true })

export interface Plan {
  readonly subject: Exchange.Subject
  readonly mode?: Exchange.Mode | undefined
  readonly simulator: Partial<SimulatorOptions>
  readonly pairs: Pairs
  readonly channels: Channels
  readonly feeds?: ReadonlyArray<PublicChannel> | undefined
  readonly millis: number
  readonly options?: ExchangeFactory.RedundantOptions | undefined
}

/** Runs the body in a session against the simulator, and ends its recorder behind it. */
const within = <A, E>(
  { mode = Exchange.memory, options, pairs, simulator, subject }: Plan,
  recorder: Effect.Effect<Journal.Recorder, Journal.JournalError, Scope.Scope>,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>
): Effect.Effect<A, E | Journal.JournalError> =>
  mode.run(Effect.scoped(Effect.gen(function*() {
    const journal = yield* recorder
    const layer = mode.layer(subject, { pairs, ...simulator }, { ...options, journal })
    return yield* body.pipe(Effect.scoped, Effect.provide(layer))
  })))

export { within as with }

/** Runs a session with its recorder, and tells what it got before it was taken down. */
export const record = (
  plan: Plan,
  recorder: Effect.Effect<Journal.Recorder, Journal.JournalError, Scope.Scope>
): Effect.Effect<Log, Journal.JournalError | ExchangeError> =>
  within(
    plan,
    recorder,
    Effect.gen(function*() {
      const { log } = yield* consume
      yield* read(log, plan.feeds ?? [])
      const websocket = yield* PublicWebsocket
      yield* websocket.initialize(plan.pairs, plan.channels)
      yield* Effect.sleep(plan.millis)
      return { handled: [...log.handled], streamed: [...log.streamed], fed: [...log.fed] }
    })
  )

/** The same into memory. */
export const recordBytes = Effect.fnUntraced(function*(
  plan: Plan,
  options: Journal.JournalOptions = {}
): Effect.fn.Return<{ readonly log: Log; readonly bytes: Uint8Array }, Journal.JournalError | ExchangeError> {
  const parts: Array<Uint8Array> = []
  const sink: Journal.Sink = (bytes) => Effect.sync(() => void parts.push(bytes.slice()))
  const log = yield* record(plan, Journal.make({ ...options, sink }))
  return { log, bytes: Buffer.concat(parts) }
})

/** Runs the body over a recording; virtual time is pushed on. */
export const over = <A, E>(
  adapter: ExchangeAdapter,
  recording: Journal.Recording,
  body: Effect.Effect<A, E, PublicWebsocket | MarketRest | ExchangeFactory.Replay | Scope.Scope>,
  options: ExchangeFactory.ReplayOptions = {}
): Effect.Effect<A, E | Journal.JournalError> =>
  Exchange.memory.run(
    body.pipe(Effect.scoped, Effect.provide(ExchangeFactory.layerReplay(adapter, recording, options)))
  )

/** What a program gets from a recording that asks for what it holds. */
export const replay = (
  adapter: ExchangeAdapter,
  recording: Journal.Recording,
  pairs: Pairs,
  channels: Channels,
  options: ExchangeFactory.ReplayOptions = {},
  feeds: ReadonlyArray<PublicChannel> = []
): Effect.Effect<Log, Journal.JournalError | ExchangeError> =>
  over(
    adapter,
    recording,
    Effect.gen(function*() {
      const { log, reading } = yield* consume
      yield* read(log, feeds)
      const websocket = yield* PublicWebsocket
      yield* websocket.initialize(pairs, channels)
      yield* Fiber.join(reading)
      return log
    }),
    options
  )
