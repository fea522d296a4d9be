/** The report of a soak, as Markdown for people and as JSON for programs. */
import type { Judgement, Trend } from "./Memory.ts"
import * as Memory from "./Memory.ts"

export interface ExchangeReport {
  readonly exchange: string
  readonly pairs: number
  readonly events: Readonly<Record<string, number>>
  readonly bookUpdates: number
  readonly frames: number
  readonly gaps: Readonly<Record<string, number>>
  readonly reconnects: number
  readonly resyncs: number
  readonly unreadable: number
  readonly booksCompared: number
  readonly booksStale: number
  readonly booksWrong: number
  readonly trades: {
    readonly received: number
    readonly declared: number
    readonly undeclared: number
    readonly repeated: number
  }
  readonly ledger: { readonly topics: number; readonly sent: number; readonly received: number; readonly wrong: number }
}

export interface MemoryReport {
  /** Bytes. */
  readonly first: number
  readonly last: number
  readonly least: number
  readonly most: number
  readonly trend: Trend | null
}

export interface Report {
  readonly began: string
  /** How long it really ran, ms. */
  readonly tookMs: number
  readonly askedMs: number
  readonly endedBy: "duration" | "signal" | "failure"
  readonly seed: number
  readonly revision: string
  readonly machine: string
  readonly node: string
  readonly collected: boolean
  readonly exchanges: ReadonlyArray<ExchangeReport>
  readonly faults: Readonly<Record<string, number>>
  readonly rounds: number
  readonly memory: {
    readonly heap: MemoryReport
    readonly code: MemoryReport
    readonly rss: MemoryReport
    readonly warmUpMs: number
    readonly judgement: Judgement
  }
  readonly simulator: { readonly ticks: number; readonly skippedTicks: number }
  /** What was found wrong, in words; none when all is well. */
  readonly mismatches: ReadonlyArray<string>
}

export const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)

export const duration = (millis: number): string => {
  const seconds = Math.round(millis / 1000)
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"]
  ] as const
  const shown = parts.filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`)
  return shown.length === 0 ? "0 s" : shown.join(" ")
}

export const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string =>
  [titles, titles.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

export const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ") || "none"

const memoryRow = (field: Memory.Field, { first, last, least, most, trend }: MemoryReport) =>
  [Memory.fieldNames[field], ...[first, last, least, most].map(megabytes), Memory.slopeText(trend)] as const

/** How the slope is found, and what it says of the heap. */
export const memoryText = (collected: boolean, warmUp: number, { found, isFlat }: Judgement): string =>
  `MiB${collected ? ", heap after a garbage collection" : ""}. The slope is that of the floor behind a warm-up of ${
    duration(warmUp)
  }, MiB an hour, with its 95 % interval: a line by least squares through the least of each tenth of that time.
${isFlat === null ? "Not judged" : isFlat ? "Kept" : "**Broken**"}: ${Memory.promise}: ${found}.`

const exchangeRow = (one: ExchangeReport) =>
  [
    one.exchange,
    one.pairs,
    one.frames,
    sum(one.events) + one.bookUpdates,
    sum(one.gaps),
    one.reconnects,
    one.resyncs,
    one.unreadable
  ] as const

const checkRow = (one: ExchangeReport) =>
  [
    one.exchange,
    one.booksCompared,
    one.booksWrong,
    one.booksStale,
    one.trades.received,
    one.trades.declared,
    one.trades.undeclared,
    one.trades.repeated,
    one.ledger.topics,
    one.ledger.sent - one.ledger.received,
    one.ledger.wrong
  ] as const

const endings = { duration: "ran to its end", signal: "ended by a signal", failure: "ended by a failure" } as const

/** `1 mismatch`, `2 mismatches`. */
export const countOf = ({ mismatches }: Report): string =>
  `${mismatches.length} ${mismatches.length === 1 ? "mismatch" : "mismatches"}`

export const markdown = (report: Report): string => {
  const { exchanges, faults, memory, mismatches, simulator } = report
  return `# Soak of ${duration(report.tookMs)}

Began ${report.began}, seed ${report.seed}, ${endings[report.endedBy]} (asked for: ${duration(report.askedMs)}).
Revision ${report.revision}, Node ${report.node}, ${report.machine}. Client and simulator as two processes over loopback.

**${
    mismatches.length === 0
      ? "Nothing was wrong"
      : countOf(report)
  }** in ${report.rounds} rounds of comparing every book.
${mismatches.map((mismatch) => `- ${mismatch}`).join("\n")}
## What came

${
    table(
      ["exchange", "pairs", "frames", "events", "gaps", "reconnects", "book resyncs", "unreadable frames"],
      exchanges.map(exchangeRow)
    )
  }

${
    exchanges.map((one) =>
      `- ${one.exchange}: ${listed({ ...one.events, Book: one.bookUpdates })}. Gaps: ${listed(one.gaps)}.`
    ).join("\n")
  }

Faults injected: ${sum(faults)} (${
    listed(faults)
  }). The simulator made ${simulator.ticks} ticks and left out ${simulator.skippedTicks}.

## What was compared

${
    table(
      [
        "exchange",
        "books compared",
        "wrong",
        "not in sync",
        "trades",
        "missing, declared",
        "missing, undeclared",
        "repeated",
        "topics",
        "events lost with their sockets",
        "ledgers wrong"
      ],
      exchanges.map(checkRow)
    )
  }

## Memory of the client

${memoryText(report.collected, memory.warmUpMs, memory.judgement)}

${
    table(["", "first", "last", "least", "most", "slope"], [
      memoryRow("heap", memory.heap),
      memoryRow("code", memory.code),
      memoryRow("rss", memory.rss)
    ])
  }
`
}
