/**
 * A market that makes the steps of time when something happens in them, or later, when somebody looks. It has its own copy
 * of the true price's path, so that it needs nobody else for that: made early or late, the same steps give the same market.
 */
import type { SimulatedMarket, Walk } from "./MarketModel.ts"
import type { Steps } from "./Steps.ts"

export interface SteppedOptions {
  readonly market: SimulatedMarket
  readonly truePrice: Walk
  readonly steps: Steps
  readonly seconds: number
}

export class SteppedMarket {
  readonly market: SimulatedMarket
  readonly #truePrice: Walk
  readonly #steps: Steps
  readonly #seconds: number
  #done = 0
  /** The first step in which something may happen by chance. */
  #nextChance = 0
  /** When something may happen because its time has come, ms since the epoch. */
  #nextTime = -Infinity
  #stepping = false

  constructor({ market, seconds, steps, truePrice }: SteppedOptions) {
    this.market = market
    this.#truePrice = truePrice
    this.#steps = steps
    this.#seconds = seconds
  }

  /** Something may have happened in the steps that are still to be made. */
  get isDue(): boolean {
    return this.#steps.count > this.#nextChance || this.#steps.time >= this.#nextTime
  }

  catchUp(): void {
    // What a step tells may look at the market again.
    if (this.#stepping) return
    if (!this.isDue) return this.market.pass(this.#steps.time)
    this.#stepping = true
    try {
      this.#catchUp()
    } finally {
      this.#stepping = false
    }
  }

  #catchUp(): void {
    const steps = this.#steps
    const seconds = this.#seconds
    while (this.#done < steps.count) {
      const time = steps.timeAt(this.#done++)
      this.#truePrice.step(seconds)
      this.market.step(seconds, time)
    }
    this.#nextChance = this.#done + this.market.quietSteps(seconds)
    this.#nextTime = this.market.quietUntil
  }
}
