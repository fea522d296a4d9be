/**
 * Fills, balances and positions as Gate describes them, in pushes and over REST. Sources: Gate WebSocket v4 documents,
 * spot (2026-07-25), "User Trades" and "Spot Balances", and futures (2026-08-25), the private channels; Gate REST v4
 * documents (v4.106), "Trade", "SpotAccount", "FuturesAccount", "MyFuturesTrade" and "Position".
 */
import { BigDecimal } from "effect"
import type {
  AutoDeleverage,
  Balance,
  Fill,
  FundingPayment,
  MarginMode,
  Origin,
  Position,
  PositionClose,
  PositionMode
} from "../../domain/Account.ts"
import type * as Decimal from "../../domain/Decimal.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import { aboveZero, clientOrderIdOf, forcedOf, sideOf } from "./GateOrders.ts"
import type { Row } from "./GateRow.ts"

/** What an event has from the outside. */
export interface Reading {
  readonly instrumentOf: InstrumentOf
  readonly receivedAt: number
  readonly origin: Origin
  /** Futures pay and are paid in it; null on spot. */
  readonly settle: string | null
}

const liquidityOf = (row: Row): Fill["liquidity"] => {
  const role = row.textOr("role")
  return role === "maker" || role === "taker" ? role : null
}

/** A fee is paid in the asset that was received, or else in GT or in points; the other two are 0 then. */
const spotFee = (row: Row): Pick<Fill, "fee" | "feeAsset"> => {
  const fee = row.decimalOr("fee")
  const gt = aboveZero(row.decimalOr("gt_fee"))
  const points = aboveZero(row.decimalOr("point_fee"))
  if (aboveZero(fee) === null) {
    if (gt !== null) return { fee: gt, feeAsset: "GT" }
    if (points !== null) return { fee: points, feeAsset: "POINT" }
  }
  return { fee, feeAsset: fee === null ? null : row.textOr("fee_currency") }
}

export const readSpotFill = (row: Row, { instrumentOf, origin, receivedAt }: Reading): Fill => {
  const symbol = row.text("currency_pair")
  return {
    _tag: "Fill",
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    tradeId: row.id("id"),
    orderId: row.id("order_id"),
    clientOrderId: clientOrderIdOf(row.textOr("text")),
    side: row.word("side", ["buy", "sell"]),
    price: row.decimal("price"),
    quantity: row.decimal("amount"),
    liquidity: liquidityOf(row),
    ...spotFee(row),
    exchangeTime: row.timeOr("create_time_ms", "create_time"),
    receivedAt,
    origin
  }
}

export const readFuturesFill = (row: Row, { instrumentOf, origin, receivedAt, settle }: Reading): Fill => {
  const symbol = row.text("contract")
  const size = row.decimal("size")
  const fee = row.decimalOr("fee")
  const points = aboveZero(row.decimalOr("point_fee"))
  return {
    _tag: "Fill",
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    // `my_trades_timerange` names it differently.
    tradeId: row.id("id", "trade_id"),
    orderId: row.id("order_id"),
    clientOrderId: clientOrderIdOf(row.textOr("text")),
    side: sideOf(row, size),
    price: row.decimal("price"),
    quantity: BigDecimal.abs(size),
    liquidity: liquidityOf(row),
    ...(aboveZero(fee) === null && points !== null
      ? { fee: points, feeAsset: "POINT" }
      : { fee, feeAsset: fee === null ? null : settle }),
    ...forcedOf(row),
    exchangeTime: row.timeOr("create_time_ms", "create_time"),
    receivedAt,
    origin
  }
}

export const readSpotBalance = (row: Row, { origin, receivedAt }: Reading): Balance => ({
  _tag: "Balance",
  asset: row.text("currency"),
  available: row.decimal("available"),
  locked: row.decimal("freeze"),
  total: row.decimal("total"),
  change: row.decimalOr("change"),
  cause: row.textOr("change_type"),
  exchangeTime: row.timeOr("timestamp_ms", "timestamp"),
  receivedAt,
  origin
})

/** REST calls `freeze` of the push `locked`, and has no total. */
export const readSpotAccount = (row: Row, { origin, receivedAt }: Reading): Balance => {
  const available = row.decimal("available")
  const locked = row.decimal("locked")
  return {
    _tag: "Balance",
    asset: row.text("currency"),
    available,
    locked,
    total: BigDecimal.normalize(BigDecimal.sum(available, locked)),
    change: null,
    cause: null,
    exchangeTime: null,
    receivedAt,
    origin
  }
}

/** Frames of 2022 name no currency: a socket has one. */
const settleAsset = (row: Row, settle: string | null): string => row.textOr("currency")?.toUpperCase() ?? settle ?? ""

/** Types of a change: futures WebSocket documents, "Balances Notification"; `fund` is funding. */
export const readFuturesBalance = (row: Row, { origin, receivedAt, settle }: Reading): Balance => ({
  _tag: "Balance",
  asset: settleAsset(row, settle),
  available: null,
  locked: null,
  total: row.decimal("balance"),
  change: row.decimalOr("change"),
  cause: row.textOr("type"),
  ...(row.textOr("type") === "fund" ? { isFunding: true } : {}),
  exchangeTime: row.timeOr("time_ms", "time"),
  receivedAt,
  origin
})

/** A row of the account book; older ones name the contract as their text (REST, "FuturesAccountBook"). */
export const readFunding = (row: Row, { instrumentOf, settle }: Reading): FundingPayment => {
  const symbol = row.textOr("contract") ?? row.text("text")
  const exchangeTime = row.timeOr("time")
  if (exchangeTime === null) row.problem("time is missing")
  return {
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    asset: settleAsset(row, settle),
    amount: row.decimal("change"),
    exchangeTime: exchangeTime ?? 0
  }
}

export const readFuturesAccount = (row: Row, { origin, receivedAt, settle }: Reading): Balance => ({
  _tag: "Balance",
  asset: settleAsset(row, settle),
  available: row.decimal("available"),
  // "Initial margin of all open orders", `cross_order_margin` included.
  locked: row.decimalOr("order_margin"),
  total: row.decimal("total"),
  change: null,
  cause: null,
  exchangeTime: null,
  receivedAt,
  origin
})

const sides: ReadonlyMap<string, Position["side"]> = new Map([["dual_long", "long"], ["dual_short", "short"]])

/** `position_mode`: `single`, `dual` or what came after it; older answers have the flag alone (REST, "FuturesAccount"). */
export const readPositionMode = (row: Row): PositionMode => {
  const word = row.textOr("position_mode")
  if (word !== null) return word === "single" ? "oneWay" : "hedge"
  const isDual = row.flagOr("in_dual_mode")
  if (isDual === null) row.problem("neither position_mode nor in_dual_mode")
  return isDual === true ? "hedge" : "oneWay"
}

export interface Leverage {
  readonly leverage: Decimal.Decimal | null
  readonly marginMode: MarginMode
}

/** The leverage 0 means cross, whose own leverage stands in `lever` (2026) or `cross_leverage_limit`. */
export const readLeverage = (row: Row): Leverage => {
  const old = row.decimalOr("leverage")
  const lever = aboveZero(row.decimalOr("lever"))
  const word = row.textOr("pos_margin_mode")
  const isCross = word === "cross" || (word !== "isolated" && aboveZero(old) === null)
  return isCross
    ? { leverage: lever ?? aboveZero(row.decimalOr("cross_leverage_limit")), marginMode: "cross" }
    : { leverage: lever ?? aboveZero(old), marginMode: "isolated" }
}

export const readPosition = (row: Row, { instrumentOf, origin, receivedAt }: Reading): Position => {
  const symbol = row.text("contract")
  const instrument = instrumentOf(symbol)
  return {
    _tag: "Position",
    pair: instrument?.pair ?? null,
    symbol,
    side: sides.get(row.textOr("mode") ?? "") ?? "net",
    size: row.decimal("size"),
    contractSize: instrument?.contractSize ?? null,
    entryPrice: aboveZero(row.decimalOr("entry_price")),
    ...readLeverage(row),
    margin: row.decimalOr("margin"),
    liquidationPrice: aboveZero(row.decimalOr("liq_price")),
    realisedPnl: row.decimalOr("realised_pnl"),
    unrealisedPnl: row.decimalOr("unrealised_pnl"),
    updateId: row.textOr("update_id"),
    exchangeTime: row.timeOr("time_ms", "time", "update_time"),
    receivedAt,
    origin
  }
}

export const readDeleverage = (row: Row, { instrumentOf, origin, receivedAt }: Reading): AutoDeleverage => {
  const symbol = row.text("contract")
  return {
    _tag: "AutoDeleverage",
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    quantity: row.decimal("trade_size"),
    positionSize: row.decimal("position_size"),
    entryPrice: aboveZero(row.decimalOr("entry_price")),
    price: row.decimal("fill_price"),
    exchangeTime: row.timeOr("time_ms", "time"),
    receivedAt,
    origin
  }
}

export const readClose = (row: Row, { instrumentOf, origin, receivedAt }: Reading): PositionClose => {
  const symbol = row.text("contract")
  return {
    _tag: "PositionClose",
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    side: row.word("side", ["long", "short"]),
    pnl: row.decimal("pnl"),
    cause: row.textOr("text"),
    exchangeTime: row.timeOr("time_ms", "time"),
    receivedAt,
    origin
  }
}
