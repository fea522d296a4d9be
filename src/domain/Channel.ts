/** What can be asked for. This file alone says which channel yields which event. */
import type { TradingPair } from "./Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  KlineInterval,
  KlinePrice,
  Liquidation,
  MarketEvent,
  StatsInterval,
  Ticker,
  Trade
} from "./Market.ts"

/**
 * Best bid and ask. `speed` is the exchange's aggregation interval where it offers several (MEXC: 10ms, 100ms);
 * `source` picks one of several feeds where an exchange has them (MEXC: `aggre`, the default, or `batch`).
 */
export interface BookTickerChannel {
  readonly _tag: "BookTicker"
  readonly pair: TradingPair
  readonly speed?: Speed | undefined
  readonly source?: string | undefined
}

/** Public trades. */
export interface TradesChannel {
  readonly _tag: "Trades"
  readonly pair: TradingPair
  readonly speed?: Speed | undefined
}

/**
 * Order book: after subscribing and after every gap first a snapshot, then deltas without a hole.
 * `depth` is the number of levels a side (the exchange's default when left out); `source` picks one of several book
 * feeds where an exchange has them (Gate: `obu`, the default, `order_book_update`, or `order_book`; MEXC: `aggre`, the
 * default, or `limit`). The feeds `order_book` and `limit` push a whole book of few levels each time.
 */
export interface BookChannel {
  readonly _tag: "Book"
  readonly pair: TradingPair
  readonly depth?: number | undefined
  readonly speed?: Speed | undefined
  readonly source?: string | undefined
}

/**
 * The last 24 hours in numbers. `zone` is the time zone of the day that `change` is counted from where the exchange
 * offers one (MEXC: `24H`, the default, `UTC+8`, …).
 */
export interface TickerChannel {
  readonly _tag: "Ticker"
  readonly pair: TradingPair
  readonly zone?: string | undefined
}

/** Candles: `interval` is `1m` when left out; `price` picks what is drawn on derivatives, `last` when left out. */
export interface KlineChannel {
  readonly _tag: "Kline"
  readonly pair: TradingPair
  readonly interval?: KlineInterval | undefined
  readonly price?: KlinePrice | undefined
}

/** Mark and index price, funding and open interest of a perpetual, with its last 24 hours. */
export interface FuturesTickerChannel {
  readonly _tag: "FuturesTicker"
  readonly pair: TradingPair
}

/** Liquidated positions of everybody. */
export interface LiquidationsChannel {
  readonly _tag: "Liquidations"
  readonly pair: TradingPair
}

/** Open interest, long/short ratios and liquidated sizes of each interval, `1m` when left out. */
export interface ContractStatsChannel {
  readonly _tag: "ContractStats"
  readonly pair: TradingPair
  readonly interval?: StatsInterval | undefined
}

export type Speed = "10ms" | "20ms" | "100ms" | "1000ms"

/**
 * Stands for every pair of the exchange, in channels that an exchange offers for all at once: MEXC `Ticker`, Gate futures
 * `Liquidations`. The events name their pair where an instrument is known, and always their symbol.
 */
export const everyPair: TradingPair = "*/*"

export type PublicChannel =
  | BookTickerChannel
  | TradesChannel
  | BookChannel
  | TickerChannel
  | KlineChannel
  | FuturesTickerChannel
  | LiquidationsChannel
  | ContractStatsChannel
export type PublicTag = PublicChannel["_tag"]

export interface PublicEvents {
  readonly BookTicker: BookTicker
  readonly Trades: Trade
  readonly Book: BookUpdate
  readonly Ticker: Ticker
  readonly Kline: Kline
  readonly FuturesTicker: FuturesTicker
  readonly Liquidations: Liquidation
  readonly ContractStats: ContractStats
}

/** The event that a channel yields. */
export type EventOf<C extends { readonly _tag: PublicTag }> = PublicEvents[C["_tag"]]

/** The channel that yields an event. */
export const tagOf: Readonly<Record<MarketEvent["_tag"], PublicTag>> = {
  BookTicker: "BookTicker",
  Trade: "Trades",
  BookUpdate: "Book",
  Ticker: "Ticker",
  Kline: "Kline",
  FuturesTicker: "FuturesTicker",
  Liquidation: "Liquidations",
  ContractStats: "ContractStats"
}

type WithoutPair<C> = C extends PublicChannel ? Omit<C, "pair"> : never

/** A channel for every pair of a session: its tag alone, or the request without its pair. */
export type ChannelChoice<Tag extends PublicTag = PublicTag> =
  | Tag
  | WithoutPair<Extract<PublicChannel, { readonly _tag: Tag }>>

/** The request for one pair. */
export const forPair = (choice: ChannelChoice, pair: TradingPair): PublicChannel =>
  (typeof choice === "string" ? { _tag: choice, pair } : { ...choice, pair }) as PublicChannel

/** Keeps the pair that was named, so that the front door can tell a perpetual from a spot market. */
type OfPair<C, P extends TradingPair> = C & { readonly pair: P }

export const bookTicker = <const P extends TradingPair>(
  pair: P,
  options?: Omit<BookTickerChannel, "_tag" | "pair">
): OfPair<BookTickerChannel, P> => ({
  _tag: "BookTicker",
  pair,
  ...options
})

export const trades = <const P extends TradingPair>(
  pair: P,
  options?: Omit<TradesChannel, "_tag" | "pair">
): OfPair<TradesChannel, P> => ({
  _tag: "Trades",
  pair,
  ...options
})

export const book = <const P extends TradingPair>(
  pair: P,
  options?: Omit<BookChannel, "_tag" | "pair">
): OfPair<BookChannel, P> => ({
  _tag: "Book",
  pair,
  ...options
})

export const ticker = <const P extends TradingPair>(
  pair: P,
  options?: Omit<TickerChannel, "_tag" | "pair">
): OfPair<TickerChannel, P> => ({
  _tag: "Ticker",
  pair,
  ...options
})

export const kline = <const P extends TradingPair>(
  pair: P,
  options?: Omit<KlineChannel, "_tag" | "pair">
): OfPair<KlineChannel, P> => ({
  _tag: "Kline",
  pair,
  ...options
})

export const futuresTicker = <const P extends TradingPair>(pair: P): OfPair<FuturesTickerChannel, P> => ({
  _tag: "FuturesTicker",
  pair
})

export const liquidations = <const P extends TradingPair>(pair: P): OfPair<LiquidationsChannel, P> => ({
  _tag: "Liquidations",
  pair
})

export const contractStats = <const P extends TradingPair>(
  pair: P,
  options?: Omit<ContractStatsChannel, "_tag" | "pair">
): OfPair<ContractStatsChannel, P> => ({
  _tag: "ContractStats",
  pair,
  ...options
})

export const defaultInterval = "1m"

/**
 * What a subscriber that falls behind gets: `state` channels keep the newest value, `book` channels start again from a
 * snapshot, `event` channels are told exactly how many were lost.
 */
export type Kind = "state" | "event" | "book"

const kinds: Readonly<Record<PublicTag, Kind>> = {
  BookTicker: "state",
  Trades: "event",
  Book: "book",
  Ticker: "state",
  // The frame that closes a candle is not replaced by the first of the next.
  Kline: "event",
  FuturesTicker: "state",
  Liquidations: "event",
  ContractStats: "event"
}

/** The newest value of one pair does not replace that of another, so what stands for every pair is never `state`. */
export const kindOf = (channel: PublicTag, pair: TradingPair | null): Kind =>
  kinds[channel] === "state" && pair === everyPair ? "event" : kinds[channel]

export const publicTags = Object.keys(kinds) as ReadonlyArray<PublicTag>
