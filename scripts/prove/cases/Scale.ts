/** A thousand pairs on each exchange: all there, in step, over no more sockets than the limits demand, and back again. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Effect, Layer } from "effect"
import type { Scope } from "effect"
import * as SimulatorProcess from "../../../src/cli/SimulatorProcess.ts"
import { OrderBook } from "../../../src/composite/OrderBook.ts"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as NodeHttp from "../../../src/connection/NodeHttp.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeAdapter } from "../../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../../src/ExchangeFactory.ts"
import { MarketRest } from "../../../src/MarketRest.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../../src/simulator/Simulator.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import { subjects } from "../../../test/suites/Subjects.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const channels = ["BookTicker", "Book"] as const

/** A thousand MEXC books at 20 requests a second. */
const syncMillis = 60_000

type Pairs = readonly [TradingPair, ...Array<TradingPair>]

const millis = Clock.currentTimeMillis

/** Every book of the session, and when each was in step first, ms. */
class Books {
  readonly synced = new Map<TradingPair, number>()
  readonly #books = new Map<TradingPair, OrderBook>()
  /** Updates that could not be applied. */
  broken = 0

  take(pair: TradingPair, update: Parameters<OrderBook["apply"]>[0], at: number): void {
    let book = this.#books.get(pair)
    if (book === undefined) this.#books.set(pair, book = new OrderBook(pair))
    if (book.apply(update) === "Applied") {
      if (!this.synced.has(pair)) this.synced.set(pair, at)
    } else {
      this.broken++
    }
  }

  gap(pair: TradingPair): void {
    this.#books.get(pair)?.end()
    this.synced.delete(pair)
  }

  /** Books that differ from the exchange's at their version, as deep as they are known. */
  wrong(simulator: SimulatorService, exchange: string, reach: number): ReadonlyArray<TradingPair> {
    return [...this.#books].filter(([pair, book]) => !isRight(simulator, exchange, pair, book, reach)).map(([pair]) =>
      pair
    )
  }

  get size(): number {
    return this.#books.size
  }
}

const isRight = (
  simulator: SimulatorService,
  exchange: string,
  pair: TradingPair,
  { view }: OrderBook,
  reach: number
): boolean => {
  if (view === null || view.version === null) return false
  const truth = simulator.truth(exchange, pair, Number(view.version), reach)
  if (truth === undefined) return false
  const top = view.top(reach)
  const flat = (levels: typeof truth.bids) =>
    levels.flatMap(({ price, quantity }) => [Number(price), Number(quantity)]).join()
  return top.bids.join() === flat(truth.bids) && top.asks.join() === flat(truth.asks)
}

interface Found {
  readonly accepted: number
  readonly sockets: number
  readonly mostTopics: number
  readonly acknowledged: number
  readonly synced: number
  readonly back: number
  /** Of the most liquid tenth of pairs, those whose book came behind one of the least liquid tenth. */
  readonly outOfTurn: number
  readonly wrong: ReadonlyArray<TradingPair>
  readonly wrongAgain: ReadonlyArray<TradingPair>
  readonly broken: number
  readonly refused: number
  readonly rest: Readonly<Record<string, number>>
}

/** Waits until every book is in step; ms since `began`. */
const allSynced = Effect.fnUntraced(function*(books: Books, count: number, began: number) {
  while (books.synced.size < count) yield* Effect.sleep(50)
  return (yield* millis) - began
})

const outOfTurn = (books: Books, turnovers: ReadonlyMap<string, number>, symbol: (pair: TradingPair) => string) => {
  const ranked = [...books.synced.keys()].sort((a, b) =>
    (turnovers.get(symbol(b)) ?? 0) - (turnovers.get(symbol(a)) ?? 0)
  )
  const tenth = Math.max(1, Math.floor(ranked.length / 10))
  const times = (pairs: ReadonlyArray<TradingPair>) => pairs.map((pair) => books.synced.get(pair)!)
  const firstOfLast = Math.min(...times(ranked.slice(-tenth)))
  return times(ranked.slice(0, tenth)).filter((at) => at > firstOfLast).length
}

const measured = (
  { adapter }: Subject,
  pairs: Pairs,
  reach: number
): Effect.Effect<Found, ExchangeError | Error, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const { turnovers } = yield* MarketRest
    const clock = yield* Clock.Clock
    const books = new Books()
    yield* websocket.handle({
      onBook: (update) => update.pair !== null && books.take(update.pair, update, clock.currentTimeMillisUnsafe()),
      onGap: ({ channel, pair }) => channel === "Book" && pair !== null && books.gap(pair)
    })
    const began = yield* millis
    const { accepted } = yield* websocket.initialize(pairs, channels)
    const acknowledged = (yield* millis) - began
    const synced = yield* allSynced(books, pairs.length, began)
    const { sockets } = yield* websocket.performance
    const late = outOfTurn(books, yield* turnovers, (pair) => adapter.symbol(pair) ?? "")
    const wrong = books.wrong(simulator, adapter.id, reach)
    yield* simulator.inject({ _tag: "Drop" })
    yield* simulator.until(() => books.synced.size === 0)
    const back = yield* allSynced(books, pairs.length, yield* millis)
    yield* Effect.sleep(2_000)
    const { control, rest } = simulator.counts().exchanges[adapter.id]!
    return {
      accepted: accepted.length,
      sockets: sockets.length,
      mostTopics: Math.max(...sockets.map(({ topics }) => topics)),
      acknowledged,
      synced,
      back,
      outOfTurn: late,
      wrong,
      wrongAgain: books.wrong(simulator, adapter.id, reach),
      broken: books.broken,
      refused: control.reject,
      rest: rest.statuses
    }
  })

const seconds = (time: number): string => `${Proofs.text(time / 1_000)} s`

/**
 * A socket is left two places. With 225 pairs on sockets of 30 places that would be one socket more than the bound allows,
 * so these places must be used; 150 pairs fill one of 300.
 */
const fewPairs = ({ adapter: { limits } }: Subject): number => limits.topicsPerConnection < 100 ? 225 : 150

const scaled = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const { id, limits } = subject.adapter
  const count = Proofs.sizeOf(proof, fewPairs(subject), 1_000)
  const pairs = Virtual.pairs(subject, count)
  const found = yield* Virtual.run(
    {
      subject,
      seed: proof.seed,
      // Slow markets: what is proved is how many there are.
      simulator: { pairs, rate: 2, tradeRate: 0, levels: 30, history: 1_024, limits: "real", tickMillis: 100 },
      options: { bufferSize: 16 }
    },
    measured(subject, pairs, 10)
  )
  const most = Math.ceil(2 * count / limits.topicsPerConnection) + 1
  proof.check(
    `${id}: ${count} pairs, BookTicker and Book, all acknowledged, within the exchange's limits`,
    found.accepted === count && found.refused === 0 && Object.keys(found.rest).every((status) => status === "200"),
    `${found.accepted} accepted after ${seconds(found.acknowledged)}, ${found.refused} refusals, REST ${
      JSON.stringify(found.rest)
    }`
  )
  proof.check(
    `${id}: over at most ceil(topics / ${limits.topicsPerConnection}) + 1 = ${most} sockets`,
    found.sockets <= most && found.mostTopics <= limits.topicsPerConnection,
    `${found.sockets} sockets, at most ${found.mostTopics} topics on one`
  )
  proof.check(
    `${id}: all books in step within ${seconds(syncMillis)}, the most liquid first`,
    found.synced <= syncMillis && found.outOfTurn === 0,
    `after ${seconds(found.synced)}; ${found.outOfTurn} of the most liquid tenth came behind one of the least liquid`
  )
  proof.check(
    `${id}: after all connections dropped, every book is back and equals the exchange's`,
    found.back <= syncMillis && found.wrong.length + found.wrongAgain.length + found.broken === 0,
    `back after ${
      seconds(found.back)
    }; ${found.wrong.length} wrong before, ${found.wrongAgain.length} after, ${found.broken} updates that did not fit`
  )
  proof.figure(`${id}_pairs`, count)
  proof.figure(`${id}_sockets`, found.sockets)
  proof.figure(`${id}_synced_s`, found.synced / 1_000)
  proof.figure(`${id}_back_s`, found.back / 1_000)
  return [
    id,
    String(count),
    String(found.sockets),
    seconds(found.acknowledged),
    seconds(found.synced),
    seconds(found.back)
  ]
})

// ---- as fast as it goes ---------------------------------------------------------------------------------------------

/** No pace but the machine's own. Connections are as many as they are with the limits. */
const unpaced = ({ adapter }: Subject): ExchangeAdapter => ({
  ...adapter,
  limits: {
    ...adapter.limits,
    requestsPerSecond: 10_000,
    dialsPerSecond: 1_000,
    restPerSecond: 10_000,
    restConcurrency: 16
  }
})

interface Start {
  /** ms. */
  readonly took: number
  /** Processor time of this process within it, ms: what `took` comes to where nothing else runs. */
  readonly busy: number
}

const started = (pairs: Pairs): Effect.Effect<Start, ExchangeError, PublicWebsocket | Scope.Scope> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const clock = yield* Clock.Clock
    const books = new Books()
    yield* websocket.handle({
      onBook: (update) => update.pair !== null && books.take(update.pair, update, clock.currentTimeMillisUnsafe())
    })
    const began = yield* millis
    const before = process.cpuUsage()
    yield* websocket.initialize(pairs, channels)
    const took = yield* allSynced(books, pairs.length, began)
    const { system, user } = process.cpuUsage(before)
    return { took, busy: (system + user) / 1_000 }
  })

/** A figure: over real sockets, the simulator in a process of its own, with neither side's limits in force. */
const fastest = Effect.fnUntraced(function*(proof: Proof) {
  const count = Proofs.sizeOf(proof, 200, 1_000)
  const { urls } = yield* SimulatorProcess.start({
    pairs: Virtual.spotPairs(count),
    seed: proof.seed,
    rate: 2,
    limits: "off"
  })
  for (const subject of subjects) {
    const { id } = subject.adapter
    const { rest, ws } = urls[id]!
    const layer = ExchangeFactory.layerPublic(unpaced(subject), { url: ws, restUrl: rest, bufferSize: 16 })
    const { busy, took } = yield* started(Virtual.pairs(subject, count)).pipe(
      Effect.scoped,
      Effect.provide(layer.pipe(Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer))))
    )
    proof.say(
      `${id} over loopback, limits off: ${count} pairs, BookTicker and Book, in step after ${seconds(took)}, ` +
        `${seconds(busy)} of them at work`
    )
    proof.figure(`${id}_start_s`, took / 1_000)
    proof.figure(`${id}_start_work_s`, busy / 1_000)
  }
}, Effect.scoped)

export const scale: Case = {
  name: "scale",
  proves:
    "A thousand pairs with BookTicker and Book on each exchange with its limits in force: all acknowledged and in step, the most liquid first, MEXC's books within 60 s, over the fewest sockets; after all connections dropped everything is back and every book right",
  run: Effect.fnUntraced(function*(proof) {
    const rows = yield* Effect.forEach(subjects, (subject) => scaled(proof, subject))
    yield* Effect.provide(fastest(proof), NodeServices.layer)
    proof.table(["exchange", "pairs", "sockets", "acknowledged", "in step", "back after a drop"], rows)
  })
}
