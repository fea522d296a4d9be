/**
 * Positions of perpetuals, kept from fills, funding and marks with exact decimals; settled in the quote asset. Pure: every
 * step makes a new value.
 *
 * Sources: Gate REST v4 documents (v4.106), "Contract" (`quanto_multiplier`: base units in one contract) and "Position"
 * (`entry_price`, `margin`, `realised_pnl` of profit, funding and fees; money has 12 decimals). Of what does not end, the
 * part of the cost and of the margin that a partial close takes, 12 decimals are kept, and the rest stays with what is
 * open, so that nothing is lost over the life of a position.
 */
import { BigDecimal } from "effect"
import type { MarginMode, Position, Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"

type Amount = Decimal.Decimal

const { abs, isNegative, isZero, multiply, negate, normalize, subtract, sum } = BigDecimal

export interface HeldPosition {
  readonly pair: TradingPair
  /** `net`: the only one of its pair. `long`, `short`: hedge mode, where a pair may have one of each. */
  readonly side: Position["side"]
  /** Contracts; negative: short. */
  readonly size: Amount
  /** Base: contracts times contract size. */
  readonly baseSize: Amount
  /** Quote; null when flat. */
  readonly entryPrice: Amount | null
  /** Settle asset, since the position was opened, fees and funding included; as the exchange counts it where it tells (Gate: the same). */
  readonly realisedPnl: Amount
  /** Settle asset, at `markPrice`; null while no mark price is known. */
  readonly unrealisedPnl: Amount | null
  /** Settle asset: funding received (negative: paid) since the position was opened, as far as it was seen. */
  readonly funding: Amount
  /** Settle asset: fees paid (negative: received) since the position was opened, as far as its fills were seen. */
  readonly fees: Amount
  /** Quote. */
  readonly markPrice: Amount | null
  readonly leverage: Amount | null
  readonly marginMode: MarginMode
  /** Settle asset. */
  readonly margin: Amount | null
  /** Quote, as the exchange says, else as computed for isolated margin; null where neither is known. */
  readonly liquidationPrice: Amount | null
}

/** What is fixed of a contract. */
export interface Terms {
  readonly pair: TradingPair
  /** Base units in one contract. */
  readonly contractSize: Amount
  /** The part of the position's value that its margin must not fall below; null: not known, no liquidation price. */
  readonly maintenanceRate: Amount | null
  /** What the exchange sets aside for closing it, as a part of the value: Gate the taker's fee. Default 0. */
  readonly closingFeeRate?: Amount | undefined
}

/** A position as it is kept. */
export interface Kept {
  readonly terms: Terms
  /** Contracts; negative: short. */
  readonly size: Amount
  /** Contracts times price of what is open, without sign: exact, where the entry price may not end. */
  readonly cost: Amount
  /** Null: cross, or not known. */
  readonly leverage: Amount | null
  readonly marginMode: MarginMode
  /** Settle asset; null where it is not known. */
  readonly margin: Amount | null
  /** Profit of what was closed since the position was opened; not known of one that was adopted. */
  readonly profit: Amount
  readonly fees: Amount
  readonly funding: Amount
  /** The exchange's own description behind which nothing has changed; null when there is none. */
  readonly told: Position | null
}

/** One execution, as far as a position is concerned. */
export interface Execution {
  readonly side: Side
  /** Contracts. */
  readonly quantity: Amount
  /** Quote. */
  readonly price: Amount
  /** Settle asset; paid, negative: received. Null counts as none. */
  readonly fee: Amount | null
}

const one = BigDecimal.fromBigInt(1n)
const lastDecimal = Decimal.of("0.000000000001")

/** `a * b / c`, cut towards zero behind 12 decimals. */
const share = (a: Amount, b: Amount, c: Amount): Amount => Decimal.quotient(multiply(a, b), c, lastDecimal, "down")

const signed = (size: Amount, amount: Amount): Amount => normalize(isNegative(size) ? negate(amount) : amount)

/** Flat. `leverage` null: cross. */
export const flat = (terms: Terms, leverage: Amount | null = null): Kept => ({
  terms,
  size: Decimal.zero,
  cost: Decimal.zero,
  leverage,
  marginMode: leverage === null ? "cross" : "isolated",
  margin: leverage === null ? null : Decimal.zero,
  profit: Decimal.zero,
  fees: Decimal.zero,
  funding: Decimal.zero,
  told: null
})

/** Base units of so many contracts. */
export const baseOf = (contracts: Amount, contractSize: Amount): Amount => normalize(multiply(contracts, contractSize))

/** Contracts of an order that would close what is open; what a reduce-only order may fill at the most. */
export const closable = ({ size }: Pick<Kept, "size">, side: Side, quantity: Amount): Amount => {
  const closes = side === "buy" ? isNegative(size) : BigDecimal.isPositive(size)
  return closes ? BigDecimal.min(abs(size), quantity) : Decimal.zero
}

/** What opening so many contracts at a price needs of isolated margin, settle asset. */
export const initialMargin = (terms: Terms, quantity: Amount, price: Amount, leverage: Amount): Amount =>
  share(multiply(quantity, price), terms.contractSize, leverage)

/** Value at a price, settle asset, without sign. */
export const valueAt = ({ size, terms }: Pick<Kept, "size" | "terms">, price: Amount): Amount =>
  normalize(multiply(multiply(abs(size), terms.contractSize), price))

/** What it would gain by being closed at a price, settle asset, before fees. */
export const unrealisedPnl = ({ cost, size, terms }: Kept, price: Amount): Amount =>
  signed(size, multiply(subtract(multiply(abs(size), price), cost), terms.contractSize))

/**
 * What a position receives (negative: pays) when funding falls due: the rate times its value at the mark price, exact.
 * Longs pay shorts while the rate is positive. Gate futures documents (2026-08-25), "futures.tickers".
 */
export const fundingPayment = (kept: Pick<Kept, "size" | "terms">, rate: Amount, mark: Amount): Amount =>
  signed(kept.size, negate(multiply(valueAt(kept, mark), rate)))

const openMore = (kept: Kept, { fee, price, quantity, side }: Execution): Kept => {
  const { leverage, margin, terms } = kept
  const needed = leverage === null ? null : initialMargin(terms, quantity, price, leverage)
  return {
    ...kept,
    size: normalize(side === "buy" ? sum(kept.size, quantity) : subtract(kept.size, quantity)),
    cost: normalize(sum(kept.cost, multiply(quantity, price))),
    margin: margin === null || needed === null ? null : normalize(sum(margin, needed)),
    fees: normalize(sum(kept.fees, fee ?? Decimal.zero)),
    told: null
  }
}

const close = (kept: Kept, { fee, price, quantity }: Execution): Kept => {
  const { margin, size, terms } = kept
  const whole = abs(size)
  const all = Decimal.equals(quantity, whole)
  const cost = all ? kept.cost : share(kept.cost, quantity, whole)
  const freed = margin === null ? null : all ? margin : share(margin, quantity, whole)
  const gained = multiply(subtract(multiply(quantity, price), cost), terms.contractSize)
  return {
    ...kept,
    size: normalize(isNegative(size) ? sum(size, quantity) : subtract(size, quantity)),
    cost: normalize(subtract(kept.cost, cost)),
    margin: margin === null || freed === null ? null : normalize(subtract(margin, freed)),
    profit: normalize(sum(kept.profit, signed(size, gained))),
    fees: normalize(sum(kept.fees, fee ?? Decimal.zero)),
    told: null
  }
}

/** What was counted since the position was opened begins anew. */
const reopened = (kept: Kept): Kept =>
  isZero(kept.size) ? { ...kept, profit: Decimal.zero, fees: Decimal.zero, funding: Decimal.zero } : kept

/** What a fill makes of a position: what it closed, if anything, and what it left. */
export interface Filled {
  /** As it stood when what it closed was closed: flat where the fill turned it round. Null when it closed nothing. */
  readonly closed: Kept | null
  readonly kept: Kept
}

/**
 * A fill closes what is open the other way first, and opens the rest: a position that turns round has ended and begun, and
 * the fee is shared out among both by contracts.
 */
export const fill = (kept: Kept, execution: Execution): Filled => {
  const closing = closable(kept, execution.side, execution.quantity)
  if (isZero(closing)) return { closed: null, kept: openMore(reopened(kept), execution) }
  const opening = subtract(execution.quantity, closing)
  if (isZero(opening)) {
    const closed = close(kept, execution)
    return { closed, kept: closed }
  }
  const fee = execution.fee ?? Decimal.zero
  const feeOfRest = share(fee, opening, execution.quantity)
  const closed = close(kept, { ...execution, quantity: closing, fee: subtract(fee, feeOfRest) })
  return { closed, kept: openMore(reopened(closed), { ...execution, quantity: opening, fee: feeOfRest }) }
}

/** Money that was received (negative: paid) for funding. */
export const fund = (kept: Kept, payment: Amount): Kept => ({
  ...kept,
  funding: normalize(sum(kept.funding, payment)),
  told: null
})

/** The exchange has taken over a position of isolated margin: all of its margin is lost. */
export const liquidate = (kept: Kept): Kept => ({
  ...kept,
  size: Decimal.zero,
  cost: Decimal.zero,
  margin: kept.margin === null ? null : Decimal.zero,
  profit: normalize(subtract(kept.profit, kept.margin ?? Decimal.zero)),
  told: null
})

/** Profit, fees and funding since the position was opened. */
export const realisedPnl = ({ fees, funding, profit }: Kept): Amount => normalize(sum(subtract(profit, fees), funding))

export const entryPrice = ({ cost, size }: Kept): Amount | null => isZero(size) ? null : share(cost, one, abs(size))

/**
 * The mark price at which the margin of an isolated position no longer holds:
 * `(entry -+ margin / contract size / contracts) / (1 -+ (maintenance rate + closing fee rate))`, minus for a long position,
 * plus for a short one, and never below 0 (Gate help centre, "Liquidation price of perpetual contracts", linear contracts).
 * Null when flat, cross, or where margin or maintenance rate are not known.
 */
export const liquidationPrice = (kept: Kept): Amount | null => {
  const { margin, marginMode, size, terms: { closingFeeRate, contractSize, maintenanceRate } } = kept
  const entry = entryPrice(kept)
  if (entry === null || margin === null || maintenanceRate === null || marginMode === "cross") return null
  const perUnit = share(margin, one, multiply(abs(size), contractSize))
  const rate = sum(maintenanceRate, closingFeeRate ?? Decimal.zero)
  const isShort = isNegative(size)
  const base = isShort ? sum(entry, perUnit) : subtract(entry, perUnit)
  return BigDecimal.max(Decimal.zero, share(base, one, isShort ? sum(one, rate) : subtract(one, rate)))
}

/**
 * The exchange describes the position: that counts. Two descriptions in a row with the same size and another
 * `realisedPnl` tell of funding, for nothing else changes that alone.
 */
export const adopt = (kept: Kept, position: Position): Kept => {
  const { entryPrice: entry, leverage, margin, marginMode, size } = position
  const turned = BigDecimal.sign(size) * BigDecimal.sign(kept.size) < 0
  const { fees, funding, profit } = isZero(size) || turned ? flat(kept.terms) : kept
  return {
    terms: kept.terms,
    size,
    cost: entry === null ? Decimal.zero : normalize(multiply(abs(size), entry)),
    leverage,
    marginMode,
    margin,
    profit,
    fees,
    funding: normalize(sum(funding, fundingBetween(kept.told, position))),
    told: position
  }
}

/** Pushes count up by one: between two that follow each other lies one change. */
const fundingBetween = (before: Position | null, next: Position): Amount => {
  if (before === null || before.realisedPnl === null || next.realisedPnl === null) return Decimal.zero
  const follows = before.updateId !== null && Number(next.updateId) - Number(before.updateId) === 1
  return follows && Decimal.equals(before.size, next.size) && !isZero(next.size)
    ? subtract(next.realisedPnl, before.realisedPnl)
    : Decimal.zero
}

/** A fill's fee, where the exchange's description says the rest. */
export const withFee = (kept: Kept, fee: Amount): Kept => ({ ...kept, fees: normalize(sum(kept.fees, fee)) })

/** At a mark price, where one is known. */
export const held = (kept: Kept, markPrice: Amount | null): HeldPosition => {
  const { fees, funding, leverage, margin, marginMode, size, terms, told } = kept
  return {
    pair: terms.pair,
    side: told?.side ?? "net",
    size,
    baseSize: baseOf(size, terms.contractSize),
    entryPrice: told === null ? entryPrice(kept) : told.entryPrice,
    realisedPnl: told?.realisedPnl ?? realisedPnl(kept),
    unrealisedPnl: markPrice === null ? null : unrealisedPnl(kept, markPrice),
    funding,
    fees,
    markPrice,
    leverage,
    marginMode,
    margin,
    liquidationPrice: told?.liquidationPrice ?? liquidationPrice(kept)
  }
}
