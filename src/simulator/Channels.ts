/**
 * What can be watched of a market. All watchers of the same thing at the same interval and offset are told at the same
 * moments, and what they are told is made once.
 */
import type { KlinePrice } from "../domain/Market.ts"
import type {
  WorldBook,
  WorldContractStats,
  WorldDelta,
  WorldInterval,
  WorldKline,
  WorldLevel,
  WorldLiquidation,
  WorldStatistics,
  WorldTicker,
  WorldTrade
} from "../ExchangeDialect.ts"
import { levelText } from "./Ladder.ts"
import type { Ladder } from "./Ladder.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import type { SwapModel } from "./SwapModel.ts"

export interface Watcher<News> {
  /** What was told last: a version, the number of a trade or liquidation, or the beginning of a candle. */
  seen: number
  /** Keys of the worst levels in the window at `seen`. */
  bidBoundary: number
  askBoundary: number
  readonly tell: (news: News) => void
}

/** Watchers of one thing at one interval. */
export abstract class Channel<News> {
  readonly market: SimulatedMarket
  readonly everyMillis: number
  readonly watchers = new Set<Watcher<News>>()
  readonly #offset: number
  #due: number

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, offset = 0) {
    this.market = market
    this.everyMillis = everyMillis
    this.#offset = offset
    this.#due = this.#next(elapsed)
  }

  /** When it has something to tell, if the market stays as it is; simulated ms since the start. */
  get due(): number {
    return this.isTold() ? Infinity : this.#due
  }

  /** Tells when the time has come, and before the history runs out. `before`: when this could have been done last. */
  fire(elapsed: number, before: number): void {
    // It was not asked while there was nothing to tell.
    if (this.#due <= before) this.#due = this.#next(before)
    if (elapsed < this.#due && !this.presses()) return
    this.#due = this.#next(elapsed)
    this.tell()
  }

  abstract tell(): void

  /** The history runs out soon. */
  protected presses(): boolean {
    return false
  }

  /** Nothing is told before the market changes. */
  protected isTold(): boolean {
    return false
  }

  /** Intervals are aligned to the start of the simulator, as an exchange's own are to its clock, but for the offset. */
  #next(elapsed: number): number {
    const { everyMillis } = this
    const offset = this.#offset
    return everyMillis > 0 ? (Math.floor((elapsed - offset) / everyMillis) + 1) * everyMillis + offset : 0
  }
}

export class TickerChannel extends Channel<WorldTicker> {
  readonly #repeat: boolean
  readonly #current: () => WorldTicker

  constructor(
    market: SimulatedMarket,
    everyMillis: number,
    elapsed: number,
    repeat: boolean,
    current: () => WorldTicker
  ) {
    super(market, everyMillis, elapsed)
    this.#repeat = repeat
    this.#current = current
  }

  tell(): void {
    const { topVersion } = this.market.book
    for (const watcher of this.watchers) {
      if (!this.#repeat && watcher.seen >= topVersion) continue
      watcher.seen = topVersion
      watcher.tell(this.#current())
    }
  }
}

/** Things with numbers of their own, of which a market holds the latest. */
export interface Numbered<Item> {
  readonly count: () => number
  readonly since: (number: number) => ReadonlyArray<Item>
  /** So many may wait for an interval to end, so that none is forgotten before it is told. */
  readonly most: number
}

export const tradesOf = (market: SimulatedMarket): Numbered<WorldTrade> => ({
  count: () => market.tradeCount,
  since: (number) => market.tradesSince(number),
  most: 2_048
})

export const liquidationsOf = (swap: SwapModel): Numbered<WorldLiquidation> => ({
  count: () => swap.liquidationCount,
  since: (number) => swap.liquidationsSince(number),
  most: 512
})

/** Trades or liquidations. */
export class NumberedChannel<Item> extends Channel<ReadonlyArray<Item>> {
  readonly #source: Numbered<Item>
  #told: number

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, source: Numbered<Item>) {
    super(market, everyMillis, elapsed)
    this.#source = source
    this.#told = source.count()
  }

  tell(): void {
    const count = this.#told = this.#source.count()
    let from = -1
    let items: ReadonlyArray<Item> = []
    for (const watcher of this.watchers) {
      if (watcher.seen === count) continue
      if (watcher.seen !== from) {
        from = watcher.seen
        items = this.#source.since(from)
      }
      watcher.seen = count
      watcher.tell(items)
    }
  }

  protected override presses(): boolean {
    return this.#source.count() - this.#told >= this.#source.most
  }

  protected override isTold(): boolean {
    return this.#source.count() === this.#told
  }
}

export class DepthChannel extends Channel<WorldDelta> {
  readonly window: number
  #told: number
  readonly #touched = new Set<number>()

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, offset: number, window: number) {
    super(market, everyMillis, elapsed, offset)
    this.window = window
    this.#told = market.book.version
  }

  tell(): void {
    const { book } = this.market
    const { version } = book
    this.#told = version
    const bidBoundary = book.bids.boundary(this.window)
    const askBoundary = book.asks.boundary(this.window)
    let from = -1
    let delta: WorldDelta | undefined
    for (const watcher of this.watchers) {
      if (watcher.seen === version) continue
      // The boundaries belong to the version, so watchers at the same version get the same delta.
      if (delta === undefined || watcher.seen !== from) {
        from = watcher.seen
        delta = this.#delta(watcher)
      }
      watcher.seen = version
      watcher.bidBoundary = bidBoundary
      watcher.askBoundary = askBoundary
      watcher.tell(delta)
    }
  }

  protected override presses(): boolean {
    const { book } = this.market
    return book.version - this.#told >= book.size / 2
  }

  /** Whoever came since then has seen this version too. */
  protected override isTold(): boolean {
    return this.market.book.version === this.#told
  }

  #delta(watcher: Watcher<WorldDelta>): WorldDelta {
    const { book } = this.market
    const touched = this.#touched
    touched.clear()
    book.touchedSince(watcher.seen, touched)
    const bids: Array<WorldLevel> = []
    const asks: Array<WorldLevel> = []
    for (const key of touched) {
      if (key > 0) this.#touchedLevel(book.bids, key, watcher.bidBoundary, bids)
      else this.#touchedLevel(book.asks, key, watcher.askBoundary, asks)
    }
    if (this.window < Infinity) {
      this.#movedLevels(book.bids, watcher.bidBoundary, bids)
      this.#movedLevels(book.asks, watcher.askBoundary, asks)
    }
    return { firstVersion: watcher.seen + 1, version: book.version, bids, asks, time: book.time }
  }

  /** A changed level: as it is when it stands in the window, "0" when it stood there before. */
  #touchedLevel(ladder: Ladder, key: number, boundaryBefore: number, into: Array<WorldLevel>): void {
    const quantity = ladder.quantityAt(key)
    if (quantity > 0 && key >= ladder.boundary(this.window)) into.push(this.#text(key, quantity))
    else if (key >= boundaryBefore) into.push(this.#text(key, 0))
  }

  /** Levels that did not change themselves, but that others pushed out of the window or let into it. */
  #movedLevels(ladder: Ladder, boundaryBefore: number, into: Array<WorldLevel>): void {
    const { keys, quantities } = ladder
    const first = Math.max(0, keys.length - this.window)
    for (let i = first; i < keys.length && keys[i]! < boundaryBefore; i++) {
      if (!this.#touched.has(keys[i]!)) into.push(this.#text(keys[i]!, quantities[i]!))
    }
    for (let i = first - 1; i >= 0 && keys[i]! >= boundaryBefore; i--) {
      if (!this.#touched.has(keys[i]!)) into.push(this.#text(keys[i]!, 0))
    }
  }

  #text(key: number, quantity: number): WorldLevel {
    return levelText(key, quantity, this.market.facts.priceDecimals, this.market.facts.quantityDecimals)
  }
}

/** The best levels, whenever the book has changed. */
export class BookChannel extends Channel<WorldBook> {
  readonly #levels: number

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, levels: number) {
    super(market, everyMillis, elapsed)
    this.#levels = levels
  }

  tell(): void {
    const { book } = this.market
    const { version } = book
    let whole: WorldBook | undefined
    for (const watcher of this.watchers) {
      if (watcher.seen === version) continue
      watcher.seen = version
      watcher.tell(whole ??= book.at(version, this.#levels)!)
    }
  }
}

/** Of the last 24 hours, whenever something was traded, the best levels changed, or a swap has another mark price. */
export class StatisticsChannel extends Channel<WorldStatistics> {
  tell(): void {
    const { book, swap, tradeCount } = this.market
    const state = book.topVersion + tradeCount + (swap?.markCount ?? 0)
    let statistics: WorldStatistics | undefined
    for (const watcher of this.watchers) {
      if (watcher.seen === state) continue
      watcher.seen = state
      watcher.tell(statistics ??= this.market.statistics())
    }
  }
}

export class KlineChannel extends Channel<WorldKline> {
  readonly #interval: WorldInterval
  readonly #price: KlinePrice

  constructor(
    market: SimulatedMarket,
    everyMillis: number,
    elapsed: number,
    interval: WorldInterval,
    price: KlinePrice
  ) {
    super(market, everyMillis, elapsed)
    this.#interval = interval
    this.#price = price
  }

  tell(): void {
    const kline = this.market.kline(this.#interval, this.#price)
    for (const watcher of this.watchers) {
      const { seen } = watcher
      watcher.seen = kline.openTime
      if (seen < kline.openTime) watcher.tell(this.market.kline(this.#interval, this.#price, seen))
      watcher.tell(kline)
    }
  }
}

export class ContractStatsChannel extends Channel<WorldContractStats> {
  readonly #interval: WorldInterval

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, interval: WorldInterval) {
    super(market, everyMillis, elapsed)
    this.#interval = interval
  }

  tell(): void {
    const stats = this.market.contractStats(this.#interval)
    for (const watcher of this.watchers) watcher.tell(stats)
  }
}
