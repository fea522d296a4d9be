/** What the simulated exchanges say about a pair. Prices are of the right order of magnitude, no more. */
import { pairOf, partsOf } from "../domain/Instrument.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import * as Scaled from "./Scaled.ts"

/** The terms of a perpetual. */
export interface SwapFacts {
  /** Base units in one contract: `contractUnits` of 10^-`contractDecimals`. */
  readonly contractSize: string
  readonly contractUnits: number
  readonly contractDecimals: number
  /** Whether fractions of a contract trade. */
  readonly decimal: boolean
  readonly markDecimals: number
  /** ms. */
  readonly fundingInterval: number
}

export interface PairFacts {
  readonly pair: TradingPair
  readonly base: string
  readonly quote: string
  /** Where the price walk begins, in quote. */
  readonly price: number
  readonly priceDecimals: number
  /** Of the base (spot) or of contracts (swap). */
  readonly quantityDecimals: number
  /** Base (spot) or contracts (swap). */
  readonly minQuantity: string
  /** Quote. */
  readonly minNotional: string
  /** Null on spot. */
  readonly swap: SwapFacts | null
}

/** Price in USDT, price decimals, quantity decimals; power of ten of the contract size, and whether contracts are decimal. */
const known: Readonly<Record<string, readonly [number, number, number, number, boolean]>> = {
  BTC: [80_535.88, 2, 6, -4, false],
  ETH: [2_480.27, 2, 5, -2, true],
  BNB: [640.15, 2, 4, -3, false],
  SOL: [172.34, 2, 3, 0, true],
  XRP: [2.1345, 4, 2, 1, true],
  DOGE: [0.17345, 5, 1, 1, true],
  ADA: [0.6789, 4, 1, 1, false],
  AVAX: [27.453, 3, 3, 0, false],
  LINK: [15.432, 3, 3, 0, false],
  LTC: [95.12, 2, 4, -1, false],
  DOT: [5.1234, 4, 2, 0, false],
  TRX: [0.25123, 5, 1, 2, false],
  TON: [4.5678, 4, 2, 0, false],
  UNI: [8.1234, 4, 3, 0, false],
  NEAR: [3.4567, 4, 2, 0, false],
  ATOM: [6.5432, 4, 3, 0, false]
}

export const defaultPairs: ReadonlyArray<TradingPair> = Object.keys(known).map((base): TradingPair => `${base}/USDT`)

/** FNV-1a, to a number in [0, 1). */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) / 2 ** 32
}

/** Between 0.0001 and 1000, always the same for a name. */
const inventedPrice = (base: string, quote: string): number => 10 ** (fraction(`${base}/${quote}`) * 7 - 4)

/** About five significant digits. */
const decimalsFor = (price: number): number => Math.max(0, 4 - Math.floor(Math.log10(price)))

/** A unit is worth about a hundredth of the quote. */
const quantityDecimalsFor = (price: number): number => Math.max(0, 2 + Math.floor(Math.log10(price)))

const hour = 3_600_000

/** Four in ten contracts are funded every four hours, a few every hour. */
const fundingIntervalOf = (share: number): number => (share < 0.6 ? 8 : share < 0.98 ? 4 : 1) * hour

const swapOf = (base: string, power: number, decimal: boolean, priceDecimals: number): SwapFacts => {
  const contractDecimals = Math.max(0, -power)
  const contractUnits = 10 ** Math.max(0, power)
  return {
    contractSize: Scaled.toText(contractUnits, contractDecimals),
    contractUnits,
    contractDecimals,
    decimal,
    markDecimals: priceDecimals + 1,
    fundingInterval: base in known ? 8 * hour : fundingIntervalOf(fraction(`${base} funding`))
  }
}

export const factsOf = (pair: TradingPair): PairFacts => {
  const { base, quote, settle } = partsOf(pair)
  const [price, priceDecimals, baseDecimals, power, decimal] = (quote === "USDT" ? known[base] : undefined) ??
    invented(base, quote)
  const swap = settle === undefined ? null : swapOf(base, power, decimal, priceDecimals)
  const quantityDecimals = swap === null ? baseDecimals : swap.decimal ? 1 : 0
  return {
    pair,
    base,
    quote,
    price,
    priceDecimals,
    quantityDecimals,
    minQuantity: Scaled.toText(1, quantityDecimals),
    // Contracts have a least number, and no least value.
    minNotional: swap === null ? "1" : "0",
    swap
  }
}

/** A contract is worth between 1 and 10 of the quote; one in sixty is decimal, as many as Gate has. */
const invented = (base: string, quote: string): readonly [number, number, number, number, boolean] => {
  const price = inventedPrice(base, quote)
  return [
    price,
    decimalsFor(price),
    quantityDecimalsFor(price),
    -Math.floor(Math.log10(price)),
    fraction(`${base} decimal`) < 1 / 60
  ]
}

/** The spot pair whose price a perpetual follows; a spot pair itself. */
export const underlyingOf = (pair: TradingPair): TradingPair => {
  const { base, quote } = partsOf(pair)
  return pairOf(base, quote)
}
