/** Positions of perpetuals, kept from fills and marks with exact decimals; settled in the quote asset. Pure. */
import type { MarginMode } from "../domain/Account.ts"
import type * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"

export interface HeldPosition {
  readonly pair: TradingPair
  /** Contracts; negative: short. */
  readonly size: Decimal.Decimal
  /** Base: contracts times contract size. */
  readonly baseSize: Decimal.Decimal
  /** Quote; null when flat. */
  readonly entryPrice: Decimal.Decimal | null
  /** Settle asset, since the position was opened, fees and funding included. */
  readonly realisedPnl: Decimal.Decimal
  /** Settle asset, at `markPrice`; null while no mark price is known. */
  readonly unrealisedPnl: Decimal.Decimal | null
  /** Settle asset: funding received (negative: paid) since the position was opened. */
  readonly funding: Decimal.Decimal
  /** Quote. */
  readonly markPrice: Decimal.Decimal | null
  readonly leverage: Decimal.Decimal | null
  readonly marginMode: MarginMode
  /** Settle asset. */
  readonly margin: Decimal.Decimal | null
  /** Quote, as the exchange says, else as computed for isolated margin; null where neither is known. */
  readonly liquidationPrice: Decimal.Decimal | null
}
