/** One exchange's client in a soak: a session with every channel, live books, and what both have brought. */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import type { PublicTag } from "../../src/domain/Channel.ts"
import type { Gap } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Trade } from "../../src/domain/Market.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import type { Performance, TopicPerformance } from "../../src/PublicWebsocket.ts"
import { handlersFor, PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import { compareBooks } from "./Comparison.ts"
import type { Comparison } from "./Comparison.ts"
import type { Truth } from "./Truth.ts"

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
    const { exchange, pairs } = this
    return compareBooks({ exchange, pairs, bookOf: (pair) => this.#books.get(pair) }, truth, patience)
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
    yield* websocket.handle(handlersFor(websocket.channels, {
      onBookTicker: () => client.count("BookTicker"),
      onTrade: (trade) => client.onTrade(trade),
      onTicker: () => client.count("Ticker"),
      onKline: () => client.count("Kline"),
      onFuturesTicker: () => client.count("FuturesTicker"),
      onLiquidation: () => client.count("Liquidations"),
      onContractStats: () => client.count("ContractStats"),
      onGap: (gap) => client.onGap(gap)
    }))
    const channels = [...websocket.channels].filter((tag) => tag !== "Book")
    yield* websocket.initialize(pairs, channels as unknown as NonEmptyReadonlyArray<PublicTag>)
    return client
  }).pipe(Effect.provide(context))
})
