/** Sees all that a session delivers, compares every book with the simulator's, and keeps the log that a seed repeats. */
import { createHash } from "node:crypto"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { ConnectionStatus, Gap, GapCause } from "../../src/domain/Feed.ts"
import type { BookTicker, BookUpdate, Trade } from "../../src/domain/Market.ts"
import type { Sequence } from "../../src/domain/Sequence.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"

/** Deeper levels of a window may have left it before the snapshot was joined. */
const deepest = 20

const isSame = (flat: ReadonlyArray<number>, levels: ReadonlyArray<{ price: string; quantity: string }>): boolean =>
  flat.length === 2 * levels.length &&
  levels.every(({ price, quantity }, i) => flat[2 * i] === Number(price) && flat[2 * i + 1] === Number(quantity))

const visible = (_: string, value: unknown): unknown => typeof value === "bigint" ? `${value}n` : value

export class Observer {
  readonly problems: Array<string> = []
  readonly gaps = new Map<GapCause, number>()
  /** When each topic brought data last, ms; not since its last gap. */
  readonly seen = new Map<string, number>()
  events = 0
  compared = 0
  /** Off while books are made wrong on purpose in a way that no version shows. */
  judges = true
  /** What the wire has taken from the exchange's versions. */
  shift = 0
  /** The wire sends trades twice, which nothing in them forbids. */
  repeats = false
  /** The wire changes the order of quotes, which say nothing when they come late. */
  reorders = false
  /** Quotes and trades may start again at lower numbers. */
  forgets = false
  readonly #hash = createHash("sha256")
  readonly #books = new Map<string, { readonly book: OrderBook; readonly reach: number }>()
  readonly #tickers = new Map<string, Sequence>()
  readonly #trades = new Map<string, Set<string>>()
  readonly #simulator: SimulatorService
  readonly #exchange: string
  readonly #now: () => number

  constructor(simulator: SimulatorService, exchange: string, now: () => number) {
    this.#simulator = simulator
    this.#exchange = exchange
    this.#now = now
  }

  get log(): string {
    return this.#hash.copy().digest("hex")
  }

  /** Into the log. */
  note(value: unknown): void {
    this.#hash.update(JSON.stringify(value, visible) ?? "undefined").update("\n")
  }

  #problem(text: string): void {
    if (this.problems.length < 20) this.problems.push(text)
  }

  #arrived(topic: string, event: unknown): void {
    this.events++
    this.seen.set(topic, this.#now())
    this.note(event)
  }

  readonly onBookTicker = (ticker: BookTicker): void => {
    this.#arrived(`BookTicker ${ticker.symbol}`, ticker)
    const last = this.#tickers.get(ticker.symbol)
    if (ticker.version === null) return
    if (last !== undefined && ticker.version < last && !this.reorders && !this.forgets) {
      this.#problem(`a quote of ${ticker.symbol} went back`)
    }
    this.#tickers.set(ticker.symbol, ticker.version)
  }

  readonly onTrade = (trade: Trade): void => {
    this.#arrived(`Trades ${trade.symbol}`, trade)
    const known = this.#trades.get(trade.symbol) ?? new Set()
    this.#trades.set(trade.symbol, known)
    if (trade.id === null) return this.#problem("a trade without an id")
    if (known.has(trade.id) && !this.repeats) this.#problem(`trade ${trade.id} of ${trade.symbol} came twice`)
    known.add(trade.id)
  }

  readonly onBook = (update: BookUpdate): void => {
    this.#arrived(`Book ${update.symbol}`, update)
    if (update.kind === "snapshot") {
      const reach = Math.min(deepest, update.bids.length / 2, update.asks.length / 2)
      this.#books.set(update.symbol, { book: new OrderBook(update.pair!), reach })
    }
    const entry = this.#books.get(update.symbol)
    if (entry === undefined) return this.#problem(`a delta of ${update.symbol} behind no snapshot`)
    const outcome = entry.book.apply(update)
    if (!this.judges) return
    if (outcome === "Faulty") this.#problem(`the book of ${update.symbol} is ${entry.book.fault?._tag}`)
    this.#compare(update, entry.book, entry.reach)
  }

  #compare(update: BookUpdate, book: OrderBook, reach: number): void {
    const version = Number(update.version) + this.shift
    const truth = this.#simulator.truth(this.#exchange, update.pair!, version, reach)
    if (truth === undefined) return
    this.compared++
    const top = book.view?.top(reach)
    if (top !== undefined && isSame(top.bids, truth.bids) && isSame(top.asks, truth.asks)) return
    this.#problem(`the book of ${update.symbol} differs from the exchange's at version ${update.version}`)
  }

  readonly onGap = (gap: Gap): void => {
    this.note(gap)
    this.gaps.set(gap.cause, (this.gaps.get(gap.cause) ?? 0) + 1)
    this.seen.delete(`${gap.channel} ${gap.symbol}`)
    if (gap.channel === "Book") this.#books.delete(gap.symbol)
    if (gap.channel === "BookTicker") this.#tickers.delete(gap.symbol)
  }

  readonly onStatus = (status: ConnectionStatus): void => this.note(status)
}
