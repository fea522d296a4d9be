/**
 * What becomes of an opportunity before anything is sent: whether both legs may be traded now, what each is to order, and what the
 * spot accounts must have for it.
 */
import { BigDecimal, Effect } from "effect"
import type { Scope } from "effect"
import type { Island, Markets } from "../composite/Markets.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { FlatteningVenue } from "./Flattening.ts"
import { lotOf } from "./Flattening.ts"
import * as Freshness from "./Freshness.ts"
import type { Plan } from "./Moved.ts"
import type { Leg, Opportunity } from "./Opportunity.ts"
import type { RiskGuard } from "./RiskGuard.ts"

type Amount = Decimal.Decimal

const { multiply, subtract } = BigDecimal

/** One leg, ready to be sent. */
export interface ReadyLeg {
  readonly plan: Plan
  readonly venue: FlatteningVenue
  /** What the spot account must have, and of which asset; null on swaps. */
  readonly needs: { readonly asset: string; readonly amount: Amount; readonly available: Amount } | null
}

export interface Prepared {
  readonly opportunity: Opportunity
  readonly asset: string
  readonly buy: ReadyLeg
  readonly sell: ReadyLeg
}

export interface LegPreparation {
  /** Fails with `RiskRefused` when they may not be traded, or there is nothing to order. */
  readonly prepare: (opportunity: Opportunity) => Effect.Effect<Prepared, ExchangeError.ExchangeError>
  /** What spot accounts need is there, and nobody else under way counts on it, until the scope closes. */
  readonly withBalances: (
    legs: ReadonlyArray<ReadyLeg>
  ) => Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope>
}

export interface PreparationOptions {
  readonly markets: Markets["Service"]
  readonly guard: RiskGuard["Service"]
  /** Wall time, ms. */
  readonly now: () => number
  /** An opportunity that was found longer ago is not traded, ms. */
  readonly maxAge: number
  readonly isDraining: () => boolean
}

export const refused = (
  exchange: ExchangeId,
  symbol: TradingPair,
  limit: string,
  detail: string
): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.RiskRefused({ symbol, limit, of: exchange, detail }))

export const drained = ({ exchange, pair }: Pick<Leg, "exchange" | "pair">): ExchangeError.ExchangeError =>
  refused(exchange, pair, "notReady", "the executor is being drained")

/** What a taker pays, by what the monitor reckoned with. */
const feeRateOf = ({ averagePrice, fee, quantity }: Leg, { contractSize }: Instrument): Amount => {
  const value = averagePrice * quantity * contractSize
  return value > 0 && Number.isFinite(fee / value)
    ? Decimal.fromNumber(Number((fee / value).toPrecision(6)))
    : Decimal.zero
}

const venueOf = (leg: Leg, instrument: Instrument): FlatteningVenue => ({
  instrument,
  unit: Decimal.fromNumber(instrument.contractSize),
  feeRate: feeRateOf(leg, instrument),
  lastPrice: Decimal.fromNumber(leg.averagePrice)
})

/** Base. */
const stepOf = ({ contractSize, quantityStep }: Instrument): Amount =>
  multiply(Decimal.fromNumber(quantityStep), Decimal.fromNumber(contractSize))

export const make = ({ guard, isDraining, markets, maxAge, now }: PreparationOptions): LegPreparation => {
  /** Spot balances that executions under way will use, by exchange and asset. */
  const promised = new Map<string, Amount>()

  const tradable = (leg: Leg): Effect.Effect<Island, ExchangeError.ExchangeError> => {
    const { exchange, pair } = leg
    const island = markets.current(exchange)
    if (isDraining()) return Effect.fail(drained(leg))
    if (island === undefined || island.account === null || !markets.mayTrade(exchange)) {
      const state = markets.state(exchange)?._tag ?? "not in this program"
      return Effect.fail(refused(exchange, pair, "notReady", `nothing may be traded there now (${state})`))
    }
    return guard.isFollowing(island)
      ? Effect.succeed(island)
      : Effect.fail(refused(exchange, pair, "notReady", "its fills are not followed yet"))
  }

  const needsOf = ({ account }: Island, { price, quantity, side }: Plan, instrument: Instrument): ReadyLeg["needs"] => {
    if (instrument.kind === "swap") return null
    const asset = side === "buy" ? instrument.quote : instrument.base
    const available = account!.balances().get(asset)?.available ?? Decimal.zero
    return { asset, amount: side === "buy" ? multiply(quantity, price) : quantity, available }
  }

  /** `base`: what both legs can trade. */
  const ready = Effect.fnUntraced(function*(island: Island, leg: Leg, instrument: Instrument, base: Amount) {
    const venue = venueOf(leg, instrument)
    const price = Decimal.fromNumber(leg.worstPrice)
    const step = Decimal.fromNumber(instrument.quantityStep)
    const quantity = Decimal.quotient(base, venue.unit, step, "down")
    const least = lotOf(venue, price)
    if (BigDecimal.isLessThan(multiply(quantity, venue.unit), least)) {
      const detail = `${Decimal.toText(base)} is below the least that can be ordered, ${Decimal.toText(least)}`
      return yield* refused(leg.exchange, leg.pair, "quantity", detail)
    }
    const { exchange, pair, side } = leg
    const clientOrderId = yield* island.account!.orders.makeClientOrderId
    const plan = { exchange, pair, side, quantity, price, unit: venue.unit, feeRate: venue.feeRate, clientOrderId }
    return { plan, venue, needs: needsOf(island, plan, instrument) }
  })

  const baseOf = ({ quantity }: Leg, { contractSize, quantityStep }: Instrument): Amount =>
    multiply(
      Decimal.toStep(Decimal.fromNumber(quantity), Decimal.fromNumber(quantityStep), "down"),
      Decimal.fromNumber(contractSize)
    )

  /** Of both legs, as they were found where they differ by less than a step, else the smaller one for both. */
  const basesOf = (buy: Leg, first: Instrument, sell: Leg, second: Instrument): readonly [Amount, Amount] => {
    const [bought, sold] = [baseOf(buy, first), baseOf(sell, second)]
    const step = BigDecimal.max(stepOf(first), stepOf(second))
    const least = BigDecimal.min(bought, sold)
    return BigDecimal.isLessThan(BigDecimal.abs(subtract(bought, sold)), step) ? [bought, sold] : [least, least]
  }

  const prepare = Effect.fnUntraced(function*(opportunity: Opportunity) {
    const { buy, sell } = opportunity
    const age = now() - opportunity.at
    // Written so that NaN is refused, and what was found before the clock was set back.
    if (!(age <= maxAge && Freshness.isPast(opportunity.at, now()))) {
      return yield* refused(buy.exchange, buy.pair, "notReady", `it was found ${Math.round(age)} ms ago`)
    }
    for (const { averagePrice, exchange, pair, quantity, worstPrice } of [buy, sell]) {
      const wrong = [quantity, averagePrice, worstPrice].find((value) => !Number.isFinite(value))
      if (wrong !== undefined) return yield* refused(exchange, pair, "quantity", `it cannot be ordered for ${wrong}`)
    }
    const { base, quote } = partsOf(buy.pair)
    const other = partsOf(sell.pair)
    if (other.base !== base || other.quote !== quote) {
      return yield* refused(buy.exchange, buy.pair, "notReady", `${sell.pair} is of other assets`)
    }
    const [bought, sold] = [yield* tradable(buy), yield* tradable(sell)]
    const [first, second] = [
      yield* bought.market.instruments.get(buy.pair),
      yield* sold.market.instruments.get(sell.pair)
    ]
    const [buyBase, sellBase] = basesOf(buy, first, sell, second)
    return {
      opportunity,
      asset: base,
      buy: yield* ready(bought, buy, first, buyBase),
      sell: yield* ready(sold, sell, second, sellBase)
    }
  })

  const keyOf = ({ plan }: ReadyLeg, asset: string): string => `${plan.exchange} ${asset}`

  const promise = (leg: ReadyLeg, times: 1 | -1): void => {
    if (leg.needs === null) return
    const { amount, asset } = leg.needs
    const key = keyOf(leg, asset)
    promised.set(
      key,
      BigDecimal.sum(promised.get(key) ?? Decimal.zero, times === 1 ? amount : BigDecimal.negate(amount))
    )
  }

  const withBalances: LegPreparation["withBalances"] = (legs) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        for (const leg of legs) {
          const { needs, plan } = leg
          if (needs === null) continue
          const free = subtract(needs.available, promised.get(keyOf(leg, needs.asset)) ?? Decimal.zero)
          if (!BigDecimal.isLessThan(free, needs.amount)) continue
          const detail = `it needs ${Decimal.toText(needs.amount)} ${needs.asset}, and ${Decimal.toText(free)} are free`
          return Effect.fail(refused(plan.exchange, plan.pair, "balance", detail))
        }
        for (const leg of legs) promise(leg, 1)
        return Effect.void
      }),
      () =>
        Effect.sync(() => {
          for (const leg of legs) promise(leg, -1)
        })
    )

  return { prepare, withBalances }
}
