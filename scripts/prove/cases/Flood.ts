/**
 * One exchange floods, hangs or fails, over real sockets and in real time: what the others' events, orders and timers wait for
 * meanwhile, beside what they wait for when nothing is wrong.
 */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import { Markets } from "../../../src/composite/Markets.ts"
import type { Performance } from "../../../src/PublicWebsocket.ts"
import { accountSubjects } from "../../../test/suites/AccountSubjects.ts"
import { compareBooks } from "../../soak/Comparison.ts"
import * as Truth from "../../soak/Truth.ts"
import { bases } from "../ArbitrageWorld.ts"
import type { Flooded, FloodKind } from "../FloodProxy.ts"
import * as World from "../FloodWorld.ts"
import type { Waits } from "../FloodWorld.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as SimulatorProcess from "../SimulatorProcess.ts"

/** What is wrong with one exchange may cost the others so much, beside what they wait for anyway, ms. */
const bounds = { p50: 3, p99: 15 } as const

/** An exchange is back so long behind the end of what was wrong, ms. */
const backWithin = 60_000

/** What has been read is as young as that, ms. */
const young = 1_000

/** Behind the beginning of a phase, before it is measured, ms. */
const settleMillis = 300

const floods = ["repeated", "unreadable"] as const

const faults = {
  hangs: (id: string, millis: number): ReadonlyArray<string> => [`half-open,on=${id}@0s:${millis}ms`],
  fails: (id: string, millis: number): ReadonlyArray<string> => [
    `refuse:503,on=${id}@0s:${millis}ms`,
    `http-error:503,on=${id}@0s:${millis}ms`,
    `drop,on=${id}`
  ]
}

type Kind = FloodKind | keyof typeof faults

const wrongs = [...floods, "hangs", "fails"] as const

const kinds: ReadonlyArray<Kind> = ["quiet", ...wrongs]

const isFlood = (kind: Kind): kind is (typeof floods)[number] => floods.some((one) => one === kind)

interface Phase {
  readonly kind: Kind
  readonly waits: Waits
  /** Frames a second of the flood. */
  readonly perSecond: number
  /** From the end of what was wrong until the exchange's data were young again and it might be traded, ms. */
  readonly back: number
  /** Of the process, bytes. */
  readonly rss: number
}

/** Of a consumer that is too slow: what it was told, and what the session has counted. */
interface Slow {
  readonly taken: number
  readonly delivered: number
  readonly lost: number
  readonly dropped: number
}

interface Found {
  readonly struck: string
  readonly phases: ReadonlyArray<Phase>
  /** Orders on the others that were anything but accepted. */
  readonly failed: ReadonlyArray<string>
  /** What the others have noticed. */
  readonly disturbed: ReadonlyArray<string>
  readonly wrongBooks: ReadonlyArray<string>
  readonly books: number
  readonly unreadable: { readonly sent: number; readonly counted: number }
  readonly slow: Slow
}

/** What no exchange that is left alone may have. */
const troublesOf = ({ decodeFailures, dropped, gaps, reconnects, subscriptions }: Performance): number =>
  decodeFailures + dropped + gaps + reconnects + subscriptions.timedOut

const pairOf = (id: string) => accountSubjects.find(({ adapter }) => adapter.id === id)!.pair

interface Course {
  readonly proof: Proof
  readonly truth: Truth.Truth
  readonly proxy: World.Proxy
  readonly struck: string
  readonly others: World.Bystanders
  readonly websockets: World.Websockets
}

/** How long a phase is measured, ms. */
const phaseMillis = (proof: Proof): number => Proofs.sizeOf(proof, 1_000, 4_000)

/** Waits until the exchange that was struck is as it was; how long that took, ms, infinite when it is not. */
const awaitBack = Effect.fnUntraced(function*({ others, struck }: Course) {
  const markets = yield* Markets
  const clock = yield* Clock.Clock
  const now = (): number => clock.currentTimeMillisUnsafe()
  const began = now()
  const isBack = (): boolean => markets.mayTrade(struck) && now() - others.struckAt < young
  while (!isBack() && now() - began < backWithin) yield* Effect.sleep(20)
  return isBack() ? now() - began : Number.POSITIVE_INFINITY
})

/** Begins what is wrong, and says how it is ended. */
const begin = Effect.fnUntraced(function*({ proof, proxy, struck, truth }: Course, kind: Kind) {
  if (kind === "quiet" || isFlood(kind)) {
    return { before: yield* proxy.tell(kind), end: proxy.tell("quiet") }
  }
  yield* Effect.forEach(faults[kind](struck, settleMillis + phaseMillis(proof)), truth.inject, { discard: true })
  return { before: yield* proxy.tell("quiet"), end: Effect.andThen(truth.clear, proxy.tell("quiet")) }
})

const through = Effect.fnUntraced(function*(course: Course, kind: Kind) {
  const { others, proof } = course
  const millis = phaseMillis(proof)
  const { before, end } = yield* begin(course, kind)
  yield* Effect.sleep(settleMillis)
  others.take()
  yield* Effect.sleep(millis)
  const waits = others.take()
  const after: Flooded = yield* end
  const { rss } = process.memoryUsage()
  const back = yield* awaitBack(course)
  const frames = after.frames - before.frames
  const phase: Phase = { kind, waits, perSecond: frames / (settleMillis + millis) * 1_000, back, rss }
  return { phase, frames }
})

const compareAll = Effect.fnUntraced(function*({ truth }: Course) {
  const markets = yield* Markets
  const found = yield* Effect.forEach(markets.ids, (exchange) => {
    const { market } = markets.current(exchange)!
    return compareBooks({ exchange, pairs: market.pairs(), bookOf: market.book }, truth, backWithin)
  })
  return {
    wrong: found.flatMap(({ stale, wrong }) => [...stale, ...wrong]),
    compared: found.map((one) => one.compared)
  }
})

/** Looks so often, at most, for what must come soon, ms apart. */
const looks = 400
const lookEvery = 50

/** Until the unreadable frames that were sent have been counted, the last of which come behind younger data of other sockets. */
const readUp = Effect.fnUntraced(function*({ struck, websockets }: Course, sent: number) {
  const read = Effect.map(websockets.get(struck)!.performance, ({ decodeFailures }) => decodeFailures)
  let counted = yield* read
  for (let tries = 0; tries < looks && counted < sent; tries++) {
    yield* Effect.sleep(lookEvery)
    counted = yield* read
  }
  return counted
})

/** Until the consumer has taken what is there. */
const caughtUp = Effect.fnUntraced(function*({ struck, websockets }: Course, consumer: World.SlowConsumer) {
  const read = Effect.map(websockets.get(struck)!.performance, ({ topics }) => {
    const topic = topics.find(({ channel, pair }) => channel === "Trades" && pair === pairOf(struck))
    return { delivered: topic?.delivered ?? 0, dropped: topic?.dropped ?? 0 }
  })
  consumer.isHurrying = true
  let counted = yield* read
  for (let tries = 0; tries < looks && counted.delivered !== consumer.taken; tries++) {
    yield* Effect.sleep(lookEvery)
    counted = yield* read
  }
  return { taken: consumer.taken, lost: consumer.lost, ...counted }
})

const play = Effect.fnUntraced(function*(course: Course): Effect.fn.Return<Found, unknown, Markets | Scope.Scope> {
  const { others, proof, struck, websockets } = course
  const markets = yield* Markets
  yield* others.watch()
  const consumer = new World.SlowConsumer()
  yield* consumer.follow(websockets.get(struck)!, pairOf(struck))
  const left = [...websockets].filter(([id]) => id !== struck)
  const troubles = Effect.forEach(left, ([, websocket]) => Effect.map(websocket.performance, troublesOf))
  const before = yield* troubles
  const phases: Array<Phase> = []
  let sent = 0
  for (let round = 0; round < Proofs.sizeOf(proof, 1, 2); round++) {
    for (const kind of floods) {
      phases.push((yield* through(course, "quiet")).phase)
      const { frames, phase } = yield* through(course, kind)
      phases.push(phase)
      if (kind === "unreadable") sent += frames
    }
  }
  const counted = yield* readUp(course, sent)
  const slow = yield* caughtUp(course, consumer)
  for (const kind of ["hangs", "fails"] as const) {
    for (const one of ["quiet", kind] as const) phases.push((yield* through(course, one)).phase)
  }
  const { compared, wrong } = yield* compareAll(course)
  const after = yield* troubles
  return {
    struck,
    phases,
    failed: others.failed,
    disturbed: [
      ...others.disturbed,
      ...left.flatMap(([id], index) => after[index] === before[index] ? [] : [`${id} has lost or not read something`]),
      ...markets.ids.filter((id) => id !== struck && !markets.mayTrade(id)).map((id) => `${id} may not be traded`)
    ],
    wrongBooks: wrong,
    books: compared.reduce((total, count) => total + count, 0),
    unreadable: { sent, counted },
    slow
  }
})

const strike = Effect.fnUntraced(
  function*(proof: Proof, struck: string): Effect.fn.Return<Found, unknown, Scope.Scope> {
    const urls = yield* SimulatorProcess.start([
      `--pairs=${bases.map((base) => `${base}/USDT`).join(",")}`,
      "--rate=50",
      `--seed=${proof.seed}`
    ])
    const proxy = yield* World.proxy(World.wsOf(urls, struck))
    const truth = Truth.make(Truth.adminOf(urls))
    const websockets: World.Websockets = new Map()
    const course: Course = { proof, truth, proxy, struck, others: new World.Bystanders(struck), websockets }
    return yield* Effect.scoped(play(course)).pipe(
      Effect.provide(World.layer({ urls, struck, proxyPort: proxy.port }, websockets))
    )
  }
)

const measures = ["events", "orders", "timers"] as const

type Measure = (typeof measures)[number]

const waitsOf = (found: ReadonlyArray<Found>, kind: Kind, measure: Measure): ReadonlyArray<number> =>
  found.flatMap(({ phases }) => phases.flatMap((phase) => phase.kind === kind ? phase.waits[measure] : []))

const p99 = (values: ReadonlyArray<number>): number => Proofs.percentile(values, 0.99)

const words: Readonly<Record<Measure, string>> = {
  events: "from the exchange's stamp to a handler",
  orders: "from place to accepted",
  timers: "a timer late by"
}

const table = (proof: Proof, found: ReadonlyArray<Found>): void => {
  const shares = [0.5, 0.99, 1]
  proof.table(
    ["the others, ms", "one exchange", "n", "p50", "p99", "max"],
    measures.flatMap((measure) =>
      kinds.map((kind) => {
        const values = waitsOf(found, kind, measure)
        const cells = shares.map((share) => Proofs.text(Proofs.percentile(values, share)))
        return [words[measure], kind, String(values.length), ...cells]
      })
    )
  )
  proof.table(
    ["one exchange", "frames a second", "until back s, p50", "max", "RSS MiB, max"],
    kinds.map((kind) => {
      const phases = found.flatMap(({ phases }) => phases.filter((phase) => phase.kind === kind))
      const back = phases.map((phase) => phase.back / 1_000)
      return [
        kind,
        String(Math.round(Proofs.percentile(phases.map(({ perSecond }) => perSecond), 0.5))),
        Proofs.text(Proofs.percentile(back, 0.5)),
        Proofs.text(Proofs.percentile(back, 1)),
        String(Math.round(Proofs.percentile(phases.map(({ rss }) => rss), 1) / 2 ** 20))
      ]
    })
  )
}

/** How much longer than in quiet, at both percentiles, ms. */
const costOf = (found: ReadonlyArray<Found>, kind: Kind, measure: Measure) => {
  const [quiet, struck] = [waitsOf(found, "quiet", measure), waitsOf(found, kind, measure)]
  const at = (share: number): number => Proofs.percentile(struck, share) - Proofs.percentile(quiet, share)
  return { kind, p50: at(0.5), p99: at(0.99) }
}

const signed = (millis: number): string => `${millis < 0 ? "" : "+"}${Proofs.text(millis)}`

const judgeOthers = (proof: Proof, found: ReadonlyArray<Found>): void => {
  for (const measure of measures) {
    const costs = wrongs.map((kind) => costOf(found, kind, measure))
    proof.timed(
      `${
        words[measure]
      }: p50 at most ${bounds.p50} ms and p99 at most ${bounds.p99} ms above what it is when nothing is wrong`,
      kinds.every((kind) => waitsOf(found, kind, measure).length > 0),
      costs.every((cost) => cost.p50 <= bounds.p50 && cost.p99 <= bounds.p99),
      costs.map((cost) => `${cost.kind} ${signed(cost.p50)} and ${signed(cost.p99)}`).join(", ")
    )
    for (const kind of kinds) proof.figure(`${measure}_${kind}_p99_ms`, p99(waitsOf(found, kind, measure)))
  }
  const failed = found.flatMap((one) => one.failed)
  const orders = kinds.flatMap((kind) => waitsOf(found, kind, "orders")).length
  proof.check(
    "every order on the others is accepted",
    failed.length === 0 && orders > 0,
    failed[0] ?? `${orders} orders`
  )
  const disturbed = found.flatMap((one) => one.disturbed)
  proof.check(
    "no other loses a frame, a connection or the step of a book, and all may be traded",
    disturbed.length === 0,
    disturbed[0] ?? `${found.length} exchanges struck`
  )
}

const judgeStruck = (proof: Proof, found: ReadonlyArray<Found>): void => {
  const phases = found.flatMap((one) => one.phases)
  const lost = phases.filter(({ back }) => !Number.isFinite(back))
  const slowest = Math.max(...phases.map(({ back }) => back)) / 1_000
  proof.check(
    `the one that is struck may be traded again within ${backWithin / 1_000} s, with data of the last second`,
    lost.length === 0,
    lost.length === 0 ? `${Proofs.text(slowest)} s at most` : `not behind: ${lost.map(({ kind }) => kind).join(", ")}`
  )
  const unreadable = found.filter(({ unreadable }) => unreadable.sent !== unreadable.counted || unreadable.sent === 0)
  proof.check(
    "every frame of its flood is read, and those that cannot be are counted",
    unreadable.length === 0,
    found.map((one) => `${one.unreadable.counted} of ${one.unreadable.sent}`).join(", ")
  )
  // Few trades may be among what a small flood repeats.
  const untold = found.filter(({ slow }) =>
    slow.taken !== slow.delivered || slow.lost !== slow.dropped || (slow.lost === 0 && !proof.quick)
  )
  proof.check(
    "what a slow consumer of it loses is declared in gaps, to the event",
    untold.length === 0,
    found.map(({ slow }) => `${slow.taken} of ${slow.delivered} taken, ${slow.lost} of ${slow.dropped} told as lost`)
      .join("; ")
  )
  const wrong = found.flatMap((one) => one.wrongBooks)
  const books = found.reduce((total, one) => total + one.books, 0)
  proof.check("at the end every book is the exchange's", wrong.length === 0 && books > 0, wrong[0] ?? `${books} books`)
}

export const flood: Case = {
  name: "flood",
  isLong: true,
  proves:
    "One exchange floods its sockets, hangs or fails, in real time: events, orders and timers of the others go on as before, and it comes back",
  run: Effect.fnUntraced(function*(proof) {
    const ids = accountSubjects.map(({ adapter }) => adapter.id)
    const struck = proof.quick ? [ids[proof.seed % ids.length]!] : ids
    const found = yield* Effect.forEach(struck, (id) => Effect.scoped(strike(proof, id)))
    proof.say(`struck: ${struck.join(", ")}`)
    table(proof, found)
    judgeOthers(proof, found)
    judgeStruck(proof, found)
  })
}
