/**
 * REST calls of Gate v4: instruments, clock, book snapshots, turnovers. Source: Gate REST v4 documents (v4.106), "Spot"
 * and "Futures"; limits under "Rate limits".
 */
import { Clock, Effect, Option, Schema } from "effect"
import type { Instrument } from "../../domain/Instrument.ts"
import type { BookUpdate } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import type { BookRequest, Rest, RestOptions } from "../../ExchangeAdapter.ts"
import * as RestClient from "../../RestClient.ts"
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
  const { get, readEach, unreadable } = RestClient.make({
    exchange: product.id,
    client,
    url,
    headers: product.headers,
    ...refusals,
    parse: GateWire.parseJson
  })
  return {
    instruments: Effect.flatMap(
      get(Rows, own.instruments),
      (rows) => readEach(own.instruments, rows, (row) => own.readInstrument(product, row))
    ),
    // Futures have no clock of their own; the address is the same.
    serverTime: Effect.map(get(ServerTime, "/spot/time"), ({ server_time }) => server_time),
    turnovers: Effect.map(
      get(Rows, own.tickers),
      (rows) => new Map(rows.flatMap((row) => Option.toArray(Option.fromNullOr(own.readTurnover(row)))))
    ),
    // Less depth would leave levels out that the deltas never bring, so every attempt asks for the feed's own depth.
    book: Effect.fnUntraced(function*(symbol, channel) {
      const where = { symbol, channel: "Book" }
      const params = { [own.bookParam]: symbol, limit: String(bookLimit(product, channel)), with_id: "true" }
      const book = yield* get(own.bookSchema, own.book, params, where)
      const receivedAt = yield* Clock.currentTimeMillis
      const instrument = instrumentOf(symbol)
      const about = { symbol, instrument, receivedAt, contractSize: product.kind === "spot" ? 1 : null }
      const snapshot = readBook(about, book, own.bookTimeUnit)
      return snapshot ?? (yield* unreadable(own.book, "a level is no price with its quantity", where))
    })
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

/** `{"label":"INVALID_CURRENCY","message":"…"}`, where some use `detail`; in its place may come a page. */
const refusalOf = (json: unknown) =>
  Option.match(decodeRefusal(json), {
    onNone: () => null,
    onSome: ({ detail, label, message }) => ({ code: label, detail: message ?? detail ?? "" })
  })

/** No window of Gate's limits is as long: more than this tells of a clock that is off, ms. */
const longestPause = 60_000

/**
 * When the window of the rate limit ends: `X-Gate-RateLimit-Reset-Timestamp`, seconds since the epoch, worth a wait
 * only when the request was refused for it. Gate sends no `Retry-After`; what stands before it might.
 */
const pauseOf: RestClient.PauseOf = ({ headers, status }, _class, now) => {
  const reset = Numeric.fromText(headers["x-gate-ratelimit-reset-timestamp"] ?? "")
  return status !== 429 || Number.isNaN(reset) ? null : Math.min(longestPause, Math.max(0, reset * 1000 - now))
}

/** How a refusal reads, in signed calls as well. */
export const refusals: Pick<RestClient.RestClientOptions, "refusalOf" | "classify" | "pauseOf"> = {
  refusalOf,
  classify: (label, _text, status) => GateErrors.classifyLabel(label, status),
  pauseOf
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
  const sides = Numeric.readSides(GateWire.levelTexts(book.bids), GateWire.levelTexts(book.asks))
  if (sides === null) return null
  const version = GateWire.sequenceOf(book.id)
  return {
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: about.instrument?.pair ?? null,
    symbol: about.symbol,
    bids: sides.bids,
    asks: sides.asks,
    firstVersion: version,
    version,
    // Seconds have three decimals.
    exchangeTime: typeof book.update === "number" ? Math.round(book.update * timeUnit) : null,
    receivedAt: about.receivedAt,
    contractSize: about.instrument?.contractSize ?? about.contractSize,
    exact: sides.exact
  }
}
