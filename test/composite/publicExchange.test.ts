/** One market as one thing, the same on every exchange. */
import { publicExchangeSuite } from "../suites/PublicExchangeSuite.ts"
import { subjects } from "../suites/Subjects.ts"

for (const subject of subjects) publicExchangeSuite(subject.adapter.id, subject)
