/** The Gate spot adapter as the session uses it: names, requests, recipes; and every channel's own whole envelopes. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import type { PublicChannel } from "../../src/domain/Channel.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import type * as Sequence from "../../src/domain/Sequence.ts"
import type { Request, Topic } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { wholeEnvelopes } from "./GateEnvelopes.ts"

// ---- Whole envelopes ----

wholeEnvelopes(gateSpot, [
  "book_ticker",
  "trades",
  "obu",
  "order_book_update",
  "order_book",
  "tickers",
  "candlesticks",
  "control"
])

it("every channel on offer has whole envelopes and a row of coverage", () => {
  const covered = new Set(gateSpot.coverage.map((row) => row.channel))
  assert.deepStrictEqual([...covered].sort(), [...gateSpot.channels].sort())
})

// ---- Names ----

describe("symbol", () => {
  it.each(
    [
      ["BTC/USDT", "BTC_USDT"],
      ["币安人生/USDT", "币安人生_USDT"],
      ["BTC/USDT:USDT", null],
      ["*/*", null],
      ["BTC\"/USDT", null],
      ["B|C/USDT", null],
      ["B\\C/USDT", null],
      [`${"X".repeat(200)}/USDT`, null]
    ] as const
  )("%s is %s", (pair, symbol) => {
    assert.strictEqual(gateSpot.symbol(pair), symbol)
  })
})

const pair = "BTC/USDT" as const

describe("topic", () => {
  const offered: ReadonlyArray<readonly [PublicChannel, string]> = [
    [{ _tag: "BookTicker", pair }, "spot.book_ticker|BTC_USDT"],
    [{ _tag: "BookTicker", pair, speed: "10ms" }, "spot.book_ticker|BTC_USDT"],
    [{ _tag: "Trades", pair }, "spot.trades|BTC_USDT"],
    [{ _tag: "Book", pair }, "spot.obu|ob.BTC_USDT.50"],
    [{ _tag: "Book", pair, source: "obu", depth: 50 }, "spot.obu|ob.BTC_USDT.50"],
    [{ _tag: "Book", pair, depth: 1, speed: "20ms" }, "spot.obu|ob.BTC_USDT.50"],
    [{ _tag: "Book", pair, depth: 51 }, "spot.obu|ob.BTC_USDT.400"],
    [{ _tag: "Book", pair, depth: 400 }, "spot.obu|ob.BTC_USDT.400"],
    [{ _tag: "Book", pair, speed: "100ms" }, "spot.obu|ob.BTC_USDT.400"],
    [{ _tag: "Book", pair, depth: 5, speed: "100ms" }, "spot.obu|ob.BTC_USDT.400"],
    [{ _tag: "Book", pair, source: "order_book_update" }, "spot.order_book_update|BTC_USDT|100ms"],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 100 }, "spot.order_book_update|BTC_USDT|100ms"],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 20 }, "spot.order_book_update|BTC_USDT|100ms"],
    [{ _tag: "Book", pair, source: "order_book_update", speed: "20ms" }, "spot.order_book_update|BTC_USDT|20ms"],
    [
      { _tag: "Book", pair, source: "order_book_update", speed: "20ms", depth: 20 },
      "spot.order_book_update|BTC_USDT|20ms"
    ],
    [{ _tag: "Book", pair, source: "order_book" }, "spot.order_book|BTC_USDT|20|100ms"],
    [{ _tag: "Book", pair, source: "order_book", depth: 21 }, "spot.order_book|BTC_USDT|30|100ms"],
    [{ _tag: "Book", pair, source: "order_book", depth: 3, speed: "1000ms" }, "spot.order_book|BTC_USDT|5|1000ms"],
    [{ _tag: "Ticker", pair }, "spot.tickers|BTC_USDT"],
    [{ _tag: "Ticker", pair, zone: "24H" }, "spot.tickers|BTC_USDT"],
    [{ _tag: "Kline", pair }, "spot.candlesticks|1m|BTC_USDT"],
    [{ _tag: "Kline", pair, interval: "1w", price: "last" }, "spot.candlesticks|7d|BTC_USDT"],
    [{ _tag: "Kline", pair, interval: "30d" }, "spot.candlesticks|30d|BTC_USDT"]
  ]
  for (const [channel, key] of offered) {
    it(`${JSON.stringify(channel)} is ${key}`, () => {
      assert.deepStrictEqual(gateSpot.topic(channel, "BTC_USDT"), { _tag: "Topic", key })
    })
  }

  const refused: ReadonlyArray<readonly [PublicChannel, RegExp]> = [
    [{ _tag: "BookTicker", pair, speed: "100ms" }, /100ms.*every 10ms only/],
    [{ _tag: "Trades", pair, speed: "10ms" }, /10ms.*real time only/],
    [{ _tag: "Book", pair, depth: 401 }, /depth 401: obu offers 50 levels every 20ms and 400/],
    [{ _tag: "Book", pair, depth: 51, speed: "20ms" }, /depth 51 at 20ms: obu offers/],
    [{ _tag: "Book", pair, speed: "10ms" }, /speed 10ms: obu offers/],
    [{ _tag: "Book", pair, depth: 0 }, /depth 0: a whole number above 0/],
    [{ _tag: "Book", pair, depth: 2.5 }, /depth 2.5: a whole number/],
    [
      { _tag: "Book", pair, source: "order_books" },
      /source order_books: offered are obu \(default\), order_book_update and order_book/
    ],
    [{ _tag: "Book", pair, source: "order_book", depth: 101 }, /depth 101 at 100ms: order_book offers 5, 10, 20/],
    [{ _tag: "Book", pair, source: "order_book", speed: "20ms" }, /speed 20ms: order_book offers 5, 10, 20/],
    [{ _tag: "BookTicker", pair, source: "batch" }, /source batch: spot.book_ticker is the only one/],
    [{ _tag: "Ticker", pair, zone: "UTC+8" }, /zone UTC\+8: spot.tickers counts the last 24 hours only/],
    [{ _tag: "Kline", pair, interval: "1M" }, /interval 1M: spot.candlesticks offers 10s, 30s, 1m, 3m/],
    [{ _tag: "Kline", pair, price: "mark" }, /price mark: spot.candlesticks draws the last price only/],
    [{ _tag: "FuturesTicker", pair }, /FuturesTicker: gate-spot has no such channel/],
    [{ _tag: "Liquidations", pair }, /no such channel/],
    [{ _tag: "ContractStats", pair }, /no such channel/],
    [
      { _tag: "Book", pair, source: "order_book_update", depth: 101 },
      /depth 101 at 100ms: order_book_update offers 100/
    ],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 21, speed: "20ms" }, /depth 21 at 20ms/],
    [{ _tag: "Book", pair, source: "order_book_update", speed: "10ms" }, /speed 10ms: order_book_update offers/]
  ]
  for (const [channel, detail] of refused) {
    it(`${JSON.stringify(channel)} is not offered`, () => {
      const name = gateSpot.topic(channel, "BTC_USDT")
      assert(name._tag === "Unsupported")
      assert.match(name.detail, detail)
    })
  }
})

// ---- Requests ----

const topicOf = (key: string): Topic => ({ key, channel: "Book", symbol: "", pair: null, contractSize: 1, slot: null })

const stampFrom = (first: number) => {
  let next = first
  return { nowMillis: 1_780_000_000_987, nextId: () => next++ }
}

const parsed = (request: Request): Record<string, unknown> => JSON.parse(String(request.frame))

describe("requests", () => {
  it("go out by channel, in seconds, with the ids of the stamp", () => {
    const topics = [
      "spot.book_ticker|BTC_USDT",
      "spot.obu|ob.BTC_USDT.50",
      "spot.book_ticker|币安人生_USDT",
      "spot.order_book_update|BTC_USDT|100ms",
      "spot.order_book_update|ETH_USDT|20ms",
      "spot.trades|BTC_USDT"
    ].map(topicOf)
    const requests = gateSpot.subscribe(topics, stampFrom(41))
    assert.deepStrictEqual(
      requests.map(parsed),
      [
        { channel: "spot.book_ticker", payload: ["BTC_USDT", "币安人生_USDT"], id: 41 },
        { channel: "spot.obu", payload: ["ob.BTC_USDT.50"], id: 42 },
        { channel: "spot.order_book_update", payload: ["BTC_USDT", "100ms"], id: 43 },
        { channel: "spot.order_book_update", payload: ["ETH_USDT", "20ms"], id: 44 },
        { channel: "spot.trades", payload: ["BTC_USDT"], id: 45 }
      ].map((request) => ({ time: 1_780_000_000, event: "subscribe", ...request }))
    )
    assert.deepStrictEqual(requests.map(({ id }) => id), [41, 42, 43, 44, 45])
    const places = requests.map((request) => request.topics.map((topic) => topics.indexOf(topic)))
    assert.deepStrictEqual(places, [[0, 2], [1], [3], [4], [5]])
  })

  it("unsubscribe with the same payload", () => {
    const [request] = gateSpot.unsubscribe([topicOf("spot.order_book_update|BTC_USDT|20ms")], stampFrom(1))
    assert.deepStrictEqual(parsed(request!), {
      time: 1_780_000_000,
      id: 1,
      channel: "spot.order_book_update",
      event: "unsubscribe",
      payload: ["BTC_USDT", "20ms"]
    })
  })

  it("hold at most 100 topics", () => {
    const topics = Array.from({ length: 250 }, (_, i) => topicOf(`spot.trades|T${i}_USDT`))
    const requests = gateSpot.subscribe(topics, stampFrom(1))
    assert.deepStrictEqual(requests.map((request) => request.topics.length), [100, 100, 50])
    assert.deepStrictEqual(requests.flatMap((request) => request.topics), topics)
  })

  it("hold at most the bytes that the limits name, however long the names are", () => {
    const name = `${"龙".repeat(120)}_USDT`
    const topics = Array.from({ length: 90 }, (_, i) => topicOf(`spot.obu|ob.${name}${i}.50`))
    const requests = gateSpot.subscribe(topics, stampFrom(1))
    assert.isAbove(requests.length, 1)
    assert.deepStrictEqual(requests.flatMap((request) => request.topics), topics)
    for (const { frame } of requests) {
      assert.isAtMost(Buffer.byteLength(String(frame)), gateSpot.limits.requestBytes)
    }
  })

  it("nothing asked for, nothing sent", () => {
    assert.deepStrictEqual(gateSpot.subscribe([], stampFrom(1)), [])
  })

  it("a ping", () => {
    assert.deepStrictEqual(JSON.parse(String(gateSpot.heartbeat.ping(stampFrom(1)))), {
      time: 1_780_000_000,
      channel: "spot.ping"
    })
  })
})

// ---- Books ----

const update = (firstVersion: Sequence.Sequence, version: Sequence.Sequence): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "delta",
  pair,
  symbol: "BTC_USDT",
  bids: [],
  asks: [],
  firstVersion,
  version,
  exchangeTime: null,
  receivedAt: 0,
  contractSize: 1,
  exact: null
})

const large = 2n ** 53n

describe("the obu recipe", () => {
  const recipe = gateSpot.book({ _tag: "Book", pair })
  it.each(
    [
      [100, 101, 105, "apply"],
      [100, 101, 101, "apply"],
      [100, 90, 100, "stale"],
      [100, 100, 100, "stale"],
      [100, 102, 105, "gap"],
      // The documents want U = last + 1; an overlap is not that.
      [100, 100, 105, "gap"],
      [Number.MAX_SAFE_INTEGER, large, large, "apply"],
      [large, large + 1n, large + 2n, "apply"],
      [large, large + 2n, large + 2n, "gap"]
    ] as const
  )("last %s, then %s to %s: %s", (last, first, to, verdict) => {
    assert.strictEqual(recipe.follows(last, update(first, to)), verdict)
  })
  it("waits for the snapshot in the stream", () => {
    assert.strictEqual(recipe.snapshot, "InStream")
    assert.strictEqual(gateSpot.book({ _tag: "Book", pair, source: "obu" }), recipe)
  })
})

describe("the order_book_update recipe", () => {
  const recipe = gateSpot.book({ _tag: "Book", pair, source: "order_book_update" })
  const cases = [
    [100, 95, 100, "stale"],
    [100, 101, 101, "apply"],
    [100, 95, 101, "apply"],
    [100, 100, 110, "apply"],
    [100, 102, 103, "gap"],
    [large, large + 1n, large + 1n, "apply"],
    [large, large + 2n, large + 2n, "gap"]
  ] as const
  it.each(cases)("base %s joined by %s to %s: %s", (base, first, to, verdict) => {
    assert.strictEqual(recipe.joins(base, update(first, to)), verdict)
  })
  it.each(cases)("last %s followed by %s to %s: %s", (last, first, to, verdict) => {
    assert.strictEqual(recipe.follows(last, update(first, to)), verdict)
  })
  it("fetches its snapshot", () => {
    assert.strictEqual(recipe.snapshot, "Fetch")
  })
})

// ---- Figures ----

describe("figures", () => {
  it("pings often enough for the idle close at about 30 s, also when a ping or two are lost", () => {
    const { interval, timeout } = gateSpot.heartbeat
    assert.isBelow(2 * Duration.toMillis(interval) + Duration.toMillis(timeout), 30_000)
  })
  it("stays below the documented 200 REST requests in 10 s", () => {
    assert.isAtMost(gateSpot.limits.restPerSecond * 10, 200)
  })
  it("trades may be silent, state may not", () => {
    assert.isNull(gateSpot.silence.Trades)
    assert.isNotNull(gateSpot.silence.BookTicker)
    assert.isNotNull(gateSpot.silence.Book)
  })
  it("connects where it is told", () => {
    assert.deepStrictEqual(gateSpot.endpoint("ws://127.0.0.1:1/ws/v4/"), { url: "ws://127.0.0.1:1/ws/v4/" })
    assert.strictEqual(gateSpot.listRefusal, "whole")
  })
})
