/**
 * Sends commands and finds out what became of them. The one rule: what may have reached the exchange is never sent again,
 * and nothing else is sent for the same order, before the exchange has been asked what it knows.
 *
 * How a command leaves stands in `OrderDispatch`; what its answer means, and what is done without one, in `OrderOutcomes`;
 * that there is one for an order at a time, in `Flights`.
 */
import { Clock, Duration, Effect, Random } from "effect"
import type { Scope } from "effect"
import type { MarginMode, Order } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Ability, OrderRef } from "../OrderEntry.ts"
import { Departing, OrderEntry } from "../OrderEntry.ts"
import type { Use } from "../RateLimits.ts"
import * as Flights from "./Flights.ts"
import * as OrderChanging from "./OrderChanging.ts"
import type { DispatchOptions } from "./OrderDispatch.ts"
import * as OrderDispatch from "./OrderDispatch.ts"
import * as OrderLookup from "./OrderLookup.ts"
import { OrderNames } from "./OrderNames.ts"
import * as OrderOutcomes from "./OrderOutcomes.ts"
import * as OrderPlacing from "./OrderPlacing.ts"

export interface DeskOptions extends DispatchOptions {
  /** What a reading that looks for a lost command uses of the limits; nothing when left out. */
  readonly readUses?: ((read: "fills" | "openOrders") => ReadonlyArray<Use>) | undefined
  /** Fails with `UnknownPair` for what is not listed. */
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** Before orders are told that only their symbol names: what the exchange lists has their pairs. */
  readonly listed: Effect.Effect<void, ExchangeError.ExchangeError>
  /** A request that reaches the exchange later than this is refused there (MEXC `recvWindow`, Gate `x-gate-exptime`). */
  readonly expiry: Duration.Input
  /** How many questions behind the expiry must find nothing before a command counts as never arrived. Default 2. */
  readonly looks?: number | undefined
}

export const make = Effect.fnUntraced(
  function*(options: DeskOptions): Effect.fn.Return<OrderEntry["Service"], never, Scope.Scope> {
    const { counts, exchange, instrument, link, listed, protocol, queueTimeout } = options
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const leastCancelAfter = Duration.toMillis(protocol.leastCancelAllAfter ?? Duration.millis(1))
    let sequence = 0

    const invalid = (reason: ExchangeError.Reason): ExchangeError.ExchangeError => ExchangeError.make(exchange, reason)

    const closed = invalid(
      new ExchangeError.Closed({ detail: "order entry was closed; ask the exchange what became of commands under way" })
    )
    const flights = yield* Flights.make(
      closed,
      (order, error) =>
        error.reason._tag === "OutcomeUnknown" ? error : invalid(
          new ExchangeError.OutcomeUnknown({ order, detail: error.message })
        )
    )

    const newClientOrderId = (): string => {
      const salt = Math.floor(random.nextDoubleUnsafe() * 36 ** 4).toString(36).padStart(4, "0")
      const at = Math.floor(clock.currentTimeMillisUnsafe())
      return protocol.clientOrderIds.make(`${at.toString(36)}${(++sequence).toString(36)}${salt}`)
    }

    const names = new OrderNames()
    const { plain, question, send } = OrderDispatch.make(options, clock)
    const { calls, exchangeNow, expiry, looks = 2, readUses } = options
    const lookup = OrderLookup.make({ calls, exchangeNow, names, protocol, question, readUses }, clock)
    const outcomes = OrderOutcomes.make({ closed, counts, exchange, expiry, flights, looks, send }, clock)
    const shared = { exchange, flights, instrument, lookup, names, outcomes, protocol }
    const placing = OrderPlacing.make({ ...shared, newClientOrderId }, clock)
    const changing = OrderChanging.make({ ...shared, listed, plain, queueTimeout })

    const learnAll = (orders: ReadonlyArray<Order>): ReadonlyArray<Order> => {
      for (const order of orders) names.learn(order)
      return orders
    }

    const needs = (ability: Ability, what: string, pair?: TradingPair) =>
      protocol.abilities.has(ability)
        ? Effect.void
        : Effect.fail(
          invalid(new ExchangeError.UnsupportedOrder({ symbol: pair, detail: `this exchange has no ${what}` }))
        )

    /** Nothing of it has left before it is its turn. */
    const waiting = <A, E>(command: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.flatMap(Departing, (departure) => {
        if (departure !== null) departure.hasLeft ??= false
        return command
      })

    return OrderEntry.of({
      exchange,
      abilities: protocol.abilities,
      makeClientOrderId: Effect.sync(newClientOrderId),
      place: (request) => waiting(placing.place(request)),
      placeAll: (requests) => waiting(placing.placeAll(requests)),
      cancel: changing.cancel,
      cancelAll: changing.cancelAll,
      amend: (ref, amendment) => waiting(changing.amend(ref, amendment)),
      get: Effect.fn("OrderEntry.get")(function*(ref: OrderRef) {
        const target = yield* changing.refOf(ref)
        // What became of its last command may be found now; if not, the order is told as it stands all the same.
        yield* Effect.ignore(Effect.timeoutOption(flights.askAgain(names.keyOf(target)), queueTimeout))
        const reply = yield* plain({ _tag: "Get", ref: target })
        return lookup.orderIn(reply)
      }),
      openOrders: Effect.fn("OrderEntry.openOrders")(function*(pair?: TradingPair) {
        yield* listed
        const symbol = pair === undefined ? null : (yield* instrument(pair)).symbol
        const reply = yield* plain({ _tag: "OpenOrders", symbol })
        return reply._tag === "Orders" ? learnAll(reply.orders) : []
      }),
      cancelAllAfter: Effect.fn("OrderEntry.cancelAllAfter")(function*(afterMs: number | null, pair?: TradingPair) {
        yield* needs("cancelAllAfter", "dead man's switch", pair)
        if (afterMs !== null && !(afterMs >= leastCancelAfter)) {
          const detail =
            `the dead man's switch of this exchange takes ${leastCancelAfter} ms at the least, not ${afterMs}`
          return yield* invalid(new ExchangeError.UnsupportedOrder({ symbol: pair, detail }))
        }
        const symbol = pair === undefined ? null : (yield* instrument(pair)).symbol
        yield* plain({ _tag: "CancelAllAfter", afterMs, symbol })
      }),
      leverage: Effect.fn("OrderEntry.leverage")(function*(pair: TradingPair) {
        yield* needs("leverage", "leverage", pair)
        const { symbol } = yield* instrument(pair)
        const reply = yield* plain({ _tag: "Leverage", symbol })
        return reply._tag === "Leverage" ? reply : yield* invalid(
          new ExchangeError.DecodeFailed({ symbol: pair, detail: "the answer holds no leverage" })
        )
      }),
      setLeverage: Effect.fn("OrderEntry.setLeverage")(function*(pair: TradingPair, leverage: Decimal.Input) {
        yield* needs("leverage", "leverage", pair)
        const { symbol } = yield* instrument(pair)
        const value = yield* Effect.mapError(
          Effect.fromResult(Decimal.fromInput(leverage)),
          (detail) => invalid(new ExchangeError.InvalidOrder({ symbol: pair, field: "leverage", detail }))
        )
        yield* plain({ _tag: "SetLeverage", symbol, leverage: Decimal.toText(value) })
      }),
      setMarginMode: Effect.fn("OrderEntry.setMarginMode")(function*(pair: TradingPair, mode: MarginMode) {
        yield* needs("marginMode", "margin mode", pair)
        const { symbol } = yield* instrument(pair)
        yield* plain({ _tag: "SetMarginMode", symbol, mode })
      }),
      isReady: link === null ? Effect.succeed(true) : link.isReady
    })
  }
)
