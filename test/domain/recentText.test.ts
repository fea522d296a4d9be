import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { RecentText } from "../../src/domain/RecentText.ts"

const keys = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `BTC_USDT ${index}`)

/** Few keys, so that they come again; of any text. */
const Step = Schema.Struct({
  kind: Schema.Literals(["set", "set", "set", "delete"]),
  key: Schema.Literals(["", "a", "b", "ab", "ba", "\u{1f600}", "\ud83d", "A", "1", "11", "111", "BTC_USDT 1"]),
  value: Schema.String
})

describe("RecentText", () => {
  it("knows the last that were set for certain, and never more than twice as many", () => {
    const recent = new RecentText(10)
    const all = keys(1_000)
    for (const [at, key] of all.entries()) {
      recent.set(key, `value of ${at}`)
      const known = all.slice(0, at + 1).filter((each) => recent.has(each))
      assert.deepStrictEqual(known, all.slice(at + 1 - known.length, at + 1))
      assert.isAtLeast(known.length, Math.min(10, at + 1))
      assert.isAtMost(known.length, 20)
    }
    assert.strictEqual(recent.get("BTC_USDT 999"), "value of 999")
    assert.isUndefined(recent.get("BTC_USDT 0"))
    assert.isUndefined(recent.get("BTC_USDT"))
  })

  it.prop("is a map, of any texts in any order", [Schema.Array(Step)], ([steps]) => {
    const recent = new RecentText(1_000)
    const map = new Map<string, string>()
    for (const { key, kind, value } of steps) {
      if (kind === "delete") assert.strictEqual(recent.delete(key), map.delete(key))
      else {
        recent.set(key, value)
        map.set(key, value)
      }
      for (const { key } of steps) {
        assert.strictEqual(recent.get(key), map.get(key))
        assert.strictEqual(recent.has(key), map.has(key))
      }
    }
  })

  it("what is set again with the same value takes no room, with another one it is the latest", () => {
    const recent = new RecentText(10)
    recent.set("kept", "old")
    for (let i = 0; i < 100; i++) recent.set("again", "same")
    assert.strictEqual(recent.get("kept"), "old")
    recent.set("kept", "new")
    for (const key of keys(9)) recent.set(key)
    assert.strictEqual(recent.get("kept"), "new")
  })

  it("what is taken out is gone, however long ago it was set, and its place is used again", () => {
    const recent = new RecentText(10)
    recent.set("a", "1")
    for (const key of keys(10)) recent.set(key)
    recent.set("a", "2")
    assert.isTrue(recent.delete("a"))
    assert.isFalse(recent.has("a"))
    assert.isFalse(recent.delete("a"))
    assert.isTrue(recent.delete("BTC_USDT 9"))
    for (let i = 0; i < 1_000; i++) {
      recent.set("a", String(i))
      assert.strictEqual(recent.get("a"), String(i))
      assert.isTrue(recent.delete("a"))
    }
  })

  it("entries that are longer than expected are remembered as well, up to what no exchange has", () => {
    const recent = new RecentText(3)
    const long = "x".repeat(65_535)
    recent.set(long, long)
    recent.set("short", "value")
    assert.strictEqual(recent.get(long), long)
    assert.strictEqual(recent.get("short"), "value")
    recent.set(`${long}x`)
    assert.isFalse(recent.has(`${long}x`))
    recent.set("y", `${long}x`)
    assert.isFalse(recent.has("y"))
  })
})
