/**
 * What the connections of an exchange do, as metrics named and measured after OpenTelemetry. Every series carries
 * `exchange`. Counting happens per batch, never per frame.
 */
import { Cause, Clock, type Context, Effect, Exit, Metric, type Scope } from "effect"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import { ExchangeError } from "../ExchangeError.ts"
import type { Batch, Connection, Dial, FrameReader, OutFrame } from "./Connection.ts"

const counter = (exchange: ExchangeId, name: string, unit: string, description: string) =>
  Metric.counter(`exchange.ws.${name}`, { description, incremental: true, attributes: { exchange, unit } })

/** The handles of one exchange. Two calls for one exchange address the same series. */
export const make = (exchange: ExchangeId) => ({
  /** `exchange.ws.connections.opened`. */
  opened: counter(exchange, "connections.opened", "{connection}", "Sockets that opened"),
  /** `exchange.ws.connections.failed`, also by `reason`, the tag of the error: attempts that did not open. */
  failed: counter(exchange, "connections.failed", "{connection}", "Sockets that could not be opened"),
  /** `exchange.ws.connections.ended`, also by `reason`: the error's tag, `Closed` or `Interrupted` when it was ours. */
  ended: counter(exchange, "connections.ended", "{connection}", "Open sockets that ended"),
  /** `exchange.ws.connections.active`. */
  active: Metric.gauge("exchange.ws.connections.active", {
    description: "Sockets that are open now",
    attributes: { exchange, unit: "{connection}" }
  }),
  /** `exchange.ws.connect.duration`, s: from dialling to an open socket that is ready for use. */
  connectDuration: Metric.histogram("exchange.ws.connect.duration", {
    description: "How long opening took",
    attributes: { exchange, unit: "s" },
    boundaries: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  }),
  /** `exchange.ws.frames.received`: frames that were pulled. */
  framesReceived: counter(exchange, "frames.received", "{frame}", "Frames received"),
  /** `exchange.ws.bytes.received`: their payloads, inflated. */
  bytesReceived: counter(exchange, "bytes.received", "By", "Payload received"),
  /** `exchange.ws.frames.sent`. */
  framesSent: counter(exchange, "frames.sent", "{frame}", "Frames sent"),
  /** `exchange.ws.bytes.sent`: their payloads before compression. */
  bytesSent: counter(exchange, "bytes.sent", "By", "Payload sent")
})

export type ConnectionMetrics = ReturnType<typeof make>

export interface MetricsOptions {
  readonly exchange: ExchangeId
}

/** Counts what a dial and its connections do. Applied last, it also counts handshakes that fail. */
export const withMetrics = ({ exchange }: MetricsOptions) => {
  const metrics = make(exchange)
  return <R>(self: Dial<R>): Dial<R> => measuredDial(self, metrics)
}

const measuredDial = Effect.fnUntraced(function*<R>(
  self: Dial<R>,
  metrics: ConnectionMetrics
): Effect.fn.Return<Connection, ExchangeError, R | Scope.Scope> {
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const started = monotonicMillis(clock)
  const connection = yield* Effect.tapError(
    self,
    (error) =>
      Effect.sync(() => Metric.withAttributes(metrics.failed, { reason: error.reason._tag }).updateUnsafe(1, context))
  )
  metrics.connectDuration.updateUnsafe((monotonicMillis(clock) - started) / 1000, context)
  return yield* measured(connection, metrics, context)
})

/** What a reader was handed directly shows up so late at most. */
const flushEvery = "1 second"

const measured = Effect.fnUntraced(function*(
  connection: Connection,
  metrics: ConnectionMetrics,
  context: Context.Context<never>
) {
  let reason: string | undefined
  metrics.opened.updateUnsafe(1, context)
  metrics.active.modifyUnsafe(1, context)
  yield* Effect.addFinalizer((exit) =>
    Effect.sync(() => {
      metrics.active.modifyUnsafe(-1, context)
      Metric.withAttributes(metrics.ended, { reason: reason ?? reasonOf(exit) }).updateUnsafe(1, context)
    })
  )
  /** What was read since the last flush: a metric costs as much as decoding a frame does. */
  let frames = 0
  let bytes = 0
  const flush = (): void => {
    if (frames === 0) return
    metrics.framesReceived.updateUnsafe(frames, context)
    metrics.bytesReceived.updateUnsafe(bytes, context)
    frames = bytes = 0
  }
  const received = (batch: Batch): Batch => {
    frames += batch.frames.length
    bytes += batch.bytes
    flush()
    return batch
  }
  const counted = (reader: FrameReader): FrameReader => ({
    frame: reader.frame,
    turn: (turnFrames, turnBytes, receivedAt) => {
      frames += turnFrames
      bytes += turnBytes
      return reader.turn(turnFrames, turnBytes, receivedAt)
    }
  })
  const { direct } = connection.pull
  if (direct !== undefined) {
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(flushEvery), Effect.sync(flush))))
    yield* Effect.addFinalizer(() => Effect.sync(flush))
  }
  const ended = (error: ExchangeError): ExchangeError => {
    reason ??= error.reason._tag
    return error
  }
  const sent = (frame: OutFrame) => () => {
    metrics.framesSent.updateUnsafe(1, context)
    metrics.bytesSent.updateUnsafe(byteLength(frame), context)
  }
  const self: Connection = {
    ...connection,
    pull: Object.assign(Effect.mapBoth(connection.pull, { onSuccess: received, onFailure: ended }), {
      direct: direct && ((reader: FrameReader) => direct(counted(reader)))
    }),
    write: (frame) => Effect.tap(connection.write(frame), Effect.sync(sent(frame)))
  }
  return self
})

const encoder = new TextEncoder()

const byteLength = (frame: OutFrame): number => (typeof frame === "string" ? encoder.encode(frame) : frame).length

/** Why a scope closed while its connection was still alive. */
const reasonOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "Closed"
  const error = Cause.squash(exit.cause)
  if (error instanceof ExchangeError) return error.reason._tag
  return Cause.hasInterruptsOnly(exit.cause) ? "Interrupted" : "Defect"
}
