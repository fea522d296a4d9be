import { gateFuturesAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { privateWebsocketSuite } from "../suites/PrivateWebsocketSuite.ts"

privateWebsocketSuite(gateFuturesAccount, Exchange.memory)
privateWebsocketSuite(gateFuturesAccount, Exchange.ports)
