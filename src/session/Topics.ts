/**
 * Topics and who receives them. `TopicState` is what a decoded event meets first: it counts, aligns books and hands the
 * event to each route. Synchronous; what needs time or the network is asked of `TopicOwner`.
 */
import type { BookChannel, Kind, PublicChannel } from "../domain/Channel.ts"
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
import { Lane } from "./Lane.ts"
import { orderOf } from "./LaneOrder.ts"
import { Merge } from "./Lanes.ts"
import type { SessionJournal } from "./SessionJournal.ts"
import type { Setting } from "./SetClock.ts"
import { corrected } from "./SetClock.ts"
import type { SilenceWatch } from "./SilenceWatch.ts"

/** So long after another connection has read on, what was on its way has come, ms. */
export const settleMillis = 2_000

/**
 * What comes so close together tells nothing of how long a topic may be silent, which is seconds: it is looked at once, ms. To
 * follow every read took 2 % of a flood of books, for the waits on what a topic has learned of itself.
 */
const togetherMillis = 10

/** Snapshots that were fetched; all other events came in the stream. */
const fetched = new WeakSet<MarketEvent>()

/** How an event reached us. */
export const originOf = (event: MarketEvent): Data<MarketEvent>["origin"] =>
  event._tag === "BookUpdate" && event.kind === "snapshot" && fetched.has(event) ? "Reconciled" : "Stream"

/** Whoever takes a topic's events. One subscriber may stand on many topics. */
export interface Subscriber {
  /** The event has been counted as delivered: what becomes of it otherwise is to be taken off that. */
  readonly push: (route: Route, event: MarketEvent) => void
  readonly gap: (route: Route, gap: Gap) => void
  /** The topic can never deliver again, alone or with everything else on its connection. */
  readonly fail: (route: Route, error: ExchangeError, scope: "topic" | "connection") => void
}

/** What a topic asks of its surroundings. */
export interface TopicOwner {
  readonly counters: Counters
  readonly now: () => number
  /** For what is waited: the machine's clock may be set meanwhile, ms. */
  readonly monotonic: () => number
  /** Fetch a snapshot, or have the exchange push one; call `snapshot` with it. */
  readonly requestSnapshot: (state: TopicState) => void
  /** Writes down what does not follow from the frames. */
  readonly journal?: SessionJournal | undefined
  /** When a break that is told of now was told of in the recorded session, ms; null when it was not. */
  readonly breakAt?: ((state: TopicState, cause: GapCause) => number | null) | undefined
  /** Told of every update of a book in sync, before its subscribers. */
  readonly onAligned?: ((state: TopicState, update: BookUpdate) => void) | undefined
}

/** Connections could not read frames that may have held events of the topic, and others are to bring those. */
interface Doubt {
  /** When the last of those frames came, ms. */
  readonly at: number
  /** Who was joined at each of them and has read all it got since. */
  readonly hopes: ReadonlyArray<Lane>
}

const isHope = ({ joined, live }: Lane): boolean => live && joined

/** One subscriber on one topic. */
export class Route {
  readonly state: TopicState
  readonly subscriber: Subscriber
  #own: BookSequence | null = null
  /** The connection whose pushed snapshot its own alignment began with; 0 before. */
  ownLane = 0

  constructor(state: TopicState, subscriber: Subscriber) {
    this.state = state
    this.subscriber = subscriber
  }

  /** Its own alignment while it waits for a snapshot that the others do not need; null while it follows them. */
  get own(): BookSequence | null {
    return this.#own
  }

  set own(own: BookSequence | null) {
    if (this.#own !== null) this.state.aside--
    if (own !== null) this.state.aside++
    this.#own = own
  }

  /** Start again from a snapshot, alone: this subscriber lost updates. */
  resynchronise(): void {
    this.state.resynchronise(this)
  }
}

/** Without a depth the exchange's deepest is meant. */
const isDeeper = (channel: BookChannel, than: BookChannel): boolean =>
  (channel.depth ?? Infinity) > (than.depth ?? Infinity)

export class TopicState {
  // What each event touches stands together, first: a topic whose fields are spread over memory costs a wait for each.
  /** Number of the connection whose events are taken as they come; 0 while several bring them, or none. */
  only = 0
  received = 0
  delivered = 0
  /** Whether a break now would be one for those who are on it: it was confirmed or brought something since the last. */
  begun = false
  /** Null where silence is normal. */
  watch: SilenceWatch | null = null
  readonly sequence: BookSequence | null
  /** How many routes have an alignment of their own; 0 tells that of a sole one without a look at it, which took 1 to 2 %. */
  aside = 0
  /** The only route, and its subscriber: to follow the list and the route to it costs a wait each. */
  private sole: Route | null = null
  private receiver: Subscriber | null = null
  /**
   * Replaced, never changed: a subscriber may come or leave where it is told, and each loop goes over the routes of its
   * beginning. An event's (`#deliver`) begins when it comes, for a book when an update is emitted; a break's (`#tell`,
   * `#onHole`, `#loseOwn`, `fail`) when it is told of. Who comes within one gets the next, and who has left meanwhile is
   * called once more, which a subscriber must not pass on.
   */
  routes: ReadonlyArray<Route> = []
  /** The routes' subscribers, side by side: a way over each route would be a wait for each, 2 % of an event for four. */
  private receivers: ReadonlyArray<Subscriber> = []
  /** ms; 0 before the first event. As -0 V8 takes it for a double from the start, and later ones are written in its place. */
  lastEventAt = -0
  /** Of the last event that `watch` was told of, ms; -∞: it is to be told of the next one. */
  private watchedAt = Number.NEGATIVE_INFINITY
  /** Of the last best prices; NaN where they had none. */
  private version = Number.NaN
  /** How often in a row the exchange was asked to push a snapshot and did not. */
  missing = 0
  /** How often in a row it was asked although deltas came. */
  headless = 0
  /** Whether its book was ever in sync. */
  everLive = false
  readonly owner: TopicOwner
  readonly topic: Topic
  /** Of all requests that share the topic the one for the deepest book: its snapshot serves the others too. */
  channel: PublicChannel
  readonly kind: Kind
  readonly recipe: BookRecipe | null
  reconciled = 0
  conflated = 0
  dropped = 0
  stale = 0
  abandoned = 0
  unrouted = 0
  duplicates = 0
  gaps = 0
  /** Makes one stream of what several connections bring; null while one does. */
  merge: Merge | null = null
  /** When the exchange confirmed it last, ms. */
  confirmedAt = 0
  /** How often in a row it was subscribed anew for being silent. */
  silences = 0
  /** When a snapshot began to wait for a delta, ms of the monotonic clock; 0 when none does. */
  heldAt = 0
  /** Of the first snapshot that waits for a delta, once another one was asked for to compare it with; null before. */
  #firstHeld: Sequence.Sequence | null = null
  /** That other one has not come yet. */
  #comparesHeld = false
  /** Whether a snapshot is on its way. */
  fetching = false
  /** Failed for good; only a new confirmation makes it good again. */
  failed = false
  /** Rises with every break: what was fetched before one is not joined to what follows it. */
  epoch = 0
  private draining = false
  /** An alignment of its own has counted what the others are given now. */
  private isAccounted = false
  /** The connections that carry the topic. */
  readonly #lanes: Array<Lane> = []
  #doubt: Doubt | null = null

  constructor(topic: Topic, channel: PublicChannel, recipe: BookRecipe | null, owner: TopicOwner) {
    this.topic = topic
    this.channel = channel
    this.kind = kindOf(channel._tag, channel.pair)
    this.recipe = recipe
    this.owner = owner
    this.sequence = recipe === null ? null : new BookSequence(recipe, this.#main)
  }

  /** Somebody asks for the same topic. */
  share(channel: PublicChannel): void {
    if (channel._tag !== "Book" || this.channel._tag !== "Book" || !isDeeper(channel, this.channel)) return
    this.channel = channel
    // A snapshot on its way holds too few levels.
    if (this.fetching) this.epoch++
  }

  /** The hot path's entry: one event from the wire. */
  onEvent(event: MarketEvent): void {
    this.received++
    if (this.watch !== null) this.watched(this.watch, event)
    this.lastEventAt = event.receivedAt
    const sole = this.sole
    if (sole === null && this.routes.length === 0) return this.#unrouted()
    this.begun = true
    if (this.sequence !== null) this.onBook(this.sequence, event as BookUpdate)
    else if (sole !== null) this.deliverTo(sole, this.receiver!, event)
    else this.deliver(event)
  }

  private watched(watch: SilenceWatch, event: MarketEvent): void {
    const { receivedAt } = event
    // The clock may have been set back.
    if (Math.abs(receivedAt - this.watchedAt) >= togetherMillis) {
      this.watchedAt = receivedAt
      watch.arrived(event)
    }
    if (event._tag === "BookTicker" && typeof event.version === "number") this.version = event.version
    else if (event._tag !== "BookUpdate") watch.keep(event)
  }

  /** What comes next does not go on from what came last. */
  #pauseWatch(): void {
    this.watch?.pause()
    this.watchedAt = Number.NEGATIVE_INFINITY
  }

  // ---- several connections ----------------------------------------------------------------------------------------

  get lanes(): ReadonlyArray<Lane> {
    return this.#lanes
  }

  laneOf(connection: number): Lane | undefined {
    return this.#lanes.find((lane) => lane.connection === connection)
  }

  /** A connection is to carry the topic: alone, or beside others. */
  place(connection: number, group: number): void {
    this.owner.journal?.lane(this.topic, connection, group, "Placed")
    const lane = new Lane(connection, group)
    this.#lanes.push(lane)
    if (this.#lanes.length === 1 && this.merge === null) {
      this.only = connection
      return
    }
    const merge = this.merge ?? this.#engage()
    if (!merge.lanes.includes(lane)) merge.add(lane)
  }

  /** What came until now by one connection alone is where the others have to come in. */
  #engage(): Merge {
    const merge: Merge = new Merge(
      orderOf(this.channel, this.recipe, {
        isKnown: (key) => merge.isKnown(key),
        lanes: () => this.#lanes,
        book: () => this.sequence
      }),
      {
        pass: (event, _lane, accounted) => this.#pass(event, accounted),
        duplicate: (_event, _lane, accounted) => this.#duplicate(accounted),
        lapse: () => this.#tell(this.makeGap("Reconnected")),
        restarted: () => this.#break(this.makeGap("Sequence")),
        shared: (lane, _behind, headStart) => this.owner.counters.shared(lane.group, headStart),
        won: (lane) => this.owner.counters.won(lane.group),
        single: (lane) => {
          this.merge = null
          this.only = lane.connection
          // What it cannot read itself is told from here on.
          this.#doubt = null
        }
      },
      this.owner.monotonic()
    )
    this.merge = merge
    this.only = 0
    for (const lane of this.#lanes) merge.add(lane)
    const [first] = this.#lanes
    if (first?.live === true) {
      first.lastEventAt = this.lastEventAt
      merge.join(first)
    }
    return merge
  }

  /** The exchange has confirmed the topic on this connection. */
  confirmed(connection: number, at: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined) return
    this.owner.journal?.lane(this.topic, connection, lane.group, "Live", at)
    const isFirst = !this.#lanes.some(({ joined, live }) => joined || live)
    // Nobody may have been subscribed meanwhile.
    this.#pauseWatch()
    lane.live = true
    lane.confirmedAt = at
    if (isFirst) this.merge?.join(lane)
  }

  /**
   * The connection is lost, or the topic is off its wire. Returns whether the others bring everything; if not, the stream
   * has to be interrupted. `heardAt`: when anything was read from the connection last, ms.
   */
  lost(connection: number, heardAt: number): boolean {
    const lane = this.laneOf(connection)
    if (lane === undefined) return true
    this.owner.journal?.lane(this.topic, connection, lane.group, "Lost")
    this.#loseOwn(connection)
    if (this.merge === null) {
      lane.live = false
      return false
    }
    // Events may have come before the exchange has answered.
    const hasCarried = lane.live || lane.joined
    const isCovered = this.merge.lose(lane) || (!hasCarried && this.#lanes.some(({ live }) => live))
    // A break that is declared now tells of it as well.
    if (isCovered) this.#resolveDoubt((hope) => hope === lane ? heardAt : 0)
    return isCovered
  }

  /** The connection carries the topic no more. To be called behind `lost`, or when the others have taken over. */
  unplace(connection: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined) return
    this.owner.journal?.lane(this.topic, connection, lane.group, "Gone")
    this.#loseOwn(connection)
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
    if (this.merge === null) this.only = this.#lanes[0]?.connection ?? 0
    else this.merge.remove(lane)
    if (this.#lanes.length === 0) {
      this.merge?.clear()
      this.merge = null
      this.only = 0
    }
  }

  /** Whether the connection brings the stream on without the others. */
  isJoined(connection: number): boolean {
    const lane = this.laneOf(connection)
    if (lane === undefined || !lane.live) return false
    return this.routes.length === 0 || this.merge === null || (lane.joined && !this.merge.isKeyless)
  }

  /**
   * Joins what nothing has come to join by, and takes at its word what has waited too long. A lane without news is joined
   * once another was read on long enough after it was confirmed for all that was on its way then. `heardAt`: when anything
   * was read from a connection last, ms. `at`: ms of the monotonic clock.
   */
  watchLanes(at: number, heardAt: (connection: number) => number): void {
    const { merge } = this
    if (merge === null) return
    this.#resolveDoubt((lane) => heardAt(lane.connection))
    for (const lane of this.#lanes) if (this.#isSettled(lane, heardAt)) this.join(lane.connection)
    for (const lane of merge.overdue(at)) this.force(lane.connection)
  }

  /** Nothing can have come between what was delivered and what this connection brings. */
  join(connection: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined) return
    this.owner.journal?.lane(this.topic, connection, lane.group, "Joined")
    this.merge?.join(lane)
  }

  /** What this connection brings has waited too long for another to fill what is missing before it. */
  force(connection: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined) return
    this.owner.journal?.lane(this.topic, connection, lane.group, "Expired")
    this.merge?.force(lane)
  }

  #isSettled(lane: Lane, heardAt: (connection: number) => number): boolean {
    if (!lane.live || lane.joined || lane.lapsed || lane.held.length > 0) return false
    const since = lane.confirmedAt + settleMillis
    return this.#lanes.some((other) => other.live && other.joined && heardAt(other.connection) >= since)
  }

  /** Goes over to this connection although nothing joins it to what was delivered. */
  promote(connection: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined || this.merge === null) return
    this.owner.journal?.lane(this.topic, connection, lane.group, "Promoted")
    if (this.sequence === null) this.#tell(this.makeGap("Rotated"))
    else this.#break(this.makeGap("Rotated"))
    this.merge.takeOver(lane)
    if (this.needsSnapshot) this.owner.requestSnapshot(this)
  }

  /**
   * A frame on this connection could not be read, and may have held events of this topic. It is told of once nobody is left
   * who may bring them: what one cannot read, others with the same frame cannot read either. `at`: ms.
   */
  unreadable(connection: number, at: number): void {
    const lane = this.laneOf(connection)
    if (lane === undefined) return
    const isCovered = this.merge?.covers(lane) === true
    const hopes = isCovered
      ? (this.#doubt?.hopes ?? this.#lanes).filter((other) => other !== lane && isHope(other))
      : []
    if (hopes.length === 0) this.lapse("Unreadable")
    else this.#doubt = { at, hopes }
  }

  /** The machine's clock was set: what was stamped before is compared with what comes now. */
  clockSet(setting: Setting): void {
    this.lastEventAt = corrected(setting, this.lastEventAt)
    this.confirmedAt = corrected(setting, this.confirmedAt)
    for (const lane of this.#lanes) lane.clockSet(setting)
    this.watch?.clockSet(setting)
    this.watchedAt = Number.NEGATIVE_INFINITY
    if (this.#doubt !== null) this.#doubt = { ...this.#doubt, at: corrected(setting, this.#doubt.at) }
  }

  /** Ends the doubt when someone has had the time to bring what others could not read, or nobody is left to. */
  #resolveDoubt(heardAt: (lane: Lane) => number): void {
    const doubt = this.#doubt
    if (doubt === null) return
    if (doubt.hopes.some((lane) => heardAt(lane) >= doubt.at + settleMillis)) {
      this.#doubt = null
      return
    }
    const hopes = doubt.hopes.filter(isHope)
    if (hopes.length === 0) this.lapse("Unreadable")
    else this.#doubt = { ...doubt, hopes }
  }

  /** An event of a topic that several connections bring. */
  onLane(connection: number, event: MarketEvent): void {
    this.received++
    if (this.watch !== null) this.watched(this.watch, event)
    this.lastEventAt = event.receivedAt
    const { merge, routes } = this
    if (routes.length === 0) return this.#unrouted()
    const lane = merge?.find(connection)
    if (merge === null || lane === undefined) return this.#duplicate(false)
    this.begun = true
    const accounted = this.#onOwn(connection, event)
    merge.event(lane, event, accounted)
    if (this.recipe?.snapshot === "InStream") { for (const route of this.routes) this.settle(route) }
  }

  #unrouted(): void {
    this.unrouted++
    this.owner.counters.unrouted++
  }

  #duplicate(accounted: boolean): void {
    if (accounted) return
    this.duplicates++
    this.owner.counters.duplicates++
  }

  /** The next event of the one stream. */
  #pass(event: MarketEvent, accounted: boolean): void {
    this.begun = true
    if (this.sequence === null) return this.deliver(event)
    const isInStream = this.recipe?.snapshot === "InStream"
    // Nobody follows the others, and whoever is aligned by itself follows another connection or waits for a snapshot.
    const isForNobody = isInStream && this.allOwn()
    if (isForNobody && !accounted) this.#stale(1)
    // Held since an alignment of its own had it, and shown to others now.
    if (accounted && !isForNobody) this.reconciled++
    this.isAccounted = isForNobody
    this.sequence.update(event as BookUpdate)
    this.isAccounted = false
    if (!isInStream) this.updateOwn(event as BookUpdate)
  }

  private allOwn(): boolean {
    return this.routes.every(({ own }) => own !== null)
  }

  /**
   * Where snapshots are pushed, an alignment of its own begins with that of one connection and follows it until it meets
   * the others. Returns whether the event is accounted for by that.
   */
  #onOwn(connection: number, event: MarketEvent): boolean {
    if (this.recipe?.snapshot !== "InStream") return false
    const update = event as BookUpdate
    let accounted = false
    for (const route of this.routes) {
      const { own } = route
      if (own === null) continue
      if (route.ownLane === 0 && update.kind === "snapshot") route.ownLane = connection
      if (route.ownLane !== connection) continue
      accounted = this.allOwn()
      own.update(update)
    }
    return accounted
  }

  /** The connection that an alignment of its own follows is lost: it needs another snapshot. */
  #loseOwn(connection: number): void {
    for (const route of this.routes) {
      if (route.own === null || route.ownLane !== connection) continue
      this.#restartOwn(route, route.own, "Reconnected")
    }
  }

  #restartOwn(route: Route, own: BookSequence, cause: GapCause): void {
    own.reset()
    route.ownLane = 0
    this.emitGap(route, this.makeGap(cause))
    this.owner.requestSnapshot(this)
  }

  // ---- delivering ---------------------------------------------------------------------------------------------------

  private deliverTo(route: Route, subscriber: Subscriber, event: MarketEvent): void {
    this.delivered++
    this.owner.counters.delivered++
    subscriber.push(route, event)
  }

  /** To all routes of a topic that is no book. */
  private deliver(event: MarketEvent): void {
    const { receivers, routes } = this
    for (let i = 0; i < routes.length; i++) this.deliverTo(routes[i]!, receivers[i]!, event)
  }

  /** To all routes of an aligned book. */
  private deliverBook(update: BookUpdate): void {
    const { routes, sole } = this
    if (sole !== null && this.aside === 0) this.deliverTo(sole, this.receiver!, update)
    else for (let i = 0; i < routes.length; i++) this.#deliverOwn(routes[i]!, update)
  }

  #deliverOwn(route: Route, update: BookUpdate): void {
    if (route.own === null) this.deliverTo(route, route.subscriber, update)
    // Overflowed while a joined snapshot's deltas pass: they are part of what its next snapshot replaces.
    if (route.own !== null && this.draining) this.#stale(1)
  }

  private onBook(sequence: BookSequence, update: BookUpdate): void {
    // An update that simply goes on need not be followed to what the alignment would tell, which is another object.
    if (sequence.follow(update)) this.aligned(update)
    else sequence.update(update)
    this.updateOwn(update)
  }

  /** The next update of a book in sync. */
  private aligned(update: BookUpdate): void {
    this.everLive = true
    this.missing = 0
    this.headless = 0
    this.owner.onAligned?.(this, update)
    if (update.kind === "snapshot" && fetched.has(update)) this.#joined(update)
    else this.deliverBook(update)
  }

  /** A fetched snapshot, and not one of the stream. */
  #joined(snapshot: BookUpdate): void {
    for (const route of this.routes) if (route.own === null) this.reconciled++
    const draining = this.draining
    this.draining = true
    this.deliverBook(snapshot)
    this.draining = draining
  }

  private updateOwn(update: BookUpdate): void {
    if (this.aside === 0) return
    const routes = this.routes
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!
      if (route.own !== null) {
        route.own.update(update)
        this.settle(route)
      }
    }
  }

  add(subscriber: Subscriber): Route {
    const route = new Route(this, subscriber)
    this.#setRoutes([...this.routes, route])
    // A book that already runs cannot show its past: the newcomer waits for a snapshot of its own.
    if (this.sequence?.live === true) this.resynchronise(route)
    return route
  }

  remove(route: Route): void {
    this.#dropOwn(route)
    const routes = this.routes.filter((other) => other !== route)
    // While the last one still stands here, so that what waits for a snapshot is counted as its own.
    if (routes.length === 0) {
      this.reset()
      this.#abandonHeld()
      this.begun = false
    }
    this.#setRoutes(routes)
  }

  #setRoutes(routes: ReadonlyArray<Route>): void {
    this.routes = routes
    this.receivers = routes.map(({ subscriber }) => subscriber)
    this.sole = routes.length === 1 ? routes[0]! : null
    this.receiver = this.sole?.subscriber ?? null
  }

  #dropOwn(route: Route): void {
    route.own?.reset()
    route.own = null
    route.ownLane = 0
  }

  /** What waited for another connection, and for nobody now. */
  #abandonHeld(): void {
    const count = this.merge?.clear() ?? 0
    this.abandoned += count
    this.owner.counters.abandoned += count
  }

  resynchronise(route: Route): void {
    if (this.recipe === null || this.sequence === null) return
    if (!this.sequence.live) return
    this.#dropOwn(route)
    route.own = this.#makeOwn(this.recipe, route)
    this.owner.requestSnapshot(this)
  }

  /** Whether anyone waits for a snapshot. */
  get needsSnapshot(): boolean {
    if (this.sequence === null || this.routes.length === 0 || this.failed) return false
    if (!this.sequence.live && (this.sequence.held === null || this.#comparesHeld)) return true
    return this.routes.some(({ own }) => own !== null && !own.live && own.held === null)
  }

  /** A fetched snapshot. */
  snapshot(snapshot: BookUpdate): void {
    this.owner.journal?.snapshot(this.topic, snapshot)
    this.owner.counters.snapshots++
    this.#comparesHeld = false
    if (this.sequence === null) return
    fetched.add(snapshot)
    this.draining = true
    const before = this.sequence.held
    // What waits already goes on to wait.
    if (!this.sequence.live && this.sequence.snapshot(snapshot) === "held" && this.sequence.held !== before) {
      this.heldAt = this.owner.monotonic()
    }
    this.draining = false
    for (const route of this.routes) {
      const { own } = route
      if (own === null) continue
      own.snapshot(snapshot)
      // It overflowed in the midst of the snapshot's deltas: those behind are still with the alignment it has left.
      if (route.own !== own) own.reset()
      this.settle(route)
    }
  }

  /** Whether the snapshot that waits for a delta tells of changes that a silent stream has not brought: it is dead, not quiet. */
  get isDead(): boolean {
    const held = this.sequence?.held ?? null
    return held !== null && this.watch?.hasMissed(held) === true
  }

  /**
   * Whether the exchange has gone on without a delta behind the snapshot that waits for one; null while another snapshot, by which that
   * shows, has not come.
   */
  hasGoneOn(): boolean | null {
    const held = this.sequence?.held ?? null
    if (this.#firstHeld === null) {
      this.#firstHeld = held
      this.#comparesHeld = true
      this.owner.requestSnapshot(this)
    }
    return this.#comparesHeld || held === null ? null : held > this.#firstHeld!
  }

  /** Shows a snapshot that waited for a delta although none came: the market is quiet. */
  release(): void {
    this.owner.journal?.released(this.topic)
    this.heldAt = 0
    this.#firstHeld = null
    this.draining = true
    this.sequence?.release()
    this.draining = false
    for (const route of this.routes) this.settle(route)
  }

  /** The connection is gone, or the topic is to begin again: what follows is not joined to what was. */
  interrupt(cause: GapCause, detail?: { readonly lost?: number }): void {
    const gap = this.makeGap(cause, detail)
    this.owner.journal?.interrupted(this.topic, gap)
    this.#pauseWatch()
    this.#break(gap)
    if (this.merge === null) return
    this.merge.restart()
    if (this.needsSnapshot) this.owner.requestSnapshot(this)
  }

  #break(gap: Gap): void {
    this.reset()
    if (!this.begun) return
    this.begun = false
    this.#tell(gap)
  }

  /** Nothing came for too long, and it is subscribed anew. */
  silent(): void {
    this.silences++
    this.owner.counters.silences++
    this.watch?.alarmed(this.lastEventAt, this.version, this.sequence?.live === true ? this.sequence.last : null)
    this.interrupt("Silent")
  }

  /** Something may be missing, and what follows goes on from what was. */
  lapse(cause: GapCause): void {
    const gap = this.makeGap(cause)
    this.owner.journal?.lapsed(this.topic, gap)
    this.#tell(gap)
  }

  #tell(gap: Gap): void {
    this.#doubt = null
    for (const route of this.routes) this.emitGap(route, gap)
  }

  reset(): void {
    this.epoch++
    this.heldAt = 0
    this.#firstHeld = null
    this.#comparesHeld = false
    this.sequence?.reset()
    for (const route of this.routes) this.#dropOwn(route)
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
    const { channel, pair, symbol } = this.topic
    const at = this.owner.breakAt?.(this, cause) ?? this.owner.now()
    this.owner.journal?.broke(this.topic, cause, at)
    return { _tag: "Gap", cause, channel, pair, symbol, at, ...detail }
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
      duplicates: this.duplicates,
      gaps: this.gaps,
      lastEventAt: this.lastEventAt === 0 ? null : this.lastEventAt
    }
  }

  get #main(): Aligned {
    return {
      emit: (update) => this.aligned(update),
      stale: (count) => {
        if (this.isAccounted) return
        // What passes behind a joined snapshot is not seen by an alignment that begins meanwhile, and without routes the
        // last one has left within this update.
        const { routes } = this
        if (this.draining || routes.length === 0 || routes.some(({ own }) => own === null)) this.#stale(count)
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
        if (route.own === own) this.deliverTo(route, route.subscriber, update)
        // It overflowed again meanwhile and waits for another snapshot.
        if (route.own !== own) this.#stale(1)
      },
      stale: (count) => this.#stale(count),
      // An own alignment follows the others as soon as it is live, so a hole is theirs to report.
      hole: () => {
        if (route.ownLane === 0) route.own = null
        // It follows one connection and has not met the others yet.
        else this.#restartOwn(route, own, "Sequence")
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
    for (const route of this.routes) {
      if (route.own === null) this.emitGap(route, gap)
      // It waits for a snapshot anyway; from here on for the same one as the others.
      else if (route.ownLane === 0) this.#dropOwn(route)
    }
    this.owner.requestSnapshot(this)
  }

  /** Lets a route follow the others again once its own alignment has reached them. */
  private settle(route: Route): void {
    const own = route.own
    const main = this.sequence
    if (own === null || main === null) return
    if (own.held !== null && main.live) this.#settleHeld(own, own.held, main)
    if (own.live && (route.ownLane === 0 || (main.live && Sequence.equals(own.last, main.last)))) {
      route.own = null
      route.ownLane = 0
    }
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
