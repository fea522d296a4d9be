/**
 * What happens in an account. Prices are in quote; quantities in base (spot) or contracts (swap); money in the asset that
 * is named; times in ms since the epoch. All amounts are exact decimals. `pair` is null while no instrument is known for
 * `symbol`, the name on the wire.
 */
import type { Decimal } from "./Decimal.ts"
import type { TradingPair } from "./Instrument.ts"

export type Side = "buy" | "sell"

/** `stop` and `takeProfit` rest on the exchange until their trigger price is reached. */
export type OrderType = "limit" | "market" | "stop" | "takeProfit"

/**
 * `gtc`: until cancelled. `ioc`: what does not fill at once is cancelled. `fok`: all at once or nothing. `postOnly`: only
 * as a maker (Gate `poc`, MEXC `LIMIT_MAKER`).
 */
export type TimeInForce = "gtc" | "ioc" | "fok" | "postOnly"

/** `partiallyCanceled`: cancelled after a part was filled. `rejected`, `canceled`, `filled`, `partiallyCanceled` are final. */
export type OrderStatus = "new" | "partiallyFilled" | "filled" | "canceled" | "partiallyCanceled" | "rejected"

export const isFinal = (status: OrderStatus): boolean => status !== "new" && status !== "partiallyFilled"

/** Whether it happened at or after `since`, ms: an exchange may tell whole seconds only, so then that second counts whole. */
export const isSince = (time: number, since: number): boolean =>
  time >= since || (time % 1000 === 0 && time > since - 1000)

/** Why an exchange has closed a position of its own accord, with an order that nobody who holds the account has asked for. */
export type Forced = "liquidation" | "autoDeleverage"

/** An order as the exchange describes it. Null where the exchange says nothing of it. */
export interface Order {
  readonly pair: TradingPair | null
  readonly symbol: string
  /** The exchange's id, exact text. */
  readonly orderId: string
  /** Ours, without the exchange's prefix (`t-` on Gate); null for an order that was not given one. */
  readonly clientOrderId: string | null
  readonly side: Side
  readonly type: OrderType
  readonly timeInForce: TimeInForce | null
  /** Limit price, quote; null for a market order. */
  readonly price: Decimal | null
  /** Asked, base or contracts; null for a market order that is given in quote. */
  readonly quantity: Decimal | null
  /** Asked, quote, of a market order that is given in quote; else null. */
  readonly quoteQuantity: Decimal | null
  /** Filled, base or contracts. */
  readonly filledQuantity: Decimal
  /** Filled, quote. */
  readonly filledQuote: Decimal | null
  /** Quote; null while nothing is filled. */
  readonly averagePrice: Decimal | null
  readonly status: OrderStatus
  /** The exchange's own word for why it ended (`filled`, `ioc`, `stp`, …); null while it is open or where none is given. */
  readonly finishedAs: string | null
  /** The exchange's own order, which closes a position; left out where it is not, or the exchange does not tell them apart. */
  readonly forced?: Forced
  /** Swap: may only reduce a position; null on spot. */
  readonly reduceOnly: boolean | null
  /** Quote; null without a trigger. */
  readonly triggerPrice: Decimal | null
  readonly createdAt: number | null
  /** Of the last change. */
  readonly updatedAt: number | null
}

/** Where an event came from: pushed, or found by reconciliation over REST. */
export type Origin = "Stream" | "Reconciled"

interface Received {
  readonly receivedAt: number
  readonly origin: Origin
}

/** The state of an order after a change of it. */
export interface OrderUpdate extends Order, Received {
  readonly _tag: "OrderUpdate"
}

/** One execution of one of our orders. Each comes exactly once, in the exchange's order. */
export interface Fill extends Received {
  readonly _tag: "Fill"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** The exchange's trade id, exact text: what makes a fill the same fill. */
  readonly tradeId: string
  readonly orderId: string
  readonly clientOrderId: string | null
  readonly side: Side
  /** Quote. */
  readonly price: Decimal
  /** Base or contracts. */
  readonly quantity: Decimal
  readonly liquidity: "maker" | "taker" | null
  /** Paid (negative: received as a rebate), in `feeAsset`. */
  readonly fee: Decimal | null
  readonly feeAsset: string | null
  /** Of the exchange's own order; left out where it is not, or only its `Order` says so. */
  readonly forced?: Forced
  readonly exchangeTime: number | null
}

/** An asset after a change of it. */
export interface Balance extends Received {
  readonly _tag: "Balance"
  readonly asset: string
  /** Free to use; null where a push does not say (Gate futures). */
  readonly available: Decimal | null
  /** Held by open orders; null where a push does not say. */
  readonly locked: Decimal | null
  /** All of it; null where a push does not say. */
  readonly total: Decimal | null
  /** By how much `total` or `available` has changed, as the exchange counts it; null in a reading over REST. */
  readonly change: Decimal | null
  /** The exchange's own word for why. */
  readonly cause: string | null
  /** `change` is funding of positions, received (negative: paid). Left out where it is not, or the exchange does not tell it apart. */
  readonly isFunding?: true
  readonly exchangeTime: number | null
}

/** Funding of a position, as the exchange's own history has it. Another one may look the same. */
export interface FundingPayment {
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly asset: string
  /** Received; negative: paid. */
  readonly amount: Decimal
  readonly exchangeTime: number
}

/** `oneWay`: one position of each contract. `hedge`: a long and a short one beside each other. */
export type PositionMode = "oneWay" | "hedge"

export type MarginMode = "isolated" | "cross"

/** A position after a change of it. Size 0: closed. */
export interface Position extends Received {
  readonly _tag: "Position"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** `net`: one for each contract. `long`, `short`: hedge mode. */
  readonly side: "net" | "long" | "short"
  /** Contracts; negative: short. */
  readonly size: Decimal
  /** Base units in one contract; null while no instrument is known. */
  readonly contractSize: number | null
  /** Quote; null when flat. */
  readonly entryPrice: Decimal | null
  /** Null where it is cross and the exchange gives none. */
  readonly leverage: Decimal | null
  readonly marginMode: MarginMode
  /** Settle asset. */
  readonly margin: Decimal | null
  /** Quote. */
  readonly liquidationPrice: Decimal | null
  /** Settle asset, since the position was opened, fees and funding included. */
  readonly realisedPnl: Decimal | null
  /** Settle asset, at the mark price; null in a push. */
  readonly unrealisedPnl: Decimal | null
  /** Rises with every change where the exchange counts them. */
  readonly updateId: string | null
  readonly exchangeTime: number | null
}

/** Leverage or margin mode of a contract was changed. Derived from positions: no exchange of ours has a channel for it. */
export interface LeverageChange extends Received {
  readonly _tag: "LeverageChange"
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly leverage: Decimal | null
  readonly marginMode: MarginMode
  readonly exchangeTime: number | null
}

/** A position of ours was taken to cover somebody's loss. */
export interface AutoDeleverage extends Received {
  readonly _tag: "AutoDeleverage"
  readonly pair: TradingPair | null
  readonly symbol: string
  /** Contracts that were taken; negative: of a short position. */
  readonly quantity: Decimal
  /** Contracts that are left. */
  readonly positionSize: Decimal
  readonly entryPrice: Decimal | null
  readonly price: Decimal
  readonly exchangeTime: number | null
}

/** A position was closed. */
export interface PositionClose extends Received {
  readonly _tag: "PositionClose"
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly side: "long" | "short"
  /** Settle asset. */
  readonly pnl: Decimal
  /** The exchange's word for what closed it. */
  readonly cause: string | null
  readonly exchangeTime: number | null
}

export type AccountEvent =
  | OrderUpdate
  | Fill
  | Balance
  | Position
  | LeverageChange
  | AutoDeleverage
  | PositionClose
