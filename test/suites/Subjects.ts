/** Every exchange that is proved: its adapter beside the dialect that the simulator speaks for it. */
import { gateFuturesDialect, gateSpotDialect, mexcSpotDialect } from "../../src/exchanges/dialects.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { Subject } from "./Exchange.ts"

export const mexcSpotSubject: Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }
export const gateSpotSubject: Subject = { adapter: gateSpot, dialect: gateSpotDialect }
export const gateFuturesSubject: Subject = { adapter: gateFutures, dialect: gateFuturesDialect }

export const subjects: ReadonlyArray<Subject> = [mexcSpotSubject, gateSpotSubject, gateFuturesSubject]
