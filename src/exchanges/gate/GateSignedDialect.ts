/** Gate's signed REST calls, the server's half: who may, how often, and which route answers ("API v4, Rate Limit"). */
import type { DialectOptions, DialectRequest, DialectResponse, Quota, World } from "../../ExchangeDialect.ts"
import { perWorld, quotas } from "../../ExchangeDialect.ts"
import type { Outcome, Parsed, Session } from "./GateAccountDialect.ts"
import { bodyOf, failed, isFailure, isObject, restSession, textIn } from "./GateAccountDialect.ts"
import { headersOf } from "./GateRestDialect.ts"

export interface Asked {
  readonly request: DialectRequest
  readonly session: Session
  readonly world: World
  /** What follows the endpoint in the path. */
  readonly name: string
}

export interface SignedRoute {
  readonly method: string
  /** The endpoint that the limit counts for; a name follows where it ends in a slash. */
  readonly endpoint: string
  readonly needs: "read" | "trade"
  /** Placing and amending have a limit of their own, cancelling another; the wallet's is smaller than the rest. */
  readonly limit: "trade" | "cancel" | "wallet" | "other"
  readonly answer: (asked: Asked) => Outcome
}

/** Documented limits of a product. */
export interface SignedLimits {
  /** A second, for placing and amending together; each order of a batch counts. */
  readonly trade: number
  /** Whether that is for each market. */
  readonly byMarket: boolean
}

const cancelsPerSecond = 200
const others = { wallet: 80, other: 200 } as const

interface Spending {
  readonly quota: Quota
  readonly limit: number
}

/** The orders of a request: itself, or those of its list. */
const ordersOf = (request: DialectRequest): ReadonlyArray<Parsed> => {
  const body = bodyOf(request)
  if (Array.isArray(body)) return body.filter((item) => isObject(item))
  return [isObject(body) ? body : {}]
}

const marketOf = (order: Parsed, request: DialectRequest): string =>
  textIn(order, "currency_pair") || (request.query.get("currency_pair") ?? "")

const makeLimits = ({ byMarket, trade }: SignedLimits) =>
  perWorld(() => {
    const trades = quotas(trade, 1_000)
    const cancels = quotas(cancelsPerSecond, 1_000)
    const wallet = quotas(others.wallet, 10_000)
    const other = quotas(others.other, 10_000)
    const spendTrades = (user: string, request: DialectRequest, now: number): Spending => {
      const counts = new Map<string, number>()
      for (const order of ordersOf(request)) {
        const market = byMarket ? marketOf(order, request) : ""
        counts.set(market, (counts.get(market) ?? 0) + 1)
      }
      const spent = [...counts].map(([market, count]) => trades(`${user} ${market}`, now, count))
      return { quota: spent.find(({ allowed }) => !allowed) ?? spent[0]!, limit: trade }
    }
    return (route: SignedRoute, user: string, request: DialectRequest, now: number): Spending => {
      if (route.limit === "trade") return spendTrades(user, request, now)
      if (route.limit === "cancel") return { quota: cancels(user, now, 1), limit: cancelsPerSecond }
      const spend = route.limit === "wallet" ? wallet : other
      return { quota: spend(`${user} ${route.endpoint}`, now, 1), limit: others[route.limit] }
    }
  })

const matches = (route: SignedRoute, { method, path }: DialectRequest): boolean =>
  route.method === method
  && (route.endpoint.endsWith("/")
    ? path.startsWith(route.endpoint) && path.length > route.endpoint.length
    : path === route.endpoint)

/** A header says until when the request may arrive, ms. */
const isLate = ({ headers }: DialectRequest, now: number): boolean => {
  const until = headers["x-gate-exptime"]
  return until !== undefined && now > Number(until)
}

export const tooLate = failed(400, "REQUEST_EXPIRED", "The request has arrived behind its x-gate-exptime")

const responseOf = (outcome: Outcome, headers: DialectResponse["headers"]): DialectResponse => {
  const isRefused = isFailure(outcome)
  const body = isRefused ? JSON.stringify({ label: outcome.label, message: outcome.message }) : outcome.body
  return { status: outcome.status, headers: { "Content-Type": "application/json", ...headers }, body }
}

const unlimited: Quota = { allowed: true, remaining: 0, resetAt: 0 }

/** Answers signed calls; null for what is none. */
export const signedHttp = (routes: ReadonlyArray<SignedRoute>, documented: SignedLimits) => {
  const limits = makeLimits(documented)
  return (request: DialectRequest, world: World, options: DialectOptions): DialectResponse | null => {
    const route = routes.find((one) => matches(one, request))
    if (route === undefined) return null
    const now = world.now()
    const session = restSession(request, world, route.needs)
    if (isFailure(session)) return responseOf(session, headersOf(unlimited, now, 0))
    const { limit, quota } = options.limits === "real"
      ? limits(world)(route, session.account.userId, request, now)
      : { limit: 0, quota: unlimited }
    const headers = headersOf(quota, now, limit)
    if (!quota.allowed) {
      return responseOf(failed(429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded"), headers)
    }
    if (isLate(request, now)) return responseOf(tooLate, headers)
    const name = decode(request.path.slice(route.endpoint.length))
    return responseOf(route.answer({ request, session, world, name }), headers)
  }
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
