/** REST calls of MEXC spot v3: instruments, clock, turnovers, book snapshots ("Market Data Endpoints"). */
import { Clock, DateTime, Effect, Option, Result, Schema } from "effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Instrument } from "../../domain/Instrument.ts"
import { isTradingPair, pairOf } from "../../domain/Instrument.ts"
import type { BookUpdate } from "../../domain/Market.ts"
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRequest, Rest, RestOptions } from "../../ExchangeAdapter.ts"
import * as ExchangeError from "../../ExchangeError.ts"
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

const depthFor = (channel: BookRequest, attempt: number): number =>
  channel.depth ?? depths[Math.min(attempt, depths.length - 1)]!

export const make = ({ client, url, instrumentOf: known }: RestOptions): Rest => {
  const get = <A, I>(
    schema: Schema.Codec<A, I>,
    path: string,
    params: Readonly<Record<string, string>>,
    symbol?: string
  ): Effect.Effect<A, ExchangeError.ExchangeError> => {
    const decode = Schema.decodeUnknownResult(schema)
    const call: Call = { request: `GET ${path}`, symbol }
    return client.get(url + path, { urlParams: params }).pipe(
      Effect.flatMap((response) => Effect.map(response.text, (body) => ({ response, body }))),
      Effect.mapError((error) => transportFailure(call, error)),
      Effect.flatMap(({ response, body }) => {
        const answer = parseJson(body)
        if (response.status < 200 || response.status > 299) return refused(call, response, body, answer)
        const decoded = decode(answer)
        if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
        return Option.isSome(decodeRefusal(answer))
          ? refused(call, response, body, answer)
          : unreadable(call, answer === undefined ? `no JSON: ${body.slice(0, 80)}` : String(decoded.failure))
      })
    )
  }

  return {
    instruments: get(ExchangeInfo, "/api/v3/exchangeInfo", {}).pipe(
      Effect.flatMap(({ symbols }) => readEach("GET /api/v3/exchangeInfo", symbols, readMarket))
    ),
    serverTime: get(ServerTime, "/api/v3/time", {}).pipe(Effect.map(({ serverTime }) => serverTime)),
    turnovers: get(DayTickers, "/api/v3/ticker/24hr", {}).pipe(
      Effect.flatMap((tickers) => readEach("GET /api/v3/ticker/24hr", tickers, readTurnover)),
      Effect.map((turnovers) =>
        new Map(turnovers.flatMap(([symbol, value]) => value === null ? [] : [[symbol, value]]))
      )
    ),
    book: (symbol, channel, attempt) =>
      get(Depth, "/api/v3/depth", { symbol, limit: String(depthFor(channel, attempt)) }, symbol).pipe(
        Effect.flatMap((depth) =>
          Effect.flatMap(
            Clock.currentTimeMillis,
            (receivedAt) => readDepth({ symbol, pair: known(symbol)?.pair ?? null, receivedAt }, depth)
          )
        )
      )
  }
}

interface Call {
  readonly request: string
  readonly symbol: string | undefined
}

const fail = (reason: ExchangeError.Reason): Effect.Effect<never, ExchangeError.ExchangeError> =>
  Effect.fail(ExchangeError.make(MexcErrors.exchange, reason))

const transportFailure = (call: Call, error: HttpClientError.HttpClientError): ExchangeError.ExchangeError =>
  ExchangeError.make(
    MexcErrors.exchange,
    new ExchangeError.RequestFailed({
      ...where(call.symbol),
      request: call.request,
      status: error.response?.status ?? null,
      code: error.reason._tag,
      detail: error.message,
      class: error.reason._tag === "InvalidUrlError" || error.reason._tag === "EncodeError" ? "bug" : "retryable"
    })
  )

const unreadable = (call: Call, detail: string): Effect.Effect<never, ExchangeError.ExchangeError> =>
  fail(new ExchangeError.DecodeFailed({ ...where(call.symbol), detail: `${call.request}: ${detail}` }))

const where = (symbol: string | undefined): { readonly symbol?: string } => symbol === undefined ? {} : { symbol }

/** A refusal: `{"code":30014,"msg":"invalid symbol","_extend":null}`, or a page of the edge filter. */
const refused = (
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  body: string,
  answer: unknown
): Effect.Effect<never, ExchangeError.ExchangeError> => {
  const refusal = Option.getOrUndefined(decodeRefusal(answer))
  const code = refusal === undefined ? "" : String(refusal.code)
  const detail = refusal?.msg ?? (body.slice(0, 80) || "an empty body")
  const answerClass = MexcErrors.classify(code, refusal === undefined ? body : detail, response.status).class
  return Effect.flatMap(retryAfter(response, answerClass), (retryAfterMs) =>
    fail(
      new ExchangeError.RequestFailed({
        ...where(call.symbol),
        request: call.request,
        status: response.status,
        code: code === "" ? String(response.status) : code,
        detail,
        class: answerClass,
        ...(retryAfterMs === null ? {} : { retryAfterMs })
      })
    ))
}

/** `Retry-After` in seconds, as documented for 429 and 418, or as a date; for rate limits without it our own pause. ms. */
const retryAfter = (
  response: HttpClientResponse.HttpClientResponse,
  answerClass: ExchangeError.AnswerClass
): Effect.Effect<number | null> => {
  const pause = answerClass === "rateLimit" ? MexcErrors.pauseMillis(response.status) : null
  const header = response.headers["retry-after"]
  if (header === undefined) return Effect.succeed(pause)
  if (/^\d{1,9}$/.test(header)) return Effect.succeed(Number(header) * 1000)
  return Option.match(DateTime.make(header), {
    onNone: () => Effect.succeed(pause),
    onSome: (date) => Effect.map(Clock.currentTimeMillis, (now) => Math.max(0, DateTime.toEpochMillis(date) - now))
  })
}

/** JSON, with `lastUpdateId` as its digits when a double cannot hold it; `undefined` when it is none. */
const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body, exactId)
  } catch {
    return undefined
  }
}

/** The third argument of a reviver carries the source text (ES2025); the declarations do not know it yet. */
const exactId = (key: string, value: unknown, ...rest: ReadonlyArray<unknown>): unknown => {
  if (key !== "lastUpdateId" || typeof value !== "number" || Number.isSafeInteger(value)) return value
  const context = rest[0] as { readonly source?: string } | undefined
  return context?.source ?? value
}

/** What can be read of a list of markets. One that is odd does not hide the others. */
const readEach = <A>(
  request: string,
  markets: ReadonlyArray<unknown>,
  read: (market: unknown) => A | null
): Effect.Effect<ReadonlyArray<A>, ExchangeError.ExchangeError> => {
  const found: Array<A> = []
  const odd: Array<unknown> = []
  for (const market of markets) {
    const value = read(market)
    if (value === null) odd.push(market)
    else found.push(value)
  }
  if (odd.length === 0) return Effect.succeed(found)
  const example = JSON.stringify(odd[0])?.slice(0, 200)
  if (found.length === 0) {
    return fail(new ExchangeError.DecodeFailed({ detail: `${request}: no market can be read: ${example}` }))
  }
  return Effect.as(
    Effect.logWarning(`mexc-spot: ${request}: ${odd.length} markets cannot be read, such as ${example}`),
    found
  )
}

const readMarket = (value: unknown): Instrument | null => {
  const decoded = decodeMarket(value)
  return Result.isSuccess(decoded) ? instrumentOf(decoded.success) : null
}

const instrumentOf = (market: Market): Instrument | null => {
  const pair = pairOf(market.baseAsset, market.quoteAsset)
  const minQuantity = least(market.baseSizePrecision)
  const minNotional = least(market.quoteAmountPrecision)
  if (!isTradingPair(pair) || Number.isNaN(minQuantity) || Number.isNaN(minNotional)) return null
  return {
    exchange: MexcErrors.exchange,
    pair,
    symbol: market.symbol,
    kind: "spot",
    base: market.baseAsset,
    quote: market.quoteAsset,
    settle: null,
    status: statusOf(market),
    priceStep: Number(`1e-${market.quotePrecision}`),
    quantityStep: Number(`1e-${market.baseAssetPrecision}`),
    minQuantity,
    minNotional,
    contractSize: 1
  }
}

/** A symbol and its turnover, which is null where the answer tells nothing; null when the market is odd. */
const readTurnover = (value: unknown): readonly [symbol: string, turnover: number | null] | null => {
  const decoded = decodeDayTicker(value)
  if (Result.isFailure(decoded)) return null
  const turnover = turnoverOf(decoded.success)
  return Number.isNaN(turnover) ? null : [decoded.success.symbol, turnover]
}

/** Where the turnover is left out, as in the documents' sample, base volume at the last price is near enough to rank. */
const turnoverOf = ({ lastPrice, quoteVolume, volume }: DayTicker): number | null =>
  isGiven(quoteVolume)
    ? Numeric.fromText(quoteVolume)
    : isGiven(volume) && isGiven(lastPrice)
    ? Numeric.fromText(volume) * Numeric.fromText(lastPrice)
    : null

const isGiven = (text: string | null | undefined): text is string => text !== undefined && text !== null && text !== ""

/** A minimum; null when there is none, NaN when it is no decimal. */
const least = (text: string | undefined): number | null => {
  if (text === undefined || text === "") return null
  const value = Numeric.fromText(text)
  return value === 0 ? null : value
}

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

const readDepth = (about: Snapshot, depth: Depth): Effect.Effect<BookUpdate, ExchangeError.ExchangeError> => {
  const version = typeof depth.lastUpdateId === "number" && depth.lastUpdateId < 0
    ? null
    : Sequence.fromText(String(depth.lastUpdateId))
  const exact: Record<string, string> = {}
  const bids = Numeric.readLevels("bids", depth.bids, exact)
  const asks = Numeric.readLevels("asks", depth.asks, exact)
  if (version === null || bids === null || asks === null) {
    const detail = version === null ? `lastUpdateId ${depth.lastUpdateId}` : "a level is no price and quantity"
    return fail(
      new ExchangeError.DecodeFailed({ symbol: about.symbol, channel: "Book", detail: `GET /api/v3/depth: ${detail}` })
    )
  }
  return Effect.succeed({
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: about.pair,
    symbol: about.symbol,
    bids,
    asks,
    firstVersion: version,
    version,
    exchangeTime: depth.timestamp ?? null,
    receivedAt: about.receivedAt,
    contractSize: 1,
    exact: Object.keys(exact).length === 0 ? null : exact
  })
}
