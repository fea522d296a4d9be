/**
 * `npm run mutation [-- NAME…]`: changes the pure hearts one place at a time and counts the changes that their tests
 * notice. Fails below 80 % for any file. `docs/mutation.md` keeps the last scores and the survivors that mean nothing.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, DateTime, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { spawnSync } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Failure from "../src/cli/Failure.ts"
import type { Heart } from "./mutation/Hearts.ts"
import { hearts } from "./mutation/Hearts.ts"
import * as Report from "./mutation/Report.ts"

const root = resolve(import.meta.dirname, "..")
const reportFile = resolve(root, "node_modules/.cache/mutation.json")
const page = resolve(root, "docs/mutation.md")
const bound = 80

/** Stryker in a process of its own: it changes a copy of the repository below `.stryker-tmp`. */
const stryker = (heart: Heart, resumes: boolean): ReadonlyArray<Report.FileScore> | null => {
  rmSync(reportFile, { force: true })
  const partFile = resolve(root, `node_modules/.cache/mutation ${heart.name}.json`)
  if (!resumes) rmSync(partFile, { force: true })
  // Left behind by a run that was ended.
  rmSync(resolve(root, ".stryker-tmp"), { recursive: true, force: true })
  const { signal, status } = spawnSync(process.execPath, [
    "node_modules/@stryker-mutator/core/bin/stryker.js",
    "run",
    "test/stryker.config.json",
    "--mutate",
    heart.files.join(),
    "--incremental",
    "--incrementalFile",
    partFile
  ], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    // Stryker's own `--testFiles` keeps mutants of module code asleep (10.1.1), and they would count as survivors.
    env: { ...process.env, MUTATION_TESTS: heart.tests.join() }
  })
  if (status !== 0) console.error(`Stryker ended with ${status ?? signal}`)
  return status === 0 ? Report.read(reportFile) : null
}

const survivorLine = ({ became, covered, line, was }: Report.Survivor): string =>
  `    ${line}: ${was} => ${became}${covered ? "" : " (no test comes here)"}`

const scoreLine = (score: Report.FileScore): string =>
  `${score.file}: ${Report.percent(score).toFixed(1)} %, ${Report.found(score)} of ${
    Report.mutantsOf(score)
  } mutants noticed (${score.timedOut} by the clock)`

const row = (score: Report.FileScore, date: string): string =>
  `| \`${score.file}\` | ${Report.mutantsOf(score)} | ${Report.found(score)} | ${score.survivors.length} | ${
    Report.percent(score).toFixed(1)
  } % | ${date} |`

/** Replaces the rows of these files in the page's table and leaves the others. */
const write = (scores: ReadonlyArray<Report.FileScore>, date: string): void => {
  const text = readFileSync(page, "utf8")
  const [, before, table, after] = /^(.*<!-- scores -->\n)(.*)(<!-- \/scores -->.*)$/s.exec(text) ?? []
  if (table === undefined) throw new Error("docs/mutation.md has no table of scores")
  const [head, rule, ...rows] = table.trim().split("\n")
  const kept = rows.filter((line) => !scores.some(({ file }) => line.startsWith(`| \`${file}\``)))
  const all = [...kept, ...scores.map((score) => row(score, date))].sort()
  writeFileSync(page, `${before}${[head, rule, ...all].join("\n")}\n${after}`)
}

const isChosen = (heart: Heart, names: ReadonlyArray<string>): boolean =>
  names.length === 0 || names.some((name) => heart.name === name || heart.files.some((file) => file.includes(name)))

const command = Command.make(
  "mutation",
  {
    names: Argument.String("name").pipe(
      Argument.withDescription("Name of a heart, or part of a file's path; all when left out"),
      Argument.variadic()
    ),
    resume: Flag.Boolean("resume").pipe(
      Flag.withDescription("Go on where the last run of this was ended: for machines on which it takes long"),
      Flag.withDefault(false)
    ),
    write: Flag.Boolean("write").pipe(
      Flag.withDescription("Keep the scores in docs/mutation.md"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ names, resume, write: keeps }) {
    const chosen = hearts.filter((heart) => isChosen(heart, names))
    if (chosen.length === 0) {
      return yield* Failure.usage(`no heart of that name; there are ${hearts.map(({ name }) => name).join(", ")}`)
    }
    const low: Array<string> = []
    for (const heart of chosen) {
      yield* Console.log(`${heart.name}: ${heart.files.join(" ")}`)
      const scores = stryker(heart, resume)
      if (scores === null) return yield* Failure.failed(`Stryker did not run for ${heart.name}`)
      for (const score of scores) {
        yield* Console.log([scoreLine(score), ...score.survivors.map(survivorLine)].join("\n"))
        if (Report.percent(score) < bound) low.push(score.file)
      }
      if (keeps) write(scores, DateTime.formatIsoDateUtc(yield* DateTime.now))
    }
    if (low.length > 0) yield* Failure.failed(`below ${bound} %: ${low.join(", ")}`)
  })
).pipe(Command.withDescription("Mutation testing of the pure hearts."))

Command.run(command, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(Failure.exitCode(exit)) })
)
