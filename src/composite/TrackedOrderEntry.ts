/**
 * Order entry whose orders a tracker follows from the moment they are handed over: what is sent, what is answered, what was
 * lost and what that turned out to be.
 */
import { Cause, Effect, Exit } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Order } from "../domain/Account.ts"
import type * as ExchangeError from "../ExchangeError.ts"
import type { Accepted, OrderRequest, Outcome, Placed, Rejected, Rejection } from "../OrderEntry.ts"
import { departing, OrderEntry } from "../OrderEntry.ts"
import type { OrderTracker } from "./OrderTracker.ts"

/** Between two questions about an order: doubles up to 5 s, ms. */
const pause = (attempt: number): number => Math.min(5_000, 100 * 2 ** Math.min(attempt, 6))

const takenBack: Rejection = {
  code: "interrupted",
  detail: "its caller was interrupted before it had left",
  class: "item"
}

const interrupted: Rejection = {
  code: "interrupted",
  detail: "its caller was interrupted, and the exchange knows no such order",
  class: "item"
}

/** Nothing was sent. */
const notSent = ({ isTransient, message, reason }: ExchangeError.ExchangeError): Rejection => ({
  code: reason._tag,
  detail: message,
  class: isTransient ? "retryable" : "item"
})

/** The same service, to be used in its place. */
export const make = (
  entry: OrderEntry["Service"],
  tracker: OrderTracker,
  now: () => number,
  /** Runs beside everything, while the Layer lives. */
  fork: (effect: Effect.Effect<unknown>) => void,
  lookForMillis: number
): OrderEntry["Service"] => {
  const told = (orders: ReadonlyArray<Order>): void => {
    for (const order of orders) tracker.told(order, now(), "answer")
  }

  const settled = (clientOrderId: string, outcome: Accepted<Order> | Rejected): void => {
    if (outcome._tag === "Rejected") tracker.rejected(clientOrderId, outcome.reason, now())
    // An answer need not repeat our id.
    else tracker.told({ ...outcome.value, clientOrderId }, now(), "answer")
  }

  /** `isNew`: the tracker knew no such order before, so that a refusal is of this attempt. */
  const answered = ({ clientOrderId, outcome }: Placed, isNew: boolean): void => {
    if (outcome._tag === "Accepted") return settled(clientOrderId, outcome)
    if (!isNew) return
    if (outcome._tag === "Rejected") return settled(clientOrderId, outcome)
    tracker.lost(clientOrderId, now())
    fork(Effect.match(outcome.resolved, {
      // It is not known, and stays so until the stream or a reading tells.
      onFailure: () => {},
      onSuccess: (resolved) => settled(clientOrderId, resolved)
    }))
  }

  /** Whether it has left is not known: the exchange is asked until it shows, or cannot arrive any more. */
  const look = Effect.fnUntraced(function*({ clientOrderId, pair, trigger }: Named) {
    const ref = { pair, clientOrderId, trigger: trigger === undefined ? undefined : true }
    const until = now() + lookForMillis
    for (let attempt = 0; tracker.get(clientOrderId)?.state._tag === "Unknown"; attempt++) {
      const found = yield* Effect.exit(entry.get(ref))
      if (Exit.isSuccess(found)) {
        if (found.value !== null) return tracker.told({ ...found.value, clientOrderId }, now(), "answer")
        if (now() >= until) return tracker.rejected(clientOrderId, interrupted, now())
      }
      yield* Effect.sleep(pause(attempt))
    }
  })

  type Named = OrderRequest & { readonly clientOrderId: string }

  const named = (request: OrderRequest): Effect.Effect<Named> =>
    request.clientOrderId !== undefined
      ? Effect.succeed({ ...request, clientOrderId: request.clientOrderId })
      : Effect.map(entry.makeClientOrderId, (clientOrderId) => ({ ...request, clientOrderId }))

  /** Runs a placement with its orders tracked from before it leaves. */
  const placing = <A>(
    requests: ReadonlyArray<Named>,
    place: Effect.Effect<A, ExchangeError.ExchangeError>,
    placed: (result: A) => ReadonlyArray<Placed>
  ): Effect.Effect<A, ExchangeError.ExchangeError> =>
    departing((departure) => {
      const ours = new Map(requests.map((request): readonly [string, Named] => [request.clientOrderId, request]))
      for (const { clientOrderId, pair } of requests) {
        if (!tracker.sent(clientOrderId, pair, now())) ours.delete(clientOrderId)
      }
      const each = (act: (request: Named) => void): void => ours.forEach(act)
      tracker.placements += requests.length
      return Effect.onExit(place, (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) {
            for (const result of placed(exit.value)) answered(result, ours.has(result.clientOrderId))
            return
          }
          const error = Cause.findErrorOption(exit.cause)
          if (error._tag === "Some" || departure.hasLeft === false) tracker.placements -= requests.length
          if (error._tag === "Some") {
            return each(({ clientOrderId }) => tracker.rejected(clientOrderId, notSent(error.value), now()))
          }
          // Nothing has left.
          if (departure.hasLeft === false) {
            return each(({ clientOrderId }) => tracker.rejected(clientOrderId, takenBack, now()))
          }
          each((request) => {
            tracker.lost(request.clientOrderId, now())
            fork(look(request))
          })
        }))
    })

  /** Runs a cancel; `ended` is told when nothing of it is under way any more. */
  const canceling = <A>(
    ended: (at: number) => void,
    cancel: Effect.Effect<Outcome<A>, ExchangeError.ExchangeError>,
    orders: (value: A) => ReadonlyArray<Order>
  ): Effect.Effect<Outcome<A>, ExchangeError.ExchangeError> => {
    const close = (outcome: Accepted<A> | Rejected): void => {
      if (outcome._tag === "Accepted") told(orders(outcome.value))
      ended(now())
    }
    return Effect.onExit(cancel, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) return ended(now())
        if (exit.value._tag !== "Unknown") return close(exit.value)
        fork(Effect.match(exit.value.resolved, { onFailure: () => {}, onSuccess: close }))
      }))
  }

  return OrderEntry.of({
    ...entry,
    place: (request) =>
      Effect.flatMap(named(request), (order) => placing([order], entry.place(order), (placed) => [placed])),
    placeAll: (requests) =>
      Effect.flatMap(
        Effect.forEach(requests, named),
        (orders) =>
          placing(
            orders,
            // As many as there were.
            entry.placeAll(orders as unknown as NonEmptyReadonlyArray<OrderRequest>),
            (placed) => placed
          )
      ),
    cancel: (ref) =>
      Effect.suspend(() => canceling(tracker.canceling(ref, now()), entry.cancel(ref), (order) => [order])),
    cancelAll: (pair) =>
      Effect.suspend(() => canceling(tracker.cancelingAll(pair, now()), entry.cancelAll(pair), (orders) => orders)),
    amend: (ref, amendment) =>
      Effect.tap(entry.amend(ref, amendment), (outcome) =>
        Effect.sync(() => {
          if (outcome._tag === "Accepted") told([outcome.value])
        })),
    get: (ref) => Effect.tap(entry.get(ref), (order) => Effect.sync(() => told(order === null ? [] : [order]))),
    openOrders: (pair) => Effect.tap(entry.openOrders(pair), (orders) => Effect.sync(() => told(orders)))
  })
}
