/** A clock whose wall time can be set, as a machine's is; what measures and sleeps goes on as it was. */
import { Clock, Effect } from "effect"

export interface SteppedClock {
  readonly clock: Clock.Clock
  /** The machine's clock is set forward, or back. */
  readonly step: (millis: number) => void
}

export const make: Effect.Effect<SteppedClock> = Effect.map(Clock.Clock, (clock) => {
  let ahead = 0
  const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + ahead
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
  const monotonicTimeNanosUnsafe = () => clock.monotonicTimeNanosUnsafe()
  return {
    clock: {
      currentTimeMillisUnsafe,
      currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
      currentTimeNanosUnsafe,
      currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
      monotonicTimeNanosUnsafe,
      monotonicTimeNanos: Effect.sync(monotonicTimeNanosUnsafe),
      sleep: (duration) => clock.sleep(duration)
    },
    step: (millis) => {
      ahead += millis
    }
  }
})
