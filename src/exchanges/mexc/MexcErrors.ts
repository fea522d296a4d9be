/** What MEXC's refusals mean, as pure functions. */
import type { AnswerClass } from "../../ExchangeError.ts"

/** The adapter's id, for errors. */
export const exchange = "mexc-spot"

/** One class and the codes of it. */
type Row = readonly [answerClass: AnswerClass, codes: ReadonlyArray<number>]

/**
 * Codes of "Spot V3, General Info, Error Code" (copies of 2025-02 and 2025-09) and of the order endpoints; the ones
 * that only clients report are 402, 406, 510, 604, 701 to 704, 801, 11444, 30087, 88013, 700013, -1121 and -2013.
 */
const rows: ReadonlyArray<Row> = [
  // Too many requests.
  ["rateLimit", [429, 510]],
  // Internal error, not available, time-out, "request failed"; clock outside recvWindow, invalid Request-Time.
  ["retryable", [500, 503, 504, 20002, 730000, 700003, 10073]],
  // Key missing, expired or invalid; bad signature; address not on the list; no permission.
  ["auth", [400, 401, 402, 403, 406, 602, 701, 702, 703, 704, 10072, 700001, 700002, 700006, 700007]],
  // Key banned from a pair, operation not allowed, no permission for the symbol.
  ["auth", [70011, 26, 30020]],
  // Account abnormal, risk control, unusual user status: a person has to look.
  ["auth", [60005, 10098, 730100]],
  // recvWindow too large, parameter missing or illegal, wrong content type, unsupported operation.
  ["bug", [700005, 700004, 700008, 700013, 33333, 44444, 730002, 730003]],
  // Unknown symbol.
  ["item", [10007, 30014, 30021, 730001, -1121]],
  // Suspended, trading off, maintenance.
  ["unavailable", [30000, 30016, 604, 801, 11444]],
  // Side or order type not allowed, amount, position and order limits, price band, no opposite order.
  ["item", [30001, 30018, 30019, 30041, 30002, 88013, 30003, 30032, 30027, 30028, 30029, 30010, 30087, 30025]],
  // Balance, position, oversold.
  ["item", [10101, 30004, 30005]],
  // Unknown order or record.
  ["item", [-2011, -2013, 22222, 30026]]
]

const classes: ReadonlyMap<string, AnswerClass> = new Map(
  rows.flatMap(([answerClass, codes]) => codes.map((code) => [String(code), answerClass] as const))
)

/** Codes with more than one meaning: the text decides, and the table when it says nothing known. */
const byText: ReadonlyMap<string, ReadonlyArray<readonly [pattern: RegExp, answerClass: AnswerClass]>> = new Map([
  // "API key required", and also "The start time cannot be earlier than 90 days".
  ["400", [[/key/i, "auth"], [/\S/, "bug"]]],
  ["500", [[/maintenance/i, "unavailable"]]],
  // Documented twice: "Pair not found" and "User information error".
  ["730001", [[/user/i, "auth"]]]
])

/** An HTML page in place of an answer: the edge filter in front of the exchange. */
export const isPage = (text: string): boolean => /^\s*</.test(text)

/**
 * Codes of failures inside the exchange or on the way to it: whether a command was carried out is not known ("General
 * Info": a 5xx must not be taken for a failure).
 */
const open: ReadonlySet<string> = new Set(["500", "503", "504", "20002", "730000"])

export const leavesOpen = (code: string): boolean => open.has(code)

/** Stamp outside `recvWindow`, invalid Request-Time. */
const stampOff: ReadonlySet<string> = new Set(["700003", "10073"])

export const isStampOff = (code: string): boolean => stampOff.has(code)

/** There is no such order. */
const unknownOrder: ReadonlySet<string> = new Set(["-2011", "-2013", "22222", "30026"])

export const isUnknownOrder = (code: string): boolean => unknownOrder.has(code)

export interface Classification {
  readonly class: AnswerClass
}

/**
 * The class of a refusal. `code` is the exchange's own, empty when the body holds none; `text` its message or the body;
 * `httpStatus` null on a WebSocket.
 *
 * 403 with a page is the edge filter's way to say "too many requests" (measured, about 20 to 30 requests a second); 429
 * and 418 are the documented ones. A known code decides next, then 5xx, which is worth another try. What is left is
 * nothing that the documents name: a request that the exchange does not understand.
 */
export const classify = (code: string, text: string, httpStatus: number | null): Classification => ({
  class: rateLimited(code, text, httpStatus) ? "rateLimit" : known(code, text) ?? unknown(httpStatus)
})

const rateLimited = (code: string, text: string, httpStatus: number | null): boolean =>
  httpStatus === 429 || httpStatus === 418 || (httpStatus === 403 && (code === "" || isPage(text)))

const known = (code: string, text: string): AnswerClass | undefined => {
  const special = byText.get(code)?.find(([pattern]) => pattern.test(text))
  return special === undefined ? classes.get(code) : special[1]
}

const unknown = (httpStatus: number | null): AnswerClass =>
  httpStatus === null || httpStatus >= 500 ? "retryable" : "bug"

/**
 * How long to wait when the answer does not say, ms. The request limit counts over 10 seconds; the shortest ban that
 * the documents name is 2 minutes, and the edge filter needs minutes as well ("Spot V3, General Info, Limits").
 */
export const pauseMillis = (httpStatus: number): number => (httpStatus === 429 ? 10_000 : 120_000)
