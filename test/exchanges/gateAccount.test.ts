/** Gate's account half: what it sends, signed; what it makes of answers, refusals and pushes that are odd. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import * as OrderPreparation from "../../src/account/OrderPreparation.ts"
import type { Command, PreparedOrder } from "../../src/AccountAdapter.ts"
import { NextPage } from "../../src/AccountAdapter.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as ExactJson from "../../src/domain/ExactJson.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import { expiryMillis } from "../../src/exchanges/gate/GateOrderSocket.ts"
import * as GateRow from "../../src/exchanges/gate/GateRow.ts"
import * as GateTriggers from "../../src/exchanges/gate/GateTriggers.ts"
import type { OrderRequest } from "../../src/OrderEntry.ts"
import type { Response, Subject } from "./GateAccountHarness.ts"
import {
  answered,
  apiKey,
  callsOf,
  futures,
  instrumentOf,
  now,
  pushed,
  secret,
  signer,
  spot
} from "./GateAccountHarness.ts"

const stamps = () => {
  let id = 0
  return { nowMillis: now, nextId: () => ++id }
}

const seconds = Math.floor(now / 1000)

const prepared = ({ account, kind }: Subject, request: OrderRequest): PreparedOrder => {
  const symbol = request.pair.split(":")[0]!.replace("/", "_")
  const order = OrderPreparation.prepare(
    instrumentOf(kind)(symbol),
    request,
    request.clientOrderId ?? "a",
    account.orders
  )
  assert(Result.isSuccess(order), JSON.stringify(order))
  return order.success
}

const spotLimit: OrderRequest = { pair: "BTC/USDT", side: "buy", quantity: "0.5", price: "100", clientOrderId: "id-1" }
const swapLimit: OrderRequest = {
  pair: "BTC/USDT:USDT",
  side: "sell",
  quantity: 3,
  price: "100.5",
  clientOrderId: "id-1"
}

const parametersOf = (subject: Subject, command: Command) => {
  const { frame, id } = subject.account.orders.socket!.request(command, stamps())
  const { channel, event, payload, time } = JSON.parse(String(frame))
  assert.deepStrictEqual({ event, time, req_id: payload.req_id }, { event: "api", time: seconds, req_id: id })
  return { channel, parameters: payload.req_param, header: payload.req_header }
}

const place = (subject: Subject, request: OrderRequest) =>
  parametersOf(subject, { _tag: "Place", order: prepared(subject, request) }).parameters

describe("order entry over the socket", () => {
  it.effect("logs in with a signature over an empty parameter", () =>
    Effect.gen(function*() {
      for (const subject of [spot, futures]) {
        const sign = yield* signer
        const { frame, id } = yield* subject.account.orders.socket!.login(sign, stamps())
        assert.deepStrictEqual(JSON.parse(String(frame)), {
          time: seconds,
          channel: `${subject.prefix}.login`,
          event: "api",
          payload: {
            api_key: apiKey,
            signature: yield* sign.sign(`api\n${subject.prefix}.login\n\n${seconds}`),
            timestamp: String(seconds),
            req_id: id
          }
        })
        assert.notInclude(String(frame), secret)
      }
    }))

  it("spells spot orders", () => {
    assert.deepStrictEqual(place(spot, spotLimit), {
      text: "t-id-1",
      currency_pair: "BTC_USDT",
      type: "limit",
      side: "buy",
      amount: "0.5",
      price: "100",
      time_in_force: "gtc"
    })
    assert.deepInclude(place(spot, { ...spotLimit, timeInForce: "postOnly" }), { time_in_force: "poc" })
    assert.deepStrictEqual(place(spot, { pair: "BTC/USDT", side: "buy", quoteQuantity: "12.5", timeInForce: "fok" }), {
      text: "t-a",
      currency_pair: "BTC_USDT",
      type: "market",
      side: "buy",
      amount: "12.5",
      time_in_force: "fok"
    })
    assert.deepInclude(place(spot, { pair: "BTC/USDT", side: "sell", quantity: "1e-7" }), {
      type: "market",
      amount: "0.0000001"
    })
  })

  it("spells futures orders: the side is the sign", () => {
    assert.deepStrictEqual(place(futures, { ...swapLimit, reduceOnly: true }), {
      contract: "BTC_USDT",
      size: "-3",
      price: "100.5",
      tif: "gtc",
      text: "t-id-1",
      reduce_only: true
    })
    assert.deepInclude(place(futures, { pair: "BTC/USDT:USDT", side: "buy", quantity: 2 }), {
      size: "2",
      price: "0",
      tif: "ioc"
    })
  })

  it("spells the other commands", () => {
    const spotRef = { symbol: "BTC_USDT", clientOrderId: "id-1" }
    const swapRef = { symbol: "BTC_USDT", orderId: "12" }
    assert.deepInclude(parametersOf(spot, { _tag: "Cancel", ref: spotRef }), {
      channel: "spot.order_cancel",
      parameters: { order_id: "t-id-1", currency_pair: "BTC_USDT" },
      header: { "x-gate-exptime": String(now + expiryMillis) }
    })
    assert.deepInclude(
      parametersOf(spot, { _tag: "Amend", ref: spotRef, side: "buy", price: "3", quantity: null }),
      { channel: "spot.order_amend", parameters: { order_id: "t-id-1", currency_pair: "BTC_USDT", price: "3" } }
    )
    assert.deepInclude(
      parametersOf(futures, { _tag: "Amend", ref: swapRef, side: "sell", price: null, quantity: "7" }),
      { channel: "futures.order_amend", parameters: { order_id: "12", size: "-7" } }
    )
    assert.deepStrictEqual(parametersOf(futures, { _tag: "Get", ref: swapRef }), {
      channel: "futures.order_status",
      parameters: { order_id: "12" },
      header: undefined
    })
    const batch = (subject: Subject, request: OrderRequest) =>
      parametersOf(subject, { _tag: "PlaceAll", orders: [prepared(subject, request)] }).channel
    assert.strictEqual(batch(spot, spotLimit), "spot.order_place")
    assert.strictEqual(batch(futures, swapLimit), "futures.order_batch_place")
  })

  it("refuses to spell what goes over REST", () => {
    assert.throws(() => spot.account.orders.socket!.request({ _tag: "CancelAll", symbol: null }, stamps()))
  })

  it("refuses what Gate has not, before anything is sent", () => {
    const result = OrderPreparation.prepare(
      instrumentOf("spot")("BTC_USDT"),
      { pair: "BTC/USDT", side: "buy", quantity: "1" },
      "a",
      spot.account.orders
    )
    assert(Result.isFailure(result))
    assert.strictEqual(result.failure._tag, "UnsupportedOrder")
    assert.include(result.failure.detail, "quoteQuantity")
  })

  it("takes client order ids of 1 to 28 allowed characters", () => {
    const { make, problem } = spot.account.orders.clientOrderIds
    for (const id of ["a", "A_b.c-9", "x".repeat(28), make("m1x2")]) assert.isNull(problem(id), id)
    for (const id of ["", "x".repeat(29), "a b", "é", "a/b"]) assert.isNotNull(problem(id), id)
  })
})

const response = (fields: object, header: object = {}) =>
  JSON.stringify({
    request_id: "7",
    header: { response_time: "1", status: "200", channel: "spot.order_place", event: "api", ...header },
    ...fields
  })

const order = {
  id: "12",
  text: "t-a",
  status: "open",
  currency_pair: "BTC_USDT",
  type: "limit",
  side: "buy",
  amount: "2",
  price: "1",
  left: "2"
}

describe("answers over the socket", () => {
  it("tells logins, acknowledgements, results and refusals apart", () => {
    const login = { status: "200", channel: "spot.login" }
    assert.deepStrictEqual(answered(spot, response({ data: { result: { uid: "1" } } }, login)), [
      { call: "loggedIn", id: "7" }
    ])
    const errs = { label: "INVALID_KEY", message: "Invalid key provided" }
    assert.deepStrictEqual(answered(spot, response({ data: { errs } }, { ...login, status: "401" })), [{
      call: "loginRefused",
      id: "7",
      rejection: { code: "INVALID_KEY", detail: "Invalid key provided", class: "auth" }
    }])
    assert.deepStrictEqual(answered(spot, response({ ack: true, data: { result: { req_param: {} } } })), [
      { call: "received", id: "7" }
    ])
    assert.deepInclude(answered(spot, response({ data: { result: order } }))[0], { call: "answered", id: "7" })
    const rate = { label: "TOO_MANY_REQUESTS", message: "Request Rate limit Exceeded (211)" }
    assert.deepStrictEqual(answered(spot, response({ ack: true, data: { errs: rate } }, { status: "429" })), [{
      call: "refused",
      id: "7",
      rejection: { code: "TOO_MANY_REQUESTS", detail: rate.message, class: "rateLimit" }
    }])
    assert.deepInclude(answered(spot, response({ data: {} }, { status: "403" }))[0], { call: "refused" })
    for (const name of ["x_gate_ratelimit_reset_timestamp", "x_gat_ratelimit_reset_timestamp"]) {
      const header = { status: "429", response_time: "1677816784084", [name]: 1_677_816_784_834 }
      const [call] = answered(spot, response({ data: { errs: rate } }, header))
      assert(call?.call === "refused")
      assert.strictEqual(call.rejection.retryAfterMs, 750)
    }
  })

  it("a failure of the server, and an answer that cannot be read, leave the outcome open", () => {
    const calls = (frame: string) => answered(spot, frame).map(({ call }) => call)
    const errs = { label: "SERVER_ERROR", message: "x" }
    assert.deepStrictEqual(calls(response({ data: { errs } }, { status: "500" })), ["lost"])
    assert.deepStrictEqual(calls(response({ data: { errs } }, { status: "400" })), ["lost"])
    assert.deepStrictEqual(calls(response({ data: {} }, { status: "502" })), ["lost"])
    assert.deepStrictEqual(calls(response({ data: { result: { ...order, amount: "many" } } })), ["failed", "lost"])
    assert.deepStrictEqual(calls(response({ data: { result: { ...order, status: "asleep" } } })), ["failed", "lost"])
  })

  it("an order that is not there is no refusal of the question", () => {
    for (const label of ["ORDER_NOT_FOUND", "CLIENT_ID_NOT_FOUND"]) {
      const errs = { label, message: "x" }
      const status = { channel: "spot.order_status", status: "400" }
      assert.deepStrictEqual(answered(spot, response({ data: { errs } }, status)), [
        { call: "answered", id: "7", reply: { _tag: "Nothing" } }
      ])
      const cancel = { channel: "spot.order_cancel", status: "400" }
      assert.deepInclude(answered(spot, response({ data: { errs } }, cancel))[0], { call: "refused" })
    }
  })

  it("orders of a batch succeed or fail by themselves", () => {
    const result = [
      { succeeded: true, ...order },
      { succeeded: false, text: "t-b", label: "BALANCE_NOT_ENOUGH", message: "Not enough balance" }
    ]
    const [call] = answered(spot, response({ data: { result } }))
    assert(call?.call === "answered" && call.reply._tag === "Placed")
    assert.deepInclude(call.reply.results[0], { orderId: "12" })
    assert.deepStrictEqual(call.reply.results[1], {
      code: "BALANCE_NOT_ENOUGH",
      detail: "Not enough balance",
      class: "item"
    })
  })

  it("reads pongs and notices, and refuses what is no answer", () => {
    const calls = (subject: Subject, frame: string) => answered(subject, frame).map(({ call }) => call)
    assert.deepStrictEqual(calls(futures, JSON.stringify({ channel: "futures.pong", event: "" })), ["pong"])
    assert.deepStrictEqual(
      answered(
        spot,
        JSON.stringify({ channel: "spot.system", event: "update", result: { type: "upgrade", msg: "m" } })
      ),
      [{ call: "closing", detail: "m" }]
    )
    assert.deepStrictEqual(calls(spot, "{\"channel\":\"spot.trades\"}"), ["ignored"])
    assert.deepStrictEqual(calls(spot, "{\"request_id\":\"7\"}"), ["failed"])
    assert.deepStrictEqual(calls(spot, "no JSON"), ["failed"])
    assert.deepStrictEqual(answered(spot, Buffer.from([0xff])).map(({ call }) => call), ["failed"])
  })
})

describe("the private stream", () => {
  it.effect("subscribes each channel with a signature of its own", () =>
    Effect.gen(function*() {
      const sign = yield* signer
      const frames = Effect.fnUntraced(function*({ account }: Subject, action: "subscribe" | "unsubscribe") {
        const topics = [...account.channels].flatMap((channel) => account.stream.topics(channel, "100"))
        const requests = yield* account.stream[action](topics, stamps(), sign)
        assert.deepStrictEqual(requests.flatMap((request) => request.topics), topics)
        return requests.map(({ frame, id }) => {
          const { auth, channel, event, id: sent, payload, time } = JSON.parse(String(frame))
          assert.deepStrictEqual([event, sent, time, auth.method, auth.KEY], [action, id, seconds, "api_key", apiKey])
          return { channel, payload, SIGN: auth.SIGN }
        })
      })
      const signed = (channel: string, action: string) =>
        sign.sign(`channel=${channel}&event=${action}&time=${seconds}`)
      assert.deepStrictEqual(yield* frames(spot, "subscribe"), [
        { channel: "spot.orders_v2", payload: ["!all"], SIGN: yield* signed("spot.orders_v2", "subscribe") },
        { channel: "spot.usertrades", payload: ["!all"], SIGN: yield* signed("spot.usertrades", "subscribe") },
        { channel: "spot.balances", payload: undefined, SIGN: yield* signed("spot.balances", "subscribe") }
      ])
      const swap = yield* frames(futures, "unsubscribe")
      assert.deepStrictEqual(swap.map(({ channel, payload }) => [channel, payload]), [
        ["futures.orders", ["100", "!all"]],
        ["futures.autoorders", ["!all"]],
        ["futures.usertrades", ["100", "!all"]],
        ["futures.balances", ["100"]],
        ["futures.positions", ["100", "!all"]],
        ["futures.auto_deleverages", ["100", "!all"]],
        ["futures.position_closes", ["100", "!all"]]
      ])
      assert.strictEqual(swap[0]!.SIGN, yield* signed("futures.orders", "unsubscribe"))
      assert.deepStrictEqual(spot.account.stream.topics("Positions", "1"), [])
      assert.deepStrictEqual([spot.account.stream.needsUserId, futures.account.stream.needsUserId], [false, true])
    }))

  it.effect("asks futures for decimal sizes on both sockets", () =>
    Effect.gen(function*() {
      const { calls } = yield* callsOf(futures, () => ({ body: "" }))
      const headers = { "X-Gate-Size-Decimal": "1" }
      assert.deepStrictEqual(yield* Effect.scoped(futures.account.stream.endpoint("wss://x", calls)), {
        url: "wss://x",
        headers
      })
      assert.deepStrictEqual(futures.account.orders.socket!.endpoint("wss://x"), { url: "wss://x", headers })
      assert.deepStrictEqual(spot.account.orders.socket!.endpoint("wss://x"), { url: "wss://x" })
    }))

  const frame = (channel: string, fields: object) => JSON.stringify({ time: seconds, channel, ...fields })

  it("answers are about the request that is named, else about what is repeated of it", () => {
    const ok = { event: "subscribe", result: { status: "success" } }
    assert.deepStrictEqual(pushed(futures, frame("futures.orders", { id: 3, payload: ["1", "!all"], ...ok })), [
      { call: "acknowledged", answer: { action: "subscribe", requestId: 3, topics: null } }
    ])
    assert.deepStrictEqual(pushed(futures, frame("futures.orders", { payload: ["1", "!all"], ...ok })), [
      { call: "acknowledged", answer: { action: "subscribe", requestId: null, topics: ["futures.orders|1|!all"] } }
    ])
    assert.deepStrictEqual(pushed(spot, frame("spot.balances", ok)), [
      { call: "acknowledged", answer: { action: "subscribe", requestId: null, topics: ["spot.balances"] } }
    ])
    const answer = { action: "subscribe", requestId: 3, topics: null } as const
    const message = "{\"label\":\"INVALID_KEY\",\"message\":\"Invalid key provided\"}\n"
    assert.deepStrictEqual(
      pushed(spot, frame("spot.orders_v2", { id: 3, event: "subscribe", error: { code: 4, message }, result: null })),
      [{
        call: "rejected",
        answer,
        refusal: { code: "4", detail: "INVALID_KEY: Invalid key provided", class: "auth" }
      }]
    )
    assert.deepInclude(
      pushed(spot, frame("spot.orders_v2", { id: 3, event: "subscribe", result: { status: "fail" } }))[0],
      { call: "rejected", answer }
    )
  })

  it("delivers nothing of a list of which one entry cannot be read, and says which field it was", () => {
    const push = (channel: string, result: unknown) =>
      pushed(channel.startsWith("spot") ? spot : futures, frame(channel, { event: "update", result }))
    const good = { ...order, event: "put" }
    assert.deepStrictEqual(push("spot.orders_v2", [good, { ...good, event: "vanish" }]), [
      { call: "failed", detail: "spot.orders_v2: event is \"vanish\", none of put, update, finish" }
    ])
    const detail = (channel: string, result: unknown) => {
      const [call] = push(channel, result)
      return call?.call === "failed" ? call.detail : JSON.stringify(call)
    }
    assert.include(detail("futures.orders", [{ id: 1, contract: "A_B", size: 1, left: 1, status: "lost" }]), "status")
    assert.include(
      detail("futures.orders", [{ id: 1, contract: "A_B", size: 0, left: 0, status: "open" }]),
      "size is 0"
    )
    assert.include(detail("futures.orders", [{ id: 1, contract: "A_B", size: 1, status: "open" }]), "left is missing")
    assert.include(detail("futures.usertrades", [{ id: "x", contract: "A_B", size: 1 }]), "id or trade_id")
    assert.include(detail("spot.usertrades", [{ id: 1, order_id: 2, currency_pair: "A_B", side: "up" }]), "side")
    assert.include(detail("spot.balances", [{ currency: "A", available: "1e400x" }]), "available")
    assert.include(detail("spot.balances", ["text"]), "no object")
    assert.include(detail("futures.position_closes", [{ contract: "A_B", side: "both", pnl: 1 }]), "side")
    assert.deepStrictEqual(push("spot.orders_v2", []).map(({ call }) => call), ["ignored"])
  })

  it("unknown words that only describe are kept or left out", () => {
    const result = [{
      ...order,
      event: "finish",
      finish_as: "struck_by_lightning",
      time_in_force: "gtt",
      left: "1.5",
      type: "limit_borrow"
    }]
    const [call] = pushed(spot, frame("spot.orders_v2", { event: "update", result }))
    assert(call?.call === "event" && call.event._tag === "OrderUpdate")
    assert.deepInclude(call.event, {
      status: "partiallyCanceled",
      finishedAs: "struck_by_lightning",
      timeInForce: null,
      type: "limit"
    })
    assert.isTrue(Decimal.equals(call.event.filledQuantity, Decimal.of("0.5")))
  })

  it("reads notices, pongs, and frames that are none", () => {
    const calls = (text: string | Uint8Array) => pushed(futures, text).map(({ call }) => call)
    const upgrade = { event: "update", result: { type: "upgrade", msg: "m" } }
    assert.deepStrictEqual(pushed(futures, frame("futures.system", upgrade)), [{ call: "closing", detail: "m" }])
    assert.deepStrictEqual(calls(frame("futures.system", { event: "update", result: { type: "news" } })), ["ignored"])
    assert.deepStrictEqual(calls(frame("futures.pong", {})), ["pong"])
    assert.deepStrictEqual(calls(frame("futures.trades", { event: "update" })), ["ignored"])
    for (const odd of ["", "[]", "null", "{", "\ufeff{}", new Uint8Array([0xc3])]) {
      assert.deepStrictEqual(calls(odd), ["failed"], String(odd))
    }
  })

  it("hedge mode and cross leverage", () => {
    const result = [
      { contract: "A_B", mode: "dual_short", size: "-1", leverage: 0, cross_leverage_limit: "7", margin: 1 },
      { contract: "A_B", mode: "dual_long", size: "1", leverage: "5", pos_margin_mode: "isolated", lever: "6" },
      { contract: "A_B", size: "1", leverage: 9, pos_margin_mode: "cross", lever: "8" }
    ]
    const events = pushed(futures, frame("futures.positions", { event: "update", result })).map((call) => {
      assert(call.call === "event" && call.event._tag === "Position")
      const { leverage, marginMode, side } = call.event
      return [side, marginMode, leverage === null ? null : Decimal.toText(leverage)]
    })
    assert.deepStrictEqual(events, [["short", "cross", "7"], ["long", "isolated", "6"], ["net", "cross", "8"]])
  })

  it("tells the exchange's own orders and their fills apart", () => {
    const of = (text: string, isLiq = false) => {
      const about = { contract: "A_B", size: "-1", price: "1", text, create_time_ms: 1 }
      const fills = { event: "update", result: [{ ...about, id: "7", order_id: "8", fee: 0 }] }
      const orders = { event: "update", result: [{ ...about, id: 8, left: "0", status: "finished", is_liq: isLiq }] }
      return [frame("futures.usertrades", fills), frame("futures.orders", orders)].flatMap((text) =>
        pushed(futures, text).map((call) => {
          assert(call.call === "event" && (call.event._tag === "Fill" || call.event._tag === "OrderUpdate"))
          return call.event.forced
        })
      )
    }
    const liquidation = ["liquidation", "liquidation"] as const
    for (const text of ["liquidation", "liq-5", "hedge-liq-5", "insurance", "clear"]) {
      assert.deepStrictEqual(of(text), [...liquidation], text)
    }
    for (const text of ["pm_liquidate", "comb_margin_liquidate", "scm_liquidate"]) {
      assert.deepStrictEqual(of(text), [...liquidation], text)
    }
    assert.deepStrictEqual(of("auto_deleveraging", true), ["autoDeleverage", "autoDeleverage"])
    for (const text of ["t-liq-5", "t-liquidation", "web", "apiv4", "app", "ao-1", ""]) {
      assert.deepStrictEqual(of(text), [undefined, undefined], text)
    }
    assert.deepStrictEqual(of("web", true), [undefined, "liquidation"])
  })

  it("tells funding apart from what else changes a futures balance", () => {
    const result = ["fund", "pnl", "fee"].map((type) => ({
      balance: "9",
      change: "-1",
      currency: "usdt",
      type,
      time: 1
    }))
    const events = pushed(futures, frame("futures.balances", { event: "update", result })).map((call) => {
      assert(call.call === "event" && call.event._tag === "Balance")
      return [call.event.cause, call.event.isFunding]
    })
    assert.deepStrictEqual(events, [["fund", true], ["pnl", undefined], ["fee", undefined]])
  })
})

describe("signed REST", () => {
  it.effect("signs method, path, plain query, hash of the body and time", () =>
    Effect.gen(function*() {
      const sign = yield* signer
      const { calls, requests } = yield* callsOf(spot, () => ({ body: order }))
      yield* calls.run({ _tag: "Cancel", ref: { symbol: "币安人生_USDT", clientOrderId: "x" } })
      yield* calls.run({ _tag: "Place", order: prepared(spot, spotLimit) })
      const [cancel, place] = requests
      assert.deepInclude(cancel, {
        method: "DELETE",
        url: `/api/v4/spot/orders/t-x?currency_pair=${encodeURIComponent("币安人生_USDT")}`,
        body: ""
      })
      const empty = yield* sign.hash("")
      assert.strictEqual(
        cancel!.headers["sign"],
        yield* sign.sign(`DELETE\n/api/v4/spot/orders/t-x\ncurrency_pair=币安人生_USDT\n${empty}\n${seconds}`)
      )
      assert.deepInclude(cancel!.headers, {
        key: apiKey,
        timestamp: String(seconds),
        "x-gate-exptime": String(now + expiryMillis)
      })
      assert.deepInclude(place, { method: "POST", url: "/api/v4/spot/orders" })
      assert.strictEqual(
        place!.headers["sign"],
        yield* sign.sign(`POST\n/api/v4/spot/orders\n\n${yield* sign.hash(place!.body)}\n${seconds}`)
      )
      assert.strictEqual(JSON.parse(place!.body).text, "t-id-1")
    }))

  it.effect("spells every command", () =>
    Effect.gen(function*() {
      const ref = { symbol: "BTC_USDT", orderId: "12" }
      const asked = Effect.fnUntraced(function*(subject: Subject, command: Command, body: unknown) {
        const { calls, requests } = yield* callsOf(subject, ({ url }) => ({
          body: url.includes("price_orders?") ? [] : body
        }))
        const reply = yield* calls.run(command)
        return [reply._tag, ...requests.map(({ body, method, url }) => `${method} ${url.slice(7)} ${body}`.trim())]
      })
      const swap = { id: 12, contract: "BTC_USDT", size: "-1", left: "-1", price: "1", status: "open", tif: "poc" }
      const amend = { _tag: "Amend", ref, side: "sell", price: "2", quantity: "3" } as const
      assert.deepStrictEqual(yield* asked(spot, amend, order), [
        "Order",
        "PATCH /spot/orders/12?currency_pair=BTC_USDT {\"price\":\"2\",\"amount\":\"3\"}"
      ])
      assert.deepStrictEqual(yield* asked(futures, amend, swap), [
        "Order",
        "PUT /futures/usdt/orders/12 {\"price\":\"2\",\"size\":\"-3\"}"
      ])
      const batch: Command = { _tag: "PlaceAll", orders: [prepared(futures, swapLimit)] }
      const [tag, request] = yield* asked(futures, batch, [{ succeeded: true, ...swap }])
      assert.strictEqual(tag, "Placed")
      assert.match(request!, /^POST \/futures\/usdt\/batch_orders \[\{/)
      assert.deepStrictEqual(yield* asked(spot, { _tag: "CancelAll", symbol: "BTC_USDT" }, [order]), [
        "Orders",
        "DELETE /spot/orders?currency_pair=BTC_USDT"
      ])
      assert.deepStrictEqual(yield* asked(futures, { _tag: "OpenOrders", symbol: "BTC_USDT" }, [swap]), [
        "Orders",
        "GET /futures/usdt/orders?contract=BTC_USDT&status=open&offset=0&limit=100",
        "GET /futures/usdt/price_orders?contract=BTC_USDT&status=open&limit=100&offset=0"
      ])
      assert.deepStrictEqual(yield* asked(spot, { _tag: "CancelAllAfter", afterMs: 5_000, symbol: null }, {}), [
        "Done",
        "POST /spot/countdown_cancel_all {\"timeout\":5}"
      ])
      assert.deepStrictEqual(yield* asked(futures, { _tag: "CancelAllAfter", afterMs: 6_001, symbol: "A_B" }, {}), [
        "Done",
        "POST /futures/usdt/countdown_cancel_all {\"timeout\":7,\"contract\":\"A_B\"}"
      ])
      assert.deepStrictEqual(yield* asked(spot, { _tag: "CancelAllAfter", afterMs: null, symbol: null }, {}), [
        "Done",
        "POST /spot/countdown_cancel_all {\"timeout\":0}"
      ])
      assert.deepStrictEqual(yield* asked(futures, { _tag: "SetMarginMode", symbol: "A_B", mode: "cross" }, {}), [
        "Done",
        "POST /futures/usdt/positions/cross_mode {\"mode\":\"CROSS\",\"contract\":\"A_B\"}"
      ])
    }))

  it.effect("the leverage keeps its margin mode", () =>
    Effect.gen(function*() {
      const set = Effect.fnUntraced(function*(position: object) {
        const { calls, requests } = yield* callsOf(futures, () => ({ body: position }))
        const reply = yield* calls.run({ _tag: "Leverage", symbol: "A_B" })
        assert(reply._tag === "Leverage")
        yield* calls.run({ _tag: "SetLeverage", symbol: "A_B", leverage: "4" })
        return [Decimal.toText(reply.leverage), reply.mode, requests.at(-1)!.url.split("?")[1]]
      })
      assert.deepStrictEqual(yield* set({ leverage: "10" }), ["10", "isolated", "leverage=4"])
      const cross = { leverage: "0", cross_leverage_limit: "20" }
      assert.deepStrictEqual(yield* set(cross), ["20", "cross", "leverage=0&cross_leverage_limit=4"])
    }))

  it.effect("cancelling everything goes through the markets that have open orders", () =>
    Effect.gen(function*() {
      const other = { ...order, id: "13", currency_pair: "ETH_USDT" }
      const { calls, requests } = yield* callsOf(spot, ({ method, url }) => ({
        body: method === "GET"
          ? [{ currency_pair: "BTC_USDT", orders: [order] }, { currency_pair: "ETH_USDT", orders: [other] }]
          : url.includes("ETH")
          ? [{ ...other, succeeded: false, label: "ORDER_CLOSED" }]
          : [{ ...order, status: "cancelled" }]
      }))
      const reply = yield* calls.run({ _tag: "CancelAll", symbol: null })
      assert(reply._tag === "Orders")
      assert.deepStrictEqual(reply.orders.map(({ orderId, status }) => [orderId, status]), [["12", "canceled"]])
      assert.deepStrictEqual(requests.map(({ method, url }) => `${method} ${url.slice(7)}`), [
        "GET /spot/open_orders?page=1&limit=100",
        "DELETE /spot/orders?currency_pair=BTC_USDT",
        "DELETE /spot/orders?currency_pair=ETH_USDT"
      ])
    }))

  it.effect("reads page after page, and no order twice", () =>
    Effect.gen(function*() {
      const many = (from: number, count: number) =>
        Array.from({ length: count }, (_, index) => ({ ...order, id: String(from + index) }))
      const { calls, requests } = yield* callsOf(
        spot,
        (_request, index) => ({ body: many(index * 99 + 1, index === 0 ? 100 : 3) })
      )
      const orders = yield* calls.openOrders("BTC_USDT")
      assert.deepStrictEqual([requests.length, orders.length], [2, 102])
      assert.match(requests[1]!.url, /page=2/)
      const grouped = yield* callsOf(spot, (_request, index) => ({
        body: [{ currency_pair: "BTC_USDT", orders: many(index * 100, index === 0 ? 100 : 1) }]
      }))
      assert.strictEqual((yield* grouped.calls.openOrders(null)).length, 101)
      assert.strictEqual(grouped.requests.length, 2)
    }))

  it.effect("fills since a time: oldest first, none before it, none twice", () =>
    Effect.gen(function*() {
      const trade = (id: number, time: number) => ({
        id: String(id),
        order_id: "1",
        currency_pair: "BTC_USDT",
        side: "buy",
        role: "maker",
        price: "1",
        amount: "1",
        create_time_ms: `${time}.123`
      })
      const { calls, requests } = yield* callsOf(spot, () => ({
        body: [trade(11, now - 5), trade(10, now - 5), trade(9, now - 5), trade(3, now - 999), trade(11, now - 5)]
      }))
      const fills = yield* calls.fills({ symbol: "BTC_USDT", since: now - 10 })
      assert.deepStrictEqual(fills.map(({ tradeId }) => tradeId), ["9", "10", "11"])
      assert.strictEqual(fills[0]!.origin, "Reconciled")
      const from = Math.floor((now - 10) / 1000)
      assert.strictEqual(
        requests[0]!.url,
        `/api/v4/spot/my_trades?currency_pair=BTC_USDT&from=${from}&to=${Math.ceil(now / 1000)}&page=1&limit=1000`
      )
    }))

  it.effect("fills that come in whole seconds count for the second in which it begins", () =>
    Effect.gen(function*() {
      const whole = Math.floor(now / 1000) * 1000
      const trade = (id: number, time: number) => ({
        id: String(id),
        order_id: "1",
        currency_pair: "BTC_USDT",
        side: "buy",
        role: "maker",
        price: "1",
        amount: "1",
        create_time_ms: String(time)
      })
      const { calls } = yield* callsOf(spot, () => ({
        body: [trade(1, whole - 1_000), trade(2, whole), trade(3, whole + 499), trade(4, whole + 500)]
      }))
      const fills = yield* calls.fills({ symbol: null, since: whole + 500 })
      assert.deepStrictEqual(fills.map(({ tradeId }) => tradeId), ["2", "4"])
    }))

  it.effect("rows that cannot be read are told and hide no other, when asked so", () =>
    Effect.gen(function*() {
      const odd: Array<string> = []
      const onUnreadable = ({ message }: ExchangeError) => void odd.push(message)
      const trade = { id: "1", order_id: "1", currency_pair: "BTC_USDT", side: "buy", role: "maker", amount: "1" }
      const { calls } = yield* callsOf(spot, () => ({
        body: [{ ...trade, price: "some" }, { ...trade, price: "1", create_time_ms: String(now) }]
      }))
      assert.lengthOf(yield* calls.fills({ symbol: null, since: null, onUnreadable }), 1)
      assert.lengthOf(odd, 1)
      assert.strictEqual((yield* Effect.flip(calls.fills({ symbol: null, since: null }))).reason._tag, "DecodeFailed")
      const futuresCalls = yield* callsOf(futures, ({ url }) => ({
        body: url.includes("price_orders") ? [waiting({ status: "sleeping" }), waiting()] : [{ id: 1, status: "odd" }]
      }))
      const open = yield* futuresCalls.calls.openOrders("BTC_USDT", onUnreadable)
      assert.deepStrictEqual(open.map(({ orderId }) => orderId), ["9256"])
      assert.lengthOf(odd, 3)
    }))

  it.effect("fills of several pairs whose ids are the same, and both sides of a trade with oneself, are all there", () =>
    Effect.gen(function*() {
      const trade = (currency_pair: string, side: string) => ({
        id: "7",
        order_id: side === "buy" ? "1" : "2",
        currency_pair,
        side,
        role: "maker",
        price: "1",
        amount: "1",
        create_time_ms: `${now - 5}.123`
      })
      const { calls } = yield* callsOf(spot, () => ({
        body: [trade("BTC_USDT", "buy"), trade("BTC_USDT", "sell"), trade("ETH_USDT", "buy"), trade("BTC_USDT", "buy")]
      }))
      const fills = yield* calls.fills({ symbol: null, since: now - 10 })
      assert.deepStrictEqual(fills.map(({ side, symbol }) => `${side} ${symbol}`), [
        "buy BTC_USDT",
        "sell BTC_USDT",
        "buy ETH_USDT"
      ])
    }))

  it.effect("fills of longer than a month are asked for in ranges, on futures by time", () =>
    Effect.gen(function*() {
      const { calls, requests } = yield* callsOf(futures, () => ({ body: [] }))
      assert.deepStrictEqual(yield* calls.fills({ symbol: null, since: now - 60 * 86_400_000 }), [])
      assert.strictEqual(requests.length, 3)
      for (const { url } of requests) {
        assert.match(url, /^\/api\/v4\/futures\/usdt\/my_trades_timerange\?from=\d+&to=\d+&offset=0/)
      }
      yield* calls.fills({ symbol: "A_B", since: null })
      assert.strictEqual(requests.at(-1)!.url, "/api/v4/futures/usdt/my_trades?contract=A_B&offset=0&limit=1000")
    }))

  it.effect("reads whether the account is in hedge mode, by the word of now or the flag of old", () =>
    Effect.gen(function*() {
      const modeOf = (fields: object) =>
        Effect.flatMap(
          callsOf(futures, () => ({ body: { user: 1, currency: "USDT", total: "0", available: "0", ...fields } })),
          ({ calls }) => calls.positionMode!
        )
      assert.strictEqual(yield* modeOf({ in_dual_mode: false }), "oneWay")
      assert.strictEqual(yield* modeOf({ in_dual_mode: true }), "hedge")
      assert.strictEqual(yield* modeOf({ position_mode: "single", in_dual_mode: false }), "oneWay")
      for (const mode of ["dual", "dual_plus"]) {
        assert.strictEqual(yield* modeOf({ position_mode: mode, in_dual_mode: false }), "hedge")
      }
      assert.strictEqual((yield* Effect.flip(modeOf({}))).reason._tag, "DecodeFailed")
      const unfunded = yield* callsOf(futures, () => ({ status: 400, body: { label: "USER_NOT_FOUND", message: "" } }))
      assert.strictEqual(yield* unfunded.calls.positionMode!, "oneWay")
      assert.isUndefined((yield* callsOf(spot, () => ({ body: [] }))).calls.positionMode)
    }))

  it.effect("reads funding from the account book, page by page, and a row that a new one has moved once", () =>
    Effect.gen(function*() {
      const row = (change: string, fields: object = {}) => ({
        time: now / 1000 - 5,
        change,
        balance: `${change}1`,
        type: "fund",
        contract: "A_B",
        text: "A_B",
        ...fields
      })
      const first = Array.from({ length: 100 }, (_, index) => row(`-${index}.5`))
      const rest = [first.at(-1), row("1.5", { contract: undefined }), row("9", { time: now / 1000 - 70 })]
      const { calls, requests } = yield* callsOf(
        futures,
        ({ url }) => ({ body: url.includes("offset=0") ? first : rest })
      )
      const payments = yield* calls.funding!(60_000)
      assert.deepStrictEqual(
        requests.map(({ url }) => url),
        [0, 100].map((offset) =>
          `/api/v4/futures/usdt/account_book?type=fund&from=${
            Math.floor((now - 60_000) / 1000)
          }&limit=100&offset=${offset}`
        )
      )
      assert.strictEqual(payments.length, 101)
      const { amount, asset, exchangeTime, symbol } = payments.at(-1)!
      assert.deepStrictEqual([Decimal.toText(amount), asset, exchangeTime, symbol], ["1.5", "USDT", now - 5_000, "A_B"])
      assert.isUndefined((yield* callsOf(spot, () => ({ body: [] }))).calls.funding)
      const broken = yield* callsOf(futures, () => ({ body: [row("1", { time: undefined })] }))
      assert.strictEqual((yield* Effect.flip(broken.calls.funding!(60_000))).reason._tag, "DecodeFailed")
    }))

  it.effect("reads the user's id where it stands", () =>
    Effect.gen(function*() {
      const detail = yield* callsOf(spot, () => ({ body: "{\"user_id\":1001}" }))
      assert.strictEqual(yield* detail.calls.userId, "1001")
      const account = yield* callsOf(futures, () => ({ body: "{\"user\":1002}" }))
      assert.strictEqual(yield* account.calls.userId, "1002")
      const unfunded = yield* callsOf(futures, ({ url }): Response =>
        url.includes("futures")
          ? { status: 400, body: { label: "USER_NOT_FOUND", message: "please transfer funds first" } }
          : { body: { user_id: 1003 } })
      assert.strictEqual(yield* unfunded.calls.userId, "1003")
      assert.deepStrictEqual(yield* unfunded.calls.balances, [])
      assert.strictEqual(
        (yield* Effect.flip((yield* callsOf(spot, () => ({ body: "{}" }))).calls.userId)).reason._tag,
        "DecodeFailed"
      )
    }))

  it.effect("balances of which there is nothing and positions that are flat are left out", () =>
    Effect.gen(function*() {
      const rows = [
        { currency: "BTC", available: "0.1", locked: "0.2" },
        { currency: "ETH", available: "0", locked: "0" }
      ]
      const { calls } = yield* callsOf(spot, () => ({ body: rows }))
      const balances = yield* calls.balances
      assert.deepStrictEqual(balances.map(({ asset, total }) => [asset, Decimal.toText(total!)]), [["BTC", "0.3"]])
      assert.deepStrictEqual(yield* calls.positions, [])
      const swap = yield* callsOf(
        futures,
        () => ({ body: [{ contract: "A_B", size: 0 }, { contract: "C_D", size: 1 }] })
      )
      assert.deepStrictEqual((yield* swap.calls.positions).map(({ symbol }) => symbol), ["C_D"])
    }))

  it.effect("tells no secret, whatever the answer repeats", () =>
    Effect.gen(function*() {
      const { calls } = yield* callsOf(spot, ({ headers }) => ({
        status: 401,
        body: { label: "INVALID_SIGNATURE", message: `got ${headers["sign"]} of ${headers["key"]}` }
      }))
      const error = yield* Effect.flip(calls.balances)
      assert.deepInclude(error.reason, { _tag: "RequestFailed", class: "auth", code: "INVALID_SIGNATURE" })
      assert.notInclude(JSON.stringify(error), apiKey)
      assert.notMatch(JSON.stringify(error), /[0-9a-f]{64}/)
    }))

  it.effect("an order that is not there is nothing; lists that are none are not read", () =>
    Effect.gen(function*() {
      const missing = yield* callsOf(futures, () => ({ status: 404, body: { label: "ORDER_NOT_FOUND", message: "x" } }))
      const ref = { symbol: "A_B", clientOrderId: "a", trigger: false }
      assert.deepStrictEqual(yield* missing.calls.run({ _tag: "Get", ref }), { _tag: "Nothing" })
      const refused = yield* Effect.flip(missing.calls.run({ _tag: "Cancel", ref }))
      assert.deepInclude(refused.reason, { code: "ORDER_NOT_FOUND", class: "item", status: 404 })
      const odd = yield* callsOf(spot, () => ({ body: "{}" }))
      const calls: ReadonlyArray<Effect.Effect<unknown, ExchangeError>> = [
        odd.calls.openOrders("A_B"),
        odd.calls.openOrders(null),
        odd.calls.balances
      ]
      for (const call of calls) assert.strictEqual((yield* Effect.flip(call)).reason._tag, "DecodeFailed")
    }))
})

const waiting = (fields: object = {}, initial: object = {}) => ({
  initial: { contract: "BTC_USDT", size: "-3", price: "100.5", tif: "gtc", text: "t-id-1", ...initial },
  trigger: { strategy_type: 0, price_type: 1, price: "99", rule: 2 },
  id: 9256,
  status: "open",
  create_time: 1_746_000_000.25,
  trade_id: 0,
  ...fields
})

describe("orders that wait for their price", () => {
  const stop: OrderRequest = { ...swapLimit, trigger: { kind: "stop", price: "99", by: "mark" } }
  const order = () => prepared(futures, stop)
  const client = { symbol: "BTC_USDT", clientOrderId: "id-1", trigger: true }

  it.effect("go over REST alone, and are told of as they wait", () =>
    Effect.gen(function*() {
      const { excepts, request } = futures.account.orders.socket!
      const place: Command = { _tag: "Place", order: order() }
      assert.isTrue(excepts!(place))
      assert.isTrue(excepts!({ _tag: "Cancel", ref: client }))
      assert.isFalse(excepts!({ _tag: "Place", order: prepared(futures, swapLimit) }))
      assert.throws(() => request(place, stamps()))
      const { calls, requests } = yield* callsOf(futures, () => ({ status: 201, body: { id: 9256 } }))
      const reply = yield* calls.run(place)
      assert(reply._tag === "Order")
      assert.deepInclude(reply.order, { orderId: "9256", clientOrderId: "id-1", type: "stop", status: "new" })
      assert.strictEqual(requests[0]!.url, "/api/v4/futures/usdt/price_orders")
      assert.deepStrictEqual(JSON.parse(requests[0]!.body), {
        initial: { contract: "BTC_USDT", size: -3, price: "100.5", tif: "gtc", text: "t-id-1" },
        trigger: { strategy_type: 0, price_type: 1, price: "99", rule: 2 }
      })
    }))

  it("a stop follows the price and a take-profit meets it", () => {
    const rules = (["buy", "sell"] as const).flatMap((side) =>
      (["stop", "takeProfit"] as const).map((kind) => {
        const placed = prepared(futures, { ...stop, side, trigger: { kind, price: "99" } })
        assert(placed.trigger !== null)
        const body = GateTriggers.body({ ...placed, trigger: placed.trigger }, { size: "0.5" })
        const { initial, trigger } = body as { readonly initial: unknown; readonly trigger: { readonly rule: number } }
        assert.deepStrictEqual(initial, { amount: "0.5" })
        return [side, kind, trigger.rule]
      })
    )
    assert.deepStrictEqual(rules, [["buy", "stop", 1], ["buy", "takeProfit", 2], ["sell", "stop", 2], [
      "sell",
      "takeProfit",
      1
    ]])
  })

  it("wait for gtc and ioc only, and not on spot", () => {
    const refused = (subject: Subject, request: OrderRequest) => {
      const symbol = request.pair.split(":")[0]!.replace("/", "_")
      const result = OrderPreparation.prepare(instrumentOf(subject.kind)(symbol), request, "a", subject.account.orders)
      return Result.isFailure(result) ? result.failure._tag : null
    }
    assert.strictEqual(refused(futures, { ...stop, timeInForce: "fok" }), "UnsupportedOrder")
    assert.isNull(refused(futures, { ...stop, timeInForce: "ioc" }))
    assert.strictEqual(refused(spot, { ...spotLimit, trigger: { kind: "stop", price: 1 } }), "UnsupportedOrder")
  })

  it.effect("are looked up and cancelled by our id through their lists", () =>
    Effect.gen(function*() {
      const { calls, requests } = yield* callsOf(futures, ({ method, url }) => {
        if (url.includes("status=open")) return { body: [waiting({ id: 1 }, { text: "t-other" })] }
        if (url.includes("status=finished")) return { body: [waiting({ status: "finished", finish_as: "cancelled" })] }
        return method === "DELETE"
          ? { body: waiting({ status: "finished", finish_as: "cancelled" }) }
          : { body: waiting() }
      })
      const found = yield* calls.run({ _tag: "Get", ref: client })
      assert(found._tag === "Order")
      assert.deepInclude(found.order, { orderId: "9256", status: "canceled", finishedAs: "cancelled", side: "sell" })
      const cancelled = yield* calls.run({ _tag: "Cancel", ref: client })
      assert(cancelled._tag === "Order")
      assert.deepInclude(cancelled.order, { status: "canceled", type: "stop" })
      assert.strictEqual(requests.at(-1)!.url, "/api/v4/futures/usdt/price_orders/9256")
      const byId = yield* calls.run({ _tag: "Get", ref: { symbol: "BTC_USDT", orderId: "9256", trigger: true } })
      assert(byId._tag === "Order")
      assert.deepInclude(byId.order, { status: "new", createdAt: 1_746_000_000_250 })
      const none = yield* calls.run({ _tag: "Get", ref: { ...client, clientOrderId: "none" } })
      assert.strictEqual(none._tag, "Nothing")
    }))

  it.effect("are looked for page by page among those that have ended, no further than where ours is, and not for ever", () =>
    Effect.gen(function*() {
      const ended = (id: number, text: string) => waiting({ id, status: "finished", finish_as: "cancelled" }, { text })
      const full = (from: number) => Array.from({ length: 100 }, (_, index) => ended(from + index, "t-other"))
      const { calls, requests } = yield* callsOf(futures, ({ url }) => {
        const offset = Number(/offset=(\d+)/.exec(url)?.[1] ?? 0)
        if (url.includes("status=open")) return { body: [] }
        return { body: offset === 200 ? [ended(9_999, "t-mine"), ...full(offset).slice(1)] : full(offset) }
      })
      const ref = { symbol: "BTC_USDT", clientOrderId: "mine", trigger: true }
      const turns: Array<number> = []
      const found = yield* Effect.provideService(
        calls.run({ _tag: "Get", ref }),
        NextPage,
        Effect.sync(() => void turns.push(requests.length))
      )
      assert(found._tag === "Order")
      assert.strictEqual(found.order.orderId, "9999")
      assert.lengthOf(requests, 4)
      assert.deepStrictEqual(turns, [1, 2, 3])
      const error = yield* Effect.flip(calls.run({ _tag: "Get", ref: { ...ref, clientOrderId: "nobody" } }))
      assert(error.reason._tag === "InvalidUse")
      assert.include(error.message, "nobody is not among the last 5000 orders of BTC_USDT that waited for a price")
    }))

  it.effect("are found where an order is not among those that were placed, and cancelled with all", () =>
    Effect.gen(function*() {
      const { calls, requests } = yield* callsOf(futures, ({ method, url }): Response => {
        if (!url.includes("price_orders")) {
          return method === "DELETE" ? { body: [] } : { status: 404, body: { label: "ORDER_NOT_FOUND" } }
        }
        return { body: url.includes("?") ? [waiting({ status: "finished", finish_as: "cancelled" })] : waiting() }
      })
      const found = yield* calls.run({ _tag: "Get", ref: { symbol: "BTC_USDT", orderId: "9256" } })
      assert.strictEqual(found._tag, "Order")
      const all = yield* calls.run({ _tag: "CancelAll", symbol: "BTC_USDT" })
      assert(all._tag === "Orders")
      assert.deepStrictEqual(all.orders.map(({ orderId }) => orderId), ["9256"])
      assert.strictEqual(requests.at(-1)!.url, "/api/v4/futures/usdt/price_orders?contract=BTC_USDT")
    }))

  it("are pushed as they come and go; what they become is an order of its own", () => {
    const push = (row: object) =>
      pushed(
        futures,
        JSON.stringify({ time: seconds, channel: "futures.autoorders", event: "update", result: [row] })
      )[0]!
    const [open, fired, gone] = [
      push(waiting()),
      push(waiting({ status: "finished", finish_as: "succeeded", trade_id: 77 })),
      push(waiting({ status: "finished", finish_as: "expired" }))
    ]
    assert(open.call === "event" && open.event._tag === "OrderUpdate")
    assert.deepInclude(open.event, { type: "stop", status: "new", reduceOnly: null })
    assert.strictEqual(fired.call, "ignored")
    assert(gone.call === "event" && gone.event._tag === "OrderUpdate")
    assert.deepInclude(gone.event, { status: "canceled", finishedAs: "expired" })
    const closing = push(waiting({ order_type: "close-short-position" }, { size: 0 }))
    assert(closing.call === "event" && closing.event._tag === "OrderUpdate")
    assert.strictEqual(closing.event.side, "buy")
    for (const odd of [waiting({ status: "asleep" }), waiting({}, { size: 0 }), waiting({ trigger: null })]) {
      assert.strictEqual(push(odd).call, "failed")
    }
  })
})

describe("limits", () => {
  const spent = ({ account }: Subject, command: Command) =>
    account.orders.uses(command).map(({ budget, limit, tokens }) => [budget, tokens, limit])

  it("every order of a batch counts; futures cancel from the same budget", () => {
    const ref = { symbol: "A_B", orderId: "1" }
    const spotOrders = [prepared(spot, spotLimit), prepared(spot, spotLimit)]
    assert.deepStrictEqual(spent(spot, { _tag: "PlaceAll", orders: spotOrders }), [["spot orders", 2, 10]])
    assert.deepStrictEqual(spent(spot, { _tag: "Cancel", ref }), [["spot cancels", 1, 200]])
    assert.deepStrictEqual(spent(futures, { _tag: "Cancel", ref }), [["futures orders", 1, 100]])
    assert.deepStrictEqual(spent(futures, { _tag: "Place", order: prepared(futures, swapLimit) }), [
      ["futures orders", 1, 100]
    ])
    assert.deepStrictEqual(spent(spot, { _tag: "Get", ref }), [["spot Get", 1, 200]])
    assert.deepStrictEqual(spot.account.uses!("fills").map(({ budget }) => budget), ["spot my_trades"])
    assert.deepStrictEqual(futures.account.uses!("funding").map(({ budget }) => budget), ["futures account book"])
    assert.deepStrictEqual(spot.account.uses!("userId").map(({ limit }) => limit), [150])
    assert.deepStrictEqual(spot.account.uses!("listenKey"), [])
  })
})

const digits = Arbitrary.schema(
  Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: -1e15, maximum: 1e15 })))
)

describe("numbers", () => {
  it("stay exact: one of more than 15 digits is text", () => {
    assert.deepStrictEqual(
      ExactJson.parse(
        "{\"a\":58828270139457759,\"b\": -1.234567890123456789e-7 ,\"c\":1.5,\"d\":7,\"f\":\"x\",\"g\":null}"
      ),
      { a: "58828270139457759", b: "-1.234567890123456789e-7", c: 1.5, d: 7, f: "x", g: null }
    )
    const inText = { text: "BTC_USDT:36028797827300021", json: "{\"id\":36028797827300021}", list: [] }
    const withList = JSON.stringify(inText).replace("[]", "[36028797827300021,1.10]")
    assert.deepStrictEqual(ExactJson.parse(withList), { ...inText, list: ["36028797827300021", "1.10"] })
    const short = "{\"a\":\"43.06583427604872431142\",\"b\":1.10,\"c\":-1.25e-9,\"d\":123456789012345}"
    const row = new GateRow.Row(ExactJson.parse(short))
    assert.deepStrictEqual(["a", "b", "c", "d"].map((name) => Decimal.toText(row.decimal(name))), [
      "43.06583427604872431142",
      "1.1",
      "-0.00000000125",
      "123456789012345"
    ])
  })

  it.prop(
    "of any number of digits are read as they are written",
    [digits, Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 20 }))))],
    ([whole, scale]) => {
      const negative = whole < 0
      const padded = `${Math.abs(whole)}${Math.abs(whole % 999_999)}`.padStart(scale + 1, "0")
      const point = padded.length - scale
      const text = `${negative ? "-" : ""}${padded.slice(0, point)}${scale === 0 ? "" : `.${padded.slice(point)}`}`
      const row = new GateRow.Row(ExactJson.parse(`{"a":[${text}],"b":${text},"c":1}`))
      assert.strictEqual(Decimal.toText(row.decimal("b")), Decimal.toText(Decimal.of(text)))
    }
  )

  it("times are ms, of seconds too, fractions cut off", () => {
    const row = new GateRow.Row({ a: "1681195121.754", b: 1_746_000_000_123, c: "1691692159330.475", d: 0, e: "x" })
    assert.deepStrictEqual(["a", "b", "c", "d", "e", "f"].map((name) => row.timeOr(name)), [
      1_681_195_121_754,
      1_746_000_000_123,
      1_691_692_159_330,
      null,
      null,
      null
    ])
    assert.strictEqual(row.timeOr("d", "b"), 1_746_000_000_123)
  })
})
