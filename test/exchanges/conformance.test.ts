import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { publicWebsocketSuite } from "../suites/PublicWebsocketSuite.ts"

publicWebsocketSuite("mexc-spot", {
  adapter: mexcSpot,
  dialect: mexcSpotDialect,
  served: ["BookTicker", "Trades", "Book"]
})
publicWebsocketSuite("gate-spot", { adapter: gateSpot, dialect: gateSpotDialect })
