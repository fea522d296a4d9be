/** `exchange simulate`: the simulator as a process of its own. */
import { Effect, Option, Random, Result, Stdio, Stream } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { pairOf, partsOf } from "../domain/Instrument.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import { demoAccountsWith, dialects } from "../SimulatedExchanges.ts"
import { pairsOf } from "../simulator/Engine.ts"
import type { Fault } from "../simulator/Faults.ts"
import * as Faults from "../simulator/Faults.ts"
import { defaultPairs } from "../simulator/PairFacts.ts"
import * as Simulator from "../simulator/Simulator.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Stdout from "./Stdout.ts"

const isSimulated = (fault: Fault): boolean =>
  fault.exchange === undefined || dialects.some(({ id }) => id === fault.exchange)

/** Reads a fault of a simulated exchange; the failure says what would be right. */
export const readFault = (text: string): Result.Result<Fault, string> => {
  const fault = Result.mapError(Faults.parse(text), ({ detail }) => detail)
  return Result.filterOrFail(fault, isSimulated, () => `an exchange out of ${dialects.map(({ id }) => id).join(", ")}`)
}

export const faults = Flag.String("fault").pipe(
  Flag.withMetavar("FAULT"),
  Flag.withDescription(
    `Something to go wrong, such as drop@5s or gap:5%,on=gate-spot; may be given again. Kinds: ${
      Faults.names.join(", ")
    }`
  ),
  Flag.mapEffect((value) =>
    Effect.fromResult(
      Result.mapError(
        readFault(value),
        (expected) => new CliError.InvalidValue({ option: "fault", value, expected, kind: "flag" })
      )
    )
  ),
  Flag.atLeast(0)
)

export const rate = Flag.Finite("rate").pipe(
  Flag.withMetavar("N"),
  Flag.withDescription("Book changes per second and market (default 50)"),
  Flag.filter((value) => value >= 0, () => "a number, 0 or more"),
  Flag.optional
)

/** Planted for so long: what runs longer finds none behind it. */
const plannedMillis = 6 * 3_600_000

const swapOf = (spot: TradingPair): TradingPair => {
  const { base, quote } = partsOf(spot)
  return pairOf(base, quote, quote)
}

/**
 * On the `dear` of the `pairs`, where they are listed: dear or cheap by more than fees take, for a third of a second to five,
 * about twice a minute on each market.
 */
const edgesOn = Effect.fnUntraced(function*(
  dear: ReadonlyArray<TradingPair>,
  pairs: ReadonlyArray<TradingPair>,
  seed: number
) {
  const random = yield* Random.withSeed(Effect.service(Random.Random), `${seed} edges`)
  return Simulator.planEdges(random, {
    markets: dialects.flatMap(({ id, kind }) => {
      const listed = new Set(pairsOf(kind, pairs))
      const here = kind === "swap" ? dear.map(swapOf) : dear
      return here.flatMap((pair) => listed.has(pair) ? [{ exchange: id, pair }] : [])
    }),
    withinMillis: plannedMillis,
    pauseMillis: 30_000,
    durationMillis: [300, 5_000],
    premium: [0.003, 0.01]
  })
})

/** Of each book so many changes are held, which a thousand pairs would make gigabytes of. */
const fullHistory = 16_384
const leastHistory = 2_048
const fullHistoryUpTo = 128

/** What all books together hold stays the same beyond so many pairs. */
export const historyOf = (pairs: number): number =>
  pairs <= fullHistoryUpTo
    ? fullHistory
    : Math.max(leastHistory, 2 ** Math.floor(Math.log2(fullHistory * fullHistoryUpTo / pairs)))

const edgesFlag = Flags.int("edges", 0, 1_000).pipe(
  Flag.withDescription(
    "On so many of the pairs, plant edges between the exchanges, larger than their fees (default 0)"
  ),
  Flag.withDefault(0)
)

/** Until whoever started this process closes our standard input, at the latest by its own end. */
const untilOrphaned = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdio.stdin))
})

export const command = Command.make(
  "simulate",
  {
    port: Flags.port("port").pipe(
      Flag.withDescription("Port on 127.0.0.1; 0 (the default) takes a free one"),
      Flag.withDefault(0)
    ),
    seed: Flags.seed,
    pairs: Flags.optionalPairs.pipe(
      Flag.withDescription(
        `Pairs, separated by commas: BTC/USDT,ETH/USDT; perpetuals on them too (default: ${defaultPairs.length} against USDT)`
      )
    ),
    rate,
    limits: Flag.Literals("limits", ["real", "off"]).pipe(
      Flag.withDescription("Whether the exchanges' documented limits are enforced (default: real)"),
      Flag.withDefault("real")
    ),
    faults,
    edges: edgesFlag,
    exitWithParent: Flag.Boolean("exit-with-parent").pipe(
      Flag.withDescription("End when standard input is closed"),
      Flag.withDefault(false),
      Flag.withHidden
    )
  },
  Effect.fnUntraced(function*({ edges, exitWithParent, faults, limits, pairs, port, rate, seed }) {
    const asked = Option.getOrElse(pairs, () => defaultPairs)
    const spot = asked.filter((pair) => partsOf(pair).settle === undefined)
    const dear = spot.slice(0, edges)
    const body = Effect.gen(function*() {
      const simulator = yield* Effect.mapError(
        Simulator.make({
          dialects,
          port,
          seed,
          limits,
          faults,
          accounts: demoAccountsWith(dear),
          pairs: Option.getOrUndefined(pairs),
          edges: yield* edgesOn(dear, asked, seed),
          history: historyOf(spot.length),
          rate: Option.getOrUndefined(rate)
        }),
        (error) => Failure.failed(error.message)
      )
      yield* Stdout.print(`${JSON.stringify(simulator.urls)}\n`)
      yield* Effect.logInfo(`simulating ${simulator.pairs.length} pairs with seed ${seed}; admin: ${simulator.admin}`)
      yield* exitWithParent ? untilOrphaned : Effect.never
    })
    yield* Lifetime.run(Effect.scoped(body))
  })
).pipe(
  Command.withDescription(
    "Run simulated exchanges over real WebSockets and HTTP on 127.0.0.1 until Ctrl-C. The first line on stdout is JSON: " +
      "{\"<exchange-id>\": {\"ws\": URL, \"rest\": URL}, …}."
  ),
  Command.withShortDescription("Run simulated exchanges on this machine"),
  Command.withExamples([
    {
      command: "exchange simulate --seed 7 --pairs BTC/USDT,ETH/USDT",
      description: "Two pairs, the same prices each time"
    },
    {
      command: "exchange simulate --fault drop@5s --fault gap:5%,on=gate-spot",
      description: "Lose connections and messages"
    }
  ])
)
