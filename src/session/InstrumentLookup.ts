/** What a session knows of symbols: read once from the instruments, before the first event that needs it. */
import { Effect, Semaphore } from "effect"
import * as Reconnect from "../connection/Reconnect.ts"
import { everyPair } from "../domain/Channel.ts"
import { monotonic } from "../domain/ClockTime.ts"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"

export interface InstrumentLookup {
  /**
   * Base units in one contract, before a topic of `pair` begins. 1 on spot, where nothing is asked unless `pair` stands
   * for every pair; then the events stay without pairs when the instruments cannot be read. On swaps the first call reads
   * them, for a quantity in unknown units is worse than none: again and again, as a socket is dialled again, and fails
   * only where trying again cannot help. A symbol that is not among them is looked up once more, for it may be new; null
   * when it is still not listed, which the exchange will refuse.
   */
  readonly contractSize: (pair: TradingPair, symbol: string) => Effect.Effect<number | null, ExchangeError>
  /** Reads them for a symbol that is not among them, once; what cannot be read is tried again when somebody asks again. */
  readonly lookUp: (symbol: string) => Effect.Effect<void>
  /** By what has been read; null where that is too old to tell. `now`: of the monotonic clock, ms. */
  readonly isListed: (symbol: string, now: number) => boolean | null
  /** What has been read; synchronous, for codecs. */
  readonly instrumentOf: (symbol: string) => Instrument | undefined
}

/** A list of instruments younger than this holds everything that is listed, ms. */
const freshFor = 10_000

/** Between two attempts to read it for symbols that are not in it, ms. */
const triedFor = 4_000

/** One older than this says nothing of a symbol that is not in it, ms. */
const tellsFor = 60_000

export const make = (adapter: ExchangeAdapter, rest: MarketRest["Service"]): InstrumentLookup => {
  const known = new Map<string, Instrument>()
  const gate = Semaphore.makeUnsafe(1)
  let readAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  const read = Effect.gen(function*() {
    const instruments = yield* rest.instruments
    for (const instrument of instruments) known.set(instrument.symbol, instrument)
    readAt = yield* monotonic
  })
  const again = read.pipe(
    Effect.tapError(({ isTransient, message }) =>
      isTransient ? Effect.logWarning(`${message}; the contract sizes are asked for again`) : Effect.void
    ),
    Effect.retry({ schedule: Reconnect.backoff, while: ({ isTransient }) => isTransient })
  )
  const names = gate.withPermits(1)(Effect.suspend(() => known.size > 0 ? Effect.void : read)).pipe(
    Effect.catch(({ message }) => Effect.logWarning(`[${adapter.id}] events of every pair have no pairs: ${message}`))
  )
  const spot = Effect.succeed(1)
  const everySize = gate.withPermits(1)(Effect.suspend(() => known.size > 0 ? Effect.void : again))

  /** Many may ask for what does not exist: the list is not read again for each of them. */
  const refresh = (symbol: string): Effect.Effect<void, ExchangeError> =>
    Effect.flatMap(monotonic, (now) => {
      if (known.size === 0) return again
      return known.has(symbol) || now - readAt < freshFor ? Effect.void : read
    })

  const attempted = (symbol: string): Effect.Effect<void> =>
    gate.withPermits(1)(read).pipe(
      Effect.catch(({ message }) =>
        Effect.logWarning(`[${adapter.id}] whether ${symbol} is listed is not known: ${message}`)
      )
    )

  /** Many may ask at once while it cannot be read. */
  const lookUp = (symbol: string): Effect.Effect<void> =>
    Effect.flatMap(monotonic, (now) => {
      if (known.has(symbol) || now - readAt < freshFor || now - triedAt < triedFor) return Effect.void
      triedAt = now
      return attempted(symbol)
    })

  const sizeOf = (symbol: string): Effect.Effect<number | null, ExchangeError> =>
    Effect.suspend(() => {
      const size = Effect.sync(() => known.get(symbol)?.contractSize ?? null)
      return known.has(symbol) ? size : Effect.andThen(gate.withPermits(1)(refresh(symbol)), size)
    })

  return {
    contractSize: adapter.kind === "spot"
      ? (pair) => pair === everyPair ? Effect.andThen(names, spot) : spot
      // Stands for many, whose sizes differ: each event has that of its own symbol.
      : (pair, symbol) => pair === everyPair ? Effect.as(everySize, null) : sizeOf(symbol),
    lookUp,
    isListed: (symbol, now) => known.has(symbol) || (known.size > 0 && now - readAt < tellsFor ? false : null),
    instrumentOf: (symbol) => known.get(symbol)
  }
}
