/** Every way in which an order, a balance or a position of a simulated account changes, and what is told of it. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal } from "effect"
import type { WorldAccountEvent, WorldOrder, WorldPlace, WorldRefusal } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { balanceOf, make, order, pair, placed } from "./AccountHarness.ts"

/** Events in short: who, what, how much. */
const short = (event: WorldAccountEvent): string => {
  switch (event._tag) {
    case "Order":
      return `order ${event.order.id} ${event.event}: ${event.order.filled} filled, ${event.order.finish ?? "open"}`
    case "Fill":
      return `fill ${event.fill.quantity} at ${event.fill.price}, ${event.fill.liquidity}`
    case "Balance": {
      const { asset, available, cause, change, locked } = event.balance
      return `${asset} ${available} + ${locked} (${cause} ${change})`
    }
    case "Position":
      return `position ${event.position.size} margin ${event.position.margin}`
    case "PositionClose":
      return `closed ${event.side} ${event.pnl}`
    case "Liquidation":
      return `liquidated ${event.size} at ${event.price}`
    case "AutoDeleverage":
      return `deleveraged ${event.size}, left ${event.left}`
  }
}

const taken = (events: Array<WorldAccountEvent>): ReadonlyArray<string> => events.splice(0).map(short)

describe("an order of a spot account", () => {
  it("is told in the order in which things happen, with what it locked, paid and freed", () => {
    const { events, one } = make()
    placed(one.place(order({ price: "100.2", quantity: "1.5" })))
    assert.deepStrictEqual(taken(events), [
      "USDT 9849.7 + 150.3 (orderPlaced 0)",
      "order 1 put: 0 filled, open",
      "fill 1 at 100.1, taker",
      "order 1 update: 1 filled, open",
      "USDT 9849.8 + 50.1 (orderFilled -100.1)",
      "BTC 11 + 0 (orderFilled 1)",
      "BTC 10.998 + 0 (fee -0.002)",
      "fill 0.5 at 100.2, taker",
      "order 1 finish: 1.5 filled, filled",
      "USDT 9849.8 + 0 (orderFilled -50.1)",
      "BTC 11.498 + 0 (orderFilled 0.5)",
      "BTC 11.497 + 0 (fee -0.001)"
    ])
  })

  it("to sell locks base, and pays its fee from the quote it receives", () => {
    const { events, one } = make()
    placed(one.place(order({ side: "sell", price: "99.9", quantity: "2" })))
    assert.deepStrictEqual(taken(events), [
      "BTC 8 + 2 (orderPlaced 0)",
      "order 1 put: 0 filled, open",
      "fill 1 at 99.9, taker",
      "order 1 update: 1 filled, open",
      "BTC 8 + 1 (orderFilled -1)",
      "USDT 10099.9 + 0 (orderFilled 99.9)",
      "USDT 10099.7002 + 0 (fee -0.1998)"
    ])
    assert.deepStrictEqual(placed(one.cancel({ id: 1 })).finish, "cancelled")
    assert.deepStrictEqual(taken(events), [
      "order 1 finish: 1 filled, cancelled",
      "BTC 9 + 0 (orderEnded 0)"
    ])
  })

  it("shows everything it is", () => {
    const { one, pass } = make()
    placed(one.place(order({ price: "100.1", quantity: "1.50", clientOrderId: "mine" })))
    pass(50)
    const shown: WorldOrder = {
      id: 1,
      clientOrderId: "mine",
      pair,
      side: "buy",
      type: "limit",
      timeInForce: "gtc",
      price: "100.1",
      quantity: "1.5",
      quoteQuantity: null,
      filled: "1",
      filledQuote: "100.1",
      left: "0.5",
      averagePrice: "100.1",
      fee: "0.002",
      feeAsset: "BTC",
      reduceOnly: false,
      trigger: null,
      waiting: false,
      finish: null,
      createdAt: 1_000,
      updatedAt: 1_000
    }
    assert.deepStrictEqual(one.order({ id: 1 }), shown)
    assert.deepStrictEqual(one.order({ clientOrderId: "mine" }), shown)
    assert.deepStrictEqual(placed(one.cancel({ clientOrderId: "mine" })), {
      ...shown,
      finish: "cancelled",
      updatedAt: 1_050
    })
    assert.isUndefined(one.order({ id: 2 }))
    assert.isUndefined(one.order({ clientOrderId: "other" }))
  })

  it("that is a fill says whose and at what time", () => {
    const { one, pass, two } = make()
    placed(one.place(order({ side: "sell", price: "100", quantity: "1", clientOrderId: "s" })))
    pass(7)
    placed(two.place(order({ price: "100", quantity: "0.4" })))
    assert.deepStrictEqual(one.fills({}), [{
      id: 1,
      orderId: 1,
      clientOrderId: "s",
      pair,
      side: "sell",
      price: "100",
      quantity: "0.4",
      liquidity: "maker",
      fee: "0.04",
      feeAsset: "USDT",
      time: 1_007
    }])
    assert.deepStrictEqual(
      two.fills({}).map(({ clientOrderId, fee, feeAsset, id, orderId, side }) => [
        id,
        orderId,
        clientOrderId,
        side,
        fee,
        feeAsset
      ]),
      [[1, 2, null, "buy", "0.0008", "BTC"]]
    )
    assert.strictEqual(one.order({ id: 1 })!.updatedAt, 1_007)
  })

  const refusals: Readonly<Record<string, readonly [Partial<WorldPlace>, WorldRefusal]>> = {
    "of a pair that is none": [{ pair: "NO/PAIR" }, "unknownPair"],
    "without the price that it needs": [{ price: null }, "badPrice"],
    "with a price that is no number": [{ price: "abc" }, "badPrice"],
    "with a price below 0": [{ price: "-1" }, "badPrice"],
    "with a price between the steps": [{ price: "99.95" }, "badPrice"],
    "at the market with such a price": [{ type: "market", price: "99.95" }, "badPrice"],
    "without a quantity": [{ quantity: null }, "badQuantity"],
    "of nothing": [{ quantity: "0" }, "badQuantity"],
    "of less than nothing": [{ quantity: "-1" }, "badQuantity"],
    "between the steps": [{ quantity: "0.015" }, "badQuantity"],
    "below the least value": [{ quantity: "0.01", price: "99.9" }, "tooSmall"],
    "that sells an amount of quote": [
      { side: "sell", type: "market", price: null, quantity: null, quoteQuantity: "5" },
      "badQuantity"
    ],
    "that spends nothing": [{ type: "market", price: null, quantity: null, quoteQuantity: "0" }, "badQuantity"],
    "that spends what is no number": [
      { type: "market", price: null, quantity: null, quoteQuantity: "x" },
      "badQuantity"
    ],
    "that spends too little": [{ type: "market", price: null, quantity: null, quoteQuantity: "0.99" }, "tooSmall"],
    "that spends more than there is": [
      { type: "market", price: null, quantity: null, quoteQuantity: "10000.01" },
      "insufficientBalance"
    ],
    "that costs more than there is": [{ price: "100", quantity: "100.01" }, "insufficientBalance"],
    "that sells more than there is": [{ side: "sell", quantity: "10.01" }, "insufficientBalance"]
  }
  for (const [name, [fields, refusal]] of Object.entries(refusals)) {
    it(`${name} is refused, and nothing is told, locked or kept`, () => {
      const { events, one } = make()
      assert.strictEqual(one.place(order({ ...fields, clientOrderId: "again" })), refusal)
      assert.deepStrictEqual(events, [])
      assert.deepStrictEqual(one.orders({ open: true }), [])
      assert.deepStrictEqual(balanceOf(one, "USDT"), ["10000", "0"])
      // The name is free.
      assert.strictEqual(placed(one.place(order({ clientOrderId: "again" }))).clientOrderId, "again")
    })
  }

  it("of the least quantity, the least value, all there is, is taken", () => {
    const { one, two } = make()
    assert.strictEqual(placed(one.place(order({ quantity: "0.01", price: "100" }))).left, "0.01")
    assert.strictEqual(placed(one.place(order({ side: "sell", price: "200", quantity: "10" }))).left, "10")
    const spend = { type: "market", price: null, quantity: null, timeInForce: "ioc" } as const
    assert.strictEqual(placed(two.place(order({ ...spend, quoteQuantity: "1" }))).finish, "ioc")
    assert.strictEqual(placed(two.place(order({ price: "99", quantity: "101.01" }))).left, "101.01")
    assert.deepStrictEqual(balanceOf(two, "USDT"), ["0.01", "9999.99"])
  })

  it("that is too small even for the least quantity is refused", () => {
    const { one } = make({ minQuantity: "0.05", minNotional: "0.1" })
    assert.strictEqual(one.place(order({ quantity: "0.04" })), "tooSmall")
    assert.strictEqual(placed(one.place(order({ quantity: "0.05" }))).left, "0.05")
  })

  it("to buy at any price has all the quote to spend, and gives back what it does not need", () => {
    const { events, one } = make()
    const market = { type: "market", price: null, timeInForce: "ioc" } as const
    const { averagePrice, filled, finish } = placed(one.place(order({ ...market, quantity: "1.5" })))
    assert.deepStrictEqual([filled, finish, averagePrice], ["1.5", "filled", "100.133333333333"])
    assert.strictEqual(taken(events)[0], "USDT 0 + 10000 (orderPlaced 0)")
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9849.8", "0"])
    const sold = placed(one.place(order({ ...market, side: "sell", quantity: "4" })))
    assert.deepStrictEqual([sold.filled, sold.finish, sold.left], ["3", "ioc", "1"])
    assert.deepStrictEqual(balanceOf(one, "BTC"), ["8.497", "0"])
  })

  it("to buy at any price, with too little quote, buys what that pays for", () => {
    const { one, two } = make()
    two.place(order({ price: "50", quantity: "198" }))
    assert.deepStrictEqual(balanceOf(two, "USDT"), ["100", "9900"])
    const { filled, finish } = placed(
      two.place(order({ type: "market", price: null, quantity: "1", timeInForce: "ioc" }))
    )
    assert.deepStrictEqual([filled, finish], ["0.99", "ioc"])
    assert.deepStrictEqual(balanceOf(two, "USDT"), ["0.901", "9900"])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["10000", "0"])
  })

  it("that spends an amount which finds nothing is given up, not filled", () => {
    const { book, one } = make()
    for (const key of [-1001, -1002, -1003]) book.set(key, 0, 1)
    const spend = { type: "market", price: null, quantity: null, quoteQuantity: "100", timeInForce: "ioc" } as const
    const { averagePrice, filled, finish, left } = placed(one.place(order(spend)))
    assert.deepStrictEqual([filled, finish, left, averagePrice], ["0", "ioc", "100", null])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["10000", "0"])
  })

  it("that spends an amount says what is left of it", () => {
    const { one } = make()
    const spend = { type: "market", price: null, quantity: null, quoteQuantity: "150", timeInForce: "ioc" } as const
    const { left, quantity, quoteQuantity } = placed(one.place(order(spend)))
    assert.deepStrictEqual([left, quantity, quoteQuantity], ["0.802", null, "150"])
  })

  it("cannot have the name of another, ended or not, and there are at most 500 open", () => {
    const { one } = make()
    placed(one.place(order({ clientOrderId: "a", quantity: "0.02" })))
    one.cancel({ clientOrderId: "a" })
    assert.strictEqual(one.place(order({ clientOrderId: "a" })), "duplicateClientOrderId")
    for (let i = 0; i < 499; i++) placed(one.place(order({ quantity: "0.02" })))
    placed(one.place(order({ quantity: "0.02" })))
    assert.strictEqual(one.place(order({ quantity: "0.02" })), "tooManyOrders")
    one.cancelAll()
    placed(one.place(order({ quantity: "0.02" })))
  })
})

describe("cancelling", () => {
  it("is refused for what is not there, or no more open", () => {
    const { events, one } = make()
    placed(one.place(order({ price: "100.1", quantity: "1", clientOrderId: "a" })))
    taken(events)
    assert.strictEqual(one.cancel({ id: 1 }), "orderFinished")
    assert.strictEqual(one.cancel({ clientOrderId: "a" }), "orderFinished")
    assert.strictEqual(one.cancel({ clientOrderId: "b" }), "unknownOrder")
    assert.deepStrictEqual(events, [])
  })

  it("takes it out of the market", () => {
    const { accounts, one } = make()
    const { id } = placed(one.place(order({ price: "100" })))
    one.cancel({ id })
    accounts.onTrade(pair, "sell", 1_000, 500, 2_000)
    assert.deepStrictEqual(one.fills({}), [])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["10000", "0"])
  })

  it("all of a pair, or all, and tells which", () => {
    const { one, two } = make()
    const ids = [1, 2, 3].map(() => placed(one.place(order({ quantity: "0.1" }))).id)
    placed(two.place(order({ quantity: "0.1" })))
    assert.deepStrictEqual(one.cancelAll("NO/PAIR"), [])
    assert.deepStrictEqual(
      one.cancelAll(pair).map(({ finish, id }) => `${id} ${finish}`),
      ids.map((id) => `${id} cancelled`)
    )
    assert.deepStrictEqual(one.cancelAll(), [])
    assert.lengthOf(two.orders({ open: true }), 1)
  })
})

describe("amending", () => {
  it("locks what it needs more, frees what it needs less, and is told", () => {
    const { events, one, pass } = make()
    const { id } = placed(one.place(order({ price: "99", quantity: "1" })))
    taken(events)
    pass(5)
    const amended = placed(one.amend({ id }, { price: "98.5", quantity: "2" }))
    assert.deepStrictEqual([amended.price, amended.quantity, amended.left, amended.updatedAt], [
      "98.5",
      "2",
      "2",
      1_005
    ])
    assert.deepStrictEqual(taken(events), ["USDT 9803 + 197 (orderPlaced 0)", "order 1 update: 0 filled, open"])
    placed(one.amend({ id }, { quantity: "0.5" }))
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9950.75", "49.25"])
    const { id: sell } = placed(one.place(order({ side: "sell", price: "105", quantity: "1" })))
    placed(one.amend({ id: sell }, { quantity: "1.5", price: "106" }))
    assert.deepStrictEqual(balanceOf(one, "BTC"), ["8.5", "1.5"])
  })

  it("may fill it, within its new price", () => {
    const { one } = make()
    const { id } = placed(one.place(order({ price: "99", quantity: "1.5" })))
    const amended = placed(one.amend({ id }, { price: "100.1" }))
    assert.deepStrictEqual([amended.filled, amended.left, amended.finish], ["1", "0.5", null])
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9849.85", "50.05"])
    const post = placed(one.place(order({ side: "sell", price: "105", timeInForce: "postOnly" })))
    assert.strictEqual(placed(one.amend({ id: post.id }, { price: "100" })).finish, "postOnly")
    assert.strictEqual(balanceOf(one, "BTC")[1], "0")
  })

  it("counts the filled part into the quantity", () => {
    const { one } = make()
    const { id } = placed(one.place(order({ price: "100.1", quantity: "2" })))
    const amended = placed(one.amend({ id }, { quantity: "1.5" }))
    assert.deepStrictEqual([amended.filled, amended.left, amended.finish], ["1", "0.5", null])
    assert.strictEqual(placed(one.amend({ id }, { quantity: "0.5" })).finish, "cancelled")
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["9899.9", "0"])
  })

  it("is refused with nothing changed", () => {
    const { events, one } = make()
    const { id } = placed(one.place(order({ price: "99", quantity: "1" })))
    taken(events)
    const before = one.order({ id })
    const refusals = [
      one.amend({ id: 99 }, { price: "98" }),
      one.amend({ id }, { price: "98.05" }),
      one.amend({ id }, { price: "-1" }),
      one.amend({ id }, { price: "x" }),
      one.amend({ id }, { quantity: "0" }),
      one.amend({ id }, { quantity: "0.015" }),
      one.amend({ id }, {}),
      one.amend({ id }, { price: "99.0", quantity: "1.00" }),
      one.amend({ id }, { quantity: "101.02" })
    ]
    assert.deepStrictEqual(refusals, [
      "unknownOrder",
      "badPrice",
      "badPrice",
      "badPrice",
      "badQuantity",
      "badQuantity",
      "noChange",
      "noChange",
      "insufficientBalance"
    ])
    assert.deepStrictEqual([events, one.order({ id })], [[], before])
    one.cancel({ id })
    assert.strictEqual(one.amend({ id }, { price: "98" }), "orderFinished")
  })

  it("a trigger order that waits changes what it will be", () => {
    const { accounts, one } = make()
    const trigger = { price: "99.5", rule: "atOrBelow" } as const
    const { id } = placed(one.place(order({ side: "sell", price: "101", quantity: "1", trigger })))
    const amended = placed(one.amend({ id }, { price: "99.8", quantity: "2" }))
    assert.deepStrictEqual([amended.price, amended.quantity, amended.waiting], ["99.8", "2", true])
    accounts.onTrade(pair, "sell", 995, 1, 2_000)
    assert.deepStrictEqual([one.order({ id })!.filled, one.order({ id })!.finish], ["2", "filled"])
  })

  it("an order that waits for nothing and has no price cannot be amended", () => {
    const { one } = make()
    const trigger = { price: "99.5", rule: "atOrBelow" } as const
    const market = { type: "market", price: null, timeInForce: "ioc", trigger } as const
    const { id } = placed(one.place(order({ ...market, side: "sell" })))
    assert.strictEqual(one.amend({ id }, { quantity: "2" }), "badQuantity")
    const spend = placed(one.place(order({ ...market, quantity: null, quoteQuantity: "50" })))
    assert.strictEqual(one.amend({ id: spend.id }, { price: "99" }), "badQuantity")
  })
})

describe("what can be read", () => {
  it("orders, open or ended, of a pair, newest first", () => {
    const { one } = make()
    for (let i = 0; i < 3; i++) one.place(order({ quantity: "0.1" }))
    one.cancel({ id: 2 })
    const ids = (orders: ReadonlyArray<WorldOrder>) => orders.map(({ id }) => id)
    assert.deepStrictEqual(ids(one.orders({ open: true })), [3, 1])
    assert.deepStrictEqual(ids(one.orders({ open: false })), [2])
    assert.deepStrictEqual(ids(one.orders({ open: true, pair })), [3, 1])
    assert.deepStrictEqual(ids(one.orders({ open: true, pair: "NO/PAIR" })), [])
    assert.deepStrictEqual(ids(one.orders({ open: false, pair: "NO/PAIR" })), [])
  })

  it("fills of a pair, of an order, since a time, oldest first", () => {
    const { one, pass } = make()
    one.place(order({ price: "100.1", quantity: "0.2" }))
    pass(10)
    one.place(order({ price: "100.1", quantity: "0.3" }))
    const quantities = (query: Parameters<typeof one.fills>[0]) => one.fills(query).map(({ quantity }) => quantity)
    assert.deepStrictEqual(quantities({}), ["0.2", "0.3"])
    assert.deepStrictEqual(quantities({ pair }), ["0.2", "0.3"])
    assert.deepStrictEqual(quantities({ pair: "NO/PAIR" }), [])
    assert.deepStrictEqual(quantities({ orderId: 2 }), ["0.3"])
    assert.deepStrictEqual(quantities({ since: 1_010 }), ["0.3"])
    assert.deepStrictEqual(quantities({ since: 1_011 }), [])
    assert.deepStrictEqual(quantities({ since: 1_000, orderId: 1 }), ["0.2"])
  })

  it("everybody who watches is told, until they stop", () => {
    const { events, one } = make()
    const other: Array<WorldAccountEvent> = []
    const stop = one.watch((event) => other.push(event))
    one.place(order())
    stop()
    one.cancelAll()
    assert.deepStrictEqual(taken(other), ["USDT 9901 + 99 (orderPlaced 0)", "order 1 put: 0 filled, open"])
    assert.lengthOf(events, 4)
  })

  it("deposits add to what is there", () => {
    const { events, one } = make()
    one.deposit("ETH", Decimal.of("3"))
    assert.deepStrictEqual(balanceOf(one, "ETH"), ["3", "0"])
    assert.deepStrictEqual(taken(events), ["ETH 3 + 0 (deposit 3)"])
  })
})

describe("a dead man's switch", () => {
  it("of one pair, of all, or disarmed", () => {
    const { accounts, one } = make()
    placed(one.place(order()))
    assert.strictEqual(one.countdown(5_000, "NO/PAIR"), 6_000)
    accounts.tick(6_000)
    assert.lengthOf(one.orders({ open: true }), 1)
    assert.strictEqual(one.countdown(5_000, pair), 6_000)
    assert.strictEqual(one.countdown(0, pair), 0)
    accounts.tick(60_000)
    assert.lengthOf(one.orders({ open: true }), 1)
    one.countdown(5_000)
    assert.strictEqual(one.countdown(0), 0)
    accounts.tick(60_000)
    assert.lengthOf(one.orders({ open: true }), 1)
    one.countdown(5_000, pair)
    accounts.tick(5_999)
    assert.lengthOf(one.orders({ open: true }), 1)
    accounts.tick(6_000)
    assert.lengthOf(one.orders({ open: true }), 0)
    // It strikes once.
    placed(one.place(order()))
    accounts.tick(60_000)
    assert.lengthOf(one.orders({ open: true }), 1)
  })
})

describe("a trigger order", () => {
  const rows = [
    ["atOrBelow", 995, true],
    ["atOrBelow", 994, true],
    ["atOrBelow", 996, false],
    ["atOrAbove", 995, true],
    ["atOrAbove", 996, true],
    ["atOrAbove", 994, false]
  ] as const
  for (const [rule, last, goes] of rows) {
    it(`${rule} 99.5 ${goes ? "goes" : "waits"} at ${last / 10}`, () => {
      const { accounts, one } = make()
      const { id } = placed(one.place(order({ price: "98", quantity: "1", trigger: { price: "99.5", rule } })))
      assert.deepStrictEqual(balanceOf(one, "USDT"), ["9902", "98"])
      accounts.onTrade("NO/PAIR", "sell", last, 1, 2_000)
      assert.isTrue(one.order({ id })!.waiting)
      accounts.onTrade(pair, "sell", last, 1, 2_000)
      assert.strictEqual(one.order({ id })!.waiting, !goes)
      accounts.onTrade(pair, "sell", 980, 40, 2_000)
      assert.strictEqual(one.order({ id })!.filled, goes ? "0.4" : "0")
    })
  }

  it("that waits is not in the market, and can be cancelled", () => {
    const { accounts, one } = make()
    const trigger = { price: "120", rule: "atOrAbove" } as const
    const { id } = placed(one.place(order({ price: "100", trigger })))
    accounts.onTrade(pair, "sell", 1_000, 500, 2_000)
    assert.strictEqual(one.order({ id })!.filled, "0")
    assert.strictEqual(placed(one.cancel({ id })).finish, "cancelled")
    accounts.onTrade(pair, "sell", 1_200, 500, 2_000)
    assert.strictEqual(one.order({ id })!.finish, "cancelled")
    assert.deepStrictEqual(balanceOf(one, "USDT"), ["10000", "0"])
  })
})

// ---- Swaps ----

const swap = "BTC/USDT:USDT"

const contracts = (fields: Partial<WorldPlace>) => order({ pair: swap, quantity: "100", ...fields })

const startSwap = (markPrice = () => "100") => {
  const started = make({ pair: swap, quantityDecimals: 0, minQuantity: "1", contractSize: "0.01", markPrice })
  started.one.setLeverage(swap, "10")
  started.events.length = 0
  return started
}

describe("an order of a swap account", () => {
  it("is told in order: margin, profit, fee, position", () => {
    const { events, one } = startSwap()
    placed(one.place(contracts({ price: "100.2", quantity: "150" })))
    assert.deepStrictEqual(taken(events), [
      "USDT 9984.97 + 15.03 (orderPlaced 0)",
      "order 1 put: 0 filled, open",
      "fill 100 at 100.1, taker",
      "order 1 update: 100 filled, open",
      "USDT 9984.98 + 15.02 (orderFilled 0)",
      "USDT 9984.7798 + 15.02 (fee -0.2002)",
      "position 100 margin 10.01",
      "fill 50 at 100.2, taker",
      "order 1 finish: 150 filled, filled",
      "USDT 9984.6796 + 15.02 (fee -0.1002)",
      "position 150 margin 15.02"
    ])
    placed(one.place(contracts({ side: "sell", price: "99.9", quantity: "100" })))
    const closing = taken(events)
    assert.include(closing, "fill 100 at 99.9, taker")
    assert.isFalse(closing.some((line) => line.startsWith("closed")))
    placed(one.place(contracts({ side: "sell", price: "99.8", quantity: "50" })))
    assert.include(taken(events), "closed long -0.16666666666667")
    assert.strictEqual(balanceOf(one, "USDT")[1], "0")
  })

  it("of one that closes needs no margin; of one that turns it round only for the rest", () => {
    const { one } = startSwap()
    placed(one.place(contracts({ price: "100.1" })))
    placed(one.place(contracts({ side: "sell", price: "105", quantity: "40" })))
    assert.strictEqual(balanceOf(one, "USDT")[1], "10.01")
    placed(one.place(contracts({ side: "sell", price: "105", quantity: "130" })))
    assert.strictEqual(balanceOf(one, "USDT")[1], "13.16")
    // Another that opens more needs its own.
    placed(one.place(contracts({ price: "90", quantity: "10" })))
    assert.strictEqual(balanceOf(one, "USDT")[1], "14.06")
  })

  it("at any price reserves by the mark price", () => {
    const { events, one } = startSwap(() => "110")
    placed(one.place(contracts({ type: "market", price: null, quantity: "50", timeInForce: "ioc" })))
    assert.strictEqual(taken(events)[0], "USDT 9994.5 + 5.5 (orderPlaced 0)")
    assert.strictEqual(balanceOf(one, "USDT")[1], "5.005")
  })

  it("that needs more margin than there is, or spends quote, is refused", () => {
    const { events, one } = startSwap()
    assert.strictEqual(one.place(contracts({ price: "99", quantity: "200000" })), "insufficientBalance")
    const spend = { type: "market", price: null, quantity: null, quoteQuantity: "100" } as const
    assert.strictEqual(one.place(contracts(spend)), "badQuantity")
    assert.deepStrictEqual(events, [])
  })

  it("is too small by the value of its contracts", () => {
    const { one } = startSwap()
    assert.strictEqual(placed(one.place(contracts({ price: "100", quantity: "1" }))).left, "1")
    assert.strictEqual(one.place(contracts({ price: "99.9", quantity: "1" })), "tooSmall")
  })

  it("amended needs the margin of what it opens then", () => {
    const { one } = startSwap()
    const { id } = placed(one.place(contracts({ price: "90", quantity: "100" })))
    assert.strictEqual(balanceOf(one, "USDT")[1], "9")
    placed(one.amend({ id }, { quantity: "50" }))
    assert.strictEqual(balanceOf(one, "USDT")[1], "4.5")
    placed(one.amend({ id }, { price: "95" }))
    assert.strictEqual(balanceOf(one, "USDT")[1], "4.75")
    assert.strictEqual(one.amend({ id }, { quantity: "1000000" }), "insufficientBalance")
    assert.strictEqual(balanceOf(one, "USDT")[1], "4.75")
  })

  it("shows its value in quote and its mean price by the contract", () => {
    const { one } = startSwap()
    const shown = placed(one.place(contracts({ price: "100.2", quantity: "150" })))
    assert.deepStrictEqual(
      [shown.filledQuote, shown.averagePrice, shown.fee, shown.feeAsset],
      ["150.2", "100.133333333333", "0.3004", "USDT"]
    )
    const sold = placed(one.place(contracts({ side: "sell", price: "99.9", quantity: "10" })))
    assert.strictEqual(sold.feeAsset, "USDT")
  })
})

describe("reduce-only", () => {
  it("is refused on a flat position, and on one of its own side", () => {
    const { one } = startSwap()
    assert.strictEqual(one.place(contracts({ reduceOnly: true })), "reduceOnlyIncreases")
    placed(one.place(contracts({ price: "100.1" })))
    assert.strictEqual(one.place(contracts({ reduceOnly: true, price: "99" })), "reduceOnlyIncreases")
  })

  it("locks nothing, and closes what is open and no more", () => {
    const { events, one } = startSwap()
    placed(one.place(contracts({ price: "100.1", quantity: "30" })))
    taken(events)
    const [, locked] = balanceOf(one, "USDT")
    const resting = placed(one.place(contracts({ side: "sell", price: "105", quantity: "30", reduceOnly: true })))
    assert.strictEqual(balanceOf(one, "USDT")[1], locked)
    assert.strictEqual(placed(one.amend({ id: resting.id }, { price: "106" })).price, "106")
    assert.strictEqual(balanceOf(one, "USDT")[1], locked)
    const sold = placed(one.place(contracts({ side: "sell", price: "99.9", quantity: "80", reduceOnly: true })))
    assert.deepStrictEqual([sold.filled, sold.finish], ["30", "reduceOnly"])
    assert.deepStrictEqual(one.positions().map(({ size }) => size), ["0"])
  })
})

describe("positions of an account", () => {
  it("are read by contract; spot has none", () => {
    const { one } = make()
    assert.deepStrictEqual(one.positions(), [])
    assert.strictEqual(one.setLeverage(pair, "3"), "unknownPair")
    assert.strictEqual(one.setLeverage("NO/PAIR:PAIR", "3"), "unknownPair")
    assert.strictEqual(one.setMode(pair, "cross"), "unknownPair")
  })

  it("take a leverage from 0 to 100, and the margin follows", () => {
    const { events, one } = startSwap()
    for (const wrong of ["-1", "100.1", "x", ""]) assert.strictEqual(one.setLeverage(swap, wrong), "badLeverage")
    assert.deepStrictEqual(events, [])
    placed(one.place(contracts({ price: "100.1" })))
    taken(events)
    assert.deepInclude(one.setLeverage(swap, "100") as object, { leverage: "100", margin: "1.001", mode: "isolated" })
    assert.deepStrictEqual(taken(events), [
      "USDT 9998.7988 + 1.001 (orderPlaced 0)",
      "position 100 margin 1.001"
    ])
    assert.deepInclude(one.setLeverage(swap, "0") as object, { leverage: "0", mode: "cross", margin: "10.01" })
    one.setLeverage(swap, "5")
    assert.strictEqual(balanceOf(one, "USDT")[1], "20.02")
    assert.strictEqual(one.setLeverage(swap, "0.01"), "insufficientBalance")
    assert.deepStrictEqual([balanceOf(one, "USDT")[1], one.positions()[0]!.leverage], ["20.02", "5"])
  })

  it("change their mode, with a tenth of their value as margin", () => {
    const { events, one } = startSwap()
    one.setLeverage(swap, "20")
    taken(events)
    assert.deepInclude(one.setMode(swap, "isolated") as object, { mode: "isolated", leverage: "20" })
    assert.deepStrictEqual(events, [])
    assert.deepInclude(one.setMode(swap, "cross") as object, { mode: "cross", leverage: "0" })
    assert.lengthOf(events, 1)
    assert.deepInclude(one.setMode(swap, "cross") as object, { mode: "cross" })
    assert.lengthOf(events, 1)
    assert.deepInclude(one.setMode(swap, "isolated") as object, { mode: "isolated", leverage: "10" })
  })

  it("count their changes and tell when", () => {
    const { one, pass } = startSwap()
    const [first] = one.positions()
    pass(9)
    placed(one.place(contracts({ price: "100.1" })))
    const [next] = one.positions()
    assert.deepStrictEqual([next!.updateId - first!.updateId, next!.time], [1, 1_009])
  })
})

describe("what the exchange does to a position", () => {
  it("funding: longs pay shorts by the mark price, or the other way round", () => {
    for (
      const [side, price, rate, change] of [
        ["buy", "100.1", "0.001", "-0.11"],
        ["buy", "100.1", "-0.001", "0.11"],
        ["sell", "99.9", "0.001", "0.11"],
        ["sell", "99.9", "-0.001", "-0.11"]
      ] as const
    ) {
      const { accounts, events, one, pass } = startSwap(() => "110")
      placed(one.place(contracts({ side, price })))
      const [before] = one.positions()
      taken(events)
      pass(3)
      accounts.fund(swap, rate)
      const [told, position] = events
      assert(told?._tag === "Balance" && position?._tag === "Position")
      assert.deepInclude(told.balance, {
        asset: "USDT",
        change,
        cause: "funding",
        orderId: null,
        pair: swap,
        time: 1_003
      })
      const paid = BigDecimal.sum(Decimal.of(before!.realisedPnl), Decimal.of(change))
      assert.strictEqual(position.position.realisedPnl, Decimal.toText(BigDecimal.normalize(paid)))
      assert.strictEqual(position.position.updateId, before!.updateId + 1)
    }
  })

  it("nothing of a flat one, nor of another pair", () => {
    const { accounts, events, one } = startSwap()
    accounts.fund(swap, "0.001")
    accounts.fund("NO/PAIR:PAIR", "0.001")
    accounts.settle(swap, 2_000)
    one.deleverage(swap, Decimal.of("1"), Decimal.of("100"))
    one.deleverage("NO/PAIR:PAIR", Decimal.of("1"), Decimal.of("100"))
    assert.isFalse(one.liquidate(swap, () => Decimal.of("100")))
    assert.isFalse(one.liquidate("NO/PAIR:PAIR", () => Decimal.of("100")))
    assert.deepStrictEqual(events, [])
  })

  it("liquidation takes the margin, cancels what is open, and is told whole", () => {
    for (
      const [side, price, holds, falls, size] of [
        ["buy", "100.1", "90.8", "90.7", "100"],
        ["sell", "99.9", "109.1", "109.2", "-100"]
      ] as const
    ) {
      let mark = "100"
      const { accounts, events, one } = startSwap(() => mark)
      placed(one.place(contracts({ side, price })))
      placed(one.place(contracts({ side, price: side === "buy" ? "50" : "150", quantity: "10" })))
      const margin = one.positions()[0]!.margin
      taken(events)
      mark = holds
      accounts.settle(swap, 2_000)
      assert.deepStrictEqual(taken(events), [], `${side} at ${holds}`)
      mark = falls
      accounts.settle(swap, 2_000)
      const liquidation = events.find(({ _tag }) => _tag === "Liquidation")
      assert.deepStrictEqual(liquidation, {
        _tag: "Liquidation",
        pair: swap,
        orderId: 3,
        size,
        entryPrice: price,
        price: falls,
        margin,
        leverage: "10",
        time: 1_000
      })
      // What the account lost, whatever the price it was taken over at.
      assert.deepInclude(one.positions()[0], { realisedPnl: "0", lastClosePnl: `-${margin}` })
      const lines = taken(events)
      assert.include(lines[0]!, "order 2 finish: 0 filled, cancelled")
      assert.deepStrictEqual(lines.slice(-3), [
        `liquidated ${size} at ${falls}`,
        "position 0 margin 0",
        `closed ${side === "buy" ? "long" : "short"} -${margin}`
      ])
      assert.include(lines.at(-4)!, `+ 0 (pnl -${margin})`)
      assert.deepStrictEqual(balanceOf(one, "USDT")[1], "0")
      assert.deepStrictEqual(one.orders({ open: true }), [])
    }
  })

  it("deleveraging closes a part at a price, and is told", () => {
    for (const [side, price, sign] of [["buy", "100.1", ""], ["sell", "99.9", "-"]] as const) {
      const { events, one } = startSwap()
      placed(one.place(contracts({ side, price })))
      const [available] = balanceOf(one, "USDT")
      taken(events)
      one.deleverage(swap, Decimal.of("40"), Decimal.of("101"))
      const pnl = side === "buy" ? 0.36 : -0.44
      const margin = side === "buy" ? 4.004 : 3.996
      assert.strictEqual(
        Number(balanceOf(one, "USDT")[0]).toFixed(6),
        (Number(available) + pnl + margin).toFixed(6)
      )
      assert.deepStrictEqual(events[1], {
        _tag: "AutoDeleverage",
        pair: swap,
        size: `${sign}40`,
        left: `${sign}60`,
        entryPrice: price,
        price: "101",
        time: 1_000
      })
      assert.deepStrictEqual(taken(events).map((line) => line.split(" ")[0]), ["USDT", "deleveraged", "position"])
      one.deleverage(swap, Decimal.of("100"), Decimal.of("101"))
      assert.strictEqual(one.positions()[0]!.size, "0")
      assert.strictEqual(balanceOf(one, "USDT")[1], "0")
    }
  })
})
