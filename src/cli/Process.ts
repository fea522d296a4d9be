/** The process around the `exchange` command: arguments, signals, exit code. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Layer } from "effect"
import type { Exit } from "effect"
import { Command } from "effect/cli"
import { readFileSync } from "node:fs"
import * as Exchange from "./Exchange.ts"
import * as Failure from "./Failure.ts"
import * as Logging from "./Logging.ts"
import * as Signals from "./Signals.ts"

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

/**
 * A signal to npm ends npm and its shell, and the shell does not pass it on: whoever `npm run` has started notices that
 * it has another parent. Started any other way, outliving the parent is the user's own wish.
 */
const watchNpm: Effect.Effect<void> = Effect.gen(function*() {
  if (process.env["npm_lifecycle_event"] === undefined) return
  const parent = process.ppid
  yield* Effect.repeat(Effect.sleep("500 millis"), { while: () => process.ppid === parent })
  process.kill(process.pid, "SIGTERM")
})

/** How the command ended: the fiber itself ends as interrupted after any signal, also when that was its proper end. */
let ended: Exit.Exit<void, unknown> | undefined

Command.run(Exchange.command, { version: manifest.version }).pipe(
  Effect.tapCause((cause) =>
    Cause.hasDies(cause) ? Effect.logError("this is a defect, please report it", cause) : Effect.void
  ),
  Effect.onExit((exit) =>
    Effect.sync(() => {
      ended = exit
    })
  ),
  (command) => Effect.scoped(Effect.andThen(Effect.forkScoped(watchNpm), command)),
  Effect.provide(Layer.mergeAll(Exchange.layer, Logging.layer, NodeServices.layer)),
  // Commands say themselves what a signal may stop, see Lifetime.
  Effect.uninterruptible,
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Failure.exitCode(ended ?? exit))
  })
)

Signals.release()
