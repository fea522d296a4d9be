/** How often something happens per second, over the last two seconds or so. */

interface Sample {
  readonly at: number
  readonly count: number
}

const windowMillis = 2_000

/** One event in a moment is no rate. */
const leastMillis = 200

export class Rate {
  #samples: Array<Sample>

  /** Begins with nothing at a time (ms). */
  constructor(at: number) {
    this.#samples = [{ at, count: 0 }]
  }

  /** Takes note of the count at a time (ms); gives the rate per second, null when too little time has passed. */
  sample(at: number, count: number): number | null {
    const samples = this.#samples
    samples.push({ at, count })
    // One sample from before the window stays, so that a slow caller has something to compare with too.
    while (samples.length > 2 && samples[1]!.at <= at - windowMillis) samples.shift()
    const first = samples[0]!
    return at - first.at >= leastMillis ? ((count - first.count) * 1000) / (at - first.at) : null
  }
}
