/**
 * What the general decoder makes of a frame, got without the fast path: JSON is parsed first and written again in an
 * order that no fast path reads, protobuf is read by protobufjs and written again. Both hold the same message.
 */
import * as MexcSchema from "../../src/exchanges/mexc/MexcSchema.ts"

/** The same message for the general decoder; null when there is none in the frame: it must be an error then. */
export type Referee = (frame: Uint8Array) => Uint8Array | null

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** The text of a JSON object; null when the frame is none. */
const objectText = (frame: Uint8Array): string | null => {
  try {
    const text = strict.decode(frame)
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value) ? text : null
  } catch {
    return null
  }
}

const openers = new Set(["{", "["])
const closers = new Set(["}", "]"])

/** Behind the string whose quote stands at `from`. */
const behindString = (text: string, from: number): number => {
  let i = from + 1
  while (text[i] !== "\"") i += text[i] === "\\" ? 2 : 1
  return i + 1
}

/** Behind the value at `from`: at the comma or brace that ends it. The text is known to be JSON. */
const behindValue = (text: string, from: number): number => {
  let depth = 0
  let i = from
  for (;;) {
    const character = text[i]!
    if (character === "\"") {
      i = behindString(text, i)
      continue
    }
    if (depth === 0 && (character === "," || character === "}")) return i
    if (openers.has(character)) depth++
    else if (closers.has(character)) depth--
    i++
  }
}

/** Raw values of an object's members by name, the last of equal names, as `JSON.parse` has it. */
const membersOf = (text: string): ReadonlyMap<string, string> => {
  const members = new Map<string, string>()
  let i = text.indexOf("{") + 1
  for (;;) {
    const start = text.indexOf("\"", i)
    if (start < 0 || /\S/.test(text.slice(i, start).replace(",", ""))) return members
    const end = behindString(text, start)
    const colon = text.indexOf(":", end)
    i = behindValue(text, colon + 1)
    members.set(text.slice(start, end), text.slice(colon + 1, i))
    if (text[i] === "}") return members
  }
}

/** Two spellings of one name are one member. */
const nameOf = (quoted: string): string => JSON.parse(quoted) as string

/** The bodies stand in front of what says what they are: fast paths want to know that first. */
export const json: Referee = (frame) => {
  const text = objectText(frame)
  if (text === null) return null
  const byName = new Map<string, string>()
  for (const [quoted, raw] of membersOf(text)) byName.set(nameOf(quoted), raw)
  const names = [...byName.keys()].reverse()
  const ordered = [...names.filter((name) => name === "result"), ...names.filter((name) => name !== "result")]
  return encoder.encode(`{${ordered.map((name) => `${JSON.stringify(name)}:${byName.get(name)}`).join(",")}}`)
}

const leftBrace = 123

/** MEXC's frames: text that begins with a brace is JSON, the others are protobuf. */
export const mexc: Referee = (frame) => {
  if (frame[0] === leftBrace) return json(frame)
  const normalised = MexcSchema.normalise(frame)
  return normalised._tag === "Frame" ? normalised.frame : null
}

/** JSON where nothing else is known. */
export const of = (exchange: string): Referee => exchange.startsWith("mexc") ? mexc : json
