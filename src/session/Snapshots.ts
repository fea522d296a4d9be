/**
 * Fetches book snapshots for topics that wait for one, until none does: what was in sync and broke first, then the most
 * liquid, so many at once. A slow or failing topic keeps its own waits; a pause that the exchange asks for is everybody's
 * and kept by `MarketRest`.
 */
import { Effect } from "effect"
import type { BookRequest, ExchangeAdapter } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"
import type { Counters } from "./Counters.ts"
import type { Wakeups } from "./Subscriber.ts"
import * as TopicErrors from "./TopicErrors.ts"
import type { TopicState } from "./Topics.ts"

export interface SnapshotOptions {
  readonly adapter: ExchangeAdapter
  readonly rest: MarketRest["Service"]
  readonly counters: Counters
  readonly wakeups: Wakeups
  /** Whether the topic's deltas are coming in. */
  readonly isConfirmed: (state: TopicState) => boolean
  /** Deltas of topics that will want one are still to come in. */
  readonly awaitsMore: () => boolean
  /** ms. */
  readonly monotonic: () => number
  /** What is traded of a symbol, in quote; 0 where unknown. */
  readonly turnoverOf: (symbol: string) => number
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** Milliseconds before another attempt: a snapshot that was too old needs the exchange's cache to move on. */
const backoff = (attempt: number): number => Math.min(5_000, 100 * 2 ** Math.min(attempt, 6))

/** Milliseconds that the exchange asks to wait before the next request. */
const retryAfter = ({ reason }: ExchangeError): number => reason._tag === "RequestFailed" ? reason.retryAfterMs ?? 0 : 0

/** A request that takes longer makes way for the next one, ms. */
const slowAfter = 2_000

/** Slow requests included, so many times the exchange's concurrency run at once. */
const slowShare = 4

/** A topic that waits for its turn. */
interface Job {
  readonly state: TopicState
  readonly turnover: number
  /** Attempts so far. */
  attempts: number
}

/** Whether `a` goes first. Jobs are looked through in the order in which they were asked for. */
const precedes = (a: Job, b: Job): boolean =>
  a.state.everLive === b.state.everLive ? a.turnover > b.turnover : a.state.everLive

const nextOf = (jobs: Iterable<Job>): Job | undefined => {
  let best: Job | undefined
  for (const job of jobs) {
    if (best === undefined || precedes(job, best)) best = job
  }
  return best
}

/** Returns how to ask for a topic's snapshot. Asking again while one is under way changes nothing. */
export const make = (options: SnapshotOptions): (state: TopicState) => void => {
  const { adapter, counters, fork, isConfirmed, rest, wakeups } = options
  /** Whose turn may be now. Those that pause are not among them. */
  const waiting = new Set<Job>()
  /** Those that count against the concurrency. */
  let running = 0
  /** Slow ones too. */
  let active = 0
  let isDue = false
  /** When the next may be asked for while others are to come, ms of the monotonic clock. */
  let nextTurn = Number.NEGATIVE_INFINITY
  let isTimed = false

  const give = (state: TopicState, error: ExchangeError): void => {
    state.fail(error, "topic")
    wakeups.flush()
  }

  /** One request; ms to wait before the next. What was fetched before a break is not joined to what follows it. */
  const attempt = (state: TopicState, count: number): Effect.Effect<number> => {
    const epoch = state.epoch
    return rest.book(state.topic.symbol, state.channel as BookRequest, count).pipe(
      Effect.map((snapshot) => {
        if (epoch === state.epoch) {
          state.snapshot({ ...snapshot, pair: state.topic.pair, contractSize: state.topic.contractSize })
        }
        wakeups.flush()
        return 0
      }),
      Effect.catch((error) => {
        counters.error(error.reason._tag)
        if (error.isTransient) return Effect.as(Effect.logWarning(error.message), retryAfter(error))
        // A stream that has meanwhile pushed a snapshot of its own is none the worse.
        return Effect.as(Effect.sync(() => state.needsSnapshot && give(state, error)), 0)
      })
    )
  }

  const isWanted = ({ state }: Job): boolean => isConfirmed(state) && state.needsSnapshot

  const finish = (job: Job): void => {
    job.state.fetching = false
  }

  const join = (job: Job): void => {
    waiting.add(job)
    pump()
  }

  /**
   * Asks once. The topic goes back into the queue behind a pause when it needs another snapshot. The end of the pause is
   * the timer's word alone: timers come up to a millisecond early by the clock, and the clock may be set.
   */
  const fetch = Effect.fnUntraced(function*(job: Job) {
    if (!isWanted(job)) return finish(job)
    const wait = yield* attempt(job.state, job.attempts++)
    if (!isWanted(job)) return finish(job)
    const pause = Math.max(wait, backoff(job.attempts))
    fork(Effect.andThen(Effect.sleep(pause), Effect.sync(() => join(job))))
  })

  const died = (job: Job, cause: unknown): Effect.Effect<void> =>
    Effect.andThen(
      Effect.logError(`[${adapter.id}] fetching the book of ${job.state.topic.symbol} died of a defect`, cause),
      Effect.sync(() => {
        finish(job)
        give(job.state, TopicErrors.defect(adapter, cause))
      })
    )

  /** Holds one of the places, and gives it up early when the answer takes long. */
  const run = (job: Job): Effect.Effect<void> => {
    let isCounted = true
    const uncount = (): void => {
      if (isCounted) running--
      isCounted = false
      pump()
    }
    const leave = Effect.sync(uncount)
    const makeWay = Effect.andThen(Effect.sleep(slowAfter), Effect.andThen(leave, Effect.never))
    return Effect.raceFirst(fetch(job), makeWay).pipe(
      Effect.catchDefect((cause) => died(job, cause)),
      // The end of a slow one makes room too: in a ban all places are theirs, and those behind would wait for ever.
      Effect.ensuring(Effect.sync(() => {
        active--
        uncount()
      }))
    )
  }

  /** More liquid ones may be among those to come: until then none is asked for before its even turn. */
  const isEarly = (now: number): boolean => now < nextTurn && options.awaitsMore()

  const pumpAgain = (pause: number): void => {
    if (isTimed) return
    isTimed = true
    const again = Effect.sync(() => {
      isTimed = false
      pump()
    })
    fork(Effect.andThen(Effect.sleep(pause), again))
  }

  const pump = (): void => {
    const { restConcurrency, restPerSecond } = adapter.limits
    while (waiting.size > 0 && running < restConcurrency && active < restConcurrency * slowShare) {
      const now = options.monotonic()
      if (isEarly(now)) return pumpAgain(nextTurn - now)
      nextTurn = now + 1_000 / restPerSecond
      const job = nextOf(waiting)!
      waiting.delete(job)
      running++
      active++
      fork(run(job))
    }
  }

  const start = Effect.sync(() => {
    isDue = false
    pump()
  })

  return (state) => {
    if (state.fetching) return
    state.fetching = true
    waiting.add({ state, turnover: options.turnoverOf(state.topic.symbol), attempts: 0 })
    if (isDue) return
    isDue = true
    // Behind the batch that asks: the first of it are not the most liquid, and an answer may be there at once.
    fork(Effect.andThen(Effect.yieldNow, start))
  }
}
