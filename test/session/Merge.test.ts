/** The merge of lanes by itself, step by step: what passes, what waits, what joins, and what is told. */
import { assert, describe, it } from "@effect/vitest"
import * as Channel from "../../src/domain/Channel.ts"
import type { BookUpdate, Liquidation, MarketEvent } from "../../src/domain/Market.ts"
import type { BookRecipe } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Lane } from "../../src/session/Lane.ts"
import { orderOf } from "../../src/session/LaneOrder.ts"
import { holdMillis, Merge } from "../../src/session/Lanes.ts"

const pair = "BTC/USDT"

type Name = string | number

interface Options {
  readonly recipe?: BookRecipe
  readonly book?: { live: boolean; last: number }
  readonly lanes?: number
  /** Only the first one is live. */
  readonly alone?: boolean
}

/** Lanes that are live, none joined; what comes out is told as `+name` passed, `-name` not, `*` when accounted for. */
const make = (channel: Channel.PublicChannel, { alone = false, book, lanes = 2, recipe }: Options = {}) => {
  const told: Array<string> = []
  const wins: Array<number> = []
  const names = new Map<MarketEvent, Name>()
  const nameOf = (event: MarketEvent): Name => names.get(event) ?? (event as BookUpdate).version as number
  const mark = (accounted: boolean): string => accounted ? "*" : ""
  const all = Array.from({ length: lanes }, (_, index) => new Lane(index + 1, index))
  for (const lane of all) lane.live = !alone || lane === all[0]
  const merge: Merge = new Merge(
    orderOf(channel, recipe ?? null, {
      isKnown: (key) => merge.isKnown(key),
      book: () => book ?? null,
      lanes: () => all
    }),
    {
      pass: (event, lane, accounted) => told.push(`+${nameOf(event)}${mark(accounted)} by ${lane.connection}`),
      duplicate: (event, _, accounted) => told.push(`-${nameOf(event)}${mark(accounted)}`),
      lapse: () => told.push("lapse"),
      restarted: () => told.push("restarted"),
      shared: (lane, behind, by) => told.push(`${lane.connection} before ${behind.connection} by ${by}`),
      won: (lane) => wins.push(lane.connection),
      single: (lane) => told.push(`single ${lane.connection}`)
    },
    100
  )
  for (const lane of all) merge.add(lane)
  const send = (lane: Lane, name: Name, event: MarketEvent, accounted = false): void => {
    const copy = { ...event } as MarketEvent
    names.set(copy, name)
    merge.event(lane, copy, accounted)
  }
  const trade = (lane: Lane, id: number, accounted = false): void =>
    send(lane, id, Test.trade(pair, { id: String(id) }), accounted)
  const nameless = (lane: Lane, name: string): void => send(lane, name, Test.trade(pair, { id: null }))
  const delta = (lane: Lane, from: number, to: number): void =>
    send(lane, `${from}-${to}`, Test.delta(pair, { firstVersion: from, version: to }))
  const take = (): ReadonlyArray<string> => told.splice(0)
  const [a, b, c] = all as [Lane, Lane, Lane]
  const whole = (lane: Lane, version: number): void =>
    send(lane, `whole ${version}`, Test.snapshot(pair, { version, bids: [version, 1] }))
  return { a, b, c, delta, merge, nameless, send, take, trade, whole, wins }
}

const trades = Channel.trades(pair)
const fetched = mexcSpot.book(Channel.book(pair))
const pushed = gateSpot.book(Channel.book(pair))

describe("lanes", () => {
  it("are found by their connection", () => {
    const { a, b, merge } = make(trades)
    assert.deepStrictEqual([merge.find(1), merge.find(2), merge.find(3)], [a, b, undefined])
    assert.deepStrictEqual(merge.lanes, [a, b])
  })

  it("join by something that was passed, and what they held before it is old too", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    assert.deepStrictEqual([a.joined, b.joined], [true, false])
    for (const id of [1, 2, 3]) trade(a, id)
    take()
    // Held: nobody knows yet what lies between.
    trade(b, 10)
    trade(b, 11)
    assert.deepStrictEqual(take(), [])
    assert.strictEqual(b.held.length, 2)
    trade(a, 11)
    // 11 shows that 10, which came before it, is old by now: the other one never brought it, so it was not there.
    assert.isTrue(b.joined)
    assert.deepStrictEqual(take(), ["+11 by 1", "-10", "-11"])
    trade(b, 12)
    assert.deepStrictEqual(take(), ["+12 by 2"])
    trade(a, 12)
    trade(a, 13)
    assert.deepStrictEqual(take(), ["2 before 1 by 0", "-12", "+13 by 1"])
  })

  it("hold what comes behind what they hold, whatever it is", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 5)
    trade(b, 6)
    take()
    assert.deepStrictEqual(b.held.map(({ event }) => event._tag === "Trade" ? event.id : ""), ["5", "6"])
    // By what it brings next it is joined, and all of it is dealt with in its order.
    trade(b, 1)
    assert.deepStrictEqual(take(), ["-5", "-6", "-1"])
    assert.deepStrictEqual(b.held, [])
  })

  it("pass what the first of them brings where none is joined", () => {
    const { a, b, take, trade } = make(trades)
    trade(b, 4)
    assert.deepStrictEqual([a.joined, b.joined], [false, true])
    trade(a, 9)
    assert.deepStrictEqual(take(), ["+4 by 2"])
    assert.strictEqual(a.held.length, 1)
  })

  it("hold what comes before they were looked at for the first time as long as all else", () => {
    const { a, b, merge, trade } = make(trades)
    merge.join(a)
    trade(b, 1)
    assert.deepStrictEqual(merge.overdue(100 + holdMillis - 1), [])
    assert.deepStrictEqual(merge.overdue(100 + holdMillis), [b])
  })

  it("keep what waits when they repeat something old once they are joined", () => {
    const { a, b, delta, merge, take } = make(Channel.book(pair), { recipe: fetched, book: { live: true, last: 5 } })
    merge.join(a)
    merge.join(b)
    delta(a, 8, 9)
    delta(a, 5, 5)
    assert.deepStrictEqual(take(), [])
    delta(b, 6, 7)
    assert.deepStrictEqual(take(), ["+6-7 by 2", "+8-9 by 1", "-5-5"])
  })

  it("are joined once, and are as far as the furthest that they brought", () => {
    const { a, b, merge, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(a, 2)
    trade(b, 2)
    const { reached } = b
    trade(b, 1)
    trade(a, 3)
    merge.join(b)
    assert.strictEqual(b.reached, reached)
  })

  it("pass what waits when they are joined", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(b, 7)
    merge.join(b)
    assert.deepStrictEqual(take(), ["+7 by 2"])
  })

  const liquidation: Liquidation = {
    _tag: "Liquidation",
    pair: "BTC/USDT:USDT",
    symbol: "BTC_USDT",
    price: 1,
    quantity: 2,
    side: "sell",
    exchangeTime: 9,
    receivedAt: 0,
    contractSize: 1,
    exact: null
  }

  it("tell two that look the same from one that came twice", () => {
    const { a, b, merge, send, take } = make(Channel.liquidations(pair))
    const bring = (lane: Lane, name: string): void => send(lane, name, { ...liquidation })
    merge.join(a)
    merge.join(b)
    bring(a, "one")
    bring(a, "two")
    bring(b, "one again")
    bring(b, "two again")
    bring(b, "three")
    assert.deepStrictEqual(take().filter((word) => !word.includes("before")), [
      "+one by 1",
      "+two by 1",
      "-one again",
      "-two again",
      "+three by 2"
    ])
  })

  it("give up the oldest of more than 8192 that wait", () => {
    const { a, delta, merge, take } = make(Channel.book(pair), { recipe: fetched, book: { live: true, last: 0 } })
    merge.join(a)
    for (let version = 2; version <= 8_193; version++) delta(a, version, version)
    assert.deepStrictEqual(take(), [])
    delta(a, 8_194, 8_194)
    assert.deepStrictEqual(take(), ["-2-2"])
    assert.strictEqual(a.held.length, 8_192)
  })

  it("keep when they brought something last, and since when it waits", () => {
    const { a, b, merge, send } = make(trades)
    merge.join(a)
    merge.overdue(500)
    send(b, 1, { ...Test.trade(pair, { id: "1" }), receivedAt: 77 })
    assert.strictEqual(b.lastEventAt, 77)
    assert.strictEqual(b.held[0]?.since, 500)
    assert.deepStrictEqual(merge.overdue(500 + holdMillis - 1), [])
    assert.deepStrictEqual(merge.overdue(500 + holdMillis), [b])
  })
})

describe("the end of a lane", () => {
  it("is covered while another one is live and joined, and by no other", () => {
    const { a, b, merge, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    assert.isFalse(merge.covers(a))
    assert.isTrue(merge.covers(b))
    trade(b, 1)
    assert.isTrue(merge.covers(a))
    b.live = false
    assert.isFalse(merge.covers(a))
  })

  it("gives up what it held, and lets the others go on", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 5, true)
    take()
    b.memory = {}
    assert.isTrue(merge.lose(b))
    assert.deepStrictEqual([b.live, b.joined, b.memory, b.held.length], [false, false, null, 0])
    assert.deepStrictEqual(take(), ["-5*"])
    assert.isFalse(merge.lose(a))
  })

  it("leaves what others hold where it is until the break is told, when nobody covers it", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 5)
    take()
    assert.isFalse(merge.lose(a))
    assert.isFalse(a.joined)
    assert.deepStrictEqual(take(), [])
    merge.restart()
    trade(b, 1)
    // It is still known as long as somebody is live.
    assert.deepStrictEqual(take(), ["+5 by 2", "-1"])
  })

  it("frees what waited for it: a hole that nobody else can fill passes", () => {
    const { a, b, delta, merge, take } = make(Channel.book(pair), { recipe: fetched, book: { live: true, last: 10 } })
    merge.join(a)
    merge.join(b)
    delta(a, 13, 14)
    assert.deepStrictEqual(take(), [])
    assert.isTrue(merge.lose(b))
    assert.deepStrictEqual(take(), ["+13-14 by 1"])
  })

  it("takes it out, once, and the one that is left says when it is past all others", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 1)
    take()
    assert.isTrue(merge.remove(b))
    assert.deepStrictEqual(merge.lanes, [a])
    assert.isTrue(merge.remove(b))
    assert.deepStrictEqual(merge.lanes, [a])
    assert.deepStrictEqual(take(), [])
    trade(a, 1)
    assert.deepStrictEqual(take(), ["-1"])
    trade(a, 2)
    assert.deepStrictEqual(take(), ["+2 by 1", "single 1"])
    assert.isFalse(merge.remove(a))
    assert.deepStrictEqual(merge.lanes, [])
  })

  it("remembers nothing while it is alone", () => {
    const { a, merge, trade } = make(trades, { lanes: 1 })
    merge.join(a)
    trade(a, 1)
    assert.isFalse(merge.isKnown("1"))
  })
})

describe("a hole in a chain", () => {
  const book = { live: true, last: 10 }

  it("waits for the other lane to fill it, which lets the rest go on", () => {
    const { a, b, delta, merge, take } = make(Channel.book(pair), { recipe: fetched, book })
    merge.join(a)
    merge.join(b)
    delta(a, 11, 11)
    delta(a, 13, 13)
    delta(a, 14, 14)
    delta(b, 11, 11)
    assert.deepStrictEqual(take(), ["+11-11 by 1", "1 before 2 by 0", "-11-11"])
    delta(b, 12, 12)
    assert.deepStrictEqual(take(), ["+12-12 by 2", "+13-13 by 1", "+14-14 by 1"])
    delta(b, 13, 13)
    assert.deepStrictEqual(take(), ["1 before 2 by 0", "-13-13"])
  })

  it("passes after a while without a word: the chain shows it by itself", () => {
    const { a, b, delta, merge, take } = make(Channel.book(pair), { recipe: fetched, book })
    merge.join(a)
    merge.join(b)
    delta(a, 13, 13)
    delta(a, 14, 14)
    merge.force(a)
    assert.deepStrictEqual(take(), ["+13-13 by 1", "+14-14 by 1"])
    merge.force(a)
    assert.deepStrictEqual(take(), [])
  })

  it("passes at once where there is no other lane, or none that is live", () => {
    const { a, b, delta, take } = make(Channel.book(pair), { recipe: fetched, book })
    b.live = false
    delta(a, 13, 13)
    assert.deepStrictEqual(take(), ["+13-13 by 1"])
  })
})

describe("a break", () => {
  it("goes on with the fullest lane that is live, and joins nobody by what came before it", () => {
    const { a, b, c, merge, take, trade } = make(trades, { lanes: 3 })
    merge.join(a)
    trade(a, 1)
    for (const id of [5, 6]) trade(b, id)
    for (const id of [7, 8, 9]) trade(c, id)
    take()
    a.live = false
    merge.restart()
    assert.deepStrictEqual([a.joined, b.joined, c.joined], [false, false, true])
    assert.deepStrictEqual(take(), ["+7 by 3", "+8 by 3", "+9 by 3"])
    assert.strictEqual(b.held.length, 2)
    trade(b, 1)
    assert.isFalse(b.joined)
    trade(b, 8)
    assert.isTrue(b.joined)
  })

  it("with no lane left forgets all: the exchange may count anew", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    a.live = false
    b.live = false
    merge.restart()
    assert.isFalse(merge.isKnown("1"))
    a.live = true
    trade(a, 1)
    assert.deepStrictEqual(take(), ["+1 by 1", "+1 by 1"])
  })

  it("with no lane left forgets versions too", () => {
    const { a, b, merge, send, take } = make(Channel.bookTicker(pair))
    const bring = (version: number): void => send(a, version, Test.bookTicker(pair, { version }))
    merge.join(a)
    bring(9)
    b.live = false
    merge.lose(a)
    merge.restart()
    assert.deepStrictEqual([a.joined, b.joined], [false, false])
    a.live = true
    bring(3)
    assert.deepStrictEqual(take(), ["+9 by 1", "+3 by 1"])
  })

  it("does not bring again what was delivered on its other side", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 5, true)
    trade(b, 6)
    take()
    a.live = false
    merge.restart()
    assert.deepStrictEqual(take(), ["+6 by 2"])
  })

  it("without a receiver says how much of what was held is counted nowhere", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 5, true)
    for (const id of [6, 7]) trade(b, id)
    take()
    assert.strictEqual(merge.clear(), 2)
    assert.deepStrictEqual([a.joined, b.joined, b.held.length], [false, false, 0])
    assert.isFalse(merge.isKnown("1"))
    assert.deepStrictEqual(take(), [])
    assert.strictEqual(merge.clear(), 0)
  })

  it("is told where an exchange counts anew: what others hold is given up, and the new count goes on", () => {
    const quotes = Channel.bookTicker(pair)
    const { a, b, merge, send, take } = make(quotes)
    const quote = (lane: Lane, version: number): void => send(lane, version, Test.bookTicker(pair, { version }))
    merge.join(a)
    quote(a, 10_000)
    quote(b, 20_000)
    take()
    for (let version = 1; version < 512; version++) quote(a, version)
    assert.notInclude(take(), "restarted")
    quote(a, 512)
    assert.deepStrictEqual(take(), ["restarted", "-20000", "+512 by 1"])
    assert.deepStrictEqual([a.joined, b.joined], [true, false])
    quote(a, 513)
    assert.deepStrictEqual(take(), ["+513 by 1"])
  })

  it("is not taken for one while something in between was known", () => {
    const quotes = Channel.bookTicker(pair)
    const { a, b, merge, send, take } = make(quotes)
    const quote = (lane: Lane, version: number): void => send(lane, version, Test.bookTicker(pair, { version }))
    merge.join(a)
    quote(a, 10_000)
    for (let version = 1; version < 512; version++) quote(a, version)
    quote(b, 10_000)
    for (let version = 1; version < 512; version++) quote(a, version)
    quote(a, 10_001)
    for (let version = 1; version < 512; version++) quote(a, version)
    assert.notInclude(take(), "restarted")
  })
})

describe("a lane that goes on alone", () => {
  it("takes over: the others' events are of no use any more", () => {
    const { a, b, c, merge, take, trade } = make(trades, { lanes: 3 })
    merge.join(a)
    trade(a, 1)
    trade(b, 5)
    trade(c, 6)
    trade(c, 7, true)
    take()
    merge.takeOver(b)
    assert.deepStrictEqual([a.joined, b.joined, c.joined], [false, true, false])
    assert.deepStrictEqual(take(), ["-6", "-7*", "+5 by 2"])
    assert.deepStrictEqual([b.held.length, c.held.length], [0, 0])
    trade(b, 8)
    assert.deepStrictEqual(take(), ["+8 by 2"])
  })

  it("takes over also when it holds nothing", () => {
    const { a, b, merge } = make(trades)
    merge.join(a)
    merge.takeOver(b)
    assert.deepStrictEqual([a.joined, b.joined], [false, true])
  })

  it("is forced to what it holds, and that something may be missing is told where nothing else shows it", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 1)
    for (const id of [5, 6]) trade(b, id)
    take()
    merge.force(b)
    assert.deepStrictEqual(take(), ["lapse", "+5 by 2", "+6 by 2"])
    assert.deepStrictEqual([a.joined, b.joined], [false, true])
    // Joined now, so it is not told again.
    trade(b, 7)
    merge.force(b)
    assert.deepStrictEqual(take(), ["+7 by 2"])
  })

  it("needs no word where the newest value is all that counts", () => {
    const { a, b, merge, send, take } = make(Channel.ticker(pair))
    const day = (lane: Lane, exchangeTime: number): void =>
      send(lane, exchangeTime, {
        _tag: "Ticker",
        pair,
        symbol: "BTCUSDT",
        lastPrice: exchangeTime,
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
    merge.join(a)
    day(a, 100)
    day(b, 200)
    assert.deepStrictEqual(take(), ["+100 by 1"])
    merge.force(b)
    assert.deepStrictEqual(take(), ["+200 by 2"])
    assert.deepStrictEqual([a.joined, b.joined], [true, true])
  })
})

describe("events that nothing tells apart", () => {
  it("pass on one lane alone, which nobody covers", () => {
    const { a, b, merge, nameless, take } = make(trades)
    assert.isFalse(merge.isKeyless)
    nameless(a, "x")
    nameless(b, "y")
    nameless(a, "z")
    assert.isTrue(merge.isKeyless)
    assert.deepStrictEqual(take(), ["+x by 1", "-y", "+z by 1"])
    assert.deepStrictEqual([a.joined, b.joined], [true, true])
    assert.deepStrictEqual([merge.covers(a), merge.covers(b)], [false, true])
    assert.isFalse(merge.lose(a))
    merge.restart()
    nameless(b, "w")
    assert.deepStrictEqual(take(), ["+w by 2"])
  })

  it("pass on the lane that takes over", () => {
    const { a, b, merge, nameless, take } = make(trades)
    nameless(a, "x")
    take()
    merge.takeOver(b)
    nameless(a, "y")
    nameless(b, "z")
    assert.deepStrictEqual(take(), ["-y", "+z by 2"])
    // Losing the one whose events do not pass breaks nothing.
    assert.isTrue(merge.lose(a))
    nameless(b, "v")
    assert.deepStrictEqual(take(), ["+v by 2"])
  })
})

describe("a lane far behind", () => {
  it("lapses after 8192 events, and is of use again by something known", () => {
    const { a, b, merge, take, trade } = make(trades)
    merge.join(a)
    trade(a, 0)
    trade(b, 0)
    for (let id = 1; id <= 8_192; id++) trade(a, id)
    assert.deepStrictEqual([b.joined, b.lapsed], [true, false])
    trade(a, 8_193)
    assert.deepStrictEqual([b.joined, b.lapsed], [false, true])
    take()
    // What it brings is forgotten by now: not passed again, and not held either.
    assert.isFalse(merge.isKnown("0"))
    trade(b, 0)
    assert.deepStrictEqual(take(), ["-0"])
    assert.strictEqual(b.held.length, 0)
    assert.isTrue(merge.covers(b))
    assert.isFalse(merge.covers(a))
    trade(b, 8_193)
    assert.deepStrictEqual([b.joined, b.lapsed], [true, false])
    trade(b, 8_194)
    assert.deepStrictEqual(take(), ["1 before 2 by 0", "-8193", "+8194 by 2"])
  })

  it("keeps what it still has to bring in mind, and no more than the latest 256 once it has", () => {
    const { a, b, merge, trade } = make(trades)
    merge.join(a)
    trade(a, 0)
    trade(b, 0)
    for (let id = 1; id <= 600; id++) trade(a, id)
    assert.isTrue(merge.isKnown("1"))
    for (let id = 1; id <= 600; id++) trade(b, id)
    trade(a, 601)
    assert.deepStrictEqual([merge.isKnown("344"), merge.isKnown("345")], [false, true])
  })

  it("does not lapse where newest values and chains tell all by themselves", () => {
    const { a, b, delta, merge } = make(Channel.book(pair), { recipe: pushed, book: { live: true, last: 0 } })
    merge.join(a)
    merge.join(b)
    for (let version = 1; version <= 8_300; version++) delta(a, version, version)
    assert.deepStrictEqual([b.joined, b.lapsed], [true, false])
  })
})

describe("a window that connections cut at different versions", () => {
  /** The first lane has brought the book alone up to 10; the second one begins. */
  const begun = (version = 12) => {
    const made = make(Channel.book(pair), { recipe: pushed, book: { live: true, last: 10 }, alone: true })
    const { a, b, merge, whole } = made
    merge.join(a)
    b.live = true
    whole(b, version)
    return made
  }

  it("is gone over to whole when nobody is left who goes on from the end of what was passed", () => {
    const { a, b, delta, merge, take } = begun()
    delta(a, 11, 15)
    delta(b, 13, 13)
    assert.deepStrictEqual(take(), ["+11-15 by 1", "-whole 12", "-13-13"])
    assert.isTrue(b.joined)
    delta(b, 14, 18)
    delta(b, 19, 20)
    assert.deepStrictEqual(take(), [])
    assert.isTrue(merge.lose(a))
    // A whole book of that version in place of an update that begins too early, and the next one as it is.
    assert.deepStrictEqual(take(), ["+18 by 2", "+19-20 by 2"])
  })

  it("stays with a connection that cannot be gone over to until the other has its copy", () => {
    const { a, b, delta, merge, take } = begun()
    delta(a, 11, 13)
    delta(b, 13, 13)
    take()
    // It would be next, and the first one could not follow.
    delta(b, 14, 16)
    assert.deepStrictEqual(take(), [])
    // From here on the first one has a copy too: it goes on from where the other stands.
    delta(a, 14, 15)
    delta(b, 17, 18)
    assert.deepStrictEqual(take(), ["+14-15 by 1"])
    delta(a, 16, 18)
    assert.deepStrictEqual(take(), ["+16-18 by 1", "-14-16", "1 before 2 by 0", "-17-18"])
    delta(b, 19, 20)
    delta(a, 19, 22)
    assert.deepStrictEqual(take(), ["+19-20 by 2"])
    assert.isTrue(merge.lose(b))
    assert.deepStrictEqual(take(), ["+22 by 1"])
  })

  it("stays with the connection that brought it alone also when another is ahead of it", () => {
    const { a, b, delta, merge, take } = begun(10)
    delta(b, 11, 13)
    assert.deepStrictEqual(take(), ["-whole 10"])
    delta(a, 11, 12)
    assert.isTrue(merge.lose(b))
    delta(a, 13, 14)
    assert.deepStrictEqual(take(), ["+11-12 by 1", "-11-13", "+13-14 by 1"])
  })

  it("is gone over to when the one that led lacks something", () => {
    const { a, b, delta, take } = begun()
    delta(a, 11, 15)
    delta(b, 13, 13)
    take()
    delta(b, 14, 18)
    delta(a, 17, 19)
    assert.deepStrictEqual(take(), [])
    delta(b, 19, 21)
    assert.deepStrictEqual(take(), ["+18 by 2", "+19-21 by 2", "-17-19"])
  })

  it("has no copy on a connection that lacks something itself: the hole shows", () => {
    const { a, b, delta, merge, take } = begun()
    delta(a, 11, 15)
    delta(b, 14, 15)
    take()
    delta(b, 15, 18)
    merge.lose(a)
    assert.deepStrictEqual(take(), ["+15-18 by 2"])
  })
})

describe("who was first", () => {
  it("has won where another might have been first", () => {
    const { a, b, merge, trade, wins } = make(trades)
    merge.join(a)
    trade(a, 1)
    trade(b, 1)
    trade(b, 2)
    trade(a, 3)
    assert.deepStrictEqual(wins, [2, 1])
  })

  it("is told once for each event, of two lanes", () => {
    const { a, b, c, merge, send, take } = make(trades, { lanes: 3 })
    merge.join(a)
    const at = (lane: Lane, id: number, receivedAt: number): void =>
      send(lane, id, { ...Test.trade(pair, { id: String(id) }), receivedAt })
    at(a, 1, 10)
    at(b, 1, 12)
    at(c, 1, 15)
    take()
    at(b, 2, 20)
    at(b, 2, 21)
    at(a, 2, 24)
    at(c, 2, 30)
    assert.deepStrictEqual(take(), ["+2 by 2", "-2", "2 before 1 by 4", "-2", "-2"])
  })
})
