import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Result, Schema } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { Ladder } from "../../src/simulator/Ladder.ts"
import { makeTruePrice, SimulatedMarket } from "../../src/simulator/MarketModel.ts"
import { defaultPairs, factsOf } from "../../src/simulator/PairFacts.ts"
import { plan, Premium } from "../../src/simulator/Premium.ts"
import type { PlantedEdge } from "../../src/simulator/Premium.ts"
import * as Publish from "../../src/simulator/Publish.ts"
import * as Scaled from "../../src/simulator/Scaled.ts"
import { SimulatedBook } from "../../src/simulator/SimulatedBook.ts"
import { SteppedMarket } from "../../src/simulator/SteppedMarket.ts"
import { Steps } from "../../src/simulator/Steps.ts"

const draws = (seed: string) => Effect.runSync(Random.withSeed(Effect.service(Random.Random), seed))

const makeMarket = (
  seed: string,
  pair: TradingPair = "BTC/USDT",
  options: {
    levels?: number
    rate?: number
    tradeRate?: number
    version?: number
    history?: number
    premium?: Premium
  } = {}
) => {
  const truePrice = makeTruePrice(draws(`${seed} price`))
  const market = new SimulatedMarket({
    facts: factsOf(pair),
    truePrice,
    random: draws(`${seed} market`),
    draws: (purpose) => draws(`${seed} ${purpose}`),
    levels: 40,
    rate: 2_000,
    tradeRate: 200,
    turnover: 1_000_000,
    version: 1_000,
    time: 0,
    history: 2_048,
    ...options
  })
  return { market, truePrice }
}

const assertSorted = (market: SimulatedMarket) => {
  const { bids, asks } = market.book
  for (const ladder of [bids, asks]) {
    for (let i = 1; i < ladder.length; i++) assert.isTrue(ladder.keys[i - 1]! < ladder.keys[i]!)
    assert.isTrue(ladder.quantities.every((quantity) => Number.isSafeInteger(quantity) && quantity > 0))
    assert.isTrue(ladder.keys.every((key) => Number.isSafeInteger(key)))
  }
  assert.isTrue(bids.keys.every((key) => key > 0))
  assert.isTrue(asks.keys.every((key) => key < 0))
  assert.isTrue(bids.best < -asks.best, "the book is crossed")
}

const Pair = Schema.Literals(["BTC/USDT", "DOGE/USDT", "FOO/BAR", "TINY/ETH", "ETH/USDT:USDT"])

/** What can be seen of a market without asking long. */
const seen = ({ book, swap, tradeCount }: SimulatedMarket) => [
  book.version,
  book.topVersion,
  tradeCount,
  swap?.markCount,
  swap?.liquidationCount
]

/** All that it says. */
const said = (market: SimulatedMarket) => [
  market.time,
  market.book.at(market.book.version),
  market.tradesSince(0),
  market.statistics(),
  market.swap === null ? null : [market.swapState(), market.swap.liquidationsSince(0), market.kline(60_000, "mark")]
]

describe("MarketModel", () => {
  it.prop(
    "books are never crossed, keep their depth, and every change is one version",
    [Schema.String, Pair, Schema.Literals([2, 7, 40])],
    ([seed, pair, levels]) => {
      const { market, truePrice } = makeMarket(seed, pair, { levels })
      let version = 1_000
      for (let i = 0; i < 100; i++) {
        truePrice.step(0.5)
        // 20 changes and 2 trades on average, over half a second of price moves.
        market.step(0.01, i)
        assertSorted(market)
        const grown = market.book.version - version
        assert.isTrue(grown >= 0 && grown <= 40, `${grown} versions in one step`)
        version = market.book.version
      }
      assert.isAbove(version, 1_000 + 1_500)
      assert.isAtLeast(market.book.bids.length, 1)
      assert.isAtMost(market.book.bids.length, levels + 60)
      assert.isAtMost(market.book.asks.length, levels + 60)
    },
    { arbitrary: { runs: 25 } }
  )

  it.prop(
    "steps that wait until something happens in them, or somebody looks, give what steps at once give",
    [Schema.String, Pair, Schema.Literals([0, 0.3, 8, 60, 200]), Schema.Literals([0, 1, 60])],
    ([seed, pair, rate, tradeRate]) => {
      const edge = { exchange: "x", pair, premium: 0.01, fromMillis: 333, durationMillis: 1_200 }
      const make = () => makeMarket(seed, pair, { levels: 7, rate, tradeRate, premium: new Premium([edge]) })
      const reference = make()
      const steps = new Steps(10, (elapsed) => elapsed)
      const stepped = new SteppedMarket({ ...make(), steps, seconds: 0.01 })
      let waited = 0
      for (let i = 0, elapsed = 0; i < 500; i++) {
        // A pause every now and then.
        elapsed += i % 120 === 70 ? 1_310 : 10
        reference.truePrice.step(0.01)
        reference.market.step(0.01, elapsed)
        steps.add(elapsed)
        if (stepped.isDue) stepped.catchUp()
        else waited++
        assert.deepStrictEqual(seen(stepped.market), seen(reference.market))
        if (i % 23 !== 0) continue
        stepped.catchUp()
        assert.deepStrictEqual(said(stepped.market), said(reference.market))
      }
      if (rate < 100) assert.isAbove(waited, 20)
    },
    { arbitrary: { runs: 25 } }
  )

  it("the same seed gives the same log of trades and books, another seed another one", () => {
    const log = (seed: string) => {
      const { market, truePrice } = makeMarket(seed)
      for (let i = 0; i < 200; i++) {
        truePrice.step(0.01)
        market.step(0.01, i * 10)
      }
      return {
        trades: market.tradesSince(0),
        book: market.book.at(market.book.version),
        older: market.book.at(market.book.version - 700)
      }
    }
    const first = log("a")
    assert.isAbove(first.trades.length, 100)
    assert.isDefined(first.older)
    assert.deepStrictEqual(log("a"), first)
    assert.notDeepEqual(log("b"), first)
  })

  it("books follow the true price", () => {
    const { market, truePrice } = makeMarket("follow", "BTC/USDT", { levels: 40 })
    for (let i = 0; i < 2_000; i++) {
      truePrice.step(1)
      market.step(0.01, i)
    }
    const { bids, asks } = market.book
    const middle = (bids.best - asks.best) / 2
    const target = 8_053_588 * Math.exp(truePrice.value)
    assert.closeTo(middle / target, 1, 0.001)
  })

  it("trades take liquidity at the touch and number themselves", () => {
    const { market } = makeMarket("trades", "ETH/USDT", { rate: 0 })
    for (let i = 0; i < 100; i++) {
      const { bids, asks, version } = market.book
      const bid = bids.best
      const ask = -asks.best
      const before = market.tradeCount
      const bidQuantity = bids.quantities.at(-1)!
      const askQuantity = asks.quantities.at(-1)!
      market.step(0.005, i)
      const trades = market.tradesSince(before)
      assert.isAtMost(trades.length, 2)
      assert.strictEqual(market.book.version, version + trades.length, "a trade is one change")
      const [trade] = trades
      if (trade === undefined) continue
      assert.strictEqual(Scaled.fromText(trade.price, 2), trade.side === "buy" ? ask : bid)
      const taken = Scaled.fromText(trade.quantity, 5)!
      assert.isTrue(taken >= 1 && taken <= (trade.side === "buy" ? askQuantity : bidQuantity))
    }
    assert.deepStrictEqual(
      market.tradesSince(0).map(({ id }) => id),
      Array.from({ length: market.tradeCount }, (_, i) => i + 1)
    )
    assert.isAbove(market.tradeCount, 50)
  })

  it("holds the latest 4096 trades", () => {
    const { market } = makeMarket("many", "ETH/USDT")
    for (let i = 0; i < 5_000; i++) market.print("buy", 100, 1, i)
    const held = market.tradesSince(0)
    assert.strictEqual(held.length, 4_096)
    assert.strictEqual(held[0]?.id, 905)
    assert.deepStrictEqual(market.tradesSince(4_999).map(({ id }) => id), [5_000])
  })

  it("never takes the last level of a side whole", () => {
    const { market } = makeMarket("last", "ETH/USDT", { rate: 0 })
    for (const ladder of [market.book.bids, market.book.asks]) {
      while (ladder.length > 1) market.book.set(ladder.keys[0]!, 0, 0)
      market.book.set(ladder.best, 3, 0)
    }
    for (let i = 0; i < 1_000; i++) market.step(0.01, i)
    assert.strictEqual(market.book.bids.length, 1)
    assert.deepStrictEqual(market.book.asks.quantities, [1])
  })

  it("fills a side that has been emptied", () => {
    const { market } = makeMarket("emptied", "ETH/USDT")
    for (const ladder of [market.book.bids, market.book.asks]) {
      while (ladder.length > 0) market.book.set(ladder.best, 0, 0)
    }
    assert.strictEqual(market.book.bids.best, -Infinity)
    for (let i = 0; i < 200; i++) market.step(0.01, i)
    assertSorted(market)
    assert.isAbove(market.book.bids.length, 10)
    assert.isAbove(market.book.asks.length, 10)
  })

  it("waits while no price is free for an emptied side", () => {
    const { market } = makeMarket("no room", "ETH/USDT", { rate: 100 })
    while (market.book.asks.length > 0) market.book.set(market.book.asks.best, 0, 0)
    // A bid far above every target price.
    while (market.book.bids.length > 0) market.book.set(market.book.bids.best, 0, 0)
    market.book.set(248_027 * 2, 1_000, 0)
    market.step(0.1, 1)
    assert.strictEqual(market.book.asks.length, 0)
  })

  it("ends the book where prices end", () => {
    const { market } = makeMarket("floor", "TINY/ETH", { levels: 20_000, rate: 5_000 })
    assert.isBelow(market.book.bids.length, 20_000)
    for (let i = 0; i < 20; i++) market.step(0.1, i)
    assertSorted(market)
  })
})

describe("PairFacts", () => {
  it("has 16 pairs of its own and makes facts for any other", () => {
    assert.strictEqual(defaultPairs.length, 16)
    const btc = factsOf("BTC/USDT")
    assert.deepStrictEqual([btc.base, btc.quote, btc.priceDecimals, btc.minQuantity], ["BTC", "USDT", 2, "0.000001"])
    assert.strictEqual(factsOf("BTC/USDT:USDT").price, btc.price)
    assert.notStrictEqual(factsOf("BTC/EUR").price, btc.price)
    assert.deepStrictEqual(factsOf("龙虾/USDT"), factsOf("龙虾/USDT"))
  })

  it.prop("made-up prices have about five digits and fit a safe integer", [Schema.NonEmptyString], ([base]) => {
    const facts = factsOf(`${base}/XYZ`)
    const units = facts.price * 10 ** facts.priceDecimals
    assert.isTrue(facts.price >= 1e-4 && facts.price <= 1e3)
    assert.isTrue(units >= 9_999 && units < 1e6)
    assert.isTrue(Number(facts.minQuantity) > 0)
  })
})

describe("SimulatedBook", () => {
  const empty = (version: number, history = 1_024) =>
    new SimulatedBook({ priceDecimals: 1, quantityDecimals: 0, version, time: 0, history }, new Ladder(), new Ladder())

  const Change = Schema.Struct({
    key: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 })),
    side: Schema.Literals([1, -1]),
    quantity: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
  })

  it.prop(
    "any held version is the book as it was, also near 2^53",
    [Schema.Array(Change).check(Schema.isMinLength(1)), Schema.Literals([1, 81_721_676_217, 9_007_199_254_730_000])],
    ([changes, first]) => {
      const book = empty(first)
      const expected: Array<unknown> = [book.at(first)]
      // Around the ring several times.
      const total = 3_000
      for (let i = 0; i < total; i++) {
        const { key, side, quantity } = changes[i % changes.length]!
        book.set(side * (key + (i % 3)), quantity, i)
        expected.push(book.at(book.version))
      }
      assert.strictEqual(book.version, first + total)
      assert.isAtMost(book.oldest, book.version - 512)
      assert.isUndefined(book.at(book.oldest - 1))
      assert.isUndefined(book.at(book.version + 1))
      assert.isUndefined(book.at(Number.NaN))
      for (let version = book.oldest; version <= book.version; version++) {
        assert.deepStrictEqual(book.at(version), expected[version - first])
      }
    },
    { arbitrary: { runs: 10 } }
  )

  it("finds the version of a time", () => {
    const book = empty(10)
    for (let i = 1; i <= 100; i++) book.set(i, 1, i * 10)
    assert.strictEqual(book.versionAt(1_000), 110)
    assert.strictEqual(book.versionAt(999), 109)
    assert.strictEqual(book.versionAt(5), 10)
    assert.strictEqual(book.versionAt(1e9), 110)
    assert.strictEqual(book.at(109)?.time, 990)
  })

  it("time does not run backwards", () => {
    const book = empty(1)
    book.set(5, 1, 100)
    book.set(6, 1, 50)
    assert.strictEqual(book.time, 100)
    assert.strictEqual(book.versionAt(100), 3)
  })

  it("knows which changes touched the best level", () => {
    const book = empty(0)
    const touched = (key: number, quantity: number) => {
      book.set(key, quantity, book.version)
      return book.topVersion === book.version
    }
    assert.isTrue(touched(10, 1))
    assert.isFalse(touched(9, 1))
    assert.isTrue(touched(10, 2))
    assert.isFalse(touched(9, 2))
    assert.isTrue(touched(10, 0))
    assert.isFalse(touched(3, 0))
    assert.isTrue(touched(-20, 1))
    assert.isTrue(touched(-19, 1))
    assert.isFalse(touched(-20, 0))
  })
})

describe("Scaled", () => {
  it.prop("text and units say the same", [
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 52 })),
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))
  ], ([units, decimals]) => {
    assert.strictEqual(Scaled.fromText(Scaled.toText(units, decimals), decimals), units)
    assert.strictEqual(Number(Scaled.toText(units, decimals)), Number(`${units}e-${decimals}`))
  })

  it("refuses what is no such decimal", () => {
    for (const text of ["", "x", "1.", ".5", "-1", "1e3", "1.234", "99999999999999999"]) {
      assert.isNull(Scaled.fromText(text, 2), text)
    }
    assert.strictEqual(Scaled.fromText("1.2300", 2), 123)
    assert.strictEqual(Scaled.fromText("7", 2), 700)
  })
})

describe("Publish", () => {
  it("sets levels exactly and refuses what cannot be", () => {
    const { market } = makeMarket("publish", "ETH/USDT", { rate: 0 })
    const { book } = market
    const bid = Scaled.toText(book.bids.best, 2)
    const ask = Scaled.toText(-book.asks.best, 2)
    const attempt = (change: Publish.Change) => Publish.publish({ market, time: 5, fund: () => 0 }, change)
    const detail = (change: Publish.Change) => {
      const result = attempt(change)
      return result._tag === "Failure" ? result.failure : assert.fail("it was taken")
    }
    assert.deepStrictEqual(attempt({ _tag: "Level", side: "bid", price: bid, quantity: "1.5" })._tag, "Success")
    assert.strictEqual(book.version, 1_001)
    assert.strictEqual(book.at(1_001)?.bids[0]?.quantity, "1.50000")
    assert.include(detail({ _tag: "Level", side: "bid", price: bid, quantity: "1.5" }), "already")
    assert.include(detail({ _tag: "Level", side: "bid", price: ask, quantity: "1" }), "cross")
    assert.include(detail({ _tag: "Level", side: "ask", price: bid, quantity: "1" }), "cross")
    assert.include(detail({ _tag: "Level", side: "ask", price: "0", quantity: "1" }), "price")
    assert.include(detail({ _tag: "Level", side: "ask", price: "1.001", quantity: "1" }), "2 decimals")
    assert.include(detail({ _tag: "Level", side: "ask", price: ask, quantity: "abc" }), "quantity")
    assert.include(detail({ _tag: "Trade", side: "buy", price: ask, quantity: "0" }), "above 0")
    assert.strictEqual(book.version, 1_001)
    attempt({ _tag: "Level", side: "ask", price: ask, quantity: "0" })
    assert.notStrictEqual(book.at(1_002)?.asks[0]?.price, ask)
    assert.deepStrictEqual(attempt({ _tag: "Trade", side: "sell", price: bid, quantity: "0.25" }), Result.succeed(1))
    assert.deepStrictEqual(market.tradesSince(0), [{ id: 1, side: "sell", price: bid, quantity: "0.25000", time: 5 }])
    assert.strictEqual(book.version, 1_002)
  })
})

describe("planted edges", () => {
  const edge = (
    premium: number,
    fromMillis: number,
    durationMillis: number,
    pair: TradingPair = "BTC/USDT"
  ): PlantedEdge => ({
    exchange: "x",
    pair,
    premium,
    fromMillis,
    durationMillis
  })

  it.prop(
    "the book jumps with the price, at once and back at once, and is never crossed",
    [Schema.String, Pair, Schema.Literals([2, 7, 40]), Schema.Literals([-0.3, -0.01, -1e-5, 1e-5, 0.002, 0.3])],
    ([seed, pair, levels, size]) => {
      const premium = new Premium([edge(size, 500, 300, pair)])
      const { market } = makeMarket(seed, pair, { levels, rate: 50, premium })
      const before = new Map<number, number>()
      for (let i = 0; i < 100; i++) {
        const from = market.book.version
        market.step(0.01, i * 10)
        for (let version = from + 1; version < market.book.version; version++) {
          const { asks: [ask], bids: [bid] } = market.book.at(version, 1)!
          assert.isTrue(ask === undefined || bid === undefined || Number(bid.price) < Number(ask.price))
        }
        assertSorted(market)
        before.set(i * 10, (market.book.bids.best - market.book.asks.best) / 2)
      }
      if (market.facts.price * 10 ** market.facts.priceDecimals < 10_000) return
      const jump = before.get(500)! / before.get(490)!
      assert.closeTo(jump, 1 + size, 0.003, "when it begins")
      assert.closeTo(before.get(800)! / before.get(490)!, 1, 0.006, "when it is over")
    },
    { arbitrary: { runs: 20 } }
  )

  it("leave a market alone that has none, to the last draw", () => {
    const run = (premium?: Premium) => {
      const { market, truePrice } = makeMarket("same", "BTC/USDT", premium === undefined ? {} : { premium })
      for (let i = 0; i < 50; i++) {
        truePrice.step(0.01)
        market.step(0.01, i * 10)
      }
      return market.book.at(market.book.version)
    }
    assert.deepStrictEqual(run(new Premium([edge(0.01, 10_000, 5)])), run())
  })

  it("overlap by adding up", () => {
    const premium = new Premium([edge(0.1, 10, 20), edge(0.2, 20, 20)])
    const seen = [0, 10, 15, 20, 30, 40, 50].map((at) => [premium.moveTo(at), Math.expm1(premium.value).toFixed(6)])
    assert.deepStrictEqual(seen, [
      [false, "0.000000"],
      [true, "0.100000"],
      [false, "0.100000"],
      [true, "0.320000"],
      [true, "0.200000"],
      [true, Math.expm1(premium.value).toFixed(6)],
      [false, Math.expm1(premium.value).toFixed(6)]
    ])
    assert.closeTo(premium.value, 0, 1e-15)
  })

  it("are planned by the seed alone, apart from each other, within the bounds", () => {
    const make = (seed: string) =>
      plan(draws(seed), {
        markets: [{ exchange: "x", pair: "BTC/USDT" }, { exchange: "y", pair: "BTC/USDT" }],
        withinMillis: 60_000,
        pauseMillis: 500,
        durationMillis: [20, 2_000],
        premium: [0.002, 0.004]
      })
    const edges = make("one")
    assert.deepStrictEqual(make("one"), edges)
    assert.notDeepEqual(make("two"), edges)
    assert.isAbove(edges.length, 60)
    for (const { durationMillis, fromMillis, premium } of edges) {
      assert.isTrue(fromMillis < 60_000 && durationMillis >= 20 && durationMillis <= 2_000)
      assert.isTrue(Math.abs(premium) >= 0.002 && Math.abs(premium) <= 0.004)
    }
    const own = edges.filter(({ exchange }) => exchange === "y")
    for (let i = 1; i < own.length; i++) {
      assert.isAtLeast(own[i]!.fromMillis, own[i - 1]!.fromMillis + own[i - 1]!.durationMillis)
    }
  })
})
