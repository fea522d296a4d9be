/** Books, venues and an exact reference for tests of arbitrage. */
import { BigDecimal } from "effect"
import type { Conditions, Route, Sight, Venue } from "../../src/arbitrage/Opportunity.ts"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { BookView } from "../../src/composite/OrderBook.ts"
import type { FuturesTicker, Levels } from "../../src/domain/Market.ts"
import type { ClockReading } from "../../src/ExchangeClock.ts"

export const now = 1_700_000_000_000

export interface BookFacts {
  readonly bids: Levels
  readonly asks: Levels
  readonly version?: number
  readonly exchangeTime?: number | null
  readonly receivedAt?: number
}

export const viewOf = (facts: BookFacts): BookView => {
  const book = new OrderBook("BTC/USDT")
  const version = facts.version ?? 1
  book.apply({
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: "BTC/USDT",
    symbol: "BTCUSDT",
    bids: facts.bids,
    asks: facts.asks,
    firstVersion: version,
    version,
    exchangeTime: facts.exchangeTime === undefined ? now - 10 : facts.exchangeTime,
    receivedAt: facts.receivedAt ?? now - 5,
    contractSize: 1,
    exact: null
  })
  return book.view!
}

export const reading: ClockReading = { offsetMs: 0, errorMs: 1, at: now }

export const sight = (facts: BookFacts, rest: Partial<Sight> = {}): Sight => ({
  book: viewOf(facts),
  clock: reading,
  ticker: null,
  ...rest
})

export const spot = (exchange: string, facts: Partial<Venue> = {}): Venue => ({
  exchange,
  pair: "BTC/USDT",
  kind: "spot",
  contractSize: 1,
  quantityStep: 0.001,
  minQuantity: null,
  minNotional: null,
  takerFee: 0.001,
  ...facts
})

export const swap = (exchange: string, facts: Partial<Venue> = {}): Venue => ({
  ...spot(exchange),
  pair: "BTC/USDT:USDT",
  kind: "swap",
  contractSize: 0.0001,
  quantityStep: 1,
  takerFee: 0.0005,
  ...facts
})

export const routeOf = (first: Venue, second: Venue): Route => ({
  id: `BTC/USDT ${first.exchange} ${second.exchange}`,
  first,
  second
})

export const ticker = (facts: Partial<FuturesTicker> = {}): FuturesTicker => ({
  _tag: "FuturesTicker",
  pair: "BTC/USDT:USDT",
  symbol: "BTC_USDT",
  lastPrice: 100,
  markPrice: null,
  indexPrice: null,
  fundingRate: 0,
  nextFundingTime: now + 1000,
  fundingInterval: 28_800_000,
  openInterest: null,
  highPrice: null,
  lowPrice: null,
  change: null,
  contractVolume: null,
  baseVolume: null,
  quoteVolume: null,
  exchangeTime: now,
  receivedAt: now,
  contractSize: 0.0001,
  exact: null,
  ...facts
})

/** Whole numbers of 10^-30: everything that tests write, multiplied out, fits without a remainder. */
const scale = 30
const unit = 10n ** BigInt(scale)

/** A number's shortest decimal text as a whole number of 10^-30. */
const fixed = (value: number): bigint => BigDecimal.scale(BigDecimal.fromNumberUnsafe(value), scale).value

const times = (a: bigint, b: bigint): bigint => {
  const product = a * b
  if (product % unit !== 0n) throw new RangeError("the reference has too few digits")
  return product / unit
}

const gcd = (a: bigint, b: bigint): bigint => b === 0n ? a : gcd(b, a % b)
const up = (a: bigint, b: bigint): bigint => (a + b - 1n) / b
const larger = (a: bigint, b: bigint): bigint => a > b ? a : b

/** One lot in base, and whether both legs can trade it alike. */
export const lotOf = (one: Venue, other: Venue): { readonly lot: bigint; readonly isEven: boolean } => {
  const a = times(fixed(one.quantityStep), fixed(one.contractSize))
  const b = times(fixed(other.quantityStep), fixed(other.contractSize))
  const common = a / gcd(a, b) * b
  const isEven = common <= larger(a, b) * 10n
  return { lot: isEven ? common : larger(a, b), isEven }
}

export interface Worth {
  readonly direction: "first" | "second"
  /** Base, at 10^-30 as everything here. */
  readonly bought: bigint
  readonly sold: bigint
  readonly gross: bigint
  readonly fees: bigint
  readonly cost: bigint
  readonly profit: bigint
  readonly sellWorst: bigint
}

const walk = (levels: Levels, base: bigint, contractSize: number) => {
  let left = base
  let value = 0n
  let worst = 0n
  for (let i = 0; i < levels.length && left > 0n; i += 2) {
    const level = times(fixed(levels[i + 1]!), fixed(contractSize))
    const taken = left < level ? left : level
    worst = fixed(levels[i]!)
    value += times(taken, worst)
    left -= taken
  }
  return left > 0n ? null : { value, worst }
}

/**
 * What a direction is worth at every size, by trying all of them with exact numbers: spot against spot and swaps without
 * funding. The sizes are whole lots: the least common multiple of both steps in base, up to ten of the coarser; else the
 * coarser.
 */
export const worths = (
  buy: Venue,
  asks: Levels,
  sell: Venue,
  bids: Levels,
  conditions: Conditions,
  direction: "first" | "second"
): ReadonlyArray<Worth> => {
  const a = times(fixed(buy.quantityStep), fixed(buy.contractSize))
  const b = times(fixed(sell.quantityStep), fixed(sell.contractSize))
  const { lot } = lotOf(buy, sell)
  const least = (venue: Venue, step: bigint, price: number): bigint => {
    const forQuantity = up(fixed(venue.minQuantity ?? 0), fixed(venue.quantityStep)) * step
    return larger(up(forQuantity, lot), up(fixed(venue.minNotional ?? 0) * unit, fixed(price) * lot))
  }
  const found: Array<Worth> = []
  for (let n = larger(1n, larger(least(buy, a, asks[0]!), least(sell, b, bids[0]!)));; n++) {
    const bought = n * lot / a * a
    const sold = n * lot / b * b
    const matched = bought < sold ? bought : sold
    const paid = walk(asks, bought, buy.contractSize)
    const got = walk(bids, sold, sell.contractSize)
    if (paid === null || got === null) return found
    if (conditions.maxQuantity !== null && larger(bought, sold) > fixed(conditions.maxQuantity)) return found
    if (conditions.maxNotional !== null && larger(paid.value, got.value) > fixed(conditions.maxNotional)) return found
    const gross = walk(bids, matched, sell.contractSize)!.value - walk(asks, matched, buy.contractSize)!.value
    const fees = times(paid.value, fixed(buy.takerFee)) + times(got.value, fixed(sell.takerFee))
    found.push({ direction, bought, sold, gross, fees, cost: paid.value, profit: gross - fees, sellWorst: got.worst })
  }
}

/** Whether a size meets the thresholds, with `slack` quote to spare. */
export const isWorth = (worth: Worth, sell: Venue, conditions: Conditions, slack = 0): boolean =>
  worth.profit > fixed(slack) &&
  worth.profit >= fixed(conditions.minProfit) + fixed(slack) &&
  worth.profit >= times(worth.cost, fixed(conditions.minProfitRatio)) + fixed(slack) &&
  times(worth.sold, worth.sellWorst) >= fixed(sell.minNotional ?? 0)

export const toNumber = (value: bigint): number => Number(value) / Number(unit)
