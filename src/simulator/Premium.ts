/**
 * Edges that are planted: for known times a pair is dearer or cheaper on one exchange than elsewhere. Its book jumps there
 * at once and back at once, so that what can be earned between two exchanges begins and ends when the plan says.
 */
import { Schema } from "effect"
import type { Random } from "effect"
import { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeId } from "../domain/Instrument.ts"

export const PlantedEdge = Schema.Struct({
  exchange: Schema.NonEmptyString,
  /** As the exchange trades it: `BTC/USDT:USDT` on swaps. */
  pair: TradingPair,
  /** By how much it is dearer (below 0: cheaper) than without, as a fraction of the price. */
  premium: Schema.Finite.check(Schema.isBetween({ minimum: -0.5, maximum: 1 })),
  /** Since the start of the simulation, ms. */
  fromMillis: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  durationMillis: Schema.Finite.check(Schema.isGreaterThan(0))
})
export type PlantedEdge = typeof PlantedEdge.Type

/** What one market's planted edges add to the logarithm of its price. */
export class Premium {
  value = 0
  readonly #steps: ReadonlyArray<{ readonly at: number; readonly by: number }>
  #next = 0

  constructor(edges: ReadonlyArray<PlantedEdge>) {
    this.#steps = edges.flatMap(({ durationMillis, fromMillis, premium }) => [
      { at: fromMillis, by: Math.log1p(premium) },
      { at: fromMillis + durationMillis, by: -Math.log1p(premium) }
    ]).sort((a, b) => a.at - b.at)
  }

  /** When it will be another one, ms since the start. */
  get nextAt(): number {
    return this.#steps[this.#next]?.at ?? Infinity
  }

  /** True when it is another one from this moment on. */
  moveTo(elapsed: number): boolean {
    const before = this.#next
    while (this.#next < this.#steps.length && this.#steps[this.#next]!.at <= elapsed) {
      this.value += this.#steps[this.#next++]!.by
    }
    return this.#next > before
  }
}

export interface EdgePlan {
  /** Which market may have one. */
  readonly markets: ReadonlyArray<{ readonly exchange: ExchangeId; readonly pair: TradingPair }>
  /** All begin within so long, ms. */
  readonly withinMillis: number
  /** From the end of one to the beginning of the next on the same market, ms, on average. */
  readonly pauseMillis: number
  /** How long they last, ms: from the first to the second, short ones more often. */
  readonly durationMillis: readonly [number, number]
  /** How large they are, up or down, as a fraction of the price. */
  readonly premium: readonly [number, number]
}

/** A plan by chance: the same draws give the same plan. */
export const plan = (
  random: Pick<Random.Random, "nextDoubleUnsafe">,
  { durationMillis, markets, pauseMillis, premium, withinMillis }: EdgePlan
): ReadonlyArray<PlantedEdge> => {
  const between = ([least, most]: readonly [number, number]): number =>
    least + random.nextDoubleUnsafe() * (most - least)
  const [shortest, longest] = durationMillis
  return markets.flatMap(({ exchange, pair }) => {
    const edges: Array<PlantedEdge> = []
    let at = 0
    while (true) {
      at += -Math.log(1 - random.nextDoubleUnsafe()) * pauseMillis
      if (at >= withinMillis) return edges
      const lasts = shortest * (longest / shortest) ** random.nextDoubleUnsafe()
      const sign = random.nextDoubleUnsafe() < 0.5 ? -1 : 1
      edges.push({ exchange, pair, premium: sign * between(premium), fromMillis: at, durationMillis: lasts })
      at += lasts
    }
  })
}
