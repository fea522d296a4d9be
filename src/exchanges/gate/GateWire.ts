/**
 * Gate's JSON frames: names, and the shapes of envelope and results. Source of names and types: Gate WebSocket v4
 * documents, spot (2026-07-25) and futures (2026-08-20).
 */
import { Schema } from "effect"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"

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

/** `1m_BTC_USDT`, on futures also `1h_mark_BTC_USDT`: interval, prefix and pair of a candle's name. */
export const candleOf = (
  name: string
): { readonly interval: string; readonly prefix: string; readonly pair: string } | null => {
  const [, interval, prefix = "", pair] = candlePattern.exec(name) ?? []
  return interval !== undefined && pair !== undefined && isPairName(pair) ? { interval, prefix, pair } : null
}

const candlePattern = /^(\d{1,3}[a-z])_(mark_|index_)?(.+)$/u

// ---- Shapes, for the generic decoder ----

/** `JSON.parse` that keeps whole numbers beyond 2^53 - 1 exact, as bigint, also negative ones. Throws what `JSON.parse` throws. */
export const parseJson = (text: string): unknown =>
  // The reviver costs several times the parse: only where a long run of digits shows that it may be needed.
  /\d{16}/.test(text) ? (JSON.parse as ParseWithSource)(text, keepExact) : JSON.parse(text)

/** `context.source` is the number's text (ES2025, in Node since 21), which TypeScript's es2023 library does not know. */
type ParseWithSource = (text: string, reviver: typeof keepExact) => unknown

const keepExact = (_key: string, value: unknown, context: { readonly source?: string }): unknown => {
  if (typeof value !== "number" || Number.isSafeInteger(value) || context.source === undefined) return value
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value
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
  Schema.String.check(Schema.isPattern(/^\d{1,20}(\.\d+)?$/))
])

export const timeOf = (time: typeof Time.Type): number => typeof time === "number" ? time : Numeric.fromText(time)

export const isTime = Schema.is(Time)

export const absent = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullishOr(schema))

/** A quantity of contracts: text with `X-Gate-Size-Decimal: 1`, else a whole number. Ratios are numbers too. */
export const Size = Schema.Union([Schema.String, Schema.Finite, Schema.BigInt])

/** Decimal text of a size, with its sign. */
export const sizeText = (size: typeof Size.Type): string =>
  typeof size === "number" ? Numeric.toDecimal(size) : size.toString()

/** A fraction from decimal text that is per cent: the nearest number to what is meant. Zero has no sign. */
export const fraction = (percent: string): number => 0 + Number(`${percent}e-2`)

export const Envelope = Schema.Struct({
  channel: absent(Schema.String),
  event: absent(Schema.String),
  id: Schema.optionalKey(Schema.Unknown),
  payload: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown),
  result: Schema.optionalKey(Schema.Unknown),
  time_ms: Schema.optionalKey(Schema.Unknown)
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

/** Prices are text; `""` where a side is empty, on futures with the size 0. */
const bookTicker = <S extends Schema.Constraint>(size: S) =>
  Schema.Struct({
    t: absent(Time),
    u: Id,
    s: Schema.String,
    b: Schema.String,
    B: size,
    a: Schema.String,
    A: size
  })
export const BookTickerResult = bookTicker(Schema.String)
export const FuturesBookTickerResult = bookTicker(Size)

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

/** `size` is negative when the taker sold. */
export const FuturesTradeResult = Schema.Struct({
  id: Id,
  create_time: Schema.optionalKey(Schema.Unknown),
  create_time_ms: absent(Time),
  size: Size,
  contract: Schema.String,
  price: Schema.String
})

export const Levels = Schema.Array(Schema.Tuple([Schema.String, Schema.String]))
export const SizedLevels = Schema.Array(Schema.Struct({ p: Schema.String, s: Size }))

/** Both forms of levels as the texts of price and quantity. */
export const levelTexts = (
  levels: typeof Levels.Type | typeof SizedLevels.Type | null | undefined
): ReadonlyArray<readonly [price: string, quantity: string]> =>
  (levels ?? []).map((level) => "p" in level ? [level.p, sizeText(level.s)] as const : level)

const LevelCount = absent(Schema.Union([Schema.String, Schema.Number]))

/** `obu` and `order_book_update`. `l` is the level count, on the latter only. */
const book = <S extends Schema.Constraint>(levels: S) =>
  Schema.Struct({
    t: absent(Time),
    full: absent(Schema.Boolean),
    s: Schema.String,
    U: absent(Id),
    u: Id,
    l: LevelCount,
    b: absent(levels),
    a: absent(levels)
  })
export const BookResult = book(Levels)
export const FuturesBookResult = book(SizedLevels)

/** `order_book`: every frame is a whole book. */
export const WholeBookResult = Schema.Struct({
  t: absent(Time),
  lastUpdateId: Id,
  s: Schema.String,
  l: LevelCount,
  bids: absent(Levels),
  asks: absent(Levels)
})

/** Frames of 2020, and some of 2026 with decimal sizes, have no `id`. */
export const FuturesWholeBookResult = Schema.Struct({
  t: absent(Time),
  id: absent(Id),
  contract: Schema.String,
  l: LevelCount,
  bids: absent(SizedLevels),
  asks: absent(SizedLevels)
})

export const TickerResult = Schema.Struct({
  currency_pair: Schema.String,
  last: Schema.String,
  lowest_ask: absent(Schema.String),
  highest_bid: absent(Schema.String),
  change_percentage: absent(Schema.String),
  base_volume: absent(Schema.String),
  quote_volume: absent(Schema.String),
  high_24h: absent(Schema.String),
  low_24h: absent(Schema.String)
})

/** Any but the first two may be missing; the funding times, in seconds, are on the wire but not in the documents. */
export const FuturesTickerResult = Schema.Struct({
  contract: Schema.String,
  last: Schema.String,
  change_percentage: absent(Schema.String),
  total_size: absent(Size),
  volume_24h: absent(Size),
  volume_24h_base: absent(Size),
  volume_24h_quote: absent(Size),
  mark_price: absent(Schema.String),
  index_price: absent(Schema.String),
  funding_rate: absent(Schema.String),
  funding_next_apply: absent(Time),
  funding_interval: absent(Time),
  high_24h: absent(Schema.String),
  low_24h: absent(Schema.String),
  t: absent(Time)
})

/** `v` is quote on spot and contracts on futures, `a` is base on both; `w`: the window has ended. */
export const CandleResult = Schema.Struct({
  /** Seconds. */
  t: Time,
  o: Schema.String,
  h: Schema.String,
  l: Schema.String,
  c: Schema.String,
  v: absent(Size),
  a: absent(Size),
  n: Schema.String,
  w: absent(Schema.Boolean)
})

/** `time` was seconds until 2026-08-20 and is ms since; a documented sample has `time_ms`. */
export const LiquidationResult = Schema.Struct({
  contract: Schema.String,
  price: Size,
  size: Size,
  time: absent(Time),
  time_ms: absent(Time)
})

/** Numbers or text. */
export const StatsResult = Schema.Struct({
  /** Seconds. */
  time: absent(Time),
  contract: Schema.String,
  mark_price: absent(Size),
  lsr_taker: absent(Size),
  lsr_account: absent(Size),
  top_lsr_account: absent(Size),
  top_lsr_size: absent(Size),
  long_liq_size: absent(Size),
  short_liq_size: absent(Size),
  open_interest: absent(Size),
  open_interest_usd: absent(Size)
})
