/** `prove`: runs proofs, prints what they find, and fails when a promise is broken. */
import { Cause, Console, Effect, Exit, Logger, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Failure from "../../src/cli/Failure.ts"
import * as Flags from "../../src/cli/Flags.ts"
import { node } from "./Child.ts"
import type { Case, Finding, Settings } from "./Proof.ts"
import * as Proof from "./Proof.ts"
import { cases } from "./Registry.ts"
import type { Outcome, Verdict } from "./Verdict.ts"
import { closingWords, lastLine, verdictOf } from "./Verdict.ts"

/** What reached the process itself: nothing of a library may. */
const escaped: Array<unknown> = []

const note = (error: unknown): void => void escaped.push(error)

/** A rejection or exception that nobody handles is noted and judged, in place of ending the process. */
const watchProcess = Effect.acquireRelease(
  Effect.sync(() => process.on("unhandledRejection", note).on("uncaughtException", note)),
  () => Effect.sync(() => process.off("unhandledRejection", note).off("uncaughtException", note))
)

/** Errors that were logged: a proof that meets one did not go as it thinks. */
const makeErrorLog = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel !== "Error" && logLevel !== "Fatal") return
    lines.push(`${String(message)} ${Cause.pretty(cause)}`.trim())
  })
  return { lines, layer: Logger.layer([logger]) }
}

const seconds = (since: bigint): number => Number(process.hrtime.bigint() - since) / 1e9

const unforeseen = (exit: Exit.Exit<void, unknown>): ReadonlyArray<Finding> =>
  Exit.isSuccess(exit)
    ? []
    : [{ promise: "the proof runs to its end", holds: false, isLate: false, found: Cause.pretty(exit.cause) }]

const quiet = (promise: string, noise: ReadonlyArray<unknown>): Finding => ({
  promise,
  holds: noise.length === 0,
  isLate: false,
  found: noise.length === 0 ? "none" : `${noise.length}, first: ${String(noise[0])}`
})

const runCase = Effect.fnUntraced(function*(one: Case, settings: Settings): Effect.fn.Return<Outcome> {
  const say = (line: string): void => console.log(line)
  say(`${one.name} (seed ${settings.seed}${settings.quick ? ", quick" : ""}): ${one.proves}`)
  const began = process.hrtime.bigint()
  const before = escaped.length
  const log = makeErrorLog()
  const { proof, findings, figures } = Proof.make(settings, say)
  const exit = yield* Effect.exit(one.run(proof).pipe(Effect.provide(log.layer)))
  const noise: ReadonlyArray<Finding> = [
    ...unforeseen(exit),
    quiet("no unhandled rejection or exception", escaped.slice(before)),
    quiet("no error logged by the library", log.lines)
  ]
  for (const { promise, holds, found } of noise) proof.check(promise, holds, found)
  const outcome = { name: one.name, findings, figures, seconds: seconds(began) }
  say(`  ${closingWords(verdictOf(outcome, settings))} in ${outcome.seconds.toFixed(1)} s`)
  return outcome
})

// ---- processes of their own -----------------------------------------------------------------------------------------

const parametersOf = (name: string, { part, quick, scale, seed }: Settings): ReadonlyArray<string> => [
  "scripts/prove/main.ts",
  name,
  "--json",
  "--seed",
  String(seed),
  "--scale",
  String(scale),
  ...quick ? ["--quick"] : [],
  ...part === null ? [] : ["--part", part]
]

const lost = (name: string, found: string, settings: Settings, took: number): Verdict =>
  verdictOf({
    name,
    findings: [{ promise: "the proof runs to its end", holds: false, isLate: false, found }],
    figures: {},
    seconds: took / 1_000
  }, settings)

const readVerdict = (line: string | undefined): Verdict | null => {
  try {
    return JSON.parse(line ?? "") as Verdict
  } catch {
    return null
  }
}

/** One proof in a process of its own; what it prints comes when it has ended. */
const runApart = Effect.fnUntraced(function*({ name }: Case, settings: Settings) {
  const { code, errors, lines, took } = yield* node(parametersOf(name, settings))
  const verdict = readVerdict(lines.at(-1)?.text)
  for (const { text } of verdict === null ? lines : lines.slice(0, -1)) yield* Console.log(text)
  return verdict ?? lost(name, `exit code ${code}: ${errors.slice(-2_000)}`, settings, took)
})

const list = Effect.gen(function*() {
  const width = Math.max(...cases.map(({ name }) => name.length))
  for (const { name, proves } of cases) yield* Console.log(`${name.padEnd(width)}  ${proves}`)
})

const names = [...cases.map(({ name }) => name), "all"]

interface Running {
  readonly json: boolean
  readonly jobs: number
  /** Leaves out what `npm test` runs too. */
  readonly withoutTests: boolean
}

const chosenBy = (name: string, withoutTests: boolean): ReadonlyArray<Case> =>
  name === "all"
    ? cases.filter(({ isTests }) => !(withoutTests && isTests === true))
    : cases.filter((one) => one.name === name)

const prove = Effect.fnUntraced(function*(name: string, settings: Settings, { jobs, json, withoutTests }: Running) {
  const inOrder = chosenBy(name, withoutTests)
  const chosen = jobs > 1
    ? [...inOrder.filter(({ isLong }) => isLong), ...inOrder.filter(({ isLong }) => !isLong)]
    : inOrder
  const began = process.hrtime.bigint()
  const verdicts = yield* Effect.forEach(
    chosen,
    (one) =>
      jobs > 1
        ? runApart(one, settings)
        : Effect.map(runCase(one, settings), (outcome) => verdictOf(outcome, settings)),
    { concurrency: jobs }
  )
  yield* Console.log(lastLine(verdicts, seconds(began), json, name === "all"))
  const broken = verdicts.filter(({ ok }) => !ok).map((verdict) => verdict.case)
  if (broken.length > 0) yield* Failure.failed(`promises broken in ${broken.join(", ")}`)
})

export const command = Command.make(
  "prove",
  {
    name: Argument.Literals("case", names).pipe(
      Argument.withDescription("The proof to run, or all"),
      Argument.optional
    ),
    list: Flag.Boolean("list").pipe(
      Flag.withDescription("Name every proof and what it proves"),
      Flag.withDefault(false)
    ),
    seed: Flags.seed,
    quick: Flag.Boolean("quick").pipe(Flag.withDescription("Small sizes"), Flag.withDefault(false)),
    scale: Flag.Finite("scale").pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("Multiply the amount of work (default 1)"),
      Flag.filter((scale) => scale > 0, (scale) => `a number above zero; ${scale} is none`),
      Flag.withDefault(1)
    ),
    jobs: Flag.Int("jobs").pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("So many proofs at once, each in a process of its own (default 1)"),
      Flag.filter((jobs) => jobs > 0, (jobs) => `a number above zero; ${jobs} is none`),
      Flag.withDefault(1)
    ),
    withoutTests: Flag.Boolean("without-tests").pipe(
      Flag.withDescription("Of all, leave out those that are test files: npm test runs them"),
      Flag.withDefault(false)
    ),
    part: Flag.String("part").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("Only this part of the proof, where it has parts"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print the figures as one line of JSON at the end"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ jobs, json, list: wantsList, name, part, quick, scale, seed, withoutTests }) {
    if (wantsList) return yield* list
    if (Option.isNone(name)) return yield* Failure.usage(`name a proof: ${names.join(", ")}`)
    const parts = cases.find((one) => one.name === name.value)?.parts ?? []
    if (Option.isSome(part) && !parts.includes(part.value)) {
      const has = parts.length === 0 ? "no parts" : `the parts ${parts.join(", ")}`
      return yield* Failure.usage(`${name.value} has ${has}, not ${part.value}`)
    }
    yield* watchProcess
    yield* prove(name.value, { seed, quick, scale, part: Option.getOrNull(part) }, { json, jobs, withoutTests })
  }, Effect.scoped)
).pipe(
  Command.withDescription("Prove the library's promises against the simulator. A broken promise is a non-zero exit.")
)
