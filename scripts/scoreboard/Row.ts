/** What a scoreboard is made of: one line for each thing that was done to everybody. */

/** How much is measured. */
export interface Settings {
  readonly seed: number
  /** In seconds in place of minutes: outcomes are the same, times are shorter and coarser. */
  readonly quick: boolean
}

/** `told`: a figure that is neither right nor wrong. */
export type Verdict = "good" | "bad" | "told"

export interface Cell {
  readonly verdict: Verdict
  readonly text: string
}

export const good = (text: string): Cell => ({ verdict: "good", text })
export const bad = (text: string): Cell => ({ verdict: "bad", text })
export const told = (text: string): Cell => ({ verdict: "told", text })

export const judged = (isGood: boolean, text: string): Cell => isGood ? good(text) : bad(text)

export interface Row {
  readonly id: string
  readonly title: string
  /** What was done, with its figures. */
  readonly done: string
  /** Null: does not concern it, or it was not asked. */
  readonly ccxt: Cell | null
  readonly gateioApi: Cell | null
  readonly ours: Cell
  /** What `ours` was to reach. */
  readonly target: string
  /**
   * `outcome`: the same on every machine, so tests hold it. `time`: depends on the machine and is only printed.
   */
  readonly kind: "outcome" | "time"
}

/** Rounded as one would say it. */
export const seconds = (millis: number): string =>
  millis < 1_000 ? `${Math.round(millis)} ms` : `${(millis / 1_000).toFixed(1)} s`

export const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 0 })

/** Median of the values; NaN of none. */
export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
