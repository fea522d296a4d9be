/** `ccxt.pro.gate` trades on our simulated Gate: what it is told and what it reads is what the simulator knows. */
import { Effect } from "effect"
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { demoAccounts, dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"
import * as Trading from "./Trading.ts"

export interface Product {
  readonly id: "gate-spot" | "gate-futures"
  readonly pair: TradingPair
  readonly open: (simulator: SimulatorService) => ReturnType<typeof Judges.ccxtGate>
  /** Of the resting orders, in base or contracts. */
  readonly amount: number
  /** Asked for and sold at any price. */
  readonly bought: number
  readonly sold: number
  /** More than there is money for. */
  readonly tooMuch: number
  /** Private topics that it subscribes to. */
  readonly topics: number
  readonly params: object
  /** Assets that move. */
  readonly assets: ReadonlyArray<string>
}

const spot: Product = {
  id: "gate-spot",
  pair: "BTC/USDT",
  open: ({ urls }) => Judges.ccxtGate(urls["gate-spot"]!, Trading.keysOf("gate-spot")),
  amount: 0.01,
  bought: 0.006,
  sold: 0.002,
  tooMuch: 1_000,
  topics: 3,
  params: {},
  assets: ["USDT", "BTC"]
}

export const products = [spot]

/** On the machine's clock, whose time the requests carry. */
const dial = Effect.fnUntraced(function*({ id, open, pair }: Product) {
  const simulator = yield* Simulator.make({
    dialects,
    pairs: [pair],
    seed: 6,
    rate: 20,
    levels: 50,
    accounts: { [id]: demoAccounts[id]! }
  })
  return { simulator, exchange: yield* open(simulator) }
})

const placing = (exchange: Judges.CcxtGate, account: Trading.Account, { pair, params }: Product) => {
  type Rest = [price?: number, more?: object]
  const rest = (type: string, side: "buy" | "sell", amount: number, ...[price, more]: Rest) =>
    Effect.promise(async () =>
      account.placed(await exchange.createOrder(pair, type, side, amount, price, { ...params, ...more }))
    )
  const socket = (type: string, side: "buy" | "sell", amount: number, ...[price, more]: Rest) =>
    Effect.promise(async () =>
      account.placed(await exchange.createOrderWs(pair, type, side, amount, price, { ...params, ...more }))
    )
  return { rest, socket }
}

/**
 * Places, changes, cancels and fills, over REST and the WebSocket, and hears everything; dies when ccxt and the simulator
 * disagree.
 */
export const course = (product: Product) => {
  const { amount, assets, bought, id, pair, params, sold, tooMuch, topics } = product
  return Effect.gen(function*() {
    const { exchange, simulator } = yield* dial(product)
    const account = new Trading.Account()
    const truth = () => Trading.truthOf(simulator, id)
    const call = <A>(run: () => Promise<A>) => Effect.promise(run)
    const heard = yield* Trading.listen(exchange, pair, params)
    yield* Judges.settled(() => simulator.topics(id).size === topics, 30_000)
    const { rest, socket } = placing(exchange, account, product)

    yield* rest("limit", "buy", amount, 70_000, { clientOrderId: "judge-1" })
    yield* socket("limit", "buy", amount, 71_000)
    const open = yield* call(() => exchange.fetchOpenOrders(pair))
    const rows = open.map((order) => account.orderRow(order))
    deepStrictEqual(Trading.comparable(rows), Trading.comparable(Trading.trueOrders(truth())))
    yield* call(() => exchange.editOrder(account.idOf(1), pair, "limit", "buy", amount, 70_500))
    yield* call(() => exchange.editOrderWs(account.idOf(2), pair, "limit", "buy", amount, 71_500))
    yield* call(() => exchange.cancelOrder(account.idOf(1), pair))
    yield* call(() => exchange.cancelOrderWs(account.idOf(2), pair))
    const again = yield* call(() => exchange.cancelOrder(account.idOf(1), pair).catch(String))
    match(String(again), /^InvalidOrder|^OrderNotFound/u)

    yield* rest("market", "buy", bought, undefined, { cost: 500 })
    yield* rest("market", "sell", sold)
    yield* socket("limit", "sell", amount, 90_000, { postOnly: true })
    const change = { _tag: "Trade", side: "buy", price: "90000", quantity: String(amount / 2) } as const
    yield* simulator.publish(id, pair, change)
    for (const place of [rest, socket]) {
      const poor = yield* Effect.exit(place("limit", "buy", tooMuch, 70_000))
      ok(String(poor).includes("InsufficientFunds"), String(poor))
    }

    strictEqual(truth().orders.length, 5)
    const states = (rows: ReadonlyArray<Trading.OrderRow>) => Trading.comparable(rows)
    const fills = yield* call(() => exchange.fetchMyTrades(pair))
    const fillRows = fills.map((fill) => account.fillRow(fill))
    deepStrictEqual(fillRows, Trading.trueFills(truth()))
    const balances = yield* call(() => exchange.fetchBalance(params))
    const trueBalances = Trading.balancesOf(balances, assets)
    for (const asset of assets) deepStrictEqual(trueBalances[asset], Trading.trueBalances(truth())[asset])
    for (const [index, order] of Trading.trueOrders(truth()).entries()) {
      const read = yield* call(() => exchange.fetchOrder(account.idOf(index + 1), pair))
      deepStrictEqual(states([account.orderRow(read)]), states([order]))
    }

    yield* Judges.settled(() => heard.fills.length >= fills.length, 30_000)
    deepStrictEqual(heard.fills.map((fill) => account.fillRow(fill)), fillRows)
    const expected = JSON.stringify(states(Trading.trueOrders(truth())))
    yield* Judges.settled(() => JSON.stringify(states(Trading.lastOrders(account, heard))) === expected, 30_000)
    yield* Judges.settled(
      () => JSON.stringify(Trading.balancesOf(heard.balances(), assets)) === JSON.stringify(trueBalances),
      30_000
    )
    deepStrictEqual(heard.errors().map(String), [])
    deepStrictEqual(simulator.counts().failures, [])
    return { orders: truth().orders.length, fills: truth().fills.length }
  }).pipe(Effect.scoped)
}
