/**
 * The one error of every service: which exchange, and a typed reason that says what was tried, on what, and what to do.
 * Recover from one reason with `Effect.catchReason("ExchangeError", "SubscriptionRejected", …)`.
 */
import { Schema } from "effect"

const Where = {
  /** Pair or wire symbol, where one is concerned. */
  symbol: Schema.optional(Schema.String),
  /** Channel tag, where one is concerned. */
  channel: Schema.optional(Schema.String)
}

/** What class an exchange's answer is of; `docs/errors.md` says what to do about each. */
export const AnswerClass = Schema.Literals([
  "retryable",
  "item",
  "rateLimit",
  "auth",
  "bug",
  "unavailable"
])
export type AnswerClass = typeof AnswerClass.Type

/** The socket could not be opened. */
export class ConnectFailed extends Schema.TaggedError<ConnectFailed>()("ConnectFailed", {
  /** Without query, so that no key is printed. */
  url: Schema.String,
  detail: Schema.String,
  /** False when trying again cannot help: a malformed URL, a missing capability, HTTP 401 or 403 with a JSON body. */
  retryable: Schema.Boolean
}) {}

/** The open socket ended. */
export class Disconnected extends Schema.TaggedError<Disconnected>()("Disconnected", {
  code: Schema.Int,
  detail: Schema.String
}) {}

/** Nothing came for longer than the bound, or only signs of life and no data. */
export class Silent extends Schema.TaggedError<Silent>()("Silent", {
  silentForMs: Schema.Finite,
  detail: Schema.String
}) {}

/** A frame was larger than the configured bound, after inflating it where compression is on. */
export class FrameTooLarge extends Schema.TaggedError<FrameTooLarge>()("FrameTooLarge", {
  limitBytes: Schema.Int
}) {}

/** Login refused, or a key without the right permission. */
export class AuthRejected extends Schema.TaggedError<AuthRejected>()("AuthRejected", {
  code: Schema.String,
  detail: Schema.String
}) {}

/** The exchange refused a subscription. */
export class SubscriptionRejected extends Schema.TaggedError<SubscriptionRejected>()("SubscriptionRejected", {
  ...Where,
  topic: Schema.String,
  code: Schema.String,
  detail: Schema.String,
  class: AnswerClass
}) {}

/** The exchange did not answer a subscription in time. */
export class SubscriptionTimeout extends Schema.TaggedError<SubscriptionTimeout>()("SubscriptionTimeout", {
  ...Where,
  topic: Schema.String,
  afterMs: Schema.Finite
}) {}

/** The exchange does not offer this channel, depth, speed or source. */
export class UnsupportedChannel extends Schema.TaggedError<UnsupportedChannel>()("UnsupportedChannel", {
  ...Where,
  detail: Schema.String
}) {}

/** The exchange does not list this pair. */
export class UnknownPair extends Schema.TaggedError<UnknownPair>()("UnknownPair", {
  symbol: Schema.String,
  detail: Schema.String
}) {}

/** A frame or a body could not be read. */
export class DecodeFailed extends Schema.TaggedError<DecodeFailed>()("DecodeFailed", {
  ...Where,
  detail: Schema.String
}) {}

/** A REST request failed. `unknownOutcome` matters for writes only. */
export class RequestFailed extends Schema.TaggedError<RequestFailed>()("RequestFailed", {
  ...Where,
  request: Schema.String,
  status: Schema.NullOr(Schema.Int),
  code: Schema.String,
  detail: Schema.String,
  class: AnswerClass,
  /** Milliseconds that the exchange asks to wait. */
  retryAfterMs: Schema.optional(Schema.Finite)
}) {}

/** An order that the instrument or the exchange cannot take. Nothing was sent. */
export class InvalidOrder extends Schema.TaggedError<InvalidOrder>()("InvalidOrder", {
  symbol: Schema.String,
  /** What of the request is wrong: `quantity`, `price`, `clientOrderId`, … */
  field: Schema.String,
  detail: Schema.String
}) {}

/** The exchange has no such order or command. Nothing was sent. */
export class UnsupportedOrder extends Schema.TaggedError<UnsupportedOrder>()("UnsupportedOrder", {
  symbol: Schema.optional(Schema.String),
  detail: Schema.String
}) {}

/** A command waited for its turn within the exchange's limits for longer than it may. Nothing was sent. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  /** The limit that is used up. */
  budget: Schema.String,
  /** Milliseconds until there is room. */
  retryAfterMs: Schema.Finite,
  detail: Schema.String
}) {}

/** The difference between our clock and the exchange's is not known, or too large, so signed requests would be refused. */
export class ClockUnusable extends Schema.TaggedError<ClockUnusable>()("ClockUnusable", {
  /** Ours minus the exchange's; null when it could not be measured. */
  offsetMs: Schema.NullOr(Schema.Finite),
  /** The offset is right to within this; null when it could not be measured. */
  errorMs: Schema.NullOr(Schema.Finite),
  /** Only the way to the exchange is too slow to measure it; a clock that is wrong stays so until somebody sets it. */
  retryable: Schema.Boolean,
  detail: Schema.String
}) {}

/**
 * What became of the last command for an order is not known, and asking has failed: it is held back from others until asking
 * again tells. `order`: its symbol and client order id, or `#` and the exchange's id.
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  order: Schema.String,
  detail: Schema.String
}) {}

/** A risk guard did not let the order pass. Nothing was sent. */
export class RiskRefused extends Schema.TaggedError<RiskRefused>()("RiskRefused", {
  symbol: Schema.String,
  /**
   * Which limit: `killSwitch`, `maxNotional`, `maxLoss`, `maxPosition`, `maxOpenOrders`, `maxOrderNotional`; or what is
   * missing: `balance`, `quantity` (below the least that can be ordered), `notReady`.
   */
  limit: Schema.String,
  /** `global`, or the exchange. */
  of: Schema.String,
  detail: Schema.String
}) {}

/** The service was closed; build its Layer anew. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", { detail: Schema.String }) {}

/** A call that the current state or the options do not allow. */
export class InvalidUse extends Schema.TaggedError<InvalidUse>()("InvalidUse", { detail: Schema.String }) {}

export const Reason = Schema.Union([
  ConnectFailed,
  Disconnected,
  Silent,
  FrameTooLarge,
  AuthRejected,
  SubscriptionRejected,
  SubscriptionTimeout,
  UnsupportedChannel,
  UnknownPair,
  DecodeFailed,
  RequestFailed,
  InvalidOrder,
  UnsupportedOrder,
  RateLimited,
  ClockUnusable,
  OutcomeUnknown,
  RiskRefused,
  Closed,
  InvalidUse
])
export type Reason = typeof Reason.Type

export class ExchangeError extends Schema.TaggedError<ExchangeError>("effect-exchange/ExchangeError")("ExchangeError", {
  exchange: Schema.String,
  reason: Reason
}) {
  /** May the same thing succeed when it is tried again? Reconnecting and resubscribing ask only this. */
  get isTransient(): boolean {
    return isTransient(this.reason)
  }
  override get message(): string {
    return `[${this.exchange}] ${describe(this.reason)}`
  }
}

/** Shorthand for the library: `fail("gate-spot", new Closed({…}))`. */
export const make = (exchange: string, reason: Reason): ExchangeError => new ExchangeError({ exchange, reason })

const transientClasses: ReadonlySet<AnswerClass> = new Set<AnswerClass>(["retryable", "rateLimit", "unavailable"])

// oxlint-disable-next-line complexity -- docs/decisions/0003-lint-exceptions.md
const isTransient = (reason: Reason): boolean => {
  switch (reason._tag) {
    case "Disconnected":
    case "Silent":
    case "SubscriptionTimeout":
    case "RateLimited":
      return true
    case "ConnectFailed":
    case "ClockUnusable":
      return reason.retryable
    case "SubscriptionRejected":
    case "RequestFailed":
      return transientClasses.has(reason.class)
    // A frame beyond the bound or one unreadable frame says nothing about the next connection.
    case "FrameTooLarge":
    case "DecodeFailed":
      return true
    case "AuthRejected":
    case "UnsupportedChannel":
    case "UnknownPair":
    case "InvalidOrder":
    case "UnsupportedOrder":
    case "OutcomeUnknown":
    case "RiskRefused":
    case "Closed":
    case "InvalidUse":
      return false
  }
}

const at = (reason: { readonly symbol?: string | undefined; readonly channel?: string | undefined }): string =>
  [reason.channel, reason.symbol].filter((part) => part !== undefined).join(" ") || "the request"

const advice: Readonly<Record<AnswerClass, string>> = {
  retryable: "trying again can help",
  item: "check the pair and the channel against `exchange instruments`; the others go on",
  rateLimit: "try again after a pause; lower the number of clients behind this address if it lasts",
  auth: "check the key, its permissions and its IP list",
  bug: "please report it with this message",
  unavailable: "the exchange has switched it off for now; try again later"
}

const describe = (reason: Reason): string => describers[reason._tag](reason as never)

const describers: { readonly [K in Reason["_tag"]]: (reason: Extract<Reason, { readonly _tag: K }>) => string } = {
  ConnectFailed: (r) =>
    `cannot connect to ${r.url}: ${r.detail}. ${
      r.retryable ? "Trying again can help." : "Correct the URL or the options."
    }`,
  Disconnected: (r) =>
    `connection ended (code ${r.code}${r.detail === "" ? "" : `, ${r.detail}`}); it is dialled again`,
  Silent: (r) => `nothing for ${Math.round(r.silentForMs)} ms: ${r.detail}; it is dialled again`,
  FrameTooLarge: (r) =>
    `a frame passed the bound of ${r.limitBytes} bytes; raise maxFrameBytes if the exchange really sends such frames`,
  AuthRejected: (r) => `authentication refused (${r.code}: ${r.detail}); ${advice.auth}`,
  SubscriptionRejected: (r) =>
    `subscribing ${at(r)} (${r.topic}) was refused with code ${r.code} "${r.detail}"; ${advice[r.class]}`,
  SubscriptionTimeout: (r) =>
    `subscribing ${at(r)} (${r.topic}) was not answered within ${r.afterMs} ms; it is tried again`,
  UnsupportedChannel: (r) => `${at(r)} is not offered: ${r.detail}`,
  UnknownPair: (r) => `${r.symbol} is not listed: ${r.detail}`,
  DecodeFailed: (r) => `cannot read ${at(r)}: ${r.detail}`,
  RequestFailed: (r) =>
    `${r.request} failed (${r.status === null ? "no answer" : `HTTP ${r.status}`}, ${r.code}: ${r.detail}); ${
      advice[r.class]
    }`,
  InvalidOrder: (r) => `the order for ${r.symbol} was not sent: ${r.field} ${r.detail}`,
  UnsupportedOrder: (r) => `${r.symbol === undefined ? "" : `${r.symbol}: `}nothing was sent: ${r.detail}`,
  RateLimited: (r) =>
    `nothing was sent: the limit ${r.budget} is used up for another ${Math.ceil(r.retryAfterMs)} ms; ${r.detail}`,
  ClockUnusable: (r) =>
    `our clock cannot sign for this exchange (${
      r.offsetMs === null ? "offset unknown" : `offset ${r.offsetMs} ms ± ${r.errorMs} ms`
    }): ${r.detail}`,
  OutcomeUnknown: (r) =>
    `what became of the last command for the order ${r.order} is not known (${r.detail}); nothing more is sent for it until ` +
    "it is: get and every later command for it ask again; cancelAll is not held back",
  RiskRefused: (r) => `${r.symbol}: nothing was sent, the risk guard refused it: ${r.limit} (${r.of}): ${r.detail}`,
  Closed: (r) => `closed: ${r.detail}`,
  InvalidUse: (r) => r.detail
}
