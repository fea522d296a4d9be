/** Flags and arguments that several commands share, and how their text is read. */
import { Array, Duration, Effect, Option, Result } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Argument, CliError, Flag } from "effect/cli"
import { everyPair } from "../domain/Channel.ts"
import type { PublicTag } from "../domain/Channel.ts"
import * as Decimal from "../domain/Decimal.ts"
import { isTradingPair } from "../domain/Instrument.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import * as Exchanges from "../Exchanges.ts"

/** Reads a flag's text; the failure says what would be right. */
export const readAs =
  <A>(name: string, read: (text: string) => Result.Result<A, string>) => (flag: Flag.Flag<string>): Flag.Flag<A> =>
    Flag.mapEffect(flag, (value) =>
      Effect.fromResult(
        Result.mapError(read(value), (expected) =>
          new CliError.InvalidValue({ option: name, value, expected, kind: "flag" }))
      ))

export const exchangeId = Argument.Literals("exchange-id", Exchanges.ids).pipe(
  Argument.withDescription(`The exchange: ${Exchanges.ids.join(", ")}`)
)

const units: Readonly<Record<string, Duration.Unit>> = {
  ms: "millis",
  s: "seconds",
  m: "minutes",
  min: "minutes",
  h: "hours",
  d: "days"
}

const durationPattern = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/u

/** `500ms`, `10s`, `1.5m`, `2h`, and Effect's own spelling: `2 minutes`. */
export const readDuration = (text: string): Result.Result<Duration.Duration, string> => {
  const [, amount = "", unit = ""] = durationPattern.exec(text.trim()) ?? []
  const input = `${amount} ${units[unit] ?? unit}` as Duration.Input
  return Result.fromOption(
    Option.filter(Duration.fromInput(input), (duration) => Duration.isGreaterThan(duration, Duration.zero)),
    () => "a duration above zero such as 500ms, 10s, 1.5m or \"2 minutes\""
  )
}

const list = (text: string): ReadonlyArray<string> => text.split(/[\s,]+/u).filter((item) => item !== "")

type Items<A> = Result.Result<NonEmptyReadonlyArray<A>, string>

/** Reads each item; the failure is that of the first one that cannot be read. */
const readList = <A>(text: string, read: (item: string) => Result.Result<A, string>): Items<A> =>
  Result.flatMap(
    Result.all(list(text).map(read)),
    (items) =>
      Array.isReadonlyArrayNonEmpty(items) ? Result.succeed(items) : Result.fail("at least one, separated by commas")
  )

const readPair = (text: string): Result.Result<TradingPair, string> =>
  isTradingPair(text) && !text.includes("*")
    ? Result.succeed(text)
    : Result.fail(`pairs such as BTC/USDT,ETH/USDT (or BTC/USDT:USDT for a perpetual); "${text}" is none`)

export const readPairs = (text: string): Items<TradingPair> => readList(text, readPair)

const readPairsOrEvery = (text: string): Items<TradingPair> =>
  readList(text, (item) => item === everyPair ? Result.succeed(everyPair) : readPair(item))

export const channelNames: Readonly<Record<PublicTag, string>> = {
  BookTicker: "book-ticker",
  Trades: "trades",
  Book: "book",
  Ticker: "ticker",
  Kline: "kline",
  FuturesTicker: "futures-ticker",
  Liquidations: "liquidations",
  ContractStats: "contract-stats"
}

/** Channels of an account, which know no pairs. */
export const privateChannelNames: Readonly<Record<PrivateTag, string>> = {
  Orders: "orders",
  Fills: "fills",
  Balances: "balances",
  Positions: "positions",
  AutoDeleverages: "auto-deleverages",
  PositionCloses: "position-closes"
}

const squashed = (name: string): string => name.toLowerCase().replaceAll(/[-_]/gu, "")

const channels: ReadonlyMap<string, PublicTag> = new Map(
  (Object.keys(channelNames) as ReadonlyArray<PublicTag>).map((tag) => [squashed(tag), tag])
)

const readChannel = (text: string): Result.Result<PublicTag, string> =>
  Result.fromNullishOr(
    channels.get(squashed(text)),
    () => `channels out of ${Object.values(channelNames).join(", ")}; "${text}" is none`
  )

export const readChannels = (text: string): Items<PublicTag> => readList(text, readChannel)

const privateChannels: ReadonlyMap<string, PrivateTag> = new Map(
  (Object.keys(privateChannelNames) as ReadonlyArray<PrivateTag>).map((tag) => [squashed(tag), tag])
)

const readAnyChannel = (text: string): Result.Result<PublicTag | PrivateTag, string> => {
  const tag = privateChannels.get(squashed(text))
  const all = `${Object.values(privateChannelNames).join(", ")} of an account`
  return tag === undefined
    ? Result.mapError(readChannel(text), (expected) => expected.replace("; \"", `, or ${all}; "`))
    : Result.succeed(tag)
}

export const isPrivate = (tag: PublicTag | PrivateTag): tag is PrivateTag => tag in privateChannelNames

/** The items of every time that the flag was given, each once. */
const unique = <A>(lists: ReadonlyArray<NonEmptyReadonlyArray<A>>): NonEmptyReadonlyArray<A> =>
  // The flag was given at least once, and each time with at least one item.
  Array.dedupe(lists.flat() as unknown as NonEmptyReadonlyArray<A>)

export const pair = Flag.String("pair").pipe(
  Flag.withMetavar("BASE/QUOTE"),
  Flag.withDescription("The pair: BTC/USDT, or BTC/USDT:USDT for a perpetual"),
  readAs("pair", readPair)
)

/** An amount above 0, kept as it was written. */
export const amount = (name: string): Flag.Flag<string> =>
  Flag.String(name).pipe(
    Flag.withMetavar("AMOUNT"),
    readAs(name, (text) =>
      Result.flatMap(
        Result.mapError(Decimal.parse(text), () => "a decimal number such as 0.01"),
        (value) => value.value > 0n ? Result.succeed(Decimal.toText(value)) : Result.fail("an amount above 0")
      ))
  )

/** Commas, or the flag again, between the items. */
export const pairs = Flag.String("pairs").pipe(
  Flag.withMetavar("BASE/QUOTE,…"),
  Flag.withDescription("Pairs, separated by commas: BTC/USDT,ETH/USDT"),
  readAs("pairs", readPairs),
  Flag.atLeast(1),
  Flag.map(unique)
)

/** The same, and everyPair among them. */
export const pairsOrEvery = Flag.String("pairs").pipe(
  Flag.withMetavar("BASE/QUOTE,…"),
  Flag.withDescription(
    `Pairs, separated by commas: BTC/USDT,ETH/USDT; '${everyPair}' where a channel is offered for all`
  ),
  readAs("pairs", readPairsOrEvery),
  Flag.atLeast(1),
  Flag.map(unique)
)

export const optionalPairs = pairs.pipe(Flag.optional)

export const channelList = Flag.String("channels").pipe(
  Flag.withMetavar("CHANNEL,…"),
  Flag.withDescription(`Channels, separated by commas: ${Object.values(channelNames).join(", ")}`),
  readAs("channels", readChannels),
  Flag.atLeast(1),
  Flag.map(unique)
)

/** Those of the market, and those of an account. */
export const anyChannelList = Flag.String("channels").pipe(
  Flag.withMetavar("CHANNEL,…"),
  Flag.withDescription(
    `Channels, separated by commas: ${Object.values(channelNames).join(", ")}; or, of your account, ${
      Object.values(privateChannelNames).join(", ")
    }`
  ),
  readAs("channels", (text) => readList(text, readAnyChannel)),
  Flag.atLeast(1),
  Flag.map(unique)
)

export const duration = Flag.String("duration").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("End after this time: 500ms, 10s, \"2 minutes\". Without it: until Ctrl-C"),
  readAs("duration", readDuration),
  Flag.optional
)

const readUrl = (protocols: ReadonlyArray<string>) => (text: string): Result.Result<string, string> =>
  protocols.includes(URL.parse(text)?.protocol ?? "")
    ? Result.succeed(text)
    : Result.fail(`a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`)

const http = ["http:", "https:"]

export const wsUrl = Flag.String("ws-url").pipe(
  Flag.withMetavar("URL"),
  Flag.withDescription("WebSocket to use in place of the exchange's, such as the simulator's"),
  readAs("ws-url", readUrl(["ws:", "wss:"])),
  Flag.optional
)

export const restUrl = Flag.String("rest-url").pipe(
  Flag.withMetavar("URL"),
  Flag.withDescription("REST base to use in place of the exchange's, such as the simulator's"),
  readAs("rest-url", readUrl(http)),
  Flag.map((url) => url.replace(/\/+$/u, "")),
  Flag.optional
)

const readInt = (minimum: number, maximum: number) => (text: string): Result.Result<number, string> => {
  const value = Number(text)
  return /^\d+$/u.test(text) && value >= minimum && value <= maximum
    ? Result.succeed(value)
    : Result.fail(`a whole number from ${minimum} to ${maximum}`)
}

/** A flag for a whole number within bounds. */
export const int = (name: string, minimum: number, maximum: number): Flag.Flag<number> =>
  Flag.String(name).pipe(Flag.withMetavar("N"), readAs(name, readInt(minimum, maximum)))

export const port = (name: string): Flag.Flag<number> => int(name, 0, 65_535)

export const seed = int("seed", 0, Number.MAX_SAFE_INTEGER).pipe(
  Flag.withDescription("Seed of the simulated markets: the same one gives the same prices (default 1)"),
  Flag.withDefault(1)
)

export const metricsPort = port("metrics-port").pipe(
  Flag.withDescription("Serve Prometheus metrics on http://127.0.0.1:<port>/metrics; 0 takes a free port"),
  Flag.optional
)

export const otlpUrl = Flag.String("otlp-url").pipe(
  Flag.withMetavar("URL"),
  Flag.withDescription("Export metrics, traces and logs over OTLP (HTTP, JSON) to this base URL"),
  readAs("otlp-url", readUrl(http)),
  Flag.optional
)
