import { mexcAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { privateWebsocketSuite } from "../suites/PrivateWebsocketSuite.ts"

privateWebsocketSuite(mexcAccount, Exchange.memory)
privateWebsocketSuite(mexcAccount, Exchange.ports)
