/** Colours for a terminal that wants them, and numbers as people read them. */
import { DateTime } from "effect"
import * as Numeric from "../domain/Numeric.ts"

export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly green: (text: string) => string
  readonly red: (text: string) => string
  readonly yellow: (text: string) => string
}

const plain = (text: string): string => text
const sgr = (code: number) => (text: string): string => `\x1b[${code}m${text}\x1b[0m`

export const of = (canColor: boolean): Style =>
  canColor
    ? { bold: sgr(1), dim: sgr(2), green: sgr(32), red: sgr(31), yellow: sgr(33) }
    : { bold: plain, dim: plain, green: plain, red: plain, yellow: plain }

/** What stands where there is no value. */
export const none = "-"

/** `1 route`, `2 routes`. */
export const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`

/** Plain decimal, every digit that the exchange sent. */
export const decimal = (value: number | null | undefined): string =>
  value === null || value === undefined || Number.isNaN(value) ? none : Numeric.toDecimal(value)

export const fixed = (value: number | null, digits: number): string =>
  value === null || !Number.isFinite(value) ? none : value.toFixed(digits)

/** `1:02:03`, or `02:03` below an hour. */
export const elapsed = (millis: number): string => {
  const seconds = Math.floor(millis / 1000)
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, "0"))
  const hours = Math.floor(seconds / 3600)
  return (hours > 0 ? [hours, ...parts] : parts).join(":")
}

/** `14:05` UTC of a time in ms. */
export const minute = (time: number | null | undefined): string =>
  time === null || time === undefined ? none : DateTime.formatIso(DateTime.makeUnsafe(time)).slice(11, 16)

export const percent = (fraction: number | null | undefined, digits: number): string =>
  fixed(fraction === null || fraction === undefined ? null : fraction * 100, digits)

/** How long it is from `now` until a time, both ms; no less than nothing. */
export const until = (time: number | null | undefined, now: number): string =>
  time === null || time === undefined ? none : elapsed(Math.max(0, time - now))
