/**
 * Accounts of Gate spot, the server's half: orders, fills and balances as REST, the WebSocket API and private channels
 * have them. Sources: "API v4, Spot" (v4.106); "Spot WebSocket v4" (2026-07-25).
 */
import type { WorldBalance, WorldFill, WorldOrder, WorldPlace, WorldRef } from "../../AccountWorld.ts"
import { isRefusal } from "../../AccountWorld.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { World, WorldMarket } from "../../ExchangeDialect.ts"
import { trimmed } from "../../ExchangeDialect.ts"
import type { Failure, Json, Outcome, Parsed, Session } from "./GateAccountDialect.ts"
import {
  bodyOf,
  clientOrderIdIn,
  decimalIn,
  done,
  failed,
  finishOf,
  invalid,
  invalidBody,
  isFailure,
  isObject,
  list,
  millisText,
  missing,
  notSimulated,
  object,
  placedOr,
  quoted,
  secondsText,
  spotLabels,
  textIn,
  textOf,
  timeInForceIn,
  timeInForceOf
} from "./GateAccountDialect.ts"
import type { ApiMethod } from "./GateApiDialect.ts"
import { each } from "./GateApiDialect.ts"
import { minus, plus } from "./GateDecimalsDialect.ts"
import type { Asked, SignedRoute } from "./GateSignedDialect.ts"
import { marketsOf, nameOf } from "./GateStreamsDialect.ts"
import type { Outlet, PrivateChannel, Stream } from "./GateStreamsDialect.ts"
import { data, invalidArgument, pushOf, seconds, unknownPair } from "./GateStreamsDialect.ts"

// ---- orders ---------------------------------------------------------------------------------------------------------

const hour = 3_600_000

export const symbolOf = (world: World, pair: TradingPair): string => {
  const market = world.markets.get(pair)
  return market === undefined ? pair.replace("/", "_") : nameOf(market)
}

const quoteOf = (world: World, pair: TradingPair): string => world.markets.get(pair)?.quote ?? ""

const statusOf = ({ finish }: WorldOrder): string =>
  finish === null ? "open" : finish === "filled" ? "closed" : "cancelled"

const finishedAs = ({ finish }: WorldOrder): Json => quoted(finish === null ? "open" : finishOf(finish))

/** Of a market buy, amount and what is left are in quote. */
const amountOf = (order: WorldOrder): string => order.quoteQuantity ?? order.quantity ?? "0"

/** What every form of an order has. */
const orderFields = (world: World, order: WorldOrder, source: string): Readonly<Record<string, Json>> => ({
  id: quoted(String(order.id)),
  text: quoted(textOf(order.clientOrderId, source)),
  create_time: secondsText(order.createdAt),
  update_time: secondsText(order.updatedAt),
  currency_pair: quoted(symbolOf(world, order.pair)),
  type: quoted(order.type),
  account: quoted("spot"),
  side: quoted(order.side),
  amount: quoted(amountOf(order)),
  price: quoted(order.price ?? "0"),
  time_in_force: quoted(timeInForceOf(order)),
  left: quoted(order.left),
  filled_amount: quoted(order.filled),
  filled_total: quoted(order.filledQuote),
  avg_deal_price: quoted(order.averagePrice ?? "0"),
  fee_currency: quoted(order.feeAsset),
  rebated_fee_currency: quoted(quoteOf(world, order.pair)),
  stp_id: "0",
  stp_act: quoted("-"),
  finish_as: finishedAs(order),
  amend_text: quoted("-")
})

const feeFields = (order: WorldOrder): Readonly<Record<string, Json>> => ({
  fee: quoted(order.fee),
  point_fee: quoted("0"),
  gt_fee: quoted("0"),
  rebated_fee: quoted("0")
})

/** As REST and the WebSocket API answer; times in ms are numbers here. */
const orderAnswer = (world: World, order: WorldOrder, source: string): Json =>
  object({
    ...orderFields(world, order, source),
    ...feeFields(order),
    create_time_ms: String(Math.floor(order.createdAt)),
    update_time_ms: String(Math.floor(order.updatedAt)),
    status: quoted(statusOf(order)),
    iceberg: quoted("0"),
    fill_price: quoted(order.filledQuote),
    gt_maker_fee: quoted("0"),
    gt_taker_fee: quoted("0"),
    gt_discount: "false"
  })

const apiSource = "apiv4-ws"
const restSource = "apiv4"

// ---- what is asked --------------------------------------------------------------------------------------------------

interface Amounts {
  readonly price: string | null
  readonly quantity: string | null
  readonly quoteQuantity: string | null
}

const positiveIn = (body: Parsed, name: string): string | Failure => {
  if (textIn(body, name) === "") return missing(name)
  const value = decimalIn(body, name)
  return value === null || Number(value) <= 0 ? invalid(name, textIn(body, name)) : value
}

const amountsIn = (body: Parsed, type: WorldPlace["type"], side: WorldPlace["side"]): Amounts | Failure => {
  const amount = positiveIn(body, "amount")
  if (typeof amount !== "string") return amount
  if (type === "market") {
    const base = side === "sell"
    return { price: null, quantity: base ? amount : null, quoteQuantity: base ? null : amount }
  }
  const price = positiveIn(body, "price")
  return typeof price === "string" ? { price, quantity: amount, quoteQuantity: null } : price
}

const sideIn = (body: Parsed): WorldPlace["side"] | null => {
  const side = textIn(body, "side")
  return side === "buy" || side === "sell" ? side : null
}

/** `limit` when left out. */
const typeIn = (body: Parsed): WorldPlace["type"] | null => {
  const type = textIn(body, "type") || "limit"
  return type === "limit" || type === "market" ? type : null
}

/** Market orders are `ioc` or `fok`, and `gtc` is what is left out. */
const timeIn = (body: Parsed, type: WorldPlace["type"]): WorldPlace["timeInForce"] | null => {
  const time = timeInForceIn(textIn(body, "time_in_force") || "gtc")
  return type === "market" && time !== "ioc" && time !== "fok" ? null : time
}

/** Margin accounts, icebergs and self-trade prevention are not simulated. */
const checkKind = (body: Parsed): Failure | null => {
  const account = textIn(body, "account")
  if (!["", "spot", "unified"].includes(account)) return invalid("account", account)
  return notSimulated(body)
}

export const marketIn = (world: World, name: string): WorldMarket | Failure => {
  if (name === "") return missing("currency_pair")
  const market = marketsOf(world).get(name)
  return market ?? failed(400, "INVALID_CURRENCY_PAIR", `Invalid currency pair ${name}`)
}

const kindIn = (body: Parsed): Pick<WorldPlace, "side" | "timeInForce" | "type" | "clientOrderId"> | Failure => {
  const side = sideIn(body)
  const type = typeIn(body)
  if (side === null) return invalid("side", textIn(body, "side"))
  if (type === null) return invalid("type", textIn(body, "type"))
  const timeInForce = timeIn(body, type)
  if (timeInForce === null) return invalid("time_in_force", textIn(body, "time_in_force"))
  const clientOrderId = clientOrderIdIn(textIn(body, "text"))
  return clientOrderId === undefined
    ? invalid("text", textIn(body, "text"))
    : { side, type, timeInForce, clientOrderId }
}

export const placeIn = (world: World, body: Parsed): WorldPlace | Failure => {
  const market = marketIn(world, textIn(body, "currency_pair"))
  if (isFailure(market)) return market
  const odd = checkKind(body)
  if (odd !== null) return odd
  const kind = kindIn(body)
  if (isFailure(kind)) return kind
  const amounts = amountsIn(body, kind.type, kind.side)
  return isFailure(amounts) ? amounts : { pair: market.pair, ...kind, ...amounts, reduceOnly: false, trigger: null }
}

/** Documented: an order is found by its text while it is open and for an hour after. */
const refIn = (session: Session, world: World, id: string): WorldRef => {
  if (!id.startsWith("t-")) return { id: /^\d{1,15}$/.test(id) ? Number(id) : -1 }
  const ref = { clientOrderId: id.slice(2) }
  const order = session.account.order(ref)
  const isGone = order !== undefined && order.finish !== null && world.now() - order.updatedAt > hour
  return isGone ? { id: -1 } : ref
}

const notFound = spotLabels.unknownOrder

/** The order of a request, if it is of the pair that is named. */
const orderIn = (session: Session, world: World, id: string, name: string): WorldOrder | Failure => {
  const market = marketIn(world, name)
  if (isFailure(market)) return market
  const order = session.account.order(refIn(session, world, id))
  // What waits for its price is no order yet.
  return order === undefined || order.waiting || order.pair !== market.pair ? notFound : order
}

// ---- commands -------------------------------------------------------------------------------------------------------

export interface Around {
  readonly session: Session
  readonly world: World
  readonly source: string
}

const tooSmall = (world: World, place: WorldPlace): Failure => {
  const market = world.markets.get(place.pair)!
  const value = place.quoteQuantity ?? String(Number(place.quantity) * Number(place.price ?? market.statistics().last))
  return failed(
    400,
    "INVALID_PARAM_VALUE",
    `Your order size ${Number(value).toFixed(6)} ${market.quote} is too small. The minimum is ${
      trimmed(market.minNotional)
    } ${market.quote}`
  )
}

const placeOne = ({ session, world }: Around, body: Parsed): WorldOrder | Failure => {
  const place = placeIn(world, body)
  if (isFailure(place)) return place
  const result = session.account.place(place)
  return result === "tooSmall" ? tooSmall(world, place) : placedOr(result, spotLabels)
}

/** `ACK`: nothing but the id and the texts. */
const placedAnswer = ({ source, world }: Around, order: WorldOrder, body: Parsed): Json =>
  textIn(body, "action_mode") === "ACK"
    ? object({
      id: quoted(String(order.id)),
      text: quoted(textOf(order.clientOrderId, source)),
      amend_text: quoted("-")
    })
    : orderAnswer(world, order, source)

const place = (around: Around, body: Parsed, status: number): Outcome => {
  const order = placeOne(around, body)
  return isFailure(order) ? order : done(placedAnswer(around, order, body), status)
}

/** Documented: up to four pairs with up to ten orders each, all with a text and of one kind of account. */
const batchProblem = (orders: ReadonlyArray<Parsed>): Failure | null => {
  if (orders.length === 0) return invalidBody
  if (orders.some((order) => textIn(order, "text") === "")) return missing("text")
  const counts = new Map<string, number>()
  for (const order of orders) {
    const name = textIn(order, "currency_pair")
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  if (counts.size > 4) return failed(400, "TOO_MANY_CURRENCY_PAIRS", "Too many currency pairs in batch orders")
  if (Math.max(...counts.values()) > 10) return failed(400, "TOO_MANY_ORDERS", "Too many orders of one pair")
  const accounts = new Set(orders.map((order) => textIn(order, "account") || "spot"))
  return accounts.size > 1 ? failed(400, "MIXED_ACCOUNT_TYPE", "All orders must be of one account") : null
}

/** An order with whether it was taken; one that was not has its text, and why. */
const placeEach = (around: Around, body: Parsed): Json => {
  const order = placeOne(around, body)
  if (!isFailure(order)) {
    const told = orderAnswer(around.world, order, around.source)
    return `{"succeeded":true,"label":"","message":"",${told.slice(1)}`
  }
  return object({
    text: quoted(textIn(body, "text")),
    succeeded: "false",
    label: quoted(order.label),
    message: quoted(order.message)
  })
}

const placeAll = (around: Around, items: unknown): Outcome => {
  const orders = Array.isArray(items) ? items.filter((item): item is Parsed => isObject(item)) : []
  const problem = batchProblem(orders)
  return problem ?? done(list(orders.map((order) => placeEach(around, order))))
}

const cancelled = ({ session, world }: Around, id: string, name: string): WorldOrder | Failure => {
  const order = orderIn(session, world, id, name)
  if (isFailure(order)) return order
  const result = session.account.cancel({ id: order.id })
  if (!isRefusal(result)) return result
  if (result !== "orderFinished") return spotLabels[result]
  return order.finish === "filled"
    ? spotLabels.orderFinished
    : failed(400, "ORDER_CANCELLED", "Order has been cancelled")
}

const answered = ({ source, world }: Around, order: WorldOrder | Failure): Outcome =>
  isFailure(order) ? order : done(orderAnswer(world, order, source))

/** One of a list of orders to cancel. */
const cancelEach = (around: Around, item: Parsed): Json => {
  const id = textIn(item, "id")
  const name = textIn(item, "currency_pair")
  const order = cancelled(around, id, name)
  const failure = isFailure(order) ? order : null
  return object({
    currency_pair: quoted(name),
    id: quoted(id),
    ...(isFailure(order) ? {} : { text: quoted(textOf(order.clientOrderId, around.source)) }),
    succeeded: String(failure === null),
    label: quoted(failure?.label ?? ""),
    message: quoted(failure?.message ?? ""),
    account: quoted("spot")
  })
}

const cancelList = (around: Around, items: unknown): Outcome =>
  Array.isArray(items) && items.length > 0 && items.length <= 20
    ? done(each(items, (item) => cancelEach(around, item)))
    : invalidBody

const sidesOf = (side: string): ReadonlyArray<WorldPlace["side"]> | null =>
  side === "" ? ["buy", "sell"] : side === "buy" || side === "sell" ? [side] : null

/** Open orders of a pair, or of all where none is named. */
const cancelAll = ({ session, source, world }: Around, name: string, side: string): Outcome => {
  const market = name === "" ? null : marketIn(world, name)
  if (market !== null && isFailure(market)) return market
  const sides = sidesOf(side)
  if (sides === null) return invalid("side", side)
  const ended = session.account.orders({ pair: market?.pair, open: true })
    .filter((order) => !order.waiting && sides.includes(order.side))
    .map(({ id }) => session.account.cancel({ id })).filter((order): order is WorldOrder => !isRefusal(order))
  return done(list(ended.map((order) => orderAnswer(world, order, source))))
}

const amend = (around: Around, id: string, name: string, body: Parsed): Outcome => {
  const { session, world } = around
  const order = orderIn(session, world, id, name)
  if (isFailure(order)) return order
  const change: { price?: string; quantity?: string } = {}
  for (const [field, key] of [["price", "price"], ["amount", "quantity"]] as const) {
    if (textIn(body, field) === "") continue
    const value = positiveIn(body, field)
    if (typeof value !== "string") return value
    change[key] = value
  }
  if (Object.keys(change).length === 0) return missing("amount")
  const result = session.account.amend({ id: order.id }, change)
  return isRefusal(result) ? spotLabels[result] : answered(around, result)
}

// ---- lists ----------------------------------------------------------------------------------------------------------

interface Page {
  readonly page: number
  readonly limit: number
}

const pageIn = (get: (name: string) => string, most: number): Page | Failure => {
  const page = get("page") || "1"
  const limit = get("limit") || "100"
  if (!/^[1-9]\d{0,5}$/.test(page)) return invalid("page", page)
  return /^[1-9]\d{0,3}$/.test(limit) && Number(limit) <= most
    ? { page: Number(page), limit: Number(limit) }
    : invalid("limit", limit)
}

const cut = <A>(items: ReadonlyArray<A>, { limit, page }: Page): ReadonlyArray<A> =>
  items.slice((page - 1) * limit, page * limit)

const orderList = ({ session, source, world }: Around, get: (name: string) => string): Outcome => {
  const market = marketIn(world, get("currency_pair"))
  if (isFailure(market)) return market
  const status = get("status")
  if (status !== "open" && status !== "finished") return invalid("status", status)
  const page = pageIn(get, 100)
  if (isFailure(page)) return page
  const orders = session.account.orders({ pair: market.pair, open: status === "open" })
    .filter(({ waiting }) => !waiting)
  return done(list(cut(orders, page).map((order) => orderAnswer(world, order, source))))
}

/** By pair; a page is one of each pair's list. */
const openOrders = ({ session, source, world }: Around, get: (name: string) => string): Outcome => {
  const page = pageIn(get, 100)
  if (isFailure(page)) return page
  const byPair = new Map<TradingPair, Array<WorldOrder>>()
  for (const order of session.account.orders({ open: true })) {
    if (order.waiting) continue
    byPair.set(order.pair, [...byPair.get(order.pair) ?? [], order])
  }
  const groups = [...byPair].map(([pair, orders]) =>
    object({
      currency_pair: quoted(symbolOf(world, pair)),
      total: String(orders.length),
      orders: list(cut(orders, page).map((order) => orderAnswer(world, order, source)))
    })
  )
  return done(list(groups))
}

const fillAnswer = (world: World, fill: WorldFill): Json =>
  object({
    id: quoted(String(fill.id)),
    create_time: secondsText(fill.time),
    create_time_ms: quoted(fill.time.toFixed(6)),
    currency_pair: quoted(symbolOf(world, fill.pair)),
    side: quoted(fill.side),
    role: quoted(fill.liquidity),
    amount: quoted(fill.quantity),
    price: quoted(fill.price),
    order_id: quoted(String(fill.orderId)),
    fee: quoted(fill.fee),
    fee_currency: quoted(fill.feeAsset),
    point_fee: quoted("0"),
    gt_fee: quoted("0"),
    amend_text: quoted("-"),
    sequence_id: quoted(String(fill.id)),
    text: quoted(textOf(fill.clientOrderId, restSource))
  })

const week = 7 * 24 * hour

/** Newest first; `from` and `to` in s, a week when they are left out. */
const myTrades = ({ session, world }: Around, get: (name: string) => string): Outcome => {
  const name = get("currency_pair")
  const market = name === "" ? null : marketIn(world, name)
  if (market !== null && isFailure(market)) return market
  const page = pageIn(get, 1_000)
  if (isFailure(page)) return page
  const from = get("from") === "" ? world.now() - week : Number(get("from")) * 1_000
  const until = get("to") === "" ? Number.POSITIVE_INFINITY : (Number(get("to")) + 1) * 1_000
  const orderId = get("order_id")
  const fills = session.account.fills({
    pair: market?.pair,
    orderId: orderId === "" ? undefined : Number(orderId),
    since: from
  }).filter(({ time }) => time < until)
  return done(list(cut(fills.toReversed(), page).map((fill) => fillAnswer(world, fill))))
}

const countdown = ({ session, world }: Around, body: Parsed): Outcome => {
  const timeout = decimalIn(body, "timeout")
  if (timeout === null || (Number(timeout) !== 0 && Number(timeout) < 5)) {
    return invalid("timeout", textIn(body, "timeout"))
  }
  const name = textIn(body, "currency_pair")
  const market = name === "" ? null : marketIn(world, name)
  if (market !== null && isFailure(market)) return market
  const at = session.account.countdown(Number(timeout) * 1_000, market?.pair)
  return done(object({ triggerTime: String(Math.floor(at)) }))
}

// ---- REST -----------------------------------------------------------------------------------------------------------

export const restAround = ({ session, world }: Asked): Around => ({ session, world, source: restSource })

const queryOf = ({ request }: Asked) => (name: string): string => request.query.get(name) ?? ""

const withBody = (asked: Asked, run: (body: Parsed) => Outcome): Outcome => {
  const body = bodyOf(asked.request)
  return isObject(body) ? run(body) : invalidBody
}

/** The account's number, and what else is told of it. */
export const detailRoute: SignedRoute = {
  method: "GET",
  endpoint: "/account/detail",
  needs: "read",
  limit: "wallet",
  answer: ({ session: { account, key } }) =>
    done(object({
      user_id: account.userId,
      ip_whitelist: JSON.stringify(key.addresses ?? []),
      currency_pairs: "[]",
      tier: "0",
      key: object({ mode: "1" }),
      copy_trading_role: "0"
    }))
}

const balancesRoute: SignedRoute = {
  method: "GET",
  endpoint: "/spot/accounts",
  needs: "read",
  limit: "other",
  answer: (asked) => {
    const currency = queryOf(asked)("currency")
    const balances = asked.session.account.balances().filter(({ asset }) => currency === "" || asset === currency)
    return done(list(balances.map(({ asset, available, locked }, index) =>
      object({
        currency: quoted(asset),
        available: quoted(available),
        locked: quoted(locked),
        update_id: String(index + 1)
      })
    )))
  }
}

const read = (endpoint: string, answer: SignedRoute["answer"]): SignedRoute => ({
  method: "GET",
  endpoint,
  needs: "read",
  limit: "other",
  answer
})

const trading = (
  method: string,
  endpoint: string,
  limit: "trade" | "cancel" | "other",
  answer: SignedRoute["answer"]
): SignedRoute => ({ method, endpoint, needs: "trade", limit, answer })

/** The pair of an amendment stands in the query or in the body. */
const amendRoute = (asked: Asked): Outcome =>
  withBody(
    asked,
    (body) =>
      amend(restAround(asked), asked.name, queryOf(asked)("currency_pair") || textIn(body, "currency_pair"), body)
  )

export const spotSignedRoutes: ReadonlyArray<SignedRoute> = [
  detailRoute,
  balancesRoute,
  trading("POST", "/spot/orders", "trade", (asked) => withBody(asked, (body) => place(restAround(asked), body, 201))),
  trading("POST", "/spot/batch_orders", "trade", (asked) => placeAll(restAround(asked), bodyOf(asked.request))),
  trading(
    "POST",
    "/spot/cancel_batch_orders",
    "cancel",
    (asked) => cancelList(restAround(asked), bodyOf(asked.request))
  ),
  trading(
    "DELETE",
    "/spot/orders",
    "cancel",
    (asked) => cancelAll(restAround(asked), queryOf(asked)("currency_pair"), queryOf(asked)("side"))
  ),
  trading(
    "DELETE",
    "/spot/orders/",
    "cancel",
    (asked) => answered(restAround(asked), cancelled(restAround(asked), asked.name, queryOf(asked)("currency_pair")))
  ),
  trading("PATCH", "/spot/orders/", "trade", amendRoute),
  trading(
    "POST",
    "/spot/countdown_cancel_all",
    "other",
    (asked) => withBody(asked, (body) => countdown(restAround(asked), body))
  ),
  read("/spot/orders", (asked) => orderList(restAround(asked), queryOf(asked))),
  read(
    "/spot/orders/",
    (asked) =>
      answered(restAround(asked), orderIn(asked.session, asked.world, asked.name, queryOf(asked)("currency_pair")))
  ),
  read("/spot/open_orders", (asked) => openOrders(restAround(asked), queryOf(asked))),
  read("/spot/my_trades", (asked) => myTrades(restAround(asked), queryOf(asked)))
]

// ---- WebSocket API --------------------------------------------------------------------------------------------------

type ApiRun = (around: Around, parameters: Parsed) => Outcome

const api = (
  channel: string,
  kind: Pick<ApiMethod, "acked" | "limited" | "needs">,
  run: ApiRun
): readonly [string, ApiMethod] => [
  channel,
  {
    ...kind,
    answer: ({ parameters, session, world }) => {
      const around: Around = { session, world, source: apiSource }
      return run(around, isObject(parameters) ? parameters : {})
    }
  }
]

const writes = { acked: false, limited: false, needs: "trade" } as const
const reads = { acked: false, limited: false, needs: "read" } as const

export const spotApiMethods: ReadonlyMap<string, ApiMethod> = new Map([
  ["spot.order_place", {
    needs: "trade",
    acked: true,
    limited: true,
    answer: ({ parameters, session, world }) => {
      const around: Around = { session, world, source: apiSource }
      return Array.isArray(parameters) ? placeAll(around, parameters) : place(around, parameters as Parsed, 200)
    }
  }],
  ["spot.order_cancel_ids", {
    ...writes,
    answer: ({ parameters, session, world }) => cancelList({ session, world, source: apiSource }, parameters)
  }],
  api(
    "spot.order_cancel",
    writes,
    (around, body) => answered(around, cancelled(around, textIn(body, "order_id"), textIn(body, "currency_pair")))
  ),
  api(
    "spot.order_cancel_cp",
    writes,
    (around, body) => cancelAll(around, textIn(body, "currency_pair"), textIn(body, "side"))
  ),
  api(
    "spot.order_amend",
    { ...writes, limited: true },
    (around, body) => amend(around, textIn(body, "order_id"), textIn(body, "currency_pair"), body)
  ),
  api(
    "spot.order_status",
    reads,
    (around, body) =>
      answered(around, orderIn(around.session, around.world, textIn(body, "order_id"), textIn(body, "currency_pair")))
  ),
  api("spot.order_list", reads, (around, body) => orderList(around, (name) => textIn(body, name)))
])

// ---- private channels -----------------------------------------------------------------------------------------------

/** Pushes have times in ms as text, the user, and what has happened. */
const orderPush = (
  world: World,
  { account: { userId } }: Session,
  order: WorldOrder,
  event: string,
  withFees: boolean
): Json =>
  object({
    ...orderFields(world, order, restSource),
    ...(withFees ? feeFields(order) : {}),
    create_time_ms: millisText(order.createdAt),
    update_time_ms: millisText(order.updatedAt),
    user: userId,
    event: quoted(event),
    biz_info: quoted("-")
  })

const fillPush = (world: World, { account: { userId } }: Session, fill: WorldFill, withFees: boolean): Json =>
  object({
    id: String(fill.id),
    user_id: userId,
    order_id: quoted(String(fill.orderId)),
    currency_pair: quoted(symbolOf(world, fill.pair)),
    create_time: String(seconds(fill.time)),
    create_time_ms: quoted(fill.time.toFixed(3)),
    side: quoted(fill.side),
    amount: quoted(fill.quantity),
    role: quoted(fill.liquidity),
    price: quoted(fill.price),
    ...(withFees
      ? {
        fee: quoted(fill.fee),
        fee_currency: quoted(fill.feeAsset),
        point_fee: quoted("0"),
        gt_fee: quoted("0")
      }
      : {}),
    text: quoted(textOf(fill.clientOrderId, restSource)),
    amend_text: quoted("-"),
    biz_info: quoted("-"),
    id_market: String(fill.id)
  })

const causes: Readonly<Record<WorldBalance["cause"], string>> = {
  deposit: "deposit",
  orderPlaced: "order-create",
  orderFilled: "order-match",
  orderEnded: "order-update",
  fee: "trade-fee-deduct",
  pnl: "other",
  funding: "other"
}

const balancePush = ({ account: { userId } }: Session, balance: WorldBalance, frozen: string): Json =>
  object({
    timestamp: secondsText(balance.time),
    timestamp_ms: millisText(balance.time),
    user: quoted(userId),
    currency: quoted(balance.asset),
    change: quoted(balance.change),
    total: quoted(plus(balance.available, balance.locked)),
    available: quoted(balance.available),
    freeze: quoted(balance.locked),
    freeze_change: quoted(plus(balance.locked, minus(frozen))),
    change_type: quoted(causes[balance.cause])
  })

type Tell = (outlet: Outlet, session: Session, send: (result: Json) => void) => () => void

const privateStream = (channel: string, topic: string, session: Session, tell: Tell): Stream => ({
  topic,
  open: (outlet) => ({
    stop: tell(
      outlet,
      session,
      (result) => outlet.send(pushOf(outlet.world.now(), channel, `[${result}]`), data(topic))
    )
  })
})

/** Whether a pair is meant: any, or the one. */
type Meant = (pair: TradingPair) => boolean

/** `["!all"]`, or names of pairs; one that is not known fails the whole list. */
const byPair = (channel: string, tell: (meant: Meant) => Tell): PrivateChannel => (payload, markets, session) => {
  const streams: Array<Stream> = []
  for (const name of payload ?? []) {
    const market = markets.get(name)
    if (market === undefined && name !== "!all") return unknownPair(name)
    const meant: Meant = (pair) => market === undefined || market.pair === pair
    streams.push(privateStream(channel, `${channel}|${name}`, session, tell(meant)))
  }
  return streams.length === 0 ? invalidArgument : streams
}

const tellOrders = (withFees: boolean) => (meant: Meant): Tell => ({ world }, session, send) =>
  session.account.watch((event) => {
    if (event._tag === "Order" && !event.order.waiting && meant(event.order.pair)) {
      send(orderPush(world, session, event.order, event.event, withFees))
    }
  })

const tellFills = (withFees: boolean) => (meant: Meant): Tell => ({ world }, session, send) =>
  session.account.watch((event) => {
    if (event._tag === "Fill" && meant(event.fill.pair)) send(fillPush(world, session, event.fill, withFees))
  })

const tellBalances: Tell = (_, session, send) => {
  const frozen = new Map(session.account.balances().map(({ asset, locked }) => [asset, locked]))
  return session.account.watch((event) => {
    if (event._tag !== "Balance") return
    const { balance } = event
    send(balancePush(session, balance, frozen.get(balance.asset) ?? "0"))
    frozen.set(balance.asset, balance.locked)
  })
}

export const spotPrivateChannels: ReadonlyMap<string, PrivateChannel> = new Map([
  ["spot.orders", byPair("spot.orders", tellOrders(true))],
  ["spot.orders_v2", byPair("spot.orders_v2", tellOrders(false))],
  ["spot.usertrades", byPair("spot.usertrades", tellFills(true))],
  ["spot.usertrades_v2", byPair("spot.usertrades_v2", tellFills(false))],
  ["spot.balances", (_, __, session) => [privateStream("spot.balances", "spot.balances", session, tellBalances)]]
])
