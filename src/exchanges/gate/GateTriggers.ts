/**
 * Futures orders that wait for a price: their own calls, channel and ids. When the price has come, they become an order
 * with an id of its own and the same client order id. Source: Gate REST v4 documents (v4.106), "FuturesPriceTriggeredOrder";
 * Gate WebSocket v4 documents, futures (2026-08-25), "Auto Orders". The documents know only `web`, `api` and `app` for
 * `text`; that it keeps a text of ours is by ccxt, which sends one and reads it back.
 */
import { BigDecimal } from "effect"
import type { PreparedOrder } from "../../AccountAdapter.ts"
import type { Order, OrderStatus, Side } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import { aboveZero, clientOrderIdOf, timeInForceOf } from "./GateOrders.ts"
import type { Row } from "./GateRow.ts"

export const path = "/futures/usdt/price_orders"

type Trigger = NonNullable<PreparedOrder["trigger"]>

const priceTypes: Readonly<Record<Trigger["by"], number>> = { last: 0, mark: 1, index: 2 }

/** 1: at or above the price; 2: at or below. A stop follows the price, a take-profit meets it. */
const ruleOf = (side: Side, kind: Trigger["kind"]): 1 | 2 => (side === "buy") === (kind === "stop") ? 1 : 2

const kindOf = (side: Side, rule: string): Trigger["kind"] =>
  String(ruleOf(side, "stop")) === rule ? "stop" : "takeProfit"

/** `size` is a whole number here; fractions of a contract go by `amount`. */
const sizeOf = (size: unknown): Readonly<Record<string, unknown>> =>
  Number.isSafeInteger(Number(size)) ? { size: Number(size) } : { amount: size }

/** `placed`: the order that it becomes, as it would be placed. */
export const body = (
  { side, trigger }: PreparedOrder & { readonly trigger: Trigger },
  placed: Readonly<Record<string, unknown>>
): unknown => {
  const { size, ...initial } = placed
  return {
    initial: { ...initial, ...sizeOf(size) },
    trigger: {
      strategy_type: 0,
      price_type: priceTypes[trigger.by],
      price: trigger.price,
      rule: ruleOf(side, trigger.kind)
    }
  }
}

/** Why it cannot be; null when it can. */
export const unsupported = ({ timeInForce, trigger }: PreparedOrder): string | null =>
  trigger === null || timeInForce === "gtc" || timeInForce === "ioc"
    ? null
    : `orders that wait for a price are gtc or ioc on Gate futures, not ${timeInForce}`

/** As it is when it was taken: the answer has its id alone. */
export const placed = (row: Row, order: PreparedOrder & { readonly trigger: Trigger }): Order => ({
  pair: order.instrument.pair,
  symbol: order.instrument.symbol,
  orderId: row.id("id_string", "id"),
  clientOrderId: order.clientOrderId,
  side: order.side,
  type: order.trigger.kind,
  timeInForce: order.timeInForce,
  price: order.price === null ? null : Decimal.of(order.price),
  quantity: order.quantity === null ? null : Decimal.of(order.quantity),
  quoteQuantity: null,
  filledQuantity: Decimal.zero,
  filledQuote: null,
  averagePrice: null,
  status: "new",
  finishedAs: null,
  reduceOnly: order.reduceOnly,
  triggerPrice: Decimal.of(order.trigger.price),
  createdAt: null,
  updatedAt: null
})

/** An order of size 0 closes a position; its type says which. */
const sideOf = (row: Row, initial: Row, size: Decimal.Decimal): Side => {
  if (!BigDecimal.isZero(size)) return BigDecimal.isNegative(size) ? "sell" : "buy"
  const closes = row.textOr("order_type") ?? initial.textOr("auto_size") ?? ""
  if (!/long|short/.test(closes)) row.problem("size is 0, and nothing says which side it closes")
  return closes.includes("short") ? "buy" : "sell"
}

/** What it became, if anything, is told as an order of its own: nothing of this one was filled. */
const statusOf = (row: Row): OrderStatus => {
  const status = row.word("status", ["open", "finished", "inactive", "invalid"])
  return status === "open" || status === "inactive" ? "new" : "canceled"
}

export const read = (row: Row, instrumentOf: InstrumentOf): Order => {
  const initial = row.inside("initial")
  const trigger = row.inside("trigger")
  const symbol = initial.text("contract")
  const size = initial.decimalOr("amount") ?? initial.decimal("size")
  const side = sideOf(row, initial, size)
  const status = statusOf(row)
  return {
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    orderId: row.id("id_string", "id"),
    clientOrderId: clientOrderIdOf(initial.textOr("text")),
    side,
    type: kindOf(side, trigger.text("rule")),
    timeInForce: timeInForceOf(initial.textOr("tif")),
    price: aboveZero(initial.decimalOr("price")),
    quantity: BigDecimal.abs(size),
    quoteQuantity: null,
    filledQuantity: Decimal.zero,
    filledQuote: null,
    averagePrice: null,
    status,
    finishedAs: status === "new" ? null : row.textOr("finish_as") ?? row.textOr("status"),
    reduceOnly: initial.flagOr("is_reduce_only") ?? initial.flagOr("reduce_only"),
    triggerPrice: trigger.decimal("price"),
    createdAt: row.timeOr("create_time"),
    updatedAt: row.timeOr("finish_time", "create_time")
  }
}

/** Its price has come: the order that it became is told under its own id, or here under the same one. */
export const hasFired = (row: Row): boolean =>
  row.textOr("status") === "finished" && (row.textOr("trade_id") ?? "0") !== "0"
