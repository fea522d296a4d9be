/** Runs a named fault against an exchange in memory under a virtual clock and says what did not hold. */
import { Cause, Clock, Duration, Effect, Fiber, Layer, Logger, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { ChannelChoice } from "../../src/domain/Channel.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { Performance, Subscribed } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"
import type { Clocks, Fault, World } from "./Fault.ts"
import { pairOf } from "./Fault.ts"
import { Network } from "./Network.ts"
import { Observer } from "./Observer.ts"

export interface Report {
  /** Empty when everything held. */
  readonly problems: ReadonlyArray<string>
  /** Of all events, gaps and changes of connections, in order, with their times. */
  readonly log: string
  readonly events: number
  readonly gaps: number
  /** From the end of the fault until every topic delivered again, ms of virtual time. */
  readonly recovered: number
}

/** The exchange's clock, with what the client's is ahead. */
const shifted = (clock: Clock.Clock, clocks: Clocks): Clock.Clock => {
  const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1e6))
  const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + clocks.wall
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + nanos(clocks.wall)
  const monotonicTimeNanosUnsafe = () => clock.monotonicTimeNanosUnsafe() + nanos(clocks.monotonic)
  return {
    currentTimeMillisUnsafe,
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanosUnsafe,
    currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
    monotonicTimeNanosUnsafe,
    monotonicTimeNanos: Effect.sync(monotonicTimeNanosUnsafe),
    sleep: (duration) => clock.sleep(Duration.millis(Math.max(0, Duration.toMillis(duration) - clocks.early)))
  }
}

type Book = Extract<ChannelChoice, { readonly _tag: "Book" }>

const bookChoices: ReadonlyArray<Book> = [{ _tag: "Book" }, { _tag: "Book", source: "order_book_update" }]

const isFetched = (adapter: ExchangeAdapter, btc: TradingPair, choice: Book): boolean => {
  const channel = Channel.forPair(choice, btc) as Channel.BookChannel
  const name = adapter.topic(channel, adapter.symbol(btc)!)
  return name._tag === "Topic" && adapter.book(channel).snapshot === "Fetch"
}

/** The way to keep a book that joins snapshots over REST. */
const fetchedBook = (subject: Exchange.Subject): Book | undefined =>
  bookChoices.find((choice) => isFetched(subject.adapter, pairOf(subject, "BTC"), choice))

const channelsOf = (
  subject: Exchange.Subject,
  fetched: boolean
): readonly [ChannelChoice, ...Array<ChannelChoice>] => [
  "BookTicker",
  "Trades",
  (fetched ? fetchedBook(subject) : undefined) ?? "Book"
]

const baseOptions: ExchangeFactory.WebsocketOptions = {
  idleTimeout: "300 millis",
  heartbeat: { interval: "1 seconds", timeout: "1 seconds" }
}

/** Errors that the library logs. */
const errorLog = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Error" || logLevel === "Fatal") lines.push(`${String(message)} ${Cause.pretty(cause)}`.trim())
  })
  return { lines, layer: Logger.layer([logger]) }
}

interface Setup {
  readonly fault: Fault
  readonly subject: Exchange.Subject
  readonly seed: number
  readonly network: Network
  readonly clocks: Clocks
  readonly dialer: { through: World["dial"] }
}

const layerOf = ({ clocks, dialer, fault, network, seed, subject }: Setup): Layer.Layer<Exchange.Services> => {
  const { adapter, dialect } = subject
  const client = Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[adapter.id]!
    return ExchangeFactory.layerRedundant(adapter, {
      connections: fault.connections ?? 1,
      url: ws,
      restUrl: rest,
      ...baseOptions,
      through: (dial) => Effect.suspend(() => (dialer.through ?? ((same) => same))(dial)),
      ...fault.options
    })
  }))
  return client.pipe(
    Layer.provide(Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)),
    Layer.provide(
      Layer.effect(MemoryNetwork.MemoryNetwork, Effect.map(MemoryNetwork.MemoryNetwork, (one) => network.wrap(one)))
    ),
    Layer.provide(Layer.effect(Clock.Clock, Effect.map(Clock.Clock, (clock) => shifted(clock, clocks)))),
    Layer.provideMerge(
      Layer.orDie(Simulator.layerMemory({
        dialects: [dialect],
        pairs: ["BTC", "ETH", "SOL"].map((base) => pairOf(subject, base)),
        limits: "off",
        rate: 30,
        tradeRate: 15,
        levels: 60,
        seed,
        ...fault.simulator
      }))
    )
  ) as Layer.Layer<Exchange.Services>
}

const symbols = ({ btc, eth, subject }: World): ReadonlyArray<string> =>
  [btc, eth].map((pair) => subject.adapter.symbol(pair)!)

const topicsOf = (world: World): ReadonlyArray<string> =>
  symbols(world).flatMap((symbol) => ["BookTicker", "Trades", "Book"].map((tag) => `${tag} ${symbol}`))

/** Every topic has brought data at or behind this moment, and nothing broke since. */
const hasAll = (world: World, since: number): boolean =>
  topicsOf(world).every((topic) => (world.observer.seen.get(topic) ?? -1) >= since)

/** Longer than any fault may need. */
const longest = 150_000

const untilAll = Effect.fnUntraced(function*(world: World, since: number): Effect.fn.Return<number> {
  const began = world.now()
  while (!hasAll(world, since) && world.now() - began < longest) yield* Effect.sleep(10)
  return hasAll(world, since) ? world.now() - since : Number.POSITIVE_INFINITY
})

const isTyped = (error: ExchangeError): boolean => error.exchange !== "" && error.message.length > 20

const none: Subscribed = { accepted: [], rejected: new Map() }

/** Opens the session as a program does: what was refused in passing is asked for again. */
const open = Effect.fnUntraced(function*(world: World) {
  const { btc, channels, eth, observer, problem, websocket } = world
  const judge = (error: ExchangeError): void => {
    observer.note(error.reason)
    if (!isTyped(error)) problem(`an error says nothing: ${error.message}`)
    if (!error.isTransient) problem(`not to be tried again: ${error.message}`)
  }
  const missing = new Set([btc, eth])
  let isOpen = false
  for (let attempt = 0; attempt < 60; attempt++) {
    const pairs = [...missing] as [TradingPair, ...Array<TradingPair>]
    const { accepted, rejected }: Subscribed =
      yield* (isOpen ? websocket.subscribe(pairs) : websocket.initialize(pairs, channels))
        .pipe(
          Effect.catch((error) => Effect.as(Effect.sync(() => judge(error)), none))
        )
    for (const error of rejected.values()) judge(error)
    for (const pair of accepted) missing.delete(pair)
    isOpen ||= accepted.length > 0
    if (missing.size === 0) return
    yield* Effect.sleep(500)
  }
  problem("the session never opened")
})

const ledger = (fault: Fault, world: World, performance: Performance): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { topics } = world.simulator.counts().exchanges[world.subject.adapter.id]!
  for (const topic of performance.topics) {
    const { abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, subscribers, unrouted } =
      topic
    const left = received + reconciled - (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
    if (left !== 0 && fault.shares !== true && subscribers <= 1) {
      problems.push(`${topic.topic}: ${left} events unaccounted for`)
    }
    const sent = topics[topic.topic]?.sent.events ?? 0
    if (fault.expect.exact !== false && sent !== received) {
      problems.push(`${topic.topic}: ${sent} sent, ${received} received`)
    }
  }
  return problems
}

const judgeGaps = ({ expect }: Fault, { observer }: World): ReadonlyArray<string> => {
  const missing = expect.gaps.filter((cause) => !observer.gaps.has(cause))
  const other = [...observer.gaps.keys()].filter((cause) => ![...expect.gaps, ...expect.also ?? []].includes(cause))
  return [...missing.map((cause) => `no gap says ${cause}`), ...other.map((cause) => `a gap says ${cause}`)]
}

const judgeCounts = ({ expect }: Fault, performance: Performance): ReadonlyArray<string> => [
  ...(expect.errors ?? []).filter((reason) => (performance.errors[reason] ?? 0) === 0).map((reason) =>
    `no error says ${reason}, but ${Object.keys(performance.errors).join() || "none"}`
  ),
  ...(expect.counted ?? []).filter((name) => performance[name] === 0).map((name) => `${name} is 0`)
]

const judge = (fault: Fault, world: World, performance: Performance): ReadonlyArray<string> => [
  ...world.observer.problems,
  ...(world.observer.compared > 0 ? [] : ["no book was compared"]),
  ...judgeGaps(fault, world),
  ...judgeCounts(fault, performance),
  ...ledger(fault, world, performance),
  ...(fault.check?.(performance, world) ?? [])
]

/** How long the last frames may be under way, ms. */
const settling = 400

const body = (
  setup: Setup,
  problems: Array<string>
): Effect.Effect<Report, unknown, Exchange.Services | Scope.Scope> =>
  Effect.gen(function*() {
    const { clocks, dialer, fault, network, seed, subject } = setup
    const { id } = subject.adapter
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator.Simulator
    const clock = yield* Clock.Clock
    const draws = yield* Random.withSeed(Effect.service(Random.Random), `${seed} ${fault.name}`)
    const now = () => clock.currentTimeMillisUnsafe()
    const world: World = {
      subject,
      websocket,
      simulator,
      network,
      observer: new Observer(simulator, id, now),
      clocks,
      btc: pairOf(subject, "BTC"),
      eth: pairOf(subject, "ETH"),
      sol: pairOf(subject, "SOL"),
      get dial() {
        return dialer.through
      },
      set dial(through) {
        dialer.through = through
      },
      channels: channelsOf(subject, fault.fetched === true),
      below: (limit) => Math.floor(draws.nextDoubleUnsafe() * limit),
      now,
      problem: (text) => void (problems.includes(text) || problems.push(text))
    }
    yield* websocket.handle(world.observer)
    if (fault.from === "start") {
      const acting = yield* Effect.forkScoped(fault.act(world), { startImmediately: true })
      yield* open(world)
      yield* Fiber.join(acting)
    } else {
      yield* open(world)
      yield* untilAll(world, now())
      // Seeds meet books, pings and snapshots at different moments.
      yield* Effect.sleep(200 + world.below(600))
      yield* fault.act(world)
    }
    const recovered = yield* untilAll(world, now())
    if (!(recovered <= fault.expect.within)) {
      problems.push(`not every topic delivers within ${fault.expect.within} ms but after ${recovered} ms`)
    }
    yield* Effect.sleep(500)
    // No more data, and what is under way arrives.
    yield* Effect.orDie(simulator.inject({ _tag: "Silence" }))
    yield* Effect.sleep(settling)
    problems.push(...judge(fault, world, yield* websocket.performance))
    yield* websocket.close
    const closed = () => simulator.topics(id).size === 0 && simulator.counts().exchanges[id]!.connections.open === 0
    yield* Effect.raceFirst(simulator.until(closed), Effect.sleep(5_000))
    const { connections } = simulator.counts().exchanges[id]!
    if (!closed()) problems.push(`${simulator.topics(id).size} topics and ${connections.open} sockets are left`)
    problems.push(...simulator.counts().failures.map((failure) => `the simulator failed: ${JSON.stringify(failure)}`))
    const gaps = [...world.observer.gaps.values()].reduce((sum, count) => sum + count, 0)
    return { problems, log: world.observer.log, events: world.observer.events, gaps, recovered }
  })

export const applies = (fault: Fault, subject: Exchange.Subject): boolean =>
  (fault.applies?.(subject) ?? true) && (fault.fetched !== true || fetchedBook(subject) !== undefined)

/** One fault, one exchange, one seed. Never fails: what goes wrong is a problem of the report. */
export const run = (fault: Fault, subject: Exchange.Subject, seed: number): Effect.Effect<Report> => {
  const setup: Setup = {
    fault,
    subject,
    seed,
    network: new Network(subject.adapter),
    clocks: { wall: 0, monotonic: 0, early: 0 },
    dialer: { through: null }
  }
  const problems: Array<string> = []
  const errors = errorLog()
  return Exchange.withExchange(Exchange.memory, layerOf(setup), body(setup, problems)).pipe(
    Effect.catchCause((cause) =>
      Effect.succeed({ problems: [...problems, Cause.pretty(cause)], log: "", events: 0, gaps: 0, recovered: Infinity })
    ),
    Effect.map((report) => ({
      ...report,
      problems: [
        ...report.problems,
        ...(fault.logs === true ? [] : errors.lines.map((line) => `logged: ${line}`))
      ]
    })),
    Random.withSeed(seed),
    Effect.provide(Layer.merge(errors.layer, TestClock.layer())),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}
