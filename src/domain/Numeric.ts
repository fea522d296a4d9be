/**
 * The number rules. Prices and quantities are `number`s that equal the decimal on the wire when read back at up to 15
 * significant digits. What has more digits keeps its exact text in the event's `exact` record.
 */

/** Exact decimal text by field name (`bidPrice`, `bids[4]`), only for fields with more than 15 significant digits. */
export type ExactText = Readonly<Record<string, string>>

const dot = 46
const zero = 48

const powersOfTen = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

/** Digits that one int32 holds. */
const wordDigits = 9

/** A dot and two words of digits. */
const longestShort = 2 * wordDigits + 1

/**
 * Reads a plain, non-negative decimal (`12`, `0.5`, `12.50`) in `bytes[start, end)`. NaN when it is anything else:
 * empty, signed, with an exponent, hexadecimal, or not finite.
 *
 * Mantissa below 2^53 and at most 22 decimals: one division of two exact doubles, so the result is correctly rounded
 * (Clinger's fast path). Anything longer goes through `Number(text)`. The digits are gathered in two int32 words, which
 * is twice as fast as in one double.
 */
export const parse = (bytes: Uint8Array, start: number, end: number): number => {
  if (end - start > longestShort) return parseLong(bytes, start, end)
  let digits = 0
  let high = 0
  let low = 0
  let point = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - zero
    if (digit >= 0 && digit <= 9) {
      if (digits < wordDigits) high = (high * 10 + digit) | 0
      else low = (low * 10 + digit) | 0
      digits++
    } else {
      // A second dot, one in front (".5") and one behind ("12.") are nothing that an exchange sends.
      if (digit !== dot - zero || point !== 0 || digits === 0 || i === end - 1) return Number.NaN
      point = digits
    }
  }
  if (digits === 0) return Number.NaN
  const decimals = point === 0 ? 0 : digits - point
  if (digits <= wordDigits) return decimals === 0 ? high : high / powersOfTen[decimals]!
  if (digits > 2 * wordDigits) return parseLong(bytes, start, end)
  const mantissa = high * powersOfTen[digits - wordDigits]! + low
  if (mantissa > Number.MAX_SAFE_INTEGER) return parseLong(bytes, start, end)
  return decimals === 0 ? mantissa : mantissa / powersOfTen[decimals]!
}

const decimalPattern = /^\d+(\.\d+)?$/

const longestDecimal = 1024

const parseLong = (bytes: Uint8Array, start: number, end: number): number => {
  if (end - start > longestDecimal) return Number.NaN
  return fromText(ascii(bytes, start, end))
}

/** The same rule for text. */
export const fromText = (text: string): number => {
  if (text.length > longestDecimal || !decimalPattern.test(text)) return Number.NaN
  const value = Number(text)
  return Number.isFinite(value) ? value : Number.NaN
}

/** Text of single-byte characters in `bytes[start, end)`. */
export const ascii = (bytes: Uint8Array, start: number, end: number): string => {
  let text = ""
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!)
  return text
}

/** Counts significant digits: leading zeros and, behind a dot, trailing zeros do not count. */
export const significantDigits = (text: string): number => {
  const digits = text.replace(".", "").replace(/^0+/, "")
  return (text.includes(".") ? digits.replace(/0+$/, "") : digits).length
}

/** The most digits that every double gives back unchanged. */
export const exactDigits = 15

/**
 * The exact text of the decimal in `bytes[start, end)` when a number cannot hold it, else null. Call it only where
 * `end - start > exactDigits`: shorter text always fits.
 */
export const excess = (bytes: Uint8Array, start: number, end: number): string | null => {
  const text = ascii(bytes, start, end)
  return significantDigits(text) > exactDigits ? text : null
}

/** Plain decimal text of a number, never with an exponent. */
export const toDecimal = (value: number): string => {
  const text = String(value)
  return text.includes("e") ? expandExponent(text) : text
}

const expandExponent = (text: string): string => {
  const [mantissa = "", exponentText = "0"] = text.split("e")
  const negative = mantissa.startsWith("-")
  const [whole = "", fraction = ""] = (negative ? mantissa.slice(1) : mantissa).split(".")
  const exponent = Number(exponentText)
  const digits = whole + fraction
  const point = whole.length + exponent
  const plain = point <= 0
    ? `0.${"0".repeat(-point)}${digits}`
    : point >= digits.length
    ? digits + "0".repeat(point - digits.length)
    : `${digits.slice(0, point)}.${digits.slice(point)}`
  return negative ? `-${plain}` : plain
}
