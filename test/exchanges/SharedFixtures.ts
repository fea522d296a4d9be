/** Fixture files: those that lie beside the repository, read in place where they are, and the project's own. */
import { it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"

const sharedFolder = new URL("../../../shared/fixtures/", import.meta.url)
const ownFolder = new URL("../fixtures/", import.meta.url)

export const hasShared = existsSync(sharedFolder)
export const requireShared = process.env["REQUIRE_FIXTURES"] === "1"

/** A test that needs the shared ones: skipped where they are not, unless they have to be. */
export const withFixtures = hasShared || requireShared ? it : it.skip

const readLines = (file: URL): ReadonlyArray<unknown> =>
  readFileSync(file, "utf8").split("\n").filter((line) => line.trim() !== "").map((line) => JSON.parse(line))

/** Cases of one shared file; none where the folder is absent. */
export const shared = <A>(file: string): ReadonlyArray<A> =>
  hasShared ? readLines(new URL(file, sharedFolder)) as ReadonlyArray<A> : []

/** Cases of the project's own. */
export const own = <A>(exchange: string, file: string): ReadonlyArray<A> =>
  readLines(new URL(`${exchange}/${file}`, ownFolder)) as ReadonlyArray<A>

/** Text, bytes, or how to make an input that is too large to store (the README of the shared ones describes it). */
export type Raw =
  | string
  | { readonly hex: string }
  | { readonly generate: { readonly what?: string; readonly parts: ReadonlyArray<Part> } }

interface Part {
  readonly text?: string
  readonly hex?: string
  readonly repeat?: string
  readonly repeatHex?: string
  readonly times?: number
  readonly protobufField?: number
  readonly content?: ReadonlyArray<Part>
}

/** The frame of a case. No Buffer: a slice of one would share its memory. */
export const bytesOf = (raw: Raw): Uint8Array => {
  if (typeof raw === "string") return encoder.encode(raw)
  return Uint8Array.from("hex" in raw ? Buffer.from(raw.hex, "hex") : Buffer.concat(raw.generate.parts.map(partBytes)))
}

const encoder = new TextEncoder()

const partBytes = (part: Part): Uint8Array => {
  if (part.protobufField !== undefined) return delimited(part.protobufField, (part.content ?? []).map(partBytes))
  if (part.text !== undefined) return Buffer.from(part.text)
  if (part.hex !== undefined) return Buffer.from(part.hex, "hex")
  const once = part.repeat === undefined ? Buffer.from(part.repeatHex ?? "", "hex") : Buffer.from(part.repeat)
  return Buffer.concat(new Array<Uint8Array>(part.times ?? 1).fill(once))
}

const varint = (value: number): ReadonlyArray<number> =>
  value > 127 ? [(value % 128) + 128, ...varint(Math.floor(value / 128))] : [value]

/** A protobuf field of wire type 2. */
const delimited = (field: number, parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(content.length)]), content])
}

/** The raw text of one shared case by its name; bytes as hex. */
export const fixture = (file: string, name: string): string => {
  const found = shared<{ readonly id: string; readonly raw: Raw }>(file).find(({ id }) => id.endsWith(`/${name}`))
  if (found === undefined) throw new Error(`no fixture ${name} in ${file}`)
  if (typeof found.raw === "string") return found.raw
  return Buffer.from(bytesOf(found.raw)).toString("hex")
}
