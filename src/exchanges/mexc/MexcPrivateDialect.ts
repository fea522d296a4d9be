/**
 * MEXC's private channels, the server's half: orders, deals and balances of the account whose listen key the connection was
 * let in by. Source: "Websocket User Data Streams" and the official `.proto` files (2026-06-17). Nothing is pushed of what
 * was before; in which order the three channels tell of one event is unconfirmed (here: as it happened).
 */
import { BigDecimal } from "effect"
import { createHash } from "node:crypto"
import type {
  WorldAccount,
  WorldAccountEvent,
  WorldBalance,
  WorldBalanceCause,
  WorldFill,
  WorldOrder
} from "../../AccountWorld.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { Peer, World } from "../../ExchangeDialect.ts"
import * as Frames from "./MexcFramesDialect.ts"
import type { ListenKey } from "./MexcListenKeysDialect.ts"
import { listenKeysOf } from "./MexcListenKeysDialect.ts"
import * as Orders from "./MexcOrdersDialect.ts"

type Push = (frame: Uint8Array, events: number) => void

/** Starts a channel and returns how to stop it. */
type Channel = (topic: string, account: WorldAccount, world: World, push: Push) => () => void

// ---- orders ----

const orderTypes: Readonly<Record<Orders.OrderType, number>> = {
  LIMIT: 1,
  LIMIT_MAKER: 2,
  IMMEDIATE_OR_CANCEL: 3,
  FILL_OR_KILL: 4,
  MARKET: 5
}

const statuses: Readonly<Record<Orders.Status, number>> = {
  NEW: 1,
  FILLED: 2,
  PARTIALLY_FILLED: 3,
  CANCELED: 4,
  PARTIALLY_CANCELED: 5
}

const minus = (one: string, other: string): string =>
  Decimal.toText(BigDecimal.subtract(Decimal.of(one), Decimal.of(other)))

/** Quote: asked for, or worth at the limit; 0 of a market order that is given in base. */
const amountOf = ({ price, quantity, quoteQuantity }: WorldOrder): string => {
  if (quoteQuantity !== null) return quoteQuantity
  return price === null || quantity === null ? "0" : Decimal.toText(Orders.productOf(price, quantity))
}

const pushedOrder = (order: WorldOrder, last: WorldFill | undefined): Frames.PushedOrder => {
  const amount = amountOf(order)
  const quantity = order.quantity ?? "0"
  return {
    id: Orders.orderIdOf(order.id),
    clientId: order.clientOrderId,
    price: order.price ?? "0",
    quantity,
    amount,
    avgPrice: order.averagePrice,
    orderType: orderTypes[Orders.typeOf(order)],
    side: order.side,
    isMaker: last?.liquidity === "maker",
    remainAmount: amount === "0" ? "0" : minus(amount, order.filledQuote),
    remainQuantity: order.quantity === null ? "0" : minus(quantity, order.filled),
    lastDealQuantity: last?.quantity ?? null,
    cumulativeQuantity: order.filled,
    cumulativeAmount: order.filledQuote,
    status: statuses[Orders.statusOf(order)],
    createTime: order.createdAt
  }
}

const symbolIn = (world: World, { pair }: { readonly pair: WorldOrder["pair"] }): string => {
  const market = world.markets.get(pair)
  return market === undefined ? "" : market.base + market.quote
}

const orders: Channel = (topic, account, world, push) => {
  /** By order, until it has ended. */
  const lastFills = new Map<number, WorldFill>()
  return account.watch((event) => {
    if (event._tag === "Fill") return void lastFills.set(event.fill.orderId, event.fill)
    if (event._tag !== "Order") return
    const { order } = event
    const frame = Frames.orderFrame(
      Frames.envelope(topic, symbolIn(world, order)),
      world.now(),
      pushedOrder(order, lastFills.get(order.id))
    )
    if (order.finish !== null) lastFills.delete(order.id)
    push(frame, 1)
  })
}

// ---- deals ----

const deals: Channel = (topic, account, world, push) =>
  account.watch((event) => {
    if (event._tag !== "Fill") return
    const { fill } = event
    const deal: Frames.PushedDeal = {
      price: fill.price,
      quantity: fill.quantity,
      amount: Decimal.toText(Orders.productOf(fill.price, fill.quantity)),
      side: fill.side,
      isMaker: fill.liquidity === "maker",
      isSelfTrade: false,
      tradeId: Orders.tradeIdOf(fill),
      clientOrderId: fill.clientOrderId,
      orderId: Orders.orderIdOf(fill.orderId),
      feeAmount: fill.fee,
      feeCurrency: fill.feeAsset,
      time: fill.time
    }
    push(Frames.dealFrame(Frames.envelope(topic, symbolIn(world, fill)), world.now(), deal), 1)
  })

// ---- balances ----

/** "Balance change types"; which one names what is only half documented. */
const types: Readonly<Record<WorldBalanceCause, string>> = {
  deposit: "DEPOSIT",
  orderPlaced: "ENTRUST_PLACE",
  orderFilled: "ENTRUST",
  orderEnded: "ENTRUST_CANCEL",
  fee: "TRADE_FEE",
  pnl: "SUGAR",
  funding: "SUGAR"
}

/** 32 hexadecimal digits, the same for an asset at any time. */
const coinIdOf = (asset: string): string => createHash("md5").update(asset).digest("hex")

type Known = Pick<WorldBalance, "available" | "locked">

const nothing: Known = { available: "0", locked: "0" }

const balances: Channel = (topic, account, world, push) => {
  const known = new Map<string, Known>(account.balances().map((balance) => [balance.asset, balance]))
  const changed = (balance: WorldBalance): Frames.PushedBalance => {
    const before = known.get(balance.asset) ?? nothing
    known.set(balance.asset, balance)
    return {
      asset: balance.asset,
      coinId: coinIdOf(balance.asset),
      balance: balance.available,
      balanceChange: minus(balance.available, before.available),
      frozen: balance.locked,
      frozenChange: minus(balance.locked, before.locked),
      type: types[balance.cause],
      time: balance.time
    }
  }
  return account.watch((event: WorldAccountEvent) => {
    if (event._tag === "Balance") push(Frames.balanceFrame(topic, world.now(), changed(event.balance)), 1)
  })
}

const channels: ReadonlyMap<string, Channel> = new Map([
  ["spot@private.orders.v3.api.pb", orders],
  ["spot@private.deals.v3.api.pb", deals],
  ["spot@private.account.v3.api.pb", balances]
])

// ---- the connection's key ----

/** What a connection may hear of an account, by the listen key that it was opened with. */
export interface PrivateAccess {
  /** Null for what is no private channel. */
  readonly open: (topic: string) => ((world: World, peer: Peer, push: Push) => () => void) | null
  /** Not announced when it ends: the server just falls silent. */
  readonly isValid: () => boolean
  readonly expire: () => void
  readonly leave: () => void
}

const accessBy = (key: ListenKey, world: World): PrivateAccess => {
  const keys = listenKeysOf(world)
  return {
    open: (topic) => {
      const channel = channels.get(topic)
      return channel === undefined ? null : (world, _peer, push) => channel(topic, key.account, world, push)
    },
    isValid: () => keys.isValid(key),
    expire: () => keys.remove(key),
    leave: () => keys.disconnect(key)
  }
}

/** Without a key there is no access and no harm; undefined when the key is none, or has too many connections. */
export const privateAccess = (world: World, { query }: Peer): PrivateAccess | null | undefined => {
  const text = query.get("listenKey")
  if (text === undefined) return null
  const keys = listenKeysOf(world)
  const key = keys.find(text)
  return key === null || !keys.connect(key) ? undefined : accessBy(key, world)
}
