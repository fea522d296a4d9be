/** What `ccxt.pro.gate` reads from our simulated Gate is what the simulator knows to be true. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"

const id = "gate-spot"
const pairs = ["BTC/USDT", "ETH/USDT", "DOGE/USDT"] as const

/** Its requests carry the time of this machine, which the simulator's leaves behind: limits are off. */
const dial = Effect.gen(function*() {
  const options = { dialects, pairs, seed: 6, rate: 100, limits: "off", autoRun: false } as const
  const simulator = yield* Simulator.make(options)
  return { simulator, exchange: yield* Judges.ccxtGate(simulator.urls[id]!) }
})

describe("ccxt.pro.gate", () => {
  it.live("loads markets and currencies", () =>
    Effect.gen(function*() {
      const { exchange } = yield* dial
      assert.sameMembers(exchange.symbols, [...pairs])
      const { limits, precision, spot } = exchange.market("BTC/USDT")
      assert.isTrue(spot)
      assert.deepStrictEqual([precision.price, precision.amount], [0.01, 0.000001])
      assert.deepStrictEqual([limits.amount?.min, limits.cost?.min], [0.000001, 1])
      assert.sameMembers(Object.keys(exchange.currencies), ["BTC", "ETH", "DOGE", "USDT"])
    }).pipe(Effect.scoped))

  it.live("receives every trade", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const seen: Array<ReadonlyArray<unknown>> = []
      const { errors } = yield* Judges.follow(
        () => exchange.watchTrades("BTC/USDT"),
        (trades) =>
          seen.push(...trades.map(({ amount, id, price, side, timestamp }) => [id, timestamp, side, price, amount]))
      )
      yield* Judges.passUntil(simulator, () => seen.length >= 100)
      const truth = simulator.trades(id, "BTC/USDT").map((trade) => [
        String(trade.id),
        trade.time,
        trade.side,
        +trade.price,
        +trade.quantity
      ])
      const first = truth.findIndex(([id]) => id === seen[0]![0])
      assert.deepStrictEqual(seen, truth.slice(first, first + seen.length))
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped))

  it.live("reads best bid and ask at their update id", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      let seen = 0
      const { errors } = yield* Judges.follow(() => exchange.watchBidsAsks([...pairs]), (tickers) => {
        for (const [pair, { ask, askVolume, bid, bidVolume, info }] of Object.entries(tickers)) {
          const truth = Judges.levelsOf(simulator.truth(id, pair as (typeof pairs)[number], info.u, 1)!)
          assert.deepStrictEqual<unknown>([[bid, bidVolume], [ask, askVolume]], [...truth.bids, ...truth.asks])
          seen++
        }
      })
      yield* Judges.passUntil(simulator, () => seen >= 100)
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped))

  it.live("keeps books that are the truth after every update", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const followed = yield* Effect.forEach(pairs, (pair) =>
        Judges.follow(() => exchange.watchOrderBook(pair), () => {}))
      const nonceOf = (pair: string): unknown =>
        exchange.orderbooks[pair]?.nonce
      yield* Judges.passUntil(simulator, () => pairs.every((pair) => nonceOf(pair) !== undefined))
      for (let i = 0; i < 20; i++) {
        yield* simulator.tick(10)
        yield* Judges.settled(() => pairs.every((pair) => nonceOf(pair) === simulator.book(id, pair)!.version))
        for (const pair of pairs) {
          const { asks, bids } = Judges.ccxtLevels(exchange, pair)
          const truth = Judges.levelsOf(simulator.book(id, pair, 50)!)
          assert.deepStrictEqual({ bids: bids.slice(0, 50), asks: asks.slice(0, 50) }, truth)
        }
      }
      assert.deepStrictEqual(followed.flatMap(({ errors }) => errors), [])
    }).pipe(Effect.scoped))

  it.live("is told why a subscription is refused", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      yield* simulator.inject("reject:ETH/USDT")
      const refusal = yield* Effect.promise(() => exchange.watchTrades("ETH/USDT").catch((error: Error) => error))
      assert(refusal instanceof Error)
      assert.strictEqual(refusal.name, "BadRequest")
      assert.include(refusal.message, "refused by a fault")
    }).pipe(Effect.scoped))
})
