/**
 * Captured, documented and constructed messages: the project's own, and those in `../shared/fixtures` beside the
 * checkout, which stay there. The comparing is done by the adapters' test files; this joins what became of each case to
 * the file that holds it, so that nothing is left out unseen.
 */
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Tested } from "../Child.ts"
import * as Child from "../Child.ts"
import type { Case, Proof } from "../Proof.ts"

const testFiles = [
  "test/exchanges/mexcSpot.test.ts",
  "test/exchanges/gateSpot.test.ts",
  "test/exchanges/gateFutures.test.ts",
  "test/exchanges/gateFixtures.test.ts",
  "test/exchanges/gateAccountFixtures.test.ts",
  "test/exchanges/mexcAccount.test.ts",
  "test/exchanges/signatures.test.ts"
]

const sharedFolder = join(Child.root, "../shared/fixtures")
const ownFolder = join(Child.root, "test/fixtures")

/** Why the cases of a shared file are not compared; the first that fits. */
const left: ReadonlyArray<readonly [file: RegExp, reason: string]> = [
  [
    /^gateio-futures\.futures\.(liquidates|position_adl_rank|reduce_risk_limits)\./,
    "private channel, not offered"
  ],
  [/^gateio-spot\.spot\.((cross|funding|margin)_balances|cross_loan|priceorders)\./, "private channel, not offered"],
  [/^gateio-spot\./, "channel not offered"]
]

interface FixtureFile {
  readonly name: string
  readonly ids: ReadonlyArray<string>
  /** The test files that may compare it. */
  readonly tests: ReadonlyArray<string>
}

const idsOf = (path: string): ReadonlyArray<string> =>
  readFileSync(path, "utf8").split("\n").filter((line) => line.trim() !== "").map((line) =>
    (JSON.parse(line) as { readonly id: string }).id
  )

const jsonl = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder).filter((name) => name.endsWith(".jsonl")).toSorted()

const own: Readonly<Record<string, string>> = {
  "mexc-spot": testFiles[0]!,
  "gate-spot": testFiles[1]!,
  "gate-futures": testFiles[2]!
}

const ownFiles = (): ReadonlyArray<FixtureFile> =>
  Object.entries(own).flatMap(([exchange, test]) =>
    jsonl(join(ownFolder, exchange)).map((name) => ({
      name: `${exchange}/${name}`,
      ids: idsOf(join(ownFolder, exchange, name)),
      tests: [test]
    }))
  )

const sharedFiles = (): ReadonlyArray<FixtureFile> =>
  existsSync(sharedFolder)
    ? jsonl(sharedFolder).map((name) => ({
      name: `shared/${name}`,
      ids: idsOf(join(sharedFolder, name)),
      tests: testFiles
    }))
    : []

interface Row {
  readonly name: string
  readonly cases: number
  passed: number
  failed: number
  skipped: number
  /** Cases of a file that is compared, without a test. */
  missing: number
  readonly reasons: Set<string>
}

/** A skipped test says why in its note or behind its id. */
const reasonOf = (test: Tested, id: string): string =>
  test.note === "" ? test.name.slice(id.length).trim().replace(/^\(|\)$/g, "") : test.note

const isOf = (test: Tested, id: string): boolean =>
  test.name === id || (test.state === "skipped" && test.name.startsWith(`${id} (`))

/** Takes the test of a case out of those that are left: two files may have a case of the same name. */
const take = (tests: Array<Tested>, file: FixtureFile, id: string): Tested | null => {
  const index = tests.findIndex((test) => file.tests.includes(test.file) && isOf(test, id))
  return index < 0 ? null : tests.splice(index, 1)[0]!
}

/** What became of a case; `left` says why its whole file is not compared. */
const enter = (row: Row, test: Tested | null, id: string, left: string | null): void => {
  if (test?.state === "passed") return void row.passed++
  if (test?.state === "failed") return void row.failed++
  const reason = test?.state === "skipped" ? reasonOf(test, id) : left
  if (reason === null) return void row.missing++
  row.skipped++
  row.reasons.add(reason)
}

const joined = (file: FixtureFile, tests: Array<Tested>): Row => {
  const { ids, name } = file
  const found = ids.map((id) => ({ id, test: take(tests, file, id) }))
  const row: Row = { name, cases: ids.length, passed: 0, failed: 0, skipped: 0, missing: 0, reasons: new Set() }
  const reason = left.find(([pattern]) => pattern.test(name.replace("shared/", "")))?.[1] ?? null
  const isLeft = found.every(({ test }) => test === null)
  for (const { id, test } of found) enter(row, test, id, isLeft ? reason : null)
  return row
}

const report = (proof: Proof, rows: ReadonlyArray<Row>): void => {
  proof.table(
    ["fixtures", "cases", "passed", "failed", "skipped", "no test"],
    rows.map((
      { cases, failed, missing, name, passed, skipped }
    ) => [name, ...[cases, passed, failed, skipped, missing].map(String)])
  )
  const reasons = new Map<string, number>()
  for (const row of rows) {
    if (row.skipped > 0) {
      reasons.set([...row.reasons].join("; "), (reasons.get([...row.reasons].join("; ")) ?? 0) + row.skipped)
    }
  }
  for (const [reason, count] of reasons) proof.say(`skipped ${count}: ${reason}`)
}

const provenPresence = (proof: Proof): void => {
  const isThere = existsSync(sharedFolder)
  const isRequired = process.env["REQUIRE_FIXTURES"] === "1"
  if (!isThere) proof.say("skipped all shared fixtures: there is no ../shared/fixtures beside this checkout")
  const found = isThere ? "they are there" : isRequired ? "absent, REQUIRE_FIXTURES=1" : "absent, not required"
  proof.check("the shared fixtures are there when they are required", isThere || !isRequired, found)
  proof.figure("shared_fixtures", isThere)
}

const provenCases = (proof: Proof, run: Child.TestRun, rows: ReadonlyArray<Row>): void => {
  const sum = (field: "cases" | "passed" | "failed" | "skipped" | "missing") =>
    rows.reduce((total, row) => total + row[field], 0)
  for (const test of run.tests) if (test.state === "failed") proof.say(`failed: ${test.name}: ${test.note}`)
  for (const error of run.broken) proof.say(`error: ${error}`)
  proof.check(
    "every case of a channel on offer decodes to what it must",
    sum("failed") === 0 && sum("passed") > 0 && run.exitCode === 0,
    `${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped of ${
      sum("cases")
    }, ${run.broken.length} errors outside tests`
  )
  proof.check("no case of these files is without a test", sum("missing") === 0, `${sum("missing")} without`)
  for (const field of ["passed", "failed", "skipped"] as const) proof.figure(field, sum(field))
}

export const fixtures: Case = {
  name: "fixtures",
  proves:
    "The project's own fixtures of every channel and those of these channels in ../shared/fixtures decode to what they must",
  run: Effect.fnUntraced(function*(proof) {
    const run = yield* Child.vitest(testFiles)
    const tests = [...run.tests]
    const rows = [...ownFiles(), ...sharedFiles()].map((file) => joined(file, tests))
    report(proof, rows)
    provenPresence(proof)
    provenCases(proof, run, rows)
  })
}
