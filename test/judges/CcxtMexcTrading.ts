/** `ccxt.pro.mexc` trades on our simulated MEXC: what it is told and what it reads is what the simulator knows. */
import { Effect } from "effect"
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict"
import { demoAccounts, dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"
import * as Trading from "./Trading.ts"

export const id = "mexc-spot"
const pair = "BTC/USDT"

/** On the machine's clock, whose time the requests carry. */
export const dial = Effect.gen(function*() {
  const simulator = yield* Simulator.make({
    dialects,
    pairs: [pair, "ETH/USDT"],
    seed: 5,
    rate: 20,
    levels: 50,
    accounts: demoAccounts
  })
  // The longest that MEXC grants a request to arrive: this machine may be busy.
  const exchange = yield* Judges.ccxtMexc(simulator.urls[id]!, { recvWindow: 60_000 }, Trading.keysOf(id))
  return { simulator, exchange }
})

const trade = (side: "buy" | "sell", price: string, quantity: string) =>
  ({ _tag: "Trade", side, price, quantity }) as const

/** Places, reads, cancels and fills, and hears everything; dies when ccxt and the simulator disagree. */
export const course = Effect.gen(function*() {
  const { exchange, simulator } = yield* dial
  const account = new Trading.Account()
  const truth = () => Trading.truthOf(simulator, id)
  const heard = yield* Trading.listen(exchange, undefined, {})
  yield* Judges.settled(() => simulator.topics(id).size === 3, 30_000)
  const place = (...order: Parameters<typeof exchange.createOrder>) =>
    Effect.promise(async () => account.placed(await exchange.createOrder(...order)))

  yield* place(pair, "limit", "buy", 0.01, 70_000, { clientOrderId: "judge-1" })
  const open = yield* Effect.promise(() => exchange.fetchOpenOrders(pair))
  deepStrictEqual(open.map((order) => account.orderRow(order)), Trading.trueOrders(truth()))
  strictEqual(open[0]!.clientOrderId, "judge-1")
  yield* Effect.promise(() => exchange.cancelOrder(account.idOf(1), pair))
  const refused = yield* Effect.promise(() => exchange.cancelOrder(account.idOf(1), pair).catch(String))
  ok(String(refused).includes("-2011"), String(refused))
  yield* Effect.promise(async () => account.placed(await exchange.createMarketBuyOrderWithCost(pair, 500)))
  yield* place(pair, "market", "sell", 0.002)
  yield* place(pair, "limit", "sell", 0.01, 90_000, { postOnly: true })
  yield* simulator.publish(id, pair, trade("buy", "90000", "0.004"))
  const poor = yield* Effect.promise(() => exchange.createOrder(pair, "limit", "buy", 1_000, 70_000).catch(String))
  match(String(poor), /^InsufficientFunds/u)

  strictEqual(truth().orders.length, 4)
  const orders = yield* Effect.promise(() => exchange.fetchOrders(pair))
  const rows = orders.map((order) => account.orderRow(order))
  deepStrictEqual(Trading.comparable(rows), Trading.comparable(Trading.trueOrders(truth())))
  const fills = yield* Effect.promise(() => exchange.fetchMyTrades(pair))
  deepStrictEqual(fills.map((fill) => account.fillRow(fill)), Trading.trueFills(truth()))
  const assets = truth().balances.map(({ asset }) => asset)
  const balances = yield* Effect.promise(() => exchange.fetchBalance())
  deepStrictEqual(Trading.balancesOf(balances, assets), Trading.trueBalances(truth()))

  const trueFills = Trading.trueFills(truth())
  yield* Judges.settled(() => heard.fills.length >= trueFills.length, 30_000)
  // It does not read who was the maker from the pushes.
  const asTaker = trueFills.map((row) => row.with(6, "taker"))
  deepStrictEqual<unknown>(heard.fills.map((fill) => account.fillRow(fill)), asTaker)
  const states = () =>
    Trading.lastOrders(account, heard).map(([order, status, , , , , filled]) => [order, status, filled])
  const trueStates = Trading.trueOrders(truth()).map(([order, status, , , , , filled]) => [order, status, filled])
  yield* Judges.settled(() => JSON.stringify(states()) === JSON.stringify(trueStates), 30_000)
  const moved = ["USDT", "BTC"]
  const expected = Trading.balancesOf(balances, moved)
  yield* Judges.settled(
    () => JSON.stringify(Trading.balancesOf(heard.balances(), moved)) === JSON.stringify(expected),
    30_000
  )
  deepStrictEqual(heard.errors().map(String), [])
  deepStrictEqual(simulator.counts().failures, [])
  return { orders: truth().orders.length, fills: truth().fills.length }
}).pipe(Effect.scoped)
