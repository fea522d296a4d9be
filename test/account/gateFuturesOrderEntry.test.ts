import { gateFuturesAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { orderEntrySuite } from "../suites/OrderEntrySuite.ts"

orderEntrySuite(gateFuturesAccount, Exchange.memory)
orderEntrySuite(gateFuturesAccount, Exchange.ports)
