/**
 * A made-up exchange, as small as an adapter can be: JSON, one topic a request, no request ids, snapshots in the stream,
 * best prices and books only. The worked example of `docs/adding-an-exchange.md`; its server's half is `ToyDialect`.
 */
import { Clock, Effect, Option, Schema } from "effect"
import type { Instrument } from "../../../src/domain/Instrument.ts"
import { partsOf, spot } from "../../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate } from "../../../src/domain/Market.ts"
import * as Sequence from "../../../src/domain/Sequence.ts"
import * as ExchangeAdapter from "../../../src/ExchangeAdapter.ts"
import type { Codec, CodecContext, Rest, RestOptions, Stamp, Topic, TopicName } from "../../../src/ExchangeAdapter.ts"
import * as RestClient from "../../../src/RestClient.ts"

const id = "toy"

const at = { version: Schema.Int, time: Schema.Finite }
const Level = Schema.Struct({ price: Schema.FiniteFromString, quantity: Schema.FiniteFromString })
const Side = Schema.Array(Level)
const Book = Schema.Struct({ ...at, firstVersion: Schema.optional(Schema.Int), bids: Side, asks: Side })
const Ticker = Schema.Struct({ ...at, bid: Schema.NullOr(Level), ask: Schema.NullOr(Level) })
const Message = Schema.Union([
  Schema.Struct({ type: Schema.Literal("pong") }),
  Schema.Struct({ type: Schema.Literal("upgrade") }),
  Schema.Struct({ type: Schema.Literal("error") }),
  Schema.Struct({ type: Schema.Literals(["ack", "reject"]), topic: Schema.String }),
  Schema.Struct({ type: Schema.Literal("snapshot"), topic: Schema.String, book: Book }),
  Schema.Struct({ type: Schema.Literal("delta"), topic: Schema.String, delta: Book }),
  Schema.Struct({ type: Schema.Literal("ticker"), topic: Schema.String, ticker: Ticker })
])

/** A toy may decode with a schema. An adapter that is used reads the bytes itself: see the ones in `src/exchanges`. */
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Message))

const about = ({ pair, symbol }: Pick<Topic, "pair" | "symbol">, exchangeTime: number, receivedAt: number) =>
  ({ pair, symbol, exchangeTime, receivedAt, contractSize: 1, exact: null }) as const

const update = (kind: BookUpdate["kind"], book: typeof Book.Type, event: ReturnType<typeof about>): BookUpdate => ({
  _tag: "BookUpdate",
  ...event,
  kind,
  bids: book.bids.flatMap(({ price, quantity }) => [price, quantity]),
  asks: book.asks.flatMap(({ price, quantity }) => [price, quantity]),
  firstVersion: book.firstVersion ?? book.version,
  version: book.version
})

const best = ({ ask, bid, version }: typeof Ticker.Type, event: ReturnType<typeof about>): BookTicker => ({
  _tag: "BookTicker",
  ...event,
  bidPrice: bid?.price ?? null,
  bidQuantity: bid?.quantity ?? null,
  askPrice: ask?.price ?? null,
  askQuantity: ask?.quantity ?? null,
  version
})

/** One call of the sink for each frame. An adapter that is used keeps its topics by their keys, and finds them itself. */
const makeCodec = ({ topicOf }: CodecContext): Codec => {
  const topicFor = (key: string) =>
    topicOf(key, key.startsWith("depth") ? "Book" : "BookTicker", key.split(":")[1] ?? "")
  return {
    decode: (frame, receivedAt, sink) => {
      const message = Option.getOrUndefined(decode(new TextDecoder().decode(frame)))
      if (message === undefined) return sink.failed("no message of this exchange")
      if (message.type === "pong") return sink.pong()
      if (message.type === "upgrade") return sink.closing("the exchange is about to close the connection")
      if (message.type === "error") return sink.ignored("the exchange did not understand a request")
      const topic = topicFor(message.topic)
      const answer = { action: "unknown", requestId: null, topics: [message.topic] } as const
      switch (message.type) {
        case "ack":
          return sink.acknowledged(answer)
        case "reject":
          return sink.rejected(answer, { code: "reject", detail: "there is no such topic", class: "item" })
        case "snapshot":
          return sink.event(topic, update("snapshot", message.book, about(topic, message.book.time, receivedAt)))
        case "delta":
          return sink.event(topic, update("delta", message.delta, about(topic, message.delta.time, receivedAt)))
        case "ticker":
          return sink.event(topic, best(message.ticker, about(topic, message.ticker.time, receivedAt)))
      }
    }
  }
}

/** A delta begins where the last update ended. A pushed snapshot replaces the book any time. */
const follows: ExchangeAdapter.BookRecipe["follows"] = (lastVersion, update) => {
  if (Sequence.equals(update.firstVersion, Sequence.next(lastVersion))) return "apply"
  return update.version <= lastVersion ? "stale" : "gap"
}

const Pair = Schema.Struct({
  base: Schema.String,
  quote: Schema.String,
  priceDecimals: Schema.Int,
  quantityDecimals: Schema.Int
})

const instrument = ({ base, quote, priceDecimals, quantityDecimals }: typeof Pair.Type): Instrument => {
  const steps = { priceStep: Number(`1e-${priceDecimals}`), quantityStep: Number(`1e-${quantityDecimals}`) }
  return spot({ exchange: id, symbol: `${base}_${quote}`, base, quote, ...steps })
}

const makeRest = ({ client, url }: RestOptions): Rest => {
  const classify = (_code: string | null, _text: string, status: number) =>
    status === 429 ? "rateLimit" : status < 500 ? "bug" : "retryable"
  const { get } = RestClient.make({ exchange: id, client, url, refusalOf: () => null, classify })
  return {
    instruments: Effect.map(get(Schema.Array(Pair), "/pairs"), (pairs) => pairs.map(instrument)),
    serverTime: Effect.map(get(Schema.Struct({ time: Schema.Finite }), "/time"), ({ time }) => time),
    book: Effect.fnUntraced(function*(symbol, { pair }) {
      const book = yield* get(Book, "/book", { pair, limit: "1000" })
      return update("snapshot", book, about({ pair, symbol }, book.time, yield* Clock.currentTimeMillis))
    })
  }
}

const unsupported = (what: string, offered: string): TopicName => ({
  _tag: "Unsupported",
  detail: `${what} is not offered; ${offered} is`
})

const request = (op: "sub" | "unsub") => (topics: ReadonlyArray<Topic>, stamp: Stamp) =>
  topics.map((topic) => ({ frame: JSON.stringify({ op, topic: topic.key }), id: stamp.nextId(), topics: [topic] }))

export const toySpot = ExchangeAdapter.make({
  id,
  name: "Toy spot",
  kind: "spot",
  channels: new Set(["BookTicker", "Book"] as const),
  coverage: [
    { channel: "BookTicker", wire: "tickers:<BASE>_<QUOTE>:20", note: "every 20ms", source: "ToyDialect" },
    { channel: "Book", wire: "depth:<BASE>_<QUOTE>:20", note: "snapshots in the stream", source: "ToyDialect" }
  ],
  urls: { websocket: "wss://toy.invalid/ws/v1/", rest: "https://toy.invalid/api/v1" },
  endpoint: (url) => ({ url }),
  symbol: (pair) => partsOf(pair).settle === undefined ? pair.replace("/", "_") : null,
  topic: (channel, symbol) => {
    if (channel._tag !== "Book" && channel._tag !== "BookTicker") return unsupported(channel._tag, "Book, BookTicker")
    const { source, speed = "20ms" } = channel
    if (speed !== "20ms") return unsupported(`speed ${speed}`, "20ms")
    if (source !== undefined) return unsupported(`source ${source}`, "none")
    return { _tag: "Topic", key: `${channel._tag === "Book" ? "depth" : "tickers"}:${symbol}:20` }
  },
  subscribe: request("sub"),
  unsubscribe: request("unsub"),
  listRefusal: "each",
  makeCodec,
  book: () => ({ snapshot: "InStream", joins: follows, follows }),
  heartbeat: { interval: "5 seconds", timeout: "2 seconds", ping: () => "{\"op\":\"ping\"}" },
  silence: { BookTicker: "5 seconds", Book: "60 seconds" },
  limits: {
    topicsPerConnection: 100,
    topicsPerRequest: 1,
    requestBytes: 1024,
    requestsPerSecond: 50,
    dialsPerSecond: 5,
    restPerSecond: 10,
    restConcurrency: 2,
    connectionAge: null
  },
  makeRest
})
