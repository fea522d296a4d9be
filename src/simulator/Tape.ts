/**
 * What was traded, by time: enough to draw a candle of any length, and the last 24 hours, at any moment. Prices are in
 * price units, quantities in quantity units.
 */
import { Candle } from "./Candle.ts"
import type { Past } from "./Past.ts"

/** A stretch of time with trades. */
interface Bucket {
  /** The price before its first trade. */
  readonly before: number
  readonly candle: Candle
}

interface Level {
  readonly millis: number
  /** How many buckets are kept. */
  readonly kept: number
  /** By the time at which they begin, oldest first. */
  readonly buckets: Map<number, Bucket>
}

const level = (millis: number, kept: number): Level => ({ millis, kept, buckets: new Map() })

const hour = 3_600_000
const finest = 10_000

export class Tape {
  /** Price of the last trade. */
  last: number
  readonly #past: Past
  /** Time of the last trade. */
  #time: number
  /** Longest first. Half an hour of the finest, a day of minutes, a month of hours. */
  readonly #levels: ReadonlyArray<Level> = [level(hour, 800), level(60_000, 1_500), level(finest, 180)]

  constructor(past: Past) {
    this.#past = past
    this.last = past.price
    this.#time = past.end
  }

  add(time: number, price: number, quantity: number, bought: boolean): void {
    for (const { buckets, kept, millis } of this.#levels) {
      const from = Math.floor(time / millis) * millis
      const bucket = buckets.get(from)
      if (bucket !== undefined) {
        bucket.candle.trade(price, quantity, bought)
        continue
      }
      const candle = new Candle(price)
      candle.trade(price, quantity, bought)
      buckets.set(from, { before: this.last, candle })
      if (buckets.size > kept) buckets.delete(buckets.keys().next().value!)
    }
    this.last = price
    this.#time = Math.max(this.#time, time)
  }

  /** What was traded from `from` until before `to` (ms, multiples of 10 s), with what lies before the simulation. */
  between(from: number, to: number): Candle {
    let whole = this.#past.since(from, to)
    let at = Math.max(from, Math.floor(this.#past.end / hour) * hour)
    while (at < to && at <= this.#time) {
      const { buckets, millis } = this.#levelAt(at, to)
      const next = buckets.get(at)?.candle
      if (next !== undefined && whole === null) whole = Object.assign(new Candle(next.open), next)
      else if (next !== undefined) whole!.join(next)
      at += millis
    }
    return whole ?? new Candle(this.#priceAt(from))
  }

  /** The longest stretch that begins at `at` and ends by `to`. */
  #levelAt(at: number, to: number): Level {
    return this.#levels.find(({ millis }) => at % millis === 0 && at + millis <= to) ?? this.#levels.at(-1)!
  }

  /** The price of the last trade before a moment, as far as that is remembered. */
  #priceAt(time: number): number {
    const { buckets, millis } = this.#levels.at(-1)!
    for (let at = Math.floor(time / millis) * millis; at <= this.#time; at += millis) {
      const bucket = buckets.get(at)
      if (bucket !== undefined) return bucket.before
    }
    return this.last
  }
}
