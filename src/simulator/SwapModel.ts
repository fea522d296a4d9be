/** What moves of a perpetual beside its book: mark and index price, funding, open interest, liquidations. */
import type { Random } from "effect"
import type { KlinePrice } from "../domain/Market.ts"
import { windowOf } from "../ExchangeDialect.ts"
import type { WorldContractStats, WorldLiquidation, WorldSwapState, WorldTrade } from "../ExchangeDialect.ts"
import type { Candle } from "./Candle.ts"
import { Lookahead, stepsAhead } from "./Lookahead.ts"
import type { PairFacts, SwapFacts } from "./PairFacts.ts"
import { Past } from "./Past.ts"
import * as Scaled from "./Scaled.ts"
import { Tape } from "./Tape.ts"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

/** How far the mark price follows the contract's own price within a second. */
const markFollows = 1 / 30
const minute = 60_000

/** Charged where the contract stands at its index, and the most either way. */
const restingRate = 0.0001
const mostRate = 0.003

const liquidationsHeld = 1_024

/** A ratio of longs to shorts that wanders between 0.5 and 2. */
const ratio = (time: number, phase: number, hours: number): number =>
  Number((2 ** Math.sin(2 * Math.PI * (time / (hours * 3_600_000) + phase))).toFixed(6))

export interface SwapOptions {
  readonly facts: PairFacts
  readonly swap: SwapFacts
  readonly random: Draws
  /** In quote. */
  readonly price: number
  /** Quantity units that were traded in a day before the simulation. */
  readonly quantityPerDay: number
  /** When the simulation begins, ms. */
  readonly time: number
  /** Liquidations per second. */
  readonly liquidationRate: number
  /** What was before, at a price in units. */
  readonly past: (price: number) => Past
  /** Lets a taker trade at the touch; null when there is nothing to take. */
  readonly take: (side: "buy" | "sell", share: number, time: number) => WorldTrade | null
}

export class SwapModel {
  /** Liquidations so far; the id of the newest one. */
  liquidationCount = 0
  /** Counts the mark prices. */
  markCount = 0
  readonly #options: SwapOptions
  readonly #random: Lookahead
  /** Of mark and index price, in mark units. */
  readonly #mark: Tape
  readonly #index: Tape
  readonly #liquidations: Array<WorldLiquidation> = []
  /** Bought is what closed short positions. */
  readonly #liquidated: Tape
  readonly #phase: number
  readonly #firstUnits: number
  /** Of the logarithm of the price against the index. */
  #premium = 0
  #fundingRate = restingRate
  /** When the rate was made, ms. */
  #fundingTime: number
  /** The second of the last mark price. */
  #second: number
  /** Quantity units. */
  #openInterest: number

  constructor(options: SwapOptions) {
    const { past, price, quantityPerDay, random, swap, time } = options
    this.#options = options
    this.#random = new Lookahead(random, stepsAhead)
    this.#phase = random.nextDoubleUnsafe()
    this.#openInterest = Math.round(quantityPerDay * (0.3 + 0.4 * random.nextDoubleUnsafe()))
    this.#firstUnits = price * 10 ** swap.markDecimals
    this.#fundingTime = time
    this.#second = Math.floor(time / 1_000)
    this.#mark = new Tape(past(Math.round(this.#firstUnits)))
    this.#index = new Tape(past(Math.round(this.#firstUnits)))
    this.#liquidated = new Tape(new Past(random, 1, time, quantityPerDay / 200))
  }

  /** Lets time pass: `index` and `own` are the logarithms of index and own price against the first one. */
  step(seconds: number, time: number, index: number, own: number): void {
    const second = Math.floor(time / 1_000)
    if (second > this.#second) {
      this.#second = second
      this.#reprice(time, index, own)
    }
    const { liquidationRate, take } = this.#options
    const random = this.#random
    if (random.nextDoubleUnsafe() >= liquidationRate * seconds) return
    const side = random.nextDoubleUnsafe() < 0.5 ? "buy" : "sell"
    const trade = take(side, random.nextDoubleUnsafe(), time)
    if (trade !== null) this.print(trade)
  }

  /** So many of the next steps bring no liquidation. */
  quietSteps(seconds: number): number {
    const mean = this.#options.liquidationRate * seconds
    let steps = 0
    while (steps < stepsAhead && this.#random.peek(steps) >= mean) steps++
    return steps
  }

  /** When the next prices are made, ms. */
  get nextTime(): number {
    return (this.#second + 1) * 1_000
  }

  /** Adds a liquidation to those that have been. */
  print({ price, quantity, side, time }: Omit<WorldTrade, "id">): WorldLiquidation {
    const liquidation: WorldLiquidation = { id: ++this.liquidationCount, price, quantity, side, time }
    this.#liquidations[liquidation.id % liquidationsHeld] = liquidation
    const units = Scaled.fromText(quantity, this.#options.facts.quantityDecimals)!
    this.#liquidated.add(time, 1, units, side === "buy")
    return liquidation
  }

  /** Liquidations after the given number, oldest first, as far as they are held. */
  liquidationsSince(number: number): ReadonlyArray<WorldLiquidation> {
    const { liquidationCount } = this
    const liquidations: Array<WorldLiquidation> = []
    for (let n = Math.max(number, liquidationCount - liquidationsHeld) + 1; n <= liquidationCount; n++) {
      liquidations.push(this.#liquidations[n % liquidationsHeld]!)
    }
    return liquidations
  }

  /** The mark price is another one from now on. In mark units. */
  jump(units: number, time: number): void {
    const index = Math.log(this.#index.last / this.#firstUnits)
    this.#premium = Math.log(units / this.#firstUnits) - index
    this.markCount++
    this.#mark.add(time, units, 0, false)
  }

  tape(price: Exclude<KlinePrice, "last">): Tape {
    return price === "mark" ? this.#mark : this.#index
  }

  state(time: number): WorldSwapState {
    const { facts, swap } = this.#options
    return {
      markPrice: Scaled.toText(this.#mark.last, swap.markDecimals),
      indexPrice: Scaled.toText(this.#index.last, swap.markDecimals),
      fundingRate: this.#fundingRate.toFixed(6),
      nextFundingTime: windowOf(swap.fundingInterval, time).closeTime,
      openInterest: Scaled.toText(this.#openInterest, facts.quantityDecimals)
    }
  }

  /** What is counted from `from` until before `to`; `traded` is what was traded then. */
  stats(from: number, to: number, traded: Candle): WorldContractStats {
    const { facts, swap } = this.#options
    const liquidated = this.#liquidated.between(from, to)
    const text = (units: number): string => Scaled.toText(units, facts.quantityDecimals)
    const contracts = this.#openInterest / 10 ** facts.quantityDecimals
    const base = (contracts * swap.contractUnits) / 10 ** swap.contractDecimals
    const ratioOf = (hours: number): number => ratio(from, this.#phase, hours)
    return {
      time: from,
      markPrice: Scaled.toText(this.#mark.last, swap.markDecimals),
      openInterest: text(this.#openInterest),
      openInterestValue: ((base * this.#mark.last) / 10 ** swap.markDecimals).toFixed(4),
      takerRatio: Number((traded.bought / Math.max(1, traded.quantity - traded.bought)).toFixed(6)),
      accountRatio: ratioOf(31),
      topAccountRatio: ratioOf(47),
      topSizeRatio: ratioOf(19),
      longLiquidations: text(liquidated.quantity - liquidated.bought),
      shortLiquidations: text(liquidated.bought)
    }
  }

  /** Once a second: new prices, and once a minute the rate. */
  #reprice(time: number, index: number, own: number): void {
    const { quantityPerDay } = this.#options
    this.markCount++
    this.#premium += (own - index - this.#premium) * markFollows
    this.#index.add(time, this.#units(index), 0, false)
    this.#mark.add(time, this.#units(index + this.#premium), 0, false)
    const change = Math.round((this.#random.nextDoubleUnsafe() - 0.5) * quantityPerDay * 1e-4)
    this.#openInterest = Math.max(0, this.#openInterest + change)
    if (Math.floor(time / minute) === Math.floor(this.#fundingTime / minute)) return
    this.#fundingTime = time
    this.#fundingRate = Math.max(-mostRate, Math.min(mostRate, restingRate + this.#premium))
  }

  #units(logarithm: number): number {
    return Math.max(1, Math.round(this.#firstUnits * Math.exp(logarithm)))
  }
}
