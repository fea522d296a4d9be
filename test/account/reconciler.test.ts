/** Readings of an account by themselves: what one of them cannot tell hides nothing of the others, and is asked for again. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Ledger } from "../../src/account/Ledger.ts"
import { PrivateCounters } from "../../src/account/PrivateCounters.ts"
import * as Reconciler from "../../src/account/Reconciler.ts"
import { Symbols } from "../../src/account/Symbols.ts"
import type { AccountCalls, OnUnreadable, Reply } from "../../src/AccountAdapter.ts"
import type { AccountEvent, Fill, Order } from "../../src/domain/Account.ts"
import type { PrivateTag } from "../../src/domain/PrivateChannel.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { failed, fill, instrument, order } from "./Bank.ts"

const unreadable = (detail: string) => ExchangeError.make("bank", new ExchangeError.DecodeFailed({ detail }))

type Rows<A> = (symbol: string | null, onUnreadable: OnUnreadable) => ReadonlyArray<A> | ExchangeError.ExchangeError

interface World {
  fills: Rows<Fill>
  orders: Rows<Order>
  get: (orderId: string) => Reply | ExchangeError.ExchangeError
}

const answered = <A>(answer: A | ExchangeError.ExchangeError): Effect.Effect<A, ExchangeError.ExchangeError> =>
  answer instanceof ExchangeError.ExchangeError ? Effect.fail(answer) : Effect.succeed(answer)

const start = (
  symbols: ReadonlyArray<string> | null,
  wanted: ReadonlyArray<PrivateTag>,
  at = 1_000_000
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(at)
    const told: Array<AccountEvent> = []
    const asked: Array<string> = []
    const counters = new PrivateCounters()
    const ledger = new Ledger((_, event) => told.push(event), counters)
    const world: World = { fills: () => [], orders: () => [], get: () => ({ _tag: "Nothing" }) }
    const calls = {
      fills: ({ onUnreadable, since, symbol }: Parameters<AccountCalls["fills"]>[0]) =>
        Effect.suspend(() => {
          asked.push(`fills ${symbol} ${since}`)
          return answered(world.fills(symbol, onUnreadable!))
        }),
      openOrders: (symbol: string | null, onUnreadable: OnUnreadable) =>
        Effect.suspend(() => {
          asked.push(`orders ${symbol}`)
          return answered(world.orders(symbol, onUnreadable))
        }),
      run: ({ ref }: { readonly ref: { readonly orderId: string } }) =>
        Effect.suspend(() => {
          asked.push(`get ${ref.orderId}`)
          return answered(world.get(ref.orderId))
        })
    } as unknown as AccountCalls
    const reconciler = Reconciler.make({
      exchange: "bank",
      calls,
      ledger,
      counters,
      clock: yield* Clock.Clock,
      now: Clock.currentTimeMillis,
      clockError: Effect.succeed(0),
      symbols: symbols === null ? null : new Symbols(symbols),
      instrumentOf: (symbol) => ({ ...instrument, symbol }),
      wanted: () => new Set(wanted),
      lookback: 0,
      onLapse: () => {},
      upForMillis: () => null
    })
    const ids = () =>
      told.splice(0).map((event) =>
        event._tag === "Fill" ? event.tradeId : event._tag === "OrderUpdate" && event.orderId
      )
    return { world, reconciler, ledger, counters, ids, asked: () => asked.splice(0) }
  })

const at = 1_000_000

describe("fills", () => {
  it.effect("are events from when the service was made, however late the exchange answers first", () =>
    Effect.gen(function*() {
      const { asked, ids, reconciler, world } = yield* start(["A"], ["Fills"])
      world.fills = () => [fill("before", at - 1), fill("of an order that was placed at once", at + 1)]
      yield* TestClock.adjust("10 seconds")
      yield* reconciler.start
      yield* reconciler.run
      assert.deepStrictEqual([ids(), asked()], [["of an order that was placed at once"], [`fills A ${at}`]])
    }))
})

describe("a pair that cannot be read", () => {
  it.effect("hides no other, and its fills are asked for from the same moment until they can", () =>
    Effect.gen(function*() {
      const { asked, counters, ids, reconciler, world } = yield* start(["A", "B", "C"], ["Fills"])
      world.fills = (symbol) => symbol === "B" ? unreadable("no list") : [fill(`${symbol}1`, at, { symbol: symbol! })]
      assert.include((yield* Effect.flip(reconciler.run)).message, "no list")
      assert.sameMembers(ids(), ["A1", "C1"])
      assert.deepStrictEqual(asked(), ["A", "B", "C"].map((symbol) => `fills ${symbol} ${at}`))
      yield* TestClock.adjust("10 minutes")
      world.fills = (symbol) => [fill(`${symbol}1`, at, { symbol: symbol! })]
      yield* reconciler.run
      assert.deepStrictEqual(ids(), ["B1"])
      assert.deepStrictEqual(asked(), ["A", "B", "C"].map((symbol) => `fills ${symbol} ${at}`))
      yield* TestClock.adjust("10 minutes")
      yield* reconciler.run
      // A minute before the last one that went well.
      assert.strictEqual(asked()[0], `fills A ${at + 600_000 - 60_000}`)
      assert.deepStrictEqual([counters.reconciliations, counters.failedReconciliations], [2, 1])
    }))

  it.effect("says nothing of its orders; those of the others are compared", () =>
    Effect.gen(function*() {
      const { asked, ids, ledger, reconciler, world } = yield* start(["A", "B"], ["Orders"])
      ledger.push(order("a", { symbol: "A" }))
      ledger.push(order("b", { symbol: "B" }))
      ids()
      world.orders = (symbol) => symbol === "B" ? unreadable("no list") : []
      world.get = () => ({ _tag: "Order", order: order("a", { symbol: "A", status: "canceled" }) })
      yield* Effect.flip(reconciler.run)
      assert.deepStrictEqual([ids(), asked()], [["a"], ["orders A", "orders B", "get a"]])
    }))

  it.effect("because the exchange refuses it is left out for ten minutes; the others cover what they cover", () =>
    Effect.gen(function*() {
      const { asked, ledger, reconciler, world } = yield* start(["A", "B"], ["Orders"])
      ledger.push(order("b", { symbol: "B" }))
      world.orders = (symbol) => symbol === "B" ? failed("item") : []
      yield* reconciler.run
      yield* reconciler.run
      assert.deepStrictEqual(asked(), ["orders A", "orders B", "orders A"])
      assert.lengthOf(reconciler.coverage().pairs!, 1)
      yield* TestClock.adjust("10 minutes")
      yield* reconciler.run
      assert.deepStrictEqual(asked(), ["orders A", "orders B"])
    }))

  it.effect("because the key is refused is the end of it: the others are refused too", () =>
    Effect.gen(function*() {
      const { asked, reconciler, world } = yield* start(["A", "B", "C", "D", "E", "F"], ["Fills"])
      world.fills = () => failed("auth", 401)
      const { reason } = yield* Effect.flip(reconciler.run)
      assert(reason._tag === "RequestFailed")
      assert.strictEqual(reason.class, "auth")
      assert.isAtMost(asked().length, 4)
    }))
})

describe("a row that cannot be read", () => {
  it.effect("hides no other fill, is told, and is asked for again", () =>
    Effect.gen(function*() {
      const { asked, counters, ids, reconciler, world } = yield* start(null, ["Fills"])
      world.fills = (_, onUnreadable) => {
        onUnreadable(unreadable("row 2"))
        onUnreadable(unreadable("row 3"))
        return [fill(1, at)]
      }
      assert.include((yield* Effect.flip(reconciler.run)).message, "row 2")
      assert.deepStrictEqual(ids(), ["1"])
      assert.deepStrictEqual([...counters.errors], [["DecodeFailed", 1]])
      yield* TestClock.adjust("10 minutes")
      world.fills = () => [fill(1, at), fill(2, at), fill(3, at)]
      asked()
      yield* reconciler.run
      assert.deepStrictEqual(ids(), ["2", "3"])
      assert.deepStrictEqual(asked(), [`fills null ${at}`])
    }))

  it.effect("hides no other order, and the one that it is of has not ended by that", () =>
    Effect.gen(function*() {
      const { ids, ledger, reconciler, world } = yield* start(null, ["Orders"])
      ledger.push(order("1"))
      ids()
      world.orders = (_, onUnreadable) => {
        onUnreadable(unreadable("a state that is not known"))
        return [order("2")]
      }
      world.get = () => unreadable("a state that is not known")
      for (let i = 0; i < 3; i++) {
        assert.include((yield* Effect.flip(reconciler.run)).message, "not known")
      }
      assert.deepStrictEqual(ids(), ["2"])
      assert.lengthOf([...ledger.state(0)], 2)
    }))
})

describe("the moment from which on fills are events", () => {
  it.effect("counts whole where an exchange tells whole seconds", () =>
    Effect.gen(function*() {
      const { ids, reconciler, world } = yield* start(null, ["Fills"], 1_000_700)
      world.fills =
        () => [fill(1, 999_000), fill(2, 999_701), fill(3, 1_000_000), fill(4, 1_000_699), fill(5, 1_000_700)]
      yield* reconciler.run
      assert.deepStrictEqual(ids(), ["3", "5"])
    }))
})
