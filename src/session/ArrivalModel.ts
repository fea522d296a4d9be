/**
 * Learns from the arrivals of one topic, or of all topics of a connection together, how long there may be silence. Pure; a few
 * numbers for each, and a few sums and comparisons for each arrival.
 *
 * It keeps the longest gap that was seen, and forgets it slowly: by one part in 1024 with each arrival or over ten minutes,
 * whichever takes longer. Silence is what lasts `factor` times that. A quantile from mean and deviation of the gaps'
 * logarithms was tried: exchanges send in bursts with pauses between them, so that its bounds came out several times longer
 * on liquid streams, for no fewer false alarms on the others (`npm run prove -- silence` shows both).
 *
 * The longest of a few gaps tells little: until enough was seen, `factor` is as large as it takes for the next gap to be longer by
 * chance one time in a million. Of arrivals that do not remember, that is `k` behind `n` gaps where `n + k` over `k` is a million: 17
 * behind eight, 8 behind twenty. What comes in a burst counts once for that. (To go by the mean gap of the few was tried: what
 * comes on a timer was found later, and what comes in flurries raised more false alarms.)
 */

/** What an unlearned or learned bound keeps to; ms, but for the factor. */
export interface ArrivalBounds {
  /** Nothing shorter is silence. */
  readonly floor: number
  /** Whatever is longer is silence. */
  readonly ceiling: number
  /** The bound before anything came. From the first arrival until enough was seen, it is `factor` times that at most. */
  readonly initial: number
  readonly factor: number
}

export const defaultFactor = 3

/** So many gaps, over so many ms, before the longest one tells enough. */
export const learningGaps = 64
export const learningMillis = 15_000

/** What comes within so long is a burst, ms. */
const burstMillis = 200

/** So many gaps of which one may by chance be longer than what is allowed before enough was seen. */
const oneIn = 1e6

const timesOf = (count: number): number => {
  if (count === 1) return oneIn
  let times = 0
  for (let chances = 1; chances < oneIn; chances *= (count + times) / times) times++
  return times
}

/** By the count: of two it takes a thousand steps, and each topic is looked at a few times a second. */
const doubts: Array<number> = []

/** How many times the longest of `count` gaps the next one exceeds one time in so many. */
const doubtOf = (count: number): number => doubts[count] ??= timesOf(count)

const forgetGaps = 1024
const forgetMillis = 10 * 60_000

export class ArrivalModel {
  readonly #bounds: ArrivalBounds
  readonly #burstMillis: number
  /** When the last one came, ms; 0 when the next gap tells nothing. */
  #last = 0
  #longest = 0
  #isHeard = false
  #gaps = 0
  #learned = 0
  #bursts = 0
  /** How long the present burst has taken, ms. */
  #burst = 0

  /** `burst`: what comes within so long counts once towards how often something comes, ms. */
  constructor(bounds: ArrivalBounds, burst: number = burstMillis) {
    this.#bounds = bounds
    this.#burstMillis = burst
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
    this.#burst += gap
    if (this.#burst >= this.#burstMillis) {
      this.#burst = 0
      this.#bursts++
    }
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
    const learned = factor * this.#longest
    if (this.isLearned) return Math.min(ceiling, Math.max(floor, learned))
    const most = factor * initial
    const doubtful = this.#bursts === 0 ? most : Math.min(most, doubtOf(this.#bursts) * this.#longest)
    return Math.min(ceiling, Math.max(floor, learned, doubtful))
  }
}
