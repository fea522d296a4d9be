/** One place that makes each event, so that both ways of decoding yield the same shape. */
import type { BookTicker, BookUpdate, FuturesTicker, Levels, Ticker, Trade } from "../../domain/Market.ts"
import type { ExactText } from "../../domain/Numeric.ts"
import type * as Sequence from "../../domain/Sequence.ts"
import type { Topic } from "../../ExchangeAdapter.ts"

export const bookTicker = (
  topic: Topic,
  bidPrice: number | null,
  bidQuantity: number | null,
  askPrice: number | null,
  askQuantity: number | null,
  version: Sequence.Sequence,
  exchangeTime: number | null,
  receivedAt: number,
  exact: ExactText | null
): BookTicker => ({
  _tag: "BookTicker",
  pair: topic.pair,
  symbol: topic.symbol,
  bidPrice,
  bidQuantity,
  askPrice,
  askQuantity,
  version,
  exchangeTime,
  receivedAt,
  contractSize: topic.contractSize,
  exact
})

export const trade = (
  topic: Topic,
  id: string,
  price: number,
  quantity: number,
  side: "buy" | "sell",
  exchangeTime: number | null,
  receivedAt: number,
  exact: ExactText | null
): Trade => ({
  _tag: "Trade",
  pair: topic.pair,
  symbol: topic.symbol,
  id,
  price,
  quantity,
  side,
  exchangeTime,
  receivedAt,
  contractSize: topic.contractSize,
  exact
})

export const book = (
  topic: Topic,
  full: boolean,
  bids: Levels,
  asks: Levels,
  firstVersion: Sequence.Sequence,
  version: Sequence.Sequence,
  exchangeTime: number | null,
  receivedAt: number,
  exact: ExactText | null
): BookUpdate => ({
  _tag: "BookUpdate",
  kind: full ? "snapshot" : "delta",
  pair: topic.pair,
  symbol: topic.symbol,
  bids,
  asks,
  firstVersion,
  version,
  exchangeTime,
  receivedAt,
  contractSize: topic.contractSize,
  exact
})

/** What a day's ticker says beside its names. */
export type Day = Omit<Ticker, "_tag" | "pair" | "symbol" | "receivedAt">

export const ticker = (topic: Topic, day: Day, receivedAt: number): Ticker => ({
  _tag: "Ticker",
  pair: topic.pair,
  symbol: topic.symbol,
  lastPrice: day.lastPrice,
  bidPrice: day.bidPrice,
  askPrice: day.askPrice,
  highPrice: day.highPrice,
  lowPrice: day.lowPrice,
  change: day.change,
  baseVolume: day.baseVolume,
  quoteVolume: day.quoteVolume,
  exchangeTime: day.exchangeTime,
  receivedAt,
  exact: day.exact
})

export type FuturesDay = Omit<FuturesTicker, "_tag" | "pair" | "symbol" | "receivedAt" | "contractSize">

export const futuresTicker = (topic: Topic, day: FuturesDay, receivedAt: number): FuturesTicker => ({
  _tag: "FuturesTicker",
  pair: topic.pair,
  symbol: topic.symbol,
  lastPrice: day.lastPrice,
  markPrice: day.markPrice,
  indexPrice: day.indexPrice,
  fundingRate: day.fundingRate,
  nextFundingTime: day.nextFundingTime,
  fundingInterval: day.fundingInterval,
  openInterest: day.openInterest,
  highPrice: day.highPrice,
  lowPrice: day.lowPrice,
  change: day.change,
  contractVolume: day.contractVolume,
  baseVolume: day.baseVolume,
  quoteVolume: day.quoteVolume,
  exchangeTime: day.exchangeTime,
  receivedAt,
  contractSize: topic.contractSize,
  exact: day.exact
})
