/** What has changed between two readings of what an exchange lists. */
import { assert, describe, it } from "@effect/vitest"
import { changesBetween } from "../../src/composite/InstrumentList.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import { listed } from "../../src/OrderEntryTest.ts"

const pair = "BTC/USDT:USDT"

const plain = listed("gate-futures", pair)

const changes = (before: Instrument, after: Instrument): ReadonlyArray<string> =>
  changesBetween(new Map([[pair, before]]), new Map([[pair, after]])).map(({ _tag, instrument }) => {
    assert.strictEqual(instrument, after)
    return _tag
  })

describe("a list of instruments", () => {
  it.each<readonly [string, Partial<Instrument>]>([
    ["a fee", { takerFeeRate: 0.0005 }],
    ["a maintenance rate", { maintenanceRate: 0.004 }]
  ])("tells %s that is stated for the first time, changes, or is no longer stated", (_, stated) => {
    const [[key, value] = ["", 0]] = Object.entries(stated)
    const before: Instrument = { ...plain, ...stated }
    assert.deepStrictEqual(changes(plain, before), ["Changed"])
    assert.deepStrictEqual(changes(before, { ...before, [key]: Number(value) * 2 }), ["Changed"])
    assert.deepStrictEqual(changes(before, plain), ["Changed"])
    assert.deepStrictEqual(changes(before, { ...before }), [])
  })

  it("tells nothing of what is not stated, in whichever way", () => {
    const unstated: Instrument = { ...plain, takerFeeRate: undefined }
    assert.deepStrictEqual(changes(plain, unstated), [])
    assert.deepStrictEqual(changes(unstated, plain), [])
  })
})
