/**
 * Gate's JSON frames: channel names, the shapes of envelope and results, and a byte scanner that reads a frame without
 * building it. Source of names and types: Gate WebSocket v4 documents, spot (2026-07-25). Futures share the envelope.
 */
import { Schema } from "effect"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"

export const tickerChannel = "spot.book_ticker"
export const tradesChannel = "spot.trades"
/** Self-contained book: snapshots and deltas in one stream. */
export const obuChannel = "spot.obu"
/** Deltas only, to be joined to a REST book. */
export const updateChannel = "spot.order_book_update"

/**
 * `BASE_QUOTE`, non-ASCII letters included (`币安人生_USDT`). What JSON would escape, whitespace, U+FFFD (which stands for
 * what was no text) and our own separator `|` cannot be part of it.
 */
export const isPairName = (text: string): boolean => text.length <= longestName && pairPattern.test(text)

const pairPattern = /^[^\s"\\|\p{Cc}\p{Cs}\ufffd_]+(_[^\s"\\|\p{Cc}\p{Cs}\ufffd_]+)+$/u

/** UTF-16 units; the longest name listed has far fewer, and a bound keeps what is remembered small. */
const longestName = 128

/** The pair of an `obu` stream name: `BTC_USDT` of `ob.BTC_USDT.50`. */
export const pairOfStream = (name: string): string | null => {
  const pair = streamPattern.exec(name)?.[1]
  return pair !== undefined && isPairName(pair) ? pair : null
}

const streamPattern = /^ob\.(.+)\.\d{1,5}$/u

// ---- Shapes, for the generic decoder ----

/** `JSON.parse` that keeps whole numbers above 2^53 - 1 exact, as bigint. Throws what `JSON.parse` throws. */
export const parseJson = (text: string): unknown =>
  // The reviver costs several times the parse: only where a long run of digits shows that it may be needed.
  /\d{16}/.test(text) ? (JSON.parse as ParseWithSource)(text, keepExact) : JSON.parse(text)

/** `context.source` is the number's text (ES2025, in Node since 21), which TypeScript's es2023 library does not know. */
type ParseWithSource = (text: string, reviver: typeof keepExact) => unknown

const keepExact = (_key: string, value: unknown, context: { readonly source?: string }): unknown => {
  if (typeof value !== "number" || Number.isSafeInteger(value) || context.source === undefined) return value
  return /^\d+$/.test(context.source) ? BigInt(context.source) : value
}

/** An id or version: a JSON integer, or its digits as text. */
export const Id = Schema.Union([
  Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  Schema.BigInt,
  Schema.String.check(Schema.isPattern(/^\d{1,40}$/))
])

export const sequenceOf = (id: typeof Id.Type): Sequence.Sequence =>
  typeof id === "string" ? Sequence.fromBigInt(BigInt(id)) : typeof id === "bigint" ? Sequence.fromBigInt(id) : id

/** A time: a JSON number, or a decimal as text. */
const Time = Schema.Union([
  Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  Schema.String.check(Schema.isPattern(/^\d{1,20}(\.\d{1,20})?$/))
])

export const timeOf = (time: typeof Time.Type): number => typeof time === "number" ? time : Numeric.fromText(time)

export const isTime = Schema.is(Time)

const absent = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullishOr(schema))

export const Envelope = Schema.Struct({
  channel: absent(Schema.String),
  event: absent(Schema.String),
  id: Schema.optionalKey(Schema.Unknown),
  payload: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown),
  result: Schema.optionalKey(Schema.Unknown)
})
export type Envelope = typeof Envelope.Type

/** `code` is documented as a number; `message` may itself be JSON text (code 4). */
export const WireError = Schema.Struct({
  code: absent(Schema.Union([Schema.Number, Schema.String])),
  label: absent(Schema.String),
  message: absent(Schema.String)
})

export const Status = Schema.Struct({ status: Schema.String })

export const Notice = Schema.Struct({ type: absent(Schema.String), msg: absent(Schema.String) })

/** Prices and amounts are text; `""` where a side is empty. */
export const BookTickerResult = Schema.Struct({
  t: absent(Time),
  u: Id,
  s: Schema.String,
  b: Schema.String,
  B: Schema.String,
  a: Schema.String,
  A: Schema.String
})
export type BookTickerResult = typeof BookTickerResult.Type

/** `create_time_ms` is text with a fraction of a millisecond; `create_time`, in seconds, is read only without it. */
export const TradeResult = Schema.Struct({
  id: Id,
  create_time: Schema.optionalKey(Schema.Unknown),
  create_time_ms: absent(Time),
  side: Schema.Literals(["buy", "sell"]),
  currency_pair: Schema.String,
  amount: Schema.String,
  price: Schema.String
})
export type TradeResult = typeof TradeResult.Type

const Side = absent(Schema.Array(Schema.Tuple([Schema.String, Schema.String])))

/** `obu` and `order_book_update`. `l` is the level count, on the latter only. */
export const BookResult = Schema.Struct({
  t: absent(Time),
  full: absent(Schema.Boolean),
  s: Schema.String,
  U: absent(Id),
  u: Id,
  l: absent(Schema.Union([Schema.String, Schema.Number])),
  b: Side,
  a: Side
})
export type BookResult = typeof BookResult.Type

// ---- Scanner ----

const quote = 34
const comma = 44
const zero = 48
const nine = 57
const colon = 58
const openBracket = 91
const backslash = 92
const closeBracket = 93
const letterN = 110
const openBrace = 123
const closeBrace = 125

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

const nullWord = ascii("null")
const trueWord = ascii("true")
const falseWord = ascii("false")
const updateWord = ascii("update")

/** Where a value of each field lies in the frame just scanned. */
export const Field = {
  channel: 0,
  event: 1,
  result: 2,
  error: 3,
  time: 4,
  version: 5,
  firstVersion: 6,
  symbol: 7,
  bid: 8,
  bidQuantity: 9,
  ask: 10,
  askQuantity: 11,
  full: 12,
  levelCount: 13,
  id: 14,
  side: 15,
  price: 16,
  quantity: 17,
  unread: 18
} as const
export type Field = (typeof Field)[keyof typeof Field]

const fieldCount = 19

/** Bytes as `^ zero` shows them. */
const quoteDigit = quote ^ zero
const dotDigit = 46 ^ zero

/** With its dot: nine digits at most, which an int32 holds. */
const longestShort = 10

/** How a field's value must look. */
const Kind = { text: 0, integer: 1, flag: 2, levels: 3, empty: 4, result: 5, unread: 6, decimal: 7 } as const
type Kind = (typeof Kind)[keyof typeof Kind]

/** A key of an object: `"name":` on the wire. */
interface Key {
  readonly token: Uint8Array
  readonly field: Field
  readonly kind: Kind
  /** The key that stood behind this one last time: a guess that saves looking it up. */
  next: Key | null
}

const makeKey = (name: string, field: Field, kind: Kind): Key => ({
  token: ascii(`"${name}":`),
  field,
  kind,
  next: null
})

/** Stands before the first key, and for every key that is not listed. */
const noKey = (): Key => makeKey("", Field.unread, Kind.unread)

type Keys = ReadonlyArray<readonly [name: string, field: Field, kind: Kind]>

const unread = (name: string) => [name, Field.unread, Kind.unread] as const

const envelopeKeys: Keys = [
  unread("time"),
  unread("time_ms"),
  unread("conn_id"),
  ["channel", Field.channel, Kind.text],
  ["event", Field.event, Kind.text],
  ["result", Field.result, Kind.result],
  ["error", Field.error, Kind.empty]
]

const tickerKeys: Keys = [
  ["t", Field.time, Kind.integer],
  ["u", Field.version, Kind.integer],
  ["s", Field.symbol, Kind.text],
  ["b", Field.bid, Kind.decimal],
  ["B", Field.bidQuantity, Kind.decimal],
  ["a", Field.ask, Kind.decimal],
  ["A", Field.askQuantity, Kind.decimal]
]

const tradeKeys: Keys = [
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

const bookKeys: Keys = [
  ["t", Field.time, Kind.integer],
  ["full", Field.full, Kind.flag],
  ["l", Field.levelCount, Kind.text],
  unread("e"),
  unread("E"),
  ["s", Field.symbol, Kind.text],
  ["U", Field.firstVersion, Kind.integer],
  ["u", Field.version, Kind.integer],
  ["b", Field.bid, Kind.levels],
  ["a", Field.ask, Kind.levels]
]

/** What a scanner knows of an object. The guesses in it are its own. */
interface Layout {
  readonly keys: ReadonlyArray<Key>
  /** Its `next` is the guess for the first key. */
  readonly before: Key
  readonly other: Key
}

const makeLayout = (keys: Keys): Layout => ({
  keys: keys.map(([name, field, kind]) => makeKey(name, field, kind)),
  before: noKey(),
  other: noKey()
})

interface ScannedChannel {
  readonly name: Uint8Array
  readonly keys: Keys
}

/** The index of a channel in `spotChannels`, by which the scanner reports it. */
export const Scanned = { ticker: 0, trades: 1, obu: 2, update: 3 } as const

/** The channels that carry data, in the order of `Scanned`. */
export const spotChannels: ReadonlyArray<ScannedChannel> = [
  { name: ascii(tickerChannel), keys: tickerKeys },
  { name: ascii(tradesChannel), keys: tradeKeys },
  { name: ascii(obuChannel), keys: bookKeys },
  { name: ascii(updateChannel), keys: bookKeys }
]

export const sameBytes = (bytes: Uint8Array, start: number, word: Uint8Array): boolean => {
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false
  return true
}

/** The quote that ends a string; what lies before is checked by whoever reads it. -1 when there is none. */
const quoteFrom = (bytes: Uint8Array, start: number): number => {
  const length = bytes.length
  let at = start
  while (at < length && bytes[at] !== quote) at++
  return at < length ? at : -1
}

/** The same, only where everything before is printable ASCII without escapes, so that any JSON parser takes it. */
const plainQuoteFrom = (bytes: Uint8Array, start: number): number => {
  const length = bytes.length
  for (let at = start; at < length; at++) {
    const code = bytes[at]!
    if (code === quote) return at
    if (code < 32 || code > 126 || code === backslash) return -1
  }
  return -1
}

/** Behind a JSON integer without sign; -1 when none stands here. What follows is checked by the caller. */
const integerEnd = (bytes: Uint8Array, start: number): number => {
  let at = start
  while (at < bytes.length && bytes[at]! >= zero && bytes[at]! <= nine) at++
  if (at === start) return -1
  // JSON allows no leading zeros.
  return bytes[start] === zero && at > start + 1 ? -1 : at
}

const wordEnd = (bytes: Uint8Array, start: number, word: Uint8Array): number =>
  sameBytes(bytes, start, word) ? start + word.length : -1

/** Behind a value nobody reads: plain text, an integer, null, true or false. -1 for anything else. */
const skipEnd = (bytes: Uint8Array, start: number): number => {
  const code = bytes[start]
  if (code === quote) {
    const end = plainQuoteFrom(bytes, start + 1)
    return end < 0 ? -1 : end + 1
  }
  if (code === letterN) return wordEnd(bytes, start, nullWord)
  const end = integerEnd(bytes, start)
  return end >= 0 ? end : Math.max(wordEnd(bytes, start, trueWord), wordEnd(bytes, start, falseWord))
}

/** Ends of a string that is no key, or of one without its colon: -1. */
const keyEnd = (bytes: Uint8Array, start: number): number => {
  if (bytes[start] !== quote) return -1
  const end = plainQuoteFrom(bytes, start + 1)
  return end >= 0 && bytes[end + 1] === colon ? end + 2 : -1
}

const findKey = (layout: Layout, bytes: Uint8Array, start: number, end: number): Key => {
  for (const key of layout.keys) {
    if (key.token.length === end - start && sameBytes(bytes, start, key.token)) return key
  }
  return layout.other
}

const noLevels: ReadonlyArray<number> = []

/**
 * Reads one data frame: members in any order as long as `channel` comes before `result`, no whitespace, no escapes, no
 * key twice, nothing behind the last brace. A frame it accepts is one that `JSON.parse` accepts and reads the same way,
 * once the texts located in it have been checked. Anything else makes `scan` return false; then nothing it holds counts.
 */
export class Scanner {
  /** Index in the list of channels. */
  channel = -1
  full = false
  bids: ReadonlyArray<number> = noLevels
  asks: ReadonlyArray<number> = noLevels
  /** Exact text of what has more than 15 significant digits. */
  exact: Record<string, string> | null = null
  private bytes: Uint8Array = new Uint8Array(0)
  /** A level with quantity 0 was kept. */
  /** One bit a field: what is not set is absent, whatever its offsets say. */
  private seen = 0
  private readonly starts = new Int32Array(fieldCount)
  private readonly ends = new Int32Array(fieldCount)
  /** Of the fields that are numbers on the wire or as text: read while their ends are looked for. */
  private readonly numbers = new Float64Array(fieldCount)
  /** Where the text that `number` has read ends. */
  private numberEnd = 0
  /** The channel of the frame before: mostly it is that again. */
  private usual = 0
  private readonly envelope = makeLayout(envelopeKeys)
  private readonly names: ReadonlyArray<Uint8Array>
  private readonly results: ReadonlyArray<Layout>

  constructor(channels: ReadonlyArray<ScannedChannel>) {
    this.names = channels.map((channel) => channel.name)
    this.results = channels.map((channel) => makeLayout(channel.keys))
  }

  has(field: Field): boolean {
    return (this.seen & (1 << field)) !== 0
  }

  start(field: Field): number {
    return this.starts[field]!
  }

  end(field: Field): number {
    return this.ends[field]!
  }

  isWord(field: Field, word: Uint8Array): boolean {
    const start = this.starts[field]!
    return this.has(field) && this.ends[field]! - start === word.length && sameBytes(this.bytes, start, word)
  }

  /** A number on the wire or as text; NaN when the field is absent, empty or no plain decimal. */
  decimal(field: Field): number {
    return this.has(field) ? this.numbers[field]! : Number.NaN
  }

  /** The same, and -1 for an empty text. */
  decimalOrEmpty(field: Field): number {
    return this.has(field) && this.ends[field] === this.starts[field] ? -1 : this.decimal(field)
  }

  /** Null when the field is absent. */
  sequence(field: Field): Sequence.Sequence | null {
    if (!this.has(field)) return null
    const start = this.starts[field]!
    const end = this.ends[field]!
    return end - start <= Numeric.exactDigits ? this.numbers[field]! : Sequence.parse(this.bytes, start, end)
  }

  /** Notes the field's exact text in `exact`, under `name`, where a number cannot hold it. */
  note(field: Field, name: string): void {
    const start = this.starts[field]!
    if (this.has(field) && this.ends[field]! - start > Numeric.exactDigits) {
      this.keepExact(name, start, this.ends[field]!)
    }
  }

  scan(bytes: Uint8Array): boolean {
    this.reset(bytes)
    const end = this.object(this.envelope, 0)
    return end === bytes.length &&
      this.has(Field.result) &&
      (!this.has(Field.event) || this.isWord(Field.event, updateWord))
  }

  private reset(bytes: Uint8Array): void {
    this.bytes = bytes
    this.channel = -1
    this.full = false
    this.bids = noLevels
    this.asks = noLevels
    this.exact = null
    this.seen = 0
  }

  /** Behind the object at `start`, or -1. */
  private object(layout: Layout, start: number): number {
    const bytes = this.bytes
    if (bytes[start] !== openBrace) return -1
    let key = layout.before
    let at = start
    do {
      const guess = key.next
      let valueAt: number
      if (guess !== null && sameBytes(bytes, at + 1, guess.token)) {
        valueAt = at + 1 + guess.token.length
        key = guess
      } else {
        valueAt = keyEnd(bytes, at + 1)
        if (valueAt < 0) return -1
        const found = findKey(layout, bytes, at + 1, valueAt)
        if (found !== layout.other) key.next = found
        key = found
      }
      at = this.value(key, valueAt)
      if (at < 0) return -1
    } while (bytes[at] === comma)
    return bytes[at] === closeBrace ? at + 1 : -1
  }

  /** JSON.parse takes the last of two equal keys: those frames are left to it. */
  private value(key: Key, at: number): number {
    if (key.kind === Kind.unread) return skipEnd(this.bytes, at)
    if (this.has(key.field)) return -1
    switch (key.kind) {
      case Kind.text:
        return this.text(key.field, at)
      case Kind.decimal:
        return this.decimalText(key.field, at)
      case Kind.integer:
        return this.integer(key.field, at)
      case Kind.levels:
        return this.side(key.field, at)
      case Kind.result:
        return this.result(at)
      case Kind.flag:
        return this.flag(key.field, at)
      case Kind.empty:
        return this.mark(key.field, at, wordEnd(this.bytes, at, nullWord))
    }
  }

  private mark(field: Field, start: number, end: number): number {
    this.seen |= 1 << field
    this.starts[field] = start
    this.ends[field] = end
    return end
  }

  private integer(field: Field, start: number): number {
    const bytes = this.bytes
    let at = start
    let value = 0
    for (; at < bytes.length; at++) {
      const digit = bytes[at]! ^ zero
      if (digit > 9) break
      value = value * 10 + digit
    }
    // JSON allows no leading zeros.
    if (at === start || (bytes[start] === zero && at > start + 1)) return -1
    this.numbers[field] = value
    return this.mark(field, start, at)
  }

  private decimalText(field: Field, at: number): number {
    if (this.bytes[at] !== quote) return -1
    const value = this.number(at + 1)
    if (this.numberEnd < 0) return -1
    this.numbers[field] = value
    return this.mark(field, at + 1, this.numberEnd) + 1
  }

  /**
   * Reads the decimal at `start` up to the quote behind it, which `numberEnd` tells; -1 there when no quote comes. NaN
   * as `Numeric.parse` has it. What is as long as nearly all prices are is read in one go, the rest by `Numeric`.
   */
  private number(start: number): number {
    const bytes = this.bytes
    let at = start
    let mantissa = 0
    let digit = bytes[at]! ^ zero
    while (digit <= 9) {
      mantissa = (Math.imul(mantissa, 10) + digit) | 0
      digit = bytes[++at]! ^ zero
    }
    if (at === start) return this.longNumber(start)
    const point = at
    if (digit !== dotDigit) return this.wholeNumber(start, at, mantissa)
    digit = bytes[++at]! ^ zero
    while (digit <= 9) {
      mantissa = (Math.imul(mantissa, 10) + digit) | 0
      digit = bytes[++at]! ^ zero
    }
    if (digit !== quoteDigit || at - start > longestShort || at === point + 1) return this.longNumber(start)
    this.numberEnd = at
    return mantissa / Numeric.powersOfTen[at - 1 - point]!
  }

  private wholeNumber(start: number, end: number, value: number): number {
    if (this.bytes[end] !== quote || end - start >= longestShort) return this.longNumber(start)
    this.numberEnd = end
    return value
  }

  private longNumber(start: number): number {
    const end = quoteFrom(this.bytes, start)
    this.numberEnd = end
    return end < 0 ? Number.NaN : Numeric.parse(this.bytes, start, end)
  }

  private text(field: Field, at: number): number {
    if (this.bytes[at] !== quote) return -1
    const end = quoteFrom(this.bytes, at + 1)
    if (end < 0) return -1
    this.mark(field, at + 1, end)
    if (field === Field.channel) this.findChannel()
    return end + 1
  }

  private findChannel(): void {
    if (this.isWord(Field.channel, this.names[this.usual]!)) {
      this.channel = this.usual
      return
    }
    for (let i = 0; i < this.names.length; i++) if (this.isWord(Field.channel, this.names[i]!)) this.channel = i
    if (this.channel >= 0) this.usual = this.channel
  }

  private result(at: number): number {
    if (this.channel < 0) return -1
    return this.mark(Field.result, at, this.object(this.results[this.channel]!, at))
  }

  private flag(field: Field, at: number): number {
    this.full = sameBytes(this.bytes, at, trueWord)
    return this.mark(field, at, wordEnd(this.bytes, at, this.full ? trueWord : falseWord))
  }

  private side(field: Field, at: number): number {
    const bytes = this.bytes
    if (bytes[at] === letterN) return this.mark(field, at, wordEnd(bytes, at, nullWord))
    if (bytes[at] !== openBracket) return -1
    return this.mark(field, at, bytes[at + 1] === closeBracket ? at + 2 : this.levels(field, at))
  }

  /** `[["price","quantity"],…]` with at least one level. */
  private levels(field: Field, start: number): number {
    const levels: Array<number> = []
    let at = start
    do {
      at = this.level(field, levels, at + 1)
      if (at < 0) return -1
    } while (this.bytes[at] === comma)
    if (field === Field.bid) this.bids = levels
    else this.asks = levels
    return this.bytes[at] === closeBracket ? at + 1 : -1
  }

  private level(field: Field, levels: Array<number>, at: number): number {
    const bytes = this.bytes
    if (bytes[at] !== openBracket || bytes[at + 1] !== quote) return -1
    const price = this.number(at + 2)
    const priceEnd = this.numberEnd
    if (priceEnd < 0 || bytes[priceEnd + 1] !== comma || bytes[priceEnd + 2] !== quote) return -1
    const quantity = this.number(priceEnd + 3)
    const end = this.numberEnd
    if (end < 0 || bytes[end + 1] !== closeBracket) return -1
    return this.add(field, levels, at + 2, priceEnd, price, end, quantity) ? end + 2 : -1
  }

  private add(
    field: Field,
    levels: Array<number>,
    start: number,
    priceEnd: number,
    price: number,
    quantityEnd: number,
    quantity: number
  ): boolean {
    // Also false for NaN.
    if (!(price > 0 && quantity >= 0)) return false
    if (priceEnd - start > Numeric.exactDigits) this.keepLevel(field, levels, start, priceEnd)
    levels.push(price)
    if (quantityEnd - priceEnd - 3 > Numeric.exactDigits) this.keepLevel(field, levels, priceEnd + 3, quantityEnd)
    levels.push(quantity)
    return true
  }

  private keepLevel(field: Field, levels: ReadonlyArray<number>, start: number, end: number): void {
    this.keepExact(Numeric.levelKey(field === Field.bid ? "bids" : "asks", levels.length), start, end)
  }

  private keepExact(name: string, start: number, end: number): void {
    const text = Numeric.excess(this.bytes, start, end)
    if (text === null) return
    this.exact ??= {}
    this.exact[name] = text
  }
}
