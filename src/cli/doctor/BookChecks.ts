/** A book as the session delivers it: never crossed, and equal to a book that was fetched meanwhile. */
import { OrderBook } from "../../composite/OrderBook.ts"
import type { BookUpdate, Levels } from "../../domain/Market.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRecipe } from "../../ExchangeAdapter.ts"
import * as Finding from "./Finding.ts"
import type { Wanted } from "./Wanted.ts"

/** Updates that are kept to lead a fetched book on: minutes of them. */
const mostUpdates = 10_000

/** Levels a side that are compared: feeds with a window of their own keep so many right for as long as that takes. */
const compared = 10

type Joined =
  | { readonly _tag: "Joined"; readonly version: Sequence.Sequence; readonly bids: Levels; readonly asks: Levels }
  | { readonly _tag: "Apart"; readonly detail: string }

export class BookCheck {
  readonly wanted: Wanted
  readonly #recipe: BookRecipe
  readonly #book: OrderBook
  readonly #updates: Array<BookUpdate> = []
  #count = 0
  #faults: Array<string> = []
  #fetched: BookUpdate | null = null
  #fetchError: string | null = null

  constructor(wanted: Wanted, recipe: BookRecipe) {
    this.wanted = wanted
    this.#recipe = recipe
    this.#book = new OrderBook(wanted.pair)
  }

  /** What the session delivers, joined and without a hole. */
  onUpdate(update: BookUpdate): void {
    this.#count++
    this.#updates.push(update)
    if (this.#updates.length > mostUpdates) this.#updates.shift()
    if (this.#book.apply(update) !== "Faulty") return
    const { fault } = this.#book
    this.#faults.push(
      fault?._tag === "Crossed"
        ? `bid ${fault.bid} and ask ${fault.ask} at version ${fault.version}`
        : `a level that cannot be at version ${fault?.version}`
    )
  }

  /** The book of a REST call that was made while updates came. */
  onFetched(book: BookUpdate): void {
    this.#fetched = book
  }

  onFetchFailed(message: string): void {
    this.#fetchError = message
  }

  findings(): ReadonlyArray<Finding.Finding> {
    return [this.#crossed(), ...this.#compared()]
  }

  #crossed(): Finding.Finding {
    const check = `never crossed ${this.#name()}`
    if (this.#count === 0) return Finding.fail(check, "no book came")
    return Finding.judge(
      this.#faults.length === 0,
      check,
      this.#faults.length === 0 ? `${this.#count} updates` : `${this.#faults.length} times: ${this.#faults[0]}`
    )
  }

  /** A feed of whole books cannot be led on from a fetched one. */
  #compared(): ReadonlyArray<Finding.Finding> {
    if (this.#recipe.snapshot === "EveryUpdate") return []
    const check = `equals REST ${this.#name()}`
    if (this.#fetched === null) return [Finding.fail(check, this.#fetchError ?? "no book was fetched")]
    return [this.#compare(check, this.#fetched)]
  }

  #compare(check: string, fetched: BookUpdate): Finding.Finding {
    const joined = this.#leadOn(fetched)
    if (joined._tag === "Apart") {
      // Where the stream brings its own snapshots no document says how a fetched book would join it.
      return this.#recipe.snapshot === "InStream"
        ? Finding.skip(check, `not to be compared: ${joined.detail}`)
        : Finding.fail(check, joined.detail)
    }
    const { view } = this.#book
    if (view === null) return Finding.fail(check, "the book was not in sync at the end")
    const own = view.top(compared)
    const led = `fetched at version ${fetched.version}, led on to ${joined.version}`
    const wrong = differs("bid", own.bids, joined.bids) ?? differs("ask", own.asks, joined.asks)
    const [bids, asks] = [own.bids.length / 2, own.asks.length / 2]
    return wrong === null
      ? Finding.judge(bids + asks > 0, check, `${led}: the best ${bids} bids and ${asks} asks are the same`)
      : Finding.fail(check, `${led}: ${wrong}`)
  }

  /** Applies what came behind the fetched book. Quantities are absolute, so an update may reach back before it. */
  #leadOn(fetched: BookUpdate): Joined {
    const book = new OrderBook(this.wanted.pair)
    book.apply(fetched)
    let version = fetched.version
    for (const update of this.#updates) {
      if (update.version <= version) continue
      if (update.kind === "delta" && update.firstVersion > Sequence.next(version)) {
        return {
          _tag: "Apart",
          detail: `no update joins version ${version}; the next begins at ${update.firstVersion}`
        }
      }
      book.apply(update)
      version = update.version
    }
    if (version === fetched.version) {
      return { _tag: "Apart", detail: `no update came behind the fetched version ${version}` }
    }
    const top = book.view?.top(compared)
    return top === undefined
      ? { _tag: "Apart", detail: `the fetched book does not bear the updates up to ${version}` }
      : { _tag: "Joined", version, ...top }
  }

  #name(): string {
    return `${this.wanted.variant} ${this.wanted.pair}`
  }
}

/** Both hold `[price, quantity, …]`. A side that ends earlier than the other differs too. */
const differs = (side: string, own: Levels, fetched: Levels): string | null => {
  for (let i = 0; i < Math.max(own.length, fetched.length); i += 2) {
    if (own[i] !== fetched[i] || own[i + 1] !== fetched[i + 1]) {
      return `${side} ${i / 2} is ${level(own, i)} here and ${level(fetched, i)} there`
    }
  }
  return null
}

const level = (levels: Levels, i: number): string =>
  i < levels.length ? `${levels[i]} x ${levels[i + 1]}` : `not there (${levels.length / 2} levels)`
