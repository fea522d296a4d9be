/**
 * Trades opportunities: both legs as one structured effect. A leg that fails, is partly filled or unknown is compensated
 * or flattened; whoever interrupts it finds nothing open.
 */
import {
  BigDecimal,
  Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Fiber,
  FiberSet,
  Layer,
  PubSub,
  Result,
  Stream
} from "effect"
import type { Scope } from "effect"
import type { Island } from "../composite/Markets.ts"
import { Markets } from "../composite/Markets.ts"
import type { Side } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { ArbitrageMonitor } from "./ArbitrageMonitor.ts"
import * as ExecutionMetrics from "./ExecutionMetrics.ts"
import { ExposureLedger } from "./ExposureLedger.ts"
import type { Flattened, FlatteningVenue } from "./Flattening.ts"
import { Flattening, intentOf } from "./Flattening.ts"
import type { Ended, LegOutcome } from "./LegOrder.ts"
import { LegOrders } from "./LegOrder.ts"
import type { Prepared, ReadyLeg } from "./LegPreparation.ts"
import * as LegPreparation from "./LegPreparation.ts"
import { drained, refused } from "./LegPreparation.ts"
import type { Moved, Plan } from "./Moved.ts"
import type { Opportunity, Route } from "./Opportunity.ts"
import * as OpportunityTaking from "./OpportunityTaking.ts"
import type { Correction } from "./RiskGuard.ts"
import { RiskGuard } from "./RiskGuard.ts"

export type { LegOutcome } from "./LegOrder.ts"

type Amount = Decimal.Decimal

/** What became of one order. */
export interface LegResult {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  readonly clientOrderId: string
  /** Base: asked. */
  readonly quantity: Amount
  /** Base: filled, before fees. */
  readonly filled: Amount
  /** Base, with sign: what was really received, fees in base taken off; negative: given. */
  readonly received: Amount
  /** Quote, with sign: what came in, fees in quote taken off; negative: paid. */
  readonly cash: Amount
  /** Quote; null when nothing was filled. */
  readonly averagePrice: Amount | null
  /** Quote; one that was taken in base is valued at its fill's price. */
  readonly fee: Amount
  /** Fees in third assets, by asset: in no other figure. */
  readonly otherFees: ReadonlyMap<string, Amount>
  /** `unknown`: nobody could tell in time whether it is in force. */
  readonly outcome: LegOutcome
  /** Whether its answer was lost and had to be found out. */
  readonly wasUnknown: boolean
  /** Whether its fills did not come in time: quantity and value are the exchange's then, the fee is by rate. */
  readonly isEstimated: boolean
  /** Why it was refused or is not known, or the exchange's word for why it ended. */
  readonly detail: string | null
}

export interface Execution {
  readonly opportunity: Opportunity
  /**
   * `Completed`: both legs filled whole. `Compensated`: they did not, and the difference was traded away, or is carried
   * because it is less than can be ordered, or worth no more than `maxCarried`. `Nothing`: neither leg filled. `Exposed`:
   * more is left that could not be traded away, or an order is not known; the kill switch is thrown.
   */
  readonly _tag: "Completed" | "Compensated" | "Nothing" | "Exposed"
  readonly buy: LegResult
  readonly sell: LegResult
  /** Orders that traded away what the legs, or executions before, had left. */
  readonly compensation: ReadonlyArray<LegResult>
  /** Base: received minus given by all of its orders, fees in base included. It is carried on. */
  readonly exposure: Amount
  /** Quote: what came in by all of its orders, fees in quote included. */
  readonly cash: Amount
  /**
   * Quote: `cash`, and `exposure` at the price of the last fill. As it was known at the end: what is told later of a leg that
   * `isEstimated`, or of an order that was not known, is in `performance` alone.
   */
  readonly profit: Amount
  /** From the decision until both legs were answered, ms. */
  readonly acceptedAfterMs: number
  readonly startedAt: number
  readonly endedAt: number
}

export interface Exposure {
  /** Base asset. */
  readonly asset: string
  /** Base units: over all exchanges since the start, swaps times their contract size. */
  readonly quantity: Amount
}

export interface ExecutorPerformance {
  readonly executed: number
  readonly completed: number
  readonly compensated: number
  readonly nothing: number
  readonly exposed: number
  /** How often a lot or more could not be traded away and is carried on, because it is worth so little: see `maxCarried`. */
  readonly carried: number
  /** Not executed, by limit: see `RiskRefused`. */
  readonly refused: Readonly<Record<string, number>>
  readonly inFlight: number
  /** Orders of which nobody knows yet what became of them; behind `close` all that may be in force. */
  readonly unknown: number
  /** Quote: what has come in by all of its orders so far, fees in quote taken off. */
  readonly cash: Amount
  /**
   * Quote: `cash`, and what is open at the price at which it was traded last, all by what is known now: what was counted by rate, or
   * at a price that fills came behind, is put right by its fills. What was traded alone: of legs that cover each other the
   * difference of their prices counts as gained, and funding does not; `RiskGuard.state` has both as the accounts do.
   */
  readonly profit: Amount
}

/** An order that may be in force, or may have filled further than anybody has told. */
export interface PendingOrder {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: Side
  readonly clientOrderId: string
  /** Base: asked. */
  readonly quantity: Amount
  /** Base: filled as far as it is known, and in `exposure`; up to `quantity - filled` more may have been. */
  readonly filled: Amount
}

/** What is left. */
export interface Drained {
  /** All that is known to have been bought and sold, of orders that are not known too. */
  readonly exposure: ReadonlyArray<Exposure>
  /** Orders that may still be in force. */
  readonly openOrders: number
  readonly orders: ReadonlyArray<PendingOrder>
}

export interface ExecutorOptions {
  /** An opportunity that was found longer ago is not traded. Default 1 s. */
  readonly maxAge?: Duration.Input | undefined
  /** How long the end of an order may take to be known. Default 30 s. */
  readonly settleTimeout?: Duration.Input | undefined
  /** An order that the exchange does not know so long behind its sending has never arrived. Default 10 s. */
  readonly absentAfter?: Duration.Input | undefined
  /** How long fills may come behind the end of their order; then its fee is by rate. Default 10 s. */
  readonly fillsTimeout?: Duration.Input | undefined
  /** How far behind the best price what is open may be traded away, as a fraction. Default 0.005. */
  readonly maxSlippage?: Decimal.Input | undefined
  /** Orders that may be sent to trade away what one execution has left. Default 8. */
  readonly compensationAttempts?: number | undefined
  /** How long it waits for an exchange to trade it away on. Default 30 s. */
  readonly compensationTimeout?: Duration.Input | undefined
  /**
   * Quote: what could not be traded away and is worth no more than this is carried on to the next execution in that asset;
   * more throws the kill switch. Left out: what is less than the larger of the smallest orders of both exchanges.
   */
  readonly maxCarried?: Decimal.Input | undefined
  /** `run` leaves a route alone for so long behind a refusal. Default 1 s. */
  readonly pauseAfterRefusal?: Duration.Input | undefined
  /** How long the end of the Layer waits for executions under way; then they are cut short, and an error says so. Default 3 s. */
  readonly closeTimeout?: Duration.Input | undefined
}

export class ArbitrageExecutor extends Context.Service<ArbitrageExecutor, {
  /**
   * Trades one opportunity to its end. Fails with `RiskRefused` when nothing was sent. Interrupted before it has sent
   * anything it sends nothing; afterwards it goes on to its end, and whoever interrupts waits for that.
   */
  readonly execute: (opportunity: Opportunity) => Effect.Effect<Execution, ExchangeError.ExchangeError>
  /** Trades what the monitor finds, each side of a book for one execution at a time and once a version, until it is interrupted. */
  readonly run: Effect.Effect<never>
  /** Each execution, from now on; a reader that is 4,096 behind misses the oldest. */
  readonly executions: Stream.Stream<Execution>
  /** What is open by all orders so far, those under way included as far as they are known, by base asset; empty when flat. */
  readonly exposure: () => ReadonlyArray<Exposure>
  readonly performance: Effect.Effect<ExecutorPerformance>
  /** No new executions; those under way are brought to their end, and what is carried is traded away. Tells what is left. */
  readonly drain: Effect.Effect<Drained>
  /** The same in this time at most: what is under way behind it is left where it is, nothing more is sent, and it is told. */
  readonly close: (within: Duration.Input) => Effect.Effect<Drained>
}>()("effect-exchange/ArbitrageExecutor") {}

const { isZero, multiply, subtract, sum } = BigDecimal

const add = (left: Amount, right: Amount): Amount => BigDecimal.normalize(sum(left, right))

const millis = (input: Duration.Input | undefined, otherwise: Duration.Input): number =>
  Duration.toMillis(input ?? otherwise)

/** Whether its caller has gone before anything was sent. */
interface Flight {
  isAborted: boolean
}

const total = (moved: ReadonlyArray<Moved>, of: (one: Moved) => Amount): Amount =>
  moved.reduce((all, one) => add(all, of(one)), Decimal.zero)

const resultOf = (ended: Ended, moved: Moved): LegResult => {
  const { detail, filled, outcome, plan, wasUnknown } = ended
  return {
    exchange: plan.exchange,
    pair: plan.pair,
    side: plan.side,
    clientOrderId: plan.clientOrderId,
    quantity: multiply(plan.quantity, plan.unit),
    filled,
    received: moved.received,
    cash: moved.cash,
    averagePrice: isZero(filled) ? null : BigDecimal.divideUnsafe(moved.value, filled),
    fee: moved.fee,
    otherFees: moved.otherFees,
    outcome,
    wasUnknown,
    isEstimated: moved.isEstimated,
    detail
  }
}

const tagOf = (buy: Ended, sell: Ended, isExposed: boolean): Execution["_tag"] => {
  if (isExposed) return "Exposed"
  if (isZero(buy.filled) && isZero(sell.filled)) return "Nothing"
  return buy.outcome === "filled" && sell.outcome === "filled" ? "Completed" : "Compensated"
}

const placeOf = ({ exchange, pair }: Pick<Instrument, "exchange" | "pair">): string => `${exchange} ${pair}`

/** Between two looks whether what nobody knew is known, ms. */
const resolveMillis = 100

const textOf = ({ exposure, orders }: Drained): string => {
  const open = exposure.map(({ asset, quantity }) => `${Decimal.toText(quantity)} ${asset}`)
  const pending = orders.map(({ clientOrderId, exchange, pair, side }) =>
    `${exchange} ${side} ${pair} ${clientOrderId}`
  )
  const told = (all: ReadonlyArray<string>): string => all.length === 0 ? "nothing" : all.join(", ")
  return `open: ${told(open)}, may be in force: ${told(pending)}; look at the accounts`
}

const isUnknown = ({ outcome }: Ended): boolean => outcome === "unknown"

const problemOfCarried = ({ maxCarried }: ExecutorOptions): string | null => {
  const carried = Decimal.fromInput(maxCarried ?? "0")
  if (Result.isFailure(carried)) return `maxCarried: ${carried.failure}`
  return BigDecimal.isNegative(carried.success)
    ? `maxCarried is ${Decimal.toText(carried.success)}; it may not be negative`
    : null
}

const problemOfOptions = (options: ExecutorOptions): string | null => {
  const { compensationAttempts = 8, maxSlippage = "0.005" } = options
  const slippage = Decimal.fromInput(maxSlippage)
  if (Result.isFailure(slippage)) return `maxSlippage: ${slippage.failure}`
  if (BigDecimal.isNegative(slippage.success) || !BigDecimal.isLessThan(slippage.success, BigDecimal.fromBigInt(1n))) {
    return `maxSlippage is ${Decimal.toText(slippage.success)}; it has to be a fraction from 0 to below 1`
  }
  return Number.isInteger(compensationAttempts) && compensationAttempts >= 0
    ? problemOfCarried(options)
    : `compensationAttempts is ${compensationAttempts}; it has to be a whole number from 0`
}

export const make = Effect.fnUntraced(function*(
  options: ExecutorOptions = {}
): Effect.fn.Return<
  ArbitrageExecutor["Service"],
  ExchangeError.ExchangeError,
  Markets | ArbitrageMonitor | RiskGuard | Scope.Scope
> {
  const problem = problemOfOptions(options)
  if (problem !== null) return yield* ExchangeError.make("global", new ExchangeError.InvalidUse({ detail: problem }))
  const markets = yield* Markets
  const monitor = yield* ArbitrageMonitor
  const guard = yield* RiskGuard
  const clock = yield* Clock.Clock
  const now = (): number => clock.currentTimeMillisUnsafe()
  const maxAge = millis(options.maxAge, "1 second")
  const pauseAfterRefusal = millis(options.pauseAfterRefusal, "1 second")
  const settleMillis = millis(options.settleTimeout, "30 seconds")
  const ledger = new ExposureLedger((plan, more) => onMore(plan, more))
  const orders = new LegOrders(markets, guard, ledger, clock, {
    settleMillis,
    absentMillis: millis(options.absentAfter, "10 seconds"),
    fillsMillis: millis(options.fillsTimeout, "10 seconds")
  })
  const flattening = new Flattening(markets, guard, orders, {
    maxSlippage: Result.getOrThrow(Decimal.fromInput(options.maxSlippage ?? "0.005")),
    attempts: options.compensationAttempts ?? 8,
    timeoutMillis: millis(options.compensationTimeout, "30 seconds"),
    maxCarried: options.maxCarried === undefined ? null : Result.getOrThrow(Decimal.fromInput(options.maxCarried))
  })
  const { prepare, withBalances } = LegPreparation.make({ markets, guard, now, maxAge, isDraining: () => isDraining })
  const hub = yield* PubSub.sliding<Execution>(4_096)
  const flights = yield* FiberSet.make<Execution, ExchangeError.ExchangeError>()
  const fork = yield* FiberSet.runtime(flights)<never>()
  const background = yield* FiberSet.makeRuntime<never>()
  /** What was not known in time, and is traded away now. */
  const mends = yield* FiberSet.make<void>()
  const startMend = yield* FiberSet.runtime(mends)<never>()
  const metrics = yield* ExecutionMetrics.make
  /** By base asset, exchange and pair: where it was traded. */
  const venues = new Map<string, Map<string, FlatteningVenue>>()
  /** Base assets of orders that nobody knows, by order. */
  const unresolved = new Map<string, string>()
  /** Orders that were counted with a fee by rate. */
  const estimated = new Set<Ended>()
  const counts = { executed: 0, completed: 0, compensated: 0, nothing: 0, exposed: 0, carried: 0 }
  const refusals = new Map<string, number>()
  let inFlight = 0
  let isDraining = false
  /** Nothing more is sent, whatever becomes known. */
  let isClosed = false

  /** What the stream tells of its orders counts at once. */
  const listen = ({ account, exchange }: Island): Effect.Effect<void, never, Scope.Scope> =>
    account === null ? Effect.void : account.onEvent((event) => {
      if (event._tag === "Fill" && event.clientOrderId !== null) {
        ledger.see(exchange, event.clientOrderId, null, [event])
      }
      if (event._tag === "OrderUpdate" && event.clientOrderId !== null) {
        ledger.see(exchange, event.clientOrderId, event, [])
      }
    })

  yield* guard.onCorrection((correction) => onTaken(correction))
  yield* markets.each((island) => Effect.andThen(guard.follow(island), listen(island)))
  // Runs before the fibers are interrupted: what is under way is brought to its end.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isDraining = true
      return Effect.timeoutOption(FiberSet.awaitEmpty(flights), options.closeTimeout ?? "3 seconds")
    }).pipe(Effect.flatMap((ended) =>
      ended._tag === "Some"
        ? Effect.void
        : Effect.suspend(() =>
          Effect.logError(`the executor ended with ${inFlight} executions under way, ${textOf(left())}`)
        )
    ))
  )

  // ---- trading ----

  const mayLeave = (legs: readonly [ReadyLeg, ReadyLeg]): Effect.Effect<void, ExchangeError.ExchangeError> => {
    if (isDraining) return Effect.fail(drained(legs[0].plan))
    const away = legs.find(({ plan }) => !markets.mayTrade(plan.exchange))
    return away === undefined
      ? Effect.void
      : Effect.fail(refused(away.plan.exchange, away.plan.pair, "notReady", "nothing may be traded there any more"))
  }

  const sendBoth = ({ buy, sell }: Prepared, flight: Flight) =>
    Effect.scoped(Effect.andThen(
      guard.reserve([intentOf(buy.plan, false), intentOf(sell.plan, false)]),
      Effect.suspend(() =>
        flight.isAborted ? Effect.interrupt : Effect.andThen(
          mayLeave([buy, sell]),
          Effect.all([orders.send(buy.plan), orders.send(sell.plan)], { concurrency: 2 })
        )
      )
    ))

  const tallyOne = (ended: Ended): Effect.Effect<Moved> =>
    Effect.tap(
      orders.tally(ended),
      (moved) => Effect.sync(() => moved.isEstimated && !isUnknown(ended) ? correctLater(ended) : null)
    )

  const tally = (ended: ReadonlyArray<Ended>): Effect.Effect<ReadonlyArray<Moved>> =>
    Effect.forEach(ended, tallyOne, { concurrency: "unbounded" })

  /** What was counted with a fee by rate is put right to the last digit when its fills are told. */
  const correctLater = (ended: Ended): void => {
    estimated.add(ended)
    background(correct(ended))
  }

  const correct = Effect.fnUntraced(function*(ended: Ended) {
    const { clientOrderId, exchange } = ended.plan
    const moved = yield* orders.exact(ended)
    estimated.delete(ended)
    if (moved !== null) return ledger.count(ended.plan, moved)
    ledger.settle(ended.plan)
    const detail = `the fills of the order ${clientOrderId} on ${exchange} were not told within an hour`
    yield* Effect.logWarning(`${detail}: its fee stays as it was counted, by rate`)
  })

  /**
   * What orders have moved may be traded away from here on; `taken` of it had been taken out to be traded. What is not known
   * is counted when it is.
   */
  const keep = (asset: string, taken: Amount, sent: ReadonlyArray<Ended>, moved: ReadonlyArray<Moved>): void => {
    ledger.give(asset, taken)
    for (const [index, ended] of sent.entries()) {
      if (isUnknown(ended)) lookLater(ended, asset)
      else ledger.count(ended.plan, moved[index]!)
    }
  }

  const lastPriceOf = (moved: ReadonlyArray<Moved>): Amount | null =>
    moved.reduce<Amount | null>((last, { lastPrice }) => lastPrice ?? last, null)

  interface Swept {
    readonly orders: ReadonlyArray<Ended>
    readonly moved: ReadonlyArray<Moved>
    readonly rest: Flattened["rest"]
    readonly detail: string | null
  }

  /** Of what nobody knows nothing is traded away: it might double what is open. */
  const isInDoubt = (asset: string): boolean => [...unresolved.values()].includes(asset)

  const both = (first: Swept, second: Swept): Swept => ({
    ...second,
    orders: [...first.orders, ...second.orders],
    moved: [...first.moved, ...second.moved]
  })

  /** Trades away what is carried of an asset, as far as it is a lot; and what fees in base leave of that alike. */
  const sweep = Effect.fnUntraced(function*(
    asset: string,
    where: ReadonlyArray<FlatteningVenue>,
    within?: number
  ): Effect.fn.Return<Swept> {
    const carried = isInDoubt(asset) ? Decimal.zero : ledger.take(asset)
    const { detail, orders: sent, rest } = yield* flattening.run(carried, where, within)
    const moved = yield* tally(sent)
    keep(asset, carried, sent, moved)
    const swept: Swept = { orders: sent, moved, rest, detail }
    return sent.length === 0 || rest !== "flat" ? swept : both(swept, yield* sweep(asset, where, within))
  })

  const nobody: Flattened = { orders: [], left: Decimal.zero, rest: "flat", detail: null }

  const noteVenues = (asset: string, where: ReadonlyArray<FlatteningVenue>): void => {
    const known = venues.get(asset) ?? new Map<string, FlatteningVenue>()
    venues.set(asset, known)
    for (const venue of where) known.set(placeOf(venue.instrument), venue)
  }

  /** Where else an asset can be traded: markets that a route joins to one where it was. */
  const elsewhere = Effect.fnUntraced(function*(asset: string) {
    const known = venues.get(asset) ?? new Map<string, FlatteningVenue>()
    const [some] = known.values()
    if (some === undefined) return []
    const { lastPrice } = some
    const pairs = new Set(Array.from(known.values(), ({ instrument }) => instrument.pair))
    const joined = new Map<string, Route["first"]>()
    for (const { first, second } of monitor.routes()) {
      if (!pairs.has(first.pair) && !pairs.has(second.pair)) continue
      const [one, other] = [placeOf(first), placeOf(second)]
      if (known.has(one) && !known.has(other)) joined.set(other, second)
      if (known.has(other) && !known.has(one)) joined.set(one, first)
    }
    // What an exchange cannot say now it cannot trade now.
    const found = yield* Effect.forEach(joined.values(), ({ exchange, pair, takerFee }) => {
      const instruments = markets.current(exchange)?.market.instruments
      return instruments === undefined ? Effect.succeed([]) : Effect.match(instruments.get(pair), {
        onFailure: () => [],
        onSuccess: (instrument): ReadonlyArray<FlatteningVenue> => [
          {
            instrument,
            unit: Decimal.fromNumber(instrument.contractSize),
            feeRate: Decimal.fromNumber(takerFee),
            lastPrice
          }
        ]
      })
    })
    return found.flat()
  })

  /**
   * What neither leg's exchange takes goes to another one that does, at once or not at all: it is not waited for, and what is
   * not taken is carried on.
   */
  const sweepElsewhere = Effect.fnUntraced(function*(asset: string, swept: Swept) {
    if (swept.rest !== "flat" || isZero(ledger.carriedOf(asset))) return swept
    const there = (yield* elsewhere(asset)).filter(({ instrument }) => markets.mayTrade(instrument.exchange))
    return there.length === 0
      ? swept
      : { ...both(swept, yield* sweep(asset, there, 0)), rest: swept.rest, detail: null }
  })

  /**
   * Once everything of an asset is known, what is carried of it is traded away, wherever that can be, as far as the switch lets
   * it pass.
   */
  const mend = (asset: string): Effect.Effect<void> =>
    Effect.suspend(() =>
      isInDoubt(asset)
        ? Effect.void
        : Effect.flatMap(elsewhere(asset), (others) =>
          Effect.flatMap(
            sweep(asset, [...venues.get(asset)?.values() ?? [], ...others]),
            (swept) => isExposed(asset, swept)
          ))
    )

  const startMending = (asset: string): void => {
    if (!isClosed) startMend(mend(asset))
  }

  /** What had ended as far as was known has not: what is open by it is told loudly, and traded away. */
  const onMore = ({ clientOrderId, exchange, pair }: Plan, more: Amount): void => {
    const { base } = partsOf(pair)
    const detail = `${Decimal.toText(more)} of the order ${clientOrderId} on ${exchange} filled behind its end`
    background(Effect.andThen(expose(base, detail), Effect.sync(() => startMending(base))))
  }

  /** A position that hedged was taken by its exchange: what it covered is open, told loudly, and traded away where the switch lets it. */
  const onTaken = (correction: Correction): void => {
    const { exchange, pair } = correction
    const { base } = partsOf(pair)
    ledger.putRight(correction)
    const open = ledger.takeAway(correction)
    if (isZero(open)) return
    background(Effect.logError(
      `arbitrage is exposed in ${base}: the position in ${pair} on ${exchange} has changed by ${
        Decimal.toText(open)
      } without an order of ours (auto-deleveraging, liquidation); the other leg is traded away`
    ))
    startMending(base)
  }

  /** Nobody knows what became of it: it is asked for until somebody does, and counted and traded away then. */
  const lookLater = (ended: Ended, asset: string): void => {
    const { clientOrderId, exchange } = ended.plan
    const key = `${exchange} ${clientOrderId}`
    unresolved.set(key, asset)
    background(resolve(ended, asset, key))
  }

  const resolve = Effect.fnUntraced(function*({ plan }: Ended, asset: string, key: string) {
    const found = yield* orders.findLater(plan)
    ledger.count(found.plan, yield* tallyOne(found))
    unresolved.delete(key)
    startMending(asset)
    yield* Effect.logWarning(`the order ${plan.clientOrderId} on ${plan.exchange} is known now: ${found.outcome}`)
  })

  const expose = (asset: string, detail: string): Effect.Effect<void> =>
    Effect.andThen(
      Effect.logError(`arbitrage is exposed in ${asset}: ${detail}; look at the accounts, then revive the risk guard`),
      guard.kill(`exposed in ${asset}: ${detail}`)
    )

  /** The difference of the legs is traded away, and then what is carried, as far as it is a lot. */
  const settle = Effect.fnUntraced(function*({ asset, ...legs }: Prepared, buy: Ended, sell: Ended) {
    const where = [legs.buy.venue, legs.sell.venue]
    noteVenues(asset, where)
    const isUnclear = isUnknown(buy) || isUnknown(sell)
    const taken = isUnclear || isInDoubt(asset) ? Decimal.zero : ledger.take(asset)
    const difference = add(taken, subtract(buy.filled, sell.filled))
    // At once, by what the answers say: the fills may be told seconds later.
    const first = isUnclear ? nobody : yield* flattening.run(difference, where)
    const known = [buy, sell, ...first.orders]
    const moved = yield* tally(known)
    keep(asset, taken, known, moved)
    const rest: Swept = !isUnclear && first.rest === "flat"
      ? yield* sweepElsewhere(asset, yield* sweep(asset, where))
      : { orders: [], moved: [], rest: first.rest, detail: first.detail }
    return { ...rest, orders: [...known, ...rest.orders], moved: [...moved, ...rest.moved] } satisfies Swept
  })

  /** Tells loudly what is left open. Whether anything is. */
  const isExposed = Effect.fnUntraced(function*(asset: string, { detail, orders: sent, rest }: Swept) {
    const unknown = sent.filter(isUnknown)
    if (rest === "carried") yield* carryOn(asset, detail)
    if (unknown.length === 0 && rest !== "open") return false
    yield* expose(asset, detail ?? unknown.map((ended) => ended.detail).join("; "))
    return true
  })

  const carryOn = (asset: string, detail: string | null): Effect.Effect<void> =>
    Effect.suspend(() => {
      counts.carried++
      metrics.carried()
      return Effect.logWarning(`${asset}: ${detail}; it is worth so little that it is carried on to the next execution`)
    })

  const trade = Effect.fnUntraced(function*(prepared: Prepared, began: number, flight: Flight) {
    const { asset, opportunity } = prepared
    const startedAt = now()
    yield* withBalances([prepared.buy, prepared.sell])
    const [buy, sell] = yield* sendBoth(prepared, flight)
    const settled = yield* settle(prepared, buy, sell)
    const { moved, orders: sent } = settled
    const _tag = tagOf(buy, sell, yield* isExposed(asset, settled))
    const [bought, sold, ...compensation] = sent.map((ended, index) => resultOf(ended, moved[index]!))
    const exposure = total(moved, ({ received }) => received)
    const cash = total(moved, (one) => one.cash)
    const execution: Execution = {
      opportunity,
      _tag,
      buy: bought!,
      sell: sold!,
      compensation,
      exposure,
      cash,
      profit: add(cash, multiply(exposure, lastPriceOf(moved) ?? Decimal.zero)),
      acceptedAfterMs: Math.max(buy.answeredAt, sell.answeredAt) - began,
      startedAt,
      endedAt: now()
    }
    return execution
  }, Effect.scoped)

  const countExecution = (execution: Execution): void => {
    counts.executed++
    counts[tallies[execution._tag]]++
    metrics.executed(execution._tag)
    PubSub.publishUnsafe(hub, execution)
  }

  const countRefusal = ({ reason }: ExchangeError.ExchangeError): void => {
    const limit = reason._tag === "RiskRefused" ? reason.limit : reason._tag
    refusals.set(limit, (refusals.get(limit) ?? 0) + 1)
  }

  /** A defect behind the sending leaves everything open. */
  const broke = (asset: string) => (cause: Cause.Cause<ExchangeError.ExchangeError>): Effect.Effect<void> =>
    Cause.hasDies(cause) ? expose(asset, `the executor broke: ${Cause.pretty(cause)}`) : Effect.void

  const launch = (prepared: Prepared, began: number): Effect.Effect<Execution, ExchangeError.ExchangeError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        // Preparing takes time. What is under way from here on is waited for by whoever drains.
        if (isDraining) return Effect.fail(drained(prepared.buy.plan))
        const flight: Flight = { isAborted: false }
        inFlight++
        const flying = trade(prepared, began, flight).pipe(
          Effect.tap((execution) => Effect.sync(() => countExecution(execution))),
          Effect.tapCause(broke(prepared.asset)),
          Effect.ensuring(Effect.sync(() => inFlight--))
        )
        const fiber = fork(flying)
        return restore(Fiber.join(fiber)).pipe(Effect.onInterrupt(() => {
          flight.isAborted = true
          return Fiber.await(fiber)
        }))
      })
    )

  const execute = (opportunity: Opportunity): Effect.Effect<Execution, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const began = orders.now
      return Effect.flatMap(prepare(opportunity), (prepared) => launch(prepared, began))
    }).pipe(Effect.tapError((error) => Effect.sync(() => countRefusal(error))))

  const run = OpportunityTaking.make({ monitor, clock, execute, isDraining: () => isDraining, pauseAfterRefusal })

  const exposure = (): ReadonlyArray<Exposure> => {
    orders.look()
    return ledger.exposure
  }

  const left = (): Drained => {
    const open = exposure()
    const pending = orders.pending.map((plan): PendingOrder => {
      const { clientOrderId, exchange, pair, quantity, side, unit } = plan
      return { exchange, pair, side, clientOrderId, quantity: multiply(quantity, unit), filled: ledger.filledOf(plan) }
    })
    return { exposure: open, openOrders: pending.length, orders: pending }
  }

  /** What nobody knows yet may become known. */
  const known: Effect.Effect<void> = Effect.suspend(() =>
    unresolved.size === 0 && estimated.size === 0 ? Effect.void : Effect.andThen(Effect.sleep(resolveMillis), known)
  )

  const drain = Effect.gen(function*() {
    isDraining = true
    yield* FiberSet.awaitEmpty(flights)
    yield* Effect.timeoutOption(known, settleMillis)
    yield* FiberSet.awaitEmpty(mends)
    yield* Effect.forEach(ledger.carried, mend, { concurrency: 8, discard: true })
    return left()
  })

  const close = (within: Duration.Input): Effect.Effect<Drained> =>
    Effect.gen(function*() {
      // In fibers of their own: whoever closes may have been interrupted already.
      const draining = yield* Effect.forkDetach(Effect.timeoutOption(drain, within), { startImmediately: true })
      yield* Fiber.await(draining)
      isClosed = true
      yield* FiberSet.clear(flights)
      yield* FiberSet.clear(mends)
      return left()
    })

  return ArbitrageExecutor.of({
    execute,
    run,
    executions: Stream.fromPubSub(hub),
    exposure,
    performance: Effect.sync(() => {
      orders.look()
      return {
        ...counts,
        refused: Object.fromEntries(refusals),
        inFlight,
        unknown: isClosed ? orders.pending.length : unresolved.size,
        cash: ledger.cash,
        profit: ledger.profit
      }
    }),
    drain,
    close
  })
})

const tallies = { Completed: "completed", Compensated: "compensated", Nothing: "nothing", Exposed: "exposed" } as const

export const layer = (
  options?: ExecutorOptions
): Layer.Layer<ArbitrageExecutor, ExchangeError.ExchangeError, Markets | ArbitrageMonitor | RiskGuard> =>
  Layer.effect(ArbitrageExecutor, make(options))
