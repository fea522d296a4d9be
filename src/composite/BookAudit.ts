/**
 * Compares live books with the exchange's own snapshots, one now and then, within its limits. What a feed has lost without a
 * trace, and what we have misread, no version shows; another look at the book does.
 *
 * A snapshot and a live book are hardly ever at the same version. So the updates that the book takes are recorded from before
 * the snapshot is asked for, those behind the snapshot's version are applied to it, and what comes out is compared at the
 * version of the live book. Quantities are absolute, so an update whose range holds the snapshot's version does no harm.
 */
import { Clock, Context, Deferred, Effect, Layer, Metric, Option } from "effect"
import type { Scope } from "effect"
import * as Channel from "../domain/Channel.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { BookUpdate } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import { MarketRest } from "../MarketRest.ts"
import { OrderBook } from "./OrderBook.ts"
import type { BookView, Level, Reach } from "./OrderBook.ts"
import { OrderBooks } from "./OrderBooks.ts"
import type { Divergence, OrderBooksOptions } from "./OrderBooks.ts"

/**
 * - `Agreed`: the best `levels` of each side were equal.
 * - `Diverged`: they were not, twice; the pair is being subscribed anew.
 * - `Inconclusive`: nothing can be said. `NotSynced`: the book is not in sync, or was not until the end. `Replaced`: the feed
 *   brings nothing but whole books. `TooOld`: every snapshot was older than the book at the beginning. `Unreached`: the book
 *   went on, but not to the snapshot's version. `Unconfirmed`: the first look differed, the second did not say so.
 *   `Failed`: the snapshot could not be had, see `error`.
 */
export type Verdict =
  | { readonly _tag: "Agreed"; readonly levels: number; readonly version: Sequence }
  | Divergence
  | {
    readonly _tag: "Inconclusive"
    readonly cause: "NotSynced" | "Replaced" | "TooOld" | "Unreached" | "Unconfirmed" | "Failed"
    readonly error: ExchangeError | null
  }

export interface AuditOptions {
  /** Which books are followed: as `OrderBooks` was asked for them. */
  readonly book?: OrderBooksOptions | undefined
  /**
   * Books that are compared in an hour, spread evenly, one after the other in the order in which they are followed; each costs
   * one request. Those whose best levels the market has carried beyond their snapshot do not wait for their turn. 0: none but
   * those that are asked for. Default 360.
   */
  readonly booksPerHour?: number | undefined
  /** Levels a side that are compared at most. Default 100. */
  readonly levels?: number | undefined
}

export interface AuditStatus {
  readonly agreed: number
  readonly diverged: number
  readonly inconclusive: number
  /** Snapshots that were asked for. */
  readonly requests: number
  /** Levels that were compared and equal. */
  readonly levels: number
}

export class BookAudit extends Context.Service<BookAudit, {
  /** Compares one book now. */
  readonly audit: (pair: TradingPair) => Effect.Effect<Verdict>
  /** Compares every book in sync now, one after the other. */
  readonly all: Effect.Effect<ReadonlyMap<TradingPair, Verdict>>
  readonly status: () => AuditStatus
}>()("effect-exchange/BookAudit") {}

const audits = Metric.counter("exchange.book.audits", {
  description: "Books compared with a snapshot of the exchange",
  attributes: { unit: "{book}" },
  incremental: true
})

const defaults = { booksPerHour: 360, levels: 100 }

const hourMs = 3_600_000

/** Snapshots that are asked for until one is young enough, and the first pause between two, ms. */
const tries = 5
const pauseMs = 250

/** How long a book may take to reach the snapshot's version, ms. */
const patienceMs = 10_000

/** Updates that one comparison remembers; beyond that it begins anew. */
const mostUpdates = 20_000

/** How often worn books are looked for, and after how long one that was right is looked at again, doubled each time, ms. */
const wornEveryMs = 1_000
const firstRestMs = 60_000
const longestRestMs = hourMs

/** So many levels are the exchange's whatever the snapshot that the book goes back to showed. */
const alwaysKnown = 20

/** The updates of one book since a moment. */
class Recording {
  #updates: Array<BookUpdate> = []
  /** The version that they follow. */
  #first: Sequence
  #last: Sequence
  #goal: Sequence | null = null
  #reached = Deferred.makeUnsafe<void>()
  /** Whether anything has come. */
  hasMoved = false

  constructor(version: Sequence) {
    this.#first = version
    this.#last = version
  }

  readonly take = (update: BookUpdate): void => {
    this.hasMoved = true
    this.#last = update.version
    if (update.kind === "snapshot" || this.#updates.length >= mostUpdates) {
      this.#updates = []
      this.#first = update.version
    } else {
      this.#updates.push(update)
    }
    if (this.#goal !== null && this.#last >= this.#goal) Deferred.doneUnsafe(this.#reached, Effect.void)
  }

  /** Whether everything behind this version is known. */
  covers(version: Sequence): boolean {
    return version >= this.#first
  }

  /** Waits until the book has come so far. */
  reach(version: Sequence): Effect.Effect<void> {
    if (this.#last >= version) return Effect.void
    this.#goal = version
    this.#reached = Deferred.makeUnsafe()
    return Deferred.await(this.#reached)
  }

  behind(version: Sequence): ReadonlyArray<BookUpdate> {
    return this.#updates.filter((update) => update.version > version)
  }
}

interface SideReader {
  readonly price: (index: number) => number
  readonly quantity: (index: number) => number
  /** Positive when the first price is the better one. */
  readonly sign: 1 | -1
  readonly reach: Reach
}

const sideOf = (view: BookView, side: "bid" | "ask"): SideReader =>
  side === "bid"
    ? { price: (i) => view.bidPrice(i), quantity: (i) => view.bidQuantity(i), sign: 1, reach: view.bidReach }
    : { price: (i) => view.askPrice(i), quantity: (i) => view.askQuantity(i), sign: -1, reach: view.askReach }

/** Whether a price lies no further down than the side was known to. */
const isWithin = (price: number, { reach, sign }: SideReader): boolean => sign * (price - reach.worstPrice) >= 0

/**
 * How many levels from the best both are known to have. Of the snapshot: those that are no worse than the worst it showed. Of
 * the live book: no more than its own snapshot showed, and beyond the first few only those in the prices that that showed; a
 * market that has moved away has left them.
 */
const common = (ours: SideReader, theirs: SideReader, most: number): number => {
  const limit = Math.min(most, ours.reach.levels)
  let count = 0
  while (count < limit) {
    const price = theirs.price(count)
    if (!isWithin(price, theirs) || (count >= alwaysKnown && !isWithin(price, ours))) break
    count++
  }
  return count
}

/**
 * Whether the market has carried one of the best levels beyond what the side's snapshot showed. Where a feed tells of changes
 * only, those that have not changed are missing from there on.
 */
const isWorn = (side: SideReader): boolean => {
  const index = Math.min(alwaysKnown, side.reach.levels) - 1
  return index >= 0 && !isWithin(side.price(index), side)
}

const levelOf = (side: SideReader, index: number): Level | null => {
  const price = side.price(index)
  return Number.isNaN(price) ? null : { price, quantity: side.quantity(index) }
}

type Compared = { readonly levels: number } | Pick<Divergence, "side" | "index" | "ours" | "theirs">

const compareSide = (live: BookView, snapshot: BookView, side: "bid" | "ask", most: number): Compared => {
  const [ours, theirs] = [sideOf(live, side), sideOf(snapshot, side)]
  const levels = common(ours, theirs, most)
  for (let index = 0; index < levels; index++) {
    if (ours.price(index) !== theirs.price(index) || ours.quantity(index) !== theirs.quantity(index)) {
      return { side, index, ours: levelOf(ours, index), theirs: levelOf(theirs, index) }
    }
  }
  return { levels }
}

const inconclusive = (
  cause: Extract<Verdict, { readonly _tag: "Inconclusive" }>["cause"],
  error: ExchangeError | null = null
): Verdict => ({ _tag: "Inconclusive", cause, error })

/** Brings a snapshot to the live book's version with the updates behind it, and compares the best levels. */
export const compare = (
  live: BookView,
  snapshot: BookUpdate,
  updates: ReadonlyArray<BookUpdate>,
  most: number
): Verdict => {
  const version = live.version
  if (version === null) return inconclusive("NotSynced")
  const book = new OrderBook(live.pair)
  let outcome = book.apply(snapshot)
  for (let i = 0; i < updates.length && outcome === "Applied"; i++) outcome = book.apply(updates[i]!)
  const { view } = book
  // A snapshot that cannot be right says nothing about the live book.
  if (view === null) return inconclusive("Unconfirmed")
  const bids = compareSide(live, view, "bid", most)
  if ("side" in bids) return { _tag: "Diverged", version, snapshotVersion: snapshot.version, ...bids }
  const asks = compareSide(live, view, "ask", most)
  if ("side" in asks) return { _tag: "Diverged", version, snapshotVersion: snapshot.version, ...asks }
  return { _tag: "Agreed", levels: bids.levels + asks.levels, version }
}

/** The first pair in sync behind `last`, around the list; the list's first one when `last` is no longer in it. */
const nextOf = (books: OrderBooks["Service"], last: TradingPair | null): TradingPair | undefined => {
  const pairs = books.pairs()
  const start = last === null ? 0 : pairs.indexOf(last) + 1
  return [...pairs.slice(start), ...pairs.slice(0, start)].find((pair) => books.get(pair)?._tag === "Synced")
}

/** Audits the books of a service as long as the scope lives. */
export const make = Effect.fnUntraced(function*(
  books: OrderBooks["Service"],
  options: AuditOptions = {}
): Effect.fn.Return<BookAudit["Service"], never, MarketRest | Scope.Scope> {
  const rest = yield* MarketRest
  const clock = yield* Clock.Clock
  const { levels: most = defaults.levels } = options
  const { booksPerHour = defaults.booksPerHour } = options
  /** A machine's clock that is set holds up no audit, ms. */
  const now = (): number => monotonicMillis(clock)
  const counts = { agreed: 0, diverged: 0, inconclusive: 0, requests: 0, levels: 0 }

  /** A snapshot behind which the recording knows everything, or why there is none. */
  const fetch = Effect.fnUntraced(function*(view: BookView, recording: Recording) {
    const channel = Channel.book(view.pair, { ...options.book, depth: options.book?.depth ?? most })
    for (let attempt = 0; attempt < tries; attempt++) {
      if (attempt > 0) yield* Effect.sleep(pauseMs * 2 ** attempt)
      counts.requests++
      const snapshot = yield* rest.book(view.symbol, channel, attempt)
      if (recording.covers(snapshot.version)) return Option.some(snapshot)
    }
    return Option.none<BookUpdate>()
  })

  /** One look. `Unreached` where a book stands still is judged as it is: the exchange has gone on without it. */
  const look = Effect.fnUntraced(function*(view: BookView, recording: Recording) {
    const found = yield* fetch(view, recording)
    if (Option.isNone(found)) return inconclusive("TooOld")
    const snapshot = found.value
    const isReached = Option.isSome(yield* Effect.timeoutOption(recording.reach(snapshot.version), patienceMs))
    if (!view.isCurrent) return inconclusive("NotSynced")
    if (!isReached && recording.hasMoved) return inconclusive("Unreached")
    if (!recording.covers(snapshot.version)) return inconclusive("Replaced")
    return compare(view, snapshot, recording.behind(snapshot.version), most)
  })

  const lookOnce = (pair: TradingPair): Effect.Effect<Verdict> =>
    Effect.suspend(() => {
      const live = books.get(pair)
      if (live?._tag !== "Synced" || live.book.version === null) return Effect.succeed(inconclusive("NotSynced"))
      const recording = new Recording(live.book.version)
      const stop = books.observe(pair, recording.take)
      return look(live.book, recording).pipe(
        Effect.catch((error) => Effect.succeed(inconclusive("Failed", error))),
        Effect.ensuring(Effect.sync(() => stop?.()))
      )
    })

  /** What differs is looked at once more: a snapshot may be as wrong as a book. */
  const confirmed = (pair: TradingPair): Effect.Effect<Verdict> =>
    Effect.flatMap(lookOnce(pair), (first) =>
      first._tag === "Diverged"
        ? Effect.map(lookOnce(pair), (second) => second._tag === "Diverged" ? second : inconclusive("Unconfirmed"))
        : Effect.succeed(first))

  const count = (verdict: Verdict): Effect.Effect<void> => {
    if (verdict._tag === "Agreed") {
      counts.agreed++
      counts.levels += verdict.levels
    } else if (verdict._tag === "Diverged") counts.diverged++
    else counts.inconclusive++
    const attributes = { exchange: books.exchange, outcome: verdict._tag.toLowerCase() }
    return Metric.update(Metric.withAttributes(audits, attributes), 1)
  }

  const audit = (pair: TradingPair): Effect.Effect<Verdict> =>
    confirmed(pair).pipe(
      Effect.tap((verdict) =>
        Effect.sync(() => {
          if (verdict._tag === "Diverged") books.contradict(pair, verdict)
        })
      ),
      Effect.tap(count)
    )

  /** Behind an audit that found a worn book to be right: when it may be looked at again, and how long after that, ms. */
  const rests = new WeakMap<Reach, { readonly due: number; readonly pause: number }>()

  const isDue = (pair: TradingPair): boolean => {
    const live = books.get(pair)
    if (live?._tag !== "Synced") return false
    if (!isWorn(sideOf(live.book, "bid")) && !isWorn(sideOf(live.book, "ask"))) return false
    return (rests.get(live.book.bidReach)?.due ?? 0) <= now()
  }

  /** Worn books do not wait for their turn. A feed that tells every level of its window is right all the same, and asked less and less. */
  const lookAtWorn = Effect.suspend(() => {
    const pair = books.pairs().find(isDue)
    const live = pair === undefined ? undefined : books.get(pair)
    if (pair === undefined || live?._tag !== "Synced") return Effect.void
    const reach = live.book.bidReach
    const pause = Math.min(longestRestMs, 2 * (rests.get(reach)?.pause ?? firstRestMs / 2))
    return Effect.map(audit(pair), () => {
      rests.set(reach, { due: now() + pause, pause })
    })
  })

  let last: TradingPair | null = null
  const next = Effect.suspend(() => {
    const pair = nextOf(books, last)
    if (pair === undefined) return Effect.void
    last = pair
    return Effect.asVoid(audit(pair))
  })

  /** What a comparison takes is part of its interval. */
  const paced = Effect.fnUntraced(function*(interval: number) {
    for (let due = now();;) {
      const begun = now()
      yield* lookAtWorn
      if (now() >= due) {
        due = now() + interval
        yield* next
      }
      yield* Effect.sleep(Math.max(0, Math.min(due, begun + wornEveryMs) - now()))
    }
  })

  const guarded = (interval: number) =>
    paced(interval).pipe(
      Effect.catchDefect((defect) => Effect.logError(`[${books.exchange}] an audit died of a defect`, defect)),
      Effect.andThen(Effect.sleep(interval))
    )
  if (booksPerHour > 0) yield* Effect.forkScoped(Effect.forever(guarded(hourMs / booksPerHour)))

  return BookAudit.of({
    audit,
    all: Effect.suspend(() => {
      const pairs = books.pairs().filter((pair) => books.get(pair)?._tag === "Synced")
      return Effect.map(
        Effect.forEach(pairs, (pair) => Effect.map(audit(pair), (verdict) => [pair, verdict] as const)),
        (verdicts) => new Map(verdicts)
      )
    }),
    status: () => ({ ...counts })
  })
})

/** Audits the books of the context. */
export const layer = (options?: AuditOptions): Layer.Layer<BookAudit, never, OrderBooks | MarketRest> =>
  Layer.effect(BookAudit, Effect.flatMap(OrderBooks, (books) => make(books, options)))
