/** What `ccxt.pro.gate` reads from our simulated Gate, spot and futures, is what the simulator knows to be true. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"

interface Product {
  readonly id: "gate-spot" | "gate-futures"
  readonly pairs: readonly [TradingPair, TradingPair, TradingPair]
  readonly open: (simulator: SimulatorService) => ReturnType<typeof Judges.ccxtGate>
  /** Levels a side that its feed keeps right. */
  readonly reach: number
}

const spot: Product = {
  id: "gate-spot",
  pairs: ["BTC/USDT", "ETH/USDT", "DOGE/USDT"],
  open: ({ urls }) => Judges.ccxtGate(urls["gate-spot"]!),
  reach: 50
}

/** The second contract trades in fractions. */
const futures: Product = {
  id: "gate-futures",
  pairs: ["BTC/USDT:USDT", "DOGE/USDT:USDT", "TON/USDT:USDT"],
  open: ({ urls }) => Judges.ccxtGateFutures(urls),
  reach: 100
}

/** Its requests carry the time of this machine, which the simulator's leaves behind: limits are off. */
const dial = Effect.fnUntraced(function*({ open, pairs }: Product) {
  const options = { dialects, pairs, seed: 6, rate: 100, limits: "off", autoRun: false } as const
  const simulator = yield* Simulator.make(options)
  return { simulator, exchange: yield* open(simulator) }
})

describe("ccxt.pro.gate", () => {
  it.live("loads spot markets and currencies", () =>
    Effect.gen(function*() {
      const { exchange } = yield* dial(spot)
      assert.sameMembers(exchange.symbols, [...spot.pairs])
      const { limits, precision, spot: isSpot } = exchange.market("BTC/USDT")
      assert.isTrue(isSpot)
      assert.deepStrictEqual([precision.price, precision.amount], [0.01, 0.000001])
      assert.deepStrictEqual([limits.amount?.min, limits.cost?.min], [0.000001, 1])
      assert.sameMembers(Object.keys(exchange.currencies), ["BTC", "ETH", "DOGE", "USDT"])
    }).pipe(Effect.scoped))

  it.live("loads contracts with their sizes", () =>
    Effect.gen(function*() {
      const { exchange } = yield* dial(futures)
      assert.sameMembers(exchange.symbols, [...futures.pairs])
      for (const [index, contractSize] of [0.0001, 10, 1].entries()) {
        const { contractSize: read, linear, settle, swap } = exchange.market(futures.pairs[index]!)
        assert.deepStrictEqual<unknown>([swap, linear, settle, read], [true, true, "USDT", contractSize])
      }
    }).pipe(Effect.scoped))

  for (const product of [spot, futures]) {
    const { id, pairs, reach } = product

    it.live(`${id}: receives every trade`, () =>
      Effect.gen(function*() {
        const { exchange, simulator } = yield* dial(product)
        for (const pair of pairs) {
          const seen: Array<ReadonlyArray<unknown>> = []
          const { errors } = yield* Judges.follow(
            () => exchange.watchTrades(pair),
            (trades) =>
              seen.push(...trades.map(({ amount, id, price, side, timestamp }) => [id, timestamp, side, price, amount]))
          )
          yield* Judges.passUntil(simulator, () => seen.length >= 50)
          const truth = simulator.trades(id, pair).map((trade) => [
            String(trade.id),
            trade.time,
            trade.side,
            +trade.price,
            +trade.quantity
          ])
          const first = truth.findIndex(([id]) => id === seen[0]![0])
          assert.deepStrictEqual(seen, truth.slice(first, first + seen.length))
          assert.deepStrictEqual(errors, [])
        }
      }).pipe(Effect.scoped))

    it.live(`${id}: reads best bid and ask at their update id`, () =>
      Effect.gen(function*() {
        const { exchange, simulator } = yield* dial(product)
        let seen = 0
        const { errors } = yield* Judges.follow(() => exchange.watchBidsAsks([...pairs]), (tickers) => {
          for (const [pair, { ask, askVolume, bid, bidVolume, info }] of Object.entries(tickers)) {
            const truth = Judges.levelsOf(simulator.truth(id, pair as TradingPair, info.u, 1)!)
            assert.deepStrictEqual<unknown>([[bid, bidVolume], [ask, askVolume]], [...truth.bids, ...truth.asks])
            seen++
          }
        })
        yield* Judges.passUntil(simulator, () => seen >= 100)
        assert.deepStrictEqual(errors, [])
      }).pipe(Effect.scoped))

    it.live(`${id}: keeps books that are the truth after every update`, () =>
      Effect.gen(function*() {
        const { exchange, simulator } = yield* dial(product)
        const followed = yield* Effect.forEach(
          pairs,
          (pair) => Judges.follow(() => exchange.watchOrderBook(pair), () => {})
        )
        const nonceOf = (pair: string): unknown => exchange.orderbooks[pair]?.nonce
        yield* Judges.passUntil(simulator, () => pairs.every((pair) => nonceOf(pair) !== undefined))
        for (let i = 0; i < 20; i++) {
          yield* simulator.tick(10)
          yield* Judges.settled(() => pairs.every((pair) => nonceOf(pair) === simulator.book(id, pair)!.version))
          for (const pair of pairs) {
            const { asks, bids } = Judges.ccxtLevels(exchange, pair)
            const truth = Judges.levelsOf(simulator.book(id, pair, reach)!)
            assert.deepStrictEqual({ bids: bids.slice(0, reach), asks: asks.slice(0, reach) }, truth)
          }
        }
        assert.deepStrictEqual(followed.flatMap(({ errors }) => errors), [])
      }).pipe(Effect.scoped))

    it.live(`${id}: reads the last 24 hours`, () =>
      Effect.gen(function*() {
        const { exchange, simulator } = yield* dial(product)
        const [pair] = pairs
        const { errors } = yield* Judges.follow(() => exchange.watchTicker(pair), () => {})
        yield* Judges.passUntil(simulator, () => exchange.tickers[pair] !== undefined)
        // Pushed once a second.
        yield* simulator.tick(100 - simulator.counts().ticks % 100)
        const { baseVolume, high, last, low, quoteVolume } = simulator.statistics(id, pair)!
        yield* Judges.settled(() => exchange.tickers[pair]!.baseVolume === Number(baseVolume))
        const ticker = exchange.tickers[pair]!
        assert.deepStrictEqual<unknown>(
          [ticker.last, ticker.high, ticker.low, ticker.quoteVolume],
          [+last, +high, +low, +quoteVolume]
        )
        const swap = simulator.swap(id, pair)
        if (swap !== undefined) {
          assert.deepStrictEqual<unknown>([ticker.markPrice, ticker.indexPrice], [+swap.markPrice, +swap.indexPrice])
        }
        assert.deepStrictEqual(errors, [])
      }).pipe(Effect.scoped))

    it.live(`${id}: reads candles`, () =>
      Effect.gen(function*() {
        const { exchange, simulator } = yield* dial(product)
        const [, pair] = pairs
        const { errors } = yield* Judges.follow(() => exchange.watchOHLCV(pair, "1m"), () => {})
        const candles = (): ReadonlyArray<ReadonlyArray<number>> => exchange.ohlcvs[pair]?.["1m"] ?? []
        yield* Judges.passUntil(simulator, () => Judges.wholeCandle(candles()) !== undefined, { ticks: 100 })
        const whole = Judges.wholeCandle(candles())!
        const truth = simulator.kline(id, pair, 60_000, "last", whole[0])!
        // On spot it takes `v` for its volume, which Gate documents, and which its own samples show, to be in quote.
        const volume = id === "gate-spot" ? truth.quoteVolume : truth.quantity
        const candle = [truth.openTime, +truth.open, +truth.high, +truth.low, +truth.close, +volume]
        assert.deepStrictEqual<unknown>(whole, candle)
        assert.deepStrictEqual(errors, [])
      }).pipe(Effect.scoped))
  }

  it.live("is told why a subscription is refused", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial(spot)
      yield* simulator.inject("reject:ETH/USDT")
      const refusal = yield* Effect.promise(() => exchange.watchTrades("ETH/USDT").catch((error: Error) => error))
      assert(refusal instanceof Error)
      assert.strictEqual(refusal.name, "BadRequest")
      assert.include(refusal.message, "refused by a fault")
    }).pipe(Effect.scoped))
})
