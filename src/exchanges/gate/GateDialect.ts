/**
 * Gate spot (API v4), the server's half: JSON pushes, acks and the public REST calls, read from Gate's "Spot WebSocket
 * v4" (2026-07-25) and "API v4" documents, captured frames, and published measurements of September 2026 (Gate's
 * futures socket, and Gate US for spot). What none of them settles is marked "unconfirmed".
 *
 * Served: `spot.book_ticker`, `spot.trades`, `spot.obu`, `spot.order_book_update`, `spot.ping`. Every other channel is
 * answered as an unknown one. Topics are `channel|item`, as in `spot.order_book_update|BTC_USDT|100ms`.
 */
import { createHash } from "node:crypto"
import type {
  About,
  DialectConnection,
  DialectNotice,
  DialectOptions,
  DialectRequest,
  DialectResponse,
  ExchangeDialect,
  Peer,
  Quota,
  World,
  WorldBook,
  WorldDelta,
  WorldLevel,
  WorldMarket,
  WorldTicker,
  WorldTrade
} from "../../ExchangeDialect.ts"
import { jsonObject, marketsBy, perWorld, quotas, textList, watchdog } from "../../ExchangeDialect.ts"

const nameOf = (market: WorldMarket): string => `${market.base}_${market.quote}`

const marketsOf = marketsBy(nameOf)

// ---- pushes, keys in the order of captured frames -------------------------------------------------------------------

/** `time` and `time_ms`, as every frame but those of obu begins. */
const stamp = (now: number): string => {
  const millis = Math.floor(now)
  return `{"time":${Math.floor(millis / 1_000)},"time_ms":${millis}`
}

const pushOf = (now: number, channel: string, result: string): string =>
  `${stamp(now)},"channel":"${channel}","event":"update","result":${result}}`

/** Captured spot frames of obu have no `time` and put the rest behind the result. */
const obuPush = (now: number, result: string): string =>
  `{"channel":"spot.obu","result":${result},"time_ms":${Math.floor(now)},"event":"update"}`

const levelText = (level: WorldLevel): string => `["${level.price}","${level.quantity}"]`

/** Best level first, as snapshots come. */
const sorted = (levels: ReadonlyArray<WorldLevel>): string => {
  let text = "["
  for (let i = 0; i < levels.length; i++) text += (i === 0 ? "" : ",") + levelText(levels[i]!)
  return `${text}]`
}

/** Deltas come in no order (measured): here backwards. */
const unsorted = (levels: ReadonlyArray<WorldLevel>): string => {
  let text = "["
  for (let i = levels.length - 1; i >= 0; i--) text += levelText(levels[i]!) + (i === 0 ? "" : ",")
  return `${text}]`
}

/** A side without orders has empty texts. */
const tickerResult = (name: string, ticker: WorldTicker): string => {
  const { ask, bid } = ticker
  return `{"t":${Math.floor(ticker.time)},"u":${ticker.version},"s":${name}`
    + `,"b":"${bid === null ? "" : bid.price}","B":"${bid === null ? "" : bid.quantity}"`
    + `,"a":"${ask === null ? "" : ask.price}","A":"${ask === null ? "" : ask.quantity}"}`
}

/** One trade a frame; `create_time_ms` is text with decimals. */
const tradeResult = (name: string, trade: WorldTrade): string =>
  `{"id":${trade.id},"create_time":${Math.floor(trade.time / 1_000)},"create_time_ms":"${trade.time.toFixed(3)}"`
  + `,"side":"${trade.side}","currency_pair":${name},"amount":"${trade.quantity}","price":"${trade.price}"`
  + `,"range":"${trade.id}-${trade.id}","id_market":${trade.id}}`

const obuSnapshot = (name: string, book: WorldBook): string =>
  `{"t":${Math.floor(book.time)},"full":true,"s":${name},"u":${book.version}`
  + `,"b":${sorted(book.bids)},"a":${sorted(book.asks)}}`

/** A side without changes is left out; both are when only the id advances. */
const obuDelta = (name: string, delta: WorldDelta): string => {
  const bids = delta.bids.length === 0 ? "" : `,"b":${unsorted(delta.bids)}`
  const asks = delta.asks.length === 0 ? "" : `,"a":${unsorted(delta.asks)}`
  return `{"t":${Math.floor(delta.time)},"s":${name},"u":${delta.version},"U":${delta.firstVersion}${bids}${asks}}`
}

const updateResult = (
  name: string,
  level: number,
  full: boolean,
  time: number,
  firstVersion: number,
  version: number,
  sides: string
): string =>
  `{"t":${Math.floor(time)}${full ? `,"full":true` : ""},"l":"${level}","e":"depthUpdate"`
  + `,"E":${Math.floor(time / 1_000)},"s":${name},"U":${firstVersion},"u":${version}${sides}}`

// ---- streams --------------------------------------------------------------------------------------------------------

const data = (topic: string): About => ({ _tag: "Data", topic, events: 1 })

interface Stream {
  readonly topic: string
  readonly open: (world: World, send: (frame: string, about: About) => void) => Opened
}

interface Opened {
  readonly stop: () => void
  /** The frame with the whole book that the stream begins with, made now. */
  readonly first: string | null
  /** Whether `first` may leave before the ack. */
  readonly early: boolean
}

const bookTickerStream = (market: WorldMarket): Stream => {
  const topic = `spot.book_ticker|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: (world, send) => {
      const listener = (ticker: WorldTicker): void =>
        send(pushOf(world.now(), "spot.book_ticker", tickerResult(name, ticker)), about)
      const { stop } = world.watch({ _tag: "Ticker", pair: market.pair, everyMillis: 10, listener })
      return { stop, first: null, early: false }
    }
  }
}

const tradesStream = (market: WorldMarket): Stream => {
  const topic = `spot.trades|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: (world, send) => {
      const listener = (trades: ReadonlyArray<WorldTrade>): void => {
        for (const trade of trades) send(pushOf(world.now(), "spot.trades", tradeResult(name, trade)), about)
      }
      const { stop } = world.watch({ _tag: "Trades", pair: market.pair, everyMillis: 0, listener })
      return { stop, first: null, early: false }
    }
  }
}

const obuStream = (market: WorldMarket, item: string, level: number, everyMillis: number): Stream => {
  const topic = `spot.obu|${item}`
  const name = JSON.stringify(item)
  const about = data(topic)
  return {
    topic,
    open: (world, send) => {
      const listener = (delta: WorldDelta): void => send(obuPush(world.now(), obuDelta(name, delta)), about)
      const { book, stop } = world.watch({ _tag: "Depth", pair: market.pair, everyMillis, window: level, listener })
      return { stop, first: obuPush(world.now(), obuSnapshot(name, book)), early: true }
    }
  }
}

/**
 * Measured on futures: a stream for an unknown pair or level is acked as a success and stays silent; nothing says that
 * spot differs.
 */
const silentObuStream = (item: string): Stream => ({
  topic: `spot.obu|${item}`,
  open: () => ({ stop: () => {}, first: null, early: false })
})

const updateStream = (market: WorldMarket, interval: string, level: number, everyMillis: number): Stream => {
  const topic = `spot.order_book_update|${nameOf(market)}|${interval}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  const push = (now: number, result: string): string => pushOf(now, "spot.order_book_update", result)
  return {
    topic,
    open: (world, send) => {
      const listener = (delta: WorldDelta): void => {
        const sides = `,"b":${unsorted(delta.bids)},"a":${unsorted(delta.asks)}`
        const result = updateResult(name, level, false, delta.time, delta.firstVersion, delta.version, sides)
        send(push(world.now(), result), about)
      }
      const { book, stop } = world.watch({ _tag: "Depth", pair: market.pair, everyMillis, window: level, listener })
      const sides = `,"b":${sorted(book.bids)},"a":${sorted(book.asks)}`
      const result = updateResult(name, level, true, book.time, book.version, book.version, sides)
      return { stop, first: push(world.now(), result), early: false }
    }
  }
}

// ---- requests -------------------------------------------------------------------------------------------------------

/** Documented codes: 1 malformed, 2 invalid argument, 3 server side. */
interface Refusal {
  readonly code: 1 | 2 | 3
  readonly message: string
}

type Markets = ReadonlyMap<string, WorldMarket>

/** What a payload asks for; a list with one bad item fails as a whole. */
type Channel = (payload: ReadonlyArray<string>, markets: Markets) => ReadonlyArray<Stream> | Refusal

const isRefusal = (result: ReadonlyArray<Stream> | Refusal): result is Refusal => "code" in result

const invalidArgument: Refusal = { code: 2, message: "Invalid argument provided" }

const unknownPair = (name: string): Refusal => ({ code: 2, message: `unknown currency pair: ${name}` })

const pairList = (streamOf: (market: WorldMarket) => Stream): Channel => (payload, markets) => {
  const streams: Array<Stream> = []
  for (const name of payload) {
    const market = markets.get(name)
    if (market === undefined) return unknownPair(name)
    streams.push(streamOf(market))
  }
  return streams
}

/** Interval by number of levels. */
const obuIntervals: ReadonlyMap<string, number> = new Map([["50", 20], ["400", 100]])

/** `ob.BTC_USDT.50` */
const obuPattern = /^ob\.(.+)\.([^.]+)$/u

const obu: Channel = (payload, markets) => {
  const streams: Array<Stream> = []
  for (const item of payload) {
    const [, name = "", level = ""] = obuPattern.exec(item) ?? []
    if (name === "") return invalidArgument
    const market = markets.get(name)
    const everyMillis = obuIntervals.get(level)
    streams.push(
      market === undefined || everyMillis === undefined
        ? silentObuStream(item)
        : obuStream(market, item, Number(level), everyMillis)
    )
  }
  return streams
}

/** Levels and interval (ms): `20ms` is for 20 levels, `100ms` for 100. */
const updateIntervals: ReadonlyMap<string, { readonly level: number; readonly everyMillis: number }> = new Map([
  ["20ms", { level: 20, everyMillis: 20 }],
  ["100ms", { level: 100, everyMillis: 100 }]
])

const orderBookUpdate: Channel = (payload, markets) => {
  const [name = "", interval = "", asked] = payload
  const market = markets.get(name)
  if (market === undefined) return unknownPair(name)
  const known = updateIntervals.get(interval)
  if (known === undefined) return { code: 2, message: `incorrect update interval specified: ${interval}` }
  if (asked !== undefined && asked !== String(known.level)) {
    return { code: 2, message: `provided level not supported: ${asked}` }
  }
  return [updateStream(market, interval, known.level, known.everyMillis)]
}

const channels: ReadonlyMap<string, Channel> = new Map([
  ["spot.book_ticker", pairList(bookTickerStream)],
  ["spot.trades", pairList(tradesStream)],
  ["spot.obu", obu],
  ["spot.order_book_update", orderBookUpdate]
])

interface Request {
  readonly time: unknown
  readonly id: number | undefined
  readonly channel: string
  readonly event: string
  readonly payload: unknown
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

const requestOf = (body: Readonly<Record<string, unknown>>): Request => ({
  time: body["time"],
  id: typeof body["id"] === "number" && Number.isSafeInteger(body["id"]) ? body["id"] : undefined,
  channel: textOf(body["channel"]),
  event: textOf(body["event"]),
  payload: body["payload"]
})

/** Documented: `time` is in s and at most 60 s off. Enforced with the limits; the refusal's text is unconfirmed. */
const isOnTime = (time: unknown, now: number): boolean =>
  typeof time === "number" && Math.abs(time * 1_000 - now) <= 60_000

/** The simulator's reason: one that begins with `server` is the server's own failure. */
const refusalOf = (reason: string): Refusal => ({ code: reason.startsWith("server") ? 3 : 2, message: reason })

const ack: About = { _tag: "Control", kind: "ack" }
const reject: About = { _tag: "Control", kind: "reject" }
const error: About = { _tag: "Control", kind: "error" }
const pong: About = { _tag: "Control", kind: "pong" }
const notice: About = { _tag: "Control", kind: "notice" }

const hex = (text: string, digits: number): string => createHash("md5").update(text).digest("hex").slice(0, digits)

const connections = perWorld(() => ({ opened: 0 }))

/** Measured: a socket without subscription and without a client's frame ends after about 30.5 s, without close frame. */
const idleMillis = 30_500

const connect = (world: World, peer: Peer, options: DialectOptions): DialectConnection => {
  const limited = options.limits === "real"
  const markets = marketsOf(world)
  const streams = new Map<string, () => void>()
  const connectionId = hex(`connection ${++connections(world).opened}`, 16)
  let closed = false
  let heard = world.now()
  let answers = 0
  let firstFrames = 0

  const onClose = (): void => {
    closed = true
    for (const stop of streams.values()) stop()
    streams.clear()
  }
  const rearm = limited
    ? watchdog(peer, world.now, () => (streams.size > 0 ? Number.POSITIVE_INFINITY : heard + idleMillis), () => {
      onClose()
      peer.close(1006, "")
    })
    : () => {}

  /** Keys in the order of captured acks; undefined ones are left out. */
  const reply = (request: Request, refusal: Refusal | null, kind: About): void => {
    const now = Math.floor(world.now())
    const trace = hex(`${connectionId} ${++answers}`, 32)
    peer.send(
      JSON.stringify({
        time: Math.floor(now / 1_000),
        time_ms: now,
        id: request.id,
        conn_id: connectionId,
        trace_id: trace,
        channel: request.channel,
        event: request.event,
        payload: request.payload,
        error: refusal ?? undefined,
        result: { status: refusal === null ? "success" : "fail" },
        requestId: trace
      }),
      kind
    )
  }

  const conflict = (channel: string, wanted: ReadonlyArray<Stream>): Refusal | null => {
    const seen = new Set<string>()
    for (const { topic } of wanted) {
      // Only obu minds a second subscription; the first keeps running.
      if (channel === "spot.obu" && (streams.has(topic) || seen.has(topic))) {
        return { code: 2, message: `Alert sub ${topic.slice(channel.length + 1)}` }
      }
      seen.add(topic)
      const reason = world.refuses(topic)
      if (reason !== null) return refusalOf(reason)
    }
    return null
  }

  /**
   * Whether a whole book comes unasked, and when, varies on the wire; every second stream takes the other way: obu sends
   * it before or after the ack, order_book_update after the ack or not at all.
   */
  const opening = (stream: Stream): { readonly before: string | null; readonly after: string | null } => {
    const { early, first, stop } = stream.open(world, peer.send)
    streams.set(stream.topic, stop)
    if (first === null) return { before: null, after: null }
    const odd = firstFrames++ % 2 === 1
    return early
      ? { before: odd ? null : first, after: odd ? first : null }
      : { before: null, after: odd ? first : null }
  }

  const subscribe = (request: Request, wanted: ReadonlyArray<Stream>): void => {
    const late: Array<() => void> = []
    for (const stream of wanted) {
      if (closed) return
      if (streams.has(stream.topic)) continue
      const { after, before } = opening(stream)
      if (before !== null) peer.send(before, data(stream.topic))
      if (after !== null) late.push(() => peer.send(after, data(stream.topic)))
    }
    reply(request, null, ack)
    for (const send of late) send()
  }

  const unsubscribe = (request: Request, named: ReadonlyArray<Stream>): void => {
    for (const { topic } of named) {
      streams.get(topic)?.()
      streams.delete(topic)
    }
    rearm()
    reply(request, null, ack)
  }

  const refusalFor = (request: Request): Refusal | null => {
    if (!channels.has(request.channel)) return { code: 2, message: `Unknown channel ${request.channel}` }
    if (request.event !== "subscribe" && request.event !== "unsubscribe") return invalidArgument
    if (limited && !isOnTime(request.time, world.now())) return invalidArgument
    return textList(request.payload) === null ? { code: 1, message: "Invalid request body format" } : null
  }

  const answer = (request: Request): void => {
    const refusal = refusalFor(request)
    if (refusal !== null) return reply(request, refusal, reject)
    const wanted = channels.get(request.channel)!(textList(request.payload)!, markets)
    if (isRefusal(wanted)) return reply(request, wanted, reject)
    if (request.event === "unsubscribe") return unsubscribe(request, wanted)
    const clash = conflict(request.channel, wanted)
    if (clash !== null) return reply(request, clash, reject)
    subscribe(request, wanted)
  }

  const sendPong = (): void =>
    peer.send(
      `${stamp(world.now())},"conn_id":"${connectionId}","channel":"spot.pong","event":"","result":null`
        + `,"requestId":"${hex(`${connectionId} ${++answers}`, 32)}"}`,
      pong
    )

  return {
    onFrame: (frame) => {
      if (closed) return
      heard = world.now()
      const body = jsonObject(frame)
      if (body === null) {
        const nothing: Request = { time: undefined, id: undefined, channel: "", event: "", payload: undefined }
        return reply(nothing, { code: 1, message: "request message need json scheme" }, error)
      }
      if (body["channel"] === "spot.ping") return sendPong()
      answer(requestOf(body))
    },
    onClose,
    topics: () => new Set(streams.keys()),
    notify: (kind: DialectNotice) => {
      const text = "The connection will soon be closed for a service upgrade. Please reconnect."
      peer.send(pushOf(world.now(), "spot.system", JSON.stringify({ type: kind, msg: text })), notice)
    }
  }
}

// ---- REST -----------------------------------------------------------------------------------------------------------

interface Answer {
  readonly status: number
  readonly body: string
}

const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) })

const failure = (status: number, label: string, message: string): Answer => json(status, { label, message })

/** Measured: a name that is not listed is told apart from a pair that is not. */
const invalidPair = (name: string, world: World): Answer => {
  const [base = "", quote = ""] = name.split("_")
  const listed = currenciesOf(world)
  const stranger = quote === "" ? undefined : [base, quote].find((currency) => !listed.includes(currency))
  return stranger === undefined
    ? failure(400, "INVALID_CURRENCY_PAIR", `Invalid currency pair ${name}`)
    : failure(400, "INVALID_CURRENCY", `Invalid currency ${stranger}`)
}

const invalidParameter = (name: string, value: string): Answer =>
  failure(400, "INVALID_PARAM_VALUE", `Invalid request parameter \`${name}\` value: ${value}`)

const currencyPair = (market: WorldMarket): unknown => ({
  id: nameOf(market),
  base: market.base,
  base_name: market.base,
  quote: market.quote,
  quote_name: market.quote,
  fee: "0.2",
  min_base_amount: market.minQuantity,
  min_quote_amount: market.minNotional,
  amount_precision: market.quantityDecimals,
  precision: market.priceDecimals,
  trade_status: "tradable",
  sell_start: 0,
  buy_start: 0,
  type: "normal"
})

/** A pair that can be traded on margin, here all of them; form as in answers that ccxt 4.5.84 records (`gate.js`). */
const marginPair = (market: WorldMarket): unknown => ({
  id: nameOf(market),
  base: market.base,
  quote: market.quote,
  leverage: 10,
  min_base_amount: market.minQuantity,
  min_quote_amount: market.minNotional,
  max_quote_amount: "1000000",
  status: 1
})

/** Form as in answers that ccxt 4.5.84 records; one chain without a contract's address. */
const currency = (name: string): unknown => ({
  currency: name,
  name,
  delisted: false,
  withdraw_disabled: false,
  withdraw_delayed: false,
  deposit_disabled: false,
  trade_disabled: false,
  chain: name,
  chains: [{ name, addr: "", withdraw_disabled: false, withdraw_delayed: false, deposit_disabled: false }]
})

const currenciesOf = (world: World): ReadonlyArray<string> => [
  ...new Set([...world.markets.values()].flatMap(({ base, quote }) => [base, quote]))
]

const maxDepth = 1_000

/** What Gate does above the largest `limit` is unconfirmed; it is refused here as a bad value. */
const isDepth = (limit: string): boolean => /^[1-9]\d{0,3}$/.test(limit) && Number(limit) <= maxDepth

const orderBook = (request: DialectRequest, world: World): Answer => {
  const name = request.query.get("currency_pair") ?? ""
  const limit = request.query.get("limit") ?? "10"
  const interval = request.query.get("interval") ?? "0"
  if (name === "") return failure(400, "MISSING_REQUIRED_PARAM", "Missing required parameter: currency_pair")
  const market = marketsOf(world).get(name)
  if (market === undefined) return invalidPair(name, world)
  if (!isDepth(limit)) return invalidParameter("limit", limit)
  // Price steps other than the market's own are not simulated.
  if (Number(interval) !== 0) return invalidParameter("interval", interval)
  const book = market.book(Number(limit))
  const id = request.query.get("with_id") === "true" ? `"id":${book.version},` : ""
  return {
    status: 200,
    body: `{${id}"current":${Math.floor(world.now())},"update":${Math.floor(book.time)}`
      + `,"asks":${sorted(book.asks)},"bids":${sorted(book.bids)}}`
  }
}

/** A path's text; what is no valid escape stays as it is. */
const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const onePair = (name: string, world: World): Answer => {
  const market = marketsOf(world).get(name)
  return market === undefined ? invalidPair(name, world) : json(200, currencyPair(market))
}

const pairsPath = "/spot/currency_pairs"

interface Route {
  /** The endpoint that the limit counts for. */
  readonly endpoint: string
  readonly answer: (request: DialectRequest, world: World) => Answer
}

const routes: ReadonlyArray<Route> = [
  { endpoint: "/spot/time", answer: (_, world) => json(200, { server_time: Math.floor(world.now()) }) },
  { endpoint: pairsPath, answer: (_, world) => json(200, [...world.markets.values()].map(currencyPair)) },
  {
    endpoint: `${pairsPath}/`,
    answer: (request, world) => onePair(unescaped(request.path.slice(pairsPath.length + 1)), world)
  },
  { endpoint: "/spot/currencies", answer: (_, world) => json(200, currenciesOf(world).map(currency)) },
  { endpoint: "/spot/order_book", answer: orderBook },
  { endpoint: "/margin/currency_pairs", answer: (_, world) => json(200, [...world.markets.values()].map(marginPair)) }
]

const routeOf = (path: string): Route | undefined =>
  routes.find(({ endpoint }) => endpoint.endsWith("/") ? path.startsWith(endpoint) : path === endpoint)

/** Measured on Gate US: an unknown path below `/spot` is taken for a private call. */
const noRoute = (path: string): Answer =>
  path.startsWith("/spot/")
    ? json(400, { message: "Missing required header: Timestamp", label: "MISSING_REQUIRED_HEADER" })
    : { status: 404, body: "<html><head><title>404 Not Found</title></head></html>" }

const requestsPerWindow = 200

/** Documented: 200 requests in 10 s for each public endpoint. */
const budgets = perWorld(() => quotas(requestsPerWindow, 10_000))

const unlimited: Quota = { allowed: true, remaining: requestsPerWindow, resetAt: 0 }

/** Seconds; the present while the limit is not exceeded. Gate sends no `Retry-After`. */
const headersOf = (quota: Quota, now: number, limit: number): Readonly<Record<string, string>> => ({
  "X-Gate-RateLimit-Requests-Remain": String(Math.min(quota.remaining, limit)),
  "X-Gate-RateLimit-Limit": String(limit),
  "X-Gate-RateLimit-Reset-Timestamp": String(Math.floor((quota.allowed ? now : quota.resetAt) / 1_000)),
  "X-In-Time": String(Math.floor(now * 1_000)),
  "X-Out-Time": String(Math.floor(now * 1_000))
})

const onHttp = (request: DialectRequest, world: World, options: DialectOptions): DialectResponse => {
  const now = world.now()
  const route = request.method === "GET" ? routeOf(request.path) : undefined
  const quota = route !== undefined && options.limits === "real" ? budgets(world)(route.endpoint, now, 1) : unlimited
  const answer = route === undefined
    ? noRoute(request.path)
    : quota.allowed
    ? route.answer(request, world)
    : failure(429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded")
  return {
    status: answer.status,
    headers: {
      "Content-Type": answer.body.startsWith("<") ? "text/html" : "application/json",
      ...headersOf(quota, now, route === undefined ? 0 : requestsPerWindow)
    },
    body: answer.body
  }
}

/** Gate spot, as its server behaves. */
export const gateSpotDialect: ExchangeDialect = {
  id: "gate-spot",
  kind: "spot",
  websocketPath: "/ws/v4/",
  restPath: "/api/v4",
  connect,
  onHttp
}
