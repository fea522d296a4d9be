/**
 * `npm run faults -- --seeds 1000`: the catalogue of named faults, over all adapters, with as many seeds as asked for;
 * each run is made twice, and its two logs must be equal. Fails when anything did not hold. `docs/faults.md` lists them.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "../src/cli/Failure.ts"
import * as Flags from "../src/cli/Flags.ts"
import { catalogue } from "../test/faults/Catalogue.ts"
import type { Fault } from "../test/faults/Fault.ts"
import * as Run from "../test/faults/Run.ts"
import type { Subject } from "../test/suites/Exchange.ts"
import { subjects as all } from "../test/suites/Subjects.ts"

interface Totals {
  runs: number
  events: number
  gaps: number
  broken: number
}

const one = Effect.fnUntraced(function*(fault: Fault, subject: Subject, seed: number, twice: boolean, totals: Totals) {
  const report = yield* Run.run(fault, subject, seed)
  const again = twice ? yield* Run.run(fault, subject, seed) : report
  const problems = [...report.problems, ...(again.log === report.log ? [] : ["the same seed gives another log"])]
  totals.runs += twice ? 2 : 1
  totals.events += report.events
  totals.gaps += report.gaps
  if (problems.length === 0) return
  totals.broken++
  yield* Console.log([`${fault.name} on ${subject.adapter.id}, seed ${seed}:`, ...problems].join("\n  "))
})

const command = Command.make(
  "faults",
  {
    seeds: Flag.Int("seeds").pipe(Flag.withDescription("How many seeds (default 1)"), Flag.withDefault(1)),
    seed: Flags.seed,
    only: Flag.String("only").pipe(Flag.withDescription("Part of the name of a fault, or a group"), Flag.optional),
    on: Flag.String("on").pipe(Flag.withDescription("One exchange"), Flag.optional),
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("Do not run each a second time for the same log"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ on, once, only, seed, seeds }) {
    const isChosen = ({ group, name }: Fault) =>
      Option.isNone(only) || group === only.value || name.includes(only.value)
    const subjects = all.filter(({ adapter }) => Option.isNone(on) || adapter.id === on.value)
    const totals: Totals = { runs: 0, events: 0, gaps: 0, broken: 0 }
    const began = process.hrtime.bigint()
    for (let i = 0; i < seeds; i++) {
      for (const fault of catalogue.filter(isChosen)) {
        for (const subject of subjects.filter((each) => Run.applies(fault, each))) {
          yield* one(fault, subject, seed + i, !once, totals)
        }
      }
    }
    const seconds = Number(process.hrtime.bigint() - began) / 1e9
    yield* Console.log(
      `${totals.runs} runs of ${catalogue.filter(isChosen).length} faults on ${subjects.length} exchanges in ${
        seconds.toFixed(1)
      } s: ${totals.events} events, ${totals.gaps} gaps, ${totals.broken} broken`
    )
    if (totals.runs === 0) return yield* Failure.usage("no fault of that name")
    if (totals.broken > 0) yield* Failure.failed(`${totals.broken} runs broke a promise`)
  })
).pipe(Command.withDescription("Run the catalogue of named faults."))

Command.run(command, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(Failure.exitCode(exit)) })
)
