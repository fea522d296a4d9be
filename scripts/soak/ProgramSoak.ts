/** A soak of the whole program: feeds, books, arbitrage, orders and faults, and what came of it as Markdown and JSON. */
import { Effect } from "effect"
import { judge } from "../prove/cases/Program.ts"
import * as ProgramProcess from "../prove/ProgramProcess.ts"
import type { ExchangeFound, ProgramFound } from "../prove/ProgramRun.ts"
import * as Proofs from "../prove/Proof.ts"
import * as Memory from "./Memory.ts"
import * as Report from "./Report.ts"

export interface ProgramSoakOptions {
  readonly duration: number
  readonly pairs: number
  readonly seed: number
  readonly faults: ReadonlyArray<string>
}

const minute = 60_000

export interface ProgramSoak {
  readonly options: ProgramSoakOptions
  readonly found: ProgramFound
  readonly findings: ReadonlyArray<Proofs.Finding>
  readonly revision: string
  readonly machine: string
  readonly node: string
}

/** What came of a run. */
export const judged = (
  options: ProgramSoakOptions,
  found: ProgramFound,
  facts: Pick<ProgramSoak, "machine" | "node" | "revision">
): ProgramSoak => {
  const { findings, proof } = Proofs.make({ seed: options.seed, quick: false, scale: 1, part: null }, () => {})
  judge(proof, found)
  return { options, found, findings, ...facts }
}

export const run = Effect.fnUntraced(function*(
  options: ProgramSoakOptions,
  facts: Pick<ProgramSoak, "machine" | "node" | "revision">
): Effect.fn.Return<ProgramSoak, Error> {
  const { duration, faults, pairs, seed } = options
  const found = yield* ProgramProcess.run({
    seed,
    pairs,
    duration,
    faults,
    sampleEvery: Math.min(10_000, Math.max(250, duration / 100)),
    compareEvery: Math.min(minute, Math.max(1_000, duration / 8)),
    faultEvery: Math.min(45_000, Math.max(1_500, duration / 10)),
    patience: 5 * minute,
    reviveAfter: 5_000
  }, true)
  return judged(options, found, facts)
})

export const isKept = ({ findings }: ProgramSoak): boolean => findings.every(({ holds }) => holds)

const { duration, listed, megabytes, table } = Report

const seconds = (ms: number): string => (ms / 1_000).toFixed(1)

const exchangeRow = (one: ExchangeFound) =>
  [
    one.exchange,
    one.updates,
    one.gaps,
    one.reconnects,
    one.resyncs,
    one.unreadable,
    one.outages,
    seconds(one.longestMs),
    one.orderUpdates,
    one.fills
  ] as const

const memoryRow = (field: Memory.Field, { samples, took }: ProgramFound) => {
  const values = samples.map((sample) => sample[field])
  const edges = [values[0] ?? Number.NaN, values.at(-1) ?? Number.NaN, Math.min(...values), Math.max(...values)]
  const slope = Memory.slopeText(Memory.trendOf(samples, field, took))
  return [Memory.fieldNames[field], ...edges.map(megabytes), slope] as const
}

const share = (cpu: number | null): string => cpu === null ? "unknown" : `${Math.round(cpu * 100)} %`

const executionsOf = ({ arbitrage }: ProgramFound): string => {
  const { executions, found: edges, routes } = arbitrage as {
    readonly routes: number
    readonly found: number
    readonly executions: Readonly<Record<string, unknown>> | null
  }
  const counts = Object.entries(executions ?? {}).map(([name, value]) =>
    `${name} ${typeof value === "object" ? listed(value as Readonly<Record<string, number>>) : String(value)}`
  )
  return `${edges} edges on ${routes} routes; executions: ${counts.join(", ")}`
}

export const markdown = (soak: ProgramSoak): string => {
  const { findings, found, machine, node, options, revision } = soak
  const { pauses } = found
  return `# Soak of the whole program, ${duration(found.took)}

Began ${found.began}, seed ${options.seed} (asked for: ${
    duration(options.duration)
  }). Revision ${revision}, Node ${node}, ${machine}.
The program of \`npm start\` and its simulator as two processes over loopback, ${options.pairs} pairs on each of three markets,
edges between them traded on an account of each.

**${
    isKept(soak)
      ? "Nothing was wrong"
      : "Not all was kept"
  }** in ${found.rounds} rounds of comparing every book, ${found.compared} books.

${
    findings.map(({ found: text, holds, promise }) => `- ${holds ? "kept" : "**broken**"}: ${promise}: ${text}`).join(
      "\n"
    )
  }

## The machine

Of a core: the program ${share(found.cpu)}, the exchanges ${
    share(found.simulatorCpu)
  }. The program was not run ${pauses.count} times for
over a second, together ${seconds(pauses.total)} s, ${
    seconds(pauses.longest)
  } s at the longest: a busy machine, or stopped while another measured.
A program that is not run hears nothing meanwhile and must come back by itself. All was there ${
    seconds(found.readyAfter)
  } s after the start, which is not part of the time above.

## What came

${
    table(
      [
        "exchange",
        "events",
        "gaps",
        "reconnects",
        "book resyncs",
        "unreadable frames",
        "times away",
        "longest, s",
        "order updates",
        "fills"
      ],
      found.exchanges.map(exchangeRow)
    )
  }

Faults injected: ${Object.values(found.faults).reduce((sum, count) => sum + count, 0)} (${listed(found.faults)}).

## What was traded

${executionsOf(found)}. Cash by the program ${found.cash.program} USDT, by the exchanges ${found.cash.exchanges} USDT.

${
    found.kills.length === 0
      ? "The kill switch was not thrown."
      : `The kill switch was thrown ${found.kills.length} times (the latest fifty count), and taken back after 5 s each time, as somebody does who has looked:`
  }
${found.kills.map((reason) => `- ${reason}`).join("\n")}

${
    table(
      ["carried at the end", "by the program", "by the exchanges", "least that can be ordered"],
      found.carried.map(({ asset, exchanges, lot, program }) => [asset, program, exchanges, lot])
    )
  }

## Memory of the program

${Report.memoryText(true, Memory.warmUpOf(found.took), Memory.judge(found.samples, found.took))}

${
    table(["", "first", "last", "least", "most", "slope"], [
      memoryRow("heap", found),
      memoryRow("code", found),
      memoryRow("rss", found)
    ])
  }
`
}
