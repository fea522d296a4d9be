/**
 * The topics of a recording: frames and decisions go in as they were written down, and meet the same decoders, topics,
 * books and subscribers as in the recorded session. Synchronous; when what is applied is `ReplaySession`'s.
 */
import type { Deferred } from "effect"
import type { RecordedTopic } from "../connection/Journal.ts"
import type { BatchEntry, Decision, LaneStep } from "../connection/JournalFormat.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import type { GapCause } from "../domain/Feed.ts"
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
  Expired: (state, link) => state.force(link),
  Promoted: (state, link) => state.promote(link)
}

/** By topic and connection: since when it is live, ms; null while it is not. */
type Carriers = Map<number, Map<number, { readonly group: number; readonly at: number | null }>>

const noteLane = (carriers: Carriers, { at, group, link, step, topic }: Of<"Lane">): void => {
  const links = carriers.get(topic) ?? new Map<number, { readonly group: number; readonly at: number | null }>()
  carriers.set(topic, links)
  if (step === "Placed" || step === "Lost") links.set(link, { group, at: null })
  else if (step === "Live") links.set(link, { group, at })
  else if (step === "Gone") links.delete(link)
}

export class ReplayTopics implements Sink {
  readonly #options: ReplayTopicsOptions
  readonly #counters: Counters
  readonly #topics = new Map<string, ReplayTopic>()
  readonly #byNumber = new Map<number, ReplayTopic>()
  /** Numbers of the topics that are subscribed at this point, also those that nobody holds. */
  readonly #confirmed = new Set<number>()
  /** The connections that carry each topic by its number. */
  readonly #carriers: Carriers = new Map()
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
  /** The breaks of the group at hand that have not been told of yet. */
  #breaks: Array<Of<"Break">> = []
  readonly #owner: TopicOwner

  constructor(options: ReplayTopicsOptions) {
    this.#options = options
    this.#counters = options.counters
    this.#owner = {
      counters: options.counters,
      now: () => this.#now,
      monotonic: () => this.#now,
      breakAt: (state, cause) => this.#breakAt(state, cause),
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
    this.#carry(state, recorded.topic)
    return made
  }

  /** A topic that is held late is on the connections that have it by now. */
  #carry(state: TopicState, number: number): void {
    for (const [link, { at, group }] of this.#carriers.get(number) ?? []) {
      state.place(link, group)
      if (at !== null) state.confirmed(link, at)
    }
  }

  /** Keeps who carries what, also for topics that nobody holds. */
  #note(decision: Decision): void {
    const { topic } = decision
    if (decision._tag === "Confirmed") this.#confirmed.add(topic)
    else if (decision._tag === "Dropped") this.#confirmed.delete(topic)
    else if (decision._tag === "Lane") noteLane(this.#carriers, decision)
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

  /** What was decided in and behind the next batch, before the one after it. */
  begin(decisions: ReadonlyArray<Decision>): void {
    this.#due = decisions
    this.#breaks = decisions.filter((decision) => decision._tag === "Break")
  }

  /** The frames of a batch, and the decisions that were made with it; returns how many those were. */
  batch({ frames, link, receivedAt }: BatchEntry): number {
    const counters = this.#counters
    if (!this.#codecs.has(link)) this.opened(link)
    const codec = this.#codecs.get(link)!
    this.#next = 0
    this.#events = 0
    this.#link = link
    this.#now = Math.floor(receivedAt)
    for (const frame of frames) {
      counters.bytes += frame.length
      codec.decode(frame, receivedAt, this)
    }
    counters.frames += frames.length
    // Those of the batch's own turn.
    for (; this.#due[this.#next]?.turn === 0; this.#next++) this.apply(this.#due[this.#next]!)
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
    this.#note(decision)
    const topic = this.#byNumber.get(decision.topic)
    if (topic === undefined) return
    // A later version may know more of them.
    const apply = this.#applied[decision._tag] as ((topic: ReplayTopic, decision: Decision) => void) | undefined
    apply?.(topic, decision)
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
    // A recording that has lost its beginning does not say which connections carry a topic.
    if (state.only === this.#link || state.lanes.length === 0) state.onEvent(event)
    else state.onLane(this.#link, event)
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
    // Follows from the others.
    Break: () => {},
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

  #breakAt(state: TopicState, cause: GapCause): number | null {
    const index = this.#breaks.findIndex((one) => one.cause === cause && this.#byNumber.get(one.topic)?.state === state)
    return index < 0 ? null : this.#breaks.splice(index, 1)[0]!.at
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
