/** What the demo shows: pure text made from its board. */
import { Record } from "effect"
import type { ExchangeId, TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { FuturesTicker } from "../../domain/Market.ts"
import type { Percentiles } from "../../PublicWebsocket.ts"
import * as AccountRows from "../account/AccountRows.ts"
import * as AccountView from "../account/AccountView.ts"
import type { JsonObject } from "../EventJson.ts"
import type { View } from "../Live.ts"
import { Rate } from "../Rate.ts"
import * as Style from "../Style.ts"
import * as Table from "../Table.ts"
import { ArbitrageBoard } from "./ArbitrageBoard.ts"
import * as ArbitrageRows from "./ArbitrageRows.ts"
import * as Board from "./Board.ts"
import type { ExchangeBoard } from "./Board.ts"
import { perpetualOf } from "./Source.ts"

export interface DemoViewOptions {
  readonly boards: ReadonlyArray<ExchangeBoard>
  /** An account of each exchange; none when it is live. */
  readonly accounts?: ReadonlyArray<AccountRows.Named> | undefined
  readonly arbitrage?: ArbitrageBoard | undefined
  /** All that are followed; the first ones are shown. */
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

/** Lines of the log, and on a terminal of the usual 24 rows. */
const logLines = 4
const fewLogLines = 1
const tallFrom = 30

const percentiles = (value: Percentiles | null): string =>
  value === null || value.count === 0
    ? Style.none
    : [value.p50, value.p99].map((millis) => millis.toFixed(millis < 10 ? 2 : 0)).join("/")

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

const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(2)} s`

const outageText = ({ count, longestMs, underWayMs }: Board.Outages): string => {
  if (count === 0) return "never away"
  const end = underWayMs === null ? " until all was in order" : `, away at the end for ${inSeconds(underWayMs)}`
  return `${Style.counted(count, "time")} away, at the longest ${inSeconds(longestMs)}${end}`
}

const nothingFound = new ArbitrageBoard()

const errorCount = (errors: Readonly<Record<string, number>>): number =>
  Object.values(errors).reduce((sum, count) => sum + count, 0)

const futuresEntry = ([pair, ticker]: readonly [TradingPair, FuturesTicker]) =>
  [pair, {
    mark: ticker.markPrice === null ? null : Style.decimal(ticker.markPrice),
    index: ticker.indexPrice === null ? null : Style.decimal(ticker.indexPrice),
    fundingRate: ticker.fundingRate === null ? null : Style.decimal(ticker.fundingRate),
    nextFundingTime: ticker.nextFundingTime
  }] as const

/** Rows of tables whose length is for the picture to say. */
interface Room {
  readonly pairs: number
  readonly perpetuals: number
  /** Lines for why nothing is opened any more. */
  readonly reasons: number
  /** Lines for edges and trades. */
  readonly edges: number
  /** Lines for open orders and fills. */
  readonly details: number
}

/** More pairs than these are followed, and not shown. */
const mostPairs = 10

const everything: Room = {
  pairs: mostPairs,
  perpetuals: mostPairs,
  reasons: Number.POSITIVE_INFINITY,
  edges: 8,
  details: Number.POSITIVE_INFINITY
}

/** Of these so many stay, however few rows there are. */
const fewestPairs = 3
const fewPerpetuals = 1

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

  /** Perpetuals give way where there are too few rows for everything, then pairs; edges, orders and fills come where there is room. */
  readonly screen = (rows = Number.POSITIVE_INFINITY): ReadonlyArray<string> => {
    const { style, log } = this.#options
    const logged = log(rows < tallFrom ? fewLogLines : logLines).map(style.yellow)
    const room = this.#roomIn(rows - 2 - logged.length)
    return [`${this.#title()}  ${style.dim("q ends it")}`, "", ...this.tables(room), ...logged]
  }

  /** How many rows of each kind there is room for in so many lines. */
  #roomIn(lines: number): Room {
    const { boards } = this.#options
    const pairs = Math.min(mostPairs, this.#options.pairs.length)
    const accounts = this.#accounts.length
    const swaps = boards.length - this.#spot.length
    // Titles and blank lines, and a line for each exchange, each account and the edges.
    const fixed = 1 + 1 + 2 * swaps + (1 + boards.length) + (accounts > 0 ? 1 + accounts : 0) + 2
    const all = lines - fixed
    const { length } = this.#arbitrage.reasons
    const reasons = Math.min(length, Math.max(1, all - fewestPairs - fewPerpetuals))
    const left = all - reasons
    const shown = Math.min(pairs, Math.max(fewestPairs, left - fewPerpetuals))
    const perpetuals = Math.max(1, Math.min(pairs, left - shown))
    const rest = Math.max(0, left - shown - perpetuals)
    const edges = Math.min(8, Math.ceil(rest / 2))
    return { pairs: shown, perpetuals, reasons, edges, details: rest - edges }
  }

  get #accounts(): ReadonlyArray<AccountRows.Named> {
    return this.#options.accounts ?? []
  }

  /** The tables as they stand now, with at most so many rows of each. */
  readonly tables = (room: Room = everything): ReadonlyArray<string> => [
    ...this.#pairTable(room.pairs),
    "",
    ...this.#futuresTables(room.perpetuals),
    ...this.#exchangeTable(),
    ...this.#accountTables(room.details),
    ...this.#edgeTables(room)
  ]

  #accountTables(details: number): ReadonlyArray<string> {
    const { style } = this.#options
    const accounts = this.#accounts
    if (accounts.length === 0) return []
    return [...AccountRows.table(accounts, style), ...AccountRows.details(accounts, details, style)]
  }

  get #arbitrage(): ArbitrageBoard {
    return this.#options.arbitrage ?? nothingFound
  }

  #edgeTables({ edges, reasons }: Room): ReadonlyArray<string> {
    const short = (id: ExchangeId): string => this.#initialOf(id)
    return [
      ...ArbitrageRows.table(this.#arbitrage, this.#options.style, reasons),
      ...ArbitrageRows.details(this.#arbitrage, edges, short)
    ]
  }

  /** `M`, `G`, and `GF` for the futures of an exchange that has both. */
  #initialOf(id: ExchangeId): string {
    const board = this.#options.boards.find((each) => each.id === id)
    if (board === undefined) return id
    const words = board.name.split(" ")
    return board.kind === "spot" ? words[0]!.slice(0, 1) : words.map((word) => word.slice(0, 1).toUpperCase()).join("")
  }

  /** The last word: the tables, and what the program has to tell. */
  readonly report = (): ReadonlyArray<string> => [
    ...this.tables(),
    "",
    this.#options.style.bold(`Report after ${Style.elapsed(this.#options.now() - this.#startedAt)}`),
    ...this.#reportOfBooks(),
    ...ArbitrageRows.report(this.#arbitrage, (asset) => this.#priceOf(asset))
  ]

  /** Of an asset in the quote of the pairs that are followed. */
  #priceOf(asset: string): number | null {
    const pair = this.#options.pairs.find((each) => partsOf(each).base === asset)
    if (pair === undefined) return null
    for (const { tickers } of this.#spot) {
      const prices = tickers.get(pair)
      if (prices !== undefined) return (prices.bidPrice + prices.askPrice) / 2
    }
    return null
  }

  #reportOfBooks(): ReadonlyArray<string> {
    const { boards, now } = this.#options
    const synced = boards.reduce((sum, { books }) => sum + (books?.synced ?? 0), 0)
    const tracked = boards.reduce((sum, { books }) => sum + (books?.tracked ?? 0), 0)
    return [
      `books        ${synced} of ${tracked} in step at the end`,
      ...boards.map((board) => {
        const { id, performance = nothingCounted } = board
        return `${id.padEnd(12)} ${outageText(board.outagesAt(now()))}; ${
          Style.counted(performance.reconnects, "reconnect")
        }, ${Style.counted(performance.gaps, "gap")}`
      })
    ]
  }

  readonly lines = (): ReadonlyArray<string> => {
    const hasPrices = this.#options.boards.some(({ seen }) => seen.size > 0)
    return [this.#title(), ...(hasPrices ? this.tables() : this.#exchangeTable()), ""]
  }

  #title(): string {
    const { boards, source, seed, now, style } = this.#options
    const names = boards.map(({ name }) => name)
    const origin = source === "live" ? "LIVE" : `simulated, seed ${seed}`
    return `${style.bold(`${names.slice(0, -1).join(", ")} and ${names.at(-1)}`)}  ${origin}  ${
      Style.elapsed(now() - this.#startedAt)
    }`
  }

  get #spot(): ReadonlyArray<ExchangeBoard> {
    return this.#options.boards.filter(({ kind }) => kind === "spot")
  }

  #pairTable(most: number): ReadonlyArray<string> {
    const { pairs, style } = this.#options
    const columns: ReadonlyArray<Table.Column> = [
      { title: "PAIR", align: "left", width: 9 },
      ...this.#spot.flatMap((board) => [
        { title: `${this.#shortName(board)} BID`, width: 9 },
        { title: `${this.#shortName(board)} ASK`, width: 9 }
      ]),
      { title: "EDGE bps", width: 10 },
      { title: "UPD/s", width: 5 },
      { title: "BOOKS", align: "left" }
    ]
    const rowsOf = pairs.slice(0, Math.min(most, mostPairs))
    const [titles = "", ...rows] = Table.format(columns, rowsOf.map((pair) => this.#pairRow(pair)))
    return [style.dim(titles), ...rows]
  }

  #pairRow(pair: TradingPair): ReadonlyArray<string> {
    const { now } = this.#options
    const boards = this.#spot
    const count = boards.reduce((sum, { updates }) => sum + (updates.get(pair) ?? 0), 0)
    return [
      pair,
      ...boards.flatMap(({ tickers }) => [
        Style.decimal(tickers.get(pair)?.bidPrice),
        Style.decimal(tickers.get(pair)?.askPrice)
      ]),
      this.#edge(pair),
      Style.fixed(this.#pairRates.get(pair)!.sample(now(), count), 0),
      boards.map((board) => this.#book(board, pair)).join("/")
    ]
  }

  /** `G>M 1.23`: buy on G, sell on M. */
  #edge(pair: TradingPair): string {
    const { style } = this.#options
    const boards = this.#spot
    const edge = Board.bestEdge(pair, boards)
    if (edge === null) return Style.none
    const initial = (id: ExchangeId) => this.#shortName(boards.find((board) => board.id === id)!).slice(0, 1)
    const text = `${initial(edge.buy)}>${initial(edge.sell)} ${Style.fixed(edge.bps, 2)}`
    return edge.bps > 0 ? style.green(text) : text
  }

  /** One table for each exchange of perpetuals. */
  #futuresTables(most: number): ReadonlyArray<string> {
    const { boards } = this.#options
    return boards.filter(({ kind }) => kind === "swap").flatMap((board) => [...this.#futuresTable(board, most), ""])
  }

  #futuresTable(board: ExchangeBoard, most: number): ReadonlyArray<string> {
    const { pairs, style } = this.#options
    const columns: ReadonlyArray<Table.Column> = [
      { title: "PERPETUAL", align: "left", width: 13 },
      { title: "BID", width: 9 },
      { title: "ASK", width: 9 },
      { title: "MARK", width: 9 },
      { title: "INDEX", width: 9 },
      { title: "FUNDING %", width: 9 },
      { title: "IN", width: 7 }
    ]
    const [titles = "", ...rows] = Table.format(
      columns,
      pairs.slice(0, Math.min(most, mostPairs)).map((pair) => this.#futuresRow(board, perpetualOf(pair)))
    )
    return [style.dim(titles), ...rows]
  }

  #futuresRow({ futures, tickers }: ExchangeBoard, pair: TradingPair): ReadonlyArray<string> {
    const ticker = tickers.get(pair)
    const future = futures.get(pair)
    return [
      pair,
      Style.decimal(ticker?.bidPrice),
      Style.decimal(ticker?.askPrice),
      Style.decimal(future?.markPrice),
      Style.decimal(future?.indexPrice),
      Style.percent(future?.fundingRate, 4),
      Style.until(future?.nextFundingTime, this.#options.now())
    ]
  }

  #book(board: ExchangeBoard, pair: TradingPair): string {
    const { style } = this.#options
    const live = board.bookOf(pair)
    if (live === undefined) return Style.none
    return live._tag === "Synced" ? "ok" : style.red("stale")
  }

  /** The first word of the name, where that tells the spot exchanges apart. */
  #shortName({ name }: ExchangeBoard): string {
    const [first = name] = name.split(" ")
    return this.#spot.filter((board) => board.name.startsWith(`${first} `)).length === 1 ? first : name
  }

  #exchangeTable(): ReadonlyArray<string> {
    const { boards, style } = this.#options
    const columns: ReadonlyArray<Table.Column> = [
      { title: "EXCHANGE", align: "left", width: 12 },
      { title: "STATE", align: "left", width: 9 },
      { title: "UPD/s", width: 5 },
      { title: "LATENCY ms", width: 10 },
      { title: "HAND-OVER", width: 9 },
      { title: "BOOKS", width: 5 },
      { title: "GAPS" },
      { title: "REC" },
      { title: "ERR" }
    ]
    const [titles = "", ...rows] = Table.format(columns, boards.map((board) => this.#exchangeRow(board)))
    return [style.dim(titles), ...rows]
  }

  #exchangeRow(board: ExchangeBoard): ReadonlyArray<string> {
    const { now, style } = this.#options
    const { performance = nothingCounted, books } = board
    const state = Board.stateOf(board)
    return [
      board.name,
      state === "connected" ? style.green(state) : style.red(state),
      Style.fixed(this.#exchangeRates.get(board)!.sample(now(), board.updateCount), 0),
      percentiles(performance.age),
      percentiles(performance.processing),
      books === null ? Style.none : `${books.synced}/${books.tracked}`,
      String(performance.gaps),
      String(performance.reconnects),
      String(errorCount(performance.errors))
    ]
  }

  /** Pairs that have had a price from every spot exchange. */
  get pairsSeen(): number {
    const { pairs } = this.#options
    const boards = this.#spot
    return pairs.filter((pair) => boards.every(({ seen }) => seen.has(pair))).length
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
      spreads: Object.fromEntries(pairs.slice(0, mostPairs).map((pair) => [pair, this.#spread(pair)])),
      futures: Object.fromEntries(boards.flatMap(({ futures }) => [...futures].map(futuresEntry))),
      arbitrage: ArbitrageRows.summary(this.#arbitrage),
      accounts: Object.fromEntries(this.#accounts.map(({ board }) => [board.exchange, AccountView.summary(board)]))
    }
  }

  #exchangeSummary(board: ExchangeBoard, durationMs: number): JsonObject {
    const { performance = nothingCounted, books } = board
    return {
      state: Board.stateOf(board),
      failure: board.failure,
      pairsSeen: board.seen.size,
      outages: { ...board.outagesAt(this.#options.now()) },
      island: board.island?._tag ?? null,
      rejected: Object.fromEntries(board.rejected),
      updates: board.updateCount,
      updatesPerSecond: Number(((board.updateCount * 1000) / Math.max(1, durationMs)).toFixed(1)),
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
    const boards = this.#spot
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
