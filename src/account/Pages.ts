/** The time and the turns of a call that may ask for one page after another. */
import { Effect } from "effect"
import { NextPage } from "../AccountAdapter.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeError } from "../ExchangeError.ts"

export interface Terms {
  /** How long the exchange has to answer one request, ms. */
  readonly withinMs: number
  /** What each request but the first waits for: room within the limits. That time does not count. */
  readonly turn: Effect.Effect<void, ExchangeError>
}

/** Runs the call; `late` in its place once a request of it is not answered in time. */
export const within = <A, E>(
  call: Effect.Effect<A, E>,
  { turn, withinMs }: Terms,
  late: Effect.Effect<never, E>
): Effect.Effect<A, E> =>
  Effect.clockWith((clock) => {
    const now = (): number => monotonicMillis(clock)
    let deadline = now() + withinMs
    const nextPage = Effect.suspend(() => {
      deadline = Number.POSITIVE_INFINITY
      return Effect.andThen(
        turn,
        Effect.sync(() => {
          deadline = now() + withinMs
        })
      )
    })
    const watch: Effect.Effect<never, E> = Effect.suspend(() => {
      const left = deadline - now()
      return left <= 0 ? late : Effect.andThen(Effect.sleep(Math.min(left, withinMs)), watch)
    })
    return Effect.raceFirst(Effect.provideService(call, NextPage, nextPage), watch)
  })
