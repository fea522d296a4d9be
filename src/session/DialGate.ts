/**
 * Whose turn it is to dial: so many a second. Once the exchange has taken nobody for a minute, one a second asks for all the others,
 * and the first that gets in lets them go on at once: however many connections wait, the exchange is not asked more often for it.
 */
import type { Clock } from "effect"
import { Effect, Latch, Semaphore } from "effect"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeError } from "../ExchangeError.ts"

/** Most outages are over before, ms. */
const promptForMillis = 60_000

/** From one dial to the next behind that, ms. One connection alone keeps to its back-off. */
const probePause = 1_000

export interface DialGateOptions {
  readonly clock: Clock.Clock
  readonly perSecond: number
  /** How many connections there are, dialled or not. */
  readonly connections: () => number
}

export class DialGate {
  readonly #options: DialGateOptions
  readonly #turn = Semaphore.makeUnsafe(1)
  /** Open unless the latest dials have failed. */
  readonly #reached = Latch.makeUnsafe(true)
  readonly #pause: number
  /** When the latest dial began, ms of the monotonic clock: a machine's clock that is set back must hold up no dial. */
  #last = Number.NEGATIVE_INFINITY
  /** When the first of the latest dials failed, ms of the monotonic clock; null when they do not. */
  #failingSince: number | null = null

  constructor(options: DialGateOptions) {
    this.#options = options
    this.#pause = 1_000 / options.perSecond
  }

  /** Dials in its turn. */
  pass<A, R>(dial: Effect.Effect<A, ExchangeError, R>): Effect.Effect<A, ExchangeError, R> {
    return Effect.andThen(this.#await, dial).pipe(
      Effect.tap(() => Effect.sync(() => this.#taken())),
      Effect.tapError(({ reason }) =>
        Effect.sync(() => {
          if (reason._tag === "ConnectFailed") this.#failed()
        })
      )
    )
  }

  readonly #await: Effect.Effect<void> = Effect.suspend(() =>
    this.#turn.withPermits(1)(
      Effect.suspend(() => this.#until(this.#last + this.#pause)).pipe(
        Effect.andThen(Effect.suspend(() => Effect.raceFirst(this.#reached.await, this.#until(this.#probe)))),
        Effect.andThen(Effect.sync(() => {
          // Timers come up to a millisecond early.
          this.#last = Math.max(this.#now, this.#last + this.#pause)
        }))
      )
    )
  )

  get #now(): number {
    return monotonicMillis(this.#options.clock)
  }

  #until(at: number): Effect.Effect<void> {
    const wait = at - this.#now
    return wait > 0 ? Effect.sleep(wait) : Effect.void
  }

  /** When the next one may try whether the exchange is back. */
  get #probe(): number {
    const since = this.#failingSince
    const isPrompt = since === null || this.#now - since < promptForMillis
    return isPrompt || this.#options.connections() < 2 ? this.#last : this.#last + probePause
  }

  #taken(): void {
    this.#failingSince = null
    this.#reached.openUnsafe()
  }

  #failed(): void {
    this.#failingSince ??= this.#now
    this.#reached.closeUnsafe()
  }
}
