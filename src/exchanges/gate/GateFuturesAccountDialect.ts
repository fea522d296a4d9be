/**
 * Accounts of Gate's USDT futures, the server's half: wallet, positions, orders and fills as REST and the WebSocket API
 * have them. Numbers of contracts are signed, and texts for a client that sent `X-Gate-Size-Decimal: 1`.
 * Sources: "API v4, Futures" (v4.106); "Futures WebSocket v4" (2026-08-20) and captured frames.
 */
import type { WorldAccount, WorldFill, WorldOrder, WorldPlace, WorldPosition, WorldRef } from "../../AccountWorld.ts"
import { isRefusal } from "../../AccountWorld.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { World, WorldMarket } from "../../ExchangeDialect.ts"
import type { Failure, Json, Outcome, Parsed, Session } from "./GateAccountDialect.ts"
import {
  bodyOf,
  clientOrderIdIn,
  decimalIn,
  done,
  failed,
  finishOf,
  fractional,
  futuresLabels,
  invalid,
  invalidBody,
  isFailure,
  isObject,
  list,
  missing,
  negated,
  notSimulated,
  object,
  placedOr,
  quoted,
  textIn,
  textOf,
  timeInForceIn,
  timeInForceOf
} from "./GateAccountDialect.ts"
import type { ApiMethod } from "./GateApiDialect.ts"
import { minus, plus } from "./GateDecimalsDialect.ts"
import type { Asked, SignedRoute } from "./GateSignedDialect.ts"
import { detailRoute } from "./GateSpotAccountDialect.ts"
import { marketsOf, nameOf, seconds, sizeOf } from "./GateStreamsDialect.ts"

/** Base tier; the dialect names them as the fees of every account. */
export const futuresFees = { maker: "-0.0001", taker: "0.00075" } as const

export const contractOf = (world: World, pair: TradingPair): string => {
  const market = world.markets.get(pair)
  return market === undefined ? pair : nameOf(market)
}

const minute = 60_000

// ---- orders ---------------------------------------------------------------------------------------------------------

interface Sided {
  readonly side: "buy" | "sell"
}

/** Contracts of an order or a fill: negative where it sells. */
export const signed = ({ side }: Sided, quantity: string): string => side === "buy" ? quantity : negated(quantity)

export const quantityOf = (order: WorldOrder): string => order.quantity ?? "0"

/** A market order closes a position or is one without a price. */
const orderAnswer = (world: World, user: string, order: WorldOrder, decimal: boolean, source: string): Json =>
  object({
    id: String(order.id),
    user,
    create_time: fractional(order.createdAt),
    update_time: fractional(order.updatedAt),
    ...(order.finish === null
      ? {}
      : { finish_time: fractional(order.updatedAt), finish_as: quoted(finishOf(order.finish)) }),
    status: quoted(order.finish === null ? "open" : "finished"),
    contract: quoted(contractOf(world, order.pair)),
    size: sizeOf(signed(order, quantityOf(order)), decimal),
    left: sizeOf(signed(order, order.left), decimal),
    iceberg: sizeOf("0", decimal),
    price: quoted(order.price ?? "0"),
    fill_price: quoted(order.averagePrice ?? "0"),
    tif: quoted(timeInForceOf(order)),
    text: quoted(textOf(order.clientOrderId, source)),
    is_reduce_only: String(order.reduceOnly),
    is_close: "false",
    is_liq: "false",
    tkfr: quoted(futuresFees.taker),
    mkfr: quoted(futuresFees.maker),
    refu: "0",
    refr: quoted("0"),
    stp_id: "0",
    stp_act: quoted("-"),
    amend_text: quoted("-"),
    biz_info: quoted("-")
  })

const apiSource = "apiv4-ws"
export const restSource = "api"

// ---- what is asked --------------------------------------------------------------------------------------------------

export interface Around {
  readonly session: Session
  readonly world: World
  readonly decimal: boolean
  readonly source: string
}

const told = ({ decimal, session, source, world }: Around, order: WorldOrder): Json =>
  orderAnswer(world, session.account.userId, order, decimal, source)

export const marketIn = (world: World, name: string): WorldMarket | Failure => {
  if (name === "") return missing("contract")
  return marketsOf(world).get(name) ?? failed(400, "CONTRACT_NOT_FOUND", `contract ${name} not found`)
}

/** Without the header, fractions of contracts are cut off. */
const sizeIn = (body: Parsed, decimal: boolean): string | null => {
  const size = decimalIn(body, "size")
  return size === null || decimal ? size : String(Math.trunc(Number(size)))
}

interface Size {
  readonly side: WorldPlace["side"]
  readonly quantity: string
  readonly reduceOnly: boolean
}

const sized = (size: string, reduceOnly: boolean): Size => ({
  side: size.startsWith("-") ? "sell" : "buy",
  quantity: size.startsWith("-") ? size.slice(1) : size,
  reduceOnly
})

const isTrue = (value: unknown): boolean => value === true || value === "true"

/** `close` with size 0: whatever is open. */
const sizeOrClose = ({ decimal, session }: Around, body: Parsed, pair: TradingPair): Size | Failure => {
  const size = sizeIn(body, decimal)
  if (size === null) return textIn(body, "size") === "" ? missing("size") : invalid("size", textIn(body, "size"))
  if (Number(size) !== 0) return sized(size, isTrue(body["reduce_only"]))
  if (!isTrue(body["close"])) return failed(400, "INVALID_PARAM_VALUE", "size is 0")
  const open = session.account.positions().find((position) => position.pair === pair)?.size ?? "0"
  return Number(open) === 0
    ? failed(400, "POSITION_EMPTY", "There is no position to close")
    : sized(negated(open), true)
}

/** Price `0` with `ioc` or `fok`: at the market's. Without a price there is no order. */
const priceIn = (body: Parsed): Pick<WorldPlace, "price" | "type" | "timeInForce"> | Failure => {
  const price = decimalIn(body, "price")
  const word = textIn(body, "tif") || "gtc"
  const timeInForce = timeInForceIn(word)
  if (price === null || Number(price) < 0) return failed(400, "INVALID_ARGUMENT", "invalid argument: #4")
  if (timeInForce === null) return invalid("tif", word)
  if (Number(price) !== 0) return { price, type: "limit", timeInForce }
  return timeInForce === "ioc" || timeInForce === "fok"
    ? { price: null, type: "market", timeInForce }
    : invalid("tif", word)
}

export const placeIn = (around: Around, body: Parsed): WorldPlace | Failure => {
  const market = marketIn(around.world, textIn(body, "contract"))
  if (isFailure(market)) return market
  const odd = notSimulated(body)
  if (odd !== null) return odd
  const price = priceIn(body)
  if (isFailure(price)) return price
  const size = sizeOrClose(around, body, market.pair)
  if (isFailure(size)) return size
  const clientOrderId = clientOrderIdIn(textIn(body, "text"))
  if (clientOrderId === undefined) return invalid("text", textIn(body, "text"))
  return { pair: market.pair, ...price, ...size, quoteQuantity: null, clientOrderId, trigger: null }
}

const unfilled = (order: WorldOrder): boolean => Number(order.filled) === 0

/**
 * Documented: a cancelled order without fills is found by its text for a minute, by its id for ten; others are found for
 * ever.
 */
const orderIn = ({ session, world }: Around, id: string): WorldOrder | Failure => {
  const byText = id.startsWith("t-")
  const ref: WorldRef = byText ? { clientOrderId: id.slice(2) } : { id: /^\d{1,15}$/.test(id) ? Number(id) : -1 }
  const order = session.account.order(ref)
  // What waits for its price is no order yet.
  if (order === undefined || order.waiting) return futuresLabels.unknownOrder
  const age = order.finish === null || !unfilled(order) ? 0 : world.now() - order.updatedAt
  return age > (byText ? 1 : 10) * minute ? futuresLabels.unknownOrder : order
}

// ---- commands -------------------------------------------------------------------------------------------------------

const placeOne = (around: Around, body: Parsed): WorldOrder | Failure => {
  const place = placeIn(around, body)
  return isFailure(place) ? place : placedOr(around.session.account.place(place), futuresLabels)
}

const answered = (around: Around, order: WorldOrder | Failure, status = 200): Outcome =>
  isFailure(order) ? order : done(told(around, order), status)

/** An order with whether it was taken, or why not. */
const placeEach = (around: Around, body: Parsed): Json => {
  const order = placeOne(around, body)
  return isFailure(order)
    ? object({
      succeeded: "false",
      label: quoted(order.label),
      detail: quoted(order.message),
      text: quoted(textIn(body, "text"))
    })
    : `{"succeeded":true,${told(around, order).slice(1)}`
}

/** Documented: at most ten, and one that is malformed refuses all. */
const placeAll = (around: Around, items: unknown): Outcome => {
  const orders = Array.isArray(items) ? items : []
  if (orders.length === 0 || !orders.every((item): item is Parsed => isObject(item))) return invalidBody
  if (orders.length > 10) return failed(400, "TOO_MANY_ORDERS", "At most 10 orders in one batch")
  const malformed = orders.map((body) => priceIn(body)).find((price) => isFailure(price))
  return malformed !== undefined && isFailure(malformed)
    ? malformed
    : done(list(orders.map((body) => placeEach(around, body))))
}

const cancelled = (around: Around, id: string): WorldOrder | Failure => {
  const order = orderIn(around, id)
  if (isFailure(order)) return order
  const result = around.session.account.cancel({ id: order.id })
  return isRefusal(result) ? futuresLabels[result] : result
}

/** One of a list of ids. */
const cancelEach = (around: Around, id: string): Json => {
  const order = cancelled(around, id)
  return object({
    id: quoted(id),
    user_id: around.session.account.userId,
    succeeded: String(!isFailure(order)),
    message: quoted(isFailure(order) ? order.label : "")
  })
}

const cancelList = (around: Around, ids: unknown): Outcome =>
  Array.isArray(ids) && ids.length > 0 && ids.length <= 20
    ? done(list(ids.map((id) => cancelEach(around, String(id)))))
    : invalidBody

const sidesOf = { "": ["buy", "sell"], bid: ["buy"], ask: ["sell"] } as const

const cancelAll = (around: Around, name: string, side: string): Outcome => {
  const market = marketIn(around.world, name)
  if (isFailure(market)) return market
  if (!Object.hasOwn(sidesOf, side)) return invalid("side", side)
  const sides: ReadonlyArray<string> = sidesOf[side as keyof typeof sidesOf]
  const { account } = around.session
  const open = account.orders({ pair: market.pair, open: true })
  const ended = open.filter(({ side, waiting }) => !waiting && sides.includes(side))
    .map(({ id }) => account.cancel({ id })).filter((order): order is WorldOrder => !isRefusal(order))
  return done(list(ended.map((order) => told(around, order))))
}

interface Change {
  readonly price?: string | undefined
  readonly quantity?: string | undefined
}

/** The size is the whole one, filled part included, and has the order's sign. */
const changeIn = ({ decimal }: Around, { side }: WorldOrder, body: Parsed): Change | Failure => {
  const [size, price] = [textIn(body, "size"), textIn(body, "price")]
  if (size === "" && price === "") return missing("size")
  const wanted = sizeIn(body, decimal)
  const limit = decimalIn(body, "price")
  if (price !== "" && limit === null) return invalid("price", price)
  if (size === "") return { price: limit ?? undefined }
  return wanted === null || sized(wanted, false).side !== side
    ? invalid("size", size)
    : { price: limit ?? undefined, quantity: sized(wanted, false).quantity }
}

const amend = (around: Around, id: string, body: Parsed): Outcome => {
  const order = orderIn(around, id)
  if (isFailure(order)) return order
  const change = changeIn(around, order, body)
  if (isFailure(change)) return change
  const result = around.session.account.amend({ id: order.id }, change)
  return isRefusal(result) ? futuresLabels[result] : done(told(around, result))
}

// ---- lists ----------------------------------------------------------------------------------------------------------

type Get = (name: string) => string

interface Window {
  readonly offset: number
  readonly limit: number
}

const windowIn = (get: Get): Window | Failure => {
  const limit = get("limit") || "100"
  const offset = get("offset") || "0"
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > 1_000) return invalid("limit", limit)
  return /^\d{1,6}$/.test(offset) ? { limit: Number(limit), offset: Number(offset) } : invalid("offset", offset)
}

const cut = <A>(items: ReadonlyArray<A>, { limit, offset }: Window): ReadonlyArray<A> =>
  items.slice(offset, offset + limit)

export const optionalMarket = (world: World, name: string): WorldMarket | null | Failure =>
  name === "" ? null : marketIn(world, name)

const orderList = (around: Around, get: Get): Outcome => {
  const market = optionalMarket(around.world, get("contract"))
  if (market !== null && isFailure(market)) return market
  const status = get("status")
  if (status !== "open" && status !== "finished") return invalid("status", status)
  const window = windowIn(get)
  if (isFailure(window)) return window
  const orders = around.session.account.orders({ pair: market?.pair, open: status === "open" })
    .filter((order) => !isFailure(orderIn(around, String(order.id))))
  return done(list(cut(orders, window).map((order) => told(around, order))))
}

const fillAnswer = ({ decimal, world }: Around, fill: WorldFill): Json =>
  object({
    id: String(fill.id),
    create_time: fractional(fill.time),
    contract: quoted(contractOf(world, fill.pair)),
    order_id: quoted(String(fill.orderId)),
    size: sizeOf(signed(fill, fill.quantity), decimal),
    close_size: sizeOf("0", decimal),
    price: quoted(fill.price),
    role: quoted(fill.liquidity),
    text: quoted(textOf(fill.clientOrderId, restSource)),
    fee: quoted(fill.fee),
    point_fee: quoted("0")
  })

/** Newest first; `from` and `to` in s where the call has them. */
const myTrades = (around: Around, get: Get, orderId: string): Outcome => {
  const market = optionalMarket(around.world, get("contract"))
  if (market !== null && isFailure(market)) return market
  const window = windowIn(get)
  if (isFailure(window)) return window
  const until = get("to") === "" ? Number.POSITIVE_INFINITY : (Number(get("to")) + 1) * 1_000
  const fills = around.session.account.fills({
    pair: market?.pair,
    orderId: orderId === "" ? undefined : Number(orderId),
    since: get("from") === "" ? undefined : Number(get("from")) * 1_000
  }).filter(({ time }) => time < until)
  return done(list(cut(fills.toReversed(), window).map((fill) => fillAnswer(around, fill))))
}

/** Newest first. Of what changes the balance the simulated accounts keep the funding. */
const accountBook = (around: Around, get: Get): Outcome => {
  const market = optionalMarket(around.world, get("contract"))
  if (market !== null && isFailure(market)) return market
  const window = windowIn(get)
  if (isFailure(window)) return window
  if (get("type") !== "fund") return invalid("type", get("type"))
  const until = get("to") === "" ? Number.POSITIVE_INFINITY : (Number(get("to")) + 1) * 1_000
  const since = get("from") === "" ? undefined : Number(get("from")) * 1_000
  const all = around.session.account.fundings({ since })
    .filter(({ pair, time }) => time < until && (market === null || pair === market.pair))
  return done(list(
    cut(all.toReversed(), window).map(({ balance, change, pair, time }) => {
      const name = quoted(contractOf(around.world, pair))
      return object({
        time: fractional(time),
        change: quoted(change),
        balance: quoted(balance),
        type: quoted("fund"),
        text: name,
        contract: name,
        trade_id: quoted("")
      })
    })
  ))
}

const countdown = ({ session, world }: Around, body: Parsed): Outcome => {
  const timeout = decimalIn(body, "timeout")
  if (timeout === null || (Number(timeout) !== 0 && Number(timeout) < 5)) {
    return invalid("timeout", textIn(body, "timeout"))
  }
  const market = optionalMarket(world, textIn(body, "contract"))
  if (market !== null && isFailure(market)) return market
  const at = session.account.countdown(Number(timeout) * 1_000, market?.pair)
  return done(object({ triggerTime: String(Math.floor(at)) }))
}

// ---- wallet and positions -------------------------------------------------------------------------------------------

const settle = "USDT"

const walletOf = (account: WorldAccount) =>
  account.balances().find(({ asset }) => asset === settle) ?? { asset: settle, available: "0", locked: "0" }

const total = (values: ReadonlyArray<string>): string => values.reduce(plus, "0")

const walletAnswer = ({ account }: Session): Outcome => {
  const { available, locked } = walletOf(account)
  const positions = account.positions()
  const margin = total(positions.map((position) => position.margin))
  return done(object({
    user: account.userId,
    currency: quoted(settle),
    total: quoted(plus(available, locked)),
    unrealised_pnl: quoted(total(positions.map((position) => position.unrealisedPnl))),
    position_margin: quoted(margin),
    order_margin: quoted(plus(locked, minus(margin))),
    available: quoted(available),
    point: quoted("0"),
    bonus: quoted("0"),
    in_dual_mode: "false",
    enable_evolved_classic: "false",
    history: object({
      pnl: quoted(total(positions.map(({ historyPnl, realisedPnl }) => plus(historyPnl, realisedPnl))))
    })
  }))
}

/** What a cross position is reckoned with; kept here, because the simulated accounts have one for all. */
const crossLimits = new WeakMap<WorldAccount, Map<TradingPair, string>>()

export const crossLimitOf = (account: WorldAccount, pair: TradingPair): string =>
  crossLimits.get(account)?.get(pair) ?? "10"

const setCrossLimit = (account: WorldAccount, pair: TradingPair, limit: string): void => {
  const limits = crossLimits.get(account) ?? new Map<TradingPair, string>()
  limits.set(pair, limit)
  crossLimits.set(account, limits)
}

/** In cross mode `leverage` is 0, and `cross_leverage_limit` says how far it goes; else that is 0. */
export const leverageOf = (account: WorldAccount, position: WorldPosition): string =>
  position.mode === "cross" ? crossLimitOf(account, position.pair) : position.leverage

const leverageMax = "100"

export const untouched = (pair: TradingPair): WorldPosition => ({
  pair,
  size: "0",
  entryPrice: "0",
  leverage: "0",
  mode: "cross",
  margin: "0",
  liquidationPrice: "0",
  realisedPnl: "0",
  historyPnl: "0",
  unrealisedPnl: "0",
  lastClosePnl: "0",
  maintenanceRate: "0.005",
  leverageMax,
  updateId: 0,
  time: 0
})

const worthOf = (market: WorldMarket | undefined, position: WorldPosition): string => {
  if (market?.swap === undefined || market.swap === null) return "0"
  const mark = Number(market.swap.state().markPrice)
  return String(Math.abs(Number(position.size)) * Number(market.swap.contractSize) * mark)
}

const positionAnswer = ({ decimal, session: { account }, world }: Around, position: WorldPosition): Json => {
  const market = world.markets.get(position.pair)
  const isCross = position.mode === "cross"
  return object({
    user: account.userId,
    contract: quoted(contractOf(world, position.pair)),
    size: sizeOf(position.size, decimal),
    leverage: quoted(position.leverage),
    risk_limit: quoted("1000000"),
    leverage_max: quoted(position.leverageMax),
    maintenance_rate: quoted(position.maintenanceRate),
    value: quoted(worthOf(market, position)),
    margin: quoted(position.margin),
    entry_price: quoted(position.entryPrice),
    liq_price: quoted(position.liquidationPrice),
    mark_price: quoted(market?.swap?.state().markPrice ?? "0"),
    unrealised_pnl: quoted(position.unrealisedPnl),
    realised_pnl: quoted(position.realisedPnl),
    history_pnl: quoted(position.historyPnl),
    last_close_pnl: quoted(position.lastClosePnl),
    realised_point: quoted("0"),
    history_point: quoted("0"),
    adl_ranking: "5",
    pending_orders: String(account.orders({ pair: position.pair, open: true }).length),
    close_order: "null",
    mode: quoted("single"),
    update_time: String(seconds(position.time)),
    update_id: String(position.updateId),
    cross_leverage_limit: quoted(isCross ? crossLimitOf(account, position.pair) : "0"),
    lever: quoted(leverageOf(account, position)),
    pos_margin_mode: quoted(position.mode)
  })
}

const positionList = (around: Around, holding: string): Outcome =>
  done(list(
    around.session.account.positions()
      .filter(({ size }) => holding !== "true" || Number(size) !== 0)
      .map((position) => positionAnswer(around, position))
  ))

const positionIn = (around: Around, name: string): WorldPosition | Failure => {
  const market = marketIn(around.world, name)
  if (isFailure(market)) return market
  const { pair } = market
  return around.session.account.positions().find((position) => position.pair === pair) ?? untouched(pair)
}

const positionOr = (around: Around, result: ReturnType<WorldAccount["setLeverage"]>): Outcome =>
  isRefusal(result) ? futuresLabels[result] : done(positionAnswer(around, result))

const leverageIn = (name: string, text: string): string | Failure => {
  if (text === "") return missing(name)
  if (!/^\d{1,4}(\.\d{1,2})?$/.test(text)) return invalid(name, text)
  const value = Number(text)
  if (value !== 0 && value < 1) return failed(400, "LEVERAGE_TOO_LOW", "Leverage is too low")
  return text
}

/** `leverage` other than 0: isolated. 0: cross, up to `cross_leverage_limit`. */
const setLeverage = (around: Around, name: string, get: Get): Outcome => {
  const leverage = leverageIn("leverage", get("leverage"))
  return typeof leverage === "string" ? releverage(around, name, leverage, get("cross_leverage_limit")) : leverage
}

/** Null: it stays as it is. */
const crossLimitIn = (leverage: string, crossLimit: string): string | null | Failure => {
  if (Number(leverage) !== 0 || crossLimit === "") return null
  const limit = leverageIn("cross_leverage_limit", crossLimit)
  if (typeof limit !== "string") return limit
  return Number(limit) > Number(leverageMax) ? futuresLabels.badLeverage : limit
}

const releverage = (around: Around, name: string, leverage: string, crossLimit: string): Outcome => {
  const market = marketIn(around.world, name)
  if (isFailure(market)) return market
  const limit = crossLimitIn(leverage, crossLimit)
  if (limit !== null && typeof limit !== "string") return limit
  const { account } = around.session
  const result = account.setLeverage(market.pair, leverage)
  if (!isRefusal(result) && limit !== null) setCrossLimit(account, market.pair, limit)
  return positionOr(around, result)
}

/** The newer call: leverage and mode apart. */
const setLever = (around: Around, name: string, get: Get): Outcome => {
  const mode = get("margin_mode")
  const leverage = leverageIn("leverage", get("leverage"))
  if (typeof leverage !== "string") return leverage
  if (mode === "cross") return releverage(around, name, "0", leverage)
  return mode === "isolated" ? releverage(around, name, leverage, "") : invalid("margin_mode", mode)
}

const lever = (around: Around, name: string): Outcome => {
  const position = positionIn(around, name)
  if (isFailure(position)) return position
  return done(object({ lever: quoted(leverageOf(around.session.account, position)) }))
}

const setMode = (around: Around, body: Parsed): Outcome => {
  const market = marketIn(around.world, textIn(body, "contract"))
  if (isFailure(market)) return market
  const mode = textIn(body, "mode")
  if (mode !== "CROSS" && mode !== "ISOLATED") return invalid("mode", mode)
  return positionOr(around, around.session.account.setMode(market.pair, mode === "CROSS" ? "cross" : "isolated"))
}

const feeAnswer = (world: World): Outcome =>
  done(object(Object.fromEntries(
    [...world.markets.values()].map((market) => [
      nameOf(market),
      object({ taker_fee: quoted(futuresFees.taker), maker_fee: quoted(futuresFees.maker) })
    ])
  )))

// ---- REST -----------------------------------------------------------------------------------------------------------

export const restAround = ({ request, session, world }: Asked): Around => ({
  session,
  world,
  decimal: request.headers["x-gate-size-decimal"] === "1",
  source: restSource
})

const queryOf = ({ request }: Asked): Get => (name) => request.query.get(name) ?? ""

const withBody = (asked: Asked, run: (around: Around, body: Parsed) => Outcome): Outcome => {
  const body = bodyOf(asked.request)
  return isObject(body) ? run(restAround(asked), body) : invalidBody
}

export const root = "/futures/usdt"

const read = (path: string, answer: (around: Around, get: Get, name: string) => Outcome): SignedRoute => ({
  method: "GET",
  endpoint: `${root}${path}`,
  needs: "read",
  limit: "other",
  answer: (asked) => answer(restAround(asked), queryOf(asked), asked.name)
})

const write = (
  method: string,
  path: string,
  limit: SignedRoute["limit"],
  answer: SignedRoute["answer"]
): SignedRoute => ({ method, endpoint: `${root}${path}`, needs: "trade", limit, answer })

/** `{contract}/leverage` and `{contract}/set_leverage`. */
const positionRoute = (asked: Asked): Outcome => {
  const [name = "", action = ""] = asked.name.split("/")
  if (action === "leverage") return setLeverage(restAround(asked), name, queryOf(asked))
  if (action === "set_leverage") return setLever(restAround(asked), name, queryOf(asked))
  return failed(404, "NOT_FOUND", "Not found")
}

export const futuresSignedRoutes: ReadonlyArray<SignedRoute> = [
  detailRoute,
  read("/accounts", ({ session }) => walletAnswer(session)),
  read("/positions", (around, get) => positionList(around, get("holding"))),
  read("/positions/", (around, _, name) => {
    const position = positionIn(around, name)
    return isFailure(position) ? position : done(positionAnswer(around, position))
  }),
  write("POST", "/positions/cross_mode", "other", (asked) => withBody(asked, setMode)),
  write("POST", "/positions/", "other", positionRoute),
  read("/get_leverage/", (around, _, name) => lever(around, name)),
  read("/fee", ({ world }) => feeAnswer(world)),
  write(
    "POST",
    "/orders",
    "trade",
    (asked) => withBody(asked, (around, body) => answered(around, placeOne(around, body), 201))
  ),
  write("POST", "/batch_orders", "trade", (asked) => placeAll(restAround(asked), bodyOf(asked.request))),
  write("POST", "/batch_cancel_orders", "cancel", (asked) => cancelList(restAround(asked), bodyOf(asked.request))),
  write(
    "DELETE",
    "/orders",
    "cancel",
    (asked) => cancelAll(restAround(asked), queryOf(asked)("contract"), queryOf(asked)("side"))
  ),
  write(
    "DELETE",
    "/orders/",
    "cancel",
    (asked) => answered(restAround(asked), cancelled(restAround(asked), asked.name))
  ),
  write("PUT", "/orders/", "trade", (asked) => withBody(asked, (around, body) => amend(around, asked.name, body))),
  write("POST", "/countdown_cancel_all", "other", (asked) => withBody(asked, countdown)),
  read("/orders", (around, get) => orderList(around, get)),
  read("/orders/", (around, _, name) => answered(around, orderIn(around, name))),
  read("/account_book", (around, get) => accountBook(around, get)),
  read("/my_trades", (around, get) => myTrades(around, get, get("order"))),
  read("/my_trades_timerange", (around, get) => myTrades(around, get, ""))
]

// ---- WebSocket API --------------------------------------------------------------------------------------------------

type ApiRun = (around: Around, parameters: Parsed) => Outcome

const method = (kind: Omit<ApiMethod, "answer">, run: (around: Around, parameters: unknown) => Outcome): ApiMethod => ({
  ...kind,
  answer: ({ decimal, parameters, session, world }) => run({ decimal, session, world, source: apiSource }, parameters)
})

/** Documented: placing, amending and cancelling count together. */
const trades = { needs: "trade", acked: false, limited: true } as const
const places = { ...trades, acked: true } as const
const reads = { needs: "read", acked: false, limited: false } as const

const ofObject = (run: ApiRun) => (around: Around, parameters: unknown): Outcome =>
  run(around, isObject(parameters) ? parameters : {})

export const futuresApiMethods: ReadonlyMap<string, ApiMethod> = new Map([
  ["futures.order_place", method(places, ofObject((around, body) => answered(around, placeOne(around, body))))],
  ["futures.order_batch_place", method(places, placeAll)],
  [
    "futures.order_cancel",
    method(trades, ofObject((around, body) => answered(around, cancelled(around, textIn(body, "order_id")))))
  ],
  ["futures.order_cancel_ids", method(trades, cancelList)],
  [
    "futures.order_cancel_cp",
    method(trades, ofObject((around, body) => cancelAll(around, textIn(body, "contract"), textIn(body, "side"))))
  ],
  ["futures.order_amend", method(trades, ofObject((around, body) => amend(around, textIn(body, "order_id"), body)))],
  [
    "futures.order_status",
    method(reads, ofObject((around, body) => answered(around, orderIn(around, textIn(body, "order_id")))))
  ],
  ["futures.order_list", method(reads, ofObject((around, body) => orderList(around, (name) => textIn(body, name))))]
])
