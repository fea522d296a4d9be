/** The doctor: a healthy exchange passes every check, and each check fails where what it is about is broken. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { BookCheck } from "../../src/cli/doctor/BookChecks.ts"
import * as Examination from "../../src/cli/doctor/Examination.ts"
import * as FactChecks from "../../src/cli/doctor/FactChecks.ts"
import * as FieldRules from "../../src/cli/doctor/FieldRules.ts"
import type { Finding } from "../../src/cli/doctor/Finding.ts"
import * as KnownFields from "../../src/cli/doctor/KnownFields.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, Levels, MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"
import * as BrokenDialect from "./BrokenDialect.ts"
import * as CommandLine from "./CommandLine.ts"

const dialectOf = (id: string): ExchangeDialect => dialects.find((dialect) => dialect.id === id)!

const gate = dialectOf("gate-spot")
const gateSpot: ExchangeAdapter = Exchanges.get("gate-spot")
const mexcSpot: ExchangeAdapter = Exchanges.get("mexc-spot")

interface Setup {
  readonly adapter?: ExchangeAdapter
  readonly dialect?: ExchangeDialect
  readonly faults?: ReadonlyArray<string>
  /** Examined; those that the doctor chooses when left out. */
  readonly pairs?: readonly [TradingPair, ...Array<TradingPair>]
  readonly seconds?: number
  /** Pairs of the simulator beside the usual ones. */
  readonly more?: ReadonlyArray<TradingPair>
}

/** Any day, so that a time in seconds is not taken for one in milliseconds. */
const today = 1_790_000_000_123

/** An examination of a simulated exchange inside the process, under a virtual clock. */
const examine = (
  { adapter = gateSpot, dialect = dialectOf(adapter.id), faults, more = [], pairs, seconds = 3 }: Setup
) =>
  Exchange.memory.run(
    Effect.scoped(Effect.gen(function*() {
      yield* TestClock.setTime(today)
      const { network, simulator } = yield* Effect.orDie(
        Simulator.makeMemory({
          dialects: [dialect],
          faults,
          seed: 7,
          limits: "real",
          pairs: ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", ...more]
        })
      )
      const { rest, ws } = simulator.urls[adapter.id]!
      return yield* Examination.run({
        adapter,
        urls: { websocket: ws, rest },
        pairs,
        duration: Duration.seconds(seconds)
      })
        .pipe(
          Effect.provide(
            Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient).pipe(
              Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, network))
            )
          )
        )
    }))
  ).pipe(Effect.provide(TestClock.layer()), Random.withSeed("doctor"))

const failures = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  findings.filter(({ status }) => status === "FAIL").map(({ check, evidence }) => `${check}: ${evidence}`)

/** The finding of a check must be a failure whose evidence says this. */
const assertFails = (findings: ReadonlyArray<Finding>, check: string, evidence: string): void => {
  const found = findings.filter((finding) => finding.check === check)
  assert.isAbove(found.length, 0, `there is no check "${check}"`)
  assert.isTrue(
    found.some((finding) => finding.status === "FAIL" && finding.evidence.includes(evidence)),
    JSON.stringify(found.map(({ evidence, status }) => ({ status, evidence })))
  )
}

describe("a healthy exchange", () => {
  for (const id of Exchanges.ids) {
    it.effect(`passes every check: ${id}`, () =>
      Effect.gen(function*() {
        const adapter = Exchanges.get(id)
        const { findings, frames, pairs, samples } = yield* examine({ adapter })
        assert.deepStrictEqual(failures(findings), [])
        assert.strictEqual(pairs.length, 3)
        assert.isAbove(frames, 100)
        for (const channel of ["BookTicker", "Trades", "Book"]) {
          assert.isTrue(findings.some(({ check }) => check === `subscribe ${channel}`), channel)
        }
        const names = new Set(samples.of(findings).map(({ name }) => name))
        for (const name of ["acknowledged", "rejected", "pong", "BookTicker", "Trades", "Book"]) {
          assert.isTrue(names.has(name))
        }
      }))
  }
})

describe("a retired channel", () => {
  const retired = (setup: Setup) =>
    Effect.map(
      examine(setup),
      ({ findings }) =>
        findings.filter(({ check }) => check === "retired channels").map(({ evidence, status }) =>
          `${status} ${evidence}`
        )
    )
  /** An answer to it changed, or kept back. */
  const answered = (change: (frame: string) => string | null) =>
    BrokenDialect.frames(
      gate,
      (frame) => typeof frame === "string" && frame.includes("trades_v2") ? change(frame) : frame
    )

  it.effect("is asked for and refused, or stays silent; of some exchanges none is known", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* retired({}), [
        "PASS spot.trades_v2: refused: 2 Unknown channel spot.trades_v2"
      ])
      assert.match(
        (yield* retired({ adapter: mexcSpot }))[0]!,
        /^PASS spot@public.deals.v3.api.pb: refused: .*Blocked!/
      )
      assert.match((yield* retired({ adapter: Exchanges.get("gate-futures") }))[0]!, /^SKIP no retired channel/)
      assert.match((yield* retired({ dialect: answered(() => null) }))[0]!, /^PASS spot.trades_v2: silent/)
    }))

  it.effect("fails when it is served again", () =>
    Effect.gen(function*() {
      const accepted = answered((frame) => {
        const { error: _, ...rest } = JSON.parse(frame) as { readonly error: unknown }
        return JSON.stringify({ ...rest, result: { status: "success" } })
      })
      assert.deepStrictEqual(yield* retired({ dialect: accepted }), [
        "FAIL spot.trades_v2: served: the subscription was accepted"
      ])
      const push = { time: 1, channel: "spot.trades_v2", event: "update", result: { id: 1 } }
      const data = answered(() => JSON.stringify(push))
      assert.match((yield* retired({ dialect: data }))[0]!, /^FAIL spot.trades_v2: served: .*trades_v2/)
    }))
})

describe("topics per connection", () => {
  const evidenceOf = (findings: ReadonlyArray<Finding>) =>
    findings.filter(({ check }) => check === "topics per connection").map(({ evidence, status }) => [status, evidence])

  it.effect("are as many as the exchange allows, tried on one connection", () =>
    Effect.gen(function*() {
      const more = Array.from({ length: 40 }, (_, i): TradingPair => `COIN${i}/USDT`)
      const { findings } = yield* examine({ adapter: mexcSpot, more })
      assert.deepStrictEqual(evidenceOf(findings), [["PASS", "30 accepted on one connection, the limit"]])
    }))

  it.effect("are counted also where the session had to connect again", () =>
    Effect.gen(function*() {
      const { findings } = yield* examine({ faults: ["drop@3s"] })
      assertFails(findings, "stays connected", "1 ended")
      assert.strictEqual(evidenceOf(findings)[0]?.[0], "PASS")
    }))
})

describe("a book that is confirmed and never sent", () => {
  for (const id of ["gate-spot", "gate-futures"] as const) {
    it.effect(`is refused by a typed error in the end: ${id}`, () =>
      Effect.gen(function*() {
        const pair = id === "gate-spot" ? "BTC/USDT" : "BTC/USDT:USDT"
        const setup: Setup = { adapter: Exchanges.get(id), pairs: [pair] }
        const statusOf = (findings: ReadonlyArray<Finding>) =>
          findings.filter(({ check }) => check === "refusal of a book").map(({ status }) => status)
        assert.deepStrictEqual(statusOf((yield* examine(setup)).findings), ["SKIP"])
        assert.deepStrictEqual(statusOf((yield* examine({ ...setup, seconds: 20 })).findings), ["PASS"])
      }))
  }
})

describe("a check fails", () => {
  interface Push {
    readonly event: string
    readonly id?: number
    readonly payload?: unknown
    readonly error?: unknown
    readonly result: Result | null
  }

  /** Fields of the channels that are changed. */
  interface Result {
    readonly t: number
    readonly s: string
    readonly a: unknown
    readonly b: ReadonlyArray<unknown> | undefined
    readonly full?: boolean
    readonly price: string
  }

  interface RestBook {
    readonly id: number
    readonly bids: ReadonlyArray<readonly [price: string, amount: string]>
  }

  /** Fields of every push of a channel changed. */
  const changed = (channel: string, change: (result: Result) => object) =>
    BrokenDialect.json<Push>(
      gate,
      `"channel":"${channel}"`,
      (frame) =>
        frame.event === "subscribe" || frame.result === null
          ? frame
          : { ...frame, result: { ...frame.result, ...change(frame.result) } }
    )

  /** What is broken, and which check must tell it with what evidence. */
  const cases: ReadonlyArray<readonly [check: string, evidence: string, setup: Setup]> = [
    ["ping", "no answer to", {
      dialect: BrokenDialect.frames(
        gate,
        (frame, about) => about._tag === "Control" && about.kind === "pong" ? null : frame
      )
    }],
    ["clock", "5000 ms ahead", {
      dialect: BrokenDialect.rest<{ readonly server_time: number }>(
        gate,
        "/spot/time",
        (time) => ({ server_time: time.server_time + 5_000 })
      )
    }],
    ["instruments", "0 listed", { dialect: BrokenDialect.rest(gate, "/spot/currency_pairs", () => []) }],
    ["instruments", "without FOO/USDT", { pairs: ["BTC/USDT", "FOO/USDT"] }],
    ["instruments", "503", { faults: ["http-error:503,path=*currency_pairs*"] }],
    ["REST", "429", { faults: ["http-error:429,count=1"] }],
    ["subscribe BookTicker", "BTC", { faults: ["reject:BTC/USDT"] }],
    ["refusal", "was accepted", {
      dialect: BrokenDialect.json<Push>(
        gate,
        "NOSUCHCOIN",
        ({ error: _, ...frame }) => ({ ...frame, result: { status: "success" } })
      )
    }],
    ["topics per connection", "20 of 60 were accepted on one connection", {
      adapter: { ...mexcSpot, limits: { ...mexcSpot.limits, topicsPerConnection: 60 } },
      dialect: BrokenDialect.narrow(dialectOf("mexc-spot"), 20),
      more: Array.from({ length: 40 }, (_, i): TradingPair => `COIN${i}/USDT`)
    }],
    ["stays connected", "1 ended", { faults: ["drop@3s"] }],
    ["no gaps", "Reconnected", { faults: ["drop@3s"] }],
    ["delivers BookTicker", "nothing came of spot.book_ticker|BTC_USDT", { faults: ["silence:BTC/USDT"] }],
    ["delivers Trades", "nothing came of", { faults: ["silence,topic=*spot.trades*"] }],
    ["delivers Book order_book_update", "documented is at most one in 100 ms", { faults: ["duplicate:100%"] }],
    ["delivers BookTicker", "documented is one frame in 100 ms", {
      adapter: mexcSpot,
      faults: ["silence,topic=*bookTicker*@2s:2s"]
    }],
    ["fields BookTicker", "bid below ask", {
      dialect: changed("spot.book_ticker", ({ a, b }) => ({ a: b, b: a }))
    }],
    ["fields Book", "a snapshot is not crossed", {
      dialect: changed("spot.obu", ({ a, b, full }) => (full === true ? { a: b, b: a } : {}))
    }],
    ["times BookTicker", "half of", {
      dialect: changed("spot.book_ticker", ({ t }) => ({ t: Math.floor(t / 1_000) }))
    }],
    ["sequence BookTicker", "came behind", { faults: ["reorder:20%,topic=*book_ticker*"] }],
    ["sequence Trades", "came twice", { faults: ["duplicate:50%,topic=*spot.trades*"] }],
    ["sequence Book", "does not follow", { faults: ["gap:3"] }],
    ["sequence Book order_book_update", "came again", { faults: ["duplicate:50%"] }],
    ["prices BTC/USDT", "Trades", {
      dialect: changed("spot.trades", ({ price }) => ({ price: String(Number(price) * 1.2) }))
    }],
    ["decode failures", "could not be read", { faults: ["corrupt:3"] }],
    ["decoder fallbacks", "general decoder", {
      dialect: BrokenDialect.text(gate, "spot.book_ticker", (frame) => JSON.stringify(JSON.parse(frame), null, 1))
    }],
    ["ignored frames", "mean nothing to us", {
      dialect: BrokenDialect.text(
        gate,
        "\"event\":\"update\"",
        (frame) => frame.replace("spot.trades", "spot.trades_v2")
      )
    }],
    ["unknown fields", "spot.trades: result.fee", { dialect: changed("spot.trades", () => ({ fee: "0" })) }],
    ["answers", "name neither", {
      dialect: BrokenDialect.json<Push>(gate, "\"event\":\"subscribe\"", ({ id: _, payload: __, ...frame }) => frame)
    }],
    ["never crossed Book BTC/USDT", "bid 1000000", {
      dialect: changed("spot.obu", ({ b, s }) => (s.includes("BTC") ? { b: [...b ?? [], ["1000000", "1"]] } : {}))
    }],
    ["never crossed Book BTC/USDT", "no book came", { faults: ["silence,topic=*obu*"] }],
    ["equals REST Book order_book_update BTC/USDT", "here and", {
      dialect: BrokenDialect.rest<RestBook>(gate, "/spot/order_book", (book, { query }) =>
        // Another error each time: the library begins its own book with the same call.
        query.get("currency_pair") === "BTC_USDT"
          ? { ...book, bids: book.bids.map(([price, amount]) => [price, `${Number(amount) + (book.id % 1_000)}`]) }
          : book)
    }]
  ]

  for (const [check, evidence, setup] of cases) {
    it.effect(`${check}: ${evidence}`, () =>
      Effect.gen(function*() {
        assertFails((yield* examine(setup)).findings, check, evidence)
      }))
  }
})

describe("a book beside one that was fetched", () => {
  const channel = { _tag: "Book", pair: "BTC/USDT", source: "order_book_update" } as const
  const wanted = { variant: "Book", channel, pair: "BTC/USDT", key: "book", symbol: "BTC_USDT" } as const
  const update = (kind: "snapshot" | "delta", version: number, bids: Levels, asks: Levels): BookUpdate => ({
    _tag: "BookUpdate",
    kind,
    pair: "BTC/USDT",
    symbol: "BTC_USDT",
    bids,
    asks,
    firstVersion: version,
    version,
    exchangeTime: null,
    receivedAt: today,
    contractSize: 1,
    exact: null
  })
  /** The same delta behind both. */
  const compare = (own: readonly [bids: Levels, asks: Levels], fetched: readonly [bids: Levels, asks: Levels]) => {
    const check = new BookCheck(wanted, gateSpot.book(channel))
    check.onUpdate(update("snapshot", 1, ...own))
    check.onUpdate(update("delta", 2, [], []))
    check.onFetched(update("snapshot", 1, ...fetched))
    return check.findings()
  }
  const check = "equals REST Book BTC/USDT"

  it("passes where they are the same, and says how many levels that is", () => {
    const levels = [[99, 1, 98, 2], [100, 1]] as const
    assert.include(
      compare(levels, levels).find((finding) => finding.check === check)?.evidence,
      "the best 2 bids and 1 asks are the same"
    )
    assert.deepStrictEqual(failures(compare(levels, levels)), [])
  })

  it("fails where a side is shorter in one of them, or nothing is left to compare", () => {
    assertFails(compare([[], [100, 1]], [[99, 1], [100, 1]]), check, "bid 0 is not there (0 levels) here and 99 x 1")
    assertFails(compare([[99, 1], [100, 1, 101, 5]], [[99, 1], [100, 1]]), check, "ask 1 is 101 x 5 here and not there")
    assertFails(compare([[], []], [[], []]), check, "the best 0 bids and 0 asks")
  })
})

describe("what happened around the frames", () => {
  const wanted = { variant: "Trades", channel: { _tag: "Trades", pair: "BTC/USDT" }, pair: "BTC/USDT" } as const
  const topic = { ...wanted, key: "spot.trades|BTC_USDT", symbol: "BTC_USDT" }
  const timeout = ExchangeError.make(
    "gate-spot",
    new ExchangeError.SubscriptionTimeout({ topic: topic.key, afterMs: 15_000 })
  )
  const unknown = ExchangeError.make(
    "gate-spot",
    new ExchangeError.UnknownPair({ symbol: "X", detail: "no such pair" })
  )
  const clock = [
    { sentAt: 1_000, receivedAt: 1_500, serverTime: 9_000 },
    { sentAt: 2_000, receivedAt: 2_040, serverTime: 2_120 }
  ]
  const healthy: FactChecks.Facts = {
    adapter: gateSpot,
    pairs: ["BTC/USDT"],
    connectTook: 20,
    pongAfter: 5,
    clock,
    clockError: null,
    instruments: { count: 3, missing: [] },
    rest: [{ request: "GET /time", status: 200, headers: { "x-gate-ratelimit-limit": "200", date: "today" } }],
    subscriptions: [{ wanted: topic, took: 30, error: null }],
    refusal: { symbol: "X", error: unknown },
    unknownBook: { symbol: "X", error: unknown },
    watchedFor: 45_000,
    filled: { asked: 60, accepted: 60, firstError: null },
    retired: { channel: "spot.trades_v2", outcome: "silent", detail: "nothing came" },
    disconnects: [],
    gaps: []
  }

  it("passes when it is as expected, with the values", () => {
    const findings = FactChecks.findings(healthy)
    assert.deepStrictEqual(failures(findings), [])
    const evidence = (check: string) => findings.find((finding) => finding.check === check)?.evidence
    // By the quicker of two answers.
    assert.strictEqual(evidence("clock"), "the exchange is 100 ms ahead, to within 20 ms (2 samples)")
    assert.strictEqual(evidence("REST"), "1 calls; x-gate-ratelimit-limit: 200")
    assert.strictEqual(
      evidence("topics per connection"),
      "60 accepted on one connection; the limit, 300, was not reached"
    )
  })

  const cases: ReadonlyArray<readonly [check: string, evidence: string, facts: Partial<FactChecks.Facts>]> = [
    ["connect", "open after 6000 ms", { connectTook: 6_000 }],
    ["clock", "cannot be read", { clock: [], clockError: "cannot be read" }],
    ["clock", "behind", { clock: [{ sentAt: 10_000, receivedAt: 10_010, serverTime: 7_000 }] }],
    ["REST", "no call", { rest: [] }],
    ["REST", "GET /x: no answer", { rest: [{ request: "GET /x", status: null, headers: {} }] }],
    ["subscribe Trades", "not answered", { subscriptions: [{ wanted: topic, took: 1, error: timeout }] }],
    ["subscribe Trades", "after 3000 ms", { subscriptions: [{ wanted: topic, took: 3_000, error: null }] }],
    ["refusal", "not answered", { refusal: { symbol: "X", error: timeout } }],
    ["refusal of a book", "waited for without an error", { unknownBook: { symbol: "X", error: null } }],
    ["refusal of a book", "not answered", { unknownBook: { symbol: "X", error: timeout } }],
    ["topics per connection", "no answer", { filled: { asked: 60, accepted: 59, firstError: null } }],
    ["topics per connection", "Blocked!", { filled: { asked: 60, accepted: 28, firstError: "0 Blocked!" } }]
  ]

  for (const [check, evidence, facts] of cases) {
    it(`fails: ${check}: ${evidence}`, () => {
      assertFails(FactChecks.findings({ ...healthy, ...facts }), check, evidence)
    })
  }
})

describe("unknown fields", () => {
  const gateFrame = (frame: object) => KnownFields.of("gate-spot")!(Buffer.from(JSON.stringify(frame)))

  it("of JSON are found at any depth, and known ones are not", () => {
    assert.deepStrictEqual(
      gateFrame({
        time: 1,
        channel: "spot.book_ticker",
        event: "update",
        result: { t: 1, s: "X", q: { z: 1 } },
        new: 2
      }),
      ["spot.book_ticker: result.q", "spot.book_ticker: new"]
    )
    assert.deepStrictEqual(
      gateFrame({
        channel: "spot.book_ticker",
        event: "subscribe",
        result: { status: "success", more: 1 },
        error: null
      }),
      ["spot.book_ticker: result.more"]
    )
    const levels = { a: [{ p: "1", s: 2 }, { p: "1", s: 2, n: 3 }], b: [] }
    assert.deepStrictEqual(
      KnownFields.of("gate-futures")!(
        Buffer.from(JSON.stringify({ channel: "futures.order_book_update", event: "update", result: levels }))
      ),
      ["futures.order_book_update: result.a.n"]
    )
    assert.deepStrictEqual(KnownFields.of("gate-spot")!(Buffer.from("[1")), [])
  })

  it("of protobuf are found by their numbers, whatever their wire type", () => {
    const read = (hex: string) => KnownFields.of("mexc-spot")!(Buffer.from(hex, "hex"))
    // A book ticker: field 315 with the fields 1 and 6.
    assert.deepStrictEqual(read("0a01613001da130508303a0131"), ["aggreBookTicker: field 7"])
    assert.deepStrictEqual(read("0a0161da13030a0131"), [])
    // In the wrapper: field 2 as text, 7 as a varint, 8 as 64 bits, 9 as 32 bits.
    assert.deepStrictEqual(
      read("12016138014100000000000000004d00000000"),
      ["wrapper: field 2", "wrapper: field 7", "wrapper: field 8", "wrapper: field 9"]
    )
    // Cut off: the decoder's business.
    assert.deepStrictEqual(read("0a01610aff"), [])
    assert.deepStrictEqual(
      KnownFields.of("mexc-spot")!(Buffer.from("{\"id\":1,\"code\":0,\"msg\":\"PONG\",\"trace\":\"x\"}")),
      ["answer: trace"]
    )
    assert.isNull(KnownFields.of("toy"))
  })
})

describe("field rules", () => {
  const spot: FieldRules.About = { kind: "spot", instrumentOf: () => undefined, clockOffset: 0 }
  const swap: FieldRules.About = {
    kind: "swap",
    instrumentOf: () => ({ pair: "A/B:B", contractSize: 0.1 }) as unknown as Instrument,
    clockOffset: 100
  }
  const common = { pair: "A/B:B", symbol: "A_B", exchangeTime: today, receivedAt: today, exact: null } as const
  const contract = { ...common, contractSize: 0.1 }
  const minute = Math.floor(today / 60_000) * 60_000
  const day = { lastPrice: 100, highPrice: 110, lowPrice: 90, change: -0.05, baseVolume: 10, quoteVolume: 1_000 }

  const healthy = {
    BookTicker: {
      ...contract,
      _tag: "BookTicker",
      bidPrice: 1,
      bidQuantity: 1,
      askPrice: 2,
      askQuantity: 1,
      version: 1
    },
    Trade: { ...contract, _tag: "Trade", id: "1", price: 1, quantity: 1, side: "buy" },
    BookUpdate: {
      ...contract,
      _tag: "BookUpdate",
      kind: "snapshot",
      bids: [1, 1, 2, 1],
      asks: [4, 1, 3, 1],
      firstVersion: 1,
      version: 1
    },
    Ticker: { ...common, ...day, _tag: "Ticker", bidPrice: 99, askPrice: 100 },
    Kline: {
      ...common,
      _tag: "Kline",
      interval: "1m",
      price: "last",
      openTime: minute,
      closeTime: minute + 60_000,
      open: 100,
      high: 110,
      low: 90,
      close: 105,
      baseVolume: 10,
      quoteVolume: 1_000,
      contractVolume: 100,
      closed: false
    },
    FuturesTicker: {
      ...contract,
      ...day,
      _tag: "FuturesTicker",
      markPrice: 101,
      indexPrice: 99,
      fundingRate: 0.0001,
      nextFundingTime: today + 3_600_000,
      fundingInterval: 28_800_000,
      openInterest: 5,
      contractVolume: 100
    },
    Liquidation: { ...contract, _tag: "Liquidation", price: 1, quantity: 1, side: "sell" },
    ContractStats: {
      ...contract,
      _tag: "ContractStats",
      interval: "1m",
      exchangeTime: minute,
      markPrice: 100,
      openInterest: 10,
      openInterestValue: 100,
      takerRatio: 1,
      accountRatio: 1,
      topAccountRatio: 1,
      topSizeRatio: 1,
      longLiquidations: 0,
      shortLiquidations: 0
    }
  } satisfies { readonly [Tag in MarketEvent["_tag"]]: Extract<MarketEvent, { readonly _tag: Tag }> }

  /** What breaks each claim of an event. */
  const broken: { readonly [Tag in MarketEvent["_tag"]]: Readonly<Record<string, object>> } = {
    BookTicker: {
      "bid below ask": { bidPrice: 2 },
      "a quantity for each price, not below 0": { askQuantity: null },
      "carries a version": { version: null }
    },
    Trade: { "price and quantity above 0": { quantity: 0 }, "carries an id": { id: null } },
    BookUpdate: {
      "prices above 0, quantities not below": { bids: [1, -1] },
      "versions in order": { firstVersion: 2 },
      "a snapshot is not crossed": { bids: [3, 1, 1, 1] }
    },
    Ticker: {
      "last price between low and high": { lastPrice: 120 },
      // As if quote and base were exchanged.
      "quote volume / base volume is a price of the day": { baseVolume: 1_000, quoteVolume: 10 },
      // As if it were per cent.
      "change is a fraction of a price of the day": { change: -5 },
      "bid not above ask": { bidPrice: 101 }
    },
    Kline: {
      // As if it were seconds.
      "open time in ms, at the beginning of an interval": { openTime: 1_790_000_001 },
      "the present candle or the one before": { openTime: minute - 3_600_000 },
      "close time one interval later": { closeTime: minute + 3_600_000 },
      "low <= open, close <= high": { open: 80 },
      "quote volume / base volume is a price of the candle": { quoteVolume: 10_000 },
      "contracts x contract size is the base volume": { contractVolume: 10 }
    },
    FuturesTicker: {
      "last price between low and high": { lowPrice: 105 },
      "quote volume / base volume is a price of the day": { quoteVolume: 10 },
      "change is a fraction of a price of the day": { change: 5 },
      "mark and index within 5 % of the last price": { indexPrice: 80 },
      "funding rate is a fraction": { fundingRate: 0.1 },
      "next funding in ms, within a day": { nextFundingTime: 1_790_003_600 },
      "funding interval in ms, from an hour to a day": { fundingInterval: 28_800 },
      "contracts x contract size is the base volume": { contractVolume: 10 },
      "open interest not below 0": { openInterest: -1 }
    },
    Liquidation: {
      "price and quantity above 0": { quantity: -5 },
      "time in ms, of the last ten minutes": { exchangeTime: 1_790_000_000 }
    },
    ContractStats: {
      "time in ms, at the beginning of a recent interval": { exchangeTime: 1_790_000_000 },
      "open interest x contract size x mark is its value": { openInterestValue: 1_000 },
      "ratios and liquidations not below 0": { takerRatio: -1 }
    }
  }

  const brokenFor = (event: MarketEvent): ReadonlyArray<string> =>
    FieldRules.of(event).filter(({ holds }) => holds(event, swap) === false).map(({ claim }) => claim)

  for (const event of Object.values(healthy) as ReadonlyArray<MarketEvent>) {
    it(`hold of a healthy ${event._tag}, and each of them can be broken`, () => {
      assert.deepStrictEqual(brokenFor(event), [])
      for (const { shows } of FieldRules.of(event)) assert.notStrictEqual(shows(event, swap), "")
      const everywhere: Readonly<Record<string, object>> = {
        "names the pair of its symbol": { pair: "B/A:A" },
        ..."contractSize" in event ? { "knows the size of a contract, 1 on spot": { contractSize: null } } : {}
      }
      const claims = Object.entries({ ...everywhere, ...broken[event._tag] })
      for (const [claim, change] of claims) {
        assert.include(brokenFor({ ...event, ...change } as MarketEvent), claim)
      }
      const all = FieldRules.of(event).map(({ claim }) => claim)
      assert.sameMembers(claims.map(([claim]) => claim), all)
    })
  }

  it("say nothing where the event does not", () => {
    const empty = {
      ...healthy.FuturesTicker,
      highPrice: null,
      markPrice: null,
      nextFundingTime: null,
      openInterest: null
    }
    assert.deepStrictEqual(brokenFor(empty), [])
    const spotBook = { ...healthy.BookUpdate, contractSize: 1, kind: "delta", bids: [9, 1], asks: [] } as const
    assert.isTrue(FieldRules.of(spotBook).every(({ holds }) => holds(spotBook, spot) !== false))
  })
})

describe("fields of a feed", () => {
  const futures = Exchanges.get("gate-futures")
  const examineFutures = (gone: ReadonlyArray<string>) =>
    examine({
      adapter: futures,
      dialect: BrokenDialect.json<{ readonly event: string; readonly result: ReadonlyArray<object> }>(
        dialectOf("gate-futures"),
        "\"channel\":\"futures.tickers\"",
        (frame) =>
          frame.event === "update"
            ? {
              ...frame,
              result: frame.result.map((ticker) =>
                Object.fromEntries(Object.entries(ticker).filter(([name]) => !gone.includes(name)))
              )
            }
            : frame
      )
    })
  const ofTicker = (findings: ReadonlyArray<Finding>) =>
    findings.filter(({ check }) => check === "fields FuturesTicker")

  for (
    const [wire, field] of [
      ["mark_price", "markPrice"],
      ["index_price", "indexPrice"],
      ["funding_rate", "fundingRate"],
      ["funding_next_apply", "nextFundingTime"]
    ] as const
  ) {
    it.effect(`fail when ${wire} disappears`, () =>
      Effect.gen(function*() {
        assertFails((yield* examineFutures([wire])).findings, "fields FuturesTicker", `not there: ${field} (in `)
      }))
  }

  it.effect("tell the rules that could not be tested", () =>
    Effect.gen(function*() {
      const { findings } = yield* examineFutures(["volume_24h", "total_size"])
      assert.deepStrictEqual(failures(findings), [])
      assert.deepStrictEqual(
        ofTicker(findings).filter(({ status }) => status === "SKIP").map(({ evidence }) => evidence),
        [
          "never tested, for no event says so: contracts x contract size is the base volume; open interest not below 0"
        ]
      )
      const { findings: whole } = yield* examineFutures([])
      assert.deepStrictEqual(ofTicker(whole).map(({ status }) => status), ["PASS"])
    }))

  it.effect("show the values of one event", () =>
    Effect.gen(function*() {
      const { findings } = yield* examine({})
      for (const variant of ["Book", "Book order_book"]) {
        const { evidence } = findings.find(({ check }) => check === `fields ${variant}`)!
        const [, base] = /events: ([A-Z]+)_USDT is /u.exec(evidence) ?? []
        const [, bid] = /best ([0-9.]+) and /u.exec(evidence) ?? []
        const [, bids, asks] = /([0-9]+) bids, ([0-9]+) asks/u.exec(evidence) ?? []
        assert.isAbove(Number(bids), 0, evidence)
        assert.isAbove(Number(asks), 0, evidence)
        const price = findings.find(({ check }) => check === `prices ${base}/USDT`)!.evidence
        const [, last] = /Trades ([0-9.]+)/u.exec(price) ?? []
        assert.approximately(Number(bid), Number(last), Number(last) * 0.05, evidence)
      }
    }))
})

interface Json {
  readonly source: string
  readonly failed: number
  readonly passed: number
  readonly captures: {
    readonly directory: string
    readonly files: ReadonlyArray<string>
    readonly error: string | null
  }
  readonly findings: ReadonlyArray<{ readonly check: string; readonly status: string; readonly frame: string | null }>
}

describe("the command", () => {
  const directory = Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "doctor-test-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
  )

  it.live("examines the simulator, and saves frames that decode to what they say", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* directory
      const { code, stdout, stderr } = yield* CommandLine.run([
        "doctor",
        "gate-spot",
        "--duration=1500ms",
        "--json",
        `--captures=${folder}/new`
      ])
      const report = JSON.parse(stdout) as Json
      assert.strictEqual(report.source, "simulator")
      // A machine under load can miss a time that a check allows: that no check fails is shown in virtual time.
      assert.strictEqual(code, report.failed === 0 ? 0 : 1, stdout + stderr)
      assert.isAbove(report.passed, 20)
      assert.deepStrictEqual(report.captures.files.toSorted(), fs.readdirSync(`${folder}/new`).toSorted())
      const file = fs.readFileSync(`${folder}/new/gate-spot.spot.trades.jsonl`, "utf8")
      const [line = ""] = file.split("\n")
      const { expect, id } = JSON.parse(line) as { readonly id: string; readonly expect: object }
      const decoded = yield* CommandLine.run(["decode", "gate-spot"], { stdin: file })
      const again = JSON.parse(decoded.stdout.split("\n")[0]!) as { readonly events: ReadonlyArray<object> }
      // Without the instruments the pair is not known.
      const [expected] = (expect as { readonly events: ReadonlyArray<{ readonly pair: string }> }).events
      assert.deepStrictEqual({ ...again, events: [{ ...again.events[0], pair: expected!.pair }] }, {
        id,
        events: [expected]
      })
    })))

  it.live("ends with 1 when a check fails, prints it with the frame, and keeps the frame", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* directory
      const { code, stdout, stderr } = yield* CommandLine.run([
        "doctor",
        "gate-spot",
        "--duration=1s",
        "--pairs=BTC/USDT",
        "--fault=corrupt:2",
        `--captures=${folder}`
      ])
      assert.strictEqual(code, 1)
      assert.match(stdout, /^Gate spot \(gate-spot\) against the simulator: BTC\/USDT; \d+ frames in /)
      assert.match(stdout, /\nFAIL {2}decode failures +\d frames could not be read: .*\n {6}\{"/)
      assert.match(stdout, /\n\d+ passed, \d+ failed, \d+ skipped; captures: /)
      assert.match(stderr, /\d of \d+ checks failed/)
      assert.include(fs.readFileSync(`${folder}/gate-spot.failing.jsonl`, "utf8"), "DecodeFailed")
    })))

  it.live("ends with 2 before it examines when the captures have nowhere to go", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* directory
      fs.writeFileSync(`${folder}/file`, "")
      // Where no directory can be made a recursive call would never end.
      for (const captures of [`${folder}/file/x`, `${folder}/file`, "/proc/none/x"]) {
        const { code, stdout, stderr } = yield* CommandLine.run(["doctor", "gate-spot", `--captures=${captures}`])
        assert.strictEqual(code, 2, captures)
        assert.strictEqual(stdout, "")
        assert.include(stderr, `cannot save captures in ${captures}`)
      }
    })))

  it.live("prints what it found also when the captures cannot be saved", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* directory
      // Not each of them comes in so short a time, and one is enough.
      for (const channel of ["spot.book_ticker", "spot.obu", "spot.trades"]) {
        fs.mkdirSync(`${folder}/a/gate-spot.${channel}.jsonl`, { recursive: true })
      }
      const { code, stdout, stderr } = yield* CommandLine.run([
        "doctor",
        "gate-spot",
        "--duration=500ms",
        "--pairs=BTC/USDT",
        "--json",
        `--captures=${folder}/a`
      ])
      assert.strictEqual(code, 1)
      const report = JSON.parse(stdout) as Json
      assert.isAbove(report.passed, 20)
      assert.match(report.captures.error ?? "", /gate-spot\.spot\.\w+\.jsonl/)
      assert.include(stderr, "cannot save the captures")
    })))

  it.live("ends with 3 when it cannot connect, and with 2 when it is asked for what there is not", () =>
    Effect.gen(function*() {
      const nobody = ["--ws-url=ws://127.0.0.1:9", "--rest-url=http://127.0.0.1:9"]
      const unreachable = yield* CommandLine.run(["doctor", "gate-spot", ...nobody])
      assert.strictEqual(unreachable.code, 3)
      assert.include(unreachable.stderr, "cannot connect to ws://127.0.0.1:9")
      for (
        const [args, part] of [
          [["mexc-spot", "--testnet"], "MEXC spot has no test net"],
          [["gate-spot", "--testnet", "--live"], "exclude each other"],
          [["gate-spot", "--live", "--fault=drop"], "--fault needs the simulator"],
          [["gate-spot", "--ws-url=ws://127.0.0.1:9"], "needed together"]
        ] as const
      ) {
        const { code, stderr } = yield* CommandLine.run(["doctor", ...args])
        assert.strictEqual(code, 2)
        assert.include(stderr, part)
      }
    }))
})
