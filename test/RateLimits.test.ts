import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as RateLimits from "../src/RateLimits.ts"
import * as SteppedClock from "./SteppedClock.ts"

const use = (fields: Partial<RateLimits.Use> = {}): RateLimits.Use => ({
  budget: "orders",
  tokens: 1,
  limit: 3,
  window: "1 second",
  ...fields
})

const starts = (count: number, uses: ReadonlyArray<RateLimits.Use>, withinMs = 60_000) =>
  Effect.gen(function*() {
    const limits = yield* RateLimits.make("toy")
    const fiber = yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: count }), () =>
        Effect.andThen(limits.take(uses, withinMs), Clock.currentTimeMillis), {
        concurrency: "unbounded"
      })
    )
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })

describe("RateLimits", () => {
  it.effect("no window holds more than the limit, wherever it begins", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* starts(8, [use()]), [0, 0, 0, 1000, 1000, 1000, 2000, 2000])
    }))

  it.effect("budgets of other names are apart; a request that uses two waits for both", () =>
    Effect.gen(function*() {
      const uses = [use({ limit: 2 }), use({ budget: "all", limit: 3, window: "10 seconds" })]
      assert.deepStrictEqual(yield* starts(5, uses), [0, 0, 1000, 10_000, 10_000])
    }))

  it.effect("what could not be sent in time fails at once, uses nothing up, and says how long it would take", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      yield* limits.take([use({ tokens: 3 })], 0)
      const error = yield* Effect.flip(limits.take([use()], 999))
      assert.strictEqual(error.reason._tag, "RateLimited")
      assert.isTrue(error.isTransient)
      assert.include(error.message, "orders")
      assert.deepStrictEqual(yield* limits.state, [{ budget: "orders", used: 3, limit: 3, waiting: 0 }])
      yield* TestClock.adjust("1 second")
      yield* limits.take([use({ tokens: 3 })], 0)
      const never = yield* Effect.flip(limits.take([use({ tokens: 4 })], 60_000))
      assert.include(never.message, "never fit")
    }))

  it.effect("a pause that the exchange asked for holds for everybody", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      yield* limits.pause([use()], 5_000)
      const error = yield* Effect.flip(limits.take([use()], 4_999))
      assert.strictEqual(error.reason._tag, "RateLimited")
      const fiber = yield* Effect.forkChild(limits.take([use()], 5_000))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("where the exchange throttles the address or the user, a pause is one of every budget", () =>
    Effect.gen(function*() {
      const others = [use({ budget: "used" })]
      for (const pausesAll of [true, false]) {
        const limits = yield* RateLimits.make("toy", pausesAll ? { pause: { until: 0 } } : {})
        yield* limits.take(others, 0)
        yield* limits.pause([use()], 5_000)
        const takes = [limits.take(others, 4_999), limits.take([use({ budget: "new" })], 4_999)]
        const results = yield* Effect.forEach(takes, (take) => Effect.isSuccess(take))
        assert.deepStrictEqual(results, [!pausesAll, !pausesAll])
        yield* TestClock.adjust("5 seconds")
        yield* limits.take(others, 0)
      }
    }))

  it.effect("a request of two budgets uses up neither when one of them refuses", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      const [one, two] = [use({ budget: "one", limit: 1 }), use({ budget: "two", limit: 1, window: "1 minute" })]
      yield* limits.take([two], 0)
      const refused = yield* Effect.flip(limits.take([one, two], 100))
      assert.deepInclude(refused.reason, { budget: "two", retryAfterMs: 60_000 })
      yield* limits.take([one], 0)
    }))

  it.effect("a request of two budgets counts in both from when it leaves", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      const [one, two] = [use({ budget: "one", limit: 1 }), use({ budget: "two", limit: 1, window: "5 seconds" })]
      yield* limits.take([two], 0)
      const leave = (uses: ReadonlyArray<RateLimits.Use>) =>
        Effect.forkChild(Effect.andThen(limits.take(uses, 60_000), Clock.currentTimeMillis), { startImmediately: true })
      const both = yield* leave([one, two])
      yield* TestClock.adjust("5 seconds")
      const next = yield* leave([one])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([yield* Fiber.join(both), yield* Fiber.join(next)], [5_000, 6_000])
    }))

  it.effect("one budget that is named twice is used twice", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      yield* limits.take([use({ limit: 3 }), use({ limit: 3, tokens: 2 })], 0)
      assert.deepInclude(yield* limits.state, { budget: "orders", used: 3, limit: 3, waiting: 0 })
      const never = yield* Effect.flip(limits.take([use({ tokens: 2 }), use({ tokens: 2 })], 60_000))
      assert.include(never.message, "one request of 4 can never fit 3")
    }))

  it.effect("a machine's clock that is set opens no window and closes none", () =>
    Effect.gen(function*() {
      const { clock, step } = yield* SteppedClock.make
      const limits = yield* Effect.provideService(RateLimits.make("toy"), Clock.Clock, clock)
      yield* limits.take([use({ tokens: 3 })], 0)
      step(3_600_000)
      assert.strictEqual((yield* Effect.flip(limits.take([use()], 999))).reason._tag, "RateLimited")
      step(-7_200_000)
      const fiber = yield* Effect.forkChild(limits.take([use()], 1_000), { startImmediately: true })
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(fiber)
    }))

  it.effect("who gives up waiting leaves no hole", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      yield* limits.take([use({ tokens: 3 })], 0)
      const first = yield* Effect.forkChild(limits.take([use()], 5_000), { startImmediately: true })
      const second = yield* Effect.forkChild(limits.take([use()], 5_000), { startImmediately: true })
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.deepStrictEqual(yield* limits.state, [{ budget: "orders", used: 1, limit: 3, waiting: 0 }])
    }))

  it.effect("who has waited behind another beyond its own deadline does not leave late", () =>
    Effect.gen(function*() {
      const limits = yield* RateLimits.make("toy")
      yield* limits.take([use({ tokens: 3 })], 0)
      yield* TestClock.adjust(900)
      yield* limits.pause([use()], 8_000)
      const patient = yield* Effect.forkChild(limits.take([use()], 10_000), { startImmediately: true })
      const hasty = yield* Effect.forkChild(Effect.flip(limits.take([use()], 1_000)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(patient)
      assert.strictEqual((yield* Fiber.join(hasty)).reason._tag, "RateLimited")
    }))

  const small = (minimum: number, maximum: number) =>
    Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum })))

  it.effect.prop(
    "any arrivals: in every window of the length no more than the limit, and nobody waits longer than needed",
    [Arbitrary.array(Arbitrary.schema(small(0, 400)), { minLength: 1, maxLength: 30 }), small(1, 5)],
    ([gaps, limit]) =>
      Effect.gen(function*() {
        const limits = yield* RateLimits.make("toy")
        const times: Array<number> = []
        for (const gap of gaps) {
          yield* TestClock.adjust(gap)
          yield* Effect.forkChild(
            Effect.andThen(
              limits.take([use({ limit })], 1e9),
              Effect.map(Clock.currentTimeMillis, (at) => times.push(at))
            ),
            { startImmediately: true }
          )
        }
        yield* TestClock.adjust("1 hour")
        assert.lengthOf(times, gaps.length)
        for (let i = limit; i < times.length; i++) assert.isAtLeast(times[i]! - times[i - limit]!, 1000)
      })
  )
})
