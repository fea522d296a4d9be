/** Says in the log that something of the user's fails, without drowning it when that fails with every event. */
import { Effect, type Scope } from "effect"

const interval = "1 second"

/**
 * What logs a failure: the first one at once, and what follows at most once a second, with their number and the latest
 * error, until none came for a second. What is still to be said at the scope's end is said then.
 */
export const make = (text: string): Effect.Effect<(error: unknown) => void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    let isCounting = false
    let count = 0
    let latest: unknown

    const tell = Effect.suspend(() => {
      if (count === 0) return Effect.void
      const line = `${text}: ${count} more since the last line, the latest`
      count = 0
      return Effect.logError(line, latest)
    })
    const wait: Effect.Effect<void> = Effect.andThen(
      Effect.sleep(interval),
      Effect.suspend(() => count === 0 ? Effect.void : Effect.andThen(tell, wait))
    )
    const counting = Effect.ensuring(
      wait,
      Effect.suspend(() => {
        isCounting = false
        return tell
      })
    )

    return (error) => {
      if (isCounting) {
        count++
        latest = error
        return
      }
      isCounting = true
      fork(Effect.logError(text, error))
      fork(Effect.forkIn(counting, scope, { startImmediately: true }))
    }
  })
