/** The matching engine, wallets and positions by themselves. Prices and quantities in units. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal } from "effect"
import type { WorldBalance } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { Ladder } from "../../src/simulator/Ladder.ts"
import type { Entry, Match } from "../../src/simulator/OrderMatching.ts"
import { OrderMatching } from "../../src/simulator/OrderMatching.ts"
import { SimulatedBook } from "../../src/simulator/SimulatedBook.ts"
import { SwapPosition } from "../../src/simulator/SwapPosition.ts"
import { Wallet } from "../../src/simulator/Wallet.ts"

// ---- Matching ----

/** Others bid 10 at 99, 20 at 98, 30 at 97 and ask 10 at 101, 20 at 102, 30 at 103. */
const start = (
  bids = new Ladder([97, 98, 99], [30, 20, 10]),
  asks = new Ladder([-103, -102, -101], [30, 20, 10])
) => {
  const book = new SimulatedBook(
    { priceDecimals: 0, quantityDecimals: 0, version: 1, time: 0, history: 4096 },
    bids,
    asks
  )
  const log: Array<string> = []
  const name = (entry: Entry | null) => entry === null ? "others" : `#${entry.id}`
  const matching = new OrderMatching(book, ({ maker, price, quantity, taker, told }: Match, time) => {
    log.push(`${name(taker)} takes ${quantity} at ${price} of ${name(maker)}${told ? ", told" : ""} (${time})`)
  })
  let id = 0
  const entry = (
    side: "buy" | "sell",
    limit: number | null,
    remaining: number,
    fields: Partial<Entry> = {}
  ): Entry => ({
    id: ++id,
    side,
    limit,
    timeInForce: "gtc",
    remaining,
    budget: null,
    ahead: 0,
    ...fields
  })
  const taken = (): ReadonlyArray<string> => log.splice(0)
  return { book, entry, matching, taken }
}

describe("a new order", () => {
  it("takes what is within its price, best first, each at its own price, and rests with what is left", () => {
    const { book, entry, matching, taken } = start()
    const buy = entry("buy", 102, 35)
    assert.isNull(matching.submit(buy, 7))
    assert.deepStrictEqual(taken(), ["#1 takes 10 at 101 of others (7)", "#1 takes 20 at 102 of others (7)"])
    assert.deepStrictEqual([buy.remaining, matching.resting, book.asks.best], [5, 1, -103])
    const sell = entry("sell", 98, 31)
    assert.isNull(matching.submit(sell, 8))
    // Ours rests at 102, the best bid: then the others'.
    assert.deepStrictEqual(taken(), [
      "#2 takes 5 at 102 of #1 (8)",
      "#2 takes 10 at 99 of others (8)",
      "#2 takes 16 at 98 of others (8)"
    ])
    assert.deepStrictEqual([sell.remaining, buy.remaining, matching.resting], [0, 0, 0])
    assert.deepStrictEqual([book.bids.best, book.bids.quantityAt(98), book.time], [98, 4, 8])
  })

  it("takes nothing beyond its price, not even by a step", () => {
    const { entry, matching, taken } = start()
    assert.isNull(matching.submit(entry("buy", 100, 5), 1))
    assert.isNull(matching.submit(entry("sell", 101, 5), 1))
    assert.deepStrictEqual(taken(), [])
    assert.strictEqual(matching.resting, 2)
  })

  it("of exactly what is there leaves nothing", () => {
    const { entry, matching, taken } = start()
    assert.isNull(matching.submit(entry("sell", 99, 10), 1))
    assert.deepStrictEqual(taken(), ["#1 takes 10 at 99 of others (1)"])
    assert.strictEqual(matching.resting, 0)
  })

  it("without a price goes through everything, and the rest is given up", () => {
    const { book, entry, matching, taken } = start()
    assert.strictEqual(matching.submit(entry("buy", null, 61, { timeInForce: "gtc" }), 1), "ioc")
    assert.deepStrictEqual(taken(), [
      "#1 takes 10 at 101 of others (1)",
      "#1 takes 20 at 102 of others (1)",
      "#1 takes 30 at 103 of others (1)"
    ])
    assert.deepStrictEqual([book.asks.length, matching.resting], [0, 0])
    assert.isNull(matching.submit(entry("sell", null, 60), 1))
  })

  it("immediate-or-cancel never rests", () => {
    const { entry, matching, taken } = start()
    assert.strictEqual(matching.submit(entry("buy", 101, 11, { timeInForce: "ioc" }), 1), "ioc")
    assert.lengthOf(taken(), 1)
    assert.isNull(matching.submit(entry("buy", 102, 20, { timeInForce: "ioc" }), 1))
    assert.strictEqual(matching.submit(entry("buy", 101, 1, { timeInForce: "ioc" }), 1), "ioc")
    assert.strictEqual(matching.resting, 0)
  })

  it("post-only is given up where it would take, of the others or of ours", () => {
    const { entry, matching, taken } = start()
    const postOnly = { timeInForce: "postOnly" } as const
    assert.strictEqual(matching.submit(entry("buy", 101, 5, postOnly), 1), "postOnly")
    assert.isNull(matching.submit(entry("buy", 100, 5, postOnly), 1))
    assert.strictEqual(matching.submit(entry("sell", 100, 5, postOnly), 1), "postOnly")
    assert.isNull(matching.submit(entry("sell", 101, 5, postOnly), 1))
    assert.deepStrictEqual(taken().slice(), [])
    assert.strictEqual(matching.resting, 2)
  })
})

describe("fill-or-kill", () => {
  const fok = { timeInForce: "fok" } as const
  const cases: ReadonlyArray<readonly [side: "buy" | "sell", limit: number | null, quantity: number, fills: boolean]> =
    [
      ["buy", 101, 10, true],
      ["buy", 101, 11, false],
      ["buy", 100, 1, false],
      ["buy", 102, 30, true],
      ["buy", 102, 31, false],
      ["buy", null, 60, true],
      ["buy", null, 61, false],
      ["sell", 99, 10, true],
      ["sell", 99, 11, false],
      ["sell", 100, 1, false],
      ["sell", 98, 30, true],
      ["sell", 98, 31, false],
      ["sell", null, 60, true],
      ["sell", null, 61, false]
    ]
  for (const [side, limit, quantity, fills] of cases) {
    it(`${side} ${quantity} at ${limit ?? "any price"} is ${fills ? "filled whole" : "not touched"}`, () => {
      const { book, entry, matching, taken } = start()
      const order = entry(side, limit, quantity, fok)
      assert.strictEqual(matching.submit(order, 1), fills ? null : "fok")
      assert.strictEqual(order.remaining, fills ? 0 : quantity)
      assert.strictEqual(book.version > 1, fills)
      assert.strictEqual(taken().length > 0, fills)
      assert.strictEqual(matching.resting, 0)
    })
  }

  it("counts ours beside the others', and nothing beyond its price", () => {
    const { entry, matching, taken } = start()
    matching.submit(entry("sell", 101, 5), 1)
    matching.submit(entry("sell", 105, 50), 1)
    assert.strictEqual(matching.submit(entry("buy", 101, 16, fok), 2), "fok")
    assert.isNull(matching.submit(entry("buy", 101, 15, fok), 2))
    assert.deepStrictEqual(taken(), ["#4 takes 10 at 101 of others (2)", "#4 takes 5 at 101 of #1 (2)"])
    assert.isNull(matching.submit(entry("buy", null, 100, fok), 3))
    assert.strictEqual(taken().at(-1), "#5 takes 50 at 105 of #2 (3)")
  })

  it("of an amount to spend fills when it is spent to the smallest quantity", () => {
    const { entry, matching } = start()
    const spend = (budget: bigint) => entry("buy", null, Infinity, { ...fok, budget })
    // All that is there costs 10 * 101 + 20 * 102 + 30 * 103 = 6140.
    assert.strictEqual(matching.submit(spend(6_243n), 1), "fok")
    const order = spend(1_500n)
    // What is left buys nothing, which whoever placed it knows to be enough.
    assert.strictEqual(matching.submit(order, 1), "ioc")
    assert.strictEqual(order.budget, 82n)
  })

  it("of an amount that buys all there is, to the last bit, fills", () => {
    const { entry, matching } = start()
    const order = entry("buy", null, Infinity, { ...fok, budget: 6_140n })
    assert.strictEqual(matching.submit(order, 1), "ioc")
    assert.strictEqual(order.budget, 0n)
  })
})

describe("an amount to spend", () => {
  it("buys whole units, and what is left buys none", () => {
    const { entry, matching, taken } = start()
    const order = entry("buy", null, Infinity, { budget: 1_500n, timeInForce: "ioc" })
    assert.strictEqual(matching.submit(order, 1), "ioc")
    assert.deepStrictEqual(taken(), ["#1 takes 10 at 101 of others (1)", "#1 takes 4 at 102 of others (1)"])
    assert.strictEqual(order.budget, 1_500n - 1_010n - 408n)
  })

  it("of less than one unit buys nothing", () => {
    const { book, entry, matching, taken } = start()
    assert.strictEqual(matching.submit(entry("buy", null, Infinity, { budget: 100n }), 1), "ioc")
    assert.deepStrictEqual([taken(), book.version], [[], 1])
    assert.strictEqual(matching.submit(entry("buy", null, Infinity, { budget: 101n }), 1), "ioc")
    assert.lengthOf(taken(), 1)
  })

  it("is spent with ours too", () => {
    const { entry, matching, taken } = start()
    matching.submit(entry("sell", 100, 3), 1)
    const order = entry("buy", null, Infinity, { budget: 401n })
    assert.strictEqual(matching.submit(order, 2), "ioc")
    assert.deepStrictEqual(taken(), ["#2 takes 3 at 100 of #1 (2)", "#2 takes 1 at 101 of others (2)"])
    assert.strictEqual(order.budget, 0n)
  })
})

describe("resting orders", () => {
  it("are served by price, then by time", () => {
    const { entry, matching, taken } = start()
    for (const limit of [100, 99, 100, 98]) matching.submit(entry("buy", limit, 5), 1)
    for (const limit of [104, 101, 104]) matching.submit(entry("sell", limit, 5), 1)
    matching.submit(entry("sell", 99, 25), 2)
    // 10 of the others were first at 99.
    assert.deepStrictEqual(taken(), [
      "#8 takes 5 at 100 of #1 (2)",
      "#8 takes 5 at 100 of #3 (2)",
      "#8 takes 10 at 99 of others (2)",
      "#8 takes 5 at 99 of #2 (2)"
    ])
    matching.submit(entry("buy", 104, 75), 3)
    assert.deepStrictEqual(taken(), [
      "#9 takes 10 at 101 of others (3)",
      "#9 takes 5 at 101 of #6 (3)",
      "#9 takes 20 at 102 of others (3)",
      "#9 takes 30 at 103 of others (3)",
      "#9 takes 5 at 104 of #5 (3)",
      "#9 takes 5 at 104 of #7 (3)"
    ])
    assert.strictEqual(matching.resting, 1)
  })

  it("know how many of the others were first at their price", () => {
    const { entry, matching } = start()
    const [at, within, sell] = [entry("buy", 98, 5), entry("buy", 100, 5), entry("sell", 102, 5)]
    for (const each of [at, within, sell]) matching.submit(each, 1)
    assert.deepStrictEqual([at.ahead, within.ahead, sell.ahead], [20, 0, 20])
  })

  it("go when they are taken out, and one that does not rest changes nothing", () => {
    const { entry, matching, taken } = start()
    const [one, two] = [entry("buy", 100, 5), entry("buy", 100, 6)]
    matching.submit(one, 1)
    matching.submit(two, 1)
    matching.remove(entry("buy", 100, 7))
    matching.remove(entry("sell", 100, 7))
    assert.strictEqual(matching.resting, 2)
    matching.remove(one)
    matching.remove(one)
    matching.submit(entry("sell", 100, 5), 2)
    assert.deepStrictEqual(taken(), ["#5 takes 5 at 100 of #2 (2)"])
    assert.strictEqual(two.remaining, 1)
  })
})

describe("trades of others", () => {
  it("fill ours at their own price once what was ahead is through", () => {
    const { entry, matching, taken } = start()
    const [first, second] = [entry("buy", 99, 4), entry("buy", 99, 4)]
    matching.submit(first, 1)
    matching.submit(second, 1)
    matching.onTrade("sell", 99, 6, 2)
    assert.deepStrictEqual([taken(), first.ahead, second.ahead], [[], 4, 10])
    matching.onTrade("sell", 99, 5, 3)
    assert.deepStrictEqual(taken(), ["others takes 1 at 99 of #1, told (3)"])
    assert.deepStrictEqual([first.ahead, first.remaining, second.ahead], [0, 3, 10])
    matching.onTrade("sell", 99, 20, 4)
    assert.deepStrictEqual(taken(), [
      "others takes 3 at 99 of #1, told (4)",
      "others takes 4 at 99 of #2, told (4)"
    ])
    assert.strictEqual(matching.resting, 0)
  })

  it("reach ours that were better, and none that are worse", () => {
    const { entry, matching, taken } = start()
    for (const limit of [100, 98, 97]) matching.submit(entry("buy", limit, 5), 1)
    for (const limit of [100, 102, 103]) matching.submit(entry("sell", limit, 5, { id: 100 + limit }), 1)
    assert.deepStrictEqual(taken(), ["#200 takes 5 at 100 of #1 (1)"])
    matching.onTrade("sell", 98, 22, 2)
    assert.deepStrictEqual(taken(), ["others takes 2 at 98 of #2, told (2)"])
    matching.submit(entry("sell", 100, 5, { id: 9 }), 2)
    matching.onTrade("buy", 102, 27, 3)
    assert.deepStrictEqual(taken(), [
      "others takes 5 at 100 of #9, told (3)",
      "others takes 2 at 102 of #202, told (3)"
    ])
  })

  it("that are larger than what is at their price leave the worse alone", () => {
    const { entry, matching, taken } = start()
    for (const limit of [98, 97]) matching.submit(entry("buy", limit, 5), 1)
    matching.onTrade("sell", 98, 40, 2)
    assert.deepStrictEqual(taken(), ["others takes 5 at 98 of #1, told (2)"])
    for (const limit of [102, 103]) matching.submit(entry("sell", limit, 5), 3)
    matching.onTrade("buy", 102, 40, 4)
    assert.deepStrictEqual(taken(), ["others takes 5 at 102 of #3, told (4)"])
  })

  it("at a worse price have gone through whoever was ahead of ours", () => {
    const { entry, matching, taken } = start()
    const order = entry("buy", 99, 8)
    matching.submit(order, 1)
    assert.strictEqual(order.ahead, 10)
    matching.onTrade("sell", 98, 5, 2)
    assert.deepStrictEqual(taken(), ["others takes 5 at 99 of #1, told (2)"])
  })

  it("that are used up fill no more", () => {
    const { entry, matching, taken } = start()
    for (const limit of [100, 100]) matching.submit(entry("buy", limit, 5), 1)
    matching.onTrade("sell", 100, 5, 2)
    assert.deepStrictEqual(taken(), ["others takes 5 at 100 of #1, told (2)"])
  })
})

describe("moves of the book", () => {
  it("that reach ours fill it at its own price, as much as is there, and take it from the book", () => {
    const { book, entry, matching, taken } = start()
    const [buy, sell] = [entry("buy", 100, 5), entry("sell", 101, 20)]
    matching.submit(buy, 1)
    matching.submit(sell, 1)
    matching.settle(2)
    assert.deepStrictEqual(taken(), [])
    book.set(-99, 3, 2)
    book.set(-100, 4, 2)
    matching.settle(3)
    assert.deepStrictEqual(taken(), [
      "others takes 3 at 100 of #1 (3)",
      "others takes 2 at 100 of #1 (3)"
    ])
    assert.deepStrictEqual([book.asks.quantityAt(-99), book.asks.quantityAt(-100)], [0, 2])
    book.set(-100, 0, 4)
    book.set(-101, 0, 4)
    book.set(101, 8, 4)
    matching.settle(4)
    assert.deepStrictEqual(taken(), ["others takes 8 at 101 of #2 (4)"])
    assert.deepStrictEqual([sell.remaining, book.bids.quantityAt(101)], [12, 0])
  })

  it("that take others out of the queue bring ours forward, never back", () => {
    const { book, entry, matching } = start()
    const [buy, sell] = [entry("buy", 98, 5), entry("sell", 102, 5)]
    matching.submit(buy, 1)
    matching.submit(sell, 1)
    book.set(98, 7, 2)
    book.set(-102, 8, 2)
    matching.settle(2)
    assert.deepStrictEqual([buy.ahead, sell.ahead], [7, 8])
    book.set(98, 70, 3)
    book.set(-102, 80, 3)
    matching.settle(3)
    assert.deepStrictEqual([buy.ahead, sell.ahead], [7, 8])
    book.set(98, 0, 4)
    matching.settle(4)
    assert.strictEqual(buy.ahead, 0)
  })

  it("that empty the other side reach nobody", () => {
    const { book, entry, matching, taken } = start()
    matching.submit(entry("buy", 100, 5), 1)
    for (const key of [-101, -102, -103]) book.set(key, 0, 2)
    matching.settle(2)
    assert.deepStrictEqual(taken(), [])
  })

  it("leave alone what was taken out while they were settled", () => {
    const book = new SimulatedBook(
      { priceDecimals: 0, quantityDecimals: 0, version: 1, time: 0, history: 4096 },
      new Ladder([], []),
      new Ladder([], [])
    )
    const filled: Array<number> = []
    const make = (id: number): Entry => ({
      id,
      side: "buy",
      limit: 100,
      timeInForce: "gtc",
      remaining: 5,
      budget: null,
      ahead: 0
    })
    const [first, second] = [make(1), make(2)]
    const matching: OrderMatching = new OrderMatching(book, ({ maker }) => {
      filled.push(maker!.id)
      matching.remove(second)
    })
    matching.submit(first, 1)
    matching.submit(second, 1)
    book.set(-100, 10, 2)
    matching.settle(2)
    assert.deepStrictEqual(filled, [1])
    assert.strictEqual(book.asks.quantityAt(-100), 5)
  })
})

describe("amending", () => {
  it("to less keeps the place, also to the same", () => {
    const { entry, matching, taken } = start()
    const [one, two] = [entry("buy", 99, 8), entry("buy", 99, 8)]
    matching.submit(one, 1)
    matching.submit(two, 1)
    assert.isNull(matching.amend(one, 99, 8, 2))
    assert.isNull(matching.amend(one, 99, 5, 2))
    assert.strictEqual(one.ahead, 10)
    matching.onTrade("sell", 99, 12, 3)
    assert.deepStrictEqual(taken(), ["others takes 2 at 99 of #1, told (3)"])
    assert.strictEqual(one.remaining, 3)
  })

  it("to more, or to another price, goes behind the others", () => {
    const { entry, matching, taken } = start()
    const [one, two] = [entry("buy", 100, 5), entry("buy", 100, 5)]
    matching.submit(one, 1)
    matching.submit(two, 1)
    assert.isNull(matching.amend(one, 100, 6, 2))
    matching.submit(entry("sell", 100, 5), 3)
    assert.deepStrictEqual(taken(), ["#3 takes 5 at 100 of #2 (3)"])
    assert.isNull(matching.amend(one, 98, 2, 4))
    assert.deepStrictEqual([one.limit, one.remaining, one.ahead, matching.resting], [98, 2, 20, 1])
  })

  it("may take at once, and is held to its time in force", () => {
    const { entry, matching, taken } = start()
    const one = entry("buy", 99, 5)
    matching.submit(one, 1)
    assert.isNull(matching.amend(one, 101, 12, 2))
    assert.deepStrictEqual(taken(), ["#1 takes 10 at 101 of others (2)"])
    assert.deepStrictEqual([one.remaining, matching.resting], [2, 1])
    const careful = entry("sell", 105, 5, { timeInForce: "postOnly" })
    matching.submit(careful, 3)
    assert.strictEqual(matching.amend(careful, 101, 5, 4), "postOnly")
    assert.strictEqual(matching.resting, 1)
  })
})

// ---- Wallet ----

const of = Decimal.of
const text = Decimal.toText
const reason = { cause: "deposit", orderId: 3, pair: "BTC/USDT", time: 9 } as const

describe("a wallet", () => {
  const open = () => {
    const told: Array<WorldBalance> = []
    return { told, wallet: new Wallet((balance) => told.push(balance)) }
  }

  it("adds exactly, and tells what it holds, what changed, and why", () => {
    const { told, wallet } = open()
    wallet.change("USDT", of("0.1"), Decimal.zero, reason)
    wallet.change("USDT", of("0.2"), of("1.50"), { ...reason, cause: "fee", orderId: null, pair: null, time: 10 })
    wallet.change("USDT", of("-0.3"), of("-0.5"), reason)
    assert.deepStrictEqual(told, [
      { asset: "USDT", available: "0.1", locked: "0", change: "0.1", ...reason },
      {
        asset: "USDT",
        available: "0.3",
        locked: "1.5",
        change: "1.7",
        cause: "fee",
        orderId: null,
        pair: null,
        time: 10
      },
      { asset: "USDT", available: "0", locked: "1", change: "-0.8", ...reason }
    ])
  })

  it("keeps assets apart; one that it never saw is 0", () => {
    const { wallet } = open()
    wallet.change("USDT", of("5"), of("6"), reason)
    wallet.change("BTC", of("7"), Decimal.zero, reason)
    assert.deepStrictEqual(wallet.assets, ["USDT", "BTC"])
    const both = (asset: string) => [text(wallet.available(asset)), text(wallet.locked(asset))]
    assert.deepStrictEqual(["USDT", "BTC", "ETH"].map(both), [["5", "6"], ["7", "0"], ["0", "0"]])
  })

  it("says nothing of a change of nothing, but knows the asset", () => {
    const { told, wallet } = open()
    wallet.change("USDT", Decimal.zero, Decimal.zero, reason)
    assert.deepStrictEqual([told, wallet.assets], [[], ["USDT"]])
    wallet.change("USDT", Decimal.zero, of("1"), reason)
    wallet.change("USDT", of("1"), Decimal.zero, reason)
    assert.lengthOf(told, 2)
  })

  it("locks what is there, to the last bit, and no more", () => {
    const { told, wallet } = open()
    wallet.change("USDT", of("5"), Decimal.zero, reason)
    assert.isFalse(wallet.lock("USDT", of("5.00000001"), reason))
    assert.isFalse(wallet.lock("BTC", of("1"), reason))
    assert.lengthOf(told, 1)
    assert.isTrue(wallet.lock("USDT", of("5"), reason))
    assert.deepStrictEqual(told[1], { asset: "USDT", available: "0", locked: "5", change: "0", ...reason })
    assert.isTrue(wallet.lock("USDT", of("-2"), reason))
    assert.deepStrictEqual([text(wallet.available("USDT")), text(wallet.locked("USDT"))], ["2", "3"])
  })
})

// ---- Positions ----

const positionOf = (leverage = "10") => {
  const position = new SwapPosition({
    pair: "BTC/USDT:USDT",
    contractSize: of("0.01"),
    leverageMax: of("100"),
    maintenanceRate: of("0.005"),
    closingFeeRate: of("0.001")
  })
  position.leverage = of(leverage)
  return position
}

const effectsOf = ({ closed, margin, pnl }: ReturnType<SwapPosition["fill"]>) => [text(pnl), text(margin), closed]

describe("a position", () => {
  it("begins flat", () => {
    assert.deepStrictEqual(positionOf().view(of("100")), {
      pair: "BTC/USDT:USDT",
      size: "0",
      entryPrice: "0",
      leverage: "10",
      mode: "isolated",
      margin: "0",
      liquidationPrice: "0",
      realisedPnl: "0",
      historyPnl: "0",
      unrealisedPnl: "0",
      lastClosePnl: "0",
      maintenanceRate: "0.005",
      leverageMax: "100",
      updateId: 0,
      time: 0
    })
  })

  const sides = [["buy", "sell", "long", 1], ["sell", "buy", "short", -1]] as const
  for (const [open, close, name, sign] of sides) {
    it(`${name}: opens at the mean of its fills, and closes a part with its part of cost and margin`, () => {
      const position = positionOf()
      const signed = (amount: string) => text(BigDecimal.multiply(of(amount), of(String(sign))))
      assert.deepStrictEqual(effectsOf(position.fill(open, of("100"), of("50"), 1)), ["0", "-5", null])
      assert.deepStrictEqual(effectsOf(position.fill(open, of("300"), of("52"), 2)), ["0", "-15.6", null])
      assert.deepStrictEqual(
        [text(position.size), text(position.entryPrice), text(position.margin)],
        [signed("400"), "51.5", "20.6"]
      )
      assert.strictEqual(text(position.valueAt(of("60"))), "240")
      assert.strictEqual(text(position.pnlAt(of("60"))), signed("34"))
      assert.deepStrictEqual(effectsOf(position.fill(close, of("100"), of("53"), 3)), [signed("1.5"), "5.15", null])
      assert.deepStrictEqual(
        [text(position.size), text(position.entryPrice), text(position.margin), text(position.realisedPnl)],
        [signed("300"), "51.5", "15.45", signed("1.5")]
      )
      const view = position.view(of("51"))
      assert.deepInclude(view, {
        unrealisedPnl: signed("-1.5"),
        lastClosePnl: signed("1.5"),
        updateId: 3,
        time: 3,
        mode: "isolated"
      })
      assert.deepStrictEqual(effectsOf(position.fill(close, of("300"), of("50"), 4)), [signed("-4.5"), "15.45", name])
      assert.deepInclude(position.view(of("1")), {
        size: "0",
        entryPrice: "0",
        margin: "0",
        realisedPnl: "0",
        historyPnl: signed("-3"),
        lastClosePnl: signed("-4.5"),
        unrealisedPnl: "0",
        liquidationPrice: "0"
      })
      assert.isTrue(position.isFlat)
    })

    it(`${name}: one fill turns it round`, () => {
      const position = positionOf()
      position.fill(open, of("100"), of("50"), 1)
      assert.deepStrictEqual(
        effectsOf(position.fill(close, of("130"), of("51"), 2)),
        [text(BigDecimal.multiply(of("1"), of(String(sign)))), "3.47", name]
      )
      assert.deepStrictEqual(
        [text(position.size), text(position.entryPrice), text(position.margin)],
        [sign > 0 ? "-30" : "30", "51", "1.53"]
      )
    })

    it(`${name}: an order closes what is open and no more`, () => {
      const position = positionOf()
      position.fill(open, of("100"), of("50"), 1)
      const closable = (side: "buy" | "sell", quantity: string) => text(position.closable(side, of(quantity)))
      assert.deepStrictEqual(
        [closable(close, "30"), closable(close, "100"), closable(close, "130"), closable(open, "30")],
        ["30", "100", "100", "0"]
      )
    })
  }

  it("flat has nothing to close", () => {
    assert.deepStrictEqual(["buy", "sell"].map((side) => text(positionOf().closable(side as "buy", of("1")))), [
      "0",
      "0"
    ])
  })

  it("needs its value by its leverage; crossed, a tenth", () => {
    assert.strictEqual(text(positionOf("10").marginFor(of("30"), of("50"))), "1.5")
    assert.strictEqual(text(positionOf("3").marginFor(of("1"), of("1"))), "0.003333333333")
    assert.strictEqual(text(positionOf("0").marginFor(of("30"), of("50"))), "1.5")
    assert.strictEqual(positionOf("0").view(of("1")).mode, "cross")
  })

  it("is liquidated where its margin is down to the maintenance rate and the fee of closing it", () => {
    const long = positionOf()
    long.fill("buy", of("100"), of("50"), 1)
    // 50 - 5 / (100 * 0.01), by 1 - 0.006.
    assert.strictEqual(text(long.liquidationPrice), "45.271629778672")
    const short = positionOf()
    short.fill("sell", of("100"), of("50"), 1)
    assert.strictEqual(text(short.liquidationPrice), "54.671968190854")
    const rich = positionOf("0.5")
    rich.fill("buy", of("100"), of("50"), 1)
    assert.strictEqual(text(rich.liquidationPrice), "0")
  })

  it("books funding without a fill", () => {
    const position = positionOf()
    position.fill("buy", of("100"), of("50"), 4)
    position.book(of("-0.25"), 5)
    position.book(of("0.05"), 6)
    assert.deepInclude(position.view(of("1")), { realisedPnl: "-0.2", lastClosePnl: "0", updateId: 3, time: 6 })
  })

  it("has realised its fees, begins at nothing when it opens anew, and shares out the fee of a fill that turns it", () => {
    const position = positionOf()
    const told = () => [text(position.realisedPnl), text(position.historyPnl)]
    position.fill("buy", of("100"), of("50"), 1, of("0.5"))
    assert.deepStrictEqual(told(), ["-0.5", "0"])
    position.fill("sell", of("40"), of("52"), 2, of("0.2"))
    assert.deepStrictEqual(told(), ["0.1", "0"])
    position.fill("sell", of("60"), of("50"), 3, of("0.3"))
    assert.deepStrictEqual(told(), ["0", "-0.2"])
    position.fill("buy", of("10"), of("50"), 4, of("0.05"))
    assert.deepStrictEqual(told(), ["-0.05", "-0.2"])
    position.fill("sell", of("40"), of("51"), 5, of("0.2"))
    assert.deepStrictEqual(told(), ["-0.15", "-0.2"])
    position.fill("buy", of("30"), of("51"), 6)
    position.settleOtherwise(of("-1"))
    assert.deepStrictEqual(told(), ["0", "-1.35"])
  })

  it("cuts what does not end", () => {
    const position = positionOf("3")
    position.fill("buy", of("3"), of("10"), 1)
    position.fill("buy", of("4"), of("11"), 1)
    assert.strictEqual(text(position.entryPrice), "10.571428571428")
    assert.deepStrictEqual(effectsOf(position.fill("sell", of("1"), of("11"), 1)), [
      "0.00428571428572",
      "0.035238095238",
      null
    ])
    // What was cut is there in the end.
    position.fill("sell", of("6"), of("11"), 1)
    assert.strictEqual(text(position.historyPnl), "0.03")
  })
})
