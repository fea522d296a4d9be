/** Two exchanges in one program: the same code over both markets, and the difference of their prices. */
import { Exchanges, PublicExchange } from "effect-exchange"
import { Console, Context, Effect, Layer } from "effect"

const pair = "ETH/USDT"

/** An exchange's market, followed; whatever Layer it is given. */
const marketOf = Effect.fnUntraced(function*(id: Exchanges.KnownExchange) {
  const layer = PublicExchange.layer().pipe(Layer.provide(Exchanges.layerPublicConfig(id)))
  const market = Context.get(yield* Layer.build(layer), PublicExchange.PublicExchange)
  yield* market.initialize([pair])
  yield* market.awaitBook(pair)
  return market
})

const program = Effect.gen(function*() {
  const [mexc, gate] = yield* Effect.all([marketOf("mexc-spot"), marketOf("gate-spot")], { concurrency: 2 })
  for (let i = 0; i < 3; i++) {
    yield* Effect.sleep("200 millis")
    const [here, there] = [mexc.bestPrice(pair), gate.bestPrice(pair)]
    yield* here === null || there === null
      ? Console.log("a book is not in sync: no prices")
      : Console.log(`MEXC ${here.bidPrice} / ${here.askPrice}  Gate ${there.bidPrice} / ${there.askPrice}`)
  }
}).pipe(Effect.scoped)

Effect.runPromise(program)
