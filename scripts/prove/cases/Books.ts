/** Books against the simulator's own, version by version, under every fault that a feed can bring. */
import { Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { BookView } from "../../../src/composite/OrderBook.ts"
import type { LiveBook } from "../../../src/composite/OrderBooks.ts"
import * as OrderBooks from "../../../src/composite/OrderBooks.ts"
import * as Channel from "../../../src/domain/Channel.ts"
import type { Feed } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate } from "../../../src/domain/Market.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { Fault, SimulatorService } from "../../../src/simulator/Simulator.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

/** One way to keep a book. */
interface Way {
  readonly name: string
  readonly subject: Subject
  readonly request: Omit<Channel.BookChannel, "_tag" | "pair">
  /** Levels a side that the feed keeps right: `Infinity` for a feed of the whole book. */
  readonly reach: number
}

const [mexc, gate, futures] = Virtual.subjects as readonly [Subject, Subject, Subject]

const ways: ReadonlyArray<Way> = [
  { name: "mexc-spot", subject: mexc, request: {}, reach: Infinity },
  { name: "gate-spot obu", subject: gate, request: {}, reach: 50 },
  // The snapshot may hold levels that have left the window when the first update joins it: see docs/gate.md.
  { name: "gate-spot order_book_update", subject: gate, request: { source: "order_book_update" }, reach: 20 },
  { name: "gate-futures obu", subject: futures, request: {}, reach: 50 },
  { name: "gate-futures order_book_update", subject: futures, request: { source: "order_book_update" }, reach: 20 }
]

// ---- faults ---------------------------------------------------------------------------------------------------------

interface Strike {
  readonly kind: string
  readonly faults: ReadonlyArray<Fault>
  /** How long the fault itself keeps a book from being right, ms. */
  readonly lasts: number
}

const between = (draws: Draws, from: number, to: number): number => from + Virtual.below(draws, to - from + 1)

const lostFrame: Fault = { _tag: "Gap", count: 1 }

/** Between two frames of the slower feeds, ms: a fault of n frames lasts n of these. */
const frameMillis = 100

const strikes: Readonly<Record<string, (draws: Draws) => Omit<Strike, "kind">>> = {
  "lost frame": () => ({ faults: [lostFrame], lasts: 0 }),
  hole: (draws) => {
    const count = between(draws, 2, 10)
    return { faults: [{ _tag: "Gap", count }], lasts: count * frameMillis }
  },
  duplicate: (draws) => ({ faults: [{ _tag: "Duplicate", count: between(draws, 1, 5) }], lasts: 0 }),
  reorder: (draws) => {
    const count = between(draws, 1, 3)
    return { faults: [{ _tag: "Reorder", count }], lasts: 2 * count * frameMillis }
  },
  "stale snapshot": (draws) => {
    const lasts = between(draws, 100, 1_000)
    const stale: Fault = { _tag: "StaleSnapshot", millis: between(draws, 50, 2_000), durationMillis: lasts }
    return { faults: [stale, lostFrame], lasts }
  },
  "slow snapshot": (draws) => {
    const lasts = between(draws, 20, 400)
    return { faults: [{ _tag: "SlowSnapshot", millis: lasts, durationMillis: 1_000 }, lostFrame], lasts }
  },
  "refused snapshot": (draws) => ({
    faults: [{ _tag: "HttpError", status: Virtual.pick(draws, [500, 503]), count: between(draws, 1, 2) }, lostFrame],
    lasts: 300
  }),
  disconnect: (draws) => ({ faults: [{ _tag: "Drop", code: Virtual.pick(draws, [1006, 1001, 1011]) }], lasts: 0 }),
  "disconnect, refused": (draws) => {
    const lasts = between(draws, 50, 500)
    return { faults: [{ _tag: "Refuse", durationMillis: lasts }, { _tag: "Drop" }], lasts }
  }
}

const kinds = Object.keys(strikes)

const strikeOf = (kind: string, draws: Draws): Strike => ({ kind, ...strikes[kind]!(draws) })

/** A book is right again at the latest so long after the fault: twice the fault's own time, for the back-off, and this. */
const repairMillis = 1_000

// ---- what is watched ------------------------------------------------------------------------------------------------

/** Adds up over all runs of a way. */
class Tally {
  compared = 0
  wrong = 0
  /** States that the simulator no longer held; none may be. */
  unknown = 0
  firstWrong = ""
  /** Versions after a book was joined for the first time: covered by an update, or not. */
  covered = 0
  missed = 0
  /** Versions not covered between a snapshot and the break that ends its chain. */
  holes = 0
  late = 0
  strikes = 0
  readonly stale = new Map<string, Array<number>>()

  addStale(kind: string, millis: number): void {
    const values = this.stale.get(kind)
    if (values === undefined) this.stale.set(kind, [millis])
    else values.push(millis)
  }
}

const equal = (
  flat: ReadonlyArray<number>,
  levels: ReadonlyArray<{ readonly price: string; readonly quantity: string }>
) => {
  if (flat.length !== 2 * levels.length) return false
  return levels.every(({ price, quantity }, i) => flat[2 * i] === Number(price) && flat[2 * i + 1] === Number(quantity))
}

/** Compares what is shown as current with the simulator's book at that version, level by level. */
const judge = (view: BookView, way: Way, simulator: SimulatorService, tally: Tally): void => {
  const truth = simulator.truth(way.subject.adapter.id, view.pair, Number(view.version), way.reach)
  if (truth === undefined) return void tally.unknown++
  tally.compared++
  const top = view.top(way.reach)
  if (equal(top.bids, truth.bids) && equal(top.asks, truth.asks)) return
  tally.wrong++
  if (tally.firstWrong === "") tally.firstWrong = `${way.name} ${view.pair} at version ${view.version}`
}

/** Follows the times without sync of one book. */
class StaleTimes {
  current: Strike | null = null
  #since: number | null = null
  readonly #tally: Tally

  constructor(tally: Tally) {
    this.#tally = tally
  }

  see(live: LiveBook, now: number): void {
    if (live._tag === "Stale") {
      this.#since ??= live.since
    } else if (this.#since !== null) {
      this.#end(now - this.#since)
      this.#since = null
    }
  }

  #end(millis: number): void {
    // Until the first fault the book is being joined for the first time.
    const { current } = this
    this.#tally.addStale(current?.kind ?? "(joining)", millis)
    if (current !== null && millis > 2 * current.lasts + repairMillis) this.#tally.late++
  }
}

/** Counts the versions that the updates of a feed cover. */
class Coverage {
  last: number | null = null
  #chained = false
  readonly #tally: Tally

  constructor(tally: Tally) {
    this.#tally = tally
  }

  see(item: Feed<BookUpdate>): void {
    if (item._tag === "Gap") this.#chained = false
    else if (item.value.kind === "snapshot") this.#snapshot(Number(item.value.version))
    else this.#delta(Number(item.value.firstVersion), Number(item.value.version))
  }

  #snapshot(version: number): void {
    if (this.last !== null) this.#tally.missed += Math.max(0, version - this.last)
    this.last = Math.max(version, this.last ?? 0)
    this.#chained = true
  }

  #delta(first: number, version: number): void {
    const last = this.last ?? first - 1
    const hole = Math.max(0, first - 1 - last)
    this.#tally.missed += hole
    if (hole > 0 || !this.#chained) this.#tally.holes += Math.max(1, hole)
    this.#tally.covered += Math.max(0, version - Math.max(last, first - 1))
    this.last = Math.max(version, last)
  }
}

// ---- one run --------------------------------------------------------------------------------------------------------

interface Planned {
  readonly atMillis: number
  readonly strike: Strike
}

interface Plan {
  readonly pairs: ReadonlyArray<TradingPair>
  readonly strikes: ReadonlyArray<Planned>
  readonly millis: number
  /** From the end of all faults to the end of the markets, ms. */
  readonly calmMillis: number
}

const follow = Effect.fnUntraced(function*(pair: TradingPair, way: Way, simulator: SimulatorService, tally: Tally) {
  const websocket = yield* PublicWebsocket
  const clock = yield* Clock.Clock
  const books = yield* OrderBooks.make([], way.request)
  const times = new StaleTimes(tally)
  const coverage = new Coverage(tally)
  yield* books.onUpdate(pair, (live) => {
    times.see(live, clock.currentTimeMillisUnsafe())
    if (live._tag === "Synced") judge(live.book, way, simulator, tally)
  })
  yield* Effect.forkScoped(
    Effect.flatMap(
      websocket.feed(Channel.book(pair, way.request)),
      (stream) =>
        Stream.runForEachArray(stream, (items) => Effect.sync(() => items.forEach((item) => coverage.see(item))))
    )
  )
  return { books, coverage, pair, times }
})

const play = (
  way: Way,
  { calmMillis, millis, pairs, strikes }: Plan,
  seed: number,
  tally: Tally
): Effect.Effect<void, ExchangeError | Error, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const simulator = yield* Simulator
    const followed = yield* Effect.forEach(pairs, (pair) => follow(pair, way, simulator, tally))
    let now = 0
    for (const { atMillis, strike } of strikes) {
      yield* Effect.sleep(atMillis - now)
      now = atMillis
      tally.strikes++
      for (const { times } of followed) times.current = strike
      yield* Effect.forEach(strike.faults, (fault) => Effect.orDie(simulator.inject(fault)), { discard: true })
    }
    yield* Effect.sleep(millis - now)
    yield* simulator.clear()
    yield* Effect.sleep(calmMillis)
    // What the markets have come to must be what the books come to.
    yield* simulator.pause
    yield* Effect.sleep(2_500)
    for (const { books, coverage, pair } of followed) {
      const live = books.get(pair)
      const version = simulator.book(way.subject.adapter.id, pair, 1)!.version
      if (live?._tag !== "Synced" || Number(live.book.version) !== version) {
        tally.wrong++
        tally.firstWrong ||= `${way.name} ${pair} ended ${live?._tag} and not at version ${version} (seed ${seed})`
      }
      tally.missed += version - (coverage.last ?? version)
    }
  })

const runPlan = (way: Way, plan: Plan, seed: number, tally: Tally) =>
  Virtual.run(
    { subject: way.subject, seed, simulator: { pairs: plan.pairs as [TradingPair, ...Array<TradingPair>] } },
    play(way, plan, seed, tally)
  )

// ---- plans ----------------------------------------------------------------------------------------------------------

/** Each kind of fault at each of the first steps of a run: while connecting, subscribing, joining, and behind. */
const sweep = Effect.fnUntraced(function*(way: Way, proof: Proof, tally: Tally) {
  const random = yield* Virtual.draws(proof.seed, `sweep ${way.name}`)
  const every = proof.quick ? 100 : 10
  let runs = 0
  for (const kind of kinds) {
    for (let atMillis = between(random, 0, every - 1); atMillis < 400; atMillis += every) {
      const strike = strikeOf(kind, random)
      yield* runPlan(
        way,
        {
          pairs: [Virtual.pairOn(way.subject, "BTC/USDT")],
          strikes: [{ atMillis, strike }],
          millis: 1_500 + 2 * strike.lasts,
          calmMillis: repairMillis
        },
        runs++,
        tally
      )
    }
  }
  return runs
})

/** Five minutes of market with three faults at random moments. */
const long = Effect.fnUntraced(function*(way: Way, proof: Proof, index: number, tally: Tally) {
  const seed = proof.seed + index
  const random = yield* Virtual.draws(seed, `long ${way.name}`)
  const millis = 300_000
  const planned = Array.from({ length: 3 }, () => ({
    atMillis: between(random, 0, millis - 5_000),
    strike: strikeOf(Virtual.pick(random, kinds), random)
  })).toSorted((a, b) => a.atMillis - b.atMillis)
  const pairs = [Virtual.pairOn(way.subject, "BTC/USDT")]
  yield* runPlan(way, { pairs, strikes: planned, millis, calmMillis: repairMillis }, seed, tally)
})

/** Behind so many refused snapshots in a row the next one may be 5 s off. */
const stormCalmMillis = 7_000

/** Everything at once and all the time. */
const storm = Effect.fnUntraced(function*(way: Way, proof: Proof, index: number, tally: Tally) {
  const seed = proof.seed + 1_000 + index
  const random = yield* Virtual.draws(seed, `storm ${way.name}`)
  const planned: Array<Planned> = []
  for (let atMillis = 0; atMillis < 8_000; atMillis += between(random, 10, 400)) {
    planned.push({ atMillis, strike: strikeOf(Virtual.pick(random, kinds), random) })
  }
  yield* runPlan(
    way,
    {
      pairs: [Virtual.pairOn(way.subject, "BTC/USDT"), Virtual.pairOn(way.subject, "ETH/USDT")],
      strikes: planned,
      millis: 9_000,
      calmMillis: stormCalmMillis
    },
    seed,
    tally
  )
})

// ---- the case -------------------------------------------------------------------------------------------------------

const share = ({ covered, missed }: Tally): number => covered / (covered + missed)

const percent = (value: number): string => `${(100 * value).toFixed(3)} %`

const provenWay = Effect.fnUntraced(function*(way: Way, proof: Proof) {
  const [swept, lasting, stormy] = [new Tally(), new Tally(), new Tally()]
  const sweeps = yield* sweep(way, proof, swept)
  const longs = Proofs.sizeOf(proof, 1, 24)
  for (let i = 0; i < longs; i++) yield* long(way, proof, i, lasting)
  const storms = Proofs.sizeOf(proof, 2, 60)
  for (let i = 0; i < storms; i++) yield* storm(way, proof, i, stormy)
  const all = [swept, lasting, stormy]
  const sum = (field: "compared" | "wrong" | "unknown" | "holes" | "strikes") =>
    all.reduce((total, tally) => total + tally[field], 0)
  proof.say(
    `${way.name}: ${sweeps} runs with one fault at each step, ${longs} long runs, ${storms} storms, ${
      sum("strikes")
    } faults`
  )
  const levels = way.reach === Infinity ? "the whole book" : `${way.reach} levels a side`
  proof.check(
    `${way.name}: nothing is shown as current that differs from the simulator's book at that version (${levels})`,
    sum("wrong") === 0 && sum("unknown") === 0 && sum("compared") > 0,
    `${sum("compared")} states compared, ${sum("wrong")} wrong, ${sum("unknown")} not to be compared ${
      all.map((tally) => tally.firstWrong).join(" ").trim()
    }`
  )
  proof.check(
    `${way.name}: every chain from a snapshot to the next break is without a hole`,
    sum("holes") === 0,
    `${sum("holes")} versions missed inside chains`
  )
  proof.check(
    `${way.name}: at least 99 % of the versions after joining are emitted`,
    share(lasting) >= 0.99,
    `${percent(share(lasting))} of ${lasting.covered + lasting.missed} in the long runs (${
      percent(share(stormy))
    } in the storms)`
  )
  const late = swept.late + lasting.late
  proof.check(
    `${way.name}: after one fault a book is right again within twice the fault's own time and ${repairMillis} ms`,
    late === 0,
    `${late} of ${swept.strikes + lasting.strikes} later`
  )
  const rows = ["(joining)", ...kinds].map((
    kind
  ) => [kind, ...Proofs.spread([swept, lasting].flatMap((tally) => tally.stale.get(kind) ?? []))])
  proof.table(["time stale after", "times", "p50 ms", "p95 ms", "max ms"], rows)
  return {
    compared: sum("compared"),
    wrong: sum("wrong"),
    share: share(lasting),
    maxStale: Math.max(...kinds.flatMap((kind) => [swept, lasting].flatMap((tally) => tally.stale.get(kind) ?? [])))
  }
})

export const books: Case = {
  name: "books",
  proves:
    "No book is shown as current that differs from the simulator's at that version, at least 99 % of the versions after joining are emitted, and the time stale after each fault is bounded",
  run: Effect.fnUntraced(function*(proof) {
    proof.say(
      "A version is emitted when an update that reaches the subscriber covers it: exchanges aggregate, so an update"
    )
    proof.say(
      "stands for its whole range. All versions from the first snapshot of a run to its end count, outages included."
    )
    const results = yield* Effect.forEach(ways, (way) => provenWay(way, proof))
    proof.figure("states_compared", results.reduce((sum, { compared }) => sum + compared, 0))
    proof.figure("wrong", results.reduce((sum, { wrong }) => sum + wrong, 0))
    proof.figure("least_share_emitted", Math.min(...results.map(({ share }) => share)))
    proof.figure("max_stale_ms", Math.max(...results.map(({ maxStale }) => maxStale)))
  })
}
