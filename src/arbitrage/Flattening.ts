/**
 * Trades away what is open of a base asset on the venues that are given, wherever it costs less, with bounded slippage. What
 * bought too much sells it back where it bought, or completes the sale that was too small; the other way round alike.
 */
import { BigDecimal, Effect } from "effect"
import type { Markets } from "../composite/Markets.ts"
import type { PrivateExchange } from "../composite/PrivateExchange.ts"
import type { Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Instrument } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Ended, LegOrders } from "./LegOrder.ts"
import type { Plan } from "./Moved.ts"
import type { Killed, RiskGuard } from "./RiskGuard.ts"

type Amount = Decimal.Decimal
type Account = PrivateExchange["Service"]

const { abs, divideUnsafe, isGreaterThanOrEqualTo, isLessThan, isPositive, multiply, subtract, sum } = BigDecimal

/** Where it can be traded. */
export interface FlatteningVenue {
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
  /** Quote: what is worth no more is carried on; null: what is worth less than the larger of the venues' smallest orders. */
  readonly maxCarried: Amount | null
}

export interface Flattened {
  readonly orders: ReadonlyArray<Ended>
  /** Base, before fees: what is left; positive: too much is held. */
  readonly left: Amount
  /**
   * `flat`: less than a lot is left. `carried`: a lot or more, and so little that it waits for the next execution. `open`: more
   * than that, or nobody knows.
   */
  readonly rest: "flat" | "carried" | "open"
  /** Why it is not flat; null when it is. */
  readonly detail: string | null
}

const one = BigDecimal.fromBigInt(1n)

/** Between two looks for a venue that is away, or whose prices have been tried, ms. */
const waitMillis = 50

/** Prices that have been tried may still be there: they are tried again behind so long, ms. */
const pauseMillis = (attempt: number): number => Math.min(2_000, 200 * 2 ** Math.min(attempt, 4))

/** An exchange that was stopped by itself is taken when every other one has failed so often. */
const stoppedFailures = 2

/** Prices that an order has been sent on. */
interface Tried {
  readonly sight: string
  readonly until: number
  readonly times: number
}

/** The least that can be ordered at a price, in the exchange's units. */
const leastOf = ({ instrument, unit }: FlatteningVenue, price: Amount): Amount => {
  const step = Decimal.fromNumber(instrument.quantityStep)
  const least = instrument.minQuantity === null
    ? step
    : BigDecimal.max(step, Decimal.fromNumber(instrument.minQuantity))
  const value = multiply(price, unit)
  const fewest = Decimal.toStep(least, step, "up")
  if (instrument.minNotional === null || !isPositive(value)) return fewest
  return BigDecimal.max(fewest, Decimal.quotient(Decimal.fromNumber(instrument.minNotional), value, step, "up"))
}

/** The least that can be traded at a price, base. */
export const lotOf = (venue: FlatteningVenue, price: Amount): Amount => multiply(leastOf(venue, price), venue.unit)

/** Half of it, and no less than can be ordered, base; null: there is nothing smaller. */
const smallerOf = ({ price, quantity, venue }: Way): Amount | null => {
  const least = leastOf(venue, price)
  const half = BigDecimal.max(Decimal.half(quantity), least)
  return isLessThan(half, quantity) ? multiply(half, venue.unit) : null
}

/** A way to trade some of it. */
interface Way {
  readonly venue: FlatteningVenue
  readonly account: Account
  /** The exchange's units. */
  readonly quantity: Amount
  /** Quote: its limit. */
  readonly price: Amount
  /** The prices it goes by. */
  readonly sight: string
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

  /**
   * `open`: base, positive: too much is held. `within`: until it is given up, ms; 0: no waiting, and one order at most, or as
   * many as the guard makes of it.
   */
  run(
    open: Amount,
    venues: ReadonlyArray<FlatteningVenue>,
    within = this.#options.timeoutMillis
  ): Effect.Effect<Flattened> {
    const orders: Array<Ended> = []
    const failures = new Map<FlatteningVenue, number>()
    const tried = new Map<FlatteningVenue, Tried>()
    /** Why an exchange does not let it grow its own position there. */
    const refusals = new Map<FlatteningVenue, string>()
    /** Base: more than this is more than one order may be there. */
    const parts = new Map<FlatteningVenue, Amount>()
    /** When it was late already, and in no smaller part: nothing else is to be had there. */
    const refusedLate = new Set<FlatteningVenue>()
    /** The last order was such a part, and all of it was filled: the next one follows it at once. */
    let goesOn = false
    const deadline = this.#orders.now + within
    const end = (left: Amount, detail: string): Effect.Effect<Flattened> =>
      Effect.succeed({ orders, left, rest: this.#isLittle(left, venues) ? "carried" : "open", detail })
    const isLateNow = (): boolean => this.#orders.now >= deadline
    const wait = (left: Amount): Effect.Effect<Flattened> => Effect.andThen(Effect.sleep(waitMillis), step(left))

    const step = (left: Amount): Effect.Effect<Flattened> =>
      Effect.suspend(() => {
        if (!this.isLot(left, venues)) return Effect.succeed({ orders, left, rest: "flat", detail: null } as const)
        const isLate = isLateNow()
        if (orders.length >= this.#options.attempts || (isLate && orders.length > 0 && !goesOn)) {
          return end(left, `${Decimal.toText(left)} is left behind ${orders.length} orders`)
        }
        const way = this.#best(left, venues.filter((venue) => !refusedLate.has(venue)), failures, parts)
        if (way !== null && (isLate || !this.#isTried(way.venue, tried.get(way.venue)))) {
          return Effect.flatMap(this.#trade(way, sideOf(left)), (ended) => after(left, way, ended))
        }
        if (!isLate) return wait(left)
        const why = ["nowhere can it be traded", ...refusals.values()].join("; ")
        return end(left, `${Decimal.toText(left)} is left, and ${why}`)
      })

    const after = (
      left: Amount,
      way: Way,
      ended: Ended | ExchangeError | null
    ): Effect.Effect<Flattened> => {
      if (ended === null) return isLateNow() ? step(left) : wait(left)
      if (!("plan" in ended)) return isRefusedThere(ended) ? refused(left, way, ended) : end(left, ended.message)
      orders.push(ended)
      const traded = sideOf(left) === "sell" ? subtract(left, ended.filled) : sum(left, ended.filled)
      if (ended.outcome === "unknown") {
        const detail = `an order is not known: ${ended.detail}`
        return Effect.succeed({ orders, left: traded, rest: "open", detail })
      }
      goesOn = parts.has(way.venue) && ended.outcome === "filled"
      if (BigDecimal.isZero(ended.filled)) noteFailure(way)
      if (!goesOn) noteTry(way)
      return step(traded)
    }

    const noteFailure = ({ venue }: Way): void => void failures.set(venue, (failures.get(venue) ?? 0) + 1)

    const noteTry = ({ sight, venue }: Way): void => {
      const times = (tried.get(venue)?.times ?? 0) + 1
      tried.set(venue, { sight, until: this.#orders.now + pauseMillis(times - 1), times })
    }

    /** Another exchange may take it, or this one later. */
    const refused = (left: Amount, way: Way, { message, reason }: ExchangeError): Effect.Effect<Flattened> => {
      refusals.set(way.venue, message)
      const part = isTooLarge(reason) ? smallerOf(way) : null
      if (part !== null) {
        parts.set(way.venue, part)
        return step(left)
      }
      if (isLateNow()) refusedLate.add(way.venue)
      noteFailure(way)
      noteTry(way)
      return step(left)
    }

    return step(open)
  }

  /** An order has been sent on these very prices, and not long ago. */
  #isTried(venue: FlatteningVenue, tried: Tried | undefined): boolean {
    return tried !== undefined && this.#orders.now < tried.until && tried.sight === this.#sightOf(venue)
  }

  /** Another one whenever the market tells something new. */
  #sightOf({ instrument: { exchange, pair } }: FlatteningVenue): string {
    const best = this.#markets.current(exchange)?.market.bestPrice(pair) ?? null
    return best === null ? "none" : `${best.receivedAt} ${best.bidPrice} ${best.askPrice}`
  }

  /** Whether what cannot be traded away is worth so little that it waits for the next execution. */
  #isLittle(left: Amount, venues: ReadonlyArray<FlatteningVenue>): boolean {
    const side = sideOf(left)
    const { maxCarried } = this.#options
    const worth = (venue: FlatteningVenue): Amount => multiply(abs(left), this.#bestPrice(venue, side))
    if (maxCarried !== null) return venues.every((venue) => !BigDecimal.isGreaterThan(worth(venue), maxCarried))
    return venues.some((venue) => isLessThan(abs(left), lotOf(venue, this.#limit(venue, side))))
  }

  /** Whether so much can be traded on one of them at all. */
  isLot(open: Amount, venues: ReadonlyArray<FlatteningVenue>): boolean {
    const side = sideOf(open)
    return venues.some((venue) => isGreaterThanOrEqualTo(abs(open), lotOf(venue, this.#limit(venue, side))))
  }

  /**
   * Of those where it can be traded now, the cheapest of those that have failed least. An exchange that was stopped by itself
   * counts as one that has failed.
   */
  #best(
    left: Amount,
    venues: ReadonlyArray<FlatteningVenue>,
    failures: ReadonlyMap<FlatteningVenue, number>,
    parts: ReadonlyMap<FlatteningVenue, Amount>
  ): Way | null {
    const ways = venues.flatMap((venue) => this.#way(venue, left, parts) ?? [])
    const failed = ({ venue }: Way): number =>
      (failures.get(venue) ?? 0) + (this.#stopOf(venue) === null ? 0 : stoppedFailures)
    return ways.sort((a, b) => failed(a) - failed(b) || BigDecimal.Order(a.cost, b.cost))[0] ?? null
  }

  /** What the kill switch of this exchange alone stops; null while it is not thrown. */
  #stopOf({ instrument: { exchange } }: FlatteningVenue): Killed["stops"] | null {
    const { killed } = this.#guard.state(exchange)
    return killed?.of === exchange ? killed.stops : null
  }

  #mayTrade(venue: FlatteningVenue): boolean {
    return this.#markets.mayTrade(venue.instrument.exchange) && this.#stopOf(venue) !== "everything"
  }

  #way(venue: FlatteningVenue, left: Amount, parts: ReadonlyMap<FlatteningVenue, Amount>): Way | null {
    const { exchange, quantityStep } = venue.instrument
    const account = this.#markets.current(exchange)?.account ?? null
    if (account === null || !this.#mayTrade(venue)) return null
    const side = sideOf(left)
    const price = this.#limit(venue, side)
    const most = affordable(account, venue, side, price)
    const part = BigDecimal.min(abs(left), parts.get(venue) ?? abs(left))
    const base = most === null ? part : BigDecimal.min(part, most)
    const quantity = Decimal.quotient(base, venue.unit, Decimal.fromNumber(quantityStep), "down")
    if (!isPositive(quantity) || isLessThan(quantity, leastOf(venue, price))) return null
    const best = this.#bestPrice(venue, side)
    const cost = side === "buy"
      ? multiply(best, sum(one, venue.feeRate))
      : BigDecimal.negate(multiply(best, subtract(one, venue.feeRate)))
    return { venue, account, quantity, price, sight: this.#sightOf(venue), cost }
  }

  #bestPrice({ instrument: { exchange, pair }, lastPrice }: FlatteningVenue, side: Side): Amount {
    const best = this.#markets.current(exchange)?.market.bestPrice(pair) ?? null
    return best === null ? lastPrice : Decimal.fromNumber(side === "buy" ? best.askPrice : best.bidPrice)
  }

  /** Quote: the worst that is paid. */
  #limit(venue: FlatteningVenue, side: Side): Amount {
    const best = this.#bestPrice(venue, side)
    const step = Decimal.fromNumber(venue.instrument.priceStep)
    const slip = multiply(best, this.#options.maxSlippage)
    return side === "buy"
      ? BigDecimal.max(best, Decimal.toStep(sum(best, slip), step, "down"))
      : BigDecimal.min(best, Decimal.toStep(subtract(best, slip), step, "up"))
  }

  /** The error is the guard's: nothing was sent. Null: nothing may be sent there now. */
  #trade({ account, price, quantity, venue }: Way, side: Side): Effect.Effect<Ended | ExchangeError | null> {
    const { exchange, pair } = venue.instrument
    return Effect.flatMap(account.orders.makeClientOrderId, (clientOrderId) => {
      const { feeRate, unit } = venue
      const plan: Plan = { exchange, pair, side, quantity, price, unit, feeRate, clientOrderId }
      const send = Effect.suspend((): Effect.Effect<Ended | null> =>
        this.#markets.mayTrade(exchange) ? this.#orders.send(plan) : Effect.succeed(null)
      )
      return Effect.scoped(Effect.andThen(this.#guard.reserve([{ ...intentOf(plan, true), compensates: true }]), send))
    }).pipe(Effect.catch((error) => Effect.succeed(error)))
  }
}

/** Base that the spot account can sell or pay for; null where it is not known. */
const affordable = (account: Account, { instrument }: FlatteningVenue, side: Side, price: Amount): Amount | null => {
  const { base, kind, quote } = instrument
  if (kind === "swap") return null
  const balance = account.balances().get(side === "buy" ? quote : base)
  if (balance === undefined) return Decimal.zero
  if (balance.available === null) return null
  return side === "buy" ? divideUnsafe(balance.available, price) : balance.available
}

/** By the limits or the switch of the exchange itself. */
const isRefusedThere = ({ exchange, reason }: ExchangeError): boolean =>
  reason._tag === "RiskRefused" && reason.of === exchange

const isTooLarge = (reason: ExchangeError["reason"]): boolean =>
  reason._tag === "RiskRefused" && reason.limit === "maxOrderNotional"

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
