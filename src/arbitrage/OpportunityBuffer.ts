/** Holds what a monitor tells until a stream's reader takes it: every coming and going, and of changes the newest. */
import { Cause, Effect } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { OpportunityEvent } from "./OpportunityEvent.ts"

export type Pulled = Effect.Effect<NonEmptyReadonlyArray<OpportunityEvent>, Cause.Done>

export class OpportunityBuffer {
  #events: Array<OpportunityEvent> = []
  /** Where a change of a route waits that a newer one may replace. */
  readonly #updates = new Map<string, number>()
  #resume: ((pulled: Pulled) => void) | null = null
  #hasEnded = false

  push(event: OpportunityEvent): void {
    const { route } = event.opportunity
    const at = this.#updates.get(route)
    if (event._tag === "Updated" && at !== undefined) {
      this.#events[at] = event
      return
    }
    if (event._tag === "Updated") this.#updates.set(route, this.#events.length)
    else this.#updates.delete(route)
    this.#events.push(event)
    this.#wake()
  }

  /** Ends behind what is still here. */
  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  #wake(): void {
    const resume = this.#resume
    this.#resume = null
    // Not in this turn, which is the socket's: what else it brings is among what the reader takes.
    resume?.(Effect.andThen(Effect.yieldNow, this.#take))
  }

  readonly #take: Pulled = Effect.suspend(() => {
    const [first, ...rest] = this.#events
    if (first === undefined) return Cause.done()
    this.#events = []
    this.#updates.clear()
    return Effect.succeed([first, ...rest])
  })

  readonly pull: Pulled = Effect.callback((resume) => {
    if (this.#events.length > 0 || this.#hasEnded) return resume(this.#take)
    this.#resume = resume
    return Effect.sync(() => {
      this.#resume = null
    })
  })
}
