/** Fetches book snapshots for topics that wait for one, until none does. */
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
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** Milliseconds before another attempt: a snapshot that was too old needs the exchange's cache to move on. */
const backoff = (attempt: number): number => Math.min(5_000, 100 * 2 ** Math.min(attempt, 6))

/** Milliseconds that the exchange asks to wait before the next request. */
const retryAfter = ({ reason }: ExchangeError): number => reason._tag === "RequestFailed" ? reason.retryAfterMs ?? 0 : 0

/** Returns how to ask for a topic's snapshot. Asking again while one is under way changes nothing. */
export const make = (options: SnapshotOptions): (state: TopicState) => void => {
  const { adapter, counters, isConfirmed, rest, wakeups } = options

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

  const fetch = Effect.fnUntraced(function*(state: TopicState) {
    for (let count = 0; isConfirmed(state) && state.needsSnapshot; count++) {
      if (count > 0) yield* Effect.sleep(backoff(count))
      const wait = yield* attempt(state, count)
      if (wait > 0) yield* Effect.sleep(wait)
    }
  })

  return (state) => {
    if (state.fetching) return
    state.fetching = true
    options.fork(
      // Not before the update that asks has been dealt with: an answer may be there at once.
      Effect.andThen(Effect.yieldNow, fetch(state)).pipe(
        Effect.catchDefect((cause) =>
          Effect.andThen(
            Effect.logError(`[${adapter.id}] fetching the book of ${state.topic.symbol} died of a defect`, cause),
            Effect.sync(() => give(state, TopicErrors.defect(adapter, cause)))
          )
        ),
        Effect.ensuring(Effect.sync(() => {
          state.fetching = false
        }))
      )
    )
  }
}
