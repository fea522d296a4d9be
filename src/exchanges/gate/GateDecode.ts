/**
 * Frames to events. The scanner reads the layouts that Gate sends often; every other data frame goes through `JSON.parse`
 * and schemas, is counted as a fallback where the scanner should have read it, and yields the same events. Nothing
 * reaches the sink before the whole frame is known to be good. Source: Gate WebSocket v4 documents, spot (2026-07-25) and
 * futures (2026-08-20).
 */
import { Option, Result, Schema } from "effect"
import type { MarketEvent } from "../../domain/Market.ts"
import type { Answer, Codec, CodecContext, Sink, Topic } from "../../ExchangeAdapter.ts"
import * as GateErrors from "./GateErrors.ts"
import type { Deliver } from "./GateFast.ts"
import { deliverer } from "./GateFast.ts"
import type { Read } from "./GateGeneric.ts"
import { brief, optionalTime, reader, readResult } from "./GateGeneric.ts"
import { dataEvent, scannedChannels, scannedStreams } from "./GateLayouts.ts"
import type { Product, Stream } from "./GateProduct.ts"
import { streamOf } from "./GateProduct.ts"
import * as GateRequests from "./GateRequests.ts"
import { Scanner } from "./GateScanner.ts"
import { TickerReader } from "./GateTicker.ts"
import { textOf, Topics } from "./GateTopics.ts"
import * as GateWire from "./GateWire.ts"

const readEnvelope = reader(GateWire.Envelope)
const readNotice = Schema.decodeUnknownOption(GateWire.Notice)
const readError = Schema.decodeUnknownOption(GateWire.WireError)
const readStatus = Schema.decodeUnknownOption(GateWire.Status)

/** What a connection's frames are read with. */
interface Context {
  readonly product: Product
  readonly topics: Topics
  /** What the scanner should have read. */
  readonly scanned: ReadonlySet<Stream>
}

const parseFrame = (bytes: Uint8Array): Read<GateWire.Envelope> => {
  const text = textOf(bytes)
  if (text === null) return Result.fail("not UTF-8")
  let value: unknown
  try {
    value = GateWire.parseJson(text)
  } catch (error) {
    // A SyntaxError, or a RangeError where brackets are nested thousands deep.
    return Result.fail(brief(`not JSON: ${String(error)}`))
  }
  return readEnvelope(value)
}

const decodeGeneric = (context: Context, bytes: Uint8Array, receivedAt: number, sink: Sink): void => {
  const envelope = parseFrame(bytes)
  if (Result.isFailure(envelope)) return sink.failed(envelope.failure)
  route(context, envelope.success, receivedAt, sink)
}

const route = (context: Context, envelope: GateWire.Envelope, receivedAt: number, sink: Sink): void => {
  const { prefix } = context.product
  const channel = envelope.channel ?? ""
  const event = envelope.event ?? ""
  if (channel === `${prefix}.pong`) return sink.pong()
  if (channel === `${prefix}.system`) return notice(channel, envelope, sink)
  if (event === "subscribe" || event === "unsubscribe") return answer(context, channel, event, envelope, sink)
  if (isError(envelope.error)) {
    return reject(context, { action: "unknown", ...asked(context, channel, envelope) }, envelope.error, sink)
  }
  const stream = streamOf(context.product, channel)
  if (stream !== null && isData(context.product, stream, event)) {
    return data(context, channel, stream, envelope, receivedAt, sink)
  }
  sink.ignored(brief(`channel ${JSON.stringify(channel)}, event ${JSON.stringify(event)}`))
}

/** The event's name is left out in the documented samples of `obu`, so a missing one means data. */
const isData = (product: Product, stream: Stream, event: string): boolean =>
  event === "" || event === dataEvent(product, stream)

const data = (
  { product, scanned, topics }: Context,
  channel: string,
  stream: Stream,
  envelope: GateWire.Envelope,
  receivedAt: number,
  sink: Sink
): void => {
  const sentAt = optionalTime(envelope.time_ms)
  const decoded = readResult({ product, topics, receivedAt, sentAt }, stream, envelope.result)
  if (Result.isSuccess(decoded) && decoded.success.length === 0) return sink.ignored(`${channel}: an empty list`)
  if (scanned.has(stream)) sink.fallback()
  if (Result.isFailure(decoded)) return sink.failed(`${channel}: ${decoded.failure}`)
  for (const { event, topic } of decoded.success) sink.event(topic, event)
}

/** Since 2026-02-12 Gate announces an upgrade shortly before it closes the connection. */
const notice = (channel: string, envelope: GateWire.Envelope, sink: Sink): void => {
  const { type, msg } = Option.getOrElse(readNotice(envelope.result), (): typeof GateWire.Notice.Type => ({}))
  if (type === "upgrade" || envelope.event === "upgrade") return sink.closing(brief(msg ?? "service upgrade"))
  sink.ignored(brief(`${channel} notice ${JSON.stringify(type ?? null)}`))
}

const isError = (error: unknown): boolean => error !== undefined && error !== null

/** What an answer is about: the id we sent, the topics it repeats, either or both. */
const asked = (
  { product }: Context,
  channel: string,
  envelope: GateWire.Envelope
): Pick<Answer, "requestId" | "topics"> => ({
  requestId: typeof envelope.id === "number" || typeof envelope.id === "string" ? envelope.id : null,
  topics: GateRequests.answerTopics(product, channel, envelope.payload)
})

/** Decided by `error`; without one, only the status "success" is a success. */
const answer = (
  context: Context,
  channel: string,
  action: "subscribe" | "unsubscribe",
  envelope: GateWire.Envelope,
  sink: Sink
): void => {
  const about: Answer = { action, ...asked(context, channel, envelope) }
  if (isError(envelope.error)) return reject(context, about, envelope.error, sink)
  const status = Option.getOrNull(readStatus(envelope.result))?.status ?? null
  if (status !== "success") {
    const detail = brief(`answered without error and with the status ${JSON.stringify(status)}`)
    return sink.rejected(about, { code: "status", detail, class: "retryable" })
  }
  context.topics.answered(action, channel, envelope.payload)
  sink.acknowledged(about)
}

const reject = (context: Context, about: Answer, error: unknown, sink: Sink): void => {
  const { code, message } = errorText(error)
  const duplicate = GateErrors.duplicateOf(code, message)
  // The wanted state exists. In a list the other topics' fate is unknown, so there the list counts as refused.
  if (duplicate !== null && isAbout(context.product, about, duplicate)) return sink.acknowledged(about)
  sink.rejected(about, GateErrors.refusal(code, message))
}

const isAbout = (product: Product, about: Answer, stream: string): boolean =>
  about.action === "subscribe" && about.topics?.length === 1 &&
  about.topics[0] === GateRequests.keyOf(product, "obu", stream)

const errorText = (error: unknown): { readonly code: string; readonly message: string } => {
  const { code, label, message } = Option.getOrElse(readError(error), (): typeof GateWire.WireError.Type => ({
    message: `an error of unknown shape: ${typeof error === "object" ? "an object" : String(error)}`
  }))
  return { code: String(code ?? label ?? "none"), message: brief(message ?? "") }
}

// ---- Codec ----

/** Holds what a list brings until all of it is known to be good. */
class Pending {
  private readonly topics: Array<Topic> = []
  private readonly events: Array<MarketEvent> = []

  event(topic: Topic, event: MarketEvent): void {
    this.topics.push(topic)
    this.events.push(event)
  }

  flush(sink: Sink): void {
    for (let i = 0; i < this.topics.length; i++) sink.event(this.topics[i]!, this.events[i]!)
    this.clear()
  }

  clear(): void {
    this.topics.length = 0
    this.events.length = 0
  }
}

export const make = (product: Product, codecContext: CodecContext): Codec => {
  const topics = new Topics(product, codecContext)
  const streams = scannedStreams(product)
  const context: Context = { product, topics, scanned: new Set(streams) }
  const scanner = new Scanner(scannedChannels(product))
  const deliverers = streams.map((stream) => deliverer(product, stream))
  const tickers = new TickerReader(product, topics.ticker)
  const pending = new Pending()

  const list = (deliver: Deliver, bytes: Uint8Array, receivedAt: number, sink: Sink): boolean => {
    for (let i = 0; i < scanner.count; i++) {
      scanner.select(i)
      if (deliver(topics, scanner, bytes, receivedAt, pending)) continue
      pending.clear()
      return false
    }
    pending.flush(sink)
    return true
  }

  const fast = (bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): boolean => {
    if (!scanner.scan(bytes, start, end)) return false
    const deliver = deliverers[scanner.channel]!
    // The fields of a single object are there already.
    return scanner.count === 1
      ? deliver(topics, scanner, bytes, receivedAt, sink)
      : list(deliver, bytes, receivedAt, sink)
  }

  const decodeIn = (bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink): void => {
    if (tickers.decode(bytes, start, end, receivedAt, sink)) return
    if (!fast(bytes, start, end, receivedAt, sink)) {
      decodeGeneric(context, bytes.subarray(start, end), receivedAt, sink)
    }
  }

  return { decode: (frame, receivedAt, sink) => decodeIn(frame, 0, frame.length, receivedAt, sink), decodeIn }
}
