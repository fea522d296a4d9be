/** What `ccxt.pro.mexc` reads from our simulated MEXC is what the simulator knows to be true. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"

const id = "mexc-spot"
const pairs = ["BTC/USDT", "ETH/USDT", "DOGE/USDT"] as const

const dial = Effect.gen(function*() {
  const simulator = yield* Simulator.make({ dialects, pairs, seed: 5, rate: 100, levels: 50, autoRun: false })
  const exchange = yield* Judges.ccxtMexc(simulator.urls[id]!)
  return { simulator, exchange, versionOf: (pair: (typeof pairs)[number]) => simulator.book(id, pair)!.version }
})

/** MEXC's interval of 100 ms. A snapshot that is fetched between two of them lies on the edge of two updates. */
const interval = { ticks: 10 }

describe("ccxt.pro.mexc", () => {
  it.live("loads the markets", () =>
    Effect.gen(function*() {
      const { exchange } = yield* dial
      assert.sameMembers(exchange.symbols, [...pairs])
      const { limits, precision } = exchange.market("BTC/USDT")
      assert.deepStrictEqual([precision.price, precision.amount], [0.01, 0.000001])
      assert.deepStrictEqual([limits.amount?.min, limits.cost?.min], [0.000001, 1])
    }).pipe(Effect.scoped))

  it.live("receives every trade", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const seen: Array<ReadonlyArray<unknown>> = []
      const { errors } = yield* Judges.follow(
        () => exchange.watchTrades("BTC/USDT"),
        (trades) => seen.push(...trades.map(({ amount, price, side, timestamp }) => [timestamp, side, price, amount]))
      )
      yield* Judges.passUntil(simulator, () => seen.length >= 100)
      const truth = simulator.trades(id, "BTC/USDT").map((trade) => [
        trade.time,
        trade.side,
        +trade.price,
        +trade.quantity
      ])
      const first = truth.findIndex((trade) => String(trade) === String(seen[0]))
      assert.isAtLeast(first, 0)
      assert.deepStrictEqual(seen, truth.slice(first, first + seen.length))
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped))

  it.live("reads best bid and ask", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const { errors } = yield* Judges.follow(() => exchange.watchTicker("ETH/USDT"), () => {})
      yield* Judges.passUntil(simulator, () => exchange.tickers["ETH/USDT"] !== undefined)
      for (let i = 0; i < 20; i++) {
        yield* simulator.tick(interval.ticks)
        const { asks: [ask], bids: [bid] } = Judges.levelsOf(simulator.book(id, "ETH/USDT", 1)!)
        yield* Judges.settled(() => {
          const { ask: askPrice, askVolume, bid: bidPrice, bidVolume } = exchange.tickers["ETH/USDT"]!
          return String([bidPrice, bidVolume, askPrice, askVolume]) === String([bid, ask])
        })
      }
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped))

  it.live("keeps books that are the truth after every update", () =>
    Effect.gen(function*() {
      const { exchange, simulator, versionOf } = yield* dial
      const followed = yield* Effect.forEach(pairs, (pair) =>
        Judges.follow(() => exchange.watchOrderBook(pair), () => {}))
      const nonceOf = (pair: string): unknown =>
        exchange.orderbooks[pair]?.nonce
      yield* Judges.passUntil(simulator, () => pairs.every((pair) => nonceOf(pair) !== undefined), interval)
      for (let i = 0; i < 20; i++) {
        const before = pairs.map(versionOf)
        yield* simulator.tick(interval.ticks)
        // Its nonce is the first version of the last update.
        yield* Judges.settled(() => pairs.every((pair, at) => nonceOf(pair) === before[at]! + 1))
        for (const pair of pairs) {
          assert.deepStrictEqual(Judges.ccxtLevels(exchange, pair), Judges.levelsOf(simulator.book(id, pair)!))
        }
      }
      assert.deepStrictEqual(followed.flatMap(({ errors }) => errors), [])
    }).pipe(Effect.scoped))

  it.live("reads candles", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const [pair] = pairs
      const { errors } = yield* Judges.follow(() => exchange.watchOHLCV(pair, "1m"), () => {})
      const candles = (): ReadonlyArray<ReadonlyArray<number>> => exchange.ohlcvs[pair]?.["1m"] ?? []
      yield* Judges.passUntil(simulator, () => Judges.wholeCandle(candles()) !== undefined, { ticks: 100 })
      const whole = Judges.wholeCandle(candles())!
      const truth = simulator.kline(id, pair, 60_000, "last", whole[0])!
      const candle = [truth.openTime, +truth.open, +truth.high, +truth.low, +truth.close, +truth.quantity]
      assert.deepStrictEqual<unknown>(whole, candle)
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped))
})
