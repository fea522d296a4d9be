/** Gate's channels of the whole market data, the server's half: spot's tickers, candles and books, and all of futures. */
import { assert, describe, it } from "@effect/vitest"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type {
  DialectOptions,
  WorldContractStats,
  WorldKline,
  WorldLevel,
  WorldLiquidation,
  WorldStatistics,
  WorldTrade
} from "../../src/ExchangeDialect.ts"
import { gateFuturesDialect, gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { FakeClient, FakeWorld } from "./FakeWorld.ts"
import { fixture, withFixtures } from "./SharedFixtures.ts"

/** What servers send, read freely. */
interface Wire {
  readonly [key: string]: Wire
}

const parse = (text: string): Wire => JSON.parse(text)

const level = (price: string, quantity: string): WorldLevel => ({ price, quantity })

const decimalHeader = { "x-gate-size-decimal": "1" }

interface Setup {
  readonly decimal?: boolean
  readonly pairs?: ReadonlyArray<TradingPair>
  readonly clock?: number
  readonly options?: DialectOptions
}

const futures = (
  channel: string,
  payload: ReadonlyArray<string>,
  { clock, decimal = true, options, pairs = ["BTC/USDT:USDT", "ETH/USDT:USDT"] }: Setup = {}
) => {
  const world = new FakeWorld(pairs, clock)
  const client = new FakeClient(gateFuturesDialect, world, options, decimal ? decimalHeader : {})
  const request = (channel: string, payload: ReadonlyArray<string>, event = "subscribe"): ReadonlyArray<Wire> => {
    client.send({ time: Math.floor(world.clock / 1_000), id: 7, channel, event, payload })
    return client.texts().map(parse)
  }
  return { world, client, request, answers: request(channel, payload) }
}

const spot = (channel: string, payload: ReadonlyArray<string>, clock?: number) => {
  const world = new FakeWorld(["BTC/USDT", "ETH/USDT"], clock)
  const client = new FakeClient(gateSpotDialect, world)
  client.send({ time: Math.floor(world.clock / 1_000), channel, event: "subscribe", payload })
  return { world, client, answers: client.texts().map(parse) }
}

const resultOf = (client: FakeClient): Wire => {
  const texts = client.texts()
  assert.strictEqual(texts.length, 1)
  return parse(texts[0]!)["result"]!
}

const errorOf = (answers: ReadonlyArray<Wire>): unknown => {
  assert.strictEqual(answers.length, 1)
  return answers[0]!["error"]
}

const kline = (change: Partial<WorldKline> = {}): WorldKline => ({
  openTime: 1_545_129_300_000,
  closeTime: 1_545_129_360_000,
  open: "94.30",
  high: "96.90",
  low: "89.50",
  close: "95.40",
  quantity: "27525555.5",
  baseVolume: "2752.5555500",
  quoteVolume: "262594.7995",
  closed: false,
  ...change
})

const statistics: WorldStatistics = {
  open: "80.00",
  high: "101.50",
  low: "79.00",
  last: "100.00",
  quantity: "12345.5",
  baseVolume: "1.23455",
  quoteVolume: "123.4550",
  time: 1_789_456_337_802
}

const keys = (value: object): ReadonlyArray<string> => Object.keys(value).sort()

describe("Gate dialect: spot's tickers, candles and books", () => {
  withFixtures("a ticker has the captured keys; change in per cent, empty texts where a side is", () => {
    const { client, world } = spot("spot.tickers", ["BTC_USDT"])
    world.tell("Statistics", statistics)
    const result = resultOf(client)
    assert.deepStrictEqual(
      keys(result),
      keys(parse(fixture("gateio-spot.spot.tickers.jsonl", "cf-neo_btc"))["result"]!)
    )
    assert.deepStrictEqual<unknown>([result["change_percentage"], result["lowest_ask"], result["last"]], [
      "25",
      "",
      "100.00"
    ])
  })

  withFixtures("a candle has the captured keys: t is text in s, v in quote, a in base", () => {
    const { client, world } = spot("spot.candlesticks", ["1m", "BTC_USDT"])
    assert.deepStrictEqual<unknown>([...client.connection.topics()], ["spot.candlesticks|1m|BTC_USDT"])
    assert.deepInclude(world.watches[0], { _tag: "Kline", interval: 60_000, price: "last" })
    world.tell("Kline", kline({ openTime: 1_545_129_360_000, closeTime: 1_545_129_420_000, closed: true }))
    const result = resultOf(client)
    assert.deepStrictEqual(
      keys(result),
      keys({ ...parse(fixture("gateio-spot.spot.candlesticks.jsonl", "btc-2022"))["result"]!, w: true })
    )
    assert.deepStrictEqual<unknown>(result, {
      t: "1545129360",
      v: "262594.7995",
      c: "95.40",
      h: "96.90",
      l: "89.50",
      o: "94.30",
      n: "1m_BTC_USDT",
      a: "2752.5555500",
      w: true
    })
  })

  it("one closing frame in four is missing, as documented", () => {
    const { client, world } = spot("spot.candlesticks", ["1m", "BTC_USDT"])
    const closings = [0, 1, 2, 3].map((minute) => {
      const openTime = minute * 60_000
      world.tell("Kline", kline({ openTime, closeTime: openTime + 60_000, closed: true }))
      return client.take().length
    })
    assert.deepStrictEqual(closings, [1, 1, 1, 0])
  })

  withFixtures("a book comes whole, best levels first, with the keys of the documents", () => {
    const { client, world } = spot("spot.order_book", ["BTC_USDT", "5", "100ms"], 1_606_295_412_213)
    assert.deepInclude(world.watches[0], { _tag: "Book", levels: 5, everyMillis: 100 })
    world.tell("Book", {
      version: 48_791_820,
      time: 1_606_295_412_123,
      bids: [level("19079.55", "0.0195"), level("19079.07", "0.7341")],
      asks: [level("19080.24", "0.1638")]
    })
    const push = parse(client.texts()[0]!)
    const documented = parse(fixture("gateio-spot.spot.order_book.jsonl", "doc"))
    assert.deepStrictEqual(Object.keys(push["result"]!), Object.keys(documented["result"]!))
    assert.deepStrictEqual<unknown>(push["result"]!["bids"], [["19079.55", "0.0195"], ["19079.07", "0.7341"]])
    assert.deepStrictEqual<unknown>([push["event"], push["result"]!["lastUpdateId"]], ["update", 48_791_820])
  })

  it("what is not offered is refused with code 2", () => {
    const refusals: ReadonlyArray<readonly [string, ReadonlyArray<string>, string]> = [
      ["spot.candlesticks", ["7m", "BTC_USDT"], "unknown interval 7m"],
      ["spot.candlesticks", ["1m", "NO_USDT"], "unknown currency pair: NO_USDT"],
      ["spot.order_book", ["BTC_USDT", "7", "100ms"], "provided level not supported: 7"],
      ["spot.order_book", ["BTC_USDT", "5", "10ms"], "incorrect update interval specified: 10ms"],
      ["spot.order_book", ["NO_USDT", "5", "100ms"], "unknown currency pair: NO_USDT"],
      ["spot.tickers", ["BTC_USDT", "NO_USDT"], "unknown currency pair: NO_USDT"]
    ]
    for (const [channel, payload, message] of refusals) {
      const { answers, world } = spot(channel, payload)
      assert.deepStrictEqual<unknown>(errorOf(answers), { code: 2, message })
      assert.deepStrictEqual(world.watches, [])
    }
  })

  it("REST tells the last 24 hours of one pair or of all", () => {
    const world = new FakeWorld(["BTC/USDT", "ETH/USDT"])
    const all = JSON.parse(world.request(gateSpotDialect, "/spot/tickers").body)
    assert.deepStrictEqual(all.map((ticker: Wire) => ticker["currency_pair"]), ["BTC_USDT", "ETH_USDT"])
    const one = JSON.parse(world.request(gateSpotDialect, "/spot/tickers", { currency_pair: "ETH_USDT" }).body)
    assert.strictEqual(one.length, 1)
    assert.deepStrictEqual(Object.keys(one[0]).slice(-2), ["lowest_size", "highest_size"])
    const none = world.request(gateSpotDialect, "/spot/tickers", { currency_pair: "NO_USDT" })
    assert.strictEqual(none.status, 400)
  })
})

describe("Gate dialect: futures frames", () => {
  withFixtures("writes the captured book ticker, text for text; sizes are whole numbers without the header", () => {
    const { client, world } = futures("futures.book_ticker", ["BTC_USDT"], { decimal: false, clock: 1_789_456_337_019 })
    const ticker = {
      version: 125_034_507_671,
      bid: level("77179.0", "107847"),
      ask: level("77179.1", "5808.9"),
      time: 1_789_456_337_013
    }
    world.ticker(ticker)
    assert.deepStrictEqual(client.texts(), [fixture("gateio-futures.futures.book_ticker.jsonl", "nem-2026")])
    world.ticker({ ...ticker, bid: null })
    const { A, B, b } = resultOf(client)
    assert.deepStrictEqual<unknown>([b, B, A], ["", 0, 5808])
  })

  it("sizes are exact texts with the header", () => {
    const { client, world } = futures("futures.book_ticker", ["ETH_USDT"])
    world.ticker({ version: 1, bid: null, ask: level("2172.85", "1053.50"), time: 5 })
    assert.deepStrictEqual<unknown>(resultOf(client), {
      t: 5,
      u: 1,
      s: "ETH_USDT",
      b: "",
      B: "0",
      a: "2172.85",
      A: "1053.5"
    })
  })

  withFixtures("trades come in lists; the sign of the size is the taker's side", () => {
    const { client, world } = futures("futures.trades", ["BTC_USDT"])
    const trade: WorldTrade = {
      id: 27_753_479,
      price: "96.40",
      quantity: "108.5",
      side: "sell",
      time: 1_545_136_464_123
    }
    world.trades([trade, { ...trade, id: 27_753_480, side: "buy" }])
    const [sent] = client.take()
    assert.deepStrictEqual(sent!.about, { _tag: "Data", topic: "futures.trades|BTC_USDT", events: 2 })
    const { result } = parse(sent!.frame as string)
    assert.deepStrictEqual<unknown>(result![0], {
      size: "-108.5",
      id: 27_753_479,
      create_time: 1_545_136_464,
      create_time_ms: 1_545_136_464_123,
      price: "96.4",
      contract: "BTC_USDT"
    })
    assert.strictEqual<unknown>(result![1]!["size"], "108.5")
    const captured = parse(fixture("gateio-futures.futures.trades.jsonl", "three-2021"))["result"]![0]!
    assert.deepStrictEqual(keys(result![0]!), keys(captured))
  })

  it("without the header sizes are rounded towards zero", () => {
    const { client, world } = futures("futures.trades", ["BTC_USDT"], { decimal: false })
    const trade: WorldTrade = { id: 1, price: "1", quantity: "1.7", side: "sell", time: 1 }
    world.trades([trade, { ...trade, side: "buy" }, { ...trade, quantity: "0.7" }])
    const sizes = (resultOf(client) as unknown as ReadonlyArray<Wire>).map((trade) => trade["size"])
    assert.deepStrictEqual<unknown>(sizes, [-1, 1, 0])
  })

  withFixtures(
    "obu is exact without the header, in the captured order of keys, and silent for an unknown contract",
    () => {
      const { answers, client, request, world } = futures("futures.obu", ["ob.ETH_USDT.50"], { decimal: false })
      const book = answers.find((answer) => answer["event"] as unknown === "update")!
      const captured = parse(fixture("gateio-futures.futures.obu.jsonl", "eth-full-fractional"))
      assert.deepStrictEqual(Object.keys(book), Object.keys(captured))
      assert.deepStrictEqual(Object.keys(book["result"]!), Object.keys(captured["result"]!))
      world.delta({ firstVersion: 1, version: 2, bids: [level("2480.27", "2781.6")], asks: [], time: 3 })
      assert.deepStrictEqual<unknown>(resultOf(client)["b"], [["2480.27", "2781.6"]])
      const silent = request("futures.obu", ["ob.NO_USDT.50", "ob.BTC_USDT.20"])
      assert.deepStrictEqual<unknown>(silent.map((answer) => answer["result"]), [{ status: "success" }])
      assert.isTrue(client.connection.topics().has("futures.obu|ob.NO_USDT.50"))
      assert.deepStrictEqual<unknown>(errorOf(request("futures.obu", ["ob.ETH_USDT.50"])), {
        code: 2,
        message: "Alert sub ob.ETH_USDT.50"
      })
    }
  )

  withFixtures("writes the captured book update, text for text, and the level that was asked for", () => {
    const { client, world } = futures("futures.order_book_update", ["BTC_USDT", "20ms", "20"], {
      decimal: false,
      clock: 1_789_455_569_067
    })
    assert.deepStrictEqual([...client.connection.topics()], ["futures.order_book_update|BTC_USDT|20ms|20"])
    world.delta({
      firstVersion: 125_033_668_137,
      version: 125_033_668_232,
      // Deltas are unordered on the wire: the dialect writes them backwards.
      asks: [level("77233.30", "0"), level("77232.2", "2100")],
      bids: [level("77230.00", "11364")],
      time: 1_789_455_569_062
    })
    assert.deepStrictEqual(client.texts(), [fixture("gateio-futures.futures.order_book_update.jsonl", "nem-2026")])
    const deep = futures("futures.order_book_update", ["BTC_USDT", "100ms", "50"])
    assert.deepInclude(deep.world.watches[0], { window: 50, everyMillis: 100 })
    assert.deepStrictEqual<unknown>(errorOf(deep.request("futures.order_book_update", ["BTC_USDT", "20ms", "100"])), {
      code: 2,
      message: "provided level not supported: 100"
    })
  })

  withFixtures("the legacy book comes whole as event all", () => {
    const { client, world } = futures("futures.order_book", ["BTC_USDT", "20", "0"])
    world.tell("Book", { version: 93_973_511, time: 1_541_500_161_123, bids: [level("96.9", "3100.2")], asks: [] })
    const push = parse(client.texts()[0]!)
    assert.strictEqual<unknown>(push["event"], "all")
    assert.deepStrictEqual<unknown>(push["result"]!["bids"], [{ p: "96.9", s: "3100.2" }])
    const documented = parse(fixture("gateio-futures.futures.order_book.jsonl", "btc-usd-20-levels"))
    assert.deepStrictEqual(keys(push["result"]!), keys({ ...documented["result"]!, l: "" }))
  })

  withFixtures(
    "tickers come in lists, whole at once after the ack, with the keys of documents and measurements",
    () => {
      const { answers, client, world } = futures("futures.tickers", ["BTC_USDT"])
      assert.strictEqual(answers.length, 2)
      assert.strictEqual<unknown>(answers[0]!["event"], "subscribe")
      assert.strictEqual<unknown>(answers[1]!["result"]![0]!["event_type"], "snapshot")
      world.tell("Statistics", statistics)
      const entry = resultOf(client)[0]!
      const known = ["doc", "nem-2026"].flatMap((name) =>
        keys(parse(fixture("gateio-futures.futures.tickers.jsonl", name))["result"]![0]!)
      ).filter((key) => !/_(?:btc|usd)$/.test(key))
      assert.deepStrictEqual(known.filter((key) => !(key in entry)), [])
      assert.deepInclude<unknown>(entry, {
        contract: "BTC_USDT",
        last: "100",
        change_percentage: "25",
        volume_24h: "12345.5",
        volume_24h_base: "1.23455",
        funding_interval: 28_800
      })
      const whole = futures("futures.tickers", ["BTC_USDT"], { decimal: false })
      whole.world.tell("Statistics", statistics)
      assert.strictEqual<unknown>(resultOf(whole.client)[0]!["volume_24h"], "12345")
    }
  )

  withFixtures("candles come in lists: t in s, v in contracts, of the last, mark or index price", () => {
    const { client, request, world } = futures("futures.candlesticks", ["1m", "BTC_USDT"])
    request("futures.candlesticks", ["1h", "index_BTC_USDT"])
    request("futures.candlesticks", ["1d", "mark_BTC_USDT"])
    assert.deepStrictEqual(
      world.watches.map((watch) => watch._tag === "Kline" ? [watch.interval, watch.price] : null),
      [[60_000, "last"], [3_600_000, "index"], [86_400_000, "mark"]]
    )
    assert.isTrue(client.connection.topics().has("futures.candlesticks|1h|index_BTC_USDT"))
    world.tell("Kline", kline())
    const [last, index] = client.texts().map((text) => parse(text)["result"]![0]!)
    assert.deepStrictEqual<unknown>(last, {
      t: 1_545_129_300,
      v: "27525555.5",
      c: "95.4",
      h: "96.9",
      l: "89.5",
      o: "94.3",
      n: "1m_BTC_USDT",
      a: "2752.55555",
      w: false
    })
    const constructed = parse(fixture("gateio-futures.futures.candlesticks.jsonl", "index-price"))["result"]![0]!
    assert.strictEqual<unknown>(index!["n"], constructed["n"])
  })

  withFixtures("statistics have the documented keys", () => {
    const stats: WorldContractStats = {
      time: 1_742_812_860_000,
      markPrice: "87746.160",
      openInterest: "22883730.5",
      openInterestValue: "200000.5000",
      takerRatio: 0.5,
      accountRatio: 1.97,
      topAccountRatio: 1.19,
      topSizeRatio: 0.83,
      longLiquidations: "5000.5",
      shortLiquidations: "0"
    }
    const { client, world } = futures("futures.contract_stats", ["BTC_USDT", "1m"])
    world.tell("ContractStats", stats)
    const entry = resultOf(client)[0]!
    assert.deepStrictEqual(
      keys(entry),
      keys(parse(fixture("gateio-futures.futures.contract_stats.jsonl", "doc"))["result"]![0]!)
    )
    assert.deepInclude<unknown>(entry, {
      time: 1_742_812_860,
      mark_price: 87_746.16,
      long_liq_size: "5000.5",
      long_liq_amount: 0.50005,
      short_liq_usd: 0,
      open_interest: "22883730.5"
    })
    assert.closeTo(entry["long_liq_usd"] as unknown as number, 0.50005 * 87_746.16, 1e-3)
  })

  it("liquidations come in lists of at most twenty, of one contract or of all", () => {
    const { client, request, world } = futures("futures.public_liquidates", ["!all"])
    assert.strictEqual(world.watches.length, 2)
    const liquidation = (id: number): WorldLiquidation => ({
      id,
      price: "215.10",
      quantity: "124.5",
      side: id % 2 === 0 ? "buy" : "sell",
      time: 1_541_486_601_123
    })
    const [first] = world.watches
    assert(first?._tag === "Liquidations")
    first.listener(Array.from({ length: 25 }, (_, i) => liquidation(i + 1)))
    const sent = client.take()
    assert.deepStrictEqual(sent.map(({ about }) => about), [
      { _tag: "Data", topic: "futures.public_liquidates|!all", events: 20 },
      { _tag: "Data", topic: "futures.public_liquidates|!all", events: 5 }
    ])
    assert.deepStrictEqual<unknown>(parse(sent[0]!.frame as string)["result"]![0], {
      price: "215.1",
      size: "-124.5",
      time: 1_541_486_601_123,
      contract: "BTC_USDT"
    })
    request("futures.public_liquidates", ["BTC_USDT"])
    assert.strictEqual(world.watches.length, 3)
    request("futures.public_liquidates", ["!all"], "unsubscribe")
    assert.strictEqual(world.watches.length, 1)
    assert.deepInclude(errorOf(request("futures.public_liquidates", ["!all", "BTC_USDT"])), { code: 2 })
  })
})

describe("Gate dialect: futures requests", () => {
  withFixtures("pings, acks and notices are of futures, and name no request id of their own", () => {
    const { answers, client } = futures("futures.book_ticker", ["BTC_USDT", "ETH_USDT"])
    const captured = parse(fixture("gateio-futures.control.jsonl", "ack-four"))
    assert.deepStrictEqual(Object.keys(answers[0]!).filter((key) => key !== "id"), Object.keys(captured))
    client.send({ time: 1, channel: "futures.ping" })
    assert.deepInclude<unknown>(parse(client.texts()[0]!), { channel: "futures.pong", event: "", result: null })
    client.connection.notify!("upgrade")
    const notice = parse(client.texts()[0]!)
    assert.deepStrictEqual(
      { ...notice, time: 0, time_ms: 0 } as unknown,
      { ...parse(fixture("gateio-futures.futures.system.jsonl", "upgrade-a")), time: 0, time_ms: 0 }
    )
  })

  it("a list with one unknown contract is refused as a whole, in the channel's own words", () => {
    const { request, world } = futures("futures.tickers", ["BTC_USDT", "NO_USDT"])
    assert.deepStrictEqual(world.watches, [])
    const refusals: ReadonlyArray<readonly [string, ReadonlyArray<string>, string]> = [
      ["futures.book_ticker", ["BTC_USDT", "NO_USDT"], "unknown contract NO_USDT"],
      ["futures.trades", ["NO_USDT"], "unknown contract NO_USDT"],
      ["futures.tickers", ["NO_USDT"], "unknown currency pair: NO_USDT"],
      ["futures.order_book_update", ["NO_USDT", "100ms"], "unknown currency pair NO_USDT"],
      ["futures.order_book", ["NO_USDT", "20", "0"], "unknown contract NO_USDT"],
      ["futures.candlesticks", ["1m", "mark_NO_USDT"], "unknown contract NO_USDT"],
      ["futures.candlesticks", ["3m", "BTC_USDT"], "unknown interval 3m"],
      ["futures.contract_stats", ["NO_USDT", "1m"], "unknown contract NO_USDT"],
      ["futures.contract_stats", ["BTC_USDT", "2m"], "unknown interval 2m"],
      ["futures.public_liquidates", ["NO_USDT"], "unknown contract NO_USDT"],
      ["spot.trades", ["BTC_USDT"], "Unknown channel spot.trades"]
    ]
    for (const [channel, payload, message] of refusals) {
      assert.deepStrictEqual<unknown>(errorOf(request(channel, payload)), { code: 2, message })
    }
    assert.deepStrictEqual(world.watches, [])
  })
})

describe("Gate dialect: futures REST", () => {
  const world = new FakeWorld(["BTC/USDT:USDT", "ETH/USDT:USDT"])
  const get = (path: string, query: Readonly<Record<string, string>> = {}, headers = {}) => {
    const { body, status } = world.request(gateFuturesDialect, path, query, undefined, "GET", headers)
    return { status, body: JSON.parse(body) as Wire }
  }

  it("lists contracts, and one by its name; the smallest order depends on the header", () => {
    const { body } = get("/futures/usdt/contracts")
    assert.deepStrictEqual((body as unknown as ReadonlyArray<Wire>).map((contract) => contract["name"] as unknown), [
      "BTC_USDT",
      "ETH_USDT"
    ])
    const one = get("/futures/usdt/contracts/ETH_USDT").body
    assert.deepInclude<unknown>(one, {
      name: "ETH_USDT",
      quanto_multiplier: "0.0001",
      order_price_round: "0.01",
      mark_price_round: "0.001",
      order_size_min: 0,
      enable_decimal: true,
      funding_interval: 28_800,
      status: "trading"
    })
    const exact = get("/futures/usdt/contracts/ETH_USDT", {}, decimalHeader).body
    assert.strictEqual<unknown>(exact["order_size_min"], "0.0001")
    assert.deepStrictEqual<unknown>(get("/futures/usdt/contracts/NO_USDT"), {
      status: 400,
      body: { label: "CONTRACT_NOT_FOUND", message: "contract NO_USDT not found" }
    })
  })

  it("answers books in objects, times in s with fractions, at most 300 levels", () => {
    world.clock = 1_623_898_993_123
    world.setBook("BTC/USDT:USDT", {
      version: 123_456,
      time: 1_623_898_993_121,
      asks: [level("1.52", "100.5")],
      bids: [level("1.17", "150")]
    })
    const query = { contract: "BTC_USDT", with_id: "true", limit: "300" }
    assert.deepStrictEqual<unknown>(get("/futures/usdt/order_book", query, decimalHeader).body, {
      id: 123_456,
      current: 1_623_898_993.123,
      update: 1_623_898_993.121,
      asks: [{ p: "1.52", s: "100.5" }],
      bids: [{ p: "1.17", s: "150" }]
    })
    assert.strictEqual<unknown>(get("/futures/usdt/order_book", query).body["asks"]![0]!["s"], 100)
    assert.deepStrictEqual<unknown>(get("/futures/usdt/order_book", { ...query, limit: "301" }), {
      status: 400,
      body: { label: "TOO_BIG", message: "limit 300" }
    })
  })

  it("tells the last 24 hours of one contract or of all, and the time", () => {
    assert.strictEqual(Object.keys(get("/futures/usdt/tickers").body).length, 2)
    assert.strictEqual<unknown>(get("/futures/usdt/tickers", { contract: "ETH_USDT" }).body[0]!["contract"], "ETH_USDT")
    assert.strictEqual(get("/futures/usdt/tickers", { contract: "NO" }).status, 400)
    assert.strictEqual<unknown>(get("/spot/time").body["server_time"], world.clock)
    assert.strictEqual<unknown>(get("/futures/usdt/accounts").body["label"], "MISSING_REQUIRED_HEADER")
  })
})
