/** The life of each order as a state machine, with `Unknown` as a state. Pure: `PrivateExchange` feeds it. */
import type { Fill, Order, OrderStatus } from "../domain/Account.ts"
import type * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { Rejection } from "../OrderEntry.ts"

/**
 * - `Sending`: handed to the exchange, no answer yet.
 * - `Unknown`: its answer was lost; it may or may not be in force. Nothing may be sent for it until it is known.
 * - `Open`: in force, nothing or a part of it filled.
 * - `Canceling`: in force, and a cancel is under way.
 * - `Final`: `filled`, `canceled`, `partiallyCanceled`, `rejected`; it never changes again.
 */
export type OrderState =
  | { readonly _tag: "Sending"; readonly at: number }
  | { readonly _tag: "Unknown"; readonly at: number }
  | { readonly _tag: "Open"; readonly at: number }
  | { readonly _tag: "Canceling"; readonly at: number }
  | {
    readonly _tag: "Final"
    readonly at: number
    readonly status: Exclude<OrderStatus, "new" | "partiallyFilled">
    /** Why the exchange refused it; null unless it was. */
    readonly rejection: Rejection | null
  }

export interface TrackedOrder {
  readonly exchange: ExchangeId
  readonly account: string
  /** Ours where it has one, else the exchange's id behind `#`. */
  readonly key: string
  readonly pair: TradingPair | null
  readonly state: OrderState
  /** The newest description by the exchange; null while it has not told of it. */
  readonly order: Order | null
  /** Each once, in the exchange's order. */
  readonly fills: ReadonlyArray<Fill>
  /** Base or contracts: the larger of what its fills add up to and what the exchange says. */
  readonly filledQuantity: Decimal.Decimal
  /** Quote paid or received by its fills. */
  readonly filledQuote: Decimal.Decimal
}
