import { assert, describe, it } from "@effect/vitest"
import type { BookTicker, BookUpdate, MarketEvent, Ticker, Trade } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { BookRecipe } from "../../src/ExchangeAdapter.ts"
import type { Continuity } from "../../src/session/Continuity.ts"
import { between } from "../../src/session/Continuity.ts"

const about = { pair: "BTC/USDT", symbol: "BTCUSDT", receivedAt: 0, contractSize: 1, exact: null } as const

const book = (kind: BookUpdate["kind"], firstVersion: Sequence.Sequence, version = firstVersion): BookUpdate => ({
  _tag: "BookUpdate",
  ...about,
  kind,
  bids: [],
  asks: [],
  firstVersion,
  version,
  exchangeTime: 5
})

const ticker = (version: Sequence.Sequence | null, fields: Partial<BookTicker> = {}): BookTicker => ({
  _tag: "BookTicker",
  ...about,
  bidPrice: 1,
  bidQuantity: 2,
  askPrice: 3,
  askQuantity: 4,
  version,
  exchangeTime: 5,
  ...fields
})

const trade = (id: string | null): Trade => ({
  _tag: "Trade",
  ...about,
  id,
  price: 1,
  quantity: 2,
  side: "buy",
  exchangeTime: 5
})

const day = (exchangeTime: number | null): Ticker => ({
  _tag: "Ticker",
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  lastPrice: 1,
  bidPrice: 1,
  askPrice: 1,
  highPrice: 1,
  lowPrice: 1,
  change: 0,
  baseVolume: 1,
  quoteVolume: 1,
  exchangeTime,
  receivedAt: 0,
  exact: null
})

const follows: BookRecipe["follows"] = (last, next) =>
  next.version <= last ? "stale" : Sequence.equals(next.firstVersion, Sequence.next(last)) ? "apply" : "gap"

const recipe: BookRecipe = { snapshot: "InStream", joins: follows, follows }

type Case = readonly [
  before: MarketEvent | null,
  last: Sequence.Sequence | null,
  next: MarketEvent,
  recipe: BookRecipe | null,
  continuity: Continuity
]

const cases: Readonly<Record<string, Case>> = {
  "a delta that follows": [null, 7, book("delta", 8, 9), recipe, "whole"],
  "a delta that was there before": [null, 7, book("delta", 6, 7), recipe, "whole"],
  "a delta behind a hole": [null, 7, book("delta", 9, 9), recipe, "missed"],
  "a delta of a book that was not in sync": [book("delta", 7), null, book("delta", 8), recipe, "unknown"],
  "a delta without a recipe": [book("delta", 7), 7, book("delta", 8), null, "unknown"],
  "a snapshot of what was there": [null, 7, book("snapshot", 7), recipe, "whole"],
  "a snapshot of less": [null, 7, book("snapshot", 6), recipe, "whole"],
  "a snapshot of more, whatever follows it": [null, 7, book("snapshot", 8), recipe, "missed"],
  "a snapshot beyond 2^53": [null, 2n ** 60n, book("snapshot", 2n ** 60n + 1n), recipe, "missed"],
  "the first ticker": [null, null, ticker(7), null, "unknown"],
  "the same ticker": [ticker(7), null, ticker(7, { bidPrice: 9 }), null, "whole"],
  "the same, as a bigint": [ticker(7), null, ticker(7n), null, "whole"],
  "another ticker": [ticker(7), null, ticker(8), null, "unknown"],
  "a ticker without version that says the same": [ticker(null), null, ticker(null), null, "whole"],
  "one of them without version": [ticker(null), null, ticker(7), null, "whole"],
  "the other without version": [ticker(7), null, ticker(null), null, "whole"],
  "another bid": [ticker(null), null, ticker(null, { bidPrice: 9 }), null, "unknown"],
  "another ask": [ticker(null), null, ticker(null, { askPrice: 9 }), null, "unknown"],
  "another quantity of the bid": [ticker(null), null, ticker(null, { bidQuantity: 9 }), null, "unknown"],
  "another quantity of the ask": [ticker(null), null, ticker(null, { askQuantity: 9 }), null, "unknown"],
  "the next trade": [trade("7"), null, trade("8"), null, "whole"],
  "the next trade beyond 2^53": [trade("9007199254740991"), null, trade("9007199254740992"), null, "whole"],
  "a later trade": [trade("7"), null, trade("9"), null, "unknown"],
  "the same trade": [trade("7"), null, trade("7"), null, "unknown"],
  "a trade without id": [trade("7"), null, trade(null), null, "unknown"],
  "a trade behind one without id": [trade(null), null, trade("8"), null, "unknown"],
  "two without id": [trade(null), null, trade(null), null, "unknown"],
  "a trade with an id that is no number": [trade("7"), null, trade("x8"), null, "unknown"],
  "a trade behind such a one": [trade("x7"), null, trade("8"), null, "unknown"],
  "a day of the same time": [day(5), null, day(5), null, "whole"],
  "a day of another time": [day(5), null, day(6), null, "unknown"],
  "days without time": [day(null), null, day(null), null, "unknown"],
  "a day that loses its time": [day(5), null, day(null), null, "unknown"],
  "events of two kinds at one time": [trade("7"), null, ticker(null), null, "whole"],
  "events of two kinds at two times": [trade("7"), null, ticker(null, { exchangeTime: 6 }), null, "unknown"],
  "a trade behind a ticker of another time": [ticker(7, { exchangeTime: 4 }), null, trade("8"), null, "unknown"]
}

describe("between", () => {
  for (const [name, [before, last, next, of, continuity]] of Object.entries(cases)) {
    it(name, () => assert.strictEqual(between(before, last, next, of), continuity))
  }
})
