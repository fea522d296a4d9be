/** REST calls are paced: at most so many at once, started no closer than the rate allows, under a virtual clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Channel from "../src/domain/Channel.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import * as MarketRest from "../src/MarketRest.ts"
import * as Test from "../src/PublicWebsocketTest.ts"

const btc = "BTC/USDT"
const channel = Channel.book(btc)

/** Calls that take so long, and a log of when they began and how many were under way. */
const recorded = (millis: number) => {
  const starts: Array<number> = []
  const asked: Array<readonly [symbol: string, attempt: number]> = []
  let running = 0
  let most = 0
  const call = <A>(value: A): Effect.Effect<A> =>
    Effect.gen(function*() {
      starts.push(yield* Clock.currentTimeMillis)
      most = Math.max(most, ++running)
      yield* Effect.sleep(millis)
      return value
    }).pipe(Effect.ensuring(Effect.sync(() => running--)))
  return {
    starts,
    asked,
    most: () => most,
    running: () => running,
    rest: {
      instruments: call([]),
      serverTime: call(7),
      book: (symbol: string, _: Channel.BookChannel, attempt: number) =>
        Effect.andThen(Effect.sync(() => asked.push([symbol, attempt])), call(Test.snapshot(btc)))
    }
  }
}

const many = (rest: MarketRest.MarketRest["Service"], count: number) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) => rest.book(btc, channel, index), {
    concurrency: "unbounded",
    discard: true
  })

describe("paced", () => {
  it.effect("starts requests no closer together than the rate allows", () =>
    Effect.gen(function*() {
      const { most, rest, starts } = recorded(10)
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 5, concurrency: 100 })
      const fiber = yield* Effect.forkChild(many(paced, 11))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(starts, [0, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000])
      yield* TestClock.adjust("10 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(most(), 1)
    }))

  it.effect("lets a burst of books start together where nothing has started for long enough, and no second holds more for it", () =>
    Effect.gen(function*() {
      const { rest, starts } = recorded(0)
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 10, burst: 4, concurrency: 100 })
      const fiber = yield* Effect.forkChild(many(paced, 24))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(starts.slice(0, 7), [0, 0, 0, 0, 100, 200, 300])
      // The pace and one more: what is under way may have been counted later than it left.
      const most = starts.map((from) => starts.filter((at) => at >= from && at < from + 1_000).length)
      assert.isAtMost(Math.max(...most), 11)
      assert.isAtMost(starts.at(-1)!, 2_100)
      // A tenth of a second is one place.
      const again = yield* Effect.forkChild(many(paced, 5))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(again)
      assert.deepStrictEqual(starts.slice(-5), [60_000, 60_000, 60_000, 60_000, 60_100])
      yield* TestClock.adjust("1 minute")
      // Many programs behind one address begin with the exchange's clock.
      const clocks = yield* Effect.forkChild(Effect.all([paced.serverTime, paced.serverTime, paced.serverTime]))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(clocks)
      assert.deepStrictEqual(starts.slice(-3), [120_100, 120_200, 120_300])
    }))

  it.effect("lets nothing start together behind a pause", () =>
    Effect.gen(function*() {
      const { rest, starts } = recorded(0)
      const pause = { until: 5_000 }
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 10, burst: 4, concurrency: 100, pause })
      const fiber = yield* Effect.forkChild(many(paced, 4))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(starts, [5_000, 5_100, 5_200, 5_300])
    }))

  it.effect("keeps within a second's limit where requests pile up on their way", () =>
    Effect.gen(function*() {
      const arrivals: Array<number> = []
      // The exchange takes nothing for half a second, and then all that has come meanwhile.
      const arrive = Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        if (now > 2_500 && now < 3_000) yield* Effect.sleep(3_000 - now)
        arrivals.push(Math.round(yield* Clock.currentTimeMillis))
        return Test.snapshot(btc)
      })
      const rest = { instruments: Effect.succeed([]), serverTime: Effect.succeed(7), book: () => arrive }
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 19, concurrency: 8 })
      const fiber = yield* Effect.forkChild(many(paced, 200))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      const most = arrivals.map((from) => arrivals.filter((at) => at >= from && at < from + 1_000).length)
      assert.isAtMost(Math.max(...most), 20)
    }))

  it.effect("what waits for room within the second waits on when the exchange has had enough meanwhile", () =>
    Effect.gen(function*() {
      const starts: Array<number> = []
      const enough = ExchangeError.make(
        "x",
        new ExchangeError.RequestFailed({
          request: "the book",
          status: 429,
          code: "429",
          detail: "enough",
          class: "rateLimit",
          retryAfterMs: 10_000
        })
      )
      // The first three are under way for long enough that others wait for room behind them.
      const ask = Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        starts.push(now)
        yield* Effect.sleep(now < 1_500 ? 1_900 : 1_000)
        return yield* now === 0 ? Effect.fail(enough) : Effect.succeed(Test.snapshot(btc))
      })
      const rest = { instruments: Effect.succeed([]), serverTime: Effect.succeed(7), book: () => ask }
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 2, concurrency: 8 })
      const fibers = []
      for (let i = 0; i < 6; i++) fibers.push(yield* Effect.forkChild(Effect.exit(paced.book(btc, channel, i))))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(starts.slice(0, 3), [0, 500, 1_000])
      assert.strictEqual(starts.length, 6)
      assert.isAtLeast(starts[3]!, 11_900)
    }))

  it.effect("lets no more run at once than allowed, and begins the next when one ends", () =>
    Effect.gen(function*() {
      const { most, rest, starts } = recorded(1000)
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 100, concurrency: 3 })
      const fiber = yield* Effect.forkChild(many(paced, 7))
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(starts, [0, 10, 20])
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(starts, [0, 10, 20, 1000, 1010, 1020, 2000])
      assert.strictEqual(most(), 3)
    }))

  it.effect("saves nothing up while it is idle", () =>
    Effect.gen(function*() {
      const { rest, starts } = recorded(0)
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 2, concurrency: 10 })
      yield* paced.serverTime
      yield* TestClock.adjust("1 minute")
      const fiber = yield* Effect.forkChild(many(paced, 3))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(starts, [0, 60_000, 60_500, 61_000])
    }))

  it.effect("paces all kinds of calls together, and hands their arguments and answers through", () =>
    Effect.gen(function*() {
      const { asked, rest, starts } = recorded(0)
      const paced = yield* MarketRest.paced(rest, "x", { perSecond: 1, concurrency: 1 })
      const fiber = yield* Effect.forkChild(
        Effect.all([paced.instruments, paced.serverTime, paced.book("BTCUSDT", channel, 4)])
      )
      yield* TestClock.adjust("2 seconds")
      const [instruments, time, book] = yield* Fiber.join(fiber)
      assert.deepStrictEqual(instruments, [])
      assert.strictEqual(time, 7)
      assert.strictEqual(book.kind, "snapshot")
      assert.deepStrictEqual(asked, [["BTCUSDT", 4]])
      assert.deepStrictEqual(starts, [0, 1000, 2000])
      assert.strictEqual(paced.exchange, "x")
    }))

  it.effect("gives the place of a call that fails or is given up to the next", () =>
    Effect.gen(function*() {
      const { rest, running, starts } = recorded(60_000)
      const error = ExchangeError.make("x", new ExchangeError.DecodeFailed({ detail: "no" }))
      const paced = yield* MarketRest.paced({ ...rest, instruments: Effect.fail(error) }, "x", {
        perSecond: 1000,
        concurrency: 1
      })
      assert.strictEqual(yield* Effect.flip(paced.instruments), error)
      const first = yield* Effect.forkChild(paced.serverTime)
      const second = yield* Effect.forkChild(paced.serverTime)
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(starts.length, 1)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(starts.length, 2)
      assert.strictEqual(running(), 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(second), 7)
    }))
})
