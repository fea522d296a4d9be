/** `exchange decode`: frames in, domain events out, one line each. */
import { Clock, Effect, FileSystem, Option, Result, Stdio, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { ExchangeId, InstrumentOf } from "../domain/Instrument.ts"
import * as Exchanges from "../Exchanges.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import { FrameDecoder, noInstruments } from "./FrameDecoder.ts"
import * as InstrumentFile from "./InstrumentFile.ts"
import * as Stdout from "./Stdout.ts"

const readInstruments = Effect.fnUntraced(function*(exchange: ExchangeId, file: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fileSystem.readFileString(file),
    ({ message, reason }) =>
      Failure.usage(
        `cannot read the instruments of ${file}: ${reason._tag === "NotFound" ? "no such file or directory" : message}`
      )
  )
  const instruments = yield* Effect.fromResult(
    Result.mapError(InstrumentFile.read(text), (detail) => Failure.usage(`${file}: ${detail}`))
  )
  if (!instruments.some((instrument) => instrument.exchange === exchange)) {
    yield* Effect.logWarning(`${file} has no instruments of ${exchange}: pairs stay null`)
  }
  return InstrumentFile.lookup(exchange, instruments)
})

const instrumentsOf = (exchange: ExchangeId, file: Option.Option<string>) =>
  Option.match(file, {
    onNone: () => Effect.succeed<InstrumentOf>(noInstruments),
    onSome: (path) => readInstruments(exchange, path)
  })

export const command = Command.make(
  "decode",
  {
    exchange: Flags.exchangeId,
    instruments: Flag.File("instruments").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("Instruments as `exchange instruments --format ndjson` prints them, to name pairs"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ exchange, instruments }) {
    const stdio = yield* Stdio.Stdio
    const clock = yield* Clock.Clock
    const instrumentOf = yield* instrumentsOf(exchange, instruments)
    const decoder = new FrameDecoder({
      adapter: Exchanges.get(exchange),
      instrumentOf,
      now: () => clock.currentTimeMillisUnsafe()
    })
    if (yield* stdio.stdinIsTerminal) yield* Effect.logInfo("reading lines from the terminal; Ctrl-D ends them")
    const answers = stdio.stdin.pipe(
      Stream.mapError((error) => Failure.failed(`cannot read standard input: ${error.message}`)),
      Stream.map((bytes) => decoder.push(bytes)),
      Stream.concat(Stream.sync(() => decoder.end())),
      Stream.filter((text) => text !== "")
    )
    yield* Stdout.write(answers)
    yield* Effect.logDebug("decoded", { ...decoder.counts })
  }, Effect.interruptible)
).pipe(
  Command.withDescription(
    "Decode frames: NDJSON on stdin ({\"id\", \"raw\": text or {\"hex\"}, \"receivedAt\"?}), one answer a line on stdout: " +
      "{\"id\", \"events\"}, {\"id\", \"control\"} or {\"id\", \"error\"}. Bad lines and frames are answered, never fatal."
  ),
  Command.withShortDescription("Decode recorded frames from stdin"),
  Command.withExamples([
    {
      command:
        "echo '{\"id\":1,\"raw\":\"{\\\"id\\\":0,\\\"code\\\":0,\\\"msg\\\":\\\"PONG\\\"}\"}' | exchange decode mexc-spot",
      description: "Decode one frame"
    },
    {
      command: "exchange decode gate-spot --instruments gate.ndjson < frames.ndjson",
      description: "Decode a recording, with pairs named"
    }
  ])
)
