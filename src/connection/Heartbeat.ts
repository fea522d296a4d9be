/** Finds a peer that is gone although the socket looks open. */
import { Clock, Duration, Effect } from "effect"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Activity, Connection, Dial, OutFrame } from "./Connection.ts"
import { LifeSigns } from "./LifeSigns.ts"
import * as Silence from "./Silence.ts"

export interface HeartbeatOptions {
  readonly exchange: ExchangeId
  /** Ping when nothing was received for this long. */
  readonly interval: Duration.Input
  /** Abort with `Silent` when nothing follows the ping for this long. */
  readonly timeout: Duration.Input
  /** Ping a new connection that has brought nothing for this long, where `interval` is longer. Default 500 ms. */
  readonly first?: Duration.Input | undefined
  /** Of the server, from its other connections. Left out: those of this dial alone. */
  readonly signs?: LifeSigns | undefined
  /** Whether a dial waits for its turn at a mute server. Default true; false where that is waited for ahead of other limits. */
  readonly takesTurns?: boolean | undefined
  /** The exchange's own ping frame, made anew for every ping. */
  readonly ping: () => OutFrame
}

/** Default of `HeartbeatOptions`: whatever is asked first is answered within this, so that few need a ping. */
export const firstPing: Duration.Input = "500 millis"

/**
 * Pings a connection that has gone quiet and aborts it with `Silent` when the peer stays silent, at the latest
 * `interval + timeout` after its last frame. Any frame counts as life, and so does a large one that is still coming in.
 * Where the server has meanwhile answered a new connection, what has brought nothing must answer a ping about as soon, and
 * so must what was asked before a silent server was back: what hung and is back seldom takes up again what it had before.
 *
 * A peer that is there and slow must not be left again and again, see `Patience`. While `activity.held` is set we do not
 * read, so the pings go on and nothing is judged. A process that was asleep pings once more before it judges. One fiber per
 * connection, in the connection's scope.
 */
export const withHeartbeat = (options: HeartbeatOptions) => <R>(self: Dial<R>): Dial<R> => {
  const patience = new Patience(Duration.toMillis(options.timeout))
  const signs = options.signs ?? new LifeSigns()
  const interval = Duration.toMillis(options.interval)
  const first = Math.min(interval, Duration.toMillis(options.first ?? firstPing))
  const rhythm = { ...options, interval, first, signs, patience }
  const turn = options.takesTurns === false ? Effect.void : Effect.clockWith((clock) => signs.turn(clock))
  return turn.pipe(
    Effect.andThen(self),
    Effect.tap((connection) => Effect.forkScoped(beat(connection, rhythm)))
  )
}

/** Of one dial. ms. */
interface Rhythm {
  readonly exchange: ExchangeId
  readonly interval: number
  readonly first: number
  readonly ping: () => OutFrame
  readonly signs: LifeSigns
  readonly patience: Patience
}

/** So many connections in a row are given up after `timeout` before one is given longer. */
const promptly = 10

/** The longest, in `timeout`s. */
const most = 4

/** Of the time that its latest answers took. */
const allowance = 3

/** An answer of long ago counts for less with each that follows. */
const fading = 0.75

/** Who is left no more often than this is not left again and again, ms. */
const seldom = 600_000

/** A connection that was given up. */
interface GivenUp {
  /** It had brought something. */
  readonly heard: boolean
  /** ms. */
  readonly lived: number
  /** Sooner than the timeout, for the server had answered elsewhere. */
  readonly isHurried: boolean
}

/**
 * How long a peer has to answer, of one connection after another. Once one was given up it is longer while answers are seen
 * to be slow, and while nobody answers at all.
 */
class Patience {
  readonly #timeout: number
  /** Given up though they had brought something, since a ping was answered soon. */
  #unanswered = 0
  /** Given up without a frame, since a new connection brought one soon. */
  #mute = 0
  /** How long an answer of late took, ms. */
  #slowest = 0
  /** One was given up in a hurry and none has brought anything since. */
  #hasHurried = false

  constructor(timeout: number) {
    this.#timeout = timeout
  }

  get millis(): number {
    const unanswered = this.#unanswered + this.#mute
    if (unanswered === 0) return this.#timeout
    const doublings = Math.max(0, unanswered - promptly + 1)
    return Math.min(
      this.#timeout * most,
      Math.max(this.#timeout, this.#slowest * allowance) * 2 ** Math.min(doublings, most)
    )
  }

  /** Where the server answers a new connection after so long, ms; infinite where the one before was in a hurry already. */
  hurriedMillis(after: number): number {
    return this.#hasHurried ? Number.POSITIVE_INFINITY : Math.max(after, this.#slowest) * allowance
  }

  /** A new connection has brought its first frame after so long, ms. */
  came(after: number): void {
    this.#hasHurried = false
    if (after * allowance <= this.#timeout) this.#mute = 0
  }

  /** A ping was answered after so long, ms. */
  answered(after: number): void {
    this.#hasHurried = false
    if (after * allowance <= this.#timeout) this.#unanswered = this.#mute = 0
    this.#slowest = Math.max(after, this.#slowest * fading)
  }

  gaveUp({ heard, isHurried, lived }: GivenUp): void {
    if (lived >= seldom) this.#unanswered = this.#mute = 0
    if (isHurried) this.#hasHurried = true
    else if (heard) this.#unanswered++
    else this.#mute++
  }
}

const beat = (connection: Connection, rhythm: Rhythm): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => watch(connection, rhythm, clock)).pipe(
    // Only `ping` is foreign code here. A connection without heartbeat must not look healthy.
    Effect.catchDefect((defect) =>
      connection.abort(
        ExchangeError.make(
          rhythm.exchange,
          new ExchangeError.InvalidUse({ detail: `the heartbeat's ping failed: ${String(defect)}` })
        )
      )
    )
  )

/** A peer that sends so much without ending a frame is sending a large one; a control frame has fewer bytes. */
const lifeBytes = 1024

const bytesRead = (connection: Connection): number => connection.bytesRead?.() ?? 0

const watch = Effect.fnUntraced(function*(connection: Connection, rhythm: Rhythm, clock: Clock.Clock) {
  const { activity } = connection
  const life = new Life(activity, rhythm, clock)
  const silence = Silence.watch(clock, () => activity.receivedAt)
  yield* awaitFirst(activity, rhythm, silence)
  /** A late wake-up is forgiven once: the ping after it has been out for a whole timeout by then. */
  let forgiven = false
  while (true) {
    life.look()
    const left = (activity.heard ? rhythm.interval : rhythm.first) - silence.elapsed()
    if (left > 0) {
      forgiven = false
      yield* Effect.sleep(Duration.millis(left))
      continue
    }
    const verdict = yield* ask(connection, rhythm, silence.elapsed(), clock)
    if (verdict === "over") return
    if (verdict === "unjudged") silence.restart()
    if (verdict === "late" && !forgiven) {
      forgiven = true
    } else if (verdict !== "answered" && verdict !== "unjudged") {
      life.gaveUp(verdict === "hurried")
      return yield* connection.abort(
        ExchangeError.make(
          rhythm.exchange,
          new ExchangeError.Silent({ silentForMs: silence.elapsed(), detail: "no frame and no answer to a ping" })
        )
      )
    }
  }
})

/** What others are to know of a connection: its first frame, and that it was given up. */
class Life {
  readonly #activity: Activity
  readonly #rhythm: Rhythm
  readonly #clock: Clock.Clock
  /** ms of the monotonic clock. */
  readonly #openedAt: number
  /** By the wall clock, as the stamps of frames. */
  readonly #stamp: number
  #isNoticed: boolean

  constructor(activity: Activity, rhythm: Rhythm, clock: Clock.Clock) {
    this.#activity = activity
    this.#rhythm = rhythm
    this.#clock = clock
    this.#openedAt = monotonicMillis(clock)
    this.#stamp = activity.receivedAt
    this.#isNoticed = false
  }

  get #age(): number {
    return monotonicMillis(this.#clock) - this.#openedAt
  }

  look(): void {
    if (this.#isNoticed || !this.#activity.heard) return
    this.#isNoticed = true
    // The wall clock may have been set meanwhile.
    const after = Math.min(Math.max(this.#activity.receivedAt - this.#stamp, 0), this.#age)
    this.#rhythm.patience.came(after)
    this.#rhythm.signs.came({ openedAt: this.#openedAt, at: this.#openedAt + after, after })
  }

  gaveUp(isHurried: boolean): void {
    const { heard } = this.#activity
    this.#rhythm.signs.gaveUp({ openedAt: this.#openedAt, heard, isHurried })
    this.#rhythm.patience.gaveUp({ heard, lived: this.#age, isHurried })
  }
}

/** The first look for the first frame, ms. Each other one is half as much later as all before it. */
const firstLook = 20

/** Waits for the first frame, no longer than until the first ping: others are to hear of it soon. */
const awaitFirst = Effect.fnUntraced(function*(activity: Activity, { first }: Rhythm, silence: Silence.Silence) {
  while (!activity.heard) {
    const passed = silence.elapsed()
    const left = first - passed
    if (left <= 0) return
    yield* Effect.sleep(Duration.millis(Math.ceil(Math.min(left, Math.max(firstLook, passed / 2)))))
  }
})

/**
 * What came of a ping. `over`: the connection has ended, and `pull` has the reason. `unjudged`: we do not read, or a large
 * frame is on its way. `late`: nothing came, and the process was asleep meanwhile. `hurried`: nothing came, and the server
 * has answered a new connection sooner.
 */
type Verdict = "answered" | "hurried" | "late" | "over" | "silent" | "unjudged"

/** `silentFor`: since when nothing has come, ms. */
const ask = Effect.fnUntraced(function*(
  connection: Connection,
  rhythm: Rhythm,
  silentFor: number,
  clock: Clock.Clock
): Effect.fn.Return<Verdict> {
  const { activity } = connection
  const { patience } = rhythm
  const seen = activity.receivedAt
  const bytes = bytesRead(connection)
  const wall = wallMillis(clock)
  const sentAt = monotonicMillis(clock)
  const wait = { seen, sentAt, heardAt: sentAt - silentFor, timeout: patience.millis }
  const { hurried, late, over } = yield* ping(connection, rhythm, wait, clock)
  if (over) return "over"
  if (activity.receivedAt !== seen) {
    // The wall clock may have been set meanwhile.
    const longest = monotonicMillis(clock) - sentAt
    patience.answered(Math.min(Math.max(activity.receivedAt - wall, 0), longest))
    return "answered"
  }
  if (activity.held || bytesRead(connection) - bytes >= lifeBytes) return "unjudged"
  if (late) return "late"
  return hurried ? "hurried" : "silent"
})

interface Wait {
  /** When something came last, by the wall clock. */
  readonly seen: number
  /** The same, and when the ping left, ms of the monotonic clock. */
  readonly heardAt: number
  readonly sentAt: number
  readonly timeout: number
}

interface Waited {
  readonly hurried: boolean
  readonly late: boolean
}

/**
 * Sends a ping and gives the peer `timeout` to show life. The write is not waited for: to a dead peer it may hang for
 * ever once the send buffer is full. `over`: the connection has ended, and `pull` has the reason.
 */
const ping = (connection: Connection, rhythm: Rhythm, wait: Wait, clock: Clock.Clock) =>
  Effect.suspend(() =>
    connection.write(rhythm.ping()).pipe(
      Effect.matchEffect({
        onFailure: () => Effect.succeed({ hurried: false, late: false, over: true }),
        onSuccess: () => Effect.never
      }),
      Effect.raceFirst(Effect.map(answer(connection, rhythm, wait, clock), (waited) => ({ ...waited, over: false })))
    )
  )

/**
 * Waits for life, at most `timeout`, and says whether the process was asleep meanwhile. Looks up every `interval`: when
 * the peer answers at once and dies then, the next ping must not have to wait for a timeout that is longer. Others are to
 * hear of a first frame soon.
 */
const answer = Effect.fnUntraced(function*(
  { activity }: Connection,
  rhythm: Rhythm,
  wait: Wait,
  clock: Clock.Clock
): Effect.fn.Return<Waited> {
  const { first, interval, signs } = rhythm
  const until = wait.sentAt + wait.timeout
  const look = activity.heard ? interval : first / 2
  let late = false
  let hurried = false
  while (activity.receivedAt === wait.seen) {
    const now = monotonicMillis(clock)
    const soonest = hurriedUntil(activity, rhythm, wait)
    hurried = soonest < until
    const left = Math.min(soonest, until) - now
    if (left <= 0) break
    const sleep = Silence.sleep(clock, Math.ceil(Math.min(left, look)))
    const slept = yield* Effect.raceFirst(sleep, Effect.as(signs.next, { late: false }))
    late = slept.late || late
  }
  return { hurried, late }
})

/**
 * Until when the peer must have answered as the server has answered a new connection. Where nothing has come yet, anyone's
 * answer counts. A connection in use is mostly only quiet: it must have been asked before the other one was opened, and
 * another that fell silent must have been given up before that.
 */
const hurriedUntil = ({ heard }: Activity, { first, patience, signs }: Rhythm, { heardAt, sentAt }: Wait): number => {
  const sign = heard ? signs.return : signs.latest
  if (sign === null || sign.at <= heardAt || (heard && sign.openedAt < sentAt)) return Number.POSITIVE_INFINITY
  return Math.max(sentAt, sign.openedAt) + Math.max(first, patience.hurriedMillis(sign.after))
}
