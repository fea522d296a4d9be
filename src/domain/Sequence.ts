/**
 * Versions and update ids, exact at any size: a `number` while it is a safe integer, a `bigint` above 2^53 - 1.
 * `<`, `>`, `<=` and `>=` compare both forms correctly; use `equals` and `next` for the rest.
 */
export type Sequence = number | bigint

const limit = Number.MAX_SAFE_INTEGER

export const fromBigInt = (value: bigint): Sequence => (value <= limit && value >= -limit ? Number(value) : value)

/** Reads decimal digits; `null` when the text is anything else. */
export const fromText = (text: string): Sequence | null => /^\d+$/.test(text) ? fromBigInt(BigInt(text)) : null

// oxlint-disable-next-line eqeqeq -- docs/decisions/0003-lint-exceptions.md
export const equals = (a: Sequence, b: Sequence): boolean => a == b

export const next = (value: Sequence): Sequence =>
  typeof value === "number" && value < limit ? value + 1 : fromBigInt(BigInt(value) + 1n)

/** `b - a`: how many numbers lie after `a` up to and including `b`. */
export const distance = (a: Sequence, b: Sequence): Sequence =>
  typeof a === "number" && typeof b === "number" ? b - a : fromBigInt(BigInt(b) - BigInt(a))

export const toText = (value: Sequence): string => value.toString()

const zero = 48

/** So many digits fit an int32, in which they are added up; in a double each would have to wait for the one before. */
const wordDigits = 9

/** Reads the digits in `bytes[start, end)`; `null` when empty or when anything but a digit stands there. */
export const parse = (bytes: Uint8Array, start: number, end: number): Sequence | null => {
  if (start >= end) return null
  if (end - start > 15) return parseLong(bytes, start, end)
  const middle = end - start > wordDigits ? end - wordDigits : start
  const high = parseWord(bytes, start, middle)
  const low = parseWord(bytes, middle, end)
  return high < 0 || low < 0 ? null : high * 1e9 + low
}

/** The same to `numbers[at]`, where it is not boxed; false when it is none of up to 15 digits. */
export const readShort = (
  numbers: Float64Array,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number
): boolean => {
  if (start >= end || end - start > 15) return false
  const middle = end - start > wordDigits ? end - wordDigits : start
  const high = parseWord(bytes, start, middle)
  const low = parseWord(bytes, middle, end)
  numbers[at] = high * 1e9 + low
  return high >= 0 && low >= 0
}

/** Up to nine digits; 0 for none, -1 when anything else is among them. */
const parseWord = (bytes: Uint8Array, start: number, end: number): number => {
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! ^ zero
    if (digit > 9) return -1
    value = (Math.imul(value, 10) + digit) | 0
  }
  return value
}

const parseLong = (bytes: Uint8Array, start: number, end: number): Sequence | null => {
  // 40 digits hold 2^128: no exchange numbers higher, and a bound keeps hostile input cheap.
  if (end - start > 40) return null
  let text = ""
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!)
  return fromText(text)
}
