/** The demo's program in a process of its own, beside that of its simulator. */
import { Effect } from "effect"
import * as Child from "./Child.ts"
import type { ProgramFound, ProgramOptions } from "./ProgramRun.ts"

const mostErrors = 2_000

/** Runs it to its end. `isLoud`: its logs and its progress are said on stderr. */
export const run = (options: ProgramOptions, isLoud = false): Effect.Effect<ProgramFound, Error> =>
  Effect.flatMap(
    Child.node([...Child.productFlags, "--expose-gc", "scripts/prove/ProgramMain.ts", JSON.stringify(options)], {
      isLoud
    }),
    ({ code, errors, lines }) =>
      code === 0 && lines.length > 0
        ? Effect.succeed(JSON.parse(lines.at(-1)!.text) as ProgramFound)
        : Effect.fail(new Error(`the program ended with ${code}: ${errors.slice(-mostErrors)}`))
  )
