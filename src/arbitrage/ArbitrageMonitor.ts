/** Watches routes between the markets of a program and says when there is something to earn. Sends no orders. */
import { Context } from "effect"
import type { Effect, Scope, Stream } from "effect"
import type { Opportunity, Route } from "./Opportunity.ts"

/** Why an opportunity is no more. */
export type VanishCause = "Price" | "Stale" | "TooOld" | "Skewed" | "Crossed" | "Closed"

export type OpportunityEvent =
  | { readonly _tag: "Entered"; readonly opportunity: Opportunity }
  | { readonly _tag: "Updated"; readonly opportunity: Opportunity }
  /** `opportunity`: as it was last. */
  | {
    readonly _tag: "Vanished"
    readonly opportunity: Opportunity
    readonly cause: VanishCause
    readonly at: number
    /** Since it was entered, ms. */
    readonly livedMs: number
  }

export interface MonitorPerformance {
  readonly routes: number
  /** Book changes looked at. */
  readonly evaluations: number
  readonly entered: number
  readonly open: number
  /** Not emitted because of the legs, by cause. */
  readonly withheld: Readonly<Record<"Stale" | "TooOld" | "Skewed" | "Crossed", number>>
  /** From the receipt of the second leg's frame to the emission, ms, over the last 1024. */
  readonly detection: {
    readonly count: number
    readonly p50: number
    readonly p95: number
    readonly p99: number
    readonly max: number
  }
}

export class ArbitrageMonitor extends Context.Service<ArbitrageMonitor, {
  readonly routes: () => ReadonlyArray<Route>
  /** What is there now. */
  readonly open: () => ReadonlyArray<Opportunity>
  /** From now on. A slow reader keeps every `Entered` and `Vanished`, and the newest `Updated` of each. */
  readonly opportunities: Stream.Stream<OpportunityEvent>
  /** Calls `consumer` synchronously in the turn that changed the book, until the scope closes. */
  readonly handle: (consumer: (event: OpportunityEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  readonly performance: Effect.Effect<MonitorPerformance>
}>()("effect-exchange/ArbitrageMonitor") {}
