/** The simulator in a process of its own, without limits of requests. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import { root } from "./Child.ts"

export type Urls = Readonly<Record<string, SimulatorUrls>>

/** Gives the addresses once it listens; it is ended with the scope. `core`: the only one that it may run on; null when it may on all. */
export const start = (
  parameters: ReadonlyArray<string>,
  core: number | null = null
): Effect.Effect<Urls, Error, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<readonly [ReturnType<typeof spawn>, Urls], Error>((resume) => {
        const [command, ...bound] = core === null
          ? [process.execPath] as const
          : ["taskset", "-c", String(core), process.execPath] as const
        const child = spawn(
          command,
          [
            ...bound,
            "src/cli/main.ts",
            "simulate",
            "--exit-with-parent",
            "--limits=off",
            "--log-level=warn",
            ...parameters
          ],
          { cwd: root, stdio: ["pipe", "pipe", "inherit"] }
        )
        createInterface({ input: child.stdout }).once("line", (line) => {
          resume(Effect.succeed([child, JSON.parse(line) as Urls] as const))
        })
        child.once("error", (error) => resume(Effect.fail(error)))
        child.once("exit", (code) => resume(Effect.fail(new Error(`the simulator ended with ${code}`))))
        return Effect.sync(() => child.kill("SIGKILL"))
      }),
      ([child]) => Effect.sync(() => void child.kill("SIGKILL"))
    ),
    ([, urls]) => urls
  )
