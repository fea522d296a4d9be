/** Instruments as NDJSON: what `exchange instruments` prints and `exchange decode --instruments` reads. */
import { Result, Schema } from "effect"
import type { ExchangeId, Instrument, InstrumentOf } from "../domain/Instrument.ts"
import { TradingPair } from "../domain/Instrument.ts"
import * as Numeric from "../domain/Numeric.ts"
import type { JsonObject } from "./EventJson.ts"

const optionalDecimal = (value: number | null): string | null => (value === null ? null : Numeric.toDecimal(value))

/** Steps and sizes as plain decimal text. */
export const toJson = (instrument: Instrument): JsonObject => ({
  ...instrument,
  priceStep: Numeric.toDecimal(instrument.priceStep),
  quantityStep: Numeric.toDecimal(instrument.quantityStep),
  minQuantity: optionalDecimal(instrument.minQuantity),
  minNotional: optionalDecimal(instrument.minNotional),
  contractSize: Numeric.toDecimal(instrument.contractSize)
})

const Decimal = Schema.Union([Schema.Finite, Schema.FiniteFromString])

const InstrumentJson = Schema.Struct({
  exchange: Schema.String,
  pair: TradingPair,
  symbol: Schema.String,
  kind: Schema.Literals(["spot", "swap"]),
  base: Schema.String,
  quote: Schema.String,
  settle: Schema.NullOr(Schema.String),
  status: Schema.Literals(["trading", "paused", "closed"]),
  priceStep: Decimal,
  quantityStep: Decimal,
  minQuantity: Schema.NullOr(Decimal),
  minNotional: Schema.NullOr(Decimal),
  contractSize: Decimal,
  maintenanceRate: Schema.optionalKey(Decimal),
  takerFeeRate: Schema.optionalKey(Decimal)
})

const decode = Schema.decodeUnknownResult(InstrumentJson)

const parse = (text: string): Result.Result<unknown, string> => {
  try {
    return Result.succeed(JSON.parse(text))
  } catch (error) {
    return Result.fail((error as Error).message)
  }
}

/** Each value with the place that it stands at, for messages. */
type Entries = ReadonlyArray<readonly [place: string, value: Result.Result<unknown, string>]>

/** A JSON array, or one value a line. */
const entriesOf = (text: string): Entries => {
  const whole = text.trimStart().startsWith("[") ? parse(text) : Result.fail("")
  if (Result.isSuccess(whole) && Array.isArray(whole.success)) {
    return whole.success.map((value, index) => [`entry ${index + 1}`, Result.succeed(value)] as const)
  }
  return text.split("\n").flatMap((line, index) =>
    line.trim() === "" ? [] : [[`line ${index + 1}`, parse(line)] as const]
  )
}

/** Reads a file's text; the failure names the first place that is wrong. */
export const read = (text: string): Result.Result<ReadonlyArray<Instrument>, string> => {
  const instruments: Array<Instrument> = []
  for (const [place, value] of entriesOf(text)) {
    const instrument = Result.flatMap(value, (json) => Result.mapError(decode(json), (error) => error.message))
    if (Result.isFailure(instrument)) return Result.fail(`${place} is no instrument: ${instrument.failure}`)
    instruments.push(instrument.success)
  }
  return Result.succeed(instruments)
}

/** Looks up the symbols of one exchange. */
export const lookup = (exchange: ExchangeId, instruments: ReadonlyArray<Instrument>): InstrumentOf => {
  const bySymbol = new Map<string, Instrument>()
  for (const instrument of instruments) {
    if (instrument.exchange === exchange) bySymbol.set(instrument.symbol, instrument)
  }
  return (symbol) => bySymbol.get(symbol)
}
