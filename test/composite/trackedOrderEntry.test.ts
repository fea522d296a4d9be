/** What a tracker knows of orders whose callers were interrupted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import { OrderTracker } from "../../src/composite/OrderTracker.ts"
import * as TrackedOrderEntry from "../../src/composite/TrackedOrderEntry.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { OrderEntry } from "../../src/OrderEntry.ts"
import { Departing } from "../../src/OrderEntry.ts"

const pair = "BTC/USDT"

/** Of which placements never come back; `hasLeft`: what they tell of themselves. */
const placing = Effect.fnUntraced(function*(hasLeft: boolean | null) {
  const never: OrderEntry["Service"]["place"] = () =>
    Effect.flatMap(Departing, (departure) => {
      departure!.hasLeft = hasLeft
      return Effect.never
    })
  const tracker = new OrderTracker({
    exchange: "toy",
    account: "main",
    historySize: 10,
    contractSizeOf: () => Decimal.of("1"),
    onChange: () => {}
  })
  const looking: Array<Effect.Effect<unknown>> = []
  const entry = TrackedOrderEntry.make(
    { place: never } as unknown as OrderEntry["Service"],
    tracker,
    () => 0,
    (effect) => looking.push(effect),
    1_000
  )
  const order = { pair, side: "buy", quantity: 1, price: 1, clientOrderId: "a" } as const
  const fiber = yield* Effect.forkChild(entry.place(order), { startImmediately: true })
  yield* TestClock.adjust(1)
  yield* Fiber.interrupt(fiber)
  const state: TrackedOrder["state"] = tracker.get("a")!.state
  return { state, looking: looking.length, placements: tracker.placements }
})

describe("TrackedOrderEntry", () => {
  it.effect("what was taken back before it had left has ended, and is not looked for", () =>
    Effect.gen(function*() {
      const { looking, placements, state } = yield* placing(false)
      assert.strictEqual(placements, 0)
      assert.deepInclude(state, { _tag: "Final", status: "rejected" })
      assert.strictEqual(state._tag === "Final" ? state.rejection?.code : null, "interrupted")
      assert.strictEqual(looking, 0)
    }))

  for (const hasLeft of [true, null]) {
    it.effect(`what ${hasLeft === null ? "may have left" : "has left"} is in doubt until it is found`, () =>
      Effect.gen(function*() {
        const { looking, placements, state } = yield* placing(hasLeft)
        assert.deepStrictEqual([state._tag, looking, placements], ["Unknown", 1, 1])
      }))
  }
})
