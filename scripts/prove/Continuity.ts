/** Judges streams that must not break: everything once, nothing going back, every book the exchange's, no gap. */
import { Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { Connection, Dial } from "../../src/connection/Connection.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, ContractStats, Kline, Liquidation, MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { WorldLiquidation } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { TopicPerformance } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"

/** In minus out: 0 when every event is accounted for. */
export const imbalance = (topic: TopicPerformance): number =>
  topic.received + topic.reconciled -
  (topic.delivered + topic.conflated + topic.dropped + topic.stale + topic.abandoned + topic.unrouted +
    topic.duplicates)

export interface Tally {
  data: number
  gaps: number
  /** Trades, liquidations, tickers, candles and statistics that came twice. */
  repeated: number
  /** Best prices, tickers, candles and statistics that are older than what came before. */
  back: number
  /** Trades behind later ones. They have no chain: what one connection lacks can only be filled in when it comes. */
  late: number
  /** Trades and liquidations that never came. */
  missing: number
  /** Book states that were compared with the exchange's. */
  books: number
  wrongBooks: number
  /** Last candles of a window, compared with the exchange's. */
  candles: number
  wrongCandles: number
  /** Topics that brought nothing for too long before the end. */
  stalled: number
  /** What went wrong first, late trades left out, for the one who reads. */
  first: string | null
}

const emptyTally = (): Tally => ({
  data: 0,
  gaps: 0,
  repeated: 0,
  back: 0,
  late: 0,
  missing: 0,
  books: 0,
  wrongBooks: 0,
  candles: 0,
  wrongCandles: 0,
  stalled: 0,
  first: null
})

type Fault = "gaps" | "repeated" | "back" | "late" | "missing" | "wrongBooks" | "wrongCandles" | "stalled"

const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index])

/**
 * Longest silence of a channel that is at work, with a second for what waits for another connection, ms. Trades come at
 * random, one a second at the least.
 */
const longestSilence: Readonly<Record<Channel.PublicChannel["_tag"], number>> = {
  BookTicker: 2_000,
  Trades: 20_000,
  Book: 2_000,
  Ticker: 5_000,
  Kline: 4_000,
  FuturesTicker: 3_000,
  ContractStats: 12_000,
  Liquidations: Number.POSITIVE_INFINITY
}

/** What one topic is judged by. */
interface Judge {
  readonly take: (event: MarketEvent) => void
  /** Nothing before is joined to what follows. */
  readonly broke: () => void
  readonly end: () => void
}

type Found = (fault: Fault, what: string, count?: number) => void

interface Place {
  readonly exchange: string
  readonly pair: TradingPair
  readonly simulator: SimulatorService
  readonly tally: Tally
  readonly found: Found
}

const nothing = (): void => {}

/** By their ids, which the simulator counts without holes. */
const ofTrades = ({ found }: Place): Judge => {
  let first = 0
  let newest = 0
  let isNew = true
  // Also before a gap: what a slower connection had still to bring then comes behind it, without what is known already.
  const seen = new Set<number>()
  const end = (): void => {
    let missing = 0
    for (let id = first; !isNew && id <= newest; id++) if (!seen.has(id)) missing++
    found("missing", `of the trades ${first} to ${newest}`, missing)
    isNew = true
  }
  return {
    take: (event) => {
      const id = event._tag === "Trade" ? parseInt(event.id ?? "", 10) : Number.NaN
      if (isNew) first = newest = id
      isNew = false
      if (seen.has(id)) found("repeated", `trade ${id}`)
      else if (id < newest) found("late", `trade ${id} behind ${newest}`)
      seen.add(id)
      first = Math.min(first, id)
      newest = Math.max(newest, id)
    },
    broke: end,
    end
  }
}

const ofBookTickers = ({ found }: Place): Judge => {
  let newest = 0
  return {
    take: (event) => {
      const version = event._tag === "BookTicker" ? Number(event.version) : Number.NaN
      if (!(version >= newest)) found("back", `best prices of ${version} behind ${newest}`)
      newest = version
    },
    broke: nothing,
    end: nothing
  }
}

/** Levels a side that are compared: the whole window of Gate's books, whose last level is where a wrong rule shows. */
const deepest = 50

const ofBooks = ({ exchange, found, pair, simulator, tally }: Place): Judge => {
  const book = new OrderBook(pair)
  let reach = 0
  const take = (update: BookUpdate): void => {
    if (update.kind === "snapshot") reach = Math.min(deepest, update.bids.length / 2, update.asks.length / 2)
    if (book.apply(update) !== "Applied") return found("wrongBooks", `no book at ${update.version}`)
    const truth = simulator.truth(exchange, pair, Number(update.version), reach)
    const top = book.view?.top(reach)
    if (truth === undefined || top === undefined) return
    tally.books++
    const flat = (levels: typeof truth.bids) =>
      levels.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const isRight = same(top.bids, flat(truth.bids)) && same(top.asks, flat(truth.asks))
    if (!isRight) found("wrongBooks", `book at ${update.version}`)
  }
  return { take: (event) => event._tag === "BookUpdate" ? take(event) : undefined, broke: nothing, end: nothing }
}

/** Whatever is sampled: the same is not said twice for one moment, and time does not go back. */
const ofSamples = ({ found }: Place, isOlder: (event: MarketEvent, than: MarketEvent) => boolean): Judge => {
  const seen = new Set<string>()
  let last: MarketEvent | null = null
  return {
    take: (event) => {
      const content = JSON.stringify({ ...event, receivedAt: 0 })
      if (event.exchangeTime !== null && seen.has(content)) found("repeated", content)
      seen.add(content)
      if (last !== null && isOlder(event, last)) found("back", content)
      last = event
    },
    broke: nothing,
    end: nothing
  }
}

const isEarlier = (event: MarketEvent, than: MarketEvent): boolean => event.exchangeTime! < than.exchangeTime!

const isOlderCandle = (event: MarketEvent, than: MarketEvent): boolean => {
  const [a, b] = [event as Kline, than as Kline]
  return a.openTime < b.openTime || (a.openTime === b.openTime && a.baseVolume! < b.baseVolume!)
}

const isOlderCount = (event: MarketEvent, than: MarketEvent): boolean => {
  const [a, b] = [event as ContractStats, than as ContractStats]
  const isLess = a.longLiquidations! < b.longLiquidations! || a.shortLiquidations! < b.shortLiquidations!
  return isEarlier(a, b) || (a.exchangeTime === b.exchangeTime && isLess)
}

const minute = 60_000

const numbersOf = (
  { baseVolume, close, high, low, open }: Record<"baseVolume" | "close" | "high" | "low" | "open", unknown>
) => [open, high, low, close, baseVolume].map(Number)

/** Samples, of which those that close a window are compared with the exchange's. Asked for are candles of a minute. */
const ofCandles = (place: Place): Judge => {
  const { exchange, found, pair, simulator, tally } = place
  const samples = ofSamples(place, isOlderCandle)
  let last: Kline | null = null
  const close = (kline: Kline): void => {
    const truth = simulator.kline(exchange, pair, minute, "last", kline.openTime)
    if (truth === undefined) return
    tally.candles++
    if (!same(numbersOf(kline), numbersOf(truth))) found("wrongCandles", JSON.stringify([kline, truth]))
  }
  const take = (kline: Kline): void => {
    if (kline.closed === true) close(kline)
    // Where the exchange does not say which is the last one it sends it once more behind the end.
    else if (kline.closed === null && last !== null && last.openTime < kline.openTime) close(last)
    last = kline
  }
  return {
    ...samples,
    take: (event) => {
      samples.take(event)
      take(event as Kline)
    }
  }
}

const contentOf = (
  time: number,
  { price, quantity, side }: Pick<WorldLiquidation | Liquidation, "price" | "quantity" | "side">
) => `${Math.floor(time)} ${side} ${Number(price)} ${Number(quantity)}`

const count = (contents: ReadonlyArray<string>): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const content of contents) counts.set(content, (counts.get(content) ?? 0) + 1)
  return counts
}

/** Each as often as the exchange had it, between the first and the last that came. */
const ofLiquidations = ({ exchange, found, pair, simulator }: Place): Judge => {
  let times: Array<number> = []
  let contents: Array<string> = []
  const truth = new Map<number, WorldLiquidation>()
  const end = (): void => {
    const from = Math.min(...times)
    const to = Math.max(...times)
    const came = count(contents)
    const were = count(
      [...truth.values()].filter(({ time }) => Math.floor(time) >= from && Math.floor(time) <= to).map((item) =>
        contentOf(item.time, item)
      )
    )
    for (const content of new Set([...came.keys(), ...were.keys()])) {
      const more = (came.get(content) ?? 0) - (were.get(content) ?? 0)
      if (more !== 0) found(more > 0 ? "repeated" : "missing", `liquidation ${content}`, Math.abs(more))
    }
    times = []
    contents = []
  }
  return {
    take: (event) => {
      // The simulator holds the latest ones only.
      for (const item of simulator.liquidations(exchange, pair)) truth.set(item.id, item)
      times.push(event.exchangeTime!)
      contents.push(contentOf(event.exchangeTime!, event as Liquidation))
    },
    broke: end,
    end
  }
}

const judgeOf = (channel: Channel.PublicChannel, place: Place): Judge => {
  switch (channel._tag) {
    case "Trades":
      return ofTrades(place)
    case "BookTicker":
      return ofBookTickers(place)
    case "Book":
      return ofBooks(place)
    case "Kline":
      return ofCandles(place)
    case "Liquidations":
      return ofLiquidations(place)
    case "ContractStats":
      return ofSamples(place, isOlderCount)
    case "Ticker":
    case "FuturesTicker":
      return ofSamples(place, isEarlier)
  }
}

/** Watches one topic. */
class Watcher {
  readonly #channel: Channel.PublicChannel
  readonly #judge: Judge
  readonly #found: Found
  readonly #tally: Tally
  #lastAt: number

  constructor(channel: Channel.PublicChannel, place: Omit<Place, "found">, now: number) {
    const { tally } = place
    this.#tally = tally
    this.#lastAt = now
    this.#channel = channel
    this.#found = (fault, what, count = 1) => {
      if (count === 0) return
      tally[fault] += count
      if (fault !== "late") tally.first ??= `${fault}: ${channel._tag} ${channel.pair}: ${what}`
    }
    this.#judge = judgeOf(channel, { ...place, found: this.#found })
  }

  take(item: Feed<MarketEvent>): void {
    if (item._tag === "Gap") {
      this.#found("gaps", `${item.cause} at ${item.at}`)
      return this.#judge.broke()
    }
    this.#tally.data++
    this.#lastAt = item.value.receivedAt
    this.#judge.take(item.value)
  }

  /** While the exchange was still sending. */
  pause(now: number): void {
    const millis = Math.round(now - this.#lastAt)
    if (millis > longestSilence[this.#channel._tag]) this.#found("stalled", `nothing for ${millis} ms`)
  }

  end(): void {
    this.#judge.end()
  }
}

export interface Watch {
  readonly tally: Tally
  /** To be run just before the exchange falls silent. */
  readonly pause: Effect.Effect<void>
  /** To be run when everything has come. */
  readonly end: Effect.Effect<void>
}

/** Reads every channel of the pairs that the exchange has for one pair. */
export const watch = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  pairs: ReadonlyArray<TradingPair>
): Effect.fn.Return<Watch, ExchangeError.ExchangeError, PublicWebsocket | Simulator | Scope.Scope> {
  const websocket = yield* PublicWebsocket
  const simulator = yield* Simulator
  const tally = emptyTally()
  const watchers: Array<Watcher> = []
  for (const pair of pairs) {
    for (const tag of adapter.channels) {
      const channel = Channel.forPair(tag, pair)
      const stream = yield* websocket.feed(channel, { bufferSize: 1_000_000 })
      const place = { tally, exchange: adapter.id, pair, simulator }
      const watcher = new Watcher(channel, place, yield* Clock.currentTimeMillis)
      watchers.push(watcher)
      yield* Effect.forkScoped(
        Stream.runForEach(
          stream as Stream.Stream<Feed<MarketEvent>, ExchangeError.ExchangeError>,
          (item) => Effect.sync(() => watcher.take(item))
        )
      )
    }
  }
  return {
    tally,
    pause: Effect.map(Clock.currentTimeMillis, (now) => watchers.forEach((watcher) => watcher.pause(now))),
    end: Effect.sync(() => watchers.forEach((watcher) => watcher.end()))
  }
})

/** The open sockets, to be ended one by one. */
export const makeSockets = () => {
  const open: Array<Connection> = []
  let dialled = 0
  const through = (dial: Dial): Dial =>
    Effect.gen(function*() {
      const connection = yield* dial
      dialled++
      open.push(connection)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          open.splice(open.indexOf(connection), 1)
        })
      )
      return connection
    })
  const end = (index: number): Effect.Effect<void> => {
    const detail = "ended by the proof"
    const reason = ExchangeError.make("proof", new ExchangeError.Disconnected({ code: 1006, detail }))
    return open[index]?.abort(reason) ?? Effect.void
  }
  return { through, end, open, dialled: () => dialled }
}
