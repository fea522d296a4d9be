import { assert, describe, it } from "@effect/vitest"
import protobuf from "protobufjs"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { WorldLevel, WorldTrade } from "../../src/ExchangeDialect.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { FakeClient, FakeWorld } from "./FakeWorld.ts"
import { fixture, withFixtures } from "./SharedFixtures.ts"

const real = { limits: "real" } as const

type Rows = ReadonlyArray<readonly [string, string]>

/** Some keys of the JSON that servers send; what a frame lacks reads as undefined. */
interface Wire {
  readonly [key: string]: unknown
  readonly msg: string
  readonly conn_id: string
  readonly trace_id: string
  readonly error: unknown
  readonly result: WireResult
  readonly bids: Rows
  readonly asks: Rows
  readonly symbols: ReadonlyArray<Readonly<Record<string, unknown>>>
}

interface WireResult {
  readonly [key: string]: unknown
  readonly status: string
  readonly t: number
  readonly u: number
  readonly U: number
  readonly b: Rows
  readonly a: Rows
}

const parse = (text: string): Wire => JSON.parse(text)

const level = (price: string, quantity: string): WorldLevel => ({ price, quantity })

/** Key order included. */
const keysOf = (value: object): ReadonlyArray<string> => Object.keys(value)

// ---- MEXC -----------------------------------------------------------------------------------------------------------

/** The official schema of the served messages (mexcdevelop/websocket-proto). */
const schema = protobuf.parse(`
  syntax = "proto3";
  message Level { string price = 1; string quantity = 2; }
  message Depths {
    repeated Level asks = 1; repeated Level bids = 2; string eventType = 3; string fromVersion = 4;
    string toVersion = 5; int64 lastOrderCreateTime = 6;
  }
  message Deal { string price = 1; string quantity = 2; int32 tradeType = 3; int64 time = 4; string tradeId = 5; }
  message Deals { repeated Deal deals = 1; string eventType = 2; }
  message BookTicker {
    string bidPrice = 1; string bidQuantity = 2; string askPrice = 3; string askQuantity = 4; string version = 5;
    int64 lastOrderCreateTime = 6;
  }
  message Wrapper {
    string channel = 1; optional string symbol = 3; optional string symbolId = 4; optional int64 createTime = 5;
    optional int64 sendTime = 6;
    oneof body {
      Depths publicAggreDepths = 313; Deals publicAggreDeals = 314; BookTicker publicAggreBookTicker = 315;
    }
  }`).root.lookupType("Wrapper")

interface Deal {
  readonly price: string
  readonly tradeId?: string
}

interface MexcFrame {
  readonly channel: string
  readonly symbol: string
  readonly publicAggreDepths: { readonly asks: ReadonlyArray<WorldLevel>; readonly bids: ReadonlyArray<WorldLevel> }
  readonly publicAggreDeals: { readonly deals: ReadonlyArray<Deal>; readonly eventType: string }
  readonly publicAggreBookTicker: {
    readonly bidQuantity: string
    readonly version: string
    readonly lastOrderCreateTime?: string
  }
}

const decode = (frame: Uint8Array): MexcFrame => schema.toObject(schema.decode(frame), { longs: String }) as MexcFrame

const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex")

const mexcTopic = (channel: string, interval = "100ms", symbol = "BTCUSDT"): string =>
  `spot@public.aggre.${channel}.v3.api.pb@${interval}@${symbol}`

const mexcWorld = (clock?: number, pairs: ReadonlyArray<TradingPair> = ["BTC/USDT", "ETH/USDT"]): FakeWorld =>
  new FakeWorld(pairs, clock)

const subscribed = (world: FakeWorld, topics: ReadonlyArray<string>, options = { limits: "off" as "off" | "real" }) => {
  const client = new FakeClient(mexcSpotDialect, world, options)
  client.send({ method: "SUBSCRIPTION", params: topics, id: 1 })
  client.take()
  return client
}

const blocked = (list: string): string => `Not Subscribed successfully! [${list}].  Reason： Blocked! `

describe("MEXC dialect: frames", () => {
  it("writes the book ticker that protocols document, byte for byte", () => {
    const world = mexcWorld(1789897517479)
    const client = subscribed(world, [mexcTopic("bookTicker")])
    world.ticker({
      version: 81721676217,
      bid: level("80535.88", "0.38049700"),
      ask: level("80535.89", "0.33336356"),
      time: 1789897517454
    })
    const [frame] = client.binaries()
    assert.strictEqual(
      hexOf(frame!),
      "0a3473706f74407075626c69632e61676772652e626f6f6b5469636b65722e76332e6170692e7062403130306d7340425443555344541a0742"
        + "5443555344543"
        + "0a7d3d2f18b34da133e0a0838303533352e38381208302e3338303439371a0838303533352e3839220a302e33333333363335362a0b3831"
        + "3732313637363231373"
        + "08ed3d2f18b34"
    )
  })

  it("writes the depth frame that protocols document, byte for byte, absent defaults included", () => {
    const world = mexcWorld(1754741322152)
    const client = subscribed(world, [mexcTopic("depth")])
    world.delta({
      firstVersion: 43296363236,
      version: 43296363255,
      asks: [level("117145.49", "0.00000000")],
      bids: [level("117053.41", "1.86837271")],
      time: 0
    })
    const [frame] = client.binaries()
    assert.strictEqual(
      hexOf(frame!),
      "0a2f73706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d7340425443555344541a07425443555344"
        + "5430a8e3eef58833ca136c0a0e0a093131373134352e343912013012170a093131373035332e3431120a312e38363833373237311a2773"
        + "706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d73220b34333239363336333233362a0b3433"
        + "323936333633323535"
    )
  })

  it("writes trades with taker side, time and trade id", () => {
    const world = mexcWorld(1736409765052)
    const client = subscribed(world, [mexcTopic("deals")])
    const trade = (id: number, side: "buy" | "sell"): WorldTrade => ({
      id,
      price: "93220.00",
      quantity: "0.04438243",
      side,
      time: 1736409765051
    })
    world.trades([trade(7, "sell"), trade(8, "buy")])
    const [sent] = client.take()
    assert.deepStrictEqual<unknown>(sent!.about, { _tag: "Data", topic: mexcTopic("deals"), events: 2 })
    const deal = { price: "93220", quantity: "0.04438243", time: "1736409765051" }
    assert.deepStrictEqual<unknown>(decode(sent!.frame as Uint8Array), {
      channel: mexcTopic("deals"),
      symbol: "BTCUSDT",
      sendTime: "1736409765052",
      publicAggreDeals: {
        deals: [
          { ...deal, tradeType: 2, tradeId: "7X0_7X0" },
          { ...deal, tradeType: 1, tradeId: "8X0_8X0" }
        ],
        eventType: "spot@public.aggre.deals.v3.api.pb@100ms"
      }
    })
    // The documents' frame of one such trade, decoded: all that it has, ours has too.
    const documented = decode(Buffer.from(
      "0a2f73706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d7340425443555344541a07425443555344"
        + "5430bca9d9d0c432d2134a0a1f0a0839333232302e3030120a302e3034343338323433180220bba9d9d0c432122773706f74407075626c"
        + "69632e61676772652e6465616c732e76332e6170692e7062403130306d73",
      "hex"
    ))
    const ours = decode(sent!.frame as Uint8Array)
    const { tradeId, ...first } = ours.publicAggreDeals.deals[0]!
    assert.strictEqual(tradeId, "7X0_7X0")
    const { price, ...rest } = documented.publicAggreDeals.deals[0]!
    assert.strictEqual(Number(first.price), Number(price))
    assert.deepStrictEqual<unknown>({ ...first, price: undefined }, { ...rest, price: undefined })
    assert.deepStrictEqual<unknown>({ ...ours, publicAggreDeals: null }, { ...documented, publicAggreDeals: null })
  })

  withFixtures("writes captured frames byte for byte", () => {
    const world = mexcWorld(1790281243450)
    const client = subscribed(world, [mexcTopic("bookTicker")])
    world.ticker({
      version: 82164153430,
      bid: level("84270.00", "0.006387"),
      ask: level("84270.01", "5.42169969"),
      time: 0
    })
    const ours = decode(client.binaries()[0]!)
    const captured = decode(Buffer.from(fixture("mexc-spot.aggre.bookTicker.jsonl", "dax-btc"), "hex"))
    world.ticker({
      version: Number(captured.publicAggreBookTicker.version),
      bid: level("84270.00", "0.006387"),
      ask: level("84270.01", "5.42169969"),
      time: Number(captured.publicAggreBookTicker.lastOrderCreateTime)
    })
    assert.strictEqual(hexOf(client.binaries()[0]!), fixture("mexc-spot.aggre.bookTicker.jsonl", "dax-btc"))
    assert.notProperty(ours.publicAggreBookTicker, "lastOrderCreateTime")

    const depth = subscribed(world, [mexcTopic("depth", "10ms")])
    world.clock = 1782208005090
    world.delta({
      firstVersion: 74891313263,
      version: 74891313263,
      asks: [],
      bids: [level("61759.73", "0.00017780")],
      time: 0
    })
    assert.strictEqual(hexOf(depth.binaries()[0]!), fixture("mexc-spot.aggre.depth.jsonl", "tardis-2026"))

    const deals = subscribed(world, [mexcTopic("deals")])
    world.clock = 1790281246250
    world.trades([
      { id: 1, price: "84270", quantity: "0.00099829", side: "sell", time: 1790281246176 },
      { id: 2, price: "84270", quantity: "0.00019169", side: "buy", time: 1790281246177 }
    ])
    const withoutIds = (frame: Uint8Array): unknown => {
      const { publicAggreDeals, ...message } = decode(frame)
      const ids = publicAggreDeals.deals.map((deal) => ({ ...deal, tradeId: /^\d+X0_\d+X0$/.test(deal.tradeId!) }))
      return { ...message, eventType: publicAggreDeals.eventType, deals: ids }
    }
    assert.deepStrictEqual<unknown>(
      withoutIds(deals.binaries()[0]!),
      withoutIds(Buffer.from(fixture("mexc-spot.aggre.deals.jsonl", "dax-btc"), "hex"))
    )
  })

  it("leaves an absent side, an unset time and empty lists off the wire", () => {
    const world = mexcWorld(0)
    const client = subscribed(world, [mexcTopic("bookTicker"), mexcTopic("depth")])
    world.ticker({ version: 5, bid: level("100", "4"), ask: null, time: 0 })
    world.ticker({ version: 6, bid: null, ask: level("101", "1"), time: 0 })
    world.delta({ firstVersion: 501, version: 777, asks: [], bids: [], time: 9 })
    const [noAsk, noBid, depth] = client.binaries().map(decode)
    assert.deepStrictEqual<unknown>(noAsk, {
      channel: mexcTopic("bookTicker"),
      symbol: "BTCUSDT",
      publicAggreBookTicker: { bidPrice: "100", bidQuantity: "4", version: "5" }
    })
    assert.deepStrictEqual<unknown>(noBid!.publicAggreBookTicker, { askPrice: "101", askQuantity: "1", version: "6" })
    assert.deepStrictEqual<unknown>(depth!.publicAggreDepths, {
      eventType: "spot@public.aggre.depth.v3.api.pb@100ms",
      fromVersion: "501",
      toVersion: "777",
      lastOrderCreateTime: "9"
    })
  })

  it("trims padded decimals as the pushes do", () => {
    const table: ReadonlyArray<readonly [string, string]> = [
      ["375.80", "375.8"],
      ["375.8", "375.8"],
      ["100.00", "100"],
      ["100", "100"],
      ["0", "0"],
      ["0.00000000", "0"],
      ["0.050", "0.05"]
    ]
    const world = mexcWorld()
    const client = subscribed(world, [mexcTopic("depth")])
    for (const [padded, expected] of table) {
      world.delta({ firstVersion: 1, version: 1, asks: [level("1", padded)], bids: [], time: 1 })
      assert.strictEqual(decode(client.binaries()[0]!).publicAggreDepths.asks[0]!.quantity, expected, padded)
    }
  })

  it("writes books of any size, and messages longer than one length byte holds", () => {
    const world = mexcWorld()
    const client = subscribed(world, [mexcTopic("depth"), mexcTopic("deals")])
    const asks = Array.from({ length: 2_000 }, (_, i) => level(`${i + 1}`, "1"))
    const digits = "1".repeat(20_000)
    world.delta({ firstVersion: 1, version: 2, asks, bids: [level("0.5", `0.${digits}`)], time: 1 })
    const depths = decode(client.binaries()[0]!).publicAggreDepths
    assert.deepStrictEqual<unknown>(depths.asks, asks)
    assert.deepStrictEqual<unknown>(depths.bids, [level("0.5", `0.${digits}`)])
    world.trades([{ id: 3, price: `1.${"3".repeat(130)}`, quantity: "2", side: "buy", time: 5 }])
    assert.strictEqual(decode(client.binaries()[0]!).publicAggreDeals.deals[0]!.price, `1.${"3".repeat(130)}`)
  })

  it("gets every length right, where one byte of length becomes two", () => {
    const world = mexcWorld()
    const client = subscribed(world, [mexcTopic("depth"), mexcTopic("bookTicker")])
    const lengths = [1, 16_200].flatMap((from) => Array.from({ length: 300 }, (_, i) => from + i))
    for (const digits of lengths) {
      const bid = level("1", `0.${"7".repeat(digits)}`)
      world.delta({ firstVersion: 1, version: 2, asks: [], bids: [bid], time: 1 })
      world.ticker({ version: 1, bid, ask: null, time: 0 })
      const [depth, ticker] = client.binaries()
      assert.deepStrictEqual<unknown>(decode(depth!).publicAggreDepths.bids, [bid])
      assert.strictEqual(decode(ticker!).publicAggreBookTicker.bidQuantity, bid.quantity)
      assert.deepStrictEqual<unknown>([schema.encode(schema.decode(ticker!)).finish().length], [ticker!.length])
    }
  })

  it("says what a frame is about", () => {
    const world = mexcWorld()
    const client = subscribed(world, [mexcTopic("depth"), mexcTopic("bookTicker")])
    world.delta({ firstVersion: 1, version: 2, asks: [level("1", "1"), level("2", "1")], bids: [], time: 1 })
    world.ticker({ version: 2, bid: null, ask: level("1", "1"), time: 1 })
    assert.deepStrictEqual<unknown>(client.take().map(({ about }) => about), [
      { _tag: "Data", topic: mexcTopic("depth"), events: 1 },
      { _tag: "Data", topic: mexcTopic("bookTicker"), events: 1 }
    ])
  })

  it("names non-ASCII symbols in UTF-8, and gives every frame its own bytes", () => {
    const world = mexcWorld(undefined, ["龙虾/USDT"])
    const client = subscribed(world, [mexcTopic("bookTicker", "10ms", "龙虾USDT")])
    world.ticker({ version: 1, bid: level("1", "1"), ask: level("2", "1"), time: 1 })
    world.ticker({ version: 2, bid: level("1", "1"), ask: level("2", "1"), time: 1 })
    const [first, second] = client.binaries()
    assert.strictEqual(decode(first!).symbol, "龙虾USDT")
    assert.strictEqual(decode(first!).channel, mexcTopic("bookTicker", "10ms", "龙虾USDT"))
    assert.strictEqual(decode(first!).publicAggreBookTicker.version, "1")
    assert.strictEqual(decode(second!).publicAggreBookTicker.version, "2")
  })
})

describe("MEXC dialect: requests", () => {
  const good = mexcTopic("deals")
  const depth = mexcTopic("depth", "10ms")
  const bad = mexcTopic("deals", "100ms", "NOPEUSDT")

  it.each<readonly [string, unknown, string, string]>([
    [
      "all accepted, in no promised order",
      { method: "SUBSCRIPTION", params: [good, depth], id: 4 },
      `{"id":4,"code":0,"msg":"${depth},${good}"}`,
      "ack"
    ],
    ["no id", { method: "SUBSCRIPTION", params: [good] }, `{"id":0,"code":0,"msg":"${good}"}`, "ack"],
    ...[-1, 1.5, "7", null].map((id) =>
      [
        `an id that is no unsigned integer (${id})`,
        { method: "SUBSCRIPTION", params: [good], id },
        `{"id":0,"code":0,"msg":"${good}"}`,
        "ack"
      ] as const
    ),
    [
      "all refused",
      { method: "SUBSCRIPTION", params: [bad], id: 5 },
      `{"id":5,"code":0,"msg":"${blocked(bad)}"}`,
      "reject"
    ],
    [
      "partly",
      { method: "SUBSCRIPTION", params: [bad, good], id: 6 },
      `{"id":6,"code":0,"msg":"Subscribed successful! [${good}]. ${blocked(bad)}"}`,
      "reject"
    ],
    ["unsubscribe", { method: "UNSUBSCRIPTION", params: [good], id: 7 }, `{"id":7,"code":0,"msg":"${good}"}`, "ack"],
    ["PING", { method: "PING" }, `{"id":0,"code":0,"msg":"PONG"}`, "pong"],
    ["ping in lower case", { method: "ping" }, `{"id":0,"code":0,"msg":"PONG"}`, "pong"],
    ["text that is no JSON", "hello", `{"id":0,"code":33333,"msg":"Param error"}`, "error"],
    ["JSON that is no object", "[1]", `{"id":0,"code":33333,"msg":"Param error"}`, "error"],
    ["a binary frame", new Uint8Array([1, 2]), `{"id":0,"code":33333,"msg":"Param error"}`, "error"],
    ["an unknown method", { method: "LOGIN", id: 3 }, `{"id":3,"code":33333,"msg":"Param error"}`, "error"],
    [
      "a subscription without topics",
      { method: "SUBSCRIPTION", params: [], id: 3 },
      `{"id":3,"code":33333,"msg":"Param error"}`,
      "error"
    ],
    [
      "an unsubscription without topics",
      { method: "UNSUBSCRIPTION", params: "x", id: 3 },
      `{"id":3,"code":33333,"msg":"Param error"}`,
      "error"
    ]
  ])("answers %s", (_, request, answer, kind) => {
    const client = new FakeClient(mexcSpotDialect, mexcWorld())
    client.send(request)
    assert.deepStrictEqual<unknown>(client.take(), [{ frame: answer, about: { _tag: "Control", kind } }])
    assert.isNull(client.closed)
  })

  it.each([
    ["an unknown channel", "spot@public.increase.depth.v3.api.pb@BTCUSDT"],
    ["a retired channel", "spot@public.increase.depth.v3.api.pb@BTCUSDT"],
    ["an unknown interval", mexcTopic("depth", "50ms")],
    ["an unknown symbol", bad],
    ["a lower-case symbol", mexcTopic("depth", "10ms", "btcusdt")],
    ["a part too many", `${good}@x`],
    ["text", "spot"]
  ])("blocks %s", (_, topic) => {
    const world = mexcWorld()
    const client = new FakeClient(mexcSpotDialect, world)
    client.send({ method: "SUBSCRIPTION", params: [topic], id: 1 })
    assert.deepStrictEqual<unknown>(client.texts().map(parse), [{ id: 1, code: 0, msg: blocked(topic) }])
    assert.strictEqual(world.watches.length, 0)
    assert.strictEqual(client.connection.topics().size, 0)
  })

  it("blocks what a fault refuses", () => {
    const world = mexcWorld()
    world.refused.set(good, "any reason")
    const client = new FakeClient(mexcSpotDialect, world)
    client.send({ method: "SUBSCRIPTION", params: [good, depth], id: 1 })
    assert.deepStrictEqual<unknown>(client.texts().map(parse), [
      { id: 1, code: 0, msg: `Subscribed successful! [${depth}]. ${blocked(good)}` }
    ])
    assert.deepStrictEqual<unknown>([...client.connection.topics()], [depth])
  })

  it("does not answer a PONG", () => {
    const client = new FakeClient(mexcSpotDialect, mexcWorld())
    client.send({ method: "PONG" })
    assert.deepStrictEqual<unknown>(client.take(), [])
  })

  it("sends every fourth plain ack in the long form with nothing refused", () => {
    const client = new FakeClient(mexcSpotDialect, mexcWorld())
    const messages = [1, 2, 3, 4, 5].map((id) => {
      client.send({ method: "SUBSCRIPTION", params: [good], id })
      return parse(client.texts()[0]!).msg
    })
    assert.deepStrictEqual<unknown>(messages, [
      good,
      good,
      good,
      `Subscribed successful! [${good}]. Not Subscribed successfully! [].`,
      good
    ])
  })

  it("watches the world as the channel says, once a topic, until unsubscribed or closed", () => {
    const world = mexcWorld()
    const client = subscribed(world, [mexcTopic("bookTicker", "10ms"), mexcTopic("deals"), depth, depth])
    const about = world.watches.map(({ listener: _, ...watch }) => watch)
    assert.deepStrictEqual<unknown>(about, [
      { _tag: "Ticker", pair: "BTC/USDT", everyMillis: 10, repeat: true },
      { _tag: "Trades", pair: "BTC/USDT", everyMillis: 100 },
      { _tag: "Depth", pair: "BTC/USDT", everyMillis: 10 }
    ])
    assert.deepStrictEqual<unknown>(
      client.connection.topics(),
      new Set([mexcTopic("bookTicker", "10ms"), mexcTopic("deals"), depth])
    )
    client.send({ method: "UNSUBSCRIPTION", params: [depth, "never subscribed"], id: 2 })
    assert.strictEqual(parse(client.texts()[0]!).msg, `${depth},never subscribed`)
    assert.strictEqual(world.watches.length, 2)
    client.connection.onClose()
    assert.strictEqual(world.watches.length, 0)
    assert.strictEqual(client.connection.topics().size, 0)
    client.send({ method: "PING" })
    assert.deepStrictEqual<unknown>(client.take(), [])
  })

  it("leaves nothing running when the socket drops while the ack is sent", () => {
    const world = mexcWorld()
    const client = new FakeClient(mexcSpotDialect, world)
    client.dropOnSend = true
    client.send({ method: "SUBSCRIPTION", params: [good, depth], id: 1 })
    assert.strictEqual(world.watches.length, 0)
  })
})

describe("MEXC dialect: limits", () => {
  const pairs = Array.from({ length: 40 }, (_, i): TradingPair => `A${i}/USDT`)
  const topics = pairs.map((_, i) => mexcTopic("deals", "100ms", `A${i}USDT`))

  it("delivers 30 subscriptions a connection, counted over all requests", () => {
    const client = new FakeClient(mexcSpotDialect, mexcWorld(undefined, pairs), real)
    client.send({ method: "SUBSCRIPTION", params: topics.slice(0, 20), id: 1 })
    client.take()
    client.send({ method: "SUBSCRIPTION", params: topics.slice(20, 32), id: 2 })
    assert.strictEqual(
      parse(client.texts()[0]!).msg,
      `Subscribed successful! [${topics.slice(20, 30).toReversed().join(",")}]. ${
        blocked(topics.slice(30, 32).join(","))
      }`
    )
    assert.deepStrictEqual<unknown>(client.connection.topics(), new Set(topics.slice(0, 30)))
    client.send({ method: "UNSUBSCRIPTION", params: [topics[0]], id: 3 })
    client.take()
    client.send({ method: "SUBSCRIPTION", params: [topics[31]], id: 4 })
    assert.strictEqual(parse(client.texts()[0]!).msg, topics[31])
  })

  it("knows none of its limits when they are off", () => {
    const world = mexcWorld(undefined, pairs)
    const client = subscribed(world, topics)
    assert.strictEqual(client.connection.topics().size, 40)
    for (let i = 0; i < 1_000; i++) client.send({ method: "PING" })
    world.advance(48 * 3_600_000)
    assert.isNull(client.closed)
  })

  const silent = (act: (client: FakeClient, world: FakeWorld) => void) => {
    const world = mexcWorld(1_000_000)
    const client = new FakeClient(mexcSpotDialect, world, real)
    act(client, world)
    world.advance(10 * 60_000)
    return client.closed === null ? null : [client.closed.code, client.closed.at - 1_000_000] as const
  }
  const ask = (method: string, topic: string) => ({ method, params: [topic], id: 1 })

  it.each<readonly [string, readonly [number, number], (client: FakeClient, world: FakeWorld) => void]>([
    ["nothing subscribed", [1000, 30_000], () => {}],
    ["only a refused subscription", [1000, 30_000], (client) => client.send(ask("SUBSCRIPTION", "x"))],
    ["pings without a subscription", [1000, 30_000], (client, world) => {
      world.advance(20_000)
      client.send({ method: "PING" })
    }],
    ["subscribed, then no data", [1006, 61_000], (client, world) => {
      world.advance(1_000)
      client.send(ask("SUBSCRIPTION", topicOf))
    }],
    ["subscribed, one ping", [1006, 110_000], (client, world) => {
      client.send(ask("SUBSCRIPTION", topicOf))
      world.advance(50_000)
      client.send({ method: "PING" })
    }],
    ["subscribed, data for a while", [1006, 100_000], (client, world) => {
      client.send(ask("SUBSCRIPTION", topicOf))
      world.advance(40_000)
      world.trades([{ id: 1, price: "1", quantity: "1", side: "buy", time: 1 }])
    }],
    ["subscribed, then another refused", [1006, 60_000], (client, world) => {
      client.send(ask("SUBSCRIPTION", topicOf))
      world.advance(50_000)
      client.send(ask("SUBSCRIPTION", "x"))
    }],
    ["unsubscribed while the next look at the data is far off", [1000, 61_000], (client, world) => {
      client.send(ask("SUBSCRIPTION", topicOf))
      world.advance(29_000)
      world.trades([{ id: 1, price: "1", quantity: "1", side: "buy", time: 1 }])
      world.advance(2_000)
      client.send(ask("UNSUBSCRIPTION", topicOf))
    }],
    ["unsubscribed again", [1000, 40_000], (client, world) => {
      client.send(ask("SUBSCRIPTION", topicOf))
      world.advance(10_000)
      client.send(ask("UNSUBSCRIPTION", topicOf))
    }]
  ])("closes the idle connection: %s", (_, closed, act) => {
    assert.deepStrictEqual<unknown>(silent(act), closed)
  })

  it("ends a busy connection after 24 hours", () => {
    const world = mexcWorld(0)
    const client = subscribed(world, [topicOf], real)
    for (let i = 0; i < 24 * 120; i++) {
      assert.isNull(client.closed)
      world.ticker({ version: i, bid: null, ask: null, time: i })
      client.send({ method: "PING" })
      world.advance(30_000)
    }
    assert.deepStrictEqual<unknown>(client.closed, { code: 1000, reason: "", at: 86_400_000 })
    assert.strictEqual(world.watches.length, 0)
  })

  it("drops a client that sends more than 100 messages in a second", () => {
    const world = mexcWorld(0)
    const client = subscribed(world, [topicOf], real)
    for (let second = 0; second < 3; second++) {
      world.advance(1_000)
      for (let i = 0; i < 100; i++) client.send({ method: "PING" })
    }
    assert.isNull(client.closed)
    client.send({ method: "PING" })
    assert.strictEqual(client.closed!.code, 1006)
    assert.strictEqual(world.watches.length, 0)
  })
})

const topicOf = mexcTopic("deals")

describe("MEXC dialect: REST", () => {
  const world = mexcWorld(1645539742000)
  world.setBook("BTC/USDT", {
    version: 82164155643,
    bids: [level("84270", "0.006387"), level("84267.03", "0.00234800")],
    asks: [level("84270.01", "5.42169969")],
    time: 1790274400000
  })

  withFixtures("answers depth as the live server does, padded", () => {
    const response = world.request(mexcSpotDialect, "/api/v3/depth", { symbol: "BTCUSDT" })
    assert.deepStrictEqual<unknown>(response, {
      status: 200,
      headers: { "Content-Type": "application/json" },
      body: fixture("mexc-spot.rest.jsonl", "depth-big")
    })
  })

  it("pads to the market's decimals, and not past them", () => {
    const coarse = mexcWorld()
    coarse.changeMarket("BTC/USDT", { priceDecimals: 3, quantityDecimals: 0 })
    coarse.setBook("BTC/USDT", { version: 1, bids: [level("12", "7")], asks: [level("12.5", "0.25")], time: 1 })
    const { asks, bids } = parse(coarse.request(mexcSpotDialect, "/api/v3/depth", { symbol: "BTCUSDT" }).body)
    assert.deepStrictEqual<unknown>([bids, asks], [[["12.000", "7"]], [["12.500", "0.25"]]])
  })

  it("gives 100 levels unasked and never more than 2,000", () => {
    for (const limit of ["1", "1000", "2000", "5000"]) {
      assert.strictEqual(world.request(mexcSpotDialect, "/api/v3/depth", { symbol: "ETHUSDT", limit }).status, 200)
    }
    world.request(mexcSpotDialect, "/api/v3/depth", { symbol: "ETHUSDT" })
    assert.deepStrictEqual<unknown>(world.limitsAsked("ETH/USDT"), [1, 1_000, 2_000, 2_000, 100])
  })

  it("answers the small calls", () => {
    const body = (path: string): unknown => {
      const response = world.request(mexcSpotDialect, `/api/v3/${path}`)
      assert.strictEqual(response.status, 200)
      return parse(response.body)
    }
    assert.deepStrictEqual<unknown>(body("ping"), {})
    assert.deepStrictEqual<unknown>(body("time"), { serverTime: 1645539742000 })
    assert.deepStrictEqual<unknown>(body("defaultSymbols"), { code: 200, data: ["BTCUSDT", "ETHUSDT"] })
  })

  it("lists all instruments, or those asked for", () => {
    const symbols = (query: Readonly<Record<string, string>>): ReadonlyArray<Record<string, unknown>> =>
      parse(world.request(mexcSpotDialect, "/api/v3/exchangeInfo", query).body).symbols
    assert.deepStrictEqual<unknown>(symbols({}).map((item) => item.symbol), ["BTCUSDT", "ETHUSDT"])
    assert.deepStrictEqual<unknown>(symbols({ symbols: "ETHUSDT,BTCUSDT" }).map((item) => item.symbol), [
      "ETHUSDT",
      "BTCUSDT"
    ])
    const [btc] = symbols({ symbol: "BTCUSDT" })
    assert.include(btc!, {
      status: "1",
      baseAsset: "BTC",
      baseAssetPrecision: 8,
      quoteAsset: "USDT",
      quotePrecision: 2,
      quoteAmountPrecision: "1",
      baseSizePrecision: "0.0001",
      isSpotTradingAllowed: true,
      tradeSideType: 1
    })
  })

  it.each<readonly [string, string, Readonly<Record<string, string>>, number, number]>([
    ["an unknown symbol", "/api/v3/depth", { symbol: "NOPEUSDT" }, 400, -1121],
    ["no symbol", "/api/v3/depth", {}, 400, 700004],
    ["limit zero", "/api/v3/depth", { symbol: "BTCUSDT", limit: "0" }, 400, 700004],
    ["a limit that is no number", "/api/v3/depth", { symbol: "BTCUSDT", limit: "1e3" }, 400, 700004],
    ["an unknown instrument", "/api/v3/exchangeInfo", { symbol: "NOPEUSDT" }, 400, -1121],
    ["one unknown instrument in a list", "/api/v3/exchangeInfo", { symbols: "BTCUSDT,NOPE" }, 400, -1121],
    ["an unknown path", "/api/v3/nope", {}, 404, 404]
  ])("refuses %s", (_, path, query, status, code) => {
    const response = world.request(mexcSpotDialect, path, query)
    assert.strictEqual(response.status, status)
    const body = parse(response.body)
    assert.deepStrictEqual<unknown>(keysOf(body), ["code", "msg", "_extend"])
    assert.strictEqual(body["code"], code)
    assert.isNull(body["_extend"])
  })

  it("serves GET only", () => {
    assert.strictEqual(world.request(mexcSpotDialect, "/api/v3/ping", {}, { limits: "off" }, "POST").status, 404)
  })

  it("limits weight by endpoint with 429 and Retry-After", () => {
    const limited = mexcWorld(20_000_000)
    const statuses = Array.from({ length: 51 }, () => {
      limited.advance(60)
      return limited.request(mexcSpotDialect, "/api/v3/exchangeInfo", {}, real).status
    })
    assert.deepStrictEqual<unknown>(statuses, [...Array.from({ length: 50 }, () => 200), 429])
    const refused = limited.request(mexcSpotDialect, "/api/v3/exchangeInfo", {}, real)
    assert.strictEqual(refused.headers["Retry-After"], "7")
    assert.deepStrictEqual<unknown>(parse(refused.body), { code: 429, msg: "Too Many Requests", _extend: null })
    assert.strictEqual(limited.request(mexcSpotDialect, "/api/v3/depth", { symbol: "BTCUSDT" }, real).status, 200)
    limited.advance(8_000)
    assert.strictEqual(limited.request(mexcSpotDialect, "/api/v3/exchangeInfo", {}, real).status, 200)
  })

  it("limits each endpoint to 20 requests a second", () => {
    const limited = mexcWorld(20_000_000)
    const statuses = () =>
      Array.from({ length: 21 }, () => limited.request(mexcSpotDialect, "/api/v3/time", {}, real).status)
    assert.deepStrictEqual<unknown>(statuses(), [...Array.from({ length: 20 }, () => 200), 429])
    assert.strictEqual(limited.request(mexcSpotDialect, "/api/v3/ping", {}, real).status, 200)
    limited.advance(1_000)
    assert.deepStrictEqual<unknown>(statuses(), [...Array.from({ length: 20 }, () => 200), 429])
  })

  it("the list of all tickers weighs 40, one ticker 1", () => {
    const limited = mexcWorld(20_000_000)
    const ask = (query: Readonly<Record<string, string>>) =>
      limited.request(mexcSpotDialect, "/api/v3/ticker/24hr", query, real).status
    for (let i = 0; i < 12; i++) assert.strictEqual(ask({}), 200)
    assert.strictEqual(ask({}), 429)
    assert.strictEqual(ask({ symbol: "BTCUSDT" }), 200)
    limited.advance(1_000)
    for (let i = 0; i < 19; i++) assert.strictEqual(ask({ symbol: "BTCUSDT" }), 200)
    assert.strictEqual(ask({ symbol: "BTCUSDT" }), 429, "500 in ten seconds")
  })

  it("hides behind an edge filter that answers bursts with an HTML page, for whatever path", () => {
    const limited = mexcWorld(0)
    let asked = 0
    const ask = () => limited.request(mexcSpotDialect, `/nope/${asked++}`, {}, real)
    for (let i = 0; i < 120; i++) assert.strictEqual(ask().status, 404)
    const refused = ask()
    assert.strictEqual(refused.status, 403)
    assert.strictEqual(refused.headers["Content-Type"], "text/html")
    assert.match(refused.body, /^<HTML>/)
    limited.advance(1_000)
    const statuses = Array.from({ length: 31 }, () => ask().status)
    assert.deepStrictEqual<unknown>(statuses, [...Array.from({ length: 30 }, () => 404), 403])
    for (let i = 0; i < 500; i++) {
      assert.strictEqual(limited.request(mexcSpotDialect, "/api/v3/ping").status, 200)
    }
  })

  it("tells the last 24 hours and the best levels of one symbol or of all", () => {
    const world = mexcWorld()
    for (const path of ["/api/v3/ticker/24hr", "/api/v3/ticker/bookTicker"]) {
      const all = JSON.parse(world.request(mexcSpotDialect, path).body)
      assert.deepStrictEqual<unknown>(all.map(({ symbol }: { symbol: string }) => symbol), ["BTCUSDT", "ETHUSDT"])
      const one = parse(world.request(mexcSpotDialect, path, { symbol: "ETHUSDT" }).body)
      assert.strictEqual(one["symbol"], "ETHUSDT")
      const none = world.request(mexcSpotDialect, path, { symbol: "ethusdt" })
      assert.strictEqual(parse(none.body)["code"], -1121)
    }
  })
})

// ---- Gate -----------------------------------------------------------------------------------------------------------

const gateWorld = (clock?: number, pairs: ReadonlyArray<TradingPair> = ["BTC/USDT", "ETH/USDT"]): FakeWorld =>
  new FakeWorld(pairs, clock)

const gateRequest = (world: FakeWorld, channel: string, payload: unknown, event = "subscribe", id?: number) => ({
  time: Math.floor(world.clock / 1_000),
  ...(id === undefined ? {} : { id }),
  channel,
  event,
  payload
})

const gateClient = (world: FakeWorld, channel: string, payload: unknown): FakeClient => {
  const client = new FakeClient(gateSpotDialect, world)
  client.send(gateRequest(world, channel, payload))
  client.take()
  return client
}

describe("Gate dialect: frames", () => {
  withFixtures("writes the captured book ticker, text for text", () => {
    const world = gateWorld(1671363004235)
    const client = gateClient(world, "spot.book_ticker", ["BTC_USDT"])
    world.ticker({
      version: 9793320464,
      bid: level("16716.8", "0.0134"),
      ask: level("16716.9", "0.0353"),
      time: 1671363004228
    })
    assert.deepStrictEqual<unknown>(client.take(), [{
      frame: fixture("gateio-spot.spot.book_ticker.jsonl", "btc-2022"),
      about: { _tag: "Data", topic: "spot.book_ticker|BTC_USDT", events: 1 }
    }])
  })

  withFixtures("writes an empty side as empty texts", () => {
    const world = gateWorld(1746001000005, ["DEAD/USDT", "DEAD/ETH"])
    const client = gateClient(world, "spot.book_ticker", ["DEAD_USDT"])
    world.ticker({ version: 41, bid: level("0.5", "10"), ask: null, time: 1746001000001 })
    world.ticker({ version: 42, bid: null, ask: level("0.0001", "77"), time: 1746001000101 })
    const [noAsk, noBid] = client.texts()
    assert.strictEqual(noAsk, fixture("gateio-spot.spot.book_ticker.jsonl", "no-ask"))
    const { result } = parse(noBid!)
    assert.deepStrictEqual<unknown>([result.b, result["B"], result.a, result["A"]], ["", "", "0.0001", "77"])
  })

  withFixtures("writes one trade a frame, keys as documented", () => {
    const world = gateWorld(1606292218231, ["GT/USDT"])
    const client = gateClient(world, "spot.trades", ["GT_USDT"])
    const trade: WorldTrade = {
      id: 309143071,
      price: "0.4705000000",
      quantity: "16.4700000000",
      side: "sell",
      time: 1606292218213.25
    }
    world.trades([trade, { ...trade, id: 309143072, side: "buy" }])
    const [first, second, ...rest] = client.take()
    assert.deepStrictEqual<unknown>(rest, [])
    assert.deepStrictEqual<unknown>(first!.about, { _tag: "Data", topic: "spot.trades|GT_USDT", events: 1 })
    assert.deepStrictEqual<unknown>(parse(first!.frame as string), {
      time: 1606292218,
      time_ms: 1606292218231,
      channel: "spot.trades",
      event: "update",
      result: {
        id: 309143071,
        create_time: 1606292218,
        create_time_ms: "1606292218213.250",
        side: "sell",
        currency_pair: "GT_USDT",
        amount: "16.4700000000",
        price: "0.4705000000",
        range: "309143071-309143071",
        id_market: 309143071
      }
    })
    assert.strictEqual(parse(second!.frame as string).result.side, "buy")
    const captured = parse(fixture("gateio-spot.spot.trades.jsonl", "cf-117"))
    const keys = keysOf(parse(first!.frame as string).result)
    assert.deepStrictEqual<unknown>(keys.filter((key) => key in captured.result), keysOf(captured.result))
  })

  withFixtures("writes the captured obu snapshot and delta, text for text", () => {
    const world = gateWorld(1754006400264)
    const snapshot = fixture("gateio-spot.spot.obu.jsonl", "btc-full-2025")
    const { a, b, t, u } = parse(snapshot).result
    const levels = (rows: ReadonlyArray<readonly [string, string]>) =>
      rows.map(([price, quantity]) => level(price, quantity))
    world.setBook("BTC/USDT", { version: u, bids: levels(b), asks: levels(a), time: t })
    const client = new FakeClient(gateSpotDialect, world)
    client.send(gateRequest(world, "spot.obu", ["ob.BTC_USDT.400"]))
    assert.deepStrictEqual<unknown>(client.take()[0], {
      frame: snapshot,
      about: { _tag: "Data", topic: "spot.obu|ob.BTC_USDT.400", events: 1 }
    })

    const delta = fixture("gateio-spot.spot.obu.jsonl", "btc-delta-2025")
    const change = parse(delta).result
    world.clock = 1754006460601
    world.delta({
      firstVersion: change.U,
      version: change.u,
      // Deltas are unordered on the wire: the dialect writes them backwards.
      bids: levels(change.b).toReversed(),
      asks: levels(change.a).toReversed(),
      time: change.t
    })
    assert.deepStrictEqual<unknown>(client.texts(), [delta])
  })

  it("sends ids alone when nothing in the window changed, and leaves an unchanged side out", () => {
    const world = gateWorld(1754009900601)
    const client = gateClient(world, "spot.obu", ["ob.BTC_USDT.50"])
    world.delta({ firstVersion: 881, version: 889, bids: [], asks: [], time: 1754009900600 })
    world.delta({ firstVersion: 890, version: 890, bids: [], asks: [level("2", "0")], time: 1754009900600 })
    world.delta({ firstVersion: 891, version: 891, bids: [level("1", "5")], asks: [], time: 1754009900600 })
    assert.deepStrictEqual<unknown>(client.texts().map((text) => parse(text).result), [
      { t: 1754009900600, s: "ob.BTC_USDT.50", u: 889, U: 881 },
      { t: 1754009900600, s: "ob.BTC_USDT.50", u: 890, U: 890, a: [["2", "0"]] },
      { t: 1754009900600, s: "ob.BTC_USDT.50", u: 891, U: 891, b: [["1", "5"]] }
    ])
  })

  withFixtures("writes the captured order_book_update with the newer `l`", () => {
    const world = gateWorld(1682689045562)
    const client = gateClient(world, "spot.order_book_update", ["BTC_USDT", "100ms"])
    world.delta({
      firstVersion: 13934528633,
      version: 13934528633,
      bids: [level("29291.4", "0.5124")],
      asks: [],
      time: 1682689045398
    })
    const [frame] = client.texts()
    assert.strictEqual(
      frame!.replace(`"l":"100",`, ""),
      fixture("gateio-spot.spot.order_book_update.jsonl", "btc-2023")
    )
  })

  withFixtures("begins every second order_book_update with a full frame", () => {
    const world = gateWorld(1606294781236)
    world.setBook("BTC/USDT", {
      version: 48776306,
      bids: [level("19137.74", "0.0001")],
      asks: [level("19137.75", "0.6135")],
      time: 1606294781123
    })
    const client = new FakeClient(gateSpotDialect, world)
    client.send(gateRequest(world, "spot.order_book_update", ["BTC_USDT", "20ms"]))
    assert.deepStrictEqual<unknown>(client.take().map(({ about }) => about._tag), ["Control"])
    client.send(gateRequest(world, "spot.order_book_update", ["BTC_USDT", "100ms"]))
    const [ack, full] = client.texts().map(parse)
    assert.strictEqual(ack!.event, "subscribe")
    assert.deepStrictEqual<unknown>(full!.result, {
      t: 1606294781123,
      full: true,
      l: "100",
      e: "depthUpdate",
      E: 1606294781,
      s: "BTC_USDT",
      U: 48776306,
      u: 48776306,
      b: [["19137.74", "0.0001"]],
      a: [["19137.75", "0.6135"]]
    })
    const documented = parse(fixture("gateio-spot.spot.order_book_update.jsonl", "doc-full"))
    assert.deepStrictEqual<unknown>(keysOf(full!), keysOf(documented))
    assert.deepStrictEqual<unknown>(keysOf(full!.result), keysOf(documented.result))
  })

  it("writes both sides of an order_book_update, in no order", () => {
    const world = gateWorld()
    const client = gateClient(world, "spot.order_book_update", ["BTC_USDT", "20ms"])
    world.delta({ firstVersion: 1, version: 3, bids: [level("2", "1"), level("1", "0")], asks: [], time: 5 })
    const { result } = parse(client.texts()[0]!)
    assert.deepStrictEqual<unknown>([result.l, result.b, result.a], ["20", [["1", "0"], ["2", "1"]], []])
  })

  it("quotes names that need it", () => {
    const world = gateWorld(0, [`A"B/USDT`])
    const client = gateClient(world, "spot.book_ticker", [`A"B_USDT`])
    world.ticker({ version: 1, bid: null, ask: null, time: 1 })
    assert.strictEqual(parse(client.texts()[0]!).result.s, `A"B_USDT`)
  })

  it("sends the upgrade notice when told", () => {
    const world = gateWorld(1_746_023_000_123)
    const client = new FakeClient(gateSpotDialect, world)
    client.connection.notify!("upgrade")
    const [{ about, frame }] = client.take() as [{ about: unknown; frame: string }]
    assert.deepStrictEqual<unknown>(about, { _tag: "Control", kind: "notice" })
    assert.strictEqual(
      frame,
      `{"time":1746023000,"time_ms":1746023000123,"channel":"spot.system","event":"update","result":{"type":"upgrade",`
        + `"msg":"The connection will soon be closed for a service upgrade. Please reconnect."}}`
    )
    assert.isFalse(new FakeClient(mexcSpotDialect, mexcWorld()).connection.notify!("upgrade"))
  })
})

describe("Gate dialect: requests", () => {
  const hex = (digits: number) => new RegExp(`^[0-9a-f]{${digits}}$`)

  withFixtures("acks with the captured keys", () => {
    const world = gateWorld(1726121320745)
    const client = new FakeClient(gateSpotDialect, world)
    client.send(gateRequest(world, "spot.book_ticker", ["BTC_USDT", "ETH_USDT"], "subscribe", 1))
    client.send(gateRequest(world, "spot.book_ticker", ["ETH_USDT"], "unsubscribe", 2))
    const [subscribe, unsubscribe] = client.texts().map(parse)
    assert.deepStrictEqual<unknown>(
      keysOf(subscribe!),
      keysOf(parse(fixture("gateio-spot.control.jsonl", "ack-gct-brett")))
    )
    assert.deepStrictEqual<unknown>(
      keysOf(unsubscribe!),
      keysOf(parse(fixture("gateio-spot.control.jsonl", "unsub-ccxt")))
    )
    const { conn_id, requestId, trace_id, ...rest } = subscribe!
    assert.match(conn_id, hex(16))
    assert.match(trace_id, hex(32))
    assert.strictEqual(requestId, trace_id)
    assert.deepStrictEqual<unknown>(rest, {
      time: 1726121320,
      time_ms: 1726121320745,
      id: 1,
      channel: "spot.book_ticker",
      event: "subscribe",
      payload: ["BTC_USDT", "ETH_USDT"],
      result: { status: "success" }
    })
    assert.strictEqual(unsubscribe!.conn_id, conn_id)
    assert.notStrictEqual(unsubscribe!["trace_id"], trace_id)
    assert.deepStrictEqual<unknown>([...client.connection.topics()], ["spot.book_ticker|BTC_USDT"])
    assert.strictEqual(world.watches.length, 1)
  })

  withFixtures("refuses with the captured keys and text", () => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    client.send(gateRequest(world, "spot.order_book_update", ["NOPE_USD", "100ms"]))
    const [refusal] = client.take()
    const captured = parse(fixture("gateio-spot.control.jsonl", "error-pair-us"))
    const ours = parse(refusal!.frame as string)
    assert.deepStrictEqual<unknown>(refusal!.about, { _tag: "Control", kind: "reject" })
    assert.deepStrictEqual<unknown>(keysOf(ours), keysOf(captured))
    for (const key of ["channel", "event", "payload", "error", "result"]) {
      assert.deepStrictEqual<unknown>(ours[key], captured[key])
    }
  })

  withFixtures("pongs with the captured keys", () => {
    const world = gateWorld(1790134410515)
    const client = new FakeClient(gateSpotDialect, world)
    client.send({ time: 1790134410, channel: "spot.ping" })
    const [pong] = client.take()
    assert.deepStrictEqual<unknown>(pong!.about, { _tag: "Control", kind: "pong" })
    const ours = parse(pong!.frame as string)
    const captured = parse(fixture("gateio-spot.control.jsonl", "pong-us"))
    assert.deepStrictEqual<unknown>(keysOf(ours), keysOf(captured))
    assert.deepStrictEqual<unknown>({ ...ours, conn_id: "", requestId: "" }, {
      ...captured,
      conn_id: "",
      requestId: ""
    })
  })

  it.each<readonly [string, unknown, { readonly code: number; readonly message: string }]>([
    ["an unknown pair in a list", { channel: "spot.trades", event: "subscribe", payload: ["BTC_USDT", "NOPE_USDT"] }, {
      code: 2,
      message: "unknown currency pair: NOPE_USDT"
    }],
    ["a lower-case pair", { channel: "spot.book_ticker", event: "subscribe", payload: ["btc_usdt"] }, {
      code: 2,
      message: "unknown currency pair: btc_usdt"
    }],
    ["an unknown channel", { channel: "spot.nope", event: "subscribe", payload: ["BTC_USDT"] }, {
      code: 2,
      message: "Unknown channel spot.nope"
    }],
    ["a missing channel", { event: "subscribe", payload: ["BTC_USDT"] }, { code: 2, message: "Unknown channel " }],
    ["an unknown event", { channel: "spot.trades", event: "watch", payload: ["BTC_USDT"] }, {
      code: 2,
      message: "Invalid argument provided"
    }],
    ["no payload", { channel: "spot.trades", event: "subscribe" }, { code: 1, message: "Invalid request body format" }],
    ["a payload that is no list of texts", { channel: "spot.trades", event: "subscribe", payload: [1] }, {
      code: 1,
      message: "Invalid request body format"
    }],
    ["an unknown interval", { channel: "spot.order_book_update", event: "subscribe", payload: ["BTC_USDT", "50ms"] }, {
      code: 2,
      message: "incorrect update interval specified: 50ms"
    }],
    ["no interval", { channel: "spot.order_book_update", event: "subscribe", payload: ["BTC_USDT"] }, {
      code: 2,
      message: "incorrect update interval specified: "
    }],
    ["an unknown level", {
      channel: "spot.order_book_update",
      event: "subscribe",
      payload: ["BTC_USDT", "100ms", "30"]
    }, { code: 2, message: "provided level not supported: 30" }],
    ["an obu item of another form", { channel: "spot.obu", event: "subscribe", payload: ["BTC_USDT"] }, {
      code: 2,
      message: "Invalid argument provided"
    }],
    ["the same obu stream twice in one list", {
      channel: "spot.obu",
      event: "subscribe",
      payload: ["ob.BTC_USDT.50", "ob.BTC_USDT.50"]
    }, { code: 2, message: "Alert sub ob.BTC_USDT.50" }]
  ])("refuses %s as a whole", (_, request, error) => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    client.send(request)
    const [answer, ...rest] = client.take()
    assert.deepStrictEqual<unknown>(rest, [])
    assert.deepStrictEqual<unknown>(answer!.about, { _tag: "Control", kind: "reject" })
    const body = parse(answer!.frame as string)
    assert.deepStrictEqual<unknown>([body.error, body.result], [error, { status: "fail" }])
    assert.strictEqual(world.watches.length, 0)
    assert.strictEqual(client.connection.topics().size, 0)
  })

  it.each([["text", "hello"], ["a list", "[]"], ["null", "null"], ["bytes", new Uint8Array([123])]])(
    "answers %s with code 1 and keeps the socket",
    (_, frame) => {
      const world = gateWorld(1727318820205)
      const client = new FakeClient(gateSpotDialect, world)
      client.send(frame)
      const [answer] = client.take()
      assert.deepStrictEqual<unknown>(answer!.about, { _tag: "Control", kind: "error" })
      const { conn_id: _connection, requestId: _request, trace_id: _trace, ...body } = parse(answer!.frame as string)
      assert.deepStrictEqual<unknown>(body, {
        time: 1727318820,
        time_ms: 1727318820205,
        channel: "",
        event: "",
        error: { code: 1, message: "request message need json scheme" },
        result: { status: "fail" }
      })
      assert.isNull(client.closed)
    }
  )

  it("takes the level that belongs to the interval", () => {
    const client = gateClient(gateWorld(), "spot.order_book_update", ["BTC_USDT", "100ms", "100"])
    assert.deepStrictEqual<unknown>([...client.connection.topics()], ["spot.order_book_update|BTC_USDT|100ms"])
  })

  it("refuses what a fault refuses: code 2, or 3 for the server's own failure", () => {
    const world = gateWorld()
    world.refused.set("spot.trades|BTC_USDT", "delisted")
    world.refused.set("spot.trades|ETH_USDT", "server side error")
    const client = new FakeClient(gateSpotDialect, world)
    for (const pair of ["BTC_USDT", "ETH_USDT"]) client.send(gateRequest(world, "spot.trades", [pair]))
    assert.deepStrictEqual<unknown>(client.texts().map((text) => parse(text).error), [
      { code: 2, message: "delisted" },
      { code: 3, message: "server side error" }
    ])
    assert.strictEqual(world.watches.length, 0)
  })

  it("watches the world as the channel says, once a topic, until unsubscribed or closed", () => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    const subscribe = (channel: string, payload: ReadonlyArray<string>) =>
      client.send(gateRequest(world, channel, payload))
    subscribe("spot.book_ticker", ["BTC_USDT", "BTC_USDT"])
    subscribe("spot.book_ticker", ["BTC_USDT"])
    subscribe("spot.trades", ["ETH_USDT"])
    subscribe("spot.obu", ["ob.BTC_USDT.50", "ob.BTC_USDT.400"])
    subscribe("spot.order_book_update", ["BTC_USDT", "20ms"])
    subscribe("spot.order_book_update", ["BTC_USDT", "100ms"])
    subscribe("spot.order_book_update", ["BTC_USDT", "100ms"])
    const controls = client.take().filter(({ about }) => about._tag === "Control")
    assert.deepStrictEqual<unknown>(
      controls.map(({ about }) => about),
      Array.from({ length: 7 }, () => ({ _tag: "Control", kind: "ack" }))
    )
    assert.deepStrictEqual<unknown>(world.watches.map(({ listener: _, ...watch }) => watch), [
      { _tag: "Ticker", pair: "BTC/USDT", everyMillis: 10 },
      { _tag: "Trades", pair: "ETH/USDT", everyMillis: 0 },
      { _tag: "Depth", pair: "BTC/USDT", everyMillis: 20, window: 50 },
      { _tag: "Depth", pair: "BTC/USDT", everyMillis: 100, window: 400 },
      { _tag: "Depth", pair: "BTC/USDT", everyMillis: 20, window: 20 },
      { _tag: "Depth", pair: "BTC/USDT", everyMillis: 100, window: 100 }
    ])
    assert.deepStrictEqual<unknown>(
      client.connection.topics(),
      new Set([
        "spot.book_ticker|BTC_USDT",
        "spot.trades|ETH_USDT",
        "spot.obu|ob.BTC_USDT.50",
        "spot.obu|ob.BTC_USDT.400",
        "spot.order_book_update|BTC_USDT|20ms",
        "spot.order_book_update|BTC_USDT|100ms"
      ])
    )
    client.send(gateRequest(world, "spot.obu", ["ob.BTC_USDT.50", "ob.ETH_USDT.50"], "unsubscribe"))
    assert.strictEqual(world.watches.length, 5)
    client.connection.onClose()
    assert.strictEqual(world.watches.length, 0)
    client.take()
    client.send({ channel: "spot.ping" })
    assert.deepStrictEqual<unknown>(client.take(), [])
  })

  it("refuses a second obu subscription and keeps the first running", () => {
    const world = gateWorld()
    const client = gateClient(world, "spot.obu", ["ob.BTC_USDT.50"])
    client.send(gateRequest(world, "spot.obu", ["ob.ETH_USDT.50", "ob.BTC_USDT.50"]))
    assert.deepStrictEqual<unknown>(parse(client.texts()[0]!).error, { code: 2, message: "Alert sub ob.BTC_USDT.50" })
    assert.deepStrictEqual<unknown>([...client.connection.topics()], ["spot.obu|ob.BTC_USDT.50"])
    world.delta({ firstVersion: 1, version: 1, bids: [], asks: [], time: 1 })
    assert.strictEqual(client.take().length, 1)
  })

  it.each(["ob.NOPE_USDT.50", "ob.BTC_USDT.20", "ob.BTC_USDT.x"])("acks obu %s and then stays silent", (item) => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    client.send(gateRequest(world, "spot.obu", [item]))
    assert.deepStrictEqual<unknown>(client.texts().map((text) => parse(text).result), [{ status: "success" }])
    assert.strictEqual(world.watches.length, 0)
    assert.deepStrictEqual<unknown>([...client.connection.topics()], [`spot.obu|${item}`])
    client.send(gateRequest(world, "spot.obu", [item], "unsubscribe"))
    assert.strictEqual(client.connection.topics().size, 0)
  })

  it("sends the obu snapshot before the ack for one stream and after it for the next", () => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    const order = (payload: ReadonlyArray<string>) => {
      client.send(gateRequest(world, "spot.obu", payload))
      return client.take().map(({ about }) => about._tag === "Data" ? about.topic : about.kind)
    }
    assert.deepStrictEqual<unknown>(order(["ob.BTC_USDT.50"]), ["spot.obu|ob.BTC_USDT.50", "ack"])
    assert.deepStrictEqual<unknown>(order(["ob.BTC_USDT.400"]), ["ack", "spot.obu|ob.BTC_USDT.400"])
    assert.deepStrictEqual<unknown>(order(["ob.ETH_USDT.50", "ob.ETH_USDT.400"]), [
      "spot.obu|ob.ETH_USDT.50",
      "ack",
      "spot.obu|ob.ETH_USDT.400"
    ])
  })

  it("leaves nothing running when the socket drops between snapshots", () => {
    const world = gateWorld()
    const client = new FakeClient(gateSpotDialect, world)
    client.dropOnSend = true
    client.send(gateRequest(world, "spot.obu", ["ob.BTC_USDT.50", "ob.ETH_USDT.50"]))
    assert.strictEqual(client.sent.length, 1)
    assert.strictEqual(world.watches.length, 0)
  })

  it("gives connections and their answers different ids, the same in every run", () => {
    const ids = () => {
      const world = gateWorld()
      return [1, 2].map(() => {
        const client = new FakeClient(gateSpotDialect, world)
        client.send(gateRequest(world, "spot.trades", ["BTC_USDT"]))
        return parse(client.texts()[0]!).conn_id
      })
    }
    const [first, second] = ids()
    assert.notStrictEqual(first, second)
    assert.deepStrictEqual<unknown>(ids(), [first, second])
  })
})

describe("Gate dialect: limits", () => {
  it.each<readonly [string, number | undefined, boolean]>([
    ["the server's second", 1_800_000_000, true],
    ["60 s behind", 1_799_999_940, true],
    ["60 s ahead", 1_800_000_060, true],
    ["61 s behind", 1_799_999_939, false],
    ["a little more than 60 s ahead", 1_800_000_060.001, false],
    ["ms instead of s", 1_800_000_000_000, false],
    ["missing", undefined, false]
  ])("checks the request's time: %s", (_, time, accepted) => {
    const world = gateWorld(1_800_000_000_000)
    const answers = (["real", "off"] as const).map((limits) => {
      const client = new FakeClient(gateSpotDialect, world, { limits })
      client.send({ time, channel: "spot.trades", event: "subscribe", payload: ["BTC_USDT"] })
      return parse(client.texts()[0]!).result.status
    })
    assert.deepStrictEqual<unknown>(answers, [accepted ? "success" : "fail", "success"])
  })

  const silent = (limits: "real" | "off", act: (client: FakeClient, world: FakeWorld) => void) => {
    const world = gateWorld(1_800_000_000_000)
    const client = new FakeClient(gateSpotDialect, world, { limits })
    act(client, world)
    world.advance(10 * 60_000)
    return client.closed === null ? null : [client.closed.code, client.closed.at - 1_800_000_000_000] as const
  }
  const trades = (world: FakeWorld, event: string) => gateRequest(world, "spot.trades", ["BTC_USDT"], event)

  it.each<readonly [string, readonly [number, number] | null, (client: FakeClient, world: FakeWorld) => void]>([
    ["nothing sent", [1006, 30_500], () => {}],
    ["one ping", [1006, 55_500], (client, world) => {
      world.advance(25_000)
      client.send({ channel: "spot.ping" })
    }],
    [
      "only a refused subscription",
      [1006, 30_500],
      (client, world) => client.send(gateRequest(world, "spot.trades", ["x"]))
    ],
    ["subscribed", null, (client, world) => client.send(trades(world, "subscribe"))],
    ["unsubscribed again", [1006, 90_500], (client, world) => {
      client.send(trades(world, "subscribe"))
      world.advance(60_000)
      client.send(trades(world, "unsubscribe"))
    }]
  ])("closes the idle socket without a close frame: %s", (_, closed, act) => {
    assert.deepStrictEqual<unknown>(silent("real", act), closed)
    assert.isNull(silent("off", act))
  })
})

describe("Gate dialect: REST", () => {
  const world = gateWorld(1623898993123)
  world.setBook("BTC/USDT", {
    version: 123456,
    bids: [level("1.17", "201.863"), level("1.16", "1")],
    asks: [level("1.52", "1.151"), level("1.53", "2")],
    time: 1623898993121
  })
  const book = (query: Readonly<Record<string, string>>) => world.request(gateSpotDialect, "/spot/order_book", query)

  it("answers the book as documented, with its id when asked", () => {
    assert.strictEqual(
      book({ currency_pair: "BTC_USDT", limit: "1", with_id: "true" }).body,
      `{"id":123456,"current":1623898993123,"update":1623898993121,"asks":[["1.52","1.151"]],"bids":[["1.17","201.863"]]}`
    )
    assert.notProperty(parse(book({ currency_pair: "BTC_USDT", interval: "0" }).body), "id")
    assert.strictEqual(book({ currency_pair: "BTC_USDT", limit: "1000" }).status, 200)
    assert.deepStrictEqual<unknown>(world.limitsAsked("BTC/USDT"), [1, 10, 1_000])
  })

  it("tells the time in ms", () => {
    assert.strictEqual(world.request(gateSpotDialect, "/spot/time").body, `{"server_time":1623898993123}`)
  })

  withFixtures("lists pairs with every field of the captured list", () => {
    const listed: ReadonlyArray<object> = JSON.parse(world.request(gateSpotDialect, "/spot/currency_pairs").body)
    const captured: ReadonlyArray<object> = JSON.parse(fixture("gateio-spot.rest.jsonl", "pairs"))
    for (const key of keysOf(captured[0]!)) assert.property(listed[0], key)
    assert.include(listed[0] as Record<string, unknown>, {
      id: "BTC_USDT",
      base: "BTC",
      quote: "USDT",
      min_base_amount: "0.0001",
      min_quote_amount: "1",
      amount_precision: 8,
      precision: 2,
      trade_status: "tradable"
    })
    assert.deepStrictEqual<unknown>(
      JSON.parse(world.request(gateSpotDialect, "/spot/currency_pairs/ETH_USDT").body),
      listed[1]
    )
  })

  it("lists currencies, each once, and margin pairs", () => {
    const listed = (path: string): ReadonlyArray<unknown> => JSON.parse(world.request(gateSpotDialect, path).body)
    assert.deepStrictEqual(
      listed("/spot/currencies").map((each) => (each as { currency: string }).currency),
      ["BTC", "USDT", "ETH"]
    )
    assert.deepInclude(listed("/margin/currency_pairs")[0], {
      id: "BTC_USDT",
      base: "BTC",
      quote: "USDT",
      leverage: 10
    })
  })

  it.each<readonly [string, string, Readonly<Record<string, string>>, number, string, string]>([
    [
      "a pair of unlisted currencies",
      "/spot/order_book",
      { currency_pair: "NOPE_USDT" },
      400,
      "INVALID_CURRENCY",
      "Invalid currency NOPE"
    ],
    [
      "an unlisted quote",
      "/spot/order_book",
      { currency_pair: "BTC_NOPE" },
      400,
      "INVALID_CURRENCY",
      "Invalid currency NOPE"
    ],
    [
      "an unlisted pair",
      "/spot/order_book",
      { currency_pair: "ETH_BTC" },
      400,
      "INVALID_CURRENCY_PAIR",
      "Invalid currency pair ETH_BTC"
    ],
    [
      "a pair without underscore",
      "/spot/order_book",
      { currency_pair: "BTCUSDT" },
      400,
      "INVALID_CURRENCY_PAIR",
      "Invalid currency pair BTCUSDT"
    ],
    ["no pair", "/spot/order_book", {}, 400, "MISSING_REQUIRED_PARAM", "Missing required parameter: currency_pair"],
    [
      "limit zero",
      "/spot/order_book",
      { currency_pair: "BTC_USDT", limit: "0" },
      400,
      "INVALID_PARAM_VALUE",
      "Invalid request parameter `limit` value: 0"
    ],
    [
      "limit above 1000",
      "/spot/order_book",
      { currency_pair: "BTC_USDT", limit: "1001" },
      400,
      "INVALID_PARAM_VALUE",
      "Invalid request parameter `limit` value: 1001"
    ],
    [
      "another price step",
      "/spot/order_book",
      { currency_pair: "BTC_USDT", interval: "0.1" },
      400,
      "INVALID_PARAM_VALUE",
      "Invalid request parameter `interval` value: 0.1"
    ],
    [
      "an unlisted pair by path",
      "/spot/currency_pairs/NOPE_USDT",
      {},
      400,
      "INVALID_CURRENCY",
      "Invalid currency NOPE"
    ],
    ["a broken escape", "/spot/currency_pairs/%", {}, 400, "INVALID_CURRENCY_PAIR", "Invalid currency pair %"],
    ["an unknown path", "/spot/nope", {}, 400, "MISSING_REQUIRED_HEADER", "Missing required header: Timestamp"]
  ])("refuses %s", (_, path, query, status, label, message) => {
    const response = world.request(gateSpotDialect, path, query)
    assert.strictEqual(response.status, status)
    assert.deepStrictEqual<unknown>(parse(response.body), { label, message })
    assert.strictEqual(response.headers["Content-Type"], "application/json")
  })

  it("finds pairs by their escaped name", () => {
    const lobster = gateWorld(0, ["龙虾/USDT"])
    const response = lobster.request(gateSpotDialect, `/spot/currency_pairs/${encodeURIComponent("龙虾_USDT")}`)
    assert.strictEqual(parse(response.body)["id"], "龙虾_USDT")
  })

  it("answers other areas with an HTML page, other methods as unknown calls", () => {
    const page = world.request(gateSpotDialect, "/futures/usdt/contracts")
    assert.deepStrictEqual<unknown>([page.status, page.headers["Content-Type"]], [404, "text/html"])
    assert.strictEqual(page.headers["X-Gate-RateLimit-Limit"], "0")
    assert.strictEqual(world.request(gateSpotDialect, "/spot/time", {}, { limits: "off" }, "POST").status, 400)
  })

  it("limits each endpoint to 200 requests in 10 s and says so in headers", () => {
    const limited = gateWorld(1_700_000_003_000)
    const time = () => limited.request(gateSpotDialect, "/spot/time", {}, real)
    const limitsOf = ({ headers }: ReturnType<typeof time>) => [
      headers["X-Gate-RateLimit-Requests-Remain"],
      headers["X-Gate-RateLimit-Limit"],
      headers["X-Gate-RateLimit-Reset-Timestamp"]
    ]
    assert.deepStrictEqual<unknown>(limitsOf(time()), ["199", "200", "1700000003"])
    for (let i = 0; i < 199; i++) assert.strictEqual(time().status, 200)
    const refused = time()
    assert.strictEqual(refused.status, 429)
    assert.strictEqual(parse(refused.body)["label"], "TOO_MANY_REQUESTS")
    assert.notProperty(refused.headers, "Retry-After")
    assert.deepStrictEqual<unknown>(limitsOf(refused), ["0", "200", "1700000010"])
    const pairs = () => limited.request(gateSpotDialect, "/spot/currency_pairs", {}, real)
    assert.deepStrictEqual<unknown>(limitsOf(pairs()), ["199", "200", "1700000003"])
    limited.advance(7_000)
    assert.deepStrictEqual<unknown>(limitsOf(time()), ["199", "200", "1700000010"])
    for (let i = 0; i < 500; i++) assert.strictEqual(limited.request(gateSpotDialect, "/spot/time").status, 200)
  })
})

describe("both dialects", () => {
  it("answer where their live URLs point", () => {
    assert.deepStrictEqual<unknown>(
      [mexcSpotDialect, gateSpotDialect].map(({ id, restPath, websocketPath }) => [id, websocketPath, restPath]),
      [["mexc-spot", "/ws", ""], ["gate-spot", "/ws/v4/", "/api/v4"]]
    )
  })

  it("see markets that a world lists later", () => {
    const world = mexcWorld()
    assert.strictEqual(world.request(mexcSpotDialect, "/api/v3/depth", { symbol: "XRPUSDT" }).status, 400)
    const added = new FakeWorld(["XRP/USDT"])
    for (const [pair, market] of added.markets) world.markets.set(pair, market)
    assert.strictEqual(world.request(mexcSpotDialect, "/api/v3/depth", { symbol: "XRPUSDT" }).status, 200)
  })
})
