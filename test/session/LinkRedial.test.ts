/** Connections that the exchange has opened in a bad hour, and on which it brings nothing ever after. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import type * as Exchange from "../suites/Exchange.ts"
import { subjects } from "../suites/Subjects.ts"
import { over, still } from "./Memory.ts"

/** While `isBad` says so, connections are opened that answer and bring no data, then or later. */
const deadWhile = (dialect: ExchangeDialect, isBad: () => boolean): ExchangeDialect => ({
  ...dialect,
  connect: (world, peer, options) => {
    const isDead = isBad()
    const send: typeof peer.send = (frame, about) => {
      if (!isDead || about._tag !== "Data") peer.send(frame, about)
    }
    const { address, headers, query } = peer
    const close: typeof peer.close = (code, reason) => peer.close(code, reason)
    const after: typeof peer.after = (millis, run) => peer.after(millis, run)
    return dialect.connect(world, { address, headers, query, send, close, after }, options)
  }
})

const pairOn = ({ adapter }: Exchange.Subject, pair: TradingPair): TradingPair =>
  adapter.kind === "spot" ? pair : `${pair}:USDT` as TradingPair

for (const subject of subjects) {
  const pairs = (["BTC/USDT", "ETH/USDT"] as const).map((pair) => pairOn(subject, pair)) as [TradingPair, TradingPair]

  /** Books over an exchange that opens dead connections from `from` to `to` ms behind the start. */
  const during = <A, E>(from: number, to: number, body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>) =>
    Effect.suspend(() => {
      let isBad = from === 0
      const dialect = deadWhile(subject.dialect, () => isBad)
      const turn = Effect.gen(function*() {
        yield* Effect.sleep(from)
        isBad = true
        yield* Effect.sleep(to - from)
        isBad = false
      })
      return over({ ...subject, dialect }, Effect.andThen(Effect.forkScoped(turn), body), { rate: 10 })
    })

  const watched = Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const clock = yield* Clock.Clock
    const begins = clock.currentTimeMillisUnsafe()
    const deltas: Array<number> = []
    yield* websocket.handle({
      onBook: ({ kind }) => void (kind === "delta" && deltas.push(clock.currentTimeMillisUnsafe() - begins))
    })
    yield* websocket.initialize(pairs, ["Book"])
    return { websocket, deltas }
  })

  describe(`connections on which ${subject.adapter.id} never brings anything`, () => {
    it.effect("MUST be given up again and again, ever later, until one brings something", () =>
      during(
        30_000,
        60_000,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { deltas, websocket } = yield* watched
          yield* Effect.sleep("30 seconds")
          yield* Effect.orDie(simulator.inject({ _tag: "Drop" }))
          yield* Effect.sleep("65 seconds")
          assert.isAtLeast(deltas.at(-1)!, 90_000)
          assert.isAtMost((yield* websocket.performance).reconnects, 5)
        })
      ))

    // Where snapshots are pushed there is none of a silent stream.
    if (subject.adapter.book({ _tag: "Book", pair: pairs[0] }).snapshot !== "Fetch") return
    it.effect("MUST be given up though none ever has, where a book shows that the exchange has gone on", () =>
      during(
        0,
        20_000,
        Effect.gen(function*() {
          const { deltas, websocket } = yield* watched
          yield* Effect.sleep("8 seconds")
          assert.isTrue(websocket.reportMissed(Channel.book(pairs[0])))
          yield* Effect.sleep("50 seconds")
          assert.isAtLeast(deltas.length, 10)
        })
      ))
  })
}

describe("a connection that is dead from its first frame on", () => {
  for (const subject of subjects) {
    const pairs = (["BTC/USDT", "ETH/USDT"] as const).map((pair) => pairOn(subject, pair)) as [TradingPair, TradingPair]
    it.effect(`MUST show no book by a snapshot alone, and MUST be given up: ${subject.adapter.id}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const books = yield* OrderBooks.make([])
          yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: 20_000 }))
          yield* Effect.forEach(pairs, books.track, { discard: true })
          for (let passed = 0; passed < 19_000; passed += 100) {
            yield* Effect.sleep(100)
            for (const pair of pairs) assert.strictEqual(books.get(pair)?._tag, "Stale", `after ${passed} ms`)
          }
          yield* Effect.sleep("60 seconds")
          for (const pair of pairs) assert.strictEqual(books.get(pair)?._tag, "Synced")
        }),
        { rate: 10 }
      ))

    it.effect(`MUST show no book by a snapshot alone either where it takes the place of one that ended: ${subject.adapter.id}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const books = yield* OrderBooks.make([])
          yield* Effect.forEach(pairs, books.track, { discard: true })
          yield* Effect.sleep("30 seconds")
          yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: 20_000 }))
          yield* Effect.orDie(simulator.inject({ _tag: "Drop" }))
          yield* Effect.sleep("100 millis")
          for (let passed = 0; passed < 19_000; passed += 100) {
            yield* Effect.sleep(100)
            for (const pair of pairs) assert.strictEqual(books.get(pair)?._tag, "Stale", `after ${passed} ms`)
          }
        }),
        { rate: 10 }
      ))

    it.effect(`MUST show the books of a market in which nothing happens soon: ${subject.adapter.id}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const books = yield* OrderBooks.make([])
          yield* Effect.forEach(pairs, books.track, { discard: true })
          yield* Effect.sleep("1500 millis")
          for (const pair of pairs) assert.strictEqual(books.get(pair)?._tag, "Synced")
        }),
        still
      ))
  }
})
