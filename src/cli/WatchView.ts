/** What `exchange watch --format table` shows: the newest values of each pair, never stale ones. */
import type { OrderBooks } from "../composite/OrderBooks.ts"
import type { PublicTag } from "../domain/Channel.ts"
import type { Gap } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../domain/Market.ts"
import type { PublicWebsocketHandlers } from "../PublicWebsocket.ts"
import * as Board from "./Board.ts"
import type { View } from "./Live.ts"
import { Rate } from "./Rate.ts"
import * as Style from "./Style.ts"
import * as Table from "./Table.ts"

/** One pair's newest values; a gap in a channel takes its value away until the next one comes. */
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

  onGap(gap: Gap): void {
    this.gaps++
    if (gap.channel === "BookTicker") this.ticker = null
    else if (gap.channel === "Ticker") this.day = null
    else if (gap.channel === "Kline") this.kline = null
    else if (gap.channel === "FuturesTicker") this.futures = null
  }
}

export interface WatchViewOptions {
  readonly board: Board.ExchangeBoard
  readonly pairs: ReadonlyArray<TradingPair>
  readonly channels: ReadonlyArray<PublicTag>
  /** ms. */
  readonly now: () => number
  readonly style: Style.Style
  /** The newest lines of the log, where the picture has to hold them. */
  readonly log: (count: number) => ReadonlyArray<string>
}

/** A column and what it says of a pair. */
interface Field extends Table.Column {
  readonly cell: (pair: TradingPair, state: PairState) => string
}

const logLines = 4

const percent = (fraction: number | null | undefined): string =>
  Style.fixed(fraction === null || fraction === undefined ? null : fraction * 100, 4)

export class WatchView implements View {
  /** Set once the exchange has accepted. */
  books: OrderBooks["Service"] | null = null
  readonly #options: WatchViewOptions
  readonly #states: ReadonlyMap<TradingPair, PairState>
  readonly #fields: ReadonlyArray<Field>
  readonly #rate: Rate

  constructor(options: WatchViewOptions) {
    this.#options = options
    const now = options.now()
    this.#rate = new Rate(now)
    this.#states = new Map(options.pairs.map((pair) => [pair, new PairState(now)]))
    this.#fields = [
      { title: "PAIR", align: "left", width: 9, cell: (pair) => pair },
      ...options.channels.flatMap((channel) => this.#fieldsOf(channel)),
      {
        title: "EVENTS/s",
        width: 8,
        cell: (_, state) => Style.fixed(state.rate.sample(options.now(), state.count), 0)
      },
      { title: "GAPS", width: 4, cell: (_, state) => String(state.gaps) },
      {
        title: "AGE s",
        width: 6,
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
    onBookTicker: (ticker) => this.onBookTicker(ticker),
    onTrade: (trade) => this.onTrade(trade),
    onBook: (update) => this.onBook(update),
    onTicker: (day) => this.#onEvent(day, (state) => state.day = day),
    onKline: (kline) => this.#onEvent(kline, (state) => state.kline = kline),
    onFuturesTicker: (futures) => this.#onEvent(futures, (state) => state.futures = futures),
    onLiquidation: (liquidation) => this.#onEvent(liquidation, (state) => state.liquidation = liquidation),
    onContractStats: (stats) => this.#onEvent(stats, (state) => state.stats = stats),
    onGap: (gap) => this.onGap(gap),
    onStatus: (status) => this.#options.board.onStatus(status)
  }

  onBookTicker(ticker: BookTicker): void {
    const state = this.#stateOf(ticker.pair)
    state?.onEvent(ticker)
    if (state !== undefined) state.ticker = ticker
  }

  onTrade(trade: Trade): void {
    const state = this.#stateOf(trade.pair)
    state?.onEvent(trade)
    if (state !== undefined) state.trade = trade
  }

  onBook(update: BookUpdate): void {
    this.#stateOf(update.pair)?.onEvent(update)
  }

  #onEvent(event: MarketEvent, keep: (state: PairState) => void): void {
    const state = this.#stateOf(event.pair)
    if (state === undefined) return
    state.onEvent(event)
    keep(state)
  }

  onGap(gap: Gap): void {
    this.#stateOf(gap.pair)?.onGap(gap)
  }

  readonly screen = (): ReadonlyArray<string> => {
    const { style, log } = this.#options
    const [titles = "", ...rows] = this.table()
    return [
      this.#title(),
      "",
      style.dim(titles),
      ...rows,
      "",
      style.dim("q or Ctrl-C ends it"),
      ...log(logLines).map(style.yellow)
    ]
  }

  readonly lines = (): ReadonlyArray<
    string
  > => (this.count === 0 ? [this.#title()] : [this.#title(), ...this.table(), ""])

  readonly table = (): ReadonlyArray<string> =>
    Table.format(
      this.#fields,
      [...this.#states].map(([pair, state]) => this.#fields.map(({ cell }) => cell(pair, state)))
    )

  #stateOf(pair: TradingPair | null): PairState | undefined {
    return pair === null ? undefined : this.#states.get(pair)
  }

  #title(): string {
    const { board, now, style } = this.#options
    const rate = Style.fixed(this.#rate.sample(now(), this.count), 0)
    return `${style.bold(board.name)}  ${Board.stateOf(board, now())}  ${this.count} events  ${rate}/s`
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
          { title: "24H %", width: 7, cell: (_, { day }) => percent(day?.change) }
        ]
      case "Kline":
        return [
          { title: "OPEN", width: 10, cell: (_, { kline }) => Style.decimal(kline?.open) },
          { title: "HIGH", width: 10, cell: (_, { kline }) => Style.decimal(kline?.high) },
          { title: "LOW", width: 10, cell: (_, { kline }) => Style.decimal(kline?.low) },
          { title: "CLOSE", width: 10, cell: (_, { kline }) => Style.decimal(kline?.close) }
        ]
      case "FuturesTicker":
        return [
          { title: "MARK", width: 10, cell: (_, { futures }) => Style.decimal(futures?.markPrice) },
          { title: "INDEX", width: 10, cell: (_, { futures }) => Style.decimal(futures?.indexPrice) },
          { title: "FUNDING %", width: 9, cell: (_, { futures }) => percent(futures?.fundingRate) }
        ]
      case "Liquidations":
        return [
          { title: "LIQ", width: 10, cell: (_, { liquidation }) => Style.decimal(liquidation?.price) },
          { title: "LIQ QTY", width: 10, cell: (_, { liquidation }) => Style.decimal(liquidation?.quantity) }
        ]
      case "ContractStats":
        return [{ title: "INTEREST", width: 12, cell: (_, { stats }) => Style.decimal(stats?.openInterest) }]
    }
  }

  #bookOf(pair: TradingPair) {
    const live = this.books?.get(pair)
    return live?._tag === "Synced" ? live.book : undefined
  }

  #bookState(pair: TradingPair): string {
    const live = this.books?.get(pair)
    if (live === undefined) return Style.none
    return live._tag === "Synced" ? "synced" : this.#options.style.red(`stale: ${live.cause}`)
  }
}
