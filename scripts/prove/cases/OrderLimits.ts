/** The exchanges' real limits: commands wait for their turn, and none is refused for coming too soon. */
import { Clock, Effect, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import { OrderEntry } from "../../../src/OrderEntry.ts"
import { RateLimits } from "../../../src/RateLimits.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../../test/suites/AccountSubjects.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"

/** Commands at once. */
const burst = 60

/** The slowest exchange takes so many within this, and not eight times what it takes in a second. */
const queueMillis = 6_000

/** Orders that the exchange takes in any second (`docs/mexc.md`, `docs/gate.md`). */
const perSecond: Readonly<Record<string, number>> = { "mexc-spot": 12, "gate-spot": 10, "gate-futures": 100 }

const most = (times: ReadonlyArray<number>): number =>
  Math.max(0, ...times.map((from) => times.filter((time) => time >= from && time < from + 1_000).length))

const play = Effect.fnUntraced(function*(
  proof: Proof,
  subject: Account.Subject
): Effect.fn.Return<ReadonlyArray<string>, unknown, Account.Services | Scope.Scope> {
  const { adapter, pair, quantity } = subject
  const simulator = yield* Simulator.Simulator
  const entry = yield* OrderEntry
  const limits = yield* RateLimits
  const account = yield* Account.truth(subject)
  const order = (price: number, timeInForce: "gtc" | "ioc" = "gtc") =>
    entry.place({ pair, side: "buy", quantity, price, timeInForce })
  const began = yield* Clock.currentTimeMillis
  const sent = burst
  const placed = yield* Effect.forEach(
    Array.from({ length: sent }, (_, index) => 1_000 + index),
    (price) => order(price),
    {
      concurrency: "unbounded"
    }
  )
  const took = (yield* Clock.currentTimeMillis) - began
  const outcomes = placed.map(({ outcome }) => outcome._tag)
  const times = account.orders({ open: true }).map(({ createdAt }) => createdAt).sort((a, b) => a - b)
  const limit = perSecond[adapter.id]!
  proof.check(
    `${adapter.id}: ${sent} orders at once are all taken`,
    outcomes.every((tag) => tag === "Accepted") && times.length === sent,
    `${outcomes.filter((tag) => tag === "Accepted").length} accepted, ${times.length} at the exchange`
  )
  const { client, rest } = simulator.counts().exchanges[adapter.id]!
  const tooMany = (rest.statuses["429"] ?? 0) + client.errors
  proof.check(
    `${adapter.id}: they wait for their turn, and none is refused for coming too soon`,
    most(times) <= limit && took >= (sent / limit - 1) * 1_000 && tooMany === 0,
    `${most(times)} in any second of ${limit} allowed, the last after ${Proofs.text(took)} ms, ${tooMany} refused`
  )
  // The queue is full for longer than a command may wait.
  const late = yield* Effect.forEach(
    Array.from({ length: limit * 8 }, (_, index) => 5_000 + index),
    (price) =>
      Effect.match(order(price, "ioc"), {
        onFailure: ({ reason }) => reason._tag,
        onSuccess: ({ outcome }) => outcome._tag
      }),
    {
      concurrency: "unbounded"
    }
  )
  const refused = late.filter((tag) => tag === "RateLimited").length
  const known = simulator.counts().exchanges[adapter.id]!.orders.placed - sent
  proof.check(
    `${adapter.id}: what would wait longer than it may is told so, and was not sent`,
    refused > 0 && known === late.length - refused && late.every((tag) => tag === "RateLimited" || tag === "Accepted"),
    `${late.length} more within ${queueMillis} ms: ${
      late.length - refused
    } accepted, ${refused} told to wait, ${known} at the exchange`
  )
  const budgets = (yield* limits.state).length
  return [adapter.id, String(sent), Proofs.text(took), String(most(times)), String(limit), String(budgets)]
})

const run = (proof: Proof, subject: Account.Subject) =>
  Account.run(
    Exchange.memory,
    Account.layer(
      Exchange.memory,
      subject,
      { limits: "exchange", orders: { queueTimeout: queueMillis } },
      { seed: proof.seed, rate: 2, limits: "real" }
    ),
    play(proof, subject)
  ).pipe(
    Random.withSeed(proof.seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

export const orderLimits: Case = {
  name: "order-limits",
  proves: "The exchanges' real limits: commands queue within them, none is refused for it, and a full queue says so",
  run: Effect.fnUntraced(function*(proof) {
    const rows = yield* Effect.forEach(accountSubjects, (subject) => run(proof, subject))
    proof.table(["exchange", "orders", "took, ms", "most in a second", "allowed", "budgets"], rows)
  })
}
