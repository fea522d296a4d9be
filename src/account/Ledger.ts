/**
 * What is known of an account, and the one place where pushes and readings over REST come together: every fill passes once
 * and in the exchange's order, every order only goes forward, every balance and position is the newest. Pure but for its
 * own state: no clock, no sockets.
 *
 * Fills are told apart by symbol, trade id and side. Orders go forward by (filled quantity, final). Positions by the exchange's update id,
 * where it counts them, else by time. Readings say nothing of what was pushed while they were under way.
 */
import { BigDecimal } from "effect"
import type { AccountEvent, Balance, Fill, LeverageChange, Order, OrderUpdate, Position } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import { PassingMap } from "../domain/PassingMap.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import { tagOf } from "../domain/PrivateChannel.ts"
import { RecentText } from "../domain/RecentText.ts"
import { Moment, repeatsBalance } from "./BalanceMoment.ts"
import * as EndedOrder from "./EndedOrder.ts"
import { fillKey, inOrder, timeOf } from "./FillOrder.ts"
import type { Verdict } from "./Succession.ts"
import { hasAll, isEmpty, isReleveraged, judgeOrder, judgePosition, same, sameBalance } from "./Succession.ts"

export interface LedgerCounts {
  /** Pushed again, and not delivered again. */
  duplicates: number
  /** Older than what was known. */
  stale: number
  /** Brought by a reading only. */
  recovered: number
}

/** When a reading began: what is pushed later is not judged by it, and a break since is not closed by it. */
export interface Began {
  readonly tick: number
  readonly epoch: number
}

export interface Reading extends Began {
  /** When its answer came, ms. */
  readonly receivedAt: number
}

type Deliver = (channel: PrivateTag, event: AccountEvent) => void

interface Known<A> {
  value: A
  /** Of the last push. */
  tick: number
}

/**
 * So many fills and notices are remembered at the least, and all fills that a reading can tell again: it reads from a minute
 * before the last one that was answered whole, so with a reading a minute those are the fills of the last three minutes, and of a
 * whole outage while none is answered. The stream tells a fill again only within seconds: while two connections overlap, or where
 * an exchange repeats itself.
 */
const remembered = 1_000

/** So many fills that readings alone have brought: what an outage of hours has. */
const rememberedReadings = 5_000

/** So many ended orders at the least: of nothing before them is anything told late, and no reading was under way as long. */
const rememberedOrders = 5_000

const orderKey = ({ orderId, symbol }: Pick<Order, "orderId" | "symbol">): string => `${symbol} ${orderId}`
const positionKey = ({ side, symbol }: Position): string => `${symbol} ${side}`

/** As much is filled and it is open in both: the push behind the reading says more of it. */
const isOvertaken = ({ tick, value }: Known<Pick<Order, "filledQuantity">>, next: Order, reading: Reading): boolean =>
  tick > reading.tick && same(value.filledQuantity, next.filledQuantity) && !isFinal(next.status)

export class Ledger {
  readonly #deliver: Deliver
  readonly #counts: LedgerCounts
  readonly #fills = new Map<string, number>()
  readonly #ended = new RecentText(rememberedOrders, EndedOrder.expected)
  readonly #open = new PassingMap<string, Known<OrderUpdate>>()
  readonly #balances = new Map<string, Known<Balance>>()
  /** By asset. */
  readonly #moments = new Map<string, Moment>()
  readonly #positions = new Map<string, Known<Position>>()
  /** Those that are flat because a reading did not list them. */
  readonly #unlisted = new Set<string>()
  readonly #notices = new RecentText(remembered)
  /** Fills that only a reading has brought so far. */
  readonly #unpushed = new RecentText(rememberedReadings)
  #held: Array<Fill> | null = null
  #tick = 0
  #epoch = 0

  constructor(deliver: Deliver, counts: LedgerCounts) {
    this.#deliver = deliver
    this.#counts = counts
  }

  // -- pushes --

  /** One event of the stream. Two connections may bring the same while one takes the other's place. */
  push(event: AccountEvent, connection = 0): void {
    this.#tick++
    if (event._tag === "Fill") this.#pushFill(event)
    else if (event._tag === "OrderUpdate") this.#mergeOrder(event)
    else if (event._tag === "Balance") this.#pushBalance(event, connection)
    else if (event._tag === "Position") this.#mergePosition(event)
    else this.#pushNotice(event)
  }

  #pushFill(fill: Fill): void {
    const key = fillKey(fill)
    if (this.#fills.has(key)) {
      // The push that a reading has overtaken is the first all the same.
      if (!this.#unpushed.delete(key)) this.#counts.duplicates++
      return
    }
    this.#fills.set(key, timeOf(fill))
    if (this.#held === null) this.#deliver("Fills", fill)
    else this.#held.push(fill)
  }

  #pushBalance(next: Balance, connection: number): void {
    const known = this.#balances.get(next.asset)
    if (known !== undefined) {
      const { exchangeTime } = known.value
      if (this.#isRepeated(known.value, next, connection)) {
        this.#counts.duplicates++
        return
      }
      if (exchangeTime !== null && next.exchangeTime !== null && next.exchangeTime < exchangeTime) {
        this.#counts.stale++
        return
      }
    }
    this.#balances.set(next.asset, { value: next, tick: this.#tick })
    this.#momentOf(next).tell(next, connection)
    this.#deliver("Balances", next)
  }

  #isRepeated(known: Balance, next: Balance, connection: number): boolean {
    const moment = this.#moments.get(next.asset)
    const isOfMoment = moment !== undefined && moment.time !== null && moment.time === next.exchangeTime
    return (isOfMoment && moment.repeats(next, connection)) || repeatsBalance(known, next)
  }

  #momentOf({ asset, exchangeTime }: Balance): Moment {
    const known = this.#moments.get(asset)
    if (known !== undefined && exchangeTime !== null && known.time === exchangeTime) return known
    const moment = new Moment(exchangeTime)
    this.#moments.set(asset, moment)
    return moment
  }

  /** Notices carry no ids: one that says the same as another of the same time is the same. */
  #pushNotice(event: Exclude<AccountEvent, Fill | OrderUpdate | Balance | Position>): void {
    const key = noticeKey(event)
    if (this.#notices.has(key)) {
      this.#counts.duplicates++
      return
    }
    this.#notices.set(key)
    this.#deliver(tagOf[event._tag], event)
  }

  /** Whether it was delivered. `reading`: it comes from there, and yields to what was pushed since. */
  #mergeOrder(next: OrderUpdate, reading: Reading | null = null): boolean {
    const key = orderKey(next)
    const known = this.#open.get(key) ?? this.#endedOf(key)
    if (known === undefined) return this.#takeOrder(key, next, 0, reading)
    const verdict = judgeOrder(known.value, next)
    if (verdict !== "newer" || (reading !== null && isOvertaken(known, next, reading))) {
      return this.#refuse(verdict, reading)
    }
    const clientOrderId = next.clientOrderId ?? known.value.clientOrderId
    const value = clientOrderId === next.clientOrderId ? next : { ...next, clientOrderId }
    return this.#takeOrder(key, value, known.tick, reading)
  }

  #endedOf(key: string): EndedOrder.EndedOrder | undefined {
    const kept = this.#ended.get(key)
    return kept === undefined ? undefined : EndedOrder.read(kept)
  }

  #takeOrder(key: string, value: OrderUpdate, tick: number, reading: Reading | null): true {
    this.#keepOrder(key, { value, tick: reading === null ? this.#tick : tick })
    this.#deliver("Orders", value)
    return true
  }

  /** Readings repeat what is known as a matter of course; the stream should not. */
  #refuse(verdict: Verdict, reading: Reading | null): false {
    if (reading === null) this.#counts[verdict === "same" ? "duplicates" : "stale"]++
    return false
  }

  #keepOrder(key: string, known: Known<OrderUpdate>): void {
    if (isFinal(known.value.status)) {
      this.#open.delete(key)
      this.#ended.set(key, EndedOrder.keep(known))
    } else {
      this.#open.set(key, known)
    }
  }

  /** Whether it was delivered. */
  #mergePosition(next: Position, reading: Reading | null = null): boolean {
    const key = positionKey(next)
    const known = this.#positions.get(key)
    if (known !== undefined) {
      const verdict = this.#judgePosition(key, known.value, next, reading)
      if (verdict !== "newer") return this.#refuse(verdict, reading)
    }
    const isTold = this.#unlisted.delete(key) && BigDecimal.isZero(next.size)
    this.#positions.set(key, { value: next, tick: reading === null ? this.#tick : known?.tick ?? 0 })
    // The push of what a reading has told is no news.
    return !isTold && this.#tellPosition(known?.value, next)
  }

  #tellPosition(before: Position | undefined, next: Position): true {
    this.#deliver("Positions", next)
    if (before !== undefined && isReleveraged(before, next)) this.#deliver("Positions", leverageChange(next))
    return true
  }

  #judgePosition(key: string, known: Position, next: Position, reading: Reading | null): Verdict {
    const verdict = judgePosition(known, next)
    // Left out by one reading and listed by the next, it was there all along.
    const isBack = reading !== null && this.#unlisted.has(key) && !BigDecimal.isZero(next.size)
    return verdict === "same" && isBack ? "newer" : verdict
  }

  // -- breaks --

  /**
   * The stream is broken, or has come back: fills that are pushed from here on wait for those that were missed, which only
   * a reading that begins later can tell.
   */
  hold(): void {
    this.#held ??= []
    this.#epoch++
  }

  /** Whether the stream or a reading has brought it. */
  knows(fill: Fill): boolean {
    return this.#fills.has(fillKey(fill))
  }

  /** Whether it was described before. */
  knowsOrder(order: Pick<Order, "orderId" | "symbol">): boolean {
    const key = orderKey(order)
    return this.#open.has(key) || this.#ended.has(key)
  }

  /** Whether a reading has brought it and the stream has not. */
  awaits(fill: Fill): boolean {
    return this.#unpushed.has(fillKey(fill))
  }

  get isHolding(): boolean {
    return this.#held !== null
  }

  /** Fills that a reading has found go out, in order, and with them what was held for it. */
  readFills({ epoch }: Began, found: ReadonlyArray<Fill>): void {
    const missed = this.#unseen(found)
    this.#counts.recovered += missed.length
    if (this.#held !== null && epoch !== this.#epoch) this.#held.push(...missed)
    else this.#release(missed)
  }

  /** What was held goes out, whatever was missed. */
  release(): void {
    this.#release([])
  }

  #release(missed: ReadonlyArray<Fill>): void {
    const held = this.#held ?? []
    this.#held = null
    const fills = held.length + missed.length > 1 ? inOrder([...missed, ...held]) : [...missed, ...held]
    for (const fill of fills) this.#deliver("Fills", fill)
  }

  /** Those that the stream has not brought, each once. */
  #unseen(found: ReadonlyArray<Fill>): ReadonlyArray<Fill> {
    const missed: Array<Fill> = []
    for (const fill of found) {
      const key = fillKey(fill)
      if (this.#fills.has(key)) continue
      this.#fills.set(key, timeOf(fill))
      this.#unpushed.set(key)
      missed.push(fill)
    }
    return missed
  }

  /** Fills before `before`, ms, are not read again, so they need not be remembered. */
  forget(before: number): void {
    if (this.#fills.size <= remembered) return
    for (const [key, time] of this.#fills) {
      if (this.#fills.size <= remembered) return
      if (time < before) this.#fills.delete(key)
    }
  }

  // -- readings --

  /** Call when the request leaves. */
  begin(): Began {
    return { tick: this.#tick, epoch: this.#epoch }
  }

  /**
   * All open orders of these symbols (null: of all). Returns those that were thought open and are not: ask what became of
   * them, and tell with `readOrder`.
   */
  readOpenOrders(
    reading: Reading,
    orders: ReadonlyArray<Order>,
    symbols: ReadonlySet<string> | null
  ): ReadonlyArray<Order> {
    const listed = new Set<string>()
    for (const order of orders) {
      listed.add(orderKey(order))
      this.#readOrder(reading, order)
    }
    return [...this.#open].flatMap(([key, { tick, value }]) => {
      const isCovered = symbols === null || symbols.has(value.symbol)
      return isCovered && !listed.has(key) && tick <= reading.tick ? [value] : []
    })
  }

  /** One order, as read. Null: the exchange has no such order any more. */
  readOrder(reading: Reading, known: Order, found: Order | null): void {
    this.#readOrder(reading, found ?? { ...known, status: vanished(known), finishedAs: null })
  }

  #readOrder(reading: Reading, order: Order): void {
    const { receivedAt } = reading
    if (this.#mergeOrder({ ...order, _tag: "OrderUpdate", receivedAt, origin: "Reconciled" }, reading)) {
      this.#counts.recovered++
    }
  }

  /** Every asset of which there is something. Returns whether one must be read again, for a push has overtaken it. */
  readBalances(reading: Reading, balances: ReadonlyArray<Balance>): boolean {
    const listed = new Set<string>()
    let again = false
    for (const balance of balances) {
      listed.add(balance.asset)
      if (!this.#readBalance(reading, balance)) again = true
    }
    for (const [asset, { tick, value }] of this.#balances) {
      if (!listed.has(asset) && tick <= reading.tick && !isEmpty(value)) this.#readBalance(reading, nothingOf(value))
    }
    return again
  }

  /** False: a push that does not say everything has overtaken it. */
  #readBalance(reading: Reading, balance: Balance): boolean {
    const known = this.#balances.get(balance.asset)
    if (known !== undefined && known.tick > reading.tick) return hasAll(known.value)
    const next: Balance = { ...balance, receivedAt: reading.receivedAt, origin: "Reconciled" }
    if (known === undefined) {
      this.#balances.set(balance.asset, { value: next, tick: 0 })
      if (isEmpty(next)) return true
    } else {
      const isNews = !sameBalance(known.value, next) || (!hasAll(known.value) && hasAll(next))
      if (!isNews) return true
      // The time of the push stays: what is older than that is still old.
      known.value = { ...next, exchangeTime: next.exchangeTime ?? known.value.exchangeTime }
    }
    this.#counts.recovered++
    this.#deliver("Balances", next)
    return true
  }

  /** Every position that is open. */
  readPositions(reading: Reading, positions: ReadonlyArray<Position>): void {
    const listed = new Set<string>()
    for (const position of positions) {
      listed.add(positionKey(position))
      this.#readPosition(reading, position)
    }
    for (const [key, { tick, value }] of this.#positions) {
      if (!listed.has(key) && tick <= reading.tick && !BigDecimal.isZero(value.size)) {
        this.#readUnlisted(key, value, reading)
      }
    }
  }

  /** It is flat; what was pushed before stays older than that. */
  #readUnlisted(key: string, before: Position, reading: Reading): void {
    this.#readPosition(reading, { ...before, ...flat })
    const known = this.#positions.get(key)!
    known.value = { ...known.value, updateId: before.updateId, exchangeTime: before.exchangeTime }
    this.#unlisted.add(key)
  }

  #readPosition(reading: Reading, position: Position): void {
    const known = this.#positions.get(positionKey(position))
    if (known === undefined && BigDecimal.isZero(position.size)) {
      this.#positions.set(positionKey(position), { value: position, tick: 0 })
      return
    }
    const isCounted = position.updateId !== null && known?.value.updateId !== null
    if (known !== undefined && known.tick > reading.tick && !isCounted) return
    const next: Position = { ...position, receivedAt: reading.receivedAt, origin: "Reconciled" }
    if (this.#mergePosition(next, reading)) this.#counts.recovered++
  }

  /** The state that is known, for who comes later: open orders, balances and positions. */
  *state(receivedAt: number): Iterable<readonly [PrivateTag, AccountEvent]> {
    for (const { value } of this.#balances.values()) {
      if (!isEmpty(value)) yield ["Balances", { ...value, receivedAt, origin: "Reconciled" }]
    }
    for (const { value } of this.#positions.values()) {
      if (!BigDecimal.isZero(value.size)) yield ["Positions", { ...value, receivedAt, origin: "Reconciled" }]
    }
    for (const { value } of this.#open.values()) yield ["Orders", { ...value, receivedAt, origin: "Reconciled" }]
  }
}

/** An order that the exchange has forgotten has ended; what was filled of it came as fills. */
const vanished = ({ filledQuantity }: Order): Order["status"] =>
  BigDecimal.isZero(filledQuantity) ? "canceled" : "partiallyCanceled"

const nothingOf = (known: Balance): Balance => ({
  ...known,
  available: Decimal.zero,
  locked: Decimal.zero,
  total: Decimal.zero,
  change: null,
  cause: null,
  exchangeTime: null
})

/** A position that is not listed any more is flat; its count is not known. */
const flat = {
  size: Decimal.zero,
  entryPrice: null,
  margin: null,
  liquidationPrice: null,
  unrealisedPnl: null,
  updateId: null,
  exchangeTime: null
} as const

const leverageChange = (
  { exchangeTime, leverage, marginMode, origin, pair, receivedAt, symbol }: Position
): LeverageChange => ({
  _tag: "LeverageChange",
  pair,
  symbol,
  leverage,
  marginMode,
  exchangeTime,
  receivedAt,
  origin
})

const noticeKey = (event: Exclude<AccountEvent, Fill | OrderUpdate | Balance | Position>): string => {
  const { _tag, exchangeTime, symbol } = event
  switch (event._tag) {
    case "AutoDeleverage":
      return [_tag, symbol, exchangeTime, ...[event.quantity, event.positionSize, event.price].map(Decimal.toText)]
        .join(" ")
    case "PositionClose":
      return [_tag, symbol, exchangeTime, event.side, Decimal.toText(event.pnl)].join(" ")
    case "LeverageChange":
      return [
        _tag,
        symbol,
        exchangeTime,
        event.leverage === null ? "" : Decimal.toText(event.leverage),
        event.marginMode
      ]
        .join(" ")
  }
}
