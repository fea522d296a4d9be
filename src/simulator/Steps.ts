/** The steps that time has made, so that a market can make them later. Times are simulated ms since the start. */
export class Steps {
  count = 0
  readonly #millis: number
  /** Steps that followed each other without a pause: number and time of the first one. */
  readonly #runs: Array<{ readonly number: number; readonly elapsed: number }> = []

  constructor(millis: number) {
    this.#millis = millis
  }

  add(elapsed: number): void {
    const run = this.#runs.at(-1)
    if (run === undefined || run.elapsed + (this.count - run.number) * this.#millis < elapsed - this.#millis / 2) {
      this.#runs.push({ number: this.count, elapsed })
    }
    this.count++
  }

  /** When the step was, the first one being number 0. */
  elapsedAt(number: number): number {
    const run = this.#runs.findLast((run) => run.number <= number)!
    return run.elapsed + (number - run.number) * this.#millis
  }
}
