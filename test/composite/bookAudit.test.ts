/** Books compared with the exchange's snapshots: what is said when, at which cost, and what follows. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Logger, Metric, References, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as BookAudit from "../../src/composite/BookAudit.ts"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import type { BookChannel } from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, Levels } from "../../src/domain/Market.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import type { FeedHandlers } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import * as SteppedClock from "../SteppedClock.ts"

const exchange = "test-spot"
const [btc, eth, sol] = ["BTC/USDT", "ETH/USDT", "SOL/USDT"] as const

const update = (
  kind: BookUpdate["kind"],
  version: number,
  bids: Levels = [],
  asks: Levels = [],
  firstVersion = version
): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair: btc,
  symbol: "BTCUSDT",
  bids,
  asks,
  firstVersion,
  version,
  exchangeTime: null,
  receivedAt: version,
  contractSize: 1,
  exact: null
})

const snapshot = (version: number, bids: Levels = [99, 1], asks: Levels = [101, 1]) =>
  update("snapshot", version, bids, asks)

const delta = (version: number, bids: Levels = [], asks: Levels = []) => update("delta", version, bids, asks)

type Answer = Effect.Effect<BookUpdate, ExchangeError.ExchangeError>

const failed = ExchangeError.make(
  exchange,
  new ExchangeError.RequestFailed({ request: "the book", status: 500, code: "", detail: "", class: "retryable" })
)

/** What the test says comes over the socket and over REST. */
class World {
  readonly feeds = new Map<TradingPair, FeedHandlers<BookUpdate>>()
  readonly answers: Array<Answer> = []
  readonly asked: Array<{ readonly symbol: string; readonly depth: number | undefined }> = []
  subscriptions = 0
  /** Pairs whose stream was reported to have missed something, and whether that is taken note of. */
  readonly missed: Array<TradingPair> = []
  takesReports = true
  /** When the queue is empty. */
  answer: Answer = Effect.never

  send(...updates: ReadonlyArray<BookUpdate>): void {
    this.sendTo(btc, ...updates)
  }

  sendTo(pair: TradingPair, ...updates: ReadonlyArray<BookUpdate>): void {
    const feed = this.feeds.get(pair)!
    for (const one of updates) feed.onEvent({ ...one, pair, symbol: pair.replace("/", "") })
    feed.onTurn?.()
  }

  reply(...answers: ReadonlyArray<BookUpdate | Answer>): void {
    this.answers.push(...answers.map((answer) =>
      "_tag" in answer && answer._tag === "BookUpdate"
        ? Effect.succeed(answer)
        : answer as Answer
    ))
  }
}

interface Setup {
  readonly world: World
  readonly books: OrderBooks.OrderBooks["Service"]
  readonly audits: BookAudit.BookAudit["Service"]
}

/** Books in sync at version 10, 99 to 101. */
const withBooks = <A, E>(
  body: (setup: Setup) => Effect.Effect<A, E, Scope.Scope>,
  options: BookAudit.AuditOptions = { booksPerHour: 0 },
  pairs: ReadonlyArray<TradingPair> = [btc]
) => {
  const world = new World()
  const websocket = Layer.mock(PublicWebsocket, {
    exchange,
    channels: new Set(["Book"] as const),
    handleFeed: ((channel: BookChannel, handlers: FeedHandlers<BookUpdate>) =>
      Effect.sync(() => {
        world.subscriptions++
        world.feeds.set(channel.pair, handlers)
      })) as never,
    reportMissed: ({ pair }) => {
      world.missed.push(pair)
      return world.takesReports
    }
  })
  const rest = Layer.mock(MarketRest, {
    exchange,
    book: (symbol, channel) =>
      Effect.suspend(() => {
        world.asked.push({ symbol, depth: channel.depth })
        return world.answers.shift() ?? world.answer
      })
  })
  return Effect.gen(function*() {
    const books = yield* OrderBooks.OrderBooks
    const audits = yield* BookAudit.BookAudit
    yield* Effect.yieldNow
    for (const pair of pairs) world.sendTo(pair, snapshot(10))
    return yield* body({ world, books, audits })
  }).pipe(
    Effect.scoped,
    Effect.provide(
      BookAudit.layer(options).pipe(
        Layer.provideMerge(OrderBooks.layer(pairs)),
        Layer.provide(Layer.merge(websocket, rest))
      )
    ),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

const begin = (audits: BookAudit.BookAudit["Service"]) =>
  Effect.forkChild(audits.audit(btc), { startImmediately: true })

describe("an audit", () => {
  it.effect("agrees with a snapshot of the book's own version", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(10))
        assert.deepStrictEqual(yield* audits.audit(btc), { _tag: "Agreed", levels: 2, version: 10 })
        assert.deepStrictEqual(world.asked, [{ symbol: "BTCUSDT", depth: 100 }])
        assert.deepStrictEqual(audits.status(), { agreed: 1, diverged: 0, inconclusive: 0, requests: 1, levels: 2 })
      })
    ))

  it.effect("brings an older snapshot to the book's version, also with an update whose range holds its own", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        const old = yield* Deferred.make<BookUpdate>()
        world.reply(Deferred.await(old))
        const fiber = yield* begin(audits)
        world.send(delta(11, [99, 5]), update("delta", 14, [98, 2], [101, 0, 102, 3], 12), delta(15, [99, 6]))
        // As it was at 13: the ask had gone, the bid of 98 had not come.
        yield* Deferred.succeed(old, snapshot(13, [99, 5], [102, 9]))
        assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Agreed", levels: 2, version: 15 })
      })
    ))

  it.effect("waits for the book to reach a newer snapshot", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(12, [99, 7]))
        const fiber = yield* begin(audits)
        yield* TestClock.adjust(1_000)
        assert.isUndefined(fiber.pollUnsafe())
        world.send(delta(11, [98, 1]))
        world.send(delta(13, [99, 7, 98, 0]))
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Agreed")
      })
    ))

  it.effect("asks again while the snapshot is older than the book at the beginning, and gives up", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(8), snapshot(9), snapshot(10))
        const fiber = yield* begin(audits)
        yield* TestClock.adjust(5_000)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Agreed")
        world.answer = Effect.succeed(snapshot(9))
        const vain = yield* begin(audits)
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual(yield* Fiber.join(vain), { _tag: "Inconclusive", cause: "TooOld", error: null })
        assert.strictEqual(audits.status().requests, 3 + 5)
      })
    ))

  it.effect("says nothing of a book that goes on without reaching the snapshot's version", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(1_000, [50, 1]))
        const fiber = yield* begin(audits)
        world.send(delta(11))
        yield* TestClock.adjust(10_000)
        assert.deepInclude(yield* Fiber.join(fiber), { cause: "Unreached" })
      })
    ))

  it.effect("judges a book that stands still while the exchange has gone on by what it is", () =>
    withBooks(({ audits, books, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(12))
        const quiet = yield* begin(audits)
        yield* TestClock.adjust(10_000)
        assert.strictEqual((yield* Fiber.join(quiet))._tag, "Agreed", "what has changed lies deeper")
        world.answer = Effect.succeed(snapshot(12, [98, 1]))
        const dead = yield* begin(audits)
        yield* TestClock.adjust(20_000)
        assert.deepInclude(yield* Fiber.join(dead), { _tag: "Diverged", version: 10, snapshotVersion: 12 })
        assert.deepInclude(books.get(btc), { _tag: "Stale", cause: "Diverged", lastVersion: 10 })
        // The session subscribes it anew, and shows no snapshot while its stream brings nothing.
        assert.deepStrictEqual(world.missed, [btc])
        yield* TestClock.adjust(60_000)
        assert.strictEqual(world.subscriptions, 1)
      })
    ))

  it.effect("has a book that stands still subscribed anew where nobody takes note of that", () =>
    withBooks(({ audits, books, world }) =>
      Effect.gen(function*() {
        world.takesReports = false
        world.answer = Effect.succeed(snapshot(12, [98, 1]))
        const dead = yield* begin(audits)
        yield* TestClock.adjust(20_000)
        assert.deepInclude(yield* Fiber.join(dead), { _tag: "Diverged" })
        assert.deepInclude(books.get(btc), { _tag: "Stale", cause: "Diverged" })
        assert.strictEqual(world.subscriptions, 2)
      })
    ))

  it.effect("has a book that was contradicted twice subscribed anew, and says where they differ", () =>
    withBooks(({ audits, books, world }) =>
      Effect.gen(function*() {
        const { book } = yield* books.awaitSynced(btc)
        world.send(delta(11, [98, 4], [102, 3]))
        world.answer = Effect.succeed(snapshot(11, [99, 1, 98, 4], [101, 1, 102, 2]))
        // Two levels a side are known to both: the book began with one.
        assert.strictEqual((yield* audits.audit(btc))._tag, "Agreed")
        world.send(snapshot(12, [99, 1, 98, 4], [101, 1, 102, 2]))
        world.send(delta(13, [], [102, 0]))
        world.answer = Effect.succeed(snapshot(13, [99, 1, 98, 4], [101, 1, 102, 2]))
        assert.deepStrictEqual(yield* audits.audit(btc), {
          _tag: "Diverged",
          version: 13,
          snapshotVersion: 13,
          side: "ask",
          index: 1,
          ours: null,
          theirs: { price: 102, quantity: 2 }
        })
        assert.isFalse(book.isCurrent)
        const failure = yield* Stream.runHead(books.failures)
        assert.deepInclude(failure, { _tag: "Some" })
        assert.strictEqual((yield* books.status).diverged, 1)
        assert.strictEqual(world.subscriptions, 2, "subscribed anew at once")
        assert.deepStrictEqual(world.missed, [], "its stream had gone on")
        world.send(snapshot(20, [99, 1], [101, 1]))
        assert.strictEqual((yield* books.awaitSynced(btc)).book.version, 20)
        assert.deepInclude(audits.status(), { diverged: 1, agreed: 1 })
      })
    ))

  it.effect("does not believe a snapshot that the next one does not confirm", () =>
    withBooks(({ audits, books, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(10, [99, 2]), snapshot(10))
        assert.deepInclude(yield* audits.audit(btc), { cause: "Unconfirmed" })
        world.reply(snapshot(10, [105, 1]))
        assert.deepInclude(yield* audits.audit(btc), { cause: "Unconfirmed" }, "a crossed one says nothing at all")
        assert.strictEqual(books.get(btc)?._tag, "Synced")
      })
    ))

  it.effect("says why it has come to nothing", () =>
    withBooks(({ audits, books, world }) =>
      Effect.gen(function*() {
        world.reply(Effect.fail(failed))
        assert.deepStrictEqual(yield* audits.audit(btc), { _tag: "Inconclusive", cause: "Failed", error: failed })
        assert.deepInclude(yield* audits.audit(eth), { cause: "NotSynced" }, "not tracked")
        const late = yield* Deferred.make<BookUpdate>()
        world.reply(Deferred.await(late), snapshot(30))
        const broken = yield* begin(audits)
        world.feeds.get(btc)!.onGap({ _tag: "Gap", cause: "Sequence", channel: "Book", pair: btc, symbol: "", at: 0 })
        yield* Deferred.succeed(late, snapshot(10))
        assert.deepInclude(yield* Fiber.join(broken), { cause: "NotSynced" }, "no longer in sync")
        assert.deepInclude(yield* audits.audit(btc), { cause: "NotSynced" })
        world.send(snapshot(20))
        const whole = yield* begin(audits)
        world.send(snapshot(31))
        assert.deepInclude(yield* Fiber.join(whole), { cause: "Replaced" }, "the feed brought a whole book")
        assert.strictEqual(books.get(btc)?._tag, "Synced")
        assert.strictEqual(audits.status().inconclusive, 5)
      })
    ))

  it.effect("remembers so many updates and no more", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        const old = yield* Deferred.make<BookUpdate>()
        world.reply(Deferred.await(old), snapshot(30_010, [99, 30_010]))
        const fiber = yield* begin(audits)
        world.send(...Array.from({ length: 30_000 }, (_, i) => delta(11 + i, [99, 11 + i])))
        yield* Deferred.succeed(old, snapshot(11, [99, 11]))
        yield* TestClock.adjust(5_000)
        assert.strictEqual(
          (yield* Fiber.join(fiber))._tag,
          "Agreed",
          "the second snapshot, for the first is too old by then"
        )
        assert.strictEqual(audits.status().requests, 2)
      })
    ))

  it.effect("is counted in a metric by its outcome", () =>
    withBooks(({ audits, world }) =>
      Effect.gen(function*() {
        world.reply(snapshot(10))
        yield* audits.audit(btc)
        const found = (yield* Metric.snapshot).filter(({ id }) => id === "exchange.book.audits")
        assert.deepInclude(found[0]?.attributes, { exchange, outcome: "agreed" })
      })
    ).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("by itself", () => {
  const answering = (world: World) => {
    world.answer = Effect.succeed(snapshot(10))
  }

  it.effect("looks at one book after the other, evenly, and passes by those that are not in sync", () =>
    withBooks(
      ({ books, world }) =>
        Effect.gen(function*() {
          answering(world)
          const symbols = () => world.asked.map(({ symbol }) => symbol.slice(0, 3)).join(" ")
          yield* TestClock.adjust(4_500)
          assert.strictEqual(symbols(), "BTC ETH SOL BTC")
          world.feeds.get(eth)!.onGap({ _tag: "Gap", cause: "Silent", channel: "Book", pair: eth, symbol: "", at: 0 })
          yield* TestClock.adjust(2_000)
          assert.strictEqual(symbols(), "BTC ETH SOL BTC SOL BTC")
          yield* books.untrack(btc)
          yield* TestClock.adjust(2_000)
          assert.strictEqual(symbols(), "BTC ETH SOL BTC SOL BTC SOL SOL")
          yield* books.untrack(sol)
          yield* TestClock.adjust(10_000)
          assert.strictEqual(world.asked.length, 8, "nothing is in sync")
        }),
      { booksPerHour: 3_600 },
      [btc, eth, sol]
    ))

  it.effect("goes on although the machine's clock is set back", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const pass = Effect.provideService(TestClock.adjust(1_500), Clock.Clock, yield* Clock.Clock)
      const looking = withBooks(
        ({ world }) =>
          Effect.gen(function*() {
            answering(world)
            yield* pass
            const before = world.asked.length
            step(-3_600_000)
            yield* Effect.andThen(pass, pass)
            assert.strictEqual(world.asked.length, before + 3)
          }),
        { booksPerHour: 3_600 }
      )
      yield* Effect.provideService(looking, Clock.Clock, clock)
    }))

  it.effect("looks first at a book that the market has carried beyond its snapshot, less and less while that is right", () =>
    withBooks(
      ({ audits, books, world }) =>
        Effect.gen(function*() {
          answering(world)
          yield* TestClock.adjust("10 minutes")
          assert.strictEqual(world.asked.length, 0, "one an hour")
          const ladder = (from: number, step: number, quantity = 1) =>
            Array.from({ length: 20 }, (_, i) => [from + step * i, quantity]).flat()
          world.sendTo(eth, snapshot(20, ladder(99, -1), ladder(101, 1)))
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(world.asked.length, 0)
          world.sendTo(eth, delta(21, [99, 0, 50, 7], [99.5, 1]))
          world.answer = Effect.succeed(
            snapshot(21, [...ladder(98, -1).slice(0, 38), 50, 7], [99.5, 1, ...ladder(101, 1)])
          )
          yield* TestClock.adjust(1_000)
          assert.deepStrictEqual(world.asked.map(({ symbol }) => symbol), ["ETHUSDT"])
          assert.strictEqual(audits.status().agreed, 1)
          yield* TestClock.adjust("59 seconds")
          assert.strictEqual(world.asked.length, 1)
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(world.asked.length, 2)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(world.asked.length, 2, "two minutes now")
          // A level that rested below the snapshot has come among the best: nobody has told of it.
          world.answer = Effect.succeed(snapshot(21, [...ladder(98, -1).slice(0, 38), 79, 3], [99.5, 1]))
          yield* TestClock.adjust("1 minute")
          assert.deepInclude(books.get(eth), { _tag: "Stale", cause: "Diverged" })
        }),
      { booksPerHour: 1 },
      [btc, eth]
    ))

  it.effect("goes on after a defect", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => lines.push(message))
    return withBooks(
      ({ audits, world }) =>
        Effect.gen(function*() {
          world.reply(Effect.die(new Error("odd")))
          answering(world)
          yield* TestClock.adjust(20_500)
          assert.strictEqual(audits.status().agreed, 1, "six a minute")
        }),
      {}
    ).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("does nothing when told so, and everything when asked", () =>
    withBooks(
      ({ audits, world }) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("2 hours")
          assert.strictEqual(world.asked.length, 0)
          answering(world)
          const verdicts = yield* audits.all
          assert.deepStrictEqual([...verdicts].map(([pair, { _tag }]) => [pair, _tag]), [[btc, "Agreed"], [
            eth,
            "Agreed"
          ]])
        }),
      { booksPerHour: 0, levels: 5 },
      [btc, eth]
    ))
})

describe("compare", () => {
  const ladder = (from: number, step: number, count: number, quantity = 1): Array<number> =>
    Array.from({ length: count }, (_, i) => [from + step * i, quantity]).flat()

  const live = (bids: Levels, asks: Levels) => {
    const book = new OrderBook(btc)
    book.apply(snapshot(10, bids, asks))
    return book
  }

  it("compares no deeper than both know, nor than it is told to", () => {
    const book = live(ladder(1_000, -1, 60), ladder(1_001, 1, 40)).view!
    const deeper = snapshot(10, ladder(1_000, -1, 80), ladder(1_001, 1, 50))
    assert.deepInclude(BookAudit.compare(book, deeper, [], 100), { _tag: "Agreed", levels: 100 })
    assert.deepInclude(BookAudit.compare(book, deeper, [], 30), { _tag: "Agreed", levels: 60 })
    const shorter = snapshot(10, ladder(1_000, -1, 10), ladder(1_001, 1, 5))
    assert.deepInclude(BookAudit.compare(book, shorter, [], 100), { _tag: "Agreed", levels: 15 })
    assert.deepInclude(BookAudit.compare(book, snapshot(10, [], []), [], 100), { _tag: "Agreed", levels: 0 })
  })

  it("leaves alone what lies beyond the prices that the book began with, but for the best levels", () => {
    const book = live(ladder(1_000, -1, 60), ladder(1_001, 1, 60))
    // The market falls by 30: as many bids are gone, and what lies below the first 60 nobody has told.
    const fall = delta(11, ladder(1_000, -1, 30, 0), ladder(971, 1, 30, 2))
    book.apply(fall)
    const theirs = snapshot(11, ladder(970, -1, 60), ladder(971, 1, 30, 2))
    assert.deepInclude(BookAudit.compare(book.view!, theirs, [], 100), { _tag: "Agreed", levels: 30 + 30 })
    // By 45: now the best bids themselves are not what the exchange has.
    book.apply(delta(12, ladder(970, -1, 15, 0), ladder(956, 1, 15, 2)))
    const lower = snapshot(12, ladder(955, -1, 60), ladder(956, 1, 45, 2))
    assert.deepInclude(BookAudit.compare(book.view!, lower, [], 100), {
      _tag: "Diverged",
      side: "bid",
      index: 15,
      ours: null
    })
  })

  it("finds a level that is worse than the exchange's best, and one that only we have", () => {
    const { view } = live([99, 1, 98, 1], [101, 1])
    assert.deepInclude(BookAudit.compare(view!, snapshot(10, [99, 1, 97, 1], [101, 1]), [], 100), {
      side: "bid",
      index: 1,
      ours: { price: 98, quantity: 1 },
      theirs: { price: 97, quantity: 1 }
    })
  })

  it("says nothing of a view that has ended", () => {
    const book = live([99, 1], [101, 1])
    const view = book.view!
    book.end()
    assert.deepInclude(BookAudit.compare(view, snapshot(10), [], 100), { cause: "NotSynced" })
  })
})
