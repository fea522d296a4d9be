/** How much of the base one contract is, by symbol: read once from the instruments, before a swap's first event. */
import { Effect, Semaphore } from "effect"
import type { ExchangeAdapter } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"

/**
 * 1 on spot, where nothing is asked. On swaps the first call reads the instruments and fails where that fails, for a
 * quantity in unknown units is worse than none; null for a symbol that is not listed, which the exchange will refuse.
 */
export const make = (
  adapter: ExchangeAdapter,
  rest: MarketRest["Service"]
): (symbol: string) => Effect.Effect<number | null, ExchangeError> => {
  if (adapter.kind === "spot") return () => Effect.succeed(1)
  const sizes = new Map<string, number>()
  const gate = Semaphore.makeUnsafe(1)
  const load = gate.withPermits(1)(Effect.suspend(() =>
    sizes.size > 0
      ? Effect.void
      : Effect.map(rest.instruments, (instruments) => {
        for (const { contractSize, symbol } of instruments) sizes.set(symbol, contractSize)
      })
  ))
  return (symbol) => Effect.map(load, () => sizes.get(symbol) ?? null)
}
