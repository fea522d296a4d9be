/** Has what the monitor finds traded: each side of a book for one execution at a time, and what it shows once. */
import type { Clock } from "effect"
import { Effect, FiberSet } from "effect"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { ArbitrageMonitor, OpportunityEvent } from "./ArbitrageMonitor.ts"
import type { Leg, Opportunity } from "./Opportunity.ts"

export interface TakingOptions {
  readonly monitor: ArbitrageMonitor["Service"]
  readonly clock: Clock.Clock
  readonly execute: (opportunity: Opportunity) => Effect.Effect<unknown, ExchangeError>
  readonly isDraining: () => boolean
  /** A route is left alone for so long behind a refusal, ms. */
  readonly pauseAfterRefusal: number
}

const sideOf = ({ exchange, pair, side }: Leg): string => `${exchange} ${pair} ${side}`

const versionOf = ({ receivedAt, version }: Leg): string => version === null ? `at ${receivedAt}` : String(version)

/** Until it is interrupted. */
export const make = ({ clock, execute, isDraining, monitor, pauseAfterRefusal }: TakingOptions): Effect.Effect<never> =>
  Effect.scoped(Effect.gen(function*() {
    const start = yield* FiberSet.makeRuntime<never>()
    /** Sides of books: what one execution takes another one does not count on. */
    const busy = new Set<string>()
    const pausedUntil = new Map<string, number>()
    /** By side of a book: the version that was traded on last; what it still shows may be gone. */
    const taken = new Map<string, string>()

    /** By side of a book: when an execution on it has ended, monotonic, ms; what was received before may show what it has taken. */
    const endedAt = new Map<string, number>()

    /** In the wall time of now, by which books are stamped: the machine's clock may have been set since. */
    const endOf = (side: string): number => {
      const ended = endedAt.get(side)
      return ended === undefined ? 0 : Math.floor(wallMillis(clock) - (monotonicMillis(clock) - ended))
    }

    const isFree = (leg: Leg): boolean => {
      const side = sideOf(leg)
      return !busy.has(side) && taken.get(side) !== versionOf(leg) && leg.receivedAt >= endOf(side)
    }

    const consider = (opportunity: Opportunity): void => {
      const { buy, route, sell } = opportunity
      const legs = [buy, sell]
      const isPaused = (pausedUntil.get(route) ?? Number.NEGATIVE_INFINITY) > monotonicMillis(clock)
      if (isDraining() || isPaused || !legs.every(isFree)) return
      const before = legs.map((leg) => taken.get(sideOf(leg)))
      for (const leg of legs) {
        busy.add(sideOf(leg))
        taken.set(sideOf(leg), versionOf(leg))
      }
      start(
        Effect.match(execute(opportunity), {
          onFailure: () => {
            pausedUntil.set(route, monotonicMillis(clock) + pauseAfterRefusal)
            // Nothing was sent: another route may take it.
            for (const [index, leg] of legs.entries()) taken.set(sideOf(leg), before[index] ?? "")
          },
          onSuccess: () => {
            for (const leg of legs) endedAt.set(sideOf(leg), monotonicMillis(clock))
          }
        }).pipe(Effect.ensuring(Effect.sync(() => {
          for (const leg of legs) busy.delete(sideOf(leg))
          considerAll()
        })))
      )
    }

    /** The most profitable first. */
    const considerAll = (): void => {
      for (const opportunity of [...monitor.open()].sort((a, b) => b.profit - a.profit)) consider(opportunity)
    }

    yield* monitor.handle((event: OpportunityEvent) => {
      if (event._tag !== "Vanished") consider(event.opportunity)
    })
    considerAll()
    return yield* Effect.never
  }))
