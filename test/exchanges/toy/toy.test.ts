/** The made-up exchange passes the suite of the real ones, and nothing of src knows it. */
import { toy } from "../../simulator/ToyDialect.ts"
import { publicExchangeSuite } from "../../suites/PublicExchangeSuite.ts"
import { publicWebsocketSuite } from "../../suites/PublicWebsocketSuite.ts"
import { toySpot } from "./ToyAdapter.ts"

publicWebsocketSuite("toy", { adapter: toySpot, dialect: toy })
publicExchangeSuite("toy", { adapter: toySpot, dialect: toy })
