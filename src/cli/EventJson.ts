/**
 * Domain events as JSON values for the command's output: prices, quantities, versions and ids as exact decimal text,
 * times as numbers (ms), levels as `[price, quantity]`, and null where there is nothing.
 */
import type { Gap } from "../domain/Feed.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Levels,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../domain/Market.ts"
import * as Numeric from "../domain/Numeric.ts"
import type { ExactText } from "../domain/Numeric.ts"
import * as Sequence from "../domain/Sequence.ts"

export type JsonObject = Readonly<Record<string, unknown>>

/** The wire's own text where a number cannot hold it, else the shortest plain decimal of the number. */
const decimal = (exact: ExactText | null, field: string, value: number | null): string | null =>
  exact?.[field] ?? (value === null ? null : Numeric.toDecimal(value))

const sequence = (value: Sequence.Sequence | null | undefined): string | null =>
  value === null || value === undefined ? null : Sequence.toText(value)

const levels = (exact: ExactText | null, side: "bids" | "asks", flat: Levels): ReadonlyArray<unknown> => {
  const pairs: Array<unknown> = []
  for (let i = 0; i < flat.length; i += 2) {
    pairs.push([decimal(exact, `${side}[${i}]`, flat[i]!), decimal(exact, `${side}[${i + 1}]`, flat[i + 1]!)])
  }
  return pairs
}

const bookTicker = (event: BookTicker): JsonObject => ({
  _tag: event._tag,
  pair: event.pair,
  symbol: event.symbol,
  bidPrice: decimal(event.exact, "bidPrice", event.bidPrice),
  bidQuantity: decimal(event.exact, "bidQuantity", event.bidQuantity),
  askPrice: decimal(event.exact, "askPrice", event.askPrice),
  askQuantity: decimal(event.exact, "askQuantity", event.askQuantity),
  version: sequence(event.version),
  exchangeTime: event.exchangeTime,
  receivedAt: event.receivedAt
})

const trade = (event: Trade): JsonObject => ({
  _tag: event._tag,
  pair: event.pair,
  symbol: event.symbol,
  id: event.id,
  price: decimal(event.exact, "price", event.price),
  quantity: decimal(event.exact, "quantity", event.quantity),
  side: event.side,
  exchangeTime: event.exchangeTime,
  receivedAt: event.receivedAt
})

const bookUpdate = (event: BookUpdate): JsonObject => ({
  _tag: event._tag,
  kind: event.kind,
  pair: event.pair,
  symbol: event.symbol,
  bids: levels(event.exact, "bids", event.bids),
  asks: levels(event.exact, "asks", event.asks),
  firstVersion: sequence(event.firstVersion),
  version: sequence(event.version),
  exchangeTime: event.exchangeTime,
  receivedAt: event.receivedAt
})

/** The fields of an event: numbers in `decimals` as exact text, everything else as it is. */
const fields = (event: MarketEvent, decimals: ReadonlySet<string>): JsonObject =>
  Object.fromEntries(
    Object.entries(event).filter(([name]) => name !== "exact").map(([name, value]) => [
      name,
      decimals.has(name) ? decimal(event.exact, name, value as number | null) : value
    ])
  )

const ticker: ReadonlySet<keyof Ticker> = new Set([
  "lastPrice",
  "bidPrice",
  "askPrice",
  "highPrice",
  "lowPrice",
  "change",
  "baseVolume",
  "quoteVolume"
])

const kline: ReadonlySet<keyof Kline> = new Set([
  "open",
  "high",
  "low",
  "close",
  "baseVolume",
  "quoteVolume",
  "contractVolume"
])

const futuresTicker: ReadonlySet<keyof FuturesTicker> = new Set([
  "lastPrice",
  "markPrice",
  "indexPrice",
  "fundingRate",
  "openInterest",
  "highPrice",
  "lowPrice",
  "change",
  "contractVolume",
  "baseVolume",
  "quoteVolume",
  "contractSize"
])

const liquidation: ReadonlySet<keyof Liquidation> = new Set(["price", "quantity", "contractSize"])

const contractStats: ReadonlySet<keyof ContractStats> = new Set([
  "markPrice",
  "openInterest",
  "openInterestValue",
  "takerRatio",
  "accountRatio",
  "topAccountRatio",
  "topSizeRatio",
  "longLiquidations",
  "shortLiquidations",
  "contractSize"
])

export const event = (event: MarketEvent): JsonObject => {
  switch (event._tag) {
    case "BookTicker":
      return bookTicker(event)
    case "Trade":
      return trade(event)
    case "BookUpdate":
      return bookUpdate(event)
    case "Ticker":
      return fields(event, ticker)
    case "Kline":
      return fields(event, kline)
    case "FuturesTicker":
      return fields(event, futuresTicker)
    case "Liquidation":
      return fields(event, liquidation)
    case "ContractStats":
      return fields(event, contractStats)
  }
}

export const gap = (gap: Gap): JsonObject => ({
  cause: gap.cause,
  at: gap.at,
  lost: gap.lost ?? null,
  from: sequence(gap.from),
  to: sequence(gap.to)
})
