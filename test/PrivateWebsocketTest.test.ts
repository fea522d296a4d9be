import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import type { Scope } from "effect"
import type { AccountEvent } from "../src/domain/Account.ts"
import * as Decimal from "../src/domain/Decimal.ts"
import type { ConnectionStatus } from "../src/domain/Feed.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import type { AccountFeed } from "../src/PrivateWebsocket.ts"
import * as Private from "../src/PrivateWebsocket.ts"
import { PrivateWebsocket } from "../src/PrivateWebsocket.ts"
import * as Test from "../src/PrivateWebsocketTest.ts"

const btc = "BTC/USDT"

const run = <A, E>(effect: Effect.Effect<A, E, PrivateWebsocket | Test.TestControl | Scope.Scope>) =>
  effect.pipe(Effect.scoped, Effect.provide(Test.layer()))

const reasonOf = <A, R>(effect: Effect.Effect<A, ExchangeError.ExchangeError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

const told = (item: AccountFeed<AccountEvent>): string =>
  item._tag === "Gap" ? `gap ${item.channel} ${item.cause}` : `${item.value._tag} ${item.value.origin}`

/** Runs the session's events in the background, from before this returns. */
const collect = Effect.gen(function*() {
  const websocket = yield* PrivateWebsocket
  const items: Array<string> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(websocket.events, (item) => Effect.sync(() => items.push(told(item)))),
    { startImmediately: true }
  )
  return { items, fiber }
})

describe("PrivateWebsocketTest", () => {
  it.effect("events go to the session's channels, to handlers and to feeds of their own", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PrivateWebsocket
      const control = yield* Test.TestControl
      const { items } = yield* collect
      const handled: Array<string> = []
      yield* websocket.handle({
        onFill: ({ tradeId }) => handled.push(`fill ${tradeId}`),
        onOrder: ({ status }) => handled.push(`order ${status}`),
        onPosition: ({ pair }) => handled.push(`position ${pair}`)
      })
      assert.strictEqual(yield* control.emit(Test.fill(btc)), 0)
      yield* websocket.initialize(["Orders", "Fills"])
      const positions = yield* Effect.forkScoped(
        Stream.runHead(Private.stream("Positions")),
        { startImmediately: true }
      )
      yield* control.awaitSubscribed("Positions")
      assert.deepStrictEqual(yield* control.subscriptions, ["Orders", "Fills", "Positions"])
      const taken = yield* control.emit(
        Test.orderUpdate(btc, { status: "filled" }),
        Test.fill(btc, { tradeId: "7" }),
        Test.balance("USDT"),
        Test.position("BTC/USDT:USDT")
      )
      assert.strictEqual(taken, 3)
      yield* Fiber.join(positions)
      assert.deepStrictEqual(handled, ["order filled", "fill 7"])
      assert.deepStrictEqual(items, ["OrderUpdate Stream", "Fill Stream"])
      const { delivered, events } = yield* websocket.performance
      assert.deepStrictEqual({ events, delivered }, { events: 5, delivered: 5 })
    })))

  it.effect("a lost connection is a gap on each channel, and what was missed follows as reconciled", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PrivateWebsocket
      const control = yield* Test.TestControl
      const statuses: Array<ConnectionStatus["_tag"]> = []
      const { items } = yield* collect
      yield* websocket.handle({ onStatus: ({ _tag }) => statuses.push(_tag) })
      yield* websocket.initialize(["Fills"])
      yield* control.miss(Test.fill(btc))
      yield* control.reconnect
      yield* control.gap("Fills", "Overflow", { lost: 3 })
      yield* control.miss(Test.fill(btc))
      yield* websocket.reconcile
      yield* Effect.yieldNow
      assert.deepStrictEqual(items, [
        "gap Fills Reconnected",
        "Fill Reconciled",
        "gap Fills Overflow",
        "Fill Reconciled"
      ])
      assert.deepStrictEqual(statuses, ["Disconnected", "Connected"])
      const { gaps, reconciliation, reconnects } = yield* websocket.performance
      assert.deepStrictEqual({ gaps, reconnects }, { gaps: 2, reconnects: 1 })
      assert.deepInclude(reconciliation, { runs: 2, recovered: 2, lastAt: 0 })
    })))

  it.effect("who comes later is told the state of now first: what is open, held and owned", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PrivateWebsocket
      const control = yield* Test.TestControl
      const early: Array<string> = []
      yield* websocket.handle({ onOrder: ({ orderId }) => early.push(orderId) })
      const size = Decimal.of("1")
      yield* control.emit(
        Test.orderUpdate(btc, { orderId: "ended" }),
        Test.orderUpdate(btc, { orderId: "ended", status: "canceled" }),
        Test.orderUpdate(btc, { orderId: "open" }),
        Test.fill(btc),
        Test.balance("USDT"),
        Test.position("ETH/USDT:USDT", { size }),
        Test.position("BTC/USDT:USDT", { size }),
        Test.position("BTC/USDT:USDT")
      )
      yield* websocket.initialize()
      assert.deepStrictEqual(early, ["open"])
      const later: Array<string> = []
      yield* websocket.handle({
        onOrder: ({ orderId, origin }) => later.push(`${orderId} ${origin}`),
        onFill: () => later.push("fill"),
        onBalance: ({ asset }) => later.push(asset),
        onPosition: ({ pair }) => later.push(String(pair))
      })
      assert.deepStrictEqual(later, ["open Reconciled", "USDT", "ETH/USDT:USDT"])
      const first = yield* Stream.runHead(yield* websocket.feed("Orders"))
      assert.strictEqual(Option.getOrThrow(first)._tag, "Data")
    })))

  it.effect("what the service refuses, it refuses here too", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PrivateWebsocket
      const control = yield* Test.TestControl
      const spot = Test.layer({ channels: ["Orders"], exchange: "toy", account: "main" })
      yield* Effect.gen(function*() {
        const other = yield* PrivateWebsocket
        assert.deepStrictEqual([other.exchange, other.account, ...other.channels], ["toy", "main", "Orders"])
        assert.strictEqual(yield* reasonOf(other.initialize(["Positions"])), "UnsupportedChannel")
        assert.strictEqual(yield* reasonOf(Effect.scoped(other.feed("Positions"))), "UnsupportedChannel")
        assert.strictEqual(yield* reasonOf(Effect.scoped(other.handle({ onLeverage: () => {} }))), "UnsupportedChannel")
      }).pipe(Effect.provide(spot))
      yield* websocket.initialize()
      assert.strictEqual(yield* reasonOf(websocket.initialize()), "InvalidUse")
      assert.isTrue(yield* websocket.isAuthenticated)
      yield* control.reject()
      assert.isFalse(yield* websocket.isAuthenticated)
      assert.isTrue(yield* websocket.isConnected)
      assert.strictEqual(yield* reasonOf(websocket.feed("Fills")), "AuthRejected")
      yield* websocket.close
      assert.strictEqual(yield* reasonOf(websocket.initialize()), "Closed")
    })))

  it.effect("streams end when the session is closed, and fail with a permanent error", () =>
    Effect.gen(function*() {
      const error = ExchangeError.make("test", new ExchangeError.AuthRejected({ code: "revoked", detail: "gone" }))
      const endOf = (how: (control: Test.TestControl["Service"]) => Effect.Effect<void, never, PrivateWebsocket>) =>
        run(Effect.gen(function*() {
          const { fiber } = yield* collect
          yield* how(yield* Test.TestControl)
          return yield* Fiber.await(fiber)
        }))
      const failed = yield* endOf((control) => control.fail(error))
      assert.deepStrictEqual(failed, Exit.fail(error))
      const closed = yield* endOf(() => Effect.flatMap(PrivateWebsocket, ({ close }) => close))
      assert.isTrue(Exit.isSuccess(closed))
    }))

  it.effect("a handler that throws is counted, and the others go on", () =>
    run(Effect.gen(function*() {
      const websocket = yield* PrivateWebsocket
      const control = yield* Test.TestControl
      const seen: Array<string> = []
      yield* websocket.handle({
        onBalance: () => {
          throw new Error("mine")
        }
      })
      yield* websocket.handle({
        onBalance: ({ asset }) => seen.push(asset),
        onGap: ({ channel }) => seen.push(`gap ${channel}`)
      })
      yield* websocket.initialize()
      yield* control.emit(Test.balance("USDT"))
      yield* control.gap("Balances", "Silent")
      assert.deepStrictEqual(seen, ["USDT", "gap Balances"])
      assert.strictEqual((yield* websocket.performance).handlerFailures, 1)
    })))
})
