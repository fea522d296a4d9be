/** Every event of every topic is accounted for, exactly, against the simulator's own counts. */
import { Clock, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Channel from "../../../src/domain/Channel.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { FeedOptions, Performance, TopicPerformance } from "../../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../../src/simulator/Simulator.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

type Body<A> = Effect.Effect<A, ExchangeError | Error, Services | Scope.Scope>

// ---- the two sides --------------------------------------------------------------------------------------------------

/** Events that the simulator handed to sockets, by wire topic. */
const sentBy = (simulator: SimulatorService, exchange: string): ReadonlyMap<string, number> =>
  new Map(
    Object.entries(simulator.counts().exchanges[exchange]!.topics).map(([topic, counts]) => [topic, counts.sent.events])
  )

/** In minus out: 0 when every event is accounted for. */
const imbalance = (topic: TopicPerformance): number =>
  topic.received + topic.reconciled -
  (topic.delivered + topic.conflated + topic.dropped + topic.stale + topic.abandoned + topic.unrouted +
    topic.duplicates)

interface Account {
  readonly topics: number
  readonly sent: number
  readonly received: number
  /** Topics whose two sides differ, described. */
  readonly differing: ReadonlyArray<string>
  readonly totals: Readonly<
    Record<
      "delivered" | "conflated" | "dropped" | "stale" | "abandoned" | "unrouted" | "duplicates" | "reconciled",
      number
    >
  >
}

const accountOf = (simulator: SimulatorService, { exchange, topics }: Performance): Account => {
  const sent = sentBy(simulator, exchange)
  const differing: Array<string> = []
  const received = new Map(topics.map((topic) => [topic.topic, topic.received]))
  for (const [topic, count] of sent) {
    if ((received.get(topic) ?? 0) !== count) {
      differing.push(`${topic}: sent ${count}, received ${received.get(topic) ?? 0}`)
    }
  }
  for (const topic of topics) {
    if (imbalance(topic) !== 0) differing.push(`${topic.topic}: ${imbalance(topic)} events unaccounted for`)
  }
  const total = (field: keyof Account["totals"] | "received") => topics.reduce((sum, topic) => sum + topic[field], 0)
  return {
    topics: topics.length,
    sent: [...sent.values()].reduce((sum, count) => sum + count, 0),
    received: total("received"),
    differing,
    totals: {
      delivered: total("delivered"),
      conflated: total("conflated"),
      dropped: total("dropped"),
      stale: total("stale"),
      abandoned: total("abandoned"),
      unrouted: total("unrouted"),
      duplicates: total("duplicates"),
      reconciled: total("reconciled")
    }
  }
}

const describe = ({ differing, received, sent, topics, totals }: Account): string =>
  `${topics} topics: sent ${sent} = received ${received}; + reconciled ${totals.reconciled} = delivered ${totals.delivered} + conflated ${totals.conflated}` +
  ` + declared lost ${totals.dropped} + stale ${totals.stale} + abandoned ${totals.abandoned} + unrouted ${totals.unrouted} + duplicates ${totals.duplicates}` +
  (differing.length === 0 ? "" : `; differing: ${differing.slice(0, 5).join("; ")}`)

// ---- random subscribing ---------------------------------------------------------------------------------------------

/** Who holds what now, and how to let go of it. */
class Holders {
  readonly feeds = new Map<string, { readonly scope: Scope.Closeable; readonly fiber: Fiber.Fiber<unknown, unknown> }>()
  readonly pairs = new Set<TradingPair>()
  readonly #subject: Subject

  constructor(subject: Subject) {
    this.#subject = subject
  }

  get wanted(): ReadonlySet<string> {
    return new Set([
      ...this.feeds.keys(),
      ...[...this.pairs].flatMap((pair) =>
        Virtual.tagsOf(this.#subject).map((tag) => Virtual.topicOf(this.#subject, Channel.forPair(tag, pair))!)
      )
    ])
  }
}

const toggleFeed = Effect.fnUntraced(function*(holders: Holders, subject: Subject, channel: Channel.PublicChannel) {
  const key = Virtual.topicOf(subject, channel)!
  const held = holders.feeds.get(key)
  if (held !== undefined) {
    holders.feeds.delete(key)
    yield* Fiber.interrupt(held.fiber)
    yield* Scope.close(held.scope, Exit.void)
    return
  }
  const websocket = yield* PublicWebsocket
  const scope = yield* Scope.make()
  const body = Effect.flatMap(websocket.feed(channel).pipe(Scope.provide(scope)), (stream) => Stream.runDrain(stream))
  holders.feeds.set(key, { scope, fiber: yield* Effect.forkScoped(Effect.exit(body), { startImmediately: true }) })
})

const togglePair = Effect.fnUntraced(function*(holders: Holders, pair: TradingPair) {
  const websocket = yield* PublicWebsocket
  if (holders.pairs.delete(pair)) return yield* websocket.unsubscribe([pair])
  holders.pairs.add(pair)
  // Not waited for: the next step may take it back before the exchange has answered.
  yield* Effect.forkScoped(Effect.exit(websocket.subscribe([pair])), { startImmediately: true })
})

/**
 * A channel of a pair, and now and then one of all pairs. But for Gate's liquidations, which are held for one or for all:
 * beside each other they cannot be told apart (`docs/gate.md`, "Unconfirmed").
 */
const anyChannel = (draws: Draws, subject: Subject, pair: TradingPair): Channel.PublicChannel => {
  const ofEveryPair = Virtual.ofEveryPair(subject).filter(({ _tag }) => _tag !== "Liquidations")
  return ofEveryPair.length > 0 && Virtual.below(draws, 50) === 0
    ? Virtual.pick(draws, ofEveryPair)
    : Channel.forPair(Virtual.pick(draws, Virtual.tagsOf(subject)), pair)
}

const oneStep = Effect.fnUntraced(
  function*(draws: Draws, subject: Subject, pairs: ReadonlyArray<TradingPair>, holders: Holders) {
    const pair = Virtual.pick(draws, pairs)
    if (Virtual.below(draws, 5) === 0) yield* togglePair(holders, pair)
    else yield* toggleFeed(holders, subject, anyChannel(draws, subject, pair))
    // Most steps follow at once, so that answers cross what is asked next.
    if (Virtual.below(draws, 3) === 0) yield* Effect.sleep(Virtual.below(draws, 30))
  }
)

const difference = (wanted: ReadonlySet<string>, found: ReadonlySet<string>): string => {
  const missing = [...wanted].filter((key) => !found.has(key))
  const extra = [...found].filter((key) => !wanted.has(key))
  return `${wanted.size} wanted, ${found.size} subscribed, ${missing.length} missing, ${extra.length} too many ${
    [...missing, ...extra].slice(0, 4).join(" ")
  }`.trim()
}

const settleMillis = 15_000

/** No more data leaves the exchange. A pause of its markets would not do: some topics repeat what they have. */
const hush = (simulator: SimulatorService) => Effect.orDie(simulator.inject({ _tag: "Silence" }))

const churn = (
  subject: Subject,
  seed: number,
  steps: number
): Body<{ readonly found: string; readonly exact: boolean; readonly account: Account }> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const { adapter } = subject
    const draws = yield* Virtual.draws(seed, `churn ${adapter.id}`)
    const holders = new Holders(subject)
    const [first, ...others] = simulator.pairs
    yield* websocket.initialize([first!], Virtual.tagsOf(subject))
    holders.pairs.add(first!)
    for (let i = 0; i < steps; i++) yield* oneStep(draws, subject, [first!, ...others], holders)
    yield* Effect.sleep(settleMillis)
    const { wanted } = holders
    const found = simulator.topics(adapter.id)
    const exact = wanted.size === found.size && [...wanted].every((key) => found.has(key))
    yield* hush(simulator)
    yield* Effect.sleep(settleMillis)
    const account = accountOf(simulator, yield* websocket.performance)
    return { found: difference(wanted, found), exact, account }
  })

const randomSteps = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const steps = Proofs.sizeOf(proof, 5_000, 10_000)
  const runs = proof.quick ? 1 : 5
  for (let run = 0; run < runs; run++) {
    const seed = proof.seed + run
    const result = yield* Virtual.run(
      { subject, seed, simulator: { pairs: Virtual.pairs(subject, 12), rate: 10 }, options: Virtual.patient },
      churn(subject, seed, steps)
    )
    const { id } = subject.adapter
    proof.check(
      `${id}: ${steps} random subscribes and unsubscribes leave exactly the wanted set`,
      result.exact,
      result.found
    )
    proof.check(
      `${id}: every event is accounted for meanwhile`,
      result.account.differing.length === 0 && result.account.sent > 0,
      describe(result.account)
    )
    proof.figure(`${id}_random_events`, result.account.sent)
  }
})

// ---- slow subscribers -----------------------------------------------------------------------------------------------

interface Taken {
  data: number
  lost: number
  gaps: number
}

/** Takes one element in `every` ms, until it has to hurry. */
const takeSlowly = Effect.fnUntraced(
  function*(
    channel: Channel.PublicChannel,
    options: FeedOptions,
    every: number,
    taken: Taken,
    hurry: Deferred.Deferred<void>
  ) {
    const websocket = yield* PublicWebsocket
    const stream = yield* websocket.feed(channel, options)
    yield* Effect.forkScoped(Stream.runForEach(stream, (item) => {
      if (item._tag === "Data") taken.data++
      else {
        taken.gaps++
        taken.lost += item.lost ?? 0
      }
      return item._tag === "Data" ? Effect.race(Effect.sleep(every), Deferred.await(hurry)) : Effect.void
    }))
  }
)

const times = 100

/** A virtual clock goes ten minutes; the end of a run needs some of them. */
const longest = 500_000

/** The fastest that the exchange has, so that there is something to be slow against. */
const quickest = (subject: Subject, tag: Channel.PublicTag): Channel.PublicChannel =>
  Channel.forPair(
    subject.adapter.id === "mexc-spot" && (tag === "BookTicker" || tag === "Trades" || tag === "Book")
      ? { _tag: tag, speed: "10ms" }
      : tag,
    Virtual.pairOn(subject, "BTC/USDT")
  )

/** How often a topic brings an event, ms: measured with a reader that keeps up, over five events or more. */
const pace = (channel: Channel.PublicChannel, subject: Subject): Body<number> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const clock = yield* Clock.Clock
    const began = clock.currentTimeMillisUnsafe()
    yield* Effect.forkScoped(Stream.runDrain(yield* websocket.feed(channel)))
    const sent = () => [...sentBy(simulator, subject.adapter.id).values()].reduce((sum, count) => sum + count, 0)
    do yield* Effect.sleep(5_000)
    while (sent() < 5)
    return (clock.currentTimeMillisUnsafe() - began) / sent()
  })

interface Slow {
  readonly account: Account
  readonly taken: Taken
  readonly every: number
}

const slowly = (
  channel: Channel.PublicChannel,
  options: FeedOptions,
  every: number,
  marketMillis: number
): Body<Slow> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const taken: Taken = { data: 0, lost: 0, gaps: 0 }
    const hurry = yield* Deferred.make<void>()
    yield* takeSlowly(channel, options, every, taken, hurry)
    yield* Effect.sleep(marketMillis)
    yield* hush(simulator)
    yield* Deferred.succeed(hurry, undefined)
    // Until nothing more is taken: the buffer is empty, the socket read, no book waits.
    for (let before = -1; before !== taken.data + taken.gaps;) {
      before = taken.data + taken.gaps
      yield* Effect.sleep(3_000)
    }
    return { account: accountOf(simulator, yield* websocket.performance), taken, every }
  })

const setupOf = (subject: Subject, seed: number): Virtual.Setup => ({
  subject,
  seed,
  simulator: { pairs: [Virtual.pairOn(subject, "BTC/USDT")], rate: 100, tradeRate: 100 },
  options: Virtual.patient
})

const provenSlow = (proof: Proof, label: string, { account, taken }: Slow): void => {
  const { differing, totals } = account
  const lostAsSaid = taken.data === totals.delivered && taken.lost === totals.dropped
  proof.check(
    `${label}: sent = delivered + conflated + declared lost with a subscriber ${times} times too slow`,
    differing.length === 0 && lostAsSaid && totals.conflated + totals.dropped > 0,
    `it took ${taken.data} and was told of ${taken.lost} lost in ${taken.gaps} gaps; ${describe(account)}`
  )
}

const provenBlocking = (proof: Proof, label: string, { account: { differing, sent, totals }, taken }: Slow): void => {
  const losesNothing = taken.gaps === 0 && taken.data === totals.delivered && totals.conflated + totals.dropped === 0
  proof.check(
    `${label}: overflow "block" loses nothing, however slow`,
    differing.length === 0 && losesNothing && sent > 0,
    `sent ${sent}, taken ${taken.data}, stale ${totals.stale}, gaps ${taken.gaps}`
  )
}

const rowOf = (
  label: string,
  bufferSize: number,
  { account: { sent, totals }, taken }: Slow
): ReadonlyArray<string> => [
  label,
  ...[bufferSize, sent, taken.data, totals.conflated, taken.lost, totals.stale, totals.reconciled].map(String)
]

const slowSubscriber = Effect.fnUntraced(function*(proof: Proof, subject: Subject, channel: Channel.PublicChannel) {
  const setup = setupOf(subject, proof.seed)
  const label = `${subject.adapter.id} ${channel._tag}${channel.pair === Channel.everyPair ? " of every pair" : ""}`
  const one = yield* Virtual.run(setup, pace(channel, subject))
  const rows: Array<ReadonlyArray<string>> = []
  for (const bufferSize of proof.quick ? [4] : [1, 4, 32]) {
    const lasts = Math.min(longest, Math.max(proof.quick ? 10_000 : 160_000, 3 * bufferSize * one))
    const result = yield* Virtual.run(setup, slowly(channel, { bufferSize }, times * one, lasts))
    provenSlow(proof, label, result)
    rows.push(rowOf(label, bufferSize, result))
  }
  const blocking = slowly(channel, { bufferSize: 4, overflow: "block" }, times * one, Math.max(1_000, 12 * one))
  provenBlocking(proof, label, yield* Virtual.run(setup, blocking))
  return rows
})

const slowSubscribers = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const channels = [...Virtual.tagsOf(subject).map((tag) => quickest(subject, tag)), ...Virtual.ofEveryPair(subject)]
  const rows = yield* Effect.forEach(channels, (channel) => slowSubscriber(proof, subject, channel))
  proof.table(["slow subscriber", "buffer", "sent", "taken", "conflated", "lost", "stale", "snapshots"], rows.flat())
})

export const ledger: Case = {
  name: "ledger",
  proves:
    "For every topic sent = delivered + conflated + declared lost, exactly, under random subscribing (which leaves exactly the wanted set) and with subscribers 100 times too slow",
  run: Effect.fnUntraced(function*(proof) {
    proof.say(
      "Books also count what a snapshot replaced (stale) and the snapshots fetched (reconciled); leaving, what came while"
    )
    proof.say("nobody held the topic (unrouted) or was not taken by who left (abandoned). See TopicPerformance.")
    for (const subject of Virtual.subjects) {
      yield* randomSteps(proof, subject)
      yield* slowSubscribers(proof, subject)
    }
  })
}
