import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Result, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import * as Opportunity from "../../src/arbitrage/Opportunity.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { Levels } from "../../src/domain/Market.ts"
import { isWorth, lotOf, now, reading, routeOf, sight, spot, swap, ticker, toNumber, viewOf, worths } from "./Scenes.ts"
import type { BookFacts, Worth } from "./Scenes.ts"

const evaluator = (
  route: Opportunity.Route,
  conditions: Partial<Opportunity.Conditions> = {}
): Opportunity.Evaluator => Result.getOrThrow(Opportunity.make(route, conditions))

const evaluate = (
  first: Opportunity.Venue,
  firstSight: Opportunity.Sight,
  second: Opportunity.Venue,
  secondSight: Opportunity.Sight,
  conditions: Partial<Opportunity.Conditions> = {},
  at = now
) => evaluator(routeOf(first, second), conditions).evaluate(firstSight, secondSight, at)

const found = (result: ReturnType<typeof evaluate>): Opportunity.Opportunity => {
  if (result === null || typeof result === "string") throw new Error(`nothing found: ${result}`)
  return result
}

const cheap: BookFacts = { bids: [99, 10], asks: [100, 1, 101, 2, 103, 5], version: 7 }
const dear: BookFacts = { bids: [104, 0.5, 103, 2, 101.2, 4], asks: [105, 3], version: 9 }

describe("an opportunity", () => {
  it("walks both books to where the next unit earns nothing, after both fees", () => {
    const opportunity = found(evaluate(spot("a"), sight(cheap), spot("b"), sight(dear)))
    // 0.5 at 100 for 104, 0.5 at 100 for 103, 1.5 at 101 for 103; 101 for 101.2 pays no fees.
    assert.deepStrictEqual(opportunity, {
      route: "BTC/USDT a b",
      direction: "first",
      buy: {
        exchange: "a",
        pair: "BTC/USDT",
        side: "buy",
        quantity: 2.5,
        averagePrice: 100.6,
        worstPrice: 101,
        fee: 0.2515,
        version: 7,
        ageMs: 10,
        ageErrorMs: 3.5,
        receivedAt: now - 5
      },
      sell: {
        exchange: "b",
        pair: "BTC/USDT",
        side: "sell",
        quantity: 2.5,
        averagePrice: 103.2,
        worstPrice: 103,
        fee: 0.258,
        version: 9,
        ageMs: 10,
        ageErrorMs: 3.5,
        receivedAt: now - 5
      },
      quantity: 2.5,
      gross: 6.5,
      fees: 0.5095,
      funding: 0,
      profit: 5.9905,
      profitRatio: 5.9905 / 251.5,
      at: now
    })
  })

  it("of more lots than a number tells exactly is told for so many", () => {
    const many = (facts: BookFacts): BookFacts => ({
      bids: facts.bids!.map((each, index) => index % 2 === 0 ? each : each * 1e15),
      asks: facts.asks!.map((each, index) => index % 2 === 0 ? each : each * 1e15)
    })
    const { buy, quantity } = found(evaluate(spot("a"), sight(many(cheap)), spot("b"), sight(many(dear))))
    assert.deepStrictEqual([quantity, buy.quantity], [1e12, 1e12])
  })

  it("goes the other way when the first market is the dear one", () => {
    const opportunity = found(evaluate(spot("b"), sight(dear), spot("a"), sight(cheap)))
    assert.strictEqual(opportunity.direction, "second")
    assert.deepStrictEqual([opportunity.buy.exchange, opportunity.sell.exchange], ["a", "b"])
    assert.strictEqual(opportunity.profit, 5.9905)
  })

  it("is nothing when fees take what the prices leave", () => {
    assert.isNull(evaluate(spot("a", { takerFee: 0.02 }), sight(cheap), spot("b", { takerFee: 0.02 }), sight(dear)))
    assert.isNull(evaluate(spot("a"), sight(cheap), spot("b"), sight(cheap)))
  })

  it("stays within the largest quantity and the largest value", () => {
    const quantity = (conditions: Partial<Opportunity.Conditions>) =>
      found(evaluate(spot("a"), sight(cheap), spot("b"), sight(dear), conditions)).quantity
    assert.strictEqual(quantity({ maxQuantity: 0.7004 }), 0.7)
    assert.strictEqual(quantity({ maxNotional: 52 }), 0.5)
    assert.strictEqual(quantity({ maxNotional: 51.999 }), 0.499)
  })

  it("keeps thresholds: the ratio limits the size, the profit is all or nothing", () => {
    const at = (conditions: Partial<Opportunity.Conditions>) =>
      evaluate(spot("a"), sight(cheap), spot("b"), sight(dear), conditions)
    assert.strictEqual(found(at({ minProfit: 5.9905 })).profit, 5.9905)
    assert.isNull(at({ minProfit: 5.9906 }))
    const strict = found(at({ minProfitRatio: 0.03 }))
    assert.isBelow(strict.quantity, 2.5)
    assert.isAbove(strict.quantity, 1)
    assert.isAtLeast(strict.profitRatio, 0.03)
    assert.isNull(at({ minProfitRatio: 0.04 }))
  })

  it("takes a lot more than the best size where that earns more than a lot less", () => {
    const coarse = spot("a", { quantityStep: 1 })
    assert.strictEqual(found(evaluate(coarse, sight(cheap), spot("b"), sight(dear))).quantity, 3)
    assert.strictEqual(found(evaluate(coarse, sight(cheap), spot("b"), sight(dear), { maxQuantity: 2.9 })).quantity, 2)
    assert.isNull(evaluate(coarse, sight(cheap), spot("b"), sight(dear), { maxQuantity: 0.9 }))
  })

  it("reaches the smallest quantity and value of both, or is nothing", () => {
    const least = (facts: Partial<Opportunity.Venue>) =>
      evaluate(spot("a"), sight(cheap), spot("b", facts), sight(dear))
    assert.strictEqual(found(least({ minQuantity: 2.7 })).quantity, 2.7)
    assert.isNull(least({ minQuantity: 7 }))
    assert.strictEqual(found(least({ minNotional: 250 })).quantity, 2.5)
    // The sale is ordered at 103: 257.5 is all that its limit is worth.
    assert.isNull(least({ minNotional: 257.6 }))
    assert.isNull(evaluate(spot("a", { minNotional: 1e6 }), sight(cheap), spot("b"), sight(dear)))
  })

  it("trades whole contracts against base units", () => {
    const contracts: BookFacts = { bids: [104, 4999.6, 103, 100], asks: [105, 100] }
    const opportunity = found(evaluate(spot("a"), sight(cheap), swap("f"), sight(contracts), { holdingMs: 0 }))
    assert.strictEqual(opportunity.quantity, 0.509)
    assert.strictEqual(opportunity.sell.quantity, 5090)
    assert.strictEqual(opportunity.buy.quantity, 0.509)
  })

  it("where steps do not meet, the finer leg trades less by a part of its step", () => {
    const odd = swap("f", { contractSize: 0.0375 })
    const opportunity = found(
      evaluate(spot("a", { quantityStep: 0.001 }), sight(cheap), odd, sight({ bids: [104, 11], asks: [105, 10] }), {
        holdingMs: 0
      })
    )
    // 75 thousandths are 2 contracts and would do for both.
    assert.strictEqual(opportunity.sell.quantity, 10)
    assert.strictEqual(opportunity.buy.quantity, 0.375)
    const apart = found(
      evaluate(
        spot("a", { quantityStep: 0.0013 }),
        sight(cheap),
        swap("f", { contractSize: 0.0125 }),
        sight({ bids: [104, 11], asks: [105, 10] }),
        { holdingMs: 0 }
      )
    )
    assert.strictEqual(apart.sell.quantity, 11)
    assert.strictEqual(apart.buy.quantity, 0.1365)
    assert.strictEqual(apart.quantity, 0.1365)
    assert.strictEqual(apart.gross, 0.1365 * 4)
    assert.strictEqual(apart.sell.fee, 0.1375 * 104 * 0.0005)
  })
})

describe("funding", () => {
  const perpetual: BookFacts = { bids: [104, 10_000], asks: [105, 10_000] }
  const at = (facts: Parameters<typeof ticker>[0], conditions: Partial<Opportunity.Conditions> = {}) =>
    evaluate(spot("a"), sight(cheap), swap("f"), sight(perpetual, { ticker: ticker(facts) }), conditions)

  it("counts what falls due while positions are held", () => {
    assert.strictEqual(found(at({ fundingRate: 0.0001, markPrice: 102 })).funding, 0.0102)
    assert.strictEqual(found(at({ fundingRate: -0.0001, markPrice: 102 })).funding, -0.0102)
    assert.strictEqual(found(at({ fundingRate: 0.0001 })).funding, 0.0104)
    assert.strictEqual(found(at({ fundingRate: 0.0001, nextFundingTime: now + 3_600_001 })).funding, 0)
    const hourly = { fundingRate: 0.0001, fundingInterval: 3_600_000 }
    assert.strictEqual(found(at(hourly, { holdingMs: 3_600_000 * 5 })).funding, 0.052)
  })

  it("may make an edge and may take it away", () => {
    assert.isNull(at({ fundingRate: -0.05 }))
    const level: BookFacts = { bids: [100, 10_000], asks: [100.1, 10_000] }
    const edge = found(
      evaluate(spot("a"), sight(cheap), swap("f"), sight(level, { ticker: ticker({ fundingRate: 0.01 }) }))
    )
    assert.isBelow(edge.gross, edge.fees)
    assert.isAbove(edge.profit, 0)
    // The same rate is paid by whoever buys the perpetual.
    const short = evaluate(
      spot("a"),
      sight({ bids: [104, 1], asks: [105, 1] }),
      swap("f"),
      sight(level, {
        ticker: ticker({ fundingRate: 0.05 })
      })
    )
    assert.isNull(short)
  })

  it("is by the exchange's own clock", () => {
    const clock = { ...reading, offsetMs: 3_000 }
    const due = (nextFundingTime: number) =>
      found(
        evaluate(
          spot("a"),
          sight(cheap),
          swap("f"),
          sight({ ...perpetual, exchangeTime: now - 3010 }, {
            clock,
            ticker: ticker({ fundingRate: 0.0001, nextFundingTime })
          })
        )
      ).funding
    assert.strictEqual(due(now + 3_600_000 - 3000), 0.0104)
    assert.strictEqual(due(now + 3_600_000 - 2999), 0)
  })

  it("that is not known leaves nothing, unless nothing is held", () => {
    assert.strictEqual(evaluate(spot("a"), sight(cheap), swap("f"), sight(perpetual)), "Stale")
    assert.strictEqual(at({ fundingRate: null }), "Stale")
    assert.strictEqual(at({ nextFundingTime: null }), "Stale")
    assert.strictEqual(at({ nextFundingTime: now - 1, fundingInterval: null }), "Stale")
    assert.isAbove(
      found(evaluate(spot("a"), sight(cheap), swap("f"), sight(perpetual), { holdingMs: 0 })).profit,
      0
    )
  })

  it("that was told too long ago is not known: by the exchange's time, by the receipt where it sends none", () => {
    const due = { fundingRate: 0.0001, fundingInterval: 3_600_000 }
    const old = (ago: number) => at({ ...due, exchangeTime: now - ago, receivedAt: now })
    // The error of the clock counts: 1 + 2.5 ms.
    assert.strictEqual(found(old(59_996)).funding, 0.0104)
    assert.strictEqual(old(59_997), "Stale")
    const received = (ago: number) => at({ ...due, exchangeTime: null, receivedAt: now - ago })
    assert.strictEqual(found(received(60_000)).funding, 0.0104)
    assert.strictEqual(received(60_001), "Stale")
    assert.strictEqual(received(-1_000), "Stale")
    assert.strictEqual(received(Number.NaN), "Stale")
    const day = { ...due, exchangeTime: null, receivedAt: now - 86_400_000, nextFundingTime: now - 86_399_000 }
    assert.strictEqual(at(day), "Stale")
    assert.strictEqual(found(at(day, { maxFundingAgeMs: 90_000_000 })).funding, 0.0104)
    const clock = { ...reading, offsetMs: 3_600_000 }
    const skewed = (exchangeTime: number) =>
      evaluate(
        spot("a"),
        sight(cheap),
        swap("f"),
        sight({ ...perpetual, exchangeTime: now - 3_600_010 }, { clock, ticker: ticker({ ...due, exchangeTime }) })
      )
    assert.strictEqual(typeof skewed(now - 3_600_000), "object")
    assert.strictEqual(skewed(now - 3_670_000), "Stale")
    assert.strictEqual(
      evaluate(
        spot("a"),
        sight(cheap),
        swap("f"),
        sight({ ...perpetual, exchangeTime: null }, { clock: null, ticker: ticker(due) })
      ),
      "Stale"
    )
  })

  it("of more than the next payment is not known without an interval", () => {
    const unknown = { fundingRate: -0.003, nextFundingTime: now + 1_000, fundingInterval: null }
    assert.strictEqual(at(unknown), "Stale")
    assert.strictEqual(at(unknown, { holdingMs: 86_400_000 }), "Stale")
    assert.strictEqual(found(at(unknown, { holdingMs: 1_000 })).funding, -0.312)
    assert.strictEqual(found(at(unknown, { holdingMs: 999 })).funding, 0)
  })

  it("of a ticker that has been overtaken is moved on by its interval", () => {
    const old = { fundingRate: 0.0001, nextFundingTime: now - 500, fundingInterval: 1_000_000 }
    assert.strictEqual(found(at(old, { holdingMs: 999_499 })).funding, 0)
    assert.strictEqual(found(at(old, { holdingMs: 999_500 })).funding, 0.0104)
  })
})

describe("a leg in doubt", () => {
  const withFirst = (facts: Partial<BookFacts>, rest: Partial<Opportunity.Sight> = {}) =>
    evaluate(spot("a"), sight({ ...cheap, ...facts }, rest), spot("b"), sight(dear))

  it("that is not in sync", () => {
    assert.strictEqual(withFirst({}, { book: null }), "Stale")
    assert.strictEqual(evaluate(spot("a"), sight(cheap), spot("b"), sight(dear, { book: null })), "Stale")
  })

  it("that was received later than now: the machine's clock has been set back", () => {
    for (const exchangeTime of [null, now - 10]) {
      assert.strictEqual(withFirst({ exchangeTime, receivedAt: now + 3_600_000 }), "Skewed")
      assert.strictEqual(withFirst({ exchangeTime, receivedAt: now + 10 }), "Skewed")
    }
    assert.isObject(withFirst({ exchangeTime: null, receivedAt: now + 9 }))
    assert.strictEqual(withFirst({ exchangeTime: null, receivedAt: Number.NaN }), "TooOld")
  })

  it("that is too old by the exchange's time, the clocks' difference and its error counted", () => {
    assert.strictEqual(withFirst({ exchangeTime: now - 1000, receivedAt: now }), "TooOld")
    const bound = (exchangeTime: number, clock: Opportunity.Sight["clock"]) => withFirst({ exchangeTime }, { clock })
    // 450 ms apart and 3.5 ms of error on each side: within 500.
    assert.strictEqual(found(bound(now - 460, reading)).buy.ageMs, 460)
    assert.strictEqual(found(bound(now - 660, { ...reading, offsetMs: 200 })).buy.ageMs, 460)
    assert.strictEqual(bound(now - 460, { ...reading, offsetMs: -200 }), "Skewed")
    assert.strictEqual(bound(now - 460, { ...reading, errorMs: 50 }), "Skewed")
    assert.strictEqual(bound(now - 460, { ...reading, errorMs: 540 }), "TooOld")
    // What was measured an hour ago may be off by 360 ms.
    assert.strictEqual(bound(now - 460, { ...reading, at: now - 3_600_000 }), "Skewed")
  })

  it("whose exchange's clock is not known", () => {
    assert.strictEqual(withFirst({}, { clock: null }), "TooOld")
    assert.strictEqual(found(withFirst({ exchangeTime: null }, { clock: null })).buy.ageMs, 5)
  })

  it("that was received before it can have been made", () => {
    assert.strictEqual(withFirst({ exchangeTime: now + 200 }), "Skewed")
  })

  it("that is too old by its receipt where the exchange sends no time", () => {
    assert.strictEqual(withFirst({ exchangeTime: null, receivedAt: now - 1001 }), "TooOld")
  })

  it("is not looked at while the prices leave nothing", () => {
    assert.isNull(evaluate(spot("a"), sight({ ...cheap, exchangeTime: 0 }), spot("b"), sight(cheap)))
  })

  it("that is crossed", () => {
    const crossed = { ...viewOf(cheap), isCurrent: true, bidPrice: () => 100, askPrice: () => 100 }
    assert.strictEqual(withFirst({}, { book: crossed }), "Crossed")
    assert.strictEqual(
      evaluate(spot("b"), sight(dear), spot("a"), sight(cheap, { book: crossed })),
      "Crossed"
    )
  })
})

describe("what was found, when nothing but time has passed,", () => {
  const first = sight(cheap)
  const second = sight(dear)
  const between = evaluator(routeOf(spot("a"), spot("b")))

  it("stands until a leg is too old or gone", () => {
    assert.isTrue(between.stands(first, second, now))
    assert.isTrue(between.stands(first, second, now + 980))
    assert.strictEqual(between.stands(first, second, now + 1000), "TooOld")
    assert.strictEqual(between.stands(sight(cheap, { book: null }), second, now), "Stale")
    assert.strictEqual(between.stands(first, sight(dear, { book: null }), now), "Stale")
  })

  it("is worked out anew where funding falls due", () => {
    const perpetual = evaluator(routeOf(spot("a"), swap("f")), { holdingMs: 1_500, maxAgeMs: 5_000 })
    // Paid by whoever is short, once it lies within the time that positions are held.
    const facts: BookFacts = { bids: [104, 10_000], asks: [105, 10_000] }
    const soon = sight(facts, { ticker: ticker({ fundingRate: -0.05, nextFundingTime: now + 2_000 }) })
    assert.isTrue(perpetual.stands(first, soon, now))
    assert.isFalse(perpetual.stands(first, soon, now + 1_000))
    assert.strictEqual(perpetual.stands(first, sight(facts), now), "Stale")
  })
})

describe("what is wrong is said", () => {
  it.each<[Partial<Opportunity.Conditions>, string]>([
    [{ maxQuantity: 0 }, "maxQuantity must be above 0 or null, not 0"],
    [{ maxNotional: Number.NaN }, "maxNotional must be above 0 or null, not NaN"],
    [{ minProfit: -1 }, "minProfit must be 0 or more, not -1"],
    [{ maxAgeMs: Number.POSITIVE_INFINITY }, "maxAgeMs must be 0 or more, not Infinity"]
  ])("of conditions: %j", (conditions, expected) => {
    assert.deepStrictEqual(Opportunity.make(routeOf(spot("a"), spot("b")), conditions), Result.fail(expected))
  })

  it.each<[Partial<Opportunity.Venue>, string]>([
    [{ contractSize: 0 }, "contractSize must be above 0, not 0"],
    [{ quantityStep: Number.NaN }, "quantityStep must be above 0, not NaN"],
    [{ minQuantity: -1 }, "minQuantity must be 0 or more or null, not -1"],
    [{ minNotional: -1 }, "minNotional must be 0 or more or null, not -1"],
    [{ takerFee: 10 }, "takerFee must be a fraction, not 10"]
  ])("of a route: %j", (facts, expected) => {
    const route = routeOf(spot("a"), spot("b", facts))
    assert.deepStrictEqual(Opportunity.make(route), Result.fail(`route BTC/USDT a b: b BTC/USDT: ${expected}`))
  })
})

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

const oneOf = <A>(...values: ReadonlyArray<A>) => Arbitrary.map(int(0, values.length - 1), (index) => values[index]!)

/** Up to five levels from a best price, in ticks of 0.1; quantities in thousandths of a unit, not always on a step. */
const side = Arbitrary.array(Arbitrary.all([int(1, 9), int(1, 4000)]), { minLength: 1, maxLength: 5 })

const marketAround = (middle: number) =>
  Arbitrary.map(
    Arbitrary.all([int(middle - 15, middle + 15), int(1, 6), side, side]),
    ([ask, spread, asks, bids]): BookFacts => {
      const levels = (best: number, sign: 1 | -1, steps: ReadonlyArray<readonly [number, number]>): Levels => {
        let price = best
        return steps.flatMap(([gap, quantity], index) => {
          if (index > 0) price += sign * gap
          return [Number(`${price}e-1`), Number(`${quantity}e-3`)]
        })
      }
      return { asks: levels(ask, 1, asks), bids: levels(ask - spread, -1, bids) }
    }
  )

const venueOf = (exchange: string) =>
  Arbitrary.map(
    Arbitrary.all([
      oneOf(0.1, 0.05, 0.3, 0.25, 0.5, 1, 0.07),
      oneOf(1, 1, 1, 0.5, 2, 0.3),
      oneOf(null, null, null, 0.1, 1.2),
      oneOf(null, null, null, 5, 80),
      oneOf(0, 0.0005, 0.001, 0.002, -0.0001)
    ]),
    ([quantityStep, contractSize, minQuantity, minNotional, takerFee]): Opportunity.Venue =>
      spot(exchange, { quantityStep, contractSize, minQuantity, minNotional, takerFee })
  )

const conditionsOf = Arbitrary.map(
  Arbitrary.all([
    oneOf(null, null, 0.5, 1.7, 3),
    oneOf(null, null, 75, 333.3),
    oneOf(0, 0, 0.05, 1),
    oneOf(0, 0, 0.001, 0.004)
  ]),
  ([maxQuantity, maxNotional, minProfit, minProfitRatio]): Opportunity.Conditions => ({
    ...Opportunity.defaults,
    maxQuantity,
    maxNotional,
    minProfit,
    minProfitRatio
  })
)

const scene = Arbitrary.all([venueOf("a"), marketAround(990), venueOf("b"), marketAround(1010), conditionsOf])

const runs = { arbitrary: { runs: 300 } }

/** The most that can be earned at a size whose ratio holds; the sizes that earn most, of equal ones the smallest. */
const bestOf = (
  [first, a, second, b, conditions]: readonly [
    Opportunity.Venue,
    BookFacts,
    Opportunity.Venue,
    BookFacts,
    Opportunity.Conditions
  ]
): Worth | undefined => {
  const all = [
    ...worths(first, a.asks, second, b.bids, conditions, "first"),
    ...worths(second, b.asks, first, a.bids, conditions, "second")
  ]
  const ratio = { ...conditions, minProfit: 0 }
  const free = { ...first, minNotional: null }
  return all.filter((worth) => isWorth(worth, free, ratio)).sort((x, y) =>
    x.profit === y.profit ? Number(x.bought - y.bought) : y.profit > x.profit ? 1 : -1
  )[0]
}

const epsilon = 1e-9

describe("against an exact reference that tries every size", () => {
  let emitted = 0

  it.prop("never tells what is not there, always tells what is, at the size of greatest profit", [scene], ([given]) => {
    const [first, a, second, b, conditions] = given
    const best = bestOf(given)
    const result = evaluate(first, sight(a), second, sight(b), conditions)
    assert.isNotString(result)
    // Elsewhere a size more or less may fit the finer step better by a part of it.
    const isEven = best !== undefined && lotOf(first, second).isEven
    const sell = best?.direction === "first" ? second : first
    if (result === null || typeof result === "string") {
      assert.isFalse(isEven && isWorth(best, sell, conditions, epsilon), "missed")
      return
    }
    emitted++
    assert.isDefined(best)
    assert.strictEqual(result.direction, best!.direction)
    const [buyer, asks, seller, bids] = result.direction === "first"
      ? [first, a.asks, second, b.bids] as const
      : [second, b.asks, first, a.bids] as const
    const told = worths(buyer, asks, seller, bids, conditions, result.direction).find((worth) =>
      Math.abs(toNumber(worth.bought) - result.buy.quantity * buyer.contractSize) < epsilon
    )
    assert.isDefined(told)
    assert.isTrue(isWorth(told!, sell, conditions), "told, and not worth it")
    assert.closeTo(result.profit, toNumber(told!.profit), epsilon)
    if (!isEven) return
    assert.closeTo(result.profit, toNumber(best!.profit), epsilon)
    assert.closeTo(result.gross, toNumber(best!.gross), epsilon)
    assert.closeTo(result.fees, toNumber(best!.fees), epsilon)
  }, runs)

  it("and tells often enough for that to mean something", () => {
    assert.isAbove(emitted, 30)
  })
})

describe("properties", () => {
  const profitOf = (result: ReturnType<typeof evaluate>): number =>
    result === null || typeof result === "string" ? 0 : result.profit

  it.prop(
    "an edge of ever so many lots is told, at a size that is exactly on its step, and finer steps never earn less",
    [marketAround(100), marketAround(100), int(3, 13), int(0, 9)],
    ([a, b, digits, more]) => {
      // Up to 10^14 lots.
      const zeros = Math.min(more, 13 - digits)
      const scaled = ({ asks, bids }: BookFacts): BookFacts => {
        const many = (levels: Levels) =>
          levels.map((each, index) => index % 2 === 0 ? each : Number(`${each}e${zeros}`))
        return { asks: many(asks!), bids: many(bids!) }
      }
      const at = (step: number) =>
        evaluate(
          spot("a", { quantityStep: step, minQuantity: null }),
          sight(scaled(a)),
          spot("b", { quantityStep: step, minQuantity: null }),
          sight(scaled(b))
        )
      const coarse = at(1e-3)
      const fine = at(Number(`1e-${digits}`))
      assert.isAtLeast(profitOf(fine), profitOf(coarse) * (1 - 1e-9))
      if (fine === null || typeof fine === "string") return
      assert.isTrue(
        Decimal.isOnStep(Decimal.fromNumber(fine.buy.quantity), Decimal.fromNumber(Number(`1e-${digits}`)))
      )
      assert.strictEqual(fine.buy.quantity, fine.sell.quantity)
    },
    runs
  )

  it.prop("higher fees never earn more", [scene, oneOf(0.0001, 0.001, 0.01)], ([given, more]) => {
    const [one, a, other, b, conditions] = given
    // A smaller sale is ordered at a better limit, which may reach a smallest value that a larger one misses.
    const first = { ...one, minNotional: null }
    const second = { ...other, minNotional: null }
    const dearer = { ...first, takerFee: Number((first.takerFee + more).toFixed(6)) }
    const before = evaluate(first, sight(a), second, sight(b), conditions)
    const after = evaluate(dearer, sight(a), second, sight(b), conditions)
    assert.isAtMost(profitOf(after), profitOf(before) + epsilon)
  }, runs)

  it.prop("first and second may change places", [scene], ([[first, a, second, b, conditions]]) => {
    const one = evaluate(first, sight(a), second, sight(b), conditions)
    const other = evaluate(second, sight(b), first, sight(a), conditions)
    if (one === null || typeof one === "string") return assert.deepStrictEqual(other, one)
    const mirrored = { ...found(other), route: one.route, direction: one.direction }
    assert.deepStrictEqual(mirrored, one)
    assert.notStrictEqual(found(other).direction, one.direction)
  }, runs)

  it.prop(
    "quantities are on both steps, and less than one step apart",
    [scene],
    ([[first, a, second, b, conditions]]) => {
      const result = evaluate(first, sight(a), second, sight(b), conditions)
      if (result === null || typeof result === "string") return
      const decimal = BigDecimal.fromNumberUnsafe
      const bases = [result.buy, result.sell].map((leg) => {
        const venue = leg.exchange === "a" ? first : second
        assert.isTrue(Decimal.isOnStep(decimal(leg.quantity), decimal(venue.quantityStep)))
        return {
          base: BigDecimal.multiply(decimal(leg.quantity), decimal(venue.contractSize)),
          step: BigDecimal.multiply(decimal(venue.quantityStep), decimal(venue.contractSize))
        }
      })
      const apart = BigDecimal.abs(BigDecimal.subtract(bases[0]!.base, bases[1]!.base))
      assert.isTrue(BigDecimal.isLessThan(apart, BigDecimal.min(bases[0]!.step, bases[1]!.step)))
      assert.strictEqual(result.quantity, Decimal.toNumber(BigDecimal.min(bases[0]!.base, bases[1]!.base)))
    },
    runs
  )
})
