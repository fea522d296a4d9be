/** What the shell gets to see of an order: what would be sent, what became of it. */
import { Console, Duration, Effect } from "effect"
import type { Stdio } from "effect"
import type { PreparedOrder } from "../../AccountAdapter.ts"
import type { Order } from "../../domain/Account.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import type { Accepted, Outcome, Rejected } from "../../OrderEntry.ts"
import type { JsonObject } from "../EventJson.ts"
import * as Failure from "../Failure.ts"
import * as Refusal from "../Refusal.ts"
import * as Stdout from "../Stdout.ts"
import * as AccountJson from "./AccountJson.ts"
import * as AccountView from "./AccountView.ts"

export interface Printing {
  readonly isTable: boolean
}

/** How long the exchange may take to tell what became of an order. */
const patience = Duration.seconds(30)

export const print = (lines: ReadonlyArray<string>) => Stdout.print(lines.map((line) => `${line}\n`).join(""))

export const printJson = (json: JsonObject) => print([JSON.stringify(json)])

/** A table for people, a line of JSON for each for programs. */
export const printOrders = (orders: ReadonlyArray<Order>, { isTable }: Printing) =>
  print(isTable ? AccountView.orders(orders) : orders.map((order) => JSON.stringify(AccountJson.order(order))))

const fields = (prepared: PreparedOrder): JsonObject => {
  const { instrument, ...order } = prepared
  return { pair: instrument.pair, symbol: instrument.symbol, ...order }
}

/** `limit buy 0.01 BTC/USDT at 60000 (gtc)`, as it would leave. */
export const describe = (prepared: PreparedOrder): string => {
  const { instrument, price, quantity, quoteQuantity, reduceOnly, side, timeInForce, trigger, type } = prepared
  const unit = instrument.kind === "swap" ? ` contracts of ${instrument.pair}` : ` ${instrument.pair}`
  return [
    `${type} ${side}`,
    quantity === null ? `${instrument.pair} for ${quoteQuantity} ${instrument.quote}` : `${quantity}${unit}`,
    ...price === null ? [] : [`at ${price}`],
    `(${timeInForce}${reduceOnly ? ", reduce only" : ""})`,
    ...trigger === null ? [] : [`once ${trigger.by} reaches ${trigger.price} (${trigger.kind})`]
  ].join(" ")
}

/** What would be sent. */
export const printPrepared = (prepared: PreparedOrder, exchange: string, { isTable }: Printing) =>
  isTable
    ? print([
      `${exchange}: ${describe(prepared)}, client order id ${prepared.clientOrderId}`,
      "dry run: nothing was sent"
    ])
    : printJson({ dryRun: true, exchange, command: "place", ...fields(prepared) })

const settled = <A>(
  outcome: Outcome<A>,
  what: string
): Effect.Effect<Accepted<A> | Rejected, Failure.CommandFailed> => {
  if (outcome._tag !== "Unknown") return Effect.succeed(outcome)
  return Effect.andThen(
    Console.error(`UNKNOWN: ${what}: ${outcome.cause.message}. The exchange is asked what became of it …`),
    outcome.resolved.pipe(
      Effect.mapError((error: ExchangeError) => Failure.unknown(`${what}: still unknown: ${error.message}`)),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.fail(
            Failure.unknown(
              `${what}: still unknown after ${Duration.format(patience)}; it may be in force. Look for it with ` +
                `\`exchange order get\` before sending anything else`
            )
          )
      })
    )
  )
}

/** Waits until it is known, prints it, and fails when the exchange has refused it. `what` names the order. */
export const report = <A>(
  outcome: Effect.Effect<Outcome<A>, ExchangeError>,
  what: string,
  ordersOf: (value: A) => ReadonlyArray<Order>,
  printing: Printing
): Effect.Effect<void, Failure.CommandFailed, Stdio.Stdio> =>
  Effect.gen(function*() {
    const known = yield* settled(yield* Effect.mapError(outcome, Refusal.failure), what)
    if (known._tag === "Accepted") {
      if (!printing.isTable) return yield* printJson(AccountJson.outcome(known))
      return yield* print([`ACCEPTED: ${what}`, ...AccountView.orders(ordersOf(known.value))])
    }
    const { class: kind, code, detail } = known.reason
    if (!printing.isTable) yield* printJson(AccountJson.outcome(known))
    return yield* Failure.rejected(`${what} was refused: ${code}: ${detail} (${kind})`)
  })
