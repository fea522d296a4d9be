/**
 * Topics and requests. Sources: Gate WebSocket v4 documents, spot (2026-07-25): "System API", "Public Trades Channel",
 * "Best bid or ask price", "Changed order book levels", "Order Book V2".
 *
 * A topic's key is the channel, `|`, and what the payload says: `spot.book_ticker|BTC_USDT`,
 * `spot.obu|ob.BTC_USDT.50`, `spot.order_book_update|BTC_USDT|100ms`.
 */
import { Array as Arr, Schema } from "effect"
import type { BookChannel, PublicChannel, Speed } from "../../domain/Channel.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { Limits, Request, Stamp, Topic, TopicName } from "../../ExchangeAdapter.ts"
import * as GateWire from "./GateWire.ts"

/** `BTC/USDT` is `BTC_USDT`; null for what spot cannot name: swaps, and names that JSON would have to escape. */
export const symbol = (pair: TradingPair): string | null => {
  const { base, quote, settle } = partsOf(pair)
  const name = `${base}_${quote}`
  return settle === undefined && GateWire.isPairName(name) ? name : null
}

export const keyOf = (channel: string, item: string): string => `${channel}|${item}`

export const updateKey = (pairName: string, speed: UpdateSpeed): string =>
  keyOf(GateWire.updateChannel, `${pairName}|${speed}`)

export type UpdateSpeed = Extract<Speed, "20ms" | "100ms">

const offered = (key: string): TopicName => ({ _tag: "Topic", key })
const unsupported = (detail: string): TopicName => ({ _tag: "Unsupported", detail })

/** The canonical key of a request, or what is offered instead. */
export const topicName = (channel: PublicChannel, pairName: string): TopicName => {
  switch (channel._tag) {
    case "BookTicker":
      return channel.speed === undefined || channel.speed === "10ms"
        ? offered(keyOf(GateWire.tickerChannel, pairName))
        : unsupported(`speed ${channel.speed}: ${GateWire.tickerChannel} is pushed every 10ms only`)
    case "Trades":
      return channel.speed === undefined
        ? offered(keyOf(GateWire.tradesChannel, pairName))
        : unsupported(`speed ${channel.speed}: ${GateWire.tradesChannel} is pushed in real time only; leave speed out`)
    case "Book":
      return bookTopic(channel, pairName)
    default:
      return unsupported(`${channel._tag} is not offered`)
  }
}

const bookTopic = (channel: BookChannel, pairName: string): TopicName => {
  const depth = channel.depth ?? 1
  if (!Number.isInteger(depth) || depth < 1) return unsupported(`depth ${depth}: a whole number above 0 is needed`)
  switch (channel.source ?? "obu") {
    case "obu":
      return obuTopic(channel, pairName)
    case "order_book_update":
      return updateTopic(channel, pairName)
    default:
      return unsupported(`source ${channel.source}: offered are obu (default) and order_book_update`)
  }
}

const obuOffer = "obu offers 50 levels every 20ms and 400 levels every 100ms"

/** The smallest of the two streams that holds the depth; `speed` decides where it is given. */
const obuTopic = (channel: BookChannel, pairName: string): TopicName => {
  const depth = channel.depth ?? 1
  const levels = channel.speed === undefined ? (depth <= 50 ? 50 : 400) : obuLevels[channel.speed]
  if (levels === undefined) return unsupported(`speed ${channel.speed}: ${obuOffer}`)
  return depth <= levels
    ? offered(keyOf(GateWire.obuChannel, `ob.${pairName}.${levels}`))
    : unsupported(`depth ${depth}${channel.speed === undefined ? "" : ` at ${channel.speed}`}: ${obuOffer}`)
}

const obuLevels: Readonly<Partial<Record<Speed, number>>> = { "20ms": 50, "100ms": 400 }

const updateOffer = "order_book_update offers 100 levels every 100ms (default) and 20 levels every 20ms"

/** Levels that a feed keeps current, which is also what a REST book has to hold. */
export const updateLevels: Readonly<Record<UpdateSpeed, number>> = { "20ms": 20, "100ms": 100 }

/** The feed's speed for a request that `topic` accepts. */
export const updateSpeed = (channel: BookChannel): UpdateSpeed => channel.speed === "20ms" ? "20ms" : "100ms"

const updateTopic = (channel: BookChannel, pairName: string): TopicName => {
  if (channel.speed === "10ms") return unsupported(`speed 10ms: ${updateOffer}`)
  const speed = updateSpeed(channel)
  const depth = channel.depth ?? 1
  return depth <= updateLevels[speed]
    ? offered(updateKey(pairName, speed))
    : unsupported(`depth ${depth} at ${speed}: ${updateOffer}`)
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

export const subscribe = (topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  requests("subscribe", topics, stamp)

export const unsubscribe = (topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  requests("unsubscribe", topics, stamp)

type Action = "subscribe" | "unsubscribe"

const requests = (action: Action, topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  Object.entries(Arr.groupBy(topics, (topic) => channelOf(topic.key))).flatMap(([channel, group]) =>
    batches(channel, group).map((batch) => request(action, channel, batch, stamp))
  )

const channelOf = (key: string): string => key.slice(0, key.indexOf("|"))

/** What the payload says of a topic: one item, or for `order_book_update` pair and speed. */
const payloadOf = (key: string): ReadonlyArray<string> => {
  const item = key.slice(key.indexOf("|") + 1)
  const bar = item.lastIndexOf("|")
  return bar < 0 ? [item] : [item.slice(0, bar), item.slice(bar + 1)]
}

/** At least one topic goes in, and in each that comes out. */
const batches = (channel: string, topics: ReadonlyArray<Topic>): ReadonlyArray<ReadonlyArray<Topic>> => {
  const result: Array<Array<Topic>> = []
  let batch: Array<Topic> = []
  let bytes = 0
  for (const topic of topics) {
    // No UTF-16 unit takes more than three bytes; the fourth, and the channel in the key, cover quotes and envelope.
    const size = 4 * topic.key.length
    if (batch.length > 0 && (isFull(channel, batch.length) || bytes + size > limits.requestBytes)) {
      result.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(topic)
    bytes += size
  }
  return [...result, batch]
}

/** The payload of `order_book_update` has room for one pair. */
const isFull = (channel: string, count: number): boolean =>
  channel === GateWire.updateChannel || count >= limits.topicsPerRequest

const request = (action: Action, channel: string, topics: ReadonlyArray<Topic>, stamp: Stamp): Request => {
  const id = stamp.nextId()
  const payload = topics.flatMap((topic) => payloadOf(topic.key))
  const frame = JSON.stringify({ time: seconds(stamp), id, channel, event: action, payload })
  return { frame, id, topics }
}

/** Gate wants seconds within a minute of its own clock. */
const seconds = (stamp: Stamp): number => Math.floor(stamp.nowMillis / 1000)

export const ping = (stamp: Stamp): string => JSON.stringify({ time: seconds(stamp), channel: "spot.ping" })

/** The topics an answer names in its payload; null when it names none that we could have asked for. */
export const answerTopics = (channel: string, payload: unknown): ReadonlyArray<string> | null => {
  if (channel === GateWire.updateChannel) {
    const feed = updateFeed(payload)
    return feed === null ? null : [updateKey(feed.pairName, feed.speed)]
  }
  return isTexts(payload) && payload.length > 0 ? payload.map((item) => keyOf(channel, item)) : null
}

/** The feed that a payload of `order_book_update` names. */
export const updateFeed = (payload: unknown): { readonly pairName: string; readonly speed: UpdateSpeed } | null => {
  if (!isTexts(payload)) return null
  const [pairName, speed] = payload
  return pairName !== undefined && (speed === "20ms" || speed === "100ms") ? { pairName, speed } : null
}

const isTexts = Schema.is(Schema.Array(Schema.String))
