/**
 * What could be earned by buying here and selling there at once: two books walked to a size, after fees and funding, with
 * the age of each leg and the uncertainty of the clocks. Pure, and silent whenever anything is in doubt.
 */
import { BigDecimal, Result } from "effect"
import type { BookView } from "../composite/OrderBook.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { FuturesTicker } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"
import type { ClockReading } from "../ExchangeClock.ts"
import * as Carry from "./Carry.ts"
import * as Depth from "./Depth.ts"
import * as Freshness from "./Freshness.ts"
import { Lots } from "./Lots.ts"
import type { Share } from "./Lots.ts"

export type { Doubt } from "./Freshness.ts"

/** A pair of markets whose prices belong together. Prices must be in the same quote asset. */
export interface Route {
  /** Name of the route: `BTC/USDT mexc-spot gate-futures`. */
  readonly id: string
  readonly first: Venue
  readonly second: Venue
}

export interface Venue {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly kind: "spot" | "swap"
  /** Base units in one contract; 1 on spot. */
  readonly contractSize: number
  /** Base (spot) or contracts (swap). */
  readonly quantityStep: number
  /** Base (spot) or contracts (swap); null when the exchange states none. */
  readonly minQuantity: number | null
  /** Quote; null when the exchange states none. */
  readonly minNotional: number | null
  /** Paid by a taker, as a fraction of the value. */
  readonly takerFee: number
}

/** One side of an opportunity, as it was when it was found. */
export interface Leg {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  /** Base (spot) or contracts (swap): what to order. */
  readonly quantity: number
  /** Quote: mean over the levels that the quantity takes. */
  readonly averagePrice: number
  /** Quote: of the last level it takes, the limit to order with. */
  readonly worstPrice: number
  /** Quote. */
  readonly fee: number
  /** The book's version. */
  readonly version: Sequence | null
  /** Since the exchange made it, by the clock offset; since it was received where it sends no time, ms. */
  readonly ageMs: number
  /** `ageMs` is right to within this, ms. */
  readonly ageErrorMs: number
  readonly receivedAt: number
}

export interface Opportunity {
  readonly route: string
  /** `first`: buy on the first market and sell on the second. */
  readonly direction: "first" | "second"
  readonly buy: Leg
  readonly sell: Leg
  /** Base: what both legs trade. Where their steps do not meet, one leg has up to one step of the finer more. */
  readonly quantity: number
  /** Quote, before fees and funding: of `quantity`. */
  readonly gross: number
  /** Quote: of both legs. */
  readonly fees: number
  /** Quote: funding expected within the holding time, received (negative: paid); 0 between spot markets. */
  readonly funding: number
  /** Quote: `gross - fees + funding`. */
  readonly profit: number
  /** `profit` as a fraction of what the buy costs. */
  readonly profitRatio: number
  /** When it was found, ms with fractions, on the clock that stamps `receivedAt`. */
  readonly at: number
}

/** What an opportunity must be to be told, and how large it may be. */
export interface Conditions {
  /** Base; null: not limited. */
  readonly maxQuantity: number | null
  /** Quote, of each leg; null: not limited. */
  readonly maxNotional: number | null
  /** Quote; what is earned must be above 0 in any case. */
  readonly minProfit: number
  /** A fraction of what the buy costs. */
  readonly minProfitRatio: number
  /** A leg whose last update is older is not believed, ms. */
  readonly maxAgeMs: number
  /** Legs whose last updates are further apart are not compared, ms. */
  readonly maxSkewMs: number
  /** How long positions of perpetuals are expected to be held, ms: what funding falls due meanwhile counts. */
  readonly holdingMs: number
  /** Funding that was told longer ago is not known, ms. By the exchange's time; by the receipt where it sends none. */
  readonly maxFundingAgeMs: number
}

export const defaults: Conditions = {
  maxQuantity: null,
  maxNotional: null,
  minProfit: 0,
  minProfitRatio: 0,
  maxAgeMs: 1000,
  maxSkewMs: 500,
  holdingMs: 3_600_000,
  maxFundingAgeMs: 60_000
}

/** What is known of one side of a route now. */
export interface Sight {
  /** Null while it is not in sync. */
  readonly book: BookView | null
  /** Null while it has not been measured: then only books whose exchange sends no time are believed. */
  readonly clock: ClockReading | null
  /** Of a perpetual; null on spot, and while none has come: then there is nothing unless `holdingMs` is 0. */
  readonly ticker: FuturesTicker | null
}

/** What one direction of a route is worked out with. */
interface Direction {
  readonly name: Opportunity["direction"]
  readonly buy: Venue
  readonly sell: Venue
}

/** A direction as the books are now. */
interface Crossing {
  readonly direction: Direction
  readonly buy: BookView
  readonly sell: BookView
  readonly terms: Depth.Terms
  readonly buyDue: Carry.FundingDue
  readonly sellDue: Carry.FundingDue
}

const exact = Decimal.fromNumber

/** Quote for a base unit, received by whoever is short; the walk is in doubles. */
const perUnit = (due: Carry.FundingDue, price: number): number => due.payments * due.rate * (due.markPrice ?? price)

/** The same of a whole leg, to the last digit. */
const ofLeg = (due: Carry.FundingDue, base: Decimal.Decimal, value: Decimal.Decimal): Decimal.Decimal => {
  const worth = due.markPrice === null ? value : BigDecimal.multiply(base, exact(due.markPrice))
  return BigDecimal.multiply(BigDecimal.multiply(worth, exact(due.rate)), BigDecimal.fromBigInt(BigInt(due.payments)))
}

/**
 * One route, ready to be looked at again and again. `evaluate` first compares the best prices after fees, which allocates
 * nothing; only where they leave something are ages looked at and books walked.
 *
 * Doubles find the size. What is then told is worked out anew in exact decimals from the levels as they came (a number
 * stands for its shortest decimal text, which is the text on the wire): thresholds, limits and minimums hold for the exact
 * figures, and the figures told are those, rounded once. So no rounding turns a loss into a profit; the worst that the
 * doubles can do is to miss a profit of less than a billionth of the value traded. A size has 15 digits at the most, which
 * doubles hold exactly: of an edge of more lots so many are told.
 */
export class Evaluator {
  readonly route: Route
  readonly #conditions: Conditions
  readonly #lots: Lots
  readonly #bounds: Depth.Bounds
  readonly #forwards: Direction
  readonly #backwards: Direction
  /** Whether funding is reckoned with: then time alone changes what is earned. */
  readonly hasFunding: boolean
  readonly #forwardTerms: MutableTerms
  readonly #backwardTerms: MutableTerms
  #firstDue: Carry.FundingDue = Carry.none
  #secondDue: Carry.FundingDue = Carry.none

  constructor(route: Route, conditions: Conditions) {
    const { first, second } = route
    this.route = route
    this.#conditions = conditions
    this.#lots = new Lots(first, second)
    this.#bounds = {
      maxQuantity: conditions.maxQuantity ?? Number.POSITIVE_INFINITY,
      maxNotional: conditions.maxNotional ?? Number.POSITIVE_INFINITY,
      minRatio: conditions.minProfitRatio
    }
    this.#forwards = { name: "first", buy: first, sell: second }
    this.#backwards = { name: "second", buy: second, sell: first }
    this.hasFunding = conditions.holdingMs > 0 && (first.kind === "swap" || second.kind === "swap")
    this.#forwardTerms = termsOf(this.#forwards)
    this.#backwardTerms = termsOf(this.#backwards)
  }

  /**
   * The first look, at the best prices after fees, which allocates nothing: an edge, none, or a leg that has no prices.
   * `now` is wall-clock time, ms.
   */
  glance(first: Sight, second: Sight, now: number): "Edge" | "Stale" | null {
    const side = this.#side(first, second, now)
    return side === 0 ? null : side === 2 ? "Stale" : "Edge"
  }

  /**
   * What there is to earn now; null when the prices leave nothing, and a doubt when they might but a leg cannot be believed.
   * `now` is on the clock that stamps `receivedAt`, ms with fractions.
   */
  evaluate(first: Sight, second: Sight, now: number): Opportunity | Freshness.Doubt | null {
    const side = this.#side(first, second, now)
    if (side === 0) return null
    return side === 2 ? "Stale" : this.#find(side === 1, first, first.book!, second, second.book!, now)
  }

  /** The first look where no funding is reckoned with, at best prices that are known to the caller. */
  isEdge(firstBid: number, firstAsk: number, secondBid: number, secondAsk: number): boolean {
    const { minRatio } = this.#bounds
    return Depth.isEdge(secondBid, firstAsk, this.#forwardTerms, minRatio) ||
      Depth.isEdge(firstBid, secondAsk, this.#backwardTerms, minRatio)
  }

  /**
   * Whether what was found still stands when nothing but time has passed; a doubt where a leg is the reason that it does not. Where funding falls due time
   * changes the figures too, and everything is worked out anew.
   */
  stands(first: Sight, second: Sight, now: number): boolean | Freshness.Doubt {
    if (this.hasFunding) {
      const found = this.evaluate(first, second, now)
      return typeof found === "string" ? found : found !== null
    }
    const a = first.book
    const b = second.book
    if (a === null || b === null || !a.isCurrent || !b.isCurrent) return "Stale"
    const doubt = Freshness.doubtOf(
      a,
      Freshness.ageOf(a, first.clock, now),
      b,
      Freshness.ageOf(b, second.clock, now),
      this.#conditions,
      now
    )
    return doubt ?? true
  }

  /** 1: an edge for whoever buys on the first market; -1: on the second; 0: none; 2: a leg is not known. */
  #side(first: Sight, second: Sight, now: number): 0 | 1 | -1 | 2 {
    const a = first.book
    const b = second.book
    if (a === null || b === null || !a.isCurrent || !b.isCurrent) return 2
    if (this.hasFunding && !this.#expectFunding(first, a, second, b, now)) return 2
    const { minRatio } = this.#bounds
    if (Depth.hasEdge(a, b, this.#forwardTerms, minRatio)) return 1
    return Depth.hasEdge(b, a, this.#backwardTerms, minRatio) ? -1 : 0
  }

  /** False while the funding of a leg is not known. */
  #expectFunding(first: Sight, a: BookView, second: Sight, b: BookView, now: number): boolean {
    const firstDue = this.#due(this.route.first, first, now)
    const secondDue = this.#due(this.route.second, second, now)
    if (firstDue === null || secondDue === null) return false
    this.#firstDue = firstDue
    this.#secondDue = secondDue
    this.#forwardTerms.carry = perUnit(secondDue, b.bidPrice()) - perUnit(firstDue, a.askPrice())
    this.#backwardTerms.carry = perUnit(firstDue, a.bidPrice()) - perUnit(secondDue, b.askPrice())
    return true
  }

  #due(venue: Venue, { clock, ticker }: Sight, now: number): Carry.FundingDue | null {
    if (venue.kind === "spot") return Carry.none
    const { holdingMs, maxFundingAgeMs } = this.#conditions
    if (holdingMs === 0) return Carry.none
    return ticker !== null && Freshness.isWithin(ticker, clock, now, maxFundingAgeMs)
      ? Carry.dueWithin(ticker, now - (clock?.offsetMs ?? 0), holdingMs)
      : null
  }

  #find(
    isForwards: boolean,
    first: Sight,
    a: BookView,
    second: Sight,
    b: BookView,
    now: number
  ): Opportunity | Freshness.Doubt | null {
    if (Freshness.isCrossed(a) || Freshness.isCrossed(b)) return "Crossed"
    const firstAge = Freshness.ageOf(a, first.clock, now)
    const secondAge = Freshness.ageOf(b, second.clock, now)
    const doubt = Freshness.doubtOf(a, firstAge, b, secondAge, this.#conditions, now)
    if (doubt !== null) return doubt
    const crossing: Crossing = isForwards
      ? {
        direction: this.#forwards,
        buy: a,
        sell: b,
        terms: this.#forwardTerms,
        buyDue: this.#firstDue,
        sellDue: this.#secondDue
      }
      : {
        direction: this.#backwards,
        buy: b,
        sell: a,
        terms: this.#backwardTerms,
        buyDue: this.#secondDue,
        sellDue: this.#firstDue
      }
    const [buyAge, sellAge] = isForwards ? [firstAge, secondAge] : [secondAge, firstAge]
    return this.#size(crossing, buyAge, sellAge, now)
  }

  /** Of the whole lots next to the best size, the better one that is allowed. */
  #size(crossing: Crossing, buyAge: Freshness.Age, sellAge: Freshness.Age, now: number): Opportunity | null {
    const { buy, sell, terms } = crossing
    const best = Depth.bestSize(buy, sell, terms, this.#bounds)
    if (best === 0) return null
    const lots = this.#lots
    const lower = lots.within(best)
    const least = this.#least(crossing)
    const below = Math.max(lower, least)
    const above = Math.max(Math.min(lower + 1, lots.most), least)
    const isAboveBetter = Depth.estimate(buy, sell, terms, above * lots.size) >
      Depth.estimate(buy, sell, terms, below * lots.size)
    const surely = Math.max(lots.surelyWithin(best), least)
    const counts = isAboveBetter ? [above, below, below - 1] : [below, below - 1]
    if (surely < below - 1) counts.push(surely)
    for (const count of counts) {
      if (count < least) continue
      const priced = this.#price(crossing, count)
      if (priced !== null) return opportunity(this.route, crossing, priced, buyAge, sellAge, now)
    }
    return null
  }

  /** The fewest lots that reach every minimum at the best prices. */
  #least({ buy, direction, sell }: Crossing): number {
    const { least, size } = this.#lots
    const forBuy = (direction.buy.minNotional ?? 0) / (buy.askPrice() * size)
    const forSell = (direction.sell.minNotional ?? 0) / (sell.bidPrice() * size)
    return Math.max(least, Math.ceil(Math.max(forBuy, forSell) * (1 - 1e-12)))
  }

  /** The exact figures of so many lots; null when a limit, a minimum or a threshold does not hold. */
  #price(crossing: Crossing, count: number): Priced | null {
    const { buy: buyBook, direction: { buy, name, sell }, sell: sellBook } = crossing
    const first = this.#lots.first(count)
    const second = this.#lots.second(count)
    const [bought, sold] = name === "first" ? [first, second] : [second, first]
    const matched = BigDecimal.min(bought.base, sold.base)
    const paid = Depth.take(buyBook, "buy", bought.base, buy.contractSize)
    const got = Depth.take(sellBook, "sell", sold.base, sell.contractSize)
    if (paid === null || got === null) return null
    const cost = valueOf(matched, bought, paid, buyBook, "buy", buy.contractSize)
    const proceeds = valueOf(matched, sold, got, sellBook, "sell", sell.contractSize)
    const buyFee = BigDecimal.multiply(paid.value, exact(buy.takerFee))
    const sellFee = BigDecimal.multiply(got.value, exact(sell.takerFee))
    const fees = BigDecimal.sum(buyFee, sellFee)
    const funding = BigDecimal.subtract(
      ofLeg(crossing.sellDue, sold.base, got.value),
      ofLeg(crossing.buyDue, bought.base, paid.value)
    )
    const gross = BigDecimal.subtract(proceeds, cost)
    const profit = BigDecimal.sum(BigDecimal.subtract(gross, fees), funding)
    const priced: Priced = { bought, sold, matched, paid, got, buyFee, sellFee, fees, funding, gross, profit }
    return this.#isAllowed(crossing.direction, priced) && this.#isWorthwhile(priced) ? priced : null
  }

  #isAllowed({ buy, sell }: Direction, { bought, got, paid, sold }: Priced): boolean {
    const { maxNotional, maxQuantity } = this.#conditions
    const largest = BigDecimal.max(bought.base, sold.base)
    const dearest = BigDecimal.max(paid.value, got.value)
    // A limit order at the worst price is valued by that: below its average for a sale.
    const ordered = BigDecimal.multiply(sold.base, exact(got.worstPrice))
    return (maxQuantity === null || BigDecimal.isLessThanOrEqualTo(largest, exact(maxQuantity))) &&
      (maxNotional === null || BigDecimal.isLessThanOrEqualTo(dearest, exact(maxNotional))) &&
      BigDecimal.isGreaterThanOrEqualTo(paid.value, exact(buy.minNotional ?? 0)) &&
      BigDecimal.isGreaterThanOrEqualTo(ordered, exact(sell.minNotional ?? 0))
  }

  #isWorthwhile({ paid, profit }: Priced): boolean {
    const { minProfit, minProfitRatio } = this.#conditions
    return BigDecimal.isPositive(profit) &&
      BigDecimal.isGreaterThanOrEqualTo(profit, exact(minProfit)) &&
      BigDecimal.isGreaterThanOrEqualTo(profit, BigDecimal.multiply(paid.value, exact(minProfitRatio)))
  }
}

interface MutableTerms extends Depth.Terms {
  carry: number
}

const termsOf = ({ buy, sell }: Direction): MutableTerms => ({
  buySize: buy.contractSize,
  buyFee: buy.takerFee,
  sellSize: sell.contractSize,
  sellFee: sell.takerFee,
  carry: 0
})

/** The figures of a size, exact. */
interface Priced {
  readonly bought: Share
  readonly sold: Share
  readonly matched: Decimal.Decimal
  readonly paid: Depth.Taken
  readonly got: Depth.Taken
  readonly buyFee: Decimal.Decimal
  readonly sellFee: Decimal.Decimal
  readonly fees: Decimal.Decimal
  readonly funding: Decimal.Decimal
  readonly gross: Decimal.Decimal
  readonly profit: Decimal.Decimal
}

/** Of what both legs trade: the larger leg's last units, less than a step, are in its fee and its funding and in no profit. */
const valueOf = (
  matched: Decimal.Decimal,
  share: Share,
  taken: Depth.Taken,
  book: BookView,
  side: Leg["side"],
  contractSize: number
): Decimal.Decimal =>
  Decimal.equals(matched, share.base) ? taken.value : Depth.take(book, side, matched, contractSize)!.value

const number = Decimal.toNumber

const legOf = (
  side: Leg["side"],
  venue: Venue,
  book: BookView,
  share: Share,
  taken: Depth.Taken,
  fee: Decimal.Decimal,
  age: Freshness.Age
): Leg => ({
  exchange: venue.exchange,
  pair: venue.pair,
  side,
  quantity: number(share.quantity),
  averagePrice: number(taken.value) / number(share.base),
  worstPrice: taken.worstPrice,
  fee: number(fee),
  version: book.version,
  ageMs: age.ageMs,
  ageErrorMs: age.ageErrorMs,
  receivedAt: book.receivedAt
})

const opportunity = (
  route: Route,
  { buy, direction, sell }: Crossing,
  priced: Priced,
  buyAge: Freshness.Age,
  sellAge: Freshness.Age,
  at: number
): Opportunity => ({
  route: route.id,
  direction: direction.name,
  buy: legOf("buy", direction.buy, buy, priced.bought, priced.paid, priced.buyFee, buyAge),
  sell: legOf("sell", direction.sell, sell, priced.sold, priced.got, priced.sellFee, sellAge),
  quantity: number(priced.matched),
  gross: number(priced.gross),
  fees: number(priced.fees),
  funding: number(priced.funding),
  profit: number(priced.profit),
  profitRatio: number(priced.profit) / number(priced.paid.value),
  at
})

const isAtLeast = (minimum: number, value: number | null): boolean =>
  value === null || (value >= minimum && value < Number.POSITIVE_INFINITY)

const isAbove = (minimum: number, value: number | null): boolean =>
  value === null || (value > minimum && value < Number.POSITIVE_INFINITY)

/** What is wrong with conditions; null when nothing is. */
export const faultOfConditions = (conditions: Conditions): string | null => {
  const { maxNotional, maxQuantity, ...amounts } = conditions
  if (!isAbove(0, maxQuantity)) return `maxQuantity must be above 0 or null, not ${maxQuantity}`
  if (!isAbove(0, maxNotional)) return `maxNotional must be above 0 or null, not ${maxNotional}`
  const wrong = Object.entries(amounts).find(([, value]) => !isAtLeast(0, value))
  return wrong === undefined ? null : `${wrong[0]} must be 0 or more, not ${wrong[1]}`
}

const faultOfVenue = (venue: Venue): string | null => {
  const { contractSize, minNotional, minQuantity, quantityStep, takerFee } = venue
  if (!isAbove(0, contractSize)) return `contractSize must be above 0, not ${contractSize}`
  if (!isAbove(0, quantityStep)) return `quantityStep must be above 0, not ${quantityStep}`
  if (!isAtLeast(0, minQuantity)) return `minQuantity must be 0 or more or null, not ${minQuantity}`
  if (!isAtLeast(0, minNotional)) return `minNotional must be 0 or more or null, not ${minNotional}`
  return Math.abs(takerFee) < 1 ? null : `takerFee must be a fraction, not ${takerFee}`
}

/** What is wrong with a route; null when nothing is. */
export const faultOfRoute = ({ first, id, second }: Route): string | null => {
  for (const venue of [first, second]) {
    const fault = faultOfVenue(venue)
    if (fault !== null) return `route ${id}: ${venue.exchange} ${venue.pair}: ${fault}`
  }
  return null
}

/** What is wrong with the first of the routes that is wrong; null when none is. */
export const faultOfRoutes = (routes: ReadonlyArray<Route>): string | null => {
  const seen = new Set<string>()
  for (const route of routes) {
    const fault = seen.has(route.id) ? `two routes have the id ${route.id}` : faultOfRoute(route)
    if (fault !== null) return fault
    seen.add(route.id)
  }
  return null
}

/** The evaluation of a route; the failure says what is wrong with it or with the conditions. */
export const make = (route: Route, conditions: Partial<Conditions> = {}): Result.Result<Evaluator, string> => {
  const all = { ...defaults, ...conditions }
  const fault = faultOfConditions(all) ?? faultOfRoute(route)
  return fault === null ? Result.succeed(new Evaluator(route, all)) : Result.fail(fault)
}
