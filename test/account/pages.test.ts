/** Calls that ask for several pages: the time that each has, and the turn that each waits for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Pages from "../../src/account/Pages.ts"
import { NextPage } from "../../src/AccountAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"

const late = Effect.fail(ExchangeError.make("toy", new ExchangeError.Silent({ silentForMs: 1_000, detail: "late" })))

/** A list whose pages take so long each, ms. */
const listOf = (...pages: ReadonlyArray<number>) =>
  Effect.forEach(
    pages,
    (millis, index) =>
      Effect.andThen(index > 0 ? Effect.flatten(NextPage) : Effect.void, Effect.as(Effect.sleep(millis), index))
  )

/** How the call ends, after how many ms. */
const endOf = <A>(
  call: Effect.Effect<A, ExchangeError.ExchangeError>,
  turn: Effect.Effect<void, ExchangeError.ExchangeError> = Effect.void
) =>
  Effect.gen(function*() {
    const run = Pages.within(call, { withinMs: 1_000, turn }, late)
    const timed = Effect.clockWith((clock) => {
      const began = clock.currentTimeMillisUnsafe()
      const took = () => clock.currentTimeMillisUnsafe() - began
      return Effect.match(run, {
        onSuccess: (value) => ({ value, took: took() }),
        onFailure: ({ reason }) => ({ value: reason._tag, took: took() })
      })
    })
    const fiber = yield* Effect.forkChild(timed, { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })

describe("a call that asks for several pages", () => {
  it.effect("has for each page as long as for one request", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endOf(listOf(900, 900, 900)), { value: [0, 1, 2], took: 2_700 })
    }))

  it.effect("ends when one of them is not answered in time", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endOf(listOf(1_500)), { value: "Silent", took: 1_000 })
      assert.deepStrictEqual(yield* endOf(listOf(900, 1_500, 1)), { value: "Silent", took: 1_900 })
    }))

  it.effect("waits for its turn before each page but the first, which is no silence of the exchange", () =>
    Effect.gen(function*() {
      const answer = yield* endOf(listOf(500, 500, 1_500), Effect.sleep(2_000))
      assert.deepStrictEqual(answer, { value: "Silent", took: 500 + 2_000 + 500 + 2_000 + 1_000 })
      assert.deepStrictEqual(yield* endOf(listOf(1, 1), Effect.sleep(5_000)), { value: [0, 1], took: 5_002 })
    }))

  it.effect("fails where there is no turn for a page", () =>
    Effect.gen(function*() {
      const full = Effect.fail(
        ExchangeError.make("toy", new ExchangeError.RateLimited({ budget: "b", retryAfterMs: 1, detail: "full" }))
      )
      assert.deepStrictEqual(yield* endOf(listOf(10, 10), full), { value: "RateLimited", took: 10 })
    }))
})
