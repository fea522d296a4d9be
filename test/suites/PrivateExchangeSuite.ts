/**
 * What every account's `PrivateExchange` must do, run over simulated accounts: whatever happens to connections, pushes and
 * answers, it ends as the exchange has it. A file of its own calls it with an adapter and its dialect.
 */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Context, Effect, Exit, Fiber, Layer, Stream } from "effect"
import type { Scope } from "effect"
import type { WorldAccount } from "../../src/AccountWorld.ts"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import * as PrivateExchange from "../../src/composite/PrivateExchange.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { OrderRequest, Outcome } from "../../src/OrderEntry.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Account from "./AccountExchange.ts"
import type * as Exchange from "./Exchange.ts"

const text = (amount: Decimal.Decimal | null): string | null => amount === null ? null : Decimal.toText(amount)
const plain = (amount: string): string => Decimal.toText(Decimal.of(amount))

const lineOf = ({ filledQuantity, order, pair }: TrackedOrder): string =>
  `${order?.clientOrderId} ${pair} ${text(filledQuantity)}`

/** Where the composite and the exchange say different things of open orders, balances and positions. */
const differences = Effect.fnUntraced(function*(
  exchange: PrivateExchange.PrivateExchange["Service"],
  account: WorldAccount,
  kind: "spot" | "swap"
) {
  const positions = kind === "spot" ? new Map<string, never>() : yield* exchange.positions
  const ours: Account.Lines = {
    "open orders": exchange.openOrders().map(lineOf).sort(),
    balances: [...exchange.balances().values()].map(({ asset, available, locked, total }) =>
      kind === "spot" ? `${asset} ${text(available)} ${text(locked)}` : `${asset} ${text(total)}`
    ).filter((line) => !/^\S+ 0( 0)?$/.test(line)).sort(),
    positions: [...positions.values()].map(({ entryPrice, pair, size }) => `${pair} ${text(size)} ${text(entryPrice)}`)
  }
  const theirs: Account.Lines = {
    "open orders": account.orders({ open: true }).map(({ clientOrderId, filled, pair }) =>
      `${clientOrderId} ${pair} ${plain(filled)}`
    ).sort(),
    balances: account.balances().map(({ asset, available, locked }) =>
      kind === "spot"
        ? `${asset} ${plain(available)} ${plain(locked)}`
        : `${asset} ${text(BigDecimal.sum(Decimal.of(available), Decimal.of(locked)))}`
    ).filter((line) => !/^\S+ 0( 0)?$/.test(line)).sort(),
    positions: account.positions().filter(({ size }) => size !== "0").map(({ entryPrice, pair, size }) =>
      `${pair} ${plain(size)} ${plain(entryPrice)}`
    )
  }
  return Account.compare(ours, theirs)
})

const resolved = <A>(outcome: Outcome<A>) => outcome._tag === "Unknown" ? outcome.resolved : Effect.succeed(outcome)

export const privateExchangeSuite = (subject: Account.Subject, mode: Exchange.Mode): void => {
  const { adapter, pair, placing, quantity } = subject
  const { kind } = adapter
  const wire = mode.name === "memory" ? it.effect : it.live
  /** What does not depend on how bytes travel is proved once, where time costs nothing. */
  const test = (name: string, body: Parameters<typeof it.effect>[1]): void => {
    if (mode.name === "memory") it.effect(name, body)
  }

  const resting = (price = "1000"): OrderRequest => ({ pair, side: "buy", quantity, price })
  /** At any price, as much as there is. */
  const taking = (side: "buy" | "sell" = "buy"): OrderRequest => ({
    pair,
    side,
    quantity,
    price: side === "buy" ? "1000000" : "1",
    timeInForce: "ioc"
  })

  /** As its owner does it on the exchange's website. */
  const elsewhere = Account.placing(subject)

  interface Running {
    readonly exchange: PrivateExchange.PrivateExchange["Service"]
    readonly account: WorldAccount
    readonly simulator: Simulator["Service"]
    /** Waits until it is healthy and says what the exchange says. */
    readonly settle: Effect.Effect<void>
  }

  const quick: Account.Options = { orders: { answerTimeout: "500 millis" } }

  const run = <E>(
    body: (running: Running) => Effect.Effect<void, E, Account.Services | Scope.Scope>,
    composite: PrivateExchange.PrivateExchangeOptions = {},
    options: Account.Options = quick
  ) =>
    Account.run(
      mode,
      Account.layer(mode, subject, options, { rate: 1 }),
      Effect.gen(function*() {
        const exchange = Context.get(
          yield* Layer.build(PrivateExchange.layer(composite)),
          PrivateExchange.PrivateExchange
        )
        const account = yield* Account.truth(subject)
        const simulator = yield* Simulator
        const settle = Effect.gen(function*() {
          for (let attempt = 0; attempt < 1_000; attempt++) {
            const { state } = yield* exchange.health
            const found = yield* Effect.orDie(differences(exchange, account, kind))
            if (state === "healthy" && found.length === 0) return
            yield* Effect.sleep(20)
          }
          assert.deepStrictEqual(yield* Effect.orDie(differences(exchange, account, kind)), [])
          assert.deepStrictEqual((yield* exchange.health).problems, [])
        })
        yield* body({ exchange, account, simulator, settle })
      })
    )

  describe(`${adapter.id}, composite of the account, ${mode.name}`, () => {
    wire(
      "MUST show the account as it is once it is initialized, and follow it",
      () =>
        run(({ account, exchange, settle }) =>
          Effect.gen(function*() {
            elsewhere(account, { type: "limit", timeInForce: "gtc", price: "999", clientOrderId: "earlier" })
            elsewhere(account)
            assert.strictEqual((yield* exchange.health).state, "starting")
            yield* exchange.initialize
            yield* exchange.initialize
            assert.deepStrictEqual(yield* differences(exchange, account, kind), [])
            const health = yield* exchange.health
            assert.deepInclude(health, {
              state: "healthy",
              isConnected: true,
              isAuthenticated: true,
              canTrade: true,
              unknown: 0
            })
            assert.isNumber(health.reconciledAt)
            assert.strictEqual(exchange.order("earlier")?.state._tag, "Open")

            const { clientOrderId } = yield* exchange.orders.place(resting())
            assert.strictEqual(exchange.order(clientOrderId)?.state._tag, "Open")
            const { clientOrderId: bought } = yield* exchange.orders.place(taking())
            yield* settle
            const order = exchange.order(bought)!
            assert.deepInclude(order.state, { _tag: "Final", status: "filled" })
            assert.strictEqual(text(order.filledQuantity), plain(quantity))
            const fills = account.fills({}).filter((fill) => fill.clientOrderId === bought)
            assert.lengthOf(order.fills, fills.length)
            assert.strictEqual(text(order.filledQuote), plain(account.order({ clientOrderId: bought })!.filledQuote))

            yield* exchange.orders.cancel({ pair, clientOrderId })
            assert.deepInclude(exchange.order(clientOrderId)!.state, { _tag: "Final", status: "canceled" })
            yield* settle
            assert.deepStrictEqual(
              exchange.orderHistory().slice(0, 2).map(({ key }) => key).sort(),
              [bought, clientOrderId].sort()
            )
          })
        )
    )

    test("MUST have brought its state up to date before it tells of an event", () =>
      run(({ account, exchange, settle }) =>
        Effect.gen(function*() {
          const seen: Array<boolean> = []
          yield* exchange.onEvent((event) => {
            if (event._tag === "OrderUpdate") {
              seen.push(exchange.order(event.clientOrderId ?? `#${event.orderId}`)?.order?.status === event.status)
            }
            if (event._tag === "Balance") seen.push(exchange.balances().get(event.asset) === event)
            throw new Error("of the test")
          })
          const changes = yield* Effect.forkChild(Stream.runCollect(exchange.orderChanges), { startImmediately: true })
          const fills = yield* Effect.forkChild(Stream.runCollect(exchange.fills), { startImmediately: true })
          const states = yield* Effect.forkChild(Stream.runCollect(exchange.healthChanges), { startImmediately: true })
          yield* exchange.initialize
          elsewhere(account)
          yield* exchange.orders.place(resting())
          yield* settle
          assert.isAbove(seen.length, 2)
          assert.notInclude(seen, false)
          yield* exchange.close
          assert.isAtLeast([...(yield* Fiber.join(changes))].length, 2)
          assert.lengthOf([...(yield* Fiber.join(fills))], account.fills({}).length)
          assert.deepStrictEqual([...(yield* Fiber.join(states))].map(({ state }) => state), [
            "starting",
            "healthy",
            "closed"
          ])
          assert.strictEqual((yield* Effect.flip(exchange.initialize)).reason._tag, "Closed")
          assert.strictEqual((yield* Effect.flip(exchange.refresh)).reason._tag, "Closed")
        })
      ))

    test(
      "MUST notice a break, and be healthy again only when it has been reconciled",
      () =>
        run(({ account, exchange, settle, simulator }) =>
          Effect.gen(function*() {
            yield* exchange.initialize
            yield* exchange.orders.place(resting())
            const states = yield* Effect.forkChild(
              Stream.runCollect(Stream.takeUntil(
                Stream.drop(exchange.healthChanges, 1),
                ({ state }) => state === "healthy"
              )),
              { startImmediately: true }
            )
            yield* simulator.inject("drop")
            yield* simulator.inject("refuse@0s:500ms")
            elsewhere(account)
            elsewhere(account, { side: "sell" })
            account.cancelAll()
            yield* Account.until(() => false, 100)
            assert.isNull((yield* exchange.health).reconciledAt)
            yield* settle
            const seen = [...(yield* Fiber.join(states))]
            assert.strictEqual(seen[0]?.state, "down")
            assert.isAbove(seen[0]!.problems.length, 0)
            // Fills of orders that only fills had told of are of orders that are known by now.
            assert.strictEqual((yield* exchange.health).unknown, 0)
          })
        )
    )

    test("MUST find what the stream has kept back", () =>
      run(({ account, exchange, settle, simulator }) =>
        Effect.gen(function*() {
          yield* exchange.initialize
          yield* Effect.sleep("200 millis")
          yield* simulator.inject({ _tag: "LosePush", durationMillis: 200 })
          elsewhere(account)
          elsewhere(account, { type: "limit", timeInForce: "gtc", price: "1001" })
          yield* Effect.sleep("300 millis")
          yield* exchange.refresh
          yield* settle
        })
      ))

    for (const fault of ["LoseRequest", "LoseAnswer"] as const) {
      test(`MUST show an order whose answer was lost as unknown until it is known: ${fault}`, () =>
        run(({ account, exchange, settle, simulator }) =>
          Effect.gen(function*() {
            yield* exchange.initialize
            yield* exchange.orders.place(resting("990"))
            // What is pushed would tell at once.
            yield* simulator.inject({ _tag: "LosePush", durationMillis: 1_000 })
            yield* simulator.inject({ _tag: fault, ...placing, count: 1 })
            const states: Array<string> = []
            const watching = yield* Effect.forkChild(
              Stream.runForEach(exchange.orderChanges, ({ key, state }) =>
                Effect.sync(() => void (key === "lost" && states.push(state._tag)))),
              { startImmediately: true }
            )
            const { outcome } = yield* exchange.orders.place({ ...resting(), clientOrderId: "lost" })
            assert.strictEqual(outcome._tag, "Unknown")
            // An answer that is looked up at once may be there already.
            if (fault === "LoseRequest") {
              assert.strictEqual((yield* exchange.health).unknown, 1)
            }
            const known = yield* resolved(outcome)
            yield* Effect.sleep(1)
            const { state } = exchange.order("lost")!
            if (fault === "LoseAnswer") {
              assert.strictEqual(state._tag, "Open")
            } else assert.deepInclude(state, { _tag: "Final", status: "rejected" })
            assert.strictEqual(known._tag, fault === "LoseAnswer" ? "Accepted" : "Rejected")
            assert.deepStrictEqual(states, ["Sending", "Unknown", state._tag])
            yield* Effect.sleep("1 second")
            yield* settle
            assert.lengthOf(account.orders({ open: true }), fault === "LoseAnswer" ? 2 : 1)
            yield* Fiber.interrupt(watching)
          })
        ))
    }

    test("MUST see through what its caller gave up, and tell what was never sent", () =>
      run(({ account, exchange, settle, simulator }) =>
        Effect.gen(function*() {
          yield* exchange.initialize
          yield* exchange.orders.place(resting("990"))
          yield* simulator.inject({ _tag: "LosePush", durationMillis: 1_000 })
          yield* simulator.inject({ _tag: "LateAnswer", ...placing, count: 1, millis: 300 })
          const placed = yield* Effect.forkChild(exchange.orders.place({ ...resting(), clientOrderId: "abandoned" }), {
            startImmediately: true
          })
          yield* Account.until(() => account.orders({ open: true }).length === 2)
          yield* Fiber.interrupt(placed)
          yield* Account.until(() => exchange.order("abandoned")?.state._tag === "Open")
          assert.strictEqual(exchange.order("abandoned")?.state._tag, "Open")

          yield* simulator.inject({ _tag: "LoseRequest", ...placing, count: 1 })
          const never = yield* Effect.forkChild(exchange.orders.place({ ...resting(), clientOrderId: "never" }), {
            startImmediately: true
          })
          yield* Effect.sleep(50)
          yield* Fiber.interrupt(never)
          yield* Account.until(() => exchange.order("never")?.state._tag === "Final")
          assert.deepInclude(exchange.order("never")!.state, { _tag: "Final", status: "rejected" })

          const bad = yield* Effect.exit(exchange.orders.place({ ...resting(), quantity: "0", clientOrderId: "bad" }))
          assert.isTrue(Exit.isFailure(bad))
          assert.deepInclude(exchange.order("bad")!.state, { _tag: "Final", status: "rejected" })
          yield* Effect.sleep("1 second")
          yield* settle
        }), { lookFor: "1 second" }))

    test("MUST track batches, cancels of all, look-ups and amendments", () =>
      run(({ exchange, settle }) =>
        Effect.gen(function*() {
          yield* exchange.initialize
          const { orders } = exchange
          const placed = yield* orders.placeAll([resting("1000"), resting("1001"), resting("1002")])
          assert.deepStrictEqual(
            placed.map(({ clientOrderId }) => exchange.order(clientOrderId)?.state._tag),
            ["Open", "Open", "Open"]
          )
          const [first] = placed
          const ref = { pair, clientOrderId: first!.clientOrderId }
          if (orders.abilities.has("amend")) {
            yield* orders.amend(ref, { price: "1110" })
            assert.strictEqual(text(exchange.order(ref.clientOrderId)!.order!.price), "1110")
          }
          assert.strictEqual((yield* orders.get(ref))?.status, "new")
          assert.lengthOf(yield* orders.openOrders(pair), 3)
          yield* orders.cancelAll(pair)
          yield* settle
          assert.deepStrictEqual(exchange.openOrders(), [])
          assert.lengthOf(exchange.orderHistory(), 3)
          // It had ended: the refusal changes nothing.
          assert.strictEqual((yield* orders.cancel(ref))._tag, "Rejected")
          assert.deepInclude(exchange.order(ref.clientOrderId)!.state, { _tag: "Final", status: "canceled" })
        })
      ))

    test("MUST end as the exchange has it behind drops, losses, repetitions and unknown outcomes", () =>
      run(
        ({ exchange, settle, simulator }) =>
          Effect.gen(function*() {
            yield* exchange.initialize
            const { orders } = exchange
            const told: Array<string> = []
            yield* exchange.onEvent((event) => {
              if (event._tag === "Fill") told.push(`${event.symbol} ${event.tradeId} ${event.side}`)
            })
            const faults = [
              "drop",
              "duplicate:100%",
              { _tag: "LoseAnswer", ...placing, count: 1 },
              "refuse@0s:300ms",
              { _tag: "LosePush", durationMillis: 200 },
              { _tag: "LoseRequest", ...placing, count: 1 },
              "half-open"
            ] as const
            for (let round = 0; round < 14; round++) {
              yield* simulator.inject(faults[round % faults.length]!)
              const request = round % 3 === 0 ? resting(String(900 + round)) : taking(round % 2 === 0 ? "buy" : "sell")
              const result = yield* Effect.exit(orders.place(request))
              if (round % 6 === 3 && Exit.isSuccess(result)) {
                yield* Effect.exit(orders.cancel({ pair, clientOrderId: result.value.clientOrderId }))
              }
              yield* Effect.sleep(100 * (round % 4))
            }
            yield* settle
            assert.strictEqual(new Set(told).size, told.length)
            assert.strictEqual((yield* exchange.health).unknown, 0)
          }),
        {},
        { ...quick, heartbeat: { interval: 200, timeout: 200 }, reconcile: { interval: "1 second" } }
      ))

    if (kind === "spot") {
      test("MUST say that there are no positions, with a typed error", () =>
        run(({ exchange }) =>
          Effect.gen(function*() {
            yield* exchange.initialize
            const error = yield* Effect.flip(exchange.positions)
            assert.strictEqual(error.reason._tag, "UnsupportedChannel")
            assert.strictEqual(text(exchange.equity("USDT")), "1000000")
            assert.isNull(exchange.equity("NONE"))
          })
        ))

      test("MUST look up a pair that was added where the exchange asks for one", () =>
        run(
          ({ account, exchange, settle }) =>
            Effect.gen(function*() {
              elsewhere(account, { type: "limit", timeInForce: "gtc", price: "999", clientOrderId: "earlier" })
              elsewhere(account, { pair: "ETH/USDT", type: "limit", timeInForce: "gtc", price: "99", quantity: "1" })
              yield* exchange.initialize
              yield* exchange.add(["ETH/USDT"])
              yield* settle
              assert.lengthOf(exchange.openOrders(), 2)
            }),
          { pairs: [pair] },
          { ...quick, reconcilePairs: [] }
        ))
    } else {
      test("MUST show positions with what they gain at the mark, fees and funding", () =>
        run(
          ({ account, exchange, settle, simulator }) =>
            Effect.gen(function*() {
              yield* exchange.initialize
              yield* (yield* OrderEntry).setMarginMode(pair, "isolated")
              yield* exchange.orders.place(taking())
              yield* settle
              const held = (yield* exchange.positions).get(pair)!
              const [world] = account.positions()
              assert.strictEqual(text(held.size), plain(world!.size))
              assert.strictEqual(text(held.liquidationPrice), plain(world!.liquidationPrice))
              const fees = account.fills({}).reduce(
                (sum, { fee }) => BigDecimal.sum(sum, Decimal.of(fee)),
                Decimal.zero
              )
              assert.strictEqual(text(held.fees), text(BigDecimal.normalize(fees)))
              const gained = BigDecimal.multiply(
                BigDecimal.subtract(Decimal.of("70000"), held.entryPrice!),
                held.baseSize
              )
              assert.strictEqual(text(held.unrealisedPnl), text(BigDecimal.normalize(gained)))
              const { total } = exchange.balances().get("USDT")!
              assert.strictEqual(
                text(exchange.equity("USDT")),
                text(BigDecimal.normalize(BigDecimal.sum(total!, gained)))
              )
              void simulator
            }),
          { mark: () => 70_000 }
        ))
    }
  })
}
