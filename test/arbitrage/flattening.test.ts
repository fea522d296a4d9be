/** Where what is open is traded away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ArbitrageExecutor } from "../../src/arbitrage/ArbitrageExecutor.ts"
import type { KillOptions } from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import { agree, over, swap, World } from "./ExecutorWorld.ts"

/** The sale is refused, and its exchange is stopped by hand while it is under way. */
const stopped = (world: World, options: KillOptions = {}) => {
  world.b.scripts.push({ answer: "reject", delay: 100 })
  return Effect.gen(function*() {
    const executor = yield* ArbitrageExecutor
    const guard = yield* RiskGuard
    const fiber = yield* Effect.forkChild(executor.execute(world.opportunity()), { startImmediately: true })
    yield* TestClock.adjust(50)
    yield* guard.kill("b looks broken", { exchange: "b", ...options })
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })
}

describe("Flattening: an exchange that was stopped by hand", () => {
  it.effect("gets no new order where another one takes it, although it pays more", () => {
    const world = new World({ fee: "0" }, swap)
    return over(
      world,
      Effect.gen(function*() {
        assert.strictEqual((yield* stopped(world))._tag, "Compensated")
        assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
        yield* agree(world)
      })
    )
  })

  it.effect("gets it when the other one takes nothing", () => {
    const world = new World({ fee: "0" }, swap)
    world.a.scripts.push({}, { fill: 0 }, { answer: "reject" })
    return over(
      world,
      Effect.gen(function*() {
        assert.strictEqual((yield* stopped(world))._tag, "Compensated")
        assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "a sell 1", "b sell 100", "b sell 100"])
        yield* agree(world)
      })
    )
  })

  it.effect("gets nothing where everything is stopped", () => {
    const world = new World({ fee: "0" }, swap)
    world.a.scripts.push({}, { fill: 0 }, { answer: "reject" }, { fill: 0 })
    return over(
      world,
      Effect.gen(function*() {
        assert.strictEqual((yield* stopped(world, { stops: "everything" }))._tag, "Compensated")
        assert.deepStrictEqual(world.b.placed.length, 1)
        yield* agree(world)
      })
    )
  })
})
