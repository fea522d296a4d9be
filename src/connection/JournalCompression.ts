/** How the blocks of a journal are made smaller. */
import { Effect } from "effect"
import type { JournalError } from "./JournalFormat.ts"

/** Turns blocks into fewer bytes and back. */
export interface Compression {
  /** As it stands in the file. */
  readonly id: number
  readonly compress: (bytes: Uint8Array) => Effect.Effect<Uint8Array>
  /** `length`: what it must have been before. */
  readonly decompress: (bytes: Uint8Array, length: number) => Effect.Effect<Uint8Array, JournalError>
}

export const uncompressed: Compression = {
  id: 0,
  compress: Effect.succeed,
  decompress: Effect.succeed
}
