/** Balances of one account, exact. Every change is told once, with what it is for. */
import { BigDecimal } from "effect"
import type { WorldBalance, WorldBalanceCause } from "../AccountWorld.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"

interface Holding {
  available: Decimal.Decimal
  locked: Decimal.Decimal
}

/** What a change is for. */
export interface Reason {
  readonly cause: WorldBalanceCause
  readonly orderId: number | null
  readonly pair: TradingPair | null
  /** ms. */
  readonly time: number
}

const add = (a: Decimal.Decimal, b: Decimal.Decimal): Decimal.Decimal => BigDecimal.normalize(BigDecimal.sum(a, b))

export class Wallet {
  readonly #holdings = new Map<string, Holding>()
  readonly #tell: (balance: WorldBalance) => void

  constructor(tell: (balance: WorldBalance) => void) {
    this.#tell = tell
  }

  available(asset: string): Decimal.Decimal {
    return this.#holdings.get(asset)?.available ?? Decimal.zero
  }

  locked(asset: string): Decimal.Decimal {
    return this.#holdings.get(asset)?.locked ?? Decimal.zero
  }

  get assets(): ReadonlyArray<string> {
    return [...this.#holdings.keys()]
  }

  /** Adds to both parts; negative takes away. Whoever calls has checked that there is enough. */
  change(asset: string, available: Decimal.Decimal, locked: Decimal.Decimal, reason: Reason): void {
    let holding = this.#holdings.get(asset)
    if (holding === undefined) {
      holding = { available: Decimal.zero, locked: Decimal.zero }
      this.#holdings.set(asset, holding)
    }
    if (BigDecimal.isZero(available) && BigDecimal.isZero(locked)) return
    holding.available = add(holding.available, available)
    holding.locked = add(holding.locked, locked)
    this.#tell({
      asset,
      available: Decimal.toText(holding.available),
      locked: Decimal.toText(holding.locked),
      change: Decimal.toText(add(available, locked)),
      cause: reason.cause,
      orderId: reason.orderId,
      pair: reason.pair,
      time: reason.time
    })
  }

  /** Moves from available to locked; negative: back. False when there is not enough. */
  lock(asset: string, amount: Decimal.Decimal, reason: Reason): boolean {
    if (BigDecimal.isPositive(amount) && BigDecimal.isGreaterThan(amount, this.available(asset))) return false
    this.change(asset, BigDecimal.negate(amount), amount, reason)
    return true
  }
}
