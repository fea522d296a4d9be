/**
 * For a program that is not on Effect: a `ManagedRuntime` owns the connection, and everything else is callbacks and
 * promises.
 */
import { Exchanges, PublicExchange } from "effect-exchange"
import { Layer, ManagedRuntime } from "effect"

const runtime = ManagedRuntime.make(PublicExchange.layer().pipe(Layer.provide(Exchanges.layerPublicConfig("mexc-spot"))))

const main = async (): Promise<void> => {
  try {
    const market = await runtime.runPromise(PublicExchange.PublicExchange)
    await runtime.runPromise(market.initialize(["BTC/USDT"]))
    await runtime.runPromise(market.awaitBook("BTC/USDT"))
    const best = market.bestPrice("BTC/USDT")
    console.log(best === null ? "not in sync" : `${best.bidPrice} / ${best.askPrice} from the ${best.source}`)
    // Whatever fails, fails with an `ExchangeError` whose `reason` is typed.
    await runtime.runPromise(market.awaitBook("ETH/USDT"))
  } catch (error) {
    console.log(String(error))
  } finally {
    // Closes the sockets.
    await runtime.dispose()
  }
}

await main()
