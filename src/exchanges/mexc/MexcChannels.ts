/**
 * The channels on the wire: how each is named, where its symbol stands, which body it brings; and the topics of a
 * connection by the bytes of their names ("Websocket Market Streams").
 */
import { Literal, Memory } from "../../domain/Bytes.ts"
import type { PublicTag } from "../../domain/Channel.ts"
import type { KlineInterval } from "../../domain/Market.ts"
import type { CodecContext, Topic } from "../../ExchangeAdapter.ts"
import * as MexcText from "./MexcText.ts"
import * as MexcWire from "./MexcWire.ts"

interface Wire {
  readonly tag: PublicTag
  /** Field number of the body. */
  readonly body: number
  /** Which part behind the name is the symbol; 0 when the channel is one of all symbols. */
  readonly symbolPart: 0 | 1 | 2
  /** Parts behind the name. */
  readonly parts: 1 | 2
}

/** By name: the symbol is the last part of aggregated channels, and the first of all others. */
const wires = {
  "aggre.bookTicker": { tag: "BookTicker", body: MexcWire.bookTickerBody, symbolPart: 2, parts: 2 },
  "bookTicker.batch": { tag: "BookTicker", body: MexcWire.bookTickerBatchBody, symbolPart: 1, parts: 1 },
  "aggre.deals": { tag: "Trades", body: MexcWire.dealsBody, symbolPart: 2, parts: 2 },
  "aggre.depth": { tag: "Book", body: MexcWire.depthsBody, symbolPart: 2, parts: 2 },
  "limit.depth": { tag: "Book", body: MexcWire.limitDepthsBody, symbolPart: 1, parts: 2 },
  "miniTicker": { tag: "Ticker", body: MexcWire.miniTickerBody, symbolPart: 1, parts: 2 },
  "miniTickers": { tag: "Ticker", body: MexcWire.miniTickersBody, symbolPart: 0, parts: 1 },
  "kline": { tag: "Kline", body: MexcWire.klineBody, symbolPart: 1, parts: 2 }
} as const satisfies Readonly<Record<string, Wire>>

type WireName = keyof typeof wires

/** The topic's symbol in channels of all symbols. */
export const everySymbol = "*"

/** The whole name: `spot@public.kline.v3.api.pb@BTCUSDT@Min1`. */
export const keyOf = (name: WireName, ...parts: ReadonlyArray<string>): string =>
  [`spot@public.${name}.v3.api.pb`, ...parts].join("@")

/** Names of the intervals on the wire. */
export const intervalNames: Readonly<Partial<Record<KlineInterval, string>>> = {
  "1m": "Min1",
  "5m": "Min5",
  "15m": "Min15",
  "30m": "Min30",
  "1h": "Min60",
  "4h": "Hour4",
  "8h": "Hour8",
  "1d": "Day1",
  "1w": "Week1",
  "1M": "Month1"
}

const intervals: ReadonlyMap<string, KlineInterval> = new Map(
  Object.entries(intervalNames).map(([interval, name]) => [name, interval as KlineInterval])
)

/** A channel that has been seen. */
export interface Entry {
  readonly bytes: Uint8Array
  readonly name: Literal
  /** How its frames begin: channel, symbol, and the tag of the send time. Null without a symbol or topic, and for long names. */
  readonly head: Literal | null
  /** The symbol in `bytes`; both 0 when it names none. */
  readonly symbolStart: number
  readonly symbolEnd: number
  /** Null when it is none of ours. */
  readonly topic: Topic | null
  /** Field number of the body that belongs to it. */
  readonly body: number
  /** Of candles, else null. */
  readonly interval: KlineInterval | null
  readonly next: Entry | undefined
}

interface Parsed {
  readonly wire: Wire
  /** What stands before the symbol. */
  readonly before: string
  /** Empty when the channel names none. */
  readonly symbol: string
  readonly interval: KlineInterval | null
}

const namePattern = /^(spot@public\.([A-Za-z.]+)\.v3\.api\.pb@)([^@]+)(?:@([^@]+))?$/u

const wireOf = (name: string): Wire | undefined => Object.hasOwn(wires, name) ? wires[name as WireName] : undefined

/** Null when it is none of ours. */
const parse = (key: string): Parsed | null => {
  const found = namePattern.exec(key)
  const wire = found === null ? undefined : wireOf(found[2]!)
  return found === null || wire === undefined ? null : parseParts(wire, found[1]!, found[3]!, found[4])
}

const parseParts = (wire: Wire, head: string, first: string, second: string | undefined): Parsed | null => {
  if ((second === undefined) !== (wire.parts === 1)) return null
  const interval = wire.tag === "Kline" ? intervals.get(second!) : null
  if (interval === undefined) return null
  if (wire.symbolPart === 2) return { wire, before: `${head}${first}@`, symbol: second!, interval }
  return { wire, before: head, symbol: wire.symbolPart === 1 ? first : "", interval }
}

const encoder = new TextEncoder()

/** In the order of the wire, with lengths of one byte. */
const headOf = (channel: Uint8Array, symbol: Uint8Array): Literal | null => {
  if (channel.length > MexcWire.longestShort || symbol.length > MexcWire.longestShort) return null
  const { channelTag, sendTimeTag, symbolTag } = MexcWire
  return new Literal(
    Uint8Array.of(channelTag, channel.length, ...channel, symbolTag, symbol.length, ...symbol, sendTimeTag)
  )
}

const entryOf = (bytes: Uint8Array, key: string, next: Entry | undefined, context: CodecContext): Entry => {
  const parsed = parse(key)
  const name = new Literal(bytes)
  const nameless = { bytes, name, head: null, symbolStart: 0, symbolEnd: 0, next }
  if (parsed === null) return { ...nameless, topic: null, body: 0, interval: null }
  const { before, interval, symbol, wire: { body, tag } } = parsed
  const topic = context.topicOf(key, tag, symbol === "" ? everySymbol : symbol)
  if (symbol === "") return { ...nameless, topic, body, interval }
  const symbolStart = encoder.encode(before).length
  const symbolEnd = symbolStart + encoder.encode(symbol).length
  const head = topic === null ? null : headOf(bytes, bytes.subarray(symbolStart, symbolEnd))
  return { bytes, name, head, symbolStart, symbolEnd, topic, body, interval, next }
}

const bucketCount = 4096
const mostEntries = 4096

/** Topics by the bytes of their channel. Bounded: past `mostEntries` each frame pays for its own look-up. */
export class Channels {
  private readonly buckets: Array<Entry | undefined> = new Array<Entry | undefined>(bucketCount).fill(undefined)
  private readonly context: CodecContext
  private readonly memory = new Memory()
  private size = 0

  constructor(context: CodecContext) {
    this.context = context
  }

  /** The one whose head `frame[start, end)` begins with, when it was found before. */
  headed(frame: Uint8Array, start: number, end: number): Entry | null {
    const length = frame[start + 1]!
    if (frame[start] !== MexcWire.channelTag || length > end - start - 2) return null
    const view = this.memory.of(frame)
    const at = frame.byteOffset + start
    for (let entry = this.buckets[hash(view, at + 2, length)]; entry !== undefined; entry = entry.next) {
      const { head } = entry
      if (head !== null && head.length < end - start && head.isAt(view, at)) return entry
    }
    return null
  }

  /** Null when the bytes are no UTF-8. */
  find(frame: Uint8Array, start: number, end: number): Entry | null {
    const view = this.memory.of(frame)
    const at = frame.byteOffset + start
    const length = end - start
    const bucket = hash(view, at, length)
    for (let entry = this.buckets[bucket]; entry !== undefined; entry = entry.next) {
      if (entry.name.length === length && entry.name.isAt(view, at)) return entry
    }
    // A copy: `slice` of a Node Buffer would share its memory.
    return this.add(bucket, new Uint8Array(frame.subarray(start, end)))
  }

  private add(bucket: number, bytes: Uint8Array): Entry | null {
    const key = MexcText.read(bytes, 0, bytes.length)
    if (key === null) return null
    const entry = entryOf(bytes, key, this.buckets[bucket], this.context)
    if (this.size < mostEntries) {
      this.buckets[bucket] = entry
      this.size++
    }
    return entry
  }
}

/** The last bytes tell symbols apart, the length and the byte at 20 the channels (`okTicker`, `als`, `pth`). */
const hash = (view: DataView, at: number, length: number): number => {
  let value = length
  if (length > 20) value = value * 31 + view.getUint8(at + 20)
  if (length >= 12) {
    const end = at + length
    value = Math.imul(value, 31) + view.getInt32(end - 12, true)
    value = Math.imul(value, 0x01000193) + view.getInt32(end - 8, true)
    value = Math.imul(value, 0x01000193) + view.getInt32(end - 4, true)
  }
  return (Math.imul(value, 0x9e3779b1) >>> 20) & (bucketCount - 1)
}

/** Whether `frame[start, end)` is `bytes[from, to)`. */
export const sameBytes = (
  frame: Uint8Array,
  start: number,
  end: number,
  bytes: Uint8Array,
  from: number,
  to: number
): boolean => {
  const length = end - start
  if (to - from !== length) return false
  for (let i = length - 1; i >= 0; i--) {
    if (frame[start + i] !== bytes[from + i]) return false
  }
  return true
}
