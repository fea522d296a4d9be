/**
 * How a journal looks as bytes, version 1. `docs/recording.md` describes it for other programs.
 *
 * A file is a preamble and blocks. The preamble: 8 bytes magic, one byte version, one byte compression, two bytes zero,
 * the length of the header (u32) and the header as JSON. A block: its stored length (u32), its length before compression
 * (u32), its bytes. A block holds whole entries: kind (u8), length (u32), payload. All numbers are little-endian.
 */
import { Schema } from "effect"
import type { PublicChannel } from "../domain/Channel.ts"
import type { ConnectionStatus, GapCause } from "../domain/Feed.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { OutFrame } from "./Connection.ts"

/** Not a recording, or one that this version cannot read, or the file could not be read or written. */
export class JournalError extends Schema.TaggedError<JournalError>("effect-exchange/JournalError")("JournalError", {
  /** `foreign`: no journal. `version`: written by a newer version. `damaged`: the beginning cannot be read. */
  kind: Schema.Literals(["foreign", "version", "damaged", "exchange", "file"]),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

export const version = 1

/** As PNG's: a first byte that no text begins with, and both line ends, so that a transfer as text is noticed. */
const magic = Uint8Array.of(0x8b, 0x45, 0x58, 0x4a, 0x0d, 0x0a, 0x1a, 0x0a)

/** What is known when a recording begins. */
export interface Header {
  readonly exchange: ExchangeId
  /** Version of this package; null where it was not said. */
  readonly package: string | null
  /** ms since the epoch. */
  readonly startedAt: number
  readonly pairs: ReadonlyArray<TradingPair>
  readonly channels: ReadonlyArray<string>
  /** Whatever else the recorder was told: options, a label. */
  readonly about: Readonly<Record<string, unknown>>
}

/** An answer over HTTP, or why there was none. */
export interface Answer {
  readonly _tag: "Answer"
  readonly answer: number
  readonly at: number
  /** Whether it was asked for a book: each is used once, the others are the same at any time. */
  readonly book: boolean
  /** Method and address, without what the base URL says: `GET /spot/time?a=b`. */
  readonly request: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Why no answer came; null when one did. */
  readonly failure: string | null
}

/** What a session did to a topic that does not follow from the frames. */
export type Decision =
  & {
    /** Number of the topic. */
    readonly topic: number
    /** ms. */
    readonly at: number
    /** Behind so many events of the batch before it. */
    readonly after: number
    /** So often were consumers woken since that batch began: what has one number reached them together. */
    readonly turn: number
  }
  & (
    | { readonly _tag: "Confirmed" }
    /** Who waited for the subscription was told this. */
    | { readonly _tag: "Refused"; readonly error: unknown }
    /** Nobody holds it any more. */
    | { readonly _tag: "Dropped" }
    | { readonly _tag: "Interrupted"; readonly cause: GapCause; readonly lost: number | null }
    | { readonly _tag: "Lapsed"; readonly cause: GapCause }
    /** Its subscribers were told of a break: that follows from the frames and the other decisions, its time does not. */
    | { readonly _tag: "Break"; readonly cause: GapCause }
    /** A held snapshot was shown although no delta had met it. */
    | { readonly _tag: "Released" }
    /** A fetched snapshot: read from the answer of that number, or `book` itself where there is none. */
    | {
      readonly _tag: "Snapshot"
      readonly answer: number | null
      readonly attempt: number
      readonly receivedAt: number
      readonly book: unknown
    }
    | { readonly _tag: "Failed"; readonly error: unknown; readonly scope: "topic" | "connection" }
    /** What a connection is to the topic, see `session/Lanes`. */
    | { readonly _tag: "Lane"; readonly link: number; readonly group: number; readonly step: LaneStep }
  )

/**
 * `Placed`: it is to carry the topic. `Live`: the exchange has confirmed it. `Lost`: what follows on it is another stretch.
 * `Gone`: it carries the topic no more. `Joined`: nothing came in between. `Expired`: what waited too long was taken as it
 * is. `Promoted`: it goes on alone, behind a gap.
 */
export type LaneStep = "Placed" | "Live" | "Lost" | "Gone" | "Joined" | "Expired" | "Promoted"

export type Note =
  | { readonly _tag: "Opened"; readonly link: number; readonly at: number }
  | {
    readonly _tag: "Ended"
    readonly link: number
    readonly at: number
    /** Tag of the reason. */
    readonly reason: string
    readonly message: string
  }
  | {
    readonly _tag: "Topic"
    readonly topic: number
    readonly at: number
    readonly key: string
    readonly channel: PublicChannel
    readonly symbol: string
    readonly contractSize: number | null
  }
  | { readonly _tag: "Status"; readonly at: number; readonly status: ConnectionStatus }
  /** The disk was too slow: so much is missing here. */
  | { readonly _tag: "Lost"; readonly at: number; readonly entries: number; readonly bytes: number }
  | Answer
  | Decision

/** The frames of one read. */
export interface BatchEntry {
  readonly _tag: "Batch"
  readonly link: number
  readonly receivedAt: number
  readonly frames: ReadonlyArray<Uint8Array>
}

export interface SentEntry {
  readonly _tag: "Sent"
  readonly link: number
  readonly at: number
  readonly frame: OutFrame
}

export type Entry = BatchEntry | SentEntry | Note

const kinds = { batch: 1, sent: 2, note: 3 } as const

/** Kind and length. */
const entryHead = 5
/** Link, time of receipt, number of frames. */
const batchHead = 2 + 8 + 4
/** Link, time, text or bytes. */
const sentHead = 2 + 8 + 1

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Version numbers above 2^53 are `bigint`s, which JSON has not. */
const toJson = (_: string, value: unknown): unknown => typeof value === "bigint" ? { $bigint: String(value) } : value

const fromJson = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && "$bigint" in value ? BigInt(value.$bigint as string) : value

/** Entries in the making: so many bytes, reserved once. */
export class BlockWriter {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView
  length = 0

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.bytes.buffer)
  }

  /** Whether an entry with so many bytes of payload fits. */
  fits(payload: number): boolean {
    return this.length + entryHead + payload <= this.bytes.length
  }

  #begin(kind: number, payload: number): number {
    const at = this.length
    this.bytes[at] = kind
    this.#view.setUint32(at + 1, payload, true)
    this.length = at + entryHead + payload
    return at + entryHead
  }

  batch(link: number, receivedAt: number, frames: ReadonlyArray<Uint8Array>, payload: number): void {
    let at = this.#begin(kinds.batch, payload)
    const view = this.#view
    view.setUint16(at, link, true)
    view.setFloat64(at + 2, receivedAt, true)
    view.setUint32(at + 10, frames.length, true)
    at += batchHead
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]!
      view.setUint32(at, frame.length, true)
      this.bytes.set(frame, at + 4)
      at += 4 + frame.length
    }
  }

  sent(link: number, at: number, frame: OutFrame, bytes: Uint8Array): void {
    const start = this.#begin(kinds.sent, sentHead + bytes.length)
    this.#view.setUint16(start, link, true)
    this.#view.setFloat64(start + 2, at, true)
    this.bytes[start + 10] = typeof frame === "string" ? 1 : 0
    this.bytes.set(bytes, start + sentHead)
  }

  note(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#begin(kinds.note, bytes.length))
  }
}

export const batchBytes = (frames: ReadonlyArray<Uint8Array>): number => {
  let bytes = batchHead + 4 * frames.length
  for (let i = 0; i < frames.length; i++) bytes += frames[i]!.length
  return bytes
}

export const sentBytes = (bytes: Uint8Array): number => sentHead + bytes.length

export const noteBytes = (note: Note): Uint8Array => encoder.encode(JSON.stringify(note, toJson))

/** What an entry with such a payload takes. */
export const entryBytes = (payload: number): number => entryHead + payload

const readBatch = (bytes: Uint8Array, view: DataView, at: number): BatchEntry => {
  const count = view.getUint32(at + 10, true)
  // Before room is made for them.
  if (count * 4 > bytes.length - at) throw new RangeError("a batch holds more frames than its block")
  const frames = new Array<Uint8Array>(count)
  let next = at + batchHead
  for (let i = 0; i < count; i++) {
    const end = next + 4 + view.getUint32(next, true)
    frames[i] = bytes.subarray(next + 4, end)
    next = end
  }
  return { _tag: "Batch", link: view.getUint16(at, true), receivedAt: view.getFloat64(at + 2, true), frames }
}

const readSent = (bytes: Uint8Array, view: DataView, at: number, end: number): SentEntry => {
  const frame = bytes.slice(at + sentHead, end)
  return {
    _tag: "Sent",
    link: view.getUint16(at, true),
    at: view.getFloat64(at + 2, true),
    frame: bytes[at + 10] === 1 ? decoder.decode(frame) : frame
  }
}

const readNote = (bytes: Uint8Array, at: number, end: number): Note =>
  JSON.parse(decoder.decode(bytes.subarray(at, end)), fromJson) as Note

/** Entries of a block, in order. Kinds that a later minor version adds are passed over. Throws on bytes that are none. */
export function* entriesOf(bytes: Uint8Array): Generator<Entry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]
    const start = at + entryHead
    const end = start + view.getUint32(at + 1, true)
    if (end > bytes.length) throw new RangeError("an entry reaches beyond its block")
    if (kind === kinds.batch) yield readBatch(bytes, view, start)
    else if (kind === kinds.sent) yield readSent(bytes, view, start, end)
    else if (kind === kinds.note) yield readNote(bytes, start, end)
    at = end
  }
}

const preambleHead = 16

/** What a file begins with. */
export const preamble = (compression: number, header: Header): Uint8Array => {
  const json = encoder.encode(JSON.stringify(header, toJson))
  const bytes = new Uint8Array(preambleHead + json.length)
  bytes.set(magic)
  bytes[8] = version
  bytes[9] = compression
  new DataView(bytes.buffer).setUint32(12, json.length, true)
  bytes.set(json, preambleHead)
  return bytes
}

/** A block as it is stored. */
export const frameBlock = (stored: Uint8Array, length: number): Uint8Array => {
  const bytes = new Uint8Array(8 + stored.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, stored.length, true)
  view.setUint32(4, length, true)
  bytes.set(stored, 8)
  return bytes
}

export interface StoredBlock {
  readonly stored: Uint8Array
  /** Before compression. */
  readonly length: number
}

export interface Contents {
  readonly header: Header
  readonly compression: number
  readonly blocks: ReadonlyArray<StoredBlock>
  /** Bytes at the end that are no whole block: the writer was killed. */
  readonly torn: number
}

const readHeader = (bytes: Uint8Array): { readonly header: Header; readonly end: number } | JournalError => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const damaged = (detail: string) => new JournalError({ kind: "damaged", detail })
  if (bytes.length < preambleHead) {
    return damaged(`it ends within its first ${preambleHead} bytes: nothing was recorded`)
  }
  const end = preambleHead + view.getUint32(12, true)
  if (end > bytes.length) return damaged("it ends within its header: nothing was recorded")
  try {
    const header = JSON.parse(decoder.decode(bytes.subarray(preambleHead, end)), fromJson) as Header | null
    return typeof header?.exchange === "string" ? { header, end } : damaged("its header names no exchange")
  } catch (error) {
    return damaged(`its header cannot be read: ${String(error)}`)
  }
}

/** Takes a file apart; nothing is decompressed yet. */
export const contents = (bytes: Uint8Array): Contents | JournalError => {
  const known = Math.min(bytes.length, magic.length)
  if (known === 0 || !magic.subarray(0, known).every((byte, i) => bytes[i] === byte)) {
    return new JournalError({ kind: "foreign", detail: "it is no recording of effect-exchange" })
  }
  if (bytes.length > 8 && bytes[8] !== version) {
    const detail = `it was recorded in format ${bytes[8]}, and this version reads format ${version}`
    return new JournalError({ kind: "version", detail })
  }
  const read = readHeader(bytes)
  if (read instanceof JournalError) return read
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks: Array<StoredBlock> = []
  let at = read.end
  while (at + 8 <= bytes.length) {
    const end = at + 8 + view.getUint32(at, true)
    if (end > bytes.length) break
    blocks.push({ stored: bytes.subarray(at + 8, end), length: view.getUint32(at + 4, true) })
    at = end
  }
  return { header: read.header, compression: bytes[9]!, blocks, torn: bytes.length - at }
}
