/** Runs the `exchange` command inside the test, with a standard input, output and terminal of its own. */
import * as NodeChildProcessSpawner from "@effect/platform-node/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { ConfigProvider, Console, Deferred, Effect, Layer, Option, Queue, Sink, Stdio, Stream, Terminal } from "effect"
import type { Scope } from "effect"
import { Command, TerminalCapabilities } from "effect/cli"
import * as Exchange from "../../src/cli/Exchange.ts"
import * as Failure from "../../src/cli/Failure.ts"
import * as Logging from "../../src/cli/Logging.ts"

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Waits until standard output holds the text, or what matches; fails when the command ends without. */
  readonly shows: (text: string | RegExp) => Effect.Effect<void, Error>
  /** The same for standard error. */
  readonly logs: (text: string) => Effect.Effect<void, Error>
  /** A key on the terminal. */
  readonly press: (name: string, modifiers?: { readonly ctrl?: boolean }) => Effect.Effect<void>
  /** What SIGINT and SIGTERM do. */
  readonly interrupt: Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  readonly stdout: () => string
}

export interface Options {
  readonly stdin?: Stream.Stream<Uint8Array> | string | undefined
  /** Redraws in place and reads keys. */
  readonly terminal?: boolean | undefined
  readonly color?: boolean | undefined
  readonly rows?: number | undefined
  /** Environment variables that the configuration is read from. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Standard output ends after the first chunk that holds this text, as a reader that has seen enough. */
  readonly readUntil?: string | undefined
}

const holds = (text: string, part: string | RegExp): boolean =>
  typeof part === "string" ? text.includes(part) : part.test(text)

/** Text that grows, and those who wait for a part of it. */
class Output {
  text = ""
  #waiting: Array<{ readonly part: string | RegExp; readonly deferred: Deferred.Deferred<void, Error> }> = []

  push(chunk: string): void {
    this.text += chunk
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ part }) => !holds(this.text, part))
    // Whoever is told may wait again at once.
    for (const { part, deferred } of waiting) {
      if (holds(this.text, part)) Deferred.doneUnsafe(deferred, Effect.void)
    }
  }

  end(): void {
    for (const { part, deferred } of this.#waiting) {
      Deferred.doneUnsafe(deferred, Effect.fail(new Error(`the command ended without "${part}":\n${this.text}`)))
    }
  }

  shows(part: string | RegExp): Effect.Effect<void, Error> {
    return Effect.suspend(() => {
      if (holds(this.text, part)) return Effect.void
      const deferred = Deferred.makeUnsafe<void, Error>()
      this.#waiting.push({ part, deferred })
      return Deferred.await(deferred)
    })
  }
}

const utf8 = new TextDecoder()

const stdioOf = (options: Options, stdout: Output): Layer.Layer<Stdio.Stdio> => {
  const { stdin = "", terminal = false, readUntil } = options
  return Stdio.layerTest({
    stdinIsTerminal: Effect.succeed(terminal),
    stdoutIsTerminal: Effect.succeed(terminal),
    stderrIsTerminal: Effect.succeed(terminal),
    stdin: typeof stdin === "string" ? Stream.make(new TextEncoder().encode(stdin)) : stdin,
    stdout: () =>
      Sink.forEachWhile((chunk: string | Uint8Array) =>
        Effect.sync(() => {
          stdout.push(typeof chunk === "string" ? chunk : utf8.decode(chunk))
          return readUntil === undefined || !stdout.text.includes(readUntil)
        })
      ),
    stderr: () => Sink.drain
  })
}

const terminalOf = (options: Options, keys: Queue.Dequeue<Terminal.UserInput>): Layer.Layer<Terminal.Terminal> =>
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: Effect.succeed(120),
      rows: Effect.succeed(options.rows ?? 0),
      size: Effect.die("unused"),
      readInput: Effect.succeed(keys as never),
      readLine: Effect.die("unused"),
      display: () => Effect.die("unused")
    })
  )

const consoleOf = (stdout: Output, stderr: Output): Console.Console =>
  Object.assign(Object.create(console) as Console.Console, {
    log: (...words: ReadonlyArray<unknown>) => stdout.push(`${words.join(" ")}\n`),
    error: (...words: ReadonlyArray<unknown>) => stderr.push(`${words.join(" ")}\n`)
  })

const servicesOf = (options: Options, stdout: Output, keys: Queue.Dequeue<Terminal.UserInput>) => {
  const { terminal = false, color = false } = options
  return Layer.mergeAll(
    Exchange.layer,
    Logging.layer,
    stdioOf(options, stdout),
    terminalOf(options, keys),
    ConfigProvider.layer(ConfigProvider.fromEnv({ env: options.env ?? {} })),
    Layer.succeed(TerminalCapabilities.TerminalCapabilities, {
      canAnimate: terminal,
      canColor: color,
      canPrompt: terminal
    }),
    NodeChildProcessSpawner.layer.pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
  )
}

/** Starts a command line; it is stopped with the scope. */
export const start = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>, options: Options = {}): Effect.fn.Return<Running, never, Scope.Scope> {
    const stdout = new Output()
    const stderr = new Output()
    const keys = yield* Queue.make<Terminal.UserInput>()
    const ended = yield* Deferred.make<Ended>()
    const fiber = yield* Command.runWith(Exchange.command, { version: "1.2.3" })(args).pipe(
      Effect.provide(servicesOf(options, stdout, keys)),
      Effect.provideService(Console.Console, consoleOf(stdout, stderr)),
      Effect.exit,
      Effect.flatMap((exit) => {
        stdout.end()
        stderr.end()
        return Deferred.succeed(ended, { code: Failure.exitCode(exit), stdout: stdout.text, stderr: stderr.text })
      }),
      // As main does: commands say themselves what a signal may stop.
      Effect.uninterruptible,
      Effect.forkScoped
    )
    return {
      shows: (text) => stdout.shows(text),
      logs: (text) => stderr.shows(text),
      press: (name, { ctrl = false } = {}) =>
        Effect.asVoid(Queue.offer(keys, { input: Option.none(), key: { name, ctrl, meta: false, shift: false } })),
      interrupt: Effect.sync(() => fiber.interruptUnsafe()),
      ended: Deferred.await(ended),
      stdout: () => stdout.text
    }
  }
)

/** Runs a command line to its end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))
