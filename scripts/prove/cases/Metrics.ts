/** A scripted run in which everything happens that is measured; every metric of `docs/metrics.md` against independent counts. */
import { Clock, Effect, Exit, Logger, Metric, Scope, Stream } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { MemoryFrame } from "../../../src/connection/MemoryNetwork.ts"
import * as Channel from "../../../src/domain/Channel.ts"
import type { PublicTag } from "../../../src/domain/Channel.ts"
import type { Gap } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { Performance } from "../../../src/PublicWebsocket.ts"
import { handlersFor, PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { Counts, ExchangeCounts } from "../../../src/simulator/Simulator.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import * as Child from "../Child.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

// ---- what is counted apart from the library -------------------------------------------------------------------------

/** What passed over the network, counted there. */
class Wire {
  received = { frames: 0, bytes: 0 }
  sent = { frames: 0, bytes: 0 }

  static bytes(frame: MemoryFrame): number {
    return typeof frame === "string" ? Buffer.byteLength(frame) : frame.length
  }

  add(side: { frames: number; bytes: number }, frame: MemoryFrame): void {
    side.frames++
    side.bytes += Wire.bytes(frame)
  }
}

/** What reached the consumers, counted there. */
interface Consumers {
  handled: number
  thrown: number
  taken: number
  lost: number
  slowGaps: number
  readonly gaps: Map<string, number>
}

/** What the metrics say. */
interface Measured {
  readonly performance: Performance
  readonly snapshot: ReadonlyArray<Metric.Metric.Snapshot>
  readonly prometheus: string
}

interface Ran extends Measured {
  readonly wire: Pick<Wire, "received" | "sent">
  readonly consumers: Consumers
  readonly counts: Counts
  readonly subscribed: number
  /** ms. */
  readonly now: number
}

// ---- the script -----------------------------------------------------------------------------------------------------

const corruptTopic = "*ook*icker*ETH*"
const silentTopic = "*ook*icker*BTC*"

type Body<A> = Effect.Effect<A, ExchangeError | Error, Services | Scope.Scope>

const measured: Effect.Effect<Measured, never, PublicWebsocket> = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  return {
    performance: yield* websocket.performance,
    snapshot: yield* Metric.snapshot,
    prometheus: yield* PrometheusMetrics.format()
  }
})

/** Two that all is read of, one that is not listed, one that is left again, and one whose readers are slow. */
const pairsOf = (subject: Subject) => {
  const on = (pair: TradingPair) => Virtual.pairOn(subject, pair)
  return [on("BTC/USDT"), on("ETH/USDT"), on("NOPE/USDT"), on("SOL/USDT"), on("ADA/USDT")] as const
}

const listedOf = (subject: Subject): readonly [TradingPair, ...Array<TradingPair>] => {
  const [first, second, , left, slow] = pairsOf(subject)
  return [first, second, left, slow]
}

/** Topics of the pair that is not listed which the exchange refuses: a book in the stream is accepted and silent. */
const refusedTopics = (subject: Subject): number => {
  const { snapshot } = subject.adapter.book({ _tag: "Book", pair: Virtual.pairOn(subject, "NOPE/USDT") })
  return Virtual.tagsOf(subject).length - (snapshot === "InStream" ? 1 : 0)
}

const script = (subject: Subject, wire: Wire): Body<Ran> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const clock = yield* Clock.Clock
    const consumers: Consumers = { handled: 0, thrown: 0, taken: 0, lost: 0, slowGaps: 0, gaps: new Map() }
    const handle = (): void => {
      consumers.handled++
      if (consumers.handled % 100 !== 0) return
      consumers.thrown++
      throw new Error("a handler of the proof")
    }
    yield* websocket.handle(handlersFor(websocket.channels, {
      onBookTicker: handle,
      onTrade: handle,
      onBook: handle,
      onTicker: handle,
      onKline: handle,
      onFuturesTicker: handle,
      onLiquidation: handle,
      onContractStats: handle,
      onGap: ({ cause }) => consumers.gaps.set(cause, (consumers.gaps.get(cause) ?? 0) + 1)
    }))
    const [first, second, unlisted, left, slowly] = pairsOf(subject)
    yield* websocket.initialize([first, second], Virtual.tagsOf(subject))
    // One by one: what is refused of a pair lets go of the pair's other channels.
    for (const tag of Virtual.tagsOf(subject)) {
      yield* Effect.exit(Effect.scoped(websocket.feed(Channel.forPair(tag, unlisted))))
    }
    const inject = (fault: string) => Effect.orDie(simulator.inject(fault))
    yield* Effect.sleep(1_000)
    yield* Effect.forEach([
      `gap:2,pair=${first}`,
      `duplicate:5,pair=${first}`,
      `reorder:2,pair=${first}`,
      `corrupt:30%,topic=${corruptTopic}@0s:3s`
    ], inject)
    yield* Effect.sleep(4_000)
    yield* inject("drop")
    yield* Effect.sleep(3_000)
    yield* inject("refuse:503@0s:500ms")
    yield* inject("drop:1001")
    yield* Effect.sleep(4_000)
    yield* inject("half-open")
    yield* Effect.sleep(4_000)
    yield* Effect.orDie(simulator.inject({ _tag: "Silence", topic: silentTopic, durationMillis: 3_000 }))
    yield* Effect.sleep(6_000)
    // A pair of its own, which is left while its events still come.
    const scope = yield* Scope.make()
    yield* Effect.forkScoped(leaver(left, scope, consumers), { startImmediately: true })
    yield* Effect.sleep(1_000)
    yield* Scope.close(scope, Exit.void)
    yield* slow(slowly, consumers)
    yield* inject("silence")
    yield* Effect.sleep(1_500)
    return {
      wire: { received: { ...wire.received }, sent: { ...wire.sent } },
      consumers: { ...consumers },
      counts: simulator.counts(),
      subscribed: simulator.topics(websocket.exchange).size,
      ...yield* measured,
      now: clock.currentTimeMillisUnsafe()
    }
  })

const leaver = (pair: TradingPair, scope: Scope.Scope, consumers: Consumers) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const stream = yield* websocket.feed({ _tag: "Trades", pair }).pipe(Scope.provide(scope))
    yield* Stream.runForEach(stream, () => Effect.sync(() => void consumers.taken++))
  })

/** Two feeds that are not read for a while, then to their end. */
const slow = Effect.fnUntraced(function*(pair: TradingPair, consumers: Consumers) {
  const websocket = yield* PublicWebsocket
  const [ticker, trades] = yield* Effect.all([
    websocket.feed({ _tag: "BookTicker", pair }, { bufferSize: 2 }),
    websocket.feed({ _tag: "Trades", pair }, { bufferSize: 4 })
  ])
  yield* Effect.sleep(3_000)
  const take = (item: { readonly _tag: "Data" } | Gap): void => {
    if (item._tag === "Data") return void consumers.taken++
    consumers.slowGaps++
    consumers.lost += item.lost ?? 0
  }
  for (const stream of [ticker, trades]) {
    yield* Effect.forkScoped(
      Stream.runForEach(
        stream as Stream.Stream<{ readonly _tag: "Data" } | Gap, ExchangeError>,
        (item) => Effect.sync(() => take(item))
      )
    )
  }
  yield* Effect.sleep(500)
})

const runScript = (subject: Subject, seed: number): Effect.Effect<Ran, ExchangeError | Error> => {
  const wire = new Wire()
  const layer = Virtual.layerThrough(
    subject,
    (network) => ({
      ...network,
      connect: (url, client, headers) => {
        const onFrame = (frame: MemoryFrame): void => {
          wire.add(wire.received, frame)
          client.onFrame(frame)
        }
        const socket = network.connect(url, { ...client, onFrame }, headers)
        return "refused" in socket ? socket : {
          ...socket,
          send: (frame) => {
            wire.add(wire.sent, frame)
            socket.send(frame)
          }
        }
      }
    }),
    { pairs: listedOf(subject), seed, tradeRate: 20 },
    {
      staleAfter: null,
      silence: { ...Virtual.patient.silence, BookTicker: "2 seconds" },
      heartbeat: { interval: "1 second", timeout: "1 second" }
    }
  )
  // Handlers that throw are logged as errors, as they should be; here they are part of the script.
  return Virtual.over(layer, seed, script(subject, wire)).pipe(Effect.provide(Logger.layer([])))
}

interface RanRedundant extends Measured {
  readonly handled: number
  readonly exchange: ExchangeCounts
}

/** Two sockets for every topic, one of them dropped and back. */
const runRedundant = (subject: Subject, seed: number): Effect.Effect<RanRedundant, ExchangeError | Error> => {
  const [first, second] = pairsOf(subject)
  return Virtual.run(
    {
      subject,
      seed,
      simulator: { pairs: [first, second], tradeRate: 20 },
      options: { connections: 2, ...Virtual.patient }
    },
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const simulator = yield* Simulator
      let handled = 0
      yield* websocket.handle({ onBookTicker: () => void handled++ })
      yield* websocket.initialize([first, second], ["BookTicker"])
      yield* Effect.sleep(3_000)
      yield* Effect.orDie(simulator.inject("drop,connection=1"))
      yield* Effect.sleep(3_000)
      // Nothing may come between the last flush of the metrics and the count.
      yield* websocket.unsubscribe([first, second])
      yield* Effect.sleep(1_000)
      return { handled, exchange: simulator.counts().exchanges[websocket.exchange]!, ...yield* measured }
    })
  )
}

// ---- the metrics ----------------------------------------------------------------------------------------------------

const numberOf = ({ state, type }: Metric.Metric.Snapshot): number => {
  if (type === "Counter" || type === "Histogram") return Number((state as { readonly count: number }).count)
  return Number((state as { readonly value: number }).value)
}

const seriesOf = ({ snapshot }: Measured, name: string, attributes: Readonly<Record<string, string>> = {}) =>
  snapshot.filter(({ attributes: found, id }) =>
    id === name && Object.entries(attributes).every(([key, value]) => found?.[key] === value)
  )

const read = (ran: Measured, name: string, attributes: Readonly<Record<string, string>> = {}): number =>
  seriesOf(ran, name, attributes).reduce((sum, one) => sum + numberOf(one), 0)

interface Expectation {
  readonly name: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly expected: number
  /** Where the expected number comes from. */
  readonly by: string
  /** How far the metric may be from it. */
  readonly within?: number
  /** The expected number is a lower bound. */
  readonly least?: true
}

/** Of the topics that are named, of all when none are. */
const sumOf = (
  exchange: ExchangeCounts,
  field: "sent" | "corrupted",
  unit: "frames" | "events",
  topics?: ReadonlySet<string>
): number =>
  Object.entries(exchange.topics).reduce(
    (sum, [name, topic]) => sum + (topics === undefined || topics.has(name) ? topic[field][unit] : 0),
    0
  )

/** Names on the wire of a channel. */
const topicsOf = ({ topics }: Performance, channel: PublicTag): ReadonlySet<string> =>
  new Set(topics.filter((topic) => topic.channel === channel).map(({ topic }) => topic))

const socketExpectations = ({ wire }: Ran, { connections }: ExchangeCounts): ReadonlyArray<Expectation> => {
  const ended = connections.accepted - connections.open
  const reason = (name: string, expected: number, reason: string): Expectation => ({
    name,
    expected,
    attributes: { reason },
    by: "simulator"
  })
  return [
    { name: "exchange.ws.connections.opened", expected: connections.accepted, by: "simulator" },
    { name: "exchange.ws.connections.failed", expected: connections.refused, by: "simulator" },
    reason("exchange.ws.connections.failed", connections.refused, "ConnectFailed"),
    { name: "exchange.ws.connections.ended", expected: ended, by: "simulator" },
    reason("exchange.ws.connections.ended", connections.dropped, "Disconnected"),
    reason("exchange.ws.connections.ended", connections.halfOpen, "Silent"),
    { name: "exchange.ws.connections.active", expected: connections.open, by: "simulator" },
    { name: "exchange.ws.connect.duration", expected: connections.accepted, by: "simulator" },
    { name: "exchange.ws.frames.received", expected: wire.received.frames, by: "wire" },
    { name: "exchange.ws.bytes.received", expected: wire.received.bytes, by: "wire" },
    { name: "exchange.ws.frames.sent", expected: wire.sent.frames, by: "wire" },
    { name: "exchange.ws.bytes.sent", expected: wire.sent.bytes, by: "wire" }
  ]
}

const eventExpectations = (
  { consumers, performance }: Ran,
  exchange: ExchangeCounts,
  subject: Subject
): ReadonlyArray<Expectation> => [
  ...Virtual.tagsOf(subject).map((channel): Expectation => ({
    name: "exchange.events.received",
    attributes: { channel },
    expected: sumOf(exchange, "sent", "events", topicsOf(performance, channel)) -
      sumOf(exchange, "corrupted", "events", topicsOf(performance, channel)),
    by: "simulator"
  })),
  { name: "exchange.events.delivered", expected: consumers.handled + consumers.taken, by: "consumers" },
  { name: "exchange.events.dropped", expected: consumers.lost, by: "consumers" },
  {
    name: "exchange.events.conflated",
    expected: Object.entries(exchange.topics).reduce(
      (sum, [topic, { sent }]) => /icker.*ADA/.test(topic) ? sum + sent.events : sum,
      0
    ) - tickerTaken(performance, slowPair(subject)),
    by: "simulator"
  },
  {
    name: "exchange.events.unrouted",
    expected: performance.topics.reduce((sum, topic) => sum + topic.unrouted, 0),
    by: "ledger"
  },
  {
    name: "exchange.book.stale_updates",
    expected: performance.topics.reduce((sum, topic) => sum + topic.stale, 0),
    by: "ledger"
  }
]

const slowPair = (subject: Subject): TradingPair => pairsOf(subject)[4]

const tickerTaken = ({ topics }: Performance, slow: TradingPair): number =>
  topics.filter(({ channel, pair }) => channel === "BookTicker" && pair === slow).reduce(
    (sum, { delivered }) => sum + delivered,
    0
  )

/** The topic that was quiet longest at the last flush, which lies at most a quarter of a second back, s. */
const staleness = ({ now, performance }: Ran, channel: string): number =>
  Math.max(
    ...performance.topics.filter((topic) => topic.channel === channel && topic.subscribers > 0).map(({ lastEventAt }) =>
      now - (lastEventAt ?? now)
    )
  ) / 1_000

const otherExpectations = (
  ran: Ran,
  exchange: ExchangeCounts,
  subject: Subject
): ReadonlyArray<Expectation> => {
  const refused = refusedTopics(subject)
  const { consumers, performance } = ran
  const { connections } = exchange
  const { confirmed, rejected, requested, timedOut } = performance.subscriptions
  const corrupted = sumOf(exchange, "corrupted", "frames")
  const outcome = (outcome: string, expected: number, by: string): Expectation => ({
    name: "exchange.subscriptions",
    attributes: { outcome },
    expected,
    by
  })
  const error = (type: string, expected: number, by: string): Expectation => ({
    name: "exchange.errors",
    attributes: { "error.type": type },
    expected,
    by
  })
  return [
    ...[...consumers.gaps].map(([reason, expected]): Expectation => ({
      name: "exchange.gaps",
      attributes: { reason },
      expected,
      by: "consumers"
    })),
    {
      name: "exchange.gaps",
      attributes: { reason: "Overflow" },
      expected: performance.topics.filter(({ pair }) => pair === slowPair(subject)).reduce(
        (sum, { gaps }) => sum + gaps,
        0
      ),
      by: "ledger"
    },
    { name: "exchange.silences", expected: consumers.gaps.get("Silent") ?? 0, by: "consumers" },
    // What the script silences has something to say.
    { name: "exchange.silences.false", expected: 0, by: "script" },
    ...Virtual.tagsOf(subject).map((channel): Expectation => ({
      name: "exchange.staleness",
      attributes: { channel },
      expected: staleness(ran, channel),
      within: 0.26,
      by: "ledger"
    })),
    { name: "exchange.connections", expected: connections.open, by: "simulator" },
    { name: "exchange.socket.topics", expected: ran.subscribed, by: "simulator" },
    { name: "exchange.reconnects", expected: connections.dropped + connections.halfOpen, by: "simulator" },
    outcome("requested", requested, "performance"),
    outcome("confirmed", confirmed, "performance"),
    outcome("rejected", rejected, "performance"),
    outcome("timed_out", timedOut, "performance"),
    {
      name: "exchange.subscription.success_rate",
      expected: confirmed / (confirmed + rejected + timedOut),
      within: 1e-9,
      by: "performance"
    },
    error("ConnectFailed", connections.refused, "simulator"),
    error("Disconnected", connections.dropped, "simulator"),
    error("Silent", connections.halfOpen, "simulator"),
    error("SubscriptionRejected", refused, "script"),
    {
      name: "exchange.processing.duration",
      expected: Math.min(performance.processing.count, 1_024),
      least: true,
      by: "performance"
    },
    { name: "exchange.message.age", expected: Math.min(performance.age.count, 1_024), least: true, by: "performance" },
    // A frame of protobuf that is cut between two fields is a shorter one without body: ignored.
    { name: "exchange.decoder.failures", expected: corrupted - performance.ignored, by: "simulator" },
    { name: "exchange.decoder.fallbacks", expected: performance.decoderFallbacks, by: "performance" },
    { name: "exchange.frames.ignored", expected: performance.ignored, by: "performance" },
    { name: "exchange.handler.failures", expected: consumers.thrown, by: "consumers" },
    { name: "exchange.book.snapshots", expected: exchange.rest.snapshots - exchange.rest.failed, by: "simulator" },
    { name: "process.memory.heap", expected: 1_000_000, least: true, by: "process" }
  ]
}

/** Both sockets carry everything but while the one was away, so all but the first of each event is a duplicate. */
const redundancyExpectations = ({ exchange, handled, performance }: RanRedundant): ReadonlyArray<Expectation> => {
  const won = performance.lanes.reduce((sum, lane) => sum + lane.won, 0)
  const alone = performance.lanes.reduce((sum, lane) => sum + lane.alone, 0)
  const unrouted = performance.topics.reduce((sum, topic) => sum + topic.unrouted, 0)
  const duplicates = sumOf(exchange, "sent", "events") - handled - unrouted
  return [
    { name: "exchange.events.duplicates", expected: duplicates, by: "simulator" },
    { name: "exchange.redundancy.won", expected: won, by: "performance" },
    { name: "exchange.redundancy.shared", expected: won - alone, by: "performance" },
    { name: "exchange.redundancy.head_start", expected: Math.min(won - alone, 1_024), least: true, by: "performance" }
  ]
}

/**
 * The names in the first column of the table; `.sent` stands for the name before it with another end. Those of a monitor over
 * several exchanges are asserted in `test/arbitrage/monitor.test.ts`.
 */
const documented = (): ReadonlyArray<string> => {
  const rows = readFileSync(join(Child.root, "docs/metrics.md"), "utf8").split("\n").filter((line) =>
    line.startsWith("| `") && !line.startsWith("| `arbitrage.")
  )
  return rows.flatMap((row) => {
    const names = [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
    return names.map((name) => name.startsWith(".") ? names[0]!.replace(/\.[^.]+$/, name) : name)
  })
}

const holds = (found: number, { expected, least, within = 0 }: Expectation): boolean =>
  least === true ? found >= expected : Math.abs(found - expected) <= within

const labelOf = ({ attributes = {}, name }: Expectation): string => [name, ...Object.values(attributes)].join(" ")

/** What Prometheus would read: the sum over all series of a name. */
const scraped = (text: string, name: string, isHistogram: boolean): number | null => {
  const plain = name.replaceAll(".", "_") + (isHistogram ? "_count" : "")
  const lines = text.split("\n").filter((line) => line.startsWith(`${plain}{`) || line.startsWith(`${plain} `))
  return lines.length === 0 ? null : lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
}

const provenMetrics = Effect.fnUntraced(function*(proof: Proof, subject: Subject, seed: number, print: boolean) {
  const ran = yield* runScript(subject, seed)
  const { id } = subject.adapter
  const exchange = ran.counts.exchanges[id]!
  const redundant = yield* runRedundant(subject, seed)
  const judge = (of: Measured) => (expectation: Expectation) => {
    const found = read(of, expectation.name, expectation.attributes)
    return { expectation, found, ok: holds(found, expectation) }
  }
  const judged = [
    ...socketExpectations(ran, exchange).map(judge(ran)),
    ...eventExpectations(ran, exchange, subject).map(judge(ran)),
    ...otherExpectations(ran, exchange, subject).map(judge(ran)),
    ...redundancyExpectations(redundant).map(judge(redundant))
  ]
  if (print) {
    proof.table(
      [id, "metric", "expected", "by", ""],
      judged.map(({ expectation, found, ok }) => [
        labelOf(expectation),
        Proofs.text(found),
        `${expectation.least === true ? "at least " : ""}${Proofs.text(expectation.expected)}`,
        expectation.by,
        ok ? "" : "BROKEN"
      ])
    )
  }
  const wrong = judged.filter(({ ok }) => !ok)
  proof.check(
    `${id}: every metric is what was counted apart from it (seed ${seed})`,
    wrong.length === 0,
    `${judged.length} asserted, ${wrong.length} wrong ${
      wrong.map(({ expectation, found }) => `${labelOf(expectation)}: ${found} for ${expectation.expected}`).join("; ")
    }`.trim()
  )
  const names = documented()
  const asserted = new Set(judged.map(({ expectation }) => expectation.name))
  const recorded = new Set([...ran.snapshot, ...redundant.snapshot].map(({ id }) => id))
  const apart = [
    ...names.filter((name) => !asserted.has(name)).map((name) => `${name} is documented and not asserted`),
    ...names.filter((name) => !recorded.has(name)).map((name) => `${name} is documented and not recorded`),
    ...[...recorded].filter((name) => !names.includes(name)).map((name) => `${name} is recorded and not documented`)
  ]
  proof.check(
    `${id}: documented, recorded and asserted metrics are the same`,
    apart.length === 0,
    apart.length === 0 ? `${names.length} metrics` : apart.join("; ")
  )
  const differs = (of: Measured) => (name: string): boolean => {
    const [first] = seriesOf(of, name)
    if (first === undefined || name === "process.memory.heap") return false
    return scraped(of.prometheus, name, first.type === "Histogram") !== read(of, name)
  }
  const different = [...names.filter(differs(ran)), ...names.filter(differs(redundant))]
  proof.check(
    `${id}: Prometheus reads the same values`,
    different.length === 0,
    different.length === 0 ? `${names.length} metrics` : different.join(", ")
  )
  proof.figure(`${id}_metrics_asserted`, judged.length)
})

export const metrics: Case = {
  name: "metrics",
  proves:
    "Every documented metric, in a scripted run with drops, refusals, slow subscribers, corrupt frames and silence, is what the simulator, the wire and the consumers counted",
  run: Effect.fnUntraced(function*(proof) {
    for (const subject of Virtual.subjects) {
      for (let i = 0; i < Proofs.sizeOf(proof, 1, 10); i++) {
        yield* provenMetrics(proof, subject, proof.seed + i, i === 0)
      }
    }
  })
}
