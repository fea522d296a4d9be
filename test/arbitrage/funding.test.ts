/** What was paid before an account was followed, and what since, whatever the machine's clocks go through meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Clock, Effect } from "effect"
import { RiskFunding } from "../../src/arbitrage/RiskFunding.ts"
import type { Island } from "../../src/composite/Markets.ts"
import type { PrivateExchange } from "../../src/composite/PrivateExchange.ts"
import type { FundingPayment } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { ClockReading } from "../../src/ExchangeClock.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"

const began = 1_795_564_800_000
const minute = 60_000
const exchange = "x"
const pair = "BTC/USDT:USDT"

const unsupported = ExchangeError.make(
  exchange,
  new ExchangeError.UnsupportedChannel({ channel: "Positions", detail: "no" })
)

/** A machine whose clock is set, and which sleeps; the exchange's time goes on. All in minutes since the account was followed. */
class Machine {
  readonly funding: RiskFunding
  reading: ClockReading | null = null
  /** How far back the history was asked for. */
  asked = 0
  hasHistory = true
  positions: PrivateExchange["Service"]["heldPositions"] = Effect.fail(unsupported)
  #time = 0
  #ahead = 0
  #slept = 0
  #reconciledAt = 0
  #total = Decimal.zero
  readonly #history: Array<FundingPayment> = []
  readonly #forked: Array<Effect.Effect<void>> = []

  constructor(clock: Clock.Clock) {
    this.funding = new RiskFunding({
      clock: {
        ...clock,
        currentTimeMillisUnsafe: () => this.#wall,
        monotonicTimeNanosUnsafe: () => BigInt((this.#time - this.#slept) * minute + 1_000_000) * 1_000_000n
      },
      fork: (effect) => void this.#forked.push(effect),
      onFunded: (_, { amount }) => {
        this.#total = BigDecimal.sum(this.#total, amount)
      }
    })
  }

  get #wall(): number {
    return began + (this.#time + this.#ahead) * minute
  }

  get total(): string {
    return Decimal.toText(this.#total)
  }

  /** The exchange's clock is measured, and is right. */
  measure(): void {
    this.reading = { offsetMs: this.#ahead * minute, errorMs: 5, at: this.#wall }
  }

  follow(): void {
    this.funding.begin(exchange, this.reading)
    this.funding.list(exchange, [pair])
  }

  pass(minutes: number): void {
    this.#time += minutes
  }

  sleep(minutes: number): void {
    this.#time += minutes
    this.#slept += minutes
  }

  set(minutes: number): void {
    this.#ahead += minutes
  }

  pay(amount: string, at: number): void {
    const exchangeTime = began + at * minute
    this.#history.push({ pair, symbol: "BTC_USDT", asset: "USDT", amount: Decimal.of(amount), exchangeTime })
  }

  /** Behind another comparison of the account; what it signs is by a clock that is right. */
  readonly read: Effect.Effect<void> = Effect.suspend(() => {
    const island = { exchange, market: { clock: () => this.reading } } as Partial<Island> as Island
    const account: Partial<PrivateExchange["Service"]> = {
      heldPositions: Effect.suspend(() => this.positions),
      funding: (within) =>
        Effect.suspend(() => {
          if (!this.hasHistory) return Effect.fail(unsupported)
          this.asked = Number(within) / minute
          const from = began + (this.#time - this.asked) * minute
          return Effect.succeed(this.#history.filter(({ exchangeTime }) => exchangeTime >= from))
        })
    }
    this.funding.catchUp(island, account as PrivateExchange["Service"], ++this.#reconciledAt)
    return Effect.all(this.#forked.splice(0), { discard: true })
  })
}

const machine = Effect.map(Clock.Clock, (clock) => new Machine(clock))

describe("funding", () => {
  const passings: ReadonlyArray<readonly [string, (on: Machine) => void]> = [
    ["nothing happens", (on) => on.pass(30)],
    ["the machine's clock is set ahead and its offset not measured anew", (on) => {
      on.pass(30)
      on.set(60)
    }],
    ["the machine's clock is set back and its offset not measured anew", (on) => {
      on.pass(30)
      on.set(-60)
    }],
    ["the machine's clock is set ahead, and measured", (on) => {
      on.pass(30)
      on.set(60)
      on.measure()
    }],
    ["the machine's clock is set back, and measured", (on) => {
      on.pass(30)
      on.set(-60)
      on.measure()
    }],
    ["the machine sleeps", (on) => {
      on.pass(5)
      on.sleep(30)
      on.pass(5)
    }],
    ["the machine sleeps, and its clock is measured", (on) => {
      on.pass(5)
      on.sleep(300)
      on.measure()
    }]
  ]

  it.effect.each(passings)(
    "counts what fell due behind `follow` and nothing from before, though %s",
    ([, happen]) =>
      Effect.gen(function*() {
        const on = yield* machine
        on.measure()
        on.follow()
        on.pay("-7", -10)
        on.pay("70", -10)
        on.pay("-5", 20)
        on.pay("2", 20)
        happen(on)
        yield* on.read
        assert.isTrue(on.funding.isKnown(exchange))
        assert.strictEqual(on.total, "-3")
        yield* on.read
        assert.strictEqual(on.total, "-3")
      })
  )

  it.effect.each(passings)(
    "counts each loss since `follow` where its clock was first measured before it, and %s",
    ([, happen]) =>
      Effect.gen(function*() {
        const on = yield* machine
        on.follow()
        on.measure()
        on.pay("-5", 20)
        happen(on)
        yield* on.read
        assert.isTrue(on.funding.isKnown(exchange))
        assert.strictEqual(on.total, "-5")
      })
  )

  it.effect("a later measurement makes no loss one from before that was none", () =>
    Effect.gen(function*() {
      const on = yield* machine
      on.follow()
      on.pay("-5", 1)
      on.pass(5)
      yield* on.read
      assert.strictEqual(on.total, "-5")
      on.sleep(30)
      on.measure()
      // Another one that looks alike, and was told late.
      on.pay("-5", 1)
      yield* on.read
      assert.strictEqual(on.total, "-10")
    }))

  it.effect("behind a sleep the history is read as far back as it was long", () =>
    Effect.gen(function*() {
      const on = yield* machine
      on.measure()
      on.follow()
      yield* on.read
      assert.strictEqual(on.asked, 60)
      on.pay("-5", 10)
      on.sleep(300)
      yield* on.read
      assert.isAtLeast(on.asked, 300)
      assert.strictEqual(on.total, "-5")
    }))

  it.effect("what was counted long ago counts once, though a clock that is set makes it be read again", () =>
    Effect.gen(function*() {
      const on = yield* machine
      on.measure()
      on.follow()
      for (let hour = 1; hour <= 6; hour++) {
        on.pass(60)
        on.pay("-1", hour * 60)
        yield* on.read
      }
      assert.strictEqual(on.total, "-6")
      on.pass(1)
      on.set(600)
      on.measure()
      on.pay("-2", 361)
      yield* on.read
      assert.isAtLeast(on.asked, 600)
      assert.strictEqual(on.total, "-8")
    }))

  it.effect("nothing is unknown where no account is followed, and what is paid before one is counts nowhere", () =>
    Effect.gen(function*() {
      const on = yield* machine
      on.measure()
      on.funding.list(exchange, [pair])
      assert.isTrue(on.funding.isKnown(exchange))
      assert.isFalse(on.funding.isWaiting(exchange))
      on.pay("-5", 10)
      on.pass(20)
      on.follow()
      assert.isFalse(on.funding.isKnown(exchange))
      on.pay("-1", 30)
      on.pass(20)
      yield* on.read
      assert.isTrue(on.funding.isKnown(exchange))
      assert.strictEqual(on.total, "-1")
    }))

  it.effect("an exchange without a history has positions or not as it says, and not as it fails to", () =>
    Effect.gen(function*() {
      const on = yield* machine
      on.hasHistory = false
      on.positions = Effect.fail(
        ExchangeError.make(exchange, new ExchangeError.Closed({ detail: "away for a moment" }))
      )
      on.follow()
      yield* on.read
      assert.isFalse(on.funding.isKnown(exchange))
      on.positions = Effect.fail(unsupported)
      on.pass(1)
      yield* on.read
      assert.isTrue(on.funding.isKnown(exchange))
    }))
})
