/** A simulator inside the test, behind real ports. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorOptions, SimulatorService } from "../../src/simulator/Simulator.ts"

export const start = (
  options: Partial<SimulatorOptions> = {}
): Effect.Effect<SimulatorService, never, Scope.Scope> =>
  Effect.orDie(Simulator.make({ dialects, pairs: ["BTC/USDT", "ETH/USDT"], ...options }))

/** The flags that lead a command there. */
export const flags = ({ urls }: SimulatorService, exchange: string): ReadonlyArray<string> => [
  `--ws-url=${urls[exchange]!.ws}`,
  `--rest-url=${urls[exchange]!.rest}`
]
