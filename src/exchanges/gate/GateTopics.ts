/** Topics by the bytes of their names, and which feeds a connection has been given. */
import { Literal, Memory } from "../../domain/Bytes.ts"
import { defaultInterval, type PublicTag } from "../../domain/Channel.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { Answer, CodecContext, Topic } from "../../ExchangeAdapter.ts"
import type { BookFeed, BookStream, Product, Stream } from "./GateProduct.ts"
import { streamOf } from "./GateProduct.ts"
import * as GateRequests from "./GateRequests.ts"
import { quote, sameBytes } from "./GateScanner.ts"
import * as GateWire from "./GateWire.ts"

export interface Entry {
  readonly name: Literal
  readonly hash: number
  readonly topic: Topic
}

/** Twice as many places as topics, so that a free one is near. */
const placeCount = 2048
const most = placeCount / 2
/** Beyond it there is no name of a topic. */
const longestName = 64

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text of UTF-8 bytes; null when they are not. */
export const textOf = (bytes: Uint8Array): string | null => {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null
  }
}

export const utf8 = new TextEncoder()

/** Finds a topic by its name on the wire without making a string of it. Starts anew when it has grown too large. */
export class TopicTable {
  private places: Array<Entry | undefined> = []
  private count = 0
  private readonly memory = new Memory()
  private readonly make: (name: string) => Topic | null

  constructor(make: (name: string) => Topic | null) {
    this.make = make
  }

  clear(): void {
    this.places = []
    this.count = 0
  }

  /** Null when the name cannot be one of ours. */
  find(bytes: Uint8Array, start: number, end: number): Topic | null {
    let hash = 0
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const view = this.memory.of(bytes)
    const entry = this.at(hash, view, bytes.byteOffset + start, end - start)
    return entry === undefined ? this.add(bytes.subarray(start, end), hash) : entry.topic
  }

  /** Of the name that stands at `start`, up to a quote; nothing when it was not met before. */
  quoted(bytes: Uint8Array, view: DataView, start: number): Entry | undefined {
    let hash = 0
    let end = start
    for (let byte = bytes[end]!; byte !== quote; byte = bytes[++end]!) {
      if (end - start > longestName) return undefined
      hash = (Math.imul(hash, 31) + byte) | 0
    }
    return this.at(hash, view, bytes.byteOffset + start, end - start)
  }

  private at(hash: number, view: DataView, start: number, length: number): Entry | undefined {
    let place = hash & (placeCount - 1)
    for (;;) {
      const entry = this.places[place]
      if (entry === undefined) return undefined
      if (entry.hash === hash && entry.name.length === length && entry.name.isAt(view, start)) return entry
      place = (place + 1) & (placeCount - 1)
    }
  }

  findText(name: string): Topic | null {
    const bytes = utf8.encode(name)
    return this.find(bytes, 0, bytes.length)
  }

  private add(bytes: Uint8Array, hash: number): Topic | null {
    const name = textOf(bytes)
    const topic = name === null ? null : this.make(name)
    if (topic === null) return null
    if (this.count === 0) this.places = Array.from({ length: placeCount }, () => undefined)
    let place = hash & (placeCount - 1)
    while (this.places[place] !== undefined) place = (place + 1) & (placeCount - 1)
    this.places[place] = { name: new Literal(bytes), hash, topic }
    if (++this.count === most) this.clear()
    return topic
  }
}

/** Which of a pair's feeds the exchange has confirmed, for frames that do not name theirs. */
class Confirmed<Feed> {
  private readonly feeds = new Map<string, Set<Feed>>()

  of(name: string): ReadonlySet<Feed> {
    return this.feeds.get(name) ?? new Set()
  }

  answered(action: Answer["action"], name: string, feed: Feed): void {
    const feeds = this.feeds.get(name) ?? new Set()
    if (action === "subscribe") feeds.add(feed)
    else feeds.delete(feed)
    if (feeds.size === 0) this.feeds.delete(name)
    else this.feeds.set(name, feeds)
  }
}

/** The feeds of a book stream whose frames name their pair and, mostly, how many levels they hold. */
export class FeedTables {
  /** Frames that do not say how many levels they hold. */
  private readonly unlabelled: TopicTable
  private readonly labelled: ReadonlyArray<
    { readonly label: string; readonly bytes: Uint8Array; readonly table: TopicTable }
  >
  private readonly confirmed = new Confirmed<BookFeed>()
  private readonly stream: BookStream
  private readonly product: Product
  private readonly context: CodecContext

  constructor(product: Product, stream: BookStream, context: CodecContext) {
    this.product = product
    this.stream = stream
    this.context = context
    const { feeds } = product.books[stream]
    const table = (among: ReadonlyArray<BookFeed>) =>
      new TopicTable((name) => {
        const feed = GateWire.isPairName(name) ? this.choose(name, among) : null
        return feed === null ? null : this.topic(name, feed)
      })
    this.unlabelled = table(feeds)
    this.labelled = [...new Set(feeds.map(({ levels }) => levels))].map((levels) => ({
      label: String(levels),
      bytes: utf8.encode(String(levels)),
      table: table(feeds.filter((feed) => feed.levels === levels))
    }))
  }

  /** By the level count in `bytes[start, end)`; null when it is none that is known. */
  at(bytes: Uint8Array, start: number, end: number): TopicTable | null {
    for (const entry of this.labelled) {
      if (entry.bytes.length === end - start && sameBytes(bytes, start, entry.bytes)) return entry.table
    }
    return null
  }

  /** By the level count, null when the frame has none. */
  of(levels: string | null): TopicTable {
    return this.labelled.find(({ label }) => label === levels)?.table ?? this.unlabelled
  }

  get withoutLevels(): TopicTable {
    return this.unlabelled
  }

  /** The other confirmed feed with frames that look the same as this topic's; null when there is none. */
  twin(topic: Topic): Topic | null {
    const confirmed = this.confirmed.of(topic.symbol)
    if (confirmed.size < 2) return null
    const own = [...confirmed].find((feed) => this.key(topic.symbol, feed) === topic.key)
    const other = [...confirmed].find((feed) => feed !== own && feed.levels === own?.levels)
    return other === undefined ? null : this.topic(topic.symbol, other)
  }

  answered(action: Answer["action"], pairName: string, feed: BookFeed): void {
    this.confirmed.answered(action, pairName, feed)
    this.unlabelled.clear()
    for (const { table } of this.labelled) table.clear()
  }

  /**
   * The confirmed one; the product's default, or the first, when none has been. Null when several have been and frames do
   * not tell which they are of.
   */
  private choose(pairName: string, among: ReadonlyArray<BookFeed>): BookFeed | null {
    const confirmed = among.filter((feed) => this.confirmed.of(pairName).has(feed))
    const first = confirmed[0] ?? this.standard(among)
    return confirmed.every(({ levels }) => levels === first?.levels) ? first : null
  }

  private standard(among: ReadonlyArray<BookFeed>): BookFeed | null {
    const { depth, speed } = this.product.books[this.stream]
    return among.find((feed) => feed.levels === depth && feed.speed === speed) ?? among[0] ?? null
  }

  private key(pairName: string, feed: BookFeed): string {
    return GateRequests.keyOf(this.product, this.stream, GateRequests.feedItem(pairName, feed))
  }

  private topic(pairName: string, feed: BookFeed): Topic {
    return this.context.topicOf(this.key(pairName, feed), "Book", pairName)
  }
}

/** All topics a connection has met, by stream. */
export class Topics {
  readonly ticker: TopicTable
  readonly trades: TopicTable
  readonly obu: TopicTable
  readonly update: FeedTables
  readonly whole: FeedTables
  /** Of the last 24 hours. */
  readonly day: TopicTable
  /** By the name of the candle. */
  readonly candles: TopicTable
  readonly stats: TopicTable
  readonly instrumentOf: InstrumentOf
  private readonly liquidations: TopicTable
  private readonly product: Product
  private readonly context: CodecContext
  private readonly statsIntervals = new Confirmed<string>()
  private readonly liquidated = new Confirmed<true>()

  constructor(product: Product, context: CodecContext) {
    this.product = product
    this.context = context
    this.instrumentOf = context.instrumentOf ?? (() => undefined)
    const pairs = (stream: Stream, tag: PublicTag) => this.table(stream, tag, (name) => name)
    this.ticker = pairs("book_ticker", "BookTicker")
    this.trades = pairs("trades", "Trades")
    this.day = pairs("tickers", product.kind === "spot" ? "Ticker" : "FuturesTicker")
    this.liquidations = pairs("public_liquidates", "Liquidations")
    this.stats = this.table("contract_stats", "ContractStats", (name) => this.statsItem(name))
    this.update = new FeedTables(product, "order_book_update", context)
    this.whole = new FeedTables(product, "order_book", context)
    this.obu = new TopicTable((name) => {
      const pair = GateWire.pairOfStream(name)
      return pair === null ? null : this.topic("obu", "Book", name, pair)
    })
    this.candles = new TopicTable((name) => {
      const candle = GateWire.candleOf(name)
      if (candle === null) return null
      return this.topic("candlesticks", "Kline", `${candle.interval}|${candle.prefix}${candle.pair}`, candle.pair)
    })
  }

  /** Remembers which feeds run, for frames that do not name theirs. */
  answered(action: Answer["action"], channel: string, payload: unknown): void {
    const named = GateRequests.feedOfPayload(this.product, channel, payload)
    if (named?.stream === "order_book_update") this.update.answered(action, named.pairName, named.feed)
    if (named?.stream === "order_book") this.whole.answered(action, named.pairName, named.feed)
    if (!GateRequests.isTexts(payload)) return
    const stream = streamOf(this.product, channel)
    if (stream === "public_liquidates") { for (const name of payload) this.liquidated.answered(action, name, true) }
    if (stream === "contract_stats" && payload.length === 2) {
      this.statsIntervals.answered(action, payload[0]!, payload[1]!)
      this.stats.clear()
    }
  }

  /**
   * Whom a liquidation of this contract concerns: the contract's own topic, the one of all contracts, or both. Null when
   * the name cannot be one of ours.
   */
  liquidationTopics(name: string): ReadonlyArray<Topic> | null {
    const own = this.liquidations.findText(name)
    if (own === null) return null
    if (this.liquidated.of(GateRequests.everyContract).size === 0) return [own]
    const { everyContract } = GateRequests
    const all = this.topic("public_liquidates", "Liquidations", everyContract, everyContract)
    return this.liquidated.of(name).size === 0 ? [all] : [own, all]
  }

  /** Frames of `contract_stats` do not name their interval: with two of one contract nobody can tell. */
  private statsItem(name: string): string | null {
    const [interval = defaultInterval, ...others] = this.statsIntervals.of(name)
    return others.length === 0 ? `${name}|${interval}` : null
  }

  private table(stream: Stream, tag: PublicTag, itemOf: (pairName: string) => string | null): TopicTable {
    return new TopicTable((name) => {
      const item = GateWire.isPairName(name) ? itemOf(name) : null
      return item === null ? null : this.topic(stream, tag, item, name)
    })
  }

  private topic(stream: Stream, tag: PublicTag, item: string, symbol: string): Topic {
    return this.context.topicOf(GateRequests.keyOf(this.product, stream, item), tag, symbol)
  }
}
