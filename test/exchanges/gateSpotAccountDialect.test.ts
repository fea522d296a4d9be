import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { WorldPlace } from "../../src/AccountWorld.ts"
import * as Auth from "../../src/connection/Auth.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { spot as spotInstrument } from "../../src/domain/Instrument.ts"
import { gateSpotAccount } from "../../src/exchanges/gate/GateAccount.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { pushed, spot } from "./GateAccountHarness.ts"
import { at, credentials, GateServer, hmac, keys, keysOf, told } from "./GateServer.ts"
import { hasShared, shared } from "./SharedFixtures.ts"

const pair = "BTC/USDT"
const serve = () => new GateServer(gateSpotDialect, pair)

const limit = { text: "t-a", currency_pair: "BTC_USDT", side: "buy", amount: "1", price: "99" }

const place = (server: GateServer, change: object = {}) =>
  server.call("POST", "/spot/orders", { body: { ...limit, ...change } })

const sell = (server: GateServer, change: Partial<WorldPlace> = {}) =>
  server.other.place({
    pair,
    side: "sell",
    type: "limit",
    timeInForce: "gtc",
    price: "100",
    quantity: "0.4",
    quoteQuantity: null,
    clientOrderId: null,
    reduceOnly: false,
    trigger: null,
    ...change
  })

const labelOf = ({ json, status }: { readonly status: number; readonly json: unknown }) => [status, at(json, "label")]

// ---- who asks -------------------------------------------------------------------------------------------------------

describe("Gate's signed calls", () => {
  it("take a right signature, of whatever query and body", () => {
    const server = serve()
    assert.strictEqual(server.call("GET", "/account/detail").status, 200)
    assert.strictEqual(server.call("GET", "/spot/orders", { query: "currency_pair=BTC_USDT&status=open" }).status, 200)
    assert.strictEqual(place(server).status, 201)
  })

  it("refuse what is wrong, with the documented labels", () => {
    const server = serve()
    const path = "/account/detail"
    const call = (headers: Readonly<Record<string, string>>) => labelOf(server.call("GET", path, { headers }))
    assert.deepStrictEqual(call({ key: "nobody" }), [401, "INVALID_KEY"])
    assert.deepStrictEqual(call({ sign: "0".repeat(128) }), [401, "INVALID_SIGNATURE"])
    assert.deepStrictEqual(labelOf(server.call("GET", path, { key: "elsewhere" })), [403, "FORBIDDEN"])
    assert.deepStrictEqual(labelOf(server.call("GET", path, { key: "trader" })), [403, "FORBIDDEN"])
    assert.deepStrictEqual(
      labelOf(server.call("POST", "/spot/orders", { key: "reader", body: limit })),
      [403, "READ_ONLY"]
    )
    for (const missing of ["key", "sign", "timestamp"]) {
      const headers = Object.fromEntries(
        Object.entries({ key: "k", sign: "s", timestamp: String(server.seconds) }).filter(([name]) => name !== missing)
      )
      assert.deepStrictEqual(labelOf(server.send("GET", path, { query: "", headers })), [
        400,
        "MISSING_REQUIRED_HEADER"
      ])
    }
  })

  it("look at the time before the key, and allow a minute", () => {
    const server = serve()
    for (const [off, expected] of [[-61, 403], [-59, 401], [59, 401], [61, 403]] as const) {
      const headers = { key: "nobody", sign: "", timestamp: String(server.seconds + off) }
      assert.strictEqual(server.send("GET", "/account/detail", { query: "", headers }).status, expected, String(off))
    }
  })

  it("sign the body, the query as it reads, the path and the method", () => {
    const server = serve()
    const { apiKey, secret } = keys.full
    const empty =
      "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    const timestamp = String(server.seconds)
    const ask = (text: string) =>
      server.send("GET", "/spot/my_trades", {
        query: "currency_pair=BTC%5FUSDT",
        headers: { key: apiKey, timestamp, sign: hmac(secret, text) }
      }).status
    assert.strictEqual(ask(`GET\n/api/v4/spot/my_trades\ncurrency_pair=BTC_USDT\n${empty}\n${timestamp}`), 200)
    assert.strictEqual(ask(`GET\n/api/v4/spot/my_trades\n\n${empty}\n${timestamp}`), 401)
    assert.strictEqual(ask(`POST\n/api/v4/spot/my_trades\ncurrency_pair=BTC_USDT\n${empty}\n${timestamp}`), 401)
  })

  it("refuse what comes behind its x-gate-exptime, and do nothing", () => {
    const server = serve()
    const late = { "x-gate-exptime": String(server.fake.clock - 1) }
    assert.deepStrictEqual(labelOf(server.call("POST", "/spot/orders", { body: limit, headers: late })), [
      400,
      "REQUEST_EXPIRED"
    ])
    assert.isEmpty(server.account.orders({ open: true }))
    const inTime = { "x-gate-exptime": String(server.fake.clock) }
    assert.strictEqual(server.call("POST", "/spot/orders", { body: limit, headers: inTime }).status, 201)
  })

  it("keep to the documented limits where they are real, and say how much is left", () => {
    const server = serve()
    const options = { limits: "real" } as const
    const statuses = Array.from(
      { length: 11 },
      (_, index) => server.call("POST", "/spot/orders", { body: { ...limit, text: `t-${index}` }, options })
    )
    assert.deepStrictEqual(statuses.map(({ status }) => status), [...new Array<number>(10).fill(201), 429])
    assert.strictEqual(statuses[3]!.headers["X-Gate-RateLimit-Requests-Remain"], "6")
    assert.strictEqual(statuses[3]!.headers["X-Gate-RateLimit-Limit"], "10")
    assert.deepStrictEqual(labelOf(statuses[10]!), [429, "TOO_MANY_REQUESTS"])
    assert.strictEqual(
      statuses[10]!.headers["X-Gate-RateLimit-Reset-Timestamp"],
      String(Math.floor(server.fake.clock / 1_000) + 1)
    )
    // Cancelling has a limit of its own.
    assert.strictEqual(server.call("DELETE", "/spot/orders", { query: "currency_pair=BTC_USDT", options }).status, 200)
    server.fake.advance(1_000)
    const batch = Array.from({ length: 6 }, (_, index) => ({ ...limit, text: `t-b${index}` }))
    const send = () => server.call("POST", "/spot/batch_orders", { body: batch, options }).status
    assert.deepStrictEqual([send(), send()], [200, 429])
  })
})

// ---- orders over REST -----------------------------------------------------------------------------------------------

describe("Gate spot's orders over REST", () => {
  it("are placed with what was asked", () => {
    const server = serve()
    const { json } = place(server)
    assert.deepInclude(json, {
      id: "1",
      text: "t-a",
      status: "open",
      currency_pair: "BTC_USDT",
      type: "limit",
      account: "spot",
      side: "buy",
      amount: "1",
      price: "99",
      time_in_force: "gtc",
      left: "1",
      filled_total: "0",
      finish_as: "open",
      create_time: String(server.seconds),
      create_time_ms: server.fake.clock
    })
  })

  it("have exactly the fields of the documents' samples", () => {
    if (!hasShared) return
    const sample = shared<{ readonly id: string; readonly raw: string }>("gateio-spot.api.jsonl")
      .find(({ id }) => id.endsWith("/place-result"))!
    // Two newer ones beside those of the sample ("API v4", 2025).
    const fields = [...keysOf(at(JSON.parse(sample.raw), "data.result")), "avg_deal_price", "filled_amount"]
    assert.deepStrictEqual(keysOf(place(serve()).json), [...new Set(fields)].toSorted())
  })

  it("match at once, wait, or end, as their kind has it", () => {
    const server = serve()
    const kinds: ReadonlyArray<readonly [change: object, expected: object]> = [
      [{ price: "100.1" }, {
        status: "closed",
        finish_as: "filled",
        left: "0",
        filled_amount: "1",
        avg_deal_price: "100.1"
      }],
      [{ time_in_force: "ioc" }, { status: "cancelled", finish_as: "ioc", left: "1" }],
      [{ time_in_force: "poc" }, { status: "open", time_in_force: "poc" }],
      [
        { type: "market", time_in_force: "ioc", amount: "50", price: undefined },
        { status: "closed", type: "market", amount: "50", price: "0" }
      ],
      [
        { type: "market", time_in_force: "fok", side: "sell", amount: "0.5", price: undefined },
        { status: "closed", filled_amount: "0.5" }
      ]
    ]
    for (const [index, [change, expected]] of kinds.entries()) {
      const { json, status } = place(server, { ...change, text: `t-${index}` })
      assert.strictEqual(status, 201, JSON.stringify(json))
      assert.deepInclude(json, expected as Record<string, unknown>)
    }
  })

  const refused: ReadonlyArray<readonly [name: string, change: object, status: number, label: string]> = [
    ["an unknown pair", { currency_pair: "NO_NE" }, 400, "INVALID_CURRENCY_PAIR"],
    ["no pair", { currency_pair: undefined }, 400, "MISSING_REQUIRED_PARAM"],
    ["no side", { side: "BUY" }, 400, "INVALID_PARAM_VALUE"],
    ["another type", { type: "stop" }, 400, "INVALID_PARAM_VALUE"],
    ["a market order that waits", { type: "market" }, 400, "INVALID_PARAM_VALUE"],
    ["another time in force", { time_in_force: "day" }, 400, "INVALID_PARAM_VALUE"],
    ["no amount", { amount: undefined }, 400, "MISSING_REQUIRED_PARAM"],
    ["an amount with an exponent", { amount: "1e-3" }, 400, "INVALID_PARAM_VALUE"],
    ["an amount of nothing", { amount: "0" }, 400, "INVALID_PARAM_VALUE"],
    ["an amount between steps", { amount: "1.001" }, 400, "INVALID_PRECISION"],
    ["a price between steps", { price: "99.01" }, 400, "INVALID_PRECISION"],
    ["no price", { price: undefined }, 400, "MISSING_REQUIRED_PARAM"],
    ["too little", { amount: "0.01" }, 400, "INVALID_PARAM_VALUE"],
    ["more than there is", { amount: "500" }, 400, "BALANCE_NOT_ENOUGH"],
    ["a text without prefix", { text: "mine" }, 400, "INVALID_PARAM_VALUE"],
    ["a text that is too long", { text: `t-${"x".repeat(29)}` }, 400, "INVALID_PARAM_VALUE"],
    ["a text with other characters", { text: "t-ü" }, 400, "INVALID_PARAM_VALUE"],
    ["a margin account", { account: "margin" }, 400, "INVALID_PARAM_VALUE"],
    ["an iceberg", { iceberg: "1" }, 400, "INVALID_PARAM_VALUE"],
    ["self-trade prevention", { stp_act: "cn" }, 400, "INVALID_PARAM_VALUE"],
    ["a maker that would take", { price: "100.1", time_in_force: "poc" }, 400, "POC_FILL_IMMEDIATELY"],
    ["all or nothing without all", { time_in_force: "fok" }, 400, "FOK_NOT_FILL"]
  ]
  for (const [name, change, status, label] of refused) {
    it(`refuse ${name}, and nothing is open or held`, () => {
      const server = serve()
      assert.deepStrictEqual(labelOf(place(server, change)), [status, label])
      assert.isEmpty(server.account.orders({ open: true }))
      assert.isTrue(server.account.balances().every(({ locked }) => locked === "0"))
    })
  }

  it("refuse what is no JSON, and a text that is taken", () => {
    const server = serve()
    for (const body of ["", "[1]", "{"]) {
      assert.deepStrictEqual(labelOf(server.call("POST", "/spot/orders", { body })), [400, "INVALID_REQUEST_BODY"])
    }
    place(server)
    assert.deepStrictEqual(labelOf(place(server)), [400, "REPEATED_CREATION"])
  })

  it("say how much is the least", () => {
    assert.strictEqual(
      at(place(serve(), { amount: "0.01" }).json, "message"),
      "Your order size 0.990000 USDT is too small. The minimum is 1 USDT"
    )
  })

  it("are found by id and by text, by text for an hour after their end", () => {
    const server = serve()
    place(server)
    const get = (id: string, query = "currency_pair=BTC_USDT") => server.call("GET", `/spot/orders/${id}`, { query })
    assert.strictEqual(at(get("1").json, "text"), "t-a")
    assert.strictEqual(at(get("t-a").json, "id"), "1")
    assert.deepStrictEqual(labelOf(get("2")), [404, "ORDER_NOT_FOUND"])
    assert.deepStrictEqual(labelOf(get("t-b")), [404, "ORDER_NOT_FOUND"])
    assert.deepStrictEqual(labelOf(get("one")), [404, "ORDER_NOT_FOUND"])
    assert.deepStrictEqual(labelOf(get("1", "")), [400, "MISSING_REQUIRED_PARAM"])
    assert.deepInclude(server.call("DELETE", "/spot/orders/t-a", { query: "currency_pair=BTC_USDT" }).json, {
      id: "1",
      status: "cancelled",
      finish_as: "cancelled"
    })
    server.fake.advance(3_600_000)
    assert.strictEqual(get("t-a").status, 200)
    server.fake.advance(1)
    assert.strictEqual(get("t-a").status, 404)
    assert.strictEqual(get("1").status, 200)
  })

  it("that have ended cannot be cancelled, and say how they ended", () => {
    const server = serve()
    const cancel = (id: string) => server.call("DELETE", `/spot/orders/${id}`, { query: "currency_pair=BTC_USDT" })
    place(server)
    cancel("1")
    assert.deepStrictEqual(labelOf(cancel("1")), [400, "ORDER_CANCELLED"])
    place(server, { text: "t-b", price: "100.1" })
    assert.deepStrictEqual(labelOf(cancel("t-b")), [400, "ORDER_CLOSED"])
    assert.deepStrictEqual(labelOf(cancel("9")), [404, "ORDER_NOT_FOUND"])
  })

  it("are amended, the whole amount named", () => {
    const server = serve()
    place(server, { price: "100" })
    sell(server)
    const amend = (body: object, query = "currency_pair=BTC_USDT") =>
      server.call("PATCH", "/spot/orders/1", { query, body })
    assert.deepInclude(amend({ amount: "2" }).json, { amount: "2", left: "1.6", filled_amount: "0.4", status: "open" })
    assert.deepInclude(amend({ currency_pair: "BTC_USDT", price: "98" }, "").json, { price: "98", left: "1.6" })
    assert.deepStrictEqual(labelOf(amend({ price: "98" })), [400, "NO_CHANGE"])
    assert.deepStrictEqual(labelOf(amend({})), [400, "MISSING_REQUIRED_PARAM"])
    assert.deepStrictEqual(labelOf(amend({ price: "-1" })), [400, "INVALID_PARAM_VALUE"])
    // Less than is filled ends it.
    assert.deepInclude(amend({ amount: "0.4" }).json, { status: "cancelled", filled_amount: "0.4" })
  })

  it("come in batches, each with what became of it", () => {
    const server = serve()
    const batch = [limit, { ...limit, text: "t-b", amount: "500" }]
    const { json } = server.call("POST", "/spot/batch_orders", { body: batch })
    assert.deepInclude(at(json, "0"), { succeeded: true, text: "t-a", status: "open" })
    assert.deepInclude(at(json, "1"), { succeeded: false, text: "t-b", label: "BALANCE_NOT_ENOUGH" })
    const refuse = (body: unknown) => labelOf(server.call("POST", "/spot/batch_orders", { body }))[1]
    assert.strictEqual(refuse([{ ...limit, text: undefined }]), "MISSING_REQUIRED_PARAM")
    assert.strictEqual(refuse([]), "INVALID_REQUEST_BODY")
    assert.strictEqual(refuse(Array.from({ length: 11 }, () => limit)), "TOO_MANY_ORDERS")
    assert.strictEqual(
      refuse([..."abcde"].map((name) => ({ ...limit, currency_pair: name }))),
      "TOO_MANY_CURRENCY_PAIRS"
    )
    assert.strictEqual(refuse([limit, { ...limit, account: "margin" }]), "MIXED_ACCOUNT_TYPE")
  })

  it("are cancelled in lists and all at once, and listed while they are open", () => {
    const server = serve()
    for (const text of ["t-a", "t-b", "t-c", "t-d"]) place(server, { text })
    place(server, { text: "t-e", side: "sell", price: "110" })
    const ids = [{ currency_pair: "BTC_USDT", id: "t-b" }, { currency_pair: "BTC_USDT", id: "9" }]
    const { json } = server.call("POST", "/spot/cancel_batch_orders", { body: ids })
    assert.deepInclude(at(json, "0"), { id: "t-b", succeeded: true, label: "" })
    assert.deepInclude(at(json, "1"), { id: "9", succeeded: false, label: "ORDER_NOT_FOUND" })
    assert.strictEqual(labelOf(server.call("POST", "/spot/cancel_batch_orders", { body: {} }))[0], 400)

    const list = (query: string) => server.call("GET", "/spot/orders", { query: `currency_pair=BTC_USDT&${query}` })
    const textsOf = (orders: unknown) => (orders as ReadonlyArray<{ readonly text: string }>).map(({ text }) => text)
    assert.deepStrictEqual(textsOf(list("status=open").json), ["t-e", "t-d", "t-c", "t-a"])
    assert.deepStrictEqual(textsOf(list("status=open&page=2&limit=3").json), ["t-a"])
    assert.deepStrictEqual(textsOf(list("status=finished").json), ["t-b"])
    assert.strictEqual(list("status=new").status, 400)
    assert.strictEqual(list("status=open&limit=101").status, 400)
    const open = server.call("GET", "/spot/open_orders").json
    assert.deepInclude(at(open, "0"), { currency_pair: "BTC_USDT", total: 4 })
    assert.strictEqual(textsOf(at(open, "0.orders")).length, 4)

    const cancelSide = server.call("DELETE", "/spot/orders", { query: "currency_pair=BTC_USDT&side=sell" })
    assert.deepStrictEqual(textsOf(cancelSide.json), ["t-e"])
    assert.strictEqual(textsOf(server.call("DELETE", "/spot/orders").json).length, 3)
    assert.deepStrictEqual(server.call("GET", "/spot/open_orders").json, [])
  })

  it("a countdown cancels them when it is not started again", () => {
    const server = serve()
    place(server)
    const start = (body: object) => server.call("POST", "/spot/countdown_cancel_all", { body })
    assert.deepStrictEqual(start({ timeout: 30, currency_pair: "BTC_USDT" }).json, {
      triggerTime: server.fake.clock + 30_000
    })
    assert.strictEqual(start({ timeout: 4 }).status, 400)
    assert.strictEqual(start({ timeout: 5, currency_pair: "NO_NE" }).status, 400)
    assert.deepStrictEqual(start({ timeout: 0, currency_pair: "BTC_USDT" }).json, { triggerTime: 0 })
  })
})

describe("Gate spot's account over REST", () => {
  it("says who it is", () => {
    assert.deepInclude(serve().call("GET", "/account/detail").json, { user_id: 10_001 })
  })

  it("has balances, free and held", () => {
    const server = serve()
    place(server)
    const { json } = server.call("GET", "/spot/accounts", { query: "currency=USDT" })
    assert.deepStrictEqual(json, [{ currency: "USDT", available: "9901", locked: "99", update_id: 1 }])
  })

  it("has fills, newest first", () => {
    const server = serve()
    place(server, { price: "100.1", amount: "0.5" })
    server.fake.advance(2_000)
    place(server, { text: "t-b", price: "100.1", amount: "0.25" })
    const list = (query = "") => server.call("GET", "/spot/my_trades", { query }).json as ReadonlyArray<object>
    const [newest, oldest] = list()
    assert.deepInclude(newest, { text: "t-b", amount: "0.25", role: "taker", fee_currency: "BTC", order_id: "2" })
    assert.deepInclude(oldest, { text: "t-a", price: "100.1", side: "buy", currency_pair: "BTC_USDT" })
    assert.strictEqual(list(`order_id=1`).length, 1)
    assert.strictEqual(list(`from=${server.seconds - 1}`).length, 1)
    assert.strictEqual(list(`to=${server.seconds - 2}`).length, 1)
    assert.strictEqual(list("limit=1&page=2").length, 1)
    assert.strictEqual(server.call("GET", "/spot/my_trades", { query: "currency_pair=NO_NE" }).status, 400)
  })
})

// ---- private channels -----------------------------------------------------------------------------------------------

describe("Gate spot's private channels", () => {
  it("are subscribed with a signature, with or without pairs", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.frame("spot.orders", ["BTC_USDT"]))
    client.send(server.frame("spot.usertrades_v2", ["!all"]))
    client.send(server.frame("spot.balances"))
    for (const answer of told(client)) assert.deepInclude(answer, { event: "subscribe", result: { status: "success" } })
    assert.deepStrictEqual([...client.connection.topics()], [
      "spot.orders|BTC_USDT",
      "spot.usertrades_v2|!all",
      "spot.balances"
    ])
    client.send(server.frame("spot.orders", ["BTC_USDT"], "full", "unsubscribe"))
    assert.deepStrictEqual([...client.connection.topics()], ["spot.usertrades_v2|!all", "spot.balances"])
  })

  it("refuse who may not, in JSON within JSON", () => {
    const server = serve()
    const client = server.connect()
    const wrong = { ...server.frame("spot.orders", ["!all"]), auth: { method: "api_key", KEY: "full", SIGN: "no" } }
    const { auth: _, ...unsigned } = server.frame("spot.orders", ["!all"]) as Readonly<Record<string, unknown>>
    const late = { ...server.frame("spot.orders", ["!all"]), time: server.seconds - 100 }
    for (
      const [frame, label] of [
        [wrong, "INVALID_SIGNATURE"],
        [unsigned, "INVALID_KEY"],
        [late, "REQUEST_EXPIRED"],
        [server.frame("spot.orders", ["!all"], "elsewhere"), "FORBIDDEN"],
        [server.frame("spot.orders", ["!all"], "trader"), "FORBIDDEN"]
      ] as const
    ) {
      client.send(frame)
      const [answer] = told(client)
      assert.strictEqual(at(answer, "error.code"), 4)
      const message = String(at(answer, "error.message"))
      assert.isTrue(message.endsWith("\n"))
      assert.strictEqual(at(JSON.parse(message), "label"), label)
    }
    assert.isEmpty([...client.connection.topics()])
  })

  it("refuse pairs that are not there, and lists of none", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.frame("spot.orders", ["BTC_USDT", "NO_NE"]))
    client.send(server.frame("spot.orders", []))
    assert.deepStrictEqual(told(client).map((answer) => at(answer, "error.code")), [2, 2])
  })

  /** A partial fill, another at a better price, and a cancellation. */
  const history = (server: GateServer) => {
    place(server, { price: "100" })
    sell(server)
    server.call("DELETE", "/spot/orders/t-a", { query: "currency_pair=BTC_USDT" })
  }

  it("tell orders as they come, change and end", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.frame("spot.orders", ["BTC_USDT"]))
    client.take()
    history(server)
    const pushes = told(client)
    assert.deepStrictEqual(
      pushes.map((push) => [at(push, "result.0.event"), at(push, "result.0.finish_as"), at(push, "result.0.left")]),
      [["put", "open", "1"], ["update", "open", "0.6"], ["finish", "cancelled", "0.6"]]
    )
    assert.deepInclude(at(pushes[1], "result.0"), {
      id: "1",
      text: "t-a",
      user: 10_001,
      filled_amount: "0.4",
      filled_total: "40",
      avg_deal_price: "100",
      create_time_ms: String(server.fake.clock),
      fee_currency: "BTC"
    })
  })

  it("tell fills and balances", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.frame("spot.usertrades", ["!all"]))
    client.send(server.frame("spot.balances"))
    client.take()
    history(server)
    const pushes = told(client)
    const of = (channel: string) => pushes.filter((push) => at(push, "channel") === channel)
    assert.deepInclude(at(of("spot.usertrades")[0], "result.0"), {
      order_id: "1",
      side: "buy",
      role: "maker",
      amount: "0.4",
      price: "100",
      fee: "0.0004",
      user_id: 10_001
    })
    assert.deepStrictEqual(
      of("spot.balances").map((push) => {
        const { available, change, change_type, currency, freeze, freeze_change, total } = at(
          push,
          "result.0"
        ) as Record<
          string,
          string
        >
        return [currency, change_type, change, available, freeze, freeze_change, total].join(" ")
      }),
      [
        "USDT order-create 0 9900 100 100 10000",
        "USDT order-match -40 9900 60 -40 9960",
        "BTC order-match 0.4 10.4 0 0 10.4",
        "BTC trade-fee-deduct -0.0004 10.3996 0 0 10.3996",
        "USDT order-update 0 9960 0 -60 9960"
      ]
    )
  })

  it("have exactly the fields of the documents' samples", () => {
    if (!hasShared) return
    const server = serve()
    const client = server.connect()
    const samples = [
      ["spot.orders", "doc-put"],
      ["spot.orders_v2", "doc-put"],
      ["spot.usertrades", "two-fills"],
      ["spot.balances", "usdt-20-digits"]
    ] as const
    for (const [channel] of samples) {
      client.send(server.frame(channel, channel === "spot.balances" ? undefined : ["!all"]))
    }
    client.take()
    history(server)
    const pushes = told(client)
    for (const [channel, name] of samples) {
      const push = pushes.find((one) => at(one, "channel") === channel)
      const sample = shared<{ readonly id: string; readonly raw: string }>(`gateio-spot.${channel}.jsonl`)
        .find(({ id }) => id.endsWith(`/${name}`))!
      assert.deepStrictEqual(keysOf(push), keysOf(JSON.parse(sample.raw)), channel)
      assert.deepStrictEqual(keysOf(at(push, "result.0")), keysOf(at(JSON.parse(sample.raw), "result.0")), channel)
    }
  })

  it("are read by the adapter as what they are", () => {
    const server = serve()
    const client = server.connect()
    for (const channel of ["spot.orders", "spot.usertrades"]) client.send(server.frame(channel, ["!all"]))
    client.send(server.frame("spot.balances"))
    client.take()
    history(server)
    const events = client.texts().flatMap((text) =>
      pushed(spot, text).map((call) => {
        assert(call.call === "event", JSON.stringify(call))
        return call.event
      })
    )
    const count = (tag: string) => events.filter(({ _tag }) => _tag === tag).length
    assert.deepStrictEqual([count("OrderUpdate"), count("Fill"), count("Balance")], [3, 1, 5])
    const last = events.findLast((event) => event._tag === "OrderUpdate")!
    assert(last._tag === "OrderUpdate")
    assert.deepInclude(last, { status: "partiallyCanceled", clientOrderId: "a", pair })
    assert.strictEqual(Decimal.toText(last.filledQuantity), "0.4")
  })
})

// ---- price-triggered orders -----------------------------------------------------------------------------------------

describe("Gate spot's price-triggered orders", () => {
  const body = {
    trigger: { price: "99.5", rule: "<=", expiration: 3_600 },
    put: {
      type: "limit",
      side: "sell",
      price: "99.9",
      amount: "1",
      account: "normal",
      time_in_force: "gtc",
      text: "t-a"
    },
    market: "BTC_USDT"
  }
  const begin = (server: GateServer, change: object = {}) =>
    server.call("POST", "/spot/price_orders", { body: { ...body, ...change } })
  const get = (server: GateServer, path: string, query = "") => server.call("GET", `/spot${path}`, { query })
  const fire = (server: GateServer, price: number) => server.accounts.onTrade(pair, "sell", price, 1, server.fake.clock)
  const count = (json: unknown) => (json as ReadonlyArray<unknown>).length

  it("wait apart from the orders, and become one when their price has come", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.frame("spot.priceorders", ["BTC_USDT"]))
    client.send(server.frame("spot.orders", ["!all"]))
    client.take()
    assert.deepStrictEqual([begin(server).status, begin(server, { put: { ...body.put, text: "t-b" } }).json], [
      201,
      { id: 2 }
    ])
    assert.deepStrictEqual(get(server, "/open_orders").json, [])
    assert.deepStrictEqual(get(server, "/orders", "currency_pair=BTC_USDT&status=open").json, [])
    assert.strictEqual(get(server, "/orders/t-a", "currency_pair=BTC_USDT").status, 404)
    assert.deepStrictEqual(server.call("DELETE", "/spot/orders").json, [])
    const waiting = get(server, "/price_orders/1").json
    assert.deepInclude(waiting, { status: "open", market: "BTC_USDT", fired_order_id: 0, user: 10_001 })
    assert.deepInclude(at(waiting, "trigger"), { price: "99.5", rule: "<=" })
    assert.deepInclude(at(waiting, "put"), { side: "sell", amount: "1", text: "t-a", account: "normal" })
    assert.strictEqual(count(get(server, "/price_orders", "status=open&market=BTC_USDT").json), 2)
    assert.deepInclude(server.call("DELETE", "/spot/price_orders/2").json, { status: "cancelled" })

    fire(server, 995)
    assert.deepInclude(get(server, "/price_orders/1").json, { status: "finish", fired_order_id: 1 })
    assert.deepInclude(get(server, "/orders/t-a", "currency_pair=BTC_USDT").json, { id: "1", status: "closed" })
    assert.deepStrictEqual(labelOf(server.call("DELETE", "/spot/price_orders/1")), [400, "ORDER_CANCELLED"])
    assert.strictEqual(count(get(server, "/price_orders", "status=finished").json), 2)
    const pushes = told(client)
    const fired = (
      push: unknown
    ) => [at(push, "result.id"), at(push, "result.fired_order_id"), at(push, "result.ftime")]
    const now = String(server.fake.clock)
    const never = "-62135596800000"
    const trigger = pushes.filter((push) => at(push, "channel") === "spot.priceorders")
    assert.deepStrictEqual(trigger.map(fired), [["1", 0, never], ["2", 0, never], ["2", 0, now], ["1", 1, now]])
    const orders = pushes.filter((push) => at(push, "channel") === "spot.orders")
    assert.deepStrictEqual(orders.map((push) => at(push, "result.0.event")), ["put", "finish"])
    if (!hasShared) return
    const [sample] = shared<{ readonly raw: string }>("gateio-spot.spot.priceorders.jsonl")
    assert.deepStrictEqual(keysOf(at(pushes[0], "result")), keysOf(at(JSON.parse(sample!.raw), "result")))
  })

  it("are cancelled all, of one market or of every one", () => {
    const server = serve()
    for (const text of ["t-a", "t-b"]) begin(server, { put: { ...body.put, text } })
    const all = (query = "") => server.call("DELETE", "/spot/price_orders", { query })
    assert.strictEqual(count(all("market=BTC_USDT").json), 2)
    assert.deepStrictEqual(all().json, [])
    assert.strictEqual(all("market=NO_NE").status, 400)
    assert.isTrue(server.account.balances().every(({ locked }) => locked === "0"))
  })

  it("refuse what makes no order, and pairs that are not there", () => {
    const server = serve()
    const odd: ReadonlyArray<object> = [
      { trigger: undefined },
      { trigger: { price: "x", rule: "<=" } },
      { trigger: { price: "1", rule: 1 } },
      { put: undefined },
      { put: { ...body.put, account: "margin" } },
      { put: { ...body.put, amount: "1000000" } },
      { market: "NO_NE" }
    ]
    for (const change of odd) assert.strictEqual(begin(server, change).status, 400, JSON.stringify(change))
    assert.strictEqual(get(server, "/price_orders/9").status, 404)
    assert.strictEqual(get(server, "/price_orders", "status=new").status, 400)
    assert.strictEqual(get(server, "/price_orders", "status=open&market=NO_NE").status, 400)
    assert.strictEqual(server.call("DELETE", "/spot/price_orders/x").status, 404)
    const client = server.connect()
    for (const payload of [["NO_NE"], []]) client.send(server.frame("spot.priceorders", payload))
    assert.deepStrictEqual(told(client).map((answer) => at(answer, "error.code")), [2, 2])
  })
})

// ---- WebSocket API --------------------------------------------------------------------------------------------------

const loggedIn = (server: GateServer, options: Parameters<GateServer["connect"]>[0] = { limits: "off" }) => {
  const client = server.connect(options)
  client.send(server.login("spot"))
  client.take()
  return client
}

describe("Gate spot's WebSocket API", () => {
  it("logs in, whatever req_param was signed and sent", () => {
    for (const parameters of [undefined, {}, "", null]) {
      const server = serve()
      const client = server.connect()
      client.send(server.login("spot", "full", parameters))
      const [answer] = told(client)
      assert.deepInclude(answer, { request_id: "login-1", data: { result: { api_key: "full", uid: "10001" } } })
      assert.deepInclude(at(answer, "header"), { status: "200", channel: "spot.login", event: "api", clientId: "" })
    }
  })

  it("refuses logins, and requests before one", () => {
    const server = serve()
    const client = server.connect()
    client.send(server.api("spot.order_place", limit))
    client.send(server.login("spot", "elsewhere"))
    const wrong = server.login("spot") as { readonly payload: object }
    client.send({ ...wrong, payload: { ...wrong.payload, signature: "0" } })
    client.send({ ...wrong, payload: { ...wrong.payload, timestamp: String(server.seconds - 90) } })
    client.send({ ...wrong, payload: { ...wrong.payload, api_key: "nobody" } })
    assert.deepStrictEqual(told(client).map((answer) => [at(answer, "header.status"), at(answer, "data.errs.label")]), [
      ["400", "AUTHENTICATION_FAILED"],
      ["403", "FORBIDDEN"],
      ["401", "INVALID_SIGNATURE"],
      ["403", "REQUEST_EXPIRED"],
      ["401", "INVALID_KEY"]
    ])
    assert.isEmpty(server.account.orders({ open: true }))
  })

  it("answers a placed order twice: that it is there, then what became of it", () => {
    const server = serve()
    const client = loggedIn(server)
    client.send(server.api("spot.order_place", limit))
    const [first, second, ...more] = told(client)
    assert.isEmpty(more)
    assert.deepInclude(first, {
      request_id: "request-2",
      ack: true,
      data: {
        result: {
          req_id: "request-2",
          req_header: null,
          req_param: limit,
          api_key: "",
          timestamp: "",
          signature: ""
        }
      }
    })
    assert.notProperty(second, "ack")
    assert.deepInclude(at(second, "data.result"), { id: "1", text: "t-a", status: "open" })
    assert.deepInclude(at(second, "header"), { status: "200", channel: "spot.order_place", event: "api" })
  })

  it("an ack is no acceptance", () => {
    const server = serve()
    const client = loggedIn(server)
    client.send(server.api("spot.order_place", { ...limit, side: "BUY", amount: "-1", price: "-1" }))
    const [first, second] = told(client)
    assert.strictEqual(at(first, "ack"), true)
    assert.deepStrictEqual([at(second, "header.status"), at(second, "data.errs.label")], ["400", "INVALID_PARAM_VALUE"])
  })

  it("takes batches, and answers ACK with nothing but ids", () => {
    const server = serve()
    const client = loggedIn(server)
    client.send(server.api("spot.order_place", [limit, { ...limit, text: "t-b", amount: "500" }]))
    const [, batch] = told(client)
    assert.deepInclude(at(batch, "data.result.0"), { succeeded: true, text: "t-a" })
    assert.deepInclude(at(batch, "data.result.1"), { succeeded: false, label: "BALANCE_NOT_ENOUGH" })
    client.send(server.api("spot.order_place", { ...limit, text: "t-c", action_mode: "ACK" }))
    assert.deepStrictEqual(at(told(client)[1], "data.result"), { id: "3", text: "t-c", amend_text: "-" })
  })

  it("cancels, amends, lists and looks up in one frame each", () => {
    const server = serve()
    const client = loggedIn(server)
    const ask = (channel: string, parameters: unknown) => {
      client.send(server.api(channel, parameters))
      const [answer, ...more] = told(client)
      assert.isEmpty(more, channel)
      return answer
    }
    for (const text of ["t-a", "t-b", "t-c", "t-d"]) place(server, { text })
    const of = { currency_pair: "BTC_USDT" }
    assert.deepInclude(at(ask("spot.order_status", { ...of, order_id: "t-a" }), "data.result"), { id: "1" })
    assert.deepInclude(at(ask("spot.order_amend", { ...of, order_id: "1", price: "98" }), "data.result"), {
      price: "98"
    })
    assert.deepInclude(at(ask("spot.order_cancel", { ...of, order_id: "1" }), "data.result"), { status: "cancelled" })
    assert.deepInclude(at(ask("spot.order_cancel_ids", [{ ...of, id: "2" }]), "data.result.0"), {
      id: "2",
      succeeded: true
    })
    assert.strictEqual(
      (at(ask("spot.order_list", { ...of, status: "open" }), "data.result") as Array<unknown>).length,
      2
    )
    assert.strictEqual((at(ask("spot.order_cancel_cp", of), "data.result") as Array<unknown>).length, 2)
    assert.strictEqual(at(ask("spot.order_status", { ...of, order_id: "9" }), "data.errs.label"), "ORDER_NOT_FOUND")
    assert.strictEqual(at(ask("spot.order_none", of), "data.errs.label"), "INVALID_ARGUMENT")
    assert.strictEqual(at(ask("spot.order_status", "one"), "data.errs.label"), "INVALID_ARGUMENT")
  })

  it("takes a request that is signed by itself", () => {
    const server = serve()
    const client = server.connect()
    const timestamp = String(server.seconds)
    const parameters = { currency_pair: "BTC_USDT", status: "open" }
    const signature = hmac(keys.full.secret, `api\nspot.order_list\n${JSON.stringify(parameters)}\n${timestamp}`)
    const payload = { api_key: "full", signature, timestamp, req_id: "1", req_param: parameters }
    client.send({ time: server.seconds, channel: "spot.order_list", event: "api", payload })
    assert.deepStrictEqual(at(told(client)[0], "data.result"), [])
  })

  it("refuses what comes behind its x-gate-exptime, and keys that may only read", () => {
    const server = serve()
    const client = loggedIn(server)
    client.send(server.api("spot.order_place", limit, { "x-gate-exptime": String(server.fake.clock - 1) }))
    assert.strictEqual(at(told(client)[0], "data.errs.label"), "REQUEST_EXPIRED")
    const reader = server.connect()
    reader.send(server.login("spot", "reader"))
    reader.send(server.api("spot.order_place", limit))
    assert.strictEqual(at(told(reader)[1], "data.errs.label"), "READ_ONLY")
    assert.isEmpty(server.account.orders({ open: true }))
  })

  it("keeps to ten orders a second, and says what is left", () => {
    const server = serve()
    const client = loggedIn(server, { limits: "real" })
    for (let i = 0; i < 11; i++) client.send(server.api("spot.order_place", { ...limit, text: `t-${i}` }))
    const answers = told(client)
    assert.strictEqual(answers.length, 21)
    assert.deepInclude(at(answers[0], "header"), { x_gate_ratelimit_requests_remain: 9, x_gate_ratelimit_limit: 10 })
    assert.property(at(answers[0], "header"), "x_gat_ratelimit_reset_timestamp")
    const last = answers[20]
    assert.deepStrictEqual(at(last, "data.errs"), {
      label: "TOO_MANY_REQUESTS",
      message: "Request Rate limit Exceeded (211)"
    })
    assert.property(at(last, "header"), "x_gate_ratelimit_reset_timestamp")
    assert.strictEqual(at(last, "header.status"), "429")
  })
})

// ---- the adapter and the dialect, each written from the documents -----------------------------------------------------

const instrument = spotInstrument({
  exchange: "gate-spot",
  symbol: "BTC_USDT",
  base: "BTC",
  quote: "USDT",
  priceStep: 0.1,
  quantityStep: 0.01
})

describe("Gate spot's adapter against its dialect", () => {
  it.effect("places, amends, looks up, cancels and reads", () =>
    Effect.gen(function*() {
      const server = serve()
      const calls = gateSpotAccount.makeCalls({
        client: server.client,
        url: "http://gate.test/api/v4",
        signer: yield* Auth.makeSigner(credentials, gateSpotAccount.algorithm),
        now: Effect.sync(() => server.fake.clock),
        instrumentOf: () => instrument
      })
      assert.strictEqual(yield* calls.userId, "10001")
      const order = {
        instrument,
        side: "buy",
        type: "limit",
        timeInForce: "gtc",
        price: "100",
        quantity: "1",
        quoteQuantity: null,
        reduceOnly: false,
        trigger: null,
        clientOrderId: "mine"
      } as const
      const ref = { symbol: "BTC_USDT", clientOrderId: "mine" }
      const placed = yield* calls.run({ _tag: "Place", order })
      assert(placed._tag === "Order")
      assert.deepInclude(placed.order, { clientOrderId: "mine", status: "new", orderId: "1" })
      sell(server)
      const amended = yield* calls.run({ _tag: "Amend", ref, side: "buy", price: "98", quantity: null })
      assert(amended._tag === "Order")
      assert.deepInclude(amended.order, { status: "partiallyFilled" })
      const found = yield* calls.run({ _tag: "Get", ref })
      assert(found._tag === "Order")
      assert.deepInclude(found.order, { orderId: "1", status: "partiallyFilled" })
      assert.strictEqual((yield* calls.openOrders(null)).length, 1)
      const cancelled = yield* calls.run({ _tag: "Cancel", ref })
      assert(cancelled._tag === "Order")
      assert.deepInclude(cancelled.order, { status: "partiallyCanceled" })
      assert.deepStrictEqual(
        yield* calls.run({ _tag: "Get", ref: { symbol: "BTC_USDT", clientOrderId: "nobody" } }),
        { _tag: "Nothing" }
      )
      const fills = yield* calls.fills({ symbol: null, since: null })
      assert.strictEqual(fills.length, 1)
      assert.deepInclude(fills[0], { liquidity: "maker", clientOrderId: "mine", feeAsset: "BTC" })
      const balances = yield* calls.balances
      assert.deepStrictEqual(
        balances.map(({ asset, total }) => [asset, total === null ? null : Decimal.toText(total)]).toSorted(),
        [["BTC", "10.3996"], ["USDT", "9960"]]
      )
      const refused = yield* Effect.flip(
        calls.run({ _tag: "Place", order: { ...order, quantity: "5000", clientOrderId: "b" } })
      )
      assert(refused.reason._tag === "RequestFailed")
      assert.deepInclude(refused.reason, { code: "BALANCE_NOT_ENOUGH", class: "item" })
    }).pipe(Effect.provide(Auth.layer)))
})
