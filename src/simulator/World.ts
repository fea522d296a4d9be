/**
 * One exchange's markets as its dialect sees them: books, and what can be watched of them. All watchers of the same
 * thing at the same interval are told at the same moments, and what they are told is made once.
 */
import type { TradingPair } from "../domain/Instrument.ts"
import type {
  Watch,
  World,
  WorldBook,
  WorldDelta,
  WorldLevel,
  WorldMarket,
  WorldTicker,
  WorldTrade
} from "../ExchangeDialect.ts"
import { levelText } from "./Ladder.ts"
import type { Ladder } from "./Ladder.ts"
import type { SimulatedMarket } from "./MarketModel.ts"

/** What a listener is being told about, so that the frames it sends can be attributed. */
export interface Source {
  readonly channel: Watch["_tag"]
  readonly pair: TradingPair
}

/** Whoever runs the dialect's code: a connection. */
export interface Owner {
  /** Hands news to a listener of the dialect; what it throws ends the owner. */
  readonly deliver: <News>(source: Source, listener: (news: News) => void, news: News) => void
  /** Everything the owner watches, to be stopped when it ends. */
  readonly stops: Set<() => void>
}

interface Watcher<News> {
  /** The version, or the number of the trade, that was told last. */
  seen: number
  /** Keys of the worst levels in the window at `seen`. */
  bidBoundary: number
  askBoundary: number
  readonly tell: (news: News) => void
}

/** Watchers of one thing at one interval. */
abstract class Channel<News> {
  readonly market: SimulatedMarket
  readonly everyMillis: number
  readonly watchers = new Set<Watcher<News>>()
  #due: number

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number) {
    this.market = market
    this.everyMillis = everyMillis
    this.#due = this.#next(elapsed)
  }

  /** Tells when the time has come, and before the history runs out. */
  fire(elapsed: number): void {
    if (elapsed < this.#due && !this.presses()) return
    this.#due = this.#next(elapsed)
    this.tell()
  }

  abstract tell(): void
  protected abstract presses(): boolean

  /** Intervals are aligned to the start of the simulator, as an exchange's own are to its clock. */
  #next(elapsed: number): number {
    return this.everyMillis > 0 ? (Math.floor(elapsed / this.everyMillis) + 1) * this.everyMillis : 0
  }
}

class TickerChannel extends Channel<WorldTicker> {
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

  protected presses(): boolean {
    return false
  }
}

/** Trades waiting for an interval to end: never more, so that none is forgotten before it is told. */
const mostTrades = 2_048

class TradesChannel extends Channel<ReadonlyArray<WorldTrade>> {
  #told: number

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number) {
    super(market, everyMillis, elapsed)
    this.#told = market.tradeCount
  }

  tell(): void {
    const { market } = this
    this.#told = market.tradeCount
    let from = -1
    let trades: ReadonlyArray<WorldTrade> = []
    for (const watcher of this.watchers) {
      if (watcher.seen === market.tradeCount) continue
      if (watcher.seen !== from) {
        from = watcher.seen
        trades = market.tradesSince(from)
      }
      watcher.seen = market.tradeCount
      watcher.tell(trades)
    }
  }

  protected presses(): boolean {
    return this.market.tradeCount - this.#told >= mostTrades
  }
}

class DepthChannel extends Channel<WorldDelta> {
  readonly window: number
  #told: number
  readonly #touched = new Set<number>()

  constructor(market: SimulatedMarket, everyMillis: number, elapsed: number, window: number) {
    super(market, everyMillis, elapsed)
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

  protected presses(): boolean {
    const { book } = this.market
    return book.version - this.#told >= book.size / 2
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

/** A market and everyone who watches it. */
class MarketFeed {
  readonly market: SimulatedMarket
  readonly #tickers = new Map<string, TickerChannel>()
  readonly #trades = new Map<string, TradesChannel>()
  readonly #depths = new Map<string, DepthChannel>()
  #channels: ReadonlyArray<Channel<never>> = []
  #ticker: WorldTicker | null = null

  constructor(market: SimulatedMarket) {
    this.market = market
  }

  /** Best bid and ask, with the version that made them. */
  readonly ticker = (): WorldTicker => {
    const { bids, asks, topVersion, topTime } = this.market.book
    if (this.#ticker?.version !== topVersion) {
      this.#ticker = { version: topVersion, time: topTime, bid: this.#best(bids), ask: this.#best(asks) }
    }
    return this.#ticker
  }

  fire(elapsed: number): void {
    for (const channel of this.#channels) channel.fire(elapsed)
  }

  /** Tells those who wait for no interval. */
  fireAtOnce(): void {
    for (const channel of this.#channels) {
      if (channel.everyMillis === 0) channel.tell()
    }
  }

  watch(watch: Watch, elapsed: number, wrap: <A>(listener: (news: A) => void) => (news: A) => void): () => void {
    const { everyMillis } = watch
    const { market } = this
    switch (watch._tag) {
      case "Ticker": {
        const repeat = watch.repeat === true
        const make = () => new TickerChannel(market, everyMillis, elapsed, repeat, this.ticker)
        return this.#join<WorldTicker, TickerChannel>(
          this.#tickers,
          `${everyMillis} ${repeat}`,
          make,
          market.book.version,
          wrap(watch.listener)
        )
      }
      case "Trades": {
        const make = () => new TradesChannel(market, everyMillis, elapsed)
        return this.#join<ReadonlyArray<WorldTrade>, TradesChannel>(
          this.#trades,
          `${everyMillis}`,
          make,
          market.tradeCount,
          wrap(watch.listener)
        )
      }
      case "Depth": {
        const window = watch.window ?? Infinity
        const make = () => new DepthChannel(market, everyMillis, elapsed, window)
        return this.#join<WorldDelta, DepthChannel>(
          this.#depths,
          `${everyMillis} ${window}`,
          make,
          market.book.version,
          wrap(watch.listener),
          window
        )
      }
    }
  }

  #join<News, C extends Channel<News>>(
    channels: Map<string, C>,
    key: string,
    make: () => C,
    seen: number,
    tell: (news: News) => void,
    window = Infinity
  ): () => void {
    let channel = channels.get(key)
    if (channel === undefined) channels.set(key, channel = make())
    const { bids, asks } = this.market.book
    const watcher: Watcher<News> = {
      seen,
      bidBoundary: bids.boundary(window),
      askBoundary: asks.boundary(window),
      tell
    }
    const joined = channel
    joined.watchers.add(watcher)
    this.#list()
    return () => {
      joined.watchers.delete(watcher)
      if (joined.watchers.size > 0 || channels.get(key) !== joined) return
      channels.delete(key)
      this.#list()
    }
  }

  /** A new list, so that a round under way is not disturbed. */
  #list(): void {
    const all: ReadonlyArray<Channel<never>> = [
      ...this.#tickers.values(),
      ...this.#trades.values(),
      ...this.#depths.values()
    ]
    this.#channels = all
  }

  #best(ladder: Ladder): WorldLevel | null {
    return ladder.levels(1, this.market.facts.priceDecimals, this.market.facts.quantityDecimals)[0] ?? null
  }
}

export interface WorldOptions {
  readonly markets: ReadonlyMap<TradingPair, SimulatedMarket>
  /** ms since the epoch. */
  readonly now: () => number
  /** Simulated time since the start, ms. */
  readonly elapsed: () => number
  readonly refuses: (topic: string) => string | null
  /** Called for every REST book; the age it is to have, ms. */
  readonly bookAge: () => number
}

/** The world of one exchange. `World` itself is one object for its whole life: dialects keep state by it. */
export class ExchangeWorld {
  readonly world: World
  /** Whose code runs now. */
  owner: Owner | null = null
  readonly #feeds: ReadonlyMap<TradingPair, MarketFeed>
  readonly #options: WorldOptions

  constructor(options: WorldOptions) {
    this.#options = options
    this.#feeds = new Map([...options.markets].map(([pair, market]) => [pair, new MarketFeed(market)]))
    this.world = {
      now: options.now,
      markets: new Map([...this.#feeds].map(([pair, feed]) => [pair, this.#view(feed)])),
      watch: this.#watch,
      refuses: options.refuses
    }
  }

  /** Lets `seconds` of market time pass, ending at `time` (ms). */
  step(seconds: number, time: number): void {
    for (const feed of this.#feeds.values()) feed.market.step(seconds, time)
  }

  fire(elapsed: number): void {
    for (const feed of this.#feeds.values()) feed.fire(elapsed)
  }

  fireAtOnce(pair: TradingPair): void {
    this.#feeds.get(pair)?.fireAtOnce()
  }

  readonly #watch = (watch: Watch): { readonly book: WorldBook; readonly stop: () => void } => {
    const feed = this.#feeds.get(watch.pair)
    if (feed === undefined) {
      throw new RangeError(`a dialect watches ${watch.pair}, which is not among the world's markets`)
    }
    const { owner } = this
    const source: Source = { channel: watch._tag, pair: watch.pair }
    const leave = feed.watch(watch, this.#options.elapsed(), (listener) => {
      if (owner === null) return listener
      return (news) => owner.deliver(source, listener, news)
    })
    const stop = (): void => {
      leave()
      owner?.stops.delete(stop)
    }
    owner?.stops.add(stop)
    const { book } = feed.market
    const limit = watch._tag === "Depth" ? watch.window ?? Infinity : 1
    return { book: book.at(book.version, limit)!, stop }
  }

  #view({ market, ticker }: MarketFeed): WorldMarket {
    const { book, facts } = market
    return {
      pair: facts.pair,
      base: facts.base,
      quote: facts.quote,
      priceDecimals: facts.priceDecimals,
      quantityDecimals: facts.quantityDecimals,
      minQuantity: facts.minQuantity,
      minNotional: facts.minNotional,
      book: (limit) => {
        const age = this.#options.bookAge()
        return book.at(age > 0 ? book.versionAt(this.#options.now() - age) : book.version, limit)!
      },
      ticker
    }
  }
}
