/** The other groups of faults, the catalogue itself, and whether a broken promise would be seen at all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { subjects } from "../suites/Subjects.ts"
import { catalogue } from "./Catalogue.ts"
import type { Fault } from "./Fault.ts"
import { groups } from "./Fault.ts"
import { faultsSuite } from "./faultsSuite.ts"
import { replaced } from "./Network.ts"
import * as Run from "./Run.ts"

faultsSuite("consumer", "data", "rest", "time")

describe("the catalogue", () => {
  it("names at least 60 faults, each once, of every group", () => {
    const names = catalogue.map(({ name }) => name)
    assert.isAtLeast(names.length, 60)
    assert.strictEqual(new Set(names).size, names.length)
    assert.deepStrictEqual(new Set(catalogue.map(({ group }) => group)), new Set(groups))
    for (const name of names) assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/)
  })
})

describe("what would be seen", () => {
  const lying = (name: string, act: Fault["act"], more: Partial<Fault> = {}): Fault => ({
    name,
    group: "data",
    injects: "",
    when: "",
    holds: "",
    from: "running",
    act,
    expect: { gaps: [], within: 1_000, exact: false },
    ...more
  })

  const problemsOf = (fault: Fault) =>
    Effect.map(Run.run(fault, subjects[0]!, 1), ({ problems }) => problems.join("\n"))

  it.live("a price that the wire has changed", () =>
    Effect.gen(function*() {
      const fault = lying("changed", (world) =>
        Effect.gen(function*() {
          world.network.down = (frame, { channel }, pass) =>
            pass(channel === "Book" ? replaced(frame, ".5", ".6") : frame)
          yield* Effect.sleep(2_000)
          world.network.down = null
        }))
      assert.include(yield* problemsOf(fault), "differs from the exchange's")
    }))

  it.live("a trade that comes twice", () =>
    Effect.gen(function*() {
      const fault = lying("twice", (world) =>
        Effect.andThen(Effect.orDie(world.simulator.inject("duplicate:50%@0s:1s")), Effect.sleep(1_000)))
      assert.include(yield* problemsOf(fault), "came twice")
    }))

  it.live("a gap that is missing, one too many, an error that did not come and a topic that stays away", () =>
    Effect.gen(function*() {
      const drop: Fault["act"] = (world) => Effect.orDie(Effect.asVoid(world.simulator.inject("drop")))
      const none = lying("none", () => Effect.void, {
        expect: { gaps: ["Sequence"], errors: ["Silent"], within: 1_000 }
      })
      assert.include(yield* problemsOf(none), "no gap says Sequence")
      assert.include(yield* problemsOf(none), "no error says Silent")
      assert.include(yield* problemsOf(lying("drop", drop)), "a gap says Reconnected")
      const late = lying("late", drop, { expect: { gaps: ["Reconnected"], within: 0 } })
      assert.include(yield* problemsOf(late), "not every topic delivers within 0 ms")
    }))

  it.live("frames that were sent and not received", () =>
    Effect.gen(function*() {
      const fault = lying("lost", (world) =>
        Effect.gen(function*() {
          world.network.down = (frame, { channel }, pass) => channel === "BookTicker" ? undefined : pass(frame)
          yield* Effect.sleep(500)
          world.network.down = null
        }), { expect: { gaps: [], within: 1_000 } })
      assert.match(yield* problemsOf(fault), /\d+ sent, \d+ received/)
    }))
})
