/**
 * Journals in files, compressed with zstd. For Node: a sub-path of the package (`effect-exchange/JournalFile`), which the
 * main entry never loads.
 */
import { Effect, FileSystem, Latch } from "effect"
import type { Duration, PlatformError, Scope } from "effect"
import { fileURLToPath } from "node:url"
import { constants, zstdCompress, zstdDecompress } from "node:zlib"
import * as Journal from "./connection/Journal.ts"
import type { GapCause } from "./domain/Feed.ts"

/** zstd at its fastest level, on Node's thread pool; damage is found by its checksum. */
export const zstd: Journal.Compression = {
  id: 1,
  compress: (bytes) =>
    Effect.callback<Uint8Array>((resume) => {
      const params = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 }
      zstdCompress(bytes, { params }, (error, compressed) => {
        resume(error === null ? Effect.succeed(compressed) : Effect.die(error))
      })
    }),
  decompress: (bytes, length) =>
    Effect.callback<Uint8Array, Journal.JournalError>((resume) => {
      zstdDecompress(bytes, { maxOutputLength: Math.max(1, length) }, (error, plain) => {
        if (error === null && plain.length === length) return resume(Effect.succeed(plain))
        const detail = error === null ? `${plain.length} bytes in place of ${length}` : error.message
        resume(Effect.fail(new Journal.JournalError({ kind: "damaged", detail })))
      })
    })
}

/** Of this package; undefined where its manifest cannot be read. */
const packageVersion = Effect.gen(function*() {
  const fileSystem = yield* FileSystem.FileSystem
  const manifest = yield* fileSystem.readFileString(fileURLToPath(new URL("../package.json", import.meta.url)))
  return (JSON.parse(manifest) as { readonly version: string }).version
}).pipe(Effect.catch(() => Effect.succeed(undefined)))

const fileError = (what: string) => (error: PlatformError.PlatformError): Journal.JournalError =>
  new Journal.JournalError({
    kind: "file",
    detail: `${what}: ${error.reason._tag === "NotFound" ? "no such file or directory" : error.message}`
  })

/**
 * Records into a file until the scope closes; what is there already is replaced. A killed process loses what came since
 * the last flush. Fails when the file cannot be written; a disk that fills up later ends the recording alone.
 */
export const record = Effect.fnUntraced(function*(
  path: string,
  options: Omit<Journal.JournalOptions, "compression"> = {}
): Effect.fn.Return<Journal.Recorder, Journal.JournalError, FileSystem.FileSystem | Scope.Scope> {
  const fileSystem = yield* FileSystem.FileSystem
  const version = yield* packageVersion
  const file = yield* Effect.mapError(fileSystem.open(path, { flag: "w" }), fileError(`cannot record to ${path}`))
  const sink: Journal.Sink = (bytes) => Effect.mapError(file.writeAll(bytes), fileError(`cannot record to ${path}`))
  return yield* Journal.make({ package: version, ...options, compression: zstd, sink })
})

export interface RingFileOptions extends Omit<Journal.RingOptions, "compression" | "onBreak"> {
  /** Breaks that are worth a file. */
  readonly on: ReadonlyArray<GapCause>
  /** How long to go on before the file is written, so that it holds what followed. Default 5 s. */
  readonly after?: Duration.Input | undefined
  /** Where to write. Counts from 1. */
  readonly path: (count: number) => string
}

/**
 * Keeps the latest in memory and writes it to a file when the session meets one of the chosen breaks: at most one file
 * in each `after`. A file that cannot be written is an error in the log.
 */
export const ring = Effect.fnUntraced(function*(
  options: RingFileOptions
): Effect.fn.Return<Journal.Ring, never, FileSystem.FileSystem | Scope.Scope> {
  const fileSystem = yield* FileSystem.FileSystem
  const wanted = new Set(options.on)
  const broken = yield* Latch.make(false)
  const onBreak = (cause: GapCause): void => {
    if (wanted.has(cause)) broken.openUnsafe()
  }
  const kept = yield* Journal.ring({ package: yield* packageVersion, ...options, compression: zstd, onBreak })
  let count = 0
  const write = Effect.gen(function*() {
    yield* broken.await
    yield* Effect.sleep(options.after ?? "5 seconds")
    broken.closeUnsafe()
    const bytes = yield* kept.dump
    if (bytes === null) return
    const path = options.path(++count)
    yield* fileSystem.writeFile(path, bytes)
    yield* Effect.logInfo(`the latest was written to ${path}`)
  }).pipe(Effect.catch((error) => Effect.logError(fileError("a recording was lost")(error).message)))
  yield* Effect.forkScoped(Effect.forever(write))
  return kept
})

/** Reads a recording. Fails when the file is none; see `Recording.summary.truncated` for one that is not whole. */
export const read = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<Journal.Recording, Journal.JournalError, FileSystem.FileSystem> {
  const fileSystem = yield* FileSystem.FileSystem
  const bytes = yield* Effect.mapError(fileSystem.readFile(path), fileError(`cannot read ${path}`))
  return yield* Effect.mapError(
    Journal.read(bytes, [zstd]),
    (error) => new Journal.JournalError({ kind: error.kind, detail: `cannot read ${path}: ${error.detail}` })
  )
})
