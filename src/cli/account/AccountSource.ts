/** Whose account a command is about: a seeded one of the embedded simulator, a test net's, or a real one. */
import { Effect, Option, Redacted } from "effect"
import type { Config, Layer, Scope } from "effect"
import { Flag } from "effect/cli"
import type { Credentials } from "../../connection/Auth.ts"
import type { Order } from "../../domain/Account.ts"
import type { Instrument, TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { Addresses, ExchangeAdapter } from "../../ExchangeAdapter.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import * as ExchangeFactory from "../../ExchangeFactory.ts"
import * as Exchanges from "../../Exchanges.ts"
import type { KnownExchange } from "../../Exchanges.ts"
import { MarketRest } from "../../MarketRest.ts"
import type { OrderEntry } from "../../OrderEntry.ts"
import { demoAccounts, dialects } from "../../SimulatedExchanges.ts"
import * as Simulator from "../../simulator/Simulator.ts"
import type { SimulatorService } from "../../simulator/Simulator.ts"
import * as Failure from "../Failure.ts"
import * as Flags from "../Flags.ts"
import * as Refusal from "../Refusal.ts"
import * as Trader from "./Trader.ts"

export type Kind = "simulator" | "url" | "testnet" | "live"

export type Services = Exchanges.AccountServices

export interface Source {
  readonly kind: Kind
  readonly adapter: ExchangeAdapter
  readonly urls: Addresses
  /** Name of the account, never a key. */
  readonly account: string
  /** `simulated, seed 1`, `LIVE`. */
  readonly origin: string
  readonly layer: Layer.Layer<Services, Config.ConfigError | ExchangeError>
  /** The same exchange's market data: instruments, for which no key is needed. */
  readonly market: Layer.Layer<Exchanges.MarketServices>
  /** Trades on an account that is simulated, for ever; on any other it does nothing. */
  readonly trade: (openOrders: () => ReadonlyArray<Order>) => Effect.Effect<void, never, OrderEntry | MarketRest>
}

// ---- flags ----------------------------------------------------------------------------------------------------------

export const account = Flag.String("account").pipe(
  Flag.withMetavar("NAME"),
  Flag.withDescription(
    "Which account of the real exchange: its key is <EXCHANGE>_<NAME>_API_KEY. Without it: <EXCHANGE>_API_KEY"
  ),
  Flag.filter((name) => /^[\w-]+$/u.test(name), () => "letters, digits, - and _"),
  Flag.optional
)

export const flags = {
  live: Flag.Boolean("live").pipe(
    Flag.withDescription("The real exchange instead of the simulator, with the key from the environment"),
    Flag.withDefault(false)
  ),
  testnet: Flag.Boolean("testnet").pipe(
    Flag.withDescription("The exchange's test net, where it has one, with the test net's key from the environment"),
    Flag.withDefault(false)
  ),
  account,
  wsUrl: Flags.wsUrl,
  restUrl: Flags.restUrl,
  seed: Flags.seed
}

export interface Asked {
  readonly exchange: KnownExchange
  readonly live: boolean
  readonly testnet: boolean
  readonly account: Option.Option<string>
  readonly wsUrl: Option.Option<string>
  readonly restUrl: Option.Option<string>
  readonly seed: number
  /** What has to be looked up by pair, where the exchange asks for one; the simulator has these pairs. */
  readonly pairs?: ReadonlyArray<TradingPair> | undefined
}

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"])

/** Whether an address is of this machine. */
export const isHere = (url: string): boolean => loopback.has(new URL(url).hostname)

/** Whether the flags fit together; the failure says what does not. */
const conflictOf = ({ account, live, restUrl, testnet, wsUrl }: Asked): string | null => {
  if (Option.isSome(wsUrl) !== Option.isSome(restUrl)) return "--ws-url and --rest-url are needed together"
  if (testnet && (live || Option.isSome(wsUrl))) return "--testnet excludes --live, --ws-url and --rest-url"
  if (Option.isSome(account) && !live && !testnet) {
    return "--account names a key of yours, and a simulated account needs none: add --live or --testnet, or leave it out"
  }
  const away = [wsUrl, restUrl].flatMap(Option.toArray).find((url) => !isHere(url))
  return away === undefined || live ? null : `${away} is not on this machine: add --live if it is a real exchange`
}

const kindOf = ({ live, testnet, wsUrl }: Asked): Kind => {
  if (live) return "live"
  if (testnet) return "testnet"
  return Option.isSome(wsUrl) ? "url" : "simulator"
}

const origins: Readonly<Record<Kind, (seed: number) => string>> = {
  simulator: (seed) => `simulated, seed ${seed}`,
  url: () => "of another process",
  testnet: () => "TEST NET",
  live: () => "LIVE"
}

// ---- layers ---------------------------------------------------------------------------------------------------------

/** The key of the account that every simulator of ours begins with: `exchange simulate`, the embedded one, the demo's. */
export const demoCredentials = (exchange: KnownExchange): Credentials => {
  const { apiKey, secret } = demoAccounts[exchange]![0]!.keys[0]!
  return { account: "demo", key: Redacted.make(apiKey), secret: Redacted.make(secret) }
}

/** An account of a simulator at these addresses. */
export const simulatedLayer = (
  exchange: KnownExchange,
  urls: Addresses,
  reconcilePairs: ReadonlyArray<TradingPair>
): Layer.Layer<Services, ExchangeError> =>
  Exchanges.layerAccount(exchange, {
    credentials: demoCredentials(exchange),
    url: urls.websocket,
    restUrl: urls.rest,
    reconcilePairs
  })

/** Names the variables that are missing or malformed, never what they hold. */
const unconfigured = (exchange: KnownExchange, account: string | undefined) => (error: Config.ConfigError) => {
  const adapter = Exchanges.get(exchange)
  const prefix = ExchangeFactory.credentialPrefixOf(adapter, account)
  return Failure.configuration(
    error,
    `. Set ${prefix}API_KEY and ${prefix}API_SECRET in the environment to a key and its secret, which ${adapter.name}'s web ` +
      "site makes under API management; docs/account.md says which rights it needs"
  )
}

/** That the account has a key, where it needs one: before anything else that takes time or a network. */
export const checkKey = ({ account, adapter, kind }: Source): Effect.Effect<void, Failure.CommandFailed> => {
  if (kind !== "live" && kind !== "testnet") return Effect.void
  const name = account === "main" ? undefined : account
  return ExchangeFactory.credentials(adapter, name).pipe(
    Effect.asVoid,
    Effect.mapError(unconfigured(adapter.id as KnownExchange, name))
  )
}

/** Runs with the account's services. Wrong or missing variables are the caller's to correct. */
export const provided = <A, R>(
  { adapter, layer, account }: Pick<Source, "adapter" | "account" | "layer">,
  body: Effect.Effect<A, Failure.CommandFailed, R>
): Effect.Effect<A, Failure.CommandFailed, Exclude<R, Services>> =>
  Effect.provide(body, layer).pipe(
    Effect.catchTags({
      ConfigError: (error) =>
        Effect.fail(
          unconfigured(adapter.id as KnownExchange, account === "main" ? undefined : account)(error)
        ),
      ExchangeError: (error) => Effect.fail(Refusal.failure(error))
    })
  )

// ---- the simulated account ------------------------------------------------------------------------------------------

/** What one order of the strategy is worth, in quote. */
const worth = 500

/** Between two of its commands. */
const pace = "400 millis"

/** Base units in one contract, by pair. */
const contractSizesOf = (instruments: Iterable<Instrument>): ReadonlyMap<TradingPair, number> =>
  new Map(Array.from(instruments, ({ contractSize, pair }) => [pair, contractSize]))

/** Trades for ever, with one command at a time. */
export const tradeOn = Effect.fnUntraced(function*(
  instruments: Iterable<Instrument>,
  options: Omit<Trader.TraderOptions, "worth" | "contractSizes">
) {
  const trader = yield* Trader.make({ ...options, contractSizes: contractSizesOf(instruments), worth })
  // A command that has left is seen through: whoever ends this finds no order on its way.
  yield* Effect.forever(Effect.andThen(Effect.uninterruptible(trader.step), Effect.sleep(pace)))
})

/** The same on what the exchange lists. */
export const tradeWith = Effect.fnUntraced(function*(options: Omit<Trader.TraderOptions, "worth" | "contractSizes">) {
  const { instruments } = yield* MarketRest
  return yield* tradeOn(yield* Effect.orElseSucceed(instruments, () => []), options)
})

const quoteOf = (simulator: SimulatorService, exchange: KnownExchange) => (pair: TradingPair): Trader.Quote | null => {
  const book = simulator.book(exchange, pair, 1)
  const [bid] = book?.bids ?? []
  const [ask] = book?.asks ?? []
  return bid === undefined || ask === undefined ? null : { bid: Number(bid.price), ask: Number(ask.price) }
}

/** Pairs of spot, which also name the perpetuals. */
const simulatedPairs = (pairs: ReadonlyArray<TradingPair>): ReadonlyArray<TradingPair> => [
  ...new Set(pairs.map((pair): TradingPair => {
    const { base, quote } = partsOf(pair)
    return `${base}/${quote}`
  }))
]

const defaultPairs: ReadonlyArray<TradingPair> = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]

const simulated = Effect.fnUntraced(function*({ exchange, pairs = [], seed }: Asked) {
  const simulator = yield* Effect.mapError(
    Simulator.make({
      dialects,
      seed,
      accounts: demoAccounts,
      pairs: simulatedPairs([...defaultPairs, ...pairs])
    }),
    (error) => Failure.failed(error.message)
  )
  const { rest, ws } = simulator.urls[exchange]!
  const urls: Addresses = { websocket: ws, rest }
  const traded = simulator.pairsOf(exchange)
  return {
    urls,
    layer: simulatedLayer(exchange, urls, traded),
    trade: (openOrders: () => ReadonlyArray<Order>) =>
      tradeWith({ pairs: traded, quote: quoteOf(simulator, exchange), openOrders, seed })
  }
})

// ---- all together ---------------------------------------------------------------------------------------------------

const nothing = () => Effect.void

const elsewhere = (asked: Asked, kind: Exclude<Kind, "simulator">) => {
  const { account, exchange, pairs = [], restUrl, wsUrl } = asked
  const { urls: own } = Exchanges.get(exchange)
  const known = kind === "testnet" ? own.testnet : own
  const urls: Addresses | undefined = Option.isSome(wsUrl) && Option.isSome(restUrl)
    ? { websocket: wsUrl.value, rest: restUrl.value }
    : known
  if (urls === undefined) return Effect.fail(Failure.usage(`${Exchanges.get(exchange).name} has no test net`))
  if (kind === "url") return Effect.succeed({ urls, layer: simulatedLayer(exchange, urls, pairs), trade: nothing })
  const given = Option.isSome(wsUrl) ? { url: urls.websocket, restUrl: urls.rest } : {}
  const layer = Exchanges.layerAccountConfig(exchange, {
    ...given,
    account: Option.getOrUndefined(account),
    environment: kind,
    reconcilePairs: pairs
  })
  return Effect.succeed({ urls, layer, trade: nothing })
}

/** The account that the flags name. Nothing is connected yet but the embedded simulator, which runs in the scope. */
export const open = Effect.fnUntraced(
  function*(asked: Asked): Effect.fn.Return<Source, Failure.CommandFailed, Scope.Scope> {
    const conflict = conflictOf(asked)
    if (conflict !== null) return yield* Failure.usage(conflict)
    const adapter = Exchanges.get(asked.exchange)
    const kind = kindOf(asked)
    const found = yield* kind === "simulator" ? simulated(asked) : elsewhere(asked, kind)
    if (kind === "live" || kind === "testnet") {
      yield* Effect.logWarning(`--${kind}: proved against the simulator, not yet run against ${adapter.name}`)
    }
    const isSimulated = kind === "simulator" || kind === "url"
    return {
      kind,
      adapter,
      account: isSimulated ? "demo" : Option.getOrElse(asked.account, () => "main"),
      origin: origins[kind](asked.seed),
      market: Exchanges.layerPublic(asked.exchange, { url: found.urls.websocket, restUrl: found.urls.rest }),
      ...found
    }
  }
)
