/** What executions have left of each base asset, and the money they have moved, to the last digit. Plain and synchronous. */
import { BigDecimal } from "effect"
import * as Decimal from "../domain/Decimal.ts"

type Amount = Decimal.Decimal

interface Entry {
  /** Base: free to be traded. */
  quantity: Amount
  /** Base: taken out by who is trading it. */
  taken: Amount
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
    entry.taken = add(entry.taken, quantity)
    return quantity
  }

  /** What has been received, behind what was `taken` to be traded. */
  put(asset: string, received: Amount, price: Amount | null, taken: Amount = Decimal.zero): void {
    const quantity = add(taken, received)
    const entry = this.#assets.get(asset)
    if (entry === undefined) {
      this.#assets.set(asset, { quantity, taken: Decimal.zero, price: price ?? Decimal.zero })
      return
    }
    entry.quantity = add(entry.quantity, quantity)
    entry.taken = add(entry.taken, BigDecimal.negate(taken))
    if (price !== null) entry.price = price
  }

  /** Quote: what came in. */
  pay(cash: Amount): void {
    this.#cash = add(this.#cash, cash)
  }

  of(asset: string): Amount {
    const entry = this.#assets.get(asset)
    return entry === undefined ? Decimal.zero : add(entry.quantity, entry.taken)
  }

  /** Those that are not flat. */
  get open(): ReadonlyArray<{ readonly asset: string; readonly quantity: Amount }> {
    return [...this.#assets.keys()].flatMap((asset) => {
      const quantity = this.of(asset)
      return BigDecimal.isZero(quantity) ? [] : [{ asset, quantity }]
    })
  }

  get cash(): Amount {
    return this.#cash
  }

  /** Quote: what has come in, and what is carried at the price at which it was traded last. */
  get profit(): Amount {
    const worth = [...this.#assets].map(([asset, { price }]) => BigDecimal.multiply(price, this.of(asset)))
    return add(this.#cash, BigDecimal.sumAll(worth))
  }
}
