import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Logger, Redacted, Scope } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { TestClock } from "effect/testing"
import type { AccountCalls, Command, PreparedOrder, PrivateSink, Reply } from "../../src/AccountAdapter.ts"
import { NextPage } from "../../src/AccountAdapter.ts"
import * as Auth from "../../src/connection/Auth.ts"
import type { AccountEvent, Balance, Fill, Order, OrderUpdate } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { spot } from "../../src/domain/Instrument.ts"
import type { PrivateTag } from "../../src/domain/PrivateChannel.ts"
import type { Answer, Refusal } from "../../src/ExchangeAdapter.ts"
import type { AnswerClass } from "../../src/ExchangeError.ts"
import { ExchangeError, RequestFailed } from "../../src/ExchangeError.ts"
import { mexcSpotAccount } from "../../src/exchanges/mexc/MexcAccount.ts"
import type { Shared } from "./MexcFrames.ts"
import { canonical, encode, field, pairOfSymbol } from "./MexcFrames.ts"
import type { Raw } from "./SharedFixtures.ts"
import { bytesOf, fixture, hasShared, shared, withFixtures } from "./SharedFixtures.ts"

// ---- a sink, calls and what they ask --------------------------------------------------------------------------------

type Heard =
  | { readonly _tag: "event"; readonly channel: PrivateTag; readonly event: AccountEvent }
  | { readonly _tag: "acknowledged"; readonly answer: Answer }
  | { readonly _tag: "rejected"; readonly answer: Answer; readonly refusal: Refusal }
  | { readonly _tag: "pong" }
  | { readonly _tag: "closing" | "ignored" | "failed"; readonly detail: string }

const receivedAt = 1_790_000_000_000.25

const instrumentOf = (symbol: string) => {
  const pair = pairOfSymbol(symbol)
  return pair === null ? undefined : { ...btc, pair, symbol }
}

const btc = spot({
  exchange: "mexc-spot",
  symbol: "BTCUSDT",
  base: "BTC",
  quote: "USDT",
  priceStep: 0.01,
  quantityStep: 0.000001
})

const decode = (frame: Uint8Array | string): ReadonlyArray<Heard> => {
  const heard: Array<Heard> = []
  const sink: PrivateSink = {
    event: (channel, event) => void heard.push({ _tag: "event", channel, event }),
    acknowledged: (answer) => void heard.push({ _tag: "acknowledged", answer }),
    rejected: (answer, refusal) => void heard.push({ _tag: "rejected", answer, refusal }),
    pong: () => void heard.push({ _tag: "pong" }),
    closing: (detail) => void heard.push({ _tag: "closing", detail }),
    ignored: (detail) => void heard.push({ _tag: "ignored", detail }),
    failed: (detail) => void heard.push({ _tag: "failed", detail })
  }
  const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : frame
  mexcSpotAccount.stream.makeCodec(instrumentOf).decode(bytes, receivedAt, sink)
  assert.isNotEmpty(heard)
  return heard
}

const eventOf = (frame: Uint8Array | string): AccountEvent => {
  const [first, ...more] = decode(frame)
  assert.isEmpty(more)
  assert(first?._tag === "event", JSON.stringify(first))
  return first.event
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  readonly search: string
  readonly headers: Readonly<Record<string, string>>
}

const apiKey = "mx0the-api-key"
const secret = "the-secret"
const now = 1_790_000_000_000

type Reaction = { readonly status?: number; readonly body: unknown } | "no answer"

/** Calls over a client that answers with `react`. */
const callsOf = (react: (asked: Asked, count: number) => Reaction) =>
  Effect.gen(function*() {
    const asked: Array<Asked> = []
    const signer = yield* Auth.makeSigner(
      { account: "test", key: Redacted.make(apiKey), secret: Redacted.make(secret) },
      mexcSpotAccount.algorithm
    )
    const client = HttpClient.make((request, url) => {
      const search = url.search.slice(1)
      const one = {
        method: request.method,
        path: url.pathname,
        parameters: Object.fromEntries(url.searchParams),
        search,
        headers: request.headers as Record<string, string>
      }
      asked.push(one)
      const reaction = react(one, asked.length)
      if (reaction === "no answer") {
        const reason = new HttpClientError.TransportError({ request, description: "reset by peer" })
        return Effect.fail(new HttpClientError.HttpClientError({ reason }))
      }
      const { body, status = 200 } = reaction
      const text = typeof body === "string" ? body : JSON.stringify(body)
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(text, { status })))
    })
    const calls: AccountCalls = mexcSpotAccount.makeCalls({
      client,
      url: "http://mexc.test",
      signer,
      now: Effect.succeed(now + 0.75),
      instrumentOf
    })
    return { calls, asked }
  }).pipe(Effect.provide(Auth.layer))

const reasonOf = <A>(effect: Effect.Effect<A, ExchangeError>) => Effect.map(Effect.flip(effect), ({ reason }) => reason)

const limitOrder: PreparedOrder = {
  instrument: btc,
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: "93000.01",
  quantity: "0.0000001",
  quoteQuantity: null,
  reduceOnly: false,
  trigger: null,
  clientOrderId: "bot-1"
}

const ref = { symbol: "BTCUSDT", clientOrderId: "bot-1" } as const

// ---- shared fixtures: pushes ----------------------------------------------------------------------------------------

const same = (found: Decimal.Decimal | null, wanted: unknown, name: string): void => {
  if (wanted === undefined) return
  assert.strictEqual(
    found === null ? null : Decimal.toText(found),
    wanted === null ? null : canonical(String(wanted)),
    name
  )
}

const statuses: Readonly<Record<string, Order["status"]>> = {
  open: "new",
  partially_filled: "partiallyFilled",
  filled: "filled",
  cancelled: "canceled",
  partially_cancelled: "partiallyCanceled"
}

/** Types on the wire by what they are here. */
const kinds: Readonly<Record<string, readonly [type: Order["type"], timeInForce: Order["timeInForce"]]>> = {
  limit: ["limit", "gtc"],
  post_only: ["limit", "postOnly"],
  ioc: ["limit", "ioc"],
  fok: ["limit", "fok"],
  market: ["market", null],
  stop: ["stop", null]
}

type Facts = Readonly<Record<string, unknown>>

const checkOrder = (order: OrderUpdate, facts: Facts, sentAt: unknown): void => {
  const market = order.type === "market"
  assert.deepInclude(order, {
    _tag: "OrderUpdate",
    symbol: (facts["symbol"] as { readonly raw: string }).raw,
    pair: pairOfSymbol(order.symbol),
    orderId: facts["id"],
    clientOrderId: facts["clientId"] ?? null,
    side: facts["side"],
    status: statuses[String(facts["status"])],
    createdAt: facts["createdMs"],
    updatedAt: sentAt,
    receivedAt,
    origin: "Stream"
  } as Partial<OrderUpdate>)
  assert.deepStrictEqual([order.type, order.timeInForce], [...kinds[String(facts["type"])]!])
  same(order.price, market ? null : facts["price"], "price")
  same(order.quantity, market && facts["size"] === "0" ? null : facts["size"], "quantity")
  if (market && facts["size"] === "0") same(order.quoteQuantity, facts["amount"], "quoteQuantity")
  else assert.isNull(order.quoteQuantity)
  same(order.filledQuantity, facts["filled"], "filledQuantity")
  same(order.filledQuote, facts["filledQuote"], "filledQuote")
  same(order.averagePrice, facts["avgPrice"], "averagePrice")
  same(order.triggerPrice, facts["triggerPrice"], "triggerPrice")
}

const checkFill = (fill: Fill, facts: Facts): void => {
  assert.deepInclude(fill, {
    symbol: (facts["symbol"] as { readonly raw: string }).raw,
    tradeId: facts["id"],
    orderId: facts["orderId"],
    side: facts["side"],
    liquidity: facts["role"],
    feeAsset: facts["feeCurrency"],
    exchangeTime: facts["tsMs"]
  } as Partial<Fill>)
  same(fill.price, facts["price"], "price")
  same(fill.quantity, facts["size"], "quantity")
  same(fill.fee, facts["fee"], "fee")
}

const checkBalance = (balance: Balance, facts: Facts): void => {
  assert.deepInclude(
    balance,
    { asset: facts["currency"], cause: facts["reason"], exchangeTime: facts["tsMs"] } as Partial<
      Balance
    >
  )
  same(balance.available, facts["available"], "available")
  same(balance.locked, facts["locked"], "locked")
  same(balance.change, facts["availableChange"], "change")
}

const checkPush = ({ expect, raw }: Shared): void => {
  const frame = bytesOf(raw as Raw)
  if (expect["oneOf"] !== undefined) {
    // A state that is not documented.
    assert.deepStrictEqual(decode(frame).map(({ _tag }) => _tag), ["failed"])
    return
  }
  const event = eventOf(frame)
  const [facts] = (expect["orders"] ?? expect["trades"] ?? expect["balances"]) as ReadonlyArray<Facts>
  if (event._tag === "OrderUpdate") checkOrder(event, facts!, expect["sendMs"])
  else if (event._tag === "Fill") checkFill(event, facts!)
  else if (event._tag === "Balance") checkBalance(event, facts!)
  else assert.fail(event._tag)
}

describe("MEXC account, shared fixtures", () => {
  withFixtures("are there", () => assert.isTrue(hasShared))

  for (const name of ["private.account", "private.deals", "private.orders"]) {
    for (const one of shared<Shared>(`mexc-spot.${name}.jsonl`)) it(one.id, () => checkPush(one))
  }

  for (const one of shared<Shared>("mexc-spot.control.jsonl").filter(({ expect }) => expect["kind"] === "subscribe")) {
    it.effect(one.id, () =>
      Effect.gen(function*() {
        const { params } = one.expect as { readonly params: ReadonlyArray<string> }
        const { subscribe, topics } = mexcSpotAccount.stream
        const wanted = topics("Orders", "")
        const [request] = yield* subscribe(wanted, { nowMillis: now, nextId: () => 7 }, {} as Auth.Signer)
        assert.deepStrictEqual(JSON.parse(String(request!.frame)), { ...JSON.parse(one.raw as string), params, id: 7 })
      }))
  }

  for (const one of shared<Shared>("mexc-spot.rest.jsonl")) {
    const check = restKinds[String(one.expect["kind"])]
    if (check !== undefined) it.effect(one.id, () => check(one))
  }
})

// ---- shared fixtures: REST ------------------------------------------------------------------------------------------

const answering = (body: unknown, status = 200) => callsOf(() => ({ status, body }))

const restKinds: Readonly<Record<string, (fixture: Shared) => Effect.Effect<void, unknown>>> = {
  order_ack: ({ expect, raw }) =>
    Effect.gen(function*() {
      const { calls } = yield* answering(raw)
      const reply = yield* calls.run({ _tag: "Place", order: limitOrder })
      assert(reply._tag === "Order")
      assert.deepInclude(
        reply.order,
        { orderId: expect["id"], createdAt: expect["tsMs"], status: "new" } as Partial<Order>
      )
    }),
  user_trades: ({ expect, raw }) =>
    Effect.gen(function*() {
      const { calls } = yield* answering(raw)
      const fills = yield* calls.fills({ symbol: "BNBBTC", since: null })
      const trades = expect["trades"] as ReadonlyArray<Facts>
      assert.strictEqual(fills.length, trades.length)
      for (const [index, fill] of fills.entries()) checkFill(fill, trades[index]!)
    }),
  listen_key: ({ expect, raw }) =>
    Effect.gen(function*() {
      const { calls } = yield* answering(raw)
      assert.strictEqual(yield* calls.listenKeys!.make, expect["listenKey"])
    })
}

// ---- frames ---------------------------------------------------------------------------------------------------------

const orderFrame = (fields: Readonly<Record<string, unknown>>) =>
  encode({
    channel: "spot@private.orders.v3.api.pb",
    symbol: "MXUSDT",
    sendTime: 1_736_417_034_281,
    privateOrders: { id: "C02__1", price: "2.5", quantity: "4", orderType: 1, tradeType: 1, status: 1, ...fields }
  })

describe("MEXC account, frames", () => {
  it("reads the frame that the reference computed", () => {
    const order = eventOf(Uint8Array.from(Buffer.from(
      "0a1d73706f7440707269766174652e6f72646572732e76332e6170692e70621a064d585553445430a98095d4c4328213540a1a4330325f5f3530353937393031373433393030323632343131351a06332e353132312201312a01303206332e36393632380540025201305a01306201316a01317206332e3639363278028001938095d4c432",
      "hex"
    )))
    assert(order._tag === "OrderUpdate")
    assert.deepInclude(order, { orderId: "C02__505979017439002624115", type: "market", side: "sell", status: "filled" })
    // What a market order names as its price is not what was paid.
    assert.isNull(order.price)
    same(order.averagePrice, "3.6962", "averagePrice")
  })

  const states: ReadonlyArray<readonly [status: number, filled: string, expected: Order["status"]]> = [
    [0, "0", "new"],
    [1, "0", "new"],
    [2, "4", "filled"],
    [3, "1", "partiallyFilled"],
    [4, "0", "canceled"],
    [4, "1", "partiallyCanceled"],
    [5, "1", "partiallyCanceled"]
  ]
  for (const [status, cumulativeQuantity, expected] of states) {
    it(`state ${status} with ${cumulativeQuantity} filled is ${expected}`, () => {
      const order = eventOf(orderFrame({ status, cumulativeQuantity }))
      assert(order._tag === "OrderUpdate")
      assert.strictEqual(order.status, expected)
    })
  }

  it("a state or a side that is not documented is refused, with its channel", () => {
    for (const fields of [{ status: 6 }, { status: -1 }, { tradeType: 0 }, { tradeType: 3 }, { id: "" }]) {
      const [heard] = decode(orderFrame(fields))
      assert(heard?._tag === "failed")
      assert.include(heard.detail, "spot@private.orders.v3.api.pb: ")
    }
  })

  it("a type that is not documented is what its price makes it", () => {
    const limit = eventOf(orderFrame({ orderType: 77 }))
    const market = eventOf(orderFrame({ orderType: 77, price: "0" }))
    assert(limit._tag === "OrderUpdate" && market._tag === "OrderUpdate")
    assert.deepStrictEqual([limit.type, limit.timeInForce, market.type], ["limit", null, "market"])
  })

  it("amounts are exact, whatever their length", () => {
    const order = eventOf(orderFrame({ quantity: "123456789012345678.000000000000000001", cumulativeAmount: "1e-9" }))
    assert(order._tag === "OrderUpdate")
    same(order.quantity, "123456789012345678.000000000000000001", "quantity")
    same(order.filledQuote, "0.000000001", "filledQuote")
  })

  it("what is no number, no UTF-8, of another wire type or of no symbol is refused", () => {
    const bare = (body: Uint8Array) => Buffer.concat([field(1, "spot@private.deals.v3.api.pb"), field(306, body)])
    const frames = [
      orderFrame({ price: "one" }),
      bare(field(1, Uint8Array.of(0xff, 0xfe))),
      bare(Uint8Array.of(0x08, 1)),
      Uint8Array.of(0x0a, 0x7f, 0x31),
      encode({ channel: "spot@private.deals.v3.api.pb", privateDeals: { price: "1", tradeType: 1 } }),
      encode({ channel: "spot@private.deals.v3.api.pb", symbol: "MXUSDT", privateOrders: { id: "1" } })
    ]
    for (const frame of frames) {
      assert.deepStrictEqual(decode(Uint8Array.from(frame)).map(({ _tag }) => _tag), ["failed"])
    }
  })

  it("other channels, empty frames and wrappers without a channel are ignored", () => {
    const frames = [
      encode({ channel: "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT", symbol: "BTCUSDT" }),
      encode({ sendTime: 5 }),
      new Uint8Array(0)
    ]
    for (const frame of frames) assert.deepStrictEqual(decode(frame).map(({ _tag }) => _tag), ["ignored"])
  })

  it("acknowledges, refuses and answers as on public connections", () => {
    const [ack] = decode(`{"id":3,"code":0,"msg":"spot@private.orders.v3.api.pb,spot@private.deals.v3.api.pb"}`)
    assert.deepStrictEqual(ack, {
      _tag: "acknowledged",
      answer: {
        action: "unknown",
        requestId: 3,
        topics: ["spot@private.orders.v3.api.pb", "spot@private.deals.v3.api.pb"]
      }
    })
    assert.deepStrictEqual(decode(`{"id":0,"code":0,"msg":"PONG"}`), [{ _tag: "pong" }])
    const [refused] = decode(
      "{\"id\":4,\"code\":0,\"msg\":\"Not Subscribed successfully! [spot@private.orders.v3.api.pb].  Reason： Blocked! \"}"
    )
    assert(refused?._tag === "rejected")
    assert.strictEqual(refused.refusal.detail, "Blocked!")
  })

  it("a listen key that is none asks for another connection, and with it another key", () => {
    assert.deepStrictEqual(decode("Invalid listen key"), [{ _tag: "closing", detail: "Invalid listen key" }])
  })

  it.effect("subscribes each channel on offer, and nothing asks for nothing", () =>
    Effect.gen(function*() {
      const { stream, channels } = mexcSpotAccount
      const wanted = [...channels].flatMap((channel) => stream.topics(channel, ""))
      assert.deepStrictEqual(wanted.map(({ key }) => key).toSorted(), [
        "spot@private.account.v3.api.pb",
        "spot@private.deals.v3.api.pb",
        "spot@private.orders.v3.api.pb"
      ])
      const stamp = { nowMillis: now, nextId: () => 9 }
      const [request] = yield* stream.unsubscribe(wanted, stamp, {} as Auth.Signer)
      assert.strictEqual(JSON.parse(String(request!.frame)).method, "UNSUBSCRIPTION")
      assert.deepStrictEqual(request!.topics, wanted)
      assert.isEmpty(yield* stream.subscribe([], stamp, {} as Auth.Signer))
      assert.strictEqual(stream.heartbeat.ping(stamp), `{"method":"PING"}`)
      assert.isEmpty(stream.topics("Positions", ""))
    }))
})

// ---- calls ----------------------------------------------------------------------------------------------------------

const placedBody = { symbol: "BTCUSDT", orderId: "C02__9", orderListId: -1, transactTime: 1_666_676_533_741 }

const orderBody = (fields: Facts = {}) => ({
  symbol: "BTCUSDT",
  orderId: "C02__9",
  orderListId: -1,
  clientOrderId: "bot-1",
  price: "93000.01",
  origQty: "0.5",
  executedQty: "0.25",
  cummulativeQuoteQty: "23250",
  status: "PARTIALLY_FILLED",
  timeInForce: null,
  type: "LIMIT",
  side: "BUY",
  stopPrice: null,
  time: 1_666_676_533_741,
  updateTime: 1_666_676_533_999,
  ...fields
})

const only = <A>(values: ReadonlyArray<A>): A => {
  assert.strictEqual(values.length, 1)
  return values[0]!
}

const orderIn = (reply: Reply): Order => {
  assert(reply._tag === "Order", reply._tag)
  return reply.order
}

describe("MEXC account, signed requests", () => {
  it.effect("sign the query that is sent, with the exchange's time and a short window, and carry the key", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering(placedBody)
      const order = orderIn(yield* calls.run({ _tag: "Place", order: limitOrder }))
      const { headers, method, path, search } = only(asked)
      const query = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.0000001&price=93000.01&newClientOrderId=bot-1"
        + `&recvWindow=2000&timestamp=${now}`
      const signer = yield* Auth.makeSigner(
        { account: "test", key: Redacted.make(apiKey), secret: Redacted.make(secret) },
        "hmacSha256"
      ).pipe(Effect.provide(Auth.layer))
      assert.deepStrictEqual([method, path], ["POST", "/api/v3/order"])
      assert.strictEqual(search, `${query}&signature=${yield* signer.sign(query)}`)
      assert.strictEqual(headers["x-mexc-apikey"], apiKey)
      assert.strictEqual(headers["content-type"], "application/json")
      assert.deepInclude(order, {
        orderId: "C02__9",
        clientOrderId: "bot-1",
        status: "new",
        type: "limit",
        side: "buy"
      })
    }))

  const types: ReadonlyArray<readonly [name: string, change: Partial<PreparedOrder>, sent: Facts]> = [
    ["post-only", { timeInForce: "postOnly" }, { type: "LIMIT_MAKER", price: "93000.01" }],
    ["ioc", { timeInForce: "ioc" }, { type: "IMMEDIATE_OR_CANCEL" }],
    ["fok", { timeInForce: "fok", side: "sell" }, { type: "FILL_OR_KILL", side: "SELL" }],
    ["market", { type: "market", timeInForce: "ioc", price: null }, { type: "MARKET", quantity: "0.0000001" }],
    [
      "a market order that is given in quote",
      { type: "market", timeInForce: "ioc", price: null, quantity: null, quoteQuantity: "25" },
      { type: "MARKET", quoteOrderQty: "25" }
    ]
  ]
  for (const [name, change, sent] of types) {
    it.effect(`sends ${name}`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* answering(placedBody)
        yield* calls.run({ _tag: "Place", order: { ...limitOrder, ...change } })
        const { parameters } = only(asked)
        assert.deepInclude(parameters, sent as Record<string, string>)
        assert.strictEqual("price" in parameters, change.price !== null)
        assert.strictEqual("quantity" in parameters, change.quantity !== null)
      }))
  }

  const missing: ReadonlyArray<readonly [name: string, command: Command]> = [
    ["fill-or-kill market orders", {
      _tag: "Place",
      order: { ...limitOrder, type: "market", price: null, timeInForce: "fok" }
    }],
    ["reduce-only orders", { _tag: "Place", order: { ...limitOrder, reduceOnly: true } }],
    ["trigger orders", { _tag: "Place", order: { ...limitOrder, trigger: { kind: "stop", price: "1", by: "last" } } }],
    ["trigger orders in a batch", {
      _tag: "PlaceAll",
      orders: [limitOrder, { ...limitOrder, trigger: { kind: "stop", price: "1", by: "last" } }]
    }],
    ["amending", { _tag: "Amend", ref, side: "buy", price: "1", quantity: null }],
    ["a dead man's switch", { _tag: "CancelAllAfter", afterMs: 5_000, symbol: null }],
    ["leverage", { _tag: "Leverage", symbol: "BTCUSDT" }],
    ["setting leverage", { _tag: "SetLeverage", symbol: "BTCUSDT", leverage: "2" }],
    ["margin modes", { _tag: "SetMarginMode", symbol: "BTCUSDT", mode: "cross" }],
    ["cancelling all pairs at once", { _tag: "CancelAll", symbol: null }]
  ]
  for (const [name, command] of missing) {
    it.effect(`has no ${name}: nothing is sent`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* answering({})
        assert.strictEqual((yield* reasonOf(calls.run(command)))._tag, "UnsupportedOrder")
        assert.isEmpty(asked)
      }))
  }

  it.effect("wants a pair for open orders and fills", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering([])
      assert.isTrue(mexcSpotAccount.needsPair)
      assert.strictEqual((yield* reasonOf(calls.openOrders(null)))._tag, "InvalidUse")
      assert.strictEqual((yield* reasonOf(calls.fills({ symbol: null, since: null })))._tag, "InvalidUse")
      assert.isEmpty(asked)
    }))

  it.effect("checks an order without placing it", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering({})
      yield* calls.test!(limitOrder)
      assert.strictEqual(only(asked).path, "/api/v3/order/test")
      const refusing = yield* answering({ code: 30002, msg: "too small" })
      const reason = yield* reasonOf(refusing.calls.test!(limitOrder))
      assert(reason._tag === "RequestFailed")
      assert.deepStrictEqual([reason.code, reason.class, reason.status], ["30002", "item", 200])
    }))

  it.effect("sends a batch as JSON, escaped, and reads each answer of it", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering([
        { symbol: "BTCUSDT", orderId: "1196315350023612316", newClientOrderId: "bot-1", orderListId: -1 },
        { newClientOrderId: "bot-2", msg: "The minimum transaction volume cannot be less than:5USDT", code: 30002 }
      ])
      const orders = [limitOrder, { ...limitOrder, clientOrderId: "bot-2" }]
      const reply = yield* calls.run({ _tag: "PlaceAll", orders })
      assert(reply._tag === "Placed")
      const [first, second] = reply.results
      assert.deepInclude(first, { orderId: "1196315350023612316", clientOrderId: "bot-1" })
      assert.deepStrictEqual(second, {
        code: "30002",
        detail: "The minimum transaction volume cannot be less than:5USDT",
        class: "item"
      })
      const { parameters, search } = only(asked)
      assert.include(search, "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C")
      assert.strictEqual(JSON.parse(parameters["batchOrders"]!).length, 2)
      assert.isTrue(mexcSpotAccount.orders.batchOfOneSymbol)
    }))

  it.effect("does not guess whose answers are missing from a batch", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering([placedBody])
      const reason = yield* reasonOf(calls.run({ _tag: "PlaceAll", orders: [limitOrder, limitOrder] }))
      assert.strictEqual(reason._tag, "DecodeFailed")
    }))
})

describe("MEXC account, answers", () => {
  it.effect("an order, by either id", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering(orderBody())
      const order = orderIn(yield* calls.run({ _tag: "Get", ref }))
      yield* calls.run({ _tag: "Get", ref: { symbol: "BTCUSDT", orderId: "C02__9" } })
      assert.deepInclude(asked[0]!.parameters, { origClientOrderId: "bot-1", recvWindow: "5000" })
      assert.deepInclude(asked[1]!.parameters, { orderId: "C02__9" })
      assert.deepInclude(order, {
        pair: "BTC/USDT",
        orderId: "C02__9",
        clientOrderId: "bot-1",
        status: "partiallyFilled",
        timeInForce: "gtc",
        createdAt: 1_666_676_533_741,
        updatedAt: 1_666_676_533_999
      })
      same(order.averagePrice, "93000", "averagePrice")
      same(order.filledQuote, "23250", "filledQuote")
    }))

  const words: ReadonlyArray<readonly [status: string, executedQty: string, expected: Order["status"]]> = [
    ["NEW", "0", "new"],
    ["PARTIALLY_FILLED", "0.25", "partiallyFilled"],
    ["FILLED", "0.5", "filled"],
    ["CANCELED", "0.00000000", "canceled"],
    ["CANCELED", "0.25", "partiallyCanceled"],
    ["PARTIALLY_CANCELED", "0.25", "partiallyCanceled"]
  ]
  for (const [status, executedQty, expected] of words) {
    it.effect(`${status} with ${executedQty} filled is ${expected}`, () =>
      Effect.gen(function*() {
        const { calls } = yield* answering(orderBody({ status, executedQty }))
        assert.strictEqual(orderIn(yield* calls.run({ _tag: "Get", ref })).status, expected)
      }))
  }

  const odd: ReadonlyArray<Facts> = [
    { status: "EXPIRED" },
    { status: null },
    { status: "toString" },
    { side: "LONG" },
    { executedQty: "some" }
  ]
  for (const fields of odd) {
    it.effect(`${JSON.stringify(fields)} is refused, alone and in a list`, () =>
      Effect.gen(function*() {
        const { calls } = yield* answering(orderBody(fields))
        assert.strictEqual((yield* reasonOf(calls.run({ _tag: "Get", ref })))._tag, "DecodeFailed")
        const list = yield* answering([orderBody(), orderBody(fields)])
        assert.strictEqual((yield* reasonOf(list.calls.openOrders("BTCUSDT")))._tag, "DecodeFailed")
      }))
  }

  const types: ReadonlyArray<readonly [type: string, price: string, expected: readonly [string, string | null]]> = [
    ["LIMIT", "1", ["limit", "gtc"]],
    ["MARKET", "0", ["market", null]],
    ["LIMIT_MAKER", "1", ["limit", "postOnly"]],
    ["IMMEDIATE_OR_CANCEL", "1", ["limit", "ioc"]],
    ["FILL_OR_KILL", "1", ["limit", "fok"]],
    ["STOP_LIMIT", "1", ["stop", null]],
    ["TAKE_PROFIT_MARKET", "0", ["takeProfit", null]],
    ["ICEBERG", "1", ["limit", null]],
    ["SOMETHING", "0", ["market", null]]
  ]
  for (const [type, price, expected] of types) {
    it.effect(`type ${type} is ${expected.join(" ")}`, () =>
      Effect.gen(function*() {
        const { calls } = yield* answering(orderBody({ type, price, origQuoteOrderQty: "7", origQty: "0.0" }))
        const order = orderIn(yield* calls.run({ _tag: "Get", ref }))
        assert.deepStrictEqual([order.type, order.timeInForce], [...expected])
        same(order.quoteQuantity, expected[0] === "market" ? "7" : null, "quoteQuantity")
      }))
  }

  it.effect("reads the documents' samples: numbers as ids, Qty, ids beyond 2^53, why it was cancelled", () =>
    Effect.gen(function*() {
      const sample = `{"symbol":"LTCBTC","orderId":9007199254740993,"clientOrderId":null,"price":"0.1","Qty":"1.0",`
        + `"executedQty":"0.0","cummulativeQuoteQty":"0.0","status":"CANCELED","type":"LIMIT","side":"BUY",`
        + `"cancelReason":"stp_cancel","time":1499827319559}`
      const { calls } = yield* answering(sample)
      const order = orderIn(yield* calls.run({ _tag: "Get", ref }))
      assert.deepInclude(order, {
        orderId: "9007199254740993",
        clientOrderId: null,
        finishedAs: "stp_cancel",
        updatedAt: 1_499_827_319_559
      })
      same(order.quantity, "1", "quantity")
    }))

  for (const code of ["-2011", "-2013", "22222", "30026"]) {
    it.effect(`${code}: there is no such order`, () =>
      Effect.gen(function*() {
        const { calls } = yield* answering({ code: Number(code), msg: "unknown order" }, 400)
        assert.deepStrictEqual(yield* calls.run({ _tag: "Get", ref }), { _tag: "Nothing" })
        const cancelled = yield* reasonOf(calls.run({ _tag: "Cancel", ref }))
        assert(cancelled._tag === "RequestFailed")
        assert.deepStrictEqual([cancelled.status, cancelled.class], [400, "item"])
      }))
  }

  it.effect("a cancelled order, where the answer says what became of it", () =>
    Effect.gen(function*() {
      const body = orderBody({ status: "PARTIALLY_CANCELED", clientOrderId: "cancelled-1", origClientOrderId: "bot-1" })
      const { asked, calls } = yield* answering(body)
      const order = orderIn(yield* calls.run({ _tag: "Cancel", ref }))
      assert.deepInclude(order, { status: "partiallyCanceled", clientOrderId: "bot-1" })
      assert.deepInclude(only(asked), { method: "DELETE", path: "/api/v3/order" })
    }))

  for (const said of [{ status: null, executedQty: null }, { status: "NEW", executedQty: "0" }]) {
    it.effect(`a cancelled order is looked at where the answer says ${JSON.stringify(said)}`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* callsOf(({ method }) => ({
          body: method === "DELETE" ? orderBody(said) : orderBody({ status: "PARTIALLY_CANCELED" })
        }))
        assert.strictEqual(orderIn(yield* calls.run({ _tag: "Cancel", ref })).status, "partiallyCanceled")
        assert.deepStrictEqual(asked.map(({ method }) => method), ["DELETE", "GET"])
      }))
  }

  it.effect("a cancelled order that still is open is no answer", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering(orderBody())
      assert.strictEqual((yield* reasonOf(calls.run({ _tag: "Cancel", ref })))._tag, "DecodeFailed")
    }))

  for (const [status, code] of [[400, -2013], [429, 429], [401, 10072]] as const) {
    it.effect(`a cancelled order whose look-up is refused with ${code} is no refusal of the cancel`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* callsOf(({ method }) =>
          method === "DELETE" ? { body: orderBody({ status: "NEW" }) } : { status, body: { code, msg: "no" } }
        )
        assert.strictEqual((yield* reasonOf(calls.run({ _tag: "Cancel", ref })))._tag, "DecodeFailed")
        assert.deepStrictEqual(asked.map(({ method }) => method), ["DELETE", "GET"])
      }))
  }

  it.effect("numbers are exact, however long, and however they are written", () =>
    Effect.gen(function*() {
      const body = JSON.stringify(orderBody()).replace(/"origQty":"[^"]*"/, `"origQty":12345678.123456789`)
        .replace(/"price":"[^"]*"/, `"price":0.12345678901234567`)
      const { calls } = yield* answering(body)
      const order = orderIn(yield* calls.run({ _tag: "Get", ref }))
      same(order.quantity, "12345678.123456789", "quantity")
      same(order.price, "0.12345678901234567", "price")
    }))

  it.effect("cancelled orders of a pair of which the answer does not say what became are named for a look-up", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering([
        orderBody({ status: "CANCELED" }),
        orderBody({ status: "NEW", orderId: "C02__2" }),
        orderBody({ status: null, executedQty: null, orderId: "C02__3" })
      ])
      const reply = yield* calls.run({ _tag: "CancelAll", symbol: "BTCUSDT" })
      assert(reply._tag === "Orders")
      assert.lengthOf(reply.orders, 1)
      assert.deepStrictEqual(reply.unsettled, [
        { symbol: "BTCUSDT", orderId: "C02__2" },
        { symbol: "BTCUSDT", orderId: "C02__3" }
      ])
      assert.lengthOf(asked, 1)
    }))

  it.effect("all cancelled orders of a pair", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering([orderBody({ status: "PARTIALLY_CANCELED" })])
      const reply = yield* calls.run({ _tag: "CancelAll", symbol: "BTCUSDT" })
      assert(reply._tag === "Orders")
      assert.strictEqual(only(reply.orders).status, "partiallyCanceled")
      assert.deepInclude(only(asked), { method: "DELETE", path: "/api/v3/openOrders" })
    }))

  it.effect("open orders, as a reading and as a command", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering([orderBody()])
      const reply = yield* calls.run({ _tag: "OpenOrders", symbol: "BTCUSDT" })
      assert(reply._tag === "Orders")
      assert.deepStrictEqual(reply.orders, yield* calls.openOrders("BTCUSDT"))
    }))

  it.effect("balances that are not nothing, and no positions", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering({
        balances: [
          { asset: "USDT", free: "10.000000000000000001", locked: "2" },
          { asset: "MX", available: "1", locked: "0" },
          { asset: "DUST", free: "0", locked: "0.00" }
        ]
      })
      const [usdt, mx, ...more] = yield* calls.balances
      assert.isEmpty(more)
      same(usdt!.total, "12.000000000000000001", "total")
      same(mx!.available, "1", "available")
      assert.deepInclude(usdt, { asset: "USDT", change: null, cause: null, origin: "Reconciled" })
      assert.isEmpty(yield* calls.positions)
    }))

  it.effect("the user's id", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering({ uid: "49910511" })
      assert.strictEqual(yield* calls.userId, "49910511")
    }))
})

// ---- fills ----------------------------------------------------------------------------------------------------------

const trade = (id: number, time: number) => ({
  symbol: "BTCUSDT",
  id: `t${id}`,
  orderId: "C02__9",
  clientOrderId: null,
  price: "93000",
  qty: "0.1",
  commission: "0.0001",
  commissionAsset: "BTC",
  time,
  isBuyer: false,
  isMaker: true
})

describe("MEXC account, fills since a moment", () => {
  const all = Array.from({ length: 250 }, (_, index) => trade(index, now - 250_000 + index * 1_000))

  for (const end of ["oldest", "newest"] as const) {
    it.effect(`come whole and in order, whether an answer holds the ${end} ones`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* callsOf(({ parameters }) => {
          const { endTime = "Infinity", startTime = "0" } = parameters
          const within = all.filter(({ time }) => time >= Number(startTime) && time <= Number(endTime))
          return { body: end === "oldest" ? within.slice(0, 100) : within.slice(-100).toReversed() }
        })
        const since = all[10]!.time
        const fills = yield* calls.fills({ symbol: "BTCUSDT", since })
        assert.deepStrictEqual(fills.map(({ tradeId }) => tradeId), all.slice(10).map(({ id }) => id))
        assert.isAtMost(asked.length, 6)
        assert.deepInclude(fills[0], { side: "sell", liquidity: "maker", feeAsset: "BTC", clientOrderId: null })
      }))
  }

  it.effect("lack none of those that share the millisecond where an answer ends, though the exchange counts finer", () =>
    Effect.gen(function*() {
      const fine = all.slice(0, -1).map((row, index) => ({ row, time: row.time + (index % 2 === 0 ? 0.2 : -999.6) }))
      const { calls } = yield* callsOf(({ parameters }) => {
        const { endTime = "Infinity", startTime = "0" } = parameters
        const within = fine.filter(({ time }) => time >= Number(startTime) && time <= Number(endTime))
        const told = within.slice(-100).toReversed()
        return { body: told.map(({ row, time }) => ({ ...row, time: Math.floor(time) })) }
      })
      const fills = yield* calls.fills({ symbol: "BTCUSDT", since: all[0]!.time })
      assert.strictEqual(fills.length, fine.length)
    }))

  it.effect("each page but the first is asked for when its caller lets it", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* callsOf(({ parameters: { endTime = "Infinity", startTime = "0" } }) => ({
        body: all.filter(({ time }) => time >= Number(startTime) && time <= Number(endTime)).slice(0, 100)
      }))
      const before: Array<number> = []
      yield* Effect.provideService(
        calls.fills({ symbol: "BTCUSDT", since: all[0]!.time }),
        NextPage,
        Effect.sync(() => void before.push(asked.length))
      )
      assert.isAbove(asked.length, 2)
      assert.deepStrictEqual(before, asked.slice(1).map((_, index) => index + 1))
    }))

  for (const end of ["oldest", "newest"] as const) {
    it.effect(`that are more of one moment than an answer holds are told in a warning, where it holds the ${end}`, () =>
      Effect.gen(function*() {
        const crowd = Array.from({ length: 130 }, (_, index) => trade(1_000 + index, now - 5_000))
        const rows = [...all.slice(0, 150), ...crowd, trade(2_000, now - 4_000)].toSorted((a, b) => a.time - b.time)
        const warned: Array<unknown> = []
        const { asked, calls } = yield* callsOf(({ parameters }) => {
          const { endTime = "Infinity", startTime = "0" } = parameters
          const within = rows.filter(({ time }) => time >= Number(startTime) && time <= Number(endTime))
          return { body: end === "oldest" ? within.slice(0, 100) : within.slice(-100).toReversed() }
        })
        const found = yield* calls.fills({ symbol: "BTCUSDT", since: all[0]!.time }).pipe(
          Effect.provide(Logger.layer([Logger.make(({ message }) => void warned.push(message))]))
        )
        const ids = new Set(found.map(({ tradeId }) => tradeId))
        for (const { id } of [...all.slice(0, 150), trade(2_000, 0)]) assert.isTrue(ids.has(id), id)
        assert.isAtLeast(crowd.filter(({ id }) => ids.has(id)).length, 99)
        assert.lengthOf(warned, 1)
        assert.include(String(warned[0]), `BTCUSDT: more than 100 fills within the millisecond ${now - 5_000}`)
        assert.isAtMost(asked.length, 9)
      }))
  }

  it.effect("end where the exchange does not answer what it was asked", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* callsOf(() => ({ body: all.slice(0, 100).map((row) => ({ ...row, time: now })) }))
      assert.strictEqual((yield* calls.fills({ symbol: "BTCUSDT", since: now - 1 })).length, 100)
      assert.isAtMost(asked.length, 6)
    }))

  it.effect("that cannot be read are told and do not hide the others, when asked so", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering([trade(1, now), { ...trade(2, now), price: "some" }, trade(3, now)])
      const odd: Array<string> = []
      const onUnreadable = ({ message }: ExchangeError) => void odd.push(message)
      const fills = yield* calls.fills({ symbol: "BTCUSDT", since: now - 1, onUnreadable })
      assert.deepStrictEqual(fills.map(({ tradeId }) => tradeId), ["t1", "t3"])
      assert.lengthOf(odd, 1)
      assert.include(odd[0], "price")
      assert.strictEqual((yield* reasonOf(calls.fills({ symbol: "BTCUSDT", since: now - 1 })))._tag, "DecodeFailed")
      const orders = yield* answering([orderBody({ status: "EXPIRED" }), orderBody()])
      assert.lengthOf(yield* orders.calls.openOrders("BTCUSDT", onUnreadable), 1)
      assert.include(odd[1], "EXPIRED")
    }))

  it.effect("are asked for a month back at most", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering([])
      yield* calls.fills({ symbol: "BTCUSDT", since: 0 })
      assert.isAbove(Number(only(asked).parameters["startTime"]), now - 30 * 86_400_000)
    }))
})

// ---- refusals -------------------------------------------------------------------------------------------------------

/** Codes of "General Info, Error Code" as orders meet them: their class, and whether the exchange has decided. */
const refusals: ReadonlyArray<readonly [code: number, status: number, kind: AnswerClass, decided: boolean]> = [
  ...[10072, 602, 700001, 700002, 700006, 700007, 401, 402, 406].map((code) => [code, 400, "auth", true] as const),
  ...[26, 70011, 30020, 60005, 10098, 730100].map((code) => [code, 400, "auth", true] as const),
  ...[700004, 700005, 700008, 700013, 33333, 44444, 730002].map((code) => [code, 400, "bug", true] as const),
  ...[700003, 10073].map((code) => [code, 400, "retryable", true] as const),
  ...[10007, 30014, 30021, -1121].map((code) => [code, 400, "item", true] as const),
  ...[30000, 30016, 604].map((code) => [code, 400, "unavailable", true] as const),
  ...[30001, 30018, 30019, 30041, 30002, 30003, 30032, 30027, 30028, 30029].map((code) =>
    [code, 400, "item", true] as const
  ),
  ...[30010, 30087, 30025, 10101, 30004, 30005, -2011].map((code) => [code, 400, "item", true] as const),
  [429, 429, "rateLimit", true],
  [510, 400, "rateLimit", true],
  ...[500, 503, 504, 20002, 730000].map((code) => [code, 400, "retryable", false] as const),
  [20002, 200, "retryable", false],
  [500, 500, "retryable", false],
  [30002, 502, "item", false]
]

describe("MEXC account, refusals of an order", () => {
  for (const [code, status, kind, decided] of refusals) {
    it.effect(`${code} under HTTP ${status} is ${kind}${decided ? "" : ", and nobody knows what was done"}`, () =>
      Effect.gen(function*() {
        const { calls } = yield* answering({ code, msg: "because", _extend: null }, status)
        const reason = yield* reasonOf(calls.run({ _tag: "Place", order: limitOrder }))
        assert(reason._tag === "RequestFailed")
        assert.deepStrictEqual([reason.code, reason.class], [String(code), kind])
        assert.strictEqual(reason.status !== null && reason.status < 500, decided)
      }))
  }

  it.effect("no answer, and one that cannot be read, leave it open", () =>
    Effect.gen(function*() {
      const lost = yield* callsOf(() => "no answer")
      const reason = yield* reasonOf(lost.calls.run({ _tag: "Place", order: limitOrder }))
      assert(reason._tag === "RequestFailed")
      assert.isNull(reason.status)
      const odd = yield* answering("<html>")
      assert.strictEqual((yield* reasonOf(odd.calls.run({ _tag: "Place", order: limitOrder })))._tag, "DecodeFailed")
    }))

  it.effect("the edge filter's page is a limit", () =>
    Effect.gen(function*() {
      const page = hasShared ? fixture("mexc-spot.rest.jsonl", "error-html") : "<!DOCTYPE html><html></html>"
      const { calls } = yield* answering(page, 403)
      const reason = yield* reasonOf(calls.run({ _tag: "Place", order: limitOrder }))
      assert(reason._tag === "RequestFailed")
      assert.strictEqual(reason.class, "rateLimit")
      assert.strictEqual(reason.retryAfterMs, 120_000)
    }))
})

describe("MEXC account, secrets", () => {
  const listenKey = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1"

  it.effect("no error repeats key, signature or listen key, even where the exchange does", () =>
    Effect.gen(function*() {
      const signatures: Array<string> = []
      for (const status of [200, 400, 404, 500] as const) {
        for (const form of ["json", "page", "lost"] as const) {
          const { calls } = yield* callsOf(({ headers, search }) => {
            signatures.push(search.slice(search.indexOf("signature=") + 10))
            const echo = `${headers["x-mexc-apikey"]} ${search}`
            if (form === "lost") return "no answer"
            return { status, body: form === "json" ? { code: 700002, msg: echo } : echo }
          })
          const keys = calls.listenKeys!
          for (const call of [calls.balances, calls.userId, keys.make, keys.renew(listenKey), keys.remove(listenKey)]) {
            const error = yield* Effect.flip(call as Effect.Effect<unknown, ExchangeError>)
            const text = `${error.message} ${JSON.stringify(error)} ${String(error)}`
            for (const hidden of [apiKey, secret, listenKey, ...signatures]) assert.notInclude(text, hidden)
          }
        }
      }
      assert.isTrue(signatures.every((signature) => /^[0-9a-f]{64}$/.test(signature)))
    }))

  it.effect("an answer that holds the key under another name is not repeated", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering({ key: listenKey })
      assert.notInclude((yield* Effect.flip(calls.listenKeys!.make)).message, listenKey)
    }))
})

// ---- listen keys ----------------------------------------------------------------------------------------------------

type KeyCall = "make" | "renew" | "remove"

/** Keys over calls that take no time of their own, as a test clock needs them. */
const connecting = (react: (call: KeyCall) => Effect.Effect<unknown, ExchangeError> = () => Effect.void) =>
  Effect.gen(function*() {
    const asked: Array<readonly [call: KeyCall, key: string]> = []
    const ask = (call: KeyCall, key: string) =>
      Effect.suspend(() => {
        asked.push([call, key])
        return Effect.as(react(call), "the+key/=")
      })
    const listenKeys: AccountCalls["listenKeys"] = {
      make: ask("make", ""),
      renew: (key) => Effect.asVoid(ask("renew", key)),
      remove: (key) => Effect.asVoid(ask("remove", key))
    }
    const scope = yield* Scope.make()
    const connect = mexcSpotAccount.stream.endpoint("wss://mexc.test/ws", { listenKeys } as AccountCalls)
    return { asked, scope, endpoint: yield* Scope.provide(connect, scope) }
  })

const failed = (status: number | null, kind: AnswerClass) =>
  Effect.fail(
    new ExchangeError({
      exchange: "mexc-spot",
      reason: new RequestFailed({ request: "PUT", status, code: "X", detail: "no", class: kind })
    })
  )

const names = (asked: ReadonlyArray<readonly [KeyCall, string]>) => asked.map(([call]) => call)

describe("MEXC account, listen keys", () => {
  it.effect("are made, renewed and deleted by signed calls", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* answering({ listenKey: "the+key/=" })
      const { make, remove, renew } = calls.listenKeys!
      yield* Effect.andThen(make, Effect.andThen(renew("the+key/="), remove("the+key/=")))
      assert.deepStrictEqual(asked.map(({ method, parameters, path }) => [method, path, parameters["listenKey"]]), [
        ["POST", "/api/v3/userDataStream", undefined],
        ["PUT", "/api/v3/userDataStream", "the+key/="],
        ["DELETE", "/api/v3/userDataStream", "the+key/="]
      ])
    }))

  it.effect("live as long as the connection, and stand in its URL", () =>
    Effect.gen(function*() {
      const { asked, endpoint, scope } = yield* connecting()
      assert.strictEqual(endpoint.url, "wss://mexc.test/ws?listenKey=the%2Bkey%2F%3D")
      assert.strictEqual(Duration.toHours(endpoint.rotateAfter!), 23)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(asked, [["make", ""], ["remove", "the+key/="]])
    }))

  it.effect("deleting may fail: the key ends by itself", () =>
    Effect.gen(function*() {
      const { scope } = yield* connecting((call) => call === "remove" ? failed(null, "retryable") : Effect.void)
      yield* Scope.close(scope, Exit.void)
    }))

  it.effect("are renewed every quarter of an hour, for as long as the connection lasts", () =>
    Effect.gen(function*() {
      const { asked, endpoint } = yield* connecting()
      const fiber = yield* Effect.forkChild(endpoint.lease!, { startImmediately: true })
      yield* TestClock.adjust("23 hours")
      assert.strictEqual(names(asked).filter((call) => call === "renew").length, 92)
      assert.isTrue(asked.slice(1).every(([, key]) => key === "the+key/="))
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("a renewal that fails is tried again; a key that is never renewed ends the connection before it ends", () =>
    Effect.gen(function*() {
      let failing = 3
      const { asked, endpoint } = yield* connecting((call) =>
        call === "renew" && failing-- > 0 ? failed(null, "retryable") : Effect.void
      )
      const fiber = yield* Effect.forkChild(Effect.exit(endpoint.lease!), { startImmediately: true })
      yield* TestClock.adjust("18 minutes")
      assert.deepStrictEqual(names(asked), ["make", "renew", "renew", "renew", "renew"])
      failing = 1_000
      // The key has been renewed at 18 minutes and ends at 78.
      yield* TestClock.adjust("58 minutes")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
    }))

  it.effect("a key that is refused ends the connection at once, with an error that allows another one", () =>
    Effect.gen(function*() {
      const { asked, endpoint } = yield* connecting((call) => call === "renew" ? failed(400, "auth") : Effect.void)
      const fiber = yield* Effect.forkChild(Effect.flip(endpoint.lease!), { startImmediately: true })
      yield* TestClock.adjust("15 minutes")
      const error = yield* Fiber.join(fiber)
      assert.isTrue(error.isTransient)
      assert.deepStrictEqual(names(asked), ["make", "renew"])
    }))

  it.effect("a key of the account that is refused is permanent", () =>
    Effect.gen(function*() {
      const { calls } = yield* answering({ code: 10072, msg: "invalid access key" }, 400)
      const error = yield* Effect.flip(Effect.scoped(mexcSpotAccount.stream.endpoint("wss://mexc.test/ws", calls)))
      assert.isFalse(error.isTransient)
    }))

  it.effect("calls that make none are refused", () =>
    Effect.gen(function*() {
      const endpoint = mexcSpotAccount.stream.endpoint("wss://mexc.test/ws", {} as AccountCalls)
      assert.strictEqual((yield* reasonOf(Effect.scoped(endpoint)))._tag, "InvalidUse")
    }))
})

// ---- rules and limits -----------------------------------------------------------------------------------------------

describe("MEXC account, rules and limits", () => {
  const { clientOrderIds, uses } = mexcSpotAccount.orders

  it("client order ids are up to 32 characters that need no escaping", () => {
    assert.isNull(clientOrderIds.problem("aZ09_-"))
    assert.isNull(clientOrderIds.problem("a".repeat(32)))
    for (const id of ["", "a".repeat(33), "a b", "ü", "a'b"]) assert.isNotNull(clientOrderIds.problem(id))
    const made = clientOrderIds.make("x".repeat(30) + "unique")
    assert.isNull(clientOrderIds.problem(made))
    assert.isTrue(made.endsWith("unique"))
  })

  it("orders share one budget, batches have another, lookups are counted by weight", () => {
    const budgets = (command: Command) =>
      uses(command).map(({ budget, limit, tokens }) => `${budget} ${tokens}/${limit}`)
    assert.deepStrictEqual(budgets({ _tag: "Place", order: limitOrder }), ["mexc orders 1/12"])
    assert.deepStrictEqual(budgets({ _tag: "PlaceAll", orders: [limitOrder] }), [
      "mexc orders 1/12",
      "mexc batchOrders 1/2"
    ])
    assert.deepStrictEqual(budgets({ _tag: "Cancel", ref }), ["mexc orders 1/12", "mexc GET order 2/500"])
    assert.deepStrictEqual(budgets({ _tag: "CancelAll", symbol: "BTCUSDT" }), ["mexc orders 1/12"])
    assert.deepStrictEqual(budgets({ _tag: "Get", ref }), ["mexc GET order 2/500"])
    assert.deepStrictEqual(budgets({ _tag: "OpenOrders", symbol: "BTCUSDT" }), ["mexc GET openOrders 3/500"])
    assert.isEmpty(uses({ _tag: "Leverage", symbol: "BTCUSDT" }))
  })

  it("readings have budgets too", () => {
    const reads = ["balances", "fills", "listenKey", "openOrders", "positions", "userId"] as const
    assert.deepStrictEqual(reads.map((read) => mexcSpotAccount.uses(read).length), [1, 1, 1, 1, 0, 1])
    assert.deepInclude(mexcSpotAccount.uses("fills")[0], { tokens: 10, limit: 500 })
    assert.isTrue(mexcSpotAccount.throttlesAll)
    assert.deepStrictEqual(["700003", "10073", "700002"].map((code) => mexcSpotAccount.isStampOff(code)), [
      true,
      true,
      false
    ])
  })
})

// ---- the end of a connection ----------------------------------------------------------------------------------------

describe("the listen key of a connection that ends", () => {
  /** Answers as it is told; never, by default. */
  const keysOf = (answers: { readonly make?: Effect.Effect<string>; readonly remove?: Effect.Effect<void> }) => {
    const asked: Array<string> = []
    const listenKeys: NonNullable<AccountCalls["listenKeys"]> = {
      make: answers.make ?? Effect.never,
      renew: () => Effect.never,
      remove: (key) =>
        Effect.suspend(() => {
          asked.push(key)
          return answers.remove ?? Effect.never
        })
    }
    const open = mexcSpotAccount.stream.endpoint("ws://here", { listenKeys } as AccountCalls)
    return { asked, open }
  }

  const logged = (into: Array<string>) => Logger.layer([Logger.make(({ message }) => void into.push(String(message)))])

  it.effect("is waited for a second where the exchange does not answer, which is told", () => {
    const told: Array<string> = []
    return Effect.gen(function*() {
      const { asked, open } = keysOf({ make: Effect.succeed("key0") })
      const scope = yield* Scope.make()
      yield* Scope.provide(open, scope)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(asked, ["key0"])
      assert.lengthOf(told, 1)
      assert.include(told[0], "[mexc-spot] a listen key was not deleted, it ends by itself within an hour")
      assert.notInclude(told[0], "key0")
    }).pipe(Effect.provide(logged(told)))
  })

  it.effect("is deleted beside the goodbye of its socket", () =>
    Effect.gen(function*() {
      const { asked, open } = keysOf({ make: Effect.succeed("key0") })
      const scope = yield* Scope.make()
      const { lease } = yield* Scope.provide(open, scope)
      const living = yield* Effect.forkChild(lease!, { startImmediately: true })
      yield* Fiber.interrupt(living)
      assert.deepStrictEqual(asked, ["key0"])
      yield* TestClock.adjust("1 second")
      // What has been waited for is not waited for again, nor asked again.
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(asked, ["key0"])
    }))

  it.effect("is not waited for longer than a second while it is being made", () =>
    Effect.gen(function*() {
      const { asked, open } = keysOf({})
      const opening = yield* Effect.forkChild(Effect.scoped(open), { startImmediately: true })
      opening.interruptUnsafe()
      yield* TestClock.adjust("1 second")
      assert.isDefined(opening.pollUnsafe())
      assert.deepStrictEqual(asked, [])
    }))

  it.effect("is deleted when it comes although nobody wants it any more", () =>
    Effect.gen(function*() {
      const { asked, open } = keysOf({ make: Effect.delay(Effect.succeed("late"), "800 millis"), remove: Effect.void })
      const opening = yield* Effect.forkChild(Effect.scoped(open), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      opening.interruptUnsafe()
      yield* TestClock.adjust("700 millis")
      assert.isDefined(opening.pollUnsafe())
      assert.deepStrictEqual(asked, ["late"])
    }))
})
