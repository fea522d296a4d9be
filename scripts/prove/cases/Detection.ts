/** How soon an edge is told: from the receipt of the second leg's frame, client and exchanges as two processes. */
import { Effect } from "effect"
import * as Detection from "../Detection.ts"
import type { Case } from "../Proof.ts"
import * as Proofs from "../Proof.ts"

/** ms. */
const bound = 1

const shares = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999], ["max", 1]] as const

export const rowOf = (name: string, values: ReadonlyArray<number>): ReadonlyArray<string> => [
  name,
  String(values.length),
  ...shares.map(([, share]) => Proofs.text(Proofs.percentile(values, share)))
]

export const titles: ReadonlyArray<string> = ["ms", "n", ...shares.map(([name]) => name)]

export const detection: Case = {
  name: "detection",
  proves:
    "an opportunity is told within 1 ms of the receipt of the frame that makes it, with 1 000 pairs on three markets",
  run: Effect.fnUntraced(function*(proof) {
    const options = proof.quick
      ? { seed: proof.seed, pairs: 10, messages: 500, seconds: 2, patience: 20 }
      : { seed: proof.seed, pairs: 1_000, messages: 20_000, seconds: Proofs.sizeOf(proof, 2, 60), patience: 180 }
    const found = yield* Detection.measure(options)
    proof.table(titles, [rowOf("entered", found.entered), rowOf("entered or changed", found.told)])
    const { withheld } = found
    proof.say(
      `clocks known to within ${Proofs.text(found.clockError)} ms; looks withheld: ${withheld.Stale} stale, ` +
        `${withheld.TooOld} too old, ${withheld.Skewed} skewed`
    )
    const [p99, p99Entered] = [found.told, found.entered].map((values) => Proofs.percentile(values, 0.99)) as [
      number,
      number
    ]
    proof.check(
      "every book is there, and every route",
      found.synced === found.books && found.routes === found.books,
      `${found.synced} of ${found.books} books, ${found.routes} routes, the last after ${
        Proofs.text(found.readyAfter)
      } s`
    )
    proof.timed(
      `from the receipt of the second leg's frame to the opportunity p99 at most ${bound} ms, of those that entered and of all that was told`,
      found.entered.length > 0,
      Math.max(p99, p99Entered) <= bound && found.perSecond >= options.messages,
      `${found.entered.length} entered, p99 ${Proofs.text(p99Entered)} ms, ${found.told.length} told, p99 ${
        Proofs.text(p99)
      } ms at ${Math.round(found.perSecond)} messages a second, client ${
        Math.round(found.cpu * 100)
      } % of a core, exchanges ${Math.round(found.serverCpu * 100)} %`
    )
    proof.figure("messages a second", found.perSecond)
    proof.figure("p50", Proofs.percentile(found.told, 0.5))
    proof.figure("p99", p99)
    proof.figure("p99 entered", p99Entered)
  })
}
