/** What was recorded comes out again: the same events, the same breaks, at the same recorded times. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as EventJson from "../../src/cli/EventJson.ts"
import * as Journal from "../../src/connection/Journal.ts"
import type { ChannelChoice } from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"
import { toy } from "../simulator/ToyDialect.ts"
import * as Exchange from "../suites/Exchange.ts"

const pairs: [TradingPair, ...Array<TradingPair>] = ["BTC/USDT", "ETH/USDT"]
const channelsOf = ({ adapter }: Exchange.Subject) =>
  (["BookTicker", "Trades", "Book"] as const).filter((tag) => adapter.channels.has(tag)) as [
    ChannelChoice,
    ...Array<ChannelChoice>
  ]
const faults = [
  "duplicate:2%",
  "gap:1%",
  "corrupt:0.5%",
  "drop@3s",
  "refuse:503@4s:1s",
  "drop@6s",
  "slow-snapshot:80ms"
]

const subjects: ReadonlyArray<Exchange.Subject> = [
  { adapter: mexcSpot, dialect: mexcSpotDialect },
  { adapter: gateSpot, dialect: gateSpotDialect },
  { adapter: toySpot, dialect: toy }
]

/** Every event, break and change of a connection as a line, and the lines of the session's stream. */
interface Log {
  readonly handled: ReadonlyArray<string>
  readonly streamed: ReadonlyArray<string>
}

const makeLog = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const handled: Array<string> = []
  const streamed: Array<string> = []
  const event = (value: Parameters<typeof EventJson.event>[0]): void =>
    void handled.push(JSON.stringify(EventJson.event(value)))
  yield* websocket.handle({
    onBookTicker: event,
    onTrade: event,
    onBook: event,
    onGap: (gap) => void handled.push(JSON.stringify(EventJson.gap(gap))),
    onStatus: (status) => void handled.push(JSON.stringify(status))
  })
  const reader = yield* websocket.events.pipe(
    Stream.runForEach((item) =>
      Effect.sync(() => {
        const json = item._tag === "Gap" ? EventJson.gap(item) : { origin: item.origin, ...EventJson.event(item.value) }
        streamed.push(JSON.stringify(json))
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  return { handled, streamed, reader }
})

/** A simulated session with faults, written down. */
const record = (subject: Exchange.Subject, seed: number, millis: number) =>
  Effect.gen(function*() {
    const parts: Array<Uint8Array> = []
    const scope = yield* Scope.make()
    const journal = yield* Journal.make({ sink: (bytes) => Effect.sync(() => void parts.push(bytes.slice())) }).pipe(
      Scope.provide(scope)
    )
    const log = yield* Exchange.withExchange(
      Exchange.memory,
      Exchange.memory.layer(subject, { seed, pairs, faults }, { journal }),
      Effect.gen(function*() {
        const log = yield* makeLog
        const websocket = yield* PublicWebsocket
        yield* websocket.initialize(pairs, channelsOf(subject))
        yield* Effect.sleep(millis)
        // What is recorded from here on is the end of the session.
        return { handled: [...log.handled], streamed: [...log.streamed] } satisfies Log
      })
    )
    yield* Scope.close(scope, Exit.void)
    return { log, bytes: Buffer.concat(parts), recorded: journal.recorded }
  })

const replay = (subject: Exchange.Subject, bytes: Uint8Array, speed: number | "max") =>
  Effect.gen(function*() {
    const recording = yield* Journal.read(bytes)
    return yield* Effect.gen(function*() {
      const log = yield* makeLog
      const websocket = yield* PublicWebsocket
      yield* websocket.initialize(pairs, channelsOf(subject))
      yield* Fiber.join(log.reader)
      const { decodeFailures } = yield* Effect.orDie(websocket.performance)
      return { handled: log.handled, streamed: log.streamed, decodeFailures }
    }).pipe(Effect.scoped, Effect.provide(ExchangeFactory.layerReplay(subject.adapter, recording, { speed })))
  }).pipe(Exchange.memory.run)

describe("replay", () => {
  for (const subject of subjects) {
    const { id } = subject.adapter
    it.effect(
      `of ${id} gives the events and breaks of the recorded session, at any speed`,
      () =>
        Effect.gen(function*() {
          const { bytes, log } = yield* record(subject, 11, 8_000)
          assert.isAbove(log.handled.length, 200)
          assert.isTrue(log.handled.some((line) => line.includes("\"cause\":\"Reconnected\"")))
          const first = yield* replay(subject, bytes, "max")
          // The recording goes on for a moment while the session is taken down: only statuses may follow.
          assert.deepStrictEqual(first.handled.slice(0, log.handled.length), log.handled)
          assert.deepStrictEqual(first.streamed.slice(0, log.streamed.length), log.streamed)
          for (const speed of ["max", 10, 1] as const) {
            const again = yield* replay(subject, bytes, speed)
            assert.deepStrictEqual(again.handled, first.handled)
            assert.deepStrictEqual(again.streamed, first.streamed)
          }
        }).pipe(Effect.provide(TestClock.layer())),
      60_000
    )
  }
})
