/**
 * What is remembered of an order that has ended, so that what is told of it late is known to be old: as one text, since thousands
 * are remembered and hardly one is asked for.
 */
import type { Order } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderState } from "./Succession.ts"

/** UTF-16 units that its text takes, with a symbol and an id of the exchange. */
export const expected = 240

/** Amounts as decimal text. */
type Fields = readonly [
  clientOrderId: string | null,
  status: Order["status"],
  filled: string,
  price: string | null,
  quantity: string | null,
  triggerPrice: string | null,
  updatedAt: number | null,
  tick: number
]

export interface EndedOrder {
  readonly value: OrderState & Pick<Order, "clientOrderId">
  /** Of the last push. */
  readonly tick: number
}

const textOf = (value: Decimal.Decimal | null): string | null => value === null ? null : Decimal.toText(value)
const decimalOf = (text: string | null): Decimal.Decimal | null => text === null ? null : Decimal.of(text)

export const keep = ({ tick, value: order }: EndedOrder): string => {
  const fields: Fields = [
    order.clientOrderId,
    order.status,
    Decimal.toText(order.filledQuantity),
    textOf(order.price),
    textOf(order.quantity),
    textOf(order.triggerPrice),
    order.updatedAt,
    tick
  ]
  return JSON.stringify(fields)
}

/** `kept`: what `keep` made. */
export const read = (kept: string): EndedOrder => {
  const [clientOrderId, status, filled, price, quantity, triggerPrice, updatedAt, tick] = JSON.parse(kept) as Fields
  return {
    value: {
      clientOrderId,
      status,
      filledQuantity: Decimal.of(filled),
      price: decimalOf(price),
      quantity: decimalOf(quantity),
      triggerPrice: decimalOf(triggerPrice),
      updatedAt
    },
    tick
  }
}
