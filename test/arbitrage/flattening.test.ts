/** Where what is open is traded away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { KillOptions, RiskLimits } from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { agree, done, over, passing, start, swap, World } from "./ExecutorWorld.ts"

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
