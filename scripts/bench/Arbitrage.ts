/**
 * `npm run bench -- arbitrage`: how soon a monitor tells of an edge, with 1 000 pairs on three markets and 20 000 book messages a
 * second, client and exchanges as two processes. The proof `detection` judges the same.
 */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Flags from "../../src/cli/Flags.ts"
import * as Table from "../../src/cli/Table.ts"
import * as Detection from "../prove/Detection.ts"
import { BenchFailed } from "./Processes.ts"

const shares = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999], ["max", 1]] as const

const flags = {
  pairs: Flags.int("pairs", 1, 1_000).pipe(Flag.withDefault(1_000)),
  messages: Flags.int("messages", 1, 100_000).pipe(
    Flag.withDescription("Book messages a second that are aimed at, in total"),
    Flag.withDefault(20_000)
  ),
  duration: Flags.int("duration", 1, 3_600).pipe(
    Flag.withMetavar("SECONDS"),
    Flag.withDescription("How long is measured"),
    Flag.withDefault(60)
  ),
  seed: Flags.int("seed", 0, 1_000_000).pipe(Flag.withDefault(1))
}

const rowOf = (name: string, values: ReadonlyArray<number>): ReadonlyArray<string> => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
  return [name, String(values.length), ...shares.map(([, share]) => at(share).toFixed(3))]
}

export const command = Command.make(
  "arbitrage",
  flags,
  ({ duration, messages, pairs, seed }) =>
    Effect.gen(function*() {
      const found = yield* Detection.measure({ seed, pairs, messages, seconds: duration, patience: 180 }).pipe(
        Effect.mapError(({ message }) => new BenchFailed({ message }))
      )
      const columns = ["ms", "n", ...shares.map(([name]) => name)].map((title, index) => ({
        title,
        align: index === 0 ? "left" as const : "right" as const
      }))
      const rows = [rowOf("entered", found.entered), rowOf("entered or changed", found.told)]
      for (const line of Table.format(columns, rows)) yield* Console.log(line)
      yield* Console.log(
        `${found.synced} of ${found.books} books, ${found.routes} routes, ${
          Math.round(found.perSecond)
        } messages a second; ` +
          `client ${Math.round(found.cpu * 100)} % of a core, exchanges ${Math.round(found.serverCpu * 100)} %`
      )
    })
).pipe(
  Command.withDescription(
    "From the receipt of the second leg's frame to the opportunity: percentiles, 1 000 pairs on three simulated markets."
  )
)
