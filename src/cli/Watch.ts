/** `exchange watch`: the live data of one exchange. */
import { Array, Effect, Option, Result } from "effect"
import type { FileSystem, Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Command, Flag } from "effect/cli"
import type { Recorder } from "../connection/Journal.ts"
import * as Channel from "../domain/Channel.ts"
import type { PublicTag } from "../domain/Channel.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import * as Exchanges from "../Exchanges.ts"
import * as JournalFile from "../JournalFile.ts"
import { MarketRest } from "../MarketRest.ts"
import * as TopicErrors from "../session/TopicErrors.ts"
import * as AccountShow from "./account/AccountShow.ts"
import * as AccountSource from "./account/AccountSource.ts"
import * as ChannelFlags from "./ChannelFlags.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Lifetime from "./Lifetime.ts"
import * as Refusal from "./Refusal.ts"
import * as Show from "./Show.ts"
import type { Wanted } from "./Show.ts"
import * as Telemetry from "./Telemetry.ts"

/** Refuses what the exchange cannot have before anything is opened: a channel that it offers for none of the pairs. */
const check = ({ adapter, pairs, channels }: Wanted): Effect.Effect<void, Failure.CommandFailed> => {
  const missing = channels.find(({ _tag }) => !adapter.channels.has(_tag))
  if (missing !== undefined) {
    const offered = [...adapter.channels].join(", ")
    return Effect.fail(Failure.usage(`${adapter.name} does not offer ${missing._tag}; it offers ${offered}`))
  }
  const impossible = pairs.filter((pair) => pair !== Channel.everyPair && adapter.symbol(pair) === null)
  if (impossible.length > 0) {
    const hint = `write pairs as ${TopicErrors.examples[adapter.kind]}`
    return Effect.fail(Failure.usage(`${adapter.name} can have no pair such as ${impossible.join(", ")}; ${hint}`))
  }
  return Effect.forEach(
    channels,
    (choice) => Effect.firstSuccessOf(pairs.map((pair) => TopicErrors.nameOf(adapter, Channel.forPair(choice, pair)))),
    { discard: true }
  ).pipe(Effect.mapError(Refusal.failure))
}

/**
 * `--source` names one feed, and channels have different ones: where only some of them have this one, the others keep
 * the exchange's own. Where none has it, all keep it, so that the refusal names what is offered.
 */
export const sourced = ({ adapter, pairs, channels }: Wanted): Wanted["channels"] => {
  const isOffered = (choice: Wanted["channels"][number]): boolean =>
    pairs.some((pair) => {
      const symbol = adapter.symbol(pair)
      return symbol !== null && adapter.topic(Channel.forPair(choice, pair), symbol)._tag === "Topic"
    })
  const own = (choice: Wanted["channels"][number]): Wanted["channels"][number] => {
    if (!("source" in choice) || isOffered(choice)) return choice
    const { source: _, ...rest } = choice
    return rest
  }
  return channels.some((choice) => "source" in choice && isOffered(choice))
    ? Array.map(channels, own)
    : channels
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

/** Flags that were given, and no keys for the others: what is left out comes from the configuration. */
const given = <Name extends string>(name: Name, value: Option.Option<string>): Partial<Record<Name, string>> =>
  Option.match(value, { onNone: () => ({}), onSome: (text) => ({ [name]: text }) as Record<Name, string> })

const recorderOf = (
  { channels, pairs }: Wanted,
  file: Option.Option<string>
): Effect.Effect<Recorder | undefined, Failure.CommandFailed, FileSystem.FileSystem | Scope.Scope> =>
  Option.match(file, {
    onNone: () => Effect.succeed(undefined),
    onSome: (path) =>
      Effect.mapError(
        JournalFile.record(path, { pairs, channels: channels.map(({ _tag }) => _tag) }),
        (error) => Failure.usage(error.message)
      )
  })

const flags = {
  exchange: Flags.exchangeId,
  pairs: Flags.pairsOrEvery.pipe(Flag.optional),
  channels: Flags.anyChannelList,
  ...ChannelFlags.flags,
  duration: Flags.duration,
  format: Show.format,
  record: Flag.String("record").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the session to this file, for `exchange replay`; what is there already is replaced"),
    Flag.optional
  ),
  account: AccountSource.account,
  wsUrl: Flags.wsUrl,
  restUrl: Flags.restUrl,
  metricsPort: Flags.metricsPort,
  otlpUrl: Flags.otlpUrl
}

type Options = Command.Command.Config.Infer<typeof flags>

// ---- the market -----------------------------------------------------------------------------------------------------

const watchMarket = Effect.fnUntraced(function*(options: Options, tags: NonEmptyReadonlyArray<PublicTag>) {
  const { exchange, duration, wsUrl, restUrl } = options
  const asked = yield* Effect.fromResult(Result.mapError(ChannelFlags.choicesOf(tags, options), Failure.usage))
  if (Option.isNone(options.pairs)) return yield* Failure.usage("--pairs is needed for channels of the market")
  const pairs = options.pairs.value
  const adapter = Exchanges.get(exchange)
  const wanted: Wanted = { adapter, pairs, channels: sourced({ adapter, pairs, channels: asked }) }
  yield* check(wanted)
  const isTable = yield* Show.isTable(options.format)
  const { log, view } = yield* Show.prepare(wanted, isTable)
  let events = 0
  const body = isTable
    ? Show.table(wanted, view)
    : Effect.scoped(Show.ndjson(wanted, (count) => void (events += count)))
  // A WebSocket of one's own without its REST calls: the exchange's list would be another world's.
  const isListKnown = Option.isNone(wsUrl) || Option.isSome(restUrl)
  const overrides = { ...given("url", wsUrl), ...given("restUrl", restUrl) }
  const shown = Effect.raceFirst(body, isListKnown ? compareWithList(wanted) : Effect.never)
  // The recorder outlives the session, so that its end is recorded too.
  const recorded = Effect.gen(function*() {
    const journal = yield* recorderOf(wanted, options.record)
    yield* Effect.provide(shown, Exchanges.layerPublicConfig(exchange, { ...overrides, journal }))
  })
  const end = yield* Effect.scoped(recorded).pipe(
    Effect.catchTag("ConfigError", (error) => Effect.fail(Failure.configuration(error))),
    Effect.provide(Telemetry.layer(options)),
    Effect.provide(log.layer),
    (running) => Lifetime.run(running, { duration }),
    Effect.ensuring(log.release)
  )
  if (end === "Elapsed" && events + view.count === 0) {
    return yield* Failure.nothing(`nothing was received from ${exchange}`)
  }
})

// ---- an account -----------------------------------------------------------------------------------------------------

const marketOnly = ["interval", "depth", "speed", "source", "zone", "price", "record"] as const

/** Who names an address of this machine has a simulator there; any other account is real. It only reads. */
const watchAccount = (options: Options, channels: NonEmptyReadonlyArray<PrivateTag>) => {
  const stray = marketOnly.find((name) => options[name]._tag === "Some")
  if (stray !== undefined) return Effect.fail(Failure.usage(`--${stray} belongs to channels of the market`))
  const isHere = Option.exists(options.wsUrl, AccountSource.isHere)
  return AccountShow.run({
    ...options,
    source: AccountSource.open({
      ...options,
      pairs: Option.getOrElse(options.pairs, () => []).filter((pair) => pair !== Channel.everyPair),
      live: !isHere,
      testnet: false,
      seed: 1
    }),
    channels,
    trades: false
  })
}

export const command = Command.make(
  "watch",
  flags,
  (options) => {
    const market = options.channels.filter((tag) => !Flags.isPrivate(tag))
    const account = options.channels.filter(Flags.isPrivate)
    if (Array.isReadonlyArrayNonEmpty(market) && account.length === 0) return watchMarket(options, market)
    return Array.isReadonlyArrayNonEmpty(account) && market.length === 0
      ? watchAccount(options, account)
      : Effect.fail(Failure.usage("channels of the market and of an account are watched apart: use the command twice"))
  }
).pipe(
  Command.withDescription(
    "Watch live data of an exchange: its newest values as a table, or every event and every gap as a line of JSON. " +
      "Channels of an account (orders, fills, balances, …) need its key in the environment, and no pairs."
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
    },
    {
      command: "exchange watch gate-spot --pairs BTC/USDT --channels book --record btc.journal",
      description: "Record what is shown, to replay it"
    },
    {
      command: "exchange watch gate-spot --channels orders,fills",
      description: "Your own orders and fills; the key comes from the environment"
    }
  ])
)
