/** The queue of book snapshots over a REST whose answers are scripted, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, FiberSet, Logger } from "effect"
import { TestClock } from "effect/testing"
import type { BookUpdate } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { MarketRest } from "../../src/MarketRest.ts"
import type { Counters } from "../../src/session/Counters.ts"
import * as Snapshots from "../../src/session/Snapshots.ts"
import type { Wakeups } from "../../src/session/Subscriber.ts"
import type { TopicState } from "../../src/session/Topics.ts"
import * as SteppedClock from "../SteppedClock.ts"

const bookOf = (symbol: string): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "snapshot",
  pair: "X/X",
  symbol,
  bids: [],
  asks: [],
  firstVersion: 1,
  version: 1,
  exchangeTime: null,
  receivedAt: 0,
  contractSize: null,
  exact: null
})

type Answer = Effect.Effect<BookUpdate, ExchangeError.ExchangeError>

interface Options {
  readonly concurrency?: number
  readonly turnovers?: Readonly<Record<string, number>>
  readonly answer?: (symbol: string, attempt: number) => Answer
}

const failure = (status: number, kind: ExchangeError.AnswerClass, retryAfterMs?: number) =>
  ExchangeError.make(
    "toy",
    new ExchangeError.RequestFailed({
      request: "GET /book",
      status,
      code: "X",
      detail: "no",
      class: kind,
      retryAfterMs
    })
  )

const start = ({ answer, concurrency = 2, turnovers = {} }: Options) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const fork = yield* FiberSet.makeRuntime<never>()
    const asked: Array<string> = []
    const log: Array<string> = []
    const unconfirmed = new Set<string>()
    const toCome = new Set<string>()
    const request = Snapshots.make({
      adapter: {
        id: "toy",
        name: "Toy",
        limits: { restConcurrency: concurrency, restPerSecond: 10 }
      } as ExchangeAdapter,
      rest: {
        book: (symbol: string, channel: unknown, attempt: number) => {
          asked.push(`${symbol} ${attempt} at ${now()}`)
          assert.deepStrictEqual(channel, { _tag: "Book", pair: "A/B" })
          return answer?.(symbol, attempt) ?? Effect.succeed(bookOf(symbol))
        }
      } as unknown as MarketRest["Service"],
      counters: { error: (tag: string) => log.push(`counted ${tag}`) } as unknown as Counters,
      wakeups: { flush: () => log.push("flush") } as unknown as Wakeups,
      isConfirmed: ({ topic }) => !unconfirmed.has(topic.symbol),
      awaitsMore: () => toCome.size > 0,
      monotonic: now,
      turnoverOf: (symbol) => turnovers[symbol] ?? 0,
      fork: (effect) => void fork(effect)
    })
    const stateOf = (symbol: string, fields: { readonly everLive?: boolean } = {}) => {
      const state = {
        topic: { symbol, pair: "A/B", contractSize: 0.5 },
        channel: { _tag: "Book", pair: "A/B" },
        everLive: false,
        epoch: 0,
        needsSnapshot: true,
        fetching: false,
        ...fields,
        snapshot: (snapshot: BookUpdate) => {
          state.needsSnapshot = false
          log.push(`${symbol} got ${snapshot.pair} ${snapshot.contractSize}`)
        },
        fail: (error: ExchangeError.ExchangeError, scope: string) => {
          state.needsSnapshot = false
          log.push(`${symbol} failed for the ${scope}: ${error.reason._tag}`)
        }
      }
      return state
    }
    const want = (state: ReturnType<typeof stateOf>) => request(state as unknown as TopicState)
    return { asked, log, stateOf, toCome, unconfirmed, want }
  })

const quiet = Effect.provide(Logger.layer([]))

const pass = (millis: number) => TestClock.adjust(millis)

const symbolsOf = (asked: ReadonlyArray<string>) => asked.map((line) => line.split(" ")[0])

describe("Snapshots", () => {
  it.effect("while others are to come, which may be more liquid, each waits for its even turn", () =>
    Effect.gen(function*() {
      const { asked, stateOf, toCome, want } = yield* start({ concurrency: 8, turnovers: { A: 1, B: 2, C: 3, D: 9 } })
      toCome.add("D")
      for (const symbol of ["A", "B", "C"]) want(stateOf(symbol))
      yield* pass(150)
      assert.deepStrictEqual(asked, ["C 0 at 0", "B 0 at 100"])
      toCome.clear()
      want(stateOf("D"))
      yield* pass(0)
      assert.deepStrictEqual(asked, ["C 0 at 0", "B 0 at 100", "D 0 at 150", "A 0 at 150"])
    }))

  it.effect("one is fetched, given with the topic's own pair and contract size, and told", () =>
    Effect.gen(function*() {
      const { asked, log, stateOf, want } = yield* start({})
      const state = stateOf("A")
      want(state)
      assert.isTrue(state.fetching)
      assert.deepStrictEqual(asked, [], "behind the batch that asks")
      yield* pass(0)
      assert.deepStrictEqual(asked, ["A 0 at 0"])
      assert.deepStrictEqual(log, ["A got A/B 0.5", "flush"])
      assert.isFalse(state.fetching)
      yield* pass(60_000)
      assert.lengthOf(asked, 1)
      // It may be wanted anew.
      state.needsSnapshot = true
      want(state)
      yield* pass(0)
      assert.deepStrictEqual(asked, ["A 0 at 0", "A 0 at 60000"])
    }))

  it.effect("asking again while one is under way changes nothing", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({ answer: () => Effect.never })
      const state = stateOf("A")
      want(state)
      want(state)
      yield* pass(0)
      want(state)
      yield* pass(0)
      assert.lengthOf(asked, 1)
    }))

  it.effect("what was in sync and broke goes first, then the most liquid, then the first that asked", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({
        concurrency: 1,
        turnovers: { B: 5, C: 9, D: 5, L: 1, M: 2 },
        answer: (symbol) => Effect.as(Effect.sleep(10), bookOf(symbol))
      })
      for (const symbol of ["A", "B", "C", "D"]) want(stateOf(symbol))
      for (const symbol of ["K", "L", "M"]) want(stateOf(symbol, { everLive: true }))
      yield* pass(100)
      assert.deepStrictEqual(symbolsOf(asked), ["M", "L", "K", "C", "B", "D", "A"])
    }))

  it.effect("those behind slow ones that fill all places have their turn when these end, though nobody asks any more", () =>
    Effect.gen(function*() {
      // As in a ban, whose end every request waits for.
      const { asked, log, stateOf, want } = yield* start({
        concurrency: 1,
        answer: (symbol) => Effect.as(Effect.sleep(120_000), bookOf(symbol))
      })
      for (const symbol of ["A", "B", "C", "D", "E", "F", "G"]) want(stateOf(symbol))
      yield* pass(100_000)
      assert.deepStrictEqual(symbolsOf(asked), ["A", "B", "C", "D"])
      yield* pass(500_000)
      assert.deepStrictEqual(symbolsOf(asked), ["A", "B", "C", "D", "E", "F", "G"])
      assert.lengthOf(log.filter((line) => line.includes(" got ")), 7)
    }))

  it.effect("so many at once; a slow one makes way after two seconds, up to four times as many", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({ answer: () => Effect.never })
      for (let i = 0; i < 20; i++) want(stateOf(`S${i}`))
      yield* pass(1_999)
      assert.lengthOf(asked, 2)
      yield* pass(1)
      assert.lengthOf(asked, 4)
      yield* pass(2_000)
      assert.lengthOf(asked, 6)
      yield* pass(2_000)
      assert.lengthOf(asked, 8)
      yield* pass(60_000)
      assert.lengthOf(asked, 8, "slow requests are bounded too")
    }))

  it.effect("a place is free again as soon as an answer is there", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({
        answer: (symbol) => Effect.as(Effect.sleep(symbol === "S0" ? 5_000 : 100), bookOf(symbol))
      })
      for (let i = 0; i < 6; i++) want(stateOf(`S${i}`))
      yield* pass(0)
      assert.lengthOf(asked, 2)
      yield* pass(100)
      assert.deepStrictEqual(symbolsOf(asked), ["S0", "S1", "S2"])
      yield* pass(300)
      assert.lengthOf(asked, 6)
      // The slow one gave its place up before, and gives no second one when it ends.
      yield* pass(10_000)
      for (let i = 6; i < 12; i++) want(stateOf(`S${i}`))
      yield* pass(0)
      assert.lengthOf(asked, 8)
    }))

  it.effect("a slow one that ends frees its place among the slow ones", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({
        concurrency: 1,
        answer: (symbol) => Effect.as(Effect.sleep(20_000), bookOf(symbol))
      })
      for (let i = 0; i < 6; i++) want(stateOf(`S${i}`))
      yield* pass(8_000)
      assert.lengthOf(asked, 4)
      yield* pass(11_999)
      assert.lengthOf(asked, 4)
      // Somebody new looks at the queue.
      yield* pass(1)
      want(stateOf("T"))
      yield* pass(0)
      assert.isAtLeast(asked.length, 5)
    }))

  it.effect("a failure in passing is asked again, each time later, with the number of the attempt", () =>
    Effect.gen(function*() {
      const { asked, log, stateOf, want } = yield* start({ answer: () => Effect.fail(failure(503, "retryable")) })
      want(stateOf("A"))
      yield* pass(30_000)
      assert.deepStrictEqual(asked, [
        "A 0 at 0",
        "A 1 at 200",
        "A 2 at 600",
        "A 3 at 1400",
        "A 4 at 3000",
        "A 5 at 6200",
        "A 6 at 11200",
        "A 7 at 16200",
        "A 8 at 21200",
        "A 9 at 26200"
      ])
      assert.deepStrictEqual(new Set(log), new Set(["counted RequestFailed"]))
    }).pipe(quiet))

  it.effect("no sooner than the exchange asks", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({
        answer: (symbol, attempt) =>
          attempt === 0 ? Effect.fail(failure(429, "rateLimit", 7_000)) : Effect.succeed(bookOf(symbol))
      })
      want(stateOf("A"))
      yield* pass(6_999)
      assert.lengthOf(asked, 1)
      yield* pass(1)
      assert.deepStrictEqual(asked, ["A 0 at 0", "A 1 at 7000"])
    }).pipe(quiet))

  it.effect("also when timers fire a millisecond early and the machine's clock is set back meanwhile", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const early: Clock.Clock = {
        ...clock,
        sleep: (duration) => clock.sleep(Duration.millis(Duration.toMillis(duration) - 1))
      }
      const { asked, log, stateOf, want } = yield* Effect.provideService(
        start({
          answer: (symbol, attempt) =>
            attempt < 3 ? Effect.fail(failure(503, "retryable")) : Effect.succeed(bookOf(symbol))
        }),
        Clock.Clock,
        early
      )
      const state = stateOf("A")
      want(state)
      yield* pass(300)
      assert.deepStrictEqual(asked, ["A 0 at 0", "A 1 at 199"])
      step(-3_600_000)
      yield* pass(2_000)
      assert.lengthOf(asked, 4)
      assert.include(log, "A got A/B 0.5")
      assert.isFalse(state.fetching)
    }).pipe(quiet))

  it.effect("others are asked for while one waits", () =>
    Effect.gen(function*() {
      const { asked, stateOf, want } = yield* start({
        concurrency: 1,
        turnovers: { A: 9 },
        answer: (symbol) => symbol === "A" ? Effect.fail(failure(503, "retryable")) : Effect.succeed(bookOf(symbol))
      })
      want(stateOf("A"))
      yield* pass(0)
      want(stateOf("B"))
      yield* pass(0)
      assert.deepStrictEqual(symbolsOf(asked), ["A", "B"])
    }).pipe(quiet))

  it.effect("a failure for good is the topic's, unless it needs a snapshot no more", () =>
    Effect.gen(function*() {
      const { asked, log, stateOf, want } = yield* start({
        answer: () => Effect.andThen(Effect.sleep(100), Effect.fail(failure(400, "item")))
      })
      const [state, other] = [stateOf("A"), stateOf("B")]
      want(state)
      want(other)
      yield* pass(50)
      other.needsSnapshot = false
      yield* pass(50)
      assert.deepStrictEqual(log, [
        "counted RequestFailed",
        "A failed for the topic: RequestFailed",
        "flush",
        "counted RequestFailed"
      ])
      assert.deepStrictEqual([state.fetching, other.fetching], [false, false])
      yield* pass(60_000)
      assert.lengthOf(asked, 2)
    }))

  it.effect("what was fetched before a break is not joined to what follows it", () =>
    Effect.gen(function*() {
      const { asked, log, stateOf, want } = yield* start({
        answer: (symbol) => Effect.as(Effect.sleep(100), bookOf(symbol))
      })
      const state = stateOf("A")
      want(state)
      yield* pass(50)
      state.epoch++
      yield* pass(50)
      assert.deepStrictEqual(log, ["flush"])
      assert.isTrue(state.fetching)
      yield* pass(1_000)
      assert.deepStrictEqual(asked, ["A 0 at 0", "A 1 at 300"])
      assert.deepStrictEqual(log, ["flush", "A got A/B 0.5", "flush"])
    }))

  it.effect("who is not confirmed, or needs none, is not asked for", () =>
    Effect.gen(function*() {
      const { asked, stateOf, unconfirmed, want } = yield* start({
        answer: () => Effect.fail(failure(503, "retryable"))
      })
      const [lost, served, later] = [stateOf("A"), stateOf("B"), stateOf("C")]
      unconfirmed.add("A")
      want(lost)
      want(served)
      served.needsSnapshot = false
      want(later)
      yield* pass(0)
      assert.deepStrictEqual(symbolsOf(asked), ["C"])
      assert.deepStrictEqual([lost.fetching, served.fetching, later.fetching], [false, false, true])
      unconfirmed.add("C")
      yield* pass(60_000)
      assert.lengthOf(asked, 1)
      assert.isFalse(later.fetching)
    }).pipe(quiet))

  it.effect("a defect is told to the topic and leaves its place to others", () =>
    Effect.gen(function*() {
      const { asked, log, stateOf, want } = yield* start({
        concurrency: 1,
        answer: (symbol) => symbol === "A" ? Effect.die(new Error("boom")) : Effect.succeed(bookOf(symbol))
      })
      const state = stateOf("A")
      want(state)
      want(stateOf("B"))
      yield* pass(0)
      assert.deepStrictEqual(symbolsOf(asked), ["A", "B"])
      assert.deepStrictEqual(log.slice(0, 2), ["A failed for the topic: InvalidUse", "flush"])
      assert.include(log, "B got A/B 0.5")
      assert.isFalse(state.fetching)
    }).pipe(quiet))
})
