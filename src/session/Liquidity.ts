/** How liquid each symbol is: the order in which many are subscribed and their books are fetched. */
import { Effect } from "effect"
import type { TradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import type { MarketRest } from "../MarketRest.ts"

export interface Liquidity {
  /** Traded within 24 hours, in quote; 0 where nothing is known, or not yet. */
  readonly turnoverOf: (symbol: string) => number
  /** Most liquid first, others as they were given. Asks the exchange once; when that fails the order stays, with a warning. */
  readonly ordered: (pairs: ReadonlyArray<TradingPair>) => Effect.Effect<ReadonlyArray<TradingPair>>
}

/** The order is worth no longer wait, ms. */
const patience = 5_000

export const make = (adapter: ExchangeAdapter, rest: MarketRest["Service"]): Liquidity => {
  let turnovers: ReadonlyMap<string, number> = new Map()

  const turnoverOf = (symbol: string): number => turnovers.get(symbol) ?? 0

  const asGiven = (detail: string): Effect.Effect<void> =>
    Effect.logWarning(`[${adapter.id}] pairs are subscribed as given, not the most liquid first: ${detail}`)

  const load = Effect.suspend(() =>
    turnovers.size > 0 ? Effect.void : rest.turnovers.pipe(
      Effect.map((loaded) => {
        turnovers = loaded
      }),
      Effect.catch((error) => asGiven(error.message)),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => asGiven(`the turnovers did not come within ${patience} ms`)
      })
    )
  )

  const rank = (pair: TradingPair): number => turnoverOf(adapter.symbol(pair) ?? "")

  return {
    turnoverOf,
    ordered: (pairs) => Effect.map(load, () => pairs.toSorted((a, b) => rank(b) - rank(a)))
  }
}
