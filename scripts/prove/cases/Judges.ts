/** Other clients on our simulated exchanges: what they are known to do wrong, beside what we do. */
import { Cause, Effect, Exit } from "effect"
import * as CcxtGateTrading from "../../../test/judges/CcxtGateTrading.ts"
import * as CcxtMexcTrading from "../../../test/judges/CcxtMexcTrading.ts"
import * as GateioApiTrading from "../../../test/judges/GateioApiTrading.ts"
import type { Row } from "../../scoreboard/Row.ts"
import * as Rows from "../../scoreboard/Rows.ts"
import type { Case, Proof } from "../Proof.ts"

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

interface Traded {
  readonly orders: number
  readonly fills: number
}

/** Each dies when the judge and the simulator disagree about an order, a fill or a balance. */
const courses: ReadonlyArray<readonly [who: string, course: Effect.Effect<Traded, unknown>]> = [
  ["ccxt trades on mexc-spot", CcxtMexcTrading.course],
  ...CcxtGateTrading.products.map((product) =>
    [`ccxt trades on ${product.id}`, CcxtGateTrading.course(product)] as const
  ),
  ["gateio-api trades on gate-spot", GateioApiTrading.course],
  ["gateio-api trades on gate-futures", GateioApiTrading.futuresCourse]
]

const trading = Effect.fnUntraced(function*(proof: Proof) {
  const outcomes = yield* Effect.forEach(courses, ([, course]) => Effect.exit(course), { concurrency: "unbounded" })
  for (const [index, outcome] of outcomes.entries()) {
    proof.check(
      `${courses[index]![0]}: orders, fills, balances and streams are what the simulator knows`,
      Exit.isSuccess(outcome),
      Exit.match(outcome, {
        onFailure: Cause.pretty,
        onSuccess: ({ fills, orders }) => `${orders} orders, ${fills} fills`
      })
    )
  }
  const first = yield* Effect.exit(GateioApiTrading.firstAnswer)
  proof.check(
    "gateio-api fails as it is known to: it takes a receipt for the result, and a refused order for a placed one",
    Exit.isSuccess(first),
    Exit.match(first, { onFailure: Cause.pretty, onSuccess: () => "a refused order resolved" })
  )
})

export const judges: Case = {
  name: "judges",
  proves:
    "ccxt and gateio-api, unmodified, read our simulated exchanges and trade on them; their known failures (ghost prices, unseen gaps, silent refusals, trades lost in silence) happen to them and not to us",
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
      yield* trading(proof)
      proof.figure("rows", rows.length)
      proof.figure("ours_right", rows.filter(({ ours }) => ours.verdict === "good").length)
      proof.figure("ccxt_right", rows.filter(({ ccxt }) => ccxt?.verdict === "good").length)
    })
}
