/** What a check of `exchange doctor` has found. */

export type Status = "PASS" | "FAIL" | "SKIP"

export interface Finding {
  /** What was checked, such as `fields Ticker`. */
  readonly check: string
  readonly status: Status
  /** Values, counts and times that show it. */
  readonly evidence: string
  /** A frame that shows it. */
  readonly frame?: Uint8Array | undefined
}

export const pass = (check: string, evidence: string, frame?: Uint8Array): Finding => ({
  check,
  status: "PASS",
  evidence,
  frame
})

export const fail = (check: string, evidence: string, frame?: Uint8Array): Finding => ({
  check,
  status: "FAIL",
  evidence,
  frame
})

/** Nothing came that could be checked; the evidence says why. */
export const skip = (check: string, evidence: string): Finding => ({ check, status: "SKIP", evidence })

export const judge = (holds: boolean, check: string, evidence: string, frame?: Uint8Array): Finding =>
  holds ? pass(check, evidence, frame) : fail(check, evidence, frame)

/** Whole milliseconds. */
export const millis = (value: number): string => `${Math.round(value)} ms`

/** Of an odd number of values the middle one; NaN of none. */
export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
