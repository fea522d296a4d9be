/** Every exchange that is proved: its adapter beside the dialect that the simulator speaks for it. */
import { gateFuturesDialect, gateSpotDialect, mexcSpotDialect } from "../../src/exchanges/dialects.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { Subject } from "./Exchange.ts"

export const subjects: ReadonlyArray<Subject> = [
  { adapter: mexcSpot, dialect: mexcSpotDialect },
  { adapter: gateSpot, dialect: gateSpotDialect },
  { adapter: gateFutures, dialect: gateFuturesDialect }
]
