/** What every documented refusal of Gate means. */
import { assert, describe, it } from "@effect/vitest"
import type { AnswerClass } from "../../src/ExchangeError.ts"
import * as GateErrors from "../../src/exchanges/gate/GateErrors.ts"

describe("WebSocket codes", () => {
  it.each(
    [
      ["1", "bug"],
      ["2", "item"],
      ["3", "retryable"],
      ["4", "auth"],
      ["6", "auth"],
      ["11", "auth"],
      // Undocumented ones are tried again; labels in place of a code keep their class.
      ["5", "retryable"],
      ["none", "retryable"],
      ["constructor", "retryable"],
      ["INVALID_CURRENCY_PAIR", "item"],
      ["TOO_MANY_REQUESTS", "rateLimit"]
    ] as const
  )("%s is %s", (code, answerClass) => {
    assert.strictEqual(GateErrors.classifyCode(code), answerClass)
  })
})

/** As the label list of the REST documents groups them. */
const documented: ReadonlyArray<readonly [AnswerClass, string]> = [
  [
    "auth",
    `INVALID_CREDENTIALS INVALID_KEY IP_FORBIDDEN READ_ONLY INVALID_SIGNATURE MISSING_REQUIRED_HEADER ACCOUNT_LOCKED
     FORBIDDEN AUTHENTICATION_FAILED SUB_ACCOUNT_LOCKED`
  ],
  // Clock: the next request carries a new time stamp.
  ["retryable", "REQUEST_EXPIRED"],
  ["rateLimit", "TOO_MANY_REQUESTS TOO_FAST"],
  ["retryable", "INTERNAL SERVER_ERROR TOO_BUSY"],
  [
    "bug",
    `INVALID_PARAM_VALUE INVALID_PROTOCOL INVALID_ARGUMENT INVALID_REQUEST_BODY MISSING_REQUIRED_PARAM BAD_REQUEST
     INVALID_CONTENT_TYPE NOT_ACCEPTABLE METHOD_NOT_ALLOWED NOT_FOUND TOO_BIG`
  ],
  [
    "item",
    `INVALID_PRECISION AMOUNT_TOO_LITTLE AMOUNT_TOO_MUCH QUANTITY_NOT_ENOUGH SIZE_TOO_SMALL SIZE_TOO_LARGE
     PRICE_TOO_DEVIATED PRICE_THRESHOLD_EXCEEDED PRICE_OVER_LIQUIDATION PRICE_OVER_BANKRUPT ERR_QUOTA_LOWER_LIMIT`
  ],
  ["item", "INVALID_CURRENCY INVALID_CURRENCY_PAIR CONTRACT_NOT_FOUND CONTRACT_IN_DELISTING"],
  ["unavailable", "TRADE_RESTRICTED"],
  [
    "item",
    `BALANCE_NOT_ENOUGH INSUFFICIENT_AVAILABLE FUTURES_BALANCE_NOT_ENOUGH MARGIN_BALANCE_NOT_ENOUGH RISK_LIMIT_EXCEEDED
     LIQUIDATE_IMMEDIATELY INITIAL_MARGIN_TOO_LOW LEVERAGE_TOO_HIGH LEVERAGE_TOO_LOW USER_NOT_FOUND`
  ],
  [
    "item",
    "POC_FILL_IMMEDIATELY ORDER_POC_IMMEDIATE FOK_NOT_FILL ORDER_FOK INCREASE_POSITION REDUCE_EXCEEDED"
  ],
  [
    "item",
    `ORDER_NOT_FOUND CLIENT_ID_NOT_FOUND ORDER_NOT_OWNED ORDER_CLOSED ORDER_CANCELLED ORDER_FINISHED CANCEL_FAIL
     NO_CHANGE AMEND_WITH_STOP`
  ],
  ["item", "TOO_MANY_ORDERS TOO_MANY_CURRENCY_PAIRS REPEATED_CREATION"],
  ["bug", "MIXED_ACCOUNT_TYPE"],
  [
    "item",
    `POSITION_EMPTY POSITION_NOT_FOUND POSITION_IN_LIQUIDATION POSITION_IN_CLOSE POSITION_CROSS_MARGIN
     POSITION_DUAL_MODE POSITION_HOLDING ORDER_PENDING RISK_LIMIT_NOT_MULTIPLE RISK_LIMIT_TOO_HIGH RISK_LIMIT_TOO_lOW
     RISK_LIMIT_TOO_LOW`
  ]
]

describe("REST labels", () => {
  const table = documented.flatMap(([answerClass, labels]) =>
    labels.split(/\s+/).map((label) => [label, answerClass] as const)
  )
  it.each(table)("%s is %s", (label, answerClass) => {
    // The status must not matter where there is a label.
    assert.strictEqual(GateErrors.classifyLabel(label, 400), answerClass)
    assert.strictEqual(GateErrors.classifyLabel(label, 500), answerClass)
  })

  it("there are no others, and none twice", () => {
    const labels = table.map(([label]) => label)
    assert.deepStrictEqual([...GateErrors.restLabels.keys()].sort(), labels.sort())
    assert.strictEqual(new Set(labels).size, labels.length)
  })

  it.each(
    [
      [429, "rateLimit"],
      [401, "auth"],
      [400, "bug"],
      [404, "bug"],
      [500, "retryable"],
      [502, "retryable"]
    ] as const
  )("without a known label, HTTP %s is %s", (status, answerClass) => {
    assert.strictEqual(GateErrors.classifyLabel(null, status), answerClass)
    assert.strictEqual(GateErrors.classifyLabel("NEW_LABEL", status), answerClass)
  })

  it("takes 403 with a label for a refusal of the API, and without one for the filter before it", () => {
    assert.strictEqual(GateErrors.classifyLabel("NEW_LABEL", 403), "auth")
    assert.strictEqual(GateErrors.classifyLabel(null, 403), "rateLimit")
  })
})

describe("refusals", () => {
  it("unwrap the JSON that code 4 has for a message", () => {
    const message = "{\"label\":\"INVALID_KEY\",\"message\":\"Invalid key provided\"}\n"
    assert.deepStrictEqual(GateErrors.refusal("4", message), {
      code: "4",
      detail: "INVALID_KEY: Invalid key provided",
      class: "auth"
    })
  })
  it("keep every other message", () => {
    for (const message of ["unknown currency pair: X", "", "{", "{\"label\":1}", "7"]) {
      assert.strictEqual(GateErrors.refusal("2", message).detail, message)
    }
  })
})

describe("duplicates", () => {
  it.each(
    [
      ["2", "Alert sub ob.BTC_USDT.50", "ob.BTC_USDT.50"],
      ["2", "unknown currency pair: X", null],
      ["3", "Alert sub ob.BTC_USDT.50", null]
    ] as const
  )("code %s, %s: %s", (code, message, stream) => {
    assert.strictEqual(GateErrors.duplicateOf(code, message), stream)
  })
})

it.each([
  ["REQUEST_EXPIRED", "", true],
  ["4", "REQUEST_EXPIRED: gap between request Timestamp and server time exceeds 60 seconds", true],
  ["INVALID_PARAM_VALUE", "Invalid timestamp", true],
  ["INVALID_SIGNATURE", "Signature mismatch", false]
])("%s %s: whether the stamp was off", (code, detail, isOff) => {
  assert.strictEqual(GateErrors.isStampOff(code, detail), isOff)
})
