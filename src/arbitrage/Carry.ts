/** What holding a perpetual is expected to bring: the funding that falls due while it is held. */
import type { FuturesTicker } from "../domain/Market.ts"

/** Of one leg while it is held, per unit of its value: what whoever is long pays. */
export interface FundingDue {
  /** Payments that fall due. */
  readonly payments: number
  /** A fraction of the position's value, for each of them; negative: shorts pay. */
  readonly rate: number
  /** Quote: what the position is valued by; null: the exchange tells none, the leg's best price stands for it. */
  readonly markPrice: number | null
}

export const none: FundingDue = { payments: 0, rate: 0, markPrice: null }

/** The next payment after `now` by a ticker that may be older than the last one; NaN when that cannot be told. */
const nextAfter = (now: number, at: number, interval: number | null): number => {
  if (at > now) return at
  return interval !== null && interval > 0 ? at + (Math.floor((now - at) / interval) + 1) * interval : Number.NaN
}

/** How many more fall due in so long behind a payment; null when that cannot be told. */
const paymentsBehind = (left: number, interval: number | null): number | null => {
  if (interval !== null && interval > 0) return Math.floor(left / interval)
  return left === 0 ? 0 : null
}

/**
 * What falls due within `holdingMs` from `now`, the exchange's time; null when it is not known: no ticker, no rate, no time, or
 * no interval where more than the next payment may fall due. The rate that stands now is taken for each payment.
 */
export const dueWithin = (ticker: FuturesTicker | null, now: number, holdingMs: number): FundingDue | null => {
  if (holdingMs === 0) return none
  if (ticker === null) return null
  const { fundingInterval, fundingRate, markPrice, nextFundingTime } = ticker
  if (fundingRate === null || nextFundingTime === null || !Number.isFinite(fundingRate)) return null
  const next = nextAfter(now, nextFundingTime, fundingInterval)
  if (Number.isNaN(next)) return null
  const left = now + holdingMs - next
  if (left < 0) return none
  const more = paymentsBehind(left, fundingInterval)
  return more === null ? null : { payments: 1 + more, rate: fundingRate, markPrice }
}
