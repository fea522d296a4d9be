import { assert, describe, it } from "@effect/vitest"
import { budgetMillis, TurnBudget } from "../../src/connection/TurnBudget.ts"

/** A budget whose clock and turns are the test's. */
const setup = () => {
  let now = 0
  const turns: Array<() => void> = []
  const budget = new TurnBudget(() => now, (run) => turns.push(run))
  return {
    budget,
    pass: (millis: number) => {
      now += millis
    },
    /** The next turn; false when none is asked for. */
    turn: () => {
      const run = turns.shift()
      run?.()
      return run !== undefined
    },
    asked: () => turns.length
  }
}

describe("TurnBudget", () => {
  it("is spent by what is worked on without a pause, whoever works", () => {
    const { budget, pass } = setup()
    budget.begin()
    pass(budgetMillis / 2)
    assert.isFalse(budget.isSpent())
    budget.begin()
    pass(budgetMillis / 2)
    assert.isTrue(budget.isSpent())
  })

  it("begins anew when nothing was worked on for a while", () => {
    const { budget, pass } = setup()
    for (let read = 0; read < 10; read++) {
      pass(1)
      budget.begin()
      assert.isFalse(budget.isSpent())
    }
  })

  it("lets those that wait take turns, each as long as the budget allows, until nothing is left", () => {
    const { asked, budget, pass, turn } = setup()
    const worked: Array<string> = []
    const waiting = (name: string, pieces: number) => {
      let left = pieces
      budget.wait(() => {
        do {
          worked.push(name)
          left--
          pass(budgetMillis / 2)
        } while (left > 0 && !budget.isSpent())
        return left > 0
      })
    }
    waiting("a", 5)
    waiting("b", 1)
    waiting("c", 2)
    assert.strictEqual(asked(), 1, "one turn is asked for, whoever waits")
    const seen: Array<string> = []
    while (turn()) seen.push(worked.splice(0).join(""))
    assert.deepStrictEqual(seen, ["aa", "bc", "aa", "ca"])
    assert.strictEqual(asked(), 0)
  })

  it("goes on with the others when one throws", () => {
    const { budget, turn } = setup()
    let called = 0
    budget.wait(() => {
      throw new Error("broken")
    })
    budget.wait(() => {
      called++
      return false
    })
    assert.throws(turn, "broken")
    assert.isTrue(turn())
    assert.strictEqual(called, 1)
    assert.isFalse(turn())
  })
})
