/**
 * An exchange's market as one thing: what it lists, books in step, best prices, tickers and funding of the pairs that are
 * followed, over REST and the WebSocket. Stands on the services only, so it is the same for every exchange, a test double
 * and the simulator.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit, FiberSet, Layer, PubSub, Result, Scope, Stream } from "effect"
import type { Duration, Take } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Channel from "../domain/Channel.ts"
import type { PublicTag } from "../domain/Channel.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { BookTicker, FuturesTicker, Ticker } from "../domain/Market.ts"
import type { ClockReading } from "../ExchangeClock.ts"
import { ExchangeClock } from "../ExchangeClock.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"
import type { Subscribed } from "../PublicWebsocket.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import * as BookAudit from "./BookAudit.ts"
import { FollowedPair } from "./FollowedPair.ts"
import type { Newest } from "./FollowedPair.ts"
import * as InstrumentList from "./InstrumentList.ts"
import type { Instruments } from "./InstrumentList.ts"
import * as OrderBooks from "./OrderBooks.ts"
import type { LiveBook, OrderBooksOptions, Synced } from "./OrderBooks.ts"

export type { InstrumentChange, Instruments } from "./InstrumentList.ts"

/** Best bid and ask of a pair, from its book while that is in sync, else from the best ticker. */
export interface BestPrice {
  readonly pair: TradingPair
  /** Quote. */
  readonly bidPrice: number
  /** Base (spot) or contracts (swap). */
  readonly bidQuantity: number
  /** Quote. */
  readonly askPrice: number
  /** Base (spot) or contracts (swap). */
  readonly askQuantity: number
  readonly source: "book" | "bookTicker"
  /** The exchange's time, ms; null when it sends none. */
  readonly exchangeTime: number | null
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
}

/** Funding of a perpetual: who is long pays `rate` of the position's value at `nextAt` to who is short. */
export interface Funding {
  readonly pair: TradingPair
  /** A fraction of the position's value, for one interval; negative: shorts pay. */
  readonly rate: number
  /** ms. */
  readonly nextAt: number | null
  /** From one payment to the next, ms. */
  readonly interval: number | null
  /** Quote. */
  readonly markPrice: number | null
  /** Quote. */
  readonly indexPrice: number | null
  readonly receivedAt: number
}

/**
 * `starting`: not all of it has been there yet. `degraded`: it works, but `problems` says what of it does not. `down`: no
 * book of any pair is in sync.
 */
export type HealthState = "starting" | "healthy" | "degraded" | "down" | "closed"

export interface PublicHealth {
  readonly exchange: ExchangeId
  readonly state: HealthState
  /** What is wrong, in words; empty when healthy. */
  readonly problems: ReadonlyArray<string>
  readonly isConnected: boolean
  readonly pairs: number
  readonly booksSynced: number
  /** Pairs whose book is not in sync now. */
  readonly stale: ReadonlyArray<TradingPair>
  /** Pairs that the exchange refuses, for good or for now, and why; they are tried again. */
  readonly refused: ReadonlyMap<TradingPair, ExchangeError.ExchangeError>
  /** Of the youngest data of any pair, ms; null before the first. */
  readonly lastDataAt: number | null
  /** When the instruments were last read, ms; null before the first time. */
  readonly instrumentsAt: number | null
  /** Our clock minus the exchange's; null while it has not been measured, or not since the machine's was set. */
  readonly clock: ClockReading | null
}

/** Called synchronously in the turn that changed the book: see `OrderBooks.onUpdate`. */
export type BookConsumer = (live: LiveBook) => void

export class PublicExchange extends Context.Service<PublicExchange, {
  readonly exchange: ExchangeId
  /**
   * Follows these pairs: their books, best prices and tickers, and funding where the exchange has perpetuals. Returns once
   * the exchange has answered. What it refuses for now is tried again until it is taken; what it refuses for good, each time
   * the instruments are read and list it. Fails only when all pairs were refused for good, and then follows none of them,
   * or with `InvalidUse` when it has been called before.
   */
  readonly initialize: (
    pairs: NonEmptyReadonlyArray<TradingPair>
  ) => Effect.Effect<Subscribed, ExchangeError.ExchangeError>
  /** Follows further pairs, in the same way. A pair that is followed already is no error; a refused one is tried again. */
  readonly add: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<Subscribed, ExchangeError.ExchangeError>
  /** No longer follows these, whoever asked for them. A pair that is not followed is no error. */
  readonly remove: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void, ExchangeError.ExchangeError>
  /** Followed now, refused ones included. */
  readonly pairs: () => ReadonlyArray<TradingPair>
  readonly instruments: Instruments
  /** The books themselves: streams of one, failures, counts, status. Whoever tracks a pair there keeps its book beyond `remove`. */
  readonly books: OrderBooks.OrderBooks["Service"]
  /** The book as it is, at the cost of a look-up; undefined when the pair is not followed. */
  readonly book: (pair: TradingPair) => LiveBook | undefined
  /** Waits until the pair's book is in sync. Fails when it is refused for good, not followed, or no longer. */
  readonly awaitBook: (pair: TradingPair) => Effect.Effect<Synced, ExchangeError.ExchangeError>
  /**
   * Calls `consumer` with every change of every followed book, those added later too, until the scope closes; first with
   * what each of them is now. The last of a pair that is removed is `Stale`, `Closed`. Keep it short: it runs in the
   * socket's turn. One that throws is counted and reported (`books.failures`), and the others go on.
   */
  readonly onBook: (consumer: BookConsumer) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Null while there is none: no book in sync and no ticker since the last break, or a side is empty. Its age is not judged, for a
   * market in which nothing happens grows old too: whoever trades on it looks at `receivedAt` and `exchangeTime`.
   */
  readonly bestPrice: (pair: TradingPair) => BestPrice | null
  /** Null while none has come, also behind a break, as for all tickers. */
  readonly bookTicker: (pair: TradingPair) => BookTicker | null
  /** Last 24 hours; null while none has come, and on swaps, see `futuresTicker`. */
  readonly ticker: (pair: TradingPair) => Ticker | null
  /** Null while none has come, and on spot. */
  readonly futuresTicker: (pair: TradingPair) => FuturesTicker | null
  /** Fails with `UnsupportedChannel` on a spot exchange; null while none has come. */
  readonly funding: (pair: TradingPair) => Effect.Effect<Funding | null, ExchangeError.ExchangeError>
  /** How far our clock is from the exchange's; null while it has not been measured, or not since the machine's was set. */
  readonly clock: () => ClockReading | null
  /** Compares books with the exchange's own snapshots: by itself one now and then, and whichever is asked for. */
  readonly audit: BookAudit.BookAudit["Service"]
  /**
   * Reads instruments and clock anew and compares every book with a snapshot, one after the other within the exchange's limits: a
   * request each, so a thousand books take a minute or two.
   */
  readonly refresh: Effect.Effect<void, ExchangeError.ExchangeError>
  /** Computed now. */
  readonly health: Effect.Effect<PublicHealth>
  /** Every change of `health.state`, beginning with the present one. */
  readonly healthChanges: Stream.Stream<PublicHealth>
  /** Follows nothing any more; later calls fail with `Closed`. The services beneath stay open: they are their Layers'. */
  readonly close: Effect.Effect<void>
}>()("effect-exchange/PublicExchange") {}

/** The channels beside the book. */
export type TickerTag = "BookTicker" | "Ticker" | "FuturesTicker"

export interface PublicExchangeOptions {
  /**
   * What is followed of each pair beside its book. Default: whichever of the three the exchange has. `[]` follows books only,
   * the cheap way for many pairs. A channel that the exchange lacks has every pair refused.
   */
  readonly tickers?: ReadonlyArray<TickerTag> | undefined
  /** Which book of the exchange. */
  readonly book?: OrderBooksOptions | undefined
  /** How often books are compared with snapshots, and how deep. */
  readonly audit?: Omit<BookAudit.AuditOptions, "book"> | undefined
  /** From one reading of the instruments to the next. Default 1 hour. */
  readonly instrumentsInterval?: Duration.Input | undefined
  /** How often health is looked at when nothing else has it looked at. Default 1 second. */
  readonly healthInterval?: Duration.Input | undefined
}

const tickerTags: ReadonlyArray<TickerTag> = ["BookTicker", "Ticker", "FuturesTicker"]

/** Before what failed is tried again, ms: doubles up to 30 s. */
const pauseMs = (attempt: number): number => Math.min(30_000, 1_000 * 2 ** Math.min(attempt, 5))

/** When a subscription has lasted so long, its end counts as the first one again, ms. */
const stableMs = 60_000

/** A pair that has no book by then no longer keeps the others from having started, ms. */
const startMs = 60_000

/** While pairs come and go health is looked at so often, ms: with a thousand of them a look has its price. */
const settleMs = 50

/** A clock that is known less well is measured again soon, ms, so often, and so far apart. */
const coarseMs = 50
const coarseTries = 20
const coarsePause = "10 seconds"

/** So many pairs are named in a problem. */
const named = 5

const list = (pairs: ReadonlyArray<string>): string =>
  pairs.length <= named ? pairs.join(", ") : `${pairs.slice(0, named).join(", ")} and ${pairs.length - named} more`

type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Open"; readonly since: number }
  | { readonly _tag: "Closed" }

/** What the state is made of. */
interface Condition {
  readonly isClosed: boolean
  readonly hasStarted: boolean
  readonly pairs: number
  readonly booksSynced: number
  readonly problems: ReadonlyArray<string>
}

const stateOf = ({ booksSynced, hasStarted, isClosed, pairs, problems }: Condition): HealthState => {
  if (isClosed) return "closed"
  if (!hasStarted) return "starting"
  if (pairs > 0 && booksSynced === 0) return "down"
  return problems.length > 0 ? "degraded" : "healthy"
}

const bestOf = (pair: TradingPair, live: LiveBook | undefined, ticker: BookTicker | null): BestPrice | null => {
  if (live?._tag === "Synced") {
    const { book } = live
    if (book.bidCount === 0 || book.askCount === 0) return null
    return {
      pair,
      bidPrice: book.bidPrice(),
      bidQuantity: book.bidQuantity(),
      askPrice: book.askPrice(),
      askQuantity: book.askQuantity(),
      source: "book",
      exchangeTime: book.exchangeTime,
      receivedAt: book.receivedAt
    }
  }
  return ticker === null ? null : bestOfTicker(pair, ticker)
}

const bestOfTicker = (pair: TradingPair, ticker: BookTicker): BestPrice | null => {
  const { askPrice, askQuantity, bidPrice, bidQuantity, exchangeTime, receivedAt } = ticker
  if (bidPrice === null || bidQuantity === null || askPrice === null || askQuantity === null) return null
  return { pair, bidPrice, bidQuantity, askPrice, askQuantity, source: "bookTicker", exchangeTime, receivedAt }
}

const fundingOf = (pair: TradingPair, ticker: FuturesTicker | null): Funding | null => {
  if (ticker === null || ticker.fundingRate === null) return null
  return {
    pair,
    rate: ticker.fundingRate,
    nextAt: ticker.nextFundingTime,
    interval: ticker.fundingInterval,
    markPrice: ticker.markPrice,
    indexPrice: ticker.indexPrice,
    receivedAt: ticker.receivedAt
  }
}

const build = Effect.fnUntraced(function*(
  options: PublicExchangeOptions,
  scope: Scope.Closeable
): Effect.fn.Return<PublicExchange["Service"], never, PublicWebsocket | MarketRest | ExchangeClock | Scope.Scope> {
  const websocket = yield* PublicWebsocket
  const exchangeClock = yield* ExchangeClock
  const clock = yield* Clock.Clock
  const { exchange } = websocket
  const hub = yield* PubSub.sliding<Take.Take<PublicHealth>>({ capacity: 256, replay: 1 })
  const books = yield* OrderBooks.make([], options.book)
  const audit = yield* BookAudit.make(books, { ...options.audit, book: options.book })
  const fibers = yield* FiberSet.make<void>()
  const run = yield* FiberSet.runtime(fibers)<never>()
  const tickers = new Set(options.tickers ?? tickerTags.filter((tag) => websocket.channels.has(tag)))
  const channels: ReadonlyArray<PublicTag> = ["Book", ...tickers]
  const members = new Map<TradingPair, FollowedPair>()
  let consumers: ReadonlyArray<BookConsumer> = []
  let state: State = { _tag: "Idle" }
  let hasStarted = false
  let lastDataAt = Number.NEGATIVE_INFINITY
  let published: HealthState | null = null
  let isDoubtful = false
  let isSettling = false

  const now = (): number => clock.currentTimeMillisUnsafe()
  /** For what is waited: the machine's clock may be set meanwhile, ms. */
  const monotonic = (): number => monotonicMillis(clock)

  const failure = (reason: ExchangeError.Reason) => ExchangeError.make(exchange, reason)
  const invalid = (detail: string) => failure(new ExchangeError.InvalidUse({ detail }))
  const closed = failure(
    new ExchangeError.Closed({ detail: "it was closed, or its Layer has ended; build the Layer anew" })
  )
  const withdrawn = (pair: TradingPair) =>
    failure(new ExchangeError.Closed({ detail: `${pair} is no longer followed` }))

  // ---- books ----------------------------------------------------------------------------------------------------------

  /** All are told; what the first of them that failed has thrown is for the books to count and to report. */
  const tell = (live: LiveBook): void => {
    let defect: unknown
    let isFailed = false
    for (let i = 0; i < consumers.length; i++) {
      try {
        consumers[i]!(live)
      } catch (error) {
        defect = isFailed ? defect : error
        isFailed = true
      }
    }
    if (isFailed) throw defect
  }

  /** Where no book's turn is under way that would count what a consumer throws. */
  const toldOutside = (tellThem: () => void): Effect.Effect<void> =>
    Effect.sync(tellThem).pipe(
      Effect.catchDefect((defect) => Effect.logWarning("a consumer of books threw; it is still called", defect))
    )

  const heard = (member: FollowedPair, live: LiveBook): void => {
    if (live._tag === "Stale") stale(member, live)
    else synced(member)
  }

  const synced = (member: FollowedPair): void => {
    member.isSynced = true
    member.wasSynced = true
    member.recover("Book")
    doubt()
  }

  const stale = (member: FollowedPair, live: OrderBooks.Stale): void => {
    member.isSynced = false
    if (live.cause === "Retrying" && live.error !== null) member.fail("Book", live.error)
    if (live.cause === "Failed" && live.error !== null) refuse(member, live.error)
    doubt()
  }

  // ---- pairs ----------------------------------------------------------------------------------------------------------

  /** Reads one channel of a pair until it brings nothing more; succeeds with why. */
  const readTicker = (
    member: FollowedPair,
    tag: TickerTag,
    newest: Newest<BookTicker | Ticker | FuturesTicker>
  ): Effect.Effect<ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const end = Deferred.makeUnsafe<ExchangeError.ExchangeError>()
      return websocket.handleFeed(
        Channel.forPair(tag, member.pair) as Channel.TickerChannel,
        newest.subscribe(end) as never
      )
        .pipe(
          Effect.tap(() => Effect.sync(() => member.accept(tag))),
          Effect.andThen(Deferred.await(end))
        )
    }).pipe(Effect.scoped, Effect.catchCause((cause) => Effect.succeed(reasonOf(cause))))

  const reasonOf = (cause: Cause.Cause<ExchangeError.ExchangeError>): ExchangeError.ExchangeError =>
    Result.getOrElse(
      Cause.findError(cause),
      () => failure(new ExchangeError.Closed({ detail: `the feed broke: ${Cause.pretty(cause)}` }))
    )

  const newestOf = (member: FollowedPair, tag: TickerTag): Newest<BookTicker | Ticker | FuturesTicker> => {
    if (tag === "BookTicker") return member.bookTicker as Newest<BookTicker | Ticker | FuturesTicker>
    return (tag === "Ticker" ? member.ticker : member.futuresTicker) as Newest<BookTicker | Ticker | FuturesTicker>
  }

  const followTicker = Effect.fnUntraced(function*(member: FollowedPair, tag: TickerTag) {
    for (let attempt = 0;; attempt++) {
      const begun = monotonic()
      const error = yield* readTicker(member, tag, newestOf(member, tag))
      if (monotonic() - begun >= stableMs) attempt = 0
      if (!error.isTransient) return refuse(member, error)
      member.fail(tag, error)
      doubt()
      yield* Effect.logWarning(`${error.message}. Subscribing anew in ${pauseMs(attempt)} ms`)
      yield* Effect.sleep(pauseMs(attempt))
    }
  })

  /** Ends with the pair's scope. */
  const follow = (member: FollowedPair): Effect.Effect<void> =>
    // The same function for all pairs: an update is told without a look at what is known of its pair.
    books.onUpdate(member.pair, tell, (live) => heard(member, live)).pipe(
      Effect.andThen(
        // What it fails with, the listener is told as well.
        Effect.forkScoped(Effect.ignore(
          Effect.tap(books.accepted(member.pair), () => Effect.sync(() => member.accept("Book")))
        ))
      ),
      Effect.andThen(Effect.forEach(tickers, (tag) => Effect.forkScoped(followTicker(member, tag)), { discard: true })),
      Scope.provide(member.scope)
    )

  const begin = (member: FollowedPair): void => {
    member.begin(Scope.forkUnsafe(scope), channels)
    run(follow(member))
  }

  const refuse = (member: FollowedPair, error: ExchangeError.ExchangeError): void => {
    if (member.refused !== null || members.get(member.pair) !== member) return
    member.refuse(error)
    // Behind the turn that brought the refusal.
    run(Effect.andThen(Effect.yieldNow, Scope.close(member.scope, Exit.void)))
    doubt()
  }

  /** What was refused for good is tried again when it is listed. */
  const retry = (known: ReadonlyMap<TradingPair, unknown>): void => {
    for (const member of members.values()) if (member.refused !== null && known.has(member.pair)) begin(member)
  }

  const claim = (pair: TradingPair): FollowedPair => {
    const known = members.get(pair)
    const member = known ?? new FollowedPair(pair, scope)
    members.set(pair, member)
    member.claims++
    if (known === undefined || known.refused !== null) begin(member)
    return member
  }

  const drop = (member: FollowedPair): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (members.get(member.pair) !== member) return Effect.void
      members.delete(member.pair)
      const { version: lastVersion = null } = books.bookStatus(member.pair) ?? {}
      member.refuse(withdrawn(member.pair))
      return Effect.andThen(
        Scope.close(member.scope, Exit.void),
        toldOutside(() => {
          doubt()
          tell({ _tag: "Stale", pair: member.pair, cause: "Closed", since: now(), lastVersion, error: null })
        })
      )
    })

  /** Gives the claims of a call that failed back. */
  const unclaim = (claimed: ReadonlyArray<FollowedPair>): Effect.Effect<void> =>
    Effect.forEach(claimed, (member) => --member.claims > 0 ? Effect.void : drop(member), { discard: true })

  const answers = Effect.fnUntraced(function*(claimed: ReadonlyArray<FollowedPair>) {
    const accepted: Array<TradingPair> = []
    const rejected = new Map<TradingPair, ExchangeError.ExchangeError>()
    for (const member of claimed) {
      const error = yield* Deferred.await(member.answer)
      if (error === null) accepted.push(member.pair)
      else rejected.set(member.pair, error)
    }
    const first = claimed[0]?.refused
    if (first !== null && first !== undefined && claimed.every(({ refused }) => refused !== null)) return yield* first
    return { accepted, rejected }
  })

  const addAll = (pairs: ReadonlyArray<TradingPair>): Effect.Effect<Subscribed, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const claimed = [...new Set(pairs)].map(claim)
      doubt()
      return Effect.onError(answers(claimed), () => unclaim(claimed))
    })

  const requirePairs = (pairs: ReadonlyArray<TradingPair>): Effect.Effect<void, ExchangeError.ExchangeError> =>
    pairs.length === 0 ? Effect.fail(invalid("at least one pair is needed")) : Effect.void

  const opened: Effect.Effect<void, ExchangeError.ExchangeError> = Effect.suspend(() => {
    if (state._tag === "Closed") return Effect.fail(closed)
    return state._tag === "Open" ? Effect.void : Effect.fail(invalid("call initialize(pairs) first"))
  })

  const initialize = Effect.fn("PublicExchange.initialize")(function*(pairs: NonEmptyReadonlyArray<TradingPair>) {
    yield* requirePairs(pairs)
    if (state._tag === "Closed") return yield* closed
    if (state._tag === "Open") return yield* invalid("it has been initialized: use add(pairs)")
    state = { _tag: "Open", since: monotonic() }
    return yield* Effect.onError(addAll(pairs), () =>
      Effect.sync(() => {
        if (state._tag === "Open" && members.size === 0) state = { _tag: "Idle" }
      }))
  })

  const add = Effect.fn("PublicExchange.add")(function*(pairs: NonEmptyReadonlyArray<TradingPair>) {
    yield* requirePairs(pairs)
    yield* opened
    return yield* addAll(pairs)
  })

  const remove = Effect.fn("PublicExchange.remove")(function*(pairs: NonEmptyReadonlyArray<TradingPair>) {
    yield* opened
    const dropped = pairs.flatMap((pair) => members.get(pair) ?? [])
    yield* Effect.forEach(dropped, drop, { discard: true })
  })

  const onBook = (consumer: BookConsumer): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      toldOutside(() => {
        consumers = [...consumers, consumer]
        for (const pair of members.keys()) {
          const live = books.get(pair)
          if (live !== undefined) consumer(live)
        }
      }),
      () =>
        Effect.sync(() => {
          consumers = consumers.filter((other) => other !== consumer)
        })
    )

  const awaitBook = (pair: TradingPair): Effect.Effect<Synced, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      if (state._tag === "Closed") return Effect.fail(closed)
      const member = members.get(pair)
      if (member === undefined) return Effect.fail(invalid(`${pair} is not followed: call add first`))
      return member.refused === null ? books.awaitSynced(pair) : Effect.fail(member.refused)
    })

  const listed = yield* InstrumentList.make(options.instrumentsInterval ?? "1 hour", retry)

  // ---- health ---------------------------------------------------------------------------------------------------------

  const problemsOf = (isConnected: boolean, stale: ReadonlyArray<TradingPair>): ReadonlyArray<string> => {
    const problems: Array<string> = []
    if (!isConnected && members.size > 0) problems.push("not every socket that is needed is open")
    if (stale.length > 0) problems.push(`${stale.length} of ${members.size} books are not in sync: ${list(stale)}`)
    for (const { error } of members.values()) if (error !== null) problems.push(error.message)
    const known = listed.known()
    const unlisted = known === null ? [] : [...members.keys()].filter((pair) => !known.has(pair))
    if (unlisted.length > 0) problems.push(`the exchange does not list ${list(unlisted)}`)
    if (known === null) problems.push("the instruments have not been read yet")
    if (exchangeClock.current() === null) {
      problems.push("the exchange's clock has not been measured yet, or not since the machine's was set")
    }
    return problems
  }

  const ages = (): void => {
    for (const { pair, tickerAt } of members.values()) {
      lastDataAt = Math.max(lastDataAt, books.bookStatus(pair)?.receivedAt ?? lastDataAt, tickerAt ?? lastDataAt)
    }
  }

  /** Everything that was asked for is there, or is known not to come. */
  const isComplete = (): boolean => {
    if (state._tag !== "Open" || listed.known() === null || exchangeClock.current() === null) return false
    const waiting = [...members.values()].filter(({ error, wasSynced }) => !wasSynced && error === null)
    if (waiting.length === 0) return members.size > 0
    return waiting.length < members.size && monotonic() - state.since >= startMs
  }

  const health = Effect.gen(function*() {
    const isConnected = yield* websocket.isConnected
    ages()
    const stale = [...members.values()].flatMap(({ isSynced, pair }) => isSynced ? [] : [pair])
    const problems = problemsOf(isConnected, stale)
    hasStarted ||= isComplete()
    const counts = { pairs: members.size, booksSynced: members.size - stale.length }
    const found: PublicHealth = {
      exchange,
      state: stateOf({ isClosed: state._tag === "Closed", hasStarted, problems, ...counts }),
      problems,
      isConnected,
      ...counts,
      stale,
      refused: new Map([...members.values()].flatMap(({ error, pair }) => error === null ? [] : [[pair, error]])),
      lastDataAt: lastDataAt === Number.NEGATIVE_INFINITY ? null : lastDataAt,
      instrumentsAt: listed.readAt(),
      clock: exchangeClock.current()
    }
    if (found.state !== published) {
      published = found.state
      yield* PubSub.publish(hub, [found])
    }
    return found
  })

  const check = Effect.asVoid(health)

  /** At once behind the turn that brought the first change, then again while more come. */
  const settle: Effect.Effect<void> = Effect.suspend(() => {
    isDoubtful = false
    return check.pipe(
      Effect.andThen(Effect.sleep(settleMs)),
      Effect.andThen(Effect.suspend(() => {
        if (isDoubtful) return settle
        isSettling = false
        return Effect.void
      }))
    )
  })

  /** Something that counts has changed. */
  const doubt = (): void => {
    isDoubtful = true
    if (isSettling || state._tag === "Closed") return
    isSettling = true
    run(Effect.andThen(Effect.yieldNow, settle))
  }

  /** Returns whether the exchange's clock is known. */
  const measure = Effect.matchEffect(exchangeClock.measure, {
    onSuccess: () => Effect.as(check, true),
    onFailure: (error) => Effect.as(Effect.logWarning(`the exchange's clock: ${error.message}`), false)
  })

  /** Whether so little is known of the clock that ages of data mean little: at a busy start answers take long. */
  const isCoarse = (): boolean => (exchangeClock.current()?.errorMs ?? Number.POSITIVE_INFINITY) > coarseMs

  // The first measurements; from then on the clock measures by itself.
  yield* Effect.forkScoped(Effect.gen(function*() {
    for (let attempt = 0; !(yield* measure); attempt++) yield* Effect.sleep(pauseMs(attempt))
    for (let tries = 0; isCoarse() && tries < coarseTries; tries++) {
      yield* Effect.sleep(coarsePause)
      yield* measure
    }
  }))

  yield* check
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.healthInterval ?? "1 second"), check)))

  const close = Effect.suspend(() => {
    if (state._tag === "Closed") return Effect.void
    state = { _tag: "Closed" }
    return Effect.forEach([...members.values()], drop, { discard: true }).pipe(
      Effect.andThen(check),
      Effect.andThen(PubSub.end(hub, Exit.void))
    )
  })
  yield* Effect.addFinalizer(() => close)

  return PublicExchange.of({
    exchange,
    initialize,
    add,
    remove,
    pairs: () => [...members.keys()],
    instruments: listed.instruments,
    books,
    book: (pair) => members.has(pair) ? books.get(pair) : undefined,
    awaitBook,
    onBook,
    bestPrice: (pair) =>
      bestOf(pair, members.has(pair) ? books.get(pair) : undefined, members.get(pair)?.bookTicker.value ?? null),
    bookTicker: (pair) => members.get(pair)?.bookTicker.value ?? null,
    ticker: (pair) => members.get(pair)?.ticker.value ?? null,
    futuresTicker: (pair) => members.get(pair)?.futuresTicker.value ?? null,
    funding: (pair) =>
      websocket.channels.has("FuturesTicker")
        ? Effect.sync(() => fundingOf(pair, members.get(pair)?.futuresTicker.value ?? null))
        : Effect.fail(failure(
          new ExchangeError.UnsupportedChannel({
            symbol: pair,
            channel: "FuturesTicker",
            detail: "it has no perpetuals, so there is no funding"
          })
        )),
    clock: exchangeClock.current,
    audit,
    refresh: Effect.all([listed.instruments.refresh, Effect.andThen(exchangeClock.measure, check), audit.all], {
      discard: true
    }),
    health,
    healthChanges: Stream.fromPubSubTake(hub),
    close: Effect.andThen(close, Scope.close(scope, Exit.void))
  })
})

export const make = Effect.fnUntraced(function*(
  options: PublicExchangeOptions = {}
): Effect.fn.Return<PublicExchange["Service"], never, PublicWebsocket | MarketRest | ExchangeClock | Scope.Scope> {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* Scope.provide(build(options, scope), scope)
})

export const layer = (
  options?: PublicExchangeOptions
): Layer.Layer<PublicExchange, never, PublicWebsocket | MarketRest | ExchangeClock> =>
  Layer.effect(PublicExchange, make(options))
