/** What no fill tells: positions that their exchange takes, funding, and the price of a hedge's own market. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ExposureLedger } from "../../src/arbitrage/ExposureLedger.ts"
import type { Plan } from "../../src/arbitrage/Moved.ts"
import { nothing } from "../../src/arbitrage/Moved.ts"
import { PositionWatch } from "../../src/arbitrage/PositionWatch.ts"
import type { Correction } from "../../src/arbitrage/RiskGuard.ts"
import * as Risk from "../../src/arbitrage/RiskGuard.ts"
import type { Island } from "../../src/composite/Markets.ts"
import type { AutoDeleverage, Balance, Fill, FundingPayment, OrderUpdate } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { execute, over, refusal, swap, text, World } from "./ExecutorWorld.ts"
import { FakeVenue } from "./Fakes.ts"

const hedged = () => new World({ fee: "0" }, { ...swap, fee: "0" })

const received = { receivedAt: 0, exchangeTime: 0, origin: "Stream" } as const

const funding = (change: string, asset = "USDT"): Balance => ({
  _tag: "Balance",
  asset,
  available: null,
  locked: null,
  total: Decimal.of("1000"),
  change: Decimal.of(change),
  cause: "fund",
  isFunding: true,
  ...received
})

/** Of a short position. */
const deleveraged = (venue: FakeVenue, contracts: number, price: string): AutoDeleverage => ({
  _tag: "AutoDeleverage",
  pair: venue.pair,
  symbol: venue.pair,
  quantity: Decimal.of(`-${contracts}`),
  positionSize: Decimal.zero,
  entryPrice: null,
  price: Decimal.of(price),
  ...received
})

/** Buys back of a short position, by an order that none of us has made. */
const foreign = (venue: FakeVenue, quantity: number, tradeId: string, fields: Partial<Fill> = {}): Fill => ({
  ...venue.fills[0]!,
  tradeId,
  orderId: "theirs",
  clientOrderId: null,
  side: "buy",
  price: Decimal.of("110"),
  quantity: Decimal.of(String(quantity)),
  ...fields
})

const foreignOrder = (venue: FakeVenue, filled: number, fields: Partial<OrderUpdate> = {}): OrderUpdate => ({
  ...[...venue.orders.values()][0]!,
  _tag: "OrderUpdate",
  orderId: "theirs",
  clientOrderId: null,
  side: "buy",
  price: null,
  filledQuantity: Decimal.of(String(filled)),
  averagePrice: Decimal.of("110"),
  ...received,
  ...fields
})

const gather = Effect.fnUntraced(function*(
  onCorrection: (consumer: (one: Correction) => void) => Effect.Effect<void, never, never>
) {
  const told: Array<string> = []
  yield* onCorrection(({ exchange, pair, price, quantity }) =>
    told.push(`${exchange} ${pair} ${text(quantity)} at ${text(price)}`)
  )
  return told
})

describe("positions that no fill explains", () => {
  it.effect("a hedge that its exchange has taken is told, stops that exchange, and the other leg is traded away", () =>
    over(hedged(), function*({ executor, guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      assert.deepStrictEqual(executor.exposure(), [])
      world.b.move(100)
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(guard.state("b").isKilled)
      assert.strictEqual(world.b.refreshes, 0)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(world.b.refreshes, 1)
      assert.strictEqual(guard.state("b").killed?.of, "b")
      assert.match(guard.state("b").killed!.reason, /position in BTC\/USDT:USDT is 0 .* -1 .*auto-deleveraging/)
      assert.isFalse(guard.state("a").isKilled)
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      assert.deepStrictEqual(executor.exposure(), [])
      assert.strictEqual(text(guard.state().exposure), "0")
      // Bought at 100 and sold at 99.5; sold at 101 and taken at the middle, 101.05.
      assert.strictEqual(text((yield* executor.performance).profit), "-0.55")
      assert.strictEqual(text(guard.state().pnl), "-0.55")
    }))

  it.effect("the exchange's own word stops it at once, and its price counts", () =>
    over(hedged(), function*({ executor, guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.move(40)
      world.b.emit(deleveraged(world.b, 40, "110"))
      assert.match(guard.state("b").killed!.reason, /auto-deleveraging has taken -40 contracts/)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 0.4", "b sell 100"])
      assert.deepStrictEqual(executor.exposure(), [])
      // 1 for the prices of both legs, 0.4 * (99.5 - 110) for what was taken and traded away.
      assert.strictEqual(text((yield* executor.performance).profit), "-3.2")
    }))

  it.effect("deleveraging whose fills are told is counted once, and the executor learns it", () =>
    over(hedged(), function*({ executor, guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      const fill = world.b.fills[0]!
      world.b.emit(deleveraged(world.b, 100, "102"))
      world.b.emit({ ...fill, tradeId: "adl", orderId: "adl", clientOrderId: null, side: "buy" })
      assert.strictEqual(text(guard.state("b").exposure), "0")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      assert.deepStrictEqual(executor.exposure(), [])
      assert.strictEqual(text(guard.state().exposure), "0")
    }))

  it.effect("a liquidation whose fills are told throws the switch at once, and the other leg is traded away", () =>
    over(hedged(), function*({ executor, guard, world }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.emit(foreign(world.b, 60, "1l", { forced: "liquidation" }))
      assert.match(guard.state("b").killed!.reason, /a liquidation has taken 60 contracts of the position in BTC/)
      assert.isFalse(guard.state("a").isKilled)
      world.b.emit(foreign(world.b, 40, "2l", { forced: "liquidation" }))
      assert.strictEqual(text(guard.state("b").exposure), "0")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      assert.deepStrictEqual(executor.exposure(), [])
      assert.strictEqual(text(guard.state().exposure), "0")
      assert.deepStrictEqual((yield* executor.performance).profit, guard.state().pnl)
    }))

  for (const order of ["before", "behind"]) {
    it.effect(`an order that is the exchange's own by its word alone takes what it fills: told ${order} its fills`, () =>
      over(hedged(), function*({ executor, guard, world }) {
        const told = yield* gather(guard.onCorrection as never)
        yield* TestClock.adjust("3 seconds")
        yield* execute(world)
        const fills = [foreign(world.b, 60, "1l"), foreign(world.b, 40, "2l")]
        const update = foreignOrder(world.b, 100, { forced: "autoDeleverage" })
        for (const event of order === "before" ? [update, ...fills] : [...fills, update]) world.b.emit(event)
        assert.match(guard.state("b").killed!.reason, /auto-deleveraging has taken/)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
        assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
        assert.deepStrictEqual(executor.exposure(), [])
      }))
  }

  it.effect("what is told as a notice and as fills of its order was taken once", () =>
    over(hedged(), function*({ guard, world }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.emit(deleveraged(world.b, 100, "110"))
      world.b.emit(foreignOrder(world.b, 100, { forced: "autoDeleverage" }))
      world.b.emit(foreign(world.b, 100, "1l", { forced: "autoDeleverage" }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
    }))

  const lateFills = [
    { what: "a liquidation", fields: { forced: "liquidation", exchangeTime: null } },
    { what: "trades that were not told", fields: { exchangeTime: 3_500 } }
  ] as const
  for (const { fields, what } of lateFills) {
    it.effect(`fills of ${what} that come behind the correction undo it at the price at which it was counted`, () =>
      over(hedged(), function*({ executor, guard, world }) {
        // Bought at 100 and sold at 99.5 where the other leg was.
        const profit = Effect.map(executor.performance, (performance) => text(performance.profit))
        const price = Decimal.of("500")
        yield* TestClock.adjust("3 seconds")
        yield* execute(world)
        world.b.move(100)
        yield* TestClock.adjust("10 seconds")
        // Sold at 101, put right at 101.05.
        assert.strictEqual(text(guard.state("b").pnl), "-0.05")
        assert.strictEqual(yield* profit, "-0.55")
        const late = (contracts: number, tradeId: string): void => {
          world.b.move(-contracts)
          world.b.emit(foreign(world.b, contracts, tradeId, { price, ...fields }))
        }
        world.b.bid = 90
        world.b.ask = 90
        late(60, "1l")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(text(guard.state("b").exposure), "0")
        assert.strictEqual(text(guard.state("b").pnl), "-239.42")
        assert.strictEqual(yield* profit, "-239.92")
        late(40, "2l")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(text(guard.state("b").exposure), "0")
        assert.strictEqual(text(guard.state("b").pnl), "-399")
        assert.strictEqual(yield* profit, "-399.5")
      }))
  }

  it.effect("what is taken of what was bought since is no correction undone", () =>
    over(hedged(), function*({ guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.move(100)
      yield* TestClock.adjust("10 seconds")
      world.b.emit(foreign(world.b, 100, "new", { price: Decimal.of("200"), exchangeTime: 1_000_000 }))
      world.b.bid = 300
      world.b.ask = 300
      yield* TestClock.adjust("10 seconds")
      world.b.move(-100)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(text(guard.state("b").exposure), "0")
      assert.strictEqual(text(guard.state("b").pnl), "99.95")
    }))

  it.effect("what is taken beside what its fills tell is missing too", () =>
    over(hedged(), function*({ executor, guard, world }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.emit(foreign(world.b, 60, "1l", { forced: "liquidation" }))
      world.b.move(40)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
      assert.deepStrictEqual(world.placed, ["a buy 1", "a sell 1", "b sell 100"])
      assert.deepStrictEqual(executor.exposure(), [])
    }))

  it.effect("a market order of others counts with the price that is known: its own, else that of the last fill", () =>
    Effect.gen(function*() {
      const guard = yield* Risk.make({})
      const venue = new FakeVenue({ exchange: "n", ...swap, contractSize: 1 })
      venue.hasPrice = false
      yield* guard.follow(venue.island())
      const open = { status: "partiallyFilled", type: "market", quantity: Decimal.of("2") } as const
      yield* Effect.forkScoped(venue.entry.place({ pair: venue.pair, side: "buy", quantity: 1, price: 100 }))
      yield* TestClock.adjust("1 second")
      venue.emit(foreignOrder(venue, 0, { ...open, averagePrice: null }))
      // One is held, and two may be bought.
      assert.strictEqual(text(guard.state("n").notional), "300")
      venue.emit(foreignOrder(venue, 0, { ...open, orderId: "other", averagePrice: Decimal.of("90") }))
      assert.strictEqual(text(guard.state("n").notional), "480")
    }).pipe(Effect.scoped))

  it.effect("what somebody trades by hand in the account is theirs: no switch, and no leg is traded away", () =>
    over(hedged(), function*({ guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.emit(foreignOrder(world.b, 30))
      world.b.emit(foreign(world.b, 30, "by hand"))
      yield* TestClock.adjust("20 seconds")
      assert.isFalse(guard.state("b").isKilled)
      assert.deepStrictEqual(world.placed, ["a buy 1", "b sell 100"])
    }))

  it.effect("what is taken where no market tells a price counts at the price at which it was held", () => {
    const world = hedged()
    world.b.move(-7)
    world.b.entryPrice = Decimal.of("101")
    world.b.hasPrice = false
    return over(world, function*({ guard }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("20 seconds")
      world.b.move(7)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 0.07 at 101"])
      assert.strictEqual(text(guard.state().pnl), "0")
      world.b.hasPrice = true
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state().pnl), "0.0035")
    })
  })

  it.effect("what has no price at all stops the exchange, and is counted when it has one", () => {
    const world = hedged()
    world.b.move(-7)
    world.b.hasPrice = false
    return over(world, function*({ guard }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("20 seconds")
      world.b.move(7)
      yield* TestClock.adjust("20 seconds")
      assert.match(guard.state("b").killed!.reason, /no price of it is known/)
      assert.deepStrictEqual(told, [])
      assert.strictEqual(text(guard.state("b").exposure), "0")
      world.b.hasPrice = true
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 0.07 at 101.05"])
    })
  })

  it.effect("hedge mode stops its exchange, and what both sides make together is compared with the fills", () =>
    over(hedged(), function*({ guard, world }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      assert.isFalse(guard.state("b").isKilled)
      // The same, as a long of 20 and a short of 120.
      world.b.move(120)
      world.b.short = Decimal.of("120")
      yield* TestClock.adjust("20 seconds")
      assert.match(guard.state("b").killed!.reason, /hedge mode/)
      assert.strictEqual(yield* refusal(world), "killSwitch")
      assert.deepStrictEqual(told, [])
      world.b.short = Decimal.of("90")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 0.3 at 101.05"])
    }))

  it.effect("hedge mode of a flat account stops its exchange before anything has left", () => {
    const world = hedged()
    world.b.positionMode = "hedge"
    return over(world, function*({ guard }) {
      yield* TestClock.adjust("2 seconds")
      assert.match(guard.state("b").killed!.reason, /hedge mode/)
      assert.isFalse(guard.state("a").isKilled)
      assert.strictEqual(yield* refusal(world), "killSwitch")
      assert.deepStrictEqual(world.placed, [])
    })
  })

  it.effect("hedge mode holds until the exchange says otherwise, however often the switch is taken back", () => {
    const world = hedged()
    world.b.positionMode = "hedge"
    return over(world, function*({ guard }) {
      yield* TestClock.adjust("2 seconds")
      for (let times = 0; times < 3; times++) {
        yield* guard.revive
        assert.match(guard.state("b").killed?.reason ?? "", /hedge mode/)
        assert.strictEqual(yield* refusal(world), "killSwitch")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(guard.state("b").reasons.length, 1)
      }
      // Nobody tells.
      world.b.modeFailures = 2
      yield* guard.revive
      yield* TestClock.adjust("15 seconds")
      assert.isTrue(guard.state("b").isKilled)
      world.b.positionMode = "oneWay"
      // Not before somebody has asked for it.
      assert.isTrue(guard.state("b").isKilled)
      yield* TestClock.adjust("20 seconds")
      assert.isFalse(guard.state("b").isKilled)
      assert.deepStrictEqual(world.placed, [])
      // Set to it since: asked again with the next revive.
      world.b.positionMode = "hedge"
      yield* guard.revive
      yield* TestClock.adjust("2 seconds")
      assert.match(guard.state("b").killed?.reason ?? "", /hedge mode/)
      world.b.positionMode = "oneWay"
      yield* TestClock.adjust("1 minute")
      assert.isTrue(guard.state("b").isKilled)
      yield* guard.revive
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(guard.state("b").isKilled)
    })
  })

  it.effect("where no mode is told, positions of both sides say so as long as they are held", () => {
    const world = hedged()
    world.b.positionMode = null
    return over(world, function*({ guard }) {
      world.b.short = Decimal.of("20")
      world.b.move(20)
      yield* TestClock.adjust("3 seconds")
      yield* guard.revive
      assert.match(guard.state("b").killed?.reason ?? "", /hedge mode/)
      yield* TestClock.adjust("3 seconds")
      assert.match(guard.state("b").killed?.reason ?? "", /hedge mode/)
      world.b.short = null
      world.b.move(-20)
      yield* guard.revive
      yield* TestClock.adjust("3 seconds")
      assert.isFalse(guard.state("b").isKilled)
    })
  })

  for (const [told, positionMode] of [["one-way", "oneWay"], ["not told", null]] as const) {
    it.effect(`while a position of one side is held the switch stands without a gap; the mode is ${told}`, () => {
      const world = hedged()
      world.b.positionMode = positionMode
      return over(world, function*({ guard }) {
        world.b.short = Decimal.of("20")
        world.b.move(20)
        yield* TestClock.adjust("3 seconds")
        yield* guard.revive
        for (let looks = 0; looks < 50; looks++) {
          yield* TestClock.adjust(100)
          assert.match(guard.state("b").killed?.reason ?? "", /hedge mode/, `behind ${looks * 100} ms`)
        }
        world.b.short = null
        world.b.move(-20)
        yield* guard.revive
        yield* TestClock.adjust("3 seconds")
        assert.isFalse(guard.state("b").isKilled)
      })
    })
  }

  it.effect("fills that come late, or are found by reading the account anew, are no difference", () =>
    over(hedged(), function*({ executor, guard, world }) {
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.move(-50)
      yield* TestClock.adjust("2 seconds")
      world.b.move(50)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(world.b.refreshes, 0)
      world.b.move(-50)
      world.b.onRefresh = () => world.b.move(50)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(world.b.refreshes, 1)
      assert.isFalse(guard.state("b").isKilled)
      assert.deepStrictEqual(executor.exposure(), [])
    }))

  it.effect("nothing is judged by an account that is not reconciled, and what was there before is nobody's loss", () => {
    const world = hedged()
    world.b.move(-7)
    return over(world, function*({ guard }) {
      const told = yield* gather(guard.onCorrection as never)
      yield* TestClock.adjust("20 seconds")
      assert.isFalse(guard.state("b").isKilled)
      world.b.isReconciled = false
      world.b.move(7)
      yield* TestClock.adjust("20 seconds")
      assert.isFalse(guard.state("b").isKilled)
      world.b.isReconciled = true
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 0.07 at 101.05"])
      assert.isTrue(guard.state("b").isKilled)
      // None of it was the executor's.
      assert.deepStrictEqual(world.placed, [])
    })
  })

  it.effect("what cannot be read anew stops the exchange, and is not counted", () =>
    over(hedged(), function*({ guard, world }) {
      yield* TestClock.adjust("3 seconds")
      world.b.onRefresh = () => {
        throw new Error("the test broke it")
      }
      world.b.move(5)
      yield* TestClock.adjust("20 seconds")
      assert.match(guard.state("b").killed!.reason, /cannot be read/)
      assert.strictEqual(text(guard.state("b").exposure), "0")
    }))
})

describe("what an account gains beside its fills", () => {
  it.effect("funding counts towards the loss, and is told by itself", () =>
    over(
      hedged(),
      function*({ executor, guard, world }) {
        yield* execute(world)
        const before = yield* executor.performance
        world.b.emit(funding("0.5"))
        world.b.emit(funding("-3"))
        assert.strictEqual(text(guard.state("b").funding), "-2.5")
        assert.strictEqual(text(guard.state().funding), "-2.5")
        assert.strictEqual(guard.state("b").killed?.of, "global")
        assert.match(guard.state().killed!.reason, /maxLoss/)
        assert.deepStrictEqual((yield* executor.performance).profit, before.profit)
        world.b.emit(funding("-1", "GT"))
        assert.strictEqual(text(guard.state().unvaluedFees.get("GT")!), "1")
      },
      {},
      { global: { maxLoss: "2" } }
    ))

  /** With the list of its instruments only behind so many failures, a second each. */
  const listedLate = (world: World, failures: number): Island => {
    const island = world.islands.get("b")!
    const { instruments } = island.market
    let asked = 0
    const all = Effect.suspend(() =>
      Effect.delay(asked++ < failures ? instruments.get("X/Y") as never : instruments.all, "1 second")
    )
    return { ...island, market: { ...island.market, instruments: { ...instruments, all } } }
  }

  for (const failures of [0, 2]) {
    it.effect(`funding counts alike before the instruments are known, read at the ${failures + 1}. attempt`, () => {
      const world = hedged()
      world.islands.set("b", listedLate(world, failures))
      return over(world, function*({ guard }) {
        world.b.emit(funding("-3"))
        world.b.emit(funding("-1", "GT"))
        yield* TestClock.adjust("1 minute")
        world.b.emit(funding("1"))
        assert.strictEqual(text(guard.state("b").funding), "-2")
        assert.strictEqual(text(guard.state().pnl), "-2")
        assert.deepStrictEqual([...guard.state().unvaluedFees].map(([asset, fee]) => `${asset} ${text(fee)}`), ["GT 1"])
        assert.isFalse(guard.state("b").isKilled)
      })
    })
  }

  it.effect("an island that is followed twice counts once, until the last who follows it has ended", () =>
    over(hedged(), function*({ guard, world }) {
      const island = world.islands.get("b")!
      const told = yield* gather(guard.onCorrection as never)
      yield* guard.follow(island)
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.emit(funding("-3"))
      assert.strictEqual(text(guard.state().funding), "-3")
      world.b.move(100)
      world.b.emit(deleveraged(world.b, 100, "110"))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
      assert.strictEqual(world.b.consumers.size, 2, "the guard and the executor, each once")
    }))

  it.effect("it is followed as long as somebody follows it", () =>
    Effect.gen(function*() {
      const guard = yield* Risk.make({})
      const venue = hedged().b
      const island = venue.island()
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(guard.follow(island), first)
      yield* Scope.provide(guard.follow(island), second)
      yield* Scope.close(first, Exit.void)
      assert.isTrue(guard.isFollowing(island))
      venue.emit(funding("-3"))
      assert.strictEqual(text(guard.state().funding), "-3")
      yield* Scope.close(second, Exit.void)
      assert.isFalse(guard.isFollowing(island))
      venue.emit(funding("-4"))
      assert.strictEqual(text(guard.state().funding), "-3")
      assert.strictEqual(venue.consumers.size, 0)
    }).pipe(Effect.scoped))

  it.effect("two sessions of an account tell the same once, and the one that is left is followed on", () =>
    over(hedged(), function*({ guard, world }) {
      const told = yield* gather(guard.onCorrection as never)
      const scope = yield* Scope.make()
      const later = world.b.island()
      yield* Scope.provide(guard.follow(later), scope)
      assert.isTrue(guard.isFollowing(later))
      assert.isTrue(guard.isFollowing(world.islands.get("b")!))
      world.b.emit(funding("-3"))
      assert.strictEqual(text(guard.state().funding), "-3")
      yield* TestClock.adjust("3 seconds")
      yield* execute(world)
      world.b.move(100)
      world.b.emit(deleveraged(world.b, 100, "110"))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, ["b BTC/USDT:USDT 1 at 110"])
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(guard.isFollowing(later))
      assert.isTrue(guard.isFollowing(world.islands.get("b")!))
      world.b.emit({ ...funding("-3"), exchangeTime: 1 })
      assert.strictEqual(text(guard.state().funding), "-6")
    }))

  const listed = (amount: string, exchangeTime: number): FundingPayment => ({
    pair: "BTC/USDT:USDT",
    symbol: "BTC_USDT",
    asset: "USDT",
    amount: Decimal.of(amount),
    exchangeTime
  })

  it.effect("funding that fell due while the stream was away is read, and what was before all is nobody's", () => {
    const world = hedged()
    world.b.history = [listed("-50", -60_000)]
    return over(
      world,
      function*({ guard }) {
        yield* TestClock.adjust("3 seconds")
        assert.isTrue(guard.state().isFundingKnown)
        world.b.isReconciled = false
        yield* TestClock.adjust("2 seconds")
        assert.isFalse(guard.state("b").isFundingKnown)
        assert.isFalse(guard.state().isFundingKnown)
        assert.isTrue(guard.state("a").isFundingKnown)
        world.b.history!.push(listed("-3", 4_000))
        world.b.reconcile()
        yield* TestClock.adjust("1 second")
        assert.strictEqual(text(guard.state("b").funding), "-3")
        assert.isTrue(guard.state().isFundingKnown)
        assert.match(guard.state().killed!.reason, /maxLoss/)
        world.b.reconcile()
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(text(guard.state().funding), "-3")
      },
      {},
      { global: { maxLoss: "2" } }
    )
  })

  it.effect("a payment counts once, whether its push or the history is quicker, and those that look alike each", () =>
    over(hedged(), function*({ guard, world }) {
      const total = () => text(guard.state("b").funding)
      const pushed = (change: string, exchangeTime: number, total: string): Balance => ({
        ...funding(change),
        exchangeTime,
        total: Decimal.of(total)
      })
      const read = () => {
        world.b.reconcile()
        return TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("3 seconds")
      world.b.emit(pushed("-1", 10_123, "99"))
      // Of the same moment, of two contracts.
      world.b.emit(pushed("-1", 10_123, "98"))
      assert.strictEqual(total(), "-2")
      // The history may have the time at which it fell due, and the push that at which it was paid.
      world.b.history!.push(listed("-1", 8_000), listed("-1", 8_000))
      yield* read()
      assert.strictEqual(total(), "-2")
      world.b.history!.push(listed("-1", 8_000))
      yield* read()
      assert.strictEqual(total(), "-3")
      world.b.emit(pushed("-1", 10_123, "97"))
      assert.strictEqual(total(), "-3")
      world.b.emit(pushed("-1", 10_123, "96"))
      assert.strictEqual(total(), "-4")
      // The history tells it late: a reading since has not shown it.
      world.b.history!.push(listed("-1", 8_000), listed("-7", 1_000))
      yield* read()
      assert.strictEqual(total(), "-11")
      // The same an hour later is another one.
      yield* TestClock.adjust("1 hour")
      world.b.history!.push(listed("-1", 3_608_000))
      yield* read()
      assert.strictEqual(total(), "-12")
      for (let hours = 0; hours < 3; hours++) {
        yield* TestClock.adjust("1 hour")
        yield* read()
      }
      assert.strictEqual(total(), "-12")
    }))

  it.effect("what was pushed before the history was read first is no payment from before", () =>
    over(hedged(), function*({ guard, world }) {
      world.b.emit({ ...funding("-1"), exchangeTime: 100 })
      world.b.history!.push(listed("-1", 100))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(text(guard.state("b").funding), "-1")
      // Another one of that second: its push was lost.
      world.b.history!.push(listed("-1", 100))
      world.b.reconcile()
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state("b").funding), "-2")
    }))

  /** Not reconciled before `minutes` have passed. */
  const reconciledLate = Effect.fnUntraced(function*(venue: FakeVenue, minutes: number) {
    venue.isReconciled = false
    yield* TestClock.adjust(minutes * 60_000)
    venue.reconcile()
    yield* TestClock.adjust("2 seconds")
  })

  it.effect.each([5, 200])(
    "what fell due behind `follow` and before the history was first read counts, %i minutes later too",
    (minutes) =>
      Effect.gen(function*() {
        const world = hedged()
        yield* over(world, function*({ guard }) {
          const early = listed("-50", 5_000)
          world.b.history!.push(listed("-7", -5_000), early, listed("-2", 60_000), listed("-3", 200_000))
          yield* TestClock.adjust("10 seconds")
          // Its push has come, that of the others was lost.
          world.b.emit({ ...funding("-2"), exchangeTime: 61_000 })
          yield* reconciledLate(world.b, minutes)
          assert.isTrue(guard.state("b").isFundingKnown)
          assert.strictEqual(text(guard.state("b").funding), "-55")
          world.b.reconcile()
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(text(guard.state("b").funding), "-55")
        }).pipe(Effect.scoped)
      })
  )

  it.effect("what the history tells late of before `follow` is nobody's either", () =>
    over(hedged(), function*({ guard, world }) {
      yield* TestClock.adjust("3 seconds")
      world.b.history!.push(listed("-7", -60_000), listed("-3", 1_000))
      world.b.reconcile()
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state("b").funding), "-3")
    }))

  it.effect("those that look alike are told apart by when they were, on either side of `follow`", () =>
    over(hedged(), function*({ guard, world }) {
      world.b.isReconciled = false
      yield* TestClock.adjust("10 seconds")
      world.b.history!.push(listed("-1", -5_000), listed("-1", -5_000), listed("-1", 5_000), listed("-1", 5_000))
      world.b.emit({ ...funding("-1"), exchangeTime: 5_100 })
      world.b.reconcile()
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state("b").funding), "-2")
    }))

  it.effect("when it was is told by the exchange's clock; where that is not known well enough, a loss counts and a gain does not", () => {
    const amounts = Effect.fnUntraced(function*(clock: FakeVenue["clock"]) {
      const world = hedged()
      yield* TestClock.setTime(100_000)
      world.b.clock = clock
      const [before, after] = [55_000, 75_000]
      world.b.history!.push(listed("-1", before), listed("2", before), listed("-4", after), listed("8", after))
      return yield* over(world, function*({ guard }) {
        yield* reconciledLate(world.b, 1)
        return text(guard.state("b").funding)
      })
    })
    return Effect.gen(function*() {
      // Followed at 60 s of the exchange's.
      const offsetMs = 40_000
      assert.strictEqual(yield* amounts({ offsetMs, errorMs: 0, at: 100_000 }), "4")
      assert.strictEqual(yield* amounts({ offsetMs, errorMs: 16_000, at: 100_000 }), "-5")
      assert.strictEqual(yield* amounts({ offsetMs: 0, errorMs: 0, at: 100_000 }), "0")
      // Not by more than signing allows: followed between 70 and 130 s.
      assert.strictEqual(yield* amounts(null), "-4")
    })
  })

  it.effect("funding that nobody can tell the meaning of, because nothing was ever listed, stops the exchange", () =>
    Effect.gen(function*() {
      const guard = yield* Risk.make({})
      const world = hedged()
      const scope = yield* Scope.make()
      yield* Scope.provide(guard.follow(listedLate(world, 1_000)), scope)
      world.b.emit(funding("-3"))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(guard.state("b").isKilled)
      yield* Scope.close(scope, Exit.void)
      assert.match(guard.state("b").killed!.reason, /funding cannot be counted/)
    }).pipe(Effect.scoped))

  it.effect("a history that cannot be read is read later; where there is none it is said", () => {
    const world = hedged()
    world.b.historyFailures = 2
    return over(world, function*({ guard }) {
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(guard.state("b").isFundingKnown)
      yield* TestClock.adjust("25 seconds")
      assert.isTrue(guard.state("b").isFundingKnown)
      const scope = yield* Scope.make()
      const venue = new FakeVenue({ exchange: "n", ...swap })
      venue.history = null
      yield* Scope.provide(guard.follow(venue.island()), scope)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(guard.state("n").isFundingKnown)
      assert.isTrue(guard.state("b").isFundingKnown)
    })
  })

  it.effect("an island that was built anew learns what was paid in between", () =>
    over(hedged(), function*({ guard, world }) {
      const next = new FakeVenue({ exchange: "n", ...swap })
      const first = yield* Scope.make()
      yield* Scope.provide(guard.follow(next.island()), first)
      next.history!.push(listed("-50", -60_000))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state("n").funding), "0")
      yield* Scope.close(first, Exit.void)
      next.history!.push(listed("-3", 3_600_000))
      yield* TestClock.adjust("2 hours")
      yield* guard.follow(next.island())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(text(guard.state("n").funding), "-3")
      assert.deepStrictEqual(world.placed, [])
    }))

  it.effect("a perpetual is worth the price of its own market: a basis that widens is a loss of all exchanges", () =>
    over(
      hedged(),
      function*({ guard, world }) {
        yield* execute(world)
        // 1 in cash; 99.95 - 101.05 are held.
        assert.strictEqual(text(guard.state().pnl), "-0.1")
        world.b.bid = 109.9
        world.b.ask = 110.1
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(text(guard.state().pnl), "-9.05")
        assert.strictEqual(text(guard.state().exposure), "0")
        assert.match(guard.state().killed!.reason, /maxLoss/)
      },
      {},
      { global: { maxLoss: "5" } }
    ))
})

describe("ExposureLedger", () => {
  const plan: Plan = {
    exchange: "b",
    pair: "BTC/USDT:USDT",
    side: "sell",
    quantity: Decimal.of("10"),
    price: Decimal.of("100"),
    unit: Decimal.of("1"),
    feeRate: Decimal.zero,
    clientOrderId: "hedge"
  }
  const traded = (received: string) => ({ ...nothing, received: Decimal.of(received), lastPrice: Decimal.of("100") })
  const taken = (quantity: string, position: string) => ({
    exchange: plan.exchange,
    pair: plan.pair,
    quantity: Decimal.of(quantity),
    position: Decimal.of(position),
    price: Decimal.of("100")
  })
  const make = () => {
    const ledger = new ExposureLedger()
    ledger.expect(plan)
    ledger.count(plan, traded("-10"))
    return ledger
  }

  it("takes away what its exchange has taken", () => {
    const ledger = make()
    assert.strictEqual(text(ledger.takeAway(taken("4", "-6"))), "4")
    assert.strictEqual(text(ledger.takeAway(taken("100", "94"))), "6", "no more than is there")
    assert.strictEqual(text(ledger.takeAway(taken("1", "1"))), "0")
  })

  it("takes away nothing that an order of its own has told before the guard had its fill", () => {
    const ledger = make()
    const back: Plan = { ...plan, side: "buy", clientOrderId: "back" }
    ledger.expect(back)
    ledger.count(back, traded("4"))
    assert.strictEqual(text(ledger.takeAway(taken("4", "-6"))), "0")
    // The fill came: the guard takes its own back.
    assert.strictEqual(text(ledger.takeAway(taken("-4", "-6"))), "0")
    assert.strictEqual(text(ledger.takeAway(taken("2", "-4"))), "2")
  })

  it("what was taken costs what its late fills say, as far as it was its own", () => {
    const ledger = make()
    const told = (quantity: string, price: string) => ({
      ...taken("0", "-6"),
      undone: { quantity: Decimal.of(quantity), price: Decimal.of(price) }
    })
    ledger.putRight(told("4", "110"))
    assert.strictEqual(text(ledger.cash), "0", "nothing was taken")
    ledger.takeAway(taken("4", "-6"))
    assert.deepStrictEqual([text(ledger.cash), text(ledger.profit)], ["-400", "-1000"])
    ledger.putRight(taken("4", "-6"))
    ledger.putRight(told("-4", "110"))
    assert.deepStrictEqual([text(ledger.cash), text(ledger.profit)], ["-400", "-1000"])
    ledger.putRight(told("3", "110"))
    // Six are short, at the price of what was traded last.
    assert.deepStrictEqual([text(ledger.cash), text(ledger.profit)], ["-430", "-1090"])
    ledger.putRight(told("3", "120"))
    assert.deepStrictEqual([text(ledger.cash), text(ledger.profit)], ["-450", "-1170"])
    ledger.putRight(told("3", "120"))
    assert.strictEqual(text(ledger.cash), "-450", "all of it is put right")
    ledger.takeAway(taken("4", "-2"))
    const last: Plan = { ...plan, clientOrderId: "last" }
    ledger.expect(last)
    ledger.count(last, { ...traded("-1"), lastPrice: Decimal.of("90") })
    ledger.putRight(told("4", "130"))
    assert.deepStrictEqual([text(ledger.cash), text(ledger.profit)], ["-970", "-1240"])
  })

  it("what is open is worth the price of what was traded last, as that was put right", () => {
    const ledger = new ExposureLedger()
    for (const clientOrderId of ["first", "second"]) ledger.expect({ ...plan, clientOrderId })
    const profit = (clientOrderId: string, price: string, isEstimated: boolean): string => {
      ledger.count({ ...plan, clientOrderId }, {
        ...nothing,
        received: Decimal.of("-1"),
        lastPrice: Decimal.of(price),
        isEstimated
      })
      return text(ledger.profit)
    }
    assert.strictEqual(profit("first", "100", true), "-100")
    assert.strictEqual(profit("first", "101", true), "-101")
    assert.strictEqual(profit("second", "90", true), "-180")
    // Of an order before: by its fills now.
    assert.strictEqual(profit("first", "102", false), "-180")
    assert.strictEqual(profit("second", "91", false), "-182")
  })

  it("leaves to others what is theirs", () => {
    const ledger = make()
    // Somebody else has bought 30 there without a word.
    assert.strictEqual(text(ledger.takeAway(taken("3", "20"))), "3")
    assert.strictEqual(text(ledger.takeAway(taken("-5", "-30"))), "0")
  })
})

describe("PositionWatch", () => {
  const pair = "BTC/USDT:USDT"
  const sizes = (size: string) => new Map([[pair, Decimal.of(size)]] as const)

  it("takes no fill that is late for what was there before", () => {
    const watch = new PositionWatch(2_000)
    // The push was quicker than the fill.
    assert.deepStrictEqual(watch.look(sizes("1"), sizes("0"), 0), [])
    assert.deepStrictEqual(watch.look(sizes("1"), sizes("0"), 1_000), [])
    for (let now = 1_500; now <= 20_000; now += 500) {
      assert.deepStrictEqual(watch.look(sizes("1"), sizes("1"), now), [])
    }
    assert.deepStrictEqual(watch.look(sizes("0"), sizes("1"), 21_000), [])
    assert.deepStrictEqual(watch.look(sizes("0"), sizes("1"), 22_900), [])
    const [suspect] = watch.look(sizes("0"), sizes("1"), 23_000)
    assert.strictEqual(text(suspect!.difference), "-1")
    assert.strictEqual(text(watch.beyond(suspect!)), "0")
  })
})
