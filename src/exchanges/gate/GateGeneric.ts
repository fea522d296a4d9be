/**
 * The general way: `JSON.parse` and schemas. It reads whatever the scanner leaves, yields the same events, and says what
 * is wrong with what it refuses. Source: Gate WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-20).
 */
import { Result, Schema } from "effect"
import type { KlinePrice, MarketEvent, StatsInterval } from "../../domain/Market.ts"
import { klineIntervals, statsIntervals } from "../../domain/Market.ts"
import type { ExactText } from "../../domain/Numeric.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { Topic } from "../../ExchangeAdapter.ts"
import * as GateEvents from "./GateEvents.ts"
import { listed } from "./GateLayouts.ts"
import type { Product, Stream } from "./GateProduct.ts"
import type { FeedTables, Topics, TopicTable } from "./GateTopics.ts"
import * as GateWire from "./GateWire.ts"

/** What a frame of data holds, or why it cannot be read. */
export type Read<A> = Result.Result<A, string>

export interface Decoded {
  readonly topic: Topic
  readonly event: MarketEvent
}

/** What every entry of a frame shares. */
interface Frame {
  readonly product: Product
  readonly topics: Topics
  readonly receivedAt: number
  /** `time_ms` of the envelope; null when it has none. */
  readonly sentAt: number | null
}

/** Reads one entry of a result. */
type ReadEntry = (frame: Frame, value: unknown) => Read<ReadonlyArray<Decoded>>

/** Long enough to find the fault, short enough for a log line. */
const longestDetail = 300

export const brief = (text: string): string => text.length > longestDetail ? `${text.slice(0, longestDetail)}…` : text

export const reader = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: unknown): Read<S["Type"]> => Result.mapError(decode(value), (error) => brief(error.message))
}

const entry = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  decode: (frame: Frame, value: S["Type"]) => Read<ReadonlyArray<Decoded>>
): ReadEntry => {
  const read = reader(schema)
  return (frame, value) => Result.flatMap(read(value), (one) => decode(frame, one))
}

const one = (topic: Topic, event: MarketEvent): Read<ReadonlyArray<Decoded>> => Result.succeed([{ topic, event }])

const fail = (detail: string): Read<never> => Result.fail(brief(detail))

/** Frames that do not name their feed cannot be told apart while two run. */
const noTopic = (name: string): Read<never> =>
  fail(`no topic for ${JSON.stringify(name)}: not the name of a pair or stream, or one of two feeds`)

/** 0 stands for none. */
export const optionalTime = (time: unknown, millis = 1): number | null => {
  const value = GateWire.isTime(time) ? GateWire.timeOf(time) : 0
  return value === 0 ? null : value * millis
}

const seconds = (time: unknown): number | null => optionalTime(time, 1000)

type Fields = ReadonlyArray<readonly [name: string, text: string | null]>

const exactOf = (fields: Fields): ExactText | null => {
  const long = fields.flatMap(([name, text]) =>
    text !== null && Numeric.isExcess(text.replace("-", "")) ? [[name, text] as const] : []
  )
  return long.length === 0 ? null : Object.fromEntries(long)
}

// ---- Best prices and trades ----

type Side = readonly [price: number | null, quantity: number | null]

const emptySide: Side = [null, null]

/** Nobody there: no price and nothing of it, as empty texts or 0. Undefined when price and quantity do not go together. */
const sideOf = (priceText: string, quantityText: string): Side | undefined => {
  const price = priceText === "" ? 0 : Numeric.fromText(priceText)
  const quantity = quantityText === "" ? 0 : Numeric.fromText(quantityText)
  if (Number.isNaN(price) || Number.isNaN(quantity)) return undefined
  if (price <= 0) return quantity <= 0 ? emptySide : undefined
  return quantityText === "" || quantity < 0 ? undefined : [price, quantity]
}

const bookTicker = (frame: Frame, result: typeof GateWire.FuturesBookTickerResult.Type) => {
  const [bidText, askText] = [GateWire.sizeText(result.B), GateWire.sizeText(result.A)]
  const bid = sideOf(result.b, bidText)
  const ask = sideOf(result.a, askText)
  if (bid === undefined || ask === undefined) {
    return fail(`not a price with its quantity: b ${result.b} B ${bidText} a ${result.a} A ${askText}`)
  }
  const topic = frame.topics.ticker.findText(result.s)
  if (topic === null) return noTopic(result.s)
  const exact = exactOf([
    ["bidPrice", result.b],
    ["bidQuantity", bidText],
    ["askPrice", result.a],
    ["askQuantity", askText]
  ])
  return one(
    topic,
    GateEvents.bookTicker(
      topic,
      ...bid,
      ...ask,
      GateWire.sequenceOf(result.u),
      optionalTime(result.t),
      frame.receivedAt,
      exact
    )
  )
}

interface TradeTexts {
  readonly symbol: string
  readonly price: string
  readonly quantity: string
  readonly side: "buy" | "sell"
  readonly id: typeof GateWire.Id.Type
  readonly time: number | null
}

const trade = (frame: Frame, texts: TradeTexts) => {
  const price = Numeric.fromText(texts.price)
  const quantity = Numeric.fromText(texts.quantity)
  if (!(price > 0 && quantity > 0)) {
    return fail(`not a price with its quantity: price ${texts.price} quantity ${texts.quantity}`)
  }
  const topic = frame.topics.trades.findText(texts.symbol)
  if (topic === null) return noTopic(texts.symbol)
  const id = Sequence.toText(GateWire.sequenceOf(texts.id))
  const exact = exactOf([["price", texts.price], ["quantity", texts.quantity]])
  return one(topic, GateEvents.trade(topic, id, price, quantity, texts.side, texts.time, frame.receivedAt, exact))
}

const tradeTime = (result: { readonly create_time?: unknown; readonly create_time_ms?: unknown }): number | null =>
  optionalTime(result.create_time_ms) ?? seconds(result.create_time)

const spotTrade = (frame: Frame, result: typeof GateWire.TradeResult.Type) =>
  trade(frame, {
    symbol: result.currency_pair,
    price: result.price,
    quantity: result.amount,
    side: result.side,
    id: result.id,
    time: tradeTime(result)
  })

/** Sign and digits of a size: positive bought, negative sold. */
const signedSize = (size: typeof GateWire.Size.Type): { readonly side: "buy" | "sell"; readonly quantity: string } => {
  const text = GateWire.sizeText(size)
  return text.startsWith("-") ? { side: "sell", quantity: text.slice(1) } : { side: "buy", quantity: text }
}

const futuresTrade = (frame: Frame, result: typeof GateWire.FuturesTradeResult.Type) =>
  trade(frame, {
    symbol: result.contract,
    price: result.price,
    ...signedSize(result.size),
    id: result.id,
    time: tradeTime(result)
  })

// ---- Books ----

const levelCount = (levels: string | number | null | undefined): string | null =>
  levels === undefined || levels === null ? null : String(levels)

const noLevel = "a level that is not a price above 0 with its quantity"

const deltas = (
  frame: Frame,
  tableOf: (topics: Topics, levels: string | null) => TopicTable,
  result: typeof GateWire.BookResult.Type | typeof GateWire.FuturesBookResult.Type
) => {
  const full = result.full === true
  const version = GateWire.sequenceOf(result.u)
  const first = result.U ?? (full ? result.u : null)
  if (first === null) return fail("a delta without U")
  const firstVersion = GateWire.sequenceOf(first)
  if (firstVersion > version) return fail(`U ${firstVersion} behind u ${version}`)
  const sides = Numeric.readSides(GateWire.levelTexts(result.b), GateWire.levelTexts(result.a))
  if (sides === null) return fail(noLevel)
  const topic = tableOf(frame.topics, levelCount(result.l)).findText(result.s)
  if (topic === null) return noTopic(result.s)
  const time = optionalTime(result.t)
  return one(
    topic,
    GateEvents.book(topic, full, sides.bids, sides.asks, firstVersion, version, time, frame.receivedAt, sides.exact)
  )
}

const obu = entry(GateWire.BookResult, (frame, result) => deltas(frame, (topics) => topics.obu, result))

const updateTable = (topics: Topics, levels: string | null): TopicTable => topics.update.of(levels)

interface Whole {
  readonly symbol: string
  readonly version: typeof GateWire.Id.Type
  readonly levels: string | null
  readonly bids: Parameters<typeof GateWire.levelTexts>[0]
  readonly asks: Parameters<typeof GateWire.levelTexts>[0]
  readonly time: number | null
}

const wholeBook = (frame: Frame, whole: Whole): Read<ReadonlyArray<Decoded>> => {
  const sides = Numeric.readSides(GateWire.levelTexts(whole.bids), GateWire.levelTexts(whole.asks))
  if (sides === null) return fail(noLevel)
  const tables: FeedTables = frame.topics.whole
  const topic = tables.of(whole.levels).findText(whole.symbol)
  if (topic === null) return noTopic(whole.symbol)
  const version = GateWire.sequenceOf(whole.version)
  const twin = tables.twin(topic)
  return Result.succeed([topic, ...(twin === null ? [] : [twin])].map((of) => ({
    topic: of,
    event: GateEvents.book(
      of,
      true,
      sides.bids,
      sides.asks,
      version,
      version,
      whole.time,
      frame.receivedAt,
      sides.exact
    )
  })))
}

const spotWholeBook = entry(GateWire.WholeBookResult, (frame, result) =>
  wholeBook(frame, {
    symbol: result.s,
    version: result.lastUpdateId,
    levels: levelCount(result.l),
    bids: result.bids,
    asks: result.asks,
    time: optionalTime(result.t)
  }))

/** Every frame replaces the book, so that one without version is none the worse: 0. */
const futuresWholeBook = entry(GateWire.FuturesWholeBookResult, (frame, result) =>
  wholeBook(frame, {
    symbol: result.contract,
    version: result.id ?? 0,
    levels: levelCount(result.l),
    bids: result.bids,
    asks: result.asks,
    time: optionalTime(result.t)
  }))

// ---- The last 24 hours ----

/** Null when absent or empty. */
const textOrNull = (value: typeof GateWire.Size.Type | null | undefined): string | null => {
  const text = value === null || value === undefined ? "" : GateWire.sizeText(value)
  return text === "" ? null : text
}

/** NaN when it is no decimal. */
const numberOf = (text: string | null): number | null => text === null ? null : Numeric.fromText(text)

const signedOf = (text: string | null): number | null => {
  if (text === null) return null
  // Zero has no sign.
  return text.startsWith("-") ? 0 - Numeric.fromText(text.slice(1)) : Numeric.fromText(text)
}

/** 0 says that there is no such price. */
const priceOf = (text: string | null): number | null => {
  const price = numberOf(text)
  return price === 0 ? null : price
}

const fractionOf = (text: string | null): number | null => {
  const percent = signedOf(text)
  return text === null || percent === null || Number.isNaN(percent) ? percent : GateWire.fraction(text)
}

/** The name of a field that is no decimal. */
const unreadable = (fields: Readonly<Record<string, unknown>>): string | undefined =>
  Object.keys(fields).find((name) => Number.isNaN(fields[name]))

const ticker = entry(GateWire.TickerResult, (frame, result) => {
  const texts = {
    lastPrice: result.last,
    bidPrice: textOrNull(result.highest_bid),
    askPrice: textOrNull(result.lowest_ask),
    highPrice: textOrNull(result.high_24h),
    lowPrice: textOrNull(result.low_24h),
    baseVolume: textOrNull(result.base_volume),
    quoteVolume: textOrNull(result.quote_volume)
  }
  const day = {
    lastPrice: Numeric.fromText(texts.lastPrice),
    bidPrice: priceOf(texts.bidPrice),
    askPrice: priceOf(texts.askPrice),
    highPrice: numberOf(texts.highPrice),
    lowPrice: numberOf(texts.lowPrice),
    change: fractionOf(textOrNull(result.change_percentage)),
    baseVolume: numberOf(texts.baseVolume),
    quoteVolume: numberOf(texts.quoteVolume)
  }
  const odd = unreadable(day)
  if (odd !== undefined) return fail(`${odd} is no decimal`)
  const topic = frame.topics.day.findText(result.currency_pair)
  if (topic === null) return noTopic(result.currency_pair)
  const rest = { exchangeTime: frame.sentAt, exact: exactOf(Object.entries(texts)) }
  return one(topic, GateEvents.ticker(topic, { ...day, ...rest }, frame.receivedAt))
})

const futuresTicker = entry(GateWire.FuturesTickerResult, (frame, result) => {
  const texts = {
    lastPrice: result.last,
    markPrice: textOrNull(result.mark_price),
    indexPrice: textOrNull(result.index_price),
    fundingRate: textOrNull(result.funding_rate),
    openInterest: textOrNull(result.total_size),
    highPrice: textOrNull(result.high_24h),
    lowPrice: textOrNull(result.low_24h),
    contractVolume: textOrNull(result.volume_24h),
    baseVolume: textOrNull(result.volume_24h_base),
    quoteVolume: textOrNull(result.volume_24h_quote)
  }
  const day = {
    lastPrice: Numeric.fromText(texts.lastPrice),
    markPrice: numberOf(texts.markPrice),
    indexPrice: numberOf(texts.indexPrice),
    fundingRate: signedOf(texts.fundingRate),
    nextFundingTime: seconds(result.funding_next_apply),
    fundingInterval: seconds(result.funding_interval),
    openInterest: numberOf(texts.openInterest),
    highPrice: numberOf(texts.highPrice),
    lowPrice: numberOf(texts.lowPrice),
    change: fractionOf(textOrNull(result.change_percentage)),
    contractVolume: numberOf(texts.contractVolume),
    baseVolume: numberOf(texts.baseVolume),
    quoteVolume: numberOf(texts.quoteVolume)
  }
  const odd = unreadable(day)
  if (odd !== undefined) return fail(`${odd} is no decimal`)
  const topic = frame.topics.day.findText(result.contract)
  if (topic === null) return noTopic(result.contract)
  const rest = { exchangeTime: optionalTime(result.t) ?? frame.sentAt, exact: exactOf(Object.entries(texts)) }
  return one(topic, GateEvents.futuresTicker(topic, { ...day, ...rest }, frame.receivedAt))
})

// ---- Candles, liquidations, statistics: slow streams, read here alone ----

const candle = entry(GateWire.CandleResult, (frame, result) => {
  const { product } = frame
  const name = GateWire.candleOf(result.n)
  const interval = klineIntervals.find((one) => product.intervals[one] === name?.interval)
  if (name === null || interval === undefined) return noTopic(result.n)
  const volume = textOrNull(result.v)
  const texts = {
    open: result.o,
    high: result.h,
    low: result.l,
    close: result.c,
    baseVolume: textOrNull(result.a),
    ...(product.kind === "spot" ? { quoteVolume: volume } : { contractVolume: volume })
  }
  const numbers = {
    open: Numeric.fromText(texts.open),
    high: Numeric.fromText(texts.high),
    low: Numeric.fromText(texts.low),
    close: Numeric.fromText(texts.close),
    baseVolume: numberOf(texts.baseVolume),
    quoteVolume: product.kind === "spot" ? numberOf(volume) : null,
    contractVolume: product.kind === "spot" ? null : numberOf(volume)
  }
  const odd = unreadable(numbers)
  if (odd !== undefined) return fail(`${odd} is no decimal`)
  const topic = frame.topics.candles.findText(result.n)
  if (topic === null) return noTopic(result.n)
  return one(topic, {
    _tag: "Kline",
    pair: topic.pair,
    symbol: topic.symbol,
    interval,
    price: prices[name.prefix]!,
    openTime: GateWire.timeOf(result.t) * 1000,
    closeTime: null,
    ...numbers,
    closed: result.w ?? null,
    exchangeTime: frame.sentAt,
    receivedAt: frame.receivedAt,
    exact: exactOf(Object.entries(texts))
  })
})

const prices: Readonly<Record<string, KlinePrice>> = { "": "last", mark_: "mark", index_: "index" }

/** Below this a time is in seconds: as ms it would be in March 1973. */
const earliestMillis = 1e11

const eitherTime = (time: unknown): number | null => {
  const value = optionalTime(time)
  return value === null || value >= earliestMillis ? value : value * 1000
}

const liquidation = entry(GateWire.LiquidationResult, (frame, result) => {
  const { side, quantity: size } = signedSize(result.size)
  const text = GateWire.sizeText(result.price)
  const price = Numeric.fromText(text)
  const quantity = Numeric.fromText(size)
  if (!(price > 0 && quantity > 0)) return fail(`not a price with its size: price ${text} size ${size}`)
  const topics = frame.topics.liquidationTopics(result.contract)
  if (topics === null) return noTopic(result.contract)
  const instrument = frame.topics.instrumentOf(result.contract)
  const exact = exactOf([["price", text], ["quantity", size]])
  return Result.succeed(topics.map((topic) => ({
    topic,
    event: {
      _tag: "Liquidation",
      // The topic of all contracts stands for none of them.
      pair: topic.symbol === result.contract ? topic.pair : instrument?.pair ?? null,
      symbol: result.contract,
      price,
      quantity,
      side,
      exchangeTime: eitherTime(result.time) ?? optionalTime(result.time_ms),
      receivedAt: frame.receivedAt,
      contractSize: topic.symbol === result.contract ? topic.contractSize : instrument?.contractSize ?? null,
      exact
    }
  })))
})

const stats = entry(GateWire.StatsResult, (frame, result) => {
  const texts = {
    markPrice: textOrNull(result.mark_price),
    openInterest: textOrNull(result.open_interest),
    openInterestValue: textOrNull(result.open_interest_usd),
    takerRatio: textOrNull(result.lsr_taker),
    accountRatio: textOrNull(result.lsr_account),
    topAccountRatio: textOrNull(result.top_lsr_account),
    topSizeRatio: textOrNull(result.top_lsr_size),
    longLiquidations: textOrNull(result.long_liq_size),
    shortLiquidations: textOrNull(result.short_liq_size)
  }
  const numbers = {
    markPrice: numberOf(texts.markPrice),
    openInterest: numberOf(texts.openInterest),
    openInterestValue: numberOf(texts.openInterestValue),
    takerRatio: numberOf(texts.takerRatio),
    accountRatio: numberOf(texts.accountRatio),
    topAccountRatio: numberOf(texts.topAccountRatio),
    topSizeRatio: numberOf(texts.topSizeRatio),
    longLiquidations: numberOf(texts.longLiquidations),
    shortLiquidations: numberOf(texts.shortLiquidations)
  }
  const odd = unreadable(numbers)
  if (odd !== undefined) return fail(`${odd} is no decimal`)
  const topic = frame.topics.stats.findText(result.contract)
  if (topic === null) return noTopic(result.contract)
  const interval = intervalOf(frame.product, topic)
  if (interval === undefined) return noTopic(topic.key)
  return one(topic, {
    _tag: "ContractStats",
    pair: topic.pair,
    symbol: topic.symbol,
    interval,
    ...numbers,
    exchangeTime: seconds(result.time),
    receivedAt: frame.receivedAt,
    contractSize: topic.contractSize,
    exact: exactOf(Object.entries(texts))
  })
})

/** Frames do not name it, but the topic's key does. */
const intervalOf = (product: Product, { key }: Topic): StatsInterval | undefined => {
  const word = key.slice(key.lastIndexOf("|") + 1)
  return statsIntervals.find((interval) => product.statsIntervals[interval] === word)
}

// ---- Streams ----

const entries: Readonly<Record<Product["prefix"], Readonly<Partial<Record<Stream, ReadEntry>>>>> = {
  spot: {
    book_ticker: entry(GateWire.BookTickerResult, bookTicker),
    trades: entry(GateWire.TradeResult, spotTrade),
    obu,
    order_book_update: entry(GateWire.BookResult, (frame, result) => deltas(frame, updateTable, result)),
    order_book: spotWholeBook,
    tickers: ticker,
    candlesticks: candle
  },
  futures: {
    book_ticker: entry(GateWire.FuturesBookTickerResult, bookTicker),
    trades: entry(GateWire.FuturesTradeResult, futuresTrade),
    obu,
    order_book_update: entry(GateWire.FuturesBookResult, (frame, result) => deltas(frame, updateTable, result)),
    order_book: futuresWholeBook,
    tickers: futuresTicker,
    candlesticks: candle,
    public_liquidates: liquidation,
    contract_stats: stats
  }
}

/** Everything in a result, or why one entry of it cannot be read: then nothing of it counts. */
export const readResult = (frame: Frame, stream: Stream, result: unknown): Read<ReadonlyArray<Decoded>> => {
  const read = entries[frame.product.prefix][stream]!
  if (!Array.isArray(result) || !listed(frame.product, stream)) return read(frame, result)
  const decoded: Array<Decoded> = []
  for (const value of result) {
    const one = read(frame, value)
    if (Result.isFailure(one)) return one
    decoded.push(...one.success)
  }
  return Result.succeed(decoded)
}
