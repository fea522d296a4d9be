import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { DialGate } from "../../src/session/DialGate.ts"

const refused = ExchangeError.make(
  "test",
  new ExchangeError.ConnectFailed({ url: "ws://x", detail: "refused", retryable: true })
)

/** So many connections that dial again and again, 50 ms behind each failure, until the exchange takes them. */
const dialling = Effect.fnUntraced(function*(count: number, isThere: () => boolean, failure = refused) {
  const clock = yield* Clock.Clock
  const began = clock.currentTimeMillisUnsafe()
  const gate = new DialGate({ clock, perSecond: 5, connections: () => count })
  const dials: Array<number> = []
  const taken: Array<number> = []
  const since = () => clock.currentTimeMillisUnsafe() - began
  const dial = Effect.suspend(() => {
    dials.push(since())
    return isThere() ? Effect.void : Effect.fail(failure)
  })
  const one: Effect.Effect<void> = gate.pass(dial).pipe(
    Effect.andThen(Effect.sync(() => void taken.push(since()))),
    Effect.catch(() => Effect.delay(Effect.suspend(() => one), 50))
  )
  const fibers = yield* Effect.forEach(Array.from({ length: count }), () => Effect.forkChild(one))
  yield* Effect.yieldNow
  return { dials, taken, end: Fiber.interruptAll(fibers) }
})

describe("the turns to dial", () => {
  it.effect("are so many a second", () =>
    Effect.gen(function*() {
      const { taken } = yield* dialling(6, () => true)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(taken, [0, 200, 400, 600, 800, 1_000])
    }))

  it.effect("are one a second for all of them once the exchange has taken nobody for a minute, until it takes one", () =>
    Effect.gen(function*() {
      let isThere = false
      const { dials, taken } = yield* dialling(40, () => isThere)
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(dials.length, 299)
      const { length } = dials
      yield* TestClock.adjust("100500 millis")
      assert.isAtMost(dials.length - length, 101)
      assert.isAtLeast(dials.length - length, 99)
      const [last] = dials.slice(-1)
      isThere = true
      yield* TestClock.adjust("1 second")
      assert.strictEqual(taken[0], last! + 1_000)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(taken.length, 40)
      assert.strictEqual(taken[39], taken[0]! + 39 * 200)
    }))

  it.effect("do not hold up a connection that is alone: it has its own back-off", () =>
    Effect.gen(function*() {
      const { dials, end } = yield* dialling(1, () => false)
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(dials.length, 50)
      yield* end
    }))

  it.effect("tell nothing of the exchange when it was something else that failed", () =>
    Effect.gen(function*() {
      const busy = ExchangeError.make("test", new ExchangeError.Disconnected({ code: 1006, detail: "" }))
      const { dials, end } = yield* dialling(10, () => false, busy)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(dials.length, 11)
      yield* end
    }))
})
