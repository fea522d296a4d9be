/** How MEXC's REST answers and refuses, the server's half. */
import type { WorldRefusal } from "../../AccountWorld.ts"
import type { DialectResponse } from "../../ExchangeDialect.ts"

export const json = (
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, string>>
): DialectResponse => ({
  status,
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(body)
})

export const failure = (
  status: number,
  code: number,
  msg: string,
  headers?: Readonly<Record<string, string>>
): DialectResponse => json(status, { code, msg, _extend: null }, headers)

export const unknownSymbol = (): DialectResponse => failure(400, -1121, "Invalid symbol.")

export const badParameter = (name: string): DialectResponse =>
  failure(400, 700004, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`)

export interface Refusal {
  readonly code: number
  readonly msg: string
}

/** "Error Code" of the documents, as far as they say which one it is; the rest is unconfirmed. */
const refusals: Readonly<Record<WorldRefusal, Refusal>> = {
  unknownPair: { code: -1121, msg: "Invalid symbol." },
  badQuantity: { code: 33333, msg: "Param error: quantity scale is invalid" },
  badPrice: { code: 33333, msg: "Param error: price scale is invalid" },
  tooSmall: { code: 30002, msg: "The minimum transaction volume cannot be less than the limit of this pair" },
  insufficientBalance: { code: 10101, msg: "Insufficient balance" },
  duplicateClientOrderId: { code: 33333, msg: "Param error: newClientOrderId is already in use" },
  wouldMatch: { code: 30010, msg: "No valid trade price" },
  notFillable: { code: 30025, msg: "No opponent order" },
  unknownOrder: { code: -2011, msg: "Unknown order sent" },
  orderFinished: { code: -2011, msg: "Order filled or cancelled" },
  tooManyOrders: { code: 30029, msg: "Cannot exceed the maximum order limit" },
  reduceOnlyIncreases: { code: 33333, msg: "Param error" },
  noChange: { code: 33333, msg: "Param error" },
  noPosition: { code: 33333, msg: "Param error" },
  badLeverage: { code: 33333, msg: "Param error" }
}

/** A sale of what is not there has a code of its own. */
export const refusalOf = (refusal: WorldRefusal, side?: "buy" | "sell"): Refusal =>
  refusal === "insufficientBalance" && side === "sell" ? { code: 30005, msg: "Oversold" } : refusals[refusal]

export const refused = (refusal: WorldRefusal, side?: "buy" | "sell"): DialectResponse => {
  const { code, msg } = refusalOf(refusal, side)
  return failure(400, code, msg)
}
