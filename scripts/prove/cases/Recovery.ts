/** How soon everything delivers again, and how soon it is noticed that it does not. */
import { Clock, Duration, Effect, Exit, Random, Scope } from "effect"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { WebsocketOptions } from "../../../src/ExchangeFactory.ts"
import { policyOf } from "../../../src/session/SilenceWatch.ts"
import type { SimulatorOptions, SimulatorService } from "../../../src/simulator/Simulator.ts"
import * as SimulatorModule from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Client } from "../Clients.ts"
import * as Clients from "../Clients.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const spotPairs = ["BTC/USDT", "ETH/USDT"] as const

const pairsOf = (subject: Subject): readonly [TradingPair, TradingPair] => [
  Virtual.pairOn(subject, "BTC/USDT"),
  Virtual.pairOn(subject, "ETH/USDT")
]

/** Each topic has something to say many times a second, so that its silence is not the market's. */
const market = { rate: 40, tradeRate: 40, limits: "off" } as const

const now = Effect.map(Clock.Clock, (clock) => Number(clock.currentTimeNanosUnsafe()) / 1e6)

const inject = (simulator: SimulatorService, ...faults: ReadonlyArray<SimulatorModule.Fault>) =>
  Effect.forEach(faults, (fault) => Effect.orDie(simulator.inject(fault)), { discard: true })

const simulate = (seed: number, options: Partial<SimulatorOptions> = {}) =>
  Effect.orDie(
    SimulatorModule.make({
      dialects: Virtual.subjects.map(({ dialect }) => dialect),
      pairs: spotPairs,
      seed,
      ...market,
      ...options
    })
  )

const connectAll = (simulator: SimulatorService, each: number, options: WebsocketOptions = {}) =>
  Effect.forEach(
    Virtual.subjects.flatMap((subject) => new Array<Subject>(each).fill(subject)),
    (subject) => Clients.connect(subject.adapter, simulator, pairsOf(subject), options),
    { concurrency: "unbounded" }
  )

/** Awaited on real sockets so long, ms: the bounds are much shorter, and a busy machine is no broken promise. */
const longest = 60_000

const came = (values: ReadonlyArray<number>): boolean => values.every(Number.isFinite)

const summary = (values: ReadonlyArray<number>): string =>
  `${values.length} sockets, p50 ${Proofs.text(Proofs.percentile(values, 0.5))} ms, p95 ${
    Proofs.text(Proofs.percentile(values, 0.95))
  } ms, max ${Proofs.text(Proofs.percentile(values, 1))} ms`

// ---- a drop ---------------------------------------------------------------------------------------------------------

const dropMillis = 1_000

/** Every time with fresh clients: a client that is dropped twice within seconds is right to wait longer. */
const afterDrop = (seed: number): Effect.Effect<ReadonlyArray<number>, ExchangeError> =>
  Effect.scoped(Effect.gen(function*() {
    const simulator = yield* simulate(seed)
    const clients = yield* connectAll(simulator, 3)
    for (const client of clients) client.forget()
    const since = yield* now
    yield* inject(simulator, { _tag: "Drop" })
    return yield* Clients.recovered(clients, since, longest)
  }))

const drops = Effect.fnUntraced(function*(proof: Proof) {
  const rounds = Proofs.sizeOf(proof, 2, 30)
  const measure = Effect.map(
    Effect.forEach(Array.from({ length: rounds }, (_, i) => proof.seed + i), afterDrop),
    (all) => all.flat()
  )
  const values = yield* measure
  proof.timed(
    `loopback: after a server drop all topics deliver again within ${dropMillis} ms`,
    came(values),
    Math.max(...values) <= dropMillis,
    summary(values)
  )
  proof.figure("drop_max_ms", Math.max(...values))
})

// ---- an outage ------------------------------------------------------------------------------------------------------

const outageMillis = 10_000
const returnMillis = 1_500
const mostDials = 30

interface Outage {
  readonly values: ReadonlyArray<number>
  readonly dials: ReadonlyArray<number>
}

const judged = (clients: ReadonlyArray<Client>, returned: number) =>
  Effect.map(Clients.recovered(clients, returned, longest), (values): Outage => ({
    values,
    dials: clients.map(({ dials }) => dials.length)
  }))

/** The exchange refuses connections, one with a reset and two with HTTP 503. */
const refusing = (proof: Proof, each: number): Effect.Effect<Outage, ExchangeError> =>
  Effect.scoped(Effect.gen(function*() {
    const simulator = yield* simulate(proof.seed)
    const clients = yield* connectAll(simulator, each)
    for (const client of clients) client.forget()
    const since = yield* now
    yield* inject(
      simulator,
      { _tag: "Refuse", exchange: "mexc-spot", status: 0, durationMillis: outageMillis },
      { _tag: "Refuse", exchange: "gate-spot", status: 503, durationMillis: outageMillis },
      { _tag: "Refuse", exchange: "gate-futures", status: 503, durationMillis: outageMillis },
      { _tag: "Drop" }
    )
    yield* Effect.sleep(outageMillis)
    return yield* judged(clients, since + outageMillis)
  }))

/** The server is gone, its port closed, and another one comes back in its place. */
const gone = (proof: Proof, each: number): Effect.Effect<Outage, ExchangeError> =>
  Effect.scoped(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const first = yield* Scope.provide(simulate(proof.seed), scope)
    const clients = yield* connectAll(first, each)
    for (const client of clients) client.forget()
    yield* Scope.close(scope, Exit.void)
    yield* Effect.sleep(outageMillis)
    yield* simulate(proof.seed + 1, { port: Number(new URL(first.admin).port) })
    return yield* judged(clients, yield* now)
  }))

const isMet = ({ dials, values }: Outage): boolean =>
  Proofs.percentile(values, 0.95) <= returnMillis && Math.max(...dials) <= mostDials

const print = ({ dials, values }: Outage): string => `${summary(values)}, at most ${Math.max(...dials)} dials a socket`

const outages = Effect.fnUntraced(function*(proof: Proof) {
  const each = 6
  for (let round = 0; round < Proofs.sizeOf(proof, 1, 5); round++) {
    const [refused, absent] = yield* Effect.all([refusing(proof, each), gone(proof, each)], { concurrency: 2 })
    for (
      const [how, outage] of [["connections are refused", refused], ["the server's port is closed", absent]] as const
    ) {
      proof.timed(
        `loopback: after 10 s in which ${how}, p95 is at most ${returnMillis} ms from the server's return with at most ${mostDials} dials a socket`,
        came(outage.values),
        isMet(outage),
        print(outage)
      )
    }
    proof.figure("outage_p95_ms", Proofs.percentile([...refused.values, ...absent.values], 0.95))
    proof.figure("outage_max_dials", Math.max(...refused.dials, ...absent.dials))
  }
})

type Body<A> = Effect.Effect<A, ExchangeError | Error, Services | Scope.Scope>

const virtually = <A>(subject: Subject, seed: number, body: Body<A>, options: WebsocketOptions = {}) =>
  Virtual.run({ subject, seed, simulator: { ...market, pairs: pairsOf(subject) }, options }, body)

const virtualOutage = (
  subject: Subject,
  millis: number
): Body<Outage & { readonly client: Client; readonly since: number }> =>
  Effect.gen(function*() {
    const simulator = yield* SimulatorModule.Simulator
    const client = yield* Clients.observe(pairsOf(subject))
    client.forget()
    const since = yield* now
    yield* inject(simulator, { _tag: "Refuse", durationMillis: millis }, { _tag: "Drop" })
    yield* Effect.sleep(millis)
    return { ...yield* judged([client], since + millis), client, since }
  })

const statistics = Effect.fnUntraced(function*(proof: Proof) {
  const runs = Proofs.sizeOf(proof, 12, 500)
  for (const subject of Virtual.subjects) {
    const values: Array<number> = []
    const dials: Array<number> = []
    for (let i = 0; i < runs; i++) {
      const outage = yield* virtually(subject, proof.seed + i, virtualOutage(subject, outageMillis))
      values.push(...outage.values)
      dials.push(...outage.dials)
    }
    proof.check(
      `${subject.adapter.id}, ${runs} seeds in virtual time: the same after 10 s`,
      isMet({ values, dials }),
      print({ values, dials })
    )
  }
})

// ---- the back-off ---------------------------------------------------------------------------------------------------

const minutes = 8

const backoffTable = Effect.fnUntraced(function*(proof: Proof) {
  const subject = Virtual.subjects[0]!
  const { client, since } = yield* virtually(subject, proof.seed, virtualOutage(subject, minutes * 60_000))
  const at = client.dials.filter((dial) => dial < since + minutes * 60_000).map((dial) => dial - since)
  const waits = at.map((dial, i) => ({ at: dial, wait: dial - (at[i - 1] ?? 0) }))
  const rows = Array.from({ length: minutes }, (_, minute) => {
    const within = waits.filter((wait) => Math.floor(wait.at / 60_000) === minute).map(({ wait }) => wait)
    return [
      `minute ${minute + 1}`,
      String(within.length),
      Proofs.text(Math.min(...within)),
      Proofs.text(Math.max(...within))
    ]
  })
  proof.table([`outage of ${minutes} minutes`, "dials", "least wait ms", "most wait ms"], rows)
  const prompt = waits.filter((wait) => wait.at < 60_000)
  const patient = waits.filter((wait) => wait.at >= 60_000 && wait.at < 300_000)
  const later = waits.filter((wait) => wait.at >= 330_000)
  // One tick of the virtual clock is 10 ms.
  proof.check(
    "in the first minute no wait is longer than 1 s",
    prompt.every(({ wait }) => wait <= 1_010),
    `${prompt.length} dials, longest ${Proofs.text(Math.max(...prompt.map(({ wait }) => wait)))} ms`
  )
  proof.check(
    "in the first five minutes none is longer than 2 s",
    patient.every(({ wait }) => wait <= 2_010),
    `${patient.length} dials, longest ${Proofs.text(Math.max(...patient.map(({ wait }) => wait)))} ms`
  )
  proof.check(
    "then the waits grow, to 30 s and no further",
    later.every(({ wait }) => wait > 2_000 && wait <= 30_010) && Math.max(...later.map(({ wait }) => wait)) >= 15_000,
    `${later.length} dials after 330 s, waits from ${Proofs.text(Math.min(...later.map(({ wait }) => wait)))} to ${
      Proofs.text(Math.max(...later.map(({ wait }) => wait)))
    } ms`
  )
})

// ---- what looks alive and is not ------------------------------------------------------------------------------------

/** How often deadlines are looked at (`houseInterval` of the session), ms. */
const lookMillis = 250

/** Time from the last frame of a peer that has gone to the gap on every topic. */
const halfOpen = Effect.fnUntraced(function*(subject: Subject) {
  const simulator = yield* SimulatorModule.Simulator
  const client = yield* Clients.observe(pairsOf(subject))
  client.forget()
  const since = yield* now
  yield* inject(simulator, { _tag: "HalfOpen" })
  while (client.gaps.size < Clients.tags.length * pairsOf(subject).length) yield* Effect.sleep(10)
  return Math.max(...[...client.gaps.values()].map(({ at }) => at)) - since
})

interface Silent {
  readonly millis: number
  /** Topics that broke although they were not silent. */
  readonly others: number
}

const silentTopic = Effect.fnUntraced(function*(subject: Subject) {
  const simulator = yield* SimulatorModule.Simulator
  const pairs = pairsOf(subject)
  const client = yield* Clients.observe(pairs)
  const topic = `BookTicker ${pairs[0]}`
  // Long enough to learn from.
  yield* Effect.sleep("20 seconds")
  client.forget()
  yield* inject(simulator, { _tag: "Silence", topic: "*ook*icker*BTC*" })
  const since = client.seen.get(topic)!
  while (client.gaps.size === 0) yield* Effect.sleep(10)
  const gap = client.gaps.get(topic)
  const found: Silent = {
    millis: (gap?.cause === "Silent" ? gap.at : Infinity) - since,
    others: client.gaps.size - (gap === undefined ? 0 : 1)
  }
  return found
})

const detection = Effect.fnUntraced(function*(proof: Proof) {
  const rows: Array<ReadonlyArray<string>> = []
  for (const subject of Virtual.subjects) {
    const { adapter } = subject
    const heartbeat = Duration.toMillis(adapter.heartbeat.interval) + Duration.toMillis(adapter.heartbeat.timeout)
    const policy = policyOf(adapter.silence.BookTicker!)
    // What is learned of topics that speak many times a second is shorter.
    const silence = (typeof policy === "number" ? policy : policy.initial) + lookMillis
    const peers: Array<number> = []
    const topics: Array<Silent> = []
    for (let i = 0; i < Proofs.sizeOf(proof, 2, 20); i++) {
      peers.push(yield* virtually(subject, proof.seed + i, halfOpen(subject)))
      topics.push(yield* virtually(subject, proof.seed + i, silentTopic(subject)))
    }
    const silent = topics.map(({ millis }) => millis)
    rows.push([`${adapter.id} half-open peer`, String(heartbeat), ...Proofs.spread(peers)])
    rows.push([`${adapter.id} silent topic`, String(silence), ...Proofs.spread(silent)])
    proof.check(
      `${adapter.id}: a half-open peer is found within interval + timeout of its last frame`,
      Math.max(...peers) <= heartbeat + 10,
      `bound ${heartbeat} ms, max ${Proofs.text(Math.max(...peers))} ms`
    )
    proof.check(
      `${adapter.id}: a silent topic is found within its bound and a look of ${lookMillis} ms`,
      Math.max(...silent) <= silence + 10,
      `bound ${silence} ms, max ${Proofs.text(Math.max(...silent))} ms`
    )
    proof.check(
      `${adapter.id}: and no other topic is disturbed`,
      topics.every(({ others }) => others === 0),
      `${topics.reduce((sum, { others }) => sum + others, 0)} others`
    )
  }
  proof.table(["found after (virtual time)", "bound ms", "times", "p50 ms", "p95 ms", "max ms"], rows)
})

const shortHeartbeat = { interval: 300, timeout: 300 }

/** The same peer over real sockets, with short bounds. */
const realHalfOpen = (seed: number): Effect.Effect<ReadonlyArray<number>, ExchangeError> =>
  Effect.scoped(Effect.gen(function*() {
    const simulator = yield* simulate(seed)
    const clients = yield* connectAll(simulator, 3, { heartbeat: shortHeartbeat })
    for (const client of clients) client.forget()
    const since = yield* now
    yield* inject(simulator, { _tag: "HalfOpen" })
    return yield* Clients.recovered(clients, since, longest)
  }))

const realDetection = Effect.fnUntraced(function*(proof: Proof) {
  const bound = shortHeartbeat.interval + shortHeartbeat.timeout + dropMillis
  const values = yield* realHalfOpen(proof.seed)
  proof.timed(
    `loopback: behind a half-open peer (bound 600 ms) all topics deliver again within the bound and ${dropMillis} ms`,
    came(values),
    Math.max(...values) <= bound,
    summary(values)
  )
})

export const recovery: Case = {
  name: "recovery",
  proves:
    "After a server drop all topics deliver again within 1 s; after a 10 s outage p95 is at most 1.5 s from the server's return with at most 30 dials a socket; silent topics and half-open peers are found within their bounds",
  run: (proof) =>
    Effect.gen(function*() {
      yield* drops(proof)
      yield* outages(proof)
      yield* statistics(proof)
      yield* backoffTable(proof)
      yield* detection(proof)
      yield* realDetection(proof)
    }).pipe(Random.withSeed(proof.seed))
}
