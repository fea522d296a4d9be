/**
 * A simulated exchange's accounts, as its dialect sees them: the server's truth of orders, fills, balances and positions.
 * Amounts are plain decimal text; a dialect spells them as its exchange does.
 */
import type { TradingPair } from "./domain/Instrument.ts"

/** One API key. */
export interface WorldKey {
  readonly apiKey: string
  readonly secret: string
  readonly permissions: ReadonlySet<"read" | "trade">
  /** Addresses that may use it; null: any. */
  readonly addresses: ReadonlyArray<string> | null
}

export interface WorldPlace {
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  readonly type: "limit" | "market"
  readonly timeInForce: "gtc" | "ioc" | "fok" | "postOnly"
  /** Quote; null for market orders. */
  readonly price: string | null
  /** Base or contracts; null when `quoteQuantity` says how much. */
  readonly quantity: string | null
  /** Quote to spend, of a market buy. */
  readonly quoteQuantity: string | null
  readonly clientOrderId: string | null
  readonly reduceOnly: boolean
  readonly trigger: { readonly price: string; readonly rule: "atOrAbove" | "atOrBelow" } | null
}

/** Why nothing was done. The dialect gives it its exchange's code and words. */
export type WorldRefusal =
  | "unknownPair"
  | "badQuantity"
  | "badPrice"
  | "tooSmall"
  | "insufficientBalance"
  | "duplicateClientOrderId"
  | "wouldMatch"
  | "notFillable"
  | "unknownOrder"
  | "orderFinished"
  | "reduceOnlyIncreases"
  | "tooManyOrders"
  | "noChange"
  | "noPosition"
  | "badLeverage"

/** Why an order ended. */
export type WorldFinish =
  | "filled"
  | "cancelled"
  | "ioc"
  | "fok"
  | "postOnly"
  | "reduceOnly"
  | "insufficientBalance"
  | "liquidated"

export interface WorldOrder {
  /** Rises from order to order. */
  readonly id: number
  readonly clientOrderId: string | null
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  readonly type: "limit" | "market"
  readonly timeInForce: WorldPlace["timeInForce"]
  readonly price: string | null
  readonly quantity: string | null
  readonly quoteQuantity: string | null
  /** Base or contracts. */
  readonly filled: string
  /** Quote. */
  readonly filledQuote: string
  /** What is left of `quantity`, or of `quoteQuantity` where that is given. */
  readonly left: string
  /** Null while nothing is filled. */
  readonly averagePrice: string | null
  /** Paid so far, in `feeAsset`. */
  readonly fee: string
  readonly feeAsset: string
  readonly reduceOnly: boolean
  readonly trigger: WorldPlace["trigger"]
  /** Whether a trigger order waits for its price. */
  readonly waiting: boolean
  /** Null while it is open. */
  readonly finish: WorldFinish | null
  /** ms. */
  readonly createdAt: number
  readonly updatedAt: number
}

export interface WorldFill {
  /** Rises from trade to trade, over all accounts of the exchange; both sides of a trade between accounts share it. */
  readonly id: number
  readonly orderId: number
  readonly clientOrderId: string | null
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  readonly price: string
  /** Base or contracts. */
  readonly quantity: string
  readonly liquidity: "maker" | "taker"
  /** Negative: a rebate. */
  readonly fee: string
  readonly feeAsset: string
  /** ms. */
  readonly time: number
}

export type WorldBalanceCause = "deposit" | "orderPlaced" | "orderFilled" | "orderEnded" | "fee" | "pnl" | "funding"

export interface WorldBalance {
  readonly asset: string
  readonly available: string
  readonly locked: string
  /** Of available and locked together. */
  readonly change: string
  readonly cause: WorldBalanceCause
  /** What it is about: an order, a fill or a contract. */
  readonly orderId: number | null
  readonly pair: TradingPair | null
  readonly time: number
}

/** Funding of a position that has been paid. */
export interface WorldFunding {
  readonly pair: TradingPair
  readonly asset: string
  /** Received; negative: paid. */
  readonly change: string
  /** Of available and locked together, behind it. */
  readonly balance: string
  readonly time: number
}

export interface WorldPosition {
  readonly pair: TradingPair
  /** Contracts; negative: short. */
  readonly size: string
  /** Quote; "0" when flat. */
  readonly entryPrice: string
  /** "0": cross. */
  readonly leverage: string
  readonly mode: "isolated" | "cross"
  /** Settle asset. */
  readonly margin: string
  /** "0" when flat. */
  readonly liquidationPrice: string
  /** Settle asset, since the position was opened, fees and funding included; "0" when flat. */
  readonly realisedPnl: string
  /** The same, of all positions of the pair that were closed. */
  readonly historyPnl: string
  readonly unrealisedPnl: string
  /** Profit of the last close. */
  readonly lastClosePnl: string
  readonly maintenanceRate: string
  readonly leverageMax: string
  /** Rises with every change. */
  readonly updateId: number
  readonly time: number
}

/** What happened, in order. */
export type WorldAccountEvent =
  /** A trigger order is put twice: when it begins to wait, and when its price has come. */
  | { readonly _tag: "Order"; readonly order: WorldOrder; readonly event: "put" | "update" | "finish" }
  | { readonly _tag: "Fill"; readonly fill: WorldFill; readonly order: WorldOrder }
  | { readonly _tag: "Balance"; readonly balance: WorldBalance }
  | { readonly _tag: "Position"; readonly position: WorldPosition }
  | {
    readonly _tag: "PositionClose"
    readonly pair: TradingPair
    readonly side: "long" | "short"
    readonly pnl: string
    readonly time: number
  }
  | {
    readonly _tag: "Liquidation"
    readonly pair: TradingPair
    readonly orderId: number
    /** Contracts; sign of the position. */
    readonly size: string
    readonly entryPrice: string
    readonly price: string
    readonly margin: string
    readonly leverage: string
    readonly time: number
  }
  | {
    readonly _tag: "AutoDeleverage"
    readonly pair: TradingPair
    /** Contracts taken and left; sign of the position. */
    readonly size: string
    readonly left: string
    readonly entryPrice: string
    readonly price: string
    readonly time: number
  }

/** By the exchange's id or by the client's. */
export type WorldRef = { readonly id: number } | { readonly clientOrderId: string }

export interface WorldAccount {
  /** Digits. */
  readonly userId: string
  readonly place: (order: WorldPlace) => WorldOrder | WorldRefusal
  readonly cancel: (ref: WorldRef) => WorldOrder | WorldRefusal
  readonly cancelAll: (pair?: TradingPair) => ReadonlyArray<WorldOrder>
  /** `quantity` is the whole one, filled part included. */
  readonly amend: (
    ref: WorldRef,
    change: { readonly price?: string | undefined; readonly quantity?: string | undefined }
  ) => WorldOrder | WorldRefusal
  readonly order: (ref: WorldRef) => WorldOrder | undefined
  /** Newest first. `triggered`: only those that wait, or waited, for a price. */
  readonly orders: (query: {
    readonly pair?: TradingPair | undefined
    readonly open: boolean
    readonly triggered?: true | undefined
  }) => ReadonlyArray<WorldOrder>
  /** Oldest first. */
  readonly fills: (query: {
    readonly pair?: TradingPair | undefined
    readonly orderId?: number | undefined
    /** ms. */
    readonly since?: number | undefined
  }) => ReadonlyArray<WorldFill>
  /** Oldest first; `since` in ms. */
  readonly fundings: (query: { readonly since?: number | undefined }) => ReadonlyArray<WorldFunding>
  readonly balances: () => ReadonlyArray<Pick<WorldBalance, "asset" | "available" | "locked">>
  readonly positions: () => ReadonlyArray<WorldPosition>
  readonly setLeverage: (pair: TradingPair, leverage: string) => WorldPosition | WorldRefusal
  readonly setMode: (pair: TradingPair, mode: "isolated" | "cross") => WorldPosition | WorldRefusal
  /** Cancels everything (of the pair) in so many ms unless called again; 0 disarms it. Returns when, ms. */
  readonly countdown: (millis: number, pair?: TradingPair) => number
  /** Tells what happens from now on, each change at once and in order; returns how to stop. */
  readonly watch: (listener: (event: WorldAccountEvent) => void) => () => void
}

export interface AccountWorld {
  /** The key and its account; null when there is no such key. */
  readonly find: (apiKey: string) => { readonly key: WorldKey; readonly account: WorldAccount } | null
}

/** An exchange without accounts. */
export const noAccounts: AccountWorld = { find: () => null }

export const isRefusal = (result: unknown): result is WorldRefusal => typeof result === "string"
