/** Orders of an execution, without an executor. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ExposureLedger } from "../../src/arbitrage/ExposureLedger.ts"
import { LegOrders } from "../../src/arbitrage/LegOrder.ts"
import type { Plan } from "../../src/arbitrage/Moved.ts"
import * as Risk from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../src/composite/Markets.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { World } from "./ExecutorWorld.ts"
import type { Script } from "./Fakes.ts"

const plan: Plan = {
  exchange: "a",
  pair: "BTC/USDT",
  side: "buy",
  quantity: Decimal.of("1"),
  price: Decimal.of("100"),
  unit: Decimal.of("1"),
  feeRate: Decimal.zero,
  clientOrderId: "ours"
}

/** What is expected and may be in force of an order whose sender is interrupted behind a second. */
const interrupted = Effect.fnUntraced(
  function*(world: World, script: Script) {
    world.a.scripts.push(script)
    const ledger = new ExposureLedger()
    const legs = { settleMillis: 30_000, absentMillis: 10_000, fillsMillis: 10_000 }
    const orders = new LegOrders(yield* Markets, yield* RiskGuard, ledger, yield* Clock.Clock, legs)
    const sent = yield* Effect.forkChild(orders.send(plan), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(ledger.expected, [plan])
    const stop = yield* Effect.forkChild(Fiber.interrupt(sent), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(stop)
    return { expected: ledger.expected, pending: orders.pending, placed: world.placed }
  },
  (effect, world) => effect.pipe(Effect.provide(Risk.layer()), Effect.provide(world.layer), Effect.scoped)
)

describe("LegOrders: an order whose sender is interrupted", () => {
  it.effect("while it waits for its turn: nothing more is expected of it", () =>
    Effect.gen(function*() {
      const left = yield* interrupted(new World(), { waits: 10_000 })
      assert.deepStrictEqual(left, { expected: [], pending: [], placed: [] })
    }))

  it.effect("behind that: it may be in force, and whatever is told of it counts", () =>
    Effect.gen(function*() {
      const left = yield* interrupted(new World(), { waits: 500, delay: 2_000 })
      assert.deepStrictEqual(left, { expected: [plan], pending: [plan], placed: ["a buy 1"] })
    }))
})
