/** Plain counters: written on the hot path, read by `performance` and by the metrics flush. */
import type { LanePerformance, Percentiles, Performance } from "../PublicWebsocket.ts"

const size = 1024

/** The last 1024 values, in a ring. */
export class Recent {
  readonly #values = new Float64Array(size)
  #count = 0

  add(value: number): void {
    this.#values[this.#count % size] = value
    this.#count++
  }

  get count(): number {
    return this.#count
  }

  /** Values added since `from`, the oldest of them lost when there were more than the ring holds. */
  since(from: number): ReadonlyArray<number> {
    const values: Array<number> = []
    for (let i = Math.max(from, this.#count - size); i < this.#count; i++) values.push(this.#values[i % size]!)
    return values
  }

  /** Of the same at most `most`, evenly spread, and the largest. */
  sampled(from: number, most: number): ReadonlyArray<number> {
    const values = this.since(from)
    if (values.length <= most) return values
    const chosen = Array.from({ length: most }, (_, i) => values[Math.floor((i * values.length) / most)]!)
    const largest = Math.max(...values)
    return chosen.includes(largest) ? chosen : [...chosen, largest]
  }

  percentiles(): Percentiles {
    const sorted = this.#values.slice(0, Math.min(this.#count, size)).sort()
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return { count: this.#count, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
  }
}

export interface LaneCounters {
  /** Events that it brought first, while another connection might have. */
  won: number
  /** Of these, those that another one brought too. */
  shared: number
  /** ms by which it was earlier. */
  readonly headStart: Recent
}

export class Counters {
  frames = 0
  bytes = 0
  events = 0
  delivered = 0
  conflated = 0
  dropped = 0
  abandoned = 0
  unrouted = 0
  duplicates = 0
  stale = 0
  gaps = 0
  decodeFailures = 0
  decoderFallbacks = 0
  handlerFailures = 0
  ignored = 0
  /** Why the last frame could not be read, for the log. */
  lastFailure = ""
  reconnects = 0
  silences = 0
  /** Of them, those behind which nothing had been missed. */
  falseAlarms = 0
  snapshots = 0
  requested = 0
  confirmed = 0
  rejected = 0
  timedOut = 0
  readonly errors = new Map<string, number>()
  readonly gapsByCause = new Map<string, number>()
  /** Received by topics whose own counts are given up, by channel. */
  readonly retired = new Map<string, number>()
  /** ms, one value a batch. */
  readonly processing = new Recent()
  /** ms, one value a batch. */
  readonly age = new Recent()

  /** Redundant connections, by their number from 0. */
  readonly lanes: Array<LaneCounters> = []

  /** Of the redundant connections, this one brought an event first. */
  won(lane: number): void {
    this.#lane(lane).won++
  }

  /** Another one brought it too, so many ms later. */
  shared(lane: number, headStart: number): void {
    const counters = this.#lane(lane)
    counters.shared++
    counters.headStart.add(headStart)
  }

  #lane(lane: number): LaneCounters {
    return this.lanes[lane] ??= { won: 0, shared: 0, headStart: new Recent() }
  }

  /** What each of so many redundant connections gained. */
  lanePerformance(lanes: number): ReadonlyArray<LanePerformance> {
    return Array.from({ length: lanes }, (_, lane) => {
      const { headStart, shared, won } = this.#lane(lane)
      return { lane, won, alone: won - shared, headStart: headStart.percentiles() }
    })
  }

  error(tag: string): void {
    this.errors.set(tag, (this.errors.get(tag) ?? 0) + 1)
  }

  gap(cause: string): void {
    this.gaps++
    this.gapsByCause.set(cause, (this.gapsByCause.get(cause) ?? 0) + 1)
  }

  retire(channel: string, received: number): void {
    this.retired.set(channel, (this.retired.get(channel) ?? 0) + received)
  }

  totals(): Omit<
    Performance,
    "exchange" | "connections" | "connected" | "sockets" | "progress" | "lanes" | "topics" | "heapBytes"
  > {
    return {
      frames: this.frames,
      bytes: this.bytes,
      events: this.events,
      delivered: this.delivered,
      conflated: this.conflated,
      dropped: this.dropped,
      gaps: this.gaps,
      stale: this.stale,
      duplicates: this.duplicates,
      decodeFailures: this.decodeFailures,
      decoderFallbacks: this.decoderFallbacks,
      handlerFailures: this.handlerFailures,
      ignored: this.ignored,
      reconnects: this.reconnects,
      silences: this.silences,
      falseAlarms: this.falseAlarms,
      errors: Object.fromEntries(this.errors),
      subscriptions: {
        requested: this.requested,
        confirmed: this.confirmed,
        rejected: this.rejected,
        timedOut: this.timedOut
      },
      processing: this.processing.percentiles(),
      age: this.age.percentiles()
    }
  }
}
