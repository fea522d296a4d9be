import { assert, describe, it } from "@effect/vitest"
import { Recent } from "../../src/account/Recent.ts"

const keys = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `k${index}`)

describe("Recent", () => {
  it("knows the last that were set for certain, and never more than twice as many", () => {
    const recent = new Recent<number>(10)
    const all = keys(1_000)
    for (const [at, key] of all.entries()) {
      recent.set(key, at)
      const known = all.slice(0, at + 1).filter((each) => recent.has(each))
      assert.deepStrictEqual(known, all.slice(at + 1 - known.length, at + 1))
      assert.isAtLeast(known.length, Math.min(10, at + 1))
      assert.isAtMost(known.length, 20)
    }
    assert.strictEqual(recent.get("k999"), 999)
    assert.isUndefined(recent.get("k0"))
  })

  it("what is set again is the latest, with its new value", () => {
    const recent = new Recent<string>(10)
    recent.set("kept", "old")
    for (const key of keys(9)) recent.set(key, "")
    recent.set("kept", "new")
    for (const key of keys(9)) recent.set(key, "")
    assert.strictEqual(recent.get("kept"), "new")
  })

  it("what is taken out is gone, however long ago it was set", () => {
    const recent = new Recent<number>(10)
    recent.set("a", 1)
    for (const key of keys(10)) recent.set(key, 0)
    recent.set("a", 2)
    assert.isTrue(recent.delete("a"))
    assert.isFalse(recent.has("a"))
    assert.isFalse(recent.delete("a"))
    assert.isTrue(recent.delete("k9"))
  })

  it("keeps those of the last while, where they come fast, up to twenty times as many", () => {
    const recent = new Recent<number>(10, 1_000)
    for (let i = 0; i < 200; i++) recent.set(`${i}`, i, i)
    assert.isTrue(recent.has("0"), "all came within a second")
    for (let i = 200; i < 1_400; i++) recent.set(`${i}`, i, i)
    assert.isFalse(recent.has("0"))
    assert.isTrue(recent.has("1300"))
    const slow = new Recent<number>(10, 1_000)
    for (let i = 0; i < 21; i++) slow.set(`${i}`, i, i * 1_000)
    assert.isFalse(slow.has("0"))
    assert.isTrue(slow.has("11"))
  })
})
