/** How much memory the process takes, and whether that grows. */
import { getHeapSpaceStatistics } from "node:v8"
import { linearRegression, linearRegressionLine, sumSimple, variance } from "simple-statistics"

export interface Sample {
  /** Since the start, ms. */
  readonly at: number
  /** Bytes. */
  readonly rss: number
  /** Bytes, without `code` and with what lies beside it in array buffers; after a garbage collection where `--expose-gc` was given. */
  readonly heap: number
  /** Bytes of what V8 has compiled: it grows for hours as ever rarer ways through the program are compiled, and ends with the program's size. */
  readonly code: number
}

export type Field = "heap" | "code" | "rss"

/** As tables name them. */
export const fieldNames: Readonly<Record<Field, string>> = { heap: "heap", code: "compiled code", rss: "RSS" }

const codeSpaces = new Set(["code_space", "code_large_object_space", "trusted_space", "trusted_large_object_space"])

const codeBytes = (): number =>
  sumSimple(getHeapSpaceStatistics().map((space) => codeSpaces.has(space.space_name) ? space.space_used_size : 0))

/** More samples than these are thinned: every other one goes. */
const mostSamples = 2_000

/** The samples of a run of any length. */
export class Memory {
  #samples: Array<Sample> = []
  /** Of so many samples one is kept. */
  #every = 1
  #count = 0

  take(at: number): void {
    globalThis.gc?.()
    const { arrayBuffers, heapUsed, rss } = process.memoryUsage()
    const code = codeBytes()
    this.add({ at, rss, heap: heapUsed - code + arrayBuffers, code })
  }

  add(sample: Sample): void {
    if (this.#count++ % this.#every !== 0) return
    this.#samples.push(sample)
    if (this.#samples.length <= mostSamples) return
    this.#samples = this.#samples.filter((_, i) => i % 2 === 0)
    this.#every *= 2
  }

  get samples(): ReadonlyArray<Sample> {
    return this.#samples
  }
}

export interface Trend {
  /** Bytes by which the floor has risen behind the warm-up, by least squares. */
  readonly rise: number
  /** Half of the rise's 95 % confidence interval, bytes. */
  readonly error: number
  /** Of the time behind the warm-up, ms. */
  readonly over: number
}

export interface Judgement {
  /** Null: not judged. */
  readonly isFlat: boolean | null
  /** What was found, or why it was not judged. */
  readonly found: string
}

const minute = 60_000
const hour = 60 * minute
const mebibyte = 2 ** 20

/** By then code is compiled, and buffers, books and most histories have reached their size, ms. */
export const warmUpOf = (took: number): number => Math.min(10 * minute, took / 3)

/**
 * The time behind the warm-up is cut into so many parts, of each of which the least counts: what is under way, and what is held
 * for an exchange that is away, comes and goes, and what leaks stays. Samples that follow each other are alike, so that an interval
 * from each of them would be far too narrow; parts are longer than what happens in them.
 */
const parts = 10

/** Student's distribution with two degrees of freedom less than there are parts, 97.5 %. */
const quantile = 2.306

/** Fewer in a part say nothing of its floor. */
const leastSamples = 3

/** A run is judged by its memory when it has this much behind its warm-up, ms. */
const judgedFrom = 5 * minute

/** The most that the floor may rise behind the warm-up, bytes, however long that is. */
const mostRise = 4 * mebibyte

/** Of the parts of the time from `from` to `to`; null where one of them has too few samples. */
const floorsOf = (
  samples: ReadonlyArray<Sample>,
  field: Field,
  from: number,
  to: number
): ReadonlyArray<number> | null => {
  const values = Array.from({ length: parts }, (): Array<number> => [])
  for (const sample of samples) {
    const part = Math.min(parts - 1, Math.floor(((sample.at - from) / (to - from)) * parts))
    if (part >= 0) values[part]!.push(sample[field])
  }
  return values.every(({ length }) => length >= leastSamples) ? values.map((all) => Math.min(...all)) : null
}

/** Behind the warm-up of a run of `took` ms; null of too few samples. */
export const trendOf = (samples: ReadonlyArray<Sample>, field: Field, took: number): Trend | null => {
  const from = warmUpOf(took)
  const floors = floorsOf(samples, field, from, took)
  if (floors === null) return null
  const points = floors.map((floor, part) => [part, floor])
  const line = linearRegression(points)
  const at = linearRegressionLine(line)
  const rest = sumSimple(floors.map((floor, part) => (floor - at(part)) ** 2))
  const spread = variance(points.map(([part]) => part!)) * parts
  const error = quantile * Math.sqrt(rest / (parts - 2) / spread)
  return { rise: line.m * parts, error: error * parts, over: took - from }
}

const mebibytes = (bytes: number): string => (bytes / mebibyte).toFixed(1)

/** `1.2 ± 0.3`, MiB an hour. */
export const slopeText = (trend: Trend | null): string => {
  if (trend === null) return "too few samples"
  const hours = trend.over / hour
  return `${mebibytes(trend.rise / hours)} ± ${mebibytes(trend.error / hours)}`
}

/** What must hold of the heap of whatever runs for long. */
export const promise = `behind the warm-up the heap is flat: its floor rises by at most ${
  mebibytes(mostRise)
} MiB, by the upper end of the 95 % interval`

const seconds = (millis: number): number => Math.round(millis / 1_000)

/** Whether the heap of a run of `took` ms is flat. */
export const judge = (samples: ReadonlyArray<Sample>, took: number): Judgement => {
  const trend = trendOf(samples, "heap", took)
  const over = took - warmUpOf(took)
  if (over < judgedFrom) {
    return {
      isFlat: null,
      found: `${seconds(over)} s behind the warm-up are too short, ${seconds(judgedFrom)} s are needed`
    }
  }
  if (trend === null) {
    return { isFlat: null, found: `a tenth of the time behind the warm-up has fewer than ${leastSamples} samples` }
  }
  const { error, rise } = trend
  const isFlat = rise + error <= mostRise
  const verdict = isFlat ? "" : rise - error > 0 ? "it grows: " : "it cannot be told: "
  const text = `${mebibytes(rise)} ± ${mebibytes(error)} MiB in ${seconds(over)} s, ${slopeText(trend)} MiB an hour`
  return { isFlat, found: `${verdict}${text}` }
}
