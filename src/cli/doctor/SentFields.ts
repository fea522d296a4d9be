/**
 * Fields of our events that may be null and that these exchanges always send: one that is missing from most events has
 * gone, or has another name or shape. What they send only at times (Gate futures' tickers of September 2026 came without
 * volumes) is not listed here. Sources: MEXC Spot V3, Websocket Market Streams; Gate WebSocket v4, spot (2026-07-25) and
 * futures (2026-08-25), and captured frames.
 */
import type { MarketEvent } from "../../domain/Market.ts"

type Sent = { readonly [Tag in MarketEvent["_tag"]]: ReadonlyArray<keyof Extract<MarketEvent, { _tag: Tag }>> }

/** By every exchange that has the channel. */
const everywhere: Sent = {
  BookTicker: ["bidPrice", "bidQuantity", "askPrice", "askQuantity", "version", "exchangeTime"],
  Trade: ["id", "exchangeTime"],
  BookUpdate: ["exchangeTime"],
  Ticker: ["highPrice", "lowPrice", "change", "baseVolume", "quoteVolume", "exchangeTime"],
  Kline: ["baseVolume", "exchangeTime"],
  FuturesTicker: ["markPrice", "indexPrice", "fundingRate", "nextFundingTime", "exchangeTime"],
  Liquidation: ["exchangeTime"],
  ContractStats: [
    "markPrice",
    "openInterest",
    "takerRatio",
    "accountRatio",
    "longLiquidations",
    "shortLiquidations",
    "exchangeTime"
  ]
}

const more: Readonly<Record<string, Partial<Sent>>> = {
  "gate-spot": { Ticker: ["bidPrice", "askPrice"], Kline: ["quoteVolume"] },
  "gate-futures": { Kline: ["contractVolume"] },
  "mexc-spot": { Kline: ["closeTime", "quoteVolume"] }
}

/** Nothing is traded at a mark or index price, so that its candles need no volume. */
const volumes: ReadonlySet<string> = new Set(["baseVolume", "quoteVolume", "contractVolume"])

/** The names of the fields that an event of this exchange has to have. */
export const of = (exchange: string, event: MarketEvent): ReadonlyArray<string> => {
  const names: ReadonlyArray<string> = [...everywhere[event._tag], ...more[exchange]?.[event._tag] ?? []]
  return event._tag === "Kline" && event.price !== "last" ? names.filter((name) => !volumes.has(name)) : names
}

export const isMissing = (event: MarketEvent, name: string): boolean =>
  (event[name as keyof MarketEvent] ?? null) === null
