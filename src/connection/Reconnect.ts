/** Keeps a session alive over one connection after another. */
import { Clock, Duration, Effect, Pull, Random, Schedule, type Scope } from "effect"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Connection, Dial } from "./Connection.ts"

export interface ReconnectPolicy {
  /** The waits between dials. When it is done, the last error ends the supervision. */
  readonly backoff: Schedule.Schedule<unknown, ExchangeError>
  /** A connection that lived this long was healthy: the back-off starts anew after it. */
  readonly stableAfter: Duration.Input
}

/** While an outage has not lasted so long, no wait is longer than this. */
export interface BackoffStage {
  readonly upTo: Duration.Input
  readonly longest: Duration.Input
}

export interface BackoffOptions {
  /** The first wait; each is twice the one before it. Default 50 ms. */
  readonly first?: Duration.Input | undefined
  /** In the order of their time. Default 1 s in the first minute, 2 s in the first five. */
  readonly stages?: ReadonlyArray<BackoffStage> | undefined
  /** No wait is longer behind the last stage. Default 30 s. */
  readonly longest?: Duration.Input | undefined
}

export const backoffDefaults = {
  first: "50 millis",
  stages: [{ upTo: "1 minute", longest: "1 second" }, { upTo: "5 minutes", longest: "2 seconds" }],
  longest: "30 seconds"
} as const satisfies BackoffOptions

/**
 * Doubles its waits, bounded by how long the outage has lasted: most last seconds, a restart of an exchange some minutes,
 * and nobody should wait half a minute behind one of those. Every wait, the first too, is drawn from the upper half of its
 * step, so that clients which lost their connections together do not return together. Never ends: exchanges come back.
 */
export const makeBackoff = (options: BackoffOptions = {}): Schedule.Schedule<Duration.Duration> => {
  const first = Duration.toMillis(options.first ?? backoffDefaults.first)
  const last = Duration.toMillis(options.longest ?? backoffDefaults.longest)
  const stages = (options.stages ?? backoffDefaults.stages).map(({ longest, upTo }) => ({
    upTo: Duration.toMillis(upTo),
    longest: Duration.toMillis(longest)
  }))
  const longestAt = (elapsed: number): number => stages.find(({ upTo }) => elapsed < upTo)?.longest ?? last
  return Schedule.fromStepWithMetadata(
    Effect.sync(() => {
      let next = first
      return ({ elapsed }: Schedule.InputMetadata<unknown>) =>
        Effect.map(Random.next, (random) => {
          const step = Math.min(next, longestAt(elapsed))
          next = step * 2
          const wait = Duration.millis(step / 2 + (step / 2) * random)
          return [wait, wait] as [Duration.Duration, Duration.Duration]
        })
    })
  )
}

/** That of the defaults. */
export const backoff: Schedule.Schedule<Duration.Duration> = makeBackoff()

export const defaults: ReconnectPolicy = { backoff, stableAfter: "10 seconds" }

/** Called in the order of events. What a hook throws or dies of ends the supervision with that defect. */
export interface Hooks {
  /** Before every dial. `attempt` counts from 1 since the last healthy connection. */
  readonly onConnecting?: ((attempt: number) => Effect.Effect<void> | void) | undefined
  readonly onConnected?: (() => Effect.Effect<void> | void) | undefined
  /** After every failed dial and every ended connection. `retryInMs` is null when there will be no other dial. */
  readonly onDisconnected?: ((error: ExchangeError, retryInMs: number | null) => Effect.Effect<void> | void) | undefined
}

/**
 * Dials, runs the session on the connection, and dials again after either has failed. Ends only with an error that
 * `isTransient` says cannot pass, or when the back-off is exhausted; defects pass through. Each connection has its own
 * scope, closed before the wait; interruption closes it too.
 */
export const supervise = Effect.fnUntraced(function*<R, R2>(
  dial: Dial<R>,
  session: (connection: Connection) => Effect.Effect<never, ExchangeError, R2>,
  policy: ReconnectPolicy = defaults,
  hooks: Hooks = {}
): Effect.fn.Return<never, ExchangeError, Exclude<R | R2, Scope.Scope>> {
  const clock = yield* Clock.Clock
  const stableAfter = Duration.toMillis(policy.stableAfter)
  let step = yield* Schedule.toStep(policy.backoff)
  let attempt = 0
  // Schedules tell from the time how long an outage lasts: a machine's clock that is set must not lengthen the waits.
  const ahead = clock.currentTimeMillisUnsafe() - monotonicMillis(clock)
  const now = (): number => ahead + monotonicMillis(clock)
  while (true) {
    yield* run(hooks.onConnecting?.(++attempt))
    const began = monotonicMillis(clock)
    const { error, livedMillis } = yield* live(clock, dial, session, hooks)
    const isStable = livedMillis >= stableAfter
    if (isStable) {
      step = yield* Schedule.toStep(policy.backoff)
      attempt = 0
    }
    const waited = isStable ? 0 : silentMillis(error, monotonicMillis(clock) - began)
    const wait = error.isTransient ? yield* waitAfter(error, step(now(), error), waited) : null
    yield* run(hooks.onDisconnected?.(error, wait))
    if (wait === null) return yield* Effect.fail(error)
    yield* Effect.sleep(Duration.millis(wait))
  }
})

interface Life {
  readonly error: ExchangeError
  /** Zero when the dial failed. */
  readonly livedMillis: number
}

/** One dial and, when it succeeds, one session to its end. */
const live = <R, R2>(
  clock: Clock.Clock,
  dial: Dial<R>,
  session: (connection: Connection) => Effect.Effect<never, ExchangeError, R2>,
  hooks: Hooks
): Effect.Effect<Life, never, Exclude<R | R2, Scope.Scope>> =>
  Effect.suspend(() => {
    let connectedAt: number | undefined
    let livedMillis = 0
    return Effect.flatMap(dial, (connection) => {
      connectedAt = monotonicMillis(clock)
      return Effect.andThen(run(hooks.onConnected?.()), session(connection))
    }).pipe(
      // Within the scope: saying goodbye to the peer is not part of the life.
      Effect.tapError(() =>
        Effect.sync(() => {
          if (connectedAt !== undefined) livedMillis = monotonicMillis(clock) - connectedAt
        })
      ),
      Effect.scoped,
      Effect.flip,
      Effect.map((error) => ({ error, livedMillis }))
    )
  })

const run = (hook: Effect.Effect<void> | void): Effect.Effect<void> => hook === undefined ? Effect.void : hook

/** A limit may have room earlier than it said, ms. */
const longestForLimit = 5 * 60_000

/** What the exchange asks for, or until a limit of ours has room: before that nothing is sent, ms. */
const leastWait = ({ reason }: ExchangeError): number => {
  if (reason._tag === "RateLimited") return Math.min(reason.retryAfterMs, longestForLimit)
  return reason._tag === "RequestFailed" ? reason.retryAfterMs ?? 0 : 0
}

/** How much of what a connection took is waited already: nobody was asked for anything while it was silent. ms. */
const silentMillis = ({ reason }: ExchangeError, took: number): number => reason._tag === "Silent" ? took : 0

/** Milliseconds, of which so many have passed; null when the schedule is done. */
const waitAfter = (
  error: ExchangeError,
  step: Pull.Pull<[unknown, Duration.Duration], never, unknown>,
  passed: number
): Effect.Effect<number | null> =>
  Pull.matchEffect(step, {
    onSuccess: ([, wait]) => Effect.succeed(Math.max(0, Duration.toMillis(wait) - passed, leastWait(error))),
    onDone: () => Effect.succeed(null),
    onFailure: Effect.failCause
  })
