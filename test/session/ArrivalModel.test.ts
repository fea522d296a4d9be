import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import type { ArrivalBounds } from "../../src/session/ArrivalModel.ts"
import { ArrivalModel, learningGaps, learningMillis } from "../../src/session/ArrivalModel.ts"

const bounds: ArrivalBounds = { floor: 4_000, ceiling: 600_000, initial: 60_000, factor: 3 }

/** A model that has seen these gaps, ms, one after the other. */
const after = (gaps: Iterable<number>, of: ArrivalBounds = bounds): ArrivalModel => {
  const model = new ArrivalModel(of)
  let at = 1_000
  model.arrived(at)
  for (const gap of gaps) model.arrived(at += gap)
  return model
}

const same = (gap: number, count: number): ReadonlyArray<number> => Array.from({ length: count }, () => gap)

const Gap = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))

describe("ArrivalModel", () => {
  it("keeps to the initial bound, and three times that once it is heard, until it has seen enough", () => {
    assert.strictEqual(new ArrivalModel(bounds).bound, 60_000)
    assert.strictEqual(after([]).bound, 180_000)
    assert.strictEqual(after(same(10, 1_000)).bound, 180_000)
    assert.strictEqual(after(same(10_000, learningGaps - 1)).bound, 180_000)
    assert.strictEqual(after(same(learningMillis / learningGaps, learningGaps)).bound, 4_000)
    // A gap that is longer is believed at once.
    assert.closeTo(after([70_000]).bound, 210_000, 1)
  })

  it("allows three times the longest gap, between floor and ceiling", () => {
    assert.strictEqual(after(same(100, 1_000)).bound, 4_000)
    assert.closeTo(after([...same(100, 1_000), 5_000]).bound, 15_000, 1)
    assert.strictEqual(after(same(300_000, 100)).bound, 600_000)
  })

  it("forgets a gap over a thousand arrivals or ten minutes, whichever takes longer", () => {
    const half = Math.LN2
    const fast = after([...same(100, 1_000), 20_000])
    assert.closeTo(fast.bound, 60_000, 1)
    // A thousand arrivals take a minute here: time decides.
    assert.closeTo(
      after([...same(100, 1_000), 20_000, ...same(100, 1_000)]).bound,
      60_000 * (1 - 100_000 / 600_000),
      1_500
    )
    assert.closeTo(after([...same(100, 1_000), 20_000, ...same(100, Math.round(half * 6_000))]).bound, 30_000, 300)
    // Ten minutes hold thirty arrivals here: their number decides.
    assert.isAbove(after([...same(10_000, 100), 60_000, ...same(10_000, 100)]).bound, 150_000)
  })

  it("counts what is read at once as one arrival, and a clock that goes back as none", () => {
    const model = new ArrivalModel(bounds)
    for (let at = 1_000; at <= 101_000; at += 1_000) {
      for (let i = 0; i < 50; i++) model.arrived(at)
      model.arrived(at - 5)
      model.arrived(at)
    }
    assert.isTrue(model.isLearned)
    assert.closeTo(model.bound, 4_000, 1)
  })

  it("does not count the gap behind a pause", () => {
    const model = after(same(1_000, 100))
    model.pause()
    model.arrived(10_000_000)
    assert.strictEqual(model.bound, 4_000)
    model.arrived(10_002_000)
    assert.closeTo(model.bound, 6_000, 1)
  })

  it("believes a doubtful gap a little at a time", () => {
    const model = after(same(2_000, 100))
    model.suspect(60_000)
    assert.closeTo(model.bound, 12_000, 20)
    model.suspect(60_000)
    assert.closeTo(model.bound, 24_000, 40)
    model.learn(60_000)
    assert.closeTo(model.bound, 180_000, 1)
  })

  it.prop("never leaves its bounds, and never calls silence what it has just seen", {
    gaps: Schema.Array(Gap),
    factor: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 10 }))
  }, ({ factor, gaps }) => {
    const model = new ArrivalModel({ ...bounds, factor })
    let at = 1
    model.arrived(at)
    for (const gap of gaps) {
      model.arrived(at += gap)
      assert.isAtLeast(model.bound, 4_000)
      assert.isAtMost(model.bound, 600_000)
      assert.isAtLeast(model.bound, Math.min(600_000, gap))
    }
  })

  it.prop("does not depend on when the topic began", { gaps: Schema.Array(Gap) }, ({ gaps }) => {
    const whole = gaps.map(Math.round)
    const early = new ArrivalModel(bounds)
    const late = new ArrivalModel(bounds)
    let at = 1
    for (const gap of [0, ...whole]) {
      at += gap
      early.arrived(at)
      late.arrived(at + 1_795_564_800_000)
    }
    assert.strictEqual(early.bound, late.bound)
  })

  it.effect("gives steady traffic of any pace a bound that it hardly ever passes", () =>
    Effect.gen(function*() {
      const random = yield* Random.Random
      for (const mean of [100, 1_000, 10_000]) {
        const model = new ArrivalModel(bounds)
        let at = 1
        let alarms = 0
        for (let i = 0; i < 20_000; i++) {
          const gap = -mean * Math.log(1 - random.nextDoubleUnsafe())
          if (gap > model.bound) alarms++
          model.arrived(at += gap)
        }
        assert.strictEqual(alarms, 0, `mean gap ${mean} ms`)
        assert.isBelow(model.bound, Math.max(4_001, 60 * mean))
      }
    }).pipe(Random.withSeed(5)))
})
