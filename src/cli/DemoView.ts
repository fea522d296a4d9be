/** What the demo shows: pure text made from its board. */
import { Record } from "effect"
import type { TradingPair } from "../domain/Instrument.ts"
import type { Percentiles } from "../PublicWebsocket.ts"
import * as Board from "./Board.ts"
import type { ExchangeBoard } from "./Board.ts"
import type { JsonObject } from "./EventJson.ts"
import type { View } from "./Live.ts"
import { Rate } from "./Rate.ts"
import * as Style from "./Style.ts"
import * as Table from "./Table.ts"

export interface DemoViewOptions {
  readonly boards: ReadonlyArray<ExchangeBoard>
  readonly pairs: ReadonlyArray<TradingPair>
  readonly source: "simulator" | "live"
  /** Null for the real exchanges. */
  readonly seed: number | null
  /** ms. */
  readonly now: () => number
  readonly style: Style.Style
  /** The newest lines of the log, where the picture has to hold them. */
  readonly log: (count: number) => ReadonlyArray<string>
}

const logLines = 4

const percentiles = (value: Percentiles | null): string =>
  value === null || value.count === 0
    ? Style.none
    : [value.p50, value.p95, value.p99].map((millis) => millis.toFixed(2)).join("/")

/** Before the session has been asked for the first time. */
const nothingCounted = {
  age: null,
  processing: null,
  gaps: 0,
  reconnects: 0,
  errors: {},
  decodeFailures: 0,
  dropped: 0
}

const errorCount = (errors: Readonly<Record<string, number>>): number =>
  Object.values(errors).reduce((sum, count) => sum + count, 0)

export class DemoView implements View {
  readonly #options: DemoViewOptions
  #startedAt = 0
  #pairRates: ReadonlyMap<TradingPair, Rate> = new Map()
  #exchangeRates: ReadonlyMap<ExchangeBoard, Rate> = new Map()

  constructor(options: DemoViewOptions) {
    this.#options = options
    this.begin()
  }

  /** Counts time from now on. */
  begin(): void {
    const options = this.#options
    this.#startedAt = options.now()
    this.#pairRates = new Map(options.pairs.map((pair) => [pair, new Rate(this.#startedAt)]))
    this.#exchangeRates = new Map(options.boards.map((board) => [board, new Rate(this.#startedAt)]))
  }

  readonly screen = (): ReadonlyArray<string> => {
    const { style, log } = this.#options
    return [
      this.#title(),
      "",
      ...this.tables(),
      "",
      style.dim("q or Ctrl-C ends it"),
      ...log(logLines).map(style.yellow)
    ]
  }

  /** Both tables, as they stand now. */
  readonly tables = (): ReadonlyArray<string> => [...this.#pairTable(), "", ...this.#exchangeTable()]

  readonly lines = (): ReadonlyArray<string> => {
    const hasPrices = this.#options.boards.some(({ tickers }) => tickers.size > 0)
    return [this.#title(), ...(hasPrices ? this.tables() : this.#exchangeTable()), ""]
  }

  #title(): string {
    const { boards, source, seed, now, style } = this.#options
    const origin = source === "live" ? "LIVE" : `simulated, seed ${seed}`
    return `${style.bold(boards.map(({ name }) => name).join(" and "))}  ${origin}  ${
      Style.elapsed(now() - this.#startedAt)
    }`
  }

  #pairTable(): ReadonlyArray<string> {
    const { boards, pairs, style } = this.#options
    const columns: ReadonlyArray<Table.Column> = [
      { title: "PAIR", align: "left", width: 9 },
      ...boards.flatMap((board) => [
        { title: `${this.#shortName(board)} BID`, width: 10 },
        { title: `${this.#shortName(board)} ASK`, width: 10 }
      ]),
      { title: "EDGE bps", width: 8 },
      { title: "UPD/s", width: 5 },
      { title: "BUY > SELL", align: "left", width: 21 },
      { title: "BOOKS", align: "left", width: 15 }
    ]
    const [titles = "", ...rows] = Table.format(columns, pairs.map((pair) => this.#pairRow(pair)))
    return [style.dim(titles), ...rows]
  }

  #pairRow(pair: TradingPair): ReadonlyArray<string> {
    const { boards, now, style } = this.#options
    const edge = Board.bestEdge(pair, boards)
    const bps = Style.fixed(edge?.bps ?? null, 2)
    const count = boards.reduce((sum, { updates }) => sum + (updates.get(pair) ?? 0), 0)
    return [
      pair,
      ...boards.flatMap(({ tickers }) => [
        Style.decimal(tickers.get(pair)?.bidPrice),
        Style.decimal(tickers.get(pair)?.askPrice)
      ]),
      edge !== null && edge.bps > 0 ? style.green(bps) : bps,
      Style.fixed(this.#pairRates.get(pair)!.sample(now(), count), 0),
      edge === null ? Style.none : `${edge.buy} > ${edge.sell}`,
      boards.map((board) => this.#book(board, pair)).join(" / ")
    ]
  }

  #book(board: ExchangeBoard, pair: TradingPair): string {
    const { style } = this.#options
    const live = board.bookOf(pair)
    if (live === undefined) return Style.none
    return live._tag === "Synced" ? "synced" : style.red("stale")
  }

  /** The first word of the name, where that tells the exchanges apart. */
  #shortName({ name }: ExchangeBoard): string {
    const [first = name] = name.split(" ")
    return this.#options.boards.filter((board) => board.name.startsWith(`${first} `)).length === 1 ? first : name
  }

  #exchangeTable(): ReadonlyArray<string> {
    const { boards, style } = this.#options
    const columns: ReadonlyArray<Table.Column> = [
      { title: "EXCHANGE", align: "left", width: 9 },
      { title: "STATE", align: "left", width: 12 },
      { title: "UPD/s", width: 5 },
      { title: "LATENCY p50/p95/p99 ms", width: 22 },
      { title: "HAND-OVER p50/p95/p99 ms", width: 24 },
      { title: "BOOKS", width: 5 },
      { title: "GAPS" },
      { title: "RECONNECTS" },
      { title: "ERRORS" },
      { title: "UPDATES", width: 8 }
    ]
    const [titles = "", ...rows] = Table.format(columns, boards.map((board) => this.#exchangeRow(board)))
    return [style.dim(titles), ...rows]
  }

  #exchangeRow(board: ExchangeBoard): ReadonlyArray<string> {
    const { now, style } = this.#options
    const { performance = nothingCounted, books } = board
    const state = Board.stateOf(board, now())
    return [
      board.name,
      state === "connected" ? style.green(state) : style.red(state),
      Style.fixed(this.#exchangeRates.get(board)!.sample(now(), board.tickerCount), 0),
      percentiles(performance.age),
      percentiles(performance.processing),
      books === null ? Style.none : `${books.synced}/${books.tracked}`,
      String(performance.gaps),
      String(performance.reconnects),
      String(errorCount(performance.errors)),
      String(board.tickerCount)
    ]
  }

  /** Pairs that have had a price from every exchange. */
  get pairsSeen(): number {
    const { boards, pairs } = this.#options
    return pairs.filter((pair) => boards.every(({ updates }) => updates.has(pair))).length
  }

  summary(): JsonObject {
    const { boards, pairs, source, seed, now } = this.#options
    const durationMs = now() - this.#startedAt
    return {
      source,
      seed,
      durationMs: Math.round(durationMs),
      pairs: pairs.length,
      pairsSeen: this.pairsSeen,
      exchanges: Object.fromEntries(boards.map((board) => [board.id, this.#exchangeSummary(board, durationMs)])),
      spreads: Object.fromEntries(pairs.map((pair) => [pair, this.#spread(pair)]))
    }
  }

  #exchangeSummary(board: ExchangeBoard, durationMs: number): JsonObject {
    const { performance = nothingCounted, books } = board
    return {
      state: Board.stateOf(board, this.#options.now()),
      failure: board.failure,
      pairsSeen: board.updates.size,
      rejected: Object.fromEntries(board.rejected),
      updates: board.tickerCount,
      updatesPerSecond: Number(((board.tickerCount * 1000) / Math.max(1, durationMs)).toFixed(1)),
      latencyMs: performance.age,
      processingMs: performance.processing,
      gaps: performance.gaps,
      reconnects: performance.reconnects,
      errors: performance.errors,
      decodeFailures: performance.decodeFailures,
      dropped: performance.dropped,
      books: books === null ? null : Record.map(
        { tracked: books.tracked, synced: books.synced, stale: books.stale, gaps: books.gaps, resyncs: books.resyncs },
        Number
      )
    }
  }

  #spread(pair: TradingPair): JsonObject {
    const { boards } = this.#options
    const edge = Board.bestEdge(pair, boards)
    return {
      prices: Object.fromEntries(boards.map((board) => {
        const ticker = board.tickers.get(pair)
        return [board.id, {
          bid: ticker === undefined ? null : Style.decimal(ticker.bidPrice),
          ask: ticker === undefined ? null : Style.decimal(ticker.askPrice)
        }]
      })),
      edge: edge === null ? null : { ...edge, bps: Number(edge.bps.toFixed(4)) }
    }
  }
}
