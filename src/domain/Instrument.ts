/** Names of things that trade: exchange ids, pairs in the notation ccxt users know, and what an exchange says about them. */
import { Schema } from "effect"

/** Id of an exchange and product, such as `mexc-spot` or `gate-spot`. */
export type ExchangeId = string

/**
 * A trading pair: `BASE/QUOTE` for spot (`BTC/USDT`), `BASE/QUOTE:SETTLE` for perpetuals (`BTC/USDT:USDT`).
 * Exchanges list non-ASCII assets too, so any character but `/` and `:` is allowed in a name.
 */
export type TradingPair = `${string}/${string}`

const pairPattern = /^[^/:\s]+\/[^/:\s]+(:[^/:\s]+)?$/u

export const isTradingPair = (text: string): text is TradingPair => pairPattern.test(text)

/** Decodes and checks pairs that come from outside (configuration, command line). */
export const TradingPair: Schema.Codec<TradingPair, string> = Schema.String.pipe(
  Schema.refine(isTradingPair, { expected: "a pair such as BTC/USDT or BTC/USDT:USDT" })
)

export interface PairParts {
  readonly base: string
  readonly quote: string
  /** Present for derivatives only. */
  readonly settle: string | undefined
}

export const partsOf = (pair: TradingPair): PairParts => {
  const slash = pair.indexOf("/")
  const colon = pair.indexOf(":", slash)
  return {
    base: pair.slice(0, slash),
    quote: colon < 0 ? pair.slice(slash + 1) : pair.slice(slash + 1, colon),
    settle: colon < 0 ? undefined : pair.slice(colon + 1)
  }
}

/** Builds a pair from asset names as the exchange spells them. */
export const pairOf = (base: string, quote: string, settle?: string): TradingPair =>
  settle === undefined ? `${base}/${quote}` : `${base}/${quote}:${settle}`

/** What an exchange lists. Numbers are exact at up to 15 significant digits. */
export interface Instrument {
  readonly exchange: ExchangeId
  readonly pair: TradingPair
  /** The exchange's own name, as on the wire: `BTCUSDT`, `BTC_USDT`. */
  readonly symbol: string
  readonly kind: "spot" | "swap"
  readonly base: string
  readonly quote: string
  /** The asset that profit and margin are counted in; null on spot. */
  readonly settle: string | null
  /** `trading`: orders accepted; `paused`: listed but not now; `closed`: off. */
  readonly status: "trading" | "paused" | "closed"
  /** Smallest price step, in quote. */
  readonly priceStep: number
  /** Smallest quantity step, in base (spot) or contracts (swap). */
  readonly quantityStep: number
  /** Smallest order quantity, in base (spot) or contracts (swap); null when the exchange states none. */
  readonly minQuantity: number | null
  /** Smallest order value, in quote; null when the exchange states none. */
  readonly minNotional: number | null
  /** Base units in one contract (quanto multiplier); 1 on spot. */
  readonly contractSize: number
  /**
   * The part of a position's value that its margin must not fall below, on the lowest tier; left out on spot, and where the exchange
   * states none.
   */
  readonly maintenanceRate?: number | undefined
  /** Taker's fee as a part of the value, as the exchange lists it for a contract, own discounts aside; left out like the above. */
  readonly takerFeeRate?: number | undefined
}

/** A spot market: one that trades, without minimums, unless `facts` says otherwise. */
export const spot = (
  facts: Pick<Instrument, "exchange" | "symbol" | "base" | "quote" | "priceStep" | "quantityStep"> & Partial<Instrument>
): Instrument => ({
  pair: pairOf(facts.base, facts.quote),
  kind: "spot",
  settle: null,
  status: "trading",
  minQuantity: null,
  minNotional: null,
  contractSize: 1,
  ...facts
})

/** Finds what is known about a wire symbol; `undefined` when nothing is. */
export type InstrumentOf = (symbol: string) => Instrument | undefined
