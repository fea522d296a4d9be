/** A journal that is read: what is in it, and its entries block by block. */
import { Effect } from "effect"
import type { Compression } from "./JournalCompression.ts"
import { uncompressed } from "./JournalCompression.ts"
import type { Decision, Entry, Header, Note } from "./JournalFormat.ts"
import * as Format from "./JournalFormat.ts"
import { JournalError } from "./JournalFormat.ts"

/** A topic as it was recorded. */
export interface RecordedTopic {
  readonly topic: number
  readonly key: string
  readonly channel: Extract<Note, { readonly _tag: "Topic" }>["channel"]
  readonly symbol: string
  readonly contractSize: number | null
  /** What the exchange said first; null when it never answered. */
  first: Extract<Decision, { readonly _tag: "Confirmed" | "Refused" }> | null
}

/** What a recording holds, in figures. */
export interface RecordingSummary {
  readonly frames: number
  /** Of frames. */
  readonly bytes: number
  /** First and last time, ms. Both 0 when nothing was recorded. */
  readonly from: number
  readonly to: number
  readonly connections: number
  readonly topics: number
  /** Why it ends before its writer did; null when it is whole. */
  readonly truncated: string | null
}

/** A journal that was read: what is in it, and its blocks. */
export interface Recording {
  readonly header: Header
  readonly topics: ReadonlyMap<string, RecordedTopic>
  /** Those not asked for a book. */
  readonly answers: ReadonlyArray<Extract<Note, { readonly _tag: "Answer" }>>
  readonly summary: RecordingSummary
  readonly blocks: number
  /** The entries of a block, checked. */
  readonly entries: (block: number) => Effect.Effect<ReadonlyArray<Entry>, JournalError>
}

class Scan {
  frames = 0
  bytes = 0
  from = 0
  to = 0
  connections = 0
  readonly topics = new Map<string, RecordedTopic>()
  readonly #byNumber = new Map<number, RecordedTopic>()
  readonly answers: Array<Extract<Note, { readonly _tag: "Answer" }>> = []

  entry(entry: Entry): void {
    const at = entry._tag === "Batch" ? entry.receivedAt : entry.at
    if (this.from === 0) this.from = at
    this.to = Math.max(this.to, at)
    if (entry._tag === "Batch") {
      this.frames += entry.frames.length
      for (const frame of entry.frames) this.bytes += frame.length
    } else if (entry._tag !== "Sent") {
      this.#note(entry)
    }
  }

  #note(entry: Note): void {
    switch (entry._tag) {
      case "Opened":
        this.connections++
        return
      case "Topic":
        return this.#topic(entry)
      case "Confirmed":
      case "Refused": {
        const topic = this.#byNumber.get(entry.topic)
        if (topic !== undefined) topic.first ??= entry
        return
      }
      case "Answer":
        if (!entry.book) this.answers.push(entry)
    }
  }

  #topic({ channel, contractSize, key, symbol, topic }: Extract<Note, { readonly _tag: "Topic" }>): void {
    if (this.topics.has(key)) return
    const recorded = { topic, key, channel, symbol, contractSize, first: null }
    this.topics.set(key, recorded)
    this.#byNumber.set(topic, recorded)
  }
}

const parse = (bytes: Uint8Array): Effect.Effect<ReadonlyArray<Entry>, JournalError> =>
  Effect.try({
    try: () => [...Format.entriesOf(bytes)],
    catch: (error) => new JournalError({ kind: "damaged", detail: String(error) })
  })

/**
 * Reads a journal. What its writer did not finish, and everything behind a block that cannot be read, is left out, and
 * `summary.truncated` says so.
 */
export const read = Effect.fnUntraced(function*(
  bytes: Uint8Array,
  compressions: ReadonlyArray<Compression> = [uncompressed]
): Effect.fn.Return<Recording, JournalError> {
  const contents = Format.contents(bytes)
  if (contents instanceof JournalError) return yield* contents
  const compression = [uncompressed, ...compressions].find(({ id }) => id === contents.compression)
  if (compression === undefined) {
    const detail = `it is compressed with method ${contents.compression}, which cannot be read here; use JournalFile`
    return yield* new JournalError({ kind: "version", detail })
  }
  const entries = (index: number) => {
    const { length, stored } = contents.blocks[index]!
    return Effect.flatMap(compression.decompress(stored, length), parse)
  }
  const scan = new Scan()
  let blocks = 0
  let truncated = contents.torn === 0 ? null : `the last ${contents.torn} bytes are no whole block`
  for (; blocks < contents.blocks.length; blocks++) {
    const block = yield* Effect.result(entries(blocks))
    if (block._tag === "Failure") {
      truncated = `block ${blocks + 1} of ${contents.blocks.length} cannot be read: ${block.failure.message}`
      break
    }
    for (const entry of block.success) scan.entry(entry)
  }
  const { answers, connections, frames, from, to, topics } = scan
  const summary = { frames, bytes: scan.bytes, from, to, connections, topics: topics.size, truncated }
  return { header: contents.header, topics, answers, summary, blocks, entries }
})
