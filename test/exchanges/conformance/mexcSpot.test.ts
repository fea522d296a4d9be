import { publicWebsocketSuite } from "../../suites/PublicWebsocketSuite.ts"
import { mexcSpotSubject } from "../../suites/Subjects.ts"

publicWebsocketSuite(mexcSpotSubject.adapter.id, mexcSpotSubject)
