/**
 * Gate spot and USDT futures (API v4), the server's half: JSON pushes, acks and REST calls, public and signed, read from Gate's
 * "Spot WebSocket v4" (2026-07-25), "Futures WebSocket v4" (2026-08-20) and "API v4" documents, captured frames, and
 * published measurements of September 2026 (Gate's futures socket, and Gate US for spot). What none of them settles is
 * marked "unconfirmed". Streams and calls of a product are in its own file; every other channel is answered as an unknown
 * one.
 */
import { createHash } from "node:crypto"
import type {
  About,
  DialectConnection,
  DialectNotice,
  DialectOptions,
  ExchangeDialect,
  Peer,
  World
} from "../../ExchangeDialect.ts"
import { jsonObject, perWorld, textList, watchdog } from "../../ExchangeDialect.ts"
import { isFailure, subscriptionSession } from "./GateAccountDialect.ts"
import { makeApi } from "./GateApiDialect.ts"
import { futuresApiMethods, futuresFees, futuresSignedRoutes } from "./GateFuturesAccountDialect.ts"
import { futuresChannels, futuresRoutes } from "./GateFuturesDialect.ts"
import { futuresPrivateChannels } from "./GateFuturesPushesDialect.ts"
import { autoorders, futuresTriggerRoutes } from "./GateFuturesTriggersDialect.ts"
import { onHttp } from "./GateRestDialect.ts"
import { signedHttp } from "./GateSignedDialect.ts"
import { spotApiMethods, spotPrivateChannels, spotSignedRoutes } from "./GateSpotAccountDialect.ts"
import { spotChannels, spotRoutes } from "./GateSpotDialect.ts"
import { priceOrders, spotTriggerRoutes } from "./GateSpotTriggersDialect.ts"
import { data, invalidArgument, marketsOf, pushOf, stamp } from "./GateStreamsDialect.ts"
import type { Channel, PrivateChannel, Refusal, Stream } from "./GateStreamsDialect.ts"

const isRefusal = (result: ReadonlyArray<Stream> | Refusal): result is Refusal => "code" in result

interface Request {
  readonly time: unknown
  readonly id: number | undefined
  readonly channel: string
  readonly event: string
  readonly payload: unknown
  readonly auth: unknown
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

const requestOf = (body: Readonly<Record<string, unknown>>): Request => ({
  time: body["time"],
  id: typeof body["id"] === "number" && Number.isSafeInteger(body["id"]) ? body["id"] : undefined,
  channel: textOf(body["channel"]),
  event: textOf(body["event"]),
  payload: body["payload"],
  auth: body["auth"]
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

/** What a product's socket serves. */
interface Product {
  readonly prefix: "spot" | "futures"
  readonly channels: ReadonlyMap<string, Channel>
  /** Channels of an account, subscribed with a signature. */
  readonly privates: ReadonlyMap<string, PrivateChannel>
  readonly api: ReturnType<typeof makeApi>
  /** Answers repeat their trace id in this key (captured on spot only). */
  readonly requestId: boolean
}

const connect = (product: Product) => (world: World, peer: Peer, options: DialectOptions): DialectConnection => {
  const { channels, prefix, privates } = product
  const outlet = { world, send: peer.send, decimal: peer.headers["x-gate-size-decimal"] === "1" }
  const limited = options.limits === "real"
  const markets = marketsOf(world)
  const streams = new Map<string, () => void>()
  const connectionId = hex(`connection ${++connections(world).opened}`, 16)
  const api = product.api({
    world,
    peer,
    limited,
    connectionId,
    trace: () => hex(`${connectionId} ${++answers}`, 32)
  })
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
        requestId: product.requestId ? trace : undefined
      }),
      kind
    )
  }

  const conflict = (channel: string, wanted: ReadonlyArray<Stream>): Refusal | null => {
    const seen = new Set<string>()
    for (const { topic } of wanted) {
      // Only obu minds a second subscription; the first keeps running.
      if (channel === `${prefix}.obu` && (streams.has(topic) || seen.has(topic))) {
        return { code: 2, message: `Alert sub ${topic.slice(channel.length + 1)}` }
      }
      seen.add(topic)
      const reason = world.refuses(topic)
      if (reason !== null) return refusalOf(reason)
    }
    return null
  }

  const opening = (stream: Stream): { readonly before: string | null; readonly after: string | null } => {
    const { first, rule, stop } = stream.open(outlet)
    streams.set(stream.topic, stop)
    if (first === undefined) return { before: null, after: null }
    if (rule === "after") return { before: null, after: first }
    const odd = firstFrames++ % 2 === 1
    if (odd) return { before: null, after: first }
    return { before: rule === "around" ? first : null, after: null }
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
    if (!channels.has(request.channel) && !privates.has(request.channel)) {
      return { code: 2, message: `Unknown channel ${request.channel}` }
    }
    if (request.event !== "subscribe" && request.event !== "unsubscribe") return invalidArgument
    if (limited && !isOnTime(request.time, world.now())) return invalidArgument
    const needsPayload = channels.has(request.channel)
    return needsPayload && textList(request.payload) === null
      ? { code: 1, message: "Invalid request body format" }
      : null
  }

  /** The message of a refused key is JSON in itself, with a line's end. */
  const wantedOf = (request: Request): ReadonlyArray<Stream> | Refusal => {
    const channel = privates.get(request.channel)
    if (channel === undefined) return channels.get(request.channel)!(textList(request.payload)!, markets)
    const session = subscriptionSession(world, peer.address, request)
    if (!isFailure(session)) return channel(textList(request.payload), markets, session)
    const { label, message } = session
    return { code: 4, message: `${JSON.stringify({ label, message })}\n` }
  }

  const answer = (request: Request): void => {
    if (request.event === "api") return api(request.channel, request.payload)
    const refusal = refusalFor(request)
    if (refusal !== null) return reply(request, refusal, reject)
    const wanted = wantedOf(request)
    if (isRefusal(wanted)) return reply(request, wanted, reject)
    if (request.event === "unsubscribe") return unsubscribe(request, wanted)
    const clash = conflict(request.channel, wanted)
    if (clash !== null) return reply(request, clash, reject)
    subscribe(request, wanted)
  }

  const sendPong = (): void => {
    const requestId = product.requestId ? `,"requestId":"${hex(`${connectionId} ${++answers}`, 32)}"` : ""
    const text = `${stamp(world.now())},"conn_id":"${connectionId}","channel":"${prefix}.pong","event":"","result":null`
    peer.send(`${text}${requestId}}`, pong)
  }

  return {
    onFrame: (frame) => {
      if (closed) return
      heard = world.now()
      const body = jsonObject(frame)
      if (body === null) {
        const nothing = requestOf({})
        return reply(nothing, { code: 1, message: "request message need json scheme" }, error)
      }
      if (body["channel"] === `${prefix}.ping`) return sendPong()
      answer(requestOf(body))
    },
    onClose,
    topics: () => new Set(streams.keys()),
    notify: (kind: DialectNotice) => {
      if (kind !== "upgrade") return false
      const text = "The connection will soon be closed for a service upgrade. Please reconnect."
      peer.send(pushOf(world.now(), `${prefix}.system`, JSON.stringify({ type: kind, msg: text })), notice)
      return true
    }
  }
}

/** Signed calls first: the others are public. */
const http =
  (signed: ReturnType<typeof signedHttp>, open: ExchangeDialect["onHttp"]): ExchangeDialect["onHttp"] =>
  (request, world, options) => signed(request, world, options) ?? open(request, world, options)

/** Gate spot, as its server behaves. */
export const gateSpotDialect: ExchangeDialect = {
  id: "gate-spot",
  kind: "spot",
  fees: { maker: "0.002", taker: "0.002" },
  websocketPath: "/ws/v4/",
  restPath: "/api/v4",
  connect: connect({
    prefix: "spot",
    channels: spotChannels,
    privates: new Map([...spotPrivateChannels, ["spot.priceorders", priceOrders]]),
    api: makeApi({
      prefix: "spot",
      methods: spotApiMethods,
      // Documented: placing, batches and amending together, 10 requests a second.
      tradesPerSecond: 10,
      limitCode: 211,
      saysNoAck: false
    }),
    requestId: true
  }),
  onHttp: http(
    signedHttp([...spotSignedRoutes, ...spotTriggerRoutes], { trade: 10, byMarket: true }),
    onHttp("/spot/", spotRoutes)
  )
}

/** Gate USDT futures, as its server behaves. */
export const gateFuturesDialect: ExchangeDialect = {
  id: "gate-futures",
  kind: "swap",
  fees: futuresFees,
  websocketPath: "/v4/ws/usdt",
  restPath: "/api/v4",
  connect: connect({
    prefix: "futures",
    channels: futuresChannels,
    privates: new Map([...futuresPrivateChannels, ["futures.autoorders", autoorders]]),
    api: makeApi({
      prefix: "futures",
      methods: futuresApiMethods,
      // Documented: placing, batches, amending and cancelling together, 100 requests a second.
      tradesPerSecond: 100,
      limitCode: 311,
      saysNoAck: true
    }),
    requestId: false
  }),
  onHttp: http(
    signedHttp([...futuresSignedRoutes, ...futuresTriggerRoutes], { trade: 100, byMarket: false }),
    onHttp("/futures/", futuresRoutes)
  )
}
