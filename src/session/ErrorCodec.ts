/** Errors as JSON and back. */
import { Schema } from "effect"
import { ExchangeError } from "../ExchangeError.ts"

export const encode: (error: ExchangeError) => unknown = Schema.encodeSync(ExchangeError)

/** Throws when it is none. */
export const decode: (json: unknown) => ExchangeError = Schema.decodeUnknownSync(ExchangeError)
