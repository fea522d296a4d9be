/** What the simulated exchanges say about a pair. Prices are of the right order of magnitude, no more. */
import { partsOf } from "../domain/Instrument.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import * as Scaled from "./Scaled.ts"

export interface PairFacts {
  readonly pair: TradingPair
  readonly base: string
  readonly quote: string
  /** Where the price walk begins, in quote. */
  readonly price: number
  readonly priceDecimals: number
  readonly quantityDecimals: number
  /** Base. */
  readonly minQuantity: string
  /** Quote. */
  readonly minNotional: string
}

/** Price in USDT, price decimals, quantity decimals. */
const known: Readonly<Record<string, readonly [number, number, number]>> = {
  BTC: [80_535.88, 2, 6],
  ETH: [2_480.27, 2, 5],
  BNB: [640.15, 2, 4],
  SOL: [172.34, 2, 3],
  XRP: [2.1345, 4, 2],
  DOGE: [0.17345, 5, 1],
  ADA: [0.6789, 4, 1],
  AVAX: [27.453, 3, 3],
  LINK: [15.432, 3, 3],
  LTC: [95.12, 2, 4],
  DOT: [5.1234, 4, 2],
  TRX: [0.25123, 5, 1],
  TON: [4.5678, 4, 2],
  UNI: [8.1234, 4, 3],
  NEAR: [3.4567, 4, 2],
  ATOM: [6.5432, 4, 3]
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

export const factsOf = (pair: TradingPair): PairFacts => {
  const { base, quote } = partsOf(pair)
  const [price, priceDecimals, quantityDecimals] = (quote === "USDT" ? known[base] : undefined) ?? invented(base, quote)
  return {
    pair,
    base,
    quote,
    price,
    priceDecimals,
    quantityDecimals,
    minQuantity: Scaled.toText(1, quantityDecimals),
    minNotional: "1"
  }
}

const invented = (base: string, quote: string): readonly [number, number, number] => {
  const price = inventedPrice(base, quote)
  return [price, decimalsFor(price), quantityDecimalsFor(price)]
}
