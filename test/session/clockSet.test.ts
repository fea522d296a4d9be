/** The machine's clock is set, an hour back or ahead, while a session waits for something: it waits no longer for that. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, type Scope, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator, type SimulatorOptions } from "../../src/simulator/Simulator.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"
import { toy } from "../simulator/ToyDialect.ts"
import * as SteppedClock from "../SteppedClock.ts"
import * as Exchange from "../suites/Exchange.ts"
import { refusing, still } from "./Memory.ts"

const btc = "BTC/USDT"
const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }
const mexc: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }

interface Setup {
  readonly subject: Exchange.Subject
  readonly simulator?: Partial<SimulatorOptions>
  readonly options?: ExchangeFactory.WebsocketOptions
}

/** Runs the body under a clock that it can set. */
const under = <A, E>(
  { options, simulator, subject }: Setup,
  body: (set: (millis: number) => void) => Effect.Effect<A, E, Exchange.Services | Scope.Scope>
) =>
  Exchange.memory.run(Effect.gen(function*() {
    const { clock, step } = yield* SteppedClock.make
    return yield* body(step).pipe(
      Effect.scoped,
      Effect.provide(Exchange.memory.layer(subject, { ...still, ...simulator }, options)),
      Effect.provideService(Clock.Clock, clock)
    )
  }))

const millis = Effect.clockWith((clock) => Effect.map(clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6))

/** How long it takes, ms. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    const began = yield* millis
    yield* effect
    return (yield* millis) - began
  })

for (const [name, hour] of [["back", -3_600_000], ["ahead", 3_600_000]] as const) {
  describe(`a clock that is set an hour ${name}`, () => {
    it.effect("MUST hide no silence", () =>
      under(
        { subject: gate, options: { silence: { Trades: "2 seconds" }, staleAfter: null } },
        (set) =>
          Effect.gen(function*() {
            const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
            const silent = yield* Effect.forkScoped(timed(Stream.runDrain(Stream.take(stream, 1))), {
              startImmediately: true
            })
            yield* Effect.sleep(1_000)
            set(hour)
            const took = yield* Fiber.join(silent)
            assert.isAtLeast(took, 2_000)
            // Counted anew from when the clock was set.
            assert.isAtMost(took, 3_500)
          })
      ))

    it.effect("MUST make up no silence, neither at once nor by what is learned", () =>
      under(
        {
          subject: gate,
          simulator: { tradeRate: 20 },
          options: {
            silence: { Trades: { floor: "2 seconds", ceiling: "1 minute", initial: "2 seconds" } },
            staleAfter: null
          }
        },
        (set) =>
          Effect.gen(function*() {
            const simulator = yield* Simulator
            const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
            const gap = yield* Effect.forkScoped(
              Stream.runDrain(Stream.takeUntil(stream, ({ _tag }) => _tag === "Gap")),
              { startImmediately: true }
            )
            yield* Effect.sleep("20 seconds")
            set(hour)
            yield* Effect.sleep("5 seconds")
            assert.isUndefined(gap.pollUnsafe())
            yield* Effect.orDie(simulator.inject({ _tag: "Silence" }))
            assert.isAtMost(yield* timed(Fiber.join(gap)), 6_000)
          })
      ))

    it.effect("MUST put off no snapshot that is asked for again", () => {
      const dialect: typeof toy = {
        ...toy,
        connect: (world, peer, options) => {
          const send: typeof peer.send = (frame, about) => {
            if (!String(frame).includes("\"snapshot\"")) peer.send(frame, about)
          }
          return toy.connect(world, { ...peer, send }, options)
        }
      }
      const giveUp = (setTo: number) =>
        under({ subject: { adapter: toySpot, dialect } }, (set) =>
          Effect.gen(function*() {
            const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.book(btc)))
            const ending = yield* Effect.forkScoped(timed(Effect.flip(Stream.runDrain(stream))), {
              startImmediately: true
            })
            yield* Effect.sleep(1_000)
            set(setTo)
            return yield* Fiber.join(ending)
          }))
      return Effect.gen(function*() {
        const [usual, took] = [yield* giveUp(0), yield* giveUp(hour)]
        assert.isAtLeast(usual, 15_000)
        assert.approximately(took, usual, 1_000)
      })
    })

    it.effect("MUST put off nothing that is asked for again behind a refusal", () => {
      let refusals = 0
      const dialect = refusing(gateSpotDialect, () => refusals-- > 0 ? "server side error" : null)
      return under(
        { subject: { ...gate, dialect }, simulator: { tradeRate: 20 } },
        (set) =>
          Effect.gen(function*() {
            const simulator = yield* Simulator
            const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
            refusals = 1
            yield* simulator.inject("drop")
            yield* simulator.until(() => refusals === 0)
            yield* Effect.sleep(100)
            set(hour)
            let isBroken = false
            const back = Stream.takeUntil(stream, ({ _tag }) => {
              isBroken ||= _tag === "Gap"
              return isBroken && _tag === "Data"
            })
            const took = yield* timed(Stream.runDrain(back))
            assert.isAtLeast(took, 800)
            assert.isAtMost(took, 1_500)
          })
      )
    })

    it.effect("MUST put off no snapshot of a quiet market", () =>
      under({ subject: mexc }, (set) =>
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          yield* Effect.sleep("1 second")
          const stream = yield* websocket.feed(Channel.book(btc))
          const shown = yield* Effect.forkScoped(timed(Stream.runDrain(Stream.take(stream, 1))), {
            startImmediately: true
          })
          yield* Effect.sleep(500)
          set(hour)
          const took = yield* Fiber.join(shown)
          assert.isAtLeast(took, 1_000)
          assert.isAtMost(took, 1_600)
        })))
  })
}
