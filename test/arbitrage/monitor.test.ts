import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Logger, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Monitor from "../../src/arbitrage/ArbitrageMonitor.ts"
import type { MonitorOptions, OpportunityEvent } from "../../src/arbitrage/ArbitrageMonitor.ts"
import { OpportunityBuffer } from "../../src/arbitrage/OpportunityBuffer.ts"
import type { Markets } from "../../src/composite/Markets.ts"
import * as Instrument from "../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as SteppedClock from "../SteppedClock.ts"
import { FakeMarket, FakeMarkets, settle } from "./FakeMarkets.ts"
import { routeOf, spot, swap, ticker } from "./Scenes.ts"

const btc = "BTC/USDT"
const route = routeOf(spot("a"), spot("b"))

interface World {
  readonly markets: FakeMarkets
  readonly a: FakeMarket
  readonly b: FakeMarket
  readonly events: Array<OpportunityEvent>
  readonly monitor: Monitor.ArbitrageMonitor["Service"]
}

const told = (events: ReadonlyArray<OpportunityEvent>): ReadonlyArray<string> =>
  events.map((event) => event._tag === "Vanished" ? `Vanished ${event.cause}` : event._tag)

/** Two markets that are there, without books, and a monitor over them whose events are kept. */
const withMonitor = <E>(
  options: Partial<MonitorOptions>,
  body: (world: World) => Effect.Effect<void, E>
): Effect.Effect<void, E | ExchangeError> => {
  const markets = new FakeMarkets(["a", "b"])
  const a = new FakeMarket("a")
  const b = new FakeMarket("b")
  return Effect.gen(function*() {
    yield* markets.place("a", a)
    yield* markets.place("b", b)
    const monitor = yield* Monitor.ArbitrageMonitor
    const events: Array<OpportunityEvent> = []
    yield* Effect.scoped(Effect.andThen(
      monitor.handle((event) => events.push(event)),
      Effect.andThen(settle, body({ markets, a, b, events, monitor }))
    ))
  }).pipe(Effect.provide(layerOf(markets, options)))
}

const layerOf = (
  markets: FakeMarkets,
  options: Partial<MonitorOptions> = {}
): Layer.Layer<Monitor.ArbitrageMonitor | Markets, ExchangeError> =>
  Layer.provideMerge(Monitor.layer({ routes: [route], ...options }), markets.layer)

describe("a monitor", () => {
  it.effect("tells what enters, changes and vanishes, in the turn that changed the book", () =>
    withMonitor({}, ({ a, b, events, monitor }) =>
      Effect.gen(function*() {
        a.quote(btc, 99, 100, 0)
        assert.lengthOf(events, 0)
        b.quote(btc, 102, 103, 0)
        assert.deepStrictEqual(told(events), ["Entered"])
        assert.deepStrictEqual(monitor.open(), [events[0]!.opportunity])
        assert.strictEqual(events[0]!.opportunity.profit, 2 - 0.202)
        b.quote(btc, 103, 104, 0)
        assert.deepStrictEqual(told(events), ["Entered", "Updated"])
        assert.strictEqual(monitor.open()[0]!.profit, 3 - 0.203)
        yield* TestClock.adjust(30)
        b.quote(btc, 99, 100.5, 30)
        assert.deepStrictEqual(told(events), ["Entered", "Updated", "Vanished Price"])
        assert.deepStrictEqual(events[2], {
          _tag: "Vanished",
          opportunity: events[1]!.opportunity,
          cause: "Price",
          at: 30,
          livedMs: 30
        })
        assert.deepStrictEqual(monitor.open(), [])
        assert.deepStrictEqual(monitor.routes(), [route])
      })))

  it.effect("takes the other direction for another opportunity", () =>
    withMonitor({}, ({ a, b, events }) =>
      Effect.sync(() => {
        a.quote(btc, 99, 100, 0)
        b.quote(btc, 102, 103, 0)
        b.quote(btc, 95, 96, 0)
        assert.deepStrictEqual(told(events), ["Entered", "Vanished Price", "Entered"])
        assert.deepStrictEqual(events.map(({ opportunity }) => opportunity.direction), ["first", "first", "second"])
      })))

  it.effect("lets a leg that says nothing grow too old", () =>
    withMonitor({}, ({ a, b, events, monitor }) =>
      Effect.gen(function*() {
        a.quote(btc, 99, 100, 0)
        b.quote(btc, 102, 103, 0)
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(told(events), ["Entered"])
        yield* TestClock.adjust(100)
        assert.deepStrictEqual(told(events), ["Entered", "Vanished TooOld"])
        a.quote(btc, 99, 100, 1100)
        assert.lengthOf(events, 2)
        b.quote(btc, 102, 103, 1100)
        assert.deepStrictEqual(told(events).slice(2), ["Entered"])
        const { withheld } = yield* monitor.performance
        assert.deepStrictEqual(withheld, { Stale: 1, TooOld: 1, Skewed: 0, Crossed: 0 })
      })))

  it.effect("believes no leg behind a clock that was set back until it changes, however late that is", () =>
    Effect.gen(function*() {
      const original = yield* Clock.Clock
      const { clock, step } = yield* SteppedClock.make
      const pass = (millis: number) => Effect.provideService(TestClock.adjust(millis), Clock.Clock, original)
      yield* withMonitor({}, ({ a, b, events }) =>
        Effect.gen(function*() {
          a.quote(btc, 99, 100, 0)
          b.quote(btc, 102, 103, 0)
          yield* pass(100)
          step(-3_600_000)
          yield* pass(100)
          assert.deepStrictEqual(told(events), ["Entered", "Vanished Stale"])
          yield* pass(3_600_000 - 200)
          b.quote(btc, 102, 103, 0)
          assert.lengthOf(events, 2)
          a.quote(btc, 99, 100, 0)
          assert.deepStrictEqual(told(events), ["Entered", "Vanished Stale", "Entered"])
        })).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("lets legs grow apart", () =>
    withMonitor({}, ({ a, b, events }) =>
      Effect.gen(function*() {
        a.quote(btc, 99, 100, 0)
        b.quote(btc, 102, 103, 0)
        yield* TestClock.adjust(600)
        b.quote(btc, 102, 103, 600)
        assert.deepStrictEqual(told(events), ["Entered", "Vanished Skewed"])
      })))

  it.effect("goes by the exchange's clock", () =>
    withMonitor({}, ({ a, b, events }) =>
      Effect.sync(() => {
        a.clock = { offsetMs: 200, errorMs: 1, at: 0 }
        a.quote(btc, 99, 100, 0, -200)
        b.quote(btc, 102, 103, 0, 0)
        assert.deepStrictEqual(told(events), ["Entered"])
        a.clock = { offsetMs: -200, errorMs: 1, at: 0 }
        a.quote(btc, 99, 100, 0, -600)
        assert.deepStrictEqual(told(events), ["Entered", "Vanished Skewed"])
        a.clock = null
        a.quote(btc, 99, 100, 0, 0)
        assert.lengthOf(events, 2)
      })))

  it.effect("lets go with a book, an island, the route and itself", () =>
    Effect.gen(function*() {
      const kept: Array<OpportunityEvent> = []
      yield* withMonitor({}, ({ a, b, markets, monitor }) =>
        Effect.gen(function*() {
          yield* Effect.forkChild(
            Stream.runForEach(monitor.opportunities, (event) => Effect.sync(() => kept.push(event))),
            { startImmediately: true }
          )
          const enter = Effect.suspend(() => {
            a.quote(btc, 99, 100, 0)
            b.quote(btc, 102, 103, 0)
            return settle
          })
          yield* enter
          b.lose(btc)
          yield* enter
          b.lose(btc, "Closed")
          yield* enter
          yield* markets.place("b", null)
          const again = new FakeMarket("b")
          again.quote(btc, 102, 103, 0)
          yield* markets.place("b", again)
          assert.strictEqual(b.consumers.size, 0)
          const other = new FakeMarket("b")
          yield* markets.place("b", other)
          other.quote(btc, 101, 103, 0)
          yield* settle
        }))
      assert.deepStrictEqual(told(kept), [
        "Entered",
        "Vanished Stale",
        "Entered",
        "Vanished Closed",
        "Entered",
        "Vanished Closed",
        "Entered",
        "Vanished Stale",
        "Entered"
      ])
    }))

  it.effect("says what vanished with itself, and ends its streams", () =>
    Effect.gen(function*() {
      const markets = new FakeMarkets(["a", "b"])
      const [a, b] = [new FakeMarket("a"), new FakeMarket("b")]
      yield* markets.place("a", a)
      yield* markets.place("b", b)
      const subscribed = yield* Deferred.make<Fiber.Fiber<ReadonlyArray<OpportunityEvent>>>()
      yield* Effect.scoped(
        Effect.gen(function*() {
          const monitor = yield* Monitor.ArbitrageMonitor
          const reader = yield* Effect.forkDetach(Stream.runCollect(monitor.opportunities), { startImmediately: true })
          yield* settle
          a.quote(btc, 99, 100, 0)
          b.quote(btc, 102, 103, 0)
          yield* Deferred.succeed(subscribed, reader)
        }).pipe(Effect.provide(layerOf(markets)))
      )
      const events = yield* Fiber.join(yield* Deferred.await(subscribed))
      assert.deepStrictEqual(told(events), ["Entered", "Vanished Closed"])
    }))

  it.effect("expects funding from the ticker of a perpetual", () => {
    const perpetual = swap("b", { contractSize: 1 })
    return withMonitor(
      { routes: [routeOf(spot("a"), perpetual)] },
      ({ a, b, events, monitor }) =>
        Effect.gen(function*() {
          a.quote(btc, 99, 100, 0)
          b.quote(perpetual.pair, 102, 103, 0)
          assert.lengthOf(events, 0)
          assert.strictEqual((yield* monitor.performance).withheld.Stale, 2)
          b.tickers.set(
            perpetual.pair,
            ticker({ exchangeTime: null, receivedAt: 0, fundingRate: -0.001, nextFundingTime: 1000, markPrice: 100 })
          )
          b.quote(perpetual.pair, 102, 103, 0)
          assert.strictEqual(events[0]!.opportunity.funding, -0.1)
        })
    )
  })

  it.effect("goes on when a consumer throws, and says so once", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => void lines.push(message))
    return withMonitor({}, ({ a, b, events, monitor }) =>
      Effect.scoped(Effect.gen(function*() {
        yield* monitor.handle(() => {
          throw new Error("of the consumer")
        })
        a.quote(btc, 99, 100, 0)
        b.quote(btc, 102, 103, 0)
        b.quote(btc, 103, 104, 0)
        yield* settle
        assert.lengthOf(events, 2)
        assert.lengthOf(lines, 1)
      }))).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("counts, and measures from the receipt of the second leg", () =>
    withMonitor({}, ({ a, b, monitor }) =>
      Effect.gen(function*() {
        a.quote(btc, 99, 100, 0)
        yield* TestClock.adjust(20)
        b.quote(btc, 102, 103, 15)
        const performance = yield* monitor.performance
        assert.deepStrictEqual(performance.detection, { count: 1, p50: 5, p95: 5, p99: 5, max: 5 })
        assert.deepInclude(performance, { routes: 1, evaluations: 2, entered: 1, open: 1 })
        b.lose(btc)
        yield* TestClock.adjust(250)
        const metrics = yield* Metric.snapshot
        const values = new Map(
          metrics.map(({ attributes, id, state }) =>
            [[id, attributes?.["cause"] ?? []].flat().join(" "), state] as const
          )
        )
        const count = (count: number) => ({ count, incremental: true })
        assert.deepStrictEqual(values.get("arbitrage.evaluations"), count(3))
        assert.deepStrictEqual(values.get("arbitrage.opportunities.entered"), count(1))
        assert.deepStrictEqual(values.get("arbitrage.opportunities.vanished Stale"), count(1))
        assert.deepStrictEqual(values.get("arbitrage.opportunities.vanished Price"), count(0))
        assert.deepStrictEqual(values.get("arbitrage.withheld Stale"), count(2))
        assert.deepStrictEqual(values.get("arbitrage.opportunities.open"), { value: 0 })
        assert.deepStrictEqual(values.get("arbitrage.routes"), { value: 1 })
        assert.deepInclude(values.get("arbitrage.detection.duration"), { count: 1, max: 0.005 })
      })).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("the routes of a monitor", () => {
  const listing = (exchange: string, base: string, facts: Partial<Instrument.Instrument> = {}) =>
    Instrument.spot({
      exchange,
      symbol: base,
      base,
      quote: "USDT",
      priceStep: 0.01,
      quantityStep: 0.001,
      ...facts
    })
  const fees = { a: 0.001, b: 0.001 }
  const ids = (monitor: World["monitor"]) => monitor.routes().map(({ id }) => id)

  it.effect("follow what the exchanges list", () =>
    Effect.gen(function*() {
      const markets = new FakeMarkets(["a", "b"])
      const [a, b] = [new FakeMarket("a"), new FakeMarket("b")]
      a.listed = [listing("a", "BTC"), listing("a", "ETH")]
      b.listed = [listing("b", "BTC"), listing("b", "ETH", { quantityStep: 0 })]
      yield* Effect.gen(function*() {
        const monitor = yield* Monitor.ArbitrageMonitor
        const events: Array<OpportunityEvent> = []
        yield* monitor.handle((event) => events.push(event))
        b.failures = 1
        yield* markets.place("b", b)
        yield* markets.place("a", a)
        assert.deepStrictEqual(ids(monitor), [])
        yield* TestClock.adjust("5 seconds")
        yield* settle
        // The other one has no step: it is left out and logged.
        assert.deepStrictEqual(ids(monitor), ["BTC/USDT a b"])

        a.quote(btc, 99, 100, 5000)
        b.quote(btc, 102, 103, 5000)
        b.quote("ETH/USDT", 102, 103, 5000)
        b.listed = [listing("b", "BTC"), listing("b", "ETH")]
        yield* b.change("Changed", listing("b", "ETH"))
        yield* settle
        assert.deepStrictEqual(ids(monitor), ["BTC/USDT a b", "ETH/USDT a b"])
        // A route that stays keeps what stands on it; a new one looks at the books that are there.
        a.quote("ETH/USDT", 99, 100, 5000)
        assert.deepStrictEqual(told(events), ["Entered", "Entered"])

        b.listed = [listing("b", "BTC", { quantityStep: 0.01 })]
        yield* b.change("Delisted", listing("b", "ETH"))
        yield* settle
        assert.deepStrictEqual(told(events), ["Entered", "Entered", "Vanished Closed", "Vanished Closed", "Entered"])
        assert.strictEqual(events[4]!.opportunity.route, "BTC/USDT a b")
      }).pipe(Effect.scoped, Effect.provide(layerOf(markets, { routes: { fees } })))
    }))

  it.effect("that cannot be are refused", () =>
    Effect.gen(function*() {
      const refusal = (options: Partial<MonitorOptions>) =>
        Effect.map(Effect.flip(Effect.scoped(Layer.build(layerOf(new FakeMarkets([]), options)))), ({ message }) =>
          message)
      assert.include(yield* refusal({ minProfit: -1 }), "minProfit must be 0 or more, not -1")
      assert.include(yield* refusal({ routes: [route, route] }), "two routes have the id BTC/USDT a b")
      assert.include(
        yield* refusal({ routes: [routeOf(spot("a"), spot("b", { quantityStep: 0 }))] }),
        "quantityStep must be above 0, not 0"
      )
    }))
})

describe("a reader that is slow", () => {
  const opportunityOf = (route: string, profit: number): OpportunityEvent["opportunity"] => ({
    route,
    direction: "first",
    buy: {} as never,
    sell: {} as never,
    quantity: 1,
    gross: profit,
    fees: 0,
    funding: 0,
    profit,
    profitRatio: profit,
    at: 0
  })
  const entered = (route: string): OpportunityEvent => ({ _tag: "Entered", opportunity: opportunityOf(route, 0) })
  const updated = (route: string, profit: number): OpportunityEvent => ({
    _tag: "Updated",
    opportunity: opportunityOf(route, profit)
  })
  const vanished = (route: string): OpportunityEvent => ({
    _tag: "Vanished",
    opportunity: opportunityOf(route, 0),
    cause: "Price",
    at: 1,
    livedMs: 1
  })

  it.effect("keeps every coming and going, and of changes the newest", () =>
    Effect.gen(function*() {
      const buffer = new OpportunityBuffer()
      const expected = [
        entered("x"),
        updated("x", 3),
        entered("y"),
        vanished("x"),
        entered("x"),
        updated("x", 5),
        updated("y", 2)
      ]
      const given = [
        entered("x"),
        updated("x", 1),
        entered("y"),
        updated("x", 2),
        updated("x", 3),
        vanished("x"),
        entered("x"),
        updated("x", 4),
        updated("y", 1),
        updated("x", 5),
        updated("y", 2)
      ]
      for (const event of given) buffer.push(event)
      assert.deepStrictEqual([...yield* buffer.pull], expected)
      const waiting = yield* Effect.forkChild(buffer.pull, { startImmediately: true })
      buffer.push(updated("y", 3))
      buffer.push(updated("y", 4))
      assert.deepStrictEqual(yield* Fiber.join(waiting), [updated("y", 4)])
      const left = yield* Effect.forkChild(buffer.pull, { startImmediately: true })
      yield* Fiber.interrupt(left)
      buffer.push(vanished("y"))
      buffer.end()
      assert.deepStrictEqual(yield* buffer.pull, [vanished("y")])
      assert.strictEqual((yield* Effect.exit(buffer.pull))._tag, "Failure")
    }))
})
