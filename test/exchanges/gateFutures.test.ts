/** What Gate futures have of their own; what they share with spot is tested in `gateSpot.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Socket from "effect/socket/Socket"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import type { PublicChannel } from "../../src/domain/Channel.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import { inBase } from "../../src/domain/Market.ts"
import type { CodecContext, Topic } from "../../src/ExchangeAdapter.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { wholeEnvelopes } from "./GateEnvelopes.ts"
import type { Call } from "./GateHarness.ts"
import { decode, eventsOf, isFallback, topicTable } from "./GateHarness.ts"

wholeEnvelopes(gateFutures, [
  "book_ticker",
  "trades",
  "obu",
  "order_book_update",
  "order_book",
  "tickers",
  "candlesticks",
  "public_liquidates",
  "contract_stats",
  "control"
])

it("every channel on offer has a row of coverage", () => {
  const covered = new Set(gateFutures.coverage.map((row) => row.channel))
  assert.deepStrictEqual([...covered].sort(), [...gateFutures.channels].sort())
})

// ---- Names ----

describe("symbol", () => {
  it.each(
    [
      ["BTC/USDT:USDT", "BTC_USDT"],
      ["币安人生/USDT:USDT", "币安人生_USDT"],
      ["*/*", "!all"],
      // Spot, another asset of settlement, and a name that JSON would escape.
      ["BTC/USDT", null],
      ["BTC/USD:BTC", null],
      ["B\"C/USDT:USDT", null]
    ] as const
  )("%s is %s", (pair, symbol) => {
    assert.strictEqual(gateFutures.symbol(pair), symbol)
  })
})

const pair = "BTC/USDT:USDT" as const

describe("topic", () => {
  const offered: ReadonlyArray<readonly [PublicChannel, string]> = [
    [{ _tag: "BookTicker", pair }, "book_ticker|BTC_USDT"],
    [{ _tag: "Trades", pair }, "trades|BTC_USDT"],
    [{ _tag: "Book", pair }, "obu|ob.BTC_USDT.50"],
    [{ _tag: "Book", pair, depth: 51 }, "obu|ob.BTC_USDT.400"],
    [{ _tag: "Book", pair, source: "order_book_update" }, "order_book_update|BTC_USDT|100ms|100"],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 50 }, "order_book_update|BTC_USDT|100ms|50"],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 20 }, "order_book_update|BTC_USDT|100ms|50"],
    [{ _tag: "Book", pair, source: "order_book_update", speed: "20ms" }, "order_book_update|BTC_USDT|20ms|20"],
    [{ _tag: "Book", pair, source: "order_book" }, "order_book|BTC_USDT|20|0"],
    [{ _tag: "Book", pair, source: "order_book", depth: 1 }, "order_book|BTC_USDT|1|0"],
    [{ _tag: "Book", pair, source: "order_book", depth: 21 }, "order_book|BTC_USDT|50|0"],
    [{ _tag: "FuturesTicker", pair }, "tickers|BTC_USDT"],
    [{ _tag: "Kline", pair }, "candlesticks|1m|BTC_USDT"],
    [{ _tag: "Kline", pair, interval: "1w", price: "mark" }, "candlesticks|7d|mark_BTC_USDT"],
    [{ _tag: "Kline", pair, interval: "10s", price: "index" }, "candlesticks|10s|index_BTC_USDT"],
    [{ _tag: "Liquidations", pair }, "public_liquidates|BTC_USDT"],
    [{ _tag: "ContractStats", pair }, "contract_stats|BTC_USDT|1m"],
    [{ _tag: "ContractStats", pair, interval: "1w" }, "contract_stats|BTC_USDT|7d"]
  ]
  for (const [channel, key] of offered) {
    it(`${JSON.stringify(channel)} is ${key}`, () => {
      assert.deepStrictEqual(gateFutures.topic(channel, "BTC_USDT"), { _tag: "Topic", key: `futures.${key}` })
    })
  }

  const refused: ReadonlyArray<readonly [PublicChannel, RegExp]> = [
    [{ _tag: "BookTicker", pair, speed: "10ms" }, /speed 10ms: futures.book_ticker is pushed on change only/],
    [{ _tag: "BookTicker", pair, source: "batch" }, /source batch/],
    [{ _tag: "Trades", pair, speed: "100ms" }, /real time only/],
    [{ _tag: "Book", pair, depth: 401 }, /depth 401: obu offers/],
    [{ _tag: "Book", pair, source: "aggre" }, /source aggre: offered are obu/],
    [
      { _tag: "Book", pair, source: "order_book_update", depth: 101 },
      /depth 101 at 100ms: order_book_update offers 100/
    ],
    [{ _tag: "Book", pair, source: "order_book_update", depth: 21, speed: "20ms" }, /depth 21 at 20ms/],
    [{ _tag: "Book", pair, source: "order_book", speed: "100ms" }, /speed 100ms: order_book offers 1, 5, 10/],
    [{ _tag: "Book", pair, source: "order_book", depth: 101 }, /depth 101: order_book offers 1, 5, 10/],
    [{ _tag: "Ticker", pair }, /Ticker: gate-futures has no such channel/],
    [{ _tag: "Kline", pair, interval: "30s" }, /interval 30s: futures.candlesticks offers 10s, 1m, 5m/],
    [{ _tag: "ContractStats", pair, interval: "constructor" as "1m" }, /interval constructor: .* offers 1m, 5m/]
  ]
  for (const [channel, detail] of refused) {
    it(`${JSON.stringify(channel)} is not offered`, () => {
      const name = gateFutures.topic(channel, "BTC_USDT")
      assert(name._tag === "Unsupported")
      assert.match(name.detail, detail)
    })
  }

  it("every pair at once is for liquidations alone", () => {
    assert.deepStrictEqual(gateFutures.topic({ _tag: "Liquidations", pair: "*/*" }, "!all"), {
      _tag: "Topic",
      key: "futures.public_liquidates|!all"
    })
    for (const tag of ["BookTicker", "Trades", "Book", "FuturesTicker", "Kline", "ContractStats"] as const) {
      const name = gateFutures.topic({ _tag: tag, pair: "*/*" }, "!all")
      assert(name._tag === "Unsupported")
      assert.match(name.detail, new RegExp(`${tag} of every pair: only Liquidations`))
    }
  })
})

// ---- Requests ----

const topicOf = (key: string, symbol = ""): Topic => ({
  key: `futures.${key}`,
  channel: "Book",
  symbol,
  pair: null,
  contractSize: null,
  slot: null
})

describe("requests", () => {
  it("have one topic where the payload says more than a name, and the one of all contracts by itself", () => {
    let next = 1
    const topics = [
      topicOf("public_liquidates|BTC_USDT", "BTC_USDT"),
      topicOf("public_liquidates|!all", "!all"),
      topicOf("public_liquidates|ETH_USDT", "ETH_USDT"),
      topicOf("order_book_update|BTC_USDT|100ms|50"),
      topicOf("order_book_update|ETH_USDT|20ms|20"),
      topicOf("order_book|BTC_USDT|5|0"),
      topicOf("candlesticks|1m|mark_BTC_USDT"),
      topicOf("contract_stats|BTC_USDT|5m")
    ]
    const requests = gateFutures.subscribe(topics, { nowMillis: 1_780_000_000_987, nextId: () => next++ })
    assert.deepStrictEqual(
      requests.map(({ frame }) => {
        const { channel, payload } = JSON.parse(String(frame))
        return [channel, payload]
      }),
      [
        ["futures.public_liquidates", ["BTC_USDT", "ETH_USDT"]],
        ["futures.public_liquidates", ["!all"]],
        ["futures.order_book_update", ["BTC_USDT", "100ms", "50"]],
        ["futures.order_book_update", ["ETH_USDT", "20ms", "20"]],
        ["futures.order_book", ["BTC_USDT", "5", "0"]],
        ["futures.candlesticks", ["1m", "mark_BTC_USDT"]],
        ["futures.contract_stats", ["BTC_USDT", "5m"]]
      ]
    )
  })

  it("a ping", () => {
    const frame = gateFutures.heartbeat.ping({ nowMillis: 1_780_000_000_987, nextId: () => 1 })
    assert.deepStrictEqual(JSON.parse(String(frame)), { time: 1_780_000_000, channel: "futures.ping" })
  })
})

// ---- Frames that do not name their topic ----

const push = (channel: string, result: string, event = "update"): string =>
  `{"time":1780000000,"channel":"${channel}","event":"${event}","result":${result}}`

const confirmed = (channel: string, event: string, ...payload: ReadonlyArray<string>): string =>
  JSON.stringify({ id: 1, channel, event, payload, result: { status: "success" } })

const topicsOf = (calls: ReadonlyArray<Call>): ReadonlyArray<string> =>
  calls.flatMap((call) => call.call === "event" ? [call.topic] : call.call === "failed" ? ["failed"] : [])

describe("liquidations of every contract", () => {
  const frame = push(
    "futures.public_liquidates",
    `[{"price":"215.1","size":"-124.5","time":1780000000123,"contract":"BTC_USDT"}]`
  )
  const channel = "futures.public_liquidates"

  it("go to the topics that were confirmed, and to the contract's own when none was", () => {
    const codec = gateFutures.makeCodec(topicTable(gateFutures))
    const topics = () => topicsOf(decode(frame, codec))
    assert.deepStrictEqual(topics(), [`${channel}|BTC_USDT`])
    decode(confirmed(channel, "subscribe", "!all"), codec)
    assert.deepStrictEqual(topics(), [`${channel}|!all`])
    decode(confirmed(channel, "subscribe", "BTC_USDT", "ETH_USDT"), codec)
    assert.deepStrictEqual(topics(), [`${channel}|BTC_USDT`, `${channel}|!all`])
    decode(confirmed(channel, "unsubscribe", "!all"), codec)
    assert.deepStrictEqual(topics(), [`${channel}|BTC_USDT`])
  })

  it("name their pair and the size of a contract where the instrument is known", () => {
    const instrument: Instrument = {
      exchange: "gate-futures",
      pair,
      symbol: "BTC_USDT",
      kind: "swap",
      base: "BTC",
      quote: "USDT",
      settle: "USDT",
      status: "trading",
      priceStep: 0.1,
      quantityStep: 1,
      minQuantity: 1,
      minNotional: null,
      contractSize: 0.0001
    }
    const known = (symbol: string) => symbol === "BTC_USDT" ? instrument : undefined
    const context: CodecContext = { ...topicTable(gateFutures), instrumentOf: known }
    const codec = gateFutures.makeCodec(context)
    decode(confirmed(channel, "subscribe", "!all"), codec)
    const [event] = eventsOf(decode(frame, codec))
    assert(event?._tag === "Liquidation")
    assert.deepInclude(event, { pair, symbol: "BTC_USDT", contractSize: 0.0001, quantity: 124.5, side: "sell" })
    assert.strictEqual(inBase(event, event.quantity), 0.01245)
    const [stranger] = eventsOf(decode(frame.replace("BTC_USDT", "NEW_USDT"), codec))
    assert(stranger?._tag === "Liquidation")
    assert.deepInclude(stranger, { pair: null, symbol: "NEW_USDT", contractSize: null })
    assert.isNull(inBase(stranger, stranger.quantity))
  })
})

describe("statistics, which do not name their interval", () => {
  const frame = push("futures.contract_stats", `[{"time":1780000000,"contract":"BTC_USDT"}]`)

  it("belong to the only one confirmed", () => {
    const codec = gateFutures.makeCodec(topicTable(gateFutures))
    const topics = () => topicsOf(decode(frame, codec))
    const answer = (event: string, interval: string) =>
      decode(confirmed("futures.contract_stats", event, "BTC_USDT", interval), codec)
    assert.deepStrictEqual(topics(), ["futures.contract_stats|BTC_USDT|1m"])
    answer("subscribe", "7d")
    assert.deepStrictEqual(topics(), ["futures.contract_stats|BTC_USDT|7d"])
    const [event] = eventsOf(decode(frame, codec))
    assert(event?._tag === "ContractStats")
    assert.strictEqual(event.interval, "1w")
    answer("subscribe", "5m")
    assert.deepStrictEqual(topics(), ["failed"])
    answer("unsubscribe", "7d")
    assert.deepStrictEqual(topics(), ["futures.contract_stats|BTC_USDT|5m"])
  })
})

describe("whole books of two speeds, which look the same", () => {
  const frame = push("spot.order_book", `{"t":1,"lastUpdateId":7,"s":"BTC_USDT","l":"5","bids":[["1","2"]],"asks":[]}`)
  const unlabelled = frame.replace(`"l":"5",`, "")
  const answer = (level: string, speed: string) => confirmed("spot.order_book", "subscribe", "BTC_USDT", level, speed)

  it("go to every confirmed feed of that many levels", () => {
    const codec = gateSpot.makeCodec(topicTable())
    const [fast, slow] = ["spot.order_book|BTC_USDT|5|100ms", "spot.order_book|BTC_USDT|5|1000ms"]
    assert.deepStrictEqual(topicsOf(decode(frame, codec)), [fast])
    decode(answer("5", "1000ms"), codec)
    assert.deepStrictEqual(topicsOf(decode(frame, codec)), [slow])
    decode(answer("5", "100ms"), codec)
    for (const each of [frame, ` ${frame}`, unlabelled]) {
      assert.deepStrictEqual([...topicsOf(decode(each, codec))].sort(), [slow, fast])
    }
    decode(answer("20", "100ms"), codec)
    assert.deepStrictEqual([...topicsOf(decode(frame, codec))].sort(), [slow, fast])
    assert.deepStrictEqual(topicsOf(decode(unlabelled, codec)), ["failed"])
  })
})

describe("lists", () => {
  const trade = (contract: string, size: number) =>
    `{"size":${size},"id":5,"create_time_ms":1780000000124,"price":"9.5","contract":"${contract}"}`

  it("are read on the fast path, each entry by itself", () => {
    const codec = gateFutures.makeCodec(topicTable(gateFutures))
    const calls = decode(push("futures.trades", `[${trade("A_USDT", 1)},${trade("B_USDT", -2)}]`), codec)
    assert.isFalse(isFallback(calls))
    assert.deepStrictEqual(topicsOf(calls), ["futures.trades|A_USDT", "futures.trades|B_USDT"])
  })

  it("leave nothing behind when an entry cannot be read", () => {
    const codec = gateFutures.makeCodec(topicTable(gateFutures))
    assert.deepStrictEqual(
      topicsOf(decode(push("futures.trades", `[${trade("A_USDT", 1)},${trade("B_USDT", 0)}]`), codec)),
      ["failed"]
    )
    assert.deepStrictEqual(
      topicsOf(decode(push("futures.trades", `[${trade("C_USDT", 1)},${trade("D_USDT", 2)}]`), codec)),
      ["futures.trades|C_USDT", "futures.trades|D_USDT"]
    )
  })
})

// ---- The header that keeps sizes exact ----

describe("X-Gate-Size-Decimal", () => {
  it("goes with every upgrade request; spot needs none", () => {
    assert.deepStrictEqual(gateFutures.endpoint("ws://127.0.0.1:1/"), {
      url: "ws://127.0.0.1:1/",
      headers: { "X-Gate-Size-Decimal": "1" }
    })
    assert.deepStrictEqual(gateSpot.endpoint("ws://127.0.0.1:1/"), { url: "ws://127.0.0.1:1/" })
  })

  it.effect("cannot be left out in silence: a socket without headers is refused before it is dialled", () =>
    Effect.gen(function*() {
      const socket = yield* FrameSocket.FrameSocket
      assert.isFalse(socket.capabilities.headers)
      const dial = socket.open(gateFutures.id, gateFutures.endpoint("ws://127.0.0.1:1/"))
      const error = yield* Effect.flip(Effect.scoped(dial))
      assert(error.reason._tag === "ConnectFailed")
      assert.isFalse(error.isTransient)
      assert.match(error.message, /provide FrameSocket\.layerWs/)
    }).pipe(
      Effect.provide(FrameSocket.layerSocket()),
      Effect.provideService(Socket.WebSocketConstructor, () => assert.fail("dialled"))
    ))
})

// ---- REST ----

interface Requested {
  readonly path: string
  readonly decimal: string | undefined
}

const restOf = (body: unknown, requested: Array<Requested> = []) =>
  gateFutures.makeRest({
    client: HttpClient.make((request, url) => {
      requested.push({ path: url.pathname + url.search, decimal: request.headers["x-gate-size-decimal"] })
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(JSON.stringify(body))))
    }),
    url: "http://127.0.0.1:1/api/v4",
    instrumentOf: () => undefined
  })

const contract = (members: Readonly<Record<string, unknown>> = {}) => ({
  name: "BTC_USDT",
  type: "direct",
  quanto_multiplier: "0.0001",
  order_price_round: "0.1",
  order_size_min: "1",
  enable_decimal: false,
  in_delisting: false,
  status: "trading",
  ...members
})

const instrumentsOf = (...rows: ReadonlyArray<unknown>) => restOf(rows).instruments

describe("instruments", () => {
  it.effect("are read with steps, minimum and contract size", () =>
    Effect.gen(function*() {
      const requested: Array<Requested> = []
      assert.deepStrictEqual(yield* restOf([contract()], requested).instruments, [{
        exchange: "gate-futures",
        pair,
        symbol: "BTC_USDT",
        kind: "swap",
        base: "BTC",
        quote: "USDT",
        settle: "USDT",
        status: "trading",
        priceStep: 0.1,
        quantityStep: 1,
        minQuantity: 1,
        minNotional: null,
        contractSize: 0.0001
      }])
      assert.deepStrictEqual(requested, [{ path: "/api/v4/futures/usdt/contracts", decimal: "1" }])
    }))

  it.effect("have the maintenance and the taker's rate where they are told", () =>
    Effect.gen(function*() {
      const ratesOf = (members: Readonly<Record<string, unknown>>) =>
        Effect.map(instrumentsOf(contract(members)), ([one]) => [one!.maintenanceRate, one!.takerFeeRate])
      assert.deepStrictEqual(yield* ratesOf({ maintenance_rate: "0.003", taker_fee_rate: "0.0005" }), [0.003, 0.0005])
      assert.deepStrictEqual(yield* ratesOf({ maintenance_rate: "0", taker_fee_rate: "0" }), [undefined, 0])
      assert.deepStrictEqual(yield* ratesOf({ maintenance_rate: "?", taker_fee_rate: "" }), [undefined, undefined])
    }))

  it.effect("that take decimals have the smallest size for a step, where there is one", () =>
    Effect.gen(function*() {
      const sizes = yield* instrumentsOf(
        contract({ enable_decimal: true, order_size_min: "0.1" }),
        contract({ enable_decimal: true, order_size_min: "0" }),
        contract({ enable_decimal: true, order_size_min: 1 }),
        contract({ order_size_min: undefined })
      )
      assert.deepStrictEqual(sizes.map(({ minQuantity, quantityStep }) => [quantityStep, minQuantity]), [
        [0.1, 0.1],
        [1, null],
        [1, 1],
        [1, null]
      ])
    }))

  it.effect("trade, pause or are closed", () =>
    Effect.gen(function*() {
      const instruments = yield* instrumentsOf(
        ...["trading", undefined, "prelaunch", "delisting", "delisted", "circuit_breaker"].map((status) =>
          contract({ status })
        ),
        contract({ in_delisting: true }),
        contract({ in_delisting: true, status: undefined })
      )
      assert.deepStrictEqual(instruments.map(({ status }) => status), [
        "trading",
        "trading",
        "paused",
        "paused",
        "closed",
        "paused",
        "paused",
        "paused"
      ])
    }))

  it.effect("that cannot be read are left out", () =>
    Effect.gen(function*() {
      const odd = [
        contract({ quanto_multiplier: "0" }),
        contract({ order_price_round: "" }),
        contract({ name: "BTCUSDT" }),
        contract({ order_size_min: "-1" })
      ]
      const instruments = yield* instrumentsOf(...odd, contract({ name: "币安人生_USDT" }))
      assert.deepStrictEqual(instruments.map((one) => one.pair), ["币安人生/USDT:USDT"])
      const { reason } = yield* Effect.flip(instrumentsOf(contract({ quanto_multiplier: "0" })))
      assert(reason._tag === "DecodeFailed")
      assert.match(reason.detail, /GET \/futures\/usdt\/contracts: no item can be read: multiplier or price step/)
    }))
})

describe("other calls", () => {
  it.effect("books have the depth of their feed, times in seconds and sizes in contracts", () =>
    Effect.gen(function*() {
      const requested: Array<Requested> = []
      const body = {
        id: 123456,
        current: 1623898993.123,
        update: 1623898993.121,
        asks: [{ p: "1.52", s: "100.5" }],
        bids: [{ s: 150, p: "1.17" }]
      }
      const rest = restOf(body, requested)
      const source = "order_book_update"
      const book = yield* rest.book("BTC_USDT", { _tag: "Book", pair, source, depth: 20 }, 0)
      yield* rest.book("BTC_USDT", { _tag: "Book", pair, source, speed: "20ms" }, 3)
      yield* rest.book("BTC_USDT", { _tag: "Book", pair, source }, 0)
      const path = "/api/v4/futures/usdt/order_book?contract=BTC_USDT"
      assert.deepStrictEqual(
        requested,
        [50, 20, 100].map((limit) => ({ path: `${path}&limit=${limit}&with_id=true`, decimal: "1" }))
      )
      assert.deepInclude(book, {
        kind: "snapshot",
        symbol: "BTC_USDT",
        asks: [1.52, 100.5],
        bids: [1.17, 150],
        version: 123456,
        exchangeTime: 1_623_898_993_121,
        contractSize: null
      })
    }))

  it.effect("the clock is the one of spot", () =>
    Effect.gen(function*() {
      const requested: Array<Requested> = []
      assert.strictEqual(yield* restOf({ server_time: 1_789_456_236_538 }, requested).serverTime, 1_789_456_236_538)
      assert.deepStrictEqual(requested.map(({ path }) => path), ["/api/v4/spot/time"])
    }))

  it.effect("turnovers are in quote, by contract; rows that tell none are left out", () =>
    Effect.gen(function*() {
      const requested: Array<Requested> = []
      const rows = [
        { contract: "BTC_USDT", volume_24h_quote: "4554502625.5" },
        { contract: "ETH_USDT", volume_24h_settle: "7" },
        { contract: "ODD_USDT", volume_24h_quote: "much" },
        { contract: "NEW_USDT" },
        null
      ]
      assert.deepStrictEqual(
        yield* restOf(rows, requested).turnovers!,
        new Map([["BTC_USDT", 4_554_502_625.5], ["ETH_USDT", 7]])
      )
      assert.deepStrictEqual(requested.map(({ path }) => path), ["/api/v4/futures/usdt/tickers"])
    }))
})
