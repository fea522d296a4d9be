/** `exchange demo`: two spot markets side by side and the perpetuals of a third, from the simulator or live. */
import { Array, Clock, Deferred, Effect, Exit, Option, Schedule } from "effect"
import type { Config, Layer, Stdio } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Command, Flag, TerminalCapabilities } from "effect/cli"
import * as OrderBooks from "../composite/OrderBooks.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import * as Exchanges from "../Exchanges.ts"
import type { KnownExchange } from "../Exchanges.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import { AccountBoard } from "./account/AccountBoard.ts"
import * as AccountShow from "./account/AccountShow.ts"
import * as AccountSource from "./account/AccountSource.ts"
import type { Quote } from "./account/Trader.ts"
import { ExchangeBoard } from "./Board.ts"
import { DemoView, perpetualOf } from "./DemoView.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Live from "./Live.ts"
import * as Logging from "./Logging.ts"
import * as Refusal from "./Refusal.ts"
import * as Simulate from "./Simulate.ts"
import * as SimulatorProcess from "./SimulatorProcess.ts"
import * as StatusLog from "./StatusLog.ts"
import * as Stdout from "./Stdout.ts"
import * as Style from "./Style.ts"
import * as Telemetry from "./Telemetry.ts"

const defaultPairs: NonEmptyReadonlyArray<TradingPair> = [
  "BTC/USDT",
  "ETH/USDT",
  "SOL/USDT",
  "XRP/USDT",
  "DOGE/USDT",
  "ADA/USDT",
  "AVAX/USDT",
  "LINK/USDT",
  "LTC/USDT",
  "DOT/USDT"
]

type Pairs = NonEmptyReadonlyArray<TradingPair>

/** Copies what the session has counted onto the board. */
const refresh = (board: ExchangeBoard, books: OrderBooks.OrderBooks["Service"]) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    board.performance = yield* websocket.performance
    board.books = yield* books.status
  })

/** Keeps an exchange's side of the board, until the exchange refuses for good. */
const follow = Effect.fnUntraced(function*(board: ExchangeBoard, named: Pairs) {
  const isSwap = board.kind === "swap"
  const pairs: Pairs = isSwap ? Array.map(named, perpetualOf) : named
  const websocket = yield* PublicWebsocket
  yield* websocket.handle(board.handlers)
  const books = yield* OrderBooks.make(pairs)
  board.bookOf = books.get
  yield* StatusLog.start
  const update = refresh(board, books)
  // Runs first when all this is closed: the last figures and states are those from before.
  yield* Effect.addFinalizer(() => {
    const last = new Map(pairs.map((pair) => [pair, books.get(pair)]))
    board.bookOf = (pair) => last.get(pair)
    return update
  })
  yield* Effect.forkScoped(Effect.schedule(update, Schedule.spaced("250 millis")))
  const { rejected } = yield* websocket.initialize(pairs, isSwap ? ["BookTicker", "FuturesTicker"] : ["BookTicker"])
  for (const [pair, error] of rejected) {
    board.rejected.set(pair, error.message)
    yield* Effect.logWarning(error.message)
  }
  return yield* Effect.never
}, Effect.scoped)

/** Spot pairs, or the perpetuals on them. */
const pairsOn = (
  { kind }: Pick<ExchangeBoard, "kind">,
  named: ReadonlyArray<TradingPair>
): ReadonlyArray<TradingPair> => kind === "swap" ? named.map(perpetualOf) : named

interface Source {
  readonly layerOf: (id: KnownExchange) => Layer.Layer<Exchanges.MarketServices, Config.ConfigError>
  /** Null where there is no account to show: a real one is for `exchange account`. */
  readonly accountOf: ((id: KnownExchange) => Layer.Layer<Exchanges.AccountServices, ExchangeError>) | null
  /** Fails when the source is gone. */
  readonly watch: Effect.Effect<never, Failure.CommandFailed>
}

/** Follows every exchange; one that fails leaves the others alone, and when all have failed the first reason is told. */
const followAll = Effect.fnUntraced(function*(
  boards: ReadonlyArray<ExchangeBoard<KnownExchange>>,
  pairs: Pairs,
  { layerOf }: Source
) {
  const failures = yield* Effect.forEach(
    boards,
    (board) =>
      follow(board, pairs).pipe(
        Effect.mapError(Refusal.failure),
        Effect.provide(layerOf(board.id)),
        Effect.catchTag("ConfigError", (error) => Effect.fail(Failure.configuration(error))),
        Effect.flip,
        Effect.tap((failure) => {
          board.failure = failure.message
          return Effect.logWarning(failure.message)
        })
      ),
    { concurrency: "unbounded" }
  )
  return yield* failures[0]!
})

/** Of the pairs that are shown. */
const tradedPairs = 3

const quoteOn = (board: ExchangeBoard) => (pair: TradingPair): Quote | null => {
  const ticker = board.tickers.get(pair)
  if (ticker === undefined || ticker.bidPrice === null || ticker.askPrice === null) return null
  return { bid: ticker.bidPrice, ask: ticker.askPrice }
}

/** Trades on each account for ever. What fails is told there and touches nothing else. */
const tradeAll = (prepared: Prepared, named: Pairs, seed: number, { accountOf }: Source): Effect.Effect<void> => {
  if (accountOf === null) return Effect.void
  const one = ({ board, market }: Account) => {
    const trading = AccountSource.tradeWith({
      pairs: pairsOn(market, named.slice(0, tradedPairs)),
      quote: quoteOn(market),
      openOrders: () => [...board.openOrders.values()],
      seed
    })
    return AccountShow.follow(board, undefined, trading).pipe(
      Effect.scoped,
      Effect.provide(accountOf(market.id)),
      Effect.catch((error) => {
        board.failure = error.message
        return Effect.logWarning(error.message)
      })
    )
  }
  return Effect.forEach(prepared.accounts, one, { concurrency: "unbounded", discard: true })
}

const demoExchanges: ReadonlyArray<KnownExchange> = ["mexc-spot", "gate-spot", "gate-futures"]

const live = Effect.as(
  Effect.logWarning("--live: this program has been proved against its simulator and has not yet been run live"),
  { layerOf: (id) => Exchanges.layerPublicConfig(id), accountOf: null, watch: Effect.never } satisfies Source
)

const simulated = (options: SimulatorProcess.SimulatorProcessOptions) =>
  Effect.map(SimulatorProcess.start(options), ({ urls, watch }): Source => ({
    layerOf: (id) => Exchanges.layerPublic(id, { url: urls[id]!.ws, restUrl: urls[id]!.rest }),
    accountOf: (id) => {
      const { rest, ws } = urls[id]!
      return AccountSource.simulatedLayer(id, { websocket: ws, rest }, pairsOn(Exchanges.get(id), options.pairs))
    },
    watch
  }))

const checkPairs = (pairs: Pairs): Effect.Effect<void, Failure.CommandFailed> => {
  const spot = demoExchanges.map((id) => Exchanges.get(id)).filter(({ kind }) => kind === "spot")
  const bad = pairs.find((pair) => spot.some((adapter) => adapter.symbol(pair) === null))
  return bad === undefined ? Effect.void : Effect.fail(Failure.usage(`${bad} is not a pair of a spot market`))
}

interface Account {
  readonly board: AccountBoard
  readonly market: ExchangeBoard<KnownExchange>
}

interface Prepared {
  readonly boards: ReadonlyArray<ExchangeBoard<KnownExchange>>
  readonly accounts: ReadonlyArray<Account>
  readonly view: DemoView
  readonly log: Logging.Held
}

const prepare = Effect.fnUntraced(function*(
  pairs: Pairs,
  { json, live, seed }: { readonly json: boolean; readonly live: boolean; readonly seed: number }
): Effect.fn.Return<Prepared, never, Stdio.Stdio> {
  const clock = yield* Clock.Clock
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const log = json ? Logging.direct : yield* Live.logging
  const boards = demoExchanges.map((id) => {
    const { kind, name } = Exchanges.get(id)
    return new ExchangeBoard(id, name, kind)
  })
  const accounts = live ? [] : boards.map((market) => ({ market, board: new AccountBoard(market.id, "demo") }))
  const view = new DemoView({
    boards,
    accounts: accounts.map(({ board, market }) => ({ board, name: market.name })),
    pairs,
    source: live ? "live" : "simulator",
    seed: live ? null : seed,
    now: () => clock.currentTimeMillisUnsafe(),
    style: Style.of(canColor),
    log: log.recent
  })
  return { boards, accounts, view, log }
})

/** The last word, unless the demo failed before there was anything to say. */
const printSummary =
  (view: DemoView, json: boolean) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, never, Stdio.Stdio> =>
    Exit.isFailure(exit) && view.pairsSeen === 0
      ? Effect.void
      : Effect.ignore(Stdout.print(`${(json ? [JSON.stringify(view.summary())] : view.tables()).join("\n")}\n`))

export const command = Command.make(
  "demo",
  {
    pairs: Flags.optionalPairs,
    seed: Flags.seed,
    rate: Simulate.rate,
    duration: Flags.duration,
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Show nothing while it runs; print one JSON summary at the end"),
      Flag.withDefault(false)
    ),
    live: Flag.Boolean("live").pipe(
      Flag.withDescription("Use the real exchanges instead of the simulator"),
      Flag.withDefault(false)
    ),
    metricsPort: Flags.metricsPort,
    otlpUrl: Flags.otlpUrl
  },
  Effect.fnUntraced(function*(options) {
    const { seed, duration, json } = options
    const pairs = Option.getOrElse(options.pairs, () => defaultPairs)
    yield* checkPairs(pairs)
    const prepared = yield* prepare(pairs, options)
    const { boards, view, log } = prepared
    // Starting the simulator is not part of the time that was asked for.
    const ready = yield* Deferred.make<void>()
    const body = Effect.gen(function*() {
      const source = yield* options.live
        ? live
        : simulated({ pairs, seed, rate: Option.getOrUndefined(options.rate) })
      view.begin()
      yield* Deferred.succeed(ready, undefined)
      yield* Effect.forkScoped(tradeAll(prepared, pairs, seed, source))
      yield* Effect.raceFirst(followAll(boards, pairs, source), source.watch)
    })
    const end = yield* (json ? body : Effect.raceFirst(body, Live.show(view))).pipe(
      Effect.scoped,
      Effect.provide(Telemetry.layer(options)),
      Effect.provide(log.layer),
      (running) => Lifetime.run(running, { duration, begins: Deferred.await(ready) }),
      Effect.ensuring(log.release),
      Effect.onExit(printSummary(view, json))
    )
    if (end === "Elapsed" && view.pairsSeen === 0) {
      return yield* Failure.nothing("no pair had a price from every exchange")
    }
  })
).pipe(
  Command.withDescription(
    "Show MEXC spot and Gate spot side by side: best bid and ask, the edge between them, update rates, latency and " +
      "connections; Gate's perpetuals with mark, index and funding; and a simulated account on each, on which a small " +
      "strategy trades. The prices come from a simulator in a process of its own, over real WebSockets; --live takes the real " +
      "exchanges. Redraws in place on a terminal, prints lines elsewhere."
  ),
  Command.withShortDescription("Show exchanges side by side"),
  Command.withExamples([
    { command: "exchange demo", description: "Until q or Ctrl-C" },
    { command: "exchange demo --duration 5s --json", description: "Five seconds, then one line of JSON" },
    { command: "exchange demo --live --pairs BTC/USDT,ETH/USDT", description: "The real exchanges" }
  ])
)
