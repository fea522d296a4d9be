import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { AnswerClass } from "../../src/ExchangeError.ts"
import * as MexcErrors from "../../src/exchanges/mexc/MexcErrors.ts"

/** The documents' table, code by code, with the texts that they print where these matter. */
const table: ReadonlyArray<readonly [code: string, text: string, status: number | null, expected: AnswerClass]> = [
  ["429", "Too Many Requests", 429, "rateLimit"],
  ["510", "Excessive frequency of requests", 400, "rateLimit"],
  ["500", "Internal error", 500, "retryable"],
  ["500", "Under maintenance, please try again later", 500, "unavailable"],
  ["503", "service not available, please try again", 503, "retryable"],
  ["504", "Gateway Time-out", 504, "retryable"],
  ["20002", "Internal system error please contact support", 400, "retryable"],
  ["730000", "Request failed, please contact the customer service", 400, "retryable"],
  ["700003", "Timestamp for this request is outside of the recvWindow", 400, "retryable"],
  ["10073", "invalid Request-Time", 400, "retryable"],
  ["400", "api key required", 400, "auth"],
  ["400", "", 400, "auth"],
  ["400", "The start time cannot be earlier than 90 days", 400, "bug"],
  ["401", "No authority", 401, "auth"],
  ["402", "API_KEY expired", 400, "auth"],
  ["403", "Access Denied", 403, "auth"],
  ["403", "Access Denied", null, "auth"],
  ["10072", "invalid access key", 400, "auth"],
  ["602", "Signature verification failed", 400, "auth"],
  ["700001", "API-key format invalid", 400, "auth"],
  ["700002", "Signature for this request is not valid", 400, "auth"],
  ["700006", "IP non white list", 400, "auth"],
  ["406", "IP not in the whitelist", 400, "auth"],
  ["700007", "No permission to access the endpoint", 400, "auth"],
  ["701", "", 400, "auth"],
  ["702", "", 400, "auth"],
  ["703", "", 400, "auth"],
  ["704", "", 400, "auth"],
  ["70011", "Pair user ban trade apikey", 400, "auth"],
  ["26", "operation not allowed", 400, "auth"],
  ["30020", "no permission for the symbol", 400, "auth"],
  ["60005", "your account is abnormal", 400, "auth"],
  ["10098", "risk control system detected abnormal", 400, "auth"],
  ["730100", "Unusual user status", 400, "auth"],
  ["700005", "recvWindow must less than 60000", 400, "bug"],
  ["700004", "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null", 400, "bug"],
  ["700008", "Illegal characters found in parameter", 400, "bug"],
  ["33333", "param is error", 400, "bug"],
  ["44444", "param cannot be null", 400, "bug"],
  ["730002", "Your input param is invalid", 400, "bug"],
  ["730002", "Parameter error", 400, "bug"],
  ["730003", "Unsupported operation, please contact the customer service", 400, "bug"],
  ["700013", "Invalid content Type.", 400, "bug"],
  ["10007", "bad symbol", 400, "item"],
  ["30014", "invalid symbol", 400, "item"],
  ["30021", "invalid symbol", 400, "item"],
  ["730001", "Pair not found", 400, "item"],
  ["730001", "User information error", 400, "auth"],
  ["-1121", "Invalid symbol.", 400, "item"],
  ["30000", "suspended transaction for the symbol", 400, "unavailable"],
  ["30016", "trading disabled", 400, "unavailable"],
  ["604", "", 400, "unavailable"],
  ["801", "", 400, "unavailable"],
  ["11444", "", 400, "unavailable"],
  ["30001", "The current transaction direction is not allowed to place an order", 400, "item"],
  ["30018", "market order is disabled", 400, "item"],
  ["30019", "api market order is disabled", 400, "item"],
  ["30041", "current order type can not place order", 400, "item"],
  ["30002", "The minimum transaction volume cannot be less than : 5USDT", 400, "item"],
  ["88013", "", 400, "item"],
  ["30003", "The maximum transaction volume cannot be greater than : 1", 400, "item"],
  ["30032", "Cannot exceed the maximum position", 400, "item"],
  ["30027", "The currency has reached the maximum position limit, the buying is suspended", 400, "item"],
  ["30028", "The currency triggered the platform risk control, the selling is suspended", 400, "item"],
  ["30029", "Cannot exceed the maximum order limit", 400, "item"],
  ["10101", "Insufficient balance", 400, "item"],
  ["30004", "Insufficient position", 400, "item"],
  ["30005", "Oversold", 400, "item"],
  ["30010", "no valid trade price", 400, "item"],
  ["30087", "", 400, "item"],
  ["30025", "no exist opponent order", 400, "item"],
  ["-2011", "Unknown order sent", 400, "item"],
  ["-2013", "Order does not exist.", 400, "item"],
  ["22222", "record does not exist", 400, "item"],
  ["30026", "invalid order ids", 400, "item"],
  // Answers without a code of the exchange, and codes that nobody has described.
  ["", "<!DOCTYPE html><html><body>Access Denied</body></html>", 403, "rateLimit"],
  ["", "", 403, "rateLimit"],
  ["", "", 429, "rateLimit"],
  ["", "", 418, "rateLimit"],
  ["30004", "Insufficient position", 418, "rateLimit"],
  ["", "<html>bad gateway</html>", 502, "retryable"],
  ["", "", 404, "bug"],
  ["123456", "something new", 400, "bug"],
  ["123456", "something new", 500, "retryable"],
  ["123456", "something new", null, "retryable"]
]

describe("MEXC refusals", () => {
  for (const [code, text, status, expected] of table) {
    it(`${code || "no code"} "${text}" with ${status === null ? "no status" : `HTTP ${status}`} is ${expected}`, () => {
      assert.deepStrictEqual(MexcErrors.classify(code, text, status), { class: expected })
    })
  }

  it.prop(
    "always has a class",
    { code: Schema.String, text: Schema.String, status: Schema.Int },
    ({ code, text, status }) => Schema.is(AnswerClass)(MexcErrors.classify(code, text, status).class)
  )

  it("pauses for the window of the request limit, and for minutes after a ban or a page", () => {
    assert.deepStrictEqual([429, 418, 403].map(MexcErrors.pauseMillis), [10_000, 120_000, 120_000])
  })
})
