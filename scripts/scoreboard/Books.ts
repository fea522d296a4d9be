/**
 * Books: what each client shows as the present book, beside the simulator's own. Simulated time is pushed on by hand, so
 * that a seed gives the same frames on every machine; both clients read the same market at the same time.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { LiveBook, OrderBooks } from "../../src/composite/OrderBooks.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import * as Ours from "./Ours.ts"
import type { Row, Settings } from "./Row.ts"
import { count, judged, told } from "./Row.ts"

const pairs = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "DOGE/USDT"] as const

/** Book changes per second and market. */
const rate = 200

interface Market {
  readonly id: KnownExchange
  readonly open: (simulator: SimulatorService) => Effect.Effect<Judges.Ccxt, never, Scope.Scope>
  /** Ticks from one book update to the next. */
  readonly interval: number
  /** Levels a side that its feed keeps right. */
  readonly reach: number
  /** The nonce that ccxt shows once it has read everything, from the version before the last update and after it. */
  readonly nonce: (before: number, after: number) => number
}

const mexc: Market = {
  id: "mexc-spot",
  open: (simulator) => Judges.ccxtMexc(simulator.urls["mexc-spot"]!),
  interval: 10,
  reach: 50,
  nonce: (before) => before + 1
}

const gate: Market = {
  id: "gate-spot",
  open: (simulator) => Judges.ccxtGate(simulator.urls["gate-spot"]!),
  interval: 2,
  reach: 50,
  nonce: (_, after) => after
}

// ---- comparing ------------------------------------------------------------------------------------------------------

/** How a shown book differs from the true one. */
interface Difference {
  /** Prices at which the exchange has no order. */
  readonly ghosts: number
  /** Prices that are missing, or whose quantity is another one. */
  readonly wrong: number
}

const differences = (shown: Judges.Side, truth: Judges.Side): Difference => {
  const real = new Map(truth)
  const own = new Map(shown)
  return {
    ghosts: [...own.keys()].filter((price) => !real.has(price)).length,
    wrong: [...real].filter(([price, quantity]) => own.get(price) !== quantity).length
  }
}

const sum = (parts: ReadonlyArray<Difference>): Difference => ({
  ghosts: parts.reduce((total, { ghosts }) => total + ghosts, 0),
  wrong: parts.reduce((total, { wrong }) => total + wrong, 0)
})

const compare = (shown: Judges.Levels, truth: Judges.Levels, reach: number): Difference =>
  sum([
    differences(shown.bids.slice(0, reach), truth.bids),
    differences(shown.asks.slice(0, reach), truth.asks)
  ])

const levelsOf = (live: LiveBook | undefined, reach: number): Judges.Levels => {
  if (live?._tag !== "Synced") return { bids: [], asks: [] }
  const side = (levels: ReadonlyArray<{ readonly price: number; readonly quantity: number }>): Judges.Side =>
    levels.map(({ price, quantity }) => [price, quantity])
  return { bids: side(live.book.bids(reach)), asks: side(live.book.asks(reach)) }
}

/** Every state that a book of ours shows as current is compared with the truth at its version. */
class Watch {
  shown = 0
  wrong = 0
  /** How often a book said that it is not to be used, after it had been in sync. */
  stale = 0
  readonly #market: Market
  readonly #simulator: SimulatorService
  #synced = new Set<TradingPair>()

  constructor(market: Market, simulator: SimulatorService) {
    this.#market = market
    this.#simulator = simulator
  }

  readonly onUpdate = (live: LiveBook): void => {
    const { id, reach } = this.#market
    if (live._tag === "Stale") {
      if (this.#synced.delete(live.pair) && live.cause !== "Closed") this.stale++
      return
    }
    this.#synced.add(live.pair)
    this.shown++
    const truth = this.#simulator.truth(id, live.pair, Number(live.book.version), reach)
    const { ghosts, wrong } = truth === undefined
      ? { ghosts: 0, wrong: 1 }
      : compare(levelsOf(live, reach), Judges.levelsOf(truth), reach)
    if (ghosts + wrong > 0) this.wrong++
  }
}

// ---- driving --------------------------------------------------------------------------------------------------------

interface Rig {
  readonly market: Market
  readonly simulator: SimulatorService
  readonly exchange: Judges.Ccxt
  readonly followed: ReadonlyArray<Judges.Followed>
  readonly ours: OrderBooks["Service"]
  readonly watch: Watch
}

/** Both clients in step, ours first: what ccxt makes of its first books is still to be seen. */
const rig = Effect.fnUntraced(function*(market: Market, seed: number, ticks: number) {
  const options = { dialects, pairs, seed, rate, levels: 60, limits: "off", autoRun: false } as const
  const simulator = yield* Simulator.make(options)
  const exchange = yield* market.open(simulator)
  const ours = yield* Ours.books(market.id, simulator.urls[market.id]!, pairs)
  const watch = new Watch(market, simulator)
  for (const pair of pairs) yield* ours.onUpdate(pair, watch.onUpdate)
  const alone: Rig = { market, simulator, exchange, followed: [], ours, watch }
  yield* Judges.passUntil(simulator, () => oursSynced(alone), { ticks })
  const followed = yield* Effect.forEach(pairs, (pair) => Judges.follow(() => exchange.watchOrderBook(pair), () => {}))
  const made: Rig = { ...alone, followed }
  yield* Judges.passUntil(simulator, () => bothSynced(made), { ticks })
  return made
})

const versionOf = ({ market, simulator }: Rig, pair: TradingPair): number => simulator.book(market.id, pair)!.version

const oursSynced = ({ ours }: Rig): boolean => pairs.every((pair) => ours.get(pair)?._tag === "Synced")

const bothSynced = (rig: Rig): boolean =>
  oursSynced(rig) && pairs.every((pair) => rig.exchange.orderbooks[pair]?.nonce !== undefined)

/** Goes on to the end of an interval and through one more, until both clients have read everything. */
const readOut = Effect.fnUntraced(function*(rig: Rig) {
  const { exchange, market: { interval, nonce }, ours, simulator } = rig
  yield* simulator.tick(interval - simulator.counts().ticks % interval)
  const before = pairs.map((pair) => versionOf(rig, pair))
  yield* simulator.tick(interval)
  const after = pairs.map((pair) => versionOf(rig, pair))
  yield* Judges.settled(() =>
    pairs.every((pair, i) => {
      const live = ours.get(pair)
      const isRead = live?._tag === "Synced" && Number(live.book.version) === after[i]
      return isRead && exchange.orderbooks[pair]?.nonce === nonce(before[i]!, after[i]!)
    })
  )
})

interface Outcome {
  readonly ccxt: Difference
  readonly ours: Difference
  readonly errors: ReadonlyArray<Error>
}

const outcomeOf = ({ exchange, followed, market: { id, reach }, ours, simulator }: Rig): Outcome => {
  const truths = pairs.map((pair) => Judges.levelsOf(simulator.book(id, pair, reach)!))
  return {
    ccxt: sum(pairs.map((pair, i) => compare(Judges.ccxtLevels(exchange, pair), truths[i]!, reach))),
    ours: sum(pairs.map((pair, i) => compare(levelsOf(ours.get(pair), reach), truths[i]!, reach))),
    errors: followed.flatMap(({ errors }) => errors)
  }
}

const differenceText = ({ ghosts, wrong }: Difference): string =>
  `${ghosts} ghost prices, ${wrong} missing or wrong levels`

const isRight = ({ ghosts, wrong }: Difference): boolean => ghosts === 0 && wrong === 0

const oursCell = ({ watch }: Rig, { ours }: Outcome, more: string) =>
  judged(
    isRight(ours) && watch.wrong === 0,
    `${differenceText(ours)}; ${watch.wrong} of ${count(watch.shown)} states shown were wrong${more}`
  )

const noBook = told("keeps no book")

// ---- rows -----------------------------------------------------------------------------------------------------------

/** A snapshot that lies within an update: its first half is in the snapshot, its second half is not. */
export const ghosts = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.gen(function*() {
    // No multiple of the interval, so that the snapshots are taken within one.
    const made = yield* rig(mexc, settings.seed, 7)
    yield* readOut(made)
    const outcome = outcomeOf(made)
    const row: Row = {
      id: "mexc-overlap",
      title: "MEXC: an update overlaps the snapshot",
      done: `${pairs.length} books of 60 levels, ${rate} changes/s each, joined while the market moves`,
      ccxt: judged(isRight(outcome.ccxt), `${differenceText(outcome.ccxt)}, ${outcome.errors.length} errors`),
      gateioApi: null,
      ours: oursCell(made, outcome, ""),
      target: "applied; 0 ghosts",
      kind: "outcome"
    }
    return row
  }).pipe(Effect.scoped)

/** Frames are lost on the way, for both clients the same ones. */
const holes = Effect.fnUntraced(function*(market: Market, settings: Settings) {
  const { interval } = market
  const made = yield* rig(market, settings.seed, interval)
  yield* readOut(made)
  const before = outcomeOf(made)
  const shown = made.watch.shown
  yield* made.simulator.inject({ _tag: "Gap", share: 1, exchange: market.id })
  yield* made.simulator.tick(3 * interval)
  yield* made.simulator.clear()
  yield* made.simulator.tick(interval)
  yield* Judges.passUntil(made.simulator, () => made.watch.stale === pairs.length && bothSynced(made), {
    ticks: interval
  })
  yield* readOut(made)
  const outcome = outcomeOf(made)
  const status = yield* made.ours.status
  const declared = `; ${status.gaps} gaps declared, ${made.watch.stale} books stale, ${status.resyncs} resynced`
  return {
    done: `${pairs.length} books in sync, ${rate} changes/s each; 3 updates of each are lost`,
    ccxt: judged(
      isRight(outcome.ccxt),
      `${differenceText(outcome.ccxt)}, ${outcome.errors.length} errors (before: ${differenceText(before.ccxt)})`
    ),
    ours: oursCell(made, outcome, declared),
    isDeclared: status.gaps === pairs.length && status.resyncs === pairs.length && made.watch.shown > shown
  }
}, Effect.scoped)

const gapTarget = "typed gap, stale before the next value, resynced"

export const mexcGap = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.map(holes(mexc, settings), ({ ccxt, done, isDeclared, ours }): Row => ({
    id: "mexc-gap",
    title: "MEXC: versions are missing",
    done,
    ccxt,
    gateioApi: null,
    ours: isDeclared ? ours : { ...ours, verdict: "bad" },
    target: gapTarget,
    kind: "outcome"
  }))

export const gateGap = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.map(holes(gate, settings), ({ ccxt, done, isDeclared, ours }): Row => ({
    id: "gate-gap",
    title: "Gate spot.obu: U jumps",
    done,
    ccxt,
    gateioApi: noBook,
    ours: isDeclared ? ours : { ...ours, verdict: "bad" },
    target: gapTarget,
    kind: "outcome"
  }))
