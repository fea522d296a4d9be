/**
 * What accounts of Gate's USDT futures are told, the server's half ("Futures WebSocket v4", 2026-08-20, and captured
 * frames). Numbers of contracts are signed, and texts for a client that sent `X-Gate-Size-Decimal: 1`.
 */
import type { WorldAccountEvent, WorldBalance, WorldOrder } from "../../AccountWorld.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { Json, Session } from "./GateAccountDialect.ts"
import { finishOf, negated, object, quoted, textOf, timeInForceOf } from "./GateAccountDialect.ts"
import { plus } from "./GateDecimalsDialect.ts"
import {
  contractOf,
  crossLimitOf,
  futuresFees,
  leverageOf,
  quantityOf,
  restSource,
  signed,
  untouched
} from "./GateFuturesAccountDialect.ts"
import type { Outlet, PrivateChannel, Stream } from "./GateStreamsDialect.ts"
import { data, invalidArgument, pushOf, seconds, sizeOf } from "./GateStreamsDialect.ts"

export type Tell = (
  outlet: Outlet,
  session: Session,
  send: (result: Json) => void,
  meant: (pair: TradingPair) => boolean
) => (
  event: WorldAccountEvent
) => void

export const stream = (
  channel: string,
  topic: string,
  session: Session,
  tell: Tell,
  meant: (pair: TradingPair) => boolean
): Stream => ({
  topic,
  open: (outlet) => {
    const send = (result: Json): void => outlet.send(pushOf(outlet.world.now(), channel, `[${result}]`), data(topic))
    return { stop: session.account.watch(tell(outlet, session, send, meant)) }
  }
})

/**
 * `[user id, contract]` or `[user id, "!all"]`, the id as text. Where the documents call it a placeholder any is taken;
 * a foreign one is refused elsewhere, in words that are unconfirmed.
 */
const byContract = (channel: string, tell: Tell, checksUser = true): PrivateChannel => (payload, markets, session) => {
  const [user = "", name = ""] = payload ?? []
  if (checksUser && user !== session.account.userId) return invalidArgument
  const market = markets.get(name)
  if (market === undefined && name !== "!all") return { code: 2, message: `unknown contract ${name}` }
  const meant = (pair: TradingPair): boolean => market === undefined || market.pair === pair
  return [stream(channel, `${channel}|${name}`, session, tell, meant)]
}

const byUser = (channel: string, tell: Tell): PrivateChannel => (payload, _, session) =>
  payload?.[0] === session.account.userId ? [stream(channel, channel, session, tell, () => true)] : invalidArgument

interface Told {
  readonly event: "put" | "update"
  /** Rises from push to push of the order. */
  readonly updateId: number
  /** Of its last fill. */
  readonly role: string
}

const words = { put: "_new", update: "_update" } as const

const marginFields = ({ account }: Session, pair: TradingPair): Readonly<Record<string, Json>> => {
  const position = account.positions().find((one) => one.pair === pair) ?? untouched(pair)
  return { pos_margin_mode: quoted(position.mode), leverage: quoted(leverageOf(account, position)) }
}

/** Prices and rates are numbers in pushes (captured), as digits with all that they have. */
const orderPush = ({ decimal, world }: Outlet, session: Session, order: WorldOrder, told: Told): Json => {
  const isOpen = order.finish === null
  return object({
    contract: quoted(contractOf(world, order.pair)),
    create_time: String(seconds(order.createdAt)),
    create_time_ms: String(Math.floor(order.createdAt)),
    fill_price: order.averagePrice ?? "0",
    finish_as: quoted(order.finish === null ? words[told.event] : finishOf(order.finish)),
    finish_time: isOpen ? "0" : String(seconds(order.updatedAt)),
    finish_time_ms: isOpen ? "0" : String(Math.floor(order.updatedAt)),
    iceberg: sizeOf("0", decimal),
    id: String(order.id),
    id_string: quoted(String(order.id)),
    is_close: "false",
    is_liq: "false",
    is_reduce_only: String(order.reduceOnly),
    is_voucher: "false",
    left: sizeOf(signed(order, order.left), decimal),
    mkfr: futuresFees.maker,
    price: order.price ?? "0",
    refr: "0",
    refu: "0",
    size: sizeOf(signed(order, quantityOf(order)), decimal),
    status: quoted(isOpen ? "open" : "finished"),
    text: quoted(textOf(order.clientOrderId, restSource)),
    tif: quoted(timeInForceOf(order)),
    tkfr: futuresFees.taker,
    user: quoted(session.account.userId),
    update_id: String(told.updateId),
    update_time: String(Math.floor(order.updatedAt)),
    biz_info: quoted("-"),
    stp_act: quoted("-"),
    stp_id: quoted("0"),
    amend_text: quoted("-"),
    role: quoted(told.role),
    fee: order.fee,
    point_fee: "0",
    bbo: quoted("-"),
    ...marginFields(session, order.pair),
    stop_loss_price: quoted(""),
    stop_profit_price: quoted(""),
    market_order_slip_ratio: quoted("0")
  })
}

const tellOrders: Tell = (outlet, session, send, meant) => {
  const known = new Map<number, Told>()
  const toldOf = (id: number): Told => known.get(id) ?? { event: "put", updateId: 0, role: "-" }
  return (event) => {
    if (event._tag === "Fill") {
      const { liquidity, orderId } = event.fill
      known.set(orderId, { ...toldOf(orderId), role: liquidity })
    }
    if (event._tag !== "Order" || event.order.waiting) return
    const { id, pair } = event.order
    const before = toldOf(id)
    const told: Told = { ...before, event: event.event === "put" ? "put" : "update", updateId: before.updateId + 1 }
    if (event.event === "finish") known.delete(id)
    else known.set(id, told)
    if (meant(pair)) send(orderPush(outlet, session, event.order, told))
  }
}

const tellFills: Tell = ({ decimal, world }, _, send, meant) => (event) => {
  if (event._tag !== "Fill" || !meant(event.fill.pair)) return
  const { fill } = event
  send(object({
    id: quoted(String(fill.id)),
    create_time: String(seconds(fill.time)),
    create_time_ms: String(Math.floor(fill.time)),
    contract: quoted(contractOf(world, fill.pair)),
    order_id: quoted(String(fill.orderId)),
    size: sizeOf(signed(fill, fill.quantity), decimal),
    price: quoted(fill.price),
    role: quoted(fill.liquidity),
    text: quoted(textOf(fill.clientOrderId, restSource)),
    fee: fill.fee,
    point_fee: "0",
    amend_text: quoted("-"),
    biz_info: quoted("-"),
    close_size: sizeOf("0", decimal)
  }))
}

const times = (time: number): Readonly<Record<"time" | "time_ms", Json>> => ({
  time: String(seconds(time)),
  time_ms: String(Math.floor(time))
})

const tellPositions: Tell = ({ decimal, world }, { account }, send, meant) => (event) => {
  if (event._tag !== "Position" || !meant(event.position.pair)) return
  const { position } = event
  const isCross = position.mode === "cross"
  send(object({
    contract: quoted(contractOf(world, position.pair)),
    cross_leverage_limit: isCross ? crossLimitOf(account, position.pair) : "0",
    entry_price: position.entryPrice,
    history_pnl: position.historyPnl,
    history_point: "0",
    last_close_pnl: position.lastClosePnl,
    leverage: position.leverage,
    leverage_max: position.leverageMax,
    liq_price: position.liquidationPrice,
    maintenance_rate: position.maintenanceRate,
    margin: position.margin,
    mode: quoted("single"),
    realised_pnl: position.realisedPnl,
    realised_point: "0",
    risk_limit: "1000000",
    size: sizeOf(position.size, decimal),
    ...times(position.time),
    user: quoted(account.userId),
    update_id: String(position.updateId),
    pos_margin_mode: quoted(position.mode),
    lever: quoted(leverageOf(account, position))
  }))
}

const causes: Readonly<Partial<Record<WorldBalance["cause"], string>>> = {
  deposit: "dnw",
  pnl: "pnl",
  fee: "fee",
  funding: "fund"
}

/** Margin that is set aside is no change of the balance, and nothing is told of it. */
const tellBalances: Tell = ({ world }, { account: { userId } }, send) => (event) => {
  if (event._tag !== "Balance") return
  const { available, asset, cause, change, locked, orderId, pair, time } = event.balance
  if (Number(change) === 0) return
  const about = pair === null ? "-" : `${contractOf(world, pair)}${orderId === null ? "" : `:${orderId}`}`
  send(object({
    balance: plus(available, locked),
    change,
    text: quoted(about),
    ...times(time),
    type: quoted(causes[cause] ?? "pnl"),
    user: quoted(userId),
    currency: quoted(asset.toLowerCase())
  }))
}

const tellCloses: Tell = ({ world }, { account: { userId } }, send, meant) => (event) => {
  if (event._tag !== "PositionClose" || !meant(event.pair)) return
  const { pair, pnl, side, time } = event
  send(object({
    contract: quoted(contractOf(world, pair)),
    pnl,
    side: quoted(side),
    text: quoted(restSource),
    ...times(time),
    user: quoted(userId)
  }))
}

const tellDeleverages: Tell = ({ decimal, world }, session, send, meant) => (event) => {
  if (event._tag !== "AutoDeleverage" || !meant(event.pair)) return
  send(object({
    entry_price: event.entryPrice,
    fill_price: event.price,
    position_size: sizeOf(event.left, decimal),
    trade_size: sizeOf(event.size, decimal),
    ...times(event.time),
    contract: quoted(contractOf(world, event.pair)),
    user: quoted(session.account.userId),
    ...marginFields(session, event.pair)
  }))
}

const tellLiquidations: Tell = ({ decimal, world }, { account: { userId } }, send, meant) => (event) => {
  if (event._tag !== "Liquidation" || !meant(event.pair)) return
  send(object({
    entry_price: event.entryPrice,
    fill_price: event.price,
    left: sizeOf("0", decimal),
    leverage: event.leverage,
    liq_price: event.price,
    margin: event.margin,
    mark_price: event.price,
    order_id: String(event.orderId),
    order_price: event.price,
    order_size: sizeOf(negated(event.size), decimal),
    size: sizeOf(event.size, decimal),
    ...times(event.time),
    contract: quoted(contractOf(world, event.pair)),
    user: quoted(userId)
  }))
}

export const futuresPrivateChannels: ReadonlyMap<string, PrivateChannel> = new Map([
  ["futures.orders", byContract("futures.orders", tellOrders)],
  ["futures.usertrades", byContract("futures.usertrades", tellFills)],
  ["futures.positions", byContract("futures.positions", tellPositions, false)],
  ["futures.balances", byUser("futures.balances", tellBalances)],
  ["futures.position_closes", byContract("futures.position_closes", tellCloses)],
  ["futures.auto_deleverages", byContract("futures.auto_deleverages", tellDeleverages)],
  ["futures.liquidates", byContract("futures.liquidates", tellLiquidations)]
])
