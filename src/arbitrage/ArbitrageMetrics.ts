/** Metrics of a monitor: the look at a book writes plain counters, which are brought here four times a second. */
import { Effect, Metric } from "effect"
import type { RouteWatch } from "./RouteWatch.ts"

const counter = (name: string, description: string, unit: string) =>
  Metric.counter(name, { description, attributes: { unit }, incremental: true })

const gauge = (name: string, description: string, unit: string) =>
  Metric.gauge(name, { description, attributes: { unit } })

export const evaluations = counter("arbitrage.evaluations", "Looks at a route after a change of a book", "{evaluation}")
export const entered = counter("arbitrage.opportunities.entered", "Opportunities that came", "{opportunity}")
/** By cause. */
export const vanished = counter("arbitrage.opportunities.vanished", "Opportunities that went", "{opportunity}")
/** By cause. */
export const withheld = counter("arbitrage.withheld", "Looks that a leg in doubt ended", "{evaluation}")
export const open = gauge("arbitrage.opportunities.open", "Opportunities that are there", "{opportunity}")
export const routes = gauge("arbitrage.routes", "Routes that are watched", "{route}")
export const detection = Metric.histogram("arbitrage.detection.duration", {
  description: "From the receipt of the second leg's frame until the opportunity was told",
  attributes: { unit: "s" },
  boundaries: [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
})

/** Brings what the machine has counted since the last time into the metrics. */
export const make = Effect.fnUntraced(function*(machine: RouteWatch) {
  const context = yield* Effect.context<never>()
  const flushed = new Map<string, number>()

  const add = (metric: Metric.Counter<number>, name: string, total: number): void => {
    metric.updateUnsafe(total - (flushed.get(name) ?? 0), context)
    flushed.set(name, total)
  }
  const byCause = (metric: Metric.Counter<number>, name: string, totals: Readonly<Record<string, number>>): void => {
    for (const [cause, total] of Object.entries(totals)) {
      add(Metric.withAttributes(metric, { cause }), `${name} ${cause}`, total)
    }
  }

  return (): void => {
    add(evaluations, "evaluations", machine.evaluations)
    add(entered, "entered", machine.entered)
    byCause(vanished, "vanished", machine.vanished)
    byCause(withheld, "withheld", machine.withheld)
    open.updateUnsafe(machine.openCount, context)
    routes.updateUnsafe(machine.routes.length, context)
    const told = flushed.get("detection") ?? 0
    for (const millis of machine.detection.since(told)) detection.updateUnsafe(millis / 1000, context)
    flushed.set("detection", machine.detection.count)
  }
})
