/** `docs/faults.md`, written from the catalogue. */
import { catalogue } from "../../test/faults/Catalogue.ts"
import type { Fault, Group } from "../../test/faults/Fault.ts"
import { groups } from "../../test/faults/Fault.ts"

export const file = "docs/faults.md"

const titles: Readonly<Record<Group, string>> = {
  connect: "Connecting",
  subscribe: "Subscribing",
  data: "Data",
  connection: "Connections",
  rest: "REST",
  consumer: "Consumers",
  time: "Time"
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

const gapsOf = ({ expect: { also = [], gaps } }: Fault): string => {
  const must = gaps.map((cause) => `\`${cause}\``)
  const may = also.map((cause) => `(\`${cause}\`)`)
  return [...must, ...may].join(" ") || "none"
}

const row = (fault: Fault): string =>
  `| ${
    [
      `\`${fault.name}\``,
      fault.injects,
      fault.from === "start" ? `${fault.when}; the session is not open yet` : fault.when,
      fault.holds,
      gapsOf(fault),
      `${fault.expect.within / 1_000} s`
    ].map(cell).join(" | ")
  } |`

const section = (group: Group): string =>
  [
    `## ${titles[group]}`,
    "",
    "| name | what is injected | when | what must hold | gaps | back within |",
    "| --- | --- | --- | --- | --- | ---: |",
    ...catalogue.filter((fault) => fault.group === group).map(row)
  ].join("\n")

export const page = (): string =>
  `# Named faults

Generated from \`test/faults/Catalogue.ts\` by \`npm run docs\`; do not edit. ${catalogue.length} faults, each run against every
exchange that has such a thing, in memory under a virtual clock: the session's two pairs with quotes, trades and books, and
a third pair where a consumer of its own is needed. The test of a fault is \`test/faults/*.test.ts\`, "<name> on <exchange>".

\`\`\`sh
npm run faults                                 # all of them, one seed, each twice
npm run faults -- --seeds 1000                 # a night
npm run faults -- --only ack-late --on gate-spot --seed 7
npm run prove -- faults --quick                # a slice, with another seed
\`\`\`

What holds for every one of them:

- every book update that is delivered gives the exchange's book at that version, level by level as far as the window is
  known to be right, and no delta comes before a snapshot
- no trade comes twice and no quote goes back, unless the wire itself did it
- gaps say the causes of the table and no other; causes in brackets may occur
- every topic delivers again within the bound, counted from the end of the fault in virtual time
- the ledger of every topic with one subscriber adds up, and what the simulator sent is what was received, unless the wire
  was changed
- errors are typed, name the exchange, and may pass; the library logs no error, unless a consumer threw
- behind \`close\` no topic is on the wire and no socket is open
- the same seed gives the same log: all events, gaps and changes of connections with their times

The simulator's fault language is in [simulator.md](simulator.md); what it cannot say is done to frames, dials and requests
on their way (\`test/faults/Network.ts\`).

${groups.map(section).join("\n\n")}
`
