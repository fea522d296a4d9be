/**
 * `npm run scoreboard`: known failures of other clients, made again with those clients, beside what this library does.
 * Fails when an outcome of ours is wrong, and never because of a time. See `docs/scoreboard.md`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, DateTime, Effect, FileSystem, Logger } from "effect"
import { Command, Flag } from "effect/cli"
import { join } from "node:path"
import * as Failure from "../../src/cli/Failure.ts"
import * as Flags from "../../src/cli/Flags.ts"
import { root } from "../prove/Child.ts"
import * as Page from "./Page.ts"
import type { Row, Settings } from "./Row.ts"
import * as Rows from "./Rows.ts"

/** Rejections and exceptions that nobody handles: told, in place of ending the run. */
const unhandled: Array<unknown> = []

const watchProcess = Effect.acquireRelease(
  Effect.sync(() => {
    const note = (error: unknown): void => void unhandled.push(error)
    process.on("unhandledRejection", note).on("uncaughtException", note)
    return note
  }),
  (note) => Effect.sync(() => process.off("unhandledRejection", note).off("uncaughtException", note))
)

const isWrong = ({ kind, ours }: Row): boolean => kind === "outcome" && ours.verdict !== "good"

const scoreboard = Effect.fnUntraced(function*(settings: Settings, json: boolean, write: boolean) {
  const surroundings = Page.surroundings()
  const date = DateTime.formatIso(yield* DateTime.now)
  const began = performance.now()
  yield* watchProcess
  const rows = yield* Rows.measure(settings)
  const run: Page.Run = { ...settings, ...surroundings, date, seconds: (performance.now() - began) / 1_000, rows }
  for (const line of Page.lines(run)) yield* Console.log(line)
  for (const error of unhandled) {
    yield* Console.log(`nobody handled: ${error instanceof Error ? error.stack : String(error)}`)
  }
  if (write) {
    yield* (yield* FileSystem.FileSystem).writeFileString(join(root, "docs/scoreboard.md"), Page.page(run))
  }
  const wrong = rows.filter(isWrong).map(({ id }) => id)
  const verdict = wrong.length === 0 ? "every outcome of ours is right" : `WRONG: ${wrong.join(", ")}`
  yield* Console.log(json ? JSON.stringify(run) : `${rows.length} rows in ${run.seconds.toFixed(1)} s, ${verdict}`)
  if (wrong.length > 0) yield* Failure.failed(`wrong outcomes: ${wrong.join(", ")}`)
}, Effect.scoped)

const command = Command.make(
  "scoreboard",
  {
    seed: Flags.seed,
    quick: Flag.Boolean("quick").pipe(
      Flag.withDescription("Shorter times, the same outcomes"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print everything as one line of JSON at the end"),
      Flag.withDefault(false)
    ),
    write: Flag.Boolean("write").pipe(
      Flag.withDescription("Write docs/scoreboard.md; not with --quick"),
      Flag.withDefault(false)
    )
  },
  ({ json, quick, seed, write }) =>
    quick && write
      ? Failure.usage("the page is written from a whole run: leave --quick out")
      : scoreboard({ seed, quick }, json, write)
).pipe(Command.withDescription("Run other clients and this library against the same simulated markets."))

Command.run(command, { version: "1" }).pipe(
  // What is broken on purpose is logged by whoever finds it.
  Effect.provide(Logger.layer([])),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, done) => done(Failure.exitCode(exit))
  })
)
