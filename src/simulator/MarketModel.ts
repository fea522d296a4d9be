/**
 * Seeded synthetic markets: one random walk of the true price for each pair, an offset of each exchange that returns to
 * zero, and a book of each (exchange, pair) that follows its price by single level changes, most of them near the top.
 * Nothing here reads a clock: the same seed and the same steps give the same books, trades and versions.
 */
import type { Random } from "effect"
import type { KlinePrice } from "../domain/Market.ts"
import { windowOf } from "../ExchangeDialect.ts"
import type {
  WorldContractStats,
  WorldInterval,
  WorldKline,
  WorldStatistics,
  WorldSwapState,
  WorldTrade
} from "../ExchangeDialect.ts"
import type { Candle } from "./Candle.ts"
import { keyOf, Ladder } from "./Ladder.ts"
import type { Side } from "./Ladder.ts"
import { Lookahead, stepsAhead } from "./Lookahead.ts"
import type { PairFacts } from "./PairFacts.ts"
import { Past } from "./Past.ts"
import type { Premium } from "./Premium.ts"
import * as Scaled from "./Scaled.ts"
import { SimulatedBook } from "./SimulatedBook.ts"
import { SwapModel } from "./SwapModel.ts"
import { Tape } from "./Tape.ts"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

const drawsOfGauss = 3

/** Variance 1, bounded at ±3: sums of uniforms are near enough to normal and cost no logarithm. */
const gauss = (random: Draws): number =>
  (random.nextDoubleUnsafe() + random.nextDoubleUnsafe() + random.nextDoubleUnsafe() - 1.5) * 2

/** Of the logarithm of the price, for one square root of a second: 0.5 basis points, about 28 % a year. */
const truePriceDeviation = 5e-5
/** Pull back to the first price per second, so that a simulation of days keeps its order of magnitude. */
const truePriceReversion = 1 / 36_000
/** On swaps it is the basis. */
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

/** The logarithm of a pair's price against its first one: the same draws give the same path to all its markets. */
export const makeTruePrice = (random: Draws): Walk => new Walk(random, truePriceDeviation, truePriceReversion)

export interface MarketOptions {
  readonly facts: PairFacts
  /** Moved on by whoever moves the market on, before it. */
  readonly truePrice: Walk
  readonly random: Draws
  /** Random numbers of their own for what lies before the simulation, and for what only swaps have; anew each time. */
  readonly draws: (purpose: "past" | "swap") => Draws
  /** Levels a side that the book keeps to. */
  readonly levels: number
  /** Level changes per second, those of trades not counted. */
  readonly rate: number
  /** Trades per second. */
  readonly tradeRate: number
  /** What was traded in a day before the simulation, in quote. */
  readonly turnover: number
  readonly version: number
  /** When the simulation begins, ms. */
  readonly time: number
  readonly history: number
  /** Default: the price has no planted jumps. */
  readonly premium?: Premium | undefined
}

/** Who has to know at once what happens in a market: accounts with orders there. Prices and quantities in units. */
export interface MarketObserver {
  readonly onTrade: (side: "buy" | "sell", price: number, quantity: number, time: number) => void
  /** The book has moved. */
  readonly onMove: (time: number) => void
}

const sides: readonly [Side, Side] = ["bid", "ask"]

/** Trades held for those who watch them. */
const tradesHeld = 4096

/** Random numbers of a step in which nothing happens: the offset, whether a level changes, whether there is a trade. */
const drawsOfStep = drawsOfGauss + 2

/** One liquidation for so many trades. */
const tradesPerLiquidation = 50

/** Levels that come on each side when the price jumps. */
const levelsOfJump = 5

const day = 86_400_000
const minute = 60_000

/** Mark and index prices are no trades. */
const nothingTraded: Pick<Candle, "quantity" | "turnover"> = { quantity: 0, turnover: 0 }

export class SimulatedMarket {
  readonly facts: PairFacts
  readonly book: SimulatedBook
  /** Trades made so far; the id of the newest one. */
  tradeCount = 0
  /** Of the last step, ms. */
  time: number
  /** Null on spot. */
  readonly swap: SwapModel | null
  observer: MarketObserver | null = null
  #tape: Tape | null = null
  readonly #trades: Array<WorldTrade> = []
  readonly #options: MarketOptions
  readonly #random: Lookahead
  readonly #offset: Walk
  readonly #firstUnits: number
  /** Mean distance of levels near the top, in price units. */
  readonly #spacing: number

  constructor(options: MarketOptions) {
    const { facts } = options
    const random = new Lookahead(options.random, stepsAhead * drawsOfStep)
    this.facts = facts
    this.time = options.time
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
    this.swap = this.#makeSwap()
  }

  /** Lets `seconds` pass: the prices move, then so many levels change and trades happen as the rates say. */
  step(seconds: number, time: number): void {
    this.time = Math.max(this.time, time)
    this.#offset.step(seconds)
    const { premium } = this.#options
    if (premium?.moveTo(time - this.#options.time) === true) this.#jump(time)
    const changes = this.#often(this.#options.rate * seconds)
    for (let i = 0; i < changes; i++) this.#change(time)
    const trades = this.#often(this.#options.tradeRate * seconds)
    for (let i = 0; i < trades; i++) this.#trade(time)
    const { truePrice } = this.#options
    this.swap?.step(seconds, time, truePrice.value, truePrice.value + this.#offset.value)
    this.observer?.onMove(time)
  }

  /** Lets time pass in which nothing happens. */
  pass(time: number): void {
    this.time = Math.max(this.time, time)
  }

  /**
   * In so many of the next steps nothing happens before `quietUntil`, so that they need not be made before somebody has to
   * know the prices. Those who observe the market hear of every step.
   */
  quietSteps(seconds: number): number {
    const changes = this.#options.rate * seconds
    const trades = this.#options.tradeRate * seconds
    if (this.observer !== null || changes >= 1 || trades >= 1) return 0
    const random = this.#random
    const most = this.swap?.quietSteps(seconds) ?? stepsAhead
    let steps = 0
    for (let at = drawsOfGauss; steps < most; at += drawsOfStep, steps++) {
      if (random.peek(at) < changes || random.peek(at + 1) < trades) break
    }
    return steps
  }

  /** When something happens that is not by chance, ms. */
  get quietUntil(): number {
    const { premium, time } = this.#options
    return Math.min(time + (premium?.nextAt ?? Infinity), this.swap?.nextTime ?? Infinity)
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
    this.tape.add(Math.max(time, this.#options.time), price, quantity, side === "buy")
    return trade
  }

  /** What was traded, by time. */
  get tape(): Tape {
    return this.#tape ??= new Tape(this.#past(Math.round(this.#firstUnits)))
  }

  /** From a moment (ms, to the minute) on, by default of the last 24 hours. */
  statistics(since = this.time - day): WorldStatistics {
    const traded = this.tape.between(Math.floor(since / minute) * minute, this.time + minute)
    return { ...this.#prices(traded), last: this.#price(traded.close), ...this.#volumes(traded), time: this.time }
  }

  /** The candle that a moment (ms, now when left out) lies in, as far as it is remembered. */
  kline(interval: WorldInterval, price: KlinePrice = "last", at = this.time): WorldKline {
    const window = windowOf(interval, at)
    const drawn = this.#tapeOf(price).between(window.openTime, window.closeTime)
    const decimals = price === "last" ? this.facts.priceDecimals : this.facts.swap!.markDecimals
    return {
      ...window,
      ...this.#prices(drawn, decimals),
      close: this.#price(drawn.close, decimals),
      ...this.#volumes(price === "last" ? drawn : nothingTraded),
      closed: window.closeTime <= this.time
    }
  }

  /** Throws on spot. */
  swapState(): WorldSwapState {
    return this.#swapModel().state(this.time)
  }

  /** Of the interval that runs. Throws on spot. */
  contractStats(interval: WorldInterval): WorldContractStats {
    const { closeTime, openTime } = windowOf(interval, this.time)
    return this.#swapModel().stats(openTime, closeTime, this.tape.between(openTime, closeTime))
  }

  #swapModel(): SwapModel {
    if (this.swap === null) throw new RangeError(`${this.facts.pair} is no swap`)
    return this.swap
  }

  #tapeOf(price: KlinePrice): Tape {
    return price === "last" ? this.tape : this.#swapModel().tape(price)
  }

  #price(units: number, decimals = this.facts.priceDecimals): string {
    return Scaled.toText(units, decimals)
  }

  #prices(
    { high, low, open }: Candle,
    decimals?: number
  ): { readonly open: string; readonly high: string; readonly low: string } {
    return { open: this.#price(open, decimals), high: this.#price(high, decimals), low: this.#price(low, decimals) }
  }

  #volumes({ quantity, turnover }: Pick<Candle, "quantity" | "turnover">): {
    readonly quantity: string
    readonly baseVolume: string
    readonly quoteVolume: string
  } {
    const { priceDecimals, quantityDecimals, swap } = this.facts
    const { contractDecimals, contractUnits } = swap ?? { contractDecimals: 0, contractUnits: 1 }
    const decimals = quantityDecimals + contractDecimals
    return {
      quantity: Scaled.toText(quantity, quantityDecimals),
      baseVolume: Scaled.toText(quantity * contractUnits, decimals),
      quoteVolume: (turnover * contractUnits / 10 ** (priceDecimals + decimals)).toFixed(4)
    }
  }

  #past(price: number): Past {
    const { draws, time } = this.#options
    return new Past(draws("past"), price, time, this.#quantityPerDay())
  }

  /** Quantity units. */
  #quantityPerDay(): number {
    return (this.#options.turnover / this.#unitWorth()) * 10 ** this.facts.quantityDecimals
  }

  /** One of the base (spot) or one contract (swap), in quote. */
  #unitWorth(): number {
    const { price, swap } = this.facts
    return swap === null ? price : price * swap.contractUnits / 10 ** swap.contractDecimals
  }

  #makeSwap(): SwapModel | null {
    const { facts } = this
    const { draws, time, tradeRate } = this.#options
    if (facts.swap === null) return null
    return new SwapModel({
      facts,
      swap: facts.swap,
      random: draws("swap"),
      price: facts.price,
      quantityPerDay: this.#quantityPerDay(),
      time,
      liquidationRate: tradeRate / tradesPerLiquidation,
      past: (price) => this.#past(price),
      take: (side, share, time) => this.#take(side, share, time)
    })
  }

  /** How often something happens in this step that happens `mean` times on average. */
  #often(mean: number): number {
    const whole = Math.floor(mean)
    return whole + (this.#random.nextDoubleUnsafe() < mean - whole ? 1 : 0)
  }

  /** This exchange's price now, in price units. */
  #target(): number {
    const { premium, truePrice } = this.#options
    return this.#firstUnits * Math.exp(truePrice.value + this.#offset.value + (premium?.value ?? 0))
  }

  /** The price is another one at once: new levels come on both sides of it, and those that it has passed go. */
  #jump(time: number): void {
    const target = this.#target()
    const { asks } = this.book
    // First the side that has been passed, whose place the other side takes.
    const order: ReadonlyArray<Side> = -asks.best <= target ? ["ask", "bid"] : ["bid", "ask"]
    for (const side of order) {
      const first = side === "bid" ? Math.ceil(target) - 1 : -(Math.floor(target) + 1)
      const ladder = side === "bid" ? this.book.bids : this.book.asks
      let key = first
      for (let i = 0; i < levelsOfJump && (side === "ask" || key > 0); i++) {
        this.book.set(key, this.#quantity(), time)
        key -= this.#gap(i)
      }
      while (ladder.best > first && ladder.length > 1) this.book.set(ladder.best, 0, time)
    }
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

  #trade(time: number): void {
    const side = this.#random.nextDoubleUnsafe() < 0.5 ? "buy" : "sell"
    this.#take(side, this.#random.nextDoubleUnsafe(), time)
  }

  /** A taker trades at the touch. The last level of a side is never taken whole. Null when nothing was traded. */
  #take(side: "buy" | "sell", share: number, time: number): WorldTrade | null {
    const ladder = side === "buy" ? this.book.asks : this.book.bids
    if (ladder.length === 0) return null
    const best = ladder.best
    const available = ladder.quantities[ladder.length - 1]!
    const wanted = share > 0.8 ? available : Math.max(1, Math.floor(available * share * share))
    const taken = ladder.length > 1 ? wanted : Math.min(wanted, available - 1)
    if (taken < 1) return null
    this.book.set(best, available - taken, time)
    const trade = this.print(side, Math.abs(best), taken, time)
    this.observer?.onTrade(side, Math.abs(best), taken, time)
    return trade
  }

  /** Quantity units: worth 200 to 20 000 of the quote, small ones more often. */
  #quantity(): number {
    const worth = 200 * 100 ** this.#random.nextDoubleUnsafe()
    return Math.max(1, Math.round((worth / this.#unitWorth()) * 10 ** this.facts.quantityDecimals))
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
