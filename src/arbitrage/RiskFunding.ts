/**
 * Funding of the positions of an account: in the quote of its perpetuals it is profit or loss, in another asset nobody here can value
 * it. Which assets are quotes the list of instruments says; what is told before that has been read waits for it, so that the order
 * in which they come decides nothing. Plain and synchronous.
 */
import type { Balance } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"

/** Received; negative: paid. */
export interface Funded {
  readonly asset: string
  readonly amount: Decimal.Decimal
  readonly isQuote: boolean
}

/** Whether contracts of a pair are settled in its quote. */
export const isLinear = (pair: TradingPair): boolean => {
  const { quote, settle } = partsOf(pair)
  return settle === quote
}

/** By which a payment is known again that two sessions of an account tell; null where the exchange does not say enough of it. */
export const keyOf = ({ asset, change, exchangeTime, total }: Balance): string | null =>
  change === null || total === null || exchangeTime === null
    ? null
    : `funding ${asset} ${exchangeTime} ${Decimal.toText(change)} ${Decimal.toText(total)}`

export class RiskFunding {
  readonly #onFunded: (funded: Funded) => void
  /** Null while nobody knows them. */
  #quotes: ReadonlySet<string> | null = null
  #waiting: Array<Omit<Funded, "isQuote">> = []

  constructor(onFunded: (funded: Funded) => void) {
    this.#onFunded = onFunded
  }

  /** Whether something waits to be counted. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  tell({ asset, change }: Balance): void {
    if (change !== null) this.#count({ asset, amount: change })
  }

  /** The exchange lists these. */
  list(pairs: Iterable<TradingPair>): void {
    this.#quotes = new Set([...pairs].flatMap((pair) => isLinear(pair) ? [partsOf(pair).quote] : []))
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) this.#count(one)
  }

  #count(payment: Omit<Funded, "isQuote">): void {
    if (this.#quotes === null) this.#waiting.push(payment)
    else this.#onFunded({ ...payment, isQuote: this.#quotes.has(payment.asset) })
  }
}
