/**
 * Writes down what a session meets, so that it can be run again: every frame that came with its time, every frame that
 * left, every connection's beginning and end, every answer over HTTP, and what the session decided by the clock. Where
 * the bytes go is the caller's: a file (`JournalFile`), a ring in memory, any `Sink`.
 */
import { Clock, Duration, Effect, Latch, Semaphore } from "effect"
import type { Scope } from "effect"
import type { GapCause } from "../domain/Feed.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { Levels } from "../domain/Market.ts"
import type { Batch, Connection, Dial, OutFrame } from "./Connection.ts"
import type { Compression } from "./JournalCompression.ts"
import { uncompressed } from "./JournalCompression.ts"
import type { Decision, Header, Note } from "./JournalFormat.ts"
import * as Format from "./JournalFormat.ts"
import type { JournalError } from "./JournalFormat.ts"
import type { Redaction, RedactionOptions } from "./Redaction.ts"
import * as Redactions from "./Redaction.ts"

export { type Compression, uncompressed } from "./JournalCompression.ts"
export { type Header, JournalError } from "./JournalFormat.ts"
export { read, type RecordedTopic, type Recording, type RecordingSummary } from "./Recording.ts"
export { type RedactionOptions, secretNames } from "./Redaction.ts"

/** Takes the bytes of a journal, in order. */
export type Sink = (bytes: Uint8Array) => Effect.Effect<void, JournalError>

export interface About {
  readonly package?: string | undefined
  readonly pairs?: Header["pairs"] | undefined
  readonly channels?: Header["channels"] | undefined
  /** Written into the header as it is: a label, options. No secrets. */
  readonly about?: Header["about"] | undefined
}

export interface JournalOptions extends About {
  /** Default: none. */
  readonly compression?: Compression | undefined
  /** A killed process loses at most so much. Default 1 s. */
  readonly flushEvery?: Duration.Input | undefined
  /** Bytes of a block before compression. Default 256 KiB. */
  readonly blockBytes?: number | undefined
  readonly redact?: RedactionOptions | undefined
}

const defaultBlockBytes = 256 * 1024
const defaultFlush: Duration.Input = "1 second"

/** A snapshot's answer, found again by the levels that were read from it. */
export interface Source {
  readonly answer: number
  readonly attempt: number
}

/** What has been written so far. */
export interface Recorded {
  readonly entries: number
  /** Before compression. */
  readonly bytes: number
  /** Entries that the disk was too slow for; a note in the journal says where. */
  readonly lost: number
  /** Why nothing is written any more; null while all is well. */
  readonly failure: string | null
}

/** Where full blocks go. */
interface Shelf {
  readonly take: (block: Format.BlockWriter) => void
  /** Whether another block may be taken. */
  readonly hasRoom: () => boolean
  /** A note that the beginning of a ring must repeat when its block has gone. */
  readonly keep: (key: string, note: Note) => void
  readonly broken: (cause: GapCause) => void
  readonly blockOf: (bytes: number) => Format.BlockWriter
}

const keyOf = (note: Note): string | null => {
  switch (note._tag) {
    case "Topic":
      return `topic ${note.topic}`
    case "Confirmed":
    case "Refused":
    case "Dropped":
      return `standing ${note.topic}`
    case "Opened":
    case "Ended":
      return `link ${note.link}`
    case "Status":
      return `status ${note.status.connection}`
    case "Answer":
      return note.book ? null : `answer ${note.request}`
    default:
      return null
  }
}

const causeOf = (note: Note): GapCause | null => note._tag === "Break" ? note.cause : null

/** Where a session stands: by that a decision finds its place among the events. */
export interface Progress {
  /** Events decoded. */
  readonly events: () => number
  /** How often consumers were woken. */
  readonly turns: () => number
}

const still: Progress = { events: () => 0, turns: () => 0 }

/** Takes what is to be written. Synchronous: entries are copied into a block, and whoever writes it does so elsewhere. */
export class Recorder {
  readonly #clock: Clock.Clock
  readonly #shelf: Shelf
  readonly #redaction: Redaction
  readonly #about: About
  #header: Header | null = null
  #block: Format.BlockWriter
  #events: () => number = () => 0
  #eventsBefore = 0
  #turns: () => number = () => 0
  #turnsBefore = 0
  #answers = 0
  #entries = 0
  #bytes = 0
  #lost = 0
  #lostNow = 0
  #lostBytes = 0
  #failure: string | null = null
  /** Answers that snapshots were read from. */
  readonly sources = new WeakMap<Levels, Source>()

  constructor(clock: Clock.Clock, shelf: Shelf, redaction: Redaction, about: About) {
    this.#clock = clock
    this.#shelf = shelf
    this.#redaction = redaction
    this.#about = about
    this.#block = shelf.blockOf(0)
  }

  get now(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  get header(): Header | null {
    return this.#header
  }

  get recorded(): Recorded {
    return { entries: this.#entries, bytes: this.#bytes, lost: this.#lost, failure: this.#failure }
  }

  /** A session begins. False when there is one already: entries of two could not be told apart. */
  begin(exchange: ExchangeId, about: Readonly<Record<string, unknown>>, progress: Progress = still): boolean {
    if (this.#header !== null) return false
    this.#events = progress.events
    this.#turns = progress.turns
    this.#header = {
      exchange,
      package: this.#about.package ?? null,
      startedAt: this.now,
      pairs: this.#about.pairs ?? [],
      channels: this.#about.channels ?? [],
      about: { ...about, ...this.#about.about }
    }
    return true
  }

  /** Nothing more can be written. */
  fail(reason: string): void {
    this.#failure ??= reason
  }

  batch(link: number, { frames, receivedAt }: Omit<Batch, "bytes">): void {
    this.#eventsBefore = this.#events()
    this.#turnsBefore = this.#turns()
    const { received } = this.#redaction
    const clean = received === null ? frames : frames.map(received)
    const bytes = Format.batchBytes(clean)
    if (this.#reserve(bytes)) this.#block.batch(link, receivedAt, clean, bytes)
  }

  sent(link: number, frame: OutFrame): void {
    const clean = this.#redaction.frame(frame)
    const bytes = typeof clean === "string" ? new TextEncoder().encode(clean) : clean
    if (this.#reserve(Format.sentBytes(bytes))) this.#block.sent(link, this.now, clean, bytes)
  }

  note(note: Note): void {
    const bytes = Format.noteBytes(note)
    if (!this.#reserve(bytes.length, true)) return
    this.#block.note(bytes)
    const key = keyOf(note)
    if (key !== null) this.#shelf.keep(key, note)
    const cause = causeOf(note)
    if (cause !== null) this.#shelf.broken(cause)
  }

  /** Words that may hold an address. */
  clean(text: string): string {
    return this.#redaction.url(text)
  }

  decide(topic: number, decision: Omitted<Decision>, at = this.now): void {
    const after = this.#events() - this.#eventsBefore
    const turn = this.#turns() - this.#turnsBefore
    this.note({ topic, at, after, turn, ...decision } as Decision)
  }

  /** The number of an answer that came now. `request`: method and address without the base URL. */
  answer(answer: {
    readonly book: boolean
    readonly request: string
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
    readonly failure: string | null
  }): number {
    const number = ++this.#answers
    this.note({
      _tag: "Answer",
      answer: number,
      at: this.now,
      ...answer,
      request: this.#redaction.url(answer.request),
      body: this.#redaction.body(answer.body)
    })
    return number
  }

  /** Hands over what is in the making. */
  seal(): void {
    if (this.#block.length === 0) return
    this.#shelf.take(this.#block)
    this.#block = this.#shelf.blockOf(0)
  }

  /** Makes room for an entry. Few and small, notes are taken even when the disk is behind. */
  #reserve(payload: number, isNote = false): boolean {
    if (this.#failure !== null) return false
    if (!this.#block.fits(payload)) {
      if (!isNote && !this.#shelf.hasRoom()) return this.#lose(payload)
      if (this.#block.length > 0) this.#shelf.take(this.#block)
      this.#block = this.#shelf.blockOf(Format.entryBytes(payload))
    }
    if (this.#lostNow > 0 && !isNote) return this.#reserveBehindLoss(payload)
    this.#entries++
    this.#bytes += Format.entryBytes(payload)
    return true
  }

  #lose(payload: number): boolean {
    this.#lost++
    this.#lostNow++
    this.#lostBytes += payload
    return false
  }

  /** There is room again: first what is missing. */
  #reserveBehindLoss(payload: number): boolean {
    const note: Note = { _tag: "Lost", at: this.now, entries: this.#lostNow, bytes: this.#lostBytes }
    this.#lostNow = 0
    this.#lostBytes = 0
    this.note(note)
    return this.#reserve(payload)
  }
}

type Omitted<D> = D extends unknown ? Omit<D, "topic" | "at" | "after" | "turn"> : never

/** The most that waits for the disk, bytes. Beyond it entries are lost, and the journal says how many and where. */
const mostWaiting = 64 * 1024 * 1024

/**
 * Records into a sink until the scope closes. Full blocks are compressed and written by a fiber of their own; a sink that
 * fails ends the recording with an error in the log and touches nothing else.
 */
export const make = Effect.fnUntraced(function*(
  options: JournalOptions & { readonly sink: Sink }
): Effect.fn.Return<Recorder, never, Scope.Scope> {
  const { compression = uncompressed, sink } = options
  const blockBytes = options.blockBytes ?? defaultBlockBytes
  const waiting: Array<Format.BlockWriter> = []
  const spare: Array<Format.BlockWriter> = []
  const work = yield* Latch.make(false)
  const gate = yield* Semaphore.make(1)
  let waitingBytes = 0
  let begun = false

  const recorder: Recorder = new Recorder(
    yield* Clock.Clock,
    {
      take: (block) => {
        waiting.push(block)
        waitingBytes += block.length
        work.openUnsafe()
      },
      hasRoom: () => waitingBytes < mostWaiting,
      keep: () => {},
      broken: () => {},
      blockOf: (bytes) =>
        (bytes <= blockBytes ? spare.pop() : undefined) ??
          new Format.BlockWriter(Math.max(bytes, blockBytes))
    },
    Redactions.make(options.redact),
    options
  )

  const begin = Effect.suspend(() => {
    const { header } = recorder
    if (begun || header === null) return Effect.void
    begun = true
    return sink(Format.preamble(compression.id, header))
  })

  const write = Effect.fnUntraced(function*(block: Format.BlockWriter) {
    const stored = yield* compression.compress(block.bytes.subarray(0, block.length))
    yield* sink(Format.frameBlock(stored, block.length))
    waitingBytes -= block.length
    block.length = 0
    if (block.bytes.length === blockBytes && spare.length < 2) spare.push(block)
  })

  const drain = gate.withPermits(1)(Effect.gen(function*() {
    yield* begin
    for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) yield* write(block)
  })).pipe(
    Effect.catch((error) => {
      recorder.fail(error.message)
      waiting.length = 0
      return Effect.logError(`the recording has ended: ${error.message}`)
    }),
    // A block that was taken must arrive.
    Effect.uninterruptible
  )

  const flush = Effect.andThen(Effect.sync(() => recorder.seal()), drain)
  yield* Effect.addFinalizer(() => flush)
  const full = Effect.andThen(work.await, Effect.sync(() => work.closeUnsafe()))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(full, drain)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.flushEvery ?? defaultFlush), flush)))
  return recorder
})

export interface RingOptions extends JournalOptions {
  /** The most that is kept, compressed bytes. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** What is older goes. Default: bounded by bytes alone. */
  readonly maxAge?: Duration.Input | undefined
  /** Hears of every break that the session notices, at once: keep it short. */
  readonly onBreak?: ((cause: GapCause) => void) | undefined
}

/** A recorder that keeps the latest in memory. */
export interface Ring {
  readonly recorder: Recorder
  /** What is kept, as a whole journal; null while no session has begun. */
  readonly dump: Effect.Effect<Uint8Array | null>
  /** Compressed bytes that are kept. */
  readonly size: () => number
}

interface KeptBlock {
  readonly bytes: Uint8Array
  readonly at: number
  readonly notes: ReadonlyMap<string, Note>
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const blockOfNotes = (notes: Iterable<Note>): Uint8Array => {
  const payloads = [...notes].map(Format.noteBytes)
  const block = new Format.BlockWriter(payloads.reduce((sum, bytes) => sum + Format.entryBytes(bytes.length), 0))
  for (const bytes of payloads) block.note(bytes)
  return block.bytes
}

/**
 * Records into memory, the latest only. What a replay needs of what has gone is kept: the topics and where they stood,
 * the instruments, the connections. A book whose snapshot has gone is in sync again from its next one.
 */
export const ring = Effect.fnUntraced(function*(options: RingOptions = {}): Effect.fn.Return<Ring, never, Scope.Scope> {
  const { compression = uncompressed, maxBytes = 64 * 1024 * 1024 } = options
  const blockBytes = options.blockBytes ?? defaultBlockBytes
  const maxAge = options.maxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(options.maxAge)
  const gate = yield* Semaphore.make(1)
  const work = yield* Latch.make(false)
  const waiting: Array<{ readonly block: Format.BlockWriter; readonly notes: Map<string, Note>; readonly at: number }> =
    []
  const kept: Array<KeptBlock> = []
  /** The latest of each key in the blocks that have gone. */
  const gone = new Map<string, Note>()
  let notes = new Map<string, Note>()
  let size = 0

  const recorder: Recorder = new Recorder(
    yield* Clock.Clock,
    {
      take: (block) => {
        waiting.push({ block, notes, at: recorder.now })
        notes = new Map()
        work.openUnsafe()
      },
      // Memory takes it; what waits is compressed within moments.
      hasRoom: () => waiting.length * blockBytes < mostWaiting,
      keep: (key, note) => void notes.set(key, note),
      broken: options.onBreak ?? (() => {}),
      blockOf: (bytes) => new Format.BlockWriter(Math.max(bytes, blockBytes))
    },
    Redactions.make(options.redact),
    options
  )

  const evict = (): void => {
    while (kept.length > 1 && (size > maxBytes || recorder.now - kept[0]!.at > maxAge)) {
      const block = kept.shift()!
      size -= block.bytes.length
      for (const [key, note] of block.notes) gone.set(key, note)
    }
  }

  const drain = gate.withPermits(1)(Effect.gen(function*() {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { block, notes, at } = next
      const stored = yield* compression.compress(block.bytes.subarray(0, block.length))
      const bytes = Format.frameBlock(stored, block.length)
      kept.push({ bytes, at, notes })
      size += bytes.length
    }
    evict()
  })).pipe(Effect.uninterruptible)

  const flush = Effect.andThen(Effect.sync(() => recorder.seal()), drain)
  const full = Effect.andThen(work.await, Effect.sync(() => work.closeUnsafe()))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(full, drain)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.flushEvery ?? "10 seconds"), flush)))

  const dump = Effect.gen(function*() {
    yield* flush
    const { header } = recorder
    if (header === null) return null
    const before = blockOfNotes(gone.values())
    const stored = yield* compression.compress(before)
    return concat([
      Format.preamble(compression.id, header),
      ...before.length === 0 ? [] : [Format.frameBlock(stored, before.length)],
      ...kept.map(({ bytes }) => bytes)
    ])
  })

  return { recorder, dump, size: () => size }
})

/** Records the frames, the beginning and the end of every connection of a dial, as number `link`. */
export const withJournal = (recorder: Recorder, link = 1) => <R>(self: Dial<R>): Dial<R> =>
  Effect.map(self, (connection): Connection => {
    recorder.note({ _tag: "Opened", link, at: recorder.now })
    let over = false
    return {
      ...connection,
      pull: Effect.tapError(connection.pull, (error) =>
        Effect.sync(() => {
          if (over) return
          over = true
          const reason = error.reason._tag
          recorder.note({ _tag: "Ended", link, at: recorder.now, reason, message: recorder.clean(error.message) })
        })),
      write: (frame) =>
        Effect.suspend(() => {
          recorder.sent(link, frame)
          return connection.write(frame)
        }),
      taken: (batch) => {
        connection.taken?.(batch)
        recorder.batch(link, batch)
      }
    }
  })
