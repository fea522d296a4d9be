/** What a person has to type before anything is sent to an exchange where it costs money. */
import { Console, Effect, Option, Stdio, Stream } from "effect"
import * as Failure from "../Failure.ts"

const firstLine: Effect.Effect<Option.Option<string>, never, Stdio.Stdio> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  return yield* stdio.stdin.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
}).pipe(Effect.catchTag("PlatformError", () => Effect.succeedNone))

/**
 * Shows what is about to be done and waits until the word is typed; anything else, also an end of input, refuses. Refuses
 * too where nobody can type: a confirmation that a script pipes in is none.
 */
export const ask = Effect.fnUntraced(
  function*(
    what: ReadonlyArray<string>,
    word: string
  ): Effect.fn.Return<void, Failure.CommandFailed, Stdio.Stdio> {
    const stdio = yield* Stdio.Stdio
    if (!(yield* stdio.stdinIsTerminal)) {
      return yield* Failure.usage("--live asks for a typed confirmation, so standard input has to be a terminal")
    }
    yield* Console.error([...what, `Type ${word} to send it, anything else to leave it:`].join("\n"))
    const typed = yield* firstLine
    if (Option.getOrElse(typed, () => "").trim() !== word) {
      return yield* Failure.failed("not confirmed: nothing was sent")
    }
  }
)
