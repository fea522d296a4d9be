/**
 * Seeded synthetic markets: one random walk of the true price for each pair, an offset of each exchange that returns to
 * zero, and a book of each (exchange, pair) that follows its price by single level changes, most of them near the top.
 * Nothing here reads a clock: the same seed and the same steps give the same books, trades and versions.
 */
import type { Random } from "effect"
import type { WorldTrade } from "../ExchangeDialect.ts"
import { keyOf, Ladder } from "./Ladder.ts"
import type { Side } from "./Ladder.ts"
import type { PairFacts } from "./PairFacts.ts"
import * as Scaled from "./Scaled.ts"
import { SimulatedBook } from "./SimulatedBook.ts"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

/** Variance 1, bounded at ±3: sums of uniforms are near enough to normal and cost no logarithm. */
const gauss = (random: Draws): number =>
  (random.nextDoubleUnsafe() + random.nextDoubleUnsafe() + random.nextDoubleUnsafe() - 1.5) * 2

/** Of the logarithm of the price, for one square root of a second: 0.5 basis points, about 28 % a year. */
const truePriceDeviation = 5e-5
/** Pull back to the first price per second, so that a simulation of days keeps its order of magnitude. */
const truePriceReversion = 1 / 36_000
const offsetDeviation = 4.5e-5
/** Per second: an offset between exchanges halves in about 7 s. */
const offsetReversion = 0.1

/** A value that wanders around 0. */
export class Walk {
  value = 0
  readonly #random: Draws
  readonly #deviation: number
  readonly #reversion: number

  constructor(random: Draws, deviation: number, reversion: number) {
    this.#random = random
    this.#deviation = deviation
    this.#reversion = reversion
  }

  step(seconds: number): void {
    this.value += gauss(this.#random) * this.#deviation * Math.sqrt(seconds) - this.value * this.#reversion * seconds
  }
}

/** The logarithm of a pair's price against its first one, shared by all exchanges. */
export const makeTruePrice = (random: Draws): Walk => new Walk(random, truePriceDeviation, truePriceReversion)

export interface MarketOptions {
  readonly facts: PairFacts
  /** Shared by every exchange that has the pair. */
  readonly truePrice: Walk
  readonly random: Draws
  /** Levels a side that the book keeps to. */
  readonly levels: number
  /** Level changes per second, those of trades not counted. */
  readonly rate: number
  /** Trades per second. */
  readonly tradeRate: number
  readonly version: number
  readonly time: number
  readonly history: number
}

const sides: readonly [Side, Side] = ["bid", "ask"]

/** Trades held for those who watch them. */
const tradesHeld = 4096

export class SimulatedMarket {
  readonly facts: PairFacts
  readonly book: SimulatedBook
  /** Trades made so far; the id of the newest one. */
  tradeCount = 0
  readonly #trades: Array<WorldTrade> = []
  readonly #options: MarketOptions
  readonly #random: Draws
  readonly #offset: Walk
  readonly #firstUnits: number
  /** Mean distance of levels near the top, in price units. */
  readonly #spacing: number

  constructor(options: MarketOptions) {
    const { facts, random } = options
    this.facts = facts
    this.#options = options
    this.#random = random
    this.#offset = new Walk(random, offsetDeviation, offsetReversion)
    this.#firstUnits = facts.price * 10 ** facts.priceDecimals
    this.#spacing = Math.max(1, this.#firstUnits * 2e-5)
    this.book = new SimulatedBook(
      { ...facts, version: options.version, time: options.time, history: options.history },
      this.#firstLadder("bid"),
      this.#firstLadder("ask")
    )
  }

  /** Lets `seconds` pass: the prices move, then so many levels change and trades happen as the rates say. */
  step(seconds: number, time: number): void {
    this.#offset.step(seconds)
    const changes = this.#often(this.#options.rate * seconds)
    for (let i = 0; i < changes; i++) this.#change(time)
    const trades = this.#often(this.#options.tradeRate * seconds)
    for (let i = 0; i < trades; i++) this.#trade(time)
  }

  /** Trades after the given number, oldest first, as far as they are held. */
  tradesSince(number: number): ReadonlyArray<WorldTrade> {
    const trades: Array<WorldTrade> = []
    for (let n = Math.max(number, this.tradeCount - tradesHeld) + 1; n <= this.tradeCount; n++) {
      trades.push(this.#trades[n % tradesHeld]!)
    }
    return trades
  }

  /** Prints a trade without touching the book. `price` and `quantity` in units. */
  print(side: "buy" | "sell", price: number, quantity: number, time: number): WorldTrade {
    const id = ++this.tradeCount
    const trade: WorldTrade = {
      id,
      side,
      price: Scaled.toText(price, this.facts.priceDecimals),
      quantity: Scaled.toText(quantity, this.facts.quantityDecimals),
      time
    }
    this.#trades[id % tradesHeld] = trade
    return trade
  }

  /** How often something happens in this step that happens `mean` times on average. */
  #often(mean: number): number {
    const whole = Math.floor(mean)
    return whole + (this.#random.nextDoubleUnsafe() < mean - whole ? 1 : 0)
  }

  /** This exchange's price now, in price units. */
  #target(): number {
    return this.#firstUnits * Math.exp(this.#options.truePrice.value + this.#offset.value)
  }

  /** One level changes. */
  #change(time: number): void {
    const { bids, asks } = this.book
    const target = this.#target()
    // Levels that the price has passed go first, best one first.
    if (-asks.best <= target && asks.length > 1) return this.book.set(asks.best, 0, time)
    if (bids.best >= target && bids.length > 1) return this.book.set(bids.best, 0, time)
    const side = sides[this.#random.nextDoubleUnsafe() < 0.5 ? 0 : 1]
    if (this.#improve(side, target, time)) return
    this.#shuffle(side, time)
  }

  /** Puts a level inside a wide spread, on the right side of the price. */
  #improve(side: Side, target: number, time: number): boolean {
    const { bids, asks } = this.book
    const ladder = side === "bid" ? bids : asks
    const wide = -asks.best - bids.best > 2 * this.#spacing + 2
    if (ladder.length > 0 && (!wide || this.#random.nextDoubleUnsafe() < 0.5)) return false
    const distance = Math.floor(this.#random.nextDoubleUnsafe() * this.#spacing)
    const key = side === "bid" ? Math.ceil(target) - 1 - distance : -(Math.floor(target) + 1 + distance)
    const free = side === "bid" ? key > 0 && key < -asks.best : -key > bids.best
    if (!free || key <= ladder.best) return false
    this.book.set(key, this.#quantity(), time)
    return true
  }

  /** Changes, adds or removes a level of the side. */
  #shuffle(side: Side, time: number): void {
    const ladder = side === "bid" ? this.book.bids : this.book.asks
    const { levels } = this.#options
    // 0 only when a test has emptied the side and no price next to the target is free.
    if (ladder.length === 0) return
    const resizes = ladder.length !== levels && this.#random.nextDoubleUnsafe() < 0.5
    if (!resizes) return this.#near(ladder, time)
    if (ladder.length < levels) return this.#append(side, ladder, time)
    this.book.set(ladder.keys[0]!, 0, time)
  }

  /** Something near the top: a level goes, comes or changes its quantity. */
  #near(ladder: Ladder, time: number): void {
    const action = this.#random.nextDoubleUnsafe()
    const mean = Math.max(2, this.#options.levels / 10)
    const depth = Math.floor(-Math.log(1 - this.#random.nextDoubleUnsafe()) * mean)
    const index = Math.max(0, ladder.length - 1 - depth)
    if (action < 0.2 && ladder.length > 2) return this.book.set(ladder.keys[index]!, 0, time)
    if (action < 0.4 && this.#insertBehind(ladder, index, time)) return
    this.#resize(ladder, index, time)
  }

  #resize(ladder: Ladder, index: number, time: number): void {
    const quantity = this.#quantity()
    this.book.set(ladder.keys[index]!, quantity === ladder.quantities[index] ? quantity + 1 : quantity, time)
  }

  /** A new level between two neighbours; false when there is no price between them. */
  #insertBehind(ladder: Ladder, index: number, time: number): boolean {
    if (index === 0) return false
    const low = ladder.keys[index - 1]!
    const gap = ladder.keys[index]! - low
    if (gap < 2) return false
    this.book.set(low + 1 + Math.floor(this.#random.nextDoubleUnsafe() * (gap - 1)), this.#quantity(), time)
    return true
  }

  /** A new worst level. At the lowest price there is no room for one: the worst level changes instead. */
  #append(side: Side, ladder: Ladder, time: number): void {
    const key = ladder.keys[0]! - this.#gap(ladder.length)
    if (side === "bid" && key < 1) return this.#resize(ladder, 0, time)
    this.book.set(key, this.#quantity(), time)
  }

  /** A taker trades at the touch. The last level of a side is never taken whole. */
  #trade(time: number): void {
    const side = this.#random.nextDoubleUnsafe() < 0.5 ? "buy" : "sell"
    const ladder = side === "buy" ? this.book.asks : this.book.bids
    const share = this.#random.nextDoubleUnsafe()
    if (ladder.length === 0) return
    const best = ladder.best
    const available = ladder.quantities[ladder.length - 1]!
    const wanted = share > 0.8 ? available : Math.max(1, Math.floor(available * share * share))
    const taken = ladder.length > 1 ? wanted : Math.min(wanted, available - 1)
    if (taken < 1) return
    this.book.set(best, available - taken, time)
    this.print(side, Math.abs(best), taken, time)
  }

  /** Units of base: worth 200 to 20 000 of the quote, small ones more often. */
  #quantity(): number {
    const worth = 200 * 100 ** this.#random.nextDoubleUnsafe()
    return Math.max(1, Math.round((worth / this.facts.price) * 10 ** this.facts.quantityDecimals))
  }

  /** Distance to the next level, wider with depth. */
  #gap(depth: number): number {
    const widening = Math.min(4, 1 + depth / 50)
    return 1 + Math.floor(this.#random.nextDoubleUnsafe() * 2 * this.#spacing * widening)
  }

  #firstLadder(side: Side): Ladder {
    const target = Math.floor(this.#target())
    const first = side === "bid" ? target - 1 : target + 1
    const keys: Array<number> = []
    const quantities: Array<number> = []
    let key = keyOf(side, first)
    while (keys.length < this.#options.levels && (side === "ask" || key > 0)) {
      keys.push(key)
      quantities.push(this.#quantity())
      key -= this.#gap(keys.length)
    }
    return new Ladder(keys.reverse(), quantities.reverse())
  }
}
