/**
 * A made-up exchange, as small as an adapter can be: JSON, one topic a request, no request ids, snapshots in the stream,
 * best prices, trades and books only. The worked example of `docs/adding-an-exchange.md`; its server's half is `ToyDialect`.
 */
import { Clock, Effect, Option, Schema } from "effect"
import type { PublicTag } from "../../../src/domain/Channel.ts"
import { partsOf, spot } from "../../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../../src/domain/Market.ts"
import * as ExchangeAdapter from "../../../src/ExchangeAdapter.ts"
import type { Codec, CodecContext, Rest, RestOptions, Sink, Stamp, Topic } from "../../../src/ExchangeAdapter.ts"
import * as RestClient from "../../../src/RestClient.ts"

const id = "toy"

/** What its topics begin with. */
const wires = { BookTicker: "tickers", Trades: "trades", Book: "depth" } as const
const channels = ["BookTicker", "Trades", "Book"] as const

const Level = Schema.Struct({ price: Schema.FiniteFromString, quantity: Schema.FiniteFromString })
const Side = Schema.Array(Level)
const [version, time] = [Schema.Int, Schema.Finite]
const Book = Schema.Struct({ time, version, firstVersion: Schema.optional(version), bids: Side, asks: Side })
const Ticker = Schema.Struct({ time, version, bid: Schema.NullOr(Level), ask: Schema.NullOr(Level) })
const Trade = Schema.Struct({ ...Level.fields, time, id: Schema.Int, side: Schema.Literals(["buy", "sell"]) })

const message = <const T extends string, F extends Schema.Struct.Fields>(type: T, fields: F) =>
  Schema.Struct({ type: Schema.Literal(type), topic: Schema.String, ...fields })
const Data = Schema.Union([
  message("snapshot", { book: Book }),
  message("delta", { delta: Book }),
  message("ticker", { ticker: Ticker }),
  message("trades", { trades: Schema.Array(Trade) })
])
const Notice = Schema.Struct({ type: Schema.Literals(["pong", "upgrade", "error"]) })
const Message = Schema.Union([Notice, message("ack", {}), message("reject", {}), Data])

/** A toy may decode with a schema. An adapter that is used reads the bytes itself: see the ones in `src/exchanges`. */
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Message))

type Named = Pick<Topic, "pair" | "symbol">

const about = ({ pair, symbol }: Named, exchangeTime: number, receivedAt: number) =>
  ({ pair, symbol, exchangeTime, receivedAt, contractSize: 1, exact: null }) as const

const flat = (side: typeof Side.Type) => side.flatMap(({ price, quantity }) => [price, quantity])

const update = (topic: Named, kind: "snapshot" | "delta", book: typeof Book.Type, receivedAt: number) => {
  const { asks, bids, firstVersion = book.version, time, version } = book
  const sides = { bids: flat(bids), asks: flat(asks) }
  return { _tag: "BookUpdate", ...about(topic, time, receivedAt), kind, ...sides, firstVersion, version } as const
}

const best = (topic: Named, { ask, bid, time, version }: typeof Ticker.Type, receivedAt: number): MarketEvent => ({
  _tag: "BookTicker",
  ...about(topic, time, receivedAt),
  bidPrice: bid?.price ?? null,
  bidQuantity: bid?.quantity ?? null,
  askPrice: ask?.price ?? null,
  askQuantity: ask?.quantity ?? null,
  version
})

const eventsOf = (topic: Named, data: typeof Data.Type, receivedAt: number): ReadonlyArray<MarketEvent> => {
  if (data.type === "ticker") return [best(topic, data.ticker, receivedAt)]
  if (data.type !== "trades") {
    return [update(topic, data.type, data.type === "delta" ? data.delta : data.book, receivedAt)]
  }
  return data.trades.map(({ id, time, ...trade }) => (
    { _tag: "Trade", ...about(topic, time, receivedAt), ...trade, id: String(id) }
  ))
}

const notice = ({ type }: typeof Notice.Type, sink: Sink): void => {
  if (type === "pong") return sink.pong()
  if (type === "upgrade") return sink.closing("the exchange is about to close the connection")
  sink.ignored("the exchange did not understand a request")
}

/** One call of the sink for each frame. An adapter that is used keeps its topics by their keys, and finds them itself. */
const makeCodec = ({ topicOf }: CodecContext): Codec => ({
  decode: (frame, receivedAt, sink) => {
    const message = Option.getOrUndefined(decode(new TextDecoder().decode(frame)))
    if (message === undefined) return sink.failed("no message of this exchange")
    if (!("topic" in message)) return notice(message, sink)
    const answer = { action: "unknown", requestId: null, topics: [message.topic] } as const
    const refusal = { code: "reject", detail: "there is no such topic", class: "item" } as const
    if (message.type === "ack") return sink.acknowledged(answer)
    if (message.type === "reject") return sink.rejected(answer, refusal)
    const [wire, symbol = ""] = message.topic.split(":")
    const topic = topicOf(message.topic, channels.find((channel) => wires[channel] === wire) ?? "Book", symbol)
    for (const event of eventsOf(topic, message, receivedAt)) sink.event(topic, event)
  }
})

const decimals = { priceDecimals: Schema.Int, quantityDecimals: Schema.Int }
const Pair = Schema.Struct({ base: Schema.String, quote: Schema.String, ...decimals })

const instrument = ({ base, quote, priceDecimals, quantityDecimals }: typeof Pair.Type) => {
  const steps = { priceStep: Number(`1e-${priceDecimals}`), quantityStep: Number(`1e-${quantityDecimals}`) }
  return spot({ exchange: id, symbol: `${base}_${quote}`, base, quote, ...steps })
}

const makeRest = ({ client, url }: RestOptions): Rest => {
  const { get } = RestClient.make({ exchange: id, client, url })
  return {
    instruments: Effect.map(get(Schema.Array(Pair), "/pairs"), (pairs) => pairs.map(instrument)),
    serverTime: Effect.map(get(Schema.Struct({ time: Schema.Finite }), "/time"), ({ time }) => time),
    book: Effect.fnUntraced(function*(symbol, { pair }) {
      const book = yield* get(Book, "/book", { pair, limit: "1000" })
      return update({ pair, symbol }, "snapshot", book, yield* Clock.currentTimeMillis)
    })
  }
}

const isOffered = (tag: PublicTag): tag is keyof typeof wires => tag in wires

const request = (op: "sub" | "unsub") => (topics: ReadonlyArray<Topic>, stamp: Stamp) =>
  topics.map((topic) => ({ frame: JSON.stringify({ op, topic: topic.key }), id: stamp.nextId(), topics: [topic] }))

export const toySpot = ExchangeAdapter.make({
  id,
  name: "Toy spot",
  kind: "spot",
  channels: new Set(channels),
  coverage: channels.map((channel) => (
    { channel, wire: `${wires[channel]}:<BASE>_<QUOTE>:20`, note: "every 20ms", source: "ToyDialect" }
  )),
  urls: { websocket: "wss://toy.invalid/ws/v1/", rest: "https://toy.invalid/api/v1" },
  endpoint: (url) => ({ url }),
  symbol: (pair) => partsOf(pair).settle === undefined ? pair.replace("/", "_") : null,
  topic: (channel, symbol) => {
    const { _tag, source, speed = "20ms" } = { source: undefined, speed: undefined, ...channel }
    if (!isOffered(_tag)) return ExchangeAdapter.unsupported(`${_tag} is not offered; ${channels.join()} are`)
    if (speed !== "20ms") return ExchangeAdapter.unsupported(`speed ${speed} is not offered; 20ms is`)
    if (source !== undefined) return ExchangeAdapter.unsupported(`source ${source} is not offered; leave it out`)
    return ExchangeAdapter.named(`${wires[_tag]}:${symbol}:20`)
  },
  subscribe: request("sub"),
  unsubscribe: request("unsub"),
  listRefusal: "each",
  makeCodec,
  book: () => ({
    snapshot: "InStream",
    joins: ExchangeAdapter.followsExactly,
    follows: ExchangeAdapter.followsExactly
  }),
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
