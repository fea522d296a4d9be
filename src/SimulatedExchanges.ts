/**
 * Our exchanges, simulated: real adapters over simulated markets, for tests and experiments. A sub-path of the package
 * (`effect-exchange/simulator`), which the main entry never loads.
 */
import { Effect, Layer, Redacted } from "effect"
import * as FrameSocket from "./connection/FrameSocket.ts"
import * as MemoryNetwork from "./connection/MemoryNetwork.ts"
import * as NodeHashes from "./connection/NodeHashes.ts"
import * as NodeHttp from "./connection/NodeHttp.ts"
import type { TradingPair } from "./domain/Instrument.ts"
import type { ExchangeDialect } from "./ExchangeDialect.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import * as ExchangeFactory from "./ExchangeFactory.ts"
import * as Exchanges from "./Exchanges.ts"
import * as byName from "./exchanges/dialects.ts"
import * as Simulator from "./simulator/Simulator.ts"

export { planEdges, Simulator } from "./simulator/Simulator.ts"
export type {
  AccountChange,
  AccountOptions,
  AccountsByExchange,
  AccountTruth,
  EdgePlan,
  Fault,
  PlantedEdge,
  SimulatorOptions,
  SimulatorService,
  SimulatorUrls
} from "./simulator/Simulator.ts"

/** The servers' halves of our exchanges' protocols. */
export const dialects: ReadonlyArray<ExchangeDialect> = Object.values(byName)

/**
 * One account for each of our exchanges, for the option `accounts`: user 1001 with 100 000 USDT, and on spot some coins. Its
 * key is `demo-key-<exchange>`, its secret `demo-secret-<exchange>`.
 */
export const demoAccounts: Simulator.AccountsByExchange = Simulator.demoAccounts(dialects)

/** The same, which also have coins of these pairs, about 20 000 USDT worth of each. */
export const demoAccountsWith = (pairs: ReadonlyArray<TradingPair>): Simulator.AccountsByExchange =>
  Simulator.demoAccounts(dialects, pairs)

export type Options = Omit<Simulator.SimulatorOptions, "dialects">

type Errors = Simulator.SimulatorError | Simulator.InvalidFault

/** All our exchanges behind real ports on this machine. */
export const layer = (options: Options = {}): Layer.Layer<Simulator.Simulator, Errors> =>
  Simulator.layer({ ...options, dialects })

const over = (id: Exchanges.KnownExchange, options: ExchangeFactory.WebsocketOptions) =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[id]!
    return ExchangeFactory.layerPublic(Exchanges.get(id), { url: ws, restUrl: rest, ...options })
  }))

/** The services of one exchange over real sockets to a simulator of their own, and that simulator. */
export const layerOf = (
  id: Exchanges.KnownExchange,
  options: Options = {},
  websocket: ExchangeFactory.WebsocketOptions = {}
): Layer.Layer<Exchanges.MarketServices | Simulator.Simulator, Errors> =>
  over(id, websocket).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer)),
    Layer.provideMerge(layer(options))
  )

/** The same inside the process: no port, and time is the clock's, so that it runs under `TestClock`. */
export const layerMemoryOf = (
  id: Exchanges.KnownExchange,
  options: Options = {},
  websocket: ExchangeFactory.WebsocketOptions = {}
): Layer.Layer<Exchanges.MarketServices | Simulator.Simulator | MemoryNetwork.MemoryNetwork, Errors> =>
  over(id, websocket).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)),
    Layer.provideMerge(Simulator.layerMemory({ ...options, dialects }))
  )

/**
 * What the simulator's Layers of an account give: the market, the account and the exchange itself. `PublicExchange` and
 * `PrivateExchange` over them: `Exchanges.layerComposites()`.
 */
export type AccountServices = ExchangeFactory.Services | Simulator.Simulator

/** Everything of the demo account. */
const accountOver = (id: Exchanges.KnownExchange, options: Partial<ExchangeFactory.AccountOptions>) =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[id]!
    const key = Redacted.make(`demo-key-${id}`)
    const secret = Redacted.make(`demo-secret-${id}`)
    const credentials = { account: "demo", key, secret }
    return ExchangeFactory.layer(Exchanges.get(id), { credentials, url: ws, restUrl: rest, ...options })
  }))

/** All services of one exchange with an account (`demoAccounts`), over real sockets to a simulator of their own. */
export const layerAccountOf = (
  id: Exchanges.KnownExchange,
  options: Options = {},
  account: Partial<ExchangeFactory.AccountOptions> = {}
): Layer.Layer<AccountServices, Errors | ExchangeError> =>
  accountOver(id, account).pipe(
    Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer)),
    Layer.provideMerge(layer({ accounts: demoAccounts, ...options }))
  )

/** The same inside the process, under `TestClock`. */
export const layerAccountMemoryOf = (
  id: Exchanges.KnownExchange,
  options: Options = {},
  account: Partial<ExchangeFactory.AccountOptions> = {}
): Layer.Layer<AccountServices | MemoryNetwork.MemoryNetwork, Errors | ExchangeError> =>
  accountOver(id, account).pipe(
    Layer.provide(Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer)),
    Layer.provideMerge(Simulator.layerMemory({ accounts: demoAccounts, ...options, dialects }))
  )
