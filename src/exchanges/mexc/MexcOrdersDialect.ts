/** Orders and fills as MEXC's REST describes them, the server's half. Source: "Spot Account/Trade" (2025-02 to 2026-04). */
import { BigDecimal } from "effect"
import type { WorldFill, WorldOrder, WorldPlace } from "../../AccountWorld.ts"
import * as Decimal from "../../domain/Decimal.ts"

/** Ids are text such as `C02__505979017439002624115`. */
export const orderIdOf = (id: number): string => `C02__${String(id).padStart(18, "0")}`

export const idOf = (orderId: string): number | null => {
  const digits = /^C02__(\d{1,18})$/u.exec(orderId)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** In pushes `505979017439002624X1`; whether REST spells it the same way is unconfirmed. */
export const tradeIdOf = ({ id }: WorldFill): string => `${String(id).padStart(18, "0")}X1`

export type OrderType = "LIMIT" | "LIMIT_MAKER" | "IMMEDIATE_OR_CANCEL" | "FILL_OR_KILL" | "MARKET"

const typesByForce: Readonly<Record<WorldPlace["timeInForce"], OrderType>> = {
  gtc: "LIMIT",
  postOnly: "LIMIT_MAKER",
  ioc: "IMMEDIATE_OR_CANCEL",
  fok: "FILL_OR_KILL"
}

export const typeOf = ({ timeInForce, type }: Pick<WorldPlace, "type" | "timeInForce">): OrderType =>
  type === "market" ? "MARKET" : typesByForce[timeInForce]

/** The time in force is a part of the type. */
export const forcesByType: Readonly<Record<OrderType, WorldPlace["timeInForce"]>> = {
  LIMIT: "gtc",
  LIMIT_MAKER: "postOnly",
  IMMEDIATE_OR_CANCEL: "ioc",
  FILL_OR_KILL: "fok",
  MARKET: "ioc"
}

export const isOrderType = (text: string): text is OrderType => Object.hasOwn(forcesByType, text)

export type Status = "NEW" | "PARTIALLY_FILLED" | "FILLED" | "CANCELED" | "PARTIALLY_CANCELED"

export const statusOf = ({ filled, finish }: WorldOrder): Status => {
  const isFilled = !Decimal.equals(Decimal.of(filled), Decimal.zero)
  if (finish === null) return isFilled ? "PARTIALLY_FILLED" : "NEW"
  if (finish === "filled") return "FILLED"
  return isFilled ? "PARTIALLY_CANCELED" : "CANCELED"
}

export const sideOf = ({ side }: { readonly side: "buy" | "sell" }): "BUY" | "SELL" => side === "buy" ? "BUY" : "SELL"

/** The answer to placing has no status. */
export const acknowledgement = (order: WorldOrder, symbol: string, stpMode: string): unknown => ({
  symbol,
  orderId: orderIdOf(order.id),
  orderListId: -1,
  price: order.price ?? "0",
  origQty: order.quantity ?? "0",
  type: typeOf(order),
  side: sideOf(order),
  stpMode,
  transactTime: Math.floor(order.createdAt)
})

const shared = (order: WorldOrder, symbol: string) => ({
  symbol,
  orderId: orderIdOf(order.id),
  orderListId: -1,
  clientOrderId: order.clientOrderId,
  price: order.price ?? "0",
  origQty: order.quantity ?? "0",
  executedQty: order.filled,
  cummulativeQuoteQty: order.filledQuote,
  status: statusOf(order),
  // Live answers have null here.
  timeInForce: null,
  type: typeOf(order),
  side: sideOf(order)
})

export const orderBody = (order: WorldOrder, symbol: string): unknown => ({
  ...shared(order, symbol),
  stpMode: "",
  stopPrice: null,
  icebergQty: null,
  time: Math.floor(order.createdAt),
  updateTime: Math.floor(order.updatedAt),
  isWorking: true,
  origQuoteOrderQty: order.quoteQuantity ?? "0"
})

export const cancelBody = (order: WorldOrder, symbol: string): unknown => ({
  ...shared(order, symbol),
  origClientOrderId: order.clientOrderId
})

export const tradeBody = (fill: WorldFill, symbol: string): unknown => ({
  symbol,
  id: tradeIdOf(fill),
  orderId: orderIdOf(fill.orderId),
  orderListId: -1,
  price: fill.price,
  qty: fill.quantity,
  quoteQty: Decimal.toText(productOf(fill.price, fill.quantity)),
  commission: fill.fee,
  commissionAsset: fill.feeAsset,
  time: Math.floor(fill.time),
  isBuyer: fill.side === "buy",
  isMaker: fill.liquidity === "maker",
  isBestMatch: true,
  isSelfTrade: false,
  clientOrderId: fill.clientOrderId
})

export const productOf = (one: string, other: string): Decimal.Decimal =>
  BigDecimal.normalize(BigDecimal.multiply(Decimal.of(one), Decimal.of(other)))
