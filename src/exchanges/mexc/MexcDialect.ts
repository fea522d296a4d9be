/**
 * MEXC spot v3, the server's half: protobuf pushes, JSON control frames and the public REST calls, read from the MEXC
 * documents "Websocket Market Streams" and "Market Data Endpoints" (2025-02 to 2026-04), the official `.proto` files
 * (2026-06-17) and published measurements of autumn 2026. What none of them settles is marked "unconfirmed".
 *
 * Served: `aggre.bookTicker`, `aggre.deals` and `aggre.depth` at 10 and 100 ms. Every other channel is refused as MEXC
 * refuses an unknown one. Topics are the full channel texts.
 */
import type {
  About,
  DialectConnection,
  DialectOptions,
  DialectRequest,
  DialectResponse,
  ExchangeDialect,
  Peer,
  World,
  WorldBook,
  WorldDelta,
  WorldLevel,
  WorldMarket,
  WorldTicker,
  WorldTrade
} from "../../ExchangeDialect.ts"
import { jsonObject, marketsBy, perWorld, quotas, textList, trimmed, watchdog } from "../../ExchangeDialect.ts"

// ---- frames: PushDataV3ApiWrapper, fields in the wire's order 1, 3, 6, body -----------------------------------------

const textEncoder = new TextEncoder()

// The body under construction, shared by all encoders: they are synchronous and copy it out at the end.
let scratch = new Uint8Array(4096)
let written = 0

const reserve = (size: number): void => {
  if (written + size <= scratch.length) return
  const grown = new Uint8Array(Math.max(scratch.length * 2, written + size))
  grown.set(scratch.subarray(0, written))
  scratch = grown
}

const putVarint = (target: Uint8Array, at: number, value: number): number => {
  let rest = value
  while (rest > 127) {
    target[at++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

const sizeOfVarint = (value: number): number => {
  let size = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++
  return size
}

/** proto3: a default value is not on the wire. Safe integers only. */
const writeInteger = (tag: number, value: number): void => {
  const whole = Math.floor(value)
  if (whole <= 0) return
  reserve(9)
  scratch[written++] = tag
  written = putVarint(scratch, written, whole)
}

/** Single-byte characters, never empty: decimals, ids, channel names without their symbol. */
const writeText = (tag: number, text: string): void => {
  reserve(text.length + 6)
  scratch[written++] = tag
  written = putVarint(scratch, written, text.length)
  for (let i = 0; i < text.length; i++) scratch[written++] = text.charCodeAt(i)
}

/** Begins a nested message behind one byte for its length; `finish` fills that in, and makes room when it needs more. */
const begin = (tag: number): number => {
  reserve(2)
  scratch[written++] = tag
  return written++
}

const finish = (mark: number): void => {
  const size = written - mark - 1
  const extra = sizeOfVarint(size) - 1
  if (extra > 0) {
    reserve(extra)
    scratch.copyWithin(mark + 1 + extra, mark + 1, written)
    written += extra
  }
  putVarint(scratch, mark, size)
}

// Pushed decimals come without padding zeros (`375.8`, `0`), unlike those of REST.

const writeLevel = (tag: number, level: WorldLevel): void => {
  const mark = begin(tag)
  writeText(0x0a, trimmed(level.price))
  writeText(0x12, trimmed(level.quantity))
  finish(mark)
}

/** PublicAggreBookTickerV3Api. A side without orders is absent. */
const writeTicker = (ticker: WorldTicker): void => {
  if (ticker.bid !== null) {
    writeText(0x0a, trimmed(ticker.bid.price))
    writeText(0x12, trimmed(ticker.bid.quantity))
  }
  if (ticker.ask !== null) {
    writeText(0x1a, trimmed(ticker.ask.price))
    writeText(0x22, trimmed(ticker.ask.quantity))
  }
  writeText(0x2a, String(ticker.version))
  writeInteger(0x30, ticker.time)
}

/**
 * PublicAggreDealsV3Api. The live `tradeId` joins two ids, `730292425431437318X0_730292425431437319X0`; ours repeats
 * the trade's own.
 */
const writeDeals = (trades: ReadonlyArray<WorldTrade>, eventType: string): void => {
  for (const trade of trades) {
    const mark = begin(0x0a)
    writeText(0x0a, trimmed(trade.price))
    writeText(0x12, trimmed(trade.quantity))
    writeInteger(0x18, trade.side === "buy" ? 1 : 2)
    writeInteger(0x20, trade.time)
    writeText(0x2a, `${trade.id}X0_${trade.id}X0`)
    finish(mark)
  }
  writeText(0x12, eventType)
}

/** PublicAggreDepthsV3Api. */
const writeDepth = (delta: WorldDelta, eventType: string): void => {
  for (const level of delta.asks) writeLevel(0x0a, level)
  for (const level of delta.bids) writeLevel(0x12, level)
  writeText(0x1a, eventType)
  writeText(0x22, String(delta.firstVersion))
  writeText(0x2a, String(delta.version))
  writeInteger(0x30, delta.time)
}

/** Wraps the finished body; `head` holds the fields 1 and 3. The frame is the receiver's to keep. */
const wrap = (head: Uint8Array, sendTime: number, bodyTag: number): Uint8Array => {
  const sent = Math.floor(sendTime)
  const size = head.length + (sent > 0 ? 1 + sizeOfVarint(sent) : 0) + 2 + sizeOfVarint(written) + written
  const frame = new Uint8Array(size)
  frame.set(head)
  let at = head.length
  if (sent > 0) {
    frame[at++] = 0x30
    at = putVarint(frame, at, sent)
  }
  frame[at++] = bodyTag
  frame[at++] = 0x13
  at = putVarint(frame, at, written)
  frame.set(scratch.subarray(0, written), at)
  return frame
}

/** Fields 1 (channel) and 3 (symbol); names may be non-ASCII. */
const headOf = (topic: string, symbol: string): Uint8Array => {
  const channelBytes = textEncoder.encode(topic)
  const symbolBytes = textEncoder.encode(symbol)
  const head = new Uint8Array(
    2 + sizeOfVarint(channelBytes.length) + channelBytes.length + sizeOfVarint(symbolBytes.length) + symbolBytes.length
  )
  head[0] = 0x0a
  let at = putVarint(head, 1, channelBytes.length)
  head.set(channelBytes, at)
  at += channelBytes.length
  head[at++] = 0x1a
  at = putVarint(head, at, symbolBytes.length)
  head.set(symbolBytes, at)
  return head
}

// ---- streams --------------------------------------------------------------------------------------------------------

const symbolOf = (market: WorldMarket): string => market.base + market.quote

const marketsOf = marketsBy(symbolOf)

interface Stream {
  readonly topic: string
  /** The topic without its symbol. */
  readonly eventType: string
  readonly kind: StreamKind
  readonly everyMillis: number
  readonly market: WorldMarket
}

type StreamKind = "bookTicker" | "deals" | "depth"

const streamKinds: ReadonlyMap<string, StreamKind> = new Map([
  ["spot@public.aggre.bookTicker.v3.api.pb", "bookTicker"],
  ["spot@public.aggre.deals.v3.api.pb", "deals"],
  ["spot@public.aggre.depth.v3.api.pb", "depth"]
])

const intervals: ReadonlyMap<string, number> = new Map([["10ms", 10], ["100ms", 100]])

/** `spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT`; symbols are upper case, a lower-case one is unknown. */
const parseTopic = (topic: string, markets: ReadonlyMap<string, WorldMarket>): Stream | null => {
  const [area = "", channel = "", interval = "", symbol = "", ...rest] = topic.split("@")
  const kind = streamKinds.get(`${area}@${channel}`)
  const everyMillis = intervals.get(interval)
  const market = markets.get(symbol)
  if (kind === undefined || everyMillis === undefined || market === undefined || rest.length > 0) return null
  return { topic, eventType: `${area}@${channel}@${interval}`, kind, everyMillis, market }
}

type Push = (frame: Uint8Array, events: number) => void

/** Starts a stream and returns how to stop it. */
const start = (world: World, stream: Stream, push: Push): () => void => {
  const { eventType, everyMillis, market: { pair } } = stream
  const head = headOf(stream.topic, symbolOf(stream.market))
  switch (stream.kind) {
    case "bookTicker": {
      // Measured at 10 ms: the unchanged best bid and ask is sent again every interval.
      const listener = (ticker: WorldTicker): void => {
        written = 0
        writeTicker(ticker)
        push(wrap(head, world.now(), 0xda), 1)
      }
      return world.watch({ _tag: "Ticker", pair, everyMillis, repeat: true, listener }).stop
    }
    case "deals": {
      const listener = (trades: ReadonlyArray<WorldTrade>): void => {
        written = 0
        writeDeals(trades, eventType)
        push(wrap(head, world.now(), 0xd2), trades.length)
      }
      return world.watch({ _tag: "Trades", pair, everyMillis, listener }).stop
    }
    case "depth": {
      const listener = (delta: WorldDelta): void => {
        written = 0
        writeDepth(delta, eventType)
        push(wrap(head, world.now(), 0xca), 1)
      }
      return world.watch({ _tag: "Depth", pair, everyMillis, listener }).stop
    }
  }
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

const connect = (world: World, peer: Peer, options: DialectOptions): DialectConnection => {
  const limited = options.limits === "real"
  const markets = marketsOf(world)
  const streams = new Map<string, () => void>()
  const spend = quotas(maxMessagesPerSecond, 1_000)
  let closed = false
  let emptySince = world.now()
  let lastFlow = world.now()
  let plainAcks = 0

  const onClose = (): void => {
    closed = true
    for (const stop of streams.values()) stop()
    streams.clear()
  }
  const end = (code: number): void => {
    onClose()
    peer.close(code, "")
  }
  const pushTo = (topic: string): Push => (frame, events) => {
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
    const stream = parseTopic(topic, markets)
    if (stream === null || world.refuses(topic) !== null) return false
    if (limited && streams.size >= maxTopics) return false
    streams.set(topic, start(world, stream, pushTo(topic)))
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
      if (closed) return
      if (limited && !spend("", world.now(), 1).allowed) return end(1006)
      const request = jsonObject(frame)
      answer(idOf(request?.["id"]), request?.["method"], textList(request?.["params"]))
    },
    onClose,
    topics: () => new Set(streams.keys())
  }
}

// ---- REST -----------------------------------------------------------------------------------------------------------

const json = (status: number, body: unknown, headers?: Readonly<Record<string, string>>): DialectResponse => ({
  status,
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(body)
})

const failure = (
  status: number,
  code: number,
  msg: string,
  headers?: Readonly<Record<string, string>>
): DialectResponse => json(status, { code, msg, _extend: null }, headers)

const unknownSymbol = (): DialectResponse => failure(400, -1121, "Invalid symbol.")

const badParameter = (name: string): DialectResponse =>
  failure(400, 700004, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`)

/** Measured: never more, whatever `limit` asks (documents: 5000). */
const maxDepth = 2_000

/** REST decimals are padded to the market's decimals. */
const padded = (text: string, decimals: number): string => {
  const dot = text.indexOf(".")
  const missing = decimals - (dot < 0 ? 0 : text.length - dot - 1)
  return missing <= 0 ? text : `${text}${dot < 0 ? "." : ""}${"0".repeat(missing)}`
}

const depthBody = (market: WorldMarket, book: WorldBook): unknown => {
  const level = ({ price, quantity }: WorldLevel): readonly [string, string] => [
    padded(price, market.priceDecimals),
    padded(quantity, market.quantityDecimals)
  ]
  // `timestamp` is undocumented but sent; its meaning is unconfirmed.
  return {
    lastUpdateId: book.version,
    bids: book.bids.map(level),
    asks: book.asks.map(level),
    timestamp: Math.floor(book.time)
  }
}

const depth = (request: DialectRequest, world: World): DialectResponse => {
  const symbol = request.query.get("symbol") ?? ""
  const limit = request.query.get("limit") ?? "100"
  if (symbol === "") return badParameter("symbol")
  if (!/^[1-9]\d{0,5}$/.test(limit)) return badParameter("limit")
  const market = marketsOf(world).get(symbol)
  return market === undefined
    ? unknownSymbol()
    : json(200, depthBody(market, market.book(Math.min(Number(limit), maxDepth))))
}

/** As in a live answer; `quoteAmountPrecision` is the minimum value in quote, `baseSizePrecision` the minimum quantity. */
const instrument = (market: WorldMarket): unknown => ({
  symbol: symbolOf(market),
  status: "1",
  baseAsset: market.base,
  baseAssetPrecision: market.quantityDecimals,
  quoteAsset: market.quote,
  quotePrecision: market.priceDecimals,
  quoteAssetPrecision: market.priceDecimals,
  baseCommissionPrecision: market.quantityDecimals,
  quoteCommissionPrecision: market.priceDecimals,
  orderTypes: ["LIMIT", "MARKET", "LIMIT_MAKER"],
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  quoteAmountPrecision: market.minNotional,
  baseSizePrecision: market.minQuantity,
  permissions: ["SPOT"],
  filters: [],
  maxQuoteAmount: "2000000",
  makerCommission: "0.0005",
  takerCommission: "0.0005",
  quoteAmountPrecisionMarket: market.minNotional,
  maxQuoteAmountMarket: "100000",
  fullName: market.base,
  tradeSideType: 1
})

const exchangeInfo = (request: DialectRequest, world: World): DialectResponse => {
  const asked = request.query.get("symbol") ?? request.query.get("symbols")
  const markets = marketsOf(world)
  const listed = asked === undefined ? [...markets.values()] : asked.split(",").map((symbol) => markets.get(symbol))
  // Whether one unknown symbol in a list fails the request is unconfirmed.
  if (!listed.every((market) => market !== undefined)) return unknownSymbol()
  return json(200, {
    timezone: "CST",
    serverTime: Math.floor(world.now()),
    rateLimits: [],
    exchangeFilters: [],
    symbols: listed.map(instrument)
  })
}

interface Route {
  readonly weight: number
  readonly answer: (request: DialectRequest, world: World) => DialectResponse
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/api/v3/ping", { weight: 1, answer: () => json(200, {}) }],
  ["/api/v3/time", { weight: 1, answer: (_, world) => json(200, { serverTime: Math.floor(world.now()) }) }],
  ["/api/v3/exchangeInfo", { weight: 10, answer: exchangeInfo }],
  ["/api/v3/defaultSymbols", {
    weight: 1,
    answer: (_, world) => json(200, { code: 200, data: [...marketsOf(world).keys()] })
  }],
  ["/api/v3/depth", { weight: 1, answer: depth }]
])

/** Documented: 500 weight in 10 s for each endpoint. Bans for going on regardless (418) are not simulated. */
const weights = perWorld(() => quotas(500, 10_000))

/** Measured: the edge filter lets about 25 requests a second pass, and bursts of about 120. */
const edge = perWorld((world) => {
  const burst = 120
  const perMilli = 25 / 1_000
  let tokens = burst
  let at = world.now()
  return (): boolean => {
    const now = world.now()
    tokens = Math.min(burst, tokens + (now - at) * perMilli)
    at = now
    if (tokens < 1) return false
    tokens--
    return true
  }
})

const forbidden: DialectResponse = {
  status: 403,
  headers: { "Content-Type": "text/html" },
  body: "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n</BODY>\n</HTML>\n"
}

const overLimit = (path: string, weight: number, world: World): DialectResponse | null => {
  if (!edge(world)()) return forbidden
  const quota = weights(world)(path, world.now(), weight)
  return quota.allowed ? null : failure(429, 429, "Too Many Requests", {
    "Retry-After": String(Math.ceil((quota.resetAt - world.now()) / 1_000))
  })
}

const onHttp = (request: DialectRequest, world: World, options: DialectOptions): DialectResponse => {
  const route = request.method === "GET" ? routes.get(request.path) : undefined
  if (options.limits === "real") {
    const refused = overLimit(request.path, route?.weight ?? 1, world)
    if (refused !== null) return refused
  }
  // The body of a 404 is unconfirmed.
  return route === undefined ? failure(404, 404, "Not Found") : route.answer(request, world)
}

/** MEXC spot, as its server behaves. */
export const mexcSpotDialect: ExchangeDialect = {
  id: "mexc-spot",
  kind: "spot",
  websocketPath: "/ws",
  restPath: "",
  connect,
  onHttp
}
