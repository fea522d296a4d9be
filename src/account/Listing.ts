/** What an exchange lists, by symbol and by pair: read before the first use, and again for what is not in it. */
import { Effect, Semaphore } from "effect"
import { monotonic } from "../domain/ClockTime.ts"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"

export interface Listing {
  /** Reads it unless it has been read. */
  readonly read: Effect.Effect<void, ExchangeError.ExchangeError>
  /** Fails with `UnknownPair` for what is not listed. */
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** What has been read; synchronous, for codecs. */
  readonly instrumentOf: (symbol: string) => Instrument | undefined
}

/** A list younger than this holds everything that is listed, ms. */
const freshFor = 10_000

export const make = (rest: MarketRest["Service"]): Listing => {
  const bySymbol = new Map<string, Instrument>()
  const byPair = new Map<TradingPair, Instrument>()
  const gate = Semaphore.makeUnsafe(1)
  let readAt = Number.NEGATIVE_INFINITY

  const load = Effect.gen(function*() {
    for (const instrument of yield* rest.instruments) {
      bySymbol.set(instrument.symbol, instrument)
      byPair.set(instrument.pair, instrument)
    }
    readAt = yield* monotonic
  })

  const read = gate.withPermits(1)(Effect.suspend(() => bySymbol.size > 0 ? Effect.void : load))

  const refresh = gate.withPermits(1)(
    Effect.flatMap(monotonic, (now) => now - readAt < freshFor ? Effect.void : load)
  )

  const found = (pair: TradingPair): Effect.Effect<Instrument, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const instrument = byPair.get(pair)
      if (instrument !== undefined) return Effect.succeed(instrument)
      const detail = "check it against `exchange instruments`; nothing was sent"
      return Effect.fail(ExchangeError.make(rest.exchange, new ExchangeError.UnknownPair({ symbol: pair, detail })))
    })

  return {
    read,
    instrument: (pair) =>
      Effect.suspend(() => byPair.has(pair) ? found(pair) : Effect.andThen(Effect.andThen(read, refresh), found(pair))),
    instrumentOf: (symbol) => bySymbol.get(symbol)
  }
}
