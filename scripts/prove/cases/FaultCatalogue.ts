/** The named faults with seeds of their own, each run twice. */
import { Effect } from "effect"
import { catalogue } from "../../../test/faults/Catalogue.ts"
import type { Fault } from "../../../test/faults/Fault.ts"
import * as Run from "../../../test/faults/Run.ts"
import type { Subject } from "../../../test/suites/Exchange.ts"
import { subjects } from "../../../test/suites/Subjects.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"

interface Tally {
  runs: number
  events: number
  gaps: number
  readonly problems: Array<string>
  readonly unequal: Array<string>
}

const once = Effect.fnUntraced(function*(fault: Fault, subject: Subject, seed: number, tally: Tally) {
  const where = `${fault.name} on ${subject.adapter.id}, seed ${seed}`
  const [first, second] = [yield* Run.run(fault, subject, seed), yield* Run.run(fault, subject, seed)]
  tally.runs++
  tally.events += first.events
  tally.gaps += first.gaps
  if (first.problems.length > 0) tally.problems.push(`${where}: ${first.problems.join("; ")}`)
  if (first.log !== second.log) tally.unequal.push(where)
})

const found = (list: ReadonlyArray<string>): string =>
  list.length === 0 ? "none" : `${list.length}: ${list.slice(0, 3).join(" / ")}`

/** The quick one takes every so many of the catalogue, another part with every seed. */
const stride = 9

const chosen = ({ quick, seed }: Proof): ReadonlyArray<Fault> =>
  quick ? catalogue.filter((_, index) => index % stride === seed % stride) : catalogue

export const faults: Case = {
  name: "faults",
  proves:
    "Named faults on every exchange: gaps of the right causes, typed errors, right books, exact ledgers, recovery within bounds; the same seed gives the same log",
  run: Effect.fnUntraced(function*(proof) {
    const tally: Tally = { runs: 0, events: 0, gaps: 0, problems: [], unequal: [] }
    const seeds = Proofs.sizeOf(proof, 1, 10)
    for (let i = 0; i < seeds; i++) {
      for (const fault of chosen(proof)) {
        for (const subject of subjects.filter((each) => Run.applies(fault, each))) {
          yield* once(fault, subject, proof.seed + i, tally)
        }
      }
    }
    const { events, gaps, problems, runs, unequal } = tally
    proof.check(
      "what must hold for each fault holds",
      problems.length === 0 && runs > 0,
      `${chosen(proof).length} of ${catalogue.length} faults, ${runs} runs, ${events} events, ${gaps} gaps; broken ${
        found(problems)
      }`
    )
    proof.check(
      "the same seed gives the same log",
      unequal.length === 0,
      `${runs} pairs of runs, unequal ${found(unequal)}`
    )
    proof.figure("faults", catalogue.length)
    proof.figure("runs", runs)
  })
}
