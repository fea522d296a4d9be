import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Sequence from "../../src/domain/Sequence.ts"

/** Non-negative integers of every size, many of them at the bound of exact doubles. */
const whole = Arbitrary.map(
  Arbitrary.schema(Schema.Tuple([
    Schema.Literals(["small", "bound", "large"]),
    Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))),
    Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: -3, maximum: 3 })))
  ])),
  ([size, value, offset]) => {
    if (size === "small") return BigInt(value)
    if (size === "bound") return BigInt(Number.MAX_SAFE_INTEGER) + BigInt(offset)
    return BigInt(value) * BigInt(value) + BigInt(value)
  }
)

const parse = (text: string): Sequence.Sequence | null => {
  const bytes = new TextEncoder().encode(`1${text}1`)
  return Sequence.parse(bytes, 1, bytes.length - 1)
}

/** The same by `readShort`; null where it says false. */
const readShort = (text: string): number | null => {
  const bytes = new TextEncoder().encode(`1${text}1`)
  const numbers = new Float64Array(3)
  return Sequence.readShort(numbers, 1, bytes, 1, bytes.length - 1) ? numbers[1]! : null
}

const isCanonical = (value: Sequence.Sequence): boolean =>
  typeof value === "number" ? Number.isSafeInteger(value) : value > Number.MAX_SAFE_INTEGER

describe("Sequence", () => {
  it.prop("holds every integer exactly, in one form", { value: whole }, ({ value }) => {
    const forms = [
      Sequence.fromBigInt(value),
      Sequence.fromText(String(value)),
      parse(String(value)),
      parse(`00${value}`)
    ]
    const text = String(value)
    assert.strictEqual(readShort(text), text.length <= 15 ? Number(text) : null)
    for (const form of forms) {
      assert(form !== null)
      assert.isTrue(isCanonical(form))
      assert.strictEqual(BigInt(form), value)
      assert.strictEqual(Sequence.toText(form), String(value))
      assert.isTrue(Sequence.equals(form, forms[0]!))
    }
  }, { arbitrary: { runs: 500 } })

  it.prop("counts on by one", { value: whole }, ({ value }) => {
    const next = Sequence.next(Sequence.fromBigInt(value))
    assert.isTrue(isCanonical(next))
    assert.strictEqual(BigInt(next), value + 1n)
    assert.isFalse(Sequence.equals(next, Sequence.fromBigInt(value)))
    assert.isTrue(Sequence.equals(next, Sequence.fromBigInt(value + 1n)))
  }, { arbitrary: { runs: 500 } })

  it.prop("measures distances and compares across both forms", { a: whole, b: whole }, ({ a, b }) => {
    const [left, right] = [Sequence.fromBigInt(a), Sequence.fromBigInt(b)]
    assert.strictEqual(BigInt(Sequence.distance(left, right)), b - a)
    assert.strictEqual(left < right, a < b)
    assert.strictEqual(left <= right, a <= b)
    assert.strictEqual(Sequence.equals(left, right), a === b)
  }, { arbitrary: { runs: 500 } })

  it("reads digits only", () => {
    for (const text of ["", "-1", "+1", "1.0", "1e3", " 1", "0x1", "abc", "1234567890123456x", "١"]) {
      assert.isNull(parse(text), text)
      assert.isNull(readShort(text), text)
      assert.isNull(Sequence.fromText(text), text)
    }
  })

  it("reads up to 40 digits from the wire, and refuses more", () => {
    assert.strictEqual(parse("9".repeat(40)), BigInt("9".repeat(40)))
    assert.isNull(parse("9".repeat(41)))
  })

  it("does not step over 2^53, where doubles have holes", () => {
    assert.strictEqual(Sequence.next(Number.MAX_SAFE_INTEGER), 9007199254740992n)
    assert.strictEqual(Sequence.next(9007199254740992n), 9007199254740993n)
    assert.isFalse(Sequence.equals(9007199254740993n, 9007199254740992))
  })
})
