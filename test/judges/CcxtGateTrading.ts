/** `ccxt.pro.gate` trades on our simulated Gate: what it is told and what it reads is what the simulator knows. */
import { Effect } from "effect"
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { demoAccounts, dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { AccountTruth, SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"
import * as Trading from "./Trading.ts"

export interface Product {
  readonly id: "gate-spot" | "gate-futures"
  readonly pair: TradingPair
  readonly open: (simulator: SimulatorService) => ReturnType<typeof Judges.ccxtGate>
  /** Of the resting orders, in base or contracts. */
  readonly amount: number
  /** Asked for and sold at any price; on spot for 500 USDT. */
  readonly bought: number
  readonly sold: number
  /** More than there is money for. */
  readonly tooMuch: number
  /** Private topics that it subscribes to. */
  readonly topics: number
  readonly params: object
  /** Whether there are positions, and leverage to set. */
  readonly leveraged: boolean
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
  leveraged: false,
  assets: ["USDT", "BTC"]
}

const futures: Product = {
  id: "gate-futures",
  pair: "BTC/USDT:USDT",
  open: ({ urls }) => {
    const [account] = demoAccounts["gate-futures"]!
    return Judges.ccxtGateFutures(urls, { ...Trading.keysOf("gate-futures"), uid: account!.userId })
  },
  amount: 10,
  bought: 60,
  sold: 20,
  tooMuch: 10_000_000,
  topics: 4,
  params: { type: "swap" },
  leveraged: true,
  assets: ["USDT"]
}

export const products = [spot, futures]

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

type PositionRow = readonly [contracts: unknown, side: unknown, entryPrice: unknown, leverage: unknown]

interface CcxtPosition {
  readonly contracts?: unknown
  readonly side?: unknown
  readonly entryPrice?: unknown
  readonly leverage?: unknown
}

const positionRow = ({ contracts, entryPrice, leverage, side }: CcxtPosition): PositionRow => [
  contracts,
  side,
  entryPrice,
  leverage
]

const truePositions = ({ positions }: AccountTruth): ReadonlyArray<PositionRow> =>
  positions.map(({ entryPrice, leverage, size }) => [
    Math.abs(+size),
    size.startsWith("-") ? "short" : "long",
    +entryPrice,
    +leverage
  ])

/** The positions as the stream told them last. */
const following = (exchange: Judges.CcxtGate, pair: TradingPair) =>
  Effect.gen(function*() {
    let last: ReadonlyArray<PositionRow> = []
    yield* Judges.follow(() => exchange.watchPositions([pair]), (told: ReadonlyArray<CcxtPosition>) => {
      last = told.map(positionRow)
    })
    return () => last
  })

/**
 * Places, changes, cancels and fills, over REST and the WebSocket, and hears everything; dies when ccxt and the simulator
 * disagree.
 */
export const course = (product: Product) => {
  const { amount, assets, bought, id, leveraged, pair, params, sold, tooMuch, topics } = product
  return Effect.gen(function*() {
    const { exchange, simulator } = yield* dial(product)
    const account = new Trading.Account()
    const truth = () => Trading.truthOf(simulator, id)
    const call = <A>(run: () => Promise<A>) => Effect.promise(run)
    const heard = yield* Trading.listen(exchange, pair, params)
    const positions = leveraged ? yield* following(exchange, pair) : () => []
    yield* Judges.settled(() => simulator.topics(id).size === topics, 30_000)
    if (leveraged) yield* call(() => exchange.setLeverage(20, pair))
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
    match(String(again), /ORDER_CANCELLED|ORDER_FINISHED/u)

    yield* rest("market", "buy", bought, undefined, leveraged ? {} : { cost: 500 })
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
    const read = leveraged ? yield* call(() => exchange.fetchPositions([pair])) : []
    deepStrictEqual(read.map(positionRow), truePositions(truth()))
    for (const [index, order] of Trading.trueOrders(truth()).entries()) {
      const read = yield* call(() => exchange.fetchOrder(account.idOf(index + 1), pair))
      deepStrictEqual(states([account.orderRow(read)]), states([order]))
    }

    yield* Judges.settled(() => heard.fills.length >= fills.length, 30_000)
    deepStrictEqual(heard.fills.map((fill) => account.fillRow(fill)), fillRows)
    const expected = JSON.stringify(states(Trading.trueOrders(truth())))
    yield* Judges.settled(() => JSON.stringify(states(Trading.lastOrders(account, heard))) === expected, 30_000)
    // Of contracts it hears only how much there is of all.
    const totals = (balances: object) => JSON.stringify(assets.map((asset) => Trading.totalOf(balances, asset)))
    yield* Judges.settled(() => totals(heard.balances()) === totals(balances), 30_000)
    const held = JSON.stringify(truePositions(truth()))
    yield* Judges.settled(() => JSON.stringify(positions()) === held, 30_000)
    deepStrictEqual(heard.errors().map(String), [])
    deepStrictEqual(simulator.counts().failures, [])
    return { orders: truth().orders.length, fills: truth().fills.length }
  }).pipe(Effect.scoped)
}
