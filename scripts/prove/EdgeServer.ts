/**
 * Simulated exchanges with planted edges, as a process of its own: options as JSON on the command line, addresses as the first
 * line, then each second how many book messages have left. Ends with its standard input.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Random } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { gateFuturesDialect, gateSpotDialect, mexcSpotDialect } from "../../src/exchanges/dialects.ts"
import { pairsOf } from "../../src/simulator/Engine.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"

export interface EdgeServerOptions {
  readonly seed: number
  /** Spot pairs; the perpetuals on them are there too. */
  readonly pairs: ReadonlyArray<TradingPair>
  /** Level changes per second and market. */
  readonly rate: number
  readonly levels: number
  /** Between two planted edges of a market, ms, on average. */
  readonly pauseMillis: number
  readonly withinMillis: number
}

/** Since the start. */
export interface Sent {
  /** ms since the epoch. */
  readonly at: number
  readonly sent: number
  /** Of the process, ms. */
  readonly cpu: number
}

const dialects = [mexcSpotDialect, gateSpotDialect, gateFuturesDialect]

const sentBy = (counts: Simulator.Counts): number =>
  Object.values(counts.exchanges).flatMap(({ topics }) => Object.values(topics)).filter(({ channel }) =>
    channel === "Depth"
  ).reduce((sum, { sent }) => sum + sent.frames, 0)

const serve = Effect.fnUntraced(function*(options: EdgeServerOptions) {
  const draws = yield* Random.withSeed(Effect.service(Random.Random), `edges ${options.seed}`)
  const edges = Simulator.planEdges(draws, {
    markets: dialects.flatMap(({ id, kind }) => pairsOf(kind, options.pairs).map((pair) => ({ exchange: id, pair }))),
    withinMillis: options.withinMillis,
    pauseMillis: options.pauseMillis,
    durationMillis: [50, 1_000],
    premium: [0.002, 0.006]
  })
  const { counts, urls } = yield* Simulator.make({
    dialects,
    pairs: options.pairs,
    seed: options.seed,
    rate: options.rate,
    // Nobody listens to trades here.
    tradeRate: 0,
    levels: options.levels,
    history: 2_048,
    limits: "off",
    // Nothing real tells of a thousand books in the same moment.
    bookPhases: "own",
    edges
  })
  process.stdout.write(`${JSON.stringify(urls)}\n`)
  process.stdin.resume().once("end", () => process.exit(0))
  const tell = Effect.clockWith((clock) =>
    Effect.sync(() => {
      const { system, user } = process.cpuUsage()
      const line: Sent = { at: clock.currentTimeMillisUnsafe(), sent: sentBy(counts()), cpu: (system + user) / 1_000 }
      process.stdout.write(`${JSON.stringify(line)}\n`)
    })
  )
  return yield* Effect.forever(Effect.andThen(tell, Effect.sleep("1 second")))
})

NodeRuntime.runMain(Effect.scoped(serve(JSON.parse(process.argv[2]!) as EdgeServerOptions)))
