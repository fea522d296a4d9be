/** From samples to verdicts, comparisons and the page, on made-up results. */
import { assert, it } from "@effect/vitest"
import * as Compare from "../../scripts/bench/Compare.ts"
import type { Contestant, Report } from "../../scripts/bench/Protocol.ts"
import type { ResultsFile, Section } from "../../scripts/bench/Results.ts"
import * as Results from "../../scripts/bench/Results.ts"
import type { Target } from "../../scripts/bench/Targets.ts"

const report = (contestant: Contestant, cpuMicros: number, more: Partial<Report> = {}): Report => ({
  contestant,
  sent: 100,
  delivered: 100,
  metrics: { cpuMicros, messagesPerSecond: 1e6 / cpuMicros, peakRssMb: 100 * cpuMicros },
  faults: { fallbacks: 0, failures: 0, gaps: 0, lost: 0 },
  hash: 7,
  bookHash: null,
  ...more
})

const rounds = 15

/** FLOOR at 1 µs and a little noise; the others as asked, with the same noise. */
const section = (figures: Partial<Record<Contestant, number>>, more: Partial<Section> = {}): Section => ({
  suite: "throughput",
  id: "gate-ticker",
  title: "Gate",
  payloadBytes: 200,
  rounds: Array.from(
    { length: rounds },
    (_, i) =>
      Object.entries(figures).map(([contestant, cpu]) =>
        report(contestant as Contestant, cpu * (1 + 0.01 * Math.sin(i * 2.4)))
      )
  ),
  ...more
})

const file = (sections: ReadonlyArray<Section>, more: Partial<ResultsFile> = {}): ResultsFile => ({
  format: 2,
  date: "2026-11-25T20:00:00.000Z",
  command: "npm run bench",
  isQuick: false,
  revisions: { before: "abc", after: "abc", compared: null },
  machine: { cpu: "none", cores: 2 },
  versions: { node: "24" },
  sections,
  ...more
})

const verdict = (made: Section, what: string): unknown =>
  Results.judgedOf(made).find((judged) => Results.comparisonText(judged) === what)?.verdict

it("a ratio is judged by its interval, and the preconditions void what stands on FLOOR", () => {
  const good = section({ limit: 0.7, floor: 1, handler: 1.02 })
  assert.deepStrictEqual([verdict(good, "floor / limit"), verdict(good, "handler / floor")], ["met", "met"])
  assert.deepStrictEqual(Results.voidOf([good]), [])
  const bad = section({ limit: 0.4, floor: 1, handler: 1.3 })
  assert.deepStrictEqual([verdict(bad, "floor / limit"), verdict(bad, "handler / floor")], ["missed", "missed"])
  assert.deepStrictEqual(Results.voidOf([bad]).map(({ section }) => section), ["gate-ticker"])
  assert.strictEqual(verdict(good, "handler (peak RSS)"), "met")
})

it("an interval on both sides of the bound decides nothing", () => {
  const target = { kind: "ratio", bound: 0.93 } as Target
  assert.strictEqual(Results.verdictOf(target, { low: 0.9, median: 0.94, high: 0.99 }), "undecided")
  assert.strictEqual(Results.verdictOf({ ...target, lowest: 0.9 }, { low: 0.9, median: 0.94, high: 0.99 }), "met")
  assert.strictEqual(
    Results.verdictOf({ ...target, lowest: 0.9 }, { low: 0.89, median: 0.94, high: 0.99 }),
    "undecided"
  )
  assert.strictEqual(Results.verdictOf({ ...target, lowest: 0.9 }, { low: 0.9, median: 0.91, high: 0.92 }), "missed")
  const difference = { kind: "difference", bound: 4 } as Target
  assert.strictEqual(Results.verdictOf(difference, { low: -1, median: 2, high: 4 }), "met")
  assert.strictEqual(Results.verdictOf(difference, { low: 3, median: 5, high: 6 }), "undecided")
  assert.strictEqual(Results.verdictOf(difference, { low: 5, median: 5, high: 6 }), "missed")
  assert.strictEqual(Results.verdictOf({ ...difference, bound: null }, { low: 5, median: 5, high: 6 }), null)
})

it("loss, fallbacks and differing events are faults, but for who is known to skip updates", () => {
  const lossy = [report("floor", 1), report("ccxt", 10, { delivered: 5, hash: null, faults: { failures: 1 } })]
  assert.deepStrictEqual(Results.faultsOf(section({}, { rounds: [lossy] })), [])
  const odd = [
    report("floor", 1),
    report("handler", 1, { delivered: 99, faults: { fallbacks: 3, gaps: 0 }, hash: 8 })
  ]
  assert.deepStrictEqual(Results.faultsOf(section({}, { rounds: [odd] })), [
    "throughput gate-ticker handler: 99 of 100 delivered",
    "throughput gate-ticker handler: 3 fallbacks",
    "gate-ticker: the contestants' events differ"
  ])
})

it("files of one revision become one, and of two revisions none", () => {
  const made = Results.merge([file([section({ floor: 1 })]), file([section({ floor: 2 }), section({}, { id: "x" })])])
  assert.deepStrictEqual(made.sections.map(({ id, rounds }) => [id, rounds.length]), [["gate-ticker", 2 * rounds], [
    "x",
    rounds
  ]])
  const other = file([], { revisions: { before: "def", after: "def", compared: null } })
  assert.throws(() => Results.merge([file([]), other]), /different revisions: abc, def/u)
})

it("two files are compared figure by figure, also as shares of FLOOR", () => {
  // The machine was twice as slow the second time; the handler has gained nevertheless.
  const lines = Compare.compare(
    file([section({ floor: 1, handler: 1.2 })]),
    file([section({ floor: 2, handler: 2.1 })])
  )
  const change = (what: string): unknown => lines.find((line) => line.what === what)?.change
  assert.strictEqual(change("handler CPU per message"), "worse")
  assert.strictEqual(change("handler / floor, CPU"), "better")
  assert.strictEqual(change("floor msg/s"), "worse")
  assert.match(Compare.summary(lines), /^1 better, 6 worse, 0 noise/u)
  assert.lengthOf(Compare.table(lines), lines.length + 1)
  assert.deepStrictEqual(Compare.compare(file([]), file([section({ floor: 1 })])), [])
})

it("tables have a row for everybody", () => {
  const made = section({ floor: 1, handler: 1.1, before: 1.4 })
  assert.lengthOf(Results.rowTable(made), 4)
  const judged = Results.judgedOf(made)
  const text = Results.judgedTable(judged, true).join("\n")
  assert.match(text, /handler \/ floor +90\.9 %.*≥ 93\.0 % missed/u)
  assert.match(text, /handler \/ before +127\.3 %.*≥ 115\.0 % met/u)
  assert.notMatch(Results.judgedTable(judged, false).join("\n"), /missed/u)
})
