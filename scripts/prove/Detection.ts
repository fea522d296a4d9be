/**
 * How long a monitor takes from the receipt of the second leg's frame to the opportunity: client and exchanges as two processes over
 * loopback, with so many pairs on three markets.
 */
import { Clock, Effect, Layer } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { createInterface } from "node:readline"
import * as ArbitrageMonitor from "../../src/arbitrage/ArbitrageMonitor.ts"
import * as Markets from "../../src/composite/Markets.ts"
import type { Definition } from "../../src/composite/Markets.ts"
import type { OrderBooksOptions } from "../../src/composite/OrderBooks.ts"
import * as PublicExchange from "../../src/composite/PublicExchange.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import { wallMillis } from "../../src/domain/ClockTime.ts"
import type { ExchangeId, TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import { root } from "./Child.ts"
import type { EdgeServerOptions, Sent } from "./EdgeServer.ts"
import * as Virtual from "./Virtual.ts"

type Urls = Readonly<Record<string, SimulatorUrls>>

export interface DetectionOptions {
  readonly seed: number
  readonly pairs: number
  /** Book messages per second that are aimed at, in total. */
  readonly messages: number
  /** Measured, behind a warm-up as long as a sixth of it. */
  readonly seconds: number
  /** Longest wait for all books, s. */
  readonly patience: number
}

export interface Detected {
  /** Every opportunity that came. */
  readonly entered: ReadonlyArray<number>
  /** And every change of one. */
  readonly told: ReadonlyArray<number>
  readonly books: number
  readonly synced: number
  readonly routes: number
  /** Book messages per second that the exchanges sent while it was measured. */
  readonly perSecond: number
  /** The worst of what is not known of the exchanges' clocks, ms. */
  readonly clockError: number
  readonly withheld: ArbitrageMonitor.MonitorPerformance["withheld"]
  /** Of one core, in the client, while it was measured. */
  readonly cpu: number
  /** The same of the exchanges' process. */
  readonly serverCpu: number
  /** From the start to the last book, s. */
  readonly readyAfter: number
}

const markets = 3

/** ms. */
const wellKnown = 50

interface Server {
  readonly urls: Urls
  /** The last that it said. */
  readonly last: () => Sent
}

/** The exchanges in a process of their own, ended with the scope. */
const server = (options: EdgeServerOptions): Effect.Effect<Server, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly child: ChildProcess }, Error>((resume) => {
      let last: Sent = { at: 0, sent: 0, cpu: 0 }
      const child = spawn(process.execPath, ["scripts/prove/EdgeServer.ts", JSON.stringify(options)], {
        cwd: root,
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines = createInterface({ input: child.stdout })
      lines.once("line", (line) => {
        lines.on("line", (line) => void (last = JSON.parse(line) as Sent))
        resume(Effect.succeed({ child, urls: JSON.parse(line) as Urls, last: () => last }))
      })
      child.once("error", (error) => resume(Effect.fail(error)))
      child.once("exit", (code) => resume(Effect.fail(new Error(`the exchanges ended with ${code}`))))
      return Effect.sync(() => child.kill("SIGKILL"))
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** Snapshots as fast as they come: the simulator enforces no limits here. */
const limits = { restPerSecond: 1_000, restConcurrency: 20 }

const fees: Readonly<Record<ExchangeId, number>> = { "mexc-spot": 0.0005, "gate-spot": 0.001, "gate-futures": 0.0005 }

const layerOf = (urls: Urls, pairs: ReadonlyArray<TradingPair>) => {
  const definitions = Virtual.subjects.map((subject): [ExchangeId, Definition<never>] => {
    const { adapter } = subject
    const { rest, ws } = urls[adapter.id]!
    const own = pairs.map((pair) => Virtual.pairOn(subject, pair)) as [TradingPair, ...Array<TradingPair>]
    const book: OrderBooksOptions = adapter.id === "mexc-spot" ? { speed: "10ms" } : {}
    const layer = PublicExchange.layer({ tickers: [], book, audit: { booksPerHour: 0 } }).pipe(
      Layer.provide(ExchangeFactory.layerPublic(adapter, { url: ws, restUrl: rest, limits })),
      Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer))
    )
    return [adapter.id, { layer, pairs: own }]
  })
  return ArbitrageMonitor.layer({ routes: { fees }, holdingMs: 0, maxNotional: 5_000, minProfit: 0.01 }).pipe(
    Layer.provideMerge(Markets.layer(Object.fromEntries(definitions), { startTimeout: "5 minutes" }))
  )
}

const syncedOf = (all: Markets.Markets["Service"]): number => {
  let count = 0
  for (const id of all.ids) {
    const market = all.current(id)?.market
    for (const pair of market?.pairs() ?? []) if (market?.book(pair)?._tag === "Synced") count++
  }
  return count
}

const cpuMillis = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1_000
}

const observe = Effect.fnUntraced(function*(
  { pairs, patience, seconds }: DetectionOptions,
  { last }: Server,
  began: number
): Effect.fn.Return<Detected, Error, ArbitrageMonitor.ArbitrageMonitor | Markets.Markets> {
  const all = yield* Markets.Markets
  const monitor = yield* ArbitrageMonitor.ArbitrageMonitor
  const clock = yield* Clock.Clock
  const now = (): number => wallMillis(clock)
  const books = pairs * markets
  const clockError = (): number =>
    Math.max(...all.ids.map((id) => all.current(id)?.market.clock()?.errorMs ?? Number.POSITIVE_INFINITY))
  // While thousands of books are fetched answers take long, and so little is known of the clocks.
  const isReady = (): boolean => syncedOf(all) >= books && monitor.routes().length >= books && clockError() <= wellKnown
  while (!isReady() && now() - began < patience * 1_000) yield* Effect.sleep(100)
  const readyAfter = (now() - began) / 1_000
  yield* Effect.sleep(seconds * 1_000 / 6)
  const entered: Array<number> = []
  const told: Array<number> = []
  return yield* Effect.scoped(Effect.gen(function*() {
    yield* monitor.handle(({ _tag, opportunity }) => {
      if (_tag === "Vanished") return
      const took = now() - Math.max(opportunity.buy.receivedAt, opportunity.sell.receivedAt)
      told.push(took)
      if (_tag === "Entered") entered.push(took)
    })
    const before = { at: now(), cpu: cpuMillis(), server: last() }
    yield* Effect.sleep(seconds * 1_000)
    const passed = now() - before.at
    const sent = last()
    // By its own clock: it speaks once a second only.
    const served = sent.at - before.server.at
    return {
      entered,
      told,
      books,
      synced: syncedOf(all),
      routes: monitor.routes().length,
      perSecond: (sent.sent - before.server.sent) / served * 1_000,
      serverCpu: (sent.cpu - before.server.cpu) / served,
      clockError: Math.max(
        ...all.ids.map((id) => all.current(id)?.market.clock()?.errorMs ?? Number.POSITIVE_INFINITY)
      ),
      withheld: (yield* monitor.performance).withheld,
      cpu: (cpuMillis() - before.cpu) / passed,
      readyAfter
    }
  }))
})

/** More changes than messages: a message tells of all changes of 10 or 20 ms, and there is some margin. */
const changesPerMessage = 1.1

export const measure = (options: DetectionOptions): Effect.Effect<Detected, Error> =>
  Effect.gen(function*() {
    const pairs = Virtual.spotPairs(options.pairs)
    const found = yield* server({
      seed: options.seed,
      pairs,
      rate: options.messages / (options.pairs * markets) * changesPerMessage,
      levels: 50,
      pauseMillis: Math.max(2_000, options.pairs * 60),
      withinMillis: (options.seconds * 2 + options.patience) * 1_000
    })
    const clock = yield* Clock.Clock
    const began = wallMillis(clock)
    return yield* observe(options, found, began).pipe(Effect.provide(layerOf(found.urls, pairs)))
  }).pipe(Effect.scoped, Effect.mapError((error) => new Error(String(error))))
