/**
 * Several exchanges in one program, each an island: one that fails, hangs or floods leaves the others alone, is built anew
 * by itself, and is reconciled before it may trade again.
 */
import { Context } from "effect"
import type { Effect, Stream } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { PrivateExchange } from "./PrivateExchange.ts"
import type { PublicExchange } from "./PublicExchange.ts"

/** One exchange of the program. */
export interface Island {
  readonly exchange: ExchangeId
  readonly market: PublicExchange["Service"]
  /** Null where the program has no account there. */
  readonly account: PrivateExchange["Service"] | null
}

/**
 * - `Starting`: its Layers are being built, or its account is not reconciled yet.
 * - `Ready`: market data comes, and the account, where there is one, is reconciled.
 * - `Recovering`: it was ready, and its account or market is down or not reconciled since: nothing may be traded.
 * - `Failed`: its Layers ended or could not be built; tried again in `retryIn` ms, or given up when that is null.
 */
export type IslandState =
  | { readonly _tag: "Starting"; readonly exchange: ExchangeId; readonly at: number }
  | { readonly _tag: "Ready"; readonly exchange: ExchangeId; readonly at: number }
  | {
    readonly _tag: "Recovering"
    readonly exchange: ExchangeId
    readonly at: number
    readonly problems: ReadonlyArray<string>
  }
  | {
    readonly _tag: "Failed"
    readonly exchange: ExchangeId
    readonly at: number
    readonly error: ExchangeError
    readonly retryIn: number | null
  }

export class Markets extends Context.Service<Markets, {
  readonly ids: ReadonlyArray<ExchangeId>
  /** Waits until the island has been built. Fails with its error when it was given up, and with `InvalidUse` for an id that is not here. */
  readonly get: (id: ExchangeId) => Effect.Effect<Island, ExchangeError>
  /** The island as it stands, without waiting; undefined while it is not built. */
  readonly current: (id: ExchangeId) => Island | undefined
  readonly state: (id: ExchangeId) => IslandState | undefined
  /** Whether orders may leave for it: `Ready`, and not shutting down. */
  readonly mayTrade: (id: ExchangeId) => boolean
  /** Every change, beginning with the present states. */
  readonly changes: Stream.Stream<IslandState>
  /** An island is there, or has been built anew: called with each, first with those that are there. For consumers that attach to books. */
  readonly islands: Stream.Stream<Island>
}>()("effect-exchange/Markets") {}
