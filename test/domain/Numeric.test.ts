import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Numeric from "../../src/domain/Numeric.ts"

const int = (minimum: number, maximum: number) => Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum })))

const digits = (minLength: number, maxLength: number) =>
  Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9])), {
      minLength,
      maxLength
    }),
    (values) => values.join("")
  )

/** Plain decimals of every length around the bounds of the fast paths: 9, 10, 15, 16, 22, 23 characters. */
const decimal = Arbitrary.map(
  Arbitrary.all([digits(1, 26), digits(0, 26), Arbitrary.schema(int(0, 30))]),
  ([whole, fraction, length]) => {
    const text = fraction === "" ? whole : `${whole}.${fraction}`
    const cut = text.slice(0, Math.max(1, length))
    return cut.endsWith(".") ? `${cut}5` : cut
  }
)

/** Parses text that stands inside a larger buffer, between digits that must not be read. */
const parse = (text: string): number => {
  const bytes = new TextEncoder().encode(`77${text}77`)
  return Numeric.parse(bytes, 2, bytes.length - 2)
}

/** The same by `readShort`; NaN where it says false. */
const readShort = (text: string): number => {
  const bytes = new TextEncoder().encode(`77${text}77`)
  const numbers = new Float64Array(3)
  return Numeric.readShort(numbers, 1, bytes, 2, bytes.length - 2) ? numbers[1]! : Number.NaN
}

const excess = (text: string): string | null => {
  const bytes = new TextEncoder().encode(`7.${text}7`)
  return Numeric.excess(bytes, 2, bytes.length - 1)
}

describe("Numeric.readSides", () => {
  it("reads both sides, with the exact text of what a number cannot hold", () => {
    assert.deepStrictEqual(Numeric.readSides([["1.5", "2"], ["1", "0"]], [["2", "0.12345678901234567", "more"]]), {
      bids: [1.5, 2, 1, 0],
      asks: [2, Number("0.12345678901234567")],
      exact: { "asks[1]": "0.12345678901234567" }
    })
    assert.deepStrictEqual(Numeric.readSides(null, undefined), { bids: [], asks: [], exact: null })
  })

  it("reads neither where a level is no price above 0 with its quantity", () => {
    for (const [price, quantity] of [["0", "1"], ["-1", "1"], ["x", "1"], ["1", "-1"], ["1", ""]] as const) {
      assert.isNull(Numeric.readSides([[price, quantity]], []))
      assert.isNull(Numeric.readSides([], [["1", "1"], [price, quantity]]))
    }
  })
})

describe("Numeric.minimum", () => {
  it("is null where there is none, and NaN where it is no decimal", () => {
    for (const text of [null, undefined, "", "0", "0.00"]) assert.isNull(Numeric.minimum(text))
    assert.strictEqual(Numeric.minimum("0.10"), 0.1)
    for (const text of ["-1", "x", "1e-7"]) assert.isNaN(Numeric.minimum(text))
  })
})

describe("Numeric.parsePercent", () => {
  const parsePercent = (text: string): number => {
    const bytes = new TextEncoder().encode(`-7${text}77`)
    return Numeric.parsePercent(bytes, 2, bytes.length - 2)
  }

  it.prop("is the nearest number to the fraction that is meant", { text: decimal }, ({ text }) => {
    assert.strictEqual(parsePercent(text), Number(`${text}e-2`))
    assert.strictEqual(parsePercent(`-${text}`), 0 - Number(`${text}e-2`))
  })

  it("knows neither a negative zero nor what is no plain decimal", () => {
    assert.isTrue(Object.is(parsePercent("-0.00"), 0))
    for (const text of ["", "-", "--1", "+1", "-.5", "1.", "1e3", "x", "-1.2345678901234567x"]) {
      assert.isNaN(parsePercent(text), text)
    }
  })
})

describe("Numeric.parse of many digits", () => {
  it("does not count the zeros at the end of a fraction", () => {
    for (
      const text of ["1795000000123.448000", "1795000000123.000000", "1795000000123456.0000", "900000000000000000.0"]
    ) {
      assert.strictEqual(parse(text), Number(text), text)
    }
  })
})

describe("Numeric.parseSigned", () => {
  const parseSigned = (text: string): number => {
    const bytes = new TextEncoder().encode(`-7${text}77`)
    return Numeric.parseSigned(bytes, 2, bytes.length - 2)
  }

  it.prop("reads decimals of either sign as Number does", { text: decimal }, ({ text }) => {
    assert.strictEqual(parseSigned(text), Number(text))
    assert.strictEqual(parseSigned(`-${text}`), 0 - Number(text))
  })

  it("knows no negative zero, no plus and no second sign", () => {
    assert.isTrue(Object.is(parseSigned("-0.00"), 0))
    for (const text of ["", "-", "--1", "+1", "-.5", "-1e3"]) assert.isNaN(parseSigned(text))
  })

  it("does not count the sign as a digit", () => {
    const excessOf = (text: string) => {
      const bytes = new TextEncoder().encode(text)
      return Numeric.excess(bytes, 0, bytes.length)
    }
    assert.isNull(excessOf("-0.123456789012345"))
    assert.strictEqual(excessOf("-0.1234567890123456"), "-0.1234567890123456")
  })
})

describe("Numeric.parse", () => {
  it.prop("reads every plain decimal as Number does", { text: decimal }, ({ text }) => {
    assert.strictEqual(parse(text), Number(text))
    assert.strictEqual(Numeric.fromText(text), Number(text))
    assert.deepStrictEqual(readShort(text), text.length <= Numeric.exactDigits ? Number(text) : Number.NaN)
  }, { arbitrary: { runs: 2000 } })

  it("is correctly rounded at the bounds of the fast path", () => {
    const texts = [
      "0",
      "0.0",
      "000123",
      "999999999",
      "9999999999",
      "4294967296",
      "2147483648",
      "0.999999999",
      "99999999.9",
      "9007199254740991",
      "9007199254740992",
      "9007199254740993",
      "900719925474099.1",
      "900719925474099.3",
      "0.000000000000000000001",
      "0.0000000000000000000001",
      "0.00000000000000000000012345",
      "123456789012345678901234567890.123456789",
      "1.7976931348623157",
      "2.2250738585072014",
      "0.1",
      "0.3",
      "84270.010000000000001"
    ]
    for (const text of texts) assert.strictEqual(parse(text), Number(text), text)
  })

  it("refuses everything else", () => {
    const texts = [
      "",
      ".",
      ".5",
      "5.",
      "1.2.3",
      "..",
      "-1",
      "+1",
      "1e5",
      "1E-7",
      "0x10",
      "NaN",
      "Infinity",
      " 1",
      "1 ",
      "1,5",
      "1_0",
      "١",
      "123456789012.",
      ".123456789012",
      "12345678901x",
      "123456.78901.2",
      "1234567890.",
      "x".repeat(30),
      "9".repeat(400),
      "1".repeat(1025)
    ]
    for (const text of texts) {
      assert.isNaN(parse(text), text)
      assert.isNaN(readShort(text), text)
      assert.isNaN(Numeric.fromText(text), text)
    }
    assert.strictEqual(parse(`0.${"1".repeat(1022)}`), Number(`0.${"1".repeat(1022)}`))
  })

  it.prop("refuses a decimal with one byte that belongs to none", {
    text: decimal,
    at: int(0, 30),
    code: Schema.Literals([0, 32, 43, 44, 45, 47, 58, 69, 95, 101, 120, 255])
  }, ({ text, at, code }) => {
    const bytes = new TextEncoder().encode(text)
    bytes[at % bytes.length] = code
    assert.isNaN(Numeric.parse(bytes, 0, bytes.length))
  })
})

describe("Numeric.excess", () => {
  it.prop("keeps the text exactly when 15 digits are not enough", { text: decimal }, ({ text }) => {
    assert.strictEqual(excess(text), Numeric.significantDigits(text) > Numeric.exactDigits ? text : null)
  }, { arbitrary: { runs: 1000 } })

  it("counts neither leading zeros nor, behind a dot, trailing ones", () => {
    assert.isNull(excess("0.00000000000000000000012345"))
    assert.isNull(excess("1.50000000000000000000"))
    assert.isNull(excess("000000000000000000000001"))
    assert.isNull(excess("123456789012345"))
    assert.strictEqual(excess("1234567890123456"), "1234567890123456")
    assert.strictEqual(excess("0.1234567890123456"), "0.1234567890123456")
    assert.strictEqual(Numeric.significantDigits("1000"), 4)
    assert.strictEqual(Numeric.significantDigits("1000.0"), 1)
    assert.strictEqual(Numeric.significantDigits("0.00"), 0)
  })

  it.prop("what it leaves alone reads back unchanged from its number", { text: decimal }, ({ text }) => {
    if (excess(text) !== null) return
    const plain = text.includes(".") ? text.replace(/\.?0+$/, "") : text
    const back = Numeric.toDecimal(parse(text))
    assert.strictEqual(back, plain.replace(/^0+(?=\d)/, ""))
  })
})

describe("Numeric.toDecimal", () => {
  it.prop("never has an exponent and reads back as the same number", { value: Schema.Finite }, ({ value }) => {
    const text = Numeric.toDecimal(value)
    assert.match(text, /^-?\d+(\.\d+)?$/)
    assert.strictEqual(Number(text) + 0, value + 0)
  }, { arbitrary: { runs: 1000 } })

  it.prop("holds over the whole range of exponents", {
    mantissa: int(-(2 ** 53) + 1, 2 ** 53 - 1),
    exponent: int(-320, 290)
  }, ({ mantissa, exponent }) => {
    const value = Number(`${mantissa}e${exponent}`)
    const text = Numeric.toDecimal(value)
    assert.match(text, /^-?\d+(\.\d+)?$/)
    assert.strictEqual(Number(text) + 0, value + 0)
  }, { arbitrary: { runs: 1000 } })

  it("writes out what String abbreviates", () => {
    assert.strictEqual(Numeric.toDecimal(1e-7), "0.0000001")
    assert.strictEqual(Numeric.toDecimal(-1.25e-9), "-0.00000000125")
    assert.strictEqual(Numeric.toDecimal(1e21), "1000000000000000000000")
    assert.strictEqual(Numeric.toDecimal(1.5e21), "1500000000000000000000")
    assert.strictEqual(Numeric.toDecimal(0.1), "0.1")
  })
})

describe("Numeric.ascii", () => {
  it("reads single-byte characters of a part", () => {
    assert.strictEqual(Numeric.ascii(Uint8Array.of(120, 49, 46, 53, 120), 1, 4), "1.5")
    assert.strictEqual(Numeric.ascii(Uint8Array.of(120), 1, 1), "")
  })
})
