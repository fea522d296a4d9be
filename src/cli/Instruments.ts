/** `exchange instruments`: what an exchange lists. */
import { Effect, Option, Schedule, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { Instrument } from "../domain/Instrument.ts"
import * as Numeric from "../domain/Numeric.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import * as Exchanges from "../Exchanges.ts"
import { MarketRest } from "../MarketRest.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as InstrumentFile from "./InstrumentFile.ts"
import * as Stdout from "./Stdout.ts"
import * as Table from "./Table.ts"

const columns: ReadonlyArray<Table.Column> = [
  { title: "PAIR", align: "left" },
  { title: "SYMBOL", align: "left" },
  { title: "KIND", align: "left" },
  { title: "STATUS", align: "left" },
  { title: "PRICE STEP" },
  { title: "QTY STEP" },
  { title: "MIN QTY" },
  { title: "MIN VALUE" }
]

/** On derivatives steps and minimums are contracts. */
const contractSize: Table.Column = { title: "CONTRACT" }

const cell = (value: number | null): string => (value === null ? "-" : Numeric.toDecimal(value))

const row = (instrument: Instrument): ReadonlyArray<string> => [
  instrument.pair,
  instrument.symbol,
  instrument.kind,
  instrument.status,
  cell(instrument.priceStep),
  cell(instrument.quantityStep),
  cell(instrument.minQuantity),
  cell(instrument.minNotional),
  ...instrument.kind === "swap" ? [cell(instrument.contractSize)] : []
]

const columnsOf = (instruments: ReadonlyArray<Instrument>): ReadonlyArray<Table.Column> =>
  instruments.some(({ kind }) => kind === "swap") ? [...columns, contractSize] : columns

const lines = (instruments: ReadonlyArray<Instrument>, format: "table" | "ndjson"): ReadonlyArray<string> =>
  format === "table"
    ? Table.format(columnsOf(instruments), instruments.map(row))
    : instruments.map((instrument) => JSON.stringify(InstrumentFile.toJson(instrument)))

const again = {
  times: 2,
  schedule: Schedule.exponential("500 millis"),
  while: (error: ExchangeError) => error.isTransient
}

export const command = Command.make(
  "instruments",
  {
    exchange: Flags.exchangeId,
    format: Flag.Literals("format", ["table", "ndjson"]).pipe(
      Flag.withDescription("Columns for people, or one JSON object a line"),
      Flag.withDefault("table")
    ),
    pairs: Flags.optionalPairs.pipe(
      Flag.withDescription("Only these pairs, separated by commas: BTC/USDT,ETH/USDT (default: all)")
    ),
    restUrl: Flags.restUrl
  },
  Effect.fnUntraced(function*({ exchange, format, pairs, restUrl }) {
    const overrides = Option.match(restUrl, { onNone: () => ({}), onSome: (url) => ({ restUrl: url }) })
    const all = yield* Effect.gen(function*() {
      const rest = yield* MarketRest
      return yield* Effect.retry(rest.instruments, again)
    }).pipe(
      Effect.provide(Exchanges.layerPublicConfig(exchange, overrides)),
      Effect.mapError((error) => Failure.failed(error.message))
    )
    const wanted = Option.map(pairs, (list): ReadonlySet<string> => new Set(list))
    const chosen = Option.match(wanted, {
      onNone: () => all,
      onSome: (set) => all.filter(({ pair }) => set.has(pair))
    })
    const missing = Option.getOrElse(wanted, (): ReadonlySet<string> => new Set())
    const unlisted = [...missing].filter((pair) => !chosen.some((instrument) => instrument.pair === pair))
    if (unlisted.length > 0) yield* Effect.logWarning(`${exchange} does not list ${unlisted.join(", ")}`)
    if (chosen.length === 0) {
      return yield* unlisted.length > 0
        ? Failure.usage(`none of the pairs is listed by ${exchange}`)
        : Failure.nothing(`${exchange} lists nothing`)
    }
    yield* Stdout.write(Stream.map(Stream.fromIterable(lines(chosen, format)), (line) => `${line}\n`))
  }, Effect.interruptible)
).pipe(
  Command.withDescription("List what an exchange trades: pairs, its own names, steps and minimums."),
  Command.withShortDescription("List what an exchange trades"),
  Command.withExamples([
    { command: "exchange instruments gate-spot --pairs BTC/USDT,ETH/USDT", description: "Look two pairs up" },
    {
      command: "exchange instruments mexc-spot --format ndjson > mexc.ndjson",
      description: "Keep them for `exchange decode --instruments`"
    }
  ])
)
