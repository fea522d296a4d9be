/** A market and everyone who watches it. */
import { windowOf } from "../ExchangeDialect.ts"
import type { Watch, WorldLevel, WorldTicker } from "../ExchangeDialect.ts"
import {
  BookChannel,
  ContractStatsChannel,
  DepthChannel,
  KlineChannel,
  liquidationsOf,
  NumberedChannel,
  StatisticsChannel,
  TickerChannel,
  tradesOf
} from "./Channels.ts"
import type { Channel, Watcher } from "./Channels.ts"
import type { Ladder } from "./Ladder.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import type { PairFacts } from "./PairFacts.ts"
import type { SteppedMarket } from "./SteppedMarket.ts"

type WatchOf<Tag extends Watch["_tag"]> = Extract<Watch, { readonly _tag: Tag }>

/** What stands between a channel and a listener of the dialect. */
export type Wrap = <A>(listener: (news: A) => void) => (news: A) => void

/** How a watch begins. */
interface From {
  /** Simulated time since the start, ms. */
  readonly elapsed: number
  /** Where in its interval book deltas are cut, in [0, 1). */
  readonly phase: number
}

/** The order in which a market tells. */
const kinds: ReadonlyArray<Watch["_tag"]> = [
  "Ticker",
  "Trades",
  "Depth",
  "Book",
  "Statistics",
  "Kline",
  "Liquidations",
  "ContractStats"
]

const firstDue = (channels: ReadonlyArray<Channel<never>>): number => {
  let due = Infinity
  for (const channel of channels) due = Math.min(due, channel.due)
  return due
}

/** A market and everyone who watches it. The market is made when somebody first looks at it. */
export class MarketFeed {
  readonly facts: PairFacts
  readonly #make: () => SteppedMarket
  readonly #channels = new Map<string, Channel<never>>()
  #market: SteppedMarket | null = null
  /** Those of the channels that have watchers. */
  #listed: ReadonlyArray<Channel<never>> = []
  /** When the first of them has something to tell, if the market stays as it is; simulated ms since the start. */
  #due = Infinity
  /** Something may have happened in the market since they were asked. */
  #touched = false
  #ticker: WorldTicker | null = null

  constructor(facts: PairFacts, make: () => SteppedMarket) {
    this.facts = facts
    this.#make = make
  }

  /** As it is now. */
  get market(): SimulatedMarket {
    const made = this.#market ??= this.#make()
    made.catchUp()
    this.#touched = true
    return made.market
  }

  /** Time has made a step, which is made here too when something happens in it. */
  step(): void {
    if (this.#market?.isDue !== false) void this.market
  }

  get isWatched(): boolean {
    return this.#listed.length > 0
  }

  /** Best bid and ask, with the version that made them. */
  readonly ticker = (): WorldTicker => {
    const { bids, asks, topVersion, topTime } = this.market.book
    if (this.#ticker?.version !== topVersion) {
      this.#ticker = { version: topVersion, time: topTime, bid: this.#best(bids), ask: this.#best(asks) }
    }
    return this.#ticker
  }

  /** Tells whoever is to be told now; `before` is when that was done last. Simulated ms since the start. */
  fire(elapsed: number, before: number): void {
    if (!this.isWatched || (elapsed < this.#due && !this.#touched)) return
    void this.market
    this.#touched = false
    for (const channel of this.#listed) channel.fire(elapsed, before)
    this.#due = firstDue(this.#listed)
  }

  /** Tells those who wait for no interval. */
  fireAtOnce(): void {
    for (const channel of this.#listed) {
      if (channel.everyMillis === 0) channel.tell()
    }
  }

  watch(watch: Watch, from: From, wrap: Wrap): () => void {
    switch (watch._tag) {
      case "Ticker":
      case "Trades":
      case "Depth":
      case "Book":
        return this.#watchBook(watch, from, wrap)
      case "Statistics":
      case "Kline":
        return this.#watchTape(watch, from, wrap)
      case "Liquidations":
      case "ContractStats":
        return this.#watchSwap(watch, from, wrap)
    }
  }

  #watchBook(watch: WatchOf<"Ticker" | "Trades" | "Depth" | "Book">, { elapsed, phase }: From, wrap: Wrap): () => void {
    const { everyMillis } = watch
    const { market } = this
    switch (watch._tag) {
      case "Ticker": {
        const repeat = watch.repeat === true
        const make = () => new TickerChannel(market, everyMillis, elapsed, repeat, this.ticker)
        return this.#join(`Ticker ${everyMillis} ${repeat}`, make, market.book.version, wrap(watch.listener))
      }
      case "Trades": {
        const make = () => new NumberedChannel(market, everyMillis, elapsed, tradesOf(market))
        return this.#join(`Trades ${everyMillis}`, make, market.tradeCount, wrap(watch.listener))
      }
      case "Depth": {
        const { listener, window = Infinity } = watch
        const offset = Math.floor(phase * everyMillis)
        const make = () => new DepthChannel(market, everyMillis, elapsed, offset, window)
        return this.#join(`Depth ${everyMillis} ${window} ${offset}`, make, market.book.version, wrap(listener), window)
      }
      case "Book": {
        const { levels } = watch
        const make = () => new BookChannel(market, everyMillis, elapsed, levels)
        return this.#join(`Book ${everyMillis} ${levels}`, make, market.book.version, wrap(watch.listener))
      }
    }
  }

  #watchTape(watch: WatchOf<"Statistics" | "Kline">, { elapsed }: From, wrap: Wrap): () => void {
    const { everyMillis } = watch
    const { market } = this
    if (watch._tag === "Statistics") {
      const make = () => new StatisticsChannel(market, everyMillis, elapsed)
      return this.#join(`Statistics ${everyMillis}`, make, -1, wrap(watch.listener))
    }
    const { interval, price } = watch
    const { openTime } = windowOf(interval, market.time)
    const make = () => new KlineChannel(market, everyMillis, elapsed, interval, price)
    return this.#join(`Kline ${everyMillis} ${interval} ${price}`, make, openTime, wrap(watch.listener))
  }

  #watchSwap(watch: WatchOf<"Liquidations" | "ContractStats">, { elapsed }: From, wrap: Wrap): () => void {
    const { everyMillis } = watch
    const { market } = this
    const { swap } = market
    if (swap === null) throw new RangeError(`a dialect watches ${watch._tag} of ${this.facts.pair}, which is no swap`)
    if (watch._tag === "Liquidations") {
      const make = () => new NumberedChannel(market, everyMillis, elapsed, liquidationsOf(swap))
      return this.#join(`Liquidations ${everyMillis}`, make, swap.liquidationCount, wrap(watch.listener))
    }
    const { interval } = watch
    const make = () => new ContractStatsChannel(market, everyMillis, elapsed, interval)
    return this.#join(`ContractStats ${everyMillis} ${interval}`, make, 0, wrap(watch.listener))
  }

  #join<News>(
    key: string,
    make: () => Channel<News>,
    seen: number,
    tell: (news: News) => void,
    window = Infinity
  ): () => void {
    const { bids, asks } = this.market.book
    // The key says what is told.
    const joined = (this.#channels.get(key) ?? make()) as Channel<News>
    this.#channels.set(key, joined as Channel<never>)
    const watcher: Watcher<News> = {
      seen,
      bidBoundary: bids.boundary(window),
      askBoundary: asks.boundary(window),
      tell
    }
    joined.watchers.add(watcher)
    this.#list()
    return () => {
      joined.watchers.delete(watcher)
      if (joined.watchers.size > 0 || this.#channels.get(key) !== joined as Channel<never>) return
      this.#channels.delete(key)
      this.#list()
    }
  }

  /** A new list, so that a round under way is not disturbed. In the order of the kinds, then of joining. */
  #list(): void {
    const all = [...this.#channels]
    this.#listed = kinds.flatMap((kind) =>
      all.filter(([key]) => key.startsWith(`${kind} `)).map(([, channel]) => channel)
    )
    this.#due = firstDue(this.#listed)
  }

  #best(ladder: Ladder): WorldLevel | null {
    return ladder.levels(1, this.facts.priceDecimals, this.facts.quantityDecimals)[0] ?? null
  }
}
