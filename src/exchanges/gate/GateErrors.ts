/**
 * What Gate's refusals mean. Sources: Gate WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-20), "Error";
 * Gate REST v4 documents (v4.106), "Label list"; the codes 6 and 11 only from ccxt.
 */
import { Option, Schema } from "effect"
import type { Refusal } from "../../ExchangeAdapter.ts"
import type { AnswerClass } from "../../ExchangeError.ts"

/** Codes of `error.code` in an answer to subscribe and unsubscribe. */
export const websocketCodes: Readonly<Record<string, AnswerClass>> = {
  /** Malformed request; the socket stays open. */
  "1": "bug",
  /** Invalid argument: unknown pair or channel, unsupported level, duplicate subscription. */
  "2": "item",
  /** Server side error. */
  "3": "retryable",
  "4": "auth",
  /** Undocumented; ccxt maps 6 and 11 to authentication. */
  "6": "auth",
  "11": "auth"
}

const labels = (list: string): ReadonlyArray<string> => list.trim().split(/\s+/)

const labelsOf: Readonly<Record<AnswerClass, ReadonlyArray<string>>> = {
  auth: labels(`
    INVALID_CREDENTIALS INVALID_KEY IP_FORBIDDEN READ_ONLY INVALID_SIGNATURE MISSING_REQUIRED_HEADER ACCOUNT_LOCKED
    FORBIDDEN AUTHENTICATION_FAILED SUB_ACCOUNT_LOCKED
  `),
  rateLimit: labels("TOO_MANY_REQUESTS TOO_FAST"),
  // REQUEST_EXPIRED: the time stamp was too old; the next request carries a new one.
  retryable: labels("INTERNAL SERVER_ERROR TOO_BUSY REQUEST_EXPIRED"),
  bug: labels(`
    INVALID_PARAM_VALUE INVALID_PROTOCOL INVALID_ARGUMENT INVALID_REQUEST_BODY MISSING_REQUIRED_PARAM BAD_REQUEST
    INVALID_CONTENT_TYPE NOT_ACCEPTABLE METHOD_NOT_ALLOWED NOT_FOUND TOO_BIG MIXED_ACCOUNT_TYPE
  `),
  // Only what was asked for is refused: this pair, this order, this position. RISK_LIMIT_TOO_lOW is Gate's own spelling.
  item: labels(`
    INVALID_CURRENCY INVALID_CURRENCY_PAIR CONTRACT_NOT_FOUND CONTRACT_IN_DELISTING
    INVALID_PRECISION AMOUNT_TOO_LITTLE AMOUNT_TOO_MUCH QUANTITY_NOT_ENOUGH SIZE_TOO_SMALL SIZE_TOO_LARGE
    PRICE_TOO_DEVIATED PRICE_THRESHOLD_EXCEEDED PRICE_OVER_LIQUIDATION PRICE_OVER_BANKRUPT ERR_QUOTA_LOWER_LIMIT
    BALANCE_NOT_ENOUGH INSUFFICIENT_AVAILABLE FUTURES_BALANCE_NOT_ENOUGH MARGIN_BALANCE_NOT_ENOUGH
    RISK_LIMIT_EXCEEDED LIQUIDATE_IMMEDIATELY INITIAL_MARGIN_TOO_LOW LEVERAGE_TOO_HIGH LEVERAGE_TOO_LOW USER_NOT_FOUND
    POC_FILL_IMMEDIATELY ORDER_POC_IMMEDIATE FOK_NOT_FILL ORDER_FOK INCREASE_POSITION REDUCE_EXCEEDED
    ORDER_NOT_FOUND CLIENT_ID_NOT_FOUND ORDER_NOT_OWNED ORDER_CLOSED ORDER_CANCELLED ORDER_FINISHED CANCEL_FAIL
    NO_CHANGE AMEND_WITH_STOP TOO_MANY_ORDERS TOO_MANY_CURRENCY_PAIRS REPEATED_CREATION
    POSITION_EMPTY POSITION_NOT_FOUND POSITION_IN_LIQUIDATION POSITION_IN_CLOSE POSITION_CROSS_MARGIN
    POSITION_DUAL_MODE POSITION_HOLDING ORDER_PENDING RISK_LIMIT_NOT_MULTIPLE RISK_LIMIT_TOO_HIGH RISK_LIMIT_TOO_lOW
    RISK_LIMIT_TOO_LOW
  `),
  unavailable: labels("TRADE_RESTRICTED")
}

/** Labels of REST bodies and of the WebSocket API's `errs`. */
export const restLabels: ReadonlyMap<string, AnswerClass> = new Map(
  Object.entries(labelsOf).flatMap(([name, list]) => list.map((label) => [label, name as AnswerClass] as const))
)

/**
 * Class of a WebSocket refusal. A code nobody documents is tried again: that costs a request, while giving up would
 * cost the feed. Some answers carry a label in place of a code.
 */
export const classifyCode = (code: string): AnswerClass =>
  (Object.hasOwn(websocketCodes, code) ? websocketCodes[code] : restLabels.get(code)) ?? "retryable"

/** Class of a REST refusal: by its label, else by its HTTP status. `label` is null when the body has none. */
export const classifyLabel = (label: string | null, status: number): AnswerClass =>
  (label === null ? undefined : restLabels.get(label)) ?? classifyStatus(label, status)

/** 403 without a label is no answer of the API but a page of the filter before it, which passes. */
const classifyStatus = (label: string | null, status: number): AnswerClass => {
  if (status === 429 || (status === 403 && label === null)) return "rateLimit"
  if (status === 401 || status === 403) return "auth"
  return status >= 500 ? "retryable" : "bug"
}

/** Signed too long ago or ahead of its time; on a WebSocket the label may stand in the words. */
export const isStampOff = (code: string, detail: string): boolean =>
  code === "REQUEST_EXPIRED" || /REQUEST_EXPIRED|(invalid|request) timestamp/i.test(detail)

/** Code 4 wraps a label into its message: `{"label":"INVALID_KEY","message":"Invalid key provided"}\n`. */
const decodeWrapped = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ label: Schema.String, message: Schema.String }))
)

export const refusal = (code: string, message: string): Refusal => {
  const wrapped = Option.getOrNull(decodeWrapped(message))
  return {
    code,
    detail: wrapped === null ? message : `${wrapped.label}: ${wrapped.message}`,
    class: classifyCode(code)
  }
}

/**
 * Code 2 `Alert sub ob.BTC_USDT.50`: this very stream is subscribed already and goes on (measured on futures,
 * 2026-09-15; taken to hold for spot). Returns the stream's name, else null.
 */
export const duplicateOf = (code: string, message: string): string | null =>
  code === "2" && message.startsWith(duplicatePrefix) ? message.slice(duplicatePrefix.length).trim() : null

const duplicatePrefix = "Alert sub "
