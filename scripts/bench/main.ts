/**
 * `npm run bench`: frames over a loopback socket into this library, beside what could be written by hand, round after
 * round. Never fails for being slow; fails when a contestant loses, misreads or falls back. See `docs/performance.md`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, DateTime, Effect, FileSystem, Option, Schema, Stream } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { readFileSync } from "node:fs"
import { availableParallelism, cpus, release, totalmem } from "node:os"
import { join } from "node:path"
import * as Flags from "../../src/cli/Flags.ts"
import * as Check from "./Check.ts"
import type { Contestant, Job, Report } from "./Contestants.ts"
import { contestantsOf, titles } from "./Contestants.ts"
import type { Round } from "./Results.ts"
import * as Results from "./Results.ts"
import type { Case } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"

class BenchFailed extends Schema.TaggedError<BenchFailed>()("BenchFailed", { message: Schema.String }) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** How much is measured. */
interface Plan {
  readonly cases: ReadonlyArray<Case>
  readonly rounds: number
  readonly scale: number
  readonly latencyCases: ReadonlyArray<Case>
  readonly latencyContestants: ReadonlyArray<Contestant>
  readonly latencyRounds: number
  readonly latencySeconds: number
  /** Takes part in the first round only. */
  readonly onceOnly: ReadonlyArray<Contestant>
}

const latencyRate = 5_000

/** Of one contestant, ms: more than twice the minute that it waits for events. */
const longestRun = 150_000

/** Both exchanges, a ticker, and a book of either kind: fetched and pushed. */
const isQuickCase = ({ id }: Case): boolean => id !== "gate-update" && id !== "mexc-ticker"

const planOf = (chosen: ReadonlyArray<string>, rounds: Option.Option<number>, quick: boolean): Plan => {
  const wanted = Scenario.cases.filter((each) =>
    chosen.length === 0 ? !quick || isQuickCase(each) : chosen.includes(each.id)
  )
  const tickers = wanted.filter(({ isBook }) => !isBook)
  return quick
    ? {
      cases: wanted,
      rounds: Option.getOrElse(rounds, () => 2),
      scale: 0.05,
      latencyCases: tickers.slice(-1),
      latencyContestants: ["floor", "handler"],
      latencyRounds: 1,
      latencySeconds: 1,
      onceOnly: ["limit", "plain", "stream", "bookFloor", "books", "followers"]
    }
    : {
      cases: wanted,
      rounds: Option.getOrElse(rounds, () => 7),
      scale: 1,
      latencyCases: tickers,
      latencyContestants: ["floor", "handler", "stream"],
      latencyRounds: 3,
      latencySeconds: 4,
      onceOnly: []
    }
}

// ---- processes ------------------------------------------------------------------------------------------------------

const serverCore = 0
const clientCore = 1

/** Whether processes can be bound to a core each. */
const canPin = Effect.gen(function*() {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  if (availableParallelism() < 2) return false
  const code = yield* spawner.exitCode(ChildProcess.make("taskset", ["-c", String(clientCore), "true"]))
  return Number(code) === 0
}).pipe(Effect.orElseSucceed(() => false))

const node = (core: number, pinned: boolean, file: string, args: ReadonlyArray<string>, stdin: "ignore" | "pipe") => {
  const command = [process.execPath, join(import.meta.dirname, file), ...args]
  const options = { stdin, stderr: "inherit" } as const
  return pinned
    ? ChildProcess.make("taskset", ["-c", String(core), ...command], options)
    : ChildProcess.make(command[0]!, command.slice(1), options)
}

/** Starts the server; its port. */
const startServer = Effect.fnUntraced(function*(pinned: boolean) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const server = yield* spawner.spawn(node(serverCore, pinned, "Server.ts", [], "pipe"))
  const line = yield* server.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
  return Number(Option.getOrThrow(line))
})

const runClient = Effect.fnUntraced(function*(pinned: boolean, job: Job) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const output = yield* spawner.string(node(clientCore, pinned, "Client.ts", [JSON.stringify(job)], "ignore"))
  return yield* Effect.try({
    try: () => JSON.parse(output) as Report,
    catch: () => new BenchFailed({ message: `${job.caseId} ${job.contestant} ended without a report; see above` })
  })
})

// ---- rounds ---------------------------------------------------------------------------------------------------------

/** Frames of a run, in whole passes. What reads slowly need not read as much. */
const framesOf = (of: Case, contestant: Contestant, scale: number): number => {
  const frames = of.frames * scale * (contestant === "plain" ? 0.25 : 1)
  return Math.max(5, Math.round(frames / Scenario.passFrames)) * Scenario.passFrames
}

interface Setup {
  readonly port: number
  readonly pinned: boolean
}

const flood = Effect.fnUntraced(function*(of: Case, plan: Plan, { pinned, port }: Setup) {
  const rounds: Array<Round> = []
  for (let round = 0; round < plan.rounds; round++) {
    const taking = contestantsOf(of).filter((contestant) => round === 0 || !plan.onceOnly.includes(contestant))
    yield* Console.error(`${of.id}: round ${round + 1} of ${plan.rounds}`)
    rounds.push(
      yield* Effect.forEach(taking, (contestant) =>
        runClient(pinned, {
          caseId: of.id,
          contestant,
          port,
          frames: framesOf(of, contestant, plan.scale),
          rate: null,
          deadline: longestRun
        }))
    )
  }
  return rounds
})

const latency = Effect.fnUntraced(function*(of: Case, plan: Plan, { pinned, port }: Setup) {
  const rounds: Array<Round> = []
  for (let round = 0; round < plan.latencyRounds; round++) {
    yield* Console.error(`${of.id}: latency, round ${round + 1} of ${plan.latencyRounds}`)
    rounds.push(
      yield* Effect.forEach(plan.latencyContestants, (contestant) =>
        runClient(pinned, {
          caseId: of.id,
          contestant,
          port,
          frames: latencyRate * plan.latencySeconds,
          rate: latencyRate,
          deadline: longestRun
        }))
    )
  }
  return rounds
})

// ---- surroundings ---------------------------------------------------------------------------------------------------

const versionOf = (name: string): string =>
  (JSON.parse(
    readFileSync(join(import.meta.dirname, "../../node_modules", name, "package.json"), "utf8")
  ) as { readonly version: string }).version

/** The commit, marked when files differ from it; null outside a checkout. */
const revision = Effect.gen(function*() {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const git = (...args: ReadonlyArray<string>) => spawner.string(ChildProcess.make("git", args))
  const commit = (yield* git("rev-parse", "--short", "HEAD")).trim()
  return (yield* git("status", "--porcelain", "src", "scripts/bench")) === "" ? commit : `${commit} with changes`
}).pipe(Effect.orElseSucceed(() => null))

const surroundings = (pinned: boolean) => ({
  machine: {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    pinned: pinned ? `server to core ${serverCore}, client to core ${clientCore}` : "not pinned"
  },
  versions: {
    node: process.versions.node,
    ...Object.fromEntries(
      ["effect", "@effect/platform-node", "ws", "protobufjs"].map((name) => [name, versionOf(name)])
    )
  }
})

// ---- command --------------------------------------------------------------------------------------------------------

const indent = (lines: ReadonlyArray<string>): string => lines.map((line) => `  ${line}`).join("\n")

const bench = Effect.fnUntraced(function*(plan: Plan, json: Option.Option<string>) {
  const started = yield* DateTime.now
  const pinned = yield* canPin
  if (!pinned) yield* Console.error("taskset cannot bind processes to cores here: server and client share them")
  const before = yield* revision
  const setup = { port: yield* startServer(pinned), pinned }
  const faults: Array<string> = []
  const results = []
  for (const of of plan.cases) {
    const checked = yield* Effect.try({
      try: () => Check.check(of),
      catch: (cause) => new BenchFailed({ message: String(cause) })
    })
    const rounds = yield* flood(of, plan, setup)
    faults.push(...Results.faultsOf(of, rounds.flat()))
    const rows = Results.rowsOf(rounds)
    const ratios = Results.ratiosOf(of, rounds)
    results.push({ id: of.id, title: of.title, payloadBytes: checked.bytes, rows, ratios, rounds })
    yield* Console.log(`\n${of.title}, ${checked.bytes.toFixed(0)} B a payload\n`)
    yield* Console.log(indent(Results.rowTable(rows)))
    yield* Console.log(`\n${indent(Results.ratioTable(ratios, plan.scale === 1))}\n`)
  }
  const latencies = []
  for (const of of plan.latencyCases) {
    const rounds = yield* latency(of, plan, setup)
    faults.push(...Results.faultsOf(of, rounds.flat()))
    latencies.push({ id: of.id, rate: latencyRate, rows: Results.latencyRowsOf(of, rounds), rounds })
  }
  if (latencies.length > 0) {
    yield* Console.log(`\nLatency at ${latencyRate} messages a second, from the moment a frame was due\n`)
    yield* Console.log(`${indent(Results.latencyTable(latencies.flatMap(({ rows }) => rows)))}\n`)
  }
  if (Option.isSome(json)) {
    const { rounds, scale } = plan
    const file = {
      date: DateTime.formatIso(started),
      revisions: { before, after: yield* revision },
      ...surroundings(pinned),
      rounds,
      scale,
      titles,
      results,
      latencies
    }
    yield* (yield* FileSystem.FileSystem).writeFileString(json.value, `${JSON.stringify(file)}\n`)
  }
  if (faults.length > 0) return yield* new BenchFailed({ message: [...new Set(faults)].join("\n") })
  yield* Console.log("Every contestant got every frame and read it the same way: no fallback, no gap, no loss.")
}, Effect.scoped)

const command = Command.make("bench", {
  cases: Argument.Literals("case", Scenario.cases.map(({ id }) => id)).pipe(
    Argument.withDescription(`Which cases; all when left out: ${Scenario.cases.map(({ id }) => id).join(", ")}`),
    Argument.atLeast(0)
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write machine, versions, date and every sample to this file"),
    Flag.optional
  ),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Two short rounds, in less than a minute: shows whether it works, not how fast"),
    Flag.withDefault(false)
  ),
  rounds: Flags.int("rounds", 1, 1_000).pipe(Flag.withDescription("Rounds (default 7, quick 2)"), Flag.optional)
}, ({ cases, json, quick, rounds }) => bench(planOf(cases, rounds, quick), json)).pipe(
  Command.withDescription(
    "Floods this library over a loopback socket, beside raw ws with the same decoder, and prints ratios."
  )
)

Command.run(command, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
