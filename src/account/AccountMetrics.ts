/**
 * What an account's services count, as metrics named and measured after OpenTelemetry. Plain counters are written as things
 * happen; every ten seconds, and at the end, what has been added since goes into the metrics.
 *
 * Every series carries `exchange` and `account`, the account's name in the program, which is never a key.
 */
import { Effect, Metric } from "effect"
import type { Scope } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { DeskCounts } from "./DeskCounts.ts"
import type { PrivateCounters } from "./PrivateCounters.ts"

const counter = (name: string, description: string, unit: string) =>
  Metric.counter(name, { description, incremental: true, attributes: { unit } })

export const events = counter("exchange.account.events", "Events of the private stream", "{event}")
export const duplicates = counter("exchange.account.duplicates", "Pushed twice, delivered once", "{event}")
export const recovered = counter(
  "exchange.account.recovered",
  "Events that only a reading over REST has brought",
  "{event}"
)
export const gaps = counter("exchange.account.gaps", "Breaks reported in band", "{gap}")
export const reconnects = counter("exchange.account.reconnects", "Private connections that ended", "{connection}")
/** By outcome: done, failed. */
export const reconciliations = counter(
  "exchange.account.reconciliations",
  "Comparisons with the exchange",
  "{comparison}"
)
/** By outcome: accepted, rejected, unknown, resolved, throttled; sent counts each command that left. */
export const commands = counter("exchange.account.commands", "Commands by what became of them", "{command}")

type Series = readonly [metric: ReturnType<typeof counter>, outcome: string | null, read: () => number]

const flushing = Effect.fnUntraced(
  function*(
    exchange: ExchangeId,
    account: string,
    series: ReadonlyArray<Series>
  ): Effect.fn.Return<void, never, Scope.Scope> {
    const flushed = series.map(() => 0)
    const flush = Effect.forEach(series, ([metric, outcome, read], index) => {
      const added = read() - flushed[index]!
      if (added <= 0) return Effect.void
      flushed[index] = read()
      const attributes = { exchange, account, ...(outcome === null ? {} : { outcome }) }
      return Metric.update(Metric.withAttributes(metric, attributes), added)
    }, { discard: true })
    yield* Effect.addFinalizer(() => flush)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("10 seconds"), flush)))
  }
)

export const ofStream = (exchange: ExchangeId, account: string, counters: PrivateCounters) =>
  flushing(exchange, account, [
    [events, null, () => counters.events],
    [duplicates, null, () => counters.duplicates],
    [recovered, null, () => counters.recovered],
    [gaps, null, () => counters.gaps],
    [reconnects, null, () => counters.reconnects],
    [reconciliations, "done", () => counters.reconciliations],
    [reconciliations, "failed", () => counters.failedReconciliations]
  ])

export const ofOrders = (exchange: ExchangeId, account: string, counts: DeskCounts) =>
  flushing(exchange, account, [
    [commands, "sent", () => counts.sent],
    [commands, "accepted", () => counts.accepted],
    [commands, "rejected", () => counts.rejected],
    [commands, "unknown", () => counts.unknown],
    [commands, "resolved", () => counts.resolved],
    [commands, "throttled", () => counts.throttled]
  ])
