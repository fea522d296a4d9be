/** Opportunities against the simulator's own books: nothing told that is not there, and what is there told. */
import { Clock, Effect, Layer, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as ArbitrageMonitor from "../../../src/arbitrage/ArbitrageMonitor.ts"
import * as Opportunities from "../../../src/arbitrage/Opportunity.ts"
import type { Conditions } from "../../../src/arbitrage/Opportunity.ts"
import * as Markets from "../../../src/composite/Markets.ts"
import type { Definition } from "../../../src/composite/Markets.ts"
import * as PublicExchange from "../../../src/composite/PublicExchange.ts"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../../src/connection/MemoryNetwork.ts"
import type { ExchangeId, TradingPair } from "../../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../../src/ExchangeFactory.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { Fault, PlantedEdge, SimulatorService } from "../../../src/simulator/Simulator.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import { ArbitrageLedger } from "../ArbitrageLedger.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

/** What a taker pays. */
const fees: Readonly<Record<ExchangeId, number>> = { "mexc-spot": 0.0005, "gate-spot": 0.001, "gate-futures": 0.0005 }

/** Positions are closed at once: funding has properties of its own in the tests. */
const conditions: Conditions = { ...Opportunities.defaults, holdingMs: 0, minProfit: 0.01, maxNotional: 5_000 }

const market = { levels: 60, rate: 60, limits: "off", tickMillis: 10 } as const

/** The feed of each that tells soonest: every 10 and every 20 ms. */
const fastest: Readonly<Record<ExchangeId, PublicExchange.PublicExchangeOptions["book"]>> = {
  "mexc-spot": { speed: "10ms" }
}

/** Planted edges begin behind it, ms. */
const warmUp = 3_000

const layerOf = (simulator: Partial<Simulator.SimulatorOptions>) => {
  const markets = Layer.unwrap(Effect.map(Simulator.Simulator, ({ pairsOf, urls }) => {
    const definitions = Virtual.subjects.map(({ adapter }): [ExchangeId, Definition<MemoryNetwork.MemoryNetwork>] => {
      const { rest, ws } = urls[adapter.id]!
      const [first, ...others] = pairsOf(adapter.id) as [TradingPair, ...Array<TradingPair>]
      const layer = PublicExchange.layer({ tickers: [], book: fastest[adapter.id] }).pipe(
        Layer.provide(ExchangeFactory.layerPublic(adapter, { url: ws, restUrl: rest })),
        Layer.provide(network)
      )
      return [adapter.id, { layer, pairs: [first, ...others] }]
    })
    return Markets.layer(Object.fromEntries(definitions))
  }))
  const network = Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)
  return ArbitrageMonitor.layer({ ...conditions, routes: { fees } }).pipe(
    Layer.provideMerge(markets),
    Layer.provideMerge(
      Layer.orDie(
        Simulator.layerMemory({ dialects: Virtual.subjects.map(({ dialect }) => dialect), ...market, ...simulator })
      )
    )
  )
}

interface Run {
  readonly name: string
  readonly faults: ReadonlyArray<string>
  /** Strikes so often, ms; null: never. */
  readonly strikeEvery: number | null
  readonly strike: (draws: Draws) => ReadonlyArray<Fault | string>
  /** Lasts so long at least, ms. */
  readonly atLeast?: number
  /** Whether legs are what they should be, so that every edge must be found. */
  readonly isWhole: boolean
}

const apart = ["skew:200ms,on=mexc-spot", "skew:-200ms,on=gate-spot"]

const between = (draws: Draws, from: number, to: number): number => from + Virtual.below(draws, to - from + 1)

const exchanges = Virtual.subjects.map(({ adapter }) => adapter.id)

/** A leg that is old, hangs or is lost, and says nothing of it. */
const staleLeg = (draws: Draws): ReadonlyArray<Fault | string> => {
  const on = Virtual.pick(draws, exchanges)
  const lasts = between(draws, 300, 2_500)
  // A hanging socket is noticed after half a minute.
  if (Virtual.below(draws, 30) === 0) return [`half-open,on=${on}`]
  return [Virtual.pick(draws, [
    `delay:${between(draws, 100, 2_000)}ms,on=${on}@0ms:${lasts}ms`,
    `delay:${between(draws, 100, 2_000)}ms,on=${on}@0ms:${lasts}ms`,
    `gap:${between(draws, 1, 10)},on=${on}`,
    `drop,on=${on}`
  ])]
}

/** A clock that is set while the program runs, within what is allowed and far beyond: what was measured is wrong from then on. */
const clockSet = (draws: Draws): ReadonlyArray<Fault | string> => [
  `skew:${Virtual.pick(draws, [-5_000, -200, 200, 5_000])}ms,on=${Virtual.pick(draws, exchanges)}@0ms:${
    between(draws, 300, 1_500)
  }ms`
]

/** How long a strike that follows lasts, ms. */
const lasting = "@0ms:1500ms"

/** Every leg is older than `maxAgeMs`, and none is further from another than allowed: only its age gives it away. */
const allLate = (draws: Draws): ReadonlyArray<Fault | string> => [`delay:${between(draws, 1_200, 1_400)}ms${lasting}`]

/** One leg is younger than `maxAgeMs` and further from the others than `maxSkewMs`: only the distance gives it away. */
const oneLate = (draws: Draws): ReadonlyArray<Fault | string> => [
  `delay:${between(draws, 650, 850)}ms,on=${Virtual.pick(draws, exchanges)}${lasting}`
]

/** Legs that are too old look young and alike, for all clocks are set on: only that they come from the future gives it away. */
const allLateAndSet = (draws: Draws): ReadonlyArray<Fault | string> => [
  `skew:5000ms${lasting}`,
  ...allLate(draws)
]

const never = { strikeEvery: null, strike: staleLeg }

const runs: ReadonlyArray<Run> = [
  { name: "steady", faults: [], ...never, isWhole: true },
  { name: "clocks 200 ms apart", faults: apart, ...never, isWhole: true },
  { name: "stale legs, clocks apart", faults: apart, strikeEvery: 700, strike: staleLeg, isWhole: false },
  { name: "clocks that are set", faults: [], strikeEvery: 1_500, strike: clockSet, isWhole: false },
  { name: "all legs too old", faults: [], strikeEvery: 3_000, strike: allLate, atLeast: 16_000, isWhole: false },
  { name: "legs too far apart", faults: [], strikeEvery: 3_000, strike: oneLate, atLeast: 16_000, isWhole: false },
  {
    name: "all too old, clocks set on",
    faults: [],
    strikeEvery: 3_000,
    strike: allLateAndSet,
    atLeast: 16_000,
    isWhole: false
  }
]

const isReady = (
  markets: Markets.Markets["Service"],
  simulator: SimulatorService,
  monitor: ArbitrageMonitor.ArbitrageMonitor["Service"]
): boolean =>
  monitor.routes().length > 0 && markets.ids.every((id) => {
    const market = markets.current(id)?.market
    return market !== undefined && market.clock() !== null &&
      simulator.pairsOf(id).every((pair) => market.book(pair)?._tag === "Synced")
  })

interface Outcome {
  readonly ledger: ArbitrageLedger
  readonly performance: ArbitrageMonitor.MonitorPerformance
  readonly strikes: number
}

const follow = Effect.fnUntraced(function*(run: Run, millis: number, draws: Draws) {
  const simulator = yield* Simulator.Simulator
  const markets = yield* Markets.Markets
  const monitor = yield* ArbitrageMonitor.ArbitrageMonitor
  const clock = yield* Clock.Clock
  while (!isReady(markets, simulator, monitor)) yield* Effect.sleep(10)
  const ledger = new ArbitrageLedger(simulator, monitor.routes(), conditions)
  let seen = 0
  const watch = simulator.until(() => {
    const now = clock.currentTimeMillisUnsafe()
    if (now > seen) ledger.look(now)
    seen = now
    return false
  })
  yield* monitor.handle((event) => {
    if (event._tag === "Vanished") ledger.vanish(event.opportunity)
    else ledger.tell(event.opportunity, clock.currentTimeMillisUnsafe())
  })
  yield* Effect.forkScoped(watch, { startImmediately: true })
  let strikes = 0
  if (run.strikeEvery !== null) {
    const strike = Effect.suspend(() => {
      strikes++
      return Effect.orDie(Effect.forEach(run.strike(draws), (fault) => simulator.inject(fault), { discard: true }))
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(run.strikeEvery), strike)))
  }
  yield* Effect.sleep(millis)
  ledger.end()
  const outcome: Outcome = { ledger, performance: yield* monitor.performance, strikes }
  return outcome
})

const virtually = <A, E>(
  simulator: Partial<Simulator.SimulatorOptions>,
  seed: number,
  body: Effect.Effect<A, E, ArbitrageMonitor.ArbitrageMonitor | Markets.Markets | Simulator.Simulator | Scope.Scope>
) =>
  Exchange.memory.run(body.pipe(Effect.scoped, Effect.provide(layerOf({ seed, ...simulator })))).pipe(
    Random.withSeed(seed),
    Effect.provide(TestClock.layer())
  )

/** ms: shorter ones may come and go between two messages. */
const longEnough = 50

const foundOf = ({ edges }: ArbitrageLedger) => {
  const long = edges.filter(({ from, until }) => until - from > longEnough)
  const found = long.filter((edge) => edge.found).length
  return {
    long: long.length,
    share: long.length === 0 ? 0 : found / long.length,
    missed: long.find((edge) => !edge.found)
  }
}

/** Adds up over all runs. */
interface Totals {
  told: number
  wrong: number
  unknown: number
  firstWrong: string
  /** The smallest share found in a run whose legs are whole. */
  least: number
  firstMissed: string
}

const addTo = (totals: Totals, run: Run, ledger: ArbitrageLedger): void => {
  totals.told += ledger.told
  totals.wrong += ledger.wrong
  totals.unknown += ledger.unknown
  if (ledger.firstWrong !== "") totals.firstWrong ||= `; first: ${run.name}, ${ledger.firstWrong}`
  const { missed, share } = foundOf(ledger)
  if (!run.isWhole) return
  totals.least = Math.min(totals.least, share)
  if (missed !== undefined) totals.firstMissed ||= `; first missed ${JSON.stringify(missed)}`
}

const rowOf = (
  run: Run,
  { ledger, performance: { withheld }, strikes }: Outcome,
  planted: number
): ReadonlyArray<string> => {
  const { long, share } = foundOf(ledger)
  return [
    run.name,
    String(strikes),
    String(planted),
    String(ledger.edges.length),
    String(long),
    `${(share * 100).toFixed(2)} %`,
    String(ledger.told),
    String(ledger.wrong),
    `${(100 * ledger.stillThere / Math.max(1, ledger.told)).toFixed(1)} %`,
    `${withheld.Stale}/${withheld.TooOld}/${withheld.Skewed}`
  ]
}

const runAll = Effect.fnUntraced(function*(proof: Proof) {
  const pairs = Virtual.spotPairs(proof.quick ? 3 : 8)
  const size = Proofs.sizeOf(proof, 4_000, 60_000)
  const rows: Array<ReadonlyArray<string>> = []
  const totals: Totals = { told: 0, wrong: 0, unknown: 0, firstWrong: "", least: 1, firstMissed: "" }
  for (const run of runs) {
    const draws = yield* Virtual.draws(proof.seed, `arbitrage ${run.name}`)
    const millis = Math.max(size, run.atLeast ?? 0)
    const edges = edgesOf(draws, pairs, millis)
    const simulator = { pairs, faults: [...run.faults], edges }
    const outcome = yield* virtually(simulator, proof.seed, follow(run, millis, draws))
    addTo(totals, run, outcome.ledger)
    rows.push(rowOf(run, outcome, edges.length))
  }
  proof.table(
    ["run", "faults", "planted", "edges", "> 50 ms", "found", "told", "wrong", "still there", "stale/old/skewed"],
    rows
  )
  const { firstMissed, firstWrong, least, told, unknown, wrong } = totals
  proof.check(
    "nothing is told that the exchanges' own books at those versions do not leave after fees, and no leg is older or further apart than allowed",
    wrong === 0 && unknown === 0 && told > 0,
    `${told} told, ${wrong} wrong, ${unknown} not known${firstWrong}`
  )
  proof.check(
    `at least 99 % of the edges that lived longer than ${longEnough} ms are found, clocks 200 ms apart or not`,
    least >= 0.99,
    `${(least * 100).toFixed(2)} % at least${firstMissed}`
  )
  proof.figure("told", told)
  proof.figure("wrong", wrong)
  proof.figure("found", least)
})

const edgesOf = (draws: Draws, pairs: ReadonlyArray<TradingPair>, millis: number): ReadonlyArray<PlantedEdge> =>
  Simulator.planEdges(draws, {
    markets: Virtual.subjects.flatMap((subject) =>
      pairs.map((pair) => ({ exchange: subject.adapter.id, pair: Virtual.pairOn(subject, pair) }))
    ),
    withinMillis: millis,
    pauseMillis: 1_000,
    durationMillis: [20, 2_000],
    premium: [0.002, 0.006]
  }).map((edge) => ({ ...edge, fromMillis: edge.fromMillis + warmUp }))

export const arbitrageTruth: Case = {
  name: "arbitrage-truth",
  proves:
    "opportunities are what the exchanges' books leave after fees, at the versions used, and hardly any is missed",
  run: runAll
}
