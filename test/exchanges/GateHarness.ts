/** What the Gate tests share: a topic table, a sink that records, exact decimals. */
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import type { Answer, Codec, CodecContext, ExchangeAdapter, Refusal, Sink, Topic } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"

export type Call =
  | { readonly call: "event"; readonly topic: string; readonly event: MarketEvent }
  | { readonly call: "acknowledged"; readonly answer: Answer }
  | { readonly call: "rejected"; readonly answer: Answer; readonly refusal: Refusal }
  | { readonly call: "pong" | "fallback" }
  | { readonly call: "closing" | "ignored" | "failed"; readonly detail: string }

export const recorder = (): Sink & { readonly calls: Array<Call> } => {
  const calls: Array<Call> = []
  return {
    calls,
    event: (topic, event) => void calls.push({ call: "event", topic: topic.key, event }),
    acknowledged: (answer) => void calls.push({ call: "acknowledged", answer }),
    rejected: (answer, refusal) => void calls.push({ call: "rejected", answer, refusal }),
    pong: () => void calls.push({ call: "pong" }),
    closing: (detail) => void calls.push({ call: "closing", detail }),
    ignored: (detail) => void calls.push({ call: "ignored", detail }),
    failed: (detail) => void calls.push({ call: "failed", detail }),
    fallback: () => void calls.push({ call: "fallback" })
  }
}

/** The size of every contract in these tests. */
export const contractSize = 0.001

/** The pair that a name suggests. */
export const pairOf = (adapter: ExchangeAdapter, symbol: string): TradingPair => {
  const [base = "", quote = ""] = symbol.split("_")
  return adapter.kind === "spot" ? `${base}/${quote}` : `${base}/${quote}:${quote}`
}

/** Makes every topic it is asked for, with the pair that the name suggests, and counts. */
export const topicTable = (
  adapter: ExchangeAdapter = gateSpot
): CodecContext & { readonly topics: Map<string, Topic>; readonly asked: Array<string> } => {
  const topics = new Map<string, Topic>()
  const asked: Array<string> = []
  return {
    topics,
    asked,
    topicOf: (key, channel, symbol) => {
      asked.push(key)
      const known = topics.get(key)
      if (known !== undefined) return known
      const size = adapter.kind === "spot" ? 1 : contractSize
      const topic: Topic = { key, channel, symbol, pair: pairOf(adapter, symbol), contractSize: size, slot: null }
      topics.set(key, topic)
      return topic
    }
  }
}

export const receivedAt = 1_746_000_000_000.25

export const bytesOf = (frame: string | Uint8Array): Uint8Array =>
  typeof frame === "string" ? Buffer.from(frame) : frame

/** All calls that one frame leads to, read in place: the same before and `behind` it. */
export const decode = (
  raw: string | Uint8Array,
  codec: Codec = gateSpot.makeCodec(topicTable()),
  behind: string | Uint8Array = raw
): Array<Call> => {
  const sink = recorder()
  const frame = bytesOf(raw)
  const bytes = new Uint8Array(Buffer.concat([frame, frame, bytesOf(behind)]))
  codec.decodeIn!(bytes, frame.length, 2 * frame.length, receivedAt, sink)
  return sink.calls
}

export const eventsOf = (calls: ReadonlyArray<Call>): ReadonlyArray<MarketEvent> =>
  calls.flatMap((call) => call.call === "event" ? [call.event] : [])

export const isFallback = (calls: ReadonlyArray<Call>): boolean => calls.some((call) => call.call === "fallback")

/** Decimal text without needless zeros, so that equal decimals are equal text. */
export const canonical = (text: string): string => {
  if (text.startsWith("-")) return `-${canonical(text.slice(1))}`
  const [whole = "", fraction = ""] = text.split(".")
  const kept = fraction.replace(/0+$/, "")
  const digits = whole.replace(/^0+(?=\d)/, "")
  return kept === "" ? digits : `${digits}.${kept}`
}

/** The decimal that an event carries: its exact text where there is one, else its number. */
export const decimalOf = (value: number | null, exact: string | undefined): string | null =>
  value === null ? null : canonical(exact ?? Numeric.toDecimal(value))

/** `[price, quantity]` texts of one side. */
export const levelsOf = (
  event: Extract<MarketEvent, { readonly _tag: "BookUpdate" }>,
  side: "bids" | "asks"
): Array<[string, string]> => {
  const flat = event[side]
  const levels: Array<[string, string]> = []
  for (let i = 0; i < flat.length; i += 2) {
    levels.push([
      decimalOf(flat[i]!, event.exact?.[`${side}[${i}]`])!,
      decimalOf(flat[i + 1]!, event.exact?.[`${side}[${i + 1}]`])!
    ])
  }
  return levels
}
