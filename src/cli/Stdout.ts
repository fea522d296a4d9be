/** Standard output, which is for data alone: written at the reader's pace, and its end is a quiet end. */
import { Effect, Predicate, Stdio, Stream } from "effect"
import type { PlatformError } from "effect"
import * as Failure from "./Failure.ts"

/** What Node says when nobody reads any more, as behind `| head -1`. */
const closedCodes: ReadonlySet<string> = new Set(["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"])

const codeOf = (error: PlatformError.PlatformError): string => {
  const { cause } = error.reason
  return Predicate.isObject(cause) && "code" in cause ? String(cause.code) : ""
}

const isClosed = (error: PlatformError.PlatformError): boolean => closedCodes.has(codeOf(error))

/** Writes until the text ends or the reader leaves, whichever comes first. */
export const write = <R>(
  text: Stream.Stream<string, Failure.CommandFailed, R>
): Effect.Effect<void, Failure.CommandFailed, R | Stdio.Stdio> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    yield* Stream.run(text, stdio.stdout())
  }).pipe(
    Effect.catchTag("PlatformError", (error) =>
      isClosed(error)
        ? Effect.logDebug("standard output was closed by its reader")
        : Effect.fail(Failure.failed(`cannot write to standard output: ${error.message}`)))
  )

export const print = (text: string): Effect.Effect<void, Failure.CommandFailed, Stdio.Stdio> =>
  write(Stream.succeed(text))
