/**
 * A made-up exchange, as small as an adapter can be: JSON, one topic a request, no request ids, snapshots in the stream,
 * best prices and books only. The worked example of `docs/adding-an-exchange.md`; its server's half is `ToyDialect`.
 */
import { Clock, Effect, Schema } from "effect"
import type { PublicChannel } from "../../../src/domain/Channel.ts"
import { pairOf, partsOf } from "../../../src/domain/Instrument.ts"
import type { Instrument, TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate, Levels } from "../../../src/domain/Market.ts"
import * as Numeric from "../../../src/domain/Numeric.ts"
import * as Sequence from "../../../src/domain/Sequence.ts"
import * as ExchangeAdapter from "../../../src/ExchangeAdapter.ts"
import type {
  BookRecipe,
  Codec,
  CodecContext,
  Request,
  Rest,
  RestOptions,
  Sink,
  Topic
} from "../../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../../src/ExchangeError.ts"

const id = "toy"

// ---- requests -------------------------------------------------------------------------------------------------------

const symbol = (pair: TradingPair): string | null => {
  const { base, quote, settle } = partsOf(pair)
  return settle === undefined ? `${base}_${quote}` : null
}

const topic = (channel: PublicChannel, name: string): ExchangeAdapter.TopicName => {
  if (channel._tag !== "Book" && channel._tag !== "BookTicker") {
    return { _tag: "Unsupported", detail: `${channel._tag} is not offered` }
  }
  if (channel.speed !== undefined && channel.speed !== "20ms") {
    return { _tag: "Unsupported", detail: `speed ${channel.speed} is not offered; 20ms is` }
  }
  // Best prices come every interval, changed or not, so their silence means something.
  return { _tag: "Topic", key: `${channel._tag === "Book" ? "depth" : "tickers"}:${name}:20` }
}

const requests =
  (op: "sub" | "unsub") => (topics: ReadonlyArray<Topic>, stamp: ExchangeAdapter.Stamp): ReadonlyArray<Request> =>
    topics.map((wanted) => ({ frame: JSON.stringify({ op, topic: wanted.key }), id: stamp.nextId(), topics: [wanted] }))

// ---- frames ---------------------------------------------------------------------------------------------------------

const Level = Schema.Struct({ price: Schema.String, quantity: Schema.String })
const Side = Schema.Array(Level)
const Book = Schema.Struct({ version: Schema.Int, bids: Side, asks: Side, time: Schema.Finite })
const Delta = Schema.Struct({ ...Book.fields, firstVersion: Schema.Int })
const Ticker = Schema.Struct({
  version: Schema.Int,
  bid: Schema.NullOr(Level),
  ask: Schema.NullOr(Level),
  time: Schema.Finite
})

const Message = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["ack", "reject"]), topic: Schema.String }),
  Schema.Struct({ type: Schema.Literals(["pong", "error", "upgrade"]) }),
  Schema.Struct({ type: Schema.Literal("snapshot"), topic: Schema.String, book: Book }),
  Schema.Struct({ type: Schema.Literal("delta"), topic: Schema.String, delta: Delta }),
  Schema.Struct({ type: Schema.Literal("ticker"), topic: Schema.String, ticker: Ticker })
])
type Message = typeof Message.Type

/** A toy may decode with a schema. An adapter that is used reads the bytes itself: see the ones in `src/exchanges`. */
const decodeMessage = Schema.decodeUnknownOption(Schema.fromJsonString(Message))

const levels = (side: typeof Side.Type): Levels =>
  side.flatMap(({ price, quantity }) => [Numeric.fromText(price), Numeric.fromText(quantity)])

const bookUpdate = (
  where: Topic,
  kind: BookUpdate["kind"],
  book: typeof Delta.Type,
  receivedAt: number
): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair: where.pair,
  symbol: where.symbol,
  bids: levels(book.bids),
  asks: levels(book.asks),
  firstVersion: book.firstVersion,
  version: book.version,
  exchangeTime: book.time,
  receivedAt,
  contractSize: 1,
  exact: null
})

const numberOf = (text: string | undefined): number | null => text === undefined ? null : Numeric.fromText(text)

const makeCodec = ({ topicOf }: CodecContext): Codec => {
  const decoder = new TextDecoder()
  const topics = new Map<string, Topic>()

  const known = (key: string): Topic => {
    const found = topics.get(key)
    if (found !== undefined) return found
    const [kind = "", name = ""] = key.split(":")
    const made = topicOf(key, kind === "depth" ? "Book" : "BookTicker", name)
    topics.set(key, made)
    return made
  }

  const data = (message: Extract<Message, { readonly topic: string }>, receivedAt: number, sink: Sink): void => {
    const where = known(message.topic)
    if (message.type === "snapshot") {
      const book = { ...message.book, firstVersion: message.book.version }
      sink.event(where, bookUpdate(where, "snapshot", book, receivedAt))
    } else if (message.type === "delta") {
      sink.event(where, bookUpdate(where, "delta", message.delta, receivedAt))
    } else if (message.type === "ticker") {
      const { ask, bid, time, version } = message.ticker
      sink.event(where, {
        _tag: "BookTicker",
        pair: where.pair,
        symbol: where.symbol,
        bidPrice: numberOf(bid?.price),
        bidQuantity: numberOf(bid?.quantity),
        askPrice: numberOf(ask?.price),
        askQuantity: numberOf(ask?.quantity),
        version,
        exchangeTime: time,
        receivedAt,
        contractSize: 1,
        exact: null
      })
    }
  }

  const control = (message: Message, sink: Sink): boolean => {
    switch (message.type) {
      case "ack":
        sink.acknowledged({ action: "unknown", requestId: null, topics: [message.topic] })
        return true
      case "reject":
        sink.rejected(
          { action: "subscribe", requestId: null, topics: [message.topic] },
          { code: "reject", detail: "there is no such topic", class: "item" }
        )
        return true
      case "pong":
        sink.pong()
        return true
      case "upgrade":
        sink.closing("the exchange is about to close the connection")
        return true
      case "error":
        sink.ignored("the exchange did not understand a request")
        return true
      default:
        return false
    }
  }

  return {
    decode: (frame, receivedAt, sink) => {
      const message = decodeMessage(decoder.decode(frame))
      if (message._tag === "None") sink.failed("no message of this exchange")
      else if (!control(message.value, sink)) data(message.value as never, receivedAt, sink)
    }
  }
}

/** A delta begins where the last update ended. A pushed snapshot replaces the book any time. */
const follows: BookRecipe["follows"] = (lastVersion, update) => {
  if (Sequence.equals(update.firstVersion, Sequence.next(lastVersion))) return "apply"
  return update.version <= lastVersion ? "stale" : "gap"
}

// ---- REST -----------------------------------------------------------------------------------------------------------

const Pairs = Schema.Array(Schema.Struct({
  base: Schema.String,
  quote: Schema.String,
  priceDecimals: Schema.Int,
  quantityDecimals: Schema.Int
}))

const instrumentOf = ({ base, quote, priceDecimals, quantityDecimals }: typeof Pairs.Type[number]): Instrument => ({
  exchange: id,
  pair: pairOf(base, quote),
  symbol: `${base}_${quote}`,
  kind: "spot",
  base,
  quote,
  settle: null,
  status: "trading",
  priceStep: Number(`1e-${priceDecimals}`),
  quantityStep: Number(`1e-${quantityDecimals}`),
  minQuantity: null,
  minNotional: null,
  contractSize: 1
})

const makeRest = ({ client, url }: RestOptions): Rest => {
  const get = <A, I>(schema: Schema.Codec<A, I>, path: string): Effect.Effect<A, ExchangeError.ExchangeError> =>
    client.get(url + path).pipe(
      Effect.flatMap((response) => response.text),
      Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(schema))),
      Effect.mapError((error) =>
        ExchangeError.make(id, new ExchangeError.DecodeFailed({ detail: `GET ${path}: ${error.message}` }))
      )
    )
  return {
    instruments: Effect.map(get(Pairs, "/pairs"), (pairs) => pairs.map(instrumentOf)),
    serverTime: Effect.map(get(Schema.Struct({ time: Schema.Finite }), "/time"), ({ time }) => time),
    // Never asked for: the recipe says that snapshots come in the stream. It still tells the truth.
    book: (name) =>
      Effect.gen(function*() {
        const [base = "", quote = ""] = name.split("_")
        const book = yield* get(Book, `/book?pair=${encodeURIComponent(pairOf(base, quote))}&limit=1000`)
        const where: Topic = {
          key: "",
          channel: "Book",
          symbol: name,
          pair: pairOf(base, quote),
          contractSize: 1,
          slot: null
        }
        return bookUpdate(where, "snapshot", { ...book, firstVersion: book.version }, yield* Clock.currentTimeMillis)
      })
  }
}

// ---- the adapter ----------------------------------------------------------------------------------------------------

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
  symbol,
  topic,
  subscribe: requests("sub"),
  listRefusal: "each",
  unsubscribe: requests("unsub"),
  makeCodec,
  book: () => ({ snapshot: "InStream", joins: follows, follows }),
  heartbeat: { interval: "5 seconds", timeout: "2 seconds", ping: () => "{\"op\":\"ping\"}" },
  silence: { BookTicker: "5 seconds", Trades: null, Book: "60 seconds" },
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
