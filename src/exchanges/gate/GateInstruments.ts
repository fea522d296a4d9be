/** Rows of REST lists: pairs, contracts, turnovers. Source: Gate REST v4 documents (v4.106), "Spot" and "Futures". */
import { Option, Result, Schema } from "effect"
import type { Instrument } from "../../domain/Instrument.ts"
import { isTradingPair, pairOf } from "../../domain/Instrument.ts"
import * as Numeric from "../../domain/Numeric.ts"
import type { Product } from "./GateProduct.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateWire from "./GateWire.ts"

/** One row as an instrument, or what is odd about it. */
export type ReadRow = (product: Product, row: unknown) => Result.Result<Instrument, string>

const row = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  read: (product: Product, row: S["Type"]) => Result.Result<Instrument, string>
): ReadRow => {
  const decode = Schema.decodeUnknownResult(schema)
  return (product, value) =>
    Result.flatMap(Result.mapError(decode(value), (error) => error.message), (one) => read(product, one))
}

// ---- Spot ----

const Decimals = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))

/** One pair of `GET /spot/currency_pairs`, as far as it is used. */
const CurrencyPair = Schema.Struct({
  id: Schema.NonEmptyString,
  base: Schema.NonEmptyString,
  quote: Schema.NonEmptyString,
  /** Base. */
  min_base_amount: GateWire.absent(Schema.String),
  /** Quote. */
  min_quote_amount: GateWire.absent(Schema.String),
  /** Decimals of the quantity. */
  amount_precision: Decimals,
  /** Decimals of the price. */
  precision: Decimals,
  /** untradable, buyable, sellable, tradable. */
  trade_status: Schema.String,
  /** Seconds; 0 or absent for none. */
  delisting_time: GateWire.absent(Schema.Number)
})
type CurrencyPair = typeof CurrencyPair.Type

export const readPair = row(CurrencyPair, (product, row) => {
  const pair = pairOf(row.base, row.quote)
  // What is subscribed is made from base and quote, so a pair under another name could not be reached.
  if (!isTradingPair(pair) || GateRequests.symbol(product, pair) !== row.id) return Result.fail(`the name ${row.id}`)
  const minQuantity = Numeric.minimum(row.min_base_amount)
  const minNotional = Numeric.minimum(row.min_quote_amount)
  if (Number.isNaN(minQuantity) || Number.isNaN(minNotional)) return Result.fail(`the minimums of ${row.id}`)
  return Result.succeed({
    exchange: product.id,
    pair,
    symbol: row.id,
    kind: product.kind,
    base: row.base,
    quote: row.quote,
    settle: product.settle,
    status: pairStatus(row),
    priceStep: Number(`1e-${row.precision}`),
    quantityStep: Number(`1e-${row.amount_precision}`),
    minQuantity,
    minNotional,
    contractSize: 1
  })
})

/** One open side is enough to trade. An untradable pair is off for good when it has been given a delisting time. */
const pairStatus = (row: CurrencyPair): Instrument["status"] => {
  if (openStatuses.has(row.trade_status)) return "trading"
  return row.trade_status === "untradable" && (row.delisting_time ?? 0) > 0 ? "closed" : "paused"
}

const openStatuses: ReadonlySet<string> = new Set(["tradable", "buyable", "sellable"])

// ---- Futures ----

/** One contract of `GET /futures/usdt/contracts`, as far as it is used. */
const Contract = Schema.Struct({
  /** `BTC_USDT` */
  name: Schema.NonEmptyString,
  /** Base units in one contract. */
  quanto_multiplier: Schema.String,
  /** Step of the price, quote. */
  order_price_round: Schema.String,
  /** Contracts: text with the decimal header. */
  order_size_min: GateWire.absent(GateWire.Size),
  /** Whether orders may hold parts of a contract. */
  enable_decimal: GateWire.absent(Schema.Boolean),
  /** Of the lowest tier of risk limits. */
  maintenance_rate: GateWire.absent(Schema.String),
  taker_fee_rate: GateWire.absent(Schema.String),
  in_delisting: GateWire.absent(Schema.Boolean),
  /** prelaunch, trading, delisting, delisted, circuit_breaker. */
  status: GateWire.absent(Schema.String)
})
type Contract = typeof Contract.Type

export const readContract = row(Contract, (product, row) => {
  const settle = product.settle ?? ""
  const end = row.name.lastIndexOf("_")
  const base = row.name.slice(0, Math.max(0, end))
  const quote = row.name.slice(end + 1)
  const pair = pairOf(base, quote, settle)
  if (!isTradingPair(pair) || GateRequests.symbol(product, pair) !== row.name) {
    return Result.fail(`the name ${row.name}`)
  }
  const contractSize = Numeric.fromText(row.quanto_multiplier)
  const priceStep = Numeric.fromText(row.order_price_round)
  if (!(contractSize > 0 && priceStep > 0)) return Result.fail(`multiplier or price step of ${row.name}`)
  const minQuantity = Numeric.minimum(sizeOf(row.order_size_min))
  if (Number.isNaN(minQuantity)) return Result.fail(`the minimum of ${row.name}`)
  return Result.succeed({
    exchange: product.id,
    pair,
    symbol: row.name,
    kind: product.kind,
    base,
    quote,
    settle,
    status: contractStatus(row),
    priceStep,
    quantityStep: quantityStep(row, minQuantity),
    minQuantity,
    minNotional: null,
    contractSize,
    ...rates(row)
  })
})

/** What cannot be read is not known. */
const rates = (
  { maintenance_rate, taker_fee_rate }: Contract
): Pick<Instrument, "maintenanceRate" | "takerFeeRate"> => {
  const maintenanceRate = Numeric.fromText(maintenance_rate ?? "")
  const takerFeeRate = Numeric.fromText(taker_fee_rate ?? "")
  return {
    ...maintenanceRate > 0 ? { maintenanceRate } : {},
    ...Number.isFinite(takerFeeRate) ? { takerFeeRate } : {}
  }
}

const sizeOf = (size: typeof GateWire.Size.Type | null | undefined): string | null =>
  size === null || size === undefined ? null : GateWire.sizeText(size)

/**
 * Gate does not publish the step of contracts that take decimals; with the decimal header the smallest size was measured
 * to be it (0.1). Where it is none, whole contracts are right in any case.
 */
const quantityStep = ({ enable_decimal }: Contract, minQuantity: number | null): number =>
  enable_decimal === true && minQuantity !== null && minQuantity < 1 ? minQuantity : 1

const contractStatus = ({ in_delisting, status }: Contract): Instrument["status"] => {
  if (status === "delisted") return "closed"
  return (status ?? "trading") === "trading" && in_delisting !== true ? "trading" : "paused"
}

// ---- What was traded within 24 hours, in quote ----

const turnoverOf = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  read: (row: S["Type"]) => readonly [symbol: string, text: string | null | undefined]
) => {
  const decode = Schema.decodeUnknownOption(schema)
  return (value: unknown): readonly [symbol: string, turnover: number] | null => {
    const row = Option.getOrNull(decode(value))
    if (row === null) return null
    const [symbol, text] = read(row)
    const turnover = Numeric.fromText(text ?? "")
    return Number.isNaN(turnover) ? null : [symbol, turnover]
  }
}

const Text = GateWire.absent(Schema.String)

/** A row of `GET /spot/tickers`; null when it tells no turnover. */
export const readSpotTurnover = turnoverOf(
  Schema.Struct({ currency_pair: Schema.String, quote_volume: Text }),
  (row) => [row.currency_pair, row.quote_volume]
)

/** A row of `GET /futures/usdt/tickers`; contracts of this address settle in their quote. */
export const readFuturesTurnover = turnoverOf(
  Schema.Struct({ contract: Schema.String, volume_24h_quote: Text, volume_24h_settle: Text }),
  (row) => [row.contract, row.volume_24h_quote ?? row.volume_24h_settle]
)
