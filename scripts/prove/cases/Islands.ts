import { Effect } from "effect"
import type { Case } from "../Proof.ts"
export const islands: Case = { name: "islands", proves: "", run: () => Effect.void }
