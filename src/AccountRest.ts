/** Readings of one account over REST: what reconciliation compares the stream with. Paced within the exchange's limits. */
import { Context } from "effect"
import type { Duration, Effect } from "effect"
import type { Balance, Fill, FundingPayment, Order, Position, PositionMode } from "./domain/Account.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { ExchangeError } from "./ExchangeError.ts"

/** Which fills. Exchanges that need a pair fail with `InvalidUse` without one. */
export interface FillsQuery {
  readonly pair?: TradingPair | undefined
  /** ms. */
  readonly since?: number | undefined
}

export class AccountRest extends Context.Service<AccountRest, {
  readonly exchange: ExchangeId
  /** Name of the account in this program, for logs and metrics; never a key. */
  readonly account: string
  /** The exchange's number of the user. */
  readonly userId: Effect.Effect<string, ExchangeError>
  /** Assets of which there is something. */
  readonly balances: Effect.Effect<ReadonlyArray<Balance>, ExchangeError>
  /** Every open position. Fails with `UnsupportedChannel` where there are none, as on spot. */
  readonly positions: Effect.Effect<ReadonlyArray<Position>, ExchangeError>
  /** Fails with `UnsupportedChannel` where the exchange has no positions, or does not tell it. */
  readonly positionMode: Effect.Effect<PositionMode, ExchangeError>
  readonly openOrders: (pair?: TradingPair) => Effect.Effect<ReadonlyArray<Order>, ExchangeError>
  /** Oldest first. */
  readonly fills: (query: FillsQuery) => Effect.Effect<ReadonlyArray<Fill>, ExchangeError>
  /**
   * Of the last so long by the exchange's clock, in any order. Fails with `UnsupportedChannel` where the exchange has no history of
   * it, as on spot.
   */
  readonly funding: (within: Duration.Input) => Effect.Effect<ReadonlyArray<FundingPayment>, ExchangeError>
  /** Whether `fills` and `openOrders` need a pair, so that what is not named is not covered (MEXC). */
  readonly needsPair: boolean
}>()("effect-exchange/AccountRest") {}
