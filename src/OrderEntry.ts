/**
 * Commands of one account: place, cancel, amend, look up. What became of a command is a value: `Accepted`, `Rejected`, or
 * `Unknown` when the answer was lost. The error channel is for what never left: bad input, a full queue, no session.
 */
import { Context, Effect } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { MarginMode, Order, Side, TimeInForce } from "./domain/Account.ts"
import type * as Decimal from "./domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { AnswerClass, ExchangeError } from "./ExchangeError.ts"

/**
 * An order to place. Quantities and prices may be text, numbers or decimals; they are brought onto the instrument's steps
 * (quantity down, a buy's price down, a sell's price up) and checked against its limits before anything is sent.
 */
export interface OrderRequest {
  readonly pair: TradingPair
  readonly side: Side
  /** `limit` with a price, `market` without one, when left out. */
  readonly type?: "limit" | "market" | undefined
  /** Base (spot) or contracts (swap). One of `quantity` and `quoteQuantity` is needed. */
  readonly quantity?: Decimal.Input | undefined
  /** Quote: how much to spend. Spot market buys only. */
  readonly quoteQuantity?: Decimal.Input | undefined
  /** Quote. */
  readonly price?: Decimal.Input | undefined
  /** `gtc` for limit orders, `ioc` for market orders when left out. */
  readonly timeInForce?: TimeInForce | undefined
  /** Swap only. */
  readonly reduceOnly?: boolean | undefined
  /** Rests until the price is reached. Where an exchange has none: `UnsupportedOrder`, nothing sent. */
  readonly trigger?:
    | {
      readonly kind: "stop" | "takeProfit"
      readonly price: Decimal.Input
      readonly by?: "last" | "mark" | "index" | undefined
    }
    | undefined
  /** Made when left out: unique, valid by the exchange's rules. */
  readonly clientOrderId?: string | undefined
}

/** Which order: by the exchange's id or by ours. */
export type OrderRef =
  & ({ readonly pair: TradingPair; readonly orderId: string } | {
    readonly pair: TradingPair
    readonly clientOrderId: string
  })
  & {
    /** It waits for its trigger price: Gate futures keep such orders apart, and cancel them only when told so. */
    readonly trigger?: boolean | undefined
  }

export interface Amendment {
  /** Whole quantity, filled part included. */
  readonly quantity?: Decimal.Input | undefined
  readonly price?: Decimal.Input | undefined
}

/** Why the exchange refused. */
export interface Rejection {
  /** The exchange's code or label. */
  readonly code: string
  readonly detail: string
  readonly class: AnswerClass
  /** Milliseconds that the exchange asks to wait. */
  readonly retryAfterMs?: number | undefined
}

export interface Accepted<A> {
  readonly _tag: "Accepted"
  readonly value: A
}

/** The exchange has refused it: nothing of it is in force. */
export interface Rejected {
  readonly _tag: "Rejected"
  readonly reason: Rejection
}

/**
 * It was sent and its answer was lost: a timeout, a lost connection, HTTP 408, 499 or 5xx. The library asks the exchange by
 * client order id until it knows; `resolved` waits for that. Until then every other command for the same order waits too.
 * Where `resolved` fails the order stays closed; run once more it asks again, as `get` and every later command for the order
 * do, which fail with `OutcomeUnknown` and send nothing while that fails.
 * `never-arrived` is said of nothing that the exchange has acknowledged (Gate's socket): a placement that shows nothing for
 * a minute ends as `OutcomeUnknown`, and a cancel or an amendment is `not-carried-out`.
 */
export interface Unknown<A> {
  readonly _tag: "Unknown"
  readonly cause: ExchangeError
  readonly resolved: Effect.Effect<Accepted<A> | Rejected, ExchangeError>
}

export type Outcome<A> = Accepted<A> | Rejected | Unknown<A>

/** An outcome and whose it is. */
export interface Placed {
  readonly clientOrderId: string
  readonly outcome: Outcome<Order>
}

export type Ability =
  | "amend"
  | "batch"
  | "cancelAllAfter"
  | "leverage"
  | "marginMode"
  | "quoteQuantity"
  | "reduceOnly"
  | "trigger"

/**
 * Asked right before a command leaves, behind its turn within the limits and for a connection, which may be long behind the
 * call: null lets it leave, an error is the command's, and nothing is sent. For whoever judges orders.
 */
export const MayLeave = Context.Reference<() => ExchangeError | null>("effect-exchange/OrderEntry/MayLeave", {
  defaultValue: () => () => null
})

/** How far a command has come that places or amends. */
export interface Departure {
  /** False: it waits for its turn, and nothing of it has left. True: it may have reached the exchange. Null: nobody tells, so it may have. */
  hasLeft: boolean | null
}

/**
 * Where order entry tells it, for who interrupts a command and has to know whether it was taken back. Null: nobody asks. What is
 * interrupted while it waits never leaves.
 */
export const Departing = Context.Reference<Departure | null>("effect-exchange/OrderEntry/Departing", {
  defaultValue: () => null
})

/** Runs a command with a `Departure` to look at: that of the caller, where there is one. */
export const departing = <A, E, R>(
  command: (departure: Departure) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Departing, (known) => {
    const departure = known ?? { hasLeft: null }
    return Effect.provideService(command(departure), Departing, departure)
  })

export class OrderEntry extends Context.Service<OrderEntry, {
  readonly exchange: ExchangeId
  /** What this exchange has beyond placing, cancelling and looking up. Asking for the rest is `UnsupportedOrder`. */
  readonly abilities: ReadonlySet<Ability>
  /** A new one, unique and valid by the exchange's rules: for who has to know an order's name before it leaves. */
  readonly makeClientOrderId: Effect.Effect<string>
  readonly place: (order: OrderRequest) => Effect.Effect<Placed, ExchangeError>
  /** In the order of the requests. Fails only when nothing was sent. */
  readonly placeAll: (
    orders: NonEmptyReadonlyArray<OrderRequest>
  ) => Effect.Effect<ReadonlyArray<Placed>, ExchangeError>
  /** `Accepted`: the order as it is after it. An order that is already final is `Rejected`. */
  readonly cancel: (order: OrderRef) => Effect.Effect<Outcome<Order>, ExchangeError>
  /**
   * Cancels every open order, of one pair or of all; `Accepted` with those that were cancelled, and, where its answer was lost,
   * with those of them that were still open when it was first asked. It leaves at once, whatever is under way: a placement that is still `Unknown` may come into force after it, so wait for its `resolved` and cancel it.
   */
  readonly cancelAll: (pair?: TradingPair) => Effect.Effect<Outcome<ReadonlyArray<Order>>, ExchangeError>
  readonly amend: (order: OrderRef, amendment: Amendment) => Effect.Effect<Outcome<Order>, ExchangeError>
  /**
   * Null when the exchange has no such order. Of one whose last command ended as `OutcomeUnknown` it is asked first what became
   * of that.
   */
  readonly get: (order: OrderRef) => Effect.Effect<Order | null, ExchangeError>
  /** Those of one pair or of all; MEXC lists one pair's only and fails with `InvalidUse` without it. */
  readonly openOrders: (pair?: TradingPair) => Effect.Effect<ReadonlyArray<Order>, ExchangeError>
  /**
   * The exchange's dead man's switch: cancels everything unless called again within `afterMs`; null disarms it. Gate takes
   * whole seconds, so it is rounded up, and no less than 5 s: `UnsupportedOrder`, nothing is sent.
   */
  readonly cancelAllAfter: (afterMs: number | null, pair?: TradingPair) => Effect.Effect<void, ExchangeError>
  /** Null: cross margin without a leverage of its own. */
  readonly leverage: (
    pair: TradingPair
  ) => Effect.Effect<{ readonly leverage: Decimal.Decimal; readonly mode: MarginMode }, ExchangeError>
  readonly setLeverage: (pair: TradingPair, leverage: Decimal.Input) => Effect.Effect<void, ExchangeError>
  readonly setMarginMode: (pair: TradingPair, mode: MarginMode) => Effect.Effect<void, ExchangeError>
  /** Whether commands can leave now: connected and, where the exchange asks for it, logged in. */
  readonly isReady: Effect.Effect<boolean>
}>()("effect-exchange/OrderEntry") {}
