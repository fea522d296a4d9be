/** Proofs that are test files of this repository: the conformance suite and the packed package. */
import { Effect } from "effect"
import * as adapters from "../../../src/exchanges/index.ts"
import type { TestRun } from "../Child.ts"
import * as Child from "../Child.ts"
import type { Case, Proof } from "../Proof.ts"

const countOf = ({ tests }: TestRun, state: string): number => tests.filter((test) => test.state === state).length

const report = (proof: Proof, promise: string, run: TestRun): void => {
  const [passed, failed, skipped] = [countOf(run, "passed"), countOf(run, "failed"), countOf(run, "skipped")]
  for (const { name, note, state } of run.tests) {
    if (state === "failed") proof.say(`failed: ${name}: ${note}`)
    if (state === "skipped") proof.say(`skipped: ${name}: ${note === "" ? "no reason given" : note}`)
  }
  for (const error of run.broken) proof.say(`error: ${error}`)
  proof.check(
    promise,
    passed > 0 && failed === 0 && run.broken.length === 0 && run.exitCode === 0,
    `${passed} passed, ${failed} failed, ${skipped} skipped, ${run.broken.length} errors outside tests`
  )
  proof.figure("passed", passed)
  proof.figure("failed", failed)
  proof.figure("skipped", skipped)
}

const rowsOf = ({ tests }: TestRun, groups: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  groups.map((group) => {
    const ours = tests.filter(({ suite }) => suite === group)
    return [
      group,
      ...["passed", "failed", "skipped"].map((state) => String(ours.filter((test) => test.state === state).length))
    ]
  })

export const conformance: Case = {
  name: "conformance",
  proves: "One suite of requirements, run over the simulator for every adapter, in memory and over real sockets",
  isTests: true,
  run: Effect.fnUntraced(function*(proof) {
    // Each test has an exchange of its own, and most of its time goes by waiting for real sockets.
    const parameters = ["test/exchanges/conformance", "--sequence.concurrent", "--maxConcurrency=8"]
    const run = yield* Child.vitest(parameters)
    const groups = [...new Set(run.tests.map(({ suite }) => suite))]
    proof.table(["suite", "passed", "failed", "skipped"], rowsOf(run, groups))
    report(proof, "every requirement is met by every adapter, in memory and over real sockets", run)
    const halves = Object.values(adapters).flatMap(({ id }) => [`${id} over memory`, `${id} over ports`])
    const sizes = new Set(halves.map((half) => run.tests.filter(({ suite }) => suite === half).length))
    proof.check(
      `all ${halves.length} ran the same requirements`,
      sizes.size === 1 && !sizes.has(0),
      `${[...sizes].join(", ")} each`
    )
  })
}

export const packed: Case = {
  name: "package",
  proves: "The packed tarball works for a stranger: installs, loads, types, and its command runs",
  isTests: true,
  run: Effect.fnUntraced(function*(proof) {
    const run = yield* Child.vitest(["test/package.test.ts"])
    report(proof, "the packed package works where nothing of this repository is", run)
  })
}
