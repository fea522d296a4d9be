/** Two result files beside each other. */
import * as Table from "../../src/cli/Table.ts"
import type { Contestant, Metric } from "./Protocol.ts"
import { metrics } from "./Protocol.ts"
import type { ResultsFile, Section } from "./Results.ts"
import * as Results from "./Results.ts"
import type { Change } from "./Statistics.ts"
import * as Statistics from "./Statistics.ts"

export interface Line {
  readonly section: string
  readonly what: string
  readonly before: number
  readonly after: number
  readonly change: Change
  readonly p: number
}

/** Runs of different hours differ by the machine's mood; a ratio to FLOOR of the same round does not. */
const toFloor = (section: Section, contestant: Contestant, metric: Metric): ReadonlyArray<number> =>
  section.rounds.flatMap((round) => {
    const find = (name: Contestant): number | undefined =>
      round.find((report) => report.contestant === name)?.metrics[metric]
    const [own, floor] = [find(contestant), find("floor")]
    return own === undefined || floor === undefined ? [] : [own / floor]
  })

const lineOf = (
  id: string,
  what: string,
  before: ReadonlyArray<number>,
  after: ReadonlyArray<number>,
  better: "lower" | "higher"
): ReadonlyArray<Line> => {
  if (before.length === 0 || after.length === 0) return []
  const { change, p } = Statistics.compare(before, after, better)
  const [old, now] = [Statistics.estimate(before).median, Statistics.estimate(after).median]
  return [{ section: id, what, before: old, after: now, change, p }]
}

const linesOf = (before: Section, after: Section): ReadonlyArray<Line> => {
  const id = `${after.suite} ${after.id}`
  const shared = Results.contestantsOf(after).filter((each) => Results.contestantsOf(before).includes(each))
  return shared.flatMap((contestant) =>
    Results.metricsOf(after).flatMap((metric) => {
      const [old, now] = [before, after].map((section) => Results.samplesOf(section, contestant, metric))
      const { better, title } = metrics[metric]
      const absolute = lineOf(id, `${contestant} ${title}`, old!, now!, better)
      if (metric !== "cpuMicros" || contestant === "floor") return absolute
      const [oldShare, nowShare] = [before, after].map((section) => toFloor(section, contestant, metric))
      return [...absolute, ...lineOf(id, `${contestant} / floor, CPU`, oldShare!, nowShare!, "lower")]
    })
  )
}

export const compare = (before: ResultsFile, after: ResultsFile): ReadonlyArray<Line> =>
  after.sections.flatMap((section) => {
    const old = before.sections.find(({ id, suite }) => id === section.id && suite === section.suite)
    return old === undefined ? [] : linesOf(old, section)
  })

const number = (value: number): string =>
  Math.abs(value) >= 1_000 ? `${(value / 1_000).toFixed(0)}k` : value.toPrecision(3)

export const table = (lines: ReadonlyArray<Line>): ReadonlyArray<string> =>
  Table.format(
    [
      { title: "", align: "left" },
      { title: "", align: "left" },
      { title: "old" },
      { title: "new" },
      { title: "p" },
      { title: "", align: "left" }
    ],
    lines.map(({ after, before, change, p, section, what }) => [
      section,
      what,
      number(before),
      number(after),
      p.toFixed(4),
      change
    ])
  )

export const summary = (lines: ReadonlyArray<Line>): string => {
  const count = (change: Change): number => lines.filter((line) => line.change === change).length
  return `${count("better")} better, ${count("worse")} worse, ${count("noise")} noise `
    + "(two-sided permutation test of the rounds, p < 0.01 and at least 2 % of the medians; of many figures some "
    + "differ by chance)."
}
