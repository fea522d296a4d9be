/** What the command line knows, shows and asks of an account, against scripted services. */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Fiber, Sink, Stdio, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AccountBoard } from "../../src/cli/account/AccountBoard.ts"
import * as AccountJson from "../../src/cli/account/AccountJson.ts"
import * as AccountView from "../../src/cli/account/AccountView.ts"
import * as Confirmation from "../../src/cli/account/Confirmation.ts"
import * as Outcome from "../../src/cli/account/Outcome.ts"
import * as Trader from "../../src/cli/account/Trader.ts"
import * as Failure from "../../src/cli/Failure.ts"
import * as Refusal from "../../src/cli/Refusal.ts"
import * as Style from "../../src/cli/Style.ts"
import { isFinal } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import * as OrderEntryTest from "../../src/OrderEntryTest.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

const { balance, fill, orderUpdate, position } = PrivateWebsocketTest
const pair = "BTC/USDT"
const swap = "BTC/USDT:USDT"

const viewOf = (board: AccountBoard, hasPositions: boolean) =>
  new AccountView.AccountView({
    board,
    name: "Toy",
    origin: "simulated, seed 1",
    hasPositions,
    now: () => 61_000,
    style: Style.of(false),
    log: () => []
  })

describe("an account's board", () => {
  it.effect("holds what is now: open orders, positions that are not flat, the newest balances and fills", () =>
    Effect.gen(function*() {
      const board = new AccountBoard("toy", "main")
      const websocket = yield* PrivateWebsocket
      const control = yield* PrivateWebsocketTest.TestControl
      yield* websocket.handle(board.handlers)
      yield* websocket.initialize()
      yield* control.emit(
        orderUpdate(pair, { orderId: "1" }),
        orderUpdate(pair, { orderId: "2" }),
        orderUpdate(pair, { orderId: "1", status: "filled" }),
        balance("USDT", { total: Decimal.of("10") }),
        balance("USDT", { total: Decimal.of("9") }),
        position(swap, { size: Decimal.of("-3") }),
        position(swap, { side: "long", size: Decimal.of("1") }),
        position(swap, { size: Decimal.zero })
      )
      for (let i = 0; i < 60; i++) yield* control.emit(fill(pair, { tradeId: String(i) }))
      yield* control.miss(fill(pair, { tradeId: "missed" }))
      yield* control.reconnect
      assert.deepStrictEqual([...board.openOrders.values()].map(({ orderId }) => orderId), ["2"])
      assert.deepStrictEqual([...board.positions.values()].map(({ side }) => side), ["long"])
      assert.strictEqual(Decimal.toText(board.balances.get("USDT")!.total!), "9")
      assert.strictEqual(board.fills.length, 50)
      assert.deepInclude(board.fills[0], { tradeId: "missed", origin: "Reconciled" })
      assert.deepStrictEqual(board.counts, {
        orders: 3,
        fills: 61,
        balances: 2,
        positions: 3,
        gaps: 6,
        reconciled: 1
      })
      const summary = AccountView.summary(board)
      assert.strictEqual(JSON.stringify(summary).includes("NaN"), false)
      assert.deepInclude(summary, { exchange: "toy", account: "main", state: "connected" })
    }).pipe(Effect.scoped, Effect.provide(PrivateWebsocketTest.layer())))

  it("tells what the exchange did by itself", () => {
    const board = new AccountBoard("toy", "main")
    const received = { receivedAt: 0, origin: "Stream", exchangeTime: 0, pair: swap, symbol: "X" } as const
    board.handlers.onAutoDeleverage?.({
      ...received,
      _tag: "AutoDeleverage",
      quantity: Decimal.of("1"),
      positionSize: Decimal.zero,
      entryPrice: null,
      price: Decimal.of("1")
    })
    assert.strictEqual(board.notice, `auto-deleveraged ${swap}`)
    board.handlers.onPositionClose?.({
      ...received,
      _tag: "PositionClose",
      side: "long",
      pnl: Decimal.zero,
      cause: "liquidated"
    })
    assert.strictEqual(board.notice, `closed long ${swap}: liquidated`)
  })

  it("is shown as tables that keep every section, however few rows there are", () => {
    const board = new AccountBoard("toy", "main")
    board.isAuthenticated = true
    board.status = { _tag: "Connected", exchange: "toy", connection: 1, at: 0 }
    const { onBalance, onFill, onOrder, onPosition } = board.handlers
    for (let i = 0; i < 12; i++) {
      onBalance?.(balance(`A${String(i).padStart(2, "0")}`, { available: Decimal.of("0.00000001"), locked: null }))
      onOrder?.(orderUpdate(pair, { orderId: String(i), clientOrderId: i === 0 ? null : `c${i}` }))
      onFill?.(fill(pair, { tradeId: String(i), fee: Decimal.of("0.1"), feeAsset: "USDT", exchangeTime: 3_661_000 }))
    }
    onOrder?.(orderUpdate(pair, { orderId: "q", quantity: null, quoteQuantity: Decimal.of("50"), price: null }))
    onPosition?.(
      position(swap, {
        size: Decimal.of("-2"),
        entryPrice: Decimal.of("60000.123456789123"),
        leverage: Decimal.of("10"),
        marginMode: "isolated"
      })
    )
    const view = viewOf(board, true)
    const screen = view.screen(24)
    assert.isAtMost(screen.length, 24)
    assert.include(screen[0], "Toy, account main  simulated, seed 1  00:00  q ends it")
    const text = screen.join("\n")
    for (const title of ["BALANCE", "ORDER", "POSITION", "FILL"]) assert.include(text, title)
    assert.match(text, /BALANCE .*\+\d/)
    assert.match(text, /A00 +0\.00000001 +- +0/)
    assert.match(text, /BTC\/USDT +buy +limit +100 +1 +0 +new +#0/)
    assert.match(text, /BTC\/USDT:USDT +-2 +60000\.123 .* isol 10x/)
    assert.match(text, /01:01:01 +BTC\/USDT +buy +100 +1 +0\.1 USDT +taker/)
    assert.include(text, "authenticated; 13 order updates, 12 fills, 12 balances, 0 gaps, 0 reconciled")
    for (const line of screen) assert.isAtMost(line.length, 80, line)
    const lines = view.lines().join("\n")
    assert.include(lines, "50 quote")
    assert.notInclude(viewOf(board, false).lines().join("\n"), "POSITION")
  })

  it("says how the stream is", () => {
    const board = new AccountBoard("toy", "main")
    assert.strictEqual(AccountView.stateOf(board), "not connected")
    board.status = { _tag: "Connecting", exchange: "toy", connection: 1, attempt: 1, at: 0 }
    assert.strictEqual(AccountView.stateOf(board), "connecting")
    board.failure = "wrong key"
    assert.strictEqual(AccountView.stateOf(board), "given up")
  })
})

describe("an account as JSON", () => {
  it("has amounts as exact text and nothing lost", () => {
    const json = AccountJson.event(orderUpdate(pair, { price: Decimal.of("0.0000001") }))
    assert.deepInclude(json, { _tag: "OrderUpdate", price: "0.0000001", filledQuantity: "0", averagePrice: null })
    assert.deepStrictEqual(AccountJson.gap({ _tag: "Gap", cause: "Silent", channel: "Fills", at: 5 }), {
      cause: "Silent",
      at: 5,
      lost: null
    })
    const reason = { code: "X", detail: "no", class: "item" } as const
    assert.deepStrictEqual(AccountJson.outcome({ _tag: "Rejected", reason }), { outcome: "Rejected", reason })
  })
})

const typing = (text: string, isTerminal = true) =>
  Stdio.layerTest({
    stdinIsTerminal: Effect.succeed(isTerminal),
    stdin: text === "" ? Stream.empty : Stream.make(new TextEncoder().encode(text))
  })

/** What was said on standard error, and how it ended. */
const asked = (text: string, isTerminal?: boolean) =>
  Effect.gen(function*() {
    const said: Array<string> = []
    const quiet = Object.assign(Object.create(console) as Console.Console, {
      error: (line: string) => said.push(line)
    })
    const exit = yield* Confirmation.ask(["limit buy 1 BTC/USDT"], "gate-spot").pipe(
      Effect.provide(typing(text, isTerminal)),
      Effect.provideService(Console.Console, quiet),
      Effect.exit
    )
    return { said: said.join("\n"), code: Failure.exitCode(exit) }
  })

describe("a confirmation", () => {
  it.effect("is the word, typed on a terminal, and nothing else", () =>
    Effect.gen(function*() {
      const confirmed = yield* asked("gate-spot\n")
      assert.strictEqual(confirmed.code, 0)
      assert.include(confirmed.said, "limit buy 1 BTC/USDT\nType gate-spot to send it")
      for (const wrong of ["yes\n", "\n", "", "gate-spot-2\n"]) {
        assert.strictEqual((yield* asked(wrong)).code, 1, wrong)
      }
      assert.deepStrictEqual(yield* asked("gate-spot\n", false), { said: "", code: 2 })
    }))
})

describe("what the shell sees of an order", () => {
  let placed = 0

  const report = (script: OrderEntryTest.Script, isTable: boolean) =>
    Effect.gen(function*() {
      const control = yield* OrderEntryTest.TestControl
      const entry = yield* OrderEntry
      yield* control.next(script)
      let stdout = ""
      const stdio = Stdio.layerTest({
        stdout: () => Sink.forEach((chunk) => Effect.sync(() => stdout += String(chunk)))
      })
      const placing = entry.place({ pair, side: "buy", quantity: 1, price: 1, clientOrderId: `mine${placed++}` })
      const exit = yield* Outcome.report(
        Effect.map(placing, ({ outcome }) => outcome),
        "toy: the order",
        (order) => [order],
        { isTable }
      ).pipe(Effect.provide(stdio), Effect.exit)
      return { code: Failure.exitCode(exit), stdout, exit: String(exit) }
    }).pipe(
      Effect.provideService(
        Console.Console,
        Object.assign(Object.create(console) as Console.Console, { error: () => {} })
      )
    )

  it.effect("is its outcome, and an exit code for each kind", () =>
    Effect.gen(function*() {
      for (const script of [OrderEntryTest.accept, OrderEntryTest.loseAnswer]) {
        const json = yield* report(script, false)
        assert.strictEqual(json.code, 0)
        assert.deepInclude(JSON.parse(json.stdout), { outcome: "Accepted" })
        assert.match((yield* report(script, true)).stdout, /^ACCEPTED: toy: the order\nORDER [^]*mine/)
      }
      for (const script of [OrderEntryTest.reject({ code: "POOR" }), OrderEntryTest.loseRequest]) {
        const json = yield* report(script, false)
        assert.strictEqual(json.code, 5)
        assert.deepInclude(JSON.parse(json.stdout), { outcome: "Rejected" })
        assert.strictEqual((yield* report(script, true)).stdout, "")
      }
      assert.include((yield* report(OrderEntryTest.reject({ code: "POOR" }), true)).exit, "was refused: POOR")
      const limited = new ExchangeError.RateLimited({ budget: "orders", retryAfterMs: 5, detail: "full" })
      assert.strictEqual((yield* report(OrderEntryTest.fail(limited), false)).code, 1)
    }).pipe(Effect.provide(OrderEntryTest.layer())))

  it.effect("stays unknown when the exchange does not tell in time", () =>
    Effect.gen(function*() {
      const control = yield* OrderEntryTest.TestControl
      yield* control.hush
      const fiber = yield* Effect.forkChild(report(OrderEntryTest.loseAnswer, false), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      const { code, exit } = yield* Fiber.join(fiber)
      assert.strictEqual(code, 6)
      assert.include(exit, "it may be in force")
    }).pipe(Effect.provide(OrderEntryTest.layer())))

  it("has an exit code for each kind of refusal", () => {
    const codeOf = (reason: ExchangeError.Reason) => Refusal.failure(ExchangeError.make("toy", reason)).kind
    assert.strictEqual(codeOf(new ExchangeError.AuthRejected({ code: "1", detail: "" })), "auth")
    assert.strictEqual(
      codeOf(new ExchangeError.ClockUnusable({ offsetMs: null, errorMs: null, retryable: false, detail: "" })),
      "auth"
    )
    assert.strictEqual(codeOf(new ExchangeError.InvalidOrder({ symbol: pair, field: "price", detail: "" })), "usage")
    const failed = { request: "GET /", status: 401, code: "1", detail: "" } as const
    assert.strictEqual(codeOf(new ExchangeError.RequestFailed({ ...failed, class: "auth" })), "auth")
    assert.strictEqual(codeOf(new ExchangeError.RequestFailed({ ...failed, class: "retryable" })), "failed")
  })
})

describe("the strategy of simulated accounts", () => {
  const steps = (seed: number, count: number, options?: OrderEntryTest.TestOptions) =>
    Effect.gen(function*() {
      const control = yield* OrderEntryTest.TestControl
      let known = yield* control.orders
      const trader = yield* Trader.make({
        pairs: [pair, swap],
        quote: (name) => name === pair || name === swap ? { bid: 60_000, ask: 60_001 } : null,
        openOrders: () => known.filter(({ status }) => !isFinal(status)),
        contractSizes: new Map([[swap, 0.0001]]),
        seed,
        worth: 500
      })
      for (let i = 0; i < count; i++) {
        yield* trader.step
        known = yield* control.orders
      }
      return { counts: trader.counts, sent: yield* control.sent }
    }).pipe(Effect.provide(OrderEntryTest.layer(options)))

  it.effect("places, moves and takes back, the same for the same seed", () =>
    Effect.gen(function*() {
      const first = yield* steps(7, 60)
      const again = yield* steps(7, 60)
      assert.deepStrictEqual(again.counts, first.counts)
      for (const kind of ["placed", "amended", "cancelled"] as const) assert.isAbove(first.counts[kind], 0, kind)
      assert.strictEqual(first.counts.failed + first.counts.rejected, 0)
      const other = yield* steps(8, 60)
      assert.notDeepEqual(other.sent.map(({ _tag }) => _tag), first.sent.map(({ _tag }) => _tag))
    }))

  it.effect("cancels where nothing can be amended, waits for prices, and counts what goes wrong", () =>
    Effect.gen(function*() {
      const { counts } = yield* steps(7, 60, { abilities: [] })
      assert.strictEqual(counts.amended, 0)
      assert.isAbove(counts.cancelled, 0)
      const unlisted = yield* steps(7, 10, { instruments: [] })
      assert.strictEqual(unlisted.counts.failed, 10)
      const control = yield* OrderEntryTest.TestControl
      yield* control.next(OrderEntryTest.reject(), OrderEntryTest.loseAnswer)
      const options = { openOrders: () => [], seed: 1, worth: 500 }
      const trader = yield* Trader.make({ ...options, pairs: [pair], quote: () => ({ bid: 5, ask: 6 }) })
      yield* trader.step
      yield* trader.step
      assert.deepInclude(trader.counts, { rejected: 1, unknown: 1, placed: 0 })
      const blind = yield* Trader.make({ ...options, pairs: [pair], quote: () => null })
      yield* blind.step
      assert.strictEqual(blind.counts.placed, 0)
    }).pipe(Effect.provide(OrderEntryTest.layer())))
})
