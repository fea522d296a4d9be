/** Frames that are wrong in every way that we know of: the shared cases, built ones, and seeded changes to valid frames. */
import * as SharedFixtures from "../../test/exchanges/SharedFixtures.ts"
import type { Draws } from "./Virtual.ts"
import * as Virtual from "./Virtual.ts"

export interface BadFrame {
  readonly id: string
  readonly bytes: Uint8Array
  /** What may come of it; null when the frame may still be a valid one. */
  readonly allowed: ReadonlyArray<string> | null
}

interface Expected {
  readonly kind?: string
  readonly error?: boolean
  readonly oneOf?: ReadonlyArray<string>
}

/** The files also hold awkward messages that are valid: their kind says what they are. */
const allowedBy = ({ error, kind, oneOf }: Expected): ReadonlyArray<string> =>
  error === true ? ["error"] : oneOf ?? (kind === undefined ? [] : [kind])

interface SharedCase {
  readonly id: string
  readonly raw: SharedFixtures.Raw
  readonly expect: Expected
}

const sharedFiles: Readonly<Record<string, string>> = {
  "gate-spot": "gateio-spot.malformed.jsonl",
  "gate-futures": "gateio-futures.malformed.jsonl",
  "mexc-spot": "mexc-spot.malformed.jsonl"
}

/** Those of `../shared/fixtures`; none where it is absent. */
const sharedFrames = (exchange: string): ReadonlyArray<BadFrame> =>
  SharedFixtures.shared<SharedCase>(sharedFiles[exchange]!).map(({ expect, id, raw }) => ({
    id,
    bytes: SharedFixtures.bytesOf(raw),
    allowed: allowedBy(expect)
  }))

const encoder = new TextEncoder()
const text = (id: string, value: string): BadFrame => ({ id, bytes: encoder.encode(value), allowed: null })
const raw = (id: string, ...values: ReadonlyArray<number>): BadFrame => ({
  id,
  bytes: Uint8Array.from(values),
  allowed: null
})

/** Needs no folder beside the checkout. */
const built: ReadonlyArray<BadFrame> = [
  raw("empty"),
  raw("one zero", 0),
  raw("invalid UTF-8", 0xff, 0xfe, 0xfd),
  raw("half a character", 0x7b, 0x22, 0xe2, 0x82),
  raw("endless varint", ...new Array<number>(64).fill(0x80)),
  raw("length beyond the end", 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f),
  raw("gzip", 0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0),
  text("white space", " \n\t "),
  text("null", "null"),
  text("number", "12"),
  text("string", "\"text\""),
  text("list", "[]"),
  text("empty object", "{}"),
  text("not closed", "{\"channel\":\"spot.trades\""),
  text("html", "<html><body>502 Bad Gateway</body></html>"),
  text("deep nesting", `${"[".repeat(20_000)}${"]".repeat(20_000)}`),
  text("prototype", "{\"__proto__\":{\"polluted\":1},\"constructor\":{\"prototype\":{\"polluted\":1}}}"),
  text("long number", `{"id":${"9".repeat(5_000)}}`),
  text("not a number", "{\"id\":NaN,\"code\":Infinity}")
]

export const fixed = (exchange: string): ReadonlyArray<BadFrame> => [...sharedFrames(exchange), ...built]

// ---- changes to a valid frame ---------------------------------------------------------------------------------------

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

const changes: Readonly<Record<string, (frame: Uint8Array, draws: Draws) => Uint8Array>> = {
  truncate: (frame, draws) => frame.slice(0, Virtual.below(draws, frame.length)),
  "flip bits": (frame, draws) => {
    const copy = frame.slice()
    for (let i = 0; i <= Virtual.below(draws, 8); i++) {
      copy[Virtual.below(draws, copy.length)]! ^= 1 << Virtual.below(draws, 8)
    }
    return copy
  },
  "drop a byte": (frame, draws) => {
    const at = Virtual.below(draws, frame.length)
    return concat(frame.slice(0, at), frame.slice(at + 1))
  },
  "insert bytes": (frame, draws) => {
    const at = Virtual.below(draws, frame.length)
    return concat(frame.slice(0, at), noise(draws, 1 + Virtual.below(draws, 8)), frame.slice(at))
  },
  "repeat a part": (frame, draws) => {
    const at = Virtual.below(draws, frame.length)
    return concat(frame, frame.slice(at))
  },
  "cut a part": (frame, draws) => {
    const from = Virtual.below(draws, frame.length)
    return concat(frame.slice(0, from), frame.slice(from + Virtual.below(draws, 40)))
  },
  "digits to letters": (frame, draws) => {
    const copy = frame.slice()
    const at = Virtual.below(draws, copy.length)
    for (let i = at; i < Math.min(copy.length, at + 12); i++) if (copy[i]! >= 48 && copy[i]! <= 57) copy[i]! += 49
    return copy
  },
  noise: (frame, draws) => noise(draws, Virtual.below(draws, 2 * frame.length))
}

const noise = (draws: Draws, length: number): Uint8Array => Uint8Array.from({ length }, () => Virtual.below(draws, 256))

const names = Object.keys(changes)

export const changed = (frame: Uint8Array, draws: Draws): BadFrame => {
  const name = Virtual.pick(draws, names)
  return { id: name, bytes: frame.length === 0 ? frame : changes[name]!(frame, draws), allowed: null }
}
