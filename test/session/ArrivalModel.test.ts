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
  it("keeps to the initial bound, and three times that once it is heard, while little was seen", () => {
    assert.strictEqual(new ArrivalModel(bounds).bound, 60_000)
    assert.strictEqual(after([]).bound, 180_000)
    assert.strictEqual(after(same(1_000, 3)).bound, 180_000)
    assert.strictEqual(after(same(learningMillis / learningGaps, learningGaps)).bound, 4_000)
    // A gap that is longer is believed at once.
    assert.closeTo(after([70_000]).bound, 210_000, 1)
  })

  it("allows less and less the more has come, before it has seen enough", () => {
    const bound = (gap: number, count: number) => after(same(gap, count)).bound
    for (const [count, times] of [[8, 17], [20, 8], [learningGaps - 1, 5]] as const) {
      assert.closeTo(bound(1_000, count), times * 1_000, 1)
    }
    assert.closeTo(bound(250, 8), 4_250, 1)
    assert.strictEqual(bound(250, 20), 4_000)
  })

  it("takes a burst for one arrival, before it has seen enough", () => {
    assert.strictEqual(after(same(1, 150)).bound, 180_000)
    assert.strictEqual(after([...same(1, 150), 5_000]).bound, 180_000)
    // Fifteen bursts of 200 ms.
    assert.closeTo(after([...same(10, 60), 1_000, ...same(10, 220)]).bound, after([...same(200, 14), 1_000]).bound, 50)
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

/** Gaps of so many ms on average, by a number between 0 and 1 for each draw. */
type Pattern = (mean: number, draw: () => number) => () => number

const exponential = (mean: number, draw: () => number): number => -mean * Math.log(1 - draw())

const patterns: Readonly<Record<string, Pattern>> = {
  steady: (mean, draw) => () => exponential(mean, draw),
  timer: (mean, draw) => () => mean * (0.9 + 0.2 * draw()),
  bursts: (mean, draw) => () => draw() < 0.8 ? exponential(mean * 0.02, draw) : exponential(mean * 4.9, draw),
  // Twenty come in a row, and then nothing does for twenty times as long.
  flurries: (mean, draw) => {
    let left = 0
    return () => {
      if (left-- > 0) return exponential(mean * 0.5, draw)
      left = Math.floor(draw() * 40)
      return exponential(mean * 20, draw)
    }
  }
}

/** Alarms of a topic, on average over so many that are never dead, from the first arrival on. */
const alarmsOf = (gapsOf: () => () => number, topics: number): number => {
  let alarms = 0
  for (let topic = 0; topic < topics; topic++) {
    const gaps = gapsOf()
    const model = new ArrivalModel(bounds)
    let at = 1
    model.arrived(at)
    for (let count = 0; count < 200; count++) {
      const gap = gaps()
      if (gap > model.bound) alarms++
      model.arrived(at += gap)
    }
  }
  return alarms / topics
}

describe("a topic that has just begun", () => {
  for (const [name, pattern] of Object.entries(patterns)) {
    for (const mean of [50, 250, 1_000, 5_000]) {
      it.effect(`MUST hardly ever be taken for silent: ${name}, one in ${mean} ms`, () =>
        Effect.gen(function*() {
          const random = yield* Random.Random
          const draw = () => random.nextDoubleUnsafe()
          const alarms = alarmsOf(() => pattern(mean, draw), 200)
          // Flurries are what no bound foresees: at most one alarm, from which it learns.
          assert.isAtMost(alarms, name === "flurries" ? 1 : 0.25)
        }).pipe(Random.withSeed(7)))
    }
  }

  it.prop(
    "MUST be found silent within seconds where much has come, however it was spread",
    { gaps: Schema.Array(Schema.Finite.check(Schema.isBetween({ minimum: 50, maximum: 450 }))) },
    ({ gaps }) => {
      const enough = [...gaps, ...same(250, 20)]
      assert.isBelow(after(enough).bound, 10_000)
    }
  )
})
