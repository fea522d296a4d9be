/** The tests of the named faults of some groups. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { subjects } from "../suites/Subjects.ts"
import { catalogue } from "./Catalogue.ts"
import type { Group } from "./Fault.ts"
import * as Run from "./Run.ts"

const seed = 1

export const faultsSuite = (...groups: ReadonlyArray<Group>): void => {
  for (const group of groups) {
    const faults = catalogue.filter((fault) => fault.group === group)
    describe(group, () => {
      for (const [index, fault] of faults.entries()) {
        const those = subjects.filter((subject) => Run.applies(fault, subject))
        for (const [place, subject] of those.entries()) {
          it.live(`${fault.name} on ${subject.adapter.id}`, () =>
            Effect.gen(function*() {
              const report = yield* Run.run(fault, subject, seed)
              assert.deepStrictEqual(report.problems, [])
              // Twice on one exchange each; `npm run faults` does it on all.
              if (index % those.length !== place) return
              assert.strictEqual((yield* Run.run(fault, subject, seed)).log, report.log)
            }))
        }
      }
    })
  }
}
