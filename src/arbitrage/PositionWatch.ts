/**
 * Positions as their exchange tells them, held against what has been counted of them: what nobody has ordered, as
 * auto-deleveraging and liquidation, may move a position without a fill. Of one exchange; plain and synchronous. All base.
 */
import { BigDecimal } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"

type Amount = Decimal.Decimal
export type Sizes = ReadonlyMap<TradingPair, Amount>

const { isZero, subtract, sum } = BigDecimal

/** Negative: short. */
const sizeOf = (sizes: Sizes, pair: TradingPair): Amount => sizes.get(pair) ?? Decimal.zero

/** What differs: told minus counted. */
const differencesOf = (told: Sizes, counted: Sizes): Sizes => {
  const found = new Map<TradingPair, Amount>()
  for (const pair of new Set([...told.keys(), ...counted.keys()])) {
    found.set(pair, BigDecimal.normalize(subtract(sizeOf(told, pair), sizeOf(counted, pair))))
  }
  return found
}

const isAlike = (one: Sizes, other: Sizes): boolean =>
  [...new Set([...one.keys(), ...other.keys()])].every((pair) => Decimal.equals(sizeOf(one, pair), sizeOf(other, pair)))

/** A position that is not what its fills make. */
export interface Suspect {
  readonly pair: TradingPair
  /** As the exchange tells it, and as it should be by what has been counted; negative: short. */
  readonly told: Amount
  readonly expected: Amount
  readonly difference: Amount
}

/** What the exchange has taken of a position, as it says. */
export interface Taken {
  /** The change of the position: positive where a short one was taken. */
  readonly quantity: Amount
  /** Quote: the mean; null where it is not said. */
  readonly price: Amount | null
}

/** What says so: a notice; a fill of an order of its own; such an order, beyond its fills. A notice may say the same as the others. */
export type TakenBy = "notice" | "fill" | "order"

interface Sum {
  readonly quantity: Amount
  /** Quote; null where a price was not said. */
  readonly value: Amount | null
}

const none: Sum = { quantity: Decimal.zero, value: Decimal.zero }

const plus = (one: Sum, other: Sum): Sum => ({
  quantity: sum(one.quantity, other.quantity),
  value: one.value === null || other.value === null ? null : sum(one.value, other.value)
})

const sumOf = ({ price, quantity }: Taken): Sum => ({
  quantity,
  value: price === null ? null : BigDecimal.multiply(quantity, price)
})

const meanOf = ({ quantity, value }: Sum): Amount | null =>
  value === null || isZero(quantity) ? null : BigDecimal.normalize(BigDecimal.divideUnsafe(value, quantity))

const isMore = (one: Amount, other: Amount): boolean =>
  BigDecimal.isGreaterThan(BigDecimal.abs(one), BigDecimal.abs(other))

export class PositionWatch {
  readonly #settleMillis: number
  /** What was there before anything was counted; null while it is not known. */
  #before: Sizes | null = null
  /** What it would be by the last look: a fill that is under way may be told of by one side only. */
  #candidate: { readonly sizes: Sizes; readonly since: number } | null = null
  readonly #suspects = new Map<TradingPair, { readonly difference: Amount; readonly since: number }>()
  readonly #taken = new Map<TradingPair, Readonly<Record<TakenBy, Sum>>>()

  constructor(settleMillis: number) {
    this.#settleMillis = settleMillis
  }

  /** The exchange says that it has taken so much. */
  take(pair: TradingPair, taken: Taken, by: TakenBy): void {
    const before = this.#taken.get(pair) ?? { notice: none, fill: none, order: none }
    this.#taken.set(pair, { ...before, [by]: plus(before[by], sumOf(taken)) })
  }

  /**
   * By what says more of it; `difference`: what no fill explains. Null when the exchange has said nothing since this was asked last.
   */
  takenOf({ difference, pair }: Pick<Suspect, "difference" | "pair">): Taken | null {
    const taken = this.#taken.get(pair)
    if (taken === undefined) return null
    this.#taken.delete(pair)
    const { fill, notice, order } = taken
    const orders = plus(fill, order)
    const said = isMore(notice.quantity, orders.quantity) ? notice : orders
    const all = sum(fill.quantity, difference)
    const quantity = isMore(all, said.quantity) ? all : said.quantity
    return { quantity: BigDecimal.normalize(quantity), price: meanOf(said) }
  }

  /** What is told may be old: a difference counts anew from when it no longer is. */
  pause(): void {
    this.#suspects.clear()
    this.#candidate = null
  }

  #beforeOf(pair: TradingPair): Amount {
    return this.#before === null ? Decimal.zero : sizeOf(this.#before, pair)
  }

  /** What is there beyond what was before anything was counted. */
  beyond({ pair, told }: Pick<Suspect, "pair" | "told">): Amount {
    return BigDecimal.normalize(subtract(told, this.#beforeOf(pair)))
  }

  suspect(pair: TradingPair, told: Sizes, counted: Sizes): Suspect {
    const expected = BigDecimal.normalize(sum(sizeOf(counted, pair), this.#beforeOf(pair)))
    const size = sizeOf(told, pair)
    return { pair, told: size, expected, difference: BigDecimal.normalize(subtract(size, expected)) }
  }

  /** Those that have differed by the same for as long as fills may take, or of which something was taken; `now`: monotonic, ms. */
  look(told: Sizes, counted: Sizes, now: number): ReadonlyArray<Suspect> {
    if (!this.#isBased(told, counted, now)) return []
    const pairs = new Set([...told.keys(), ...counted.keys(), ...this.#before!.keys(), ...this.#taken.keys()])
    return [...pairs].flatMap((pair) => {
      const suspect = this.suspect(pair, told, counted)
      return this.#hasLasted(suspect, now) ? [suspect] : []
    })
  }

  /** What was there before must have stayed the same for as long as fills may take, else one under way would become part of it. */
  #isBased(told: Sizes, counted: Sizes, now: number): boolean {
    if (this.#before !== null) return true
    const found = differencesOf(told, counted)
    if (this.#candidate === null || !isAlike(this.#candidate.sizes, found)) {
      this.#candidate = { sizes: found, since: now }
    } else if (now - this.#candidate.since >= this.#settleMillis) this.#before = found
    return this.#before !== null
  }

  #hasLasted({ difference, pair }: Suspect, now: number): boolean {
    if (isZero(difference) && !this.#taken.has(pair)) {
      this.#suspects.delete(pair)
      return false
    }
    const known = this.#suspects.get(pair)
    if (known === undefined || !Decimal.equals(known.difference, difference)) {
      this.#suspects.set(pair, { difference, since: now })
      return false
    }
    // What the exchange has said it took needs no more than another look.
    if (!this.#taken.has(pair) && now - known.since < this.#settleMillis) return false
    this.#suspects.delete(pair)
    return true
  }
}
