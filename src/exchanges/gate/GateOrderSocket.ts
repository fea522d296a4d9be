/**
 * Order entry over Gate's WebSocket API: one login for a connection, then requests without signature. Placing is answered
 * twice, first with `ack: true`, which only says that the request has come. Sources: Gate WebSocket v4 documents, spot
 * (2026-07-25) and futures (2026-08-25), "Websocket API".
 */
import { Effect, Redacted, Result } from "effect"
import type { OrderSink, OrderSocket, Reply } from "../../AccountAdapter.ts"
import type { Signer } from "../../connection/Auth.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { Stamp } from "../../ExchangeAdapter.ts"
import type { Rejection } from "../../OrderEntry.ts"
import type { OrderCommand, OrderLayout } from "./GateCommands.ts"
import * as GateCommands from "./GateCommands.ts"
import * as GateErrors from "./GateErrors.ts"
import type { Product } from "./GateProduct.ts"
import * as GateReplies from "./GateReplies.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateRow from "./GateRow.ts"
import * as GateSigning from "./GateSigning.ts"

/** ms that a request may be on its way; Gate refuses it when it comes later (`x-gate-exptime`). */
export const expiryMillis = 4_000

const login = (layout: OrderLayout, signer: Signer, stamp: Stamp) => {
  const id = String(stamp.nextId())
  const channel = `${layout.prefix}.login`
  const time = GateRequests.seconds(stamp)
  // The documents sign an empty parameter and send none; clients that sign another text send it as well.
  return Effect.map(signer.sign(GateSigning.api(channel, "", time)), (signature) => ({
    id,
    frame: JSON.stringify({
      time,
      channel,
      event: "api",
      payload: { api_key: Redacted.value(signer.key), signature, timestamp: String(time), req_id: id }
    })
  }))
}

const request = (layout: OrderLayout, command: OrderCommand, stamp: Stamp) => {
  const id = String(stamp.nextId())
  const { channel, parameters } = GateCommands.apiRequest(layout, command)
  const expiry = GateCommands.writes(command)
    ? { req_header: { "x-gate-exptime": String(Math.floor(stamp.nowMillis) + expiryMillis) } }
    : {}
  const frame = JSON.stringify({
    time: GateRequests.seconds(stamp),
    channel,
    event: "api",
    payload: { req_id: id, req_param: parameters, ...expiry }
  })
  return { id, frame }
}

// ---- answers ----

interface Response {
  readonly id: string
  readonly channel: string
  readonly status: number
  readonly acknowledges: boolean
  /** ms until the window of the limit that was passed ends; null where it is not told. */
  readonly retryAfterMs: number | null
  readonly errors: unknown
  readonly result: unknown
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined

/** Both times are Gate's. The documents spell the name of the second one both ways. */
const retryAfter = (header: GateRow.Row): number | null => {
  const at = header.timeOr("response_time")
  const reset = header.timeOr("x_gate_ratelimit_reset_timestamp", "x_gat_ratelimit_reset_timestamp")
  return at === null || reset === null ? null : Math.max(0, reset - at)
}

const responseOf = (frame: unknown): Response => {
  const header = new GateRow.Row(field(frame, "header"))
  const data = field(frame, "data")
  return {
    id: new GateRow.Row(frame).textOr("request_id") ?? "",
    channel: header.textOr("channel") ?? "",
    status: Number(header.textOr("status") ?? Number.NaN),
    acknowledges: field(frame, "ack") === true,
    retryAfterMs: retryAfter(header),
    errors: field(data, "errs"),
    result: field(data, "result")
  }
}

/** Null when it is an answer that grants. */
const rejectionOf = (response: Response): Rejection | null => {
  const rejection = refusalOf(response)
  const { retryAfterMs } = response
  return rejection?.class === "rateLimit" && retryAfterMs !== null ? { ...rejection, retryAfterMs } : rejection
}

const refusalOf = ({ channel, errors, status }: Response): Rejection | null => {
  if (errors === undefined || errors === null) {
    return status >= 200 && status < 300
      ? null
      : { code: String(status), detail: `${channel} without a reason`, class: GateErrors.classifyLabel(null, status) }
  }
  return GateReplies.rejectionOf(new GateRow.Row(errors), status)
}

/** The server failed on the way: nobody knows how far it came. */
const isUndecided = ({ code }: Rejection, status: number): boolean =>
  status >= 500 || code === "INTERNAL" || code === "SERVER_ERROR"

const isLogin = (channel: string): boolean => channel.endsWith(".login")

const answered = (layout: OrderLayout, response: Response, instrumentOf: InstrumentOf, sink: OrderSink): void => {
  const { channel, id } = response
  if (isLogin(channel)) return sink.loggedIn(id)
  const reply = GateReplies.read(layout, replyOf(layout, channel, response.result), response.result, instrumentOf)
  if (Result.isSuccess(reply)) return sink.answered(id, reply.success)
  // It was carried out, and nothing else is known of it.
  sink.failed(`${channel}: ${reply.failure}`)
  sink.lost(id, `the answer cannot be read: ${reply.failure}`)
}

/** Spot places batches and single orders over the same channel. */
const replyOf = (layout: OrderLayout, channel: string, result: unknown): Reply["_tag"] => {
  if (channel === layout.batchChannel && Array.isArray(result)) return "Placed"
  return Array.isArray(result) ? "Orders" : "Order"
}

const refused = (response: Response, rejection: Rejection, sink: OrderSink): void => {
  const { channel, id, status } = response
  if (isLogin(channel)) return sink.loginRefused(id, rejection)
  if (channel.endsWith(".order_status") && GateReplies.isUnknownOrder(rejection.code)) {
    return sink.answered(id, { _tag: "Nothing" })
  }
  if (isUndecided(rejection, status)) return sink.lost(id, `${rejection.code}: ${rejection.detail}`)
  sink.refused(id, rejection)
}

const respond = (layout: OrderLayout, response: Response, instrumentOf: InstrumentOf, sink: OrderSink): void => {
  if (response.channel === "") return sink.failed(`an answer to ${response.id} without a channel`)
  const rejection = rejectionOf(response)
  if (rejection !== null) return refused(response, rejection, sink)
  if (response.acknowledges) return sink.received(response.id)
  answered(layout, response, instrumentOf, sink)
}

/** What is no answer: pongs and notices. */
const unasked = (layout: OrderLayout, frame: unknown, sink: OrderSink): void => {
  const channel = new GateRow.Row(frame).textOr("channel")
  if (channel === `${layout.prefix}.pong`) return sink.pong()
  const notice = new GateRow.Row(field(frame, "result"))
  if (channel === `${layout.prefix}.system` && notice.textOr("type") === "upgrade") {
    return sink.closing(notice.textOr("msg") ?? "service upgrade")
  }
  sink.ignored(`channel ${JSON.stringify(channel)}`)
}

const commands: ReadonlySet<OrderCommand["_tag"]> = new Set(["Place", "PlaceAll", "Cancel", "Amend", "Get"])

const isOrderCommand = (command: { readonly _tag: string }): command is OrderCommand =>
  commands.has(command._tag as OrderCommand["_tag"])

export const make = (product: Product, layout: OrderLayout): OrderSocket => ({
  commands,
  excepts: (command) => GateCommands.isOfTrigger(command) || (command._tag === "Get" && !layout.socketGets),
  endpoint: (url) => Object.keys(product.headers).length === 0 ? { url } : { url, headers: product.headers },
  login: (signer, stamp) => login(layout, signer, stamp),
  request: (command, stamp) => {
    if (isOrderCommand(command) && !GateCommands.isOfTrigger(command)) return request(layout, command, stamp)
    // Only what `commands` names is asked of this socket.
    throw new TypeError(`${command._tag} does not go over Gate's WebSocket API`)
  },
  decode: (frame, instrumentOf, sink) => {
    const parsed = GateRow.parseFrame(frame)
    if (Result.isFailure(parsed)) return sink.failed(parsed.failure)
    const response = responseOf(parsed.success)
    if (response.id === "") return unasked(layout, parsed.success, sink)
    respond(layout, response, instrumentOf, sink)
  }
})
