/**
 * `exchange demo`: the whole product at work. Three markets, books of a hundred pairs on each in step, the edges between
 * them, both legs traded on simulated accounts, whatever goes wrong; with a report at the end. Or the real markets, watched.
 */
import { Clock, Deferred, Effect, Exit, Option, Result } from "effect"
import type { Stdio } from "effect"
import { CliError, Command, Flag, TerminalCapabilities } from "effect/cli"
import * as Exchanges from "../Exchanges.ts"
import type { KnownExchange } from "../Exchanges.ts"
import { AccountBoard } from "./account/AccountBoard.ts"
import { ArbitrageBoard } from "./demo/ArbitrageBoard.ts"
import * as ArbitrageRows from "./demo/ArbitrageRows.ts"
import { ExchangeBoard } from "./demo/Board.ts"
import { DemoView } from "./demo/DemoView.ts"
import * as MadePairs from "./demo/MadePairs.ts"
import * as Program from "./demo/Program.ts"
import * as Source from "./demo/Source.ts"
import type { Pairs } from "./demo/Source.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Live from "./Live.ts"
import * as Logging from "./Logging.ts"
import * as Simulate from "./Simulate.ts"
import * as SimulatorProcess from "./SimulatorProcess.ts"
import * as Stdout from "./Stdout.ts"
import * as Style from "./Style.ts"
import * as Telemetry from "./Telemetry.ts"

/** Followed when nothing is said: on the simulator, and on the real exchanges. */
const simulatedCount = 100
const liveCount = 10

const readPairs = (text: string): Result.Result<Pairs, string> =>
  /^\d+$/.test(text)
    ? Number(text) >= 1 && Number(text) <= MadePairs.most
      ? Result.succeed(MadePairs.make(Number(text)))
      : Result.fail(`a number from 1 to ${MadePairs.most}, or pairs such as BTC/USDT,ETH/USDT`)
    : Flags.readPairs(text)

const pairsFlag = Flag.String("pairs").pipe(
  Flag.withMetavar("BASE/QUOTE,…|N"),
  Flag.withDescription(
    `Spot pairs, separated by commas, or how many, 1 to ${MadePairs.most} (default ${simulatedCount}, live ${liveCount}); perpetuals on them too`
  ),
  Flags.readAs("pairs", readPairs),
  Flag.optional
)

/** What goes wrong when nothing is said: each exchange is lost once, then an order's answer, then all three at once. */
const usualFaults = [
  "drop,on=mexc-spot@20s",
  "drop,on=gate-spot@35s",
  "drop,on=gate-futures@50s",
  "lose-answer:2,frame=*order_place*,on=gate-spot@65s:10s",
  "drop@80s",
  "refuse@80s:2s"
]

const checkFaults = (values: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, CliError.CliError> =>
  Effect.gen(function*() {
    if (values.length === 0) return usualFaults
    if (values.length === 1 && values[0] === "none") return []
    for (const value of values) {
      const read = Simulate.readFault(value)
      if (Result.isFailure(read)) {
        return yield* new CliError.InvalidValue({ option: "fault", value, expected: read.failure, kind: "flag" })
      }
    }
    return values
  })

const faults = Flag.String("fault").pipe(
  Flag.withMetavar("FAULT"),
  Flag.withDescription(
    "Something to go wrong in the simulator, such as drop@5s; may be given again. Without it each exchange is lost once "
      + "within the first minute, then answers to orders, then all exchanges at once; none: nothing goes wrong"
  ),
  Flag.atLeast(0),
  Flag.mapEffect(checkFaults)
)

const checkPairs = (pairs: Pairs): Effect.Effect<void, Failure.CommandFailed> => {
  const spot = Source.exchanges.map((id) => Exchanges.get(id)).filter(({ kind }) => kind === "spot")
  const bad = pairs.find((pair) => spot.some((adapter) => adapter.symbol(pair) === null))
  return bad === undefined ? Effect.void : Effect.fail(Failure.usage(`${bad} is not a pair of a spot market`))
}

interface Prepared {
  readonly shown: ReadonlyArray<Program.Shown>
  readonly arbitrage: ArbitrageBoard
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
  const shown = Source.exchanges.map((id: KnownExchange): Program.Shown => {
    const { kind, name } = Exchanges.get(id)
    return { board: new ExchangeBoard(id, name, kind), account: live ? null : new AccountBoard(id, "demo") }
  })
  const arbitrage = new ArbitrageBoard()
  const view = new DemoView({
    boards: shown.map(({ board }) => board),
    accounts: shown.flatMap(({ account, board }) => account === null ? [] : [{ board: account, name: board.name }]),
    arbitrage,
    pairs,
    source: live ? "live" : "simulator",
    seed: live ? null : seed,
    now: () => clock.currentTimeMillisUnsafe(),
    style: Style.of(canColor),
    log: log.recent
  })
  return { shown, arbitrage, view, log }
})

/** The last word, unless the demo failed before there was anything to say. */
const printReport =
  (view: DemoView, json: boolean) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, never, Stdio.Stdio> =>
    Exit.isFailure(exit) && view.pairsSeen === 0
      ? Effect.void
      : Effect.ignore(Stdout.print(`${(json ? [JSON.stringify(view.summary())] : view.report()).join("\n")}\n`))

export const command = Command.make(
  "demo",
  {
    pairs: pairsFlag,
    seed: Flags.seed,
    rate: Simulate.rate.pipe(
      Flag.withDescription(`Book changes per second and market of the simulator (default ${Source.usualRate})`)
    ),
    faults,
    duration: Flags.duration,
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Show nothing while it runs; print one JSON summary at the end"),
      Flag.withDefault(false)
    ),
    live: Flag.Boolean("live").pipe(
      Flag.withDescription("Watch the real exchanges instead of the simulator; nothing is traded there"),
      Flag.withDefault(false)
    ),
    simulator: Flag.String("simulator").pipe(
      Flag.withDescription("Use this simulator, by the first line that it printed, in place of one of its own"),
      Flag.optional,
      Flag.withHidden
    ),
    metricsPort: Flags.metricsPort,
    otlpUrl: Flags.otlpUrl
  },
  Effect.fnUntraced(function*(options) {
    const { duration, faults, json, rate, seed } = options
    const pairs = Option.getOrElse(options.pairs, () => MadePairs.make(options.live ? liveCount : simulatedCount))
    yield* checkPairs(pairs)
    const prepared = yield* prepare(pairs, options)
    const { arbitrage, log, shown, view } = prepared
    // Starting the simulator is not part of the time that was asked for.
    const ready = yield* Deferred.make<void>()
    const body = Effect.gen(function*() {
      const source = yield* options.live
        ? Source.live
        : Option.match(options.simulator, {
          onNone: () => Source.simulated({ pairs, seed, faults, rate: Option.getOrUndefined(rate) }),
          onSome: (line) => Effect.map(SimulatorProcess.readUrls(line), Source.at)
        })
      view.begin()
      yield* Deferred.succeed(ready, undefined)
      yield* Program.run({ shown, arbitrage, pairs, source, seed })
    })
    const end = yield* (json ? body : Effect.raceFirst(body, Live.show(view))).pipe(
      Effect.scoped,
      Effect.provide(Telemetry.layer(options)),
      Effect.provide(log.layer),
      (running) => Lifetime.run(running, { duration, begins: Deferred.await(ready), grace: "4500 millis" }),
      Effect.ensuring(log.release),
      Effect.onExit(printReport(view, json))
    )
    if (end === "Elapsed" && view.pairsSeen === 0) {
      return yield* Failure.nothing("no pair had a price from every exchange")
    }
    const unfinished = ArbitrageRows.unfinished(arbitrage)
    if (unfinished.length > 0) return yield* Failure.left(`orders are left, or may be:\n${unfinished.join("\n")}`)
  })
).pipe(
  Command.withDescription(
    "The whole product at work: MEXC spot, Gate spot and Gate futures, the books of a hundred pairs on each in step, the edges "
      + "between them after fees, and both legs of each traded on a simulated account of each exchange, through limits that "
      + "every order passes. Exchanges are lost and come back meanwhile. Ends with a report. The markets come from a simulator in "
      + "a process of its own, over real WebSockets; --live watches the real exchanges and trades nothing. Redraws in place on a "
      + "terminal, prints lines elsewhere. Exit code 7: it has ended, and orders that it wanted cancelled are open, or it has placed some and it is not known whether any is."
  ),
  Command.withShortDescription("Books, edges and trades on three exchanges"),
  Command.withExamples([
    { command: "exchange demo", description: "Until q or Ctrl-C" },
    {
      command: "exchange demo --duration 30s --json --fault none",
      description: "Half a minute, then one line of JSON"
    },
    {
      command: "exchange demo --pairs 20 --fault drop@5s --fault refuse@5s:3s",
      description: "All exchanges lost at once"
    },
    { command: "exchange demo --live --pairs BTC/USDT,ETH/USDT", description: "The real exchanges, watched" }
  ])
)
