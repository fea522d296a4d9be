/** Cancelling and amending orders that are there, called by either of their names. */
import { Array as Arr, Effect } from "effect"
import type { Duration } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Command, OrderProtocol, Reply, SymbolRef } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Amendment, OrderEntry, OrderRef, Outcome } from "../OrderEntry.ts"
import type { Flight, Flights } from "./Flights.ts"
import type { Dispatch } from "./OrderDispatch.ts"
import type { Change, Lookup } from "./OrderLookup.ts"
import type { OrderNames } from "./OrderNames.ts"
import type { Evidence, Outcomes } from "./OrderOutcomes.ts"
import { openQuestion, rejected } from "./OrderOutcomes.ts"
import * as OrderPreparation from "./OrderPreparation.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"

export interface ChangingOptions {
  readonly exchange: ExchangeId
  readonly protocol: OrderProtocol
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** Before orders are told that only their symbol names: what the exchange lists has their pairs. */
  readonly listed: Effect.Effect<void, ExchangeError.ExchangeError>
  /** How long cancelling all waits for `listed`. */
  readonly queueTimeout: Duration.Input
  readonly plain: Dispatch["plain"]
  readonly flights: Flights
  readonly lookup: Lookup
  readonly names: OrderNames
  readonly outcomes: Outcomes
}

export interface Changing extends Pick<OrderEntry["Service"], "cancel" | "cancelAll" | "amend"> {
  /** An order as the exchange is asked for it. */
  readonly refOf: (ref: OrderRef) => Effect.Effect<SymbolRef, ExchangeError.ExchangeError>
}

export const make = (
  { exchange, flights, instrument, listed, lookup, names, outcomes, plain, protocol, queueTimeout }: ChangingOptions
): Changing => {
  const invalid = (reason: ExchangeError.Reason): ExchangeError.ExchangeError => ExchangeError.make(exchange, reason)

  const refOf: Changing["refOf"] = (ref) =>
    Effect.map(
      instrument(ref.pair),
      ({ symbol }) =>
        lookup.withTrigger(
          "orderId" in ref ? { symbol, orderId: ref.orderId } : { symbol, clientOrderId: ref.clientOrderId },
          ref.trigger
        )
    )

  /**
   * What an order is held by. Where the exchange's id could be of a placement whose outcome is not known, the exchange is
   * asked whose it is; and while it cannot tell, the command waits for all that it could be.
   */
  const keysOf = (ref: SymbolRef): Effect.Effect<NonEmptyReadonlyArray<string>> =>
    Effect.suspend(() => {
      if (names.isKnown(ref) || names.doubtsOf(ref.symbol).length === 0) return Effect.succeed([names.keyOf(ref)])
      return Effect.match(lookup.look(ref), {
        onSuccess: (): NonEmptyReadonlyArray<string> => [names.keyOf(ref)],
        onFailure: (): NonEmptyReadonlyArray<string> =>
          Arr.dedupe([names.keyOf(ref), ...names.doubtsOf(ref.symbol)] as const)
      })
    })

  /** Runs with the order to itself, until its outcome is known. */
  const alone = Effect.fnUntraced(function*(
    ref: SymbolRef,
    command: (flight: Flight) => Effect.Effect<Outcome<Order>, ExchangeError.ExchangeError>
  ) {
    const keys = yield* keysOf(ref)
    return yield* flights.run<Outcome<Order>>(keys, command, (result) => {
      const open = openQuestion(result)
      // Which of the keys turned out to be its own.
      const own = names.keyOf(ref)
      return new Map(open === null ? [] : [[keys.find((key) => key === own) ?? keys[0], open]])
    }, outcomes.cut)
  })

  const changeOf = Effect.fnUntraced(function*(found: Instrument, before: Order, amendment: Amendment) {
    const checked = <A>(result: Parameters<typeof Effect.fromResult<A, OrderPreparation.Refused>>[0]) =>
      Effect.mapError(Effect.fromResult(result), invalid)
    const change: Change = {
      price: amendment.price === undefined
        ? null
        : yield* checked(OrderPreparation.priceOf(found, before.side, amendment.price)),
      quantity: amendment.quantity === undefined
        ? null
        : yield* checked(OrderPreparation.amendedQuantity(found, amendment.quantity))
    }
    if (change.price !== null || change.quantity !== null) return change
    return yield* invalid(
      new ExchangeError.InvalidOrder({
        symbol: found.pair,
        field: "amendment",
        detail: "names neither price nor quantity"
      })
    )
  })

  /** What was cancelled is looked up once; what that does not tell is not known for now. */
  const settledNow = (evidence: Evidence<ReadonlyArray<Order>>) =>
    Effect.match(evidence(false), {
      onSuccess: (found) =>
        found ?? new Lost(invalid(new ExchangeError.DecodeFailed({ detail: "a cancelled order still shows as open" }))),
      onFailure: (error) => new Lost(error)
    })

  const carryOut = Effect.fnUntraced(function*(
    found: Instrument,
    target: SymbolRef,
    amendment: Amendment,
    flight: Flight
  ) {
    const before = lookup.orderIn(yield* plain({ _tag: "Get", ref: target }))
    if (before === null) {
      return rejected({ code: "unknown-order", detail: "there is no such order", class: "item" })
    }
    const change = yield* changeOf(found, before, amendment)
    const command: Command = {
      _tag: "Amend",
      ref: target,
      side: before.side,
      price: change.price === null ? null : Decimal.toText(change.price),
      quantity: change.quantity === null ? null : Decimal.toText(change.quantity)
    }
    return yield* outcomes.of(command, flight, outcomes.orderOf, {
      name: names.keyOf(target),
      evidence: lookup.amended(target, change)
    })
  })

  return {
    refOf,
    cancel: Effect.fn("OrderEntry.cancel")(function*(ref: OrderRef) {
      const target = yield* refOf(ref)
      return yield* alone(
        target,
        (flight) =>
          outcomes.of({ _tag: "Cancel", ref: target }, flight, outcomes.orderOf, {
            name: names.keyOf(target),
            evidence: lookup.cancelled(target)
          })
      )
    }),
    cancelAll: Effect.fn("OrderEntry.cancelAll")(function*(pair?: TradingPair) {
      // Without a pair the instruments may not have been read, and orders would come without theirs. An exchange that does
      // not list them now cancels all the same.
      if (pair === undefined) yield* Effect.ignore(Effect.timeoutOption(listed, queueTimeout))
      const symbol = pair === undefined ? null : (yield* instrument(pair)).symbol
      return yield* flights.run<Outcome<ReadonlyArray<Order>>>(
        [],
        (flight) => {
          const none = lookup.noneLeft(symbol)
          let evidence: Evidence<ReadonlyArray<Order>> = none
          const read = (reply: Reply) => {
            if (reply._tag !== "Orders") return Effect.succeed([])
            const { orders, unsettled = [] } = reply
            if (unsettled.length === 0) return Effect.succeed(orders)
            const others = lookup.settled(unsettled)
            evidence = (late) =>
              Effect.map(
                others(late),
                (found) => found === null || found instanceof Refusal ? found : [...orders, ...found]
              )
            return settledNow(evidence)
          }
          const subject = {
            name: symbol ?? "all orders",
            evidence: (late: boolean) => Effect.suspend(() => evidence(late))
          }
          return outcomes.of<ReadonlyArray<Order>>({ _tag: "CancelAll", symbol }, flight, read, subject)
        },
        () => new Map(),
        outcomes.cut
      )
    }),
    amend: Effect.fn("OrderEntry.amend")(function*(ref: OrderRef, amendment: Amendment) {
      const found = yield* instrument(ref.pair)
      if (!protocol.abilities.has("amend")) {
        return yield* invalid(
          new ExchangeError.UnsupportedOrder({ symbol: ref.pair, detail: "orders cannot be amended; cancel and place" })
        )
      }
      const target = yield* refOf(ref)
      return yield* alone(target, (flight) => carryOut(found, target, amendment, flight))
    })
  }
}
