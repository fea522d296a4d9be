/** A market service whose subscriptions, REST calls and clock do what a test says. */
import { Deferred, Effect, Layer, References } from "effect"
import type { Scope } from "effect"
import * as PublicExchange from "../../src/composite/PublicExchange.ts"
import type { PublicChannel, PublicTag } from "../../src/domain/Channel.ts"
import type { Gap } from "../../src/domain/Feed.ts"
import type { Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import { spot } from "../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate, FuturesTicker, Levels, MarketEvent } from "../../src/domain/Market.ts"
import type { ClockReading } from "../../src/ExchangeClock.ts"
import { ExchangeClock } from "../../src/ExchangeClock.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import type { FeedHandlers } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"

export const exchange = "test-spot"
export const [btc, eth, sol] = ["BTC/USDT", "ETH/USDT", "SOL/USDT"] as const

export const instrument = (pair: TradingPair, facts: Partial<Instrument> = {}): Instrument => {
  const [base = "", quote = ""] = pair.split("/")
  return spot({ exchange, symbol: `${base}${quote}`, base, quote, priceStep: 0.01, quantityStep: 0.001, ...facts })
}

const rejection = (pair: string, answerClass: "item" | "retryable") =>
  ExchangeError.make(
    exchange,
    new ExchangeError.SubscriptionRejected({ symbol: pair, topic: pair, code: "1", detail: "no", class: answerClass })
  )
export const refusal = (pair: string) => rejection(pair, "item")
export const passing = (pair: string) => rejection(pair, "retryable")

export const snapshot = (pair: TradingPair, version: number, bids: Levels, asks: Levels): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "snapshot",
  pair,
  symbol: pair.replace("/", ""),
  bids,
  asks,
  firstVersion: version,
  version,
  exchangeTime: null,
  receivedAt: version,
  contractSize: 1,
  exact: null
})

export const quote = (pair: TradingPair, facts: Partial<BookTicker> = {}): BookTicker => ({
  _tag: "BookTicker",
  pair,
  symbol: pair.replace("/", ""),
  bidPrice: 99,
  bidQuantity: 1,
  askPrice: 101,
  askQuantity: 2,
  version: null,
  exchangeTime: 7,
  receivedAt: 8,
  contractSize: 1,
  exact: null,
  ...facts
})

export const futures = (pair: TradingPair, facts: Partial<FuturesTicker> = {}): FuturesTicker => ({
  _tag: "FuturesTicker",
  pair,
  symbol: pair.replace("/", ""),
  lastPrice: 100,
  markPrice: 100.5,
  indexPrice: 100.25,
  fundingRate: 0.0001,
  nextFundingTime: 9_000,
  fundingInterval: 28_800_000,
  openInterest: null,
  highPrice: null,
  lowPrice: null,
  change: null,
  contractVolume: null,
  baseVolume: null,
  quoteVolume: null,
  exchangeTime: null,
  receivedAt: 8,
  contractSize: 1,
  exact: null,
  ...facts
})

type Answer = Effect.Effect<void, ExchangeError.ExchangeError>

const keyOf = (tag: PublicTag, pair: TradingPair): string => `${tag} ${pair}`

export class PublicWorld {
  readonly #answers = new Map<string, Array<Answer>>()
  readonly feeds = new Map<string, FeedHandlers<MarketEvent>>()
  /** Subscriptions that were asked for, in order. */
  readonly asked: Array<string> = []
  listed: Effect.Effect<ReadonlyArray<Instrument>, ExchangeError.ExchangeError> = Effect.succeed(
    [btc, eth, sol].map((pair) => instrument(pair))
  )
  measured: Effect.Effect<ClockReading, ExchangeError.ExchangeError> = Effect.succeed({
    offsetMs: 3,
    errorMs: 1,
    at: 0
  })
  /** The measurement that holds; null before the first. */
  reading: ClockReading | null = null
  isConnected = true
  reads = 0

  /** How the exchange answers the next subscriptions of a channel; it takes them when nothing is said. */
  answer(tag: PublicTag, pair: TradingPair, ...answers: ReadonlyArray<Answer>): void {
    this.#answers.set(keyOf(tag, pair), [...answers])
  }

  feed(tag: PublicTag, pair: TradingPair): FeedHandlers<MarketEvent> {
    const feed = this.feeds.get(keyOf(tag, pair))
    if (feed === undefined) throw new Error(`nobody is subscribed to ${keyOf(tag, pair)}`)
    return feed
  }

  send(tag: PublicTag, pair: TradingPair, event: MarketEvent): void {
    const feed = this.feed(tag, pair)
    feed.onEvent(event)
    feed.onTurn?.()
  }

  /** A book in sync, 99 to 101. */
  sync(...pairs: ReadonlyArray<TradingPair>): void {
    for (const pair of pairs) this.send("Book", pair, snapshot(pair, 10, [99, 1], [101, 1]))
  }

  gap(tag: PublicTag, pair: TradingPair): void {
    const gap: Gap = { _tag: "Gap", cause: "Reconnected", channel: tag, pair, symbol: pair, at: 0 }
    this.feed(tag, pair).onGap(gap)
  }

  end(tag: PublicTag, pair: TradingPair, error: ExchangeError.ExchangeError): void {
    this.feed(tag, pair).onEnd?.(error)
  }

  readonly handleFeed = (channel: PublicChannel, handlers: FeedHandlers<MarketEvent>) => {
    const key = keyOf(channel._tag, channel.pair)
    return Effect.andThen(
      Effect.addFinalizer(() => Effect.sync(() => this.feeds.get(key) === handlers && this.feeds.delete(key))),
      Effect.suspend(() => {
        this.asked.push(key)
        this.feeds.set(key, handlers)
        return this.#answers.get(key)?.shift() ?? Effect.void
      })
    )
  }

  layer(channels: ReadonlyArray<PublicTag>) {
    return Layer.mergeAll(
      Layer.mock(PublicWebsocket, {
        exchange,
        channels: new Set(channels),
        isConnected: Effect.sync(() => this.isConnected),
        handleFeed: this.handleFeed as never,
        reportMissed: () => false
      }),
      Layer.mock(MarketRest, {
        exchange,
        instruments: Effect.suspend(() => {
          this.reads++
          return this.listed
        })
      }),
      Layer.mock(ExchangeClock, {
        exchange,
        doubt: () => {},
        current: () => this.reading,
        measure: Effect.suspend(() => this.measured).pipe(Effect.tap((found) =>
          Effect.sync(() => {
            this.reading = found
          })
        ))
      })
    )
  }
}

export interface MarketSetup {
  readonly world: PublicWorld
  readonly market: PublicExchange.PublicExchange["Service"]
}

export const withMarket = <A, E>(
  body: (setup: MarketSetup) => Effect.Effect<A, E, Scope.Scope>,
  options: PublicExchange.PublicExchangeOptions & { readonly channels?: ReadonlyArray<PublicTag> } = {},
  world = new PublicWorld()
): Effect.Effect<A, E> => {
  const { channels = ["BookTicker", "Book"], ...others } = options
  return Effect.flatMap(PublicExchange.PublicExchange, (market) => body({ world, market })).pipe(
    Effect.scoped,
    Effect.provide(Layer.provide(
      PublicExchange.layer({ audit: { booksPerHour: 0 }, ...others }),
      world.layer(channels)
    )),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

/** Something that a test opens. */
export const gate = (): { readonly opened: Effect.Effect<void>; readonly open: () => void } => {
  const deferred = Deferred.makeUnsafe<void>()
  return { opened: Deferred.await(deferred), open: () => Deferred.doneUnsafe(deferred, Effect.void) }
}
