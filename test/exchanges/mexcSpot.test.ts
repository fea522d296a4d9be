import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { outcomeNames } from "../../scripts/prove/FrameAccount.ts"
import type { BookChannel, PublicChannel } from "../../src/domain/Channel.ts"
import { everyPair } from "../../src/domain/Channel.ts"
import type { BookTicker, BookUpdate, Kline, Ticker, Trade } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { BookRecipe, Stamp, Topic } from "../../src/ExchangeAdapter.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { AggreTag, Call, Own, Shared, Step } from "./MexcFrames.ts"
import {
  canonical,
  channelOf,
  decode,
  eventsOf,
  exactly,
  levelsOf,
  pairOfSymbol,
  sideOf,
  tagsOf,
  tradeOf
} from "./MexcFrames.ts"
import type { Raw } from "./SharedFixtures.ts"
import { bytesOf, hasShared, own, shared, withFixtures } from "./SharedFixtures.ts"

// ---- shared fixtures ------------------------------------------------------------------------------------------------

interface Expect {
  readonly kind?: string
  readonly error?: boolean
  readonly oneOf?: ReadonlyArray<string>
  readonly symbol?: { readonly raw: string; readonly base?: string; readonly quote?: string }
  readonly channel?: string
  readonly tsMs?: number
  readonly seq?: string
  readonly bid?: { readonly price: string; readonly size: string } | null
  readonly ask?: { readonly price: string; readonly size: string } | null
  readonly trades?: ReadonlyArray<Record<string, unknown>>
  readonly candles?: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly tickers?: ReadonlyArray<ExpectedTicker>
  readonly createMs?: number
  readonly count?: number
  readonly first?: Record<string, unknown>
  /** Of a list the last item, of a ticker its price. */
  readonly last?: Record<string, unknown> | string
  readonly firstId?: string
  readonly lastId?: string
  readonly bids?: ReadonlyArray<readonly [string, string]>
  readonly asks?: ReadonlyArray<readonly [string, string]>
  readonly accepted?: ReadonlyArray<string>
  readonly refused?: ReadonlyArray<string>
  readonly reason?: string
  readonly requestId?: string
  readonly code?: number
  readonly message?: string
  readonly reply?: string
}

interface ExpectedTicker {
  readonly symbol?: { readonly raw: string }
  readonly bid?: { readonly price: string; readonly size: string } | null
  readonly ask?: { readonly price: string; readonly size: string } | null
  readonly last?: string
  readonly high?: string
  readonly low?: string
  readonly quoteVolume?: string
  readonly baseVolume?: string
  readonly changeRate?: string
}

const only = <A>(values: ReadonlyArray<A>): A => {
  assert.strictEqual(values.length, 1)
  return values[0]!
}

const callsOf = <Tag extends Call["_tag"]>(calls: ReadonlyArray<Call>, tag: Tag) =>
  calls.filter((call): call is Extract<Call, { readonly _tag: Tag }> => call._tag === tag)

const checkTopic = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  for (const { topic, event } of callsOf(calls, "event")) {
    if (expected.channel !== undefined) assert.strictEqual(topic.key, expected.channel)
    if (topic.symbol === "*") continue
    assert.strictEqual(event.symbol, expected.symbol?.raw)
    assert.strictEqual(event.pair, topic.pair)
  }
}

const decimalSide = (side: { readonly price: string; readonly size: string } | null) =>
  side === null ? null : { price: canonical(side.price), size: canonical(side.size) }

const checkTicker = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const ticker = only(eventsOf(calls)) as BookTicker
  assert.strictEqual(ticker._tag, "BookTicker")
  assert.deepStrictEqual(sideOf(ticker, "bid"), decimalSide(expected.bid ?? null))
  assert.deepStrictEqual(sideOf(ticker, "ask"), decimalSide(expected.ask ?? null))
  assert.strictEqual(ticker.exchangeTime, expected.tsMs)
  assert.strictEqual(ticker.version === null ? undefined : Sequence.toText(ticker.version), expected.seq)
}

const checkTrade = (trade: Trade, expected: Readonly<Record<string, unknown>>): void => {
  const found: Readonly<Record<string, unknown>> = tradeOf(trade)
  for (const [key, value] of Object.entries(expected)) {
    assert.strictEqual(found[key], key === "price" || key === "size" ? canonical(String(value)) : value, key)
  }
}

const checkTrades = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const trades = eventsOf(calls) as ReadonlyArray<Trade>
  const all = expected.trades ??
    [
      expected.first!,
      ...new Array<undefined>(expected.count! - 2).fill(undefined),
      expected.last as Readonly<Record<string, unknown>>
    ]
  assert.strictEqual(trades.length, all.length)
  for (const [index, trade] of trades.entries()) checkTrade(trade, all[index] ?? {})
}

type Rows = ReadonlyArray<readonly [string, string]>

const sorted = (levels: Rows): Rows =>
  levels.map(([price, size]) => [canonical(price), canonical(size)] as const).toSorted(([a], [b]) =>
    Number(a) - Number(b)
  )

const checkUpdate = (update: BookUpdate, expected: Expect & { readonly snapshot?: boolean }): void => {
  assert.strictEqual(update.kind, expected.snapshot === true ? "snapshot" : "delta")
  assert.deepStrictEqual(sorted(levelsOf(update, "bids")), sorted(expected.bids!))
  assert.deepStrictEqual(sorted(levelsOf(update, "asks")), sorted(expected.asks!))
  assert.strictEqual(Sequence.toText(update.version), expected.lastId)
  if (expected.firstId !== undefined) assert.strictEqual(Sequence.toText(update.firstVersion), expected.firstId)
  if (expected.tsMs !== undefined) assert.strictEqual(update.exchangeTime, expected.tsMs)
}

/** The first of a batch is checked like a single one, and all of them side by side. */
const checkBatch = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const tickers = eventsOf(calls) as ReadonlyArray<BookTicker>
  assert.deepStrictEqual(
    tickers.map((ticker) => [sideOf(ticker, "bid"), sideOf(ticker, "ask")]),
    expected.tickers!.map(({ ask = null, bid = null }) => [decimalSide(bid), decimalSide(ask)])
  )
  for (const { exchangeTime, version } of tickers) {
    assert.strictEqual(exchangeTime, expected.tsMs)
    assert.strictEqual(version === null ? undefined : Sequence.toText(version), expected.seq)
  }
}

/** Fields of a ticker by the names of the fixtures. */
const tickerFields = {
  last: "lastPrice",
  high: "highPrice",
  low: "lowPrice",
  quoteVolume: "quoteVolume",
  baseVolume: "baseVolume",
  changeRate: "change"
} as const

const checkMiniTicker = (ticker: Ticker, expected: ExpectedTicker): void => {
  assert.strictEqual(ticker._tag, "Ticker")
  for (const [name, field] of Object.entries(tickerFields)) {
    const wanted = expected[name as keyof typeof tickerFields]
    if (wanted === undefined) continue
    assert.strictEqual(exactly(ticker, field, ticker[field] ?? Number.NaN), canonical(wanted), name)
  }
}

const checkMiniTickers = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const tickers = eventsOf(calls) as ReadonlyArray<Ticker>
  const all = expected.tickers ??
    [
      expected.first!,
      ...Array.from({ length: expected.count! - 2 }, () => ({})),
      expected.last as Readonly<Record<string, unknown>>
    ]
  assert.strictEqual(tickers.length, all.length)
  for (const [index, wanted] of all.entries()) {
    const ticker = tickers[index]!
    checkMiniTicker(ticker, wanted)
    const { symbol } = wanted as ExpectedTicker
    if (symbol !== undefined) assert.strictEqual(ticker.symbol, symbol.raw)
    assert.strictEqual(ticker.pair, pairOfSymbol(ticker.symbol))
    if (expected.tsMs !== undefined) assert.strictEqual(ticker.exchangeTime, expected.tsMs)
  }
}

const intervalOf: Readonly<Record<string, Kline["interval"]>> = { Min1: "1m", Day1: "1d", Month1: "1M" }

const checkCandles = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const kline = only(eventsOf(calls)) as Kline
  const { closeTimeMs, interval, openTimeMs, ...decimals } = only(expected.candles!)
  assert.strictEqual(kline._tag, "Kline")
  assert.strictEqual(kline.interval, intervalOf[String(interval)])
  assert.deepStrictEqual([kline.openTime, kline.closeTime], [openTimeMs, closeTimeMs] as Array<unknown>)
  for (const [field, text] of Object.entries(decimals)) {
    const value = kline[field as "open" | "high" | "low" | "close" | "baseVolume" | "quoteVolume"]
    assert.strictEqual(exactly(kline, field, value ?? Number.NaN), canonical(String(text)), field)
  }
  assert.strictEqual(kline.exchangeTime, expected.createMs)
  assert.deepInclude(kline, { price: "last", closed: null, contractVolume: null })
}

const checkRequestId = (requestId: number | string | null, expected: Expect): void => {
  if (expected.requestId !== undefined) assert.strictEqual(String(requestId), expected.requestId)
}

const checkError = (calls: ReadonlyArray<Call>, expected: Expect): void => {
  const { answer, refusal } = only(callsOf(calls, "rejected"))
  checkRequestId(answer.requestId, expected)
  if (expected.refused !== undefined) {
    assert.deepStrictEqual(answer.topics, expected.refused)
    assert.include(refusal.detail, expected.reason!)
    assert.strictEqual(refusal.class, "item")
  } else {
    assert.strictEqual(refusal.code, String(expected.code))
    assert.strictEqual(refusal.detail, expected.message)
  }
}

const checks: Readonly<Record<string, (calls: ReadonlyArray<Call>, expected: Expect) => void>> = {
  book_ticker: checkTicker,
  book_tickers: checkBatch,
  ticker: (calls, expected) => {
    const ticker = only(eventsOf(calls)) as Ticker
    checkMiniTicker(ticker, expected as ExpectedTicker)
    assert.strictEqual(ticker.exchangeTime, expected.tsMs)
  },
  tickers: checkMiniTickers,
  candles: checkCandles,
  trades: checkTrades,
  depth: (calls, expected) => checkUpdate(only(eventsOf(calls)) as BookUpdate, expected),
  ack: (calls, expected) => {
    const { answer } = only(callsOf(calls, "acknowledged"))
    assert.deepStrictEqual(answer.topics, expected.accepted)
    checkRequestId(answer.requestId, expected)
  },
  error: checkError,
  pong: (calls) => assert.deepStrictEqual(tagsOf(calls), ["pong"]),
  ping: (calls, expected) => assert.strictEqual(only(callsOf(calls, "reply")).frame, expected.reply),
  ignore: (calls) => assert.deepStrictEqual(tagsOf(calls), ["ignored"])
}

/** What an outcome of `oneOf` is called, by what came of the frame. */
const outcomes = (calls: ReadonlyArray<Call>): ReadonlyArray<string> => {
  const names = { failed: "error", rejected: "error", ignored: "ignore", acknowledged: "ack", pong: "pong" } as const
  return calls.flatMap((call) => {
    if (call._tag === "event") return [outcomeNames[call.event._tag]]
    return call._tag in names ? [names[call._tag as keyof typeof names]] : []
  })
}

/** Channels that this adapter does not read: their frames are ignored. */
const privateFiles = ["private.account", "private.deals", "private.orders"]

const checkInbound = (fixture: Shared): void => {
  const calls = decode(bytesOf(fixture.raw as Raw))
  const expected = fixture.expect as Expect
  assert.isNotEmpty(calls)
  if (expected.oneOf !== undefined) {
    const found = new Set(outcomes(calls))
    assert.isNotEmpty([...found])
    for (const outcome of found) assert.include(expected.oneOf, outcome)
  } else if (expected.error === true) {
    assert.deepStrictEqual(outcomes(calls), ["error"])
  } else {
    checks[expected.kind!]!(calls, expected)
    checkTopic(calls, expected)
  }
}

const inboundFiles = [
  "aggre.bookTicker",
  "aggre.deals",
  "aggre.depth",
  "bookTicker.batch",
  "control",
  "kline",
  "limit.depth",
  "malformed",
  "miniTicker",
  "miniTickers"
]

const areThere = (): void => assert.isTrue(hasShared)

describe("MEXC spot, shared fixtures", () => {
  withFixtures("are there", areThere)

  for (const fixture of inboundFiles.flatMap((file) => shared<Shared>(`mexc-spot.${file}.jsonl`))) {
    if (fixture.direction === "in") it(fixture.id, () => checkInbound(fixture))
  }

  const privates = privateFiles.flatMap((file) => shared<Shared>(`mexc-spot.${file}.jsonl`))

  withFixtures("ignores the frames of private channels, which have connections of their own", () => {
    assert.isNotEmpty(privates)
    for (const { raw } of privates) assert.deepStrictEqual(tagsOf(decode(bytesOf(raw as Raw))), ["ignored"])
  })

  for (const fixture of shared<Shared>("mexc-spot.control.jsonl").filter(({ direction }) => direction === "out")) {
    const { kind } = fixture.expect as { readonly kind: string }
    if (kind === "ping") {
      it(fixture.id, () => {
        assert.deepStrictEqual(parse(mexcSpot.heartbeat.ping(stamp())), parse(fixture.raw as string))
      })
    }
  }
})

const parse = (frame: string | Uint8Array): unknown =>
  JSON.parse(typeof frame === "string" ? frame : new TextDecoder().decode(frame))

// ---- REST fixtures --------------------------------------------------------------------------------------------------

const restFor = (status: number, body: string) =>
  mexcSpot.makeRest({
    client: HttpClient.make((request) =>
      Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
    ),
    url: "http://mexc.test",
    instrumentOf: () => undefined
  })

const bookChannel: BookChannel = { _tag: "Book", pair: "BTC/USDT" }

const snapshotOf = (raw: string) => restFor(200, raw).book("BTCUSDT", bookChannel, 0)

/** Answers of an account: `mexcAccount.test.ts`. */
const accountKinds: ReadonlySet<string> = new Set(["order_ack", "user_trades", "listen_key"])

const restKinds: Readonly<Record<string, (fixture: Shared) => Effect.Effect<void, unknown>>> = {
  depth: ({ raw, expect }) => Effect.map(snapshotOf(raw as string), (update) => checkUpdate(update, expect as Expect)),
  error: ({ raw, expect }) => {
    const { httpStatus, code, message } = expect as {
      readonly httpStatus: number
      readonly code?: number
      readonly message?: string
    }
    return restFor(httpStatus, raw as string).serverTime.pipe(
      Effect.flip,
      Effect.map(({ reason }) => {
        assert(reason._tag === "RequestFailed")
        assert.strictEqual(reason.status, httpStatus)
        assert.strictEqual(reason.code, String(code ?? httpStatus))
        if (message !== undefined) assert.strictEqual(reason.detail, message)
      })
    )
  }
}

describe("MEXC spot, shared REST fixtures", () => {
  withFixtures("are there", areThere)

  for (const fixture of shared<Shared>("mexc-spot.rest.jsonl")) {
    const kind = String(fixture.expect["kind"])
    const check = restKinds[kind]
    if (accountKinds.has(kind)) continue
    if (check === undefined) it.skip(`${fixture.id} (no call of the adapter answers with ${kind})`, () => undefined)
    else it.effect(fixture.id, () => check(fixture))
  }
})

// ---- sequences ------------------------------------------------------------------------------------------------------

interface Outcome {
  readonly outcome: string
  readonly appliedSteps: ReadonlyArray<number>
  readonly droppedSteps: ReadonlyArray<number>
  readonly resyncAtSteps: ReadonlyArray<number>
  readonly snapshotTooOldAtSteps: ReadonlyArray<number>
  readonly final: unknown
}

/** A book by the recipe alone, as the fixtures describe it: buffer, join, follow, begin again. */
class RecipeDriver {
  readonly #recipe: BookRecipe
  #pending: Array<readonly [step: number, update: BookUpdate]> = []
  #bids = new Map<number, number>()
  #asks = new Map<number, number>()
  #last: Sequence.Sequence | null = null
  #joined = false
  readonly #applied: Array<number> = []
  readonly #dropped: Array<number> = []
  readonly #resyncs: Array<number> = []
  readonly #tooOld: Array<number> = []

  constructor(recipe: BookRecipe) {
    this.#recipe = recipe
  }

  snapshot(step: number, snapshot: BookUpdate): void {
    this.#bids = new Map()
    this.#asks = new Map()
    this.#write(snapshot)
    this.#joined = false
    const pending = this.#pending
    this.#pending = []
    for (const [index, [at, update]] of pending.entries()) {
      if (this.#update(at, update)) continue
      this.#tooOld.push(step)
      this.#pending = pending.slice(index)
      return
    }
  }

  update(step: number, update: BookUpdate): void {
    if (this.#last === null) return void this.#pending.push([step, update])
    if (this.#update(step, update)) return
    this.#resyncs.push(step)
    this.#pending = [[step, update]]
  }

  /** False when the book is lost. */
  #update(step: number, update: BookUpdate): boolean {
    const verdict = this.#joined ? this.#recipe.follows(this.#last!, update) : this.#recipe.joins(this.#last!, update)
    if (verdict === "stale") {
      this.#dropped.push(step)
      return true
    }
    if (verdict === "gap") {
      this.#last = null
      return false
    }
    this.#joined = true
    this.#applied.push(step)
    this.#write(update)
    return true
  }

  #write(update: BookUpdate): void {
    this.#last = update.version
    for (const [side, flat] of [[this.#bids, update.bids], [this.#asks, update.asks]] as const) {
      for (let i = 0; i < flat.length; i += 2) {
        if (flat[i + 1] === 0) side.delete(flat[i]!)
        else side.set(flat[i]!, flat[i + 1]!)
      }
    }
  }

  get outcome(): Outcome {
    const bids = rows(this.#bids, -1)
    const asks = rows(this.#asks, 1)
    return {
      outcome: this.#last === null ? "not_synced" : "synced",
      appliedSteps: this.#applied,
      droppedSteps: this.#dropped,
      resyncAtSteps: this.#resyncs,
      snapshotTooOldAtSteps: this.#tooOld,
      final: this.#last === null ? null : {
        lastId: Sequence.toText(this.#last),
        bestBid: bids[0] ?? null,
        bestAsk: asks[0] ?? null,
        topBids: bids.slice(0, 5),
        topAsks: asks.slice(0, 5),
        bidLevels: bids.length,
        askLevels: asks.length
      }
    }
  }
}

const rows = (side: ReadonlyMap<number, number>, direction: 1 | -1): Rows =>
  [...side].toSorted(([a], [b]) => direction * (a - b)).map((
    [price, size]
  ) => [canonical(String(price)), canonical(String(size))])

const canonicalFinal = (final: unknown): unknown =>
  JSON.parse(JSON.stringify(final), (_, value: unknown) => typeof value === "string" ? canonical(value) : value)

const expectedOutcome = (expected: Readonly<Record<string, unknown>>): Outcome => ({
  outcome: expected["outcome"] as string,
  appliedSteps: expected["appliedSteps"] as ReadonlyArray<number>,
  droppedSteps: expected["droppedSteps"] as ReadonlyArray<number>,
  resyncAtSteps: expected["resyncAtSteps"] as ReadonlyArray<number>,
  snapshotTooOldAtSteps: expected["snapshotTooOldAtSteps"] as ReadonlyArray<number>,
  final: canonicalFinal(expected["final"])
})

const feed = Effect.fnUntraced(function*(driver: RecipeDriver, index: number, step: Step) {
  if (step.direction === "rest") driver.snapshot(index, yield* snapshotOf(step.raw as string))
  else driver.update(index, only(eventsOf(decode(bytesOf(step.raw)))) as BookUpdate)
})

describe("MEXC spot, shared book sequences", () => {
  withFixtures("are there", areThere)

  for (const fixture of shared<Shared>("mexc-spot.aggre.depth.sequence.jsonl")) {
    it.effect(fixture.id, () =>
      Effect.gen(function*() {
        const driver = new RecipeDriver(mexcSpot.book(bookChannel))
        const { steps } = fixture.raw as { readonly steps: ReadonlyArray<Step> }
        for (const [index, step] of steps.entries()) yield* feed(driver, index, step)
        // Where two outcomes are accepted, this adapter's is the second: V + 1 follows V without a hole.
        const { acceptAlso } = fixture.expect as { readonly acceptAlso?: Readonly<Record<string, unknown>> }
        assert.deepStrictEqual(driver.outcome, expectedOutcome(acceptAlso ?? fixture.expect))
      }))
  }
})

// ---- own fixtures ---------------------------------------------------------------------------------------------------

/** A call as the own fixtures write it: no topic object, versions above 2^53 as text with an `n`. */
const plain = (call: Call): unknown => {
  const value = call._tag === "event" ? { _tag: "event", topic: call.topic.key, event: call.event } : call
  return JSON.parse(JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part)))
}

const ownFiles = [
  "bookTicker.jsonl",
  "bookTickerBatch.jsonl",
  "deals.jsonl",
  "depth.jsonl",
  "limitDepth.jsonl",
  "kline.jsonl",
  "miniTicker.jsonl",
  "miniTickers.jsonl",
  "control.jsonl"
]

describe("MEXC spot, own fixtures", () => {
  for (const file of ownFiles) {
    for (const fixture of own<Own>("mexc-spot", file)) {
      it(fixture.id, () => {
        assert.deepStrictEqual(decode(bytesOf(fixture.frame)).map(plain), fixture.calls as ReadonlyArray<unknown>)
      })
    }
  }
})

// ---- requests -------------------------------------------------------------------------------------------------------

const stamp = (): Stamp => {
  let id = 0
  return { nowMillis: 0, nextId: () => ++id }
}

const topicFor = (symbol: string, tag: AggreTag = "Book"): Topic => ({
  key: channelOf(tag, symbol),
  channel: tag,
  symbol,
  pair: null,
  contractSize: 1,
  slot: null
})

const keyOf = (channel: PublicChannel, symbol = "BTCUSDT"): string => {
  const name = mexcSpot.topic(channel, symbol)
  return name._tag === "Topic" ? name.key : name.detail
}

describe("MEXC spot, requests", () => {
  it("names topics as the wire does", () => {
    const pair = "BTC/USDT"
    assert.strictEqual(keyOf({ _tag: "BookTicker", pair }), "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT")
    assert.strictEqual(keyOf({ _tag: "Trades", pair, speed: "10ms" }), "spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT")
    assert.strictEqual(keyOf({ _tag: "Book", pair, speed: "100ms" }), "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT")
    assert.strictEqual(
      keyOf({ _tag: "Trades", pair: "龙虾/USDT" }, "龙虾USDT"),
      "spot@public.aggre.deals.v3.api.pb@100ms@龙虾USDT"
    )
    assert.strictEqual(
      keyOf({ _tag: "BookTicker", pair, source: "batch" }),
      "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT"
    )
    assert.strictEqual(keyOf({ _tag: "BookTicker", pair, source: "aggre" }), keyOf({ _tag: "BookTicker", pair }))
    assert.strictEqual(keyOf({ _tag: "Book", pair, source: "aggre" }), keyOf({ _tag: "Book", pair }))
    assert.strictEqual(keyOf({ _tag: "Book", pair, source: "limit" }), "spot@public.limit.depth.v3.api.pb@BTCUSDT@20")
    assert.strictEqual(
      keyOf({ _tag: "Book", pair, source: "limit", depth: 5 }),
      "spot@public.limit.depth.v3.api.pb@BTCUSDT@5"
    )
    assert.strictEqual(keyOf({ _tag: "Ticker", pair }), "spot@public.miniTicker.v3.api.pb@BTCUSDT@24H")
    assert.strictEqual(
      keyOf({ _tag: "Ticker", pair, zone: "UTC+12:45" }),
      "spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+12:45"
    )
    assert.strictEqual(keyOf({ _tag: "Kline", pair }), "spot@public.kline.v3.api.pb@BTCUSDT@Min1")
    assert.strictEqual(keyOf({ _tag: "Kline", pair, price: "last" }), "spot@public.kline.v3.api.pb@BTCUSDT@Min1")
  })

  it("names every interval on offer", () => {
    const names = ["1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d", "1w", "1M"] as const
    const wire = names.map((interval) => keyOf({ _tag: "Kline", pair: "BTC/USDT", interval }).split("@").at(-1))
    assert.deepStrictEqual(wire, [
      "Min1",
      "Min5",
      "Min15",
      "Min30",
      "Min60",
      "Hour4",
      "Hour8",
      "Day1",
      "Week1",
      "Month1"
    ])
  })

  it("offers tickers, and nothing else, of every pair at once", () => {
    const every = mexcSpot.symbol(everyPair)!
    assert.strictEqual(keyOf({ _tag: "Ticker", pair: everyPair }, every), "spot@public.miniTickers.v3.api.pb@24H")
    assert.strictEqual(
      keyOf({ _tag: "Ticker", pair: everyPair, zone: "UTC+8" }, every),
      "spot@public.miniTickers.v3.api.pb@UTC+8"
    )
    for (const _tag of ["BookTicker", "Trades", "Book", "Kline"] as const) {
      const name = mexcSpot.topic({ _tag, pair: everyPair }, every)
      assert(name._tag === "Unsupported")
      assert.match(name.detail, /every pair at once; only Ticker/)
    }
  })

  it("takes the same topic for every depth, which only sizes the snapshot", () => {
    for (const depth of [1, 20, 5000]) {
      assert.strictEqual(keyOf({ _tag: "Book", pair: "BTC/USDT", depth }), channelOf("Book", "BTCUSDT"))
    }
  })

  it("says what is not offered", () => {
    const pair = "BTC/USDT"
    const refused: ReadonlyArray<readonly [PublicChannel, RegExp]> = [
      [{ _tag: "BookTicker", pair, speed: "20ms" }, /speed 20ms/],
      [{ _tag: "Book", pair, source: "obu" }, /source obu/],
      [{ _tag: "Book", pair, depth: 0 }, /depth 0/],
      [{ _tag: "Book", pair, depth: 5001 }, /depth 5001/],
      [{ _tag: "Book", pair, depth: 1.5 }, /depth 1.5/],
      [{ _tag: "BookTicker", pair, source: "limit" }, /source limit .* aggre and batch are/],
      [{ _tag: "BookTicker", pair, source: "batch", speed: "100ms" }, /speed 100ms .* source batch/],
      [{ _tag: "Book", pair, source: "batch" }, /source batch .* aggre and limit are/],
      [{ _tag: "Book", pair, source: "limit", depth: 50 }, /depth 50 .* 5, 10, 20 are/],
      [{ _tag: "Book", pair, source: "limit", speed: "10ms" }, /speed 10ms .* source limit/],
      [{ _tag: "Ticker", pair, zone: "UTC+14" }, /zone UTC\+14 .* 24H, UTC-10, .* UTC\+13 are/],
      [{ _tag: "Kline", pair, interval: "3m" }, /interval 3m .* 1m, 5m, 15m, 30m, 1h, 4h, 8h, 1d, 1w, 1M are/],
      [{ _tag: "Kline", pair, price: "mark" }, /price mark .* last is/],
      [{ _tag: "FuturesTicker", pair }, /FuturesTicker is not offered/]
    ]
    for (const [channel, detail] of refused) {
      const name = mexcSpot.topic(channel, "BTCUSDT")
      assert(name._tag === "Unsupported")
      assert.match(name.detail, detail)
    }
  })

  it("refuses symbols that would break a channel name or a list of them", () => {
    for (const symbol of ["", "BTC@USDT", "BTC,USDT", "BTC USDT", "[BTC]"]) {
      assert.strictEqual(mexcSpot.topic({ _tag: "Trades", pair: "BTC/USDT" }, symbol)._tag, "Unsupported")
    }
  })

  it("writes spot pairs without separator, and no swaps", () => {
    assert.strictEqual(mexcSpot.symbol("BTC/USDT"), "BTCUSDT")
    assert.strictEqual(mexcSpot.symbol("龙虾/USDT"), "龙虾USDT")
    assert.isNull(mexcSpot.symbol("BTC/USDT:USDT"))
  })

  it("subscribes and unsubscribes by the documented methods, with an id of its own for each request", () => {
    const topics = [topicFor("BTCUSDT"), topicFor("ETHUSDT", "Trades")]
    const requests = mexcSpot.subscribe(topics, stamp())
    assert.deepStrictEqual(requests.map(({ frame }) => parse(frame)), [
      {
        method: "SUBSCRIPTION",
        params: ["spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT", "spot@public.aggre.deals.v3.api.pb@100ms@ETHUSDT"],
        id: 1
      }
    ])
    assert.deepStrictEqual(requests.map(({ id, topics: asked }) => ({ id, asked })), [{ id: 1, asked: topics }])
    assert.deepStrictEqual(mexcSpot.unsubscribe(topics.slice(0, 1), stamp()).map(({ frame }) => parse(frame)), [
      { method: "UNSUBSCRIPTION", params: ["spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"], id: 1 }
    ])
    assert.deepStrictEqual(mexcSpot.subscribe([], stamp()), [])
  })

  it("keeps every request within 30 topics and 1024 bytes, and loses none", () => {
    for (const name of ["A", "BTC", "1000000BABYDOGE", "龙虾龙虾龙虾龙虾"]) {
      const topics = Array.from({ length: 95 }, (_, i) => topicFor(`${name}${i}USDT`, "BookTicker"))
      for (const ask of [mexcSpot.subscribe, mexcSpot.unsubscribe]) {
        const requests = ask(topics, stamp())
        assert.deepStrictEqual(requests.flatMap((request) => request.topics), topics)
        assert.deepStrictEqual(requests.map(({ id }) => id), requests.map((_, i) => i + 1))
        for (const { frame, topics: part } of requests) {
          assert.isAtMost(Buffer.byteLength(frame), mexcSpot.limits.requestBytes)
          assert.isAtMost(part.length, mexcSpot.limits.topicsPerRequest)
        }
      }
    }
  })

  it("divides by number when the names are short", () => {
    const topics = Array.from({ length: 61 }, (_, i): Topic => ({ ...topicFor("A"), key: `k${i}` }))
    assert.deepStrictEqual(mexcSpot.subscribe(topics, stamp()).map((request) => request.topics.length), [30, 30, 1])
  })

  it("sends a topic alone that is longer than a request may be, rather than none", () => {
    const long = topicFor("A".repeat(2000))
    const requests = mexcSpot.subscribe([topicFor("BTCUSDT"), long, topicFor("ETHUSDT")], stamp())
    assert.deepStrictEqual(requests.map((request) => request.topics.length), [1, 1, 1])
  })
})

// ---- the adapter value ----------------------------------------------------------------------------------------------

describe("MEXC spot, adapter", () => {
  it("covers every channel that it advertises", () => {
    assert.deepStrictEqual(new Set(mexcSpot.coverage.map(({ channel }) => channel)), new Set(mexcSpot.channels))
  })

  it("asks for a thousand books within 55 s, below the 20 requests a second that the exchange allows", () => {
    const { restPerSecond } = mexcSpot.limits
    assert.isBelow(restPerSecond, 20)
    assert.isAtMost(1000 / restPerSecond, 55)
  })

  it("lives no longer than the exchange lets a connection live", () => {
    assert.strictEqual(mexcSpot.limits.connectionAge, "24 hours")
  })

  it("connects to the address that it is given", () => {
    assert.deepStrictEqual(mexcSpot.endpoint("ws://127.0.0.1:1/ws"), { url: "ws://127.0.0.1:1/ws" })
    assert.strictEqual(mexcSpot.urls.websocket, "wss://wbs-api.mexc.com/ws")
  })

  it("keeps to 30 subscriptions a connection and pings well within a minute", () => {
    assert.strictEqual(mexcSpot.limits.topicsPerConnection, 30)
    assert.deepStrictEqual(parse(mexcSpot.heartbeat.ping(stamp())), { method: "PING" })
  })
})

// ---- recipe ---------------------------------------------------------------------------------------------------------

const delta = (firstVersion: Sequence.Sequence, version: Sequence.Sequence): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "delta",
  pair: null,
  symbol: "BTCUSDT",
  bids: [],
  asks: [],
  firstVersion,
  version,
  exchangeTime: null,
  receivedAt: 0,
  contractSize: 1,
  exact: null
})

describe("MEXC spot, limited books", () => {
  it("are whole each time, whatever came before", () => {
    const recipe = mexcSpot.book({ ...bookChannel, source: "limit" })
    assert.strictEqual(recipe.snapshot, "EveryUpdate")
    assert.strictEqual(recipe.joins(1, delta(2, 2)), "gap")
    assert.strictEqual(recipe.follows(1, delta(2, 2)), "gap")
  })
})

describe("MEXC spot, book recipe", () => {
  const { joins, follows, snapshot } = mexcSpot.book(bookChannel)

  it("fetches its snapshots", () => {
    assert.strictEqual(snapshot, "Fetch")
  })

  it("joins what holds the snapshot's version or begins right behind it", () => {
    assert.strictEqual(joins(100, delta(90, 99)), "stale")
    assert.strictEqual(joins(100, delta(90, 100)), "apply")
    assert.strictEqual(joins(100, delta(96, 104)), "apply")
    assert.strictEqual(joins(100, delta(101, 101)), "apply")
    assert.strictEqual(joins(100, delta(102, 102)), "gap")
  })

  it("follows only what begins right behind the last version", () => {
    assert.strictEqual(follows(100, delta(99, 100)), "stale")
    assert.strictEqual(follows(100, delta(101, 105)), "apply")
    assert.strictEqual(follows(100, delta(100, 101)), "gap")
    assert.strictEqual(follows(100, delta(102, 105)), "gap")
  })

  it("takes a counter that began anew for a hole, not for old news", () => {
    assert.strictEqual(follows(81_721_676_217, delta(81_721_000_000, 81_721_000_001)), "stale")
    assert.strictEqual(follows(81_721_676_217, delta(1, 2)), "gap")
    assert.strictEqual(follows(18446744073709551617n, delta(1, 2)), "gap")
  })

  it("counts exactly across and above 2^53", () => {
    const limit = Number.MAX_SAFE_INTEGER
    assert.strictEqual(follows(limit, delta(9007199254740992n, 9007199254740992n)), "apply")
    assert.strictEqual(follows(limit, delta(9007199254740993n, 9007199254740993n)), "gap")
    assert.strictEqual(follows(9007199254740993n, delta(9007199254740994n, 9007199254740995n)), "apply")
    assert.strictEqual(follows(9007199254740993n, delta(9007199254740995n, 9007199254740995n)), "gap")
    assert.strictEqual(joins(9007199254740992n, delta(9007199254740993n, 9007199254740993n)), "apply")
    assert.strictEqual(joins(9007199254740992n, delta(9007199254740994n, 9007199254740994n)), "gap")
  })
})
