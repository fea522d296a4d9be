import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Decimal from "../src/domain/Decimal.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import type { Outcome } from "../src/OrderEntry.ts"
import { OrderEntry } from "../src/OrderEntry.ts"
import * as Test from "../src/OrderEntryTest.ts"

const pair = "BTC/USDT"
const swap = "BTC/USDT:USDT"

type Services = OrderEntry | Test.TestControl

const run = <A, E>(effect: Effect.Effect<A, E, Services>, options?: Test.TestOptions) =>
  Effect.provide(effect, Test.layer(options))

const reasonOf = <A, R>(effect: Effect.Effect<A, ExchangeError.ExchangeError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

const place = (clientOrderId: string, fields: object = {}) =>
  Effect.flatMap(
    OrderEntry,
    (entry) => entry.place({ pair, side: "buy", quantity: 1.00009, price: "100.009", clientOrderId, ...fields })
  )

const resolved = <A>(outcome: Outcome<A>) =>
  outcome._tag === "Unknown" ? outcome.resolved : Effect.die(`it is ${outcome._tag}`)

describe("OrderEntryTest", () => {
  it.effect("names an order before it is placed, each name once", () =>
    run(Effect.gen(function*() {
      const entry = yield* OrderEntry
      const names = yield* Effect.forEach(Array.from({ length: 100 }), () => entry.makeClientOrderId)
      assert.strictEqual(new Set(names).size, 100)
      const placed = yield* place(names[0]!)
      assert.strictEqual(placed.clientOrderId, names[0])
    })))

  it.effect("orders leave on their steps, rest, are amended, filled and cancelled", () =>
    run(Effect.gen(function*() {
      const entry = yield* OrderEntry
      const control = yield* Test.TestControl
      const { outcome } = yield* place("a")
      assert.strictEqual(outcome._tag, "Accepted")
      const [command] = yield* control.sent
      assert.deepInclude(command?._tag === "Place" ? command.order : {}, { quantity: "1", price: "100" })
      yield* entry.amend({ pair, clientOrderId: "a" }, { price: 90 })
      const part = yield* control.fill("a", { quantity: "0.25" })
      assert.strictEqual(part.status, "partiallyFilled")
      assert.strictEqual(Decimal.toText(part.averagePrice!), "90")
      assert.strictEqual((yield* entry.openOrders(pair)).length, 1)
      const cancelled = yield* entry.cancel({ pair, clientOrderId: "a" })
      assert.strictEqual(cancelled._tag === "Accepted" ? cancelled.value.status : "", "partiallyCanceled")
      assert.strictEqual((yield* entry.cancel({ pair, clientOrderId: "a" }))._tag, "Rejected")
      yield* place("b")
      assert.strictEqual((yield* control.fill("b", { price: 99 })).status, "filled")
      assert.strictEqual((yield* entry.get({ pair, clientOrderId: "b" }))?.status, "filled")
      assert.isNull(yield* entry.get({ pair, clientOrderId: "c" }))
      assert.deepStrictEqual((yield* control.orders).map(({ status }) => status), ["partiallyCanceled", "filled"])
    })))

  it.effect("commands are refused, lost and held back as scripted", () =>
    run(Effect.gen(function*() {
      const control = yield* Test.TestControl
      yield* control.next(
        Test.reject({ code: "BALANCE_NOT_ENOUGH" }),
        Test.loseRequest,
        Test.loseAnswer,
        Test.fail(new ExchangeError.RateLimited({ budget: "orders", retryAfterMs: 5, detail: "full" }))
      )
      const refused = yield* place("a")
      assert.strictEqual(refused.outcome._tag === "Rejected" ? refused.outcome.reason.code : "", "BALANCE_NOT_ENOUGH")
      const never = yield* resolved((yield* place("b")).outcome)
      assert.strictEqual(never._tag, "Rejected")
      const did = yield* resolved((yield* place("c")).outcome)
      assert.strictEqual(did._tag === "Accepted" ? did.value.clientOrderId : "", "c")
      assert.strictEqual(yield* reasonOf(place("d")), "RateLimited")
      assert.strictEqual((yield* place("e")).outcome._tag, "Accepted")
      assert.deepStrictEqual((yield* control.orders).map(({ clientOrderId }) => clientOrderId), ["c", "e"])
      assert.strictEqual((yield* control.sent).length, 4)
    })))

  it.effect("what is unknown stays so while the exchange is silent, and keeps other commands for the order waiting", () =>
    run(Effect.gen(function*() {
      const entry = yield* OrderEntry
      const control = yield* Test.TestControl
      yield* control.hush
      yield* control.next(Test.loseAnswer)
      const { outcome } = yield* place("a")
      const cancel = yield* Effect.forkChild(entry.cancel({ pair, clientOrderId: "a" }), { startImmediately: true })
      yield* Effect.yieldNow
      assert.strictEqual((yield* control.sent).length, 1)
      yield* control.answer
      assert.strictEqual((yield* resolved(outcome))._tag, "Accepted")
      assert.strictEqual((yield* Fiber.join(cancel))._tag, "Accepted")
    })))

  it.effect("batches, market orders, cancel all and the commands of swaps", () =>
    run(Effect.gen(function*() {
      const entry = yield* OrderEntry
      const control = yield* Test.TestControl
      const placed = yield* entry.placeAll([
        { pair, side: "buy", quoteQuantity: "50", clientOrderId: "m" },
        { pair, side: "sell", quantity: 1, price: 5, clientOrderId: "l" },
        { pair, side: "sell", quantity: 1, price: 5, clientOrderId: "l2" },
        { pair: swap, side: "sell", quantity: 3, price: 5, reduceOnly: true, clientOrderId: "s" }
      ])
      assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), [
        "Accepted",
        "Accepted",
        "Accepted",
        "Accepted"
      ])
      assert.strictEqual(yield* reasonOf(place("l")), "InvalidOrder")
      const market = yield* control.fill("m", { price: "100" })
      assert.strictEqual(Decimal.toText(market.filledQuantity), "0.5")
      yield* control.next(Test.loseAnswer)
      const all = yield* resolved(yield* entry.cancelAll())
      assert.strictEqual(all._tag, "Accepted")
      assert.strictEqual((yield* entry.openOrders()).length, 0)
      yield* entry.setLeverage(swap, "7")
      yield* entry.setMarginMode(swap, "cross")
      yield* entry.cancelAllAfter(1_000)
      const { leverage, mode } = yield* entry.leverage(swap)
      assert.deepStrictEqual([Decimal.toText(leverage), mode], ["7", "cross"])
      assert.isTrue(yield* entry.isReady)
    })))

  it.effect("lists and can only what it is told to", () =>
    run(
      Effect.gen(function*() {
        const entry = yield* OrderEntry
        assert.strictEqual(yield* reasonOf(place("a")), "UnknownPair")
        assert.strictEqual(yield* reasonOf(entry.cancelAllAfter(1)), "UnsupportedOrder")
        const control = yield* Test.TestControl
        assert.deepStrictEqual(yield* control.sent, [])
      }),
      { instruments: [], abilities: [] }
    ))

  it.effect("a fill of what is not there is a mistake of the test", () =>
    run(Effect.gen(function*() {
      const control = yield* Test.TestControl
      const exit = yield* Effect.exit(control.fill("nothing"))
      assert.include(String(exit), "there is no open order nothing")
      yield* place("m", { price: undefined })
      assert.include(String(yield* Effect.exit(control.fill("m"))), "at what price")
    })))
})
