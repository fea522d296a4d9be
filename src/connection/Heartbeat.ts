/** Finds a peer that is gone although the socket looks open. */
import { Clock, Duration, Effect } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Connection, Dial, OutFrame } from "./Connection.ts"
import * as Silence from "./Silence.ts"

export interface HeartbeatOptions {
  readonly exchange: ExchangeId
  /** Ping when nothing was received for this long. */
  readonly interval: Duration.Input
  /** Abort with `Silent` when nothing follows the ping for this long. */
  readonly timeout: Duration.Input
  /** The exchange's own ping frame, made anew for every ping. */
  readonly ping: () => OutFrame
}

/**
 * Pings a connection that has gone quiet and aborts it with `Silent` when the peer stays silent, at the latest
 * `interval + timeout` after its last frame. Any frame counts as life.
 *
 * While `activity.held` is set we do not read, so the pings go on and nothing is judged. A process that was asleep
 * pings once more before it judges. One fiber per connection, in the connection's scope.
 */
export const withHeartbeat = (options: HeartbeatOptions) => <R>(self: Dial<R>): Dial<R> =>
  Effect.tap(self, (connection) => Effect.forkScoped(beat(connection, options)))

const beat = (connection: Connection, options: HeartbeatOptions): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => watch(connection, options, clock)).pipe(
    // Only `ping` is foreign code here. A connection without heartbeat must not look healthy.
    Effect.catchDefect((defect) =>
      connection.abort(
        ExchangeError.make(
          options.exchange,
          new ExchangeError.InvalidUse({ detail: `the heartbeat's ping failed: ${String(defect)}` })
        )
      )
    )
  )

const watch = Effect.fnUntraced(function*(connection: Connection, options: HeartbeatOptions, clock: Clock.Clock) {
  const { activity } = connection
  const interval = Duration.toMillis(options.interval)
  const timeout = Duration.toMillis(options.timeout)
  const silence = Silence.watch(clock, () => activity.receivedAt)
  /** A late wake-up is forgiven once: the ping after it has been out for a whole timeout by then. */
  let forgiven = false
  while (true) {
    const quiet = silence.elapsed()
    if (quiet < interval) {
      forgiven = false
      yield* Effect.sleep(Duration.millis(interval - quiet))
      continue
    }
    const seen = activity.receivedAt
    const { late, over } = yield* ping(connection, options, { timeout, interval }, clock)
    if (over) return
    if (activity.receivedAt !== seen) continue
    if (activity.held) {
      silence.restart()
      continue
    }
    if (late && !forgiven) {
      forgiven = true
      continue
    }
    return yield* connection.abort(
      ExchangeError.make(
        options.exchange,
        new ExchangeError.Silent({ silentForMs: silence.elapsed(), detail: "no frame and no answer to a ping" })
      )
    )
  }
})

interface Patience {
  readonly timeout: number
  readonly interval: number
}

/**
 * Sends a ping and gives the peer `timeout` to show life. The write is not waited for: to a dead peer it may hang for
 * ever once the send buffer is full. `over`: the connection has ended, and `pull` has the reason.
 */
const ping = (connection: Connection, options: HeartbeatOptions, patience: Patience, clock: Clock.Clock) =>
  Effect.suspend(() => {
    // The answer may come before the write returns.
    const waiting = answer(connection, connection.activity.receivedAt, patience, clock)
    return connection.write(options.ping()).pipe(
      Effect.matchEffect({
        onFailure: () => Effect.succeed({ late: false, over: true }),
        onSuccess: () => Effect.never
      }),
      Effect.raceFirst(Effect.map(waiting, (late) => ({ late, over: false })))
    )
  })

/**
 * Waits for life, at most `timeout`, and says whether the process was asleep meanwhile. Looks up every `interval`: when
 * the peer answers at once and dies then, the next ping must not have to wait for a timeout that is longer.
 */
const answer = Effect.fnUntraced(function*(
  { activity }: Connection,
  seen: number,
  { interval, timeout }: Patience,
  clock: Clock.Clock
) {
  let late = false
  for (let left = timeout; left > 0 && activity.receivedAt === seen; left -= interval) {
    late = (yield* Silence.sleep(clock, Math.min(left, interval))).late || late
  }
  return late
})
