/**
 * Metric handles of the session and the flush that feeds them: the hot path writes plain counters, four times a second
 * what has been added since goes into the metrics. Sockets, frames and bytes are counted by `connection/ConnectionMetrics`. Names follow OpenTelemetry: dotted, the unit in `attributes.unit`
 * (UCUM), durations in seconds.
 *
 * Attributes: `exchange`; `channel` where a channel is concerned; `error.type`, `reason` or `outcome` where there are
 * kinds. Symbols are never an attribute: a thousand pairs would make a thousand series.
 */
import { Effect, Metric } from "effect"
import type { PublicTag } from "../domain/Channel.ts"
import type { GapCause } from "../domain/Feed.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { Reason } from "../ExchangeError.ts"
import type { Counters, Recent } from "./Counters.ts"
import type { TopicState } from "./Topics.ts"

const counter = (name: string, description: string, unit: string) =>
  Metric.counter(name, { description, attributes: { unit }, incremental: true })

const gauge = (name: string, description: string, unit: string) =>
  Metric.gauge(name, { description, attributes: { unit } })

/** From 10 µs to 10 s. */
const seconds = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]

const histogram = (name: string, description: string) =>
  Metric.histogram(name, { description, attributes: { unit: "s" }, boundaries: seconds })

/** By channel. */
export const received = counter("exchange.events.received", "Events decoded for a subscribed topic", "{event}")
export const delivered = counter("exchange.events.delivered", "Events handed to subscribers", "{event}")
export const conflated = counter(
  "exchange.events.conflated",
  "Replaced by a newer value for a slow subscriber",
  "{event}"
)
export const dropped = counter(
  "exchange.events.dropped",
  "Dropped for a slow subscriber and declared in a gap",
  "{event}"
)
export const stale = counter("exchange.book.stale_updates", "Book updates that the book already held", "{event}")
export const unrouted = counter("exchange.events.unrouted", "Came while nobody was subscribed", "{event}")
export const duplicates = counter("exchange.events.duplicates", "Came by a second connection too", "{event}")
/** By reason: the cause of the gap. */
export const gaps = counter("exchange.gaps", "Breaks reported in band", "{gap}")
/** By outcome: requested, confirmed, rejected, timed_out. */
export const subscriptions = counter("exchange.subscriptions", "Topics by what became of the request", "{topic}")
export const subscriptionSuccess = gauge(
  "exchange.subscription.success_rate",
  "Confirmed of those answered or late",
  "1"
)
export const reconnects = counter(
  "exchange.reconnects",
  "Connections that ended and were dialled again",
  "{connection}"
)
/** By error.type: the tag of the reason. */
export const errors = counter("exchange.errors", "Errors", "{error}")
export const decodeFailures = counter("exchange.decoder.failures", "Frames that could not be read", "{frame}")
export const decoderFallbacks = counter("exchange.decoder.fallbacks", "Frames read by the generic decoder", "{frame}")
export const ignored = counter("exchange.frames.ignored", "Well-formed frames without meaning for us", "{frame}")
export const handlerFailures = counter("exchange.handler.failures", "Handlers that threw", "{error}")
export const snapshots = counter("exchange.book.snapshots", "Book snapshots fetched", "{snapshot}")
export const silences = counter("exchange.silences", "Topics subscribed anew because nothing came", "{topic}")
export const falseAlarms = counter(
  "exchange.silences.false",
  "Of them, those behind which nothing had been missed",
  "{topic}"
)
/** One sample a batch. */
export const processing = histogram("exchange.processing.duration", "From the socket read to the hand-over")
/** One sample a batch; includes the difference of the clocks. */
export const age = histogram("exchange.message.age", "From the exchange's time to the socket read")
/** By lane: one of the redundant sockets, from 0. */
export const won = counter("exchange.redundancy.won", "Events that came by this socket first", "{event}")
export const shared = counter("exchange.redundancy.shared", "Of these, those that another brought too", "{event}")
export const headStart = histogram("exchange.redundancy.head_start", "By how much the first was earlier")
export const connections = gauge("exchange.connections", "Connections wanted", "{connection}")
/** By socket: its place among those that are wanted, from 1; 0 when there are fewer. */
export const socketTopics = gauge("exchange.socket.topics", "Topics on each connection", "{topic}")
/** By channel: the topic that has been quiet longest. */
export const staleness = gauge("exchange.staleness", "Longest time since a subscribed topic's last event", "s")
export const memory = gauge("process.memory.heap", "Heap used by the process", "By")

const gapCauses: ReadonlyArray<GapCause> = [
  "Reconnected",
  "Sequence",
  "Overflow",
  "Silent",
  "Rotated",
  "Unreadable",
  "Rejected"
]

const errorTags: ReadonlyArray<Reason["_tag"]> = [
  "ConnectFailed",
  "Disconnected",
  "Silent",
  "FrameTooLarge",
  "SubscriptionRejected",
  "SubscriptionTimeout",
  "RequestFailed",
  "DecodeFailed"
]

interface Runtime {
  readonly memoryUsage?: () => { readonly heapUsed: number }
}

/** Heap in use, bytes; 0 where the runtime does not tell. */
export const heapBytes = (): number =>
  (globalThis as { readonly process?: Runtime }).process?.memoryUsage?.().heapUsed ?? 0

export interface Present {
  readonly links: ReadonlyArray<{ readonly id: number; readonly size: number }>
  /** Redundant connections of each topic. */
  readonly lanes: number
  readonly bookings: ReadonlyMap<string, { readonly state: TopicState }>
  /** ms. */
  readonly now: number
}

/** A thousand values one by one held up what came next by milliseconds (2026-11-26). */
const samplesPerFlush = 64

type Field = { readonly [K in keyof Counters]: Counters[K] extends number ? K : never }[keyof Counters]

const totals: ReadonlyArray<readonly [Field, Metric.Counter<number>, Record<string, string>]> = [
  ["delivered", delivered, {}],
  ["conflated", conflated, {}],
  ["dropped", dropped, {}],
  ["stale", stale, {}],
  ["unrouted", unrouted, {}],
  ["duplicates", duplicates, {}],
  ["requested", subscriptions, { outcome: "requested" }],
  ["confirmed", subscriptions, { outcome: "confirmed" }],
  ["rejected", subscriptions, { outcome: "rejected" }],
  ["timedOut", subscriptions, { outcome: "timed_out" }],
  ["reconnects", reconnects, {}],
  ["decodeFailures", decodeFailures, {}],
  ["decoderFallbacks", decoderFallbacks, {}],
  ["ignored", ignored, {}],
  ["handlerFailures", handlerFailures, {}],
  ["snapshots", snapshots, {}],
  ["silences", silences, {}],
  ["falseAlarms", falseAlarms, {}]
]

/**
 * Feeds one session's counters into the metrics. Those of several sessions of one exchange add up; a gauge
 * shows the session that wrote last.
 */
export const make = Effect.fnUntraced(function*(exchange: ExchangeId, counters: Counters) {
  const context = yield* Effect.context<never>()
  const flushed = new Map<string, number>()
  const resolved = new Map<string, Metric.Metric<number, unknown>>()

  const seriesOf = (metric: Metric.Metric<number, unknown>, name: string, attributes: Record<string, string>) => {
    const known = resolved.get(name)
    if (known !== undefined) return known
    const series = Metric.withAttributes(metric, { exchange, ...attributes })
    resolved.set(name, series)
    return series
  }

  const add = (
    metric: Metric.Counter<number>,
    name: string,
    total: number,
    attributes: Record<string, string>
  ): void => {
    const delta = total - (flushed.get(name) ?? 0)
    const series = seriesOf(metric, name, attributes)
    if (delta <= 0 && flushed.has(name)) return
    flushed.set(name, total)
    series.updateUnsafe(delta, context)
  }

  const set = (metric: Metric.Gauge<number>, name: string, value: number, attributes: Record<string, string>): void =>
    seriesOf(metric, name, attributes).updateUnsafe(value, context)

  const samples = (
    metric: Metric.Histogram<number>,
    name: string,
    recent: Recent,
    attributes: Record<string, string> = {}
  ): void => {
    const series = seriesOf(metric, name, attributes)
    for (const millis of recent.sampled(flushed.get(name) ?? 0, samplesPerFlush)) {
      series.updateUnsafe(millis / 1000, context)
    }
    flushed.set(name, recent.count)
  }

  const byChannel = (present: Present): void => {
    const counts = new Map<PublicTag, { received: number; quiet: number }>()
    for (const { state } of present.bookings.values()) {
      const channel = state.topic.channel
      const count = counts.get(channel) ?? { received: counters.retired.get(channel) ?? 0, quiet: 0 }
      count.received += state.received
      if (state.routes.length > 0 && state.confirmedAt > 0) {
        count.quiet = Math.max(count.quiet, present.now - Math.max(state.lastEventAt, state.confirmedAt))
      }
      counts.set(channel, count)
    }
    for (const [channel, count] of counts) {
      add(received, `received.${channel}`, count.received, { channel })
      set(staleness, `staleness.${channel}`, count.quiet / 1000, { channel })
    }
  }

  /** Places that have a series above 0. */
  let sockets: ReadonlySet<number> = new Set()

  /** Places are numbered anew from 1, so that connections that come and go do not leave ever more series. */
  const bySocket = ({ links }: Present): void => {
    const present = new Set<number>()
    links.forEach(({ size }, index) => {
      present.add(index + 1)
      set(socketTopics, `socket.${index + 1}`, size, { socket: String(index + 1) })
    })
    for (const index of sockets) {
      if (!present.has(index)) set(socketTopics, `socket.${index}`, 0, { socket: String(index) })
    }
    sockets = present
  }

  const byLane = ({ lanes }: Present): void => {
    if (lanes < 2) return
    counters.lanes.forEach((counts, index) => {
      const attributes = { lane: String(index) }
      add(won, `won.${index}`, counts.won, attributes)
      add(shared, `shared.${index}`, counts.shared, attributes)
      samples(headStart, `head.${index}`, counts.headStart, attributes)
    })
  }

  // A series that appears with its first count hides that count from a rate.
  for (const cause of gapCauses) add(gaps, `gap.${cause}`, 0, { reason: cause })
  for (const tag of errorTags) add(errors, `error.${tag}`, 0, { "error.type": tag })

  return {
    flush: (present: Present): void => {
      for (const [field, metric, attributes] of totals) add(metric, field, counters[field], attributes)
      for (const [tag, count] of counters.errors) add(errors, `error.${tag}`, count, { "error.type": tag })
      for (const [cause, count] of counters.gapsByCause) add(gaps, `gap.${cause}`, count, { reason: cause })
      const answered = counters.confirmed + counters.rejected + counters.timedOut
      set(subscriptionSuccess, "success", answered === 0 ? 1 : counters.confirmed / answered, {})
      samples(processing, "processing", counters.processing)
      samples(age, "age", counters.age)
      set(connections, "links", present.links.length, {})
      bySocket(present)
      byLane(present)
      memory.updateUnsafe(heapBytes(), context)
      byChannel(present)
    }
  }
})
