/**
 * Seeded changes that know the format of a frame: fields taken out, doubled and changed places, numbers edited, lengths
 * and encodings bent, text damaged, garbage nested. Most of what comes out is nearly right, where decoders go wrong.
 * Changes that know no format are in `Malformed`.
 */
import * as Malformed from "./Malformed.ts"
import type { Draws } from "./Virtual.ts"
import * as Virtual from "./Virtual.ts"

/** What a frame is: JSON text, protobuf, or anything else. */
export type Format = "json" | "protobuf" | "other"

const leftBrace = 123

export const formatOf = (frame: Uint8Array): Format => {
  if (frame.length === 0) return "other"
  return frame[0] === leftBrace ? "json" : "protobuf"
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// ---- JSON -----------------------------------------------------------------------------------------------------------

/** `[start, end)` of parts of a text. */
type Span = readonly [start: number, end: number]

const replace = (text: string, [start, end]: Span, by: string): string => text.slice(0, start) + by + text.slice(end)

const spansOf = (text: string, pattern: RegExp): ReadonlyArray<Span> =>
  Array.from(text.matchAll(pattern), (match): Span => [match.index, match.index + match[0].length])

/** A string, a number or a word: with its quotes. */
const scalar = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/g
/** A member of an object whose value holds no other value. */
const member = /"(?:[^"\\]|\\.)*":(?:"(?:[^"\\]|\\.)*"|[^,[\]{}"]+),?/g
const digits = /\d+(?:\.\d+)?/g
const key = /"[^"\\]*"(?=:)/g

const at = (draws: Draws, text: string, pattern: RegExp): Span | null => {
  const spans = spansOf(text, pattern)
  return spans.length === 0 ? null : Virtual.pick(draws, spans)
}

/** Replaces one of the parts that the pattern finds. */
const edit = (pattern: RegExp, change: (part: string, draws: Draws) => string) => (text: string, draws: Draws) => {
  const span = at(draws, text, pattern)
  return span === null ? `${text} ` : replace(text, span, change(text.slice(...span), draws))
}

const numbers = [
  "0",
  "-0",
  "-1",
  "00",
  "007",
  ".5",
  "5.",
  "1e3",
  "1E-7",
  "+1",
  "1_000",
  "0x10",
  "NaN",
  "Infinity",
  "9007199254740991",
  "9007199254740993",
  "18446744073709551616",
  "123456789012345678901234567890",
  "0.000000000000000000000000000001",
  "1.0000000000000000000000001",
  "١٢",
  "１２",
  "1 2",
  ""
]

const garbage = [
  "null",
  "true",
  "false",
  "[]",
  "{}",
  "[[]]",
  "[[\"1\"]]",
  "[[\"1\",\"2\",\"3\"]]",
  "[null]",
  "{\"a\":{\"b\":[{}]}}",
  "\"\"",
  "\"text\"",
  "-1",
  "1e400",
  `${"[".repeat(500)}${"]".repeat(500)}`,
  "{\"__proto__\":{\"polluted\":1}}"
]

const strings = ["", "\\u0000", "\\ud800", "\\\"", "\\n", "é", "龙", "\u2028", " ", "constructor", "__proto__"]

const json: Readonly<Record<string, (text: string, draws: Draws) => string>> = {
  "remove a member": edit(member, () => ""),
  "double a member": edit(member, (part) => part.endsWith(",") ? part + part : `${part},${part}`),
  "rename a member": edit(
    key,
    (part, draws) => Virtual.pick(draws, [`"x${part.slice(1)}`, part.toUpperCase(), "\"\""])
  ),
  "escape a letter": edit(/[a-zA-Z]/g, (part) => `\\u00${part.charCodeAt(0).toString(16)}`),
  "edit a number": edit(digits, (_, draws) => Virtual.pick(draws, numbers)),
  "lengthen a number": edit(
    digits,
    (part, draws) => part.repeat(2 + Virtual.below(draws, 4)).replace(/\./g, "") + part
  ),
  "quote or unquote": edit(scalar, (part) => part.startsWith("\"") ? part.slice(1, -1) : `"${part}"`),
  "put in garbage": edit(scalar, (_, draws) => Virtual.pick(draws, garbage)),
  "damage a text": edit(/"(?:[^"\\]|\\.)*"/g, (part, draws) => {
    const place = 1 + Virtual.below(draws, part.length - 1)
    return part.slice(0, place) + Virtual.pick(draws, strings) + part.slice(place)
  }),
  "white space": edit(
    /[:,[\]{}]/g,
    (part, draws) => Virtual.pick(draws, [` ${part}`, `${part} `, `${part}\n\t`, `\r${part}`])
  ),
  "empty a list": edit(/\[[^[\]]*\]/g, () => "[]"),
  "take a list apart": edit(/[[\],]/g, () => "")
}

// ---- protobuf -------------------------------------------------------------------------------------------------------

interface Field {
  readonly start: number
  readonly value: number
  readonly end: number
  readonly type: number
}

const readVarint = (bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } | null => {
  let value = 0
  for (let i = 0; i < 10 && from + i < bytes.length; i++) {
    value += (bytes[from + i]! & 127) * 2 ** (7 * i)
    if (bytes[from + i]! < 128) return { value, end: from + i + 1 }
  }
  return null
}

const sizes: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

/** The fields of a message; null when the bytes are none. */
const fieldsOf = (bytes: Uint8Array): ReadonlyArray<Field> | null => {
  const fields: Array<Field> = []
  for (let position = 0; position < bytes.length;) {
    const field = fieldAt(bytes, position)
    if (field === null) return null
    fields.push(field)
    position = field.end
  }
  return fields
}

const fieldAt = (bytes: Uint8Array, start: number): Field | null => {
  const tag = readVarint(bytes, start)
  if (tag === null || tag.value < 8) return null
  const type = tag.value % 8
  const size = sizes[type]
  if (size !== undefined) return within(bytes, { start, value: tag.end, end: tag.end + size, type })
  const first = type === 0 || type === 2 ? readVarint(bytes, tag.end) : null
  if (first === null) return null
  return within(
    bytes,
    type === 0
      ? { start, value: tag.end, end: first.end, type }
      : { start, value: first.end, end: first.end + first.value, type }
  )
}

const within = (bytes: Uint8Array, field: Field): Field | null => field.end > bytes.length ? null : field

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

const varint = (value: number, padding = 0): Uint8Array => {
  const bytes: Array<number> = []
  let rest = value
  do {
    bytes.push(rest % 128)
    rest = Math.floor(rest / 128)
  } while (rest > 0)
  for (let i = 0; i < padding; i++) bytes.push(0)
  return Uint8Array.from(bytes, (byte, index) => index < bytes.length - 1 ? byte | 128 : byte)
}

type FieldChange = (bytes: Uint8Array, field: Field, fields: ReadonlyArray<Field>, draws: Draws) => Uint8Array

const before = (bytes: Uint8Array, { start }: Field) => bytes.subarray(0, start)
const behind = (bytes: Uint8Array, { end }: Field) => bytes.subarray(end)
const whole = (bytes: Uint8Array, { end, start }: Field) => bytes.subarray(start, end)
const tagOf = (bytes: Uint8Array, { start }: Field): number => readVarint(bytes, start)!.value
const valueOf = (bytes: Uint8Array, { end, value }: Field) => bytes.subarray(value, end)

const rewritten = (bytes: Uint8Array, field: Field, by: Uint8Array): Uint8Array =>
  concat(before(bytes, field), by, behind(bytes, field))

/** With another value in place of a delimited one. */
const withValue = (bytes: Uint8Array, field: Field, value: Uint8Array): Uint8Array =>
  rewritten(bytes, field, concat(varint(tagOf(bytes, field)), varint(value.length), value))

const wireTypes = [0, 1, 2, 3, 4, 5, 6, 7]

const protobuf: Readonly<Record<string, FieldChange>> = {
  "remove a field": (bytes, field) => rewritten(bytes, field, new Uint8Array(0)),
  "double a field": (bytes, field) => rewritten(bytes, field, concat(whole(bytes, field), whole(bytes, field))),
  "move a field": (bytes, field, fields, draws) => {
    const rest = fields.filter((other) => other !== field).map((other) => whole(bytes, other))
    return concat(...rest.toSpliced(Virtual.below(draws, fields.length), 0, whole(bytes, field)))
  },
  "add an unknown field": (bytes, field, _, draws) =>
    rewritten(bytes, field, concat(Virtual.pick(draws, unknowns), whole(bytes, field))),
  "another wire type": (bytes, field, _, draws) => {
    const tag = tagOf(bytes, field)
    return rewritten(
      bytes,
      field,
      concat(
        varint(tag - tag % 8 + Virtual.pick(draws, wireTypes)),
        bytes.subarray(readVarint(bytes, field.start)!.end, field.end)
      )
    )
  },
  "another number": (bytes, field, _, draws) =>
    rewritten(
      bytes,
      field,
      concat(
        varint(Virtual.pick(draws, [0, 1, 2, 3, 4, 5, 6, 7, 300 + Virtual.below(draws, 20), 2 ** 20]) * 8 + field.type),
        bytes.subarray(readVarint(bytes, field.start)!.end, field.end)
      )
    ),
  "padded tag": (bytes, field) =>
    rewritten(
      bytes,
      field,
      concat(varint(tagOf(bytes, field), 1), bytes.subarray(readVarint(bytes, field.start)!.end, field.end))
    ),
  "padded or huge length": (bytes, field, _, draws) => {
    const length = Virtual.pick(draws, [
      varint(field.end - field.value, 1 + Virtual.below(draws, 5)),
      varint(2 ** (7 * (1 + Virtual.below(draws, 6)))),
      varint(Math.max(0, field.end - field.value + Virtual.below(draws, 5) - 2))
    ])
    return rewritten(bytes, field, concat(varint(tagOf(bytes, field)), length, valueOf(bytes, field)))
  },
  "edit a number": (bytes, field, _, draws) =>
    field.type === 0
      ? rewritten(bytes, field, concat(varint(tagOf(bytes, field)), Virtual.pick(draws, varints)))
      : withValue(bytes, field, encoder.encode(Virtual.pick(draws, numbers))),
  "damage a text": (bytes, field, _, draws) => {
    const value = valueOf(bytes, field)
    const place = Virtual.below(draws, value.length + 1)
    return withValue(
      bytes,
      field,
      concat(value.subarray(0, place), Virtual.pick(draws, damages), value.subarray(place))
    )
  },
  "empty a field": (bytes, field) => withValue(bytes, field, new Uint8Array(0)),
  "nest it in itself": (bytes, field) => withValue(bytes, field, whole(bytes, field)),
  "group around it": (bytes, field) =>
    rewritten(bytes, field, concat(varint(21 * 8 + 3), whole(bytes, field), varint(21 * 8 + 4)))
}

const unknowns = [
  concat(varint(20 * 8 + 2), varint(3), encoder.encode("new")),
  concat(varint(7 * 8), varint(77)),
  concat(varint(8 * 8 + 1), new Uint8Array(8)),
  concat(varint(9 * 8 + 5), new Uint8Array(4)),
  concat(varint(21 * 8 + 3), varint(22 * 8), varint(1), varint(21 * 8 + 4)),
  concat(varint(399 * 8 + 2), varint(0))
]

const varints = [
  varint(0),
  varint(1),
  varint(3),
  varint(2 ** 31),
  varint(Number.MAX_SAFE_INTEGER),
  varint(1, 6),
  Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
  Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
  Uint8Array.of(128, 128, 128, 128, 128, 128, 128, 128, 128, 2)
]

const damages = [
  Uint8Array.of(0xff),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xf4, 0x90, 0x80, 0x80),
  Uint8Array.of(0xc0, 0x80),
  Uint8Array.of(0),
  encoder.encode("龙"),
  encoder.encode("@")
]

/** How deep a message within a message may be picked. */
const deepest = 3

/** Changes one field of the message, or of a message in it; null when the bytes are no message. */
const inMessage = (bytes: Uint8Array, change: FieldChange, draws: Draws, depth = 0): Uint8Array | null => {
  const fields = fieldsOf(bytes)
  if (fields === null || fields.length === 0) return null
  const field = Virtual.pick(draws, fields)
  const inner = field.type === 2 && depth < deepest && Virtual.below(draws, 3) > 0
    ? inMessage(valueOf(bytes, field), change, draws, depth + 1)
    : null
  return inner === null ? change(bytes, field, fields, draws) : withValue(bytes, field, inner)
}

// ---- all ------------------------------------------------------------------------------------------------------------

/** A changed frame, and the name of what was done to it. */
export interface Mutant {
  readonly id: string
  readonly bytes: Uint8Array
}

const jsonNames = Object.keys(json)
const protobufNames = Object.keys(protobuf)

/** The beginning of one frame and the end of another. */
const spliced = (frame: Uint8Array, other: Uint8Array, draws: Draws): Uint8Array =>
  concat(frame.subarray(0, Virtual.below(draws, frame.length)), other.subarray(Virtual.below(draws, other.length)))

const structural = (frame: Uint8Array, draws: Draws): Mutant => {
  if (formatOf(frame) === "json") {
    const id = Virtual.pick(draws, jsonNames)
    return { id, bytes: encoder.encode(json[id]!(decoder.decode(frame), draws)) }
  }
  const id = Virtual.pick(draws, protobufNames)
  const bytes = inMessage(frame, protobuf[id]!, draws)
  return bytes === null ? Malformed.changed(frame, draws) : { id, bytes }
}

/** One change, sometimes two; `other` is any valid frame of the same exchange. */
export const mutate = (frame: Uint8Array, other: Uint8Array, draws: Draws): Mutant => {
  const way = Virtual.below(draws, 20)
  if (way === 0) return { id: "splice", bytes: spliced(frame, other, draws) }
  if (way < 5) return Malformed.changed(frame, draws)
  const once = structural(frame, draws)
  if (way < 16 || once.bytes.length === 0) return once
  return { id: "two changes", bytes: structural(once.bytes, draws).bytes }
}
