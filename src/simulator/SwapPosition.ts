/**
 * One contract's position in one account: net mode, isolated or cross. Money is in the settle asset and exact; what would
 * not end (a part of the cost) is cut behind 12 decimals.
 *
 * Sources: Gate REST v4 documents, "Position": `realised_pnl` (with its parts `pnl_pnl`, `pnl_fund` and `pnl_fee`), and `history_pnl`,
 * "total realized PnL from closed positions". A first push of 1 contract of 10 XRP at 0.5253 tells a `realised_pnl` of -0.0026265, the
 * taker fee of 0.05 %, and a `history_pnl` of 0 (ccxt, `js/src/pro/gate.js`, `handlePositions`). The liquidation price of linear contracts
 * is `(entry -+ margin / multiplier / contracts) / (1 -+ (maintenance rate + taker fee rate))` (Gate's support, 2023-07-02, and Gate's
 * article on metal contracts in USDT).
 */
import { BigDecimal } from "effect"
import type { WorldPosition } from "../AccountWorld.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"

type Amount = Decimal.Decimal

const { isZero, isNegative, multiply, negate, subtract, sum } = BigDecimal

const cutStep = Decimal.of("0.000000000001")

/** `a * b / c`, cut towards zero. */
const share = (a: Amount, b: Amount, c: Amount): Amount =>
  Decimal.toStep(BigDecimal.divideUnsafe(multiply(a, b), c), cutStep, "down")

const minimum = BigDecimal.min

export interface Terms {
  readonly pair: TradingPair
  /** Base units in one contract. */
  readonly contractSize: Amount
  readonly leverageMax: Amount
  /** Fraction of the value that has to be there, or the position is liquidated. */
  readonly maintenanceRate: Amount
  /** The taker's fee of closing it, as a fraction of the value: it has to be there besides. */
  readonly closingFeeRate: Amount
}

/** What a fill does to a position, for the wallet. */
export interface Effects {
  /** Profit of what it closed. */
  readonly pnl: Amount
  /** Margin that it set free (positive) or that it needs (negative). */
  readonly margin: Amount
  /** Whether it closed the position, or a part of it, to nothing. */
  readonly closed: "long" | "short" | null
}

/** What a cross position without leverage of its own is reckoned with. */
const crossLeverage = Decimal.of("10")

export class SwapPosition {
  readonly terms: Terms
  /** Contracts; negative: short. */
  size: Amount = Decimal.zero
  /** What the open contracts cost: contracts times price, without sign. */
  #cost: Amount = Decimal.zero
  margin: Amount = Decimal.zero
  /** Since it was opened, fees and funding included; nothing while flat. */
  realisedPnl: Amount = Decimal.zero
  /** The same, of all that were closed. */
  historyPnl: Amount = Decimal.zero
  #lastClosePnl: Amount = Decimal.zero
  /** Zero: cross. */
  leverage: Amount = Decimal.zero
  #updateId = 0
  #time = 0

  constructor(terms: Terms) {
    this.terms = terms
  }

  get isFlat(): boolean {
    return isZero(this.size)
  }

  get entryPrice(): Amount {
    return this.isFlat ? Decimal.zero : share(this.#cost, BigDecimal.fromBigInt(1n), BigDecimal.abs(this.size))
  }

  /** What opening so many contracts at this price needs. */
  marginFor(quantity: Amount, price: Amount): Amount {
    const leverage = isZero(this.leverage) ? crossLeverage : this.leverage
    return share(multiply(quantity, price), this.terms.contractSize, leverage)
  }

  /** Contracts of an order that would close what is open. */
  closable(side: "buy" | "sell", quantity: Amount): Amount {
    const closes = side === "buy" ? isNegative(this.size) : BigDecimal.isPositive(this.size)
    return closes ? minimum(BigDecimal.abs(this.size), quantity) : Decimal.zero
  }

  /** Value at a price, in the settle asset, without sign. */
  valueAt(price: Amount): Amount {
    return multiply(multiply(BigDecimal.abs(this.size), this.terms.contractSize), price)
  }

  get #neededRate(): Amount {
    return sum(this.terms.maintenanceRate, this.terms.closingFeeRate)
  }

  /** What has to be there at a price, or the position is liquidated. */
  neededAt(price: Amount): Amount {
    return multiply(this.valueAt(price), this.#neededRate)
  }

  pnlAt(price: Amount): Amount {
    const gained = subtract(multiply(BigDecimal.abs(this.size), price), this.#cost)
    const pnl = multiply(gained, this.terms.contractSize)
    return BigDecimal.normalize(isNegative(this.size) ? negate(pnl) : pnl)
  }

  /** `fee`: of the whole fill; one that turns the position round shares it out among both by contracts. */
  fill(side: "buy" | "sell", quantity: Amount, price: Amount, time: number, fee: Amount = Decimal.zero): Effects {
    const closing = this.closable(side, quantity)
    const opening = subtract(quantity, closing)
    const wasLong = BigDecimal.isPositive(this.size)
    const closedAll = !isZero(closing) && Decimal.equals(closing, BigDecimal.abs(this.size))
    const feeOfRest = isZero(closing) ? fee : share(fee, opening, quantity)
    const { freed, pnl } = this.#close(closing, price)
    this.#realise(subtract(pnl, subtract(fee, feeOfRest)))
    const needed = isZero(opening) ? Decimal.zero : this.#open(side, opening, price)
    this.#realise(negate(feeOfRest))
    this.touch(time)
    return { pnl, margin: subtract(freed, needed), closed: closedAll ? (wasLong ? "long" : "short") : null }
  }

  /** What is realised with the end of a position belongs to it. */
  #realise(amount: Amount): void {
    const all = BigDecimal.normalize(sum(this.realisedPnl, amount))
    this.realisedPnl = this.isFlat ? Decimal.zero : all
    if (this.isFlat) this.historyPnl = BigDecimal.normalize(sum(this.historyPnl, all))
  }

  #close(quantity: Amount, price: Amount): { readonly freed: Amount; readonly pnl: Amount } {
    if (isZero(quantity)) return { freed: Decimal.zero, pnl: Decimal.zero }
    const whole = BigDecimal.abs(this.size)
    const all = Decimal.equals(quantity, whole)
    const cost = all ? this.#cost : share(this.#cost, quantity, whole)
    const freed = all ? this.margin : share(this.margin, quantity, whole)
    const gained = multiply(subtract(multiply(quantity, price), cost), this.terms.contractSize)
    const pnl = BigDecimal.normalize(isNegative(this.size) ? negate(gained) : gained)
    this.#cost = subtract(this.#cost, cost)
    this.margin = subtract(this.margin, freed)
    this.size = isNegative(this.size) ? sum(this.size, quantity) : subtract(this.size, quantity)
    this.#lastClosePnl = pnl
    return { freed, pnl }
  }

  #open(side: "buy" | "sell", quantity: Amount, price: Amount): Amount {
    const needed = this.marginFor(quantity, price)
    this.size = side === "buy" ? sum(this.size, quantity) : subtract(this.size, quantity)
    this.#cost = sum(this.#cost, multiply(quantity, price))
    this.margin = sum(this.margin, needed)
    return needed
  }

  /** Money that came or went without a fill: funding. */
  book(amount: Amount, time: number): void {
    this.#realise(amount)
    this.touch(time)
  }

  /** The last close gained so much more (negative: lost) than its price says: who takes a position over settles otherwise. */
  settleOtherwise(more: Amount): void {
    this.#realise(more)
    this.#lastClosePnl = BigDecimal.normalize(sum(this.#lastClosePnl, more))
  }

  touch(time: number): void {
    this.#updateId++
    this.#time = time
  }

  /** The price at which the margin no longer holds; zero when flat. */
  get liquidationPrice(): Amount {
    return this.liquidationPriceWith(Decimal.zero)
  }

  /** The same with so much more behind it: what else a cross position can lose. */
  liquidationPriceWith(backing: Amount): Amount {
    if (this.isFlat) return Decimal.zero
    const perUnit = share(
      sum(this.margin, backing),
      BigDecimal.fromBigInt(1n),
      multiply(BigDecimal.abs(this.size), this.terms.contractSize)
    )
    const one = BigDecimal.fromBigInt(1n)
    const long = BigDecimal.isPositive(this.size)
    const base = long ? subtract(this.entryPrice, perUnit) : sum(this.entryPrice, perUnit)
    const rate = long ? subtract(one, this.#neededRate) : sum(one, this.#neededRate)
    return BigDecimal.max(Decimal.zero, share(base, one, rate))
  }

  view(mark: Amount, backing: Amount = Decimal.zero): WorldPosition {
    const text = Decimal.toText
    return {
      pair: this.terms.pair,
      size: text(this.size),
      entryPrice: text(this.entryPrice),
      leverage: text(this.leverage),
      mode: isZero(this.leverage) ? "cross" : "isolated",
      margin: text(this.margin),
      liquidationPrice: text(this.liquidationPriceWith(backing)),
      realisedPnl: text(this.realisedPnl),
      historyPnl: text(this.historyPnl),
      unrealisedPnl: this.isFlat ? "0" : text(this.pnlAt(mark)),
      lastClosePnl: text(this.#lastClosePnl),
      maintenanceRate: text(this.terms.maintenanceRate),
      leverageMax: text(this.terms.leverageMax),
      updateId: this.#updateId,
      time: this.#time
    }
  }
}
