import { mexcAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { orderEntrySuite } from "../suites/OrderEntrySuite.ts"

orderEntrySuite(mexcAccount, Exchange.memory)
orderEntrySuite(mexcAccount, Exchange.ports)
