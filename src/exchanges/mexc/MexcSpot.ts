/**
 * MEXC spot. The table of contents of this folder: channels (`MexcChannels`), requests (`MexcRequests`), frames
 * (`MexcDecode` over `MexcWire`, `MexcSchema` and `MexcControl`), REST (`MexcRest`), refusals (`MexcErrors`), and the account half (`MexcAccount`). What is covered and what is unconfirmed: `docs/mexc.md`.
 */
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRecipe } from "../../ExchangeAdapter.ts"
import * as ExchangeAdapter from "../../ExchangeAdapter.ts"
import * as MexcAccount from "./MexcAccount.ts"
import * as MexcDecode from "./MexcDecode.ts"
import * as MexcErrors from "./MexcErrors.ts"
import * as MexcRequests from "./MexcRequests.ts"
import * as MexcRest from "./MexcRest.ts"

/**
 * How far behind a repeated update can lie. BTCUSDT counts about 1,150 versions a second (between two captures of
 * 2026-09), and two connections that overlap are seconds apart. What lies further back is a counter that began anew:
 * dropping that as stale would leave a dead book looking alive.
 */
const furthestStale = 1_000_000

/**
 * "How to Properly Maintain a Local Copy of the Order Book". Two texts, V being the snapshot's `lastUpdateId`: the one
 * of 2025 joins at the update whose range holds V; the one of 2026-04 drops what ends at V or before, and lets the first
 * one kept begin at V + 1. Quantities are absolute, so an update that ends at V changes nothing that the snapshot holds:
 * applying it satisfies both, and only what ends before V is stale. From then on `fromVersion` must be the previous
 * `toVersion` + 1.
 */
const aggregatedBook: BookRecipe = {
  snapshot: "Fetch",
  joins: (snapshotVersion, update) => {
    if (update.version < snapshotVersion) return "stale"
    return update.firstVersion <= Sequence.next(snapshotVersion) ? "apply" : "gap"
  },
  // An update that overlaps the last one is a hole too: the documents know no such thing, so it is not trusted.
  follows: (lastVersion, update) => {
    if (update.version <= lastVersion) {
      return Sequence.distance(update.version, lastVersion) > furthestStale ? "gap" : "stale"
    }
    return Sequence.equals(update.firstVersion, Sequence.next(lastVersion)) ? "apply" : "gap"
  }
}

/** "Partial Book Depth Streams": no changes are pushed, so nothing joins or follows. */
const limitedBook: BookRecipe = { snapshot: "EveryUpdate", joins: () => "gap", follows: () => "gap" }

export const mexcSpot = ExchangeAdapter.make({
  id: MexcErrors.exchange,
  name: "MEXC spot",
  kind: "spot",
  channels: new Set(["BookTicker", "Trades", "Book", "Ticker", "Kline"] as const),
  coverage: [
    {
      channel: "BookTicker",
      wire: "spot@public.aggre.bookTicker.v3.api.pb@<10ms|100ms>@<SYMBOL>",
      note: "100ms by default; sent again every interval, changed or not",
      source: "MEXC Spot V3, Websocket Market Streams, Individual Symbol Book Ticker Streams"
    },
    {
      channel: "BookTicker",
      wire: "spot@public.bookTicker.batch.v3.api.pb@<SYMBOL>",
      note: "source batch; several tickers a frame, one event each",
      source: "MEXC Spot V3, Websocket Market Streams, Individual Symbol Book Ticker Streams (Batch Aggregation)"
    },
    {
      channel: "Trades",
      wire: "spot@public.aggre.deals.v3.api.pb@<10ms|100ms>@<SYMBOL>",
      note: "100ms by default; several deals a frame; ids since 2026-06",
      source: "MEXC Spot V3, Websocket Market Streams, Trade Streams"
    },
    {
      channel: "Book",
      wire: "spot@public.aggre.depth.v3.api.pb@<10ms|100ms>@<SYMBOL> and GET /api/v3/depth",
      note: "100ms by default; the whole book's changes; depth sizes the snapshot only",
      source: "MEXC Spot V3, Websocket Market Streams, Diff.Depth Stream"
    },
    {
      channel: "Book",
      wire: "spot@public.limit.depth.v3.api.pb@<SYMBOL>@<5|10|20>",
      note: "source limit; depth 5, 10 or 20 (default); every push a whole book",
      source: "MEXC Spot V3, Websocket Market Streams, Partial Book Depth Streams"
    },
    {
      channel: "Ticker",
      wire: "spot@public.miniTicker.v3.api.pb@<SYMBOL>@<ZONE>",
      note: "every 3 s; zone 24H by default, or UTC-10 to UTC+13",
      source: "MEXC Spot V3, Websocket Market Streams, Mini-ticker"
    },
    {
      channel: "Ticker",
      wire: "spot@public.miniTickers.v3.api.pb@<ZONE>",
      note: "pair */*: every pair at once, every 3 s",
      source: "MEXC Spot V3, Websocket Market Streams, Mini-tickers"
    },
    {
      channel: "Kline",
      wire: "spot@public.kline.v3.api.pb@<SYMBOL>@<Min1|Min5|Min15|Min30|Min60|Hour4|Hour8|Day1|Week1|Month1>",
      note: "every second; 1m (default), 5m, 15m, 30m, 1h, 4h, 8h, 1d, 1w, 1M",
      source: "MEXC Spot V3, Websocket Market Streams, K-line Streams"
    }
  ],
  urls: { websocket: "wss://wbs-api.mexc.com/ws", rest: "https://api.mexc.com" },
  endpoint: (url) => ({ url }),
  symbol: MexcRequests.symbol,
  topic: MexcRequests.topic,
  subscribe: MexcRequests.subscribe,
  listRefusal: "each",
  unsubscribe: MexcRequests.unsubscribe,
  makeCodec: MexcDecode.make,
  book: ({ source }) => source === "limit" ? limitedBook : aggregatedBook,
  heartbeat: {
    // Measured: without PING the server drops a quiet connection at about 60 s, with no close frame.
    interval: "2 seconds",
    timeout: "3 seconds",
    ping: MexcRequests.ping
  },
  silence: {
    // The ticker comes every interval, changed or not (measured at 10ms): 10 s are 100 of the slowest intervals.
    BookTicker: { floor: "4 seconds", ceiling: "60 seconds", initial: "10 seconds" },
    // A quiet market has no trades.
    Trades: null,
    // A book sends nothing while nothing changes. The server itself takes a minute without data for a dead connection.
    Book: { floor: "4 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    // Pushed every 3 s and every second, whether on quiet markets too is not known.
    Ticker: { floor: "10 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    Kline: { floor: "10 seconds", ceiling: "10 minutes", initial: "60 seconds" }
  },
  limits: MexcRequests.limits,
  makeRest: MexcRest.make,
  account: MexcAccount.mexcSpotAccount
})
