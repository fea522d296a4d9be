/**
 * One account of an exchange: its keys, its clock, its budgets and its signed calls, each built once and shared by the
 * private stream, order entry and readings. Read `makePrivate` and `makeOrderEntry` and you know what they stand on.
 */
import { Clock, Context, Duration, Effect } from "effect"
import type { Scope } from "effect"
import type * as Digest from "effect/crypto/Digest"
import type * as Mac from "effect/crypto/Mac"
import * as HttpClient from "effect/http/HttpClient"
import type { AccountAdapter, AccountCalls, AccountRead } from "../AccountAdapter.ts"
import { AccountRest } from "../AccountRest.ts"
import * as Auth from "../connection/Auth.ts"
import type { Dial, Endpoint } from "../connection/Connection.ts"
import * as ConnectionMetrics from "../connection/ConnectionMetrics.ts"
import * as FrameSocket from "../connection/FrameSocket.ts"
import * as Heartbeat from "../connection/Heartbeat.ts"
import * as LifeSigns from "../connection/LifeSigns.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import * as ExchangeClock from "../ExchangeClock.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"
import type { OrderEntry } from "../OrderEntry.ts"
import type { PrivateWebsocket } from "../PrivateWebsocket.ts"
import * as RateLimits from "../RateLimits.ts"
import * as AccountMetrics from "./AccountMetrics.ts"
import * as DeskCounts from "./DeskCounts.ts"
import * as Listing from "./Listing.ts"
import * as OrderDesk from "./OrderDesk.ts"
import * as OrderSocketLink from "./OrderSocketLink.ts"
import * as Pages from "./Pages.ts"
import * as PrivateSession from "./PrivateSession.ts"
import { Symbols } from "./Symbols.ts"

/** Where an account lives. */
export type Environment = "live" | "testnet"

/** Everything but the credentials may be left out. */
export interface AccountOptions {
  /** Whose account. The name is for logs and metrics; the key and the secret reach nothing but signatures. */
  readonly credentials: Auth.Credentials
  /** `testnet` where the exchange has one (Gate); its keys are others. Default `live`. */
  readonly environment?: Environment | undefined
  /** WebSocket URL: the simulator's, a proxy's. That of the environment by default. */
  readonly url?: string | undefined
  /** WebSocket URL of order entry, where it has a socket of its own. `url` by default. */
  readonly orderUrl?: string | undefined
  /** REST base URL without trailing slash. That of the environment by default. */
  readonly restUrl?: string | undefined
  readonly socket?: FrameSocket.SocketOptions | undefined
  readonly reconnect?: Reconnect.ReconnectPolicy | undefined
  /** When to ping and when to give up. The adapter's by default. */
  readonly heartbeat?:
    | {
      readonly interval?: Duration.Input | undefined
      readonly timeout?: Duration.Input | undefined
      /** Ping a new connection that has brought nothing for this long. Default 500 ms. */
      readonly first?: Duration.Input | undefined
    }
    | undefined
  /** How long the exchange has to answer a subscription, and a login. Default 5 s. */
  readonly answerTimeout?: Duration.Input | undefined
  /** How long the exchange has to answer a REST reading. Default 10 s. */
  readonly requestTimeout?: Duration.Input | undefined
  /** Events held for each stream. Default 16,384. */
  readonly bufferSize?: number | undefined
  /** How the exchange's clock is measured, and how far off ours may be. */
  readonly clock?: Partial<ExchangeClock.ClockOptions> | undefined
  /** Whether to keep to the exchange's limits of requests. `off` for a simulator that enforces none. Default `exchange`. */
  readonly limits?: "exchange" | "off" | undefined
  /**
   * Pairs whose open orders and fills are looked up although the stream has not named them: where the exchange asks for a
   * pair (MEXC), nothing else is covered after a restart.
   */
  readonly reconcilePairs?: ReadonlyArray<TradingPair> | undefined
  readonly reconcile?: {
    /** From one comparison with the exchange to the next; null: only after a break. Default 1 minute. */
    readonly interval?: Duration.Input | null | undefined
    /** Fills since so long before the service was made are delivered too. Default none. */
    readonly lookback?: Duration.Input | undefined
    /** How long fills wait for those that were missed while the exchange does not answer. Default 30 s. */
    readonly holdFor?: Duration.Input | undefined
  } | undefined
  readonly orders?: {
    /** How long a command may wait for its turn and for a connection. Default 5 s. */
    readonly queueTimeout?: Duration.Input | undefined
    /** How long the exchange has to answer a command; what is answered later is `Unknown` until then. Default 5 s. */
    readonly answerTimeout?: Duration.Input | undefined
    /** The exchange refuses a request that reaches it later than this, where its adapter does not say. Default 5 s. */
    readonly expiry?: Duration.Input | undefined
  } | undefined
  /** Wraps every dial: fault injection. */
  readonly through?: ((dial: Dial) => Dial) | undefined
}

export const defaults = {
  answerTimeout: "5 seconds",
  requestTimeout: "10 seconds",
  reconcileInterval: "1 minute",
  holdFor: "30 seconds",
  queueTimeout: "5 seconds",
  orderAnswerTimeout: "5 seconds",
  expiry: "5 seconds"
} as const

/** What the services of one account share. */
export class Account extends Context.Service<Account, {
  readonly adapter: ExchangeAdapter
  readonly account: AccountAdapter
  readonly options: AccountOptions
  readonly signer: Auth.Signer
  readonly clock: ExchangeClock.ExchangeClock["Service"]
  readonly limits: RateLimits.RateLimits["Service"]
  readonly listing: Listing.Listing
  readonly symbols: Symbols
  /** As they are; whoever calls takes from the limits. */
  readonly bare: AccountCalls
  /** Within the limits and with a deadline. */
  readonly calls: AccountCalls
  readonly rest: AccountRest["Service"]
  readonly url: string
}>()("effect-exchange/account/Account") {}

const invalid = (exchange: string, detail: string) =>
  ExchangeError.make(exchange, new ExchangeError.InvalidUse({ detail }))

/** The addresses of the environment, unless the options name others. */
export const addresses = (
  adapter: ExchangeAdapter,
  { environment = "live", restUrl, url }: Pick<AccountOptions, "environment" | "restUrl" | "url">
): Effect.Effect<{ readonly url: string; readonly restUrl: string }, ExchangeError.ExchangeError> => {
  const found = environment === "live" ? adapter.urls : adapter.urls.testnet
  const websocket = url ?? found?.websocket
  const rest = restUrl ?? found?.rest
  return websocket === undefined || rest === undefined
    ? Effect.fail(
      invalid(adapter.id, `${adapter.name} has no test net; leave environment out, or give url and restUrl`)
    )
    : Effect.succeed({ url: websocket, restUrl: rest })
}

const accountOf = (adapter: ExchangeAdapter): Effect.Effect<AccountAdapter, ExchangeError.ExchangeError> =>
  adapter.account === undefined
    ? Effect.fail(invalid(adapter.id, `${adapter.name} has no account half: market data only`))
    : Effect.succeed(adapter.account)

const noLimits: RateLimits.RateLimits["Service"] = {
  take: () => Effect.void,
  pause: () => Effect.void,
  state: Effect.succeed([])
}

/** The exchange counts more than we do: everybody waits as long as it asks. */
const isTooMuch = ({ reason }: ExchangeError.ExchangeError): number | null =>
  reason._tag === "RequestFailed" && (reason.class === "rateLimit" || reason.retryAfterMs !== undefined)
    ? reason.retryAfterMs ?? 1_000
    : null

/** A refusal may say that our stamp was off. */
const doubtOf =
  ({ isStampOff }: AccountAdapter, clock: ExchangeClock.ExchangeClock["Service"]) =>
  (code: string, detail: string): void => {
    if (isStampOff?.(code, detail) === true) clock.doubt()
  }

/** Every call, with its failures seen. */
const watched = (
  calls: AccountCalls,
  onFailure: (error: ExchangeError.ExchangeError) => Effect.Effect<void>
): AccountCalls => {
  const seen = <A>(call: Effect.Effect<A, ExchangeError.ExchangeError>) => Effect.tapError(call, onFailure)
  const { funding, listenKeys, test } = calls
  return {
    userId: seen(calls.userId),
    balances: seen(calls.balances),
    positions: seen(calls.positions),
    positionMode: calls.positionMode === undefined ? undefined : seen(calls.positionMode),
    openOrders: (symbol, onUnreadable) => seen(calls.openOrders(symbol, onUnreadable)),
    fills: (query) => seen(calls.fills(query)),
    funding: funding === undefined ? undefined : (withinMs) => seen(funding(withinMs)),
    run: (command) => seen(calls.run(command)),
    test: test === undefined ? undefined : (order) => seen(test(order)),
    listenKeys: listenKeys === undefined ? undefined : {
      make: seen(listenKeys.make),
      renew: (key) => seen(listenKeys.renew(key)),
      remove: (key) => seen(listenKeys.remove(key))
    }
  }
}

/** The calls within the limits, each request with a deadline. */
const paced = (
  exchange: string,
  account: AccountAdapter,
  bare: AccountCalls,
  limits: RateLimits.RateLimits["Service"],
  timeout: number
): AccountCalls => {
  const late = (request: string) =>
    Effect.fail(ExchangeError.make(
      exchange,
      new ExchangeError.RequestFailed({
        request,
        status: null,
        code: "timeout",
        detail: `no answer within ${timeout} ms`,
        class: "retryable"
      })
    ))
  const within = <A>(
    name: string,
    uses: ReadonlyArray<RateLimits.Use>,
    call: Effect.Effect<A, ExchangeError.ExchangeError>
  ): Effect.Effect<A, ExchangeError.ExchangeError> =>
    Effect.andThen(
      limits.take(uses, timeout),
      Pages.within(call, { withinMs: timeout, turn: limits.take(uses, timeout) }, Effect.suspend(() => late(name)))
    ).pipe(
      Effect.tapError((error) => {
        const wait = isTooMuch(error)
        return wait === null ? Effect.void : limits.pause(uses, wait)
      })
    )
  const read = <A>(what: AccountRead, call: Effect.Effect<A, ExchangeError.ExchangeError>) =>
    within(what, account.uses?.(what) ?? [], call)
  const { funding, listenKeys } = bare
  let userId: string | null = null
  return {
    userId: Effect.suspend(() =>
      userId !== null
        ? Effect.succeed(userId)
        : Effect.tap(read("userId", bare.userId), (found) =>
          Effect.sync(() => {
            userId = found
          }))
    ),
    balances: read("balances", bare.balances),
    positions: read("positions", bare.positions),
    positionMode: bare.positionMode === undefined ? undefined : read("positionMode", bare.positionMode),
    openOrders: (symbol, onUnreadable) => read("openOrders", bare.openOrders(symbol, onUnreadable)),
    fills: (query) => read("fills", bare.fills(query)),
    funding: funding === undefined ? undefined : (withinMs) => read("funding", funding(withinMs)),
    run: (command) => within(command._tag, account.orders.uses(command), bare.run(command)),
    listenKeys: listenKeys === undefined ? undefined : {
      make: read("listenKey", listenKeys.make),
      renew: (key) => read("listenKey", listenKeys.renew(key)),
      remove: (key) => read("listenKey", listenKeys.remove(key))
    }
  }
}

/** `AccountRest` over an account's calls. */
const readings = (
  adapter: ExchangeAdapter,
  account: AccountAdapter,
  name: string,
  calls: AccountCalls,
  listing: Listing.Listing
): AccountRest["Service"] => {
  const symbolOf = (pair: TradingPair | undefined): Effect.Effect<string | null, ExchangeError.ExchangeError> => {
    if (pair !== undefined) return Effect.map(listing.instrument(pair), ({ symbol }) => symbol)
    return account.needsPair
      ? Effect.fail(invalid(adapter.id, `${adapter.name} looks fills and orders up by pair: name one`))
      : Effect.succeed(null)
  }
  return AccountRest.of({
    exchange: adapter.id,
    account: name,
    userId: calls.userId,
    balances: calls.balances,
    positions: account.channels.has("Positions")
      ? Effect.andThen(listing.read, calls.positions)
      : Effect.fail(lacking(adapter, "Positions", "has no positions")),
    positionMode: calls.positionMode ?? Effect.fail(lacking(adapter, "positionMode", "tells no position mode here")),
    openOrders: (pair) =>
      Effect.andThen(listing.read, Effect.flatMap(symbolOf(pair), (symbol) => calls.openOrders(symbol))),
    fills: ({ pair, since }) =>
      Effect.andThen(
        listing.read,
        Effect.flatMap(symbolOf(pair), (symbol) => calls.fills({ symbol, since: since ?? null }))
      ),
    funding: (within) =>
      calls.funding === undefined
        ? Effect.fail(lacking(adapter, "funding", "has no history of funding payments here"))
        : Effect.andThen(listing.read, calls.funding(Duration.toMillis(within))),
    needsPair: account.needsPair
  })
}

const lacking = ({ id, name }: ExchangeAdapter, channel: string, what: string): ExchangeError.ExchangeError =>
  ExchangeError.make(
    id,
    new ExchangeError.UnsupportedChannel({
      channel,
      detail: `${name} ${what}`
    })
  )

/**
 * Everything that the services of one account share. Fails when the options cannot be. `pause`: what the market's calls hold
 * to, see `RateLimits.make`.
 */
export const make = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  market: MarketRest["Service"],
  options: AccountOptions,
  pause: { until: number } = { until: Number.NEGATIVE_INFINITY }
): Effect.fn.Return<
  Account["Service"],
  ExchangeError.ExchangeError,
  HttpClient.HttpClient | Mac.Mac | Digest.Digest | Scope.Scope
> {
  const account = yield* accountOf(adapter)
  const { restUrl, url } = yield* addresses(adapter, options)
  const client = yield* HttpClient.HttpClient
  const signer = yield* Auth.makeSigner(options.credentials, account.algorithm)
  const clock = yield* ExchangeClock.make(adapter.id, market.serverTime, {
    ...ExchangeClock.defaults,
    ...options.clock
  })
  const limits = options.limits === "off" ? noLimits : yield* RateLimits.make(adapter.id, {
    pause: account.throttlesAll === true ? pause : undefined
  })
  const listing = Listing.make(market)
  const doubt = doubtOf(account, clock)
  const timeout = Duration.toMillis(options.requestTimeout ?? defaults.requestTimeout)
  const { instrumentOf } = listing
  const bare = watched(
    account.makeCalls({ client, url: restUrl, signer, now: clock.now, instrumentOf }),
    ({ reason }) => reason._tag === "RequestFailed" ? Effect.sync(() => doubt(reason.code, reason.detail)) : Effect.void
  )
  const calls = paced(adapter.id, account, bare, limits, timeout)
  const symbols = yield* Effect.forEach(options.reconcilePairs ?? [], (pair) => {
    const symbol = adapter.symbol(pair)
    return symbol === null
      ? Effect.fail(invalid(adapter.id, `reconcilePairs: ${pair} is no pair of ${adapter.name}`))
      : Effect.succeed(symbol)
  })
  return Account.of({
    adapter,
    account,
    options,
    signer,
    clock,
    limits,
    listing,
    symbols: new Symbols(symbols),
    bare,
    calls,
    rest: readings(adapter, account, signer.account, calls, listing),
    url
  })
})

/** A socket with its metrics and its heartbeat. */
const dialOf = Effect.fnUntraced(function*({ account, adapter, options }: Account["Service"]) {
  const frameSocket = yield* FrameSocket.FrameSocket
  const clock = yield* Clock.Clock
  const exchange = adapter.id
  const { heartbeat } = account.stream
  let id = 0
  const stamp = () => ({
    nowMillis: clock.currentTimeMillisUnsafe(),
    nextId: () => id = (id % 2_147_483_647) + 1
  })
  return (url: string, endpoint: Effect.Effect<Endpoint, ExchangeError.ExchangeError, Scope.Scope>): Dial => {
    const dial = Effect.provideService(
      FrameSocket.dial(exchange, endpoint, options.socket).pipe(
        ConnectionMetrics.withMetrics({ exchange }),
        Heartbeat.withHeartbeat({
          exchange,
          interval: options.heartbeat?.interval ?? heartbeat.interval,
          timeout: options.heartbeat?.timeout ?? heartbeat.timeout,
          first: options.heartbeat?.first,
          signs: LifeSigns.at(frameSocket, exchange, url),
          ping: () => heartbeat.ping(stamp())
        })
      ),
      FrameSocket.FrameSocket,
      frameSocket
    )
    return options.through === undefined ? dial : options.through(dial)
  }
})

/** The private stream of an account. */
export const makePrivate = Effect.fnUntraced(function*(
  core: Account["Service"]
): Effect.fn.Return<PrivateWebsocket["Service"], never, FrameSocket.FrameSocket | Scope.Scope> {
  const { account, adapter, calls, clock, listing, options, signer, symbols, url } = core
  const { holdFor, interval, lookback } = options.reconcile ?? {}
  const dial = yield* dialOf(core)
  return yield* PrivateSession.make({
    exchange: adapter.id,
    account,
    calls,
    signer,
    now: clock.now,
    clockError: Effect.map(clock.reading, (reading) => reading?.errorMs ?? 0),
    instruments: listing.read,
    instrumentOf: listing.instrumentOf,
    symbols,
    url,
    dial: (endpoint) => dial(url, endpoint),
    policy: options.reconnect ?? Reconnect.defaults,
    answerTimeout: options.answerTimeout ?? defaults.answerTimeout,
    bufferSize: options.bufferSize,
    reconcile: {
      interval: interval === undefined ? defaults.reconcileInterval : interval,
      lookback: lookback ?? 0,
      holdFor: holdFor ?? defaults.holdFor
    }
  })
})

/** The socket of order entry, where the exchange has one. */
const linkOf = Effect.fnUntraced(function*(core: Account["Service"], onStatus: (status: ConnectionStatus) => void) {
  const { account, adapter, clock, listing, options, signer, url } = core
  const { socket } = account.orders
  if (socket === null) return null
  const orderUrl = options.orderUrl ?? url
  const dial = yield* dialOf(core)
  return yield* OrderSocketLink.make({
    exchange: adapter.id,
    socket,
    dial: dial(orderUrl, Effect.sync(() => socket.endpoint(orderUrl))),
    signer,
    policy: options.reconnect ?? Reconnect.defaults,
    instrumentOf: listing.instrumentOf,
    now: clock.now,
    loginTimeout: options.answerTimeout ?? defaults.answerTimeout,
    onRefused: doubtOf(account, clock),
    onStatus
  })
})

/** Order entry of an account: over its own socket where the exchange has one, else over REST. */
export const makeOrderEntry = Effect.fnUntraced(function*(
  core: Account["Service"],
  onStatus: (status: ConnectionStatus) => void = () => {}
): Effect.fn.Return<OrderEntry["Service"], never, FrameSocket.FrameSocket | Scope.Scope> {
  const { account, adapter, bare, clock, limits, listing, options: { orders = {} }, signer, symbols } = core
  const counts = DeskCounts.noCounts()
  yield* AccountMetrics.ofOrders(adapter.id, signer.account, counts)
  return yield* OrderDesk.make({
    exchange: adapter.id,
    protocol: account.orders,
    calls: bare,
    link: yield* linkOf(core, onStatus),
    exchangeNow: clock.now,
    limits,
    readUses: (read) => account.uses?.(read) ?? [],
    instrument: (pair) => Effect.tap(listing.instrument(pair), ({ symbol }) => Effect.sync(() => symbols.add(symbol))),
    listed: listing.read,
    queueTimeout: orders.queueTimeout ?? defaults.queueTimeout,
    answerTimeout: orders.answerTimeout ?? defaults.orderAnswerTimeout,
    expiry: account.orders.expiry ?? orders.expiry ?? defaults.expiry,
    counts
  })
})
