/** What `exchange watch --format table` shows: the newest values of each pair, never stale ones. */
import type { OrderBooks } from "../composite/OrderBooks.ts"
import { everyPair } from "../domain/Channel.ts"
import type { PublicTag } from "../domain/Channel.ts"
import type { Gap } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type {
  BookTicker,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../domain/Market.ts"
import type { PublicWebsocketHandlers } from "../PublicWebsocket.ts"
import type { Connections } from "./Connections.ts"
import type { View } from "./Live.ts"
import { Rate } from "./Rate.ts"
import * as Style from "./Style.ts"
import * as Table from "./Table.ts"

/**
 * One pair's newest values. A gap takes away what describes the present (prices, candles, open interest) until the next
 * one comes; a trade and a liquidation have happened and stay.
 */
class PairState {
  readonly rate: Rate
  ticker: BookTicker | null = null
  trade: Trade | null = null
  day: Ticker | null = null
  kline: Kline | null = null
  futures: FuturesTicker | null = null
  liquidation: Liquidation | null = null
  stats: ContractStats | null = null
  count = 0
  gaps = 0
  receivedAt: number | null = null

  constructor(now: number) {
    this.rate = new Rate(now)
  }

  onEvent(event: MarketEvent): void {
    this.count++
    this.receivedAt = event.receivedAt
  }

  onGap({ channel }: Gap): void {
    this.gaps++
    forget[channel]?.(this)
  }
}

const forget: Readonly<Partial<Record<PublicTag, (state: PairState) => void>>> = {
  BookTicker: (state) => state.ticker = null,
  Ticker: (state) => state.day = null,
  Kline: (state) => state.kline = null,
  FuturesTicker: (state) => state.futures = null,
  ContractStats: (state) => state.stats = null
}

export interface WatchViewOptions {
  /** Of the exchange, for people. */
  readonly name: string
  readonly connections: Connections
  readonly pairs: ReadonlyArray<TradingPair>
  readonly channels: ReadonlyArray<PublicTag>
  /** `swap`: quantities are contracts, and the title says so. */
  readonly kind: "spot" | "swap"
  /** ms. */
  readonly now: () => number
  readonly style: Style.Style
  /** The newest lines of the log, where the picture has to hold them. */
  readonly log: (count: number) => ReadonlyArray<string>
}

/** A column and what it says of a pair. */
interface Field extends Table.Column {
  /** Shown however narrow the terminal is. */
  readonly isKept?: boolean
  readonly cell: (pair: string, state: PairState) => string
}

const logLines = 4

/** Rows of pairs that nobody named, where the height is not known. */
const mostRows = 30

/** Lines of the picture that are no pairs, without the log. */
const frameLines = 5

const ratio = (value: number | null | undefined): string => Style.fixed(value ?? null, 3)

/** What ends the picture, and which columns there is no room for. */
const hintOf = (cut: ReadonlyArray<string>, columns: number): string => {
  const end = "q or Ctrl-C ends it"
  if (cut.length === 0) return end
  const text = `${end}; no room for ${cut.length} ${cut.length === 1 ? "column" : "columns"}: ${cut.join(", ")}`
  return text.length > columns ? `${text.slice(0, columns - 1)}…` : text
}

/** The most traded first, else the newest. */
const byWeight = (a: PairState, b: PairState): number =>
  (b.day?.quoteVolume ?? 0) - (a.day?.quoteVolume ?? 0) || (b.receivedAt ?? 0) - (a.receivedAt ?? 0)

export class WatchView implements View {
  /** Set once the exchange has accepted. */
  books: OrderBooks["Service"] | null = null
  readonly #options: WatchViewOptions
  /** By pair, or by symbol where no pair is known. */
  readonly #states: Map<string, PairState>
  readonly #isEvery: boolean
  readonly #fields: ReadonlyArray<Field>
  readonly #rate: Rate

  constructor(options: WatchViewOptions) {
    this.#options = options
    const now = options.now()
    this.#rate = new Rate(now)
    this.#isEvery = options.pairs.includes(everyPair)
    this.#states = new Map(
      options.pairs.filter((pair) => pair !== everyPair).map((pair) => [pair, new PairState(now)])
    )
    this.#fields = [
      { title: "PAIR", align: "left", width: 9, isKept: true, cell: (pair) => pair },
      ...options.channels.flatMap((channel) => this.#fieldsOf(channel)),
      {
        title: "EVENTS/s",
        width: 8,
        isKept: true,
        cell: (_, state) => Style.fixed(state.rate.sample(options.now(), state.count), 0)
      },
      { title: "GAPS", width: 4, isKept: true, cell: (_, state) => String(state.gaps) },
      {
        title: "AGE s",
        width: 6,
        isKept: true,
        cell: (_, { receivedAt }) =>
          Style.fixed(receivedAt === null ? null : Math.max(0, options.now() - receivedAt) / 1000, 1)
      }
    ]
  }

  /** Events received, over all pairs. */
  get count(): number {
    let count = 0
    for (const state of this.#states.values()) count += state.count
    return count
  }

  readonly handlers: PublicWebsocketHandlers = {
    onBookTicker: (ticker) => this.#onEvent(ticker, (state) => state.ticker = ticker),
    onTrade: (trade) => this.#onEvent(trade, (state) => state.trade = trade),
    onBook: (update) => this.#onEvent(update, () => {}),
    onTicker: (day) => this.#onEvent(day, (state) => state.day = day),
    onKline: (kline) => this.#onEvent(kline, (state) => state.kline = kline),
    onFuturesTicker: (futures) => this.#onEvent(futures, (state) => state.futures = futures),
    onLiquidation: (liquidation) => this.#onEvent(liquidation, (state) => state.liquidation = liquidation),
    onContractStats: (stats) => this.#onEvent(stats, (state) => state.stats = stats),
    onGap: (gap) => this.#onGap(gap),
    onStatus: (status) => this.#options.connections.onStatus(status)
  }

  #onEvent(event: MarketEvent, keep: (state: PairState) => void): void {
    const state = this.#stateOf(event)
    if (state === undefined) return
    state.onEvent(event)
    keep(state)
  }

  #onGap(gap: Gap): void {
    // What stands for every pair has no row of its own: its gap concerns all of them.
    if (gap.pair === everyPair) { for (const state of this.#states.values()) state.onGap(gap) }
    else this.#states.get(gap.pair ?? gap.symbol)?.onGap(gap)
  }

  readonly screen = (rows?: number, columns?: number): ReadonlyArray<string> => {
    const { style, log } = this.#options
    const logged = log(logLines).map(style.yellow)
    const { cut, lines: [titles = "", ...body] } = this.#layout(
      rows === undefined ? mostRows : Math.max(1, rows - frameLines - logged.length),
      columns ?? Number.POSITIVE_INFINITY
    )
    const hint = hintOf(cut, columns ?? Number.POSITIVE_INFINITY)
    return [this.#title(), "", style.dim(titles), ...body, "", style.dim(hint), ...logged]
  }

  readonly lines = (): ReadonlyArray<
    string
  > => (this.count === 0 ? [this.#title()] : [this.#title(), ...this.table(), ""])

  /** Titles and a line for each pair; of pairs that nobody named at most so many, and how many are left out. */
  readonly table = (rows: number = mostRows): ReadonlyArray<string> =>
    this.#layout(rows, Number.POSITIVE_INFINITY).lines

  /** `cut`: the titles of the columns that so many characters have no room for. */
  #layout(
    rows: number,
    columns: number
  ): { readonly lines: ReadonlyArray<string>; readonly cut: ReadonlyArray<string> } {
    const states = [...this.#states]
    if (this.#isEvery) states.sort(([, a], [, b]) => byWeight(a, b))
    const shown = this.#isEvery && states.length > rows ? states.slice(0, rows - 1) : states
    const cells = shown.map(([pair, state]) => this.#fields.map(({ cell }) => cell(pair, state)))
    const fitting = Table.fitting(this.#fields, cells, columns, ({ isKept }) => isKept === true)
    const fits = (_: unknown, i: number): boolean => fitting.has(i)
    const lines = Table.format(this.#fields.filter(fits), cells.map((row) => row.filter(fits)))
    const left = states.length - shown.length
    return {
      lines: left === 0 ? lines : [...lines, this.#options.style.dim(`and ${left} more`)],
      cut: this.#fields.filter((_, i) => !fitting.has(i)).map(({ title }) => title)
    }
  }

  #stateOf({ pair, symbol }: MarketEvent): PairState | undefined {
    const name = pair ?? symbol
    const known = this.#states.get(name)
    if (known !== undefined || !this.#isEvery) return known
    const state = new PairState(this.#options.now())
    this.#states.set(name, state)
    return state
  }

  #title(): string {
    const { connections, name, kind, now, style } = this.#options
    const rate = Style.fixed(this.#rate.sample(now(), this.count), 0)
    const unit = kind === "swap" ? "  quantities in contracts" : ""
    return `${style.bold(name)}  ${connections.stateAt(now())}  ${this.count} events  ${rate}/s${unit}`
  }

  #fieldsOf(channel: PublicTag): ReadonlyArray<Field> {
    switch (channel) {
      case "BookTicker":
        return [
          { title: "BID", width: 10, cell: (_, { ticker }) => Style.decimal(ticker?.bidPrice) },
          { title: "BID QTY", width: 10, cell: (_, { ticker }) => Style.decimal(ticker?.bidQuantity) },
          { title: "ASK", width: 10, cell: (_, { ticker }) => Style.decimal(ticker?.askPrice) },
          { title: "ASK QTY", width: 10, cell: (_, { ticker }) => Style.decimal(ticker?.askQuantity) }
        ]
      case "Trades":
        return [
          { title: "LAST", width: 10, cell: (_, { trade }) => Style.decimal(trade?.price) },
          { title: "LAST QTY", width: 10, cell: (_, { trade }) => Style.decimal(trade?.quantity) },
          { title: "SIDE", width: 4, align: "left", cell: (_, { trade }) => trade?.side ?? Style.none }
        ]
      case "Book":
        return [
          { title: "BOOK BID", width: 10, cell: (pair) => Style.decimal(this.#bookOf(pair)?.bidPrice()) },
          { title: "BOOK ASK", width: 10, cell: (pair) => Style.decimal(this.#bookOf(pair)?.askPrice()) },
          { title: "BOOK", width: 7, align: "left", cell: (pair) => this.#bookState(pair) }
        ]
      case "Ticker":
        return [
          { title: "24H LAST", width: 10, cell: (_, { day }) => Style.decimal(day?.lastPrice) },
          { title: "24H %", width: 7, cell: (_, { day }) => Style.percent(day?.change, 2) },
          { title: "24H LOW", width: 10, cell: (_, { day }) => Style.decimal(day?.lowPrice) },
          { title: "24H HIGH", width: 10, cell: (_, { day }) => Style.decimal(day?.highPrice) },
          { title: "24H QUOTE", width: 13, cell: (_, { day }) => Style.fixed(day?.quoteVolume ?? null, 0) }
        ]
      case "Kline":
        return [
          { title: "SINCE", width: 5, cell: (_, { kline }) => Style.minute(kline?.openTime) },
          { title: "OPEN", width: 10, cell: (_, { kline }) => Style.decimal(kline?.open) },
          { title: "HIGH", width: 10, cell: (_, { kline }) => Style.decimal(kline?.high) },
          { title: "LOW", width: 10, cell: (_, { kline }) => Style.decimal(kline?.low) },
          { title: "CLOSE", width: 10, cell: (_, { kline }) => Style.decimal(kline?.close) },
          { title: "BASE", width: 10, cell: (_, { kline }) => Style.decimal(kline?.baseVolume) }
        ]
      case "FuturesTicker":
        return [
          { title: "MARK", width: 10, cell: (_, { futures }) => Style.decimal(futures?.markPrice) },
          { title: "INDEX", width: 10, cell: (_, { futures }) => Style.decimal(futures?.indexPrice) },
          { title: "FUNDING %", width: 9, cell: (_, { futures }) => Style.percent(futures?.fundingRate, 4) },
          {
            title: "IN",
            width: 8,
            cell: (_, { futures }) => Style.until(futures?.nextFundingTime, this.#options.now())
          },
          { title: "INTEREST", width: 11, cell: (_, { futures }) => Style.decimal(futures?.openInterest) }
        ]
      case "Liquidations":
        return [
          { title: "LIQ", width: 10, cell: (_, { liquidation }) => Style.decimal(liquidation?.price) },
          { title: "LIQ QTY", width: 10, cell: (_, { liquidation }) => Style.decimal(liquidation?.quantity) },
          { title: "SIDE", width: 4, align: "left", cell: (_, { liquidation }) => liquidation?.side ?? Style.none }
        ]
      case "ContractStats":
        return [
          { title: "OPEN INT", width: 11, cell: (_, { stats }) => Style.decimal(stats?.openInterest) },
          { title: "L/S TAKER", width: 9, cell: (_, { stats }) => ratio(stats?.takerRatio) },
          { title: "L/S ACC", width: 7, cell: (_, { stats }) => ratio(stats?.accountRatio) },
          { title: "LONG LIQ", width: 8, cell: (_, { stats }) => Style.decimal(stats?.longLiquidations) },
          { title: "SHORT LIQ", width: 9, cell: (_, { stats }) => Style.decimal(stats?.shortLiquidations) }
        ]
    }
  }

  #bookOf(pair: string) {
    const live = this.books?.get(pair as TradingPair)
    return live?._tag === "Synced" ? live.book : undefined
  }

  #bookState(pair: string): string {
    const live = this.books?.get(pair as TradingPair)
    if (live === undefined) return Style.none
    return live._tag === "Synced" ? "synced" : this.#options.style.red(`stale: ${live.cause}`)
  }
}
