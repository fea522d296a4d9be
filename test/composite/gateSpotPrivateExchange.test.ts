import { gateSpotAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { privateExchangeSuite } from "../suites/PrivateExchangeSuite.ts"

privateExchangeSuite(gateSpotAccount, Exchange.memory)
privateExchangeSuite(gateSpotAccount, Exchange.ports)
