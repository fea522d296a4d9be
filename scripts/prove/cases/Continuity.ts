/** Streams that do not break: connections that are replaced, and sockets that are lost where there is another. */
import { Effect, Random } from "effect"
import type { Scope } from "effect"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { RedundantOptions } from "../../../src/ExchangeFactory.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { SimulatorOptions } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import { subjects } from "../../../test/suites/Subjects.ts"
import type { Tally } from "../Continuity.ts"
import * as Continuity from "../Continuity.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

const pairsOf = (subject: Subject): readonly [TradingPair, TradingPair] => [
  Virtual.pairOn(subject, "BTC/USDT"),
  Virtual.pairOn(subject, "ETH/USDT")
]

const market = { rate: 40, tradeRate: 20, limits: "off" } as const

interface Found {
  readonly tally: Tally
  readonly dialled: number
  readonly duplicates: number
  readonly reconnects: number
  /** Topics whose events do not add up. */
  readonly unbalanced: ReadonlyArray<string>
  readonly alone: number
  readonly headStart: number
}

/** What the exchange makes hard. */
interface Strain {
  readonly name: string
  readonly simulator: Partial<SimulatorOptions>
}

const plain: Strain = { name: "", simulator: {} }

/** The same book changes cut into other deltas, and one socket behind the others. */
const apart: Strain = {
  name: ", cut apart, the second late",
  simulator: { bookPhases: "own", rate: 200, faults: ["delay:40ms,connection=2"] }
}

/** The old socket is far behind the one that takes its place, and some topics are so quiet that nothing joins the two. */
const behind: Strain = {
  name: ", cut apart, the first far behind",
  simulator: { bookPhases: "own", tradeRate: 1, faults: ["delay:400ms,connection=1"] }
}

/** Over loopback the plain one runs in any case. */
const strainsOf = ({ quick }: Proof, hard: Strain): ReadonlyArray<Strain> => quick ? [hard] : [plain, hard]

/** Of everything, on the socket that is ahead: what it lacks comes behind. Not before all have begun. */
const lossy: Strain = {
  name: ", cut apart, the first late and the second lossy",
  simulator: { bookPhases: "own", rate: 200, faults: ["delay:40ms,connection=1", "silence,share=2%,connection=2@3s"] }
}

/** So long, in short pauses: however busy the machine is, the sockets have a turn in each. */
const pass = (millis: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let passed = 0; passed < millis; passed += 50) yield* Effect.sleep(50)
  })

/** Lets time pass until it is so, at most a minute: only a busy machine takes long, and what comes then is judged. */
const passUntil = <R>(isSo: Effect.Effect<boolean, never, R>): Effect.Effect<void, never, R> =>
  Effect.gen(function*() {
    for (let passed = 0; passed < 60_000 && !(yield* isSo); passed += 50) yield* Effect.sleep(50)
  })

const isInStep = (connections: number): Effect.Effect<boolean, never, PublicWebsocket> =>
  Effect.gen(function*() {
    const { progress, sockets } = yield* (yield* PublicWebsocket).performance
    const here = sockets.filter(({ confirmed, connected, topics }) => connected && confirmed === topics)
    return here.length === connections && progress.booksSynced === progress.books
  })

const unbalanced = Effect.gen(function*() {
  const { topics } = yield* (yield* PublicWebsocket).performance
  return topics.filter((topic) => Continuity.imbalance(topic) !== 0).map(({ topic }) => topic)
})

/** Disturbs for a while, then lets everything come to rest and looks at what came. */
const observed = (
  subject: Subject,
  dialled: () => number,
  disturb: Effect.Effect<void, Error, Services>,
  connections: number,
  rest: number
): Effect.Effect<Found, ExchangeError | Error, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const { end, pause, tally } = yield* Continuity.watch(subject.adapter, pairsOf(subject))
    yield* passUntil(isInStep(connections))
    yield* pass(rest)
    yield* disturb
    yield* pause
    yield* simulator.inject({ _tag: "Silence" })
    yield* pass(rest)
    yield* passUntil(Effect.map(unbalanced, (topics) => topics.length === 0))
    yield* end
    const { duplicates, lanes, reconnects } = yield* websocket.performance
    return {
      tally,
      dialled: dialled(),
      duplicates,
      reconnects,
      unbalanced: yield* unbalanced,
      alone: lanes.reduce((sum, { alone }) => sum + alone, 0),
      headStart: Math.max(0, ...lanes.map(({ headStart }) => headStart.p95))
    }
  })

const say = ({ dialled, duplicates, tally, unbalanced }: Found): string =>
  `${dialled} sockets, ${tally.data} events, ${duplicates} dropped as copies, ${tally.gaps} gaps, ${tally.repeated} twice, ` +
  `${tally.back} back, ${tally.late} late, ${tally.missing} missing, ${tally.wrongBooks} of ${tally.books} book states ` +
  `and ${tally.wrongCandles} of ${tally.candles} candles wrong, ${tally.stalled} topics stalled, ` +
  `${unbalanced.length} unbalanced${tally.first === null ? "" : `; ${tally.first}`}`

const isRight = ({ tally, unbalanced }: Found): boolean =>
  tally.data > 0 && tally.books > 0 && unbalanced.length === 0 &&
  tally.gaps + tally.repeated + tally.back + tally.missing + tally.wrongBooks + tally.wrongCandles === 0

const isWhole = (found: Found): boolean => isRight(found) && found.tally.stalled === 0

const isInTurn = (found: Found): boolean => isWhole(found) && found.tally.late === 0

interface Run {
  readonly subject: Subject
  readonly seed: number
  readonly mode: Exchange.Mode
  readonly strain: Strain
  readonly options: RedundantOptions
  readonly disturb: (sockets: ReturnType<typeof Continuity.makeSockets>) => Effect.Effect<void, Error, Services>
}

const run = ({ disturb, mode, options, seed, strain, subject }: Run): Effect.Effect<Found, ExchangeError | Error> => {
  const sockets = Continuity.makeSockets()
  const simulator = { pairs: pairsOf(subject), seed, ...market, ...strain.simulator }
  // Until all are in step, and until what waited has been taken.
  const body = observed(
    subject,
    sockets.dialled,
    disturb(sockets),
    options.connections ?? 1,
    mode.name === "memory" ? 4_000 : 3_300
  )
  const layer = mode.layer(subject, simulator, { ...Virtual.patient, through: sockets.through, ...options })
  return mode.name === "memory"
    ? Virtual.over(layer, seed, body)
    : Exchange.withExchange(mode, layer, body).pipe(Random.withSeed(seed))
}

/** Virtual minutes, each run of at most nine: a clock of the tests goes no further. */
const minutesOf = (proof: Proof, quick: number, full: number): ReadonlyArray<number> => {
  const minutes = Proofs.sizeOf(proof, quick, full)
  return Array.from({ length: Math.ceil(minutes / 9) }, (_, index) => Math.min(9, minutes - index * 9))
}

const judge = (proof: Proof, promise: string, found: Found): void => {
  proof.check(promise, isInTurn(found), say(found))
}

/** All exchanges at once, for real time passes for all. */
const overPorts = Effect.fnUntraced(function*(proof: Proof, runOf: (subject: Subject) => Run) {
  const found = yield* Effect.forEach(subjects, (subject) => run(runOf(subject)), { concurrency: "unbounded" })
  for (const [index, each] of found.entries()) {
    const { id } = subjects[index]!.adapter
    // What is late or stalled is so by the machine's own time.
    proof.timed(`${id} over loopback: the same`, isRight(each), isInTurn(each), say(each))
    proof.figure(`${id}_loopback_head_start_p95_ms`, each.headStart)
  }
})

// ---- rotation -------------------------------------------------------------------------------------------------------

/** Announcements of the exchange on top of ages; every few seconds. */
const announce = (draws: Draws, millis: number): Effect.Effect<void, Error, Services> =>
  Effect.gen(function*() {
    const simulator = yield* Simulator
    for (let passed = 0; passed < millis;) {
      const pause = 2_000 + Virtual.below(draws, 8_000)
      yield* Effect.sleep(pause)
      passed += pause
      yield* simulator.inject({ _tag: "UpgradeNotice" })
    }
  })

const rotated = Effect.fnUntraced(function*(proof: Proof, subject: Subject, strain: Strain) {
  const { id } = subject.adapter
  const minutes = minutesOf(proof, 1, 60)
  for (const [index, length] of minutes.entries()) {
    const seed = proof.seed + index
    const draws = yield* Virtual.draws(seed, `rotation ${id}`)
    const found = yield* run({
      subject,
      seed,
      mode: Exchange.memory,
      strain,
      options: { rotateAfter: "7 seconds" },
      disturb: () => announce(draws, length * 60_000)
    })
    judge(
      proof,
      `${id}${strain.name}: sockets replaced every few seconds for ${length} min lose nothing, repeat nothing, no gap`,
      found
    )
    proof.check(
      `${id}${strain.name}: they were replaced, none was lost`,
      found.dialled >= 8 * length && found.reconnects === 0,
      say(found)
    )
  }
})

export const rotation: Case = {
  name: "rotation",
  proves:
    "Sockets that are replaced every few seconds, by age and on the exchange's notice, lose no event, repeat none and bring no gap; every book state is the exchange's, the ledger exact",
  run: Effect.fnUntraced(function*(proof) {
    for (const subject of subjects) {
      for (const strain of strainsOf(proof, behind)) yield* rotated(proof, subject, strain)
    }
    yield* overPorts(proof, (subject) => ({
      subject,
      seed: proof.seed,
      mode: Exchange.ports,
      strain: plain,
      options: { rotateAfter: "2 seconds" },
      disturb: () => Effect.sleep(proof.quick ? 3_000 : 60_000)
    }))
  })
}

// ---- redundancy -----------------------------------------------------------------------------------------------------

/** Ends one of the sockets every `least` to twice `least` ms, once all are in step again. */
const kill = (
  sockets: ReturnType<typeof Continuity.makeSockets>,
  draws: Draws,
  connections: number,
  millis: number,
  least: number
): Effect.Effect<void, never, PublicWebsocket> =>
  Effect.gen(function*() {
    for (let passed = 0; passed < millis;) {
      if (yield* isInStep(connections)) yield* sockets.end(Virtual.below(draws, connections))
      const pause = least + Virtual.below(draws, least)
      yield* pass(pause)
      passed += pause
    }
  })

interface Killing {
  readonly connections: number
  readonly strain: Strain
  /** In full size. */
  readonly minutes: number
}

const killings = (proof: Proof): ReadonlyArray<Killing> => {
  const two = strainsOf(proof, apart).map((strain) => ({ connections: 2, strain, minutes: 60 }))
  return proof.quick ? two : [...two, { connections: 3, strain: apart, minutes: 20 }]
}

const killed = Effect.fnUntraced(function*(proof: Proof, subject: Subject, { connections, strain, minutes }: Killing) {
  const { id } = subject.adapter
  let alone = 0
  let headStart = 0
  for (const [index, length] of minutesOf(proof, 1, minutes).entries()) {
    const seed = proof.seed + index
    const draws = yield* Virtual.draws(seed, `redundancy ${id} ${connections}`)
    const found = yield* run({
      subject,
      seed,
      mode: Exchange.memory,
      strain,
      options: { connections, rotateAfter: "20 seconds" },
      disturb: (sockets) => kill(sockets, draws, connections, length * 60_000, 4_000)
    })
    judge(
      proof,
      `${id}, ${connections} sockets${strain.name}: one ended every few seconds for ${length} min, others replaced: nothing is noticed`,
      found
    )
    proof.check(
      `${id}, ${connections} sockets${strain.name}: they ended`,
      found.reconnects >= 6 * length,
      `${found.reconnects} ended`
    )
    alone += found.alone
    headStart = Math.max(headStart, found.headStart)
  }
  const name = `${id}_${connections}${strain === plain ? "" : "_apart"}`
  proof.figure(`${name}_alone`, alone)
  proof.figure(`${name}_head_start_p95_ms`, headStart)
})

/** Two sockets that stay. */
const filled = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const { id } = subject.adapter
  const found = yield* run({
    subject,
    seed: proof.seed,
    mode: Exchange.memory,
    strain: lossy,
    options: { connections: 2 },
    disturb: () => Effect.sleep(Proofs.sizeOf(proof, 15, 300) * 1_000)
  })
  proof.check(
    `${id}, 2 sockets${lossy.name}: what one lacks comes by the other`,
    isWhole(found) && found.reconnects === 0,
    say(found)
  )
  proof.figure(`${id}_lossy_alone`, found.alone)
})

/** Ends whatever is open every few hundred ms, in step or not. */
const hunt = (
  sockets: ReturnType<typeof Continuity.makeSockets>,
  draws: Draws,
  millis: number
): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let passed = 0; passed < millis;) {
      yield* sockets.end(Virtual.below(draws, 2))
      const pause = 200 + Virtual.below(draws, 1_500)
      yield* Effect.sleep(pause)
      passed += pause
    }
  })

/** Nobody can be there for them all: what is lost must be told. */
const hunted = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const { id } = subject.adapter
  const draws = yield* Virtual.draws(proof.seed, `hunt ${id}`)
  const found = yield* run({
    subject,
    seed: proof.seed,
    mode: Exchange.memory,
    strain: { ...behind, simulator: { ...behind.simulator, tradeRate: 20 } },
    options: { connections: 2 },
    disturb: (sockets) => hunt(sockets, draws, Proofs.sizeOf(proof, 20, 300) * 1_000)
  })
  const { back, books, gaps, missing, repeated, wrongBooks, wrongCandles } = found.tally
  proof.check(
    `${id}, 2 sockets, ended whether the other is in step or not: what is lost is told, nothing comes twice`,
    gaps > 0 && books > 0 && found.unbalanced.length === 0 &&
      back + missing + repeated + wrongBooks + wrongCandles === 0,
    say(found)
  )
})

export const redundancy: Case = {
  name: "redundancy",
  proves:
    "With every topic on two or three sockets, ending or replacing any one of them every few seconds is not noticed: no gap, nothing lost, nothing twice, every book state the exchange's, the ledger exact",
  run: Effect.fnUntraced(function*(proof) {
    for (const subject of subjects) {
      for (const killing of killings(proof)) yield* killed(proof, subject, killing)
      yield* filled(proof, subject)
      yield* hunted(proof, subject)
    }
    const draws = yield* Virtual.draws(proof.seed, "redundancy ports")
    yield* overPorts(proof, (subject) => ({
      subject,
      seed: proof.seed,
      mode: Exchange.ports,
      strain: plain,
      options: { connections: 2 },
      disturb: (sockets) => kill(sockets, draws, 2, proof.quick ? 3_300 : 60_000, 3_300)
    }))
  })
}
