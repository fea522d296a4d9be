/** Where the demo's exchanges are: simulated ones in a process of their own, or the real ones, on which nothing is traded. */
import { Array, Effect, Layer } from "effect"
import type { Config, Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as PublicExchange from "../../composite/PublicExchange.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { pairOf, partsOf } from "../../domain/Instrument.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import * as Exchanges from "../../Exchanges.ts"
import type { KnownExchange } from "../../Exchanges.ts"
import type { PublicWebsocket } from "../../PublicWebsocket.ts"
import * as AccountSource from "../account/AccountSource.ts"
import type * as Failure from "../Failure.ts"
import * as SimulatorProcess from "../SimulatorProcess.ts"

export type Pairs = NonEmptyReadonlyArray<TradingPair>

export const exchanges: ReadonlyArray<KnownExchange> = ["mexc-spot", "gate-spot", "gate-futures"]

/** The perpetual of a pair, settled in its quote. */
export const perpetualOf = (pair: TradingPair): TradingPair => {
  const { base, quote } = partsOf(pair)
  return pairOf(base, quote, quote)
}

/** Spot pairs, or the perpetuals on them. */
export const pairsOn = (id: KnownExchange, named: Pairs): Pairs =>
  Exchanges.get(id).kind === "swap" ? Array.map(named, perpetualOf) : named

/** What a taker pays, as a fraction: the exchanges' base tier, which the simulated accounts are charged too. */
export const fees: Readonly<Record<KnownExchange, number>> = {
  "mexc-spot": 0.0005,
  "gate-spot": 0.002,
  "gate-futures": 0.00075
}

/** Where the exchanges are. */
export interface Source {
  /** What an island's Layer gives: the composites, and the services beneath them, to be counted and shown; of an account too where it has one. */
  readonly layerOf: (id: KnownExchange) => Layer.Layer<
    PublicExchange.PublicExchange | PublicWebsocket,
    ExchangeError | Config.ConfigError
  >
  /** Fails when what is beneath them is gone for good. */
  readonly watch: Effect.Effect<never, Failure.CommandFailed>
}

/** Books only: the rest costs as much again. Perpetuals have prices and funding of their own to be valued by. */
const followed = (id: KnownExchange): PublicExchange.PublicExchangeOptions => ({
  tickers: Exchanges.get(id).kind === "swap" ? ["FuturesTicker"] : []
})

export const live: Effect.Effect<Source> = Effect.as(
  Effect.logWarning("--live: this program has been proved against its simulator and has not yet been run live"),
  {
    layerOf: (id: KnownExchange) =>
      PublicExchange.layer(followed(id)).pipe(Layer.provideMerge(Exchanges.layerPublicConfig(id))),
    watch: Effect.never
  }
)

/** Over one that somebody else has started and will end. */
export const at = (urls: SimulatorProcess.SimulatorProcess["urls"]): Source => ({
  watch: Effect.never,
  layerOf: (id) => {
    const { rest, ws } = urls[id]!
    return Exchanges.layer(id, {
      credentials: AccountSource.demoCredentials(id),
      url: ws,
      restUrl: rest,
      market: { url: ws, restUrl: rest },
      publicExchange: followed(id)
    })
  }
})

/** Over a simulator that runs already. */
export const over = ({ urls, watch }: SimulatorProcess.SimulatorProcess): Source => ({ ...at(urls), watch })

/** Book changes per second and market: a hundred pairs on three exchanges are many. */
export const usualRate = 8

/** Edges are planted on so many pairs, of which the simulated accounts hold some. */
export const edgePairs = 20

export interface SimulatedOptions extends SimulatorProcess.SimulatorProcessOptions {
  readonly pairs: Pairs
}

/** Its simulator, ended with the scope. */
export const start = (
  options: SimulatedOptions
): Effect.Effect<SimulatorProcess.SimulatorProcess, Failure.CommandFailed, ChildProcessSpawner | Scope.Scope> =>
  SimulatorProcess.start({ edges: edgePairs, ...options, rate: options.rate ?? usualRate })

export const simulated = (
  options: SimulatedOptions
): Effect.Effect<Source, Failure.CommandFailed, ChildProcessSpawner | Scope.Scope> => Effect.map(start(options), over)
