/** Finds a connection that answers pings and yet delivers nothing. */
import { Clock, Duration, Effect } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Connection, Dial } from "./Connection.ts"
import * as Silence from "./Silence.ts"

export interface StalenessOptions {
  readonly exchange: ExchangeId
  /** Abort with `Silent` when data is due and none came for this long. */
  readonly after: Duration.Input
}

/** How many times within `after` the fiber looks whether data is due at all. */
const looks = 4

/**
 * Aborts a connection with `Silent` that is alive but sends no data: `activity.expectsData` is set and
 * `activity.dataAt` has not moved for `after`. The silence counts from the last data or from when data became due,
 * whichever is later; the second is noticed within a quarter of `after`. While `activity.held` is set nothing is judged.
 */
export const withStaleness = (options: StalenessOptions) => <R>(self: Dial<R>): Dial<R> =>
  Effect.tap(self, (connection) => Effect.forkScoped(watch(connection, options)))

const watch = Effect.fnUntraced(function*(connection: Connection, options: StalenessOptions) {
  const { activity } = connection
  const clock = yield* Clock.Clock
  const after = Duration.toMillis(options.after)
  const tick = after / looks
  const silence = Silence.watch(clock, () => activity.dataAt)
  let late = false
  let wasDue = false
  while (true) {
    const due = activity.expectsData && !activity.held
    if (late || !due || !wasDue) silence.restart()
    wasDue = due
    const quiet = silence.elapsed()
    if (quiet >= after) {
      return yield* connection.abort(
        ExchangeError.make(
          options.exchange,
          new ExchangeError.Silent({ silentForMs: quiet, detail: "the connection is alive but brings no data" })
        )
      )
    }
    late = (yield* Silence.sleep(clock, Math.min(tick, after - quiet))).late
  }
})
