/**
 * What a market traded before the simulation began: seeded waves around its first price, straight between quarters of an
 * hour, so that a candle or the last 24 hours may begin at any time.
 */
import type { Random } from "effect"
import { Candle } from "./Candle.ts"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

const step = 900_000
const day = 86_400_000

/** Lengths in ms and heights in the logarithm of the price. */
const shapes: ReadonlyArray<readonly [length: number, height: number]> = [
  [0.13 * day, 0.003],
  [0.47 * day, 0.008],
  [2.3 * day, 0.015],
  [9.1 * day, 0.03]
]

interface Wave {
  readonly frequency: number
  readonly height: number
  readonly phase: number
}

export class Past {
  /** Where the simulation begins: in price units, and ms. */
  readonly price: number
  readonly end: number
  /** Quantity units per ms. */
  readonly #flow: number
  readonly #waves: ReadonlyArray<Wave>
  /** The answer of the last question, which is mostly asked again. */
  #asked = Number.NaN
  #answer = new Candle(0)

  constructor(random: Draws, price: number, end: number, quantityPerDay: number) {
    this.price = price
    this.end = end
    this.#flow = quantityPerDay / day
    this.#waves = shapes.map(([length, height]) => ({
      frequency: 2 * Math.PI / length,
      height: height * (0.5 + random.nextDoubleUnsafe()),
      phase: 2 * Math.PI * random.nextDoubleUnsafe()
    }))
  }

  /** What was traded from `from` to the beginning, or to `to`; null when it all lies behind the beginning. */
  since(from: number, to: number): Candle | null {
    if (from >= this.end) return null
    if (to < this.end) return this.#between(from, to)
    if (this.#asked !== from) {
      this.#asked = from
      this.#answer = this.#between(from, this.end)
    }
    return Object.assign(new Candle(0), this.#answer)
  }

  #between(from: number, to: number): Candle {
    const candle = new Candle(this.#priceAt(from))
    for (let at = from; at < to;) {
      const next = Math.min(to, (Math.floor(at / step) + 1) * step)
      const before = candle.close
      const price = this.#priceAt(next)
      const quantity = Math.round(this.#flow * (next - at))
      candle.trade(price, quantity, false)
      candle.turnover += (before - price) / 2 * quantity
      candle.bought += Math.round(quantity / 2)
      at = next
    }
    return candle
  }

  #priceAt(time: number): number {
    if (time >= this.end) return this.price
    const left = Math.floor(time / step) * step
    const right = Math.min(this.end, left + step)
    const before = this.#logarithm(left)
    const share = (time - left) / (right - left)
    return Math.max(1, Math.round(this.price * Math.exp(before + (this.#logarithm(right) - before) * share)))
  }

  /** Of the price against the first one. */
  #logarithm(time: number): number {
    let value = 0
    for (const { frequency, height, phase } of this.#waves) {
      value += height * (Math.sin(frequency * (time - this.end) + phase) - Math.sin(phase))
    }
    return value
  }
}
