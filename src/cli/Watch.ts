/** `exchange watch`: the live data of one exchange. */
import { Clock, Effect, Option, Result, Stdio, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Command, Flag, TerminalCapabilities } from "effect/cli"
import * as OrderBooks from "../composite/OrderBooks.ts"
import * as Channel from "../domain/Channel.ts"
import type { BookChannel, ChannelChoice } from "../domain/Channel.ts"
import type { Feed } from "../domain/Feed.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { MarketEvent } from "../domain/Market.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import * as Exchanges from "../Exchanges.ts"
import { MarketRest } from "../MarketRest.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"
import type { Subscribed } from "../PublicWebsocket.ts"
import * as TopicErrors from "../session/TopicErrors.ts"
import { ExchangeBoard } from "./Board.ts"
import * as ChannelFlags from "./ChannelFlags.ts"
import * as EventJson from "./EventJson.ts"
import type { JsonObject } from "./EventJson.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Live from "./Live.ts"
import * as Logging from "./Logging.ts"
import * as Refusal from "./Refusal.ts"
import * as StatusLog from "./StatusLog.ts"
import * as Stdout from "./Stdout.ts"
import * as Style from "./Style.ts"
import * as Telemetry from "./Telemetry.ts"
import { WatchView } from "./WatchView.ts"

interface Wanted {
  readonly adapter: ExchangeAdapter
  readonly pairs: NonEmptyReadonlyArray<TradingPair>
  readonly channels: NonEmptyReadonlyArray<Exclude<ChannelChoice, string>>
}

/** Refuses what the exchange cannot have before anything is opened: a channel that it offers for none of the pairs. */
const check = ({ adapter, pairs, channels }: Wanted): Effect.Effect<void, Failure.CommandFailed> => {
  const missing = channels.find(({ _tag }) => !adapter.channels.has(_tag))
  if (missing !== undefined) {
    const offered = [...adapter.channels].join(", ")
    return Effect.fail(Failure.usage(`${adapter.name} does not offer ${missing._tag}; it offers ${offered}`))
  }
  const impossible = pairs.filter((pair) => pair !== Channel.everyPair && adapter.symbol(pair) === null)
  if (impossible.length > 0) {
    return Effect.fail(Failure.usage(`${adapter.name} can have no pair such as ${impossible.join(", ")}`))
  }
  return Effect.forEach(
    channels,
    (choice) => Effect.firstSuccessOf(pairs.map((pair) => TopicErrors.nameOf(adapter, Channel.forPair(choice, pair)))),
    { discard: true }
  ).pipe(Effect.mapError(Refusal.failure))
}

/**
 * Compares the pairs with the exchange's own list, beside the subscriptions: Gate accepts a book of a pair that it does
 * not have and never sends one. Fails when none is listed, and goes on for ever otherwise.
 */
const compareWithList = ({ adapter, ...wanted }: Wanted): Effect.Effect<never, Failure.CommandFailed, MarketRest> =>
  Effect.gen(function*() {
    const pairs = wanted.pairs.filter((pair) => pair !== Channel.everyPair)
    if (pairs.length === 0) return
    const rest = yield* MarketRest
    const listed = new Set((yield* rest.instruments).map(({ pair }) => pair))
    const unlisted = pairs.filter((pair) => !listed.has(pair))
    const message = `${adapter.id} does not list ${unlisted.join(", ")}; see \`exchange instruments ${adapter.id}\``
    if (unlisted.length === pairs.length) return yield* Failure.usage(message)
    if (unlisted.length > 0) yield* Effect.logWarning(message)
  }).pipe(
    Effect.catchTag("ExchangeError", (error) => Effect.logWarning(`the pairs could not be checked: ${error.message}`)),
    Effect.andThen(Effect.never)
  )

/** Subscribes; refused pairs are told, and all of them refused is a failure. */
const subscribe = ({ pairs, channels }: Wanted): Effect.Effect<Subscribed, Failure.CommandFailed, PublicWebsocket> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const subscribed = yield* Effect.mapError(websocket.initialize(pairs, channels), Refusal.failure)
    for (const error of subscribed.rejected.values()) yield* Effect.logWarning(error.message)
    return subscribed
  })

const itemJson = (exchange: ExchangeId, item: Feed<MarketEvent>): JsonObject =>
  item._tag === "Gap"
    ? { exchange, channel: item.channel, pair: item.pair, symbol: item.symbol, gap: EventJson.gap(item) }
    : { exchange, channel: Channel.tagOf[item.value._tag], ...EventJson.event(item.value) }

/** Every element of the feed as a line, at the reader's pace. */
const ndjson = (wanted: Wanted, onEvents: (count: number) => void) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* StatusLog.start
    const lines = websocket.events.pipe(
      Stream.mapError(Refusal.failure),
      Stream.chunks,
      Stream.map((items) => {
        onEvents(items.filter(({ _tag }) => _tag === "Data").length)
        return items.map((item) => `${JSON.stringify(itemJson(websocket.exchange, item))}\n`).join("")
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
const table = (wanted: Wanted, view: WatchView) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* StatusLog.start
    yield* websocket.handle(view.handlers)
    const { accepted } = yield* subscribe(wanted)
    const book = wanted.channels.find(({ _tag }) => _tag === "Book")
    if (book !== undefined) view.books = yield* OrderBooks.make(accepted, bookOptions(book as BookChannel))
    yield* Effect.never
  }).pipe(
    Effect.catchTag("ExchangeError", (error) => Effect.fail(Refusal.failure(error))),
    Effect.scoped,
    Effect.raceFirst(Live.show(view))
  )

type Format = Option.Option<"table" | "ndjson">

/** How to show what comes, and what to show it with. */
const prepare = Effect.fnUntraced(function*({ adapter, pairs, channels }: Wanted, format: Format) {
  const stdio = yield* Stdio.Stdio
  const clock = yield* Clock.Clock
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const onTerminal = yield* stdio.stdoutIsTerminal
  const isTable = Option.getOrElse(format, () => onTerminal ? "table" : "ndjson") === "table"
  const log = isTable ? yield* Live.logging : Logging.direct
  const view = new WatchView({
    board: new ExchangeBoard(adapter.id, adapter.name),
    pairs,
    channels: channels.map(({ _tag }) => _tag),
    kind: adapter.kind,
    now: () => clock.currentTimeMillisUnsafe(),
    style: Style.of(canColor),
    log: log.recent
  })
  return { isTable, log, view }
})

/** Flags that were given, and no keys for the others: what is left out comes from the configuration. */
const given = <Name extends string>(name: Name, value: Option.Option<string>): Partial<Record<Name, string>> =>
  Option.match(value, { onNone: () => ({}), onSome: (text) => ({ [name]: text }) as Record<Name, string> })

export const command = Command.make(
  "watch",
  {
    exchange: Flags.exchangeId,
    pairs: Flags.pairsOrEvery,
    channels: Flags.channelList,
    ...ChannelFlags.flags,
    duration: Flags.duration,
    format: Flag.Literals("format", ["table", "ndjson"]).pipe(
      Flag.withDescription("Newest values for people, or every event as a line of JSON (default: table on a terminal)"),
      Flag.optional
    ),
    wsUrl: Flags.wsUrl,
    restUrl: Flags.restUrl,
    metricsPort: Flags.metricsPort,
    otlpUrl: Flags.otlpUrl
  },
  Effect.fnUntraced(function*(options) {
    const { exchange, pairs, duration, wsUrl, restUrl } = options
    const channels = yield* Effect.fromResult(
      Result.mapError(ChannelFlags.choicesOf(options.channels, options), Failure.usage)
    )
    const wanted: Wanted = { adapter: Exchanges.get(exchange), pairs, channels }
    yield* check(wanted)
    const { isTable, log, view } = yield* prepare(wanted, options.format)
    let events = 0
    const body = isTable ? table(wanted, view) : Effect.scoped(ndjson(wanted, (count) => void (events += count)))
    // A WebSocket of one's own without its REST calls: the exchange's list would be another world's.
    const isListKnown = Option.isNone(wsUrl) || Option.isSome(restUrl)
    const end = yield* Effect.raceFirst(body, isListKnown ? compareWithList(wanted) : Effect.never).pipe(
      Effect.provide(Exchanges.layerConfig(exchange, { ...given("url", wsUrl), ...given("restUrl", restUrl) })),
      Effect.catchTag("ConfigError", (error) => Effect.fail(Failure.usage(`configuration: ${error.message}`))),
      Effect.provide(Telemetry.layer(options)),
      Effect.provide(log.layer),
      (running) => Lifetime.run(running, { duration }),
      Effect.ensuring(log.release)
    )
    if (end === "Elapsed" && events + view.count === 0) {
      return yield* Failure.nothing(`nothing was received from ${exchange}`)
    }
  })
).pipe(
  Command.withDescription(
    "Watch live data of an exchange: its newest values as a table, or every event and every gap as a line of JSON."
  ),
  Command.withShortDescription("Watch live data of an exchange"),
  Command.withExamples([
    {
      command: "exchange watch gate-spot --pairs BTC/USDT,ETH/USDT --channels book-ticker,trades",
      description: "A live table"
    },
    {
      command: "exchange watch mexc-spot --pairs BTC/USDT --channels trades --format ndjson --duration 10s",
      description: "Every trade of ten seconds as JSON"
    },
    {
      command:
        "exchange watch mexc-spot --pairs BTC/USDT --channels kline,book --interval 5m --source limit --depth 20",
      description: "Candles of five minutes, and the 20 best levels of the book"
    },
    {
      command: "exchange watch mexc-spot --pairs '*/*' --channels ticker",
      description: "Every pair that the exchange has"
    }
  ])
)
