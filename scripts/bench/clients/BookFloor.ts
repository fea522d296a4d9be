/** BOOK FLOOR: FLOOR and a book for each pair; it checks no versions. */
import { once } from "node:events"
import { get } from "node:http"
import type { IncomingMessage } from "node:http"
import { text } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import { OrderBook } from "../../../src/composite/OrderBook.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate } from "../../../src/domain/Market.ts"
import type { Topic } from "../../../src/ExchangeAdapter.ts"
import { firstVersion } from "../Protocol.ts"
import { adapter, makeCodec, sinkOf, topics } from "./Adapter.ts"
import * as Raw from "./Raw.ts"
import { comparedLevels, compete, consume, faults, finish, restUrl, setup } from "./Run.ts"

interface RestLevel {
  readonly p: string
  readonly s: string | number
}

interface RestBook {
  readonly bids: ReadonlyArray<readonly [string, string] | RestLevel>
  readonly asks: ReadonlyArray<readonly [string, string] | RestLevel>
}

const restPath = (symbol: string): string => {
  if (adapter.id === "mexc-spot") return `/api/v3/depth?symbol=${symbol}&limit=5000`
  return adapter.id === "gate-spot"
    ? `/spot/order_book?currency_pair=${symbol}&limit=100&with_id=true`
    : `/futures/usdt/order_book?contract=${symbol}&limit=100&with_id=true`
}

const flat = (rows: RestBook["bids"]): ReadonlyArray<number> =>
  rows.flatMap((row) => "p" in row ? [+row.p, +row.s] : [+row[0], +row[1]])

/** By `node:http`: the first body that `fetch` reads makes every typed array of the process slower. */
const json = async (from: string): Promise<unknown> => {
  const [response] = await once(get(from), "response") as [IncomingMessage]
  return JSON.parse(await text(response))
}

/** The whole book that the deltas begin with, for a feed that does not push it. */
const snapshotOf = async ({ contractSize, pair, symbol }: Topic): Promise<BookUpdate> => {
  const { asks, bids } = await json(restUrl + restPath(symbol)) as RestBook
  return {
    _tag: "BookUpdate",
    kind: "snapshot",
    pair,
    symbol,
    exchangeTime: null,
    receivedAt: Raw.receivedAt,
    contractSize,
    exact: null,
    bids: flat(bids),
    asks: flat(asks),
    firstVersion,
    version: firstVersion
  }
}

const books = new Map(setup.pairs.map((pair) => [pair, new OrderBook(pair as TradingPair)]))
for (const topic of topics) topic.slot = books.get(topic.pair!)

const sink = sinkOf((topic, event) => {
  if ((topic.slot as OrderBook).apply(event as BookUpdate) === "Faulty") faults["failures"]!++
  consume(event)
})

await Raw.decode(makeCodec, sink)
for (const topic of topics) {
  const book = books.get(topic.pair!)!
  if (book.view === null) book.apply(await snapshotOf(topic))
}
// The delta that joins each snapshot.
await sleep(100)
finish(await compete({ hasEvents: false, bookOf: (pair) => books.get(pair)!.view?.top(comparedLevels) ?? null }))
