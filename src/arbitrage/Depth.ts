/** Walks along two books: in doubles to find the size, in exact decimals to say what it is worth. */
import { BigDecimal } from "effect"
import type { BookView } from "../composite/OrderBook.ts"
import * as Decimal from "../domain/Decimal.ts"

/** What is paid and earned beside the prices. Prices and `carry` in quote for a base unit. */
export interface Terms {
  /** Of the buyer's and the seller's market: base units in one contract, and the taker's fee as a fraction. */
  readonly buySize: number
  readonly buyFee: number
  readonly sellSize: number
  readonly sellFee: number
  /** Funding expected; negative: paid. */
  readonly carry: number
}

export interface Bounds {
  /** Base. */
  readonly maxQuantity: number
  /** Quote, of each leg. */
  readonly maxNotional: number
  /** `profit / cost` at least. */
  readonly minRatio: number
}

/** The best prices leave something after fees. Runs for each change of a book, so it allocates nothing. */
export const hasEdge = (buy: BookView, sell: BookView, terms: Terms, minRatio: number): boolean =>
  isEdge(sell.bidPrice(), buy.askPrice(), terms, minRatio)

/** The same of the prices. */
export const isEdge = (bid: number, ask: number, terms: Terms, minRatio: number): boolean =>
  bid * (1 - terms.sellFee) + terms.carry > ask * (1 + terms.buyFee + minRatio)

/**
 * Along both books at once, to where the next unit would earn nothing. Each further unit earns less than the one before,
 * so the profit is greatest there; and the profit less `minRatio` of the cost, which rises and then falls, says how far the
 * ratio is kept.
 */
class Walk {
  size = 0
  readonly #buy: BookView
  readonly #sell: BookView
  readonly #terms: Terms
  readonly #bounds: Bounds
  #cost = 0
  #proceeds = 0
  /** Profit less `minRatio` of the cost. */
  #surplus = 0
  #ask = 0
  #bid = 0
  #left: number
  #right: number

  constructor(buy: BookView, sell: BookView, terms: Terms, bounds: Bounds) {
    this.#buy = buy
    this.#sell = sell
    this.#terms = terms
    this.#bounds = bounds
    this.#left = buy.askQuantity() * terms.buySize
    this.#right = sell.bidQuantity() * terms.sellSize
  }

  run(): number {
    while (this.#advance());
    return this.size
  }

  /** Takes what the two levels have in common. False at the end. */
  #advance(): boolean {
    const ask = this.#buy.askPrice(this.#ask)
    const bid = this.#sell.bidPrice(this.#bid)
    const margin = bid * (1 - this.#terms.sellFee) - ask * (1 + this.#terms.buyFee) + this.#terms.carry
    // False behind the last level too: NaN.
    if (!(margin > 0)) return false
    const wanted = Math.min(this.#left, this.#right)
    const taken = Math.min(wanted, this.#room(ask, bid, margin))
    if (!(taken > 0)) return false
    this.size += taken
    this.#cost += taken * ask
    this.#proceeds += taken * bid
    this.#surplus += taken * (margin - this.#bounds.minRatio * ask)
    if (taken < wanted) return false
    this.#step(taken)
    return true
  }

  /** How much the limits still allow at these prices, base. */
  #room(ask: number, bid: number, margin: number): number {
    const { maxNotional, maxQuantity, minRatio } = this.#bounds
    const gain = margin - minRatio * ask
    return Math.min(
      maxQuantity - this.size,
      (maxNotional - this.#cost) / ask,
      (maxNotional - this.#proceeds) / bid,
      gain < 0 ? this.#surplus / -gain : Number.POSITIVE_INFINITY
    )
  }

  #step(taken: number): void {
    this.#left -= taken
    this.#right -= taken
    if (this.#left <= 0) this.#left = this.#buy.askQuantity(++this.#ask) * this.#terms.buySize
    if (this.#right <= 0) this.#right = this.#sell.bidQuantity(++this.#bid) * this.#terms.sellSize
  }
}

/** The size of greatest profit within the bounds, base, steps aside; 0 when there is none. */
export const bestSize = (buy: BookView, sell: BookView, terms: Terms, bounds: Bounds): number =>
  new Walk(buy, sell, terms, bounds).run()

/** A quantity taken from one side of a book. */
export interface Taken {
  /** Quote. */
  readonly value: Decimal.Decimal
  /** Quote: of the last level. */
  readonly worstPrice: number
}

/** What `base` units cost or bring, to the last digit; null when the book is not that deep. */
export const take = (
  book: BookView,
  side: "buy" | "sell",
  base: Decimal.Decimal,
  contractSize: number
): Taken | null => {
  const size = Decimal.fromNumber(contractSize)
  const depth = side === "buy" ? book.askCount : book.bidCount
  let value = Decimal.zero
  let left = base
  for (let i = 0; i < depth; i++) {
    const price = side === "buy" ? book.askPrice(i) : book.bidPrice(i)
    const quantity = side === "buy" ? book.askQuantity(i) : book.bidQuantity(i)
    const level = BigDecimal.multiply(Decimal.fromNumber(quantity), size)
    const isLast = BigDecimal.isLessThanOrEqualTo(left, level)
    value = BigDecimal.sum(value, BigDecimal.multiply(Decimal.fromNumber(price), isLast ? left : level))
    if (isLast) return { value, worstPrice: price }
    left = BigDecimal.subtract(left, level)
  }
  return null
}

/** Profit of a size in doubles, to choose between neighbouring sizes; -Infinity when a book is not that deep. */
export const estimate = (buy: BookView, sell: BookView, terms: Terms, base: number): number =>
  roughly(sell, "sell", base, terms.sellSize) * (1 - terms.sellFee) -
  roughly(buy, "buy", base, terms.buySize) * (1 + terms.buyFee) + terms.carry * base

const roughly = (book: BookView, side: "buy" | "sell", base: number, contractSize: number): number => {
  let value = 0
  let left = base
  for (let i = 0; left > base * 1e-12; i++) {
    const price = side === "buy" ? book.askPrice(i) : book.bidPrice(i)
    // Behind the last level.
    if (!(price > 0)) return side === "buy" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
    const taken = Math.min(left, (side === "buy" ? book.askQuantity(i) : book.bidQuantity(i)) * contractSize)
    value += taken * price
    left -= taken
  }
  return value
}
