/** Exchanges inside the process under a virtual clock, seeded throughout: the same seed gives the same run. */
import { Effect, Layer, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { RedundantOptions, WebsocketOptions } from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../../test/suites/Exchange.ts"

export const subjects: ReadonlyArray<Exchange.Subject> = [
  { adapter: mexcSpot, dialect: mexcSpotDialect },
  { adapter: gateSpot, dialect: gateSpotDialect }
]

export type Draws = Pick<Random.Random, "nextDoubleUnsafe">

/** Random numbers that depend on the seed and the name alone. */
export const draws = (seed: number, name: string): Effect.Effect<Draws> =>
  Random.withSeed(Effect.service(Random.Random), `${seed} ${name}`)

/** A whole number in [0, limit). */
export const below = (draws: Draws, limit: number): number => Math.floor(draws.nextDoubleUnsafe() * limit)

export const pick = <A>(draws: Draws, values: ReadonlyArray<A>): A => values[below(draws, values.length)]!

export interface Setup {
  readonly subject: Exchange.Subject
  readonly seed: number
  readonly simulator?: Partial<SimulatorOptions>
  readonly options?: RedundantOptions
}

/** Runs the body over the Layer under a virtual clock that passes by itself. Metrics have a registry of their own. */
export const over = <A, E>(
  layer: Layer.Layer<Exchange.Services>,
  seed: number,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>
): Effect.Effect<A, E> =>
  Exchange.withExchange(Exchange.memory, layer, body).pipe(
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** Runs the body against a fresh exchange in memory. */
export const run = <A, E>(
  { options, seed, simulator, subject }: Setup,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>
): Effect.Effect<A, E> => over(Exchange.memory.layer(subject, { seed, ...simulator }, options), seed, body)

type Network = MemoryNetwork.MemoryNetwork["Service"]

/** An exchange in memory whose network is changed on its way: watched, or spoiled. */
export const layerThrough = (
  { adapter, dialect }: Exchange.Subject,
  change: (network: Network) => Network,
  simulator: Partial<SimulatorOptions>,
  options: WebsocketOptions
): Layer.Layer<Exchange.Services> =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[adapter.id]!
    return ExchangeFactory.layer(adapter, { url: ws, restUrl: rest, ...options })
  })).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)),
    Layer.provide(Layer.effect(MemoryNetwork.MemoryNetwork, Effect.map(MemoryNetwork.MemoryNetwork, change))),
    Layer.provideMerge(Layer.orDie(Simulator.layerMemory({ dialects: [dialect], limits: "off", ...simulator })))
  ) as Layer.Layer<Exchange.Services>

/** So many pairs against USDT. */
export const pairs = (count: number): [TradingPair, ...Array<TradingPair>] =>
  Array.from({ length: count }, (_, i): TradingPair => i === 0 ? "BTC/USDT" : `COIN${i}/USDT`) as [
    TradingPair,
    ...Array<TradingPair>
  ]
