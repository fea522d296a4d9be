/** What is sent to MEXC: channel names, subscribe, unsubscribe, ping. Pure. */
import type { BookChannel, PublicChannel } from "../../domain/Channel.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { Limits, Request, Stamp, Topic, TopicName } from "../../ExchangeAdapter.ts"

/** Base and quote, upper case, without separator ("Websocket Market Streams"). Swaps are another product. */
export const symbol = (pair: TradingPair): string | null => {
  const parts = partsOf(pair)
  return parts.settle === undefined ? parts.base + parts.quote : null
}

const wireNames = { BookTicker: "bookTicker", Trades: "deals", Book: "depth" } as const

/** Aggregation intervals on offer. */
const speeds: ReadonlySet<string> = new Set(["10ms", "100ms"])

/** Deepest snapshot ("Market Data Endpoints, Order Book": limit up to 5000). */
export const deepest = 5000

/** The full wire channel is the key: `spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT`. */
export const topic = (channel: PublicChannel, name: string): TopicName => {
  if (channel._tag !== "BookTicker" && channel._tag !== "Trades" && channel._tag !== "Book") {
    return unsupported(`${channel._tag} is not offered`)
  }
  const speed = channel.speed ?? "100ms"
  if (!speeds.has(speed)) return unsupported(`speed ${speed} is not offered; 10ms and 100ms are`)
  const detail = channel._tag === "Book" ? bookProblem(channel) : null
  if (detail !== null) return unsupported(detail)
  if (!/^[^\s@,[\]]+$/u.test(name)) return unsupported(`${name} cannot be part of a channel name`)
  return { _tag: "Topic", key: `spot@public.aggre.${wireNames[channel._tag]}.v3.api.pb@${speed}@${name}` }
}

const unsupported = (detail: string): TopicName => ({ _tag: "Unsupported", detail })

/** The stream carries the whole book whatever the depth, which only sizes the snapshot. */
const bookProblem = ({ depth, source }: BookChannel): string | null => {
  if (source !== undefined) return `source ${source} is not offered; leave it out`
  if (depth === undefined || (Number.isInteger(depth) && depth >= 1 && depth <= deepest)) return null
  return `depth ${depth} is not offered; whole numbers from 1 to ${deepest} are`
}

export const limits: Limits = {
  // "Websocket Market Streams": one connection supports a maximum of 30 subscriptions. Number 31 is refused as `Blocked!`.
  topicsPerConnection: 30,
  topicsPerRequest: 30,
  // The largest message that a client of long standing (JKorf) sends; MEXC documents none.
  requestBytes: 1024,
  // "General Info, Limits": 100 messages a second, then a disconnect, and a ban when repeated.
  requestsPerSecond: 100,
  // Undocumented; a third party met no limit at 300 connections.
  dialsPerSecond: 5,
  // Documented are 500 weight in 10 seconds; the edge filter bans from 20 to 30 a second (measured), support says 20.
  restPerSecond: 10,
  connectionAge: "24 hours",
  restConcurrency: 4
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
