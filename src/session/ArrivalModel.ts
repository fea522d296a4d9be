/**
 * Learns from the arrivals of one topic how long it may be silent. Pure; a few numbers for each topic, and a subtraction,
 * a product and two comparisons for each arrival.
 *
 * It keeps the longest gap that was seen, and forgets it slowly: by one part in 1024 with each arrival or over ten minutes,
 * whichever takes longer. Silence is what lasts `factor` times that. A quantile from mean and deviation of the gaps'
 * logarithms was tried: exchanges send in bursts with pauses between them, so that its bounds came out several times longer
 * on liquid streams, for no fewer false alarms on the others (`npm run prove -- silence` shows both).
 */

/** What an unlearned or learned bound keeps to; ms, but for the factor. */
export interface ArrivalBounds {
  /** Nothing shorter is silence. */
  readonly floor: number
  /** Whatever is longer is silence. */
  readonly ceiling: number
  /** The bound before anything came. From the first arrival until enough was seen, `factor` times that or more. */
  readonly initial: number
  readonly factor: number
}

export const defaultFactor = 3

/** So many gaps, over so many ms, before the bound may be a short one. */
export const learningGaps = 64
export const learningMillis = 15_000

const forgetGaps = 1024
const forgetMillis = 10 * 60_000

export class ArrivalModel {
  readonly #bounds: ArrivalBounds
  /** When the last one came, ms; 0 when the next gap tells nothing. */
  #last = 0
  #longest = 0
  #isHeard = false
  #gaps = 0
  #learned = 0

  constructor(bounds: ArrivalBounds) {
    this.#bounds = bounds
  }

  /** Something came. What is read at once, or within a few ms, counts once. `at`: ms. */
  arrived(at: number): void {
    const last = this.#last
    this.#last = at
    this.#isHeard = true
    // What is longer than anything can be without being silence was made by a clock that was set, or by not reading.
    if (last !== 0 && at > last && at - last <= this.#bounds.ceiling) this.learn(at - last)
  }

  /** A gap of so many ms that was none of a broken stream. */
  learn(gap: number): void {
    this.#gaps++
    this.#learned += gap
    const kept = Math.max(1 - 1 / forgetGaps, 1 - gap / forgetMillis)
    this.#longest = Math.max(gap, this.#longest * kept)
  }

  /** A gap that may have been one of a broken stream: it is learnt from, but never much at once. */
  suspect(gap: number): void {
    this.learn(Math.min(gap, 2 * this.#longest))
  }

  /** What comes next does not go on from what came last: the gap between them tells nothing. */
  pause(): void {
    this.#last = 0
  }

  get isLearned(): boolean {
    return this.#gaps >= learningGaps && this.#learned >= learningMillis
  }

  /** How long it may be silent, ms. */
  get bound(): number {
    const { ceiling, factor, floor, initial } = this.#bounds
    if (!this.#isHeard) return initial
    const longest = this.isLearned ? this.#longest : Math.max(initial, this.#longest)
    return Math.min(ceiling, Math.max(floor, factor * longest))
  }
}
