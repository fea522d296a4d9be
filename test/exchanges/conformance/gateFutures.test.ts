import { publicWebsocketSuite } from "../../suites/PublicWebsocketSuite.ts"
import { gateFuturesSubject } from "../../suites/Subjects.ts"

publicWebsocketSuite(gateFuturesSubject.adapter.id, gateFuturesSubject)
