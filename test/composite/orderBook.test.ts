import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { makeTaken, OrderBook } from "../../src/composite/OrderBook.ts"
import type { BookView, Level, Taken } from "../../src/composite/OrderBook.ts"
import type { BookUpdate, Levels } from "../../src/domain/Market.ts"
import type { Sequence } from "../../src/domain/Sequence.ts"

const pair = "BTC/USDT"

const update = (
  kind: BookUpdate["kind"],
  bids: Levels,
  asks: Levels,
  version: Sequence = 1,
  times: { readonly exchangeTime?: number | null; readonly receivedAt?: number } = {}
): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair,
  symbol: "BTCUSDT",
  bids,
  asks,
  firstVersion: version,
  version,
  exchangeTime: times.exchangeTime === undefined ? 1_700_000_000_000 : times.exchangeTime,
  receivedAt: times.receivedAt ?? 1_700_000_000_001.5,
  contractSize: 1,
  exact: null
})

const synced = (bids: Levels, asks: Levels): { readonly book: OrderBook; readonly view: BookView } => {
  const book = new OrderBook(pair)
  assert.strictEqual(book.apply(update("snapshot", bids, asks)), "Applied")
  return { book, view: viewOf(book) }
}

const viewOf = (book: OrderBook): BookView => {
  const { view } = book
  assert.isNotNull(view)
  return view
}

/** The same rules in the plainest form: a Map by price, sorted when read. */
class NaiveBook {
  readonly #bids = new Map<number, number>()
  readonly #asks = new Map<number, number>()
  isSynced = false

  apply({ asks, bids, kind }: BookUpdate): void {
    if (kind === "snapshot") {
      this.#bids.clear()
      this.#asks.clear()
      this.isSynced = true
    }
    if (!this.isSynced) return
    NaiveBook.#change(this.#bids, bids)
    NaiveBook.#change(this.#asks, asks)
  }

  static #change(side: Map<number, number>, levels: Levels): void {
    for (let i = 0; i < levels.length; i += 2) {
      side.delete(levels[i]!)
      if (levels[i + 1] !== 0) side.set(levels[i]!, levels[i + 1]!)
    }
  }

  get bids(): Array<Level> {
    return [...this.#bids].map(([price, quantity]) => ({ price, quantity })).sort((a, b) => b.price - a.price)
  }

  get asks(): Array<Level> {
    return [...this.#asks].map(([price, quantity]) => ({ price, quantity })).sort((a, b) => a.price - b.price)
  }
}

const flat = (levels: ReadonlyArray<Level>, limit: number): Array<number> =>
  levels.slice(0, limit).flatMap(({ price, quantity }) => [price, quantity])

const assertSame = (view: BookView, model: NaiveBook): void => {
  const { asks, bids } = model
  assert.deepStrictEqual(view.bids(), bids)
  assert.deepStrictEqual(view.asks(), asks)
  assert.strictEqual(view.bidCount, bids.length)
  assert.strictEqual(view.askCount, asks.length)
  assert.deepStrictEqual(view.top(5), { bids: flat(bids, 5), asks: flat(asks, 5) })
  assert.deepStrictEqual(view.bestBid, bids[0] ?? null)
  assert.deepStrictEqual(view.bestAsk, asks[0] ?? null)
  // One beyond the end, where there is no level.
  for (let i = 0; i <= bids.length; i++) {
    assertLevel(bids[i], view.bid(i), view.bidPrice(i), view.bidQuantity(i))
  }
  for (let i = 0; i <= asks.length; i++) {
    assertLevel(asks[i], view.ask(i), view.askPrice(i), view.askQuantity(i))
  }
}

const assertLevel = (expected: Level | undefined, level: Level | null, price: number, quantity: number): void => {
  assert.deepStrictEqual(level, expected ?? null)
  assert.deepStrictEqual(price, expected?.price ?? Number.NaN)
  assert.deepStrictEqual(quantity, expected?.quantity ?? Number.NaN)
}

/** The sums in the plainest form, over the levels that the view lists. */
const assertSums = (view: BookView, args: { levels: number; price: number; band: number; quantity: number }): void => {
  const { band, levels, price, quantity } = args
  const [bids, asks] = [view.bids(), view.asks()]
  const sum = (side: ReadonlyArray<Level>) => side.reduce((total, level) => total + level.quantity, 0)
  assert.strictEqual(view.bidDepth(levels), sum(bids.slice(0, levels)))
  assert.strictEqual(view.askDepth(levels), sum(asks.slice(0, levels)))
  assert.strictEqual(view.bidVolume(price), sum(bids.filter((level) => level.price >= price)))
  assert.strictEqual(view.askVolume(price), sum(asks.filter((level) => level.price <= price)))
  const { mid } = view
  assert.strictEqual(view.bidDepthWithin(band), sum(bids.filter((level) => level.price >= mid * (1 - band))))
  assert.strictEqual(view.askDepthWithin(band), sum(asks.filter((level) => level.price <= mid * (1 + band))))
  const [b, a] = [sum(bids.slice(0, levels)), sum(asks.slice(0, levels))]
  assert.deepStrictEqual(view.imbalance(levels), (b - a) / (b + a))
  const [bid, ask] = [bids[0], asks[0]]
  const micro = bid === undefined || ask === undefined
    ? Number.NaN
    : (bid.price * ask.quantity + ask.price * bid.quantity) / (bid.quantity + ask.quantity)
  assert.deepStrictEqual(view.microprice, micro)
  assertTaken(bids, quantity, view.takeBids(quantity))
  assertTaken(asks, quantity, view.takeAsks(quantity, makeTaken()))
}

/** Quantities are multiples of an eighth, so that every sum here is exact. */
const assertTaken = (side: ReadonlyArray<Level>, asked: number, taken: Taken): void => {
  let left = asked
  const parts: Array<Level> = []
  for (const { price, quantity } of side) {
    if (left <= 0) break
    parts.push({ price, quantity: Math.min(left, quantity) })
    left -= Math.min(left, quantity)
  }
  const value = parts.reduce((total, { price, quantity }) => total + price * quantity, 0)
  assert.strictEqual(taken.levels, parts.length)
  assert.strictEqual(taken.quantity, asked - left)
  assert.strictEqual(taken.value, value)
  assert.deepStrictEqual(taken.worstPrice, parts.at(-1)?.price ?? Number.NaN)
  const mean = parts.length < 2 ? parts[0]?.price ?? Number.NaN : value / (asked - left)
  assert.deepStrictEqual(taken.meanPrice, mean)
}

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Updates whose prices lie in `ticks` steps below and above 1000; a third of the quantities is 0. */
const updatesWithin = (ticks: number, levels: number, length: number) => {
  const side = Arbitrary.array(Arbitrary.schema(Schema.Tuple([between(0, ticks), between(-2, 4)])), {
    maxLength: levels
  })
  const one = Arbitrary.all({ isSnapshot: Arbitrary.schema(between(0, 7)), bids: side, asks: side })
  return Arbitrary.array(one, { maxLength: length })
}

const toLevels = (side: ReadonlyArray<readonly [number, number]>, sign: 1 | -1): Array<number> =>
  side.flatMap(([tick, quantity]) => [(100_000 + sign * (tick + 1)) / 100, Math.max(0, quantity) / 8])

const follow = (
  steps: ReadonlyArray<{
    readonly isSnapshot: number
    readonly bids: ReadonlyArray<readonly [number, number]>
    readonly asks: ReadonlyArray<readonly [number, number]>
  }>
): void => {
  const book = new OrderBook(pair)
  const model = new NaiveBook()
  steps.forEach(({ asks, bids, isSnapshot }, index) => {
    const kind = isSnapshot === 0 ? "snapshot" : "delta"
    const next = update(kind, toLevels(bids, -1), toLevels(asks, 1), index)
    model.apply(next)
    assert.strictEqual(book.apply(next), model.isSynced ? "Applied" : "Ignored")
    assert.strictEqual(book.view !== null, model.isSynced)
    if (book.view === null) return
    assert.strictEqual(book.view.version, index)
    assertSame(book.view, model)
  })
}

describe("OrderBook against a Map", () => {
  it.prop("few prices: unknown deletes, duplicates, levels that come back", [updatesWithin(12, 10, 40)], ([steps]) => {
    follow([{ isSnapshot: 0, bids: [], asks: [] }, ...steps])
  }, { arbitrary: { runs: 300 } })

  it.prop("many prices: unsorted levels, growth, long shifts", [updatesWithin(2_000, 150, 12)], ([steps]) => {
    follow([{ isSnapshot: 0, bids: [], asks: [] }, ...steps])
  }, { arbitrary: { runs: 60, size: 100 } })

  it("a level is found, taken away and put back at every depth, alone and behind a change elsewhere", () => {
    const depth = 40
    const ticks = (first: number, quantity: number): Array<[number, number]> =>
      Array.from({ length: depth }, (_, index) => [first + 2 * index, quantity])
    const steps = Array.from({ length: 2 * depth + 1 }, (_, tick) =>
      [
        { isSnapshot: 1, bids: [[tick, 7]], asks: [[tick, 7], [9, 3]] },
        { isSnapshot: 1, bids: [[tick, 0], [2 * depth - tick, 5]], asks: [[2 * depth - tick, 0], [tick, 0]] },
        { isSnapshot: 1, bids: [[tick, 2], [1, 0]], asks: [[tick, 4], [tick, 6]] }
      ] as const).flat()
    follow([{ isSnapshot: 0, bids: ticks(1, 8), asks: ticks(0, 8) }, ...steps])
  })

  it.prop("deltas before the first snapshot change nothing", [updatesWithin(12, 10, 40)], ([steps]) => {
    follow(steps)
  })
})

describe("the sums of a view", () => {
  const arguments_ = Arbitrary.all({
    levels: Arbitrary.schema(between(0, 14)),
    price: Arbitrary.schema(between(-14, 14)),
    band: Arbitrary.schema(between(0, 16)),
    quantity: Arbitrary.schema(between(0, 40))
  })

  it.prop(
    "are those of its levels added one by one",
    [updatesWithin(12, 10, 8), arguments_],
    ([steps, { band, levels, price, quantity }]) => {
      const book = new OrderBook(pair)
      book.apply(update("snapshot", [], []))
      for (const { asks, bids } of steps) {
        book.apply(update("delta", toLevels(bids, -1), toLevels(asks, 1)))
        const args = { levels, price: (100_000 + price) / 100, band: band / 100_000, quantity: quantity / 8 }
        assertSums(viewOf(book), args)
      }
    },
    { arbitrary: { runs: 200 } }
  )

  it("take no level more because of what rounding leaves", () => {
    const { view } = synced(Array.from({ length: 8 }, (_, i) => [99 - i, 0.1]).flat(), [101, 1])
    const taken = view.takeBids(0.7)
    assert.strictEqual(taken.levels, 7)
    assert.strictEqual(taken.quantity, 0.7)
    assert.strictEqual(taken.worstPrice, 93)
    assert.closeTo(taken.meanPrice, 96, 1e-9)
    assert.strictEqual(view.takeBids(0.1).meanPrice, 99)
  })

  it("take everything there is when more is asked for, and nothing for no quantity", () => {
    const { view } = synced([99, 1, 98, 2], [101, 1])
    assert.deepStrictEqual(view.takeBids(Infinity), {
      quantity: 3,
      value: 295,
      meanPrice: 295 / 3,
      worstPrice: 98,
      levels: 2
    })
    for (const none of [0, -1, Number.NaN]) {
      assert.deepStrictEqual(view.takeAsks(none, view.takeAsks(1)), makeTaken())
    }
    assert.strictEqual(view.bidDepth(Number.NaN), 0)
    assert.strictEqual(view.askVolume(Number.NaN), 0)
  })

  it("read as those of an empty book when the view has ended", () => {
    const { book, view } = synced([99, 1], [101, 1])
    book.end()
    assert.strictEqual(view.bidDepth(5) + view.askDepth(5) + view.bidVolume(1) + view.askVolume(1_000), 0)
    assert.strictEqual(view.bidDepthWithin(0.5) + view.askDepthWithin(0.5), 0)
    assert.deepStrictEqual([view.imbalance(3), view.microprice], [Number.NaN, Number.NaN])
    assert.deepStrictEqual(view.takeBids(1), makeTaken())
  })
})

describe("OrderBook", () => {
  const prices = (count: number, first: number, step: number): Array<number> =>
    Array.from({ length: count }, (_, i) => [first + i * step, i + 1]).flat()

  const orders = {
    "best first": [prices(300, 1_000, -1), prices(300, 1_001, 1)],
    "worst first": [prices(300, 701, 1), prices(300, 1_300, -1)],
    "in two halves": [
      [...prices(150, 850, -1), ...prices(150, 1_000, -1)],
      [...prices(150, 1_151, 1), ...prices(150, 1_001, 1)]
    ]
  } as const

  for (const [name, [bids, asks]] of Object.entries(orders)) {
    it(`takes a snapshot that comes ${name}, larger than the first capacity`, () => {
      const { view } = synced(bids, asks)
      assert.strictEqual(view.bidCount, 300)
      assert.strictEqual(view.askCount, 300)
      assert.deepStrictEqual(view.bids().map(({ price }) => price), Array.from({ length: 300 }, (_, i) => 1_000 - i))
      assert.deepStrictEqual(view.asks().map(({ price }) => price), Array.from({ length: 300 }, (_, i) => 1_001 + i))
    })
  }

  it("grows by single levels at both ends and shrinks to nothing", () => {
    const { book, view } = synced([], [])
    const model = new NaiveBook()
    model.apply(update("snapshot", [], []))
    for (let i = 0; i < 400; i++) {
      const tick = i % 2 === 0 ? i : 800 - i
      const next = update("delta", [1_000 - tick, 1 + i], [1_001 + tick, 2 + i])
      model.apply(next)
      assert.strictEqual(book.apply(next), "Applied")
    }
    assert.strictEqual(view.bidCount, 400)
    assertSame(view, model)
    for (const { price } of model.bids) book.apply(update("delta", [price, 0], []))
    for (const { price } of model.asks) book.apply(update("delta", [], [price, 0]))
    assert.strictEqual(view.bidCount, 0)
    assert.strictEqual(view.askCount, 0)
    assert.isNull(view.bestBid)
    assert.isNull(view.bestAsk)
  })

  it("does not take entries of a snapshot with quantity 0 for levels", () => {
    const { view } = synced([99, 0, 98, 2, 97, 0], [101, 0, 102, 3])
    assert.deepStrictEqual(view.top(10), { bids: [98, 2], asks: [102, 3] })
  })

  it("counts the last of several entries for one price", () => {
    const { book, view } = synced([99, 1, 99, 2, 98, 5, 98, 0], [101, 1])
    assert.deepStrictEqual(view.top(10).bids, [99, 2])
    book.apply(update("delta", [], [101, 7, 101, 8, 102, 1, 102, 0]))
    assert.deepStrictEqual(view.top(10).asks, [101, 8])
  })

  it("keeps the view through a snapshot that replaces the book", () => {
    const { book, view } = synced([99, 1], [101, 1])
    assert.strictEqual(book.apply(update("snapshot", [89, 4], [91, 5], 70)), "Applied")
    assert.strictEqual(book.view, view)
    assert.isTrue(view.isCurrent)
    assert.deepStrictEqual(view.top(3), { bids: [89, 4], asks: [91, 5] })
    assert.strictEqual(view.version, 70)
  })

  it("carries version and times of the last update, also of one without levels", () => {
    const { book, view } = synced([99, 1], [101, 1])
    assert.strictEqual(view.pair, pair)
    assert.strictEqual(view.symbol, "BTCUSDT")
    assert.strictEqual(view.exchangeTime, 1_700_000_000_000)
    assert.strictEqual(view.receivedAt, 1_700_000_000_001.5)
    const version = 9_007_199_254_740_993n
    book.apply(update("delta", [], [], version, { exchangeTime: null, receivedAt: 1_700_000_000_002.25 }))
    assert.strictEqual(view.version, version)
    assert.isNull(view.exchangeTime)
    assert.strictEqual(view.receivedAt, 1_700_000_000_002.25)
    assert.strictEqual(book.version, version)
    assert.deepStrictEqual(view.top(1), { bids: [99, 1], asks: [101, 1] })
  })

  it("carries versions that no number holds, and numbers again behind them", () => {
    const { book, view } = synced([99, 1], [101, 1])
    for (const version of [2n ** 63n, 5, 2n ** 64n, 2n ** 64n + 1n, 0]) {
      book.apply(update("delta", [], [], version, { exchangeTime: version === 5 ? null : 0 }))
      assert.strictEqual(view.version, version)
      assert.strictEqual(book.version, version)
      assert.strictEqual(view.exchangeTime, version === 5 ? null : 0)
    }
    book.end()
    assert.isNull(view.version)
    assert.strictEqual(book.version, 0)
  })

  it("gives mid and spread, NaN while a side is empty", () => {
    const { book, view } = synced([99, 1], [102, 1])
    assert.strictEqual(view.mid, 100.5)
    assert.strictEqual(view.spread, 3)
    assert.strictEqual(book.apply(update("delta", [], [102, 0])), "Applied")
    assert.deepStrictEqual(view.mid, Number.NaN)
    assert.deepStrictEqual(view.spread, Number.NaN)
    assert.deepStrictEqual(view.bidPrice(), 99)
    assert.deepStrictEqual(view.askPrice(), Number.NaN)
  })

  it("has no level at an index that is not one", () => {
    const { book, view } = synced([99, 1, 98, 2, 97, 3], [101, 1, 102, 2, 103, 3])
    // Leaves old numbers behind the end of the arrays, where they must not be read.
    book.apply(update("delta", [99, 0], [101, 0]))
    for (const index of [-1, -2, 2, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.deepStrictEqual(view.bidPrice(index), Number.NaN)
      assert.deepStrictEqual(view.bidQuantity(index), Number.NaN)
      assert.deepStrictEqual(view.askPrice(index), Number.NaN)
      assert.deepStrictEqual(view.askQuantity(index), Number.NaN)
      assert.isNull(view.bid(index))
      assert.isNull(view.ask(index))
    }
  })

  it("copies as many levels as asked for", () => {
    const { book, view } = synced([99, 1, 98, 2, 97, 3], [101, 1, 102, 2, 103, 3])
    const before = view.top(2)
    assert.deepStrictEqual(before, { bids: [99, 1, 98, 2], asks: [101, 1, 102, 2] })
    assert.deepStrictEqual(view.bids(1), [{ price: 99, quantity: 1 }])
    assert.deepStrictEqual(view.asks(2), [{ price: 101, quantity: 1 }, { price: 102, quantity: 2 }])
    for (const none of [0, -1, Number.NaN]) {
      assert.deepStrictEqual(view.top(none), { bids: [], asks: [] })
      assert.deepStrictEqual(view.bids(none), [])
    }
    book.apply(update("snapshot", [], []))
    assert.deepStrictEqual(before, { bids: [99, 1, 98, 2], asks: [101, 1, 102, 2] })
  })
})

const assertEnded = (view: BookView): void => {
  assert.isFalse(view.isCurrent)
  assert.isNull(view.version)
  assert.isNull(view.exchangeTime)
  assert.deepStrictEqual(view.receivedAt, Number.NaN)
  assert.strictEqual(view.bidCount, 0)
  assert.strictEqual(view.askCount, 0)
  assert.isNull(view.bestBid)
  assert.isNull(view.bestAsk)
  assert.isNull(view.bid(0))
  assert.isNull(view.ask(0))
  assert.deepStrictEqual(view.bids(), [])
  assert.deepStrictEqual(view.asks(), [])
  assert.deepStrictEqual(view.top(5), { bids: [], asks: [] })
  for (
    const price of [view.bidPrice(), view.bidQuantity(), view.askPrice(), view.askQuantity(), view.mid, view.spread]
  ) {
    assert.deepStrictEqual(price, Number.NaN)
  }
}

describe("a view", () => {
  it("ends for good when the book goes stale; the next snapshot has a view of its own", () => {
    const { book, view } = synced([99, 1], [101, 1])
    book.end()
    assert.isNull(book.view)
    assertEnded(view)
    book.end()
    assert.strictEqual(book.apply(update("delta", [99, 5], [], 2)), "Ignored")
    assertEnded(view)
    assert.strictEqual(book.apply(update("snapshot", [89, 1], [91, 1], 3)), "Applied")
    assertEnded(view)
    const next = viewOf(book)
    assert.notStrictEqual(next, view)
    assert.isTrue(next.isCurrent)
    assert.deepStrictEqual(next.top(1), { bids: [89, 1], asks: [91, 1] })
  })

  it("keeps pair and symbol when it has ended, so that a log can name it", () => {
    const { book, view } = synced([99, 1], [101, 1])
    book.end()
    assert.strictEqual(view.pair, pair)
    assert.strictEqual(view.symbol, "BTCUSDT")
  })
})

describe("a faulty update", () => {
  it("ends the view when the book is crossed or locked, and a snapshot heals it", () => {
    for (const bid of [101, 101.5]) {
      const { book, view } = synced([99, 1], [101, 1])
      assert.strictEqual(book.apply(update("delta", [bid, 1], [], 8)), "Faulty")
      assert.deepStrictEqual(book.fault, { _tag: "Crossed", version: 8, bid, ask: 101 })
      assertEnded(view)
      assert.strictEqual(book.apply(update("delta", [bid, 0], [], 9)), "Ignored")
      assert.strictEqual(book.version, 1)
      assert.strictEqual(book.apply(update("snapshot", [99, 1], [101, 1], 10)), "Applied")
      assert.deepStrictEqual(viewOf(book).top(2), { bids: [99, 1], asks: [101, 1] })
    }
  })

  it("is a crossed snapshot, also on a book in sync", () => {
    const { book, view } = synced([99, 1], [101, 1])
    assert.strictEqual(book.apply(update("snapshot", [103, 1], [102, 1], 5)), "Faulty")
    assert.deepStrictEqual(book.fault, { _tag: "Crossed", version: 5, bid: 103, ask: 102 })
    assertEnded(view)
  })

  it("is not one that crosses only between its levels", () => {
    const { book, view } = synced([99, 1], [101, 1])
    assert.strictEqual(book.apply(update("delta", [102, 1], [101, 0, 103, 1])), "Applied")
    assert.deepStrictEqual(view.top(2), { bids: [102, 1, 99, 1], asks: [103, 1] })
  })

  const invalid: ReadonlyArray<readonly [name: string, levels: Levels]> = [
    ["price NaN", [Number.NaN, 1]],
    ["price 0", [0, 1]],
    ["negative price", [-5, 1]],
    ["infinite price", [Number.POSITIVE_INFINITY, 1]],
    ["quantity NaN", [50, Number.NaN]],
    ["negative quantity", [50, -1]],
    ["infinite quantity", [50, Number.POSITIVE_INFINITY]],
    ["half a level", [50]]
  ]

  for (const kind of ["snapshot", "delta"] as const) {
    for (const [name, levels] of invalid) {
      it(`is a ${kind} with ${name}`, () => {
        const onBids = synced([99, 1], [101, 1])
        assert.strictEqual(onBids.book.apply(update(kind, [90, 1, ...levels], [], 4)), "Faulty")
        const [price, quantity] = levels
        assert.deepStrictEqual(onBids.book.fault, { _tag: "InvalidLevel", version: 4, side: "bid", price, quantity })
        assertEnded(onBids.view)
        const onAsks = synced([99, 1], [101, 1])
        assert.strictEqual(onAsks.book.apply(update(kind, [], [190, 1, ...levels], 4)), "Faulty")
        assert.deepStrictEqual(onAsks.book.fault, { _tag: "InvalidLevel", version: 4, side: "ask", price, quantity })
        assertEnded(onAsks.view)
      })
    }
  }
})
