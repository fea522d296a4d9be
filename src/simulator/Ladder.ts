/**
 * One side of a book: prices and quantities in scaled integers. A key is a price with the side's sign, so that the
 * greater key is always the better level and a key names its side: bids are positive, asks negative.
 */
import type { WorldLevel } from "../ExchangeDialect.ts"
import * as Scaled from "./Scaled.ts"

export type Side = "bid" | "ask"

/** The key of a price (in units of the price step, at least 1). */
export const keyOf = (side: Side, price: number): number => (side === "bid" ? price : -price)

export const sideOf = (key: number): Side => (key > 0 ? "bid" : "ask")

export const levelText = (
  key: number,
  quantity: number,
  priceDecimals: number,
  quantityDecimals: number
): WorldLevel => ({
  price: Scaled.toText(Math.abs(key), priceDecimals),
  quantity: quantity === 0 ? "0" : Scaled.toText(quantity, quantityDecimals)
})

export class Ladder {
  /** Ascending: best level last, where most changes are. */
  readonly keys: Array<number>
  /** Same order. */
  readonly quantities: Array<number>

  constructor(keys: Array<number> = [], quantities: Array<number> = []) {
    this.keys = keys
    this.quantities = quantities
  }

  get length(): number {
    return this.keys.length
  }

  /** Best key; -Infinity when the side is empty. */
  get best(): number {
    return this.keys.length === 0 ? -Infinity : this.keys[this.keys.length - 1]!
  }

  /** Index of the first key that is not below `key`. */
  indexOf(key: number): number {
    const keys = this.keys
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** 0 when there is no such level. */
  quantityAt(key: number): number {
    const index = this.indexOf(key)
    return this.keys[index] === key ? this.quantities[index]! : 0
  }

  /** Sets a level, 0 removes it. True when the best level was touched. */
  set(key: number, quantity: number): boolean {
    const index = this.indexOf(key)
    const touchesBest = index >= this.keys.length - 1
    if (this.keys[index] !== key) {
      if (quantity === 0) return false
      this.keys.splice(index, 0, key)
      this.quantities.splice(index, 0, quantity)
      return index === this.keys.length - 1
    }
    if (quantity === 0) {
      this.keys.splice(index, 1)
      this.quantities.splice(index, 1)
    } else {
      this.quantities[index] = quantity
    }
    return touchesBest
  }

  /** Key of the worst level within the best `window`; -Infinity while the side has fewer. */
  boundary(window: number): number {
    const index = this.keys.length - window
    return index < 0 ? -Infinity : this.keys[index]!
  }

  copy(): Ladder {
    return new Ladder(this.keys.slice(), this.quantities.slice())
  }

  /** Best first, at most `limit`. */
  levels(limit: number, priceDecimals: number, quantityDecimals: number): ReadonlyArray<WorldLevel> {
    const levels: Array<WorldLevel> = []
    const end = Math.max(0, this.keys.length - limit)
    for (let i = this.keys.length - 1; i >= end; i--) {
      levels.push(levelText(this.keys[i]!, this.quantities[i]!, priceDecimals, quantityDecimals))
    }
    return levels
  }
}
