import { assert, describe, it } from "@effect/vitest"
import { budgetMillis, longestMillis, TurnBudget, turnMillis } from "../../src/connection/TurnBudget.ts"

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
    assert.isFalse(budget.checkSpent())
    budget.begin()
    pass(budgetMillis / 2)
    assert.isFalse(budget.checkSpent(), "some of it may have been in the turn before")
    pass(budgetMillis)
    assert.isTrue(budget.checkSpent())
  })

  it("is never spent by what many turns have done together", () => {
    const { budget, pass, turn } = setup()
    for (let read = 0; read < 100; read++) {
      budget.begin()
      pass(budgetMillis / 3)
      assert.isFalse(budget.checkSpent())
      if (read % 2 === 1) turn()
    }
  })

  it("is exceeded later than it is spent: a read of usual frames is worked on to its end", () => {
    const { budget, pass } = setup()
    budget.begin()
    pass(budgetMillis)
    assert.deepStrictEqual([budget.checkSpent(), budget.checkExceeded()], [false, false])
    pass(budgetMillis)
    assert.deepStrictEqual([budget.checkSpent(), budget.checkExceeded()], [true, false])
    pass(longestMillis - budgetMillis)
    assert.isTrue(budget.checkExceeded())
  })

  it("is not exceeded by reads of usual frames, however many sockets have one in the same turn, before all of them took long", () => {
    const { budget, pass } = setup()
    const read = longestMillis / 2
    /** Whether it is exceeded, read by read. */
    const reads = Array.from({ length: 8 }, () => {
      budget.begin()
      pass(read)
      return budget.checkExceeded()
    })
    const usual = Math.ceil(turnMillis / read)
    // The time of the turns before is part of the first bound.
    assert.deepStrictEqual(reads, reads.map((_, index) => index >= 2 * usual - 1))
    assert.include(reads, true)
  })

  it("is exceeded by one read that takes long, however little the others of its turn took", () => {
    const { budget, pass } = setup()
    budget.begin()
    pass(longestMillis / 2)
    budget.begin()
    pass(longestMillis / 2)
    assert.isFalse(budget.checkExceeded())
    pass(longestMillis / 2)
    assert.isTrue(budget.checkExceeded())
  })

  it("begins anew when nothing was worked on for a while", () => {
    const { budget, pass } = setup()
    for (let read = 0; read < 10; read++) {
      pass(1)
      budget.begin()
      assert.isFalse(budget.checkSpent())
    }
  })

  describe("lets those that wait take turns, each as long as the budget allows, until nothing is left", () => {
    /** What is worked on in each turn, two pieces of work being what a turn takes. */
    const turnsOf = (all: ReadonlyArray<readonly [name: string, pieces: number, owner: string]>) => {
      const { asked, budget, pass, turn } = setup()
      let worked = ""
      for (const [name, pieces, owner] of all) {
        let left = pieces
        budget.wait(owner, () => {
          do {
            worked += name
            left--
            pass(budgetMillis / 2)
          } while (left > 0 && !budget.checkSpent())
          return left > 0
        })
      }
      assert.strictEqual(asked(), 1, "one turn is asked for, whoever waits")
      const turns: Array<string> = []
      while (turn()) {
        turns.push(worked)
        worked = ""
      }
      assert.strictEqual(asked(), 0)
      return turns
    }

    it("of one owner", () => {
      assert.deepStrictEqual(turnsOf([["a", 5, "one"], ["b", 1, "one"], ["c", 2, "one"]]), ["aa", "bc", "aa", "ca"])
    })

    it("of two owners, as much for each, however many wait", () => {
      const many = ["a", "b", "c", "d"].map((name) => [name, 4, "one"] as const)
      assert.deepStrictEqual(
        turnsOf([...many, ["x", 6, "two"]]),
        ["aa", "xx", "bb", "xx", "cc", "xx", "dd", "aa", "bb", "cc", "dd"]
      )
    })
  })

  it("goes on with the others when one throws", () => {
    const { budget, turn } = setup()
    let called = 0
    budget.wait("one", () => {
      throw new Error("broken")
    })
    budget.wait("two", () => {
      called++
      return false
    })
    assert.throws(turn, "broken")
    assert.isTrue(turn())
    assert.strictEqual(called, 1)
    assert.isFalse(turn())
  })
})
