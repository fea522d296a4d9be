/** The product through its Layers: session, subscriptions, metrics, gap checks. As a program would load it. */
import { Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import { Exchanges, OrderBooks, PublicExchange, PublicWebsocket } from "effect-exchange"
import type { BookView } from "../../../src/composite/OrderBook.ts"
import type { ChannelChoice } from "../../../src/domain/Channel.ts"
import type { Feed } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate, MarketEvent } from "../../../src/domain/Market.ts"
import type { ExchangeClock } from "../../../src/ExchangeClock.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { MarketRest } from "../../../src/MarketRest.ts"
import { versionStep } from "../Protocol.ts"
import { advance, comparedLevels, compete, consume, faults, finish, job, onEach, restUrl, setup, url } from "./Run.ts"
import type { Book } from "./Run.ts"

const pairs = setup.pairs as ReadonlyArray<TradingPair>
const choices = setup.choices as ReadonlyArray<ChannelChoice>

/** Waits for every book's snapshot; nothing else needs state to begin from. */
const allSynced = (): Promise<void> => {
  if (!setup.isBook) return Promise.resolve()
  const seen = new Set<string>()
  return new Promise((resolve) => {
    onEach((event) => {
      seen.add((event as BookUpdate).symbol)
      if (seen.size < pairs.length) return false
      resolve()
      return true
    })
  })
}

const forBatch = (batch: ReadonlyArray<Feed<MarketEvent>>): void => {
  for (let i = 0; i < batch.length; i++) {
    const element = batch[i]!
    if (element._tag === "Data") consume(element.value)
  }
}

const handlers: PublicWebsocket.PublicWebsocketHandlers = Object.fromEntries(
  choices.map((choice) => {
    const tag = typeof choice === "string" ? choice : choice._tag
    return [tag === "Trades" ? "onTrade" : `on${tag}`, consume]
  })
)

/** All but the first of several only read, so that events are counted once. */
const subscribers: Readonly<Record<string, number>> = { stream: 1, streams4: 4 }

let read = 0

const readBatch = (batch: ReadonlyArray<Feed<MarketEvent>>): void => {
  for (let i = 0; i < batch.length; i++) if (batch[i]!._tag === "Data") read++
}

const initialize = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket.PublicWebsocket
  const { rejected } = yield* websocket.initialize(pairs as [TradingPair], choices as [ChannelChoice])
  faults["failures"]! += rejected.size
})

interface Subscribed {
  readonly status: Effect.Effect<{ readonly crossed: number; readonly gaps: number }>
  readonly bookOf: ((pair: string) => Book | null) | undefined
}

type Subscribing = Effect.Effect<
  Subscribed,
  ExchangeError,
  PublicWebsocket.PublicWebsocket | MarketRest | ExchangeClock | Scope.Scope
>

const noBooks: Subscribed = { status: Effect.succeed({ crossed: 0, gaps: 0 }), bookOf: undefined }

const subscribeEvents = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket.PublicWebsocket
  const synced = allSynced()
  if (subscribers[job.contestant] === undefined) yield* websocket.handle(handlers)
  for (let i = 0; i < (subscribers[job.contestant] ?? 0); i++) {
    const take = i === 0 ? forBatch : readBatch
    yield* Effect.forkScoped(Stream.runForEachArray(websocket.events, (batch) => Effect.sync(() => take(batch))))
  }
  yield* Effect.yieldNow
  yield* initialize
  yield* Effect.promise(() => synced)
  return noBooks
})

const topOf = (view: BookView | null): Book | null => view?.top(comparedLevels) ?? null

/** A listener reads the version: how far the book has come. */
const listenerOf = (synced: OrderBooks.Synced): OrderBooks.BookListener => {
  let seen = Number(synced.book.version)
  return (live) => {
    if (live._tag === "Stale") return
    const version = Number(live.book.version)
    advance((version - seen) / versionStep)
    seen = version
  }
}

const subscribeBooks = Effect.gen(function*() {
  const [choice] = choices
  const options = typeof choice === "string" ? {} : choice as { readonly source?: string; readonly depth?: number }
  const books = yield* OrderBooks.make(pairs, options)
  for (const pair of pairs) yield* books.onUpdate(pair, listenerOf(yield* books.awaitSynced(pair)))
  return {
    status: books.status,
    bookOf: (pair: string): Book | null => {
      const live = books.get(pair as TradingPair)
      return live?._tag === "Synced" ? topOf(live.book) : null
    }
  }
})

/** The composite of an exchange's market, of books alone and unaudited. It calls one consumer for every pair. */
const subscribeExchange = Effect.gen(function*() {
  const [choice] = choices
  const book = typeof choice === "string" ? {} : choice as { readonly source?: string; readonly depth?: number }
  const market = yield* PublicExchange.make({ tickers: [], book, audit: { booksPerHour: 0 } })
  const { rejected } = yield* market.initialize(pairs as [TradingPair])
  faults["failures"]! += rejected.size
  const versions = new Map<TradingPair, number>()
  for (const pair of pairs) versions.set(pair, Number((yield* market.awaitBook(pair)).book.version))
  yield* market.onBook((live) => {
    if (live._tag === "Stale") return
    const version = Number(live.book.version)
    const { pair } = live.book
    advance((version - versions.get(pair)!) / versionStep)
    versions.set(pair, version)
  })
  return {
    status: market.books.status,
    bookOf: (pair: string): Book | null => {
      const live = market.book(pair as TradingPair)
      return live?._tag === "Synced" ? topOf(live.book) : null
    }
  }
})

/** The books driven by hand from the session's handlers: no fiber stands between. */
const subscribeFollowers = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket.PublicWebsocket
  const clock = yield* Clock.Clock
  const options = { clock, counters: OrderBooks.makeCounters(), report: () => faults["failures"]!++ }
  const followers = new Map(pairs.map((pair) => [pair, new OrderBooks.BookFollower(pair, options)]))
  const synced = allSynced()
  yield* websocket.handle({
    onBook: (update) => {
      followers.get(update.pair!)!.onBook(update)
      consume(update)
    },
    onGap: (gap) => followers.get(gap.pair!)!.onGap(gap)
  })
  yield* initialize
  yield* Effect.promise(() => synced)
  return {
    status: Effect.succeed({ crossed: options.counters.crossed, gaps: options.counters.gaps }),
    bookOf: (pair: string): Book | null => {
      const { live } = followers.get(pair as TradingPair)!
      return live._tag === "Synced" ? topOf(live.book) : null
    }
  }
})

const ofBooks: Readonly<Record<string, Subscribing>> = {
  books: subscribeBooks,
  followers: subscribeFollowers,
  exchange: subscribeExchange
}

const product = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket.PublicWebsocket
  const books = yield* ofBooks[job.contestant] ?? subscribeEvents
  const hasEvents = ofBooks[job.contestant] === undefined
  const before = yield* websocket.performance
  const report = yield* Effect.promise(() => compete({ hasEvents, bookOf: books.bookOf }))
  const after = yield* websocket.performance
  const status = yield* books.status
  const lost = (counts: typeof after): number =>
    counts.conflated + counts.dropped + counts.stale + counts.topics.reduce((sum, { unrouted }) => sum + unrouted, 0)
  return {
    ...report,
    faults: {
      fallbacks: after.decoderFallbacks,
      failures: after.decodeFailures + after.handlerFailures + faults["failures"]! + status.crossed,
      gaps: after.gaps + status.gaps,
      lost: lost(after) - lost(before)
    }
  }
})

/** The exchange's pace is lifted: setting up is not measured, but in `startup`. */
const limits = {
  topicsPerConnection: setup.topicsPerConnection,
  requestsPerSecond: 10_000,
  dialsPerSecond: 1_000,
  restPerSecond: 10_000,
  restConcurrency: 16
}

const options = { url, restUrl, limits, socket: { compression: job.deflate } }
const layer = Exchanges.layerPublic(setup.exchange, options)

finish(await Effect.runPromise(Effect.provide(Effect.scoped(product), layer)))
