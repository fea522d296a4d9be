/** What a session's data looks like on standard output: the newest values as a table, or every element as a line of JSON. */
import { Clock, Effect, Option, Stdio, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Flag, TerminalCapabilities } from "effect/cli"
import * as OrderBooks from "../composite/OrderBooks.ts"
import * as Channel from "../domain/Channel.ts"
import type { BookChannel, ChannelChoice } from "../domain/Channel.ts"
import type { Feed } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { MarketEvent } from "../domain/Market.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import { handlersFor, PublicWebsocket } from "../PublicWebsocket.ts"
import type { Subscribed } from "../PublicWebsocket.ts"
import { Connections } from "./Connections.ts"
import * as EventJson from "./EventJson.ts"
import type { JsonObject } from "./EventJson.ts"
import type * as Failure from "./Failure.ts"
import * as Live from "./Live.ts"
import * as Logging from "./Logging.ts"
import * as Refusal from "./Refusal.ts"
import * as StatusLog from "./StatusLog.ts"
import * as Stdout from "./Stdout.ts"
import * as Style from "./Style.ts"
import { WatchView } from "./WatchView.ts"

export interface Wanted {
  readonly adapter: ExchangeAdapter
  readonly pairs: NonEmptyReadonlyArray<TradingPair>
  readonly channels: NonEmptyReadonlyArray<Exclude<ChannelChoice, string>>
}

/** Subscribes; refused pairs are told, and all of them refused is a failure. */
const subscribe = ({ pairs, channels }: Wanted): Effect.Effect<Subscribed, Failure.CommandFailed, PublicWebsocket> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const subscribed = yield* Effect.mapError(websocket.initialize(pairs, channels), Refusal.failure)
    for (const error of subscribed.rejected.values()) yield* Effect.logWarning(error.message)
    return subscribed
  })

const itemJson = ({ id, kind }: ExchangeAdapter, item: Feed<MarketEvent>): JsonObject =>
  item._tag === "Gap"
    ? { exchange: id, channel: item.channel, pair: item.pair, symbol: item.symbol, gap: EventJson.gap(item) }
    : { exchange: id, channel: Channel.tagOf[item.value._tag], ...EventJson.event(item.value, kind) }

/** Every element of the feed as a line, at the reader's pace, until the session ends. */
export const ndjson = (wanted: Wanted, onEvents: (count: number) => void) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* StatusLog.start
    const lines = websocket.events.pipe(
      Stream.mapError(Refusal.failure),
      Stream.chunks,
      Stream.map((items) => {
        onEvents(items.filter(({ _tag }) => _tag === "Data").length)
        return items.map((item) => `${JSON.stringify(itemJson(wanted.adapter, item))}\n`).join("")
      })
    )
    yield* Effect.raceFirst(Stdout.write(lines), Effect.andThen(subscribe(wanted), Effect.never))
  })

const bookOptions = ({ depth, source, speed }: Omit<BookChannel, "pair">): OrderBooks.OrderBooksOptions => ({
  depth,
  source,
  speed
})

/** The newest values, redrawn in place or printed every second. */
export const table = (wanted: Wanted, view: WatchView) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* StatusLog.start
    yield* websocket.handle(handlersFor(websocket.channels, view.handlers))
    const { accepted } = yield* subscribe(wanted)
    const book = wanted.channels.find(({ _tag }) => _tag === "Book")
    if (book !== undefined) view.books = yield* OrderBooks.make(accepted, bookOptions(book as BookChannel))
    yield* Effect.never
  }).pipe(
    Effect.catchTag("ExchangeError", (error) => Effect.fail(Refusal.failure(error))),
    Effect.scoped,
    Effect.raceFirst(Live.show(view))
  )

export const format = Flag.Literals("format", ["table", "ndjson"]).pipe(
  Flag.withDescription("Newest values for people, or every event as a line of JSON (default: table on a terminal)"),
  Flag.optional
)

/** Whether to show a table. */
export const isTable = (format: Option.Option<"table" | "ndjson">): Effect.Effect<boolean, never, Stdio.Stdio> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    const onTerminal = yield* stdio.stdoutIsTerminal
    return Option.getOrElse(format, () => onTerminal ? "table" : "ndjson") === "table"
  })

/** What to show with. `now`: the time of what is shown, ms. */
export const prepare = Effect.fnUntraced(
  function*({ adapter, pairs, channels }: Wanted, isTable: boolean, now?: () => number) {
    const clock = yield* Clock.Clock
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const log = isTable ? yield* Live.logging : Logging.direct
    const view = new WatchView({
      name: adapter.name,
      connections: new Connections(),
      pairs,
      channels: channels.map(({ _tag }) => _tag),
      kind: adapter.kind,
      now: now ?? (() => clock.currentTimeMillisUnsafe()),
      style: Style.of(canColor),
      log: log.recent
    })
    return { log, view }
  }
)
