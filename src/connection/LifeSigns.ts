/** What the connections to one address know of each other: whether the server behind it answers, and how soon. */
import type { Clock } from "effect"
import { Effect } from "effect"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { FrameSocket } from "./FrameSocket.ts"

/** A new connection was answered for the first time. ms of the monotonic clock. */
export interface Sign {
  readonly openedAt: number
  readonly at: number
  /** From its opening to its first frame. */
  readonly after: number
}

/** A connection that was given up for its silence. */
export interface Loss {
  /** ms of the monotonic clock. */
  readonly openedAt: number
  /** It had brought something. */
  readonly heard: boolean
  /** Sooner than usual, on the word of another: it proves nothing itself. */
  readonly isHurried: boolean
}

/** From one dial to the next while the server answers nobody, ms. */
const apart = 1_000

export class LifeSigns {
  #latest: Sign | null = null
  /** The latest that came behind a loss. */
  #return: Sign | null = null
  /** A connection was given up, and no new one has been answered since. */
  #isSilent = false
  /** A connection was given up that had brought nothing, and no other one has since. */
  #isMute = false
  /** From when on the next may dial while it is, ms of the monotonic clock. */
  #turnAt = Number.NEGATIVE_INFINITY
  readonly #waiting = new Set<() => void>()

  get latest(): Sign | null {
    return this.#latest
  }

  /** The latest of a server that had been silent on a connection until that was given up. */
  get return(): Sign | null {
    return this.#return
  }

  came(sign: Sign): void {
    this.#latest = sign
    if (this.#isSilent) this.#return = sign
    this.#isSilent = false
    this.#isMute = false
    this.#turnAt = Number.NEGATIVE_INFINITY
    for (const wake of [...this.#waiting]) wake()
  }

  gaveUp({ heard, isHurried, openedAt }: Loss): void {
    if (isHurried) return
    this.#isSilent = true
    if (!heard && (this.#latest === null || this.#latest.at <= openedAt)) this.#isMute = true
  }

  /**
   * Waits for a turn to dial. While the server takes connections and answers none, dials are spread, so that one of them comes
   * soon behind its return, and that lets all others go on at once. A turn is taken when it has come: of those that wait some
   * are interrupted, and nobody waits for theirs.
   */
  readonly turn = (clock: Clock.Clock): Effect.Effect<void> =>
    Effect.suspend(() => {
      const now = monotonicMillis(clock)
      if (!this.#isMute || now >= this.#turnAt) {
        this.#turnAt = now + apart
        return Effect.void
      }
      const due = Effect.as(Effect.sleep(Math.ceil(this.#turnAt - now)), true)
      const isDue = Effect.raceFirst(due, Effect.as(this.next, false))
      return Effect.flatMap(isDue, (hasCome) => hasCome ? this.turn(clock) : Effect.void)
    })

  /** Waits for the next sign. */
  readonly next: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const wake = (): void => {
      this.#waiting.delete(wake)
      resume(Effect.void)
    }
    this.#waiting.add(wake)
    return Effect.sync(() => void this.#waiting.delete(wake))
  })
}

type Sockets = FrameSocket["Service"]

const known = new WeakMap<Sockets, Map<string, LifeSigns>>()

const hostOf = (url: string): string => URL.canParse(url) ? new URL(url).host : url

/** Of the exchange's server at that address, shared by all that dial it over the same sockets, whichever Layer they are of. */
export const at = (sockets: Sockets, exchange: string, url: string): LifeSigns => {
  const found = known.get(sockets) ?? new Map<string, LifeSigns>()
  known.set(sockets, found)
  const key = `${exchange} ${hostOf(url)}`
  const signs = found.get(key) ?? new LifeSigns()
  found.set(key, signs)
  return signs
}
