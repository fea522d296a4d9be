/**
 * Price-triggered orders of Gate's USDT futures, the server's half: they wait under `price_orders` and are told of on
 * `futures.autoorders`; what they become is an order under the same number. Sources: "API v4, Futures", price-triggered
 * orders (v4.106); "Futures WebSocket v4" (2026-08-20), "Auto Orders". They do not expire here.
 */
import type { WorldOrder, WorldPlace } from "../../AccountWorld.ts"
import { isRefusal } from "../../AccountWorld.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { World } from "../../ExchangeDialect.ts"
import type { Failure, Json, Outcome, Parsed, Session } from "./GateAccountDialect.ts"
import {
  bodyOf,
  decimalIn,
  done,
  futuresLabels,
  invalid,
  invalidBody,
  isFailure,
  isObject,
  list,
  missing,
  object,
  quoted,
  textIn,
  textOf,
  timeInForceOf
} from "./GateAccountDialect.ts"
import type { Around } from "./GateFuturesAccountDialect.ts"
import {
  contractOf,
  optionalMarket,
  placeIn,
  quantityOf,
  restAround,
  restSource,
  root,
  signed
} from "./GateFuturesAccountDialect.ts"
import type { Tell } from "./GateFuturesPushesDialect.ts"
import { stream } from "./GateFuturesPushesDialect.ts"
import type { Asked, SignedRoute } from "./GateSignedDialect.ts"
import type { PrivateChannel } from "./GateStreamsDialect.ts"
import { invalidArgument, seconds, sizeOf } from "./GateStreamsDialect.ts"

// ---- what they look like --------------------------------------------------------------------------------------------

const rules = { atOrAbove: 1, atOrBelow: 2 } as const

const expiration = "86400"

type Triggered = WorldOrder & { readonly trigger: NonNullable<WorldOrder["trigger"]> }

const isTriggered = (order: WorldOrder | undefined): order is Triggered => order !== undefined && order.trigger !== null

const statusOf = ({ finish, waiting }: WorldOrder): "open" | "finished" =>
  waiting && finish === null ? "open" : "finished"

/** How it ended: cancelled while it waited, or as an order. */
const finishOf = ({ waiting }: WorldOrder): "cancelled" | "succeeded" => waiting ? "cancelled" : "succeeded"

const triggerOf = ({ trigger }: Triggered): Json =>
  object({
    strategy_type: "0",
    price_type: "0",
    price: quoted(trigger.price),
    rule: String(rules[trigger.rule]),
    expiration
  })

const initialOf = (world: World, order: Triggered, decimal: boolean): Readonly<Record<string, Json>> => ({
  contract: quoted(contractOf(world, order.pair)),
  size: sizeOf(signed(order, quantityOf(order)), decimal),
  price: quoted(order.price ?? "0"),
  tif: quoted(timeInForceOf(order)),
  text: quoted(textOf(order.clientOrderId, restSource)),
  iceberg: sizeOf("0", decimal),
  is_close: "false",
  is_reduce_only: String(order.reduceOnly),
  auto_size: quoted("")
})

/** The order that it has become. */
const tradeOf = ({ id, waiting }: WorldOrder): string => waiting ? "0" : String(id)

const answerOf = ({ decimal, session: { account }, world }: Around, order: Triggered): Json =>
  object({
    initial: object(initialOf(world, order, decimal)),
    trigger: triggerOf(order),
    id: String(order.id),
    id_string: quoted(String(order.id)),
    user: account.userId,
    create_time: String(seconds(order.createdAt)),
    ...(statusOf(order) === "open"
      ? {}
      : { finish_time: String(seconds(order.updatedAt)), finish_as: quoted(finishOf(order)) }),
    trade_id: tradeOf(order),
    status: quoted(statusOf(order)),
    reason: quoted(""),
    order_type: quoted("")
  })

// ---- calls ----------------------------------------------------------------------------------------------------------

const triggerIn = (body: Parsed): WorldPlace["trigger"] | Failure => {
  const trigger = body["trigger"]
  if (!isObject(trigger)) return missing("trigger")
  const price = decimalIn(trigger, "price")
  if (price === null || Number(price) <= 0) return invalid("trigger.price", textIn(trigger, "price"))
  const rule = Object.entries(rules).find(([, number]) => String(number) === textIn(trigger, "rule"))?.[0]
  return rule === undefined
    ? invalid("trigger.rule", textIn(trigger, "rule"))
    : { price, rule: rule as keyof typeof rules }
}

const place = (asked: Asked): Outcome => {
  const body = bodyOf(asked.request)
  if (!isObject(body) || !isObject(body["initial"])) return invalidBody
  const around = restAround(asked)
  const trigger = triggerIn(body)
  if (trigger !== null && isFailure(trigger)) return trigger
  const wanted = placeIn(around, body["initial"])
  if (isFailure(wanted)) return wanted
  const result = around.session.account.place({ ...wanted, trigger })
  return isRefusal(result)
    ? futuresLabels[result]
    : done(object({ id: String(result.id), id_string: quoted(String(result.id)) }), 201)
}

const orderIn = ({ session }: Around, id: string): Triggered | Failure => {
  const order = /^\d{1,15}$/.test(id) ? session.account.order({ id: Number(id) }) : undefined
  return isTriggered(order) ? order : futuresLabels.unknownOrder
}

const cancel = (around: Around, order: Triggered): Triggered | Failure => {
  if (statusOf(order) === "finished") return futuresLabels.orderFinished
  const result = around.session.account.cancel({ id: order.id })
  if (isRefusal(result)) return futuresLabels[result]
  return { ...result, trigger: order.trigger }
}

const answered = (around: Around, order: Triggered | Failure): Outcome =>
  isFailure(order) ? order : done(answerOf(around, order))

const allOf = ({ session: { account } }: Around, pair: TradingPair | undefined): ReadonlyArray<Triggered> =>
  [true, false].flatMap((open) => account.orders({ pair, open, triggered: true })).filter((order) => isTriggered(order))

const listOf = (asked: Asked): Outcome => {
  const around = restAround(asked)
  const status = asked.request.query.get("status") ?? ""
  const market = optionalMarket(around.world, asked.request.query.get("contract") ?? "")
  if (market !== null && isFailure(market)) return market
  if (status !== "open" && status !== "finished") return invalid("status", status)
  const orders = allOf(around, market?.pair).filter((order) => statusOf(order) === status)
  return done(list(orders.map((order) => answerOf(around, order))))
}

const cancelAll = (asked: Asked): Outcome => {
  const around = restAround(asked)
  const market = optionalMarket(around.world, asked.request.query.get("contract") ?? "")
  if (market !== null && isFailure(market)) return market
  const open = allOf(around, market?.pair).filter((order) => statusOf(order) === "open")
  const ended = open.map((order) => cancel(around, order)).filter((order): order is Triggered => !isFailure(order))
  return done(list(ended.map((order) => answerOf(around, order))))
}

const path = `${root}/price_orders`

const cancelOne = (asked: Asked): Outcome => {
  const around = restAround(asked)
  const order = orderIn(around, asked.name)
  return isFailure(order) ? order : answered(around, cancel(around, order))
}

export const futuresTriggerRoutes: ReadonlyArray<SignedRoute> = [
  { method: "POST", endpoint: path, needs: "trade", limit: "other", answer: place },
  { method: "GET", endpoint: path, needs: "read", limit: "other", answer: listOf },
  { method: "DELETE", endpoint: path, needs: "trade", limit: "cancel", answer: cancelAll },
  {
    method: "GET",
    endpoint: `${path}/`,
    needs: "read",
    limit: "other",
    answer: (asked) => answered(restAround(asked), orderIn(restAround(asked), asked.name))
  },
  { method: "DELETE", endpoint: `${path}/`, needs: "trade", limit: "cancel", answer: cancelOne }
]

// ---- the channel ----------------------------------------------------------------------------------------------------

const pushOf = (world: World, { account }: Session, order: Triggered, decimal: boolean): Json =>
  object({
    user: account.userId,
    trigger: triggerOf(order),
    initial: object(initialOf(world, order, decimal)),
    id: String(order.id),
    trade_id: tradeOf(order),
    status: quoted(statusOf(order)),
    reason: quoted(""),
    create_time: String(seconds(order.createdAt)),
    name: quoted("price_autoorders"),
    is_stop_order: "false",
    stop_trigger: object({ rule: "0", trigger_price: quoted(""), order_price: quoted("") }),
    order_type: quoted(""),
    me_order_id: quoted(order.waiting ? "" : String(order.id))
  })

/** When it begins to wait, when its price has come, and when it is cancelled before that. */
const tell: Tell = ({ decimal, world }, session, send, meant) => (event) => {
  if (event._tag !== "Order" || !isTriggered(event.order) || !meant(event.order.pair)) return
  if (event.event === "put" || event.order.waiting) send(pushOf(world, session, event.order, decimal))
}

/** `[contract]` or `["!all"]`; clients of long standing send the user's id before it. */
export const autoorders: PrivateChannel = (payload, markets, session) => {
  const name = payload?.at(-1) ?? ""
  if (payload?.length === 2 && payload[0] !== session.account.userId) return invalidArgument
  const market = markets.get(name)
  if (market === undefined && name !== "!all") return { code: 2, message: `unknown contract ${name}` }
  const channel = "futures.autoorders"
  return [stream(channel, `${channel}|${name}`, session, tell, (pair) => market === undefined || market.pair === pair)]
}
