/**
 * A market that makes the steps of time when somebody looks. It has its own copy of the true price's path, so that it
 * needs nobody else for that: made early or late, the same steps give the same market.
 */
import type { SimulatedMarket, Walk } from "./MarketModel.ts"
import type { Steps } from "./Steps.ts"

export interface SteppedOptions {
  readonly market: SimulatedMarket
  readonly truePrice: Walk
  readonly steps: Steps
  readonly seconds: number
  /** When a step was, ms since the epoch. */
  readonly timeOf: (elapsed: number) => number
}

export class SteppedMarket {
  readonly market: SimulatedMarket
  readonly #options: SteppedOptions
  #done = 0
  #stepping = false

  constructor(options: SteppedOptions) {
    this.market = options.market
    this.#options = options
  }

  catchUp(): void {
    // What a step tells may look at the market again.
    if (this.#stepping) return
    this.#stepping = true
    try {
      this.#catchUp()
    } finally {
      this.#stepping = false
    }
  }

  #catchUp(): void {
    const { market, seconds, steps, timeOf, truePrice } = this.#options
    while (this.#done < steps.count) {
      const time = timeOf(steps.elapsedAt(this.#done++))
      truePrice.step(seconds)
      market.step(seconds, time)
    }
  }
}
