/** What the executor tells is open, against what its accounts hold, at every moment. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { TestClock } from "effect/testing"
import type { Drained } from "../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageExecutor } from "../../src/arbitrage/ArbitrageExecutor.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { agree, execute, over, passing, start, swap, text, World } from "./ExecutorWorld.ts"

const told = Effect.gen(function*() {
  const executor = yield* ArbitrageExecutor
  const { cash } = yield* executor.performance
  return { base: text(executor.exposure()[0]?.quantity ?? Decimal.zero), quote: text(cash) }
})

const leftOf = ({ exposure, orders }: Drained): ReadonlyArray<string> => [
  ...exposure.map(({ asset, quantity }) => `${text(quantity)} ${asset}`),
  ...orders.map(({ exchange, filled, quantity, side }) => `${exchange} ${side} ${text(filled)} of ${text(quantity)}`)
]

const close = Effect.gen(function*() {
  const executor = yield* ArbitrageExecutor
  const closing = yield* Effect.forkChild(executor.close("2 seconds"), { startImmediately: true })
  yield* TestClock.adjust("2 seconds")
  return yield* Fiber.join(closing)
})

const away = (world: World): void => {
  for (const { exchange } of world.venues) world.states.set(exchange, "Failed")
}

describe("ArbitrageExecutor: what is told to be open", () => {
  it.effect("a leg that was bought, while the other one was refused and nothing can be traded", () => {
    const world = new World({ fee: "0.0004" }, swap)
    world.b.scripts.push({ answer: "reject" })
    return over(world, function*() {
      yield* start(world)
      away(world)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, { base: "0.9996", quote: "-100" })
      assert.deepStrictEqual(leftOf(yield* close), ["0.9996 BTC"])
      assert.deepStrictEqual(yield* told, world.gained)
    })
  })

  it.effect("a leg that was bought, and one that nobody knows, with its size", () => {
    const world = new World({ fee: "0" }, swap)
    world.b.scripts.push({ answer: "neverDone" })
    world.b.isAnswering = false
    return over(world, function*({ executor }) {
      yield* start(world)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(leftOf(yield* close), ["1 BTC", "b sell 0 of 1"])
      assert.strictEqual((yield* executor.performance).unknown, 1)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
    })
  })

  it.effect("what an answer says, while its fills are late; and what comes behind the close", () => {
    const world = new World({ fee: "0.0004" }, { ...swap, fee: "0.0002" })
    world.a.scripts.push({ late: 8_000 })
    world.b.scripts.push({ fill: 0.5 }, { answer: "reject" }, { answer: "reject" }, { answer: "reject" })
    return over(world, function*() {
      yield* start(world)
      away(world)
      yield* TestClock.adjust("100 millis")
      // What spot takes in base is by the rate that the opportunity was reckoned with, 0.001.
      assert.deepStrictEqual(yield* told, { base: "0.499", quote: "-49.5101" })
      assert.deepStrictEqual(leftOf(yield* close), ["0.499 BTC"])
      assert.notDeepEqual(yield* told, world.gained)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* told, world.gained)
    })
  })

  it.effect("an account that is built anew meanwhile takes nothing with it", () => {
    const world = new World({ fee: "0" }, swap)
    world.b.scripts.push({ answer: "reject" })
    return over(world, function*() {
      yield* start(world)
      away(world)
      yield* TestClock.adjust(10)
      world.a.tracked.clear()
      world.islands.set("a", { ...world.a.island(), account: null })
      assert.deepStrictEqual(yield* told, { base: "1", quote: "-100" })
      assert.deepStrictEqual(leftOf(yield* close), ["1 BTC"])
    })
  })

  it.effect("the end of the Layer says what it left", () => {
    const world = new World({ fee: "0" }, swap)
    world.b.scripts.push({ answer: "reject" })
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const program = over(world, function*() {
        yield* start(world)
        away(world)
        yield* Effect.sleep(500)
      }, { closeTimeout: "1 second" })
      yield* passing(program)
      assert.lengthOf(lines.filter((line) => line.includes("open: 1 BTC, may be in force: nothing")), 1)
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])))
  })

  it.effect("an order that was refused, and fills all the same", () => {
    const world = new World({ fee: "0" }, swap)
    world.b.scripts.push({ answer: "reject" })
    const lines: Array<string> = []
    return over(world, function*({ guard }) {
      const { sell } = yield* execute(world)
      assert.strictEqual(text(sell.filled), "0")
      yield* agree(world)
      // The exchange takes it back.
      const refused = world.b.placed[0]!
      yield* Effect.asVoid(world.b.entry.place(refused)).pipe((late) => passing(late, 1_000))
      yield* passing(Effect.void)
      assert.deepStrictEqual(yield* told, world.gained)
      assert.strictEqual((yield* told).base, "0")
      assert.isTrue(guard.state().isKilled)
      const what = `exposed in BTC: 1 of the order ${refused.clientOrderId} on b filled behind its end`
      assert.lengthOf(lines.filter((line) => line.startsWith(`arbitrage is ${what}`)), 1)
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])))
  })

  const between = (minimum: number, maximum: number) =>
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
  const answers = ["accept", "new", "reject", "loseRequest", "loseAnswer", "never", "neverDone", "notSent"] as const
  const scripts = Arbitrary.array(
    Arbitrary.all({
      answer: between(0, answers.length - 1),
      fill: between(0, 4),
      delay: between(1, 900),
      late: between(0, 3)
    }),
    { maxLength: 3 }
  )

  it.effect.prop(
    "whatever is answered, filled and closed in whatever order",
    {
      bought: scripts,
      sold: scripts,
      awayAt: between(0, 4_000),
      closedAt: between(1, 4_000),
      steps: Arbitrary.array(between(1, 1_500), { minLength: 4, maxLength: 10 })
    },
    ({ awayAt, bought, closedAt, sold, steps }) => {
      const world = new World({ fee: "0.0004" }, { ...swap, fee: "0.0002" })
      const all = [...bought, ...sold]
      // What is told late is compared when it has been told.
      const isLate = all.some(({ late }) => late === 3)
      const scriptOf = ({ answer, delay, fill, late }: typeof all[number]) => ({
        answer: answers[answer]!,
        fill: fill / 4,
        delay,
        resolveAfter: delay * 3,
        late: late === 3 ? 2_500 : 0
      })
      world.a.scripts.push(...bought.map(scriptOf))
      world.b.scripts.push(...sold.map(scriptOf))
      return over(world, function*({ executor }) {
        yield* start(world)
        yield* Effect.forkChild(Effect.andThen(Effect.sleep(awayAt), Effect.sync(() => away(world))))
        const closed = Effect.map(executor.close("1 second"), (left) => ({ ...left, gained: world.gained.base }))
        const closing = yield* Effect.forkChild(Effect.andThen(Effect.sleep(closedAt), closed))
        for (const millis of steps) {
          yield* TestClock.adjust(millis)
          if (!isLate) assert.deepStrictEqual(yield* told, world.gained)
        }
        yield* TestClock.adjust("5 seconds")
        const { exposure, gained, openOrders } = yield* Fiber.join(closing)
        const sent = world.placed.length
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(world.placed.length, sent)
        assert.deepStrictEqual(yield* told, world.gained)
        if (!isLate) assert.strictEqual(text(exposure[0]?.quantity ?? Decimal.zero), gained)
        // Only what was told to be in force has filled since.
        if (openOrders === 0) assert.strictEqual(world.gained.base, gained)
      })
    },
    { arbitrary: { runs: 60 } }
  )
})
