/** Client and exchanges on a core each, as if on two machines: woken on the same one, each would stop the other. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"

const clientCore = 0
export const exchangeCore = 1

const taskset = (...parameters: ReadonlyArray<string>): string | null => {
  const { status, stdout } = spawnSync("taskset", parameters, { encoding: "utf8" })
  return status === 0 ? stdout : null
}

/**
 * The thread that runs this is bound to the client's core until the scope closes; whether the system can do that (`taskset` of
 * Linux, two cores). Its helpers, which compile and collect garbage, stay free.
 */
export const bind: Effect.Effect<boolean, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      if (availableParallelism() < 2) return null
      const before = taskset("-cp", String(process.pid))?.split(":").at(-1)?.trim() ?? null
      return before === null || taskset("-cp", String(clientCore), String(process.pid)) === null ? null : before
    }),
    (before) => Effect.sync(() => before === null ? null : taskset("-cp", before, String(process.pid)))
  ),
  (before) => before !== null
)
