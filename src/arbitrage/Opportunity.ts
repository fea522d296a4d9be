/**
 * What could be earned by buying here and selling there at once: two books walked to a size, after fees and funding, with
 * the age of each leg and the uncertainty of the clocks. Pure, and silent whenever anything is in doubt.
 */
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { Sequence } from "../domain/Sequence.ts"

/** A pair of markets whose prices belong together. Prices must be in the same quote asset. */
export interface Route {
  /** Name of the route: `BTC/USDT mexc-spot gate-futures`. */
  readonly id: string
  readonly first: Venue
  readonly second: Venue
}

export interface Venue {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly kind: "spot" | "swap"
  /** Base units in one contract; 1 on spot. */
  readonly contractSize: number
  /** Base (spot) or contracts (swap). */
  readonly quantityStep: number
  /** Base (spot) or contracts (swap); null when the exchange states none. */
  readonly minQuantity: number | null
  /** Quote; null when the exchange states none. */
  readonly minNotional: number | null
  /** Paid by a taker, as a fraction of the value. */
  readonly takerFee: number
}

/** One side of an opportunity, as it was when it was found. */
export interface Leg {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  readonly side: "buy" | "sell"
  /** Base (spot) or contracts (swap): what to order. */
  readonly quantity: number
  /** Quote: mean over the levels that the quantity takes. */
  readonly averagePrice: number
  /** Quote: of the last level it takes, the limit to order with. */
  readonly worstPrice: number
  /** Quote. */
  readonly fee: number
  /** The book's version. */
  readonly version: Sequence | null
  /** Since the exchange made it, by the clock offset; since it was received where it sends no time, ms. */
  readonly ageMs: number
  /** `ageMs` is right to within this, ms. */
  readonly ageErrorMs: number
  readonly receivedAt: number
}

export interface Opportunity {
  readonly route: string
  /** `first`: buy on the first market and sell on the second. */
  readonly direction: "first" | "second"
  readonly buy: Leg
  readonly sell: Leg
  /** Base. */
  readonly quantity: number
  /** Quote, before fees and funding. */
  readonly gross: number
  /** Quote: of both legs. */
  readonly fees: number
  /** Quote: funding expected within the holding time, received (negative: paid); 0 between spot markets. */
  readonly funding: number
  /** Quote: `gross - fees + funding`. */
  readonly profit: number
  /** `profit` as a fraction of what the buy costs. */
  readonly profitRatio: number
  /** When it was found, ms with fractions, on the clock that stamps `receivedAt`. */
  readonly at: number
}
