/** A world and a peer whose clock and data the test moves by hand. */
import type { AccountWorld } from "../../src/AccountWorld.ts"
import { noAccounts } from "../../src/AccountWorld.ts"
import { partsOf, type TradingPair } from "../../src/domain/Instrument.ts"
import type {
  About,
  DialectConnection,
  DialectOptions,
  DialectResponse,
  ExchangeDialect,
  Peer,
  Watch,
  World,
  WorldBook,
  WorldDelta,
  WorldMarket,
  WorldStatistics,
  WorldSwap,
  WorldTicker,
  WorldTrade
} from "../../src/ExchangeDialect.ts"

export const emptyBook: WorldBook = { version: 0, bids: [], asks: [], time: 0 }

export const emptyStatistics: WorldStatistics = {
  open: "0",
  high: "0",
  low: "0",
  last: "0",
  quantity: "0",
  baseVolume: "0",
  quoteVolume: "0",
  time: 0
}

const fakeSwap: WorldSwap = {
  contractSize: "0.0001",
  decimal: true,
  markDecimals: 3,
  fundingInterval: 28_800_000,
  state: () => ({
    markPrice: "0",
    indexPrice: "0",
    fundingRate: "0",
    nextFundingTime: 0,
    openInterest: "0"
  })
}

export interface Sent {
  readonly frame: string | Uint8Array
  readonly about: About
}

type NewsOf<Tag extends Watch["_tag"]> = Parameters<Extract<Watch, { readonly _tag: Tag }>["listener"]>[0]

interface Task {
  readonly at: number
  readonly run: () => void
}

interface Market {
  book: WorldBook
  statistics: WorldMarket["statistics"]
  /** Limits asked of the REST cache. */
  readonly limits: Array<number>
}

export class FakeWorld {
  clock: number
  accounts: AccountWorld = noAccounts
  readonly refused = new Map<string, string>()
  readonly watches: Array<Watch> = []
  readonly markets = new Map<TradingPair, WorldMarket>()
  readonly #state = new Map<TradingPair, Market>()
  readonly #tasks = new Set<Task>()

  constructor(pairs: ReadonlyArray<TradingPair>, clock = 1_800_000_000_000) {
    this.clock = clock
    for (const pair of pairs) this.#add(pair)
  }

  #add(pair: TradingPair): void {
    const state: Market = { book: emptyBook, statistics: () => emptyStatistics, limits: [] }
    const { base, quote, settle } = partsOf(pair)
    this.#state.set(pair, state)
    this.markets.set(pair, {
      pair,
      base,
      quote,
      priceDecimals: 2,
      quantityDecimals: 8,
      minQuantity: "0.0001",
      minNotional: "1",
      swap: settle === undefined ? null : fakeSwap,
      book: (limit) => {
        state.limits.push(limit)
        return { ...state.book, bids: state.book.bids.slice(0, limit), asks: state.book.asks.slice(0, limit) }
      },
      ticker: () => ({ version: 0, bid: null, ask: null, time: 0 }),
      statistics: (since) => state.statistics(since)
    })
  }

  readonly world: World = {
    now: () => this.clock,
    markets: this.markets,
    watch: (watch) => {
      this.watches.push(watch)
      return {
        book: this.#state.get(watch.pair)!.book,
        stop: () => {
          const at = this.watches.indexOf(watch)
          if (at >= 0) this.watches.splice(at, 1)
        }
      }
    },
    accounts: { find: (apiKey) => this.accounts.find(apiKey) },
    refuses: (topic) => this.refused.get(topic) ?? null
  }

  setBook(pair: TradingPair, book: WorldBook): void {
    this.#state.get(pair)!.book = book
  }

  setStatistics(pair: TradingPair, statistics: WorldMarket["statistics"]): void {
    this.#state.get(pair)!.statistics = statistics
  }

  changeMarket(pair: TradingPair, change: Partial<WorldMarket>): void {
    this.markets.set(pair, { ...this.markets.get(pair)!, ...change })
  }

  limitsAsked(pair: TradingPair): ReadonlyArray<number> {
    return this.#state.get(pair)!.limits
  }

  /** Tells all who watch this kind of thing. */
  tell<Tag extends Watch["_tag"]>(tag: Tag, news: NewsOf<Tag>): void {
    for (const watch of this.watches) if (watch._tag === tag) (watch.listener as (news: NewsOf<Tag>) => void)(news)
  }

  ticker(ticker: WorldTicker): void {
    this.tell("Ticker", ticker)
  }

  trades(trades: ReadonlyArray<WorldTrade>): void {
    this.tell("Trades", trades)
  }

  delta(delta: WorldDelta): void {
    this.tell("Depth", delta)
  }

  /** Runs what falls due, in time order. */
  advance(millis: number): void {
    const until = this.clock + millis
    for (;;) {
      const due = [...this.#tasks].filter((task) => task.at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#tasks.delete(due)
      this.clock = Math.max(this.clock, due.at)
      due.run()
    }
    this.clock = until
  }

  after(millis: number, run: () => void): () => void {
    const task: Task = { at: this.clock + millis, run }
    this.#tasks.add(task)
    return () => this.#tasks.delete(task)
  }

  request(
    dialect: ExchangeDialect,
    path: string,
    query: Readonly<Record<string, string>> = {},
    options: DialectOptions = { limits: "off" },
    method = "GET",
    headers: Readonly<Record<string, string>> = {}
  ): DialectResponse {
    return dialect.onHttp(
      {
        method,
        path,
        query: new Map(Object.entries(query)),
        search: new URLSearchParams(query).toString(),
        address: "127.0.0.1",
        headers,
        body: ""
      },
      this.world,
      options
    )
  }
}

/** A client's socket: what the server sent, and whether it has ended. */
export class FakeClient {
  readonly sent: Array<Sent> = []
  closed: { readonly code: number; readonly reason: string; readonly at: number } | null = null
  /** Closes the socket from inside the next send, as a fault does. */
  dropOnSend = false
  readonly connection: DialectConnection
  readonly #world: FakeWorld

  constructor(
    dialect: ExchangeDialect,
    world: FakeWorld,
    options: DialectOptions = { limits: "off" },
    headers: Readonly<Record<string, string>> = {},
    query: Readonly<Record<string, string>> = {}
  ) {
    this.#world = world
    const peer: Peer = {
      headers,
      query: new Map(Object.entries(query)),
      address: "127.0.0.1",
      send: (frame, about) => {
        if (this.closed !== null) return
        this.sent.push({ frame, about })
        if (this.dropOnSend) this.#end(1006, "dropped")
      },
      close: (code, reason) => this.#end(code, reason),
      after: (millis, run) =>
        world.after(millis, () => {
          if (this.closed === null) run()
        })
    }
    this.connection = dialect.connect(world.world, peer, options)
  }

  #end(code: number, reason: string): void {
    if (this.closed !== null) return
    this.closed = { code, reason, at: this.#world.clock }
    this.connection.onClose()
  }

  send(message: unknown): void {
    this.connection.onFrame(
      typeof message === "string" || message instanceof Uint8Array ? message : JSON.stringify(message)
    )
  }

  /** Takes what came since the last call. */
  take(): ReadonlyArray<Sent> {
    return this.sent.splice(0)
  }

  texts(): ReadonlyArray<string> {
    return this.take().map(({ frame }) => {
      if (typeof frame !== "string") throw new Error("a binary frame where text was expected")
      return frame
    })
  }

  binaries(): ReadonlyArray<Uint8Array> {
    return this.take().map(({ frame }) => {
      if (typeof frame === "string") throw new Error("a text frame where bytes were expected")
      return frame
    })
  }
}
