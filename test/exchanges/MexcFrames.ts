/** What the tests of the MEXC adapter share: a recording sink, fixtures, and protobuf by the schema under test. */
import type { PublicTag } from "../../src/domain/Channel.ts"
import type { Instrument, InstrumentOf, TradingPair } from "../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate, MarketEvent, Trade } from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import type { Answer, Codec, CodecContext, Refusal, Sink, Topic } from "../../src/ExchangeAdapter.ts"
import * as MexcSchema from "../../src/exchanges/mexc/MexcSchema.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { Raw } from "./SharedFixtures.ts"

// ---- sink -----------------------------------------------------------------------------------------------------------

export type Call =
  | { readonly _tag: "event"; readonly topic: Topic; readonly event: MarketEvent }
  | { readonly _tag: "acknowledged"; readonly answer: Answer }
  | { readonly _tag: "rejected"; readonly answer: Answer; readonly refusal: Refusal }
  | { readonly _tag: "reply"; readonly frame: string | Uint8Array }
  | { readonly _tag: "closing" | "ignored" | "failed"; readonly detail: string }
  | { readonly _tag: "pong" | "fallback" }

/** Keeps every call in order. `canReply` false stands for a sink without a connection. */
export class RecordingSink implements Sink {
  calls: Array<Call> = []
  readonly reply: Sink["reply"]

  constructor(canReply = true) {
    this.reply = canReply ? (frame) => void this.calls.push({ _tag: "reply", frame }) : undefined
  }
  event(topic: Topic, event: MarketEvent): void {
    this.calls.push({ _tag: "event", topic, event })
  }
  acknowledged(answer: Answer): void {
    this.calls.push({ _tag: "acknowledged", answer })
  }
  rejected(answer: Answer, refusal: Refusal): void {
    this.calls.push({ _tag: "rejected", answer, refusal })
  }
  pong(): void {
    this.calls.push({ _tag: "pong" })
  }
  closing(detail: string): void {
    this.calls.push({ _tag: "closing", detail })
  }
  ignored(detail: string): void {
    this.calls.push({ _tag: "ignored", detail })
  }
  failed(detail: string): void {
    this.calls.push({ _tag: "failed", detail })
  }
  fallback(): void {
    this.calls.push({ _tag: "fallback" })
  }
}

export const receivedAt = 1_790_000_000_000.25

/** `BTCUSDT` to `BTC/USDT`; null for what ends in no quote that is known. */
export const pairOfSymbol = (symbol: string): TradingPair | null => {
  const quote = ["USDT", "USDC", "BTC"].find((name) => symbol.endsWith(name) && symbol.length > name.length)
  return quote === undefined ? null : `${symbol.slice(0, -quote.length)}/${quote}`
}

const instrumentOf: InstrumentOf = (symbol) => {
  const pair = pairOfSymbol(symbol)
  return pair === null ? undefined : { pair } as Instrument
}

export interface Subject {
  readonly codec: Codec
  /** Every request for a topic, in order. */
  readonly asked: Array<string>
  readonly topics: Map<string, Topic>
  readonly topicOf: CodecContext["topicOf"]
}

export const makeSubject = (): Subject => {
  const asked: Array<string> = []
  const topics = new Map<string, Topic>()
  const topicOf = (key: string, channel: PublicTag, symbol: string): Topic => {
    asked.push(key)
    const known = topics.get(key)
    if (known !== undefined) return known
    const topic = { key, channel, symbol, pair: pairOfSymbol(symbol), contractSize: 1, slot: null }
    topics.set(key, topic)
    return topic
  }
  return { codec: mexcSpot.makeCodec({ topicOf, instrumentOf }), asked, topics, topicOf }
}

const encoder = new TextEncoder()

export const bytesOf = (raw: string | Uint8Array): Uint8Array => (typeof raw === "string" ? encoder.encode(raw) : raw)

/** Decodes one frame with a fresh codec, in place: the same before and `behind` it, as in what a socket reads. */
export const decode = (
  raw: string | Uint8Array,
  sink = new RecordingSink(),
  codec = makeSubject().codec,
  behind = raw
): ReadonlyArray<Call> => {
  const frame = bytesOf(raw)
  const bytes = new Uint8Array(Buffer.concat([frame, frame, bytesOf(behind)]))
  codec.decodeIn!(bytes, frame.length, 2 * frame.length, receivedAt, sink)
  return sink.calls
}

export const eventsOf = (calls: ReadonlyArray<Call>): ReadonlyArray<MarketEvent> =>
  calls.flatMap((call) => (call._tag === "event" ? [call.event] : []))

export const tagsOf = (calls: ReadonlyArray<Call>): ReadonlyArray<Call["_tag"]> => calls.map((call) => call._tag)

// ---- decimals -------------------------------------------------------------------------------------------------------

/** Canonical decimal text: no leading or trailing zeros that say nothing. */
export const canonical = (decimal: string): string => {
  const [whole = "", fraction = ""] = decimal.split(".")
  const digits = fraction.replace(/0+$/, "")
  const start = whole.replace(/^0+(?=\d)/, "")
  return digits === "" ? start : `${start}.${digits}`
}

/** The exact decimal of a field: its exact text where there is one, else its number. */
export const exactly = (event: { readonly exact: Numeric.ExactText | null }, field: string, value: number): string =>
  canonical(event.exact?.[field] ?? Numeric.toDecimal(value))

export interface Side {
  readonly price: string
  readonly size: string
}

export const sideOf = (ticker: BookTicker, side: "bid" | "ask"): Side | null => {
  const price = ticker[`${side}Price`]
  const size = ticker[`${side}Quantity`]
  if (price === null || size === null) return null
  return { price: exactly(ticker, `${side}Price`, price), size: exactly(ticker, `${side}Quantity`, size) }
}

export const tradeOf = (trade: Trade) => ({
  price: exactly(trade, "price", trade.price),
  size: exactly(trade, "quantity", trade.quantity),
  side: trade.side,
  tsMs: trade.exchangeTime,
  id: trade.id
})

export const levelsOf = (update: BookUpdate, side: "bids" | "asks"): ReadonlyArray<readonly [string, string]> => {
  const flat = update[side]
  return Array.from({ length: flat.length / 2 }, (_, i) => [
    exactly(update, `${side}[${2 * i}]`, flat[2 * i]!),
    exactly(update, `${side}[${2 * i + 1}]`, flat[2 * i + 1]!)
  ])
}

// ---- fixtures -------------------------------------------------------------------------------------------------------

export interface Step {
  readonly direction: "in" | "rest"
  readonly raw: Raw
}

export interface Shared {
  readonly id: string
  readonly direction: "in" | "out" | "rest" | "sequence"
  readonly raw: Raw | { readonly steps: ReadonlyArray<Step> }
  readonly expect: Readonly<Record<string, unknown>>
}

export interface Own {
  readonly id: string
  readonly note: string
  readonly frame: Raw
  readonly calls: ReadonlyArray<Readonly<Record<string, unknown>>>
}

export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(chunks))

// ---- protobuf by hand -----------------------------------------------------------------------------------------------

/** A varint, padded with empty bytes up to `length`. */
export const varint = (value: bigint | number, length = 0): Uint8Array => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    bytes.push(Number(rest & 127n))
    rest >>= 7n
  } while (rest > 0n || bytes.length < length)
  return Uint8Array.from(bytes, (byte, index) => (index < bytes.length - 1 ? byte | 128 : byte))
}

/** A field of wire type 2. */
export const field = (number: number, content: Uint8Array | string): Uint8Array => {
  const value = bytesOf(content)
  return concat([varint(number * 8 + 2), varint(value.length), value])
}

export const varintField = (number: number, value: bigint | number): Uint8Array =>
  concat([varint(number * 8), varint(value)])

/** A frame by the bundled schema. */
export const encode = (message: Readonly<Record<string, unknown>>): Uint8Array => {
  const type = MexcSchema.wrapper()
  return Uint8Array.from(type.encode(type.fromObject(message)).finish())
}

export type AggreTag = Extract<PublicTag, "BookTicker" | "Trades" | "Book">

export const channelOf = (tag: AggreTag, symbol: string, speed = "100ms"): string => {
  const name = { BookTicker: "bookTicker", Trades: "deals", Book: "depth" }[tag]
  return `spot@public.aggre.${name}.v3.api.pb@${speed}@${symbol}`
}
