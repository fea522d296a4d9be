/**
 * The account half of Gate: one implementation, whose two products differ by data. Commands (`GateCommands`) go over the
 * WebSocket API (`GateOrderSocket`) or over REST (`GateAccountRest`), answers are read by `GateReplies` and `GateOrders`;
 * the private stream (`GatePrivateStream`) by `GateAccountEvents`.
 */
import { Duration } from "effect"
import type { AccountAdapter, AccountCoverage } from "../../AccountAdapter.ts"
import type { PrivateTag } from "../../domain/PrivateChannel.ts"
import type { Ability } from "../../OrderEntry.ts"
import * as GateAccountRest from "./GateAccountRest.ts"
import type { OrderLayout } from "./GateCommands.ts"
import * as GateCommands from "./GateCommands.ts"
import * as GateErrors from "./GateErrors.ts"
import { clientOrderIds } from "./GateOrders.ts"
import * as GateOrderSocket from "./GateOrderSocket.ts"
import type { StreamLayout } from "./GatePrivateStream.ts"
import * as GatePrivateStream from "./GatePrivateStream.ts"
import type { Product } from "./GateProduct.ts"
import * as GateProduct from "./GateProduct.ts"

const make = <Tags extends PrivateTag, Can extends Ability>(
  product: Product,
  channels: ReadonlySet<Tags>,
  layout: OrderLayout<Can>,
  stream: StreamLayout,
  coverage: ReadonlyArray<AccountCoverage>
): AccountAdapter<Tags, Can> => ({
  algorithm: "hmacSha512",
  channels,
  coverage,
  makeCalls: (options) => GateAccountRest.make(product, layout, options),
  uses: GateAccountRest.uses(layout),
  isStampOff: GateErrors.isStampOff,
  needsPair: false,
  stream: GatePrivateStream.make(product, stream),
  orders: {
    abilities: layout.abilities,
    socket: GateOrderSocket.make(product, layout),
    clientOrderIds,
    unsupported: layout.unsupported,
    // A second more than a request may be on its way, for the error of our clock.
    expiry: Duration.millis(GateOrderSocket.expiryMillis + 1_000),
    batchSize: layout.batchSize,
    // Gate REST v4, Countdown cancel orders: whole seconds, at least 5.
    leastCancelAllAfter: "5 seconds",
    uses: (command) => GateCommands.uses(layout, command)
  }
})

export const gateSpotAccount = make(
  GateProduct.spot,
  new Set(["Orders", "Fills", "Balances"] as const),
  GateCommands.spot,
  GatePrivateStream.spot,
  [
    {
      channel: "Orders",
      wire: "spot.orders_v2",
      note: "every change of every order; only limit and market orders",
      source: "Gate WebSocket v4, spot, Orders Channel V2"
    },
    {
      channel: "Fills",
      wire: "spot.usertrades",
      note: "every fill with its fee; the fee may be paid in GT or points",
      source: "Gate WebSocket v4, spot, User Trades Channel"
    },
    {
      channel: "Balances",
      wire: "spot.balances",
      note: "available, locked and total of the spot account after each change",
      source: "Gate WebSocket v4, spot, Spot Balances"
    },
    {
      channel: "OrderEntry",
      wire: "spot.order_place, order_cancel, order_amend, order_status; REST for the rest",
      note: "limit, market (buys in quote), post-only, IOC, FOK; amend, batches of 4, cancelAllAfter",
      source: "Gate WebSocket v4, spot, Websocket API; Gate REST v4, Spot"
    }
  ]
)

export const gateFuturesAccount = make(
  GateProduct.futures,
  new Set(["Orders", "Fills", "Balances", "Positions", "AutoDeleverages", "PositionCloses"] as const),
  GateCommands.futures,
  GatePrivateStream.futures,
  [
    {
      channel: "Orders",
      wire: "futures.orders and futures.autoorders",
      note: "every change of every order, those that wait for a price included; quantities in contracts",
      source: "Gate WebSocket v4, futures, Orders API"
    },
    {
      channel: "Fills",
      wire: "futures.usertrades",
      note: "every fill with its fee, quantities in contracts",
      source: "Gate WebSocket v4, futures, User Trades API"
    },
    {
      channel: "Balances",
      wire: "futures.balances",
      note: "the whole balance after each change; available and locked come over REST only",
      source: "Gate WebSocket v4, futures, Balances API"
    },
    {
      channel: "Positions",
      wire: "futures.positions",
      note: "every change of a position, its leverage and margin mode; one-way and hedge mode",
      source: "Gate WebSocket v4, futures, Positions API"
    },
    {
      channel: "AutoDeleverages",
      wire: "futures.auto_deleverages",
      note: "positions that were taken to cover another's loss",
      source: "Gate WebSocket v4, futures, Auto Deleverages API"
    },
    {
      channel: "PositionCloses",
      wire: "futures.position_closes",
      note: "closed positions with their profit",
      source: "Gate WebSocket v4, futures, Position Closes API"
    },
    {
      channel: "OrderEntry",
      wire: "futures.order_place, order_batch_place, order_cancel, order_amend; REST for the rest",
      note:
        "limit, market, post-only, IOC, FOK, reduce-only; amend, batches of 10, cancelAllAfter, leverage, margin mode",
      source: "Gate WebSocket v4, futures, Websocket API; Gate REST v4, Futures"
    }
  ]
)
