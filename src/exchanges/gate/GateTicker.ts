/**
 * Book tickers as Gate sends nearly all of them, read in one pass: members in the order of the captured frames, times of ten
 * and 13 digits, both sides, numbers that a double gives back. Everything else is left to the scanner, which takes any
 * order: a frame that is read here is one that it reads the same way.
 *
 * ```
 * {"time":D10,"time_ms":D13,"channel":"spot.book_ticker","event":"update","result":{"t":D13,"u":INT,"s":"PAIR","b":"DEC","B":"DEC","a":"DEC","A":"DEC"}}
 * ```
 *
 * On futures a quantity may stand without quotes. Source: Gate WebSocket v4 documents, "Best bid or ask price".
 */
import { fourDigits, Literal, Memory } from "../../domain/Bytes.ts"
import * as Numeric from "../../domain/Numeric.ts"
import type { Sink } from "../../ExchangeAdapter.ts"
import * as GateEvents from "./GateEvents.ts"
import type { Product } from "./GateProduct.ts"
import { wireName } from "./GateProduct.ts"
import { ascii, closeBrace, colon, quote, word } from "./GateScanner.ts"
import type { TopicTable } from "./GateTopics.ts"

const zero = 48

const secondsDigits = 10
const millisDigits = 13

const secondsKey = new Literal(ascii(`{"time":`))
const millisKey = new Literal(ascii(`,"time_ms":`))
const millisKeyAt = secondsKey.length + secondsDigits
const headAt = millisKeyAt + millisKey.length + millisDigits

/** A version, a pair and four values of as many characters as are read here: frames of books are mostly longer, and not looked at. */
const mostRest = 180

/** `,"u":0,"s":"A","b":"1","B":"1","a":"1","A":"1"}}` has 49. */
const leastRest = 40

const versionKey = word(`,"u"`)
const pairKey = word(`,"s"`)
const pairBegins = word(`s":"`)
const bidSlot = 0
const bidQuantitySlot = 1
const askSlot = 2
const askQuantitySlot = 3
const versionSlot = 4
const timeSlot = 5

/** By slot. */
const valueKeys = Int32Array.of(word(`,"b"`), word(`,"B"`), word(`,"a"`), word(`,"A"`))

/** Ten digits, the first of them no zero. */
const areSeconds = (view: DataView, at: number): boolean =>
  fourDigits(view.getInt32(at, true)) >= 1_000 && fourDigits(view.getInt32(at + 4, true)) >= 0 &&
  fourDigits(view.getInt32(at + 6, true)) >= 0

const isPairKey = (view: DataView, at: number): boolean =>
  view.getInt32(at, true) === pairKey && view.getInt32(at + 2, true) === pairBegins

/** 13 digits to `numbers[timeSlot]`; false when the first is a zero, or other bytes are among them. */
const readMillis = (numbers: Float64Array, view: DataView, at: number): boolean => {
  const high = fourDigits(view.getInt32(at, true))
  const middle = fourDigits(view.getInt32(at + 4, true))
  const low = fourDigits(view.getInt32(at + 8, true))
  const last = view.getUint8(at + 12) ^ zero
  numbers[timeSlot] = (high * 10_000 + middle) * 100_000 + (low * 10 + last)
  return high >= 1_000 && middle >= 0 && low >= 0 && last <= 9
}

export class TickerReader {
  private readonly numbers = new Float64Array(6)
  private readonly memory = new Memory()
  private readonly topics: TopicTable
  /** From behind the envelope's times up to the time of the ticker. */
  private readonly head: Literal
  private readonly isSized: boolean
  /** A little less than a frame is long at least, so that nothing before the sides is looked for behind its end. */
  private readonly shortest: number

  constructor(product: Product, topics: TopicTable) {
    this.topics = topics
    this.head = new Literal(
      ascii(`,"channel":"${wireName(product, "book_ticker")}","event":"update","result":{"t":`)
    )
    this.isSized = product.kind === "swap"
    this.shortest = headAt + this.head.length + millisDigits + leastRest
  }

  /** Delivers the frame in `bytes[start, end)`. False when it is no such ticker, or of a pair that was not met before. */
  decode(bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): boolean {
    const view = this.memory.of(bytes)
    const rest = end - start - this.shortest
    const at = rest < 0 || rest > mostRest ? -1 : this.readHead(bytes, view, start)
    if (at < 0) return false
    const known = this.topics.quoted(bytes, view, at)
    if (known === undefined || !this.readSides(bytes, view, at + 1 + known.name.length, end)) return false
    const { numbers } = this
    const bidPrice = numbers[bidSlot]!
    const askPrice = numbers[askSlot]!
    if (!(bidPrice > 0 && askPrice > 0)) return false
    const { topic } = known
    sink.event(
      topic,
      GateEvents.bookTicker(
        topic,
        bidPrice,
        numbers[bidQuantitySlot]!,
        askPrice,
        numbers[askQuantitySlot]!,
        numbers[versionSlot]!,
        numbers[timeSlot]!,
        receivedAt,
        null
      )
    )
    return true
  }

  /** Reads time and version: where the name of the pair begins, or -1. */
  private readHead(bytes: Uint8Array, view: DataView, start: number): number {
    const { head, numbers } = this
    const offset = bytes.byteOffset
    if (!this.isHead(view, offset + start)) return -1
    const digits = start + headAt + head.length + millisDigits + 5
    if (view.getInt32(offset + digits - 5, true) !== versionKey || bytes[digits - 1] !== colon) return -1
    const at = Numeric.readWhole(numbers, versionSlot, bytes, view, digits)
    // A longer one may reach to the end of memory, as nothing else does before the sides.
    return at > 0 && at - digits <= Numeric.exactDigits && isPairKey(view, offset + at) ? at + 6 : -1
  }

  /** Up to the time of the ticker. */
  private isHead(view: DataView, at: number): boolean {
    return secondsKey.isAt(view, at) && areSeconds(view, at + secondsKey.length) &&
      millisKey.isAt(view, at + millisKeyAt) && this.head.isAt(view, at + headAt) &&
      readMillis(this.numbers, view, at + millisKeyAt + millisKey.length) &&
      readMillis(this.numbers, view, at + headAt + this.head.length)
  }

  /** The four values, from the comma before the first to the end of the frame. */
  private readSides(bytes: Uint8Array, view: DataView, start: number, end: number): boolean {
    let at = start
    for (let slot = bidSlot; slot <= askQuantitySlot; slot++) {
      if (at + 7 > end || view.getInt32(bytes.byteOffset + at, true) !== valueKeys[slot]) return false
      at = bytes[at + 4] === colon ? this.readValue(slot, bytes, view, at + 5) : -1
      if (at < 0) return false
    }
    return at + 2 === end && bytes[at] === closeBrace && bytes[at + 1] === closeBrace
  }

  /** Behind the value, or -1. */
  private readValue(slot: number, bytes: Uint8Array, view: DataView, start: number): number {
    if (bytes[start] !== quote) return this.isSized && slot % 2 === 1 ? this.readSize(slot, bytes, view, start) : -1
    const end = Numeric.readQuoted(this.numbers, slot, bytes, start + 1)
    return end < 0 ? -1 : end + 1
  }

  /** A quantity without quotes. */
  private readSize(slot: number, bytes: Uint8Array, view: DataView, start: number): number {
    const end = Numeric.readWhole(this.numbers, slot, bytes, view, start)
    return end - start > Numeric.exactDigits ? -1 : end
  }
}
