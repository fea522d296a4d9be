/** A run as text: for a terminal, and as the page `docs/scoreboard.md`. */
import { readFileSync } from "node:fs"
import { cpus, loadavg, release, totalmem } from "node:os"
import { join } from "node:path"
import { root } from "../prove/Child.ts"
import type { Cell, Row, Settings } from "./Row.ts"

const versionOf = (...path: ReadonlyArray<string>): string =>
  (JSON.parse(readFileSync(join(root, ...path, "package.json"), "utf8")) as { readonly version: string }).version

export interface Run extends Settings {
  /** ISO 8601. */
  readonly date: string
  readonly seconds: number
  readonly machine: string
  /** Processes that were running or waiting, mean of the minute before the start: above 0, the machine was not idle. */
  readonly load: number
  readonly versions: Readonly<Record<string, string>>
  readonly rows: ReadonlyArray<Row>
}

/** Where, and with what. */
export const surroundings = (): Pick<Run, "machine" | "load" | "versions"> => ({
  machine: `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, ${
    Math.round(totalmem() / 2 ** 30)
  } GB, ${process.platform} ${release()}`,
  load: Number(loadavg()[0]!.toFixed(1)),
  versions: {
    ccxt: versionOf("node_modules", "ccxt"),
    "gateio-api": versionOf("node_modules", "gateio-api"),
    "effect-exchange": versionOf(),
    protobufjs: versionOf("node_modules", "protobufjs"),
    node: process.versions.node
  }
})

const marks = { good: "✔ ", bad: "✘ ", told: "" } as const

const textOf = (cell: Cell | null): string => cell === null ? "–" : `${marks[cell.verdict]}${cell.text}`

// ---- terminal -------------------------------------------------------------------------------------------------------

const names = (versions: Run["versions"]) => ({
  ccxt: `ccxt ${versions["ccxt"]}`,
  gateioApi: `gateio-api ${versions["gateio-api"]}`,
  ours: "effect-exchange"
})

export const lines = ({ rows, versions }: Pick<Run, "rows" | "versions">): ReadonlyArray<string> => {
  const clients = names(versions)
  const width = Math.max(...Object.values(clients).map((name) => name.length))
  const line = (name: string, text: string): string => `  ${name.padEnd(width)}  ${text}`
  return rows.flatMap((row) => [
    `${row.title} (${row.done})`,
    line(clients.ccxt, textOf(row.ccxt)),
    ...(row.gateioApi === null ? [] : [line(clients.gateioApi, textOf(row.gateioApi))]),
    line(clients.ours, textOf(row.ours)),
    line("target", row.target),
    ""
  ])
}

// ---- page -----------------------------------------------------------------------------------------------------------

const cellOf = (text: string): string => text.replaceAll("|", "\\|")

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cellOf).join(" | ")} |`).join("\n")

const rowsOf = ({ rows, versions }: Run, kind: Row["kind"]): string => {
  const { ccxt, gateioApi } = names(versions)
  return table(
    ["what was done", ccxt, gateioApi, "effect-exchange", "target"],
    rows.filter((row) => row.kind === kind).map((row) => [
      `**${row.title}**: ${row.done}`,
      textOf(row.ccxt),
      textOf(row.gateioApi),
      textOf(row.ours),
      row.target
    ])
  )
}

/** Behind the sentence on what the times depend on. */
const ratesAreLow = `;
this time it had several times more to do than its cores could, so that the rates are a fraction of what an idle one shows,
for everybody alike: compare them within their row`

export const page = (run: Run): string =>
  `# Scoreboard

What other clients do with the same market, and what this one does. The others are themselves, unmodified, from npm, with
their default settings; only their addresses point at the [simulator](simulator.md), over real sockets. ✔ and ✘ judge a
cell by the target in its row, and are given to everybody alike. – does not concern it, or was not asked.

\`\`\`sh
npm run scoreboard              # everything: about four minutes
npm run scoreboard -- --quick   # shorter times, the same outcomes: 20 seconds
npm run scoreboard -- --json    # the last line is one JSON object
npm run scoreboard -- --write   # everything, and this page
\`\`\`

This page was written by the last of them on ${run.date.slice(0, 10)} (seed ${run.seed}, ${run.seconds.toFixed(0)} s) on
${run.machine}, load average ${run.load} before the start; Node ${run.versions["node"]}, protobufjs ${
    run.versions["protobufjs"]
  }.

## Outcomes

The same on every machine: simulated time is pushed on by hand, and a seed gives the same frames. \`npm run prove --
judges\` holds them in CI, both columns: that ours is right, and that the failures which the others are said to have are
theirs still.

${rowsOf(run, "outcome")}

*Ghost price*: a price at which the exchange has no order. Both clients read the same market at the same time; at the end
each book is compared with the simulator's, the best 50 levels a side, and every state that ours showed meanwhile with the
simulator's book at that version.

## Times

They depend on the machine and on what else it does, and nothing asserts them${
    run.load > 2 * cpus().length ? ratesAreLow : ""
  }.
Every client has a simulator of its own and defaults of its own; the three of a row run at the same time, except under load,
where they run one after the other. ccxt reconnects when its caller calls again, which is done at once. It then backs off,
but not for the books of Gate: in this version \`gate.subscribePublic\` makes the client before \`watch\` looks whether it
has to be dialled anew; how often it dials depends on the run: 4,179 and 21 dials were seen. Silence and peers that stop
answering strike three clients of each kind, so long after they connected that pings are at different distances.

${rowsOf(run, "time")}

*A step* is what a consumer does with what its client hands over: the array of one call of ccxt, one array of our stream,
one event of \`gateio-api\`, which has no other way. Decoding and books: the parts alone, ours with its version checks.

## Where the others are right

Tests in [\`test/judges\`](../test/judges) run them against the simulated exchanges and hold that what they receive is the
truth: markets, trades, best prices, and books where no update overlaps a snapshot and none is lost. What the two sides
read into the same protocol documents meets there: no line of theirs is ours.

They trade there too, on MEXC spot (ccxt), Gate spot and Gate futures (both): orders over REST and over Gate's WebSocket
API, and what they read and hear of orders, fills, balances and positions is what the simulator knows. Known to fail, and
seen failing: \`gateio-api\` takes the receipt of a WebSocket order for its result, so that a refused order looks placed, and
breaks the timestamp of a request that waited for its login; ccxt calls every fill of MEXC's stream a taker's.
`
