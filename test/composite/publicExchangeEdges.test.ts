/** `PublicExchange` where an exchange refuses, fails, hangs or lies: what is kept, what is tried again, what is said. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { PublicExchange } from "../../src/composite/PublicExchange.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as SteppedClock from "../SteppedClock.ts"
import {
  btc,
  eth,
  exchange,
  futures,
  gate,
  instrument,
  passing,
  PublicWorld,
  quote,
  refusal,
  snapshot,
  sol,
  withMarket
} from "./PublicWorld.ts"

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.orDie(Effect.flip(effect))

const unavailable = ExchangeError.make(
  exchange,
  new ExchangeError.RequestFailed({ request: "it", status: 503, code: "", detail: "", class: "unavailable" })
)

const stateOf = (market: PublicExchange["Service"]) => Effect.map(market.health, ({ state }) => state)

/** Lets everything run that needs no time. */
const settle = TestClock.adjust(0)

describe("pairs", () => {
  it.effect("that are refused for now are told, kept, and taken when the exchange takes them", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        world.answer("Book", eth, Effect.fail(passing(eth)))
        world.answer("BookTicker", sol, Effect.fail(passing(sol)), Effect.fail(passing(sol)))
        const { accepted, rejected } = yield* market.initialize([btc, eth, sol])
        assert.deepStrictEqual(accepted, [btc])
        assert.deepStrictEqual([...rejected.keys()], [eth, sol])
        world.sync(btc, sol)
        const { problems, refused, state } = yield* market.health
        assert.deepStrictEqual([...refused.keys()], [eth, sol])
        assert.include(problems.join("\n"), "was refused")
        assert.strictEqual(state, "degraded", "nothing more is awaited")
        yield* TestClock.adjust(1_000)
        world.sync(eth)
        assert.deepStrictEqual([...(yield* market.health).refused.keys()], [sol])
        yield* TestClock.adjust(2_000)
        assert.strictEqual(yield* stateOf(market), "healthy")
        assert.strictEqual(world.asked.filter((key) => key === `BookTicker ${sol}`).length, 3)
      })
    ))

  it.effect("that are refused for good are given up, and tried again when the instruments list them or somebody asks", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        world.listed = Effect.succeed([instrument(btc)])
        world.answer("Book", eth, Effect.fail(refusal(eth)), Effect.fail(refusal(eth)))
        const { rejected } = yield* market.initialize([btc, eth])
        assert.strictEqual(rejected.get(eth)?.reason._tag, "SubscriptionRejected")
        world.sync(btc)
        yield* settle
        assert.isFalse(world.feeds.has(`BookTicker ${eth}`), "nothing of it stays subscribed")
        assert.strictEqual((yield* failureOf(market.awaitBook(eth))).reason._tag, "SubscriptionRejected")
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(world.asked.filter((key) => key === `Book ${eth}`).length, 1, "still not listed")
        assert.include((yield* market.health).problems.join(), "does not list ETH/USDT")
        world.listed = Effect.succeed([instrument(btc), instrument(eth)])
        yield* market.instruments.refresh
        yield* settle
        assert.strictEqual(world.asked.filter((key) => key === `Book ${eth}`).length, 2, "listed, and refused again")
        assert.deepStrictEqual((yield* market.add([eth])).accepted, [eth])
        world.sync(eth)
        assert.strictEqual(yield* stateOf(market), "healthy")
      })
    ))

  it.effect("leave nothing behind when all of them are refused, or when nobody waits any longer", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* failureOf(market.add([btc]))).reason._tag, "InvalidUse")
        assert.strictEqual((yield* failureOf(market.remove([btc]))).reason._tag, "InvalidUse")
        const none = [] as unknown as [TradingPair]
        assert.strictEqual((yield* failureOf(market.initialize(none))).reason._tag, "InvalidUse")
        world.answer("Book", btc, Effect.fail(refusal(btc)), Effect.never)
        assert.strictEqual((yield* failureOf(market.initialize([btc]))).reason._tag, "SubscriptionRejected")
        assert.deepStrictEqual(market.pairs(), [])
        const waiting = yield* Effect.forkChild(market.initialize([btc]), { startImmediately: true })
        yield* settle
        assert.deepStrictEqual(market.pairs(), [btc])
        yield* Fiber.interrupt(waiting)
        assert.deepStrictEqual(market.pairs(), [])
        assert.deepStrictEqual([...world.feeds.keys()], [])
        assert.deepStrictEqual((yield* market.initialize([btc])).accepted, [btc])
      })
    ))

  it.effect("stay while another call that asked for them goes on", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* market.initialize([btc])
        const { open, opened } = gate()
        world.answer("Book", eth, opened)
        const first = yield* Effect.forkChild(market.add([eth]), { startImmediately: true })
        const second = yield* Effect.forkChild(market.add([eth]), { startImmediately: true })
        yield* Fiber.interrupt(first)
        open()
        assert.deepStrictEqual((yield* Fiber.join(second)).accepted, [eth])
        assert.deepStrictEqual(market.pairs(), [btc, eth])
      })
    ))

  it.effect("of which one is removed while it is asked for are not awaited for ever", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* market.initialize([btc])
        world.answer("Book", eth, Effect.never)
        const adding = yield* Effect.forkChild(Effect.flip(market.add([eth])), { startImmediately: true })
        yield* market.remove([eth])
        assert.strictEqual((yield* Fiber.join(adding)).reason._tag, "Closed")
      })
    ))

  it.effect("are refused with a channel that the exchange lacks", () =>
    withMarket(
      ({ market, world }) =>
        Effect.gen(function*() {
          const lacking = ExchangeError.make(exchange, new ExchangeError.UnsupportedChannel({ detail: "none" }))
          world.answer("Ticker", btc, Effect.fail(lacking))
          assert.strictEqual(yield* failureOf(market.initialize([btc])), lacking)
        }),
      { tickers: ["Ticker"] }
    ))
})

describe("a feed", () => {
  it.effect("of tickers that ends is subscribed anew, and its value is gone meanwhile", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* market.initialize([btc])
        world.sync(btc)
        world.send("BookTicker", btc, quote(btc))
        assert.strictEqual(market.bookTicker(btc)?.bidPrice, 99)
        world.end("BookTicker", btc, passing(btc))
        yield* settle
        assert.isNull(market.bookTicker(btc))
        assert.strictEqual(yield* stateOf(market), "degraded")
        yield* TestClock.adjust(1_000)
        assert.strictEqual(yield* stateOf(market), "healthy")
        yield* TestClock.adjust("2 minutes")
        world.end("BookTicker", btc, passing(btc))
        yield* TestClock.adjust(1_000)
        assert.strictEqual(yield* stateOf(market), "healthy", "one that has lasted counts anew")
      })
    ))

  it.effect("that ends for good, or breaks, has its pair given up", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        world.answer("BookTicker", eth, Effect.die(new Error("odd")))
        const { rejected } = yield* market.initialize([btc, eth])
        assert.strictEqual(rejected.get(eth)?.reason._tag, "Closed")
        world.sync(btc)
        world.end("Book", btc, refusal(btc))
        yield* settle
        const { booksSynced, refused, state } = yield* market.health
        assert.deepStrictEqual([...refused.keys()], [btc, eth])
        assert.deepStrictEqual([booksSynced, state], [0, "down"])
        assert.isUndefined(market.book(btc))
      })
    ))
})

describe("prices", () => {
  it.effect("are the book's while it is in sync, else the ticker's, else none", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        assert.isNull(market.bestPrice(btc))
        yield* market.initialize([btc])
        world.send("BookTicker", btc, quote(btc, { bidPrice: 98 }))
        const { exchangeTime, receivedAt, ...prices } = market.bestPrice(btc)!
        assert.deepStrictEqual(prices, {
          pair: btc,
          source: "bookTicker",
          bidPrice: 98,
          bidQuantity: 1,
          askPrice: 101,
          askQuantity: 2
        })
        assert.deepStrictEqual([exchangeTime, receivedAt], [7, 8])
        world.sync(btc)
        assert.deepInclude(market.bestPrice(btc), { source: "book", bidPrice: 99 })
        world.send("Book", btc, snapshot(btc, 11, [], [101, 1]))
        assert.isNull(market.bestPrice(btc), "a side is empty")
        world.gap("Book", btc)
        assert.deepInclude(market.bestPrice(btc), { source: "bookTicker" })
        world.send("BookTicker", btc, quote(btc, { askPrice: null, askQuantity: null }))
        assert.isNull(market.bestPrice(btc))
        world.send("BookTicker", btc, quote(btc))
        world.gap("BookTicker", btc)
        assert.isNull(market.bestPrice(btc), "what was before a break may be no more")
      })
    ))

  it.effect("of funding are what the exchange tells of it", () =>
    withMarket(
      ({ market, world }) =>
        Effect.gen(function*() {
          yield* market.initialize([btc])
          assert.isNull(yield* market.funding(btc))
          world.send("FuturesTicker", btc, futures(btc))
          assert.deepStrictEqual(yield* market.funding(btc), {
            pair: btc,
            rate: 0.0001,
            nextAt: 9_000,
            interval: 28_800_000,
            markPrice: 100.5,
            indexPrice: 100.25,
            receivedAt: 8
          })
          world.send("FuturesTicker", btc, futures(btc, { fundingRate: null }))
          assert.isNull(yield* market.funding(btc))
          assert.isNull(market.ticker(btc))
        }),
      { channels: ["FuturesTicker", "Book"] }
    ))
})

describe("a consumer of books", () => {
  it.effect("that throws is counted, and the others go on", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* market.initialize([btc, eth])
        world.sync(btc)
        const told: Array<string> = []
        yield* market.onBook(() => {
          throw new Error("mine")
        })
        yield* market.onBook(() => {
          throw new Error("mine too")
        })
        yield* Effect.scoped(Effect.andThen(
          market.onBook((live) => told.push(`${live.pair} ${live._tag === "Synced" ? "Synced" : live.cause}`)),
          Effect.gen(function*() {
            assert.deepStrictEqual(told.splice(0), ["BTC/USDT Synced", "ETH/USDT Connecting"])
            world.sync(eth)
            assert.deepStrictEqual(told.splice(0), ["ETH/USDT Synced"])
            yield* market.remove([btc])
            assert.deepStrictEqual(told.splice(0), ["BTC/USDT Closed"])
          })
        ))
        world.gap("Book", eth)
        assert.deepStrictEqual(told, [], "its scope has closed")
        yield* settle
        assert.isAtLeast((yield* market.books.status).listenerFailures, 2)
        const failure = yield* Stream.runHead(market.books.failures)
        assert.deepInclude(failure, { _tag: "Some" })
      })
    ))
})

describe("health", () => {
  const within = (world: PublicWorld) => {
    world.measured = Effect.fail(unavailable)
    world.listed = Effect.fail(unavailable)
  }

  it.effect("says what is missing, and is only good when nothing is", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        within(world)
        yield* market.initialize([btc])
        world.sync(btc)
        yield* settle
        const { clock, instrumentsAt, problems, state } = yield* market.health
        assert.deepStrictEqual([state, clock, instrumentsAt], ["starting", null, null])
        assert.deepStrictEqual(problems, [
          "the instruments have not been read yet",
          "the exchange's clock has not been measured yet, or not since the machine's was set"
        ])
        assert.strictEqual(yield* failureOf(market.refresh), unavailable)
        world.measured = Effect.succeed({ offsetMs: 5, errorMs: 2, at: 1 })
        world.listed = Effect.succeed([instrument(btc)])
        yield* TestClock.adjust(1_000)
        const healthy = yield* market.health
        assert.deepInclude(healthy, { state: "healthy", problems: [], lastDataAt: 10, instrumentsAt: 1_000 })
        assert.deepStrictEqual(market.clock(), { offsetMs: 5, errorMs: 2, at: 1 })
        world.isConnected = false
        assert.deepInclude(yield* market.health, { state: "degraded", isConnected: false })
      })
    ))

  it.effect("measures a clock again soon that is known too little, and not for ever", () =>
    Effect.gen(function*() {
      const world = new PublicWorld()
      let measured = 0
      let errorMs = 400
      world.measured = Effect.sync(() => {
        measured++
        return { offsetMs: 0, errorMs, at: 0 }
      })
      const measuring = (body: (market: PublicExchange["Service"]) => Effect.Effect<void>) =>
        withMarket(({ market }) => Effect.andThen(settle, body(market)), {}, world)
      yield* measuring((market) =>
        Effect.gen(function*() {
          assert.strictEqual(measured, 1)
          yield* TestClock.adjust("20 seconds")
          assert.strictEqual(measured, 3)
          errorMs = 50
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(measured, 4)
          assert.strictEqual(market.clock()?.errorMs, 50)
        })
      )
      measured = 0
      errorMs = 51
      yield* measuring(() =>
        Effect.gen(function*() {
          yield* TestClock.adjust("5 minutes")
          assert.strictEqual(measured, 21)
        })
      )
    }))

  it.effect("does not call a market starting for ever because of one pair", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* market.initialize([btc, eth])
        world.sync(btc)
        yield* TestClock.adjust(59_000)
        assert.strictEqual(yield* stateOf(market), "starting")
        yield* TestClock.adjust(1_000)
        assert.strictEqual(yield* stateOf(market), "degraded")
      })
    ))

  it.effect("shows no measurement of the exchange's clock from before the machine's was set, however seldom it looks", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        yield* settle
        assert.isNotNull(market.clock())
        assert.strictEqual(market.clock(), world.reading)
        world.reading = null
        assert.isNull(market.clock())
      }), { healthInterval: "1 hour" }))

  it.effect("counts as starting as long as time passes, however the machine's clock is set", () =>
    Effect.gen(function*() {
      const original = yield* Clock.Clock
      const { clock, step } = yield* SteppedClock.make
      const pass = (millis: number) => Effect.provideService(TestClock.adjust(millis), Clock.Clock, original)
      yield* withMarket(({ market, world }) =>
        Effect.gen(function*() {
          yield* market.initialize([btc, eth])
          world.sync(btc)
          yield* pass(30_000)
          step(3_600_000)
          yield* pass(29_000)
          assert.strictEqual(yield* stateOf(market), "starting")
          step(-7_200_000)
          yield* pass(1_000)
          assert.strictEqual(yield* stateOf(market), "degraded")
        })
      ).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("names a few of many", () =>
    withMarket(
      ({ market }) =>
        Effect.gen(function*() {
          const pairs = Array.from({ length: 8 }, (_, i): TradingPair => `COIN${i}/USDT`)
          yield* market.initialize([btc, ...pairs])
          const { problems } = yield* market.health
          assert.include(
            problems[0],
            "9 of 9 books are not in sync: BTC/USDT, COIN0/USDT, COIN1/USDT, COIN2/USDT, COIN3/USDT and 4 more"
          )
        }),
      { tickers: [], healthInterval: "5 seconds" }
    ))
})

describe("instruments", () => {
  it.effect("are read at intervals; changes are told, and what cannot be read or believed changes nothing", () =>
    withMarket(
      ({ market, world }) =>
        Effect.gen(function*() {
          const changes = yield* Effect.forkChild(
            Stream.runCollect(Stream.take(market.instruments.changes, 3)),
            { startImmediately: true }
          )
          yield* settle
          assert.strictEqual(world.reads, 1)
          assert.strictEqual((yield* market.instruments.get(btc)).symbol, "BTCUSDT")
          assert.strictEqual((yield* failureOf(market.instruments.get("NO/USDT"))).reason._tag, "UnknownPair")
          world.listed = Effect.fail(unavailable)
          yield* TestClock.adjust("10 minutes")
          assert.strictEqual(world.reads, 2)
          world.listed = Effect.succeed([])
          yield* TestClock.adjust(1_000)
          assert.strictEqual(world.reads, 3, "tried again sooner")
          assert.strictEqual((yield* market.instruments.all).size, 3, "an exchange that lists nothing is not believed")
          world.listed = Effect.succeed([
            instrument(btc),
            instrument(eth, { status: "paused" }),
            instrument("NEW/USDT")
          ])
          yield* TestClock.adjust(2_000)
          assert.deepStrictEqual(
            (yield* Fiber.join(changes)).map(({ _tag, instrument }) =>
              `${_tag} ${instrument.pair} ${instrument.status}`
            ),
            ["Changed ETH/USDT paused", "Listed NEW/USDT trading", "Delisted SOL/USDT trading"]
          )
          assert.isUndefined(market.instruments.current(sol))
        }),
      { instrumentsInterval: "10 minutes" }
    ))

  it.effect("are read once for all who wait for the first reading", () =>
    withMarket(({ market, world }) =>
      Effect.gen(function*() {
        const { open, opened } = gate()
        world.listed = Effect.as(opened, [instrument(btc)])
        const waiting = yield* Effect.forkChild(
          Effect.all([market.instruments.all, market.instruments.get(btc)], { concurrency: 2 }),
          { startImmediately: true }
        )
        yield* settle
        open()
        yield* Fiber.join(waiting)
        assert.strictEqual(world.reads, 1)
      })
    ))
})
