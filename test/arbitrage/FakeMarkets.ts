/** Markets whose islands come, go and change by hand. */
import { Effect, FiberMap, Layer, PubSub, Stream } from "effect"
import { Markets } from "../../src/composite/Markets.ts"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { LiveBook, StaleCause } from "../../src/composite/OrderBooks.ts"
import type { BookConsumer, InstrumentChange, Instruments, PublicExchange } from "../../src/composite/PublicExchange.ts"
import type { ExchangeId, Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import type { FuturesTicker, Levels } from "../../src/domain/Market.ts"
import type { ClockReading } from "../../src/ExchangeClock.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { among } from "./Fakes.ts"
import type { BookFacts } from "./Scenes.ts"

/** One life of an exchange's market. */
export class FakeMarket {
  readonly exchange: ExchangeId
  readonly consumers = new Set<BookConsumer>()
  clock: ClockReading | null = { offsetMs: 0, errorMs: 1, at: 0 }
  listed: ReadonlyArray<Instrument> = []
  failures = 0
  reads = 0
  readonly tickers = new Map<TradingPair, FuturesTicker>()
  readonly #books = new Map<TradingPair, OrderBook>()
  readonly #live = new Map<TradingPair, LiveBook>()
  readonly #changes = Effect.runSync(PubSub.unbounded<InstrumentChange>())
  #version = 0

  constructor(exchange: ExchangeId) {
    this.exchange = exchange
  }

  /** The whole book is these levels now. */
  set(pair: TradingPair, facts: BookFacts): void {
    const book = this.#books.get(pair) ?? new OrderBook(pair)
    this.#books.set(pair, book)
    const version = facts.version ?? ++this.#version
    const { asks, bids } = facts
    book.apply({
      _tag: "BookUpdate",
      kind: "snapshot",
      pair,
      symbol: pair,
      bids,
      asks,
      firstVersion: version,
      version,
      exchangeTime: facts.exchangeTime ?? null,
      receivedAt: facts.receivedAt ?? 0,
      contractSize: 1,
      exact: null
    })
    this.#publish({ _tag: "Synced", pair, book: book.view!, since: 0 })
  }

  /** Best prices with a unit each. */
  quote(pair: TradingPair, bid: number, ask: number, receivedAt: number, exchangeTime: number | null = null): void {
    const side = (price: number): Levels => [price, 1]
    this.set(pair, { bids: side(bid), asks: side(ask), receivedAt, exchangeTime })
  }

  lose(pair: TradingPair, cause: StaleCause = "Reconnected"): void {
    this.#books.get(pair)?.end()
    this.#publish({ _tag: "Stale", pair, cause, since: 0, lastVersion: null, error: null })
  }

  /** What is listed has changed. */
  change(_tag: InstrumentChange["_tag"], instrument: Instrument): Effect.Effect<boolean> {
    return PubSub.publish(this.#changes, { _tag, instrument })
  }

  #publish(live: LiveBook): void {
    this.#live.set(live.pair, live)
    for (const consumer of this.consumers) consumer(live)
  }

  get service(): PublicExchange["Service"] {
    const all = Effect.suspend(() => {
      this.reads++
      if (this.failures-- > 0) {
        return Effect.fail(
          ExchangeError.make(this.exchange, new ExchangeError.Disconnected({ code: 1006, detail: "gone" }))
        )
      }
      return Effect.succeed(new Map(this.listed.map((instrument) => [instrument.pair, instrument])))
    })
    const scriptedInstruments: Partial<Instruments> = { all, changes: Stream.fromPubSub(this.#changes) }
    const scripted: Partial<PublicExchange["Service"]> = {
      exchange: this.exchange,
      book: (pair) => this.#live.get(pair),
      clock: () => this.clock,
      futuresTicker: (pair) => this.tickers.get(pair) ?? null,
      onBook: (consumer) => among(this.consumers, consumer),
      instruments: scriptedInstruments as Instruments
    }
    return scripted as PublicExchange["Service"]
  }
}

/** A program's islands. */
export class FakeMarkets {
  readonly ids: ReadonlyArray<ExchangeId>
  readonly #islands = new Map<ExchangeId, FakeMarket>()
  #follow: ((exchange: ExchangeId) => void) | null = null

  constructor(ids: ReadonlyArray<ExchangeId>) {
    this.ids = ids
  }

  /** An island is there, or, without a market, there no more. */
  place(exchange: ExchangeId, market: FakeMarket | null): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (market === null) this.#islands.delete(exchange)
      else this.#islands.set(exchange, market)
      this.#follow?.(exchange)
      return settle
    })
  }

  readonly layer: Layer.Layer<Markets> = Layer.sync(Markets, () => {
    const each: Markets["Service"]["each"] = Effect.fnUntraced({ self: this }, function*(use) {
      const run = yield* FiberMap.makeRuntime<never, ExchangeId>()
      this.#follow = (exchange) => {
        const market = this.#islands.get(exchange)
        run(
          exchange,
          market === undefined
            ? Effect.void
            : Effect.scoped(Effect.andThen(use({ exchange, market: market.service, account: null }), Effect.never))
        )
      }
      for (const exchange of this.#islands.keys()) this.#follow(exchange)
    })
    return { ids: this.ids, each } as Markets["Service"]
  })
}

/** Lets every fiber do what it can do now. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 20 })
