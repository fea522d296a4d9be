/** What the answer to a command holds, over the WebSocket API and over REST alike. */
import { Result } from "effect"
import type { Reply } from "../../AccountAdapter.ts"
import type { Order } from "../../domain/Account.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { Rejection } from "../../OrderEntry.ts"
import type { OrderLayout } from "./GateCommands.ts"
import * as GateErrors from "./GateErrors.ts"
import type { Row } from "./GateRow.ts"
import { readAll, rowsOf } from "./GateRow.ts"

/** `{label, message}`, or `detail` in its place on futures; `label` alone in lists. */
export const rejectionOf = (row: Row, status: number): Rejection => {
  const label = row.textOr("label")
  return {
    code: label ?? String(status),
    detail: (row.textOr("message") ?? row.textOr("detail") ?? "no reason given").slice(0, 300),
    class: GateErrors.classifyLabel(label, status)
  }
}

/** Of an order that is not there (any more): unfilled futures orders are forgotten 10 minutes after their end. */
export const isUnknownOrder = (label: string): boolean => label === "ORDER_NOT_FOUND" || label === "CLIENT_ID_NOT_FOUND"

/** An order of a batch succeeds or fails by itself. */
const readPlaced = (layout: OrderLayout, row: Row, instrumentOf: InstrumentOf): Order | Rejection =>
  row.flagOr("succeeded") === false ? rejectionOf(row, 400) : layout.readOrder(row, instrumentOf)

export const read = (
  layout: OrderLayout,
  tag: Reply["_tag"],
  result: unknown,
  instrumentOf: InstrumentOf
): Result.Result<Reply, string> => {
  if (tag === "Placed") {
    const results = readAll(rowsOf(result), (row) => readPlaced(layout, row, instrumentOf))
    return Result.map(results, (results): Reply => ({ _tag: "Placed", results }))
  }
  const orders = readAll(rowsOf(result), (row) => layout.readOrder(row, instrumentOf))
  return Result.map(
    orders,
    (orders): Reply => tag === "Order" ? { _tag: "Order", order: orders[0]! } : { _tag: "Orders", orders }
  )
}
