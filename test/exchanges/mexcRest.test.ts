import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { TestClock } from "effect/testing"
import type { BookChannel } from "../../src/domain/Channel.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import type { Rest } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"

interface Answer {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body: string
}

/** REST over a client that answers from `answer` and keeps what was asked. */
const restFor = (answer: Answer | "no connection") => {
  const asked: Array<string> = []
  const client = HttpClient.make((request, url) => {
    asked.push(`${request.method} ${url.href}`)
    if (answer === "no connection") {
      const reason = new HttpClientError.TransportError({ request, description: "connection refused" })
      return Effect.fail(new HttpClientError.HttpClientError({ reason }))
    }
    const { status = 200, headers = {}, body } = answer
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  })
  const known: Pick<Instrument, "pair"> = { pair: "BTC/USDT" }
  const rest = mexcSpot.makeRest({
    client,
    url: "http://mexc.test",
    instrumentOf: (symbol) => (symbol === "BTCUSDT" ? known as Instrument : undefined)
  })
  return { rest, asked }
}

const reasonOf = <A>(effect: Effect.Effect<A, ExchangeError>) => Effect.map(Effect.flip(effect), ({ reason }) => reason)

const channel: BookChannel = { _tag: "Book", pair: "BTC/USDT" }

/** A market as MEXC really sent it in January 2025. */
const brock = {
  symbol: "BROCKUSDT",
  status: "1",
  baseAsset: "BROCK",
  baseAssetPrecision: 2,
  quoteAsset: "USDT",
  quotePrecision: 5,
  quoteAssetPrecision: 5,
  baseCommissionPrecision: 2,
  quoteCommissionPrecision: 5,
  orderTypes: ["LIMIT", "MARKET", "LIMIT_MAKER"],
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  quoteAmountPrecision: "1",
  baseSizePrecision: "0",
  permissions: ["SPOT"],
  filters: [],
  maxQuoteAmount: "2000000",
  makerCommission: "0.0005",
  takerCommission: "0.0005",
  quoteAmountPrecisionMarket: "1",
  maxQuoteAmountMarket: "100000",
  fullName: "Bitrock",
  tradeSideType: 1
}

const instrumentsOf = (...symbols: ReadonlyArray<unknown>) =>
  restFor({ body: JSON.stringify({ timezone: "CST", symbols }) }).rest.instruments

describe("MEXC REST, instruments", () => {
  it.effect("reads a market as it is sent", () =>
    Effect.gen(function*() {
      const { rest, asked } = restFor({ body: JSON.stringify({ symbols: [brock] }) })
      assert.deepStrictEqual(yield* rest.instruments, [{
        exchange: "mexc-spot",
        pair: "BROCK/USDT",
        symbol: "BROCKUSDT",
        kind: "spot",
        base: "BROCK",
        quote: "USDT",
        settle: null,
        status: "trading",
        priceStep: 0.00001,
        quantityStep: 0.01,
        minQuantity: null,
        minNotional: 1,
        contractSize: 1
      }])
      assert.deepStrictEqual(asked, ["GET http://mexc.test/api/v3/exchangeInfo"])
    }))

  it.effect("takes minimums from the fields that are named precision, and steps from the decimals", () =>
    Effect.gen(function*() {
      const [found] = yield* instrumentsOf({
        ...brock,
        baseSizePrecision: "0.000001",
        quoteAmountPrecision: "0.50",
        quotePrecision: 0,
        baseAssetPrecision: 18
      })
      assert.deepInclude(found, { minQuantity: 0.000001, minNotional: 0.5, priceStep: 1, quantityStep: 1e-18 })
      const [none] = yield* instrumentsOf({ ...brock, baseSizePrecision: "", quoteAmountPrecision: undefined })
      assert.deepInclude(none, { minQuantity: null, minNotional: null })
    }))

  it.effect("says whether a market trades", () =>
    Effect.gen(function*() {
      const states = [
        [{ status: 1 }, "trading"],
        [{ status: "ENABLED" }, "trading"],
        [{ status: "2" }, "paused"],
        [{ status: "3" }, "closed"],
        [{ status: "new" }, "closed"],
        [{ isSpotTradingAllowed: false }, "paused"],
        [{ tradeSideType: 4 }, "paused"],
        [{ tradeSideType: "4" }, "paused"],
        [{ tradeSideType: "2" }, "trading"]
      ] as const
      for (const [change, expected] of states) {
        const [found] = yield* instrumentsOf({ ...brock, ...change })
        assert.strictEqual(found?.status, expected, JSON.stringify(change))
      }
    }))

  it.effect("keeps the others when a market is odd, and says so", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const odd = [{ symbol: "X" }, { ...brock, baseAsset: "A/B" }, { ...brock, baseSizePrecision: "1e-7" }, {
        ...brock,
        quoteAmountPrecision: "x"
      }, null]
      const found = yield* instrumentsOf(...odd, { ...brock, symbol: "龙虾USDT", baseAsset: "龙虾" }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      assert.deepStrictEqual(found.map(({ pair }) => pair), ["龙虾/USDT"])
      assert.match(String(logged[0]), /exchangeInfo: 5 items cannot be read/)
    }))

  it.effect("fails when no market can be read", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOf(instrumentsOf({ symbol: "X" }))
      assert.strictEqual(reason._tag, "DecodeFailed")
      assert.deepStrictEqual(yield* instrumentsOf(), [])
    }))
})

describe("MEXC REST, turnovers", () => {
  /** As in the documents: null and empty texts. */
  const documented = {
    symbol: "BTCUSDT",
    priceChange: "184.34",
    lastPrice: "46263.71",
    bidQty: "",
    volume: "1732.461487",
    quoteVolume: null,
    count: null
  }
  const turnoversOf = (...tickers: ReadonlyArray<unknown>) => restFor({ body: JSON.stringify(tickers) }).rest.turnovers!

  it.effect("reads the quote turnover of every symbol", () =>
    Effect.gen(function*() {
      const { asked, rest } = restFor({ body: JSON.stringify([{ symbol: "BTCUSDT", quoteVolume: "12.50" }]) })
      assert.deepStrictEqual(yield* rest.turnovers!, new Map([["BTCUSDT", 12.5]]))
      assert.deepStrictEqual(asked, ["GET http://mexc.test/api/v3/ticker/24hr"])
      assert.deepStrictEqual(yield* turnoversOf(), new Map())
    }))

  it.effect("reckons it from base volume and last price where it is left out, and knows none without them", () =>
    Effect.gen(function*() {
      const found = yield* turnoversOf(
        documented,
        { ...documented, symbol: "EMPTY", quoteVolume: "" },
        { ...documented, symbol: "NONE", volume: null },
        { symbol: "BARE" },
        { ...documented, symbol: "ZERO", quoteVolume: "0" }
      )
      const reckoned = 1732.461487 * 46263.71
      assert.deepStrictEqual(found, new Map([["BTCUSDT", reckoned], ["EMPTY", reckoned], ["ZERO", 0]]))
    }))

  it.effect("keeps the others when a ticker is odd, says so, and fails when all are", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const odd = [{ quoteVolume: "1" }, { symbol: "X", quoteVolume: "-1" }, { symbol: "X", quoteVolume: 1 }, null]
      const found = yield* turnoversOf(...odd, { symbol: "A", quoteVolume: "2" }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      assert.deepStrictEqual(found, new Map([["A", 2]]))
      assert.match(String(logged[0]), /ticker\/24hr: 4 items cannot be read/)
      assert.strictEqual((yield* reasonOf(turnoversOf(...odd)))._tag, "DecodeFailed")
    }))
})

describe("MEXC REST, clock and books", () => {
  it.effect("reads the server's time", () =>
    Effect.gen(function*() {
      const { rest, asked } = restFor({ body: "{\"serverTime\":1645539742000}" })
      assert.strictEqual(yield* rest.serverTime, 1645539742000)
      assert.deepStrictEqual(asked, ["GET http://mexc.test/api/v3/time"])
    }))

  const body =
    "{\"lastUpdateId\":82164155643,\"bids\":[[\"84270.00\",\"0.00638700\"],[\"84267.03\",\"0.12345678901234567\"]],\"asks\":[[\"84270.01\",\"5.42169969\"]],\"timestamp\":1790274400000}"

  it.effect("reads a whole book, with its exact digits and the time of its arrival", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_790_000_000_000)
      assert.deepStrictEqual(yield* restFor({ body }).rest.book("BTCUSDT", channel, 0), {
        _tag: "BookUpdate",
        kind: "snapshot",
        pair: "BTC/USDT",
        symbol: "BTCUSDT",
        bids: [84270, 0.006387, 84267.03, Number("0.12345678901234567")],
        asks: [84270.01, 5.42169969],
        firstVersion: 82164155643,
        version: 82164155643,
        exchangeTime: 1790274400000,
        receivedAt: 1_790_000_000_000,
        contractSize: 1,
        exact: { "bids[3]": "0.12345678901234567" }
      })
    }))

  it.effect("reads a book without time, levels and instrument", () =>
    Effect.gen(function*() {
      const empty = "{\"lastUpdateId\":0,\"bids\":[],\"asks\":[]}"
      const update = yield* restFor({ body: empty }).rest.book("龙虾USDT", channel, 0)
      assert.deepInclude(update, {
        pair: null,
        symbol: "龙虾USDT",
        version: 0,
        exchangeTime: null,
        contractSize: 1,
        exact: null,
        bids: [],
        asks: []
      })
    }))

  it.effect("keeps versions above 2^53 exact", () =>
    Effect.gen(function*() {
      for (const digits of ["9007199254740993", "18446744073709551617"]) {
        const update = yield* restFor({ body: `{"lastUpdateId":${digits},"bids":[],"asks":[]}` }).rest.book(
          "BTCUSDT",
          channel,
          0
        )
        assert.strictEqual(update.version, BigInt(digits))
      }
    }))

  it.effect("asks for the depth that is wanted, else for the deepest and then for less", () =>
    Effect.gen(function*() {
      const limits = Effect.fnUntraced(function*(rest: Rest, asked: Array<string>, depth: number | undefined) {
        for (let attempt = 0; attempt < 5; attempt++) yield* rest.book("BTCUSDT", { ...channel, depth }, attempt)
        return asked.splice(0).map((url) => url.slice(url.indexOf("?")))
      })
      const { rest, asked } = restFor({ body })
      const ask = (limit: number) => `?symbol=BTCUSDT&limit=${limit}`
      assert.deepStrictEqual(yield* limits(rest, asked, undefined), [5000, 1000, 500, 500, 500].map(ask))
      assert.deepStrictEqual(yield* limits(rest, asked, 2000), new Array<number>(5).fill(2000).map(ask))
      // The market would leave so few behind.
      assert.deepStrictEqual(yield* limits(rest, asked, 20), new Array<number>(5).fill(500).map(ask))
      yield* rest.book("龙虾USDT", channel, 0)
      assert.deepStrictEqual(asked, [
        `GET http://mexc.test/api/v3/depth?symbol=${encodeURIComponent("龙虾USDT")}&limit=5000`
      ])
    }))

  it.effect("refuses books that cannot be right", () =>
    Effect.gen(function*() {
      const bad = [
        "{\"lastUpdateId\":null,\"bids\":[],\"asks\":[]}",
        "{\"lastUpdateId\":-1,\"bids\":[],\"asks\":[]}",
        "{\"lastUpdateId\":1.5,\"bids\":[],\"asks\":[]}",
        "{\"lastUpdateId\":\"x\",\"bids\":[],\"asks\":[]}",
        "{\"lastUpdateId\":1,\"asks\":[]}",
        "{\"lastUpdateId\":1,\"bids\":[[\"1\"]],\"asks\":[]}",
        "{\"lastUpdateId\":1,\"bids\":[[\"0\",\"1\"]],\"asks\":[]}",
        "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[[\"1\",\"-1\"]]}",
        "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[[\"1e3\",\"1\"]]}",
        "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[[1,2]]}",
        "[]",
        "null",
        "",
        "<html>"
      ]
      for (const text of bad) {
        const reason = yield* reasonOf(restFor({ body: text }).rest.book("BTCUSDT", channel, 0))
        assert(reason._tag === "DecodeFailed", text)
        assert.strictEqual(reason.symbol, "BTCUSDT")
      }
    }))
})

describe("MEXC REST, refusals", () => {
  const failure = (answer: Answer | "no connection") =>
    Effect.map(reasonOf(restFor(answer).rest.book("BTCUSDT", channel, 0)), (reason) => {
      assert(reason._tag === "RequestFailed")
      return reason
    })

  const refusal = (status: number, code: number, msg: string | null, headers: Record<string, string> = {}) =>
    failure({ status, headers, body: JSON.stringify({ code, msg, _extend: null }) })

  it.effect("carries the exchange's code and text, and their class", () =>
    Effect.gen(function*() {
      const reason = yield* refusal(400, 30014, "invalid symbol")
      assert.deepInclude(reason, {
        request: "GET /api/v3/depth",
        symbol: "BTCUSDT",
        status: 400,
        code: "30014",
        detail: "invalid symbol",
        class: "item"
      })
      assert.isUndefined(reason.retryAfterMs)
    }))

  it.effect("sees a refusal under HTTP 200 as well", () =>
    Effect.gen(function*() {
      const reason = yield* refusal(200, 30016, null)
      assert.deepInclude(reason, { status: 200, code: "30016", class: "unavailable" })
    }))

  it.effect("waits as long as Retry-After says, in seconds or until a date", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 5, 17, 10, 0, 0))
      const after = (status: number, headers: Record<string, string>) =>
        Effect.map(refusal(status, 429, "Too Many Requests", headers), (reason) => [reason.class, reason.retryAfterMs])
      assert.deepStrictEqual(yield* after(429, { "retry-after": "7" }), ["rateLimit", 7000])
      assert.deepStrictEqual(yield* after(418, { "Retry-After": "Wed, 17 Jun 2026 10:00:30 GMT" }), [
        "rateLimit",
        30_000
      ])
      assert.deepStrictEqual(yield* after(418, { "retry-after": "Wed, 17 Jun 2026 09:00:00 GMT" }), ["rateLimit", 0])
      assert.deepStrictEqual(yield* after(429, { "retry-after": "soon" }), ["rateLimit", 10_000])
      assert.deepStrictEqual(yield* after(429, {}), ["rateLimit", 10_000])
      assert.deepStrictEqual(yield* after(418, {}), ["rateLimit", 120_000])
    }))

  it.effect("takes a page under 403 for a rate limit", () =>
    Effect.gen(function*() {
      const reason = yield* failure({ status: 403, body: "<!DOCTYPE html><html><title>403 Forbidden</title></html>" })
      assert.deepInclude(reason, { class: "rateLimit", status: 403, code: "403", retryAfterMs: 120_000 })
      assert.include(reason.detail, "403 Forbidden")
    }))

  it.effect("takes 5xx for a passing fault, with or without a body", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* failure({ status: 502, body: "" }), {
        class: "retryable",
        code: "502",
        detail: "an empty body"
      })
      assert.deepInclude(yield* failure({ status: 503, headers: { "retry-after": "3" }, body: "<html>" }), {
        class: "retryable",
        retryAfterMs: 3000
      })
    }))

  it.effect("tells a missing connection from an answer", () =>
    Effect.gen(function*() {
      const reason = yield* failure("no connection")
      assert.deepInclude(reason, { status: null, code: "TransportError", class: "retryable" })
      const bad = mexcSpot.makeRest({ ...optionsFor("no scheme"), url: "::" })
      const exit = yield* Effect.exit(bad.serverTime)
      assert(Exit.isFailure(exit))
      const error = Cause.squash(exit.cause) as ExchangeError
      assert.deepInclude(error.reason, { code: "InvalidUrlError", class: "bug" })
      assert.isFalse(error.isTransient)
    }))

  const optionsFor = (description: string) => ({
    client: HttpClient.make((request) =>
      Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
      )
    ),
    instrumentOf: () => undefined
  })
})
