/** Captured, documented and constructed messages of Gate spot, with what they must decode to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { outcomeNames } from "../../scripts/prove/FrameAccount.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { Answer, BookRecipe, Topic } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as GateDecode from "../../src/exchanges/gate/GateDecode.ts"
import * as GateRest from "../../src/exchanges/gate/GateRest.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import type { Call, Raw } from "./GateHarness.ts"
import {
  canonical,
  decimalOf,
  decode,
  eventsOf,
  hasShared,
  isFallback,
  levelsOf,
  rawBytes,
  receivedAt,
  requireShared,
  shared,
  topicTable
} from "./GateHarness.ts"

type Pairs = ReadonlyArray<readonly [string, string]>

interface Expect {
  readonly kind?: string
  readonly error?: true
  readonly oneOf?: ReadonlyArray<string>
  readonly symbol?: { readonly raw: string; readonly base: string; readonly quote: string }
  readonly bid?: { readonly price: string; readonly size: string } | null
  readonly ask?: { readonly price: string; readonly size: string } | null
  readonly tsMs?: number
  readonly seq?: string
  readonly trades?: ReadonlyArray<{
    readonly symbol: { readonly raw: string; readonly base: string; readonly quote: string }
    readonly id: string
    readonly price: string
    readonly size: string
    readonly side: string
    readonly tsMs: number
  }>
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
  readonly code?: number
  readonly message?: string
  readonly httpStatus?: number
  readonly label?: string
  readonly instruments?: ReadonlyArray<{
    readonly symbol: { readonly raw: string; readonly base: string; readonly quote: string }
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

const textOf = (raw: Raw): string => Buffer.from(rawBytes(raw)).toString("utf8")

const exact = ([price, quantity]: readonly [string, string]): [string, string] => [
  canonical(price),
  canonical(quantity)
]

/** The only event of a frame. */
const theEvent = (calls: ReadonlyArray<Call>): MarketEvent => {
  const events = eventsOf(calls)
  assert.strictEqual(events.length, 1, JSON.stringify(calls.map((call) => call.call)))
  return events[0]!
}

const checkNames = (event: MarketEvent, symbol: NonNullable<Expect["symbol"]>): void => {
  assert.strictEqual(event.symbol, symbol.raw)
  assert.strictEqual(event.pair, `${symbol.base}/${symbol.quote}`)
  assert.strictEqual(event.receivedAt, receivedAt)
}

const checkTicker = (event: MarketEvent, expect: Expect): void => {
  assert(event._tag === "BookTicker")
  checkNames(event, expect.symbol!)
  const side = (price: number | null, quantity: number | null, name: "bid" | "ask") =>
    price === null && quantity === null ? null : {
      price: decimalOf(price, event.exact?.[`${name}Price`]),
      size: decimalOf(quantity, event.exact?.[`${name}Quantity`])
    }
  const wanted = (text: Expect["bid"]) =>
    text === null || text === undefined ? null : { price: canonical(text.price), size: canonical(text.size) }
  assert.deepStrictEqual(side(event.bidPrice, event.bidQuantity, "bid"), wanted(expect.bid))
  assert.deepStrictEqual(side(event.askPrice, event.askQuantity, "ask"), wanted(expect.ask))
  assert.strictEqual(event.exchangeTime, expect.tsMs!)
  assert.strictEqual(Sequence.toText(event.version!), expect.seq)
}

const checkTrade = (event: MarketEvent, expect: Expect): void => {
  assert(event._tag === "Trade")
  const [trade] = expect.trades!
  assert(trade !== undefined && expect.trades!.length === 1)
  checkNames(event, trade.symbol)
  assert.deepStrictEqual(
    {
      id: event.id,
      price: decimalOf(event.price, event.exact?.price),
      size: decimalOf(event.quantity, event.exact?.quantity),
      side: event.side,
      tsMs: Math.floor(event.exchangeTime!)
    },
    {
      id: trade.id,
      price: canonical(trade.price),
      size: canonical(trade.size),
      side: trade.side,
      tsMs: trade.tsMs
    } as {
      id: string
      price: string
      size: string
      side: "buy" | "sell"
      tsMs: number
    }
  )
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

const checkBook = (event: MarketEvent, expect: Expect): void => {
  assert(event._tag === "BookUpdate")
  checkNames(event, expect.symbol!)
  assert.strictEqual(event.kind, expect.snapshot === true ? "snapshot" : "delta")
  assert.strictEqual(Sequence.toText(event.version), expect.lastId)
  assert.strictEqual(Sequence.toText(event.firstVersion), expect.firstId ?? expect.lastId)
  if (expect.tsMs !== undefined) assert.strictEqual(event.exchangeTime, expect.tsMs)
  const [firstBid, firstAsk] = [expect.firstBid ?? expect.bestBid, expect.firstAsk ?? expect.bestAsk]
  checkSide(levelsOf(event, "bids"), expect.bids, expect.bidCount, firstBid, expect.lastBid)
  checkSide(levelsOf(event, "asks"), expect.asks, expect.askCount, firstAsk, expect.lastAsk)
}

const wireChannels = ["spot.book_ticker", "spot.trades", "spot.obu", "spot.order_book_update"]

if (!hasShared) {
  describe("shared fixtures of gate-spot", () => {
    it("are here when they are required", (context) => {
      assert.isFalse(requireShared, "REQUIRE_FIXTURES=1 and no ../shared/fixtures")
      context.skip("no ../shared/fixtures")
    })
  })
}

describe.runIf(hasShared)("messages", () => {
  for (
    const [file, check] of [
      ["gateio-spot.spot.book_ticker.jsonl", checkTicker],
      ["gateio-spot.spot.trades.jsonl", checkTrade],
      ["gateio-spot.spot.obu.jsonl", checkBook],
      ["gateio-spot.spot.order_book_update.jsonl", checkBook]
    ] as const
  ) {
    for (const fixture of shared<Case>(file)) {
      it(fixture.id, () => {
        const calls = decode(rawBytes(fixture.raw))
        check(theEvent(calls), fixture.expect)
        // Pretty-printed samples of the documents are no layout of the wire; everything else is.
        assert.strictEqual(isFallback(calls), /\s/.test(textOf(fixture.raw)))
      })
    }
  }

  it("the topic of an obu frame is its stream", () => {
    for (const fixture of shared<Case>("gateio-spot.spot.obu.jsonl")) {
      const topics = topicTable()
      decode(rawBytes(fixture.raw), GateDecode.make(topics))
      const { symbol, level } = fixture.expect
      assert.deepStrictEqual(topics.asked, [`spot.obu|ob.${symbol!.raw}.${level}`])
    }
  })
})

const isOurs = (expect: Expect): boolean => wireChannels.includes(expect.channel ?? "")

const topicKeys = (expect: Expect): ReadonlyArray<string> | null => {
  if (expect.payload === undefined) return null
  return expect.channel === "spot.order_book_update"
    ? [`${expect.channel}|${expect.payload.join("|")}`]
    : expect.payload.map((item) => `${expect.channel}|${item}`)
}

const checkAnswer = (answer: Answer, expect: Expect): void => {
  const { requestId, ...rest } = answer
  assert.deepStrictEqual(rest, { action: expect.action!, topics: topicKeys(expect) })
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
const checkRequest = (raw: string, expect: Expect, skip: (reason: string) => void): void => {
  const { time: _time, id: _id, ...sample } = JSON.parse(raw)
  if (expect.kind === "ping") {
    const { time, ...ping } = JSON.parse(String(gateSpot.heartbeat.ping(stamp)))
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
  const frames = gateSpot.subscribe(topics, stamp).map((request) => JSON.parse(String(request.frame)))
  assert.deepStrictEqual(frames, [{ ...sample, time: 1_746_000_000, id: 7 }])
}

describe.runIf(hasShared)("control frames", () => {
  for (const fixture of shared<Case>("gateio-spot.control.jsonl")) {
    it(fixture.id, (context) => {
      const raw = textOf(fixture.raw)
      if (fixture.direction === "out") return checkRequest(raw, fixture.expect, (reason) => context.skip(reason))
      checkControl(decode(raw), fixture.expect)
    })
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
  for (const fixture of shared<Case>("gateio-spot.malformed.jsonl")) {
    it(fixture.id, () => {
      const calls = decode(rawBytes(fixture.raw)).filter((call) => call.call !== "fallback")
      assert.strictEqual(calls.length, 1)
      const outcome = outcomeOf(calls[0]!)
      assert.include(fixture.expect.error === true ? ["error"] : fixture.expect.oneOf!, outcome)
      assert.isUndefined(({} as Record<string, unknown>).polluted)
    })
  }
})

// ---- REST ----

const clientOf = (status: number, body: string, requested: Array<string> = []): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    requested.push(`${url.pathname}${url.search}`)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
  })

const restOf = (status: number, body: string, requested: Array<string> = []) =>
  GateRest.make({
    client: clientOf(status, body, requested),
    url: "https://api.gateio.ws/api/v4",
    instrumentOf: (symbol) => {
      const [base = "", quote = ""] = symbol.split("_")
      return {
        exchange: "gate-spot",
        pair: `${base}/${quote}`,
        symbol,
        kind: "spot",
        base,
        quote,
        settle: null,
        status: "trading",
        priceStep: 1,
        quantityStep: 1,
        minQuantity: null,
        minNotional: null,
        contractSize: 1
      }
    }
  })

const updateBook = { _tag: "Book", pair: "BTC/USDT", source: "order_book_update" } as const

const offeredKinds = ["depth", "instruments", "error"]

describe.runIf(hasShared)("REST bodies", () => {
  for (const fixture of shared<Case>("gateio-spot.rest.jsonl")) {
    const { expect } = fixture
    if (!offeredKinds.includes(expect.kind!)) {
      it(fixture.id, (context) => context.skip(`no call for ${expect.kind}`))
      continue
    }
    it.effect(fixture.id, () =>
      Effect.gen(function*() {
        const raw = textOf(fixture.raw)
        const requested: Array<string> = []
        const rest = restOf(expect.httpStatus ?? 200, raw, requested)
        if (expect.kind === "depth") {
          const book = yield* rest.book(expect.symbol!.raw, updateBook, 0)
          assert.deepStrictEqual(requested, [expect.request])
          checkBook({ ...book, receivedAt }, expect)
        } else if (expect.kind === "instruments") {
          const instruments = yield* rest.instruments
          assert.deepStrictEqual(
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
        } else {
          const error: ExchangeError = yield* Effect.flip(rest.instruments)
          assert(error.reason._tag === "RequestFailed")
          assert.strictEqual(error.reason.code, expect.label)
          assert.strictEqual(error.reason.detail, expect.message)
          assert.strictEqual(error.reason.status, expect.httpStatus)
        }
      }))
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

const sequenceSources = [
  ["gateio-spot.spot.obu.sequence.jsonl", "obu"],
  ["gateio-spot.spot.order_book_update.sequence.jsonl", "order_book_update"]
] as const

describe.runIf(hasShared)("book sequences", () => {
  for (const [file, source] of sequenceSources) {
    for (const fixture of shared<SequenceCase>(file)) {
      it.effect(fixture.id, () =>
        Effect.gen(function*() {
          const follower = new Follower(gateSpot.book({ _tag: "Book", pair: "BTC/USDT", source }))
          const codec = GateDecode.make(topicTable())
          for (const [index, step] of fixture.raw.steps.entries()) {
            if (step.direction === "rest") {
              follower.onSnapshot(index, yield* restOf(200, step.raw).book("BTC_USDT", updateBook, 0))
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
