/**
 * The life of each order as a state machine, with `Unknown` as a state. Pure but for its own state: no clock, no sockets.
 * `PrivateExchange` feeds it with what was sent, what was answered, and what the stream and readings tell, in any order,
 * twice and late: what is known only grows, so the end is the same whatever came first.
 *
 * Descriptions of an order are judged by whether it has ended, then by how much of it is filled, then by time; fills are
 * told apart by trade id.
 */
import { BigDecimal } from "effect"
import type { Fill, Order, OrderStatus } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { RecentText } from "../domain/RecentText.ts"
import type { OrderRef, Rejection } from "../OrderEntry.ts"

export type FinalStatus = Exclude<OrderStatus, "new" | "partiallyFilled">

/**
 * - `Sending`: handed to order entry, no answer yet.
 * - `Unknown`: it may or may not be in force. Its answer was lost, and nothing may be sent for it until it is known; or
 *   only fills of it have been seen, of an order of another program or an earlier run.
 * - `Open`: in force, nothing or a part of it filled.
 * - `Canceling`: in force, and a cancel is under way.
 * - `Final`: it never leaves this state. `status` changes only when the exchange tells of an end with more filled.
 */
export type OrderState =
  | { readonly _tag: "Sending"; readonly at: number }
  | { readonly _tag: "Unknown"; readonly at: number }
  | { readonly _tag: "Open"; readonly at: number }
  | { readonly _tag: "Canceling"; readonly at: number }
  | {
    readonly _tag: "Final"
    readonly at: number
    readonly status: FinalStatus
    /** Why it was refused, or was never sent; null unless it was. */
    readonly rejection: Rejection | null
  }

export interface TrackedOrder {
  readonly exchange: ExchangeId
  readonly account: string
  /**
   * Ours where it has one, else the exchange's id behind `#`. Where two orders of the exchange carry the same id of ours,
   * as a trigger order of Gate futures and what it became, the one that came later goes by the exchange's id. What was told
   * without our id goes by it as soon as it is told.
   */
  readonly key: string
  readonly pair: TradingPair | null
  readonly state: OrderState
  /** The newest description by the exchange; null while it has not told of it. */
  readonly order: Order | null
  /** Each once, in the exchange's order. */
  readonly fills: ReadonlyArray<Fill>
  /** Base or contracts: the larger of what its fills add up to and what the exchange says. It never falls. */
  readonly filledQuantity: Decimal.Decimal
  /** Quote paid or received by its fills; contracts count with their contract size. */
  readonly filledQuote: Decimal.Decimal
}

export interface TrackerOptions {
  readonly exchange: ExchangeId
  readonly account: string
  /** So many final orders are kept. */
  readonly historySize: number
  /** Base units in one contract, by the name on the wire; 1 on spot. */
  readonly contractSizeOf: (symbol: string) => Decimal.Decimal
  /** ms of a clock that nobody sets: how long an order has been missing, or not asked for, goes by it. Default: by the times that are told. */
  readonly elapsed?: (() => number) | undefined
  /** Called with every change of every order. */
  readonly onChange: (order: TrackedOrder) => void
  /** The exchange tells of an order that was refused, or never arrived, as it said before. It is tracked by its id. */
  readonly onContradiction?: ((order: Order | Fill) => void) | undefined
}

/** Orders that are no longer kept and are still told apart from new ones: so many at the least. */
const remembered = 10_000

/** The stream tells of an order within this; asked for later, it did not, ms. */
const firstAsk = 2_000

/** How long an order must be missing before it counts as ended, ms. */
const missingMillis = 5_000

const inOrder = (a: Fill, b: Fill): number =>
  (a.exchangeTime ?? a.receivedAt) - (b.exchangeTime ?? b.receivedAt) || a.tradeId.length - b.tradeId.length ||
  (a.tradeId < b.tradeId ? -1 : 1)

/** Whether a description says more than the one that is known. */
const follows = (known: Order, next: Order): boolean => {
  const ended = isFinal(next.status)
  if (ended !== isFinal(known.status)) return ended
  const filled = BigDecimal.Order(next.filledQuantity, known.filledQuantity)
  if (filled !== 0 || ended) return filled > 0
  return next.updatedAt !== null && (known.updatedAt === null || next.updatedAt >= known.updatedAt)
}

type Answer = "none" | "lost" | "rejected"

/** One order. */
class Life {
  key: string
  pair: TradingPair | null
  /** Under which the exchange tells of it: symbol and its id; null while it has told none. */
  name: string | null = null
  clientOrderId: string | null
  /** Whether this program has sent it. */
  readonly isOurs: boolean
  answer: Answer = "none"
  rejection: Rejection | null = null
  cancels = 0
  /** Whether the stream, or a reading that it was compared with, has described it: then it will tell of its end as well. */
  isFollowed = false
  /** When its description was asked for last, and how often. */
  askedAt = Number.NEGATIVE_INFINITY
  asks = 0
  /** Since when the exchange has answered that it has no such order; null while it has not. */
  missingSince: number | null = null
  order: Order | null = null
  fills: ReadonlyArray<Fill> = []
  /** Sum over the fills: base or contracts, and times price. */
  quantity: Decimal.Decimal = Decimal.zero
  value: Decimal.Decimal = Decimal.zero
  /** The most that was ever known to be filled. */
  most: Decimal.Decimal = Decimal.zero
  state: OrderState
  /** By `elapsed`. */
  changedAt: number
  view: TrackedOrder | null = null

  constructor(
    key: string,
    clientOrderId: string | null,
    pair: TradingPair | null,
    isOurs: boolean,
    at: number,
    elapsed: number
  ) {
    this.key = key
    this.clientOrderId = clientOrderId
    this.pair = pair
    this.isOurs = isOurs
    this.state = { _tag: isOurs ? "Sending" : "Unknown", at }
    this.changedAt = elapsed
  }

  get isToldOf(): boolean {
    return this.order !== null || this.fills.length > 0
  }

  /** As far as is known. */
  get isInForce(): boolean {
    return this.order !== null || (this.isOurs && this.fills.length > 0)
  }

  /** Whether it says more than was known. */
  describe(next: Order): boolean {
    if (this.order !== null && !follows(this.order, next)) return false
    const clientOrderId = next.clientOrderId ?? this.clientOrderId
    this.order = clientOrderId === next.clientOrderId ? next : { ...next, clientOrderId }
    this.#atLeast(next.filledQuantity)
    return true
  }

  /** Whether it is new. */
  add(fill: Fill): boolean {
    if (this.fills.some(({ tradeId }) => tradeId === fill.tradeId)) return false
    const last = this.fills.at(-1)
    const fills = [...this.fills, fill]
    this.fills = last === undefined || inOrder(last, fill) < 0 ? fills : fills.sort(inOrder)
    this.quantity = BigDecimal.normalize(BigDecimal.sum(this.quantity, fill.quantity))
    this.value = BigDecimal.sum(this.value, BigDecimal.multiply(fill.quantity, fill.price))
    this.#atLeast(this.quantity)
    return true
  }

  #atLeast(filled: Decimal.Decimal): void {
    if (BigDecimal.isGreaterThan(filled, this.most)) this.most = BigDecimal.normalize(filled)
  }

  /** The state that follows from what is known. */
  settle(at: number, elapsed: number): void {
    const next = this.#next(at)
    const { state } = this
    const same = next._tag === state._tag &&
      (next._tag !== "Final" || state._tag !== "Final" || next.status === state.status)
    if (same) return
    this.state = next
    this.changedAt = elapsed
  }

  #next(at: number): OrderState {
    const { order, state } = this
    if (order !== null && isFinal(order.status) && !this.#isRefused) {
      return { _tag: "Final", at, status: order.status as FinalStatus, rejection: null }
    }
    if (state._tag === "Final") return state
    if (this.isInForce) return { _tag: this.cancels > 0 ? "Canceling" : "Open", at }
    if (this.rejection !== null) return { _tag: "Final", at, status: "rejected", rejection: this.rejection }
    return { _tag: this.isOurs && this.answer === "none" ? "Sending" : "Unknown", at }
  }

  /** It ended with a refusal: how the exchange describes that adds nothing. */
  get #isRefused(): boolean {
    return this.state._tag === "Final" && this.state.rejection !== null
  }
}

export class OrderTracker {
  readonly #options: TrackerOptions
  /** By key, and by the exchange's id behind `#`. */
  readonly #byKey = new Map<string, Life>()
  /** By symbol and the exchange's id. */
  readonly #byName = new Map<string, Life>()
  readonly #open = new Set<Life>()
  /** In the order in which they ended. */
  readonly #ended = new Set<Life>()
  /** Names of orders that were kept once. */
  readonly #forgotten = new RecentText(remembered)

  /** Placements of this program that have left, or may have. */
  placements = 0

  constructor(options: TrackerOptions) {
    this.#options = options
  }

  // -- what this program does --

  /**
   * It is handed to order entry. False when an order is tracked by that id already, unless that was refused: then nothing
   * has changed, and what becomes of the attempt says nothing of that order.
   */
  sent(clientOrderId: string, pair: TradingPair, at: number): boolean {
    const known = this.#byKey.get(clientOrderId)
    if (known !== undefined && !isRefusal(known)) return false
    if (known !== undefined) this.#byKey.delete(clientOrderId)
    this.#changed(this.#make(clientOrderId, clientOrderId, pair, true, at), at)
    return true
  }

  /** Its answer was lost. */
  lost(clientOrderId: string, at: number): void {
    const life = this.#byKey.get(clientOrderId)
    if (life === undefined || life.answer !== "none") return
    life.answer = "lost"
    this.#settled(life, at)
  }

  /** The exchange has refused it, or it was never sent. Knowledge of it being in force wins. */
  rejected(clientOrderId: string, rejection: Rejection, at: number): void {
    const life = this.#byKey.get(clientOrderId)
    if (life === undefined || life.answer === "rejected") return
    life.answer = "rejected"
    life.rejection = rejection
    this.#settled(life, at)
  }

  /** A cancel is handed to order entry. Returns what to call when it has been answered. */
  canceling(ref: OrderRef, at: number): (at: number) => void {
    const life = this.#find(ref)
    return life === undefined ? () => {} : this.#cancel([life], at)
  }

  /** The same for every open order, of one pair or of all. */
  cancelingAll(pair: TradingPair | undefined, at: number): (at: number) => void {
    return this.#cancel([...this.#open].filter((life) => pair === undefined || life.pair === pair), at)
  }

  #cancel(lives: ReadonlyArray<Life>, at: number): (at: number) => void {
    const change = (by: 1 | -1, time: number): void => {
      for (const life of lives) {
        life.cancels += by
        this.#settled(life, time)
      }
    }
    change(1, at)
    let under = true
    return (time) => {
      if (under) change(-1, time)
      under = false
    }
  }

  // -- what the exchange tells --

  /** As the exchange describes it. `source`: whether the stream goes on telling of it, or it was an answer to a question. */
  told(order: Order, at: number, source: "stream" | "answer"): void {
    const name = nameOf(order)
    if (this.#forgotten.has(name)) return
    const known = this.#byName.get(name)
    const life = known ?? this.#named(order, name, at)
    if (source === "stream") life.isFollowed = true
    life.missingSince = null
    const isNews = life.describe(order)
    const isMerged = known !== undefined && this.#learnId(life, order.clientOrderId)
    if (isNews || isMerged) this.#changed(isMerged ? this.#byName.get(name)! : life, at)
  }

  filled(fill: Fill, at: number): void {
    const name = nameOf(fill)
    if (this.#forgotten.has(name)) return
    const known = this.#byName.get(name)
    const life = known ?? this.#named(fill, name, at)
    life.missingSince = null
    const isNews = life.add(fill)
    const isMerged = known !== undefined && this.#learnId(life, fill.clientOrderId)
    if (isNews || isMerged) this.#changed(isMerged ? this.#byName.get(name)! : life, at)
  }

  /**
   * The exchange answers that it has no such order, although it has told of it. A reading may come from a copy that lags:
   * the order has ended when that is said again seconds later.
   */
  missing(key: string, at: number): void {
    const life = this.#byKey.get(key)
    if (life === undefined || !life.isToldOf || life.state._tag === "Final") return
    const now = this.#elapsed(at)
    life.missingSince ??= now
    if (now - life.missingSince < missingMillis) return
    const status = BigDecimal.isZero(life.most) ? "canceled" : "partiallyCanceled"
    life.state = { _tag: "Final", at, status, rejection: null }
    this.#changed(life, at)
  }

  // -- readings --

  get(key: string): TrackedOrder | undefined {
    const life = this.#byKey.get(key)
    return life === undefined ? undefined : this.#viewOf(life)
  }

  open(): ReadonlyArray<TrackedOrder> {
    return [...this.#open].map((life) => this.#viewOf(life))
  }

  /** Newest first. */
  history(): ReadonlyArray<TrackedOrder> {
    return [...this.#ended].reverse().map((life) => this.#viewOf(life))
  }

  /**
   * Orders that are not final, and that the stream has not described: of which only fills are known, or which ended during
   * a break, so that only who asks will hear of it. `due`: only those whose turn it is to be asked for, less and less often.
   */
  toAsk(at: number, which: "all" | "due"): ReadonlyArray<TrackedOrder> {
    const found: Array<TrackedOrder> = []
    const now = this.#elapsed(at)
    for (const life of this.#open) {
      if (life.isFollowed || !life.isToldOf) continue
      const since = Math.max(life.changedAt, life.askedAt)
      if (which === "due" && now - since < firstAsk * 2 ** Math.min(life.asks, 5)) continue
      life.askedAt = now
      life.asks++
      found.push(this.#viewOf(life))
    }
    return found
  }

  /** How many are in doubt. */
  unknown(): number {
    let count = 0
    for (const { state } of this.#open) if (state._tag === "Unknown") count++
    return count
  }

  // -- inside --

  #elapsed(at: number): number {
    return this.#options.elapsed?.() ?? at
  }

  #make(key: string, clientOrderId: string | null, pair: TradingPair | null, isOurs: boolean, at: number): Life {
    const life = new Life(key, clientOrderId, pair, isOurs, at, this.#elapsed(at))
    this.#byKey.set(key, life)
    this.#open.add(life)
    return life
  }

  /** The exchange tells of it by a name that is new: it is the order with this id of ours, or another one. */
  #named(told: Order | Fill, name: string, at: number): Life {
    const { clientOrderId, orderId, pair } = told
    const sent = clientOrderId === null ? undefined : this.#byKey.get(clientOrderId)
    const free = sent !== undefined && this.#mayBe(sent, told)
    const life = free ? sent : this.#make(
      sent === undefined && clientOrderId !== null ? clientOrderId : `#${orderId}`,
      clientOrderId,
      pair,
      false,
      at
    )
    if (sent !== undefined && isRefusal(sent) && !free) this.#options.onContradiction?.(told)
    this.#name(life, told, name)
    return life
  }

  /** Whether an order that the exchange had not named yet is this one. */
  #mayBe(sent: Life, told: Order | Fill): boolean {
    if (sent.name !== null || (told.pair !== null && sent.pair !== null && told.pair !== sent.pair)) return false
    return !isRefusal(sent) || isNothing(told)
  }

  #name(life: Life, { orderId, pair }: Order | Fill, name: string): void {
    life.name = name
    life.pair ??= pair
    this.#byName.set(name, life)
    this.#byKey.set(`#${orderId}`, life)
  }

  /** What was told without our id turns out to have one. True when it was merged into the order that was sent by it. */
  #learnId(life: Life, clientOrderId: string | null): boolean {
    if (clientOrderId === null || life.clientOrderId !== null) return false
    life.clientOrderId = clientOrderId
    const sent = this.#byKey.get(clientOrderId)
    if (sent === undefined) {
      life.key = clientOrderId
      life.view = null
      this.#byKey.set(clientOrderId, life)
      return true
    }
    const told = life.order ?? life.fills[0]!
    if (!this.#mayBe(sent, told)) return false
    this.#open.delete(life)
    this.#ended.delete(life)
    this.#name(sent, told, life.name!)
    sent.isFollowed ||= life.isFollowed
    for (const fill of life.fills) sent.add(fill)
    if (life.order !== null) sent.describe(life.order)
    return true
  }

  #find(ref: OrderRef): Life | undefined {
    return this.#byKey.get("clientOrderId" in ref ? ref.clientOrderId : `#${ref.orderId}`)
  }

  /** Tells of it only when its state is another one. */
  #settled(life: Life, at: number): void {
    const { state } = life
    life.settle(at, this.#elapsed(at))
    if (life.state !== state) this.#changed(life, at)
  }

  #changed(life: Life, at: number): void {
    life.settle(at, this.#elapsed(at))
    life.view = null
    if (life.state._tag === "Final" && this.#open.delete(life)) {
      this.#ended.add(life)
      this.#forget()
    }
    this.#options.onChange(this.#viewOf(life))
  }

  #forget(): void {
    for (const life of this.#ended) {
      if (this.#ended.size <= this.#options.historySize) break
      this.#ended.delete(life)
      if (this.#byKey.get(life.key) === life) this.#byKey.delete(life.key)
      if (life.name === null) continue
      this.#byName.delete(life.name)
      const alias = `#${orderIdOf(life.name)}`
      if (this.#byKey.get(alias) === life) this.#byKey.delete(alias)
      this.#forgotten.set(life.name)
    }
  }

  #viewOf(life: Life): TrackedOrder {
    return life.view ??= {
      exchange: this.#options.exchange,
      account: this.#options.account,
      key: life.key,
      pair: life.pair,
      state: life.state,
      order: life.order,
      fills: life.fills,
      filledQuantity: life.most,
      filledQuote: this.#quoteOf(life)
    }
  }

  #quoteOf({ fills, value }: Life): Decimal.Decimal {
    const symbol = fills[0]?.symbol
    if (symbol === undefined) return Decimal.zero
    return BigDecimal.normalize(BigDecimal.multiply(value, this.#options.contractSizeOf(symbol)))
  }
}

const nameOf = ({ orderId, symbol }: Order | Fill): string => `${symbol} ${orderId}`
const orderIdOf = (name: string): string => name.slice(name.indexOf(" ") + 1)

const isRefusal = ({ state }: Life): boolean => state._tag === "Final" && state.rejection !== null

/** What a refusal may be described as: an order that has ended with nothing filled. */
const isNothing = (told: Order | Fill): boolean =>
  "status" in told && isFinal(told.status) && BigDecimal.isZero(told.filledQuantity)
