/** Compile only: what must not be possible with a live book does not type-check. */
import type { BookView } from "../../src/composite/OrderBook.ts"
import type { LiveBook, OrderBooks, Stale, Synced } from "../../src/composite/OrderBooks.ts"

declare const live: LiveBook
declare const stale: Stale
declare const synced: Synced
declare const view: BookView
declare const books: OrderBooks["Service"]

// @ts-expect-error a book that may be stale has no prices
export const unchecked = live.book

// @ts-expect-error a stale book has no prices
export const ofStale = stale.book

export const checked: number = live._tag === "Synced" ? live.book.bidPrice() : Number.NaN

export const explained: string = live._tag === "Stale" ? live.cause : "in sync"

// @ts-expect-error a book in sync has no cause
export const causeOfSynced = synced.cause

// @ts-expect-error a pair may not be tracked
export const untracked = books.get("BTC/USDT")._tag

// @ts-expect-error a side may be empty
export const bestOfEmpty: number = view.bestBid.price

export const level: number | undefined = view.bestBid?.price

// @ts-expect-error a reader cannot change the book
view.apply()

// @ts-expect-error a reader cannot change the book
view.version = 7

// @ts-expect-error copied levels are for reading
view.top(1).bids[0] = 7

export const exhaustive = (state: LiveBook): string => {
  switch (state._tag) {
    case "Synced":
      return state.book.symbol
    case "Stale":
      return state.cause
  }
}
