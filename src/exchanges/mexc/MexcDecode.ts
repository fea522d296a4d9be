/**
 * Frames to domain events. Binary frames hold one protobuf wrapper each, text frames hold JSON; both kinds come mixed on
 * one socket. Everything in a frame is decided before its first event is handed over.
 */
import type { InstrumentOf, TradingPair } from "../../domain/Instrument.ts"
import { LevelBuffer } from "../../domain/LevelBuffer.ts"
import type { BookTicker, BookUpdate, Kline, KlineInterval, Ticker, Trade } from "../../domain/Market.ts"
import type { ExactText } from "../../domain/Numeric.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { Codec, CodecContext, Sink, Topic } from "../../ExchangeAdapter.ts"
import type { Entry } from "./MexcChannels.ts"
import * as MexcChannels from "./MexcChannels.ts"
import * as MexcControl from "./MexcControl.ts"
import * as MexcSchema from "./MexcSchema.ts"
import * as MexcText from "./MexcText.ts"
import * as MexcWire from "./MexcWire.ts"

const leftBrace = 123

const tickerOf = (
  topic: Topic,
  bidPrice: number | null,
  bidQuantity: number | null,
  askPrice: number | null,
  askQuantity: number | null,
  version: Sequence.Sequence | null,
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

class MexcCodec implements Codec {
  private readonly channels: MexcChannels.Channels
  private readonly instrumentOf: InstrumentOf
  private readonly walker = new MexcWire.Walker()
  /** By slot: short ones of the ticker that is read. */
  private readonly numbers = new Float64Array(MexcWire.slotCount)
  /** Field number of the frame's body; 0 when it has none. */
  private body = 0
  private exact: Record<string, string> | null = null
  /** Of the frame whose head was met before, when it has the channel's body. */
  private known: Entry | null = null
  /** Of the frame whose topic was found. */
  private entry: Entry | null = null
  private trades: Array<Trade> = []
  private readonly bids = new LevelBuffer()
  private readonly asks = new LevelBuffer()
  private quotes: Array<Quote> = []
  private tickers: Array<Ticker> = []

  constructor(context: CodecContext) {
    this.channels = new MexcChannels.Channels(context)
    this.instrumentOf = context.instrumentOf ?? (() => undefined)
  }

  decode(frame: Uint8Array, receivedAt: number, sink: Sink): void {
    this.decodeIn(frame, 0, frame.length, receivedAt, sink)
  }

  decodeIn(bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): void {
    if (start === end) return sink.ignored("an empty frame")
    if (bytes[start] === leftBrace) return MexcControl.decode(MexcText.read(bytes, start, end), sink)
    if (!this.data(bytes, start, end, receivedAt, sink)) this.unusual(bytes, start, end, receivedAt, sink)
  }

  /** Text that is no JSON, or protobuf in a layout that the walker leaves to the generic decoder, or nothing readable. */
  private unusual(bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): void {
    const walker = this.walker
    const frame = bytes.subarray(start, end)
    const words = MexcText.readable(frame)
    if (words !== null) return MexcControl.decode(words, sink)
    if (walker.surprise === null) return sink.failed(this.describe(bytes, end, walker.problem))
    sink.fallback()
    const normalised = MexcSchema.normalise(frame)
    if (normalised._tag === "Unreadable") return sink.failed(this.describe(bytes, end, normalised.detail))
    const { length } = normalised.frame
    if (this.data(normalised.frame, 0, length, receivedAt, sink)) return
    sink.failed(this.describe(normalised.frame, length, walker.problem ?? walker.surprise))
  }

  /** Names the channel beside the problem, when the walker came as far as that in the frame that ends at `frameEnd`. */
  private describe(bytes: Uint8Array, frameEnd: number, problem: string | null): string {
    const { starts, ends } = this.walker
    const end = ends[MexcWire.channelSlot]!
    const channel = end === 0 || end > frameEnd ? null : MexcText.read(bytes, starts[MexcWire.channelSlot]!, end)
    return `${channel ?? "a frame without a readable channel"}: ${problem ?? "unreadable"}`
  }

  /** Reads a wrapper. False when the walker has a problem or a surprise; nothing has been delivered then. */
  private data(bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): boolean {
    const entry = this.channels.headed(bytes, start, end)
    if (entry !== null && entry.body === MexcWire.bookTickerBody) {
      if (this.plainTicker(entry.topic!, bytes, start + entry.head!.length, end, receivedAt, sink)) return true
    }
    this.exact = null
    this.known = null
    if (entry !== null && this.walker.openPlain(bytes, start, entry.bytes.length, entry.head!.length, end)) {
      // The head holds the channel and its symbol.
      this.body = this.walker.field
      if (this.body === entry.body) this.known = entry
      return this.content(bytes, receivedAt, sink)
    }
    if (!this.wrapper(bytes, start, end)) return false
    if (this.body === 0) {
      this.bodiless(bytes.subarray(start, end), sink)
      return true
    }
    return this.content(bytes, receivedAt, sink)
  }

  private content(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    switch (this.body) {
      case MexcWire.bookTickerBody:
        return this.bookTicker(bytes, receivedAt, sink)
      case MexcWire.depthsBody:
        return this.depths(bytes, receivedAt, sink)
      case MexcWire.dealsBody:
        return this.deals(bytes, receivedAt, sink)
      case MexcWire.limitDepthsBody:
        return this.limitDepths(bytes, receivedAt, sink)
      case MexcWire.klineBody:
        return this.kline(bytes, receivedAt, sink)
      case MexcWire.miniTickerBody:
        return this.miniTicker(bytes, receivedAt, sink)
      case MexcWire.miniTickersBody:
        return this.miniTickers(bytes, receivedAt, sink)
      case MexcWire.bookTickerBatchBody:
        return this.batch(bytes, receivedAt, sink)
      default:
        sink.ignored(`a ${MexcWire.bodyNames.get(this.body)} frame`)
        return true
    }
  }

  /** A wrapper without body has been seen on the wire. Some words are wrappers by chance, without a channel. */
  private bodiless(frame: Uint8Array, sink: Sink): void {
    const words = this.walker.ends[MexcWire.channelSlot] === 0 ? MexcText.readable(frame) : null
    if (words === null) sink.ignored("a frame without a body that is known")
    else MexcControl.decode(words, sink)
  }

  private wrapper(bytes: Uint8Array, start: number, end: number): boolean {
    const walker = this.walker
    const ends = walker.ends
    walker.openWrapper()
    this.body = 0
    let position = start
    while (position < end) {
      const body = ends[MexcWire.bodySlot]!
      position = walker.step(bytes, position, end, MexcWire.wrapperLayout)
      if (position < 0) return false
      if (ends[MexcWire.bodySlot] !== body) {
        this.body = walker.field
        if (body !== 0) {
          walker.surprised("two bodies")
          return false
        }
      }
    }
    return true
  }

  /** The frame's topic. Null when the frame is to be ignored, or when the walker has a problem. */
  private topic(bytes: Uint8Array, sink: Sink): Topic | null {
    if (this.known !== null) {
      this.entry = this.known
      return this.known.topic
    }
    const walker = this.walker
    const { starts, ends } = walker
    const end = ends[MexcWire.channelSlot]!
    const start = starts[MexcWire.channelSlot]!
    if (end === 0 || end === start) return ignore(sink, "data without a channel")
    const entry = this.channels.find(bytes, start, end)
    if (entry === null) return this.refuse("the channel is no UTF-8")
    const topic = entry.topic
    if (topic === null) return ignore(sink, "data of a channel that is not read")
    if (entry.body !== this.body) return this.refuse(`the body is a ${MexcWire.bodyNames.get(this.body)}`)
    this.entry = entry
    return this.isSymbol(bytes, MexcWire.symbolSlot, entry) ? topic : this.refuse("the symbol is not the channel's")
  }

  /** Whether a slot holds the channel's symbol, or nothing; channels of all symbols have none to compare. */
  private isSymbol(bytes: Uint8Array, slot: number, entry: Entry): boolean {
    const { starts, ends } = this.walker
    const end = ends[slot]!
    if (end === 0 || entry.symbolEnd === 0) return true
    return MexcChannels.sameBytes(bytes, starts[slot]!, end, entry.bytes, entry.symbolStart, entry.symbolEnd)
  }

  private refuse(problem: string): null {
    this.walker.fail(problem)
    return null
  }

  /** When the frame was sent, else made, ms; null when it does not say; -1 and a problem when it cannot be read. */
  private time(bytes: Uint8Array): number | null {
    const walker = this.walker
    const sent = walker.integer(bytes, MexcWire.sendTimeSlot)
    if (sent !== 0) return sent
    const created = walker.integer(bytes, MexcWire.createTimeSlot)
    return created === 0 ? null : created
  }

  /** The version in a slot; null when the field is absent or empty. A problem when it is no number. */
  private version(bytes: Uint8Array, slot: number): Sequence.Sequence | null {
    const walker = this.walker
    const end = walker.ends[slot]!
    const start = walker.starts[slot]!
    if (end === 0 || end === start) return null
    const version = Sequence.parse(bytes, start, end)
    if (version === null) walker.fail("a version is no number")
    return version
  }

  /** The decimal in a slot; -1 when the field is absent or empty. NaN and a problem when it is no plain decimal. */
  private decimal(bytes: Uint8Array, slot: number, name: string): number {
    const walker = this.walker
    const end = walker.ends[slot]!
    const start = walker.starts[slot]!
    if (end === 0 || end === start) return -1
    const value = Numeric.parse(bytes, start, end)
    if (Number.isNaN(value)) walker.fail(`${name} is no plain decimal`)
    else if (end - start > Numeric.exactDigits) this.keepExact(bytes, start, end, name)
    return value
  }

  private keepExact(bytes: Uint8Array, start: number, end: number, name: string): void {
    const exact = Numeric.excess(bytes, start, end)
    if (exact === null) return
    this.exact ??= {}
    this.exact[name] = exact
  }

  /**
   * A ticker as nearly all are: behind the head each field once and in its order, with lengths of one byte, short numbers and
   * both sides. False leaves the frame to the walker. Little enough code for V8 to compile in one piece with the session's
   * way to the subscriber: field by field, each step of the walker was a call of its own there.
   */
  private plainTicker(
    topic: Topic,
    bytes: Uint8Array,
    position: number,
    end: number,
    receivedAt: number,
    sink: Sink
  ): boolean {
    const { numbers } = this
    if (!MexcWire.readPlainTicker(numbers, bytes, position, end)) return false
    const bidPrice = numbers[MexcWire.bidPriceSlot]!
    const askPrice = numbers[MexcWire.askPriceSlot]!
    if (!(bidPrice > 0 && askPrice > 0)) return false
    sink.event(
      topic,
      tickerOf(
        topic,
        bidPrice,
        numbers[MexcWire.bidQuantitySlot]!,
        askPrice,
        numbers[MexcWire.askQuantitySlot]!,
        numbers[MexcWire.versionSlot]!,
        numbers[MexcWire.sendTimeSlot]!,
        receivedAt,
        null
      )
    )
    return true
  }

  private bookTicker(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.fields(bytes, MexcWire.bookTickerLayout)) return false
    const bidPrice = this.decimal(bytes, MexcWire.bidPriceSlot, "bidPrice")
    const bidQuantity = this.decimal(bytes, MexcWire.bidQuantitySlot, "bidQuantity")
    const askPrice = this.decimal(bytes, MexcWire.askPriceSlot, "askPrice")
    const askQuantity = this.decimal(bytes, MexcWire.askQuantitySlot, "askQuantity")
    const version = this.version(bytes, MexcWire.versionSlot)
    const exchangeTime = this.time(bytes)
    const bid = this.side(bidPrice, bidQuantity)
    const ask = this.side(askPrice, askQuantity)
    if (walker.problem !== null || walker.surprise !== null) return false
    sink.event(
      topic,
      tickerOf(
        topic,
        bid ? bidPrice : null,
        bid ? bidQuantity : null,
        ask ? askPrice : null,
        ask ? askQuantity : null,
        version,
        exchangeTime,
        receivedAt,
        this.exact
      )
    )
    return true
  }

  /** Whether a side has an order. Empty or zero price and quantity say that it has none. */
  private side(price: number, quantity: number): boolean {
    if (price > 0 && quantity >= 0) return true
    if (price > 0 || quantity > 0) this.walker.fail("half a side")
    return false
  }

  /** Reads the fields of the body, none of which is repeated. */
  private fields(bytes: Uint8Array, layout: MexcWire.Layout): boolean {
    const walker = this.walker
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    while (position < end) {
      position = walker.step(bytes, position, end, layout)
      if (position < 0) return false
    }
    return true
  }

  private depths(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.levels(bytes, MexcWire.depthsLayout)) return false
    const firstVersion = this.version(bytes, MexcWire.fromVersionSlot)
    const version = this.version(bytes, MexcWire.toVersionSlot)
    const exchangeTime = this.time(bytes)
    if (walker.problem !== null || walker.surprise !== null) return false
    if (firstVersion === null || version === null || firstVersion > version) {
      walker.fail(`versions ${firstVersion} to ${version}`)
      return false
    }
    const event: BookUpdate = {
      _tag: "BookUpdate",
      kind: "delta",
      pair: topic.pair,
      symbol: topic.symbol,
      bids: this.bids.toArray(),
      asks: this.asks.toArray(),
      firstVersion,
      version,
      exchangeTime,
      receivedAt,
      contractSize: topic.contractSize,
      exact: this.exact
    }
    sink.event(topic, event)
    return true
  }

  /** Every frame is a whole book. */
  private limitDepths(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.levels(bytes, MexcWire.limitDepthsLayout)) return false
    const version = this.version(bytes, MexcWire.toVersionSlot)
    const exchangeTime = this.time(bytes)
    if (version === null) walker.fail("a book without a version")
    if (version === null || walker.problem !== null || walker.surprise !== null) return false
    sink.event(topic, {
      _tag: "BookUpdate",
      kind: "snapshot",
      pair: topic.pair,
      symbol: topic.symbol,
      bids: this.bids.toArray(),
      asks: this.asks.toArray(),
      firstVersion: version,
      version,
      exchangeTime,
      receivedAt,
      contractSize: topic.contractSize,
      exact: this.exact
    })
    return true
  }

  private levels(bytes: Uint8Array, layout: MexcWire.Layout): boolean {
    const walker = this.walker
    const asks = this.asks
    const bids = this.bids
    asks.clear()
    bids.clear()
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    while (position < end) {
      const tag = bytes[position]!
      if (tag === MexcWire.asksTag) position = this.level(bytes, position, end, asks, "asks")
      else if (tag === MexcWire.bidsTag) position = this.level(bytes, position, end, bids, "bids")
      else position = walker.step(bytes, position, end, layout)
      if (position < 0) return false
    }
    return true
  }

  /** Reads one level into the flat list. The position behind it, or -1. */
  private level(bytes: Uint8Array, position: number, end: number, levels: LevelBuffer, name: string): number {
    const start = position + 2
    const stop = start + bytes[position + 1]!
    const priceEnd = stop > end ? -1 : MexcWire.priceEnd(bytes, start, stop)
    if (priceEnd < 0) return this.oddLevel(bytes, position, end, levels, name)
    return this.push(bytes, start + 2, priceEnd, priceEnd + 2, stop, levels, name) ? stop : -1
  }

  /** The same for a level in any other layout. */
  private oddLevel(bytes: Uint8Array, position: number, end: number, levels: LevelBuffer, name: string): number {
    const walker = this.walker
    const stop = this.item(bytes, position, end, MexcWire.levelLayout)
    if (stop < 0) return -1
    const { starts, ends } = walker
    const added = this.push(
      bytes,
      starts[MexcWire.priceSlot]!,
      ends[MexcWire.priceSlot]!,
      starts[MexcWire.quantitySlot]!,
      ends[MexcWire.quantitySlot]!,
      levels,
      name
    )
    return added ? stop : -1
  }

  private push(
    bytes: Uint8Array,
    priceStart: number,
    priceEnd: number,
    quantityStart: number,
    quantityEnd: number,
    levels: LevelBuffer,
    name: string
  ): boolean {
    const price = Numeric.parse(bytes, priceStart, priceEnd)
    const quantity = Numeric.parse(bytes, quantityStart, quantityEnd)
    if (!(price > 0 && quantity >= 0)) {
      this.walker.fail(`${name}[${levels.length}] is no level`)
      return false
    }
    if (priceEnd - priceStart > Numeric.exactDigits) {
      this.keepExact(bytes, priceStart, priceEnd, `${name}[${levels.length}]`)
    }
    if (quantityEnd - quantityStart > Numeric.exactDigits) {
      this.keepExact(bytes, quantityStart, quantityEnd, `${name}[${levels.length + 1}]`)
    }
    levels.add(price, quantity)
    return true
  }

  /** Reads the fields of one repeated message. The position behind it, or -1. */
  private item(bytes: Uint8Array, position: number, end: number, layout: MexcWire.Layout): number {
    const walker = this.walker
    walker.openItem()
    const stop = walker.message(bytes, position, end)
    let inside = walker.starts[0]!
    while (inside < stop) {
      inside = walker.step(bytes, inside, stop, layout)
      if (inside < 0) return -1
    }
    return stop
  }

  private deals(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    const trades = this.trades
    trades.length = 0
    while (position < end) {
      if (bytes[position] === MexcWire.dealTag) position = this.deal(bytes, position, end, receivedAt, topic)
      else position = walker.step(bytes, position, end, MexcWire.dealsLayout)
      if (position < 0) return false
    }
    if (trades.length === 0) sink.ignored("a deals frame without a deal")
    for (const trade of trades) sink.event(topic, trade)
    trades.length = 0
    return true
  }

  private deal(bytes: Uint8Array, position: number, end: number, receivedAt: number, topic: Topic): number {
    const walker = this.walker
    const stop = this.item(bytes, position, end, MexcWire.dealLayout)
    if (stop < 0) return -1
    this.exact = null
    const price = this.decimal(bytes, MexcWire.priceSlot, "price")
    const quantity = this.decimal(bytes, MexcWire.quantitySlot, "quantity")
    const type = walker.integer(bytes, MexcWire.tradeTypeSlot)
    const time = walker.integer(bytes, MexcWire.timeSlot)
    const id = this.id(bytes)
    if (walker.problem !== null || walker.surprise !== null) return -1
    if (!(price > 0 && quantity > 0 && (type === buy || type === sell))) {
      return walker.fail(`deal ${this.trades.length} has price ${price}, quantity ${quantity}, type ${type}`)
    }
    this.trades.push({
      _tag: "Trade",
      pair: topic.pair,
      symbol: topic.symbol,
      id,
      price,
      quantity,
      side: type === buy ? "buy" : "sell",
      exchangeTime: time === 0 ? null : time,
      receivedAt,
      contractSize: topic.contractSize,
      exact: this.exact
    })
    return stop
  }

  private batch(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.batchItems(bytes)) return false
    const version = this.version(bytes, MexcWire.versionSlot)
    const exchangeTime = this.time(bytes)
    if (walker.problem !== null || walker.surprise !== null) return false
    const quotes = this.quotes
    if (quotes.length === 0) sink.ignored("a batch without a ticker")
    for (const { askPrice, askQuantity, bidPrice, bidQuantity, exact } of quotes) {
      sink.event(
        topic,
        tickerOf(topic, bidPrice, bidQuantity, askPrice, askQuantity, version, exchangeTime, receivedAt, exact)
      )
    }
    return true
  }

  private batchItems(bytes: Uint8Array): boolean {
    const walker = this.walker
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    this.quotes.length = 0
    while (position < end) {
      if (bytes[position] === MexcWire.batchItemTag) position = this.batchItem(bytes, position, end)
      else position = walker.step(bytes, position, end, MexcWire.batchLayout)
      if (position < 0) return false
    }
    return true
  }

  /** The position behind the item, or -1. */
  private batchItem(bytes: Uint8Array, position: number, end: number): number {
    const walker = this.walker
    const stop = this.item(bytes, position, end, MexcWire.batchItemLayout)
    if (stop < 0) return -1
    this.exact = null
    const bidPrice = this.decimal(bytes, MexcWire.itemBidPriceSlot, "bidPrice")
    const bidQuantity = this.decimal(bytes, MexcWire.itemBidQuantitySlot, "bidQuantity")
    const askPrice = this.decimal(bytes, MexcWire.itemAskPriceSlot, "askPrice")
    const askQuantity = this.decimal(bytes, MexcWire.itemAskQuantitySlot, "askQuantity")
    const bid = this.side(bidPrice, bidQuantity)
    const ask = this.side(askPrice, askQuantity)
    if (walker.problem !== null) return -1
    this.quotes.push({
      bidPrice: bid ? bidPrice : null,
      bidQuantity: bid ? bidQuantity : null,
      askPrice: ask ? askPrice : null,
      askQuantity: ask ? askQuantity : null,
      exact: this.exact
    })
    return stop
  }

  private miniTicker(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.fields(bytes, MexcWire.miniTickerLayout)) return false
    // Unlike the wrapper's, this field cannot say that it is empty: proto3 takes that for absent.
    const isNamed = !walker.isEmpty(MexcWire.tickerSymbolSlot)
    if (isNamed && !this.isSymbol(bytes, MexcWire.tickerSymbolSlot, this.entry!)) {
      walker.fail("the symbol is not the channel's")
    }
    const ticker = this.ticker(bytes, topic.symbol, topic.pair, this.time(bytes), receivedAt)
    if (walker.problem !== null || walker.surprise !== null) return false
    if (ticker === null) sink.ignored("a ticker without a price")
    else sink.event(topic, ticker)
    return true
  }

  /** Tickers of many symbols. */
  private miniTickers(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    const exchangeTime = this.time(bytes)
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    const tickers = this.tickers
    tickers.length = 0
    while (position < end) {
      if (bytes[position] === MexcWire.miniTickerTag) {
        position = this.tickerItem(bytes, position, end, exchangeTime, receivedAt)
      } else position = walker.step(bytes, position, end, MexcWire.miniTickersLayout)
      if (position < 0) return false
    }
    if (walker.problem !== null || walker.surprise !== null) return false
    if (tickers.length === 0) sink.ignored("tickers without a price")
    for (const ticker of tickers) sink.event(topic, ticker)
    tickers.length = 0
    return true
  }

  /** The position behind the item, or -1. */
  private tickerItem(
    bytes: Uint8Array,
    position: number,
    end: number,
    exchangeTime: number | null,
    receivedAt: number
  ): number {
    const walker = this.walker
    walker.openBody()
    const stop = this.item(bytes, position, end, MexcWire.miniTickerLayout)
    if (stop < 0) return -1
    const symbolEnd = walker.ends[MexcWire.tickerSymbolSlot]!
    const symbolStart = walker.starts[MexcWire.tickerSymbolSlot]!
    const symbol = symbolEnd === 0 ? "" : MexcText.readShort(bytes, symbolStart, symbolEnd)
    if (symbol === null || symbol === "") return walker.fail("a ticker without a readable symbol")
    this.exact = null
    const pair = this.instrumentOf(symbol)?.pair ?? null
    const ticker = this.ticker(bytes, symbol, pair, exchangeTime, receivedAt)
    if (walker.problem !== null) return -1
    if (ticker !== null) this.tickers.push(ticker)
    return stop
  }

  /** Null when there is no price: nothing has been traded yet. Also null behind a problem. */
  private ticker(
    bytes: Uint8Array,
    symbol: string,
    pair: TradingPair | null,
    exchangeTime: number | null,
    receivedAt: number
  ): Ticker | null {
    const lastPrice = this.decimal(bytes, MexcWire.lastPriceSlot, "lastPrice")
    const highPrice = this.decimal(bytes, MexcWire.highSlot, "highPrice")
    const lowPrice = this.decimal(bytes, MexcWire.lowSlot, "lowPrice")
    const change = this.change(bytes)
    const baseVolume = this.decimal(bytes, MexcWire.volumeSlot, "baseVolume")
    const quoteVolume = this.decimal(bytes, MexcWire.turnoverSlot, "quoteVolume")
    if (!(lastPrice > 0)) return null
    return {
      _tag: "Ticker",
      pair,
      symbol,
      lastPrice,
      bidPrice: null,
      askPrice: null,
      highPrice: highPrice > 0 ? highPrice : null,
      lowPrice: lowPrice > 0 ? lowPrice : null,
      change,
      baseVolume: orNull(baseVolume),
      quoteVolume: orNull(quoteVolume),
      exchangeTime,
      receivedAt,
      exact: this.exact
    }
  }

  /** The rate of change in the channel's time zone; null when the field is absent or empty. */
  private change(bytes: Uint8Array): number | null {
    const walker = this.walker
    const end = walker.ends[MexcWire.zonedRateSlot]!
    const start = walker.starts[MexcWire.zonedRateSlot]!
    if (end === 0 || end === start) return null
    const value = Numeric.parseSigned(bytes, start, end)
    if (Number.isNaN(value)) walker.fail("change is no plain decimal")
    else if (end - start > Numeric.exactDigits) this.keepExact(bytes, start, end, "change")
    return value
  }

  private kline(bytes: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.walker
    const topic = this.topic(bytes, sink)
    if (topic === null) return walker.problem === null
    if (!this.fields(bytes, MexcWire.klineLayout)) return false
    const interval = this.interval(bytes, this.entry!)
    const openTime = this.seconds(bytes, MexcWire.windowStartSlot)
    const closeTime = this.seconds(bytes, MexcWire.windowEndSlot)
    if (walker.surprise === null && !isWindow(openTime, closeTime)) {
      walker.fail(`a candle from ${openTime} to ${closeTime} ms`)
    }
    const kline = this.candle(bytes, topic, interval, openTime, closeTime, receivedAt)
    if (walker.problem !== null || walker.surprise !== null) return false
    if (kline === null) sink.ignored("a candle without prices")
    else sink.event(topic, kline)
    return true
  }

  /** Null when it has no prices at all: nothing has been traded yet. Also null behind a problem. */
  private candle(
    bytes: Uint8Array,
    topic: Topic,
    interval: KlineInterval,
    openTime: number,
    closeTime: number,
    receivedAt: number
  ): Kline | null {
    const open = this.decimal(bytes, MexcWire.openSlot, "open")
    const high = this.decimal(bytes, MexcWire.highestSlot, "high")
    const low = this.decimal(bytes, MexcWire.lowestSlot, "low")
    const close = this.decimal(bytes, MexcWire.closeSlot, "close")
    const baseVolume = this.decimal(bytes, MexcWire.baseVolumeSlot, "baseVolume")
    const quoteVolume = this.decimal(bytes, MexcWire.quoteVolumeSlot, "quoteVolume")
    if (!this.hasPrices(open, high, low, close)) return null
    return {
      _tag: "Kline",
      pair: topic.pair,
      symbol: topic.symbol,
      interval,
      price: "last",
      openTime,
      closeTime: closeTime === 0 ? null : closeTime,
      open,
      high,
      low,
      close,
      baseVolume: orNull(baseVolume),
      quoteVolume: orNull(quoteVolume),
      contractVolume: null,
      closed: null,
      exchangeTime: this.time(bytes),
      receivedAt,
      exact: this.exact
    }
  }

  /** Whether all four are there. Some of them are a problem. */
  private hasPrices(open: number, high: number, low: number, close: number): boolean {
    if (open > 0 && high > 0 && low > 0 && close > 0) return true
    if (open > 0 || high > 0 || low > 0 || close > 0) this.walker.fail("a candle with half its prices")
    return false
  }

  private interval(bytes: Uint8Array, entry: Entry): KlineInterval {
    const { starts, ends } = this.walker
    const end = ends[MexcWire.intervalSlot]!
    const start = starts[MexcWire.intervalSlot]!
    if (
      !this.walker.isEmpty(MexcWire.intervalSlot) &&
      !MexcChannels.sameBytes(bytes, start, end, entry.bytes, entry.symbolEnd + 1, entry.bytes.length)
    ) {
      this.walker.fail("the interval is not the channel's")
    }
    return entry.interval!
  }

  /** A time that the wire gives in seconds, in ms; 0 when the field is absent. */
  private seconds(bytes: Uint8Array, slot: number): number {
    const seconds = this.walker.integer(bytes, slot)
    return seconds <= latestSecond ? seconds * 1000 : this.walker.fail(`a time is ${seconds} s`)
  }

  private id(bytes: Uint8Array): string | null {
    const walker = this.walker
    const end = walker.ends[MexcWire.tradeIdSlot]!
    const start = walker.starts[MexcWire.tradeIdSlot]!
    if (end === 0 || end === start) return null
    const id = MexcText.readShort(bytes, start, end)
    if (id === null) walker.fail("a trade id is no UTF-8")
    return id
  }
}

/** Best prices of a batch, whose version may come behind them. */
interface Quote {
  readonly bidPrice: number | null
  readonly bidQuantity: number | null
  readonly askPrice: number | null
  readonly askQuantity: number | null
  readonly exact: BookTicker["exact"]
}

/** `tradeType`: the taker's side. */
const buy = 1
const sell = 2

/** So that milliseconds stay exact. */
const latestSecond = Math.floor(Number.MAX_SAFE_INTEGER / 1000)

/** An end of 0 is one that the frame leaves out. */
const isWindow = (openTime: number, closeTime: number): boolean =>
  openTime > 0 && (closeTime === 0 || closeTime > openTime)

/** What `decimal` gives for an absent field is null. */
const orNull = (value: number): number | null => value >= 0 ? value : null

const ignore = (sink: Sink, detail: string): null => {
  sink.ignored(detail)
  return null
}

/** A codec for one connection. */
export const make = (context: CodecContext): Codec => new MexcCodec(context)
