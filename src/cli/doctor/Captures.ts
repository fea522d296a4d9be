/** Writes an examination's frames as files of JSON lines, in the shape that fixtures have and `exchange decode` reads. */
import { Array, DateTime, Effect, FileSystem, Path } from "effect"
import type { PlatformError } from "effect"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"
import { FrameDecoder } from "../FrameDecoder.ts"
import type { Sample } from "./Samples.ts"
import { rawOf } from "./Samples.ts"

export interface CaptureOptions {
  readonly adapter: ExchangeAdapter
  readonly instrumentOf: InstrumentOf
  /** Where the frames came from. */
  readonly url: string
}

/** `expect` is what our decoder reads now, as `exchange decode` answers. */
const lineOf = ({ adapter, instrumentOf, url }: CaptureOptions, sample: Sample, day: string): string => {
  const frame = { raw: rawOf(sample.bytes), receivedAt: sample.receivedAt }
  const decoder = new FrameDecoder({ adapter, instrumentOf, now: () => 0 })
  const { id: _, ...expect } = JSON.parse(decoder.push(Buffer.from(`${JSON.stringify(frame)}\n`))) as Record<
    string,
    unknown
  >
  return JSON.stringify({
    id: `${adapter.id}/${sample.group}/${sample.name}`,
    source: `exchange doctor ${adapter.id}, ${url}, ${day}`,
    direction: "in",
    ...frame,
    expect,
    note: sample.note ?? "expect is what the decoder read: check it before this becomes a fixture"
  })
}

/**
 * Makes a directory with those above it that are missing, one after the other: a recursive call never ends where the
 * system cannot make any, as under `/proc`. Fails when it cannot be written to.
 */
export const makeDirectory: (
  directory: string
) => Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(
  function*(directory) {
    const fileSystem = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const missing: globalThis.Array<string> = []
    let present = path.resolve(directory)
    while (!(yield* fileSystem.exists(present))) {
      missing.unshift(present)
      present = path.dirname(present)
    }
    for (const one of missing) yield* fileSystem.makeDirectory(one)
    yield* fileSystem.readDirectory(directory)
    yield* fileSystem.access(directory, { writable: true })
  }
)

/** One file for each group of samples, in a directory that is there; gives their names. */
export const write = Effect.fnUntraced(function*(
  options: CaptureOptions,
  samples: ReadonlyArray<Sample>,
  directory: string
) {
  const fileSystem = yield* FileSystem.FileSystem
  const day = DateTime.formatIsoDateUtc(yield* DateTime.now)
  const groups = Object.entries(Array.groupBy(samples, ({ group }) => group))
  const names = groups.map(([group]) => `${options.adapter.id}.${group}.jsonl`)
  yield* Effect.forEach(
    groups,
    ([group, own]) =>
      fileSystem.writeFileString(
        `${directory}/${options.adapter.id}.${group}.jsonl`,
        own.map((sample) => `${lineOf(options, sample, day)}\n`).join("")
      ),
    { discard: true }
  )
  return names
})
