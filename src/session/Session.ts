/**
 * Topics over connections: reference-counted subscriptions, spread over as many sockets as the exchange's limits ask,
 * confirmed with a deadline, joined to snapshots, watched for silence.
 */
import { Cause, Clock, Deferred, Duration, Effect, Exit, FiberSet, Random } from "effect"
import type { Scope, Stream } from "effect"
import type { Dial } from "../connection/Connection.ts"
import type { Recorder } from "../connection/Journal.ts"
import type * as Reconnect from "../connection/Reconnect.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter, Refusal, Topic } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"
import type { Performance, SocketPerformance } from "../PublicWebsocket.ts"
import type { Placement } from "./Booking.ts"
import { Booking } from "./Booking.ts"
import type { Continuity } from "./Continuity.ts"
import { Counters } from "./Counters.ts"
import { DialGate } from "./DialGate.ts"
import * as InstrumentLookup from "./InstrumentLookup.ts"
import type { LinkListener } from "./Link.ts"
import { Link } from "./Link.ts"
import * as Liquidity from "./Liquidity.ts"
import * as Progress from "./Progress.ts"
import * as Rotation from "./Rotation.ts"
import { SessionJournal } from "./SessionJournal.ts"
import * as SessionMetrics from "./SessionMetrics.ts"
import type { Setting } from "./SetClock.ts"
import { SetClock } from "./SetClock.ts"
import * as Sharding from "./Sharding.ts"
import { policiesOf, SilenceWatch, Wakefulness } from "./SilenceWatch.ts"
import * as Snapshots from "./Snapshots.ts"
import * as StatusBoard from "./StatusBoard.ts"
import { Wakeups } from "./Subscriber.ts"
import * as TopicErrors from "./TopicErrors.ts"
import type { Subscriber, TopicOwner } from "./Topics.ts"
import { TopicState } from "./Topics.ts"

export interface SessionOptions {
  readonly adapter: ExchangeAdapter
  /** `group`: which of the redundant connections, from 0. */
  readonly dial: (link: number, group: number) => Dial
  /** Waits until a connection may be dialled as far as the server's silence goes; the exchange's limit comes behind it. */
  readonly turn: (group: number) => Effect.Effect<void>
  /** Every topic is carried by so many connections. */
  readonly connections: number
  /** A connection is replaced at this age; null: never. */
  readonly rotateAfter: Duration.Input | null
  readonly rest: MarketRest["Service"]
  readonly reconnect: Reconnect.ReconnectPolicy
  /** How long the exchange has to answer a request. */
  readonly answerTimeout: Duration.Input
  /** How long a confirmed topic may be silent; null: for ever. The adapter's own where left out. */
  readonly silence: ExchangeAdapter["silence"]
  /** A connection without topics is closed after this. */
  readonly idleTimeout: Duration.Input
  /** Where the session writes what it meets and decides; `dial` and `rest` write there themselves. */
  readonly journal?: Recorder | undefined
}

/** What carries subscriptions: sockets, or a script in tests. */
export interface Session {
  readonly adapter: ExchangeAdapter
  readonly counters: Counters
  readonly wakeups: Wakeups
  /** The pairs in the order in which to subscribe so many topics of each: the most liquid first when it matters. */
  readonly ordered: (pairs: ReadonlyArray<TradingPair>, topicsEach: number) => Effect.Effect<ReadonlyArray<TradingPair>>
  /**
   * Subscribes a topic and returns once the exchange has confirmed it. `prepare` runs before anything is sent, so that
   * whoever it puts on the topic misses nothing; what it returns runs at the end. The scope owns the subscription.
   */
  readonly acquire: (
    channel: PublicChannel,
    prepare: (held: Held) => () => void
  ) => Effect.Effect<Held, ExchangeError, Scope.Scope>
  /** See `PublicWebsocket.reportMissed`. */
  readonly missed: (channel: PublicChannel) => boolean
  readonly isConnected: Effect.Effect<boolean>
  readonly status: Stream.Stream<ConnectionStatus>
  readonly onStatus: (listener: (status: ConnectionStatus) => void) => () => void
  readonly performance: Effect.Effect<Performance>
}

/** A subscribed topic. */
export interface Held {
  readonly topic: Topic
  /** Puts one more subscriber on it; returns how to take it off. */
  readonly add: (subscriber: Subscriber) => () => void
  /** Whether it can bring nothing any more: it was refused for good, or its connection failed for good. */
  readonly failed: () => boolean
}

/** How often deadlines, silence and idle connections are looked at. */
const houseInterval = 250

/** A fetched snapshot that no delta has met is shown after this long without one: the market is quiet. */
const quietAfter = 1_000

/** On a connection that has brought nothing yet it is compared with another one behind so long, ms. */
const compareAfter = 500

/** How long a stream with snapshots of its own may take to push the first, and how often it is asked. */
const snapshotDeadline = 5_000
const snapshotTries = 3
/** The same once deltas come without it. */
const headlessDeadline = 500

/** Finished topics whose counts stay readable. */
const retiredLimit = 4096

const longestSilence = 10 * 60_000

const refusalBackoff = (count: number): number => Math.min(30_000, 1_000 * 2 ** Math.min(count, 5))

/** Frames that cannot be read are counted one by one and logged together: the first at once, then every ten seconds. */
const complaintInterval = 10_000

const complaints = (adapter: ExchangeAdapter, counters: Counters): (at: number) => Effect.Effect<void> => {
  let told = 0
  let toldAt = Number.NEGATIVE_INFINITY
  return (at) => {
    const count = counters.decodeFailures - told
    if (count === 0 || at - toldAt < complaintInterval) return Effect.void
    told = counters.decodeFailures
    toldAt = at
    return Effect.logWarning(`[${adapter.id}] ${count} frames could not be read, the last: ${counters.lastFailure}`)
  }
}

/** The share of the age at which a connection is replaced by which it may be earlier, so that not all are at once. */
const rotationJitter = 0.1

/** Before a connection that failed for good is replaced where another carries the topic, ms. */
const replaceAfter = 30_000

export const make = Effect.fnUntraced(
  function*(options: SessionOptions): Effect.fn.Return<Session, never, Scope.Scope> {
    const { adapter, rest } = options
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const counters = new Counters()
    const bookings = new Map<string, Booking>()
    const metrics = yield* SessionMetrics.make(adapter.id, counters)
    // Both before the fibers, so that they run behind the end of the connections.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => metrics.flush({ links, bookings, lanes: options.connections, now: now() }))
    )
    const board = yield* StatusBoard.make((error) => {
      counters.handlerFailures++
      fork(Effect.logError(`[${adapter.id}] a status handler failed`, error))
    })
    const fork = yield* FiberSet.makeRuntime<never>()
    const wakeups = new Wakeups()
    /** Base units in a contract until the instrument is known. */
    const spotSize = adapter.kind === "spot" ? 1 : null
    const instruments = InstrumentLookup.make(adapter, rest)
    let isReleased = false
    /** Topics without a booking that a codec may know. */
    const strangers = new Map<string, Topic>()
    const links: Array<Link> = []
    /** The links that are not about to close. */
    const closers = new Map<Link, () => void>()
    const answerTimeout = Duration.toMillis(options.answerTimeout)
    const idleTimeout = Duration.toMillis(options.idleTimeout)
    const rotateAfter = options.rotateAfter === null ? null : Duration.toMillis(options.rotateAfter)
    const silence = policiesOf(options.silence)
    const awake = new Wakefulness(houseInterval, clock.currentTimeMillisUnsafe())
    const dialGate = new DialGate({
      clock,
      perSecond: adapter.limits.dialsPerSecond,
      connections: () => links.length
    })
    let nextLink = 1

    const now = (): number => clock.currentTimeMillisUnsafe()

    /** For what is waited: the machine's clock may be set meanwhile. */
    const monotonic = (): number => monotonicMillis(clock)
    const setClock = new SetClock(now(), monotonic())

    const bookingOf = (topic: Topic): Booking | undefined => bookings.get(topic.key)

    const resolve = (booking: Booking, exit: Exit.Exit<void, ExchangeError>): void => {
      if (Exit.isSuccess(exit)) journal?.confirmed(booking.state.topic)
      else journal?.refused(booking.state.topic, Cause.squash(exit.cause) as ExchangeError)
      booking.resolve(exit)
    }

    const isConfirmed = (state: TopicState): boolean => bookingOf(state.topic)?.isConfirmed === true

    /** Of topics that are refused nothing will come. */
    const awaitsMore = (): boolean => {
      for (const booking of bookings.values()) {
        const { holders, isConfirmed, isRefused, state } = booking
        if (holders > 0 && state.recipe?.snapshot === "Fetch" && !state.failed && !isConfirmed && !isRefused) {
          return true
        }
      }
      return false
    }

    const liquidity = Liquidity.make(adapter, rest)
    const capacity = new Sharding.Capacity(adapter.limits.topicsPerConnection)
    const fetchSnapshot = Snapshots.make({
      adapter,
      rest,
      counters,
      wakeups,
      isConfirmed,
      awaitsMore,
      monotonic,
      turnoverOf: liquidity.turnoverOf,
      fork
    })

    const journal =
      options.journal?.begin(adapter.id, {}, { events: () => counters.events, turns: () => wakeups.turns }) === true
        ? new SessionJournal(options.journal)
        : undefined

    const publish = (status: ConnectionStatus): void => {
      journal?.status(status)
      board.publish(status)
    }

    /** Subscribes a topic anew on one of its connections, each time it was in vain on the next. */
    const renewOne = (booking: Booking): void => {
      const confirmed = booking.placements.filter(({ link }) => link.subscriptions.phase(booking.key) === "Confirmed")
      const { length } = confirmed
      if (length > 0) renew(booking, confirmed[booking.state.missing % length]!.link)
    }

    const renew = (booking: Booking, link: Link): void => {
      if (link.subscriptions.renew(booking.key)) link.changed()
    }

    const owner: TopicOwner = {
      journal,
      counters,
      now,
      monotonic,
      requestSnapshot: (state) => {
        const booking = bookingOf(state.topic)
        if (booking === undefined || !booking.isConfirmed) return
        if (state.recipe?.snapshot === "Fetch") return fetchSnapshot(state)
        // The exchange pushes a snapshot at the start of a subscription.
        if (state.recipe?.snapshot === "InStream") renewOne(booking)
      }
    }

    const confirmed = (booking: Booking, placement: Placement): void => {
      const { state } = booking
      const at = now()
      state.confirmed(placement.link.id, at)
      state.confirmedAt = at
      if (state.silences === 0 && placement.silences === 0) placement.link.readyAt = at
      state.begun = true
      state.failed = false
      booking.live = true
      placement.refusals = 0
      placement.retryAt = 0
      learn(booking, placement.link)
      resolve(booking, Exit.void)
      if (state.recipe?.snapshot === "Fetch" && state.needsSnapshot) owner.requestSnapshot(state)
    }

    const refused = (booking: Booking, placement: Placement, error: ExchangeError): void => {
      placement.retryAt = monotonic() + (error.isTransient ? refusalBackoff(placement.refusals++) : replaceAfter)
      // Another connection has it, or may still take it.
      if (!booking.isHopeless) return
      resolve(booking, Exit.fail(error))
      if (error.isTransient) {
        // Also who was not concerned by the renewal: nothing comes until the exchange takes it again.
        if (booking.live) booking.state.interrupt("Reconnected")
        return
      }
      placement.retryAt = 0
      if (!booking.live) return
      fork(Effect.logWarning(error.message))
      booking.state.fail(error, "topic")
      wakeups.flush()
    }

    /** What the topic missed on this connection is missing, unless another brings it. */
    const lost = (booking: Booking, link: Link): void => {
      const { state } = booking
      if (state.lost(link.id, link.heardAt)) return
      state.watch?.lost()
      state.interrupt("Reconnected")
    }

    /** What a connection tells of a topic that it carries. */
    const placed = (topic: Topic, link: Link, use: (booking: Booking, placement: Placement) => void): void => {
      const booking = bookingOf(topic)
      const placement = booking?.on(link)
      if (booking !== undefined && placement !== undefined) use(booking, placement)
    }

    const listener: LinkListener = {
      onStatus: publish,
      onConfirmed: (topic, link) => placed(topic, link, confirmed),
      onRefused: (topic, refusal, link) =>
        placed(topic, link, (booking, placement) => {
          if (moved(booking, refusal, link)) return
          const error = TopicErrors.refused(adapter, booking.state, refusal)
          counters.error(error.reason._tag)
          refused(booking, placement, error)
        }),
      onTimeout: (topic, link) =>
        placed(topic, link, (booking) => {
          const error = TopicErrors.timedOut(adapter, booking.state, answerTimeout)
          counters.error(error.reason._tag)
          if (booking.isConfirmed) return
          resolve(booking, Exit.fail(error))
          if (booking.live) booking.state.interrupt("Reconnected")
        }),
      onRestarted: (topic, link) =>
        placed(topic, link, ({ state }) => {
          if (state.lost(link.id, link.heardAt)) return
          // A book with snapshots of its own begins with one: nothing is missed that it would not bring.
          if (state.recipe === null || state.recipe.snapshot === "Fetch") state.interrupt("Reconnected")
        }),
      onUnreadable: (topics, link) => {
        for (const topic of topics) bookingOf(topic)?.state.unreadable(link.id, now())
      },
      onInterrupted: (topics, link) => {
        for (const topic of topics) placed(topic, link, (booking) => lost(booking, link))
        if (link.leaving) rotation.ended(link)
        wakeups.flush()
      },
      onClosing: (link, detail) => {
        if (link.leaving) return
        fork(Effect.logInfo(`[${adapter.id}] connection ${link.id} is replaced: ${detail}`))
        rotation.begin(link)
      }
    }

    /** One object for each key, for good: codecs keep what they were given, also for topics nobody has asked for yet. */
    const topicOf = (key: string, channel: Topic["channel"], symbol: string): Topic => {
      const known = bookings.get(key)?.state.topic ?? strangers.get(key)
      if (known !== undefined) return known
      const topic: Topic = { key, channel, symbol, pair: null, contractSize: spotSize, slot: null }
      strangers.set(key, topic)
      return topic
    }

    const openLink = (group: number): Link => {
      const id = nextLink++
      const link = new Link({
        id,
        group,
        adapter,
        dial: options.dial(id, group),
        turn: options.turn(group),
        policy: options.reconnect,
        clock,
        counters,
        wakeups,
        codecContext: { topicOf, instrumentOf: instruments.instrumentOf },
        listener,
        dialGate
      })
      link.lifetime = rotateAfter === null ? null : rotateAfter * (1 - rotationJitter * random.nextDoubleUnsafe())
      links.push(link)
      // Not before the link is booked: a dial may fail for good in its very first step.
      const fiber = fork(
        Effect.andThen(Effect.yieldNow, link.run).pipe(
          Effect.catch((error) => Effect.sync(() => linkFailed(link, error))),
          // A defect must not leave the topics waiting for data that cannot come.
          Effect.catchDefect((defect) =>
            Effect.andThen(
              Effect.logError(`[${adapter.id}] connection ${link.id} died of a defect`, defect),
              Effect.sync(() => linkFailed(link, TopicErrors.defect(adapter, defect)))
            )
          ),
          Effect.ensuring(Effect.sync(() => linkClosed(link)))
        )
      )
      closers.set(link, () => fiber.interruptUnsafe())
      return link
    }

    const linkClosed = (link: Link): void => {
      const index = links.indexOf(link)
      if (index >= 0) links.splice(index, 1)
      closers.delete(link)
      // Else each would keep the one before it for as long as the session lives.
      for (const heir of links) if (heir.replaces === link) heir.replaces = null
      publish({ _tag: "Closed", exchange: adapter.id, connection: link.id, at: now() })
    }

    const close = (link: Link): void => {
      const end = closers.get(link)
      closers.delete(link)
      end?.()
    }

    /** A permanent error: everything that only this link carries ends with its reason. */
    const linkFailed = (link: Link, error: ExchangeError): void => {
      // First: who asks again at once must not be put on it.
      closers.delete(link)
      for (const booking of bookings.values()) {
        if (booking.on(link) === undefined) continue
        booking.forget(link)
        booking.replaceAt = monotonic() + replaceAfter
        if (booking.placements.length > 0) continue
        resolve(booking, Exit.fail(error))
        booking.state.fail(error, "connection")
      }
      wakeups.flush()
    }

    const shards = (group: number): ReadonlyArray<Link> =>
      [...closers.keys()].filter((link) => link.group === group && !link.leaving)

    const linkFor = (group: number): Link => Sharding.choose(shards(group), capacity.limit) ?? openLink(group)

    const rotation = Rotation.make({
      now,
      monotonic,
      bookingOf: (key) => bookings.get(key),
      replace: (link) => {
        const heir = openLink(link.group)
        heir.replaces = link
        return heir
      },
      linkFor,
      isOpen: (link) => closers.has(link),
      close
    })

    /** A topic is confirmed: what that tells of the exchange's limit of topics on a connection. */
    const learn = (booking: Booking, link: Link): void => {
      capacity.carries(link.subscriptions.confirmed)
      if (booking.refusedBeside === 0) return
      if (capacity.wasFull(booking.refusedBeside)) {
        fork(Effect.logWarning(
          `[${adapter.id}] takes ${capacity.limit} topics on a connection, fewer than documented; more connections are opened`
        ))
      }
      booking.refusedBeside = 0
    }

    /**
     * Puts a topic that was refused, perhaps for want of room, on a connection with fewer. What is refused there too is
     * refused for itself.
     */
    const moved = (booking: Booking, refusal: Refusal, link: Link): boolean => {
      const beside = link.subscriptions.confirmed
      const isFull = refusal.detail.trim() === adapter.limits.fullRefusal && capacity.isDoubtful(beside) &&
        beside >= booking.refusedBeside
      if (!isFull || booking.holders === 0) {
        // It was not for want of room.
        booking.refusedBeside = 0
        return false
      }
      booking.refusedBeside = beside
      link.capacity = Math.min(link.capacity, beside)
      const other = shards(link.group).find((other) => other !== link && other.size < Math.min(beside, other.capacity))
      booking.withdraw(link)
      booking.place(other ?? openLink(link.group))
      return true
    }

    const retire = (): void => {
      if (bookings.size <= retiredLimit) return
      for (const [key, booking] of bookings) {
        if (booking.state.routes.length === 0 && booking.placements.every(({ link }) => !link.subscriptions.has(key))) {
          booking.state.topic.slot = null
          counters.retire(booking.state.topic.channel, booking.state.received)
          strangers.set(key, booking.state.topic)
          bookings.delete(key)
          if (bookings.size <= retiredLimit) return
        }
      }
    }

    const book = (channel: PublicChannel, key: string, symbol: string, contractSize: number | null): Booking => {
      const known = bookings.get(key)
      if (known !== undefined) {
        known.state.share(channel)
        known.state.topic.contractSize ??= contractSize
        return known
      }
      retire()
      const topic = topicOf(key, channel._tag, symbol)
      strangers.delete(key)
      topic.pair = channel.pair
      topic.contractSize = contractSize
      const recipe = channel._tag === "Book" ? adapter.book(channel) : null
      const state = new TopicState(topic, channel, recipe, owner)
      const booking = new Booking(state)
      // A book whose silence is never judged here may still be found to have missed something.
      const policy = silence.get(channel._tag) ?? (recipe === null ? undefined : Number.POSITIVE_INFINITY)
      if (policy !== undefined) state.watch = new SilenceWatch(policy, recipe, (verdict) => judged(booking, verdict))
      journal?.topic(topic, channel)
      topic.slot = state
      bookings.set(key, booking)
      return booking
    }

    /** What an alarm about the silence of a topic was. */
    const judged = (booking: Booking, verdict: Continuity): void => {
      if (verdict === "whole") counters.falseAlarms++
      for (const { link } of booking.placements) link.silence.judged(verdict)
    }

    /** Connections that are about to close, or that the exchange has taken it off, are none any more. */
    const prune = (booking: Booking): void => {
      for (const { link } of booking.placements) {
        const isGone = !closers.has(link) || !link.subscriptions.has(booking.key)
        if (isGone || (link.leaving && booking.holders === 0)) booking.forget(link)
      }
    }

    /** Puts it on a connection of each kind that lacks it. */
    const complete = (booking: Booking): void => {
      for (let group = 0; group < options.connections; group++) {
        if (!booking.placements.some(({ link }) => link.group === group)) booking.place(linkFor(group))
      }
    }

    /** One more holder. However many there are, the topic is wanted once on each of its connections. */
    const retain = (booking: Booking): void => {
      prune(booking)
      const isWanted = booking.holders > 0
      booking.holders++
      for (const { link } of booking.placements) {
        if (isWanted) link.subscriptions.retry(booking.key)
        else link.subscriptions.retain(booking.state.topic)
        link.changed()
      }
      complete(booking)
    }

    /** One holder less. */
    const release = (booking: Booking): void => {
      booking.holders--
      if (booking.holders > 0) return
      booking.live = false
      journal?.dropped(booking.state.topic)
      booking.refusedBeside = 0
      for (const { link } of booking.placements) link.release(booking.key)
    }

    const addTo = (booking: Booking) => (subscriber: Subscriber): () => void => {
      const { state } = booking
      const route = state.add(subscriber)
      if (isConfirmed(state)) {
        state.begun = true
        // What failed for the others is tried anew for who comes now.
        state.failed = false
        state.missing = 0
        // Already on the wire, but nobody carried its book on: begin from a snapshot.
        if (state.needsSnapshot) owner.requestSnapshot(state)
      }
      return () => state.remove(route)
    }

    const confirmation = (
      booking: Booking,
      waiter: Deferred.Deferred<void, ExchangeError>
    ): Effect.Effect<void, ExchangeError> =>
      Effect.suspend(() => {
        if (booking.isConfirmed) {
          journal?.confirmed(booking.state.topic)
          return Effect.void
        }
        const leave = booking.wait(waiter)
        return Effect.ensuring(Deferred.await(waiter), Effect.sync(leave))
      })

    const acquire = Effect.fnUntraced(function*(channel: PublicChannel, prepare: (held: Held) => () => void) {
      const { key, symbol } = yield* TopicErrors.nameOf(adapter, channel)
      if (isReleased) return yield* TopicErrors.released(adapter)
      const contractSize = yield* instruments.contractSize(channel.pair, symbol)
      if (isReleased) return yield* TopicErrors.released(adapter)
      const booking = book(channel, key, symbol, contractSize)
      const { state } = booking
      const held: Held = { topic: state.topic, add: addTo(booking), failed: () => state.failed }
      const waiter = Deferred.makeUnsafe<void, ExchangeError>()
      yield* Effect.acquireRelease(Effect.sync(() => prepare(held)), (undo) => Effect.sync(undo))
      yield* Effect.acquireRelease(
        Effect.sync(() => retain(booking)),
        () =>
          Effect.sync(() => {
            release(booking)
            // The scope may be closed by another than who waits.
            Deferred.doneUnsafe(waiter, Exit.fail(TopicErrors.withdrawn(adapter, state)))
          })
      )
      yield* confirmation(booking, waiter)
      return held
    })

    /** `at` by the wall clock, as events are stamped; `monotonicAt` for what is waited. Both in ms. */
    const watchTopic = (booking: Booking, at: number, monotonicAt: number): void => {
      const { state } = booking
      if (booking.holders > 0 && !state.failed && monotonicAt >= booking.replaceAt) complete(booking)
      if (state.routes.length === 0) return
      for (const placement of booking.placements) watchRefusal(booking, placement, monotonicAt)
      if (booking.isConfirmed) watchStream(booking, at, monotonicAt)
    }

    const watchStream = (booking: Booking, at: number, monotonicAt: number): void => {
      const { state } = booking
      // Nobody brings anything while a subscriber holds up reading.
      if (wakeups.full.size === 0) state.watchLanes(monotonicAt, heardAt)
      if (state.heldAt !== 0 && !state.isDead) watchHeld(booking, at, monotonicAt - state.heldAt)
      watchSnapshot(booking, at)
      watchSilence(booking, at)
      if (state.merge !== null) { for (const placement of booking.placements) watchLane(booking, placement, at) }
    }

    /**
     * A snapshot that no delta has met in so many ms is shown where its stream would have brought what it does not hold: it is quiet, and
     * not dead.
     */
    const watchHeld = (booking: Booking, at: number, waited: number): void => {
      if (waited < compareAfter) return
      const { state } = booking
      const carrying = booking.placements.flatMap((placement) =>
        placement.link.silence.alarms === 0 && booking.phase(placement) === "Confirmed" ? [placement.link] : []
      )
      if (carrying.length === 0) return
      // Of connections that have brought nothing at all nobody knows: another snapshot tells.
      const hasGoneOn = carrying.some(({ isHeard }) => isHeard) ? false : state.hasGoneOn()
      if (waited < quietAfter || hasGoneOn === null) return
      if (hasGoneOn) carrying.forEach((link) => deadFromTheFirst(link, at))
      else state.release()
    }

    /** It has brought nothing since it was opened, and should have: what it was asked in vain says nothing of its topics. */
    const deadFromTheFirst = (link: Link, at: number): void => {
      const watched = watchedOn(link)
      for (const { state } of watched) state.missing = 0
      linkSilent(link, watched, at, Math.max(at - link.liveSince, floorOf(watched)))
    }

    const heardAt = (connection: number): number => links.find(({ id }) => id === connection)?.heardAt ?? 0

    /** Asks again for what was refused in passing. */
    const watchRefusal = (booking: Booking, placement: Placement, at: number): void => {
      const { link } = placement
      if (placement.retryAt === 0 || at < placement.retryAt || !link.connected) return
      placement.retryAt = 0
      link.subscriptions.retry(booking.key)
      link.changed()
      owner.requestSnapshot(booking.state)
    }

    /** It brings what its snapshot should have come before: that was lost, and whatever kept it away is over. */
    const isFlowing = (state: TopicState): boolean => state.lastEventAt > state.confirmedAt

    const snapshotPatience = (state: TopicState): number => {
      if (!state.everLive) return snapshotDeadline
      return isFlowing(state)
        ? headlessDeadline * 2 ** Math.min(state.headless, 9)
        : snapshotDeadline * 2 ** Math.min(state.missing, 6)
    }

    const failWithoutSnapshot = ({ placements, state }: Booking, at: number): void => {
      const isHeard = placements.some(({ link }) => link.isHeard)
      // What the exchange does not list it cannot send, whatever its connection does.
      const isListed = instruments.isListed(state.topic.symbol, monotonic())
      const isRefused = isHeard || isListed === false
      const error = TopicErrors.withoutSnapshot(adapter, state, isHeard, isListed)
      counters.error(error.reason._tag)
      fork(Effect.logWarning(error.message))
      state.fail(error, "topic")
      // Who subscribes again begins anew.
      state.missing = 0
      for (const { link } of placements) if (!isRefused && link.silence.alarms === 0) deadFromTheFirst(link, at)
    }

    /** A stream that was confirmed and pushes no snapshot: asked again, and given up when it never pushed one. */
    const watchSnapshot = (booking: Booking, at: number): void => {
      const { state } = booking
      if (state.recipe === null || state.recipe.snapshot === "Fetch" || !state.needsSnapshot) return
      if (at - state.confirmedAt < snapshotPatience(state)) return
      if (isFlowing(state)) state.headless++
      state.missing++
      if (!state.everLive && state.missing >= snapshotTries) {
        failWithoutSnapshot(booking, at)
      } else {
        if (!state.everLive) fork(instruments.lookUp(state.topic.symbol))
        renewOne(booking)
      }
    }

    const allowedSilence = (bound: number, silences: number): number =>
      Number.isFinite(bound) ? Math.min(longestSilence, bound * 2 ** Math.min(silences, 10)) : bound

    const watchSilence = (booking: Booking, at: number): void => {
      const { state } = booking
      if (state.watch === null || wakeups.full.size > 0) return
      if (state.lastEventAt > state.confirmedAt) state.silences = 0
      const lastAt = Math.max(state.lastEventAt, state.confirmedAt)
      // Nearly all topics, in every look.
      if (at - lastAt < state.watch.shortest) return
      const heldUntil = Math.max(awake.since, ...booking.placements.map(({ link }) => link.heldUntil))
      const since = Math.max(lastAt, heldUntil)
      if (at - since < allowedSilence(state.watch.bound, state.silences)) return
      silentBy(booking)
    }

    /** Its topics whose silence is bounded. */
    const watchedOn = (link: Link): ReadonlyArray<Booking> =>
      [...bookings.values()].filter((booking) => {
        const { failed, routes, watch } = booking.state
        const placement = booking.on(link)
        return watch !== null && Number.isFinite(watch.shortest) && routes.length > 0 && !failed &&
          placement !== undefined &&
          booking.phase(placement) === "Confirmed"
      })

    const floorOf = (watched: ReadonlyArray<Booking>): number =>
      watched.reduce((least, { state }) => Math.min(least, state.watch!.shortest), Number.POSITIVE_INFINITY)

    /** What changed meanwhile is not told. */
    const beginAnew = (state: TopicState, at: number): void => {
      state.watch?.forget()
      state.missing = 0
      // The snapshot that comes with its new subscription is under way.
      const isUnderWay = state.recipe?.snapshot !== "Fetch" && state.needsSnapshot &&
        at - state.confirmedAt < snapshotDeadline
      if (isUnderWay) return
      state.interrupt("Silent")
      if (state.needsSnapshot) owner.requestSnapshot(state)
    }

    /** A connection brings data again: its books of which nothing has come begin anew, unless another has brought them on. */
    const brings = (link: Link, silentSince: number, at: number): void => {
      for (const booking of watchedOn(link)) {
        const { state } = booking
        if (state.recipe === null || state.lastEventAt > silentSince || isCarried(booking, link, at, silentSince)) {
          continue
        }
        beginAnew(state, at)
      }
    }

    /** A connection that brings nothing at all of what it carries. */
    const watchLink = (link: Link, at: number): void => {
      const { dataAt, silence } = link
      const excusedAt = Math.max(link.heldUntil, awake.since)
      const silentSince = silence.look(dataAt, excusedAt, at)
      if (silentSince !== null) brings(link, silentSince, at)
      if (!link.connected || link.leaving || wakeups.full.size > 0) return
      const since = Math.max(dataAt, link.readyAt, silence.alarmedAt, excusedAt)
      if (at - since < silence.bound) return
      const watched = watchedOn(link)
      if (watched.length > 0 && at - since >= floorOf(watched)) linkSilent(link, watched, at, at - since)
    }

    /** All of its topics are subscribed anew; where that does not help it is dialled anew, ever later until data comes. */
    const linkSilent = (link: Link, watched: ReadonlyArray<Booking>, at: number, silentForMs: number): void => {
      const isFirst = link.silence.alarms === 0
      link.silence.alarmed(at, silentForMs)
      if (!isFirst) return void fork(link.abandon(TopicErrors.silent(adapter, silentForMs)))
      const text = `connection ${link.id} has brought nothing for ${Math.round(silentForMs)} ms`
      fork(Effect.logWarning(`[${adapter.id}] ${text}; its topics are subscribed anew`))
      for (const booking of watched) if (!isTold(booking)) silentOn(booking, link, at)
    }

    /** It was found to be silent by itself, and has brought nothing since. */
    const isTold = ({ state }: Booking): boolean => state.silences > 0 && state.lastEventAt <= state.confirmedAt

    /** The other connections of a topic that bring something. */
    const aliveBeside = ({ placements, state }: Booking, link: Link, at: number): ReadonlyArray<Link> =>
      placements.flatMap(({ link: other }) =>
        other !== link && other.connected && at - other.dataAt < state.watch!.shortest ? [other] : []
      )

    /**
     * Whether another connection brings the topic on, and has done so from `since` on, ms: two that were silent in turn may both have
     * missed what changed between.
     */
    const isCarried = (booking: Booking, link: Link, at: number, since: number): boolean => {
      const { state } = booking
      const lane = state.laneOf(link.id)
      return lane !== undefined && state.merge?.covers(lane) === true &&
        aliveBeside(booking, link, at).some(({ id, silence }) =>
          silence.heardSince <= since && (state.laneOf(id)?.confirmedAt ?? Number.POSITIVE_INFINITY) <= since
        )
    }

    /** Where another connection brings the topic on, nobody need be told. */
    const silentOn = (booking: Booking, link: Link, at: number): void => {
      if (isCarried(booking, link, at, link.dataAt)) {
        counters.silences++
        return renew(booking, link)
      }
      silentBy(booking)
      // What this connection has not brought is no sign that the topic is dead on the others.
      if (aliveBeside(booking, link, at).length > 0) booking.state.watch?.forget()
    }

    const silentBy = (booking: Booking): void => {
      booking.state.silent()
      for (const { link } of booking.placements) renew(booking, link)
    }

    /** Of a channel that is subscribed here. */
    const subscribedTo = (channel: PublicChannel): Booking | undefined => {
      const symbol = adapter.symbol(channel.pair)
      const name = symbol === null ? null : adapter.topic(channel, symbol)
      const booking = name?._tag === "Topic" ? bookings.get(name.key) : undefined
      return booking?.isConfirmed === true && booking.state.routes.length > 0 ? booking : undefined
    }

    /** What the exchange was seen to have gone on with did not come: no bound need be waited for. */
    const missed = (channel: PublicChannel): boolean => {
      const booking = subscribedTo(channel)
      if (booking === undefined) return false
      const at = now()
      silentBy(booking)
      // Nothing is read while a subscriber holds it up: that says nothing of the connection.
      for (const { link } of wakeups.full.size > 0 ? [] : booking.placements) {
        const watched = watchedOn(link)
        const silentForMs = at - Math.max(link.dataAt, link.readyAt, link.heldUntil, awake.since)
        if (link.silence.alarms > 0 || silentForMs < floorOf(watched)) continue
        linkSilent(link, watched.filter((other) => other !== booking), at, silentForMs)
      }
      wakeups.flush()
      return true
    }

    /** One of several connections brings nothing of a topic, and others do: it is subscribed anew there, without a word. */
    const watchLane = (booking: Booking, placement: Placement, at: number): void => {
      const { link } = placement
      const { state } = booking
      const { watch } = state
      const lane = state.laneOf(link.id)
      if (watch === null || lane === undefined || wakeups.full.size > 0) return
      if (lane.lastEventAt > lane.confirmedAt) placement.silences = 0
      const since = Math.max(lane.lastEventAt, lane.confirmedAt, link.heldUntil, awake.since)
      if (state.merge?.covers(lane) !== true || at - since < allowedSilence(watch.bound, placement.silences)) return
      placement.silences++
      counters.silences++
      renew(booking, link)
    }

    /** One that still waits to take another's place has its age behind it when it has done so. */
    const isOld = ({ lifetime, openedAt, replaces }: Link, at: number): boolean =>
      lifetime !== null && openedAt !== null && at - openedAt >= lifetime &&
      (replaces === null || !closers.has(replaces))

    /** Since when a set of connections has been more than its topics need, ms of the monotonic clock. */
    const sparseSince = new Map<number, number>()

    /** When most topics have left, those of the emptiest connection go to the others, one connection at a time. */
    const consolidate = (group: number, at: number): void => {
      const spare = links.some((link) => link.group === group && link.leaving)
        ? undefined
        : Sharding.surplus(shards(group), capacity.limit)
      if (spare === undefined) return void sparseSince.delete(group)
      const since = sparseSince.get(group) ?? at
      sparseSince.set(group, since)
      if (at - since >= idleTimeout) rotation.retire(spare)
    }

    const watchLinks = (at: number): void => {
      for (const group of new Set(links.map((link) => link.group))) consolidate(group, at)
      for (const link of [...links]) {
        link.expire(answerTimeout)
        if (link.emptySince !== 0 && at - link.emptySince >= idleTimeout) close(link)
        if (isOld(link, at)) rotation.begin(link)
        rotation.watch(link)
      }
    }

    const complain = complaints(adapter, counters)

    const clockSet = (setting: Setting): void => {
      awake.clockSet(setting)
      for (const link of links) link.clockSet(setting)
      for (const { state } of bookings.values()) state.clockSet(setting)
    }

    const house = Effect.sync(() => {
      const at = now()
      const monotonicAt = monotonic()
      const setting = setClock.look(at, monotonicAt)
      if (setting !== null) clockSet(setting)
      awake.look(at)
      watchLinks(monotonicAt)
      for (const link of [...links]) watchLink(link, at)
      for (const booking of bookings.values()) watchTopic(booking, at, monotonicAt)
      wakeups.flush()
      metrics.flush({ links, bookings, lanes: options.connections, now: at })
    })
    yield* Effect.forkScoped(Effect.forever(
      Effect.andThen(Effect.sleep(houseInterval), Effect.andThen(house, Effect.suspend(() => complain(monotonic()))))
        .pipe(
          // Deadlines and silence must be watched whatever happens.
          Effect.catchDefect((defect) => Effect.logError(`[${adapter.id}] keeping house died of a defect`, defect))
        )
    ))
    // Whoever outlives the Layer must not wait for ever.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isReleased = true
        for (const booking of bookings.values()) {
          const error = TopicErrors.released(adapter)
          resolve(booking, Exit.fail(error))
          booking.state.fail(error, "connection")
        }
        wakeups.flush()
      })
    )

    /** The order matters when one connection cannot take them all. */
    const ordered: Session["ordered"] = (pairs, topicsEach) => {
      const taken = links.reduce((sum, link) => sum + link.size, 0)
      return taken + pairs.length * topicsEach <= capacity.limit ? Effect.succeed(pairs) : liquidity.ordered(pairs)
    }

    /** One that is being replaced, or replaces one that still serves, is not needed any more, or not yet. */
    const isServed = (link: Link): boolean => link.connected || link.leaving || link.replaces?.connected === true

    const socketsNow = (at: number): ReadonlyArray<SocketPerformance> =>
      links.map((link) => ({
        connection: link.id,
        topics: link.size,
        confirmed: link.subscriptions.confirmed,
        connected: link.connected,
        age: link.openedAt === null ? null : at - link.openedAt
      }))

    return {
      adapter,
      counters,
      wakeups,
      ordered,
      acquire,
      missed,
      isConnected: Effect.sync(() => closers.size > 0 && [...closers.keys()].every(isServed)),
      status: board.stream,
      onStatus: board.listen,
      performance: Effect.sync(() => ({
        ...counters.totals(),
        exchange: adapter.id,
        heapBytes: SessionMetrics.heapBytes(),
        connections: links.length,
        connected: links.filter((link) => link.connected).length,
        sockets: socketsNow(monotonic()),
        progress: Progress.of(bookings.values(), links.length),
        lanes: options.connections > 1 ? counters.lanePerformance(options.connections) : [],
        topics: [...bookings.values()].map((booking) => booking.state.performance())
      }))
    }
  }
)
