/**
 * One order book: mutable levels behind a read-only view. Two `Float64Array`s a side (price, quantity) with the best
 * level last, so that the busy end of the book moves few numbers. Plain synchronous code: applying an update allocates
 * nothing unless a side has to grow.
 *
 * Levels are told apart by their price as a `number`: two prices on the wire that differ only behind the 15th
 * significant digit would fall into one level.
 */
import type { TradingPair } from "../domain/Instrument.ts"
import type { BookUpdate, Levels } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"

export interface Level {
  /** Quote. */
  readonly price: number
  /** Base (spot) or contracts (swap), above 0. */
  readonly quantity: number
}

/** The best levels, copied: `[price, quantity, price, quantity, …]`, best first. */
export interface Top {
  readonly bids: Levels
  readonly asks: Levels
}

/** What an order of a size would take of a side that stands still. */
export interface Taken {
  /** Base (spot) or contracts (swap): what is really there of what was asked for. */
  quantity: number
  /** Sum of price times quantity, in quote; on swaps quote for a contract size of 1, to be multiplied by that. */
  value: number
  /** Quote: `value / quantity`; NaN when nothing is there. */
  meanPrice: number
  /** Quote, of the last level that is touched: the limit to order with; NaN when nothing is there. */
  worstPrice: number
  /** Levels that are touched. */
  levels: number
}

/** One to be given to `takeBids` and `takeAsks` again and again. */
export const makeTaken = (): Taken => ({
  quantity: 0,
  value: 0,
  meanPrice: Number.NaN,
  worstPrice: Number.NaN,
  levels: 0
})

/**
 * Reads a book that is in sync. Always the newest state: the view changes under its reader with every update, so read
 * what belongs together in one synchronous piece of code, or copy it with `top`.
 *
 * When the book goes stale the view ends for good: `isCurrent` turns false and from then on it reads as an empty book
 * (numbers NaN, levels null, counts 0). It never shows a price of the past and never comes back to life; the next time
 * in sync has a view of its own.
 *
 * Index 0 is the best level. Where there is no such level prices and quantities are NaN and levels null; sums are 0.
 */
export interface BookView {
  readonly pair: TradingPair
  /** The exchange's name of the instrument. */
  readonly symbol: string
  /** False for ever once the book has gone stale. */
  readonly isCurrent: boolean
  /** The book's version after the last update; null when not current. */
  readonly version: Sequence | null
  /** The exchange's time of the last update, ms; null when it sends none, or when not current. */
  readonly exchangeTime: number | null
  /** When the bytes of the last update were read from the socket, ms with fractions; NaN when not current. */
  readonly receivedAt: number
  readonly bidCount: number
  readonly askCount: number
  /** Quote. Allocates nothing. */
  bidPrice(index?: number): number
  /** Base (spot) or contracts (swap). Allocates nothing. */
  bidQuantity(index?: number): number
  /** Quote. Allocates nothing. */
  askPrice(index?: number): number
  /** Base (spot) or contracts (swap). Allocates nothing. */
  askQuantity(index?: number): number
  readonly bestBid: Level | null
  readonly bestAsk: Level | null
  bid(index: number): Level | null
  ask(index: number): Level | null
  /** The levels of a side as a copy, best first: all of them, or the best `limit`. */
  bids(limit?: number): Array<Level>
  asks(limit?: number): Array<Level>
  /** The best `limit` levels a side as a copy in flat lists. */
  top(limit: number): Top
  /** How far the snapshot that the book goes back to showed the side: what lies beyond may be incomplete. */
  readonly bidReach: Reach
  readonly askReach: Reach
  /** Half way between best bid and best ask, quote; NaN while a side is empty. */
  readonly mid: number
  /** Best ask minus best bid, quote; NaN while a side is empty. */
  readonly spread: number
  /**
   * The mid weighted by what stands against it, quote: `(bid * askQuantity + ask * bidQuantity) / (bidQuantity +
   * askQuantity)` of the best levels; NaN while a side is empty.
   */
  readonly microprice: number
  /**
   * Which side holds more within the best `levels` (default 1): `(bids - asks) / (bids + asks)`, from -1 (asks only) to 1
   * (bids only); NaN when both are empty. Allocates nothing, as what follows.
   */
  imbalance(levels?: number): number
  /** What the best `levels` bids hold, base (spot) or contracts (swap). */
  bidDepth(levels: number): number
  askDepth(levels: number): number
  /**
   * What the bids within a band below the mid hold: those at or above `mid * (1 - band)`. A band of 0.01 is one per cent.
   * Base (spot) or contracts (swap); 0 while a side is empty, for then there is no mid.
   */
  bidDepthWithin(band: number): number
  /** The same above the mid: asks at or below `mid * (1 + band)`. */
  askDepthWithin(band: number): number
  /** What the bids at or above `price` (quote) hold: what could be sold at that price or better. Base or contracts. */
  bidVolume(price: number): number
  /** What the asks at or below `price` (quote) hold: what could be bought at that price or better. Base or contracts. */
  askVolume(price: number): number
  /**
   * What selling `quantity` (base or contracts) into the bids would bring, best first. `into` is filled and given back;
   * without it a new one is made.
   */
  takeBids(quantity: number, into?: Taken): Taken
  /** What buying `quantity` from the asks would cost. */
  takeAsks(quantity: number, into?: Taken): Taken
}

/** How far down a side was known when its book began. */
export interface Reach {
  /** Levels that the snapshot showed. */
  readonly levels: number
  /** The price of the last of them, quote; NaN where it showed none. */
  readonly worstPrice: number
}

/** Why an update ended the book. */
export type BookFault =
  /** Best bid at or above best ask: the exchange matches such orders, so the book is not what the exchange has. */
  | { readonly _tag: "Crossed"; readonly version: Sequence; readonly bid: number; readonly ask: number }
  /** A price that is not positive and finite, a quantity that is negative or not finite, or half a level. */
  | {
    readonly _tag: "InvalidLevel"
    readonly version: Sequence
    readonly side: "bid" | "ask"
    readonly price: number | undefined
    readonly quantity: number | undefined
  }

/**
 * `Applied`: the book is in sync at the update's version. `Ignored`: a delta, while the book waits for a snapshot.
 * `Faulty`: the update cannot be right; the view has ended and the book waits for a snapshot.
 */
export type Outcome = "Applied" | "Ignored" | "Faulty"

const firstCapacity = 64

/** So small a share of what is to be taken is rounding. */
const noiseShare = 1e-12

/** Up to this many numbers a loop moves them faster than `copyWithin`, which pays for a call into the runtime. */
const shortTail = 24

/**
 * So many levels from the best one down are looked through one by one: most changes are there, and one loop's end is
 * easier to foresee for the processor than seven halvings, of which each goes either way.
 */
const nearLevels = 32

/**
 * One side, in rising order of `key = sign * price`: with -1 for asks the best level is the last on both sides and the
 * same code serves both. Negating a double is exact.
 */
class Side {
  readonly #sign: 1 | -1
  #keys = new Float64Array(firstCapacity)
  #quantities = new Float64Array(firstCapacity)
  #count = 0

  constructor(sign: 1 | -1) {
    this.#sign = sign
  }

  get count(): number {
    return this.#count
  }

  price(index: number): number {
    return index >= 0 && index < this.#count
      ? this.#sign * (this.#keys[this.#count - 1 - index] ?? Number.NaN)
      : Number.NaN
  }

  quantity(index: number): number {
    return index >= 0 && index < this.#count ? this.#quantities[this.#count - 1 - index] ?? Number.NaN : Number.NaN
  }

  get reach(): Reach {
    return { levels: this.#count, worstPrice: this.price(this.#count - 1) }
  }

  level(index: number): Level | null {
    const price = this.price(index)
    return price > 0 ? { price, quantity: this.quantity(index) } : null
  }

  levels(limit: number): Array<Level> {
    const levels: Array<Level> = []
    for (let i = 0; i < this.#count && i < limit; i++) levels.push({ price: this.price(i), quantity: this.quantity(i) })
    return levels
  }

  flat(limit: number): Array<number> {
    const keys = this.#keys
    const quantities = this.#quantities
    const last = this.#count - 1
    const count = limit >= 0 ? Math.min(Math.ceil(limit), this.#count) : 0
    const flat = new Array<number>(count * 2)
    for (let i = 0; i < count; i++) {
      flat[2 * i] = this.#sign * keys[last - i]!
      flat[2 * i + 1] = quantities[last - i]!
    }
    return flat
  }

  /** What the best `levels` hold, added from the best one. */
  depth(levels: number): number {
    const quantities = this.#quantities
    let sum = 0
    for (let i = 0; i < levels && i < this.#count; i++) sum += quantities[this.#count - 1 - i]!
    return sum
  }

  /** What the levels at this price or better hold. */
  volume(price: number): number {
    const keys = this.#keys
    const quantities = this.#quantities
    const key = this.#sign * price
    let sum = 0
    for (let i = this.#count - 1; i >= 0 && keys[i]! >= key; i--) sum += quantities[i]!
    return sum
  }

  take(quantity: number, into: Taken): Taken {
    const keys = this.#keys
    const quantities = this.#quantities
    // What rounding leaves of 0.7 behind seven levels of 0.1 must not touch an eighth.
    const noise = Math.min(quantity, Number.MAX_VALUE) * noiseShare
    let left = quantity
    let taken = 0
    let value = 0
    let i = this.#count - 1
    for (; i >= 0 && left > noise; i--) {
      const part = Math.min(left, quantities[i]!)
      value += this.#sign * keys[i]! * part
      taken += part
      left -= part
    }
    into.levels = this.#count - 1 - i
    into.quantity = left <= noise ? Math.max(0, quantity) : taken
    into.value = value
    into.worstPrice = this.price(into.levels - 1)
    // Not by the quotient, whose rounding would put it beside the only price there is.
    into.meanPrice = into.levels < 2 ? into.worstPrice : value / taken
    return into
  }

  /** Sets absolute quantities in the order of the wire. Returns the index of a malformed entry, or -1. */
  change(levels: Levels): number {
    const sign = this.#sign
    for (let i = 0; i < levels.length; i += 2) {
      const price = levels[i]!
      const quantity = levels[i + 1]!
      if (!isLevel(price, quantity)) return i
      this.#set(sign * price, quantity)
    }
    return -1
  }

  /** Takes these levels instead of what there was. Returns the index of a malformed entry, or -1. */
  replace(levels: Levels): number {
    this.#count = 0
    if (this.#loadBestFirst(levels)) return -1
    this.#count = 0
    return this.change(levels)
  }

  /** The usual order of a snapshot needs no search. False when the levels come otherwise or one is malformed. */
  #loadBestFirst(levels: Levels): boolean {
    while (this.#keys.length * 2 < levels.length) this.#grow()
    let last = Number.NEGATIVE_INFINITY
    for (let i = levels.length - 2; i >= 0; i -= 2) {
      const price = levels[i]!
      const quantity = levels[i + 1]!
      const key = this.#sign * price
      if (!(key > last) || !isLevel(price, quantity)) return false
      last = key
      if (quantity === 0) continue
      this.#keys[this.#count] = key
      this.#quantities[this.#count++] = quantity
    }
    return levels.length % 2 === 0
  }

  #set(key: number, quantity: number): void {
    const keys = this.#keys
    const low = this.#place(key)
    if (low < this.#count && keys[low] === key) {
      if (quantity === 0) this.#remove(low)
      else this.#quantities[low] = quantity
    } else if (quantity !== 0) {
      this.#insert(low, key, quantity)
    }
  }

  /** Index of the first level that is not below `key`: near the best one by one, further down by halves. */
  #place(key: number): number {
    const keys = this.#keys
    let place = this.#count
    const near = place > nearLevels ? place - nearLevels : 0
    while (place > near && keys[place - 1]! >= key) place--
    return place > near || near === 0 || keys[near - 1]! < key ? place : this.#placeBelow(key, near)
  }

  #placeBelow(key: number, below: number): number {
    const keys = this.#keys
    let low = 0
    let high = below
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  #insert(at: number, key: number, quantity: number): void {
    if (this.#count === this.#keys.length) this.#grow()
    const keys = this.#keys
    const quantities = this.#quantities
    const count = this.#count++
    if (count - at <= shortTail) {
      for (let i = count; i > at; i--) {
        keys[i] = keys[i - 1]!
        quantities[i] = quantities[i - 1]!
      }
    } else {
      keys.copyWithin(at + 1, at, count)
      quantities.copyWithin(at + 1, at, count)
    }
    keys[at] = key
    quantities[at] = quantity
  }

  #remove(at: number): void {
    const keys = this.#keys
    const quantities = this.#quantities
    const last = --this.#count
    if (last - at <= shortTail) {
      for (let i = at; i < last; i++) {
        keys[i] = keys[i + 1]!
        quantities[i] = quantities[i + 1]!
      }
    } else {
      keys.copyWithin(at, at + 1, last + 1)
      quantities.copyWithin(at, at + 1, last + 1)
    }
  }

  #grow(): void {
    const capacity = this.#keys.length * 2
    const keys = new Float64Array(capacity)
    const quantities = new Float64Array(capacity)
    keys.set(this.#keys)
    quantities.set(this.#quantities)
    this.#keys = keys
    this.#quantities = quantities
  }
}

/** Written so that NaN and a missing number fail. */
const isLevel = (price: number, quantity: number): boolean =>
  price > 0 && price < Number.POSITIVE_INFINITY && quantity >= 0 && quantity < Number.POSITIVE_INFINITY

const noReach: Reach = { levels: 0, worstPrice: Number.NaN }

/**
 * What a view reads. Only numbers of an update are kept, in place: to hang its own version and time on a book, which is far
 * older than they are, would cost the collector's write barrier twice an update.
 */
class Content {
  readonly bids = new Side(1)
  readonly asks = new Side(-1)
  /** NaN while there is no version, or one that no number holds. */
  #version = Number.NaN
  #longVersion: bigint | null = null
  /** NaN when the exchange sends none. */
  #exchangeTime = Number.NaN
  receivedAt = Number.NaN
  bidReach = noReach
  askReach = noReach

  get version(): Sequence | null {
    return Number.isNaN(this.#version) ? this.#longVersion : this.#version
  }

  get exchangeTime(): number | null {
    return Number.isNaN(this.#exchangeTime) ? null : this.#exchangeTime
  }

  stamp({ exchangeTime, receivedAt, version }: BookUpdate): void {
    if (typeof version === "number") {
      this.#version = version
    } else {
      this.#version = Number.NaN
      this.#longVersion = version
    }
    this.#exchangeTime = exchangeTime ?? Number.NaN
    this.receivedAt = receivedAt
  }
}

/** What a view reads once its book has gone stale. Nobody writes it. */
const nothing = new Content()

class View implements BookView {
  readonly pair: TradingPair
  readonly symbol: string
  #content: Content

  constructor(pair: TradingPair, symbol: string, content: Content) {
    this.pair = pair
    this.symbol = symbol
    this.#content = content
  }

  static end(view: View): void {
    view.#content = nothing
  }

  get isCurrent(): boolean {
    return this.#content !== nothing
  }

  get version(): Sequence | null {
    return this.#content.version
  }

  get exchangeTime(): number | null {
    return this.#content.exchangeTime
  }

  get receivedAt(): number {
    return this.#content.receivedAt
  }

  get bidCount(): number {
    return this.#content.bids.count
  }

  get askCount(): number {
    return this.#content.asks.count
  }

  bidPrice(index = 0): number {
    return this.#content.bids.price(index)
  }

  bidQuantity(index = 0): number {
    return this.#content.bids.quantity(index)
  }

  askPrice(index = 0): number {
    return this.#content.asks.price(index)
  }

  askQuantity(index = 0): number {
    return this.#content.asks.quantity(index)
  }

  get bestBid(): Level | null {
    return this.#content.bids.level(0)
  }

  get bestAsk(): Level | null {
    return this.#content.asks.level(0)
  }

  bid(index: number): Level | null {
    return this.#content.bids.level(index)
  }

  ask(index: number): Level | null {
    return this.#content.asks.level(index)
  }

  bids(limit = Number.POSITIVE_INFINITY): Array<Level> {
    return this.#content.bids.levels(limit)
  }

  asks(limit = Number.POSITIVE_INFINITY): Array<Level> {
    return this.#content.asks.levels(limit)
  }

  top(limit: number): Top {
    return { bids: this.#content.bids.flat(limit), asks: this.#content.asks.flat(limit) }
  }

  get bidReach(): Reach {
    return this.#content.bidReach
  }

  get askReach(): Reach {
    return this.#content.askReach
  }

  get mid(): number {
    return (this.bidPrice() + this.askPrice()) / 2
  }

  get spread(): number {
    return this.askPrice() - this.bidPrice()
  }

  get microprice(): number {
    const bidQuantity = this.bidQuantity()
    const askQuantity = this.askQuantity()
    return (this.bidPrice() * askQuantity + this.askPrice() * bidQuantity) / (bidQuantity + askQuantity)
  }

  imbalance(levels = 1): number {
    const bids = this.bidDepth(levels)
    const asks = this.askDepth(levels)
    return (bids - asks) / (bids + asks)
  }

  bidDepth(levels: number): number {
    return this.#content.bids.depth(levels)
  }

  askDepth(levels: number): number {
    return this.#content.asks.depth(levels)
  }

  bidDepthWithin(band: number): number {
    return this.bidVolume(this.mid * (1 - band))
  }

  askDepthWithin(band: number): number {
    return this.askVolume(this.mid * (1 + band))
  }

  bidVolume(price: number): number {
    return this.#content.bids.volume(price)
  }

  askVolume(price: number): number {
    return this.#content.asks.volume(price)
  }

  takeBids(quantity: number, into = makeTaken()): Taken {
    return this.#content.bids.take(quantity, into)
  }

  takeAsks(quantity: number, into = makeTaken()): Taken {
    return this.#content.asks.take(quantity, into)
  }
}

/**
 * A book that follows updates which are already aligned (the `Book` channel's promise). It checks no versions; it does
 * refuse deltas before a snapshot, malformed levels and a crossed result.
 */
export class OrderBook {
  readonly pair: TradingPair
  readonly #content = new Content()
  /** Those of the content, at hand: it is only needed behind them. */
  readonly #bids = this.#content.bids
  readonly #asks = this.#content.asks
  #view: View | null = null
  #fault: BookFault | null = null

  constructor(pair: TradingPair) {
    this.pair = pair
  }

  /** The view of the present time in sync; null while the book waits for a snapshot. */
  get view(): BookView | null {
    return this.#view
  }

  /** Why the last update that was refused as `Faulty` was refused. */
  get fault(): BookFault | null {
    return this.#fault
  }

  /** Version of the last update that was applied; null when there was none since the book was made. */
  get version(): Sequence | null {
    return this.#content.version
  }

  /** The exchange's time of that update, ms; null when it sends none. */
  get exchangeTime(): number | null {
    return this.#content.exchangeTime
  }

  /** When the bytes of that update were read, ms with fractions; NaN when there was none. */
  get receivedAt(): number {
    return this.#content.receivedAt
  }

  /**
   * A snapshot replaces everything; its levels may come in any order, and entries with quantity 0 are no levels. A
   * delta sets absolute quantities: 0 removes, and 0 for a level that is not there is no error. Of several entries for
   * one price the last one counts.
   */
  apply(update: BookUpdate): Outcome {
    const bids = this.#bids
    const asks = this.#asks
    if (update.kind === "snapshot") {
      const bid = bids.replace(update.bids)
      const ask = asks.replace(update.asks)
      if (bid >= 0 || ask >= 0) return this.#invalid(update, bid, ask)
      this.#content.bidReach = bids.reach
      this.#content.askReach = asks.reach
    } else {
      if (this.#view === null) return "Ignored"
      const bid = bids.change(update.bids)
      const ask = asks.change(update.asks)
      if (bid >= 0 || ask >= 0) return this.#invalid(update, bid, ask)
    }
    return this.#settle(update)
  }

  /** Ends the view: the book is no longer known to be right. The next snapshot begins a new time in sync. */
  end(): void {
    if (this.#view === null) return
    View.end(this.#view)
    this.#view = null
  }

  #settle(update: BookUpdate): Outcome {
    const content = this.#content
    const bid = this.#bids.price(0)
    const ask = this.#asks.price(0)
    // False when a side is empty: NaN.
    if (bid >= ask) return this.#faulty({ _tag: "Crossed", version: update.version, bid, ask })
    content.stamp(update)
    this.#view ??= new View(this.pair, update.symbol, content)
    return "Applied"
  }

  #invalid(update: BookUpdate, bid: number, ask: number): Outcome {
    const side = bid >= 0 ? "bid" : "ask"
    const levels = bid >= 0 ? update.bids : update.asks
    const at = bid >= 0 ? bid : ask
    const { version } = update
    return this.#faulty({ _tag: "InvalidLevel", version, side, price: levels[at], quantity: levels[at + 1] })
  }

  #faulty(fault: BookFault): Outcome {
    this.#fault = fault
    this.end()
    return "Faulty"
  }
}
