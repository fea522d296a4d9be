/**
 * Exact decimals for everything that is money: orders, fills, balances, positions. A value of `effect/BigDecimal`; what
 * leaves is plain decimal text, never with an exponent and never with the noise of binary fractions.
 */
import { BigDecimal, Option, Result } from "effect"

export type Decimal = BigDecimal.BigDecimal

/** What callers may write: exact text, a decimal, a whole number, or a number that means its shortest decimal text. */
export type Input = Decimal | string | number | bigint

export const zero: Decimal = BigDecimal.fromBigInt(0n)

const pattern = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/

/** Longer text is no amount of anything, and a bound keeps hostile input cheap. */
const longest = 100

/** Reads decimal text; the failure says what was wrong with it. */
export const parse = (text: string): Result.Result<Decimal, string> =>
  text.length <= longest && pattern.test(text)
    ? Result.fromOption(
      Option.map(BigDecimal.fromString(text.startsWith("+") ? text.slice(1) : text), BigDecimal.normalize),
      () => `"${text}" is no decimal number`
    )
    : Result.fail(`"${text.slice(0, longest)}" is no decimal number`)

/** Reads what a caller wrote. A number is taken at its shortest decimal text: 0.1 is one tenth. */
export const fromInput = (input: Input): Result.Result<Decimal, string> => {
  if (BigDecimal.isBigDecimal(input)) return Result.succeed(BigDecimal.normalize(input))
  if (typeof input === "bigint") return Result.succeed(BigDecimal.fromBigInt(input))
  if (typeof input === "number" && !Number.isFinite(input)) return Result.fail(`${input} is no finite number`)
  return parse(String(input))
}

/** Of text that is known to be a decimal: a constant, or what `parse` has taken before. */
export const of = (text: string): Decimal => Result.getOrThrowWith(parse(text), (detail) => new TypeError(detail))

/** Powers of ten that doubles hold exactly. */
const powers: ReadonlyArray<number> = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)

/** Of decimals with fewer digits no two are the same double. */
const tellsApart = 1e15

/** A number is often one of few decimal places: more are looked for in its text. */
const usualPlaces = 12

/** The shortest decimal text of a finite number, as `fromInput` takes it, without going by way of the text where that is short. */
export const fromNumber = (value: number): Decimal => {
  for (let scale = 0; scale <= usualPlaces; scale++) {
    const power = powers[scale]!
    const digits = Math.round(value * power)
    if (!(Math.abs(digits) < tellsApart)) break
    // Both are exact and the quotient is the nearest double: it is this decimal's.
    if (digits / power === value) return BigDecimal.make(BigInt(digits), scale)
  }
  return BigDecimal.fromNumberUnsafe(value)
}

/** Plain text: `0.0000001`, never `1e-7`; no zeros behind the last digit. */
export const toText = (value: Decimal): string => {
  const { scale, value: digits } = BigDecimal.normalize(value)
  if (scale <= 0) return `${digits * 10n ** BigInt(-scale)}`
  const negative = digits < 0n
  const text = `${negative ? -digits : digits}`.padStart(scale + 1, "0")
  const point = text.length - scale
  return `${negative ? "-" : ""}${text.slice(0, point)}.${text.slice(point)}`
}

/** For charts and comparisons that need no exactness. */
export const toNumber = (value: Decimal): number => {
  const { scale, value: digits } = value
  const whole = Number(digits)
  // Both are exact, and a quotient is rounded once.
  return Number.isSafeInteger(whole) && scale >= 0 && scale < powers.length
    ? whole / powers[scale]!
    : Number(toText(value))
}

export const equals = BigDecimal.equals

/** How a value that lies between two steps is brought onto one. */
export type Rounding = "down" | "up"

/** The nearest multiple of `step` towards zero (`down`) or away from it (`up`). `step` is above 0. */
export const toStep = (value: Decimal, step: Decimal, rounding: Rounding): Decimal => {
  const scale = Math.max(value.scale, step.scale, 0)
  const whole = BigDecimal.normalize(value)
  const units = scaled(whole, scale)
  const size = scaled(BigDecimal.normalize(step), scale)
  const rest = units % size
  if (rest === 0n) return whole
  const towardsZero = units - rest
  const away = units < 0n ? towardsZero - size : towardsZero + size
  return BigDecimal.normalize(BigDecimal.make(rounding === "down" ? towardsZero : away, scale))
}

/**
 * `dividend / divisor` as a multiple of `step`, exactly: whether it lies on one is asked of the fraction, and not of so many of
 * its digits. `divisor` is not 0, `step` is above 0.
 */
export const quotient = (dividend: Decimal, divisor: Decimal, step: Decimal, rounding: Rounding): Decimal => {
  const size = BigDecimal.multiply(divisor, step)
  const scale = Math.max(dividend.scale, size.scale)
  const units = scaled(dividend, scale)
  const unit = scaled(size, scale)
  const towardsZero = units / unit
  const isBetween = rounding === "up" && units % unit !== 0n
  const away = (units < 0n) === (unit < 0n) ? 1n : -1n
  return BigDecimal.normalize(
    BigDecimal.multiply(BigDecimal.fromBigInt(isBetween ? towardsZero + away : towardsZero), step)
  )
}

const oneHalf = BigDecimal.make(5n, 1)

/** Exactly: a division by two would go on to a hundred digits. */
export const half = (value: Decimal): Decimal => BigDecimal.multiply(value, oneHalf)

const scaled = (value: Decimal, scale: number): bigint => value.value * 10n ** BigInt(scale - value.scale)

/** Whether the value lies on a step. */
export const isOnStep = (value: Decimal, step: Decimal): boolean => equals(value, toStep(value, step, "down"))
