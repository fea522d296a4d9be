import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Queue,
  References,
  Result,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import type { BookChannel } from "../../src/domain/Channel.ts"
import type { Feed, Gap, GapCause } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, Levels } from "../../src/domain/Market.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { FeedHandlers } from "../../src/PublicWebsocket.ts"

const pair = "BTC/USDT"
const exchange = "test-spot"

const bookUpdate = (kind: BookUpdate["kind"], version: number, bids: Levels, asks: Levels): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair,
  symbol: "BTCUSDT",
  bids,
  asks,
  firstVersion: version,
  version,
  exchangeTime: null,
  receivedAt: version,
  contractSize: 1,
  exact: null
})

const data = (value: BookUpdate): Feed<BookUpdate> => ({
  _tag: "Data",
  value,
  receivedAt: value.receivedAt,
  origin: "Stream"
})

const snapshot = (version: number, bids: Levels = [99, 1], asks: Levels = [101, 1]): Feed<BookUpdate> =>
  data(bookUpdate("snapshot", version, bids, asks))

const delta = (version: number, bids: Levels = [], asks: Levels = []): Feed<BookUpdate> =>
  data(bookUpdate("delta", version, bids, asks))

const gap = (cause: GapCause = "Sequence"): Gap => ({
  _tag: "Gap",
  cause,
  channel: "Book",
  pair,
  symbol: "BTCUSDT",
  at: 0
})

const crossing = (version: number): Feed<BookUpdate> => delta(version, [102, 1])

const refused = ExchangeError.make(exchange, new ExchangeError.UnknownPair({ symbol: pair, detail: "not listed" }))
const passing = ExchangeError.make(exchange, new ExchangeError.Disconnected({ code: 1006, detail: "" }))

/** One call of `handleFeed`: what was asked for, and the test's end of it. */
interface OpenFeed {
  readonly channel: BookChannel
  readonly closed: Deferred.Deferred<void>
  /** Delivered as one turn. */
  readonly send: (...batch: ReadonlyArray<Feed<BookUpdate>>) => Effect.Effect<void>
  readonly end: (error: ExchangeError.ExchangeError) => Effect.Effect<void>
}

/** A `PublicWebsocket` that does what the test says. */
class Exchange extends Context.Service<Exchange, {
  /** The next feed that was opened. */
  readonly opened: Effect.Effect<OpenFeed>
  readonly isIdle: Effect.Effect<boolean>
  /** How the exchange answers the feeds to come, in order; it accepts when there is no answer. */
  readonly answer: (...answers: ReadonlyArray<Effect.Effect<void, ExchangeError.ExchangeError>>) => Effect.Effect<void>
}>()("test/Exchange") {}

const makeExchange = Effect.gen(function*() {
  const opened = yield* Queue.unbounded<OpenFeed>()
  const answers: Array<Effect.Effect<void, ExchangeError.ExchangeError>> = []
  const handleFeed = Effect.fnUntraced(function*(channel: BookChannel, handlers: FeedHandlers<BookUpdate>) {
    const closed = yield* Deferred.make<void>()
    let isOpen = true
    yield* Effect.addFinalizer(() => {
      isOpen = false
      return Deferred.succeed(closed, undefined)
    })
    yield* answers.shift() ?? Effect.void
    yield* Queue.offer(opened, {
      channel,
      closed,
      send: (...batch) =>
        Effect.sync(() => {
          if (!isOpen) return
          for (const element of batch) {
            if (element._tag === "Gap") handlers.onGap(element)
            else handlers.onEvent(element.value)
          }
          handlers.onTurn?.()
        }),
      end: (error) => Effect.sync(() => handlers.onEnd?.(error))
    })
  })
  const control = Exchange.of({
    opened: Queue.take(opened),
    isIdle: Effect.map(Queue.size(opened), (size) => size === 0),
    answer: (...next) => Effect.sync(() => void answers.push(...next))
  })
  const websocket = Layer.mock(PublicWebsocket, {
    exchange,
    channels: new Set(["Book"] as const),
    handleFeed: handleFeed as never,
    reportMissed: () => false
  })
  return Layer.merge(websocket, Layer.succeed(Exchange, control))
})

const layer = (pairs: ReadonlyArray<TradingPair> = [], options?: OrderBooks.OrderBooksOptions) =>
  OrderBooks.layer(pairs, options).pipe(Layer.provideMerge(Layer.unwrap(makeExchange)))

/** What a listener is told, as text: it may not keep the book. */
const tell = (live: OrderBooks.LiveBook): string =>
  live._tag === "Synced"
    ? `v${live.book.version} ${live.book.bidPrice()}/${live.book.askPrice()}`
    : `${live.cause} after ${live.lastVersion}`

/** Follows a pair; the effect gives what the listener was told next. */
const watch = Effect.fnUntraced(function*(which: TradingPair = pair) {
  const books = yield* OrderBooks.OrderBooks
  const told = yield* Queue.unbounded<string>()
  yield* books.onUpdate(which, (live) => void Queue.offerUnsafe(told, tell(live)))
  return Queue.take(told)
})

/** A feed that has begun with this, and what a listener is told of it. */
const begun = Effect.fnUntraced(function*(...first: ReadonlyArray<Feed<BookUpdate>>) {
  const feed = yield* (yield* Exchange).opened
  const told = yield* watch()
  assert.strictEqual(yield* told, "Connecting after null")
  yield* feed.send(...first)
  return { feed, told }
})

const synced = Effect.fnUntraced(function*(which: TradingPair = pair) {
  const books = yield* OrderBooks.OrderBooks
  const live = books.get(which)
  assert.strictEqual(live?._tag, "Synced")
  return live as OrderBooks.Synced
})

const stale = Effect.fnUntraced(function*(which: TradingPair = pair) {
  const books = yield* OrderBooks.OrderBooks
  const live = books.get(which)
  assert.strictEqual(live?._tag, "Stale")
  return live as OrderBooks.Stale
})

const nextFailure = Effect.gen(function*() {
  const books = yield* OrderBooks.OrderBooks
  return Option.getOrThrow(yield* Stream.runHead(books.failures))
})

describe("sync", () => {
  it.effect("is Connecting, then Synced with the first snapshot, then follows the deltas", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* (yield* Exchange).opened
      assert.deepStrictEqual(books.pairs(), [pair])
      assert.strictEqual(books.exchange, exchange)
      assert.deepStrictEqual(yield* stale(), {
        _tag: "Stale",
        pair,
        cause: "Connecting",
        since: 0,
        lastVersion: null,
        error: null
      })
      yield* TestClock.adjust(250)
      const told = yield* watch()
      assert.strictEqual(yield* told, "Connecting after null")
      yield* feed.send(snapshot(5))
      assert.strictEqual(yield* told, "v5 99/101")
      const live = yield* books.awaitSynced(pair)
      assert.strictEqual(live, yield* synced())
      assert.strictEqual(live.since, 250)
      assert.strictEqual(live.pair, pair)
      yield* feed.send(delta(6, [100, 2]))
      assert.strictEqual(yield* told, "v6 100/101")
      yield* feed.send(delta(7, [100, 0]), delta(8, [], [101, 0, 103, 1]), delta(9))
      assert.strictEqual(yield* told, "v9 99/103")
      assert.strictEqual(yield* synced(), live)
      assert.strictEqual(live.book.version, 9)
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("passes depth, speed and source on to the feed", () =>
    Effect.gen(function*() {
      const feed = yield* (yield* Exchange).opened
      assert.deepStrictEqual(feed.channel, { _tag: "Book", pair, depth: 50, speed: "10ms", source: "obu" })
    }).pipe(Effect.provide(layer([pair], { depth: 50, speed: "10ms", source: "obu" }))))

  it.effect("takes a snapshot at any time instead of the book, without a break", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const { feed, told } = yield* begun(snapshot(5))
      yield* told
      const { book } = yield* synced()
      yield* feed.send(snapshot(50, [89, 1], [91, 1]))
      assert.strictEqual(yield* told, "v50 89/91")
      assert.strictEqual((yield* synced()).book, book)
      assert.isTrue(book.isCurrent)
      const { gaps, resyncs, snapshots, updates } = yield* books.status
      assert.deepStrictEqual({ gaps, resyncs, snapshots, updates }, { gaps: 0, resyncs: 0, snapshots: 2, updates: 2 })
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("keeps the pairs apart, and a pair that is named twice once", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const first = yield* exchanges.opened
      const second = yield* exchanges.opened
      assert.deepStrictEqual([first.channel.pair, second.channel.pair], [pair, "ETH/USDT"])
      assert.isTrue(yield* exchanges.isIdle)
      yield* second.send(snapshot(3, [9, 1], [11, 1]))
      yield* books.awaitSynced("ETH/USDT")
      assert.strictEqual((yield* stale()).cause, "Connecting")
      assert.strictEqual((yield* synced("ETH/USDT")).book.bidPrice(), 9)
      const { stale: staleCount, synced: syncedCount, tracked } = yield* books.status
      assert.deepStrictEqual([tracked, syncedCount, staleCount], [2, 1, 1])
      yield* books.untrack(pair)
      assert.deepStrictEqual(books.pairs(), ["ETH/USDT"])
    }).pipe(Effect.provide(layer([pair, "ETH/USDT", pair]))))
})

describe("a gap", () => {
  const causes = ["Reconnected", "Sequence", "Overflow", "Silent", "Rotated", "Rejected"] as const

  it.effect.each(causes)("%s makes the book stale until the next snapshot", (cause) =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const { feed, told } = yield* begun(snapshot(5), delta(6))
      yield* told
      const before = yield* synced()
      yield* TestClock.adjust(1_000)
      yield* feed.send(gap(cause))
      assert.strictEqual(yield* told, `${cause} after 6`)
      assert.strictEqual((yield* stale()).since, 1_000)
      assert.isFalse(before.book.isCurrent)
      assert.deepStrictEqual(before.book.bidPrice(), Number.NaN)
      assert.isNull(before.book.bestAsk)
      yield* TestClock.adjust(500)
      yield* feed.send(snapshot(20, [89, 1], [91, 1]))
      assert.strictEqual(yield* told, "v20 89/91")
      const after = yield* synced()
      assert.isTrue(after.book.isCurrent)
      assert.strictEqual(after.since, 1_500)
      assert.isFalse(before.book.isCurrent)
      const { gaps, resyncs, staleMs } = yield* books.status
      assert.deepStrictEqual({ gaps, resyncs, staleMs }, { gaps: 1, resyncs: 1, staleMs: 500 })
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("is told even when the snapshot comes in the same batch", () =>
    Effect.gen(function*() {
      const { feed, told } = yield* begun(snapshot(5))
      yield* told
      yield* feed.send(delta(6, [100, 1]), gap("Overflow"), snapshot(9), delta(10, [98, 1]))
      assert.strictEqual(yield* told, "Overflow after 6")
      assert.strictEqual(yield* told, "v10 99/101")
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("behind a gap gives the newest cause and keeps the time", () =>
    Effect.gen(function*() {
      const { feed, told } = yield* begun(snapshot(5), gap("Sequence"))
      assert.strictEqual(yield* told, "Sequence after 5")
      yield* TestClock.adjust(100)
      yield* feed.send(gap("Reconnected"))
      assert.strictEqual(yield* told, "Reconnected after 5")
      assert.strictEqual((yield* stale()).since, 0)
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("is followed by a delta: it is not applied, counted each time and reported once", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const { feed, told } = yield* begun(snapshot(5), gap(), delta(7, [100, 1]), delta(8, [100, 1]))
      assert.strictEqual(yield* told, "Sequence after 5")
      assert.deepStrictEqual(yield* nextFailure, { _tag: "DeltaWhileStale", pair, at: 0, version: 7 })
      assert.strictEqual((yield* stale()).cause, "Sequence")
      yield* feed.send(snapshot(9))
      assert.strictEqual(yield* told, "v9 99/101")
      assert.strictEqual((yield* synced()).book.bidCount, 1)
      // A later time stale is reported again.
      yield* feed.send(gap(), delta(11))
      assert.strictEqual(yield* told, "Sequence after 9")
      const failures = yield* Stream.runCollect(Stream.take(books.failures, 2))
      assert.deepStrictEqual(failures.map((failure) => failure._tag === "DeltaWhileStale" && failure.version), [7, 11])
      assert.strictEqual((yield* books.status).ignored, 3)
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("does not come back to life with a delta before the first snapshot either", () =>
    Effect.gen(function*() {
      const feed = yield* (yield* Exchange).opened
      yield* feed.send(delta(7, [100, 1]))
      assert.strictEqual((yield* nextFailure)._tag, "DeltaWhileStale")
      assert.strictEqual((yield* stale()).cause, "Connecting")
    }).pipe(Effect.provide(layer([pair]))))
})

describe("a faulty update", () => {
  const faults = [
    {
      name: "crossed",
      update: crossing(6),
      failure: { _tag: "Crossed", pair, at: 0, version: 6, bid: 102, ask: 101 },
      counted: { crossed: 1, invalidLevels: 0 }
    },
    {
      name: "an invalid level",
      update: delta(6, [], [Number.NaN, 3]),
      failure: { _tag: "InvalidLevel", pair, at: 0, version: 6, side: "ask", price: Number.NaN, quantity: 3 },
      counted: { crossed: 0, invalidLevels: 1 }
    }
  ] as const

  it.effect.each(faults)(
    "($name) ends the feed and asks for another one at once",
    ({ counted, failure, update }) =>
      Effect.gen(function*() {
        const exchanges = yield* Exchange
        const books = yield* OrderBooks.OrderBooks
        const { feed, told } = yield* begun(snapshot(5))
        yield* told
        const { book } = yield* synced()
        // What follows in the batch is void, a snapshot included: it may not be newer than the fault.
        yield* feed.send(update, delta(7), snapshot(8))
        assert.strictEqual(yield* told, `${failure._tag} after 5`)
        assert.isFalse(book.isCurrent)
        assert.deepStrictEqual(yield* nextFailure, failure)
        yield* Deferred.await(feed.closed)
        yield* TestClock.adjust(0)
        const again = yield* exchanges.opened
        assert.strictEqual((yield* stale()).cause, failure._tag)
        yield* again.send(snapshot(9, [100, 1]))
        assert.strictEqual(yield* told, "v9 100/101")
        const { crossed, ignored, invalidLevels, resyncs } = yield* books.status
        assert.deepStrictEqual({ crossed, invalidLevels, ignored, resyncs }, { ...counted, ignored: 0, resyncs: 1 })
      }).pipe(Effect.provide(layer([pair])))
  )

  it.effect("that repeats is answered ever more slowly, and at once again after a healthy minute", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      let feed = yield* exchanges.opened
      const faultAfter = Effect.fnUntraced(function*(pauseMs: number) {
        yield* feed.send(snapshot(5, [102, 1], [101, 1]))
        yield* Deferred.await(feed.closed)
        if (pauseMs > 0) {
          yield* TestClock.adjust(pauseMs - 1)
          assert.isTrue(yield* exchanges.isIdle)
          yield* TestClock.adjust(1)
        } else {
          yield* TestClock.adjust(0)
        }
        feed = yield* exchanges.opened
      })
      for (const pauseMs of [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) yield* faultAfter(pauseMs)
      yield* TestClock.adjust(60_000)
      for (const pauseMs of [0, 1_000]) yield* faultAfter(pauseMs)
    }).pipe(Effect.provide(layer([pair]))))
})

describe("a feed that fails", () => {
  it.effect("for good leaves the book stale with its error, until the pair is tracked again", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const { feed, told } = yield* begun(snapshot(5))
      yield* told
      const { book } = yield* synced()
      yield* feed.end(refused)
      assert.strictEqual(yield* told, "Failed after 5")
      assert.strictEqual((yield* stale()).error, refused)
      assert.isFalse(book.isCurrent)
      assert.deepStrictEqual(yield* nextFailure, { _tag: "FeedFailed", pair, at: 0, error: refused, retryIn: null })
      assert.strictEqual(yield* Effect.flip(books.awaitSynced(pair)), refused)
      assert.strictEqual((yield* books.status).feedFailures, 1)
      yield* TestClock.adjust("1 hour")
      assert.isTrue(yield* exchanges.isIdle)
      yield* books.track(pair)
      assert.strictEqual(yield* told, "Connecting after 5")
      assert.isNull((yield* stale()).error)
      yield* (yield* exchanges.opened).send(snapshot(9))
      assert.strictEqual(yield* told, "v9 99/101")
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("with what may pass is asked for again after 1, 2, 4 … s", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const { feed, told } = yield* begun(snapshot(5))
      yield* told
      yield* exchanges.answer(Effect.fail(passing))
      yield* feed.end(passing)
      assert.strictEqual(yield* told, "Retrying after 5")
      assert.strictEqual((yield* stale()).error, passing)
      const waiter = yield* Effect.forkChild(books.awaitSynced(pair))
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* told, "Retrying after 5")
      yield* TestClock.adjust(1_999)
      assert.isTrue(yield* exchanges.isIdle)
      yield* TestClock.adjust(1)
      yield* (yield* exchanges.opened).send(snapshot(9))
      assert.strictEqual(yield* told, "v9 99/101")
      assert.strictEqual((yield* Fiber.join(waiter)).book.version, 9)
      const failures = yield* Stream.runCollect(Stream.take(books.failures, 2))
      assert.deepStrictEqual(failures.map((failure) => failure._tag === "FeedFailed" && failure.retryIn), [
        1_000,
        2_000
      ])
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("because the session is closed does not leave its last state standing", () =>
    Effect.gen(function*() {
      const { feed, told } = yield* begun(snapshot(5))
      yield* told
      yield* feed.end(ExchangeError.make(exchange, new ExchangeError.Closed({ detail: "closed" })))
      assert.strictEqual(yield* told, "Failed after 5")
      assert.strictEqual((yield* stale()).error?.reason._tag, "Closed")
    }).pipe(Effect.provide(layer([pair]))))

  const silentEnds = [
    { name: "dies", answer: Effect.die(new Error("a bug")), detail: "a bug" },
    { name: "is interrupted from within", answer: Effect.interrupt, detail: "feed broke" }
  ]

  it.effect.each(silentEnds)(
    "because it $name is given up, with what happened",
    ({ answer, detail }) =>
      Effect.gen(function*() {
        const exchanges = yield* Exchange
        const { feed, told } = yield* begun(snapshot(5))
        yield* told
        yield* exchanges.answer(answer)
        yield* feed.send(crossing(6))
        assert.strictEqual(yield* told, "Crossed after 5")
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* told, "Failed after 5")
        const { error } = yield* stale()
        assert.strictEqual(error?.reason._tag, "Closed")
        assert.include(error?.message, detail)
      }).pipe(Effect.provide(layer([pair])))
  )

  it.effect("is logged as a warning with exchange and pair", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        const annotations = fiber.getRef(References.CurrentLogAnnotations)
        lines.push(`${logLevel} ${annotations["exchange"]} ${annotations["pair"]} ${String(message)}`)
      })
      yield* Effect.gen(function*() {
        const { feed, told } = yield* begun(snapshot(5), gap(), delta(7), snapshot(8), delta(9, [-1, 1]))
        yield* told
        yield* told
        yield* Deferred.await(feed.closed)
      }).pipe(Effect.provide(layer([pair]).pipe(Layer.provideMerge(Logger.layer([logger])))))
      assert.lengthOf(lines, 2)
      assert.include(lines[0], "Warn test-spot BTC/USDT delta 7 came where a snapshot was due")
      assert.include(lines[1], "Warn test-spot BTC/USDT invalid bid at version 9 (price -1, quantity 1)")
    }))
})

describe("track", () => {
  it.effect("shares one feed between its holders, until the last one's scope closes", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      assert.isUndefined(books.get(pair))
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      yield* Scope.provide(books.track(pair), first)
      yield* Scope.provide(books.track(pair), second)
      const feed = yield* exchanges.opened
      assert.isTrue(yield* exchanges.isIdle)
      yield* feed.send(snapshot(5))
      const { book } = yield* books.awaitSynced(pair)
      yield* Scope.close(first, Exit.void)
      assert.isTrue(book.isCurrent)
      yield* Scope.close(second, Exit.void)
      assert.isTrue(yield* Deferred.isDone(feed.closed))
      assert.isFalse(book.isCurrent)
      assert.isUndefined(books.get(pair))
      assert.deepStrictEqual(books.pairs(), [])
      // A new holder begins anew.
      yield* books.track(pair)
      yield* (yield* exchanges.opened).send(snapshot(50))
      assert.strictEqual((yield* books.awaitSynced(pair)).book.version, 50)
    }).pipe(Effect.provide(layer())))

  it.effect("fails when the exchange refuses, and then holds nothing", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      yield* exchanges.answer(Effect.fail(refused))
      assert.strictEqual(yield* Effect.flip(books.track(pair)), refused)
      assert.isUndefined(books.get(pair))
      assert.strictEqual((yield* nextFailure)._tag, "FeedFailed")
    }).pipe(Effect.provide(layer())))

  it.effect("holds nothing when it is interrupted while it waits for the exchange", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const asked = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      yield* exchanges.answer(
        Deferred.succeed(asked, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const fiber = yield* Effect.forkChild(Effect.scoped(books.track(pair)))
      yield* Deferred.await(asked)
      assert.strictEqual((yield* stale()).cause, "Connecting")
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(interrupted)
      assert.isUndefined(books.get(pair))
    }).pipe(Effect.provide(layer())))

  it.effect("does not share its end with the Layer's own hold, which untrack gives up", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* exchanges.opened
      yield* feed.send(snapshot(5))
      yield* Effect.scoped(books.track(pair))
      const { book } = yield* books.awaitSynced(pair)
      const holder = yield* Scope.make()
      yield* Scope.provide(books.track(pair), holder)
      yield* books.untrack(pair)
      yield* books.untrack(pair)
      yield* books.untrack("ETH/USDT")
      assert.isTrue(book.isCurrent)
      yield* Scope.close(holder, Exit.void)
      assert.isFalse(book.isCurrent)
      assert.isUndefined(books.get(pair))
      assert.isTrue(yield* Deferred.isDone(feed.closed))
    }).pipe(Effect.provide(layer([pair]))))
})

describe("awaitSynced", () => {
  it.effect("fails for a pair that is not tracked", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const error = yield* Effect.flip(books.awaitSynced(pair))
      assert.strictEqual(error.reason._tag, "InvalidUse")
      assert.include(error.message, pair)
    }).pipe(Effect.provide(layer())))

  it.effect("fails when the pair is no longer tracked, and leaves no listener when interrupted", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* (yield* Exchange).opened
      const left = yield* Effect.forkChild(books.awaitSynced(pair))
      const stays = yield* Effect.forkChild(books.awaitSynced(pair))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(left)
      yield* feed.send(gap("Silent"))
      yield* books.untrack(pair)
      const error = yield* Effect.flip(Fiber.join(stays))
      assert.strictEqual(error.reason._tag, "Closed")
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("fails with the error of a feed that is given up while it waits", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* (yield* Exchange).opened
      const waiter = yield* Effect.forkChild(books.awaitSynced(pair))
      yield* Effect.yieldNow
      yield* feed.end(refused)
      assert.strictEqual(yield* Effect.flip(Fiber.join(waiter)), refused)
    }).pipe(Effect.provide(layer([pair]))))
})

describe("changes", () => {
  it.effect("begins with the present state and gives a slow reader only the newest one", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const exchanges = yield* Exchange
      const gate = yield* Queue.unbounded<void>()
      const seen = yield* Queue.unbounded<string>()
      const told = yield* watch()
      const feed = yield* exchanges.opened
      yield* told
      yield* books.changes(pair).pipe(
        Stream.map(tell),
        Stream.runForEach((state) => Effect.andThen(Queue.offer(seen, state), Queue.take(gate))),
        Effect.forkScoped
      )
      assert.strictEqual(yield* Queue.take(seen), "Connecting after null")
      for (const batch of [[snapshot(5)], [gap()], [snapshot(7)], [delta(8, [100, 1])]]) {
        yield* feed.send(...batch)
        yield* told
      }
      yield* Queue.offer(gate, undefined)
      assert.strictEqual(yield* Queue.take(seen), "v8 100/101")
      assert.isTrue(yield* exchanges.isIdle)
    }).pipe(Effect.provide(layer())))

  it.effect("tracks the pair while it runs", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const exchanges = yield* Exchange
      const reader = yield* books.changes(pair).pipe(
        Stream.filterMap((live) =>
          live._tag === "Synced" ? Result.succeed(live.book.version) : Result.fail(live.cause)
        ),
        Stream.runHead,
        Effect.forkChild
      )
      const feed = yield* exchanges.opened
      yield* feed.send(snapshot(5))
      assert.deepStrictEqual(yield* Fiber.join(reader), Option.some(5))
      assert.isUndefined(books.get(pair))
      assert.isTrue(yield* Deferred.isDone(feed.closed))
    }).pipe(Effect.provide(layer())))
})

describe("a listener", () => {
  it.effect("that throws is counted, reported once, and does not hurt the others or the book", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const defect = new Error("bad listener")
      let calls = 0
      yield* books.onUpdate(pair, () => {
        calls++
        throw defect
      })
      const told = yield* watch()
      const feed = yield* (yield* Exchange).opened
      assert.deepStrictEqual(yield* nextFailure, { _tag: "ListenerFailed", pair, at: 0, defect })
      yield* told
      yield* feed.send(snapshot(5))
      assert.strictEqual(yield* told, "v5 99/101")
      yield* feed.send(delta(6))
      assert.strictEqual(yield* told, "v6 99/101")
      assert.strictEqual(calls, 3)
      assert.strictEqual((yield* books.status).listenerFailures, 3)
      // Reported once: what is reported next is something else.
      yield* feed.send(gap(), delta(8))
      const failures = yield* Stream.runCollect(Stream.take(books.failures, 2))
      assert.deepStrictEqual(failures.map(({ _tag }) => _tag), ["ListenerFailed", "DeltaWhileStale"])
    }).pipe(Effect.provide(layer())))

  it.effect("is called no more when its scope has closed", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* (yield* Exchange).opened
      const scope = yield* Scope.make()
      const states: Array<string> = []
      yield* Scope.provide(books.onUpdate(pair, (live) => void states.push(tell(live))), scope)
      const told = yield* watch()
      yield* told
      yield* feed.send(snapshot(5))
      yield* told
      yield* Scope.close(scope, Exit.void)
      yield* feed.send(gap())
      yield* told
      assert.deepStrictEqual(states, ["Connecting after null", "v5 99/101"])
    }).pipe(Effect.provide(layer([pair]))))
})

describe("status", () => {
  it.effect("adds up the time without sync of all books, those that are no longer tracked included", () =>
    Effect.gen(function*() {
      const exchanges = yield* Exchange
      const books = yield* OrderBooks.OrderBooks
      const first = yield* exchanges.opened
      const second = yield* exchanges.opened
      const told = yield* watch()
      yield* told
      yield* TestClock.adjust(100)
      yield* first.send(snapshot(1))
      yield* told
      assert.strictEqual((yield* books.status).staleMs, 200)
      yield* TestClock.adjust(1_000)
      assert.strictEqual((yield* books.status).staleMs, 1_200)
      yield* books.untrack("ETH/USDT")
      yield* Deferred.await(second.closed)
      yield* TestClock.adjust(5_000)
      yield* first.send(gap())
      yield* told
      yield* TestClock.adjust(30)
      assert.deepStrictEqual(yield* books.status, {
        exchange,
        tracked: 1,
        synced: 0,
        stale: 1,
        staleMs: 1_230,
        updates: 1,
        snapshots: 1,
        resyncs: 0,
        gaps: 1,
        crossed: 0,
        invalidLevels: 0,
        diverged: 0,
        ignored: 0,
        feedFailures: 0,
        listenerFailures: 0
      })
    }).pipe(Effect.provide(layer([pair, "ETH/USDT"]))))
})

describe("the status of one book", () => {
  it.effect("tells state, version and ages, also while there are no prices", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const exchanges = yield* Exchange
      const feed = yield* exchanges.opened
      assert.isUndefined(books.bookStatus("ETH/USDT"))
      const never = { version: null, exchangeTime: null, receivedAt: null, ageMs: null, exchangeAgeMs: null }
      assert.deepStrictEqual(books.bookStatus(pair), { pair, state: "Connecting", since: 0, error: null, ...never })
      yield* TestClock.adjust(50)
      const update = bookUpdate("snapshot", 40, [99, 1], [101, 1])
      yield* feed.send(data({ ...update, exchangeTime: 35 }))
      yield* TestClock.adjust(10)
      const found = { version: 40, exchangeTime: 35, receivedAt: 40, ageMs: 20, exchangeAgeMs: 25 }
      assert.deepStrictEqual(books.bookStatus(pair), { pair, state: "Synced", since: 50, error: null, ...found })
      yield* feed.end(passing)
      yield* TestClock.adjust(0)
      assert.deepInclude(books.bookStatus(pair), {
        state: "Retrying",
        since: 60,
        error: passing,
        version: 40,
        ageMs: 20
      })
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("does not call what was read just now older than now", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      const feed = yield* Effect.flatMap(Exchange, ({ opened }) => opened)
      yield* feed.send(snapshot(3))
      assert.strictEqual(books.bookStatus(pair)?.ageMs, 0)
    }).pipe(Effect.provide(layer([pair]))))
})

describe("acceptance", () => {
  it.effect("is awaited without a hold", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      yield* books.accepted(pair)
      assert.strictEqual((yield* Effect.flip(books.accepted("ETH/USDT"))).reason._tag, "InvalidUse")
      yield* books.untrack(pair)
      assert.deepStrictEqual(books.pairs(), [])
    }).pipe(Effect.provide(layer([pair]))))
})

describe("a pair that no book is kept for", () => {
  const divergence: OrderBooks.Divergence = {
    _tag: "Diverged",
    version: 1,
    snapshotVersion: 1,
    side: "bid",
    index: 0,
    ours: null,
    theirs: null
  }

  it.effect("is neither observed nor contradicted, and whoever tries is told", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      assert.isUndefined(books.observe("ETH/USDT", () => {}))
      assert.isFalse(books.contradict("ETH/USDT", divergence))
      const feed = yield* (yield* Exchange).opened
      assert.isFunction(books.observe(pair, () => {}))
      assert.isFalse(books.contradict(pair, divergence), "not in sync")
      yield* feed.send(snapshot(5))
      assert.isTrue(books.contradict(pair, divergence))
      assert.isFalse(books.contradict(pair, divergence), "no longer in sync")
      assert.strictEqual((yield* books.status).diverged, 1)
      assert.deepStrictEqual(books.pairs(), [pair])
    }).pipe(Effect.provide(layer([pair]))))

  it.effect("is asked for by `onUpdate`, whose listener is told why there is none", () =>
    Effect.gen(function*() {
      const books = yield* OrderBooks.OrderBooks
      yield* (yield* Exchange).answer(Effect.fail(refused))
      const scope = yield* Scope.make()
      const told: Array<string> = []
      yield* Scope.provide(
        books.onUpdate(pair, (live) => {
          const error = live._tag === "Stale" ? live.error?.reason._tag ?? "none" : ""
          told.push(`${tell(live)}, ${error}`)
        }),
        scope
      )
      assert.deepStrictEqual(books.pairs(), [pair])
      assert.deepInclude(yield* nextFailure, { _tag: "FeedFailed", pair, error: refused, retryIn: null })
      assert.deepStrictEqual(told, ["Failed after null, UnknownPair"])
      assert.strictEqual(yield* Effect.flip(books.accepted(pair)), refused)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(books.pairs(), [])
    }).pipe(Effect.provide(layer())))
})

describe("closing the service", () => {
  it.effect("ends views, waiters and streams, and refuses later use", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer([pair, "ETH/USDT"]), scope)
      const books = Context.get(context, OrderBooks.OrderBooks)
      const exchanges = Context.get(context, Exchange)
      const feed = yield* exchanges.opened
      const other = yield* exchanges.opened
      yield* feed.send(snapshot(5))
      const { book } = yield* books.awaitSynced(pair)
      const waiter = yield* Effect.forkChild(books.awaitSynced("ETH/USDT"))
      const held = yield* Deferred.make<void>()
      yield* exchanges.answer(Effect.andThen(Deferred.succeed(held, undefined), Effect.never))
      const tracker = yield* Effect.forkChild(Effect.scoped(books.track("XRP/USDT")))
      yield* Deferred.await(held)
      const begun = yield* Deferred.make<void>()
      const reader = yield* books.changes(pair).pipe(
        Stream.tap(() => Deferred.succeed(begun, undefined)),
        Stream.map(tell),
        Stream.runCollect,
        Effect.forkChild
      )
      const failures = yield* Effect.forkChild(Stream.runCollect(books.failures))
      yield* Deferred.await(begun)
      yield* TestClock.adjust(10)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(book.isCurrent)
      assert.deepStrictEqual(yield* Fiber.join(reader), ["v5 99/101", "Closed after 5"])
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiter))).reason._tag, "Closed")
      assert.strictEqual((yield* Effect.flip(Fiber.join(tracker))).reason._tag, "Closed")
      assert.deepStrictEqual(yield* Fiber.join(failures), [])
      assert.isTrue((yield* Deferred.isDone(feed.closed)) && (yield* Deferred.isDone(other.closed)))
      assert.isUndefined(books.get(pair))
      assert.strictEqual((yield* Effect.flip(books.track(pair))).reason._tag, "Closed")
      assert.strictEqual((yield* Effect.flip(books.awaitSynced(pair))).reason._tag, "Closed")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.map(books.changes(pair), tell)), ["Closed after null"])
      assert.isTrue(yield* exchanges.isIdle)
      const { staleMs, tracked } = yield* books.status
      assert.deepStrictEqual({ staleMs, tracked }, { staleMs: 20, tracked: 0 })
    }))
})

describe("BookFollower", () => {
  const make = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const counters = OrderBooks.makeCounters()
    const failures: Array<OrderBooks.BookFailure> = []
    const follower = new OrderBooks.BookFollower(pair, {
      clock,
      counters,
      report: (failure) => void failures.push(failure)
    })
    const states: Array<string> = []
    const remove = follower.listen((live) => void states.push(tell(live)))
    return { counters, failures, follower, remove, states }
  })

  it.effect("is driven by hand from a session's handlers, update by update", () =>
    Effect.gen(function*() {
      const { counters, failures, follower, remove, states } = yield* make
      follower.onBook(bookUpdate("snapshot", 1, [99, 1], [101, 1]))
      follower.onBook(bookUpdate("delta", 2, [100, 1], []))
      follower.onGap(gap("Reconnected"))
      follower.onBook(bookUpdate("delta", 4, [100, 1], []))
      follower.onBook(bookUpdate("snapshot", 5, [99, 1], [101, 1]))
      // A fault waits for the next snapshot: nothing subscribes anew.
      follower.onBook(bookUpdate("delta", 6, [102, 1], []))
      follower.onBook(bookUpdate("delta", 7, [102, 0], []))
      follower.onBook(bookUpdate("snapshot", 8, [98, 1], [101, 1]))
      remove()
      follower.onBook(bookUpdate("delta", 9, [98, 2], []))
      assert.deepStrictEqual(states, [
        "Connecting after null",
        "v1 99/101",
        "v2 100/101",
        "Reconnected after 2",
        "v5 99/101",
        "Crossed after 5",
        "v8 98/101"
      ])
      assert.deepStrictEqual(failures.map(({ _tag }) => _tag), ["DeltaWhileStale", "Crossed", "DeltaWhileStale"])
      assert.deepStrictEqual(counters, {
        ...OrderBooks.makeCounters(),
        updates: 5,
        snapshots: 3,
        resyncs: 2,
        gaps: 1,
        crossed: 1,
        ignored: 2
      })
    }))

  it.effect("never comes back to life once it is closed", () =>
    Effect.gen(function*() {
      const { failures, follower, states } = yield* make
      follower.onBook(bookUpdate("snapshot", 1, [99, 1], [101, 1]))
      follower.close()
      follower.close()
      follower.onBook(bookUpdate("snapshot", 2, [99, 1], [101, 1]))
      assert.isTrue(follower.take(bookUpdate("snapshot", 3, [99, 1], [101, 1])))
      follower.onTurn()
      follower.onGap(gap())
      follower.connect()
      follower.fail(refused, null)
      assert.deepStrictEqual(states, ["Connecting after null", "v1 99/101", "Closed after 1"])
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(tell(follower.live), "Closed after 1")
    }))
})
