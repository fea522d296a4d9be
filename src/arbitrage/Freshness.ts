/** How old a leg is by the exchange's own time, how well that is known, and whether two legs may be compared. */
import type { BookView } from "../composite/OrderBook.ts"
import type { ClockReading } from "../ExchangeClock.ts"

/** Why prices that look good are not believed. */
export type Doubt = "Stale" | "TooOld" | "Skewed" | "Crossed"

export interface Age {
  /** Since the exchange made the book's last update; since it was received where the exchange sends no time, ms. */
  readonly ageMs: number
  /** `ageMs` is right to within this, ms. Infinite while the exchange's clock has not been measured. */
  readonly ageErrorMs: number
}

/**
 * Clocks are read in whole ms, and so is the exchange's time: the two readings around a measurement, its answer and the
 * stamp of the update, each cut off, move an age by up to 2.5 ms together.
 */
const resolutionMs = 2.5

/** By how much two clocks that are kept by quartz part, at most: 100 ppm. */
const drift = 1e-4

/**
 * What was received so much later than now, or more, was so before the machine's clock was set back: how old it is nobody
 * knows, ms.
 */
const backMs = 10

/** Whether what has happened at `at` can have happened by now; NaN cannot. Both by the machine's clock, ms. */
export const isPast = (at: number, now: number): boolean => now - at > -backMs

/** When something was told; null: the exchange sends no time. */
type Stamps = Pick<BookView, "exchangeTime" | "receivedAt">

/** Whether it is known to be no older than so many ms. Allocates nothing. `now` is on the clock that stamps `receivedAt`. */
export const isWithin = (
  { exchangeTime, receivedAt }: Stamps,
  clock: ClockReading | null,
  now: number,
  maxMs: number
): boolean => {
  if (!isPast(receivedAt, now)) return false
  if (exchangeTime === null) return now - receivedAt <= maxMs
  return clock !== null && now - (exchangeTime + clock.offsetMs) + errorOf(clock, now) <= maxMs
}

/** How far what the clock says may be off, ms. */
export const errorOf = (clock: ClockReading, now: number): number =>
  clock.errorMs + Math.abs(now - clock.at) * drift + resolutionMs

/** `now` is on the clock that stamps `receivedAt`. */
export const ageOf = (book: Stamps, clock: ClockReading | null, now: number): Age => {
  const { exchangeTime } = book
  if (exchangeTime === null) return { ageMs: now - book.receivedAt, ageErrorMs: 0 }
  if (clock === null) return { ageMs: now - book.receivedAt, ageErrorMs: Number.POSITIVE_INFINITY }
  return {
    ageMs: now - (exchangeTime + clock.offsetMs),
    ageErrorMs: errorOf(clock, now)
  }
}

export interface Limits {
  readonly maxAgeMs: number
  readonly maxSkewMs: number
}

/**
 * Received later than now: the machine's clock has been set back. Received before it can have been made: the exchange's clock
 * has been set since it was measured, or the measurement was wrong. Ages by such a clock mean nothing.
 */
const isFromFuture = (book: BookView, age: Age, now: number): boolean =>
  !isPast(book.receivedAt, now) || age.ageMs + age.ageErrorMs < now - book.receivedAt

/** Null when both legs are young enough and close enough in time, their uncertainty counted against them. */
export const doubtOf = (
  first: BookView,
  firstAge: Age,
  second: BookView,
  secondAge: Age,
  limits: Limits,
  now: number
): "TooOld" | "Skewed" | null => {
  // Written so that NaN is a doubt.
  const isYoung = firstAge.ageMs + firstAge.ageErrorMs <= limits.maxAgeMs &&
    secondAge.ageMs + secondAge.ageErrorMs <= limits.maxAgeMs
  if (!isYoung) return "TooOld"
  if (isFromFuture(first, firstAge, now) || isFromFuture(second, secondAge, now)) return "Skewed"
  const apart = Math.abs(firstAge.ageMs - secondAge.ageMs) + firstAge.ageErrorMs + secondAge.ageErrorMs
  return apart <= limits.maxSkewMs ? null : "Skewed"
}

/** An exchange matches such orders: the book is not what the exchange has. */
export const isCrossed = (book: BookView): boolean => book.bidPrice() >= book.askPrice()
