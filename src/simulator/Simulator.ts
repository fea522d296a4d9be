/**
 * Whole exchanges on this machine: seeded markets behind real ports or inside the process, driven by `ExchangeDialect`s,
 * with faults on demand and a count of everything. See `docs/simulator.md`.
 */
import { Clock, Context, Effect, Layer, Random, Record, Result, Schema } from "effect"
import type { Scope } from "effect"
import type { WorldAccount } from "../AccountWorld.ts"
import * as MemoryNetwork from "../connection/MemoryNetwork.ts"
import { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { KlinePrice } from "../domain/Market.ts"
import type {
  ExchangeDialect,
  WorldBook,
  WorldContractStats,
  WorldInterval,
  WorldKline,
  WorldLiquidation,
  WorldStatistics,
  WorldSwapState,
  WorldTrade
} from "../ExchangeDialect.ts"
import { AccountsByExchange, problemOf, seedOf } from "./AccountOptions.ts"
import * as AccountTruth from "./AccountTruth.ts"
import type { AccountChange } from "./AccountTruth.ts"
import type { Counts } from "./Counts.ts"
import { Engine, pairsOf } from "./Engine.ts"
import type { Draws } from "./Engine.ts"
import * as Faults from "./Faults.ts"
import type { Fault, InvalidFault } from "./Faults.ts"
import type { Control, Reachable } from "./Gateway.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import { defaultPairs } from "./PairFacts.ts"
import { PlantedEdge } from "./Premium.ts"
import * as Publish from "./Publish.ts"
import type { Change } from "./Publish.ts"
import { SimulatorError } from "./SimulatorError.ts"
import * as SimulatorMemory from "./SimulatorMemory.ts"
import * as SimulatorServer from "./SimulatorServer.ts"

export { demoAccounts } from "./AccountOptions.ts"
export type { AccountOptions, AccountsByExchange } from "./AccountOptions.ts"
export type { AccountChange, AccountTruth } from "./AccountTruth.ts"
export type { Counts, Dial, ExchangeCounts, FaultCounts, Tally, TopicCounts } from "./Counts.ts"
export { Fault, FaultFromText, InvalidFault } from "./Faults.ts"
export type { Reachable, SimulatorUrls } from "./Gateway.ts"
export { plan as planEdges } from "./Premium.ts"
export type { EdgePlan, PlantedEdge } from "./Premium.ts"
export type { Change } from "./Publish.ts"
export { SimulatorError } from "./SimulatorError.ts"

export interface SimulatorOptions {
  /** The exchanges. */
  readonly dialects: ReadonlyArray<ExchangeDialect>
  /**
   * Default: 16 pairs against USDT. Any other pair gets facts made from its name, and the first ones trade most. Spot
   * exchanges get those without settlement (`BTC/USDT`), swap exchanges those with it (`BTC/USDT:USDT`) or, when there
   * are none, the perpetuals on the former.
   */
  readonly pairs?: ReadonlyArray<TradingPair> | undefined
  /** The same seed and the same ticks give the same books, trades and versions. Default 1. */
  readonly seed?: string | number | undefined
  /** Book changes per second and market, those of trades not counted. Default 50. */
  readonly rate?: number | undefined
  /** Trades per second and market. Default a tenth of `rate`. */
  readonly tradeRate?: number | undefined
  /** Levels a side that books keep to. Default 150. */
  readonly levels?: number | undefined
  /** Book changes per market for which `truth` can answer. Default 16 384. */
  readonly history?: number | undefined
  /** When a pair is dearer or cheaper on an exchange than elsewhere, see `planEdges`. Default: never. */
  readonly edges?: ReadonlyArray<PlantedEdge> | undefined
  /** Version that every book starts at. Default: large and different for each. */
  readonly version?: number | undefined
  /** Whether the exchanges' documented limits are enforced. Default `real`. */
  readonly limits?: "real" | "off" | undefined
  /**
   * Whether all connections are told of book changes at the same moments, or each at moments of its own, which cuts the
   * same changes into other deltas. Default `shared`.
   */
  readonly bookPhases?: "shared" | "own" | undefined
  /** Accounts of each exchange. Default: none. `demoAccounts` has one for each. */
  readonly accounts?: AccountsByExchange | undefined
  readonly faults?: ReadonlyArray<Fault | string> | undefined
  /** Default 10, at most 10 000. */
  readonly tickMillis?: number | undefined
  /** False: time passes by `tick` alone. Default true. */
  readonly autoRun?: boolean | undefined
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 0: a free one. */
  readonly port?: number | undefined
  /** Offer per-message deflate. Default false, as the exchanges. */
  readonly compression?: boolean | undefined
  /** A client for which more is waiting to be read is dropped. Bytes; default 8 MiB. */
  readonly maxBufferedBytes?: number | undefined
}

export interface SimulatorService extends Reachable {
  readonly pairs: ReadonlyArray<TradingPair>
  /** What one exchange has of them. */
  readonly pairsOf: (exchange: ExchangeId) => ReadonlyArray<TradingPair>
  /** Lets so many ticks pass at once. Default 1. */
  readonly tick: (count?: number) => Effect.Effect<void>
  /** Holds books, prices and trades as they are; connections and timers go on. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Sets a fault, its times counted from now, and gives its id. */
  readonly inject: (fault: Fault | string) => Effect.Effect<number, InvalidFault>
  /** Ends one fault, or all of them. Counts remain, and so do half-open sockets. */
  readonly clear: (id?: number) => Effect.Effect<void>
  /**
   * Makes one thing happen. Gives the book's new version, the id of the trade or liquidation, or how many positions were
   * funded.
   */
  readonly publish: (exchange: ExchangeId, pair: TradingPair, change: Change) => Effect.Effect<number, SimulatorError>
  /** Makes one thing happen to an account. */
  readonly change: (
    exchange: ExchangeId,
    userId: string,
    change: AccountChange
  ) => Effect.Effect<void, SimulatorError>
  /** What the exchange knows of each account now. */
  readonly accounts: (exchange: ExchangeId) => ReadonlyArray<AccountTruth.AccountTruth>
  /** The account itself, as its owner has it on the exchange's website: what is done here no client has asked for. */
  readonly account: (exchange: ExchangeId, userId: string) => WorldAccount | undefined
  /** The book as it was at a version, best `depth` levels; undefined when it is not, or no longer, known. */
  readonly truth: (exchange: ExchangeId, pair: TradingPair, version: number, depth?: number) => WorldBook | undefined
  /** The book as it is. */
  readonly book: (exchange: ExchangeId, pair: TradingPair, depth?: number) => WorldBook | undefined
  /** The latest trades, at most 4096, oldest first. */
  readonly trades: (exchange: ExchangeId, pair: TradingPair) => ReadonlyArray<WorldTrade>
  /** Since a moment (ms, to the minute), or of the last 24 hours; undefined when there is no such market. */
  readonly statistics: (exchange: ExchangeId, pair: TradingPair, since?: number) => WorldStatistics | undefined
  /** The candle that a moment (ms, now when left out) lies in, as far as it is remembered: a month of hours. */
  readonly kline: (
    exchange: ExchangeId,
    pair: TradingPair,
    interval: WorldInterval,
    price?: KlinePrice,
    at?: number
  ) => WorldKline | undefined
  /** Undefined on spot. */
  readonly swap: (exchange: ExchangeId, pair: TradingPair) => WorldSwapState | undefined
  /** The latest liquidations of a swap, at most 1024, oldest first. */
  readonly liquidations: (exchange: ExchangeId, pair: TradingPair) => ReadonlyArray<WorldLiquidation>
  /** Of the interval that runs; undefined on spot. */
  readonly contractStats: (
    exchange: ExchangeId,
    pair: TradingPair,
    interval: WorldInterval
  ) => WorldContractStats | undefined
  readonly counts: () => Counts
  /** What clients are subscribed to now, half-open sockets left out. */
  readonly topics: (exchange: ExchangeId) => ReadonlySet<string>
  /** Waits until the condition holds; asked after every tick and whatever a client does. */
  readonly until: (condition: () => boolean) => Effect.Effect<void>
}

export class Simulator extends Context.Service<Simulator, SimulatorService>()("effect-exchange/Simulator") {}

// ---- options --------------------------------------------------------------------------------------------------------

const positive = Schema.Finite.check(Schema.isGreaterThan(0))
const notNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A tick may not bring more than what waits for an interval to end, see `World`. */
const mostPerTick = 2_000

/** ms. Prices that return to each other would overshoot in longer steps. */
const longestTick = 10_000

const Settings = Schema.Struct({
  pairs: Schema.NonEmptyArray(TradingPair).check(Schema.isUnique()),
  seed: Schema.Union([Schema.String, Schema.Finite]),
  rate: notNegative,
  tradeRate: notNegative,
  levels: whole(2, 100_000),
  history: whole(1_024, 2 ** 24),
  edges: Schema.Array(PlantedEdge),
  version: Schema.UndefinedOr(whole(1, 9_000_000_000_000_000)),
  limits: Schema.Literals(["real", "off"]),
  bookPhases: Schema.Literals(["shared", "own"]),
  accounts: AccountsByExchange,
  tickMillis: positive.check(Schema.isLessThanOrEqualTo(longestTick)),
  autoRun: Schema.Boolean,
  host: Schema.NonEmptyString,
  port: whole(0, 65_535),
  compression: Schema.Boolean,
  maxBufferedBytes: positive
}).check(
  Schema.makeFilter(({ rate, tradeRate, tickMillis }) =>
    ((rate + tradeRate) * tickMillis) / 1_000 <= mostPerTick ||
    `rate and tradeRate must not bring more than ${mostPerTick} changes in a tick of ${tickMillis} ms`
  )
)
export type Settings = typeof Settings.Type

const withDefaults = (options: SimulatorOptions): unknown => {
  const { rate = 50 } = options
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return {
    pairs: defaultPairs,
    seed: 1,
    rate,
    tradeRate: rate / 10,
    levels: 150,
    history: 16_384,
    edges: [],
    version: undefined,
    limits: "real",
    bookPhases: "shared",
    accounts: {},
    tickMillis: 10,
    autoRun: true,
    host: "127.0.0.1",
    port: 0,
    compression: false,
    maxBufferedBytes: 8 * 2 ** 20,
    ...Object.fromEntries(given)
  }
}

const decodeSettings = (options: SimulatorOptions): Effect.Effect<Settings, SimulatorError> =>
  Schema.decodeUnknownEffect(Settings)(withDefaults(options)).pipe(
    Effect.mapError(({ message }) => new SimulatorError({ operation: "options", detail: message }))
  )

const checkAccounts = (
  dialects: ReadonlyArray<ExchangeDialect>,
  { accounts }: Settings
): Effect.Effect<void, SimulatorError> => {
  const detail = problemOf(accounts, dialects.map(({ id }) => id))
  return detail === null ? Effect.void : Effect.fail(new SimulatorError({ operation: "options", detail }))
}

/** An edge that is planted where there is no market would be missed without a word. */
const checkEdges = (
  dialects: ReadonlyArray<ExchangeDialect>,
  { edges, pairs }: Settings
): Effect.Effect<void, SimulatorError> => {
  const known = new Set(dialects.flatMap(({ id, kind }) => pairsOf(kind, pairs).map((pair) => `${id} ${pair}`)))
  const lost = edges.find(({ exchange, pair }) => !known.has(`${exchange} ${pair}`))
  return lost === undefined
    ? Effect.void
    : Effect.fail(
      new SimulatorError({
        operation: "options",
        detail: `an edge is planted on ${lost.exchange} ${lost.pair}, and there is no such market`
      })
    )
}

const checkDialects = (dialects: ReadonlyArray<ExchangeDialect>): Effect.Effect<void, SimulatorError> => {
  const ids = dialects.map(({ id }) => id)
  return ids.length > 0 && new Set(ids).size === ids.length && ids.every((id) => /^[a-z0-9-]+$/.test(id))
    ? Effect.void
    : Effect.fail(
      new SimulatorError({
        operation: "options",
        detail: `dialects need ids of a-z, 0-9 and "-", each different; they are [${ids.join(", ")}]`
      })
    )
}

// ---- making ---------------------------------------------------------------------------------------------------------

/** Random numbers that depend on the seed and the name alone. */
const drawsOf = (seed: string | number, name: string): Effect.Effect<Draws> =>
  Random.withSeed(Effect.service(Random.Random), `${seed} ${name}`)

const makeEngine = Effect.fnUntraced(function*(dialects: ReadonlyArray<ExchangeDialect>, settings: Settings) {
  const clock = yield* Clock.Clock
  const started = clock.monotonicTimeNanosUnsafe()
  const { pairs, limits, bookPhases, rate, tradeRate, levels, history, edges, version, tickMillis } = settings
  return new Engine({
    dialects,
    pairs,
    limits,
    bookPhases,
    accounts: Record.map(settings.accounts, (all) => all.map(seedOf)),
    rate,
    tradeRate,
    levels,
    history,
    edges,
    version,
    tickMillis,
    draws: (name) => Effect.runSync(drawsOf(settings.seed, name)),
    epoch: Math.floor(clock.currentTimeMillisUnsafe()),
    clock: settings.autoRun
      ? {
        now: () => clock.currentTimeMillisUnsafe(),
        elapsed: () => Number(clock.monotonicTimeNanosUnsafe() - started) / 1e6
      }
      : undefined
  })
})

interface Made {
  readonly engine: Engine
  readonly control: Control
  readonly settings: Settings
}

/** Ticks for ever. At least a millisecond is left to the sockets between two rounds. */
const run = (engine: Engine): Effect.Effect<never> =>
  Effect.forever(Effect.suspend(() => Effect.sleep(Math.max(1, engine.advance()))))

const inject = (engine: Engine, seed: string | number): Control["inject"] => (fault) =>
  Result.match(Faults.parse(fault), {
    onFailure: (error) => Effect.fail(error),
    onSuccess: (fault) => Effect.map(drawsOf(seed, `fault ${engine.nextFault}`), (draws) => engine.inject(fault, draws))
  })

const publish = (engine: Engine): Control["publish"] => (exchange, pair, change) =>
  Effect.suspend(() => {
    const market = engine.market(exchange, pair)
    const world = engine.exchanges.get(exchange)?.world
    const result = market === undefined
      ? Result.fail(`there is no ${pair} on ${exchange}`)
      : Publish.publish({ market, time: engine.time, fund: (rate) => world?.payFunding(pair, rate) ?? 0 }, change)
    if (Result.isFailure(result)) {
      return Effect.fail(new SimulatorError({ operation: "publish", detail: result.failure }))
    }
    world?.fireAtOnce(pair)
    return Effect.succeed(result.success)
  })

const change = (engine: Engine): Control["change"] => (exchange, userId, wanted) =>
  Effect.suspend(() =>
    Result.match(AccountTruth.change(engine.accounts(exchange), userId, wanted), {
      onFailure: (detail) => Effect.fail(new SimulatorError({ operation: "change", detail: `${exchange}: ${detail}` })),
      onSuccess: () => Effect.sync(() => engine.changed())
    })
  )

/** A condition that throws fails the one who waits, not the tick that asks. */
const until = (engine: Engine) => (condition: () => boolean): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const settled = (): boolean => {
      try {
        if (!condition()) return false
        resume(Effect.void)
      } catch (error) {
        resume(Effect.die(error))
      }
      return true
    }
    if (settled()) return
    const stop = engine.onChange(() => {
      if (settled()) stop()
    })
    return Effect.sync(stop)
  })

const swapOf = (engine: Engine, exchange: ExchangeId, pair: TradingPair): SimulatedMarket | undefined => {
  const market = engine.market(exchange, pair)
  return market?.swap === null ? undefined : market
}

const serviceOf = ({ engine, control }: Made, reachable: Reachable): SimulatorService => ({
  ...reachable,
  ...control,
  pairs: engine.pairs,
  pairsOf: (exchange) => engine.exchanges.get(exchange)?.pairs ?? [],
  tick: (count = 1) =>
    Effect.sync(() => {
      for (let i = 0; i < count; i++) engine.tick()
    }),
  pause: Effect.sync(() => {
    engine.paused = true
  }),
  resume: Effect.sync(() => {
    engine.paused = false
  }),
  clear: (id) => Effect.sync(() => void engine.clear(id)),
  truth: (exchange, pair, version, depth) => engine.market(exchange, pair)?.book.at(version, depth),
  book: (exchange, pair, depth) => {
    const book = engine.market(exchange, pair)?.book
    return book?.at(book.version, depth)
  },
  trades: (exchange, pair) => engine.market(exchange, pair)?.tradesSince(0) ?? [],
  statistics: (exchange, pair, since) => engine.market(exchange, pair)?.statistics(since),
  kline: (exchange, pair, interval, price, at) => engine.market(exchange, pair)?.kline(interval, price, at),
  swap: (exchange, pair) => swapOf(engine, exchange, pair)?.swapState(),
  liquidations: (exchange, pair) => engine.market(exchange, pair)?.swap?.liquidationsSince(0) ?? [],
  contractStats: (exchange, pair, interval) => swapOf(engine, exchange, pair)?.contractStats(interval),
  accounts: (exchange) => engine.accounts(exchange)?.all.map(AccountTruth.truthOf) ?? [],
  account: (exchange, userId) => engine.accounts(exchange)?.all.find((account) => account.userId === userId),
  counts: () => engine.counts(),
  topics: (exchange) => engine.exchanges.get(exchange)?.topics() ?? new Set(),
  until: until(engine)
})

const prepare = Effect.fnUntraced(
  function*(options: SimulatorOptions): Effect.fn.Return<Made, SimulatorError | InvalidFault> {
    const settings = yield* decodeSettings(options)
    yield* checkDialects(options.dialects)
    yield* checkAccounts(options.dialects, settings)
    yield* checkEdges(options.dialects, settings)
    const engine = yield* makeEngine(options.dialects, settings)
    const control = { inject: inject(engine, settings.seed), publish: publish(engine), change: change(engine) }
    yield* Effect.forEach(options.faults ?? [], control.inject, { discard: true })
    return { engine, control, settings }
  }
)

const start = ({ engine, settings }: Made): Effect.Effect<void, never, Scope.Scope> =>
  settings.autoRun
    ? run(engine).pipe(
      Effect.tapCause((cause) => Effect.logError("the simulator has stopped", cause)),
      Effect.forkScoped,
      Effect.asVoid
    )
    : Effect.void

/** A simulator behind real ports, until the scope closes. */
export const make = Effect.fnUntraced(
  function*(options: SimulatorOptions): Effect.fn.Return<SimulatorService, SimulatorError | InvalidFault, Scope.Scope> {
    const made = yield* prepare(options)
    const reachable = yield* SimulatorServer.serve(made.engine, made.control, made.settings)
    yield* start(made)
    return serviceOf(made, reachable)
  }
)

/** A simulator inside the process. `host`, `port`, `compression` and `maxBufferedBytes` mean nothing here. */
export const makeMemory = Effect.fnUntraced(
  function*(options: SimulatorOptions): Effect.fn.Return<
    { readonly simulator: SimulatorService; readonly network: MemoryNetwork.MemoryNetwork["Service"] },
    SimulatorError | InvalidFault,
    Scope.Scope
  > {
    const made = yield* prepare(options)
    const { network, reachable } = yield* SimulatorMemory.make(made.engine, made.control)
    yield* start(made)
    return { simulator: serviceOf(made, reachable), network }
  }
)

export const layer = (options: SimulatorOptions): Layer.Layer<Simulator, SimulatorError | InvalidFault> =>
  Layer.effect(Simulator, make(options))

export const layerMemory = (
  options: SimulatorOptions
): Layer.Layer<Simulator | MemoryNetwork.MemoryNetwork, SimulatorError | InvalidFault> =>
  Layer.effectContext(
    Effect.map(makeMemory(options), ({ simulator, network }) =>
      Context.make(Simulator, simulator).pipe(Context.add(MemoryNetwork.MemoryNetwork, network)))
  )
