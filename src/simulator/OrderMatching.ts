/**
 * Price-time matching of our accounts' orders in one market: against the simulated book, which holds everybody else's
 * orders, and against each other. Pure: no clock, no random numbers. Prices and quantities are in units of the market's
 * steps, keys are prices with the sign of their side as in `Ladder`.
 */
import type { WorldPlace } from "../AccountWorld.ts"
import type { SimulatedBook } from "./SimulatedBook.ts"

/** What matching needs to know of an order, and keeps of it. */
export interface Entry {
  readonly id: number
  readonly side: "buy" | "sell"
  /** Price units; null: at any price. */
  limit: number | null
  readonly timeInForce: WorldPlace["timeInForce"]
  /** Quantity units still wanted; Infinity where `budget` decides. */
  remaining: number
  /** What may still be spent, in price units times quantity units; Infinity where `remaining` decides. */
  budget: bigint | null
  /** Quantity units of others that were there first, at the same price. */
  ahead: number
}

/** `taker` or `maker` is null where it is somebody else. */
export interface Match {
  readonly price: number
  readonly quantity: number
  readonly taker: Entry | null
  readonly maker: Entry | null
  /** Whether it is part of a trade of others that has been told already. */
  readonly told: boolean
}

/** Why matching gave an order up. */
export type GivenUp = "ioc" | "fok" | "postOnly"

const sign = (side: "buy" | "sell"): 1 | -1 => (side === "buy" ? 1 : -1)

/** Of a resting order: the greater, the better. */
const keyOf = (entry: Entry): number => sign(entry.side) * entry.limit!

export class OrderMatching {
  readonly #book: SimulatedBook
  readonly #onMatch: (match: Match, time: number) => void
  /** Resting orders, best price first, then the older one. */
  readonly #bids: Array<Entry> = []
  readonly #asks: Array<Entry> = []

  constructor(book: SimulatedBook, onMatch: (match: Match, time: number) => void) {
    this.#book = book
    this.#onMatch = onMatch
  }

  get resting(): number {
    return this.#bids.length + this.#asks.length
  }

  /** Matches a new order as far as it goes; the rest of it comes to rest, or is given up with a reason. */
  submit(entry: Entry, time: number): GivenUp | null {
    const { timeInForce } = entry
    if (timeInForce === "postOnly" && this.#counterpart(entry) !== null) return "postOnly"
    if (timeInForce === "fok" && !this.#canFill(entry)) return "fok"
    while (entry.remaining > 0 && this.#matchOnce(entry, time));
    if (entry.remaining <= 0) return null
    if (entry.limit === null || timeInForce === "ioc") return "ioc"
    this.#rest(entry)
    return null
  }

  /** Takes a resting order out. */
  remove(entry: Entry): void {
    const list = this.#own(entry.side)
    const index = list.indexOf(entry)
    if (index >= 0) list.splice(index, 1)
  }

  /** A smaller quantity keeps its place in the queue; anything else goes behind the others, and may match at once. */
  amend(entry: Entry, limit: number, remaining: number, time: number): GivenUp | null {
    if (limit === entry.limit && remaining <= entry.remaining) {
      entry.remaining = remaining
      return null
    }
    this.remove(entry)
    entry.limit = limit
    entry.remaining = remaining
    return this.submit(entry, time)
  }

  /** Somebody else took `quantity` at `price` from the book: what of it was ours by price and time is filled. */
  onTrade(takerSide: "buy" | "sell", price: number, quantity: number, time: number): void {
    const side = takerSide === "sell" ? "buy" : "sell"
    const key = sign(side) * price
    let left = quantity
    for (const entry of [...this.#own(side)]) {
      if (left <= 0 || keyOf(entry) < key) return
      if (keyOf(entry) === key) {
        const first = Math.min(entry.ahead, left)
        entry.ahead -= first
        left -= first
      }
      left -= this.#fillResting(entry, left, time)
    }
  }

  /** The book has moved: what it has reached of ours is filled, and who left the queue before us is gone. */
  settle(time: number): void {
    this.#settleSide("buy", time)
    this.#settleSide("sell", time)
  }

  #settleSide(side: "buy" | "sell", time: number): void {
    for (const entry of [...this.#own(side)]) {
      // Another resting order of the same account may have been filled and taken out meanwhile.
      while (entry.remaining > 0 && this.#own(side).includes(entry)) {
        const level = this.#bestOther(side)
        if (level === null || -level.key > keyOf(entry)) break
        const quantity = Math.min(entry.remaining, level.quantity)
        this.#take(level.key, quantity, time)
        this.#fill(entry, { price: entry.limit!, quantity, taker: null, maker: entry, told: false }, time)
      }
      entry.ahead = Math.min(entry.ahead, this.#ladder(side).quantityAt(keyOf(entry)))
    }
  }

  #own(side: "buy" | "sell"): Array<Entry> {
    return side === "buy" ? this.#bids : this.#asks
  }

  #ladder(side: "buy" | "sell") {
    return side === "buy" ? this.#book.bids : this.#book.asks
  }

  /** The best level that an order of this side can trade with, of everybody else. */
  #bestOther(side: "buy" | "sell"): { readonly key: number; readonly quantity: number } | null {
    const ladder = this.#ladder(side === "buy" ? "sell" : "buy")
    return ladder.length === 0 ? null : { key: ladder.best, quantity: ladder.quantities[ladder.length - 1]! }
  }

  #reaches({ limit, side }: Entry, otherKey: number): boolean {
    return limit === null || -otherKey <= sign(side) * limit
  }

  /** Whether all of it can be filled at once. */
  #canFill(entry: Entry): boolean {
    const side = entry.side === "buy" ? "sell" : "buy"
    const { keys, quantities } = this.#ladder(side)
    const offers = [
      ...keys.map((key, index) => ({ key, quantity: quantities[index]! })),
      ...this.#own(side).map((own) => ({ key: keyOf(own), quantity: own.remaining }))
    ].filter(({ key }) => this.#reaches(entry, key)).sort((a, b) => b.key - a.key)
    let { budget, remaining } = entry
    for (const { key, quantity } of offers) {
      const taken = Math.min(quantity, remaining, affordable(budget, Math.abs(key)))
      remaining -= taken
      if (budget !== null) budget -= BigInt(taken) * BigInt(Math.abs(key))
      if (remaining <= 0 || budget === 0n || taken < quantity) return true
    }
    return false
  }

  /** The best counterpart within the order's price. At one price others come first while they are ahead of ours. */
  #counterpart(entry: Entry): { readonly key: number; readonly quantity: number; readonly own: Entry | null } | null {
    const level = this.#bestOther(entry.side)
    const own = this.#own(entry.side === "buy" ? "sell" : "buy")[0]
    const best = own !== undefined && isFirst(own, level)
      ? { key: keyOf(own), quantity: own.remaining, own }
      : level === null
      ? null
      : { ...level, own: null }
    return best !== null && this.#reaches(entry, best.key) ? best : null
  }

  /** One match; false when there is no counterpart, or when what is left buys less than the smallest quantity. */
  #matchOnce(entry: Entry, time: number): boolean {
    const best = this.#counterpart(entry)
    if (best === null) return false
    const price = Math.abs(best.key)
    const quantity = Math.min(entry.remaining, affordable(entry.budget, price), best.quantity)
    if (quantity <= 0) return false
    entry.remaining -= quantity
    if (entry.budget !== null) entry.budget -= BigInt(price) * BigInt(quantity)
    const match = { price, quantity, taker: entry, maker: best.own, told: false }
    if (best.own !== null) {
      this.#fill(best.own, match, time)
    } else {
      this.#take(best.key, quantity, time)
      this.#onMatch(match, time)
    }
    return true
  }

  /** Others' quantity goes from the book. */
  #take(key: number, quantity: number, time: number): void {
    const ladder = key > 0 ? this.#book.bids : this.#book.asks
    this.#book.set(key, Math.max(0, ladder.quantityAt(key) - quantity), time)
  }

  #fillResting(entry: Entry, most: number, time: number): number {
    const quantity = Math.min(most, entry.remaining)
    if (quantity > 0) {
      this.#fill(entry, { price: entry.limit!, quantity, taker: null, maker: entry, told: true }, time)
    }
    return quantity
  }

  #fill(entry: Entry, match: Match, time: number): void {
    entry.remaining -= match.quantity
    if (entry.remaining <= 0) this.remove(entry)
    this.#onMatch(match, time)
  }

  #rest(entry: Entry): void {
    entry.ahead = this.#ladder(entry.side).quantityAt(keyOf(entry))
    const list = this.#own(entry.side)
    const index = list.findIndex((other) => keyOf(other) < keyOf(entry))
    if (index < 0) list.push(entry)
    else list.splice(index, 0, entry)
  }
}

/** Whether our resting order is served before the best level of the others. */
const isFirst = (own: Entry, level: { readonly key: number } | null): boolean =>
  level === null || keyOf(own) > level.key || (keyOf(own) === level.key && own.ahead === 0)

/** Whole quantity units that a budget pays for. */
const affordable = (budget: bigint | null, price: number): number =>
  budget === null ? Infinity : Number(budget / BigInt(price))
