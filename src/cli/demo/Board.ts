/** What the demo knows of several exchanges: newest prices, never stale ones, and what has been counted. */
import type { IslandState } from "../../composite/Markets.ts"
import type { LiveBook, OrderBooksStatus } from "../../composite/OrderBooks.ts"
import type { PublicExchange } from "../../composite/PublicExchange.ts"
import type { ExchangeId, Instrument, TradingPair } from "../../domain/Instrument.ts"
import type { FuturesTicker } from "../../domain/Market.ts"
import type { Performance } from "../../PublicWebsocket.ts"
import { Connections } from "../Connections.ts"

/** Quote. */
export interface Prices {
  readonly bidPrice: number
  readonly askPrice: number
}

/** How often an exchange was lost since it was first ready, and for how long. */
export interface Outages {
  readonly count: number
  /** How long it was away at the longest, one that is under way included, ms. */
  readonly longestMs: number
  /** How long it has been away by now; null while it is there, ms. */
  readonly underWayMs: number | null
}

type Market = Pick<PublicExchange["Service"], "bestPrice" | "book" | "futuresTicker">

/** One exchange's side of the board, as of the last look at its market. */
export class ExchangeBoard<Id extends ExchangeId = ExchangeId> {
  readonly id: Id
  readonly name: string
  readonly kind: Instrument["kind"]
  /** The best prices of each pair; none while they may be out of date. */
  readonly tickers = new Map<TradingPair, Prices>()
  /** The newest prices and funding of each perpetual; none while they may be out of date. */
  readonly futures = new Map<TradingPair, FuturesTicker>()
  /** Pairs that have had a price. */
  readonly seen = new Set<TradingPair>()
  /** Events by pair since the start. */
  updates: ReadonlyMap<TradingPair, number> = new Map()
  readonly connections = new Connections()
  readonly rejected = new Map<TradingPair, string>()
  /** Where it stands in the program; null before the first word of it. */
  island: IslandState | null = null
  #losses = 0
  /** Of those that are over, ms. */
  #longestMs = 0
  #lostAt: number | null = null
  #stoppedAt: number | null = null
  performance: Performance | undefined
  books: OrderBooksStatus | null = null
  bookOf: (pair: TradingPair) => LiveBook | undefined = () => undefined

  constructor(id: Id, name: string, kind: Instrument["kind"] = "spot") {
    this.id = id
    this.name = name
    this.kind = kind
  }

  /** Takes what the market knows of the pairs now. */
  look(market: Market, pairs: Iterable<TradingPair>): void {
    this.bookOf = market.book
    for (const pair of pairs) {
      const best = market.bestPrice(pair)
      if (best === null) this.tickers.delete(pair)
      else {
        this.tickers.set(pair, best)
        this.seen.add(pair)
      }
      const future = market.futuresTicker(pair)
      if (future === null) this.futures.delete(pair)
      else this.futures.set(pair, future)
    }
  }

  /** There is no market any more: nothing that is shown may be out of date. */
  leave(): void {
    this.bookOf = () => undefined
    this.tickers.clear()
    this.futures.clear()
    this.connections.clear()
  }

  /** What the session has counted. */
  count(performance: Performance): void {
    this.performance = performance
    const updates = new Map<TradingPair, number>()
    for (const { pair, received } of performance.topics) {
      if (pair !== null) updates.set(pair, (updates.get(pair) ?? 0) + received)
    }
    this.updates = updates
  }

  /** Events since the session began. */
  get updateCount(): number {
    return this.performance?.events ?? 0
  }

  onIsland(state: IslandState): void {
    const wasReady = this.island?._tag === "Ready"
    this.island = state
    if (state._tag === "Ready") {
      if (this.#lostAt !== null) this.#longestMs = Math.max(this.#longestMs, state.at - this.#lostAt)
      this.#lostAt = null
    } else if (state._tag === "Stopped") this.#stoppedAt = state.at
    else if (wasReady) {
      this.#losses++
      this.#lostAt = state.at
    }
  }

  /** The end of the program ends no outage, and what comes behind it is no part of one. */
  outagesAt(now: number): Outages {
    const underWayMs = this.#lostAt === null ? null : (this.#stoppedAt ?? now) - this.#lostAt
    return { count: this.#losses, longestMs: Math.max(this.#longestMs, underWayMs ?? 0), underWayMs }
  }

  /** Why nothing more comes of this exchange; null while it runs. */
  get failure(): string | null {
    return this.island?._tag === "Failed" && this.island.retryIn === null ? this.island.error.message : null
  }
}

/** Buying at the ask of one exchange and selling at the bid of another. */
export interface Edge {
  readonly buy: ExchangeId
  readonly sell: ExchangeId
  /** Basis points of the middle of both prices, before fees; above 0 when the bid is above the ask. */
  readonly bps: number
}

const bpsOf = (ask: number, bid: number): number => ((bid - ask) / ((bid + ask) / 2)) * 10_000

const edgeOf = (pair: TradingPair, buy: ExchangeBoard, sell: ExchangeBoard): Edge | null => {
  const ask = buy.tickers.get(pair)?.askPrice ?? null
  const bid = sell.tickers.get(pair)?.bidPrice ?? null
  return buy === sell || ask === null || bid === null ? null : { buy: buy.id, sell: sell.id, bps: bpsOf(ask, bid) }
}

/** The best way to buy on one exchange and sell on another; null while fewer than two have prices. */
export const bestEdge = (pair: TradingPair, exchanges: ReadonlyArray<ExchangeBoard>): Edge | null => {
  let best: Edge | null = null
  for (const buy of exchanges) {
    for (const sell of exchanges) {
      const edge = edgeOf(pair, buy, sell)
      if (edge !== null && (best === null || edge.bps > best.bps)) best = edge
    }
  }
  return best
}

/** The state of an exchange in a word: of its island while that is not ready, else of its connections. */
export const stateOf = ({ connections, failure, island }: ExchangeBoard): string => {
  if (failure !== null) return "given up"
  if (island?._tag === "Recovering") return "recovers"
  return island?._tag === "Failed" ? "failed" : connections.word
}
