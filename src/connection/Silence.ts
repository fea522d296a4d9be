/** How long a time stamp has stood still, measured so that neither a clock correction nor a late timer counts. */
import { Duration, Effect } from "effect"
import type { Clock } from "effect"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"

export interface Silence {
  /** Milliseconds since the stamp last moved. */
  readonly elapsed: () => number
  /** Count from now. */
  readonly restart: () => void
}

/**
 * Watches a wall-clock stamp (ms). A stamp that moved since the last look tells when it moved, but the wall clock may
 * have been corrected meanwhile, so that difference is kept within what the monotonic clock says has passed since.
 */
export const watch = (clock: Clock.Clock, stamp: () => number): Silence => {
  let seen = stamp()
  let lookedAt = monotonicMillis(clock)
  let movedAt = lookedAt
  return {
    elapsed: () => {
      const now = monotonicMillis(clock)
      const current = stamp()
      if (current !== seen) {
        seen = current
        movedAt = now - Math.min(Math.max(wallMillis(clock) - current, 0), now - lookedAt)
      }
      lookedAt = now
      return now - movedAt
    },
    restart: () => {
      seen = stamp()
      lookedAt = movedAt = monotonicMillis(clock)
    }
  }
}

/** Timers come a few milliseconds late on a busy process; beyond this it was not running. */
const lateMillis = 1000

/**
 * Sleeps and says whether the wake-up came far too late. A process that did not run (a suspended machine, a long
 * synchronous stretch) could not read its sockets either, so a silence measured then proves nothing about the peer.
 * The yield lets the socket be read once before anyone judges.
 */
export const sleep = (clock: Clock.Clock, millis: number): Effect.Effect<{ readonly late: boolean }> =>
  Effect.suspend(() => {
    const due = monotonicMillis(clock) + millis
    return Effect.sleep(Duration.millis(millis)).pipe(
      Effect.andThen(Effect.sync(() => ({ late: monotonicMillis(clock) - due > lateMillis }))),
      Effect.tap(Effect.yieldNow)
    )
  })
