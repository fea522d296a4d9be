/**
 * What executions have left of each base asset, and the money they have moved, to the last digit, at every moment: an order
 * counts from when it leaves, by whatever has been told of it, and once. Plain and synchronous.
 */
import { BigDecimal } from "effect"
import type { Fill, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { Moved, Plan } from "./Moved.ts"
import { newer, soFar } from "./Moved.ts"
import type { Correction } from "./RiskGuard.ts"

type Amount = Decimal.Decimal

interface Entry {
  /** Base: free to be traded. */
  quantity: Amount
  /** Base: taken out by who is trading it. */
  taken: Amount
  /** Quote: at which it was traded last. */
  price: Amount
  /** By what; null: by nothing yet. */
  pricedBy: CountedLeg | Taken | null
}

/** What was taken of a place, to one side, and whose fills have not been told. */
interface Taken {
  /** Base, without sign. */
  quantity: Amount
  /** Quote: the mean at which it was counted. */
  price: Amount
}

/** An order, and what has been told of it. */
interface CountedLeg {
  readonly plan: Plan
  readonly asset: string
  order: Order | null
  fills: ReadonlyArray<Fill>
  /** As it was counted; null while its execution is under way, or nobody knows its end. */
  counted: Moved | null
}

export interface Left {
  readonly asset: string
  readonly quantity: Amount
}

const { isZero, multiply, subtract } = BigDecimal

const add = (left: Amount, right: Amount): Amount => BigDecimal.normalize(BigDecimal.sum(left, right))

/** So many orders that are counted to the last digit are remembered: what is told of them late still counts. */
const remembered = 1_000

const keyOf = (exchange: ExchangeId, clientOrderId: string): string => `${exchange} ${clientOrderId}`

const placeOf = ({ exchange, pair }: Pick<Plan, "exchange" | "pair">): string => `${exchange} ${pair}`

const takenKey = (side: number, place: string): string => `${side} ${place}`

const movedOf = ({ fills, order, plan }: CountedLeg): Moved => soFar(plan, order, fills)

export class ExposureLedger {
  readonly #assets = new Map<string, Entry>()
  /** Base: what orders that are counted, and what was taken, have left at each place. */
  readonly #places = new Map<string, Amount>()
  /** By side and place. */
  readonly #taken = new Map<string, Taken>()
  readonly #legs = new Map<string, CountedLeg>()
  /** Those that more is expected of: not counted, or by rate. */
  readonly #open = new Set<CountedLeg>()
  /** Keys of those that are counted to the last digit, the oldest first. */
  readonly #done: Array<string> = []
  readonly #onMore: (plan: Plan, quantity: Amount) => void
  #cash: Amount = Decimal.zero

  /** `onMore`: so much more (base) of an order that was counted has filled than its end had said. */
  constructor(onMore: (plan: Plan, quantity: Amount) => void = () => {}) {
    this.#onMore = onMore
  }

  // ---- orders ----

  /** It leaves: whatever is told of it counts. */
  expect(plan: Plan): void {
    const leg: CountedLeg = { plan, asset: partsOf(plan.pair).base, order: null, fills: [], counted: null }
    this.#legs.set(keyOf(plan.exchange, plan.clientOrderId), leg)
    this.#open.add(leg)
  }

  /** What has been told of an order; of others nothing is taken. */
  see(exchange: ExchangeId, clientOrderId: string, order: Order | null, fills: ReadonlyArray<Fill>): void {
    const leg = this.#legs.get(keyOf(exchange, clientOrderId))
    if (leg === undefined) return
    leg.order = leg.order === null ? order : newer(leg.order, order)
    const others = fills.filter((fill) => !leg.fills.some(({ tradeId }) => tradeId === fill.tradeId))
    if (others.length > 0) leg.fills = [...leg.fills, ...others]
    const { counted } = leg
    if (counted === null) return
    const moved = movedOf(leg)
    const more = subtract(moved.quantity, counted.quantity)
    const isMore = BigDecimal.isPositive(more)
    if (isMore || (counted.isEstimated && !moved.isEstimated)) this.#change(leg, moved)
    if (isMore) this.#onMore(leg.plan, more)
  }

  /** Those that more is expected of. */
  get expected(): ReadonlyArray<Plan> {
    return Array.from(this.#open, ({ plan }) => plan)
  }

  /** As it has been described last; null when it never was. */
  orderOf({ clientOrderId, exchange }: Plan): Order | null {
    return this.#legs.get(keyOf(exchange, clientOrderId))?.order ?? null
  }

  hasEnded(plan: Plan): boolean {
    const order = this.orderOf(plan)
    return order !== null && isFinal(order.status)
  }

  /** Base, before fees: as far as it is known now. */
  filledOf({ clientOrderId, exchange }: Plan): Amount {
    const leg = this.#legs.get(keyOf(exchange, clientOrderId))
    return leg === undefined ? Decimal.zero : movedOf(leg).quantity
  }

  /** Its end is known: from now on what it has moved may be traded away. Called again it puts right what it was counted as. */
  count(plan: Plan, moved: Moved): void {
    const leg = this.#legs.get(keyOf(plan.exchange, plan.clientOrderId))
    if (leg === undefined) return
    const seen = movedOf(leg)
    const more = subtract(seen.quantity, moved.quantity)
    const isMore = BigDecimal.isPositive(more)
    this.#change(leg, isMore ? seen : moved)
    if (isMore) this.#onMore(plan, more)
  }

  /** Nothing more is expected of it. */
  settle({ clientOrderId, exchange }: Plan): void {
    const key = keyOf(exchange, clientOrderId)
    const leg = this.#legs.get(key)
    if (leg === undefined || !this.#open.delete(leg)) return
    this.#done.push(key)
    if (this.#done.length > remembered) this.#legs.delete(this.#done.shift()!)
  }

  #change(leg: CountedLeg, moved: Moved): void {
    const { asset, counted } = leg
    const entry = this.#entry(asset)
    const received = subtract(moved.received, counted?.received ?? Decimal.zero)
    entry.quantity = add(entry.quantity, received)
    this.#place(placeOf(leg.plan), received)
    this.#price(entry, leg, moved)
    this.#cash = add(this.#cash, subtract(moved.cash, counted?.cash ?? Decimal.zero))
    leg.counted = moved
    if (!moved.isEstimated) this.settle(leg.plan)
  }

  /** What only puts an order right was not traded behind the others. */
  #price(entry: Entry, leg: CountedLeg, { lastPrice, quantity }: Moved): void {
    const { counted } = leg
    const isNew = counted === null || BigDecimal.isGreaterThan(quantity, counted.quantity)
    if (lastPrice === null || (!isNew && entry.pricedBy !== leg)) return
    entry.price = lastPrice
    entry.pricedBy = leg
  }

  #place(place: string, received: Amount): void {
    this.#places.set(place, add(this.#places.get(place) ?? Decimal.zero, received))
  }

  /** Base: what all orders have left at a place, those under way too. */
  #heldAt(place: string): Amount {
    return this.#underWay.reduce(
      (held, [leg, { received }]) => placeOf(leg.plan) === place ? add(held, received) : held,
      this.#places.get(place) ?? Decimal.zero
    )
  }

  /**
   * A position has changed by so much (base) at a price without an order of ours. As far as it has taken what orders of ours had
   * left there, that is open now where the other leg is; how much that is, with sign: what others hold there is not ours.
   */
  takeAway({ exchange, pair, position, price, quantity }: Correction): Amount {
    const place = placeOf({ exchange, pair })
    const held = this.#heldAt(place)
    const missing = subtract(position, held)
    const side = BigDecimal.sign(missing)
    // What an order has told before its fill came is counted already, and what adds to a leg is nobody's loss.
    if (side * BigDecimal.sign(held) >= 0 || side * BigDecimal.sign(quantity) < 0) return Decimal.zero
    const least = BigDecimal.min(
      BigDecimal.abs(missing),
      BigDecimal.min(BigDecimal.abs(quantity), BigDecimal.abs(held))
    )
    const taken = side < 0 ? BigDecimal.negate(least) : least
    const entry = this.#entry(partsOf(pair).base)
    entry.quantity = add(entry.quantity, taken)
    entry.price = price
    entry.pricedBy = this.#noteTaken(takenKey(side, place), least, price)
    this.#cash = subtract(this.#cash, multiply(taken, price))
    this.#place(place, taken)
    return taken
  }

  #noteTaken(key: string, quantity: Amount, price: Amount): Taken {
    const before = this.#taken.get(key) ?? { quantity: Decimal.zero, price }
    const all = add(before.quantity, quantity)
    const value = BigDecimal.sum(multiply(before.quantity, before.price), multiply(quantity, price))
    const noted: Taken = { quantity: all, price: BigDecimal.divideUnsafe(value, all) }
    this.#taken.set(key, noted)
    return noted
  }

  /** Fills of what was taken have been told: as far as it was taken from orders of ours it has cost what they say. */
  putRight({ exchange, pair, undone }: Correction): void {
    if (undone === undefined) return
    const side = BigDecimal.sign(undone.quantity)
    const taken = this.#taken.get(takenKey(side, placeOf({ exchange, pair })))
    if (taken === undefined) return
    const part = BigDecimal.min(taken.quantity, BigDecimal.abs(undone.quantity))
    if (isZero(part)) return
    taken.quantity = subtract(taken.quantity, part)
    const more = multiply(part, subtract(undone.price, taken.price))
    this.#cash = add(this.#cash, side < 0 ? more : BigDecimal.negate(more))
    const entry = this.#entry(partsOf(pair).base)
    if (entry.pricedBy === taken) entry.price = undone.price
  }

  // ---- what is carried ----

  #entry(asset: string): Entry {
    const known = this.#assets.get(asset)
    if (known !== undefined) return known
    const entry: Entry = { quantity: Decimal.zero, taken: Decimal.zero, price: Decimal.zero, pricedBy: null }
    this.#assets.set(asset, entry)
    return entry
  }

  /** Takes all that is carried of an asset: whoever takes it trades it, and gives it back in the turn that counts the orders. */
  take(asset: string): Amount {
    const entry = this.#assets.get(asset)
    if (entry === undefined) return Decimal.zero
    const { quantity } = entry
    entry.quantity = Decimal.zero
    entry.taken = add(entry.taken, quantity)
    return quantity
  }

  give(asset: string, taken: Amount): void {
    if (isZero(taken)) return
    const entry = this.#entry(asset)
    entry.quantity = add(entry.quantity, taken)
    entry.taken = subtract(entry.taken, taken)
  }

  /** Base: what orders that are counted have left. */
  carriedOf(asset: string): Amount {
    const entry = this.#assets.get(asset)
    return entry === undefined ? Decimal.zero : add(entry.quantity, entry.taken)
  }

  /** Assets of which something is carried. */
  get carried(): ReadonlyArray<string> {
    return [...this.#assets.keys()].filter((asset) => !isZero(this.carriedOf(asset)))
  }

  // ---- all of it ----

  /** Of orders that are not counted. */
  get #underWay(): ReadonlyArray<readonly [leg: CountedLeg, moved: Moved]> {
    return [...this.#open].flatMap((leg) => leg.counted === null ? [[leg, movedOf(leg)] as const] : [])
  }

  #all(): ReadonlyMap<string, { readonly quantity: Amount; readonly price: Amount }> {
    const all = new Map(
      Array.from(this.#assets, ([asset, { price }]) => [asset, { quantity: this.carriedOf(asset), price }])
    )
    for (const [{ asset }, { lastPrice, received }] of this.#underWay) {
      const before = all.get(asset) ?? { quantity: Decimal.zero, price: Decimal.zero }
      all.set(asset, { quantity: add(before.quantity, received), price: lastPrice ?? before.price })
    }
    return all
  }

  /** Those that are not flat, orders under way included. */
  get exposure(): ReadonlyArray<Left> {
    return [...this.#all()].flatMap(([asset, { quantity }]) => isZero(quantity) ? [] : [{ asset, quantity }])
  }

  /** Quote: what has come in, by orders under way too. */
  get cash(): Amount {
    return this.#underWay.reduce((cash, [, moved]) => add(cash, moved.cash), this.#cash)
  }

  /** Quote: `cash`, and what is open at the price at which it was traded last; of what was put right later as it is known now. */
  get profit(): Amount {
    return Array.from(this.#all().values()).reduce(
      (profit, { price, quantity }) => add(profit, multiply(price, quantity)),
      this.cash
    )
  }
}
