/** Random interleavings, losses and returns of copies of one truth give the truth once, and every break is declared. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { BookTicker, ContractStats, Kline, Liquidation, MarketEvent, Trade } from "../../src/domain/Market.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Lane } from "../../src/session/Lane.ts"
import { orderOf } from "../../src/session/LaneOrder.ts"
import type { Known } from "../../src/session/LaneOrder.ts"
import { holdMillis, Merge } from "../../src/session/Lanes.ts"

const btc = "BTC/USDT"

type Item = MarketEvent | "gap"

/** One truth that grows, copies of it that lag, and what comes out of the merge. */
class Model {
  readonly out: Array<Item> = []
  readonly lanes: Array<Lane>
  readonly queues: Array<Array<MarketEvent>>
  /** Which lanes are subscribed. */
  readonly on: Array<boolean>
  readonly merge: Merge
  received = 0
  duplicates = 0
  passed = 0
  length = 0
  readonly #channel: Channel.PublicChannel
  readonly #event: (index: number) => MarketEvent
  now = 0

  constructor(channel: Channel.PublicChannel, event: (index: number) => MarketEvent, lanes: number) {
    this.#channel = channel
    this.#event = event
    this.lanes = Array.from({ length: lanes }, (_, index) => new Lane(index + 1, index))
    this.queues = this.lanes.map(() => [])
    this.on = this.lanes.map(() => false)
    const known: Known = { isKnown: (key) => this.merge.isKnown(key), book: () => null, lanes: () => [] }
    this.merge = new Merge(orderOf(this.#channel, null, known), {
      pass: (passed) => {
        this.passed++
        this.out.push(passed)
      },
      duplicate: () => this.duplicates++,
      lapse: () => this.out.push("gap"),
      restarted: () => this.out.push("gap"),
      shared: () => {},
      won: () => {},
      single: () => {}
    }, 0)
    for (const lane of this.lanes) this.merge.add(lane)
  }

  produce(): void {
    this.length++
    this.now += 10
    for (const [index, queue] of this.queues.entries()) {
      if (this.on[index]) queue.push({ ...this.#event(this.length), receivedAt: this.now } as MarketEvent)
    }
  }

  deliver(index: number, count: number): void {
    for (const event of this.queues[index]!.splice(0, count)) {
      this.received++
      this.merge.event(this.lanes[index]!, event, false)
    }
  }

  lose(index: number): void {
    if (!this.on[index]) return
    this.on[index] = false
    this.queues[index]!.length = 0
    const isOnly = this.lanes.every((lane, other) => other === index || !lane.live)
    if (this.merge.lose(this.lanes[index]!)) return
    // As the session does: with nothing to tell, only the last one's end breaks the stream.
    this.out.push("gap")
    this.merge.restart()
    if (isOnly) assert.isTrue(this.lanes.every(({ live }) => !live))
  }

  subscribe(index: number): void {
    if (this.on[index]) return
    this.on[index] = true
    const lane = this.lanes[index]!
    const isFirst = !this.lanes.some(({ live }) => live)
    lane.live = true
    if (isFirst) this.merge.join(lane)
  }

  /** Everything that is on its way arrives, and time passes. */
  settle(): void {
    for (const [index] of this.lanes.entries()) this.deliver(index, Number.POSITIVE_INFINITY)
    this.merge.overdue(this.now)
    this.now += 2 * holdMillis
    for (let i = 0; i < 3; i++) for (const lane of this.merge.overdue(this.now)) this.merge.force(lane)
  }

  get held(): number {
    return this.lanes.reduce((sum, { held }) => sum + held.length, 0)
  }
}

/** A script of so many steps from a seed (Mulberry32): arrays that are drawn are too short to meet anything. */
const scriptOf = (seed: number, steps = 300): ReadonlyArray<number> => {
  let state = seed
  return Array.from({ length: steps }, () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % 100_000
  })
}

const play = (model: Model, script: ReadonlyArray<number>): void => {
  for (const [index] of model.lanes.entries()) model.subscribe(index)
  for (const number of script) {
    const lane = number % model.lanes.length
    const kind = Math.floor(number / 8) % 40
    if (kind < 18) model.produce()
    else if (kind < 32) model.deliver(lane, 1 + (number % 4))
    else if (kind < 33) model.lose(lane)
    else if (kind < 37) model.subscribe(lane)
    else model.deliver(lane, 100)
  }
  model.settle()
}

const trade = (index: number): Trade => Test.trade(btc, { id: `${index}X0`, price: index })

const ticker = (index: number): BookTicker => Test.bookTicker(btc, { version: index })

const liquidation = (index: number): Liquidation => ({
  _tag: "Liquidation",
  pair: btc,
  symbol: btc,
  price: 1,
  // Many look the same, also within a millisecond.
  quantity: 1 + (Math.floor(index / 4) % 2),
  side: "buy",
  exchangeTime: 1_000 + Math.floor(index / 8),
  receivedAt: 0,
  contractSize: 1,
  exact: null
})

const kline = (index: number): Kline => ({
  _tag: "Kline",
  pair: btc,
  symbol: btc,
  interval: "1m",
  price: "last",
  openTime: 60_000 * Math.floor(index / 5),
  closeTime: null,
  open: 1,
  high: 1,
  low: 1,
  close: index,
  baseVolume: index % 5,
  quoteVolume: null,
  contractVolume: null,
  closed: null,
  exchangeTime: null,
  receivedAt: 0,
  exact: null
})

/** Of the mark price: without a volume, and going to and fro within its window. */
const markKline = (index: number): Kline => ({
  ...kline(index),
  price: "mark",
  openTime: 60_000 * Math.floor(index / 12),
  close: [2, 3, 2, 4, 3, 5][index % 6]!,
  baseVolume: 0
})

/** Open interest that is pushed several times an interval. */
const contractStats = (index: number): ContractStats => ({
  _tag: "ContractStats",
  pair: btc,
  symbol: btc,
  interval: "5m",
  markPrice: [2, 3, 2, 4, 3, 5][index % 6]!,
  openInterest: null,
  openInterestValue: null,
  takerRatio: null,
  accountRatio: null,
  topAccountRatio: null,
  topSizeRatio: null,
  longLiquidations: null,
  shortLiquidations: null,
  exchangeTime: 300_000 * Math.floor(index / 12),
  receivedAt: 0,
  contractSize: 1,
  exact: null
})

/** Batches of up to three, of one version each; the price goes to and fro. */
const batchedTicker = (index: number): BookTicker =>
  Test.bookTicker(btc, { version: Math.floor(index / 3), bidPrice: [7, 8, 7, 9, 6][index % 5]! })

/** The indexes of what came out, -1 for a break. */
const indexes = (model: Model, indexOf: (event: never) => number): ReadonlyArray<number> =>
  model.out.map((item) => item === "gap" ? -1 : indexOf(item as never))

/** Nothing twice, and between two breaks in order and without a hole; what came before the break is no hole. */
const check = (model: Model, found: ReadonlyArray<number>): void => {
  let last: number | null = null
  const seen = new Set<number>()
  for (const index of found) {
    if (index === -1) {
      last = null
      continue
    }
    if (last !== null) assert.isAbove(index, last, `out of order: ${found.join()}`)
    for (let i = (last ?? index) + 1; i < index; i++) assert.isTrue(seen.has(i), `${i} is missing: ${found.join()}`)
    assert.isFalse(seen.has(index), `${index} twice: ${found.join()}`)
    seen.add(index)
    last = index
  }
  assert.strictEqual(model.held, 0)
  assert.strictEqual(model.received, model.passed + model.duplicates)
}

const seeds = { seed: Schema.Int }

describe("what redundancy gained", () => {
  it("is who was first, by how much, and what came by one alone", () => {
    const told: Array<string> = []
    const known: Known = { isKnown: (key) => merge.isKnown(key), book: () => null, lanes: () => [] }
    const merge: Merge = new Merge(orderOf(Channel.trades(btc), null, known), {
      pass: () => {},
      duplicate: () => {},
      lapse: () => {},
      restarted: () => {},
      shared: (lane, behind, headStart) => told.push(`${lane.group} before ${behind.group} by ${headStart}`),
      won: (lane) => told.push(`${lane.group} won`),
      single: () => {}
    }, 0)
    const [a, b] = [new Lane(1, 0), new Lane(2, 1)]
    for (const lane of [a, b]) {
      merge.add(lane)
      lane.live = true
    }
    merge.join(a)
    const send = (lane: Lane, index: number, receivedAt: number) =>
      merge.event(lane, { ...trade(index), receivedAt }, false)
    // Nobody might have been second yet.
    send(a, 1, 10)
    send(b, 1, 12)
    send(a, 2, 20)
    send(b, 2, 35)
    send(b, 3, 40)
    send(a, 3, 41)
    send(a, 4, 50)
    // A repetition by the same one shows nothing.
    send(a, 4, 51)
    assert.deepStrictEqual(told, ["0 won", "0 before 1 by 15", "1 won", "1 before 0 by 1", "0 won"])
  })
})

/** Two live lanes of which the first one is joined, and what came out. */
const makeTwo = (channel: Channel.PublicChannel, event: (index: number) => MarketEvent) => {
  const told: Array<string | number> = []
  const known: Known = { isKnown: (key) => merge.isKnown(key), book: () => null, lanes: () => [] }
  const indexes = new Map<MarketEvent, number>()
  const merge: Merge = new Merge(orderOf(channel, null, known), {
    pass: (passed) => told.push(indexes.get(passed)!),
    duplicate: (old) => told.push(-indexes.get(old)!),
    lapse: () => told.push("lapse"),
    restarted: () => told.push("restarted"),
    shared: () => {},
    won: () => {},
    single: () => {}
  }, 0)
  const [a, b] = [new Lane(1, 0), new Lane(2, 1)] as const
  for (const lane of [a, b]) {
    merge.add(lane)
    lane.live = true
  }
  merge.join(a)
  const send = (lane: Lane, index: number, receivedAt = 0) => {
    const sent = { ...event(index), receivedAt } as MarketEvent
    indexes.set(sent, index)
    merge.event(lane, sent, false)
  }
  return { a, b, merge, send, told }
}

describe("a lane", () => {
  it("that nothing joins is taken at its word in time, and that something may be missing is told", () => {
    const { a, b, merge, send, told } = makeTwo(Channel.trades(btc), trade)
    merge.overdue(10)
    send(a, 1)
    send(b, 5)
    assert.deepStrictEqual(merge.overdue(10 + holdMillis - 1), [])
    const overdue = merge.overdue(10 + holdMillis)
    assert.deepStrictEqual(overdue, [b])
    assert.deepStrictEqual(told, [1])
    for (const lane of overdue) merge.force(lane)
    assert.deepStrictEqual(told, [1, "lapse", 5])
    // What the other was late with is on the far side of the break.
    assert.isFalse(a.joined)
  })

  it("is not joined behind a break by what was passed before it", () => {
    const { a, b, merge, send, told } = makeTwo(Channel.trades(btc), trade)
    send(a, 1)
    send(b, 1)
    merge.restart()
    send(b, 1)
    assert.deepStrictEqual([a.joined, b.joined], [true, false])
    send(a, 2)
    send(b, 2)
    assert.isTrue(b.joined)
    assert.deepStrictEqual(told, [1, -1, -1, 2, -2])
  })

  it("holds so much and no more", () => {
    const { a, b, send, told } = makeTwo(Channel.trades(btc), trade)
    send(a, 1)
    for (let index = 2; index < 2 + 8_193; index++) send(b, index)
    assert.strictEqual(b.held.length, 8_192)
    assert.deepStrictEqual(told, [1, -2])
  })

  it("that has caught up leaves only the latest to be remembered", () => {
    const { a, b, merge, send } = makeTwo(Channel.trades(btc), trade)
    for (let index = 1; index <= 1_000; index++) {
      send(a, index)
      send(b, index)
    }
    const known = Array.from({ length: 1_000 }, (_, index) => merge.isKnown(`${index + 1}X0`)).indexOf(true)
    assert.isAtLeast(known, 1_000 - 260)
    assert.isAtMost(known, 1_000 - 256)
  })

  it("that counts anew is followed, and the break is told", () => {
    const { a, send, told } = makeTwo(Channel.bookTicker(btc), ticker)
    send(a, 10_000)
    for (let index = 1; index <= 512; index++) send(a, index)
    assert.strictEqual(told.indexOf("restarted"), 512)
    assert.deepStrictEqual(told.slice(-2), ["restarted", 512])
  })
})

describe("copies of one stream", () => {
  for (const lanes of [2, 3]) {
    it.prop(`of trades by their ids are the stream once, over ${lanes} lanes`, seeds, ({ seed }) => {
      const model = new Model(Channel.trades(btc), trade, lanes)
      play(model, scriptOf(seed))
      check(model, indexes(model, ({ id }: Trade) => parseInt(id!, 10)))
    })

    it.prop(`of best prices by their versions are the stream once, over ${lanes} lanes`, seeds, ({ seed }) => {
      const model = new Model(Channel.bookTicker(btc), ticker, lanes)
      play(model, scriptOf(seed))
      check(model, indexes(model, ({ version }: BookTicker) => Number(version)))
    })

    it.prop(`of candles by window and content are the stream once, over ${lanes} lanes`, seeds, ({ seed }) => {
      const model = new Model(Channel.kline(btc), kline, lanes)
      play(model, scriptOf(seed))
      check(model, indexes(model, ({ close }: Kline) => close))
    })
  }

  const levels = {
    "mark candles": [Channel.kline(btc, { price: "mark" }), markKline],
    "contract statistics": [Channel.contractStats(btc), contractStats],
    "best prices of one version": [Channel.bookTicker(btc, { source: "batch" }), batchedTicker]
  } as const
  for (const [name, [channel, event]] of Object.entries(levels)) {
    it.prop(`of ${name}, which only their order tells apart, are the stream once`, seeds, ({ seed }) => {
      const model = new Model(channel, event, 2)
      model.subscribe(0)
      model.subscribe(1)
      for (const number of scriptOf(seed)) {
        if (number % 3 === 0) model.produce()
        else model.deliver(number % 2, 1 + (number % 5))
      }
      model.settle()
      const told = (item: Item) => ({ ...(item as MarketEvent), receivedAt: 0 })
      assert.deepStrictEqual(model.out.map(told), Array.from({ length: model.length }, (_, i) => told(event(i + 1))))
      assert.strictEqual(model.received, model.passed + model.duplicates)
    })
  }

  it.prop("of liquidations that look the same are none the fewer", seeds, ({ seed }) => {
    const model = new Model(Channel.liquidations(btc), liquidation, 2)
    model.subscribe(0)
    model.subscribe(1)
    for (const number of scriptOf(seed)) {
      if (number % 3 === 0) model.produce()
      else model.deliver(number % 2, 1 + (number % 5))
    }
    model.settle()
    const passed = model.out.filter((item) => item !== "gap") as ReadonlyArray<Liquidation>
    const told = ({ exchangeTime, quantity }: Liquidation) => `${exchangeTime} ${quantity}`
    assert.deepStrictEqual(
      passed.map(told),
      Array.from({ length: model.length }, (_, index) => told(liquidation(index + 1)))
    )
  })
})
