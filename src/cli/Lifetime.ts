/** Commands that run until somebody has had enough: a duration, a key, Ctrl-C and SIGTERM are all their proper end. */
import { Cause, Duration, Effect, Exit, Fiber, Option } from "effect"
import * as Failure from "./Failure.ts"

/** `Stopped`: by a signal. */
export type End = "Finished" | "Elapsed" | "Stopped"

/** What is still open after this is left to the end of the process. */
const usualGrace: Duration.Input = "3 seconds"

/** Ends the body's fiber. Tells whether its resources were closed in time. */
const end = <E>(fiber: Fiber.Fiber<void, E>, grace: Duration.Input): Effect.Effect<void, Failure.CommandFailed> =>
  Effect.gen(function*() {
    fiber.interruptUnsafe()
    // A fiber of its own: this one has been interrupted, so it could not wait with a limit.
    const waiter = yield* Effect.forkDetach(Effect.timeoutOption(Fiber.await(fiber), grace))
    const ended = yield* Fiber.join(waiter)
    if (Option.isNone(ended)) yield* Failure.failed(`not everything was closed within ${Duration.toSeconds(grace)} s`)
  })

export interface Limit {
  readonly duration: Option.Option<Duration.Duration>
  /** The duration counts from here. Default: at once. */
  readonly begins?: Effect.Effect<void> | undefined
  /** How long closing may take. Default 3 s. */
  readonly grace?: Duration.Input | undefined
}

const join = <E>(fiber: Fiber.Fiber<void, E>, { duration, begins = Effect.void }: Limit): Effect.Effect<End, E> => {
  const finished = Effect.as(Fiber.join(fiber), "Finished" as const)
  return Option.match(duration, {
    onNone: () => finished,
    onSome: (limit) =>
      Effect.raceFirst(finished, Effect.as(Effect.andThen(begins, Effect.sleep(limit)), "Elapsed" as const))
  })
}

/**
 * Runs the body, with its resources, until it ends by itself, the duration is over or the process is told to stop.
 * `main` runs commands uninterruptibly, so that what follows here (a summary) is still done after a signal.
 */
export const run = <E, R>(
  body: Effect.Effect<void, E, R>,
  limit: Limit = { duration: Option.none() }
): Effect.Effect<End, E | Failure.CommandFailed, R> =>
  Effect.uninterruptible(
    Effect.gen(function*() {
      const fiber = yield* Effect.forkDetach(body)
      const exit = yield* Effect.exit(Effect.interruptible(join(fiber, limit)))
      yield* end(fiber, limit.grace ?? usualGrace)
      if (Exit.isSuccess(exit)) return exit.value
      return Cause.hasInterruptsOnly(exit.cause) ? "Stopped" : yield* Effect.failCause(exit.cause)
    })
  )
