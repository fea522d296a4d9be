/** `gateio-api` trades on our simulated Gate, over REST and the WebSocket API, and hears its account. */
import { Effect } from "effect"
import { RestClient } from "gateio-api"
import { deepStrictEqual, partialDeepStrictEqual, strictEqual } from "node:assert/strict"
import { demoAccounts, dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"
import * as Trading from "./Trading.ts"

const spot = { id: "gate-spot", pair: "BTC/USDT" } as const
const futures = { id: "gate-futures", pair: "BTC/USDT:USDT" } as const
const symbol = "BTC_USDT"

/** It signs the path of its base address, so the exchange is alone and needs no id in it. */
const dial = Effect.fnUntraced(function*({ id, pair }: typeof spot | typeof futures) {
  const simulator = yield* Simulator.make({
    dialects: dialects.filter((dialect) => dialect.id === id),
    pairs: [pair],
    seed: 7,
    rate: 20,
    levels: 50,
    accounts: { [id]: demoAccounts[id]! }
  })
  const { rest, ws } = simulator.urls[id]!
  const { apiKey, secret } = Trading.keysOf(id)
  const keys = { apiKey, apiSecret: secret }
  return {
    simulator,
    truth: () => Trading.truthOf(simulator, id),
    rest: new RestClient({ baseUrl: rest.replace(`/${id}`, ""), ...keys }),
    api: yield* Judges.gateioOrders({ rest, ws }, keys),
    stream: yield* Judges.gateioApi({ rest, ws }, keys)
  }
})

const call = <A>(run: () => Promise<A>) => Effect.promise(run)

/**
 * Of the WebSocket API. When it has waited for its login for some ms, it writes them behind the seconds of the timestamp
 * ("17956299643"), which no exchange takes: it is asked again.
 */
const ordering = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: (error) => error as { readonly data?: { readonly errs?: { label?: string } } } })
    .pipe(
      Effect.retry({ times: 20, while: ({ data }) => data?.errs?.label === "REQUEST_EXPIRED" }),
      Effect.orDie
    )

interface Push {
  readonly channel: string
  readonly result: ReadonlyArray<Readonly<Record<string, string>>>
}

/** Places, reads, cancels and fills, and hears everything; dies when it and the simulator disagree. */
export const course = Effect.gen(function*() {
  const { api, rest, simulator, stream, truth } = yield* dial(spot)
  const heard: Array<Push> = []
  stream.on("update", (push: Push) => heard.push(push))
  stream.subscribe(
    [
      { topic: "spot.orders", payload: ["!all"] },
      { topic: "spot.usertrades", payload: ["!all"] },
      { topic: "spot.balances" }
    ],
    "spotV4"
  )
  yield* Judges.settled(() => simulator.topics(spot.id).size === 3, 30_000)

  const limit = { currency_pair: symbol, side: "buy", amount: "0.01" } as const
  const { id: first } = yield* call(() => rest.submitSpotOrder({ ...limit, price: "70000", text: "t-judge" }))
  const open = yield* call(() => rest.getSpotOpenOrders({}))
  deepStrictEqual(open.flatMap(({ orders }) => orders.map(({ left, text }) => [text, left])), [
    ["t-judge", "0.01"]
  ])
  strictEqual(truth().orders[0]!.clientOrderId, "judge")
  yield* call(() => rest.cancelSpotOrder({ order_id: first!, currency_pair: symbol }))
  yield* call(() =>
    rest.submitSpotOrder({
      currency_pair: symbol,
      side: "buy",
      type: "market",
      amount: "500",
      time_in_force: "ioc"
    })
  )
  yield* ordering(() => api.submitNewSpotOrder({ ...limit, side: "sell", price: "90000", text: "t-judge2" }))
  yield* Judges.settled(() => truth().orders.length === 3, 30_000)
  const change = { _tag: "Trade", side: "buy", price: "90000", quantity: "0.004" } as const
  yield* simulator.publish(spot.id, spot.pair, change)
  const last = String(truth().orders[2]!.id)
  const cancelled = yield* ordering(() => api.cancelSpotOrder({ order_id: last, currency_pair: symbol }))
  deepStrictEqual(cancelled.data.result.left, "0.006")

  const accounts = yield* call(() => rest.getSpotAccounts())
  deepStrictEqual(
    accounts.map(({ available, currency, locked }) => ({ asset: currency, available, locked })),
    truth().balances
  )
  const fillOf = (fill: Readonly<Record<string, unknown>>) =>
    ["order_id", "side", "price", "amount", "fee", "fee_currency", "role"].map((field) => String(fill[field]))
  const trueFills = truth().fills.map((fill) =>
    [fill.orderId, fill.side, fill.price, fill.quantity, fill.fee, fill.feeAsset, fill.liquidity].map(String)
  )
  const history = yield* call(() => rest.getSpotTradingHistory({ currency_pair: symbol }))
  const byId = history.toSorted((a, b) => Number(a.id) - Number(b.id))
  deepStrictEqual(byId.map((fill) => fillOf({ ...fill })), trueFills)

  const told = (channel: string) => heard.filter((push) => push.channel === channel).flatMap(({ result }) => result)
  yield* Judges.settled(() => told("spot.orders").filter(({ event }) => event === "finish").length === 3, 30_000)
  deepStrictEqual(told("spot.usertrades").map(fillOf), trueFills)
  const states = new Map(told("spot.orders").map(({ finish_as, left, text }) => [text, [finish_as, left]]))
  deepStrictEqual([states.get("t-judge"), states.get("t-judge2")], [["cancelled", "0.01"], [
    "cancelled",
    "0.006"
  ]])
  const balance = () => told("spot.balances").findLast(({ currency }) => currency === "USDT")
  const { available, locked } = truth().balances.find(({ asset }) => asset === "USDT")!
  yield* Judges.settled(() => balance()?.["available"] === available && balance()?.["freeze"] === locked, 30_000)
  return { orders: truth().orders.length, fills: truth().fills.length }
}).pipe(Effect.scoped)

const settle = "usdt"

/** The same with contracts; positions too. */
export const futuresCourse = Effect.gen(function*() {
  const { api, rest, simulator, stream, truth } = yield* dial(futures)
  const { userId } = truth()
  const heard: Array<Push> = []
  stream.on("update", (push: Push) => heard.push(push))
  stream.subscribe(
    [
      { topic: "futures.orders", payload: [userId, "!all"] },
      { topic: "futures.usertrades", payload: [userId, "!all"] },
      { topic: "futures.positions", payload: [userId, "!all"] }
    ],
    "perpFuturesUSDTV4"
  )
  yield* Judges.settled(() => simulator.topics(futures.id).size === 3, 30_000)

  yield* call(() => rest.updateFuturesLeverage({ settle, contract: symbol, leverage: "20" }))
  const limit = { settle, contract: symbol, size: 10, price: "70000", text: "t-judge" } as const
  const { id: first } = yield* call(() => rest.submitFuturesOrder(limit))
  const open = yield* call(() => rest.getFuturesOrders({ settle, contract: symbol, status: "open" }))
  deepStrictEqual(open.map(({ left, text }) => [text, Number(left)]), [["t-judge", 10]])
  yield* call(() => rest.cancelFuturesOrder({ settle, order_id: String(first) }))
  yield* call(() => rest.submitFuturesOrder({ settle, contract: symbol, size: 60, price: "0", tif: "ioc" }))
  yield* ordering(() =>
    api.submitNewFuturesOrder({ contract: symbol, size: -20, price: "0", tif: "ioc", text: "t-judge2" })
  )
  yield* Judges.settled(() => truth().orders.length === 3, 30_000)

  const [position] = yield* call(() => rest.getFuturesPositions({ settle, holding: true }))
  const [held] = truth().positions
  deepStrictEqual(
    [position!.size, position!.entry_price, position!.leverage, position!.margin].map(Number),
    [held!.size, held!.entryPrice, held!.leverage, held!.margin].map(Number)
  )
  const fillOf = (fill: Readonly<Record<string, unknown>>) =>
    [fill["order_id"], fill["size"], fill["price"], fill["fee"]].map(Number)
  const trueFills = truth().fills.map(({ fee, orderId, price, quantity, side }) => [
    orderId,
    side === "buy" ? +quantity : -quantity,
    +price,
    +fee
  ])
  const history = yield* call(() => rest.getFuturesTradingHistory({ settle, contract: symbol }))
  const byId = history.toSorted((a, b) => Number(a.id) - Number(b.id))
  deepStrictEqual(byId.map((fill) => fillOf({ ...fill })), trueFills)

  const told = (channel: string) => heard.filter((push) => push.channel === channel).flatMap(({ result }) => result)
  yield* Judges.settled(() => told("futures.orders").filter(({ status }) => status === "finished").length === 3, 30_000)
  yield* Judges.settled(() => told("futures.usertrades").length === trueFills.length, 30_000)
  deepStrictEqual(told("futures.usertrades").map(fillOf), trueFills)
  yield* Judges.settled(() => Number(told("futures.positions").at(-1)?.["size"]) === Number(held!.size), 30_000)
  return { orders: truth().orders.length, fills: truth().fills.length }
}).pipe(Effect.scoped)

/** It takes the first of two answers for the result: an order that was refused looks placed. */
export const firstAnswer = Effect.gen(function*() {
  const { api, rest, truth } = yield* dial(spot)
  const tooMuch = {
    text: "t-judge",
    currency_pair: symbol,
    side: "buy",
    amount: "1000",
    price: "70000"
  } as const
  const { header } = yield* ordering(() => api.submitNewSpotOrder(tooMuch))
  strictEqual(header.status, "200")
  strictEqual(truth().orders.length, 0)
  const refused = yield* call(() => rest.submitSpotOrder(tooMuch).catch((error: { body: unknown }) => error.body))
  partialDeepStrictEqual(refused, { label: "BALANCE_NOT_ENOUGH" })
}).pipe(Effect.scoped)
