/**
 * The basis of a perpetual: what it costs above spot, and what its funding pays for holding it. Quantities of perpetuals are
 * contracts; prices compare as they are.
 */
import { Exchanges, PublicExchange } from "effect-exchange"
import { Console, Context, Effect, Layer } from "effect"

const marketOf = Effect.fnUntraced(function*(id: Exchanges.KnownExchange, pair: `${string}/${string}`) {
  const layer = PublicExchange.layer().pipe(Layer.provide(Exchanges.layerPublicConfig(id)))
  const market = Context.get(yield* Layer.build(layer), PublicExchange.PublicExchange)
  yield* market.initialize([pair])
  yield* market.awaitBook(pair)
  return market
})

const program = Effect.gen(function*() {
  const [spot, swap] = yield* Effect.all([
    marketOf("gate-spot", "BTC/USDT"),
    marketOf("gate-futures", "BTC/USDT:USDT")
  ], { concurrency: 2 })
  // The ticker comes once a second.
  while (swap.futuresTicker("BTC/USDT:USDT") === null) yield* Effect.sleep("100 millis")
  for (let i = 0; i < 3; i++) {
    yield* Effect.sleep("200 millis")
    const [here, there] = [spot.bestPrice("BTC/USDT"), swap.bestPrice("BTC/USDT:USDT")]
    const funding = yield* swap.funding("BTC/USDT:USDT")
    if (here === null || there === null || funding === null) continue
    // Bought at the one's ask and sold at the other's bid.
    const basis = (there.bidPrice - here.askPrice) / here.askPrice
    yield* Console.log(`basis ${(basis * 10_000).toFixed(1)} bp, funding ${(funding.rate * 10_000).toFixed(2)} bp`)
  }
}).pipe(Effect.scoped)

Effect.runPromise(program)
