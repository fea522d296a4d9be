/** An exchange's public REST calls, paced: one instance for all Layers of an exchange, so that its budget is never split. */
import { Clock, Context, Effect, Semaphore } from "effect"
import type { BookChannel } from "./domain/Channel.ts"
import type { ExchangeId, Instrument } from "./domain/Instrument.ts"
import type { BookUpdate } from "./domain/Market.ts"
import type { ExchangeError } from "./ExchangeError.ts"

export class MarketRest extends Context.Service<MarketRest, {
  readonly exchange: ExchangeId
  /** Everything the exchange lists. */
  readonly instruments: Effect.Effect<ReadonlyArray<Instrument>, ExchangeError>
  /** The exchange's clock, ms since the epoch. */
  readonly serverTime: Effect.Effect<number, ExchangeError>
  /** What was traded within 24 hours, in quote, by symbol; empty where the exchange tells nothing of it. */
  readonly turnovers: Effect.Effect<ReadonlyMap<string, number>, ExchangeError>
  /** A whole book, fit to join the channel's deltas. `attempt` counts from 0: later ones ask for less depth. */
  readonly book: (symbol: string, channel: BookChannel, attempt: number) => Effect.Effect<BookUpdate, ExchangeError>
}>()("effect-exchange/MarketRest") {}

type Rest =
  & Omit<MarketRest["Service"], "exchange" | "turnovers">
  & { readonly turnovers?: MarketRest["Service"]["turnovers"] | undefined }

export interface Pace {
  /** Requests started in a second. */
  readonly perSecond: number
  /** Requests under way at once. */
  readonly concurrency: number
}

/** Paces the calls: at most `concurrency` at once, started no closer than `1 / perSecond` apart. */
export const paced = Effect.fnUntraced(function*(
  rest: Rest,
  exchange: ExchangeId,
  pace: Pace
) {
  const clock = yield* Clock.Clock
  const semaphore = yield* Semaphore.make(pace.concurrency)
  const interval = 1000 / pace.perSecond
  let nextStart = 0
  const turn = Effect.suspend(() => {
    const now = clock.currentTimeMillisUnsafe()
    const start = Math.max(now, nextStart)
    nextStart = start + interval
    return start > now ? Effect.sleep(start - now) : Effect.void
  })
  const run = <A>(request: Effect.Effect<A, ExchangeError>): Effect.Effect<A, ExchangeError> =>
    semaphore.withPermits(1)(Effect.andThen(turn, request))
  return MarketRest.of({
    exchange,
    instruments: run(rest.instruments),
    serverTime: run(rest.serverTime),
    turnovers: rest.turnovers === undefined ? Effect.succeed(new Map()) : run(rest.turnovers),
    book: (symbol, channel, attempt) => run(rest.book(symbol, channel, attempt))
  })
})
