/**
 * What stands at which address, whatever the transport: every exchange under `/<exchange id>`, with its own paths below
 * (and one that is alone at those paths themselves), and the simulator's own endpoints under `/_simulator`.
 */
import { Effect, Schema } from "effect"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { DialectRequest, DialectResponse } from "../ExchangeDialect.ts"
import { AccountChange, truthOf } from "./AccountTruth.ts"
import type { Engine } from "./Engine.ts"
import type { InvalidFault } from "./Faults.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import { Change } from "./Publish.ts"
import type { SimulatedExchange } from "./SimulatedExchange.ts"
import type { SimulatorError } from "./SimulatorError.ts"

/** What may be done to a simulator from outside, besides asking. */
export interface Control {
  readonly inject: (fault: unknown) => Effect.Effect<number, InvalidFault>
  readonly publish: (exchange: ExchangeId, pair: TradingPair, change: Change) => Effect.Effect<number, SimulatorError>
  readonly change: (
    exchange: ExchangeId,
    userId: string,
    change: AccountChange
  ) => Effect.Effect<void, SimulatorError>
}

/** Where to reach one exchange. */
export interface SimulatorUrls {
  readonly ws: string
  /** The REST base, without trailing slash. */
  readonly rest: string
}

/** Where to reach a simulator. */
export interface Reachable {
  readonly urls: Readonly<Record<ExchangeId, SimulatorUrls>>
  /** Base of the endpoints for other processes. */
  readonly admin: string
}

/** A request as it came, its address split. */
export interface GatewayRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** The client's IP address. */
  readonly address: string
}

export const adminPath = "/_simulator"

const withoutSlash = (path: string): string => path.replace(/\/+$/u, "")

/** Addresses of every exchange under the given roots, such as `ws://127.0.0.1:80` and `http://127.0.0.1:80`. */
export const urlsOf = (
  engine: Engine,
  roots: { readonly ws: string; readonly http: string }
): Reachable["urls"] =>
  Object.fromEntries(
    [...engine.exchanges.values()].map(({ id, dialect }) => [
      id,
      { ws: `${roots.ws}/${id}${dialect.websocketPath}`, rest: withoutSlash(`${roots.http}/${id}${dialect.restPath}`) }
    ])
  )

/**
 * The exchange with this id in front of the path, and what stands behind it. One that is alone needs no id: there are
 * clients that sign the whole path.
 */
const exchangeAt = (engine: Engine, path: string): readonly [SimulatedExchange, string] | null => {
  const [, id = "", rest = ""] = /^\/([^/]+)(.*)$/su.exec(path) ?? []
  const exchange = engine.exchanges.get(id)
  if (exchange !== undefined) return [exchange, rest]
  const [alone, another] = engine.exchanges.values()
  return alone === undefined || another !== undefined ? null : [alone, path]
}

/** The exchange whose WebSocket has this path. */
export const websocketAt = (engine: Engine, path: string): SimulatedExchange | null => {
  const found = exchangeAt(engine, path)
  return found !== null && withoutSlash(found[1]) === withoutSlash(found[0].dialect.websocketPath) ? found[0] : null
}

export const resetText = "connection reset"

/** Why a refused socket was refused, as text. */
export const refusalText = (status: number): string => status === 0 ? resetText : `HTTP ${status}`

/** A fault wants the connection to be reset instead of an answer. */
export const isReset = ({ status }: DialectResponse): boolean => status === 0

const json = (status: number, body: unknown): DialectResponse => ({
  status,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body)
})

const notFound = (path: string): DialectResponse => json(404, { error: `there is nothing at ${path}` })

/** Answers a request to an exchange's REST side or to the simulator itself. */
export const request = (engine: Engine, control: Control, incoming: GatewayRequest): Effect.Effect<DialectResponse> => {
  const { pathname } = incoming.url
  if (pathname.startsWith(`${adminPath}/`)) {
    return admin(engine, control, incoming, pathname.slice(adminPath.length + 1))
  }
  const found = exchangeAt(engine, pathname)
  if (found === null) return Effect.succeed(notFound(pathname))
  const [exchange, below] = found
  const base = withoutSlash(exchange.dialect.restPath)
  if (!below.startsWith(base)) return Effect.succeed(notFound(pathname))
  const dialectRequest: DialectRequest = {
    method: incoming.method,
    path: below.slice(base.length),
    query: new Map(incoming.url.searchParams),
    search: incoming.url.search.slice(1),
    address: incoming.address,
    headers: incoming.headers,
    body: incoming.body
  }
  return Effect.callback((resume) => exchange.request(dialectRequest, (response) => resume(Effect.succeed(response))))
}

// ---- the simulator's own endpoints ----------------------------------------------------------------------------------

const Market = { exchange: Schema.String, pair: Schema.String as unknown as Schema.Codec<TradingPair, string> }

const TruthQuery = Schema.Struct({
  ...Market,
  /** The version now when left out. */
  version: Schema.optional(Schema.FiniteFromString),
  depth: Schema.optional(Schema.FiniteFromString)
})

const PublishBody = Schema.fromJsonString(Schema.Struct({ ...Market, change: Change }))

type Answer = Effect.Effect<DialectResponse, { readonly message: string }>

interface Ask {
  readonly engine: Engine
  readonly control: Control
  readonly query: Readonly<Record<string, string>>
  readonly body: string
}

/** The text of a fault, or a JSON object. */
const faultOf = (body: string): unknown => {
  const text = body.trim()
  if (!text.startsWith("{")) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const health = ({ engine }: Ask): Answer => {
  const { elapsedMillis, ticks, failures } = engine.counts()
  return Effect.succeed(
    json(200, {
      status: failures.length === 0 ? "ok" : "failing",
      exchanges: [...engine.exchanges.keys()],
      pairs: engine.pairs,
      paused: engine.paused,
      elapsedMillis,
      ticks,
      failures
    })
  )
}

const truth = ({ engine, query }: Ask): Answer =>
  Effect.map(Schema.decodeUnknownEffect(TruthQuery)(query), ({ exchange, pair, version, depth }) => {
    const book = engine.market(exchange, pair)?.book
    const found = book?.at(version ?? book.version, depth)
    return found === undefined
      ? json(404, {
        error: book === undefined ? `there is no ${pair} on ${exchange}` : `version ${version} is not held`
      })
      : json(200, found)
  })

const StatisticsQuery = Schema.Struct({ ...Market, since: Schema.optional(Schema.FiniteFromString) })

const KlineQuery = Schema.Struct({
  ...Market,
  /** ms, `week` or `month`. */
  interval: Schema.Union([Schema.Literals(["week", "month"]), Schema.FiniteFromString]),
  price: Schema.optional(Schema.Literals(["last", "mark", "index"])),
  at: Schema.optional(Schema.FiniteFromString)
})

/** What a market says; 404 when there is none, or when it has no such thing. */
const ofMarket = <Query extends { readonly exchange: string; readonly pair: TradingPair }>(
  schema: Schema.Codec<Query, unknown>,
  read: (market: SimulatedMarket, query: Query) => unknown
) =>
({ engine, query }: Ask): Answer =>
  Effect.map(Schema.decodeUnknownEffect(schema)(query), (asked) => {
    const { exchange, pair } = asked
    const market = engine.market(exchange, pair)
    if (market === undefined) return json(404, { error: `there is no ${pair} on ${exchange}` })
    const found = read(market, asked)
    return found === undefined ? json(404, { error: `${pair} on ${exchange} has no such thing` }) : json(200, found)
  })

const pausing = (paused: boolean) => ({ engine }: Ask): Answer =>
  Effect.sync(() => {
    engine.paused = paused
    return json(200, { paused })
  })

const clear = ({ engine, query }: Ask): Answer =>
  Effect.sync(() => {
    const id = query["id"]
    return engine.clear(id === undefined ? undefined : Number(id)) || id === undefined
      ? json(200, engine.counts().faults)
      : json(404, { error: `there is no fault ${id}` })
  })

const publish = ({ control, body }: Ask): Answer =>
  Schema.decodeUnknownEffect(PublishBody)(body).pipe(
    Effect.flatMap(({ exchange, pair, change }) => control.publish(exchange, pair, change)),
    Effect.map((result) => json(200, { result }))
  )

const AccountQuery = Schema.Struct({ exchange: Schema.String, user: Schema.optional(Schema.String) })

/** One account, or all of an exchange. Says nothing of keys. */
const account = ({ engine, query }: Ask): Answer =>
  Effect.map(Schema.decodeUnknownEffect(AccountQuery)(query), ({ exchange, user }) => {
    const all = engine.accounts(exchange)?.all ?? []
    if (user === undefined) return json(200, all.map(truthOf))
    const found = all.find(({ userId }) => userId === user)
    return found === undefined
      ? json(404, { error: `there is no user ${user} on ${exchange}` })
      : json(200, truthOf(found))
  })

const ChangeBody = Schema.fromJsonString(
  Schema.Struct({ exchange: Schema.String, user: Schema.String, change: AccountChange })
)

const changeAccount = ({ body, control }: Ask): Answer =>
  Schema.decodeUnknownEffect(ChangeBody)(body).pipe(
    Effect.flatMap(({ change, exchange, user }) => control.change(exchange, user, change)),
    Effect.as(json(200, {}))
  )

const endpoints: Readonly<Record<string, (ask: Ask) => Answer>> = {
  "GET health": health,
  "GET counts": ({ engine }) => Effect.sync(() => json(200, engine.counts())),
  "GET truth": truth,
  "GET account": account,
  "POST account": changeAccount,
  "GET trades": ofMarket(Schema.Struct(Market), (market) => market.tradesSince(0)),
  "GET statistics": ofMarket(StatisticsQuery, (market, { since }) => market.statistics(since)),
  "GET kline": ofMarket(
    KlineQuery,
    (market, { at, interval, price = "last" }) =>
      price !== "last" && market.swap === null ? undefined : market.kline(interval, price, at)
  ),
  "GET swap": ofMarket(Schema.Struct(Market), (market) => market.swap === null ? undefined : market.swapState()),
  "GET liquidations": ofMarket(Schema.Struct(Market), (market) => market.swap?.liquidationsSince(0)),
  "GET fault": ({ engine }) => Effect.sync(() => json(200, engine.counts().faults)),
  "POST fault": ({ control, body }) => Effect.map(control.inject(faultOf(body)), (id) => json(200, { id })),
  "DELETE fault": clear,
  "POST publish": publish,
  "POST pause": pausing(true),
  "POST resume": pausing(false)
}

const admin = (
  engine: Engine,
  control: Control,
  { method, url, body }: GatewayRequest,
  name: string
): Effect.Effect<DialectResponse> => {
  const endpoint = endpoints[`${method} ${name}`]
  if (endpoint === undefined) return Effect.succeed(notFound(url.pathname))
  return endpoint({ engine, control, query: Object.fromEntries(url.searchParams), body }).pipe(
    Effect.catch(({ message }) => Effect.succeed(json(400, { error: message })))
  )
}
