import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Effect } from "effect"
import type { WorldPlace } from "../../src/AccountWorld.ts"
import * as Auth from "../../src/connection/Auth.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import { gateFuturesAccount } from "../../src/exchanges/gate/GateAccount.ts"
import { gateFuturesDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { futures, pushed } from "./GateAccountHarness.ts"
import { at, credentials, GateServer, keysOf, told } from "./GateServer.ts"
import { hasShared, shared } from "./SharedFixtures.ts"

const pair = "BTC/USDT:USDT"
const serve = () => new GateServer(gateFuturesDialect, pair)

const decimal = { "x-gate-size-decimal": "1" } as const

const limit = { contract: "BTC_USDT", size: "2", price: "99", tif: "gtc", text: "t-a" }

const place = (server: GateServer, change: object = {}, headers: Readonly<Record<string, string>> = decimal) =>
  server.call("POST", "/futures/usdt/orders", { body: { ...limit, ...change }, headers })

const market = (size: string, text: string) => ({ size, text, price: "0", tif: "ioc" })

const get = (server: GateServer, path: string, query = "") =>
  server.call("GET", `/futures/usdt${path}`, { query, headers: decimal })

/** Somebody else trades against us. */
const trade = (server: GateServer, change: Partial<WorldPlace> = {}) =>
  server.other.place({
    pair,
    side: "sell",
    type: "limit",
    timeInForce: "gtc",
    price: "100",
    quantity: "0.5",
    quoteQuantity: null,
    clientOrderId: null,
    reduceOnly: false,
    trigger: null,
    ...change
  })

const labelOf = ({ json, status }: { readonly status: number; readonly json: unknown }) => [status, at(json, "label")]

describe("Gate futures' orders over REST", () => {
  it("are placed with a sign, and answered in the form of the documents", () => {
    const server = serve()
    const { json, status } = place(server, { size: "-2", price: "101" })
    assert.strictEqual(status, 201)
    assert.deepInclude(json, {
      id: 1,
      user: 10_001,
      contract: "BTC_USDT",
      size: "-2",
      left: "-2",
      price: "101",
      fill_price: "0",
      tif: "gtc",
      text: "t-a",
      status: "open",
      is_reduce_only: false,
      create_time: server.fake.clock / 1_000
    })
    assert.notProperty(json, "finish_as")
  })

  it("have whole numbers without the header, fractions cut off", () => {
    const server = serve()
    assert.deepInclude(place(server, { size: 1.7 }, {}).json, { size: 1, left: 1 })
    assert.deepStrictEqual(labelOf(place(server, { size: "0.7", text: "t-b" }, {})), [400, "INVALID_PARAM_VALUE"])
    assert.deepInclude(place(server, { size: "0.75", text: "t-c" }).json, { size: "0.75" })
  })

  it("match at once, wait, or end, as their kind has it", () => {
    const server = serve()
    const kinds: ReadonlyArray<readonly [change: object, expected: object]> = [
      [{ price: "100.1" }, { status: "finished", finish_as: "filled", left: "0", fill_price: "100.1" }],
      [market("-1", "t-b"), { status: "finished", price: "0", fill_price: "99.9", tif: "ioc" }],
      [{ text: "t-c", tif: "ioc" }, { status: "finished", finish_as: "ioc", left: "2" }],
      [{ text: "t-d", tif: "poc" }, { status: "open", tif: "poc" }],
      [{ text: "t-e", size: 0, close: true, price: "0", tif: "ioc" }, { size: "-1", is_reduce_only: true }]
    ]
    for (const [change, expected] of kinds) {
      const { json, status } = place(server, change)
      assert.strictEqual(status, 201, JSON.stringify(json))
      assert.deepInclude(json, expected as Record<string, unknown>)
    }
    assert.strictEqual(server.account.positions()[0]!.size, "0")
  })

  const refused: ReadonlyArray<readonly [name: string, change: object, status: number, label: string]> = [
    ["an unknown contract", { contract: "NO_NE" }, 400, "CONTRACT_NOT_FOUND"],
    ["no contract", { contract: undefined }, 400, "MISSING_REQUIRED_PARAM"],
    ["no size", { size: undefined }, 400, "MISSING_REQUIRED_PARAM"],
    ["a size of nothing", { size: "0" }, 400, "INVALID_PARAM_VALUE"],
    ["a size that is no number", { size: "some" }, 400, "INVALID_PARAM_VALUE"],
    ["a size between steps", { size: "1.005" }, 400, "INVALID_PARAM_VALUE"],
    ["too little", { size: "0.001" }, 400, "INVALID_PARAM_VALUE"],
    ["no price", { price: undefined }, 400, "INVALID_ARGUMENT"],
    ["a price between steps", { price: "99.01" }, 400, "INVALID_PARAM_VALUE"],
    ["a market order that waits", { price: "0" }, 400, "INVALID_PARAM_VALUE"],
    ["another time in force", { tif: "day" }, 400, "INVALID_PARAM_VALUE"],
    ["an iceberg", { iceberg: "1" }, 400, "INVALID_PARAM_VALUE"],
    ["self-trade prevention", { stp_act: "cn" }, 400, "INVALID_PARAM_VALUE"],
    ["a text without prefix", { text: "mine" }, 400, "INVALID_PARAM_VALUE"],
    ["more than there is margin for", { size: "5000" }, 400, "INSUFFICIENT_AVAILABLE"],
    ["a maker that would take", { price: "100.1", tif: "poc" }, 400, "ORDER_POC_IMMEDIATE"],
    ["all or nothing without all", { tif: "fok" }, 400, "ORDER_FOK"],
    ["reducing what is not there", { reduce_only: true }, 400, "INCREASE_POSITION"],
    ["closing what is not there", { size: 0, close: true }, 400, "POSITION_EMPTY"]
  ]
  for (const [name, change, status, label] of refused) {
    it(`refuse ${name}, and nothing is open or held`, () => {
      const server = serve()
      assert.deepStrictEqual(labelOf(place(server, change)), [status, label])
      assert.isEmpty(server.account.orders({ open: true }))
      assert.isTrue(server.account.balances().every(({ locked }) => locked === "0"))
    })
  }

  it("are forgotten when they ended without a fill: by text after a minute, by id after ten", () => {
    const server = serve()
    place(server)
    const cancelled = server.call("DELETE", "/futures/usdt/orders/t-a", { headers: decimal })
    assert.deepInclude(cancelled.json, { status: "finished", finish_as: "cancelled", left: "2" })
    place(server, { text: "t-b", price: "100.1" })
    server.fake.advance(60_000)
    assert.strictEqual(get(server, "/orders/t-a").status, 200)
    server.fake.advance(1)
    assert.deepStrictEqual(labelOf(get(server, "/orders/t-a")), [404, "ORDER_NOT_FOUND"])
    server.fake.advance(539_999)
    assert.strictEqual(get(server, "/orders/1").status, 200)
    server.fake.advance(1)
    assert.strictEqual(get(server, "/orders/1").status, 404)
    assert.deepInclude(get(server, "/orders/t-b").json, { finish_as: "filled" })
    const texts = get(server, "/orders", "status=finished").json as ReadonlyArray<{ readonly text: string }>
    assert.deepStrictEqual(texts.map(({ text }) => text), ["t-b"])
  })

  it("are amended, the whole size named, and keep their side", () => {
    const server = serve()
    place(server, { price: "100" })
    trade(server)
    const amend = (body: object) => server.call("PUT", "/futures/usdt/orders/1", { body, headers: decimal })
    assert.deepInclude(amend({ size: "3" }).json, { size: "3", left: "2.5", fill_price: "100" })
    assert.deepInclude(amend({ price: "98" }).json, { price: "98" })
    for (const body of [{}, { size: "-3" }, { size: "x" }, { price: "x" }]) assert.strictEqual(amend(body).status, 400)
    assert.deepStrictEqual(labelOf(amend({ price: "98" })), [400, "NO_CHANGE"])
    assert.deepInclude(amend({ size: "0.5" }).json, { status: "finished", finish_as: "cancelled" })
    assert.deepStrictEqual(labelOf(amend({ size: "3" })), [400, "ORDER_FINISHED"])
  })

  it("come in batches, each with what became of it; a malformed one refuses all", () => {
    const server = serve()
    const send = (body: unknown) => server.call("POST", "/futures/usdt/batch_orders", { body, headers: decimal })
    const { json } = send([limit, { ...limit, text: "t-b", size: "5000" }])
    assert.deepInclude(at(json, "0"), { succeeded: true, text: "t-a" })
    assert.deepInclude(at(json, "1"), { succeeded: false, label: "INSUFFICIENT_AVAILABLE", text: "t-b" })
    assert.strictEqual(send([{ ...limit, text: "t-c" }, { ...limit, price: undefined }]).status, 400)
    assert.strictEqual(send([]).status, 400)
    assert.deepStrictEqual(labelOf(send(Array.from({ length: 11 }, () => limit))), [400, "TOO_MANY_ORDERS"])
    assert.strictEqual(server.account.orders({ open: true }).length, 1)
  })

  it("are listed and cancelled, of one side or all", () => {
    const server = serve()
    for (const text of ["t-a", "t-b", "t-c"]) place(server, { text })
    place(server, { text: "t-d", size: "-1", price: "110" })
    const textsOf = (json: unknown) => (json as ReadonlyArray<{ readonly text: string }>).map(({ text }) => text)
    assert.deepStrictEqual(textsOf(get(server, "/orders", "status=open&contract=BTC_USDT").json).length, 4)
    assert.deepStrictEqual(textsOf(get(server, "/orders", "status=open&limit=2&offset=3").json), ["t-a"])
    for (const query of ["", "status=open&limit=0", "status=open&offset=x", "status=open&contract=NO_NE"]) {
      assert.strictEqual(get(server, "/orders", query).status, 400, query)
    }
    const many = server.call("POST", "/futures/usdt/batch_cancel_orders", { body: ["1", "t-x"] }).json
    assert.deepInclude(at(many, "0"), { id: "1", user_id: 10_001, succeeded: true })
    assert.deepInclude(at(many, "1"), { id: "t-x", succeeded: false, message: "ORDER_NOT_FOUND" })
    const all = (query: string) => server.call("DELETE", "/futures/usdt/orders", { query })
    assert.deepStrictEqual(textsOf(all("contract=BTC_USDT&side=ask").json), ["t-d"])
    assert.strictEqual(all("contract=BTC_USDT&side=sell").status, 400)
    assert.strictEqual(all("").status, 400)
    assert.strictEqual(textsOf(all("contract=BTC_USDT").json).length, 2)
  })

  it("a countdown cancels them when it is not started again", () => {
    const server = serve()
    const begin = (body: object) => server.call("POST", "/futures/usdt/countdown_cancel_all", { body })
    assert.deepStrictEqual(begin({ timeout: 30 }).json, { triggerTime: server.fake.clock + 30_000 })
    assert.strictEqual(begin({ timeout: 1 }).status, 400)
    assert.strictEqual(begin({ timeout: 5, contract: "NO_NE" }).status, 400)
  })

  it("count together where limits are real, a hundred a second", () => {
    const server = serve()
    const options = { limits: "real" } as const
    const statuses = Array.from(
      { length: 101 },
      (_, index) =>
        server.call("POST", "/futures/usdt/orders", { body: { ...limit, text: `t-${index}`, size: "0.1" }, options })
          .status
    )
    assert.strictEqual(statuses.filter((status) => status === 429).length, 1)
  })
})

describe("Gate futures' account over REST", () => {
  it("has a wallet: free, and held by orders and positions", () => {
    const server = serve()
    place(server)
    place(server, { text: "t-b", price: "100.1", size: "1" })
    const { json } = get(server, "/accounts")
    // The order holds 2 x 99 / 10, the position 100.1 / 10, and the fee was 0.2 %.
    assert.deepInclude(json, {
      user: 10_001,
      currency: "USDT",
      total: "9999.7998",
      order_margin: "19.8",
      position_margin: "10.01",
      available: "9969.9898",
      unrealised_pnl: "-0.1"
    })
  })

  it("has positions, those that are open or all", () => {
    const server = serve()
    assert.deepStrictEqual(get(server, "/positions").json, [])
    place(server, { price: "100.1" })
    assert.deepInclude(at(get(server, "/positions").json, "0"), {
      contract: "BTC_USDT",
      size: "2",
      leverage: "0",
      cross_leverage_limit: "10",
      pos_margin_mode: "cross",
      entry_price: "100.1",
      mode: "single",
      margin: "20.02"
    })
    place(server, market("-2", "t-b"))
    assert.deepStrictEqual(get(server, "/positions", "holding=true").json, [])
    assert.deepInclude(get(server, "/positions/BTC_USDT").json, { size: "0", realised_pnl: "0", history_pnl: "-1.2" })
    assert.deepStrictEqual(labelOf(get(server, "/positions/NO_NE")), [400, "CONTRACT_NOT_FOUND"])
  })

  it("takes leverage from the query: isolated, or 0 and a limit for cross", () => {
    const server = serve()
    const set = (query: string, name = "BTC_USDT") =>
      server.call("POST", `/futures/usdt/positions/${name}/leverage`, { query })
    assert.deepInclude(get(server, "/positions/BTC_USDT").json, { leverage: "0", cross_leverage_limit: "10" })
    assert.deepInclude(set("leverage=5").json, {
      leverage: "5",
      cross_leverage_limit: "0",
      pos_margin_mode: "isolated"
    })
    assert.deepInclude(set("leverage=0&cross_leverage_limit=20").json, { leverage: "0", cross_leverage_limit: "20" })
    assert.deepStrictEqual(get(server, "/get_leverage/BTC_USDT").json, { lever: "20" })
    assert.deepStrictEqual(labelOf(set("leverage=101")), [400, "LEVERAGE_TOO_HIGH"])
    assert.deepStrictEqual(labelOf(set("leverage=0&cross_leverage_limit=101")), [400, "LEVERAGE_TOO_HIGH"])
    assert.deepStrictEqual(labelOf(set("leverage=0.5")), [400, "LEVERAGE_TOO_LOW"])
    assert.deepStrictEqual(labelOf(set("leverage=x")), [400, "INVALID_PARAM_VALUE"])
    assert.deepStrictEqual(labelOf(set("")), [400, "MISSING_REQUIRED_PARAM"])
    assert.deepStrictEqual(labelOf(set("leverage=5", "NO_NE")), [400, "CONTRACT_NOT_FOUND"])
    assert.strictEqual(server.call("POST", "/futures/usdt/positions/BTC_USDT/other").status, 404)
  })

  it("takes leverage and mode apart, by the newer call and by the one for modes", () => {
    const server = serve()
    const set = (query: string) => server.call("POST", "/futures/usdt/positions/BTC_USDT/set_leverage", { query })
    assert.deepInclude(set("leverage=7&margin_mode=isolated").json, { leverage: "7", lever: "7" })
    assert.deepInclude(set("leverage=8&margin_mode=cross").json, { leverage: "0", lever: "8" })
    assert.strictEqual(set("leverage=8&margin_mode=both").status, 400)
    const mode = (body: object) => server.call("POST", "/futures/usdt/positions/cross_mode", { body })
    assert.deepInclude(mode({ mode: "ISOLATED", contract: "BTC_USDT" }).json, { pos_margin_mode: "isolated" })
    assert.deepInclude(mode({ mode: "CROSS", contract: "BTC_USDT" }).json, { pos_margin_mode: "cross" })
    assert.strictEqual(mode({ mode: "both", contract: "BTC_USDT" }).status, 400)
  })

  it("has fills with a sign, newest first, and rates", () => {
    const server = serve()
    place(server, { price: "100.1", size: "1" })
    server.fake.advance(2_000)
    place(server, market("-1", "t-b"))
    const list = (path: string, query = "") => get(server, path, query).json as ReadonlyArray<object>
    assert.deepInclude(list("/my_trades")[0], { size: "-1", text: "t-b", role: "taker", order_id: "2", price: "99.9" })
    assert.strictEqual(list("/my_trades", "order=1").length, 1)
    assert.strictEqual(list("/my_trades", "contract=BTC_USDT&limit=1&offset=1").length, 1)
    assert.strictEqual(list("/my_trades_timerange", `from=${server.seconds - 1}`).length, 1)
    assert.strictEqual(list("/my_trades_timerange", `to=${server.seconds - 2}`).length, 1)
    assert.deepStrictEqual(get(server, "/fee").json, { BTC_USDT: { taker_fee: "0.00075", maker_fee: "-0.0001" } })
    assert.deepInclude(server.call("GET", "/account/detail").json, { user_id: 10_001 })
  })

  it("tells what was paid for positions in the account book, newest first", () => {
    const server = serve()
    place(server, { price: "100.1", size: "1" })
    server.accounts.fund(pair, "0.001")
    server.fake.advance(2_000)
    server.accounts.fund(pair, "-0.0002")
    const list = (query: string) => get(server, "/account_book", query).json as ReadonlyArray<object>
    const [newest, oldest] = list("type=fund") as readonly [Record<string, unknown>, Record<string, unknown>]
    assert.deepInclude(newest, {
      type: "fund",
      contract: "BTC_USDT",
      text: "BTC_USDT",
      time: server.fake.clock / 1_000
    })
    const amount = (row: Record<string, unknown>, name: string) => Decimal.of(String(row[name]))
    assert.isTrue(BigDecimal.isPositive(amount(newest, "change")))
    assert.isTrue(BigDecimal.isNegative(amount(oldest, "change")))
    const before = BigDecimal.subtract(amount(newest, "balance"), amount(newest, "change"))
    assert.strictEqual(Decimal.toText(before), oldest["balance"])
    assert.deepStrictEqual(list(`type=fund&from=${server.seconds}`), [newest])
    assert.deepStrictEqual(list(`type=fund&to=${server.seconds - 1}`), [oldest])
    assert.deepStrictEqual(list("type=fund&contract=BTC_USDT&limit=1&offset=1"), [oldest])
    assert.deepStrictEqual(labelOf(get(server, "/account_book")), [400, "INVALID_PARAM_VALUE"])
    assert.strictEqual(get(server, "/account_book", "type=fund&contract=NO_NE").status, 400)
    assert.strictEqual(get(server, "/account_book", "type=fund&limit=0").status, 400)
  })

  it("keeps who may only read from trading", () => {
    const server = serve()
    const refused = server.call("POST", "/futures/usdt/orders", { body: limit, key: "reader" })
    assert.deepStrictEqual(labelOf(refused), [403, "READ_ONLY"])
  })
})

// ---- private channels -----------------------------------------------------------------------------------------------

const channels = [
  "futures.orders",
  "futures.usertrades",
  "futures.positions",
  "futures.position_closes",
  "futures.auto_deleverages",
  "futures.liquidates"
] as const

const listening = (headers: Readonly<Record<string, string>> = decimal) => {
  const server = serve()
  const client = server.connect({ limits: "off" }, headers)
  for (const channel of channels) client.send(server.frame(channel, ["10001", "!all"]))
  client.send(server.frame("futures.balances", ["10001"]))
  for (const answer of told(client)) assert.deepInclude(answer, { result: { status: "success" } })
  return { server, client }
}

const of = (pushes: ReadonlyArray<unknown>, channel: string) =>
  pushes.filter((push) => at(push, "channel") === `futures.${channel}`).map((push) => at(push, "result.0"))

/** A partial fill as a maker, the rest cancelled, and the position closed. */
const history = (server: GateServer) => {
  place(server, { price: "100", size: "2" })
  trade(server)
  server.call("DELETE", "/futures/usdt/orders/t-a")
  place(server, market("-0.5", "t-b"))
}

describe("Gate futures' private channels", () => {
  it("name the user, and refuse another one or none", () => {
    const { client, server } = listening()
    assert.include([...client.connection.topics()], "futures.orders|!all")
    client.send(server.frame("futures.orders", ["10002", "!all"]))
    client.send(server.frame("futures.orders", ["!all"]))
    client.send(server.frame("futures.orders", ["10001", "NO_NE"]))
    client.send(server.frame("futures.balances"))
    assert.deepStrictEqual(told(client).map((answer) => at(answer, "error.code")), [2, 2, 2, 2])
    client.send(server.frame("futures.positions", ["", "BTC_USDT"]))
    assert.deepInclude(told(client)[0], { result: { status: "success" } })
  })

  it("tell orders with signed sizes, as they come, change and end", () => {
    const { client, server } = listening()
    history(server)
    const orders = of(told(client), "orders") as ReadonlyArray<Readonly<Record<string, unknown>>>
    assert.deepStrictEqual(
      orders.map(({ finish_as, id, left, size, status, update_id }) => [id, size, left, status, finish_as, update_id]),
      [
        [1, "2", "2", "open", "_new", 1],
        [1, "2", "1.5", "open", "_update", 2],
        [1, "2", "1.5", "finished", "cancelled", 3],
        [3, "-0.5", "-0.5", "open", "_new", 1],
        [3, "-0.5", "0", "finished", "filled", 2]
      ]
    )
    assert.deepInclude(orders[1], {
      role: "maker",
      fill_price: 100,
      price: 100,
      text: "t-a",
      finish_time: 0,
      user: "10001"
    })
    assert.deepInclude(orders[4], { role: "taker", price: 0, tif: "ioc", pos_margin_mode: "cross", leverage: "10" })
  })

  it("tell fills, positions, closes and money", () => {
    const { client, server } = listening()
    history(server)
    const pushes = told(client)
    const fills = of(pushes, "usertrades")
    assert.deepInclude(fills[0], { size: "0.5", role: "maker", price: "100", order_id: "1", text: "t-a", fee: 0.05 })
    assert.deepInclude(fills[1], { size: "-0.5", role: "taker" })
    const [opened, closed] = of(pushes, "positions")
    assert.deepInclude(opened, { size: "0.5", entry_price: 100, leverage: 0, cross_leverage_limit: 10, margin: 5 })
    assert.deepInclude(closed, { size: "0", margin: 0, last_close_pnl: -0.05, update_id: 2 })
    assert.deepInclude(of(pushes, "position_closes")[0], { side: "long", pnl: -0.05, user: "10001" })
    const money = of(pushes, "balances") as ReadonlyArray<Readonly<Record<string, unknown>>>
    assert.deepStrictEqual(money.map(({ balance, change, text, type }) => [type, change, balance, text]), [
      ["fee", -0.05, 9999.95, "BTC_USDT:1"],
      ["pnl", -0.05, 9999.9, "BTC_USDT:3"],
      ["fee", -0.0999, 9999.8001, "BTC_USDT:3"]
    ])
  })

  it("tell that leverage was changed by the position", () => {
    const { client, server } = listening()
    server.call("POST", "/futures/usdt/positions/BTC_USDT/leverage", { query: "leverage=5" })
    assert.deepInclude(of(told(client), "positions")[0], {
      leverage: 5,
      lever: "5",
      pos_margin_mode: "isolated",
      size: "0"
    })
  })

  it("tell of positions that are taken: by liquidation, and to cover a loss", () => {
    const { client, server } = listening()
    server.call("POST", "/futures/usdt/positions/BTC_USDT/leverage", { query: "leverage=10" })
    place(server, { price: "100.1" })
    client.take()
    const [mine] = server.accounts.all
    mine!.deleverage(pair, Decimal.of("0.5"), Decimal.of("101"))
    const taken = told(client)
    assert.deepInclude(of(taken, "auto_deleverages")[0], {
      contract: "BTC_USDT",
      trade_size: "0.5",
      position_size: "1.5",
      entry_price: 100.1,
      fill_price: 101,
      user: "10001"
    })
    server.mark = "50"
    server.accounts.settle(pair, server.fake.clock)
    const gone = told(client)
    assert.deepInclude(of(gone, "liquidates")[0], { size: "1.5", order_size: "-1.5", fill_price: 50, left: "0" })
    assert.deepInclude(of(gone, "positions")[0], { size: "0" })
  })

  it("have whole numbers without the header", () => {
    const { client, server } = listening({})
    place(server, { price: "100.1", size: "2" }, {})
    const pushes = told(client)
    assert.deepInclude(of(pushes, "orders")[0], { size: 2, left: 2, iceberg: 0 })
    assert.deepInclude(of(pushes, "usertrades")[0], { size: 2, close_size: 0 })
    assert.deepInclude(of(pushes, "positions")[0], { size: 2 })
  })

  it("have no field that the documents' samples lack, and lack none", () => {
    if (!hasShared) return
    const { client, server } = listening()
    history(server)
    place(server, { price: "100.1", text: "t-c" })
    server.accounts.all[0]!.deleverage(pair, Decimal.of("0.5"), Decimal.of("101"))
    const pushes = told(client)
    // Fields of the newer text beside those of the files' samples ("Futures WebSocket v4", 2026-08-20).
    const newer: Readonly<Record<string, ReadonlyArray<string>>> = {
      orders: [
        "bbo",
        "fee",
        "id_string",
        "is_voucher",
        "leverage",
        "market_order_slip_ratio",
        "point_fee",
        "pos_margin_mode",
        "role"
      ],
      usertrades: ["close_size", "amend_text", "biz_info"],
      positions: ["lever", "pos_margin_mode"],
      balances: ["currency"],
      auto_deleverages: ["leverage", "pos_margin_mode"],
      position_closes: []
    }
    for (const [channel, more] of Object.entries(newer)) {
      const samples = shared<{ readonly raw: string; readonly direction: string }>(
        `gateio-futures.futures.${channel}.jsonl`
      ).filter(({ direction }) => direction === "in").map(({ raw }) => at(JSON.parse(raw), "result.0"))
      const known = new Set([...samples.flatMap((sample) => keysOf(sample)), ...more])
      assert.deepStrictEqual(keysOf(of(pushes, channel)[0]), [...known].toSorted(), channel)
    }
  })

  it("are read by the adapter as what they are", () => {
    const { client, server } = listening()
    history(server)
    const events = client.texts().flatMap((text) =>
      pushed(futures, text).flatMap((call) => call.call === "event" ? [call.event] : [])
    )
    const count = (tag: string) => events.filter(({ _tag }) => _tag === tag).length
    assert.deepStrictEqual(
      ["OrderUpdate", "Fill", "Position", "PositionClose", "Balance"].map(count),
      [5, 2, 2, 1, 3]
    )
    const first = events.find((event) => event._tag === "OrderUpdate" && event.status === "partiallyCanceled")
    assert(first?._tag === "OrderUpdate")
    assert.deepInclude(first, { clientOrderId: "a", side: "buy", orderId: "1" })
    assert.strictEqual(Decimal.toText(first.filledQuantity), "0.5")
  })
})

// ---- price-triggered orders -----------------------------------------------------------------------------------------

describe("Gate futures' price-triggered orders", () => {
  const body = (change: object = {}) => ({
    initial: { contract: "BTC_USDT", size: "-1", price: "99.9", tif: "gtc", text: "t-a" },
    trigger: { strategy_type: 0, price_type: 0, price: "99.5", rule: 2, expiration: 86_400 },
    ...change
  })
  const begin = (server: GateServer, change: object = {}) =>
    server.call("POST", "/futures/usdt/price_orders", { body: body(change), headers: decimal })
  const fire = (server: GateServer, price: number) => server.accounts.onTrade(pair, "sell", price, 1, server.fake.clock)

  it("wait apart from the orders, and become one when their price has come", () => {
    const server = serve()
    const client = server.connect({ limits: "off" }, decimal)
    client.send(server.frame("futures.autoorders", ["!all"]))
    client.send(server.frame("futures.orders", ["10001", "BTC_USDT"]))
    client.take()
    assert.deepStrictEqual(begin(server).json, { id: 1, id_string: "1" })
    assert.deepStrictEqual(get(server, "/orders", "status=open").json, [])
    assert.strictEqual(get(server, "/orders/t-a").status, 404)
    const waiting = get(server, "/price_orders/1").json
    assert.deepInclude(waiting, { id: 1, status: "open", trade_id: 0 })
    assert.deepInclude(at(waiting, "trigger"), { price: "99.5", rule: 2 })
    assert.deepInclude(at(waiting, "initial"), { size: "-1", text: "t-a", is_reduce_only: false })
    assert.strictEqual((get(server, "/price_orders", "status=open").json as ReadonlyArray<unknown>).length, 1)

    fire(server, 996)
    fire(server, 995)
    assert.deepInclude(get(server, "/price_orders/1").json, { status: "finished", finish_as: "succeeded", trade_id: 1 })
    assert.deepInclude(get(server, "/orders/t-a").json, { id: 1, status: "finished", finish_as: "filled" })
    const pushes = told(client)
    assert.deepStrictEqual(
      pushes.map((push) => [at(push, "channel"), at(push, "result.0.status"), at(push, "result.0.finish_as")]),
      [
        ["futures.autoorders", "open", undefined],
        ["futures.autoorders", "finished", undefined],
        ["futures.orders", "open", "_new"],
        ["futures.orders", "finished", "filled"]
      ]
    )
    if (!hasShared) return
    const [sample] = shared<{ readonly raw: string }>("gateio-futures.futures.autoorders.jsonl")
    assert.deepStrictEqual(keysOf(at(pushes[0], "result.0")), keysOf(at(JSON.parse(sample!.raw), "result.0")))
  })

  it("are cancelled one by one or all, and not with the orders", () => {
    const server = serve()
    for (const text of ["t-a", "t-b"]) begin(server, { initial: { ...body().initial, text } })
    assert.deepStrictEqual(server.call("DELETE", "/futures/usdt/orders", { query: "contract=BTC_USDT" }).json, [])
    const cancel = () => server.call("DELETE", "/futures/usdt/price_orders/1")
    assert.deepInclude(cancel().json, { status: "finished", finish_as: "cancelled" })
    assert.deepStrictEqual(labelOf(cancel()), [400, "ORDER_FINISHED"])
    const all = server.call("DELETE", "/futures/usdt/price_orders", { query: "contract=BTC_USDT" })
    assert.strictEqual((all.json as ReadonlyArray<unknown>).length, 1)
    assert.strictEqual((get(server, "/price_orders", "status=finished").json as ReadonlyArray<unknown>).length, 2)
  })

  it("refuse what makes no order, and another user's channel", () => {
    const server = serve()
    const odd: ReadonlyArray<object> = [
      { trigger: undefined },
      { trigger: { price: "0", rule: 1 } },
      { trigger: { price: "1", rule: 3 } },
      { initial: undefined },
      { initial: { ...body().initial, contract: "NO_NE" } },
      { initial: { ...body().initial, size: "-1000000" } }
    ]
    for (const change of odd) assert.strictEqual(begin(server, change).status, 400, JSON.stringify(change))
    assert.strictEqual(get(server, "/price_orders/9").status, 404)
    assert.strictEqual(get(server, "/price_orders", "status=new").status, 400)
    assert.strictEqual(get(server, "/price_orders", "status=open&contract=NO_NE").status, 400)
    assert.strictEqual(server.call("DELETE", "/futures/usdt/price_orders", { query: "contract=NO_NE" }).status, 400)
    assert.strictEqual(server.call("DELETE", "/futures/usdt/price_orders/9").status, 404)
    const client = server.connect()
    for (const payload of [["10002", "!all"], ["NO_NE"], []]) client.send(server.frame("futures.autoorders", payload))
    assert.deepStrictEqual(told(client).map((answer) => at(answer, "error.code")), [2, 2, 2])
  })
})

// ---- WebSocket API --------------------------------------------------------------------------------------------------

const loggedIn = (server: GateServer) => {
  const client = server.connect({ limits: "off" }, decimal)
  client.send(server.login("futures"))
  const [answer] = told(client)
  assert.deepInclude(at(answer, "data"), { result: { api_key: "full", uid: "10001" } })
  return client
}

describe("Gate futures' WebSocket API", () => {
  it("answers a placed order twice, the second time as no ack", () => {
    const server = serve()
    const client = loggedIn(server)
    client.send(server.api("futures.order_place", limit))
    const [first, second, ...more] = told(client)
    assert.isEmpty(more)
    assert.deepInclude(first, {
      ack: true,
      data: { result: { req_id: "request-2", req_header: null, req_param: limit } }
    })
    assert.deepInclude(second, { ack: false })
    assert.deepInclude(at(second, "data.result"), { id: 1, size: "2", text: "t-a", status: "open" })
  })

  it("places batches, cancels, amends, lists and looks up", () => {
    const server = serve()
    const client = loggedIn(server)
    const ask = (channel: string, parameters: unknown) => {
      client.send(server.api(`futures.${channel}`, parameters))
      return told(client).at(-1)
    }
    const batch = [limit, { ...limit, text: "t-b" }, { ...limit, text: "t-c" }, { ...limit, text: "t-d", size: "5000" }]
    assert.deepStrictEqual(
      (at(ask("order_batch_place", batch), "data.result") as ReadonlyArray<{ readonly succeeded: boolean }>)
        .map(({ succeeded }) => succeeded),
      [true, true, true, false]
    )
    assert.deepInclude(at(ask("order_status", { order_id: "t-a" }), "data.result"), { id: 1 })
    assert.deepInclude(at(ask("order_amend", { order_id: "1", price: "98" }), "data.result"), { price: "98" })
    assert.deepInclude(at(ask("order_cancel", { order_id: "1" }), "data.result"), { finish_as: "cancelled" })
    assert.deepInclude(at(ask("order_cancel_ids", ["2"]), "data.result.0"), { id: "2", succeeded: true })
    const open = ask("order_list", { contract: "BTC_USDT", status: "open" })
    assert.strictEqual((at(open, "data.result") as ReadonlyArray<unknown>).length, 1)
    const ended = ask("order_cancel_cp", { contract: "BTC_USDT" })
    assert.strictEqual((at(ended, "data.result") as ReadonlyArray<unknown>).length, 1)
    assert.strictEqual(at(ask("order_cancel", { order_id: "9" }), "data.errs.label"), "ORDER_NOT_FOUND")
    assert.strictEqual(at(ask("order_cancel", { order_id: "1" }), "data.errs.label"), "ORDER_FINISHED")
  })
})

// ---- the adapter and the dialect, each written from the documents -----------------------------------------------------

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
  quantityStep: 0.01,
  minQuantity: null,
  minNotional: null,
  contractSize: 1
}

describe("Gate futures' adapter against its dialect", () => {
  it.effect("places, amends, looks up, cancels, reads and sets leverage", () =>
    Effect.gen(function*() {
      const server = serve()
      const calls = gateFuturesAccount.makeCalls({
        client: server.client,
        url: "http://gate.test/api/v4",
        signer: yield* Auth.makeSigner(credentials, gateFuturesAccount.algorithm),
        now: Effect.sync(() => server.fake.clock),
        instrumentOf: () => instrument
      })
      assert.strictEqual(yield* calls.userId, "10001")
      const order = {
        instrument,
        side: "sell",
        type: "limit",
        timeInForce: "gtc",
        price: "100",
        quantity: "1.25",
        quoteQuantity: null,
        reduceOnly: false,
        trigger: null,
        clientOrderId: "mine"
      } as const
      const ref = { symbol: "BTC_USDT", clientOrderId: "mine" }
      const placed = yield* calls.run({ _tag: "Place", order })
      assert(placed._tag === "Order")
      assert.deepInclude(placed.order, { clientOrderId: "mine", status: "new", side: "sell" })
      trade(server, { side: "buy" })
      const amended = yield* calls.run({ _tag: "Amend", ref, side: "sell", price: "101", quantity: "2" })
      assert(amended._tag === "Order")
      assert.strictEqual(amended.order.status, "partiallyFilled")
      assert.strictEqual(Decimal.toText(amended.order.quantity!), "2")
      const found = yield* calls.run({ _tag: "Get", ref })
      assert(found._tag === "Order")
      assert.deepInclude(found.order, { orderId: "1", status: "partiallyFilled" })
      assert.strictEqual((yield* calls.openOrders(null)).length, 1)
      const [position] = yield* calls.positions
      assert.deepInclude(position, { side: "net", marginMode: "cross", pair })
      assert.strictEqual(Decimal.toText(position!.size), "-0.5")
      const cancelled = yield* calls.run({ _tag: "Cancel", ref })
      assert(cancelled._tag === "Order")
      assert.strictEqual(cancelled.order.status, "partiallyCanceled")
      const fills = yield* calls.fills({ symbol: null, since: null })
      assert.deepInclude(fills[0], { side: "sell", liquidity: "maker", feeAsset: "USDT" })
      yield* calls.run({ _tag: "SetLeverage", symbol: "BTC_USDT", leverage: "5" })
      const leverage = yield* calls.run({ _tag: "Leverage", symbol: "BTC_USDT" })
      assert(leverage._tag === "Leverage")
      assert.strictEqual(Decimal.toText(leverage.leverage), "5")
      yield* calls.run({ _tag: "SetMarginMode", symbol: "BTC_USDT", mode: "isolated" })
      const [balance] = yield* calls.balances
      assert.strictEqual(Decimal.toText(balance!.total!), "9999.95")
    }).pipe(Effect.provide(Auth.layer)))
})
