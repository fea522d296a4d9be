/** A clock that wakes sleepers only when told, so that they can be late, and whose wall time can be corrected. */
import { type Clock, Duration, Effect } from "effect"

export interface ManualClock {
  readonly clock: Clock.Clock
  /** Time passes at once: whoever was due meanwhile wakes only now. Returns when all have gone to sleep again. */
  readonly pass: (millis: number) => Effect.Effect<void>
  readonly correctWall: (millis: number) => void
}

const nanos = (millis: number) => BigInt(Math.round(millis * 1e6))

export const make = (): ManualClock => {
  let monotonic = 0n
  let wall = 1_700_000_000_000_000_000n
  let sleepers: Array<{ readonly due: bigint; readonly wake: () => void }> = []
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => Number(wall / 1_000_000n),
    currentTimeMillis: Effect.sync(() => Number(wall / 1_000_000n)),
    currentTimeNanosUnsafe: () => wall,
    currentTimeNanos: Effect.sync(() => wall),
    monotonicTimeNanosUnsafe: () => monotonic,
    monotonicTimeNanos: Effect.sync(() => monotonic),
    sleep: (duration) =>
      Effect.callback((resume) => {
        sleepers.push({ due: monotonic + nanos(Duration.toMillis(duration)), wake: () => resume(Effect.void) })
      })
  }
  const settle = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow, { discard: true })
  return {
    clock,
    pass: (millis) =>
      Effect.andThen(
        Effect.sync(() => {
          monotonic += nanos(millis)
          wall += nanos(millis)
          const due = sleepers.filter((sleeper) => sleeper.due <= monotonic)
          sleepers = sleepers.filter((sleeper) => sleeper.due > monotonic)
          for (const sleeper of due) sleeper.wake()
        }),
        settle
      ),
    correctWall: (millis) => {
      wall += nanos(millis)
    }
  }
}
