/** From the reports of all rounds to figures, verdicts and tables. A results file holds the reports; all else follows. */
import * as Table from "../../src/cli/Table.ts"
import { entries } from "./Contestants.ts"
import type { Contestant, Metric, Report } from "./Protocol.ts"
import { metrics } from "./Protocol.ts"
import type { Estimate, Verdict } from "./Statistics.ts"
import { estimate } from "./Statistics.ts"
import type { SuiteId, Target } from "./Targets.ts"
import { targets } from "./Targets.ts"

/** One report a contestant, in the order of the run. */
export type Round = ReadonlyArray<Report>

/** What was measured in one go, contestant by contestant and round by round. */
export interface Section {
  readonly suite: SuiteId
  readonly id: string
  readonly title: string
  /** Bytes of a payload on average; null where nothing of one kind is sent. */
  readonly payloadBytes: number | null
  readonly rounds: ReadonlyArray<Round>
}

export interface ResultsFile {
  readonly format: 2
  readonly date: string
  /** Arguments of the command. */
  readonly command: string
  readonly isQuick: boolean
  readonly revisions: {
    readonly before: string | null
    readonly after: string | null
    readonly compared: string | null
  }
  readonly machine: Readonly<Record<string, string | number>>
  readonly versions: Readonly<Record<string, string>>
  readonly sections: ReadonlyArray<Section>
}

export const reportsOf = ({ rounds }: Section, contestant: Contestant): ReadonlyArray<Report> =>
  rounds.flatMap((round) => round.filter((report) => report.contestant === contestant))

export const contestantsOf = ({ rounds }: Section): ReadonlyArray<Contestant> => [
  ...new Set(rounds.flatMap((round) => round.map(({ contestant }) => contestant)))
]

export const metricsOf = ({ rounds }: Section): ReadonlyArray<Metric> => {
  const present = new Set(rounds.flatMap((round) => round.flatMap((report) => Object.keys(report.metrics))))
  return (Object.keys(metrics) as ReadonlyArray<Metric>).filter((metric) => present.has(metric))
}

export const samplesOf = (section: Section, contestant: Contestant, metric: Metric): ReadonlyArray<number> =>
  reportsOf(section, contestant).flatMap((report) => report.metrics[metric] ?? [])

/** Of the largest memory ever, not the usual one. */
const isPeak = (metric: Metric): boolean => metric === "peakRssMb"

export const figureOf = (section: Section, contestant: Contestant, metric: Metric): Estimate | null => {
  const samples = samplesOf(section, contestant, metric)
  if (samples.length === 0) return null
  const made = estimate(samples)
  return isPeak(metric) ? { ...made, median: Math.max(...samples), high: Math.max(...samples) } : made
}

/** Handed over of what was sent. */
export const deliveredShare = (section: Section, contestant: Contestant): number => {
  const reports = reportsOf(section, contestant)
  const sum = (pick: (report: Report) => number): number => reports.reduce((total, report) => total + pick(report), 0)
  return sum(({ delivered }) => delivered) / sum(({ sent }) => sent)
}

// ---- targets --------------------------------------------------------------------------------------------------------

export interface Judged {
  readonly target: Target
  readonly section: string
  readonly estimate: Estimate
  /** The same by throughput, where CPU time decides. */
  readonly throughput: Estimate | null
  /** Null where there is no bound. */
  readonly verdict: Verdict | null
}

const combine = ({ kind, metric }: Target, own: number, other: number): number => {
  if (kind === "difference") return own - other
  return metrics[metric].better === "lower" ? other / own : own / other
}

/** Round by round: what disturbs one round disturbs both. */
const pairedSamples = (section: Section, target: Target): ReadonlyArray<number> =>
  section.rounds.flatMap((round) => {
    const find = (contestant: Contestant | null): number | undefined =>
      round.find((report) => report.contestant === contestant)?.metrics[target.metric]
    const own = find(target.contestant)
    const other = find(target.against)
    return own === undefined || other === undefined ? [] : [combine(target, own, other)]
  })

/** Fewer rounds decide nothing: between contestants that take turns, and of one contestant's own figures. */
const fewestRounds = 15
const fewestOwnRounds = 3

const fewestOf = ({ against }: Target): number => against === null ? fewestOwnRounds : fewestRounds

/** A bound on a ratio is from below, on anything else from above. */
export const verdictOf = ({ bound, kind, lowest }: Target, { high, low, median }: Estimate): Verdict | null => {
  if (bound === null) return null
  if (kind !== "ratio") return high <= bound ? "met" : low > bound ? "missed" : "undecided"
  const isMet = lowest === undefined ? low >= bound : median >= bound && low >= lowest
  return isMet ? "met" : high < bound ? "missed" : "undecided"
}

const judge = (section: Section, target: Target): ReadonlyArray<Judged> => {
  const samples = target.against === null
    ? samplesOf(section, target.contestant, target.metric)
    : pairedSamples(section, target)
  if (samples.length === 0) return []
  const made = target.against === null ? figureOf(section, target.contestant, target.metric)! : estimate(samples)
  const byThroughput = target.metric === "cpuMicros"
    ? pairedSamples(section, { ...target, metric: "messagesPerSecond" })
    : []
  return [{
    target,
    section: section.id,
    estimate: made,
    throughput: byThroughput.length === 0 ? null : estimate(byThroughput),
    verdict: samples.length < fewestOf(target) && target.bound !== null ? "undecided" : verdictOf(target, made)
  }]
}

export const judgedOf = (section: Section): ReadonlyArray<Judged> =>
  targets.filter(({ sections, suite }) => suite === section.suite && sections.includes(section.id)).flatMap((target) =>
    judge(section, target)
  )

/** Preconditions that are not met: the sections whose claims against FLOOR are void. */
export const voidOf = (sections: ReadonlyArray<Section>): ReadonlyArray<Judged> =>
  sections.flatMap(judgedOf).filter(({ target, verdict }) => target.isPrecondition === true && verdict === "missed")

// ---- faults ---------------------------------------------------------------------------------------------------------

/** What makes a run worthless, whatever its speed. */
export const faultsOf = (section: Section): ReadonlyArray<string> => {
  const reports = section.rounds.flat()
  const faults = reports.filter(({ contestant }) => entries[contestant].isLossy !== true).flatMap((report) => {
    const odd = Object.entries(report.faults).filter(([, count]) => count !== 0).map(([name, count]) =>
      `${count} ${name}`
    )
    if (report.delivered !== report.sent) odd.unshift(`${report.delivered} of ${report.sent} delivered`)
    return odd.map((fault) => `${section.suite} ${section.id} ${report.contestant}: ${fault}`)
  })
  const distinct = (values: ReadonlyArray<number | null>): number =>
    new Set(values.filter((value) => value !== null)).size
  if (distinct(reports.map(({ hash }) => hash)) > 1) faults.push(`${section.id}: the contestants' events differ`)
  if (distinct(reports.map(({ bookHash }) => bookHash)) > 1) faults.push(`${section.id}: the contestants' books differ`)
  return faults
}

// ---- tables ---------------------------------------------------------------------------------------------------------

const percent = (value: number): string => `${(value * 100).toFixed(1)} %`

export const figureText = (metric: Metric, value: number): string =>
  metric === "messagesPerSecond" ? `${(value / 1_000).toFixed(0)}k` : value.toFixed(metrics[metric].digits)

const times = (value: number): string => value < 1.5 ? percent(value) : `${value.toFixed(2)}×`

/** A judged figure in words: per cent or times for ratios, its unit otherwise. */
export const judgedText = ({ target: { kind, metric } }: Judged, value: number): string => {
  if (kind === "ratio") return times(value)
  const sign = kind === "difference" && value > 0 ? "+" : ""
  return `${sign}${figureText(metric, value)} ${metrics[metric].unit}`
}

export const comparisonText = ({ target: { against, contestant, metric } }: Judged): string =>
  `${contestant}${against === null ? "" : ` / ${against}`}${
    metric === "cpuMicros" ? "" : ` (${metrics[metric].title})`
  }`

export const boundText = (judged: Judged): string => {
  const { bound, kind } = judged.target
  return bound === null ? "" : `${kind === "ratio" ? "≥" : "≤"} ${judgedText(judged, bound)}`
}

export const rowTable = (section: Section): ReadonlyArray<string> => {
  const columns = metricsOf(section)
  return Table.format(
    [
      { title: "", align: "left" },
      ...columns.map((metric) => ({ title: `${metrics[metric].title} ${metrics[metric].unit}`.trim() })),
      { title: "delivered" }
    ],
    contestantsOf(section).map((contestant) => [
      entries[contestant].title,
      ...columns.map((metric) => {
        const figure = figureOf(section, contestant, metric)
        return figure === null ? "" : figureText(metric, figure.median)
      }),
      percent(deliveredShare(section, contestant))
    ])
  )
}

export const judgedTable = (judged: ReadonlyArray<Judged>, hasVerdicts: boolean): ReadonlyArray<string> =>
  Table.format(
    [{ title: "", align: "left" }, { title: "by CPU time" }, { title: "95 % interval" }, { title: "by throughput" }, {
      title: "target",
      align: "left"
    }],
    judged.map((each) => [
      comparisonText(each),
      judgedText(each, each.estimate.median),
      `${judgedText(each, each.estimate.low)} – ${judgedText(each, each.estimate.high)}`,
      each.throughput === null ? "" : times(each.throughput.median),
      hasVerdicts && each.verdict !== null ? `${boundText(each)} ${each.verdict}` : boundText(each)
    ])
  )

// ---- files ----------------------------------------------------------------------------------------------------------

/** Files of one revision as one: rounds of the same section stand behind each other. */
export const merge = (files: ReadonlyArray<ResultsFile>): ResultsFile => {
  const [first] = files
  if (first === undefined) throw new Error("no results to merge")
  const revisions = new Set(files.map(({ revisions }) => revisions.before))
  if (revisions.size > 1) throw new Error(`results of different revisions: ${[...revisions].join(", ")}`)
  const sections = new Map<string, Section>()
  for (const section of files.flatMap(({ sections }) => sections)) {
    const key = `${section.suite} ${section.id}`
    const known = sections.get(key)
    sections.set(key, known === undefined ? section : { ...known, rounds: [...known.rounds, ...section.rounds] })
  }
  const compared = files.map(({ revisions }) => revisions.compared).find((revision) => revision !== null) ?? null
  return {
    ...first,
    command: files.map(({ command }) => command).join("; "),
    revisions: { ...first.revisions, compared },
    sections: [...sections.values()]
  }
}
