/**
 * What every exchange's `OrderEntry` must and should do, run over simulated accounts. A file of its own calls it with an
 * adapter and its dialect; names begin with MUST or SHOULD, so that a failure reads as a broken requirement.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted } from "effect"
import type { WorldAccount } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { OrderRequest, Outcome, Placed } from "../../src/OrderEntry.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import type { Fault } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Account from "./AccountExchange.ts"
import type * as Exchange from "./Exchange.ts"

/** Its value once it is known, or its refusal. */
const resolved = <A>(outcome: Outcome<A>) => outcome._tag === "Unknown" ? outcome.resolved : Effect.succeed(outcome)

const valueOf = <A>(outcome: Outcome<A>): A => {
  assert(outcome._tag === "Accepted", JSON.stringify(outcome))
  return outcome.value
}

export const orderEntrySuite = (subject: Account.Subject, mode: Exchange.Mode): void => {
  const { adapter, pair, placing, quantity } = subject
  const exchange = adapter.id
  const wire = mode.name === "memory" ? it.effect : it.live
  /** What does not depend on how bytes travel is proved once, where time costs nothing. */
  const test = (name: string, body: Parameters<typeof it.effect>[1]): void => {
    if (mode.name === "memory") it.effect(name, body)
  }
  const abilities = adapter.account!.orders.abilities

  /** Far below the market: it rests. */
  const resting = (price = "1000"): OrderRequest => ({ pair, side: "buy", quantity, price })

  const market: OrderRequest = { pair, side: "sell", quantity }

  /** Of the client's id, as the exchange has them: never more than one. */
  const known = (account: WorldAccount, { clientOrderId }: Placed) =>
    account.orders({ open: false }).concat(account.orders({ open: true })).filter((order) =>
      order.clientOrderId === clientOrderId
    )

  const run = (
    body: Parameters<typeof Account.run>[2],
    options: Account.Options = {},
    simulator: Parameters<typeof Account.layer>[3] = {}
  ) => Account.run(mode, Account.layer(mode, subject, options, simulator), body)

  const quick: Account.Options = { orders: { answerTimeout: "500 millis" } }

  // Most of the time goes by waiting for real sockets; each test has an exchange of its own.
  const group = mode.name === "ports" ? describe.concurrent : describe

  group(`${exchange}, order entry, ${mode.name}`, () => {
    wire("MUST place, look up, list and cancel, each with its outcome", () =>
      run(Effect.gen(function*() {
        const entry = yield* OrderEntry
        const account = yield* Account.truth(subject)
        const placed = yield* entry.place(resting())
        const order = valueOf(placed.outcome)
        assert.strictEqual(order.clientOrderId, placed.clientOrderId)
        const ref = { pair, clientOrderId: placed.clientOrderId }
        assert.deepInclude((yield* entry.get(ref))!, { orderId: order.orderId, status: "new", pair })
        assert.deepStrictEqual((yield* entry.openOrders(pair)).map(({ orderId }) => orderId), [order.orderId])
        assert.strictEqual(valueOf(yield* entry.cancel({ pair, orderId: order.orderId })).status, "canceled")
        assert.strictEqual((yield* entry.cancel(ref))._tag, "Rejected")
        assert.isNull(yield* entry.get({ pair, clientOrderId: "t0-nobodys" }))
        yield* entry.place(market)
        assert.isAbove(account.fills({}).length, 0)
        assert.isTrue(yield* entry.isReady)
      })))

    test("MUST tell why the exchange refuses, and that nothing is in force", () =>
      run(Effect.gen(function*() {
        const entry = yield* OrderEntry
        const account = yield* Account.truth(subject)
        const poor = yield* entry.place({ ...resting("999"), quantity: "1000000000" })
        assert(poor.outcome._tag === "Rejected", JSON.stringify(poor))
        assert.strictEqual(poor.outcome.reason.class, "item")
        const crossing = yield* entry.place({ ...resting("10000000"), timeInForce: "postOnly" })
        const state = yield* resolved(crossing.outcome)
        const isInForce = state._tag === "Accepted" &&
          (yield* entry.get({ pair, clientOrderId: crossing.clientOrderId }))?.status === "new"
        assert.isFalse(isInForce)
        assert.lengthOf(account.orders({ open: true }), 0)
        assert.lengthOf(account.fills({}), 0)
      })))

    /** What is lost on the way, and what has become of the order by then. */
    const losses: ReadonlyArray<readonly [name: string, fault: Fault, arrives: boolean]> = [
      ["the request is lost", { _tag: "LoseRequest", ...placing, count: 1 }, false],
      ["the answer is lost", { _tag: "LoseAnswer", ...placing, count: 1 }, true],
      ["the answer is late", { _tag: "LateAnswer", ...placing, count: 1, millis: 1_500 }, true],
      ["the exchange fails behind the order", { _tag: "FailAnswer", ...placing, count: 1 }, true]
    ]
    for (const [name, fault, arrives] of losses) {
      test(`MUST find out what became of an order when ${name}, and send it once`, () =>
        run(
          Effect.gen(function*() {
            const entry = yield* OrderEntry
            const simulator = yield* Simulator
            const account = yield* Account.truth(subject)
            // Connected and logged in, where that is needed.
            yield* entry.place(resting("990"))
            yield* simulator.inject(fault)
            const placed = yield* entry.place(resting())
            assert.strictEqual(placed.outcome._tag, "Unknown")
            // Until it is known, nothing else leaves for the order.
            const cancelling = yield* Effect.forkChild(
              entry.cancel({ pair, clientOrderId: placed.clientOrderId }),
              { startImmediately: true }
            )
            const outcome = yield* resolved(placed.outcome)
            assert.strictEqual(outcome._tag, arrives ? "Accepted" : "Rejected", JSON.stringify(outcome))
            const cancelled = yield* Effect.flatMap(Fiber.join(cancelling), resolved)
            assert.strictEqual(cancelled._tag, arrives ? "Accepted" : "Rejected")
            assert.lengthOf(known(account, placed), arrives ? 1 : 0)
          }),
          quick
        ))
    }

    wire("MUST see an order through that its caller gave up on its way", () =>
      run(
        Effect.gen(function*() {
          const entry = yield* OrderEntry
          const simulator = yield* Simulator
          const account = yield* Account.truth(subject)
          yield* entry.place(resting("990"))
          yield* simulator.inject({ _tag: "LateAnswer", ...placing, count: 1, millis: 300 })
          const clientOrderId = "abandoned"
          const placing_ = yield* Effect.forkChild(entry.place({ ...resting(), clientOrderId }), {
            startImmediately: true
          })
          yield* Account.until(() => account.orders({ open: true }).length === 2)
          yield* Fiber.interrupt(placing_)
          const cancelled = yield* entry.cancel({ pair, clientOrderId })
          assert.strictEqual((yield* resolved(cancelled))._tag, "Accepted")
          assert.lengthOf(account.orders({ open: true }), 1)
        }),
        quick
      ))

    test("MUST go on behind a connection that was lost, with nothing sent twice", () =>
      run(
        Effect.gen(function*() {
          const entry = yield* OrderEntry
          const simulator = yield* Simulator
          const account = yield* Account.truth(subject)
          yield* entry.place(resting("990"))
          yield* simulator.inject("drop")
          yield* simulator.inject("refuse@0s:500ms")
          // It may have been written to a socket that was dead already.
          const placed = yield* entry.place(resting())
          const outcome = yield* resolved(placed.outcome)
          assert.lengthOf(known(account, placed), outcome._tag === "Accepted" ? 1 : 0)
          const next = yield* entry.place(resting("1001"))
          assert.strictEqual(next.outcome._tag, "Accepted")
        }),
        quick
      ))

    test("MUST keep to the exchange's limits: commands wait for their turn, and none is refused for it", () =>
      run(
        Effect.gen(function*() {
          const entry = yield* OrderEntry
          const account = yield* Account.truth(subject)
          const began = yield* Clock.currentTimeMillis
          const prices = Array.from({ length: 24 }, (_, index) => String(1_000 + index))
          const placed = yield* Effect.forEach(prices, (price) => entry.place(resting(price)), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual([...new Set(placed.map(({ outcome }) => outcome._tag))], ["Accepted"])
          assert.lengthOf(account.orders({ open: true }), 24)
          assert.isAtLeast((yield* Clock.currentTimeMillis) - began, exchange === "gate-futures" ? 0 : 1_000)
          const simulator = yield* Simulator
          assert.notInclude(JSON.stringify(simulator.counts().exchanges[exchange]), "429")
        }),
        { limits: "exchange" },
        { limits: "real" }
      ))

    test("MUST refuse the orders of a key that may only read", () =>
      run(Effect.gen(function*() {
        const account = yield* Account.truth(subject)
        const { rest, ws } = (yield* Simulator).urls[exchange]!
        yield* Effect.gen(function*() {
          const entry = yield* OrderEntry
          const result = yield* Effect.match(entry.place(resting()), {
            onFailure: (error) => error.message,
            onSuccess: ({ outcome }) => outcome._tag === "Rejected" ? outcome.reason.class : outcome._tag
          })
          assert.match(result, /auth|permission|refused/)
        }).pipe(
          Effect.provide(
            ExchangeFactory.layerOrderEntry(adapter, {
              credentials: {
                account: "reader",
                key: Redacted.make("the-key-to-read"),
                secret: Redacted.make("the-secret-to-read")
              },
              url: ws,
              restUrl: rest
            }).pipe(Layer.provide(Account.network(mode)), Layer.orDie)
          )
        )
        assert.lengthOf(account.orders({ open: true }), 0)
      })))

    test("MUST work on orders of an earlier run, and tell them, by either of their names", () =>
      run(Effect.gen(function*() {
        const account = yield* Account.truth(subject)
        const earlier = yield* Effect.flatMap(
          OrderEntry,
          (entry) => Effect.forEach(["1000", "1001", "1002"], (price) => entry.place(resting(price)))
        )
        const ids = earlier.map(({ clientOrderId }) => clientOrderId)
        const orders = earlier.map(({ outcome }) => valueOf(outcome))
        const later = Account.account(subject).pipe(Layer.provide(Account.network(mode)), Layer.orDie)
        yield* Effect.provide(
          Effect.gen(function*() {
            const entry = yield* OrderEntry
            const { known } = yield* Account.open
            // What is open is told without a push, with the names that it was given.
            yield* Account.until(() => known.orders.size === 3)
            assert.sameMembers([...known.orders.values()].map(({ clientOrderId }) => clientOrderId), ids)
            assert.isTrue([...known.orders.values()].every(({ origin }) => origin === "Reconciled"))
            const first = { pair, clientOrderId: ids[0]! }
            assert.strictEqual((yield* entry.get(first))?.orderId, orders[0]!.orderId)
            assert.strictEqual(valueOf(yield* entry.cancel(first)).status, "canceled")
            const second = { pair, orderId: orders[1]!.orderId }
            assert.strictEqual((yield* entry.get(second))?.clientOrderId, ids[1])
            assert.strictEqual(valueOf(yield* entry.cancel(second)).status, "canceled")
            if (abilities.has("amend")) {
              const amended = yield* entry.amend({ pair, clientOrderId: ids[2]! }, { price: "1003" })
              assert.strictEqual(Decimal.toText(valueOf(amended).price!), "1003")
            }
            assert.lengthOf(account.orders({ open: true }), 1)
          }),
          Layer.fresh(later)
        )
      })))

    wire("SHOULD place and cancel several at once", () =>
      run(Effect.gen(function*() {
        const entry = yield* OrderEntry
        const account = yield* Account.truth(subject)
        const placed = yield* entry.placeAll([resting("1000"), resting("1001"), resting("1002")])
        assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Accepted", "Accepted", "Accepted"])
        assert.lengthOf(account.orders({ open: true }), 3)
        assert.lengthOf(valueOf(yield* entry.cancelAll(pair)), 3)
        assert.lengthOf(account.orders({ open: true }), 0)
      })))

    if (abilities.has("amend")) {
      test("SHOULD amend price and quantity", () =>
        run(Effect.gen(function*() {
          const entry = yield* OrderEntry
          const account = yield* Account.truth(subject)
          const { clientOrderId, outcome } = yield* entry.place(resting())
          valueOf(outcome)
          valueOf(yield* entry.amend({ pair, clientOrderId }, { price: "1110" }))
          const [order] = account.orders({ open: true })
          assert.strictEqual(Number(order!.price), 1110)
        })))
    }

    if (abilities.has("cancelAllAfter")) {
      test("SHOULD cancel everything when nobody renews the switch", () =>
        run(Effect.gen(function*() {
          const entry = yield* OrderEntry
          const account = yield* Account.truth(subject)
          yield* entry.place(resting())
          // Less than the exchanges take is not made longer in silence.
          const short = yield* Effect.flip(entry.cancelAllAfter(4_999))
          assert.strictEqual(short.reason._tag, "UnsupportedOrder")
          yield* entry.cancelAllAfter(5_000)
          assert.lengthOf(account.orders({ open: true }), 1)
          yield* Account.until(() => account.orders({ open: true }).length === 0)
          assert.lengthOf(account.orders({ open: true }), 0)
          yield* entry.cancelAllAfter(null)
        })))
    }

    if (abilities.has("leverage")) {
      test("SHOULD read and set leverage and margin mode", () =>
        run(Effect.gen(function*() {
          const entry = yield* OrderEntry
          yield* entry.setMarginMode(pair, "isolated")
          yield* entry.setLeverage(pair, 7)
          const { leverage, mode } = yield* entry.leverage(pair)
          assert.deepStrictEqual([Decimal.toText(leverage), mode], ["7", "isolated"])
        })))
    }
  })
}
