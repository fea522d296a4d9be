/**
 * What differs between Gate's products, as data. Envelope, answers, errors and requests are the same. Sources: Gate
 * WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-25); Gate REST v4 documents (v4.106).
 */
import type { BookChannel, PublicTag, Speed } from "../../domain/Channel.ts"
import type { KlineInterval, StatsInterval } from "../../domain/Market.ts"

/** A channel on the wire behind the product's prefix: `spot.book_ticker`, `futures.book_ticker`. */
export type Stream =
  | "book_ticker"
  | "trades"
  /** Self-contained book: snapshots and deltas in one stream. */
  | "obu"
  /** Deltas only, to be joined to a REST book. */
  | "order_book_update"
  /** A whole book of few levels each time. */
  | "order_book"
  | "tickers"
  | "candlesticks"
  | "public_liquidates"
  | "contract_stats"

/** One of several book feeds of a stream. */
export interface BookFeed {
  /** Levels a side. */
  readonly levels: number
  /** Null where the documents name none. */
  readonly speed: Speed | null
  /** What names it in a payload behind the pair, joined by `|`; empty for `obu`, whose stream name holds the levels. */
  readonly item: string
}

export interface BookSource {
  readonly feeds: ReadonlyArray<BookFeed>
  /** Meant when a request names no speed; null: any. */
  readonly speed: Speed | null
  /** Levels meant when a request names no depth, as far as the speed has so many. */
  readonly depth: number
  /** For refusals. */
  readonly offer: string
}

export type BookStream = "obu" | "order_book_update" | "order_book"

export interface Product {
  /** Id of the exchange and product, as in every error. */
  readonly id: "gate-spot" | "gate-futures"
  readonly kind: "spot" | "swap"
  readonly prefix: "spot" | "futures"
  /** The asset that every contract of this connection settles in; null on spot. */
  readonly settle: string | null
  /** The aggregation interval of `book_ticker`; null: pushed on change. */
  readonly tickerSpeed: Speed | null
  readonly channels: ReadonlySet<PublicTag>
  readonly streams: ReadonlySet<Stream>
  readonly books: Readonly<Record<BookStream, BookSource>>
  /** Gate's words for the intervals of candles. */
  readonly intervals: Readonly<Partial<Record<KlineInterval, string>>>
  /** Whether candles of the mark and index price exist. */
  readonly hasPriceKinds: boolean
  /** Gate's words for the intervals of `contract_stats`. */
  readonly statsIntervals: Readonly<Partial<Record<StatsInterval, string>>>
  /** Headers of the upgrade request and of REST calls. */
  readonly headers: Readonly<Record<string, string>>
}

export const wireName = (product: Product, stream: Stream): string => `${product.prefix}.${stream}`

/** The stream of a wire channel; null for other channels and other products. */
export const streamOf = (product: Product, channel: string): Stream | null => {
  if (!channel.startsWith(product.prefix) || channel[product.prefix.length] !== ".") return null
  const stream = channel.slice(product.prefix.length + 1)
  return product.streams.has(stream as Stream) ? stream as Stream : null
}

export const isBookStream = (source: string): source is BookStream =>
  source === "obu" || source === "order_book_update" || source === "order_book"

/** The smallest feed that holds the depth, or why there is none. */
export const feedOf = (source: BookSource, channel: BookChannel): BookFeed | string => {
  const speed = channel.speed ?? source.speed
  const ofSpeed = source.feeds.filter((feed) => speed === null || feed.speed === speed)
  if (ofSpeed.length === 0) return `speed ${speed}: ${source.offer}`
  const most = Math.max(...ofSpeed.map(({ levels }) => levels))
  const depth = channel.depth ?? Math.min(source.depth, most)
  return ofSpeed.find(({ levels }) => levels >= depth) ??
    `depth ${depth}${speed === null ? "" : ` at ${speed}`}: ${source.offer}`
}

const obu: BookSource = {
  feeds: [{ levels: 50, speed: "20ms", item: "" }, { levels: 400, speed: "100ms", item: "" }],
  speed: null,
  depth: 1,
  offer: "obu offers 50 levels every 20ms and 400 levels every 100ms"
}

/** `spot.order_book` counts levels and names a speed. */
const wholeFeeds = (speed: Speed): ReadonlyArray<BookFeed> =>
  [5, 10, 20, 30, 50, 100].map((levels) => ({ levels, speed, item: `${levels}|${speed}` }))

export const spotChannels = new Set(["BookTicker", "Trades", "Book", "Ticker", "Kline"] as const)

export const futuresChannels = new Set(
  ["BookTicker", "Trades", "Book", "FuturesTicker", "Kline", "Liquidations", "ContractStats"] as const
)

export const spot: Product = {
  id: "gate-spot",
  kind: "spot",
  prefix: "spot",
  settle: null,
  tickerSpeed: "10ms",
  channels: spotChannels,
  streams: new Set(["book_ticker", "trades", "obu", "order_book_update", "order_book", "tickers", "candlesticks"]),
  books: {
    obu,
    order_book_update: {
      feeds: [{ levels: 20, speed: "20ms", item: "20ms" }, { levels: 100, speed: "100ms", item: "100ms" }],
      speed: "100ms",
      depth: 100,
      offer: "order_book_update offers 100 levels every 100ms (default) and 20 levels every 20ms"
    },
    order_book: {
      feeds: [...wholeFeeds("100ms"), ...wholeFeeds("1000ms")],
      speed: "100ms",
      depth: 20,
      offer: "order_book offers 5, 10, 20 (default), 30, 50 and 100 levels every 100ms (default) and 1000ms"
    }
  },
  intervals: {
    "10s": "10s",
    "30s": "30s",
    "1m": "1m",
    "3m": "3m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1h",
    "2h": "2h",
    "4h": "4h",
    "6h": "6h",
    "8h": "8h",
    "12h": "12h",
    "1d": "1d",
    "1w": "7d",
    "30d": "30d"
  },
  hasPriceKinds: false,
  statsIntervals: {},
  headers: {}
}

export const futures: Product = {
  id: "gate-futures",
  kind: "swap",
  prefix: "futures",
  settle: "USDT",
  tickerSpeed: null,
  channels: futuresChannels,
  streams: new Set([
    "book_ticker",
    "trades",
    "obu",
    "order_book_update",
    "order_book",
    "tickers",
    "candlesticks",
    "public_liquidates",
    "contract_stats"
  ]),
  books: {
    obu,
    // 20 levels exist at 100ms too, but frames name only their levels: two feeds of 20 could not be told apart.
    order_book_update: {
      feeds: [
        { levels: 20, speed: "20ms", item: "20ms|20" },
        { levels: 50, speed: "100ms", item: "100ms|50" },
        { levels: 100, speed: "100ms", item: "100ms|100" }
      ],
      speed: "100ms",
      depth: 100,
      offer: "order_book_update offers 100 (default) and 50 levels every 100ms, and 20 levels every 20ms"
    },
    order_book: {
      feeds: [1, 5, 10, 20, 50, 100].map((levels) => ({ levels, speed: null, item: `${levels}|0` })),
      speed: null,
      depth: 20,
      offer: "order_book offers 1, 5, 10, 20 (default), 50 and 100 levels at no named speed"
    }
  },
  intervals: {
    "10s": "10s",
    "1m": "1m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1h",
    "4h": "4h",
    "8h": "8h",
    "1d": "1d",
    "1w": "7d"
  },
  hasPriceKinds: true,
  statsIntervals: {
    "1m": "1m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1h",
    "4h": "4h",
    "1d": "1d",
    "3d": "3d",
    "1w": "7d"
  },
  // Without it contract sizes come as whole numbers, rounded towards zero (WS futures, change of 2025-12-09).
  headers: { "X-Gate-Size-Decimal": "1" }
}
