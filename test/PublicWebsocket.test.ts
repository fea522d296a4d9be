import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Channel from "../src/domain/Channel.ts"
import type { ConnectionStatus, Feed } from "../src/domain/Feed.ts"
import type { TradingPair } from "../src/domain/Instrument.ts"
import type { MarketEvent } from "../src/domain/Market.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import * as Public from "../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../src/PublicWebsocket.ts"
import * as Test from "../src/PublicWebsocketTest.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

const run = <A, E>(effect: Effect.Effect<A, E, PublicWebsocket | Test.TestControl | Scope.Scope>) =>
  effect.pipe(Effect.scoped, Effect.provide(Test.layer()))

const reasonOf = <A, R>(effect: Effect.Effect<A, ExchangeError.ExchangeError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

/** Runs the session's events in the background, from before this returns. */
const collect = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const items: Array<Feed<MarketEvent>> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(websocket.events, (item) => Effect.sync(() => items.push(item))),
    { startImmediately: true }
  )
  return { items, fiber }
})

describe("PublicWebsocket", () => {
  it.effect("MUST subscribe every channel of every pair and say what was accepted and refused", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* control.reject("NOPE/USDT")
      const { accepted, rejected } = yield* websocket.initialize([btc, eth, "NOPE/USDT"], ["BookTicker", "Trades"])
      assert.deepStrictEqual([...accepted].sort(), [btc, eth])
      assert.deepStrictEqual([...rejected.keys()], ["NOPE/USDT"])
      assert.strictEqual(rejected.get("NOPE/USDT")?.reason._tag, "SubscriptionRejected")
      const subscriptions = yield* control.subscriptions
      assert.strictEqual(subscriptions.length, 4)
    })))

  it.effect("MUST fail initialize only when every pair was refused, and allow another try then", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* control.reject(btc)
      assert.strictEqual(yield* reasonOf(websocket.initialize([btc], ["Trades"])), "SubscriptionRejected")
      const { accepted } = yield* websocket.initialize([eth], ["Trades"])
      assert.deepStrictEqual(accepted, [eth])
    })))

  it.effect("MUST refuse a second initialize, a call without session, an empty list and an unsupported channel", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      assert.strictEqual(yield* reasonOf(websocket.subscribe([btc])), "InvalidUse")
      assert.strictEqual(yield* reasonOf(websocket.initialize([] as never, ["Trades"])), "InvalidUse")
      assert.strictEqual(yield* reasonOf(websocket.initialize([btc], [] as never)), "InvalidUse")
      yield* websocket.initialize([btc], ["Trades"])
      assert.strictEqual(yield* reasonOf(websocket.initialize([btc], ["Trades"])), "InvalidUse")
      const only = Test.layer({ channels: ["Trades"] })
      const reason = yield* reasonOf(Effect.flatMap(PublicWebsocket, (other) => other.feed(Channel.book(btc)))).pipe(
        Effect.provide(only)
      )
      assert.strictEqual(reason, "UnsupportedChannel")
      const unheard = yield* reasonOf(
        Effect.scoped(Effect.flatMap(PublicWebsocket, (other) => other.handle({ onTrade: () => {}, onBook: () => {} })))
      ).pipe(Effect.provide(only))
      assert.strictEqual(unheard, "UnsupportedChannel")
    })))

  it.effect("MUST deliver the session's events and handlers in order, and stop with unsubscribe", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const { items } = yield* collect
      const handled: Array<string> = []
      yield* websocket.handle({
        onTrade: (trade) => handled.push(`trade ${trade.pair} ${trade.id}`),
        onBookTicker: (ticker) => handled.push(`ticker ${ticker.pair}`),
        onBook: (update) => handled.push(`book ${update.pair}`),
        onGap: (gap) => handled.push(`gap ${gap.cause}`)
      })
      yield* websocket.initialize([btc], ["BookTicker", "Trades", "Book"])
      yield* websocket.subscribe([eth])
      yield* control.emit(Test.trade(btc, { id: "7" }), Test.bookTicker(eth), Test.snapshot(btc))
      yield* control.gap(Channel.trades(eth), "Sequence")
      assert.deepStrictEqual(handled, [`trade ${btc} 7`, `ticker ${eth}`, `book ${btc}`, "gap Sequence"])
      assert.deepStrictEqual(items.map((item) => item._tag), ["Data", "Data", "Data", "Gap"])
      yield* websocket.unsubscribe([btc, "NOT/THERE"])
      yield* control.emit(Test.trade(btc, { id: "8" }))
      assert.strictEqual(handled.length, 4)
      assert.strictEqual((yield* control.subscriptions).length, 3)
    })))

  it.effect("MUST keep the others going when a handler throws, and count it", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const seen: Array<string> = []
      const broken = () => {
        throw new Error("mine")
      }
      yield* websocket.handle({ onTrade: broken, onGap: broken })
      yield* websocket.handle({ onTrade: (trade) => seen.push(trade.id ?? "") })
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc, { id: "1" }), Test.trade(btc, { id: "2" }))
      yield* control.gap(Channel.trades(btc), "Silent")
      assert.deepStrictEqual(seen, ["1", "2"])
      assert.strictEqual((yield* websocket.performance).handlerFailures, 3)
    })))

  it.effect("MUST log the first of many failures of handlers at once, and then one line a second that counts the others", () => {
    const lines: Array<ReadonlyArray<unknown>> = []
    const logger = Logger.make(({ message }) => void lines.push(Array.isArray(message) ? message : [message]))
    const take = () => lines.splice(0).map(([text, error]) => `${text}, ${(error as Error).message}`)
    const first = "[test] a handler failed; the others go on"
    const later = (count: number, id: string) => `${first}: ${count} more since the last line, the latest, ${id}`
    return run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* websocket.handle({
        onTrade: ({ id }) => {
          throw new Error(id ?? "")
        }
      })
      yield* websocket.initialize([btc], ["Trades"])
      const fail = (...ids: ReadonlyArray<string>) => control.emit(...ids.map((id) => Test.trade(btc, { id })))
      yield* fail("1", "2", "3")
      assert.deepStrictEqual(take(), [`${first}, 1`])
      yield* TestClock.adjust("500 millis")
      yield* fail("4")
      assert.deepStrictEqual(take(), [])
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(take(), [later(3, "4")])
      yield* fail("5")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(take(), [later(1, "5")])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(take(), [])
      yield* fail("6", "7", "8")
      assert.deepStrictEqual(take(), [`${first}, 6`])
      assert.strictEqual((yield* websocket.performance).handlerFailures, 8)
    })).pipe(
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual(take(), [later(2, "8")], "told at the end"))),
      Effect.provide(Logger.layer([logger]))
    )
  })

  it.effect("MUST stop calling handlers when their scope closes", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      let seen = 0
      const scope = yield* Scope.make()
      yield* websocket.handle({ onTrade: () => seen++, onStatus: () => seen += 100 }).pipe(Scope.provide(scope))
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc))
      yield* Scope.close(scope, Exit.void)
      yield* control.emit(Test.trade(btc))
      yield* control.reconnect
      assert.strictEqual(seen, 1)
    })))

  it.effect("MUST call no handler of a scope that another handler of the same event, or break, has closed", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const seen: Array<string> = []
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      const leave = (index: 0 | 1) => Effect.runSync(Scope.close(scopes[index], Exit.void))
      yield* websocket.handle({ onTrade: ({ id }) => id === "2" && leave(0), onGap: () => leave(1) })
      for (const [index, scope] of scopes.entries()) {
        yield* websocket.handle({
          onTrade: ({ id }) => seen.push(`${index} ${id}`),
          onGap: ({ cause }) => seen.push(`${index} ${cause}`)
        }).pipe(Scope.provide(scope))
      }
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc, { id: "1" }), Test.trade(btc, { id: "2" }), Test.trade(btc, { id: "3" }))
      yield* control.gap(Channel.trades(btc), "Silent")
      assert.deepStrictEqual(seen, ["0 1", "1 1", "1 2", "1 3"])
      const { delivered, topics } = yield* websocket.performance
      assert.deepStrictEqual([delivered, topics[0]!.abandoned], [7, 1])
    })))

  it.effect("MUST call no handler once it was closed by another of the same event", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const seen: Array<string> = []
      yield* websocket.handle({ onTrade: () => Effect.runSync(websocket.close) })
      yield* websocket.handle({ onTrade: ({ id }) => seen.push(id ?? "") })
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc, { id: "1" }))
      assert.deepStrictEqual(seen, [])
    })))

  it.effect("MUST end the streams on close, and answer later calls with Closed", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const { fiber, items } = yield* collect
      const feed = yield* websocket.feed(Channel.trades(eth))
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc), Test.trade(eth))
      yield* websocket.close
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual((yield* Stream.runCollect(feed)).length, 0)
      assert.strictEqual(items.length, 1)
      assert.deepStrictEqual(yield* control.subscriptions, [])
      for (
        const call of [
          websocket.initialize([btc], ["Trades"]),
          websocket.subscribe([btc]),
          websocket.unsubscribe([btc]),
          websocket.handle({}),
          websocket.feed(Channel.trades(eth)),
          Stream.runDrain(websocket.events)
        ]
      ) {
        assert.strictEqual(
          yield* reasonOf(call as Effect.Effect<unknown, ExchangeError.ExchangeError, Scope.Scope>),
          "Closed"
        )
      }
    })))

  it.effect("MUST end a feed that is being read, on close", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const reading = yield* Effect.forkChild(Stream.runCollect(yield* websocket.feed(Channel.trades(btc))), {
        startImmediately: true
      })
      yield* control.emit(Test.trade(btc))
      yield* websocket.close
      assert.strictEqual((yield* Fiber.join(reading)).length, 1)
      assert.deepStrictEqual(yield* control.subscriptions, [])
    })))

  it.effect("MUST run a feed's stream once: a second run would miss what the first had taken", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const stream = yield* websocket.feed(Channel.trades(btc))
      yield* control.emit(Test.trade(btc), Test.trade(btc))
      assert.strictEqual((yield* Stream.runCollect(Stream.take(stream, 1))).length, 1)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(stream)), "InvalidUse")
    })))

  it.effect("MUST count an async handler that rejects, and not end the process with it", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* websocket.handle({ onTrade: async () => Promise.reject(new Error("mine")) })
      yield* websocket.initialize([btc], ["Trades"])
      yield* control.emit(Test.trade(btc))
      // The rejection is heard behind the microtasks that are under way.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual((yield* websocket.performance).handlerFailures, 1)
    })))

  it.effect("MUST share one subscription between feeds and end it with the last", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      yield* websocket.feed(Channel.trades(btc)).pipe(Scope.provide(first))
      yield* websocket.feed(Channel.trades(btc)).pipe(Scope.provide(second))
      assert.strictEqual((yield* control.subscriptions).length, 1)
      yield* Scope.close(first, Exit.void)
      assert.strictEqual((yield* control.subscriptions).length, 1)
      yield* Scope.close(second, Exit.void)
      assert.strictEqual((yield* control.subscriptions).length, 0)
    })))

  it.effect("MUST put a gap before the first data after a reconnect, in every feed", () =>
    run(Effect.gen(function*() {
      const control = yield* Test.TestControl
      const fiber = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(Public.stream(Channel.trades(btc)), 3)),
        { startImmediately: true }
      )
      yield* control.awaitSubscribed(Channel.trades(btc))
      yield* control.emit(Test.trade(btc))
      yield* control.reconnect
      yield* control.emit(Test.trade(btc))
      const items = yield* Fiber.join(fiber)
      assert.deepStrictEqual(items.map((item) => item._tag === "Gap" ? item.cause : item._tag), [
        "Data",
        "Reconnected",
        "Data"
      ])
    })))

  it.effect("MUST fail every stream with the reason of a permanent error, behind what was received", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const { fiber, items } = yield* collect
      const stream = yield* websocket.feed(Channel.trades(btc))
      yield* websocket.initialize([eth], ["Trades"])
      yield* control.emit(Test.trade(btc), Test.trade(eth))
      yield* control.fail(ExchangeError.make("test", new ExchangeError.AuthRejected({ code: "1", detail: "no" })))
      assert.strictEqual(yield* reasonOf(Stream.runDrain(stream)), "AuthRejected")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(items.length, 1)
      assert.isFalse(yield* websocket.isConnected)
      assert.strictEqual(yield* reasonOf(websocket.feed(Channel.trades(btc))), "AuthRejected")
    })))

  it.effect("SHOULD show the present status first, then every change, also to handlers", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const handled: Array<ConnectionStatus["_tag"]> = []
      yield* websocket.handle({ onStatus: (status) => handled.push(status._tag) })
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(websocket.status, 3)), {
        startImmediately: true
      })
      yield* control.reconnect
      const statuses = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses.map(({ _tag }) => _tag), ["Connected", "Disconnected", "Connected"])
      assert.deepStrictEqual(handled, ["Disconnected", "Connected"])
    })))

  it.effect("SHOULD treat a pair that is given twice, or subscribed already, as one", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      const pairs: [TradingPair, TradingPair] = [btc, btc]
      yield* websocket.initialize(pairs, [{ _tag: "Trades" }])
      const { accepted } = yield* websocket.subscribe([btc])
      assert.deepStrictEqual(accepted, [btc])
      assert.strictEqual((yield* control.subscriptions).length, 1)
    })))

  it.effect("SHOULD count what happened, by topic and in sum", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const control = yield* Test.TestControl
      yield* websocket.handle({})
      yield* websocket.initialize([btc, eth], ["Trades"])
      assert.strictEqual(yield* control.emit(Test.trade(btc), Test.trade(btc), Test.trade(eth), Test.trade("X/Y")), 3)
      const performance = yield* websocket.performance
      assert.strictEqual(performance.events, 4)
      assert.strictEqual(performance.delivered, 3)
      assert.deepStrictEqual(performance.topics.map(({ received }) => received), [2, 1])
      assert.isAbove(performance.heapBytes, 0)
    })))
})
