import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AccountMetrics from "../../src/account/AccountMetrics.ts"
import type { AccountEvent } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { handlersFor, type PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import * as SteppedClock from "../SteppedClock.ts"
import { balance, Bank, credentials, failed, fill, open, order, position } from "./Bank.ts"

/** What the handlers were told, in words. */
const words = (event: AccountEvent): string => {
  const mark = event.origin === "Reconciled" ? "R" : ""
  switch (event._tag) {
    case "Fill":
      return `fill ${event.tradeId}${mark}`
    case "OrderUpdate":
      return `order ${event.orderId} ${event.status}${mark}`
    case "Balance":
      return `balance ${event.asset} ${event.available === null ? "?" : Decimal.toText(event.available)}${mark}`
    case "Position":
      return `position ${Decimal.toText(event.size)}${mark}`
    default:
      return `${event._tag}${mark}`
  }
}

const listen = Effect.fnUntraced(function*(websocket: PrivateWebsocket["Service"]) {
  const told: Array<string> = []
  const tell = (event: AccountEvent): void => void told.push(words(event))
  yield* websocket.handle(handlersFor(websocket.channels, {
    onFill: tell,
    onOrder: tell,
    onBalance: tell,
    onPosition: tell,
    onLeverage: tell,
    onGap: ({ cause, channel }) => void told.push(`gap ${channel} ${cause}`)
  }))
  return told
})

const settle = TestClock.adjust(100)

const take = (told: Array<string>): ReadonlyArray<string> => told.splice(0)

describe("PrivateSession", () => {
  it.effect("subscribes with signatures, tells the state that is there, then what happens, each once", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      bank.balances = [balance("USDT", "1000"), balance("DUST", "0")]
      bank.orders.set("1", order("1"))
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      assert.isFalse(yield* websocket.isConnected)
      yield* websocket.initialize(["Orders", "Fills", "Balances"])
      assert.isTrue(yield* websocket.isConnected)
      assert.isTrue(yield* websocket.isAuthenticated)
      assert.deepStrictEqual(bank.frames.flatMap(({ topics }) => topics), ["Orders", "Fills", "Balances"])
      assert.match(bank.frames[0]!.sign, /^[0-9a-f]{64}$/)
      yield* settle
      assert.sameMembers([...take(told)], ["order 1 newR", "balance USDT 1000R"])
      const first = fill(1, 0)
      bank.happen(first)
      bank.push(first)
      bank.happen(order("1", { status: "filled", filledQuantity: Decimal.of("1") }))
      bank.push(order("1"))
      yield* settle
      assert.deepStrictEqual(take(told), ["fill 1", "order 1 filled"])
      const { duplicates, events, reconciliation } = yield* websocket.performance
      assert.deepStrictEqual({ duplicates, events }, { duplicates: 1, events: 4 })
      assert.strictEqual(reconciliation.pairs, null)
    }))

  it.effect("what was missed is delivered in order behind the gap, before what the stream brings meanwhile", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Orders", "Fills"])
      bank.happen(order("1"))
      bank.happen(fill(9, 0))
      yield* settle
      assert.deepStrictEqual(take(told), ["order 1 new", "fill 9"])
      bank.duringRead = (what) =>
        what === "fills" ? Effect.andThen(Effect.sync(() => bank.happen(fill(12, 3))), Effect.sleep(10)) : Effect.void
      bank.drop()
      bank.occur(fill(11, 2))
      bank.occur(fill(10, 1))
      bank.occur(order("1", { status: "canceled" }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(take(told), [
        "gap Orders Reconnected",
        "gap Fills Reconnected",
        "fill 10R",
        "fill 11R",
        "fill 12",
        "order 1 canceledR"
      ])
      assert.strictEqual((yield* websocket.performance).reconciliation.recovered, 3)
    }))

  it.effect("of orders that came and were filled meanwhile the end is told, until the exchange no longer knows them", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Orders", "Fills"])
      yield* settle
      const gets = () => bank.reads.filter((read) => read === "Get").length
      bank.drop()
      bank.occur(fill(1, 1, { orderId: "7" }))
      bank.occur(fill(2, 2, { orderId: "8" }))
      bank.occur(order("7", { status: "filled", filledQuantity: Decimal.of("0.1") }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(take(told), [
        "gap Orders Reconnected",
        "gap Fills Reconnected",
        "fill 1R",
        "fill 2R",
        "order 7 filledR"
      ])
      assert.isAtLeast(gets(), 2)
      // The other one is asked for until it has been missing for seconds.
      yield* TestClock.adjust("6 seconds")
      yield* websocket.reconcile
      const before = gets()
      yield* websocket.reconcile
      assert.strictEqual(gets(), before)
      assert.deepStrictEqual(take(told), [])
    }))

  it.effect("a second break while the first is not closed yet lets nothing pass before what was missed", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Fills"])
      yield* settle
      bank.refuse.set("fills", failed("retryable"))
      bank.drop()
      bank.occur(fill(10, 1))
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* websocket.isAuthenticated)
      bank.refusesDials = true
      bank.drop()
      yield* TestClock.adjust("20 seconds")
      bank.duringRead = () => Effect.andThen(Effect.sync(() => bank.happen(fill(12, 3))), Effect.sleep(10))
      bank.refuse.clear()
      bank.refusesDials = false
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(take(told).slice(0, 3), ["gap Fills Reconnected", "fill 10R", "fill 12"])
    }))

  it.effect("a comparison that was under way when the stream broke, and fails, lets nothing pass before what was missed", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Fills", "Balances", "Positions"])
      yield* settle
      bank.refuse.set("positions", failed("retryable"))
      bank.duringRead = (what) => {
        if (what !== "balances") return Effect.void
        bank.duringRead = (next) => next === "fills" ? Effect.sleep(10) : Effect.void
        bank.drop()
        bank.occur(fill(10, 1))
        return Effect.andThen(Effect.sleep("2 seconds"), Effect.sync(() => bank.happen(fill(12, 3))))
      }
      yield* TestClock.adjust("61 seconds")
      assert.isTrue(yield* websocket.isAuthenticated)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(take(told).filter((word) => word.startsWith("fill")), ["fill 10R", "fill 12"])
    }))

  it.effect("orders that cannot be read keep nothing else from being reconciled, and are told", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      bank.balances = [balance("USDT", "1000")]
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Orders", "Fills", "Balances", "Positions"])
      yield* settle
      take(told)
      const detail = "an order's status is 99"
      bank.refuse.set("openOrders", ExchangeError.make("bank", new ExchangeError.DecodeFailed({ detail })))
      bank.refuse.set("positions", failed("auth", 403))
      bank.occur(fill(10, 1))
      bank.occur(balance("USDT", "900"))
      const error = yield* Effect.flip(websocket.reconcile)
      assert.strictEqual(error.reason._tag, "RequestFailed")
      yield* settle
      assert.deepStrictEqual(take(told), ["fill 10R", "balance USDT 900R"])
      assert.deepStrictEqual((yield* websocket.performance).errors, { DecodeFailed: 1 })
      bank.refuse.delete("positions")
      bank.drop()
      bank.occur(fill(11, 2))
      bank.occur(balance("USDT", "800"))
      yield* TestClock.adjust("5 seconds")
      assert.includeMembers([...take(told)], ["fill 11R", "balance USDT 800R"])
      const { errors, reconciliation } = yield* websocket.performance
      assert.isAtLeast(errors["DecodeFailed"] ?? 0, 2)
      assert.isAtLeast(reconciliation.failures, 2)
    }))

  it.effect("an order that is unknown has ended only when it still is seconds later: what is read may lag behind", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Orders"])
      bank.push(order("1"))
      bank.push(order("2"))
      yield* settle
      yield* websocket.reconcile
      yield* websocket.reconcile
      bank.occur(order("1"))
      yield* TestClock.adjust("4 seconds")
      yield* websocket.reconcile
      assert.deepStrictEqual(take(told), ["order 1 new", "order 2 new"])
      yield* TestClock.adjust("1 second")
      yield* websocket.reconcile
      assert.deepStrictEqual(take(told), ["order 2 canceledR"])
    }))

  it.effect("a reading does not set back what was pushed while it was under way", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      bank.balances = [balance("USDT", "1000")]
      bank.positions = [position("2", "5")]
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Orders", "Balances", "Positions"])
      yield* settle
      take(told)
      bank.happen(order("1"))
      bank.duringRead = (what) =>
        Effect.andThen(
          Effect.sync(() => {
            if (what === "openOrders") bank.happen(order("1", { status: "filled", filledQuantity: Decimal.of("1") }))
            if (what === "balances") bank.happen(balance("USDT", "900"))
            if (what === "positions") bank.happen(position("3", "6", { leverage: Decimal.of("7") }))
          }),
          Effect.sleep(10)
        )
      const fiber = yield* Effect.forkChild(websocket.reconcile)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(take(told), [
        "order 1 new",
        "order 1 filled",
        "balance USDT 900",
        "position 3",
        "LeverageChange"
      ])
    }))

  it.effect("a wrong key is told once and tried once", () =>
    Effect.gen(function*() {
      for (const refusal of ["subscription", "key"] as const) {
        const bank = new Bank()
        if (refusal === "key") bank.refuse.set("key", failed("auth"))
        else bank.answer = { class: "auth" }
        const websocket = yield* open(bank)
        const error = yield* Effect.flip(websocket.initialize())
        assert.strictEqual(error.reason._tag, "AuthRejected")
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(bank.dials, refusal === "key" ? 0 : 1)
        assert.deepStrictEqual(bank.aliveKeys, [])
        // Once it is mended, the same service works.
        bank.answer = "ack"
        bank.refuse.clear()
        yield* websocket.initialize()
        assert.isTrue(yield* websocket.isAuthenticated)
      }
    }))

  it.effect("a clock that is too far off refuses to sign", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank, {
        serverTime: Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (now) => now - 60_000))
      })
      const error = yield* Effect.flip(websocket.initialize())
      assert.strictEqual(error.reason._tag, "ClockUnusable")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(bank.dials, 0)
    }))

  it.effect("a way that is too slow to measure the clock is tried again", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      let isSlow = true
      const serverTime = Effect.suspend(() => Effect.sleep(isSlow ? "3 seconds" : "20 millis")).pipe(
        Effect.andThen(Effect.clockWith((clock) => clock.currentTimeMillis))
      )
      const websocket = yield* open(bank, { serverTime })
      const initializing = yield* Effect.forkChild(websocket.initialize(["Balances"]))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(bank.dials, 0)
      isSlow = false
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(initializing)
      assert.isTrue(yield* websocket.isAuthenticated)
    }))

  it.effect("a refusal that says that the stamp is off has the clock measured before the next signature", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      let asked = 0
      const serverTime = Effect.clockWith((clock) => {
        asked++
        return clock.currentTimeMillis
      })
      const websocket = yield* open(bank, { serverTime })
      yield* websocket.initialize(["Balances"])
      yield* settle
      assert.strictEqual(asked, 5)
      const reason = { request: "GET", status: 400, detail: "late", class: "retryable" } as const
      for (const [code, times] of [["OTHER", 5], ["STAMP", 10]] as const) {
        bank.refuse.set("balances", ExchangeError.make("bank", new ExchangeError.RequestFailed({ ...reason, code })))
        yield* Effect.flip(websocket.reconcile)
        bank.refuse.clear()
        yield* websocket.reconcile
        yield* websocket.reconcile
        assert.strictEqual(asked, times)
      }
    }))

  it.effect("one channel that is refused fails alone", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      yield* websocket.initialize(["Fills"])
      bank.answer = { class: "item" }
      const error = yield* Effect.flip(Effect.scoped(websocket.feed("Orders")))
      assert.strictEqual(error.reason._tag, "SubscriptionRejected")
      const other = yield* Effect.flip(Effect.scoped(websocket.feed("AutoDeleverages")))
      assert.strictEqual(other.reason._tag, "UnsupportedChannel")
      const told = yield* listen(websocket)
      bank.happen(fill(1, 0))
      yield* settle
      assert.deepStrictEqual(take(told), ["fill 1"])
      assert.strictEqual(bank.dials, 1)
    }))

  it.effect("feeds are counted: the last one that leaves takes its topic off, and the connection with it", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      yield* websocket.initialize(["Fills"])
      for (let i = 0; i < 2; i++) {
        const collected = yield* Effect.scoped(Effect.gen(function*() {
          const stream = yield* websocket.feed("Orders")
          bank.happen(order(`o${i}`))
          return yield* Stream.runCollect(Stream.take(stream, 1))
        }))
        assert.lengthOf(collected, 1)
        yield* settle
        assert.deepStrictEqual([...bank.live[0]!.topics], ["Fills"])
      }
      yield* websocket.close
      assert.lengthOf(bank.live, 0)
      assert.deepStrictEqual(bank.aliveKeys, [])
      assert.strictEqual((yield* Effect.flip(websocket.initialize())).reason._tag, "Closed")
    }))

  it.effect("fills that are asked for on an open connection begin with those that came before, in order", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      yield* websocket.initialize(["Orders"])
      yield* TestClock.adjust("10 seconds")
      bank.occur(fill(10, 1))
      bank.duringRead = (what) =>
        what === "fills" ? Effect.andThen(Effect.sync(() => bank.happen(fill(12, 3))), Effect.sleep(10)) : Effect.void
      const stream = yield* websocket.feed("Fills")
      bank.happen(fill(11, 2))
      yield* TestClock.adjust("1 second")
      const collected = yield* Stream.runCollect(Stream.take(stream, 3))
      const told = collected.map((item) => item._tag === "Gap" ? `gap ${item.cause}` : words(item.value))
      assert.deepStrictEqual(told, ["fill 10R", "fill 11", "fill 12"])
      assert.strictEqual(bank.dials, 1)
    }))

  it.effect("an exchange that does not answer a subscription is dialled again", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      bank.answer = "silence"
      const websocket = yield* open(bank)
      const fiber = yield* Effect.forkChild(websocket.initialize(["Fills"]), { startImmediately: true })
      yield* TestClock.adjust("8 seconds")
      assert.isFalse(yield* websocket.isAuthenticated)
      bank.answer = "ack"
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(fiber)
      assert.isTrue((yield* websocket.performance).errors["SubscriptionTimeout"]! >= 1)
    }))

  it.effect("also when the machine's clock is set back meanwhile", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const bank = new Bank()
      bank.answer = "silence"
      const websocket = yield* Effect.provideService(open(bank), Clock.Clock, clock)
      const fiber = yield* Effect.forkChild(websocket.initialize(["Fills"]), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      step(-3_600_000)
      bank.answer = "ack"
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("what is counted goes into the metrics of the account", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank, { credentials: { ...credentials, account: "counted" } })
      yield* websocket.initialize(["Fills"])
      yield* TestClock.adjust("1 second")
      bank.happen(fill(1, 1_000))
      bank.push(fill(1, 1_000))
      yield* TestClock.adjust("10 seconds")
      const value = (metric: typeof AccountMetrics.events, outcome: Readonly<Record<string, string>> = {}) =>
        Effect.map(
          Metric.value(Metric.withAttributes(metric, { exchange: "bank", account: "counted", ...outcome })),
          ({ count }) => Number(count)
        )
      assert.strictEqual(yield* value(AccountMetrics.events), 2)
      assert.strictEqual(yield* value(AccountMetrics.duplicates), 1)
      assert.isAtLeast(yield* value(AccountMetrics.reconciliations, { outcome: "done" }), 2)
    }))

  it.effect("a peer that is gone although the socket is open is found, and told as silence", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* websocket.initialize(["Fills"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(take(told), [])
      assert.strictEqual(bank.dials, 1)
      bank.answersPings = false
      yield* TestClock.adjust("16 seconds")
      assert.deepStrictEqual(take(told), ["gap Fills Silent"])
      assert.strictEqual(bank.dials, 2)
    }))
})
