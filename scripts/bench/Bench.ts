/** One run of some suites: compiles, starts the server, lets the contestants take turns, prints and writes what came. */
import { Console, DateTime, Effect, FileSystem, Option } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { readFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { join } from "node:path"
import * as Build from "./Build.ts"
import * as Check from "./Check.ts"
import { entries } from "./Contestants.ts"
import type { Setup } from "./Processes.ts"
import * as Processes from "./Processes.ts"
import { BenchFailed } from "./Processes.ts"
import type { Contestant, Job } from "./Protocol.ts"
import type { ResultsFile, Round, Section } from "./Results.ts"
import * as Results from "./Results.ts"
import type { Case } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"
import type { Plan, Suite } from "./Suites.ts"
import * as Suites from "./Suites.ts"

// ---- one section ----------------------------------------------------------------------------------------------------

/** In whole passes over all topics. */
const framesOf = ({ frames, job, of }: Plan, contestant: Contestant): number => {
  if (job.mode !== "flood" && job.mode !== "memory") return frames
  const pass = Scenario.passFramesOf(of)
  return Math.max(3, Math.round((frames * entries[contestant].share) / pass)) * pass
}

const jobOf = (plan: Plan, contestant: Contestant, setup: Setup): Job => ({
  caseId: plan.of.id,
  contestant,
  mode: "flood",
  port: setup.port,
  rate: 0,
  burst: 1,
  sockets: null,
  deflate: false,
  frames: framesOf(plan, contestant),
  deadline: Processes.longestRun + (plan.job.mode === "stability" ? plan.frames * 1_000 : 0),
  ...plan.job,
  tlsPort: plan.job.tlsPort === undefined ? null : setup.tlsPort
})

/** Who is told without a verdict takes part in every fifth round. */
const takingPart = ({ contestants, seldom }: Plan, round: number): ReadonlyArray<Contestant> =>
  contestants.filter((contestant) => round % 5 === 0 || !seldom.includes(contestant))

const measure = Effect.fnUntraced(function*(plan: Plan, setup: Setup) {
  const rounds: Array<Round> = []
  for (let round = 0; round < plan.rounds; round++) {
    yield* Console.error(`${plan.suite} ${plan.id}: round ${round + 1} of ${plan.rounds}`)
    rounds.push(
      yield* Effect.forEach(
        takingPart(plan, round),
        (contestant) => Processes.runClient(setup, jobOf(plan, contestant, setup), plan.module)
      )
    )
  }
  return rounds
})

/** Once a case: every decoder reads every frame to the same event. */
const checked = new Map<string, number>()

const check = (of: Case) =>
  Effect.tryPromise({
    try: async () => {
      const known = checked.get(of.id)
      if (known !== undefined) return known
      const { bytes } = await Check.check(of)
      checked.set(of.id, bytes)
      return bytes
    },
    catch: (cause) => new BenchFailed({ message: String(cause) })
  })

const indent = (lines: ReadonlyArray<string>): string => lines.map((line) => `  ${line}`).join("\n")

const show = Effect.fnUntraced(function*(section: Section, hasVerdicts: boolean) {
  yield* Console.log(`\n${section.suite}: ${section.title}\n`)
  yield* Console.log(indent(Results.rowTable(section)))
  const judged = Results.judgedOf(section)
  if (judged.length > 0) yield* Console.log(`\n${indent(Results.judgedTable(judged, hasVerdicts))}`)
})

// ---- surroundings ---------------------------------------------------------------------------------------------------

const packages = ["effect", "@effect/platform-node", "ws", "protobufjs", "ccxt", "gateio-api"]

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

const surroundings = (isPinned: boolean) => ({
  machine: {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    pinned: isPinned ? `server to core ${Processes.serverCore}, client to core ${Processes.clientCore}` : "not pinned"
  },
  versions: {
    node: process.versions.node,
    ...Object.fromEntries(packages.map((name) => [name, versionOf(name)]))
  }
})

// ---- a run ----------------------------------------------------------------------------------------------------------

export interface Wanted {
  readonly suites: ReadonlyArray<Suite>
  readonly cases: ReadonlyArray<string>
  readonly json: Option.Option<string>
  readonly quick: boolean
  readonly rounds: Option.Option<number>
  readonly before: Option.Option<string>
  /** Who takes part; empty: all. */
  readonly only: ReadonlyArray<Contestant>
  readonly stripped: boolean
  readonly duration: Option.Option<number>
}

const building = (make: () => Promise<Build.Build>) =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: make, catch: (cause) => new BenchFailed({ message: String(cause) }) }),
    ({ remove }) => Effect.sync(remove)
  )

const prepare = Effect.fnUntraced(function*({ before, stripped }: Wanted) {
  const isPinned = yield* Processes.canPin
  if (!isPinned) yield* Console.error("taskset cannot bind processes to cores here: server and client share them")
  const build = stripped ? Build.root : (yield* building(Build.current)).directory
  const older = Option.isSome(before) ? yield* building(() => Build.ofRevision(before.value)) : null
  const certificate = Processes.makeCertificate(`effect-exchange-bench-${process.pid}`)
  if (certificate === null) yield* Console.error("openssl is not there: nothing is measured over TLS")
  const ports = yield* Processes.startServer(isPinned, certificate)
  const extension = stripped ? "ts" : "js"
  return { ...ports, isPinned, certificate, build, extension, before: older?.directory ?? null } satisfies Setup
})

const verdictLine = (sections: ReadonlyArray<Section>): string => {
  const count = (verdict: string): number =>
    sections.flatMap(Results.judgedOf).filter((judged) => judged.verdict === verdict).length
  return `Targets: ${count("met")} met, ${count("missed")} missed, ${count("undecided")} undecided.`
}

const conclude = Effect.fnUntraced(function*(sections: ReadonlyArray<Section>, quick: boolean) {
  const faults = sections.flatMap(Results.faultsOf)
  if (faults.length > 0) return yield* new BenchFailed({ message: [...new Set(faults)].join("\n") })
  yield* Console.log(
    "\nEvery contestant but ccxt got every frame and read it the same way: no fallback, no gap, no loss."
  )
  if (quick) return yield* Console.log("A quick run shows whether it works, not how fast: no verdicts.")
  yield* Console.log(verdictLine(sections))
  for (const judged of Results.voidOf(sections)) {
    yield* Console.log(
      `VOID for claims against FLOOR: ${judged.section}, FLOOR reached ${
        Results.judgedText(judged, judged.estimate.median)
      } of LIMIT where the prototype reached ${Results.judgedText(judged, judged.target.bound!)}.`
    )
  }
})

export const run = Effect.fnUntraced(function*(wanted: Wanted) {
  const { before, duration, json, quick } = wanted
  const started = yield* DateTime.now
  const revisionBefore = yield* revision
  const setup = yield* prepare(wanted)
  const options: Suites.Options = {
    cases: wanted.cases,
    rounds: Option.getOrNull(wanted.rounds),
    isQuick: quick,
    hasBefore: setup.before !== null,
    only: wanted.only,
    duration: Option.getOrNull(duration)
  }
  const plans = wanted.suites.flatMap((suite) => Suites.plansOf(suite, options)).filter(({ job }) =>
    job.tlsPort === undefined || setup.tlsPort !== null
  )
  const sections: Array<Section> = []
  for (const plan of plans) {
    const payloadBytes = yield* check(plan.of)
    const { id, suite, title } = plan
    const section = { suite, id, title, payloadBytes, rounds: yield* measure(plan, setup) }
    sections.push(section)
    yield* show(section, !quick)
  }
  if (Option.isSome(json)) {
    const file: ResultsFile = {
      format: 2,
      date: DateTime.formatIso(started),
      command: `npm run bench -- ${process.argv.slice(2).join(" ")}`.replace(/ --json \S+/u, ""),
      isQuick: quick,
      revisions: { before: revisionBefore, after: yield* revision, compared: Option.getOrNull(before) },
      ...surroundings(setup.isPinned),
      sections
    }
    yield* (yield* FileSystem.FileSystem).writeFileString(json.value, `${JSON.stringify(file)}\n`)
  }
  yield* conclude(sections, quick)
}, Effect.scoped)
