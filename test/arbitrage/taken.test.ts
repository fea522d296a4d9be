/** Against simulated exchanges: what they pay and take is in the guard's figures, and no leg stays naked. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Effect } from "effect"
import { layerOf, over } from "../../scripts/prove/cases/ArbitrageExecution.ts"
import { ArbitrageExecutor } from "../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageMonitor } from "../../src/arbitrage/ArbitrageMonitor.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../src/composite/Markets.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import { userId } from "../suites/AccountExchange.ts"

const id = "gate-futures"
const pair = "BTC/USDT:USDT"

/** Spot is bought, and the perpetual sold. */
const hedge = Effect.gen(function*() {
  const executor = yield* ArbitrageExecutor
  const monitor = yield* ArbitrageMonitor
  const markets = yield* Markets
  yield* Effect.forEach(markets.ids, (one) => markets.get(one))
  for (let looks = 0; looks < 400; looks++) {
    yield* Effect.sleep(50)
    const found = monitor.open().find(({ sell }) => sell.exchange === id && sell.pair === pair)
    if (found === undefined) continue
    const exit = yield* Effect.exit(executor.execute(found))
    if (exit._tag === "Success" && exit.value._tag === "Completed") return
  }
})

describe("simulated exchanges", () => {
  it.live("pay funding while the stream is away, or its push is lost: the guard has it behind the next comparison", () =>
    over(
      5,
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        const guard = yield* RiskGuard
        yield* hedge
        yield* Effect.sleep("3 seconds")
        const account = simulator.account(id, userId)!
        const paid = () => BigDecimal.sumAll(account.fundings({}).map(({ change }) => Decimal.of(change)))
        const told = () => Decimal.toText(guard.state(id).funding)
        assert.isTrue(guard.state().isFundingKnown)
        yield* simulator.inject("drop")
        yield* simulator.inject("refuse@0s:3s")
        yield* simulator.publish(id, pair, { _tag: "Funding", rate: "-0.02" })
        yield* Effect.sleep("2 seconds")
        assert.strictEqual(told(), "0")
        assert.isFalse(guard.state().isFundingKnown)
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(told(), Decimal.toText(paid()))
        assert.isTrue(guard.state().isFundingKnown)

        yield* simulator.inject({ _tag: "LosePush", topic: "futures.balances", durationMillis: 1_000 })
        yield* simulator.publish(id, pair, { _tag: "Funding", rate: "0.01" })
        yield* Effect.sleep("61 seconds")
        assert.strictEqual(account.fundings({}).length, 2)
        assert.strictEqual(told(), Decimal.toText(paid()))
      }),
      layerOf(5, () => {})
    ))

  it.live("pay funding and take a position: both are known, and the other leg is traded away", () =>
    over(
      3,
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        const executor = yield* ArbitrageExecutor
        const guard = yield* RiskGuard
        yield* hedge
        yield* Effect.sleep("3 seconds")
        const account = simulator.account(id, userId)!
        const cash = () => account.balances().find(({ asset }) => asset === "USDT")!
        const totalOf = ({ available, locked }: ReturnType<typeof cash>) =>
          BigDecimal.sum(Decimal.of(available), Decimal.of(locked))
        const before = totalOf(cash())
        yield* simulator.publish(id, pair, { _tag: "Funding", rate: "-0.02" })
        yield* Effect.sleep("1 second")
        const paid = BigDecimal.subtract(totalOf(cash()), before)
        assert.isTrue(BigDecimal.isNegative(paid))
        assert.strictEqual(Decimal.toText(guard.state(id).funding), Decimal.toText(paid))

        const [position] = account.positions()
        const quantity = position!.size.replace("-", "")
        yield* simulator.change(id, userId, { _tag: "AutoDeleverage", pair, quantity, price: position!.entryPrice })
        yield* Effect.sleep("6 seconds")
        assert.strictEqual(account.positions()[0]?.size ?? "0", "0")
        assert.strictEqual(guard.state(id).killed?.of, id)
        assert.strictEqual(Decimal.toText(guard.state(id).exposure), "0")
        for (const { asset, quantity: left } of executor.exposure()) {
          assert.strictEqual(asset, "BTC")
          assert.isTrue(BigDecimal.isLessThan(BigDecimal.abs(left), Decimal.of("0.0001")), Decimal.toText(left))
        }
        const { profit } = yield* executor.performance
        const { funding, pnl } = guard.state()
        const apart = BigDecimal.abs(BigDecimal.subtract(BigDecimal.subtract(pnl, funding), profit))
        assert.isTrue(BigDecimal.isLessThan(apart, Decimal.of("0.1")), Decimal.toText(apart))
      }),
      layerOf(3, () => {})
    ))
})
