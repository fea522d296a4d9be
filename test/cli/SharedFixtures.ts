/** What exchanges send, of the shared fixture files, as lines for `exchange decode`. */
import type { Raw } from "../exchanges/SharedFixtures.ts"
import { bytesOf, shared } from "../exchanges/SharedFixtures.ts"

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

/** Text or `{hex}`, as the command reads it. */
const expanded = (raw: Raw): unknown => {
  if (typeof raw === "string" || "hex" in raw) return raw
  const bytes = Buffer.from(bytesOf(raw))
  return raw.generate.what === "text" ? bytes.toString() : { hex: bytes.toString("hex") }
}

/** What the exchange sends, of one file. */
export const read = (file: string): ReadonlyArray<Case> =>
  shared<Case>(`${file}.jsonl`)
    .filter(({ direction }) => direction === "in")
    .map((found) => ({ ...found, raw: expanded(found.raw as Raw) }))
