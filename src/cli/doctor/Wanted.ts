/** Which topics the doctor asks for: each channel of an exchange in each of its feeds, for every pair. */
import * as Channel from "../../domain/Channel.ts"
import type { ChannelChoice, PublicChannel } from "../../domain/Channel.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"

type Choice = Exclude<ChannelChoice, string>

export interface Wanted {
  /** The channel and what tells this feed from the others of the channel: `Book order_book_update`. */
  readonly variant: string
  readonly channel: PublicChannel
  readonly pair: TradingPair
  /** The topic's key. */
  readonly key: string
  readonly symbol: string
}

/** Every feed that one of our exchanges has; what an exchange lacks is left out by its own word. */
const feeds: ReadonlyArray<Choice> = [
  { _tag: "BookTicker" },
  { _tag: "BookTicker", source: "batch" },
  { _tag: "Trades" },
  { _tag: "Book" },
  { _tag: "Book", source: "order_book_update" },
  { _tag: "Book", source: "order_book", depth: 20 },
  { _tag: "Book", source: "limit", depth: 20 },
  { _tag: "Ticker" },
  { _tag: "Kline" },
  { _tag: "Kline", price: "mark" },
  { _tag: "Kline", price: "index" },
  { _tag: "FuturesTicker" },
  { _tag: "Liquidations" },
  { _tag: "ContractStats" }
]

/** Channels that one of our exchanges offers for all pairs at once. */
const everyPairs: ReadonlySet<Choice["_tag"]> = new Set(["Ticker", "Liquidations"])

const labelOf = (choice: Choice, pair: TradingPair): string =>
  [
    choice._tag,
    ..."source" in choice && choice.source !== undefined ? [choice.source] : [],
    ..."price" in choice && choice.price !== undefined ? [choice.price] : [],
    ...pair === Channel.everyPair ? [pair] : []
  ].join(" ")

/** The topic of a request; null where the exchange has none. */
export const topicOf = (adapter: ExchangeAdapter, choice: Choice, pair: TradingPair): Wanted | null => {
  if (!adapter.channels.has(choice._tag)) return null
  const symbol = adapter.symbol(pair)
  if (symbol === null) return null
  const channel = Channel.forPair(choice, pair)
  const name = adapter.topic(channel, symbol)
  return name._tag === "Topic" ? { variant: labelOf(choice, pair), channel, pair, key: name.key, symbol } : null
}

/** Each topic once, under the first name that leads to it. */
export const topicsOf = (adapter: ExchangeAdapter, pairs: ReadonlyArray<TradingPair>): ReadonlyArray<Wanted> => {
  const byKey = new Map<string, Wanted>()
  for (const choice of feeds) {
    for (const pair of everyPairs.has(choice._tag) ? [...pairs, Channel.everyPair] : pairs) {
      const topic = topicOf(adapter, choice, pair)
      if (topic !== null && !byKey.has(topic.key)) byKey.set(topic.key, topic)
    }
  }
  return [...byKey.values()]
}

/** The names of the feeds, each once, in the order of the report. */
export const variantsOf = (topics: ReadonlyArray<Wanted>): ReadonlyArray<string> => [
  ...new Set(topics.map(({ variant }) => variant))
]
