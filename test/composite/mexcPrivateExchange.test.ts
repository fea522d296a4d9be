import { mexcAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { privateExchangeSuite } from "../suites/PrivateExchangeSuite.ts"

privateExchangeSuite(mexcAccount, Exchange.memory)
