/**
 * The fast path: a scanned frame's fields to events. A deliverer returns false when something in it is not as usual; then
 * it has put nothing, and the generic decoder has to judge. What it accepts, that one accepts with the same events.
 */
import * as Sequence from "../../domain/Sequence.ts"
import type { Sink, Topic } from "../../ExchangeAdapter.ts"
import * as GateEvents from "./GateEvents.ts"
import { TickerField } from "./GateLayouts.ts"
import type { Product, Stream } from "./GateProduct.ts"
import { Field, type Scanner } from "./GateScanner.ts"
import type { FeedTables, Topics, TopicTable } from "./GateTopics.ts"
import { utf8 } from "./GateTopics.ts"

export type Deliver = (
  topics: Topics,
  scanner: Scanner,
  bytes: Uint8Array,
  receivedAt: number,
  sink: Pick<Sink, "event">
) => boolean

const buyWord = utf8.encode("buy")
const sellWord = utf8.encode("sell")

/**
 * A price above 0 with its quantity, or an empty side: texts that are empty (-1) or 0. Spot's documents show no empty
 * side; those for futures give `""` for the price and 0 for the size.
 */
const isSide = (price: number, quantity: number): boolean => price > 0 ? quantity >= 0 : price <= 0 && quantity <= 0

/** `value` is of a side with this price. */
const orNull = (price: number, value: number): number | null => price > 0 ? value : null

/** Also false for NaN. Longer ones are no safe integers. */
const isTime = (time: number): boolean => time >= 0 && time <= Number.MAX_SAFE_INTEGER

/** 0 says that there is none, as in frames of contracts that do not trade yet. */
const timeOrNull = (time: number): number | null => time > 0 ? time : null

const fieldsOf = (...fields: ReadonlyArray<number>): number => fields.reduce((set, field) => set | (1 << field), 0)

const topicAt = (table: TopicTable, scanner: Scanner, bytes: Uint8Array): Topic | null =>
  scanner.has(Field.symbol) ? table.find(bytes, scanner.start(Field.symbol), scanner.end(Field.symbol)) : null

/** What `GateTicker` leaves: in another order, with a side that is empty, a number of many digits. */
const bookTicker: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const bidPrice = scanner.decimalOrEmpty(Field.bid)
  const bidQuantity = scanner.decimalOrEmpty(Field.bidQuantity)
  const askPrice = scanner.decimalOrEmpty(Field.ask)
  const askQuantity = scanner.decimalOrEmpty(Field.askQuantity)
  const version = scanner.sequence(Field.version)
  const time = scanner.decimal(Field.time)
  if (!isSide(bidPrice, bidQuantity) || !isSide(askPrice, askQuantity) || version === null || !isTime(time)) {
    return false
  }
  const topic = topicAt(topics.ticker, scanner, bytes)
  if (topic === null) return false
  scanner.note(Field.bid, "bidPrice")
  scanner.note(Field.bidQuantity, "bidQuantity")
  scanner.note(Field.ask, "askPrice")
  scanner.note(Field.askQuantity, "askQuantity")
  const exact = scanner.exact
  sink.event(
    topic,
    GateEvents.bookTicker(
      topic,
      orNull(bidPrice, bidPrice),
      orNull(bidPrice, bidQuantity),
      orNull(askPrice, askPrice),
      orNull(askPrice, askQuantity),
      version,
      timeOrNull(time),
      receivedAt,
      exact
    )
  )
  return true
}

const spotTrade: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const side = sideOf(scanner)
  return side !== null && trade(topics, scanner, bytes, receivedAt, sink, scanner.decimal(Field.quantity), side)
}

const sideOf = (scanner: Scanner): "buy" | "sell" | null => {
  if (scanner.isWord(Field.side, buyWord)) return "buy"
  return scanner.isWord(Field.side, sellWord) ? "sell" : null
}

/** The taker's side is the size's sign. */
const futuresTrade: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const size = scanner.decimal(Field.quantity)
  return trade(topics, scanner, bytes, receivedAt, sink, Math.abs(size), size > 0 ? "buy" : "sell")
}

const trade = (
  topics: Topics,
  scanner: Scanner,
  bytes: Uint8Array,
  receivedAt: number,
  sink: Pick<Sink, "event">,
  quantity: number,
  side: "buy" | "sell"
): boolean => {
  const id = scanner.sequence(Field.id)
  const price = scanner.decimal(Field.price)
  const time = scanner.decimal(Field.time)
  // Without milliseconds the seconds count, which the generic decoder reads.
  if (id === null || !(price > 0 && quantity > 0 && time > 0 && isTime(time))) return false
  const topic = topicAt(topics.trades, scanner, bytes)
  if (topic === null) return false
  scanner.note(Field.price, "price")
  scanner.note(Field.quantity, "quantity")
  const exact = scanner.exact
  sink.event(
    topic,
    GateEvents.trade(topic, Sequence.toText(id), price, quantity, side, timeOrNull(time), receivedAt, exact)
  )
  return true
}

const obu: Deliver = (topics, scanner, bytes, receivedAt, sink) => deltas(topics.obu, scanner, bytes, receivedAt, sink)

const update: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const table = feedTable(topics.update, scanner, bytes)
  return table !== null && deltas(table, scanner, bytes, receivedAt, sink)
}

const deltaFields = fieldsOf(Field.firstVersion, Field.version, Field.time)

/**
 * Nearly all have short numbers. Told apart so that what they take is little enough code for V8 to compile in one piece with the
 * making of the event and the session's way to the subscriber (its limit is 920 bytes of bytecode): numbers that are given
 * from one piece to another are boxed on the way.
 */
const deltas = (
  table: TopicTable,
  scanner: Scanner,
  bytes: Uint8Array,
  receivedAt: number,
  sink: Pick<Sink, "event">
): boolean => {
  if (!scanner.isPlain(deltaFields)) return oddDeltas(table, scanner, bytes, receivedAt, sink)
  const firstVersion = scanner.number(Field.firstVersion)
  const version = scanner.number(Field.version)
  const time = scanner.number(Field.time)
  if (!(time > 0 && isTime(time) && firstVersion <= version)) return oddDeltas(table, scanner, bytes, receivedAt, sink)
  const topic = topicAt(table, scanner, bytes)
  if (topic === null) return false
  const { full, bids, asks, exact } = scanner
  sink.event(topic, GateEvents.book(topic, full, bids, asks, firstVersion, version, time, receivedAt, exact))
  return true
}

const oddDeltas = (
  table: TopicTable,
  scanner: Scanner,
  bytes: Uint8Array,
  receivedAt: number,
  sink: Pick<Sink, "event">
): boolean => {
  const version = scanner.sequence(Field.version)
  const time = scanner.decimal(Field.time)
  if (version === null || !isTime(time)) return false
  const firstVersion = scanner.has(Field.firstVersion)
    ? scanner.sequence(Field.firstVersion)
    : scanner.full
    ? version
    : null
  if (firstVersion === null || firstVersion > version) return false
  const topic = topicAt(table, scanner, bytes)
  if (topic === null) return false
  const { full, bids, asks, exact } = scanner
  sink.event(
    topic,
    GateEvents.book(topic, full, bids, asks, firstVersion, version, timeOrNull(time), receivedAt, exact)
  )
  return true
}

/** Null when the level count is none that is known. */
const feedTable = (tables: FeedTables, scanner: Scanner, bytes: Uint8Array): TopicTable | null =>
  scanner.has(Field.levelCount)
    ? tables.at(bytes, scanner.start(Field.levelCount), scanner.end(Field.levelCount))
    : tables.withoutLevels

const wholeBook: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const version = scanner.sequence(Field.version)
  const time = scanner.decimal(Field.time)
  if (version === null || !isTime(time)) return false
  const table = feedTable(topics.whole, scanner, bytes)
  const topic = table === null ? null : topicAt(table, scanner, bytes)
  if (topic === null) return false
  const { asks, bids, exact } = scanner
  const made = (of: Topic) =>
    GateEvents.book(of, true, bids, asks, version, version, timeOrNull(time), receivedAt, exact)
  sink.event(topic, made(topic))
  const twin = topics.whole.twin(topic)
  if (twin !== null) sink.event(twin, made(twin))
  return true
}

// ---- The last 24 hours ----

/** Null when absent or empty, NaN when it is no decimal. */
const optional = (scanner: Scanner, field: number): number | null =>
  !scanner.has(field) || scanner.isEmpty(field) ? null : scanner.decimal(field)

/** A price; 0 says that there is none. */
const optionalPrice = (scanner: Scanner, field: number): number | null => {
  const price = optional(scanner, field)
  return price === 0 ? null : price
}

const isReadable = (values: ReadonlyArray<number | null>): boolean => {
  for (const value of values) if (Number.isNaN(value)) return false
  return true
}

/** A time that may be absent; NaN when it is none, or beyond what a number holds exactly. */
const optionalTime = (scanner: Scanner, field: number): number | null => {
  if (!scanner.has(field)) return null
  const time = scanner.decimal(field)
  return isTime(time) ? timeOrNull(time) : Number.NaN
}

/** The time in the result, else the envelope's. */
const sentAt = (scanner: Scanner): number | null =>
  optionalTime(scanner, Field.time) ?? optionalTime(scanner, Field.sentAt)

type Names = ReadonlyArray<readonly [field: number, name: string]>

const dayNames: Names = [
  [TickerField.last, "lastPrice"],
  [TickerField.high, "highPrice"],
  [TickerField.low, "lowPrice"],
  [TickerField.baseVolume, "baseVolume"],
  [TickerField.quoteVolume, "quoteVolume"]
]

const spotNames: Names = [...dayNames, [TickerField.bid, "bidPrice"], [TickerField.ask, "askPrice"]]

const futuresNames: Names = [
  ...dayNames,
  [TickerField.markPrice, "markPrice"],
  [TickerField.indexPrice, "indexPrice"],
  [TickerField.fundingRate, "fundingRate"],
  [TickerField.openInterest, "openInterest"],
  [TickerField.contractVolume, "contractVolume"]
]

const noted = (scanner: Scanner, names: Names): Readonly<Record<string, string>> | null => {
  for (const [field, name] of names) scanner.noteSigned(field, name)
  return scanner.exact
}

const ticker: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const lastPrice = scanner.decimal(TickerField.last)
  const bidPrice = optionalPrice(scanner, TickerField.bid)
  const askPrice = optionalPrice(scanner, TickerField.ask)
  const highPrice = optional(scanner, TickerField.high)
  const lowPrice = optional(scanner, TickerField.low)
  const change = optional(scanner, TickerField.change)
  const baseVolume = optional(scanner, TickerField.baseVolume)
  const quoteVolume = optional(scanner, TickerField.quoteVolume)
  const exchangeTime = sentAt(scanner)
  const prices = [lastPrice, bidPrice, askPrice, highPrice, lowPrice, change]
  if (!isReadable(prices) || !isReadable([baseVolume, quoteVolume, exchangeTime])) return false
  const topic = topicAt(topics.day, scanner, bytes)
  if (topic === null) return false
  const day = {
    lastPrice,
    bidPrice,
    askPrice,
    highPrice,
    lowPrice,
    change,
    baseVolume,
    quoteVolume,
    exchangeTime,
    exact: noted(scanner, spotNames)
  }
  sink.event(topic, GateEvents.ticker(topic, day, receivedAt))
  return true
}

/** Seconds to ms; null when absent or 0, NaN as above. */
const seconds = (scanner: Scanner, field: number): number | null => {
  const time = optionalTime(scanner, field)
  return time === null ? null : time * 1000
}

const futuresTicker: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const lastPrice = scanner.decimal(TickerField.last)
  const markPrice = optional(scanner, TickerField.markPrice)
  const indexPrice = optional(scanner, TickerField.indexPrice)
  const fundingRate = optional(scanner, TickerField.fundingRate)
  const openInterest = optional(scanner, TickerField.openInterest)
  const highPrice = optional(scanner, TickerField.high)
  const lowPrice = optional(scanner, TickerField.low)
  const change = optional(scanner, TickerField.change)
  const contractVolume = optional(scanner, TickerField.contractVolume)
  const baseVolume = optional(scanner, TickerField.baseVolume)
  const quoteVolume = optional(scanner, TickerField.quoteVolume)
  const nextFundingTime = seconds(scanner, TickerField.nextFunding)
  const fundingInterval = seconds(scanner, TickerField.fundingInterval)
  const exchangeTime = sentAt(scanner)
  const prices = [lastPrice, markPrice, indexPrice, fundingRate, highPrice, lowPrice, change]
  const others = [openInterest, contractVolume, baseVolume, quoteVolume, nextFundingTime, fundingInterval, exchangeTime]
  if (!isReadable(prices) || !isReadable(others)) return false
  const topic = topicAt(topics.day, scanner, bytes)
  if (topic === null) return false
  const day = {
    lastPrice,
    markPrice,
    indexPrice,
    fundingRate,
    nextFundingTime,
    fundingInterval,
    openInterest,
    highPrice,
    lowPrice,
    change,
    contractVolume,
    baseVolume,
    quoteVolume,
    exchangeTime,
    exact: noted(scanner, futuresNames)
  }
  sink.event(topic, GateEvents.futuresTicker(topic, day, receivedAt))
  return true
}

const deliverers: Readonly<Record<Product["prefix"], Readonly<Partial<Record<Stream, Deliver>>>>> = {
  spot: {
    book_ticker: bookTicker,
    trades: spotTrade,
    obu,
    order_book_update: update,
    order_book: wholeBook,
    tickers: ticker
  },
  futures: {
    book_ticker: bookTicker,
    trades: futuresTrade,
    obu,
    order_book_update: update,
    order_book: wholeBook,
    tickers: futuresTicker
  }
}

export const deliverer = (product: Product, stream: Stream): Deliver => deliverers[product.prefix][stream]!
