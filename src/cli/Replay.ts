/** `exchange replay`: a recording, run again. */
import { Array, Clock, Effect, Option, Result } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Argument, Command, Flag } from "effect/cli"
import type { Recording } from "../connection/Journal.ts"
import type { PublicChannel, PublicTag } from "../domain/Channel.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import * as ExchangeFactory from "../ExchangeFactory.ts"
import * as Exchanges from "../Exchanges.ts"
import * as JournalFile from "../JournalFile.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Show from "./Show.ts"
import type { Wanted } from "./Show.ts"
import * as Stdout from "./Stdout.ts"
import type { WatchView } from "./WatchView.ts"

type Speed = number | "max"

export const readSpeed = (text: string): Result.Result<Speed, string> => {
  const value = Number(text)
  if (text === "max") return Result.succeed("max")
  return text.trim() !== "" && Number.isFinite(value) && value > 0
    ? Result.succeed(value)
    : Result.fail("a number above zero (1: as it was, 10: ten times faster) or max")
}

const speed = Flag.String("speed").pipe(
  Flag.withMetavar("N|max"),
  Flag.withDescription(
    "1: in the time that it took, 10: ten times faster, max: as fast as it is read (default: max, 1 for a table)"
  ),
  Flags.readAs("speed", readSpeed),
  Flag.optional
)

type Choice = Wanted["channels"][number]

const choiceOf = ({ pair: _, ...choice }: PublicChannel): Choice => choice

const adapterOf = ({ header }: Recording, file: string) =>
  Exchanges.isKnown(header.exchange)
    ? Effect.succeed(Exchanges.get(header.exchange))
    : Effect.fail(
      Failure.usage(`${file} was recorded from ${header.exchange}; known are ${Exchanges.ids.join(", ")}`)
    )

const nonEmpty = <A>(items: ReadonlyArray<A>, message: string) =>
  Array.isReadonlyArrayNonEmpty(items) ? Effect.succeed(items) : Effect.fail(Failure.usage(message))

interface Selection {
  readonly pairs: Option.Option<NonEmptyReadonlyArray<TradingPair>>
  readonly channels: Option.Option<NonEmptyReadonlyArray<PublicTag>>
}

/** What of the recording is wanted: every pair with every channel, so a pair that lacks one must be left out by name. */
const select = Effect.fnUntraced(function*(recording: Recording, file: string, { channels, pairs }: Selection) {
  const adapter = yield* adapterOf(recording, file)
  const all = [...recording.topics.values()].map(({ channel }) => channel)
  const holds = `${file} holds ${
    all.map(({ _tag, pair }) => `${Flags.channelNames[_tag]} ${pair}`).join(", ") || "no topics"
  }`
  const topics = all.filter(({ _tag, pair }) =>
    Option.getOrElse(Option.map(pairs, (wanted) => wanted.includes(pair)), () => true) &&
    Option.getOrElse(Option.map(channels, (wanted) => wanted.includes(_tag)), () => true)
  )
  const byText = new Map(topics.map((channel) => [JSON.stringify(choiceOf(channel)), choiceOf(channel)]))
  const wanted: Wanted = {
    adapter,
    pairs: yield* nonEmpty(Array.dedupe(topics.map(({ pair }) => pair)), `${holds}; nothing of it was asked for`),
    channels: yield* nonEmpty([...byText.values()], holds)
  }
  const asked = Option.getOrElse(pairs, () => []).filter((pair) => !wanted.pairs.includes(pair))
  if (asked.length > 0) return yield* Failure.usage(`${holds}; there is nothing of ${asked.join(", ")}`)
  return wanted
})

const seconds = (millis: number): string => (millis / 1000).toFixed(1)

/** What was played, as a line on stderr. */
const report = Effect.fnUntraced(function*(recording: Recording, file: string, startedAt: number) {
  const websocket = yield* PublicWebsocket
  const { decodeFailures, events, gaps } = yield* websocket.performance
  const { bytes, connections, frames, from, to, truncated } = recording.summary
  const took = (yield* Clock.currentTimeMillis) - startedAt
  yield* Effect.logInfo(
    `${file}: ${frames} frames (${bytes} bytes) of ${connections} connections, ${events} events, ${gaps} gaps, ` +
      `${decodeFailures} unreadable frames; ${seconds(to - from)} s, played in ${seconds(took)} s`
  )
  if (truncated !== null) yield* Effect.logWarning(`${file} is not whole: ${truncated}; played to the last whole block`)
})

/** The table as it is at the end, where the view has left the screen. */
const lastPicture = (view: WatchView) => Effect.suspend(() => Stdout.print(`${view.lines().join("\n")}\n`))

export const command = Command.make(
  "replay",
  {
    file: Argument.String("file").pipe(Argument.withDescription("A recording of `exchange watch --record`")),
    speed,
    pairs: Flags.pairsOrEvery.pipe(Flag.optional),
    channels: Flags.channelList.pipe(Flag.optional),
    format: Show.format
  },
  Effect.fnUntraced(function*(options) {
    const { file } = options
    const recording = yield* Effect.mapError(JournalFile.read(file), (error) => Failure.usage(error.message))
    const wanted = yield* select(recording, file, options)
    const isTable = yield* Show.isTable(options.format)
    const speed = Option.getOrElse(options.speed, (): Speed => isTable ? 1 : "max")
    let now = (): number => recording.summary.from
    let count = 0
    const { log, view } = yield* Show.prepare(wanted, isTable, () => now())
    const startedAt = yield* Clock.currentTimeMillis
    const shown = Effect.gen(function*() {
      const replay = yield* ExchangeFactory.Replay
      now = replay.now
      const table = Effect.raceFirst(Show.table(wanted, view), Effect.andThen(replay.ended, lastPicture(view)))
      const lines = Effect.scoped(Show.ndjson(wanted, (events) => void (count += events)))
      const done = report(recording, file, startedAt)
      yield* isTable ? Effect.ensuring(table, done) : Effect.ensuring(lines, done)
    })
    yield* shown.pipe(
      Effect.provide(ExchangeFactory.layerReplay(wanted.adapter, recording, { speed })),
      Effect.catchTag("JournalError", (error) => Effect.fail(Failure.usage(error.message))),
      Effect.provide(log.layer),
      (running) => Lifetime.run(running),
      Effect.ensuring(log.release)
    )
    const isOver = now() >= recording.summary.to
    if (isOver && count + view.count === 0) return yield* Failure.nothing(`${file} holds nothing of what was asked for`)
  })
).pipe(
  Command.withDescription(
    "Run a recording again: the same frames through the same decoders, with the recorded times and breaks. The output is " +
      "the same every time."
  ),
  Command.withShortDescription("Run a recording again"),
  Command.withExamples([
    {
      command: "exchange replay btc.journal --format ndjson > events.ndjson",
      description: "Every event of the recording as JSON"
    },
    {
      command: "exchange replay btc.journal --pairs BTC/USDT --channels book --speed 10 --format table",
      description: "Watch a book ten times faster than it was"
    }
  ])
)
