/**
 * Opportunities executed over three simulated exchanges while requests, answers, pushes and connections are lost, late and
 * doubled, exchanges go away and callers are interrupted: what is left is below a lot of every asset, and what the executor
 * has counted is what the exchanges have booked, to the last digit.
 */
import { Array as Arr, BigDecimal, Clock, Effect, Fiber, Layer, Logger, Metric, Random, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { WorldAccount } from "../../../src/AccountWorld.ts"
import { ArbitrageExecutor } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import type { Execution, LegResult } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import * as Executor from "../../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageMonitor } from "../../../src/arbitrage/ArbitrageMonitor.ts"
import type { Opportunity } from "../../../src/arbitrage/Opportunity.ts"
import * as Risk from "../../../src/arbitrage/RiskGuard.ts"
import type { Killed } from "../../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../../src/composite/Markets.ts"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../../src/connection/NodeHashes.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import type { Instrument, TradingPair } from "../../../src/domain/Instrument.ts"
import { partsOf } from "../../../src/domain/Instrument.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { Fault } from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { accountSubjects, mexcAccount } from "../../../test/suites/AccountSubjects.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import * as World from "../ArbitrageWorld.ts"
import { bases } from "../ArbitrageWorld.ts"
import { bookedOf } from "../Booked.ts"
import type { Booked } from "../Booked.ts"
import { noting } from "../PlacedOnWire.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const answerMillis = 1_000
const expiryMillis = 5_000
const workers = 6

export type Services =
  | ArbitrageExecutor
  | ArbitrageMonitor
  | RiskGuard
  | Markets
  | Simulator.Simulator

/** More than it can need: what is proved is not that it runs out. */
const balancesOf = ({ adapter }: Account.Subject): Readonly<Record<string, string>> =>
  adapter.kind === "spot" ? { USDT: "100000000", BTC: "1000", ETH: "20000", SOL: "500000" } : { USDT: "100000000" }

const accounts: Simulator.AccountsByExchange = Object.fromEntries(
  accountSubjects.map((subject) => [subject.adapter.id, [{
    userId: Account.userId,
    keys: [{ apiKey: "the-key-of-main", secret: "the-secret-of-main" }],
    balances: balancesOf(subject)
  }]])
)

// ---- the world ------------------------------------------------------------------------------------------------------

/** Of each command: some reach the exchange late or never, of others the answer does. */
export const ofCommands: ReadonlyArray<Fault> = accountSubjects.flatMap(({ adapter, commands }) =>
  commands.flatMap((command): ReadonlyArray<Fault> => {
    const which = { ...command, exchange: adapter.id }
    return [
      { _tag: "LoseRequest", ...which, share: 0.02 },
      { _tag: "LateRequest", ...which, share: 0.01, millis: 1_800 },
      { _tag: "LateRequest", ...which, share: 0.01, millis: 7_000 },
      // Later than an order that the exchange does not know counts as never arrived.
      { _tag: "LateRequest", ...which, share: 0.01, millis: 14_000 },
      { _tag: "LoseAnswer", ...which, share: 0.03 },
      { _tag: "LateAnswer", ...which, share: 0.02, millis: 2_500 },
      // The market moves on meanwhile: such an order is filled in part or not at all.
      { _tag: "LateRequest", ...which, share: 0.1, millis: 400 },
      ...("frame" in which ? [] : [{ _tag: "FailAnswer", ...which, share: 0.02, status: 502 } as const])
    ]
  })
)

/** Of readings and pushes. */
export const ofTelling: ReadonlyArray<Fault> = [
  { _tag: "LoseAnswer", method: "GET", share: 0.01 },
  { _tag: "HttpError", method: "GET", share: 0.01, status: 503 },
  { _tag: "Duplicate", share: 0.03 },
  { _tag: "Reorder", share: 0.02 },
  { _tag: "LatePush", share: 0.03, millis: 300 },
  { _tag: "LosePush", share: 0.01 },
  { _tag: "LagRead", millis: 200 }
]

/** Ids of ours in a request to place orders. */
const idsOf = (text: string): ReadonlyArray<string> =>
  accountSubjects.some(({ isPlacing }) => isPlacing(text))
    ? [...text.matchAll(/(?:newClientOrderId=|"text":"t-)([\w-]+)/g)].map(([, id]) => id!)
    : []

/**
 * `note`: called with the ids of each request to place orders, when it leaves, ms. `beside`: assets that are in no route. `pace`: whether
 * the exchanges' own limits are kept to.
 */
export const layerOf = (
  seed: number,
  note: (id: string, at: number) => void,
  limits: Risk.RiskOptions = { global: { maxOpenOrders: 100 } },
  beside: ReadonlyArray<string> = [],
  pace: "exchange" | "off" = "off"
) => {
  const assets = [...bases, ...beside]
  const simulator = Layer.orDie(Simulator.layerMemory({
    dialects: accountSubjects.map(({ dialect }) => dialect),
    pairs: assets.map((base): TradingPair => `${base}/USDT`) as [TradingPair],
    limits: "off",
    seed,
    rate: 4,
    tickMillis: 50,
    levels: 20,
    accounts
  }))
  const network = Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer).pipe(
    Layer.provide(
      Layer.effect(
        MemoryNetwork.MemoryNetwork,
        Effect.gen(function*() {
          const clock = yield* Clock.Clock
          return noting((id) => note(id, clock.currentTimeMillisUnsafe()), idsOf)(yield* MemoryNetwork.MemoryNetwork)
        })
      )
    )
  )
  const markets = Layer.unwrap(
    Effect.map(Simulator.Simulator, ({ urls }) =>
      World.markets(urls, () => Account.credentials, {
        orders: { answerTimeout: answerMillis, queueTimeout: 3_000, expiry: expiryMillis },
        limits: pace,
        reconcile: { interval: "20 seconds" }
      }, assets))
  )
  const monitor = World.monitor({ maxNotional: 300, maxAgeMs: 5_000, maxSkewMs: 5_000 })
  return Executor.layer({ maxAge: "5 seconds", pauseAfterRefusal: "100 millis" }).pipe(
    Layer.provideMerge(Layer.merge(monitor, Risk.layer(limits))),
    Layer.provideMerge(markets),
    Layer.provide(network),
    Layer.provideMerge(simulator)
  ) as Layer.Layer<Services, unknown>
}

// ---- the run --------------------------------------------------------------------------------------------------------

interface Result {
  readonly executions: ReadonlyArray<Execution>
  readonly refused: Readonly<Record<string, number>>
  readonly interrupted: number
  readonly outages: number
  readonly kills: ReadonlyArray<Killed>
  readonly unknown: number
  readonly openAtGuard: number
  readonly cash: string
  readonly exposure: ReadonlyMap<string, string>
  readonly truth: Booked
  /** By id of ours. */
  readonly booked: ReadonlyMap<string, Booked>
  /** By id of ours: when its exchange had it, ms. */
  readonly arrivedAt: ReadonlyMap<string, number>
  /** Base units: what the accounts have gained on each market, exchange and pair. */
  readonly markets: ReadonlyMap<string, string>
  /** Least that can be traded of each base asset, in it. */
  readonly lots: ReadonlyMap<string, Decimal.Decimal>
  readonly openOrders: number
  readonly faults: number
}

/** Exchanges lose their connections, go away for a while, and let their keys die, one or all of them. */
export const breaks = Effect.fnUntraced(function*(draws: Virtual.Draws, count: () => void) {
  const simulator = yield* Simulator.Simulator
  for (let number = 0;; number++) {
    yield* Effect.sleep(number < 2 ? 1_000 + Virtual.below(draws, 1_000) : 4_000 + Virtual.below(draws, 8_000))
    count()
    const { adapter } = Virtual.pick(draws, accountSubjects)
    const which = draws.nextDoubleUnsafe() < 0.15 ? {} : { exchange: adapter.id }
    const durationMillis = Virtual.pick(draws, [0, 500, 1_500, 4_000])
    if (durationMillis > 0) yield* simulator.inject({ _tag: "Refuse", ...which, durationMillis })
    yield* simulator.inject({ _tag: "Drop", ...which })
    if (draws.nextDoubleUnsafe() < 0.2) yield* simulator.inject({ _tag: "ExpireKeys", ...which })
  }
})

/** Executes one after the other; some are interrupted at any moment. */
export const worker = Effect.fnUntraced(function*(
  draws: Virtual.Draws,
  isDone: () => boolean,
  interrupted: () => void
) {
  const executor = yield* ArbitrageExecutor
  const monitor = yield* ArbitrageMonitor
  while (!isDone()) {
    const open = monitor.open()
    if (open.length === 0) {
      yield* Effect.sleep(20)
      continue
    }
    const execution = Effect.exit(executor.execute(Virtual.pick(draws, open)))
    if (draws.nextDoubleUnsafe() < 0.1) {
      interrupted()
      const fiber = yield* Effect.forkChild(execution, { startImmediately: true })
      yield* Effect.sleep(Virtual.below(draws, 1_200))
      yield* Fiber.interrupt(fiber)
    } else yield* execution
    yield* Effect.sleep(Virtual.below(draws, 200))
  }
})

/** Of which one leg is traded at the exchange whose orders go over REST: there a request arrives whoever has gone meanwhile. */
const overRest = mexcAccount

/** Waits until everything can be traded. */
const mayTrade: Effect.Effect<void, never, Markets> = Effect.gen(function*() {
  const markets = yield* Markets
  while (!markets.ids.every((id) => markets.mayTrade(id))) yield* Effect.sleep(20)
})

/** Waits for what can be traded there; the leg, and its opportunity. */
const findOverRest: Effect.Effect<Opportunity, never, ArbitrageMonitor> = Effect.gen(function*() {
  const monitor = yield* ArbitrageMonitor
  for (;;) {
    const found = monitor.open().find(({ buy, sell }) =>
      [buy, sell].some(({ exchange }) => exchange === overRest.adapter.id)
    )
    if (found !== undefined) return found
    yield* Effect.sleep(20)
  }
})

/** Executes it while a request to place its leg there meets a fault; `meanwhile` comes when both legs have left. */
const executeOverRest = Effect.fnUntraced(function*<R>(
  fault: (which: { readonly exchange: string; readonly count: number }) => Fault,
  meanwhile: (execution: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown, unknown, R>
) {
  const executor = yield* ArbitrageExecutor
  const simulator = yield* Simulator.Simulator
  const found = yield* findOverRest
  yield* simulator.inject(fault({ exchange: overRest.adapter.id, ...overRest.placing, count: 1 }))
  const execution = yield* Effect.forkChild(Effect.exit(executor.execute(found)), { startImmediately: true })
  yield* Effect.sleep(300)
  yield* meanwhile(execution)
  yield* Fiber.await(execution)
  yield* simulator.clear()
})

/** What the draws of a short run may not bring about. */
const surely = Effect.gen(function*() {
  const markets = yield* Markets
  yield* mayTrade
  // Its caller goes while one leg has filled and the other one was lost on its way: nobody else trades that away.
  yield* executeOverRest((which) => ({ _tag: "LoseRequest", ...which }), Fiber.interrupt)
  // Nobody answers for an order whose exchange is built anew meanwhile; it arrives as late as its window lets it.
  yield* executeOverRest(
    (which) => ({ _tag: "LateRequest", ...which, millis: 1_800 }),
    () => markets.restart(overRest.adapter.id)
  )
  yield* mayTrade
})

const play = Effect.fnUntraced(function*(
  seed: number,
  count: number,
  placed: ReadonlyMap<string, number>
): Effect.fn.Return<Result, unknown, Services | Scope.Scope> {
  const draws = yield* Virtual.draws(seed, "execution")
  const simulator = yield* Simulator.Simulator
  const executor = yield* ArbitrageExecutor
  const guard = yield* RiskGuard
  const instruments = yield* World.listed(yield* Markets)
  const executions: Array<Execution> = []
  const kills: Array<Killed> = []
  let sent = 0
  let interrupted = 0
  let outages = 0
  yield* Effect.forkScoped(
    Stream.runForEach(executor.executions, (one) =>
      Effect.sync(() => {
        executions.push(one)
        if (wasSent(one, placed)) sent++
      })),
    { startImmediately: true }
  )
  // Whoever looks after it has looked, and goes on.
  yield* Effect.forkScoped(
    Stream.runForEach(guard.kills, (killed) => {
      kills.push(killed)
      return Effect.andThen(Effect.sleep(1_000), guard.revive)
    }),
    { startImmediately: true }
  )
  yield* surely
  yield* Effect.forEach([...ofCommands, ...ofTelling], (fault) => simulator.inject(fault))
  yield* Effect.scoped(Effect.gen(function*() {
    yield* Effect.forkScoped(breaks(draws, () => void outages++))
    yield* Effect.forEach(
      Array.from({ length: workers }),
      () => worker(draws, () => sent >= count, () => void interrupted++),
      { concurrency: workers, discard: true }
    )
  }))
  const faults = simulator.counts().faults.reduce((applied, fault) => applied + fault.applied, 0)
  yield* simulator.clear()
  // Until the latest request has arrived.
  yield* Effect.sleep("15 seconds")
  yield* guard.revive
  yield* executor.drain
  const { cash, refused, unknown } = yield* executor.performance
  const ours = accountSubjects.map(({ adapter }): readonly [string, WorldAccount] => [
    adapter.id,
    simulator.account(adapter.id, Account.userId)!
  ])
  const unitOf = (exchange: string, pair: TradingPair): Decimal.Decimal =>
    Decimal.of(String(instruments.find((one) => one.exchange === exchange && one.pair === pair)!.contractSize))
  const fills = ours.flatMap(([exchange, account]) =>
    account.fills({}).map((fill) => ({ exchange, fill, unit: unitOf(exchange, fill.pair) }))
  )
  const by = (keyOf: (one: (typeof fills)[number]) => string): ReadonlyMap<string, Booked> =>
    new Map(
      Object.entries(Arr.groupBy(fills, keyOf)).map(([key, all]) => [
        key,
        bookedOf(all.map(({ fill, unit }) => [fill, unit]))
      ])
    )
  return {
    executions,
    refused,
    interrupted,
    outages,
    kills,
    unknown,
    openAtGuard: guard.state().openOrders,
    cash: Decimal.toText(cash),
    exposure: new Map(executor.exposure().map(({ asset, quantity }) => [asset, Decimal.toText(quantity)])),
    truth: bookedOf(fills.map(({ fill, unit }) => [fill, unit])),
    arrivedAt: new Map(
      ours.flatMap(([, account]) =>
        account.orders({ open: false }).map(({ clientOrderId, createdAt }) => [clientOrderId ?? "", createdAt] as const)
      )
    ),
    booked: by(({ fill }) => fill.clientOrderId ?? ""),
    markets: new Map(
      [...by(({ exchange, fill }) => `${exchange} ${fill.pair}`)].map(([market, { received }]) => [
        market,
        [...received.values()][0]!
      ])
    ),
    lots: lotsOf(instruments, simulator),
    openOrders: ours.reduce((open, [, account]) => open + account.orders({ open: true }).length, 0),
    faults
  }
})

/** The least that any of the exchanges takes, at its best bid. */
export const lotsOf = (
  instruments: ReadonlyArray<Instrument>,
  simulator: Simulator.SimulatorService
): ReadonlyMap<string, Decimal.Decimal> => {
  const lots = new Map<string, Decimal.Decimal>()
  for (const { base, contractSize, exchange, minNotional, minQuantity, pair, quantityStep } of instruments) {
    const bid = Number(simulator.book(exchange, pair, 1)!.bids[0]!.price)
    const units = Math.max(quantityStep, minQuantity ?? 0, (minNotional ?? 0) / (bid * contractSize))
    const step = Decimal.of(String(quantityStep))
    const lot = BigDecimal.multiply(
      Decimal.toStep(Decimal.of(String(units)), step, "up"),
      Decimal.of(String(contractSize))
    )
    const known = lots.get(base)
    lots.set(base, known === undefined ? lot : BigDecimal.min(known, lot))
  }
  return lots
}

/** In virtual time, and nothing logged. */
export const over = <A>(
  seed: number,
  body: Effect.Effect<A, unknown, Services | Scope.Scope>,
  layer: Layer.Layer<Services, unknown>
): Effect.Effect<A, unknown> =>
  Exchange.memory.run(body.pipe(Effect.scoped, Effect.provide(layer)), 10_000_000).pipe(
    Random.withSeed(seed),
    Effect.provide(Layer.merge(TestClock.layer(), Logger.layer([]))),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** `leftAt`: when each order has left first, ms. */
const run = (seed: number, count: number, placed: Map<string, number>, leftAt: Map<string, number>) =>
  over(
    seed,
    play(seed, count, placed),
    layerOf(seed, (id, at) => {
      placed.set(id, (placed.get(id) ?? 0) + 1)
      leftAt.set(id, leftAt.get(id) ?? at)
    })
  )

// ---- judging --------------------------------------------------------------------------------------------------------

export const ordersOf = (
  { buy, compensation, sell }: Execution
): ReadonlyArray<LegResult> => [buy, sell, ...compensation]

/** Whether any of its legs has left: an execution that both exchanges were spared proves nothing. */
const wasSent = ({ buy, sell }: Execution, placed: ReadonlyMap<string, number>): boolean =>
  placed.has(buy.clientOrderId) || placed.has(sell.clientOrderId)

/** What an execution has told of an order against what its exchange has booked for it; null: the same to the last digit. */
const wrongOf = (
  { cash, clientOrderId, exchange, isEstimated, outcome, pair, received }: LegResult,
  booked: Result["booked"]
): string | null => {
  const truth = booked.get(clientOrderId) ?? { cash: "0", received: new Map<string, string>() }
  const [told, is] = [
    `${Decimal.toText(received)} for ${Decimal.toText(cash)}`,
    `${truth.received.get(partsOf(pair).base) ?? "0"} for ${truth.cash}`
  ]
  // What is not known, or by rate, is told so; the sums below are held to it all the same.
  return outcome === "unknown" || isEstimated || told === is
    ? null
    : `${exchange} ${clientOrderId} (${outcome}): ${told} is ${is}`
}

/** How long the executor looks for the end of an order, by default. */
const settleMillis = 30_000

/** Whether what threw the switch was there: an order that was looked for in vain as long as may be, or a lot and more. */
const isRightly = (execution: Execution, { booked, lots }: Result): boolean => {
  const { base } = partsOf(execution.buy.pair)
  const orders = ordersOf(execution)
  if (orders.some(({ outcome }) => outcome === "unknown")) {
    return execution.endedAt - execution.startedAt >= settleMillis
  }
  const left = BigDecimal.sumAll(
    orders.map(({ clientOrderId }) => Decimal.of(booked.get(clientOrderId)?.received.get(base) ?? "0"))
  )
  return BigDecimal.isGreaterThanOrEqualTo(BigDecimal.abs(left), lots.get(base)!)
}

/** Orders of ours that have filled further than their execution knew, as the kill switch says and their exchange has booked. */
const lateOf = ({ booked, kills }: Result): ReadonlySet<string> =>
  new Set(
    kills.flatMap(({ reason }) => /of the order (\S+) on \S+ filled behind its end/u.exec(reason)?.[1] ?? [])
      .filter((id) => booked.has(id))
  )

/** Every execution that ended exposed has thrown the switch, and every throw has such a reason. */
const judgeKills = (proof: Proof, result: Result): void => {
  const { executions, kills } = result
  const exposed = executions.filter(({ _tag }) => _tag === "Exposed")
  const isOf = ({ buy, endedAt, startedAt }: Execution, { at, reason }: Killed): boolean =>
    reason.startsWith(`exposed in ${partsOf(buy.pair).base}:`) && at >= startedAt && at <= endedAt
  const silent = exposed.filter((execution) => !kills.some((killed) => isOf(execution, killed)))
  proof.check(
    "every execution that ends exposed has thrown the kill switch, and says why",
    silent.length === 0,
    `${exposed.length} exposed, ${silent.length} of them in silence`
  )
  const late = [...lateOf(result)]
  const wrong = kills.filter((killed) =>
    !exposed.some((execution) => isOf(execution, killed) && isRightly(execution, result))
    && !late.some((id) => killed.reason.includes(` ${id} on `))
  )
  proof.check(
    "the switch is thrown for nothing else, and only where an order was looked for in vain, or a lot and more was left",
    wrong.length === 0,
    wrong.length === 0 ? `${kills.length} throws` : wrong.map(({ reason }) => reason).join("; ")
  )
}

/** How long the executor looks for an order before it has never arrived, by default. */
const absentMillis = 10_000

/** None that has come in time was given up, and traded away by another order. */
const judgeLate = (
  proof: Proof,
  { arrivedAt }: Result,
  late: ReadonlySet<string>,
  leftAt: ReadonlyMap<string, number>
) => {
  const delays = [...late].map((id) => arrivedAt.get(id)! - leftAt.get(id)!)
  const wrong = delays.filter((delay) => !(delay >= absentMillis))
  proof.check(
    "no order is given up as never arrived that its exchange had within 10 s of its leaving",
    wrong.length === 0,
    `${late.size} that filled behind their end${wrong.length === 0 ? "" : `, ${wrong.join(", ")} ms behind leaving`}`
  )
}

const judge = (
  proof: Proof,
  result: Result,
  placed: ReadonlyMap<string, number>,
  leftAt: ReadonlyMap<string, number>
): void => {
  const { exposure, lots, truth } = result
  const twice = [...placed].filter(([, times]) => times > 1)
  proof.check(
    "no order is sent twice",
    twice.length === 0 && placed.size > 0,
    `${placed.size} ids on the wire, ${twice.length} twice`
  )
  const large = bases.filter((base) => {
    const left = BigDecimal.abs(Decimal.of(truth.received.get(base) ?? "0"))
    return BigDecimal.isGreaterThanOrEqualTo(left, lots.get(base)!)
  })
  for (const base of bases) {
    const there = [...result.markets].filter(([market]) => market.includes(` ${base}/`))
    proof.say(`${base}: ${there.map(([market, gained]) => `${market} ${gained}`).join(", ")}`)
  }
  proof.check(
    "of every pair, over its spot and perpetual markets, the accounts have left less than the least that any of them takes",
    large.length === 0,
    bases.map((base) => `${truth.received.get(base) ?? "0"} of ${Decimal.toText(lots.get(base)!)} ${base}`).join(", ")
  )
  const late = lateOf(result)
  const told = result.executions.flatMap(ordersOf).filter(({ clientOrderId }) => !late.has(clientOrderId))
  const mistold = told.flatMap((order) => wrongOf(order, result.booked) ?? [])
  proof.check(
    "every order of an execution has moved what it says, to the last digit, fees included, but where more is told loudly",
    mistold.length === 0,
    mistold.length === 0
      ? `${told.length} orders, ${late.size} that filled behind their end`
      : `${mistold.length}: ${mistold.slice(0, 3).join("; ")}`
  )
  judgeLate(proof, result, late, leftAt)
  const wrong = bases.filter((base) => (exposure.get(base) ?? "0") !== (truth.received.get(base) ?? "0"))
  proof.check(
    "what it says is left is what the exchanges have booked, to the last digit, fees included",
    wrong.length === 0,
    wrong.length === 0
      ? "all assets"
      : wrong.map((base) => `${base}: ${exposure.get(base)} is ${truth.received.get(base)}`).join(", ")
  )
  proof.check(
    "the money it says it has moved is what the exchanges have booked, to the last digit, fees included",
    result.cash === truth.cash,
    result.cash === truth.cash ? `${truth.cash} USDT` : `${result.cash} is ${truth.cash}`
  )
  proof.check(
    "nothing is left open",
    result.openOrders === 0 && result.openAtGuard === 0 && result.unknown === 0,
    `${result.openOrders} at the exchanges, ${result.openAtGuard} at the guard, ${result.unknown} unknown`
  )
  judgeKills(proof, result)
}

const countOf = (executions: ReadonlyArray<Execution>, tag: Execution["_tag"]): string =>
  String(executions.filter(({ _tag }) => _tag === tag).length)

export const arbitrageExecution: Case = {
  name: "arbitrage-execution",
  proves:
    "Opportunities executed under faults at every step: less than a lot left of every asset, and the exchanges' ledger to the digit",
  run: Effect.fnUntraced(function*(proof) {
    const count = Proofs.sizeOf(proof, 60, 10_000)
    const placed = new Map<string, number>()
    const leftAt = new Map<string, number>()
    const result = yield* run(proof.seed, count, placed, leftAt)
    const { executions, kills } = result
    const orders = executions.flatMap(ordersOf)
    proof.table(
      [
        "executions",
        "sent",
        "completed",
        "compensated",
        "nothing",
        "exposed",
        "orders",
        "partial",
        "unknown at first",
        "fee by rate"
      ],
      [[
        String(executions.length),
        String(executions.filter((one) => wasSent(one, placed)).length),
        countOf(executions, "Completed"),
        countOf(executions, "Compensated"),
        countOf(executions, "Nothing"),
        countOf(executions, "Exposed"),
        String(orders.length),
        String(orders.filter(({ outcome }) => outcome === "partial").length),
        String(orders.filter(({ wasUnknown }) => wasUnknown).length),
        String(orders.filter(({ isEstimated }) => isEstimated).length)
      ]]
    )
    proof.say(
      `${result.interrupted} callers interrupted, ${result.outages} breaks of connections, ${result.faults} faults struck, `
        + `refused: ${Object.entries(result.refused).map(([limit, times]) => `${limit} ${times}`).join(", ") || "none"}`
    )
    proof.say(`the kill switch was thrown ${kills.length} times`)
    for (const { reason } of kills) proof.say(`kill switch: ${reason}`)
    judge(proof, result, placed, leftAt)
    proof.figure("executions", executions.filter((one) => wasSent(one, placed)).length)
    proof.figure("orders", orders.length)
  })
}
