/**
 * What stands between a decision and an order: limits for each exchange and for all of them, a maximum loss, and a kill
 * switch. Every order that opens or grows exposure passes through it; one that only reduces passes unless the switch is
 * thrown for good.
 */
import { Context, Schema } from "effect"
import type { Effect, Scope, Stream } from "effect"
import type * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { OrderEntry } from "../OrderEntry.ts"

/** Each may be left out: then it does not limit. */
export interface RiskLimits {
  /** Quote: value of the open orders and of the exposure together. */
  readonly maxNotional?: Decimal.Input | undefined
  /** Quote: realised and unrealised since the start, fees included, as a positive number. */
  readonly maxLoss?: Decimal.Input | undefined
  /** Base, of one pair, long or short. */
  readonly maxPosition?: Readonly<Record<TradingPair, Decimal.Input>> | undefined
  readonly maxOpenOrders?: number | undefined
  /** Quote: of one order. */
  readonly maxOrderNotional?: Decimal.Input | undefined
}

/** An order as the guard sees it. */
export interface Intent {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  /** Base. */
  readonly quantity: Decimal.Decimal
  /** Quote: its limit, or what a market order is expected to pay at worst. */
  readonly price: Decimal.Decimal
  /** Reduces exposure that is there. */
  readonly reduces: boolean
}

/** The order was not sent. */
export class RiskRefused extends Schema.TaggedError<RiskRefused>()("RiskRefused", {
  exchange: Schema.String,
  symbol: Schema.String,
  /** Which limit: `killSwitch`, `maxNotional`, `maxLoss`, `maxPosition`, `maxOpenOrders`, `maxOrderNotional`, `notReady`. */
  limit: Schema.String,
  /** `global`, or the exchange. */
  of: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `[${this.exchange}] ${this.symbol}: not sent, ${this.limit} (${this.of}): ${this.detail}`
  }
}

export interface RiskState {
  readonly isKilled: boolean
  /** Why and when; null while it is not. */
  readonly killed: { readonly reason: string; readonly at: number } | null
  /** Quote. */
  readonly notional: Decimal.Decimal
  /** Quote, since the start: realised and unrealised. */
  readonly pnl: Decimal.Decimal
  readonly openOrders: number
  readonly refused: number
}

export class RiskGuard extends Context.Service<RiskGuard, {
  /** Room for these orders, all or none, held until the scope closes or `settle` gives it back. */
  readonly reserve: (intents: ReadonlyArray<Intent>) => Effect.Effect<void, RiskRefused, Scope.Scope>
  /** Tells what was traded, so that exposure and profit are known. Base; quote. */
  readonly filled: (fill: {
    readonly exchange: ExchangeId
    readonly pair: TradingPair
    readonly side: "buy" | "sell"
    readonly quantity: Decimal.Decimal
    readonly price: Decimal.Decimal
    readonly fee: Decimal.Decimal
  }) => void
  /** The order entry of an exchange whose every order passes through this guard: the same service, to be used in its place. */
  readonly guarded: (entry: OrderEntry["Service"]) => OrderEntry["Service"]
  /** Nothing that grows exposure leaves any more. */
  readonly kill: (reason: string) => Effect.Effect<void>
  readonly revive: Effect.Effect<void>
  readonly state: (exchange?: ExchangeId) => RiskState
  /** Each time the switch is thrown, by hand or by a limit. */
  readonly kills: Stream.Stream<{ readonly reason: string; readonly at: number }>
}>()("effect-exchange/RiskGuard") {}
