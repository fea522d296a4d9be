/** Random numbers that can be looked at before they are drawn: what is drawn is the same, looked at or not. */
import type { Random } from "effect"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

/** Steps of time that are looked ahead at most. */
export const stepsAhead = 32

export class Lookahead implements Draws {
  readonly #draws: Draws
  readonly #size: number
  /** A ring of those that have been looked at; made at the first look. */
  #ring: Float64Array | null = null
  #next = 0
  #held = 0

  /** Can look at the next `most`. */
  constructor(draws: Draws, most: number) {
    this.#draws = draws
    this.#size = 2 ** Math.ceil(Math.log2(most))
  }

  readonly nextDoubleUnsafe = (): number => {
    if (this.#held === 0) return this.#draws.nextDoubleUnsafe()
    const value = this.#ring![this.#next]!
    this.#next = (this.#next + 1) & (this.#size - 1)
    this.#held--
    return value
  }

  /** The one that will be drawn after `index` others. */
  peek(index: number): number {
    const ring = this.#ring ??= new Float64Array(this.#size)
    const mask = this.#size - 1
    while (this.#held <= index) ring[(this.#next + this.#held++) & mask] = this.#draws.nextDoubleUnsafe()
    return ring[(this.#next + index) & mask]!
  }
}
