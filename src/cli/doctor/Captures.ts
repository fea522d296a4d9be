/** Writes an examination's frames as files of JSON lines, in the shape that fixtures have and `exchange decode` reads. */
import { Array, DateTime, Effect, FileSystem } from "effect"
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

/** One file for each group of samples; gives their names. */
export const write = Effect.fnUntraced(function*(
  options: CaptureOptions,
  samples: ReadonlyArray<Sample>,
  directory: string
) {
  const fileSystem = yield* FileSystem.FileSystem
  const day = DateTime.formatIsoDateUtc(yield* DateTime.now)
  const groups = Object.entries(Array.groupBy(samples, ({ group }) => group))
  yield* fileSystem.makeDirectory(directory, { recursive: true })
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
