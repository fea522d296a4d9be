/** How Gate's books are followed, by source; the same on spot and futures. */
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRecipe, BookRequest } from "../../ExchangeAdapter.ts"
import { followsExactly } from "../../ExchangeAdapter.ts"

/** "Order Book V2": a delta must have U = last + 1, else subscribe again. A pushed snapshot replaces the book any time. */
const obuBook: BookRecipe = { snapshot: "InStream", joins: followsExactly, follows: followsExactly }

/**
 * "How to maintain local order book": drop u < base + 1; the first one applied has U <= base + 1 <= u; U > base + 1
 * means that the snapshot is too old. Later only U > last + 1 is a hole: quantities are absolute, so what overlaps is
 * applied again without harm.
 */
const joinsWithin: BookRecipe["follows"] = (lastVersion, update) => {
  if (update.version <= lastVersion) return "stale"
  return update.firstVersion <= Sequence.next(lastVersion) ? "apply" : "gap"
}

const updateBook: BookRecipe = { snapshot: "Fetch", joins: joinsWithin, follows: joinsWithin }

/** There are no deltas. */
const wholeBook: BookRecipe = { snapshot: "EveryUpdate", joins: followsExactly, follows: followsExactly }

export const recipe = ({ source }: BookRequest): BookRecipe => {
  if (source === "order_book_update") return updateBook
  return source === "order_book" ? wholeBook : obuBook
}
