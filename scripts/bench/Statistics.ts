/** Medians, and how far they can be trusted. */
import { median, quantile, sampleWithReplacement } from "simple-statistics"
import * as Scenario from "./Scenario.ts"

export interface Estimate {
  readonly median: number
  /** Bounds of the 95 % confidence interval. */
  readonly low: number
  readonly high: number
}

const draws = 2_000

/** Median with a percentile bootstrap over the rounds. The same samples always give the same interval. */
export const estimate = (samples: ReadonlyArray<number>): Estimate => {
  const values = [...samples]
  const draw = Scenario.random(values.length)
  const medians = Array.from({ length: draws }, () => median(sampleWithReplacement(values, values.length, draw)))
  return { median: median(values), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}
