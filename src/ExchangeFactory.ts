/**
 * Puts an adapter and the connection's functions together and returns Layers. Read `dialOf` and `makePublic` and you
 * know what a connection is made of.
 */
import { Config, Context, Duration, Effect, Latch, Layer, Option } from "effect"
import type { Scope } from "effect"
import type * as Digest from "effect/crypto/Digest"
import type * as Mac from "effect/crypto/Mac"
import * as HttpClient from "effect/http/HttpClient"
import * as Account from "./account/Account.ts"
import { AccountRest } from "./AccountRest.ts"
import type { Credentials } from "./connection/Auth.ts"
import type { Dial } from "./connection/Connection.ts"
import * as ConnectionMetrics from "./connection/ConnectionMetrics.ts"
import * as FrameSocket from "./connection/FrameSocket.ts"
import * as Heartbeat from "./connection/Heartbeat.ts"
import * as Journal from "./connection/Journal.ts"
import type { Answer } from "./connection/JournalFormat.ts"
import * as JournalHttp from "./connection/JournalHttp.ts"
import * as LifeSigns from "./connection/LifeSigns.ts"
import * as Reconnect from "./connection/Reconnect.ts"
import * as Staleness from "./connection/Staleness.ts"
import type { InstrumentOf } from "./domain/Instrument.ts"
import type { ExchangeAdapter, Rest, RestOptions } from "./ExchangeAdapter.ts"
import * as ExchangeClock from "./ExchangeClock.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import * as MarketRest from "./MarketRest.ts"
import { OrderEntry } from "./OrderEntry.ts"
import { PrivateWebsocket } from "./PrivateWebsocket.ts"
import { PublicWebsocket } from "./PublicWebsocket.ts"
import { RateLimits } from "./RateLimits.ts"
import * as PublicSession from "./session/PublicSession.ts"
import * as ReplaySession from "./session/ReplaySession.ts"
import * as Session from "./session/Session.ts"
import type { RedundantOptions, WebsocketOptions } from "./session/WebsocketOptions.ts"
import { config, defaults, given, merge, prefixOf } from "./session/WebsocketOptions.ts"

export type { RedundantOptions, WebsocketOptions } from "./session/WebsocketOptions.ts"
export { config, defaults, prefixOf } from "./session/WebsocketOptions.ts"

/** The share of the age at which the exchange ends a connection at which it is replaced. */
const rotationShare = 0.95

/** When connections are replaced. */
const rotationOf = ({ limits }: ExchangeAdapter, { rotateAfter }: WebsocketOptions): Duration.Input | null => {
  if (rotateAfter !== undefined) return rotateAfter
  return limits.connectionAge === null ? null : Duration.toMillis(limits.connectionAge) * rotationShare
}

/** The adapter with the limits of the options. */
const limited = (adapter: ExchangeAdapter, { limits }: WebsocketOptions): ExchangeAdapter =>
  limits === undefined ? adapter : { ...adapter, limits: { ...adapter.limits, ...given(limits) } }

/** A socket, and its journal where one is kept. */
const socketOf = (
  adapter: ExchangeAdapter,
  options: WebsocketOptions,
  url: string,
  link: number
): Dial<FrameSocket.FrameSocket> => {
  const socket = FrameSocket.dial(adapter.id, Effect.sync(() => adapter.endpoint(url)), options.socket)
  return options.journal === undefined ? socket : Journal.withJournal(options.journal, link)(socket)
}

/** One dial of an exchange: a socket, its metrics, its heartbeat, and a watch over data that stops coming. */
const dialOf = (
  adapter: ExchangeAdapter,
  options: WebsocketOptions,
  url: string,
  clock: () => number,
  signs: LifeSigns.LifeSigns,
  link: number
): Dial<FrameSocket.FrameSocket> => {
  const exchange = adapter.id
  let id = 1
  const stamp = () => ({ nowMillis: clock(), nextId: () => id = (id % 2_147_483_647) + 1 })
  const staleAfter = options.staleAfter === undefined ? defaults.staleAfter : options.staleAfter
  const alive = socketOf(adapter, options, url, link).pipe(
    ConnectionMetrics.withMetrics({ exchange }),
    Heartbeat.withHeartbeat({
      exchange,
      interval: options.heartbeat?.interval ?? adapter.heartbeat.interval,
      timeout: options.heartbeat?.timeout ?? adapter.heartbeat.timeout,
      first: options.heartbeat?.first,
      signs,
      takesTurns: false,
      ping: () => adapter.heartbeat.ping(stamp())
    })
  )
  return staleAfter === null ? alive : Staleness.withStaleness({ exchange, after: staleAfter })(alive)
}

/** The REST calls, with their answers written down where a journal is kept. A snapshot is found by its answer again. */
const restOf = (adapter: ExchangeAdapter, options: RestOptions, journal: Journal.Recorder | undefined): Rest => {
  if (journal === undefined) return adapter.makeRest(options)
  const { client, url } = options
  const rest = adapter.makeRest({ ...options, client: JournalHttp.recording(client, journal, { url, book: false }) })
  return {
    ...rest,
    book: (symbol, channel, attempt) =>
      Effect.suspend(() => {
        let answer = 0
        const onAnswer = (number: number): void => {
          answer = number
        }
        const recording = JournalHttp.recording(client, journal, { url, book: true, onAnswer })
        const book = adapter.makeRest({ ...options, client: recording }).book(symbol, channel, attempt)
        return Effect.tap(book, ({ bids }) => Effect.sync(() => journal.sources.set(bids, { answer, attempt })))
      })
  }
}

/** The paced REST calls of an exchange. */
export const makeRest = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  options: WebsocketOptions = {},
  instrumentOf: InstrumentOf = () => undefined,
  pause?: MarketRest.Pace["pause"]
) {
  const client = yield* HttpClient.HttpClient
  const rest = restOf(adapter, { client, url: options.restUrl ?? adapter.urls.rest, instrumentOf }, options.journal)
  const { restBurst, restConcurrency, restPerSecond } = limited(adapter, options).limits
  return yield* MarketRest.paced(rest, adapter.id, {
    perSecond: restPerSecond,
    burst: restBurst,
    concurrency: restConcurrency,
    timeout: options.requestTimeout ?? defaults.requestTimeout,
    pause
  })
})

const urlsOf = (adapter: ExchangeAdapter, { url, urls = [] }: RedundantOptions): ReadonlyArray<string> =>
  urls.length > 0 ? urls : [url ?? adapter.urls.websocket]

/** `PublicWebsocket` of an exchange over the given REST calls. */
export const makePublic = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  rest: MarketRest.MarketRest["Service"],
  options: RedundantOptions = {}
): Effect.fn.Return<PublicWebsocket["Service"], never, FrameSocket.FrameSocket | Scope.Scope> {
  const frameSocket = yield* FrameSocket.FrameSocket
  const clock = yield* Effect.clockWith(Effect.succeed)
  const urls = urlsOf(adapter, options)
  const urlOf = (group: number): string => urls[group % urls.length]!
  const signsOf = (group: number): LifeSigns.LifeSigns => LifeSigns.at(frameSocket, adapter.id, urlOf(group))
  const dial = (link: number, group: number): Dial => {
    const url = urlOf(group)
    const signs = signsOf(group)
    return Effect.provideService(
      dialOf(adapter, options, url, () => clock.currentTimeMillisUnsafe(), signs, link),
      FrameSocket.FrameSocket,
      frameSocket
    )
  }
  const within = limited(adapter, options)
  const session = yield* Session.make({
    adapter: within,
    rest,
    connections: Math.max(1, Math.floor(options.connections ?? 1)),
    rotateAfter: rotationOf(within, options),
    dial: (link, group) => options.through === undefined ? dial(link, group) : options.through(dial(link, group)),
    turn: (group) => signsOf(group).turn(clock),
    journal: options.journal,
    reconnect: options.reconnect ?? Reconnect.defaults,
    answerTimeout: options.answerTimeout ?? defaults.answerTimeout,
    idleTimeout: options.idleTimeout ?? defaults.idleTimeout,
    silence: { ...adapter.silence, ...options.silence }
  })
  return yield* PublicSession.make(session, { bufferSize: options.bufferSize })
})

/** What the market Layers of an exchange give. */
export type MarketServices = PublicWebsocket | MarketRest.MarketRest | ExchangeClock.ExchangeClock

type PublicLayer = Layer.Layer<MarketServices, never, FrameSocket.FrameSocket | HttpClient.HttpClient>

/** Measures when it is first asked. */
const clockOf = (adapter: ExchangeAdapter) =>
  Layer.effect(
    ExchangeClock.ExchangeClock,
    Effect.flatMap(MarketRest.MarketRest, ({ serverTime }) => ExchangeClock.make(adapter.id, serverTime))
  )

const publicOver = (adapter: ExchangeAdapter, options: RedundantOptions): PublicLayer =>
  Layer.effect(
    PublicWebsocket,
    Effect.flatMap(MarketRest.MarketRest, (rest) => makePublic(adapter, rest, options))
  ).pipe(
    Layer.merge(clockOf(adapter)),
    Layer.provideMerge(Layer.effect(MarketRest.MarketRest, makeRest(adapter, options)))
  )

/** The market services of one exchange. What opens sockets and what speaks HTTP is injected. */
export const layerPublic = (adapter: ExchangeAdapter, options: WebsocketOptions = {}): PublicLayer =>
  publicOver(adapter, options)

/**
 * The same with every topic on several sockets at once: the first arrival of each event is delivered, and losing all but
 * one of them is not to be noticed. `PublicWebsocket.performance` tells what it gained.
 */
export const layerRedundant = (adapter: ExchangeAdapter, options: RedundantOptions = {}): PublicLayer =>
  publicOver(adapter, { connections: 2, ...given(options) })

export interface ReplayOptions {
  /** `1`: in the time that the recording took; `10`: ten times faster; `max`, the default: as its readers read. */
  readonly speed?: ReplaySession.Speed | undefined
  /** Events held for each stream that does not say otherwise. Default 1024. */
  readonly bufferSize?: number | undefined
}

/** What is being replayed. */
export class Replay extends Context.Service<Replay, {
  readonly recording: Journal.Recording
  /** The recorded time of what was played last, ms; 0 before the first. */
  readonly now: () => number
  /** Waits for the end of the recording. The streams end right behind it. */
  readonly ended: Effect.Effect<void>
}>()("effect-exchange/ExchangeFactory/Replay") {}

/**
 * The REST answers of a recording: each request gets its answers in their order, the last one again and again; one for a
 * book gets what the exchange had answered when the replay came by.
 */
const answersOf = (recording: Journal.Recording, books: ReadonlyMap<string, Answer>) => {
  const queues = new Map<string, Array<Answer>>()
  for (const answer of recording.answers) {
    const queue = queues.get(answer.request)
    if (queue === undefined) queues.set(answer.request, [answer])
    else queue.push(answer)
  }
  return (request: string) => {
    const queue = queues.get(request)
    if (queue === undefined) return books.get(request)
    return queue.length > 1 ? queue.shift() : queue[0]
  }
}

/**
 * The services of an exchange over a recording of it. Frames pass the same decoders, topics and books as in the recorded
 * session, with the recorded times, and its breaks come where they came. It is played once, from when somebody listens,
 * and then the streams end. A channel that was not recorded is refused with `UnsupportedChannel`.
 */
export const layerReplay = (
  adapter: ExchangeAdapter,
  recording: Journal.Recording,
  { bufferSize, speed = "max" }: ReplayOptions = {}
): Layer.Layer<PublicWebsocket | MarketRest.MarketRest | Replay, Journal.JournalError> =>
  Layer.effectContext(Effect.gen(function*() {
    if (recording.header.exchange !== adapter.id) {
      const detail = `it was recorded from ${recording.header.exchange}, not from ${adapter.id}`
      return yield* new Journal.JournalError({ kind: "exchange", detail })
    }
    const url = "http://recording"
    const books = new Map<string, Answer>()
    const client = JournalHttp.answering(answersOf(recording, books), url)
    const rest = yield* MarketRest.paced(
      adapter.makeRest({ client, url, instrumentOf: () => undefined }),
      adapter.id,
      { perSecond: 1_000_000, concurrency: 1_000_000 }
    )
    const { now, play, session } = yield* ReplaySession.make({ adapter, books, recording, rest, speed })
    const websocket = yield* PublicSession.make(session, { bufferSize })
    const ended = yield* Latch.make(false)
    // Who waits for the end has a turn before the streams end.
    const end = Effect.andThen(ended.open, Effect.andThen(Effect.yieldNow, websocket.close))
    yield* Effect.forkScoped(Effect.andThen(play, end))
    return Context.make(PublicWebsocket, websocket).pipe(
      Context.add(MarketRest.MarketRest, rest),
      Context.add(Replay, { recording, now, ended: ended.await })
    )
  }))

/** The same Layer with its options from the configuration; `overrides` win. */
export const layerPublicConfig = (
  adapter: ExchangeAdapter,
  overrides: WebsocketOptions = {}
): Layer.Layer<MarketServices, Config.ConfigError, FrameSocket.FrameSocket | HttpClient.HttpClient> =>
  Layer.unwrap(Effect.map(config(adapter), (options) => layerPublic(adapter, merge(options, overrides))))

// ---- the account ----------------------------------------------------------------------------------------------------

export type { AccountOptions, Environment } from "./account/Account.ts"
export type { Credentials } from "./connection/Auth.ts"

/** What every Layer of an account gives beside its own service: all of them share it. */
export type AccountCore = AccountRest | ExchangeClock.ExchangeClock | RateLimits | MarketRest.MarketRest

/** What the Layers of an account are given: sockets, HTTP and keyed hashes, see `Auth.layer`. */
export type AccountNeeds = FrameSocket.FrameSocket | HttpClient.HttpClient | Mac.Mac | Digest.Digest

const coreOf = (adapter: ExchangeAdapter, options: Account.AccountOptions) => {
  const { requestTimeout, restUrl } = options
  const account = Layer.effectContext(Effect.gen(function*() {
    // Where the exchange throttles an address, readings of the market and of the account wait together.
    const pause = adapter.account?.throttlesAll === true ? { until: Number.NEGATIVE_INFINITY } : undefined
    const found = yield* Account.addresses(adapter, options)
    const market = yield* makeRest(adapter, { restUrl: restUrl ?? found.restUrl, requestTimeout }, undefined, pause)
    return Context.make(MarketRest.MarketRest, market).pipe(
      Context.add(Account.Account, yield* Account.make(adapter, market, options, pause))
    )
  }))
  const services = Layer.effectContext(
    Effect.map(
      Account.Account,
      ({ clock, limits, rest }) =>
        Context.make(AccountRest, rest).pipe(
          Context.add(ExchangeClock.ExchangeClock, clock),
          Context.add(RateLimits, limits)
        )
    )
  )
  return Layer.provideMerge(services, account)
}

type Core = ReturnType<typeof coreOf>

const cores = new WeakMap<Account.AccountOptions, Map<string, Core>>()

/** One for each account: the same options give the same Layer, which is built once in a program. */
const coreFor = (adapter: ExchangeAdapter, options: Account.AccountOptions): Core => {
  const known = cores.get(options) ?? new Map<string, Core>()
  cores.set(options, known)
  const core = known.get(adapter.id) ?? coreOf(adapter, options)
  known.set(adapter.id, core)
  return core
}

/** Made anew for every account: a Layer that two accounts shared would be built once, for the first of them. */
const privateOver = (core: Core) =>
  Layer.provideMerge(Layer.effect(PrivateWebsocket, Effect.flatMap(Account.Account, Account.makePrivate)), core)

const ordersOver = (core: Core) =>
  Layer.provideMerge(
    Layer.effect(OrderEntry, Effect.flatMap(Account.Account, (account) => Account.makeOrderEntry(account))),
    core
  )

/** An account's events. Wrong keys are told by `initialize`; options that cannot be, here. */
export const layerPrivate = (
  adapter: ExchangeAdapter,
  options: Account.AccountOptions
): Layer.Layer<PrivateWebsocket | AccountCore, ExchangeError, AccountNeeds> => privateOver(coreFor(adapter, options))

/** An account's commands. */
export const layerOrderEntry = (
  adapter: ExchangeAdapter,
  options: Account.AccountOptions
): Layer.Layer<OrderEntry | AccountCore, ExchangeError, AccountNeeds> => ordersOver(coreFor(adapter, options))

/** Everything of one account: its events, its commands and its readings, over one clock and one set of limits. */
export const layerAccount = (
  adapter: ExchangeAdapter,
  options: Account.AccountOptions
): Layer.Layer<PrivateWebsocket | OrderEntry | AccountCore, ExchangeError, AccountNeeds> =>
  Layer.merge(privateOver(coreFor(adapter, options)), ordersOver(coreFor(adapter, options)))

/** What the Layer of a whole exchange gives. */
export type Services = MarketServices | PrivateWebsocket | OrderEntry | AccountCore

/** What the Layer of a whole exchange is told. */
export interface ExchangeOptions extends Account.AccountOptions {
  /** Of the market alone. Its addresses are those of the account's environment unless it names others. */
  readonly market?: RedundantOptions | undefined
}

/** Everything of one exchange, the market and one account, over one set of public REST calls: their budget is not split. */
export const layer = (
  adapter: ExchangeAdapter,
  { market, ...options }: ExchangeOptions
): Layer.Layer<Services, ExchangeError, AccountNeeds> => {
  const core = coreFor(adapter, options)
  const websocket = Effect.gen(function*() {
    const { url } = yield* Account.addresses(adapter, options)
    return yield* makePublic(adapter, yield* MarketRest.MarketRest, { url, ...given(market) })
  })
  return Layer.mergeAll(
    Layer.provideMerge(Layer.effect(PublicWebsocket, websocket), core),
    privateOver(core),
    ordersOver(core)
  )
}

/** The same with its keys and options from the configuration; `overrides` win. See `layerAccountConfig` and `config`. */
export const layerConfig = (
  adapter: ExchangeAdapter,
  { market, ...overrides }: ExchangeConfigOptions = {}
): Layer.Layer<Services, ExchangeError | Config.ConfigError, AccountNeeds> =>
  Layer.unwrap(Effect.gen(function*() {
    const options = yield* accountOptions(adapter, overrides)
    // Addresses and the environment are the account's to say: the market follows.
    const { restUrl: _rest, url: _url, ...found } = yield* config(adapter)
    return layer(adapter, { ...options, market: merge(found, market ?? {}) })
  }))

/** Keys are the exchange's, not the market's: Gate's spot and futures share theirs. `GATE_` for `gate-spot`. */
export const credentialPrefixOf = (adapter: ExchangeAdapter, account?: string): string => {
  const exchange = adapter.id.split("-")[0]!.toUpperCase()
  return account === undefined ? `${exchange}_` : `${exchange}_${account.toUpperCase().replaceAll("-", "_")}_`
}

/** Reads `<EXCHANGE>_API_KEY` and `<EXCHANGE>_API_SECRET`; of a named account `<EXCHANGE>_<ACCOUNT>_API_KEY`. */
export const credentials = (adapter: ExchangeAdapter, account?: string): Config.Config<Credentials> => {
  const prefix = credentialPrefixOf(adapter, account)
  return Config.all({
    account: Config.succeed(account ?? "main"),
    key: Config.Redacted(`${prefix}API_KEY`),
    secret: Config.Redacted(`${prefix}API_SECRET`)
  })
}

/** The options of an account that come from the configuration where they are left out. */
export interface AccountConfigOptions extends Omit<Account.AccountOptions, "credentials"> {
  readonly credentials?: Credentials | undefined
  /** Which of several accounts, see `credentials`. */
  readonly account?: string | undefined
}

/** The options of a whole exchange that come from the configuration where they are left out. */
export interface ExchangeConfigOptions extends AccountConfigOptions {
  /** As in `ExchangeOptions`. */
  readonly market?: RedundantOptions | undefined
}

const accountOptions = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  { account, ...overrides }: AccountConfigOptions
): Effect.fn.Return<Account.AccountOptions, Config.ConfigError> {
  const prefix = prefixOf(adapter)
  const optional = <A>(config: Config.Config<A>) => Config.map(Config.option(config), Option.getOrUndefined)
  const found = yield* Config.all({
    url: optional(Config.NonEmptyString(`${prefix}WS_URL`)),
    restUrl: optional(Config.NonEmptyString(`${prefix}REST_URL`)),
    environment: optional(Config.Literals(["live", "testnet"], `${prefix}ENVIRONMENT`))
  })
  const keys = overrides.credentials ?? (yield* credentials(adapter, account))
  return { ...found, ...given(overrides), credentials: keys }
})

/**
 * `layerAccount` with its keys from the configuration, and `<PREFIX>WS_URL`, `<PREFIX>REST_URL` and `<PREFIX>ENVIRONMENT`
 * (`live` or `testnet`), where `<PREFIX>` is that of `prefixOf`.
 */
export const layerAccountConfig = (
  adapter: ExchangeAdapter,
  overrides: AccountConfigOptions = {}
): Layer.Layer<PrivateWebsocket | OrderEntry | AccountCore, ExchangeError | Config.ConfigError, AccountNeeds> =>
  Layer.unwrap(Effect.map(accountOptions(adapter, overrides), (options) => layerAccount(adapter, options)))
