/** What `exchange decode` does with a line: a frame in JSON goes through an exchange's codec, an answer in JSON comes out. */
import { Predicate, Result, Schema } from "effect"
import type { OutFrame } from "../connection/Connection.ts"
import type { Instrument, InstrumentOf } from "../domain/Instrument.ts"
import type { MarketEvent } from "../domain/Market.ts"
import type { Answer, Codec, CodecContext, ExchangeAdapter, Refusal, Sink, Topic } from "../ExchangeAdapter.ts"
import * as EventJson from "./EventJson.ts"
import type { JsonObject } from "./EventJson.ts"

export interface Counts {
  lines: number
  events: number
  control: number
  ignored: number
  errors: number
  fallbacks: number
}

const Raw = Schema.Union([Schema.String, Schema.Struct({ hex: Schema.String })])

const Line = Schema.Struct({ raw: Raw, receivedAt: Schema.optional(Schema.NullOr(Schema.Finite)) })

const decodeLine = Schema.decodeUnknownResult(Line)

/** What a line asks for, as far as it can be answered under its own id. */
interface Frame {
  readonly id: string | number | null
  readonly bytes: Uint8Array
  readonly receivedAt: number | null
}

interface BadLine {
  readonly id: string | number | null
  readonly message: string
}

const utf8 = new TextEncoder()
const strictUtf8 = new TextDecoder("utf-8", { fatal: true })

const parseJson = (line: Uint8Array): Result.Result<unknown, string> => {
  try {
    return Result.succeed(JSON.parse(strictUtf8.decode(line)))
  } catch (error) {
    return Result.fail(`the line is no JSON: ${(error as Error).message}`)
  }
}

const idOf = (value: object): string | number | null => {
  const { id } = value as { readonly id?: unknown }
  return Predicate.isString(id) || Predicate.isNumber(id) ? id : null
}

const bytesOf = (raw: typeof Raw.Type): Uint8Array | null => {
  if (Predicate.isString(raw)) return utf8.encode(raw)
  const bytes = Buffer.from(raw.hex, "hex")
  // Buffer stops at the first character that is no hexadecimal digit.
  return bytes.length * 2 === raw.hex.length ? bytes : null
}

const readLine = (line: Uint8Array): Result.Result<Frame, BadLine> => {
  const parsed = parseJson(line)
  if (Result.isFailure(parsed)) return Result.fail({ id: null, message: parsed.failure })
  const value = parsed.success
  if (!Predicate.isObject(value)) return Result.fail({ id: null, message: "the line is no JSON object" })
  const id = idOf(value)
  const decoded = decodeLine(value)
  if (Result.isFailure(decoded)) {
    return Result.fail({ id, message: `raw is to be text or {"hex": …}, receivedAt ms: ${decoded.failure.message}` })
  }
  const { raw, receivedAt } = decoded.success
  const bytes = bytesOf(raw)
  if (bytes === null) return Result.fail({ id, message: "hex is no pairs of hexadecimal digits" })
  return Result.succeed({ id, bytes, receivedAt: receivedAt ?? null })
}

/** What came of a frame: filled by the codec through the sink, read once, emptied for the next. */
class Outcome implements Sink {
  events: Array<JsonObject> = []
  #control: JsonObject | null = null
  #failure: string | null = null
  readonly #counts: Counts
  readonly #kind: Instrument["kind"]

  constructor(counts: Counts, kind: Instrument["kind"]) {
    this.#counts = counts
    this.#kind = kind
  }

  readonly event = (_topic: Topic, event: MarketEvent): void => {
    this.events.push(EventJson.event(event, this.#kind))
  }

  readonly acknowledged = (answer: Answer): void => {
    // One frame of MEXC can accept some topics and refuse others: what was refused must not go under.
    this.#control = this.#control === null
      ? { kind: "ack", ...answerJson(answer) }
      : { ...this.#control, accepted: answer.topics }
  }

  readonly rejected = (answer: Answer, refusal: Refusal): void => {
    const accepted = this.#control === null ? {} : { accepted: this.#control["topics"] }
    const { code, detail } = refusal
    this.#control = { kind: "rejection", ...answerJson(answer), code, detail, class: refusal.class, ...accepted }
  }

  readonly pong = (): void => {
    this.#control = { kind: "pong", ...unasked }
  }

  readonly reply = (frame: OutFrame): void => {
    const reply = Predicate.isString(frame) ? frame : { hex: Buffer.from(frame).toString("hex") }
    this.#control = { kind: "notice", ...unasked, detail: "the exchange pings", reply }
  }

  readonly closing = (detail: string): void => {
    this.#control = { kind: "notice", ...unasked, detail }
  }

  readonly ignored = (): void => {
    this.#counts.ignored++
  }

  readonly failed = (detail: string): void => {
    this.#failure = detail
  }

  readonly fallback = (): void => {
    this.#counts.fallbacks++
  }

  take(): JsonObject {
    const { events } = this
    const control = this.#control
    const failure = this.#failure
    this.events = []
    this.#control = null
    this.#failure = null
    if (failure !== null) {
      this.#counts.errors++
      return { error: { _tag: "DecodeFailed", message: failure } }
    }
    this.#counts.events += events.length
    if (events.length > 0 || control === null) return { events }
    this.#counts.control++
    return { control }
  }
}

const unasked = { action: "unknown", requestId: null, topics: null }

const answerJson = (answer: Answer): JsonObject => ({
  action: answer.action,
  requestId: answer.requestId === null ? null : String(answer.requestId),
  topics: answer.topics
})

/** A line longer than this is answered with an error instead of being held. */
export const longestLine = 64 * 1024 * 1024

const newline = 10

/** Topics that know what is known of their symbols, and belong to nobody. */
export const contextOf = ({ kind }: ExchangeAdapter, instrumentOf: InstrumentOf): CodecContext => ({
  topicOf: (key, channel, symbol) => ({
    key,
    channel,
    symbol,
    pair: instrumentOf(symbol)?.pair ?? null,
    contractSize: instrumentOf(symbol)?.contractSize ?? (kind === "spot" ? 1 : null),
    slot: null
  }),
  instrumentOf
})

export interface FrameDecoderOptions {
  readonly adapter: ExchangeAdapter
  readonly instrumentOf: InstrumentOf
  /** ms, for lines that do not say when they were received. */
  readonly now: () => number
}

/** Bytes of lines in, text of lines out. Holds at most one line. */
export class FrameDecoder {
  readonly counts: Counts = { lines: 0, events: 0, control: 0, ignored: 0, errors: 0, fallbacks: 0 }
  readonly #codec: Codec
  readonly #outcome: Outcome
  readonly #now: () => number
  /** The pieces of a line whose end has not come. */
  #pieces: Array<Uint8Array> = []
  #held = 0

  constructor({ adapter, instrumentOf, now }: FrameDecoderOptions) {
    this.#outcome = new Outcome(this.counts, adapter.kind)
    this.#now = now
    this.#codec = adapter.makeCodec(contextOf(adapter, instrumentOf))
  }

  /** The answers to the lines that end in these bytes. */
  push(bytes: Uint8Array): string {
    let text = ""
    let start = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      this.#hold(bytes.subarray(start, end))
      text += this.#endLine()
      start = end + 1
    }
    // A copy: the buffer may be used again for the next read. (A Buffer's own slice would share its memory.)
    if (start < bytes.length) this.#hold(new Uint8Array(bytes.subarray(start)))
    return text
  }

  /** The answer to a last line without its newline. */
  end(): string {
    return this.#held === 0 ? "" : this.#endLine()
  }

  #hold(piece: Uint8Array): void {
    this.#held += piece.length
    if (this.#held > longestLine) this.#pieces = []
    else this.#pieces.push(piece)
  }

  #endLine(): string {
    const tooLong = this.#held > longestLine
    const line = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#held = 0
    this.counts.lines++
    const answer = tooLong ? this.#bad({ id: null, message: `longer than ${longestLine} bytes` }) : this.#answer(line)
    return `${JSON.stringify(answer)}\n`
  }

  #answer(line: Uint8Array): JsonObject {
    const frame = readLine(line)
    if (Result.isFailure(frame)) return this.#bad(frame.failure)
    const { id, bytes, receivedAt } = frame.success
    try {
      this.#codec.decode(bytes, receivedAt ?? this.#now(), this.#outcome)
    } catch (defect) {
      // A codec promises not to throw; should one do it all the same, the other lines still get their answers.
      this.#outcome.failed(`the codec failed: ${String(defect)}`)
    }
    return { id, ...this.#outcome.take() }
  }

  #bad({ id, message }: BadLine): JsonObject {
    this.counts.errors++
    return { id, error: { _tag: "InvalidLine", message } }
  }
}

export const noInstruments: InstrumentOf = () => undefined
