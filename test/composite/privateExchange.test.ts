/** The composite of an account over test doubles: what a simulated exchange does not do on demand. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AccountRest } from "../../src/AccountRest.ts"
import * as PrivateExchange from "../../src/composite/PrivateExchange.ts"
import type { Position } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { spot } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import * as OrderEntryTest from "../../src/OrderEntryTest.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

const pair = "BTC/USDT:USDT"
const of = Decimal.of

const failure = (detail: string) =>
  ExchangeError.make(
    "test",
    new ExchangeError.RequestFailed({ request: "GET", status: 503, code: "X", detail, class: "retryable" })
  )

const rest = AccountRest.of({
  exchange: "test",
  account: "test",
  userId: Effect.succeed("1"),
  balances: Effect.succeed([]),
  positions: Effect.succeed([]),
  positionMode: Effect.succeed("oneWay"),
  openOrders: () => Effect.succeed([]),
  fills: () => Effect.succeed([]),
  funding: () => Effect.succeed([]),
  needsPair: false
})

const market = MarketRest.of({
  exchange: "test",
  instruments: Effect.succeed([{
    ...spot({ exchange: "test", symbol: "BTCUSDT", base: "BTC", quote: "USDT", priceStep: 0.1, quantityStep: 1 }),
    pair,
    kind: "swap",
    settle: "USDT",
    maintenanceRate: 0.005,
    takerFeeRate: 0.001
  }]),
  serverTime: Effect.succeed(0),
  turnovers: Effect.succeed(new Map()),
  book: () => Effect.never
})

/** What a test turns. */
interface Switches {
  isReady: boolean
  /** Comparisons that fail before one goes well. */
  failures: number
}

const layer = (switches: Switches, options: PrivateExchange.PrivateExchangeOptions) => {
  const websocket = Layer.effect(
    PrivateWebsocket,
    Effect.map(PrivateWebsocket, (service) => ({
      ...service,
      reconcile: Effect.suspend(() =>
        switches.failures-- > 0 ? Effect.fail(failure("the exchange does not answer")) : service.reconcile
      )
    }))
  ).pipe(Layer.provideMerge(PrivateWebsocketTest.layer()))
  const orders = Layer.effect(
    OrderEntry,
    Effect.map(OrderEntry, (service) => ({ ...service, isReady: Effect.sync(() => switches.isReady) }))
  ).pipe(Layer.provideMerge(OrderEntryTest.layer()))
  return PrivateExchange.layer(options).pipe(
    Layer.provideMerge(Layer.mergeAll(
      websocket,
      orders,
      Layer.succeed(AccountRest, rest),
      Layer.succeed(MarketRest, market)
    ))
  )
}

type Services = Layer.Success<ReturnType<typeof layer>>

const start = <E>(
  body: (
    exchange: PrivateExchange.PrivateExchange["Service"],
    switches: Switches,
    control: PrivateWebsocketTest.TestControl["Service"]
  ) => Effect.Effect<void, E, Services>,
  options: PrivateExchange.PrivateExchangeOptions = {}
) => {
  const switches = { isReady: true, failures: 0 }
  return Effect.gen(function*() {
    yield* body(yield* PrivateExchange.PrivateExchange, switches, yield* PrivateWebsocketTest.TestControl)
  }).pipe(Effect.provide(layer(switches, options)), Effect.provideService(References.MinimumLogLevel, "None"))
}

const stateOf = (exchange: PrivateExchange.PrivateExchange["Service"]) =>
  Effect.map(exchange.health, ({ state }) => state)

const order = (clientOrderId: string) => ({ pair, side: "buy", quantity: "1", price: "100", clientOrderId } as const)

describe("PrivateExchange", () => {
  it.effect("fails to initialize while the account cannot be read, and may be asked again", () =>
    start((exchange, switches) =>
      Effect.gen(function*() {
        switches.failures = 1
        const error = yield* Effect.flip(exchange.initialize)
        assert.include(error.message, "does not answer")
        assert.deepInclude(yield* exchange.health, { state: "starting", reconciledAt: null })
        yield* exchange.initialize
        assert.strictEqual(yield* stateOf(exchange), "healthy")
      })
    ))

  it.effect("is refused with its key, and says so", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* control.reject("revoked")
        assert.strictEqual((yield* Effect.flip(exchange.initialize)).reason._tag, "AuthRejected")
      })
    ))

  it.effect("is degraded until a break has been closed, however often that fails, and while commands cannot leave", () =>
    start((exchange, switches, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const states: Array<string> = []
        yield* Effect.forkChild(
          Stream.runForEach(exchange.healthChanges, ({ state }) => Effect.sync(() => void states.push(state))),
          { startImmediately: true }
        )
        switches.failures = 3
        yield* Effect.exit(control.reconnect)
        yield* TestClock.adjust(60)
        const broken = yield* exchange.health
        assert.deepInclude(broken, { state: "degraded", reconciledAt: null })
        assert.match(broken.problems.join(), /not reconciled since the last break: .*does not answer/)
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* exchange.health, { state: "healthy", problems: [] })
        switches.isReady = false
        yield* TestClock.adjust("1 second")
        const held = yield* exchange.health
        assert.deepInclude(held, { state: "degraded", canTrade: false })
        assert.match(held.problems.join(), /commands cannot leave/)
        switches.isReady = true
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(states, ["healthy", "degraded", "healthy", "degraded", "healthy"])
      })
    ))

  it.effect("tells at once that commands can leave again, also behind a break that another comparison has closed", () =>
    start((exchange, switches, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        switches.failures = Number.POSITIVE_INFINITY
        yield* Effect.exit(control.reconnect)
        yield* TestClock.adjust("10 seconds")
        switches.failures = 0
        yield* exchange.refresh
        yield* TestClock.adjust("10 seconds")
        const states: Array<string> = []
        yield* Effect.forkChild(
          Stream.runForEach(exchange.healthChanges, ({ state }) => Effect.sync(() => void states.push(state))),
          { startImmediately: true }
        )
        switches.isReady = false
        yield* TestClock.adjust("250 millis")
        assert.deepStrictEqual(states, ["healthy", "degraded"])
        switches.isReady = true
        yield* TestClock.adjust("50 millis")
        assert.deepStrictEqual(states, ["healthy", "degraded", "healthy"])
      })
    ))

  it.effect("is down when its stream has ended for good, and says why", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const reason = new ExchangeError.AuthRejected({ code: "X", detail: "the key was revoked" })
        yield* control.fail(ExchangeError.make("test", reason))
        yield* TestClock.adjust("1 second")
        const { problems, state } = yield* exchange.health
        assert.strictEqual(state, "down")
        assert.match(problems.join(), /has ended.*the key was revoked/)
        // It is asked again, and refused again.
        assert.strictEqual((yield* Effect.flip(exchange.initialize)).reason._tag, "AuthRejected")
        assert.strictEqual(yield* stateOf(exchange), "down")
      })
    ))

  it.effect("is down when somebody else has closed its stream", () =>
    start((exchange) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        yield* (yield* PrivateWebsocket).close
        yield* TestClock.adjust("1 second")
        assert.match((yield* exchange.health).problems.join(), /it was closed/)
        yield* exchange.close
        assert.strictEqual(yield* stateOf(exchange), "closed")
        yield* exchange.close
      })
    ))

  it.effect("reckons the liquidation price that the exchange does not tell from what its instrument says", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const { symbol } = (yield* (yield* MarketRest).instruments)[0]!
        const of1 = (fields: Partial<Position>) =>
          PrivateWebsocketTest.position(pair, {
            symbol,
            size: of("1"),
            entryPrice: of("100"),
            leverage: of("10"),
            marginMode: "isolated",
            margin: of("10"),
            ...fields
          })
        const shown = Effect.map(exchange.positions, (positions) => positions.get(pair)!.liquidationPrice)
        yield* control.emit(of1({}))
        // 90 by 1 - 0.006.
        assert.strictEqual(Decimal.toText((yield* shown)!), "90.543259557344")
        yield* control.emit(of1({ liquidationPrice: of("91") }))
        assert.strictEqual(Decimal.toText((yield* shown)!), "91")
        yield* control.emit(of1({ marginMode: "cross", margin: null }))
        assert.isNull(yield* shown)
      })
    ))

  it.effect("refuses to show hedge mode as one position", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const position = (side: "long" | "short", size: string) =>
          PrivateWebsocketTest.position(pair, { side, size: of(size), entryPrice: of("100") })
        yield* control.emit(position("long", "3"))
        assert.strictEqual((yield* exchange.positions).size, 1)
        yield* control.emit(position("short", "-1"))
        assert.strictEqual((yield* Effect.flip(exchange.positions)).reason._tag, "InvalidUse")
        assert.deepStrictEqual(
          (yield* exchange.heldPositions).map(({ side, size }) => `${side} ${Decimal.toText(size)}`),
          ["long 3", "short -1"]
        )
        // Of an instrument that is not known nothing can be reckoned.
        yield* control.emit(
          position("long", "0"),
          PrivateWebsocketTest.position("X/Y:Y", { pair: null, size: of("1") })
        )
        assert.deepStrictEqual([...(yield* exchange.positions).keys()], [pair])
      })
    ))

  it.effect("asks for what the stream does not tell of, and for what it has told without a word", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const test = yield* OrderEntryTest.TestControl
        // Placed by another program: only a fill is told.
        const { outcome } = yield* (yield* OrderEntry).place(order("other"))
        assert(outcome._tag === "Accepted")
        const { orderId } = outcome.value
        yield* test.fill("other")
        yield* control.emit(PrivateWebsocketTest.fill(pair, { orderId, tradeId: "1" }))
        assert.strictEqual(exchange.order(`#${orderId}`)?.state._tag, "Unknown")
        // Ours, and its end is never told.
        yield* exchange.orders.place(order("ours"))
        yield* test.fill("ours")
        // Of an order that nobody knows any more, and of an instrument that nobody knows.
        yield* control.emit(
          PrivateWebsocketTest.fill(pair, { orderId: "77", tradeId: "2" }),
          PrivateWebsocketTest.fill(pair, { orderId: "78", tradeId: "3", pair: null })
        )
        yield* TestClock.adjust("20 seconds")
        assert.deepInclude(exchange.order("other")?.state, { _tag: "Final", status: "filled" })
        assert.deepInclude(exchange.order("ours")?.state, { _tag: "Final", status: "filled" })
        assert.deepInclude(exchange.order("#77")?.state, { _tag: "Final", status: "partiallyCanceled" })
        assert.strictEqual(exchange.order("#78")?.state._tag, "Unknown")
        assert.strictEqual((yield* exchange.health).unknown, 1)
      })
    ))

  it.effect("tells of an order that was refused and is there all the same", () =>
    start((exchange, _, control) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        yield* (yield* OrderEntryTest.TestControl).next(OrderEntryTest.reject())
        yield* exchange.orders.place(order("a"))
        yield* control.emit(PrivateWebsocketTest.orderUpdate(pair, { orderId: "9", clientOrderId: "a" }))
        assert.deepInclude(exchange.order("a")?.state, { _tag: "Final", status: "rejected" })
        assert.strictEqual(exchange.order("#9")?.state._tag, "Open")
      })
    ))

  it.effect("shows a cancel that is lost as under way until it is known", () =>
    start((exchange) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        const { next, hush, answer } = yield* OrderEntryTest.TestControl
        const { orders } = exchange
        yield* orders.place(order("a"))
        yield* hush
        yield* next(OrderEntryTest.loseAnswer)
        const outcome = yield* orders.cancel({ pair, clientOrderId: "a" })
        assert(outcome._tag === "Unknown")
        assert.strictEqual(exchange.order("a")?.state._tag, "Canceling")
        yield* answer
        const known = yield* Effect.forkChild(outcome.resolved, { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(known)
        assert.deepInclude(exchange.order("a")?.state, { _tag: "Final", status: "canceled" })
        // One that fails, and one that is refused, leave the order as it was.
        yield* orders.place(order("b"))
        yield* next(
          OrderEntryTest.fail(new ExchangeError.RateLimited({ budget: "orders", retryAfterMs: 1, detail: "full" })),
          OrderEntryTest.reject()
        )
        assert.isTrue(Exit.isFailure(yield* Effect.exit(orders.cancel({ pair, clientOrderId: "b" }))))
        assert.strictEqual((yield* orders.cancel({ pair, clientOrderId: "b" }))._tag, "Rejected")
        assert.strictEqual(exchange.order("b")?.state._tag, "Open")
        yield* next(OrderEntryTest.reject())
        yield* orders.amend({ pair, clientOrderId: "b" }, { price: "90" })
        assert.strictEqual(Decimal.toText(exchange.order("b")!.order!.price!), "100")
      })
    ))

  it.effect("takes an id that is in use for no order of its own", () =>
    start((exchange) =>
      Effect.gen(function*() {
        yield* exchange.initialize
        yield* exchange.orders.place(order("a"))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(exchange.orders.place(order("a")))))
        assert.strictEqual(exchange.order("a")?.state._tag, "Open")
        yield* (yield* OrderEntryTest.TestControl).next(
          OrderEntryTest.fail(new ExchangeError.RateLimited({ budget: "orders", retryAfterMs: 1, detail: "full" }))
        )
        assert.isTrue(Exit.isFailure(yield* Effect.exit(exchange.orders.place(order("b")))))
        const { state } = exchange.order("b")!
        assert.deepInclude(state._tag === "Final" ? state.rejection : null, { code: "RateLimited", class: "retryable" })
      })
    ))
})
