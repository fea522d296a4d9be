/** What executions have left of each base asset, and the money they have moved, to the last digit. Plain and synchronous. */
import { BigDecimal } from "effect"
import * as Decimal from "../domain/Decimal.ts"

type Amount = Decimal.Decimal

interface Entry {
  /** Base. */
  quantity: Amount
  /** Quote: at which it was traded last. */
  price: Amount
}

const add = (left: Amount, right: Amount): Amount => BigDecimal.normalize(BigDecimal.sum(left, right))

export class ExposureLedger {
  readonly #assets = new Map<string, Entry>()
  #cash: Amount = Decimal.zero

  /** Takes all that is carried of an asset: whoever takes it trades it, or puts it back. */
  take(asset: string): Amount {
    const entry = this.#assets.get(asset)
    if (entry === undefined) return Decimal.zero
    const { quantity } = entry
    entry.quantity = Decimal.zero
    return quantity
  }

  put(asset: string, quantity: Amount, price: Amount | null): void {
    const entry = this.#assets.get(asset)
    if (entry === undefined) this.#assets.set(asset, { quantity, price: price ?? Decimal.zero })
    else {
      entry.quantity = add(entry.quantity, quantity)
      if (price !== null) entry.price = price
    }
  }

  /** Quote: what came in. */
  pay(cash: Amount): void {
    this.#cash = add(this.#cash, cash)
  }

  of(asset: string): Amount {
    return this.#assets.get(asset)?.quantity ?? Decimal.zero
  }

  /** Those that are not flat. */
  get open(): ReadonlyArray<{ readonly asset: string; readonly quantity: Amount }> {
    return [...this.#assets].flatMap(([asset, { quantity }]) =>
      BigDecimal.isZero(quantity) ? [] : [{ asset, quantity }]
    )
  }

  get cash(): Amount {
    return this.#cash
  }

  /** Quote: what has come in, and what is carried at the price at which it was traded last. */
  get profit(): Amount {
    const worth = [...this.#assets.values()].map(({ price, quantity }) => BigDecimal.multiply(price, quantity))
    return add(this.#cash, BigDecimal.sumAll(worth))
  }
}
