/** What the demo knows of several exchanges: newest prices, never stale ones, and what has been counted. */
import type { LiveBook, OrderBooksStatus } from "../composite/OrderBooks.ts"
import type { ConnectionStatus, Gap } from "../domain/Feed.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import type { BookTicker, FuturesTicker } from "../domain/Market.ts"
import type { Performance, PublicWebsocketHandlers } from "../PublicWebsocket.ts"

/** One exchange's side of the board, written by the session's handlers in the socket's own turn. */
export class ExchangeBoard<Id extends ExchangeId = ExchangeId> {
  readonly id: Id
  readonly name: string
  readonly kind: Instrument["kind"]
  /** The newest ticker of each pair; none while it may be out of date. */
  readonly tickers = new Map<TradingPair, BookTicker>()
  /** The newest prices and funding of each perpetual; none while they may be out of date. */
  readonly futures = new Map<TradingPair, FuturesTicker>()
  /** Tickers by pair since the start. */
  readonly updates = new Map<TradingPair, number>()
  readonly connections = new Map<number, ConnectionStatus>()
  readonly rejected = new Map<TradingPair, string>()
  tickerCount = 0
  /** From the session, as of the last picture. */
  performance: Performance | undefined
  books: OrderBooksStatus | null = null
  bookOf: (pair: TradingPair) => LiveBook | undefined = () => undefined
  /** Why nothing more comes of this exchange; null while it runs. */
  failure: string | null = null

  constructor(id: Id, name: string, kind: Instrument["kind"] = "spot") {
    this.id = id
    this.name = name
    this.kind = kind
  }

  readonly handlers: PublicWebsocketHandlers = {
    onBookTicker: (ticker) => this.onBookTicker(ticker),
    onFuturesTicker: (ticker) => {
      if (ticker.pair !== null) this.futures.set(ticker.pair, ticker)
    },
    onGap: (gap) => this.onGap(gap),
    onStatus: (status) => this.onStatus(status)
  }

  onBookTicker(ticker: BookTicker): void {
    const { pair } = ticker
    if (pair === null) return
    this.tickers.set(pair, ticker)
    this.updates.set(pair, (this.updates.get(pair) ?? 0) + 1)
    this.tickerCount++
  }

  onGap(gap: Gap): void {
    if (gap.pair === null) return
    if (gap.channel === "BookTicker") this.tickers.delete(gap.pair)
    if (gap.channel === "FuturesTicker") this.futures.delete(gap.pair)
  }

  /** Which topics a connection has is not known here: whichever was lost, no price is shown until the next one comes. */
  onStatus(status: ConnectionStatus): void {
    this.connections.set(status.connection, status)
    if (status._tag === "Disconnected") {
      this.tickers.clear()
      this.futures.clear()
    }
    if (status._tag === "Closed") this.connections.delete(status.connection)
  }

  /** The connection that is worst off; null before the first. */
  get worst(): ConnectionStatus | null {
    const all = [...this.connections.values()]
    return all.find(({ _tag }) => _tag === "Disconnected") ?? all.find(({ _tag }) => _tag !== "Connected") ?? all[0] ??
      null
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

/** The state of an exchange's connections in a few words; `now` in ms. */
export const stateOf = (board: ExchangeBoard, now: number): string => {
  if (board.failure !== null) return "given up"
  const { worst } = board
  switch (worst?._tag) {
    case undefined:
    case "Closed":
      return "not connected"
    case "Connecting":
      return worst.attempt > 1 ? `connecting (attempt ${worst.attempt})` : "connecting"
    case "Connected":
      return "connected"
    case "Disconnected":
      return worst.retryIn === null
        ? "disconnected"
        : `disconnected, retry in ${(Math.max(0, worst.at + worst.retryIn - now) / 1000).toFixed(1)} s`
  }
}
