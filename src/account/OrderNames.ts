/** By which names orders are known: the exchange's and ours. Whichever of them an order is called by, it is the same order. */
import type { PreparedOrder, SymbolRef } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import { RecentText } from "../domain/RecentText.ts"

/** So many orders are remembered by the exchange's id at the least, and so many ids of ours as used. */
const remembered = 10_000

/** UTF-16 units of a symbol with an id, the exchange's or ours, at the most. */
const idLength = 56

/** What an order that is placed here is held by. */
export const placeKey = ({ clientOrderId, instrument: { symbol } }: PreparedOrder): string =>
  `${symbol} ${clientOrderId}`

export class OrderNames {
  /** Ours, by the exchange's. */
  readonly #clientIds = new RecentText(remembered, 2 * idLength)
  /** Of placements whose outcome is not known, the symbols. */
  readonly #inDoubt = new Map<string, string>()
  readonly #used = new RecentText(remembered, idLength)

  learn({ clientOrderId, orderId, symbol }: Pick<Order, "clientOrderId" | "orderId" | "symbol">): void {
    if (clientOrderId !== null) this.#clientIds.set(`${symbol} ${orderId}`, clientOrderId)
  }

  /** What an order is held by. */
  keyOf(ref: SymbolRef): string {
    if ("clientOrderId" in ref) return `${ref.symbol} ${ref.clientOrderId}`
    return `${ref.symbol} ${this.#clientIds.get(`${ref.symbol} ${ref.orderId}`) ?? `#${ref.orderId}`}`
  }

  isKnown(ref: SymbolRef): boolean {
    return "clientOrderId" in ref || this.#clientIds.has(`${ref.symbol} ${ref.orderId}`)
  }

  /** Placements of a symbol that could be of an order whose client id is not known. */
  doubtsOf(symbol: string): ReadonlyArray<string> {
    return [...this.#inDoubt].flatMap(([key, other]) => other === symbol ? [key] : [])
  }

  doubt(order: PreparedOrder): void {
    this.#inDoubt.set(placeKey(order), order.instrument.symbol)
  }

  settle(order: PreparedOrder): void {
    this.#inDoubt.delete(placeKey(order))
  }

  /** Whether an order of this id was placed. */
  isUsed(symbol: string, clientOrderId: string): boolean {
    return this.#used.has(`${symbol} ${clientOrderId}`)
  }

  use(order: PreparedOrder): void {
    this.#used.set(placeKey(order))
  }

  free(order: PreparedOrder): void {
    this.#used.delete(placeKey(order))
  }
}
