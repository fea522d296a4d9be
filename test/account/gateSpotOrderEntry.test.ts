import { gateSpotAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { orderEntrySuite } from "../suites/OrderEntrySuite.ts"

orderEntrySuite(gateSpotAccount, Exchange.memory)
orderEntrySuite(gateSpotAccount, Exchange.ports)
