/** From the reports of all rounds to the tables. */
import * as Table from "../../src/cli/Table.ts"
import type { Comparison, Contestant, Report } from "./Contestants.ts"
import { comparisonsOf, titles } from "./Contestants.ts"
import type { Case } from "./Scenario.ts"
import type { Estimate } from "./Statistics.ts"
import { estimate } from "./Statistics.ts"

/** One report a contestant, in the order of the run. */
export type Round = ReadonlyArray<Report>

export interface Row {
  readonly contestant: Contestant
  readonly messagesPerSecond: Estimate
  /** Microseconds of CPU, user and system, for each message. */
  readonly cpuMicros: Estimate
  readonly peakRssMb: number
}

export interface Ratio extends Comparison {
  /** Throughput over throughput, round by round. */
  readonly throughput: Estimate
  /** The other's CPU time a message over this one's, round by round: above 1 it needs less. */
  readonly cpu: Estimate
  /** Of the median by CPU time: where other programs share the machine, throughput is theirs as well. */
  readonly isMet: boolean | null
}

const rate = ({ messages, seconds }: Report): number => messages / seconds
const cpu = ({ cpuSeconds, messages }: Report): number => (cpuSeconds / messages) * 1e6

const reportsOf = (rounds: ReadonlyArray<Round>, contestant: Contestant): ReadonlyArray<Report> =>
  rounds.flatMap((round) => round.filter((report) => report.contestant === contestant))

export const rowsOf = (rounds: ReadonlyArray<Round>): ReadonlyArray<Row> =>
  (rounds[0] ?? []).map(({ contestant }) => {
    const reports = reportsOf(rounds, contestant)
    return {
      contestant,
      messagesPerSecond: estimate(reports.map(rate)),
      cpuMicros: estimate(reports.map(cpu)),
      peakRssMb: Math.max(...reports.map(({ peakRssMb }) => peakRssMb))
    }
  })

export const ratiosOf = (of: Case, rounds: ReadonlyArray<Round>): ReadonlyArray<Ratio> =>
  comparisonsOf(of).map((comparison) => {
    const pairs = rounds.flatMap((round) => {
      const own = round.find(({ contestant }) => contestant === comparison.contestant)
      const other = round.find(({ contestant }) => contestant === comparison.against)
      return own === undefined || other === undefined ? [] : [{ own, other }]
    })
    const byCpu = estimate(pairs.map(({ other, own }) => cpu(other) / cpu(own)))
    return {
      ...comparison,
      throughput: estimate(pairs.map(({ other, own }) => rate(own) / rate(other))),
      cpu: byCpu,
      isMet: comparison.target === null ? null : byCpu.median >= comparison.target
    }
  })

/** What makes a run worthless, whatever its speed. */
export const faultsOf = (of: Case, reports: ReadonlyArray<Report>): ReadonlyArray<string> => {
  const faults = reports.flatMap((report) => {
    const counts = { fallbacks: report.fallbacks, failures: report.failures, gaps: report.gaps, lost: report.lost }
    const odd = Object.entries(counts).filter(([, count]) => count !== 0).map(([name, count]) => `${count} ${name}`)
    if (report.delivered !== report.sent) odd.unshift(`${report.delivered} of ${report.sent} delivered`)
    return odd.map((fault) => `${of.id} ${report.contestant}: ${fault}`)
  })
  const distinct = (values: ReadonlyArray<number | null>): number =>
    new Set(values.filter((value) => value !== null)).size
  if (distinct(reports.map(({ hash }) => hash)) > 1) faults.push(`${of.id}: the contestants' events differ`)
  if (distinct(reports.map(({ bookHash }) => bookHash)) > 1) faults.push(`${of.id}: the contestants' books differ`)
  return faults
}

const thousands = (value: number): string => `${(value / 1_000).toFixed(0)}k`
const percent = (value: number): string => `${(value * 100).toFixed(1)} %`
const interval = ({ high, low }: Estimate): string => `${percent(low)} – ${percent(high)}`

export const rowTable = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  Table.format(
    [{ title: "", align: "left" }, { title: "msg/s" }, { title: "95 % interval" }, { title: "µs CPU/msg" }, {
      title: "peak RSS MB"
    }],
    rows.map(({ contestant, cpuMicros, messagesPerSecond: { high, low, median }, peakRssMb }) => [
      titles[contestant],
      thousands(median),
      `${thousands(low)} – ${thousands(high)}`,
      cpuMicros.median.toFixed(2),
      peakRssMb.toFixed(0)
    ])
  )

/** Rounds that contradict each other decide nothing. */
const verdict = ({ cpu: { high, low }, target }: Ratio): string => {
  if (target === null) return ""
  const word = low >= target ? "met" : high < target ? "MISSED" : "undecided"
  return `${word} (${percent(target)})`
}

/** Too few rounds, too short to warm up: then there are ratios, and no verdicts. */
export const ratioTable = (ratios: ReadonlyArray<Ratio>, hasVerdicts: boolean): ReadonlyArray<string> =>
  Table.format(
    [{ title: "", align: "left" }, { title: "by CPU time" }, { title: "95 % interval" }, { title: "by throughput" }, {
      title: "95 % interval"
    }, { title: "target", align: "left" }],
    ratios.map((ratio) => [
      `${ratio.contestant} / ${ratio.against}`,
      percent(ratio.cpu.median),
      interval(ratio.cpu),
      percent(ratio.throughput.median),
      interval(ratio.throughput),
      hasVerdicts ? verdict(ratio) : ""
    ])
  )

export interface LatencyRow {
  readonly caseId: string
  readonly contestant: Contestant
  readonly p50: Estimate
  readonly p95: Estimate
  readonly p99: Estimate
  readonly cpuMicros: Estimate
}

export const latencyRowsOf = (of: Case, rounds: ReadonlyArray<Round>): ReadonlyArray<LatencyRow> =>
  (rounds[0] ?? []).map(({ contestant }) => {
    const reports = reportsOf(rounds, contestant)
    const of95 = (name: "p50" | "p95" | "p99"): Estimate =>
      estimate(reports.map(({ latency }) => latency?.[name] ?? Number.NaN))
    return {
      caseId: of.id,
      contestant,
      p50: of95("p50"),
      p95: of95("p95"),
      p99: of95("p99"),
      cpuMicros: estimate(reports.map(cpu))
    }
  })

const spread = ({ high, low, median }: Estimate): string =>
  `${median.toFixed(0)} [${low.toFixed(0)} – ${high.toFixed(0)}]`

export const latencyTable = (rows: ReadonlyArray<LatencyRow>): ReadonlyArray<string> =>
  Table.format(
    [{ title: "", align: "left" }, { title: "", align: "left" }, { title: "p50 µs" }, { title: "p95 µs" }, {
      title: "p99 µs"
    }, { title: "µs CPU/msg" }],
    rows.map((row) => [
      row.caseId,
      titles[row.contestant],
      spread(row.p50),
      spread(row.p95),
      spread(row.p99),
      row.cpuMicros.median.toFixed(1)
    ])
  )
