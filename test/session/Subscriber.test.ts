import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed, Gap } from "../../src/domain/Feed.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { FeedHandlers } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Wakeups } from "../../src/session/Subscriber.ts"

const pair = "BTC/USDT"

const values = (items: ReadonlyArray<Feed<MarketEvent>>) =>
  items.flatMap((item) => item._tag === "Data" ? [item.value] : [])
const gaps = (items: ReadonlyArray<Feed<MarketEvent>>) => items.filter((item): item is Gap => item._tag === "Gap")

describe("what a batch brings", () => {
  it("is told in its midst to whoever is told at once, and to all behind it, once each", () => {
    const wakeups = new Wakeups()
    const woken: Array<string> = []
    const waits = (name: string) => ({ wake: () => void woken.push(name) })
    wakeups.add(waits("stream"))
    wakeups.addPrompt(waits("handler"))
    wakeups.flushPrompt()
    wakeups.flushPrompt()
    assert.deepStrictEqual(woken, ["handler"])
    assert.strictEqual(wakeups.turns, 0)
    wakeups.addPrompt(waits("handler again"))
    wakeups.flush()
    wakeups.flush()
    assert.deepStrictEqual(woken, ["handler", "handler again", "stream"])
  })
})

describe("a subscriber that falls behind", () => {
  it.effect("state channels keep the newest value and count the rest as conflated", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const stream = yield* websocket.feed(Channel.bookTicker(pair), { bufferSize: 4 })
      for (let version = 1; version <= 10; version++) yield* control.emit(Test.bookTicker(pair, { version }))
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(stream, 4)))
      const items = yield* Fiber.join(fiber)
      const versions = values(items).map((value) => value._tag === "BookTicker" ? value.version : null)
      assert.strictEqual(versions.at(-1), 10)
      const { conflated, dropped, delivered, gaps: gapCount } = yield* websocket.performance
      assert.strictEqual(conflated, 10 - versions.length)
      assert.strictEqual(delivered, versions.length)
      assert.strictEqual(dropped, 0)
      assert.strictEqual(gapCount, 0)
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("event channels keep the newer half and declare in place exactly how many were lost", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const stream = yield* websocket.feed(Channel.trades(pair), { bufferSize: 4 })
      for (let id = 1; id <= 9; id++) yield* control.emit(Test.trade(pair, { id: String(id) }))
      const items = yield* Stream.runCollect(Stream.take(stream, 4))
      const shown = items.map((item) =>
        item._tag === "Gap" ? `${item.cause} ${item.lost}` : (item.value as { id: string }).id
      )
      assert.deepStrictEqual(shown, ["Overflow 6", "7", "8", "9"])
      const { dropped, delivered } = yield* websocket.performance
      assert.deepStrictEqual([dropped, delivered], [6, 3])
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("books lose everything until the consumer reads on, behind one gap", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const stream = yield* websocket.feed(Channel.book(pair), { bufferSize: 3 })
      yield* control.emit(Test.snapshot(pair, { version: 1 }))
      for (let version = 2; version <= 5; version++) {
        yield* control.emit(Test.delta(pair, { firstVersion: version, version }))
      }
      const pull = yield* Stream.toPull(stream)
      const items = yield* pull
      assert.deepStrictEqual(gaps(items).map(({ cause, lost }) => [cause, lost]), [["Overflow", 5]])
      assert.strictEqual(items.length, 1)
      yield* control.emit(Test.snapshot(pair, { version: 6 }))
      assert.deepStrictEqual(
        values(yield* pull).map((value) => value._tag === "BookUpdate" ? value.version : null),
        [6]
      )
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("breaks right behind each other become one, so a consumer that never pulls collects none", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const channel = Channel.trades(pair)
      const stream = yield* websocket.feed(channel)
      for (let i = 0; i < 1000; i++) yield* control.gap(channel, "Reconnected", { lost: 1 })
      yield* control.emit(Test.trade(pair))
      const items = yield* Stream.runCollect(Stream.take(stream, 2))
      assert.deepStrictEqual(gaps(items).map(({ cause, lost }) => [cause, lost]), [["Reconnected", 1000]])
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("the session's events keep one newest value for every topic, also beyond the buffer's size", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const pairs = ["A/USDT", "B/USDT", "C/USDT", "D/USDT", "E/USDT"] as const
      yield* websocket.initialize(pairs, ["BookTicker"])
      const started = yield* Stream.toPull(websocket.events)
      const first = yield* Effect.forkChild(started, { startImmediately: true })
      yield* control.emit(Test.bookTicker("A/USDT", { version: 0 }))
      yield* Fiber.join(first)
      for (let version = 1; version <= 600; version++) {
        yield* control.emit(...pairs.map((name) => Test.bookTicker(name, { version })))
      }
      const rest = yield* started
      const newest = new Map(values(rest).map((value) => [value.pair, (value as { version: number }).version]))
      assert.deepStrictEqual([...newest.values()], [600, 600, 600, 600, 600])
      const { topics, conflated, delivered } = yield* websocket.performance
      assert.strictEqual(delivered + conflated, 3001)
      for (const topic of topics) assert.strictEqual(topic.received, topic.delivered + topic.conflated)
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("counts what a consumer leaves behind", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const scope = yield* Scope.make()
      yield* websocket.feed(Channel.trades(pair)).pipe(Scope.provide(scope))
      yield* control.emit(Test.trade(pair), Test.trade(pair))
      yield* Scope.close(scope, Exit.void)
      const { topics } = yield* websocket.performance
      const [topic] = topics
      assert.strictEqual(topic?.abandoned, 2)
      assert.strictEqual(topic?.delivered, 0)
      yield* control.emit(Test.trade(pair))
      assert.strictEqual((yield* websocket.performance).topics[0]?.unrouted, 1)
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  const Step = Schema.Struct({
    kind: Schema.Literals(["emit", "emit", "emit", "pull", "gap"]),
    count: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: 20 })))
  })

  for (const tag of ["BookTicker", "Trades", "Book"] as const) {
    it.effect.prop(
      `${tag}: sent = delivered + conflated + declared lost, exactly, whatever the pace`,
      [Schema.Array(Step), Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: 16 })))],
      ([steps, bufferSize]) =>
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const control = yield* Test.TestControl
          const channel = Channel.forPair(tag, pair)
          const pull = yield* Stream.toPull(yield* websocket.feed(channel, { bufferSize }))
          const make = { BookTicker: Test.bookTicker, Trades: Test.trade, Book: Test.delta }[tag]
          let sent = 0
          let seen = 0
          let lost = 0
          let pending = 0
          const count = (item: Feed<MarketEvent>): void => {
            if (item._tag === "Data") seen++
            else lost += item.lost ?? 0
          }
          const take = Effect.suspend(() => {
            if (pending === 0) return Effect.void
            pending = 0
            return Effect.map(pull, (items) => items.forEach(count))
          })
          const emit = (times: number) =>
            Effect.suspend(() => {
              sent += times
              pending += times
              return control.emit(...Array.from({ length: times }, () => make(pair)))
            })
          const gap = Effect.suspend(() => {
            pending++
            return control.gap(channel, "Reconnected")
          })
          for (const step of steps) {
            yield* step.kind === "pull" ? take : step.kind === "gap" ? gap : emit(step.count)
          }
          yield* take
          const of = (value: number | undefined): number => value ?? 0
          const { topics } = yield* websocket.performance
          const [topic] = topics
          assert.strictEqual(of(topic?.received), sent)
          assert.strictEqual(of(topic?.delivered), seen)
          assert.strictEqual(of(topic?.dropped), lost)
          assert.strictEqual(seen + of(topic?.conflated) + lost, sent)
        }).pipe(Effect.scoped, Effect.provide(Test.layer()))
    )
  }

  it.effect("block: nothing is lost, and the subscriber says when there is room", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const stream = yield* websocket.feed(Channel.trades(pair), { bufferSize: 2, overflow: "block" })
      for (let id = 1; id <= 9; id++) yield* control.emit(Test.trade(pair, { id: String(id) }))
      const items = yield* Stream.runCollect(Stream.take(stream, 9))
      assert.strictEqual(values(items).length, 9)
      assert.deepStrictEqual(gaps(items), [])
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))
})

describe("handleFeed", () => {
  const handlers = () => {
    const seen: Array<string> = []
    const fails: FeedHandlers<MarketEvent> = {
      onEvent: (event) => void seen.push((event as { readonly id: string }).id),
      onGap: ({ cause }) => void seen.push(cause),
      onTurn: () => void seen.push("turn"),
      onEnd: ({ reason }) => void seen.push(reason._tag)
    }
    return { seen, handlers: fails }
  }

  it.effect("calls in the turn of the events, until its scope closes", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const { handlers: one, seen } = handlers()
      const scope = yield* Scope.make()
      yield* websocket.handleFeed(Channel.trades(pair), one).pipe(Scope.provide(scope))
      yield* control.emit(Test.trade(pair, { id: "1" }), Test.trade(pair, { id: "2" }))
      yield* control.gap(Channel.trades(pair), "Silent")
      assert.deepStrictEqual(seen, ["1", "2", "turn", "Silent"])
      yield* Scope.close(scope, Exit.void)
      yield* control.emit(Test.trade(pair))
      yield* websocket.close
      assert.lengthOf(seen, 4)
      assert.deepStrictEqual(yield* control.subscriptions, [])
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it.effect("fails as a feed does when the exchange refuses, and when the session is closed", () =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* control.reject("X/USDT")
      const refused = yield* Effect.flip(websocket.handleFeed(Channel.trades("X/USDT"), handlers().handlers))
      assert.strictEqual(refused.reason._tag, "SubscriptionRejected")
      const { handlers: one, seen } = handlers()
      yield* websocket.handleFeed(Channel.trades(pair), one)
      yield* websocket.close
      assert.deepStrictEqual(seen, ["Closed"])
      const closed = yield* Effect.flip(websocket.handleFeed(Channel.trades(pair), one))
      assert.strictEqual(closed.reason._tag, "Closed")
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))
})
