/**
 * A made-up exchange, as small as a dialect can be. Topics: `depth:BTC_USDT:10`, `depth5:BTC_USDT:100` (a window of 5),
 * `ticker:…`, `tickers:…` (repeats), `trades:…`; the last part is the interval in ms. `account:KEY` tells everything of an
 * account, and the operation `buy` with `KEY PRICE QUANTITY CLIENT_ID` places an order.
 */
import type { WorldAccountEvent, WorldOrder, WorldRefusal } from "../../src/AccountWorld.ts"
import { pairOf } from "../../src/domain/Instrument.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type {
  About,
  DialectConnection,
  DialectRequest,
  DialectResponse,
  ExchangeDialect,
  Peer,
  Watch,
  World,
  WorldBook,
  WorldDelta,
  WorldTicker,
  WorldTrade
} from "../../src/ExchangeDialect.ts"
import { jsonObject } from "../../src/ExchangeDialect.ts"

/** What the server sends. */
export type ToyMessage =
  | { readonly type: "ack" | "reject"; readonly topic: string }
  | { readonly type: "pong" | "error" | "upgrade" | "expireKeys" | "late" }
  | { readonly type: "account"; readonly topic: string; readonly event: WorldAccountEvent }
  | { readonly type: "result"; readonly result: WorldOrder | WorldRefusal }
  | { readonly type: "snapshot"; readonly topic: string; readonly book: WorldBook }
  | { readonly type: "delta"; readonly topic: string; readonly delta: WorldDelta }
  | { readonly type: "ticker"; readonly topic: string; readonly ticker: WorldTicker; readonly at: number }
  | { readonly type: "trades"; readonly topic: string; readonly trades: ReadonlyArray<WorldTrade> }

interface Stream {
  readonly kind: string
  readonly window: number | undefined
  readonly pair: TradingPair
  readonly everyMillis: number
}

const parse = (topic: string): Stream | null => {
  const [, kind, window, base, quote, every] = /^(depth|tickers?|trades)(\d+)?:([^_]+)_([^:]+):(\d+)$/u.exec(topic) ??
    []
  return kind === undefined
    ? null
    : {
      kind,
      window: window === undefined ? undefined : Number(window),
      pair: pairOf(base!, quote!),
      everyMillis: Number(every)
    }
}

const accountTopic = "account:"

/** `KEY PRICE QUANTITY CLIENT_ID`, a limit order for the first market. */
const buy = (world: World, text: string): WorldOrder | WorldRefusal => {
  const [key = "", price = "", quantity = "", client = ""] = text.split(" ")
  const [pair] = world.markets.keys()
  const found = world.accounts.find(key)
  if (found === null || !found.key.permissions.has("trade")) return "unknownOrder"
  return found.account.place({
    pair: pair!,
    side: "buy",
    type: "limit",
    timeInForce: "gtc",
    price,
    quantity,
    quoteQuantity: null,
    clientOrderId: client === "" ? null : client,
    reduceOnly: false,
    trigger: null
  })
}

const data = (topic: string, events: number): About => ({ _tag: "Data", topic, events })
const control = (kind: Extract<About, { readonly _tag: "Control" }>["kind"]): About => ({ _tag: "Control", kind })

const watchOf = (
  { kind, window, pair, everyMillis }: Stream,
  topic: string,
  world: World,
  send: (message: ToyMessage, events: number) => void
): Watch => {
  switch (kind) {
    case "depth":
      return { _tag: "Depth", pair, everyMillis, window, listener: (delta) => send({ type: "delta", topic, delta }, 1) }
    case "trades":
      return {
        _tag: "Trades",
        pair,
        everyMillis,
        listener: (trades) => send({ type: "trades", topic, trades }, trades.length)
      }
    default:
      return {
        _tag: "Ticker",
        pair,
        everyMillis,
        repeat: kind === "tickers",
        listener: (ticker) => send({ type: "ticker", topic, ticker, at: world.now() }, 1)
      }
  }
}

/** A binary copy of every message when asked for, so that both kinds of frames are met. */
const connectAs = (binary: boolean) => (world: World, peer: Peer): DialectConnection => {
  const streams = new Map<string, () => void>()
  const encode = (
    message: ToyMessage
  ) => (binary ? new TextEncoder().encode(JSON.stringify(message)) : JSON.stringify(message))
  const say = (message: ToyMessage, about: About) => peer.send(encode(message), about)

  const follow = (topic: string): void => {
    const found = world.accounts.find(topic.slice(accountTopic.length))
    if (found === null || !found.key.permissions.has("read")) return say({ type: "reject", topic }, control("reject"))
    streams.set(
      topic,
      found.account.watch((event) => {
        if (event._tag === "PositionClose") throw new Error("a defect of the dialect")
        say({ type: "account", topic, event }, data(topic, 1))
      })
    )
    say({ type: "ack", topic }, control("ack"))
  }

  const subscribe = (topic: string): void => {
    if (topic.startsWith(accountTopic)) return follow(topic)
    const stream = parse(topic)
    if (stream === null || !world.markets.has(stream.pair) || world.refuses(topic) !== null) {
      return say({ type: "reject", topic }, control("reject"))
    }
    const { book, stop } = world.watch(
      watchOf(stream, topic, world, (message, events) => say(message, data(topic, events)))
    )
    streams.set(topic, stop)
    say({ type: "ack", topic }, control("ack"))
    if (stream.kind === "depth") say({ type: "snapshot", topic, book }, data(topic, 1))
  }

  const unsubscribe = (topic: string): void => {
    streams.get(topic)?.()
    streams.delete(topic)
    say({ type: "ack", topic }, control("ack"))
  }

  const onRequest = (op: unknown, topic: string): void => {
    switch (op) {
      case "sub":
        return subscribe(topic)
      case "unsub":
        return unsubscribe(topic)
      case "ping":
        return say({ type: "pong" }, control("pong"))
      case "buy":
        return say({ type: "result", result: buy(world, topic) }, control("ack"))
      case "later":
        peer.after(Number(topic), () => say({ type: "late" }, control("notice")))
        return
      case "later-cancelled":
        return peer.after(Number(topic), () => say({ type: "late" }, control("notice")))()
      case "close":
        return peer.close(Number(topic), "asked for")
      case "throw":
        throw new Error("a defect of the dialect")
      case "quiet":
        return
      default:
        say({ type: "error" }, control("error"))
    }
  }

  return {
    onFrame: (frame) => {
      const request = jsonObject(typeof frame === "string" ? frame : new TextDecoder().decode(frame))
      onRequest(request?.["op"], String(request?.["topic"]))
    },
    onClose: () => streams.clear(),
    topics: () => new Set(streams.keys()),
    notify: (kind) => say({ type: kind }, control("notice"))
  }
}

const json = (status: number, body: unknown): DialectResponse => ({
  status,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body)
})

const book = ({ query }: DialectRequest, world: World): DialectResponse => {
  const market = world.markets.get((query.get("pair") ?? "") as TradingPair)
  return market === undefined ? json(400, { error: "pair" }) : json(200, market.book(Number(query.get("limit") ?? 5)))
}

const account = ({ query }: DialectRequest, world: World): DialectResponse => {
  const found = world.accounts.find(query.get("key") ?? "")
  if (found === null) return json(401, {})
  const { fills, order, orders } = found.account
  return json(200, [orders({ open: true }).length, order({ id: 1 }) === undefined ? 0 : 1, fills({}).length])
}

/** `GET /account?key=key1`, `GET /book?pair=BTC/USDT&limit=5`, `GET /pairs`, `GET /time`, `POST /echo`, and `GET /throw`. */
const onHttp = (request: DialectRequest, world: World): DialectResponse => {
  switch (`${request.method} ${request.path}`) {
    case "GET /book":
      return book(request, world)
    case "GET /pairs":
      return json(
        200,
        [...world.markets.values()].map(({ base, quote, priceDecimals, quantityDecimals }) => ({
          base,
          quote,
          priceDecimals,
          quantityDecimals
        }))
      )
    case "GET /time":
      return json(200, { time: world.now() })
    case "GET /account":
      return account(request, world)
    case "POST /orders":
      return json(200, buy(world, request.body))
    case "POST /echo":
      return json(200, { body: request.body, header: request.headers["x-toy"] ?? null })
    case "GET /empty":
      return { status: 204, headers: {}, body: "" }
    case "GET /throw":
      throw new Error("a defect of the dialect")
    default:
      return json(404, {})
  }
}

export const toy: ExchangeDialect = {
  id: "toy",
  kind: "spot",
  websocketPath: "/ws/v1/",
  restPath: "/api/v1",
  connect: connectAs(false),
  onHttp
}

/** The same exchange over binary frames, without a REST base and without the upgrade notice. */
export const binaryToy: ExchangeDialect = {
  id: "toy-binary",
  kind: "spot",
  websocketPath: "/ws",
  restPath: "",
  connect: (world, peer) => {
    const { notify: _, ...connection } = connectAs(true)(world, peer)
    return connection
  },
  onHttp
}
