import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { windowOf } from "../../src/ExchangeDialect.ts"
import { Past } from "../../src/simulator/Past.ts"
import { Steps } from "../../src/simulator/Steps.ts"
import { Tape } from "../../src/simulator/Tape.ts"

const draws = (seed: string) => Effect.runSync(Random.withSeed(Effect.service(Random.Random), seed))

/** 2027-01-15T08:00:00.345Z */
const epoch = 1_800_000_000_345

const pastOf = (seed: string, price = 10_000) => new Past(draws(seed), price, epoch, 86_400_000)

interface Trade {
  readonly time: number
  readonly price: number
  readonly quantity: number
  readonly bought: boolean
}

const tradesOf = (seed: string, count: number, millis: number): ReadonlyArray<Trade> => {
  const random = draws(seed)
  let time = epoch
  return Array.from({ length: count }, () => {
    time += Math.floor(random.nextDoubleUnsafe() ** 4 * millis)
    return {
      time,
      price: 9_000 + Math.floor(random.nextDoubleUnsafe() * 2_000),
      quantity: 1 + Math.floor(random.nextDoubleUnsafe() * 50),
      bought: random.nextDoubleUnsafe() < 0.5
    }
  })
}

describe("Tape", () => {
  it.prop(
    "draws any candle as the trades say, an empty one at the price before it",
    [Schema.String, Schema.Literals([10_000, 60_000, 300_000, 3_600_000]), Schema.Literals([2_000, 60_000])],
    ([seed, millis, spread]) => {
      const tape = new Tape(pastOf(seed))
      const trades = tradesOf(seed, 60, spread)
      for (const { bought, price, quantity, time } of trades) tape.add(time, price, quantity, bought)
      // The window in which the simulation begins holds what was before, too.
      for (let from = windowOf(millis, epoch).closeTime; from <= trades.at(-1)!.time; from += millis) {
        const inside = trades.filter(({ time }) => time >= from && time < from + millis)
        const before = trades.findLast(({ time }) => time < from)?.price ?? 10_000
        const prices = inside.length === 0 ? [before] : inside.map(({ price }) => price)
        assert.deepStrictEqual({ ...tape.between(from, from + millis) }, {
          open: prices[0],
          high: Math.max(...prices),
          low: Math.min(...prices),
          close: prices.at(-1),
          quantity: inside.reduce((sum, { quantity }) => sum + quantity, 0),
          turnover: inside.reduce((sum, { price, quantity }) => sum + price * quantity, 0),
          bought: inside.reduce((sum, { bought, quantity }) => sum + (bought ? quantity : 0), 0)
        })
      }
    },
    { arbitrary: { runs: 25 } }
  )

  it("joins what was before the simulation to what came in it", () => {
    const past = pastOf("joined")
    const tape = new Tape(past)
    tape.add(epoch + 5, 20_000, 7, true)
    tape.add(epoch + 40_000_000, 30_000, 1, false)
    const before = past.since(epoch - 86_400_000, epoch)!
    const whole = tape.between(epoch - 86_400_000, epoch + 50_000_000)
    assert.deepStrictEqual(
      [whole.open, whole.high, whole.low, whole.close],
      [before.open, 30_000, before.low, 30_000]
    )
    assert.strictEqual(whole.quantity, before.quantity + 8)
    assert.strictEqual(whole.turnover, before.turnover + 170_000)
    assert.strictEqual(whole.bought, before.bought + 7)
    assert.strictEqual(past.since(epoch - 86_400_000, epoch)!.close, 10_000, "the past is not changed by it")
  })

  it("keeps a month of hours, a day of minutes and half an hour of ten seconds", () => {
    const tape = new Tape(pastOf("long"))
    const from = windowOf(3_600_000, epoch).closeTime
    for (let second = 0; second < 40 * 86_400; second += 30) tape.add(from + second * 1_000, 5, 1, true)
    const to = from + 40 * 86_400_000
    assert.strictEqual(tape.between(to - 30 * 86_400_000, to).quantity, 30 * 2_880)
    assert.strictEqual(tape.between(to - 86_400_000 + 60_000, to).quantity, 2_880 - 2)
    assert.strictEqual(tape.between(to - 1_790_000, to - 1_760_000).quantity, 1)
  })
})

describe("Past", () => {
  it("is one line of prices however it is cut, and ends at the first price", () => {
    const past = pastOf("cut")
    const from = epoch - 10 * 86_400_000
    const whole = past.since(from, epoch)!
    assert.strictEqual(whole.close, 10_000)
    assert.notStrictEqual(whole.open, 10_000)
    const cut = epoch - 12_345_678
    const first = past.since(from, cut)!
    const second = past.since(cut, epoch)!
    assert.strictEqual(first.close, second.open)
    first.join(second)
    assert.deepStrictEqual([first.open, first.high, first.low, first.close], [
      whole.open,
      whole.high,
      whole.low,
      whole.close
    ])
    assert.closeTo(first.quantity, whole.quantity, 2)
    assert.closeTo(whole.quantity, 10 * 86_400_000, 1_000)
    assert.isNull(past.since(epoch, epoch + 1))
  })

  it("is of the seed", () => {
    const at = (seed: string) => pastOf(seed).since(epoch - 86_400_000, epoch)
    assert.deepStrictEqual(at("a"), at("a"))
    assert.notDeepEqual(at("a"), at("b"))
  })
})

describe("windowOf", () => {
  it("aligns to the epoch, to Mondays and to months", () => {
    const windows = ([60_000, 86_400_000, "week", "month"] as const).map((interval) => windowOf(interval, epoch))
    assert.deepStrictEqual(
      windows.map(({ closeTime, openTime }) => [openTime, closeTime].map((time) => new Date(time).toISOString())),
      [
        ["2027-01-15T08:00:00.000Z", "2027-01-15T08:01:00.000Z"],
        ["2027-01-15T00:00:00.000Z", "2027-01-16T00:00:00.000Z"],
        ["2027-01-11T00:00:00.000Z", "2027-01-18T00:00:00.000Z"],
        ["2027-01-01T00:00:00.000Z", "2027-02-01T00:00:00.000Z"]
      ]
    )
  })
})

describe("Steps", () => {
  it("remembers when every step was, across pauses", () => {
    const steps = new Steps(10, (elapsed) => 1_000 + elapsed)
    const times = [10, 20, 30, 500, 510, 2_000]
    for (const time of times) steps.add(time)
    assert.deepStrictEqual(times.map((_, number) => steps.timeAt(number)), times.map((time) => 1_000 + time))
    assert.strictEqual(steps.time, 3_000)
    assert.strictEqual(steps.count, times.length)
  })
})
