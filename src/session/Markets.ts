/** What a session knows of symbols: read once from the instruments, before the first event that needs it. */
import { Effect, Semaphore } from "effect"
import * as Reconnect from "../connection/Reconnect.ts"
import { everyPair } from "../domain/Channel.ts"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"

export interface Markets {
  /**
   * Base units in one contract, before a topic of `pair` begins. 1 on spot, where nothing is asked unless `pair` stands
   * for every pair; then the events stay without pairs when the instruments cannot be read. On swaps the first call reads
   * them, for a quantity in unknown units is worse than none: again and again, as a socket is dialled again, and fails
   * only where trying again cannot help; null for a symbol that is not listed, which the exchange will refuse.
   */
  readonly contractSize: (pair: TradingPair, symbol: string) => Effect.Effect<number | null, ExchangeError>
  /** What has been read; synchronous, for codecs. */
  readonly instrumentOf: (symbol: string) => Instrument | undefined
}

export const make = (adapter: ExchangeAdapter, rest: MarketRest["Service"]): Markets => {
  const known = new Map<string, Instrument>()
  const gate = Semaphore.makeUnsafe(1)
  const read = Effect.suspend(() =>
    known.size > 0
      ? Effect.void
      : Effect.map(rest.instruments, (instruments) => {
        for (const instrument of instruments) known.set(instrument.symbol, instrument)
      })
  )
  const again = read.pipe(
    Effect.tapError(({ isTransient, message }) =>
      isTransient ? Effect.logWarning(`${message}; the contract sizes are asked for again`) : Effect.void
    ),
    Effect.retry({ schedule: Reconnect.backoff, while: ({ isTransient }) => isTransient })
  )
  const load = gate.withPermits(1)(again)
  const names = gate.withPermits(1)(read).pipe(
    Effect.catch(({ message }) => Effect.logWarning(`[${adapter.id}] events of every pair have no pairs: ${message}`))
  )
  const spot = Effect.succeed(1)
  return {
    contractSize: adapter.kind === "spot"
      ? (pair) => pair === everyPair ? Effect.andThen(names, spot) : spot
      : (_pair, symbol) => Effect.map(load, () => known.get(symbol)?.contractSize ?? null),
    instrumentOf: (symbol) => known.get(symbol)
  }
}
