/**
 * Writes what follows from the code: `docs/coverage.md` from the adapters, the tree and the import table in
 * `docs/architecture.md` from the files, and the list of dialects from that of the adapters. A test fails while either is out of date.
 */
import { Duration } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import type { ExchangeAdapter, SilenceBound } from "../src/ExchangeAdapter.ts"
import * as adapters from "../src/exchanges/index.ts"
import * as ImportTable from "./architecture/ImportTable.ts"
import * as FaultPage from "./faults/Page.ts"

export const coverageFile = "docs/coverage.md"

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cellOf).join(" | ")} |`).join("\n")

/** A bar would end the cell, also within code. */
const cellOf = (text: string): string => text.replaceAll("|", "\\|")

/** Names on the wire; two that work together are joined by "and". */
const wireOf = (wire: string): string => wire.split(" and ").map((name) => `\`${name}\``).join(" and ")

const seconds = (duration: Duration.Input): string => `${Duration.toSeconds(duration)} s`

const silenceOf = (bound: SilenceBound | null): string => {
  if (bound === null) return "never"
  if (typeof bound !== "object" || !("floor" in bound)) return seconds(bound)
  return `learned, ${seconds(bound.floor)} to ${seconds(bound.ceiling)}; at first ${
    seconds(bound.initial ?? bound.ceiling)
  }`
}

const limitsOf = ({ limits }: ExchangeAdapter): ReadonlyArray<ReadonlyArray<string>> => [
  ["topics on one connection", String(limits.topicsPerConnection)],
  ["topics in one request", String(limits.topicsPerRequest)],
  ["bytes of one request", String(limits.requestBytes)],
  ["requests per second and connection", String(limits.requestsPerSecond)],
  ["dials per second", String(limits.dialsPerSecond)],
  ["REST requests per second", String(limits.restPerSecond)],
  ["books asked for together over REST", String(limits.restBurst ?? 1)],
  ["REST requests at once", String(limits.restConcurrency)]
]

const section = (adapter: ExchangeAdapter): string =>
  `## ${adapter.name} (\`${adapter.id}\`)

${
    table(
      ["channel", "on the wire", "what comes", "source"],
      adapter.coverage.map(({ channel, note, source, wire }) => [`\`${channel}\``, wireOf(wire), note, source])
    )
  }

Live addresses: \`${adapter.urls.websocket}\`, \`${adapter.urls.rest}\`. A list of topics is refused ${
    adapter.listRefusal === "whole"
      ? "as a whole for one bad topic, so it is halved until the bad one stands alone"
      : "topic by topic: the others are accepted"
  }.

${table(["limit that is kept", "value"], limitsOf(adapter))}

${
    table(["watch", "bound"], [
      ["ping when nothing came for", seconds(adapter.heartbeat.interval)],
      ["give up when nothing follows the ping for", seconds(adapter.heartbeat.timeout)],
      ...[...adapter.channels].map((tag) => [
        `subscribe a silent \`${tag}\` topic anew after`,
        silenceOf(adapter.silence[tag] ?? null)
      ])
    ])
  }
${account(adapter)}`

const codes = (names: Iterable<string>): string => [...names].map((name) => `\`${name}\``).join(", ")

/** The account half, where there is one. */
const account = ({ account, name, urls }: ExchangeAdapter): string => {
  if (account === undefined) return ""
  const { needsPair, orders } = account
  return `
### Accounts on ${name}

${
    table(
      ["channel", "on the wire", "what comes", "source"],
      account.coverage.map(({ channel, note, source, wire }) => [`\`${channel}\``, wire, note, source])
    )
  }

Beyond placing, cancelling and looking up: ${
    orders.abilities.size === 0 ? "nothing" : codes(orders.abilities)
  }; at most ${orders.batchSize} orders in one request. Orders go over ${
    orders.socket === null ? "REST" : "a socket of their own, logged in before anything is sent, and REST for the rest"
  }. ${
    needsPair
      ? "Open orders and fills are looked up by pair: `reconcilePairs` names those that the stream has not told of."
      : "Open orders and fills are looked up for all pairs at once."
  } Test net: ${urls.testnet === undefined ? "none" : `\`${urls.testnet.websocket}\`, \`${urls.testnet.rest}\``}.
`
}

/** The page for these adapters, in the order of their ids. */
export const coverage = (list: ReadonlyArray<ExchangeAdapter>): string =>
  `# Coverage

Generated from the adapters by \`npm run docs\`; do not edit. **Not yet run live:** none of this has been run against the
exchanges themselves, only against the simulator and captured messages.

${
    table(
      ["exchange", "id", "channels", "of an account"],
      ordered(list).map(({ account, channels, id, name }) => [
        name,
        `\`${id}\``,
        codes(channels),
        account === undefined ? "–" : codes([...account.channels, "OrderEntry"])
      ])
    )
  }

${ordered(list).map(section).join("\n")}`

const ordered = (list: ReadonlyArray<ExchangeAdapter>): ReadonlyArray<ExchangeAdapter> =>
  list.toSorted((a, b) => a.id < b.id ? -1 : 1)

// ---- architecture ---------------------------------------------------------------------------------------------------

export const architectureFile = "docs/architecture.md"

const root = resolve(import.meta.dirname, "..")

const sources = (): ReadonlyArray<string> =>
  readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"))

/** The first sentence of the comment that a file begins with, or of the first one in it. */
const sentenceOf = (path: string): string => {
  const [, comment = ""] = /^\/\*\*([^]*?)\*\//m.exec(readFileSync(join(root, "src", path), "utf8")) ?? []
  const text = comment.replace(/\s*\n\s*\*\s?/g, " ").trim()
  const sentence = (/^.*?[.](?= |$)/.exec(text)?.[0] ?? text).replace(/[.]$/, "")
  return sentence.length <= 85 ? sentence : sentence.replace(/[:;,] .*$/, "")
}

const folderOf = (path: string): string => path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ""

const byFolder = (paths: ReadonlyArray<string>): ReadonlyArray<string> =>
  paths.toSorted((a, b) => {
    const [first, second] = [folderOf(a), folderOf(b)]
    return first === second ? (a < b ? -1 : 1) : first < second ? -1 : 1
  })

const tree = (): string => {
  const lines = ["src/"]
  let folder = ""
  for (const path of byFolder(sources())) {
    if (folderOf(path) !== folder) {
      folder = folderOf(path)
      lines.push(`  ${folder}/`)
    }
    const name = path.slice(folder === "" ? 0 : folder.length + 1)
    lines.push(`${folder === "" ? "  " : "    "}${name.padEnd(26)} ${sentenceOf(path)}`.trimEnd())
  }
  return ["```text", ...lines, "```"].join("\n")
}

const shown = (unit: string): string => unit === "self" ? "its own folder" : unit

const rowOf = (name: string, { may, mayTypes = [] }: ImportTable.Row, present: ReadonlySet<string>) => {
  const known = (unit: string): boolean => unit === "self" || present.has(unit) || unit.includes("/")
  const list = (units: ReadonlyArray<string>) => units.filter(known).map(shown).join(", ")
  return [`\`${name}\``, list(may), list(mayTypes)]
}

/** The rows of the table that have files. */
const importTable = (): string => {
  const present = new Set(sources().map((path) => ImportTable.unitOf(`src/${path}`).name))
  const rows = Object.entries(ImportTable.table).filter(([name]) => present.has(name))
  return table(["module", "may import", "types only"], rows.map(([name, row]) => rowOf(name, row, present)))
}

/** Replaces what stands between the two marks of a name. */
const between = (text: string, name: string, part: string): string =>
  text.replace(
    new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`),
    (_, begin: string, end: string) => `${begin}${part}\n${end}`
  )

const architecture = (): string => {
  const page = readFileSync(join(root, architectureFile), "utf8")
  return between(between(page, "tree", tree()), "imports", importTable())
}

// ---- dialects -------------------------------------------------------------------------------------------------------

export const dialectsFile = "src/exchanges/dialects.ts"

/** From the lines that name the adapters: `gateSpot` of `./gate/…` has `gateSpotDialect` in `./gate/GateDialect.ts`. */
export const dialects = (index: string): string => {
  const byFolder = new Map<string, Array<string>>()
  for (const [, names = "", folder = ""] of index.matchAll(/^export \{ ([^}]+) \} from "\.\/(\w+)\//gm)) {
    const known = byFolder.get(folder) ?? []
    byFolder.set(folder, [...known, ...names.split(", ").map((name) => `${name}Dialect`)])
  }
  const lines = [...byFolder].map(([folder, names]) => {
    const file = `${folder[0]!.toUpperCase()}${folder.slice(1)}Dialect.ts`
    return `export { ${names.sort().join(", ")} } from "./${folder}/${file}"`
  })
  return `// Written by \`npm run docs\` from the adapters in index.ts.\n${lines.join("\n")}\n`
}

/** Every file with generated parts and what must be in it. */
export const generated = (): Readonly<Record<string, string>> => ({
  [dialectsFile]: dialects(readFileSync(join(root, "src/exchanges/index.ts"), "utf8")),
  [coverageFile]: coverage(Object.values(adapters)),
  [architectureFile]: architecture(),
  [FaultPage.file]: FaultPage.page()
})

if (import.meta.main) {
  for (const [path, text] of Object.entries(generated())) writeFileSync(join(root, path), text)
}
