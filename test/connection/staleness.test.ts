import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Silence from "../../src/connection/Silence.ts"
import * as Staleness from "../../src/connection/Staleness.ts"
import { wallMillis } from "../../src/domain/ClockTime.ts"
import * as FakeConnection from "./FakeConnection.ts"
import * as ManualClock from "./ManualClock.ts"

const watched = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const fake = FakeConnection.make(clock)
  yield* Staleness.withStaleness({ exchange: "test", after: "40 seconds" })(Effect.succeed(fake.connection))
  yield* Effect.yieldNow
  return {
    fake,
    data: () => {
      fake.activity.dataAt = clock.currentTimeMillisUnsafe()
    }
  }
})

const silences = (fake: FakeConnection.FakeConnection) =>
  fake.aborted.map((error) => error.reason._tag === "Silent" ? error.reason.silentForMs : undefined)

describe("withStaleness", () => {
  it.effect("aborts when data is due and none comes, although other frames do", () =>
    Effect.gen(function*() {
      const { data, fake } = yield* watched
      fake.activity.expectsData = true
      yield* TestClock.adjust("17 seconds")
      data()
      for (let second = 0; second < 39; second++) {
        yield* TestClock.adjust("1 second")
        fake.receive("pong")
      }
      assert.deepStrictEqual(fake.aborted, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(silences(fake), [40_000])
      assert.include(fake.aborted[0]?.message, "no data")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(fake.aborted.length, 1)
    }))

  it.effect("lets a connection be on which nothing is due", () =>
    Effect.gen(function*() {
      const { fake } = yield* watched
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("keeps a connection that brings data", () =>
    Effect.gen(function*() {
      const { data, fake } = yield* watched
      fake.activity.expectsData = true
      for (let i = 0; i < 30; i++) {
        yield* TestClock.adjust("39 seconds")
        data()
      }
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("counts from when data became due, noticed within a quarter of the bound", () =>
    Effect.forEach([1, 9_999, 10_001, 25_000], (dueAt) =>
      Effect.scoped(Effect.gen(function*() {
        const { fake } = yield* watched
        yield* TestClock.adjust(dueAt)
        fake.activity.expectsData = true
        yield* TestClock.adjust("39999 millis")
        assert.deepStrictEqual(fake.aborted, [], `${dueAt}`)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(fake.aborted.length, 1, `${dueAt}`)
      }))))

  it.effect("does not judge while reading is held up", () =>
    Effect.gen(function*() {
      const { fake } = yield* watched
      fake.activity.expectsData = true
      fake.activity.held = true
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(fake.aborted, [])
      fake.activity.held = false
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(fake.aborted.length, 1)
    }))

  it.effect("does not judge a silence through which the process slept", () =>
    Effect.gen(function*() {
      const { clock, pass } = ManualClock.make()
      const fake = FakeConnection.make(clock)
      fake.activity.expectsData = true
      yield* Staleness.withStaleness({ exchange: "test", after: "40 seconds" })(Effect.succeed(fake.connection)).pipe(
        Effect.provideService(Clock.Clock, clock)
      )
      yield* Effect.yieldNow
      yield* pass(3_600_000)
      assert.deepStrictEqual(fake.aborted, [])
      for (let i = 0; i < 3; i++) yield* pass(10_000)
      assert.deepStrictEqual(fake.aborted, [])
      yield* pass(10_000)
      assert.deepStrictEqual(silences(fake), [40_000])
    }))

  it.effect("ends with the connection's scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { fake } = yield* Scope.provide(watched, scope)
      fake.activity.expectsData = true
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(fake.aborted, [])
    }))
})

describe("Silence.watch", () => {
  const setup = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const state = { stamp: wallMillis(clock) }
    return { clock, state, silence: Silence.watch(clock, () => state.stamp) }
  })

  it.effect("measures from the stamp when it moved since the last look", () =>
    Effect.gen(function*() {
      const { clock, silence, state } = yield* setup
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(silence.elapsed(), 10_000)
      state.stamp = wallMillis(clock)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(silence.elapsed(), 3_000)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(silence.elapsed(), 6_000)
      silence.restart()
      assert.strictEqual(silence.elapsed(), 0)
    }))

  it.effect("keeps a stamp that the wall clock contradicts between the last look and now", () =>
    Effect.gen(function*() {
      const { clock, silence, state } = yield* setup
      yield* TestClock.adjust("10 seconds")
      silence.elapsed()
      yield* TestClock.adjust("4 seconds")
      state.stamp = wallMillis(clock) - 3_600_000
      assert.strictEqual(silence.elapsed(), 4_000)
      state.stamp = wallMillis(clock) + 3_600_000
      assert.strictEqual(silence.elapsed(), 0)
    }))
})
