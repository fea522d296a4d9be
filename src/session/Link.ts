/**
 * One supervised connection and the topics on it: sends what is wanted within the limits, reads and decodes batches,
 * resubscribes after every reconnect.
 */
import type { Clock } from "effect"
import { Effect, Latch } from "effect"
import type { Activity, Batch, Connection, Dial, FrameReader, OutFrame } from "../connection/Connection.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import { kindOf } from "../domain/Channel.ts"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { MarketEvent } from "../domain/Market.ts"
import type { Answer, Codec, CodecContext, ExchangeAdapter, Refusal, Request, Sink, Topic } from "../ExchangeAdapter.ts"
import { Disconnected, type ExchangeError, make } from "../ExchangeError.ts"
import type { Counters } from "./Counters.ts"
import type { DialGate } from "./DialGate.ts"
import { LinkSilence } from "./LinkSilence.ts"
import type { Setting } from "./SetClock.ts"
import { corrected } from "./SetClock.ts"
import type { Wakeups } from "./Subscriber.ts"
import { Subscriptions } from "./Subscriptions.ts"
import type { TopicState } from "./Topics.ts"

/** What a link tells its session. */
export interface LinkListener {
  readonly onStatus: (status: ConnectionStatus) => void
  readonly onConfirmed: (topic: Topic, link: Link) => void
  readonly onRefused: (topic: Topic, refusal: Refusal, link: Link) => void
  readonly onTimeout: (topic: Topic, link: Link) => void
  /** Frames could not be read: whatever of these topics they held is missing. */
  readonly onUnreadable: (topics: ReadonlyArray<Topic>, link: Link) => void
  /** Nothing of before is joined to what follows on this connection. */
  readonly onInterrupted: (topics: ReadonlyArray<Topic>, link: Link) => void
  /** Taken off the wire, and to be subscribed again. */
  readonly onRestarted: (topic: Topic, link: Link) => void
  /** The exchange announces that it will close the connection. */
  readonly onClosing: (link: Link, detail: string) => void
}

export interface LinkOptions {
  readonly id: number
  /** Which of the redundant connections it is one of, from 0. */
  readonly group: number
  readonly adapter: ExchangeAdapter
  readonly dial: Dial
  /** Ahead of `dialGate`: many that have waited here may go on at once. */
  readonly turn: Effect.Effect<void>
  readonly policy: Reconnect.ReconnectPolicy
  readonly clock: Clock.Clock
  readonly counters: Counters
  readonly wakeups: Wakeups
  readonly codecContext: CodecContext
  readonly listener: LinkListener
  /** This exchange's turns to dial. */
  readonly dialGate: DialGate
}

/** Leaves room below the exchange's limit of client messages. */
const shareOfRequestLimit = 0.8

export class Link {
  readonly id: number
  readonly group: number
  readonly subscriptions: Subscriptions
  readonly #options: LinkOptions
  readonly #work = Latch.makeUnsafe(false)
  #connection: Connection | null = null
  #requestId = 0
  /** When the latest requests left, ms of the monotonic clock, in a ring as long as a second's allowance. */
  readonly #starts: Float64Array
  #turn = 0
  /** When the last topic left, ms of the monotonic clock; 0 while there are topics. */
  emptySince = 0
  /** How many topics the exchange was seen to take on it; infinite while it has refused none for want of room. */
  capacity = Number.POSITIVE_INFINITY
  /** When it was opened, ms of the monotonic clock; null while it is not. */
  openedAt: number | null = null
  /** When anything was read from it last, ms; 0 before. */
  heardAt = 0
  /** When it brought an event last, ms; 0 before. */
  dataAt = 0
  /** When it was opened last, ms; 0 before. */
  liveSince = 0
  /** When it was opened, or a topic was last confirmed on it that was not silent before, ms; 0 before. */
  readyAt = 0
  readonly silence = new LinkSilence()
  /** It carries its topics until another connection has taken them over, and gets no new ones. */
  leaving = false
  /** The connection whose place it is to take; null when there is none, or it has ended. */
  replaces: Link | null = null
  /** It is to be replaced at this age, ms; null when never. */
  lifetime: number | null = null
  /** It ended while a subscriber held it up, which was given all that was left of it; null once there was room since. */
  #exceeding: Connection | null = null
  /** When reading went on after a subscriber had held it up, ms: until then the silence was ours. */
  heldUntil = 0

  constructor(options: LinkOptions) {
    this.id = options.id
    this.group = options.group
    this.#options = options
    this.subscriptions = new Subscriptions(options.adapter.listRefusal)
    const allowed = Math.max(1, Math.floor(options.adapter.limits.requestsPerSecond * shareOfRequestLimit))
    this.#starts = new Float64Array(allowed).fill(Number.NEGATIVE_INFINITY)
  }

  get connected(): boolean {
    return this.#connection !== null
  }

  /** Whether it has brought anything since it was opened. */
  get isHeard(): boolean {
    return this.dataAt >= this.liveSince
  }

  /** Topics that are wanted or not yet off the wire. */
  get size(): number {
    return this.subscriptions.size
  }

  /** One holder of the topic less. */
  release(key: string): void {
    this.subscriptions.release(key)
    this.silence.restart()
    this.changed()
  }

  /** Gives the present connection up, for which another is dialled. */
  abandon(error: ExchangeError): Effect.Effect<void> {
    return this.#connection === null ? Effect.void : this.#connection.abort(error)
  }

  /** Something changed in `subscriptions`: send what follows from it. */
  changed(): void {
    for (const topic of this.subscriptions.takeRestarted()) this.#options.listener.onRestarted(topic, this)
    this.emptySince = this.subscriptions.size === 0 ? this.emptySince || this.#monotonic() : 0
    this.#work.openUnsafe()
  }

  /** Runs until it fails for good or is interrupted. */
  get run(): Effect.Effect<never, ExchangeError> {
    return Reconnect.supervise(
      Effect.andThen(this.#options.turn, this.#options.dialGate.pass(this.#options.dial)),
      (connection) => this.#live(connection),
      this.#options.policy,
      {
        onConnecting: (attempt) => this.#status({ _tag: "Connecting", attempt }),
        onConnected: () => this.#status({ _tag: "Connected" }),
        onDisconnected: (error, retryIn) => this.#disconnected(error, retryIn)
      }
    )
  }

  #now(): number {
    return this.#options.clock.currentTimeMillisUnsafe()
  }

  /** For what is waited: the machine's clock may be set meanwhile. */
  #monotonic(): number {
    return monotonicMillis(this.#options.clock)
  }

  #status(
    status:
      | { readonly _tag: "Connecting"; readonly attempt: number }
      | { readonly _tag: "Connected" }
      | {
        readonly _tag: "Disconnected"
        readonly reason: string
        readonly message: string
        readonly retryIn: number | null
      }
  ): void {
    this.#options.listener.onStatus({
      ...status,
      exchange: this.#options.adapter.id,
      connection: this.id,
      at: this.#now()
    } as ConnectionStatus)
  }

  #disconnected(error: ExchangeError, retryIn: number | null): void {
    const { counters } = this.#options
    counters.error(error.reason._tag)
    if (this.#connection !== null) counters.reconnects++
    this.#connection = null
    this.openedAt = null
    this.silence.pause()
    this.subscriptions.disconnected()
    this.changed()
    this.#options.listener.onInterrupted(this.subscriptions.wanted, this)
    this.#status({ _tag: "Disconnected", reason: error.reason._tag, message: error.message, retryIn })
  }

  #live(connection: Connection): Effect.Effect<never, ExchangeError> {
    this.#connection = connection
    this.openedAt = this.#monotonic()
    this.liveSince = this.readyAt = this.#now()
    this.subscriptions.disconnected()
    this.changed()
    return Effect.raceFirst(this.#read(connection), this.#write(connection))
  }

  /** Reading and decoding: one Effect step a batch, plain code inside. */
  #read(connection: Connection): Effect.Effect<never, ExchangeError> {
    const { adapter, codecContext, wakeups } = this.#options
    const sink = new LinkSink(this, this.#options, adapter.makeCodec(codecContext), connection.activity)
    const onBatch = (batch: Batch): Effect.Effect<void, ExchangeError> => {
      connection.taken?.(batch)
      if (batch.frames.length > 0) sink.batch(batch)
      if (sink.notice !== null) this.#noticed(sink)
      if (sink.replies.length > 0) return this.#reply(connection, sink.replies.splice(0))
      return wakeups.full.size === 0 ? Effect.void : this.#hold(connection)
    }
    if (connection.taken === undefined) connection.pull.direct?.(sink.reader)
    const read = Effect.forever(Effect.flatMap(connection.pull, onBatch), { disableYield: true })
    return Effect.suspend(() => wakeups.full.size === 0 ? read : Effect.andThen(this.#hold(connection), read))
  }

  /**
   * A full subscriber asked to hold up reading: wait for it, and do not take our own silence for a dead peer. When the
   * connection ends meanwhile, that is to be told at once: reading goes on to its end, beyond what a buffer should hold.
   */
  #hold(connection: Connection): Effect.Effect<void> {
    return Effect.suspend(() => {
      connection.activity.held = true
      return Effect.raceFirst(this.#awaitRoom(), this.#awaitEnd(connection))
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        this.heldUntil = this.#now()
        connection.activity.held = false
        connection.activity.receivedAt = this.#now()
        connection.activity.dataAt = this.#now()
      }))
    )
  }

  #awaitRoom(): Effect.Effect<void> {
    return Effect.andThen(
      Effect.forEach([...this.#options.wakeups.full], (subscriber) => subscriber.awaitRoom, { discard: true }),
      Effect.sync(() => {
        this.#exceeding = null
      })
    )
  }

  /** What the next connections have read is dropped, or each would add to a buffer that nobody empties. */
  #awaitEnd(connection: Connection): Effect.Effect<void> {
    return Effect.andThen(
      connection.over ?? Effect.never,
      Effect.suspend(() => {
        this.#exceeding ??= connection
        return this.#exceeding === connection ? Effect.void : connection.abort(this.#unread)
      })
    )
  }

  /** Stands behind why the connection ended, which is what is told. */
  get #unread(): ExchangeError {
    return make(
      this.#options.adapter.id,
      new Disconnected({ code: 1006, detail: "it ended while a consumer held it up" })
    )
  }

  #write(connection: Connection): Effect.Effect<never, ExchangeError> {
    const round = Effect.suspend(() => {
      this.#work.closeUnsafe()
      const requests = this.#requests()
      connection.activity.expectsData = this.subscriptions.size > 0
      return Effect.forEach(requests, (request) => this.#send(connection, request), { discard: true })
    })
    return Effect.forever(Effect.andThen(this.#work.await, round))
  }

  /** What to send now. Its topics count as under way from here on, so that nothing changes behind a queued request. */
  #requests(): ReadonlyArray<Request> {
    const { adapter, counters } = this.#options
    const stamp = { nowMillis: this.#now(), nextId: () => this.#nextId() }
    const off = this.subscriptions.takeUnsubscribes()
    const unsubscribes = off.length === 0 ? [] : adapter.unsubscribe(off, stamp)
    const subscribes = this.subscriptions.takeSubscribes().flatMap((topics) => adapter.subscribe(topics, stamp))
    for (const request of unsubscribes) this.subscriptions.queued("unsubscribe", request.topics, request.id)
    for (const request of subscribes) {
      this.subscriptions.queued("subscribe", request.topics, request.id)
      counters.requested += request.topics.length
    }
    return [...unsubscribes, ...subscribes]
  }

  #nextId(): number {
    this.#requestId = this.#requestId >= 2 ** 31 - 1 ? 1 : this.#requestId + 1
    return this.#requestId
  }

  #send(connection: Connection, request: Request): Effect.Effect<void, ExchangeError> {
    return Effect.suspend(() => {
      const wait = this.#pace()
      return wait > 0 ? Effect.sleep(wait) : Effect.void
    }).pipe(
      Effect.andThen(Effect.suspend(() => {
        // An answer may come before the write returns.
        this.subscriptions.sent(request.id, this.#monotonic())
        return connection.write(request.frame)
      }))
    )
  }

  /** Milliseconds to wait so that no second, wherever it begins, holds more client messages than the exchange allows. */
  #pace(): number {
    const now = this.#monotonic()
    const start = Math.max(now, this.#starts[this.#turn]! + 1000)
    this.#starts[this.#turn] = start
    this.#turn = (this.#turn + 1) % this.#starts.length
    return start - now
  }

  /** The machine's clock was set. */
  clockSet(setting: Setting): void {
    this.heardAt = corrected(setting, this.heardAt)
    this.heldUntil = corrected(setting, this.heldUntil)
    this.dataAt = corrected(setting, this.dataAt)
    this.liveSince = corrected(setting, this.liveSince)
    this.readyAt = corrected(setting, this.readyAt)
    this.silence.clockSet(setting)
  }

  acknowledged(answer: Answer): void {
    for (const topic of this.subscriptions.acknowledged(answer)) {
      this.#options.counters.confirmed++
      if (this.subscriptions.takeStraddling(topic.key)) this.#options.listener.onRestarted(topic, this)
      this.#options.listener.onConfirmed(topic, this)
    }
    this.changed()
  }

  /** Books notice by their versions and state by its next value; events without versions must be told. */
  unreadable(): void {
    this.#options.listener.onUnreadable(
      this.subscriptions.wanted.filter((topic) => kindOf(topic.channel, topic.pair) === "event"),
      this
    )
  }

  rejected(answer: Answer, refusal: Refusal): void {
    for (const topic of this.subscriptions.rejected(answer)) {
      this.#options.counters.rejected++
      this.#options.listener.onRefused(topic, refusal, this)
    }
    this.changed()
  }

  /** Asks again for what was not answered within so many ms. */
  expire(within: number): void {
    const { late, off } = this.subscriptions.expire(this.#monotonic() - within)
    for (const topic of late) {
      this.#options.counters.timedOut++
      this.#options.listener.onTimeout(topic, this)
    }
    if (late.length > 0 || off.length > 0) this.changed()
  }

  #reply(connection: Connection, frames: ReadonlyArray<OutFrame>): Effect.Effect<void, ExchangeError> {
    return Effect.forEach(frames, (frame) => connection.write(frame), { discard: true })
  }

  #noticed(sink: LinkSink): void {
    const detail = sink.notice ?? ""
    sink.notice = null
    this.#options.listener.onClosing(this, detail)
  }
}

/** Of a large turn whoever is told at once is told every eight frames: who waits for the first need not wait for the last. */
const promptly = 8

/** Takes what a frame holds. One a connection; its methods are the hot path. */
class LinkSink implements Sink {
  private readonly link: Link
  private readonly id: number
  private readonly counters: Counters
  private readonly clock: Clock.Clock
  private readonly wakeups: Wakeups
  private readonly codec: Codec
  private readonly activity: Activity
  /** Frames since whoever is told at once was told. */
  private untold = 0
  /** No event has come in this turn. */
  private isQuiet = true
  readonly reader: FrameReader
  /** What the exchange announced, to act on behind the batch. */
  notice: string | null = null
  /** Answers that the exchange asked for, to send behind the batch. */
  readonly replies: Array<OutFrame> = []

  constructor(link: Link, options: LinkOptions, codec: Codec, activity: Activity) {
    this.link = link
    this.id = link.id
    this.counters = options.counters
    this.clock = options.clock
    this.wakeups = options.wakeups
    this.codec = codec
    this.activity = activity
    this.reader = {
      frame: (bytes, start, end, receivedAt) => this.frame(bytes, start, end, receivedAt),
      turn: (frames, bytes, receivedAt) => this.turn(frames, bytes, receivedAt)
    }
  }

  batch({ bytes, frames, receivedAt }: Batch): void {
    for (let i = 0; i < frames.length; i++) this.frame(frames[i]!, 0, frames[i]!.length, receivedAt)
    this.turn(frames.length, bytes, receivedAt)
  }

  private frame(bytes: Uint8Array, start: number, end: number, receivedAt: number): boolean {
    const codec = this.codec
    if (codec.decodeIn === undefined) codec.decode(bytes.subarray(start, end), receivedAt, this)
    else codec.decodeIn(bytes, start, end, receivedAt, this)
    if (++this.untold < promptly) return false
    this.untold = 0
    this.wakeups.flushPrompt()
    return this.wakeups.isPressing
  }

  /**
   * True when there is work for the fiber that pulls, which the socket's own turn cannot do: an announcement to act on, an
   * answer to send, a full subscriber to wait for.
   */
  private turn(frames: number, bytes: number, receivedAt: number): boolean {
    const counters = this.counters
    counters.bytes += bytes
    counters.frames += frames
    this.link.heardAt = receivedAt
    this.untold = 0
    this.wakeups.flush()
    if (!this.isQuiet) {
      this.isQuiet = true
      this.activity.dataAt = receivedAt
      this.link.dataAt = receivedAt
      counters.processing.add(wallMillis(this.clock) - receivedAt)
    }
    return this.notice !== null || this.replies.length > 0 || this.wakeups.full.size > 0
  }

  event(topic: Topic, event: MarketEvent): void {
    this.counters.events++
    if (this.isQuiet) this.first(event)
    const state = topic.slot as TopicState | null
    if (state === null) this.counters.unrouted++
    else if (state.only === this.id) state.onEvent(event)
    else state.onLane(this.id, event)
  }

  /** Of a turn's events the oldest one tells their age. */
  private first({ exchangeTime, receivedAt }: MarketEvent): void {
    this.isQuiet = false
    if (exchangeTime !== null) this.counters.age.add(receivedAt - exchangeTime)
  }

  acknowledged(answer: Answer): void {
    this.link.acknowledged(answer)
  }

  rejected(answer: Answer, refusal: Refusal): void {
    this.link.rejected(answer, refusal)
  }

  /** The socket has noted the sign of life already. */
  pong(): void {}

  closing(detail: string): void {
    this.notice = detail
  }

  reply(frame: OutFrame): void {
    this.replies.push(frame)
  }

  ignored(): void {
    this.counters.ignored++
  }

  failed(detail: string): void {
    this.counters.decodeFailures++
    this.link.unreadable()
    this.counters.lastFailure = detail
  }

  fallback(): void {
    this.counters.decoderFallbacks++
  }
}
