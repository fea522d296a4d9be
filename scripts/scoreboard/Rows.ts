/** All rows, in the order of the page. */
import { Effect } from "effect"
import * as Books from "./Books.ts"
import * as Candles from "./Candles.ts"
import * as Install from "./Install.ts"
import * as Lifeless from "./Lifeless.ts"
import * as Load from "./Load.ts"
import * as Rates from "./Rates.ts"
import * as Refusals from "./Refusals.ts"
import type { Row, Settings } from "./Row.ts"

type Measure = (settings: Settings) => Effect.Effect<Row, unknown>

const all = (measures: ReadonlyArray<Measure>, settings: Settings, concurrency: number | "unbounded") =>
  Effect.forEach(measures, (measure) => measure(settings), { concurrency })

/** What comes out the same on every machine. */
export const outcomes = (settings: Settings): Effect.Effect<ReadonlyArray<Row>, unknown> =>
  all(
    [
      Books.ghosts,
      Books.mexcGap,
      Books.gateGap,
      Refusals.blocked,
      Refusals.rejected,
      () => Install.plainInstall,
      Load.burst,
      Candles.volume
    ],
    settings,
    "unbounded"
  )

/** They wait most of the time, so they wait together. */
const lifeless = (settings: Settings) =>
  all(
    (["mexc-spot", "gate-spot"] as const).flatMap((id) => [
      Lifeless.silence(id),
      Lifeless.halfOpen(id),
      Lifeless.outage(id)
    ]),
    settings,
    "unbounded"
  )

/** Everything. What measures the machine runs alone. */
export const measure = Effect.fnUntraced(function*(settings: Settings) {
  const waits = Effect.all([outcomes(settings), lifeless(settings)], { concurrency: settings.quick ? 2 : 1 })
  const [outcome, lifelessRows] = yield* waits
  const load = yield* all([Load.lag, Load.loss], settings, 1)
  const rates = yield* Rates.rates(settings)
  const rows: ReadonlyArray<Row> = [...outcome, ...lifelessRows, ...load, ...rates]
  return rows
})
