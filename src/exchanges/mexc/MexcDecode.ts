/**
 * Frames to domain events. Binary frames hold one protobuf wrapper each, text frames hold JSON; both kinds come mixed on
 * one socket. Everything in a frame is decided before its first event is handed over.
 */
import type { PublicTag } from "../../domain/Channel.ts"
import type { BookTicker, BookUpdate, Trade } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { Codec, CodecContext, Sink, Topic } from "../../ExchangeAdapter.ts"
import * as MexcControl from "./MexcControl.ts"
import * as MexcWire from "./MexcWire.ts"

const leftBrace = 123
const at = 64

/** Aggregated push channels: the only ones whose last part is the symbol. */
const channelPattern = /^spot@public\.aggre\.(bookTicker|deals|depth)\.v3\.api\.pb@[^@]+@([^@]+)$/u

const tagOf: Readonly<Record<string, PublicTag>> = { bookTicker: "BookTicker", deals: "Trades", depth: "Book" }

/** A channel that has been seen. */
interface Entry {
  readonly bytes: Uint8Array
  /** Where the symbol begins in `bytes`. */
  readonly symbolStart: number
  /** Null when it is none of ours. */
  readonly topic: Topic | null
  readonly next: Entry | undefined
}

const bucketCount = 4096
const mostEntries = 4096

/** Topics by the bytes of their channel. Bounded: past `mostEntries` each frame pays for its own look-up. */
class Channels {
  readonly #buckets: Array<Entry | undefined> = new Array<Entry | undefined>(bucketCount).fill(undefined)
  readonly #context: CodecContext
  #size = 0

  constructor(context: CodecContext) {
    this.#context = context
  }

  /** Null when the bytes are no UTF-8. */
  find(frame: Uint8Array, start: number, end: number): Entry | null {
    const bucket = hash(frame, start, end)
    for (let entry = this.#buckets[bucket]; entry !== undefined; entry = entry.next) {
      if (sameBytes(frame, start, end, entry.bytes, 0)) return entry
    }
    // A copy: `slice` of a Node Buffer would share its memory.
    return this.#add(bucket, new Uint8Array(frame.subarray(start, end)))
  }

  #add(bucket: number, bytes: Uint8Array): Entry | null {
    const key = text(bytes, 0, bytes.length)
    if (key === null) return null
    const parts = channelPattern.exec(key)
    const topic = parts === null ? null : this.#context.topicOf(key, tagOf[parts[1]!]!, parts[2]!)
    const entry = { bytes, symbolStart: bytes.lastIndexOf(at) + 1, topic, next: this.#buckets[bucket] }
    if (this.#size < mostEntries) {
      this.#buckets[bucket] = entry
      this.#size++
    }
    return entry
  }
}

/** The last bytes tell symbols apart, the length and the byte at 20 the channels (`okTicker`, `als`, `pth`). */
const hash = (frame: Uint8Array, start: number, end: number): number => {
  let value = end - start
  if (value > 20) value = value * 31 + frame[start + 20]!
  for (let i = end - start > 12 ? end - 12 : start; i < end; i++) value = (Math.imul(value, 31) + frame[i]!) | 0
  return (value ^ (value >>> 12)) & (bucketCount - 1)
}

const sameBytes = (frame: Uint8Array, start: number, end: number, bytes: Uint8Array, from: number): boolean => {
  const length = end - start
  if (bytes.length - from !== length) return false
  for (let i = length - 1; i >= 0; i--) {
    if (frame[start + i] !== bytes[from + i]) return false
  }
  return true
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** UTF-8 text of `bytes[start, end)`; null when it is none. */
const text = (bytes: Uint8Array, start: number, end: number): string | null => {
  try {
    return utf8.decode(bytes.subarray(start, end))
  } catch {
    return null
  }
}

/** The same for text that is nearly always short and ASCII: eight bytes at a time, without a call out of the engine. */
const shortText = (bytes: Uint8Array, start: number, end: number): string | null => {
  let i = start
  let value = ""
  for (; i + 8 <= end; i += 8) {
    const a = bytes[i]!
    const b = bytes[i + 1]!
    const c = bytes[i + 2]!
    const d = bytes[i + 3]!
    const e = bytes[i + 4]!
    const f = bytes[i + 5]!
    const g = bytes[i + 6]!
    const h = bytes[i + 7]!
    if ((a | b | c | d | e | f | g | h) > 127) return text(bytes, start, end)
    value += String.fromCharCode(a, b, c, d, e, f, g, h)
  }
  for (; i < end; i++) {
    if (bytes[i]! > 127) return text(bytes, start, end)
    value += String.fromCharCode(bytes[i]!)
  }
  return value
}

/** A frame's words, when it is text that is meant to be read. */
const readable = (frame: Uint8Array): string | null => {
  const words = frame.length > MexcControl.longestText ? null : text(frame, 0, frame.length)
  return words !== null && MexcControl.isText(words) ? words : null
}

class MexcCodec implements Codec {
  readonly #channels: Channels
  readonly #walker = new MexcWire.Walker()
  /** Field number of the frame's body; 0 when it has none. */
  #body = 0
  #exact: Record<string, string> | null = null
  #trades: Array<Trade> = []

  constructor(context: CodecContext) {
    this.#channels = new Channels(context)
  }

  decode(frame: Uint8Array, receivedAt: number, sink: Sink): void {
    if (frame.length === 0) return sink.ignored("an empty frame")
    if (frame[0] === leftBrace) return MexcControl.decode(text(frame, 0, frame.length), sink)
    if (!this.#data(frame, receivedAt, sink)) this.#unusual(frame, receivedAt, sink)
  }

  /** Text that is no JSON, or protobuf in a layout that the walker leaves to the generic decoder, or nothing readable. */
  #unusual(frame: Uint8Array, receivedAt: number, sink: Sink): void {
    const walker = this.#walker
    const words = readable(frame)
    if (words !== null) return MexcControl.decode(words, sink)
    if (walker.surprise === null) return sink.failed(this.#describe(frame, walker.problem))
    sink.fallback()
    const normalised = MexcWire.normalise(frame)
    if (normalised._tag === "Unreadable") return sink.failed(this.#describe(frame, normalised.detail))
    if (this.#data(normalised.frame, receivedAt, sink)) return
    sink.failed(this.#describe(normalised.frame, walker.problem ?? walker.surprise))
  }

  /** Names the channel beside the problem, when the walker came as far as that. */
  #describe(frame: Uint8Array, problem: string | null): string {
    const { starts, ends } = this.#walker
    const end = ends[MexcWire.channelSlot]!
    const channel = end === 0 || end > frame.length ? null : text(frame, starts[MexcWire.channelSlot]!, end)
    return `${channel ?? "a frame without a readable channel"}: ${problem ?? "unreadable"}`
  }

  /** Reads a wrapper. False when the walker has a problem or a surprise; nothing has been delivered then. */
  #data(frame: Uint8Array, receivedAt: number, sink: Sink): boolean {
    this.#exact = null
    if (!this.#wrapper(frame)) return false
    switch (this.#body) {
      case MexcWire.bookTickerBody:
        return this.#bookTicker(frame, receivedAt, sink)
      case MexcWire.depthsBody:
        return this.#depths(frame, receivedAt, sink)
      case MexcWire.dealsBody:
        return this.#deals(frame, receivedAt, sink)
      case 0:
        this.#bodiless(frame, sink)
        return true
      default:
        sink.ignored(`a ${MexcWire.bodyNames.get(this.#body)} frame`)
        return true
    }
  }

  /** A wrapper without body has been seen on the wire. Some words are wrappers by chance, without a channel. */
  #bodiless(frame: Uint8Array, sink: Sink): void {
    const words = this.#walker.ends[MexcWire.channelSlot] === 0 ? readable(frame) : null
    if (words === null) sink.ignored("a frame without a body that is known")
    else MexcControl.decode(words, sink)
  }

  #wrapper(frame: Uint8Array): boolean {
    const walker = this.#walker
    const ends = walker.ends
    walker.openWrapper()
    this.#body = 0
    let position = 0
    const end = frame.length
    while (position < end) {
      const body = ends[MexcWire.bodySlot]!
      position = walker.step(frame, position, end, MexcWire.wrapperLayout)
      if (position < 0) return false
      if (ends[MexcWire.bodySlot] !== body) {
        this.#body = walker.field
        if (body !== 0) {
          walker.surprised("two bodies")
          return false
        }
      }
    }
    return true
  }

  /** The frame's topic. Null when the frame is to be ignored, or when the walker has a problem. */
  #topic(frame: Uint8Array, tag: PublicTag, sink: Sink): Topic | null {
    const walker = this.#walker
    const { starts, ends } = walker
    const end = ends[MexcWire.channelSlot]!
    const start = starts[MexcWire.channelSlot]!
    if (end === 0 || end === start) return ignore(sink, "data without a channel")
    const entry = this.#channels.find(frame, start, end)
    if (entry === null) return this.#refuse("the channel is no UTF-8")
    const topic = entry.topic
    if (topic === null) return ignore(sink, "data of a channel that is not read")
    if (topic.channel !== tag) return this.#refuse(`the body is a ${MexcWire.bodyNames.get(this.#body)}`)
    const symbolEnd = ends[MexcWire.symbolSlot]!
    if (
      symbolEnd === 0 || sameBytes(frame, starts[MexcWire.symbolSlot]!, symbolEnd, entry.bytes, entry.symbolStart)
    ) return topic
    return this.#refuse("the symbol is not the channel's")
  }

  #refuse(problem: string): null {
    this.#walker.fail(problem)
    return null
  }

  /** When the frame was sent, else made, ms; null when it does not say; -1 and a problem when it cannot be read. */
  #time(frame: Uint8Array): number | null {
    const walker = this.#walker
    const sent = walker.integer(frame, MexcWire.sendTimeSlot)
    if (sent !== 0) return sent
    const created = walker.integer(frame, MexcWire.createTimeSlot)
    return created === 0 ? null : created
  }

  /** The version in a slot; null when the field is absent or empty. A problem when it is no number. */
  #version(frame: Uint8Array, slot: number): Sequence.Sequence | null {
    const walker = this.#walker
    const end = walker.ends[slot]!
    const start = walker.starts[slot]!
    if (end === 0 || end === start) return null
    const version = Sequence.parse(frame, start, end)
    if (version === null) walker.fail("a version is no number")
    return version
  }

  /** The decimal in a slot; -1 when the field is absent or empty. NaN and a problem when it is no plain decimal. */
  #decimal(frame: Uint8Array, slot: number, name: string): number {
    const walker = this.#walker
    const end = walker.ends[slot]!
    const start = walker.starts[slot]!
    if (end === 0 || end === start) return -1
    const value = Numeric.parse(frame, start, end)
    if (Number.isNaN(value)) walker.fail(`${name} is no plain decimal`)
    else if (end - start > Numeric.exactDigits) this.#keepExact(frame, start, end, name)
    return value
  }

  #keepExact(frame: Uint8Array, start: number, end: number, name: string): void {
    const exact = Numeric.excess(frame, start, end)
    if (exact === null) return
    this.#exact ??= {}
    this.#exact[name] = exact
  }

  #bookTicker(frame: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.#walker
    const topic = this.#topic(frame, "BookTicker", sink)
    if (topic === null) return walker.problem === null
    if (!this.#fields(frame, MexcWire.bookTickerLayout)) return false
    const bidPrice = this.#decimal(frame, MexcWire.bidPriceSlot, "bidPrice")
    const bidQuantity = this.#decimal(frame, MexcWire.bidQuantitySlot, "bidQuantity")
    const askPrice = this.#decimal(frame, MexcWire.askPriceSlot, "askPrice")
    const askQuantity = this.#decimal(frame, MexcWire.askQuantitySlot, "askQuantity")
    const version = this.#version(frame, MexcWire.versionSlot)
    const exchangeTime = this.#time(frame)
    const bid = this.#side(bidPrice, bidQuantity)
    const ask = this.#side(askPrice, askQuantity)
    if (walker.problem !== null || walker.surprise !== null) return false
    const event: BookTicker = {
      _tag: "BookTicker",
      pair: topic.pair,
      symbol: topic.symbol,
      bidPrice: bid ? bidPrice : null,
      bidQuantity: bid ? bidQuantity : null,
      askPrice: ask ? askPrice : null,
      askQuantity: ask ? askQuantity : null,
      version,
      exchangeTime,
      receivedAt,
      contractSize: topic.contractSize,
      exact: this.#exact
    }
    sink.event(topic, event)
    return true
  }

  /** Whether a side has an order. Empty or zero price and quantity say that it has none. */
  #side(price: number, quantity: number): boolean {
    if (price > 0 && quantity >= 0) return true
    if (price > 0 || quantity > 0) this.#walker.fail("half a side")
    return false
  }

  /** Reads the fields of the body, none of which is repeated. */
  #fields(frame: Uint8Array, layout: MexcWire.Layout): boolean {
    const walker = this.#walker
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    while (position < end) {
      position = walker.step(frame, position, end, layout)
      if (position < 0) return false
    }
    return true
  }

  #depths(frame: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.#walker
    const topic = this.#topic(frame, "Book", sink)
    if (topic === null) return walker.problem === null
    const bids: Array<number> = []
    const asks: Array<number> = []
    if (!this.#levels(frame, bids, asks)) return false
    const firstVersion = this.#version(frame, MexcWire.fromVersionSlot)
    const version = this.#version(frame, MexcWire.toVersionSlot)
    const exchangeTime = this.#time(frame)
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
      bids,
      asks,
      firstVersion,
      version,
      exchangeTime,
      receivedAt,
      contractSize: topic.contractSize,
      exact: this.#exact
    }
    sink.event(topic, event)
    return true
  }

  #levels(frame: Uint8Array, bids: Array<number>, asks: Array<number>): boolean {
    const walker = this.#walker
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    while (position < end) {
      const tag = frame[position]!
      if (tag === MexcWire.asksTag) position = this.#level(frame, position, end, asks, "asks")
      else if (tag === MexcWire.bidsTag) position = this.#level(frame, position, end, bids, "bids")
      else position = walker.step(frame, position, end, MexcWire.depthsLayout)
      if (position < 0) return false
    }
    return true
  }

  /** Reads one level into the flat list. The position behind it, or -1. */
  #level(frame: Uint8Array, position: number, end: number, levels: Array<number>, name: string): number {
    const start = position + 2
    const stop = start + frame[position + 1]!
    const priceEnd = stop > end ? -1 : MexcWire.priceEnd(frame, start, stop)
    if (priceEnd < 0) return this.#oddLevel(frame, position, end, levels, name)
    return this.#push(frame, start + 2, priceEnd, priceEnd + 2, stop, levels, name) ? stop : -1
  }

  /** The same for a level in any other layout. */
  #oddLevel(frame: Uint8Array, position: number, end: number, levels: Array<number>, name: string): number {
    const walker = this.#walker
    const stop = this.#item(frame, position, end, MexcWire.levelLayout)
    if (stop < 0) return -1
    const { starts, ends } = walker
    const added = this.#push(
      frame,
      starts[MexcWire.priceSlot]!,
      ends[MexcWire.priceSlot]!,
      starts[MexcWire.quantitySlot]!,
      ends[MexcWire.quantitySlot]!,
      levels,
      name
    )
    return added ? stop : -1
  }

  #push(
    frame: Uint8Array,
    priceStart: number,
    priceEnd: number,
    quantityStart: number,
    quantityEnd: number,
    levels: Array<number>,
    name: string
  ): boolean {
    const price = Numeric.parse(frame, priceStart, priceEnd)
    const quantity = Numeric.parse(frame, quantityStart, quantityEnd)
    if (!(price > 0 && quantity >= 0)) {
      this.#walker.fail(`${name}[${levels.length}] is no level`)
      return false
    }
    if (priceEnd - priceStart > Numeric.exactDigits) {
      this.#keepExact(frame, priceStart, priceEnd, `${name}[${levels.length}]`)
    }
    if (quantityEnd - quantityStart > Numeric.exactDigits) {
      this.#keepExact(frame, quantityStart, quantityEnd, `${name}[${levels.length + 1}]`)
    }
    levels.push(price, quantity)
    return true
  }

  /** Reads the fields of one repeated message. The position behind it, or -1. */
  #item(frame: Uint8Array, position: number, end: number, layout: MexcWire.Layout): number {
    const walker = this.#walker
    walker.openItem()
    const stop = walker.message(frame, position, end)
    let inside = walker.starts[0]!
    while (inside < stop) {
      inside = walker.step(frame, inside, stop, layout)
      if (inside < 0) return -1
    }
    return stop
  }

  #deals(frame: Uint8Array, receivedAt: number, sink: Sink): boolean {
    const walker = this.#walker
    const topic = this.#topic(frame, "Trades", sink)
    if (topic === null) return walker.problem === null
    let position = walker.starts[MexcWire.bodySlot]!
    const end = walker.ends[MexcWire.bodySlot]!
    const trades = this.#trades
    trades.length = 0
    while (position < end) {
      if (frame[position] === MexcWire.dealTag) position = this.#deal(frame, position, end, receivedAt, topic)
      else position = walker.step(frame, position, end, MexcWire.dealsLayout)
      if (position < 0) return false
    }
    if (trades.length === 0) sink.ignored("a deals frame without a deal")
    for (const trade of trades) sink.event(topic, trade)
    trades.length = 0
    return true
  }

  #deal(frame: Uint8Array, position: number, end: number, receivedAt: number, topic: Topic): number {
    const walker = this.#walker
    const stop = this.#item(frame, position, end, MexcWire.dealLayout)
    if (stop < 0) return -1
    this.#exact = null
    const price = this.#decimal(frame, MexcWire.priceSlot, "price")
    const quantity = this.#decimal(frame, MexcWire.quantitySlot, "quantity")
    const type = walker.integer(frame, MexcWire.tradeTypeSlot)
    const time = walker.integer(frame, MexcWire.timeSlot)
    const id = this.#id(frame)
    if (walker.problem !== null || walker.surprise !== null) return -1
    if (!(price > 0 && quantity > 0 && (type === buy || type === sell))) {
      return walker.fail(`deal ${this.#trades.length} has price ${price}, quantity ${quantity}, type ${type}`)
    }
    this.#trades.push({
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
      exact: this.#exact
    })
    return stop
  }

  #id(frame: Uint8Array): string | null {
    const walker = this.#walker
    const end = walker.ends[MexcWire.tradeIdSlot]!
    const start = walker.starts[MexcWire.tradeIdSlot]!
    if (end === 0 || end === start) return null
    const id = shortText(frame, start, end)
    if (id === null) walker.fail("a trade id is no UTF-8")
    return id
  }
}

/** `tradeType`: the taker's side. */
const buy = 1
const sell = 2

const ignore = (sink: Sink, detail: string): null => {
  sink.ignored(detail)
  return null
}

/** A codec for one connection. */
export const make = (context: CodecContext): Codec => new MexcCodec(context)
