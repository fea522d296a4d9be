/**
 * What is at risk: room held by orders, exposure and profit from fills, and the limits on them, for each exchange and for
 * all together. Plain and synchronous; all amounts are exact.
 */
import { BigDecimal, Result } from "effect"
import type { Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import { RecentText } from "../domain/RecentText.ts"
import type { Amending } from "./AmendRoom.ts"

type Amount = Decimal.Decimal

const { abs, isGreaterThan, isLessThan, isZero, multiply, negate, subtract, sum } = BigDecimal

/** Each may be left out: then it does not limit. The margin that a swap needs is not among them: the exchange refuses what lacks it. */
export interface RiskLimits {
  /** Quote: value of the open orders and of the exposure together. */
  readonly maxNotional?: Decimal.Input | undefined
  /**
   * Quote: realised and unrealised since the start, fees and funding included, as a positive number. Reaching it throws the kill switch. What
   * is held is worth the middle of its market's best prices; where its pair is not followed, or has no prices, that of the last
   * fill or of `RiskGuard.mark`, so that a market which moves away shows no loss: follow every pair that may be held.
   */
  readonly maxLoss?: Decimal.Input | undefined
  /** Base, of one pair, long or short, with what open orders may add. */
  readonly maxPosition?: Readonly<Record<TradingPair, Decimal.Input>> | undefined
  readonly maxOpenOrders?: number | undefined
  /** Quote: of one order. */
  readonly maxOrderNotional?: Decimal.Input | undefined
}

/** An order as the guard sees it. */
export interface Intent {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  /** Base. */
  readonly quantity: Amount
  /**
   * Quote: its limit, or what a market order is expected to pay at worst. A sale counts with the best bid at the least, where
   * that is known.
   */
  readonly price: Amount
  /** Reduces exposure that is there. */
  readonly reduces: boolean
  /**
   * `reduces` is of all exchanges together: where it grows the position of its own exchange, the limits and the switch of that one
   * are asked.
   */
  readonly compensates?: boolean | undefined
  /** It can do nothing else: the exchange sees to it. */
  readonly reduceOnly?: boolean | undefined
  /** Base in one unit of the exchange's quantities: the contract size. 1, as on spot, when left out. */
  readonly unit?: Amount | undefined
  /** By this the guard knows it again: a guarded order entry lets it pass, and its fills give room back. */
  readonly clientOrderId?: string | undefined
}

/** What was traded. */
export interface Traded {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  /** Base. */
  readonly quantity: Amount
  /** Quote. */
  readonly price: Amount
  readonly fee: Amount
  /** The pair's quote asset when left out. */
  readonly feeAsset?: string | undefined
  readonly clientOrderId?: string | null | undefined
}

/** An order as it is judged. */
export interface Weighed extends Intent {
  /** Although it reduces what all exchanges together are exposed to. */
  readonly growsHere?: boolean | undefined
}

export interface Refusal {
  readonly exchange: ExchangeId
  readonly symbol: TradingPair
  readonly limit: string
  readonly of: string
  readonly detail: string
}

/** Room that an order takes until it is given back. */
export interface Held {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  /** Base: what may still be filled. */
  quantity: Amount
  /** Quote. */
  price: Amount
  clientOrderId: string | null
  /** The exchange's; null while it is not known. */
  orderId: string | null
  /** It may leave while the switch stops what grows. */
  readonly reduces: boolean
  /** It may not while that of its own exchange does. */
  readonly growsHere: boolean
  /** The exchange lets it do nothing else. */
  readonly reduceOnly: boolean
  /** Base in one unit of the exchange's quantities: the contract size, 1 on spot. */
  readonly unit: Amount
  /** Base: filled as far as fills have been told. */
  filled: Amount
  /** Base: filled as the exchange has said of the order last. */
  said: Amount
  /** Base: filled when it became known, without a fill that was told: it may be told yet, or have been before all that is counted. */
  untold: Amount
  /** Base: filled as the exchange says of the order that has ended; null while it is open. */
  endedAt: Amount | null
  isHeld: boolean
  /** It has left: only what is told of it gives its room back. */
  hasLeft: boolean
  /** Whoever has reserved its room gives it back, unless it has left. */
  isReserved: boolean
  /** Null while no amendment of it is under way. */
  amending: Amending | null
}

interface Limits {
  readonly maxNotional: Amount | null
  readonly maxLoss: Amount | null
  readonly maxPosition: ReadonlyMap<string, Amount>
  readonly maxOpenOrders: number | null
  readonly maxOrderNotional: Amount | null
}

interface Asset {
  /** Base: bought minus sold minus fees paid in it. */
  net: Amount
  /** Quote. */
  mark: Amount
}

/** By which what is held is valued: a coin is the same one on every spot market, a contract has the price of its own market. */
const lotOf = (exchange: ExchangeId, pair: TradingPair): string => {
  const { base, settle } = partsOf(pair)
  return settle === undefined ? base : `${exchange} ${pair}`
}

const worthOf = ({ mark, net }: Asset): Amount => multiply(net, mark)

/** Puts so much more to what there is, at a new mark. What it is worth before and after. */
const change = (all: Map<string, Asset>, key: string, received: Amount, mark: Amount): readonly [Amount, Amount] => {
  const found = all.get(key) ?? { net: Decimal.zero, mark }
  const changed = { net: add(found.net, received), mark }
  all.set(key, changed)
  return [worthOf(found), worthOf(changed)]
}

/** All base. */
interface Standing {
  position: Amount
  buys: Amount
  sells: Amount
  /** Of these, what can only reduce. */
  closing: { readonly [side in Side]: Amount }
}

export const one: Amount = BigDecimal.fromBigInt(1n)

const nothing = (): Standing => ({
  position: Decimal.zero,
  buys: Decimal.zero,
  sells: Decimal.zero,
  closing: { buy: Decimal.zero, sell: Decimal.zero }
})

const show = (amount: Amount): string => Decimal.toText(amount)

const add = (left: Amount, right: Amount): Amount => BigDecimal.normalize(sum(left, right))

const notional = ({ price, quantity }: { readonly price: Amount; readonly quantity: Amount }): Amount =>
  multiply(price, quantity)

const signed = (side: Side, amount: Amount): Amount => side === "buy" ? amount : negate(amount)

// ---- limits ---------------------------------------------------------------------------------------------------------

const amountOf = (name: string, input: Decimal.Input | undefined): Result.Result<Amount | null, string> => {
  if (input === undefined) return Result.succeed(null)
  return Result.flatMap(
    Result.mapError(Decimal.fromInput(input), (detail) => `${name}: ${detail}`),
    (value) =>
      BigDecimal.isNegative(value)
        ? Result.fail(`${name} is ${show(value)}; it may not be negative`)
        : Result.succeed(value)
  )
}

const countOf = (input: number | undefined): Result.Result<number | null, string> =>
  input === undefined || (Number.isInteger(input) && input >= 0)
    ? Result.succeed(input ?? null)
    : Result.fail(`maxOpenOrders is ${input}; it has to be a whole number from 0`)

const limitsOf = (limits: RiskLimits): Result.Result<Limits, string> =>
  Result.gen(function*() {
    const maxPosition = new Map<string, Amount>()
    for (const [pair, input] of Object.entries(limits.maxPosition ?? {})) {
      maxPosition.set(pair, (yield* amountOf(`maxPosition of ${pair}`, input))!)
    }
    return {
      maxNotional: yield* amountOf("maxNotional", limits.maxNotional),
      maxLoss: yield* amountOf("maxLoss", limits.maxLoss),
      maxPosition,
      maxOpenOrders: yield* countOf(limits.maxOpenOrders),
      maxOrderNotional: yield* amountOf("maxOrderNotional", limits.maxOrderNotional)
    }
  })

/** Fails with what is wrong with the limits of `of`. */
export const parseLimits = (of: string, limits: RiskLimits): Result.Result<Limits, string> =>
  Result.mapError(limitsOf(limits), (detail) => `risk limits (${of}): ${detail}`)

const none: Limits = {
  maxNotional: null,
  maxLoss: null,
  maxPosition: new Map(),
  maxOpenOrders: null,
  maxOrderNotional: null
}

// ---- one exchange, or all together ----------------------------------------------------------------------------------

/** A limit that orders would break; null when there is room. */
type Check = (account: Ledger, orders: ReadonlyArray<Intent>) => Omit<Refusal, "of"> | null

const refusal = ({ exchange, pair }: Intent, limit: string, detail: string): Omit<Refusal, "of"> => ({
  exchange,
  symbol: pair,
  limit,
  detail
})

const checkOrders: Check = ({ limits: { maxOrderNotional } }, orders) => {
  if (maxOrderNotional === null) return null
  const large = orders.find((order) => isGreaterThan(notional(order), maxOrderNotional))
  return large === undefined
    ? null
    : refusal(large, "maxOrderNotional", `it is worth ${show(notional(large))}, the limit is ${show(maxOrderNotional)}`)
}

const checkCount: Check = ({ limits: { maxOpenOrders }, open }, orders) =>
  maxOpenOrders === null || open + orders.length <= maxOpenOrders
    ? null
    : refusal(orders[0]!, "maxOpenOrders", `${open} are open, the limit is ${maxOpenOrders}`)

const checkNotional: Check = ({ exposure, limits: { maxNotional }, reserved }, orders) => {
  if (maxNotional === null) return null
  const asked = BigDecimal.sumAll(orders.map(notional))
  const total = BigDecimal.sumAll([reserved, exposure, asked])
  return isGreaterThan(total, maxNotional)
    ? refusal(
      orders[0]!,
      "maxNotional",
      `${show(reserved)} in open orders, ${show(exposure)} in exposure and ${show(asked)} now; the limit is ${
        show(maxNotional)
      }`
    )
    : null
}

const totalOf = (orders: ReadonlyArray<Intent>): Amount => BigDecimal.sumAll(orders.map(({ quantity }) => quantity))

/**
 * How far the position may go when all is filled, and how much of it these add. What can only reduce adds none by itself, but
 * takes what others that are open would reduce.
 */
const reach = ({ buys, closing, position, sells }: Standing, side: Side, orders: ReadonlyArray<Intent>) => {
  const from = signed(side, position)
  const there = BigDecimal.max(negate(from), Decimal.zero)
  const growing = totalOf(orders.filter(({ reduceOnly }) => reduceOnly !== true))
  const closes = totalOf(orders.filter(({ reduceOnly }) => reduceOnly === true))
  const loose = sum(subtract(side === "buy" ? buys : sells, closing[side]), growing)
  const closed = BigDecimal.min(sum(closing[side], closes), there)
  const added = sum(growing, subtract(closed, BigDecimal.min(closing[side], there)))
  return { added: isZero(loose) ? Decimal.zero : added, worst: BigDecimal.sumAll([from, loose, closed]) }
}

const checkPositions: Check = (ledger, orders) => {
  for (const order of orders) {
    const limit = ledger.limits.maxPosition.get(order.pair)
    if (limit === undefined) continue
    const standing = ledger.standing(order.pair)
    const alike = orders.filter(({ pair, side }) => pair === order.pair && side === order.side)
    const { added, worst } = reach(standing, order.side, alike)
    if (isGreaterThan(worst, limit) && BigDecimal.isPositive(added)) {
      const { buys, position, sells } = standing
      const [open, asked] = [order.side === "buy" ? buys : sells, totalOf(alike)]
      return refusal(
        order,
        "maxPosition",
        `the position is ${show(position)}, open orders may ${order.side} ${show(open)} and these ${
          show(asked)
        }; the limit is ${show(limit)}`
      )
    }
  }
  return null
}

const checks: ReadonlyArray<Check> = [checkOrders, checkCount, checkNotional]

class Ledger {
  readonly of: string
  readonly limits: Limits
  /** Quote: value of the open orders. */
  reserved = Decimal.zero
  open = 0
  /** Quote: of what is not flat, by base asset, without sign. */
  exposure = Decimal.zero
  /** Quote: funding received; negative: paid. */
  funding = Decimal.zero
  /** Quote: sold minus bought minus fees. */
  #cash = Decimal.zero
  /** Quote: what is held, each lot at its own mark. */
  #worth = Decimal.zero
  /** Quote: profit from which the loss counts. */
  #lossFrom = Decimal.zero
  /** By base asset, all markets together: the exposure. */
  readonly #assets = new Map<string, Asset>()
  /** By `lotOf`. */
  readonly #lots = new Map<string, Asset>()
  readonly #pairs = new Map<TradingPair, Standing>()

  constructor(of: string, limits: Limits) {
    this.of = of
    this.limits = limits
  }

  get pnl(): Amount {
    return BigDecimal.sumAll([this.#cash, this.#worth, this.funding])
  }

  /** Quote; negative: a profit. */
  get loss(): Amount {
    return subtract(this.#lossFrom, this.pnl)
  }

  get hasLostTooMuch(): boolean {
    const { maxLoss } = this.limits
    return maxLoss !== null && BigDecimal.isGreaterThanOrEqualTo(this.loss, maxLoss) && BigDecimal.isPositive(this.loss)
  }

  forgiveLoss(): void {
    this.#lossFrom = this.pnl
  }

  standing(pair: TradingPair): Standing {
    return this.#pairs.get(pair) ?? nothing()
  }

  check(orders: ReadonlyArray<Intent>): Refusal | null {
    const growing = orders.filter(({ reduces }) => !reduces)
    for (const check of growing.length === 0 ? [] : checks) {
      const found = check(this, growing)
      if (found !== null) return { ...found, of: this.of }
    }
    const found = checkPositions(this, orders)
    return found === null ? null : { ...found, of: this.of }
  }

  /** `times` 1: takes the room of an order; -1: gives it back. */
  hold(held: Held, times: 1 | -1): void {
    const standing = this.#of(held.pair)
    const quantity = times === 1 ? held.quantity : negate(held.quantity)
    this.reserved = add(this.reserved, multiply(quantity, held.price))
    this.open += times
    if (held.side === "buy") standing.buys = add(standing.buys, quantity)
    else standing.sells = add(standing.sells, quantity)
    if (!held.reduceOnly) return
    standing.closing = { ...standing.closing, [held.side]: add(standing.closing[held.side], quantity) }
  }

  book({ exchange, fee, feeAsset, pair, price, quantity, side }: Traded, mark: Amount): void {
    const { base, quote } = partsOf(pair)
    const feeInBase = feeAsset === base ? fee : Decimal.zero
    const feeInQuote = feeAsset === undefined || feeAsset === quote ? fee : Decimal.zero
    const received = subtract(signed(side, quantity), feeInBase)
    const standing = this.#of(pair)
    standing.position = add(standing.position, received)
    this.#cash = add(this.#cash, subtract(signed(side, negate(multiply(quantity, price))), feeInQuote))
    this.#change(exchange, pair, received, mark)
  }

  fund(amount: Amount): void {
    this.funding = add(this.funding, amount)
  }

  mark(exchange: ExchangeId, pair: TradingPair, price: Amount): void {
    if (this.#lots.has(lotOf(exchange, pair))) this.#change(exchange, pair, Decimal.zero, price)
  }

  markOf(exchange: ExchangeId, pair: TradingPair): Amount | null {
    return this.#lots.get(lotOf(exchange, pair))?.mark ?? null
  }

  #change(exchange: ExchangeId, pair: TradingPair, received: Amount, mark: Amount): void {
    const [worthBefore, worth] = change(this.#lots, lotOf(exchange, pair), received, mark)
    this.#worth = add(this.#worth, subtract(worth, worthBefore))
    const [before, after] = change(this.#assets, partsOf(pair).base, received, mark)
    this.exposure = add(this.exposure, subtract(abs(after), abs(before)))
  }

  #of(pair: TradingPair): Standing {
    const found = this.#pairs.get(pair)
    if (found !== undefined) return found
    const made = nothing()
    this.#pairs.set(pair, made)
    return made
  }
}

// ---- all of it ------------------------------------------------------------------------------------------------------

const byClient = (exchange: ExchangeId, clientOrderId: string): string => `${exchange} ${clientOrderId}`
const byId = (exchange: ExchangeId, orderId: string): string => `${exchange} #${orderId}`

/** Orders that ended, and fills of orders that nobody has named yet: so many at the least. */
const rememberedOrders = 10_000

export class RiskBook {
  readonly #global: Ledger
  readonly #exchanges = new Map<ExchangeId, Ledger>()
  readonly #limits: ReadonlyMap<ExchangeId, Limits>
  readonly #held = new Map<string, Held>()
  /** Base: filled of orders that nobody has named yet. */
  readonly #early = new Map<string, Amount>()
  readonly #ended = new RecentText(rememberedOrders)
  /** Fees in assets that are neither base nor quote, which nothing here can value. */
  readonly unvaluedFees = new Map<string, Amount>()

  constructor(limits: Limits, exchanges: ReadonlyMap<ExchangeId, Limits>) {
    this.#global = new Ledger("global", limits)
    this.#limits = exchanges
  }

  /** Of one exchange; of all of them when left out. */
  ledger(exchange?: ExchangeId): Pick<Ledger, "reserved" | "open" | "exposure" | "pnl" | "loss" | "funding"> {
    return exchange === undefined ? this.#global : this.#of(exchange)
  }

  /** What open orders and fills add up to in a pair of an exchange, base. */
  standing(exchange: ExchangeId, pair: TradingPair): Readonly<Standing> {
    return this.#of(exchange).standing(pair)
  }

  /** Whose loss has reached its limit. */
  get lost(): ReadonlyArray<{ readonly of: string; readonly loss: Amount }> {
    return [this.#global, ...this.#exchanges.values()].filter((ledger) => ledger.hasLostTooMuch)
  }

  /** Quote: what a unit was worth last; null where nothing was traded. */
  markOf(exchange: ExchangeId, pair: TradingPair): Amount | null {
    return this.#of(exchange).markOf(exchange, pair)
  }

  /** From now on losses count anew; of those that are. */
  forgiveLosses(isForgiven: (of: string) => boolean): void {
    for (const ledger of [this.#global, ...this.#exchanges.values()]) if (isForgiven(ledger.of)) ledger.forgiveLoss()
  }

  /**
   * Why there is no room for these; null when there is. What reduces needs none; but where it takes what other open orders
   * were to reduce, these may not take the position past its limit.
   */
  check(intents: ReadonlyArray<Weighed>): Refusal | null {
    const growing = intents.filter(({ reduceOnly, reduces }) => !reduces || reduceOnly === true)
    const problem = growing.length === 0 ? null : this.#global.check(growing)
    if (problem !== null) return problem
    const here = intents.flatMap((intent) => {
      if (intent.growsHere === true) return [{ ...intent, reduces: false }]
      return growing.includes(intent) ? [intent] : []
    })
    for (const exchange of new Set(here.map(({ exchange }) => exchange))) {
      const own = this.#of(exchange).check(here.filter((intent) => intent.exchange === exchange))
      if (own !== null) return own
    }
    return null
  }

  /** Whether what compensates grows the position of its own exchange, by all that is known to have been filled there. */
  growsHere({ compensates, exchange, pair, quantity, side }: Intent): boolean {
    if (compensates !== true) return false
    const { buys, position, sells } = this.standing(exchange, pair)
    const [there, taken] = side === "sell" ? [position, sells] : [negate(position), buys]
    const untold = BigDecimal.sumAll(
      this.named(exchange).flatMap((held) =>
        held.endedAt === null || held.pair !== pair || held.side === side ? [] : [subtract(held.endedAt, held.filled)]
      )
    )
    return isGreaterThan(sum(quantity, taken), sum(there, untold))
  }

  hold(intent: Weighed): Held {
    const { clientOrderId = null, exchange, pair, price, quantity, reduces, side, unit = one } = intent
    const held: Held = {
      exchange,
      pair,
      side,
      quantity,
      price,
      clientOrderId: null,
      orderId: null,
      reduces,
      growsHere: intent.growsHere === true,
      reduceOnly: intent.reduceOnly === true,
      unit,
      filled: Decimal.zero,
      said: Decimal.zero,
      untold: Decimal.zero,
      endedAt: null,
      isHeld: true,
      hasLeft: false,
      isReserved: false,
      amending: null
    }
    this.#apply(held, 1)
    if (clientOrderId !== null) this.name(held, clientOrderId, null)
    return held
  }

  /** Tells by which names the order is known. */
  name(held: Held, clientOrderId: string | null, orderId: string | null): void {
    if (!held.isHeld) return
    if (clientOrderId !== null) {
      const key = byClient(held.exchange, clientOrderId)
      if (held.clientOrderId !== null) this.#held.delete(byClient(held.exchange, held.clientOrderId))
      held.clientOrderId = clientOrderId
      this.#held.set(key, held)
      const early = this.#early.get(key)
      this.#early.delete(key)
      if (early !== undefined) this.#fill(held, early)
    }
    if (orderId !== null) {
      held.orderId = orderId
      this.#held.set(byId(held.exchange, orderId), held)
    }
  }

  find(exchange: ExchangeId, clientOrderId: string | null, orderId: string | null): Held | undefined {
    const own = clientOrderId === null ? undefined : this.#held.get(byClient(exchange, clientOrderId))
    return own ?? (orderId === null ? undefined : this.#held.get(byId(exchange, orderId)))
  }

  /** Whether an order has ended, as the exchange has told before: what is told of it late does not open it again. */
  hasEnded(exchange: ExchangeId, orderId: string): boolean {
    return this.#ended.has(byId(exchange, orderId))
  }

  noteEnd(exchange: ExchangeId, orderId: string): void {
    this.#ended.set(byId(exchange, orderId))
  }

  /** Those of an exchange that have a name, ours or the exchange's. */
  named(exchange: ExchangeId): ReadonlyArray<Held> {
    return [...new Set(this.#held.values())].filter((held) => held.exchange === exchange)
  }

  /** Gives the room back; a second time does nothing. */
  release(held: Held): void {
    if (!held.isHeld) return
    // Should it turn out to be open, its fills have been told.
    if (held.clientOrderId !== null && held.endedAt === null) {
      this.#noteEarly(byClient(held.exchange, held.clientOrderId), held.filled)
    }
    held.isHeld = false
    this.#apply(held, -1)
    if (held.clientOrderId !== null) this.#held.delete(byClient(held.exchange, held.clientOrderId))
    if (held.orderId !== null) this.#held.delete(byId(held.exchange, held.orderId))
  }

  /** Takes room again that was given back. */
  restore(held: Held, to: { readonly quantity: Amount; readonly price: Amount }): void {
    held.quantity = to.quantity
    held.price = to.price
    held.isHeld = true
    this.#apply(held, 1)
    if (held.clientOrderId !== null) this.#early.delete(byClient(held.exchange, held.clientOrderId))
    this.name(held, held.clientOrderId, held.orderId)
  }

  resize(held: Held, quantity: Amount, price: Amount): void {
    if (!held.isHeld) return
    this.#apply(held, -1)
    held.quantity = BigDecimal.max(quantity, Decimal.zero)
    held.price = price
    this.#apply(held, 1)
  }

  /** The order has ended with so much filled (base): its room is given back once its fills have been told. */
  end(held: Held, filled: Amount): void {
    held.endedAt = filled
    this.#endIfTold(held)
  }

  /** What it had filled when it became known and nobody has told by now was before all that is counted. */
  forgo(held: Held): void {
    if (!held.isHeld) return
    const missing = BigDecimal.min(held.untold, subtract(held.said, held.filled))
    if (BigDecimal.isPositive(missing)) this.#fill(held, missing)
  }

  /**
   * What was traded becomes exposure, and no longer takes the order's room. `mark`: what its asset is worth now, quote; the
   * price of the fill when left out.
   */
  book(traded: Traded, mark: Amount = traded.price, of?: Held): void {
    this.#global.book(traded, mark)
    this.#of(traded.exchange).book(traded, mark)
    this.#noteFee(traded)
    const held = of ?? this.find(traded.exchange, traded.clientOrderId ?? null, null)
    if (held !== undefined) return this.#fill(held, traded.quantity)
    const { clientOrderId = null, exchange, quantity } = traded
    if (clientOrderId !== null) this.#noteEarly(byClient(exchange, clientOrderId), quantity)
  }

  /** Told of an order before its placement was answered. */
  #noteEarly(key: string, quantity: Amount): void {
    if (isZero(quantity)) return
    this.#early.set(key, sum(this.#early.get(key) ?? Decimal.zero, quantity))
    if (this.#early.size > rememberedOrders) this.#early.delete(this.#early.keys().next().value!)
  }

  #fill(held: Held, quantity: Amount): void {
    held.filled = sum(held.filled, quantity)
    this.resize(held, subtract(held.quantity, quantity), held.price)
    this.#endIfTold(held)
  }

  mark(exchange: ExchangeId, pair: TradingPair, price: Amount): void {
    this.#global.mark(exchange, pair, price)
    this.#of(exchange).mark(exchange, pair, price)
  }

  #endIfTold(held: Held): void {
    if (held.endedAt !== null && !isLessThan(held.filled, held.endedAt)) this.release(held)
  }

  /** Quote: received for positions; negative: paid. */
  fund(exchange: ExchangeId, amount: Amount): void {
    this.#global.fund(amount)
    this.#of(exchange).fund(amount)
  }

  /** Paid in an asset that nothing here can value. */
  noteUnvalued(asset: string, amount: Amount): void {
    this.unvaluedFees.set(asset, add(this.unvaluedFees.get(asset) ?? Decimal.zero, amount))
  }

  #noteFee({ fee, feeAsset, pair }: Traded): void {
    const { base, quote } = partsOf(pair)
    if (feeAsset === undefined || feeAsset === base || feeAsset === quote || isZero(fee)) return
    this.noteUnvalued(feeAsset, fee)
  }

  #apply(held: Held, times: 1 | -1): void {
    this.#global.hold(held, times)
    this.#of(held.exchange).hold(held, times)
  }

  #of(exchange: ExchangeId): Ledger {
    const found = this.#exchanges.get(exchange)
    if (found !== undefined) return found
    const made = new Ledger(exchange, this.#limits.get(exchange) ?? none)
    this.#exchanges.set(exchange, made)
    return made
  }
}
