/**
 * The program of the demo: three markets as islands, the edges between them, and both legs of each traded on simulated
 * accounts, through limits that every order passes. Against the real exchanges the same program runs on other Layers: on
 * those without an account nothing is traded.
 */
import { Clock, Effect, Fiber, Latch, Layer, Option, Schedule, Stream } from "effect"
import type { Duration, Scope } from "effect"
import * as ArbitrageExecutor from "../../arbitrage/ArbitrageExecutor.ts"
import * as ArbitrageMonitor from "../../arbitrage/ArbitrageMonitor.ts"
import * as RiskGuard from "../../arbitrage/RiskGuard.ts"
import type { Definition, Island } from "../../composite/Markets.ts"
import * as Markets from "../../composite/Markets.ts"
import type { Order } from "../../domain/Account.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import type { KnownExchange } from "../../Exchanges.ts"
import type { Outcome } from "../../OrderEntry.ts"
import { MayLeave, OrderEntry } from "../../OrderEntry.ts"
import { handlersFor, PrivateWebsocket } from "../../PrivateWebsocket.ts"
import { PublicWebsocket } from "../../PublicWebsocket.ts"
import type { AccountBoard } from "../account/AccountBoard.ts"
import * as AccountSource from "../account/AccountSource.ts"
import type * as Failure from "../Failure.ts"
import * as Refusal from "../Refusal.ts"
import * as StatusLog from "../StatusLog.ts"
import type { ArbitrageBoard } from "./ArbitrageBoard.ts"
import type { ExchangeBoard } from "./Board.ts"
import type { Pairs, Source } from "./Source.ts"
import { fees, pairsOn } from "./Source.ts"

/** One exchange and what is shown of it; no account where nothing is traded. */
export interface Shown {
  readonly board: ExchangeBoard<KnownExchange>
  readonly account: AccountBoard | null
}

export interface Options {
  readonly shown: ReadonlyArray<Shown>
  readonly arbitrage: ArbitrageBoard
  /** Spot pairs. */
  readonly pairs: Pairs
  readonly source: Source
  readonly seed: number
  /** A kill switch that was thrown is taken back after so long; left out: by nobody. */
  readonly reviveAfter?: Duration.Input | undefined
}

const refreshEvery = "250 millis"

/** Beside the edges: a few resting orders on the last pair, so that there are open orders to see. It is in no route. */
const restingPair = (pairs: Pairs): TradingPair | null => pairs.length > 1 ? pairs.at(-1)! : null

const limits: RiskGuard.RiskOptions = {
  global: { maxNotional: "200000", maxLoss: "2000" },
  exchanges: Object.fromEntries(Object.keys(fees).map((id) => [id, { maxOpenOrders: 50, maxOrderNotional: "5000" }]))
}

/** How long the end may take: what is under way first, then orders that are open; sockets take a second at most behind it. */
const drainTimeout = "2 seconds"
const stopTimeout = "1 second"
const traderTimeout = "1 second"

/** Keeps the board up to date from an island's own services, as long as those stand. */
const watchMarket = (board: ExchangeBoard) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* StatusLog.follow(websocket.status)
    yield* Effect.forkScoped(
      Stream.runForEach(websocket.status, (status) => Effect.sync(() => board.connections.onStatus(status)))
    )
    const count = Effect.map(websocket.performance, (performance) => board.count(performance))
    yield* Effect.addFinalizer(() => count)
    yield* Effect.forkScoped(Effect.schedule(count, Schedule.spaced(refreshEvery)))
  }))

/** The same of an account, where the Layers bring one. */
const watchAccount = (board: AccountBoard | null) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const websocket = Option.getOrNull(yield* Effect.serviceOption(PrivateWebsocket))
    if (websocket === null || board === null) return
    board.begin()
    yield* websocket.handle(handlersFor(websocket.channels, board.handlers))
    yield* StatusLog.follow(websocket.status, `account ${board.account}, `)
    const refresh = Effect.gen(function*() {
      board.performance = yield* websocket.performance
      board.isAuthenticated = yield* websocket.isAuthenticated
    })
    yield* Effect.addFinalizer(() => refresh)
    yield* Effect.forkScoped(Effect.schedule(refresh, Schedule.spaced(refreshEvery)))
  }))

const definitionOf = ({ account, board }: Shown, { pairs, source }: Options): Definition => ({
  layer: Layer.provideMerge(Layer.merge(watchMarket(board), watchAccount(account)), source.layerOf(board.id)),
  pairs: pairsOn(board.id, pairs)
})

/** The Layers of the program, over nothing but its exchanges. */
const layerOf = (options: Options) => {
  const { pairs, shown } = options
  const resting = restingPair(pairs)
  const markets = Markets.layer(
    Object.fromEntries(shown.map((each) => [each.board.id, definitionOf(each, options)])),
    { stopTimeout }
  )
  const wanted = new Set<TradingPair>(pairs.filter((pair) => pair !== resting))
  const monitor = ArbitrageMonitor.layer({
    routes: { fees, filter: ({ first }) => wanted.has(spotOf(first.pair)) },
    maxNotional: 1_000,
    minProfit: 0.05,
    maxAgeMs: 3_000,
    maxSkewMs: 3_000
  })
  return ArbitrageExecutor.layer().pipe(
    Layer.provideMerge(Layer.merge(monitor, RiskGuard.layer(limits))),
    Layer.provideMerge(markets)
  )
}

/** `BTC/USDT` of `BTC/USDT:USDT`. */
const spotOf = (pair: TradingPair): TradingPair => pair.split(":")[0] as TradingPair

type Services =
  | ArbitrageExecutor.ArbitrageExecutor
  | ArbitrageMonitor.ArbitrageMonitor
  | Markets.Markets
  | RiskGuard.RiskGuard

const byProfit = (a: { readonly profit: number }, b: { readonly profit: number }): number => b.profit - a.profit

/** Whether there is, or was, an account to trade on. */
const mayTrade = ({ arbitrage, shown }: Options): Effect.Effect<boolean, never, Markets.Markets> =>
  Markets.Markets.useSync((markets) =>
    arbitrage.executor !== null || shown.some(({ board }) => (markets.current(board.id)?.account ?? null) !== null)
  )

/** What orders have moved, also what was told while the markets were being stopped. */
const recount = Effect.fnUntraced(function*(options: Options) {
  const { arbitrage } = options
  if (!(yield* mayTrade(options))) return
  const executor = yield* ArbitrageExecutor.ArbitrageExecutor
  arbitrage.executor = yield* executor.performance
  arbitrage.exposure = executor.exposure()
})

/** Copies what is known now onto the boards. */
const refresh = Effect.fnUntraced(function*(options: Options) {
  const { arbitrage, pairs, shown } = options
  const markets = yield* Markets.Markets
  for (const { board } of shown) {
    const market = markets.current(board.id)?.market
    if (market === undefined) continue
    board.look(market, pairsOn(board.id, pairs))
    board.books = yield* market.books.status
    board.rejected.clear()
    for (const [pair, error] of (yield* market.health).refused) board.rejected.set(pair, error.message)
  }
  const monitor = yield* ArbitrageMonitor.ArbitrageMonitor
  arbitrage.monitor = yield* monitor.performance
  arbitrage.open = monitor.open().toSorted(byProfit)
  yield* recount(options)
  if (arbitrage.executor === null) return
  const guard = yield* RiskGuard.RiskGuard
  arbitrage.risk = guard.state()
  arbitrage.reasons = [...arbitrage.risk.reasons, ...arbitrage.risk.exchangeReasons]
})

/** Those who place orders of their own. */
interface Traders {
  readonly fibers: Set<Fiber.Fiber<unknown, unknown>>
  /** What waits for its turn leaves no more. */
  isEnding: boolean
  /** Open: nobody waits for an answer any more. */
  readonly cut: Latch.Latch
}

/** At the end what has not left stays here, and nobody waits for what has, when it is cut short. */
const cutBy = (entry: OrderEntry["Service"], traders: Traders): OrderEntry["Service"] => {
  const closed = ExchangeError.make(
    entry.exchange,
    new ExchangeError.Closed({ detail: "the program is shutting down, nothing was sent" })
  )
  const cuttable = <A, E>(command: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.raceFirst(Effect.interruptible(command), Effect.andThen(traders.cut.await, Effect.interrupt))
  const outcomeOf = (outcome: Outcome<Order>): Outcome<Order> =>
    outcome._tag === "Unknown" ? { ...outcome, resolved: cuttable(outcome.resolved) } : outcome
  const leaving = <A, E>(command: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    cuttable(Effect.provideService(command, MayLeave, () => traders.isEnding ? closed : null))
  return {
    ...entry,
    place: (request) =>
      Effect.map(leaving(entry.place(request)), (placed) => ({ ...placed, outcome: outcomeOf(placed.outcome) })),
    cancel: (ref) => Effect.map(leaving(entry.cancel(ref)), outcomeOf),
    amend: (ref, amendment) => Effect.map(leaving(entry.amend(ref, amendment)), outcomeOf)
  }
}

/** Nothing new; what is under way is waited for a while. */
const endTraders = (traders: Traders): Effect.Effect<void> =>
  Effect.gen(function*() {
    traders.isEnding = true
    const fibers = [...traders.fibers]
    for (const fiber of fibers) fiber.interruptUnsafe()
    const ended = Effect.forEach(fibers, Fiber.await, { discard: true })
    yield* Fiber.await(yield* Effect.forkDetach(Effect.timeoutOption(ended, traderTimeout)))
    traders.cut.openUnsafe()
    yield* ended
  })

/** Resting orders through the guard, as long as the island stands (its scope) and from when it may be traded. */
const rest = Effect.fnUntraced(function*(
  { pairs, seed, shown }: Options,
  traders: Traders,
  { guard, markets }: { readonly guard: RiskGuard.RiskGuard["Service"]; readonly markets: Markets.Markets["Service"] },
  { account, exchange, market }: Island
): Effect.fn.Return<void, never, Scope.Scope> {
  const resting = restingPair(pairs)
  const one = shown.find(({ board }) => board.id === exchange)
  if (account === null || resting === null || one === undefined || one.account === null) return
  const { account: held, board } = one
  const trading = AccountSource.tradeOn(
    yield* Effect.orElseSucceed(Effect.map(market.instruments.all, (all) => [...all.values()]), () => []),
    {
      pairs: pairsOn(board.id, [resting]),
      quote: (of) => {
        const best = market.bestPrice(of)
        return best === null ? null : { bid: best.bidPrice, ask: best.askPrice }
      },
      openOrders: () => [...held.openOrders.values()],
      seed
    }
  )
  const entry = cutBy(guard.guarded(account.orders), traders)
  // One that is being stopped is traded no more.
  const whenReady = Effect.matchEffect(markets.get(exchange), {
    onFailure: () => Effect.void,
    onSuccess: () => trading
  })
  const fiber = yield* Effect.forkDetach(Effect.provideService(whenReady, OrderEntry, entry))
  traders.fibers.add(fiber)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      traders.fibers.delete(fiber)
      fiber.interruptUnsafe()
    })
  )
})

/** Notes what has thrown the kill switch, and takes it back where somebody is to have looked after it. */
const look = Effect.fnUntraced(function*({ arbitrage, reviveAfter }: Options) {
  const guard = yield* RiskGuard.RiskGuard
  yield* Stream.runForEach(guard.kills, ({ reason }) => {
    arbitrage.onKill(reason)
    return reviveAfter === undefined ? Effect.void : Effect.andThen(Effect.sleep(reviveAfter), guard.revive)
  })
})

/** Until every exchange has been given up: then the first reason is told. */
const untilAllFailed = Effect.fnUntraced(function*({ shown }: Options): Effect.fn.Return<
  void,
  Failure.CommandFailed,
  Markets.Markets
> {
  const markets = yield* Markets.Markets
  yield* Stream.runForEach(markets.changes, (state) => {
    const board = shown.find((each) => each.board.id === state.exchange)?.board
    board?.onIsland(state)
    if (state._tag === "Failed") board?.leave()
    const [first, ...others] = shown.map(({ board }) => board.island)
    const all = [first, ...others].every((island) => island?._tag === "Failed" && island.retryIn === null)
    return all && first?._tag === "Failed" ? Effect.fail(Refusal.failure(first.error)) : Effect.void
  })
})

/** No new orders, what is under way to its end, what is open cancelled, sockets closed. */
const shutdown = Effect.fnUntraced(function*(options: Options, traders: Traders) {
  const { arbitrage } = options
  const began = yield* Clock.currentTimeMillis
  const executor = yield* ArbitrageExecutor.ArbitrageExecutor
  const [drained] = yield* Effect.all([executor.close(drainTimeout), endTraders(traders)], { concurrency: 2 })
  // The last figures and states are those from before the markets close.
  yield* refresh(options)
  if (arbitrage.executor !== null) arbitrage.drained = drained
  const restore = options.shown.map(({ account, board }) => {
    const books = new Map(pairsOn(board.id, options.pairs).map((pair) => [pair, board.bookOf(pair)]))
    const status = account?.status ?? null
    return () => {
      board.bookOf = (pair) => books.get(pair)
      account?.end(status)
    }
  })
  arbitrage.left = yield* (yield* Markets.Markets).stop("cancel")
  yield* recount(options)
  for (const one of restore) one()
  arbitrage.endedInMs = (yield* Clock.currentTimeMillis) - began
})

const body = (options: Options): Effect.Effect<never, Failure.CommandFailed, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const { arbitrage } = options
    const markets = yield* Markets.Markets
    const monitor = yield* ArbitrageMonitor.ArbitrageMonitor
    const guard = yield* RiskGuard.RiskGuard
    yield* monitor.handle((event) => arbitrage.onOpportunity(event))
    yield* Effect.forkScoped(Effect.schedule(refresh(options), Schedule.spaced(refreshEvery)))
    const executor = yield* ArbitrageExecutor.ArbitrageExecutor
    yield* Effect.forkScoped(
      Stream.runForEach(executor.executions, (execution) => Effect.sync(() => arbitrage.onExecution(execution)))
    )
    yield* Effect.forkScoped(Effect.mapError(executor.run, Refusal.failure))
    yield* Effect.forkScoped(look(options))
    const traders: Traders = { fibers: new Set(), isEnding: false, cut: Latch.makeUnsafe(false) }
    yield* markets.each((island) => rest(options, traders, { guard, markets }, island))
    // Comes first at the end, before anything waits for what is under way.
    yield* Effect.addFinalizer(() => shutdown(options, traders))
    yield* untilAllFailed(options)
    return yield* Effect.never
  })

/** Runs until it is interrupted, every exchange has been given up, or the source is gone. */
export const run = (options: Options): Effect.Effect<never, Failure.CommandFailed> =>
  Effect.raceFirst(body(options), options.source.watch).pipe(
    Effect.scoped,
    Effect.provide(layerOf(options)),
    Effect.catchTag("ExchangeError", (error) => Effect.fail(Refusal.failure(error)))
  )
