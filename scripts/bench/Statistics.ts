/** Medians, how far they can be trusted, and whether two lots of samples differ. */
import { median, permutationTest, quantile, sampleWithReplacement } from "simple-statistics"
import { random } from "./Random.ts"

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
  const draw = random(values.length)
  const medians = Array.from({ length: draws }, () => median(sampleWithReplacement(values, values.length, draw)))
  return { median: median(values), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

/** Probability that two lots of samples of one kind differ as much as these do in their means; two-sided. */
export const pValue = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  permutationTest([...a], [...b], "two_side", 10_000, random(a.length * 1_000 + b.length))

export type Verdict = "met" | "missed" | "undecided"
export type Change = "better" | "worse" | "noise"

/** Below this a difference is taken for chance. */
const significance = 0.01

/** Of the samples' medians, as a share: smaller differences are of no interest. */
const relevance = 0.02

export interface Compared {
  readonly change: Change
  /** New over old, by the medians. */
  readonly ratio: number
  readonly p: number
}

/** `better` says which way a figure should go. */
export const compare = (
  before: ReadonlyArray<number>,
  after: ReadonlyArray<number>,
  better: "lower" | "higher"
): Compared => {
  const ratio = median([...after]) / median([...before])
  const p = pValue(before, after)
  if (p >= significance || Math.abs(ratio - 1) < relevance) return { change: "noise", ratio, p }
  return { change: (ratio < 1) === (better === "lower") ? "better" : "worse", ratio, p }
}
