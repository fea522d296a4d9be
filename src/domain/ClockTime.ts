/**
 * What a clock says in ms. Wall time is for what is told and compared with what others stamp; it jumps when the machine's clock
 * is set. Monotonic time is for ages, pauses and bounds.
 */
import { Clock, Effect } from "effect"

/** Wall time minus monotonic time, ms, by clock. */
const origins = new WeakMap<Clock.Clock, number>()

/**
 * Wall-clock time in ms since the epoch with fractions. The clock's milliseconds are the truth, the monotonic clock only
 * adds the fraction: `currentTimeNanos` is anchored once and may stray from the wall clock by up to a second.
 */
export const wallMillis = (clock: Clock.Clock): number => {
  const millis = clock.currentTimeMillisUnsafe()
  const monotonic = monotonicMillis(clock)
  const projected = (origins.get(clock) ?? millis - monotonic) + monotonic
  // The clock cuts fractions off: the time is from `millis` up to one more.
  const wall = Math.min(Math.max(projected, millis), millis + 0.999)
  origins.set(clock, wall - monotonic)
  return wall
}

/** Milliseconds for measuring; only differences mean anything. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Wall time that has left monotonic time by more, in either direction: the machine's clock was set, or the machine has slept. ms. */
export const setMillis = 500

export const monotonic: Effect.Effect<number> = Effect.map(Clock.Clock, monotonicMillis)
