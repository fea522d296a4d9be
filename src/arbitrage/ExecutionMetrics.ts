/** Metrics of an executor: what became of each execution, and what had to be carried on. */
import { Effect, Metric } from "effect"

const counter = (name: string, description: string, unit: string) =>
  Metric.counter(name, { description, attributes: { unit }, incremental: true })

/** By outcome. */
export const executions = counter("arbitrage.executions", "Executions that have ended", "{execution}")
export const carried = counter(
  "arbitrage.carried",
  "Remainders that could not be traded away and are carried on",
  "{remainder}"
)

export const make = Effect.map(Effect.context<never>(), (context) => ({
  executed: (outcome: string): void => Metric.withAttributes(executions, { outcome }).updateUnsafe(1, context),
  carried: (): void => carried.updateUnsafe(1, context)
}))
