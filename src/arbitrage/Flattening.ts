/**
 * Trades away what is open of a base asset on the two venues of a route, wherever it costs less, with bounded slippage. What
 * bought too much sells it back where it bought, or completes the sale that was too small; the other way round alike.
 */
import { BigDecimal, Effect } from "effect"
import type { Markets } from "../composite/Markets.ts"
import type { PrivateExchange } from "../composite/PrivateExchange.ts"
import type { Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Instrument } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Ended, LegOrders, Plan } from "./LegOrder.ts"
import type { RiskGuard } from "./RiskGuard.ts"

type Amount = Decimal.Decimal
type Account = PrivateExchange["Service"]

const { abs, divideUnsafe, isGreaterThanOrEqualTo, isLessThan, isPositive, multiply, subtract, sum } = BigDecimal

/** Where it can be traded. */
export interface Venue {
  readonly instrument: Instrument
  /** Base in one unit of the exchange's quantities. */
  readonly unit: Amount
  /** Fraction of the value, of a taker. */
  readonly feeRate: Amount
  /** Quote: where no price is to be had. */
  readonly lastPrice: Amount
}

export interface FlatteningOptions {
  /** Fraction of the best price. */
  readonly maxSlippage: Amount
  /** Orders at most. */
  readonly attempts: number
  /** Until it is given up, ms. */
  readonly timeoutMillis: number
}

export interface Flattened {
  readonly orders: ReadonlyArray<Ended>
  /** Base, before fees: what is left; positive: too much is held. */
  readonly left: Amount
  /** Whether a lot or more is left, or nobody knows. */
  readonly isOpen: boolean
  /** Why; null when it is not. */
  readonly detail: string | null
}

const one = BigDecimal.fromBigInt(1n)

export const numberOf = (value: number): Amount => Decimal.of(String(value))

/** Waits for a venue that is away, ms. */
const waitMillis = 100

/** The least that can be ordered at a price, in the exchange's units. */
const leastOf = ({ instrument, unit }: Venue, price: Amount): Amount => {
  const step = numberOf(instrument.quantityStep)
  const least = instrument.minQuantity === null ? step : BigDecimal.max(step, numberOf(instrument.minQuantity))
  const value = multiply(price, unit)
  if (instrument.minNotional === null || !isPositive(value)) return Decimal.toStep(least, step, "up")
  return Decimal.toStep(BigDecimal.max(least, divideUnsafe(numberOf(instrument.minNotional), value)), step, "up")
}

/** The least that can be traded at a price, base. */
export const lotOf = (venue: Venue, price: Amount): Amount => multiply(leastOf(venue, price), venue.unit)

/** A way to trade some of it. */
interface Way {
  readonly venue: Venue
  readonly account: Account
  /** The exchange's units. */
  readonly quantity: Amount
  /** Quote: its limit. */
  readonly price: Amount
  /** Quote for a base unit, after the fee: what a buy pays, or a sale loses against others; less is better. */
  readonly cost: Amount
}

export class Flattening {
  readonly #markets: Markets["Service"]
  readonly #guard: RiskGuard["Service"]
  readonly #orders: LegOrders
  readonly #options: FlatteningOptions

  constructor(
    markets: Markets["Service"],
    guard: RiskGuard["Service"],
    orders: LegOrders,
    options: FlatteningOptions
  ) {
    this.#markets = markets
    this.#guard = guard
    this.#orders = orders
    this.#options = options
  }

  /** `open`: base, positive: too much is held. */
  run(open: Amount, venues: ReadonlyArray<Venue>): Effect.Effect<Flattened> {
    const orders: Array<Ended> = []
    const failures = new Map<Venue, number>()
    const deadline = this.#orders.now + this.#options.timeoutMillis
    const end = (left: Amount, detail: string | null): Flattened => ({ orders, left, isOpen: detail !== null, detail })

    const step = (left: Amount): Effect.Effect<Flattened> =>
      Effect.suspend(() => {
        if (!this.isLot(left, venues)) return Effect.succeed(end(left, null))
        const text = Decimal.toText(left)
        const isLate = this.#orders.now >= deadline
        if (orders.length >= this.#options.attempts || (isLate && orders.length > 0)) {
          return Effect.succeed(end(left, `${text} is left behind ${orders.length} orders`))
        }
        const way = this.#best(left, venues, failures)
        if (way !== null) return Effect.flatMap(this.#trade(way, sideOf(left)), (ended) => after(left, way, ended))
        if (isLate) {
          return Effect.succeed(end(left, `${text} is left, and nowhere can it be traded`))
        }
        return Effect.andThen(Effect.sleep(waitMillis), step(left))
      })

    const after = (left: Amount, { venue }: Way, ended: Ended | ExchangeError): Effect.Effect<Flattened> => {
      if (!("plan" in ended)) return Effect.succeed(end(left, ended.message))
      orders.push(ended)
      const traded = sideOf(left) === "sell" ? subtract(left, ended.filled) : sum(left, ended.filled)
      if (ended.outcome === "unknown") return Effect.succeed(end(traded, `an order is not known: ${ended.detail}`))
      if (BigDecimal.isZero(ended.filled)) failures.set(venue, (failures.get(venue) ?? 0) + 1)
      return step(traded)
    }

    return step(open)
  }

  /** Whether so much can be traded on one of them at all. */
  isLot(open: Amount, venues: ReadonlyArray<Venue>): boolean {
    const side = sideOf(open)
    return venues.some((venue) => isGreaterThanOrEqualTo(abs(open), lotOf(venue, this.#limit(venue, side))))
  }

  /** Of those where it can be traded now, the cheapest of those that have failed least. */
  #best(left: Amount, venues: ReadonlyArray<Venue>, failures: ReadonlyMap<Venue, number>): Way | null {
    const ways = venues.flatMap((venue) => this.#way(venue, left) ?? [])
    const failed = ({ venue }: Way): number => failures.get(venue) ?? 0
    return ways.sort((a, b) => failed(a) - failed(b) || BigDecimal.Order(a.cost, b.cost))[0] ?? null
  }

  #way(venue: Venue, left: Amount): Way | null {
    const { exchange, quantityStep } = venue.instrument
    const account = this.#markets.current(exchange)?.account ?? null
    if (account === null || this.#markets.state(exchange)?._tag !== "Ready") return null
    const side = sideOf(left)
    const price = this.#limit(venue, side)
    const most = affordable(account, venue, side, price)
    const base = most === null ? abs(left) : BigDecimal.min(abs(left), most)
    const quantity = Decimal.toStep(divideUnsafe(base, venue.unit), numberOf(quantityStep), "down")
    if (!isPositive(quantity) || isLessThan(quantity, leastOf(venue, price))) return null
    const best = this.#bestPrice(venue, side)
    const cost = side === "buy"
      ? multiply(best, sum(one, venue.feeRate))
      : BigDecimal.negate(multiply(best, subtract(one, venue.feeRate)))
    return { venue, account, quantity, price, cost }
  }

  #bestPrice({ instrument: { exchange, pair }, lastPrice }: Venue, side: Side): Amount {
    const best = this.#markets.current(exchange)?.market.bestPrice(pair) ?? null
    return best === null ? lastPrice : numberOf(side === "buy" ? best.askPrice : best.bidPrice)
  }

  /** Quote: the worst that is paid. */
  #limit(venue: Venue, side: Side): Amount {
    const best = this.#bestPrice(venue, side)
    const step = numberOf(venue.instrument.priceStep)
    const slip = multiply(best, this.#options.maxSlippage)
    return side === "buy"
      ? BigDecimal.max(best, Decimal.toStep(sum(best, slip), step, "down"))
      : BigDecimal.min(best, Decimal.toStep(subtract(best, slip), step, "up"))
  }

  /** The error is the guard's: nothing was sent. */
  #trade({ account, price, quantity, venue }: Way, side: Side): Effect.Effect<Ended | ExchangeError> {
    const { exchange, pair } = venue.instrument
    return Effect.flatMap(account.orders.makeClientOrderId, (clientOrderId) => {
      const plan: Plan = {
        exchange,
        pair,
        side,
        quantity,
        price,
        unit: venue.unit,
        feeRate: venue.feeRate,
        clientOrderId
      }
      return Effect.scoped(Effect.andThen(this.#guard.reserve([intentOf(plan, true)]), this.#orders.send(plan)))
    }).pipe(Effect.catch((error) => Effect.succeed(error)))
  }
}

/** Base that the spot account can sell or pay for; null where it is not known. */
const affordable = (account: Account, { instrument }: Venue, side: Side, price: Amount): Amount | null => {
  const { base, kind, quote } = instrument
  if (kind === "swap") return null
  const balance = account.balances().get(side === "buy" ? quote : base)
  if (balance === undefined) return Decimal.zero
  if (balance.available === null) return null
  return side === "buy" ? divideUnsafe(balance.available, price) : balance.available
}

const sideOf = (open: Amount): Side => isPositive(open) ? "sell" : "buy"

/** An order as the guard sees it. */
export const intentOf = ({ clientOrderId, exchange, pair, price, quantity, side, unit }: Plan, reduces: boolean) => ({
  exchange,
  pair,
  side,
  quantity: multiply(quantity, unit),
  price,
  reduces,
  unit,
  clientOrderId
})
