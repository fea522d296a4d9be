import { assert, describe, it } from "@effect/vitest"
import { Literal, Memory } from "../../src/domain/Bytes.ts"
import * as Bytes from "../../src/domain/Bytes.ts"

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

/** Stands at 3 in a larger memory, as frames do. */
const within = (text: string): Uint8Array => {
  const memory = ascii(`xyz${text}0000`)
  return memory.subarray(3, 3 + text.length)
}

describe("Literal", () => {
  it("of every length is found where each of its bytes stands, and nowhere else", () => {
    const text = `{"time":1,"channel":"spot.obu"}`
    for (let length = 1; length <= text.length; length++) {
      const literal = new Literal(ascii(text.slice(0, length)))
      const memory = new Memory()
      const frame = within(`--${text}`)
      assert.strictEqual(literal.length, length)
      assert.isTrue(literal.isAt(memory.of(frame), frame.byteOffset + 2), text.slice(0, length))
      for (let at = 0; at < length; at++) {
        const other = within(`--${text}`)
        other[2 + at]! ^= 1
        assert.isFalse(literal.isAt(memory.of(other), other.byteOffset + 2), `${length} bytes, other at ${at}`)
      }
    }
  })

  it("does not follow the bytes it was made of", () => {
    const bytes = ascii(`,"u":`)
    const literal = new Literal(bytes)
    bytes.fill(0)
    const frame = within(`,"u":7`)
    assert.isTrue(literal.isAt(new Memory().of(frame), frame.byteOffset))
  })
})

describe("fourDigits", () => {
  const read = (text: string): number => {
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0))
    return Bytes.fourDigits(new DataView(bytes.buffer).getInt32(0, true))
  }

  it("is the number of all that are four digits", () => {
    for (let value = 0; value < 10_000; value++) assert.strictEqual(read(String(value).padStart(4, "0")), value)
  })

  it("is -1 with any other byte at any place", () => {
    for (let at = 0; at < 4; at++) {
      for (let code = 0; code < 256; code++) {
        if (code >= 48 && code <= 57) continue
        assert.strictEqual(read(`${"9099".slice(0, at)}${String.fromCharCode(code)}${"9099".slice(at + 1)}`), -1)
      }
    }
  })
})
