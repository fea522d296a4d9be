/**
 * A resting order, amended and cancelled, and one that trades, with its fills. Keys come from `GATE_API_KEY` and
 * `GATE_API_SECRET`.
 */
import { Decimal, Exchanges, PrivateWebsocket } from "effect-exchange"
import type { OrderEntry } from "effect-exchange"
import { Console, Deferred, Effect } from "effect"

const pair = "BTC/USDT"

/** An answer that was lost is not a refusal: wait until the exchange has told what it did. */
const known = <A>(outcome: OrderEntry.Outcome<A>) =>
  outcome._tag === "Unknown" ? outcome.resolved : Effect.succeed(outcome)

const told = <A>(what: string, outcome: OrderEntry.Accepted<A> | OrderEntry.Rejected) =>
  Console.log(outcome._tag === "Accepted" ? `${what}: accepted` : `${what}: ${outcome.reason.detail}`)

const program = Effect.gen(function*() {
  const account = yield* PrivateWebsocket.PrivateWebsocket
  const filled = yield* Deferred.make<void>()
  yield* account.handle({
    onFill: (fill) => {
      console.log(`filled: ${fill.side} ${Decimal.toText(fill.quantity)} at ${Decimal.toText(fill.price)}`)
      Deferred.doneUnsafe(filled, Effect.void)
    }
  })
  yield* account.initialize(["Orders", "Fills", "Balances"])

  // Only what Gate spot has: leverage, say, does not compile here.
  const entry = yield* Exchanges.ordersOf("gate-spot")
  const resting = yield* entry.place({ pair, side: "buy", quantity: "0.001", price: "20000" })
  yield* told("place", yield* known(resting.outcome))
  const ref = { pair, clientOrderId: resting.clientOrderId } as const
  yield* told("amend", yield* known(yield* entry.amend(ref, { price: "21000" })))
  yield* told("cancel", yield* known(yield* entry.cancel(ref)))

  const market = yield* entry.place({ pair, side: "sell", type: "market", quantity: "0.001" })
  yield* told("sell", yield* known(market.outcome))
  yield* Deferred.await(filled)
}).pipe(Effect.scoped)

Effect.runPromise(Effect.provide(program, Exchanges.layerAccountConfig("gate-spot")))
