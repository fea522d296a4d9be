import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { PassingMap } from "../../src/domain/PassingMap.ts"

const int = (maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum }))))

const step = Arbitrary.all([int(9), int(30), int(1_000)])

describe("PassingMap", () => {
  it.prop("is a Map, however many come and go", { steps: Arbitrary.array(step) }, ({ steps }) => {
    const expected = new Map<number, number>()
    const map = new PassingMap<number, number>()
    // Many times over, so that it is made anew.
    for (let round = 0; round < 20; round++) {
      for (const [action, key, value] of steps) {
        if (action < 5) {
          expected.set(key, value)
          map.set(key, value)
        } else {
          assert.strictEqual(map.delete(key), expected.delete(key))
        }
        assert.strictEqual(map.get(key), expected.get(key))
        assert.strictEqual(map.has(key), expected.has(key))
        assert.strictEqual(map.size, expected.size)
      }
      assert.deepStrictEqual([...map], [...expected])
      assert.deepStrictEqual([[...map.keys()], [...map.values()]], [[...expected.keys()], [...expected.values()]])
    }
  })

  it("goes on from what it was when it is gone through while all leave", () => {
    const map = new PassingMap<number, string>()
    for (let key = 0; key < 100; key++) map.set(key, `${key}`)
    const seen: Array<number> = []
    for (const [key] of map) {
      seen.push(key)
      map.delete(key)
    }
    assert.deepStrictEqual(seen, Array.from({ length: 100 }, (_, key) => key))
    assert.strictEqual(map.size, 0)
  })
})
