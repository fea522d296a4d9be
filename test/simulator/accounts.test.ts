import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, BigDecimal, Schema } from "effect"
import type { WorldPlace } from "../../src/AccountWorld.ts"
import { isRefusal } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { balanceOf, make, order, pair, placed } from "./AccountHarness.ts"

describe("orders of a spot account", () => {
  it("an order that crosses takes the levels from the best on, at their prices", () => {
    const { book, one, prints } = make()
    const { averagePrice, fee, feeAsset, filled, finish } = placed(
      one.place(order({ price: "100.2", quantity: "1.5" }))
    )
    assert.deepStrictEqual([filled, finish, fee, feeAsset], ["1.5", "filled", "0.003", "BTC"])
    assert.strictEqual(averagePrice, "100.133333333333")
    assert.deepStrictEqual(prints, ["buy 100 @ 1001", "buy 50 @ 1002"])
    assert.strictEqual(book.asks.quantityAt(-1002), 50)
    // Reserved at 100.2, paid 100.1 + 50.1: the difference is free again.
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9849.8", "0"])
    assert.deepStrictEqual(balanceOf(one, "BTC"), ["11.497", "0"])
  })

  it("the rest of a limit order comes to rest, and what it needs is locked", () => {
    const { one } = make()
    const { finish, left } = placed(one.place(order({ price: "100.1", quantity: "3" })))
    assert.deepStrictEqual([left, finish], ["2", null])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9699.7", "200.2"])
  })

  it("post-only refuses to take, and is told as an order that ended", () => {
    const { events, one } = make()
    assert.strictEqual(placed(one.place(order({ price: "100.1", timeInForce: "postOnly" }))).finish, "postOnly")
    assert.strictEqual(placed(one.place(order({ price: "100", timeInForce: "postOnly" }))).finish, null)
    assert.deepStrictEqual(events.filter(({ _tag }) => _tag === "Fill"), [])
  })

  it("fill-or-kill fills whole or not at all; immediate-or-cancel fills what is there", () => {
    const { one } = make()
    assert.deepStrictEqual(
      [
        order({ price: "100.2", quantity: "2.01", timeInForce: "fok" }),
        order({ price: "100.2", quantity: "2.01", timeInForce: "ioc" })
      ]
        .map((request) => placed(one.place(request))).map(({ filled, finish }) => [filled, finish]),
      [["0", "fok"], ["2", "ioc"]]
    )
    assert.deepStrictEqual(balanceOf(one, "USDT")[1], "0")
  })

  it("a market buy by amount spends no more than that, to the smallest quantity", () => {
    const { one } = make()
    const { filled, filledQuote, finish } = placed(
      one.place(order({ type: "market", price: null, quantity: null, quoteQuantity: "150", timeInForce: "ioc" }))
    )
    assert.deepStrictEqual([filled, filledQuote, finish], ["1.49", "149.198", "filled"])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9850.802", "0"])
  })

  it("others who were first at a price are served first; a cancelled place is lost", () => {
    const { accounts, book, one } = make()
    const { id } = placed(one.place(order({ price: "99.9", quantity: "0.5" })))
    accounts.onTrade(pair, "sell", 999, 80, 2_000)
    assert.strictEqual(one.order({ id })!.filled, "0")
    // 20 of the others are left ahead: 30 reach us.
    accounts.onTrade(pair, "sell", 999, 50, 2_000)
    assert.strictEqual(one.order({ id })!.filled, "0.3")
    book.set(999, 0, 2_000)
    book.set(-1001, 0, 2_000)
    book.set(-999, 10, 2_000)
    accounts.settle(pair, 2_000)
    assert.deepStrictEqual([one.order({ id })!.filled, book.asks.quantityAt(-999)], ["0.4", 0])
  })

  it("two accounts trade with each other by price and time", () => {
    const { one, two } = make()
    const resting = placed(one.place(order({ side: "sell", price: "100", quantity: "1" })))
    const taking = placed(two.place(order({ price: "100.1", quantity: "1.5" })))
    assert.strictEqual(one.order({ id: resting.id })!.finish, "filled")
    assert.deepStrictEqual([taking.filled, taking.filledQuote], ["1.5", "150.05"])
    assert.deepStrictEqual(
      [one, two].map((account) => account.fills({}).map(({ liquidity, price }) => `${liquidity} ${price}`)),
      [["maker 100"], ["taker 100", "taker 100.1"]]
    )
  })

  it("an account trades with itself: two fills of one trade, the resting one first", () => {
    const { events, one } = make()
    const resting = placed(one.place(order({ side: "sell", price: "100", quantity: "1" })))
    const taking = placed(one.place(order({ price: "100", quantity: "1" })))
    assert.deepStrictEqual(
      one.fills({}).map(({ id, liquidity, orderId, side }) => [id, orderId, side, liquidity]),
      [[1, resting.id, "sell", "maker"], [1, taking.id, "buy", "taker"]]
    )
    assert.strictEqual(events.filter(({ _tag }) => _tag === "Fill").length, 2)
  })

  it("amending down keeps the place in the queue, anything else goes behind the others", () => {
    const { accounts, one } = make()
    const { id } = placed(one.place(order({ price: "99.9", quantity: "1" })))
    accounts.onTrade(pair, "sell", 999, 90, 2_000)
    assert.strictEqual(placed(one.amend({ id }, { quantity: "0.6" })).quantity, "0.6")
    accounts.onTrade(pair, "sell", 999, 20, 2_000)
    assert.strictEqual(one.order({ id })!.filled, "0.1")
    assert.strictEqual(placed(one.amend({ id }, { price: "99.8" })).price, "99.8")
    accounts.onTrade(pair, "sell", 998, 50, 2_000)
    assert.strictEqual(one.order({ id })!.filled, "0.1")
    assert.strictEqual(one.amend({ id }, { price: "99.8" }), "noChange")
    // A whole quantity of no more than is filled ends it.
    assert.strictEqual(placed(one.amend({ id }, { quantity: "0.1" })).finish, "cancelled")
  })

  it("refuses what cannot be, with nothing changed", () => {
    const { events, one } = make()
    const refusals = [
      order({ pair: "NO/PAIR" }),
      order({ price: "99.95" }),
      order({ price: "0" }),
      order({ quantity: "0.001" }),
      order({ quantity: "x" }),
      order({ quantity: "0.01", price: "50" }),
      order({ quantity: "1000" }),
      order({ side: "sell", quantity: "10.01" })
    ].map((request) => one.place(request))
    assert.deepStrictEqual(refusals, [
      "unknownPair",
      "badPrice",
      "badPrice",
      "badQuantity",
      "badQuantity",
      "tooSmall",
      "insufficientBalance",
      "insufficientBalance"
    ])
    assert.deepStrictEqual(events, [])
    assert.isFalse(isRefusal(one.place(order({ clientOrderId: "a" }))))
    assert.strictEqual(one.place(order({ clientOrderId: "a" })), "duplicateClientOrderId")
    assert.strictEqual(one.cancel({ id: 99 }), "unknownOrder")
  })

  it("a dead man's switch cancels unless it is set again", () => {
    const { accounts, one, pass } = make()
    one.place(order())
    one.countdown(5_000)
    pass(4_000)
    one.countdown(5_000)
    pass(4_999)
    accounts.tick(9_999)
    assert.lengthOf(one.orders({ open: true }), 1)
    accounts.tick(10_000)
    assert.lengthOf(one.orders({ open: true }), 0)
  })

  it("a trigger order waits for the last price", () => {
    const { accounts, one } = make()
    const request = order({ side: "sell", price: "99", trigger: { price: "99.5", rule: "atOrBelow" } })
    const { id, waiting } = placed(one.place(request))
    assert.isTrue(waiting)
    accounts.onTrade(pair, "sell", 996, 1, 2_000)
    assert.isTrue(one.order({ id })!.waiting)
    accounts.onTrade(pair, "sell", 995, 1, 2_000)
    assert.deepStrictEqual([one.order({ id })!.filled, one.order({ id })!.finish], ["1", "filled"])
  })
})

describe("a swap account", () => {
  const swap = { pair: "BTC/USDT:USDT" as const, quantityDecimals: 0, minQuantity: "1", contractSize: "0.01" }
  const contract = (fields: Partial<WorldPlace>) => order({ pair: swap.pair, quantity: "100", ...fields })
  const start = (markPrice = () => "100") => make({ ...swap, markPrice })

  it("opening needs margin, closing frees it, and profit and fees are booked to the settle asset", () => {
    const { one } = start()
    one.setLeverage(swap.pair, "10")
    placed(one.place(contract({ price: "100.1" })))
    const [position] = one.positions()
    assert.deepStrictEqual([position!.size, position!.entryPrice, position!.margin], ["100", "100.1", "10.01"])
    assert.strictEqual(position!.realisedPnl, "-0.2002")
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9989.7898", "10.01"])
    placed(one.place(contract({ side: "sell", price: "99.9", reduceOnly: true })))
    const [flat] = one.positions()
    assert.deepStrictEqual([flat!.size, flat!.margin, flat!.realisedPnl, flat!.historyPnl], ["0", "0", "0", "-0.6"])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9999.4", "0"])
  })

  it("one order can turn a position round", () => {
    const { events, one } = start()
    one.setLeverage(swap.pair, "10")
    placed(one.place(contract({ price: "100.1", quantity: "50" })))
    placed(one.place(contract({ side: "sell", price: "99.9", quantity: "80" })))
    const [position] = one.positions()
    assert.deepStrictEqual([position!.size, position!.entryPrice], ["-30", "99.9"])
    assert.deepStrictEqual(
      events.filter((event) => event._tag === "PositionClose").map(({ pnl, side }) => [side, pnl]),
      [["long", "-0.1"]]
    )
  })

  it("reduce-only never opens", () => {
    const { one } = start()
    assert.strictEqual(one.place(contract({ reduceOnly: true })), "reduceOnlyIncreases")
  })

  it("funding is the value at the mark price times the rate, longs to shorts", () => {
    const { accounts, one } = start()
    placed(one.place(contract({ price: "100.1" })))
    const [before] = balanceOf(one, "USDT")
    accounts.fund(swap.pair, "0.0001")
    const [after] = balanceOf(one, "USDT")
    assert.strictEqual(Decimal.toText(BigDecimal.subtract(Decimal.of(after!), Decimal.of(before!))), "-0.01")
  })

  it("a position whose margin no longer holds is closed and its margin is gone", () => {
    let mark = "100"
    const { accounts, events, one } = start(() => mark)
    one.setLeverage(swap.pair, "50")
    placed(one.place(contract({ price: "100.1" })))
    const total = one.balances().find(({ asset }) => asset === "USDT")!
    mark = "98"
    accounts.settle(swap.pair, 2_000)
    assert.deepStrictEqual(one.positions().map(({ margin, size }) => [size, margin]), [["0", "0"]])
    assert.strictEqual(events.filter(({ _tag }) => _tag === "Liquidation").length, 1)
    assert.deepStrictEqual(balanceOf(one, "USDT"), [total.available, "0"])
  })
})

// ---- any course of events -------------------------------------------------------------------------------------------

const below = (limit: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: limit - 1 }))))

const step = Arbitrary.map(
  Arbitrary.all([below(8), below(2), below(2), below(9), below(300), below(4)]),
  ([action, account, side, price, quantity, tif]) => ({ action, account, side, price, quantity: quantity + 1, tif })
)

const tifs = ["gtc", "ioc", "fok", "postOnly"] as const

interface Step {
  readonly account: number
  readonly side: number
  readonly price: number
  readonly quantity: number
  readonly tif: number
}

type Started = ReturnType<typeof make>
type Act = (started: Started, who: Started["one"], step: Step) => void

const amount = (units: number): string => Decimal.toText(BigDecimal.make(BigInt(units), 2))

const placeAny: Act = (_, who, { price, quantity, side, tif }) =>
  void who.place(order({
    side: side === 0 ? "buy" : "sell",
    price: `${99 + Math.floor(price / 4)}.${price % 4 + 3}`,
    quantity: amount(quantity),
    timeInForce: tifs[tif]!
  }))

const cancelAny: Act = (_, who) => {
  const [open] = who.orders({ open: true })
  if (open !== undefined) who.cancel({ id: open.id })
}

const amendAny: Act = (_, who, { quantity }) => {
  const [open] = who.orders({ open: true })
  if (open !== undefined) who.amend({ id: open.id }, { quantity: amount(quantity) })
}

const tradeOfOthers: Act = ({ accounts, book }, _, { quantity, side }) => {
  const ladder = side === 0 ? book.bids : book.asks
  if (ladder.length > 0) {
    accounts.onTrade(pair, side === 0 ? "sell" : "buy", Math.abs(ladder.best), quantity, 2_000)
  }
}

const moveBook: Act = ({ accounts, book }, _, { price, quantity, side }) => {
  const at = 995 + price
  const isFree = side === 0 ? at < -book.asks.best : at > book.bids.best
  if (isFree) book.set(side === 0 ? at : -at, quantity, 2_000)
  accounts.settle(pair, 2_000)
}

const acts: ReadonlyArray<Act> = [
  placeAny,
  placeAny,
  placeAny,
  placeAny,
  cancelAny,
  amendAny,
  tradeOfOthers,
  moveBook
]

describe("any course of orders, trades and moves of the book", () => {
  it.prop(
    "money is neither made nor lost, and what is locked is what open orders need",
    [Arbitrary.array(step, { minLength: 1, maxLength: 60 })],
    ([steps]) => {
      const started = make()
      const all = [started.one, started.two]
      for (const next of steps) {
        acts[next.action]!(started, all[next.account]!, next)
        for (const each of all) check(each)
      }
      for (const each of all) {
        each.cancelAll()
        for (const { locked } of each.balances()) assert.strictEqual(locked, "0")
      }
    }
  )

  const sumOf = (texts: ReadonlyArray<string>): Decimal.Decimal => BigDecimal.sumAll(texts.map(Decimal.of))

  const check = (account: ReturnType<typeof make>["one"]): void => {
    const fills = account.fills({})
    const signed = (side: "buy" | "sell", text: string) => side === "buy" ? text : `-${text}`
    const bought = sumOf(fills.map(({ quantity, side }) => signed(side, quantity)))
    const paid = sumOf(
      fills.map(({ price, quantity, side }) =>
        signed(side, Decimal.toText(BigDecimal.multiply(Decimal.of(price), Decimal.of(quantity))))
      )
    )
    const feesIn = (asset: string) => sumOf(fills.filter(({ feeAsset }) => feeAsset === asset).map(({ fee }) => fee))
    const expected = new Map([
      ["BTC", BigDecimal.subtract(BigDecimal.sum(Decimal.of("10"), bought), feesIn("BTC"))],
      ["USDT", BigDecimal.subtract(BigDecimal.subtract(Decimal.of("10000"), paid), feesIn("USDT"))]
    ])
    const open = account.orders({ open: true })
    const needs = new Map([
      ["BTC", sumOf(open.filter(({ side }) => side === "sell").map(({ left }) => left))],
      [
        "USDT",
        BigDecimal.sumAll(
          open.filter(({ side }) => side === "buy").map(({ left, price }) =>
            BigDecimal.multiply(Decimal.of(left), Decimal.of(price!))
          )
        )
      ]
    ])
    for (const { asset, available, locked } of account.balances()) {
      const total = BigDecimal.sum(Decimal.of(available), Decimal.of(locked))
      assert.strictEqual(Decimal.toText(total), Decimal.toText(expected.get(asset)!), `total of ${asset}`)
      assert.strictEqual(locked, Decimal.toText(needs.get(asset)!), `locked of ${asset}`)
      assert.isFalse(BigDecimal.isNegative(Decimal.of(available)), `available of ${asset}`)
    }
  }
})
