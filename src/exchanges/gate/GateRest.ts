/**
 * REST calls of Gate v4: instruments, clock, book snapshots, turnovers. Source: Gate REST v4 documents (v4.106), "Spot"
 * and "Futures"; limits under "Rate limits".
 */
import { Clock, Effect, Option, Result, Schema } from "effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Instrument } from "../../domain/Instrument.ts"
import type { BookUpdate } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import type { BookRequest, Rest, RestOptions } from "../../ExchangeAdapter.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import * as GateErrors from "./GateErrors.ts"
import * as GateInstruments from "./GateInstruments.ts"
import type { Product } from "./GateProduct.ts"
import { feedOf } from "./GateProduct.ts"
import * as GateWire from "./GateWire.ts"

/** The rows stay unread here, so that one that is odd does not hide the others. */
const Rows = Schema.Array(Schema.Unknown)

/** Milliseconds. */
const ServerTime = Schema.Struct({ server_time: Schema.Int })

/** `id` comes only with `with_id=true`; `update` is the time of the last change, ms on spot and seconds on futures. */
const bookOf = <S extends Schema.Codec<ReadonlyArray<unknown>, unknown>>(levels: S) =>
  Schema.Struct({ id: GateWire.Id, update: GateWire.absent(Schema.Finite), asks: levels, bids: levels })

const SpotBook = bookOf(GateWire.Levels)
const FuturesBook = bookOf(GateWire.SizedLevels)
type OrderBook = typeof SpotBook.Type | typeof FuturesBook.Type

const Refusal = Schema.Struct({
  label: Schema.String,
  message: GateWire.absent(Schema.String),
  detail: GateWire.absent(Schema.String)
})
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

/** What differs between the products' calls. */
interface Calls {
  readonly instruments: string
  readonly readInstrument: GateInstruments.ReadRow
  readonly book: string
  readonly bookSchema: Schema.Codec<OrderBook, unknown>
  /** Names the market in the query of the book. */
  readonly bookParam: string
  /** Ms in the unit of the book's time. */
  readonly bookTimeUnit: number
  readonly tickers: string
  readonly readTurnover: (row: unknown) => readonly [symbol: string, turnover: number] | null
}

const calls: Readonly<Record<Product["prefix"], Calls>> = {
  spot: {
    instruments: "/spot/currency_pairs",
    readInstrument: GateInstruments.readPair,
    book: "/spot/order_book",
    bookSchema: SpotBook,
    bookParam: "currency_pair",
    bookTimeUnit: 1,
    tickers: "/spot/tickers",
    readTurnover: GateInstruments.readSpotTurnover
  },
  futures: {
    instruments: "/futures/usdt/contracts",
    readInstrument: GateInstruments.readContract,
    book: "/futures/usdt/order_book",
    bookSchema: FuturesBook,
    bookParam: "contract",
    bookTimeUnit: 1000,
    tickers: "/futures/usdt/tickers",
    readTurnover: GateInstruments.readFuturesTurnover
  }
}

export const make = (product: Product, { client, url, instrumentOf }: RestOptions): Rest => {
  const own = calls[product.prefix]
  const get = <A, I>(
    schema: Schema.Codec<A, I>,
    path: string,
    params: Readonly<Record<string, string>>,
    where: Where = {}
  ): Effect.Effect<A, ExchangeError.ExchangeError> => {
    const decode = Schema.decodeUnknownResult(schema)
    const call: Call = { product, request: `GET ${path}`, where }
    return client.get(url + path, { urlParams: params, acceptJson: true, headers: product.headers }).pipe(
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
    instruments: Effect.flatMap(
      get(Rows, own.instruments, {}),
      (rows) => readRows({ product, request: `GET ${own.instruments}`, where: {} }, own.readInstrument, rows)
    ),
    // Futures have no clock of their own; the address is the same.
    serverTime: Effect.map(get(ServerTime, "/spot/time", {}), ({ server_time }) => server_time),
    turnovers: Effect.map(
      get(Rows, own.tickers, {}),
      (rows) => new Map(rows.flatMap((row) => Option.toArray(Option.fromNullOr(own.readTurnover(row)))))
    ),
    // Less depth would leave levels out that the deltas never bring, so every attempt asks for the feed's own depth.
    book: (symbol, channel) => {
      const where: Where = { symbol, channel: "Book" }
      const params = { [own.bookParam]: symbol, limit: String(bookLimit(product, channel)), with_id: "true" }
      return Effect.gen(function*() {
        const book = yield* get(own.bookSchema, own.book, params, where)
        const receivedAt = yield* Clock.currentTimeMillis
        const instrument = instrumentOf(symbol)
        const about = { symbol, instrument, receivedAt, contractSize: product.kind === "spot" ? 1 : null }
        const snapshot = readBook(about, book, own.bookTimeUnit)
        if (snapshot !== null) return snapshot
        return yield* unreadable(
          { product, request: `GET ${own.book}`, where },
          "a level is no price with its quantity"
        )
      })
    }
  }
}

/**
 * The depth that the channel's deltas keep current. Above 100 the answers come from a cache that is too old to be
 * joined (gateio/gatews issue 51). Only requests that `topic` accepts come here.
 */
const bookLimit = (product: Product, channel: BookRequest): number => {
  const feed = feedOf(product.books.order_book_update, channel)
  return typeof feed === "string" ? product.books.order_book_update.depth : feed.levels
}

interface Where {
  readonly symbol?: string
  readonly channel?: string
}

interface Call {
  readonly product: Product
  readonly request: string
  readonly where: Where
}

const fail = (call: Call, reason: ExchangeError.Reason): Effect.Effect<never, ExchangeError.ExchangeError> =>
  Effect.fail(ExchangeError.make(call.product.id, reason))

/** Nothing that could be read came back. What cannot be sent at all is our fault, the rest may pass. */
const transportFailure = (call: Call, error: HttpClientError.HttpClientError): ExchangeError.ExchangeError =>
  ExchangeError.make(
    call.product.id,
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
  fail(call, new ExchangeError.DecodeFailed({ ...call.where, detail: `${call.request}: ${detail.slice(0, 300)}` }))

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
      call,
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

const readRows = (
  call: Call,
  readRow: GateInstruments.ReadRow,
  rows: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Instrument>, ExchangeError.ExchangeError> => {
  const instruments: Array<Instrument> = []
  const odd: Array<string> = []
  for (const row of rows) {
    const instrument = readRow(call.product, row)
    if (Result.isSuccess(instrument)) instruments.push(instrument.success)
    else odd.push(instrument.failure)
  }
  const example = odd[0]
  if (example === undefined) return Effect.succeed(instruments)
  return instruments.length === 0
    ? unreadable(call, `no pair can be read: ${example}`)
    : Effect.as(
      Effect.logWarning(`${call.product.id}: ${odd.length} pairs cannot be read: ${example.slice(0, 300)}`),
      instruments
    )
}

interface About {
  readonly symbol: string
  readonly instrument: Instrument | undefined
  readonly receivedAt: number
  /** While no instrument is known. */
  readonly contractSize: number | null
}

/** Null when a level is none. */
const readBook = (about: About, book: OrderBook, timeUnit: number): BookUpdate | null => {
  const exact: Record<string, string> = {}
  const bids = Numeric.readLevels("bids", GateWire.levelTexts(book.bids), exact)
  const asks = Numeric.readLevels("asks", GateWire.levelTexts(book.asks), exact)
  if (bids === null || asks === null) return null
  const version = GateWire.sequenceOf(book.id)
  return {
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: about.instrument?.pair ?? null,
    symbol: about.symbol,
    bids,
    asks,
    firstVersion: version,
    version,
    // Seconds have three decimals.
    exchangeTime: typeof book.update === "number" ? Math.round(book.update * timeUnit) : null,
    receivedAt: about.receivedAt,
    contractSize: about.instrument?.contractSize ?? about.contractSize,
    exact: Object.keys(exact).length === 0 ? null : exact
  }
}
