/** What is to happen later, on the simulated clock: run by its ticks, in the order of the due times. */

interface Timer {
  readonly due: number
  readonly run: () => void
  cancelled: boolean
}

export class Timers {
  /** Latest first, so that the next one is taken from the end. */
  readonly #timers: Array<Timer> = []

  /** Returns how to cancel. */
  schedule(due: number, run: () => void): () => void {
    const timer: Timer = { due, run, cancelled: false }
    this.#timers.splice(this.#indexOf(due), 0, timer)
    return () => {
      timer.cancelled = true
      const index = this.#timers.indexOf(timer)
      if (index >= 0) this.#timers.splice(index, 1)
    }
  }

  /** Runs what is due. What these schedule runs at the next call at the earliest. */
  run(now: number): void {
    const due: Array<Timer> = []
    while (this.#timers.length > 0 && this.#timers[this.#timers.length - 1]!.due <= now) due.push(this.#timers.pop()!)
    for (const timer of due) {
      if (!timer.cancelled) timer.run()
    }
  }

  /** In front of those with the same time, so that these keep their order. */
  #indexOf(due: number): number {
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timers[middle]!.due > due) low = middle + 1
      else high = middle
    }
    return low
  }
}
