import { gateFuturesDialect, gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { publicWebsocketSuite } from "../suites/PublicWebsocketSuite.ts"

publicWebsocketSuite("mexc-spot", { adapter: mexcSpot, dialect: mexcSpotDialect })
publicWebsocketSuite("gate-spot", { adapter: gateSpot, dialect: gateSpotDialect })
publicWebsocketSuite("gate-futures", { adapter: gateFutures, dialect: gateFuturesDialect })
