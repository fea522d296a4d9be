/**
 * Orders whose requests, answers and pushes are lost, late and doubled at random: none is sent twice, none is forgotten, and
 * what the client knows at the end is what the exchange knows.
 */
import { Clock, Duration, Effect, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { WorldAccount } from "../../../src/AccountWorld.ts"
import type { AccountEvent } from "../../../src/domain/Account.ts"
import { isFinal } from "../../../src/domain/Account.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import type { WorldBook } from "../../../src/ExchangeDialect.ts"
import type { OrderRequest, Outcome } from "../../../src/OrderEntry.ts"
import { OrderEntry } from "../../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../../src/PrivateWebsocket.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { Fault } from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../../test/suites/AccountSubjects.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import { counting } from "../PlacedOnWire.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const answerMillis = 1_000
const expiryMillis = 5_000
const workers = 16

/**
 * How late requests reach the exchange, ms: behind the look-ups that would take them for lost if they did not wait for the
 * expiry, and behind those at the expiry, when the exchange must refuse them.
 */
const lateMillis = [1_800, 7_000]

/** Of commands: each that strikes leaves one outcome unknown. */
const ambiguous = (subject: Account.Subject): ReadonlyArray<Fault> => [
  // So that small runs have some.
  ...lateMillis.map((millis): Fault => ({ _tag: "LateRequest", ...subject.placing, share: 0.05, count: 4, millis })),
  ...subject.commands.flatMap((which): ReadonlyArray<Fault> => [
    { _tag: "LoseRequest", ...which, share: 0.01 },
    ...lateMillis.map((millis): Fault => ({ _tag: "LateRequest", ...which, share: 0.01, millis })),
    { _tag: "LoseAnswer", ...which, share: 0.015 },
    { _tag: "LateAnswer", ...which, share: 0.01, millis: 2_500 },
    ...("frame" in which ? [] : [{ _tag: "FailAnswer", ...which, share: 0.01, status: 502 } as const])
  ])
]

/** Of questions and pushes: they cost time, and leave nothing unknown for good. */
const disturbing: ReadonlyArray<Fault> = [
  { _tag: "LoseAnswer", method: "GET", share: 0.01 },
  { _tag: "HttpError", method: "GET", share: 0.01, status: 503 },
  { _tag: "Duplicate", share: 0.05 }
]

/** Until then readings of fills are slow: what is filled meanwhile must wait for what was missed. */
const slowFills: Fault = { _tag: "SlowHttp", method: "GET", path: "*rades*", millis: 300 }

/** Of pushes: nobody can tell their order from what comes. They begin when half of the orders are placed. */
const disordering: ReadonlyArray<Fault> = [
  { _tag: "Reorder", share: 0.02 },
  { _tag: "LatePush", share: 0.02, millis: 150 },
  { _tag: "LosePush", share: 0.005 },
  { _tag: "LagRead", millis: 250 }
]

interface Lost {
  readonly kind: string
  /** From when an answer was to be had to when it was had, ms. */
  readonly took: number
}

interface Tally {
  readonly outcomes: Record<"accepted" | "rejected" | "unknown" | "notSent", number>
  readonly lost: Array<Lost>
  /** Requests to place that left, by client id. */
  readonly placed: Map<string, number>
  /** What became of each order by its client id. */
  readonly fates: Map<string, "Accepted" | "Rejected">
  /** Commands under way when a connection was ended on purpose. */
  cut: number
  underWay: number
  awayUntil: number
  /** The exchange refuses a command that comes later than this. */
  readonly expiryMillis: number
}

/** The id of ours in a request to place an order. */
const placedIn = ({ isPlacing }: Account.Subject) => (text: string): ReadonlyArray<string> =>
  isPlacing(text) ? /pv[a-z0-9]{6,}/.exec(text)?.slice(0, 1) ?? [] : []

/** Waits until it is known, and notes how long that took. */
const settle = Effect.fnUntraced(function*<A>(tally: Tally, kind: string, outcome: Outcome<A>) {
  if (outcome._tag !== "Unknown") return outcome
  tally.outcomes.unknown++
  const told = yield* Clock.currentTimeMillis
  const known = yield* Effect.orDie(outcome.resolved)
  const at = yield* Clock.currentTimeMillis
  const isLate = known._tag === "Rejected" && known.reason.code === "never-arrived"
  // That it never arrived cannot be known before it has expired, nor anything while the exchange is away.
  const sent = outcome.cause.reason._tag === "Silent" ? told - answerMillis : told
  const from = Math.max(tally.awayUntil, isLate ? sent + tally.expiryMillis : told)
  tally.lost.push({ kind, took: Math.max(0, at - from) })
  return known
})

/** A command; null when it was not sent. */
const command = <A>(tally: Tally, kind: string, run: Effect.Effect<Outcome<A>, unknown>) =>
  Effect.suspend(() => {
    tally.underWay++
    return Effect.ensuring(Effect.option(run), Effect.sync(() => tally.underWay--))
  }).pipe(Effect.flatMap((sent) => sent._tag === "None" ? Effect.succeed(null) : settle(tally, kind, sent.value)))

/** Between the best prices; null while one side has been bought up. */
const middleOf = (book: WorldBook | undefined): number | null => {
  const [bid, ask] = [book?.bids[0], book?.asks[0]]
  return bid === undefined || ask === undefined ? null : (Number(bid.price) + Number(ask.price)) / 2
}

const requestOf = (
  { adapter, pair, quantity }: Account.Subject,
  simulator: Simulator.SimulatorService,
  draws: Virtual.Draws,
  clientOrderId: string
): OrderRequest => {
  const side = Virtual.pick(draws, ["buy", "sell"] as const)
  const far = Virtual.below(draws, 9_000)
  const resting = { pair, side, quantity, price: side === "buy" ? 1_000 + far : 200_000 + far, clientOrderId } as const
  const crossing = { ...resting, price: side === "buy" ? 150_000 : 20_000, timeInForce: "ioc" } as const
  // First in the queue, so that the next that crosses meets it: both are ours.
  const between = { ...resting, price: middleOf(simulator.book(adapter.id, pair, 1)) ?? resting.price } as const
  return Virtual.pick(draws, [resting, resting, between, crossing, { ...resting, timeInForce: "postOnly" } as const])
}

const lostOnItsWay: ReadonlySet<string> = new Set(["never-arrived", "not-carried-out"])

/** What was lost on its way is sent again, as anyone would. */
const cancelled = Effect.fnUntraced(function*<A>(tally: Tally, cancel: Effect.Effect<Outcome<A>, unknown>) {
  for (let isOpen = true; isOpen;) {
    const outcome = yield* command(tally, "cancel", cancel)
    isOpen = outcome?._tag === "Rejected" && lostOnItsWay.has(outcome.reason.code)
  }
})

/** Some stay open to the end: a share of few, and of many so many as do not fill the account. */
const stays = (count: number): number => Math.min(0.03, 100 / count)

/** One order, and what is done about it. */
const life = Effect.fnUntraced(function*(
  subject: Account.Subject,
  tally: Tally,
  draws: Virtual.Draws,
  { count, number }: { readonly number: number; readonly count: number }
) {
  const entry = yield* OrderEntry
  const simulator = yield* Simulator.Simulator
  const { adapter, pair } = subject
  const clientOrderId = `pv${adapter.id.replaceAll("-", "").slice(0, 4)}${number.toString(36).padStart(6, "0")}`
  const request = requestOf(subject, simulator, draws, clientOrderId)
  const placed = yield* command(tally, "place", Effect.map(entry.place(request), ({ outcome }) => outcome))
  if (placed === null) {
    tally.outcomes.notSent++
    return
  }
  tally.fates.set(clientOrderId, placed._tag)
  tally.outcomes[placed._tag === "Accepted" ? "accepted" : "rejected"]++
  if (placed._tag === "Rejected") return
  yield* Effect.sleep(Virtual.below(draws, 400))
  if (draws.nextDoubleUnsafe() < 0.2 && entry.abilities.has("amend")) {
    const price = request.side === "buy" ? 10_500 : 210_000
    yield* command(tally, "amend", entry.amend({ pair, clientOrderId }, { price }))
  }
  if (draws.nextDoubleUnsafe() < stays(count)) return
  yield* cancelled(tally, entry.cancel({ pair, clientOrderId }))
})

/** What must only rise: the exchange's count or time of an event, of what it tells of; null where it says nothing. */
const standing = (event: AccountEvent): readonly [of: string, at: number] | null => {
  switch (event._tag) {
    case "OrderUpdate":
      return [
        `order ${event.orderId}`,
        Number(Decimal.toText(event.filledQuantity)) + (isFinal(event.status) ? 1e9 : 0)
      ]
    case "Balance":
      return event.exchangeTime === null ? null : [`balance of ${event.asset}`, event.exchangeTime]
    case "Position":
      return event.updateId === null ? null : [`position in ${event.symbol}`, Number(event.updateId)]
    default:
      return null
  }
}

/** Fills of a symbol, while the pushes come in order and none is lost: whatever connections do, each comes behind those before it. */
const fillsInOrder = (event: AccountEvent): readonly [of: string, at: number] | null =>
  event._tag === "Fill" ? [`fill of ${event.symbol}`, Number.parseInt(event.tradeId, 10)] : null

/** What was told behind something later. */
const backwards = (
  events: ReadonlyArray<AccountEvent>,
  place: (event: AccountEvent) => readonly [of: string, at: number] | null
): ReadonlyArray<string> => {
  const latest = new Map<string, number>()
  return events.flatMap((event) => {
    const placed = place(event)
    if (placed === null) return []
    const [of, at] = placed
    const before = latest.get(of) ?? -Infinity
    latest.set(of, Math.max(before, at))
    return at < before ? [`${of} (${"origin" in event ? event.origin : ""}): ${at} behind ${before}`] : []
  })
}

/** Connections end now and then, the exchange is away for a while, and keys die. */
const breaks = Effect.fnUntraced(function*(tally: Tally, draws: Virtual.Draws) {
  const simulator = yield* Simulator.Simulator
  const entry = yield* OrderEntry
  for (let number = 0;; number++) {
    // The first one soon, so that small runs have some.
    yield* Effect.sleep(number < 2 ? 500 + Virtual.below(draws, 1_500) : 5_000 + Virtual.below(draws, 15_000))
    // What waits for a connection has not left.
    if (yield* entry.isReady) tally.cut += tally.underWay
    const away = number === 0 ? 500 : Virtual.pick(draws, [0, 0, 800, 2_000])
    tally.awayUntil = Math.max(tally.awayUntil, (yield* Clock.currentTimeMillis) + away)
    if (away > 0) yield* simulator.inject({ _tag: "Refuse", durationMillis: away })
    // Sometimes that of the pushes alone: orders go on meanwhile, and are filled.
    const dropped = number === 0 ? { topic: "*" } : Virtual.pick(draws, [{}, { topic: "*" }])
    yield* simulator.inject({ _tag: "Drop", ...dropped })
    if (draws.nextDoubleUnsafe() < 0.3) yield* simulator.inject({ _tag: "ExpireKeys" })
  }
})

interface Result {
  readonly tally: Tally
  readonly ambiguous: number
  readonly differences: ReadonlyArray<string>
  /** What was told behind something later, and how many fills were looked at. */
  readonly backwards: ReadonlyArray<string>
  readonly fillsInOrder: number
  readonly twiceAtExchange: number
  readonly missing: ReadonlyArray<string>
  readonly ghosts: ReadonlyArray<string>
  readonly fills: number
  /** Trades of which both sides are ours. */
  readonly withOurselves: number
  readonly recovered: number
  readonly duplicates: number
  readonly leftOpen: number
}

const idsOf = (account: WorldAccount): ReadonlyMap<string, number> => {
  const ids = new Map<string, number>()
  const orders = new Map(
    [...account.orders({ open: false }), ...account.orders({ open: true })].map((one) => [one.id, one])
  )
  for (const { clientOrderId } of orders.values()) {
    if (clientOrderId?.startsWith("pv") === true) ids.set(clientOrderId, (ids.get(clientOrderId) ?? 0) + 1)
  }
  return ids
}

const play = Effect.fnUntraced(function*(
  subject: Account.Subject,
  tally: Tally,
  seed: number,
  count: number
): Effect.fn.Return<Result, unknown, Account.Services | Scope.Scope> {
  const draws = yield* Virtual.draws(seed, `orders ${subject.adapter.id}`)
  const simulator = yield* Simulator.Simulator
  const account = yield* Account.truth(subject)
  const { known, websocket } = yield* Account.open
  const harmful = yield* Effect.forEach(ambiguous(subject), (fault) => simulator.inject(fault))
  yield* Effect.forEach(disturbing, (fault) => simulator.inject(fault))
  const slow = yield* simulator.inject(slowFills)
  const half = Math.floor(count / 2)
  let ordered: ReadonlyArray<AccountEvent> = []
  const disorder = Effect.suspend(() => {
    ordered = [...known.events]
    return Effect.andThen(
      simulator.clear(slow),
      Effect.forEach(disordering, (fault) => simulator.inject(fault), { discard: true })
    )
  })
  yield* Effect.scoped(Effect.gen(function*() {
    yield* Effect.forkScoped(breaks(tally, draws))
    yield* Effect.forEach(
      Array.from({ length: count }, (_, index) => index),
      (index) =>
        Effect.andThen(index === half ? disorder : Effect.void, life(subject, tally, draws, { number: index, count })),
      { concurrency: workers, discard: true }
    )
  }))
  const applied = new Map(simulator.counts().faults.map((fault) => [fault.id, fault.applied]))
  yield* simulator.clear()
  yield* Effect.sleep("3 seconds")
  const { kind } = subject.adapter
  // A timer reads the account; nobody asks for it here.
  yield* Account.until(() => Account.agrees(known, account, kind, "any"), 60_000, 1_000)
  const ids = idsOf(account)
  const { duplicates, reconciliation } = yield* (yield* PrivateWebsocket).performance
  yield* websocket.close
  return {
    tally,
    ambiguous: harmful.reduce((sum, id) => sum + (applied.get(id) ?? 0), 0) + tally.cut,
    differences: Account.differences(known, account, kind, "any"),
    backwards: [...backwards(ordered, fillsInOrder), ...backwards(known.events, standing)],
    fillsInOrder: ordered.filter(({ _tag }) => _tag === "Fill").length,
    twiceAtExchange: [...ids.values()].filter((times) => times > 1).length,
    missing: [...tally.fates].filter(([id, fate]) => fate === "Accepted" && !ids.has(id)).map(([id]) => id),
    ghosts: [...tally.fates].filter(([id, fate]) => fate === "Rejected" && ids.has(id)).map(([id]) => id),
    fills: known.fills.length,
    withOurselves: known.fills.length - new Set(known.fills.map(({ tradeId }) => tradeId)).size,
    recovered: reconciliation.recovered,
    duplicates,
    leftOpen: [...known.orders.values()].filter(({ status }) => !isFinal(status)).length
  }
})

const run = (subject: Account.Subject, seed: number, count: number): Effect.Effect<Result, unknown> => {
  const tally: Tally = {
    outcomes: { accepted: 0, rejected: 0, unknown: 0, notSent: 0 },
    lost: [],
    placed: new Map(),
    fates: new Map(),
    cut: 0,
    underWay: 0,
    awayUntil: 0,
    expiryMillis: Duration.toMillis(subject.adapter.account?.orders.expiry ?? expiryMillis)
  }
  const layer = Account.layer(
    Exchange.memory,
    subject,
    {
      orders: { answerTimeout: answerMillis, queueTimeout: 10_000, expiry: expiryMillis },
      reconcile: { interval: "20 seconds" }
    },
    { seed, rate: 2, tickMillis: 10 },
    counting(tally.placed, placedIn(subject))
  )
  return Account.run(Exchange.memory, layer, play(subject, tally, seed, count), 1_000_000).pipe(
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}

/** From when it can be known, ms. */
const boundMillis = 3_000

/** The highest percentile of so many that three of them lie above: of fewer it would be their maximum. */
const highest = (count: number): number => [0.99, 0.95].find((p) => count * (1 - p) >= 3) ?? 0.5

const judge = (proof: Proof, id: string, result: Result): void => {
  const { differences, ghosts, leftOpen, missing, tally, twiceAtExchange } = result
  const twice = [...tally.placed].filter(([, times]) => times > 1)
  const took = tally.lost.map((lost) => lost.took)
  proof.check(
    `${id}: none is sent twice`,
    twice.length === 0 && twiceAtExchange === 0,
    `${tally.placed.size} ids on the wire, ${twice.length} twice${twice.length > 0 ? `, first ${twice[0]![0]}` : ""}`
  )
  proof.check(
    `${id}: none is forgotten, and what is told of each is so`,
    missing.length === 0 && ghosts.length === 0,
    `${tally.fates.size} fates, ${missing.length} accepted and not there, ${ghosts.length} refused and there`
  )
  proof.check(
    `${id}: no more unknown than ambiguous faults`,
    tally.outcomes.unknown <= result.ambiguous,
    `${tally.outcomes.unknown} unknown, ${result.ambiguous} faults (${tally.cut} of them commands under way when a connection was ended)`
  )
  const judged = highest(took.length)
  proof.check(
    `${id}: each is known within 3 s of when it can be (p99 of many, a lower percentile of few)`,
    took.length === 0 || Proofs.percentile(took, judged) <= boundMillis,
    `${took.length}, ${
      [0.5, 0.95, 0.99, 1].map((p) => `${p === 1 ? "most" : `p${100 * p}`} ${Proofs.text(Proofs.percentile(took, p))}`)
        .join(", ")
    } ms of virtual time; judged by p${100 * judged}`
  )
  proof.check(
    `${id}: what is told only goes forward: fills while no push is late or lost, orders, balances and positions always`,
    result.backwards.length === 0,
    result.backwards.length === 0
      ? `${result.fillsInOrder} fills before the pushes are disturbed`
      : `${result.backwards.length} times; ${result.backwards.join("; ")}`.slice(0, 600)
  )
  proof.check(
    `${id}: fills, open orders, balances and positions are the exchange's, to the last digit`,
    differences.length === 0,
    differences.length === 0
      ? `${result.fills} fills, ${result.withOurselves} trades with ourselves among them, ${leftOpen} open orders`
      : differences.join("; ").slice(0, 600)
  )
}

export const orders: Case = {
  name: "orders",
  parts: accountSubjects.map(({ adapter }) => adapter.id),
  proves:
    "Orders under faults at every step: 0 sent twice, 0 forgotten, every outcome found, and the end state is the exchange's",
  run: Effect.fnUntraced(function*(proof) {
    const each = Math.ceil(Proofs.sizeOf(proof, 450, 100_000) / accountSubjects.length)
    const subjects = accountSubjects.filter(({ adapter }) => proof.part === null || adapter.id === proof.part)
    const rows: Array<ReadonlyArray<string>> = []
    for (const subject of subjects) {
      const result = yield* run(subject, proof.seed, each)
      const { outcomes } = result.tally
      rows.push([
        subject.adapter.id,
        ...[
          outcomes.accepted,
          outcomes.rejected,
          outcomes.unknown,
          outcomes.notSent,
          result.fills,
          result.recovered,
          result.duplicates
        ]
          .map(String)
      ])
      judge(proof, subject.adapter.id, result)
    }
    proof.table([
      "exchange",
      "accepted",
      "rejected",
      "unknown at first",
      "not sent",
      "fills",
      "recovered",
      "pushed twice"
    ], rows)
    proof.figure("orders", each * subjects.length)
  })
}
