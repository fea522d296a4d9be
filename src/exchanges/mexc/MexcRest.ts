/** REST calls of MEXC spot v3: instruments, clock, turnovers, book snapshots ("Market Data Endpoints"). */
import { Clock, Effect, Option, Result, Schema } from "effect"
import type { Instrument } from "../../domain/Instrument.ts"
import { isTradingPair, pairOf, spot } from "../../domain/Instrument.ts"
import type { BookUpdate } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRequest, Rest, RestOptions } from "../../ExchangeAdapter.ts"
import * as RestClient from "../../RestClient.ts"
import * as MexcErrors from "./MexcErrors.ts"
import { deepest } from "./MexcRequests.ts"

const decimals = Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 30 })))

/** One market of `GET /api/v3/exchangeInfo`, as far as it is used. */
const Market = Schema.Struct({
  symbol: Schema.NonEmptyString,
  /** "1" online, "2" paused, "3" offline; older answers say ENABLED. */
  status: Schema.Union([Schema.String, Schema.Int]),
  baseAsset: Schema.NonEmptyString,
  quoteAsset: Schema.NonEmptyString,
  /** Decimals of the quantity. */
  baseAssetPrecision: decimals,
  /** Decimals of the price. */
  quotePrecision: decimals,
  /** Smallest quantity in base, "0" for none, despite its name. */
  baseSizePrecision: Schema.optional(Schema.String),
  /** Smallest order value in quote, despite its name. */
  quoteAmountPrecision: Schema.optional(Schema.String),
  isSpotTradingAllowed: Schema.optional(Schema.Boolean),
  /** 1 all, 2 buy only, 3 sell only, 4 closed; a number live, a string in the documents. */
  tradeSideType: Schema.optional(Schema.Union([Schema.String, Schema.Int]))
})
type Market = typeof Market.Type

/** The markets stay unparsed here, so that one that is odd does not hide the others. */
const ExchangeInfo = Schema.Struct({ symbols: Schema.Array(Schema.Unknown) })

/** One market of `GET /api/v3/ticker/24hr`, as far as it is used. The documents' own sample has null and empty texts. */
const DayTicker = Schema.Struct({
  symbol: Schema.NonEmptyString,
  /** Traded, in quote. */
  quoteVolume: Schema.optional(Schema.NullOr(Schema.String)),
  /** Traded, in base. */
  volume: Schema.optional(Schema.NullOr(Schema.String)),
  lastPrice: Schema.optional(Schema.NullOr(Schema.String))
})
type DayTicker = typeof DayTicker.Type

const DayTickers = Schema.Array(Schema.Unknown)

const ServerTime = Schema.Struct({ serverTime: Schema.Int })

const Level = Schema.TupleWithRest(Schema.Tuple([Schema.String, Schema.String]), [Schema.Unknown])

const Depth = Schema.Struct({
  /** Digits where a double could not hold them. */
  lastUpdateId: Schema.Union([Schema.Int, Schema.String]),
  bids: Schema.Array(Level),
  asks: Schema.Array(Level),
  /** ms; not documented, but sent. */
  timestamp: Schema.optional(Schema.NullOr(Schema.Int))
})
type Depth = typeof Depth.Type

const Refusal = Schema.Struct({
  code: Schema.Union([Schema.String, Schema.Int]),
  msg: Schema.optional(Schema.NullOr(Schema.String))
})

const decodeMarket = Schema.decodeUnknownResult(Market)
const decodeDayTicker = Schema.decodeUnknownResult(DayTicker)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

/** Depths to ask for when the caller leaves it open: the documented one, then less, should size be what makes it late. */
const depths = [deepest, 1000, 500] as const

/**
 * The stream tells of changes only, so a level that lies beyond the snapshot and does not change stays unknown when the market
 * comes to it: however few levels are wanted, many more have to be known.
 */
const fewest = 500

const depthFor = (channel: BookRequest, attempt: number): number =>
  channel.depth === undefined ? depths[Math.min(attempt, depths.length - 1)]! : Math.max(channel.depth, fewest)

/** What all calls of MEXC have in common, signed or not. */
export const clientOptions = (client: RestOptions["client"], url: string): RestClient.RestClientOptions => ({
  exchange: MexcErrors.exchange,
  client,
  url,
  refusalOf,
  classify: (code, text, status) => MexcErrors.classify(code ?? "", text, status).class,
  pauseOf: ({ status }, answerClass) => answerClass === "rateLimit" ? MexcErrors.pauseMillis(status) : null
})

export const make = ({ client, url, instrumentOf: known }: RestOptions): Rest => {
  const { get, readEach, unreadable } = RestClient.make({
    ...clientOptions(client, url),
    parse
  })
  return {
    instruments: get(ExchangeInfo, instrumentsPath).pipe(
      Effect.flatMap(({ symbols }) => readEach(instrumentsPath, symbols, readMarket))
    ),
    serverTime: Effect.map(get(ServerTime, "/api/v3/time"), ({ serverTime }) => serverTime),
    turnovers: get(DayTickers, turnoversPath).pipe(
      Effect.flatMap((tickers) => readEach(turnoversPath, tickers, readTurnover)),
      Effect.map((rows) => new Map(rows.flatMap(([symbol, value]) => value === null ? [] : [[symbol, value]])))
    ),
    book: Effect.fnUntraced(function*(symbol, channel, attempt) {
      const where = { symbol, channel: "Book" }
      const params = { symbol, limit: String(depthFor(channel, attempt)) }
      const depth = yield* get(Depth, bookPath, params, where)
      const receivedAt = yield* Clock.currentTimeMillis
      const book = readDepth({ symbol, pair: known(symbol)?.pair ?? null, receivedAt }, depth)
      return Result.isSuccess(book) ? book.success : yield* unreadable(bookPath, book.failure, where)
    })
  }
}

const instrumentsPath = "/api/v3/exchangeInfo"
const turnoversPath = "/api/v3/ticker/24hr"
const bookPath = "/api/v3/depth"

/** `{"code":30014,"msg":"invalid symbol","_extend":null}`; in its place may come a page of the edge filter. */
const refusalOf = (json: unknown) =>
  Option.match(decodeRefusal(json), {
    onNone: () => null,
    onSome: ({ code, msg }) => ({ code: String(code), detail: msg ?? "" })
  })

/** A reviver is called for each of a book's ten thousand numbers: only where the version is too long for one. */
const parse = (body: string): unknown => {
  const json: unknown = JSON.parse(body)
  return hasLongVersion(json) ? JSON.parse(body, exactId) : json
}

const hasLongVersion = (json: unknown): boolean => {
  if (typeof json !== "object" || json === null || !("lastUpdateId" in json)) return false
  const { lastUpdateId } = json
  return typeof lastUpdateId === "number" && !Number.isSafeInteger(lastUpdateId)
}

/** The third argument of a reviver carries the source text (ES2025); the declarations do not know it yet. */
const exactId = (key: string, value: unknown, ...rest: ReadonlyArray<unknown>): unknown => {
  if (key !== "lastUpdateId" || typeof value !== "number" || Number.isSafeInteger(value)) return value
  const context = rest[0] as { readonly source?: string } | undefined
  return context?.source ?? value
}

/** What cannot be read, as it came. */
const odd = (value: unknown): Result.Result<never, string> => Result.fail(String(JSON.stringify(value)))

const readMarket = (value: unknown): Result.Result<Instrument, string> => {
  const decoded = decodeMarket(value)
  const instrument = Result.isSuccess(decoded) ? instrumentOf(decoded.success) : null
  return instrument === null ? odd(value) : Result.succeed(instrument)
}

const instrumentOf = (market: Market): Instrument | null => {
  const minQuantity = Numeric.minimum(market.baseSizePrecision)
  const minNotional = Numeric.minimum(market.quoteAmountPrecision)
  if (
    !isTradingPair(pairOf(market.baseAsset, market.quoteAsset)) || Number.isNaN(minQuantity) ||
    Number.isNaN(minNotional)
  ) return null
  return spot({
    exchange: MexcErrors.exchange,
    symbol: market.symbol,
    base: market.baseAsset,
    quote: market.quoteAsset,
    status: statusOf(market),
    priceStep: Number(`1e-${market.quotePrecision}`),
    quantityStep: Number(`1e-${market.baseAssetPrecision}`),
    minQuantity,
    minNotional
  })
}

/** A symbol and its turnover, which is null where the answer tells nothing. */
const readTurnover = (value: unknown): Result.Result<readonly [symbol: string, turnover: number | null], string> => {
  const decoded = decodeDayTicker(value)
  if (Result.isFailure(decoded)) return odd(value)
  const turnover = turnoverOf(decoded.success)
  return Number.isNaN(turnover) ? odd(value) : Result.succeed([decoded.success.symbol, turnover])
}

/** Where the turnover is left out, as in the documents' sample, base volume at the last price is near enough to rank. */
const turnoverOf = ({ lastPrice, quoteVolume, volume }: DayTicker): number | null =>
  isGiven(quoteVolume)
    ? Numeric.fromText(quoteVolume)
    : isGiven(volume) && isGiven(lastPrice)
    ? Numeric.fromText(volume) * Numeric.fromText(lastPrice)
    : null

const isGiven = (text: string | null | undefined): text is string => text !== undefined && text !== null && text !== ""

/** Orders need the market online, open to the API and not closed on both sides. */
const statusOf = (market: Market): Instrument["status"] => {
  const status = String(market.status)
  if (status === "2") return "paused"
  if (status !== "1" && status !== "ENABLED") return "closed"
  return market.isSpotTradingAllowed === false || String(market.tradeSideType) === "4" ? "paused" : "trading"
}

interface Snapshot {
  readonly symbol: string
  readonly pair: Instrument["pair"] | null
  readonly receivedAt: number
}

const readDepth = (about: Snapshot, depth: Depth): Result.Result<BookUpdate, string> => {
  const version = typeof depth.lastUpdateId === "number" && depth.lastUpdateId < 0
    ? null
    : Sequence.fromText(String(depth.lastUpdateId))
  if (version === null) return Result.fail(`lastUpdateId ${depth.lastUpdateId}`)
  const sides = Numeric.readSides(depth.bids, depth.asks)
  if (sides === null) return Result.fail("a level is no price and quantity")
  return Result.succeed({
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: about.pair,
    symbol: about.symbol,
    bids: sides.bids,
    asks: sides.asks,
    firstVersion: version,
    version,
    exchangeTime: depth.timestamp ?? null,
    receivedAt: about.receivedAt,
    contractSize: 1,
    exact: sides.exact
  })
}
