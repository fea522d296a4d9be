/**
 * Market data events. Prices are in quote; quantities in base (spot) or contracts (swap); times in ms since the epoch.
 * `pair` is null while no instrument is known for `symbol`, the name on the wire. Events are shared between all
 * subscribers: treat them as frozen.
 */
import type { TradingPair } from "./Instrument.ts"
import type { ExactText } from "./Numeric.ts"
import type { Sequence } from "./Sequence.ts"

/** Best bid and ask. A side without orders has null for price and quantity. */
export interface BookTicker {
  readonly _tag: "BookTicker"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** Quote. */
  readonly bidPrice: number | null
  /** Base (spot) or contracts (swap). */
  readonly bidQuantity: number | null
  /** Quote. */
  readonly askPrice: number | null
  /** Base (spot) or contracts (swap). */
  readonly askQuantity: number | null
  /** Book version or update id the ticker belongs to; null when the exchange sends none. */
  readonly version: Sequence | null
  /** The exchange's time of the event, ms; null when it sends none. */
  readonly exchangeTime: number | null
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
  readonly exact: ExactText | null
}

/** One public trade. */
export interface Trade {
  readonly _tag: "Trade"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** The exchange's trade id, exact text; null when it sends none. */
  readonly id: string | null
  /** Quote. */
  readonly price: number
  /** Base (spot) or contracts (swap). */
  readonly quantity: number
  /** The taker's side. */
  readonly side: "buy" | "sell"
  /** The exchange's time of the trade, ms (fractions where it sends them); null when it sends none. */
  readonly exchangeTime: number | null
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
  readonly exact: ExactText | null
}

/**
 * Levels as a flat list `[price, quantity, price, quantity, …]`, in the order of the wire: quote, then base (spot) or
 * contracts (swap). Quantities are absolute; 0 removes the level, and in a snapshot is no level.
 */
export type Levels = ReadonlyArray<number>

/** A whole book (`snapshot`: discard what you had) or changes to it (`delta`). */
export interface BookUpdate {
  readonly _tag: "BookUpdate"
  readonly kind: "snapshot" | "delta"
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly bids: Levels
  readonly asks: Levels
  /** First version a delta covers; equals `version` on a snapshot that does not say. */
  readonly firstVersion: Sequence
  /** The book's version after this update. */
  readonly version: Sequence
  /** The exchange's time of the event, ms; null when it sends none. */
  readonly exchangeTime: number | null
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
  /** Keys `bids[i]` and `asks[i]`, where i is the index in the flat list. */
  readonly exact: ExactText | null
}

export type MarketEvent = BookTicker | Trade | BookUpdate
