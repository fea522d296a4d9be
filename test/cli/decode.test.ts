/** `exchange decode`: every line in has its line out, whatever stands in it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as EventJson from "../../src/cli/EventJson.ts"
import { FrameDecoder, longestLine, noInstruments } from "../../src/cli/FrameDecoder.ts"
import type { InstrumentOf } from "../../src/domain/Instrument.ts"
import type {
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../../src/domain/Market.ts"
import type { Codec, ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { hasShared, requireShared } from "../exchanges/SharedFixtures.ts"
import * as CommandLine from "./CommandLine.ts"
import * as SharedFixtures from "./SharedFixtures.ts"

interface Answer {
  readonly id: string | number | null
  readonly events?: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly control?: Readonly<Record<string, unknown>>
  readonly error?: { readonly _tag: string; readonly message: string }
}

const parse = (text: string): ReadonlyArray<Answer> =>
  text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Answer)

const lines = (values: ReadonlyArray<unknown>): string => values.map((value) => `${JSON.stringify(value)}\n`).join("")

const decoderOf = (adapter: ExchangeAdapter, instrumentOf: InstrumentOf = noInstruments): FrameDecoder =>
  new FrameDecoder({ adapter, instrumentOf, now: () => 1_000 })

const decode = (exchange: Exchanges.KnownExchange, values: ReadonlyArray<unknown>): ReadonlyArray<Answer> => {
  const decoder = decoderOf(Exchanges.get(exchange))
  return parse(decoder.push(Buffer.from(lines(values))) + decoder.end())
}

/** Decimal text without needless zeros. */
const canonical = (text: unknown): string => {
  const [whole = "", fraction = ""] = String(text).split(".")
  const kept = fraction.replace(/0+$/, "")
  return kept === "" ? whole : `${whole}.${kept}`
}

const ticker = (price: string) =>
  `{"time":1,"time_ms":1000,"channel":"spot.book_ticker","event":"update","result":{"t":1606293275123,"u":9007199254740993,"s":"BTC_USDT","b":"${price}","B":"0.5","a":"","A":""}}`

describe("shared fixtures", () => {
  it.skipIf(hasShared || !requireShared)("are present", () => {
    assert.isTrue(hasShared)
  })

  const decodeFile = (file: string): ReadonlyArray<readonly [SharedFixtures.Case, Answer]> => {
    const cases = SharedFixtures.read(file)
    const answers = decode(
      file.startsWith("mexc") ? "mexc-spot" : file.startsWith("gateio-spot") ? "gate-spot" : "gate-futures",
      cases.map(({ id, raw }) => ({ id, raw, receivedAt: 1_795_000_000_000.5 }))
    )
    assert.strictEqual(answers.length, cases.length)
    return cases.map((found, i) => [found, answers[i]!])
  }

  const side = (value: unknown): ReadonlyArray<string | null> => {
    const { price, size } = (value ?? { price: null, size: null }) as { price: string | null; size: string | null }
    return price === null ? [null, null] : [canonical(price), canonical(size)]
  }

  const compareTicker = (event: Readonly<Record<string, unknown>>, { bid, ask, seq }: SharedFixtures.Expect): void => {
    const text = (value: unknown) => value === null ? null : canonical(value)
    if (bid !== undefined) assert.deepStrictEqual([text(event["bidPrice"]), text(event["bidQuantity"])], side(bid))
    if (ask !== undefined) assert.deepStrictEqual([text(event["askPrice"]), text(event["askQuantity"])], side(ask))
    if (seq !== undefined) assert.strictEqual(event["version"], seq)
  }

  const compareTrades = (
    events: ReadonlyArray<Readonly<Record<string, unknown>>>,
    { trades }: SharedFixtures.Expect
  ): void => {
    const expected = trades as ReadonlyArray<Readonly<Record<string, unknown>>> | undefined
    if (expected === undefined) return assert.isAbove(events.length, 1)
    assert.deepStrictEqual(
      events.map((event) => [canonical(event["price"]), canonical(event["quantity"]), event["side"]]),
      expected.map((trade) => [canonical(trade["price"]), canonical(trade["size"]), trade["side"]])
    )
    assert.deepStrictEqual(
      events.filter((_, i) => expected[i]!["id"] !== undefined).map((event) => event["id"]),
      expected.filter((trade) => trade["id"] !== undefined).map((trade) => trade["id"])
    )
  }

  const levels = (value: unknown): ReadonlyArray<string> =>
    (value as ReadonlyArray<readonly [string, string]>).map((level) => level.map(canonical).join(" ")).toSorted()

  const compareDepth = (event: Readonly<Record<string, unknown>>, expect: SharedFixtures.Expect): void => {
    assert.strictEqual(event["kind"], expect["snapshot"] === true ? "snapshot" : "delta")
    assert.strictEqual(event["version"], expect["lastId"])
    if (expect["firstId"] !== undefined) assert.strictEqual(event["firstVersion"], expect["firstId"])
    for (const name of ["bids", "asks"]) {
      if (expect[name] === undefined) continue
      assert.deepStrictEqual(levels(event[name]), levels(expect[name]))
    }
    if (expect["bidCount"] !== undefined) assert.strictEqual((event["bids"] as []).length, expect["bidCount"])
  }

  const outcomes: Readonly<Record<string, string>> = {
    BookTicker: "book_ticker",
    Trade: "trades",
    BookUpdate: "depth",
    Ticker: "ticker",
    FuturesTicker: "ticker",
    Kline: "candles",
    Liquidation: "liquidations",
    ContractStats: "contract_stats"
  }

  const outcomeOf = (answer: Answer): string => {
    if (answer.error !== undefined) return "error"
    if (answer.control !== undefined) return String(answer.control["kind"])
    const tag = answer.events![0]?.["_tag"]
    return tag === undefined
      ? "ignore"
      : outcomes[String(tag)]!
  }

  const compareControl = (control: Readonly<Record<string, unknown>>, expect: SharedFixtures.Expect): void => {
    if (expect["accepted"] !== undefined && expect["refused"] === undefined) {
      assert.deepStrictEqual(control["topics"], expect["accepted"])
    }
    if (expect["refused"] !== undefined) assert.deepStrictEqual(control["topics"], expect["refused"])
    if (expect["requestId"] !== undefined) assert.strictEqual(control["requestId"], expect["requestId"])
    if (expect["code"] !== undefined) assert.strictEqual(control["code"], String(expect["code"]))
    // Text in JSON is unpacked.
    if (expect["message"] !== undefined && !String(expect["message"]).startsWith("{")) {
      assert.include(String(control["detail"]), String(expect["message"]))
    }
  }

  const kinds: Readonly<Record<string, string>> = {
    error: "rejection",
    ping: "notice",
    book_tickers: "book_ticker",
    tickers: "ticker"
  }

  const facts: Readonly<Record<string, (answer: Answer, expect: SharedFixtures.Expect) => void>> = {
    book_ticker: ({ events }, expect) => compareTicker(events![0]!, expect),
    trades: ({ events }, expect) => compareTrades(events!, expect),
    depth: ({ events }, expect) => compareDepth(events![0]!, expect),
    ack: ({ control }, expect) => compareControl(control!, expect),
    error: ({ control }, expect) => compareControl(control!, expect)
  }

  const compare = ({ expect }: SharedFixtures.Case, answer: Answer): void => {
    const outcome = outcomeOf(answer)
    if (expect.error === true) return assert.strictEqual(outcome, "error")
    if (expect.oneOf !== undefined) {
      // A refusal of the exchange is one way to report an error.
      return assert.include(expect.oneOf, outcome === "rejection" ? "error" : outcome)
    }
    const kind = expect.kind!
    if (kind === "trades" && (expect["trades"] as ReadonlyArray<unknown> | undefined)?.length === 0) {
      return assert.strictEqual(outcome, "ignore")
    }
    assert.strictEqual(outcome, kinds[kind] ?? kind)
    facts[kind]?.(answer, expect)
  }

  for (
    const file of [
      "mexc-spot.aggre.bookTicker",
      "mexc-spot.aggre.deals",
      "mexc-spot.aggre.depth",
      "mexc-spot.control",
      "mexc-spot.malformed",
      "gateio-spot.spot.book_ticker",
      "gateio-spot.spot.trades",
      "gateio-spot.spot.obu",
      "gateio-spot.spot.order_book_update",
      "gateio-spot.control",
      "gateio-spot.malformed",
      "mexc-spot.bookTicker.batch",
      "mexc-spot.kline",
      "mexc-spot.limit.depth",
      "mexc-spot.miniTicker",
      "mexc-spot.miniTickers",
      "gateio-spot.spot.candlesticks",
      "gateio-spot.spot.order_book",
      "gateio-spot.spot.tickers",
      "gateio-futures.control",
      "gateio-futures.futures.book_ticker",
      "gateio-futures.futures.candlesticks",
      "gateio-futures.futures.contract_stats",
      "gateio-futures.futures.obu",
      "gateio-futures.futures.order_book_update",
      "gateio-futures.futures.public_liquidates",
      "gateio-futures.futures.tickers",
      "gateio-futures.futures.trades"
    ]
  ) {
    it.skipIf(!hasShared)(`${file}: every line is answered as expected`, () => {
      for (const [found, answer] of decodeFile(file)) {
        assert.strictEqual(answer.id, found.id)
        try {
          compare(found, answer)
        } catch (error) {
          throw new Error(`${found.id}: ${JSON.stringify(answer).slice(0, 500)}`, { cause: error })
        }
      }
    })
  }
})

describe("lines", () => {
  it("that are wrong are answered under their id, where it can be read", () => {
    const decoder = decoderOf(Exchanges.get("gate-spot"))
    const answers = parse(decoder.push(Buffer.from([
      "no json",
      "[]",
      "",
      "{\"id\":1}",
      "{\"id\":\"2\",\"raw\":{\"hex\":\"0g\"}}",
      "{\"id\":3,\"raw\":{\"hex\":\"123\"}}",
      "{\"id\":4,\"raw\":7}",
      "{\"id\":5,\"raw\":\"{}\",\"receivedAt\":\"now\"}",
      "{\"id\":{},\"raw\":{}}",
      "{\"id\":6,\"raw\":\"{}\",\"receivedAt\":null}\r",
      ""
    ].join("\n"))))
    assert.deepStrictEqual(answers.map(({ id, error }) => [id, error?._tag]), [
      [null, "InvalidLine"],
      [null, "InvalidLine"],
      [null, "InvalidLine"],
      [1, "InvalidLine"],
      ["2", "InvalidLine"],
      [3, "InvalidLine"],
      [4, "InvalidLine"],
      [5, "InvalidLine"],
      [null, "InvalidLine"],
      [6, undefined]
    ])
  })

  it("may come in pieces of any size, and the last one without its end", () => {
    const text = lines([{ id: 1, raw: ticker("1") }, { id: "ü", raw: ticker("2") }, { id: 3, raw: "{" }]).trimEnd()
    const whole = decoderOf(Exchanges.get("gate-spot"))
    const expected = whole.push(Buffer.from(text)) + whole.end()
    for (const size of [1, 2, 7, 64]) {
      const decoder = decoderOf(Exchanges.get("gate-spot"))
      const bytes = Buffer.from(text)
      let answers = ""
      for (let i = 0; i < bytes.length; i += size) {
        // The reader's buffer is used again, as Node may do.
        const piece = Buffer.from(bytes.subarray(i, i + size))
        answers += decoder.push(piece)
        piece.fill(0)
      }
      assert.strictEqual(answers + decoder.end(), expected)
    }
    assert.strictEqual(whole.end(), "")
  })

  it("that are too long are answered without being held", () => {
    const decoder = decoderOf(Exchanges.get("gate-spot"))
    const piece = Buffer.alloc(longestLine / 4, 32)
    for (let i = 0; i < 5; i++) assert.strictEqual(decoder.push(piece), "")
    const [first, second] = parse(decoder.push(Buffer.from(`\n{"id":1,"raw":"{}"}\n`)))
    assert.deepStrictEqual([first?.id, first?.error?._tag], [null, "InvalidLine"])
    assert.deepStrictEqual(second, { id: 1, events: [] })
  })

  it("hold frames of 10 MB", () => {
    const [text, hex] = decode("mexc-spot", [
      { id: "text", raw: `{${"x".repeat(10_000_000)}` },
      { id: "hex", raw: { hex: "08".repeat(5_000_000) } }
    ])
    assert.deepStrictEqual([text?.id, text?.error?._tag], ["text", "DecodeFailed"])
    assert.deepStrictEqual([hex?.id, hex?.error?._tag], ["hex", "DecodeFailed"])
  })

  const bytes = Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))),
    (
      list
    ) => Uint8Array.from(list)
  )

  for (const exchange of Exchanges.ids) {
    it.prop(`of ${exchange} with any bytes have as many answers`, [bytes], ([garbage]) => {
      const decoder = decoderOf(Exchanges.get(exchange))
      const answers = parse(decoder.push(garbage) + decoder.end())
      const ends = garbage.filter((byte) => byte === 10).length
      assert.strictEqual(answers.length, garbage.length > 0 && garbage.at(-1) !== 10 ? ends + 1 : ends)
      for (const answer of answers) assert.isDefined(answer.error)
    })

    it.prop(`of ${exchange} with any frame have one answer each`, [Arbitrary.array(bytes)], ([frames]) => {
      const answers = decode(
        exchange,
        frames.map((frame, id) => ({ id, raw: { hex: Buffer.from(frame).toString("hex") } }))
      )
      assert.deepStrictEqual(answers.map(({ id }) => id), frames.map((_, id) => id))
    })
  }
})

describe("events", () => {
  it("keep every digit of prices, ids and versions", () => {
    const [answer] = decode("gate-spot", [{ id: 1, raw: ticker("0.000000123456789012345678"), receivedAt: 5.25 }])
    assert.deepStrictEqual(answer, {
      id: 1,
      events: [{
        _tag: "BookTicker",
        pair: null,
        symbol: "BTC_USDT",
        bidPrice: "0.000000123456789012345678",
        bidQuantity: "0.5",
        askPrice: null,
        askQuantity: null,
        version: "9007199254740993",
        exchangeTime: 1_606_293_275_123,
        receivedAt: 5.25
      }]
    })
  })

  it("are stamped with the clock when the line does not say when", () => {
    assert.strictEqual(decode("gate-spot", [{ id: 1, raw: ticker("1") }])[0]?.events?.[0]?.["receivedAt"], 1_000)
  })

  it("print small numbers without exponents, and levels as pairs", () => {
    const update: BookUpdate = {
      _tag: "BookUpdate",
      kind: "delta",
      pair: "A/B",
      symbol: "AB",
      bids: [1e-9, 2e22],
      asks: [1, 0],
      firstVersion: 1,
      version: 2n ** 60n,
      exchangeTime: null,
      receivedAt: 3,
      contractSize: 1,
      exact: { "bids[1]": "20000000000000000000000.5" }
    }
    assert.deepStrictEqual(EventJson.event(update), {
      _tag: "BookUpdate",
      kind: "delta",
      pair: "A/B",
      symbol: "AB",
      bids: [["0.000000001", "20000000000000000000000.5"]],
      asks: [["1", "0"]],
      firstVersion: "1",
      version: "1152921504606846976",
      exchangeTime: null,
      receivedAt: 3
    })
  })

  it("count contracts and base units where they differ, every digit of both", () => {
    const common = { pair: "A/B:B", symbol: "A_B", exchangeTime: null, receivedAt: 3 } as const
    const trade: Trade = {
      ...common,
      _tag: "Trade",
      id: "1",
      price: 2,
      quantity: 3,
      side: "buy",
      contractSize: 0.1,
      exact: null
    }
    const part = (event: MarketEvent, ...names: ReadonlyArray<string>) => {
      const json = EventJson.event(event)
      return names.map((name) => json[name])
    }
    assert.deepStrictEqual(part(trade, "quantity", "quantityBase", "contractSize"), ["3", "0.3", "0.1"])
    assert.deepStrictEqual(
      part({ ...trade, contractSize: null }, "quantity", "quantityBase", "contractSize"),
      ["3", null, null]
    )
    assert.notProperty(EventJson.event({ ...trade, contractSize: 1 }), "contractSize")
    const whole = EventJson.event({ ...trade, contractSize: 1 }, "swap")
    assert.strictEqual(whole["contractSize"], "1")
    assert.notProperty(whole, "quantityBase")
    const exact = { quantity: "12345678901234567890.5" }
    assert.deepStrictEqual(
      part({ ...trade, quantity: 12345678901234567000, contractSize: 1e-7, exact }, "quantity", "quantityBase"),
      ["12345678901234567890.5", "1234567890123.45678905"]
    )
    assert.deepStrictEqual(
      part(
        { ...trade, quantity: 1.5, contractSize: 1e-18, exact: { quantity: "0.00000000000000000015" } },
        "quantityBase"
      ),
      [`0.${"0".repeat(36)}15`]
    )
    assert.deepStrictEqual(
      part({ ...trade, quantity: 1.5, contractSize: 10, exact: { quantity: "100000000000000000000" } }, "quantityBase"),
      ["1000000000000000000000"]
    )
    const update: BookUpdate = {
      ...common,
      _tag: "BookUpdate",
      kind: "snapshot",
      bids: [10, 5],
      asks: [],
      firstVersion: 1,
      version: 1,
      contractSize: 0.0001,
      exact: null
    }
    assert.deepStrictEqual(
      part(update, "bids", "bidsBase", "asks", "asksBase"),
      [[["10", "5"]], ["0.0005"], [], []]
    )
    assert.deepStrictEqual(part({ ...update, contractSize: null }, "bids", "bidsBase"), [[["10", "5"]], null])
    assert.deepStrictEqual(
      part({ ...update, bids: [10, 1e22], exact: { "bids[1]": "10000000000000000000000.5" } }, "bidsBase"),
      [["1000000000000000000.00005"]]
    )
  })

  it("of every kind print every field", () => {
    const common = { pair: "A/B:B", symbol: "A_B", exchangeTime: 1, receivedAt: 3, contractSize: 0.1, exact: null }
    const futures = {
      lastPrice: 1e-7,
      markPrice: 2,
      indexPrice: null,
      fundingRate: -0.0001,
      nextFundingTime: 1_700_000_000_000,
      fundingInterval: 28_800_000,
      openInterest: 5,
      highPrice: 6,
      lowPrice: 7,
      change: 0.5,
      contractVolume: 8,
      baseVolume: 9,
      quoteVolume: 10
    }
    const { contractSize: _, exact: __, ...rest } = common
    assert.deepStrictEqual(EventJson.event({ ...common, _tag: "FuturesTicker", ...futures } as FuturesTicker), {
      ...rest,
      _tag: "FuturesTicker",
      lastPrice: "0.0000001",
      markPrice: "2",
      indexPrice: null,
      fundingRate: "-0.0001",
      nextFundingTime: 1_700_000_000_000,
      fundingInterval: 28_800_000,
      openInterest: "5",
      openInterestBase: "0.5",
      highPrice: "6",
      lowPrice: "7",
      change: "0.5",
      contractVolume: "8",
      baseVolume: "9",
      quoteVolume: "10",
      contractSize: "0.1"
    })
    assert.deepStrictEqual(
      EventJson.event({ ...common, _tag: "Liquidation", price: 1, quantity: 20, side: "sell" } as Liquidation),
      {
        ...rest,
        _tag: "Liquidation",
        price: "1",
        quantity: "20",
        quantityBase: "2",
        side: "sell",
        contractSize: "0.1"
      }
    )
    const stats = EventJson.event(
      {
        ...common,
        _tag: "ContractStats",
        interval: "5m",
        markPrice: 1,
        openInterest: 2,
        openInterestValue: 3,
        takerRatio: 1.5,
        accountRatio: null,
        topAccountRatio: 1,
        topSizeRatio: 1,
        longLiquidations: 4,
        shortLiquidations: 0
      } as ContractStats
    )
    assert.deepStrictEqual(
      [stats["openInterestBase"], stats["longLiquidationsBase"], stats["shortLiquidationsBase"], stats["takerRatio"]],
      ["0.2", "0.4", "0", "1.5"]
    )
    const candle = {
      interval: "1m",
      price: "last",
      openTime: 60_000,
      closeTime: null,
      open: 1,
      high: 2,
      low: 0.5,
      close: 1.5,
      baseVolume: 3,
      quoteVolume: null,
      contractVolume: null,
      closed: false
    } as const
    const text = { open: "1", high: "2", low: "0.5", close: "1.5", baseVolume: "3" }
    assert.deepStrictEqual(
      EventJson.event({ ...rest, exact: null, _tag: "Kline", ...candle } as Kline),
      { ...rest, _tag: "Kline", ...candle, ...text }
    )
    const day = {
      lastPrice: 1,
      bidPrice: null,
      askPrice: 2,
      highPrice: 3,
      lowPrice: 1,
      change: 0.1,
      baseVolume: 5,
      quoteVolume: 6
    }
    assert.deepStrictEqual(
      EventJson.event({ ...rest, exact: { lastPrice: "1.00000000000000000001" }, _tag: "Ticker", ...day } as Ticker),
      {
        ...rest,
        _tag: "Ticker",
        lastPrice: "1.00000000000000000001",
        bidPrice: null,
        askPrice: "2",
        highPrice: "3",
        lowPrice: "1",
        change: "0.1",
        baseVolume: "5",
        quoteVolume: "6"
      }
    )
  })

  it("of a contract say how large it is", () => {
    const decoder = decoderOf(Exchanges.get("gate-spot"), (symbol) => ({
      exchange: "gate-spot",
      pair: "BTC/USDT:USDT",
      symbol,
      kind: "swap",
      base: "BTC",
      quote: "USDT",
      settle: "USDT",
      status: "trading",
      priceStep: 0.1,
      quantityStep: 1,
      minQuantity: 1,
      minNotional: null,
      contractSize: 0.0000001
    }))
    const [answer] = parse(decoder.push(Buffer.from(lines([{ id: 1, raw: ticker("1") }]))))
    assert.strictEqual(answer?.events?.[0]?.["pair"], "BTC/USDT:USDT")
    assert.strictEqual(answer?.events?.[0]?.["contractSize"], "0.0000001")
  })
})

describe("control", () => {
  const madeUp = (frame: Codec["decode"]): Answer => {
    const adapter: ExchangeAdapter = { ...Exchanges.get("gate-spot"), makeCodec: () => ({ decode: frame }) }
    return parse(decoderOf(adapter).push(Buffer.from(lines([{ id: 1, raw: "" }]))))[0]!
  }

  const answer = { action: "subscribe", requestId: 7, topics: ["a"] } as const
  const refusal = { code: "2", detail: "no", class: "item" } as const

  it("tells a refusal also where the same frame accepts something", () => {
    const expected = {
      kind: "rejection",
      action: "subscribe",
      requestId: "7",
      topics: ["b"],
      code: "2",
      detail: "no",
      class: "item",
      accepted: ["a"]
    }
    for (const refusedFirst of [false, true]) {
      const { control } = madeUp((_frame, _at, sink) => {
        if (refusedFirst) sink.rejected({ ...answer, topics: ["b"] }, refusal)
        sink.acknowledged(answer)
        if (!refusedFirst) sink.rejected({ ...answer, topics: ["b"] }, refusal)
      })
      assert.deepStrictEqual(control, expected)
    }
  })

  it("tells what the exchange announces and asks", () => {
    const none = { action: "unknown", requestId: null, topics: null }
    assert.deepStrictEqual(madeUp((_f, _a, sink) => sink.closing("soon")).control, {
      kind: "notice",
      ...none,
      detail: "soon"
    })
    assert.deepStrictEqual(madeUp((_f, _a, sink) => sink.reply?.("pong")).control, {
      kind: "notice",
      ...none,
      detail: "the exchange pings",
      reply: "pong"
    })
    assert.deepStrictEqual(madeUp((_f, _a, sink) => sink.reply?.(Uint8Array.of(1, 255))).control?.["reply"], {
      hex: "01ff"
    })
  })

  it("gives way to events of the same frame, and both to a failure", () => {
    const trade = {
      _tag: "Trade",
      pair: null,
      symbol: "X",
      id: null,
      price: 1,
      quantity: 2,
      side: "buy",
      exchangeTime: null,
      receivedAt: 0,
      contractSize: 1,
      exact: null
    } as const
    const topic = { key: "k", channel: "Trades", symbol: "X", pair: null, contractSize: 1, slot: null } as const
    const both = madeUp((_f, _a, sink) => {
      sink.pong()
      sink.event(topic, trade)
    })
    assert.deepStrictEqual(Object.keys(both), ["id", "events"])
    const failing = madeUp((_f, _a, sink) => {
      sink.event(topic, trade)
      sink.fallback()
      sink.failed("half of it")
    })
    assert.deepStrictEqual(failing, { id: 1, error: { _tag: "DecodeFailed", message: "half of it" } })
  })

  it("goes on behind a codec that throws", () => {
    const { error } = madeUp(() => {
      throw new Error("broken")
    })
    assert.deepStrictEqual(error, { _tag: "DecodeFailed", message: "the codec failed: Error: broken" })
  })
})

describe("command", () => {
  const pong = { id: "p", raw: "{\"id\":0,\"code\":0,\"msg\":\"PONG\"}" }

  it.live("answers the lines of standard input", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* CommandLine.run(["decode", "mexc-spot"], { stdin: lines([pong]).trimEnd() })
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(parse(stdout), [
        { id: "p", control: { kind: "pong", action: "unknown", requestId: null, topics: null } }
      ])
    }))

  it.live("names pairs from a file of instruments, as an array or as lines", () =>
    Effect.gen(function*() {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "instruments-"))
      const instrument = {
        exchange: "gate-spot",
        pair: "BTC/USDT",
        symbol: "BTC_USDT",
        kind: "spot",
        base: "BTC",
        quote: "USDT",
        settle: null,
        status: "trading",
        priceStep: "0.01",
        quantityStep: 0.000001,
        minQuantity: null,
        minNotional: "3",
        contractSize: "1"
      }
      const other = { ...instrument, exchange: "mexc-spot", pair: "WRONG/ONE" }
      const contents = [lines([instrument, other]), `\n${JSON.stringify([other, instrument], null, 2)}`]
      for (const [i, content] of contents.entries()) {
        const file = path.join(folder, `${i}.json`)
        fs.writeFileSync(file, content)
        const { code, stdout } = yield* CommandLine.run(["decode", "gate-spot", "--instruments", file], {
          stdin: lines([{ id: 1, raw: ticker("1") }])
        })
        assert.strictEqual(code, 0)
        assert.strictEqual(parse(stdout)[0]?.events?.[0]?.["pair"], "BTC/USDT")
      }
      fs.writeFileSync(path.join(folder, "none"), lines([other]))
      const { code, stderr } = yield* CommandLine.run([
        "decode",
        "gate-spot",
        "--instruments",
        path.join(folder, "none")
      ])
      assert.strictEqual(code, 0)
      assert.include(stderr, "has no instruments of gate-spot")
      for (
        const [name, content, part] of [["bad", "{\"exchange\":1}", "line 1 is no"], ["list", "[1]", "entry 1 is no"], [
          "cut",
          "[{",
          "line 1 is no"
        ]] as const
      ) {
        fs.writeFileSync(path.join(folder, name), content)
        const bad = yield* CommandLine.run(["decode", "gate-spot", "--instruments", path.join(folder, name)])
        assert.strictEqual(bad.code, 2)
        assert.include(bad.stderr, part)
      }
      const folderAsFile = yield* CommandLine.run(["decode", "gate-spot", "--instruments", folder])
      assert.strictEqual(folderAsFile.code, 2)
      fs.rmSync(folder, { recursive: true })
    }))

  it.live("says that it reads from the terminal", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run(["decode", "mexc-spot"], { terminal: true, stdin: "" })
      assert.strictEqual(code, 0)
      assert.include(stderr, "Ctrl-D")
    }))

  it.live("ends quietly when nobody reads any more", () =>
    Effect.gen(function*() {
      const endless = Stream.forever(Stream.make(new TextEncoder().encode(lines([pong]))))
      const { code, stderr } = yield* CommandLine.run(["decode", "mexc-spot"], { stdin: endless, readUntil: "pong" })
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
    }))

  it.live("ends with 130 when it is interrupted", () =>
    Effect.scoped(Effect.gen(function*() {
      const stdin = Stream.concat(Stream.make(new TextEncoder().encode(lines([pong]))), Stream.never)
      const running = yield* CommandLine.start(["decode", "mexc-spot"], { stdin })
      yield* running.shows("pong")
      yield* running.interrupt
      assert.strictEqual((yield* running.ended).code, 130)
    })))
})
