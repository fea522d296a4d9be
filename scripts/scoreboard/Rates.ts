/** How many MEXC book frames a second each decodes, and brings into a book. Without sockets: the code alone. */
import { Effect } from "effect"
import { once } from "node:events"
import { WebSocket } from "ws"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import type { Sink, Topic } from "../../src/ExchangeAdapter.ts"
import type { WorldBook } from "../../src/ExchangeDialect.ts"
import { mexcSpot } from "../../src/exchanges/index.ts"
import { BookSequence } from "../../src/session/BookSequence.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import type { Row, Settings } from "./Row.ts"
import { count, median, told } from "./Row.ts"

const pair = "BTC/USDT"
const topicName = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
const frameCount = 500

/** Changes within one interval of 100 ms. */
const changes = 16

interface Recording {
  readonly frames: ReadonlyArray<Uint8Array>
  /** The book that the first frame follows, and the one behind the last. */
  readonly before: WorldBook
  readonly after: WorldBook
}

const record = Effect.fnUntraced(function*({ seed }: Settings) {
  const options = {
    dialects,
    pairs: [pair],
    seed,
    rate: 10 * changes,
    tradeRate: 0,
    levels: 500,
    autoRun: false
  } as const
  const simulator = yield* Simulator.make(options)
  const frames: Array<Uint8Array> = []
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(simulator.urls["mexc-spot"]!.ws)),
    (socket) => Effect.sync(() => socket.terminate())
  )
  socket.on("message", (data: Buffer, isBinary) => void (isBinary && frames.push(Uint8Array.from(data))))
  yield* Effect.promise(() => once(socket, "open"))
  socket.send(JSON.stringify({ method: "SUBSCRIPTION", params: [topicName] }))
  yield* Judges.settled(() => simulator.topics("mexc-spot").size === 1)
  const before = simulator.book("mexc-spot", pair)!
  yield* simulator.tick(10 * frameCount)
  yield* Judges.settled(() => frames.length === frameCount)
  const recording: Recording = { frames, before, after: simulator.book("mexc-spot", pair)! }
  return recording
})

/** One pass over all frames. */
type Pass = () => void

interface Contestant {
  readonly decode: Pass
  readonly book: Pass
  /** The best levels of the book after a pass. */
  readonly levels: () => Judges.Levels
}

type CcxtClient = Parameters<Judges.CcxtMexc["handleMessage"]>[0]

const ccxt = (exchange: Judges.CcxtMexc, { before, frames }: Recording): Contestant => {
  // All that its message handlers ask of a connection.
  const client = { subscriptions: {}, resolve: () => {}, reject: () => {} } as unknown as CcxtClient
  return {
    decode: () => {
      for (const frame of frames) exchange.decodeProtoMsg(frame)
    },
    book: () => {
      exchange.orderbooks[pair] = exchange.orderBook({ ...Judges.levelsOf(before), nonce: before.version })
      for (const frame of frames) exchange.handleMessage(client, frame)
    },
    levels: () => Judges.ccxtLevels(exchange, pair)
  }
}

const surprise = (detail: unknown): never => {
  throw new Error(`the decoder was surprised: ${String(detail)}`)
}

const sinkOf = (event: Sink["event"]): Sink => ({
  event,
  acknowledged: surprise,
  rejected: surprise,
  pong: () => surprise("pong"),
  closing: surprise,
  ignored: surprise,
  failed: surprise,
  fallback: () => surprise("fallback")
})

const snapshotOf = ({ asks, bids, time, version }: WorldBook): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "snapshot",
  pair,
  symbol: "BTCUSDT",
  bids: bids.flatMap(({ price, quantity }) => [+price, +quantity]),
  asks: asks.flatMap(({ price, quantity }) => [+price, +quantity]),
  firstVersion: version,
  version,
  exchangeTime: time,
  receivedAt: time,
  contractSize: 1,
  exact: null
})

/** The parts of the product that a frame goes through: decoder, version chain, book. */
const ours = ({ before, frames }: Recording): Contestant => {
  const topic: Topic = { key: topicName, channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
  const codec = mexcSpot.makeCodec({ topicOf: () => topic })
  const recipe = mexcSpot.book({ _tag: "Book", pair })
  let book = new OrderBook(pair)
  let sequence: BookSequence
  const ignore = sinkOf(() => {})
  const apply = sinkOf((_, event) => sequence.update(event as BookUpdate))
  return {
    decode: () => {
      for (const frame of frames) codec.decode(frame, 1, ignore)
    },
    book: () => {
      const current = book = new OrderBook(pair)
      sequence = new BookSequence(recipe, {
        emit: (update) => void current.apply(update),
        stale: surprise,
        hole: surprise,
        refetch: () => surprise("refetch")
      })
      sequence.update(snapshotOf(before))
      for (const frame of frames) codec.decode(frame, 1, apply)
    },
    levels: () => {
      const side = (levels: ReadonlyArray<{ readonly price: number; readonly quantity: number }>): Judges.Side =>
        levels.map(({ price, quantity }) => [price, quantity])
      return { bids: side(book.view!.bids()), asks: side(book.view!.asks()) }
    }
  }
}

/** Frames a second over at least so many ms. */
const rateOf = (pass: Pass, millis: number): number => {
  const began = performance.now()
  let passes = 0
  let spent = 0
  for (; spent < millis; spent = performance.now() - began) {
    pass()
    passes++
  }
  return (passes * frameCount * 1_000) / spent
}

interface Rates {
  readonly own: number
  readonly theirs: number
}

/** By turns, so that whatever disturbs the machine disturbs both; the median of each. */
const compare = (own: Pass, theirs: Pass, { quick }: Settings): Rates => {
  const rounds = Array.from(
    { length: quick ? 3 : 9 },
    () => [rateOf(own, quick ? 60 : 500), rateOf(theirs, quick ? 60 : 500)]
  )
  return { own: median(rounds.map(([own]) => own!)), theirs: median(rounds.map(([, theirs]) => theirs!)) }
}

const rateText = (rate: number): string => `${(rate / 1_000).toFixed(rate < 100_000 ? 1 : 0)} k frames/s`

const best = ({ asks, bids }: Judges.Levels): string => JSON.stringify([bids.slice(0, 50), asks.slice(0, 50)])

export const rates = (settings: Settings): Effect.Effect<ReadonlyArray<Row>, unknown> =>
  Effect.gen(function*() {
    const recording = yield* record(settings)
    const truth = best(Judges.levelsOf(recording.after))
    const rival = ccxt(yield* exchangeOf(settings), recording)
    const own = ours(recording)
    for (const contestant of [own, rival]) {
      contestant.book()
      if (best(contestant.levels()) !== truth) return yield* Effect.die(new Error("a book differs from the truth"))
    }
    const bytes = recording.frames.reduce((sum, { length }) => sum + length, 0) / frameCount
    const done = `${count(frameCount)} frames of about ${changes} levels, ${
      bytes.toFixed(0)
    } B each, by turns, no socket`
    const decoding = compare(own.decode, rival.decode, settings)
    const keeping = compare(own.book, rival.book, settings)
    const row = (id: string, title: string, { own, theirs }: Rates, target: string): Row => ({
      id,
      title,
      done,
      ccxt: told(rateText(theirs)),
      gateioApi: null,
      ours: told(`${rateText(own)}, ${(own / theirs).toFixed(1)} times`),
      target,
      kind: "time"
    })
    return [
      row("decode", "MEXC: decode", decoding, "≥ 300 k frames/s"),
      row("decode-book", "MEXC: decode and keep the book", keeping, "≥ 150 k frames/s with gap checks on")
    ]
  }).pipe(Effect.scoped)

/** A client of ccxt that knows the markets; nothing is sent to it. */
const exchangeOf = Effect.fnUntraced(function*({ seed }: Settings) {
  const simulator = yield* Simulator.make({ dialects, pairs: [pair], seed, autoRun: false })
  return yield* Judges.ccxtMexc(simulator.urls["mexc-spot"]!)
})
