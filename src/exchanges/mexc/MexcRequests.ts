/** What is sent to MEXC: channel names, subscribe, unsubscribe, ping. Pure. */
import type {
  BookChannel,
  BookTickerChannel,
  KlineChannel,
  PublicChannel,
  TickerChannel,
  TradesChannel
} from "../../domain/Channel.ts"
import { defaultInterval, everyPair } from "../../domain/Channel.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { Limits, Request, Stamp, Topic, TopicName } from "../../ExchangeAdapter.ts"
import { named, unsupported } from "../../ExchangeAdapter.ts"
import { everySymbol, intervalNames, keyOf } from "./MexcChannels.ts"

/** Base and quote, upper case, without separator ("Websocket Market Streams"). Swaps are another product. */
export const symbol = (pair: TradingPair): string | null => {
  if (pair === everyPair) return everySymbol
  const parts = partsOf(pair)
  return parts.settle === undefined ? parts.base + parts.quote : null
}

/** Aggregation intervals on offer. */
const speeds: ReadonlySet<string> = new Set(["10ms", "100ms"])

/** Deepest snapshot ("Market Data Endpoints, Order Book": limit up to 5000). */
export const deepest = 5000

/** Levels a side of `limit.depth` ("Partial Book Depth Streams"). */
const limitDepths: ReadonlyArray<number> = [5, 10, 20]

/** "Mini-ticker": time zones of the day that rates and extremes are counted from; `24H` is the last 24 hours. */
const zones: ReadonlySet<string> = new Set([
  "24H",
  ...["-10", "-8", "-7", "-6", "-5", "-4", "-3", "+0", "+1", "+2", "+3", "+4", "+4:30", "+5", "+5:30", "+6", "+7"],
  ...["+8", "+9", "+10", "+11", "+12", "+12:45", "+13"]
].map((zone) => zone === "24H" ? zone : `UTC${zone}`))

/** The full wire channel is the key: `spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT`. */
export const topic = (channel: PublicChannel, name: string): TopicName => {
  if (name === everySymbol && channel._tag !== "Ticker") {
    return unsupported(`${channel._tag} is not offered for every pair at once; only Ticker is`)
  }
  if (!/^[^\s@,[\]]+$/u.test(name)) return unsupported(`${name} cannot be part of a channel name`)
  switch (channel._tag) {
    case "BookTicker":
      return bookTicker(channel, name)
    case "Trades":
      return trades(channel, name)
    case "Book":
      return book(channel, name)
    case "Ticker":
      return ticker(channel, name)
    case "Kline":
      return kline(channel, name)
    default:
      return unsupported(`${channel._tag} is not offered`)
  }
}

type AggregatedName = "aggre.bookTicker" | "aggre.deals" | "aggre.depth"

const aggregated = (wire: AggregatedName, speed: string | undefined, name: string): TopicName => {
  if (speed !== undefined && !speeds.has(speed)) return unsupported(`speed ${speed} is not offered; 10ms and 100ms are`)
  return named(keyOf(wire, speed ?? "100ms", name))
}

/** A channel that is pushed at its own pace. */
const unpaced = (key: string, source: string, speed: string | undefined): TopicName =>
  speed === undefined ? named(key) : unsupported(`speed ${speed} is not offered with source ${source}; leave it out`)

const otherSource = (source: string, offer: string): TopicName =>
  unsupported(`source ${source} is not offered; ${offer} are`)

const bookTicker = ({ source = "aggre", speed }: BookTickerChannel, name: string): TopicName => {
  if (source === "batch") return unpaced(keyOf("bookTicker.batch", name), source, speed)
  return source === "aggre" ? aggregated("aggre.bookTicker", speed, name) : otherSource(source, "aggre and batch")
}

const trades = ({ speed }: TradesChannel, name: string): TopicName => aggregated("aggre.deals", speed, name)

/** The stream of source `aggre` carries the whole book whatever the depth, which only sizes the snapshot. */
const book = ({ depth, source = "aggre", speed }: BookChannel, name: string): TopicName => {
  if (source === "limit") return limitBook(depth ?? 20, speed, name)
  if (source !== "aggre") return otherSource(source, "aggre and limit")
  if (depth !== undefined && !(Number.isInteger(depth) && depth >= 1 && depth <= deepest)) {
    return unsupported(`depth ${depth} is not offered; whole numbers from 1 to ${deepest} are`)
  }
  return aggregated("aggre.depth", speed, name)
}

const limitBook = (depth: number, speed: string | undefined, name: string): TopicName =>
  limitDepths.includes(depth)
    ? unpaced(keyOf("limit.depth", name, String(depth)), "limit", speed)
    : unsupported(`depth ${depth} is not offered with source limit; ${limitDepths.join(", ")} are`)

const ticker = ({ zone = "24H" }: TickerChannel, name: string): TopicName => {
  if (!zones.has(zone)) return unsupported(`zone ${zone} is not offered; ${[...zones].join(", ")} are`)
  return named(name === everySymbol ? keyOf("miniTickers", zone) : keyOf("miniTicker", name, zone))
}

const kline = ({ interval = defaultInterval, price = "last" }: KlineChannel, name: string): TopicName => {
  const wire = intervalNames[interval]
  if (price !== "last") return unsupported(`price ${price} is not offered; last is`)
  if (wire !== undefined) return named(keyOf("kline", name, wire))
  return unsupported(`interval ${interval} is not offered; ${Object.keys(intervalNames).join(", ")} are`)
}

export const limits: Limits = {
  // "Websocket Market Streams": one connection supports a maximum of 30 subscriptions. Number 31 is refused as `Blocked!`.
  topicsPerConnection: 30,
  fullRefusal: "Blocked!",
  topicsPerRequest: 30,
  // The largest message that a client of long standing (JKorf) sends; MEXC documents none.
  requestBytes: 1024,
  // "General Info, Limits": 100 messages a second, then a disconnect, and a ban when repeated.
  requestsPerSecond: 100,
  // Undocumented; a third party met no limit at 300 connections.
  dialsPerSecond: 5,
  // Documented are 500 weight in 10 seconds, support says 20 requests a second, and the edge filter bans from 20 to 30
  // (measured; a burst of about 120 too). 19 stay below all of them and bring the books of 1,000 pairs in 53 s.
  restPerSecond: 19,
  // Ten books are there at once behind an outage, and still no second holds more than 20.
  restBurst: 10,
  // So that the pace is kept while an answer takes up to 0.4 s.
  restConcurrency: 8,
  // "Websocket Market Streams": a connection is valid for 24 hours at most.
  connectionAge: "24 hours"
}

/** Bytes of a request around its params: `{"method":"UNSUBSCRIPTION","params":[],"id":2147483647}`. */
const envelopeBytes = 55

const encoder = new TextEncoder()

/** Divides topics so that each request keeps to the number of params and of bytes. */
const chunk = (topics: ReadonlyArray<Topic>): ReadonlyArray<ReadonlyArray<Topic>> => {
  const chunks: Array<Array<Topic>> = []
  let current: Array<Topic> = []
  let bytes = envelopeBytes
  for (const wanted of topics) {
    const size = encoder.encode(JSON.stringify(wanted.key)).length + 1
    if (current.length > 0 && (current.length >= limits.topicsPerRequest || bytes + size > limits.requestBytes)) {
      chunks.push(current)
      current = []
      bytes = envelopeBytes
    }
    current.push(wanted)
    bytes += size
  }
  if (current.length > 0) chunks.push(current)
  return chunks
}

const requests = (method: string, topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  chunk(topics).map((part) => {
    // An answer with id 0 is one to a request without id, so ours are never 0; the session counts from 1.
    const id = stamp.nextId()
    return { frame: JSON.stringify({ method, params: part.map(({ key }) => key), id }), id, topics: part }
  })

export const subscribe = (topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  requests("SUBSCRIPTION", topics, stamp)

export const unsubscribe = (topics: ReadonlyArray<Topic>, stamp: Stamp): ReadonlyArray<Request> =>
  requests("UNSUBSCRIPTION", topics, stamp)

/** Answered by `{"id":0,"code":0,"msg":"PONG"}`. */
export const ping = (): string => "{\"method\":\"PING\"}"
