/** What can be asked for. This file alone says which channel yields which event. */
import type { TradingPair } from "./Instrument.ts"
import type { BookTicker, BookUpdate, Trade } from "./Market.ts"

/** Best bid and ask. `speed` is the exchange's aggregation interval where it offers several (MEXC: 10ms, 100ms). */
export interface BookTickerChannel {
  readonly _tag: "BookTicker"
  readonly pair: TradingPair
  readonly speed?: Speed | undefined
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
 * feeds where an exchange has them (Gate: `obu`, the default, or `order_book_update`).
 */
export interface BookChannel {
  readonly _tag: "Book"
  readonly pair: TradingPair
  readonly depth?: number | undefined
  readonly speed?: Speed | undefined
  readonly source?: string | undefined
}

export type Speed = "10ms" | "20ms" | "100ms"

export type PublicChannel = BookTickerChannel | TradesChannel | BookChannel
export type PublicTag = PublicChannel["_tag"]

export interface PublicEvents {
  readonly BookTicker: BookTicker
  readonly Trades: Trade
  readonly Book: BookUpdate
}

/** The event that a channel yields. */
export type EventOf<C extends { readonly _tag: PublicTag }> = PublicEvents[C["_tag"]]

type WithoutPair<C> = C extends PublicChannel ? Omit<C, "pair"> : never

/** A channel for every pair of a session: its tag alone, or the request without its pair. */
export type ChannelChoice<Tag extends PublicTag = PublicTag> =
  | Tag
  | WithoutPair<Extract<PublicChannel, { readonly _tag: Tag }>>

/** The request for one pair. */
export const forPair = (choice: ChannelChoice, pair: TradingPair): PublicChannel =>
  (typeof choice === "string" ? { _tag: choice, pair } : { ...choice, pair }) as PublicChannel

export const bookTicker = (
  pair: TradingPair,
  options?: Omit<BookTickerChannel, "_tag" | "pair">
): BookTickerChannel => ({
  _tag: "BookTicker",
  pair,
  ...options
})

export const trades = (pair: TradingPair, options?: Omit<TradesChannel, "_tag" | "pair">): TradesChannel => ({
  _tag: "Trades",
  pair,
  ...options
})

export const book = (pair: TradingPair, options?: Omit<BookChannel, "_tag" | "pair">): BookChannel => ({
  _tag: "Book",
  pair,
  ...options
})

/**
 * What a subscriber that falls behind gets: `state` channels keep the newest value, `book` channels start again from a
 * snapshot, `event` channels are told exactly how many were lost.
 */
export const kindOf: Readonly<Record<PublicTag, "state" | "event" | "book">> = {
  BookTicker: "state",
  Trades: "event",
  Book: "book"
}
