import { gateSpotAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"
import { privateWebsocketSuite } from "../suites/PrivateWebsocketSuite.ts"

privateWebsocketSuite(gateSpotAccount, Exchange.memory)
privateWebsocketSuite(gateSpotAccount, Exchange.ports)
