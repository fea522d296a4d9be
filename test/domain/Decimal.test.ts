import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, BigDecimal, Result, Schema } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"

const text = (input: Decimal.Input): string => Decimal.toText(Result.getOrThrow(Decimal.fromInput(input)))

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

const decimal = Arbitrary.map(
  Arbitrary.all([int(-1e9, 1e9), int(-3, 25)]),
  ([digits, scale]) => BigDecimal.make(BigInt(digits), scale)
)

const step = Arbitrary.map(
  Arbitrary.all([int(1, 50), int(0, 12)]),
  ([digits, scale]) => BigDecimal.make(BigInt(digits), scale)
)

describe("Decimal", () => {
  it("plain text, whatever was written", () => {
    assert.deepStrictEqual(
      ["1e-7", "1E3", "+0.50", ".5", "5.", "-0", "0.000", 0.1, 1e21, 1e-9, 12n, "123456789012345678901234567890.12"]
        .map(
          (input) => text(input)
        ),
      [
        "0.0000001",
        "1000",
        "0.5",
        "0.5",
        "5",
        "0",
        "0",
        "0.1",
        "1000000000000000000000",
        "0.000000001",
        "12",
        "123456789012345678901234567890.12"
      ]
    )
  })

  it("what is no amount is refused and says so", () => {
    for (const input of ["", " ", "1,5", "0x10", "1e9999", "--1", ".", "NaN", Number.NaN, Infinity, "9".repeat(101)]) {
      const result = Decimal.fromInput(input)
      assert.isTrue(Result.isFailure(result), String(input))
    }
  })

  it.prop(
    "a number is its shortest text, and a decimal the number nearest to it",
    [Schema.Finite, decimal],
    ([number, value]) => {
      const few = Number(number.toPrecision(6))
      for (const each of [number, few, Math.round(few), few / 1e6]) {
        assert.isTrue(Decimal.equals(Decimal.fromNumber(each), BigDecimal.fromNumberUnsafe(each)), String(each))
      }
      assert.strictEqual(Decimal.toNumber(value), Number(Decimal.toText(value)))
    }
  )

  it("numbers at the edge of what doubles tell apart are their text too", () => {
    for (
      const each of [
        0.1 + 0.2,
        1e21,
        5e-324,
        2 ** 53,
        999_999_999_999_999,
        1e15,
        0.000_000_000_000_1,
        -0,
        123.456_789_012_3
      ]
    ) {
      assert.isTrue(Decimal.equals(Decimal.fromNumber(each), BigDecimal.fromNumberUnsafe(each)), String(each))
    }
  })

  it.prop("text reads back as the same value", [decimal], ([value]) => {
    const written = Decimal.toText(value)
    assert.notMatch(written, /e/i)
    assert.isTrue(Decimal.equals(Decimal.of(written), value))
  })

  it.prop("steps: down never gains, up never loses, and both lie on the step within one of it", [decimal, step], ([
    value,
    size
  ]) => {
    const down = Decimal.toStep(value, size, "down")
    const up = Decimal.toStep(value, size, "up")
    assert.isTrue(Decimal.isOnStep(down, size))
    assert.isTrue(Decimal.isOnStep(up, size))
    assert.isTrue(BigDecimal.isLessThanOrEqualTo(BigDecimal.abs(down), BigDecimal.abs(value)))
    assert.isTrue(BigDecimal.isGreaterThanOrEqualTo(BigDecimal.abs(up), BigDecimal.abs(value)))
    assert.isTrue(BigDecimal.isLessThan(BigDecimal.abs(BigDecimal.subtract(value, down)), size))
    assert.isTrue(BigDecimal.isLessThan(BigDecimal.abs(BigDecimal.subtract(up, value)), size))
    assert.strictEqual(Decimal.isOnStep(value, size), Decimal.equals(up, down))
  })

  it.prop(
    "a quotient is the nearest multiple of the step, by the whole fraction",
    { dividend: decimal, divisor: decimal, size: step },
    ({ dividend, divisor, size }) => {
      if (BigDecimal.isZero(divisor)) return
      /** Compared by multiplying: a quotient may go on for ever. */
      const product = (value: Decimal.Decimal) => BigDecimal.abs(BigDecimal.multiply(value, divisor))
      const wanted = BigDecimal.abs(dividend)
      const oneStep = product(size)
      const down = Decimal.quotient(dividend, divisor, size, "down")
      const up = Decimal.quotient(dividend, divisor, size, "up")
      assert.isTrue(Decimal.isOnStep(down, size) && Decimal.isOnStep(up, size))
      const isNegative = BigDecimal.isNegative(dividend) !== BigDecimal.isNegative(divisor)
      for (const value of [down, up]) {
        assert.isTrue(BigDecimal.isZero(value) || BigDecimal.isNegative(value) === isNegative)
      }
      assert.isTrue(BigDecimal.isLessThanOrEqualTo(product(down), wanted))
      assert.isTrue(BigDecimal.isGreaterThanOrEqualTo(product(up), wanted))
      assert.isTrue(BigDecimal.isLessThan(BigDecimal.subtract(wanted, product(down)), oneStep))
      assert.isTrue(BigDecimal.isLessThan(BigDecimal.subtract(product(up), wanted), oneStep))
      const whole = BigDecimal.multiply(divisor, down)
      assert.strictEqual(Decimal.equals(up, down), Decimal.equals(whole, dividend))
    }
  )

  it("a quotient that goes on for ever", () => {
    const of = (dividend: string, divisor: string, size: string, rounding: Decimal.Rounding) =>
      Decimal.toText(Decimal.quotient(Decimal.of(dividend), Decimal.of(divisor), Decimal.of(size), rounding))
    assert.deepStrictEqual(
      [
        of("1", "3", "0.001", "down"),
        of("1", "3", "0.001", "up"),
        of("-1", "3", "0.001", "down"),
        of("1", "-3", "0.1", "up")
      ],
      ["0.333", "0.334", "-0.333", "-0.4"]
    )
    assert.strictEqual(of("5", "0.0001", "10000", "up"), "50000")
  })
})
