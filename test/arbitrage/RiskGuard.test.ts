import { assert, describe, it } from "@effect/vitest"
import {
  Arbitrary,
  BigDecimal,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Result,
  Scheduler,
  Schema,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import type { Killed, RiskOptions } from "../../src/arbitrage/RiskGuard.ts"
import * as Risk from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import type { Fill, Order, OrderUpdate } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { Ability, Accepted, Amendment, OrderRequest, Outcome, Rejected } from "../../src/OrderEntry.ts"
import { MayLeave, OrderEntry } from "../../src/OrderEntry.ts"
import * as Test from "../../src/OrderEntryTest.ts"
import type { Script } from "./Fakes.ts"
import { FakeVenue } from "./Fakes.ts"

const pair: TradingPair = "BTC/USDT"
const swap: TradingPair = "BTC/USDT:USDT"

/** What a test is done in. */
interface Scene {
  readonly guard: RiskGuard["Service"]
  readonly control: Test.TestControl["Service"]
  /** Of exchange a, guarded. */
  readonly entry: OrderEntry["Service"]
}

type Act = Effect.Effect<unknown, unknown, RiskGuard | OrderEntry | Test.TestControl | Scope.Scope>

/** Runs a test, as in `Effect.gen`, with a guard of these limits. */
const over = <Eff extends Act, A>(options: RiskOptions, body: (scene: Scene) => Generator<Eff, A, never>) =>
  Effect.gen(function*() {
    const guard = yield* RiskGuard
    const control = yield* Test.TestControl
    const entry = guard.guarded(yield* OrderEntry)
    return yield* Effect.gen(() => body({ control, entry, guard }))
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(Risk.layer(options), Test.layer({ exchange: "a" }))))

const intent = (quantity: string, price: string, fields: Partial<Risk.Intent> = {}): Risk.Intent => ({
  exchange: "a",
  pair,
  side: "buy",
  quantity: Decimal.of(quantity),
  price: Decimal.of(price),
  reduces: false,
  ...fields
})

const traded = (
  side: "buy" | "sell",
  quantity: string,
  price: string,
  fields: Partial<Risk.Traded> = {}
): Risk.Traded => ({
  exchange: "a",
  pair,
  side,
  quantity: Decimal.of(quantity),
  price: Decimal.of(price),
  fee: Decimal.zero,
  ...fields
})

/** Which limit refused it, and whose. */
const refusal = <A, R>(effect: Effect.Effect<A, ExchangeError.ExchangeError, R>): Effect.Effect<string, A, R> =>
  Effect.map(
    Effect.flip(effect),
    ({ reason }) => reason._tag === "RiskRefused" ? `${reason.limit} ${reason.of}` : reason._tag
  )

const text = Decimal.toText

/** Behind as much time as it takes. */
const soon = <A, E>(effect: Effect.Effect<A, E>, millis = 10): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(millis)
    return yield* Fiber.join(fiber)
  })

/** A fill of the venue that nobody has ordered. */
const fillOf = (venue: FakeVenue, quantity: string, price: string) => {
  const clientOrderId = `x${venue.placed.length}`
  const placed = venue.entry.place({ pair: venue.pair, side: "buy", quantity, price, clientOrderId })
  return Effect.map(soon(placed, 1), () => venue.fills.at(-1))
}

/** Gives way to other fibers nearly everywhere. */
const yielding = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Scheduler.MaxOpsBeforeYield, 3)

/** So often others come first. */
const giveWay = (times: number): Effect.Effect<void> =>
  times === 0 ? Effect.void : Effect.andThen(Effect.yieldNow, giveWay(times - 1))

interface AmendScript {
  /** Default: carried out. `lose`: never arrives, and is not answered; `never`: unknown for good. */
  readonly answer?: "reject" | "lose" | "never"
  /** ms. */
  readonly delay?: number
}

/** The fake's orders, guarded, and amended as scripted: whoever waits for it. */
const amending = (venue: FakeVenue, guard: RiskGuard["Service"], abilities: ReadonlyArray<Ability> = []) => {
  const scripts: Array<AmendScript> = []
  const amended: Array<Amendment> = []
  const read = (input: Decimal.Input | undefined, otherwise: Decimal.Decimal | null) =>
    input === undefined ? otherwise : Result.getOrThrow(Decimal.fromInput(input))
  const amend: OrderEntry["Service"]["amend"] = (ref, amendment) =>
    Effect.gen(function*() {
      const { answer, delay = 1 } = scripts.shift() ?? {}
      amended.push(amendment)
      if (answer === "lose") return yield* Effect.never
      const late = yield* Effect.forkDetach(
        Effect.map(Effect.sleep(delay), (): Outcome<Order> => {
          const cause = ExchangeError.make("a", new ExchangeError.Closed({ detail: "the test lost it" }))
          if (answer === "never") return { _tag: "Unknown", cause, resolved: Effect.fail(cause) }
          if (answer === "reject") {
            return { _tag: "Rejected", reason: { code: "test", detail: "refused", class: "item" } }
          }
          const before = venue.orders.get("clientOrderId" in ref ? ref.clientOrderId : "")!
          const quantity = read(amendment.quantity, before.quantity)
          const value = { ...before, quantity, price: read(amendment.price, before.price) }
          venue.orders.set(before.clientOrderId!, value)
          return { _tag: "Accepted", value }
        }),
        { startImmediately: true }
      )
      return yield* Fiber.join(late)
    })
  return { amended, entry: guard.guarded({ ...venue.entry, abilities: new Set(abilities), amend }), scripts }
}

const figures = (
  { notional, openOrders, pnl }: Risk.RiskState
) => [Decimal.toText(notional), openOrders, Decimal.toText(pnl)]

describe("RiskGuard: reserve", () => {
  it.effect("takes room for all or none, and gives it back with the scope", () =>
    over(
      { global: { maxNotional: "1000", maxOpenOrders: 3 }, exchanges: { b: { maxNotional: 300 } } },
      function*({ guard }) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* guard.reserve([intent("4", "100"), intent("2", "100", { exchange: "b", side: "sell" })])
          assert.deepStrictEqual(figures(guard.state()), ["600", 2, "0"])
          assert.deepStrictEqual(figures(guard.state("b")), ["200", 1, "0"])
          assert.strictEqual(
            yield* refusal(guard.reserve([intent("1", "1"), intent("5", "100")])),
            "maxOpenOrders global"
          )
          assert.strictEqual(yield* refusal(guard.reserve([intent("5", "100")])), "maxNotional global")
          assert.strictEqual(yield* refusal(guard.reserve([intent("2", "100", { exchange: "b" })])), "maxNotional b")
          assert.deepStrictEqual(figures(guard.state()), ["600", 2, "0"])
          yield* guard.reserve([intent("50", "100", { reduces: true })])
          assert.strictEqual(guard.state().openOrders, 3)
        }))
        assert.deepStrictEqual(figures(guard.state()), ["0", 0, "0"])
        assert.strictEqual(guard.state().refused, 3)
        assert.strictEqual(guard.state("b").refused, 1)
      }
    ))

  it.effect("what is traded is exposure: by asset over all exchanges, and of each by itself", () =>
    over({ global: { maxOrderNotional: 500, maxPosition: { [pair]: 3 } } }, function*({ guard }) {
      assert.strictEqual(yield* refusal(guard.reserve([intent("6", "100")])), "maxOrderNotional global")
      guard.filled(traded("buy", "2", "100", { fee: Decimal.of("0.002"), feeAsset: "BTC" }))
      guard.filled(traded("sell", "2", "101", { exchange: "b", fee: Decimal.of("0.2") }))
      guard.filled(traded("sell", "0.001", "100", { exchange: "b", fee: Decimal.of("1"), feeAsset: "GT" }))
      const { exposure, pnl, unvaluedFees } = guard.state()
      // -0.003 at 100, and 202 - 200 - 0.2 + 0.1 in cash.
      assert.strictEqual(Decimal.toText(exposure), "0.3")
      assert.strictEqual(Decimal.toText(pnl), "1.6")
      assert.deepStrictEqual([...unvaluedFees].map(([asset, fee]) => `${asset} ${Decimal.toText(fee)}`), ["GT 1"])
      assert.strictEqual(Decimal.toText(guard.state("a").exposure), "199.8")
      guard.mark("a", pair, Decimal.of("200"))
      assert.strictEqual(Decimal.toText(guard.state("a").exposure), "399.6")
      assert.strictEqual(
        yield* refusal(guard.reserve([intent("4", "100"), intent("4", "100", { side: "sell" })])),
        "maxPosition global"
      )
      assert.strictEqual(yield* refusal(guard.reserve([intent("4", "100", { side: "sell" })])), "maxPosition global")
      yield* guard.reserve([intent("2", "100", { side: "sell" }), intent("3", "100")])
    }))

  it.effect("limits that cannot be read are refused when it is built", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<RiskOptions> = [
        { global: { maxNotional: "much" } },
        { exchanges: { a: { maxLoss: -1 } } },
        { global: { maxOpenOrders: 0.5 } },
        { global: { maxPosition: { [pair]: "x" } } }
      ]
      for (const options of wrong) {
        const error = yield* Effect.flip(Effect.scoped(Risk.make(options)))
        assert.strictEqual(error.reason._tag, "InvalidUse")
      }
    }))
})

describe("RiskGuard: what is asked for", () => {
  /** A swap at 100, one contract one base unit, followed. */
  const followed = Effect.gen(function*() {
    const guard = yield* RiskGuard
    const venue = new FakeVenue({ exchange: "f", pair: swap, fee: "0", bid: 100, ask: 100 })
    yield* guard.follow(venue.island())
    return { guard, venue, entry: guard.guarded(venue.entry) }
  })

  it.effect("a sale is worth the best bid at the least, however low its limit", () =>
    over({ global: { maxOrderNotional: 500 } }, function*() {
      const { entry, guard } = yield* followed
      const sell = { pair: swap, side: "sell", price: 1 } as const
      assert.strictEqual(yield* refusal(entry.place({ ...sell, quantity: 100 })), "maxOrderNotional global")
      assert.strictEqual(yield* refusal(entry.placeAll([{ ...sell, quantity: 6 }])), "maxOrderNotional global")
      const low = intent("6", "1", { exchange: "f", pair: swap, side: "sell" })
      assert.strictEqual(yield* refusal(guard.reserve([low])), "maxOrderNotional global")
      yield* guard.reserve([{ ...low, quantity: Decimal.of("5") }])
      assert.strictEqual(text(guard.state().notional), "500")
    }))

  it.effect("room for nothing or less is refused: it would make room for others", () =>
    over({ global: { maxNotional: 100 } }, function*({ guard }) {
      for (const wrong of [intent("-50", "100"), intent("0", "100"), intent("1", "0"), intent("1", "-1")]) {
        assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1"), wrong])), "InvalidOrder")
      }
      assert.deepStrictEqual(figures(guard.state()), ["0", 0, "0"])
    }))

  it.effect("what is bought for an amount of quote counts by the best price, not by a worse one", () =>
    over({ exchanges: { f: { maxPosition: { [pair]: "9.6" } } } }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "f", bid: 99.9, ask: 100 })
      yield* guard.follow(venue.island())
      const buy = guard.guarded(venue.entry).place({ pair, side: "buy", quoteQuantity: 1_000 })
      assert.strictEqual(yield* refusal(buy), "maxPosition f")
    }))

  it.effect("one small fill far from the market is no loss of all that is held", () =>
    over({ global: { maxLoss: 100 } }, function*() {
      const { guard } = yield* followed
      guard.filled(traded("buy", "10", "100", { exchange: "f", pair: swap }))
      guard.filled(traded("buy", "0.00001", "80", { exchange: "f", pair: swap }))
      assert.strictEqual(text(guard.state().pnl), "0.0002")
      assert.isFalse(guard.state().isKilled)
    }))

  it.effect("both sides of a trade with oneself count, each once", () =>
    over({}, function*() {
      const { guard, venue } = yield* followed
      const bought = (yield* fillOf(venue, "3", "100"))!
      assert.strictEqual(text(guard.state("f").exposure), "300")
      const sold = { ...bought, side: "sell", orderId: "other", clientOrderId: "other" } as const
      for (const fill of [bought, sold, sold]) venue.emit(fill)
      assert.strictEqual(text(guard.state("f").exposure), "0")
    }))

  it.effect("a market that tells no price is none", () =>
    over({ global: { maxLoss: 5 } }, function*() {
      const { guard, venue } = yield* followed
      guard.filled(traded("buy", "1", "100", { exchange: "f", pair: swap }))
      venue.bid = NaN
      yield* TestClock.adjust("3 seconds")
      assert.isFalse(guard.state().isKilled)
      venue.bid = 10
      venue.ask = 10
      yield* TestClock.adjust("1 second")
      assert.isTrue(guard.state().isKilled)
    }))
})

const reasons = (guard: Risk.RiskGuard["Service"], of?: string) => guard.state(of).reasons.map(({ reason }) => reason)

describe("RiskGuard: the kill switch", () => {
  it.effect("a loss that is reached while it stands is told, and is not forgiven by who takes back their own pause", () =>
    over({ global: { maxLoss: 100 } }, function*({ guard }) {
      const told: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(guard.kills, ({ reason }) => Effect.sync(() => void told.push(reason))),
        { startImmediately: true }
      )
      guard.filled(traded("buy", "1", "60000"))
      yield* guard.kill("maintenance")
      guard.mark("a", pair, Decimal.of("50000"))
      guard.mark("a", pair, Decimal.of("49999"))
      const loss = "maxLoss: a loss of 10000 is reached"
      assert.strictEqual(guard.state().killed?.reason, "maintenance")
      assert.deepStrictEqual(reasons(guard), ["maintenance", loss])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard), [loss])
      assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1")])), "killSwitch global")
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      assert.deepStrictEqual(told, ["maintenance", loss, loss])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard), [])
      yield* guard.reserve([intent("1", "1")])
    }))

  it.effect("a loss of one exchange behind a pause of all is not forgiven with it", () =>
    over({ exchanges: { b: { maxLoss: 10 } } }, function*({ guard }) {
      guard.filled(traded("buy", "1", "100", { exchange: "b" }))
      yield* guard.kill("maintenance")
      guard.mark("b", pair, Decimal.of("80"))
      assert.deepStrictEqual(reasons(guard, "b"), ["maintenance", "maxLoss: a loss of 20 is reached"])
      yield* guard.revive
      assert.isFalse(guard.state().isKilled)
      assert.strictEqual(guard.state("b").killed?.of, "b")
      yield* guard.revive
      assert.isFalse(guard.state("b").isKilled)
    }))

  it.effect("a pause that stops more keeps what it was put before", () =>
    over({}, function*({ guard }) {
      yield* guard.kill("exposed in BTC")
      yield* guard.kill("exposed in ETH")
      yield* guard.kill("broken", { exchange: "b" })
      yield* guard.kill("my pause", { stops: "everything" })
      yield* guard.kill("their pause", { stops: "everything" })
      assert.deepStrictEqual(reasons(guard), ["my pause", "their pause", "exposed in BTC", "exposed in ETH"])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard), ["their pause", "exposed in BTC", "exposed in ETH"])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard, "b"), ["exposed in BTC", "exposed in ETH", "broken"])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard, "b"), [])
    }))

  it.effect("of all exchanges together it tells those of single ones too, by exchange, which stop only them", () =>
    over({}, function*({ guard }) {
      const single = () => guard.state().exchangeReasons.map(({ of, reason }) => `${of} ${reason}`)
      assert.deepStrictEqual(single(), [])
      yield* guard.kill("hedge mode", { exchange: "b" })
      yield* guard.kill("broken", { exchange: "a" })
      yield* guard.kill("by hand", { exchange: "b", stops: "everything" })
      assert.deepStrictEqual(single(), ["b by hand", "b hedge mode", "a broken"])
      assert.deepInclude(guard.state(), { isKilled: false, killed: null, reasons: [] })
      yield* guard.kill("maintenance")
      assert.deepStrictEqual(reasons(guard), ["maintenance"])
      assert.deepStrictEqual(single(), ["b by hand", "b hedge mode", "a broken"])
      // With an exchange they are among its reasons.
      assert.deepStrictEqual(reasons(guard, "b"), ["by hand", "maintenance", "hedge mode"])
      assert.deepStrictEqual(guard.state("b").exchangeReasons.map(({ reason }) => reason), ["by hand", "hedge mode"])
    }))

  it.effect("the same reason is one, and of too many the newest are kept, and the first", () =>
    over({}, function*({ guard }) {
      for (let at = 0; at < 100; at++) {
        yield* guard.kill("first")
        yield* guard.kill(`reason ${at}`)
      }
      const all = reasons(guard)
      assert.deepStrictEqual([all.length, all[0], all[1], all.at(-1)], [32, "first", "reason 69", "reason 99"])
      yield* guard.kill("first", { stops: "everything" })
      yield* guard.kill("first")
      assert.strictEqual(guard.state().killed?.stops, "everything")
      assert.strictEqual(reasons(guard).filter((reason) => reason === "first").length, 1)
    }))

  it.effect("what is thrown while everything is stopped is told, and stands again once that is taken back", () =>
    over({}, function*({ guard }) {
      const told: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(
          guard.kills,
          ({ reason, stops }) => Effect.sync(() => void told.push(`${reason} ${stops}`))
        ),
        { startImmediately: true }
      )
      yield* guard.kill("the operator pauses", { stops: "everything" })
      yield* guard.kill("exposed in BTC")
      yield* guard.kill("exposed in ETH")
      assert.strictEqual(guard.state().killed?.reason, "the operator pauses")
      yield* guard.revive
      assert.deepStrictEqual(
        [guard.state().killed?.reason, guard.state().killed?.stops],
        ["exposed in BTC", "growing"]
      )
      assert.deepStrictEqual(reasons(guard), ["exposed in BTC", "exposed in ETH"])
      assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1")])), "killSwitch global")
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      assert.deepStrictEqual(told, [
        "the operator pauses everything",
        "exposed in BTC growing",
        "exposed in ETH growing",
        "exposed in BTC growing",
        "exposed in ETH growing"
      ])
      yield* guard.revive
      assert.isFalse(guard.state().isKilled)
      yield* guard.reserve([intent("1", "1")])
    }))

  it.effect("stops what grows, or everything; it is told, and orders pass again when it is reset", () =>
    over({}, function*({ guard }) {
      const kills: Array<Killed> = []
      yield* Effect.forkScoped(Stream.runForEach(guard.kills, (killed) => Effect.sync(() => kills.push(killed))), {
        startImmediately: true
      })
      yield* guard.kill("by hand", { exchange: "b" })
      yield* guard.reserve([intent("1", "1")])
      assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1", { exchange: "b" })])), "killSwitch b")
      yield* guard.kill("by hand")
      yield* guard.kill("again")
      yield* guard.reserve([intent("1", "1", { reduces: true })])
      assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1")])), "killSwitch global")
      yield* guard.kill("for good", { stops: "everything" })
      assert.strictEqual(yield* refusal(guard.reserve([intent("1", "1", { reduces: true })])), "killSwitch global")
      yield* guard.kill("less", { stops: "growing" })
      assert.strictEqual(guard.state().killed?.stops, "everything")
      yield* Effect.yieldNow
      assert.deepStrictEqual(kills.map(({ reason }) => reason), [
        "by hand",
        "by hand",
        "again",
        "for good",
        "less"
      ])
      yield* guard.revive
      assert.deepStrictEqual(reasons(guard), ["by hand", "again", "less"])
      yield* guard.revive
      assert.isFalse(guard.state().isKilled)
      yield* guard.reserve([intent("1", "1")])
    }))

  it.effect("is thrown by a loss, realised or not, of one exchange or of all; what had been lost is forgiven with the reset", () =>
    over({ global: { maxLoss: 100 }, exchanges: { b: { maxLoss: 10 } } }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a", bid: 100, ask: 100 })
      yield* guard.follow(venue.island())
      venue.emit((yield* fillOf(venue, "1", "100"))!)
      assert.isFalse(guard.state().isKilled)
      venue.bid = 0.5
      venue.ask = 1
      yield* TestClock.adjust("1 second")
      assert.isFalse(guard.state().isKilled)
      guard.filled(traded("buy", "1", "100", { exchange: "b" }))
      guard.filled(traded("sell", "1", "90", { exchange: "b" }))
      assert.deepInclude(guard.state("b").killed, { of: "b", stops: "growing" })
      assert.isFalse(guard.state().isKilled)
      yield* TestClock.adjust("1 second")
      assert.deepInclude(guard.state().killed, { of: "global" })
      assert.match(guard.state().killed!.reason, /maxLoss/)
      yield* guard.revive
      yield* guard.reserve([intent("1", "1", { exchange: "b" })])
    }))
})

describe("RiskGuard: guarded", () => {
  it.effect("every order passes; what is refused is not sent", () =>
    over({ global: { maxNotional: 1_000, maxOpenOrders: 3 } }, function*({ control, entry, guard }) {
      yield* entry.place({ pair, side: "buy", quantity: 4, price: 100, clientOrderId: "one" })
      assert.deepStrictEqual(figures(guard.state("a")), ["400", 1, "0"])
      assert.strictEqual(
        yield* refusal(entry.place({ pair, side: "buy", quantity: 7, price: 100 })),
        "maxNotional global"
      )
      assert.strictEqual(yield* refusal(entry.place({ pair, side: "buy", quantity: 7 })), "notReady a")
      assert.strictEqual(
        yield* refusal(entry.place({ pair: swap, side: "buy", quantity: 7, price: 1 })),
        "notReady a"
      )
      assert.strictEqual(
        yield* refusal(entry.placeAll([
          { pair, side: "buy", quantity: 4, price: 100 },
          { pair, side: "sell", quantity: 4, price: 100 }
        ])),
        "maxNotional global"
      )
      assert.strictEqual((yield* control.sent).length, 1)
      // What cannot be read at all is refused by the order entry itself.
      assert.strictEqual(
        (yield* Effect.flip(entry.place({ pair, side: "buy", price: 1 }))).reason._tag,
        "InvalidOrder"
      )
      assert.strictEqual(
        (yield* Effect.flip(entry.place({ pair, side: "buy", quantity: "x", price: 1 }))).reason._tag,
        "InvalidOrder"
      )
      yield* control.next(Test.reject())
      yield* entry.placeAll([{ pair, side: "buy", quantity: 1, price: 100 }, {
        pair,
        side: "buy",
        quantity: 1,
        price: 100
      }])
      assert.strictEqual(guard.state().openOrders, 1)
      yield* entry.placeAll([{ pair, side: "buy", quantity: 1, price: 100 }, {
        pair,
        side: "sell",
        quantity: 1,
        price: 100
      }])
      assert.deepStrictEqual(figures(guard.state("a")), ["600", 3, "0"])
      yield* entry.cancel({ pair, clientOrderId: "one" })
      assert.deepStrictEqual(figures(guard.state("a")), ["200", 2, "0"])
      yield* entry.cancelAll()
      assert.deepStrictEqual(figures(guard.state("a")), ["0", 0, "0"])
    }))

  it.effect("a position is reduced once by a batch, and what is beyond it is held against the limits and the switch", () =>
    over({ global: { maxOpenOrders: 1 } }, function*({ control, entry, guard }) {
      const sell = { pair, side: "sell", quantity: 1, price: 100 } as const
      guard.filled(traded("buy", "1", "100"))
      yield* guard.kill("enough")
      assert.strictEqual(yield* refusal(entry.placeAll([sell, sell])), "killSwitch global")
      assert.strictEqual((yield* control.sent).length, 0)
      const placed = yield* entry.placeAll([sell])
      assert.strictEqual(placed.length, 1)
      assert.strictEqual(yield* refusal(entry.place(sell)), "killSwitch global")
    }))

  it.effect("a switch that stops everything stops orders with room too, alone and in a batch", () =>
    over({}, function*({ control, entry, guard }) {
      yield* guard.reserve([intent("1", "100", { clientOrderId: "r1" })])
      yield* guard.kill("all", { stops: "everything" })
      const order = { pair, side: "buy", quantity: 1, price: 100, clientOrderId: "r1" } as const
      assert.strictEqual(yield* refusal(entry.place(order)), "killSwitch global")
      assert.strictEqual(yield* refusal(entry.placeAll([order])), "killSwitch global")
      assert.strictEqual((yield* control.sent).length, 0)
    }))

  it.effect("a switch that is thrown while a batch is prepared stops it, and room that is given back meanwhile is missed", () =>
    over({}, function*({ control, entry, guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const island = venue.island()
      const unit = yield* Deferred.make<void>()
      const instruments = {
        ...island.market.instruments,
        get: () => Effect.as(Deferred.await(unit), venue.instrument)
      }
      yield* guard.follow({ ...island, market: { ...island.market, instruments } })
      const scope = yield* Scope.make()
      const room = (clientOrderId: string) => guard.reserve([intent("1", "100", { clientOrderId })])
      yield* room("r1")
      yield* Scope.provide(room("r2"), scope)
      const order = (clientOrderId: string) => ({ pair, side: "buy", quantity: 1, price: 100, clientOrderId }) as const
      const [first, second] = [
        yield* Effect.forkChild(refusal(entry.placeAll([order("r1"), order("n1")])), { startImmediately: true }),
        yield* Effect.forkChild(refusal(entry.placeAll([order("r2"), order("n2")])), { startImmediately: true })
      ]
      yield* guard.kill("all", { stops: "everything" })
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.succeed(unit, undefined)
      assert.strictEqual(yield* Fiber.join(first), "killSwitch global")
      assert.strictEqual(yield* Fiber.join(second), "notReady a")
      assert.strictEqual((yield* control.sent).length, 0)
      assert.deepStrictEqual(figures(guard.state()), ["100", 1, "0"])
    }))

  it.effect("an order that was lost keeps its room until it is known, and an unfollowed account's fills are taken from its orders", () =>
    over({}, function*({ control, entry, guard }) {
      yield* control.hush
      yield* control.next(Test.loseAnswer, Test.loseRequest)
      const placed = yield* entry.placeAll([{ pair, side: "buy", quantity: 2, price: 100, clientOrderId: "l1" }])
      assert.strictEqual(placed[0]!.outcome._tag, "Unknown")
      yield* entry.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId: "l2" })
      assert.deepStrictEqual(figures(guard.state()), ["300", 2, "0"])
      yield* control.answer
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(figures(guard.state()), ["200", 1, "0"])
      yield* control.fill("l1", { quantity: 1, price: 90 })
      yield* entry.get({ pair, clientOrderId: "l1" })
      assert.deepStrictEqual(figures(guard.state()), ["190", 1, "0"])
      yield* control.fill("l1")
      yield* entry.get({ pair, clientOrderId: "l1" })
      assert.deepStrictEqual([guard.state().openOrders, Decimal.toText(guard.state().exposure)], [0, "190"])
      // A sell of what is there reduces, whatever the limits say; one of more does not.
      yield* guard.kill("now")
      yield* entry.place({ pair, side: "sell", quantity: 2, price: 100, clientOrderId: "s1" })
      assert.strictEqual(
        yield* refusal(entry.place({ pair, side: "sell", quantity: 1, price: 100 })),
        "killSwitch global"
      )
    }))

  it.effect("room of an order that has left outlives its reservation until it is told what became of it", () =>
    over({}, function*({ control, entry, guard }) {
      const order = (clientOrderId: string) => ({ pair, side: "buy", quantity: 2, price: 100, clientOrderId }) as const
      const leave = (clientOrderId: string, send: Effect.Effect<unknown, ExchangeError.ExchangeError>) =>
        Effect.scoped(Effect.andThen(guard.reserve([intent("2", "100", { clientOrderId })]), send))
      yield* control.hush
      yield* control.next(Test.loseAnswer, Test.loseRequest)
      yield* leave("l1", entry.place(order("l1")))
      yield* leave("l2", entry.placeAll([order("l2")]))
      assert.deepStrictEqual(figures(guard.state()), ["400", 2, "0"])
      yield* control.answer
      yield* TestClock.adjust("10 seconds")
      // The one is in force, the other has never arrived.
      assert.deepStrictEqual(figures(guard.state()), ["200", 1, "0"])
      yield* control.fill("l1")
      yield* entry.get({ pair, clientOrderId: "l1" })
      assert.deepStrictEqual([guard.state().openOrders, text(guard.state().exposure)], [0, "200"])
      // What has not left, or was refused before it left, gives its room back with the scope.
      yield* leave("l3", Effect.void)
      yield* leave("l4", Effect.ignore(entry.place({ ...order("l4"), quantity: "x" })))
      assert.strictEqual(guard.state().openOrders, 0)
    }))

  it.effect("an amendment that grows needs room; refused or failed it changes nothing", () =>
    over({ global: { maxNotional: 1_000, maxOpenOrders: 2 } }, function*({ control, entry, guard }) {
      const real = yield* OrderEntry
      yield* entry.place({ pair, side: "buy", quantity: 4, price: 100, clientOrderId: "one" })
      const ref = { pair, clientOrderId: "one" }
      yield* entry.amend(ref, { quantity: 9 })
      assert.deepStrictEqual(figures(guard.state()), ["900", 1, "0"])
      assert.strictEqual(yield* refusal(entry.amend(ref, { price: 120 })), "maxNotional global")
      yield* entry.amend(ref, { quantity: 8 })
      assert.deepStrictEqual(figures(guard.state()), ["800", 1, "0"])
      yield* control.next(Test.reject())
      yield* entry.amend(ref, { quantity: 10 })
      assert.deepStrictEqual(figures(guard.state()), ["800", 1, "0"])
      assert.strictEqual(
        (yield* Effect.flip(entry.amend(ref, { quantity: 8.5, price: 0 }))).reason._tag,
        "InvalidOrder"
      )
      assert.deepStrictEqual(figures(guard.state()), ["800", 1, "0"])
      yield* control.next(Test.loseAnswer)
      yield* entry.amend(ref, { quantity: 10 })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(figures(guard.state()), ["1000", 1, "0"])
      yield* entry.amend(ref, { quantity: 8 })
      // Of an order that came from elsewhere, the exchange is asked first.
      yield* real.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId: "two" })
      assert.strictEqual(
        yield* refusal(entry.amend({ pair, clientOrderId: "two" }, { quantity: 3 })),
        "maxNotional global"
      )
      yield* entry.amend({ pair, clientOrderId: "two" }, { quantity: 2 })
      assert.deepStrictEqual(figures(guard.state()), ["1000", 2, "0"])
      assert.strictEqual((yield* entry.amend({ pair, orderId: "99" }, { quantity: 2 }))._tag, "Rejected")
    }))

  it.effect("an amendment is judged as the order that it makes, and obeys the switch", () =>
    over({ global: { maxNotional: 2_000 } }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a", pair: swap, bid: 100, ask: 100.1 })
      yield* guard.follow(venue.island())
      const { amended, entry } = amending(venue, guard)
      const rest = (side: "buy" | "sell", price: number, clientOrderId: string, quantity = 5) => {
        venue.scripts.push({ answer: "rest" })
        return soon(entry.place({ pair: swap, side, quantity, price, clientOrderId }))
      }
      yield* rest("sell", 200, "s")
      yield* rest("buy", 50, "b")
      const sell = { pair: swap, clientOrderId: "s" }
      const buy = { pair: swap, clientOrderId: "b" }
      // A sale at 1 is not made at 1: it is worth what is bid.
      assert.strictEqual(yield* refusal(entry.amend(sell, { price: 1, quantity: 100 })), "maxNotional global")
      yield* guard.kill("stop")
      for (const one of [{ price: 90 }, { price: 210 }, { quantity: 6 }]) {
        assert.strictEqual(yield* refusal(entry.amend(sell, one)), "killSwitch global")
      }
      // Fewer at a better price is worth less, and may be bought at once.
      assert.strictEqual(yield* refusal(entry.amend(buy, { price: 101, quantity: 1 })), "killSwitch global")
      assert.deepStrictEqual(amended, [])
      yield* soon(entry.amend(buy, { price: 40, quantity: 4 }))
      yield* soon(entry.amend(sell, { quantity: 4 }))
      assert.deepStrictEqual(figures(guard.state()), ["960", 2, "0"])
      yield* guard.kill("stop", { stops: "everything" })
      assert.strictEqual(yield* refusal(entry.amend(sell, { quantity: 3 })), "killSwitch global")
      assert.strictEqual(yield* refusal(entry.amend(buy, { price: 30 })), "killSwitch global")
      assert.strictEqual(amended.length, 2)
      assert.deepStrictEqual(figures(guard.state()), ["960", 2, "0"])
    }))

  it.effect("an amendment that reduces what is held passes the switch, where it can do nothing else", () =>
    over({}, function*({ guard }) {
      const amended = Effect.fnUntraced(function*(of: TradingPair, reduceOnly: boolean) {
        const venue = new FakeVenue({ exchange: of, pair: of, bid: 100, ask: 100.1 })
        yield* guard.follow(venue.island())
        const { entry } = amending(venue, guard, reduceOnly ? ["reduceOnly"] : [])
        yield* soon(entry.place({ pair: of, side: "buy", quantity: 5, price: 100 }))
        venue.scripts.push({ answer: "rest" })
        const ref = { pair: of, clientOrderId: "s" }
        yield* soon(entry.place({ pair: of, side: "sell", quantity: 4, price: 200, clientOrderId: "s" }))
        yield* guard.kill("stop", { exchange: of })
        return { entry, ref }
      })
      const spot = yield* amended(pair, false)
      assert.strictEqual(yield* refusal(spot.entry.amend(spot.ref, { quantity: 6 })), `killSwitch ${pair}`)
      assert.strictEqual((yield* soon(spot.entry.amend(spot.ref, { price: 90 })))._tag, "Accepted")
      // The position may be gone when it is filled.
      const future = yield* amended(swap, true)
      assert.strictEqual(yield* refusal(future.entry.amend(future.ref, { price: 90 })), `killSwitch ${swap}`)
      assert.strictEqual((yield* soon(future.entry.amend(future.ref, { quantity: 3 })))._tag, "Accepted")
      yield* guard.kill("stop", { exchange: swap, stops: "everything" })
      const none = { pair: swap, clientOrderId: "none" }
      assert.strictEqual(yield* refusal(future.entry.amend(none, { quantity: 4 })), `killSwitch ${swap}`)
    }))

  it.effect("amendments of one order at once: its room is what the exchange can hold at most", () =>
    over({ global: { maxNotional: 1_000 } }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      yield* guard.follow(venue.island())
      const { entry, scripts } = amending(venue, guard)
      const ref = { pair, clientOrderId: "x" }
      venue.scripts.push({ answer: "rest" }, { answer: "rest" })
      yield* soon(entry.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId: "x" }))
      scripts.push({ answer: "reject", delay: 50 }, { delay: 10 })
      const first = yield* Effect.forkChild(entry.amend(ref, { quantity: 9 }), { startImmediately: true })
      const second = yield* Effect.forkChild(entry.amend(ref, { quantity: 8 }), { startImmediately: true })
      assert.strictEqual(text(guard.state().notional), "900")
      yield* TestClock.adjust(10)
      yield* Fiber.join(second)
      assert.strictEqual(text(guard.state().notional), "900")
      yield* TestClock.adjust(50)
      yield* Fiber.join(first)
      // The exchange has 8: the one of 9 was refused.
      assert.strictEqual(text(guard.state().notional), "800")
      const more: OrderRequest = { pair, side: "buy", quantity: 9, price: 100, clientOrderId: "z" }
      assert.strictEqual(yield* refusal(entry.place(more)), "maxNotional global")
      // Half as many at twice the price need no more than there is.
      yield* soon(entry.amend(ref, { quantity: 5, price: 200 }))
      yield* soon(entry.amend(ref, { quantity: 10, price: 100 }))
      assert.strictEqual(text(guard.state().notional), "1000")
    }))

  it.effect("what became of an amendment whose caller has gone is asked for", () =>
    over({ forgetAfter: "5 seconds" }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      yield* guard.follow(venue.island())
      const { entry, scripts } = amending(venue, guard)
      const ref = { pair, clientOrderId: "x" }
      const cut = Effect.fnUntraced(function*(quantity: number) {
        const fiber = yield* Effect.forkChild(entry.amend(ref, { quantity }), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      })
      venue.scripts.push({ answer: "rest" })
      yield* soon(entry.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId: "x" }))
      // Carried out behind its caller's back.
      scripts.push({ delay: 2_000 })
      yield* cut(3)
      assert.strictEqual(text(guard.state().notional), "300")
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(text(guard.state().notional), "300")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state().notional), "300")
      // Never arrived.
      scripts.push({ answer: "lose" })
      yield* cut(9)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(text(guard.state().notional), "900")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(text(guard.state().notional), "300")
      // Of what became unknown for good the order tells.
      scripts.push({ answer: "never" })
      yield* soon(entry.amend(ref, { quantity: 9 }))
      assert.strictEqual(text(guard.state().notional), "900")
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(text(guard.state().notional), "300")
    }))

  it.effect("what a caller that was interrupted had sent is asked for; what never left is forgotten", () =>
    over({ forgetAfter: "5 seconds" }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const entry = guard.guarded(venue.entry)
      const order = { pair, side: "buy", quantity: 1, price: 100 } as const
      venue.scripts.push({ answer: "rest", delay: 100 }, { answer: "neverDone", delay: 100 }, {
        answer: "neverDone",
        delay: 100
      })
      const fibers = []
      for (const clientOrderId of ["one", "two", undefined]) {
        fibers.push(yield* Effect.forkChild(entry.place({ ...order, clientOrderId }), { startImmediately: true }))
      }
      const stops = yield* Effect.forkChild(Fiber.interruptAll(fibers), { startImmediately: true })
      yield* TestClock.adjust(200)
      yield* Fiber.join(stops)
      assert.strictEqual(guard.state().openOrders, 3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state().openOrders, 3)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(figures(guard.state()), ["100", 1, "0"])
      venue.scripts.push({ answer: "notSent" })
      yield* Effect.flip(entry.place(order))
      assert.strictEqual(guard.state().openOrders, 1)
    }))

  it.effect("interrupted at whatever step, an order leaves no room taken", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const entry = guard.guarded(venue.entry)
      for (let step = 0; step < 60; step++) {
        const clientOrderId = `x${step}`
        const order = { pair, side: "buy", quantity: 1, price: 100, clientOrderId } as const
        const others = { ...order, clientOrderId: `y${step}` }
        venue.scripts.splice(0, 2, { answer: "reject" }, { answer: "reject" })
        const scope = yield* Scope.make()
        if (step % 4 < 2) yield* Scope.provide(guard.reserve([intent("1", "100", { clientOrderId })]), scope)
        const placed: Effect.Effect<unknown, unknown> = step % 2 === 0
          ? entry.place(order)
          : entry.placeAll([order, others])
        const fiber = yield* Effect.forkChild(yielding(placed))
        yield* giveWay(Math.floor(step / 4))
        const stops = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* giveWay(100)
        yield* TestClock.adjust(10)
        yield* Fiber.join(stops)
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(guard.state().openOrders, 0, `step ${step}`)
      }
    }))

  it.effect("an order with room of its own passes with it, unless nothing may leave", () =>
    over({ global: { maxOpenOrders: 1 } }, function*({ control, entry, guard }) {
      const order = (clientOrderId: string) => ({ pair, side: "buy", quantity: 1, price: 100, clientOrderId }) as const
      yield* guard.reserve([intent("1", "100", { clientOrderId: "grows" })])
      yield* guard.reserve([intent("1", "100", { clientOrderId: "reduces", reduces: true })])
      yield* guard.reserve([intent("1", "100", { clientOrderId: "late", reduces: true })])
      yield* guard.kill("slow")
      assert.strictEqual(yield* refusal(entry.place(order("grows"))), "killSwitch global")
      assert.strictEqual(yield* refusal(entry.placeAll([order("grows")])), "killSwitch global")
      yield* entry.place(order("reduces"))
      assert.strictEqual(yield* refusal(entry.place(order("reduces"))), "InvalidOrder")
      yield* guard.kill("all", { stops: "everything" })
      assert.strictEqual(yield* refusal(entry.place(order("late"))), "killSwitch global")
      assert.strictEqual((yield* control.sent).length, 1)
      assert.strictEqual(guard.state().openOrders, 3)
    }))

  it.effect("what an order will cost is reckoned from what it names, else from the best price", () =>
    over({}, function*({ control, entry, guard }) {
      yield* guard.follow(new FakeVenue({ exchange: "a", bid: 100, ask: 200 }).island())
      const costs: Array<string> = []
      const requests: ReadonlyArray<OrderRequest> = [
        { pair, side: "buy", quantity: 1 },
        { pair, side: "sell", quantity: 1 },
        { pair, side: "buy", quoteQuantity: 42 },
        { pair, side: "sell", quantity: 1, trigger: { kind: "stop", price: 90 } }
      ]
      for (const request of requests) {
        yield* entry.placeAll([request])
        costs.push(text(guard.state().notional))
        yield* entry.cancelAll()
      }
      assert.deepStrictEqual(costs, ["210", "100", "42", "100"])
      // A lost cancel gives room back when it is known; one that did not happen leaves it.
      yield* entry.place({ pair, side: "buy", quantity: 1, price: 50, clientOrderId: "c" })
      yield* control.next(Test.loseAnswer)
      yield* entry.cancel({ pair, clientOrderId: "c" })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(guard.state().openOrders, 0)
      yield* entry.place({ pair, side: "buy", quantity: 1, price: 50, clientOrderId: "d" })
      yield* control.next(Test.loseRequest)
      yield* entry.cancelAll()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(guard.state().openOrders, 1)
      const [order] = (yield* control.orders).filter(({ clientOrderId }) => clientOrderId === "d")
      assert.strictEqual((yield* entry.get({ pair, orderId: order!.orderId }))?.clientOrderId, "d")
      assert.isNull(yield* entry.get({ pair, orderId: "none" }))
      yield* entry.amend({ pair, orderId: order!.orderId }, { price: 60 })
      assert.strictEqual(text(guard.state().notional), "60")
    }))

  it.effect("what cancelling all has done is found out when its answer is lost, of each order that it was for", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const cause = ExchangeError.make("a", new ExchangeError.Closed({ detail: "the test lost it" }))
      let resolved: Effect.Effect<Accepted<ReadonlyArray<Order>> | Rejected, ExchangeError.ExchangeError>
      const cancelAll = () => Effect.sync(() => ({ _tag: "Unknown", cause, resolved }) as const)
      const entry = guard.guarded({ ...venue.entry, cancelAll })
      const rest = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
        for (const clientOrderId of names) {
          venue.scripts.push({ answer: "rest" })
          const order = { pair, side: "buy", quantity: 1, price: 100, clientOrderId } as const
          const placing = yield* Effect.forkChild(entry.place(order), { startImmediately: true })
          yield* TestClock.adjust(1)
          yield* Fiber.join(placing)
        }
      })
      const canceled = (clientOrderId: string): Order => {
        const order: Order = { ...venue.orders.get(clientOrderId)!, status: "canceled" }
        venue.orders.set(clientOrderId, order)
        return order
      }
      yield* rest("told", "untold", "open")
      assert.strictEqual(guard.state().openOrders, 3)
      // One was open when the exchange was first asked, one had been cancelled before, one is left.
      resolved = Effect.delay(Effect.sync(() => ({ _tag: "Accepted", value: [canceled("told")] })), "1 second")
      yield* entry.cancelAll(pair)
      canceled("untold")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state().openOrders, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state().openOrders, 1)
      // Nobody will tell: the orders do.
      resolved = Effect.fail(cause)
      yield* entry.cancelAll()
      canceled("open")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state().openOrders, 0)
    }))

  it.effect("what is interrupted while it waits for its turn gives its room back at once, and nobody asks for it", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const entry = guard.guarded(venue.entry)
      const order = { pair, side: "buy", quantity: 1, price: 100 } as const
      yield* guard.reserve([intent("1", "100", { clientOrderId: "reserved" })])
      venue.isAnswering = false
      for (const clientOrderId of ["new", "reserved"]) {
        venue.scripts.push({ waits: 1_000 })
        const fiber = yield* Effect.forkChild(entry.place({ ...order, clientOrderId }), { startImmediately: true })
        yield* TestClock.adjust(1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(guard.state().openOrders, 1)
      }
      // Its room is there for another try.
      venue.scripts.push({ answer: "rest" })
      const again = yield* Effect.forkChild(entry.place({ ...order, clientOrderId: "reserved" }), {
        startImmediately: true
      })
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(again)).outcome._tag, "Accepted")
      assert.strictEqual(venue.placed.length, 1)
    }))

  it.effect("while the exchange does not answer, what was interrupted keeps its room", () =>
    over({ forgetAfter: "2 seconds" }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const entry = guard.guarded(venue.entry)
      venue.isAnswering = false
      venue.scripts.push({ answer: "neverDone" }, { answer: "rest" })
      for (const clientOrderId of ["gone", "there"]) {
        const order = { pair, side: "buy", quantity: 1, price: 100, clientOrderId } as const
        const fiber = yield* Effect.forkChild(entry.place(order), { startImmediately: true })
        const stop = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust(1)
        yield* Fiber.join(stop)
      }
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(guard.state().openOrders, 2)
      venue.isAnswering = true
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(guard.state().openOrders, 1)
      yield* entry.cancel({ pair, clientOrderId: "there" })
      assert.strictEqual(guard.state().openOrders, 0)
    }))
})

/** One that takes its time until orders leave, as behind limits, and looks again then. */
const slowly = ({ entry }: FakeVenue): OrderEntry["Service"] => ({
  ...entry,
  place: (request) =>
    Effect.andThen(
      Effect.sleep("1 second"),
      Effect.flatMap(MayLeave, (mayLeave) =>
        Effect.suspend(() => {
          const problem = mayLeave()
          return problem === null ? entry.place(request) : Effect.fail(problem)
        }))
    )
})

describe("RiskGuard: room and the switch behind the call", () => {
  it.effect("what an order asks for beyond its room is judged; what is refused, or never left, leaves its room as it was", () =>
    over({ global: { maxNotional: 100 } }, function*({ control, entry, guard }) {
      const order = { pair, side: "buy", quantity: 1, price: 1, clientOrderId: "mine" } as const
      yield* guard.reserve([intent("1", "1", { clientOrderId: "mine" }), intent("2", "1", { clientOrderId: "two" })])
      const asked: ReadonlyArray<OrderRequest> = [
        { ...order, quantity: 1_000 },
        { ...order, price: 100 },
        { ...order, quantity: undefined, quoteQuantity: 200 }
      ]
      for (const one of asked) {
        assert.strictEqual(yield* refusal(entry.place(one)), "maxNotional global")
        assert.strictEqual(
          yield* refusal(entry.placeAll([{ ...order, quantity: 50, clientOrderId: "two" }, one])),
          "maxNotional global"
        )
      }
      assert.strictEqual(yield* refusal(entry.place({ ...order, side: "sell" })), "notReady a")
      assert.strictEqual(yield* refusal(entry.place({ ...order, pair: "ETH/USDT" })), "notReady a")
      const none = { ...order, quantity: 60, clientOrderId: "new" }
      const more = { ...order, quantity: 50 }
      assert.strictEqual(yield* refusal(entry.placeAll([more, none])), "maxNotional global")
      yield* control.next(Test.fail(new ExchangeError.Closed({ detail: "the test closed it" })))
      assert.strictEqual(yield* refusal(entry.place(more)), "Closed")
      assert.deepStrictEqual(figures(guard.state()), ["3", 2, "0"])
      assert.strictEqual((yield* control.orders).length, 0)
      yield* entry.place({ ...order, quantity: 98 })
      assert.deepStrictEqual(figures(guard.state()), ["100", 2, "0"])
    }))

  it.effect("a sale that has room needs no more of it when the market has moved, and a market order no more than its price", () =>
    over({ global: { maxNotional: 100 } }, function*({ entry, guard }) {
      const venue = new FakeVenue({ exchange: "a", bid: 100, ask: 100 })
      yield* guard.follow(venue.island())
      yield* guard.reserve([intent("1", "99", { side: "sell", clientOrderId: "limit" })])
      venue.bid = 101
      venue.ask = 101
      yield* entry.place({ pair, side: "sell", quantity: 1, price: 99, clientOrderId: "limit" })
      yield* entry.cancelAll()
      yield* guard.reserve([intent("0.5", "100", { side: "sell", clientOrderId: "market" })])
      yield* entry.place({ pair, side: "sell", quantity: 0.5, clientOrderId: "market" })
      yield* entry.cancelAll()
      yield* guard.reserve([intent("0.5", "100", { clientOrderId: "buy" })])
      assert.strictEqual(
        yield* refusal(entry.place({ pair, side: "buy", quantity: 1, clientOrderId: "buy" })),
        "maxNotional global"
      )
      yield* entry.place({ pair, side: "buy", quantity: 0.5, clientOrderId: "buy" })
    }))

  it.effect("a switch that is thrown while orders wait for their turn stops what it stops", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      const entry = guard.guarded(slowly(venue))
      const leave = (clientOrderId: string | undefined) =>
        Effect.forkChild(refusal(entry.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId })), {
          startImmediately: true
        })
      yield* guard.reserve([
        intent("1", "100", { clientOrderId: "grows" }),
        intent("1", "100", { clientOrderId: "reduces", reduces: true })
      ])
      const growing = [yield* leave("grows"), yield* leave(undefined)]
      const reducing = yield* Effect.forkChild(
        entry.place({ pair, side: "buy", quantity: 1, price: 100, clientOrderId: "reduces" }),
        { startImmediately: true }
      )
      yield* guard.kill("by hand")
      yield* TestClock.adjust("2 seconds")
      for (const one of growing) assert.strictEqual(yield* Fiber.join(one), "killSwitch global")
      assert.strictEqual((yield* Fiber.join(reducing)).outcome._tag, "Accepted")
      yield* guard.revive
      const all = [yield* leave("grows"), yield* leave(undefined)]
      yield* guard.kill("all", { stops: "everything" })
      yield* TestClock.adjust("2 seconds")
      for (const one of all) assert.strictEqual(yield* Fiber.join(one), "killSwitch global")
      assert.strictEqual(venue.placed.length, 1)
    }))

  it.effect("room whose scope closes while its order is on its way is given back when it has not left", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      venue.scripts.push({ answer: "notSent" })
      const scope = yield* Scope.make()
      yield* Scope.provide(guard.reserve([intent("1", "1", { clientOrderId: "mine" })]), scope)
      const order = { pair, side: "buy", quantity: 1, price: 1, clientOrderId: "mine" } as const
      const placed = yield* Effect.forkChild(refusal(guard.guarded(slowly(venue)).place(order)), {
        startImmediately: true
      })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(guard.state().openOrders, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(placed), "Closed")
      assert.deepStrictEqual(figures(guard.state()), ["0", 0, "0"])
    }))
})

describe("RiskGuard: what reduces", () => {
  /** Long ten contracts at 100, and orders that rest. */
  const long = Effect.gen(function*() {
    const guard = yield* RiskGuard
    const venue = new FakeVenue({ exchange: "f", pair: swap, fee: "0", bid: 100, ask: 100 })
    yield* guard.follow(venue.island())
    const entry = guard.guarded({ ...venue.entry, abilities: new Set(["reduceOnly"]) })
    const put = (request: Partial<OrderRequest>, script: Script = { answer: "rest" }) =>
      Effect.suspend(() => {
        venue.scripts.splice(0, venue.scripts.length, script)
        return soon(entry.place({ pair: swap, side: "sell", quantity: 10, price: 100, ...request }), 1)
      })
    yield* put({ side: "buy" }, {})
    return { guard, venue, put }
  })

  it.effect("past a limit or the switch it leaves as reduce-only, so that it cannot grow when the position is gone", () =>
    over({ global: { maxNotional: 2_000 } }, function*() {
      const { guard, put, venue } = yield* long
      // Within the limits also if it grew: as it is asked for.
      yield* put({ quantity: 4 })
      assert.isUndefined(venue.placed.at(-1)!.reduceOnly)
      yield* put({ quantity: 6 })
      assert.isUndefined(venue.placed.at(-1)!.reduceOnly)
      yield* venue.entry.cancel({ pair: swap, clientOrderId: venue.placed.at(-1)!.clientOrderId! })
      yield* put({ quantity: 6, price: 110 })
      assert.isTrue(venue.placed.at(-1)!.reduceOnly)
      for (const { clientOrderId } of venue.orders.values()) {
        yield* venue.entry.cancel({ pair: swap, clientOrderId: clientOrderId! })
      }
      yield* guard.kill("growing")
      yield* put({})
      assert.isTrue(venue.placed.at(-1)!.reduceOnly)
      // The position can be closed beside it; only one of them will.
      yield* put({ reduceOnly: true }, {})
      assert.strictEqual(text(guard.state("f").exposure), "0")
      assert.strictEqual(yield* refusal(put({})), "killSwitch global")
    }))

  it.effect("a reduce-only order may not take what others were to reduce, where these could pass a limit then", () =>
    over({ exchanges: { f: { maxPosition: { [swap]: 10 } } } }, function*() {
      const { guard, put, venue } = yield* long
      yield* put({ quantity: 15 })
      assert.isUndefined(venue.placed.at(-1)!.reduceOnly)
      assert.strictEqual(yield* refusal(put({ reduceOnly: true, quantity: 6 })), "maxPosition f")
      yield* put({ reduceOnly: true, quantity: 5 })
      assert.strictEqual(yield* refusal(put({ reduceOnly: true, quantity: 1 })), "maxPosition f")
      // More than is there cannot be closed.
      yield* venue.entry.cancel({ pair: swap, clientOrderId: "made-2" })
      yield* put({ reduceOnly: true, quantity: 1_000 })
      // By itself it closes nothing that is not there.
      yield* put({ side: "buy", reduceOnly: true, quantity: 1_000 })
      assert.strictEqual(guard.state("f").openOrders, 3)
      // What leaves together is looked at together.
      const entry = guard.guarded(venue.entry)
      const all = [{ reduceOnly: true, quantity: 10 }, { quantity: 11 }] as const
      const sell = { pair: swap, side: "sell", price: 100 } as const
      assert.strictEqual(
        yield* refusal(entry.placeAll([{ ...sell, ...all[0] }, { ...sell, ...all[1] }])),
        "maxPosition f"
      )
    }))
})

describe("RiskGuard: follow", () => {
  it.effect("fills count once, with their fees and contract sizes; what others open takes room until it ends", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "f", pair: swap, contractSize: 0.01, bid: 100, ask: 100 })
      const island = venue.island()
      const scope = yield* Scope.make()
      yield* Scope.provide(guard.follow(island), scope)
      assert.isTrue(guard.isFollowing(island))
      assert.isFalse(guard.isFollowing(venue.island()))
      const fill = yield* fillOf(venue, "100", "100")
      venue.emit(fill!)
      // 1 BTC at 100, and a fee of 0.1.
      assert.deepStrictEqual(figures(guard.state("f")), ["100", 0, "-0.1"])
      venue.scripts.push({ answer: "rest" })
      yield* fillOf(venue, "200", "50")
      assert.deepStrictEqual(figures(guard.state("f")), ["200", 1, "-0.1"])
      yield* venue.entry.cancel({ pair: swap, clientOrderId: "x1" })
      assert.strictEqual(guard.state("f").openOrders, 0)
      const entry = guard.guarded(venue.entry)
      const placed = yield* Effect.forkChild(
        entry.place({ pair: swap, side: "sell", quantity: 50, reduceOnly: true }),
        { startImmediately: true }
      )
      assert.strictEqual(guard.state("f").openOrders, 1)
      yield* TestClock.adjust(1)
      yield* Fiber.join(placed)
      assert.strictEqual(guard.state("f").openOrders, 0)
      // What others open without a price is taken at the best one.
      const foreign = venue.tracked.get("x1")!.order as OrderUpdate
      venue.emit({
        ...foreign,
        clientOrderId: "by-hand",
        orderId: "77",
        status: "new",
        price: null,
        filledQuantity: Decimal.zero
      })
      assert.strictEqual(guard.state("f").openOrders, 1)
      venue.emit({
        ...foreign,
        clientOrderId: "by-hand",
        orderId: "77",
        status: "canceled",
        filledQuantity: Decimal.zero
      })
      assert.strictEqual(guard.state("f").openOrders, 0)
      venue.emit({ ...fill!, pair: null, tradeId: "lost" })
      assert.isTrue(guard.state("f").isKilled)
      venue.emit({ ...fill!, pair: "ETH/USDT:USDT", tradeId: "unlisted" })
      yield* Effect.yieldNow
      assert.match(guard.state("f").killed!.reason, /cannot be counted/)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(guard.isFollowing(island))
    }))

  it.effect("what is told late does not open an order again, and an end that is not told is seen", () =>
    over({}, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "a" })
      yield* guard.follow(venue.island())
      venue.scripts.push({ answer: "rest" }, { answer: "rest" })
      yield* fillOf(venue, "1", "100")
      const open = venue.tracked.get("x0")!.order as OrderUpdate
      yield* venue.entry.cancel({ pair, clientOrderId: "x0" })
      venue.emit(open)
      assert.strictEqual(guard.state("a").openOrders, 0)
      yield* fillOf(venue, "1", "100")
      assert.strictEqual(guard.state("a").openOrders, 1)
      const known = venue.tracked.get("x1")!
      venue.tracked.set("x1", { ...known, state: { _tag: "Final", at: 0, status: "canceled", rejection: null } })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(guard.state("a").openOrders, 0)
      // Room that its holder has given back, for an order that turns out to be open: what it had filled is known.
      yield* Effect.scoped(guard.reserve([intent("1", "100", { clientOrderId: "x2" })]))
      const order = { ...open, clientOrderId: "x2", orderId: "99" }
      venue.emit(order)
      assert.deepStrictEqual(figures(guard.state("a")), ["100", 1, "0"])
      venue.emit({ ...order, status: "canceled" })
      assert.strictEqual(guard.state("a").openOrders, 0)
    }))

  it.effect("an order that has ended keeps its room until its fills are told, however long that takes", () =>
    over({ global: { maxPosition: { [pair]: 10 } } }, function*({ guard }) {
      const venue = new FakeVenue({ exchange: "f", fee: "0", bid: 100, ask: 100 })
      const island = venue.island()
      yield* guard.follow(island)
      const entry = guard.guarded(venue.entry)
      const buy = { pair, side: "buy", price: 100 } as const
      venue.scripts.push({ late: null, fill: 0.5 })
      const { clientOrderId } = yield* soon(entry.place({ ...buy, quantity: 10 }))
      const placed = venue.orders.get(clientOrderId)!
      // Its end comes before its fill.
      venue.emit({ _tag: "OrderUpdate", ...placed, receivedAt: 0, origin: "Stream" })
      assert.strictEqual(venue.tracked.get(clientOrderId)!.state._tag, "Final")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(figures(guard.state()), ["1000", 1, "0"])
      assert.strictEqual(yield* refusal(entry.place({ ...buy, quantity: 6 })), "maxPosition global")
      yield* island.account!.refresh
      assert.deepStrictEqual(figures(guard.state()), ["500", 0, "0"])
      assert.strictEqual(yield* refusal(entry.place({ ...buy, quantity: 6 })), "maxPosition global")
      yield* soon(entry.place({ ...buy, quantity: 5 }))
      assert.deepStrictEqual(figures(guard.state()), ["1000", 0, "0"])
    }))
})

describe("RiskGuard: orders of others", () => {
  const order = {
    pair,
    symbol: pair,
    orderId: "1",
    clientOrderId: null,
    side: "buy",
    type: "limit",
    timeInForce: "gtc",
    price: Decimal.of("100"),
    quantity: Decimal.of("10"),
    quoteQuantity: null,
    filledQuantity: Decimal.zero,
    filledQuote: Decimal.zero,
    averagePrice: null,
    status: "new",
    finishedAs: null,
    reduceOnly: null,
    triggerPrice: null,
    createdAt: 0,
    updatedAt: 0
  } as const

  const told = (fields: Partial<OrderUpdate> = {}): OrderUpdate => ({
    _tag: "OrderUpdate",
    ...order,
    receivedAt: 0,
    origin: "Stream",
    ...fields
  })

  const part = (quantity: string): Partial<OrderUpdate> => ({
    status: "partiallyFilled",
    filledQuantity: Decimal.of(quantity)
  })

  const fill = (tradeId: string, quantity: string): Fill => ({
    _tag: "Fill",
    pair,
    symbol: pair,
    tradeId,
    orderId: "1",
    clientOrderId: null,
    side: "buy",
    price: Decimal.of("100"),
    quantity: Decimal.of(quantity),
    liquidity: "maker",
    fee: Decimal.zero,
    feeAsset: "USDT",
    exchangeTime: 0,
    receivedAt: 0,
    origin: "Stream"
  })

  const followed = (before: ReadonlyArray<Fill | OrderUpdate> = []) =>
    Effect.gen(function*() {
      const guard = yield* RiskGuard
      const venue = new FakeVenue({ exchange: "f", fee: "0", bid: 100, ask: 100 })
      // The fake tracks by names of ours.
      const emit = (event: Fill | OrderUpdate) => venue.consumers.forEach((consumer) => consumer(event))
      const last = before.findLast(({ _tag }) => _tag === "OrderUpdate") as OrderUpdate | undefined
      const fills = before.filter((event) => event._tag === "Fill")
      const track = (key: string, rest: Pick<TrackedOrder, "state" | "order" | "fills">) =>
        venue.tracked.set(key, {
          exchange: "f",
          account: "main",
          key,
          pair,
          filledQuantity: rest.order?.filledQuantity ?? Decimal.zero,
          filledQuote: Decimal.zero,
          ...rest
        })
      const tracked = (state: TrackedOrder["state"], order: OrderUpdate) => track("#1", { state, order, fills })
      if (last !== undefined) tracked({ _tag: "Open", at: 0 }, last)
      track("#2", { state: { _tag: "Unknown", at: 0 }, order: null, fills: [] })
      yield* guard.follow(venue.island())
      return { guard, venue, emit, tracked, state: () => figures(guard.state("f")) }
    })

  const ended = told({ status: "filled", filledQuantity: Decimal.of("10") })

  const amend: OrderEntry["Service"]["amend"] = () =>
    Effect.succeed({ _tag: "Rejected", reason: { code: "test", detail: "gone", class: "item" } })

  it.effect("an end that is not told is seen", () =>
    over({}, function*() {
      const { emit, state, tracked } = yield* followed()
      emit(told())
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      tracked({ _tag: "Final", at: 0, status: "canceled", rejection: null }, told())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(state(), ["0", 0, "0"])
    }))

  it.effect("an answer that is older than the end does not open it again", () =>
    over({}, function*() {
      const { emit, guard, state, venue } = yield* followed()
      emit(told())
      emit(told({ status: "canceled" }))
      const entry = guard.guarded({ ...venue.entry, get: () => Effect.succeed(told()), amend })
      assert.strictEqual((yield* entry.amend({ pair, orderId: "1" }, { price: 101 }))._tag, "Rejected")
      assert.deepStrictEqual(state(), ["0", 0, "0"])
    }))

  it.effect("one that ends at whatever step of its amendment leaves no room taken", () =>
    over({}, function*() {
      const { emit, guard, state, venue } = yield* followed()
      const entry = guard.guarded({ ...venue.entry, amend })
      for (let step = 0; step < 30; step++) {
        const orderId = `z${step}`
        emit(told({ orderId }))
        const fiber = yield* Effect.forkChild(yielding(entry.amend({ pair, orderId }, { price: 101 })))
        yield* giveWay(step)
        emit(told({ orderId, status: "canceled" }))
        yield* Fiber.await(fiber)
        assert.deepStrictEqual(state(), ["0", 0, "0"], `step ${step}`)
      }
    }))

  it.effect("what is open when it begins takes room", () =>
    over({ global: { maxNotional: 1_000 } }, function*() {
      const { emit, guard, state } = yield* followed([told(part("4")), fill("a", "4")])
      // Four of ten were told before, and are nobody's exposure here.
      assert.deepStrictEqual(state(), ["600", 1, "0"])
      assert.strictEqual(yield* refusal(guard.reserve([intent("5", "100")])), "maxNotional global")
      emit(fill("b", "6"))
      assert.deepStrictEqual(state(), ["600", 1, "0"])
      emit(ended)
      assert.deepStrictEqual(state(), ["600", 0, "0"])
    }))

  it.effect("what tells of a fill before the fill does is not counted twice", () =>
    over({}, function*() {
      const { emit, state } = yield* followed()
      emit(told(part("3")))
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      emit(fill("a", "3"))
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      yield* TestClock.adjust("1 minute")
      emit(fill("b", "2"))
      emit(told(part("5")))
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      emit(ended)
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      emit(fill("c", "5"))
      assert.deepStrictEqual(state(), ["1000", 0, "0"])
    }))

  it.effect("what it had filled before, and nobody tells, takes room no longer than it may still be told", () =>
    over({ forgetAfter: "5 seconds" }, function*() {
      const { emit, state } = yield* followed([told(part("3"))])
      emit(fill("a", "1"))
      emit(told(part("4")))
      assert.deepStrictEqual(state(), ["1000", 1, "0"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(state(), ["700", 1, "0"])
      emit(fill("b", "6"))
      emit(ended)
      assert.deepStrictEqual(state(), ["700", 0, "0"])
      // Ended before that is known, its room waits as long for what may still be told.
      emit(told({ ...part("3"), orderId: "9" }))
      emit({ ...fill("c", "7"), orderId: "9" })
      emit({ ...ended, orderId: "9" })
      assert.deepStrictEqual(state(), ["1700", 1, "0"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(state(), ["1400", 0, "0"])
    }))
})

/** A swap whose resting orders fill when they are told to; it keeps reduce-only orders to what is there. */
class Resting {
  readonly venue = new FakeVenue({ exchange: "f", pair: swap, fee: "0", bid: 10, ask: 10 })
  readonly entry: OrderEntry["Service"] = { ...this.venue.entry, abilities: new Set(["reduceOnly"]) }
  position = 0
  #untold: ReadonlyArray<Fill> = []
  #trades = 0

  get open(): ReadonlyArray<OrderRequest> {
    return this.venue.placed.filter(({ clientOrderId }) => this.venue.orders.get(clientOrderId!)!.status === "new")
  }

  /** Fills so much of an order at the most; its end is told, and the fill when it is not late. */
  fill({ clientOrderId, quantity, reduceOnly, side }: OrderRequest, most: number, isLate: boolean): void {
    const order = this.venue.orders.get(clientOrderId!)!
    const before = Number(text(order.filledQuantity))
    const left = Number(quantity) - before
    const there = Math.max(0, side === "sell" ? this.position : -this.position)
    const filled = Math.min(left, most, reduceOnly === true ? there : left)
    if (filled === 0) return
    this.position += side === "buy" ? filled : -filled
    const updatedAt = ++this.#trades
    const fill: Fill = {
      _tag: "Fill",
      pair: swap,
      symbol: swap,
      tradeId: `t${updatedAt}`,
      orderId: order.orderId,
      clientOrderId: clientOrderId!,
      side,
      price: Decimal.of("10"),
      quantity: Decimal.of(`${filled}`),
      liquidity: "maker",
      fee: Decimal.zero,
      feeAsset: "USDT",
      exchangeTime: 0,
      receivedAt: 0,
      origin: "Stream"
    }
    if (isLate) this.#untold = [...this.#untold, fill]
    else this.venue.emit(fill)
    const now = { ...order, filledQuantity: Decimal.of(`${before + filled}`), updatedAt }
    this.venue.orders.set(clientOrderId!, now)
    if (left > filled) return
    const ended = { ...now, status: "filled" } as const
    this.venue.orders.set(clientOrderId!, ended)
    this.venue.emit({ _tag: "OrderUpdate", ...ended, receivedAt: 0, origin: "Stream" })
  }

  /** The fills that are late. */
  tell(): void {
    const fills = this.#untold
    this.#untold = []
    for (const fill of fills) this.venue.emit(fill)
  }

  /** By the fills that are told. */
  get known(): number {
    return this.#untold.reduce(
      (known, { quantity, side }) => known - Number(text(quantity)) * (side === "buy" ? 1 : -1),
      this.position
    )
  }
}

// ---- any sequence ---------------------------------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

const move = Arbitrary.all({
  what: Arbitrary.schema(
    Schema.Literals([
      "place",
      "place",
      "place",
      "reduceOnly",
      "fill",
      "late",
      "late",
      "tell",
      "kill",
      "revive",
      "cancel"
    ])
  ),
  side: Arbitrary.schema(Schema.Literals(["buy", "sell"])),
  quantity: int(1, 12),
  at: int(0, 1_000)
})

describe("RiskGuard: resting orders in any order", () => {
  it.effect.prop(
    "no position passes its limit whichever fill, and nothing that leaves while the switch is thrown can grow one",
    [Arbitrary.array(move, { minLength: 20, maxLength: 60 })],
    ([moves]) =>
      Effect.scoped(Effect.gen(function*() {
        const guard = yield* Risk.make({
          global: { maxNotional: 400, maxOpenOrders: 8 },
          exchanges: { f: { maxPosition: { [swap]: 10 } } }
        })
        const resting = new Resting()
        const { venue } = resting
        yield* guard.follow(venue.island())
        const entry = guard.guarded(resting.entry)
        const put = Effect.fnUntraced(function*(request: OrderRequest) {
          venue.scripts.splice(0, venue.scripts.length, { answer: "rest" })
          const before = venue.placed.length
          const placed = yield* Effect.forkChild(Effect.exit(entry.place(request)), { startImmediately: true })
          yield* TestClock.adjust(1)
          yield* Fiber.join(placed)
          if (!guard.state().isKilled) return
          for (const { reduceOnly } of venue.placed.slice(before)) assert.isTrue(reduceOnly)
        })
        for (const { at, quantity, side, what } of moves) {
          const { open } = resting
          const one = open[at % Math.max(1, open.length)]
          const order: OrderRequest = { pair: swap, side, quantity, price: 10 }
          const onOne = (then: (open: OrderRequest) => Effect.Effect<unknown, ExchangeError.ExchangeError>) =>
            one === undefined ? Effect.void : then(one)
          const fill = (most: number, isLate: boolean) =>
            onOne((open) => Effect.sync(() => resting.fill(open, most, isLate)))
          const does = {
            place: put(order),
            reduceOnly: put({ ...order, reduceOnly: true }),
            fill: fill(at % 2 === 0 ? 100 : quantity, false),
            // The account is looked at meanwhile.
            late: Effect.andThen(fill(at % 4 === 0 ? quantity : 100, true), TestClock.adjust("1 second")),
            tell: Effect.sync(() => resting.tell()),
            cancel: onOne(({ clientOrderId }) => entry.cancel({ pair: swap, clientOrderId: clientOrderId! })),
            kill: guard.kill("the test threw it"),
            revive: guard.revive
          }
          yield* does[what]
          assert.isAtMost(Math.abs(resting.position), 10)
          assert.strictEqual(text(guard.state("f").exposure), `${Math.abs(resting.known) * 10}`)
        }
      })),
    { arbitrary: { runs: 100 } }
  )
})

const step = Arbitrary.all({
  what: Arbitrary.schema(Schema.Literals(["reserve", "place", "fill", "fail", "release", "interrupt", "cancel"])),
  exchange: Arbitrary.schema(Schema.Literals(["a", "b"])),
  side: Arbitrary.schema(Schema.Literals(["buy", "sell"])),
  quantity: int(1, 60),
  price: int(1, 20),
  at: int(0, 1_000)
})

type Step = {
  readonly what: "reserve" | "place" | "fill" | "fail" | "release" | "interrupt" | "cancel"
  readonly exchange: "a" | "b"
  readonly side: "buy" | "sell"
  readonly quantity: number
  readonly price: number
  readonly at: number
}

/** What the steps are taken in. */
interface World {
  readonly guard: RiskGuard["Service"]
  readonly venues: Readonly<Record<"a" | "b", FakeVenue>>
  readonly holders: Array<Fiber.Fiber<unknown, unknown>>
  readonly scopes: Array<Scope.Closeable>
}

const most = Decimal.of("1000")
const own = Decimal.of("600")

const reserve = Effect.fnUntraced(function*({ guard, scopes }: World, { exchange, price, quantity, side }: Step) {
  const scope = yield* Scope.make()
  scopes.push(scope)
  const [other, back] = [exchange === "a" ? "b" : "a", side === "buy" ? "sell" : "buy"] as const
  const both = [
    intent(`${quantity}`, `${price}`, { exchange, side }),
    intent(`${quantity}`, `${price}`, { exchange: other, side: back })
  ]
  yield* Effect.exit(Scope.provide(guard.reserve(both), scope))
})

const place = (script: (at: number) => Script) =>
  Effect.fnUntraced(function*({ guard, holders, venues }: World, { at, exchange, price, quantity, side }: Step) {
    const venue = venues[exchange]
    venue.scripts.splice(0)
    venue.scripts.push(script(at))
    const placed = guard.guarded(venue.entry).place({ pair, side, quantity, price })
    holders.push(yield* Effect.forkChild(placed, { startImmediately: true }))
    yield* TestClock.adjust(1)
  })

const interrupted = Effect.fnUntraced(
  function*({ guard, venues }: World, { at, exchange, price, quantity, side }: Step) {
    const venue = venues[exchange]
    venue.scripts.splice(0)
    venue.scripts.push({ answer: at % 2 === 0 ? "rest" : "neverDone", delay: 5 })
    const placed = guard.guarded(venue.entry).place({ pair, side, quantity, price })
    const fiber = yield* Effect.forkChild(placed, { startImmediately: true })
    const stop = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
    yield* TestClock.adjust(5)
    yield* Fiber.join(stop)
  }
)

const openOf = (venue: FakeVenue): ReadonlyArray<string> =>
  [...venue.orders.values()].filter(({ status }) => status === "new").map(({ clientOrderId }) => clientOrderId!)

const take: {
  readonly [What in Step["what"]]: (world: World, step: Step) => Effect.Effect<unknown, unknown, Scope.Scope>
} = {
  reserve,
  place: place(() => ({ answer: "rest" })),
  fill: place((at) => ({ fill: at / 1_000 })),
  fail: place((at) => ({ answer: at % 2 === 0 ? "notSent" : "loseRequest" })),
  release: ({ scopes }, { at }) =>
    Effect.suspend(() => scopes.length === 0 ? Effect.void : Scope.close(scopes[at % scopes.length]!, Exit.void)),
  interrupt: interrupted,
  cancel: ({ guard, venues }, { at, exchange }) =>
    Effect.suspend(() => {
      const open = openOf(venues[exchange])
      if (open.length === 0) return Effect.void
      return guard.guarded(venues[exchange].entry).cancel({ pair, clientOrderId: open[at % open.length]! })
    })
}

const scopes = [[undefined, most], ["a", own], ["b", own]] as const

/** Quote: in open orders, of each. */
const reservedOf = (guard: RiskGuard["Service"]) =>
  scopes.map(([of]) => {
    const { exposure, notional } = guard.state(of)
    return BigDecimal.subtract(notional, exposure)
  })

/** Whether an order only sells what is held, or buys what is owed: that passes every limit. At marks of 1 that is the exposure. */
const isReducing = ({ guard, venues }: World, { exchange, quantity, side }: Step): boolean => {
  const net = BigDecimal.sumAll(
    venues[exchange].fills.map((fill) => fill.side === "buy" ? fill.quantity : BigDecimal.negate(fill.quantity))
  )
  return (BigDecimal.isPositive(net) ? "sell" : "buy") === side &&
    BigDecimal.isLessThanOrEqualTo(Decimal.of(`${quantity}`), guard.state(exchange).exposure)
}

const checkLimits = (guard: RiskGuard["Service"], before: ReadonlyArray<Decimal.Decimal>, reduces: boolean): void => {
  for (const [index, held] of reservedOf(guard).entries()) {
    const [, limit] = scopes[index]!
    const isWithin = BigDecimal.isLessThanOrEqualTo(held, BigDecimal.max(limit, before[index]!))
    assert.isTrue(isWithin || reduces, Decimal.toText(held))
    assert.isFalse(BigDecimal.isNegative(held))
  }
  assert.isAtLeast(guard.state().openOrders, 0)
}

describe("RiskGuard: any sequence", () => {
  it.effect.prop(
    "what is held never passes a limit, and comes back to nothing",
    [Arbitrary.array(step, { minLength: 1, maxLength: 40 })],
    ([steps]) =>
      Effect.scoped(Effect.gen(function*() {
        const guard = yield* Risk.make({
          global: { maxNotional: most, maxOpenOrders: 5 },
          exchanges: { a: { maxNotional: own }, b: { maxNotional: own } },
          forgetAfter: "1 second"
        })
        const venues = {
          a: new FakeVenue({ exchange: "a", bid: 1, ask: 1 }),
          b: new FakeVenue({ exchange: "b", bid: 1, ask: 1 })
        }
        const world: World = { guard, venues, holders: [], scopes: [] }
        yield* Effect.forEach(Object.values(venues), (venue) => guard.follow(venue.island()))
        for (const step of steps) {
          const before = reservedOf(guard)
          const most = Math.max(5, guard.state().openOrders)
          const reduces = isReducing(world, step)
          yield* take[step.what](world, step)
          checkLimits(guard, before, reduces)
          assert.isTrue(guard.state().openOrders <= most || reduces)
        }
        yield* Effect.forEach(world.scopes, (scope) => Scope.close(scope, Exit.void))
        for (const venue of Object.values(venues)) {
          yield* Effect.forEach(openOf(venue), (clientOrderId) => venue.entry.cancel({ pair, clientOrderId }))
        }
        yield* TestClock.adjust("5 seconds")
        yield* Effect.forEach(world.holders, Fiber.await, { discard: true })
        for (const  of of[undefined, "a", "b"]) {
          const { exposure, notional, openOrders } = guard.state(of)
          assert.strictEqual(openOrders, 0)
          assert.isTrue(Decimal.equals(notional, exposure))
        }
      })),
    { arbitrary: { runs: 60 } }
  )
})
