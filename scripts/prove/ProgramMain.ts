/** The process of `ProgramRun`: options as JSON on the command line, what was found as the last line of stdout. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer } from "effect"
import * as Logging from "../../src/cli/Logging.ts"
import type { ProgramOptions } from "./ProgramRun.ts"
import * as ProgramRun from "./ProgramRun.ts"

const options = JSON.parse(process.argv[2]!) as ProgramOptions

const exit = await Effect.runPromiseExit(
  ProgramRun.run(options).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeServices.layer, Logging.layer)))
)
if (Exit.isFailure(exit)) console.error(Cause.pretty(exit.cause))
else process.stdout.write(`${JSON.stringify(exit.value)}\n`)
process.exitCode = Exit.isFailure(exit) ? 1 : 0
