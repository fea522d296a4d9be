/** Random interleavings of one account's truth, its stream with losses and repetitions, and readings that race with both. */
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { inOrder } from "../../src/account/FillOrder.ts"
import type { Began } from "../../src/account/Ledger.ts"
import { Ledger } from "../../src/account/Ledger.ts"
import { judgeOrder, judgePosition } from "../../src/account/Succession.ts"
import type { AccountEvent, Balance, Fill, OrderUpdate, Position } from "../../src/domain/Account.ts"
import { isFinal } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { balance, fill, order, position } from "./Bank.ts"

const one = Decimal.of("1")

interface Snapshot {
  readonly began: Began
  readonly fills: ReadonlyArray<Fill>
  readonly orders: ReadonlyArray<OrderUpdate>
  readonly balances: ReadonlyArray<Balance>
  readonly positions: ReadonlyArray<Position>
}

/** The exchange, the wire and the ledger behind it. */
class Model {
  readonly delivered: Array<AccountEvent> = []
  readonly counts = { duplicates: 0, stale: 0, recovered: 0 }
  readonly ledger = new Ledger((_, event) => this.delivered.push(event), this.counts)
  readonly fills: Array<Fill> = []
  readonly orders = new Map<string, OrderUpdate>()
  readonly balances = new Map<string, Balance>()
  readonly positions = new Map<string, Position>()
  readonly #pushed: Array<AccountEvent> = []
  #wire: Array<AccountEvent> = []
  #connected = true
  #reading: Snapshot | null = null
  #now = 0
  #trades = 7
  #updates = 98

  /** Something happens: an order is placed, filled in part or ended, money moves, a position changes. */
  happen(kind: number, detail: number): void {
    this.#now += detail % 3
    const events = [
      () => this.#place(),
      () => this.#trade(detail),
      () => this.#trade(detail),
      () => this.#end(detail),
      () => this.#amend(detail),
      () => this.#pay(detail),
      () => this.#turn(detail)
    ]
    for (const event of events[kind % events.length]!()) {
      if (this.#connected) this.#wire.push(event)
    }
  }

  #place(): ReadonlyArray<AccountEvent> {
    return [this.#keep(order(`o${this.orders.size}`, { quantity: Decimal.of("5"), updatedAt: this.#now }))]
  }

  #keep(next: OrderUpdate): OrderUpdate {
    this.orders.set(next.orderId, next)
    return next
  }

  #some(detail: number): OrderUpdate | undefined {
    const open = [...this.orders.values()].filter(({ status }) => !isFinal(status))
    return open[detail % Math.max(1, open.length)]
  }

  #trade(detail: number): ReadonlyArray<AccountEvent> {
    const known = this.#some(detail)
    if (known === undefined) return []
    const filled = Decimal.of(String(Decimal.toNumber(known.filledQuantity) + 1))
    const status = Decimal.toNumber(filled) === 5 ? "filled" : "partiallyFilled"
    const symbol = detail % 2 === 0 ? "BTCUSDT" : "ETHUSDT"
    const trade = fill(`${this.#trades++}X1`, this.#now, { orderId: known.orderId, quantity: one, symbol })
    this.fills.push(trade)
    return [trade, this.#keep({ ...known, filledQuantity: filled, status, updatedAt: this.#now })]
  }

  #end(detail: number): ReadonlyArray<AccountEvent> {
    const known = this.#some(detail)
    return known === undefined ? [] : [this.#keep({ ...known, status: "canceled", updatedAt: this.#now })]
  }

  #amend(detail: number): ReadonlyArray<AccountEvent> {
    const known = this.#some(detail)
    if (known === undefined) return []
    // One amendment for each moment: two that bear the same time could not be told apart.
    this.#now++
    return [this.#keep({ ...known, price: Decimal.of(String(100 + this.#now)), updatedAt: this.#now })]
  }

  #pay(detail: number): ReadonlyArray<AccountEvent> {
    const asset = ["USDT", "BTC"][detail % 2]!
    this.#now++
    const next = balance(asset, String((detail * 7) % 5), {
      exchangeTime: this.#now,
      change: one,
      total: Decimal.of(String(this.#now))
    })
    this.balances.set(asset, next)
    return [next]
  }

  #turn(detail: number): ReadonlyArray<AccountEvent> {
    const next = position(String((detail % 5) - 2), String(this.#updates++))
    this.positions.set("BTCUSDT", next)
    return [next]
  }

  /** The wire brings so many events. */
  bring(count: number): void {
    for (const event of this.#wire.splice(0, count)) {
      this.#pushed.push(event)
      this.ledger.push(event)
    }
  }

  /** Something that was pushed before comes again. */
  repeat(at: number): void {
    const event = this.#pushed[at % Math.max(1, this.#pushed.length)]
    // Balances bear no id: one that comes again behind a newer one is known by its time.
    if (event !== undefined) this.ledger.push(event)
  }

  drop(): void {
    if (!this.#connected) return
    this.#connected = false
    this.#wire = []
    this.ledger.hold()
  }

  connect(): void {
    if (this.#connected) return
    this.#connected = true
    this.ledger.hold()
  }

  /** A request leaves, and the exchange takes down what it will answer. */
  ask(): void {
    this.#reading ??= {
      began: this.ledger.begin(),
      fills: [...this.fills],
      orders: [...this.orders.values()],
      balances: [...this.balances.values()],
      positions: [...this.positions.values()]
    }
  }

  /** The answer comes. */
  answer(): void {
    const snapshot = this.#reading
    this.#reading = null
    if (snapshot === null) return
    const reading = { ...snapshot.began, receivedAt: this.#now }
    // Out of order, as an exchange may list them.
    this.ledger.readFills(reading, snapshot.fills.toReversed().map((found) => ({ ...found, origin: "Reconciled" })))
    const open = snapshot.orders.filter(({ status }) => !isFinal(status))
    for (const missing of this.ledger.readOpenOrders(reading, open, null)) {
      const found = this.orders.get(missing.orderId)
      if (found !== undefined) this.ledger.readOrder({ ...this.ledger.begin(), receivedAt: this.#now }, missing, found)
    }
    const untimed = snapshot.balances.map((found) => ({ ...found, exchangeTime: null, change: null }))
    this.ledger.readBalances(reading, untimed)
    this.ledger.readPositions(reading, snapshot.positions)
  }

  /** All is quiet, and a last reading is taken. */
  settle(): void {
    this.answer()
    this.connect()
    this.bring(Number.POSITIVE_INFINITY)
    this.ask()
    this.answer()
  }

  of<Tag extends AccountEvent["_tag"]>(tag: Tag): ReadonlyArray<Extract<AccountEvent, { readonly _tag: Tag }>> {
    return this.delivered.filter((event) => event._tag === tag) as never
  }
}

const play = (model: Model, script: ReadonlyArray<readonly [number, number]>): void => {
  for (const [step, detail] of script) {
    if (step < 50) model.happen(step, detail)
    else if (step < 75) model.bring(1 + (detail % 3))
    else if (step < 80) model.repeat(detail)
    else if (step < 84) model.drop()
    else if (step < 90) model.connect()
    else if (step < 95) model.ask()
    else model.answer()
  }
  model.settle()
}

const number = Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 99 })))
const script = Arbitrary.array(Arbitrary.schema(Schema.Tuple([number, number])), { minLength: 1, maxLength: 200 })

const last = <A>(events: ReadonlyArray<A>, key: (event: A) => string): ReadonlyMap<string, A> =>
  new Map(events.map((event) => [key(event), event]))

const checkNoSetback = (balances: ReadonlyArray<Balance>): void => {
  let newest = 0
  for (const { origin, total } of balances) {
    const version = total === null ? 0 : Decimal.toNumber(total)
    if (origin === "Reconciled" && version > 0) assert.isAtLeast(version, newest)
    newest = Math.max(newest, version)
  }
}

describe("the ledger", () => {
  it.prop("delivers every fill exactly once and in the exchange's order", [script], ([steps]) => {
    const model = new Model()
    play(model, steps)
    assert.sameOrderedMembers(
      model.of("Fill").map(({ tradeId }) => tradeId),
      model.fills.map(({ tradeId }) => tradeId)
    )
  })

  it.prop("brings every order to the exchange's state, and never back", [script], ([steps]) => {
    const model = new Model()
    play(model, steps)
    const updates = model.of("OrderUpdate")
    const states = last(updates, ({ orderId }) => orderId)
    for (const truth of model.orders.values()) {
      const known = states.get(truth.orderId)
      // One that had ended before anybody heard of it is no news.
      if (known === undefined) assert.isTrue(isFinal(truth.status))
      else {assert.deepStrictEqual([known.status, known.filledQuantity, known.price], [
          truth.status,
          truth.filledQuantity,
          truth.price
        ])}
    }
    for (const list of Object.values(Arr.groupBy(updates, ({ orderId }) => orderId))) {
      for (let i = 1; i < list.length; i++) assert.strictEqual(judgeOrder(list[i - 1]!, list[i]!), "newer")
    }
  })

  it.prop("ends with the exchange's balances and positions, and no reading sets them back", [script], ([steps]) => {
    const model = new Model()
    play(model, steps)
    // The total counts up here, as the update ids of positions do.
    for (const list of Object.values(Arr.groupBy(model.of("Balance"), ({ asset }) => asset))) checkNoSetback(list)
    const money = last(model.of("Balance"), ({ asset }) => asset)
    for (const truth of model.balances.values()) {
      const known = money.get(truth.asset)?.available ?? Decimal.zero
      assert.strictEqual(Decimal.toText(known), Decimal.toText(truth.available!))
    }
    const sizes = last(model.of("Position"), ({ symbol }) => symbol)
    for (const truth of model.positions.values()) {
      assert.strictEqual(Decimal.toText(sizes.get(truth.symbol)?.size ?? Decimal.zero), Decimal.toText(truth.size))
    }
    const state = [...model.ledger.state(0)]
    assert.lengthOf(
      state.filter(([channel]) => channel === "Orders"),
      [...model.orders.values()].filter(({ status }) => !isFinal(status)).length
    )
  })
})

describe("fills", () => {
  const texts = (fills: ReadonlyArray<Fill>) => inOrder(fills).map(({ tradeId }) => tradeId)

  it("are ordered by id within a symbol, however long the numbers are", () => {
    assert.deepStrictEqual(texts([fill("100", 5), fill("99", 5), fill("9", 9)]), ["9", "99", "100"])
    assert.deepStrictEqual(texts([fill("12X2", 5), fill("12X1", 5), fill("12", 5)]), ["12", "12X1", "12X2"])
  })

  it("are ordered by time where ids do not count, and between symbols", () => {
    assert.deepStrictEqual(texts([fill("aa", 3), fill("9", 1), fill("bb", 2)]), ["9", "bb", "aa"])
    const eth = { symbol: "ETHUSDT" }
    assert.deepStrictEqual(
      texts([fill("2", 5), fill("1", 4), fill("7", 1, eth), fill("8", 6, eth)]),
      ["7", "1", "2", "8"]
    )
    assert.deepStrictEqual(texts([]), [])
  })

  it("of one trade with oneself are two, and so are those of two symbols whose ids are the same", () => {
    const model = new Model()
    const { counts, ledger } = model
    const both = [fill(7, 1), fill(7, 1, { side: "sell", orderId: "2" }), fill(7, 1, { symbol: "ETHUSDT" })]
    for (const one of both) ledger.push(one)
    ledger.readFills(ledger.begin(), both)
    assert.deepStrictEqual(model.of("Fill").map(({ side, symbol }) => `${side} ${symbol}`), [
      "buy BTCUSDT",
      "sell BTCUSDT",
      "buy ETHUSDT"
    ])
    assert.strictEqual(counts.duplicates, 0)
  })

  it("that were missed before a reading began do not end the wait for those of a later break", () => {
    const model = new Model()
    model.drop()
    model.connect()
    const began = model.ledger.begin()
    model.ledger.hold()
    model.ledger.readFills(began, [fill(1, 1)])
    assert.isTrue(model.ledger.isHolding)
    assert.lengthOf(model.delivered, 0)
    model.ledger.push(fill(3, 3))
    model.ledger.readFills(model.ledger.begin(), [fill(2, 2), fill(1, 1)])
    assert.deepStrictEqual(model.of("Fill").map(({ tradeId }) => tradeId), ["1", "2", "3"])
  })

  it("are forgotten only before what is read again, and only when there are many", () => {
    const { counts, delivered, ledger } = new Model()
    for (let i = 0; i < 20_010; i++) ledger.push(fill(i, i))
    ledger.forget(5)
    ledger.push(fill(7, 7))
    assert.strictEqual(counts.duplicates, 1)
    assert.lengthOf(delivered, 20_010)
    assert.isFalse(ledger.knows(fill(4, 4)))
  })
})

describe("an order", () => {
  const partly = { status: "partiallyFilled", filledQuantity: one } as const
  const cases = [
    ["more is filled", {}, partly, "newer"],
    ["less is filled", partly, {}, "older"],
    ["it has ended", {}, { status: "canceled" }, "newer"],
    ["it had ended", { status: "canceled" }, {}, "older"],
    ["it ended with more", { status: "canceled" }, { ...partly, status: "partiallyCanceled" }, "newer"],
    ["it had ended, and more is said to be filled", { status: "canceled" }, partly, "older"],
    ["it ended as it was known to", { status: "filled" }, { status: "filled" }, "same"],
    ["nothing is new", partly, partly, "same"],
    ["its price was changed", {}, { price: one, updatedAt: 1 }, "newer"],
    ["its price was changed before", { updatedAt: 2 }, { price: one, updatedAt: 1 }, "older"],
    ["its price was changed at the same time", { updatedAt: 1 }, { price: one, updatedAt: 1 }, "newer"],
    ["its quantity was changed", {}, { quantity: Decimal.of("2") }, "newer"],
    ["its trigger was reached", { triggerPrice: one }, { triggerPrice: null }, "newer"]
  ] as const
  for (const [name, known, next, verdict] of cases) {
    it(`${name}: ${verdict}`, () => assert.strictEqual(judgeOrder(order("1", known), order("1", next)), verdict))
  }

  it("that is not listed any more and that nobody knows has ended", () => {
    const model = new Model()
    model.ledger.push(order("1"))
    model.ledger.push(order("2", partly))
    const reading = { ...model.ledger.begin(), receivedAt: 9 }
    for (const missing of model.ledger.readOpenOrders(reading, [], null)) model.ledger.readOrder(reading, missing, null)
    assert.deepStrictEqual(model.of("OrderUpdate").slice(2).map(({ status }) => status), [
      "canceled",
      "partiallyCanceled"
    ])
    assert.lengthOf([...model.ledger.state(0)], 0)
  })

  it("of a symbol that a reading does not cover is not missing from it", () => {
    const { ledger } = new Model()
    ledger.push(order("1"))
    const reading = { ...ledger.begin(), receivedAt: 9 }
    assert.lengthOf(ledger.readOpenOrders(reading, [], new Set(["ETHUSDT"])), 0)
    assert.lengthOf(ledger.readOpenOrders(reading, [], new Set(["BTCUSDT"])), 1)
  })

  it("keeps the client's id that a later push leaves out", () => {
    const model = new Model()
    model.ledger.push(order("1"))
    model.ledger.push(order("1", { ...partly, clientOrderId: null }))
    assert.deepStrictEqual(model.of("OrderUpdate").map(({ clientOrderId }) => clientOrderId), ["c1", "c1"])
  })
})

describe("a position", () => {
  const cases = [
    ["by its count", position("1", "9"), position("2", "10"), "newer"],
    ["by its count", position("1", "10"), position("2", "9"), "older"],
    ["by its count", position("1", "10"), position("2", "10"), "same"],
    ["by its time", position("1", null, { exchangeTime: 2 }), position("2", null, { exchangeTime: 1 }), "older"],
    ["by what it says", position("1", null), position("1", null), "same"],
    ["by what it says", position("1", null), position("2", null), "newer"]
  ] as const
  for (const [name, known, next, verdict] of cases) {
    it(`${name}: ${verdict}`, () => assert.strictEqual(judgePosition(known, next), verdict))
  }

  it("that is not listed any more is flat", () => {
    const model = new Model()
    model.ledger.push(position("3", "5"))
    model.ledger.readPositions({ ...model.ledger.begin(), receivedAt: 9 }, [])
    assert.deepStrictEqual(model.of("Position").map(({ origin, size }) => [origin, Decimal.toText(size)]), [
      ["Stream", "3"],
      ["Reconciled", "0"]
    ])
  })

  it("that a reading found flat does not come back with a push from before, and is closed once", () => {
    const model = new Model()
    const { counts, ledger } = model
    const sizes = () => model.of("Position").map(({ size }) => Decimal.toText(size))
    const closed = { entryPrice: null, margin: null } as const
    ledger.push(position("3", "7", { exchangeTime: 20 }))
    ledger.readPositions({ ...ledger.begin(), receivedAt: 9 }, [])
    ledger.push(position("2", "6", { exchangeTime: 10 }))
    assert.deepStrictEqual(sizes(), ["3", "0"])
    assert.strictEqual(counts.stale, 1)
    // The push of what the reading has told.
    ledger.push(position("0", "8", { exchangeTime: 30, ...closed }))
    assert.deepStrictEqual(sizes(), ["3", "0"])
    ledger.push(position("1", "7", { exchangeTime: 25 }))
    assert.deepStrictEqual(sizes(), ["3", "0"])
    ledger.push(position("1", "9", { exchangeTime: 40 }))
    assert.deepStrictEqual(sizes(), ["3", "0", "1"])
  })

  it("that one reading leaves out and the next one lists is there again", () => {
    const model = new Model()
    const { ledger } = model
    const held = position("3", "7", { exchangeTime: 20 })
    ledger.push(held)
    ledger.readPositions({ ...ledger.begin(), receivedAt: 9 }, [])
    ledger.readPositions({ ...ledger.begin(), receivedAt: 10 }, [held])
    ledger.readPositions({ ...ledger.begin(), receivedAt: 11 }, [held])
    assert.deepStrictEqual(model.of("Position").map(({ size }) => Decimal.toText(size)), ["3", "0", "3"])
    // Its next push is news.
    ledger.push(position("4", "8", { exchangeTime: 30 }))
    assert.lengthOf(model.of("Position"), 4)
  })

  it("that a reading found flat does not come back by time where nothing counts", () => {
    const model = new Model()
    model.ledger.push(position("3", null, { exchangeTime: 20 }))
    model.ledger.readPositions({ ...model.ledger.begin(), receivedAt: 9 }, [])
    model.ledger.push(position("2", null, { exchangeTime: 10 }))
    assert.deepStrictEqual(model.of("Position").map(({ size }) => Decimal.toText(size)), ["3", "0"])
  })
})

describe("a balance", () => {
  it("that is not listed any more is nothing, unless a push has overtaken the reading", () => {
    const model = new Model()
    model.ledger.push(balance("USDT", "5"))
    const late = { ...model.ledger.begin(), receivedAt: 9 }
    model.ledger.push(balance("BTC", "1"))
    assert.isFalse(model.ledger.readBalances(late, []))
    assert.deepStrictEqual(
      model.of("Balance").map(({ asset, available }) => `${asset} ${Decimal.toText(available!)}`),
      ["USDT 5", "BTC 1", "USDT 0"]
    )
  })

  it("does not go back in time", () => {
    const { counts, delivered, ledger } = new Model()
    ledger.push(balance("USDT", "7", { exchangeTime: 5 }))
    ledger.push(balance("USDT", "9", { exchangeTime: 4 }))
    assert.strictEqual(counts.stale, 1)
    assert.lengthOf(delivered, 1)
    ledger.push(balance("USDT", "8", { exchangeTime: 5 }))
    assert.lengthOf(delivered, 2)
  })

  it("that comes again over another connection within its millisecond does not go back in time", () => {
    const { counts, delivered, ledger } = new Model()
    const told = (available: string) => balance("USDT", available, { exchangeTime: 5 })
    // Placed, cancelled and placed again, then over a connection that lags and has come in between.
    for (const available of ["9", "10", "9", "10", "8"]) ledger.push(told(available), 0)
    assert.lengthOf(delivered, 5)
    for (const available of ["10", "9", "10", "8"]) ledger.push(told(available), 1)
    assert.lengthOf(delivered, 5)
    assert.strictEqual(counts.duplicates, 4)
    ledger.push(told("7"), 1)
    ledger.push(told("7"), 0)
    assert.lengthOf(delivered, 6)
    ledger.push(balance("USDT", "9", { exchangeTime: 6 }), 1)
    ledger.push(told("7"), 0)
    assert.lengthOf(delivered, 7)
    assert.strictEqual(counts.stale, 1)
  })

  it("whose push says only a part is read again when the push overtook the reading", () => {
    const model = new Model()
    const began = model.ledger.begin()
    model.ledger.push(balance("USDT", "0", { available: null, locked: null, total: Decimal.of("7") }))
    const whole = balance("USDT", "4", { locked: Decimal.of("3"), total: Decimal.of("7") })
    assert.isTrue(model.ledger.readBalances({ ...began, receivedAt: 9 }, [whole]))
    assert.lengthOf(model.delivered, 1)
    assert.isFalse(model.ledger.readBalances({ ...model.ledger.begin(), receivedAt: 9 }, [whole]))
    assert.deepStrictEqual(model.of("Balance").map(({ available }) => available), [null, Decimal.of("4")])
    assert.isFalse(model.ledger.readBalances({ ...model.ledger.begin(), receivedAt: 9 }, [whole]))
    assert.lengthOf(model.delivered, 2)
  })
})

describe("notices", () => {
  it("that say the same of the same time come once", () => {
    const model = new Model()
    const close = {
      _tag: "PositionClose",
      pair: null,
      symbol: "X",
      side: "long",
      pnl: one,
      cause: null,
      exchangeTime: 1,
      receivedAt: 0,
      origin: "Stream"
    } as const
    const deleverage = {
      _tag: "AutoDeleverage",
      pair: null,
      symbol: "X",
      quantity: one,
      positionSize: one,
      entryPrice: null,
      price: one,
      exchangeTime: 1,
      receivedAt: 0,
      origin: "Stream"
    } as const
    for (const event of [close, close, { ...close, pnl: Decimal.zero }, deleverage, deleverage]) {
      model.ledger.push(event)
    }
    assert.lengthOf(model.delivered, 3)
    assert.strictEqual(model.counts.duplicates, 2)
  })
})
