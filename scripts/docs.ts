/** Writes the documentation that follows from the adapters: `docs/coverage.md`. A test fails while it is out of date. */
import { Duration } from "effect"
import { writeFileSync } from "node:fs"
import { resolve } from "node:path"
import type { ExchangeAdapter } from "../src/ExchangeAdapter.ts"
import * as adapters from "../src/exchanges/index.ts"

export const coverageFile = "docs/coverage.md"

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cellOf).join(" | ")} |`).join("\n")

/** A bar would end the cell, also within code. */
const cellOf = (text: string): string => text.replaceAll("|", "\\|")

/** Names on the wire; two that work together are joined by "and". */
const wireOf = (wire: string): string => wire.split(" and ").map((name) => `\`${name}\``).join(" and ")

const seconds = (duration: Duration.Input): string => `${Duration.toSeconds(duration)} s`

const silenceOf = (bound: Duration.Input | null): string => bound === null ? "never" : seconds(bound)

const limitsOf = ({ limits }: ExchangeAdapter): ReadonlyArray<ReadonlyArray<string>> => [
  ["topics on one connection", String(limits.topicsPerConnection)],
  ["topics in one request", String(limits.topicsPerRequest)],
  ["bytes of one request", String(limits.requestBytes)],
  ["requests per second and connection", String(limits.requestsPerSecond)],
  ["dials per second", String(limits.dialsPerSecond)],
  ["REST requests per second", String(limits.restPerSecond)],
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
        silenceOf(adapter.silence[tag])
      ])
    ])
  }
`

/** The page for these adapters, in the order of their ids. */
export const coverage = (list: ReadonlyArray<ExchangeAdapter>): string =>
  `# Coverage

Generated from the adapters by \`npm run docs\`; do not edit. **Not yet run live:** none of this has been run against the
exchanges themselves, only against the simulator and captured messages.

${
    table(
      ["exchange", "id", "channels"],
      ordered(list).map(({ channels, id, name }) => [name, `\`${id}\``, [...channels].map((tag) => `\`${tag}\``).join(", ")])
    )
  }

${ordered(list).map(section).join("\n")}`

const ordered = (list: ReadonlyArray<ExchangeAdapter>): ReadonlyArray<ExchangeAdapter> =>
  list.toSorted((a, b) => a.id < b.id ? -1 : 1)

/** Every generated file and what must be in it. */
export const generated = (): Readonly<Record<string, string>> => ({ [coverageFile]: coverage(Object.values(adapters)) })

if (import.meta.main) {
  for (const [path, text] of Object.entries(generated())) writeFileSync(resolve(import.meta.dirname, "..", path), text)
}
