import { publicWebsocketSuite } from "../../suites/PublicWebsocketSuite.ts"
import { gateSpotSubject } from "../../suites/Subjects.ts"

publicWebsocketSuite(gateSpotSubject.adapter.id, gateSpotSubject)
