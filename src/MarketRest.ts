/** An exchange's public REST calls, paced: one instance for all Layers of an exchange, so that its budget is never split. */
import { Clock, Context, Duration, Effect, Semaphore } from "effect"
import type { BookChannel } from "./domain/Channel.ts"
import { monotonicMillis } from "./domain/ClockTime.ts"
import type { ExchangeId, Instrument } from "./domain/Instrument.ts"
import type { BookUpdate } from "./domain/Market.ts"
import * as ExchangeError from "./ExchangeError.ts"

export class MarketRest extends Context.Service<MarketRest, {
  readonly exchange: ExchangeId
  /** Everything the exchange lists. */
  readonly instruments: Effect.Effect<ReadonlyArray<Instrument>, ExchangeError.ExchangeError>
  /** The exchange's clock, ms since the epoch. */
  readonly serverTime: Effect.Effect<number, ExchangeError.ExchangeError>
  /** What was traded within 24 hours, in quote, by symbol; empty where the exchange tells nothing of it. */
  readonly turnovers: Effect.Effect<ReadonlyMap<string, number>, ExchangeError.ExchangeError>
  /** A whole book, fit to join the channel's deltas. `attempt` counts from 0: later ones ask for less depth. */
  readonly book: (
    symbol: string,
    channel: BookChannel,
    attempt: number
  ) => Effect.Effect<BookUpdate, ExchangeError.ExchangeError>
}>()("effect-exchange/MarketRest") {}

type Rest =
  & Omit<MarketRest["Service"], "exchange" | "turnovers">
  & { readonly turnovers?: MarketRest["Service"]["turnovers"] | undefined }

export interface Pace {
  /** Requests started in a second. */
  readonly perSecond: number
  /** So many books may be asked for together where nothing has started for as long as they would take by `perSecond`; one when left out. */
  readonly burst?: number | undefined
  /** Requests under way at once. One that takes longer than `slowAfter` no longer counts. */
  readonly concurrency: number
  /** A request that has not been answered after this long has failed. Never when left out. */
  readonly timeout?: Duration.Input | undefined
  /**
   * What is paused together with these calls, where the exchange throttles an address: until when, ms of the monotonic
   * clock. Of these calls alone when left out.
   */
  readonly pause?: { until: number } | undefined
}

/** A request that takes longer gives its place to the next one, ms. */
const slowAfter = 2_000

/** Slow requests included, so many times `concurrency` run at once. */
const slowShare = 4

/** The pause when the exchange has had enough and does not say for how long: doubles up to a minute, ms. */
const pauseMillis = (strikes: number): number => Math.min(60_000, 1_000 * 2 ** Math.min(strikes, 6))

/** How long the exchange wants to be left alone after this error, ms; null when it does not. */
const pauseAfter = ({ reason }: ExchangeError.ExchangeError, strikes: number): number | null => {
  if (reason._tag !== "RequestFailed") return null
  if (reason.retryAfterMs !== undefined) return reason.retryAfterMs
  return reason.class === "rateLimit" ? pauseMillis(strikes) : null
}

/** Above so many requests a second there is no exchange that counts them. */
const mostCounted = 1_000

/**
 * When requests may start. One pace for all of an exchange's calls: evenly spaced behind a first few, and so that no second holds
 * more at the exchange, however unevenly they get there: one that is answered now has been counted by now, so that it leaves room a
 * second from here.
 */
class Turns {
  /** When the latest requests were counted at the latest, ms, in a ring as long as a second's allowance. */
  readonly #counted: Float64Array
  #oldest = 0
  readonly #clock: Clock.Clock
  readonly #interval: number
  /** How far ahead of its even place a request may start, ms. */
  readonly #ahead: number
  readonly #pause: { until: number }
  /** The next one's even place. */
  #nextPlace = 0
  #strikes = 0

  constructor(clock: Clock.Clock, { burst = 1, pause, perSecond }: Pace) {
    this.#clock = clock
    this.#interval = 1000 / perSecond
    this.#ahead = (burst - 1) * this.#interval
    // The pace is below what the exchange allows: one more than it keeps to the pace while answers take no longer than a turn.
    const allowed = perSecond > mostCounted ? 0 : Math.floor(perSecond) + 1
    this.#counted = new Float64Array(allowed).fill(Number.NEGATIVE_INFINITY)
    this.#pause = pause ?? { until: Number.NEGATIVE_INFINITY }
  }

  /** A machine's clock that is set ends no pause. */
  #now(): number {
    return monotonicMillis(this.#clock)
  }

  /** Since the exchange had enough no request has succeeded: one at a time finds out whether it takes them again. */
  get isCareful(): boolean {
    return this.#strikes > 0
  }

  /** Waits for a request's even turn, however often the pause is prolonged meanwhile. */
  readonly next: Effect.Effect<void> = Effect.suspend(() => this.#turn(0))

  /** The same for one of those that may start together. */
  readonly nextOfBurst: Effect.Effect<void> = Effect.suspend(() => this.#turn(this.#ahead))

  #turn(ahead: number): Effect.Effect<void> {
    const now = this.#now()
    const { until } = this.#pause
    // Behind a pause nothing starts together: the exchange has just had enough.
    const place = Math.max(this.#nextPlace, now < until ? until + ahead : now)
    const start = Math.max(now, place - ahead)
    this.#nextPlace = place + this.#interval
    if (start <= now) return Effect.void
    return Effect.andThen(
      Effect.sleep(start - now),
      Effect.suspend(() => this.isPaused ? this.#turn(ahead) : Effect.void)
    )
  }

  /** Sends a request where the second has room for it; else waits a little, and then does `again`. */
  readonly counted = <A, E>(request: Effect.Effect<A, E>, again: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    if (this.#counted.length === 0) return request
    const now = this.#now()
    const wait = this.#counted[this.#oldest]! + 1_000 - now
    // Looked at again and again: an answer that comes meanwhile makes it shorter, or begins a pause.
    return wait <= 0
      ? this.#count(request, now)
      : Effect.andThen(Effect.sleep(Math.max(1, Math.min(wait, this.#interval))), again)
  }

  #count<A, E>(request: Effect.Effect<A, E>, now: number): Effect.Effect<A, E> {
    const turn = this.#oldest
    this.#oldest = (turn + 1) % this.#counted.length
    const latest = now + slowAfter
    this.#counted[turn] = latest
    return Effect.ensuring(
      request,
      Effect.sync(() => {
        if (this.#counted[turn] === latest) this.#counted[turn] = Math.min(latest, this.#now())
      })
    )
  }

  get isPaused(): boolean {
    return this.#pause.until > this.#now()
  }

  succeeded(): void {
    this.#strikes = 0
  }

  failed(error: ExchangeError.ExchangeError): void {
    const pause = pauseAfter(error, this.#strikes)
    if (pause === null) return
    this.#strikes++
    this.#pause.until = Math.max(this.#pause.until, this.#now() + pause)
  }
}

/** Holds a place while the effect runs, at most `slowAfter` long. */
const withPlace = (places: Semaphore.Semaphore) => <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(places.take(1)), () => {
      let held = true
      const leave = Effect.suspend(() => {
        if (!held) return Effect.void
        held = false
        return Effect.asVoid(places.release(1))
      })
      const makeWay = Effect.andThen(Effect.sleep(slowAfter), Effect.andThen(leave, Effect.never))
      return Effect.ensuring(restore(Effect.raceFirst(effect, makeWay)), leave)
    })
  )

/**
 * Paces the calls: at most `concurrency` at once, started no closer than `1 / perSecond` apart but for `burst`. When the exchange has had
 * enough (429, 418, its edge filter's 403, a `Retry-After`), all calls wait, then one at a time tries until one succeeds.
 */
export const paced = Effect.fnUntraced(function*(
  rest: Rest,
  exchange: ExchangeId,
  pace: Pace
) {
  const clock = yield* Clock.Clock
  const places = yield* Semaphore.make(pace.concurrency)
  const slowPlaces = yield* Semaphore.make(pace.concurrency * slowShare)
  const probe = yield* Semaphore.make(1)
  const turns = new Turns(clock, pace)

  const late = (request: string, symbol: string | undefined): ExchangeError.ExchangeError =>
    ExchangeError.make(
      exchange,
      new ExchangeError.RequestFailed({
        ...(symbol === undefined ? {} : { symbol }),
        request,
        status: null,
        code: "timeout",
        detail: `no answer within ${Duration.toMillis(pace.timeout ?? 0)} ms`,
        class: "retryable"
      })
    )

  const timed = <A>(name: string, symbol: string | undefined, request: Effect.Effect<A, ExchangeError.ExchangeError>) =>
    pace.timeout === undefined
      ? request
      : Effect.timeoutOrElse(request, {
        duration: pace.timeout,
        orElse: () => Effect.fail(late(name, symbol))
      })

  const run = <A>(
    name: string,
    request: Effect.Effect<A, ExchangeError.ExchangeError>,
    symbol?: string,
    turn: Effect.Effect<void> = turns.next
  ): Effect.Effect<A, ExchangeError.ExchangeError> => {
    const ask = Effect.tap(timed(name, symbol, request), () => Effect.sync(() => turns.succeeded())).pipe(
      Effect.tapError((error) => Effect.sync(() => turns.failed(error)))
    )
    const unlessPaused = (again: Effect.Effect<A, ExchangeError.ExchangeError>) =>
      turns.isPaused ? Effect.andThen(turns.next, again) : turns.counted(ask, again)
    /** Behind others that try: what they found out decides whether this one may go on. */
    const behind: Effect.Effect<A, ExchangeError.ExchangeError> = Effect.suspend(() => unlessPaused(behind))
    const attempt: Effect.Effect<A, ExchangeError.ExchangeError> = Effect.suspend(() =>
      turns.isCareful ? probe.withPermits(1)(behind) : unlessPaused(attempt)
    )
    return slowPlaces.withPermits(1)(withPlace(places)(Effect.andThen(turn, attempt)))
  }
  return MarketRest.of({
    exchange,
    instruments: run("the instruments", rest.instruments),
    serverTime: run("the exchange's time", rest.serverTime),
    turnovers: rest.turnovers === undefined ? Effect.succeed(new Map()) : run("the turnovers", rest.turnovers),
    book: (symbol, channel, attempt) => run("the book", rest.book(symbol, channel, attempt), symbol, turns.nextOfBurst)
  })
})
