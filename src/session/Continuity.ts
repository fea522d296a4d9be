/** Whether anything was missed between two events of a topic, by the exchange's own numbering. */
import type { BookTicker, BookUpdate, MarketEvent, Trade } from "../domain/Market.ts"
import * as Sequence from "../domain/Sequence.ts"
import type { BookRecipe } from "../ExchangeAdapter.ts"

/** `whole`: nothing was missed. `missed`: something was. `unknown`: the numbers do not tell. */
export type Continuity = "whole" | "missed" | "unknown"

/** `last`: the version up to which the book was in sync; null when it was not. */
const ofBook = (last: Sequence.Sequence | null, next: BookUpdate, recipe: BookRecipe | null): Continuity => {
  if (last === null || recipe === null) return "unknown"
  if (next.kind === "snapshot") return next.version <= last ? "whole" : "missed"
  return recipe.follows(last, next) === "gap" ? "missed" : "whole"
}

/** The same for best prices of which only the version before is known. */
export const ofVersions = (before: Sequence.Sequence, next: Sequence.Sequence): Continuity =>
  Sequence.equals(before, next) ? "whole" : "unknown"

const sameTicker = (a: BookTicker, b: BookTicker): boolean =>
  a.version !== null && b.version !== null
    ? Sequence.equals(a.version, b.version)
    : a.bidPrice === b.bidPrice && a.askPrice === b.askPrice && a.bidQuantity === b.bidQuantity &&
      a.askQuantity === b.askQuantity

const ofTrades = (before: Trade, next: Trade): Continuity => {
  const a = before.id === null ? null : Sequence.fromText(before.id)
  const b = next.id === null ? null : Sequence.fromText(next.id)
  return a !== null && b !== null && Sequence.equals(Sequence.next(a), b) ? "whole" : "unknown"
}

/** What was before, and what came next. Events that say the same again have missed nothing that they could tell. */
export const between = (
  before: MarketEvent | null,
  last: Sequence.Sequence | null,
  next: MarketEvent,
  recipe: BookRecipe | null
): Continuity => {
  if (next._tag === "BookUpdate") return ofBook(last, next, recipe)
  if (before === null) return "unknown"
  if (next._tag === "BookTicker" && before._tag === "BookTicker") return sameTicker(before, next) ? "whole" : "unknown"
  if (next._tag === "Trade" && before._tag === "Trade") return ofTrades(before, next)
  return before.exchangeTime !== null && before.exchangeTime === next.exchangeTime ? "whole" : "unknown"
}
