/**
 * One connection's own copy of a book of which the exchange shows a window, for the moment at which the stream goes on with
 * it in the midst of one of its updates: what such an update leaves out was the same before it on that connection only. A
 * copy stands where the connection's events have been dealt with, not where they have arrived. Pure.
 */
import type { BookUpdate, Levels } from "../domain/Market.ts"
import type { ExactText } from "../domain/Numeric.ts"
import * as Sequence from "../domain/Sequence.ts"
import type { BookRecipe } from "../ExchangeAdapter.ts"
import type { Lane } from "./Lane.ts"

/** A level whose text says more than its number. */
interface Level {
  readonly quantity: number
  readonly priceText: string | undefined
  readonly quantityText: string | undefined
}

type Side = Map<number, Level>

const change = (side: Side, name: "bids" | "asks", levels: Levels, exact: ExactText | null): void => {
  for (let i = 0; i < levels.length; i += 2) {
    const price = levels[i]!
    const quantity = levels[i + 1]!
    if (quantity === 0) side.delete(price)
    else side.set(price, { quantity, priceText: exact?.[`${name}[${i}]`], quantityText: exact?.[`${name}[${i + 1}]`] })
  }
}

/** Best first. */
const levelsOf = (side: Side, name: "bids" | "asks", exact: Record<string, string>): Levels => {
  const rising = name === "asks" ? 1 : -1
  const sorted = [...side].sort(([a], [b]) => rising * (a - b))
  for (const [index, [, { priceText, quantityText }]] of sorted.entries()) {
    if (priceText !== undefined) exact[`${name}[${2 * index}]`] = priceText
    if (quantityText !== undefined) exact[`${name}[${2 * index + 1}]`] = quantityText
  }
  return sorted.flatMap(([price, { quantity }]) => [price, quantity])
}

class LaneBook {
  version: Sequence.Sequence
  readonly #bids: Side
  readonly #asks: Side

  constructor(version: Sequence.Sequence, bids: Side, asks: Side) {
    this.version = version
    this.#bids = bids
    this.#asks = asks
  }

  apply({ asks, bids, exact, version }: BookUpdate): void {
    change(this.#bids, "bids", bids, exact)
    change(this.#asks, "asks", asks, exact)
    this.version = version
  }

  copy(): LaneBook {
    return new LaneBook(this.version, new Map(this.#bids), new Map(this.#asks))
  }

  /** The whole book behind the update that was applied last. */
  whole(update: BookUpdate): BookUpdate {
    const texts: Record<string, string> = {}
    const bids = levelsOf(this.#bids, "bids", texts)
    const asks = levelsOf(this.#asks, "asks", texts)
    const exact = Object.keys(texts).length === 0 ? null : texts
    return { ...update, kind: "snapshot", firstVersion: update.version, bids, asks, exact }
  }
}

/** What is known of a connection's events that were dealt with. */
interface Memory {
  /** Version of the last one. */
  at: Sequence.Sequence
  /** Null while its stretch has no beginning, or has a hole. */
  book: LaneBook | null
}

/** The copies of all connections that carry one book. */
export class LaneBooks {
  readonly #follows: BookRecipe["follows"]
  readonly #lanes: () => ReadonlyArray<Lane>

  constructor(recipe: BookRecipe, lanes: () => ReadonlyArray<Lane>) {
    this.#follows = recipe.follows
    this.#lanes = lanes
  }

  /** `last`: version up to which the connection of now has brought the book alone; null when the book is not in step. */
  begin(last: Sequence.Sequence | null): void {
    for (const lane of this.#lanes()) lane.memory = last !== null && lane.live ? { at: last, book: null } : null
  }

  has(lane: Lane): boolean {
    return this.#bookOf(lane) !== null
  }

  /** The lane's next event was dealt with: passed, or known already. */
  keep(lane: Lane, update: BookUpdate): void {
    lane.memory = { at: update.version, book: this.#next(lane, update) } satisfies Memory
  }

  /** The whole book behind an update of this lane that was kept last; null without a copy. */
  whole(lane: Lane, update: BookUpdate): BookUpdate | null {
    return this.#bookOf(lane)?.whole(update) ?? null
  }

  /**
   * Whether another lane goes on from the end of what was passed, and cannot be gone over to in the midst of an update: it
   * has no copy. It is left in the lead until its updates begin where the copy of another stands.
   */
  isLedByOther(lane: Lane, last: Sequence.Sequence): boolean {
    return this.#lanes().some((other) =>
      other !== lane && other.live && other.joined && !this.has(other) && this.#isAt(other, last)
    )
  }

  #isAt(lane: Lane, last: Sequence.Sequence): boolean {
    const memory = this.#memoryOf(lane)
    return memory !== null && Sequence.equals(memory.at, last)
  }

  #next(lane: Lane, update: BookUpdate): LaneBook | null {
    const book = update.kind === "snapshot"
      ? new LaneBook(update.version, new Map(), new Map())
      : this.#bookBefore(lane, update)
    book?.apply(update)
    return book
  }

  /** The lane's copy if the update goes on from it, or that of a lane from which it does. */
  #bookBefore(lane: Lane, update: BookUpdate): LaneBook | null {
    const own = this.#bookOf(lane)
    if (own !== null && this.#follows(own.version, update) === "apply") return own
    for (const other of this.#lanes()) {
      const book = this.#bookOf(other)
      if (other !== lane && book !== null && this.#follows(book.version, update) === "apply") return book.copy()
    }
    return null
  }

  #bookOf(lane: Lane): LaneBook | null {
    return this.#memoryOf(lane)?.book ?? null
  }

  #memoryOf(lane: Lane): Memory | null {
    return lane.memory as Memory | null
  }
}
