/**
 * Reads a data frame from its bytes without building it. What a channel's results look like, its `Layout`, is data:
 * `GateLayouts.ts`.
 */
import { Literal, Memory } from "../../domain/Bytes.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"

export const quote = 34
const comma = 44
const minus = 45
const zero = 48
export const colon = 58
const openBracket = 91
const backslash = 92
const closeBracket = 93
const letterN = 110
const openBrace = 123
export const closeBrace = 125

export const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

/** Four characters as one little-endian word. */
export const word = (text: string): number => new DataView(ascii(text).buffer).getInt32(0, true)
const wordBytes = 4

const nullWord = ascii("null")
const trueWord = ascii("true")
const falseWord = ascii("false")

/** What ends one of the `Kind.levels` and begins the next, but for its quote. */
const nextLevel = word(`"],[`)

/** What begins the price and the size of one of the `Kind.sizedLevels`, but for a quote and a colon. */
const priceBegins = word(`{"p"`)
const sizeBegins = word(`","s`)

/** Where a value of each field lies in the frame just scanned. Numbers from `own` on mean something else in each layout. */
export const Field = {
  channel: 0,
  event: 1,
  result: 2,
  error: 3,
  /** `time_ms` of the envelope. */
  sentAt: 4,
  own: 5,
  time: 5,
  version: 6,
  firstVersion: 7,
  symbol: 8,
  bid: 9,
  bidQuantity: 10,
  ask: 11,
  askQuantity: 12,
  full: 13,
  levelCount: 14,
  id: 15,
  side: 16,
  price: 17,
  quantity: 18
} as const

/** At most 31, so that one bit each fits an int32. Behind those of the layouts stands what is unread. */
const fieldCount = 25
const unreadField = 24

/** A side's prices and quantities stand behind the fields' numbers until it is known how many there are. */
const firstSlot = fieldCount
/** Sides with more levels are left to the general decoder. */
const mostLevels = 1_000
const slotCount = firstSlot + 2 * mostLevels

/** Whether it is a price's, not a quantity's. */
const isPrice = (slot: number): boolean => (slot - firstSlot) % 2 === 0

const noField = -1

/** The envelope's own. */
const envelopeFields = (1 << Field.own) - 1

/** Bytes as `^ zero` shows them. */
const quoteDigit = quote ^ zero
const dotDigit = 46 ^ zero

/** Digits that an int32 holds. */
const longestShort = 9
const longestWithPoint = longestShort + 1

/** How a field's value must look. */
export const Kind = {
  text: 0,
  integer: 1,
  flag: 2,
  /** `[["price","quantity"],…]` */
  levels: 3,
  empty: 4,
  result: 5,
  unread: 6,
  /** Decimal as text. */
  decimal: 7,
  /** Decimal as text, or a whole number. */
  size: 8,
  /** The same with an optional sign. */
  signedSize: 9,
  /** Decimal as text with an optional sign. */
  signed: 10,
  /** The same, per cent: its number is the fraction that is meant. */
  percent: 12,
  /** `[{"p":"price","s":size},…]` */
  sizedLevels: 11
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** A key of an object: `"name":` on the wire. */
interface Key {
  readonly token: Uint8Array
  readonly field: number
  readonly kind: Kind
  /** The key that stood behind this one last time: a guess that saves looking it up. */
  next: Key | null
}

const makeKey = (name: string, field: number, kind: Kind): Key => ({
  token: ascii(`"${name}":`),
  field,
  kind,
  next: null
})

/** Stands before the first key, and for every key that is not listed. */
const noKey = (): Key => makeKey("", noField, Kind.unread)

export type Keys = ReadonlyArray<readonly [name: string, field: number, kind: Kind]>

export const unread = (name: string) => [name, noField, Kind.unread] as const

const envelopeKeys: Keys = [
  unread("time"),
  ["time_ms", Field.sentAt, Kind.integer],
  unread("conn_id"),
  ["channel", Field.channel, Kind.text],
  ["event", Field.event, Kind.text],
  ["result", Field.result, Kind.result],
  ["error", Field.error, Kind.empty]
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

export interface ScannedChannel {
  readonly name: Uint8Array
  readonly keys: Keys
  /** The event of its data; a frame without one is taken for data. */
  readonly event: Uint8Array
  /** Whether the result may be a list of objects. */
  readonly isList: boolean
}

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

const wordEnd = (bytes: Uint8Array, start: number, word: Uint8Array): number =>
  sameBytes(bytes, start, word) ? start + word.length : -1

/** Behind null, true or false; -1 for anything else. */
const constantEnd = (bytes: Uint8Array, start: number): number => {
  if (bytes[start] === letterN) return wordEnd(bytes, start, nullWord)
  return Math.max(wordEnd(bytes, start, trueWord), wordEnd(bytes, start, falseWord))
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

/** A layout that was met: `literals[i]` stands before the value of `keys[i]`, the last one behind all. */
interface Template {
  readonly keys: ReadonlyArray<Key>
  readonly literals: ReadonlyArray<Literal>
  /** Fields whose values are part of the literals. */
  readonly seen: number
  readonly channel: number
  readonly full: boolean
}

/** Layouts that are remembered for frames with the same mark: of a book both sides, either, and the whole. */
const mostTemplates = 4

/** More values than any frame has that is read with a template. */
const longestVisit = 64

const placeCount = 64

/** Tells the channels apart: their names begin at 54, behind `spot.` at 59 and behind `futures.` at 62. */
const placeOf = (bytes: Uint8Array, start: number, end: number): number =>
  end - start > 64 ? (bytes[start + 61]! * 5 + bytes[start + 62]! * 3 + bytes[start + 63]!) & (placeCount - 1) : 0

/** Values that are the same in all frames of a layout: names, flags, and lists or results that are empty. */
const isConstant = (key: Key, first: number, length: number): boolean => {
  switch (key.kind) {
    case Kind.text:
      return key.field === Field.channel || key.field === Field.event
    case Kind.flag:
    case Kind.empty:
      return true
    case Kind.levels:
    case Kind.sizedLevels:
      return first === letterN || length === 2
    default:
      return false
  }
}

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
  /** How many objects the result lists; 1 when it is an object itself. Then that one's fields are there to read. */
  count = 0
  private bytes: Uint8Array = new Uint8Array(0)
  /** The frame's. Behind it stand other frames: what is read beyond never ends here. */
  private frameEnd = 0
  /** One bit a field: what is not set is absent, whatever the others say. */
  private seen = 0
  /** The fields that are an empty text. */
  private empty = 0
  /** The numbers with more characters than a double gives back; of the others nobody asks where they stand. */
  private long = 0
  /** Of texts and of long numbers. */
  private readonly starts = new Int32Array(fieldCount)
  private readonly ends = new Int32Array(fieldCount)
  /** Of the fields that are numbers on the wire or as text: read while their ends are looked for. */
  private readonly numbers = new Float64Array(slotCount)
  /** Behind the side just read. */
  private lastSlot = 0
  /** Where the objects of a list begin. */
  private readonly objects: Array<number> = []
  private readonly memory = new Memory()
  private view: DataView = this.memory.of(this.bytes)
  /** Layouts that were met, by a mark of the frames that have them. */
  private readonly templates: Array<Array<Template> | undefined> = Array.from({ length: placeCount }, () => undefined)
  /** The values of the frame that is scanned, in the order in which they stand. */
  private readonly visits: Array<Key> = []
  private readonly visitStarts = new Int32Array(longestVisit)
  private readonly visitEnds = new Int32Array(longestVisit)
  private visited = 0
  private missed = 0
  /** The channel of the frame before: mostly it is that again. */
  private usual = 0
  private readonly envelope = makeLayout(envelopeKeys)
  private readonly channels: ReadonlyArray<ScannedChannel>
  private readonly results: ReadonlyArray<Layout>

  constructor(channels: ReadonlyArray<ScannedChannel>) {
    this.channels = channels
    this.results = channels.map((channel) => makeLayout(channel.keys))
  }

  has(field: number): boolean {
    return (this.seen & (1 << field)) !== 0
  }

  start(field: number): number {
    return this.starts[field]!
  }

  end(field: number): number {
    return this.ends[field]!
  }

  isWord(field: number, word: Uint8Array): boolean {
    const start = this.starts[field]!
    return this.has(field) && this.ends[field]! - start === word.length && sameBytes(this.bytes, start, word)
  }

  /** A number on the wire or as text; NaN when the field is absent, empty or no plain decimal. */
  decimal(field: number): number {
    return this.has(field) ? this.numbers[field]! : Number.NaN
  }

  isEmpty(field: number): boolean {
    return (this.empty & (1 << field)) !== 0
  }

  /** The same as `decimal`, and -1 for an empty text. */
  decimalOrEmpty(field: number): number {
    return this.isEmpty(field) ? -1 : this.decimal(field)
  }

  /** Null when the field is absent. */
  sequence(field: number): Sequence.Sequence | null {
    if (!this.has(field)) return null
    if (!this.isLong(field)) return this.numbers[field]!
    return Sequence.parse(this.bytes, this.starts[field]!, this.ends[field]!)
  }

  /** Whether each of these fields, one bit each, is a number that is read whole: nothing of them is absent, empty or long. */
  isPlain(fields: number): boolean {
    return (this.seen & fields) === fields && ((this.empty | this.long) & fields) === 0
  }

  /** Of a field that is there. */
  number(field: number): number {
    return this.numbers[field]!
  }

  private isLong(field: number): boolean {
    return (this.long & (1 << field)) !== 0
  }

  /** Notes the field's exact text in `exact`, under `name`, where a number cannot hold it. */
  note(field: number, name: string): void {
    if (this.isLong(field)) this.keepExact(name, this.starts[field]!, this.ends[field]!)
  }

  /** The same with the sign. */
  noteSigned(field: number, name: string): void {
    this.note(field, name)
    if (this.exact?.[name] !== undefined && this.numbers[field]! < 0) this.exact[name] = `-${this.exact[name]}`
  }

  /** Reads the frame in `bytes[start, end)`. */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    // Frames of one read share their bytes.
    if (bytes !== this.bytes) {
      this.bytes = bytes
      this.view = this.memory.of(bytes)
    }
    this.frameEnd = end
    this.reset()
    const place = placeOf(bytes, start, end)
    const known = this.templates[place]
    if (known !== undefined) {
      for (let i = 0; i < known.length; i++) {
        if (this.follow(known[i]!, start)) return true
        this.reset()
      }
    }
    return this.scanWhole(start) && this.learn(place, known, start)
  }

  private scanWhole(start: number): boolean {
    this.visited = 0
    return this.object(this.envelope, start) === this.frameEnd &&
      this.has(Field.result) &&
      (!this.has(Field.event) || this.isWord(Field.event, this.channels[this.channel]!.event))
  }

  /** Reads the frame as one of this layout. */
  private follow(template: Template, start: number): boolean {
    const { keys, literals } = template
    let at = start
    for (let i = 0; i < keys.length; i++) {
      at = this.literalEnd(literals[i]!, at)
      if (at < 0) return false
      at = this.value(keys[i]!, at)
      if (at < 0) return false
    }
    if (this.literalEnd(literals[keys.length]!, at) !== this.frameEnd) return false
    this.seen |= template.seen
    this.channel = template.channel
    this.full = template.full
    this.count = 1
    return true
  }

  /** Behind the literal that has to stand at `at`; -1 when it does not. */
  private literalEnd(literal: Literal, at: number): number {
    const { bytes, view } = this
    const end = at + literal.length
    if (end > bytes.length) return -1
    const start = bytes.byteOffset + at
    return literal.isAt(view, start) ? end : -1
  }

  /** Remembers the layout of the frame just scanned. */
  private learn(place: number, known: Array<Template> | undefined, start: number): true {
    if (this.count !== 1 || this.visited > longestVisit) return true
    const templates = known ?? []
    if (templates.length >= mostTemplates) {
      // Where layouts keep changing, remembering each would cost more than it saves.
      if (++this.missed % 64 !== 0) return true
      templates.pop()
    }
    templates.unshift(this.template(start))
    this.templates[place] = templates
    return true
  }

  private template(frameStart: number): Template {
    const { bytes, frameEnd } = this
    const keys: Array<Key> = []
    const literals: Array<Literal> = []
    let seen = this.seen
    let from = frameStart
    for (let i = 0; i < this.visited; i++) {
      const key = this.visits[i]!
      const start = this.visitStarts[i]!
      const end = this.visitEnds[i]!
      if (isConstant(key, bytes[start]!, end - start)) continue
      if (key.field !== noField) seen &= ~(1 << key.field)
      keys.push(key)
      literals.push(new Literal(bytes.subarray(from, start)))
      from = end
    }
    literals.push(new Literal(bytes.subarray(from, frameEnd)))
    return { keys, literals, seen, channel: this.channel, full: this.full }
  }

  /** Makes the fields those of one object of a list in the frame just scanned. */
  select(index: number): void {
    this.seen &= envelopeFields
    this.clear()
    this.object(this.results[this.channel]!, this.objects[index]!)
  }

  private reset(): void {
    this.channel = -1
    this.count = 0
    this.seen = 0
    this.clear()
  }

  private clear(): void {
    this.empty = 0
    this.long = 0
    this.full = false
    this.bids = noLevels
    this.asks = noLevels
    this.exact = null
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
      at = key.kind === Kind.result ? this.result(valueAt) : this.visit(key, valueAt)
      if (at < 0) return -1
    } while (bytes[at] === comma)
    return bytes[at] === closeBrace ? at + 1 : -1
  }

  /** A value, and where it stands. */
  private visit(key: Key, start: number): number {
    const end = this.value(key, start)
    const visit = this.visited++
    if (visit < longestVisit) {
      this.visits[visit] = key
      this.visitStarts[visit] = start
      this.visitEnds[visit] = end
    }
    return end
  }

  /** JSON.parse takes the last of two equal keys: those frames are left to it. */
  private value(key: Key, at: number): number {
    if (key.kind === Kind.unread) return this.skip(at)
    if (this.has(key.field)) return -1
    switch (key.kind) {
      case Kind.text:
        return this.string(key.field, at)
      case Kind.decimal:
        return this.decimalText(key.field, at)
      case Kind.integer:
        return this.integer(key.field, at)
      case Kind.levels:
        return this.side(key.field, at)
      default:
        return this.rarer(key, at)
    }
  }

  private rarer(key: Key, at: number): number {
    switch (key.kind) {
      case Kind.size:
        return this.size(key.field, at)
      case Kind.signedSize:
      case Kind.signed:
        return this.signed(key, at)
      case Kind.sizedLevels:
        return this.sizedSide(key.field, at)
      case Kind.percent:
        return this.percent(key.field, at)
      case Kind.flag:
        return this.flag(key.field, at)
      default:
        return this.mark(key.field, at, wordEnd(this.bytes, at, nullWord))
    }
  }

  /** Behind a value nobody reads: plain text, an integer, null, true or false. -1 for anything else. */
  private skip(start: number): number {
    if (this.bytes[start] === quote) {
      const end = plainQuoteFrom(this.bytes, start + 1)
      return end < 0 ? -1 : end + 1
    }
    const end = this.integer(unreadField, start)
    return end >= 0 ? end : constantEnd(this.bytes, start)
  }

  private mark(field: number, start: number, end: number): number {
    this.seen |= 1 << field
    this.starts[field] = start
    this.ends[field] = end
    return end
  }

  /** The same for what is kept in `numbers`. */
  private markNumber(field: number, start: number, end: number): number {
    this.seen |= 1 << field
    if (end - start > Numeric.exactDigits) {
      this.long |= 1 << field
      this.starts[field] = start
      this.ends[field] = end
    }
    return end
  }

  private integer(field: number, start: number): number {
    const end = Numeric.readWhole(this.numbers, field, this.bytes, this.view, start)
    return end < 0 ? -1 : this.markNumber(field, start, end)
  }

  private decimalText(field: number, at: number): number {
    if (this.bytes[at] !== quote) return -1
    const end = this.readNumber(field, at + 1)
    if (end <= at + 1) return this.emptyText(field, end)
    return this.markNumber(field, at + 1, end) + 1
  }

  /** An empty text where a decimal may stand; -1 when not even a quote came. */
  private emptyText(field: number, end: number): number {
    if (end < 0) return -1
    this.seen |= 1 << field
    this.empty |= 1 << field
    return end + 1
  }

  private size(field: number, at: number): number {
    if (this.bytes[at] === quote) return this.decimalText(field, at)
    const end = this.integer(field, at)
    // The sum of so many digits is not the nearest number.
    if (end - at > Numeric.exactDigits) this.numbers[field] = Numeric.parse(this.bytes, at, end)
    return end
  }

  /** The offsets are those of the digits, so that the text kept of a long one is without its sign. */
  private signed(key: Key, at: number): number {
    const { field } = key
    const isText = this.bytes[at] === quote
    const digits = isText ? at + 1 : at
    if (this.bytes[digits] !== minus) {
      return key.kind === Kind.signed ? this.decimalText(field, at) : this.size(field, at)
    }
    return this.negated(field, digits + 1, isText, key.kind === Kind.signedSize)
  }

  private percent(field: number, at: number): number {
    const { bytes } = this
    if (bytes[at] !== quote) return -1
    const start = at + 1
    const end = quoteFrom(bytes, start)
    if (end <= start) return this.emptyText(field, end)
    this.numbers[field] = Numeric.parsePercent(bytes, start, end)
    this.seen |= 1 << field
    return end + 1
  }

  private negated(field: number, start: number, isText: boolean, takesIntegers: boolean): number {
    if (!isText) {
      const end = takesIntegers ? this.size(field, start) : -1
      // A quote behind a bare sign is no JSON.
      if (end < 0 || this.bytes[start] === quote) return -1
      this.numbers[field] = 0 - this.numbers[field]!
      return end
    }
    const end = this.readNumber(field, start)
    // A sign alone is no empty text.
    if (end <= start) return -1
    // Zero has no sign.
    this.numbers[field] = 0 - this.numbers[field]!
    return this.markNumber(field, start, end) + 1
  }

  /**
   * Reads the decimal at `start` as `numbers[field]`, up to the quote behind it, whose place it gives; -1 when none comes.
   * NaN as `Numeric.parse` has it. What is as long as nearly all prices are is read in one go, the rest by `Numeric`.
   *
   * The number is not given back, because V8 would box it on the way. In few places it gives up, because each is bytecode: with
   * one more V8 put only one of the two that a level of futures needs into `sizedLevel` (1.65 to 1.55 µs an update, 2026-11-26).
   */
  private readNumber(field: number, start: number): number {
    const { bytes } = this
    let at = start
    let mantissa = 0
    let digit = bytes[at]! ^ zero
    while (digit <= 9) {
      mantissa = (Math.imul(mantissa, 10) + digit) | 0
      digit = bytes[++at]! ^ zero
    }
    const point = at
    if (point === start) return this.longNumber(field, start)
    if (digit === dotDigit) {
      digit = bytes[++at]! ^ zero
      while (digit <= 9) {
        mantissa = (Math.imul(mantissa, 10) + digit) | 0
        digit = bytes[++at]! ^ zero
      }
      const decimals = at - 1 - point
      if (digit === quoteDigit && decimals > 0 && at - start <= longestWithPoint) {
        this.numbers[field] = mantissa / Numeric.powersOfTen[decimals]!
        return at
      }
    } else if (digit === quoteDigit && point - start <= longestShort) {
      this.numbers[field] = mantissa
      return at
    }
    return this.longNumber(field, start)
  }

  private longNumber(field: number, start: number): number {
    const end = quoteFrom(this.bytes, start)
    this.numbers[field] = end < 0 ? Number.NaN : Numeric.parse(this.bytes, start, end)
    return end
  }

  private string(field: number, at: number): number {
    if (this.bytes[at] !== quote) return -1
    const end = quoteFrom(this.bytes, at + 1)
    if (end < 0) return -1
    this.mark(field, at + 1, end)
    if (field === Field.channel) this.findChannel()
    return end + 1
  }

  private findChannel(): void {
    const { channels } = this
    if (this.isWord(Field.channel, channels[this.usual]!.name)) {
      this.channel = this.usual
      return
    }
    for (let i = 0; i < channels.length; i++) if (this.isWord(Field.channel, channels[i]!.name)) this.channel = i
    if (this.channel >= 0) this.usual = this.channel
  }

  private result(at: number): number {
    if (this.channel < 0 || this.has(Field.result)) return -1
    const layout = this.results[this.channel]!
    if (this.bytes[at] === openBracket) return this.mark(Field.result, at, this.list(layout, at))
    this.count = 1
    return this.mark(Field.result, at, this.object(layout, at))
  }

  /** A list with at least one object. */
  private list(layout: Layout, start: number): number {
    if (!this.channels[this.channel]!.isList) return -1
    let at = start
    do {
      this.seen &= envelopeFields
      this.clear()
      this.objects[this.count++] = at + 1
      at = this.object(layout, at + 1)
      if (at < 0) return -1
    } while (this.bytes[at] === comma)
    return this.bytes[at] === closeBracket ? at + 1 : -1
  }

  private flag(field: number, at: number): number {
    this.full = sameBytes(this.bytes, at, trueWord)
    return this.mark(field, at, wordEnd(this.bytes, at, this.full ? trueWord : falseWord))
  }

  private side(field: number, at: number): number {
    const end = this.emptySide(field, at)
    return end > 0 ? end : this.mark(field, at, end < 0 ? -1 : this.keepSide(field, this.levels(field, at)))
  }

  private sizedSide(field: number, at: number): number {
    const end = this.emptySide(field, at)
    return end > 0 ? end : this.mark(field, at, end < 0 ? -1 : this.keepSide(field, this.sizedLevels(field, at)))
  }

  /** Behind a side without levels, 0 where a list with some begins, -1 for anything else. */
  private emptySide(field: number, at: number): number {
    const bytes = this.bytes
    if (bytes[at] === letterN) return this.mark(field, at, wordEnd(bytes, at, nullWord))
    if (bytes[at] !== openBracket) return -1
    return bytes[at + 1] === closeBracket ? this.mark(field, at, at + 2) : 0
  }

  /** At least one level; up to where the side's bracket has to stand. */
  private levels(field: number, start: number): number {
    const { bytes } = this
    let at = bytes[start + 1] === openBracket ? start + 2 : -1
    for (let slot = firstSlot; slot < slotCount; slot++) {
      const end = bytes[at] === quote ? this.readNumber(slot, at + 1) : -1
      if (end < 0) return -1
      if (end - at > Numeric.exactDigits + 1) this.keepLevel(field, slot, at + 1, end)
      at = isPrice(slot) ? this.quantityAt(end) : this.nextLevelAt(end)
      if (at < 0) return this.lastLevelEnd(slot, end)
    }
    return -1
  }

  /** Where the quantity behind a price that ends at this quote has its own; -1 when none stands there. */
  private quantityAt(end: number): number {
    return this.bytes[end + 1] === comma ? end + 2 : -1
  }

  /** Where the price of the level behind the quantity that ends at this quote has its own; -1 when none stands there. */
  private nextLevelAt(end: number): number {
    return this.isWordAt(nextLevel, end) ? end + wordBytes : -1
  }

  private lastLevelEnd(slot: number, end: number): number {
    if (isPrice(slot) || this.bytes[end + 1] !== closeBracket) return -1
    this.lastSlot = slot + 1
    return end + 2
  }

  private sizedLevels(field: number, start: number): number {
    const { bytes } = this
    let at = start
    for (let slot = firstSlot; slot < slotCount; slot += 2) {
      at = this.sizedLevel(field, slot, at + 1)
      if (at < 0) return -1
      if (bytes[at] !== comma) {
        this.lastSlot = slot + 2
        return at
      }
    }
    return -1
  }

  private sizedLevel(field: number, slot: number, start: number): number {
    const { bytes } = this
    if (!this.isWordAt(priceBegins, start) || bytes[start + 4] !== colon || bytes[start + 5] !== quote) return -1
    const digits = start + 6
    const end = this.readNumber(slot, digits)
    if (end < 0 || !this.isWordAt(sizeBegins, end) || bytes[end + 4] !== quote || bytes[end + 5] !== colon) return -1
    if (end - digits > Numeric.exactDigits) this.keepLevel(field, slot, digits, end)
    return bytes[end + 6] === quote ? this.textSize(field, slot + 1, end + 7) : this.bareSize(field, slot + 1, end + 6)
  }

  private textSize(field: number, slot: number, start: number): number {
    const end = this.readNumber(slot, start)
    if (end < 0 || this.bytes[end + 1] !== closeBrace) return -1
    if (end - start > Numeric.exactDigits) this.keepLevel(field, slot, start, end)
    return end + 2
  }

  /** A whole number on the wire. */
  private bareSize(field: number, slot: number, start: number): number {
    const { bytes } = this
    let at = start
    let value = 0
    let digit = bytes[at]! ^ zero
    while (digit <= 9) {
      value = (Math.imul(value, 10) + digit) | 0
      digit = bytes[++at]! ^ zero
    }
    // JSON allows no leading zeros.
    if (bytes[at] !== closeBrace || at === start || (bytes[start] === zero && at > start + 1)) return -1
    this.numbers[slot] = at - start > longestShort ? Numeric.parse(bytes, start, at) : value
    if (at - start > Numeric.exactDigits) this.keepLevel(field, slot, start, at)
    return at + 1
  }

  private isWordAt(wanted: number, at: number): boolean {
    const { bytes, view } = this
    return at + wordBytes <= bytes.length && view.getInt32(bytes.byteOffset + at, true) === wanted
  }

  /** Behind the side's bracket, which has to stand at `at`. */
  private keepSide(field: number, at: number): number {
    if (at < 0) return -1
    const { bytes, lastSlot, numbers } = this
    // Of its final length: one that grows took twice as long (2026-11-26).
    const levels: Array<number> = new Array(lastSlot - firstSlot)
    for (let i = 0; i < levels.length; i += 2) {
      const price = numbers[firstSlot + i]!
      const quantity = numbers[firstSlot + i + 1]!
      // Also for NaN.
      if (!(price > 0 && quantity >= 0)) return -1
      levels[i] = price
      levels[i + 1] = quantity
    }
    if (field === Field.bid) this.bids = levels
    else this.asks = levels
    return bytes[at] === closeBracket ? at + 1 : -1
  }

  private keepLevel(field: number, slot: number, start: number, end: number): void {
    this.keepExact(Numeric.levelKey(field === Field.bid ? "bids" : "asks", slot - firstSlot), start, end)
  }

  private keepExact(name: string, start: number, end: number): void {
    const text = Numeric.excess(this.bytes, start, end)
    if (text === null) return
    this.exact ??= {}
    this.exact[name] = text
  }
}
