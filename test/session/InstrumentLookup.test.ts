import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { everyPair } from "../../src/domain/Channel.ts"
import { monotonic } from "../../src/domain/ClockTime.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import * as InstrumentLookup from "../../src/session/InstrumentLookup.ts"

const spot: ExchangeAdapter = gateSpot
const swap: ExchangeAdapter = { ...gateSpot, kind: "swap" }

const listed: Pick<Instrument, "pair" | "symbol" | "contractSize"> = {
  pair: "BTC/USDT:USDT",
  symbol: "BTC_USDT",
  contractSize: 0.0001
}

const down = ExchangeError.make("x", new ExchangeError.Disconnected({ code: 1006, detail: "down" }))

const gone = ExchangeError.make(
  "x",
  new ExchangeError.RequestFailed({ request: "GET /contracts", status: 401, code: "401", detail: "no", class: "auth" })
)

/** REST that lists one instrument, once `failures` calls have failed. */
const restOf = (failures = 0, error = down) => {
  const calls = { count: 0 }
  const list = [listed as Instrument]
  const instruments = Effect.suspend(() => ++calls.count <= failures ? Effect.fail(error) : Effect.succeed([...list]))
  const none = Effect.die("not asked for")
  return {
    calls,
    list,
    rest: MarketRest.of({ exchange: "x", instruments, serverTime: none, turnovers: none, book: () => none })
  }
}

describe("what a session knows of symbols", () => {
  it.effect("MUST ask nothing on spot while topics are of one pair", () =>
    Effect.gen(function*() {
      const { calls, rest } = restOf()
      const instruments = InstrumentLookup.make(spot, rest)
      assert.strictEqual(yield* instruments.contractSize("BTC/USDT", "BTC_USDT"), 1)
      assert.isUndefined(instruments.instrumentOf("BTC_USDT"))
      assert.strictEqual(calls.count, 0)
    }))

  it.effect("MUST know the pairs of symbols once a topic stands for all of them", () =>
    Effect.gen(function*() {
      const { calls, rest } = restOf()
      const instruments = InstrumentLookup.make(spot, rest)
      const sizes = yield* Effect.all([
        instruments.contractSize(everyPair, "*"),
        instruments.contractSize(everyPair, "*")
      ], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(sizes, [1, 1])
      assert.strictEqual(instruments.instrumentOf("BTC_USDT")?.pair, "BTC/USDT:USDT")
      assert.isUndefined(instruments.instrumentOf("ETH_USDT"))
      assert.strictEqual(calls.count, 1)
    }))

  it.effect("MUST go on without pairs on spot when the instruments cannot be read, say so, and try again", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { rest } = restOf(1)
      const instruments = InstrumentLookup.make(spot, rest)
      assert.strictEqual(yield* instruments.contractSize(everyPair, "*"), 1)
      assert.isUndefined(instruments.instrumentOf("BTC_USDT"))
      assert.include(String(logged), "have no pairs")
      yield* instruments.contractSize(everyPair, "*")
      assert.isDefined(instruments.instrumentOf("BTC_USDT"))
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(message))])))
  })

  it.effect("MUST know the contract sizes of swaps before anything begins, however often they have to be asked for", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { calls, rest } = restOf(8)
      const instruments = InstrumentLookup.make(swap, rest)
      const asked = [1, 2].map(() => instruments.contractSize("BTC/USDT:USDT", "BTC_USDT"))
      const fiber = yield* Effect.forkChild(Effect.all(asked, { concurrency: "unbounded" }), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      assert.isUndefined(fiber.pollUnsafe())
      assert.include(String(logged), "asked for again")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [0.0001, 0.0001])
      assert.strictEqual(calls.count, 9)
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(message))])))
  })

  it.effect("MUST fail on swaps when asking again cannot help", () =>
    Effect.gen(function*() {
      const { calls, rest } = restOf(1, gone)
      const instruments = InstrumentLookup.make(swap, rest)
      assert.strictEqual(yield* Effect.flip(instruments.contractSize("BTC/USDT:USDT", "BTC_USDT")), gone)
      assert.strictEqual(calls.count, 1)
    }))

  it.effect("MUST look once more for a contract that is not listed, for it may be new", () =>
    Effect.gen(function*() {
      const { calls, list, rest } = restOf()
      const instruments = InstrumentLookup.make(swap, rest)
      const size = instruments.contractSize("ETH/USDT:USDT", "ETH_USDT")
      assert.isNull(yield* size)
      assert.isNull(yield* size)
      assert.strictEqual(calls.count, 1)
      list.push({ ...listed, symbol: "ETH_USDT", contractSize: 0.01 } as Instrument)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* size, 0.01)
      assert.strictEqual(calls.count, 2)
    }))
})

describe("whether a symbol is listed", () => {
  it.effect("MUST be read for what is not known, and told for as long as the list is young", () =>
    Effect.gen(function*() {
      const { calls, list, rest } = restOf(1)
      const instruments = InstrumentLookup.make(spot, rest)
      const isListed = (symbol: string) => Effect.map(monotonic, (now) => instruments.isListed(symbol, now))
      yield* Effect.all([instruments.lookUp("NEW_USDT"), instruments.lookUp("NOPE_USDT")], { concurrency: 2 })
      assert.deepStrictEqual([yield* isListed("NEW_USDT"), calls.count], [null, 1])
      yield* TestClock.adjust("5 seconds")
      yield* instruments.lookUp("NEW_USDT")
      assert.deepStrictEqual([yield* isListed("NEW_USDT"), yield* isListed("BTC_USDT")], [false, true])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* isListed("NEW_USDT"), yield* isListed("BTC_USDT")], [null, true])
      list.push({ ...listed, symbol: "NEW_USDT" } as Instrument)
      yield* instruments.lookUp("NEW_USDT")
      assert.isTrue(yield* isListed("NEW_USDT"))
      assert.strictEqual(calls.count, 3)
    }))

  it.effect("MUST stay unknown where the list is empty", () =>
    Effect.gen(function*() {
      const { list, rest } = restOf()
      list.length = 0
      const instruments = InstrumentLookup.make(spot, rest)
      yield* instruments.lookUp("NOPE_USDT")
      assert.isNull(instruments.isListed("NOPE_USDT", yield* monotonic))
    }))
})
