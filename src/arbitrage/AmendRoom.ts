/** What an order may be at its exchange while amendments of it are under way. Pure; all amounts are exact. */
import { BigDecimal } from "effect"
import type { Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"

type Amount = Decimal.Decimal

/** An order as it may be in force. */
export interface State {
  /** Base: what is filled included. */
  readonly whole: Amount
  /** Quote: what a unit of it counts with. */
  readonly price: Amount
}

/** What an amendment asks for; null: as it is. */
export interface Change {
  readonly whole: Amount | null
  readonly price: Amount | null
}

/** An order that is being amended. */
export interface Amending {
  /** As the exchange has told it last. */
  told: State
  /** Sent, or about to be, and not answered; in the order in which they were asked for. */
  readonly changes: ReadonlySet<Change>
}

/** So fine a price is rounded up where no state has it. */
const finest: Amount = BigDecimal.make(1n, 30)

const after = ({ price, whole }: State, change: Change): State => ({
  whole: change.whole ?? whole,
  price: change.price ?? price
})

const keyOf = ({ price, whole }: State): string => `${Decimal.toText(whole)} ${Decimal.toText(price)}`

/** All that it may be: each amendment may be carried out or not. */
export const statesOf = (told: State, changes: Iterable<Change>): ReadonlyArray<State> => {
  const all = new Map([[keyOf(told), told]])
  for (const change of changes) {
    for (const state of [...all.values()]) {
      const next = after(state, change)
      all.set(keyOf(next), next)
    }
  }
  return [...all.values()]
}

/** The room that is enough for each of these: base that may still be filled, and its value. */
export const most = (
  states: ReadonlyArray<State>,
  filled: Amount
): { readonly quantity: Amount; readonly price: Amount } => {
  let [quantity, value, price] = [Decimal.zero, Decimal.zero, Decimal.zero]
  for (const state of states) {
    const left = BigDecimal.max(BigDecimal.subtract(state.whole, filled), Decimal.zero)
    quantity = BigDecimal.max(quantity, left)
    value = BigDecimal.max(value, BigDecimal.multiply(left, state.price))
    price = BigDecimal.max(price, state.price)
  }
  if (BigDecimal.isZero(quantity)) return { quantity, price }
  const exact = states.find((state) => Decimal.equals(BigDecimal.multiply(quantity, state.price), value))
  return {
    quantity,
    price: exact?.price ?? Decimal.quotient(value, quantity, finest, "up")
  }
}

/** Whether a change makes it smaller, or leaves it as large, and no more likely to fill, whichever of these it is. */
export const eases = (side: Side, states: ReadonlyArray<State>, change: Change): boolean =>
  states.every((state) => {
    const { price, whole } = after(state, change)
    const isSamePrice = Decimal.equals(price, state.price)
    return !BigDecimal.isGreaterThan(whole, state.whole) &&
      (isSamePrice || (side === "buy" && BigDecimal.isLessThan(price, state.price)))
  })
