/**
 * One supervised connection of a private stream: acquires its endpoint, subscribes what is wanted with signatures, reads
 * and decodes batches. Its lease runs beside it.
 */
import type { Clock, Scope } from "effect"
import { Duration, Effect, Latch } from "effect"
import type {
  PrivateCodec,
  PrivateEndpoint,
  PrivateRequest,
  PrivateSink,
  PrivateStream,
  PrivateTopic
} from "../AccountAdapter.ts"
import * as Auth from "../connection/Auth.ts"
import type { Signer } from "../connection/Auth.ts"
import type { Batch, Connection, Dial } from "../connection/Connection.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import type { AccountEvent } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { ExchangeId, InstrumentOf } from "../domain/Instrument.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Answer, Refusal } from "../ExchangeProtocol.ts"
import type { PrivateCounters } from "./PrivateCounters.ts"

export interface PrivateLinkListener {
  readonly onStatus: (status: ConnectionStatus) => void
  readonly onConfirmed: (channel: PrivateTag) => void
  /** The exchange does not give this channel; the others go on. */
  readonly onRefused: (channel: PrivateTag, error: ExchangeError.ExchangeError) => void
  /** Everything that is wanted is confirmed, on this connection for the first time. */
  readonly onReady: (link: PrivateLink) => void
  readonly onDown: (link: PrivateLink, error: ExchangeError.ExchangeError) => void
  /** It is to be replaced, make before break: it grows old, its key cannot be renewed, or the exchange asks for it. */
  readonly onReplace: (link: PrivateLink, detail: string) => void
  readonly onEvent: (channel: PrivateTag, event: AccountEvent) => void
  /** A frame could not be read: whatever it held is missing. */
  readonly onUnreadable: () => void
  /** A batch is through. */
  readonly onBatch: () => void
}

export interface PrivateLinkOptions {
  readonly id: number
  readonly exchange: ExchangeId
  readonly stream: PrivateStream
  readonly endpoint: Effect.Effect<PrivateEndpoint, ExchangeError.ExchangeError, Scope.Scope>
  readonly dial: (endpoint: Effect.Effect<PrivateEndpoint, ExchangeError.ExchangeError, Scope.Scope>) => Dial
  readonly policy: Reconnect.ReconnectPolicy
  readonly clock: Clock.Clock
  readonly signer: Signer
  /** The exchange's clock, ms. */
  readonly now: Effect.Effect<number, ExchangeError.ExchangeError>
  readonly userId: Effect.Effect<string, ExchangeError.ExchangeError>
  readonly instrumentOf: InstrumentOf
  readonly answerTimeout: Duration.Input
  readonly wanted: () => ReadonlyArray<PrivateTag>
  readonly counters: PrivateCounters
  readonly listener: PrivateLinkListener
}

/** How long a connection that is to be replaced may wait for the other before it is given up. */
const graceMillis = { aged: 600_000, leaseLost: 30_000 } as const

interface Entry {
  readonly topic: PrivateTopic
  phase: "subscribing" | "confirmed" | "refused" | "unsubscribing"
  /** When the exchange must have answered, ms of the monotonic clock. */
  deadline: number
}

export class PrivateLink {
  readonly id: number
  readonly #options: PrivateLinkOptions
  readonly #work = Latch.makeUnsafe(false)
  readonly #entries = new Map<string, Entry>()
  readonly #requests = new Map<number, ReadonlyArray<PrivateTopic>>()
  #connection: Connection | null = null
  #endpoint: PrivateEndpoint | null = null
  #requestId = 0
  /** What the exchange announced, or what ends the connection, to act on behind the batch. */
  #notice: string | null = null
  #fatal: ExchangeError.ExchangeError | null = null
  /** When everything was confirmed, ms of the monotonic clock; null while it is not. */
  readyAt: number | null = null
  /** The connection whose place it takes. */
  replaces: PrivateLink | null = null

  constructor(options: PrivateLinkOptions) {
    this.id = options.id
    this.#options = options
  }

  get connected(): boolean {
    return this.#connection !== null
  }

  get ready(): boolean {
    return this.readyAt !== null
  }

  /** Whether the exchange has confirmed all of this channel. */
  has(channel: PrivateTag): boolean {
    const entries = [...this.#entries.values()].filter(({ topic }) => topic.channel === channel)
    return entries.length > 0 && entries.every(({ phase }) => phase === "confirmed")
  }

  /** What is wanted has changed. */
  changed(): void {
    this.#work.openUnsafe()
  }

  /** Runs until it fails for good or is interrupted. */
  get run(): Effect.Effect<never, ExchangeError.ExchangeError> {
    const { dial, endpoint, listener, policy } = this.#options
    const acquire = Effect.tap(
      Effect.mapError(endpoint, permanent),
      (found) => Effect.sync(() => void (this.#endpoint = found))
    )
    return Reconnect.supervise(dial(acquire), (connection) => this.#live(connection), policy, {
      onConnecting: (attempt) => this.#status({ _tag: "Connecting", attempt }),
      onConnected: () => this.#status({ _tag: "Connected" }),
      onDisconnected: (error, retryIn) => {
        this.#down()
        listener.onDown(this, error)
        this.#status({ _tag: "Disconnected", reason: error.reason._tag, message: error.message, retryIn })
      }
    })
  }

  #now(): number {
    return this.#options.clock.currentTimeMillisUnsafe()
  }

  #status(state: object): void {
    const { exchange, listener } = this.#options
    listener.onStatus({ ...state, exchange, connection: this.id, at: this.#now() } as ConnectionStatus)
  }

  #down(): void {
    if (this.#connection !== null) this.#options.counters.reconnects++
    this.#connection = null
    this.#entries.clear()
    this.#requests.clear()
    this.readyAt = null
  }

  #live(connection: Connection): Effect.Effect<never, ExchangeError.ExchangeError> {
    this.#connection = connection
    this.#notice = null
    this.#fatal = null
    return Effect.raceAllFirst([this.#read(connection), this.#write(connection), this.#lease, this.#age])
  }

  /** A key that cannot be renewed is dead or will be: another connection with a new one takes over. */
  get #lease(): Effect.Effect<never, ExchangeError.ExchangeError> {
    const lease = this.#endpoint?.lease
    if (lease === undefined) return Effect.never
    return lease.pipe(
      Effect.catch((error) => this.#leave(`its lease cannot be kept: ${error.message}`, graceMillis.leaseLost))
    )
  }

  get #age(): Effect.Effect<never, ExchangeError.ExchangeError> {
    const age = this.#endpoint?.rotateAfter
    if (age === undefined) return Effect.never
    return Effect.andThen(Effect.sleep(age), this.#leave("it has reached its age", graceMillis.aged))
  }

  #leave(detail: string, grace: number): Effect.Effect<never, ExchangeError.ExchangeError> {
    return Effect.suspend(() => {
      const over = Effect.fail(this.#ended(detail))
      if (!this.ready) return over
      this.#options.listener.onReplace(this, detail)
      return Effect.andThen(Effect.sleep(Duration.millis(grace)), over)
    })
  }

  #ended(detail: string): ExchangeError.ExchangeError {
    return ExchangeError.make(this.#options.exchange, new ExchangeError.Disconnected({ code: 1012, detail }))
  }

  // -- reading --

  /** One Effect step a batch, plain code inside. */
  #read(connection: Connection): Effect.Effect<never, ExchangeError.ExchangeError> {
    const { instrumentOf, listener, stream } = this.#options
    const codec: PrivateCodec = stream.makeCodec(instrumentOf)
    const sink = this.#sink()
    const onBatch = (batch: Batch): Effect.Effect<void, ExchangeError.ExchangeError> => {
      this.#batch(codec, batch, sink)
      listener.onBatch()
      if (this.#fatal !== null) return Effect.fail(this.#fatal)
      return this.#notice === null ? Effect.void : this.#noticed()
    }
    return Effect.forever(Effect.flatMap(connection.pull, onBatch), { disableYield: true })
  }

  #batch(codec: PrivateCodec, { frames, receivedAt }: Batch, sink: PrivateSink): void {
    const { counters } = this.#options
    counters.frames += frames.length
    for (const frame of frames) codec.decode(frame, receivedAt, sink)
  }

  /** Before everything is confirmed there is nothing to keep: it is dialled anew. */
  #noticed(): Effect.Effect<void, ExchangeError.ExchangeError> {
    const detail = this.#notice ?? ""
    this.#notice = null
    if (!this.ready) return Effect.fail(this.#ended(detail))
    this.#options.listener.onReplace(this, detail)
    return Effect.void
  }

  #sink(): PrivateSink {
    const { counters, listener, signer } = this.#options
    return {
      event: (channel, event) => {
        counters.events++
        listener.onEvent(channel, event)
      },
      acknowledged: (answer) => this.#acknowledged(answer),
      rejected: (answer, refusal) => this.#rejected(answer, refusal),
      pong: () => {},
      closing: (detail) => {
        this.#notice = detail
      },
      ignored: () => {
        counters.ignored++
      },
      failed: (detail) => {
        counters.decodeFailures++
        counters.lastFailure = Auth.cleaner(signer)(detail)
        listener.onUnreadable()
      }
    }
  }

  #answered(answer: Answer): ReadonlyArray<Entry> {
    const id = Number(answer.requestId ?? 0)
    const keys = answer.topics ?? this.#requests.get(id)?.map(({ key }) => key) ?? []
    return keys.flatMap((key) => {
      const entry = this.#entries.get(key)
      return entry === undefined ? [] : [entry]
    })
  }

  #acknowledged(answer: Answer): void {
    const confirmed = new Set<PrivateTag>()
    for (const entry of this.#answered(answer)) {
      if (entry.phase === "unsubscribing") {
        this.#entries.delete(entry.topic.key)
        this.changed()
      } else if (entry.phase === "subscribing" && answer.action !== "unsubscribe") {
        entry.phase = "confirmed"
        confirmed.add(entry.topic.channel)
      }
    }
    // First, so that whoever waits for a channel finds the connection ready.
    this.#check()
    for (const channel of confirmed) this.#settled(channel)
  }

  #settled(channel: PrivateTag): void {
    const open = [...this.#entries.values()].some(({ phase, topic }) =>
      topic.channel === channel && phase !== "confirmed"
    )
    if (!open) this.#options.listener.onConfirmed(channel)
  }

  #rejected(answer: Answer, refusal: Refusal): void {
    const { exchange, listener, signer } = this.#options
    const { class: kind, code } = refusal
    const detail = Auth.cleaner(signer)(refusal.detail)
    const entries = this.#answered(answer).filter(({ phase }) => phase === "subscribing")
    if (kind === "auth") {
      this.#fatal = ExchangeError.make(exchange, new ExchangeError.AuthRejected({ code, detail }))
      return
    }
    for (const entry of entries) {
      const { channel, key } = entry.topic
      const error = ExchangeError.make(
        exchange,
        new ExchangeError.SubscriptionRejected({ channel, topic: key, code, detail, class: kind })
      )
      if (error.isTransient) this.#fatal = error
      else {
        entry.phase = "refused"
        listener.onRefused(channel, error)
      }
    }
    this.#check()
  }

  #check(): void {
    if (this.ready || this.#entries.size === 0) return
    for (const { phase } of this.#entries.values()) if (phase === "subscribing") return
    if (![...this.#entries.values()].some(({ phase }) => phase === "confirmed")) return
    this.readyAt = monotonicMillis(this.#options.clock)
    this.#options.listener.onReady(this)
  }

  // -- writing --

  #write(connection: Connection): Effect.Effect<never, ExchangeError.ExchangeError> {
    const { answerTimeout, stream, userId } = this.#options
    const timeout = Duration.toMillis(answerTimeout)
    const round = Effect.fnUntraced({ self: this }, function*(user: string) {
      this.#work.closeUnsafe()
      yield* this.#expire()
      const topics = this.#options.wanted().flatMap((channel) => stream.topics(channel, user))
      const keys = new Set(topics.map(({ key }) => key))
      const off = [...this.#entries.values()].filter(({ phase, topic }) =>
        phase === "confirmed" && !keys.has(topic.key)
      )
      const on = topics.filter(({ key }) => !this.#entries.has(key))
      if (off.length > 0) yield* this.#send(connection, "unsubscribe", off.map(({ topic }) => topic), timeout)
      if (on.length > 0) yield* this.#send(connection, "subscribe", on, timeout)
    })
    const wait = Effect.suspend(() =>
      this.#isWaiting() ? Effect.timeoutOption(this.#work.await, Duration.millis(timeout / 4)) : this.#work.await
    )
    const user = stream.needsUserId ? Effect.mapError(userId, permanent) : Effect.succeed("")
    return Effect.flatMap(user, (id) => Effect.forever(Effect.andThen(round(id), wait)))
  }

  #isWaiting(): boolean {
    for (const { phase } of this.#entries.values()) {
      if (phase === "subscribing" || phase === "unsubscribing") return true
    }
    return false
  }

  #expire(): Effect.Effect<void, ExchangeError.ExchangeError> {
    return Effect.suspend(() => {
      const now = monotonicMillis(this.#options.clock)
      for (const [key, { deadline, phase, topic }] of this.#entries) {
        if (deadline > now) continue
        if (phase === "unsubscribing") this.#entries.delete(key)
        if (phase === "subscribing") {
          const afterMs = Duration.toMillis(this.#options.answerTimeout)
          return Effect.fail(ExchangeError.make(
            this.#options.exchange,
            new ExchangeError.SubscriptionTimeout({ channel: topic.channel, topic: key, afterMs })
          ))
        }
      }
      return Effect.void
    })
  }

  #send(
    connection: Connection,
    action: "subscribe" | "unsubscribe",
    topics: ReadonlyArray<PrivateTopic>,
    timeout: number
  ): Effect.Effect<void, ExchangeError.ExchangeError> {
    const { now, signer, stream } = this.#options
    return Effect.flatMap(now, (nowMillis) => {
      const stamp = { nowMillis, nextId: () => this.#requestId = (this.#requestId % 2_147_483_647) + 1 }
      return Effect.flatMap(stream[action](topics, stamp, signer), (requests) => {
        // All before the first leaves: its answer alone does not make the connection ready.
        for (const request of requests) this.#mark(action, request, Number.POSITIVE_INFINITY)
        return Effect.forEach(requests, (request) => this.#sendOne(connection, action, request, timeout), {
          discard: true
        })
      })
    })
  }

  #sendOne(
    connection: Connection,
    action: "subscribe" | "unsubscribe",
    request: PrivateRequest,
    timeout: number
  ): Effect.Effect<void, ExchangeError.ExchangeError> {
    return Effect.suspend(() => {
      // Before it leaves: the answer may come before the write returns.
      this.#mark(action, request, monotonicMillis(this.#options.clock) + timeout)
      return connection.write(request.frame)
    })
  }

  #mark(action: "subscribe" | "unsubscribe", request: PrivateRequest, deadline: number): void {
    const phase = action === "subscribe" ? "subscribing" : "unsubscribing"
    this.#requests.set(request.id, request.topics)
    for (const topic of request.topics) this.#entries.set(topic.key, { topic, phase, deadline })
  }
}

/** A refusal of the key is final, whichever way it comes. */
const permanent = (error: ExchangeError.ExchangeError): ExchangeError.ExchangeError => {
  const { exchange, reason } = error
  if (reason._tag !== "RequestFailed" || reason.class !== "auth") return error
  const { code, detail } = reason
  return ExchangeError.make(exchange, new ExchangeError.AuthRejected({ code, detail }))
}
