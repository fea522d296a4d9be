/**
 * Frames to events. The scanner reads the layouts that Gate sends; every other data frame goes through `JSON.parse` and
 * schemas, is counted as a fallback, and yields the same events. Nothing reaches the sink before the whole frame is
 * known to be good. Source: Gate WebSocket v4 documents, spot (2026-07-25).
 */
import { Option, Result, Schema } from "effect"
import type { PublicTag } from "../../domain/Channel.ts"
import type { BookTicker, BookUpdate, Levels, Trade } from "../../domain/Market.ts"
import type { ExactText } from "../../domain/Numeric.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { Answer, Codec, CodecContext, Sink, Topic } from "../../ExchangeAdapter.ts"
import * as GateErrors from "./GateErrors.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateWire from "./GateWire.ts"
import { Field, Scanned } from "./GateWire.ts"

// ---- Topics by the bytes of their name ----

interface Entry {
  readonly name: Uint8Array
  readonly hash: number
  readonly topic: Topic
}

/** Twice as many places as topics, so that a free one is near. */
const placeCount = 2048
const most = placeCount / 2

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text of UTF-8 bytes; null when they are not. */
const textOf = (bytes: Uint8Array): string | null => {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null
  }
}

const utf8 = new TextEncoder()

/** Finds a topic by its name on the wire without making a string of it. Starts anew when it has grown too large. */
class TopicTable {
  private places: Array<Entry | undefined> = []
  private count = 0
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
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    let place = hash & (placeCount - 1)
    for (;;) {
      const entry = this.places[place]
      if (entry === undefined) return this.add(bytes.subarray(start, end), hash, place)
      if (isEntry(entry, hash, bytes, start, end)) return entry.topic
      place = (place + 1) & (placeCount - 1)
    }
  }

  findText(name: string): Topic | null {
    const bytes = utf8.encode(name)
    return this.find(bytes, 0, bytes.length)
  }

  private add(bytes: Uint8Array, hash: number, place: number): Topic | null {
    const name = textOf(bytes)
    const topic = name === null ? null : this.make(name)
    if (topic === null) return null
    if (this.count === 0) this.places = Array.from({ length: placeCount }, () => undefined)
    // The frame's buffer is used again: keep a copy.
    this.places[place] = { name: new Uint8Array(bytes), hash, topic }
    if (++this.count === most) this.clear()
    return topic
  }
}

const isEntry = (entry: Entry, hash: number, bytes: Uint8Array, start: number, end: number): boolean =>
  entry.hash === hash && entry.name.length === end - start && GateWire.sameBytes(bytes, start, entry.name)

/** All topics a connection has met, and which feeds of `order_book_update` it has been given. */
class Topics {
  readonly ticker: TopicTable
  readonly trades: TopicTable
  readonly obu: TopicTable
  readonly update20: TopicTable
  readonly update100: TopicTable
  /** Frames of `order_book_update` that do not say how many levels they keep. */
  readonly unlabelled: TopicTable
  private readonly speeds = new Map<string, Set<GateRequests.UpdateSpeed>>()

  constructor(context: CodecContext) {
    const pairs = (channel: string, tag: PublicTag) =>
      new TopicTable((name) =>
        GateWire.isPairName(name) ? context.topicOf(GateRequests.keyOf(channel, name), tag, name) : null
      )
    const updates = (speedOf: (pairName: string) => GateRequests.UpdateSpeed | null) =>
      new TopicTable((name) => {
        const speed = GateWire.isPairName(name) ? speedOf(name) : null
        return speed === null ? null : context.topicOf(GateRequests.updateKey(name, speed), "Book", name)
      })
    this.ticker = pairs(GateWire.tickerChannel, "BookTicker")
    this.trades = pairs(GateWire.tradesChannel, "Trades")
    this.obu = new TopicTable((name) => {
      const pair = GateWire.pairOfStream(name)
      return pair === null ? null : context.topicOf(GateRequests.keyOf(GateWire.obuChannel, name), "Book", pair)
    })
    this.update20 = updates(() => "20ms")
    this.update100 = updates(() => "100ms")
    this.unlabelled = updates((pairName) => this.onlySpeed(pairName))
  }

  /** `levels` is the frame's `l`, null when it has none. */
  update(levels: string | null): TopicTable {
    if (levels === "100") return this.update100
    return levels === "20" ? this.update20 : this.unlabelled
  }

  /** Remembers which feeds run, for frames that do not name theirs. */
  answered(action: Answer["action"], channel: string, payload: unknown): void {
    const feed = channel === GateWire.updateChannel ? GateRequests.updateFeed(payload) : null
    if (feed === null) return
    const { pairName, speed } = feed
    const speeds = this.speeds.get(pairName) ?? new Set()
    if (action === "subscribe") speeds.add(speed)
    else speeds.delete(speed)
    if (speeds.size === 0) this.speeds.delete(pairName)
    else this.speeds.set(pairName, speeds)
    this.unlabelled.clear()
  }

  /**
   * Frames without `l` come from before there were two feeds, so 100ms is meant unless only 20ms has been confirmed.
   * With both running nobody can tell: null.
   */
  private onlySpeed(pairName: string): GateRequests.UpdateSpeed | null {
    const speeds = this.speeds.get(pairName)
    if (speeds === undefined) return "100ms"
    if (speeds.size > 1) return null
    return speeds.has("20ms") ? "20ms" : "100ms"
  }
}

// ---- Events: one place that makes each, so that both paths yield the same shape ----

const word = (text: string): Uint8Array => utf8.encode(text)
const buyWord = word("buy")
const sellWord = word("sell")
const hundredWord = word("100")
const twentyWord = word("20")

const tickerEvent = (
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

const tradeEvent = (
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

const bookEvent = (
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

// ---- Fast path ----

/**
 * Puts a scanned frame's event into the sink. False when something in it is not as usual: the generic decoder has to
 * judge, and nothing was put.
 */
type Deliver = (topics: Topics, scanner: GateWire.Scanner, bytes: Uint8Array, receivedAt: number, sink: Sink) => boolean

/**
 * A price above 0 with its quantity, or an empty side: texts that are empty (-1) or 0. Spot's documents show no empty
 * side; those for futures give `""` for the price and 0 for the size.
 */
const isSide = (price: number, quantity: number): boolean => price > 0 ? quantity >= 0 : price <= 0 && quantity <= 0

/** `value` is of a side with this price. */
const orNull = (price: number, value: number): number | null => price > 0 ? value : null

const deliverTicker: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const bidPrice = scanner.decimalOrEmpty(Field.bid)
  const bidQuantity = scanner.decimalOrEmpty(Field.bidQuantity)
  const askPrice = scanner.decimalOrEmpty(Field.ask)
  const askQuantity = scanner.decimalOrEmpty(Field.askQuantity)
  const version = scanner.sequence(Field.version)
  const time = scanner.decimal(Field.time)
  if (!isSide(bidPrice, bidQuantity) || !isSide(askPrice, askQuantity) || version === null || !(time >= 0)) return false
  const topic = topicAt(topics.ticker, scanner, bytes)
  if (topic === null) return false
  scanner.note(Field.bid, "bidPrice")
  scanner.note(Field.bidQuantity, "bidQuantity")
  scanner.note(Field.ask, "askPrice")
  scanner.note(Field.askQuantity, "askQuantity")
  const exact = scanner.exact
  sink.event(
    topic,
    tickerEvent(
      topic,
      orNull(bidPrice, bidPrice),
      orNull(bidPrice, bidQuantity),
      orNull(askPrice, askPrice),
      orNull(askPrice, askQuantity),
      version,
      time,
      receivedAt,
      exact
    )
  )
  return true
}

const topicAt = (table: TopicTable, scanner: GateWire.Scanner, bytes: Uint8Array): Topic | null =>
  scanner.has(Field.symbol) ? table.find(bytes, scanner.start(Field.symbol), scanner.end(Field.symbol)) : null

const deliverTrade: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const id = scanner.sequence(Field.id)
  const price = scanner.decimal(Field.price)
  const quantity = scanner.decimal(Field.quantity)
  const time = scanner.decimal(Field.time)
  const side = scannedSide(scanner)
  if (id === null || !(price > 0 && quantity > 0 && time >= 0) || side === null) return false
  const topic = topicAt(topics.trades, scanner, bytes)
  if (topic === null) return false
  scanner.note(Field.price, "price")
  scanner.note(Field.quantity, "quantity")
  const exact = scanner.exact
  sink.event(topic, tradeEvent(topic, Sequence.toText(id), price, quantity, side, time, receivedAt, exact))
  return true
}

const scannedSide = (scanner: GateWire.Scanner): "buy" | "sell" | null => {
  if (scanner.isWord(Field.side, buyWord)) return "buy"
  return scanner.isWord(Field.side, sellWord) ? "sell" : null
}

const deliverBook: Deliver = (topics, scanner, bytes, receivedAt, sink) => {
  const version = scanner.sequence(Field.version)
  const time = scanner.decimal(Field.time)
  if (version === null || !(time >= 0)) return false
  const firstVersion = scanner.has(Field.firstVersion)
    ? scanner.sequence(Field.firstVersion)
    : scanner.full
    ? version
    : null
  if (firstVersion === null || firstVersion > version) return false
  const table = bookTable(topics, scanner)
  const topic = table === null ? null : topicAt(table, scanner, bytes)
  if (topic === null) return false
  const { full, bids, asks, exact } = scanner
  sink.event(topic, bookEvent(topic, full, bids, asks, firstVersion, version, time, receivedAt, exact))
  return true
}

/** Null when the level count is none that is known. */
const bookTable = (topics: Topics, scanner: GateWire.Scanner): TopicTable | null => {
  if (scanner.channel === Scanned.obu) return topics.obu
  if (scanner.isWord(Field.levelCount, hundredWord)) return topics.update100
  if (scanner.isWord(Field.levelCount, twentyWord)) return topics.update20
  return scanner.has(Field.levelCount) ? null : topics.unlabelled
}

/** In the order of `Scanned`. */
const deliverers: ReadonlyArray<Deliver> = [deliverTicker, deliverTrade, deliverBook, deliverBook]

// ---- Generic path ----

/** What a frame of data holds, or why it cannot be read. */
type Read<A> = Result.Result<A, string>

interface Decoded {
  readonly topic: Topic
  readonly event: BookTicker | Trade | BookUpdate
}

/** Long enough to find the fault, short enough for a log line. */
const longestDetail = 300

const brief = (text: string): string => text.length > longestDetail ? `${text.slice(0, longestDetail)}…` : text

const reader = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: unknown): Read<S["Type"]> => Result.mapError(decode(value), (error) => brief(error.message))
}

const readEnvelope = reader(GateWire.Envelope)
const readTicker = reader(GateWire.BookTickerResult)
const readTrade = reader(GateWire.TradeResult)
const readBook = reader(GateWire.BookResult)
const readNotice = Schema.decodeUnknownOption(GateWire.Notice)
const readError = Schema.decodeUnknownOption(GateWire.WireError)
const readStatus = Schema.decodeUnknownOption(GateWire.Status)

const optionalTime = (time: GateWire.BookResult["t"]): number | null =>
  time === undefined || time === null ? null : GateWire.timeOf(time)

/** `order_book_update` without a level count cannot be told apart while both its feeds run. */
const noTopic = (name: string): Read<never> =>
  Result.fail(brief(`no topic for ${JSON.stringify(name)}: not the name of a pair or stream, or one of two feeds`))

/** -1 for an empty text, as the scanner has it. */
const decimalOrEmpty = (text: string): number => text === "" ? -1 : Numeric.fromText(text)

const decodeTicker = (topics: Topics, receivedAt: number, result: GateWire.BookTickerResult): Read<Decoded> => {
  const bidPrice = decimalOrEmpty(result.b)
  const bidQuantity = decimalOrEmpty(result.B)
  const askPrice = decimalOrEmpty(result.a)
  const askQuantity = decimalOrEmpty(result.A)
  if (!isSide(bidPrice, bidQuantity) || !isSide(askPrice, askQuantity)) {
    return Result.fail(brief(`not a price with its quantity: b ${result.b} B ${result.B} a ${result.a} A ${result.A}`))
  }
  const topic = topics.ticker.findText(result.s)
  if (topic === null) return noTopic(result.s)
  const exact = exactOf([
    ["bidPrice", result.b],
    ["bidQuantity", result.B],
    ["askPrice", result.a],
    ["askQuantity", result.A]
  ])
  return Result.succeed({
    topic,
    event: tickerEvent(
      topic,
      orNull(bidPrice, bidPrice),
      orNull(bidPrice, bidQuantity),
      orNull(askPrice, askPrice),
      orNull(askPrice, askQuantity),
      GateWire.sequenceOf(result.u),
      optionalTime(result.t),
      receivedAt,
      exact
    )
  })
}

const exactOf = (fields: ReadonlyArray<readonly [name: string, text: string]>): ExactText | null => {
  const long = fields.filter(([, text]) => Numeric.isExcess(text))
  return long.length === 0 ? null : Object.fromEntries(long)
}

const decodeTrade = (topics: Topics, receivedAt: number, result: GateWire.TradeResult): Read<Decoded> => {
  const price = Numeric.fromText(result.price)
  const quantity = Numeric.fromText(result.amount)
  if (!(price > 0 && quantity > 0)) {
    return Result.fail(brief(`not a price with its quantity: price ${result.price} amount ${result.amount}`))
  }
  const topic = topics.trades.findText(result.currency_pair)
  if (topic === null) return noTopic(result.currency_pair)
  const id = Sequence.toText(GateWire.sequenceOf(result.id))
  const exact = exactOf([["price", result.price], ["quantity", result.amount]])
  return Result.succeed({
    topic,
    event: tradeEvent(topic, id, price, quantity, result.side, tradeTime(result), receivedAt, exact)
  })
}

const tradeTime = (result: GateWire.TradeResult): number | null => {
  const millis = optionalTime(result.create_time_ms)
  if (millis !== null) return millis
  return GateWire.isTime(result.create_time) ? GateWire.timeOf(result.create_time) * 1000 : null
}

const decodeBook = (
  topics: Topics,
  channel: string,
  receivedAt: number,
  result: GateWire.BookResult
): Read<Decoded> => {
  const full = result.full === true
  const version = GateWire.sequenceOf(result.u)
  const first = result.U ?? (full ? result.u : null)
  if (first === null) return Result.fail("a delta without U")
  const firstVersion = GateWire.sequenceOf(first)
  if (firstVersion > version) return Result.fail(`U ${firstVersion} behind u ${version}`)
  const exact: Record<string, string> = {}
  const bids = Numeric.readLevels("bids", result.b, exact)
  const asks = Numeric.readLevels("asks", result.a, exact)
  if (bids === null || asks === null) return Result.fail("a level that is not a price above 0 with its quantity")
  const table = channel === GateWire.obuChannel ? topics.obu : topics.update(levelCount(result))
  const topic = table.findText(result.s)
  if (topic === null) return noTopic(result.s)
  const time = optionalTime(result.t)
  return Result.succeed({
    topic,
    event: bookEvent(topic, full, bids, asks, firstVersion, version, time, receivedAt, exactOrNull(exact))
  })
}

const levelCount = (result: GateWire.BookResult): string | null =>
  result.l === undefined || result.l === null ? null : String(result.l)

const exactOrNull = (exact: ExactText): ExactText | null => Object.keys(exact).length === 0 ? null : exact

const decodeData = (topics: Topics, channel: string, receivedAt: number, result: unknown): Read<Decoded> => {
  switch (channel) {
    case GateWire.tickerChannel:
      return Result.flatMap(readTicker(result), (ticker) => decodeTicker(topics, receivedAt, ticker))
    case GateWire.tradesChannel:
      return Result.flatMap(readTrade(result), (trade) => decodeTrade(topics, receivedAt, trade))
    default:
      return Result.flatMap(readBook(result), (book) => decodeBook(topics, channel, receivedAt, book))
  }
}

const dataChannels: ReadonlySet<string> = new Set([
  GateWire.tickerChannel,
  GateWire.tradesChannel,
  GateWire.obuChannel,
  GateWire.updateChannel
])

const parseFrame = (bytes: Uint8Array): Read<GateWire.Envelope> => {
  const text = textOf(bytes)
  if (text === null) return Result.fail("not UTF-8")
  let value: unknown
  try {
    value = GateWire.parseJson(text)
  } catch (error) {
    // A SyntaxError, or a RangeError where brackets are nested thousands deep.
    return Result.fail(brief(`not JSON: ${String(error)}`))
  }
  return readEnvelope(value)
}

const decodeGeneric = (topics: Topics, bytes: Uint8Array, receivedAt: number, sink: Sink): void => {
  const envelope = parseFrame(bytes)
  if (Result.isFailure(envelope)) return sink.failed(envelope.failure)
  route(topics, envelope.success, receivedAt, sink)
}

const route = (topics: Topics, envelope: GateWire.Envelope, receivedAt: number, sink: Sink): void => {
  const channel = envelope.channel ?? ""
  const event = envelope.event ?? ""
  if (channel === "spot.pong") return sink.pong()
  if (channel === "spot.system") return notice(envelope, sink)
  if (event === "subscribe" || event === "unsubscribe") return answer(topics, channel, event, envelope, sink)
  if (isError(envelope.error)) return reject({ action: "unknown", ...asked(channel, envelope) }, envelope.error, sink)
  if (dataChannels.has(channel) && dataEvents.has(event)) {
    return data(topics, channel, envelope.result, receivedAt, sink)
  }
  sink.ignored(brief(`channel ${JSON.stringify(channel)}, event ${JSON.stringify(event)}`))
}

/** The event's name is left out in the documented samples of `spot.obu`, so a missing one means data. */
const dataEvents: ReadonlySet<string> = new Set(["", "update"])

const data = (topics: Topics, channel: string, result: unknown, receivedAt: number, sink: Sink): void => {
  const decoded = decodeData(topics, channel, receivedAt, result)
  sink.fallback()
  if (Result.isFailure(decoded)) sink.failed(`${channel}: ${decoded.failure}`)
  else sink.event(decoded.success.topic, decoded.success.event)
}

/** Since 2026-02-12 Gate announces an upgrade shortly before it closes the connection. */
const notice = (envelope: GateWire.Envelope, sink: Sink): void => {
  const { type, msg } = Option.getOrElse(readNotice(envelope.result), (): typeof GateWire.Notice.Type => ({}))
  if (type === "upgrade" || envelope.event === "upgrade") return sink.closing(brief(msg ?? "service upgrade"))
  sink.ignored(brief(`spot.system notice ${JSON.stringify(type ?? null)}`))
}

const isError = (error: unknown): boolean => error !== undefined && error !== null

/** What an answer is about: the id we sent, the topics it repeats, either or both. */
const asked = (channel: string, envelope: GateWire.Envelope): Pick<Answer, "requestId" | "topics"> => ({
  requestId: typeof envelope.id === "number" || typeof envelope.id === "string" ? envelope.id : null,
  topics: GateRequests.answerTopics(channel, envelope.payload)
})

/** Decided by `error`; without one, only the status "success" is a success. */
const answer = (
  topics: Topics,
  channel: string,
  action: "subscribe" | "unsubscribe",
  envelope: GateWire.Envelope,
  sink: Sink
): void => {
  const about: Answer = { action, ...asked(channel, envelope) }
  if (isError(envelope.error)) return reject(about, envelope.error, sink)
  const status = Option.getOrNull(readStatus(envelope.result))?.status ?? null
  if (status !== "success") {
    const detail = brief(`answered without error and with the status ${JSON.stringify(status)}`)
    return sink.rejected(about, { code: "status", detail, class: "retryable" })
  }
  topics.answered(action, channel, envelope.payload)
  sink.acknowledged(about)
}

const reject = (about: Answer, error: unknown, sink: Sink): void => {
  const { code, message } = errorText(error)
  const duplicate = GateErrors.duplicateOf(code, message)
  // The wanted state exists. In a list the other topics' fate is unknown, so there the list counts as refused.
  if (duplicate !== null && isAbout(about, duplicate)) return sink.acknowledged(about)
  sink.rejected(about, GateErrors.refusal(code, message))
}

const isAbout = (about: Answer, stream: string): boolean =>
  about.action === "subscribe" && about.topics?.length === 1 &&
  about.topics[0] === GateRequests.keyOf(GateWire.obuChannel, stream)

const errorText = (error: unknown): { readonly code: string; readonly message: string } => {
  const { code, label, message } = Option.getOrElse(readError(error), (): typeof GateWire.WireError.Type => ({
    message: `an error of unknown shape: ${typeof error === "object" ? "an object" : String(error)}`
  }))
  return { code: String(code ?? label ?? "none"), message: brief(message ?? "") }
}

// ---- Codec ----

export const make = (context: CodecContext): Codec => {
  const topics = new Topics(context)
  const scanner = new GateWire.Scanner(GateWire.spotChannels)
  return {
    decode: (frame, receivedAt, sink) => {
      if (scanner.scan(frame) && deliverers[scanner.channel]!(topics, scanner, frame, receivedAt, sink)) return
      decodeGeneric(topics, frame, receivedAt, sink)
    }
  }
}
