/** Where what is open is traded away. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ExposureLedger } from "../../src/arbitrage/ExposureLedger.ts"
import type { FlatteningOptions } from "../../src/arbitrage/Flattening.ts"
import { Flattening } from "../../src/arbitrage/Flattening.ts"
import { LegOrders } from "../../src/arbitrage/LegOrder.ts"
import type { KillOptions, RiskLimits } from "../../src/arbitrage/RiskGuard.ts"
import * as Risk from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../src/composite/Markets.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { agree, done, over, passing, start, swap, text, World } from "./ExecutorWorld.ts"
import type { FakeVenue } from "./Fakes.ts"

/** The sale is refused, and its exchange is stopped by hand while it is under way. */
const stopped = (world: World, options: KillOptions = {}) => {
  world.b.scripts.push({ answer: "reject", delay: 100 })
  return Effect.gen(function*() {
    const guard = yield* RiskGuard
    const fiber = yield* start(world)
    yield* TestClock.adjust(50)
    yield* guard.kill("b looks broken", { exchange: "b", ...options })
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })
}

describe("Flattening: an exchange that was stopped by hand", () => {
  it.effect("gets no new order where another one takes it, although it pays more", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      assert.strictEqual((yield* stopped(world))._tag, "Compensated")
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      yield* agree(world)
    }))

  it.effect("gets what reduces its position when the other one takes nothing, and nothing that opens one", () => {
    const take = (bought: string | null) => {
      const world = new World({ fee: "0" }, swap)
      world.a.scripts.push({}, { fill: 0 }, { answer: "reject" })
      return over(world, function*({ guard }) {
        const { exchange, pair } = world.b
        if (bought !== null) {
          const [quantity, price] = [Decimal.of(bought), Decimal.of("101")]
          guard.filled({ exchange, pair, side: "buy", quantity, price, fee: Decimal.zero })
        }
        assert.strictEqual((yield* stopped(world))._tag, "Compensated")
        return world.placed
      })
    }
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* take("1"), ["a buy 1", "a sell 1", "a sell 1", "b sell 100", "b sell 100"])
      for (const bought of [null, "0.5"]) {
        assert.deepStrictEqual(yield* take(bought), ["a buy 1", "a sell 1", "a sell 1", "a sell 1", "b sell 100"])
      }
    })
  })

  it.effect("gets nothing where everything is stopped", () => {
    const world = new World({ fee: "0" }, swap)
    world.a.scripts.push({}, { fill: 0 }, { answer: "reject" }, { fill: 0 })
    return over(world, function*() {
      assert.strictEqual((yield* stopped(world, { stops: "everything" }))._tag, "Compensated")
      assert.deepStrictEqual(world.b.placed.length, 1)
      yield* agree(world)
    })
  })
})

describe("Flattening: an order that grows the position of its exchange", () => {
  it.effect.each<RiskLimits>([
    { maxPosition: { "BTC/USDT:USDT": 1 } },
    { maxNotional: 120 }
  ])(
    "is refused past the limits of that exchange, and waits for the other one: %j",
    (limits) =>
      over(
        new World({ fee: "0", bid: 90 }, swap),
        function*({ guard, world }) {
          world.b.scripts.push({ answer: "reject", delay: 30 })
          const fiber = yield* start(world)
          yield* TestClock.adjust(5)
          world.states.set("a", "Failed")
          guard.filled({
            exchange: "b",
            pair: world.b.pair,
            side: "sell",
            quantity: Decimal.of("0.5"),
            price: Decimal.of("101"),
            fee: Decimal.zero
          })
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
          world.states.set("a", "Ready")
          assert.strictEqual(done(yield* passing(Fiber.join(fiber)))._tag, "Compensated")
          assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
        },
        {},
        { exchanges: { b: limits } }
      )
  )

  it.effect("is exposed, and says why, when nobody takes it", () =>
    over(new World({ fee: "0", bid: 90 }, swap), function*({ guard, world }) {
      world.b.scripts.push({ answer: "reject", delay: 30 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(5)
      world.states.set("a", "Failed")
      yield* guard.kill("b is broken", { exchange: "b" })
      assert.strictEqual(done(yield* passing(Fiber.join(fiber)))._tag, "Exposed")
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
      assert.include(guard.state("a").killed?.reason, "b is broken")
    }))

  it.effect("goes in parts where all of it is more than one order may be", () =>
    over(
      new World({ fee: "0", bid: 90 }, swap),
      function*({ guard, world }) {
        const lose = Effect.fnUntraced(function*(afterwards: "Failed" | "Ready") {
          world.b.scripts.push({ answer: "reject", delay: 30 })
          const fiber = yield* start(world)
          yield* TestClock.adjust(5)
          world.states.set("a", "Failed")
          world.states.set("b", afterwards)
          const { _tag } = done(yield* passing(Fiber.join(fiber)))
          world.states.set("a", "Ready").set("b", "Ready")
          return _tag
        })
        // One is carried because nobody takes it, and then there are two.
        assert.strictEqual(yield* lose("Failed"), "Compensated")
        assert.strictEqual(yield* lose("Ready"), "Compensated")
        assert.deepStrictEqual(world.placed, ["a buy 1", "a buy 1", ...Array.from({ length: 4 }, () => "b sell 100")])
        assert.isFalse(guard.state().isKilled)
        yield* agree(world)
      },
      { maxCarried: 150 },
      { exchanges: { b: { maxOrderNotional: 110 } } }
    ))

  it.effect("what is filled and not told yet is sold where it was bought, although the switch is thrown there", () =>
    over(new World({ fee: "0" }, { ...swap, bid: 90 }), function*({ guard, world }) {
      world.a.scripts.push({ late: 20_000 })
      world.b.scripts.push({ answer: "reject", delay: 30 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(5)
      yield* guard.kill("a is broken", { exchange: "a" })
      world.states.set("b", "Failed")
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      assert.strictEqual(done(yield* passing(Fiber.join(fiber)))._tag, "Compensated")
    }))
})

/** Sells this much too much that is held, without an executor: on `venues`, or on all of the world's. */
const sell = Effect.fnUntraced(function*(
  world: World,
  open: string,
  { venues = world.venues, within, ...options }: Partial<FlatteningOptions> & {
    readonly venues?: ReadonlyArray<FakeVenue>
    readonly within?: number
  } = {}
) {
  const markets = yield* Markets
  const guard = yield* RiskGuard
  const ledger = new ExposureLedger(() => {})
  const legs = { settleMillis: 30_000, absentMillis: 10_000, fillsMillis: 10_000 }
  const orders = new LegOrders(markets, guard, ledger, yield* Clock.Clock, legs)
  const maxSlippage = Decimal.of("0.005")
  const all = { maxSlippage, attempts: 8, timeoutMillis: 30_000, maxCarried: null, ...options }
  const where = venues.map(({ bid, instrument }) => ({
    instrument,
    unit: Decimal.fromNumber(instrument.contractSize),
    feeRate: Decimal.zero,
    lastPrice: Decimal.fromNumber(bid)
  }))
  const { left, rest } = yield* new Flattening(markets, guard, orders, all).run(Decimal.of(open), where, within)
  return [text(left), rest]
})

/** Runs a test of `sell` with these limits of exchange a, which has no position. */
const limited = <E>(
  maxOrderNotional: number,
  world: World,
  body: (world: World) => Effect.Effect<void, E, Markets | RiskGuard>
) =>
  body(world).pipe(
    Effect.provide(Risk.layer({ exchanges: { a: { maxOrderNotional } } })),
    Effect.provide(world.layer),
    Effect.scoped
  )

describe("Flattening: parts of what is more than one order may be", () => {
  it.effect.each([0, 2, 30_000])(
    "go one behind the other, however little time there is: %i ms",
    (within) =>
      limited(60, new World({ fee: "0" }, swap), (world) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(sell(world, "1", { venues: [world.a], within }), {
            startImmediately: true
          })
          yield* TestClock.adjust(150)
          assert.deepStrictEqual(world.placed, ["a sell 0.5", "a sell 0.5"])
          assert.deepStrictEqual(yield* Fiber.join(fiber), ["0", "flat"])
        }))
  )

  it.effect("are no smaller than what can be ordered, and then as small as that", () =>
    limited(250, new World({ fee: "0", quantityStep: 1, minQuantity: 2 }), (world) =>
      Effect.gen(function*() {
        const result = yield* passing(sell(world, "3", { venues: [world.a] }))
        assert.deepStrictEqual(done(result), ["1", "flat"])
        assert.deepStrictEqual(world.placed, ["a sell 2"])
      })))

  it.effect.each([0, 30_000])(
    "are not asked for without end where the smallest is too large: %i ms",
    (within) =>
      limited(50, new World({ fee: "0", quantityStep: 1 }), (world) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(done(yield* passing(sell(world, "4", { venues: [world.a], within }))), ["4", "open"])
          assert.deepStrictEqual(world.placed, [])
        }))
  )

  it.effect("are no more orders than there may be", () =>
    limited(60, new World({ fee: "0" }), (world) =>
      Effect.gen(function*() {
        const result = yield* passing(sell(world, "4", { venues: [world.a], within: 0, attempts: 3 }))
        assert.deepStrictEqual(done(result), ["2.5", "open"])
        assert.deepStrictEqual(world.placed, ["a sell 0.5", "a sell 0.5", "a sell 0.5"])
      })))

  it.effect("end with the first that is not filled whole, when there is no time", () =>
    limited(60, new World({ fee: "0" }), (world) =>
      Effect.gen(function*() {
        world.a.scripts.push({}, { fill: 0.5 })
        const result = yield* passing(sell(world, "2", { venues: [world.a], within: 0 }))
        assert.deepStrictEqual(done(result), ["1.25", "open"])
        assert.deepStrictEqual(world.placed, ["a sell 0.5", "a sell 0.5"])
      })))

  it.effect("go where it was cheaper before all of it goes where it is not", () =>
    limited(60, new World({ fee: "0" }, { bid: 99 }), (world) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(done(yield* passing(sell(world, "1", { within: 0 }))), ["0", "flat"])
        assert.deepStrictEqual(world.placed, ["a sell 0.5", "a sell 0.5"])
      })))
})

describe("Flattening: the last moment", () => {
  it.effect("asks once more where it was refused before", () =>
    limited(1, new World({ fee: "0" }), (world) =>
      Effect.gen(function*() {
        const guard = yield* RiskGuard
        yield* guard.kill("a looks broken", { exchange: "a" })
        const fiber = yield* Effect.forkChild(sell(world, "0.005", { venues: [world.a], within: 100 }), {
          startImmediately: true
        })
        yield* TestClock.adjust(60)
        yield* guard.revive
        yield* TestClock.adjust(60)
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["0", "flat"])
        assert.deepStrictEqual(world.placed, ["a sell 0.005"])
      })))

  it.effect("does not wait for an exchange that goes away while an order is made", () =>
    limited(1_000, new World({ fee: "0" }), (world) =>
      Effect.gen(function*() {
        const { makeClientOrderId } = world.a.entry
        Object.assign(world.a.entry, {
          makeClientOrderId: Effect.tap(makeClientOrderId, () => Effect.sync(() => world.states.set("a", "Failed")))
        })
        const fiber = yield* Effect.forkChild(sell(world, "1", { venues: [world.a], within: 0 }), {
          startImmediately: true
        })
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["1", "open"])
      })))
})
