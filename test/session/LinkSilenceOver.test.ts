/** Books of pairs that hardly change, on a connection that was silent as a whole: in it and behind it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import type * as Exchange from "../suites/Exchange.ts"
import { subjects } from "../suites/Subjects.ts"
import { over, still } from "./Memory.ts"

/** Ten changes a second, and hardly any. */
const pairsOf = ({ adapter }: Exchange.Subject): readonly [quick: TradingPair, quiet: TradingPair] =>
  adapter.kind === "spot" ? ["BTC/USDT", "ETH/USDT"] : ["BTC/USDT:USDT", "ETH/USDT:USDT"]

const change = (subject: Exchange.Subject, pair: TradingPair, quantity: number) =>
  Effect.flatMap(
    Simulator,
    (simulator) =>
      Effect.orDie(
        simulator.publish(subject.adapter.id, pair, {
          _tag: "Level",
          side: "bid",
          price: "1000",
          quantity: `${quantity}`
        })
      )
  )

const silence = (durationMillis: number) =>
  Effect.flatMap(Simulator, (simulator) => Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis })))

const followed = Effect.fnUntraced(function*(subject: Exchange.Subject) {
  const simulator = yield* Simulator
  const [quick, quiet] = pairsOf(subject)
  const books = yield* Layer.build(OrderBooks.layer([])).pipe(
    Effect.flatMap((context) => Effect.provide(OrderBooks.OrderBooks, context))
  )
  yield* books.track(quick)
  yield* books.track(quiet)
  let count = 0
  let wrong = 0
  /** Lets time pass while the quick pair changes; ms in which the quiet one's book was shown and was not the exchange's. */
  const pass = (millis: number) =>
    Effect.gen(function*() {
      for (let passed = 0; passed < millis; passed += 100) {
        yield* change(subject, quick, 1 + (count++ % 5_000))
        yield* Effect.sleep(100)
        const live = books.get(quiet)
        const truth = simulator.book(subject.adapter.id, quiet, 1)!.version
        // What is under way may be so old.
        wrong = live?._tag === "Synced" && Number(live.book.version) < truth ? wrong + 100 : 0
        assert.isAtMost(wrong, 5_500, `a book that is ${wrong} ms behind is shown`)
      }
    })
  const quietly = (quantity: number) => change(subject, quiet, quantity)
  for (let turn = 0; turn < 3; turn++) {
    yield* quietly(1 + turn)
    yield* pass(20_000)
  }
  assert.strictEqual(books.get(quiet)?._tag, "Synced")
  return { pass, quietly, isShown: () => books.get(quiet)?._tag === "Synced" }
})

for (const subject of subjects) {
  describe(`a quiet pair of ${subject.adapter.id}`, () => {
    it.effect("that changed in a short silence is right soon behind it", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { isShown, pass, quietly } = yield* followed(subject)
          yield* silence(6_000)
          yield* pass(2_000)
          yield* quietly(999)
          yield* pass(4_000)
          yield* pass(4_000)
          assert.isTrue(isShown())
          yield* pass(20_000)
        }),
        still
      ))

    it.effect("that changes late in a long silence is not shown meanwhile, and right soon behind it", () =>
      over(
        subject,
        Effect.gen(function*() {
          const { isShown, pass, quietly } = yield* followed(subject)
          yield* silence(60_000)
          yield* pass(20_000)
          yield* quietly(999)
          yield* pass(40_000)
          assert.isFalse(isShown())
          yield* pass(4_000)
          assert.isTrue(isShown())
          yield* pass(20_000)
        }),
        still
      ))

    it.effect("that was quieter than before is shown soon behind a reconnection in which it changed", () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { isShown, pass, quietly } = yield* followed(subject)
          for (let i = 0; i < 90; i++) {
            yield* quietly(1 + i)
            yield* pass(1_000)
          }
          // It is taken for silent, and falsely so.
          yield* pass(60_000)
          yield* Effect.orDie(simulator.inject({ _tag: "Drop" }))
          yield* quietly(999)
          yield* pass(4_000)
          assert.isTrue(isShown())
        }),
        still
      ))

    it.effect("is right soon behind a silence in which the connection was lost", () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { isShown, pass, quietly } = yield* followed(subject)
          yield* silence(30_000)
          yield* pass(2_000)
          yield* quietly(999)
          yield* pass(4_000)
          yield* Effect.orDie(simulator.inject({ _tag: "Drop" }))
          yield* pass(24_000)
          yield* pass(4_000)
          assert.isTrue(isShown())
        }),
        still
      ))
  })

  describe(`a connection of ${subject.adapter.id}`, () => {
    it.effect("with which it is back behind an outage is not given up for the silence before", () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const websocket = yield* PublicWebsocket
          const pairs = pairsOf(subject)
          yield* websocket.handle({})
          yield* websocket.initialize([...pairs], ["Book"])
          const busy = (millis: number) =>
            Effect.gen(function*() {
              for (let passed = 0; passed < millis; passed += 200) {
                for (const pair of pairs) yield* change(subject, pair, 1 + passed % 991)
                yield* Effect.sleep(200)
              }
            })
          yield* busy(40_000)
          yield* Effect.sleep(6_000)
          yield* Effect.orDie(simulator.inject({ _tag: "Refuse", status: 0, durationMillis: 20_000 }))
          yield* Effect.orDie(simulator.inject({ _tag: "Drop" }))
          yield* Effect.sleep(21_000)
          yield* busy(5_000)
          assert.strictEqual((yield* websocket.performance).reconnects, 1)
        }),
        still
      ))

    it.effect("is not taken for silent while a consumer holds it up, whatever an audit finds of one book", () =>
      over(
        subject,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const [quick, quiet] = pairsOf(subject)
          const gaps: Array<string> = []
          yield* websocket.handle({ onGap: ({ cause, pair }) => void gaps.push(`${pair} ${cause}`) })
          yield* websocket.initialize([quick, quiet], ["Book"])
          let isHeld = false
          const channel = Channel.book(quick)
          const feed = yield* websocket.feed(channel, { overflow: "block", bufferSize: 2 })
          yield* Effect.forkScoped(
            Stream.runForEach(feed, () => isHeld ? Effect.sleep("1 minute") : Effect.void)
          )
          for (let i = 0; i < 400; i++) {
            yield* change(subject, quick, 1 + i)
            yield* change(subject, quiet, 1 + i)
            yield* Effect.sleep(100)
          }
          isHeld = true
          for (let i = 0; i < 100; i++) {
            yield* change(subject, quick, 500 + i)
            yield* Effect.sleep(100)
          }
          assert.deepStrictEqual(gaps, [])
          assert.isTrue(websocket.reportMissed(channel))
          assert.deepStrictEqual([...new Set(gaps)], [`${quick} Silent`])
        }),
        still
      ))
  })
}
