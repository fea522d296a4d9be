import { publicWebsocketSuite } from "../suites/PublicWebsocketSuite.ts"
import { subjects } from "../suites/Subjects.ts"

for (const subject of subjects) publicWebsocketSuite(subject.adapter.id, subject)
