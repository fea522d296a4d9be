/**
 * MEXC's REST calls of an account, the server's half: orders, fills, balances, listen keys. Sources: "Spot Account/Trade"
 * and "Websocket User Data Streams" (2025-02 to 2026-04).
 */
import { BigDecimal, Result } from "effect"
import type { WorldOrder, WorldPlace, WorldRef, WorldRefusal } from "../../AccountWorld.ts"
import { isRefusal } from "../../AccountWorld.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { DialectRequest, DialectResponse, World, WorldMarket } from "../../ExchangeDialect.ts"
import { marketsBy } from "../../ExchangeDialect.ts"
import type { Access, Caller } from "./MexcAccessDialect.ts"
import { callerOf, isCaller } from "./MexcAccessDialect.ts"
import { badParameter, failure, json, refusalOf, refused, unknownSymbol } from "./MexcAnswersDialect.ts"
import { listenKeysOf } from "./MexcListenKeysDialect.ts"
import * as Orders from "./MexcOrdersDialect.ts"

const symbolOf = (market: WorldMarket): string => market.base + market.quote

const marketsOf = marketsBy(symbolOf)

interface Pace {
  readonly name: string
  readonly limit: number
}

export interface AccountRoute extends Access {
  readonly weight: number
  /** Requests in a second beside the weights, for a user; routes of one name share them. */
  readonly paces: ReadonlyArray<Pace>
  readonly answer: (caller: Caller, world: World) => DialectResponse
}

type Answer = AccountRoute["answer"]

const isAnswer = <A extends object>(result: A | DialectResponse): result is DialectResponse =>
  "status" in result && "body" in result

/** The market that `symbol` names. */
const marketOf = ({ parameters }: Caller, world: World): WorldMarket | DialectResponse => {
  const symbol = parameters.get("symbol") ?? ""
  if (symbol === "") return badParameter("symbol")
  return marketsOf(world).get(symbol) ?? unknownSymbol()
}

const ofMarket = (answer: (caller: Caller, market: WorldMarket, world: World) => DialectResponse): Answer =>
(
  caller,
  world
) => {
  const market = marketOf(caller, world)
  return isAnswer(market) ? market : answer(caller, market, world)
}

// ---- placing --------------------------------------------------------------------------------------------------------

type Fields = ReadonlyMap<string, string>

const sides: ReadonlyMap<string, WorldPlace["side"]> = new Map([["BUY", "buy"], ["SELL", "sell"]])

const decimalText = (text: string | undefined): string | null =>
  text !== undefined && /^\d{1,20}(\.\d{1,20})?$/u.test(text) ? text : null

const stpModes = new Set(["", "cancel_maker", "cancel_taker", "cancel_both"])

/** How much: a market buy may say how much to spend. */
const amounts = (
  fields: Fields,
  isMarket: boolean
): Pick<WorldPlace, "quantity" | "quoteQuantity"> | DialectResponse => {
  const quantity = decimalText(fields.get("quantity"))
  if (quantity !== null) return { quantity, quoteQuantity: null }
  const quoteQuantity = isMarket ? decimalText(fields.get("quoteOrderQty")) : null
  return quoteQuantity === null ? badParameter("quantity") : { quantity: null, quoteQuantity }
}

const kindOf = (fields: Fields) => {
  const side = sides.get(fields.get("side") ?? "")
  const type = fields.get("type") ?? ""
  if (side === undefined) return badParameter("side")
  if (!Orders.isOrderType(type)) return badParameter("type")
  return { side, type }
}

const priceOf = (fields: Fields, isMarket: boolean): { readonly price: string | null } | DialectResponse => {
  const price = decimalText(fields.get("price"))
  return price === null && !isMarket ? badParameter("price") : { price: isMarket ? null : price }
}

const placeOf = (fields: Fields, market: WorldMarket): WorldPlace | DialectResponse => {
  const kind = kindOf(fields)
  if (isAnswer(kind)) return kind
  const isMarket = kind.type === "MARKET"
  const amount = amounts(fields, isMarket)
  if (isAnswer(amount)) return amount
  const price = priceOf(fields, isMarket)
  if (isAnswer(price)) return price
  if (!stpModes.has(fields.get("stpMode") ?? "")) return badParameter("stpMode")
  return {
    pair: market.pair,
    side: kind.side,
    type: isMarket ? "market" : "limit",
    timeInForce: Orders.forcesByType[kind.type],
    ...price,
    ...amount,
    clientOrderId: fields.get("newClientOrderId") || null,
    reduceOnly: false,
    trigger: null
  }
}

const place = ofMarket(({ account, parameters }, market) => {
  const order = placeOf(parameters, market)
  if (isAnswer(order)) return order
  const placed = account.place(order)
  return isRefusal(placed)
    ? refused(placed, order.side)
    : json(200, Orders.acknowledgement(placed, symbolOf(market), parameters.get("stpMode") ?? ""))
})

const decimalsOf = (text: string): number => {
  const dot = text.indexOf(".")
  return dot < 0 ? 0 : text.replace(/0+$/u, "").length - dot - 1
}

const isBelow = (value: Decimal.Decimal, least: string): boolean =>
  BigDecimal.isLessThan(value, Result.getOrElse(Decimal.parse(least), () => Decimal.zero))

/** What can be said of an order without matching it. */
const oddity = ({ price, quantity, quoteQuantity }: WorldPlace, market: WorldMarket): WorldRefusal | null => {
  if (price !== null && decimalsOf(price) > market.priceDecimals) return "badPrice"
  if (quantity === null) return isBelow(Decimal.of(quoteQuantity ?? "0"), market.minNotional) ? "tooSmall" : null
  if (decimalsOf(quantity) > market.quantityDecimals) return "badQuantity"
  if (isBelow(Decimal.of(quantity), market.minQuantity)) return "tooSmall"
  return price !== null && isBelow(Orders.productOf(price, quantity), market.minNotional) ? "tooSmall" : null
}

/** Checked, and not sent to matching. */
const test = ofMarket(({ parameters }, market) => {
  const order = placeOf(parameters, market)
  if (isAnswer(order)) return order
  const odd = oddity(order, market)
  return odd === null ? json(200, {}) : refused(odd, order.side)
})

// ---- batches ----

const batchLimit = 20

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const batchOf = (text: string | undefined): ReadonlyArray<Fields> | null => {
  try {
    const value: unknown = JSON.parse(text ?? "")
    if (!Array.isArray(value) || value.length === 0 || !value.every(isRecord)) return null
    return value.map((fields) => new Map(Object.entries(fields).map(([name, field]) => [name, String(field)])))
  } catch {
    return null
  }
}

/** An order that is refused leaves the others in force; the answer is a success all the same. */
const placeOne = ({ account }: Caller, fields: Fields, market: WorldMarket): unknown => {
  const newClientOrderId = fields.get("newClientOrderId")
  const order = placeOf(fields, market)
  if (isAnswer(order)) {
    const { code, msg } = JSON.parse(order.body) as { readonly code: number; readonly msg: string }
    return { newClientOrderId, msg, code }
  }
  const placed = account.place(order)
  return isRefusal(placed)
    ? { newClientOrderId, ...refusalOf(placed, order.side) }
    : { symbol: symbolOf(market), orderId: Orders.orderIdOf(placed.id), newClientOrderId, orderListId: -1 }
}

const placeBatch: Answer = (caller, world) => {
  const batch = batchOf(caller.parameters.get("batchOrders"))
  if (batch === null) return badParameter("batchOrders")
  const symbols = new Set(batch.map((fields) => fields.get("symbol") ?? ""))
  if (batch.length > batchLimit || symbols.size > 1) return failure(400, 33333, "Param error")
  const market = marketsOf(world).get([...symbols][0]!)
  if (market === undefined) return unknownSymbol()
  return json(200, batch.map((fields) => placeOne(caller, fields, market)))
}

// ---- one order ----

const missingId = (): DialectResponse =>
  failure(400, 700004, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")

/** Null: an id that no order has. */
const refOf = ({ parameters }: Caller): WorldRef | DialectResponse | null => {
  const orderId = parameters.get("orderId") ?? ""
  if (orderId !== "") {
    const id = Orders.idOf(orderId)
    return id === null ? null : { id }
  }
  const clientOrderId = parameters.get("origClientOrderId") ?? ""
  return clientOrderId === "" ? missingId() : { clientOrderId }
}

const isOf = (order: WorldOrder | undefined, market: WorldMarket): order is WorldOrder =>
  order !== undefined && order.pair === market.pair

const cancel = ofMarket((caller, market) => {
  const ref = refOf(caller)
  if (ref === null) return refused("unknownOrder")
  if ("status" in ref) return ref
  const { account } = caller
  if (!isOf(account.order(ref), market)) return refused("unknownOrder")
  const cancelled = account.cancel(ref)
  return isRefusal(cancelled) ? refused(cancelled) : json(200, Orders.cancelBody(cancelled, symbolOf(market)))
})

const get = ofMarket((caller, market) => {
  const ref = refOf(caller)
  if (ref !== null && "status" in ref) return ref
  const order = ref === null ? undefined : caller.account.order(ref)
  return isOf(order, market)
    ? json(200, Orders.orderBody(order, symbolOf(market)))
    : failure(400, -2013, "Order does not exist.")
})

// ---- many orders ----

const symbolsLimit = 5

/** One symbol or up to five, comma separated. */
const marketsNamed = ({ parameters }: Caller, world: World): ReadonlyArray<WorldMarket> | DialectResponse => {
  const text = parameters.get("symbol") ?? ""
  const symbols = text.split(",")
  if (text === "" || symbols.length > symbolsLimit) return badParameter("symbol")
  const markets = symbols.flatMap((symbol) => marketsOf(world).get(symbol) ?? [])
  return markets.length === symbols.length ? markets : unknownSymbol()
}

const ofMarkets = (answer: (caller: Caller, market: WorldMarket) => ReadonlyArray<unknown>): Answer =>
(
  caller,
  world
) => {
  const markets = marketsNamed(caller, world)
  return isAnswer(markets) ? markets : json(200, markets.flatMap((market) => answer(caller, market)))
}

const openOrders = ofMarkets(({ account }, market) =>
  account.orders({ pair: market.pair, open: true }).map((order) => Orders.orderBody(order, symbolOf(market)))
)

const cancelOpen = ofMarkets(({ account }, market) =>
  account.cancelAll(market.pair).map((order) => Orders.cancelBody(order, symbolOf(market)))
)

const dayMillis = 86_400_000

/** Ends are inside; null when one of them is no time. */
const rangeOf = ({ parameters }: Caller, now: number, millis: number) => {
  const [start, end] = ["startTime", "endTime"].map((name) => parameters.get(name))
  if ([start, end].some((text) => text !== undefined && !/^\d{1,16}$/u.test(text))) return null
  const until = end === undefined ? now : Number(end)
  return { from: start === undefined ? until - millis : Number(start), until }
}

const limitOf = ({ parameters }: Caller, most: number, usual: number): number | null => {
  const text = parameters.get("limit") ?? String(usual)
  return /^[1-9]\d{0,5}$/u.test(text) ? Math.min(Number(text), most) : null
}

/** Newest first. */
const allOrders = ofMarket((caller, market, world) => {
  const range = rangeOf(caller, world.now(), dayMillis)
  const limit = limitOf(caller, 1_000, 500)
  if (range === null || limit === null) return badParameter(range === null ? "startTime" : "limit")
  const orders = [true, false].flatMap((open) => caller.account.orders({ pair: market.pair, open }))
    .filter(({ createdAt }) => createdAt >= range.from && createdAt <= range.until)
    .sort((one, other) => other.id - one.id)
  return json(200, orders.slice(0, limit).map((order) => Orders.orderBody(order, symbolOf(market))))
})

const monthMillis = 30 * dayMillis

/** Newest first, of the last month; without an order's id of all orders. */
const myTrades = ofMarket((caller, market, world) => {
  const range = rangeOf(caller, world.now(), monthMillis)
  const limit = limitOf(caller, 100, 100)
  if (range === null || limit === null) return badParameter(range === null ? "startTime" : "limit")
  const orderId = caller.parameters.get("orderId") ?? ""
  const id = orderId === "" ? undefined : Orders.idOf(orderId)
  if (id === null) return json(200, [])
  const since = Math.max(range.from, world.now() - monthMillis)
  const fills = caller.account.fills({ pair: market.pair, orderId: id, since })
    .filter(({ time }) => time <= range.until).toReversed()
  return json(200, fills.slice(0, limit).map((fill) => Orders.tradeBody(fill, symbolOf(market))))
})

// ---- the account ----

const isSome = (amount: string): boolean => !Decimal.equals(Decimal.of(amount), Decimal.zero)

/** Only assets of which there is something. */
const account: Answer = (caller) =>
  json(200, {
    makerCommission: null,
    takerCommission: null,
    buyerCommission: null,
    sellerCommission: null,
    canTrade: true,
    canWithdraw: true,
    canDeposit: true,
    updateTime: null,
    accountType: "SPOT",
    balances: caller.account.balances().filter(({ available, locked }) => isSome(available) || isSome(locked)).map((
      { asset, available, locked }
    ) => ({ asset, free: available, locked, available })),
    permissions: ["SPOT"]
  })

const uid: Answer = (caller) => json(200, { uid: caller.account.userId })

const selfSymbols: Answer = (_caller, world) => json(200, { code: 200, data: [...marketsOf(world).keys()], msg: null })

const tradeFee = ofMarket((_caller, _market, world) =>
  json(200, {
    data: { makerCommission: 0.0005, takerCommission: 0.0005 },
    code: 0,
    msg: "success",
    timestamp: Math.floor(world.now())
  })
)

// ---- listen keys ----

/** What is answered to one key too many is unconfirmed. */
const makeKey: Answer = (caller, world) => {
  const key = listenKeysOf(world).make(caller.account)
  return key === null
    ? failure(400, 730000, "Request failed: the number of listen keys has reached its limit")
    : json(200, { listenKey: key.text })
}

const listKeys: Answer = (caller, world) =>
  json(200, { listenKey: listenKeysOf(world).of(caller.account).map(({ text }) => text) })

/** Only keys of the caller's own. What is answered to another is unconfirmed. */
const withKey = (use: "renew" | "remove"): Answer => (caller, world) => {
  const text = caller.parameters.get("listenKey") ?? ""
  if (text === "") return badParameter("listenKey")
  const keys = listenKeysOf(world)
  const key = keys.find(text)
  if (key === null || key.account.userId !== caller.account.userId) {
    return failure(400, 730002, "Parameter error: listenKey does not exist")
  }
  keys[use](key)
  return json(200, { listenKey: text })
}

// ---- routes ----

const signed = (
  permission: Access["permission"],
  weight: number,
  answer: Answer,
  paces: ReadonlyArray<Pace> = []
): AccountRoute => ({ security: "SIGNED", permission, weight, answer, paces })

const keyed = (answer: Answer): AccountRoute => ({ security: "KEY", permission: "read", weight: 1, answer, paces: [] })

/** Documents of 2026: placing, cancelling, cancelling all and batches share 12 requests in a second; the older ones 2 batches. */
const orderPace = { name: "orders", limit: 12 }

export const accountRoutes: ReadonlyMap<string, AccountRoute> = new Map([
  ["POST /api/v3/order", signed("trade", 1, place, [orderPace])],
  ["POST /api/v3/order/test", signed("trade", 1, test)],
  ["POST /api/v3/batchOrders", signed("trade", 1, placeBatch, [orderPace, { name: "batches", limit: 2 }])],
  ["DELETE /api/v3/order", signed("trade", 1, cancel, [orderPace])],
  ["DELETE /api/v3/openOrders", signed("trade", 1, cancelOpen, [orderPace])],
  ["GET /api/v3/order", signed("read", 2, get)],
  ["GET /api/v3/openOrders", signed("read", 3, openOrders)],
  ["GET /api/v3/allOrders", signed("read", 10, allOrders)],
  ["GET /api/v3/myTrades", signed("read", 10, myTrades)],
  ["GET /api/v3/account", signed("read", 10, account, [{ name: "account", limit: 2 }])],
  ["GET /api/v3/tradeFee", signed("read", 20, tradeFee)],
  ["GET /api/v3/selfSymbols", signed("read", 1, selfSymbols)],
  ["GET /api/v3/uid", signed("read", 1, uid)],
  ["POST /api/v3/userDataStream", keyed(makeKey)],
  ["GET /api/v3/userDataStream", keyed(listKeys)],
  ["PUT /api/v3/userDataStream", keyed(withKey("renew"))],
  ["DELETE /api/v3/userDataStream", keyed(withKey("remove"))]
])

/** Refuses over the limits; called when the caller is known. */
export type Limit = (userId: string, route: AccountRoute) => DialectResponse | null

export const onAccountHttp = (
  request: DialectRequest,
  route: AccountRoute,
  world: World,
  limit: Limit
): DialectResponse => {
  const caller = callerOf(request, world, route)
  if (!isCaller(caller)) return caller
  return limit(caller.account.userId, route) ?? route.answer(caller, world)
}
