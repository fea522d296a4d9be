/**
 * Every field of a push or an answer that the exchanges' documents and captures show, read or not: what comes beside
 * them is new. Sources: Gate WebSocket v4, spot (2026-07-25) and futures (2026-08-25);
 * github.com/mexcdevelop/websocket-proto at 7b8ac7a (2026-06-17).
 */
import { Option, Predicate, Schema } from "effect"
import { textOf } from "./FrameReader.ts"

/** Fields of an object by name; what stands for a field says what is inside, for lists of objects too. */
interface Shape {
  readonly [name: string]: Shape
}

const leaf: Shape = {}

const shape = (names: string, more: Shape = {}): Shape => ({
  ...Object.fromEntries(names.split(" ").map((name) => [name, leaf])),
  ...more
})

// ---- Gate -----------------------------------------------------------------------------------------------------------

const level = shape("p s")
const candle = shape("t o h l c v a n w")

const gateResults: Readonly<Record<string, Shape>> = {
  "spot.trades": shape("id id_market create_time create_time_ms side currency_pair amount price range"),
  "spot.book_ticker": shape("t u s b B a A"),
  "spot.order_book_update": shape("t e E s U u b a l full"),
  "spot.order_book": shape("t lastUpdateId s l bids asks"),
  "spot.obu": shape("t full s U u b a"),
  "spot.candlesticks": candle,
  "spot.tickers": shape(
    "currency_pair last lowest_ask highest_bid change_percentage base_volume quote_volume high_24h low_24h"
  ),
  "futures.trades": shape("size id create_time create_time_ms price contract is_internal"),
  "futures.book_ticker": shape("t u s b B a A"),
  "futures.order_book_update": shape("t s U u l full", { a: level, b: level }),
  // Documents of before 2021 also had single levels.
  "futures.order_book": shape("t contract id l p s c", { asks: level, bids: level }),
  "futures.obu": shape("t full s U u b a"),
  "futures.candlesticks": candle,
  "futures.tickers": shape(
    "contract last change_percentage change_price change_from mark_price index_price funding_rate " +
      "funding_rate_indicative funding_interval funding_offset funding_next_apply total_size volume_24h volume_24h_base " +
      "volume_24h_quote volume_24h_settle volume_24h_btc volume_24h_usd volume_24_btc volume_24_usd low_24h high_24h price_type quanto_base_rate t " +
      "event_type"
  ),
  "futures.contract_stats": shape(
    "time contract mark_price lsr_taker lsr_account long_liq_size long_liq_amount long_liq_usd short_liq_size " +
      "short_liq_amount short_liq_usd open_interest open_interest_usd top_lsr_account top_lsr_size"
  ),
  "futures.public_liquidates": shape("price size time time_ms contract"),
  "spot.system": shape("type msg"),
  "futures.system": shape("type msg")
}

const gateEnvelope = (result: Shape): Shape =>
  shape("time time_ms id conn_id trace_id requestId channel event payload", { error: shape("code message"), result })

const gateShape = ({ channel, event }: Readonly<Record<string, unknown>>): Shape =>
  gateEnvelope(
    event === "subscribe" || event === "unsubscribe" ? shape("status") : gateResults[String(channel)] ?? leaf
  )

const paths = (value: unknown, known: Shape, path: string): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap((item) => paths(item, known, path))
  if (!Predicate.isObject(value)) return []
  return Object.entries(value).flatMap(([name, inner]) => {
    const at = path === "" ? name : `${path}.${name}`
    return Object.hasOwn(known, name) ? paths(inner, known[name]!, at) : [at]
  })
}

const parseJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

const jsonObject = (bytes: Uint8Array): Readonly<Record<string, unknown>> | null =>
  Option.getOrNull(Option.flatMap(Option.fromNullishOr(textOf(bytes)), parseJson))

const inGate = (bytes: Uint8Array): ReadonlyArray<string> => {
  const frame = jsonObject(bytes)
  if (frame === null) return []
  const channel = String(frame["channel"])
  return paths(frame, gateShape(frame), "").map((path) => `${channel}: ${path}`)
}

// ---- MEXC -----------------------------------------------------------------------------------------------------------

/** Fields of a protobuf message by number; null where nothing is inside. */
interface Message {
  readonly name: string
  readonly fields: ReadonlyMap<number, Message | null>
}

const message = (name: string, count: number, inside: Readonly<Record<number, Message>> = {}): Message => ({
  name,
  fields: new Map(Array.from({ length: count }, (_, i) => [i + 1, inside[i + 1] ?? null]))
})

const mexcLevel = message("level", 2)
const mexcMini = message("miniTicker", 12)

/** `PushDataV3ApiWrapper`; it has no field 2. */
const mexcWrapper: Message = {
  name: "wrapper",
  fields: new Map<number, Message | null>([
    [1, null],
    [3, null],
    [4, null],
    [5, null],
    [6, null],
    [301, message("deals", 2, { 1: message("deal", 4) })],
    [302, message("increaseDepths", 4, { 1: mexcLevel, 2: mexcLevel })],
    [303, message("limitDepths", 5, { 1: mexcLevel, 2: mexcLevel })],
    [305, message("bookTicker", 4)],
    [308, message("kline", 9)],
    [309, mexcMini],
    [310, message("miniTickers", 1, { 1: mexcMini })],
    [311, message("bookTickerBatch", 3, { 1: message("item", 4) })],
    [313, message("aggreDepths", 6, { 1: mexcLevel, 2: mexcLevel })],
    [314, message("aggreDeals", 2, { 1: message("deal", 5) })],
    [315, message("aggreBookTicker", 6)]
  ])
}

/** The varint at `at` and where it ends; null when it is cut off. */
const varint = (bytes: Uint8Array, at: number): readonly [value: number, end: number] | null => {
  let value = 0
  for (let i = 0; i < 10 && at + i < bytes.length; i++) {
    const byte = bytes[at + i]!
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return [value, at + i + 1]
  }
  return null
}

const fixed: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

interface Field {
  readonly id: number
  /** What a length-delimited field holds; null for numbers. */
  readonly content: Uint8Array | null
  readonly end: number
}

/** The content of a field behind its tag; null when the frame is no protobuf. */
const fieldAt = (bytes: Uint8Array, at: number): Field | null => {
  const tag = varint(bytes, at)
  if (tag === null) return null
  const [key, start] = tag
  const id = Math.floor(key / 8)
  const wire = key % 8
  if (fixed[wire] !== undefined) return { id, content: null, end: start + fixed[wire] }
  const number = wire === 0 || wire === 2 ? varint(bytes, start) : null
  if (number === null) return null
  const [value, end] = number
  return wire === 0
    ? { id, content: null, end }
    : { id, content: bytes.subarray(end, end + value), end: end + value }
}

const fieldsOf = (bytes: Uint8Array): ReadonlyArray<Field> => {
  const fields: Array<Field> = []
  for (let at = 0; at < bytes.length;) {
    const field = fieldAt(bytes, at)
    // Not ours to judge: what cannot be read is the decoder's failure.
    if (field === null) return fields
    fields.push(field)
    at = field.end
  }
  return fields
}

const inMessage = (bytes: Uint8Array, { fields, name }: Message): ReadonlyArray<string> =>
  fieldsOf(bytes).flatMap(({ content, id }) => {
    const inside = fields.get(id)
    if (inside === undefined) return [`${name}: field ${id}`]
    return inside === null || content === null ? [] : inMessage(content, inside)
  })

const mexcAnswer = shape("id code msg")

const brace = 0x7b

/** Binary frames are protobuf, text frames JSON; no wrapper begins with a brace, which would be field 15. */
const inMexc = (bytes: Uint8Array): ReadonlyArray<string> => {
  if (bytes[0] !== brace) return textOf(bytes) === null ? inMessage(bytes, mexcWrapper) : []
  const frame = jsonObject(bytes)
  return frame === null ? [] : paths(frame, mexcAnswer, "").map((path) => `answer: ${path}`)
}

/** Reads the fields of a frame that no document shows, each with where it stands. */
export type UnknownFields = (bytes: Uint8Array) => ReadonlyArray<string>

const readers: Readonly<Record<string, UnknownFields>> = {
  "gate-spot": inGate,
  "gate-futures": inGate,
  "mexc-spot": inMexc
}

/** Null for an exchange whose fields are not listed here. */
export const of = (exchange: string): UnknownFields | null => readers[exchange] ?? null
