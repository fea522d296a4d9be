/** MEXC's channels of the whole market data, the server's half, read with the official schema. */
import { assert, describe, it } from "@effect/vitest"
import protobuf from "protobufjs"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Watch, WorldKline, WorldLevel, WorldStatistics } from "../../src/ExchangeDialect.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { FakeClient, FakeWorld } from "./FakeWorld.ts"
import { fixture, withFixtures } from "./SharedFixtures.ts"

/** From mexcdevelop/websocket-proto. */
const schema = protobuf.parse(`
  syntax = "proto3";
  message Level { string price = 1; string quantity = 2; }
  message LimitDepths {
    repeated Level asks = 1; repeated Level bids = 2; string eventType = 3; string version = 4;
    int64 lastOrderCreateTime = 5;
  }
  message Kline {
    string interval = 1; int64 windowStart = 2; string openingPrice = 3; string closingPrice = 4;
    string highestPrice = 5; string lowestPrice = 6; string volume = 7; string amount = 8; int64 windowEnd = 9;
  }
  message MiniTicker {
    string symbol = 1; string price = 2; string rate = 3; string zonedRate = 4; string high = 5; string low = 6;
    string volume = 7; string quantity = 8; string lastCloseRate = 9; string lastCloseZonedRate = 10;
    string lastCloseHigh = 11; string lastCloseLow = 12;
  }
  message MiniTickers { repeated MiniTicker items = 1; }
  message BookTicker { string bidPrice = 1; string bidQuantity = 2; string askPrice = 3; string askQuantity = 4; }
  message Batch { repeated BookTicker items = 1; string version = 2; int64 lastOrderCreateTime = 3; }
  message Wrapper {
    string channel = 1; optional string symbol = 3; optional string symbolId = 4; optional int64 createTime = 5;
    optional int64 sendTime = 6;
    oneof body {
      LimitDepths limitDepths = 303; Kline kline = 308; MiniTicker miniTicker = 309; MiniTickers miniTickers = 310;
      Batch batch = 311;
    }
  }`).root.lookupType("Wrapper")

interface LimitDepths {
  readonly bids: ReadonlyArray<WorldLevel>
  readonly asks: ReadonlyArray<WorldLevel>
  readonly version: string
  readonly lastOrderCreateTime?: string
}

interface Frame {
  readonly symbol: string
  readonly symbolId: string
  readonly sendTime: string
  readonly kline: object
  readonly limitDepths: LimitDepths
  readonly miniTicker: unknown
  readonly miniTickers: { readonly items: ReadonlyArray<Readonly<Record<string, string>>> }
  readonly batch: unknown
}

const decode = (frame: Uint8Array): Frame => schema.toObject(schema.decode(frame), { longs: String }) as Frame

const level = (price: string, quantity: string): WorldLevel => ({ price, quantity })

const subscribed = (topic: string, clock?: number, pairs: ReadonlyArray<TradingPair> = ["BTC/USDT", "ETH/USDT"]) => {
  const world = new FakeWorld(pairs, clock)
  const client = new FakeClient(mexcSpotDialect, world)
  client.send({ method: "SUBSCRIPTION", params: [topic], id: 1 })
  const [ack] = client.texts()
  return { world, client, msg: (JSON.parse(ack!) as { readonly msg: string }).msg }
}

const statistics: WorldStatistics = {
  open: "80.00",
  high: "101.50",
  low: "79.00",
  last: "100.00",
  quantity: "1.50",
  baseVolume: "1.50",
  quoteVolume: "150.2500",
  time: 0
}

/** The price was 80 a day ago, and 90 at any moment that is asked for. */
const withStatistics = (world: FakeWorld, pair: TradingPair): ReadonlyArray<number | undefined> => {
  const asked: Array<number | undefined> = []
  world.setStatistics(pair, (since) => {
    asked.push(since)
    return since === undefined ? statistics : { ...statistics, open: "90.00" }
  })
  return asked
}

describe("MEXC dialect: klines", () => {
  const kline: WorldKline = {
    openTime: 1_790_281_200_000,
    closeTime: 1_790_281_260_000,
    open: "84300.14",
    high: "84300.15",
    low: "84270.00",
    close: "84270.00",
    quantity: "2.80442403",
    baseVolume: "2.80442403",
    quoteVolume: "236398.4400",
    closed: false
  }

  withFixtures("have the captured fields: symbol's id, time of creation, windows in s, and no time of sending", () => {
    const { client, world } = subscribed("spot@public.kline.v3.api.pb@BTCUSDT@Min1", 1_790_281_249_008)
    assert.deepInclude(world.watches[0], { _tag: "Kline", everyMillis: 1_000, interval: 60_000, price: "last" })
    world.tell("Kline", kline)
    const ours = decode(client.binaries()[0]!)
    const captured = decode(Buffer.from(fixture("mexc-spot.kline.jsonl", "dax-btc"), "hex"))
    assert.deepStrictEqual(Object.keys(ours), Object.keys(captured))
    assert.deepStrictEqual(Object.keys(ours.kline), Object.keys(captured.kline))
    assert.match(ours.symbolId, /^[0-9a-f]{32}$/)
    assert.deepStrictEqual(ours.kline, {
      interval: "Min1",
      windowStart: "1790281200",
      openingPrice: "84300.14",
      closingPrice: "84270",
      highestPrice: "84300.15",
      lowestPrice: "84270",
      volume: "2.80442403",
      amount: "236398.44",
      windowEnd: "1790281260"
    })
  })

  it("come in the documented intervals, weeks and months by the calendar", () => {
    const intervals = ["Min1", "Min5", "Min15", "Min30", "Min60", "Hour4", "Hour8", "Day1", "Week1", "Month1"]
    const watched = intervals.map((interval) => {
      const { world } = subscribed(`spot@public.kline.v3.api.pb@BTCUSDT@${interval}`)
      const [watch] = world.watches
      return watch?._tag === "Kline" ? watch.interval : null
    })
    const minutes = [1, 5, 15, 30, 60, 240, 480, 1_440].map((count) => count * 60_000)
    assert.deepStrictEqual(watched, [...minutes, "week", "month"])
  })
})

describe("MEXC dialect: mini tickers", () => {
  it("volume is in quote and quantity in base; each rate is counted from its own midnight", () => {
    // 1970-01-02T20:00Z is four in the morning at UTC+8, and half past midnight at UTC+4:30.
    const { client, world } = subscribed("spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+4:30", 44 * 3_600_000)
    const asked = withStatistics(world, "BTC/USDT")
    assert.deepInclude(world.watches[0], { _tag: "Statistics", everyMillis: 3_000 })
    world.tell("Statistics", statistics)
    const { miniTicker, sendTime, symbol } = decode(client.binaries()[0]!)
    assert.deepStrictEqual([symbol, sendTime], ["BTCUSDT", String(44 * 3_600_000)])
    assert.deepStrictEqual(miniTicker, {
      symbol: "BTCUSDT",
      price: "100",
      rate: "0.1111",
      zonedRate: "0.1111",
      high: "101.5",
      low: "79",
      volume: "150.25",
      quantity: "1.5",
      lastCloseRate: "0.1111",
      lastCloseZonedRate: "0.1111",
      lastCloseHigh: "101.5",
      lastCloseLow: "79"
    })
    assert.includeMembers([...asked], [40 * 3_600_000, 43.5 * 3_600_000])
  })

  it("of all symbols come in one frame every 3 s, until they are unsubscribed", () => {
    const topic = "spot@public.miniTickers.v3.api.pb@24H"
    const { client, world } = subscribed(topic)
    for (const pair of ["BTC/USDT", "ETH/USDT"] as const) withStatistics(world, pair)
    world.advance(2_999)
    assert.deepStrictEqual(client.take(), [])
    world.advance(3_001)
    const sent = client.take()
    assert.deepStrictEqual(sent.map(({ about }) => about), [
      { _tag: "Data", topic, events: 2 },
      { _tag: "Data", topic, events: 2 }
    ])
    const frame = decode(sent[0]!.frame as Uint8Array)
    assert.notProperty(frame, "symbol")
    assert.deepStrictEqual(frame.miniTickers.items.map((item) => [item["symbol"], item["zonedRate"], item["rate"]]), [
      ["BTCUSDT", "0.25", "0.1111"],
      ["ETHUSDT", "0.25", "0.1111"]
    ])
    client.send({ method: "UNSUBSCRIPTION", params: [topic] })
    client.take()
    world.advance(10_000)
    assert.deepStrictEqual(client.take(), [])
  })
})

describe("MEXC dialect: limited depth and batched book tickers", () => {
  withFixtures("a limited depth is the captured one, but for padding zeros", () => {
    const captured = Buffer.from(fixture("mexc-spot.limit.depth.jsonl", "dax-btc-5"), "hex")
    const { limitDepths, sendTime } = decode(captured)
    const { client, world } = subscribed("spot@public.limit.depth.v3.api.pb@BTCUSDT@5", Number(sendTime))
    assert.deepInclude(world.watches[0], { _tag: "Book", levels: 5 })
    world.tell("Book", {
      version: Number(limitDepths.version),
      time: Number(limitDepths.lastOrderCreateTime ?? 0),
      bids: limitDepths.bids,
      asks: limitDepths.asks
    })
    const [ours] = client.binaries()
    const untrimmed = /^(-?\d+)\.?(\d*?)0*$/u
    const same = (rows: ReadonlyArray<WorldLevel>) =>
      rows.map(({ price, quantity }) => [price, quantity].map((text) => text.replace(untrimmed, "$1.$2")))
    const read = decode(ours!).limitDepths
    assert.deepStrictEqual(same(read.bids), same(limitDepths.bids))
    assert.deepStrictEqual(same(read.asks), same(limitDepths.asks))
    assert.deepStrictEqual({ ...decode(ours!), limitDepths: { ...read, bids: [], asks: [] } }, {
      ...decode(captured),
      limitDepths: { ...limitDepths, bids: [], asks: [] }
    })
  })

  withFixtures("a batch of one item has the fields of the schema", () => {
    const { client, world } = subscribed("spot@public.bookTicker.batch.v3.api.pb@XRPUSDT", 5, ["XRP/USDT"])
    world.ticker({ version: 1, bid: level("2.10", "7.0"), ask: null, time: 0 })
    const ours = decode(client.binaries()[0]!)
    assert.deepStrictEqual(ours.batch, { items: [{ bidPrice: "2.1", bidQuantity: "7" }], version: "1" })
    const constructed = decode(Buffer.from(fixture("mexc-spot.bookTicker.batch.jsonl", "one-sided"), "hex"))
    assert.deepStrictEqual(Object.keys(ours), Object.keys(constructed))
  })

  it("a batch holds what came since the last one, newest last, and has the version of the newest", () => {
    const { client, world } = subscribed("spot@public.bookTicker.batch.v3.api.pb@XRPUSDT", 5, ["XRP/USDT"])
    const [each, batch] = world.watches as ReadonlyArray<Extract<Watch, { readonly _tag: "Ticker" }>>
    const ticker = (version: number) => ({ version, bid: level(String(version), "1"), ask: null, time: version })
    for (const version of [3, 4, 6]) each!.listener(ticker(version))
    assert.deepStrictEqual(client.binaries(), [])
    batch!.listener(ticker(6))
    batch!.listener(ticker(7))
    const items = (...prices: ReadonlyArray<string>) => prices.map((bidPrice) => ({ bidPrice, bidQuantity: "1" }))
    assert.deepStrictEqual(client.binaries().map((frame) => decode(frame).batch), [
      { items: items("3", "4", "6"), version: "6", lastOrderCreateTime: "6" },
      { items: items("7"), version: "7", lastOrderCreateTime: "7" }
    ])
  })
})

describe("MEXC dialect: what is not offered", () => {
  it("is blocked", () => {
    const topics = [
      "spot@public.kline.v3.api.pb@BTCUSDT@Min3",
      "spot@public.kline.v3.api.pb@NOUSDT@Min1",
      "spot@public.kline.v3.api.pb@BTCUSDT",
      "spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+14",
      "spot@public.miniTicker.v3.api.pb@BTCUSDT",
      "spot@public.miniTickers.v3.api.pb@BTCUSDT@24H",
      "spot@public.limit.depth.v3.api.pb@BTCUSDT@50",
      "spot@public.limit.depth.v3.api.pb@btcusdt@5",
      "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT@100ms"
    ]
    for (const topic of topics) {
      const { msg, world } = subscribed(topic)
      assert.strictEqual(msg, `Not Subscribed successfully! [${topic}].  Reason： Blocked! `)
      assert.deepStrictEqual<ReadonlyArray<Watch>>(world.watches, [])
    }
  })
})
