/** Two connections carry each book: one of them brings nothing, or both in turn, or one while the other is down. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Fault } from "../../src/simulator/Faults.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"
import { subjects } from "../suites/Subjects.ts"
import { still } from "./Memory.ts"

const over = <A, E>(subject: Exchange.Subject, body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>) =>
  Exchange.withExchange(Exchange.memory, Exchange.memory.layer(subject, still, { connections: 2 }), body)

/** A pair that changes ten times a second, and one that hardly does, behind a minute in which all was well. */
const followed = Effect.fnUntraced(function*({ adapter: { id, kind } }: Exchange.Subject) {
  const simulator = yield* Simulator
  const pairs = ["BTC/USDT", "ETH/USDT"].map((pair) => kind === "spot" ? pair : `${pair}:USDT`)
  const [quick, quiet] = pairs as [TradingPair, TradingPair]
  const books = yield* OrderBooks.make([])
  yield* books.track(quick)
  yield* books.track(quiet)
  const change = (pair: TradingPair, quantity: number) =>
    Effect.orDie(simulator.publish(id, pair, { _tag: "Level", side: "bid", price: "1000", quantity: `${quantity}` }))
  const isShown = () => books.get(quiet)?._tag === "Synced"
  let count = 0
  /** How long the quiet book has been shown and was not the exchange's, ms. */
  let wrong = 0
  /** Lets time pass while the quick pair changes. Of the quiet book: how long it was not shown, and the longest that it was shown wrongly, ms. */
  const pass = Effect.fnUntraced(function*(millis: number) {
    let worst = 0
    let hidden = 0
    for (let passed = 0; passed < millis; passed += 100) {
      yield* change(quick, 1 + (count++ % 5_000))
      yield* Effect.sleep(100)
      const live = books.get(quiet)
      const truth = simulator.book(id, quiet, 1)!.version
      wrong = live?._tag === "Synced" && Number(live.book.version) < truth ? wrong + 100 : 0
      worst = Math.max(worst, wrong)
      if (live?._tag !== "Synced") hidden += 100
    }
    return { hidden, wrong: worst }
  })
  for (let turn = 0; turn < 3; turn++) {
    yield* change(quiet, 1 + turn)
    yield* pass(20_000)
  }
  assert.isTrue(isShown())
  const inject = (fault: Fault) => Effect.orDie(simulator.inject(fault))
  return { inject, isShown, pass, change: (quantity: number) => change(quiet, quantity) }
})

for (const subject of subjects) {
  describe(`a quiet pair of ${subject.adapter.id} on two connections`, () => {
    it.effect("MUST go on without a break where one of them falls silent and is back", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { inject, pass } = yield* followed(subject)
          yield* inject({ _tag: "Silence", connection: 1, durationMillis: 6_000 })
          assert.deepStrictEqual(yield* pass(40_000), { hidden: 0, wrong: 0 })
        })
      ))

    it.effect("MUST begin anew where it changed while both were silent, though one was back before the other was found to be", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { change, inject, isShown, pass } = yield* followed(subject)
          yield* inject({ _tag: "Silence", connection: 1, durationMillis: 6_000 })
          yield* pass(5_000)
          yield* inject({ _tag: "Silence", connection: 2, durationMillis: 30_000 })
          yield* pass(500)
          yield* change(999)
          const { wrong } = yield* pass(20_000)
          assert.isAtMost(wrong, 5_500)
          assert.isTrue(isShown())
        })
      ))

    it.effect("MUST begin anew where it changed while both were silent, and only one for so long that it was found to be", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { change, inject, isShown, pass } = yield* followed(subject)
          yield* inject({ _tag: "Silence", connection: 1, durationMillis: 4_000 })
          yield* pass(100)
          yield* inject({ _tag: "Silence", connection: 2, durationMillis: 4_000 })
          yield* pass(1_500)
          yield* change(999)
          const { wrong } = yield* pass(20_000)
          assert.isAtMost(wrong, 3_000)
          assert.isTrue(isShown())
        })
      ))

    it.effect("MUST not be shown by a snapshot alone where one is down and the other silent", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { change, inject, isShown, pass } = yield* followed(subject)
          yield* inject({ _tag: "Refuse", status: 0, durationMillis: 120_000 })
          yield* inject({ _tag: "Drop", connection: 2 })
          yield* inject({ _tag: "Silence", durationMillis: 60_000 })
          yield* pass(7_000)
          assert.isFalse(isShown())
          yield* change(999)
          const { wrong } = yield* pass(50_000)
          assert.strictEqual(wrong, 0)
        })
      ))
  })
}
