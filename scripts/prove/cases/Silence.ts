/** Silence is learned: liquid topics are found dead within seconds, and quiet ones are left in peace. */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { Gap } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import { gateSpot } from "../../../src/exchanges/gate/GateSpot.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { ArrivalBounds } from "../../../src/session/ArrivalModel.ts"
import { ArrivalModel } from "../../../src/session/ArrivalModel.ts"
import { policyOf } from "../../../src/session/SilenceWatch.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

/** How often the session looks, ms. */
const lookMillis = 250

/** A book of Gate is judged by these. */
const bounds = policyOf(gateSpot.silence.Book!) as ArrivalBounds

// ---- made-up arrivals -----------------------------------------------------------------------------------------------

/** Draws the next gap, ms. */
type Gaps = () => number

type Pattern = (mean: number, draws: Virtual.Draws) => Gaps

const exponential = (mean: number, draws: Virtual.Draws): number => -mean * Math.log(1 - draws.nextDoubleUnsafe())

const patterns: Readonly<Record<string, Pattern>> = {
  // A market that does not remember.
  steady: (mean, draws) => () => exponential(mean, draws),
  // Bursts, and pauses five times the mean.
  bursts: (mean, draws) => () =>
    draws.nextDoubleUnsafe() < 0.8 ? exponential(mean * 0.02, draws) : exponential(mean * 4.9, draws),
  // Busier and quieter times, by a factor of ten either way.
  moods: (mean, draws) => {
    let left = 0
    let pace = 1
    return () => {
      if (left-- <= 0) {
        left = 500 + 1_500 * draws.nextDoubleUnsafe()
        pace = Math.exp((draws.nextDoubleUnsafe() * 2 - 1) * Math.LN10)
      }
      return exponential(mean * pace, draws)
    }
  },
  // Pushed on a timer.
  timer: (mean, draws) => () => mean * (0.9 + 0.2 * draws.nextDoubleUnsafe())
}

const classes = [["20/s", 50], ["4/s", 250], ["1/s", 1_000], ["1 in 5 s", 5_000], ["1 in 30 s", 30_000]] as const

interface Estimator {
  readonly bound: number
  arrived(at: number): void
}

/** Mean and deviation of the gaps' logarithms, weighted towards the latest: what the longest gap is compared with. */
class Logarithmic implements Estimator {
  #last = 0
  #count = 0
  #mean = 0
  #variance = 0

  arrived(at: number): void {
    const last = this.#last
    this.#last = at
    if (last === 0 || at <= last) return
    const difference = Math.log(at - last) - this.#mean
    const weight = Math.max(1 / 256, 1 / ++this.#count)
    this.#mean += weight * difference
    this.#variance = (1 - weight) * (this.#variance + weight * difference * difference)
  }

  get bound(): number {
    if (this.#count < 64) return bounds.initial * bounds.factor
    return Math.min(bounds.ceiling, Math.max(bounds.floor, Math.exp(this.#mean + 4 * Math.sqrt(this.#variance))))
  }
}

const fixed: Estimator = { bound: bounds.initial, arrived: () => {} }

interface Judged {
  alarms: number
  hours: number
  readonly bounds: Array<number>
}

/** One topic that is never dead, for so long: each alarm is false. The session looks four times a second. */
const listen = (gaps: Gaps, model: Estimator, millis: number, judged: Judged): void => {
  let at = 1
  model.arrived(at)
  for (let count = 0; at < millis; count++) {
    const gap = gaps()
    if (gap > model.bound + lookMillis) judged.alarms++
    if (count % 64 === 0) judged.bounds.push(model.bound)
    model.arrived(at += gap)
  }
  judged.hours += at / 3_600_000
}

const estimators: ReadonlyArray<readonly [name: string, make: () => Estimator]> = [
  ["learned", () => new ArrivalModel(bounds)],
  ["logarithmic", () => new Logarithmic()],
  ["fixed", () => fixed]
]

const quietTopics = Effect.fnUntraced(function*(proof: Proof) {
  const topics = Proofs.sizeOf(proof, 20, 60)
  const millis = Proofs.sizeOf(proof, 30, 120) * 60_000
  const rows: Array<ReadonlyArray<string>> = []
  const totals: Record<string, { alarms: number; hours: number }> = {}
  for (const [name, pattern] of Object.entries(patterns)) {
    for (const [label, mean] of classes) {
      const cells: Array<string> = []
      for (const [kind, make] of estimators) {
        const judged: Judged = { alarms: 0, hours: 0, bounds: [] }
        const draws = yield* Virtual.draws(proof.seed, `${name} ${label}`)
        for (let topic = 0; topic < topics; topic++) {
          // Frequent ones have seen enough much sooner.
          listen(pattern(mean, draws), make(), Math.min(millis, mean * 50_000), judged)
        }
        const total = totals[kind] ??= { alarms: 0, hours: 0 }
        total.alarms += judged.alarms
        total.hours += judged.hours
        const rate = judged.alarms / judged.hours
        cells.push(`${Proofs.text(rate)} / ${Proofs.text(Proofs.percentile(judged.bounds, 0.5) / 1_000)}`)
      }
      rows.push([`${name} ${label}`, ...cells])
    }
  }
  proof.table(["alarms an hour / median bound s", ...estimators.map(([kind]) => kind)], rows)
  const perHour = (kind: string): number => totals[kind]!.alarms / totals[kind]!.hours
  const rate = perHour("learned")
  proof.check(
    "topics that are only quiet raise a tenth of the false alarms that a bound of a minute does, or fewer",
    rate <= perHour("fixed") / 10,
    `${Proofs.text(rate)} an hour against ${Proofs.text(perHour("fixed"))}, of ${rows.length * topics} topics`
  )
  proof.figure("false_alarms_per_hour", rate)
})

// ---- the whole session ----------------------------------------------------------------------------------------------

interface Found {
  /** From the last event to the alarm, ms. */
  readonly millis: number
  /** Alarms before anything was silenced, and of other topics later. */
  readonly others: number
  readonly falseAlarms: number
  /** Data came again behind the gap. */
  readonly back: boolean
}

const pairsOf = (subject: Subject): readonly [TradingPair, TradingPair] => [
  Virtual.pairOn(subject, "BTC/USDT"),
  Virtual.pairOn(subject, "ETH/USDT")
]

/** Two markets in full swing until all is learned; then one book's frames stay away for a while. */
const silenced = Effect.fnUntraced(function*(
  subject: Subject
): Effect.fn.Return<Found, ExchangeError, Services | Scope.Scope> {
  const pairs = pairsOf(subject)
  const [first] = pairs
  const websocket = yield* PublicWebsocket
  const simulator = yield* Simulator.Simulator
  const gaps: Array<Gap> = []
  let seen = 0
  yield* websocket.handle({
    onBook: ({ pair, receivedAt }) => {
      if (pair === first) seen = receivedAt
    },
    onGap: (gap) => void gaps.push(gap)
  })
  yield* websocket.initialize(pairs, ["BookTicker", "Book"])
  yield* Effect.sleep("45 seconds")
  const before = gaps.length
  yield* Effect.orDie(simulator.inject({ _tag: "Silence", topic: "*BTC*", durationMillis: 8_000 }))
  const silentSince = seen
  yield* Effect.sleep("7 seconds")
  const silent = gaps.filter(({ channel, pair }) => channel === "Book" && pair === first)
  yield* Effect.sleep("13 seconds")
  const { falseAlarms } = yield* websocket.performance
  return {
    millis: silent[0]?.cause === "Silent" ? silent[0].at - silentSince : Infinity,
    others: before + gaps.filter(({ pair }) => pair !== first).length,
    falseAlarms,
    back: seen > (silent[0]?.at ?? Infinity)
  }
})

/** All falls silent so soon behind the start that little has been learned; ms until every book was told to be silent, and the last to come back. */
const silencedSoon = Effect.fnUntraced(function*(
  subject: Subject
): Effect.fn.Return<
  { readonly millis: number; readonly back: number },
  ExchangeError,
  Services | Scope.Scope
> {
  const pairs = pairsOf(subject)
  const websocket = yield* PublicWebsocket
  const simulator = yield* Simulator.Simulator
  const silent = new Map<TradingPair | null, number>()
  const latest = new Map<TradingPair | null, number>()
  yield* websocket.handle({
    onBook: ({ pair, receivedAt }) => void latest.set(pair, receivedAt),
    onGap: ({ at, cause, channel, pair }) => {
      if (channel === "Book" && cause === "Silent" && !silent.has(pair)) silent.set(pair, at)
    }
  })
  yield* websocket.initialize(pairs, ["BookTicker", "Book"])
  yield* Effect.sleep("6 seconds")
  const since = Math.max(...latest.values())
  yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: 20_000 }))
  const returns = (yield* Clock.currentTimeMillis) + 20_000
  yield* Effect.sleep("22 seconds")
  return {
    millis: Math.max(...pairs.map((pair) => (silent.get(pair) ?? Infinity) - since)),
    back: Math.min(...pairs.map((pair) => (latest.get(pair) ?? 0) - returns))
  }
})

const soonBehindStart = Effect.fnUntraced(function*(proof: Proof) {
  const times = Proofs.sizeOf(proof, 1, 10)
  for (const subject of Virtual.subjects) {
    for (const rate of [50, 10]) {
      const found: Array<{ readonly millis: number; readonly back: number }> = []
      for (let i = 0; i < times; i++) {
        const simulator = { pairs: pairsOf(subject), rate, levels: 30, limits: "off" as const }
        found.push(yield* Virtual.run({ subject, seed: proof.seed + i, simulator }, silencedSoon(subject)))
      }
      proof.check(
        `${subject.adapter.id}, ${rate} changes a second: an exchange that falls silent 6 s behind the start is found within 6 s, and comes back`,
        found.every(({ back, millis }) => millis <= 6_000 && back > 0),
        `max ${Proofs.text(Math.max(...found.map(({ millis }) => millis)))} ms`
      )
    }
  }
})

const liquidBooks = Effect.fnUntraced(function*(proof: Proof) {
  const rows: Array<ReadonlyArray<string>> = []
  const times = Proofs.sizeOf(proof, 1, 10)
  for (const subject of Virtual.subjects) {
    for (const rate of [50, 10]) {
      const found: Array<Found> = []
      for (let i = 0; i < times; i++) {
        const simulator = { pairs: pairsOf(subject), rate, levels: 30, limits: "off" as const }
        found.push(yield* Virtual.run({ subject, seed: proof.seed + i, simulator }, silenced(subject)))
      }
      const millis = found.map(({ millis }) => millis)
      const name = `${subject.adapter.id}, ${rate} changes a second`
      rows.push([name, ...Proofs.spread(millis)])
      proof.check(
        `${name}: a book that is subscribed, connected and dead is found within 5 s, and comes back`,
        millis.every((time) => time <= 5_000) && found.every(({ back }) => back),
        `max ${Proofs.text(Math.max(...millis))} ms`
      )
      proof.check(
        `${name}: no other topic is taken for dead`,
        found.every(({ others }) => others === 0),
        `${found.reduce((sum, { others }) => sum + others, 0)} gaps, ${
          found.reduce((sum, { falseAlarms }) => sum + falseAlarms, 0)
        } false alarms counted`
      )
    }
  }
  proof.table(["dead book found after", "times", "p50 ms", "p95 ms", "max ms"], rows)
})

export const silence: Case = {
  name: "silence",
  proves:
    "A liquid book that dies is found within 5 s, an exchange that falls silent soon behind the start within 6 s, and topics that are only quiet are left in peace",
  run: (proof) => liquidBooks(proof).pipe(Effect.andThen(soonBehindStart(proof)), Effect.andThen(quietTopics(proof)))
}
