/** The generated parts of `docs/performance.md` and its pictures, from result files. */
import * as Charts from "./Charts.ts"
import { entries } from "./Contestants.ts"
import type { Contestant, Metric } from "./Protocol.ts"
import { metrics } from "./Protocol.ts"
import type { Judged, ResultsFile, Section } from "./Results.ts"
import * as Results from "./Results.ts"
import type { Estimate, Verdict } from "./Statistics.ts"
import type { SuiteId } from "./Targets.ts"

/** Text of each block by its name, and pictures by their file name. */
export interface Made {
  readonly blocks: Readonly<Record<string, string>>
  readonly pictures: Readonly<Record<string, string>>
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

const table = (head: ReadonlyArray<string>, alignment: string, rows: Rows): string => {
  const rule = [...alignment].map((letter) => letter === "l" ? "---" : "--:")
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
}

const of = ({ sections }: ResultsFile, suite: SuiteId): ReadonlyArray<Section> =>
  sections.filter((section) => section.suite === suite)

const judgedIn = (file: ResultsFile, suites: ReadonlyArray<SuiteId>): ReadonlyArray<Judged> =>
  file.sections.filter(({ suite }) => suites.includes(suite)).flatMap(Results.judgedOf)

const spread = (judged: Judged, { high, low }: Estimate): string =>
  `${Results.judgedText(judged, low)} – ${Results.judgedText(judged, high)}`

const emphasis: Readonly<Record<Verdict, string>> = { met: "met", missed: "**missed**", undecided: "undecided" }

const word = ({ verdict }: Judged): string => verdict === null ? "" : emphasis[verdict]

// ---- where and what -------------------------------------------------------------------------------------------------

const link = (name: string): string => `[\`benchmarks/${name}\`](benchmarks/${name})`

const runBlock = (file: ResultsFile, names: ReadonlyArray<string>): string => {
  const { before, compared } = file.revisions
  const rows = [
    ["date", file.date.replace("T", " ").replace(/\..*$/u, " UTC")],
    ["revision", `\`${before}\``],
    ...(compared === null ? [] : [["compared with", `\`${compared}\` (contestant \`before\`)`]]),
    ...Object.entries(file.machine).map(([key, value]) => [key, String(value)]),
    ...Object.entries(file.versions)
  ]
  const commands = file.command.split("; ").map((command) => `- \`${command}\``)
  return [
    `Samples of every round: ${names.map(link).join(", ")}.`,
    "",
    table(["", ""], "ll", rows),
    "",
    "Commands:",
    "",
    ...commands
  ].join("\n")
}

// ---- throughput -----------------------------------------------------------------------------------------------------

const roundsOf = (section: Section, contestant: Contestant): number => Results.reportsOf(section, contestant).length

const figure = (section: Section, contestant: Contestant, metric: Metric): string => {
  const found = Results.figureOf(section, contestant, metric)
  return found === null ? "" : Results.figureText(metric, found.median)
}

const sectionTable = (section: Section, columns: ReadonlyArray<Metric>): string =>
  table(
    [
      "contestant",
      "rounds",
      ...columns.map((metric) => `${metrics[metric].title} ${metrics[metric].unit}`),
      "delivered"
    ],
    `lr${"r".repeat(columns.length + 1)}`,
    Results.contestantsOf(section).map((contestant) => [
      entries[contestant].title,
      String(roundsOf(section, contestant)),
      ...columns.map((metric) => figure(section, contestant, metric)),
      `${(Results.deliveredShare(section, contestant) * 100).toFixed(1)} %`
    ])
  )

const sectionTables = (sections: ReadonlyArray<Section>, columns: ReadonlyArray<Metric>): string =>
  sections.map((section) => {
    const bytes = section.payloadBytes === null ? "" : `, ${section.payloadBytes.toFixed(0)} B a payload`
    return `**${section.id}**: ${section.title}${bytes}\n\n${sectionTable(section, columns)}`
  }).join("\n\n")

const judgedTable = (judged: ReadonlyArray<Judged>): string =>
  table(
    ["case", "what", "measured", "95 % interval", "by throughput", "target", ""],
    "llrrrrl",
    judged.map((each) => [
      each.section,
      Results.comparisonText(each),
      Results.judgedText(each, each.estimate.median),
      spread(each, each.estimate),
      each.throughput === null ? "" : Results.judgedText(each, each.throughput.median),
      Results.boundText(each),
      word(each)
    ])
  )

// ---- before and after -----------------------------------------------------------------------------------------------

const changeRow = (section: Section, metric: Metric): ReadonlyArray<string> | null => {
  const [own, before] = [Results.figureOf(section, "handler", metric), Results.figureOf(section, "before", metric)]
  if (own === null || before === null) return null
  const change = (own.median / before.median - 1) * 100
  const sign = change > 0 ? "+" : ""
  return [
    section.id,
    `${metrics[metric].title} ${metrics[metric].unit}`,
    Results.figureText(metric, before.median),
    Results.figureText(metric, own.median),
    `${sign}${change.toFixed(1)} %`
  ]
}

const beforeBlock = (file: ResultsFile): string => {
  const rows = file.sections.flatMap((section) =>
    (["messagesPerSecond", "cpuMicros", "peakRssMb", "p50"] as const).flatMap((metric) => {
      const row = changeRow(section, metric)
      return row === null ? [] : [row]
    })
  )
  return rows.length === 0
    ? "This run had no older revision beside it (`--before`)."
    : table(["case", "", "before", "now", "change"], "llrrr", rows)
}

// ---- targets --------------------------------------------------------------------------------------------------------

const line = (judged: Judged): string =>
  `- ${judged.section}: ${Results.comparisonText(judged)} ${Results.judgedText(judged, judged.estimate.median)} [${
    spread(judged, judged.estimate)
  }] of ${Results.boundText(judged)}`

/** Neither better nor worse than a rival, by the interval. */
const isTie = ({ estimate: { high, low }, target: { against, kind } }: Judged): boolean =>
  kind === "ratio" && (against === "gateioApi" || against === "ccxt" || against === "effectSocket") && low <= 1
  && high >= 1

const list = (title: string, lines: ReadonlyArray<string>): string =>
  `${title}\n\n${lines.length === 0 ? "- none" : lines.join("\n")}`

const targetsBlock = (file: ResultsFile): string => {
  const judged = file.sections.flatMap(Results.judgedOf)
  const withVerdict = (verdict: Verdict): ReadonlyArray<string> =>
    judged.filter((each) => each.verdict === verdict).map(line)
  const broken = Results.voidOf(file.sections)
  const state = broken.length === 0
    ? "FLOOR reached the prototype's share of LIMIT in every case: claims against FLOOR stand."
    : `**Void for claims against FLOOR** in ${
      broken.map(({ section }) => section).join(", ")
    }: FLOOR itself stayed below the prototype's share of LIMIT there.`
  return [
    state,
    list("Missed, the whole interval beyond the target:", withVerdict("missed")),
    list("Undecided, the interval contains the target or there were too few rounds:", withVerdict("undecided")),
    list("Ties with rivals, the interval contains 100 %:", judged.filter(isTie).map(line)),
    list("Met:", withVerdict("met"))
  ].join("\n\n")
}

// ---- latency --------------------------------------------------------------------------------------------------------

const ofContestants: ReadonlyArray<Contestant> = ["floor", "wsFloor", "handler", "stream", "gateioApi", "ccxt"]

const withInterval = (section: Section, contestant: Contestant, metric: Metric): string => {
  const found = Results.figureOf(section, contestant, metric)
  if (found === null) return ""
  return `${Results.figureText(metric, found.median)} [${Results.figureText(metric, found.low)} – ${
    Results.figureText(metric, found.high)
  }]`
}

const latencyTable = (file: ResultsFile): string =>
  table(
    ["load", "contestant", "p50", "p95", "p99", "p99.9", "CPU a message", "sender late, p99", "delivered"],
    "llrrrrrrr",
    of(file, "latency").flatMap((section) =>
      ofContestants.filter((contestant) => roundsOf(section, contestant) > 0).map((contestant) => [
        section.id,
        contestant,
        figure(section, contestant, "p50"),
        figure(section, contestant, "p95"),
        withInterval(section, contestant, "p99"),
        figure(section, contestant, "p999"),
        figure(section, contestant, "cpuMicros"),
        figure(section, contestant, "lateP99"),
        `${(Results.deliveredShare(section, contestant) * 100).toFixed(1)} %`
      ])
    )
  )

// ---- pictures -------------------------------------------------------------------------------------------------------

const pointOf = (judged: Judged): Charts.Point => ({
  label: `${judged.section}: ${Results.comparisonText(judged)}`,
  value: judged.estimate.median,
  low: judged.estimate.low,
  high: judged.estimate.high,
  bound: judged.target.bound,
  verdict: judged.verdict ?? "no target"
})

/** What this library is compared with to see what it costs itself. */
const floors: ReadonlySet<Contestant> = new Set(["floor", "wsFloor", "bookFloor", "wsBookFloor", "limit"])

const againstFloor = ({ target: { against, kind } }: Judged): boolean =>
  kind === "ratio" && against !== null && floors.has(against)

const againstOthers = ({ target: { against, kind } }: Judged): boolean =>
  kind === "ratio" && against !== null && !floors.has(against) && against !== "before"

const cpuValues = (sections: ReadonlyArray<Section>): ReadonlyArray<Charts.Value> =>
  sections.flatMap((section) =>
    Results.contestantsOf(section).flatMap((contestant) => {
      const found = Results.figureOf(section, contestant, "cpuMicros")
      return found === null ? [] : [{ group: section.id, label: contestant, value: found.median }]
    })
  )

const latencyValues = (file: ResultsFile): ReadonlyArray<Charts.Value> =>
  of(file, "latency").flatMap((section) =>
    (["floor", "handler", "gateioApi"] as const).flatMap((contestant) => {
      const found = Results.figureOf(section, contestant, "p50")
      return found === null ? [] : [{ group: section.id, label: contestant, value: found.median }]
    })
  )

/** Made only where there is something to show. */
const picture = async (
  name: string,
  values: ReadonlyArray<unknown>,
  make: () => Promise<string>
): Promise<ReadonlyArray<readonly [string, string]>> => values.length === 0 ? [] : [[name, await make()]]

const picturesOf = async (file: ResultsFile): Promise<Readonly<Record<string, string>>> => {
  const judged = judgedIn(file, ["throughput", "fanout"])
  const floor = judged.filter(againstFloor).map(pointOf)
  const others = judged.filter(againstOthers).map(pointOf)
  const cpu = cpuValues(of(file, "throughput"))
  const latency = latencyValues(file)
  const made = await Promise.all([
    picture(
      "against-floor.svg",
      floor,
      () => Charts.ratios("Against FLOOR, by CPU time a message", floor, "share of FLOOR (tick: target)", false)
    ),
    picture(
      "against-others.svg",
      others,
      () =>
        Charts.ratios("Against what others wrote, by CPU time a message", others, "times less CPU (tick: target)", true)
    ),
    picture("cpu.svg", cpu, () => Charts.points("CPU time a message", cpu, "µs")),
    picture("latency.svg", latency, () => Charts.points("Latency p50 from the moment a frame was due", latency, "µs"))
  ])
  return Object.fromEntries(made.flat())
}

// ---- the page -------------------------------------------------------------------------------------------------------

const suitesBeside: ReadonlyArray<SuiteId> = [
  "memory",
  "startup",
  "import",
  "reconnect",
  "stability",
  "deflate",
  "fanout"
]

const besideBlock = (file: ResultsFile): string =>
  suitesBeside.flatMap((suite) => {
    const sections = of(file, suite)
    if (sections.length === 0) return []
    const tables = sections.map((section) =>
      `**${suite}, ${section.id}**: ${section.title}\n\n${sectionTable(section, Results.metricsOf(section))}`
    )
    const judged = judgedIn(file, [suite])
    return [...tables, ...(judged.length === 0 ? [] : [judgedTable(judged)])]
  }).join("\n\n")

/** A suite's block, or that there is none. */
const orNone = (file: ResultsFile, suite: SuiteId, text: string): string =>
  of(file, suite).length === 0 ? `These files hold no run of \`${suite}\`.` : text

export const make = async (file: ResultsFile, names: ReadonlyArray<string>): Promise<Made> => ({
  blocks: {
    run: runBlock(file, names),
    before: beforeBlock(file),
    throughput: judgedTable(judgedIn(file, ["throughput"])),
    absolute: sectionTables(of(file, "throughput"), ["messagesPerSecond", "cpuMicros", "peakRssMb"]),
    latency: orNone(file, "latency", latencyTable(file)),
    compliance: orNone(file, "latency", judgedTable(judgedIn(file, ["latency"]))),
    beside: besideBlock(file),
    targets: targetsBlock(file)
  },
  pictures: await picturesOf(file)
})

const marker = (name: string): RegExp => new RegExp(`(<!-- bench: ${name} -->)[^]*?(<!-- /bench -->)`, "u")

/** The page with its blocks filled anew. Throws when it lacks one. */
export const fill = (page: string, { blocks }: Made): string => {
  let filled = page
  for (const [name, text] of Object.entries(blocks)) {
    if (!marker(name).test(filled)) throw new Error(`the page has no block <!-- bench: ${name} --> … <!-- /bench -->`)
    filled = filled.replace(marker(name), (_, open: string, close: string) => `${open}\n\n${text}\n\n${close}`)
  }
  return filled
}

/** Which files of `docs/benchmarks` a filled page was made from. */
export const sourcesOf = (page: string): ReadonlyArray<string> => {
  const [, block = ""] = /<!-- bench: run -->([^]*?)<!-- \/bench -->/u.exec(page) ?? []
  return [...block.matchAll(/\]\(benchmarks\/([^)]+)\)/gu)].map(([, name]) => name!)
}
