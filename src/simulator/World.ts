/** One exchange's markets as its dialect sees them: books, and what can be watched of them. */
import { noAccounts } from "../AccountWorld.ts"
import type { AccountWorld, WorldAccountEvent } from "../AccountWorld.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { Watch, World, WorldBook, WorldMarket, WorldSwap } from "../ExchangeDialect.ts"
import { accountGate } from "./AccountGate.ts"
import type { AccountGateOptions } from "./AccountGate.ts"
import { Accounts } from "./Accounts.ts"
import type { AccountSeed, MarketSource } from "./Accounts.ts"
import type { Carried } from "./Counts.ts"
import { MarketFeed } from "./MarketFeed.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import { factsOf } from "./PairFacts.ts"
import type { SwapFacts } from "./PairFacts.ts"
import type { SteppedMarket } from "./SteppedMarket.ts"

/** What a listener is being told about, so that the frames it sends can be attributed. */
export interface Source {
  readonly channel: Carried
  /** Null where it is about no single pair. */
  readonly pair: TradingPair | null
}

/** Whoever runs the dialect's code: a connection. */
export interface Owner {
  /** Hands news to a listener of the dialect; what it throws ends the owner. */
  readonly deliver: <News>(source: Source, listener: (news: News) => void, news: News) => void
  /** Everything the owner watches, to be stopped when it ends. */
  readonly stops: Set<() => void>
  /** Where in their interval its book deltas are cut, in [0, 1). */
  readonly phase: number
}

/** With so many markets, those that nobody looks at rest. Resting costs nothing, and looking makes up for it. */
const fewMarkets = 64

export interface WorldOptions {
  readonly pairs: ReadonlyArray<TradingPair>
  readonly make: (pair: TradingPair) => SteppedMarket
  /** ms since the epoch. */
  readonly now: () => number
  /** Of what happens now in the markets, ms since the epoch. */
  readonly time: () => number
  /** How far the exchange's clock is ahead, ms. */
  readonly skew: () => number
  /** Simulated time since the start, ms. */
  readonly elapsed: () => number
  readonly refuses: (topic: string) => string | null
  /** Called for every REST book; the age it is to have, ms. */
  readonly bookAge: () => number
  readonly accounts:
    & {
      readonly seeds: ReadonlyArray<AccountSeed>
      readonly fees: { readonly maker: string; readonly taker: string }
    }
    & Pick<AccountGateOptions, "counts" | "lacks">
    & {
      /** How young orders and fills are that whoever reads now is not shown, ms. */
      readonly lag: () => number
    }
}

/** Whatever says when it was: by the exchange's own clock, as everything that the exchange stamps. */
const stamped = <News>(news: News, skew: number): News => {
  if (skew === 0) return news
  if (Array.isArray(news)) return news.map((one: unknown) => stamped(one, skew)) as News
  const { time } = news as { readonly time?: number }
  return time === undefined ? news : { ...news, time: time + skew }
}

const accountSource: Source = { channel: "Account", pair: null }

/** The world of one exchange. `World` itself is one object for its whole life: dialects keep state by it. */
export class ExchangeWorld {
  readonly world: World
  /** Whose code runs now. */
  owner: Owner | null = null
  readonly #feeds: ReadonlyMap<TradingPair, MarketFeed>
  readonly #options: WorldOptions
  /** Null when there are none. */
  readonly accounts: Accounts | null
  /** When watchers were last told, simulated ms since the start. */
  #fired = 0
  /** When fundings were last looked for, ms. */
  #funded: number

  constructor(options: WorldOptions) {
    this.#options = options
    this.#funded = options.time()
    this.#feeds = new Map(options.pairs.map((pair) => [pair, new MarketFeed(factsOf(pair), () => this.#make(pair))]))
    this.accounts = options.accounts.seeds.length === 0 ? null : this.#makeAccounts()
    this.world = {
      now: this.#now,
      markets: new Map([...this.#feeds].map(([pair, feed]) => [pair, this.#view(feed)])),
      watch: this.#watch,
      accounts: this.#accountWorld(),
      refuses: options.refuses
    }
  }

  /** The market as it is now; undefined when there is none. */
  market(pair: TradingPair): SimulatedMarket | undefined {
    return this.#feeds.get(pair)?.market
  }

  /** Time has made a step. */
  step(): void {
    const all = this.#feeds.size <= fewMarkets
    const concerned = all ? undefined : this.accounts?.concerned()
    for (const [pair, feed] of this.#feeds) {
      if (all || feed.isWatched || concerned?.has(pair) === true) feed.step()
    }
  }

  /** Pays the fundings that have fallen due, at the rates and mark prices before the next step. */
  fund(): void {
    const { accounts } = this
    if (accounts === null) return
    const time = this.#options.time()
    const last = this.#funded
    this.#funded = time
    for (const [pair, { facts }] of this.#feeds) {
      const interval = facts.swap?.fundingInterval ?? Infinity
      if (Math.floor(time / interval) > Math.floor(last / interval)) this.payFunding(pair)
    }
  }

  /** Says how many positions there are. Without a rate it is the one that has been announced. */
  payFunding(pair: TradingPair, rate?: string): number {
    const market = this.market(pair)
    if (this.accounts === null || market === undefined || market.swap === null) return 0
    return this.accounts.fund(pair, rate ?? market.swapState().fundingRate)
  }

  /** What accounts have set clocks for. */
  tickAccounts(): void {
    this.accounts?.tick(this.#now())
  }

  fire(elapsed: number): void {
    const before = this.#fired
    this.#fired = elapsed
    for (const feed of this.#feeds.values()) feed.fire(elapsed, before)
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
    const from = { elapsed: this.#options.elapsed(), phase: owner?.phase ?? 0 }
    const { skew } = this.#options
    const leave = feed.watch(watch, from, (listener) => {
      if (owner === null) return (news) => listener(stamped(news, skew()))
      return (news) => owner.deliver(source, listener, stamped(news, skew()))
    })
    const stop = (): void => {
      leave()
      owner?.stops.delete(stop)
    }
    owner?.stops.add(stop)
    const { book } = feed.market
    const limit = watch._tag === "Depth" ? watch.window ?? Infinity : watch._tag === "Book" ? watch.levels : 1
    return { book: stamped(book.at(book.version, limit)!, skew()), stop }
  }

  readonly #now = (): number => this.#options.now() + this.#options.skew()

  #make(pair: TradingPair): SteppedMarket {
    const stepped = this.#options.make(pair)
    const { accounts } = this
    if (accounts !== null) {
      stepped.market.observer = {
        onTrade: (side, price, quantity, time) => accounts.onTrade(pair, side, price, quantity, time),
        onMove: (time) => accounts.settle(pair, time)
      }
    }
    return stepped
  }

  #makeAccounts(): Accounts {
    const { accounts: { fees, seeds }, time } = this.#options
    const markets = [...this.#feeds.values()].map((feed) => sourceOf(feed, time))
    return new Accounts({ markets, seeds, fees, now: this.#now, marketTime: time })
  }

  #accountWorld(): AccountWorld {
    const { accounts: { counts, lacks, lag } } = this.#options
    if (this.accounts === null) return noAccounts
    const shownUntil = (): number => {
      const millis = lag()
      return millis === 0 ? Infinity : this.#now() - millis
    }
    return accountGate(this.accounts, { counts, lacks, shownUntil, own: this.#watchAccount })
  }

  readonly #watchAccount: AccountGateOptions["own"] = (listener, watch) => {
    const { owner } = this
    if (owner === null) return watch(listener)
    const leave = watch((event: WorldAccountEvent) => owner.deliver(accountSource, listener, event))
    const stop = (): void => {
      leave()
      owner.stops.delete(stop)
    }
    owner.stops.add(stop)
    return stop
  }

  #view(feed: MarketFeed): WorldMarket {
    const { facts, ticker } = feed
    return {
      pair: facts.pair,
      base: facts.base,
      quote: facts.quote,
      priceDecimals: facts.priceDecimals,
      quantityDecimals: facts.quantityDecimals,
      minQuantity: facts.minQuantity,
      minNotional: facts.minNotional,
      swap: facts.swap === null ? null : swapOf(facts.swap, feed),
      book: (limit) => {
        const { book } = feed.market
        const age = this.#options.bookAge()
        const version = age > 0 ? book.versionAt(this.#options.now() - age) : book.version
        return stamped(book.at(version, limit)!, this.#options.skew())
      },
      ticker: () => stamped(ticker(), this.#options.skew()),
      statistics: (since) => stamped(feed.market.statistics(since), this.#options.skew())
    }
  }
}

const swapOf = ({ contractSize, decimal, fundingInterval, markDecimals }: SwapFacts, feed: MarketFeed): WorldSwap => ({
  contractSize,
  decimal,
  fundingInterval,
  markDecimals,
  state: () => feed.market.swapState()
})

const sourceOf = (feed: MarketFeed, time: () => number): MarketSource => {
  const { facts } = feed
  return {
    ...facts,
    contractSize: facts.swap?.contractSize ?? null,
    get book() {
      return feed.market.book
    },
    print: (side, price, quantity) => void feed.market.print(side, price, quantity, time()),
    markPrice: () => feed.market.swapState().markPrice
  }
}
