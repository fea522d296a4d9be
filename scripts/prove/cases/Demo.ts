/** What `npm start` shows to somebody who has just cloned the repository. */
import { Effect } from "effect"
import type { Ended, Line } from "../Child.ts"
import * as Child from "../Child.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"

/** As `npm start` runs it. */
const command = ["-r", "./scripts/node-version.cjs", "src/cli/main.ts", "demo"]

const mostMillis = 5_000
const leastPairs = 10

/** A pair with bid and ask of both exchanges. */
const row = /^(\S+\/\S+)(?:\s+\d+(?:\.\d+)?){4}\s/

/** When so many pairs had been shown with prices of both exchanges, ms from the start of the process. */
const shownAt = (lines: ReadonlyArray<Line>): number => {
  const pairs = new Set<string>()
  for (const { at, text } of lines) {
    const pair = row.exec(text)?.[1]
    if (pair !== undefined) pairs.add(pair)
    if (pairs.size >= leastPairs) return at
  }
  return Infinity
}

interface ExchangeSummary {
  readonly state: string
  readonly pairsSeen: number
  readonly updates: number
  readonly gaps: number
  readonly decodeFailures: number
  readonly dropped: number
  readonly books: { readonly tracked: number; readonly synced: number }
}

interface AccountSummary {
  readonly state: string
  readonly failure: string | null
  readonly counts: { readonly orders: number; readonly fills: number; readonly gaps: number }
  readonly balances: ReadonlyArray<unknown>
}

interface Arbitrage {
  readonly routes: number
  readonly found: number
  readonly executions: { readonly executed: number; readonly exposed: number; readonly profit: string }
  readonly killed: string | null
  readonly underWay: number | null
  readonly left: Readonly<Record<string, { readonly open: number }>>
}

interface Summary {
  readonly arbitrage: Arbitrage
  readonly source: string
  readonly pairs: number
  readonly pairsSeen: number
  readonly exchanges: Readonly<Record<string, ExchangeSummary>>
  readonly accounts: Readonly<Record<string, AccountSummary>>
}

const summaryOf = ({ lines }: Ended): Summary | null => {
  try {
    return JSON.parse(lines.at(-1)?.text ?? "") as Summary
  } catch {
    return null
  }
}

const isSound = (one: ExchangeSummary): boolean =>
  one.state === "connected" && one.pairsSeen >= leastPairs && one.updates > 0 && one.gaps === 0 &&
  one.decodeFailures === 0 &&
  one.dropped === 0 && one.books.synced === one.books.tracked

const firstOutput = Effect.fnUntraced(function*(proof: Proof) {
  const { lines } = yield* Child.node([...command, "--duration", "60s"], {
    until: (lines) => shownAt(lines) < Infinity
  })
  const at = shownAt(lines)
  proof.timed(
    `${leastPairs} pairs with prices of both exchanges are shown within ${mostMillis} ms`,
    at < Infinity,
    at <= mostMillis,
    `after ${Proofs.text(at)} ms`
  )
  proof.figure("first_output_ms", at)
})

const summed = (proof: Proof, duration: string): Effect.Effect<Ended> =>
  Child.node([
    ...command,
    "--pairs",
    "20",
    "--fault",
    "none",
    "--duration",
    duration,
    "--json",
    "--seed",
    String(proof.seed)
  ])

const isTrading = ({ balances, counts, failure, state }: AccountSummary): boolean =>
  state === "authenticated" && failure === null && balances.length > 0 && counts.orders > 0 && counts.gaps === 0

/** Edges are found and traded, and nothing is left open. */
const isFlat = ({ executions, found, killed, left, routes, underWay }: Arbitrage): boolean =>
  routes > 0 && found > 0 && executions.executed > 0 && executions.exposed === 0 && killed === null && underWay === 0 &&
  Object.values(left).every(({ open }) => open === 0)

const isWhole = (found: Summary | null): found is Summary =>
  found !== null && found.pairsSeen >= leastPairs && Object.values(found.exchanges).every(isSound) &&
  Object.values(found.accounts).every(isTrading) && isFlat(found.arbitrage)

const summary = Effect.fnUntraced(function*(proof: Proof) {
  const short = yield* summed(proof, proof.quick ? "7s" : "30s")
  // On a busy machine not all has come after 7 s.
  const ended = proof.quick && !isWhole(summaryOf(short)) ? yield* summed(proof, "40s") : short
  const found = summaryOf(ended)
  proof.check(
    "--json prints one line of JSON and nothing else",
    found !== null && ended.lines.length === 1 && ended.code === 0,
    `${ended.lines.length} lines, exit code ${ended.code}`
  )
  if (found === null) return proof.say(ended.errors)
  const exchanges = Object.entries(found.exchanges)
  proof.check(
    "all three exchanges are in it",
    exchanges.length === 3 && found.pairsSeen >= leastPairs,
    `${exchanges.length} exchanges, ${found.pairsSeen} of ${found.pairs} pairs seen on both spot markets`
  )
  for (const [id, one] of exchanges) {
    proof.check(
      `${id}: connected, every book in sync, no gap, no failure, nothing dropped`,
      isSound(one),
      `${one.state}, ${one.updates} updates, ${one.books.synced} of ${one.books.tracked} books, ${one.gaps} gaps, ${one.decodeFailures} failures, ${one.dropped} dropped`
    )
    proof.figure(`${id}_updates`, one.updates)
  }
  const { executions, found: edges, routes } = found.arbitrage
  proof.check(
    "edges are found and traded, none is left exposed, and no order is left open",
    isFlat(found.arbitrage),
    `${edges} edges on ${routes} routes, ${executions.executed} executions, ${executions.exposed} exposed, profit ${executions.profit}`
  )
  proof.figure("edges", edges)
  proof.figure("executions", executions.executed)
  const accounts = Object.entries(found.accounts)
  for (const [id, one] of accounts) {
    const { balances, counts, state } = one
    proof.check(
      `${id}: its account is let in, has balances, and trades`,
      isTrading(one),
      `${state}, ${balances.length} assets, ${counts.orders} order updates, ${counts.fills} fills, ${counts.gaps} gaps`
    )
  }
  proof.check(
    "an account of each exchange is in it",
    accounts.length === exchanges.length,
    `${accounts.length} accounts`
  )
})

export const demonstration: Case = {
  name: "demo",
  proves:
    "npm start shows at least 10 pairs with prices of both exchanges within 5 s, and its summary is sound, accounts included",
  run: Effect.fnUntraced(function*(proof) {
    yield* firstOutput(proof)
    yield* summary(proof)
  })
}
