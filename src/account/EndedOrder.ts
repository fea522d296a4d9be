/**
 * What is remembered of an order that has ended, so that what is told of it late is known to be old: as text, since thousands
 * are remembered and hardly one is asked for.
 */
import type { Order } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderState } from "./Succession.ts"

export interface EndedOrder {
  readonly clientOrderId: string | null
  readonly status: Order["status"]
  readonly filled: string
  readonly price: string | null
  readonly quantity: string | null
  readonly triggerPrice: string | null
  readonly updatedAt: number | null
  /** Of the last push. */
  readonly tick: number
}

const textOf = (value: Decimal.Decimal | null): string | null => value === null ? null : Decimal.toText(value)
const decimalOf = (text: string | null): Decimal.Decimal | null => text === null ? null : Decimal.of(text)

export const keep = (order: OrderState & Pick<Order, "clientOrderId">, tick: number): EndedOrder => ({
  clientOrderId: order.clientOrderId,
  status: order.status,
  filled: Decimal.toText(order.filledQuantity),
  price: textOf(order.price),
  quantity: textOf(order.quantity),
  triggerPrice: textOf(order.triggerPrice),
  updatedAt: order.updatedAt,
  tick
})

export const stateOf = (kept: EndedOrder): OrderState & Pick<Order, "clientOrderId"> => ({
  clientOrderId: kept.clientOrderId,
  status: kept.status,
  filledQuantity: Decimal.of(kept.filled),
  price: decimalOf(kept.price),
  quantity: decimalOf(kept.quantity),
  triggerPrice: decimalOf(kept.triggerPrice),
  updatedAt: kept.updatedAt
})
