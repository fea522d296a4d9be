/** All proofs, in the order in which `all` runs them. */
import * as Books from "./cases/Books.ts"
import type { Case } from "./Proof.ts"

export const cases: ReadonlyArray<Case> = [
  Books.books
]
