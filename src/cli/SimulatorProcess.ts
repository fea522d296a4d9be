/** The simulator in a process of its own: this same command with `simulate`, ended with the scope or with this process. */
import { Effect, Schema, Stream } from "effect"
import type { Scope } from "effect"
import type { PlatformError } from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import { fileURLToPath } from "node:url"
import type { TradingPair } from "../domain/Instrument.ts"
import type { SimulatorUrls } from "../simulator/Simulator.ts"
import * as Failure from "./Failure.ts"

/** Beside this file, with the same ending: TypeScript in the sources, JavaScript in the package. */
const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "main.ts" : "main.js", import.meta.url))

const Urls = Schema.fromJsonString(
  Schema.Record(Schema.String, Schema.Struct({ ws: Schema.String, rest: Schema.String }))
)

/** What a simulator's process says first: where its exchanges are. */
export const readUrls = (line: string): Effect.Effect<SimulatorProcess["urls"], Failure.CommandFailed> =>
  Effect.mapError(
    Schema.decodeUnknownEffect(Urls)(line),
    (error) => Failure.usage(`these are not the addresses of a simulator: ${error.message}`)
  )

export interface SimulatorProcessOptions {
  readonly pairs: ReadonlyArray<TradingPair>
  readonly seed: number
  readonly rate: number | undefined
  /** Default `real`. */
  readonly limits?: "real" | "off" | undefined
  /** In the fault language. */
  readonly faults?: ReadonlyArray<string> | undefined
  /** On so many pairs edges between the exchanges are planted. Default 0. */
  readonly edges?: number | undefined
}

export interface SimulatorProcess {
  readonly pid: number
  readonly urls: Readonly<Record<string, SimulatorUrls>>
  /** Fails when the process ends before its time. */
  readonly watch: Effect.Effect<never, Failure.CommandFailed>
}

const args = ({ edges, faults = [], limits, pairs, rate, seed }: SimulatorProcessOptions): ReadonlyArray<string> => [
  main,
  "simulate",
  "--exit-with-parent",
  "--log-level=warn",
  `--seed=${seed}`,
  `--pairs=${pairs.join(",")}`,
  ...rate === undefined ? [] : [`--rate=${rate}`],
  ...edges === undefined ? [] : [`--edges=${edges}`],
  ...limits === undefined ? [] : [`--limits=${limits}`],
  ...faults.map((fault) => `--fault=${fault}`)
]

const linesOf = (bytes: Stream.Stream<Uint8Array, PlatformError>) => Stream.splitLines(Stream.decodeText(bytes))

const broken = (detail: string): Failure.CommandFailed => Failure.failed(`the simulator's process ${detail}`)

/** Starts it and waits until it listens. */
export const start = Effect.fnUntraced(
  function*(
    options: SimulatorProcessOptions
  ): Effect.fn.Return<SimulatorProcess, Failure.CommandFailed, ChildProcessSpawner | Scope.Scope> {
    // A process group of its own (the default), so that Ctrl-C in the terminal ends it through us and in order. Its
    // standard input is a pipe that nothing is written to: when this process ends, however it ends, so does the pipe.
    const child = yield* ChildProcess.make(process.execPath, args(options), { forceKillAfter: "1 second" }).pipe(
      Effect.mapError((error) => broken(`cannot be started: ${error.message}`))
    )
    yield* Effect.forkScoped(
      Stream.runForEach(linesOf(child.stderr), (line) => Effect.logWarning(`simulator: ${line}`))
    )
    const watch = child.exitCode.pipe(
      Effect.mapError((error) => broken(`failed: ${error.message}`)),
      Effect.flatMap((code) => Effect.fail(broken(`ended with exit code ${code}`)))
    )
    const first = linesOf(child.stdout).pipe(
      Stream.take(1),
      Stream.runCollect,
      // Without a line it is ending, and `watch` says how.
      Effect.flatMap(([line]) => line === undefined ? Effect.never : Schema.decodeUnknownEffect(Urls)(line)),
      Effect.mapError((error) => broken(`did not say where it listens: ${error.message}`)),
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () => Effect.fail(broken("did not listen within 30 seconds"))
      })
    )
    const urls = yield* Effect.raceFirst(first, watch)
    return { pid: child.pid, urls, watch }
  }
)
