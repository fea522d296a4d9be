/**
 * Domain events as JSON values for the command's output: prices, quantities, versions and ids as exact decimal text,
 * times as numbers (ms), levels as `[price, quantity]`, and null where there is nothing. Events of swaps end with
 * `contractSize`, and where that is not 1 every quantity in contracts has one in base units beside it: `quantityBase`
 * beside `quantity`, and `bidsBase` (a quantity for each level) beside `bids`.
 */
import { BigDecimal, Option } from "effect"
import type { Gap } from "../domain/Feed.ts"
import type { Instrument } from "../domain/Instrument.ts"
import type { Levels, MarketEvent } from "../domain/Market.ts"
import { inBase } from "../domain/Market.ts"
import * as Numeric from "../domain/Numeric.ts"
import type { ExactText } from "../domain/Numeric.ts"
import * as Sequence from "../domain/Sequence.ts"

export type JsonObject = Readonly<Record<string, unknown>>

type Name<Tag> = Exclude<keyof Extract<MarketEvent, { readonly _tag: Tag }>, "_tag" | "exact" | "contractSize">

/** Every field of an event, in the order of the output. */
const fields: { readonly [Tag in MarketEvent["_tag"]]: ReadonlyArray<Name<Tag>> } = {
  BookTicker: [
    "pair",
    "symbol",
    "bidPrice",
    "bidQuantity",
    "askPrice",
    "askQuantity",
    "version",
    "exchangeTime",
    "receivedAt"
  ],
  Trade: ["pair", "symbol", "id", "price", "quantity", "side", "exchangeTime", "receivedAt"],
  BookUpdate: ["kind", "pair", "symbol", "bids", "asks", "firstVersion", "version", "exchangeTime", "receivedAt"],
  Ticker: [
    "pair",
    "symbol",
    "lastPrice",
    "bidPrice",
    "askPrice",
    "highPrice",
    "lowPrice",
    "change",
    "baseVolume",
    "quoteVolume",
    "exchangeTime",
    "receivedAt"
  ],
  Kline: [
    "pair",
    "symbol",
    "interval",
    "price",
    "openTime",
    "closeTime",
    "open",
    "high",
    "low",
    "close",
    "baseVolume",
    "quoteVolume",
    "contractVolume",
    "closed",
    "exchangeTime",
    "receivedAt"
  ],
  FuturesTicker: [
    "pair",
    "symbol",
    "lastPrice",
    "markPrice",
    "indexPrice",
    "fundingRate",
    "nextFundingTime",
    "fundingInterval",
    "openInterest",
    "highPrice",
    "lowPrice",
    "change",
    "contractVolume",
    "baseVolume",
    "quoteVolume",
    "exchangeTime",
    "receivedAt"
  ],
  Liquidation: ["pair", "symbol", "price", "quantity", "side", "exchangeTime", "receivedAt"],
  ContractStats: [
    "pair",
    "symbol",
    "interval",
    "markPrice",
    "openInterest",
    "openInterestValue",
    "takerRatio",
    "accountRatio",
    "topAccountRatio",
    "topSizeRatio",
    "longLiquidations",
    "shortLiquidations",
    "exchangeTime",
    "receivedAt"
  ]
}

/** Numbers that are no quantity: they stay numbers. */
const times: ReadonlySet<string> = new Set([
  "exchangeTime",
  "receivedAt",
  "openTime",
  "closeTime",
  "nextFundingTime",
  "fundingInterval"
])

/** Counted in contracts on swaps, and without a field of its own in base. */
const inContracts: ReadonlySet<string> = new Set([
  "quantity",
  "bidQuantity",
  "askQuantity",
  "bids",
  "asks",
  "openInterest",
  "longLiquidations",
  "shortLiquidations"
])

/** The wire's own text where a number cannot hold it, else the shortest plain decimal of the number. */
const decimal = (exact: ExactText | null, field: string, value: number | null): string | null =>
  exact?.[field] ?? (value === null ? null : Numeric.toDecimal(value))

const sequence = (value: Sequence.Sequence | null | undefined): string | null =>
  value === null || value === undefined ? null : Sequence.toText(value)

/** Without exponent, however long. */
const plain = (decimal: BigDecimal.BigDecimal): string => {
  const { scale, value } = BigDecimal.normalize(decimal)
  if (scale <= 0) return String(value * 10n ** BigInt(-scale))
  const digits = String(value).padStart(scale + 1, "0")
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** The product of two decimals, every digit of it. */
const product = (a: string, b: string): string | null =>
  Option.getOrNull(
    Option.map(Option.all([BigDecimal.fromString(a), BigDecimal.fromString(b)]), ([one, other]) =>
      plain(BigDecimal.multiply(one, other)))
  )

/** Contracts in base units. */
const base = (
  contractSize: number | null,
  exact: ExactText | null,
  field: string,
  value: number | null
): string | null => {
  if (value === null || contractSize === null) return null
  const text = exact?.[field]
  return text === undefined
    ? Numeric.toDecimal(inBase({ contractSize }, value)!)
    : product(text, Numeric.toDecimal(contractSize))
}

/** Undefined on spot, where quantities are in base anyway. */
const contractSizeOf = (event: MarketEvent, kind: Instrument["kind"]): number | null | undefined =>
  "contractSize" in event && (kind === "swap" || event.contractSize !== 1) ? event.contractSize : undefined

const levels = ({ exact }: MarketEvent, side: string, flat: Levels): ReadonlyArray<unknown> => {
  const pairs: Array<unknown> = []
  for (let i = 0; i < flat.length; i += 2) {
    pairs.push([decimal(exact, `${side}[${i}]`, flat[i]!), decimal(exact, `${side}[${i + 1}]`, flat[i + 1]!)])
  }
  return pairs
}

/** A quantity in base for each level; null while the size of a contract is not known. */
const levelsBase = (
  contractSize: number | null,
  { exact }: MarketEvent,
  side: string,
  flat: Levels
): ReadonlyArray<string | null> | null =>
  contractSize === null
    ? null
    : flat.flatMap((value, i) => (i % 2 === 0 ? [] : [base(contractSize, exact, `${side}[${i}]`, value)]))

const baseOf = (contractSize: number | null, event: MarketEvent, name: string): unknown => {
  const value = (event as unknown as JsonObject)[name] as number | Levels | null
  return Array.isArray(value)
    ? levelsBase(contractSize, event, name, value as Levels)
    : base(contractSize, event.exact, name, value as number | null)
}

const valueOf = (event: MarketEvent, name: string): unknown => {
  const value = (event as unknown as JsonObject)[name]
  if (Array.isArray(value)) return levels(event, name, value as Levels)
  if (name === "version" || name === "firstVersion") return sequence(value as Sequence.Sequence | null)
  return typeof value === "number" && !times.has(name) ? decimal(event.exact, name, value) : value
}

/** `kind` of the market, where it is known: a contract of exactly one base unit cannot be told from spot otherwise. */
export const event = (event: MarketEvent, kind: Instrument["kind"] = "spot"): JsonObject => {
  const contractSize = contractSizeOf(event, kind)
  const json: Record<string, unknown> = { _tag: event._tag }
  for (const name of fields[event._tag]) {
    json[name] = valueOf(event, name)
    if (contractSize !== undefined && contractSize !== 1 && inContracts.has(name)) {
      json[`${name}Base`] = baseOf(contractSize, event, name)
    }
  }
  if (contractSize !== undefined) json["contractSize"] = contractSize === null ? null : Numeric.toDecimal(contractSize)
  return json
}

export const gap = (gap: Gap): JsonObject => ({
  cause: gap.cause,
  at: gap.at,
  lost: gap.lost ?? null,
  from: sequence(gap.from),
  to: sequence(gap.to)
})
