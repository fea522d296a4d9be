import { assert, describe, it } from "@effect/vitest"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { BookRecipe } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import * as Continuity from "../../src/session/Continuity.ts"
import { policiesOf, policyOf, SilenceWatch, Wakefulness } from "../../src/session/SilenceWatch.ts"

const btc = "BTC/USDT"
const updates: BookRecipe = gateSpot.book({ _tag: "Book", pair: btc, source: "order_book_update" })

describe("continuity", () => {
  const delta = (firstVersion: number, version = firstVersion): BookUpdate => Test.delta(btc, { firstVersion, version })

  const cases: ReadonlyArray<
    readonly [name: string, before: MarketEvent, last: number | null, next: MarketEvent, Continuity.Continuity]
  > = [
    ["a delta that follows", delta(10), 10, delta(11, 13), "whole"],
    ["a delta behind a hole", delta(10), 10, delta(12), "missed"],
    ["a delta that came before", delta(10), 10, delta(10), "whole"],
    ["a book that was not in sync", delta(10), null, delta(11), "unknown"],
    ["a snapshot of where it stood", delta(10), 10, Test.snapshot(btc, { version: 10 }), "whole"],
    ["a snapshot that is further", delta(10), 10, Test.snapshot(btc, { version: 11 }), "missed"],
    ["the same ticker", Test.bookTicker(btc, { version: 7 }), null, Test.bookTicker(btc, { version: 7 }), "whole"],
    ["another ticker", Test.bookTicker(btc, { version: 7 }), null, Test.bookTicker(btc, { version: 8 }), "unknown"],
    [
      "a ticker without version that says the same",
      Test.bookTicker(btc, { version: null }),
      null,
      Test.bookTicker(btc, { version: null }),
      "whole"
    ],
    [
      "a ticker without version that says something else",
      Test.bookTicker(btc, { version: null }),
      null,
      Test.bookTicker(btc, { version: null, askQuantity: 2 }),
      "unknown"
    ],
    ["the next trade", Test.trade(btc, { id: "99" }), null, Test.trade(btc, { id: "100" }), "whole"],
    ["a later trade", Test.trade(btc, { id: "99" }), null, Test.trade(btc, { id: "101" }), "unknown"],
    ["trades without ids", Test.trade(btc, { id: null }), null, Test.trade(btc, { id: null }), "unknown"]
  ]
  for (const [name, before, last, next, expected] of cases) {
    it(`of ${name} is ${expected}`, () => {
      assert.strictEqual(Continuity.between(before, last, next, updates), expected)
    })
  }
})

describe("policies", () => {
  it("are plain or learned bounds in ms", () => {
    assert.strictEqual(policyOf("5 seconds"), 5_000)
    assert.strictEqual(policyOf({ seconds: 3 }), 3_000)
    assert.deepStrictEqual(
      policyOf({ floor: "2 seconds", ceiling: "1 minute" }),
      { floor: 2_000, ceiling: 60_000, initial: 60_000, factor: 3 }
    )
    // A ceiling below the floor leaves the floor.
    assert.deepStrictEqual(
      policyOf({ floor: "2 minutes", ceiling: "1 minute", initial: "9 minutes", factor: 2 }),
      { floor: 120_000, ceiling: 120_000, initial: 120_000, factor: 2 }
    )
    assert.deepStrictEqual([...policiesOf({ Book: "1 second", Trades: null })], [["Book", 1_000]])
  })
})

describe("wakefulness", () => {
  it("begins anew when the process did not run", () => {
    const awake = new Wakefulness(250, 1_000)
    for (const at of [1_250, 1_600, 2_850]) awake.look(at)
    assert.strictEqual(awake.since, 0)
    awake.look(4_101)
    assert.strictEqual(awake.since, 4_101)
    awake.look(4_400)
    assert.strictEqual(awake.since, 4_101)
  })
})

describe("a watch", () => {
  const make = (policy = policyOf({ floor: "1 second", ceiling: "10 minutes", initial: "2 seconds" })) => {
    let falseAlarms = 0
    const watch = new SilenceWatch(policy, updates, (verdict) => {
      if (verdict === "whole") falseAlarms++
    })
    let version = 0
    let at = 1_000
    /** So much later the next delta, so many versions further. */
    const next = (gap: number, versions = 1): void => {
      version += versions
      watch.arrived(Test.delta(btc, { firstVersion: version, version, receivedAt: at += gap }))
    }
    for (let i = 0; i < 200; i++) next(300)
    /** Its book was in sync up to this version; null when it was not. */
    const alarm = (last: number | null): void => watch.alarmed(at, Number.NaN, last)
    return { watch, next, alarm, version: () => version, falseAlarms: () => falseAlarms }
  }

  it("learns the gap of a false alarm, and counts it", () => {
    const { alarm, falseAlarms, next, version, watch } = make()
    assert.strictEqual(watch.bound, 1_000)
    alarm(version())
    watch.pause()
    next(5_000)
    assert.strictEqual(falseAlarms(), 1)
    assert.closeTo(watch.bound, 15_000, 1)
    next(300)
    assert.strictEqual(falseAlarms(), 1)
  })

  it("learns nothing from the gap of a stream that was broken", () => {
    const { alarm, falseAlarms, next, version, watch } = make()
    alarm(version())
    watch.pause()
    next(5_000, 20)
    assert.strictEqual(falseAlarms(), 0)
    assert.strictEqual(watch.bound, 1_000)
  })

  it("learns little where the numbers do not tell", () => {
    const { alarm, falseAlarms, next, watch } = make()
    alarm(null)
    watch.pause()
    next(5_000)
    assert.strictEqual(falseAlarms(), 0)
    assert.closeTo(watch.bound, 1_800, 10)
  })

  it("judges by the first of several alarms in a row", () => {
    const { alarm, falseAlarms, next, version } = make()
    alarm(version())
    alarm(null)
    next(9_000)
    assert.strictEqual(falseAlarms(), 1)
  })

  it("counts the false alarms of a plain bound too, and never changes it", () => {
    const { alarm, falseAlarms, next, version, watch } = make(3_000)
    alarm(version())
    next(5_000)
    assert.deepStrictEqual([falseAlarms(), watch.bound], [1, 3_000])
  })
})
