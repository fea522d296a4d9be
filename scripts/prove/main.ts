/** The process around `prove`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Command } from "effect/cli"
import * as Failure from "../../src/cli/Failure.ts"
import * as Prove from "./Prove.ts"

/** ms. Clients of others leave timers behind, which would keep a finished process for ever. */
const grace = 2_000

Command.run(Prove.command, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    teardown: (exit, onExit) => {
      const code = Failure.exitCode(exit)
      onExit(code)
      setTimeout(() => process.exit(code), grace).unref()
    }
  })
)
