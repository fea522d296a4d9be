/** Logs go to stderr, one line each and without colours; stdout is for data. */
import { Console, Effect, Inspectable, Layer, Logger, Predicate } from "effect"

const text = (value: unknown): string => (Predicate.isString(value) ? value : Inspectable.toStringUnknown(value, 0))

const textOf = (message: unknown): string => (Array.isArray(message) ? message.map(text).join(" ") : text(message))

const annotationsOf = (annotations: Readonly<Record<string, unknown>>): string =>
  Object.entries(annotations).map(([name, value]) => ` ${name}=${text(value)}`).join("")

/** `12:34:56.789 WARN message name=value`. */
const line = Logger.map(Logger.formatStructured, (entry) => {
  const time = entry.timestamp.slice(11, 23)
  const cause = entry.cause === undefined ? "" : `\n${entry.cause}`
  return `${time} ${entry.level} ${textOf(entry.message)}${annotationsOf(entry.annotations)}${cause}`
})

export const layer = Logger.layer([Logger.withConsoleError(line), Logger.tracerLogger])

/** Logs held back while a full-screen view has the terminal. */
export interface Held {
  readonly layer: Layer.Layer<never>
  /** The newest lines, oldest first. */
  readonly recent: (count: number) => ReadonlyArray<string>
  /** Prints what is held on stderr, and how many earlier lines did not fit. */
  readonly release: Effect.Effect<void>
}

/** Nothing is held back. */
export const direct: Held = { layer: Layer.empty, recent: () => [], release: Effect.void }

const mostHeld = 200

export const makeHeld = (): Held => {
  let lines: Array<string> = []
  let forgotten = 0
  const hold = (entry: string): void => {
    lines.push(entry)
    if (lines.length <= mostHeld) return
    lines.shift()
    forgotten++
  }
  return {
    layer: Logger.layer([Logger.map(line, hold), Logger.tracerLogger]),
    recent: (count) => lines.slice(-count).flatMap((entry) => entry.split("\n", 1)),
    release: Effect.suspend(() => {
      const held = forgotten === 0 ? lines : [`(${forgotten} earlier lines of the log were not kept)`, ...lines]
      lines = []
      forgotten = 0
      return held.length === 0 ? Effect.void : Console.error(held.join("\n"))
    })
  }
}
