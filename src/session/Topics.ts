/**
 * Topics and who receives them. `TopicState` is what a decoded event meets first: it counts, aligns books and hands the
 * event to each route. Synchronous; what needs time or the network is asked of `TopicOwner`.
 */
import type { Kind, PublicChannel } from "../domain/Channel.ts"
import { kindOf } from "../domain/Channel.ts"
import type { Data, Gap, GapCause } from "../domain/Feed.ts"
import type { BookUpdate, MarketEvent } from "../domain/Market.ts"
import * as Sequence from "../domain/Sequence.ts"
import type { BookRecipe, Topic } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { TopicPerformance } from "../PublicWebsocket.ts"
import type { Aligned } from "./BookSequence.ts"
import { BookSequence } from "./BookSequence.ts"
import type { Counters } from "./Counters.ts"
import type { SessionJournal } from "./SessionJournal.ts"

/** Snapshots that were fetched; all other events came in the stream. */
const fetched = new WeakSet<MarketEvent>()

/** How an event reached us. */
export const originOf = (event: MarketEvent): Data<MarketEvent>["origin"] =>
  event._tag === "BookUpdate" && event.kind === "snapshot" && fetched.has(event) ? "Reconciled" : "Stream"

/** Whoever takes a topic's events. One subscriber may stand on many topics. */
export interface Subscriber {
  readonly push: (route: Route, event: MarketEvent) => void
  readonly gap: (route: Route, gap: Gap) => void
  /** The topic can never deliver again, alone or with everything else on its connection. */
  readonly fail: (route: Route, error: ExchangeError, scope: "topic" | "connection") => void
}

/** What a topic asks of its surroundings. */
export interface TopicOwner {
  readonly counters: Counters
  readonly now: () => number
  /** Fetch a snapshot, or have the exchange push one; call `snapshot` with it. */
  readonly requestSnapshot: (state: TopicState) => void
  /** Writes down what does not follow from the frames. */
  readonly journal?: SessionJournal | undefined
  /** Told of every update of a book in sync, before its subscribers. */
  readonly onAligned?: ((state: TopicState, update: BookUpdate) => void) | undefined
}

/** One subscriber on one topic. */
export class Route {
  readonly state: TopicState
  readonly subscriber: Subscriber
  /** Its own alignment while it waits for a snapshot that the others do not need; null while it follows them. */
  own: BookSequence | null = null

  constructor(state: TopicState, subscriber: Subscriber) {
    this.state = state
    this.subscriber = subscriber
  }

  /** Start again from a snapshot, alone: this subscriber lost updates. */
  resynchronise(): void {
    this.state.resynchronise(this)
  }
}

export class TopicState {
  readonly topic: Topic
  readonly channel: PublicChannel
  readonly kind: Kind
  readonly recipe: BookRecipe | null
  readonly owner: TopicOwner
  routes: ReadonlyArray<Route> = []
  received = 0
  reconciled = 0
  delivered = 0
  conflated = 0
  dropped = 0
  stale = 0
  abandoned = 0
  unrouted = 0
  gaps = 0
  /** ms; 0 before the first event. */
  lastEventAt = 0
  /** When the exchange confirmed it last, ms. */
  confirmedAt = 0
  /** Whether a break now would be one for those who are on it: it was confirmed or brought something since the last. */
  begun = false
  /** How often in a row it was subscribed anew for being silent. */
  silences = 0
  /** When a snapshot began to wait for a delta, ms; 0 when none does. */
  heldAt = 0
  /** How often in a row the exchange was asked to push a snapshot and did not. */
  missing = 0
  /** Whether its book was ever in sync. */
  everLive = false
  /** Whether a snapshot is on its way. */
  fetching = false
  /** Failed for good; only a new confirmation makes it good again. */
  failed = false
  /** Rises with every break: what was fetched before one is not joined to what follows it. */
  epoch = 0
  readonly sequence: BookSequence | null
  #draining = false

  constructor(topic: Topic, channel: PublicChannel, recipe: BookRecipe | null, owner: TopicOwner) {
    this.topic = topic
    this.channel = channel
    this.kind = kindOf(channel._tag, channel.pair)
    this.recipe = recipe
    this.owner = owner
    this.sequence = recipe === null ? null : new BookSequence(recipe, this.#main)
  }

  /** The hot path's entry: one event from the wire. */
  onEvent(event: MarketEvent): void {
    this.received++
    this.lastEventAt = event.receivedAt
    const routes = this.routes
    if (routes.length === 0) {
      this.unrouted++
      this.owner.counters.unrouted++
      return
    }
    this.begun = true
    if (this.sequence !== null) {
      this.#onBook(this.sequence, event as BookUpdate)
    } else {
      this.#deliver(routes, event)
    }
  }

  #deliver(routes: ReadonlyArray<Route>, event: MarketEvent): void {
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!
      if (route.own === null) route.subscriber.push(route, event)
      // Overflowed while a joined snapshot's deltas pass: they are part of what its next snapshot replaces.
      if (this.#draining && route.own !== null) this.#stale(1)
    }
  }

  #onBook(sequence: BookSequence, update: BookUpdate): void {
    sequence.update(update)
    const routes = this.routes
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!
      if (route.own !== null) {
        route.own.update(update)
        this.#settle(route)
      }
    }
  }

  add(subscriber: Subscriber): Route {
    const route = new Route(this, subscriber)
    this.routes = [...this.routes, route]
    // A book that already runs cannot show its past: the newcomer waits for a snapshot of its own.
    if (this.sequence?.live === true) this.resynchronise(route)
    return route
  }

  remove(route: Route): void {
    route.own?.reset()
    route.own = null
    const routes = this.routes.filter((other) => other !== route)
    // While the last one still stands here, so that what waits for a snapshot is counted as its own.
    if (routes.length === 0) {
      this.reset()
      this.begun = false
    }
    this.routes = routes
  }

  resynchronise(route: Route): void {
    if (this.recipe === null || this.sequence === null) return
    if (!this.sequence.live) return
    route.own?.reset()
    route.own = this.#makeOwn(this.recipe, route)
    this.owner.requestSnapshot(this)
  }

  /** Whether anyone waits for a snapshot. */
  get needsSnapshot(): boolean {
    if (this.sequence === null || this.routes.length === 0 || this.failed) return false
    if (!this.sequence.live && this.sequence.held === null) return true
    return this.routes.some((route) => route.own !== null && route.own.held === null)
  }

  /** A fetched snapshot. */
  snapshot(snapshot: BookUpdate): void {
    this.owner.journal?.snapshot(this.topic, snapshot)
    this.owner.counters.snapshots++
    if (this.sequence === null) return
    fetched.add(snapshot)
    this.#draining = true
    if (!this.sequence.live && this.sequence.snapshot(snapshot) === "held") this.heldAt = this.owner.now()
    this.#draining = false
    for (const route of this.routes) {
      const { own } = route
      if (own === null) continue
      own.snapshot(snapshot)
      // It overflowed in the midst of the snapshot's deltas: those behind are still with the alignment it has left.
      if (route.own !== own) own.reset()
      this.#settle(route)
    }
  }

  /** Shows a snapshot that waited for a delta although none came: the market is quiet. */
  release(): void {
    this.owner.journal?.released(this.topic)
    this.heldAt = 0
    this.#draining = true
    this.sequence?.release()
    this.#draining = false
    for (const route of this.routes) this.#settle(route)
  }

  /** The connection is gone, or the topic is to begin again: what follows is not joined to what was. */
  interrupt(cause: GapCause, detail?: { readonly lost?: number }): void {
    const gap = this.makeGap(cause, detail)
    this.owner.journal?.interrupted(this.topic, gap)
    this.reset()
    if (!this.begun) return
    this.begun = false
    for (const route of this.routes) this.emitGap(route, gap)
  }

  /** Something may be missing, and what follows goes on from what was. */
  lapse(cause: GapCause): void {
    const gap = this.makeGap(cause)
    this.owner.journal?.lapsed(this.topic, gap)
    for (const route of this.routes) this.emitGap(route, gap)
  }

  reset(): void {
    this.epoch++
    this.heldAt = 0
    this.sequence?.reset()
    for (const route of this.routes) {
      route.own?.reset()
      route.own = null
    }
  }

  fail(error: ExchangeError, scope: "topic" | "connection"): void {
    this.failed = true
    this.owner.journal?.failed(this.topic, error, scope)
    for (const route of this.routes) route.subscriber.fail(route, error, scope)
  }

  makeGap(
    cause: GapCause,
    detail?: { readonly lost?: number; readonly from?: Sequence.Sequence; readonly to?: Sequence.Sequence }
  ): Gap {
    return {
      _tag: "Gap",
      cause,
      channel: this.topic.channel,
      pair: this.topic.pair,
      symbol: this.topic.symbol,
      at: this.owner.now(),
      ...detail
    }
  }

  emitGap(route: Route, gap: Gap): void {
    this.gaps++
    this.owner.counters.gap(gap.cause)
    route.subscriber.gap(route, gap)
  }

  performance(): TopicPerformance {
    return {
      topic: this.topic.key,
      channel: this.topic.channel,
      pair: this.topic.pair,
      symbol: this.topic.symbol,
      subscribers: this.routes.length,
      received: this.received,
      reconciled: this.reconciled,
      delivered: this.delivered,
      conflated: this.conflated,
      dropped: this.dropped,
      stale: this.stale,
      abandoned: this.abandoned,
      unrouted: this.unrouted,
      gaps: this.gaps,
      lastEventAt: this.lastEventAt === 0 ? null : this.lastEventAt
    }
  }

  get #main(): Aligned {
    return {
      emit: (update) => {
        const { routes } = this
        this.everLive = true
        this.missing = 0
        this.owner.onAligned?.(this, update)
        if (update.kind === "snapshot" && fetched.has(update)) {
          for (const route of routes) if (route.own === null) this.reconciled++
          const draining = this.#draining
          this.#draining = true
          this.#deliver(routes, update)
          this.#draining = draining
        } else {
          this.#deliver(routes, update)
        }
      },
      stale: (count) => {
        // What passes behind a joined snapshot is not seen by an alignment that begins meanwhile.
        if (this.#draining || this.routes.some((route) => route.own === null)) this.#stale(count)
      },
      hole: (last, update) => this.#onHole(last, update),
      refetch: () => {
        this.heldAt = 0
        this.owner.requestSnapshot(this)
      }
    }
  }

  #makeOwn(recipe: BookRecipe, route: Route): BookSequence {
    const own: BookSequence = new BookSequence(recipe, {
      emit: (update) => {
        if (update.kind === "snapshot" && fetched.has(update)) this.reconciled++
        if (route.own === own) route.subscriber.push(route, update)
        // It overflowed again meanwhile and waits for another snapshot.
        if (route.own !== own) this.#stale(1)
      },
      stale: (count) => this.#stale(count),
      // An own alignment follows the others as soon as it is live, so a hole is theirs to report.
      hole: () => {
        route.own = null
      },
      refetch: () => this.owner.requestSnapshot(this)
    })
    return own
  }

  #stale(count: number): void {
    this.stale += count
    this.owner.counters.stale += count
  }

  #onHole(last: Sequence.Sequence, update: BookUpdate): void {
    const gap = this.makeGap("Sequence", { from: Sequence.next(last), to: update.firstVersion })
    this.owner.journal?.hole(this.topic, gap)
    for (const route of this.routes) {
      if (route.own === null) {
        this.emitGap(route, gap)
      } else {
        // It waits for a snapshot anyway; from here on for the same one as the others.
        route.own.reset()
        route.own = null
      }
    }
    this.owner.requestSnapshot(this)
  }

  /** Lets a route follow the others again once its own alignment has reached them. */
  #settle(route: Route): void {
    const own = route.own
    const main = this.sequence
    if (own === null || main === null) return
    if (own.held !== null && main.live) this.#settleHeld(own, own.held, main)
    if (own.live) route.own = null
  }

  #settleHeld(own: BookSequence, held: Sequence.Sequence, main: BookSequence): void {
    if (Sequence.equals(held, main.last)) {
      own.release()
    } else if (held < main.last) {
      // Older than what the others have, with nothing buffered between: it can never be joined.
      own.discard()
      this.owner.requestSnapshot(this)
    }
  }
}
