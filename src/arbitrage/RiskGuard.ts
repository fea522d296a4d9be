/**
 * What stands between a decision and an order: limits for each exchange and for all of them, a maximum loss, and a kill
 * switch. Every order that opens or grows exposure passes through it; one that only reduces passes unless the switch is
 * thrown for good.
 */
import { BigDecimal, Clock, Context, Duration, Effect, Exit, FiberSet, Layer, PubSub, Result, Stream } from "effect"
import type { Scope } from "effect"
import type { Island } from "../composite/Markets.ts"
import type { AutoDeleverage, Balance, Fill, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import { RecentText } from "../domain/RecentText.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { OrderEntry } from "../OrderEntry.ts"
import type { Gate, Leaving, Source } from "./GuardedEntry.ts"
import * as GuardedEntry from "./GuardedEntry.ts"
import type { Suspect } from "./PositionWatch.ts"
import { PositionWatch } from "./PositionWatch.ts"
import type { Held, Intent, Refusal, RiskLimits, Traded, Weighed } from "./RiskBook.ts"
import { one, parseLimits, RiskBook } from "./RiskBook.ts"

export type { Intent, RiskLimits, Traded } from "./RiskBook.ts"

export interface RiskOptions {
  /** Of all exchanges together. Exposure nets out between them. */
  readonly global?: RiskLimits | undefined
  /** Of each by itself. */
  readonly exchanges?: Readonly<Record<ExchangeId, RiskLimits>> | undefined
  /** How often what is held is marked anew and the loss judged between orders and fills. Default 1 s. */
  readonly markInterval?: Duration.Input | undefined
  /**
   * An order whose caller was interrupted, or whose answer is lost for good, and that the exchange does not know after this, has
   * never arrived. Default 15 s.
   */
  readonly forgetAfter?: Duration.Input | undefined
  /**
   * A position that its exchange tells, and that has differed from what its fills make by the same for so long, is read anew; where it
   * differs still, what the exchange says is the truth. Fills may come that much behind. Default 2 s.
   */
  readonly positionSettle?: Duration.Input | undefined
}

/** A position has changed, and no fill that was counted has done it. */
export interface Correction {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  /** Base: the change, with sign; as the exchange tells it, where it does. */
  readonly quantity: Decimal.Decimal
  /** Base: what is there now, beyond what was there before anything was counted; negative: short. */
  readonly position: Decimal.Decimal
  /** Quote: at which it is counted, that of the exchange where it tells one. */
  readonly price: Decimal.Decimal
}

/** The switch is thrown. */
export interface Killed {
  readonly reason: string
  readonly at: number
  /** `growing`: what reduces exposure still leaves. `everything`: only cancels do. */
  readonly stops: "growing" | "everything"
  /** `global`, or the exchange it was thrown for. */
  readonly of: string
}

export interface KillOptions {
  /** Default `growing`. */
  readonly stops?: Killed["stops"] | undefined
  /** All of them when left out. */
  readonly exchange?: ExchangeId | undefined
}

export interface RiskState {
  readonly isKilled: boolean
  /** Null while it is not thrown. */
  readonly killed: Killed | null
  /** Quote: value of the open orders and of the exposure together. */
  readonly notional: Decimal.Decimal
  /** Quote: the part of it that is what is not flat, by base asset, at its mark. */
  readonly exposure: Decimal.Decimal
  /** Quote, since the start: realised and unrealised, fees and funding included. */
  readonly pnl: Decimal.Decimal
  /** Quote: the part of it that positions have received (negative: paid) as funding, as the accounts that are followed tell it. */
  readonly funding: Decimal.Decimal
  readonly openOrders: number
  readonly refused: number
  /** Fees by their asset that are neither in base nor in quote: `pnl` is without them. */
  readonly unvaluedFees: ReadonlyMap<string, Decimal.Decimal>
}

export class RiskGuard extends Context.Service<RiskGuard, {
  /**
   * Room for these orders, all or none, and `InvalidOrder` where a quantity or a price is not above zero; held until the scope closes, and of those that have left until it is told what became
   * of them; what is filled of them becomes exposure.
   */
  readonly reserve: (intents: ReadonlyArray<Intent>) => Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope>
  /**
   * Counts the fills of an island's account, each once, the ends of its orders and the funding of its positions, and takes marks from
   * its market, until the scope closes. Orders that somebody else opens there take room too, and those that are open when it
   * begins. A position that is not what its fills make (auto-deleveraging, liquidation) is put right, and throws the switch of its
   * exchange; what was there when the account was followed first, and reconciled, is where that begins.
   */
  readonly follow: (island: Island) => Effect.Effect<void, never, Scope.Scope>
  /** Whether this very island is followed. */
  readonly isFollowing: (island: Island) => boolean
  /** Tells what was traded on an exchange that is not followed, so that exposure and profit are known. */
  readonly filled: (fill: Traded) => void
  /** Values what is held of the pair's base asset, quote. Where an island is followed, its best prices do. */
  readonly mark: (exchange: ExchangeId, pair: TradingPair, price: Decimal.Decimal) => void
  /**
   * The order entry of an exchange whose every order passes through this guard: the same service, to be used in its place.
   * Refusals are `RiskRefused`, nothing is sent. Orders that `reserve` has room for by their client order id pass with it; what
   * they ask for beyond it is judged. The switch is looked at again in the moment in which an order leaves, behind its turn
   * within the limits. What passes a limit, or the switch, because it reduces a position of a swap leaves as reduce-only.
   */
  readonly guarded: (entry: OrderEntry["Service"]) => OrderEntry["Service"]
  /** This order is known never to have arrived: its room is given back. */
  readonly forget: (exchange: ExchangeId, clientOrderId: string) => void
  /**
   * Nothing that grows exposure leaves any more, or nothing at all. Thrown again it stops more, never less; what is thrown while
   * everything is stopped is told, and stands once that is taken back.
   */
  readonly kill: (reason: string, options?: KillOptions) => Effect.Effect<void>
  /**
   * Lets orders pass again, everywhere; what was thrown while everything was stopped is thrown again, with its reason. The loss
   * that had been made then no longer counts towards `maxLoss`.
   */
  readonly revive: Effect.Effect<void>
  /** Of one exchange; of all together when left out. */
  readonly state: (exchange?: ExchangeId) => RiskState
  /** Calls `consumer` synchronously behind each position that was put right, until the scope closes. */
  readonly onCorrection: (consumer: (correction: Correction) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Each time the switch is thrown, by hand or by a limit; the last one first. */
  readonly kills: Stream.Stream<Killed>
}>()("effect-exchange/RiskGuard") {}

const global = "global"

/**
 * Trade ids that are remembered at the least, so that a fill told by two sessions counts once: the second one reads as far back as
 * its `lookback` says, which no time bounds.
 */
const remembered = 50_000

const invalid = (detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make(global, new ExchangeError.InvalidUse({ detail }))

const bookOf = (options: RiskOptions): Result.Result<RiskBook, string> =>
  Result.gen(function*() {
    const exchanges = new Map()
    for (const [id, limits] of Object.entries(options.exchanges ?? {})) {
      exchanges.set(id, yield* parseLimits(id, limits))
    }
    return new RiskBook(yield* parseLimits(global, options.global ?? {}), exchanges)
  })

/** Switches by what they were thrown for. */
class Switches {
  readonly #thrown = new Map<string, Killed>()
  /** Thrown while one stood that stops more: who takes that one back may not know of them. */
  readonly #behind = new Map<string, Killed>()

  /** False when nothing is new by it. */
  throw(killed: Killed): boolean {
    const before = this.#thrown.get(killed.of)
    if (before?.stops === killed.stops) return false
    const where = before?.stops === "everything" ? this.#behind : this.#thrown
    if (where === this.#behind && where.has(killed.of)) return false
    where.set(killed.of, killed)
    return true
  }

  /** Takes all back. What stood behind them, and has to be thrown again. */
  clear(): ReadonlyArray<Killed> {
    const behind = [...this.#behind.values()]
    this.#thrown.clear()
    this.#behind.clear()
    return behind
  }

  /** What stops an exchange; the one that stops more. */
  of(exchange?: ExchangeId): Killed | null {
    const all = [this.#thrown.get(global), exchange === undefined ? undefined : this.#thrown.get(exchange)]
    const found = all.filter((killed) => killed !== undefined)
    return found.find(({ stops }) => stops === "everything") ?? found[0] ?? null
  }

  /** Which does not let this leave; that of all exchanges first. */
  stopping({ exchange, growsHere = false, reduces }: Leaving): Killed | null {
    const [all, own] = [this.#thrown.get(global), this.#thrown.get(exchange)]
    if (all !== undefined && !(reduces && all.stops === "growing")) return all
    return own === undefined || (reduces && !growsHere && own.stops === "growing") ? null : own
  }
}

const spotOnly = (exchange: ExchangeId): Source => ({
  unit: (pair) =>
    partsOf(pair).settle === undefined ? Effect.succeed(one) : Effect.fail(
      notReady(exchange, pair, "the size of its contracts is not known; follow the exchange's island first")
    ),
  price: () => null
})

const notReady = (exchange: ExchangeId, symbol: TradingPair, detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.RiskRefused({ symbol, limit: "notReady", of: exchange, detail }))

const decimalOf = (value: number): Decimal.Decimal => Decimal.of(String(value))

/** Null for what is no price. */
const priceOf = (value: number): Decimal.Decimal | null => value > 0 && Number.isFinite(value) ? decimalOf(value) : null

const sourceOf = ({ market }: Island): Source => ({
  unit: (pair) => Effect.map(market.instruments.get(pair), ({ contractSize }) => decimalOf(contractSize)),
  price: (pair, side) => {
    const best = market.bestPrice(pair)
    return best === null ? null : priceOf(side === "buy" ? best.askPrice : best.bidPrice)
  }
})

/** Which of these asks for nothing, or for less: room may not be made by asking for some. */
const unreadable = (intents: ReadonlyArray<Intent>): ExchangeError.ExchangeError | null => {
  for (const intent of intents) {
    for (const field of ["quantity", "price"] as const) {
      if (BigDecimal.isPositive(intent[field])) continue
      const detail = `${Decimal.toText(intent[field])}; room is for what is above zero`
      return ExchangeError.make(
        intent.exchange,
        new ExchangeError.InvalidOrder({ symbol: intent.pair, field, detail })
      )
    }
  }
  return null
}

/** Base, by pair, of contracts that are settled in their quote; null where the account has no positions, or tells none by pair. */
const positionsOf = ({ account }: Island): Effect.Effect<ReadonlyMap<TradingPair, Decimal.Decimal> | null> =>
  account === null ? Effect.succeed(null) : Effect.match(account.positions, {
    onFailure: () => null,
    onSuccess: (held) =>
      new Map(
        [...held.values()].flatMap(({ baseSize, pair }) => isLinear(pair) ? [[pair, baseSize] as const] : [])
      )
  })

const isLinear = (pair: TradingPair): boolean => {
  const { quote, settle } = partsOf(pair)
  return settle === quote
}

const sizesText = ({ expected, told }: Pick<Suspect, "told" | "expected">): string =>
  `is ${Decimal.toText(told)} by the exchange and ${Decimal.toText(expected)} by its fills (base)`

/** How long reading an account anew may take before a position that differs is told without. */
const refreshTimeout = "20 seconds"

/** Half way between bid and ask. */
const midOf = (source: Source, pair: TradingPair): Decimal.Decimal | null => {
  const [bid, ask] = [source.price(pair, "sell"), source.price(pair, "buy")]
  return bid === null || ask === null
    ? null
    : BigDecimal.divideUnsafe(BigDecimal.sum(bid, ask), BigDecimal.fromBigInt(2n))
}

export const make = Effect.fnUntraced(
  function*(options: RiskOptions): Effect.fn.Return<RiskGuard["Service"], ExchangeError.ExchangeError, Scope.Scope> {
    const clock = yield* Clock.Clock
    const book = yield* Effect.mapError(Effect.fromResult(bookOf(options)), invalid)
    const hub = yield* PubSub.sliding<Killed>({ capacity: 64, replay: 1 })
    const fork = yield* FiberSet.makeRuntime<never>()
    const switches = new Switches()
    const islands = new Map<ExchangeId, { readonly island: Island; readonly source: Source }>()
    const traded = new Map<ExchangeId, Set<TradingPair>>()
    const told = new RecentText(remembered)
    const refusals = new Map<string, number>()
    const watches = new Map<ExchangeId, PositionWatch>()
    const correctionConsumers = new Set<(correction: Correction) => void>()
    const settleMillis = Duration.toMillis(options.positionSettle ?? "2 seconds")

    const kill = (reason: string, of: string, stops: Killed["stops"]): void => {
      const killed: Killed = { reason, at: clock.currentTimeMillisUnsafe(), stops, of }
      if (!switches.throw(killed)) return
      PubSub.publishUnsafe(hub, killed)
      fork(Effect.logError(`kill switch thrown (${of}, ${stops}): ${reason}`))
    }

    const judgeLosses = (): void => {
      for (const { loss, of } of book.lost) kill(`maxLoss: a loss of ${Decimal.toText(loss)} is reached`, of, "growing")
    }

    const refused = ({ detail, exchange, limit, of, symbol }: Refusal): ExchangeError.ExchangeError => {
      for (const name of [global, exchange]) refusals.set(name, (refusals.get(name) ?? 0) + 1)
      return ExchangeError.make(exchange, new ExchangeError.RiskRefused({ symbol, limit, of, detail }))
    }

    /** What the switch stops of these; null: nothing. */
    const stopped = (intents: ReadonlyArray<Leaving>): Refusal | null => {
      for (const leaving of intents) {
        const killed = switches.stopping(leaving)
        if (killed === null) continue
        return {
          exchange: leaving.exchange,
          symbol: leaving.pair,
          limit: "killSwitch",
          of: killed.of,
          detail: killed.reason
        }
      }
      return null
    }

    const refuse = (intents: ReadonlyArray<Weighed>): ExchangeError.ExchangeError | null => {
      judgeLosses()
      const problem = stopped(intents) ?? book.check(intents)
      return problem === null ? null : refused(problem)
    }

    const refuseStopped = (intents: ReadonlyArray<Leaving>): ExchangeError.ExchangeError | null => {
      judgeLosses()
      const problem = stopped(intents)
      return problem === null ? null : refused(problem)
    }

    const filled = (fill: Traded, of?: Held): void => {
      const pairs = traded.get(fill.exchange) ?? new Set()
      traded.set(fill.exchange, pairs.add(fill.pair))
      const source = islands.get(fill.exchange)?.source
      // One small fill far from the market says nothing of what all of it is worth.
      book.book(fill, (source === undefined ? null : midOf(source, fill.pair)) ?? fill.price, of)
      judgeLosses()
    }

    /** Both sides of a trade with oneself have its id. */
    const isNew = (exchange: ExchangeId, { side, symbol, tradeId }: Fill): boolean => {
      const key = `${exchange} ${symbol} ${tradeId} ${side}`
      if (told.has(key)) return false
      told.set(key)
      return true
    }

    const count = (exchange: ExchangeId, pair: TradingPair, unit: Decimal.Decimal, fill: Fill): void =>
      filled({
        exchange,
        pair,
        side: fill.side,
        quantity: BigDecimal.multiply(fill.quantity, unit),
        price: fill.price,
        fee: fill.fee ?? Decimal.zero,
        feeAsset: fill.feeAsset ?? undefined,
        clientOrderId: fill.clientOrderId
      }, book.find(exchange, fill.clientOrderId, fill.orderId))

    /** A trade that cannot be counted: what is at risk is no longer known. */
    const lostCount = (exchange: ExchangeId, what: string, detail: string): void =>
      kill(`${what} cannot be counted: ${detail}`, exchange, "growing")

    /** With the size of the pair's unit at once where it is known, else as soon as it is. */
    const withUnit = (
      island: Island,
      units: Map<TradingPair, Decimal.Decimal>,
      { pair, symbol }: Pick<Fill, "pair" | "symbol">,
      then: (pair: TradingPair, unit: Decimal.Decimal) => void
    ): void => {
      if (pair === null) return lostCount(island.exchange, symbol, "no instrument is known for it")
      const known = units.get(pair)
      if (known !== undefined) return then(pair, known)
      fork(Effect.match(sourceOf(island).unit(pair), {
        onFailure: ({ message }) => lostCount(island.exchange, pair, message),
        onSuccess: (unit) => {
          units.set(pair, unit)
          then(pair, unit)
        }
      }))
    }

    const watchOf = (exchange: ExchangeId): PositionWatch => {
      const watch = watches.get(exchange) ?? new PositionWatch(settleMillis)
      watches.set(exchange, watch)
      return watch
    }

    /** Base: what fills make of the positions of an exchange. */
    const countedOf = (exchange: ExchangeId): ReadonlyMap<TradingPair, Decimal.Decimal> =>
      new Map(
        [...traded.get(exchange) ?? []].flatMap((pair) =>
          isLinear(pair) ? [[pair, book.standing(exchange, pair).position] as const] : []
        )
      )

    const priceNow = (exchange: ExchangeId, pair: TradingPair): Decimal.Decimal => {
      const source = islands.get(exchange)?.source
      return (source === undefined ? null : midOf(source, pair)) ?? book.markOf(exchange, pair)
    }

    /** What the exchange says is the truth, whatever did it. */
    const believe = (exchange: ExchangeId, { difference, pair, ...sizes }: Suspect, price: Decimal.Decimal): void => {
      const side = BigDecimal.isPositive(difference) ? "buy" : "sell"
      filled({ exchange, pair, side, quantity: BigDecimal.abs(difference), price, fee: Decimal.zero })
      const causes = "auto-deleveraging, a liquidation, or trades that were not told"
      kill(`the position in ${pair} ${sizesText(sizes)}: ${causes}`, exchange, "growing")
    }

    /** Those who hold the other leg are told. Where its fills were told they are counted; who has ordered none of them does not know. */
    const correct = (exchange: ExchangeId, suspect: Suspect): void => {
      const { difference, pair } = suspect
      const taken = watchOf(exchange).takenOf(pair)
      const price = taken?.price ?? priceNow(exchange, pair)
      if (!BigDecimal.isZero(difference)) believe(exchange, suspect, price)
      const quantity = taken?.quantity ?? difference
      const position = watchOf(exchange).beyond(suspect)
      for (const consumer of correctionConsumers) consumer({ exchange, pair, quantity, position, price })
    }

    /** Exchanges whose account is being read anew. */
    const confirming = new Set<ExchangeId>()

    /** Fills may have been lost, or come late: the account is read anew before it is believed. */
    const confirm = (island: Island, suspects: ReadonlyArray<Suspect>): Effect.Effect<void> =>
      Effect.gen(function*() {
        const { account, exchange } = island
        const read = yield* Effect.exit(Effect.timeout(account!.refresh, refreshTimeout))
        const told = yield* positionsOf(island)
        const { reconciledAt } = yield* account!.health
        // The stream broke meanwhile: what was found is told behind its own comparison.
        if (told === null || (Exit.isSuccess(read) && reconciledAt === null)) return
        for (const { difference, pair } of suspects) {
          const found = watchOf(exchange).suspect(pair, told, countedOf(exchange))
          if (!Decimal.equals(found.difference, difference)) continue
          if (Exit.isSuccess(read)) correct(exchange, found)
          else kill(`the position in ${pair} ${sizesText(found)}, and the account cannot be read`, exchange, "growing")
        }
      }).pipe(Effect.ensuring(Effect.sync(() => confirming.delete(island.exchange))))

    const comparePositions = (island: Island): Effect.Effect<void> =>
      Effect.gen(function*() {
        const told = yield* positionsOf(island)
        if (told === null) return
        const watch = watchOf(island.exchange)
        const { reconciledAt } = yield* island.account!.health
        if (reconciledAt === null) return watch.pause()
        if (confirming.has(island.exchange)) return
        const suspects = watch.look(told, countedOf(island.exchange), monotonicMillis(clock))
        if (suspects.length === 0) return
        confirming.add(island.exchange)
        fork(confirm(island, suspects))
      })

    /** Told apart from every other cause: nobody has ordered it. */
    const onDeleverage = (
      exchange: ExchangeId,
      { positionSize, price, quantity, symbol }: AutoDeleverage,
      pair: TradingPair,
      unit: Decimal.Decimal
    ): void => {
      watchOf(exchange).take(pair, { quantity: BigDecimal.negate(BigDecimal.multiply(quantity, unit)), price })
      const [taken, left] = [Decimal.toText(quantity), Decimal.toText(positionSize)]
      kill(
        `auto-deleveraging has taken ${taken} contracts of the position in ${symbol}, ${left} are left`,
        exchange,
        "growing"
      )
    }

    const onFunding = (exchange: ExchangeId, { asset, change }: Balance, pairs: Iterable<TradingPair>): void => {
      if (change === null) return
      if (![...pairs].some((pair) => isLinear(pair) && partsOf(pair).quote === asset)) {
        return book.noteUnvalued(asset, BigDecimal.negate(change))
      }
      book.fund(exchange, change)
      judgeLosses()
    }

    const follow: RiskGuard["Service"]["follow"] = Effect.fnUntraced(function*(island) {
      const { account, exchange, market } = island
      const source = sourceOf(island)
      const units = new Map<TradingPair, Decimal.Decimal>()
      /** `told`: what of its fills has been told before. */
      const onOrder = (order: Order, told: Decimal.Decimal): void => {
        const heldOf = (): Held | undefined => book.find(exchange, order.clientOrderId, order.orderId)
        const held = heldOf()
        if (isFinal(order.status)) book.noteEnd(exchange, order.orderId)
        if (held !== undefined) return GuardedEntry.note(gate, exchange, held, order)
        if (book.hasEnded(exchange, order.orderId)) return
        withUnit(island, units, order, (pair, unit) => {
          if (book.hasEnded(exchange, order.orderId)) return
          const known = heldOf() ?? GuardedEntry.adopt(gate, exchange, pair, order, unit, told)
          GuardedEntry.note(gate, exchange, known, order)
        })
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => islands.set(exchange, { island, source })),
        () => Effect.sync(() => islands.get(exchange)?.island === island && islands.delete(exchange))
      )
      if (account !== null) {
        yield* account.onEvent((event) => {
          if (event._tag === "OrderUpdate") onOrder(event, Decimal.zero)
          if (event._tag === "Balance" && event.isFunding === true) onFunding(exchange, event, units.keys())
          if (event._tag === "AutoDeleverage") {
            withUnit(island, units, event, (pair, unit) => onDeleverage(exchange, event, pair, unit))
          }
          if (event._tag !== "Fill" || !isNew(exchange, event)) return
          withUnit(island, units, event, (pair, unit) => count(exchange, pair, unit, event))
        })
        for (const { fills, order } of account.openOrders()) {
          if (order !== null) onOrder(order, BigDecimal.sumAll(fills.map(({ quantity }) => quantity)))
        }
      }
      // What is not known by then is asked for when it is traded.
      yield* Effect.forkScoped(Effect.map(Effect.option(market.instruments.all), (listed) => {
        if (listed._tag === "None") return
        for (const [pair, { contractSize }] of listed.value) units.set(pair, decimalOf(contractSize))
      }))
    })

    /** Ends that the stream has not told: the account has found them out by asking. */
    const lookForEnds = ({ account, exchange }: Island): void => {
      for (const held of account === null ? [] : book.named(exchange)) {
        const known = account?.order(held.clientOrderId ?? `#${held.orderId}`)
        if (known?.state._tag !== "Final") continue
        const told = BigDecimal.sumAll(known.fills.map(({ quantity }) => quantity))
        if (BigDecimal.isGreaterThanOrEqualTo(told, known.filledQuantity)) book.release(held)
      }
    }

    const remark = Effect.suspend(() => {
      for (const { island } of islands.values()) lookForEnds(island)
      for (const [exchange, pairs] of traded) {
        const source = islands.get(exchange)?.source
        if (source === undefined) continue
        for (const pair of pairs) {
          const mid = midOf(source, pair)
          if (mid !== null) book.mark(exchange, pair, mid)
        }
      }
      judgeLosses()
      return Effect.forEach([...islands.values()], ({ island }) => comparePositions(island), { discard: true })
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.markInterval ?? "1 second"), remark)))

    const sourceFor = (exchange: ExchangeId): Source => ({
      unit: (pair) => Effect.suspend(() => (islands.get(exchange)?.source ?? spotOnly(exchange)).unit(pair)),
      price: (pair, side) => islands.get(exchange)?.source.price(pair, side) ?? null
    })

    const gate: Gate = {
      book,
      refuse,
      stopped: refuseStopped,
      hasRoom: (intents) => stopped(intents) === null && book.check(intents) === null,
      source: sourceFor,
      isFollowed: (exchange) => (islands.get(exchange)?.island.account ?? null) !== null,
      notReady,
      fork: (effect) => void fork(effect),
      forgetAfter: options.forgetAfter ?? "15 seconds"
    }

    return RiskGuard.of({
      reserve: (intents) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.suspend(() => {
            const all = intents.map((intent) => ({
              ...intent,
              growsHere: book.growsHere(intent),
              price: GuardedEntry.worth(sourceFor(intent.exchange), intent.pair, intent.side, intent.price)
            }))
            const problem = unreadable(intents) ?? refuse(all)
            if (problem !== null) return Effect.fail(problem)
            const held = all.map((intent) => book.hold(intent))
            for (const one of held) one.isReserved = true
            return Effect.succeed(held)
          }),
          (held) =>
            Effect.sync(() => {
              for (const one of held) {
                one.isReserved = false
                if (!one.hasLeft) book.release(one)
              }
            })
        )),
      follow,
      isFollowing: (island) => islands.get(island.exchange)?.island === island,
      filled: (fill) => filled(fill),
      mark: (exchange, pair, price) => {
        book.mark(exchange, pair, price)
        judgeLosses()
      },
      guarded: (entry) => GuardedEntry.guard(gate, entry),
      forget: (exchange, clientOrderId) => {
        const held = book.find(exchange, clientOrderId, null)
        if (held !== undefined) book.release(held)
      },
      kill: (reason, { exchange = global, stops = "growing" } = {}) => Effect.sync(() => kill(reason, exchange, stops)),
      revive: Effect.sync(() => {
        book.forgiveLosses()
        for (const { of, reason, stops } of switches.clear()) kill(reason, of, stops)
      }),
      state: (exchange) => {
        const { exposure, funding, open, pnl, reserved } = book.ledger(exchange)
        const killed = switches.of(exchange)
        return {
          isKilled: killed !== null,
          killed,
          notional: BigDecimal.normalize(BigDecimal.sum(reserved, exposure)),
          exposure: BigDecimal.normalize(exposure),
          pnl: BigDecimal.normalize(pnl),
          funding,
          openOrders: open,
          refused: refusals.get(exchange ?? global) ?? 0,
          unvaluedFees: new Map(book.unvaluedFees)
        }
      },
      onCorrection: (consumer) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.sync(() => correctionConsumers.add(consumer)),
          () => Effect.sync(() => correctionConsumers.delete(consumer))
        )),
      kills: Stream.fromPubSub(hub)
    })
  }
)

export const layer = (options: RiskOptions = {}): Layer.Layer<RiskGuard, ExchangeError.ExchangeError> =>
  Layer.effect(RiskGuard, make(options))
