/**
 * Three exchanges with accounts that fail at once, return in every order, hang, flood and revoke their keys, while what
 * their books allow is traded: who was lost may trade again once it is as the exchange has it, and the others go on.
 */
import { BigDecimal, Clock, Effect, Layer, Stream } from "effect"
import type { Scope } from "effect"
import { ArbitrageExecutor } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import * as Executor from "../../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageMonitor } from "../../../src/arbitrage/ArbitrageMonitor.ts"
import * as Risk from "../../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../../src/composite/Markets.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import { bases, listed, monitor } from "../ArbitrageWorld.ts"
import { bookedOf } from "../Booked.ts"
import type { IslandWatch } from "../IslandWorld.ts"
import * as World from "../IslandWorld.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"
import { lotsOf } from "./ArbitrageExecution.ts"

const market = { rate: 4, tradeRate: 0.4, tickMillis: 50 } as const

/** ms. */
const lookEvery = 50
const patience = 120_000

/** Everything is well for so long before the next begins, ms. */
const calm = 1_000

interface Scenario {
  readonly name: string
  readonly faults: ReadonlyArray<string>
  /** Exchanges that are struck, and how long behind the beginning each returns, ms. */
  readonly returns: ReadonlyMap<string, number>
  /** Whether the program is told at once: its sockets end. */
  readonly isTold: boolean
  /** Many changes of the books of those that are struck, until they return. */
  readonly isFlood?: boolean
}

const away = (id: string, millis: number): ReadonlyArray<string> => [
  `refuse:503,on=${id}@0s:${millis}ms`,
  `http-error:503,on=${id}@0s:${millis}ms`
]

const orders = (all: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  all.length < 2 ?
    [all] :
    all.flatMap((first) => orders(all.filter((id) => id !== first)).map((others) => [first, ...others]))

const scenarios: ReadonlyArray<Scenario> = [
  ...orders(World.ids).map((order): Scenario => {
    const returns = new Map(order.map((id, index) => [id, 500 + 1_000 * index]))
    const faults = [...returns].flatMap(([id, millis]) => away(id, millis))
    return { name: `all at once, back: ${order.join(", ")}`, faults: [...faults, "drop"], returns, isTold: true }
  }),
  {
    name: "gate-spot hangs",
    faults: ["half-open,on=gate-spot@0s:15s"],
    returns: new Map([["gate-spot", 15_000]]),
    isTold: false
  },
  {
    name: "mexc-spot floods",
    faults: [],
    returns: new Map([["mexc-spot", 2_000]]),
    isTold: false,
    isFlood: true
  },
  {
    name: "gate-futures takes the key away",
    faults: ["revoke:key,on=gate-futures@0s:4s", "drop,on=gate-futures"],
    returns: new Map([["gate-futures", 4_000]]),
    isTold: true
  }
]

interface Outcome {
  readonly scenario: Scenario
  /** From the return of each until it was well for good, ms. */
  readonly back: ReadonlyArray<number>
  /** What the program said that was not so. */
  readonly wrong: ReadonlyArray<string>
  /** Executions between exchanges that were there, while others were not. */
  readonly traded: number
}

type Services = Markets | ArbitrageExecutor | ArbitrageMonitor | Risk.RiskGuard | Simulator.Simulator

/** One island through one scenario. */
class Course {
  readonly watch: IslandWatch
  /** Null: not struck. */
  readonly returns: number | null
  readonly #began: number
  readonly #isTold: boolean
  readonly wrong: Array<string> = []
  lastBad: number
  /** When it said that it may trade, behind its return, and the ledger is looked at. */
  #judgedAt: number | null = null
  #wasReady = true

  constructor(watch: IslandWatch, { isTold, returns }: Scenario, began: number) {
    const millis = returns.get(watch.id)
    this.watch = watch
    this.returns = millis === undefined ? null : began + millis
    this.#began = began
    this.#isTold = isTold
    this.lastBad = began
  }

  look(now: number): void {
    const { id, mayTrade } = this.watch
    if (this.returns === null) {
      if (!mayTrade) this.wrong.push(`${id} was disturbed ${now - this.#began} ms behind the beginning`)
      return
    }
    if (mayTrade) this.#trusted(now, this.returns)
    this.#wasReady = mayTrade
    if (this.#judgedAt !== null && now >= this.#judgedAt) this.#judge()
    if (!mayTrade || !this.watch.isCurrent(now) || now < this.returns) this.lastBad = now
  }

  #trusted(now: number, returns: number): void {
    if (this.#isTold && now < returns) {
      this.wrong.push(`${this.watch.id} may trade ${now - this.#began} ms behind its loss`)
    }
    if (!this.#wasReady) this.#judgedAt = now + World.onItsWay
  }

  /** It has said that it is ready: so it must be. */
  #judge(): void {
    this.#judgedAt = null
    const found = this.watch.wrongAccount()
    if (found.length > 0) this.wrong.push(`${this.watch.id} was ready, and ${found[0]}`)
  }

  isOver(now: number): boolean {
    return this.returns === null || (this.#judgedAt === null && now - this.lastBad >= calm)
  }
}

/** Each of the struck exchanges' books changes hundreds of times a second. */
const flood = Effect.fnUntraced(function*(watches: ReadonlyArray<IslandWatch>, millis: number) {
  const simulator = yield* Simulator.Simulator
  for (let passed = 0; passed < millis; passed += 20) {
    for (const { id, pairs } of watches) {
      for (const pair of pairs) {
        const bids = simulator.book(id, pair, 8)!.bids
        for (const [index, { price }] of bids.entries()) {
          const quantity = String(1 + ((passed / 20 + index) % 5))
          yield* simulator.publish(id, pair, { _tag: "Level", side: "bid", price, quantity })
        }
      }
    }
    yield* Effect.sleep(20)
  }
})

const through = Effect.fnUntraced(function*(
  scenario: Scenario,
  watches: ReadonlyArray<IslandWatch>,
  executedOn: Array<ReadonlySet<string>>
): Effect.fn.Return<Outcome, unknown, Simulator.Simulator | Scope.Scope> {
  const simulator = yield* Simulator.Simulator
  const began = yield* Clock.currentTimeMillis
  for (const fault of scenario.faults) yield* simulator.inject(fault)
  if (scenario.isFlood === true) {
    const struck = watches.filter(({ id }) => scenario.returns.has(id))
    yield* Effect.forkScoped(flood(struck, Math.max(...scenario.returns.values())))
  }
  const courses = watches.map((watch) => new Course(watch, scenario, began))
  executedOn.length = 0
  let traded = 0
  let now = began
  while (now - began < patience && !courses.every((course) => course.isOver(now))) {
    yield* Effect.sleep(lookEvery)
    now = yield* Clock.currentTimeMillis
    for (const course of courses) course.look(now)
    const gone = courses.filter(({ lastBad, returns }) => returns !== null && lastBad === now).map(({ watch }) =>
      watch.id
    )
    traded += gone.length === 0 ? 0 : executedOn.filter((on) => !gone.some((id) => on.has(id))).length
    executedOn.length = 0
  }
  const late = courses.filter((course) => !course.isOver(now)).map(({ watch }) =>
    `${watch.id} does not come back: ${watch.problems}`
  )
  const books = watches.flatMap((watch) =>
    watch.wrongBooks().map((pair) => `${watch.id}: the book of ${pair} is wrong`)
  )
  return {
    scenario,
    back: courses.flatMap(({ lastBad, returns }) => returns === null ? [] : [lastBad + lookEvery - returns]),
    wrong: [...courses.flatMap(({ wrong }) => wrong), ...late, ...books],
    traded
  }
})

/** Trades one of the edges that there are, one after the other. */
const trade = Effect.fnUntraced(function*(draws: Virtual.Draws) {
  const executor = yield* ArbitrageExecutor
  const edges = yield* ArbitrageMonitor
  while (true) {
    yield* Effect.sleep(600)
    const open = edges.open()
    if (open.length > 0) yield* Effect.exit(executor.execute(Virtual.pick(draws, open)))
  }
})

const play = Effect.fnUntraced(function*(proof: Proof): Effect.fn.Return<void, unknown, Services | Scope.Scope> {
  const simulator = yield* Simulator.Simulator
  const executor = yield* ArbitrageExecutor
  const guard = yield* Risk.RiskGuard
  const watches = yield* World.watchAll(bases)
  const instruments = yield* listed(yield* Markets)
  const executedOn: Array<ReadonlySet<string>> = []
  let executions = 0
  yield* Effect.forkScoped(
    Stream.runForEach(executor.executions, ({ _tag, opportunity: { buy, sell } }) =>
      Effect.sync(() => {
        executions++
        if (_tag === "Completed") executedOn.push(new Set([buy.exchange, sell.exchange]))
      })),
    { startImmediately: true }
  )
  const kills: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(guard.kills, ({ reason }) => {
      kills.push(reason)
      return Effect.andThen(Effect.sleep(1_000), guard.revive)
    }),
    { startImmediately: true }
  )
  const draws = yield* Virtual.draws(proof.seed, "islands")
  const outcomes: Array<Outcome> = []
  yield* Effect.scoped(Effect.gen(function*() {
    // An execution on an exchange that hangs takes its time.
    for (let trader = 0; trader < 3; trader++) yield* Effect.forkScoped(trade(draws))
    for (let round = 0; round < Proofs.sizeOf(proof, 1, 10); round++) {
      for (const scenario of scenarios) {
        outcomes.push(yield* through(scenario, watches, executedOn))
        yield* simulator.clear()
      }
    }
  }))
  yield* Effect.sleep("5 seconds")
  yield* guard.revive
  const { openOrders } = yield* executor.drain
  for (const reason of kills) proof.say(`kill switch: ${reason}`)
  report(proof, outcomes)
  const unitOf = (exchange: string, pair: string): Decimal.Decimal =>
    Decimal.of(String(instruments.find((one) => one.exchange === exchange && one.pair === pair)!.contractSize))
  const booked = bookedOf(
    watches.flatMap(({ account, id }) => account.fills({}).map((fill) => [fill, unitOf(id, fill.pair)] as const))
  )
  const lots = lotsOf(instruments, simulator)
  const left = bases.map((base) => ({ base, amount: Decimal.of(booked.received.get(base) ?? "0") }))
  proof.check(
    "nothing stays exposed: what the exchanges have booked is below the least that can be ordered, and nothing is open",
    openOrders === 0 && watches.every(({ account }) => account.orders({ open: true }).length === 0)
      && left.every(({ amount, base }) => BigDecimal.isLessThan(BigDecimal.abs(amount), lots.get(base)!)),
    `${executions} executions, left: ${left.map(({ amount, base }) => `${Decimal.toText(amount)} ${base}`).join(", ")}`
  )
  const accounts = watches.flatMap((watch) => watch.wrongAccount().map((found) => `${watch.id}: ${found}`))
  const fills = watches.reduce((sum, { known }) => sum + known.fills.length, 0)
  proof.check(
    "no event of an account is lost or told twice",
    accounts.length === 0 && fills > 0,
    accounts[0] ?? `${fills} fills`
  )
  proof.figure("executions", executions)
})

const report = (proof: Proof, outcomes: ReadonlyArray<Outcome>): void => {
  proof.table(
    ["", "traded meanwhile", "until ready, virtual s: count", "p50", "p95", "max"],
    scenarios.map((scenario) => {
      const of = outcomes.filter((outcome) => outcome.scenario === scenario)
      const traded = of.reduce((sum, outcome) => sum + outcome.traded, 0)
      return [scenario.name, String(traded), ...Proofs.spread(of.flatMap(({ back }) => back.map((ms) => ms / 1_000)))]
    })
  )
  const wrong = outcomes.flatMap((outcome) => outcome.wrong.map((text) => `${outcome.scenario.name}: ${text}`))
  proof.check(
    "every exchange comes back by itself; none may trade from its loss until books and account are the exchange's; no other is disturbed",
    wrong.length === 0,
    wrong[0] ?? `${outcomes.length} failures, ${outcomes.flatMap(({ back }) => back).length} returns`
  )
  const one = outcomes.filter(({ scenario }) => scenario.returns.size === 1)
  const idle = one.filter(({ traded }) => traded === 0)
  proof.check(
    "while one exchange is lost, or hangs, the others are traded on",
    idle.every(({ scenario }) => scenario.isFlood === true) && one.length > idle.length,
    one.map(({ scenario, traded }) => `${scenario.name}: ${traded}`).join(", ")
  )
  proof.figure("returns", outcomes.flatMap(({ back }) => back).length)
  proof.figure("back_max_virtual_ms", Math.max(...outcomes.flatMap(({ back }) => back)))
}

const layerProgram = Executor.layer({ maxAge: "5 seconds", pauseAfterRefusal: "100 millis" }).pipe(
  Layer.provideMerge(Layer.merge(
    monitor({ maxNotional: 300, maxAgeMs: 5_000, maxSkewMs: 5_000 }),
    Risk.layer({ global: { maxOpenOrders: 100 } })
  )),
  Layer.provideMerge(World.layerMarkets(bases, { reopenEvery: "5 seconds" }))
)

export const islands: Case = {
  name: "islands",
  proves:
    "Three exchanges that fail at once and return in any order, hang, flood or revoke keys: back by themselves, traded only when reconciled, the others go on",
  run: (proof) =>
    World.run(
      proof.seed,
      World.layerServer(proof.seed, bases, market),
      24 * 3_600_000,
      Effect.provide(play(proof), layerProgram)
    )
}
