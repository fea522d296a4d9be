/** Other clients on our simulated exchanges: what they are known to do wrong, beside what we do. */
import { Effect } from "effect"
import type { Row } from "../../scoreboard/Row.ts"
import * as Rows from "../../scoreboard/Rows.ts"
import type { Case } from "../Proof.ts"

/** Where ccxt is known to fail; in every other row it does well. */
const knownFailures: ReadonlySet<string> = new Set([
  "mexc-overlap",
  "mexc-gap",
  "gate-gap",
  "mexc-blocked",
  "mexc-protobuf",
  "trades-burst",
  "gate-candle-volume"
])

const isAsKnown = ({ ccxt, id }: Row): boolean => ccxt?.verdict === (knownFailures.has(id) ? "bad" : "good")

export const judges: Case = {
  name: "judges",
  proves:
    "ccxt and gateio-api, unmodified, read our simulated exchanges; their known failures (ghost prices, unseen gaps, silent refusals, trades lost in silence) happen to them and not to us",
  run: (proof) =>
    Effect.gen(function*() {
      const rows = yield* Rows.outcomes(proof)
      for (const row of rows) {
        proof.say(`${row.title} (${row.done})`)
        proof.check(`ours: ${row.target}`, row.ours.verdict === "good", row.ours.text)
        proof.check(
          knownFailures.has(row.id) ? "ccxt fails as it is known to" : "ccxt does well",
          isAsKnown(row),
          row.ccxt?.text ?? "not asked"
        )
        if (row.gateioApi !== null) proof.say(`gateio-api: ${row.gateioApi.text}`)
      }
      proof.figure("rows", rows.length)
      proof.figure("ours_right", rows.filter(({ ours }) => ours.verdict === "good").length)
      proof.figure("ccxt_right", rows.filter(({ ccxt }) => ccxt?.verdict === "good").length)
    })
}
