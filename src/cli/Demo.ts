/** `exchange demo`: MEXC and Gate side by side, from the simulator or live. */
import { Array, Clock, Deferred, Effect, Exit, Layer, Option, Schedule, Stdio } from "effect"
import { Command, Flag, TerminalCapabilities } from "effect/cli"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as OrderBooks from "../composite/OrderBooks.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import * as Exchanges from "../Exchanges.ts"
import type { KnownExchange } from "../Exchanges.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import { ExchangeBoard } from "./Board.ts"
import { DemoView } from "./DemoView.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Live from "./Live.ts"
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
  "DOT/USDT",
  "TRX/USDT",
  "UNI/USDT"
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
const follow = Effect.fnUntraced(function*(board: ExchangeBoard, pairs: Pairs) {
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
  const { rejected } = yield* websocket.initialize(pairs, ["BookTicker"])
  for (const [pair, error] of rejected) {
    board.rejected.set(pair, error.message)
    yield* Effect.logWarning(error.message)
  }
  return yield* Effect.never
}, Effect.scoped)

/** Follows every exchange; one that fails leaves the others alone, and when all have failed the first reason is told. */
const followAll = Effect.fnUntraced(function*(
  boards: ReadonlyArray<ExchangeBoard>,
  pairs: Pairs,
  layerOf: (id: KnownExchange) => Layer.Layer<Exchanges.Services, Failure.CommandFailed>
) {
  const failures = yield* Effect.forEach(
    boards,
    (board) =>
      follow(board, pairs).pipe(
        Effect.mapError(Refusal.failure),
        Effect.provide(layerOf(board.id as KnownExchange)),
        Effect.flip,
        Effect.tap((failure) => {
          board.failure = failure.message
          return Effect.logError(failure.message)
        })
      ),
    { concurrency: "unbounded" }
  )
  return yield* failures[0]!
})

const demoExchanges: ReadonlyArray<KnownExchange> = ["mexc-spot", "gate-spot"]

const configured = (id: KnownExchange): Layer.Layer<Exchanges.Services, Failure.CommandFailed> =>
  Layer.catch(
    Exchanges.layerConfig(id),
    (error) => Layer.unwrap(Effect.fail(Failure.usage(`configuration of ${id}: ${error.message}`)))
  )

interface Source {
  readonly layerOf: (id: KnownExchange) => Layer.Layer<Exchanges.Services, Failure.CommandFailed>
  /** Fails when the source is gone. */
  readonly watch: Effect.Effect<never, Failure.CommandFailed>
}

const live = Effect.as(
  Effect.logWarning("--live: this program has been proved against its simulator and has not yet been run live"),
  { layerOf: configured, watch: Effect.never } satisfies Source
)

const simulated = (options: SimulatorProcess.SimulatorProcessOptions) =>
  Effect.map(SimulatorProcess.start(options), ({ urls, watch }): Source => ({
    layerOf: (id) => Exchanges.layer(id, { url: urls[id]!.ws, restUrl: urls[id]!.rest }),
    watch
  }))

const checkPairs = (pairs: Pairs): Effect.Effect<void, Failure.CommandFailed> => {
  const bad = pairs.find((pair) => demoExchanges.some((id) => Exchanges.get(id).symbol(pair) === null))
  return bad === undefined ? Effect.void : Effect.fail(Failure.usage(`${bad} is not a pair of a spot market`))
}

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
    const pairs = Option.getOrElse(Option.filter(options.pairs, Array.isReadonlyArrayNonEmpty), () => defaultPairs)
    yield* checkPairs(pairs)
    const clock = yield* Clock.Clock
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const held = json ? Option.none() : yield* Live.logging
    const boards = demoExchanges.map((id) => new ExchangeBoard(id, Exchanges.get(id).name))
    const view = new DemoView({
      boards,
      pairs,
      source: options.live ? "live" : "simulator",
      seed: options.live ? null : seed,
      now: () => clock.currentTimeMillisUnsafe(),
      style: Style.of(canColor),
      log: (count) => Option.match(held, { onNone: () => [], onSome: ({ recent }) => recent(count) })
    })
    // Starting the simulator is not part of the time that was asked for.
    const ready = yield* Deferred.make<void>()
    const body = Effect.gen(function*() {
      const source = yield* options.live
        ? live
        : simulated({ pairs, seed, rate: Option.getOrUndefined(options.rate) })
      view.begin()
      yield* Deferred.succeed(ready, undefined)
      yield* Effect.raceFirst(followAll(boards, pairs, source.layerOf), source.watch)
    })
    const summary = (): ReadonlyArray<string> => json ? [JSON.stringify(view.summary())] : view.tables()
    const printSummary = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, never, Stdio.Stdio> =>
      Exit.isFailure(exit) && view.pairsSeen === 0
        ? Effect.void
        : Effect.ignore(Stdout.print(`${summary().join("\n")}\n`))
    const shown = json ? body : Effect.raceFirst(body, Live.show(view))
    const end = yield* shown.pipe(
      Effect.scoped,
      Effect.provide(Telemetry.layer(options)),
      Effect.provide(Option.match(held, { onNone: () => Layer.empty, onSome: ({ layer }) => layer })),
      (running) => Lifetime.run(running, { duration, begins: Deferred.await(ready) }),
      Effect.ensuring(Option.match(held, { onNone: () => Effect.void, onSome: ({ release }) => release })),
      Effect.onExit(printSummary)
    )
    if (end === "Elapsed" && view.pairsSeen === 0) return yield* Failure.nothing("no pair had a price from every exchange")
  })
).pipe(
  Command.withDescription(
    "Show MEXC spot and Gate spot side by side: best bid and ask, the edge between them, update rates, latency and " +
      "connections. The prices come from a simulator in a process of its own, over real WebSockets; --live takes the real " +
      "exchanges. Redraws in place on a terminal, prints lines elsewhere."
  ),
  Command.withShortDescription("Show two exchanges side by side"),
  Command.withExamples([
    { command: "exchange demo", description: "Until q or Ctrl-C" },
    { command: "exchange demo --duration 5s --json", description: "Five seconds, then one line of JSON" },
    { command: "exchange demo --live --pairs BTC/USDT,ETH/USDT", description: "The real exchanges" }
  ])
)
