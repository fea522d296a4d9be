/**
 * The books of a replay as they stand: whoever comes late, or lost updates, gets a snapshot of now, as the exchange would
 * have given one. The recording holds only those that the recorded session asked for.
 */
import type { BookUpdate, Levels } from "../domain/Market.ts"
import type { ExactText } from "../domain/Numeric.ts"

interface Level {
  readonly quantity: number
  /** What the numbers do not hold. */
  readonly exactPrice: string | undefined
  readonly exactQuantity: string | undefined
}

type Side = "bids" | "asks"

class Book {
  readonly sides: Readonly<Record<Side, Map<number, Level>>> = { bids: new Map(), asks: new Map() }
  last: BookUpdate

  constructor(snapshot: BookUpdate) {
    this.last = snapshot
  }

  apply(update: BookUpdate): void {
    this.last = update
    if (update.kind === "snapshot") {
      this.sides.bids.clear()
      this.sides.asks.clear()
    }
    this.#applySide("bids", update.bids, update.exact)
    this.#applySide("asks", update.asks, update.exact)
  }

  #applySide(side: Side, levels: Levels, exact: ExactText | null): void {
    const book = this.sides[side]
    for (let i = 0; i < levels.length; i += 2) {
      const quantity = levels[i + 1]!
      if (quantity === 0) book.delete(levels[i]!)
      else {
        const exactPrice = exact?.[`${side}[${i}]`]
        book.set(levels[i]!, { quantity, exactPrice, exactQuantity: exact?.[`${side}[${i + 1}]`] })
      }
    }
  }

  snapshot(): BookUpdate {
    const exact: Record<string, string> = {}
    const list = (side: Side, direction: number): Levels => {
      const flat: Array<number> = []
      for (const [price, level] of [...this.sides[side]].sort(([a], [b]) => (a - b) * direction)) {
        if (level.exactPrice !== undefined) exact[`${side}[${flat.length}]`] = level.exactPrice
        if (level.exactQuantity !== undefined) exact[`${side}[${flat.length + 1}]`] = level.exactQuantity
        flat.push(price, level.quantity)
      }
      return flat
    }
    const { last } = this
    const bids = list("bids", -1)
    const asks = list("asks", 1)
    const none = Object.keys(exact).length === 0
    return { ...last, kind: "snapshot", bids, asks, firstVersion: last.version, exact: none ? null : exact }
  }
}

export class ReplayBooks<Key> {
  readonly #books = new Map<Key, Book>()

  /** The next update of a book in sync. */
  onUpdate(key: Key, update: BookUpdate): void {
    let book = this.#books.get(key)
    if (book === undefined) {
      if (update.kind !== "snapshot") return
      book = new Book(update)
      this.#books.set(key, book)
    }
    book.apply(update)
  }

  /** The whole book behind its last update; undefined before the first snapshot. */
  snapshotOf(key: Key): BookUpdate | undefined {
    return this.#books.get(key)?.snapshot()
  }
}
