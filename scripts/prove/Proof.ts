/** What a proof is: a named promise, code that tries to break it, and the figures that it leaves. */
import type { Effect } from "effect"
import * as Table from "../../src/cli/Table.ts"

export interface Settings {
  /** The same seed gives the same markets, faults and draws. Real sockets and real time are not repeated by it. */
  readonly seed: number
  /** Small, for every change; without it the sizes that `docs/proofs.md` tells. */
  readonly quick: boolean
  /** Multiplies the amount of work. */
  readonly scale: number
  /** One of the case's parts, by itself; null: all of them. */
  readonly part: string | null
}

/** One line of a promise. Broken ones make the command fail. */
export interface Finding {
  readonly promise: string
  /** It is not broken; a late one has not been judged by its time. */
  readonly holds: boolean
  /** What was awaited came, and not within its bound, which a small run does not judge: neither kept nor broken. */
  readonly isLate: boolean
  /** What was found, in figures. */
  readonly found: string
}

export type Figure = number | string | boolean

/** Collects what a case finds. */
export interface Proof extends Settings {
  readonly say: (line: string) => void
  readonly table: (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => void
  /** A figure of the last line. */
  readonly figure: (name: string, value: Figure) => void
  readonly check: (promise: string, holds: boolean, found: string) => void
  /**
   * A bound of the machine's own time. In full size it must be met; a small run, whose machine may be busy, prints it and
   * judges only that what is awaited came.
   */
  readonly timed: (promise: string, came: boolean, inTime: boolean, found: string) => void
  /** What such a run cannot tell: said, and neither kept nor broken. */
  readonly unjudged: (promise: string, why: string) => void
}

export interface Case {
  readonly name: string
  /** One sentence for `--list`. */
  readonly proves: string
  /** It runs test files of the repository, which `npm test` runs too. */
  readonly isTests?: boolean | undefined
  /** Where several run at once it begins before the others: nothing that takes long is left alone at the end. */
  readonly isLong?: boolean | undefined
  /** What can be run by itself, as a long proof is cut up; left out: nothing. */
  readonly parts?: ReadonlyArray<string> | undefined
  /** Fails, or dies, only when something is wrong that no check foresees; that is a broken promise too. */
  readonly run: (proof: Proof) => Effect.Effect<void, unknown>
}

/** Amount of work: small when quick, else the full one, multiplied by the scale. */
export const sizeOf = ({ quick, scale }: Settings, small: number, full: number): number =>
  Math.max(1, Math.round((quick ? small : full) * scale))

/** `p` in [0, 1] of the values; NaN of none. */
export const percentile = (values: ReadonlyArray<number>, p: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN
}

/** With three decimals at most and without needless zeros. */
export const text = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toFixed(3))) : Number.isNaN(value) ? "-" : String(value)

/** Count, median, 95th percentile and maximum, as cells. */
export const spread = (values: ReadonlyArray<number>): ReadonlyArray<string> => [
  String(values.length),
  text(percentile(values, 0.5)),
  text(percentile(values, 0.95)),
  text(percentile(values, 1))
]

export const make = (
  settings: Settings,
  say: (line: string) => void
): { readonly proof: Proof; readonly findings: Array<Finding>; readonly figures: Record<string, Figure> } => {
  const findings: Array<Finding> = []
  const figures: Record<string, Figure> = {}
  const note = (finding: Finding): void => {
    findings.push(finding)
    const label = !finding.holds ? "BROKEN" : finding.isLate ? "late  " : "kept  "
    say(`  ${label} ${finding.promise}: ${finding.found}`)
  }
  const proof: Proof = {
    ...settings,
    say: (line) => say(`  ${line}`),
    table: (titles, rows) => {
      const columns = titles.map((title, index) => ({ title, align: index === 0 ? "left" as const : "right" as const }))
      for (const line of Table.format(columns, rows)) say(`  ${line}`)
    },
    figure: (name, value) => {
      figures[name] = typeof value === "number" ? Number(value.toPrecision(8)) : value
    },
    check: (promise, holds, found) => note({ promise, holds, isLate: false, found }),
    timed: (promise, came, inTime, found) => {
      const holds = came && (inTime || settings.quick)
      note({ promise, holds, isLate: holds && !inTime, found })
    },
    unjudged: (promise, why) => say(`  not judged: ${promise}: ${why}`)
  }
  return { proof, findings, figures }
}
