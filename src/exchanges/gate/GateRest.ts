/**
 * REST calls of Gate spot v4: instruments, clock, book snapshots. Source: Gate REST v4 documents (v4.106), "Spot":
 * `GET /spot/currency_pairs`, `GET /spot/time`, `GET /spot/order_book`; limits under "Rate limits".
 */
import { Clock, Effect, Option, Result, Schema } from "effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Instrument } from "../../domain/Instrument.ts"
import { isTradingPair, pairOf } from "../../domain/Instrument.ts"
import type { BookUpdate, Levels } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import type { BookRequest, Rest, RestOptions } from "../../ExchangeAdapter.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import * as GateErrors from "./GateErrors.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateWire from "./GateWire.ts"

const Decimals = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))

const Absent = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullishOr(schema))

/** One pair of `GET /spot/currency_pairs`, as far as it is used. */
const CurrencyPair = Schema.Struct({
  id: Schema.NonEmptyString,
  base: Schema.NonEmptyString,
  quote: Schema.NonEmptyString,
  /** Base. */
  min_base_amount: Absent(Schema.String),
  /** Quote. */
  min_quote_amount: Absent(Schema.String),
  /** Decimals of the quantity. */
  amount_precision: Decimals,
  /** Decimals of the price. */
  precision: Decimals,
  /** untradable, buyable, sellable, tradable. */
  trade_status: Schema.String,
  /** Seconds; 0 or absent for none. */
  delisting_time: Absent(Schema.Number)
})
type CurrencyPair = typeof CurrencyPair.Type

/** The pairs stay unread here, so that one that is odd does not hide the others. */
const CurrencyPairs = Schema.Array(Schema.Unknown)

/** Milliseconds. */
const ServerTime = Schema.Struct({ server_time: Schema.Int })

/** `id` comes only with `with_id=true`; `update` is the time of the last change, ms on spot. */
const OrderBook = Schema.Struct({
  id: GateWire.Id,
  update: Absent(Schema.Finite),
  asks: Schema.Array(Schema.Tuple([Schema.String, Schema.String])),
  bids: Schema.Array(Schema.Tuple([Schema.String, Schema.String]))
})
type OrderBook = typeof OrderBook.Type

const Refusal = Schema.Struct({
  label: Schema.String,
  message: Absent(Schema.String),
  detail: Absent(Schema.String)
})

const decodePair = Schema.decodeUnknownResult(CurrencyPair)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

export const make = ({ client, url, instrumentOf }: RestOptions): Rest => {
  const get = <A, I>(
    schema: Schema.Codec<A, I>,
    path: string,
    params: Readonly<Record<string, string>>,
    where: Where = {}
  ): Effect.Effect<A, ExchangeError.ExchangeError> => {
    const decode = Schema.decodeUnknownResult(schema)
    const call: Call = { request: `GET ${path}`, where }
    return client.get(url + path, { urlParams: params, acceptJson: true }).pipe(
      Effect.flatMap((response) => Effect.map(response.text, (body) => ({ response, body }))),
      Effect.mapError((error) => transportFailure(call, error)),
      Effect.flatMap(({ response, body }) => {
        const answer = parseJson(body)
        if (response.status < 200 || response.status > 299) return refused(call, response, body, answer)
        const decoded = decode(answer)
        if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
        return Option.isSome(decodeRefusal(answer))
          ? refused(call, response, body, answer)
          : unreadable(call, answer === undefined ? `no JSON: ${body.slice(0, 80)}` : decoded.failure.message)
      })
    )
  }

  return {
    instruments: Effect.flatMap(get(CurrencyPairs, "/spot/currency_pairs", {}), readPairs),
    serverTime: Effect.map(get(ServerTime, "/spot/time", {}), ({ server_time }) => server_time),
    // Less depth would leave levels out that the deltas never bring, so every attempt asks for the feed's own depth.
    book: (symbol, channel) => {
      const where: Where = { symbol, channel: "Book" }
      const params = { currency_pair: symbol, limit: String(bookLimit(channel)), with_id: "true" }
      return Effect.gen(function*() {
        const book = yield* get(OrderBook, "/spot/order_book", params, where)
        const receivedAt = yield* Clock.currentTimeMillis
        const snapshot = readBook({ symbol, pair: instrumentOf(symbol)?.pair ?? null, receivedAt }, book)
        if (snapshot !== null) return snapshot
        return yield* unreadable({ request: "GET /spot/order_book", where }, "a level is no price with its quantity")
      })
    }
  }
}

/**
 * The depth that the channel's deltas keep current. Above 100 the answers come from a cache that is too old to be
 * joined (gateio/gatews issue 51).
 */
const bookLimit = (channel: BookRequest): number => GateRequests.updateLevels[GateRequests.updateSpeed(channel)]

interface Where {
  readonly symbol?: string
  readonly channel?: string
}

interface Call {
  readonly request: string
  readonly where: Where
}

const fail = (reason: ExchangeError.Reason): Effect.Effect<never, ExchangeError.ExchangeError> =>
  Effect.fail(ExchangeError.make(GateErrors.spotExchange, reason))

/** Nothing that could be read came back. What cannot be sent at all is our fault, the rest may pass. */
const transportFailure = (call: Call, error: HttpClientError.HttpClientError): ExchangeError.ExchangeError =>
  ExchangeError.make(
    GateErrors.spotExchange,
    new ExchangeError.RequestFailed({
      ...call.where,
      request: call.request,
      status: error.response?.status ?? null,
      code: error.reason._tag,
      detail: error.message,
      class: error.reason._tag === "InvalidUrlError" || error.reason._tag === "EncodeError" ? "bug" : "retryable"
    })
  )

const unreadable = (call: Call, detail: string): Effect.Effect<never, ExchangeError.ExchangeError> =>
  fail(new ExchangeError.DecodeFailed({ ...call.where, detail: `${call.request}: ${detail.slice(0, 300)}` }))

/** A refusal: `{"label":"INVALID_CURRENCY","message":"…"}` (some use `detail`), or a page of whatever stands before. */
const refused = (
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  body: string,
  answer: unknown
): Effect.Effect<never, ExchangeError.ExchangeError> => {
  const refusal = Option.getOrNull(decodeRefusal(answer))
  return Effect.flatMap(retryAfter(response), (retryAfterMs) =>
    fail(
      new ExchangeError.RequestFailed({
        ...call.where,
        request: call.request,
        status: response.status,
        code: refusal?.label ?? String(response.status),
        detail: detailOf(refusal, body),
        class: GateErrors.classifyLabel(refusal?.label ?? null, response.status),
        ...(retryAfterMs === null ? {} : { retryAfterMs })
      })
    ))
}

const detailOf = (refusal: typeof Refusal.Type | null, body: string): string =>
  refusal?.message ?? refusal?.detail ?? (body.slice(0, 80) || "an empty body")

/**
 * When the window of the rate limit ends: `X-Gate-RateLimit-Reset-Timestamp`, seconds since the epoch, worth a wait
 * only when the request was refused for it. Gate sends no `Retry-After`; what stands before it might.
 */
const retryAfter = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<number | null> => {
  const wait = Numeric.fromText(response.headers["retry-after"] ?? "")
  if (wait >= 0) return Effect.succeed(wait * 1000)
  const reset = Numeric.fromText(response.headers["x-gate-ratelimit-reset-timestamp"] ?? "")
  if (response.status !== 429 || Number.isNaN(reset)) return Effect.succeed(null)
  return Effect.map(Clock.currentTimeMillis, (now) => Math.max(0, reset * 1000 - now))
}

/** `undefined` when it is no JSON. */
const parseJson = (body: string): unknown => {
  try {
    return GateWire.parseJson(body)
  } catch {
    return undefined
  }
}

const readPairs = (
  rows: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Instrument>, ExchangeError.ExchangeError> => {
  const instruments: Array<Instrument> = []
  const odd: Array<string> = []
  for (const row of rows) {
    const pair = Result.flatMap(Result.mapError(decodePair(row), (error) => error.message), readPair)
    if (Result.isSuccess(pair)) instruments.push(pair.success)
    else odd.push(pair.failure)
  }
  const example = odd[0]
  if (example === undefined) return Effect.succeed(instruments)
  return instruments.length === 0
    ? unreadable({ request: "GET /spot/currency_pairs", where: {} }, `no pair can be read: ${example}`)
    : Effect.as(
      Effect.logWarning(`${GateErrors.spotExchange}: ${odd.length} pairs cannot be read: ${example.slice(0, 300)}`),
      instruments
    )
}

const readPair = (row: CurrencyPair): Result.Result<Instrument, string> => {
  const pair = pairOf(row.base, row.quote)
  // What is subscribed is made from base and quote, so a pair under another name could not be reached.
  if (!isTradingPair(pair) || GateRequests.symbol(pair) !== row.id) return Result.fail(`the name ${row.id}`)
  const minQuantity = least(row.min_base_amount)
  const minNotional = least(row.min_quote_amount)
  if (Number.isNaN(minQuantity) || Number.isNaN(minNotional)) return Result.fail(`the minimums of ${row.id}`)
  return Result.succeed({
    exchange: GateErrors.spotExchange,
    pair,
    symbol: row.id,
    kind: "spot",
    base: row.base,
    quote: row.quote,
    settle: null,
    status: statusOf(row),
    priceStep: Number(`1e-${row.precision}`),
    quantityStep: Number(`1e-${row.amount_precision}`),
    minQuantity,
    minNotional,
    contractSize: 1
  })
}

/** A minimum; null when there is none, NaN when it is no decimal. */
const least = (text: string | null | undefined): number | null => {
  if (text === null || text === undefined || text === "") return null
  const value = Numeric.fromText(text)
  return value === 0 ? null : value
}

/** One open side is enough to trade. An untradable pair is off for good when it has been given a delisting time. */
const statusOf = (row: CurrencyPair): Instrument["status"] => {
  if (openStatuses.has(row.trade_status)) return "trading"
  return row.trade_status === "untradable" && (row.delisting_time ?? 0) > 0 ? "closed" : "paused"
}

const openStatuses: ReadonlySet<string> = new Set(["tradable", "buyable", "sellable"])

interface About {
  readonly symbol: string
  readonly pair: Instrument["pair"] | null
  readonly receivedAt: number
}

/** Null when a level is none. */
const readBook = (about: About, book: OrderBook): BookUpdate | null => {
  const exact: Record<string, string> = {}
  const bids: Levels | null = Numeric.readLevels("bids", book.bids, exact)
  const asks: Levels | null = Numeric.readLevels("asks", book.asks, exact)
  if (bids === null || asks === null) return null
  const version = GateWire.sequenceOf(book.id)
  return {
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: about.pair,
    symbol: about.symbol,
    bids,
    asks,
    firstVersion: version,
    version,
    exchangeTime: book.update ?? null,
    receivedAt: about.receivedAt,
    contractSize: 1,
    exact: Object.keys(exact).length === 0 ? null : exact
  }
}
