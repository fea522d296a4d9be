/** Decimals as integers of their last digit: `units` of 10^-decimals. Exact below 2^53. */

/** Padded decimal text: `toText(805358, 2)` is `8053.58`. */
export const toText = (units: number, decimals: number): string => {
  if (decimals === 0) return String(units)
  const digits = String(units).padStart(decimals + 1, "0")
  const point = digits.length - decimals
  return `${digits.slice(0, point)}.${digits.slice(point)}`
}

const decimalPattern = /^(\d+)(?:\.(\d+))?$/

/** Null when the text is no plain decimal, has too many decimals, or passes 2^53. */
export const fromText = (text: string, decimals: number): number | null => {
  const match = decimalPattern.exec(text)
  if (match === null) return null
  const [, whole = "", fraction = ""] = match
  const digits = fraction.replace(/0+$/, "")
  if (digits.length > decimals) return null
  const units = Number(whole + digits.padEnd(decimals, "0"))
  return Number.isSafeInteger(units) ? units : null
}
