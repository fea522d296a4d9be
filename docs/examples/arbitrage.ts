/**
 * Three exchanges in one program: edges between them after fees, and both legs of each traded, through limits that every
 * order passes. Ends after three executions, and tells what is left. Keys come from `MEXC_API_KEY`, `GATE_API_KEY`, ….
 */
import { ArbitrageExecutor, ArbitrageMonitor, Decimal, Exchanges, Markets, RiskGuard } from "effect-exchange"
import { Console, Effect, Layer, Stream } from "effect"

const spot = ["BTC/USDT", "ETH/USDT"] as const
const swaps = ["BTC/USDT:USDT", "ETH/USDT:USDT"] as const

/** Each is an island: one that is lost leaves the others alone, and may trade again when it is reconciled. */
const markets = Markets.layer({
  "mexc-spot": { layer: Exchanges.layer("mexc-spot"), pairs: spot },
  "gate-spot": { layer: Exchanges.layer("gate-spot"), pairs: spot },
  "gate-futures": { layer: Exchanges.layer("gate-futures"), pairs: swaps }
})

const monitor = ArbitrageMonitor.layer({
  routes: { fees: { "mexc-spot": 0.0005, "gate-spot": 0.002, "gate-futures": 0.00075 } },
  maxNotional: 1_000,
  minProfit: 0.1
})

const guard = RiskGuard.layer({ global: { maxNotional: "20000", maxLoss: "500" } })

const layer = ArbitrageExecutor.layer().pipe(Layer.provideMerge(Layer.merge(monitor, guard)), Layer.provideMerge(markets))

const program = Effect.gen(function*() {
  const executor = yield* ArbitrageExecutor.ArbitrageExecutor
  yield* Effect.forkScoped(executor.run)
  yield* executor.executions.pipe(
    Stream.take(3),
    Stream.runForEach(({ _tag, buy, profit, sell }) =>
      Console.log(`${_tag}: ${buy.pair} ${buy.exchange} > ${sell.exchange}, ${Decimal.toNumber(profit).toFixed(2)} USDT`)
    )
  )
  const { openOrders } = yield* executor.drain
  const left = yield* (yield* Markets.Markets).stop("cancel")
  yield* Console.log(`${openOrders} orders under way, ${left.flatMap(({ open }) => open).length} left open`)
}).pipe(Effect.scoped)

Effect.runPromise(Effect.provide(program, layer))
