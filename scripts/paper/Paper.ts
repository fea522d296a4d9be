/**
 * One order's life on an exchange where it costs nothing: placed far from the market, found by both of its ids, moved,
 * cancelled, and each step seen on the private stream. Whatever happens, nothing of it stays open.
 */
import { Effect, Schedule, Stream } from "effect"
import type { Scope } from "effect"
import type { Order, OrderUpdate } from "../../src/domain/Account.ts"
import { isFinal } from "../../src/domain/Account.ts"
import type { Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import type { Accepted, OrderRef, Outcome } from "../../src/OrderEntry.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"

export type Services = OrderEntry | PrivateWebsocket | MarketRest

/** What went otherwise than it should. */
export class Unexpected extends Error {
  override readonly name = "Unexpected"
}

const wrong = (detail: string) => Effect.fail(new Unexpected(detail))

/** How long the stream may take to tell. */
const patience = "10 seconds"

/** Of the best bid: far enough not to be filled, near enough to be taken. */
const first = 0.9
const moved = 0.85

/** A little above the least that an order may be worth; contracts and steps are rounded down behind this. */
const quantityOf = (instrument: Instrument, price: number): number => {
  const { contractSize, minNotional, minQuantity, quantityStep } = instrument
  const worth = (minNotional ?? 0) * 1.2 / price / contractSize
  return Math.max(worth + quantityStep, minQuantity ?? 0, quantityStep)
}

const bestBid = Effect.fnUntraced(function*({ pair, symbol }: Instrument) {
  const rest = yield* MarketRest
  const { bids: [bid] } = yield* rest.book(symbol, { _tag: "Book", pair }, 0)
  return bid ?? (yield* wrong(`${pair} has no bids`))
})

/** Waits until it is known; anything but acceptance is unexpected here. */
const acceptedOf = Effect.fnUntraced(function*<A>(what: string, outcome: Outcome<A>) {
  const known = outcome._tag === "Unknown" ? yield* outcome.resolved : outcome
  if (known._tag === "Accepted") return (known satisfies Accepted<A>).value
  return yield* wrong(`${what} was refused: ${known.reason.code}: ${known.reason.detail}`)
})

/** Collects what the stream tells of orders. */
const follow = Effect.gen(function*() {
  const websocket = yield* PrivateWebsocket
  const updates: Array<OrderUpdate> = []
  yield* Effect.forkScoped(
    Stream.runForEach(websocket.events, (item) =>
      Effect.sync(() => {
        if (item._tag === "Data" && item.value._tag === "OrderUpdate") updates.push(item.value)
      })),
    { startImmediately: true }
  )
  yield* websocket.initialize(["Orders"])
  const seen = (what: string, condition: (update: OrderUpdate) => boolean) =>
    Effect.suspend(() => updates.some(condition) ? Effect.void : wrong("not yet")).pipe(
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeoutOrElse({ duration: patience, orElse: () => wrong(`the stream did not tell that ${what}`) })
    )
  return seen
})

const same = (order: Order | null, what: string) =>
  order === null ? wrong(`${what} does not find it`) : Effect.succeed(order)

/** Runs it; `say` hears of each step that went as it should. */
export const run = Effect.fnUntraced(function*(
  pair: TradingPair,
  say: (line: string) => Effect.Effect<void>
): Effect.fn.Return<void, Unexpected | ExchangeError, Services | Scope.Scope> {
  const { instruments } = yield* MarketRest
  const entry = yield* OrderEntry
  const instrument = (yield* instruments).find((each) => each.pair === pair) ?? (yield* wrong(`${pair} is not listed`))
  const bid = yield* bestBid(instrument)
  const seen = yield* follow
  const quantity = quantityOf(instrument, bid * moved)
  const { clientOrderId, outcome } = yield* entry.place({ pair, side: "buy", quantity, price: bid * first })
  const ref: OrderRef = { pair, clientOrderId }
  yield* Effect.addFinalizer(() => Effect.ignore(entry.cancel(ref)))
  const placed = yield* acceptedOf("placing", outcome)
  yield* say(`placed ${clientOrderId} as ${placed.orderId}`)
  yield* seen("it is open", ({ orderId }) => orderId === placed.orderId)
  yield* same(yield* entry.get(ref), "the client order id")
  yield* same(yield* entry.get({ pair, orderId: placed.orderId }), "the exchange's id")
  yield* say("found by both of its ids, and told by the stream")
  if (entry.abilities.has("amend")) {
    yield* acceptedOf("amending", yield* entry.amend(ref, { price: bid * moved }))
    yield* say("amended")
  }
  yield* acceptedOf("cancelling", yield* entry.cancel(ref))
  yield* seen("it has ended", ({ orderId, status }) => orderId === placed.orderId && isFinal(status))
  const ended = yield* same(yield* entry.get({ pair, orderId: placed.orderId }), "the exchange's id")
  if (ended.status !== "canceled") return yield* wrong(`it ended as ${ended.status}`)
  const open = yield* entry.openOrders(pair)
  if (open.some(({ orderId }) => orderId === placed.orderId)) return yield* wrong("it is still listed as open")
  yield* say("cancelled, and told by the stream")
})
