/** How much memory the process takes, and whether that grows. */
import { linearRegression } from "simple-statistics"

export interface Sample {
  /** Since the start, ms. */
  readonly at: number
  /** Bytes. */
  readonly rss: number
  /** Bytes, with what lies beside it in array buffers; after a garbage collection where `--expose-gc` was given. */
  readonly heap: number
}

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
    this.add({ at, rss, heap: heapUsed + arrayBuffers })
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

  /** Those behind the warm-up: code is compiled, and buffers and books have reached their size. */
  settled(warmUp: number): ReadonlyArray<Sample> {
    return this.#samples.filter(({ at }) => at >= warmUp)
  }
}

export interface Slope {
  /** Bytes an hour, by least squares. */
  readonly perHour: number
  /** Half of the 95 % confidence interval, bytes an hour: 1.96 standard errors. */
  readonly error: number
  readonly samples: number
}

const hour = 3_600_000

const sumOf = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)

/** Null of fewer than three samples. */
export const slopeOf = (samples: ReadonlyArray<Sample>, field: "rss" | "heap"): Slope | null => {
  if (samples.length < 3) return null
  const points = samples.map((sample) => [sample.at / hour, sample[field]] as const)
  const { b, m } = linearRegression(points.map((point) => [...point]))
  const mean = sumOf(points.map(([x]) => x)) / points.length
  const spread = sumOf(points.map(([x]) => (x - mean) ** 2))
  const rest = sumOf(points.map(([x, y]) => (y - (m * x + b)) ** 2))
  return { perHour: m, error: 1.96 * Math.sqrt(rest / (points.length - 2) / spread), samples: points.length }
}
