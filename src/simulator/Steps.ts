/** The steps that time has made, so that a market can make them later. Times are simulated ms since the start. */
export class Steps {
  count = 0
  /** Of the last step, ms since the epoch. */
  time = -Infinity
  readonly #millis: number
  readonly #timeOf: (elapsed: number) => number
  /** Steps that followed each other without a pause: number and time of the first one. */
  readonly #runs: Array<{ readonly number: number; readonly elapsed: number }> = []

  /** One every so many ms; `timeOf` says when that was, ms since the epoch. */
  constructor(millis: number, timeOf: (elapsed: number) => number) {
    this.#millis = millis
    this.#timeOf = timeOf
  }

  add(elapsed: number): void {
    const run = this.#runs.at(-1)
    if (run === undefined || run.elapsed + (this.count - run.number) * this.#millis < elapsed - this.#millis / 2) {
      this.#runs.push({ number: this.count, elapsed })
    }
    this.count++
    this.time = this.#timeOf(elapsed)
  }

  /** When the step was, the first one being number 0, ms since the epoch. */
  timeAt(number: number): number {
    const run = this.#runs.findLast((run) => run.number <= number)!
    return this.#timeOf(run.elapsed + (number - run.number) * this.#millis)
  }
}
