/** The process around `prove`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Command } from "effect/cli"
import * as Failure from "../../src/cli/Failure.ts"
import * as Prove from "./Prove.ts"

Command.run(Prove.command, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(Failure.exitCode(exit)) })
)
