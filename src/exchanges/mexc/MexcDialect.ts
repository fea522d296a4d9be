/**
 * MEXC spot v3, the server's half: protobuf pushes, JSON control frames and the public REST calls, read from the MEXC
 * documents "Websocket Market Streams" and "Market Data Endpoints" (2025-02 to 2026-04), the official `.proto` files
 * (2026-06-17) and published measurements of autumn 2026. What none of them settles is marked "unconfirmed". Frames and
 * REST calls have their own files.
 *
 * Served: `aggre.bookTicker`, `aggre.deals` and `aggre.depth` at 10 and 100 ms, `bookTicker.batch`, `limit.depth`,
 * `kline`, `miniTicker` and `miniTickers`, and to a connection with a listen key the private channels. Every other channel
 * is refused as MEXC refuses an unknown one. Topics are the full channel texts.
 */
import { createHash } from "node:crypto"
import type {
  About,
  DialectConnection,
  DialectOptions,
  ExchangeDialect,
  Peer,
  World,
  WorldInterval,
  WorldMarket,
  WorldTicker
} from "../../ExchangeDialect.ts"
import { jsonObject, quotas, repeating, textList, watchdog, windowOf } from "../../ExchangeDialect.ts"
import * as Frames from "./MexcFramesDialect.ts"
import type { MiniTicker } from "./MexcFramesDialect.ts"
import { privateAccess } from "./MexcPrivateDialect.ts"
import { marketsOf, onHttp, rateOf, symbolOf } from "./MexcRestDialect.ts"

// ---- streams --------------------------------------------------------------------------------------------------------

type Push = (frame: Uint8Array, events: number) => void

/** Starts a stream and returns how to stop it. */
type Open = (world: World, peer: Peer, push: Push) => () => void

type Markets = ReadonlyMap<string, WorldMarket>

/** What the parts of a topic behind its channel ask for; null for what there is not. */
type Channel = (topic: string, parts: ReadonlyArray<string>, markets: Markets) => Open | null

const speeds: ReadonlyMap<string, number> = new Map([["10ms", 10], ["100ms", 100]])

type Aggregated = (market: WorldMarket, everyMillis: number, topic: string, eventType: string) => Open

/** `spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT`; symbols are upper case, a lower-case one is unknown. */
const aggregated = (open: Aggregated): Channel => (topic, [speed = "", symbol = "", ...rest], markets) => {
  const everyMillis = speeds.get(speed)
  const market = markets.get(symbol)
  if (everyMillis === undefined || market === undefined || rest.length > 0) return null
  return open(market, everyMillis, topic, topic.slice(0, topic.lastIndexOf("@")))
}

/** Measured at 10 ms: the unchanged best bid and ask is sent again every interval. */
const bookTicker: Aggregated = (market, everyMillis, topic) => (world, _peer, push) => {
  const envelope = Frames.envelope(topic, symbolOf(market))
  return world.watch({
    _tag: "Ticker",
    pair: market.pair,
    everyMillis,
    repeat: true,
    listener: (ticker) => push(Frames.bookTickerFrame(envelope, world.now(), ticker), 1)
  }).stop
}

const deals: Aggregated = (market, everyMillis, topic, eventType) => (world, _peer, push) => {
  const envelope = Frames.envelope(topic, symbolOf(market))
  return world.watch({
    _tag: "Trades",
    pair: market.pair,
    everyMillis,
    listener: (trades) => push(Frames.dealsFrame(envelope, world.now(), trades, eventType), trades.length)
  }).stop
}

const depth: Aggregated = (market, everyMillis, topic, eventType) => (world, _peer, push) => {
  const envelope = Frames.envelope(topic, symbolOf(market))
  return world.watch({
    _tag: "Depth",
    pair: market.pair,
    everyMillis,
    listener: (delta) => push(Frames.depthFrame(envelope, world.now(), delta, eventType), 1)
  }).stop
}

/** `spot@public.limit.depth.v3.api.pb@BTCUSDT@5`: the best levels, how often is unconfirmed. */
const limitDepth: Channel = (topic, [symbol = "", levels = "", ...rest], markets) => {
  const market = markets.get(symbol)
  if (market === undefined || !["5", "10", "20"].includes(levels) || rest.length > 0) return null
  const envelope = Frames.envelope(topic, symbol)
  const eventType = "spot@public.limit.depth.v3.api.pb"
  return (world, _peer, push) =>
    world.watch({
      _tag: "Book",
      pair: market.pair,
      everyMillis: 100,
      levels: Number(levels),
      listener: (book) => push(Frames.limitDepthFrame(envelope, world.now(), book, eventType), 1)
    }).stop
}

/** Most tickers of a batch, the newest ones. */
const batchLimit = 16

/** `spot@public.bookTicker.batch.v3.api.pb@BTCUSDT`: on change, how often and of how many is unconfirmed; newest last. */
const batch: Channel = (topic, [symbol = "", ...rest], markets) => {
  const market = markets.get(symbol)
  if (market === undefined || rest.length > 0) return null
  const envelope = Frames.envelope(topic, symbol)
  return (world, _peer, push) => {
    let waiting: ReadonlyArray<WorldTicker> = []
    let sent = 0
    const wait = (ticker: WorldTicker): void => {
      if (ticker.version > (waiting.at(-1)?.version ?? sent)) waiting = [...waiting.slice(1 - batchLimit), ticker]
    }
    const send = (ticker: WorldTicker): void => {
      wait(ticker)
      sent = ticker.version
      if (waiting.length > 0) push(Frames.batchFrame(envelope, world.now(), waiting), waiting.length)
      waiting = []
    }
    const { pair } = market
    const watches = [
      world.watch({ _tag: "Ticker", pair, everyMillis: 0, listener: wait }),
      world.watch({ _tag: "Ticker", pair, everyMillis: 100, listener: send })
    ]
    return () => {
      for (const { stop } of watches) stop()
    }
  }
}

const minute = 60_000
const hour = 60 * minute

const intervals: ReadonlyMap<string, WorldInterval> = new Map<string, WorldInterval>([
  ["Min1", minute],
  ["Min5", 5 * minute],
  ["Min15", 15 * minute],
  ["Min30", 30 * minute],
  ["Min60", hour],
  ["Hour4", 4 * hour],
  ["Hour8", 8 * hour],
  ["Day1", 24 * hour],
  ["Week1", "week"],
  ["Month1", "month"]
])

/** 32 hexadecimal digits, the same for a symbol at any time. */
const symbolIdOf = (symbol: string): string => createHash("md5").update(symbol).digest("hex")

/** `spot@public.kline.v3.api.pb@BTCUSDT@Min1`, every second. Whether a finished window comes once more is unconfirmed. */
const kline: Channel = (topic, [symbol = "", name = "", ...rest], markets) => {
  const market = markets.get(symbol)
  const interval = intervals.get(name)
  if (market === undefined || interval === undefined || rest.length > 0) return null
  const envelope = Frames.klineEnvelope(topic, symbol, symbolIdOf(symbol))
  return (world, _peer, push) =>
    world.watch({
      _tag: "Kline",
      pair: market.pair,
      everyMillis: 1_000,
      interval,
      price: "last",
      listener: (kline) => push(Frames.klineFrame(envelope, world.now(), kline, name), 1)
    }).stop
}

const zonePattern = /^UTC([+-])(\d{1,2})(?::(\d{2}))?$/u

const zones: ReadonlySet<string> = new Set([
  "24H",
  ..."-10 -8 -7 -6 -5 -4 -3 +0 +1 +2 +3 +4 +4:30 +5 +5:30 +6 +7 +8 +9 +10 +11 +12 +12:45 +13".split(" ")
    .map((offset) => `UTC${offset}`)
])

/** When the day of a zone began (ms); undefined for the last 24 hours. */
const beginningOf = (zone: string, now: number): number | undefined => {
  const [, sign, hours = "0", minutes = "0"] = zonePattern.exec(zone) ?? []
  if (sign === undefined) return undefined
  const offset = (Number(hours) * hour + Number(minutes) * minute) * (sign === "-" ? -1 : 1)
  return windowOf(24 * hour, now + offset).openTime - offset
}

/** High, low and volumes are of the last 24 hours, whatever the zone: only the rates have one (unconfirmed). */
const miniTickerOf = (market: WorldMarket, zone: string, now: number): MiniTicker => {
  const { baseVolume, high, last, low, quoteVolume } = market.statistics()
  return {
    symbol: symbolOf(market),
    price: last,
    rate: rateOf(market, beginningOf("UTC+8", now)),
    zonedRate: rateOf(market, beginningOf(zone, now)),
    high,
    low,
    volume: quoteVolume,
    quantity: baseVolume
  }
}

const miniTickerMillis = 3_000

/** `spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+8`, every 3 s. */
const miniTicker: Channel = (topic, [symbol = "", zone = "", ...rest], markets) => {
  const market = markets.get(symbol)
  if (market === undefined || !zones.has(zone) || rest.length > 0) return null
  const envelope = Frames.envelope(topic, symbol)
  return (world, _peer, push) =>
    world.watch({
      _tag: "Statistics",
      pair: market.pair,
      everyMillis: miniTickerMillis,
      listener: () => push(Frames.miniTickerFrame(envelope, world.now(), miniTickerOf(market, zone, world.now())), 1)
    }).stop
}

/** `spot@public.miniTickers.v3.api.pb@UTC+8`: every symbol in one frame, every 3 s. */
const miniTickers: Channel = (topic, [zone = "", ...rest], markets) => {
  if (!zones.has(zone) || rest.length > 0) return null
  const envelope = Frames.envelope(topic)
  return (world, peer, push) =>
    repeating(peer, miniTickerMillis, () => {
      const tickers = [...markets.values()].map((market) => miniTickerOf(market, zone, world.now()))
      push(Frames.miniTickersFrame(envelope, world.now(), tickers), tickers.length)
    })
}

const channels: ReadonlyMap<string, Channel> = new Map([
  ["spot@public.aggre.bookTicker.v3.api.pb", aggregated(bookTicker)],
  ["spot@public.aggre.deals.v3.api.pb", aggregated(deals)],
  ["spot@public.aggre.depth.v3.api.pb", aggregated(depth)],
  ["spot@public.bookTicker.batch.v3.api.pb", batch],
  ["spot@public.limit.depth.v3.api.pb", limitDepth],
  ["spot@public.kline.v3.api.pb", kline],
  ["spot@public.miniTicker.v3.api.pb", miniTicker],
  ["spot@public.miniTickers.v3.api.pb", miniTickers]
])

const openOf = (topic: string, markets: Markets): Open | null => {
  const [area = "", channel = "", ...parts] = topic.split("@")
  return channels.get(`${area}@${channel}`)?.(topic, parts, markets) ?? null
}

// ---- the connection -------------------------------------------------------------------------------------------------

const maxTopics = 30
const maxMessagesPerSecond = 100
const unsubscribedMillis = 30_000
const silentMillis = 60_000
const lifeMillis = 24 * 3_600_000

/** Every known control frame has this shape and code 0, refusals too; only `msg` tells. */
const control = (id: number, code: number, msg: string): string => JSON.stringify({ id, code, msg })

/** Two spaces before `Reason`, a full-width colon, a space at the end: the wire's exact text. `Blocked!` is the only reason. */
const refusal = (refused: ReadonlyArray<string>): string =>
  `Not Subscribed successfully! [${refused.join(",")}].  Reason： Blocked! `

/**
 * The answer to a subscription. Accepted topics come in no promised order (here: reversed), and now and then in the
 * long form with nothing refused, which means success as well.
 */
const subscriptionText = (accepted: ReadonlyArray<string>, refused: ReadonlyArray<string>, long: boolean): string => {
  const list = accepted.toReversed().join(",")
  if (refused.length > 0) {
    return accepted.length > 0 ? `Subscribed successful! [${list}]. ${refusal(refused)}` : refusal(refused)
  }
  return long ? `Subscribed successful! [${list}]. Not Subscribed successfully! [].` : list
}

/** `id` is an optional unsigned integer; an answer without one has 0. */
const idOf = (id: unknown): number => typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? id : 0

const ack: About = { _tag: "Control", kind: "ack" }
const reject: About = { _tag: "Control", kind: "reject" }
const pong: About = { _tag: "Control", kind: "pong" }
const error: About = { _tag: "Control", kind: "error" }

/** Of a key that is not valid, as ccxt 4.5.84 knows it; that the connection ends then is unconfirmed. */
const refuseKey = (peer: Peer): DialectConnection => {
  peer.after(0, () => {
    peer.send("Invalid listen key", error)
    peer.close(1000, "")
  })
  return { onFrame: () => {}, onClose: () => {}, topics: () => new Set() }
}

const connect = (world: World, peer: Peer, options: DialectOptions): DialectConnection => {
  const access = privateAccess(world, peer)
  if (access === undefined) return refuseKey(peer)
  const isDeaf = (): boolean => access !== null && !access.isValid()
  const limited = options.limits === "real"
  const markets = marketsOf(world)
  const streams = new Map<string, () => void>()
  const spend = quotas(maxMessagesPerSecond, 1_000)
  let closed = false
  let emptySince = world.now()
  let lastFlow = world.now()
  let plainAcks = 0

  const onClose = (): void => {
    if (!closed) access?.leave()
    closed = true
    for (const stop of streams.values()) stop()
    streams.clear()
  }
  const end = (code: number): void => {
    onClose()
    peer.close(code, "")
  }
  const pushTo = (topic: string): Push => (frame, events) => {
    if (isDeaf()) return
    lastFlow = world.now()
    peer.send(frame, { _tag: "Data", topic, events })
  }

  // Measured: the silent connection is dropped without a close frame. How the others are closed is unconfirmed.
  const rearm = limited
    ? watchdog(
      peer,
      world.now,
      () => (streams.size === 0 ? emptySince + unsubscribedMillis : lastFlow + silentMillis),
      () => end(streams.size === 0 ? 1000 : 1006)
    )
    : () => {}
  if (limited) peer.after(lifeMillis, () => end(1000))

  const accepts = (topic: string): boolean => {
    if (streams.has(topic)) return true
    const open = openOf(topic, markets) ?? access?.open(topic) ?? null
    if (open === null || world.refuses(topic) !== null) return false
    if (limited && streams.size >= maxTopics) return false
    streams.set(topic, open(world, peer, pushTo(topic)))
    return true
  }

  const subscribe = (id: number, topics: ReadonlyArray<string>): void => {
    const accepted: Array<string> = []
    const refused: Array<string> = []
    for (const topic of topics) (accepts(topic) ? accepted : refused).push(topic)
    if (accepted.length > 0) lastFlow = world.now()
    const long = refused.length === 0 && ++plainAcks % 4 === 0
    peer.send(control(id, 0, subscriptionText(accepted, refused, long)), refused.length === 0 ? ack : reject)
  }

  const unsubscribe = (id: number, topics: ReadonlyArray<string>): void => {
    for (const topic of topics) {
      streams.get(topic)?.()
      streams.delete(topic)
    }
    if (streams.size === 0) emptySince = world.now()
    rearm()
    peer.send(control(id, 0, topics.join(",")), ack)
  }

  const answer = (id: number, method: unknown, topics: ReadonlyArray<string> | null): void => {
    switch (method) {
      // Lower case works too; ccxt sends it.
      case "PING":
      case "ping":
        lastFlow = world.now()
        return peer.send(control(0, 0, "PONG"), pong)
      case "PONG":
        return
      case "SUBSCRIPTION":
        if (topics !== null) return subscribe(id, topics)
        break
      case "UNSUBSCRIPTION":
        if (topics !== null) return unsubscribe(id, topics)
        break
    }
    // What MEXC answers to a message that is no request is unconfirmed. The frame's shape is known and the code is the
    // documented one for a bad parameter, so that a client's mistake shows.
    peer.send(control(id, 33333, "Param error"), error)
  }

  return {
    onFrame: (frame) => {
      // Expiry is not announced: clients report that nothing is answered any more (ccxt issue 26772).
      if (closed || isDeaf()) return
      if (limited && !spend("", world.now(), 1).allowed) return end(1006)
      const request = jsonObject(frame)
      answer(idOf(request?.["id"]), request?.["method"], textList(request?.["params"]))
    },
    onClose,
    topics: () => new Set(streams.keys()),
    notify: (kind) => {
      if (kind !== "expireKeys" || access === null) return false
      access.expire()
      return true
    }
  }
}

/** MEXC spot, as its server behaves. */
export const mexcSpotDialect: ExchangeDialect = {
  id: "mexc-spot",
  kind: "spot",
  fees: { maker: "0.0005", taker: "0.0005" },
  websocketPath: "/ws",
  restPath: "",
  connect,
  onHttp
}
