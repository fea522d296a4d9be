import { assert, describe, it } from "@effect/vitest"
import { LevelBuffer } from "../../src/domain/LevelBuffer.ts"

const added = (buffer: LevelBuffer, count: number): ReadonlyArray<number> => {
  const wanted: Array<number> = []
  for (let i = 0; i < count; i++) {
    buffer.add(i + 1, i / 8)
    wanted.push(i + 1, i / 8)
  }
  return wanted
}

describe("LevelBuffer", () => {
  it("gives back what was added, and more than it had room for", () => {
    for (const count of [0, 1, 127, 128, 129, 1_000]) {
      const buffer = new LevelBuffer()
      const wanted = added(buffer, count)
      assert.strictEqual(buffer.length, 2 * count)
      assert.deepStrictEqual(buffer.toArray(), wanted)
    }
  })

  it("begins again when it was cleared, and leaves alone what it gave", () => {
    const buffer = new LevelBuffer()
    const first = added(buffer, 3)
    const given = buffer.toArray()
    buffer.clear()
    assert.deepStrictEqual(buffer.toArray(), [])
    buffer.add(7, 8)
    assert.deepStrictEqual(buffer.toArray(), [7, 8])
    assert.deepStrictEqual(given, first)
  })
})
