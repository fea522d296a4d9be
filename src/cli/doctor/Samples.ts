/** Raw frames of an examination that are worth keeping, in the shape that fixtures have. */
import type { Finding } from "./Finding.ts"
import { textOf } from "./FrameReader.ts"
import type { SeenFrame } from "./FrameReader.ts"
import type { Wanted } from "./Wanted.ts"

export interface Sample {
  /** What the file is named after: the channel on the wire, `control` or `failing`. */
  readonly group: string
  readonly name: string
  readonly bytes: Uint8Array
  readonly receivedAt: number | null
  readonly note: string | null
}

/** `spot.book_ticker`, `aggre.depth`: what tells the exchange's channels apart in a key. */
const wireOf = ({ key, variant }: Wanted): string =>
  /^spot@(?:public|private)\.([\w.]+)\.v3/u.exec(key)?.[1] ?? /^([\w.]+)\|/u.exec(key)?.[1] ??
    variant.replaceAll(/[^\w.]+/gu, "-")

const controlOf = (frame: SeenFrame): string | null => {
  if (frame.rejected.length > 0) return "rejected"
  if (frame.acknowledged.length > 0) return "acknowledged"
  return frame.isPong ? "pong" : null
}

/** One frame of each feed, one of each kind of answer, and those that a check has failed by. */
export class Samples {
  readonly #wanted: ReadonlyMap<string, Wanted>
  readonly #samples = new Map<string, Sample>()

  constructor(topics: ReadonlyArray<Wanted>) {
    this.#wanted = new Map(topics.map((wanted) => [wanted.key, wanted]))
  }

  onFrame(frame: SeenFrame): void {
    const { bytes, events, receivedAt } = frame
    const wanted = events.length === 0 ? undefined : this.#wanted.get(events[0]!.topic.key)
    if (wanted !== undefined) this.#keep({ group: wireOf(wanted), name: wanted.variant, bytes, receivedAt, note: null })
    const control = controlOf(frame)
    if (control !== null) this.#keep({ group: "control", name: control, bytes, receivedAt, note: null })
  }

  #keep(sample: Sample): void {
    const key = `${sample.group} ${sample.name}`
    if (!this.#samples.has(key)) this.#samples.set(key, sample)
  }

  /** All of them, with the frames of failed findings. */
  of(findings: ReadonlyArray<Finding>): ReadonlyArray<Sample> {
    const failing = findings.flatMap(({ check, evidence, frame, status }): ReadonlyArray<Sample> =>
      status === "FAIL" && frame !== undefined
        ? [{ group: "failing", name: check, bytes: frame, receivedAt: null, note: evidence }]
        : []
    )
    return [...this.#samples.values(), ...failing]
  }
}

/** Text as it is, other bytes as `{"hex"}`. */
export const rawOf = (bytes: Uint8Array): string | { readonly hex: string } =>
  textOf(bytes) ?? { hex: Buffer.from(bytes).toString("hex") }
