/**
 * What happens in an account as JSON values: amounts as exact decimal text, times as numbers (ms), null where there is
 * nothing. Keys stand in the order in which the domain declares them.
 */
import { BigDecimal } from "effect"
import type { AccountEvent, Order } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { Accepted, Rejected } from "../../OrderEntry.ts"
import type { AccountGap } from "../../PrivateWebsocket.ts"
import type { JsonObject } from "../EventJson.ts"

/** Every amount of it as text, at whatever depth. */
const plain = (value: unknown): unknown => {
  if (BigDecimal.isBigDecimal(value)) return Decimal.toText(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
}

export const event = (event: AccountEvent): JsonObject => {
  const { _tag, ...fields } = event
  return { _tag, ...plain(fields) as JsonObject }
}

export const order = (order: Order): JsonObject => plain(order) as JsonObject

export const gap = ({ at, cause, lost }: AccountGap): JsonObject => ({ cause, at, lost: lost ?? null })

/** How a command ended. */
export const outcome = <A>(outcome: Accepted<A> | Rejected): JsonObject =>
  outcome._tag === "Accepted"
    ? { outcome: "Accepted", value: plain(outcome.value) }
    : { outcome: "Rejected", reason: { ...outcome.reason } }
