/**
 * Positions of the accounts that the guard follows: one that is not what its fills make is put right, and what its exchange takes
 * of one is told, whether a notice says so, the fills of an order of its own, or nothing but the position itself.
 */
import type { Clock } from "effect"
import { BigDecimal, Effect, Exit } from "effect"
import type { Island } from "../composite/Markets.ts"
import type { HeldPosition } from "../composite/PositionKeeper.ts"
import type { AutoDeleverage, Fill, Forced, Order } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { Sizes, Suspect, TakenBy } from "./PositionWatch.ts"
import { PositionWatch } from "./PositionWatch.ts"
import type { Traded } from "./RiskBook.ts"
import { isLinear } from "./RiskFunding.ts"

type Amount = Decimal.Decimal

/** A position has changed, and no order of ours has done it. */
export interface Correction {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  /** Base: the change, with sign; as the exchange tells it, where it does. */
  readonly quantity: Decimal.Decimal
  /** Base: what is there now, beyond what was there before anything was counted; negative: short. */
  readonly position: Decimal.Decimal
  /** Quote: at which it is counted, that of the exchange where it tells one. */
  readonly price: Decimal.Decimal
  /** Fills of what was told before have come: so much of that (base, with its sign) was really traded at this price (quote, the mean). */
  readonly undone?: { readonly quantity: Decimal.Decimal; readonly price: Decimal.Decimal } | undefined
}

export interface PositionOptions {
  readonly clock: Clock.Clock
  readonly settleMillis: number
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Throws the switch of an exchange; the same `cause` is one reason. */
  readonly kill: (reason: string, of: ExchangeId, cause?: string) => void
  /** Takes it back for what no longer holds; false when it was not thrown for it. */
  readonly takeBack: (of: ExchangeId, cause: string) => boolean
  /** Base: what fills make of the positions of an exchange. */
  readonly counted: (exchange: ExchangeId) => Sizes
  /** Quote: what a unit is worth now; null where nobody knows. */
  readonly price: (exchange: ExchangeId, pair: TradingPair) => Amount | null
  readonly book: (traded: Traded) => void
}

/** Contracts, without sign: what an order of the exchange's own has taken, and by what that is known. */
interface ForcedOrder {
  readonly cause: Forced
  /** By its fills, since it is known whose it is. */
  fills: Amount
  /** By what the exchange has said of it last. */
  said: Amount
  taken: Amount
}

/** What was put right of a pair, to one side: its fills may come yet, and then it is undone. All base, without sign. */
interface Booked {
  quantity: Amount
  /** Quote: the mean at which it was counted. */
  price: Amount
  /** When it was counted last, ms. */
  at: number
  /** Of fills told since that were made before. */
  late: Amount
  /** Quote: what they were worth. */
  lateValue: Amount
}

/** Of one exchange. */
interface Watched {
  readonly watch: PositionWatch
  /** Quote: at which positions were held, as the exchange has told last. */
  readonly entries: Map<TradingPair, Amount>
  readonly forced: Map<string, ForcedOrder>
  /** By side and pair. */
  readonly booked: Map<string, Booked>
  /** Its account is being read anew. */
  isConfirming: boolean
  /** Whose position mode was asked for; null: nobody's. */
  modeOf: Island | null
  /** What says that it is in hedge mode; null: nothing does. */
  hedged: string | null
  /** The switch was taken back since that was said: it is up to the next answer. */
  isRevived: boolean
}

/** How long reading an account anew may take before a position that differs is told without. */
const refreshTimeout = "20 seconds"

/** Behind a question for the position mode that was not answered. */
const modeAgain = "10 seconds"

const hedgeCause = "hedge mode"

const words: Readonly<Record<Forced, string>> = { liquidation: "a liquidation", autoDeleverage: "auto-deleveraging" }

const causes = "auto-deleveraging, a liquidation, or trades that were not told"

const sizesText = ({ expected, told }: Pick<Suspect, "told" | "expected">): string =>
  `is ${Decimal.toText(told)} by the exchange and ${Decimal.toText(expected)} by its fills (base)`

const bookedKey = (side: Fill["side"], pair: TradingPair): string => `${side} ${pair}`

const bookedMore = (before: Booked | undefined, quantity: Amount, price: Amount, at: number): Booked => {
  if (before === undefined || BigDecimal.isZero(before.quantity)) {
    return { quantity, price, at, late: Decimal.zero, lateValue: Decimal.zero }
  }
  const value = BigDecimal.sum(BigDecimal.multiply(before.quantity, before.price), BigDecimal.multiply(quantity, price))
  const all = BigDecimal.sum(before.quantity, quantity)
  return { ...before, quantity: all, price: BigDecimal.normalize(BigDecimal.divideUnsafe(value, all)), at }
}

/** Null where the account has none. */
const heldOf = ({ account }: Island): Effect.Effect<ReadonlyArray<HeldPosition> | null> =>
  account === null
    ? Effect.succeed(null)
    : Effect.match(account.heldPositions, { onFailure: () => null, onSuccess: (held) => held })

/** Base, of contracts that are settled in their quote: in hedge mode what both sides of a pair make together, as its fills do. */
const sizesOf = (held: ReadonlyArray<HeldPosition>): Sizes => {
  const sizes = new Map<TradingPair, Amount>()
  for (const { baseSize, pair } of held) {
    if (isLinear(pair)) sizes.set(pair, BigDecimal.sum(sizes.get(pair) ?? Decimal.zero, baseSize))
  }
  return sizes
}

export class RiskPositions {
  readonly consumers = new Set<(correction: Correction) => void>()
  readonly #options: PositionOptions
  readonly #exchanges = new Map<ExchangeId, Watched>()

  constructor(options: PositionOptions) {
    this.#options = options
  }

  #of(exchange: ExchangeId): Watched {
    const found = this.#exchanges.get(exchange)
    if (found !== undefined) return found
    const watch = new PositionWatch(this.#options.settleMillis)
    const made: Watched = {
      watch,
      entries: new Map(),
      forced: new Map(),
      booked: new Map(),
      isConfirming: false,
      modeOf: null,
      hedged: null,
      isRevived: false
    }
    this.#exchanges.set(exchange, made)
    return made
  }

  // ---- what the exchange says it has taken ----

  /** By a notice. */
  deleveraged(
    exchange: ExchangeId,
    { positionSize, price, quantity, symbol }: AutoDeleverage,
    pair: TradingPair,
    unit: Amount
  ): void {
    const taken = BigDecimal.negate(BigDecimal.multiply(quantity, unit))
    this.#of(exchange).watch.take(pair, { quantity: taken, price }, "notice")
    const [text, left] = [Decimal.toText(quantity), Decimal.toText(positionSize)]
    const reason = `auto-deleveraging has taken ${text} contracts of the position in ${symbol}, ${left} are left`
    this.#options.kill(reason, exchange)
  }

  /** By a fill that has been counted; whose order made it is known by its own word, or by that of its order. */
  filled(exchange: ExchangeId, fill: Fill, pair: TradingPair, unit: Amount): void {
    const order = this.#forced(exchange, fill)
    const booked = this.#of(exchange).booked.get(bookedKey(fill.side, pair))
    if (booked !== undefined && (fill.exchangeTime === null ? order !== undefined : fill.exchangeTime < booked.at)) {
      const quantity = BigDecimal.multiply(fill.quantity, unit)
      booked.late = BigDecimal.sum(booked.late, quantity)
      booked.lateValue = BigDecimal.sum(booked.lateValue, BigDecimal.multiply(quantity, fill.price))
    }
    if (order === undefined) return
    order.fills = BigDecimal.sum(order.fills, fill.quantity)
    this.#advance(exchange, order, { ...fill, pair }, unit, "fill")
  }

  /** By what is told of an order. */
  ordered(exchange: ExchangeId, told: Order, pair: TradingPair, unit: Amount): void {
    const order = this.#forced(exchange, told)
    if (order === undefined) return
    order.said = BigDecimal.max(order.said, told.filledQuantity)
    this.#advance(exchange, order, { ...told, pair, price: told.averagePrice }, unit, "order")
  }

  #forced(exchange: ExchangeId, { forced, orderId }: Pick<Order, "forced" | "orderId">): ForcedOrder | undefined {
    const known = this.#of(exchange).forced
    const found = known.get(orderId)
    if (found !== undefined || forced === undefined) return found
    const made: ForcedOrder = { cause: forced, fills: Decimal.zero, said: Decimal.zero, taken: Decimal.zero }
    known.set(orderId, made)
    return made
  }

  /** What it has taken beyond what was known of it. */
  #advance(
    exchange: ExchangeId,
    order: ForcedOrder,
    { pair, price, side, symbol }: Pick<Order, "price" | "side" | "symbol"> & { readonly pair: TradingPair },
    unit: Amount,
    by: TakenBy
  ): void {
    const more = BigDecimal.subtract(BigDecimal.max(order.fills, order.said), order.taken)
    if (!BigDecimal.isPositive(more)) return
    order.taken = BigDecimal.sum(order.taken, more)
    const taken = BigDecimal.multiply(more, unit)
    const quantity = side === "buy" ? taken : BigDecimal.negate(taken)
    this.#of(exchange).watch.take(pair, { quantity, price }, by)
    const reason = `${words[order.cause]} has taken ${Decimal.toText(more)} contracts of the position in ${symbol}`
    this.#options.kill(reason, exchange)
  }

  // ---- what the positions say ----

  /** `reconciledAt`: when the account was compared with its exchange last; null: not since the last break. */
  readonly compare = Effect.fnUntraced({ self: this }, function*(
    this: RiskPositions,
    island: Island,
    reconciledAt: number | null
  ) {
    const { exchange } = island
    const held = yield* heldOf(island)
    if (held === null) return
    const of = this.#of(exchange)
    if (reconciledAt === null) return of.watch.pause()
    this.#look(exchange, held)
    this.#askMode(island)
    if (of.isConfirming) return
    const { clock, counted, fork } = this.#options
    const suspects = of.watch.look(sizesOf(held), counted(exchange), monotonicMillis(clock))
    if (suspects.length === 0) return
    of.isConfirming = true
    fork(Effect.ensuring(
      this.#confirm(island, suspects),
      Effect.sync(() => {
        of.isConfirming = false
      })
    ))
  })

  /** In hedge mode an order against a position opens another one beside it, unless it is reduce-only: nothing here trades so. */
  #look(exchange: ExchangeId, held: ReadonlyArray<HeldPosition>): void {
    const { entries } = this.#of(exchange)
    for (const { entryPrice, pair } of held) if (entryPrice !== null) entries.set(pair, entryPrice)
    const hedged = held.find(({ side }) => side !== "net")
    if (hedged === undefined) return
    this.#killHedged(exchange, `the account holds ${hedged.pair} in hedge mode`)
  }

  #killHedged(exchange: ExchangeId, what: string): void {
    const reason = `${what}, in which an order does not reduce the other side`
    this.#of(exchange).hedged = what
    this.#options.kill(`${reason}; set the account to one-way mode, then revive`, exchange, hedgeCause)
  }

  /** Not what somebody has looked at and may take back: it holds until the exchange says otherwise, which is asked. */
  revived(): void {
    for (const [exchange, of] of this.#exchanges) {
      of.modeOf = null
      if (of.hedged === null) continue
      of.isRevived = true
      this.#killHedged(exchange, of.hedged)
    }
  }

  /** Nor may its positions say so. */
  #endHedged(island: Island): Effect.Effect<void> {
    const { exchange } = island
    const of = this.#of(exchange)
    if (of.hedged === null) return Effect.void
    return Effect.flatMap(heldOf(island), (held) => {
      if (held === null || held.some(({ side }) => side !== "net")) return Effect.void
      const { isRevived } = of
      of.hedged = null
      of.isRevived = false
      return isRevived && this.#options.takeBack(exchange, hedgeCause)
        ? Effect.logWarning(`the account on ${exchange} is no longer in hedge mode: its switch is taken back for that`)
        : Effect.void
    })
  }

  /**
   * Of a flat account positions say nothing. Asked once of each island, and behind each `revive`: it changes only while nothing is
   * held or open.
   */
  #askMode(island: Island): void {
    const { account, exchange } = island
    const of = this.#of(exchange)
    if (of.modeOf === island) return
    of.modeOf = island
    this.#options.fork(Effect.matchEffect(account!.positionMode, {
      // It may not be told at all; positions will.
      onFailure: ({ message, reason }) =>
        reason._tag === "UnsupportedChannel"
          ? this.#endHedged(island)
          : Effect.andThen(
            Effect.logWarning(`the position mode on ${exchange} cannot be read now: ${message}`),
            Effect.andThen(Effect.sleep(modeAgain), Effect.sync(() => void (of.modeOf = null)))
          ),
      onSuccess: (mode) =>
        mode === "hedge"
          ? Effect.sync(() => this.#killHedged(exchange, "the account is in hedge mode"))
          : this.#endHedged(island)
    }))
  }

  /** Fills may have been lost, or come late: the account is read anew before it is believed. */
  readonly #confirm = Effect.fnUntraced({ self: this }, function*(
    this: RiskPositions,
    island: Island,
    suspects: ReadonlyArray<Suspect>
  ) {
    const { account, exchange } = island
    const { counted, kill } = this.#options
    const read = yield* Effect.exit(Effect.timeout(account!.refresh, refreshTimeout))
    const held = yield* heldOf(island)
    const { reconciledAt } = yield* account!.health
    // The stream broke meanwhile: what was found is told behind its own comparison.
    if (held === null || (Exit.isSuccess(read) && reconciledAt === null)) return
    for (const { difference, pair } of suspects) {
      const found = this.#of(exchange).watch.suspect(pair, sizesOf(held), counted(exchange))
      if (!Decimal.equals(found.difference, difference)) continue
      if (Exit.isSuccess(read)) this.#correct(exchange, found)
      else kill(`the position in ${pair} ${sizesText(found)}, and the account cannot be read`, exchange)
    }
  })

  /** Those who hold the other leg are told. Where its fills were told they are counted; who has ordered none of them does not know. */
  #correct(exchange: ExchangeId, suspect: Suspect): void {
    const { difference, pair } = suspect
    const { entries, watch } = this.#of(exchange)
    const taken = watch.takenOf(suspect)
    const price = taken?.price ?? this.#options.price(exchange, pair) ?? entries.get(pair) ?? null
    if (price === null) return this.#refuse(exchange, suspect)
    const undone = BigDecimal.isZero(difference) ? undefined : this.#believe(exchange, suspect, price)
    const quantity = taken?.quantity ?? difference
    const position = watch.beyond(suspect)
    for (const consumer of this.consumers) consumer({ exchange, pair, quantity, position, price, undone })
  }

  /** What the exchange says is the truth, whatever did it. What was put right before its fills came is undone as it was counted. */
  #believe(
    exchange: ExchangeId,
    { difference, pair, ...sizes }: Suspect,
    price: Amount
  ): Correction["undone"] {
    const { book, clock, kill } = this.#options
    const { booked } = this.#of(exchange)
    const [side, other] = BigDecimal.isPositive(difference) ? ["buy", "sell"] as const : ["sell", "buy"] as const
    const undo = booked.get(bookedKey(other, pair))
    const all = BigDecimal.abs(difference)
    const undone = undo === undefined ? Decimal.zero : BigDecimal.min(all, BigDecimal.min(undo.quantity, undo.late))
    let found: Correction["undone"]
    if (undo !== undefined && BigDecimal.isPositive(undone)) {
      const mean = BigDecimal.normalize(BigDecimal.divideUnsafe(undo.lateValue, undo.late))
      found = { quantity: other === "buy" ? undone : BigDecimal.negate(undone), price: mean }
      undo.quantity = BigDecimal.subtract(undo.quantity, undone)
      undo.late = BigDecimal.subtract(undo.late, undone)
      undo.lateValue = BigDecimal.subtract(undo.lateValue, BigDecimal.multiply(undone, mean))
      book({ exchange, pair, side, quantity: undone, price: undo.price, fee: Decimal.zero })
    }
    const quantity = BigDecimal.normalize(BigDecimal.subtract(all, undone))
    if (BigDecimal.isPositive(quantity)) {
      const key = bookedKey(side, pair)
      booked.set(key, bookedMore(booked.get(key), quantity, price, clock.currentTimeMillisUnsafe()))
      book({ exchange, pair, side, quantity, price, fee: Decimal.zero })
    }
    kill(`the position in ${pair} ${sizesText(sizes)}: ${causes}`, exchange)
    return found
  }

  /** Counted for nothing it would be a loss or a profit as large as all of it. */
  #refuse(exchange: ExchangeId, { pair, ...sizes }: Suspect): void {
    const reason = `the position in ${pair} ${sizesText(sizes)}: ${causes}`
    this.#options.kill(`${reason}; no price of it is known, and it is counted when one is: follow the pair`, exchange)
  }
}
