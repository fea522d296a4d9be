/** What Gate's REST calls have in common, the server's half: errors, the shape of a book, the limit. */
import type {
  DialectOptions,
  DialectRequest,
  DialectResponse,
  Quota,
  World,
  WorldBook,
  WorldMarket
} from "../../ExchangeDialect.ts"
import { perWorld, quotas } from "../../ExchangeDialect.ts"
import { marketsOf } from "./GateStreamsDialect.ts"

export interface Answer {
  readonly status: number
  readonly body: string
}

export const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) })

export const failure = (status: number, label: string, message: string): Answer => json(status, { label, message })

export const invalidParameter = (name: string, value: string): Answer =>
  failure(400, "INVALID_PARAM_VALUE", `Invalid request parameter \`${name}\` value: ${value}`)

/** A path's text; what is no valid escape stays as it is. */
const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export interface Route {
  /** The endpoint that the limit counts for; a name follows where it ends in a slash. */
  readonly endpoint: string
  readonly answer: (request: DialectRequest, world: World) => Answer
}

export const timeRoute: Route = {
  endpoint: "/spot/time",
  answer: (_, world) => json(200, { server_time: Math.floor(world.now()) })
}

export type UnknownName = (name: string, world: World) => Answer

/** A list of everything, and one entry by its name in the path. */
export const listRoutes = (
  path: string,
  unknown: UnknownName,
  entry: (market: WorldMarket, request: DialectRequest) => unknown
): ReadonlyArray<Route> => [
  {
    endpoint: path,
    answer: (request, world) => json(200, [...world.markets.values()].map((market) => entry(market, request)))
  },
  {
    endpoint: `${path}/`,
    answer: (request, world) => {
      const name = unescaped(request.path.slice(path.length + 1))
      const market = marketsOf(world).get(name)
      return market === undefined ? unknown(name, world) : json(200, entry(market, request))
    }
  }
]

/** A list of everything, or of the one that the query names. */
export const queryRoute = (
  endpoint: string,
  parameter: string,
  unknown: UnknownName,
  entry: (market: WorldMarket, request: DialectRequest) => unknown
): Route => ({
  endpoint,
  answer: (request, world) => {
    const name = request.query.get(parameter)
    const market = name === undefined ? undefined : marketsOf(world).get(name)
    if (name !== undefined && market === undefined) return unknown(name, world)
    const listed = market === undefined ? [...world.markets.values()] : [market]
    return json(200, listed.map((market) => entry(market, request)))
  }
})

export interface BookRoute {
  readonly endpoint: string
  /** The query's name of the pair. */
  readonly parameter: string
  readonly unknown: UnknownName
  readonly maxDepth: number
  readonly tooDeep: (limit: string) => Answer
  readonly body: (book: WorldBook, now: number, request: DialectRequest) => string
}

export const bookRoute = ({ body, endpoint, maxDepth, parameter, tooDeep, unknown }: BookRoute): Route => ({
  endpoint,
  answer: (request, world) => {
    const name = request.query.get(parameter) ?? ""
    const limit = request.query.get("limit") ?? "10"
    const interval = request.query.get("interval") ?? "0"
    if (name === "") return failure(400, "MISSING_REQUIRED_PARAM", `Missing required parameter: ${parameter}`)
    const market = marketsOf(world).get(name)
    if (market === undefined) return unknown(name, world)
    if (!/^[1-9]\d{0,5}$/.test(limit)) return invalidParameter("limit", limit)
    if (Number(limit) > maxDepth) return tooDeep(limit)
    // Price steps other than the market's own are not simulated.
    if (Number(interval) !== 0) return invalidParameter("interval", interval)
    const book = market.book(Number(limit))
    const id = request.query.get("with_id") === "true" ? `"id":${book.version},` : ""
    return { status: 200, body: `{${id}${body(book, world.now(), request)}}` }
  }
})

const requestsPerWindow = 200

/** Documented: 200 requests in 10 s for each public endpoint. */
const budgets = perWorld(() => quotas(requestsPerWindow, 10_000))

const unlimited: Quota = { allowed: true, remaining: requestsPerWindow, resetAt: 0 }

/** Seconds; the present while the limit is not exceeded. Gate sends no `Retry-After`. */
export const headersOf = (quota: Quota, now: number, limit: number): Readonly<Record<string, string>> => ({
  "X-Gate-RateLimit-Requests-Remain": String(Math.min(quota.remaining, limit)),
  "X-Gate-RateLimit-Limit": String(limit),
  "X-Gate-RateLimit-Reset-Timestamp": String(Math.floor((quota.allowed ? now : quota.resetAt) / 1_000)),
  "X-In-Time": String(Math.floor(now * 1_000)),
  "X-Out-Time": String(Math.floor(now * 1_000))
})

/** Measured on Gate US spot: an unknown path below the product's own is taken for a private call. */
const noRoute = (path: string, area: string): Answer =>
  path.startsWith(area)
    ? json(400, { message: "Missing required header: Timestamp", label: "MISSING_REQUIRED_HEADER" })
    : { status: 404, body: "<html><head><title>404 Not Found</title></head></html>" }

const routeOf = (routes: ReadonlyArray<Route>, path: string): Route | undefined =>
  routes.find(({ endpoint }) => endpoint.endsWith("/") ? path.startsWith(endpoint) : path === endpoint)

/** Answers with the routes of a product, whose paths begin with `area`. */
export const onHttp = (area: string, routes: ReadonlyArray<Route>) =>
(
  request: DialectRequest,
  world: World,
  options: DialectOptions
): DialectResponse => {
  const now = world.now()
  const route = request.method === "GET" ? routeOf(routes, request.path) : undefined
  const quota = route !== undefined && options.limits === "real" ? budgets(world)(route.endpoint, now, 1) : unlimited
  const answer = route === undefined
    ? noRoute(request.path, area)
    : quota.allowed
    ? route.answer(request, world)
    : failure(429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded")
  return {
    status: answer.status,
    headers: {
      "Content-Type": answer.body.startsWith("<") ? "text/html" : "application/json",
      ...headersOf(quota, now, route === undefined ? 0 : requestsPerWindow)
    },
    body: answer.body
  }
}
