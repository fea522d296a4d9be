/** What of a channel is wanted: `--interval`, `--depth`, `--speed`, `--source`, `--zone`, `--price`. */
import { Option, Result } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Flag } from "effect/cli"
import type { ChannelChoice, PublicTag } from "../domain/Channel.ts"
import { klineIntervals, statsIntervals } from "../domain/Market.ts"
import * as Flags from "./Flags.ts"

const intervals = [...new Set<string>([...klineIntervals, ...statsIntervals])]
const speeds = ["10ms", "20ms", "100ms", "1000ms"] as const
const prices = ["last", "mark", "index"] as const

/** Which channels have each option. */
const owners = {
  interval: ["Kline", "ContractStats"],
  depth: ["Book"],
  speed: ["BookTicker", "Trades", "Book"],
  source: ["BookTicker", "Book"],
  zone: ["Ticker"],
  price: ["Kline"]
} as const satisfies Readonly<Record<string, ReadonlyArray<PublicTag>>>

type Name = keyof typeof owners

type Choice = Exclude<ChannelChoice, string>

export type Values = { readonly [K in Name]: Option.Option<string | number> }

const ownersOf = (name: Name): string => owners[name].map((tag) => Flags.channelNames[tag]).join(", ")

export const flags = {
  interval: Flag.Literals("interval", intervals).pipe(
    Flag.withDescription(`Length of a candle or of a statistic (${ownersOf("interval")}); default 1m`),
    Flag.optional
  ),
  depth: Flags.int("depth", 1, 100_000).pipe(
    Flag.withDescription(`Levels a side (${ownersOf("depth")}); default: the exchange's own`),
    Flag.optional
  ),
  speed: Flag.Literals("speed", speeds).pipe(
    Flag.withDescription(`How often the exchange sends (${ownersOf("speed")}); default: the exchange's own`),
    Flag.optional
  ),
  source: Flag.String("source").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(`Which of several feeds (${ownersOf("source")}), such as order_book_update or limit`),
    Flag.optional
  ),
  zone: Flag.String("zone").pipe(
    Flag.withMetavar("ZONE"),
    Flag.withDescription(`Time zone of the day that is counted (${ownersOf("zone")}), such as UTC+8; default 24H`),
    Flag.optional
  ),
  price: Flag.Literals("price", prices).pipe(
    Flag.withDescription(`What candles are drawn of (${ownersOf("price")}); default last`),
    Flag.optional
  )
}

/** Intervals that one of the two channels has and the other has not. */
const intervalsOf: Readonly<Partial<Record<PublicTag, ReadonlyArray<string>>>> = {
  Kline: klineIntervals,
  ContractStats: statsIntervals
}

const wrongInterval = (tag: PublicTag, value: string | number | undefined): string | null => {
  const known = intervalsOf[tag]
  return known === undefined || value === undefined || known.includes(String(value))
    ? null
    : `--interval ${value}: ${Flags.channelNames[tag]} has ${known.join(", ")}`
}

const names = Object.keys(owners) as ReadonlyArray<Name>

/** The channels with what was said of them; the failure says which flag fits none of them. */
export const choicesOf = (
  channels: NonEmptyReadonlyArray<PublicTag>,
  values: Values
): Result.Result<NonEmptyReadonlyArray<Choice>, string> => {
  const given = names.filter((name) => Option.isSome(values[name]))
  const stray = given.find((name) => !owners[name].some((tag) => channels.includes(tag)))
  if (stray !== undefined) return Result.fail(`--${stray} belongs to ${ownersOf(stray)}, which is not in --channels`)
  const choices = channels.map((tag) => {
    const own = given.filter((name) => (owners[name] as ReadonlyArray<PublicTag>).includes(tag))
    const options = Object.fromEntries(own.map((name) => [name, Option.getOrUndefined(values[name])]))
    const wrong = wrongInterval(tag, options["interval"])
    return wrong === null
      ? Result.succeed({ _tag: tag, ...options } as Choice)
      : Result.fail(wrong)
  })
  return Result.map(Result.all(choices), (all) => all as unknown as NonEmptyReadonlyArray<Choice>)
}
