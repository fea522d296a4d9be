/**
 * Who asks, and what is refused, on Gate's server: keys, signatures and times of signed REST calls, signed subscriptions
 * and logins; labels of refusals; and the JSON that spot and futures have in common. Sources: "API v4" (v4.106), "APIv4
 * signed request requirements" and "Error Handling"; "Spot WebSocket v4" (2026-07-25) and "Futures WebSocket v4"
 * (2026-08-20), "Authentication" and "WebSocket API".
 */
import { createHash, createHmac } from "node:crypto"
import type { WorldFinish, WorldOrder, WorldRefusal } from "../../AccountWorld.ts"
import type { DialectRequest, World } from "../../ExchangeDialect.ts"
import { trimmed } from "../../ExchangeDialect.ts"
import type { Session } from "./GateStreamsDialect.ts"
import { seconds } from "./GateStreamsDialect.ts"

export type { Session } from "./GateStreamsDialect.ts"

/** A refusal by REST and by the WebSocket API: `{"label","message"}` under an HTTP status. */
export interface Failure {
  readonly status: number
  readonly label: string
  readonly message: string
}

/** What was asked for. */
export interface Done {
  readonly status: number
  readonly body: Json
}

export type Outcome = Done | Failure

export const done = (body: Json, status = 200): Done => ({ status, body })

export const failed = (status: number, label: string, message: string): Failure => ({ status, label, message })

export const isFailure = (result: object): result is Failure => "label" in result && "message" in result

export const invalid = (name: string, value: string): Failure =>
  failed(400, "INVALID_PARAM_VALUE", `Invalid request parameter \`${name}\` value: ${value}`)

export const missing = (name: string): Failure =>
  failed(400, "MISSING_REQUIRED_PARAM", `Missing required parameter: ${name}`)

export const invalidBody: Failure = failed(400, "INVALID_REQUEST_BODY", "Invalid request body")

// ---- JSON -----------------------------------------------------------------------------------------------------------

/** Text that is JSON already: numbers keep all their digits. */
export type Json = string

export const quoted = (text: string): Json => JSON.stringify(text)

export const object = (fields: Readonly<Record<string, Json | undefined>>): Json =>
  `{${Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [`"${name}":${value}`]).join(",")}}`

export const list = (items: ReadonlyArray<Json>): Json => `[${items.join(",")}]`

export type Parsed = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is Parsed =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const textIn = (body: Parsed, name: string): string => {
  const value = body[name]
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : ""
}

/** A decimal that came as text or as a number; null when it is neither. */
export const decimalIn = (body: Parsed, name: string): string | null => {
  const text = textIn(body, name)
  return /^-?\d+(\.\d+)?$/.test(text) ? trimmed(text) : null
}

/** The body as JSON; undefined when it is none. */
export const bodyOf = (request: DialectRequest): unknown => {
  try {
    return JSON.parse(request.body)
  } catch {
    return undefined
  }
}

/** What changes how an order trades and is not simulated, when it is asked for: better refused than left undone. */
export const notSimulated = (body: Parsed): Failure | null => {
  const iceberg = textIn(body, "iceberg")
  if (iceberg !== "" && Number(iceberg) !== 0) return invalid("iceberg", iceberg)
  for (const name of ["stp_act", "auto_size"]) {
    const value = textIn(body, name)
    if (value !== "" && value !== "-") return invalid(name, value)
  }
  return null
}

// ---- who asks -------------------------------------------------------------------------------------------------------

const hmac = (secret: string, text: string): string => createHmac("sha512", secret).update(text).digest("hex")

const invalidKey = failed(401, "INVALID_KEY", "Invalid key provided")
const mismatch = failed(401, "INVALID_SIGNATURE", "Signature mismatch")
const readOnly = failed(403, "READ_ONLY", "The API key has no permission to trade")
const forbidden = failed(403, "FORBIDDEN", "The API key has no permission to read")

/** Measured: a stale request is refused before its key is looked at. */
const expired = failed(
  403,
  "REQUEST_EXPIRED",
  "gap between request Timestamp and server time exceeds 60 seconds"
)

const isStale = (timestamp: string, now: number): boolean =>
  !/^\d{1,12}$/.test(timestamp) || Math.abs(Number(timestamp) * 1_000 - now) > 60_000

export interface Claim {
  readonly apiKey: string
  readonly signature: string
  /** Texts of which one has to be what was signed. */
  readonly signed: ReadonlyArray<string>
  readonly address: string
  readonly needs: "read" | "trade"
}

/** Whose key it is, when everything about it is right. */
export const sessionOf = (world: World, { address, apiKey, needs, signature, signed }: Claim): Session | Failure => {
  const found = world.accounts.find(apiKey)
  if (found === null) return invalidKey
  const { addresses, permissions, secret } = found.key
  if (!signed.some((text) => hmac(secret, text) === signature)) return mismatch
  if (addresses !== null && !addresses.includes(address)) {
    return failed(403, "FORBIDDEN", `Request IP not in whitelist: ${address}`)
  }
  if (permissions.has(needs)) return found
  return needs === "trade" ? readOnly : forbidden
}

const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const signedHeaders = ["Timestamp", "KEY", "SIGN"] as const

/** Query and path are signed as they read, not as they are escaped. */
const restText = (request: DialectRequest, path: string): string => {
  const hash = createHash("sha512").update(request.body).digest("hex")
  const { headers, method, search } = request
  return `${method}\n/api/v4${path}\n${unescaped(search)}\n${hash}\n${headers["timestamp"]}`
}

export const restSession = (request: DialectRequest, world: World, needs: "read" | "trade"): Session | Failure => {
  const { address, headers, path } = request
  const missing = signedHeaders.find((name) => headers[name.toLowerCase()] === undefined)
  if (missing !== undefined) return failed(400, "MISSING_REQUIRED_HEADER", `Missing required header: ${missing}`)
  if (isStale(headers["timestamp"]!, world.now())) return expired
  return sessionOf(world, {
    apiKey: headers["key"]!,
    signature: headers["sign"]!,
    signed: [restText(request, path), restText(request, unescaped(path))],
    address,
    needs
  })
}

/** Of a signed subscription: `channel=…&event=…&time=…`. */
export const subscriptionSession = (
  world: World,
  address: string,
  request: { readonly channel: string; readonly event: string; readonly time: unknown; readonly auth: unknown }
): Session | Failure => {
  const { auth, channel, event, time } = request
  if (!isObject(auth) || auth["method"] !== "api_key") return invalidKey
  if (isStale(String(time), world.now())) return expired
  return sessionOf(world, {
    apiKey: textIn(auth, "KEY"),
    signature: textIn(auth, "SIGN"),
    signed: [`channel=${channel}&event=${event}&time=${String(time)}`],
    address,
    needs: "read"
  })
}

/** Of a login, or of a request that is signed by itself: `api\n<channel>\n<what is sent as req_param>\n<timestamp>`. */
export const apiSession = (
  world: World,
  address: string,
  channel: string,
  payload: Parsed,
  needs: "read" | "trade"
): Session | Failure => {
  const timestamp = textIn(payload, "timestamp")
  if (isStale(timestamp, world.now())) return expired
  const parameters = payload["req_param"] === undefined ? "" : JSON.stringify(payload["req_param"])
  return sessionOf(world, {
    apiKey: textIn(payload, "api_key"),
    signature: textIn(payload, "signature"),
    signed: [`api\n${channel}\n${parameters}\n${timestamp}`],
    address,
    needs
  })
}

// ---- refusals -------------------------------------------------------------------------------------------------------

/** Labels of "Error Handling"; the messages are Gate's where they are known. */
export type Labels = Readonly<Record<WorldRefusal, Failure>>

const bad = (label: string, message: string): Failure => failed(400, label, message)

const common: Labels = {
  unknownPair: bad("INVALID_CURRENCY_PAIR", "Invalid currency pair"),
  badQuantity: bad("INVALID_PRECISION", "Invalid amount precision"),
  badPrice: bad("INVALID_PRECISION", "Invalid price precision"),
  tooSmall: bad("INVALID_PARAM_VALUE", "Your order size is too small"),
  insufficientBalance: bad("BALANCE_NOT_ENOUGH", "Not enough balance"),
  duplicateClientOrderId: bad("REPEATED_CREATION", "An order with this text exists"),
  wouldMatch: bad("POC_FILL_IMMEDIATELY", "Order would match and take immediately so it is cancelled"),
  notFillable: bad("FOK_NOT_FILL", "Order cannot be filled completely"),
  unknownOrder: failed(404, "ORDER_NOT_FOUND", "Order not found"),
  orderFinished: bad("ORDER_CLOSED", "Order has been closed"),
  reduceOnlyIncreases: bad("INCREASE_POSITION", "Reduce-only order would increase the position"),
  tooManyOrders: bad("TOO_MANY_ORDERS", "Too many open orders"),
  noChange: bad("NO_CHANGE", "No change is made"),
  noPosition: bad("POSITION_NOT_FOUND", "Position not found"),
  badLeverage: bad("LEVERAGE_TOO_HIGH", "Leverage is too high")
}

export const spotLabels: Labels = common

export const futuresLabels: Labels = {
  ...common,
  unknownPair: bad("CONTRACT_NOT_FOUND", "Contract not found"),
  badQuantity: bad("INVALID_PARAM_VALUE", "size is invalid"),
  badPrice: bad("INVALID_PARAM_VALUE", "price is invalid"),
  tooSmall: bad("SIZE_TOO_SMALL", "Order size is too small"),
  insufficientBalance: bad("INSUFFICIENT_AVAILABLE", "Available balance is not enough"),
  wouldMatch: bad("ORDER_POC_IMMEDIATE", "Order would match and take immediately so it is cancelled"),
  notFillable: bad("ORDER_FOK", "Order cannot be filled completely"),
  orderFinished: bad("ORDER_FINISHED", "Order is finished")
}

/** Placing an order that ends at once for these reasons is an error, and leaves nothing open. */
const endsAsRefusal: Readonly<Partial<Record<WorldFinish, WorldRefusal>>> = {
  postOnly: "wouldMatch",
  fok: "notFillable"
}

/** A placed order, or why there is none. */
export const placedOr = (result: WorldOrder | WorldRefusal, labels: Labels): WorldOrder | Failure => {
  if (typeof result === "string") return labels[result]
  const refusal = result.finish === null ? undefined : endsAsRefusal[result.finish]
  return refusal === undefined ? result : labels[refusal]
}

// ---- words ----------------------------------------------------------------------------------------------------------

const finishes: Readonly<Record<WorldFinish, string>> = {
  filled: "filled",
  cancelled: "cancelled",
  ioc: "ioc",
  fok: "fok",
  postOnly: "poc",
  reduceOnly: "reduce_only",
  insufficientBalance: "trader_not_enough",
  liquidated: "liquidated"
}

export const finishOf = (finish: WorldFinish): string => finishes[finish]

const timesInForce = { gtc: "gtc", ioc: "ioc", fok: "fok", postOnly: "poc" } as const

export const timeInForceOf = ({ timeInForce }: Pick<WorldOrder, "timeInForce">): string => timesInForce[timeInForce]

export const timeInForceIn = (word: string): WorldOrder["timeInForce"] | null => {
  const found = Object.entries(timesInForce).find(([, name]) => name === word)
  return found === undefined ? null : found[0] as WorldOrder["timeInForce"]
}

/** `t-` and up to 28 of these ("Create an order, text"). */
const clientText = /^t-[0-9A-Za-z_.-]{1,28}$/

/** Ours, without prefix; null where none was given; undefined when it is not valid. */
export const clientOrderIdIn = (text: string): string | null | undefined =>
  text === "" ? null : clientText.test(text) ? text.slice(2) : undefined

/** Where an order came from stands in the place of a text that was not given. */
export const textOf = (clientOrderId: string | null, source: string): string =>
  clientOrderId === null ? source : `t-${clientOrderId}`

export const secondsText = (millis: number): Json => `"${seconds(millis)}"`

export const millisText = (millis: number): Json => `"${Math.floor(millis)}"`

/** s with decimals, as futures answers have it. */
export const fractional = (millis: number): Json => String(Math.floor(millis) / 1_000)

export const negated = (quantity: string): string =>
  quantity.startsWith("-") ? quantity.slice(1) : Number(quantity) === 0 ? quantity : `-${quantity}`
