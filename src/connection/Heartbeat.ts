/** Finds a peer that is gone although the socket looks open. */
import { Clock, Duration, Effect } from "effect"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Activity, Connection, Dial, OutFrame } from "./Connection.ts"
import * as Silence from "./Silence.ts"

export interface HeartbeatOptions {
  readonly exchange: ExchangeId
  /** Ping when nothing was received for this long. */
  readonly interval: Duration.Input
  /** Abort with `Silent` when nothing follows the ping for this long. */
  readonly timeout: Duration.Input
  /** Ping a new connection that has brought nothing for this long, where `interval` is longer. Default 500 ms. */
  readonly first?: Duration.Input | undefined
  /** The exchange's own ping frame, made anew for every ping. */
  readonly ping: () => OutFrame
}

/** Default of `HeartbeatOptions`: whatever is asked first is answered within this, so that few need a ping. */
export const firstPing: Duration.Input = "500 millis"

/**
 * Pings a connection that has gone quiet and aborts it with `Silent` when the peer stays silent, at the latest
 * `interval + timeout` after its last frame. Any frame counts as life, and so does a large one that is still coming in.
 *
 * A peer that is there and slow must not be left again and again, see `Patience`. While `activity.held` is set we do not
 * read, so the pings go on and nothing is judged. A process that was asleep pings once more before it judges. One fiber per
 * connection, in the connection's scope.
 */
export const withHeartbeat = (options: HeartbeatOptions) => <R>(self: Dial<R>): Dial<R> => {
  const patience = new Patience(Duration.toMillis(options.timeout))
  return Effect.tap(self, (connection) => Effect.forkScoped(beat(connection, options, patience)))
}

/** So many connections in a row are given up after `timeout` before one is given longer. */
const promptly = 10

/** The longest, in `timeout`s. */
const most = 4

/** Of the time that its latest answers took. */
const allowance = 3

/** An answer of long ago counts for less with each that follows. */
const fading = 0.75

/**
 * How long a peer has to answer, of one connection after another. Once one was given up it is longer while answers are seen
 * to be slow, and while nobody answers at all.
 */
class Patience {
  readonly #timeout: number
  /** Given up since a ping was answered soon. */
  #unanswered = 0
  /** How long an answer of late took, ms. */
  #slowest = 0

  constructor(timeout: number) {
    this.#timeout = timeout
  }

  get millis(): number {
    if (this.#unanswered === 0) return this.#timeout
    const doublings = Math.max(0, this.#unanswered - promptly + 1)
    return Math.min(
      this.#timeout * most,
      Math.max(this.#timeout, this.#slowest * allowance) * 2 ** Math.min(doublings, most)
    )
  }

  answered(after: number): void {
    if (after * allowance <= this.#timeout) this.#unanswered = 0
    this.#slowest = Math.max(after, this.#slowest * fading)
  }

  gaveUp(): void {
    this.#unanswered++
  }
}

const beat = (connection: Connection, options: HeartbeatOptions, patience: Patience): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => watch(connection, options, patience, clock)).pipe(
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

/** A peer that sends so much without ending a frame is sending a large one; a control frame has fewer bytes. */
const lifeBytes = 1024

const bytesRead = (connection: Connection): number => connection.bytesRead?.() ?? 0

const watch = Effect.fnUntraced(function*(
  connection: Connection,
  options: HeartbeatOptions,
  patience: Patience,
  clock: Clock.Clock
) {
  const { activity } = connection
  const silence = Silence.watch(clock, () => activity.receivedAt)
  const allowed = allowedSilence(activity, options)
  /** A late wake-up is forgiven once: the ping after it has been out for a whole timeout by then. */
  let forgiven = false
  while (true) {
    const left = allowed() - silence.elapsed()
    if (left > 0) {
      forgiven = false
      yield* Effect.sleep(Duration.millis(left))
      continue
    }
    const verdict = yield* ask(connection, options, patience, clock)
    if (verdict === "over") return
    if (verdict === "unjudged") silence.restart()
    if (verdict === "late" && !forgiven) {
      forgiven = true
    } else if (verdict === "late" || verdict === "silent") {
      patience.gaveUp()
      return yield* connection.abort(
        ExchangeError.make(
          options.exchange,
          new ExchangeError.Silent({ silentForMs: silence.elapsed(), detail: "no frame and no answer to a ping" })
        )
      )
    }
  }
})

/** How long a connection may be quiet before it is pinged, ms: one that has brought nothing yet less than others. */
const allowedSilence = (activity: Activity, options: HeartbeatOptions): () => number => {
  const opened = activity.receivedAt
  const interval = Duration.toMillis(options.interval)
  const first = Math.min(interval, Duration.toMillis(options.first ?? firstPing))
  return () => activity.receivedAt === opened ? first : interval
}

/**
 * What came of a ping. `over`: the connection has ended, and `pull` has the reason. `unjudged`: we do not read, or a large
 * frame is on its way. `late`: nothing came, and the process was asleep meanwhile.
 */
type Verdict = "answered" | "late" | "over" | "silent" | "unjudged"

const ask = Effect.fnUntraced(function*(
  connection: Connection,
  options: HeartbeatOptions,
  patience: Patience,
  clock: Clock.Clock
): Effect.fn.Return<Verdict> {
  const { activity } = connection
  const seen = activity.receivedAt
  const bytes = bytesRead(connection)
  const wall = wallMillis(clock)
  const monotonic = monotonicMillis(clock)
  const interval = Duration.toMillis(options.interval)
  const { late, over } = yield* ping(connection, options, { timeout: patience.millis, interval }, clock)
  if (over) return "over"
  if (activity.receivedAt !== seen) {
    // The wall clock may have been set meanwhile.
    const longest = monotonicMillis(clock) - monotonic
    patience.answered(Math.min(Math.max(activity.receivedAt - wall, 0), longest))
    return "answered"
  }
  if (activity.held || bytesRead(connection) - bytes >= lifeBytes) return "unjudged"
  return late ? "late" : "silent"
})

interface Wait {
  readonly timeout: number
  readonly interval: number
}

/**
 * Sends a ping and gives the peer `timeout` to show life. The write is not waited for: to a dead peer it may hang for
 * ever once the send buffer is full. `over`: the connection has ended, and `pull` has the reason.
 */
const ping = (connection: Connection, options: HeartbeatOptions, wait: Wait, clock: Clock.Clock) =>
  Effect.suspend(() => {
    // The answer may come before the write returns.
    const waiting = answer(connection, connection.activity.receivedAt, wait, clock)
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
  { interval, timeout }: Wait,
  clock: Clock.Clock
) {
  let late = false
  for (let left = timeout; left > 0 && activity.receivedAt === seen; left -= interval) {
    late = (yield* Silence.sleep(clock, Math.min(left, interval))).late || late
  }
  return late
})
