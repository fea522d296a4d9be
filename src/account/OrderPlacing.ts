/** Placing orders, one or several at once. An id of ours is used once: what may be in force is never placed again. */
import { Array as Arr, Cause, Effect } from "effect"
import type { Clock } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { OrderProtocol, PreparedOrder, Reply } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Accepted, OrderRequest, Outcome, Placed, Rejected, Rejection } from "../OrderEntry.ts"
import type { Flight, Flights } from "./Flights.ts"
import type { Lookup } from "./OrderLookup.ts"
import type { OrderNames } from "./OrderNames.ts"
import { placeKey } from "./OrderNames.ts"
import type { Outcomes } from "./OrderOutcomes.ts"
import { openQuestion, rejected } from "./OrderOutcomes.ts"
import * as OrderPreparation from "./OrderPreparation.ts"
import type { Lost } from "./OrderSocketLink.ts"
import { Refusal } from "./OrderSocketLink.ts"

export interface PlacingOptions {
  readonly exchange: ExchangeId
  readonly protocol: OrderProtocol
  /** Fails with `UnknownPair` for what is not listed. */
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  readonly newClientOrderId: () => string
  readonly flights: Flights
  readonly lookup: Lookup
  readonly names: OrderNames
  readonly outcomes: Outcomes
}

export interface Placing {
  readonly place: (request: OrderRequest) => Effect.Effect<Placed, ExchangeError.ExchangeError>
  readonly placeAll: (
    requests: NonEmptyReadonlyArray<OrderRequest>
  ) => Effect.Effect<ReadonlyArray<Placed>, ExchangeError.ExchangeError>
}

type Results = ReadonlyArray<Outcome<Order>>

/** Whether all answers of a batch stand where their orders stood: else nobody knows which is whose. */
const isInPlace = (results: ReadonlyArray<Order | Rejection>, orders: ReadonlyArray<PreparedOrder>): boolean =>
  results.length === orders.length &&
  results.every((result, index) =>
    !("orderId" in result) || result.clientOrderId === null || result.clientOrderId === orders[index]!.clientOrderId
  )

/** Never sent, so it counts nowhere. */
const notInForce = ({ clientOrderId }: PreparedOrder, error: ExchangeError.ExchangeError): Placed => ({
  clientOrderId,
  outcome: rejected({
    code: error.reason._tag,
    detail: error.message,
    class: error.isTransient ? "retryable" : "item"
  })
})

export const make = (
  { exchange, flights, instrument, lookup, names, newClientOrderId, outcomes, protocol }: PlacingOptions,
  clock: Clock.Clock
): Placing => {
  const invalid = (reason: ExchangeError.Reason): ExchangeError.ExchangeError => ExchangeError.make(exchange, reason)

  const usedBefore = (pair: TradingPair, clientOrderId: string) =>
    invalid(
      new ExchangeError.InvalidOrder({
        symbol: pair,
        field: "clientOrderId",
        detail: `"${clientOrderId}" was used before: look that order up with get, or leave the id out`
      })
    )

  const prepare = (request: OrderRequest): Effect.Effect<PreparedOrder, ExchangeError.ExchangeError> =>
    Effect.flatMap(instrument(request.pair), (found) => {
      const clientOrderId = request.clientOrderId ?? newClientOrderId()
      if (names.isUsed(found.symbol, clientOrderId)) return Effect.fail(usedBefore(request.pair, clientOrderId))
      return Effect.mapError(
        Effect.fromResult(OrderPreparation.prepare(found, request, clientOrderId, protocol)),
        invalid
      )
    })

  /** Its id is used from here on, unless it turns out that nothing was sent or that it was refused. */
  const claim = (orders: ReadonlyArray<PreparedOrder>): Effect.Effect<void, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const again = orders.find((order) => names.isUsed(order.instrument.symbol, order.clientOrderId))
      if (again !== undefined) return Effect.fail(usedBefore(again.instrument.pair, again.clientOrderId))
      for (const order of orders) names.use(order)
      return Effect.void
    })

  /** An error says that nothing is in force; what was cut short on its way may be. */
  const release =
    (orders: ReadonlyArray<PreparedOrder>, flight: Flight) => (cause: Cause.Cause<ExchangeError.ExchangeError>) =>
      Effect.sync(() => {
        if (flight.sent && (Cause.hasInterrupts(cause) || Cause.hasDies(cause))) return
        for (const order of orders) names.free(order)
      })

  /** By our id, which an answer need not repeat. */
  const learn = ({ clientOrderId, instrument: { symbol } }: PreparedOrder, { orderId }: Order): void =>
    names.learn({ symbol, orderId, clientOrderId })

  const settle = (order: PreparedOrder, result: Outcome<Order>): void => {
    if (result._tag === "Rejected") names.free(order)
    if (result._tag === "Accepted") learn(order, result.value)
    if (result._tag === "Unknown") names.doubt(order)
  }

  const known = (order: PreparedOrder, result: Accepted<Order> | Rejected): void => {
    names.settle(order)
    if (result._tag === "Accepted") learn(order, result.value)
  }

  type Read = (reply: Reply) => Effect.Effect<ReadonlyArray<Order | Refusal | Lost>>

  /** In one request. */
  const placeTogether = (
    orders: ReadonlyArray<PreparedOrder>,
    tag: "Place" | "PlaceAll",
    read: Read
  ): Effect.Effect<ReadonlyArray<Placed>, ExchangeError.ExchangeError> => {
    const command = tag === "Place" ? { _tag: tag, order: orders[0]! } : { _tag: tag, orders }
    const send = (flight: Flight) =>
      Effect.suspend(() => {
        const at = monotonicMillis(clock)
        const subjects = orders.map((order) => ({
          name: placeKey(order),
          evidence: lookup.placed(order, at),
          onKnown: (result: Accepted<Order> | Rejected) => known(order, result)
        }))
        return outcomes.ofAll(command, flight, read, subjects)
      }).pipe(
        Effect.tap((results) =>
          Effect.sync(() => {
            for (const [index, order] of orders.entries()) settle(order, results[index]!)
          })
        ),
        Effect.onError(release(orders, flight))
      )
    const run = flights.run<Results>(
      orders.map(placeKey),
      (flight) => Effect.andThen(claim(orders), send(flight)),
      (results) =>
        new Map(results.flatMap((result, index) => {
          const open = openQuestion(result)
          return open === null ? [] : [[placeKey(orders[index]!), open] as const]
        })),
      () => orders.map(outcomes.cut)
    )
    return Effect.map(
      run,
      (results) => orders.map(({ clientOrderId }, index): Placed => ({ clientOrderId, outcome: results[index]! }))
    )
  }

  const placeOne = (order: PreparedOrder): Effect.Effect<Placed, ExchangeError.ExchangeError> =>
    Effect.map(
      placeTogether([order], "Place", (reply) => Effect.map(outcomes.orderOf(reply), (one) => [one])),
      ([placed]) => placed!
    )

  const readAll = (orders: ReadonlyArray<PreparedOrder>): Read => (reply) => {
    const results = reply._tag === "Placed" && isInPlace(reply.results, orders) ? reply.results : null
    return Effect.succeed(orders.map((_, index) => {
      const result = results?.[index]
      if (result === undefined) return outcomes.withoutOrder(reply)
      return "orderId" in result ? result : new Refusal(result)
    }))
  }

  const batchesOf = (orders: ReadonlyArray<PreparedOrder>): ReadonlyArray<ReadonlyArray<PreparedOrder>> => {
    const groups = protocol.batchOfOneSymbol === true
      ? Object.values(Arr.groupBy(orders, ({ instrument: { symbol } }) => symbol))
      : [orders]
    return groups.flatMap((group) => Arr.chunksOf(group, protocol.batchSize))
  }

  return {
    place: Effect.fn("OrderEntry.place")(function*(request) {
      return yield* placeOne(yield* prepare(request))
    }),
    placeAll: Effect.fn("OrderEntry.placeAll")(function*(requests) {
      // All of them are checked before the first is sent.
      const prepared = yield* Effect.forEach(requests, prepare)
      const repeated = prepared.find((order, index) =>
        prepared.findIndex((other) => placeKey(other) === placeKey(order)) < index
      )
      if (repeated !== undefined) return yield* usedBefore(repeated.instrument.pair, repeated.clientOrderId)
      // Orders that wait for their price go by themselves: batches are of orders that are placed at once.
      const isBatched = protocol.abilities.has("batch") && prepared.every(({ trigger }) => trigger === null)
      const batches = isBatched ? batchesOf(prepared) : prepared.map((order) => [order])
      const placed = new Map<PreparedOrder, Placed>()
      for (const batch of batches) {
        const sent = isBatched
          ? placeTogether(batch, "PlaceAll", readAll(batch))
          : Effect.map(placeOne(batch[0]!), (result) => [result])
        const results = yield* sent.pipe(
          // Others have left before: the caller has to hear of them, and that these are not in force.
          Effect.catch((error) =>
            placed.size === 0 ? Effect.fail(error) : Effect.succeed(batch.map((order) => notInForce(order, error)))
          )
        )
        for (const [index, order] of batch.entries()) placed.set(order, results[index]!)
      }
      return prepared.map((order) => placed.get(order)!)
    })
  }
}
