/**
 * An account of an exchange as one thing: balances, orders with their lives, fills, positions and the commands, over the
 * private stream, REST and order entry. What it shows is what the exchange has last said, reconciled after every break;
 * `health` says whether it may be trusted now. Stands on the services only.
 */
import { Clock, Context, Duration, Effect, Exit, FiberSet, Latch, Layer, Queue, Scope, Semaphore } from "effect"
import { Stream, SubscriptionRef } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { AccountRest } from "../AccountRest.ts"
import type { AccountEvent, Balance, Fill, FundingPayment, PositionMode } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { MarketRest } from "../MarketRest.ts"
import { OrderEntry } from "../OrderEntry.ts"
import { handlersFor, PrivateWebsocket } from "../PrivateWebsocket.ts"
import { Holdings } from "./Holdings.ts"
import type { TrackedOrder } from "./OrderTracker.ts"
import { OrderTracker } from "./OrderTracker.ts"
import type { HeldPosition, Terms } from "./PositionKeeper.ts"
import type { HealthState } from "./PublicExchange.ts"
import * as TrackedOrderEntry from "./TrackedOrderEntry.ts"

export interface PrivateHealth {
  readonly exchange: ExchangeId
  readonly account: string
  /**
   * `starting`: `initialize` has not returned yet. `down`: no connection that the exchange has accepted our key on.
   * `degraded`: connected, but not reconciled since the last break, or commands cannot leave.
   */
  readonly state: HealthState
  /** What is wrong, in words; empty when healthy. */
  readonly problems: ReadonlyArray<string>
  readonly isConnected: boolean
  readonly isAuthenticated: boolean
  /** Whether commands can leave now. */
  readonly canTrade: boolean
  /** When the account was last compared with the exchange, ms; null: not since the last break. */
  readonly reconciledAt: number | null
  /** Orders of which nobody knows whether they are in force. */
  readonly unknown: number
}

export class PrivateExchange extends Context.Service<PrivateExchange, {
  readonly exchange: ExchangeId
  readonly account: string
  /**
   * Opens the private stream and reads the account; returns once it has been reconciled. May be called again when it has
   * failed, or when the stream has ended for good since, as with a key that was revoked; else it does nothing.
   */
  readonly initialize: Effect.Effect<void, ExchangeError.ExchangeError>
  /** By asset; what there is nothing of may be left out. Null where the exchange's last word says nothing of it. */
  readonly balances: () => ReadonlyMap<string, Balance>
  /**
   * What there is of an asset, with what its open positions would gain at their marks; null while either is not known.
   */
  readonly equity: (asset: string) => Decimal.Decimal | null
  /**
   * By pair, those that are not flat. Fails with `UnsupportedChannel` on a spot exchange, and with `InvalidUse` where a pair
   * has a long and a short position (hedge mode): see `heldPositions`.
   */
  readonly positions: Effect.Effect<ReadonlyMap<TradingPair, HeldPosition>, ExchangeError.ExchangeError>
  /** The same, each by itself: in hedge mode a pair may have two. Fails with `UnsupportedChannel` on a spot exchange. */
  readonly heldPositions: Effect.Effect<ReadonlyArray<HeldPosition>, ExchangeError.ExchangeError>
  /** As the exchange says it when it is asked. Fails with `UnsupportedChannel` where it does not, as on spot. */
  readonly positionMode: Effect.Effect<PositionMode, ExchangeError.ExchangeError>
  /**
   * Funding of the last so long, from the exchange's own history: what was paid while the stream was away too. Fails with
   * `UnsupportedChannel` where the exchange has none, as on spot.
   */
  readonly funding: (
    within: Duration.Input
  ) => Effect.Effect<ReadonlyArray<FundingPayment>, ExchangeError.ExchangeError>
  /** Not final: `Sending`, `Unknown`, `Open`, `Canceling`. */
  readonly openOrders: () => ReadonlyArray<TrackedOrder>
  /** Whether an order has left through `orders` since this was built, or may have: else none of this program's can be open. */
  readonly hasOrdered: () => boolean
  /** By `TrackedOrder.key`, or the exchange's id behind `#`; undefined when it was never seen or was forgotten. */
  readonly order: (key: string) => TrackedOrder | undefined
  /** Final ones, newest first, the last `historySize` (1,000) of them. */
  readonly orderHistory: () => ReadonlyArray<TrackedOrder>
  /** Each change of each order, from now on. What is not read yet is held. Ends with `close`. */
  readonly orderChanges: Stream.Stream<TrackedOrder>
  /** Each fill once, in order, from now on. What is not read yet is held. Ends with `close`. */
  readonly fills: Stream.Stream<Fill>
  /**
   * Calls `consumer` synchronously with every event behind which this state has been brought up to date, until the scope
   * closes. Keep it short; one that throws is logged, and the others go on.
   */
  readonly onEvent: (consumer: (event: AccountEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Order entry whose orders are tracked from the moment they are handed over: the same service, to be used in its place. */
  readonly orders: OrderEntry["Service"]
  /**
   * Pairs whose open orders and fills are looked up from now on where the exchange asks for a pair (MEXC), beside those of
   * the account's option `reconcilePairs` and those seen. Elsewhere everything is looked up anyway. There is no way back:
   * what may have orders must not be left out.
   */
  readonly add: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void, ExchangeError.ExchangeError>
  /** Compares with the exchange now. */
  readonly refresh: Effect.Effect<void, ExchangeError.ExchangeError>
  readonly health: Effect.Effect<PrivateHealth>
  /** Every change of `health.state`, beginning with the present one. Ends with `close`. */
  readonly healthChanges: Stream.Stream<PrivateHealth>
  /** Ends the private stream; orders that are open stay open. */
  readonly close: Effect.Effect<void>
}>()("effect-exchange/PrivateExchange") {}

export interface PrivateExchangeOptions {
  /** So many final orders are kept. Default 1,000. */
  readonly historySize?: number | undefined
  /** Mark price of a perpetual, quote; null while none is known. Without it there is no unrealised PnL and no equity. */
  readonly mark?: ((pair: TradingPair) => number | null) | undefined
  /** See `add`. */
  readonly pairs?: ReadonlyArray<TradingPair> | undefined
  /**
   * A command whose caller was interrupted may have left: the exchange is asked for its order for so long before it counts
   * as never sent. Longer than a request may take to arrive. Default 30 s.
   */
  readonly lookFor?: Duration.Input | undefined
}

/** How often the state of the connection and of order entry is looked at when nothing has been told of it, ms. */
const lookEvery = 250

/** While a break is not closed or commands cannot leave, ms. */
const lookSoon = 50

/** The longest from one comparison that has failed to the next, ms. */
const longestRest = 2_000

const unknownTerms: Omit<Terms, "pair"> = { contractSize: Decimal.of("1"), maintenanceRate: null }

interface Listener<A> {
  readonly call: (value: A) => void
  isOver: boolean
}

/**
 * Listeners that are called in turn; one that throws is reported and the others go on. An array, which is replaced: what has
 * come and gone in a long-lived `Set` is kept by its former tables until a full garbage collection.
 */
class Listeners<A> {
  #all: ReadonlyArray<Listener<A>> = []
  readonly #onFailure: (error: unknown) => void

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  readonly add = (call: (value: A) => void): Effect.Effect<void, never, Scope.Scope> =>
    Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => {
        const listener: Listener<A> = { call, isOver: false }
        this.#all = [...this.#all, listener]
        return listener
      }),
      (listener) =>
        Effect.sync(() => {
          listener.isOver = true
          this.#all = this.#all.filter((other) => other !== listener)
        })
    ))

  readonly tell = (value: A): void => {
    for (const listener of this.#all) {
      if (listener.isOver) continue
      try {
        listener.call(value)
      } catch (error) {
        this.#onFailure(error)
      }
    }
  }
}

/** `lost`: the private stream has ended for good, and is opened again only when somebody asks. */
type Phase = "starting" | "open" | "lost" | "closed"

interface Facts extends Pick<PrivateHealth, "isAuthenticated" | "isConnected" | "canTrade" | "reconciledAt"> {
  readonly phase: Phase
  /** The last failure to connect or to reconcile; null since it went well. */
  readonly failure: string | null
}

const problemsOf = ({ canTrade, failure, isAuthenticated, isConnected, phase, reconciledAt }: Facts) => {
  if (phase === "closed") return ["it was closed"]
  const why = failure === null ? "" : `: ${failure}`
  const problems: Array<string> = []
  if (phase === "lost") problems.push(`the private stream has ended, initialize opens it again${why}`)
  else if (!isConnected) problems.push(`the private stream is not connected${why}`)
  else if (!isAuthenticated) problems.push(`the exchange has not accepted our key yet${why}`)
  else if (reconciledAt === null) problems.push(`the account is not reconciled since the last break${why}`)
  if (!canTrade) problems.push("commands cannot leave: order entry is not connected")
  return problems
}

const stateOf = ({ isAuthenticated, phase }: Facts, problems: ReadonlyArray<string>): HealthState => {
  if (phase === "starting" || phase === "closed") return phase
  if (phase === "lost" || !isAuthenticated) return "down"
  return problems.length === 0 ? "healthy" : "degraded"
}

export const make = Effect.fnUntraced(function*(
  options: PrivateExchangeOptions = {}
): Effect.fn.Return<
  PrivateExchange["Service"],
  never,
  PrivateWebsocket | OrderEntry | AccountRest | MarketRest | Scope.Scope
> {
  const websocket = yield* PrivateWebsocket
  const entry = yield* OrderEntry
  const rest = yield* AccountRest
  const market = yield* MarketRest
  const clock = yield* Clock.Clock
  const layerScope = yield* Effect.scope
  const fork = yield* FiberSet.makeRuntime<never>()
  const { account, exchange } = websocket
  const hasPositions = websocket.channels.has("Positions")
  const now = (): number => clock.currentTimeMillisUnsafe()
  const log = (text: string, error?: unknown): void => {
    fork(
      error === undefined
        ? Effect.logWarning(`[${exchange}] ${account}: ${text}`)
        : Effect.logError(`[${exchange}] ${account}: ${text}`, error)
    )
  }

  const failed = (error: unknown): void => log("a consumer failed; the others go on", error)
  const events = new Listeners<AccountEvent>(failed)
  const fills = new Listeners<Fill>(failed)
  const orderChanges = new Listeners<TrackedOrder>(failed)
  const terms = new Map<string, Omit<Terms, "pair">>()
  const termsOf = (symbol: string): Omit<Terms, "pair"> => terms.get(symbol) ?? unknownTerms
  const holdings = new Holdings(termsOf, options.mark ?? (() => null))
  const tracker = new OrderTracker({
    elapsed: () => monotonicMillis(clock),
    exchange,
    account,
    historySize: Math.max(0, options.historySize ?? 1_000),
    contractSizeOf: (symbol) => termsOf(symbol).contractSize,
    onChange: orderChanges.tell,
    onContradiction: ({ clientOrderId, orderId }) =>
      log(`the exchange tells of the order ${clientOrderId} (#${orderId}), which it had refused or never got`)
  })

  let phase: Phase = "starting"
  let isOpened = false
  let isWatched = false
  /** Breaks so far; a comparison that began before the last one proves nothing. */
  let breaks = 0
  let reconciledAt: number | null = null
  let failure: string | null = null
  const ended = Latch.makeUnsafe(false)
  const changed = Latch.makeUnsafe(false)

  const closed = ExchangeError.make(
    exchange,
    new ExchangeError.Closed({ detail: "the account's composite was closed; build its Layer anew" })
  )

  // -- what the stream tells --

  const take = (event: AccountEvent): void => {
    if (event._tag === "OrderUpdate") tracker.told(event, event.receivedAt, "stream")
    else if (event._tag === "Fill") {
      tracker.filled(event, event.receivedAt)
      holdings.onFill(event)
    } else if (event._tag === "Balance") holdings.balances.set(event.asset, event)
    else if (event._tag === "Position" && !holdings.onPosition(event)) {
      log(`a position in ${event.symbol}, which the exchange does not list, is not shown`)
    }
    events.tell(event)
    if (event._tag === "Fill") fills.tell(event)
  }

  const broken = (): void => {
    breaks++
    reconciledAt = null
    changed.openUnsafe()
  }

  const handlers = handlersFor(websocket.channels, {
    onOrder: take,
    onFill: take,
    onBalance: take,
    onPosition: take,
    onLeverage: take,
    onAutoDeleverage: take,
    onPositionClose: take,
    onGap: broken,
    onStatus: (status: { readonly _tag: string; readonly message?: string }) => {
      if (status._tag === "Disconnected") failure = status.message ?? null
      changed.openUnsafe()
    }
  })

  // -- reconciliation --

  /** Orders that the stream does not tell of. What cannot be read now is asked next time. */
  const ask = (which: "all" | "due"): Effect.Effect<void> =>
    Effect.suspend(() =>
      Effect.forEach(tracker.toAsk(now(), which), ({ fills: [fill], key, order, pair }) => {
        const orderId = (order ?? fill)!.orderId
        if (pair === null) return Effect.void
        const trigger = order !== null && order.triggerPrice !== null ? true : undefined
        return Effect.match(entry.get({ pair, orderId, trigger }), {
          onFailure: ({ message }) => log(`what became of the order ${key} cannot be read now: ${message}`),
          onSuccess: (found) => found === null ? tracker.missing(key, now()) : tracker.told(found, now(), "answer")
        })
      }, { concurrency: 4, discard: true })
    )

  const gate = Semaphore.makeUnsafe(1)

  /** Compares, and is current again when no break has come meanwhile. */
  const compare: Effect.Effect<void, ExchangeError.ExchangeError> = gate.withPermits(1)(Effect.gen(function*() {
    const before = breaks
    yield* websocket.reconcile
    yield* ask("all")
    if (breaks !== before || !(yield* websocket.isAuthenticated)) return
    reconciledAt = now()
    failure = null
    changed.openUnsafe()
  })).pipe(Effect.tapError((error) =>
    Effect.sync(() => {
      failure = error.message
    })
  ))

  // -- health --

  const health = Effect.gen(function*() {
    const isConnected = yield* websocket.isConnected
    const isAuthenticated = yield* websocket.isAuthenticated
    const canTrade = phase !== "closed" && (yield* entry.isReady)
    const { reconciliation } = yield* websocket.performance
    const at = reconciledAt === null ? null : Math.max(reconciledAt, reconciliation.lastAt ?? 0)
    const seen = { isConnected, isAuthenticated, canTrade, reconciledAt: at }
    const facts: Facts = { ...seen, phase, failure }
    const problems = problemsOf(facts)
    return { exchange, account, ...seen, unknown: tracker.unknown(), problems, state: stateOf(facts, problems) }
  })
  const board = yield* SubscriptionRef.make<PrivateHealth>(yield* health)

  const announce = Effect.gen(function*() {
    const next = yield* health
    if (next.state !== SubscriptionRef.getUnsafe(board).state) yield* SubscriptionRef.set(board, next)
  })

  const isBroken = (): boolean => phase === "open" && reconciledAt === null

  /** Attempts in a row that have failed. */
  let attempts = 0

  const mend = Effect.gen(function*() {
    if (!isBroken()) {
      attempts = 0
      return
    }
    if (!(yield* websocket.isAuthenticated)) return
    const exit = yield* Effect.exit(compare)
    attempts = Exit.isSuccess(exit) ? 0 : attempts + 1
    if (attempts > 0) log(`the account is not reconciled, and tried again: ${failure}`)
  })

  const restMillis = (): number => {
    if (attempts > 0) return Math.min(longestRest, 100 * 2 ** Math.min(attempts, 6))
    return isBroken() || !SubscriptionRef.getUnsafe(board).canTrade ? lookSoon : lookEvery
  }

  /** Closes each break as soon as the connection stands again, however often that takes. */
  const watch = Effect.gen(function*() {
    while (phase !== "closed") {
      changed.closeUnsafe()
      yield* mend
      yield* ask("due")
      yield* announce
      yield* Effect.timeoutOption(changed.await, restMillis())
    }
  })

  // -- the service --

  const readTerms = Effect.gen(function*() {
    if (!hasPositions || terms.size > 0) return
    for (const { contractSize, maintenanceRate, symbol, takerFeeRate } of yield* market.instruments) {
      terms.set(symbol, {
        contractSize: Decimal.fromNumber(contractSize),
        maintenanceRate: maintenanceRate === undefined ? null : Decimal.fromNumber(maintenanceRate),
        closingFeeRate: takerFeeRate === undefined ? undefined : Decimal.fromNumber(takerFeeRate)
      })
    }
  })

  const orders = TrackedOrderEntry.make(
    entry,
    tracker,
    now,
    (effect) => void fork(Effect.asVoid(effect)),
    Duration.toMillis(options.lookFor ?? "30 seconds")
  )

  /** Looking up a pair's orders makes reconciliation look it up from then on. */
  const add = (pairs: ReadonlyArray<TradingPair>): Effect.Effect<void, ExchangeError.ExchangeError> =>
    rest.needsPair ? Effect.forEach(pairs, (pair) => orders.openOrders(pair), { discard: true }) : Effect.void

  /** The stream ends by itself only for good. */
  const lapsed = (scope: Scope.Closeable, exit: Exit.Exit<unknown, ExchangeError.ExchangeError>) =>
    Effect.suspend(() => {
      isOpened = false
      if (phase !== "closed") {
        phase = "lost"
        const error = Exit.findErrorOption(exit)
        failure = error._tag === "Some" ? error.value.message : "it was closed"
        broken()
      }
      return Scope.close(scope, Exit.void)
    })

  const openStream = Effect.gen(function*() {
    const scope = yield* Scope.fork(layerScope)
    yield* websocket.handle(handlers).pipe(
      Scope.provide(scope),
      Effect.andThen(websocket.initialize()),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    isOpened = true
    const watched = Effect.exit(Stream.runDrain(websocket.events))
    yield* Effect.forkIn(Effect.flatMap(watched, (exit) => lapsed(scope, exit)), layerScope, { startImmediately: true })
  })

  const open = Effect.gen(function*() {
    if (phase === "closed") return yield* closed
    if (phase === "open") return
    yield* readTerms
    if (!isOpened) yield* openStream
    yield* add(options.pairs ?? [])
    yield* compare
    while (reconciledAt === null) {
      // It broke meanwhile.
      yield* Effect.sleep(lookSoon)
      yield* compare
    }
    phase = "open"
    yield* announce
    if (!isWatched) yield* Effect.forkIn(watch, layerScope)
    isWatched = true
  })

  const opening = Semaphore.makeUnsafe(1)

  const end = (stream: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.suspend(() => {
      phase = "closed"
      changed.openUnsafe()
      return Effect.andThen(stream, Effect.andThen(announce, ended.open))
    })

  const streamOf = <A>(listeners: Listeners<A>): Stream.Stream<A> =>
    Stream.callback<A>((queue) =>
      Effect.andThen(
        listeners.add((value) => void Queue.offerUnsafe(queue, value)),
        Effect.forkScoped(Effect.andThen(ended.await, Effect.sync(() => Queue.endUnsafe(queue))))
      ), { bufferSize: Number.POSITIVE_INFINITY })

  const unsupported = ExchangeError.make(
    exchange,
    new ExchangeError.UnsupportedChannel({
      channel: "Positions",
      detail: `a spot account has no positions; it has ${[...websocket.channels].join(", ")}`
    })
  )

  const heldPositions = Effect.suspend(() =>
    hasPositions ? Effect.succeed(holdings.positions()) : Effect.fail(unsupported)
  )

  const positions = Effect.flatMap(heldPositions, (held) => {
    const found = new Map<TradingPair, HeldPosition>()
    for (const position of held) {
      if (found.has(position.pair)) {
        const detail = `${position.pair} has a long and a short position (hedge mode): heldPositions has both`
        return Effect.fail(ExchangeError.make(exchange, new ExchangeError.InvalidUse({ detail })))
      }
      found.set(position.pair, position)
    }
    return Effect.succeed<ReadonlyMap<TradingPair, HeldPosition>>(found)
  })

  // The stream is another service's: it goes on for others when this Layer alone ends.
  yield* Effect.addFinalizer(() => end(Effect.void))

  return PrivateExchange.of({
    exchange,
    account,
    initialize: opening.withPermits(1)(open),
    balances: () => holdings.balances,
    equity: (asset) => holdings.equity(asset),
    positions,
    heldPositions,
    positionMode: rest.positionMode,
    funding: (within) => rest.funding(within),
    openOrders: () => tracker.open(),
    hasOrdered: () => tracker.placements > 0,
    order: (key) => tracker.get(key),
    orderHistory: () => tracker.history(),
    orderChanges: streamOf(orderChanges),
    fills: streamOf(fills),
    onEvent: events.add,
    orders,
    add,
    refresh: Effect.suspend(() => phase === "closed" ? Effect.fail(closed) : compare),
    health,
    healthChanges: Stream.takeUntil(SubscriptionRef.changes(board), ({ state }) => state === "closed"),
    close: end(websocket.close)
  })
})

/** Opens nothing before `initialize`. */
export const layer = (
  options?: PrivateExchangeOptions
): Layer.Layer<PrivateExchange, never, PrivateWebsocket | OrderEntry | AccountRest | MarketRest> =>
  Layer.effect(PrivateExchange, make(options))
