/** MEXC's account calls, listen keys and private channels, the server's half; frames read with the official schema. */
import { assert, describe, it } from "@effect/vitest"
import { createHmac } from "node:crypto"
import protobuf from "protobufjs"
import type { WorldAccountEvent, WorldKey, WorldRefusal } from "../../src/AccountWorld.ts"
import type { DialectOptions, DialectResponse } from "../../src/ExchangeDialect.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import * as Frames from "../../src/exchanges/mexc/MexcFramesDialect.ts"
import { FakeAccount, worldFill, worldOrder } from "./FakeAccount.ts"
import { FakeClient, FakeWorld } from "./FakeWorld.ts"
import { fixture, hasShared, withFixtures } from "./SharedFixtures.ts"

const setup = (key: Partial<WorldKey> = {}) => {
  const world = new FakeWorld(["BTC/USDT", "ETH/USDT"])
  const fake = new FakeAccount()
  world.accounts = fake.worldWith(key)
  return { world, fake }
}

interface Asking {
  readonly apiKey?: string | null
  readonly secret?: string
  readonly address?: string
  readonly options?: DialectOptions
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** As it comes over the wire: the search is what is signed. */
const raw = (world: FakeWorld, method: string, path: string, search: string, asking: Asking = {}): DialectResponse =>
  mexcSpotDialect.onHttp(
    {
      method,
      path,
      query: new Map(new URLSearchParams(search)),
      search,
      address: asking.address ?? "127.0.0.1",
      headers: {
        ...(asking.apiKey === null ? {} : { "x-mexc-apikey": asking.apiKey ?? "key" }),
        ...asking.headers
      },
      body: asking.body ?? ""
    },
    world.world,
    asking.options ?? { limits: "off" }
  )

const signatureOf = (text: string, secret = "secret"): string => createHmac("sha256", secret).update(text).digest("hex")

const ask = (
  world: FakeWorld,
  method: string,
  path: string,
  parameters: Readonly<Record<string, string>> = {},
  asking: Asking = {}
): { readonly status: number; readonly body: unknown; readonly headers: Readonly<Record<string, string>> } => {
  const timed = { ...parameters, timestamp: parameters["timestamp"] ?? String(world.clock) }
  const search = Object.entries(timed).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")
  const signature = signatureOf(search + (asking.body ?? ""), asking.secret)
  const { body, headers, status } = raw(world, method, `/api/v3/${path}`, `${search}&signature=${signature}`, asking)
  return { status, body: JSON.parse(body), headers }
}

const codeOf = ({ body, status }: { readonly body: unknown; readonly status: number }): readonly [number, number] => [
  status,
  (body as { readonly code: number }).code
]

const limit = { symbol: "BTCUSDT", side: "BUY", type: "LIMIT", quantity: "2", price: "100" }

describe("MEXC dialect: who may ask", () => {
  it("wants a key, a right signature over query and body, and a time within the window", () => {
    const { world } = setup()
    const account = (parameters: Readonly<Record<string, string>>, asking: Asking = {}) =>
      codeOf(ask(world, "GET", "account", parameters, asking))
    const now = world.clock
    assert.strictEqual(ask(world, "GET", "account").status, 200)
    assert.deepStrictEqual(account({}, { apiKey: null }), [400, 400])
    assert.deepStrictEqual(account({}, { apiKey: "other" }), [400, 10072])
    assert.deepStrictEqual(account({}, { secret: "other" }), [400, 700002])
    assert.deepStrictEqual(account({ recvWindow: "60001" }), [400, 700005])
    assert.deepStrictEqual(account({ recvWindow: "x" }), [400, 700004])
    assert.deepStrictEqual(account({ timestamp: "" }), [400, 700004])
    assert.deepStrictEqual(account({ timestamp: String(now - 5_001) }), [400, 700003])
    assert.deepStrictEqual(account({ timestamp: String(now + 1_000) }), [400, 700003])
    assert.deepStrictEqual(account({}, { headers: { "content-type": "text/plain" } }), [400, 700013])
    for (const timestamp of [now - 5_000, now + 999].map(String)) {
      assert.strictEqual(ask(world, "GET", "account", { timestamp }).status, 200)
    }
    assert.strictEqual(
      ask(world, "GET", "account", { timestamp: String(now - 50_000), recvWindow: "60000" }).status,
      200
    )
    const unsigned = raw(world, "GET", "/api/v3/account", `timestamp=${now}`)
    assert.strictEqual(JSON.parse(unsigned.body).code, 700004)
  })

  it("signs what is in a form body behind the query", () => {
    const { fake, world } = setup()
    const body = `quantity=2&price=100&timestamp=${world.clock}`
    const search = "symbol=BTCUSDT&side=BUY&type=LIMIT"
    const signature = signatureOf(search + body)
    const headers = { "content-type": "application/json" }
    const answer = raw(world, "POST", "/api/v3/order", `${search}&signature=${signature}`, { body, headers })
    assert.strictEqual(answer.status, 200, answer.body)
    assert.strictEqual(fake.placed.length, 1)
    const inBody = raw(world, "POST", "/api/v3/order", search, { body: `${body}&signature=${signature}`, headers })
    assert.strictEqual(inBody.status, 200, inBody.body)
  })

  it("wants the permission, and an address of the list", () => {
    const reader = setup({ permissions: new Set(["read"]) }).world
    assert.deepStrictEqual(codeOf(ask(reader, "POST", "order", limit)), [400, 700007])
    assert.strictEqual(ask(reader, "GET", "account").status, 200)
    const trader = setup({ permissions: new Set(["trade"]) }).world
    assert.deepStrictEqual(codeOf(ask(trader, "POST", "userDataStream")), [400, 700007])
    const listed = setup({ addresses: ["10.0.0.1"] }).world
    assert.deepStrictEqual(codeOf(ask(listed, "GET", "account")), [400, 700006])
    assert.strictEqual(ask(listed, "GET", "account", {}, { address: "10.0.0.1" }).status, 200)
  })
})

describe("MEXC dialect: orders", () => {
  it("takes every type, and answers without a status", () => {
    const { fake, world } = setup()
    const { body } = ask(world, "POST", "order", { ...limit, newClientOrderId: "c1", stpMode: "cancel_both" })
    assert.deepStrictEqual(body, {
      symbol: "BTCUSDT",
      orderId: "C02__000000000000000001",
      orderListId: -1,
      price: "100",
      origQty: "2",
      type: "LIMIT",
      side: "BUY",
      stpMode: "cancel_both",
      transactTime: 1_800_000_000_000
    })
    for (const type of ["LIMIT_MAKER", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"]) {
      ask(world, "POST", "order", { ...limit, type })
    }
    const market = { symbol: "BTCUSDT", type: "MARKET" }
    ask(world, "POST", "order", { ...market, side: "SELL", quantity: "1" })
    ask(world, "POST", "order", { ...market, side: "BUY", quoteOrderQty: "50" })
    assert.deepStrictEqual(
      fake.placed.map(({ price, quantity, quoteQuantity, side, timeInForce, type }) =>
        [side, type, timeInForce, price, quantity, quoteQuantity].join(" ")
      ),
      [
        "buy limit gtc 100 2 ",
        "buy limit postOnly 100 2 ",
        "buy limit ioc 100 2 ",
        "buy limit fok 100 2 ",
        "sell market ioc  1 ",
        "buy market ioc   50"
      ]
    )
    assert.strictEqual(fake.placed[0]!.clientOrderId, "c1")
  })

  it("refuses what is missing or malformed", () => {
    const { fake, world } = setup()
    const refused = (parameters: Readonly<Record<string, string>>) =>
      codeOf(ask(world, "POST", "order", { ...limit, ...parameters }))
    for (
      const parameters of [
        { symbol: "" },
        { side: "HOLD" },
        { type: "STOP_LIMIT" },
        { quantity: "1e3" },
        { price: "" },
        { stpMode: "x" }
      ]
    ) {
      assert.deepStrictEqual(refused(parameters), [400, 700004], JSON.stringify(parameters))
    }
    assert.deepStrictEqual(refused({ symbol: "NOUSDT" }), [400, -1121])
    assert.deepStrictEqual(fake.placed, [])
  })

  const refusals: ReadonlyArray<readonly [WorldRefusal, number]> = [
    ["unknownPair", -1121],
    ["badQuantity", 33333],
    ["badPrice", 33333],
    ["tooSmall", 30002],
    ["insufficientBalance", 10101],
    ["duplicateClientOrderId", 33333],
    ["wouldMatch", 30010],
    ["notFillable", 30025],
    ["tooManyOrders", 30029]
  ]

  it.each(refusals)("%s is code %d", (refusal, code) => {
    const { fake, world } = setup()
    fake.refusal = refusal
    assert.deepStrictEqual(codeOf(ask(world, "POST", "order", limit)), [400, code])
  })

  it("a sale of what is not there has its own code", () => {
    const { fake, world } = setup()
    fake.refusal = "insufficientBalance"
    assert.deepStrictEqual(codeOf(ask(world, "POST", "order", { ...limit, side: "SELL" })), [400, 30005])
  })

  it("tests an order without taking it", () => {
    const { fake, world } = setup()
    const tested = (parameters: Readonly<Record<string, string>> = {}) =>
      ask(world, "POST", "order/test", { ...limit, ...parameters })
    assert.deepStrictEqual(tested().body, {})
    assert.deepStrictEqual(codeOf(tested({ price: "100.001" })), [400, 33333])
    assert.deepStrictEqual(codeOf(tested({ quantity: "0.000000001" })), [400, 33333])
    assert.deepStrictEqual(codeOf(tested({ quantity: "0.00001" })), [400, 30002])
    assert.deepStrictEqual(codeOf(tested({ quantity: "0.001" })), [400, 30002])
    assert.deepStrictEqual(codeOf(tested({ type: "MARKET", quantity: "", quoteOrderQty: "0.5" })), [400, 30002])
    assert.deepStrictEqual(codeOf(tested({ side: "" })), [400, 700004])
    assert.deepStrictEqual(fake.placed, [])
  })

  it("places a batch of one symbol, each by itself", () => {
    const { fake, world } = setup()
    const batch = (orders: unknown) => ask(world, "POST", "batchOrders", { batchOrders: JSON.stringify(orders) })
    const answer = batch([{ ...limit, newClientOrderId: "a" }, { ...limit, price: "", newClientOrderId: "b" }])
    assert.strictEqual(answer.status, 200)
    assert.deepInclude((answer.body as ReadonlyArray<object>)[0], {
      symbol: "BTCUSDT",
      orderId: "C02__000000000000000001",
      newClientOrderId: "a"
    })
    assert.deepInclude((answer.body as ReadonlyArray<object>)[1], { code: 700004, newClientOrderId: "b" })
    fake.refusal = "tooSmall"
    assert.deepInclude((batch([limit]).body as ReadonlyArray<object>)[0], { code: 30002 })
    assert.deepStrictEqual(codeOf(batch([limit, { ...limit, symbol: "ETHUSDT" }])), [400, 33333])
    assert.deepStrictEqual(codeOf(batch(Array.from({ length: 21 }, () => limit))), [400, 33333])
    assert.deepStrictEqual(codeOf(batch([{ ...limit, symbol: "NO" }])), [400, -1121])
    for (const odd of [[], "x", [1]]) assert.deepStrictEqual(codeOf(batch(odd)), [400, 700004])
    assert.deepStrictEqual(codeOf(ask(world, "POST", "batchOrders")), [400, 700004])
  })

  it("finds, cancels and lists orders", () => {
    const { fake, world } = setup()
    ask(world, "POST", "order", { ...limit, newClientOrderId: "c1" })
    ask(world, "POST", "order", { ...limit, newClientOrderId: "c2" })
    ask(world, "POST", "order", { ...limit, symbol: "ETHUSDT" })
    const one = { symbol: "BTCUSDT", origClientOrderId: "c1" }
    assert.deepStrictEqual(ask(world, "GET", "order", one).body, {
      symbol: "BTCUSDT",
      orderId: "C02__000000000000000001",
      orderListId: -1,
      clientOrderId: "c1",
      price: "100",
      origQty: "2",
      executedQty: "0",
      cummulativeQuoteQty: "0",
      status: "NEW",
      timeInForce: null,
      type: "LIMIT",
      side: "BUY",
      stpMode: "",
      stopPrice: null,
      icebergQty: null,
      time: 1_800_000_000_000,
      updateTime: 1_800_000_000_000,
      isWorking: true,
      origQuoteOrderQty: "0"
    })
    const listed = (path: string, parameters: Readonly<Record<string, string>>) =>
      (ask(world, "GET", path, parameters).body as ReadonlyArray<{ readonly clientOrderId: string | null }>)
        .map(({ clientOrderId }) => clientOrderId)
    assert.deepStrictEqual(listed("openOrders", { symbol: "BTCUSDT" }), ["c2", "c1"])
    assert.deepStrictEqual(listed("openOrders", { symbol: "BTCUSDT,ETHUSDT" }), ["c2", "c1", null])
    assert.deepStrictEqual(codeOf(ask(world, "GET", "openOrders")), [400, 700004])
    assert.deepStrictEqual(codeOf(ask(world, "GET", "openOrders", { symbol: "A,B,C,D,E,F" })), [400, 700004])
    assert.deepStrictEqual(codeOf(ask(world, "GET", "openOrders", { symbol: "BTCUSDT,NO" })), [400, -1121])
    const cancelled = ask(world, "DELETE", "order", one)
    assert.deepInclude(cancelled.body, { status: "CANCELED", origClientOrderId: "c1" })
    assert.deepStrictEqual(codeOf(ask(world, "DELETE", "order", one)), [400, -2011])
    const byId = { symbol: "BTCUSDT", orderId: "C02__000000000000000001" }
    assert.deepInclude(ask(world, "GET", "order", byId).body, { clientOrderId: "c1", status: "CANCELED" })
    assert.deepStrictEqual(listed("allOrders", { symbol: "BTCUSDT" }), ["c2", "c1"])
    assert.deepStrictEqual(listed("allOrders", { symbol: "BTCUSDT", endTime: "1" }), [])
    assert.deepStrictEqual(codeOf(ask(world, "GET", "allOrders", { symbol: "BTCUSDT", limit: "x" })), [400, 700004])
    const all = ask(world, "DELETE", "openOrders", { symbol: "BTCUSDT,ETHUSDT" }).body as ReadonlyArray<unknown>
    assert.strictEqual(all.length, 2)
    assert.isTrue(fake.known.every(({ finish }) => finish === "cancelled"))
  })

  it("knows no order of another symbol, by no id, or by one that is none", () => {
    const { world } = setup()
    ask(world, "POST", "order", { ...limit, newClientOrderId: "c1" })
    const symbol = "ETHUSDT"
    for (const parameters of [{ symbol, origClientOrderId: "c1" }, { symbol, orderId: "7" }]) {
      assert.deepStrictEqual(codeOf(ask(world, "GET", "order", parameters)), [400, -2013])
      assert.deepStrictEqual(codeOf(ask(world, "DELETE", "order", parameters)), [400, -2011])
    }
    for (const method of ["GET", "DELETE"]) {
      assert.deepStrictEqual(codeOf(ask(world, method, "order", { symbol })), [400, 700004])
    }
  })

  it("says how far an order came", () => {
    const { fake, world } = setup()
    const states = [
      { filled: "1" },
      { filled: "2", finish: "filled" },
      { finish: "cancelled" },
      { filled: "1", finish: "ioc" }
    ] as const
    fake.known.push(...states.map((state, index) => worldOrder({ id: index + 1, ...state })))
    const statuses = states.map((_, index) => {
      const orderId = `C02__${String(index + 1).padStart(18, "0")}`
      return (ask(world, "GET", "order", { symbol: "BTCUSDT", orderId }).body as { readonly status: string }).status
    })
    assert.deepStrictEqual(statuses, ["PARTIALLY_FILLED", "FILLED", "CANCELED", "PARTIALLY_CANCELED"])
  })
})

describe("MEXC dialect: fills and balances", () => {
  it("fills want a symbol; newest first, 100 at most", () => {
    const { fake, world } = setup()
    fake.filled.push(
      ...Array.from(
        { length: 120 },
        (_, index) => worldFill({ id: index + 1, orderId: index < 100 ? 1 : 2, time: world.clock - 200 + index })
      )
    )
    const trades = (parameters: Readonly<Record<string, string>> = {}) =>
      ask(world, "GET", "myTrades", { symbol: "BTCUSDT", ...parameters }).body as ReadonlyArray<{ readonly id: string }>
    assert.deepStrictEqual(codeOf(ask(world, "GET", "myTrades")), [400, 700004])
    assert.deepStrictEqual([trades().length, trades({ limit: "500" }).length, trades({ limit: "3" }).length], [
      100,
      100,
      3
    ])
    const [newest]: ReadonlyArray<unknown> = trades()
    assert.deepStrictEqual(newest, {
      symbol: "BTCUSDT",
      id: "000000000000000120X1",
      orderId: "C02__000000000000000002",
      orderListId: -1,
      price: "100",
      qty: "0.5",
      quoteQty: "50",
      commission: "0.0005",
      commissionAsset: "BTC",
      time: world.clock - 81,
      isBuyer: true,
      isMaker: false,
      isBestMatch: true,
      isSelfTrade: false,
      clientOrderId: null
    })
    assert.strictEqual(trades({ orderId: "C02__000000000000000002" }).length, 20)
    assert.strictEqual(trades({ orderId: "none" }).length, 0)
    const from = { startTime: String(world.clock - 190), endTime: String(world.clock - 186) }
    assert.deepStrictEqual(trades(from).map(({ id }) => Number(id.slice(0, -2))), [15, 14, 13, 12, 11])
    assert.deepStrictEqual(codeOf(ask(world, "GET", "myTrades", { symbol: "BTCUSDT", startTime: "x" })), [400, 700004])
  })

  it("tells assets of which there is something, the user, fees and symbols", () => {
    const { world } = setup()
    assert.deepInclude(ask(world, "GET", "account").body, {
      balances: [{ asset: "USDT", free: "100", locked: "10", available: "100" }],
      canTrade: true
    })
    assert.deepStrictEqual(ask(world, "GET", "uid").body, { uid: "1001" })
    assert.deepInclude(ask(world, "GET", "tradeFee", { symbol: "BTCUSDT" }).body, { code: 0 })
    assert.deepInclude(ask(world, "GET", "selfSymbols").body, { data: ["BTCUSDT", "ETHUSDT"] })
  })
})

const minute = 60_000
const ordersTopic = "spot@private.orders.v3.api.pb"
const dealsTopic = "spot@private.deals.v3.api.pb"
const accountTopic = "spot@private.account.v3.api.pb"

const newKey = (world: FakeWorld): string =>
  (ask(world, "POST", "userDataStream").body as { readonly listenKey: string }).listenKey

const keysOf = (world: FakeWorld): ReadonlyArray<string> =>
  (ask(world, "GET", "userDataStream").body as { readonly listenKey: ReadonlyArray<string> }).listenKey

const clientOf = (world: FakeWorld, listenKey: string, options: DialectOptions = { limits: "off" }): FakeClient =>
  new FakeClient(mexcSpotDialect, world, options, {}, { listenKey })

describe("MEXC dialect: listen keys", () => {
  it("lives for an hour, and for another after each renewal", () => {
    const { world } = setup()
    const listenKey = newKey(world)
    assert.match(listenKey, /^[0-9a-f]{64}$/)
    assert.deepStrictEqual(keysOf(world), [listenKey])
    world.advance(59 * minute)
    assert.deepStrictEqual(ask(world, "PUT", "userDataStream", { listenKey }).body, { listenKey })
    world.advance(59 * minute)
    assert.deepStrictEqual(keysOf(world), [listenKey])
    world.advance(minute)
    assert.deepStrictEqual(keysOf(world), [])
    assert.strictEqual(ask(world, "PUT", "userDataStream", { listenKey }).status, 400)
  })

  it("is deleted, by its owner only", () => {
    const { world } = setup()
    const listenKey = newKey(world)
    const other = new FakeAccount()
    world.accounts = { find: () => ({ key: other.key, account: { ...other.account, userId: "2" } }) }
    assert.strictEqual(ask(world, "DELETE", "userDataStream", { listenKey }).status, 400)
    world.accounts = new FakeAccount().worldWith()
    assert.deepStrictEqual(ask(world, "DELETE", "userDataStream", { listenKey }).body, { listenKey })
    assert.deepStrictEqual(keysOf(world), [])
    assert.deepStrictEqual(codeOf(ask(world, "PUT", "userDataStream")), [400, 700004])
  })

  it("needs no signature, but a wrong one is refused; 60 for a user", () => {
    const { world } = setup()
    const bare = raw(world, "POST", "/api/v3/userDataStream", "")
    assert.strictEqual(bare.status, 200)
    assert.deepStrictEqual(codeOf(ask(world, "POST", "userDataStream", {}, { secret: "other" })), [400, 700002])
    for (let i = 1; i < 60; i++) newKey(world)
    assert.strictEqual(keysOf(world).length, 60)
    assert.strictEqual(ask(world, "POST", "userDataStream").status, 400)
    world.advance(60 * minute)
    assert.strictEqual(ask(world, "POST", "userDataStream").status, 200)
  })

  it("opens five connections, and none when it is not valid", () => {
    const { world } = setup()
    const isOpen = (client: FakeClient): boolean => {
      world.advance(0)
      return client.closed === null
    }
    const odd = clientOf(world, "none")
    assert.isFalse(isOpen(odd))
    assert.deepStrictEqual(odd.texts(), ["Invalid listen key"])
    const listenKey = newKey(world)
    const clients = Array.from({ length: 5 }, () => clientOf(world, listenKey))
    assert.isTrue(clients.every(isOpen))
    assert.isFalse(isOpen(clientOf(world, listenKey)))
    clients[0]!.connection.onClose()
    assert.isTrue(isOpen(clientOf(world, listenKey)))
  })

  for (const how of ["by time", "by a fault", "by deletion"] as const) {
    it(`its end ${how} is silence`, () => {
      const { fake, world } = setup()
      const listenKey = newKey(world)
      const client = clientOf(world, listenKey)
      client.send({ method: "SUBSCRIPTION", params: [ordersTopic], id: 1 })
      fake.tell({ _tag: "Order", order: worldOrder(), event: "put" })
      client.send({ method: "PING" })
      assert.strictEqual(client.take().length, 3)
      if (how === "by time") world.advance(60 * minute)
      else if (how === "by a fault") assert.isTrue(client.connection.notify!("expireKeys"))
      else ask(world, "DELETE", "userDataStream", { listenKey })
      fake.tell({ _tag: "Order", order: worldOrder(), event: "finish" })
      client.send({ method: "PING" })
      assert.deepStrictEqual(client.take(), [])
      assert.isNull(client.closed)
      client.connection.onClose()
      assert.strictEqual(fake.listeners, 0)
    })
  }

  it("a connection without one has no private channels, and nothing that could expire", () => {
    const { world } = setup()
    const client = new FakeClient(mexcSpotDialect, world)
    client.send({ method: "SUBSCRIPTION", params: [ordersTopic], id: 1 })
    assert.include(client.texts()[0], "Not Subscribed successfully!")
    assert.isFalse(client.connection.notify!("expireKeys"))
  })
})

/** From mexcdevelop/websocket-proto. */
const schema = protobuf.parse(`
  syntax = "proto3";
  message Orders {
    string id = 1; string clientId = 2; string price = 3; string quantity = 4; string amount = 5; string avgPrice = 6;
    int32 orderType = 7; int32 tradeType = 8; bool isMaker = 9; string remainAmount = 10; string remainQuantity = 11;
    optional string lastDealQuantity = 12; string cumulativeQuantity = 13; string cumulativeAmount = 14;
    int32 status = 15; int64 createTime = 16;
  }
  message Deals {
    string price = 1; string quantity = 2; string amount = 3; int32 tradeType = 4; bool isMaker = 5;
    bool isSelfTrade = 6; string tradeId = 7; string clientOrderId = 8; string orderId = 9; string feeAmount = 10;
    string feeCurrency = 11; int64 time = 12;
  }
  message Account {
    string vcoinName = 1; string coinId = 2; string balanceAmount = 3; string balanceAmountChange = 4;
    string frozenAmount = 5; string frozenAmountChange = 6; string type = 7; int64 time = 8;
  }
  message Wrapper {
    string channel = 1; optional string symbol = 3; optional int64 createTime = 5; optional int64 sendTime = 6;
    oneof body { Orders orders = 304; Deals deals = 306; Account account = 307; }
  }`).root.lookupType("Wrapper")

interface Body {
  readonly channel: string
  readonly symbol?: string
  readonly createTime?: string
  readonly sendTime: string
  readonly orders?: Readonly<Record<string, unknown>>
  readonly deals?: Readonly<Record<string, unknown>>
  readonly account?: Readonly<Record<string, unknown>>
}

const decode = (frame: Uint8Array): Body => schema.toObject(schema.decode(frame), { longs: String }) as Body

const pushedBy = (topic: string, ...events: ReadonlyArray<WorldAccountEvent>): ReadonlyArray<Body> => {
  const { fake, world } = setup()
  const client = clientOf(world, newKey(world))
  client.send({ method: "SUBSCRIPTION", params: [topic], id: 1 })
  assert.deepStrictEqual(JSON.parse(client.texts()[0]!), { id: 1, code: 0, msg: topic })
  for (const event of events) fake.tell(event)
  const sent = client.take()
  assert.isTrue(sent.every(({ about }) => about._tag === "Data" && about.topic === topic && about.events === 1))
  return sent.map(({ frame }) => decode(frame as Uint8Array))
}

describe("MEXC dialect: private channels", () => {
  it("orders, with the last fill", () => {
    const order = worldOrder({ clientOrderId: "客户-7", filled: "0.5", filledQuote: "50", averagePrice: "100.00" })
    const fill = worldFill({ liquidity: "maker" })
    const [open, filled, ended] = pushedBy(
      ordersTopic,
      { _tag: "Order", order: worldOrder(), event: "put" },
      { _tag: "Fill", fill, order },
      { _tag: "Order", order, event: "update" },
      { _tag: "Order", order: { ...order, finish: "cancelled" }, event: "finish" }
    )
    const common = {
      id: "C02__000000000000000001",
      price: "100",
      quantity: "2",
      amount: "200",
      orderType: 1,
      tradeType: 1,
      createTime: "1800000000000"
    }
    assert.deepStrictEqual(open, {
      channel: ordersTopic,
      symbol: "BTCUSDT",
      sendTime: "1800000000000",
      orders: {
        ...common,
        remainAmount: "200",
        remainQuantity: "2",
        cumulativeQuantity: "0",
        cumulativeAmount: "0",
        status: 1
      }
    })
    const rest = {
      ...common,
      clientId: "客户-7",
      avgPrice: "100",
      isMaker: true,
      remainAmount: "150",
      remainQuantity: "1.5",
      lastDealQuantity: "0.5",
      cumulativeQuantity: "0.5",
      cumulativeAmount: "50"
    }
    assert.deepStrictEqual(filled!.orders, { ...rest, status: 3 })
    assert.deepStrictEqual(ended!.orders, { ...rest, status: 5 })
  })

  it("market orders by amount, and every type and end", () => {
    const spent = worldOrder({
      type: "market",
      timeInForce: "ioc",
      price: null,
      quantity: null,
      quoteQuantity: "50",
      filled: "0.4",
      filledQuote: "49.9",
      finish: "filled"
    })
    const [market, ...others] = pushedBy(
      ordersTopic,
      { _tag: "Order", order: spent, event: "finish" },
      ...(["postOnly", "ioc", "fok"] as const).map((timeInForce): WorldAccountEvent => ({
        _tag: "Order",
        order: worldOrder({ timeInForce, side: "sell", finish: "ioc" }),
        event: "finish"
      }))
    )
    assert.deepInclude(market!.orders, {
      price: "0",
      quantity: "0",
      amount: "50",
      remainAmount: "0.1",
      remainQuantity: "0",
      orderType: 5,
      status: 2
    })
    assert.deepStrictEqual(
      others.map(({ orders }) => [orders!["orderType"], orders!["tradeType"], orders!["status"]]),
      [
        [2, 2, 4],
        [3, 2, 4],
        [4, 2, 4]
      ]
    )
  })

  it("deals", () => {
    const [deal] = pushedBy(dealsTopic, { _tag: "Fill", fill: worldFill({ clientOrderId: "c1" }), order: worldOrder() })
    assert.deepStrictEqual(deal, {
      channel: dealsTopic,
      symbol: "BTCUSDT",
      sendTime: "1800000000000",
      deals: {
        price: "100",
        quantity: "0.5",
        amount: "50",
        tradeType: 1,
        tradeId: "000000000000000001X1",
        clientOrderId: "c1",
        orderId: "C02__000000000000000001",
        feeAmount: "0.0005",
        feeCurrency: "BTC",
        time: "1800000000000"
      }
    })
  })

  it("balances, with what changed of each part", () => {
    const balance = (fields: object): WorldAccountEvent => ({
      _tag: "Balance",
      balance: {
        asset: "USDT",
        available: "90",
        locked: "20",
        change: "0",
        cause: "orderPlaced",
        orderId: 1,
        pair: "BTC/USDT",
        time: 1_800_000_000_000,
        ...fields
      }
    })
    const [first, second] = pushedBy(
      accountTopic,
      balance({}),
      balance({ available: "95.5", locked: "0", cause: "orderFilled" })
    )
    assert.deepInclude(first, { channel: accountTopic, createTime: "1800000000000", sendTime: "1800000000000" })
    assert.isFalse("symbol" in first!)
    assert.match(String(first!.account!["coinId"]), /^[0-9a-f]{32}$/)
    const parts = ["balanceAmount", "balanceAmountChange", "frozenAmount", "frozenAmountChange", "type"]
    assert.deepStrictEqual(parts.map((name) => first!.account![name]), ["90", "-10", "20", "10", "ENTRUST_PLACE"])
    assert.deepStrictEqual(parts.map((name) => second!.account![name]), ["95.5", "5.5", "0", "-20", "ENTRUST"])
  })

  it("the three share a connection, and one stops by itself", () => {
    const { fake, world } = setup()
    const client = clientOf(world, newKey(world))
    client.send({ method: "SUBSCRIPTION", params: [ordersTopic, dealsTopic, accountTopic], id: 1 })
    client.send({ method: "UNSUBSCRIPTION", params: [dealsTopic], id: 2 })
    client.take()
    fake.tell({ _tag: "Fill", fill: worldFill(), order: worldOrder() })
    fake.tell({ _tag: "Order", order: worldOrder(), event: "update" })
    assert.deepStrictEqual(client.take().map(({ about }) => about), [{ _tag: "Data", topic: ordersTopic, events: 1 }])
    assert.deepStrictEqual([...client.connection.topics()], [ordersTopic, accountTopic])
  })
})

describe.runIf(hasShared)("MEXC dialect: frames are those of the fixtures, byte for byte", () => {
  const text = (value: unknown): string => String(value ?? "")
  const bytes = (frame: Uint8Array): string => Buffer.from(frame).toString("hex")
  const read = (file: string, name: string) => {
    const hex = fixture(`mexc-spot.private.${file}.jsonl`, name)
    return { hex, body: decode(Buffer.from(hex, "hex")) }
  }

  for (const name of ["indy-cancelled", "partial", "market-buy-filled", "fok-filled"]) {
    withFixtures(`orders/${name}`, () => {
      const { body, hex } = read("orders", name)
      const order = body.orders!
      assert.strictEqual(
        bytes(Frames.orderFrame(Frames.envelope(body.channel, body.symbol), Number(body.sendTime), {
          id: text(order["id"]),
          clientId: text(order["clientId"]),
          price: text(order["price"]),
          quantity: text(order["quantity"]),
          amount: text(order["amount"]),
          avgPrice: text(order["avgPrice"]),
          orderType: Number(order["orderType"]),
          side: order["tradeType"] === 1 ? "buy" : "sell",
          isMaker: order["isMaker"] === true,
          remainAmount: text(order["remainAmount"]),
          remainQuantity: text(order["remainQuantity"]),
          lastDealQuantity: text(order["lastDealQuantity"]),
          cumulativeQuantity: text(order["cumulativeQuantity"]),
          cumulativeAmount: text(order["cumulativeAmount"]),
          status: Number(order["status"]),
          createTime: Number(order["createTime"])
        })),
        hex
      )
    })
  }

  for (const name of ["self-trade", "taker-tiny"]) {
    withFixtures(`deals/${name}`, () => {
      const { body, hex } = read("deals", name)
      const deal = body.deals!
      assert.strictEqual(
        bytes(Frames.dealFrame(Frames.envelope(body.channel, body.symbol), Number(body.sendTime), {
          price: text(deal["price"]),
          quantity: text(deal["quantity"]),
          amount: text(deal["amount"]),
          side: deal["tradeType"] === 1 ? "buy" : "sell",
          isMaker: deal["isMaker"] === true,
          isSelfTrade: deal["isSelfTrade"] === true,
          tradeId: text(deal["tradeId"]),
          clientOrderId: text(deal["clientOrderId"]),
          orderId: text(deal["orderId"]),
          feeAmount: text(deal["feeAmount"]),
          feeCurrency: text(deal["feeCurrency"]),
          time: Number(deal["time"])
        })),
        hex
      )
    })
  }

  withFixtures("account/order-place", () => {
    const { body, hex } = read("account", "order-place")
    const account = body.account!
    const frame = Frames.balanceFrame(body.channel, Number(body.sendTime), {
      asset: text(account["vcoinName"]),
      coinId: text(account["coinId"]),
      balance: text(account["balanceAmount"]),
      balanceChange: text(account["balanceAmountChange"]),
      frozen: text(account["frozenAmount"]),
      frozenChange: text(account["frozenAmountChange"]),
      type: text(account["type"]),
      time: Number(account["time"])
    })
    // The wrapper was made a millisecond after the change; here both are one.
    const { createTime: _made, ...again } = decode(frame)
    const { createTime: _theirs, ...wanted } = body
    assert.deepStrictEqual(again, wanted)
    assert.strictEqual(bytes(frame).length, hex.length)
  })
})

describe("MEXC dialect: limits of accounts", () => {
  const real: Asking = { options: { limits: "real" } }

  it("12 order commands and two readings of the account in a second, 500 weight in 10 s for a call", () => {
    const { world } = setup()
    for (let i = 0; i < 12; i++) assert.strictEqual(ask(world, "POST", "order", limit, real).status, 200)
    const refused = ask(world, "DELETE", "order", { symbol: "BTCUSDT", orderId: "x" }, real)
    assert.deepStrictEqual(codeOf(refused), [429, 429])
    assert.deepInclude(refused.headers, { "Retry-After": "1" })
    world.advance(1_000)
    const batch = { batchOrders: JSON.stringify([limit]) }
    const batches = [1, 2, 3].map(() => ask(world, "POST", "batchOrders", batch, real).status)
    assert.deepStrictEqual(batches, [200, 200, 429])
    world.advance(1_000)
    assert.deepStrictEqual([1, 2, 3].map(() => ask(world, "GET", "account", {}, real).status), [200, 200, 429])
    world.advance(10_000)
    const fills = Array.from({ length: 51 }, () => ask(world, "GET", "myTrades", { symbol: "BTCUSDT" }, real).status)
    assert.deepStrictEqual([fills.filter((status) => status === 200).length, fills.at(-1)], [50, 429])
  })

  it("the filter before them counts them all", () => {
    const { world } = setup()
    const uid = () => raw(world, "GET", "/api/v3/uid", "", real).status
    const statuses = Array.from({ length: 125 }, uid)
    assert.deepStrictEqual([statuses[0], statuses.at(-1)], [400, 403])
  })
})
