/** One exchange's client in a soak: a session with every channel, live books, and what both have brought. */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Top } from "../../src/composite/OrderBook.ts"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import type { PublicTag } from "../../src/domain/Channel.ts"
import type { Gap } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Trade } from "../../src/domain/Market.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import type { Performance, TopicPerformance } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import type { Truth } from "./Truth.ts"

/** Levels a side that are compared: what every book feed holds. */
const depth = 50

/** The simulated exchanges number the trades of a market one by one; MEXC writes `38X0_38X0`. */
const numberOf = ({ id }: Trade): number | null => id === null ? null : Number.parseInt(id, 10)

/** Whether every trade that did not come was declared to be missing. */
export class TradeWatch {
  #last: number | null = null
  #isDeclared = false
  received = 0
  /** Trades that a gap in the feed stands for. */
  declared = 0
  /** Trades that are missing without a word. */
  undeclared = 0
  /** Came twice or behind a later one. */
  repeated = 0

  onTrade(trade: Trade): void {
    this.received++
    const number = numberOf(trade)
    if (number === null) return
    const missing = this.#last === null ? 0 : number - this.#last - 1
    if (missing < 0) {
      this.repeated++
      return
    }
    if (this.#isDeclared) this.declared += missing
    else this.undeclared += missing
    this.#isDeclared = false
    this.#last = number
  }

  onGap(): void {
    this.#isDeclared = true
  }
}

export interface Comparison {
  readonly compared: number
  /** Books that did not come into sync in time. */
  readonly stale: ReadonlyArray<string>
  readonly wrong: ReadonlyArray<string>
}

const sides = ["bids", "asks"] as const

/** The first level that differs, in words; null when none does. */
const differs = (
  own: { readonly bids: ReadonlyArray<number>; readonly asks: ReadonlyArray<number> },
  truth: {
    readonly [K in (typeof sides)[number]]: ReadonlyArray<{ readonly price: string; readonly quantity: string }>
  }
): string | null => {
  for (const side of sides) {
    const expected = truth[side].flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const at = expected.findIndex((value, i) => own[side][i] !== value)
    if (at >= 0) return `${side}[${at >> 1}] is ${own[side][at]} in place of ${expected[at]}`
    if (own[side].length > expected.length) return `${own[side].length / 2} ${side} in place of ${expected.length / 2}`
  }
  return null
}

/** In minus out: 0 when every event is accounted for. */
const imbalance = (topic: TopicPerformance): number =>
  topic.received + topic.reconciled -
  (topic.delivered + topic.conflated + topic.dropped + topic.stale + topic.abandoned + topic.unrouted +
    topic.duplicates)

export interface Ledger {
  readonly topics: number
  readonly sent: number
  readonly received: number
  /** Topics whose events are not all accounted for, or that received more than was sent. */
  readonly wrong: ReadonlyArray<string>
}

export class Client {
  readonly exchange: KnownExchange
  readonly pairs: ReadonlyArray<TradingPair>
  readonly trades: ReadonlyMap<string, TradeWatch>
  /** Events of each channel. */
  readonly events = new Map<PublicTag, number>()
  /** Breaks of each cause. */
  readonly gaps = new Map<string, number>()
  readonly #websocket: PublicWebsocket["Service"]
  readonly #books: OrderBooks.OrderBooks["Service"]

  constructor(
    websocket: PublicWebsocket["Service"],
    books: OrderBooks.OrderBooks["Service"],
    pairs: ReadonlyArray<TradingPair>
  ) {
    this.exchange = websocket.exchange as KnownExchange
    this.pairs = pairs
    this.#websocket = websocket
    this.#books = books
    this.trades = new Map(pairs.map((pair) => [pair, new TradeWatch()]))
  }

  count(tag: PublicTag): void {
    this.events.set(tag, (this.events.get(tag) ?? 0) + 1)
  }

  onTrade(trade: Trade): void {
    this.count("Trades")
    this.trades.get(trade.pair ?? "")?.onTrade(trade)
  }

  onGap({ cause, channel, pair }: Gap): void {
    this.gaps.set(cause, (this.gaps.get(cause) ?? 0) + 1)
    if (channel === "Trades") this.trades.get(pair ?? "")?.onGap()
  }

  get performance(): Effect.Effect<Performance> {
    return this.#websocket.performance
  }

  get status(): Effect.Effect<OrderBooks.OrderBooksStatus> {
    return this.#books.status
  }

  /** Each book against the simulator's at the same version. All that are out of sync get so long to come back, ms. */
  compare(truth: Truth, patience: number): Effect.Effect<Comparison, Error> {
    return Effect.gen({ self: this }, function*() {
      const stale: Array<string> = []
      const wrong: Array<string> = []
      let compared = 0
      const deadline = performance.now() + patience
      for (const pair of this.pairs) {
        const found = yield* this.#synced(pair, deadline)
        const name = `${this.exchange} ${pair}`
        if (found === null) {
          const live = this.#books.get(pair)
          stale.push(`${name}: ${live?._tag === "Stale" ? live.cause : "not tracked"}`)
          continue
        }
        const { own, version } = found
        const expected = yield* truth.book(this.exchange, pair, version, depth)
        if (expected === null) {
          wrong.push(`${name}: the simulator never had or no longer holds version ${version}`)
          continue
        }
        compared++
        const difference = differs(own, expected)
        if (difference !== null) wrong.push(`${name} at version ${version}: ${difference}`)
      }
      return { compared, stale, wrong }
    })
  }

  /** A copy of the book with its version; null when it does not come into sync in time. */
  #synced(pair: TradingPair, deadline: number): Effect.Effect<{ readonly version: number; readonly own: Top } | null> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const live = this.#books.get(pair)
        if (live?._tag === "Synced") return { version: Number(live.book.version), own: live.book.top(depth) }
        if (performance.now() >= deadline) return null
        yield* Effect.sleep(100)
      }
    })
  }

  /** Every event that was received is accounted for, and none was received that was not sent. */
  ledger(sent: Readonly<Record<string, { readonly sent: { readonly events: number } }>>): Effect.Effect<Ledger> {
    return Effect.map(this.performance, ({ topics }) => {
      const wrong: Array<string> = []
      for (const topic of topics) {
        const count = sent[topic.topic]?.sent.events ?? 0
        if (imbalance(topic) !== 0) wrong.push(`${topic.topic}: ${imbalance(topic)} events unaccounted for`)
        if (topic.received > count) wrong.push(`${topic.topic}: ${topic.received} received, ${count} sent`)
      }
      return {
        topics: topics.length,
        sent: topics.reduce((sum, { topic }) => sum + (sent[topic]?.sent.events ?? 0), 0),
        received: topics.reduce((sum, { received }) => sum + received, 0),
        wrong
      }
    })
  }
}

/** Subscribes every channel of the exchange for the pairs, until the scope closes. */
export const start = Effect.fnUntraced(function*(
  exchange: KnownExchange,
  { rest, ws }: SimulatorUrls,
  pairs: NonEmptyReadonlyArray<TradingPair>
): Effect.fn.Return<Client, ExchangeError, Scope.Scope> {
  const context = yield* Layer.build(Exchanges.layerPublic(exchange, { url: ws, restUrl: rest }))
  return yield* Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const books = yield* OrderBooks.make(pairs)
    const client = new Client(websocket, books, pairs)
    yield* websocket.handle({
      onBookTicker: () => client.count("BookTicker"),
      onTrade: (trade) => client.onTrade(trade),
      onTicker: () => client.count("Ticker"),
      onKline: () => client.count("Kline"),
      onFuturesTicker: () => client.count("FuturesTicker"),
      onLiquidation: () => client.count("Liquidations"),
      onContractStats: () => client.count("ContractStats"),
      onGap: (gap) => client.onGap(gap)
    })
    const channels = [...websocket.channels].filter((tag) => tag !== "Book")
    yield* websocket.initialize(pairs, channels as unknown as NonEmptyReadonlyArray<PublicTag>)
    return client
  }).pipe(Effect.provide(context))
})
