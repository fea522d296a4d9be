/** What is said of proofs at their end: how many promises were kept, broken, or late and not judged by their time. */
import type { Figure, Finding, Settings } from "./Proof.ts"

export interface Outcome {
  readonly name: string
  readonly findings: ReadonlyArray<Finding>
  readonly figures: Readonly<Record<string, Figure>>
  readonly seconds: number
}

/** What is said of a proof as JSON, by this process or by one of its own. `promises` = `kept` + `late` + `broken`. */
export interface Verdict {
  readonly case: string
  /** None is broken. */
  readonly ok: boolean
  readonly seed: string | number
  readonly quick: boolean
  readonly seconds: number
  readonly promises: number
  readonly kept: number
  readonly late: ReadonlyArray<Finding>
  readonly broken: ReadonlyArray<Finding>
  readonly figures: Outcome["figures"]
}

export const verdictOf = ({ figures, findings, name, seconds }: Outcome, { quick, seed }: Settings): Verdict => {
  const broken = findings.filter(({ holds }) => !holds)
  const late = findings.filter(({ holds, isLate }) => holds && isLate)
  return {
    case: name,
    ok: broken.length === 0,
    seed,
    quick,
    seconds: Number(seconds.toFixed(3)),
    promises: findings.length,
    kept: findings.length - broken.length - late.length,
    late,
    broken,
    figures
  }
}

const lateWords = (count: number): string => `${count} late, not judged by time`

/** In a word or two; never "all kept" where one was not judged. */
export const closingWords = ({ broken, late }: Verdict): string => {
  if (broken.length > 0) return "BROKEN"
  return late.length === 0 ? "all kept" : `none broken, ${lateWords(late.length)},`
}

const counted = ({ broken, case: name, kept, late, promises }: Verdict): ReadonlyArray<string> => [
  `${name}: ${kept}/${promises} promises kept`,
  ...late.length === 0 ? [] : [lateWords(late.length)],
  ...broken.length === 0 ? [] : [`${broken.length} BROKEN`]
]

const figuresLine = (verdict: Verdict): string =>
  [...counted(verdict), ...Object.entries(verdict.figures).map(([key, value]) => `${key} ${value}`)].join(", ")

const sum = (verdicts: ReadonlyArray<Verdict>, of: (verdict: Verdict) => number): number =>
  verdicts.reduce((total, verdict) => total + of(verdict), 0)

const namesOf = (verdicts: ReadonlyArray<Verdict>, of: (verdict: Verdict) => number): ReadonlyArray<string> =>
  verdicts.flatMap((verdict) => of(verdict) > 0 ? [verdict.case] : [])

const allLine = (verdicts: ReadonlyArray<Verdict>, seconds: number): string => {
  const broken = namesOf(verdicts, (verdict) => verdict.broken.length)
  const late = namesOf(verdicts, (verdict) => verdict.late.length)
  const kept = `${sum(verdicts, (one) => one.kept)}/${sum(verdicts, ({ promises }) => promises)} promises kept`
  return [
    `all: ${verdicts.length} proofs in ${seconds.toFixed(1)} s`,
    kept,
    ...late.length === 0 ? [] : [`${lateWords(sum(verdicts, (one) => one.late.length))} (${late.join(", ")})`],
    broken.length > 0 ? `BROKEN: ${broken.join(", ")}` : late.length > 0 ? "none broken" : "all kept"
  ].join(", ")
}

/** The last line of stdout. `isAll`: several proofs are told together. */
export const lastLine = (verdicts: ReadonlyArray<Verdict>, seconds: number, json: boolean, isAll: boolean): string => {
  if (!isAll) return json ? JSON.stringify(verdicts[0]) : figuresLine(verdicts[0]!)
  if (!json) return allLine(verdicts, seconds)
  const broken = namesOf(verdicts, (verdict) => verdict.broken.length)
  return JSON.stringify({
    case: "all",
    ok: broken.length === 0,
    seconds: Number(seconds.toFixed(3)),
    promises: sum(verdicts, ({ promises }) => promises),
    kept: sum(verdicts, ({ kept }) => kept),
    late: namesOf(verdicts, (verdict) => verdict.late.length),
    broken,
    cases: verdicts
  })
}
