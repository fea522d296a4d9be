/** Captured, documented and constructed messages of Gate spot and Gate futures, with what they must decode to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { outcomeNames } from "../../scripts/prove/FrameAccount.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { Answer, BookRecipe, Codec, ExchangeAdapter, Topic } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import type { Call } from "./GateHarness.ts"
import {
  canonical,
  contractSize,
  decimalOf,
  decode,
  eventsOf,
  isFallback,
  levelsOf,
  pairOf,
  receivedAt,
  topicTable
} from "./GateHarness.ts"
import type { Raw } from "./SharedFixtures.ts"
import { bytesOf, hasShared, requireShared, shared } from "./SharedFixtures.ts"

type Pairs = ReadonlyArray<readonly [string, string]>

interface Symbol {
  readonly raw: string
  readonly base: string
  readonly quote: string
}

interface Expect {
  readonly kind?: string
  readonly error?: true
  readonly oneOf?: ReadonlyArray<string>
  readonly symbol?: Symbol
  readonly bid?: { readonly price: string; readonly size: string } | string | null
  readonly ask?: { readonly price: string; readonly size: string } | string | null
  readonly tsMs?: number
  readonly seq?: string
  readonly trades?: ReadonlyArray<{
    readonly symbol: Symbol
    readonly id: string
    readonly price: string
    readonly size: string
    readonly side: string
    readonly tsMs: number
  }>
  readonly tickers?: ReadonlyArray<Record<string, unknown>>
  readonly candles?: ReadonlyArray<Record<string, unknown>>
  readonly liquidations?: ReadonlyArray<Record<string, unknown>>
  readonly stats?: ReadonlyArray<Record<string, unknown>>
  readonly snapshot?: boolean
  readonly level?: number
  readonly firstId?: string
  readonly lastId?: string
  readonly bids?: Pairs
  readonly asks?: Pairs
  readonly bidCount?: number
  readonly askCount?: number
  readonly firstBid?: readonly [string, string]
  readonly lastBid?: readonly [string, string]
  readonly firstAsk?: readonly [string, string]
  readonly lastAsk?: readonly [string, string]
  readonly bestBid?: readonly [string, string]
  readonly bestAsk?: readonly [string, string]
  readonly request?: string
  readonly action?: "subscribe" | "unsubscribe"
  readonly channel?: string
  readonly ok?: boolean
  readonly requestId?: string
  readonly payload?: ReadonlyArray<string>
  readonly reconnect?: boolean
  readonly code?: number
  readonly message?: string
  readonly httpStatus?: number
  readonly label?: string
  readonly instruments?: ReadonlyArray<{
    readonly symbol: Symbol
    readonly pricePrecision: number
    readonly sizePrecision: number
    readonly minBase?: string
    readonly minQuote?: string
  }>
}

interface Case {
  readonly id: string
  readonly direction: "in" | "out" | "rest"
  readonly raw: Raw
  readonly expect: Expect
  readonly constructed?: boolean
}

interface Step {
  readonly direction: "in" | "rest"
  readonly raw: string
}

interface SequenceCase {
  readonly id: string
  readonly raw: { readonly steps: ReadonlyArray<Step> }
  readonly expect: {
    readonly outcome: "synced" | "not_synced"
    readonly appliedSteps: ReadonlyArray<number>
    readonly droppedSteps?: ReadonlyArray<number>
    readonly ignoredSteps?: ReadonlyArray<number>
    readonly bufferedSteps?: ReadonlyArray<number>
    readonly resyncAtSteps?: ReadonlyArray<number>
    readonly resubscribeAtSteps?: ReadonlyArray<number>
    readonly snapshotTooOldAtSteps?: ReadonlyArray<number>
    readonly final: Final | null
  }
}

interface Final {
  readonly lastId: string
  readonly bestBid: readonly [string, string]
  readonly bestAsk: readonly [string, string]
  readonly topBids: Pairs
  readonly topAsks: Pairs
  readonly bidLevels: number
  readonly askLevels: number
}

const textOf = (raw: Raw): string => Buffer.from(bytesOf(raw)).toString("utf8")

const exact = ([price, quantity]: readonly [string, string]): [string, string] => [
  canonical(price),
  canonical(quantity)
]

interface Subject {
  readonly adapter: ExchangeAdapter
  /** Of the shared files' names. */
  readonly files: string
  /** Of the channels' names on the wire. */
  readonly prefix: string
}

const spot: Subject = { adapter: gateSpot, files: "gateio-spot", prefix: "spot" }
const futures: Subject = { adapter: gateFutures, files: "gateio-futures", prefix: "futures" }

const codecOf = ({ adapter }: Subject): Codec => adapter.makeCodec(topicTable(adapter))

/** The only event of a frame. */
const theEvent = (calls: ReadonlyArray<Call>): MarketEvent => {
  const events = eventsOf(calls)
  assert.strictEqual(events.length, 1, JSON.stringify(calls.map((call) => call.call)))
  return events[0]!
}

const checkNames = ({ adapter }: Subject, event: MarketEvent, symbol: Symbol): void => {
  assert.strictEqual(event.symbol, symbol.raw)
  assert.strictEqual(
    event.pair,
    adapter.kind === "spot" ? `${symbol.base}/${symbol.quote}` : `${symbol.base}/${symbol.quote}:${symbol.quote}`
  )
  assert.strictEqual(event.receivedAt, receivedAt)
  if ("contractSize" in event) {
    assert.strictEqual(event.contractSize, adapter.kind === "spot" ? 1 : contractSize)
  }
}

/** What a fixture asserts of an event: each of its facts that has a name here. */
type Facts = Readonly<Record<string, (event: never) => unknown>>

const decimal = (name: string) => (event: { readonly exact: Readonly<Record<string, string>> | null }) =>
  decimalOf((event as unknown as Record<string, number | null>)[name]!, event.exact?.[name])

const sideOf = (name: "bid" | "ask") => (event: BookTicker) =>
  event[`${name}Price`] === null && event[`${name}Quantity`] === null ? null : {
    price: decimalOf(event[`${name}Price`], event.exact?.[`${name}Price`]),
    size: decimalOf(event[`${name}Quantity`], event.exact?.[`${name}Quantity`])
  }

const floor = (time: number | null) => time === null ? null : Math.floor(time)

const tickerFacts: Facts = {
  bid: sideOf("bid"),
  ask: sideOf("ask"),
  tsMs: (event: BookTicker) => event.exchangeTime,
  seq: (event: BookTicker) => Sequence.toText(event.version!)
}

const tradeFacts: Facts = {
  id: (event: Trade) => event.id,
  price: decimal("price"),
  size: decimal("quantity"),
  side: (event: Trade) => event.side,
  tsMs: (event: Trade) => floor(event.exchangeTime)
}

/** Our `change` is a fraction. */
const percent = (event: Ticker | FuturesTicker) => canonical(Numeric.toDecimal(Number(`${event.change}e2`)))

const dayFacts: Facts = {
  last: decimal("lastPrice"),
  bid: decimal("bidPrice"),
  ask: decimal("askPrice"),
  high: decimal("highPrice"),
  low: decimal("lowPrice"),
  baseVolume: decimal("baseVolume"),
  quoteVolume: decimal("quoteVolume"),
  changePercent: percent,
  tsMs: (event: Ticker) => event.exchangeTime
}

const futuresDayFacts: Facts = {
  last: decimal("lastPrice"),
  markPrice: decimal("markPrice"),
  indexPrice: decimal("indexPrice"),
  fundingRate: decimal("fundingRate"),
  openInterest: decimal("openInterest"),
  volume24h: decimal("contractVolume"),
  baseVolume24h: decimal("baseVolume"),
  quoteVolume24h: decimal("quoteVolume"),
  high: decimal("highPrice"),
  low: decimal("lowPrice"),
  changePercent: percent,
  nextFundingMs: (event: FuturesTicker) => event.nextFundingTime
}

const candleFacts: Facts = {
  interval: (event: Kline) => event.interval === "1w" ? "7d" : event.interval,
  openTimeMs: (event: Kline) => event.openTime,
  open: decimal("open"),
  high: decimal("high"),
  low: decimal("low"),
  close: decimal("close"),
  baseVolume: decimal("baseVolume"),
  quoteVolume: decimal("quoteVolume"),
  contracts: decimal("contractVolume"),
  closed: (event: Kline) => event.closed,
  priceType: (event: Kline) => event.price
}

const liquidationFacts: Facts = {
  price: decimal("price"),
  size: decimal("quantity"),
  orderSide: (event: Liquidation) => event.side,
  tsMs: (event: Liquidation) => event.exchangeTime
}

const statsFacts: Facts = {
  tsMs: (event: ContractStats) => event.exchangeTime,
  markPrice: decimal("markPrice"),
  openInterest: decimal("openInterest"),
  longLiqSize: decimal("longLiquidations"),
  shortLiqSize: decimal("shortLiquidations"),
  lsrTaker: decimal("takerRatio"),
  lsrAccount: decimal("accountRatio")
}

/** What the library does not offer: marks of trades, and a rate that Gate has deprecated. */
const unasserted = new Set(["symbol", "internal", "idMarket", "range", "fundingRateIndicative"])

/** Decimals as the event gives them; everything else as it is. */
const wanted = (fact: unknown): unknown => {
  if (typeof fact === "string" && /^-?\d+(\.\d+)?$/.test(fact)) return canonical(fact)
  if (typeof fact !== "object" || fact === null) return fact
  return Object.fromEntries(Object.entries(fact).map(([name, value]) => [name, wanted(value)]))
}

const checkFacts = (
  subject: Subject,
  tag: MarketEvent["_tag"],
  facts: Facts,
  events: ReadonlyArray<MarketEvent>,
  expected: ReadonlyArray<Readonly<Record<string, unknown>>>
): void => {
  assert.strictEqual(events.length, expected.length)
  for (const [index, expect] of expected.entries()) {
    const event = events[index]!
    assert.strictEqual(event._tag, tag)
    checkNames(subject, event, expect["symbol"] as Symbol)
    for (const [name, fact] of Object.entries(expect)) {
      if (unasserted.has(name)) continue
      const read = facts[name] as ((event: MarketEvent) => unknown) | undefined
      assert(read !== undefined, `nothing to compare ${name} with`)
      assert.deepStrictEqual(read(event), wanted(fact), name)
    }
  }
}

type Check = (subject: Subject, calls: ReadonlyArray<Call>, expect: Expect) => void

/** Every entry of the fixture's list against every event. */
const listed =
  (field: "trades" | "tickers" | "candles" | "liquidations" | "stats", tag: MarketEvent["_tag"], facts: Facts): Check =>
  (subject, calls, expect) => checkFacts(subject, tag, facts, eventsOf(calls), expect[field]!)

const checkTicker: Check = (subject, calls, expect) => {
  const { kind: _kind, tickers, ...alone } = expect
  checkFacts(subject, "BookTicker", tickerFacts, eventsOf(calls), tickers ?? [alone])
}

const checkDay: Check = (subject, calls, expect) => {
  const { kind: _kind, ...alone } = expect
  checkFacts(subject, "Ticker", dayFacts, eventsOf(calls), [alone])
}

const checkSide = (
  levels: ReadonlyArray<[string, string]>,
  list: Pairs | undefined,
  count: number | undefined,
  first: readonly [string, string] | undefined,
  last: readonly [string, string] | undefined
): void => {
  if (list !== undefined) {
    assert.deepStrictEqual(levels, list.map(exact))
  }
  if (count !== undefined) assert.strictEqual(levels.length, count)
  if (first !== undefined) assert.deepStrictEqual(levels[0], exact(first))
  if (last !== undefined) assert.deepStrictEqual(levels.at(-1), exact(last))
}

const checkBook = (subject: Subject, event: MarketEvent, expect: Expect): void => {
  assert(event._tag === "BookUpdate")
  if (expect.symbol !== undefined) checkNames(subject, event, expect.symbol)
  assert.strictEqual(event.kind, expect.snapshot === true ? "snapshot" : "delta")
  if (expect.lastId !== undefined) {
    assert.strictEqual(Sequence.toText(event.version), expect.lastId)
    assert.strictEqual(Sequence.toText(event.firstVersion), expect.firstId ?? expect.lastId)
  }
  if (expect.tsMs !== undefined) assert.strictEqual(event.exchangeTime, expect.tsMs)
  const [firstBid, firstAsk] = [expect.firstBid ?? expect.bestBid, expect.firstAsk ?? expect.bestAsk]
  checkSide(levelsOf(event, "bids"), expect.bids, expect.bidCount, firstBid, expect.lastBid)
  checkSide(levelsOf(event, "asks"), expect.asks, expect.askCount, firstAsk, expect.lastAsk)
}

/** Frames of single levels are of a retired event. */
const checkBooks: Check = (subject, calls, expect) => {
  if (expect.kind !== "depth_levels") return checkBook(subject, theEvent(calls), expect)
  assert.deepStrictEqual(calls.map(({ call }) => call), ["ignored"])
}

const checkSystem: Check = (_subject, calls, expect) => {
  assert.deepStrictEqual(calls.map(({ call }) => call), [expect.reconnect === true ? "closing" : "ignored"])
}

if (!hasShared) {
  describe("shared fixtures of Gate", () => {
    it("are here when they are required", (context) => {
      assert.isFalse(requireShared, "REQUIRE_FIXTURES=1 and no ../shared/fixtures")
      context.skip("no ../shared/fixtures")
    })
  })
}

const trades = listed("trades", "Trade", tradeFacts)
const candles = listed("candles", "Kline", candleFacts)

const messages: ReadonlyArray<readonly [subject: Subject, stream: string, check: Check]> = [
  [spot, "book_ticker", checkTicker],
  [spot, "trades", trades],
  [spot, "obu", checkBooks],
  [spot, "order_book_update", checkBooks],
  [spot, "order_book", checkBooks],
  [spot, "tickers", checkDay],
  [spot, "candlesticks", candles],
  [futures, "book_ticker", checkTicker],
  [futures, "trades", trades],
  [futures, "obu", checkBooks],
  [futures, "order_book_update", checkBooks],
  [futures, "order_book", checkBooks],
  [futures, "tickers", listed("tickers", "FuturesTicker", futuresDayFacts)],
  [futures, "candlesticks", candles],
  [futures, "public_liquidates", listed("liquidations", "Liquidation", liquidationFacts)],
  [futures, "contract_stats", listed("stats", "ContractStats", statsFacts)],
  [futures, "system", checkSystem]
]

/** Layouts of long ago: a book without id or time. Everything else that is not pretty-printed is read by the scanner. */
const unusual = new Set([
  "gateio-futures.futures.order_book/all-2020",
  "gateio-futures.futures.order_book/all-decimal-2026"
])

describe.runIf(hasShared)("messages", () => {
  for (const [subject, stream, check] of messages) {
    for (const fixture of shared<Case>(`${subject.files}.${subject.prefix}.${stream}.jsonl`)) {
      it(fixture.id, () => {
        const calls = decode(bytesOf(fixture.raw), codecOf(subject))
        check(subject, calls, fixture.expect)
        const isUsual = !/\s/.test(textOf(fixture.raw)) && !unusual.has(fixture.id)
        // Slow streams have no layout of their own, so that nothing falls back.
        const isScanned = !["candlesticks", "public_liquidates", "contract_stats", "system"].includes(stream)
        assert.strictEqual(isFallback(calls), isScanned && !isUsual)
      })
    }
  }

  it("the topic of an obu frame is its stream", () => {
    for (const { adapter, files, prefix } of [spot, futures]) {
      for (const fixture of shared<Case>(`${files}.${prefix}.obu.jsonl`)) {
        const topics = topicTable(adapter)
        decode(bytesOf(fixture.raw), adapter.makeCodec(topics))
        const { symbol, level } = fixture.expect
        assert.deepStrictEqual(topics.asked, [`${prefix}.obu|ob.${symbol!.raw}.${level}`])
      }
    }
  })
})

/** Streams with topics of ours. */
const ours = new Set([...messages.map(([{ prefix }, stream]) => `${prefix}.${stream}`)])

const isOurs = (expect: Expect): boolean => ours.has(expect.channel ?? "")

/** Their payload is of one topic. */
const isSingle = (channel: string): boolean => /\.(order_book|candlesticks|contract_stats)/.test(channel)

const topicKeys = (expect: Expect): ReadonlyArray<string> | null => {
  if (expect.payload === undefined) return null
  return isSingle(expect.channel!)
    ? [`${expect.channel}|${expect.payload.join("|")}`]
    : expect.payload.map((item) => `${expect.channel}|${item}`)
}

/** 20 levels at 100 ms are on offer there and not here, for frames could not be told from those at 20 ms. */
const isNobodys = (expect: Expect): boolean => expect.payload?.slice(1).join() === "100ms,20"

const checkAnswer = (answer: Answer, expect: Expect): void => {
  const { requestId, ...rest } = answer
  assert.deepStrictEqual(rest, { action: expect.action!, topics: isNobodys(expect) ? null : topicKeys(expect) })
  assert.strictEqual(requestId === null ? null : String(requestId), expect.requestId ?? null)
}

const checkControl = (calls: ReadonlyArray<Call>, expect: Expect): void => {
  assert.strictEqual(calls.length, 1)
  const call = calls[0]!
  if (expect.kind === "pong") return assert.strictEqual(call.call, "pong")
  // Answers about channels that are never asked for are answers all the same; their topics are nobody's.
  if (!isOurs(expect)) return assert.strictEqual(call.call, expect.kind === "ack" ? "acknowledged" : "rejected")
  if (call.call === "acknowledged") {
    assert.strictEqual(expect.kind, "ack")
    return checkAnswer(call.answer, expect)
  }
  assert(call.call === "rejected" && expect.kind === "error")
  checkAnswer(call.answer, expect)
  assert.strictEqual(call.refusal.code, String(expect.code ?? "none"))
  assert.strictEqual(call.refusal.detail, expect.message)
}

const stamp = { nowMillis: 1_746_000_000_123, nextId: () => 7 }

/** Compared as JSON, without what varies. */
const checkRequest = (
  { adapter }: Subject,
  raw: string,
  expect: Expect,
  skip: (reason: string) => void
): void => {
  const { time: _time, id: _id, ...sample } = JSON.parse(raw)
  if (expect.kind === "ping") {
    const { time, ...ping } = JSON.parse(String(adapter.heartbeat.ping(stamp)))
    assert.deepStrictEqual(ping, sample)
    return assert.strictEqual(time, 1_746_000_000)
  }
  if (!isOurs(expect)) return skip(`${expect.channel} is not offered`)
  const topics = topicKeys(expect)!.map((key): Topic => ({
    key,
    channel: "Book",
    symbol: "",
    pair: null,
    contractSize: 1,
    slot: null
  }))
  const frames = adapter.subscribe(topics, stamp).map((request) => JSON.parse(String(request.frame)))
  assert.deepStrictEqual(frames, [{ ...sample, time: 1_746_000_000, id: 7 }])
}

describe.runIf(hasShared)("control frames", () => {
  for (const subject of [spot, futures]) {
    for (const fixture of shared<Case>(`${subject.files}.control.jsonl`)) {
      it(fixture.id, (context) => {
        const raw = textOf(fixture.raw)
        if (fixture.direction === "out") {
          return checkRequest(subject, raw, fixture.expect, (reason) => context.skip(reason))
        }
        checkControl(decode(raw, codecOf(subject)), fixture.expect)
      })
    }
  }
})

const outcomes = outcomeNames

const outcomeOf = (call: Call): string => {
  switch (call.call) {
    case "event":
      return outcomes[call.event._tag]
    case "acknowledged":
      return "ack"
    case "rejected":
    case "failed":
      return "error"
    case "ignored":
      return "ignore"
    default:
      return call.call
  }
}

describe.runIf(hasShared)("malformed and awkward frames", () => {
  for (const subject of [spot, futures]) {
    for (const fixture of shared<Case>(`${subject.files}.malformed.jsonl`)) {
      it(fixture.id, () => {
        const calls = decode(bytesOf(fixture.raw), codecOf(subject)).filter((call) => call.call !== "fallback")
        assert.strictEqual(calls.length, 1)
        const outcome = outcomeOf(calls[0]!)
        const { expect } = fixture
        assert.include(expect.error === true ? ["error"] : expect.oneOf ?? [expect.kind!], outcome)
        assert.isUndefined(({} as Record<string, unknown>).polluted)
      })
    }
  }
})

// ---- REST ----

const clientOf = (status: number, body: string, requested: Array<string> = []): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    requested.push(`${url.pathname}${url.search}`)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
  })

const restOf = (adapter: ExchangeAdapter, status: number, body: string, requested: Array<string> = []) =>
  adapter.makeRest({
    client: clientOf(status, body, requested),
    url: "https://api.gateio.ws/api/v4",
    instrumentOf: (symbol) => {
      const [base = "", quote = ""] = symbol.split("_")
      return {
        exchange: adapter.id,
        pair: pairOf(adapter, symbol),
        symbol,
        kind: adapter.kind,
        base,
        quote,
        settle: adapter.kind === "spot" ? null : quote,
        status: "trading",
        priceStep: 1,
        quantityStep: 1,
        minQuantity: null,
        minNotional: null,
        contractSize: adapter.kind === "spot" ? 1 : contractSize
      }
    }
  })

const updateBook = { _tag: "Book", pair: "BTC/USDT", source: "order_book_update" } as const

const offeredKinds = ["depth", "instruments", "error"]

/** Compared by the account's tests. */
const accountKinds = ["orders", "user_trades", "positions", "balances"]

const checkRest = Effect.fnUntraced(function*(subject: Subject, { expect, raw }: Case) {
  const { adapter } = subject
  const requested: Array<string> = []
  const rest = restOf(adapter, expect.httpStatus ?? 200, textOf(raw), requested)
  if (expect.kind === "depth") {
    const book = yield* rest.book(expect.symbol?.raw ?? "ETH_USDT", updateBook, 0)
    if (expect.request !== undefined) assert.deepStrictEqual(requested, [expect.request])
    return checkBook(subject, { ...book, receivedAt }, expect)
  }
  if (expect.kind === "instruments") {
    const instruments = yield* rest.instruments
    return assert.deepStrictEqual(
      instruments.map((
        one
      ) => [one.symbol, one.pair, one.priceStep, one.quantityStep, one.minQuantity, one.minNotional]),
      expect.instruments!.map((one) => [
        one.symbol.raw,
        `${one.symbol.base}/${one.symbol.quote}` as const,
        Number(`1e-${one.pricePrecision}`),
        Number(`1e-${one.sizePrecision}`),
        one.minBase === undefined ? null : Number(one.minBase),
        one.minQuote === undefined ? null : Number(one.minQuote)
      ])
    )
  }
  const error: ExchangeError = yield* Effect.flip(rest.instruments)
  assert(error.reason._tag === "RequestFailed")
  assert.strictEqual(error.reason.code, expect.label)
  if (expect.message !== undefined) assert.strictEqual(error.reason.detail, expect.message)
  assert.strictEqual(error.reason.status, expect.httpStatus)
})

describe.runIf(hasShared)("REST bodies", () => {
  for (const subject of [spot, futures]) {
    for (const fixture of shared<Case>(`${subject.files}.rest.jsonl`)) {
      if (offeredKinds.includes(fixture.expect.kind!)) it.effect(fixture.id, () => checkRest(subject, fixture))
      else if (!accountKinds.includes(fixture.expect.kind!)) {
        it(fixture.id, (context) => context.skip(`no call for ${fixture.expect.kind}`))
      }
    }
  }
})

// ---- Sequences ----

/** A plain book, and what became of each step; only the recipe decides. */
class Follower {
  readonly applied: Array<number> = []
  readonly dropped: Array<number> = []
  readonly resync: Array<number> = []
  readonly tooOld: Array<number> = []
  pending: Array<{ readonly step: number; readonly update: BookUpdate }> = []
  last: Sequence.Sequence | null = null
  bids = new Map<string, string>()
  asks = new Map<string, string>()
  private readonly recipe: BookRecipe

  constructor(recipe: BookRecipe) {
    this.recipe = recipe
  }

  apply(step: number | null, update: BookUpdate): void {
    if (update.kind === "snapshot") {
      this.bids.clear()
      this.asks.clear()
    }
    for (const [map, side] of [[this.bids, "bids"], [this.asks, "asks"]] as const) {
      for (const [price, quantity] of levelsOf(update, side)) {
        if (quantity === "0") map.delete(price)
        else map.set(price, quantity)
      }
    }
    this.last = update.version
    if (step !== null) this.applied.push(step)
  }

  onUpdate(step: number, update: BookUpdate): void {
    if (update.kind === "snapshot") {
      this.pending = []
      return this.apply(step, update)
    }
    // Only a fetched snapshot is joined to what came before it.
    if (this.last === null && this.recipe.snapshot === "InStream") return void this.dropped.push(step)
    if (this.last === null) return void this.pending.push({ step, update })
    const verdict = this.recipe.follows(this.last, update)
    if (verdict === "apply") return this.apply(step, update)
    if (verdict === "stale") return void this.dropped.push(step)
    this.resync.push(step)
    this.last = null
    this.pending = [{ step, update }]
  }

  onSnapshot(step: number, snapshot: BookUpdate): void {
    while (this.pending.length > 0) {
      const verdict = this.recipe.joins(snapshot.version, this.pending[0]!.update)
      if (verdict === "apply") break
      if (verdict === "gap") return void this.tooOld.push(step)
      this.dropped.push(this.pending.shift()!.step)
    }
    const { pending } = this
    this.pending = []
    this.apply(null, snapshot)
    for (const { step: earlier, update } of pending) this.onUpdate(earlier, update)
  }

  side(name: "bids" | "asks"): Array<[string, string]> {
    const sign = name === "bids" ? -1 : 1
    return [...this[name]].sort(([a], [b]) => sign * (Number(a) - Number(b)))
  }
}

const checkFinal = (follower: Follower, final: Final | null): void => {
  if (final === null) return assert.isNull(follower.last)
  const [bids, asks] = [follower.side("bids"), follower.side("asks")]
  assert.strictEqual(Sequence.toText(follower.last!), final.lastId)
  assert.deepStrictEqual(bids[0], exact(final.bestBid))
  assert.deepStrictEqual(asks[0], exact(final.bestAsk))
  assert.deepStrictEqual(bids.slice(0, final.topBids.length), final.topBids.map(exact))
  assert.deepStrictEqual(asks.slice(0, final.topAsks.length), final.topAsks.map(exact))
  assert.deepStrictEqual([bids.length, asks.length], [final.bidLevels, final.askLevels])
}

const sequenceSources = [spot, futures].flatMap((subject) =>
  (["obu", "order_book_update"] as const).map((source) => [subject, source] as const)
)

describe.runIf(hasShared)("book sequences", () => {
  for (const [subject, source] of sequenceSources) {
    const { adapter, files, prefix } = subject
    for (const fixture of shared<SequenceCase>(`${files}.${prefix}.${source}.sequence.jsonl`)) {
      it.effect(fixture.id, () =>
        Effect.gen(function*() {
          const follower = new Follower(adapter.book({ _tag: "Book", pair: "BTC/USDT", source }))
          const codec = codecOf(subject)
          for (const [index, step] of fixture.raw.steps.entries()) {
            if (step.direction === "rest") {
              follower.onSnapshot(index, yield* restOf(adapter, 200, step.raw).book("BTC_USDT", updateBook, 0))
            } else {
              const calls = decode(step.raw, codec)
              assert.isFalse(isFallback(calls))
              follower.onUpdate(index, theEvent(calls) as BookUpdate)
            }
          }
          const { expect } = fixture
          assert.deepStrictEqual(follower.applied, expect.appliedSteps)
          assert.deepStrictEqual(follower.dropped, expect.droppedSteps ?? expect.ignoredSteps ?? [])
          assert.deepStrictEqual(follower.resync, expect.resyncAtSteps ?? expect.resubscribeAtSteps ?? [])
          assert.deepStrictEqual(follower.tooOld, expect.snapshotTooOldAtSteps ?? [])
          if (expect.bufferedSteps !== undefined) {
            assert.deepStrictEqual(follower.pending.map(({ step }) => step), expect.bufferedSteps)
          }
          checkFinal(follower, expect.final)
        }))
    }
  }
})
