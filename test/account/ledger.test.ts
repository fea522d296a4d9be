/** The ledger by hand: which channel is told what, what counts as what, and which of two that meet is believed. */
import { assert, describe, it } from "@effect/vitest"
import { Moment } from "../../src/account/BalanceMoment.ts"
import { inOrder } from "../../src/account/FillOrder.ts"
import { Ledger } from "../../src/account/Ledger.ts"
import { hasAll, isEmpty, isReleveraged, judgeOrder, judgePosition } from "../../src/account/Succession.ts"
import type { AccountEvent, AutoDeleverage, LeverageChange, PositionClose } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { PrivateTag } from "../../src/domain/PrivateChannel.ts"
import { balance, fill, order, position } from "./Bank.ts"

type Told = readonly [channel: PrivateTag, event: AccountEvent]

const begin = () => {
  const told: Array<Told> = []
  const counts = { duplicates: 0, stale: 0, recovered: 0 }
  const ledger = new Ledger((channel, event) => told.push([channel, event]), counts)
  const read = (receivedAt = 9) => ({ ...ledger.begin(), receivedAt })
  const events = () => told.splice(0).map(([, event]) => event)
  return { counts, ledger, told, read, events }
}

const text = (value: Decimal.Decimal | null): string | null => value === null ? null : Decimal.toText(value)
const of = Decimal.of
const none = { duplicates: 0, stale: 0, recovered: 0 }

const leverage = (fields: Partial<LeverageChange> = {}): LeverageChange => ({
  _tag: "LeverageChange",
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  leverage: of("5"),
  marginMode: "isolated",
  exchangeTime: 1,
  receivedAt: 0,
  origin: "Stream",
  ...fields
})

const deleverage = (fields: Partial<AutoDeleverage> = {}): AutoDeleverage => ({
  _tag: "AutoDeleverage",
  pair: null,
  symbol: "X",
  quantity: of("1"),
  positionSize: of("2"),
  entryPrice: null,
  price: of("3"),
  exchangeTime: 1,
  receivedAt: 0,
  origin: "Stream",
  ...fields
})

const close = (fields: Partial<PositionClose> = {}): PositionClose => ({
  _tag: "PositionClose",
  pair: null,
  symbol: "X",
  side: "long",
  pnl: of("1"),
  cause: null,
  exchangeTime: 1,
  receivedAt: 0,
  origin: "Stream",
  ...fields
})

describe("each channel", () => {
  it("is told its own events, pushed or read", () => {
    const { counts, ledger, read, told } = begin()
    ledger.push(order("1"))
    ledger.push(fill(1, 1))
    ledger.push(balance("USDT", "1"))
    ledger.push(position("1", "1"))
    ledger.push(leverage())
    assert.deepStrictEqual(told.splice(0).map(([channel]) => channel), [
      "Orders",
      "Fills",
      "Balances",
      "Positions",
      "Positions"
    ])
    ledger.readOpenOrders(read(), [order("1"), order("2")], null)
    ledger.readFills(read(), [fill(2, 2)])
    ledger.readBalances(read(), [balance("USDT", "1"), balance("BTC", "1")])
    ledger.readPositions(read(), [position("2", "2")])
    assert.deepStrictEqual(
      told.map(([channel, { origin, receivedAt }]) => [channel, origin, receivedAt]),
      [
        ["Orders", "Reconciled", 9],
        // The reconciler marks those that it has read.
        ["Fills", "Stream", 0],
        ["Balances", "Reconciled", 9],
        ["Positions", "Reconciled", 9]
      ]
    )
    assert.deepStrictEqual(counts, { ...none, recovered: 4 })
  })

  it("that begins later is told the state of now: what is open, what there is, and no more", () => {
    const { ledger } = begin()
    ledger.push(order("1"))
    ledger.push(order("2", { status: "filled" }))
    ledger.push(balance("USDT", "1"))
    ledger.push(balance("BTC", "0", { total: Decimal.zero }))
    ledger.push(position("1", "1"))
    ledger.push(position("0", "1", { symbol: "ETHUSDT" }))
    ledger.push(position("-2", "1", { side: "short" }))
    assert.deepStrictEqual([...ledger.state(7)], [
      ["Balances", { ...balance("USDT", "1"), receivedAt: 7, origin: "Reconciled" }],
      ["Positions", { ...position("1", "1"), receivedAt: 7, origin: "Reconciled" }],
      ["Positions", { ...position("-2", "1", { side: "short" }), receivedAt: 7, origin: "Reconciled" }],
      ["Orders", { ...order("1"), receivedAt: 7, origin: "Reconciled" }]
    ])
  })
})

describe("what comes again", () => {
  it("over the stream is counted by whether it is the same or older; a reading repeats as a matter of course", () => {
    const { counts, events, ledger, read } = begin()
    ledger.push(order("1", { filledQuantity: of("0.5"), status: "partiallyFilled" }))
    ledger.push(order("1", { filledQuantity: of("0.5"), status: "partiallyFilled" }))
    assert.deepStrictEqual(counts, { ...none, duplicates: 1 })
    ledger.push(order("1"))
    assert.deepStrictEqual(counts, { ...none, duplicates: 1, stale: 1 })
    ledger.push(position("1", "5"))
    ledger.push(position("1", "5"))
    ledger.push(position("1", "4"))
    assert.deepStrictEqual(counts, { ...none, duplicates: 2, stale: 2 })
    events()
    ledger.readOpenOrders(read(), [order("1")], null)
    ledger.readPositions(read(), [position("1", "5")])
    assert.deepStrictEqual(events(), [])
    assert.deepStrictEqual(counts, { ...none, duplicates: 2, stale: 2 })
  })

  it("of a fill that a reading has brought first is no repetition, the next one is", () => {
    const { counts, ledger, read } = begin()
    ledger.readFills(read(), [fill(1, 1), fill(1, 1)])
    assert.isTrue(ledger.awaits(fill(1, 1)))
    ledger.push(fill(1, 1))
    assert.isFalse(ledger.awaits(fill(1, 1)))
    assert.deepStrictEqual(counts, { ...none, recovered: 1 })
    ledger.push(fill(1, 1))
    assert.deepStrictEqual(counts, { ...none, recovered: 1, duplicates: 1 })
    // One that the stream has brought was never awaited.
    ledger.push(fill(2, 2))
    ledger.readFills(read(), [fill(2, 2)])
    assert.isFalse(ledger.awaits(fill(2, 2)))
    assert.strictEqual(counts.recovered, 1)
  })

  it("of a notice is told by everything that it says", () => {
    const { counts, events, ledger } = begin()
    const different: ReadonlyArray<AccountEvent> = [
      deleverage(),
      deleverage({ quantity: of("2") }),
      deleverage({ positionSize: of("3") }),
      deleverage({ price: of("4") }),
      deleverage({ exchangeTime: 2 }),
      deleverage({ symbol: "Y" }),
      // 1 2 and 12 are not the same.
      deleverage({ quantity: of("11"), positionSize: of("2") }),
      deleverage({ quantity: of("1"), positionSize: of("12") }),
      close(),
      close({ pnl: of("2") }),
      close({ side: "short" }),
      close({ exchangeTime: 2 }),
      close({ symbol: "Y" }),
      leverage(),
      leverage({ leverage: null }),
      leverage({ leverage: of("6") }),
      leverage({ marginMode: "cross" }),
      leverage({ exchangeTime: 2 }),
      leverage({ symbol: "Y" })
    ]
    for (const event of different) ledger.push(event)
    assert.deepStrictEqual(events(), different)
    for (const event of different) ledger.push({ ...event, receivedAt: 5 })
    assert.deepStrictEqual(events(), [])
    assert.strictEqual(counts.duplicates, different.length)
  })

  it("after twice as many others is not remembered, and of a thousand notices and five thousand orders none is forgotten", () => {
    const { counts, events, ledger } = begin()
    for (let i = 0; i < 2_000; i++) ledger.push(close({ exchangeTime: i }))
    for (let i = 0; i < 10_000; i++) ledger.push(order(`o${i}`, { status: "filled" }))
    events()
    ledger.push(close({ exchangeTime: 1_000 }))
    ledger.push(order("o5000", { status: "filled" }))
    assert.deepStrictEqual([events(), counts.duplicates], [[], 2])
    ledger.push(close({ exchangeTime: 0 }))
    ledger.push(order("o0", { status: "filled" }))
    assert.lengthOf(events(), 2)
  })

  it("of a fill is remembered as long as it is read again, and beyond a thousand no longer", () => {
    const { ledger } = begin()
    for (let i = 0; i < 1_002; i++) ledger.push(fill(i, i))
    ledger.forget(1)
    assert.deepStrictEqual([0, 1, 2].map((i) => ledger.knows(fill(i, i))), [false, true, true])
    // One more than is remembered, and only one goes.
    ledger.forget(10)
    assert.deepStrictEqual([1, 2, 3].map((i) => ledger.knows(fill(i, i))), [false, true, true])
    ledger.forget(10)
    assert.isTrue(ledger.knows(fill(2, 2)))
  })

  it("of what readings alone have brought is awaited for the last five thousand, and no more than twice as many", () => {
    const { ledger, read } = begin()
    ledger.readFills(read(), Array.from({ length: 10_000 }, (_, i) => fill(i, i)))
    assert.deepStrictEqual([0, 5_000].map((i) => ledger.awaits(fill(i, i))), [false, true])
  })
})

describe("behind a break", () => {
  it("what is pushed waits; what a reading of before brings waits with it", () => {
    const { counts, events, ledger, read } = begin()
    const before = read()
    ledger.hold()
    assert.isTrue(ledger.isHolding)
    ledger.push(fill(3, 3))
    ledger.readFills(before, [fill(1, 1)])
    assert.deepStrictEqual([events(), ledger.isHolding, counts.recovered], [[], true, 1])
    const later = read()
    // It breaks once more, and the reading of before that cannot close it either.
    ledger.hold()
    ledger.readFills(later, [])
    assert.deepStrictEqual([events(), ledger.isHolding], [[], true])
    ledger.readFills(read(), [fill(2, 2)])
    assert.deepStrictEqual(events().map((event) => event._tag === "Fill" && event.tradeId), ["1", "2", "3"])
    assert.isFalse(ledger.isHolding)
  })

  it("what waits goes out when the wait ends, once", () => {
    const { events, ledger } = begin()
    ledger.release()
    ledger.hold()
    ledger.push(fill(2, 2))
    ledger.push(fill(1, 1))
    ledger.release()
    assert.deepStrictEqual(events().map((event) => event._tag === "Fill" && event.tradeId), ["1", "2"])
    assert.isFalse(ledger.isHolding)
    ledger.release()
    assert.deepStrictEqual(events(), [])
  })
})

describe("an order that a reading tells", () => {
  const amended = order("1", { price: of("101") })

  it("yields to what was pushed while the reading was under way, if as much is filled", () => {
    const { events, ledger, read } = begin()
    ledger.push(order("1"))
    const reading = read()
    ledger.push(amended)
    events()
    ledger.readOpenOrders(reading, [order("1")], null)
    assert.deepStrictEqual(events(), [])
    // It ended, or more is filled: that is younger than the push, whenever it was read.
    ledger.readOpenOrders(reading, [order("1", { status: "partiallyFilled", filledQuantity: of("0.5") })], null)
    assert.lengthOf(events(), 1)
    ledger.push(order("1", { status: "partiallyFilled", filledQuantity: of("0.5"), price: of("102") }))
    events()
    const ended = order("1", { status: "partiallyCanceled", filledQuantity: of("0.5"), price: of("102") })
    ledger.readOrder(reading, order("1"), ended)
    assert.deepStrictEqual(events(), [{ ...ended, receivedAt: 9, origin: "Reconciled" }])
  })

  it("is believed when nothing was pushed since it began", () => {
    const { counts, events, ledger, read } = begin()
    ledger.push(order("1"))
    ledger.push(order("2"))
    events()
    ledger.readOpenOrders(read(), [amended, order("2")], null)
    assert.deepStrictEqual(events(), [{ ...amended, receivedAt: 9, origin: "Reconciled" }])
    assert.strictEqual(counts.recovered, 1)
  })

  it("and that no push has ever told is judged by every later reading, whenever that began", () => {
    const { events, ledger, read } = begin()
    const reading = read()
    ledger.push(order("2"))
    ledger.readOpenOrders(reading, [order("1")], null)
    ledger.readOpenOrders(reading, [amended], null)
    assert.deepStrictEqual(
      events().flatMap((event) => event._tag === "OrderUpdate" ? [text(event.price)] : []),
      ["100", "100", "101"]
    )
  })

  it("is not missing from a reading that began before it was pushed", () => {
    const { ledger, read } = begin()
    const reading = read()
    ledger.push(order("1"))
    assert.deepStrictEqual(ledger.readOpenOrders(reading, [], null), [])
    assert.deepStrictEqual(ledger.readOpenOrders(read(), [], null).map(({ orderId }) => orderId), ["1"])
    assert.deepStrictEqual(ledger.readOpenOrders(read(), [order("1")], null), [])
    assert.deepStrictEqual(ledger.readOpenOrders(read(), [order("1", { symbol: "ETHUSDT" })], null), [
      order("1")
    ])
  })

  it("that has ended is no longer open, and does not open again", () => {
    const { events, ledger, read } = begin()
    ledger.push(order("1"))
    ledger.push(order("1", { status: "canceled" }))
    events()
    ledger.push(order("1"))
    assert.deepStrictEqual(events(), [])
    assert.deepStrictEqual(ledger.readOpenOrders(read(), [], null), [])
  })

  it("keeps its place when a push leaves the client's id out, and takes a new one", () => {
    const { events, ledger } = begin()
    ledger.push(order("1", { clientOrderId: null }))
    ledger.push(order("1", { clientOrderId: "mine", price: of("101") }))
    ledger.push(order("1", { clientOrderId: null, price: of("102") }))
    assert.deepStrictEqual(
      events().map((event) => event._tag === "OrderUpdate" && event.clientOrderId),
      [null, "mine", "mine"]
    )
  })

  it("is judged by its time only where both have one", () => {
    const at = (updatedAt: number | null, price: string) => order("1", { updatedAt, price: of(price) })
    assert.strictEqual(judgeOrder(at(5, "1"), at(null, "2")), "newer")
    assert.strictEqual(judgeOrder(at(null, "1"), at(-5, "2")), "newer")
    assert.strictEqual(judgeOrder(at(5, "1"), at(4, "2")), "older")
    assert.strictEqual(judgeOrder(at(5, "1"), at(5, "2")), "newer")
  })

  it("that ended with as much as was known, in another word, is not told again", () => {
    assert.strictEqual(judgeOrder(order("1", { status: "canceled" }), order("1", { status: "rejected" })), "older")
    assert.strictEqual(judgeOrder(order("1", { status: "canceled" }), order("1", { status: "canceled" })), "same")
  })

  it("whose price is told where none was is changed", () => {
    assert.strictEqual(judgeOrder(order("1", { price: null }), order("1")), "newer")
    assert.strictEqual(judgeOrder(order("1"), order("1", { price: null })), "newer")
    assert.strictEqual(judgeOrder(order("1", { price: null }), order("1", { price: null })), "same")
  })
})

describe("a balance", () => {
  it("that a reading tells yields to a push since, which is read again where the push leaves something out", () => {
    const { events, ledger, read } = begin()
    const reading = read()
    ledger.push(balance("USDT", "5"))
    ledger.push(balance("BTC", "5", { locked: null }))
    ledger.push(balance("ETH", "5", { available: null }))
    events()
    assert.isFalse(ledger.readBalances(reading, [balance("USDT", "4")]))
    assert.isTrue(ledger.readBalances(reading, [balance("BTC", "4")]))
    assert.isTrue(ledger.readBalances(reading, [balance("ETH", "4")]))
    assert.deepStrictEqual(events(), [])
  })

  it("of nothing that nobody knew is no news; of something it is", () => {
    const { counts, events, ledger, read } = begin()
    assert.isFalse(ledger.readBalances(read(), [balance("USDT", "0"), balance("BTC", "1")]))
    assert.deepStrictEqual(events().map((event) => event._tag === "Balance" && event.asset), ["BTC"])
    assert.strictEqual(counts.recovered, 1)
    // It was taken down all the same: what is found later is a change.
    ledger.readBalances(read(), [balance("USDT", "2"), balance("BTC", "1")])
    assert.deepStrictEqual(events().map((event) => event._tag === "Balance" && event.asset), ["USDT"])
    assert.strictEqual(counts.recovered, 2)
  })

  it("that is gone is told once, and was not there before the reading began", () => {
    const { events, ledger, read } = begin()
    ledger.push(balance("USDT", "5", { locked: of("1"), total: of("6"), change: of("2"), cause: "x", exchangeTime: 3 }))
    events()
    ledger.readBalances(read(), [])
    assert.deepStrictEqual(events(), [{
      ...balance("USDT", "0", { available: Decimal.zero, total: Decimal.zero }),
      receivedAt: 9,
      origin: "Reconciled"
    }])
    ledger.readBalances(read(), [])
    assert.deepStrictEqual(events(), [])
    // The time of the last push stands: what is older is still old.
    ledger.push(balance("USDT", "4", { exchangeTime: 2 }))
    assert.deepStrictEqual(events(), [])
    const late = read()
    ledger.push(balance("USDT", "7", { exchangeTime: 4 }))
    events()
    ledger.readBalances(late, [])
    assert.deepStrictEqual(events(), [])
  })

  it("that a reading tells with a time of its own is as old as that", () => {
    const { counts, events, ledger, read } = begin()
    ledger.push(balance("USDT", "5", { exchangeTime: 3 }))
    ledger.readBalances(read(), [balance("USDT", "6", { exchangeTime: 8 })])
    events()
    ledger.push(balance("USDT", "5.5", { exchangeTime: 7 }))
    assert.deepStrictEqual([events(), counts.stale], [[], 1])
    ledger.push(balance("USDT", "7", { exchangeTime: 8 }))
    assert.lengthOf(events(), 1)
  })

  it("without a time is never old", () => {
    const { counts, events, ledger } = begin()
    ledger.push(balance("USDT", "5", { exchangeTime: 3 }))
    ledger.push(balance("USDT", "6"))
    ledger.push(balance("USDT", "7", { exchangeTime: -1 }))
    assert.lengthOf(events(), 3)
    ledger.push(balance("USDT", "8"))
    ledger.push(balance("USDT", "9"))
    ledger.push(balance("USDT", "8"))
    assert.lengthOf(events(), 3)
    assert.deepStrictEqual(counts, none)
  })

  it("that says the same in another moment, for another cause or of another change, is another", () => {
    const { counts, events, ledger } = begin()
    const told = [
      balance("USDT", "5", { exchangeTime: 3 }),
      balance("USDT", "5", { exchangeTime: 4 }),
      balance("USDT", "5", { exchangeTime: 4, cause: "fee" }),
      balance("USDT", "5", { exchangeTime: 4, cause: "fee", change: of("1") }),
      balance("USDT", "5", { exchangeTime: 4, cause: "fee", change: of("1"), locked: of("1") }),
      balance("USDT", "5", { exchangeTime: 4, cause: "fee", change: of("1"), locked: of("1"), total: of("6") })
    ]
    for (const event of told) ledger.push(event)
    assert.deepStrictEqual(events(), told)
    ledger.push(told.at(-1)!)
    assert.deepStrictEqual([events(), counts.duplicates], [[], 1])
  })

  it("that is known, wholly or in part", () => {
    assert.isTrue(hasAll(balance("USDT", "1")))
    assert.isFalse(hasAll(balance("USDT", "1", { locked: null })))
    assert.isFalse(hasAll(balance("USDT", "1", { available: null })))
  })

  it("is nothing only where none of it is something", () => {
    const nothing = balance("USDT", "0", { total: null })
    assert.isTrue(isEmpty(nothing))
    assert.isTrue(isEmpty({ ...nothing, available: null, locked: null }))
    for (const part of ["available", "locked", "total"]) assert.isFalse(isEmpty({ ...nothing, [part]: of("1") }))
  })

  it("of one moment is looked for behind what its connection has brought", () => {
    const moment = new Moment(5)
    const [one, two, three] = ["1", "2", "3"].map((available) => balance("USDT", available, { exchangeTime: 5 })) as [
      ReturnType<typeof balance>,
      ReturnType<typeof balance>,
      ReturnType<typeof balance>
    ]
    assert.isFalse(moment.repeats(one, 0))
    moment.tell(one, 0)
    moment.tell(two, 0)
    moment.tell(one, 0)
    // The first connection says it for the third time: news.
    assert.isFalse(moment.repeats(one, 0))
    assert.isTrue(moment.repeats(one, 1))
    assert.isTrue(moment.repeats(two, 1))
    assert.isFalse(moment.repeats(two, 1))
    assert.isTrue(moment.repeats(one, 1))
    assert.isFalse(moment.repeats(one, 1))
    assert.isTrue(moment.repeats(two, 2))
    assert.isFalse(moment.repeats(two, 2))
    assert.isFalse(moment.repeats(three, 2))
    // The first of them is passed like any other.
    assert.isTrue(moment.repeats(one, 3))
    assert.isTrue(moment.repeats(one, 3))
    assert.isFalse(moment.repeats(one, 3))
    assert.isTrue(moment.repeats(one, 2))
  })
})

describe("a position", () => {
  it("whose leverage or margin mode changes tells that too, once it was known", () => {
    const { events, ledger } = begin()
    ledger.push(position("1", "1", { leverage: of("5") }))
    ledger.push(position("1", "2", { leverage: of("6"), exchangeTime: 4 }))
    ledger.push(position("1", "3", { leverage: of("6"), marginMode: "cross", exchangeTime: 5 }))
    ledger.push(position("2", "4", { leverage: null, marginMode: "cross" }))
    const told = events()
    assert.deepStrictEqual(told.map(({ _tag }) => _tag), [
      "Position",
      "Position",
      "LeverageChange",
      "Position",
      "LeverageChange",
      "Position"
    ])
    assert.deepStrictEqual(told[2], leverage({ leverage: of("6"), exchangeTime: 4 }))
    assert.deepStrictEqual(told[4], leverage({ leverage: of("6"), marginMode: "cross", exchangeTime: 5 }))
  })

  it("is releveraged by either, and not by what is not said", () => {
    assert.isFalse(isReleveraged(position("1", "1"), position("2", "2")))
    assert.isFalse(isReleveraged(position("1", "1"), position("1", "1", { leverage: null })))
    assert.isTrue(isReleveraged(position("1", "1"), position("1", "1", { leverage: of("6") })))
    assert.isTrue(isReleveraged(position("1", "1"), position("1", "1", { marginMode: "cross" })))
  })

  it("of another side or symbol is another", () => {
    const { events, ledger } = begin()
    ledger.push(position("1", "5", { side: "long" }))
    ledger.push(position("-1", "4", { side: "short" }))
    ledger.push(position("1", "3", { symbol: "ETHUSDT" }))
    assert.lengthOf(events(), 3)
  })

  it("that a reading tells yields to a push since, unless both are counted", () => {
    const { counts, events, ledger, read } = begin()
    const reading = read()
    ledger.push(position("1", null))
    ledger.push(position("1", "5", { symbol: "ETHUSDT" }))
    events()
    ledger.readPositions(reading, [position("2", null), position("2", null, { symbol: "ETHUSDT" })])
    ledger.readPositions(reading, [position("2", "7")])
    assert.deepStrictEqual(events(), [])
    // Both counted: the higher count is right, whoever tells it and whenever it began.
    ledger.readPositions(reading, [position("2", "6", { symbol: "ETHUSDT" })])
    assert.deepStrictEqual(events().map((event) => event._tag === "Position" && event.updateId), ["6"])
    assert.strictEqual(counts.recovered, 1)
    ledger.readPositions(reading, [position("2", "6", { symbol: "ETHUSDT" })])
    assert.deepStrictEqual([events(), counts.recovered], [[], 1])
  })

  it("of nothing that nobody knew is no news, and is known from then on", () => {
    const { counts, events, ledger, read } = begin()
    ledger.readPositions(read(), [position("0", "7")])
    assert.deepStrictEqual([events(), counts.recovered], [[], 0])
    ledger.push(position("1", "6"))
    assert.deepStrictEqual([events(), counts.stale], [[], 1])
    ledger.push(position("1", "8"))
    assert.lengthOf(events(), 1)
  })

  it("that is gone is flat once, and not for a reading that began before it was pushed", () => {
    const { events, ledger, read } = begin()
    const before = read()
    ledger.push(position("3", "5", { margin: of("1"), unrealisedPnl: of("1"), realisedPnl: of("2") }))
    events()
    ledger.readPositions(before, [])
    assert.deepStrictEqual(events(), [])
    ledger.readPositions(read(), [])
    assert.deepStrictEqual(events(), [{
      ...position("0", null, { size: Decimal.zero, entryPrice: null, realisedPnl: of("2") }),
      receivedAt: 9,
      origin: "Reconciled"
    }])
    ledger.readPositions(read(), [])
    assert.deepStrictEqual(events(), [])
    // A reading that lags further still does not bring back what was before.
    ledger.readPositions(read(), [position("2", "4")])
    assert.deepStrictEqual(events(), [])
  })

  it("that readings alone have told is judged by every later one, whenever that began", () => {
    const { events, ledger, read } = begin()
    const reading = read()
    ledger.push(order("1"))
    ledger.readPositions(reading, [position("1", null)])
    ledger.readPositions(reading, [position("2", null)])
    assert.deepStrictEqual(events().map(({ _tag }) => _tag), ["OrderUpdate", "Position", "Position"])
  })

  const cases = [
    ["margin mode", position("1", null), position("1", null, { marginMode: "cross" }), "newer"],
    ["leverage", position("1", null), position("1", null, { leverage: of("9") }), "newer"],
    ["entry price", position("1", null), position("1", null, { entryPrice: of("9") }), "newer"],
    ["margin", position("1", null, { margin: of("1") }), position("1", null, { margin: of("2") }), "newer"],
    ["margin that is not said", position("1", null, { margin: of("1") }), position("1", null), "same"],
    ["a count on one side only", position("1", "5"), position("2", null), "newer"],
    ["a count on the other side only", position("1", null), position("2", "5"), "newer"],
    ["a time on one side only", position("1", null, { exchangeTime: 5 }), position("2", null), "newer"],
    [
      "a time on the other side only",
      position("1", null),
      position("2", null, { exchangeTime: -5 }),
      "newer"
    ],
    [
      "one time",
      position("1", null, { exchangeTime: 5 }),
      position("2", null, { exchangeTime: 5 }),
      "newer"
    ],
    [
      "a later time",
      position("1", null, { exchangeTime: 5 }),
      position("2", null, { exchangeTime: 6 }),
      "newer"
    ]
  ] as const
  for (const [name, known, next, verdict] of cases) {
    it(`is judged by ${name}: ${verdict}`, () => assert.strictEqual(judgePosition(known, next), verdict))
  }
})

describe("fills in order", () => {
  const ids = (fills: Parameters<typeof inOrder>[0]) => inOrder(fills).map(({ tradeId }) => tradeId)

  it("of ids that only hold a number somewhere are ordered by time", () => {
    assert.deepStrictEqual(ids([fill("a2", 1), fill("a1", 2)]), ["a2", "a1"])
    assert.deepStrictEqual(ids([fill("2\n", 1), fill("x", 2)]), ["2\n", "x"])
  })

  it("of equal numbers are ordered by what follows, of any length", () => {
    assert.deepStrictEqual(ids([fill("7Xbb", 1), fill("7Xba", 1), fill("7", 1)]), ["7", "7Xba", "7Xbb"])
  })

  it("of one moment on two symbols keep the order of the symbols' lists", () => {
    const eth = { symbol: "ETHUSDT" }
    assert.deepStrictEqual(ids([fill("1", 5), fill("9", 5, eth), fill("2", 5)]), ["1", "2", "9"])
  })

  it("without a time count from when they came", () => {
    assert.deepStrictEqual(
      ids([fill("b", null, { receivedAt: 4 }), fill("a", 3), fill("c", 5)]),
      ["a", "b", "c"]
    )
  })
})
