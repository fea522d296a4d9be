/** A topic, the connections that carry it, and who waits for its confirmation. */
import type { Exit } from "effect"
import { Deferred } from "effect"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Link } from "./Link.ts"
import type { Progress } from "./Progress.ts"
import type { Phase } from "./Subscriptions.ts"
import type { TopicState } from "./Topics.ts"

/** One of the connections that carry a topic. */
export interface Placement {
  readonly link: Link
  /** When to ask again for what was refused in passing, ms of the monotonic clock; 0 when not. */
  retryAt: number
  refusals: number
  /** How often in a row it was subscribed anew because only others brought something. */
  silences: number
}

export class Booking {
  readonly state: TopicState
  placements: ReadonlyArray<Placement> = []
  holders = 0
  /** It has been confirmed for its present holders. */
  live = false
  /** So many topics had the connection that refused it, perhaps for being full; 0 when none did. */
  refusedBeside = 0
  /** When to look for a connection in place of one that failed for good, ms of the monotonic clock; 0 at once. */
  replaceAt = 0
  readonly #waiters = new Set<Deferred.Deferred<void, ExchangeError>>()

  constructor(state: TopicState) {
    this.state = state
  }

  get key(): string {
    return this.state.topic.key
  }

  on(link: Link): Placement | undefined {
    return this.placements.find((placement) => placement.link === link)
  }

  phase({ link }: Placement): Phase | undefined {
    return link.subscriptions.phase(this.key)
  }

  /** Whether its data is coming in. */
  get isConfirmed(): boolean {
    const { placements } = this
    for (let i = 0; i < placements.length; i++) if (this.phase(placements[i]!) === "Confirmed") return true
    return false
  }

  get isRefused(): boolean {
    return this.placements.length > 0 && this.placements.every((placement) => this.phase(placement) === "Refused")
  }

  /** Refused where it can be asked for: waiting for connections that are not open would be waiting for the same answer. */
  get isHopeless(): boolean {
    return this.placements.every((placement) => this.phase(placement) === "Refused" || !placement.link.connected)
  }

  get standing(): Progress["standing"] {
    if (this.state.failed || this.isRefused) return "Rejected"
    return this.isConfirmed ? "Confirmed" : "Waiting"
  }

  place(link: Link): void {
    this.placements = [...this.placements, { link, retryAt: 0, refusals: 0, silences: 0 }]
    this.state.place(link.id, link.group)
    link.subscriptions.retain(this.state.topic)
    link.changed()
  }

  /** The connection carries it no more. What the exchange still has of it there is the caller's. */
  forget(link: Link): void {
    if (this.on(link) === undefined) return
    this.placements = this.placements.filter((placement) => placement.link !== link)
    this.state.unplace(link.id)
  }

  /** Forgets it and takes it off the wire. */
  withdraw(link: Link): void {
    this.forget(link)
    link.release(this.key)
  }

  wait(waiter: Deferred.Deferred<void, ExchangeError>): () => void {
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  resolve(exit: Exit.Exit<void, ExchangeError>): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const waiter of waiters) Deferred.doneUnsafe(waiter, exit)
  }
}
