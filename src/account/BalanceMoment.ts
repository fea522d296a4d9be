/** Balances of one millisecond, as several connections bring them. */
import type { Balance } from "../domain/Account.ts"
import { same } from "./Succession.ts"

/** Said twice, word by word. */
export const repeatsBalance = (a: Balance, b: Balance): boolean =>
  a.exchangeTime === b.exchangeTime && same(a.available, b.available) && same(a.locked, b.locked) &&
  same(a.total, b.total) && same(a.change, b.change) && a.cause === b.cause

/**
 * What was pushed of one asset within one millisecond. Every connection brings the same in the same order, but one may
 * begin later or lag: what it brings is looked for behind what it has brought already.
 */
export class Moment {
  readonly time: number | null
  readonly #told: Array<Balance> = []
  /** By connection: so many of those that were told has it brought, or passed. */
  readonly #reached = new Map<number, number>()

  constructor(time: number | null) {
    this.time = time
  }

  /** Whether another connection has brought it. */
  repeats(next: Balance, connection: number): boolean {
    const from = this.#reached.get(connection) ?? 0
    const found = this.#told.findIndex((told, index) => index >= from && repeatsBalance(told, next))
    if (found >= 0) this.#reached.set(connection, found + 1)
    return found >= 0
  }

  tell(next: Balance, connection: number): void {
    this.#reached.set(connection, this.#told.push(next))
  }
}
