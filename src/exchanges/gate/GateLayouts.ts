/**
 * The objects that Gate's frames hold, for the scanner: keys, where each goes, and how its value looks. Source: Gate
 * WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-20), and captured frames.
 */
import type { Product, Stream } from "./GateProduct.ts"
import { isBookStream, wireName } from "./GateProduct.ts"
import type { Keys, ScannedChannel } from "./GateScanner.ts"
import { ascii, Field, Kind, unread } from "./GateScanner.ts"

/** Fields of tickers; they share their numbers with the fields of other layouts. */
export const TickerField = {
  time: Field.time,
  symbol: Field.symbol,
  bid: Field.bid,
  ask: Field.ask,
  last: 10,
  high: 12,
  low: 13,
  change: 14,
  baseVolume: 15,
  quoteVolume: 16,
  contractVolume: 17,
  markPrice: 18,
  indexPrice: 19,
  fundingRate: 20,
  nextFunding: 21,
  fundingInterval: 22,
  openInterest: 23
} as const

const bookTicker = (size: Kind): Keys => [
  ["t", Field.time, Kind.integer],
  ["u", Field.version, Kind.integer],
  ["s", Field.symbol, Kind.text],
  ["b", Field.bid, Kind.decimal],
  ["B", Field.bidQuantity, size],
  ["a", Field.ask, Kind.decimal],
  ["A", Field.askQuantity, size]
]

const spotTrade: Keys = [
  ["id", Field.id, Kind.integer],
  unread("id_market"),
  unread("create_time"),
  ["create_time_ms", Field.time, Kind.decimal],
  ["side", Field.side, Kind.text],
  ["currency_pair", Field.symbol, Kind.text],
  ["amount", Field.quantity, Kind.decimal],
  ["price", Field.price, Kind.decimal],
  unread("range")
]

const futuresTrade: Keys = [
  ["contract", Field.symbol, Kind.text],
  unread("create_time"),
  ["create_time_ms", Field.time, Kind.integer],
  ["id", Field.id, Kind.integer],
  ["price", Field.price, Kind.decimal],
  ["size", Field.quantity, Kind.signedSize],
  unread("is_internal")
]

const deltas = (levels: Kind): Keys => [
  ["t", Field.time, Kind.integer],
  ["full", Field.full, Kind.flag],
  ["l", Field.levelCount, Kind.text],
  unread("e"),
  unread("E"),
  ["s", Field.symbol, Kind.text],
  ["U", Field.firstVersion, Kind.integer],
  ["u", Field.version, Kind.integer],
  ["b", Field.bid, levels],
  ["a", Field.ask, levels]
]

const wholeBook = (symbol: string, version: string, levels: Kind): Keys => [
  ["t", Field.time, Kind.integer],
  [version, Field.version, Kind.integer],
  [symbol, Field.symbol, Kind.text],
  ["l", Field.levelCount, Kind.text],
  ["bids", Field.bid, levels],
  ["asks", Field.ask, levels]
]

const spotTicker: Keys = [
  ["currency_pair", TickerField.symbol, Kind.text],
  ["last", TickerField.last, Kind.decimal],
  ["lowest_ask", TickerField.ask, Kind.decimal],
  ["highest_bid", TickerField.bid, Kind.decimal],
  ["change_percentage", TickerField.change, Kind.percent],
  ["base_volume", TickerField.baseVolume, Kind.decimal],
  ["quote_volume", TickerField.quoteVolume, Kind.decimal],
  ["high_24h", TickerField.high, Kind.decimal],
  ["low_24h", TickerField.low, Kind.decimal]
]

const futuresTicker: Keys = [
  ["contract", TickerField.symbol, Kind.text],
  ["last", TickerField.last, Kind.decimal],
  ["change_percentage", TickerField.change, Kind.percent],
  ["total_size", TickerField.openInterest, Kind.size],
  ["volume_24h", TickerField.contractVolume, Kind.size],
  ["volume_24h_base", TickerField.baseVolume, Kind.size],
  ["volume_24h_quote", TickerField.quoteVolume, Kind.size],
  unread("volume_24h_settle"),
  ["mark_price", TickerField.markPrice, Kind.decimal],
  ["funding_rate", TickerField.fundingRate, Kind.signed],
  unread("funding_rate_indicative"),
  ["funding_interval", TickerField.fundingInterval, Kind.integer],
  unread("funding_offset"),
  ["funding_next_apply", TickerField.nextFunding, Kind.integer],
  ["index_price", TickerField.indexPrice, Kind.decimal],
  unread("quanto_base_rate"),
  unread("price_type"),
  ["low_24h", TickerField.low, Kind.decimal],
  ["high_24h", TickerField.high, Kind.decimal],
  ["t", TickerField.time, Kind.integer]
]

type Layouts = ReadonlyArray<readonly [stream: Stream, keys: Keys]>

const layouts: Readonly<Record<Product["prefix"], Layouts>> = {
  spot: [
    ["book_ticker", bookTicker(Kind.decimal)],
    ["trades", spotTrade],
    ["obu", deltas(Kind.levels)],
    ["order_book_update", deltas(Kind.levels)],
    ["order_book", wholeBook("s", "lastUpdateId", Kind.levels)],
    ["tickers", spotTicker]
  ],
  futures: [
    ["book_ticker", bookTicker(Kind.size)],
    ["trades", futuresTrade],
    ["obu", deltas(Kind.levels)],
    ["order_book_update", deltas(Kind.sizedLevels)],
    ["order_book", wholeBook("contract", "id", Kind.sizedLevels)],
    ["tickers", futuresTicker]
  ]
}

/** The streams that the scanner reads, in the order of `scannedChannels`. */
export const scannedStreams = (product: Product): ReadonlyArray<Stream> =>
  layouts[product.prefix].map(([stream]) => stream)

export const scannedChannels = (product: Product): ReadonlyArray<ScannedChannel> =>
  layouts[product.prefix].map(([stream, keys]) => ({
    name: ascii(wireName(product, stream)),
    keys,
    event: ascii(dataEvent(product, stream)),
    isList: listed(product, stream)
  }))

/** The event of a stream's data. The other event of `futures.order_book`, single levels, was retired by Gate. */
export const dataEvent = (product: Product, stream: Stream): string =>
  product.prefix === "futures" && stream === "order_book" ? "all" : "update"

/** Whether a result may be a list. On futures most are, and the others were seen as lists. */
export const listed = (product: Product, stream: Stream): boolean =>
  product.prefix === "futures" && !isBookStream(stream)
