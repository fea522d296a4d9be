/** Sums of decimal texts, for what Gate's server reckons out. */
import { trimmed } from "../../ExchangeDialect.ts"

/** Decimal texts, added exactly. */
export const plus = (a: string, b: string): string => {
  const scale = Math.max(decimalsOf(a), decimalsOf(b))
  const total = scaled(a, scale) + scaled(b, scale)
  if (scale === 0) return String(total)
  const digits = String(total < 0n ? -total : total).padStart(scale + 1, "0")
  return trimmed(`${total < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`)
}

const decimalsOf = (text: string): number => text.includes(".") ? text.length - text.indexOf(".") - 1 : 0

const scaled = (text: string, scale: number): bigint =>
  BigInt(text.replace(".", "") + "0".repeat(scale - decimalsOf(text)))

export const minus = (text: string): string => text.startsWith("-") ? text.slice(1) : `-${text}`
