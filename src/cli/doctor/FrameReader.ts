/** Reads the frames of one connection a second time, beside the session, and keeps what each of them held. */
import type { OutFrame } from "../../connection/Connection.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { MarketEvent } from "../../domain/Market.ts"
import type { Answer, Codec, ExchangeAdapter, Refusal, Sink, Topic } from "../../ExchangeAdapter.ts"
import { contextOf } from "../FrameDecoder.ts"

/** A frame and what the adapter's decoder made of it. */
export interface SeenFrame {
  /** A copy: it may be kept. */
  readonly bytes: Uint8Array
  /** ms. */
  readonly receivedAt: number
  readonly events: ReadonlyArray<{ readonly topic: Topic; readonly event: MarketEvent }>
  readonly acknowledged: ReadonlyArray<Answer>
  readonly rejected: ReadonlyArray<{ readonly answer: Answer; readonly refusal: Refusal }>
  readonly isPong: boolean
  /** Details of what was well-formed and means nothing to us. */
  readonly ignored: ReadonlyArray<string>
  /** Details of what could not be read. */
  readonly failed: ReadonlyArray<string>
  readonly isFallback: boolean
}

class Seen implements SeenFrame {
  readonly bytes: Uint8Array
  readonly receivedAt: number
  readonly events: Array<{ readonly topic: Topic; readonly event: MarketEvent }> = []
  readonly acknowledged: Array<Answer> = []
  readonly rejected: Array<{ readonly answer: Answer; readonly refusal: Refusal }> = []
  readonly ignored: Array<string> = []
  readonly failed: Array<string> = []
  isPong = false
  isFallback = false

  constructor(bytes: Uint8Array, receivedAt: number) {
    this.bytes = bytes
    this.receivedAt = receivedAt
  }
}

export class FrameReader implements Sink {
  readonly #codec: Codec
  #frame = new Seen(new Uint8Array(), 0)

  constructor(adapter: ExchangeAdapter, instrumentOf: InstrumentOf) {
    this.#codec = adapter.makeCodec(contextOf(adapter, instrumentOf))
  }

  read(frame: Uint8Array, receivedAt: number): SeenFrame {
    // A copy: the frame may be a view of a buffer that is used again.
    const seen = new Seen(new Uint8Array(frame), receivedAt)
    this.#frame = seen
    this.#codec.decode(frame, receivedAt, this)
    return seen
  }

  readonly event = (topic: Topic, event: MarketEvent): void => void this.#frame.events.push({ topic, event })
  readonly acknowledged = (answer: Answer): void => void this.#frame.acknowledged.push(answer)
  readonly rejected = (answer: Answer, refusal: Refusal): void => void this.#frame.rejected.push({ answer, refusal })
  readonly pong = (): void => {
    this.#frame.isPong = true
  }
  readonly reply = (_frame: OutFrame): void => {}
  readonly closing = (_detail: string): void => {}
  readonly ignored = (detail: string): void => void this.#frame.ignored.push(detail)
  readonly failed = (detail: string): void => void this.#frame.failed.push(detail)
  readonly fallback = (): void => {
    this.#frame.isFallback = true
  }
}

const longestText = 400
const longestBytes = 160

/** Text, or null for a binary frame. */
export const textOf = (bytes: Uint8Array): string | null => {
  try {
    const text = utf8.decode(bytes)
    return printable.test(text) ? text : null
  } catch {
    return null
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true })
const printable = /^[^\p{Cc}]*$/u

/** The beginning of a frame, as text or in hexadecimal digits. */
export const excerpt = (bytes: Uint8Array): string => {
  const text = textOf(bytes)
  if (text !== null) return text.length > longestText ? `${text.slice(0, longestText)}…` : text
  const hex = Buffer.from(bytes.subarray(0, longestBytes)).toString("hex")
  return bytes.length > longestBytes ? `${hex}… (${bytes.length} bytes)` : hex
}
