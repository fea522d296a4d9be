/** What fills have moved, to the last digit. */
import { BigDecimal } from "effect"
import type { WorldFill } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { partsOf } from "../../src/domain/Instrument.ts"

const { multiply, negate, subtract, sum } = BigDecimal

/** What the exchanges have booked. */
export interface Booked {
  /** Quote: what came in, fees in quote taken off. */
  readonly cash: string
  /** Base units, by asset. */
  readonly received: ReadonlyMap<string, string>
}

type Fill = Pick<WorldFill, "fee" | "feeAsset" | "pair" | "price" | "quantity" | "side">

/** `unit`: base units of a fill's quantity of 1. */
export const bookedOf = (fills: ReadonlyArray<readonly [fill: Fill, unit: Decimal.Decimal]>): Booked => {
  let cash = Decimal.zero
  const received = new Map<string, Decimal.Decimal>()
  for (const [{ fee, feeAsset, pair, price, quantity, side }, unit] of fills) {
    const { base } = partsOf(pair)
    const amount = multiply(Decimal.of(quantity), unit)
    const value = multiply(amount, Decimal.of(price))
    const taken = Decimal.of(fee)
    cash = sum(cash, side === "buy" ? negate(value) : value)
    if (feeAsset !== base) cash = subtract(cash, taken)
    const gained = subtract(side === "buy" ? amount : negate(amount), feeAsset === base ? taken : Decimal.zero)
    received.set(base, sum(received.get(base) ?? Decimal.zero, gained))
  }
  return {
    cash: Decimal.toText(cash),
    received: new Map([...received].map(([base, amount]) => [base, Decimal.toText(amount)]))
  }
}
