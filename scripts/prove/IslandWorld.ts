/**
 * Three exchanges in memory as the islands of one program, accounts included, under a virtual clock; and what the simulator
 * says of each, to be held against what the program says.
 */
import { Clock, Effect, Fiber, Layer, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { WorldAccount } from "../../src/AccountWorld.ts"
import type { Island, MarketsOptions } from "../../src/composite/Markets.ts"
import { Markets } from "../../src/composite/Markets.ts"
import type { LiveBook } from "../../src/composite/OrderBooks.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Account from "../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../test/suites/AccountSubjects.ts"
import * as World from "./ArbitrageWorld.ts"

export type Subject = Account.Subject

export const ids: ReadonlyArray<string> = accountSubjects.map(({ adapter }) => adapter.id)

/** 2026-11-25. */
const start = 1_795_564_800_000

const balancesOf = ({ adapter }: Subject): Readonly<Record<string, string>> =>
  adapter.kind === "spot" ? { USDT: "100000000", BTC: "1000", ETH: "20000", SOL: "500000" } : { USDT: "100000000" }

const accounts: Simulator.AccountsByExchange = Object.fromEntries(
  accountSubjects.map((subject) => [subject.adapter.id, [{
    userId: Account.userId,
    keys: [{ apiKey: "the-key-of-main", secret: "the-secret-of-main" }],
    balances: balancesOf(subject)
  }]])
)

export const layerServer = (
  seed: number,
  assets: ReadonlyArray<string>,
  options: Partial<Simulator.SimulatorOptions>
) =>
  Layer.orDie(Simulator.layerMemory({
    dialects: accountSubjects.map(({ dialect }) => dialect),
    pairs: assets.map((asset): TradingPair => `${asset}/USDT`) as [TradingPair],
    limits: "off",
    seed,
    levels: 20,
    accounts,
    ...options
  }))

const layerNetwork = Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer)

type Server = Simulator.Simulator | MemoryNetwork.MemoryNetwork

/** The islands over a simulator that is there. */
export const layerMarkets = (
  assets: ReadonlyArray<string>,
  options: MarketsOptions = {},
  account: Parameters<typeof World.markets>[2] = {}
) =>
  Layer.unwrap(
    Effect.map(Simulator.Simulator, ({ urls }) =>
      World.markets(urls, () => Account.credentials, account, assets, options))
  ).pipe(Layer.provide(layerNetwork)) as Layer.Layer<Markets, never, Server>

/** Lets virtual time pass until the program has ended; at most so many ms. */
export const run = <A, E>(
  seed: number,
  server: Layer.Layer<Server>,
  most: number,
  program: Effect.Effect<A, E, Server | Scope.Scope>
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.scoped(program), { startImmediately: true })
    for (let passed = 0; passed < most; passed += 1_000) {
      if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
      yield* TestClock.adjust(1_000)
    }
    yield* Fiber.interrupt(fiber)
    return yield* Effect.die(new Error(`nothing came of it in ${most} virtual ms`))
  }).pipe(
    Effect.provide(server),
    (proved) => Effect.andThen(TestClock.setTime(start), proved),
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** Fibers that live and timers that run, of one program. */
export class Census {
  fibers = 0
  timers = 0

  /** Counts those of the effect, and of all that it starts. */
  readonly of = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const counting: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
        sleep: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
          Effect.acquireUseRelease(
            Effect.sync(() => void this.timers++),
            () => clock.sleep(duration),
            () => Effect.sync(() => void this.timers--)
          )
      })
      const metrics: Metric.FiberRuntimeMetricsService = {
        recordFiberStart: () => void this.fibers++,
        recordFiberEnd: () => void this.fibers--
      }
      return effect.pipe(
        Effect.provideService(Clock.Clock, counting),
        Effect.provideService(Metric.FiberRuntimeMetrics, metrics)
      )
    })
}

/** As deep as every book is held, see the proof `books`. */
const reach = 10

const isTrue = (simulator: Simulator.SimulatorService, exchange: string, live: LiveBook | undefined): boolean => {
  if (live?._tag !== "Synced") return false
  const truth = simulator.truth(exchange, live.pair, Number(live.book.version), reach)
  if (truth === undefined) return false
  const { asks, bids } = live.book.top(reach)
  const flat = (side: typeof truth.bids) => side.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
  return bids.join() === flat(truth.bids).join() && asks.join() === flat(truth.asks).join()
}

/** What the exchange had done at a moment. */
interface Mark {
  readonly at: number
  readonly versions: ReadonlyArray<number>
  readonly fills: number
}

/** What is under way to the program may be so old, ms: the exchanges tell of books every 100 ms. */
export const onItsWay = 500

/** One island and its exchange, compared from outside. */
export class IslandWatch {
  readonly subject: Subject
  readonly id: string
  readonly account: WorldAccount
  /** Of all lives of the island together. */
  readonly known = new Account.Known()
  readonly pairs: ReadonlyArray<TradingPair>
  readonly #simulator: Simulator.SimulatorService
  readonly #markets: Markets["Service"]
  #fills = 0
  #mark: Mark
  #next: Mark

  constructor(
    subject: Subject,
    simulator: Simulator.SimulatorService,
    markets: Markets["Service"],
    assets: ReadonlyArray<string>,
    now: number
  ) {
    this.subject = subject
    this.id = subject.adapter.id
    this.pairs = World.pairsOf(subject, assets)
    this.#simulator = simulator
    this.#markets = markets
    this.account = simulator.account(this.id, Account.userId)!
    this.account.watch(({ _tag }) => void (_tag === "Fill" && this.#fills++))
    this.#mark = this.#next = this.#truth(now)
  }

  #truth(at: number): Mark {
    return {
      at,
      versions: this.pairs.map((pair) => this.#simulator.book(this.id, pair, 1)!.version),
      fills: this.#fills
    }
  }

  get island(): Island | undefined {
    return this.#markets.current(this.id)
  }

  get mayTrade(): boolean {
    return this.#markets.mayTrade(this.id)
  }

  /** Why the program does not trade there. */
  get problems(): string {
    const state = this.#markets.state(this.id)
    if (state?._tag === "Recovering") return state.problems.join("; ")
    return state?._tag === "Failed" ? state.error.message : `it is ${state?._tag}`
  }

  /** Whether all books are in sync, and nothing that the exchange did `onItsWay` ago or earlier is missing. */
  isCurrent(now: number): boolean {
    if (now - this.#next.at >= onItsWay) {
      this.#mark = this.#next
      this.#next = this.#truth(now)
    }
    const market = this.island?.market
    return market !== undefined && this.known.fills.length >= this.#mark.fills && this.pairs.every((pair, index) => {
      const live = market.book(pair)
      return live?._tag === "Synced" && Number(live.book.version) >= this.#mark.versions[index]!
    })
  }

  /** Books that are not the exchange's at their version. */
  wrongBooks(): ReadonlyArray<TradingPair> {
    return this.pairs.filter((pair) => !isTrue(this.#simulator, this.id, this.island?.market.book(pair)))
  }

  /** What the program says of the account, against the ledger; late fills may have come in any order. */
  wrongAccount(): ReadonlyArray<string> {
    const twice = this.known.fills.length - new Set(this.known.fills.map(({ tradeId }) => tradeId)).size
    return [
      ...Account.differences(this.known, this.account, this.subject.adapter.kind, "any"),
      ...twice === 0 ? [] : [`${twice} fills told twice`]
    ]
  }

  /** The owner trades on the exchange's website: an order that fills, and one that rests in the place of the one before. */
  trade(side: "buy" | "sell"): void {
    const [open] = this.account.orders({ open: true })
    if (open !== undefined) this.account.cancel({ id: open.id })
    const order = {
      pair: this.pairs[0]!,
      quantity: this.subject.quantity,
      quoteQuantity: null,
      clientOrderId: null,
      reduceOnly: false,
      trigger: null
    }
    this.account.place({ ...order, side, type: "market", timeInForce: "ioc", price: null })
    this.account.place({ ...order, side: "buy", type: "limit", timeInForce: "gtc", price: "1000" })
  }
}

/** Watches every island of the program, until the scope closes. */
export const watchAll = Effect.fnUntraced(function*(assets: ReadonlyArray<string>) {
  const simulator = yield* Simulator.Simulator
  const markets = yield* Markets
  const now = yield* Clock.currentTimeMillis
  const watches = accountSubjects.map((subject) => new IslandWatch(subject, simulator, markets, assets, now))
  yield* markets.each(({ account, exchange }) => {
    const { known } = watches.find(({ id }) => id === exchange)!
    // What its account was told before anybody watched.
    for (const [asset, balance] of account!.balances()) known.balances.set(asset, balance)
    return account!.onEvent(known.take)
  })
  while (!watches.every(({ id }) => markets.mayTrade(id))) yield* Effect.sleep(100)
  return watches
})
