/**
 * Finds that the machine's clock was set. Events are stamped by that clock, and their stamps tell how long a stream has
 * been silent: those of before are corrected, so that no silence is hidden or made up by the clock.
 */

/** Less is the clock's own roughness, or what it is slewed by, ms. */
const roughness = 100

/** The machine's clock was set. */
export interface Setting {
  /** How far, ms; negative: back. */
  readonly by: number
  /** Stamps from here to `at` may have been made by the new time already, ms. */
  readonly since: number
  readonly at: number
}

/** The stamp as the clock would make it now, ms; 0, which stands for none, stays. */
export const corrected = ({ at, by, since }: Setting, stamp: number): number =>
  // Stamps have fractions where the clock's milliseconds have none.
  stamp === 0 || (stamp >= since && stamp < at + 1) ? stamp : stamp + by

export class SetClock {
  /** Wall time minus monotonic time, ms. */
  #ahead: number
  #lookedAt: number

  constructor(wall: number, monotonic: number) {
    this.#ahead = wall - monotonic
    this.#lookedAt = monotonic
  }

  /** Whether it was set since the last look; null when not. Both in ms. */
  look(wall: number, monotonic: number): Setting | null {
    const elapsed = monotonic - this.#lookedAt
    const by = wall - monotonic - this.#ahead
    this.#lookedAt = monotonic
    if (Math.abs(by) < roughness) return null
    this.#ahead += by
    return { by, since: wall - elapsed, at: wall }
  }
}
