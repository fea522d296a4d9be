import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type {
  ExchangeDialect,
  Peer,
  Watch,
  World,
  WorldBook,
  WorldContractStats,
  WorldKline,
  WorldLiquidation,
  WorldStatistics
} from "../../src/ExchangeDialect.ts"
import { Engine, pairsOf } from "../../src/simulator/Engine.ts"
import { stepsAhead } from "../../src/simulator/Lookahead.ts"
import { factsOf } from "../../src/simulator/PairFacts.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"

/** A dialect that only lends its world, and the peers of its connections. */
const lender = (id: string, kind: ExchangeDialect["kind"]) => {
  const lent: { world: World | undefined; readonly peers: Array<Peer> } = { world: undefined, peers: [] }
  const dialect: ExchangeDialect = {
    id,
    kind,
    websocketPath: "/ws",
    restPath: "",
    connect: (world, peer) => {
      lent.world = world
      lent.peers.push(peer)
      return { onFrame: () => {}, onClose: () => {}, topics: () => new Set() }
    },
    onHttp: () => ({ status: 200, headers: {}, body: "" })
  }
  return { dialect, lent }
}

const options = { autoRun: false, tickMillis: 10, rate: 200, tradeRate: 50, levels: 30, history: 2_048 } as const

/** A spot and a swap exchange side by side, and the world of each. */
const both = Effect.fnUntraced(function*(pairs: readonly [TradingPair, ...Array<TradingPair>], more = {}) {
  const spot = lender("spot", "spot")
  const swap = lender("swap", "swap")
  const { network, simulator } = yield* Simulator.makeMemory({
    dialects: [spot.dialect, swap.dialect],
    pairs,
    ...options,
    ...more
  })
  const client = { onFrame: () => {}, onClose: () => {} }
  for (const id of ["spot", "swap"]) network.connect(simulator.urls[id]!.ws, client, { "X-Some-Header": "1" })
  return { network, simulator, spot: spot.lent.world!, swap: swap.lent.world!, peers: swap.lent.peers }
})

const heard = <News>(watch: (listener: (news: News) => void) => Watch, world: World): Array<News> => {
  const news: Array<News> = []
  world.watch(watch((item) => news.push(item)))
  return news
}

const btc = "BTC/USDT"
const perpetual = "BTC/USDT:USDT"

describe("markets of a kind", () => {
  it("spot has spot pairs, swap has swaps, or the perpetuals on spot pairs in USDT", () => {
    assert.deepStrictEqual(pairsOf("spot", [btc, perpetual, "ETH/BTC"]), [btc, "ETH/BTC"])
    assert.deepStrictEqual(pairsOf("swap", [btc, perpetual, "ETH/BTC"]), [perpetual])
    assert.deepStrictEqual(pairsOf("swap", [btc, "ETH/BTC", "SOL/USDT"]), [perpetual, "SOL/USDT:USDT"])
  })

  it.effect("a swap follows the price of its spot pair, in contracts and with versions of its own", () =>
    Effect.gen(function*() {
      const { simulator, spot, swap } = yield* both([btc, "ETH/USDT"])
      yield* simulator.tick(2_000)
      assert.deepStrictEqual([...spot.markets.keys()], [btc, "ETH/USDT"])
      assert.deepStrictEqual([...swap.markets.keys()], [perpetual, "ETH/USDT:USDT"])
      assert.deepStrictEqual(simulator.pairsOf("swap"), [perpetual, "ETH/USDT:USDT"])
      const spotBook = simulator.book("spot", btc, 1)!
      const swapBook = simulator.book("swap", perpetual, 1)!
      assert.notStrictEqual(spotBook.version, swapBook.version)
      assert.closeTo(Number(swapBook.bids[0]!.price) / Number(spotBook.bids[0]!.price), 1, 0.002)
      assert.notStrictEqual(swapBook.bids[0]!.price, spotBook.bids[0]!.price)
      const { swap: terms } = swap.markets.get(perpetual)!
      assert.strictEqual(terms!.contractSize, "0.0001")
      assert.isFalse(terms!.decimal)
      assert.match(swapBook.bids[0]!.quantity, /^\d+$/)
      assert.match(simulator.book("swap", "ETH/USDT:USDT", 1)!.bids[0]!.quantity, /^\d+\.\d$/)
      const state = terms!.state()
      assert.closeTo(Number(state.indexPrice) / Number(spotBook.bids[0]!.price), 1, 0.002)
      assert.closeTo(Number(state.markPrice) / Number(swapBook.bids[0]!.price), 1, 0.002)
      assert.notStrictEqual(state.markPrice, state.indexPrice)
      assert.isAbove(Number(state.openInterest), 0)
      assert.strictEqual(state.nextFundingTime % 28_800_000, 0)
      assert.isAbove(state.nextFundingTime, swap.now())
      assert.isNull(spot.markets.get(btc)!.swap)
      assert.isUndefined(simulator.swap("spot", btc))
      assert.isUndefined(simulator.contractStats("spot", btc, 60_000))
    }))

  it("facts of swaps made from a name are of the right size", () => {
    for (const base of ["A", "B2", "LONGNAME", "币安人生", "PEPE"]) {
      const { price, quantityDecimals, swap } = factsOf(`${base}/USDT:USDT`)
      const worth = price * Number(swap!.contractSize)
      assert.isTrue(worth >= 1 && worth < 10, `${base}: ${worth}`)
      assert.strictEqual(quantityDecimals, swap!.decimal ? 1 : 0)
      assert.include([3_600_000, 14_400_000, 28_800_000], swap!.fundingInterval)
    }
  })

  it.effect("the handshake's headers reach the dialect", () =>
    Effect.gen(function*() {
      const { peers } = yield* both([btc])
      assert.deepStrictEqual(peers.map(({ headers }) => headers), [{ "x-some-header": "1" }])
    }))
})

describe("markets that rest", () => {
  const many: [TradingPair, ...Array<TradingPair>] = [
    btc,
    ...Array.from({ length: 99 }, (_, i): TradingPair => `C${i}/USDT`)
  ]

  it("a thousand pairs on two exchanges are made when somebody looks, and only those that are watched take steps", () => {
    const drawn = new Map<string, number>()
    const draws = (name: string) => ({
      nextDoubleUnsafe: () => {
        drawn.set(name, (drawn.get(name) ?? 0) + 1)
        return 0.5
      }
    })
    const spot = lender("spot", "spot")
    const swap = lender("swap", "swap")
    const engine = new Engine({
      dialects: [spot.dialect, swap.dialect],
      pairs: Array.from({ length: 1_000 }, (_, i): TradingPair => `C${i}/USDT`),
      draws,
      limits: "off",
      bookPhases: "shared",
      rate: 10,
      tradeRate: 1,
      levels: 10,
      history: 1_024,
      version: undefined,
      tickMillis: 10,
      epoch: 0,
      clock: undefined
    })
    const { world } = engine.exchanges.get("spot")!.world
    assert.deepStrictEqual([world.markets.size, engine.exchanges.get("swap")!.pairs.length], [1_000, 1_000])
    for (let i = 0; i < 100; i++) engine.tick()
    assert.strictEqual(drawn.size, 0)
    const { stop } = world.watch({ _tag: "Ticker", pair: "C7/USDT", everyMillis: 10, listener: () => {} })
    assert.deepStrictEqual([...drawn.keys()].sort(), ["market spot C7/USDT", "price C7/USDT"])
    const drawnBy = () => drawn.get("price C7/USDT")!
    assert.strictEqual(drawnBy(), 300, "three for each of the steps it made up for")
    const tick = (count: number): void => {
      for (let i = 0; i < count; i++) engine.tick()
    }
    tick(stepsAhead)
    assert.strictEqual(drawnBy(), 300, "in these nothing happens")
    tick(1)
    assert.strictEqual(drawnBy(), 300 + 3 * (stepsAhead + 1), "this may be another one")
    stop()
    tick(2 * stepsAhead)
    assert.strictEqual(drawnBy(), 300 + 3 * (stepsAhead + 1), "nobody watches")
    engine.market("spot", "C7/USDT")
    assert.strictEqual(drawnBy(), 300 + 3 * (3 * stepsAhead + 1))
  })

  it.effect("a change behind intervals without any is told at the end of its own", () =>
    Effect.gen(function*() {
      const { simulator, spot } = yield* both([btc], { rate: 3, tradeRate: 0, bookPhases: "shared" })
      const began = spot.now()
      const told: Array<number> = []
      const listener = () => void told.push(spot.now() - began)
      spot.watch({ _tag: "Depth", pair: btc, everyMillis: 100, listener })
      yield* simulator.tick(2_000)
      assert.isAbove(told.length, 20)
      assert.isBelow(told.length, 100)
      assert.deepStrictEqual(told.filter((at) => at % 100 !== 0), [])
    }))

  it.effect("a market that is looked at late is the one that ran all along", () =>
    Effect.gen(function*() {
      const run = Effect.fnUntraced(function*(pairs: readonly [TradingPair, ...Array<TradingPair>]) {
        const { simulator, spot } = yield* both(pairs)
        const watched = pairs.length < 2
          ? heard((listener) => ({ _tag: "Depth", pair: btc, everyMillis: 0, listener }), spot)
          : []
        yield* simulator.tick(100)
        yield* simulator.pause
        yield* simulator.tick(50)
        yield* simulator.resume
        yield* simulator.tick(250)
        const { version } = simulator.book("spot", btc)!
        return {
          watched: watched.length,
          log: [
            simulator.book("spot", btc),
            simulator.truth("spot", btc, version - 100),
            simulator.trades("spot", btc),
            simulator.statistics("spot", btc),
            simulator.kline("spot", btc, "week")
          ]
        }
      })
      const awake = yield* run([btc])
      const rested = yield* run(many)
      assert.isAbove(awake.watched, 100)
      assert.deepStrictEqual(rested.log, awake.log)
    }))
})

describe("what is traded, by time", () => {
  it.effect("a candle is told every interval, and once more when it has closed", () =>
    Effect.gen(function*() {
      const { simulator, swap } = yield* both([btc])
      const watch = (price: "last" | "mark" | "index") =>
        heard<WorldKline>(
          (listener) => ({ _tag: "Kline", pair: perpetual, everyMillis: 2_000, interval: 10_000, price, listener }),
          swap
        )
      const told = watch("last")
      const mark = watch("mark")
      const index = watch("index")
      yield* simulator.tick(2_500)
      assert.deepStrictEqual(told.map(({ closed }) => closed), [
        ...Array.from({ length: 4 }, () => false),
        true,
        ...Array.from({ length: 5 }, () => false),
        true,
        ...Array.from({ length: 3 }, () => false)
      ])
      for (const [candles, price] of [[told, "last"], [mark, "mark"], [index, "index"]] as const) {
        const closed = candles.filter(({ closed }) => closed)
        assert.strictEqual(closed.length, 2)
        for (const candle of closed) {
          assert.deepStrictEqual(
            candle,
            simulator.kline("swap", perpetual, 10_000, price, candle.openTime)
          )
          assert.strictEqual(candle.closeTime, candle.openTime + 10_000)
          assert.isAtLeast(Number(candle.high), Math.max(Number(candle.open), Number(candle.close)))
          assert.isAtMost(Number(candle.low), Math.min(Number(candle.open), Number(candle.close)))
        }
      }
      const trades = simulator.trades("swap", perpetual)
      const [, second] = told.filter(({ closed }) => closed)
      const inside = trades.filter(({ time }) => time >= second!.openTime && time < second!.closeTime)
      assert.isAbove(inside.length, 100)
      const contracts = inside.reduce((sum, { quantity }) => sum + Number(quantity), 0)
      assert.strictEqual(Number(second!.quantity), contracts)
      assert.closeTo(Number(second!.baseVolume), contracts * 0.0001, 1e-9)
      const value = inside.reduce((sum, { price, quantity }) => sum + Number(price) * Number(quantity) * 0.0001, 0)
      assert.closeTo(Number(second!.quoteVolume), value, 1e-3)
      assert.strictEqual(mark[0]!.quantity, "0")
    }))

  it.effect("a day's statistics move with the trades, and are told when there is news", () =>
    Effect.gen(function*() {
      const { simulator, spot } = yield* both([btc], { rate: 0, tradeRate: 0 })
      const before = simulator.statistics("spot", btc)!
      const told = heard<WorldStatistics>(
        (listener) => ({ _tag: "Statistics", pair: btc, everyMillis: 1_000, listener }),
        spot
      )
      yield* simulator.tick(300)
      assert.strictEqual(told.length, 1, "the first one, then no news")
      yield* simulator.publish("spot", btc, { _tag: "Trade", side: "buy", price: "90000", quantity: "2" })
      yield* simulator.tick(300)
      assert.strictEqual(told.length, 2)
      const after = told[1]!
      assert.deepStrictEqual(after, { ...simulator.statistics("spot", btc)!, time: after.time })
      assert.deepStrictEqual([after.last, after.high, after.low], ["90000.00", "90000.00", before.low])
      assert.closeTo(Number(after.quantity) - Number(before.quantity), 2, 1e-6)
      assert.closeTo(Number(after.quoteVolume) - Number(before.quoteVolume), 180_000, 1)
      assert.strictEqual(after.baseVolume, after.quantity)
      const minute = simulator.statistics("spot", btc, spot.now() - 60_000)!
      assert.closeTo(Number(minute.quantity), 2, Number(before.quantity) / 600)
    }))

  it.effect("the best levels are told whenever the book has changed", () =>
    Effect.gen(function*() {
      const { simulator, spot } = yield* both([btc])
      const told = heard<WorldBook>(
        (listener) => ({ _tag: "Book", pair: btc, everyMillis: 100, levels: 5, listener }),
        spot
      )
      yield* simulator.tick(100)
      assert.strictEqual(told.length, 10)
      for (const book of told) assert.deepStrictEqual(book, simulator.truth("spot", btc, book.version, 5))
      yield* simulator.pause
      yield* simulator.tick(100)
      assert.strictEqual(told.length, 10)
    }))
})

describe("liquidations and statistics of swaps", () => {
  it.effect("liquidations are told once each, those of the market and those that are published", () =>
    Effect.gen(function*() {
      const { simulator, swap } = yield* both([btc])
      const batches = heard<ReadonlyArray<WorldLiquidation>>(
        (listener) => ({ _tag: "Liquidations", pair: perpetual, everyMillis: 1_000, listener }),
        swap
      )
      yield* simulator.tick(600)
      const change = { _tag: "Liquidation", side: "sell", price: "70000", quantity: "5" } as const
      const id = yield* simulator.publish("swap", perpetual, change)
      yield* simulator.tick(400)
      const told = batches.flat()
      assert.isAbove(told.length, 3)
      assert.deepStrictEqual(told, simulator.liquidations("swap", perpetual))
      assert.deepStrictEqual(told.map((liquidation) => liquidation.id), told.map((_, i) => i + 1))
      const published = told[id - 1]!
      assert.deepStrictEqual([published.price, published.quantity, published.side], ["70000.00", "5", "sell"])
      const trades = simulator.trades("swap", perpetual)
      const own = told.filter((liquidation) => liquidation.id !== id)
      assert.isTrue(
        own.every(({ price, quantity, side, time }) =>
          trades.some((trade) =>
            trade.time === time && trade.price === price && trade.quantity === quantity && trade.side === side
          )
        )
      )
      const stats = simulator.contractStats("swap", perpetual, "month")!
      assert.isAbove(Number(stats.longLiquidations), 0)
      const refused = yield* Effect.flip(simulator.publish("spot", btc, change))
      assert.include(refused.message, "is no swap")
    }))

  it.effect("the funding rate follows the basis, and is made anew every minute", () =>
    Effect.gen(function*() {
      const { simulator } = yield* both([btc], { rate: 0, tradeRate: 0, tickMillis: 100 })
      const rates: Array<string> = []
      for (let second = 0; second < 200; second++) {
        yield* simulator.tick(10)
        rates.push(simulator.swap("swap", perpetual)!.fundingRate)
      }
      assert.strictEqual(rates[0], "0.000100")
      const changes = rates.flatMap((rate, i) => i > 0 && rate !== rates[i - 1] ? [i + 1] : [])
      assert.deepStrictEqual(changes, [60, 120, 180])
      assert.isTrue(rates.every((rate) => Math.abs(Number(rate) - 0.0001) < 0.0002))
    }))

  it.effect("statistics come every interval, with the interval's beginning", () =>
    Effect.gen(function*() {
      const { simulator, swap } = yield* both([btc])
      const told = heard<WorldContractStats>(
        (listener) => ({ _tag: "ContractStats", pair: perpetual, everyMillis: 5_000, interval: 60_000, listener }),
        swap
      )
      yield* simulator.tick(1_000)
      assert.strictEqual(told.length, 2)
      assert.strictEqual(told[0]!.time % 60_000, 0)
      assert.isAbove(told[0]!.takerRatio, 0)
      assert.isAbove(Number(told[1]!.openInterestValue), 0)
      for (const ratio of [told[0]!.accountRatio, told[0]!.topAccountRatio, told[0]!.topSizeRatio]) {
        assert.isTrue(ratio >= 0.5 && ratio <= 2)
      }
    }))

  it.effect("a dialect that watches a swap's things on spot is told so", () =>
    Effect.gen(function*() {
      const { spot } = yield* both([btc])
      assert.throws(
        () => heard((listener) => ({ _tag: "Liquidations", pair: btc, everyMillis: 0, listener }), spot),
        "which is no swap"
      )
    }))
})

describe("endpoints for other processes", () => {
  it.effect("tell statistics, candles, swaps and liquidations", () =>
    Effect.gen(function*() {
      const { network, simulator } = yield* both([btc])
      yield* simulator.tick(1_000)
      const get = (path: string) =>
        Effect.map(
          network.request({ method: "GET", url: `${simulator.admin}/${path}`, headers: {}, body: "" }),
          ({ body, status }) => [status, JSON.parse(body)] as const
        )
      const swap = `exchange=swap&pair=${perpetual}`
      const answers: ReadonlyArray<readonly [string, unknown]> = [
        [`statistics?${swap}`, simulator.statistics("swap", perpetual)],
        [`statistics?${swap}&since=5000`, simulator.statistics("swap", perpetual, 5_000)],
        [`kline?${swap}&interval=10000`, simulator.kline("swap", perpetual, 10_000)],
        [`kline?${swap}&interval=week&price=mark&at=7`, simulator.kline("swap", perpetual, "week", "mark", 7)],
        [`swap?${swap}`, simulator.swap("swap", perpetual)],
        [`liquidations?${swap}`, simulator.liquidations("swap", perpetual)]
      ]
      for (const [path, expected] of answers) assert.deepStrictEqual(yield* get(path), [200, expected], path)
      const spot = `exchange=spot&pair=${btc}`
      for (const path of [`swap?${spot}`, `liquidations?${spot}`, `kline?${spot}&interval=60000&price=index`]) {
        assert.deepStrictEqual(yield* get(path), [404, { error: "BTC/USDT on spot has no such thing" }])
      }
      assert.strictEqual((yield* get("statistics?exchange=nobody&pair=BTC/USDT"))[0], 404)
      assert.strictEqual((yield* get(`kline?${swap}&interval=often`))[0], 400)
      assert.strictEqual((yield* get(`kline?${swap}`))[0], 400)
    }))
})
