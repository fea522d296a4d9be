/** The test double of a market, used as its users do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { PublicExchange } from "../src/composite/PublicExchange.ts"
import * as Channel from "../src/domain/Channel.ts"
import { spot } from "../src/domain/Instrument.ts"
import * as PublicExchangeTest from "../src/PublicExchangeTest.ts"
import { snapshot, TestControl } from "../src/PublicWebsocketTest.ts"

const pair = "BTC/USDT"

describe("PublicExchangeTest", () => {
  it.effect("is a market that does what the test says", () =>
    Effect.gen(function*() {
      const market = yield* PublicExchange
      const control = yield* TestControl
      yield* control.reject("NO/USDT")
      const { accepted, rejected } = yield* market.initialize([pair, "NO/USDT"])
      assert.deepStrictEqual([accepted, [...rejected.keys()]], [[pair], ["NO/USDT"]])
      yield* market.remove(["NO/USDT"])
      yield* control.awaitSubscribed(Channel.book(pair))
      yield* control.emit(snapshot(pair, { bids: [99, 1], asks: [101, 1] }))
      assert.deepInclude(market.bestPrice(pair), { bidPrice: 99, source: "book" })
      assert.strictEqual((yield* market.instruments.get(pair)).symbol, "BTCUSDT")
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* market.health).state, "healthy")
      yield* control.reconnect
      assert.deepInclude(market.book(pair), { _tag: "Stale", cause: "Reconnected" })
      const states = yield* Stream.runCollect(Stream.take(Stream.map(market.healthChanges, ({ state }) => state), 2))
      assert.deepStrictEqual(states, ["healthy", "down"])
      yield* market.refresh
    }).pipe(Effect.provide(PublicExchangeTest.layer())))

  it.effect("has the clock and the instruments that it is given, and no snapshots", () =>
    Effect.gen(function*() {
      const market = yield* PublicExchange
      yield* market.initialize([pair])
      const control = yield* TestControl
      yield* control.emit(snapshot(pair, { bids: [99, 1], asks: [101, 1] }))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(market.clock(), { offsetMs: 250, errorMs: 1, at: 0 })
      assert.include((yield* market.health).problems.join(), "does not list")
      const verdict = yield* market.audit.audit(pair)
      assert.deepInclude(verdict, { _tag: "Inconclusive", cause: "Failed" })
    }).pipe(Effect.provide(PublicExchangeTest.layer({
      clock: { offsetMs: 250 },
      instruments: [spot({ exchange: "mine", symbol: "X", base: "X", quote: "USDT", priceStep: 1, quantityStep: 1 })],
      exchange: "mine",
      market: { tickers: [] }
    }))))
})
