/** Shows a picture that changes: redrawn in place on a terminal, as lines at a modest pace everywhere else. */
import { Effect, Queue, Schedule, Stdio, Stream, Terminal } from "effect"
import type { Scope } from "effect"
import { TerminalCapabilities } from "effect/cli"
import type * as Failure from "./Failure.ts"
import * as Logging from "./Logging.ts"
import * as Stdout from "./Stdout.ts"

export interface View {
  /** The whole picture, for so many rows and characters a row; called four times a second. */
  readonly screen: (rows?: number, columns?: number) => ReadonlyArray<string>
  /** What there is to say now; called once a second. */
  readonly lines: () => ReadonlyArray<string>
}

/** Alternate screen, no cursor, no wrapping at the right edge. */
const enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
const leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"

/** Drawn between these, a terminal that knows them shows whole pictures only. */
const beginUpdate = "\x1b[?2026h"
const endUpdate = "\x1b[?2026l"

/** A picture from the top left corner: each line clears what is behind it, the last one what is below. */
const picture = (lines: ReadonlyArray<string>): string =>
  `${beginUpdate}\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J${endUpdate}`

/** Gives the terminal back when the scope closes, and also when the process ends without closing it. */
const screen: Effect.Effect<void, Failure.CommandFailed, Scope.Scope | Stdio.Stdio> = Effect.gen(function*() {
  const restore = (): void => {
    process.stdout.write(leave)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.once("exit", restore)),
    () => Effect.sync(() => process.off("exit", restore))
  )
  yield* Effect.acquireRelease(Stdout.print(enter), () => Effect.ignore(Stdout.print(leave)))
})

const quits = ({ key }: Terminal.UserInput): boolean => key.name === "q" || (key.ctrl && key.name === "c")

/** Until q, Esc or Ctrl-C, which is a key like any other while keys are read one by one. */
const untilQuit: Effect.Effect<void, never, Stdio.Stdio | Terminal.Terminal> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  if (!(yield* stdio.stdinIsTerminal)) return yield* Effect.never
  const terminal = yield* Terminal.Terminal
  const keys = yield* terminal.readInput
  // The queue ends by itself at Esc, Ctrl-C, Ctrl-D and the end of the input.
  yield* Effect.ignore(Effect.repeat(Queue.take(keys), { until: quits }))
}).pipe(Effect.scoped)

const redraw = (view: View) =>
  Effect.gen(function*() {
    const terminal = yield* Terminal.Terminal
    yield* screen
    const pictures = Stream.fromEffectSchedule(
      Effect.map(Effect.all([terminal.rows, terminal.columns]), ([rows, columns]) => {
        const height = rows > 0 ? rows : undefined
        return picture(view.screen(height, columns > 0 ? columns : undefined).slice(0, height))
      }),
      Schedule.spaced("250 millis")
    )
    yield* Effect.raceFirst(Stdout.write(pictures), untilQuit)
  }).pipe(Effect.scoped)

const print = (view: View) =>
  Stdout.write(
    Stream.fromEffectSchedule(Effect.sync(view.lines), Schedule.spaced("1 second")).pipe(
      Stream.filter((lines) => lines.length > 0),
      Stream.map((lines) => `${lines.join("\n")}\n`)
    )
  )

/** Whether pictures can be redrawn in place. */
export const isTerminal: Effect.Effect<boolean> = Effect.map(
  TerminalCapabilities.TerminalCapabilities,
  ({ canAnimate }) => canAnimate
)

/** Shows until the user quits or nobody reads any more. */
export const show = (view: View): Effect.Effect<void, Failure.CommandFailed, Stdio.Stdio | Terminal.Terminal> =>
  Effect.flatMap(isTerminal, (animate) => animate ? redraw(view) : print(view))

/** Where logs go while a view is shown: into the picture, where they would be drawn over otherwise. */
export const logging: Effect.Effect<Logging.Held, never, Stdio.Stdio> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  return (yield* isTerminal) && (yield* stdio.stderrIsTerminal) ? Logging.makeHeld() : Logging.direct
})
