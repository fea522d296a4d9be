/** The buffer and the handlers by themselves: every count, every break and every wake-up, step by step. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed, Gap } from "../../src/domain/Feed.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { BookRecipe, Topic } from "../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { FeedHandlers, PublicWebsocketHandlers } from "../../src/PublicWebsocket.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Counters } from "../../src/session/Counters.ts"
import { FeedSubscriber, HandlerSubscriber } from "../../src/session/Handlers.ts"
import type { Waiting } from "../../src/session/Subscriber.ts"
import { BufferSubscriber, defaultBufferSize, Wakeups } from "../../src/session/Subscriber.ts"
import type { Route, Subscriber, TopicOwner } from "../../src/session/Topics.ts"
import { TopicState } from "../../src/session/Topics.ts"

type Item = Feed<MarketEvent>

const recipe: BookRecipe = {
  snapshot: "InStream",
  joins: (version, next) => next.version <= version ? "stale" : "apply",
  follows: (version, next) => next.version <= version ? "stale" : "apply"
}

const channelOf = { BookTicker: Channel.bookTicker, Trades: Channel.trades, Book: Channel.book } as const

/** A world of topics that share one subscriber. */
const make = (
  options: { readonly size?: number; readonly block?: boolean; readonly onFailure?: "end" | "gap" } = {}
) => {
  const counters = new Counters()
  const wakeups = new Wakeups()
  const requested: Array<string> = []
  const owner: TopicOwner = {
    counters,
    now: () => 5,
    monotonic: () => 5,
    requestSnapshot: (state) => void requested.push(state.topic.key)
  }
  const subscriber = new BufferSubscriber({
    exchange: "x",
    bufferSize: options.size ?? 4,
    block: options.block ?? false,
    wakeups,
    counters,
    onTopicFailure: options.onFailure ?? "end"
  })
  const route = (tag: keyof typeof channelOf, pair: "A/USDT" | "B/USDT" = "A/USDT", to: Subscriber = subscriber) => {
    const channel = channelOf[tag](pair)
    const topic: Topic = { key: `${tag} ${pair}`, channel: tag, symbol: pair, pair, contractSize: 1, slot: null }
    const state = new TopicState(topic, channel, tag === "Book" ? recipe : null, owner)
    return state.add(to)
  }
  return { counters, requested, route, subscriber, wakeups }
}

/** As a topic does it. */
const push = (subscriber: Subscriber, route: Route, event: MarketEvent): void => {
  route.state.delivered++
  route.state.owner.counters.delivered++
  subscriber.push(route, event)
}

const ticker = (version: number) => Test.bookTicker("A/USDT", { version })
const trade = (id: number) => Test.trade("A/USDT", { id: String(id) })
const snapshot = (version: number): BookUpdate => Test.snapshot("A/USDT", { version })
const delta = (version: number): BookUpdate => Test.delta("A/USDT", { firstVersion: version, version })

const take = (subscriber: BufferSubscriber): ReadonlyArray<Item> => Effect.runSync(subscriber.pull)

/** Short texts of items: the id or version, or the cause with what it lost. */
const shown = (items: ReadonlyArray<Item>): ReadonlyArray<string> =>
  items.map((item) => {
    if (item._tag === "Gap") return `${item.cause}${item.lost === undefined ? "" : ` ${item.lost}`}`
    const { value } = item
    return value._tag === "Trade" ?
      value.id! :
      value._tag === "BookUpdate" ?
      `${value.kind[0]}${value.version}` :
      `v${value._tag === "BookTicker" ? value.version : ""}`
  })

const gap = (cause: Gap["cause"], lost?: number): Gap => ({
  _tag: "Gap",
  cause,
  channel: "Trades",
  pair: "A/USDT",
  symbol: "A/USDT",
  at: 5,
  ...(lost === undefined ? {} : { lost })
})

const failure = ExchangeError.make("x", new ExchangeError.InvalidUse({ detail: "a test" }))

/** Pulls, and keeps what came or that nothing has yet. */
const pulling = (subscriber: BufferSubscriber) => {
  const got: { value: Exit.Exit<ReadonlyArray<Item>, unknown> | null } = { value: null }
  const fiber = Effect.runFork(subscriber.pull)
  fiber.addObserver((exit) => void (got.value = exit))
  return { fiber, got, items: () => got.value !== null && Exit.isSuccess(got.value) ? shown(got.value.value) : null }
}

const errorOf = (exit: Exit.Exit<unknown, unknown> | null): unknown =>
  exit === null || Exit.isSuccess(exit) ? null : Option.getOrNull(Exit.findErrorOption(exit))

describe("BufferSubscriber", () => {
  it("hands over in order, counts each, and says when and how it came", () => {
    const { counters, route, subscriber } = make()
    const trades = route("Trades")
    for (const id of [1, 2]) push(subscriber, trades, trade(id))
    assert.strictEqual(subscriber.size, 2)
    assert.deepStrictEqual([trades.state.delivered, counters.delivered], [2, 2])
    const items = take(subscriber)
    assert.deepStrictEqual(shown(items), ["1", "2"])
    const [first] = items
    assert(first?._tag === "Data")
    assert.strictEqual(first.receivedAt, first.value.receivedAt)
    assert.strictEqual(first.origin, "Stream")
    assert.strictEqual(subscriber.size, 0)
    assert.strictEqual(defaultBufferSize, 1024)
  })

  it("wakes a consumer that waits once for each batch, however many events it brings", () => {
    const { route, subscriber, wakeups } = make()
    const trades = route("Trades")
    const first = pulling(subscriber)
    wakeups.flush()
    assert.isNull(first.got.value)
    push(subscriber, trades, trade(1))
    push(subscriber, trades, trade(2))
    assert.isNull(first.got.value)
    wakeups.flush()
    assert.deepStrictEqual(first.items(), ["1", "2"])
    push(subscriber, trades, trade(3))
    wakeups.flush()
    assert.strictEqual(subscriber.size, 1)
    assert.deepStrictEqual(shown(take(subscriber)), ["3"])
    const second = pulling(subscriber)
    subscriber.gap(trades, gap("Silent"))
    wakeups.flush()
    assert.deepStrictEqual(second.items(), ["Silent"])
  })

  it("is not put into the list of those to wake while nobody waits, and only once while somebody does", () => {
    const { route, subscriber, wakeups } = make()
    const trades = route("Trades")
    const added: Array<Waiting> = []
    const add = wakeups.add.bind(wakeups)
    wakeups.add = (one) => {
      added.push(one)
      add(one)
    }
    push(subscriber, trades, trade(1))
    subscriber.gap(trades, gap("Silent"))
    assert.deepStrictEqual(added, [])
    take(subscriber)
    pulling(subscriber)
    push(subscriber, trades, trade(2))
    push(subscriber, trades, trade(3))
    subscriber.gap(trades, gap("Silent"))
    assert.strictEqual(added.length, 1)
    wakeups.flush()
    pulling(subscriber)
    subscriber.gap(trades, gap("Silent"))
    subscriber.gap(trades, gap("Silent"))
    assert.strictEqual(added.length, 2)
  })

  it("forgets a consumer that stopped waiting: what comes next stays for the one after", async () => {
    const { route, subscriber, wakeups } = make()
    const trades = route("Trades")
    const { fiber } = pulling(subscriber)
    await Effect.runPromise(Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), Effect.yieldNow))
    const added: Array<Waiting> = []
    wakeups.add = (one) => void added.push(one)
    push(subscriber, trades, trade(1))
    assert.deepStrictEqual(added, [])
    subscriber.wake()
    assert.deepStrictEqual(shown(take(subscriber)), ["1"])
  })

  it("a stream runs once; a second run fails with what to do instead", () => {
    const { route, subscriber } = make()
    const trades = route("Trades")
    push(subscriber, trades, trade(1))
    assert.strictEqual(Effect.runSync(Stream.runCollect(Stream.take(subscriber.stream, 1))).length, 1)
    const error = errorOf(Effect.runSyncExit(Stream.runDrain(subscriber.stream))) as ExchangeError.ExchangeError
    assert.strictEqual(error.reason._tag, "InvalidUse")
    assert.strictEqual(error.exchange, "x")
    assert.include(error.message, "a feed's stream runs once")
    assert.include(error.message, "Ask for a feed for each run")
  })

  describe("breaks", () => {
    it("right behind each other become the latest, with what both lost", () => {
      const { route, subscriber } = make()
      const trades = route("Trades")
      subscriber.gap(trades, gap("Reconnected", 2))
      subscriber.gap(trades, gap("Silent"))
      subscriber.gap(trades, gap("Sequence", 3))
      assert.deepStrictEqual(shown(take(subscriber)), ["Sequence 5"])
      subscriber.gap(trades, gap("Reconnected"))
      subscriber.gap(trades, gap("Silent"))
      assert.deepStrictEqual(shown(take(subscriber)), ["Silent"])
    })

    it("of different topics, or with data between, stay apart", () => {
      const { route, subscriber } = make()
      const [a, b] = [route("Trades"), route("Trades", "B/USDT")]
      subscriber.gap(a, gap("Silent"))
      subscriber.gap(b, gap("Silent"))
      push(subscriber, b, trade(1))
      subscriber.gap(b, gap("Reconnected"))
      assert.deepStrictEqual(shown(take(subscriber)), ["Silent", "Silent", "1", "Reconnected"])
    })

    it("are folded once they crowd the buffer: one for each topic since its last data", () => {
      const { route, subscriber } = make({ size: 2 })
      const [a, b] = [route("Trades"), route("Trades", "B/USDT")]
      push(subscriber, a, trade(1))
      for (let i = 0; i < 2; i++) {
        subscriber.gap(a, gap("Silent", 1))
        subscriber.gap(b, gap("Reconnected", 1))
      }
      // One, and two breaks of each topic: more than twice the buffer, so each topic keeps one.
      assert.strictEqual(subscriber.size, 3)
      assert.deepStrictEqual(shown(take(subscriber)), ["1", "Silent 2", "Reconnected 2"])
      assert.deepStrictEqual([a.state.delivered, b.state.delivered], [1, 0])
    })

    it("are not folded across data of their topic, and never while they fit", () => {
      const { route, subscriber } = make({ size: 2 })
      const [a, b] = [route("Trades"), route("Trades", "B/USDT")]
      subscriber.gap(a, gap("Silent"))
      push(subscriber, a, trade(1))
      subscriber.gap(b, gap("Silent"))
      subscriber.gap(a, gap("Silent"))
      assert.strictEqual(subscriber.size, 4)
      subscriber.gap(b, gap("Silent"))
      assert.deepStrictEqual(shown(take(subscriber)), ["Silent", "1", "Silent", "Silent"])
    })

    it("are looked through again only when they have doubled since", () => {
      const { route, subscriber } = make({ size: 1 })
      const [a, b] = [route("Trades"), route("Trades", "B/USDT")]
      const both = () => {
        subscriber.gap(a, gap("Silent"))
        subscriber.gap(b, gap("Silent"))
      }
      both()
      subscriber.gap(a, gap("Silent"))
      assert.strictEqual(subscriber.size, 2)
      subscriber.gap(a, gap("Silent"))
      subscriber.gap(b, gap("Silent"))
      assert.strictEqual(subscriber.size, 4)
      subscriber.gap(a, gap("Silent"))
      assert.strictEqual(subscriber.size, 2)
    })

    it("behind the end are not heard", () => {
      const { route, subscriber } = make()
      const trades = route("Trades")
      subscriber.end(Exit.fail(failure))
      subscriber.gap(trades, gap("Silent"))
      assert.strictEqual(subscriber.size, 0)
    })
  })

  describe("overflow", () => {
    it("keeps the newest value of each topic of state, and counts the others as conflated", () => {
      const { counters, route, subscriber } = make({ size: 3 })
      const [a, b] = [route("BookTicker"), route("BookTicker", "B/USDT")]
      for (const [to, version] of [[a, 1], [b, 2], [a, 3], [a, 4]] as const) push(subscriber, to, ticker(version))
      assert.deepStrictEqual(shown(take(subscriber)), ["v2", "v3", "v4"])
      assert.deepStrictEqual([a.state.conflated, b.state.conflated, counters.conflated], [1, 0, 1])
      assert.deepStrictEqual([a.state.delivered, b.state.delivered, counters.delivered], [2, 1, 3])
      assert.deepStrictEqual([a.state.dropped, counters.dropped, counters.gaps], [0, 0, 0])
    })

    it("grows to twice its topics when it is smaller, and no further", () => {
      const { route, subscriber } = make({ size: 1 })
      const [a, b] = [route("BookTicker"), route("BookTicker", "B/USDT")]
      for (let version = 1; version <= 9; version++) push(subscriber, version % 2 === 0 ? a : b, ticker(version))
      assert.strictEqual(a.state.conflated + b.state.conflated, 6)
      assert.deepStrictEqual(shown(take(subscriber)).slice(-2), ["v8", "v9"])
    })

    it("keeps a break of state that stands behind what goes, with what was lost before it", () => {
      const { route, subscriber } = make({ size: 3 })
      const a = route("BookTicker")
      subscriber.gap(a, gap("Silent", 3))
      push(subscriber, a, ticker(1))
      subscriber.gap(a, gap("Reconnected"))
      push(subscriber, a, ticker(2))
      assert.deepStrictEqual(shown(take(subscriber)), ["v1", "Reconnected", "v2"])
    })

    it("keeps the newer half of events, and declares the older in its place", () => {
      const { counters, route, subscriber } = make({ size: 5 })
      const trades = route("Trades")
      for (let id = 1; id <= 6; id++) push(subscriber, trades, trade(id))
      const items = take(subscriber)
      assert.deepStrictEqual(shown(items), ["Overflow 3", "4", "5", "6"])
      const [first] = items
      assert(first?._tag === "Gap")
      assert.deepStrictEqual({ ...first }, { ...gap("Overflow", 3) })
      assert.deepStrictEqual([trades.state.dropped, counters.dropped], [3, 3])
      assert.deepStrictEqual([trades.state.delivered, counters.delivered], [3, 3])
      assert.deepStrictEqual([trades.state.gaps, counters.gaps, counters.gapsByCause.get("Overflow")], [1, 1, 1])
      assert.deepStrictEqual([trades.state.conflated, counters.conflated], [0, 0])
    })

    it("declares a break among what goes together with it, once, and leaves those behind it", () => {
      const { route, subscriber } = make({ size: 6 })
      const trades = route("Trades")
      push(subscriber, trades, trade(1))
      subscriber.gap(trades, gap("Sequence", 7))
      push(subscriber, trades, trade(2))
      push(subscriber, trades, trade(3))
      subscriber.gap(trades, gap("Reconnected"))
      push(subscriber, trades, trade(4))
      push(subscriber, trades, trade(5))
      // Of four events two go, with the break between them.
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 9", "3", "Reconnected", "4", "5"])
    })

    it("does not count a break that goes without a known loss", () => {
      const { route, subscriber } = make({ size: 3 })
      const trades = route("Trades")
      push(subscriber, trades, trade(1))
      subscriber.gap(trades, gap("Reconnected"))
      push(subscriber, trades, trade(2))
      push(subscriber, trades, trade(3))
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 1", "Reconnected", "2", "3"])
    })

    it("of one topic leaves the others' events whole while state and books share the buffer", () => {
      const { requested, route, subscriber } = make({ size: 6 })
      const [book, quotes, trades] = [route("Book"), route("BookTicker"), route("Trades")]
      push(subscriber, quotes, ticker(1))
      book.state.onEvent(snapshot(1))
      push(subscriber, trades, trade(1))
      book.state.onEvent(delta(2))
      push(subscriber, trades, trade(2))
      push(subscriber, quotes, ticker(2))
      push(subscriber, trades, trade(3))
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 1", "Overflow 2", "2", "v2", "3"])
      assert.deepStrictEqual(requested, ["Book A/USDT"])
      assert.deepStrictEqual([book.state.dropped, book.state.delivered], [2, 0])
    })

    it("of a book drops all of it until the consumer reads on, and tells the whole loss", () => {
      const { counters, requested, route, subscriber } = make({ size: 2 })
      const book = route("Book")
      for (const update of [snapshot(1), delta(2), delta(3), delta(4)]) book.state.onEvent(update)
      assert.strictEqual(subscriber.size, 1)
      assert.deepStrictEqual([book.state.dropped, counters.dropped, book.state.delivered], [4, 4, 0])
      assert.deepStrictEqual(requested, [])
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 4"])
      assert.deepStrictEqual(requested, ["Book A/USDT"])
      book.state.onEvent(snapshot(9))
      assert.deepStrictEqual(shown(take(subscriber)), ["s9"])
    })

    it("of a book tells what was dropped behind a later break with that break", () => {
      const { route, subscriber } = make({ size: 2 })
      const book = route("Book")
      for (const update of [snapshot(1), delta(2), delta(3)]) book.state.onEvent(update)
      subscriber.gap(book, gap("Reconnected"))
      book.state.onEvent(delta(4))
      assert.deepStrictEqual(shown(take(subscriber)), ["Reconnected 4"])
    })

    it("of a book does not touch another book in the same buffer", () => {
      const { requested, route, subscriber } = make({ size: 3 })
      const [a, b] = [route("Book"), route("Book", "B/USDT")]
      for (const update of [snapshot(1), delta(2), delta(3), delta(4)]) a.state.onEvent(update)
      b.state.onEvent(snapshot(1))
      a.state.onEvent(delta(5))
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 5", "s1"])
      assert.deepStrictEqual(requested, ["Book A/USDT"])
    })

    it("of a book tells its loss with its own break, whatever stands behind it", () => {
      const { route, subscriber } = make({ size: 2 })
      const [book, trades] = [route("Book"), route("Trades", "B/USDT")]
      for (const update of [snapshot(1), delta(2), delta(3)]) book.state.onEvent(update)
      push(subscriber, trades, trade(1))
      subscriber.gap(trades, gap("Silent"))
      book.state.onEvent(delta(4))
      assert.deepStrictEqual(shown(take(subscriber)), ["Overflow 4", "1", "Silent"])
    })

    it("a book of which nothing was dropped goes on while others overflow", () => {
      const { requested, route, subscriber } = make({ size: 3 })
      const [book, trades] = [route("Book"), route("Trades", "B/USDT")]
      subscriber.gap(book, gap("Reconnected"))
      for (let id = 1; id <= 3; id++) push(subscriber, trades, trade(id))
      book.state.onEvent(snapshot(1))
      assert.deepStrictEqual(shown(take(subscriber)), ["Reconnected", "Overflow 2", "3", "s1"])
      assert.deepStrictEqual(requested, [])
    })

    it("a book that overflows twice before it is read is declared once more, with nothing counted twice", () => {
      const { counters, route, subscriber } = make({ size: 2 })
      const book = route("Book")
      for (let version = 1; version <= 3; version++) book.state.onEvent(version === 1 ? snapshot(1) : delta(version))
      take(subscriber)
      book.state.onEvent(snapshot(10))
      for (let version = 11; version <= 15; version++) book.state.onEvent(delta(version))
      const lost = take(subscriber).reduce((sum, item) => sum + (item._tag === "Gap" ? item.lost ?? 0 : 0), 0)
      assert.strictEqual(counters.dropped, 3 + lost)
    })
  })

  describe("block", () => {
    it("holds up reading while it is full, and lets it go when the consumer reads or leaves", () => {
      for (const relieve of ["take", "leave", "end"] as const) {
        const { route, subscriber, wakeups } = make({ size: 2, block: true })
        const trades = route("Trades")
        let passed = 0
        const wait = () => Effect.runFork(Effect.tap(subscriber.awaitRoom, () => Effect.sync(() => passed++)))
        for (const id of [1, 2]) push(subscriber, trades, trade(id))
        assert.strictEqual(wakeups.full.size, 0)
        push(subscriber, trades, trade(3))
        assert.deepStrictEqual([...wakeups.full], [subscriber])
        wait()
        wait()
        assert.strictEqual(passed, 0)
        assert.strictEqual(subscriber.size, 3)
        if (relieve === "take") assert.deepStrictEqual(shown(take(subscriber)), ["1", "2", "3"])
        else if (relieve === "leave") subscriber.leave()
        else subscriber.end(Exit.fail(failure))
        assert.strictEqual(wakeups.full.size, 0)
        assert.strictEqual(passed, 2, relieve)
        wait()
        assert.strictEqual(passed, 3)
      }
    })

    it.effect("keeps nothing of who gave up waiting", () =>
      Effect.gen(function*() {
        const { route, subscriber } = make({ size: 1, block: true })
        push(subscriber, route("Trades"), trade(1))
        const fibers = [subscriber.awaitRoom, subscriber.awaitEmpty].map((wait) => Effect.runFork(wait))
        assert.isAbove(subscriber.waiting, 0)
        yield* Fiber.interruptAll(fibers)
        assert.strictEqual(subscriber.waiting, 0)
      }))

    it("waits as soon as it is full", () => {
      const { route, subscriber } = make({ size: 1, block: true })
      push(subscriber, route("Trades"), trade(1))
      let passed = false
      Effect.runFork(Effect.tap(subscriber.awaitRoom, () => Effect.sync(() => void (passed = true))))
      assert.isFalse(passed)
      take(subscriber)
      assert.isTrue(passed)
    })

    it("does not wait while there is room", () => {
      const { route, subscriber } = make({ size: 2, block: true })
      Effect.runSync(subscriber.awaitRoom)
      push(subscriber, route("Trades"), trade(1))
      Effect.runSync(subscriber.awaitRoom)
    })
  })

  describe("the end", () => {
    it("comes behind what is in the buffer, once, and the first one counts", () => {
      const { counters, route, subscriber } = make()
      const trades = route("Trades")
      push(subscriber, trades, trade(1))
      subscriber.end(Exit.fail(failure))
      subscriber.end(Exit.fail(Cause.Done()))
      assert.deepStrictEqual(shown(take(subscriber)), ["1"])
      assert.strictEqual(errorOf(Effect.runSyncExit(subscriber.pull)), failure)
      push(subscriber, trades, trade(2))
      assert.deepStrictEqual([trades.state.abandoned, counters.abandoned], [1, 1])
      assert.deepStrictEqual([trades.state.delivered, counters.delivered], [1, 1])
    })

    it("wakes a consumer that waits", () => {
      const { subscriber } = make()
      const waiting = pulling(subscriber)
      subscriber.end(Exit.fail(failure))
      assert.strictEqual(errorOf(waiting.got.value), failure)
    })

    it("of a consumer that leaves counts what it did not take, breaks apart", () => {
      const { counters, route, subscriber } = make()
      const trades = route("Trades")
      push(subscriber, trades, trade(1))
      subscriber.gap(trades, gap("Silent"))
      push(subscriber, trades, trade(2))
      subscriber.leave()
      assert.deepStrictEqual([trades.state.abandoned, trades.state.delivered], [2, 0])
      assert.deepStrictEqual([counters.abandoned, counters.delivered, subscriber.size], [2, 0, 0])
      subscriber.leave()
      assert.strictEqual(counters.abandoned, 2)
      push(subscriber, trades, trade(3))
      assert.strictEqual(counters.abandoned, 3)
      assert.isTrue(Cause.isDone(errorOf(Effect.runSyncExit(subscriber.pull))))
    })

    it("keeps its reason when the consumer leaves afterwards", () => {
      const { subscriber } = make()
      subscriber.end(Exit.fail(failure))
      subscriber.leave()
      assert.strictEqual(errorOf(Effect.runSyncExit(subscriber.pull)), failure)
    })

    it("is what a failed topic brings to a feed, and a break to a session that has others", () => {
      const feed = make()
      feed.subscriber.fail(feed.route("Trades"), failure, "topic")
      assert.strictEqual(errorOf(Effect.runSyncExit(feed.subscriber.pull)), failure)

      const session = make({ onFailure: "gap" })
      const trades = session.route("Trades")
      const waiting = pulling(session.subscriber)
      session.subscriber.fail(trades, failure, "topic")
      assert.deepStrictEqual(waiting.items(), ["Rejected"])
      assert.strictEqual(trades.state.gaps, 1)
      session.subscriber.fail(trades, failure, "connection")
      assert.strictEqual(errorOf(Effect.runSyncExit(session.subscriber.pull)), failure)
    })
  })
})

describe("HandlerSubscriber", () => {
  const events = {
    onBookTicker: ticker(1),
    onTrade: trade(1),
    onBook: snapshot(1),
    onTicker: { _tag: "Ticker" },
    onKline: { _tag: "Kline" },
    onFuturesTicker: { _tag: "FuturesTicker" },
    onLiquidation: { _tag: "Liquidation" },
    onContractStats: { _tag: "ContractStats" }
  } as unknown as Readonly<Record<Exclude<keyof PublicWebsocketHandlers, "onGap" | "onStatus">, MarketEvent>>
  const names = Object.keys(events) as ReadonlyArray<keyof typeof events>

  const handling = (handlers: PublicWebsocketHandlers) => {
    const world = make()
    const failures: Array<unknown> = []
    const subscriber = new HandlerSubscriber(handlers, world.counters, (error) => void failures.push(error))
    return { ...world, failures, subscriber, trades: world.route("Trades", "A/USDT", subscriber) }
  }

  for (const name of names) {
    it(`gives ${name} its events and no others`, () => {
      const seen: Array<unknown> = []
      const { counters, failures, subscriber, trades } = handling({ [name]: (event: unknown) => seen.push(event) })
      for (const each of names) push(subscriber, trades, events[each])
      assert.deepStrictEqual(seen, [events[name]])
      assert.deepStrictEqual([trades.state.delivered, counters.delivered], [names.length, names.length])
      assert.deepStrictEqual(failures, [])
    })
  }

  it("calls each as a method of the handlers that were given", () => {
    const seen: Array<unknown> = []
    const handlers: Record<string, unknown> = {}
    for (const name of names) {
      handlers[name] = function(this: unknown) {
        seen.push(this)
      }
    }
    const { failures, subscriber, trades } = handling(handlers as PublicWebsocketHandlers)
    for (const each of names) push(subscriber, trades, events[each])
    assert.deepStrictEqual(failures, [])
    assert.strictEqual(seen.length, names.length)
    for (const receiver of seen) assert.strictEqual(receiver, handlers)
  })

  it("counts and reports a handler that throws or rejects, and goes on", async () => {
    const thrown = new Error("thrown")
    const rejected = new Error("rejected")
    const { counters, failures, subscriber, trades } = handling({
      onTrade: () => {
        throw thrown
      },
      onGap: () => {
        throw thrown
      },
      onBook: (() => Promise.reject(rejected)) as unknown as () => void
    })
    push(subscriber, trades, trade(1))
    subscriber.gap(trades, gap("Silent"))
    push(subscriber, trades, snapshot(1))
    await Promise.resolve()
    await Promise.resolve()
    assert.deepStrictEqual(failures, [thrown, thrown, rejected])
    assert.deepStrictEqual([counters.handlerFailures, counters.delivered], [3, 2])
  })

  it("hears breaks, also of a topic that failed, and needs no handler for them", () => {
    const gaps: Array<Gap> = []
    const { subscriber, trades } = handling({ onGap: (one) => void gaps.push(one) })
    subscriber.gap(trades, gap("Silent"))
    subscriber.fail(trades)
    assert.deepStrictEqual(gaps.map(({ cause }) => cause), ["Silent", "Rejected"])
    assert.strictEqual(trades.state.gaps, 1)
    const deaf = handling({})
    deaf.subscriber.gap(deaf.trades, gap("Silent"))
    push(deaf.subscriber, deaf.trades, trade(1))
    assert.deepStrictEqual(deaf.failures, [])
  })
})

describe("HandlerSubscriber that has left", () => {
  it("is called no more, and counts what it is still given", () => {
    const world = make()
    const seen: Array<string> = []
    const handlers = { onTrade: () => seen.push("trade"), onGap: () => seen.push("gap") }
    const subscriber = new HandlerSubscriber(handlers, world.counters, () => {})
    const trades = world.route("Trades", "A/USDT", subscriber)
    push(subscriber, trades, trade(1))
    subscriber.leave()
    push(subscriber, trades, trade(2))
    subscriber.gap(trades, gap("Silent"))
    subscriber.fail(trades)
    assert.deepStrictEqual(seen, ["trade"])
    const { abandoned, delivered } = world.counters
    assert.deepStrictEqual([trades.state.delivered, trades.state.abandoned, delivered, abandoned], [1, 1, 1, 1])
  })
})

describe("FeedSubscriber", () => {
  const feeding = (handlers: Partial<FeedHandlers<MarketEvent>>) => {
    const world = make()
    const seen: Array<string> = []
    const failures: Array<unknown> = []
    const subscriber = new FeedSubscriber({
      handlers: {
        onEvent: (event) => void seen.push((event as { id?: string }).id ?? "book"),
        onGap: ({ cause }) => void seen.push(cause),
        onTurn: () => void seen.push("turn"),
        onEnd: (error) => void seen.push(error.reason._tag),
        ...handlers
      },
      wakeups: world.wakeups,
      counters: world.counters,
      report: (error) => void failures.push(error)
    })
    return { ...world, failures, seen, subscriber, trades: world.route("Trades", "A/USDT", subscriber) }
  }

  it("hands over what comes as it comes, and tells once that the turn is over", () => {
    const { counters, seen, subscriber, trades, wakeups } = feeding({})
    push(subscriber, trades, trade(1))
    subscriber.gap(trades, gap("Silent"))
    push(subscriber, trades, trade(2))
    wakeups.flush()
    wakeups.flush()
    subscriber.gap(trades, gap("Sequence"))
    wakeups.flush()
    push(subscriber, trades, trade(3))
    wakeups.flush()
    assert.deepStrictEqual(seen, ["1", "Silent", "2", "turn", "Sequence", "3", "turn"])
    assert.deepStrictEqual([trades.state.delivered, counters.delivered, counters.abandoned], [3, 3, 0])
  })

  it("ends once, with the error of whatever ends it, and is called no more", () => {
    const { counters, seen, subscriber, trades, wakeups } = feeding({})
    push(subscriber, trades, trade(1))
    subscriber.fail(trades, failure)
    subscriber.end(failure)
    push(subscriber, trades, trade(2))
    subscriber.gap(trades, gap("Silent"))
    wakeups.flush()
    assert.deepStrictEqual(seen, ["1", failure.reason._tag])
    assert.deepStrictEqual([trades.state.delivered, trades.state.abandoned, counters.abandoned], [1, 1, 1])
  })

  it("that has left is not told of the end either", () => {
    const { seen, subscriber, trades, wakeups } = feeding({})
    push(subscriber, trades, trade(1))
    subscriber.leave()
    subscriber.end(failure)
    wakeups.flush()
    assert.deepStrictEqual(seen, ["1"])
  })

  it("counts and reports whatever throws or rejects, and goes on", async () => {
    const thrown = new Error("thrown")
    const rejected = new Error("rejected")
    const fails = (): never => {
      throw thrown
    }
    const { counters, failures, subscriber, trades, wakeups } = feeding({
      onEvent: fails,
      onGap: (() => Promise.reject(rejected)) as unknown as () => void,
      onTurn: fails,
      onEnd: fails
    })
    push(subscriber, trades, trade(1))
    subscriber.gap(trades, gap("Silent"))
    await Promise.resolve()
    await Promise.resolve()
    wakeups.flush()
    subscriber.end(failure)
    assert.deepStrictEqual(failures, [thrown, rejected, thrown, thrown])
    assert.strictEqual(counters.handlerFailures, 4)
  })

  it("needs neither a turn's end nor an end", () => {
    const { failures, subscriber, trades, wakeups } = feeding({ onTurn: undefined, onEnd: undefined })
    push(subscriber, trades, trade(1))
    wakeups.flush()
    subscriber.end(failure)
    assert.deepStrictEqual(failures, [])
  })

  it("throwing at a break is counted", () => {
    const thrown = new Error("thrown")
    const { failures, subscriber, trades } = feeding({
      onGap: () => {
        throw thrown
      }
    })
    subscriber.gap(trades, gap("Silent"))
    assert.deepStrictEqual(failures, [thrown])
  })
})
