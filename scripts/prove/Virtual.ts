/** Exchanges inside the process under a virtual clock, seeded throughout: the same seed gives the same run. */
import { Effect, Layer, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { PublicChannel, PublicTag } from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { RedundantOptions, WebsocketOptions } from "../../src/ExchangeFactory.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../../test/suites/Exchange.ts"

export { subjects } from "../../test/suites/Subjects.ts"

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
    return ExchangeFactory.layerPublic(adapter, { url: ws, restUrl: rest, ...options })
  })).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)),
    Layer.provide(Layer.effect(MemoryNetwork.MemoryNetwork, Effect.map(MemoryNetwork.MemoryNetwork, change))),
    Layer.provideMerge(Layer.orDie(Simulator.layerMemory({ dialects: [dialect], limits: "off", ...simulator })))
  ) as Layer.Layer<Exchange.Services>

type Pairs = [TradingPair, ...Array<TradingPair>]

/** The pair as the exchange trades it: a swap names what it settles in. */
export const pairOn = ({ adapter }: Exchange.Subject, pair: TradingPair): TradingPair =>
  adapter.kind === "swap" ? `${pair}:USDT` : pair

/** So many pairs against USDT, as a spot market names them. */
export const spotPairs = (count: number): Pairs =>
  Array.from({ length: count }, (_, i): TradingPair => i === 0 ? "BTC/USDT" : `COIN${i}/USDT`) as Pairs

/** The same as the exchange trades them. */
export const pairs = (subject: Exchange.Subject, count: number): Pairs =>
  spotPairs(count).map((pair) => pairOn(subject, pair)) as Pairs

/** Every channel of the exchange. */
export const tagsOf = ({ adapter }: Exchange.Subject): [PublicTag, ...Array<PublicTag>] =>
  [...adapter.channels] as [PublicTag, ...Array<PublicTag>]

/** What the exchange offers for all pairs at once. */
export const ofEveryPair = (subject: Exchange.Subject): ReadonlyArray<PublicChannel> =>
  tagsOf(subject).map((tag) => Channel.forPair(tag, Channel.everyPair)).filter((channel) =>
    topicOf(subject, channel) !== null
  )

/** The name of a channel on the wire; null when the exchange has none. */
export const topicOf = ({ adapter }: Exchange.Subject, channel: PublicChannel): string | null => {
  const symbol = adapter.symbol(channel.pair)
  const name = symbol === null ? null : adapter.topic(channel, symbol)
  return name?._tag === "Topic" ? name.key : null
}

/** Nothing is subscribed anew for a silence, where silences are the proof's own. */
export const patient = {
  staleAfter: null,
  silence: Object.fromEntries(Channel.publicTags.map((tag) => [tag, null])) as Readonly<Record<PublicTag, null>>
}
