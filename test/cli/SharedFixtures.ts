/** The shared fixture files, where they are present. */
import * as fs from "node:fs"
import * as path from "node:path"

const folder = path.resolve(import.meta.dirname, "../../../shared/fixtures")

export const isPresent = fs.existsSync(folder)
export const isRequired = process.env["REQUIRE_FIXTURES"] === "1"

export interface Expect {
  readonly kind?: string
  readonly error?: true
  readonly oneOf?: ReadonlyArray<string>
  readonly [fact: string]: unknown
}

export interface Case {
  readonly id: string
  readonly direction: string
  readonly raw: unknown
  readonly expect: Expect
}

/** A piece of an input that is too large to store: the format's description is in the folder's README. */
interface Part {
  readonly text?: string
  readonly hex?: string
  readonly repeat?: string
  readonly repeatHex?: string
  readonly times?: number
  readonly protobufField?: number
  readonly content?: ReadonlyArray<Part>
}

const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...bytes, rest])
}

const bytesOf = (part: Part): Buffer => {
  if (part.content !== undefined) {
    const content = Buffer.concat(part.content.map(bytesOf))
    return Buffer.concat([varint(part.protobufField! * 8 + 2), varint(content.length), content])
  }
  if (part.text !== undefined) return Buffer.from(part.text)
  if (part.hex !== undefined) return Buffer.from(part.hex, "hex")
  const once = part.repeat === undefined ? Buffer.from(part.repeatHex!, "hex") : Buffer.from(part.repeat)
  return Buffer.concat(new Array<Buffer>(part.times!).fill(once))
}

const isGenerated = (
  raw: unknown
): raw is { readonly generate: { readonly what: string; readonly parts: ReadonlyArray<Part> } } =>
  typeof raw === "object" && raw !== null && "generate" in raw

/** Text or `{hex}`, as the command reads it. */
const expanded = (raw: unknown): unknown => {
  if (!isGenerated(raw)) return raw
  const bytes = Buffer.concat(raw.generate.parts.map(bytesOf))
  return raw.generate.what === "text" ? bytes.toString() : { hex: bytes.toString("hex") }
}

/** What the exchange sends, of one file. */
export const read = (file: string): ReadonlyArray<Case> =>
  fs.readFileSync(path.join(folder, `${file}.jsonl`), "utf8").split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Case)
    .filter(({ direction }) => direction === "in")
    .map((found) => ({ ...found, raw: expanded(found.raw) }))
