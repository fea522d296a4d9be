/** Where an event stands to what was passed, for each way to tell copies apart, one step at a time. */
import { assert, describe, it } from "@effect/vitest"
import * as Channel from "../../src/domain/Channel.ts"
import type { BookUpdate, Kline, Liquidation, MarketEvent, Ticker } from "../../src/domain/Market.ts"
import type { BookRecipe } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Lane } from "../../src/session/Lane.ts"
import type { Order } from "../../src/session/LaneOrder.ts"
import { orderOf } from "../../src/session/LaneOrder.ts"

const pair = "BTC/USDT"

interface Options {
  readonly recipe?: BookRecipe
  readonly book?: { live: boolean; last: number } | null
  readonly known?: ReadonlySet<unknown>
}

const make = (channel: Channel.PublicChannel, { book = null, known = new Set(), recipe }: Options = {}) => {
  const [a, b] = [new Lane(1, 0), new Lane(2, 1)]
  const order: Order = orderOf(channel, recipe ?? null, {
    isKnown: (key) => known.has(key),
    book: () => book,
    lanes: () => [a, b]
  })
  const pass = (event: MarketEvent, lane = a): MarketEvent => order.passed(lane, event)
  const stands = (event: MarketEvent, lane = b) => order.standing(lane, event)
  return { a, b, order, pass, stands }
}

const ticker = (version: number | null, prices: Partial<Parameters<typeof Test.bookTicker>[1]> = {}) =>
  Test.bookTicker(pair, { version, ...prices })

describe("best prices", () => {
  it("of a later version are newer, of an earlier one old, and of the same one known by all four numbers", () => {
    const { order, pass, stands } = make(Channel.bookTicker(pair))
    const numbers = { bidPrice: 1, bidQuantity: 2, askPrice: 3, askQuantity: 4 }
    assert.strictEqual(stands(ticker(5, numbers)), "newer")
    pass(ticker(5, numbers))
    assert.strictEqual(stands(ticker(5, numbers)), "old")
    for (const name of ["bidPrice", "bidQuantity", "askPrice", "askQuantity"]) {
      assert.strictEqual(stands(ticker(5, { ...numbers, [name]: 9 })), "newer", name)
    }
    assert.strictEqual(stands(ticker(4, { bidPrice: 9 })), "old")
    assert.strictEqual(stands(ticker(6, numbers)), "newer")
    assert.strictEqual(order.keyOf(ticker(5)), 5)
    assert.isFalse(order.needsLog)
    assert.isFalse(order.needsLapse)
  })

  it("start again at any version behind a reset", () => {
    const { order, pass, stands } = make(Channel.bookTicker(pair))
    pass(ticker(5))
    pass(ticker(null, { bidPrice: 7 }))
    order.reset()
    assert.strictEqual(stands(ticker(1)), "newer")
    assert.strictEqual(stands(ticker(null, { bidPrice: 7 })), "newer")
  })

  it("without a version are known by their time and content", () => {
    const { order, pass, stands } = make(Channel.bookTicker(pair))
    const at = (exchangeTime: number | null, bidPrice: number) => ticker(null, { exchangeTime, bidPrice })
    pass(at(100, 1))
    assert.strictEqual(stands(at(100, 1)), "old")
    assert.strictEqual(stands(at(99, 2)), "old")
    assert.strictEqual(stands(at(100, 2)), "newer")
    assert.strictEqual(stands(at(101, 2)), "newer")
    assert.strictEqual(order.keyOf(at(100, 1)), order.keyOf(at(200, 1)))
    assert.notStrictEqual(order.keyOf(at(100, 1)), order.keyOf(at(100, 2)))
  })
})

describe("what only its order tells apart", () => {
  const at = (bidPrice: number, receivedAt = 10) => ticker(1, { bidPrice, receivedAt })

  it("is followed lane by lane: what goes to and fro is new on the lane that is first, and old on the other", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    const prices = [7, 8, 7, 9]
    const first = prices.map((price) => at(price))
    for (const event of first) {
      assert.strictEqual(stands(event, a), "newer")
      pass(event, a)
      // Asked again of the same event it is what it was found to be.
      assert.strictEqual(stands(event, a), "old")
    }
    for (const price of prices) assert.strictEqual(stands(at(price), b), "old")
    // It has come to the end: the same again is what it says already, anything else is new.
    assert.strictEqual(stands(at(9), b), "old")
    const other = at(7)
    assert.strictEqual(stands(other, b), "newer")
    pass(other, b)
    assert.strictEqual(stands(at(7), a), "old")
    assert.strictEqual(stands(at(9), a), "newer")
  })

  it("keeps what a lane was found to have said, whatever others have said since", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    const of = (version: number, bidPrice: number) => ticker(version, { bidPrice, receivedAt: 10 })
    // What was passed before counts on through the versions.
    for (const price of [1, 2, 3]) pass(of(1, price), a)
    pass(of(2, 1), a)
    const said = of(2, 1)
    assert.strictEqual(stands(said, b), "old")
    pass(of(2, 5), a)
    assert.strictEqual(stands(said, b), "old")
    // Said again by itself: nothing new.
    assert.strictEqual(stands(of(2, 1), b), "old")
    assert.strictEqual(stands(of(2, 3), b), "newer")
    assert.strictEqual(stands(of(2, 5), b), "old")
    assert.strictEqual(stands(of(2, 1), b), "newer")
  })

  it("steps over what a lane lacks", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    for (const price of [1, 2, 3, 4]) pass(at(price), a)
    assert.strictEqual(stands(at(3), b), "old")
    // It is behind it now: 1 and 2 would be new from this lane.
    assert.strictEqual(stands(at(1), b), "newer")
    assert.strictEqual(stands(at(4), b), "old")
  })

  it("is not looked for among what came before the lane was confirmed", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    for (const [price, time] of [[1, 10], [2, 20], [3, 30]] as const) pass(at(price, time), a)
    b.confirmedAt = 20
    assert.strictEqual(stands(at(1), b), "newer")
    assert.strictEqual(stands(at(2), b), "old")
    const late = new Lane(3, 2)
    late.confirmedAt = 31
    assert.strictEqual(stands(at(2), late), "newer")
    // The last that was said is known to whoever comes.
    assert.strictEqual(stands(at(3), late), "old")
  })

  it("is remembered for so long: the latest 128 at least, of 256 at most", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    for (let price = 1; price <= 256; price++) pass(at(price), a)
    assert.strictEqual(stands(at(1), b), "old")
    pass(at(257), a)
    const fresh = new Lane(3, 2)
    assert.strictEqual(stands(at(128), fresh), "newer")
    assert.strictEqual(stands(at(129), fresh), "old")
    // Who was followed before goes on from where it was.
    assert.strictEqual(stands(at(257), b), "old")
  })

  it("begins anew with the next version", () => {
    const { a, b, pass, stands } = make(Channel.bookTicker(pair, { source: "batch" }))
    pass(at(1), a)
    pass(ticker(2, { bidPrice: 5 }), a)
    assert.strictEqual(stands(at(1), b), "old")
    assert.strictEqual(stands(ticker(2, { bidPrice: 1 }), b), "newer")
    assert.strictEqual(stands(ticker(2, { bidPrice: 5 }), b), "old")
  })
})

describe("trades", () => {
  it("are known by their ids, and by nothing where they have none", () => {
    const { order, pass, stands } = make(Channel.trades(pair), { known: new Set(["7"]) })
    const of = (id: string | null) => Test.trade(pair, { id })
    assert.deepStrictEqual([stands(of("7")), stands(of("8")), stands(of(null))], ["old", "newer", "keyless"])
    assert.strictEqual(order.keyOf(of("7")), "7")
    assert.isNull(order.keyOf(of(null)))
    assert.isNull(order.keyOf(ticker(1)))
    const event = of("8")
    assert.strictEqual(pass(event), event)
    assert.deepStrictEqual([order.needsLog, order.needsLapse], [true, true])
  })
})

describe("liquidations", () => {
  const of = (exchangeTime: number | null, quantity = 1): Liquidation => ({
    _tag: "Liquidation",
    pair,
    symbol: "BTC_USDT",
    price: 5,
    quantity,
    side: "buy",
    exchangeTime,
    receivedAt: 1,
    contractSize: 1,
    exact: null
  })

  it("are counted where they look the same, on each lane by itself", () => {
    const { a, b, order } = make(Channel.liquidations(pair))
    const keysOn = (lane: Lane, ...events: ReadonlyArray<Liquidation>) =>
      events.map((event) => {
        order.arrived(lane, event)
        return order.keyOf(event)
      })
    const first = keysOn(a, of(1), of(1), of(1, 2), of(2), of(1))
    const second = keysOn(b, of(1), of(1), of(1, 2), of(2))
    assert.deepStrictEqual(first.slice(0, 4), second)
    assert.strictEqual(new Set(first.slice(0, 4)).size, 4)
    // A new moment began, so this counts from one again.
    assert.strictEqual(first[4], first[0])
    assert.isTrue(String(first[0]).endsWith(" 1") && String(first[1]).endsWith(" 2"))
  })

  it("without a time have no key", () => {
    const { a, order, stands } = make(Channel.liquidations(pair))
    const event = of(null)
    order.arrived(a, event)
    assert.isNull(order.keyOf(event))
    assert.strictEqual(stands(event), "keyless")
  })
})

describe("what is told apart by time and content", () => {
  const kline = (fields: Partial<Kline>): Kline => ({
    _tag: "Kline",
    pair,
    symbol: pair,
    interval: "1m",
    price: "last",
    openTime: 60_000,
    closeTime: null,
    open: 1,
    high: 1,
    low: 1,
    close: 1,
    baseVolume: 5,
    quoteVolume: null,
    contractVolume: null,
    closed: null,
    exchangeTime: null,
    receivedAt: 0,
    exact: null,
    ...fields
  })

  it("candles go by their windows and within them by their volume, of whichever kind there is", () => {
    for (const volume of ["baseVolume", "quoteVolume", "contractVolume"] as const) {
      const none = { baseVolume: null, quoteVolume: null, contractVolume: null }
      const { pass, stands } = make(Channel.kline(pair))
      pass(kline({ ...none, [volume]: 5 }))
      assert.strictEqual(stands(kline({ ...none, [volume]: 4, close: 9 })), "old", volume)
      assert.strictEqual(stands(kline({ ...none, [volume]: 5 })), "old", volume)
      assert.strictEqual(stands(kline({ ...none, [volume]: 5, close: 9 })), "newer", volume)
      assert.strictEqual(stands(kline({ ...none, [volume]: 6 })), "newer", volume)
      assert.strictEqual(stands(kline({ openTime: 0, [volume]: 9 })), "old", volume)
      assert.strictEqual(stands(kline({ openTime: 120_000, [volume]: 0 })), "newer", volume)
    }
  })

  it("candles are old however far they lie back: windows follow each other by hours", () => {
    const { order, pass, stands } = make(Channel.kline(pair, { interval: "1h" }))
    pass(kline({ openTime: 100 * 3_600_000 }))
    assert.strictEqual(stands(kline({ openTime: 0 })), "old")
    assert.isTrue(order.needsLapse)
    assert.isFalse(order.needsLog)
    order.reset()
    assert.strictEqual(stands(kline({ openTime: 0 })), "newer")
  })

  const day = (exchangeTime: number | null, lastPrice: number, symbol = "BTCUSDT"): Ticker => ({
    _tag: "Ticker",
    pair,
    symbol,
    lastPrice,
    bidPrice: null,
    askPrice: null,
    highPrice: null,
    lowPrice: null,
    change: null,
    baseVolume: null,
    quoteVolume: null,
    exchangeTime,
    receivedAt: 0,
    exact: null
  })

  it("tickers of the day go by their time, symbol by symbol, unless the clock was put right by a minute", () => {
    const { order, pass, stands } = make(Channel.ticker(pair))
    pass(day(100_000, 1))
    assert.strictEqual(stands(day(99_999, 2)), "old")
    assert.strictEqual(stands(day(100_000 - 59_999, 2)), "old")
    assert.strictEqual(stands(day(100_000 - 60_000, 2)), "newer")
    assert.strictEqual(stands(day(100_001, 2)), "newer")
    assert.strictEqual(stands(day(99_999, 2, "ETHUSDT")), "newer")
    // The same is said again, only later.
    assert.strictEqual(stands(day(100_001, 1)), "old")
    assert.deepStrictEqual([order.needsLog, order.needsLapse], [false, false])
  })

  it("what is of one moment is followed lane by lane, with a time and without", () => {
    for (const time of [100, null]) {
      const { a, b, pass, stands } = make(Channel.ticker(pair))
      const of = (price: number, at: number | null = time): Ticker => day(at, price)
      for (const price of [7, 8, 7]) {
        assert.strictEqual(stands(of(price), a), "newer")
        pass(of(price), a)
      }
      for (const price of [7, 8, 7]) assert.strictEqual(stands(of(price), b), "old", `${time}`)
      assert.strictEqual(stands(of(8), a), "newer")
      if (time === null) continue
      // Of another moment it is another one.
      pass(of(9), a)
      assert.strictEqual(stands(of(8, 101), new Lane(3, 2)), "newer")
    }
  })

  it("tickers may tell of less volume than before", () => {
    const { pass, stands } = make(Channel.ticker(pair))
    pass({ ...day(100, 1), baseVolume: 5 })
    assert.strictEqual(stands({ ...day(100, 1), baseVolume: 4 }), "newer")
  })

  it("without a time only the content tells", () => {
    const { pass, stands } = make(Channel.ticker(pair))
    pass(day(null, 1))
    assert.strictEqual(stands(day(null, 1)), "old")
    assert.strictEqual(stands(day(null, 2)), "newer")
    assert.strictEqual(stands(day(5, 2)), "newer")
    pass(day(5, 2))
    assert.strictEqual(stands(day(null, 3)), "newer")
    // Level with the last, so it is looked for among all that was level.
    assert.strictEqual(stands(day(null, 2)), "old")
  })

  it("of every kind of state may be missing without a word, of every kind of event not", () => {
    const lapses = (channel: Channel.PublicChannel): boolean => make(channel).order.needsLapse
    assert.deepStrictEqual(
      [
        lapses(Channel.ticker(pair)),
        lapses(Channel.futuresTicker(pair)),
        lapses(Channel.bookTicker(pair)),
        lapses(Channel.kline(pair)),
        lapses(Channel.contractStats(pair)),
        lapses(Channel.liquidations(pair)),
        lapses(Channel.book(pair))
      ],
      [false, false, false, true, true, true, true]
    )
  })
})

describe("the chain of a book", () => {
  const fetched = mexcSpot.book(Channel.book(pair))
  const pushed = gateSpot.book(Channel.book(pair))
  const delta = (firstVersion: number, version: number): BookUpdate => Test.delta(pair, { firstVersion, version })
  const snapshot = (version: number): BookUpdate => Test.snapshot(pair, { version })
  const of = (recipe: BookRecipe, book: Options["book"] = null) => make(Channel.book(pair), { recipe, book })

  it("goes on from the book that is in step already", () => {
    const live = of(fetched, { live: true, last: 10 })
    assert.strictEqual(live.stands(delta(11, 12)), "next")
    assert.strictEqual(live.stands(delta(12, 13)), "ahead")
    assert.strictEqual(of(fetched, { live: false, last: 10 }).stands(delta(11, 12)), "newer")
  })

  it("of fetched snapshots takes what overlaps, and cuts it", () => {
    const { b, order, pass, stands } = of(fetched)
    assert.strictEqual(stands(delta(1, 2)), "newer")
    b.joined = true
    assert.strictEqual(stands(delta(1, 2)), "next")
    const first = delta(1, 2)
    assert.strictEqual(pass(first), first)
    assert.strictEqual(stands(delta(1, 2)), "old")
    assert.strictEqual(stands(delta(2, 2)), "old")
    assert.strictEqual(stands(delta(2, 3)), "next")
    assert.strictEqual(stands(delta(3, 3)), "next")
    assert.strictEqual(stands(delta(4, 4)), "ahead")
    const overlapping = delta(2, 5)
    assert.deepStrictEqual(pass(overlapping), { ...overlapping, firstVersion: 3 })
    const exact = delta(6, 7)
    assert.strictEqual(pass(exact), exact)
    assert.strictEqual(order.keyOf(exact), 7)
    order.reset()
    b.joined = false
    assert.strictEqual(stands(delta(1, 2)), "newer")
    assert.isFalse(order.needsLog)
    assert.isFalse(order.needsLapse)
  })

  it("of pushed snapshots takes nothing that overlaps", () => {
    const { pass, stands } = of(pushed, { live: true, last: 10 })
    assert.strictEqual(stands(delta(10, 12)), "ahead")
    assert.strictEqual(stands(delta(11, 12)), "next")
    pass(delta(11, 12))
    assert.strictEqual(stands(delta(13, 13)), "next")
    assert.strictEqual(stands(delta(11, 12)), "old")
  })

  it("of pushed snapshots goes over to another connection by its whole book, its levels as that one has them", () => {
    const { a, b, order, pass, stands } = of(pushed, { live: true, last: 10 })
    const bids = [3, 30, 2, 20, 1, 10]
    order.dropped(b, { ...snapshot(9), bids, asks: [5, 50, 4, 40], exact: { "bids[2]": "2.0", "asks[3]": "40.0" } })
    // The best bid goes, the last one changes, and one comes between whose texts say more.
    order.dropped(b, {
      ...delta(10, 11),
      bids: [3, 0, 1, 11, 1.5, 15],
      asks: [6, 60, 5, 51],
      exact: { "bids[4]": "1.50", "bids[5]": "15.0", "asks[3]": "51.0" }
    })
    pass(delta(11, 12), a)
    const across = { ...delta(12, 14), bids: [2, 22], asks: [4, 0], exchangeTime: 7 }
    assert.strictEqual(stands(across), "across")
    assert.deepStrictEqual(order.passed(b, across), {
      ...across,
      kind: "snapshot",
      firstVersion: 14,
      bids: [2, 22, 1.5, 15, 1, 11],
      asks: [5, 51, 6, 60],
      exact: { "bids[2]": "1.50", "bids[3]": "15.0", "asks[1]": "51.0" }
    })
    assert.strictEqual(stands(delta(15, 15)), "next")
    assert.isNull((order.passed(b, { ...snapshot(20), bids: [1, 1] }) as BookUpdate).exact)
    pass(delta(21, 22), a)
    assert.isNull((order.passed(b, delta(21, 23)) as BookUpdate).exact)
  })

  it("of pushed snapshots knows nothing of what connections brought alone, or beside others before", () => {
    const [a, b] = [new Lane(1, 0), new Lane(2, 1)]
    for (const book of [{ live: true, last: 10 }, { live: false, last: 10 }]) {
      a.live = true
      a.memory = b.memory = "of before"
      orderOf(Channel.book(pair), pushed, { isKnown: () => false, book: () => book, lanes: () => [a, b] })
      assert.deepStrictEqual([a.memory, b.memory], [book.live ? { at: 10, book: null } : null, null])
    }
  })

  it("of pushed snapshots is none while the book waits for one: all passes, for the count", () => {
    const book = { live: true, last: 10 }
    const { pass, stands } = of(pushed, book)
    book.live = false
    assert.strictEqual(stands(delta(50, 51)), "next")
    const passed = delta(50, 51)
    assert.strictEqual(pass(passed), passed)
    assert.strictEqual(stands(snapshot(5)), "next")
    pass(snapshot(5))
    book.live = true
    assert.strictEqual(stands(delta(6, 6)), "next")
    assert.strictEqual(stands(delta(51, 52)), "ahead")
  })

  it("takes a snapshot by its version once there is a chain", () => {
    const { pass, stands } = of(pushed, { live: true, last: 10 })
    assert.deepStrictEqual([stands(snapshot(9)), stands(snapshot(10)), stands(snapshot(11))], ["old", "old", "newer"])
    const whole = snapshot(20)
    assert.strictEqual(pass(whole), whole)
    assert.strictEqual(stands(delta(21, 21)), "next")
    assert.strictEqual(of(fetched).stands(snapshot(3)), "next")
    const waiting = of(fetched, { live: true, last: 10 })
    assert.strictEqual(waiting.stands(snapshot(10)), "old")
  })

  it("is told by time and content where books are not followed", () => {
    const { order, pass, stands } = make(Channel.book(pair))
    const at = (version: number, exchangeTime: number): BookUpdate => ({ ...snapshot(version), exchangeTime })
    pass(at(1, 100))
    assert.strictEqual(stands(at(2, 99)), "old")
    assert.strictEqual(stands(at(2, 101)), "newer")
    assert.isTrue(order.needsLapse)
  })
})
