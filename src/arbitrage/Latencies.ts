/** The latest durations of one kind, in a fixed room. */

const kept = 1024

export interface Percentiles {
  /** All there have been; the percentiles are of the latest 1024. NaN while there are none. */
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export class Latencies {
  count = 0
  readonly #millis = new Float64Array(kept)

  add(millis: number): void {
    this.#millis[this.count++ % kept] = millis
  }

  /** Those after the first `count`, oldest first, as far as they are kept. */
  since(count: number): ReadonlyArray<number> {
    const found: Array<number> = []
    for (let i = Math.max(count, this.count - kept); i < this.count; i++) found.push(this.#millis[i % kept]!)
    return found
  }

  percentiles(): Percentiles {
    const sorted = this.#millis.slice(0, Math.min(this.count, kept)).sort()
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    return { count: this.count, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
  }
}
