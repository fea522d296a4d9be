/** The process around `soak`: the first Ctrl-C asks for the report, the second one ends it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Deferred, Effect, Exit } from "effect"
import { Command } from "effect/cli"
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
// What is not an error of the command line has not been told yet.
if (Exit.isFailure(exit)) console.error(Cause.pretty(exit.cause))
process.exit(Failure.exitCode(exit))
