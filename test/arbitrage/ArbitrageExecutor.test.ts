import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Execution } from "../../src/arbitrage/ArbitrageExecutor.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { OrderRef, OrderRequest } from "../../src/OrderEntry.ts"
import * as SteppedClock from "../SteppedClock.ts"
import { agree, done, execute, figures, over, passing, refusal, start, swap, text, World } from "./ExecutorWorld.ts"

/** Exchange a tells its instruments once this is done. */
const slowInstruments = (world: World): Effect.Effect<Deferred.Deferred<void>> =>
  Effect.map(Deferred.make<void>(), (told) => {
    const island = world.islands.get("a")!
    const { instruments } = island.market
    const get = (pair: TradingPair) => Effect.andThen(Deferred.await(told), instruments.get(pair))
    Object.assign(island, { market: { ...island.market, instruments: { ...instruments, get } } })
    return told
  })

describe("ArbitrageExecutor: both legs", () => {
  it.effect("both fill: what was really received counts, and the fee in base is carried", () =>
    over(new World({ fee: "0.0004" }), function*({ world }) {
      const execution = yield* execute(world)
      assert.deepStrictEqual(figures(execution), ["Completed", "-0.0004", "0.899", 0])
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 1"])
      assert.deepInclude(world.a.placed[0], { timeInForce: "ioc", type: "limit" })
      const { averagePrice, cash, fee, received } = execution.buy
      assert.deepStrictEqual([received, cash, fee, averagePrice!].map(text), ["0.9996", "-100", "0.04", "100"])
      assert.strictEqual(text(execution.profit), "0.8586")
      assert.isAtLeast(execution.acceptedAfterMs, 1)
      yield* agree(world)
    }))

  it.effect("what is carried is traded as soon as it is a lot, where it costs less", () =>
    over(new World({ fee: "0.0004" }, { fee: "0" }), function*({ executor, world }) {
      for (const expected of [[-4, 0], [-8, 0], [-2, 1]]) {
        const { compensation } = yield* execute(world)
        assert.strictEqual(compensation.length, expected[1])
        assert.strictEqual(Math.round(Number(text(executor.exposure()[0]!.quantity)) * 10_000), expected[0])
      }
      assert.strictEqual(world.placed[3], "a buy 0.001")
      yield* agree(world)
    }))

  it.effect("contracts count by their size, and sizes that differ by more than a step come to the smaller", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      assert.deepStrictEqual(figures(yield* execute(world)), ["Completed", "0", "0.899", 0])
      const { buy, sell } = world.opportunity(1)
      yield* execute(world, 1, { buy: { ...buy, quantity: 2.0005 }, sell })
      assert.deepStrictEqual(world.placed, ["a buy 1", "a buy 1", "b sell 100", "b sell 100"])
      yield* agree(world)
    }))

  it.effect("an order that is answered before it is filled is followed to its end, also when nothing is told", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      world.a.scripts.push({ answer: "new", late: 300 }, { answer: "new", late: null })
      assert.strictEqual((yield* execute(world))._tag, "Completed")
      const execution = yield* execute(world)
      assert.strictEqual(execution._tag, "Completed")
      assert.isFalse(execution.buy.isEstimated)
      assert.isAbove(world.a.refreshes, 0)
      yield* agree(world)
    }))

  it.effect("fills that come behind the time put right what was counted by rate, to the last digit", () => {
    // What was charged is not what the opportunity had counted on.
    const world = new World({ fee: "0.0004" }, { fee: "0.0002" })
    const refreshes = [...world.islands].map(([id, island]) => {
      const refresh = island.account!.refresh
      world.islands.set(id, { ...island, account: { ...island.account!, refresh: Effect.void } })
      return refresh
    })
    return over(world, function*({ executor }) {
      world.a.scripts.push({ late: null })
      world.b.scripts.push({ late: null })
      const { buy, sell } = yield* execute(world)
      assert.deepStrictEqual([buy.isEstimated, sell.isEstimated], [true, true])
      const total = Effect.map(executor.performance, ({ cash }) => ({
        base: text(executor.exposure()[0]?.quantity ?? Decimal.zero),
        quote: text(cash)
      }))
      assert.notDeepEqual(yield* total, world.gained)
      for (const refresh of refreshes) yield* refresh
      yield* passing(Effect.void, 1_000)
      assert.deepStrictEqual(yield* total, world.gained)
    })
  })

  it.effect("fills that are never told leave the fee by rate, which is told behind an hour", () => {
    const world = new World({ fee: "0.0004" }, { fee: "0" })
    for (const [id, island] of world.islands) {
      world.islands.set(id, { ...island, account: { ...island.account!, refresh: Effect.void } })
    }
    const told: Array<string> = []
    return over(world, function*() {
      world.a.scripts.push({ late: null })
      assert.isTrue((yield* execute(world)).buy.isEstimated)
      yield* TestClock.adjust("2 hours")
      assert.lengthOf(told.filter((line) => line.includes("its fee stays as it was counted, by rate")), 1)
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void told.push(String(message)))])))
  })

  it.effect("an end that the stream tells is not waited for once more, whatever became of the answer", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, world }) {
      world.a.scripts.push({ answer: "loseAnswer", resolveAfter: 20_000 })
      const execution = done(yield* passing(executor.execute(world.opportunity()), 1_000))
      assert.deepStrictEqual(figures(execution), ["Completed", "0", "0.899", 0])
      yield* agree(world)
    }))

  it.effect("fills that do not come at all leave the exchange's quantity and value, and a fee by rate", () => {
    const world = new World({ fee: "0.0004" }, { fee: "0" })
    for (const [id, island] of world.islands) {
      Object.assign(island, { account: { ...island.account!, refresh: Effect.void } })
      world.islands.set(id, island)
    }
    world.a.scripts.push({ late: null, price: 99.5 })
    world.b.scripts.push({ late: null })
    return over(world, function*() {
      const { _tag, buy, sell } = yield* execute(world)
      assert.deepStrictEqual([_tag, buy.isEstimated, sell.isEstimated], ["Completed", true, true])
      assert.deepStrictEqual([buy.cash, buy.received, sell.cash, sell.received].map(text), [
        "-99.5",
        "0.999",
        "100.899",
        "-1"
      ])
    })
  })
})

describe("ArbitrageExecutor: a leg that fails", () => {
  const cases: ReadonlyArray<
    readonly [name: string, run: (world: World) => void, expected: Partial<Execution>, orders: ReadonlyArray<string>]
  > = [
    [
      "the sale is refused: what was bought is sold where more is paid",
      ({ b }) => b.scripts.push({ answer: "reject" }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100", "b sell 100"]
    ],
    [
      "the buy is refused: what was sold is bought where it costs less",
      ({ a }) => a.scripts.push({ answer: "reject" }),
      { _tag: "Compensated" },
      ["a buy 1", "a buy 1", "b sell 100"]
    ],
    [
      "one is filled in part: the rest is completed",
      ({ b }) => b.scripts.push({ fill: 0.4 }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100", "b sell 60"]
    ],
    [
      "the other is filled in part",
      ({ a }) => a.scripts.push({ fill: 0.25 }),
      { _tag: "Compensated" },
      ["a buy 1", "a buy 0.75", "b sell 100"]
    ],
    [
      "neither fills",
      ({ a, b }) => {
        a.scripts.push({ fill: 0 })
        b.scripts.push({ answer: "reject" })
      },
      { _tag: "Nothing" },
      ["a buy 1", "b sell 100"]
    ],
    [
      "one does not leave",
      ({ a }) => a.scripts.push({ answer: "notSent" }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100"]
    ],
    [
      "one is unknown, and was filled",
      ({ a }) => a.scripts.push({ answer: "loseAnswer", resolveAfter: 3_000 }),
      { _tag: "Completed" },
      ["a buy 1", "b sell 100"]
    ],
    [
      "one is unknown, and never arrived",
      ({ b }) => b.scripts.push({ answer: "loseRequest" }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100", "b sell 100"]
    ],
    [
      "one stays unknown to its order entry, and the exchange knows it",
      ({ a }) => a.scripts.push({ answer: "never" }),
      { _tag: "Completed" },
      ["a buy 1", "b sell 100"]
    ],
    [
      "one stays unknown, and the exchange has none",
      ({ a }) => a.scripts.push({ answer: "neverDone" }),
      { _tag: "Compensated" },
      ["a buy 1", "a buy 1", "b sell 100"]
    ],
    [
      "the order entry breaks",
      ({ a }) => a.scripts.push({ answer: "die" }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100"]
    ],
    [
      "an order stays open: it is cancelled",
      ({ a }) => a.scripts.push({ answer: "rest" }),
      { _tag: "Compensated" },
      ["a buy 1", "a buy 1", "b sell 100"]
    ],
    [
      "the first way to trade it away fails too",
      ({ b }) => b.scripts.push({ answer: "reject" }, { fill: 0 }),
      { _tag: "Compensated" },
      ["a buy 1", "a sell 1", "b sell 100", "b sell 100"]
    ],
    [
      "and is filled in part",
      ({ b }) => b.scripts.push({ answer: "reject" }, { fill: 0.5 }),
      { _tag: "Compensated" },
      ["a buy 1", "b sell 100", "b sell 100", "b sell 50"]
    ]
  ]
  for (const [name, script, expected, placed] of cases) {
    it.effect(name, () =>
      over(new World({ fee: "0" }, swap), function*({ guard, world }) {
        script(world)
        const execution = yield* execute(world)
        assert.strictEqual(execution._tag, expected._tag)
        assert.strictEqual(text(execution.exposure), "0")
        assert.deepStrictEqual(world.placed, placed)
        assert.isFalse(guard.state().isKilled)
        yield* agree(world)
      }))
  }

  it.effect("what its answer says is open is traded away at once, and not when its fills are told", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      world.a.scripts.push({ late: 5_000 })
      world.b.scripts.push({ answer: "reject" })
      const fiber = yield* start(world)
      yield* TestClock.adjust("100 millis")
      const placed = world.placed
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(placed, ["a buy 1", "b sell 100", "b sell 100"])
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Compensated")
      yield* agree(world)
    }))

  it.effect("no price is there to trade it away: the leg's own is the measure", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      world.a.hasPrice = false
      world.b.hasPrice = false
      world.b.scripts.push({ answer: "reject" })
      const { compensation } = yield* execute(world)
      assert.strictEqual(text(compensation[0]!.averagePrice!), "100.5")
      yield* agree(world)
    }))

  it.effect("a fee in a third asset is told beside the others, and one that is not told is none", () =>
    over(new World({ fee: "0" }, { ...swap, fee: "0" }), function*({ world }) {
      const emit = world.a.emit.bind(world.a)
      world.a.emit = (event) =>
        emit(event._tag === "Fill" ? { ...event, fee: Decimal.of("0.5"), feeAsset: "GT" } : event)
      const other = world.b.emit.bind(world.b)
      world.b.emit = (event) => other(event._tag === "Fill" ? { ...event, fee: null, feeAsset: null } : event)
      const { buy, cash } = yield* execute(world)
      assert.deepStrictEqual([...buy.otherFees].map(([asset, fee]) => `${asset} ${text(fee)}`), ["GT 0.5"])
      assert.strictEqual(text(cash), "1")
    }))

  it.effect("an order that the exchange calls rejected counts as refused", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      const place = world.a.entry.place
      let first = true
      Object.assign(world.a.entry, {
        place: (request: OrderRequest) => {
          if (!first) return place(request)
          first = false
          world.a.scripts.push({ fill: 0, late: null })
          return Effect.map(place(request), (placed) => ({
            ...placed,
            outcome: placed.outcome._tag === "Accepted"
              ? { ...placed.outcome, value: { ...placed.outcome.value, status: "rejected" } }
              : placed.outcome
          }))
        }
      })
      const { _tag, buy } = yield* execute(world)
      assert.deepStrictEqual([_tag, buy.outcome], ["Compensated", "rejected"])
    }))

  it.effect("spot sells what it has: the rest goes where there is more, or is waited for", () =>
    over(
      new World({ fee: "0", balances: { USDT: "1000", BTC: "0.3" } }, { fee: "0", balances: { BTC: "1" } }),
      function*({ world }) {
        // Bought 1, sold 0.5: 0.5 are to be sold, and the balances say that only b has enough.
        world.b.scripts.push({ fill: 0.5 })
        world.a.scripts.push({ late: 5_000 })
        const { compensation } = yield* execute(world)
        assert.deepStrictEqual(compensation.map(({ exchange, filled }) => `${exchange} ${text(filled)}`), ["b 0.5"])
        yield* agree(world)
      }
    ))

  it.effect("an account that is away while an order is under way is found again when it is built anew", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      const island = world.islands.get("a")!
      world.a.scripts.push({ answer: "never" })
      world.b.scripts.push({ answer: "new", late: 400 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(100)
      const other = world.islands.get("b")!
      world.islands.delete("a")
      world.islands.delete("b")
      yield* TestClock.adjust("5 seconds")
      world.islands.set("a", island)
      world.islands.set("b", other)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Completed")
      yield* agree(world)
    }))

  it.effect("an account that is away when its order should leave: nothing leaves", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      const island = world.islands.get("b")!
      // The last thing before the sending is the room that it needs.
      const place = world.a.entry.place
      Object.assign(world.a.entry, {
        place: (request: OrderRequest) => {
          world.islands.delete("b")
          return place(request)
        }
      })
      const fiber = yield* start(world)
      yield* TestClock.adjust(20)
      Object.assign(world.a.entry, { place })
      world.islands.set("b", island)
      yield* TestClock.adjust("1 minute")
      const { _tag, sell } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([_tag, sell.outcome, guard.state().openOrders], ["Compensated", "rejected", 0])
      yield* agree(world)
    }))
})

describe("ArbitrageExecutor: exposed", () => {
  it.effect("what cannot be traded away throws the kill switch; revived, the next execution trades it", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.b.scripts.push({ answer: "reject" }, { fill: 0 }, { fill: 0 }, { fill: 0 })
      world.a.scripts.push({}, { fill: 0 }, { fill: 0 })
      const execution = yield* execute(world)
      assert.deepStrictEqual(figures(execution), ["Exposed", "1", "-100", 4])
      assert.match(guard.state().killed!.reason, /exposed in BTC: 1 is left behind 4 orders/)
      assert.strictEqual(yield* refusal(world), "killSwitch")
      assert.deepStrictEqual(executor.exposure().map(({ asset, quantity }) => `${asset} ${text(quantity)}`), [
        "BTC 1"
      ])
      yield* guard.revive
      world.a.scripts.splice(0)
      world.b.scripts.splice(0)
      assert.deepStrictEqual(figures(yield* execute(world)).slice(0, 2), ["Completed", "-1"])
      const { completed, exposed, executed, profit, refused } = yield* executor.performance
      assert.deepStrictEqual([executed, completed, exposed, refused], [2, 1, 1, { killSwitch: 1 }])
      assert.strictEqual(text(profit), world.gained.quote)
      yield* agree(world)
    }, { compensationAttempts: 4 }))

  it.effect("a leg that nobody knows is not traded against; it is counted when it is known, and drained", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.a.scripts.push({ answer: "never", late: null })
      world.a.isAnswering = false
      const execution = yield* execute(world)
      assert.deepStrictEqual(figures(execution), ["Exposed", "-1", "100.899", 0])
      assert.strictEqual(execution.buy.outcome, "unknown")
      assert.strictEqual((yield* executor.performance).unknown, 1)
      assert.isTrue(guard.state().isKilled)
      world.a.isAnswering = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(executor.exposure(), [])
      assert.deepStrictEqual(done(yield* passing(executor.drain)), { exposure: [], openOrders: 0, orders: [] })
      yield* agree(world)
    }))

  it.effect("the switch is thrown for good in the middle: nothing more is sent", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      world.b.scripts.push({ answer: "reject", delay: 100 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(50)
      yield* guard.kill("stop", { stops: "everything" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Exposed")
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
      yield* agree(world)
    }))

  it.effect("what it throws the switch for while everything is stopped stands once that is taken back", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.b.scripts.push({ answer: "reject", delay: 100 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(50)
      yield* guard.kill("the operator pauses", { stops: "everything" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Exposed")
      yield* guard.revive
      assert.match(guard.state().killed?.reason ?? "", /^exposed in BTC: /)
      // It is traded away as soon as anything may be.
      done(yield* passing(executor.drain))
      assert.deepStrictEqual(executor.exposure(), [])
      yield* agree(world)
    }))

  it.effect("thrown for what grows, it lets compensation pass", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      world.b.scripts.push({ answer: "reject", delay: 100 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(50)
      yield* guard.kill("slow down")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Compensated")
      yield* agree(world)
    }))

  it.effect("an exchange that goes down in the middle: the other one is used, or its return waited for", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      for (const both of [false, true]) {
        world.b.scripts.push({ answer: "loseRequest", resolveAfter: 1_000 })
        const fiber = yield* start(world)
        yield* TestClock.adjust(500)
        world.states.set("b", "Recovering")
        if (both) world.states.set("a", "Failed")
        yield* TestClock.adjust("5 seconds")
        world.states.set("b", "Ready")
        world.states.set("a", "Ready")
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Compensated")
      }
      assert.deepStrictEqual(world.placed, [
        "a buy 1",
        "a sell 1",
        "a buy 1",
        "b sell 100",
        "b sell 100",
        "b sell 100"
      ])
      yield* agree(world)
    }))

  it.effect("nowhere to trade it in time", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      world.b.scripts.push({ answer: "reject", delay: 100 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(50)
      world.states.set("b", "Failed")
      world.states.set("a", "Failed")
      yield* TestClock.adjust("1 minute")
      const { _tag } = yield* Fiber.join(fiber)
      assert.strictEqual(_tag, "Exposed")
      assert.match(guard.state().killed!.reason, /nowhere/)
    }))

  it.effect("a defect behind the sending is exposure too", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      const island = world.islands.get("a")!
      world.b.scripts.push({ answer: "reject" })
      const fiber = yield* start(world)
      const market = { ...island.market, bestPrice: () => assert.fail("the test broke it") }
      world.islands.set("a", { ...island, market })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Failure")
      assert.match(guard.state().killed!.reason, /broke/)
    }))

  it.effect("an order to trade it away that nobody knows is exposure, and so is time that runs out between two", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.b.scripts.push({ answer: "reject" }, { answer: "never", late: null })
      const fiber = yield* start(world)
      yield* TestClock.adjust(100)
      world.b.isAnswering = false
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Exposed")
      assert.match(guard.state().killed!.reason, /an order is not known/)
      world.b.isAnswering = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(executor.exposure(), [])
      yield* guard.revive
      world.b.scripts.push({ answer: "reject" }, { fill: 0, delay: 20_000 })
      const { _tag } = yield* execute(world)
      assert.strictEqual(_tag, "Exposed")
      assert.match(guard.state().killed!.reason, /left behind 1 orders/)
    }, { compensationTimeout: "10 seconds" }))
})

describe("ArbitrageExecutor: the room of its orders", () => {
  it.effect("is taken while a leg is not known, and until its fills are told", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.a.scripts.push({ answer: "never", late: 90_000 })
      world.a.isAnswering = false
      world.b.scripts.push({ late: 90_000 })
      assert.strictEqual((yield* execute(world))._tag, "Exposed")
      assert.deepStrictEqual([guard.state("a").openOrders, text(guard.state("a").notional)], [1, "100"])
      assert.deepStrictEqual([guard.state("b").openOrders, text(guard.state("b").notional)], [1, "101"])
      assert.strictEqual(text(guard.state().exposure), "0")
      world.a.isAnswering = true
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* executor.performance).unknown, 0)
      assert.strictEqual(guard.state().openOrders, 0)
    }, { settleTimeout: "20 seconds" }))

  it.effect("is given back when a leg is found to have never arrived", () =>
    over(
      new World({ fee: "0" }, swap),
      function*({ guard, world }) {
        world.a.scripts.push({ answer: "neverDone" })
        const fiber = yield* start(world)
        yield* TestClock.adjust("8 seconds")
        assert.deepStrictEqual([guard.state("a").openOrders, guard.state("b").openOrders], [1, 0])
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(fiber)
        yield* agree(world)
      },
      {},
      { forgetAfter: "1 hour" }
    ))
})

describe("ArbitrageExecutor: what is known late", () => {
  it.effect("one answer that lags does not make an order one that never arrived", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      world.a.scripts.push({ answer: "never", late: null })
      const { get } = world.a.entry
      let lagging = 0
      Object.assign(world.a.entry, {
        get: (ref: OrderRef) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            if (now > 10_500) return get(ref)
            if (now > 10_001) lagging++
            return Effect.succeed(null)
          })
      })
      const { _tag, buy } = yield* execute(world)
      assert.strictEqual(lagging, 1, "asked once behind `absentAfter` before the exchange tells it")
      assert.deepStrictEqual([_tag, buy.outcome, buy.wasUnknown], ["Completed", "filled", true])
      yield* agree(world)
    }))

  it.effect("is traded away at once, although the switch stands, and drain waits for it", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.a.scripts.push({ answer: "neverDone" })
      world.a.isAnswering = false
      assert.deepStrictEqual(figures(yield* execute(world)), ["Exposed", "-1", "100.899", 0])
      assert.isTrue(guard.state().isKilled)
      const drained = yield* Effect.forkChild(executor.drain, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(drained.pollUnsafe())
      assert.deepStrictEqual(done(yield* passing(executor.close("1 millis"), 10)).orders.length, 1)
      world.a.isAnswering = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(world.placed, ["a buy 1", "a buy 1", "b sell 100"])
      assert.deepStrictEqual(yield* Fiber.join(drained), { exposure: [], openOrders: 0, orders: [] })
      assert.isTrue(guard.state().isKilled)
      yield* agree(world)
    }))

  it.effect("nothing of its asset is traded away before, by another execution neither", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.a.scripts.push({ answer: "never", late: null })
      world.a.isAnswering = false
      yield* execute(world)
      yield* guard.revive
      assert.strictEqual((yield* execute(world))._tag, "Completed")
      assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["-1"])
      world.a.isAnswering = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(executor.exposure(), [])
      assert.deepStrictEqual(world.placed, ["a buy 1", "a buy 1", "b sell 100", "b sell 100"])
      yield* agree(world)
    }))
})

describe("ArbitrageExecutor: what the exchanges of the legs are too coarse for", () => {
  const coarse = { minNotional: 5 } as const
  const fine = { pair: "BTC/USDT:USDT", contractSize: 0.001, fee: "0" } as const

  it.effect("goes to another one that takes it, at once", () =>
    over(new World({ ...coarse, fee: "0.0025" }, coarse, fine), function*({ executor, world }) {
      const { _tag, compensation } = yield* execute(world)
      assert.strictEqual(_tag, "Completed")
      assert.strictEqual(compensation.length, 1)
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 1", "c buy 2"])
      assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["-0.0005"])
      yield* agree(world)
    }))

  it.effect("goes there in parts where all of it is more than one order may be", () =>
    over(
      new World({ ...coarse, fee: "0.0025" }, coarse, fine),
      function*({ world }) {
        assert.strictEqual((yield* execute(world))._tag, "Completed")
        assert.deepStrictEqual(world.placed.slice(2), ["c buy 1", "c buy 1"])
        yield* agree(world)
      },
      {},
      { exchanges: { c: { maxOrderNotional: 0.15 } } }
    ))

  it.effect("is not waited for while nothing may be traded there; drain takes it there later", () =>
    over(new World({ ...coarse, fee: "0.0025" }, coarse, fine), function*({ executor, guard, world }) {
      world.states.set("c", "Recovering")
      yield* execute(world)
      world.states.set("c", "Ready")
      world.c!.scripts.push({ answer: "reject" })
      const { _tag } = yield* execute(world)
      assert.strictEqual(_tag, "Completed")
      assert.isFalse(guard.state().isKilled)
      assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["-0.005"])
      const { exposure } = done(yield* passing(executor.drain))
      assert.deepStrictEqual(exposure, [])
      assert.deepStrictEqual(world.placed.slice(4), ["c buy 5", "c buy 5"])
      yield* agree(world)
    }))

  it.effect("what fees in base leave of that is traded too, as far as it is a lot", () =>
    over(new World({ ...coarse, fee: "0.0025" }, coarse, { fee: "0.5" }), function*({ executor, world }) {
      yield* execute(world)
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 1", "c buy 0.002", "c buy 0.001", "c buy 0.001"])
      assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["-0.0005"])
      yield* agree(world)
    }))

  it.effect("what it lists is not known: it is carried", () => {
    const world = new World({ ...coarse, fee: "0.0025" }, coarse, fine)
    const { market, ...island } = world.islands.get("c")!
    const get = () =>
      Effect.fail(ExchangeError.make("c", new ExchangeError.Disconnected({ code: 1006, detail: "gone" })))
    world.islands.set("c", { ...island, market: { ...market, instruments: { ...market.instruments, get } } })
    return over(world, function*({ executor }) {
      yield* execute(world)
      world.islands.delete("c")
      yield* execute(world)
      assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["-0.005"])
      assert.strictEqual(world.placed.length, 4)
    })
  })
})

describe("ArbitrageExecutor: what cannot be traded away", () => {
  /** The sale fails, and so does what would mend it. */
  const stuck = (world: World): void => {
    world.b.scripts.push({ fill: 0.99 }, ...Array.from({ length: 8 }, () => ({ fill: 0 })))
    world.a.scripts.push({}, ...Array.from({ length: 8 }, () => ({ fill: 0 })))
  }

  for (
    const [name, venue, options] of [
      ["less than one exchange takes", { ...swap, minNotional: 5 }, {}],
      ["no more than maxCarried", swap, { maxCarried: "2" }]
    ] as const
  ) {
    it.effect(`${name} is carried on, told, and traded by the next execution`, () =>
      over(new World({ fee: "0" }, venue), function*({ executor, guard, world }) {
        stuck(world)
        const { _tag, exposure } = yield* execute(world)
        assert.deepStrictEqual([_tag, text(exposure)], ["Compensated", "0.01"])
        assert.isFalse(guard.state().isKilled)
        assert.strictEqual((yield* executor.performance).carried, 1)
        assert.deepStrictEqual(executor.exposure().map(({ quantity }) => text(quantity)), ["0.01"])
        world.a.scripts.splice(0)
        world.b.scripts.splice(0)
        yield* execute(world)
        assert.deepStrictEqual(executor.exposure(), [])
        yield* agree(world)
      }, options))
  }

  it.effect("more than that throws the switch", () =>
    over(new World({ fee: "0" }, swap), function*({ guard, world }) {
      stuck(world)
      assert.strictEqual((yield* execute(world))._tag, "Exposed")
      assert.isTrue(guard.state().isKilled)
    }, { maxCarried: "0.5" }))

  it.effect("is tried again on new prices, or behind a pause", () =>
    over(new World({ fee: "0" }, swap), function*({ world }) {
      stuck(world)
      const fiber = yield* start(world)
      for (let turn = 0; turn < 5; turn++) yield* TestClock.adjust(10)
      // Each exchange once.
      assert.strictEqual(world.placed.length, 4)
      world.b.bid = 100.8
      for (let turn = 0; turn < 8; turn++) yield* TestClock.adjust(10)
      assert.strictEqual(world.placed.length, 5)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(world.placed.length, 10)
    }))

  it.effect("nothing is sent to an exchange that is being stopped", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, world }) {
      world.b.scripts.push({ answer: "reject", delay: 100 })
      const fiber = yield* start(world)
      yield* TestClock.adjust(50)
      world.isStopping = true
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
      const closed = yield* Effect.forkChild(executor.close("2 seconds"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(closed)).openOrders, 0)
      // It is cut short: whoever waits for it is told.
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Failure")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
    }))

  it.effect("an order that still waits for its turn when it is closed was never sent, and takes no room", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.b.scripts.push({ waits: 10_000 })
      const fiber = yield* start(world)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state("b").openOrders, 1)
      const closed = yield* Effect.forkChild(executor.close("2 seconds"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const { exposure, openOrders, orders } = yield* Fiber.join(closed)
      // What the other leg has bought is left, and told.
      assert.deepStrictEqual([openOrders, orders, exposure.map(({ asset }) => asset)], [0, [], ["BTC"]])
      assert.strictEqual((yield* executor.performance).unknown, 0)
      assert.strictEqual(guard.state("b").openOrders, 0)
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Failure")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(world.placed, ["a buy 1"])
    }))

  it.effect("an order that is under way when it is closed is told", () =>
    over(new World({ fee: "0" }, swap), function*({ executor, guard, world }) {
      world.b.scripts.push({ answer: "neverDone" })
      yield* start(world)
      world.b.isAnswering = false
      yield* TestClock.adjust("1 second")
      const closed = yield* Effect.forkChild(executor.close("2 seconds"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const { openOrders, orders } = yield* Fiber.join(closed)
      assert.deepStrictEqual([openOrders, orders.map(({ exchange, side }) => `${exchange} ${side}`)], [1, ["b sell"]])
      assert.strictEqual((yield* executor.performance).inFlight, 0)
      assert.strictEqual(guard.state("b").openOrders, 1)
    }))
})

describe("ArbitrageExecutor: interrupted", () => {
  it.effect("before anything is sent: nothing is sent", () =>
    over(new World(), function*({ world }) {
      yield* slowInstruments(world)
      const fiber = yield* start(world)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(world.placed, [])
      yield* agree(world)
    }))

  for (const millis of [0, 1, 150, 400]) {
    it.effect(`${millis} ms behind the sending: it is brought to its end, and whoever interrupts waits`, () =>
      over(new World({ fee: "0" }, swap), function*({ executor, world }) {
        const seen: Array<Execution> = []
        yield* Effect.forkScoped(Stream.runForEach(executor.executions, (one) => Effect.sync(() => seen.push(one))), {
          startImmediately: true
        })
        world.a.scripts.push({ delay: 100 })
        world.b.scripts.push({ answer: "reject", delay: 200 }, { fill: 0.5, delay: 300 })
        const fiber = yield* start(world)
        yield* TestClock.adjust(millis)
        const stop = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        assert.strictEqual((yield* executor.performance).inFlight, 1)
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(stop)
        assert.deepStrictEqual(seen.map(({ _tag }) => _tag), ["Compensated"])
        assert.deepStrictEqual(executor.exposure(), [])
        yield* agree(world)
      }))
  }

  it.effect("the end of its Layer waits for what is under way", () => {
    const world = new World({ fee: "0" }, swap)
    return Effect.gen(function*() {
      world.b.scripts.push({ answer: "reject", delay: 200 })
      const program = yield* Effect.forkChild(
        over(world, function*() {
          yield* start(world)
          yield* Effect.sleep(50)
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust(100)
      assert.isUndefined(program.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(program)
      assert.deepStrictEqual(world.gained.base, "0")
    })
  })

  it.effect("but not for ever", () => {
    const world = new World({ fee: "0" }, swap)
    return Effect.gen(function*() {
      world.b.scripts.push({ delay: 60_000 })
      const started = over(world, function*() {
        yield* start(world)
      }, { closeTimeout: "1 second" })
      const program = yield* Effect.forkChild(started, { startImmediately: true })
      yield* TestClock.adjust(900)
      assert.isUndefined(program.pollUnsafe())
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(program)
    })
  })
})

describe("ArbitrageExecutor: refused", () => {
  it.effect("nothing is sent while anything is in doubt", () =>
    over(new World({ minNotional: 5 }), function*({ executor, guard, world }) {
      assert.strictEqual(yield* refusal(world, 1, { at: -10_000_000 }), "notReady")
      assert.strictEqual(yield* refusal(world, 1, { at: 5 * 3_600_000 }), "notReady")
      assert.strictEqual(yield* refusal(world, 1, { at: Number.NaN }), "notReady")
      assert.strictEqual(
        yield* refusal(world, 1, { buy: { ...world.opportunity().buy, pair: "BTC/USDT:USDT" } }),
        "UnknownPair"
      )
      assert.strictEqual(yield* refusal(world, 0.04), "quantity")
      assert.strictEqual(yield* refusal(world, Number.NaN), "quantity")
      assert.strictEqual(yield* refusal(world, 2_000), "balance")
      assert.strictEqual(
        yield* refusal(world, 1, { sell: { ...world.opportunity().sell, pair: "ETH/USDT" } }),
        "notReady"
      )
      assert.strictEqual(
        yield* refusal(world, 1, { sell: { ...world.opportunity().sell, exchange: "c" } }),
        "notReady"
      )
      world.states.set("b", "Recovering")
      assert.strictEqual(yield* refusal(world), "notReady")
      world.states.set("b", "Ready")
      world.isStopping = true
      assert.strictEqual(yield* refusal(world), "notReady")
      world.isStopping = false
      const island = world.islands.get("b")!
      world.islands.set("b", { ...island })
      assert.strictEqual(yield* refusal(world), "notReady")
      world.islands.set("b", { ...island, account: null })
      assert.strictEqual(yield* refusal(world), "notReady")
      world.islands.set("b", island)
      yield* guard.kill("stop")
      assert.strictEqual(yield* refusal(world), "killSwitch")
      assert.deepStrictEqual(world.placed, [])
      assert.deepStrictEqual((yield* executor.performance).refused, {
        notReady: 9,
        UnknownPair: 1,
        quantity: 2,
        balance: 1,
        killSwitch: 1
      })
      yield* agree(world)
    }))

  it.effect("nothing leaves when an exchange is lost while the legs are prepared", () =>
    over(new World(), function*({ executor, world }) {
      for (const lost of ["a", "b"]) {
        const instruments = yield* slowInstruments(world)
        const fiber = yield* start(world)
        world.states.set(lost, "Recovering")
        yield* Deferred.succeed(instruments, undefined)
        yield* TestClock.adjust("1 minute")
        const { reason } = yield* Effect.flip(Fiber.join(fiber))
        assert.deepInclude(reason, { _tag: "RiskRefused", limit: "notReady", of: lost })
        world.states.set(lost, "Ready")
      }
      assert.deepStrictEqual(world.placed, [])
      assert.deepStrictEqual((yield* executor.performance).refused, { notReady: 2 })
      yield* agree(world)
    }))

  it.effect("two executions do not count on the same balance, and limits see both legs", () =>
    over(
      new World({ fee: "0" }, { balances: { BTC: "1.5", USDT: "0" } }),
      function*({ world }) {
        const first = yield* start(world)
        assert.strictEqual(yield* refusal(world), "balance")
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(first)
        assert.strictEqual(yield* refusal(world, 0.5), "maxNotional")
      },
      {},
      { exchanges: { a: { maxNotional: 120 } } }
    ))

  it.effect("options that make no sense are refused when it is built", () =>
    Effect.gen(function*() {
      const wrong = [
        { maxSlippage: "x" },
        { maxSlippage: 1 },
        { compensationAttempts: -1 },
        { maxCarried: "x" },
        { maxCarried: -1 }
      ]
      for (const options of wrong) {
        const error = yield* Effect.flip(over(new World(), function*() {}, options))
        assert.strictEqual(error instanceof ExchangeError.ExchangeError ? error.reason._tag : "", "InvalidUse")
      }
    }))
})

describe("ArbitrageExecutor: run and drain", () => {
  it.effect("one execution a side of a book at a time, none twice on the same books, and none behind drain", () =>
    over(new World({ fee: "0" }, { ...swap, fee: "0" }), function*({ executor, guard, world }) {
      const running = yield* Effect.forkChild(executor.run, { startImmediately: true })
      const tell = (_tag: "Entered" | "Updated", version: number): void => {
        world.open = [world.at(version, version)]
        world.tell(_tag, world.open[0]!)
      }
      tell("Entered", 1)
      tell("Updated", 2)
      tell("Updated", 3)
      yield* TestClock.adjust(1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* executor.performance).executed, 2)
      tell("Updated", 3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* executor.performance).executed, 2)
      yield* guard.kill("wait")
      tell("Updated", 4)
      yield* guard.revive
      tell("Updated", 5)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* executor.performance).executed, 2)
      tell("Updated", 6)
      for (const consumer of world.consumers) {
        consumer({ _tag: "Vanished", opportunity: world.open[0]!, cause: "Price", at: 0, livedMs: 1 })
      }
      const drained = yield* Effect.forkChild(executor.drain, { startImmediately: true })
      tell("Updated", 7)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(drained), { exposure: [], openOrders: 0, orders: [] })
      assert.strictEqual((yield* executor.performance).executed, 3)
      assert.strictEqual(yield* refusal(world), "notReady")
      yield* Fiber.interrupt(running)
      assert.strictEqual(world.consumers.size, 0)
      yield* agree(world)
    }))

  it.effect("a machine's clock that is set back keeps no side of a book from being traded on", () =>
    Effect.gen(function*() {
      const original = yield* Clock.Clock
      const { clock, step } = yield* SteppedClock.make
      const pass = (millis: number) => Effect.provideService(TestClock.adjust(millis), Clock.Clock, original)
      yield* over(new World({ fee: "0" }, { ...swap, fee: "0" }), function*({ executor, world }) {
        yield* Effect.forkScoped(executor.run, { startImmediately: true })
        const executed = Effect.map(executor.performance, (performance) => performance.executed)
        const tell = (version: number, receivedAt = clock.currentTimeMillisUnsafe()): void =>
          world.tell("Updated", world.at(version, version, { at: clock.currentTimeMillisUnsafe() }, receivedAt))
        yield* pass(7_200_000)
        tell(1)
        yield* pass(1_000)
        assert.strictEqual(yield* executed, 1)
        step(-3_600_000)
        yield* pass(1_000)
        tell(2)
        yield* pass(1_000)
        assert.strictEqual(yield* executed, 2)
        step(7_200_000)
        // As it was received before the end, however it is stamped.
        tell(3, clock.currentTimeMillisUnsafe() - 1_100)
        yield* pass(1_000)
        assert.strictEqual(yield* executed, 2)
        tell(4)
        yield* pass(1_000)
        assert.strictEqual(yield* executed, 3)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("routes that share a side of a book take what one version of it shows once", () =>
    over(new World({ fee: "0" }, { ...swap, fee: "0" }), function*({ executor, world }) {
      yield* Effect.forkScoped(executor.run, { startImmediately: true })
      const executed = Effect.map(executor.performance, (performance) => performance.executed)
      const other = { route: "another" }
      world.open = [world.at(1, 1), world.at(1, 2, other)]
      for (const opportunity of world.open) world.tell("Entered", opportunity)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* executed, 1)
      // Only one of its sides is new.
      world.tell("Updated", world.at(1, 3))
      world.tell("Updated", world.at(2, 1, other))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* executed, 1)
      // What was received before the execution had ended may show what it has taken.
      world.tell("Updated", world.at(4, 4, other, 0))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* executed, 1)
      // Whoever had to wait is looked at when it is free, the better one first.
      world.open = [world.at(2, 2), world.at(3, 3, { ...other, profit: 9 }), world.at(3, 3)]
      world.tell("Updated", world.open[0]!)
      world.open = world.open.slice(1)
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(executor.executions, ({ opportunity }) => Effect.sync(() => seen.push(opportunity.route))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* executed, 3)
      assert.strictEqual(seen.at(-1), "another")
      yield* agree(world)
    }))

  it.effect("what was refused is left to others: nothing was sent", () =>
    over(new World({ fee: "0" }, { ...swap, fee: "0" }), function*({ executor, guard, world }) {
      yield* Effect.forkScoped(executor.run, { startImmediately: true })
      yield* guard.kill("wait")
      world.tell("Entered", world.at(1, 1))
      yield* guard.revive
      world.tell("Entered", world.at(1, 1, { route: "another" }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* executor.performance).executed, 1)
    }))

  it.effect("what is still being prepared sends nothing behind close", () =>
    over(new World(), function*({ executor, world }) {
      const instruments = yield* slowInstruments(world)
      const fiber = yield* start(world)
      const left = done(yield* passing(executor.close("2 seconds")))
      assert.deepStrictEqual(left, { exposure: [], openOrders: 0, orders: [] })
      yield* Deferred.succeed(instruments, undefined)
      yield* passing(Fiber.await(fiber))
      assert.deepStrictEqual(world.placed, [])
      assert.deepStrictEqual((yield* executor.performance).refused, { notReady: 1 })
      yield* agree(world)
    }))

  it.effect("what is there already is traded, and what cannot be drained is told", () =>
    over(new World({ fee: "0.0005" }, { fee: "0" }), function*({ executor, guard, world }) {
      world.open = [world.opportunity()]
      yield* Effect.forkScoped(executor.run, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* executor.performance).completed, 1)
      world.open = []
      yield* guard.kill("stop", { stops: "everything" })
      // Another half of a lot makes one.
      yield* guard.revive
      world.a.scripts.push({}, { answer: "reject" }, { answer: "reject" })
      world.b.scripts.push({}, { answer: "reject" }, { answer: "reject" })
      yield* execute(world)
      yield* guard.revive
      yield* guard.kill("stop", { stops: "everything" })
      const { exposure } = done(yield* passing(executor.drain))
      assert.deepStrictEqual(exposure.map(({ quantity }) => text(quantity)), ["-0.001"])
    }, { compensationAttempts: 4 }))

  it.effect("drain trades away what is carried, and tells what it cannot", () =>
    over(new World({ fee: "0.002" }, { fee: "0.01" }), function*({ executor, world }) {
      world.a.scripts.push({}, { answer: "reject" }, { answer: "reject" })
      world.b.scripts.push({}, { answer: "reject" }, { answer: "reject" })
      assert.strictEqual((yield* execute(world))._tag, "Exposed")
      world.a.scripts.splice(0)
      world.b.scripts.splice(0)
      const { exposure } = done(yield* passing(executor.drain))
      assert.deepStrictEqual(exposure.map(({ quantity }) => text(quantity)), ["-0.000004"])
      yield* agree(world)
    }, { compensationAttempts: 4 }))
})
