/**
 * Price-triggered orders of Gate spot, the server's half: they wait under `price_orders` and are told of on
 * `spot.priceorders`; what they become is an order under the same number. Sources: "API v4, Spot", price-triggered orders
 * (v4.106; samples in clients of long standing); "Spot WebSocket v4" (2026-07-25), "Price Orders". They do not expire here.
 */
import type { WorldOrder, WorldPlace } from "../../AccountWorld.ts"
import { isRefusal } from "../../AccountWorld.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { World } from "../../ExchangeDialect.ts"
import type { Failure, Json, Outcome, Parsed } from "./GateAccountDialect.ts"
import {
  bodyOf,
  decimalIn,
  done,
  failed,
  invalid,
  invalidBody,
  isFailure,
  isObject,
  list,
  millisText,
  missing,
  object,
  quoted,
  spotLabels,
  textIn,
  textOf,
  timeInForceOf
} from "./GateAccountDialect.ts"
import type { Asked, SignedRoute } from "./GateSignedDialect.ts"
import type { Around } from "./GateSpotAccountDialect.ts"
import { marketIn, placeIn, restAround, symbolOf } from "./GateSpotAccountDialect.ts"
import type { PrivateChannel, Session, Stream } from "./GateStreamsDialect.ts"
import { data, invalidArgument, pushOf, seconds, unknownPair } from "./GateStreamsDialect.ts"

const rules = { atOrAbove: ">=", atOrBelow: "<=" } as const

const expiration = "86400"

type Triggered = WorldOrder & { readonly trigger: NonNullable<WorldOrder["trigger"]> }

const isTriggered = (order: WorldOrder | undefined): order is Triggered => order !== undefined && order.trigger !== null

/** `finish`: its price has come. */
const statusOf = ({ finish, waiting }: WorldOrder): "open" | "cancelled" | "finish" =>
  waiting ? finish === null ? "open" : "cancelled" : "finish"

const firedOf = ({ id, waiting }: WorldOrder): string => waiting ? "0" : String(id)

const amountOf = (order: WorldOrder): string => order.quoteQuantity ?? order.quantity ?? "0"

const answerOf = ({ session: { account }, world }: Around, order: Triggered): Json =>
  object({
    market: quoted(symbolOf(world, order.pair)),
    user: account.userId,
    trigger: object({
      price: quoted(order.trigger.price),
      rule: quoted(rules[order.trigger.rule]),
      expiration
    }),
    put: object({
      type: quoted(order.type),
      side: quoted(order.side),
      price: quoted(order.price ?? "0"),
      amount: quoted(amountOf(order)),
      account: quoted("normal"),
      time_in_force: quoted(timeInForceOf(order)),
      text: quoted(textOf(order.clientOrderId, "api"))
    }),
    id: String(order.id),
    ctime: String(seconds(order.createdAt)),
    ...(statusOf(order) === "open" ? {} : { ftime: String(seconds(order.updatedAt)) }),
    fired_order_id: firedOf(order),
    status: quoted(statusOf(order)),
    reason: quoted("")
  })

// ---- calls ----------------------------------------------------------------------------------------------------------

const triggerIn = (body: Parsed): NonNullable<WorldPlace["trigger"]> | Failure => {
  const trigger = body["trigger"]
  if (!isObject(trigger)) return missing("trigger")
  const price = decimalIn(trigger, "price")
  if (price === null || Number(price) <= 0) return invalid("trigger.price", textIn(trigger, "price"))
  const rule = Object.entries(rules).find(([, word]) => word === textIn(trigger, "rule"))?.[0]
  return rule === undefined
    ? invalid("trigger.rule", textIn(trigger, "rule"))
    : { price, rule: rule as keyof typeof rules }
}

/** The order that it is to become, as orders are asked for. */
const orderIn = (world: World, body: Parsed, put: Parsed): WorldPlace | Failure => {
  const account = textIn(put, "account") || "normal"
  if (account !== "normal" && account !== "unified") return invalid("put.account", account)
  return placeIn(world, { ...put, account: "spot", currency_pair: textIn(body, "market") })
}

const place = (asked: Asked): Outcome => {
  const body = bodyOf(asked.request)
  if (!isObject(body) || !isObject(body["put"])) return invalidBody
  const trigger = triggerIn(body)
  if (isFailure(trigger)) return trigger
  const wanted = orderIn(asked.world, body, body["put"])
  if (isFailure(wanted)) return wanted
  const result = asked.session.account.place({ ...wanted, trigger })
  return isRefusal(result) ? spotLabels[result] : done(object({ id: String(result.id) }), 201)
}

const found = ({ session }: Asked, id: string): Triggered | Failure => {
  const order = /^\d{1,15}$/.test(id) ? session.account.order({ id: Number(id) }) : undefined
  return isTriggered(order) ? order : spotLabels.unknownOrder
}

const cancelled = ({ session }: Asked, order: Triggered): Triggered | Failure => {
  if (statusOf(order) !== "open") return failed(400, "ORDER_CANCELLED", "Order has been cancelled or fired")
  const result = session.account.cancel({ id: order.id })
  return isRefusal(result) ? spotLabels[result] : { ...result, trigger: order.trigger }
}

const answered = (asked: Asked, order: Triggered | Failure): Outcome =>
  isFailure(order) ? order : done(answerOf(restAround(asked), order))

const allOf = ({ session: { account } }: Asked, pair: TradingPair | undefined): ReadonlyArray<Triggered> =>
  [true, false].flatMap((open) => account.orders({ pair, open, triggered: true })).filter((order) => isTriggered(order))

/** Of the market that the query names, or of all. */
const chosen = (asked: Asked): ReadonlyArray<Triggered> | Failure => {
  const name = asked.request.query.get("market") ?? ""
  const market = name === "" ? null : marketIn(asked.world, name)
  return market !== null && isFailure(market) ? market : allOf(asked, market?.pair)
}

const listOf = (asked: Asked): Outcome => {
  const status = asked.request.query.get("status") ?? ""
  if (status !== "open" && status !== "finished") return invalid("status", status)
  const orders = chosen(asked)
  if (isFailure(orders)) return orders
  const wanted = orders.filter((order) => (statusOf(order) === "open") === (status === "open"))
  return done(list(wanted.map((order) => answerOf(restAround(asked), order))))
}

const cancelAll = (asked: Asked): Outcome => {
  const orders = chosen(asked)
  if (isFailure(orders)) return orders
  const ended = orders.filter((order) => statusOf(order) === "open").map((order) => cancelled(asked, order))
    .filter((order): order is Triggered => !isFailure(order))
  return done(list(ended.map((order) => answerOf(restAround(asked), order))))
}

const cancelOne = (asked: Asked): Outcome => {
  const order = found(asked, asked.name)
  return isFailure(order) ? order : answered(asked, cancelled(asked, order))
}

const path = "/spot/price_orders"

export const spotTriggerRoutes: ReadonlyArray<SignedRoute> = [
  { method: "POST", endpoint: path, needs: "trade", limit: "other", answer: place },
  { method: "GET", endpoint: path, needs: "read", limit: "other", answer: listOf },
  { method: "DELETE", endpoint: path, needs: "trade", limit: "cancel", answer: cancelAll },
  {
    method: "GET",
    endpoint: `${path}/`,
    needs: "read",
    limit: "other",
    answer: (asked) => answered(asked, found(asked, asked.name))
  },
  { method: "DELETE", endpoint: `${path}/`, needs: "trade", limit: "cancel", answer: cancelOne }
]

// ---- the channel ----------------------------------------------------------------------------------------------------

/** What stands for no time at all: the zero time of the language that the server is written in. */
const never = quoted("-62135596800000")

const pushed = (world: World, { account: { userId } }: Session, order: Triggered): Json => {
  const market = world.markets.get(order.pair)
  return object({
    market: quoted(symbolOf(world, order.pair)),
    uid: quoted(userId),
    id: quoted(String(order.id)),
    currency_type: quoted(market?.base ?? ""),
    exchange_type: quoted(market?.quote ?? ""),
    reason: quoted(""),
    err_msg: quoted(""),
    fired_order_id: firedOf(order),
    instant_cancel: "false",
    trigger_price: quoted(order.trigger.price),
    trigger_rule: quoted(rules[order.trigger.rule]),
    trigger_expiration: expiration,
    price: quoted(order.price ?? "0"),
    amount: quoted(amountOf(order)),
    source: quoted("api"),
    order_type: quoted(order.type),
    side: quoted(order.side),
    engine_type: quoted("normal"),
    is_stop_order: "false",
    stop_trigger_price: quoted(""),
    stop_trigger_rule: quoted(""),
    stop_price: quoted(""),
    ctime: millisText(order.createdAt),
    ftime: statusOf(order) === "open" ? never : millisText(order.updatedAt)
  })
}

/** When it begins to wait, when its price has come, and when it is cancelled before that. One object, no list. */
const streamOf = (name: string, session: Session, meant: (pair: TradingPair) => boolean): Stream => {
  const channel = "spot.priceorders"
  const topic = `${channel}|${name}`
  return {
    topic,
    open: ({ send, world }) => ({
      stop: session.account.watch((event) => {
        if (event._tag !== "Order" || !isTriggered(event.order) || !meant(event.order.pair)) return
        if (event.event !== "put" && !event.order.waiting) return
        send(pushOf(world.now(), channel, pushed(world, session, event.order)), data(topic))
      })
    })
  }
}

export const priceOrders: PrivateChannel = (payload, markets, session) => {
  const streams: Array<Stream> = []
  for (const name of payload ?? []) {
    const market = markets.get(name)
    if (market === undefined && name !== "!all") return unknownPair(name)
    streams.push(streamOf(name, session, (pair) => market === undefined || market.pair === pair))
  }
  return streams.length === 0 ? invalidArgument : streams
}
