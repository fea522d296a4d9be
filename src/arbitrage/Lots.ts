/**
 * Which sizes two instruments can trade alike. Whole numbers throughout: steps and contract sizes are brought to one
 * decimal scale, so that a size is on both steps exactly or not at all.
 */
import { BigDecimal } from "effect"
import type * as Decimal from "../domain/Decimal.ts"

/** What of an instrument limits a size. */
export interface Grain {
  /** Base units in one contract; 1 on spot. */
  readonly contractSize: number
  /** Base (spot) or contracts (swap). */
  readonly quantityStep: number
  /** Base (spot) or contracts (swap); null when the exchange states none. */
  readonly minQuantity: number | null
}

/** One leg of a size. */
export interface Share {
  /** Base (spot) or contracts (swap), on the instrument's step. */
  readonly quantity: Decimal.Decimal
  /** The same in base. */
  readonly base: Decimal.Decimal
}

/** So many steps of the coarser leg at most make one lot that both legs can trade alike; else they differ by less than one step of the finer. */
const widest = 10n

/** A double holds so many units of any decimal scale exactly: 15 digits. */
const digits = 10n ** 15n

/** Relative: what a sum of doubles over a whole book is off by at most. */
const rounding = 1e-12

interface Side {
  readonly step: Decimal.Decimal
  /** One step in base, at the common scale. */
  readonly units: bigint
  /** Steps of the smallest quantity. */
  readonly least: bigint
}

const divideUp = (a: bigint, b: bigint): bigint => (a + b - 1n) / b

const commonMultiple = (a: bigint, b: bigint): bigint => {
  let [x, y] = [a, b]
  while (y !== 0n) [x, y] = [y, x % y]
  return (a / x) * b
}

const sideOf = (grain: Grain, scale: number): Side => {
  const step = BigDecimal.fromNumberUnsafe(grain.quantityStep)
  const units =
    BigDecimal.scale(BigDecimal.multiply(step, BigDecimal.fromNumberUnsafe(grain.contractSize)), scale).value
  const least = BigDecimal.fromNumberUnsafe(grain.minQuantity ?? 0)
  const common = Math.max(step.scale, least.scale)
  return { step, units, least: divideUp(BigDecimal.scale(least, common).value, BigDecimal.scale(step, common).value) }
}

const scaleOf = (grain: Grain): number =>
  BigDecimal.fromNumberUnsafe(grain.quantityStep).scale + BigDecimal.fromNumberUnsafe(grain.contractSize).scale

/** Sizes come in whole numbers of one lot. */
export class Lots {
  /** Base units of one lot. */
  readonly size: number
  /** The fewest lots with which both legs reach their smallest quantity. */
  readonly least: number
  /** The most lots whose quantities numbers tell exactly. */
  readonly most: number
  readonly #scale: number
  readonly #units: bigint
  readonly #first: Side
  readonly #second: Side

  constructor(first: Grain, second: Grain) {
    this.#scale = Math.max(scaleOf(first), scaleOf(second), 0)
    const a = this.#first = sideOf(first, this.#scale)
    const b = this.#second = sideOf(second, this.#scale)
    const coarser = a.units > b.units ? a.units : b.units
    const common = commonMultiple(a.units, b.units)
    this.#units = common <= coarser * widest ? common : coarser
    this.size = BigDecimal.toNumberUnsafe(BigDecimal.make(this.#units, this.#scale))
    const least = [1n, divideUp(a.least * a.units, this.#units), divideUp(b.least * b.units, this.#units)]
    this.least = Math.max(...least.map(Number))
    this.most = Number(digits / this.#units)
  }

  /** The most lots within `base` units, give or take the rounding of a sum of doubles; `most` at the most. */
  within(base: number): number {
    return Math.min(Math.floor((base / this.size) * (1 + rounding)), this.most)
  }

  /** As many as are within `base` units whatever was rounded: behind a million million lots rounding is lots. */
  surelyWithin(base: number): number {
    return Math.min(Math.floor((base / this.size) * (1 - rounding)), this.most)
  }

  /** What the first and the second leg trade for so many lots: equal in base, or the finer leg less by a part of its step. */
  first(count: number): Share {
    return this.#share(this.#first, count)
  }

  second(count: number): Share {
    return this.#share(this.#second, count)
  }

  #share({ step, units }: Side, count: number): Share {
    const steps = (BigInt(count) * this.#units) / units
    return {
      quantity: BigDecimal.multiply(step, BigDecimal.fromBigInt(steps)),
      base: BigDecimal.make(steps * units, this.#scale)
    }
  }
}
