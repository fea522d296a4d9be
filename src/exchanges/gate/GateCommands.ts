/**
 * Commands as Gate spells them, over its WebSocket API and over REST, which takes the same objects. What differs between
 * spot and futures is data. Sources: Gate WebSocket v4 documents, spot (2026-07-25) and futures (2026-08-25), "Websocket
 * API"; Gate REST v4 documents (v4.106), "Spot" and "Futures".
 */
import type { Command, PreparedOrder, SymbolRef } from "../../AccountAdapter.ts"
import type { Order } from "../../domain/Account.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { Ability } from "../../OrderEntry.ts"
import type { Use } from "../../RateLimits.ts"
import { readFuturesOrder, readSpotOrder, textOf, timeInForceWord } from "./GateOrders.ts"
import type { Row } from "./GateRow.ts"
import * as GateTriggers from "./GateTriggers.ts"

/** Commands of one order or one batch: those that go over either way. */
export type OrderCommand = Extract<Command, { readonly _tag: "Place" | "PlaceAll" | "Cancel" | "Amend" | "Get" }>

type Amend = Extract<Command, { readonly _tag: "Amend" }>

/** What differs between the products. */
export interface OrderLayout<out Can extends Ability = Ability> {
  readonly prefix: "spot" | "futures"
  /** REST path of orders. */
  readonly orders: string
  readonly batchOrders: string
  readonly myTrades: string
  readonly countdown: string
  /** Names the market in queries and bodies. */
  readonly symbolName: string
  /** Whether cancel, amend and get name the market beside the order's id. */
  readonly namesSymbol: boolean
  readonly batchChannel: string
  readonly amendMethod: "PATCH" | "PUT"
  readonly quantityName: string
  readonly place: (order: PreparedOrder) => Readonly<Record<string, unknown>>
  readonly amendedQuantity: (command: Amend, quantity: string) => string
  readonly readOrder: (row: Row, instrumentOf: InstrumentOf) => Order
  readonly abilities: ReadonlySet<Can>
  /** Orders in a batch. */
  readonly batchSize: number
  /** Why an order cannot be spelled; null when it can. */
  readonly unsupported: (order: PreparedOrder) => string | null
  /** Whether orders are looked up over the socket. */
  readonly socketGets: boolean
  readonly limits: {
    readonly orders: number
    /** Whether cancels count like orders. */
    readonly cancelsCount: boolean
  }
}

/** Above documented limits lies the jitter of the way: what leaves a second apart may arrive closer. */
const second = "1100 millis"
const tenSeconds = "10100 millis"

const spotOrder = (order: PreparedOrder): Readonly<Record<string, unknown>> => ({
  text: textOf(order.clientOrderId),
  currency_pair: order.instrument.symbol,
  type: order.type,
  side: order.side,
  // A market buy is given in quote.
  amount: order.quoteQuantity ?? order.quantity,
  ...(order.price === null ? {} : { price: order.price }),
  time_in_force: timeInForceWord[order.timeInForce]
})

const signed = (side: "buy" | "sell", quantity: string | null): string => `${side === "sell" ? "-" : ""}${quantity}`

/** A market order has the price 0 and may not rest. */
const futuresOrder = (order: PreparedOrder): Readonly<Record<string, unknown>> => ({
  contract: order.instrument.symbol,
  size: signed(order.side, order.quantity),
  price: order.price ?? "0",
  tif: timeInForceWord[order.timeInForce],
  text: textOf(order.clientOrderId),
  ...(order.reduceOnly ? { reduce_only: true } : {})
})

export const spot: OrderLayout<"amend" | "batch" | "cancelAllAfter" | "quoteQuantity"> = {
  prefix: "spot",
  orders: "/spot/orders",
  batchOrders: "/spot/batch_orders",
  myTrades: "/spot/my_trades",
  countdown: "/spot/countdown_cancel_all",
  symbolName: "currency_pair",
  namesSymbol: true,
  batchChannel: "spot.order_place",
  amendMethod: "PATCH",
  quantityName: "amount",
  place: spotOrder,
  amendedQuantity: (_command, quantity) => quantity,
  readOrder: readSpotOrder,
  abilities: new Set(["amend", "batch", "cancelAllAfter", "quoteQuantity"] as const),
  // 10 of a pair are allowed, but of no more than 4 pairs: so any 4 are.
  batchSize: 4,
  unsupported: (order) =>
    order.type === "market" && order.side === "buy" && order.quoteQuantity === null
      ? "a market buy on Gate spot is given in quote; use quoteQuantity"
      : null,
  socketGets: true,
  // For each user and market by one document, for each user by another; the narrower one holds in both cases.
  limits: { orders: 10, cancelsCount: false }
}

export const futures: OrderLayout<Exclude<Ability, "quoteQuantity">> = {
  prefix: "futures",
  orders: "/futures/usdt/orders",
  batchOrders: "/futures/usdt/batch_orders",
  myTrades: "/futures/usdt/my_trades",
  countdown: "/futures/usdt/countdown_cancel_all",
  symbolName: "contract",
  namesSymbol: false,
  batchChannel: "futures.order_batch_place",
  amendMethod: "PUT",
  quantityName: "size",
  place: futuresOrder,
  amendedQuantity: ({ side }, quantity) => signed(side, quantity),
  readOrder: readFuturesOrder,
  abilities: new Set(["amend", "batch", "cancelAllAfter", "leverage", "marginMode", "reduceOnly", "trigger"] as const),
  batchSize: 10,
  unsupported: GateTriggers.unsupported,
  // A waiting order may be meant, and those are looked up over REST only.
  socketGets: false,
  limits: { orders: 100, cancelsCount: true }
}

// ---- both ways ----

export const idOf = (ref: SymbolRef): string => "orderId" in ref ? ref.orderId : textOf(ref.clientOrderId)

const symbolOf = (layout: OrderLayout, { symbol }: SymbolRef): Readonly<Record<string, string>> =>
  layout.namesSymbol ? { [layout.symbolName]: symbol } : {}

const changes = (layout: OrderLayout, command: Amend): Readonly<Record<string, string>> => ({
  ...(command.price === null ? {} : { price: command.price }),
  ...(command.quantity === null ? {} : { [layout.quantityName]: layout.amendedQuantity(command, command.quantity) })
})

/** Whether it writes, so that it must not be carried out long after it was sent. */
export const writes = ({ _tag }: Command): boolean =>
  _tag === "Place" || _tag === "PlaceAll" || _tag === "Cancel" || _tag === "Amend"

/** Commands about orders that wait for their price go over REST. */
export const isOfTrigger = (command: Command): boolean =>
  command._tag === "Place"
    ? command.order.trigger !== null
    : "ref" in command && command.ref.trigger === true

export interface ApiRequest {
  readonly channel: string
  readonly parameters: unknown
}

export const apiRequest = (layout: OrderLayout, command: OrderCommand): ApiRequest => {
  const channel = (name: string): string => `${layout.prefix}.${name}`
  switch (command._tag) {
    case "Place":
      return { channel: channel("order_place"), parameters: layout.place(command.order) }
    case "PlaceAll":
      return { channel: layout.batchChannel, parameters: command.orders.map(layout.place) }
    case "Cancel":
      return { channel: channel("order_cancel"), parameters: named(layout, command.ref) }
    case "Amend":
      return {
        channel: channel("order_amend"),
        parameters: { ...named(layout, command.ref), ...changes(layout, command) }
      }
    case "Get":
      return { channel: channel("order_status"), parameters: named(layout, command.ref) }
  }
}

const named = (layout: OrderLayout, ref: SymbolRef): Readonly<Record<string, string>> => ({
  order_id: idOf(ref),
  ...symbolOf(layout, ref)
})

export interface RestRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
}

export const restRequest = (layout: OrderLayout, command: OrderCommand): RestRequest => {
  switch (command._tag) {
    case "Place":
      return { method: "POST", path: layout.orders, body: layout.place(command.order) }
    case "PlaceAll":
      return { method: "POST", path: layout.batchOrders, body: command.orders.map(layout.place) }
    case "Cancel":
      return { method: "DELETE", path: `${layout.orders}/${idOf(command.ref)}`, query: symbolOf(layout, command.ref) }
    case "Amend":
      return {
        method: layout.amendMethod,
        path: `${layout.orders}/${idOf(command.ref)}`,
        query: symbolOf(layout, command.ref),
        body: changes(layout, command)
      }
    case "Get":
      return { method: "GET", path: `${layout.orders}/${idOf(command.ref)}`, query: symbolOf(layout, command.ref) }
  }
}

// ---- limits ----

/** Readings and settings: 200 in 10 s for each endpoint and user. */
export const endpointUse = (endpoint: string, limit = 200): Use => ({
  budget: endpoint,
  tokens: 1,
  limit,
  window: tenSeconds
})

const ordersUse = ({ limits, prefix }: OrderLayout, tokens: number): Use => ({
  budget: `${prefix} orders`,
  tokens,
  limit: limits.orders,
  window: second
})

const cancelUse = (layout: OrderLayout): Use =>
  layout.limits.cancelsCount
    ? ordersUse(layout, 1)
    : { budget: `${layout.prefix} cancels`, tokens: 1, limit: 200, window: second }

/** Every order of a batch counts (REST, "Rate limits"). */
export const uses = (layout: OrderLayout, command: Command): ReadonlyArray<Use> => {
  if (isOfTrigger(command)) return [endpointUse(`${layout.prefix} price orders`)]
  switch (command._tag) {
    case "Place":
    case "Amend":
      return [ordersUse(layout, 1)]
    case "PlaceAll":
      return [ordersUse(layout, command.orders.length)]
    case "Cancel":
    case "CancelAll":
      return [cancelUse(layout)]
    default:
      return [endpointUse(`${layout.prefix} ${command._tag}`)]
  }
}
