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
  /** Base units in one contract: 1 on spot; null while no instrument is known for a swap. See `inBase`. */
  readonly contractSize: number | null
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
  /** Base units in one contract: 1 on spot; null while no instrument is known for a swap. See `inBase`. */
  readonly contractSize: number | null
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
  /** Base units in one contract: 1 on spot; null while no instrument is known for a swap. See `inBase`. */
  readonly contractSize: number | null
  /** Keys `bids[i]` and `asks[i]`, where i is the index in the flat list. */
  readonly exact: ExactText | null
}

/** The last 24 hours (or the day of the channel's time zone) in numbers. Null where the exchange sends none. */
export interface Ticker {
  readonly _tag: "Ticker"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** Quote. */
  readonly lastPrice: number
  /** Quote. */
  readonly bidPrice: number | null
  /** Quote. */
  readonly askPrice: number | null
  /** Highest price, quote. */
  readonly highPrice: number | null
  /** Lowest price, quote. */
  readonly lowPrice: number | null
  /** Change of the price as a fraction: 0.05 is five per cent up. */
  readonly change: number | null
  /** Traded, in base. */
  readonly baseVolume: number | null
  /** Traded, in quote. */
  readonly quoteVolume: number | null
  readonly exchangeTime: number | null
  readonly receivedAt: number
  readonly exact: ExactText | null
}

/** Lengths of a candle. Which of them an exchange has: its coverage table. */
export const klineIntervals = [
  "10s",
  "30s",
  "1m",
  "3m",
  "5m",
  "15m",
  "30m",
  "1h",
  "2h",
  "4h",
  "6h",
  "8h",
  "12h",
  "1d",
  "1w",
  "30d",
  "1M"
] as const
export type KlineInterval = (typeof klineIntervals)[number]

/** What a candle is drawn of: trades, or the mark or index price. */
export type KlinePrice = "last" | "mark" | "index"

export const statsIntervals = ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "3d", "1w"] as const
export type StatsInterval = (typeof statsIntervals)[number]

/** One candle as far as it is known; the same `openTime` comes again until the next one begins. */
export interface Kline {
  readonly _tag: "Kline"
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly interval: KlineInterval
  /** What it is drawn of. */
  readonly price: KlinePrice
  /** Beginning of the window, ms. */
  readonly openTime: number
  /** End of the window, not part of it, ms; null when the exchange sends none. */
  readonly closeTime: number | null
  /** Quote. */
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  /** Traded, in base; null when the exchange sends none. */
  readonly baseVolume: number | null
  /** Traded, in quote; null when the exchange sends none. */
  readonly quoteVolume: number | null
  /** Traded, in contracts; null on spot. */
  readonly contractVolume: number | null
  /** Whether the window has ended; null when the exchange does not say: then a later `openTime` ends it. */
  readonly closed: boolean | null
  readonly exchangeTime: number | null
  readonly receivedAt: number
  readonly exact: ExactText | null
}

/** A perpetual's prices, funding and interest. Null where the exchange sends none. */
export interface FuturesTicker {
  readonly _tag: "FuturesTicker"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** Quote. */
  readonly lastPrice: number
  /** What margin and liquidation are counted by, quote. */
  readonly markPrice: number | null
  /** Quote. */
  readonly indexPrice: number | null
  /** Fraction of the position's value that longs pay to shorts at `nextFundingTime` (negative: shorts to longs). */
  readonly fundingRate: number | null
  /** ms. */
  readonly nextFundingTime: number | null
  /** From one funding to the next, ms. */
  readonly fundingInterval: number | null
  /** Open positions, in contracts. */
  readonly openInterest: number | null
  readonly highPrice: number | null
  readonly lowPrice: number | null
  /** Change of the price within 24 hours as a fraction. */
  readonly change: number | null
  /** Traded within 24 hours, in contracts. */
  readonly contractVolume: number | null
  /** Traded within 24 hours, in base. */
  readonly baseVolume: number | null
  /** Traded within 24 hours, in quote. */
  readonly quoteVolume: number | null
  readonly exchangeTime: number | null
  readonly receivedAt: number
  /** Base units in one contract; null while no instrument is known. See `inBase`. */
  readonly contractSize: number | null
  readonly exact: ExactText | null
}

/** A position that was liquidated. */
export interface Liquidation {
  readonly _tag: "Liquidation"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** Quote. */
  readonly price: number
  /** Contracts. */
  readonly quantity: number
  /** Of the order that closes the position: `sell` closes a long one. */
  readonly side: "buy" | "sell"
  readonly exchangeTime: number | null
  readonly receivedAt: number
  /** Base units in one contract; null while no instrument is known. See `inBase`. */
  readonly contractSize: number | null
  readonly exact: ExactText | null
}

/** What an exchange counts of a perpetual in one interval. Null where it sends none. */
export interface ContractStats {
  readonly _tag: "ContractStats"
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly interval: StatsInterval
  /** Quote. */
  readonly markPrice: number | null
  /** Open positions, in contracts. */
  readonly openInterest: number | null
  /** Open positions, in quote. */
  readonly openInterestValue: number | null
  /** Longs to shorts, by taker volume. */
  readonly takerRatio: number | null
  /** Longs to shorts, by number of accounts. */
  readonly accountRatio: number | null
  /** The same of the largest accounts. */
  readonly topAccountRatio: number | null
  /** Longs to shorts of the largest accounts, by size. */
  readonly topSizeRatio: number | null
  /** Long positions liquidated in the interval, in contracts. */
  readonly longLiquidations: number | null
  /** Short positions liquidated in the interval, in contracts. */
  readonly shortLiquidations: number | null
  /** Beginning of the interval as the exchange gives it, ms. */
  readonly exchangeTime: number | null
  readonly receivedAt: number
  /** Base units in one contract; null while no instrument is known. See `inBase`. */
  readonly contractSize: number | null
  readonly exact: ExactText | null
}

export type MarketEvent =
  | BookTicker
  | Trade
  | BookUpdate
  | Ticker
  | Kline
  | FuturesTicker
  | Liquidation
  | ContractStats

/**
 * A quantity of an event in base units: the number itself on spot, contracts times contract size on swaps, rounded to 15
 * significant digits so that no noise of the multiplication is left. Null when the contract size is not known.
 */
export const inBase = (event: { readonly contractSize: number | null }, quantity: number): number | null => {
  const { contractSize } = event
  if (contractSize === null || contractSize === 1) return contractSize === null ? null : quantity
  return Number((quantity * contractSize).toPrecision(15))
}
