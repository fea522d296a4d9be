/** Gate's REST calls over a client that answers from memory. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger, Result } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { TestClock } from "effect/testing"
import type { Instrument } from "../../src/domain/Instrument.ts"
import type { BookRequest } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"

interface Answer {
  readonly status?: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

const restOf = (answer: Answer, requested: Array<URL> = [], known: ReadonlyArray<Instrument> = []) =>
  gateSpot.makeRest({
    client: HttpClient.make((request, url) => {
      requested.push(url)
      const { status = 200, body, headers = {} } = answer
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
    }),
    url: "http://127.0.0.1:1/api/v4",
    instrumentOf: (symbol) => known.find((instrument) => instrument.symbol === symbol)
  })

const book = (body: string) => restOf({ body }).book("BTC_USDT", updates, 0)

const updates: BookRequest = { _tag: "Book", pair: "BTC/USDT", source: "order_book_update" }

const row = (members: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  id: "ETH_USDT",
  base: "ETH",
  quote: "USDT",
  min_base_amount: "0.001",
  min_quote_amount: "1.0",
  amount_precision: 3,
  precision: 6,
  trade_status: "tradable",
  ...members
})

const instrumentsOf = (...rows: ReadonlyArray<unknown>) => restOf({ body: JSON.stringify(rows) }).instruments

const failure = <A>(effect: Effect.Effect<A, ExchangeError>) => Effect.map(Effect.flip(effect), (error) => error.reason)

describe("instruments", () => {
  it.effect("are read with steps and minimums", () =>
    Effect.gen(function*() {
      const requested: Array<URL> = []
      const rest = restOf({ body: JSON.stringify([row()]) }, requested)
      assert.deepStrictEqual(yield* rest.instruments, [{
        exchange: "gate-spot",
        pair: "ETH/USDT",
        symbol: "ETH_USDT",
        kind: "spot",
        base: "ETH",
        quote: "USDT",
        settle: null,
        status: "trading",
        priceStep: 0.000001,
        quantityStep: 0.001,
        minQuantity: 0.001,
        minNotional: 1,
        contractSize: 1
      }])
      assert.deepStrictEqual(requested.map((url) => url.pathname + url.search), ["/api/v4/spot/currency_pairs"])
    }))

  it.effect("may have no minimums, and names that are not ASCII", () =>
    Effect.gen(function*() {
      const [first, second] = yield* instrumentsOf(
        row({ min_base_amount: undefined, min_quote_amount: null, amount_precision: 0 }),
        row({ id: "币安人生_USDT", base: "币安人生", min_base_amount: "", min_quote_amount: "0" })
      )
      assert.deepInclude(first, { minQuantity: null, minNotional: null, quantityStep: 1 })
      assert.deepInclude(second, {
        pair: "币安人生/USDT",
        symbol: "币安人生_USDT",
        minQuantity: null,
        minNotional: null
      })
    }))

  it.effect("trade, pause or are closed", () =>
    Effect.gen(function*() {
      const statuses = [
        { trade_status: "tradable" },
        { trade_status: "buyable" },
        { trade_status: "sellable" },
        { trade_status: "untradable" },
        { trade_status: "untradable", delisting_time: 0 },
        { trade_status: "untradable", delisting_time: 1_700_000_000 },
        { trade_status: "tradable", delisting_time: 1_900_000_000 },
        { trade_status: "resting" }
      ]
      const instruments = yield* instrumentsOf(...statuses.map(row))
      assert.deepStrictEqual(instruments.map(({ status }) => status), [
        "trading",
        "trading",
        "trading",
        "paused",
        "paused",
        "closed",
        "trading",
        "paused"
      ])
    }))

  it.effect("that cannot be read are left out with a warning, and do not hide the others", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ message }) => void warnings.push(message))
      const odd = [
        row({ precision: "6" }),
        row({ id: "ETHUSDT" }),
        row({ id: "E H_USDT", base: "E H" }),
        row({ min_base_amount: "-1" }),
        row({ min_quote_amount: "1e3" }),
        7
      ]
      const instruments = yield* instrumentsOf(...odd, row()).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(instruments.map(({ symbol }) => symbol), ["ETH_USDT"])
      assert.strictEqual(warnings.length, 1)
      assert.match(String(warnings[0]), /6 items cannot be read/)
    }))

  it.effect("of which none can be read are a failure", () =>
    Effect.gen(function*() {
      const reason = yield* failure(instrumentsOf(row({ id: "ETHUSDT" })))
      assert(reason._tag === "DecodeFailed")
      assert.match(reason.detail, /GET \/spot\/currency_pairs: no item can be read: the name ETHUSDT/)
    }))

  it.effect("may be none", () => Effect.map(instrumentsOf(), (instruments) => assert.deepStrictEqual(instruments, [])))
})

it.effect("the server's time is in ms", () =>
  Effect.gen(function*() {
    const requested: Array<URL> = []
    const rest = restOf({ body: "{\"server_time\":1789456236538}" }, requested)
    assert.strictEqual(yield* rest.serverTime, 1_789_456_236_538)
    assert.deepStrictEqual(requested.map((url) => url.pathname), ["/api/v4/spot/time"])
  }))

it.effect("turnovers are in quote, by pair", () =>
  Effect.gen(function*() {
    const requested: Array<URL> = []
    const body = JSON.stringify([
      { currency_pair: "BTC_USDT", quote_volume: "145082083.2535" },
      { currency_pair: "NEW_USDT", quote_volume: "" }
    ])
    assert.deepStrictEqual(yield* restOf({ body }, requested).turnovers!, new Map([["BTC_USDT", 145_082_083.2535]]))
    assert.deepStrictEqual(requested.map((url) => url.pathname), ["/api/v4/spot/tickers"])
  }))

describe("books", () => {
  const instrument: Instrument = {
    exchange: "gate-spot",
    pair: "BTC/USDT",
    symbol: "BTC_USDT",
    kind: "spot",
    base: "BTC",
    quote: "USDT",
    settle: null,
    status: "trading",
    priceStep: 0.1,
    quantityStep: 0.0001,
    minQuantity: null,
    minNotional: null,
    contractSize: 1
  }

  it.effect("are whole snapshots with an exact version, in ms", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(5000)
      const body =
        "{\"id\":9007199254740993,\"current\":1623898993123,\"update\":1623898993121,\"asks\":[[\"1.52\",\"1.151\"],[\"1.6\",\"0\"]]," +
        "\"bids\":[[\"1.17\",\"201.8630000000000001\"]]}"
      const snapshot = yield* restOf({ body }, [], [instrument]).book("BTC_USDT", updates, 0)
      assert.deepStrictEqual(snapshot, {
        _tag: "BookUpdate",
        kind: "snapshot",
        pair: "BTC/USDT",
        symbol: "BTC_USDT",
        bids: [1.17, 201.863],
        asks: [1.52, 1.151, 1.6, 0],
        firstVersion: 9007199254740993n,
        version: 9007199254740993n,
        exchangeTime: 1_623_898_993_121,
        receivedAt: 5000,
        contractSize: 1,
        exact: { "bids[1]": "201.8630000000000001" }
      })
      assert.strictEqual(yield* Clock.currentTimeMillis, 5000)
    }))

  it.effect("of unknown pairs have none, and may lack the time", () =>
    Effect.gen(function*() {
      const snapshot = yield* book("{\"id\":7,\"asks\":[],\"bids\":[]}")
      assert.deepInclude(snapshot, { pair: null, exchangeTime: null, bids: [], asks: [], exact: null })
    }))

  it.effect("are as deep as the feed that they join, however often they were too old", () =>
    Effect.gen(function*() {
      const requested: Array<URL> = []
      const rest = restOf({ body: "{\"id\":7,\"asks\":[],\"bids\":[]}" }, requested)
      for (const attempt of [0, 1, 5]) {
        yield* rest.book("币安人生_USDT", updates, attempt)
        yield* rest.book("BTC_USDT", { ...updates, speed: "20ms", depth: 5 }, attempt)
      }
      const asked = requested.map((url) => [
        url.searchParams.get("currency_pair"),
        url.searchParams.get("limit"),
        url.searchParams.get("with_id")
      ])
      const round = [["币安人生_USDT", "100", "true"], ["BTC_USDT", "20", "true"]]
      assert.deepStrictEqual(asked, [...round, ...round, ...round])
    }))

  for (
    const [name, body] of [
      ["without an id", "{\"asks\":[],\"bids\":[]}"],
      ["with a level that is none", "{\"id\":7,\"asks\":[[\"0\",\"1\"]],\"bids\":[]}"],
      ["with a bid that is none", "{\"id\":7,\"asks\":[],\"bids\":[[\"1\",\"x\"]]}"],
      ["that are no JSON", "<html>"],
      ["that end too early", "{\"id\":7,\"asks\":[["],
      ["that are empty", ""]
    ] as const
  ) {
    it.effect(`${name} are refused`, () =>
      Effect.gen(function*() {
        const reason = yield* failure(book(body))
        assert(reason._tag === "DecodeFailed")
        assert.deepInclude(reason, { symbol: "BTC_USDT", channel: "Book" })
        assert.match(reason.detail, /^GET \/spot\/order_book: /)
      }))
  }
})

describe("refusals", () => {
  const refused = (answer: Answer) => failure(restOf(answer).book("NOPE_USDT", updates, 0))

  it.effect("carry label, message, status and class", () =>
    Effect.gen(function*() {
      const reason = yield* refused({
        status: 400,
        body: "{\"label\":\"INVALID_CURRENCY_PAIR\",\"message\":\"Invalid currency pair NOPE_USDT\"}"
      })
      assert(reason._tag === "RequestFailed")
      assert.deepInclude(reason, {
        symbol: "NOPE_USDT",
        channel: "Book",
        request: "GET /spot/order_book",
        status: 400,
        code: "INVALID_CURRENCY_PAIR",
        detail: "Invalid currency pair NOPE_USDT",
        class: "item"
      })
      assert.isUndefined(reason.retryAfterMs)
    }))

  it.effect("may have a detail in place of a message, or neither", () =>
    Effect.gen(function*() {
      const withDetail = yield* refused({ status: 400, body: "{\"label\":\"TOO_BIG\",\"detail\":\"limit 300\"}" })
      assert.deepInclude(withDetail, { code: "TOO_BIG", detail: "limit 300", class: "bug" })
      const bare = yield* refused({ status: 400, body: "{\"label\":\"TOO_BIG\"}" })
      assert.deepInclude(bare, { code: "TOO_BIG", detail: "{\"label\":\"TOO_BIG\"}" })
    }))

  it.effect("count as such also with status 200", () =>
    Effect.gen(function*() {
      const reason = yield* refused({ body: "{\"label\":\"SERVER_ERROR\",\"message\":\"Internal server error\"}" })
      assert.deepInclude(reason, { _tag: "RequestFailed", status: 200, code: "SERVER_ERROR", class: "retryable" })
    }))

  it.effect("that are pages of what stands before are judged by their status", () =>
    Effect.gen(function*() {
      const page = yield* refused({ status: 502, body: `<html>${"x".repeat(500)}` })
      assert.deepInclude(page, { code: "502", class: "retryable" })
      assert(page._tag === "RequestFailed")
      assert.strictEqual(page.detail.length, 80)
      const empty = yield* refused({ status: 404, body: "" })
      assert.deepInclude(empty, { code: "404", detail: "an empty body", class: "bug" })
    }))

  it.effect("for too many requests say when the window ends", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1_000_500)
      const body = "{\"label\":\"TOO_MANY_REQUESTS\",\"message\":\"Request Rate limit Exceeded\"}"
      const waits: Array<number | undefined> = []
      for (
        const headers of [
          { "X-Gate-RateLimit-Reset-Timestamp": "1002" },
          { "X-Gate-RateLimit-Reset-Timestamp": "1000" },
          { "X-Gate-RateLimit-Reset-Timestamp": "soon" },
          { "Retry-After": "3", "X-Gate-RateLimit-Reset-Timestamp": "1002" },
          {}
        ] satisfies ReadonlyArray<Record<string, string>>
      ) {
        const reason = yield* refused({ status: 429, body, headers })
        assert(reason._tag === "RequestFailed" && reason.class === "rateLimit")
        waits.push(reason.retryAfterMs)
      }
      assert.deepStrictEqual(waits, [1500, 0, undefined, 3000, undefined])
    }))

  it.effect("for other things do not wait for the window", () =>
    Effect.gen(function*() {
      const reason = yield* refused({
        status: 400,
        body: "{\"label\":\"TOO_BIG\"}",
        headers: { "X-Gate-RateLimit-Reset-Timestamp": "1002" }
      })
      assert(reason._tag === "RequestFailed")
      assert.isUndefined(reason.retryAfterMs)
    }))
})

describe("no answer", () => {
  const failing = (
    make: (request: Parameters<Parameters<typeof HttpClient.make>[0]>[0]) => HttpClientError.HttpClientError["reason"]
  ) =>
    gateSpot.makeRest({
      client: HttpClient.make((request) => Effect.fail(new HttpClientError.HttpClientError({ reason: make(request) }))),
      url: "http://127.0.0.1:1/api/v4",
      instrumentOf: () => undefined
    })

  it.effect("may pass", () =>
    Effect.gen(function*() {
      const rest = failing((request) => new HttpClientError.TransportError({ request, description: "reset" }))
      const result = yield* Effect.result(rest.serverTime)
      assert(Result.isFailure(result))
      assert.isTrue(result.failure.isTransient)
      assert.deepInclude(result.failure.reason, { code: "TransportError", status: null, request: "GET /spot/time" })
    }))

  it.effect("because nothing could be sent is our fault", () =>
    Effect.gen(function*() {
      const rest = failing((request) => new HttpClientError.InvalidUrlError({ request }))
      const reason = yield* failure(rest.serverTime)
      assert.deepInclude(reason, { code: "InvalidUrlError", class: "bug" })
    }))
})
