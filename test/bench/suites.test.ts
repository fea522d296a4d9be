/** What is measured and what is asked for name the same things. */
import { assert, it } from "@effect/vitest"
import * as Scenario from "../../scripts/bench/Scenario.ts"
import * as Suites from "../../scripts/bench/Suites.ts"
import { targets } from "../../scripts/bench/Targets.ts"

const options: Suites.Options = { cases: [], rounds: null, isQuick: false, hasBefore: true, only: [], duration: null }

const everything = { ...options, cases: Scenario.cases.map(({ id }) => id) }

it("every target is of a section that its suite can measure, with the contestants that it compares", () => {
  for (const { against, contestant, sections, suite } of targets) {
    const found = Suites.suites.find(({ id }) => id === suite)
    assert.isDefined(found, suite)
    const cases = suite === "latency" ? ["mexc-ticker", "gate-ticker", "futures-ticker"] : everything.cases
    const plans = new Map(Suites.plansOf(found, { ...everything, cases }).map((plan) => [plan.id, plan]))
    for (const section of sections) {
      const contestants = plans.get(section)?.contestants ?? []
      // MEXC is not known to gateio-api.
      const isAbsent = against === "gateioApi" && section.startsWith("mexc")
      const wanted = [contestant, ...(against === null || isAbsent ? [] : [against])]
      for (const each of wanted) assert.include(contestants, each, `${suite} ${section}`)
    }
  }
})

it("a quick run is a small part of a whole one", () => {
  const count = (isQuick: boolean): number =>
    Suites.suites.filter(({ id }) => !isQuick || Suites.quickSuites.has(id)).flatMap((suite) =>
      Suites.plansOf(suite, { ...options, hasBefore: false, isQuick })
    ).reduce((sum, { contestants, rounds }) => sum + contestants.length * rounds, 0)
  assert.isBelow(count(true), 30)
  assert.isAbove(count(false), 20 * count(true))
})

it("no case by a name that is not there", () => {
  assert.throws(() => Scenario.caseById("nasdaq"), /no case nasdaq; there are mexc-ticker, /u)
})
