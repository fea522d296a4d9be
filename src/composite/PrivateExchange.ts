/**
 * An account of an exchange as one thing: balances, orders with their lives, fills, positions and the commands, over the
 * private stream, REST and order entry. What it shows is what the exchange has last said, reconciled after every break;
 * `health` says whether it may be trusted now. Stands on the services only.
 */
import { Context } from "effect"
import type { Effect, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountEvent, Balance, Fill } from "../domain/Account.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { OrderEntry } from "../OrderEntry.ts"
import type { TrackedOrder } from "./OrderTracker.ts"
import type { HeldPosition } from "./PositionKeeper.ts"
import type { HealthState } from "./PublicExchange.ts"

export interface PrivateHealth {
  readonly exchange: ExchangeId
  readonly account: string
  readonly state: HealthState
  /** What is wrong, in words; empty when healthy. */
  readonly problems: ReadonlyArray<string>
  readonly isConnected: boolean
  readonly isAuthenticated: boolean
  /** Whether commands can leave now. */
  readonly canTrade: boolean
  /** When the account was last compared with the exchange, ms; null: not since the last break. */
  readonly reconciledAt: number | null
  /** Orders whose outcome is not known. */
  readonly unknown: number
}

export class PrivateExchange extends Context.Service<PrivateExchange, {
  readonly exchange: ExchangeId
  readonly account: string
  /** Opens the private stream and reads the account; returns once it has been reconciled. */
  readonly initialize: Effect.Effect<void, ExchangeError>
  /** By asset; what there is nothing of may be left out. */
  readonly balances: () => ReadonlyMap<string, Balance>
  /** By pair, those that are not flat. Fails with `UnsupportedChannel` on a spot exchange. */
  readonly positions: Effect.Effect<ReadonlyMap<TradingPair, HeldPosition>, ExchangeError>
  /** Not final: `Sending`, `Unknown`, `Open`, `Canceling`. */
  readonly openOrders: () => ReadonlyArray<TrackedOrder>
  /** By `TrackedOrder.key`; undefined when it was never seen or is so old that it was forgotten. */
  readonly order: (key: string) => TrackedOrder | undefined
  /** Final ones, newest first, the last `historySize` (1,000) of them. */
  readonly orderHistory: () => ReadonlyArray<TrackedOrder>
  /** Each change of each order, from now on. */
  readonly orderChanges: Stream.Stream<TrackedOrder>
  /** Each fill once, in order, from now on. */
  readonly fills: Stream.Stream<Fill>
  /** Calls `consumer` synchronously with every event behind which this state has been brought up to date. */
  readonly onEvent: (consumer: (event: AccountEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Order entry whose orders are tracked from the moment they are handed over: the same service, to be used in its place. */
  readonly orders: OrderEntry["Service"]
  /** Pairs that reconciliation looks up where the exchange asks for one (MEXC), beside those seen. */
  readonly add: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void>
  readonly remove: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void>
  /** Compares with the exchange now. */
  readonly refresh: Effect.Effect<void, ExchangeError>
  readonly health: Effect.Effect<PrivateHealth>
  /** Every change of `health.state`, beginning with the present one. */
  readonly healthChanges: Stream.Stream<PrivateHealth>
  /** Ends the private stream; orders that are open stay open. */
  readonly close: Effect.Effect<void>
}>()("effect-exchange/PrivateExchange") {}
