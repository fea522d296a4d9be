/**
 * A live order book: five states of it, each in step with the exchange's own. `Stale` has no prices, so none can be taken
 * from it by accident.
 */
import { Exchanges, OrderBooks } from "effect-exchange"
import { Console, Effect, Layer, Stream } from "effect"

const pair = "BTC/USDT"

const program = Effect.gen(function*() {
  const books = yield* OrderBooks.OrderBooks
  yield* books.changes(pair).pipe(
    Stream.filter((live) => live._tag === "Synced"),
    Stream.take(5),
    Stream.runForEach(({ book }) => Console.log(`${book.bidPrice()} / ${book.askPrice()}  spread ${book.spread.toFixed(2)}`))
  )
})

const layer = OrderBooks.layer([pair]).pipe(Layer.provide(Exchanges.layerPublicConfig("mexc-spot")))

Effect.runPromise(Effect.provide(program, layer))
