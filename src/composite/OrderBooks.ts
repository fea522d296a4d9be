/**
 * Live order books by pair, from the `Book` channel of a `PublicWebsocket`, kept in the socket's own turn. Whether a book may be used is in its type:
 * only `Synced` has prices, `Stale` says why there are none.
 */
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberSet,
  Layer,
  PubSub,
  Queue,
  Result,
  Stream
} from "effect"
import type { Scope, Take } from "effect"
import * as Channel from "../domain/Channel.ts"
import type { Gap, GapCause } from "../domain/Feed.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { BookUpdate } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import type { FeedHandlers } from "../PublicWebsocket.ts"
import { OrderBook } from "./OrderBook.ts"
import type { BookFault, BookView, Level, Outcome } from "./OrderBook.ts"

/** Equal to the exchange's book as far as the feed can tell. */
export interface Synced {
  readonly _tag: "Synced"
  readonly pair: TradingPair
  /** Ends with this time in sync: kept longer, it shows no prices. */
  readonly book: BookView
  /** Since when, ms. */
  readonly since: number
}

/** Not usable, so there are no prices. */
export interface Stale {
  readonly _tag: "Stale"
  readonly pair: TradingPair
  readonly cause: StaleCause
  /** Since when, ms. */
  readonly since: number
  /** Version of the last update that was applied; null before the first one. */
  readonly lastVersion: Sequence | null
  /** The feed's error, for the causes `Retrying` and `Failed`. */
  readonly error: ExchangeError.ExchangeError | null
}

export type LiveBook = Synced | Stale

/**
 * - `Connecting`: no snapshot has come yet.
 * - A gap's cause: the feed has declared a break; a snapshot follows.
 * - `Crossed`, `InvalidLevel`: an update cannot be right (see `BookFault`); the pair is subscribed anew.
 * - `Diverged`: the exchange's own snapshot says otherwise (see `BookAudit`); the pair is subscribed anew.
 * - `Retrying`: the feed failed and is subscribed anew.
 * - `Failed`: the feed failed and trying again cannot help. Track the pair again to try all the same.
 * - `Closed`: no longer tracked, or the service has been closed.
 */
export type StaleCause = "Connecting" | GapCause | BookFault["_tag"] | "Diverged" | "Retrying" | "Failed" | "Closed"

/** Where a book in sync and a snapshot of the exchange, brought to the same version, differ. */
export interface Divergence {
  readonly _tag: "Diverged"
  /** At which they were compared. */
  readonly version: Sequence
  /** That the snapshot had when it was fetched. */
  readonly snapshotVersion: Sequence
  readonly side: "bid" | "ask"
  /** The first level that differs, from 0. */
  readonly index: number
  /** Null where there is no such level. */
  readonly ours: Level | null
  readonly theirs: Level | null
}

/**
 * Something that should not happen. All of it is counted in `OrderBooksStatus`, logged as a warning and sent to
 * `failures`; `DeltaWhileStale` only once for each time a book is stale, `ListenerFailed` only once for each listener.
 */
export type BookFailure =
  & { readonly pair: TradingPair; /** ms */ readonly at: number }
  & (
    | BookFault
    | Divergence
    /** The feed broke its promise: a delta where a snapshot was due. It was not applied. */
    | { readonly _tag: "DeltaWhileStale"; readonly version: Sequence }
    | {
      readonly _tag: "FeedFailed"
      readonly error: ExchangeError.ExchangeError
      /** Milliseconds until the pair is subscribed anew; null when it is given up. */
      readonly retryIn: number | null
    }
    | { readonly _tag: "ListenerFailed"; readonly defect: unknown }
  )

/** Counted since the service was built, over all pairs. */
export interface Counters {
  /** Updates applied, snapshots included. */
  updates: number
  snapshots: number
  /** How often a book that had been in sync before was so again. */
  resyncs: number
  /** Breaks that the feeds declared. */
  gaps: number
  crossed: number
  invalidLevels: number
  /** Books that the exchange's own snapshot contradicted. */
  diverged: number
  /** Deltas that came while a snapshot was due; none was applied. */
  ignored: number
  feedFailures: number
  listenerFailures: number
  /** Book-time without sync, the time before the first snapshot included; without the books that are stale now. */
  staleNanos: bigint
}

export const makeCounters = (): Counters => ({
  updates: 0,
  snapshots: 0,
  resyncs: 0,
  gaps: 0,
  crossed: 0,
  invalidLevels: 0,
  diverged: 0,
  ignored: 0,
  feedFailures: 0,
  listenerFailures: 0,
  staleNanos: 0n
})

export interface OrderBooksStatus extends Readonly<Omit<Counters, "staleNanos">> {
  readonly exchange: ExchangeId
  /** Pairs tracked now: `synced + stale`. */
  readonly tracked: number
  readonly synced: number
  readonly stale: number
  /** Time without sync until now, summed over all books, the time before the first snapshot included, ms. */
  readonly staleMs: number
}

/** Where one book stands, whether it may be used or not. */
export interface BookStatus {
  readonly pair: TradingPair
  readonly state: "Synced" | StaleCause
  /** Since when, ms. */
  readonly since: number
  /** Of the last update that was applied, as what follows here; null before the first. */
  readonly version: Sequence | null
  /** The exchange's time, ms; null when it sends none. */
  readonly exchangeTime: number | null
  /** When its bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number | null
  /** How long ago that was, ms. A market in which nothing happens grows old too. */
  readonly ageMs: number | null
  /** How long ago the exchange made it by our clock, ms; includes the difference of the clocks, see `ExchangeClock`. */
  readonly exchangeAgeMs: number | null
  /** The feed's error, in the states `Retrying` and `Failed`. */
  readonly error: ExchangeError.ExchangeError | null
}

/**
 * Called synchronously in the turn that applied the update: at once with every turn to `Stale`, and once for each batch
 * of updates with the newest state. Keep it short, and do not keep the book. One that throws is counted and reported,
 * and the others go on.
 */
export type BookListener = (live: LiveBook) => void

/** Called synchronously with each update that has been applied, before the listeners are told. Must not throw. */
export type BookObserver = (update: BookUpdate) => void

interface Registered {
  readonly call: BookListener
  failed: boolean
}

const nanosPerMilli = 1_000_000

/** One for all followers: whether anybody is there is asked with each update. */
const nobody: ReadonlyArray<never> = []

/**
 * One pair's book and whether it is in sync, as a plain synchronous machine. `OrderBooks` drives one for each pair;
 * drive it by hand (`onBook`, `onGap`) from the handlers of a session that has the `Book` channel, for the shortest way
 * from the socket. By hand nothing subscribes anew after a fault: the book stays stale until the feed brings a snapshot.
 */
export class BookFollower {
  readonly pair: TradingPair
  readonly #book: OrderBook
  readonly #clock: Clock.Clock
  readonly #counters: Counters
  readonly #report: (failure: BookFailure) => void
  #live: LiveBook
  #listeners: ReadonlyArray<Registered> = nobody
  /** Told of changes of the state alone. */
  #watchers: ReadonlyArray<Registered> = nobody
  #observers: ReadonlyArray<BookObserver> = nobody
  /** When the present state began, on the monotonic clock. */
  #enteredAt: bigint
  #deltaReported = false
  /** Changed since the listeners were told. */
  #isNew = false
  #isClosed = false

  constructor(
    pair: TradingPair,
    options: {
      readonly clock: Clock.Clock
      readonly counters: Counters
      readonly report: (failure: BookFailure) => void
    }
  ) {
    this.pair = pair
    this.#book = new OrderBook(pair)
    this.#clock = options.clock
    this.#counters = options.counters
    this.#report = options.report
    this.#enteredAt = options.clock.monotonicTimeNanosUnsafe()
    this.#live = this.#stale("Connecting", null)
  }

  get live(): LiveBook {
    return this.#live
  }

  get status(): BookStatus {
    const live = this.#live
    const { exchangeTime, receivedAt, version } = this.#book
    const now = this.#now()
    const isNever = version === null
    return {
      pair: this.pair,
      state: live._tag === "Synced" ? "Synced" : live.cause,
      since: live.since,
      version,
      exchangeTime,
      receivedAt: isNever ? null : receivedAt,
      // The stamp has fractions of a millisecond, the clock has none.
      ageMs: isNever ? null : Math.max(0, now - receivedAt),
      exchangeAgeMs: exchangeTime === null ? null : now - exchangeTime,
      error: live._tag === "Synced" ? null : live.error
    }
  }

  /** How long the book has been stale without a break, ns; 0 while it is in sync. */
  get staleNanos(): bigint {
    return this.#live._tag === "Stale" ? this.#clock.monotonicTimeNanosUnsafe() - this.#enteredAt : 0n
  }

  /** Adds a listener and calls it with the present state; returns how to remove it. */
  listen(listener: BookListener): () => void {
    const registered = { call: listener, failed: false }
    this.#listeners = [...this.#listeners, registered]
    this.#call(registered)
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== registered)
    }
  }

  /** As `listen`, but the listener is only told when the state changes: to `Synced`, to `Stale`, to another cause. */
  watch(listener: BookListener): () => void {
    const registered = { call: listener, failed: false }
    this.#watchers = [...this.#watchers, registered]
    this.#call(registered)
    return () => {
      this.#watchers = this.#watchers.filter((other) => other !== registered)
    }
  }

  /** Adds an observer; returns how to remove it. */
  observe(observer: BookObserver): () => void {
    this.#observers = [...this.#observers, observer]
    return () => {
      this.#observers = this.#observers.filter((other) => other !== observer)
    }
  }

  /** The exchange's own snapshot says otherwise: nothing of the book holds any more. */
  contradict(divergence: Divergence): void {
    if (this.#isClosed) return
    this.#counters.diverged++
    this.#report({ ...divergence, pair: this.pair, at: this.#now() })
    this.#becomeStale("Diverged", null)
  }

  onBook(update: BookUpdate): void {
    if (!this.#isClosed && this.#apply(update) === "Applied") this.#notify()
  }

  onGap(gap: Gap): void {
    if (this.#isClosed) return
    this.#counters.gaps++
    this.#becomeStale(gap.cause, null)
  }

  /**
   * As `onBook`, but the listeners are told by `onTurn`, once for all that came together. False when the update cannot be
   * right: what follows of this feed is void, subscribe anew.
   */
  take(update: BookUpdate): boolean {
    if (this.#isClosed) return true
    const outcome = this.#apply(update)
    if (outcome === "Applied") this.#isNew = true
    return outcome !== "Faulty"
  }

  /** Tells the listeners the newest state, when `take` has changed it. */
  onTurn(): void {
    if (!this.#isNew) return
    this.#isNew = false
    this.#notify()
  }

  /** The feed is being asked for, for the first time or again after it was given up. */
  connect(): void {
    if (this.#isClosed) return
    this.#becomeStale("Connecting", null)
  }

  /** The feed failed; it is asked for again in `retryIn` ms, or given up when that is null. */
  fail(error: ExchangeError.ExchangeError, retryIn: number | null): void {
    if (this.#isClosed) return
    this.#counters.feedFailures++
    this.#report({ _tag: "FeedFailed", pair: this.pair, at: this.#now(), error, retryIn })
    this.#becomeStale(retryIn === null ? "Failed" : "Retrying", error)
  }

  /** No longer followed. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#becomeStale("Closed", null)
    this.#counters.staleNanos += this.staleNanos
  }

  #now(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  #apply(update: BookUpdate): Outcome {
    const outcome = this.#book.apply(update)
    if (outcome === "Applied") {
      this.#counters.updates++
      if (update.kind === "snapshot") this.#counters.snapshots++
      if (this.#live._tag === "Stale") this.#becomeSynced(this.#live)
      for (let i = 0; i < this.#observers.length; i++) this.#observers[i]!(update)
    } else if (outcome === "Ignored") {
      this.#ignore(update)
    } else {
      this.#refuse(this.#book.fault!)
    }
    return outcome
  }

  #ignore(update: BookUpdate): void {
    this.#counters.ignored++
    if (this.#deltaReported) return
    this.#deltaReported = true
    this.#report({ _tag: "DeltaWhileStale", pair: this.pair, at: this.#now(), version: update.version })
  }

  #refuse(fault: BookFault): void {
    if (fault._tag === "Crossed") this.#counters.crossed++
    else this.#counters.invalidLevels++
    this.#report({ ...fault, pair: this.pair, at: this.#now() })
    this.#becomeStale(fault._tag, null)
  }

  #becomeSynced(stale: Stale): void {
    if (stale.lastVersion !== null) this.#counters.resyncs++
    this.#counters.staleNanos += this.staleNanos
    this.#enteredAt = this.#clock.monotonicTimeNanosUnsafe()
    this.#live = { _tag: "Synced", pair: this.pair, book: this.#book.view!, since: this.#now() }
    this.#tell(this.#watchers)
  }

  #becomeStale(cause: StaleCause, error: ExchangeError.ExchangeError | null): void {
    this.#book.end()
    this.#isNew = false
    if (this.#live._tag === "Synced") {
      this.#enteredAt = this.#clock.monotonicTimeNanosUnsafe()
      this.#deltaReported = false
    }
    this.#live = this.#stale(cause, error)
    this.#tell(this.#watchers)
    this.#notify()
  }

  /** `since` is when the book went stale; another cause meanwhile does not change it. */
  #stale(cause: StaleCause, error: ExchangeError.ExchangeError | null): Stale {
    const before: LiveBook | undefined = this.#live
    const since = before?._tag === "Stale" ? before.since : this.#now()
    return { _tag: "Stale", pair: this.pair, cause, since, lastVersion: this.#book.version, error }
  }

  #notify(): void {
    this.#tell(this.#listeners)
  }

  #tell(listeners: ReadonlyArray<Registered>): void {
    for (let i = 0; i < listeners.length; i++) this.#call(listeners[i]!)
  }

  #call(listener: Registered): void {
    try {
      listener.call(this.#live)
    } catch (defect) {
      this.#counters.listenerFailures++
      if (listener.failed) return
      listener.failed = true
      this.#report({ _tag: "ListenerFailed", pair: this.pair, at: this.#now(), defect })
    }
  }
}

/** Which book of the exchange: depth, speed, source. */
export interface OrderBooksOptions extends Omit<Channel.BookChannel, "_tag" | "pair"> {}

export class OrderBooks extends Context.Service<OrderBooks, {
  readonly exchange: ExchangeId
  /** The present state, at the cost of a look-up; undefined when the pair is not tracked. */
  readonly get: (pair: TradingPair) => LiveBook | undefined
  /** The pairs tracked now. */
  readonly pairs: () => ReadonlyArray<TradingPair>
  /** State, version and age of a book, synced or not; undefined when the pair is not tracked. */
  readonly bookStatus: (pair: TradingPair) => BookStatus | undefined
  /**
   * Follows a pair until the scope closes; the last holder's end unsubscribes. Returns once the exchange has accepted
   * (the book may still be `Connecting`), and fails when it refuses for good. While the feed fails with an error that
   * may pass it keeps waiting.
   */
  readonly track: (pair: TradingPair) => Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope>
  /** Gives up the hold on a pair of the Layer's own list. Other holders keep it; any other pair is no error. */
  readonly untrack: (pair: TradingPair) => Effect.Effect<void>
  /**
   * The newest state, beginning with the present one: a slow reader skips states. Tracks the pair while it runs. Ends
   * behind `Closed` when the service is closed.
   */
  readonly changes: (pair: TradingPair) => Stream.Stream<LiveBook>
  /**
   * Tracks the pair and calls the listener until the scope closes, first with the present state. The fastest way. `onState` is
   * told in the same way, but only when the state changes: to `Synced`, to `Stale`, to another cause. A pair that the exchange
   * refuses is told as `Stale`, `Failed`, with its error.
   */
  readonly onUpdate: (
    pair: TradingPair,
    listener: BookListener,
    onState?: BookListener
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Waits as `track` does, without a hold on the pair: fails with `InvalidUse` when it is not tracked. */
  readonly accepted: (pair: TradingPair) => Effect.Effect<void, ExchangeError.ExchangeError>
  /**
   * Waits until a tracked pair is in sync. Fails with the feed's error when it was given up, with `InvalidUse` when the
   * pair is not tracked and with `Closed` when it ceases to be.
   */
  readonly awaitSynced: (pair: TradingPair) => Effect.Effect<Synced, ExchangeError.ExchangeError>
  /** Calls the observer with each update applied to a book; returns how to stop, or undefined when the pair is not tracked. */
  readonly observe: (pair: TradingPair, observer: BookObserver) => (() => void) | undefined
  /**
   * A book in sync was found to be wrong: it goes stale and is subscribed anew. False, and nothing is done, when it is not in sync
   * or the pair is not tracked.
   */
  readonly contradict: (pair: TradingPair, divergence: Divergence) => boolean
  /** Beginning with the last 64. Ends when the service is closed. */
  readonly failures: Stream.Stream<BookFailure>
  readonly status: Effect.Effect<OrderBooksStatus>
}>()("effect-exchange/OrderBooks") {}

interface Entry {
  readonly follower: BookFollower
  holders: number
  /** Done when the exchange accepts the subscription, failed when the feed is given up. */
  accepted: Deferred.Deferred<void, ExchangeError.ExchangeError>
  /** False when the feed was given up. */
  isRunning: boolean
  /** The subscription that brings the book now. */
  feed: BookFeed | null
  fiber: Fiber.Fiber<void> | null
}

/** Ends a feed whose updates cannot be right, so that another one begins with a snapshot. */
class Resubscribe {
  readonly _tag = "Resubscribe"
}

const resubscribe = new Resubscribe()

/** One subscription of a pair: what it brings goes from the socket's turn into the follower, with nothing between. */
class BookFeed implements FeedHandlers<BookUpdate> {
  readonly #follower: BookFollower
  /** What was read behind an update that cannot be right is void, a snapshot included: it may not be newer. */
  #isVoid = false
  /** Why it has ended. */
  readonly end = Deferred.makeUnsafe<ExchangeError.ExchangeError | Resubscribe>()

  constructor(follower: BookFollower) {
    this.#follower = follower
  }

  onEvent(update: BookUpdate): void {
    if (!this.#isVoid && !this.#follower.take(update)) this.#isVoid = true
  }

  onGap(gap: Gap): void {
    if (!this.#isVoid) this.#follower.onGap(gap)
  }

  onTurn(): void {
    // Not before: who waits for the end leaves the topic, which is in the midst of delivering.
    if (this.#isVoid) Deferred.doneUnsafe(this.end, Effect.succeed(resubscribe))
    else this.#follower.onTurn()
  }

  onEnd(error: ExchangeError.ExchangeError): void {
    Deferred.doneUnsafe(this.end, Effect.succeed(error))
  }

  /** Not to be called in a socket's turn. */
  giveUp(): void {
    this.#isVoid = true
    Deferred.doneUnsafe(this.end, Effect.succeed(resubscribe))
  }
}

/** The first new subscription after a fault follows at once, later ones after 1, 2, 4 … 30 s. */
const firstPauseMs = 1_000
const longestPauseMs = 30_000
/** When a feed has lasted so long, its end counts as the first one again. */
const stableNanos = 60_000_000_000n

const pauseMs = (attempt: number): number =>
  attempt === 0 ? 0 : Math.min(firstPauseMs * 2 ** (attempt - 1), longestPauseMs)

const levelText = (level: Level | null): string => level === null ? "nothing" : `${level.quantity} at ${level.price}`

const describe = (failure: BookFailure): string => {
  switch (failure._tag) {
    case "Crossed":
      return `book crossed at version ${failure.version} (bid ${failure.bid}, ask ${failure.ask}); it waits for a snapshot`
    case "InvalidLevel":
      return `invalid ${failure.side} at version ${failure.version} (price ${failure.price}, quantity ${failure.quantity});`
        + " the book waits for a snapshot"
    case "Diverged":
      return `the exchange's snapshot ${failure.snapshotVersion} contradicts the book at version ${failure.version}`
        + ` (${failure.side} ${failure.index}: ${levelText(failure.ours)} here, ${levelText(failure.theirs)} there);`
        + " the pair is subscribed anew"
    case "DeltaWhileStale":
      return `delta ${failure.version} came where a snapshot was due; it was not applied`
    case "FeedFailed":
      return failure.retryIn === null
        ? `the book's feed failed for good: ${failure.error.message}`
        : `the book's feed failed: ${failure.error.message}. Subscribing anew in ${failure.retryIn} ms`
    case "ListenerFailed":
      return "a book listener threw; it is still called, and its next failures are only counted"
  }
}

const log = (exchange: ExchangeId, failure: BookFailure): Effect.Effect<void> =>
  (failure._tag === "ListenerFailed"
    ? Effect.logWarning(describe(failure), Cause.die(failure.defect))
    : Effect.logWarning(describe(failure))).pipe(Effect.annotateLogs({ exchange, pair: failure.pair }))

const notTracked = (exchange: ExchangeId, pair: TradingPair): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.InvalidUse({ detail: `${pair} is not tracked: call track first` }))

/** Books of one exchange. The pairs are tracked from the start, without waiting for the exchange: see `awaitSynced`. */
export const make = Effect.fnUntraced(function*(
  pairs: ReadonlyArray<TradingPair>,
  options: OrderBooksOptions = {}
): Effect.fn.Return<OrderBooks["Service"], never, PublicWebsocket | Scope.Scope> {
  const websocket = yield* PublicWebsocket
  const clock = yield* Clock.Clock
  const { exchange } = websocket
  const fibers = yield* FiberSet.make<void>()
  const run = yield* FiberSet.runtime(fibers)<never>()
  const hub = yield* PubSub.sliding<Take.Take<BookFailure>>({ capacity: 256, replay: 64 })
  const counters = makeCounters()
  const entries = new Map<TradingPair, Entry>()
  const own = new Map<TradingPair, Entry>()
  let unpublished: Array<BookFailure> = []
  let isClosed = false

  const closedError = (detail: string) => ExchangeError.make(exchange, new ExchangeError.Closed({ detail }))
  const serviceClosed = closedError("the order books have been closed; build their Layer anew")

  /** Also called in a socket's turn: what is reported there is told behind it. */
  const report = (failure: BookFailure): void => {
    unpublished.push(failure)
    if (unpublished.length === 1 && !isClosed) run(Effect.andThen(Effect.yieldNow, publish))
  }

  const publish: Effect.Effect<void> = Effect.suspend(() => {
    const [first, ...rest] = unpublished
    if (first === undefined) return Effect.void
    unpublished = []
    return PubSub.publish(hub, [first, ...rest]).pipe(
      Effect.andThen(Effect.forEach([first, ...rest], (failure) => log(exchange, failure), { discard: true }))
    )
  })

  /** Follows one feed to its end. Succeeds with why it ended. */
  const readFeed = (entry: Entry): Effect.Effect<ExchangeError.ExchangeError | Resubscribe> =>
    Effect.suspend(() => {
      const feed = entry.feed = new BookFeed(entry.follower)
      return Effect.andThen(
        websocket.handleFeed(Channel.book(entry.follower.pair, options), feed),
        Effect.suspend(() => {
          Deferred.doneUnsafe(entry.accepted, Effect.void)
          return Deferred.await(feed.end)
        })
      )
    }).pipe(
      Effect.scoped,
      Effect.catchCause((cause) => Effect.succeed(reasonOf(cause)))
    )

  const reasonOf = (
    cause: Cause.Cause<ExchangeError.ExchangeError>
  ): ExchangeError.ExchangeError =>
    Result.getOrElse(Cause.findError(cause), () => closedError(`the book's feed broke: ${Cause.pretty(cause)}`))

  const follow = Effect.fnUntraced(function*(entry: Entry): Effect.fn.Return<void> {
    for (let attempt = 0;; attempt++) {
      const begun = clock.monotonicTimeNanosUnsafe()
      const end = yield* readFeed(entry)
      if (clock.monotonicTimeNanosUnsafe() - begun >= stableNanos) attempt = 0
      if (end._tag === "Resubscribe") {
        yield* Effect.sleep(pauseMs(attempt))
      } else {
        const retryIn = end.isTransient ? pauseMs(attempt + 1) : null
        entry.follower.fail(end, retryIn)
        if (retryIn === null) {
          entry.isRunning = false
          yield* Deferred.fail(entry.accepted, end)
          return yield* publish
        }
        yield* publish
        yield* Effect.sleep(retryIn)
      }
    }
  })

  const makeEntry = (pair: TradingPair): Entry => ({
    follower: new BookFollower(pair, { clock, counters, report }),
    holders: 0,
    accepted: Deferred.makeUnsafe(),
    isRunning: false,
    feed: null,
    fiber: null
  })

  /** Begins to read the feed, again where it was given up. */
  const start = (entry: Entry): void => {
    if (entry.isRunning) return
    if (Deferred.isDoneUnsafe(entry.accepted)) {
      entry.accepted = Deferred.makeUnsafe()
      entry.follower.connect()
    }
    entry.isRunning = true
    entry.fiber = run(follow(entry))
  }

  const hold = (pair: TradingPair): Entry => {
    const entry = entries.get(pair) ?? makeEntry(pair)
    entry.holders++
    if (isClosed) {
      entry.follower.close()
    } else {
      entries.set(pair, entry)
      start(entry)
    }
    return entry
  }

  const release = (entry: Entry): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (--entry.holders > 0 || isClosed) return Effect.void
      entries.delete(entry.follower.pair)
      entry.follower.close()
      return Effect.andThen(Fiber.interrupt(entry.fiber!), publish)
    })

  const track = (pair: TradingPair): Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (isClosed) return Effect.fail(serviceClosed)
        const entry = hold(pair)
        return restore(Deferred.await(entry.accepted)).pipe(
          Effect.onError(() => release(entry)),
          Effect.andThen(Effect.addFinalizer(() => release(entry)))
        )
      })
    )

  const untrack = (pair: TradingPair): Effect.Effect<void> =>
    Effect.suspend(() => {
      const entry = own.get(pair)
      own.delete(pair)
      return entry === undefined ? Effect.void : release(entry)
    })

  const onUpdate = (
    pair: TradingPair,
    listener: BookListener,
    onState?: BookListener
  ): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const entry = hold(pair)
        const unwatch = onState === undefined ? null : entry.follower.watch(onState)
        return { entry, unwatch, remove: entry.follower.listen(listener) }
      }),
      ({ entry, remove, unwatch }) =>
        Effect.andThen(
          Effect.sync(() => {
            remove()
            unwatch?.()
          }),
          release(entry)
        )
    ).pipe(Effect.andThen(publish))

  const accepted = (pair: TradingPair): Effect.Effect<void, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const entry = entries.get(pair)
      if (entry !== undefined) return Deferred.await(entry.accepted)
      return Effect.fail(isClosed ? serviceClosed : notTracked(exchange, pair))
    })

  const changes = (pair: TradingPair): Stream.Stream<LiveBook> =>
    Stream.callback<LiveBook>(
      (queue) =>
        onUpdate(pair, (live) => {
          Queue.offerUnsafe(queue, live)
          if (live._tag === "Stale" && live.cause === "Closed") Queue.endUnsafe(queue)
        }),
      { bufferSize: 1, strategy: "sliding" }
    )

  /** What a waiter for sync gets; null while it has to wait. */
  const answer = (live: LiveBook): Effect.Effect<Synced, ExchangeError.ExchangeError> | null => {
    if (live._tag === "Synced") return Effect.succeed(live)
    if (live.cause === "Closed") return Effect.fail(closedError(`${live.pair} is no longer tracked`))
    return live.cause === "Failed" && live.error !== null ? Effect.fail(live.error) : null
  }

  const awaitSynced = (pair: TradingPair): Effect.Effect<Synced, ExchangeError.ExchangeError> =>
    Effect.callback((resume) => {
      const entry = entries.get(pair)
      if (entry === undefined) return resume(Effect.fail(isClosed ? serviceClosed : notTracked(exchange, pair)))
      const present = answer(entry.follower.live)
      if (present !== null) return resume(present)
      const remove = entry.follower.listen((live) => {
        const result = answer(live)
        if (result === null) return
        remove()
        resume(result)
      })
      return Effect.sync(remove)
    })

  const contradict = (pair: TradingPair, divergence: Divergence): boolean => {
    const entry = entries.get(pair)
    if (entry?.follower.live._tag !== "Synced") return false
    entry.follower.contradict(divergence)
    // Where the exchange has gone on without the stream, a subscription of its own would begin with one more snapshot.
    const isBehind = divergence.snapshotVersion > divergence.version
    if (!isBehind || !websocket.reportMissed(Channel.book(pair, options))) entry.feed?.giveUp()
    return true
  }

  const status = Effect.sync((): OrderBooksStatus => {
    let synced = 0
    let nanos = counters.staleNanos
    for (const { follower } of entries.values()) {
      if (follower.live._tag === "Synced") synced++
      nanos += follower.staleNanos
    }
    const { staleNanos: _, ...counted } = counters
    const tracked = entries.size
    const staleMs = Number(nanos) / nanosPerMilli
    return { exchange, tracked, synced, stale: tracked - synced, staleMs, ...counted }
  })

  // Runs before the fibers are interrupted: nobody sees a book whose feed is already being closed.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      for (const entry of entries.values()) {
        entry.follower.close()
        Deferred.doneUnsafe(entry.accepted, Effect.fail(serviceClosed))
      }
      entries.clear()
      return Effect.andThen(publish, PubSub.end(hub, Exit.void))
    })
  )

  for (const pair of new Set(pairs)) own.set(pair, hold(pair))

  return OrderBooks.of({
    exchange,
    get: (pair) => entries.get(pair)?.follower.live,
    pairs: () => [...entries.keys()],
    bookStatus: (pair) => entries.get(pair)?.follower.status,
    track,
    untrack,
    changes,
    onUpdate,
    accepted,
    awaitSynced,
    observe: (pair, observer) => entries.get(pair)?.follower.observe(observer),
    contradict,
    failures: Stream.fromPubSubTake(hub),
    status
  })
})

export const layer = (
  pairs: ReadonlyArray<TradingPair>,
  options?: OrderBooksOptions
): Layer.Layer<OrderBooks, never, PublicWebsocket> => Layer.effect(OrderBooks, make(pairs, options))
