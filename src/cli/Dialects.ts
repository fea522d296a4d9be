/** The exchanges that the simulator can be. */
import type { ExchangeDialect } from "../ExchangeDialect.ts"
import { gateSpotDialect } from "../exchanges/gate/GateDialect.ts"
import { mexcSpotDialect } from "../exchanges/mexc/MexcDialect.ts"

export const dialects: ReadonlyArray<ExchangeDialect> = [mexcSpotDialect, gateSpotDialect]
