/**
 * Gate's private stream: every channel is subscribed with a signature of its own, and answers and envelopes are those of
 * the public channels. Nothing is pushed of what was before: that is read over REST. Sources: Gate WebSocket v4 documents,
 * spot (2026-07-25) and futures (2026-08-25), "Authentication" and the private channels.
 */
import { Effect, Redacted, Result } from "effect"
import type { PrivateCodec, PrivateRequest, PrivateSink, PrivateStream, PrivateTopic } from "../../AccountAdapter.ts"
import type { Signer } from "../../connection/Auth.ts"
import type { AccountEvent, Order } from "../../domain/Account.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { PrivateTag } from "../../domain/PrivateChannel.ts"
import type { Answer, Stamp } from "../../ExchangeAdapter.ts"
import type { Reading } from "./GateAccountEvents.ts"
import * as GateAccountEvents from "./GateAccountEvents.ts"
import * as GateErrors from "./GateErrors.ts"
import { readFuturesOrder, readSpotOrder } from "./GateOrders.ts"
import type { Product } from "./GateProduct.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateRow from "./GateRow.ts"
import * as GateSigning from "./GateSigning.ts"
import * as GateTriggers from "./GateTriggers.ts"

/** A channel as it is subscribed. */
interface Channel {
  readonly wire: string
  readonly payload: (userId: string) => ReadonlyArray<string>
}

/** What a push on a wire channel holds. */
interface Push {
  readonly channel: PrivateTag
  /** What says nothing new. */
  readonly skips?: (row: GateRow.Row) => boolean
  readonly read: (row: GateRow.Row, reading: Reading) => AccountEvent
}

/** What differs between the products. */
export interface StreamLayout {
  readonly channels: Readonly<Partial<Record<PrivateTag, ReadonlyArray<Channel>>>>
  /** Also those that are not subscribed, but say the same. */
  readonly pushes: ReadonlyMap<string, Push>
  readonly needsUserId: boolean
}

const everything = (): ReadonlyArray<string> => [GateRequests.everyContract]
const nothing = (): ReadonlyArray<string> => []
const ofUser = (userId: string): ReadonlyArray<string> => [userId]
const everythingOfUser = (userId: string): ReadonlyArray<string> => [userId, GateRequests.everyContract]

const order = (read: (row: GateRow.Row, instrumentOf: InstrumentOf) => Order): Push => ({
  channel: "Orders",
  read: (row, { instrumentOf, origin, receivedAt }) => ({
    _tag: "OrderUpdate",
    ...read(row, instrumentOf),
    receivedAt,
    origin
  })
})

const spotFill: Push = { channel: "Fills", read: GateAccountEvents.readSpotFill }

export const spot: StreamLayout = {
  channels: {
    // Of both forms, this one leaves out what orders do not need, the fees.
    Orders: [{ wire: "spot.orders_v2", payload: everything }],
    // Of both forms, this one has the fees.
    Fills: [{ wire: "spot.usertrades", payload: everything }],
    Balances: [{ wire: "spot.balances", payload: nothing }]
  },
  pushes: new Map([
    ["spot.orders", order(readSpotOrder)],
    ["spot.orders_v2", order(readSpotOrder)],
    ["spot.usertrades", spotFill],
    ["spot.usertrades_v2", spotFill],
    ["spot.balances", { channel: "Balances", read: GateAccountEvents.readSpotBalance }]
  ]),
  needsUserId: false
}

export const futures: StreamLayout = {
  channels: {
    Orders: [
      { wire: "futures.orders", payload: everythingOfUser },
      // Of all private channels the one that takes no user.
      { wire: "futures.autoorders", payload: everything }
    ],
    Fills: [{ wire: "futures.usertrades", payload: everythingOfUser }],
    Balances: [{ wire: "futures.balances", payload: ofUser }],
    Positions: [{ wire: "futures.positions", payload: everythingOfUser }],
    AutoDeleverages: [{ wire: "futures.auto_deleverages", payload: everythingOfUser }],
    PositionCloses: [{ wire: "futures.position_closes", payload: everythingOfUser }]
  },
  pushes: new Map<string, Push>([
    ["futures.orders", order(readFuturesOrder)],
    ["futures.autoorders", { ...order(GateTriggers.read), skips: GateTriggers.hasFired }],
    ["futures.usertrades", { channel: "Fills", read: GateAccountEvents.readFuturesFill }],
    ["futures.balances", { channel: "Balances", read: GateAccountEvents.readFuturesBalance }],
    ["futures.positions", { channel: "Positions", read: GateAccountEvents.readPosition }],
    ["futures.auto_deleverages", { channel: "AutoDeleverages", read: GateAccountEvents.readDeleverage }],
    ["futures.position_closes", { channel: "PositionCloses", read: GateAccountEvents.readClose }]
  ]),
  needsUserId: true
}

// ---- requests ----

/** A topic's key is the channel and its payload, joined by `|`. */
const keyOf = (wire: string, payload: ReadonlyArray<string>): string => [wire, ...payload].join("|")

const request = (action: "subscribe" | "unsubscribe", topic: PrivateTopic, stamp: Stamp, signer: Signer) => {
  const [channel = "", ...payload] = topic.key.split("|")
  const id = stamp.nextId()
  return Effect.map(
    signer.sign(GateSigning.subscription(channel, action, GateRequests.seconds(stamp))),
    (signature): PrivateRequest => ({
      id,
      topics: [topic],
      frame: JSON.stringify({
        time: GateRequests.seconds(stamp),
        id,
        channel,
        event: action,
        ...(payload.length === 0 ? {} : { payload }),
        auth: { method: "api_key", KEY: Redacted.value(signer.key), SIGN: signature }
      })
    })
  )
}

const requests = (action: "subscribe" | "unsubscribe"): PrivateStream["subscribe"] => (topics, stamp, signer) =>
  Effect.forEach(topics, (topic) => request(action, topic, stamp, signer))

// ---- frames ----

interface Envelope {
  readonly channel: string
  readonly event: string
  readonly id: string | null
  readonly payload: unknown
  readonly error: unknown
  readonly result: unknown
}

const envelopeOf = (frame: unknown): Envelope | null => {
  if (typeof frame !== "object" || frame === null || Array.isArray(frame)) return null
  const row = new GateRow.Row(frame)
  const { error, payload, result } = frame as Readonly<Record<string, unknown>>
  return {
    channel: row.textOr("channel") ?? "",
    event: row.textOr("event") ?? "",
    id: row.textOr("id"),
    payload,
    error,
    result
  }
}

/** The id that we sent says it best; what Gate repeats of the payload need not be what was asked. */
const answerOf = (action: "subscribe" | "unsubscribe", { channel, id, payload }: Envelope): Answer => {
  if (id !== null) return { action, requestId: Number(id), topics: null }
  return { action, requestId: null, topics: [keyOf(channel, GateRequests.isTexts(payload) ? payload : [])] }
}

/** Decided by `error`; without one, only the status "success" is a success. */
const answer = (action: "subscribe" | "unsubscribe", envelope: Envelope, sink: PrivateSink): void => {
  const about = answerOf(action, envelope)
  const { error, result } = envelope
  if (error !== undefined && error !== null) {
    const row = new GateRow.Row(error)
    const code = row.textOr("code") ?? row.textOr("label") ?? "none"
    return sink.rejected(about, GateErrors.refusal(code, row.textOr("message") ?? ""))
  }
  const status = new GateRow.Row(result).textOr("status")
  if (status === "success") return sink.acknowledged(about)
  const detail = `answered without error and with the status ${JSON.stringify(status)}`
  sink.rejected(about, { code: "status", detail, class: "retryable" })
}

/** Of a list of which one entry cannot be read, nothing is delivered. */
const data = (push: Push, { channel, result }: Envelope, reading: Reading, sink: PrivateSink): void => {
  const rows = GateRow.rowsOf(result).filter((row) => push.skips?.(new GateRow.Row(row)) !== true)
  const events = GateRow.readAll(rows, (row) => push.read(row, reading))
  if (Result.isFailure(events)) return sink.failed(`${channel}: ${events.failure}`)
  if (events.success.length === 0) return sink.ignored(`${channel}: nothing new`)
  for (const event of events.success) sink.event(push.channel, event)
}

const notice = ({ channel, result }: Envelope, sink: PrivateSink): void => {
  const row = new GateRow.Row(result)
  const type = row.textOr("type")
  if (type === "upgrade") return sink.closing(row.textOr("msg") ?? "service upgrade")
  sink.ignored(`${channel} notice ${JSON.stringify(type)}`)
}

const route = (
  { prefix }: Product,
  { pushes }: StreamLayout,
  envelope: Envelope,
  reading: Reading,
  sink: PrivateSink
): void => {
  const { channel, event } = envelope
  if (channel === `${prefix}.pong`) return sink.pong()
  if (channel === `${prefix}.system`) return notice(envelope, sink)
  if (event === "subscribe" || event === "unsubscribe") return answer(event, envelope, sink)
  const push = pushes.get(channel)
  if (push !== undefined && event === "update") return data(push, envelope, reading, sink)
  sink.ignored(`channel ${JSON.stringify(channel)}, event ${JSON.stringify(event)}`)
}

const makeCodec = (product: Product, layout: StreamLayout, instrumentOf: InstrumentOf): PrivateCodec => ({
  decode: (frame, receivedAt, sink) => {
    const parsed = GateRow.parseFrame(frame)
    if (Result.isFailure(parsed)) return sink.failed(parsed.failure)
    const envelope = envelopeOf(parsed.success)
    if (envelope === null) return sink.failed("no object")
    const reading: Reading = { instrumentOf, receivedAt, origin: "Stream", settle: product.settle }
    route(product, layout, envelope, reading, sink)
  }
})

export const make = (product: Product, layout: StreamLayout): PrivateStream => ({
  endpoint: (url) =>
    Effect.succeed(Object.keys(product.headers).length === 0 ? { url } : { url, headers: product.headers }),
  needsUserId: layout.needsUserId,
  topics: (channel, userId) => {
    const known = layout.channels[channel] ?? []
    return known.map(({ payload, wire }) => ({ key: keyOf(wire, payload(userId)), channel }))
  },
  subscribe: requests("subscribe"),
  unsubscribe: requests("unsubscribe"),
  makeCodec: (instrumentOf) => makeCodec(product, layout, instrumentOf),
  heartbeat: GateRequests.heartbeat(product)
})
