import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as ExchangeClock from "../src/ExchangeClock.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import * as SteppedClock from "./SteppedClock.ts"

/** That of the test, whatever clock is provided. */
const unset = Effect.map(Clock.Clock, (clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))

/** An exchange's clock that is 40 ms behind `clock` and whose answers take `trip.millis`. */
const start = (trip: { millis: number }, clock: Effect.Effect<number> = Clock.currentTimeMillis) =>
  ExchangeClock.make(
    "toy",
    Effect.suspend(() => {
      const half = Effect.sleep(trip.millis / 2)
      return half.pipe(Effect.andThen(clock), Effect.map((now) => now - 40), Effect.tap(half))
    })
  )

const within = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("20 seconds")
    return yield* fiber.pollUnsafe() ?? Effect.die("it does not end")
  })

describe("ExchangeClock", () => {
  it.effect("a slow measurement does not spoil a good one", () =>
    Effect.gen(function*() {
      const trip = { millis: 20 }
      const clock = yield* start(trip)
      yield* within(clock.now)
      trip.millis = 2_000
      yield* TestClock.adjust("6 minutes")
      assert.deepInclude(yield* clock.reading, { offsetMs: 40, errorMs: 10 })
      const ours = yield* Clock.currentTimeMillis
      assert.strictEqual(yield* clock.now, ours - 40)
    }))

  it.effect("a slow first measurement refuses to sign, and the next use measures again", () =>
    Effect.gen(function*() {
      const trip = { millis: 2_000 }
      const clock = yield* start(trip)
      assert.strictEqual((yield* within(Effect.flip(clock.now))).reason._tag, "ClockUnusable")
      trip.millis = 20
      assert.isNumber(yield* within(clock.now))
    }))

  it.effect("what the exchange doubts is measured again before the next use", () =>
    Effect.gen(function*() {
      const ours = { aheadMillis: 40 }
      const clock = yield* ExchangeClock.make(
        "toy",
        Effect.map(Clock.currentTimeMillis, (now) => now - ours.aheadMillis)
      )
      yield* clock.now
      ours.aheadMillis = 3_000
      assert.deepInclude(yield* clock.reading, { offsetMs: 40 })
      clock.doubt()
      assert.strictEqual(yield* clock.now, (yield* Clock.currentTimeMillis) - 3_000)
      ours.aheadMillis = 0
      assert.strictEqual(yield* clock.now, (yield* Clock.currentTimeMillis) - 3_000)
    }))

  it.effect("a machine's clock that is set is measured again before the next use", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const theirs = Effect.map(Clock.currentTimeMillis, (now) => now - 40)
      const made = yield* ExchangeClock.make("toy", theirs).pipe(Effect.provideService(Clock.Clock, clock))
      const now = made.now
      const exchange = yield* Clock.currentTimeMillis
      assert.strictEqual(yield* now, exchange - 40)
      step(5_000)
      assert.strictEqual(yield* now, exchange - 40)
      assert.deepInclude(yield* made.reading, { offsetMs: 5_040 })
      step(-6_000)
      assert.strictEqual(yield* now, exchange - 40)
      // What clocks are apart by themselves is no reason.
      step(400)
      assert.strictEqual(yield* now, exchange + 360)
    }))

  it.effect("a measurement from before the machine's clock was set is shown to nobody, and made anew though nobody signs", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const trip = { millis: 20 }
      const made = yield* start(trip, yield* unset).pipe(Effect.provideService(Clock.Clock, clock))
      yield* within(made.now)
      for (const [millis, offsetMs] of [[5_000, 5_040], [-6_000, -960]] as const) {
        const known = made.current()
        assert.isNotNull(known)
        step(400)
        assert.strictEqual(made.current(), known)
        step(millis - 400)
        assert.isNull(made.current())
        assert.isNull(yield* made.reading)
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(made.current(), { offsetMs, errorMs: 10 })
        assert.strictEqual(yield* made.reading, made.current())
      }
    }))

  it.effect("a measurement of which all answers but the first are lost is not taken for one from before the clock was set", () =>
    Effect.gen(function*() {
      let asked = 0
      const clock = yield* ExchangeClock.make(
        "toy",
        Effect.suspend(() => asked++ === 0 ? Effect.map(Clock.currentTimeMillis, (now) => now - 40) : Effect.never)
      )
      yield* within(clock.now)
      assert.deepInclude(yield* clock.reading, { offsetMs: 40, errorMs: 1 })
      const before = asked
      yield* within(clock.now)
      assert.strictEqual(asked, before)
    }))

  it.effect("after the machine's clock was set a slow measurement is worth more than the one from before", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const trip = { millis: 20 }
      const made = yield* start(trip, yield* unset).pipe(Effect.provideService(Clock.Clock, clock))
      yield* within(made.now)
      step(5_000)
      trip.millis = 2_000
      assert.strictEqual((yield* within(Effect.flip(made.now))).reason._tag, "ClockUnusable")
      trip.millis = 20
      yield* within(made.now)
      assert.deepInclude(yield* made.reading, { offsetMs: 5_040, errorMs: 10 })
    }))

  it.effect("an old measurement is worth less, and is made anew before it is worth nothing", () =>
    Effect.gen(function*() {
      let asked = 0
      let fails = false
      const theirs = Effect.suspend(() => {
        asked++
        return fails
          ? Effect.fail(ExchangeError.make("toy", new ExchangeError.Silent({ silentForMs: 1, detail: "" })))
          : Clock.currentTimeMillis
      })
      const clock = yield* ExchangeClock.make("toy", theirs)
      yield* clock.now
      fails = true
      yield* TestClock.adjust("80 minutes")
      asked = 0
      yield* clock.now
      assert.strictEqual(asked, 0)
      yield* TestClock.adjust("5 minutes")
      asked = 0
      assert.strictEqual((yield* Effect.flip(clock.now)).reason._tag, "Silent")
      fails = false
      yield* clock.now
      assert.strictEqual(asked, 1 + 5)
    }))

  const lost = Effect.delay(
    Effect.fail(ExchangeError.make("toy", new ExchangeError.Silent({ silentForMs: 10_000, detail: "lost" }))),
    "10 seconds"
  )

  for (const which of [0, 1, 4]) {
    it.effect(`an answer that is lost holds up nobody for longer than one that could be used (number ${which})`, () =>
      Effect.gen(function*() {
        let asked = 0
        const clock = yield* ExchangeClock.make(
          "toy",
          Effect.suspend(() => asked++ === which ? lost : Effect.map(Clock.currentTimeMillis, (now) => now - 40))
        )
        const began = yield* Clock.currentTimeMillis
        const took = yield* within(Effect.andThen(clock.now, Clock.currentTimeMillis))
        assert.strictEqual(took - began, 1_000)
        assert.deepInclude(yield* clock.reading, { offsetMs: 40, errorMs: 1 })
      }))
  }

  it.effect("an exchange that answers nobody is not asked more than once a second, however small the error may be", () =>
    Effect.gen(function*() {
      let asked = 0
      const theirs = Effect.suspend(() => {
        asked++
        return lost
      })
      const clock = yield* ExchangeClock.make("toy", theirs, { ...ExchangeClock.defaults, maxErrorMs: 0.1 })
      assert.strictEqual((yield* within(Effect.flip(clock.now))).reason._tag, "Silent")
      assert.isAtMost(asked, 11)
    }))

  it.effect("a refusal of all but the first answer costs nothing", () =>
    Effect.gen(function*() {
      let asked = 0
      const refused = ExchangeError.make("toy", new ExchangeError.Silent({ silentForMs: 0, detail: "refused" }))
      const clock = yield* ExchangeClock.make(
        "toy",
        Effect.suspend(() => asked++ === 0 ? Clock.currentTimeMillis : Effect.fail(refused))
      )
      assert.strictEqual(yield* clock.now, yield* Clock.currentTimeMillis)
    }))

  it.effect("while it cannot be measured, what is doubted is asked for once and not by everybody", () =>
    Effect.gen(function*() {
      let asked = 0
      let away = false
      const clock = yield* ExchangeClock.make(
        "toy",
        Effect.suspend(() => {
          asked++
          return away ? lost : Effect.map(Clock.currentTimeMillis, (now) => now - 40)
        })
      )
      yield* clock.now
      away = true
      clock.doubt()
      const began = yield* Clock.currentTimeMillis
      const all = Effect.forEach([1, 2, 3], () => clock.now, { concurrency: "unbounded" })
      const took = yield* within(Effect.andThen(all, Clock.currentTimeMillis))
      assert.strictEqual(took - began, 10_000)
      clock.doubt()
      away = false
      const before = asked
      yield* clock.now
      assert.strictEqual(asked - before, 5)
    }))
})
