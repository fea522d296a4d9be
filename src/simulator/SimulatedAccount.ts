/**
 * One account of a simulated exchange: checks orders, reserves what they need, books their fills, and tells every change
 * in the order in which it happened. Matching is `OrderMatching`'s; time and markets come from `Accounts`.
 */
import { BigDecimal, Result } from "effect"
import type {
  WorldAccount,
  WorldAccountEvent,
  WorldBalance,
  WorldBalanceCause,
  WorldFill,
  WorldFinish,
  WorldFunding,
  WorldOrder,
  WorldPlace,
  WorldPosition,
  WorldRef,
  WorldRefusal
} from "../AccountWorld.ts"
import { isRefusal } from "../AccountWorld.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { Entry, OrderMatching } from "./OrderMatching.ts"
import * as Scaled from "./Scaled.ts"
import type { SwapPosition } from "./SwapPosition.ts"
import { Wallet } from "./Wallet.ts"

type Amount = Decimal.Decimal

const { isZero, multiply, negate, subtract, sum } = BigDecimal

/** A market as an account needs it. */
export interface AccountMarket {
  readonly pair: TradingPair
  readonly base: string
  readonly quote: string
  readonly priceDecimals: number
  readonly quantityDecimals: number
  /** Base or contracts. */
  readonly minQuantity: Amount
  /** Quote. */
  readonly minNotional: Amount
  /** Base units in one contract; null on spot. */
  readonly contractSize: Amount | null
  readonly makerFee: Amount
  readonly takerFee: Amount
  readonly matching: OrderMatching
  readonly markPrice: () => Amount
}

/** What an account asks of the exchange around it. */
export interface Surroundings {
  readonly markets: ReadonlyMap<TradingPair, AccountMarket>
  /** The exchange's clock, ms. */
  readonly now: () => number
  /** Time of the markets, ms. */
  readonly marketTime: () => number
  readonly nextOrderId: () => number
  /** Matching tells whose entry it was by this. */
  readonly register: (entry: Entry, held: Held, account: SimulatedAccount) => void
  readonly makePosition: (market: AccountMarket) => SwapPosition
}

/** An order and what is reserved for it. */
export interface Held {
  readonly id: number
  readonly request: WorldPlace
  readonly market: AccountMarket
  readonly entry: Entry
  readonly createdAt: number
  updatedAt: number
  price: Amount | null
  /** Base or contracts; null when given in quote. */
  quantity: Amount | null
  filled: Amount
  filledQuote: Amount
  fee: Amount
  readonly reservedAsset: string
  reserved: Amount
  waiting: boolean
  finish: WorldFinish | null
  /** Oldest first. */
  readonly fills: Array<WorldFill>
  /** As it is seen since it is finished. */
  finished: WorldOrder | undefined
}

/** Fills and finished orders that stay readable. */
const historyLimit = 100_000

const openLimit = 500

/** Fee of spot fills is taken from what is received. */
const feeAssetOf = (market: AccountMarket, side: "buy" | "sell"): string =>
  market.contractSize === null && side === "buy" ? market.base : market.quote

const unitsOf = (value: Amount, decimals: number): number | null => Scaled.fromText(Decimal.toText(value), decimals)

const ofUnits = (units: number, decimals: number): Amount =>
  BigDecimal.normalize(BigDecimal.make(BigInt(units), decimals))

export class SimulatedAccount implements WorldAccount {
  readonly userId: string
  readonly #around: Surroundings
  readonly #wallet: Wallet
  readonly #listeners = new Set<(event: WorldAccountEvent) => void>()
  readonly #orders = new Map<number, Held>()
  readonly #byClient = new Map<string, Held>()
  readonly #open = new Set<Held>()
  readonly #triggered = new Set<Held>()
  readonly #fills: Array<WorldFill> = []
  readonly #fundings: Array<WorldFunding> = []
  readonly #positions = new Map<TradingPair, SwapPosition>()
  readonly #countdowns = new Map<TradingPair | null, number>()

  constructor(userId: string, around: Surroundings) {
    this.userId = userId
    this.#around = around
    this.#wallet = new Wallet((balance) => this.#tell({ _tag: "Balance", balance }))
  }

  // ---- readings ----

  readonly balances = (): ReadonlyArray<Pick<WorldBalance, "asset" | "available" | "locked">> =>
    this.#wallet.assets.map((asset) => ({
      asset,
      available: Decimal.toText(this.#wallet.available(asset)),
      locked: Decimal.toText(this.#wallet.locked(asset))
    }))

  readonly positions = (): ReadonlyArray<WorldPosition> =>
    [...this.#positions.values()].map((position) => this.#viewOf(position))

  readonly order = (ref: WorldRef): WorldOrder | undefined => {
    const held = this.#find(ref)
    return held === undefined ? undefined : view(held)
  }

  readonly orders: WorldAccount["orders"] = ({ open, pair, triggered }) =>
    [...(triggered === true ? this.#triggered : open ? this.#open : this.#orders.values())]
      .filter((held) => (pair === undefined || held.market.pair === pair) && open === (held.finish === null))
      .map(view).reverse()

  readonly fills: WorldAccount["fills"] = ({ orderId, pair, since }) =>
    this.#fillsOf(orderId, since).filter((fill) =>
      (pair === undefined || fill.pair === pair) && (orderId === undefined || fill.orderId === orderId)
    )

  readonly fundings: WorldAccount["fundings"] = ({ since = Number.NEGATIVE_INFINITY }) =>
    this.#fundings.filter(({ time }) => time >= since)

  readonly watch: WorldAccount["watch"] = (listener) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  // ---- commands ----

  /** Money from outside; negative: it leaves. False when there is not enough. */
  deposit(asset: string, amount: Amount): boolean {
    if (BigDecimal.isNegative(sum(this.#wallet.available(asset), amount))) return false
    this.#wallet.change(asset, amount, Decimal.zero, this.#reason("deposit", null, null))
    return true
  }

  readonly place = (request: WorldPlace): WorldOrder | WorldRefusal => {
    const market = this.#around.markets.get(request.pair)
    if (market === undefined) return "unknownPair"
    if (this.#open.size >= openLimit) return "tooManyOrders"
    const { clientOrderId } = request
    if (clientOrderId !== null && this.#byClient.has(clientOrderId)) return "duplicateClientOrderId"
    const held = this.#make(request, market)
    if (isRefusal(held)) return held
    const refusal = this.#reserve(held)
    if (refusal !== null) return refusal
    this.#orders.set(held.id, held)
    if (clientOrderId !== null) this.#byClient.set(clientOrderId, held)
    this.#open.add(held)
    if (request.trigger !== null) this.#triggered.add(held)
    this.#around.register(held.entry, held, this)
    this.#forgetOld()
    this.#tellOrder(held, "put")
    if (!held.waiting) this.#submit(held)
    return view(held)
  }

  readonly cancel = (ref: WorldRef): WorldOrder | WorldRefusal => {
    const held = this.#findOpen(ref)
    if (isRefusal(held)) return held
    held.market.matching.remove(held.entry)
    this.#finish(held, "cancelled")
    return view(held)
  }

  readonly cancelAll = (pair?: TradingPair): ReadonlyArray<WorldOrder> =>
    [...this.#open].filter((held) => pair === undefined || held.market.pair === pair)
      .map((held) => this.cancel({ id: held.id })).filter((result): result is WorldOrder => !isRefusal(result))

  readonly amend: WorldAccount["amend"] = (ref, change) => {
    const held = this.#findOpen(ref)
    if (isRefusal(held)) return held
    if (held.quantity === null || held.price === null) return "badQuantity"
    const price = change.price === undefined ? held.price : positive(change.price)
    const quantity = change.quantity === undefined ? held.quantity : positive(change.quantity)
    if (price === null) return "badPrice"
    if (quantity === null) return "badQuantity"
    if (Decimal.equals(price, held.price) && Decimal.equals(quantity, held.quantity)) return "noChange"
    return this.#amendTo(held, price, quantity)
  }

  readonly countdown: WorldAccount["countdown"] = (millis, pair) => {
    const at = this.#around.now() + millis
    if (millis === 0) this.#countdowns.delete(pair ?? null)
    else this.#countdowns.set(pair ?? null, at)
    return millis === 0 ? 0 : at
  }

  readonly setLeverage: WorldAccount["setLeverage"] = (pair, leverage) => {
    const position = this.#positionOf(pair)
    const value = numberOf(leverage)
    if (position === null) return "unknownPair"
    if (value === null || BigDecimal.isNegative(value) || BigDecimal.isGreaterThan(value, position.terms.leverageMax)) {
      return "badLeverage"
    }
    return this.#releverage(position, value)
  }

  readonly setMode: WorldAccount["setMode"] = (pair, mode) => {
    const position = this.#positionOf(pair)
    if (position === null) return "unknownPair"
    const isCross = isZero(position.leverage)
    if ((mode === "cross") === isCross) return this.#viewOf(position)
    return this.#releverage(position, mode === "cross" ? Decimal.zero : Decimal.of("10"))
  }

  // ---- what the exchange does to it ----

  /** Markets where it has an open order or a position. */
  concerned(): ReadonlyArray<TradingPair> {
    const positions = [...this.#positions.values()].filter(({ isFlat }) => !isFlat)
    return [...[...this.#open].map(({ market }) => market.pair), ...positions.map(({ terms }) => terms.pair)]
  }

  /** Cancels what a dead man's switch was set for. */
  tick(now: number): void {
    for (const [pair, at] of this.#countdowns) {
      if (at > now) continue
      this.#countdowns.delete(pair)
      this.cancelAll(pair ?? undefined)
    }
  }

  /** Trigger orders of a market that its last price has reached. */
  trigger(pair: TradingPair, last: Amount): void {
    for (const held of [...this.#open]) {
      const { trigger } = held.request
      if (!held.waiting || trigger === null || held.market.pair !== pair) continue
      const price = Decimal.of(trigger.price)
      const reached = trigger.rule === "atOrAbove"
        ? BigDecimal.isGreaterThanOrEqualTo(last, price)
        : BigDecimal.isLessThanOrEqualTo(last, price)
      if (!reached) continue
      held.waiting = false
      held.updatedAt = this.#around.now()
      this.#tellOrder(held, "put")
      this.#submit(held)
    }
  }

  /** One of its orders was filled in trade `id`. Price and quantity in units of the market. */
  onFill(
    held: Held,
    id: number,
    priceUnits: number,
    quantityUnits: number,
    liquidity: "maker" | "taker",
    time: number
  ): void {
    const { market } = held
    const price = ofUnits(priceUnits, market.priceDecimals)
    const quantity = ofUnits(quantityUnits, market.quantityDecimals)
    const contracts = market.contractSize ?? BigDecimal.fromBigInt(1n)
    const value = BigDecimal.normalize(multiply(multiply(price, quantity), contracts))
    const rate = liquidity === "maker" ? market.makerFee : market.takerFee
    const feeAsset = feeAssetOf(market, held.request.side)
    const fee = BigDecimal.normalize(multiply(feeAsset === market.quote ? value : quantity, rate))
    held.filled = sum(held.filled, quantity)
    held.filledQuote = sum(held.filledQuote, value)
    held.fee = sum(held.fee, fee)
    held.updatedAt = time
    const fill: WorldFill = {
      id,
      orderId: held.id,
      clientOrderId: held.request.clientOrderId,
      pair: market.pair,
      side: held.request.side,
      price: Decimal.toText(price),
      quantity: Decimal.toText(quantity),
      liquidity,
      fee: Decimal.toText(fee),
      feeAsset,
      time
    }
    this.#fills.push(fill)
    held.fills.push(fill)
    const isDone = isFilled(held)
    if (isDone) held.finish = "filled"
    this.#tell({ _tag: "Fill", fill, order: view(held) })
    this.#tellOrder(held, isDone ? "finish" : "update")
    if (market.contractSize === null) this.#settleSpot(held, quantity, value, fee, time)
    else this.#settleSwap(held, quantity, price, fee, time)
    if (isDone) this.#close(held)
  }

  /** Longs pay shorts `rate` of the value at the mark price (negative: the other way round). */
  fund(pair: TradingPair, rate: Amount, mark: Amount): boolean {
    const position = this.#positions.get(pair)
    const market = this.#around.markets.get(pair)
    if (position === undefined || market === undefined || position.isFlat) return false
    const payment = multiply(position.valueAt(mark), rate)
    const amount = BigDecimal.normalize(BigDecimal.isPositive(position.size) ? negate(payment) : payment)
    const time = this.#around.now()
    position.book(amount, time)
    this.#wallet.change(market.quote, amount, Decimal.zero, this.#reason("funding", null, pair))
    this.#noteFunding(pair, market.quote, amount, time)
    this.#tell({ _tag: "Position", position: this.#viewOf(position) })
    return true
  }

  #noteFunding(pair: TradingPair, asset: string, amount: Amount, time: number): void {
    if (isZero(amount)) return
    const balance = sum(this.#wallet.available(asset), this.#wallet.locked(asset))
    this.#fundings.push({ pair, asset, change: Decimal.toText(amount), balance: Decimal.toText(balance), time })
    if (this.#fundings.length > historyLimit) this.#fundings.shift()
  }

  /** Closes a position whose margin no longer holds at the mark price. */
  liquidate(pair: TradingPair, markPrice: () => Amount): boolean {
    const position = this.#positions.get(pair)
    const market = this.#around.markets.get(pair)
    if (position === undefined || market === undefined || position.isFlat) return false
    const mark = markPrice()
    const left = sum(sum(position.margin, this.#backingOf(position, market)), position.pnlAt(mark))
    if (BigDecimal.isGreaterThan(left, position.neededAt(mark))) return false
    this.#takeOver(position, market, mark)
    return true
  }

  /** Takes so many contracts of a position at a price, to cover somebody's loss. */
  deleverage(pair: TradingPair, quantity: Amount, price: Amount): boolean {
    const position = this.#positions.get(pair)
    const market = this.#around.markets.get(pair)
    if (position === undefined || market === undefined || position.isFlat) return false
    const { entryPrice, size } = position
    const time = this.#around.now()
    const side = BigDecimal.isPositive(size) ? "sell" : "buy"
    const taken = position.closable(side, quantity)
    const { margin, pnl } = position.fill(side, taken, price, time)
    this.#wallet.change(market.quote, sum(margin, pnl), negate(margin), this.#reason("pnl", null, pair))
    this.#tell({
      _tag: "AutoDeleverage",
      pair,
      size: Decimal.toText(side === "sell" ? taken : negate(taken)),
      left: Decimal.toText(position.size),
      entryPrice: Decimal.toText(entryPrice),
      price: Decimal.toText(price),
      time
    })
    this.#tell({ _tag: "Position", position: this.#viewOf(position) })
    this.followPosition(market)
    return true
  }

  /** An order ended without being filled whole. */
  giveUp(held: Held, reason: WorldFinish): void {
    if (held.finish === null) this.#finish(held, reason)
  }

  /** A position has changed, and matching is done with it: reduce-only orders follow it, and end with it. */
  followPosition(market: AccountMarket): void {
    if (market.contractSize === null) return
    for (const held of [...this.#open]) {
      if (held.market !== market || !held.request.reduceOnly || held.waiting || held.finish !== null) continue
      this.#capToPosition(held)
      if (held.entry.remaining > 0) continue
      market.matching.remove(held.entry)
      this.giveUp(held, "reduceOnly")
    }
  }

  // ---- inside ----

  /** All of an account are many; those of an order that is still remembered are few. */
  #fillsOf(orderId: number | undefined, since = Number.NEGATIVE_INFINITY): ReadonlyArray<WorldFill> {
    const fills = (orderId === undefined ? undefined : this.#orders.get(orderId)?.fills) ?? this.#fills
    let from = fills.length
    while (from > 0 && fills[from - 1]!.time >= since) from--
    return fills.slice(from)
  }

  #make(request: WorldPlace, market: AccountMarket): Held | WorldRefusal {
    const price = request.price === null ? null : positive(request.price)
    const limit = price === null ? null : unitsOf(price, market.priceDecimals)
    const needsPrice = request.price !== null || request.type === "limit"
    if (needsPrice && limit === null) return "badPrice"
    const size = this.#sizeOf(request, market, price)
    if (isRefusal(size)) return size
    const id = this.#around.nextOrderId()
    const now = this.#around.now()
    const isBuy = request.side === "buy"
    return {
      id,
      request,
      market,
      entry: {
        id,
        side: request.side,
        limit,
        timeInForce: request.timeInForce,
        remaining: size.units,
        budget: null,
        ahead: 0
      },
      createdAt: now,
      updatedAt: now,
      price,
      quantity: size.quantity,
      filled: Decimal.zero,
      filledQuote: Decimal.zero,
      fee: Decimal.zero,
      reservedAsset: market.contractSize === null && !isBuy ? market.base : market.quote,
      reserved: Decimal.zero,
      waiting: request.trigger !== null,
      finish: null,
      fills: [],
      finished: undefined
    }
  }

  /** How much is asked: in units, or without end where the amount to spend decides. */
  #sizeOf(
    request: WorldPlace,
    market: AccountMarket,
    price: Amount | null
  ): { readonly quantity: Amount | null; readonly units: number } | WorldRefusal {
    if (request.quantity === null) return this.#spendOf(request, market)
    const quantity = positive(request.quantity)
    const units = quantity === null ? null : unitsOf(quantity, market.quantityDecimals)
    if (quantity === null || units === null) return "badQuantity"
    if (BigDecimal.isLessThan(quantity, market.minQuantity)) return "tooSmall"
    if (price !== null && this.#isBelowNotional(market, quantity, price)) return "tooSmall"
    return { quantity, units }
  }

  #spendOf(
    request: WorldPlace,
    market: AccountMarket
  ): { readonly quantity: null; readonly units: number } | WorldRefusal {
    const spend = request.quoteQuantity === null ? null : positive(request.quoteQuantity)
    if (spend === null || request.side === "sell" || market.contractSize !== null) return "badQuantity"
    return BigDecimal.isLessThan(spend, market.minNotional) ? "tooSmall" : { quantity: null, units: Infinity }
  }

  #isBelowNotional(market: AccountMarket, quantity: Amount, price: Amount): boolean {
    return BigDecimal.isLessThan(multiply(multiply(quantity, price), market.contractSize ?? one), market.minNotional)
  }

  /** Sets aside what the order may need; null when that went well. */
  #reserve(held: Held): WorldRefusal | null {
    const amount = held.market.contractSize === null ? this.#spotNeed(held) : this.#swapNeed(held)
    if (isRefusal(amount)) return amount
    if (!this.#wallet.lock(held.reservedAsset, amount, this.#reason("orderPlaced", held.id, held.market.pair))) {
      return "insufficientBalance"
    }
    held.reserved = amount
    return null
  }

  #spotNeed(held: Held): Amount | WorldRefusal {
    const { market, request } = held
    if (request.side === "sell") return held.quantity!
    if (request.quoteQuantity !== null && held.quantity === null) {
      const spend = numberOf(request.quoteQuantity)!
      held.entry.budget = budgetOf(spend, market)
      return spend
    }
    if (held.price !== null) return multiply(held.quantity!, held.price)
    // At any price: as much as there is.
    const all = this.#wallet.available(market.quote)
    if (!BigDecimal.isPositive(all)) return "insufficientBalance"
    held.entry.budget = budgetOf(all, market)
    return all
  }

  #swapNeed(held: Held): Amount | WorldRefusal {
    const { market, request } = held
    const position = this.#positionOf(market.pair)!
    const closing = position.closable(request.side, held.quantity!)
    if (request.reduceOnly) return isZero(closing) ? "reduceOnlyIncreases" : Decimal.zero
    return position.marginFor(subtract(held.quantity!, closing), held.price ?? market.markPrice())
  }

  #submit(held: Held): void {
    if (held.request.reduceOnly) this.#capToPosition(held)
    const gaveUp = held.market.matching.submit(held.entry, this.#around.marketTime())
    // An amount to spend is spent when the rest of it buys nothing.
    const isSpent = held.quantity === null && !isZero(held.filled)
    if (gaveUp !== null) this.giveUp(held, isSpent ? "filled" : gaveUp)
    else if (held.entry.remaining <= 0 && held.finish === null) this.giveUp(held, "reduceOnly")
  }

  /** A reduce-only order never asks for more than would close the position. */
  #capToPosition(held: Held): void {
    const left = subtract(held.quantity!, held.filled)
    const closable = this.#positionOf(held.market.pair)!.closable(held.request.side, left)
    held.entry.remaining = unitsOf(closable, held.market.quantityDecimals) ?? 0
  }

  #amendTo(held: Held, price: Amount, quantity: Amount): WorldOrder | WorldRefusal {
    const { market } = held
    const limit = unitsOf(price, market.priceDecimals)
    const left = subtract(quantity, held.filled)
    const wanted = held.request.reduceOnly
      ? this.#positionOf(market.pair)!.closable(held.request.side, left)
      : left
    const remaining = BigDecimal.isPositive(left) ? unitsOf(wanted, market.quantityDecimals) : 0
    if (limit === null) return "badPrice"
    if (remaining === null) return "badQuantity"
    if (remaining <= 0) return this.cancel({ id: held.id })
    const before = { price: held.price, quantity: held.quantity }
    held.price = price
    held.quantity = quantity
    const need = this.#needOfRest(held, left)
    const more = subtract(need, held.reserved)
    if (!this.#wallet.lock(held.reservedAsset, more, this.#reason("orderPlaced", held.id, market.pair))) {
      Object.assign(held, before)
      return "insufficientBalance"
    }
    held.reserved = need
    held.updatedAt = this.#around.now()
    this.#tellOrder(held, "update")
    if (held.waiting) {
      held.entry.limit = limit
      held.entry.remaining = remaining
      return view(held)
    }
    const gaveUp = market.matching.amend(held.entry, limit, remaining, this.#around.marketTime())
    if (gaveUp !== null) this.giveUp(held, gaveUp)
    return view(held)
  }

  #needOfRest(held: Held, left: Amount): Amount {
    if (held.market.contractSize === null) return held.request.side === "sell" ? left : multiply(left, held.price!)
    if (held.request.reduceOnly) return Decimal.zero
    const position = this.#positionOf(held.market.pair)!
    return position.marginFor(subtract(left, position.closable(held.request.side, left)), held.price!)
  }

  #settleSpot(held: Held, quantity: Amount, value: Amount, fee: Amount, time: number): void {
    const { market, request } = held
    const reason = { cause: "orderFilled" as WorldBalanceCause, orderId: held.id, pair: market.pair, time }
    const paid = request.side === "buy" ? value : quantity
    // A limit order reserved its own price; what it paid less is free again.
    const released = request.side === "buy" && held.price !== null ? multiply(quantity, held.price) : paid
    held.reserved = subtract(held.reserved, released)
    this.#wallet.change(held.reservedAsset, subtract(released, paid), negate(released), reason)
    const received = request.side === "buy" ? quantity : value
    const into = request.side === "buy" ? market.base : market.quote
    this.#wallet.change(into, received, Decimal.zero, reason)
    this.#wallet.change(into, negate(fee), Decimal.zero, { ...reason, cause: "fee" })
  }

  #settleSwap(held: Held, quantity: Amount, price: Amount, fee: Amount, time: number): void {
    const { market } = held
    const position = this.#positionOf(market.pair)!
    const reason = { cause: "orderFilled" as WorldBalanceCause, orderId: held.id, pair: market.pair, time }
    const left = subtract(held.quantity!, held.filled)
    const whole = sum(left, quantity)
    const released = isZero(left)
      ? held.reserved
      : Decimal.toStep(BigDecimal.divideUnsafe(multiply(held.reserved, quantity), whole), cut, "down")
    held.reserved = subtract(held.reserved, released)
    const { closed, margin, pnl } = position.fill(held.request.side, quantity, price, time, fee)
    // From reserved to margin, or from margin to free; what is not needed is free again.
    this.#wallet.change(market.quote, sum(released, margin), negate(sum(released, margin)), reason)
    this.#wallet.change(market.quote, pnl, Decimal.zero, { ...reason, cause: "pnl" })
    this.#wallet.change(market.quote, negate(fee), Decimal.zero, { ...reason, cause: "fee" })
    this.#tell({ _tag: "Position", position: this.#viewOf(position) })
    if (closed !== null) {
      this.#tell({ _tag: "PositionClose", pair: market.pair, side: closed, pnl: Decimal.toText(pnl), time })
    }
  }

  #takeOver(position: SwapPosition, market: AccountMarket, mark: Amount): void {
    const { entryPrice, margin, size } = position
    const { pair } = market
    const time = this.#around.now()
    this.cancelAll(pair)
    const side = BigDecimal.isPositive(size) ? "sell" : "buy"
    const orderId = this.#around.nextOrderId()
    const most = sum(margin, this.#backingOf(position, market))
    const isCross = isZero(position.leverage)
    const { pnl } = position.fill(side, BigDecimal.abs(size), mark, time)
    // The margin is gone, of a cross position what it lost; the exchange bears what is missing and keeps what is left.
    const change = isCross ? BigDecimal.max(pnl, negate(most)) : negate(margin)
    position.settleOtherwise(subtract(change, pnl))
    this.#wallet.change(market.quote, sum(change, margin), negate(margin), this.#reason("pnl", orderId, pair))
    this.#tell({
      _tag: "Liquidation",
      pair,
      orderId,
      size: Decimal.toText(size),
      entryPrice: Decimal.toText(entryPrice),
      price: Decimal.toText(mark),
      margin: Decimal.toText(margin),
      leverage: Decimal.toText(position.leverage),
      time
    })
    this.#tell({ _tag: "Position", position: this.#viewOf(position) })
    this.#tell({
      _tag: "PositionClose",
      pair,
      side: side === "sell" ? "long" : "short",
      pnl: Decimal.toText(change),
      time
    })
  }

  /** What a cross position can lose beside its margin. */
  #backingOf(position: SwapPosition, { quote }: AccountMarket): Amount {
    return isZero(position.leverage) ? BigDecimal.max(Decimal.zero, this.#wallet.available(quote)) : Decimal.zero
  }

  #releverage(position: SwapPosition, leverage: Amount): WorldPosition | WorldRefusal {
    const { pair } = position.terms
    const market = this.#around.markets.get(pair)!
    const before = position.leverage
    position.leverage = leverage
    const needed = position.isFlat
      ? Decimal.zero
      : position.marginFor(BigDecimal.abs(position.size), position.entryPrice)
    const more = subtract(needed, position.margin)
    if (!this.#wallet.lock(market.quote, more, this.#reason("orderPlaced", null, pair))) {
      position.leverage = before
      return "insufficientBalance"
    }
    position.margin = needed
    position.touch(this.#around.now())
    this.#tell({ _tag: "Position", position: this.#viewOf(position) })
    return this.#viewOf(position)
  }

  #positionOf(pair: TradingPair): SwapPosition | null {
    const market = this.#around.markets.get(pair)
    if (market === undefined || market.contractSize === null) return null
    let position = this.#positions.get(pair)
    if (position === undefined) this.#positions.set(pair, position = this.#around.makePosition(market))
    return position
  }

  #viewOf(position: SwapPosition): WorldPosition {
    const market = this.#around.markets.get(position.terms.pair)!
    return position.view(market.markPrice(), this.#backingOf(position, market))
  }

  #finish(held: Held, reason: WorldFinish): void {
    held.finish = reason
    held.updatedAt = this.#around.now()
    this.#tellOrder(held, "finish")
    this.#close(held)
  }

  #close(held: Held): void {
    this.#open.delete(held)
    const rest = held.reserved
    held.reserved = Decimal.zero
    if (!isZero(rest)) {
      this.#wallet.lock(held.reservedAsset, negate(rest), this.#reason("orderEnded", held.id, held.market.pair))
    }
  }

  #findOpen(ref: WorldRef): Held | WorldRefusal {
    const held = this.#find(ref)
    if (held === undefined) return "unknownOrder"
    return held.finish === null ? held : "orderFinished"
  }

  #find(ref: WorldRef): Held | undefined {
    return "id" in ref ? this.#orders.get(ref.id) : this.#byClient.get(ref.clientOrderId)
  }

  #forgetOld(): void {
    if (this.#orders.size <= historyLimit) return
    for (const [id, held] of this.#orders) {
      if (held.finish === null) continue
      this.#orders.delete(id)
      this.#triggered.delete(held)
      if (held.request.clientOrderId !== null) this.#byClient.delete(held.request.clientOrderId)
      return
    }
  }

  #reason(cause: WorldBalanceCause, orderId: number | null, pair: TradingPair | null) {
    return { cause, orderId, pair, time: this.#around.now() }
  }

  #tellOrder(held: Held, event: "put" | "update" | "finish"): void {
    this.#tell({ _tag: "Order", order: view(held), event })
  }

  #tell(event: WorldAccountEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

const one = BigDecimal.fromBigInt(1n)
const cut = Decimal.of("0.000000000001")

/** Null for what is no amount above 0. */
const positive = (text: string): Amount | null => {
  const value = numberOf(text)
  return value !== null && BigDecimal.isPositive(value) ? value : null
}

const numberOf = (text: string): Amount | null => Result.getOrElse(Decimal.parse(text), () => null)

/** In units of price times units of quantity. */
const budgetOf = (quote: Amount, { priceDecimals, quantityDecimals }: AccountMarket): bigint => {
  const decimals = priceDecimals + quantityDecimals
  const cutTo = Decimal.toStep(quote, BigDecimal.make(1n, decimals), "down")
  return cutTo.value * 10n ** BigInt(decimals - cutTo.scale)
}

const isFilled = (held: Held): boolean => held.quantity !== null && Decimal.equals(held.filled, held.quantity)

const leftOf = (held: Held): Amount =>
  held.quantity === null
    ? subtract(numberOf(held.request.quoteQuantity!)!, held.filledQuote)
    : subtract(held.quantity, held.filled)

/** A finished order changes no more, and histories are long. */
const view = (held: Held): WorldOrder => held.finish === null ? viewNow(held) : held.finished ??= viewNow(held)

const viewNow = (held: Held): WorldOrder => {
  const text = Decimal.toText
  const { market, request } = held
  const value = isZero(held.filled)
    ? null
    : BigDecimal.divideUnsafe(held.filledQuote, multiply(held.filled, market.contractSize ?? one))
  return {
    id: held.id,
    clientOrderId: request.clientOrderId,
    pair: market.pair,
    side: request.side,
    type: request.type,
    timeInForce: request.timeInForce,
    price: held.price === null ? null : text(held.price),
    quantity: held.quantity === null ? null : text(held.quantity),
    quoteQuantity: request.quoteQuantity,
    filled: text(held.filled),
    filledQuote: text(held.filledQuote),
    left: text(leftOf(held)),
    averagePrice: value === null ? null : text(Decimal.toStep(value, cut, "down")),
    fee: text(held.fee),
    feeAsset: feeAssetOf(market, request.side),
    reduceOnly: request.reduceOnly,
    trigger: request.trigger,
    waiting: held.waiting,
    finish: held.finish,
    createdAt: held.createdAt,
    updatedAt: held.updatedAt
  }
}
