/** Many trades and a consumer that is slow: what is lost, who is told, and how old is what the consumer works on. */
import { Deferred, Effect, Stream } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import * as Channel from "../../src/domain/Channel.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorService, SimulatorUrls } from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import * as Ours from "./Ours.ts"
import type { Cell, Row, Settings } from "./Row.ts"
import { count, judged, median, seconds } from "./Row.ts"

const pair = "BTC/USDT"

/** Trades a second, one a frame. */
const rate = 19_500

const server = ({ seed }: Settings): Effect.Effect<SimulatorUrls, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const file = join(import.meta.dirname, "FloodServer.ts")
        const child = spawn(process.execPath, [file, String(rate), String(seed)], {
          stdio: ["pipe", "pipe", "inherit"]
        })
        const [line] = await once(createInterface(child.stdout), "line") as [string]
        return { child, urls: JSON.parse(line) as SimulatorUrls }
      }),
      ({ child }) =>
        Effect.promise(async () => {
          const ended = once(child, "close")
          child.stdin.end()
          await ended
        })
    ),
    ({ urls }) => urls
  )

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** What one consumer saw. Trade ids have no hole on the wire. */
class Ledger {
  received = 0
  declared = 0
  /** Came, and no step has been made for them. */
  waiting = 0
  first = 0
  last = 0
  readonly ages: Array<number> = []

  /** A step of the consumer: trades as the client hands them over, the newest last. */
  take(trades: number, oldest: number, newest: number, time: number): void {
    if (trades === 0) return
    if (this.first === 0) this.first = oldest
    this.received += trades
    this.last = newest
    this.ages.push(Date.now() - time)
  }

  /** Trades between the first and the last one that never came. */
  get lost(): number {
    return this.last === 0 ? 0 : this.last - this.first + 1 - this.received
  }
}

interface Consumer {
  readonly urls: SimulatorUrls
  readonly ledger: Ledger
  /** What a step takes. */
  readonly step: () => Promise<unknown>
}

/** Subscribes, makes a step for whatever the client hands over, and does so until the scope closes. */
type Consume = (consumer: Consumer) => Effect.Effect<void, unknown, Scope.Scope>

/** A step is what one call returns. */
const ccxt: Consume = Effect.fnUntraced(function*({ ledger, step, urls }) {
  const exchange = yield* Judges.ccxtGate(urls)
  yield* Judges.follow(() => exchange.watchTrades(pair), (trades) => {
    const newest = trades.at(-1)
    if (newest !== undefined) ledger.take(trades.length, Number(trades[0]!.id), Number(newest.id), newest.timestamp!)
    return step()
  })
})

interface Push {
  readonly result: { readonly id: number; readonly create_time_ms: string }
}

/** A step is one event: its emitter waits for nobody, so a slow consumer needs a queue of its own. */
const gateioApi: Consume = Effect.fnUntraced(function*({ ledger, step, urls }) {
  const client = yield* Judges.gateioApi(urls)
  const queue: Array<Push> = []
  client.on("update", (update: Push) => ledger.waiting = queue.push(update))
  client.subscribe([{ topic: "spot.trades", payload: ["BTC_USDT"] }], "spotV4")
  const work = async (signal: AbortSignal): Promise<void> => {
    for (let next = 0; !signal.aborted;) {
      const push = queue[next]
      if (push !== undefined) {
        ledger.waiting = queue.length - ++next
        ledger.take(1, push.result.id, push.result.id, Number(push.result.create_time_ms))
      }
      await (push === undefined ? pause(1) : step())
    }
  }
  yield* Effect.forkScoped(Effect.promise(work))
})

/** A step is one array of the stream. */
const ours: Consume = Effect.fnUntraced(function*({ ledger, step, urls }) {
  const websocket = yield* Ours.websocket("gate-spot", urls)
  const feed = yield* websocket.feed(Channel.trades(pair))
  yield* Effect.forkScoped(
    Stream.runForEachArray(feed, (batch) => {
      const trades = batch.flatMap((item) => item._tag === "Data" ? [item.value] : [])
      for (const item of batch) if (item._tag === "Gap") ledger.declared += item.lost ?? 0
      const newest = trades.at(-1)
      if (newest !== undefined) {
        ledger.take(trades.length, Number(trades[0]!.id), Number(newest.id), newest.exchangeTime!)
      }
      return Effect.promise(step)
    })
  )
})

const lossText = ({ declared, lost, received, waiting }: Ledger): string => {
  const all = lost + received + waiting
  if (lost === 0) return `0 of ${count(all)} lost${waiting > 0 ? `, ${count(waiting)} waiting` : ""}`
  const told = declared === lost ? "each declared" : `${count(declared)} declared`
  return `${count(lost)} of ${count(all)} lost (${(100 * lost / all).toPrecision(2)} %), ${told}`
}

// ---- a burst while the consumer is busy, the same on every machine --------------------------------------------------

const burstTrades = 5_000

/** Trades sent so far. */
const sentBy = (simulator: SimulatorService): number =>
  Object.values(simulator.counts().exchanges["gate-spot"]!.topics).reduce((sum, { sent }) => sum + sent.events, 0)

/** The consumer is busy with its first step while the burst comes, and quick before and after. */
const burstOf = (consume: Consume, { seed }: Settings): Effect.Effect<Ledger, unknown> =>
  Effect.gen(function*() {
    const options = {
      dialects,
      pairs: [pair],
      seed,
      rate: 2_200,
      tradeRate: 2_000,
      limits: "off",
      autoRun: false
    } as const
    const simulator = yield* Simulator.make(options)
    const ledger = new Ledger()
    const isDone = yield* Deferred.make<void>()
    const done = Effect.runPromise(Deferred.await(isDone))
    yield* consume({ urls: simulator.urls["gate-spot"]!, ledger, step: () => done })
    yield* Judges.settled(() => simulator.topics("gate-spot").size === 1)
    while (sentBy(simulator) < burstTrades) {
      yield* simulator.tick(5)
      yield* Effect.sleep(1)
    }
    // What has been sent is read within so many turns of the sockets; the last trade that a consumer sees says whether it was.
    for (let turn = 0; turn < 100; turn++) yield* Effect.sleep(3)
    yield* Deferred.succeed(isDone, undefined)
    yield* simulator.tick(10)
    const newest = simulator.trades("gate-spot", pair).at(-1)!.id
    yield* Judges.settled(() => ledger.last === newest)
    return ledger
  }).pipe(Effect.scoped)

export const burst = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.map(
    Effect.all([ccxt, gateioApi, ours].map((consume) => burstOf(consume, settings)), { concurrency: "unbounded" }),
    ([first, second, third]): Row => {
      const cell = (ledger: Ledger): Cell => judged(ledger.lost === ledger.declared, lossText(ledger))
      return {
        id: "trades-burst",
        title: "Gate: trades while the consumer is busy",
        done: `${count(burstTrades)} trades of one pair come during one step of the consumer`,
        ccxt: cell(first!),
        gateioApi: cell(second!),
        ours: cell(third!),
        target: "0 lost in silence: block, or drop with a counted typed event",
        kind: "outcome"
      }
    }
  )

// ---- a slow consumer, measured --------------------------------------------------------------------------------------

interface Slow {
  /** What a step takes. */
  readonly millis: number
  /** How long it goes on. */
  readonly run: number
}

interface Result {
  readonly ledger: Ledger
  /** Growth of the process's memory while it ran, MB. */
  readonly grown: number
}

const measure = (consume: Consume, urls: SimulatorUrls, { millis, run }: Slow): Effect.Effect<Result, unknown> =>
  Effect.gen(function*() {
    const ledger = new Ledger()
    const before = process.memoryUsage().rss
    yield* consume({ urls, ledger, step: () => pause(millis) })
    yield* Effect.sleep(run)
    const result: Result = { ledger, grown: (process.memoryUsage().rss - before) / 2 ** 20 }
    return result
  }).pipe(Effect.scoped)

/** One after the other: they would slow each other down. */
const everybody = (slow: Slow, settings: Settings) =>
  Effect.gen(function*() {
    const urls = yield* server(settings)
    return {
      ccxt: yield* measure(ccxt, urls, slow),
      gateioApi: yield* measure(gateioApi, urls, slow),
      ours: yield* measure(ours, urls, slow)
    }
  }).pipe(Effect.scoped)

const memory = (grown: number): string => `memory ${grown < 0 ? "" : "+"}${grown.toFixed(0)} MB`

/** 200 ms a step: no consumer of single trades keeps up, and a client has to decide what to lose. */
export const loss = (settings: Settings): Effect.Effect<Row, unknown> => {
  const slow = { millis: 200, run: settings.quick ? 900 : 20_000 }
  const cell = ({ grown, ledger }: Result): Cell =>
    judged(ledger.lost === ledger.declared, `${lossText(ledger)}; ${memory(grown)}`)
  return Effect.map(everybody(slow, settings), (results): Row => ({
    id: "trades-lost",
    title: "Trades, a consumer of 200 ms a step",
    done: `${count(rate)} trades/s for ${seconds(slow.run)}`,
    ccxt: cell(results.ccxt),
    gateioApi: cell(results.gateioApi),
    ours: cell(results.ours),
    target: "0 lost in silence",
    kind: "time"
  }))
}

export const lag = (settings: Settings): Effect.Effect<Row, unknown> => {
  const slow = { millis: 5, run: settings.quick ? 500 : 20_000 }
  const cell = ({ grown, ledger }: Result): Cell => {
    const tail = median(ledger.ages.slice(-50))
    return judged(
      tail <= 100 && ledger.lost === ledger.declared,
      `${seconds(tail)} old at the end, ${memory(grown)}; ${lossText(ledger)}`
    )
  }
  return Effect.map(everybody(slow, settings), (results): Row => ({
    id: "trades-lag",
    title: "Trades, a consumer of 5 ms a step",
    done: `${count(rate)} trades/s for ${seconds(slow.run)}`,
    ccxt: cell(results.ccxt),
    gateioApi: cell(results.gateioApi),
    ours: cell(results.ours),
    target: "what is worked on is at most 100 ms old, memory flat",
    kind: "time"
  }))
}
