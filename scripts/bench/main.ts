/**
 * `npm run bench`: frames over a loopback socket into this library, beside what could be written by hand and what others
 * have written, round after round. Never fails for being slow; fails when a contestant loses, misreads or falls back. See
 * `docs/performance.md`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { basename, join } from "node:path"
import * as Flags from "../../src/cli/Flags.ts"
import * as Arbitrage from "./Arbitrage.ts"
import * as Bench from "./Bench.ts"
import * as Compare from "./Compare.ts"
import { entries } from "./Contestants.ts"
import { BenchFailed } from "./Processes.ts"
import type { Contestant } from "./Protocol.ts"
import type { ResultsFile } from "./Results.ts"
import * as Results from "./Results.ts"
import * as Scenario from "./Scenario.ts"
import type { Suite } from "./Suites.ts"
import * as Suites from "./Suites.ts"

const flags = {
  json: Flag.String("json").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write machine, versions, date and every sample to this file"),
    Flag.optional
  ),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Few short rounds: shows whether it works, not how fast"),
    Flag.withDefault(false)
  ),
  rounds: Flags.int("rounds", 1, 1_000).pipe(
    Flag.withDescription("Rounds; each suite has a number of its own (throughput 15; quick 1)"),
    Flag.optional
  ),
  before: Flag.String("before").pipe(
    Flag.withMetavar("REVISION"),
    Flag.withDescription("Let the library of this older revision take part as well, as `before`"),
    Flag.optional
  ),
  only: Flag.Literals("only", Object.keys(entries) as ReadonlyArray<Contestant>).pipe(
    Flag.withMetavar("CONTESTANT"),
    Flag.withDescription("Let only this contestant take part; may stand several times"),
    Flag.between(0, 20)
  ),
  stripped: Flag.Boolean("stripped").pipe(
    Flag.withDescription("Run clients from their sources, types stripped by Node, to see whether that matters"),
    Flag.withDefault(false)
  ),
  duration: Flags.int("duration", 1, 86_400).pipe(
    Flag.withMetavar("SECONDS"),
    Flag.withDescription("How long `stability` runs (default 60, quick 4)"),
    Flag.optional
  )
}

const readResults = Effect.fnUntraced(function*(path: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(path)
  const file = JSON.parse(text) as ResultsFile
  if (file.format !== 2) {
    return yield* new BenchFailed({ message: `${path} is not a results file of this version: run the benchmark anew` })
  }
  return file
})

const trying = <A>(make: () => A): Effect.Effect<A, BenchFailed> =>
  Effect.try({ try: make, catch: (cause) => new BenchFailed({ message: String(cause) }) })

const compareCommand = Command.make("compare", {
  before: Argument.File("OLD.json"),
  after: Argument.File("NEW.json")
}, ({ after, before }) =>
  Effect.gen(function*() {
    const lines = Compare.compare(yield* readResults(before), yield* readResults(after))
    yield* Console.log(Compare.table(lines).join("\n"))
    yield* Console.log(`\n${Compare.summary(lines)}`)
  })).pipe(
    Command.withDescription(
      "Says of every figure in both files whether it is better, worse or noise, by a permutation test over the rounds."
    )
  )

const mergeCommand = Command.make("merge", {
  target: Argument.File("TARGET.json", { mustExist: false }),
  files: Argument.File("FILE").pipe(
    Argument.withDescription("Result files of one revision; rounds of the same section are put behind each other"),
    Argument.atLeast(1)
  )
}, ({ files, target }) =>
  Effect.gen(function*() {
    const results = yield* Effect.forEach(files, readResults)
    const merged = yield* trying(() => Results.merge(results))
    yield* (yield* FileSystem.FileSystem).writeFileString(target, `${JSON.stringify(merged)}\n`)
    yield* Console.log(`wrote ${target}: ${merged.sections.length} sections`)
  })).pipe(Command.withDescription("Makes one file of the pieces of a long run."))

const docs = join(import.meta.dirname, "../../docs")

const reportCommand = Command.make("report", {
  files: Argument.File("FILE").pipe(
    Argument.withDescription("Result files of one revision in docs/benchmarks; their rounds are pooled"),
    Argument.atLeast(1)
  )
}, ({ files }) =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    // Drawing is loaded only here.
    const Report = yield* Effect.promise(() => import("./Report.ts"))
    const results = yield* Effect.forEach(files, readResults)
    const merged = yield* trying(() => Results.merge(results))
    const made = yield* Effect.promise(() => Report.make(merged, files.map((file) => basename(file))))
    const page = join(docs, "performance.md")
    const text = yield* system.readFileString(page)
    yield* system.writeFileString(page, yield* trying(() => Report.fill(text, made)))
    for (const [name, svg] of Object.entries(made.pictures)) {
      yield* system.writeFileString(join(docs, "benchmarks", name), svg)
    }
    yield* Console.log(`wrote ${page} and ${Object.keys(made.pictures).join(", ")}`)
  })).pipe(Command.withDescription("Writes the generated parts of docs/performance.md and its pictures."))

const suiteCommand = (suite: Suite) =>
  Command.make(suite.id, {
    cases: Argument.Literals("case", Scenario.cases.map(({ id }) => id)).pipe(
      Argument.withDescription(
        `Cases, by default ${suite.cases.join(", ")}. All: ${Scenario.cases.map(({ id }) => id).join(", ")}`
      ),
      Argument.atLeast(0)
    ),
    ...flags
  }, (wanted) => Bench.run({ ...wanted, suites: [suite] })).pipe(Command.withDescription(suite.description))

const command = Command.make("bench", flags, (wanted) =>
  Bench.run({
    ...wanted,
    cases: [],
    suites: wanted.quick ? Suites.suites.filter(({ id }) => Suites.quickSuites.has(id)) : Suites.suites
  })).pipe(
    Command.withDescription(
      "Measures this library over a loopback socket beside raw ws, the stock Effect socket, ccxt and gateio-api. Without a "
        + "suite all of them run, one after the other; --quick alone runs what shows that the benchmark works. "
        + "A case alone stands for `throughput` of it."
    ),
    Command.withSubcommands([
      ...Suites.suites.map(suiteCommand),
      Arbitrage.command,
      compareCommand,
      mergeCommand,
      reportCommand
    ])
  )

/** A case in the place of a suite means its throughput. */
const args = (given: ReadonlyArray<string>): ReadonlyArray<string> =>
  Scenario.cases.some(({ id }) => id === given[0]) ? ["throughput", ...given] : given

Command.runWith(command, { version: "2" })(args(process.argv.slice(2))).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
