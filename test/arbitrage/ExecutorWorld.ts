/** Venues of a test as the markets that an executor trades on. */
import { assert } from "@effect/vitest"
import { BigDecimal, Effect, Fiber, Layer, Stream } from "effect"
import type { Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ArbitrageExecutor } from "../../src/arbitrage/ArbitrageExecutor.ts"
import type { Execution, ExecutorOptions } from "../../src/arbitrage/ArbitrageExecutor.ts"
import * as Executor from "../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageMonitor } from "../../src/arbitrage/ArbitrageMonitor.ts"
import type { OpportunityEvent } from "../../src/arbitrage/ArbitrageMonitor.ts"
import type { Leg, Opportunity, Route } from "../../src/arbitrage/Opportunity.ts"
import type { RiskOptions } from "../../src/arbitrage/RiskGuard.ts"
import * as Risk from "../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../src/composite/Markets.ts"
import type { Island, IslandState } from "../../src/composite/Markets.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { among, FakeVenue } from "./Fakes.ts"
import type { VenueOptions } from "./Fakes.ts"

/** Two venues, or three, as the markets of a program, and a monitor that says what the test wants. */
export class World {
  readonly a: FakeVenue
  readonly b: FakeVenue
  /** In routes, and in no opportunity. */
  readonly c: FakeVenue | null
  readonly states = new Map<string, IslandState["_tag"]>()
  readonly islands = new Map<string, Island>()
  readonly consumers = new Set<(event: OpportunityEvent) => void>()
  isStopping = false
  open: ReadonlyArray<Opportunity> = []

  constructor(a: Partial<VenueOptions> = {}, b: Partial<VenueOptions> = {}, c: Partial<VenueOptions> | null = null) {
    this.a = new FakeVenue({ exchange: "a", ask: 100, bid: 99.9, ...a })
    this.b = new FakeVenue({ exchange: "b", bid: 101, ask: 101.1, ...b })
    this.c = c === null ? null : new FakeVenue({ exchange: "c", ask: 100.6, bid: 100.4, ...c })
    for (const venue of this.venues) {
      this.states.set(venue.exchange, "Ready")
      this.islands.set(venue.exchange, venue.island())
    }
  }

  get venues(): ReadonlyArray<FakeVenue> {
    return [this.a, this.b, ...this.c === null ? [] : [this.c]]
  }

  get layer(): Layer.Layer<Markets | ArbitrageMonitor> {
    const markets = {
      ids: ["a", "b"],
      current: (id: string) => this.islands.get(id),
      state: (id: string) => ({ _tag: this.states.get(id), exchange: id, at: 0 }),
      mayTrade: (id: string) => !this.isStopping && this.states.get(id) === "Ready",
      each: (use: (island: Island) => Effect.Effect<void, never, Scope.Scope>) =>
        Effect.forEach(this.islands.values(), use, { discard: true })
    } as unknown as Markets["Service"]
    const monitor: ArbitrageMonitor["Service"] = {
      routes: () =>
        this.c === null ? [] : [
          routeOf(this.a, this.b),
          routeOf(this.a, this.c),
          routeOf(this.c, this.b)
        ],
      open: () => this.open,
      opportunities: Stream.empty,
      handle: (consumer) => among(this.consumers, consumer),
      performance: Effect.die("the fake has none")
    }
    return Layer.merge(Layer.succeed(Markets, markets), Layer.succeed(ArbitrageMonitor, monitor))
  }

  /** Buy on a, sell on b. */
  opportunity(quantity = 1, fields: Partial<Opportunity> = {}): Opportunity {
    return {
      route: "BTC/USDT a b",
      direction: "first",
      buy: leg(this.a, "buy", quantity / this.a.instrument.contractSize, this.a.ask),
      sell: leg(this.b, "sell", quantity / this.b.instrument.contractSize, this.b.bid),
      quantity,
      gross: quantity,
      fees: 0,
      funding: 0,
      profit: quantity,
      profitRatio: 0.01,
      at: 0,
      ...fields
    }
  }

  /** Of these versions of the books, received later than anything before. */
  at(bought: number, sold: number, fields: Partial<Opportunity> = {}, receivedAt = Infinity): Opportunity {
    const { buy, sell, ...rest } = this.opportunity()
    return {
      ...rest,
      buy: { ...buy, version: bought, receivedAt },
      sell: { ...sell, version: sold, receivedAt },
      ...fields
    }
  }

  tell(_tag: "Entered" | "Updated", opportunity: Opportunity): void {
    for (const consumer of this.consumers) consumer({ _tag, opportunity })
  }

  get placed(): ReadonlyArray<string> {
    return this.venues.flatMap(({ exchange, placed }) =>
      placed.map(({ quantity, side }) => `${exchange} ${side} ${Decimal.toText(quantity as Decimal.Decimal)}`)
    )
  }

  /** Base and quote that both accounts have gained, exactly, by their fills. */
  get gained(): { readonly base: string; readonly quote: string } {
    let base = Decimal.zero
    let quote = Decimal.zero
    for (const { fills, instrument } of this.venues) {
      const unit = Decimal.of(String(instrument.contractSize))
      for (const { fee, feeAsset, price, quantity, side } of fills) {
        const amount = BigDecimal.multiply(quantity, unit)
        const value = BigDecimal.multiply(amount, price)
        const isBuy = side === "buy"
        base = isBuy ? BigDecimal.sum(base, amount) : BigDecimal.subtract(base, amount)
        quote = isBuy ? BigDecimal.subtract(quote, value) : BigDecimal.sum(quote, value)
        if (feeAsset === "BTC") base = BigDecimal.subtract(base, fee!)
        else quote = BigDecimal.subtract(quote, fee!)
      }
    }
    return { base: Decimal.toText(base), quote: Decimal.toText(quote) }
  }
}

export const routeOf = (first: FakeVenue, second: FakeVenue): Route => {
  const venueOf = ({ exchange, instrument, pair }: FakeVenue): Route["first"] => {
    const { contractSize, kind, minNotional, minQuantity, quantityStep } = instrument
    return { exchange, pair, kind, contractSize, quantityStep, minQuantity, minNotional, takerFee: 0.001 }
  }
  return { id: `BTC/USDT ${first.exchange} ${second.exchange}`, first: venueOf(first), second: venueOf(second) }
}

export const leg = (
  { exchange, instrument, pair }: FakeVenue,
  side: "buy" | "sell",
  quantity: number,
  price: number
): Leg => ({
  exchange,
  pair,
  side,
  quantity,
  averagePrice: price,
  worstPrice: price,
  fee: quantity * instrument.contractSize * price * 0.001,
  version: 1,
  ageMs: 0,
  ageErrorMs: 0,
  receivedAt: 0
})

/** What a test is done in. */
interface Scene {
  readonly executor: ArbitrageExecutor["Service"]
  readonly guard: RiskGuard["Service"]
  readonly world: World
}

type Step = Effect.Effect<unknown, unknown, ArbitrageExecutor | RiskGuard | Scope.Scope>

/** Runs a test, as in `Effect.gen`, with an executor over the world's venues. */
export const over = <Eff extends Step, A>(
  world: World,
  body: (scene: Scene) => Generator<Eff, A, never>,
  options: ExecutorOptions = {},
  limits: RiskOptions = {}
) =>
  Effect.gen(function*() {
    const executor = yield* ArbitrageExecutor
    const guard = yield* RiskGuard
    return yield* Effect.gen(() => body({ executor, guard, world }))
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Executor.layer({ maxAge: "1 hour", ...options }).pipe(
        Layer.provideMerge(Risk.layer(limits)),
        Layer.provideMerge(world.layer)
      )
    )
  )

/** An execution that is under way. */
export const start = (world: World) =>
  Effect.flatMap(
    ArbitrageExecutor,
    (executor) => Effect.forkChild(executor.execute(world.opportunity()), { startImmediately: true })
  )

/** Runs while virtual time passes. */
export const passing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  millis = 60_000
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(millis)
    return yield* Fiber.await(fiber)
  })

export const done = <A, E>(exit: Exit.Exit<A, E>): A => {
  assert.strictEqual(exit._tag, "Success", exit._tag === "Failure" ? String(exit.cause) : "")
  return (exit as Exit.Success<A, E>).value
}

export const execute = (world: World, quantity = 1, fields: Partial<Opportunity> = {}) =>
  Effect.gen(function*() {
    const executor = yield* ArbitrageExecutor
    return done(yield* passing(executor.execute(world.opportunity(quantity, fields))))
  })

export const refusal = (world: World, quantity = 1, fields: Partial<Opportunity> = {}) =>
  Effect.gen(function*() {
    const executor = yield* ArbitrageExecutor
    const { reason } = yield* Effect.flip(executor.execute(world.opportunity(quantity, fields)))
    return reason._tag === "RiskRefused" ? reason.limit : reason._tag
  })

export const text = Decimal.toText

export const figures = (
  { _tag, cash, compensation, exposure }: Execution
) => [_tag, text(exposure), text(cash), compensation.length]

/** The ledger is what the accounts have gained, and nothing is held by the guard. */
export const agree = Effect.fnUntraced(function*(world: World) {
  const executor = yield* ArbitrageExecutor
  const guard = yield* RiskGuard
  const { base, quote } = world.gained
  const { profit } = yield* executor.performance
  const [left] = executor.exposure()
  assert.strictEqual(left === undefined ? "0" : text(left.quantity), base)
  if (base === "0") assert.strictEqual(text(profit), quote)
  assert.strictEqual(guard.state().openOrders, 0)
  assert.strictEqual(text(guard.state().notional), text(guard.state().exposure))
  for (const { placed } of world.venues) {
    assert.strictEqual(new Set(placed.map(({ clientOrderId }) => clientOrderId)).size, placed.length)
  }
})

/** A swap on the selling side: no fee is taken in base there. */
export const swap = { pair: "BTC/USDT:USDT", contractSize: 0.01 } as const
