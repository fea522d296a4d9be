/**
 * The topics of a recording: frames and decisions go in as they were written down, and meet the same decoders, topics,
 * books and subscribers as in the recorded session. Synchronous; when what is applied is `ReplaySession`'s.
 */
import type { Deferred } from "effect"
import type { RecordedTopic } from "../connection/Journal.ts"
import type { BatchEntry, Decision, LaneStep } from "../connection/JournalFormat.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import type { BookUpdate, MarketEvent } from "../domain/Market.ts"
import type { Codec, CodecContext, ExchangeAdapter, Sink, Topic } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Counters } from "./Counters.ts"
import * as ErrorCodec from "./ErrorCodec.ts"
import { ReplayBooks } from "./ReplayBooks.ts"
import type { TopicOwner } from "./Topics.ts"
import { TopicState } from "./Topics.ts"

/** A topic that somebody of the replay asked for. */
export interface ReplayTopic {
  readonly state: TopicState
  confirmed: boolean
  holders: number
  /** Who waits until the recording says what became of the subscription. */
  readonly waiters: Set<Deferred.Deferred<void, ExchangeError>>
}

/** Who is told what was answered. */
export type Resolve = (topic: ReplayTopic, error: ExchangeError | null) => void

export interface ReplayTopicsOptions {
  readonly adapter: ExchangeAdapter
  readonly counters: Counters
  readonly instrumentOf: CodecContext["instrumentOf"]
  readonly resolve: Resolve
}

type Applied = { readonly [Tag in Decision["_tag"]]: (topic: ReplayTopic, decision: Of<Tag>) => void }
type Of<Tag extends Decision["_tag"]> = Extract<Decision, { readonly _tag: Tag }>

type LaneApplied = (state: TopicState, link: number, at: number, group: number) => void

const lanes: { readonly [Step in LaneStep]: LaneApplied } = {
  Placed: (state, link, _at, group) => state.place(link, group),
  Live: (state, link, at) => state.confirmed(link, at),
  // What was doubtful by that stands in the recording.
  Lost: (state, link) => void state.lost(link, Number.POSITIVE_INFINITY),
  Gone: (state, link) => state.unplace(link),
  Joined: (state, link) => state.join(link),
  Expired: (state, _link, at) => state.expire(at),
  Promoted: (state, link) => state.promote(link)
}

export class ReplayTopics implements Sink {
  readonly #options: ReplayTopicsOptions
  readonly #counters: Counters
  readonly #topics = new Map<string, ReplayTopic>()
  readonly #byNumber = new Map<number, ReplayTopic>()
  /** Numbers of the topics that are subscribed at this point, also those that nobody holds. */
  readonly #confirmed = new Set<number>()
  /** Topics that nobody asked for: codecs keep what they were given. */
  readonly #strangers = new Map<string, Topic>()
  readonly #codecs = new Map<number, Codec>()
  readonly #books = new ReplayBooks<TopicState>()
  /** Topics in sync with a subscriber that is not. */
  readonly #wanting = new Set<TopicState>()
  /** Snapshots of the decisions at hand, read already. */
  readonly #snapshots = new Map<Decision, BookUpdate>()
  #due: ReadonlyArray<Decision> = []
  #next = 0
  /** Events of the batch at hand. */
  #events = 0
  /** Its connection. */
  #link = 0
  #now = 0
  /** The topic whose event is at hand. */
  #current: TopicState | null = null
  readonly #owner: TopicOwner

  constructor(options: ReplayTopicsOptions) {
    this.#options = options
    this.#counters = options.counters
    this.#owner = {
      counters: options.counters,
      now: () => this.#current === null ? this.#now : this.#holeAt(this.#current) ?? this.#now,
      // The recording has the snapshots that the recorded session asked for; others are made.
      requestSnapshot: (state) => {
        if (state.sequence?.live === true) this.#wanting.add(state)
      },
      onAligned: (state, update) => this.#books.onUpdate(state, update)
    }
  }

  get all(): Iterable<ReplayTopic> {
    return this.#topics.values()
  }

  /** The recorded time of what was applied last, ms. */
  get now(): number {
    return this.#now
  }

  /** Time passes. */
  pass(at: number): void {
    this.#now = at
  }

  numbered(topic: number): ReplayTopic | undefined {
    return this.#byNumber.get(topic)
  }

  /** The topic of a channel that the recording has. */
  hold(channel: PublicChannel, recorded: RecordedTopic): ReplayTopic {
    const known = this.#topics.get(recorded.key)
    if (known !== undefined) return known
    const topic = this.#topicOf(recorded.key, channel._tag, recorded.symbol)
    this.#strangers.delete(recorded.key)
    topic.pair = channel.pair
    topic.contractSize = recorded.contractSize
    const recipe = channel._tag === "Book" ? this.#options.adapter.book(channel) : null
    const state = new TopicState(topic, channel, recipe, this.#owner)
    topic.slot = state
    const made: ReplayTopic = {
      state,
      confirmed: this.#confirmed.has(recorded.topic),
      holders: 0,
      waiters: new Set()
    }
    this.#topics.set(recorded.key, made)
    this.#byNumber.set(recorded.topic, made)
    return made
  }

  /** A connection was opened: decoders begin anew. */
  opened(link: number): void {
    const { instrumentOf } = this.#options
    const topicOf = (key: string, channel: Topic["channel"], symbol: string) => this.#topicOf(key, channel, symbol)
    this.#codecs.set(link, this.#options.adapter.makeCodec({ topicOf, instrumentOf }))
  }

  /** A snapshot that a decision will show. */
  readSnapshot(decision: Decision, snapshot: BookUpdate): void {
    this.#snapshots.set(decision, snapshot)
  }

  /** The frames of a batch, and the decisions that were made between its events; returns how many those were. */
  batch({ frames, link, receivedAt }: BatchEntry, decisions: ReadonlyArray<Decision>): number {
    const counters = this.#counters
    if (!this.#codecs.has(link)) this.opened(link)
    const codec = this.#codecs.get(link)!
    this.#due = decisions
    this.#next = 0
    this.#events = 0
    this.#link = link
    this.#now = Math.floor(receivedAt)
    for (const frame of frames) {
      counters.bytes += frame.length
      codec.decode(frame, receivedAt, this)
    }
    counters.frames += frames.length
    this.#due = []
    return this.#next
  }

  /** Gives those who came late, or lost updates, the books as they stand. */
  catchUp(): void {
    if (this.#wanting.size === 0) return
    for (const state of this.#wanting) {
      const snapshot = state.needsSnapshot && state.sequence?.live === true ? this.#books.snapshotOf(state) : undefined
      if (snapshot !== undefined) state.snapshot(snapshot)
    }
    this.#wanting.clear()
  }

  apply(decision: Decision): void {
    this.#now = decision.at
    if (decision._tag === "Confirmed") this.#confirmed.add(decision.topic)
    if (decision._tag === "Dropped") this.#confirmed.delete(decision.topic)
    const topic = this.#byNumber.get(decision.topic)
    if (topic === undefined) return
    const apply = this.#applied[decision._tag] as (topic: ReplayTopic, decision: Decision) => void
    apply(topic, decision)
  }

  /** Entries are missing here: nothing of before is joined to what follows. */
  lost(): void {
    for (const { state } of this.#topics.values()) state.interrupt("Reconnected")
  }

  event(topic: Topic, event: MarketEvent): void {
    if (this.#next < this.#due.length) this.#reach(this.#events)
    this.#events++
    this.#counters.events++
    const state = topic.slot as TopicState | null
    if (state === null) {
      this.#counters.unrouted++
      return
    }
    this.#current = state
    // A recording that has lost its beginning does not say which connections carry a topic.
    if (state.only === this.#link || state.lanes.length === 0) state.onEvent(event)
    else state.onLane(this.#link, event)
    this.#current = null
  }

  // What answers lead to was decided by the recorded session, and is applied as it was.
  acknowledged(): void {}
  rejected(): void {}
  pong(): void {}
  closing(): void {}

  ignored(): void {
    this.#counters.ignored++
  }

  failed(detail: string): void {
    this.#counters.decodeFailures++
    this.#counters.lastFailure = detail
  }

  fallback(): void {
    this.#counters.decoderFallbacks++
  }

  readonly #applied: Applied = {
    Confirmed: (topic, { at }) => {
      const { state } = topic
      state.confirmedAt = at
      state.begun = true
      state.failed = false
      topic.confirmed = true
      this.#counters.confirmed++
      this.#options.resolve(topic, null)
    },
    Refused: (topic, { error }) => {
      this.#counters.rejected++
      this.#options.resolve(topic, ErrorCodec.decode(error))
    },
    Dropped: (topic) => {
      topic.confirmed = false
    },
    Interrupted: ({ state }, { cause, lost }) => state.interrupt(cause, lost === null ? {} : { lost }),
    Lapsed: ({ state }, { cause }) => state.lapse(cause),
    // Found again in the frames.
    Hole: () => {},
    Released: ({ state }) => state.release(),
    Snapshot: ({ state }, decision) => {
      const snapshot = this.#snapshots.get(decision)
      this.#snapshots.delete(decision)
      if (snapshot === undefined) return
      const { contractSize, pair } = state.topic
      state.snapshot({ ...snapshot, pair, contractSize, receivedAt: decision.receivedAt })
    },
    Lane: ({ state }, { at, group, link, step }) => lanes[step](state, link, at, group),
    Failed: ({ state }, { error, scope }) => {
      const failure = ErrorCodec.decode(error)
      this.#counters.error(failure.reason._tag)
      state.fail(failure, scope)
    }
  }

  /** Applies what was decided behind so many events of the batch. */
  #reach(events: number): void {
    for (; this.#next < this.#due.length && this.#due[this.#next]!.after <= events; this.#next++) {
      this.apply(this.#due[this.#next]!)
    }
  }

  /** When the recorded session found the hole that is found now; null when it found none. */
  #holeAt(state: TopicState): number | null {
    for (let i = this.#next; i < this.#due.length; i++) {
      const decision = this.#due[i]!
      if (decision._tag === "Hole" && this.#byNumber.get(decision.topic)?.state === state) return decision.at
    }
    return null
  }

  #topicOf(key: string, channel: Topic["channel"], symbol: string): Topic {
    const known = this.#topics.get(key)?.state.topic ?? this.#strangers.get(key)
    if (known !== undefined) return known
    const spotSize = this.#options.adapter.kind === "spot" ? 1 : null
    const topic: Topic = { key, channel, symbol, pair: null, contractSize: spotSize, slot: null }
    this.#strangers.set(key, topic)
    return topic
  }
}
