/** What an order has moved, exactly: from its fills, and by rate where they are not told. Plain and synchronous. */
import { BigDecimal } from "effect"
import type { Fill, Order, Side } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"

type Amount = Decimal.Decimal

const { isZero, multiply, negate, subtract, sum } = BigDecimal

/** An order to send: at its limit, at once or not at all. */
export interface Plan {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  /** Base (spot) or contracts (swap), on the instrument's step. */
  readonly quantity: Amount
  /** Quote: the worst it may pay. */
  readonly price: Amount
  /** Base in one unit of the exchange's quantities. */
  readonly unit: Amount
  /** Fraction of the value: for a fee that nobody tells in time. */
  readonly feeRate: Amount
  readonly clientOrderId: string
}

/** What an order has moved. */
export interface Moved {
  /** Base, before fees. */
  readonly quantity: Amount
  /** Quote, without sign. */
  readonly value: Amount
  /** Quote, with sign: what came in, fees in quote taken off. */
  readonly cash: Amount
  /** Base, with sign: what was really received, fees in base taken off. */
  readonly received: Amount
  /** Quote; one in base is valued at its fill's price. */
  readonly fee: Amount
  /** Fees in assets that are neither base nor quote. */
  readonly otherFees: ReadonlyMap<string, Amount>
  /** Price of the last fill, quote; null when nothing was filled. */
  readonly lastPrice: Amount | null
  /** Whether its fills did not come in time, so that the fee is by rate. */
  readonly isEstimated: boolean
}

export const nothing: Moved = {
  quantity: Decimal.zero,
  value: Decimal.zero,
  cash: Decimal.zero,
  received: Decimal.zero,
  fee: Decimal.zero,
  otherFees: new Map(),
  lastPrice: null,
  isEstimated: false
}

const add = (left: Amount, right: Amount): Amount => BigDecimal.normalize(sum(left, right))

const signed = (side: Side, amount: Amount): Amount => side === "buy" ? amount : negate(amount)

interface Portion {
  /** Base. */
  readonly quantity: Amount
  /** Quote. */
  readonly value: Amount
  readonly price: Amount
  readonly fee: Amount
  readonly feeAsset: string
}

const plus = (moved: Moved, { pair, side }: Plan, portion: Portion): Moved => {
  const { base, quote } = partsOf(pair)
  const { fee, feeAsset, price, quantity, value } = portion
  const inQuote = feeAsset === quote ? fee : Decimal.zero
  const inBase = feeAsset === base ? fee : Decimal.zero
  const isOther = feeAsset !== quote && feeAsset !== base && !isZero(fee)
  return {
    quantity: add(moved.quantity, quantity),
    value: add(moved.value, value),
    cash: add(moved.cash, subtract(signed(side, negate(value)), inQuote)),
    received: add(moved.received, subtract(signed(side, quantity), inBase)),
    fee: add(moved.fee, sum(inQuote, multiply(inBase, price))),
    otherFees: isOther
      ? new Map([...moved.otherFees, [feeAsset, add(moved.otherFees.get(feeAsset) ?? Decimal.zero, fee)]])
      : moved.otherFees,
    lastPrice: price,
    isEstimated: moved.isEstimated
  }
}

/** From fills, each exactly. */
export const ofFills = (plan: Plan, fills: ReadonlyArray<Fill>): Moved =>
  fills.reduce((moved, fill) => {
    const quantity = multiply(fill.quantity, plan.unit)
    return plus(moved, plan, {
      quantity,
      value: multiply(quantity, fill.price),
      price: fill.price,
      fee: fill.fee ?? Decimal.zero,
      feeAsset: fill.feeAsset ?? partsOf(plan.pair).quote
    })
  }, nothing)

/** What the order says beyond its fills: quantity and value are the exchange's, the fee is by rate, where the exchange takes it. */
const estimate = (plan: Plan, moved: Moved, quantity: Amount, value: Amount, price: Amount): Moved => {
  const { base, quote, settle } = partsOf(plan.pair)
  const inBase = settle === undefined && plan.side === "buy"
  const fee = multiply(inBase ? quantity : value, plan.feeRate)
  return { ...plus(moved, plan, { quantity, value, price, fee, feeAsset: inBase ? base : quote }), isEstimated: true }
}

/** From the order alone. */
export const ofOrder = (plan: Plan, order: Order | null): Moved => {
  if (order === null || isZero(order.filledQuantity)) return nothing
  const filled = multiply(order.filledQuantity, plan.unit)
  const price = order.averagePrice ?? plan.price
  return estimate(plan, nothing, filled, order.filledQuote ?? multiply(price, filled), price)
}

/** As far as it is known now: from the fills that have been told, and by rate for what the order says beyond them. */
export const soFar = (plan: Plan, order: Order | null, fills: ReadonlyArray<Fill>): Moved => {
  const told = ofFills(plan, fills)
  const whole = ofOrder(plan, order)
  const rest = subtract(whole.quantity, told.quantity)
  if (!BigDecimal.isPositive(rest)) return told
  return estimate(plan, told, rest, subtract(whole.value, told.value), whole.lastPrice ?? plan.price)
}

export const quantityOf = (fills: ReadonlyArray<Fill>): Amount =>
  BigDecimal.sumAll(fills.map(({ quantity }) => quantity))

/** The description that says more. */
export const newer = (known: Order, next: Order | null | undefined): Order => {
  if (next === null || next === undefined) return known
  if (isFinal(known.status) !== isFinal(next.status)) return isFinal(next.status) ? next : known
  return BigDecimal.isGreaterThan(next.filledQuantity, known.filledQuantity) ? next : known
}
