/** MEXC spot's public REST calls and the limits of all of them, the server's half. */
import type {
  DialectOptions,
  DialectRequest,
  DialectResponse,
  World,
  WorldBook,
  WorldLevel,
  WorldMarket
} from "../../ExchangeDialect.ts"
import { marketsBy, perWorld, quotas, trimmed } from "../../ExchangeDialect.ts"
import type { AccountRoute, Limit } from "./MexcAccountDialect.ts"
import { accountRoutes, onAccountHttp } from "./MexcAccountDialect.ts"
import { badParameter, failure, json, unknownSymbol } from "./MexcAnswersDialect.ts"

export const symbolOf = (market: WorldMarket): string => market.base + market.quote

export const marketsOf = marketsBy(symbolOf)

/** The part that the price moved by since a moment (ms), or within 24 hours; four decimals. */
export const rateOf = (market: WorldMarket, since?: number): string => {
  const { last, open } = market.statistics(since)
  return trimmed((Number(last) / Number(open) - 1).toFixed(4))
}

/** Measured: never more, whatever `limit` asks (documents: 5000). */
const maxDepth = 2_000

/** REST decimals are padded to the market's decimals. */
const padded = (text: string, decimals: number): string => {
  const dot = text.indexOf(".")
  const missing = decimals - (dot < 0 ? 0 : text.length - dot - 1)
  return missing <= 0 ? text : `${text}${dot < 0 ? "." : ""}${"0".repeat(missing)}`
}

const depthBody = (market: WorldMarket, book: WorldBook): unknown => {
  const level = ({ price, quantity }: WorldLevel): readonly [string, string] => [
    padded(price, market.priceDecimals),
    padded(quantity, market.quantityDecimals)
  ]
  // `timestamp` is undocumented but sent; its meaning is unconfirmed.
  return {
    lastUpdateId: book.version,
    bids: book.bids.map(level),
    asks: book.asks.map(level),
    timestamp: Math.floor(book.time)
  }
}

const depth = (request: DialectRequest, world: World): DialectResponse => {
  const symbol = request.query.get("symbol") ?? ""
  const limit = request.query.get("limit") ?? "100"
  if (symbol === "") return badParameter("symbol")
  if (!/^[1-9]\d{0,5}$/.test(limit)) return badParameter("limit")
  const market = marketsOf(world).get(symbol)
  return market === undefined
    ? unknownSymbol()
    : json(200, depthBody(market, market.book(Math.min(Number(limit), maxDepth))))
}

/** As in a live answer; `quoteAmountPrecision` is the minimum value in quote, `baseSizePrecision` the minimum quantity. */
const instrument = (market: WorldMarket): unknown => ({
  symbol: symbolOf(market),
  status: "1",
  baseAsset: market.base,
  baseAssetPrecision: market.quantityDecimals,
  quoteAsset: market.quote,
  quotePrecision: market.priceDecimals,
  quoteAssetPrecision: market.priceDecimals,
  baseCommissionPrecision: market.quantityDecimals,
  quoteCommissionPrecision: market.priceDecimals,
  orderTypes: ["LIMIT", "MARKET", "LIMIT_MAKER"],
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  quoteAmountPrecision: market.minNotional,
  baseSizePrecision: market.minQuantity,
  permissions: ["SPOT"],
  filters: [],
  maxQuoteAmount: "2000000",
  makerCommission: "0.0005",
  takerCommission: "0.0005",
  quoteAmountPrecisionMarket: market.minNotional,
  maxQuoteAmountMarket: "100000",
  fullName: market.base,
  tradeSideType: 1
})

const exchangeInfo = (request: DialectRequest, world: World): DialectResponse => {
  const asked = request.query.get("symbol") ?? request.query.get("symbols")
  const markets = marketsOf(world)
  const listed = asked === undefined ? [...markets.values()] : asked.split(",").map((symbol) => markets.get(symbol))
  // Whether one unknown symbol in a list fails the request is unconfirmed.
  if (!listed.every((market) => market !== undefined)) return unknownSymbol()
  return json(200, {
    timezone: "CST",
    serverTime: Math.floor(world.now()),
    rateLimits: [],
    exchangeFilters: [],
    symbols: listed.map(instrument)
  })
}

/** As recorded by ccxt 4.5.84 (`mexc.js`): quantities of the best levels and the count are empty. */
const dayTicker = (market: WorldMarket): unknown => {
  const { ask, bid } = market.ticker()
  const { baseVolume, high, last, low, open, quoteVolume, time } = market.statistics()
  return {
    symbol: symbolOf(market),
    priceChange: trimmed((Number(last) - Number(open)).toFixed(market.priceDecimals)),
    priceChangePercent: rateOf(market),
    prevClosePrice: open,
    lastPrice: last,
    bidPrice: bid?.price ?? "",
    bidQty: bid?.quantity ?? "",
    askPrice: ask?.price ?? "",
    askQty: ask?.quantity ?? "",
    openPrice: open,
    highPrice: high,
    lowPrice: low,
    volume: baseVolume,
    quoteVolume,
    openTime: time - 86_400_000,
    closeTime: time,
    count: null
  }
}

const bookTicker = (market: WorldMarket): unknown => {
  const { ask, bid } = market.ticker()
  return {
    symbol: symbolOf(market),
    bidPrice: bid?.price ?? null,
    bidQty: bid?.quantity ?? null,
    askPrice: ask?.price ?? null,
    askQty: ask?.quantity ?? null
  }
}

/** One entry for the symbol that is named, a list of all when none is. */
const oneOrAll = (entry: (market: WorldMarket) => unknown): Route["answer"] => (request, world) => {
  const symbol = request.query.get("symbol")
  if (symbol === undefined) return json(200, [...world.markets.values()].map(entry))
  const market = marketsOf(world).get(symbol)
  return market === undefined ? unknownSymbol() : json(200, entry(market))
}

/** Documented: the list of all weighs 40. */
const weightOfAll = (request: DialectRequest): number => request.query.has("symbol") ? 1 : 40

interface Route {
  readonly weight: number | ((request: DialectRequest) => number)
  readonly answer: (request: DialectRequest, world: World) => DialectResponse
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/api/v3/ping", { weight: 1, answer: () => json(200, {}) }],
  ["/api/v3/time", { weight: 1, answer: (_, world) => json(200, { serverTime: Math.floor(world.now()) }) }],
  ["/api/v3/exchangeInfo", { weight: 10, answer: exchangeInfo }],
  ["/api/v3/defaultSymbols", {
    weight: 1,
    answer: (_, world) => json(200, { code: 200, data: [...marketsOf(world).keys()] })
  }],
  ["/api/v3/depth", { weight: 1, answer: depth }],
  ["/api/v3/ticker/24hr", { weight: weightOfAll, answer: oneOrAll(dayTicker) }],
  ["/api/v3/ticker/bookTicker", { weight: weightOfAll, answer: oneOrAll(bookTicker) }]
])

/** Documented: 500 weight in 10 s for each endpoint. Bans for going on regardless (418) are not simulated. */
const weights = perWorld(() => quotas(500, 10_000))

/** MEXC's support, by a comment in JKorf/Mexc.Net: 20 requests a second for each endpoint. */
const paces = perWorld(() => quotas(20, 1_000))

/** Measured: the edge filter lets 20 to 30 requests a second pass, and bursts of about 120. */
const edge = perWorld((world) => {
  const burst = 120
  const perMilli = 30 / 1_000
  let tokens = burst
  let at = world.now()
  return (): boolean => {
    const now = world.now()
    tokens = Math.min(burst, tokens + (now - at) * perMilli)
    at = now
    if (tokens < 1) return false
    tokens--
    return true
  }
})

const forbidden: DialectResponse = {
  status: 403,
  headers: { "Content-Type": "text/html" },
  body: "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n</BODY>\n</HTML>\n"
}

const tooMany = (resetAt: number, now: number): DialectResponse =>
  failure(429, 429, "Too Many Requests", { "Retry-After": String(Math.ceil((resetAt - now) / 1_000)) })

const overLimit = (path: string, weight: number, world: World): DialectResponse | null => {
  if (!edge(world)()) return forbidden
  const now = world.now()
  const pace = paces(world)(path, now, 1)
  const quota = pace.allowed ? weights(world)(path, now, weight) : pace
  return quota.allowed ? null : tooMany(quota.resetAt, now)
}

/** Documented: what an account asks counts by its user, for each endpoint. */
const userWeights = perWorld(() => quotas(500, 10_000))

/** Requests in a second that some endpoints allow a user, by limit. */
const userPaces = perWorld(() => {
  const byLimit = new Map<number, ReturnType<typeof quotas>>()
  return (limit: number): ReturnType<typeof quotas> => {
    const known = byLimit.get(limit)
    if (known !== undefined) return known
    const made = quotas(limit, 1_000)
    byLimit.set(limit, made)
    return made
  }
})

const overPace = (userId: string, { paces }: AccountRoute, world: World, now: number): DialectResponse | null => {
  const spent = paces.map(({ limit, name }) => userPaces(world)(limit)(`${name} ${userId}`, now, 1))
  const over = spent.find(({ allowed }) => !allowed)
  return over === undefined ? null : tooMany(over.resetAt, now)
}

const overUserLimit = (request: DialectRequest, world: World): Limit => (userId, route) => {
  const now = world.now()
  const refused = overPace(userId, route, world, now)
  if (refused !== null) return refused
  const quota = userWeights(world)(`${request.method} ${request.path} ${userId}`, now, route.weight)
  return quota.allowed ? null : tooMany(quota.resetAt, now)
}

const unlimited: Limit = () => null

const weightOf = (route: Route | undefined, request: DialectRequest): number =>
  typeof route?.weight === "function" ? route.weight(request) : route?.weight ?? 1

const onPrivateHttp = (
  request: DialectRequest,
  route: AccountRoute,
  world: World,
  { limits }: DialectOptions
): DialectResponse => {
  if (limits === "off") return onAccountHttp(request, route, world, unlimited)
  return edge(world)() ? onAccountHttp(request, route, world, overUserLimit(request, world)) : forbidden
}

export const onHttp = (request: DialectRequest, world: World, options: DialectOptions): DialectResponse => {
  const accountRoute = accountRoutes.get(`${request.method} ${request.path}`)
  if (accountRoute !== undefined) return onPrivateHttp(request, accountRoute, world, options)
  const route = request.method === "GET" ? routes.get(request.path) : undefined
  if (options.limits === "real") {
    const refused = overLimit(request.path, weightOf(route, request), world)
    if (refused !== null) return refused
  }
  // The body of a 404 is unconfirmed.
  return route === undefined ? failure(404, 404, "Not Found") : route.answer(request, world)
}
