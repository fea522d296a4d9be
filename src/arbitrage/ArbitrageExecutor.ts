/**
 * Trades opportunities: both legs as one structured effect. A leg that fails, is partly filled or unknown is compensated
 * or flattened; whoever interrupts it finds nothing open.
 */
import { Context } from "effect"
import type { Effect, Stream } from "effect"
import type * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Opportunity } from "./Opportunity.ts"

/** What became of one leg. */
export interface LegResult {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  readonly clientOrderId: string
  /** Base: asked. */
  readonly quantity: Decimal.Decimal
  /** Base: filled. */
  readonly filled: Decimal.Decimal
  /** Quote; null when nothing was filled. */
  readonly averagePrice: Decimal.Decimal | null
  /** Quote. */
  readonly fee: Decimal.Decimal
  readonly outcome: "filled" | "partial" | "unfilled" | "rejected"
  /** Whether its answer was lost and had to be found out. */
  readonly wasUnknown: boolean
}

export interface Execution {
  readonly opportunity: Opportunity
  /**
   * `Completed`: both legs filled alike. `Compensated`: the legs differed and the difference was traded away. `Nothing`:
   * neither leg filled. `Exposed`: a difference is left that could not be traded away; the kill switch is thrown.
   */
  readonly _tag: "Completed" | "Compensated" | "Nothing" | "Exposed"
  readonly buy: LegResult
  readonly sell: LegResult
  readonly compensation: ReadonlyArray<LegResult>
  /** Base: bought minus sold, after compensation. */
  readonly exposure: Decimal.Decimal
  /** Quote: sold minus bought minus fees, compensation included. */
  readonly profit: Decimal.Decimal
  /** From the decision until both legs were answered, ms. */
  readonly acceptedAfterMs: number
  readonly startedAt: number
  readonly endedAt: number
}

export interface Exposure {
  /** Base asset. */
  readonly asset: string
  /** Base units: over all exchanges since the start, swaps times their contract size. */
  readonly quantity: Decimal.Decimal
}

export interface ExecutorPerformance {
  readonly executed: number
  readonly completed: number
  readonly compensated: number
  readonly nothing: number
  readonly exposed: number
  readonly refused: number
  readonly inFlight: number
  /** Quote. */
  readonly profit: Decimal.Decimal
}

export class ArbitrageExecutor extends Context.Service<ArbitrageExecutor, {
  /** Trades one opportunity to its end. */
  readonly execute: (opportunity: Opportunity) => Effect.Effect<Execution, ExchangeError>
  /** Trades what the monitor finds, one execution a route at a time, until it is interrupted. */
  readonly run: Effect.Effect<never, ExchangeError>
  /** Each execution, from now on. */
  readonly executions: Stream.Stream<Execution>
  /** What is left open by all executions, by base asset; empty when flat. */
  readonly exposure: () => ReadonlyArray<Exposure>
  readonly performance: Effect.Effect<ExecutorPerformance>
  /** No new executions; those under way are brought to their end. What is then left is told. */
  readonly drain: Effect.Effect<{ readonly exposure: ReadonlyArray<Exposure>; readonly openOrders: number }>
}>()("effect-exchange/ArbitrageExecutor") {}
