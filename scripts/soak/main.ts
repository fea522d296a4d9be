/** The process around `soak`: the first Ctrl-C asks for the report, the second one ends it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Deferred, Effect, Exit } from "effect"
import { CliError, Command } from "effect/cli"
import * as Failure from "../../src/cli/Failure.ts"
import { commandOf } from "./Soak.ts"

const stop = Deferred.makeUnsafe<void>()

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    Deferred.doneUnsafe(stop, Effect.void)
    process.once(signal, () => process.exit(Failure.exitCodes.interrupted))
  })
}

const exit = await Effect.runPromiseExit(
  Effect.provide(Command.run(commandOf(stop), { version: "1" }), NodeServices.layer)
)
const isTold = (error: unknown): boolean => CliError.isCliError(error) || error instanceof Failure.CommandFailed
// The command line has told its own errors; anything else has not been told yet.
if (Exit.isFailure(exit) && !isTold(Cause.squash(exit.cause))) console.error(Cause.pretty(exit.cause))
process.exit(Failure.exitCode(exit))
