/**
 * Topics and requests. Sources: Gate WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-20): "System API"
 * and the channels' own sections.
 *
 * A topic's key is the channel and what the payload says, joined by `|`: `spot.book_ticker|BTC_USDT`,
 * `spot.obu|ob.BTC_USDT.50`, `futures.order_book_update|BTC_USDT|100ms|50`, `spot.candlesticks|1m|BTC_USDT`.
 */
import { Array as Arr, Schema } from "effect"
import type { PublicChannel, PublicTag } from "../../domain/Channel.ts"
import { defaultInterval, everyPair } from "../../domain/Channel.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import * as ExchangeAdapter from "../../ExchangeAdapter.ts"
import type { Heartbeat, Limits, Request, Stamp, Topic, TopicName } from "../../ExchangeAdapter.ts"
import type { BookFeed, Product, Stream } from "./GateProduct.ts"
import { feedOf, isBookStream, streamOf, wireName } from "./GateProduct.ts"
import * as GateWire from "./GateWire.ts"

const { unsupported } = ExchangeAdapter

/** Gate's name for every contract, where a channel takes it. */
export const everyContract = "!all"

/**
 * `BTC/USDT` is `BTC_USDT` on spot, and `BTC/USDT:USDT` is `BTC_USDT` on futures. Null for what the product cannot name:
 * the other kind, another asset of settlement, and names that JSON would have to escape.
 */
export const symbol = (product: Product, pair: TradingPair): string | null => {
  if (pair === everyPair) return product.streams.has("public_liquidates") ? everyContract : null
  const { base, quote, settle } = partsOf(pair)
  const name = `${base}_${quote}`
  return (settle ?? null) === product.settle && GateWire.isPairName(name) ? name : null
}

export const keyOf = (product: Product, stream: Stream, item: string): string => `${wireName(product, stream)}|${item}`

export const obuItem = (pairName: string, levels: number): string => `ob.${pairName}.${levels}`

export const feedItem = (pairName: string, feed: BookFeed): string => `${pairName}|${feed.item}`

const named = (product: Product, stream: Stream, item: string): TopicName =>
  ExchangeAdapter.named(keyOf(product, stream, item))

/** The canonical key of a request, or what is offered instead. */
export const topicName = (product: Product, channel: PublicChannel, symbol: string): TopicName => {
  if (!product.channels.has(channel._tag)) return unsupported(`${channel._tag}: ${product.id} has no such channel`)
  if (symbol === everyContract && channel._tag !== "Liquidations") {
    return unsupported(`${channel._tag} of every pair: only Liquidations come for all pairs at once`)
  }
  return (names[channel._tag] as Name<PublicChannel>)(product, channel, symbol)
}

type Name<C> = (product: Product, channel: C, symbol: string) => TopicName

type Names = {
  readonly [Tag in PublicTag]: Name<Extract<PublicChannel, { readonly _tag: Tag }>>
}

const tickerTopic: Names["BookTicker"] = (product, { source, speed }, pairName) => {
  const channel = wireName(product, "book_ticker")
  if (source !== undefined) return unsupported(`source ${source}: ${channel} is the only one; leave source out`)
  if (speed === undefined || speed === product.tickerSpeed) return named(product, "book_ticker", pairName)
  return unsupported(
    product.tickerSpeed === null
      ? `speed ${speed}: ${channel} is pushed on change only; leave speed out`
      : `speed ${speed}: ${channel} is pushed every ${product.tickerSpeed} only`
  )
}

const tradesTopic: Names["Trades"] = (product, { speed }, pairName) =>
  speed === undefined
    ? named(product, "trades", pairName)
    : unsupported(`speed ${speed}: ${wireName(product, "trades")} is pushed in real time only; leave speed out`)

const bookTopic: Names["Book"] = (product, channel, pairName) => {
  const depth = channel.depth ?? 1
  if (!Number.isInteger(depth) || depth < 1) return unsupported(`depth ${depth}: a whole number above 0 is needed`)
  const source = channel.source ?? "obu"
  if (!isBookStream(source)) {
    return unsupported(`source ${source}: offered are obu (default), order_book_update and order_book`)
  }
  const feed = feedOf(product.books[source], channel)
  if (typeof feed === "string") return unsupported(feed)
  return named(product, source, source === "obu" ? obuItem(pairName, feed.levels) : feedItem(pairName, feed))
}

const dayTopic: Names["Ticker"] = (product, { zone }, pairName) =>
  zone === undefined || zone === "24H"
    ? named(product, "tickers", pairName)
    : unsupported(`zone ${zone}: ${wireName(product, "tickers")} counts the last 24 hours only (24H)`)

const candleTopic: Names["Kline"] = (product, { interval = defaultInterval, price = "last" }, pairName) => {
  const channel = wireName(product, "candlesticks")
  const word = own(product.intervals, interval)
  if (word === undefined) return unsupported(`interval ${interval}: ${channel} offers ${listOf(product.intervals)}`)
  if (price !== "last" && !product.hasPriceKinds) {
    return unsupported(`price ${price}: ${channel} draws the last price only`)
  }
  return named(product, "candlesticks", `${word}|${price === "last" ? "" : `${price}_`}${pairName}`)
}

const statsTopic: Names["ContractStats"] = (product, { interval = defaultInterval }, pairName) => {
  const word = own(product.statsIntervals, interval)
  return word === undefined
    ? unsupported(
      `interval ${interval}: ${wireName(product, "contract_stats")} offers ${listOf(product.statsIntervals)}`
    )
    : named(product, "contract_stats", `${pairName}|${word}`)
}

/** Intervals may come from outside: `constructor` is none. */
const own = (words: Readonly<Record<string, string | undefined>>, interval: string): string | undefined =>
  Object.hasOwn(words, interval) ? words[interval] : undefined

const listOf = (intervals: Readonly<Record<string, unknown>>): string => Object.keys(intervals).join(", ")

const names: Names = {
  BookTicker: tickerTopic,
  Trades: tradesTopic,
  Book: bookTopic,
  Ticker: dayTopic,
  Kline: candleTopic,
  FuturesTicker: (product, _channel, pairName) => named(product, "tickers", pairName),
  Liquidations: (product, _channel, pairName) => named(product, "public_liquidates", pairName),
  ContractStats: statsTopic
}

/**
 * Gate names no limit for subscriptions, only 300 connections and 200 REST requests in 10 s for each endpoint, by IP
 * address. What it does not name is our own choice.
 */
export const limits: Limits = {
  // 977 tickers were measured to work on one socket, but a client that reads too slowly is dropped: a burst on fewer
  // topics is taken in sooner, and a drop costs fewer of them.
  topicsPerConnection: 300,
  // One unknown pair makes Gate refuse the whole list: short lists are split quickly.
  topicsPerRequest: 100,
  // Far more than 100 names of usual length need.
  requestBytes: 16_384,
  requestsPerSecond: 50,
  dialsPerSecond: 2,
  // Half of what is documented, for a second client behind the same address.
  restPerSecond: 10,
  restConcurrency: 4,
  connectionAge: null
}

type Action = "subscribe" | "unsubscribe"

export const requests = (
  product: Product,
  action: Action,
  topics: ReadonlyArray<Topic>,
  stamp: Stamp
): ReadonlyArray<Request> =>
  Object.values(Arr.groupBy(topics, groupOf)).flatMap((group) => {
    const channel = channelOf(group[0].key)
    return batches(isSingle(product, channel), group).map((batch) => request(action, channel, batch, stamp))
  })

/** What goes into one list: a channel's topics, but the one for all contracts by itself. */
const groupOf = ({ key, symbol }: Topic): string => symbol === everyContract ? key : channelOf(key)

const channelOf = (key: string): string => key.slice(0, key.indexOf("|"))

/** What the payload says of a topic. Our separator is part of no name. */
const payloadOf = (key: string): ReadonlyArray<string> => key.split("|").slice(1)

/** Streams whose payload has room for one topic, because it says more than a name. */
const singles: ReadonlySet<Stream> = new Set(["order_book_update", "order_book", "candlesticks", "contract_stats"])

const isSingle = (product: Product, channel: string): boolean => {
  const stream = streamOf(product, channel)
  return stream !== null && singles.has(stream)
}

/** At least one topic goes in, and in each that comes out. */
const batches = (isSingle: boolean, topics: ReadonlyArray<Topic>): ReadonlyArray<ReadonlyArray<Topic>> => {
  const most = isSingle ? 1 : limits.topicsPerRequest
  const result: Array<Array<Topic>> = []
  let batch: Array<Topic> = []
  let bytes = 0
  for (const topic of topics) {
    // No UTF-16 unit takes more than three bytes; the fourth, and the channel in the key, cover quotes and envelope.
    const size = 4 * topic.key.length
    if (batch.length > 0 && (batch.length >= most || bytes + size > limits.requestBytes)) {
      result.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(topic)
    bytes += size
  }
  return [...result, batch]
}

const request = (action: Action, channel: string, topics: ReadonlyArray<Topic>, stamp: Stamp): Request => {
  const id = stamp.nextId()
  const payload = topics.flatMap((topic) => payloadOf(topic.key))
  const frame = JSON.stringify({ time: seconds(stamp), id, channel, event: action, payload })
  return { frame, id, topics }
}

/** Gate wants seconds within a minute of its own clock. */
export const seconds = (stamp: Stamp): number => Math.floor(stamp.nowMillis / 1000)

export const ping = (product: Product, stamp: Stamp): string =>
  JSON.stringify({ time: seconds(stamp), channel: `${product.prefix}.ping` })

/** Measured: a socket that sends nothing is dropped after about 30 s, without a close frame. */
export const heartbeat = (product: Product): Heartbeat => ({
  // Only a quiet connection is asked, and until it answers an account's events may be missing. The clients that ping most
  // do so every 5 s whatever comes, one of long standing waits 1.5 s for the answer; no limit of messages is documented.
  interval: "2 seconds",
  timeout: "3 seconds",
  ping: (stamp) => ping(product, stamp)
})

/** The topics an answer names in its payload; null when it names none that we could have asked for. */
export const answerTopics = (product: Product, channel: string, payload: unknown): ReadonlyArray<string> | null => {
  if (!isTexts(payload) || payload.length === 0) return null
  const stream = streamOf(product, channel)
  if (stream === null || !singles.has(stream)) return payload.map((item) => `${channel}|${item}`)
  if (payload.length === 1) return null
  const isFeed = stream === "candlesticks" || stream === "contract_stats" || feedOfPayload(product, channel, payload)
  return isFeed === null ? null : [`${channel}|${payload.join("|")}`]
}

/** The book feed that a payload names, behind its pair. */
export const feedOfPayload = (
  product: Product,
  channel: string,
  payload: unknown
): { readonly stream: Stream; readonly pairName: string; readonly feed: BookFeed } | null => {
  const stream = streamOf(product, channel)
  if (stream === null || !isBookStream(stream) || !isTexts(payload)) return null
  const [pairName, ...rest] = payload
  const item = rest.join("|")
  const feed = item === "" ? undefined : product.books[stream].feeds.find((one) => one.item === item)
  return pairName === undefined || feed === undefined ? null : { stream, pairName, feed }
}

export const isTexts = Schema.is(Schema.Array(Schema.String))
