/**
 * Whether what is told of an order, a balance or a position follows what is known of it. Pure. Orders go forward by (filled
 * quantity, final); positions by the exchange's update id, where it counts them, else by time.
 */
import { BigDecimal } from "effect"
import type { Balance, Order, Position } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import { byCount } from "./FillOrder.ts"

/** Null is a value of its own. */
export const same = (a: Decimal.Decimal | null, b: Decimal.Decimal | null): boolean =>
  a === null || b === null ? a === b : Decimal.equals(a, b)

/** Null in either says nothing. */
export const agrees = (a: Decimal.Decimal | null, b: Decimal.Decimal | null): boolean =>
  a === null || b === null || Decimal.equals(a, b)

export type Verdict = "newer" | "same" | "older"

/** What of an order says whether another state of it is a newer one. */
export type OrderState = Pick<
  Order,
  "filledQuantity" | "price" | "quantity" | "status" | "triggerPrice" | "updatedAt"
>

const sameOrder = (a: OrderState, b: OrderState): boolean =>
  a.status === b.status && same(a.filledQuantity, b.filledQuantity) && same(a.price, b.price) &&
  same(a.quantity, b.quantity) && same(a.triggerPrice, b.triggerPrice)

/** Neither has ended and as much is filled: what differs was amended, or triggered. */
const judgeChange = (known: OrderState, next: OrderState): Verdict => {
  if (sameOrder(known, next)) return "same"
  return known.updatedAt === null || next.updatedAt === null || next.updatedAt >= known.updatedAt ? "newer" : "older"
}

/** Whether an order's state follows what is known of it: more is filled, or it has ended. */
export const judgeOrder = (known: OrderState, next: OrderState): Verdict => {
  const filled = BigDecimal.Order(next.filledQuantity, known.filledQuantity)
  if (isFinal(known.status)) {
    if (isFinal(next.status) && filled > 0) return "newer"
    return sameOrder(known, next) ? "same" : "older"
  }
  if (filled !== 0) return filled > 0 ? "newer" : "older"
  return isFinal(next.status) ? "newer" : judgeChange(known, next)
}

export const sameBalance = (a: Balance, b: Balance): boolean =>
  agrees(a.available, b.available) && agrees(a.locked, b.locked) && agrees(a.total, b.total)

/** What a push leaves out stands as it was known, unless the push says that it has changed. */
export const hasAll = ({ available, locked }: Balance): boolean => available !== null && locked !== null

const isNothing = (value: Decimal.Decimal | null): boolean => value === null || BigDecimal.isZero(value)

export const isEmpty = ({ available, locked, total }: Balance): boolean =>
  isNothing(available) && isNothing(locked) && isNothing(total)

const samePosition = (a: Position, b: Position): boolean =>
  same(a.size, b.size) && agrees(a.entryPrice, b.entryPrice) && agrees(a.leverage, b.leverage) &&
  a.marginMode === b.marginMode && agrees(a.margin, b.margin)

export const judgePosition = (known: Position, next: Position): Verdict => {
  if (known.updateId !== null && next.updateId !== null) {
    const count = byCount(next.updateId, known.updateId)
    if (count !== 0) return count > 0 ? "newer" : "older"
    return "same"
  }
  if (known.exchangeTime !== null && next.exchangeTime !== null && next.exchangeTime < known.exchangeTime) {
    return "older"
  }
  return samePosition(known, next) ? "same" : "newer"
}

export const isReleveraged = (before: Position, next: Position): boolean =>
  !agrees(before.leverage, next.leverage) || before.marginMode !== next.marginMode
