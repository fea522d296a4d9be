/** What the pictures say: newest values, never stale ones. */
import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import type { Execution, ExecutorPerformance } from "../../src/arbitrage/ArbitrageExecutor.ts"
import type { MonitorPerformance } from "../../src/arbitrage/ArbitrageMonitor.ts"
import type { Opportunity } from "../../src/arbitrage/Opportunity.ts"
import type { RiskState } from "../../src/arbitrage/RiskGuard.ts"
import { AccountBoard } from "../../src/cli/account/AccountBoard.ts"
import type { Named } from "../../src/cli/account/AccountRows.ts"
import { Connections } from "../../src/cli/Connections.ts"
import { ArbitrageBoard } from "../../src/cli/demo/ArbitrageBoard.ts"
import * as ArbitrageRows from "../../src/cli/demo/ArbitrageRows.ts"
import * as Board from "../../src/cli/demo/Board.ts"
import { DemoView } from "../../src/cli/demo/DemoView.ts"
import * as Failure from "../../src/cli/Failure.ts"
import { Rate } from "../../src/cli/Rate.ts"
import * as Style from "../../src/cli/Style.ts"
import * as Table from "../../src/cli/Table.ts"
import { WatchView } from "../../src/cli/WatchView.ts"
import type { IslandState } from "../../src/composite/Markets.ts"
import type { LiveBook } from "../../src/composite/OrderBooks.ts"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import type { BestPrice } from "../../src/composite/PublicExchange.ts"
import type { PublicTag } from "../../src/domain/Channel.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { ConnectionStatus, Gap } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  Ticker,
  Trade
} from "../../src/domain/Market.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"
import type { Percentiles, Performance } from "../../src/PublicWebsocket.ts"

const ticker = (pair: TradingPair | null, bidPrice: number | null, askPrice: number | null): BookTicker => ({
  _tag: "BookTicker",
  pair,
  symbol: "X",
  bidPrice,
  bidQuantity: 1,
  askPrice,
  askQuantity: 0.0000001,
  version: null,
  exchangeTime: null,
  receivedAt: 1_000,
  contractSize: 1,
  exact: null
})

const trade = (pair: TradingPair | null): Trade => ({
  _tag: "Trade",
  pair,
  symbol: "X",
  id: null,
  price: 7,
  quantity: 8,
  side: "sell",
  exchangeTime: null,
  receivedAt: 1_500,
  contractSize: 1,
  exact: null
})

const gap = (channel: PublicTag, pair: TradingPair | null): Gap => ({
  _tag: "Gap",
  cause: "Reconnected",
  channel,
  pair,
  symbol: "X",
  at: 0
})

const status = <Tag extends ConnectionStatus["_tag"]>(_tag: Tag, more: object = {}) =>
  ({ _tag, exchange: "a-spot", connection: 1, at: 1_000, ...more }) as unknown as ConnectionStatus

const synced = (bid: number, ask: number): LiveBook =>
  ({
    _tag: "Synced",
    pair: "BTC/USDT",
    book: { bidPrice: () => bid, askPrice: () => ask },
    since: 0
  }) as unknown as LiveBook

const stale: LiveBook = { _tag: "Stale", pair: "BTC/USDT", cause: "Sequence", since: 0, lastVersion: null, error: null }

describe("Rate", () => {
  it("is that of the last two seconds", () => {
    const rate = new Rate(0)
    assert.isNull(rate.sample(0, 0))
    assert.isNull(rate.sample(100, 1))
    assert.strictEqual(rate.sample(1_000, 100), 100)
    assert.strictEqual(rate.sample(2_000, 200), 100)
    assert.strictEqual(rate.sample(3_000, 400), 150)
    assert.strictEqual(rate.sample(4_000, 400), 100)
    assert.strictEqual(rate.sample(60_000, 400), 0)
  })
})

describe("Table", () => {
  it("is as wide as its widest cell, whatever its colours", () => {
    assert.deepStrictEqual(
      Table.format([{ title: "A", align: "left" }, { title: "B", width: 4 }, { title: "C" }], [
        ["x", "\x1b[31m1\x1b[0m", "币安"],
        ["long one"]
      ]),
      ["A            B     C", "x            \x1b[31m1\x1b[0m  币安", "long one"]
    )
  })
})

describe("Style", () => {
  it("has colours only where they are wanted", () => {
    assert.strictEqual(Style.of(false).red("x"), "x")
    assert.strictEqual(Style.of(true).red("x"), "\x1b[31mx\x1b[0m")
  })

  it("shows no value as a dash, and no exponents", () => {
    assert.deepStrictEqual(
      [null, undefined, Number.NaN, 1e-9].map(Style.decimal),
      ["-", "-", "-", "0.000000001"]
    )
    assert.deepStrictEqual([Style.fixed(null, 1), Style.fixed(Infinity, 1), Style.fixed(1.25, 1)], ["-", "-", "1.3"])
  })

  it("counts minutes and hours", () => {
    assert.deepStrictEqual([0, 61_999, 3_600_000 * 30 + 5_000].map(Style.elapsed), ["00:00", "01:01", "30:00:05"])
  })
})

/** What an exchange's market says, for a board to look at. */
const market = (
  prices: Readonly<Record<TradingPair, readonly [bid: number, ask: number]>>,
  futures: Readonly<Record<TradingPair, FuturesTicker>> = {},
  bookOf: (pair: TradingPair) => LiveBook | undefined = () => undefined
) => ({
  bestPrice: (pair: TradingPair) => {
    const [bidPrice, askPrice] = prices[pair] ?? []
    return bidPrice === undefined || askPrice === undefined ? null : { bidPrice, askPrice } as BestPrice
  },
  book: bookOf,
  futuresTicker: (pair: TradingPair) => futures[pair] ?? null
})

const pairsOf = (of: Readonly<Record<TradingPair, unknown>>) => Object.keys(of) as Array<TradingPair>

/** Shows a board these prices, and as many events. */
const show = (
  board: Board.ExchangeBoard,
  prices: Readonly<Record<TradingPair, readonly [bid: number, ask: number]>>
) => {
  board.look(market(prices), pairsOf(prices))
  board.count({
    ...performance,
    events: pairsOf(prices).length,
    topics: pairsOf(prices).map((pair) => ({ pair, received: 1 }))
  } as unknown as Performance)
}

describe("Board", () => {
  const boards = () =>
    [new Board.ExchangeBoard("a-spot", "A spot"), new Board.ExchangeBoard("b-spot", "B spot")] as const

  it("finds the best way to buy here and sell there", () => {
    const [a, b] = boards()
    assert.isNull(Board.bestEdge("BTC/USDT", [a, b]))
    show(a, { "BTC/USDT": [99, 100] })
    assert.isNull(Board.bestEdge("BTC/USDT", [a, b]))
    show(b, { "BTC/USDT": [101, 102] })
    assert.deepStrictEqual(Board.bestEdge("BTC/USDT", [a, b]), {
      buy: "a-spot",
      sell: "b-spot",
      bps: (1 / 100.5) * 10_000
    })
    show(b, { "BTC/USDT": [97, 98] })
    assert.deepStrictEqual(Board.bestEdge("BTC/USDT", [a, b]), {
      buy: "b-spot",
      sell: "a-spot",
      bps: (1 / 98.5) * 10_000
    })
  })

  it("shows no price that the market does not stand by, and none without a market", () => {
    const [a] = boards()
    a.look(market({ "BTC/USDT": [1, 2], "ETH/USDT": [1, 2] }), ["BTC/USDT", "ETH/USDT"])
    a.look(market({ "ETH/USDT": [1, 2] }), ["BTC/USDT", "ETH/USDT"])
    assert.deepStrictEqual([...a.tickers.keys()], ["ETH/USDT"])
    assert.deepStrictEqual([...a.seen], ["BTC/USDT", "ETH/USDT"])
    a.leave()
    assert.strictEqual(a.tickers.size, 0)
    assert.isUndefined(a.bookOf("ETH/USDT"))
  })

  it("tells where the exchange stands, and how often and how long it was away", () => {
    const [a] = boards()
    const at = (_tag: IslandState["_tag"], at: number, more: object = {}) =>
      a.onIsland({ _tag, exchange: "a-spot", at, ...more } as IslandState)
    const error = ExchangeError.make("a-spot", new ExchangeError.Closed({ detail: "gone" }))
    assert.strictEqual(Board.stateOf(a), "starting")
    at("Starting", 0)
    a.connections.onStatus(status("Connected"))
    assert.strictEqual(Board.stateOf(a), "connected")
    at("Ready", 1_000)
    at("Recovering", 2_000, { problems: [] })
    assert.strictEqual(Board.stateOf(a), "recovers")
    at("Recovering", 2_100, { problems: ["more"] })
    at("Ready", 4_500)
    at("Failed", 5_000, { error, retryIn: 10 })
    assert.strictEqual(Board.stateOf(a), "failed")
    at("Starting", 5_100)
    at("Ready", 5_200)
    assert.deepStrictEqual(a.outagesAt(9_000), { count: 2, longestMs: 2_500, underWayMs: null })
    at("Failed", 6_000, { error, retryIn: null })
    assert.strictEqual(Board.stateOf(a), "given up")
    assert.strictEqual(a.failure, error.message)
    assert.deepStrictEqual(a.outagesAt(7_000), { count: 3, longestMs: 2_500, underWayMs: 1_000 })
    assert.deepStrictEqual(a.outagesAt(9_000), { count: 3, longestMs: 3_000, underWayMs: 3_000 })
    // The end of the program ends no outage, and is no part of it.
    at("Stopped", 9_500)
    assert.deepStrictEqual(a.outagesAt(20_000), { count: 3, longestMs: 3_500, underWayMs: 3_500 })
  })
})

describe("Connections", () => {
  it("tells the state of the worst connection", () => {
    const connections = new Connections()
    const after = (next: ConnectionStatus): ReadonlyArray<string> => {
      connections.onStatus(next)
      return [connections.stateAt(1_400), connections.word]
    }
    assert.deepStrictEqual([connections.stateAt(0), connections.word], ["not connected", "starting"])
    assert.deepStrictEqual(after(status("Connecting", { attempt: 1 })), ["connecting", "dialling"])
    assert.deepStrictEqual(after(status("Connecting", { attempt: 3 })), ["connecting (attempt 3)", "dialling"])
    assert.deepStrictEqual(after(status("Connected")), ["connected", "connected"])
    assert.deepStrictEqual(after(status("Connecting", { attempt: 1, connection: 2 })), ["connecting", "dialling"])
    assert.deepStrictEqual(after(status("Disconnected", { retryIn: 900 })), ["disconnected, retry in 0.5 s", "lost"])
    assert.deepStrictEqual(after(status("Disconnected", { retryIn: null })), ["disconnected", "lost"])
    assert.deepStrictEqual(after(status("Closed", { connection: 2 })), ["disconnected", "lost"])
    assert.deepStrictEqual(after(status("Closed")), ["not connected", "starting"])
    connections.onStatus(status("Connected"))
    connections.clear()
    assert.isNull(connections.worst)
  })
})

const percentiles = (p50: number): Percentiles => ({ count: 3, p50, p95: 2, p99: 12.3, max: 14 })

const performance = {
  age: percentiles(1),
  processing: { ...percentiles(0), count: 0 },
  gaps: 2,
  reconnects: 1,
  errors: { X: 3, Y: 4 }
}

describe("DemoView", () => {
  const future = (pair: TradingPair, more: Partial<FuturesTicker> = {}): FuturesTicker =>
    ({
      _tag: "FuturesTicker",
      pair,
      markPrice: 100.5,
      indexPrice: 100.25,
      fundingRate: 0.0001,
      nextFundingTime: 3_601_000,
      ...more
    }) as unknown as FuturesTicker

  const make = (
    options: {
      readonly source?: "live"
      readonly names?: readonly [string, string]
      readonly color?: boolean
      readonly pairs?: ReadonlyArray<TradingPair>
      readonly accounts?: ReadonlyArray<Named>
      readonly arbitrage?: ArbitrageBoard
    } = {}
  ) => {
    const [first, second] = options.names ?? ["A spot", "B spot"]
    const boards = [
      new Board.ExchangeBoard("a-spot", first),
      new Board.ExchangeBoard("b-spot", second),
      new Board.ExchangeBoard("c-futures", "C futures", "swap")
    ] as const
    const clock = { now: 0 }
    const view = new DemoView({
      boards,
      accounts: options.accounts,
      arbitrage: options.arbitrage,
      pairs: options.pairs ?? ["BTC/USDT", "ETH/USDT"],
      source: options.source ?? "simulator",
      seed: options.source === "live" ? null : 7,
      now: () => clock.now,
      style: Style.of(options.color ?? false),
      log: (count) => [`the newest ${count} lines`]
    })
    return { boards, clock, view }
  }

  it("shows prices, edge, rates, latency, books and connections", () => {
    const { boards: [a, b], clock, view } = make()
    show(a, { "BTC/USDT": [99, 100] })
    show(b, { "BTC/USDT": [101, 102] })
    a.bookOf = (pair) => pair === "BTC/USDT" ? synced(1, 2) : undefined
    b.bookOf = () => stale
    b.performance = undefined
    a.books = { synced: 1, tracked: 2 } as never
    a.connections.onStatus(status("Connected"))
    clock.now = 1_000
    const text = view.screen().join("\n")
    assert.match(text, /A spot, B spot and C futures {2}simulated, seed 7 {2}00:01 {2}q ends it/)
    assert.match(text, /PAIR +A BID +A ASK +B BID +B ASK +EDGE bps +UPD\/s +BOOKS/)
    assert.match(text, /BTC\/USDT +99 +100 +101 +102 +A>B 99\.50 +2 +ok\/stale/)
    assert.match(text, /ETH\/USDT +- +- +- +- +- +0 +-\/stale/)
    assert.match(text, /A spot +connected +1 +1\.00\/12 +- +1\/2 +2 +1 +7/)
    assert.match(text, /B spot +starting +0 +- +- +- +0 +0 +0/)
    assert.match(text, /the newest 4 lines/)
    assert.strictEqual(view.pairsSeen, 1)
  })

  it("shows perpetuals, never stale ones, and gives them the rows that are left", () => {
    const { boards: [, , c], clock, view } = make()
    clock.now = 1_000
    const swaps: ReadonlyArray<TradingPair> = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
    const prices = { "BTC/USDT:USDT": [100, 101] } as const
    const eth = future("ETH/USDT:USDT", { fundingRate: null, nextFundingTime: null })
    c.look(market(prices, { "BTC/USDT:USDT": future("BTC/USDT:USDT"), "ETH/USDT:USDT": eth }), swaps)
    const text = () => view.tables().join("\n")
    assert.match(text(), /PERPETUAL +BID +ASK +MARK +INDEX +FUNDING % +IN\n/)
    assert.match(text(), /BTC\/USDT:USDT +100 +101 +100\.5 +100\.25 +0\.0100 +1:00:00\n/)
    assert.match(text(), /ETH\/USDT:USDT +- +- +100\.5 +100\.25 +- +-\n/)
    assert.deepStrictEqual(view.summary()["futures"], {
      "BTC/USDT:USDT": { mark: "100.5", index: "100.25", fundingRate: "0.0001", nextFundingTime: 3_601_000 },
      "ETH/USDT:USDT": { mark: "100.5", index: "100.25", fundingRate: null, nextFundingTime: null }
    })
    // Title, blank, 1 + 2, blank, 1 + 2, blank, 1 + 3, 1 + 1, and a line of the log.
    assert.strictEqual(view.screen(24).length, 17)
    assert.strictEqual(view.screen(16).length, 16)
    assert.include(view.screen(16).join("\n"), "the newest 1 lines")
    assert.notInclude(view.screen(16).join("\n"), "ETH/USDT:USDT")
    c.look(market(prices, { "ETH/USDT:USDT": eth }), swaps)
    assert.match(text(), /BTC\/USDT:USDT +100 +101 +- +- +- +-\n/)
    c.leave()
    assert.match(text(), /ETH\/USDT:USDT +- +- +- +- +- +-\n/)
  })

  const accountOf = (exchange: string, name: string) => {
    const board = new AccountBoard(exchange, "demo")
    board.handlers.onBalance?.(PrivateWebsocketTest.balance("USDT", { total: Decimal.of("1234.5678") }))
    board.handlers.onBalance?.(PrivateWebsocketTest.balance("BTC", { total: Decimal.of("0.12345678") }))
    return { board, name }
  }

  it("shows an account of each exchange, which takes rows from pairs, and orders and fills where there is room", () => {
    const pairs = Array.from({ length: 10 }, (_, i): TradingPair => `C${i}/USDT`)
    const spot = accountOf("a", "A spot")
    const swap = accountOf("c", "C futures")
    const { onFill, onOrder } = spot.board.handlers
    onOrder?.(PrivateWebsocketTest.orderUpdate("BTC/USDT", { price: Decimal.of("80541.08") }))
    for (const exchangeTime of [1, 2]) {
      const price = Decimal.of(String(100 + exchangeTime))
      onFill?.(PrivateWebsocketTest.fill("BTC/USDT", { exchangeTime, price, fee: Decimal.of("0.5"), feeAsset: "USDT" }))
    }
    const position = { size: Decimal.of("-3"), contractSize: 0.01 }
    swap.board.handlers.onPosition?.(PrivateWebsocketTest.position("BTC/USDT:USDT", position))
    const idle = { board: new AccountBoard("b", "demo"), name: "B spot" }
    idle.board.failure = "wrong key"
    const { boards: [a], view } = make({ pairs, accounts: [spot, idle, swap] })
    show(a, { "C0/USDT": [1, 2] })
    const screen = view.screen(24)
    assert.strictEqual(screen.length, 24)
    const text = screen.join("\n")
    assert.match(text, /ACCOUNT +USDT +HOLDS +OPEN ORDERS +FILLS/)
    assert.match(text, /A spot +1234\.6 +0\.12346 BTC +1 buy BTC 80541\.08 +2 buy BTC 102\n/)
    assert.match(text, /B spot +- +- +0 +given up\n/)
    assert.match(text, /C futures +1234\.6 +-0\.03 BTC +0 +0\n/)
    assert.include(text, "C2/USDT")
    assert.notInclude(text, "C7/USDT ")
    assert.notInclude(text, "OPEN ORDERS   PAIR")
    for (const line of screen.slice(screen.findIndex((each) => each.startsWith("ACCOUNT")))) {
      assert.isAtMost(line.length, 80, line)
    }
    const tall = view.screen(60)
    assert.isAtMost(tall.length, 60)
    assert.match(tall.join("\n"), /OPEN ORDERS [^]*A spot +BTC\/USDT +buy +80541\.08 +1 +0\n/)
    assert.match(tall.join("\n"), /FILLS +PAIR [^]* 102 +1 +0\.5 USDT\n[^]* 101 /)
    const summary = view.summary()["accounts"] as Readonly<Record<string, { readonly failure: string | null }>>
    assert.deepStrictEqual(Object.entries(summary).map(([id, { failure }]) => [id, failure]), [
      ["a", null],
      ["b", "wrong key"],
      ["c", null]
    ])
  })

  it("reports an outage that is over, and one that is under way", () => {
    const { boards: [a, b], clock, view } = make()
    for (const [board, ends] of [[a, true], [b, false]] as const) {
      const at = (_tag: "Ready" | "Recovering", at: number) =>
        board.onIsland({ _tag, exchange: board.id, at, problems: [] } as IslandState)
      at("Ready", 1_000)
      at("Recovering", 2_000)
      if (ends) at("Ready", 4_500)
    }
    clock.now = 19_000
    const report = view.report()
    assert.include(
      report,
      "a-spot       1 time away, at the longest 2.50 s until all was in order; 0 reconnects, 0 gaps"
    )
    assert.include(
      report,
      "b-spot       1 time away, at the longest 17.00 s, away at the end for 17.00 s; 0 reconnects, 0 gaps"
    )
    assert.include(report, "c-futures    never away; 0 reconnects, 0 gaps")
  })

  it("fits a terminal of 80 columns", () => {
    const { boards: [a, b, c], view } = make({ names: ["MEXC spot", "Gate spot"] })
    for (const board of [a, b]) {
      show(board, { "BTC/USDT": [80_541.08, 80_541.09] })
      board.bookOf = () => synced(1, 2)
      board.connections.onStatus(status("Connected"))
      board.performance = performance as unknown as Performance
      board.books = { synced: 10, tracked: 10 } as never
    }
    const perpetual = future("BTC/USDT:USDT", { markPrice: 80_541.345, indexPrice: 80_541.123 })
    c.look(market({ "BTC/USDT:USDT": [80_541.08, 80_541.09] }, { "BTC/USDT:USDT": perpetual }), ["BTC/USDT:USDT"])
    c.connections.onStatus(status("Connected"))
    for (const line of view.screen()) assert.isAtMost(line.length, 80, line)
  })

  it("prints the exchanges until there are prices, then the tables", () => {
    const { boards: [a], view } = make({ source: "live", names: ["Gate spot", "Gate margin"] })
    assert.strictEqual(view.lines()[0], "Gate spot, Gate margin and C futures  LIVE  00:00")
    assert.match(view.lines()[1]!, /^EXCHANGE/)
    show(a, { "BTC/USDT": [1, 2] })
    const lines = view.lines()
    assert.include(lines[1]!, "Gate spot BID")
    assert.include(lines[1]!, "Gate margin BID")
    assert.strictEqual(lines.at(-1), "")
  })

  it("colours an edge that pays and a state that is bad", () => {
    const { boards: [a, b], view } = make({ color: true })
    show(a, { "BTC/USDT": [99, 100] })
    show(b, { "BTC/USDT": [101, 102] })
    const text = view.screen().join("\n")
    assert.include(text, "\x1b[32mA>B 99.50\x1b[0m")
    assert.include(text, "\x1b[31mstarting\x1b[0m")
  })

  it("tells why nothing is opened any more, as far as there is room", () => {
    const edges = new ArbitrageBoard()
    const { view } = make({ arbitrage: edges })
    const before = view.screen(24).length
    edges.reasons = Array.from(
      { length: 9 },
      (_, index) => ({ reason: `reason ${index}`, at: 0, of: "global", stops: "growing" } as const)
    )
    for (const rows of [16, 20, 24, 40]) {
      const screen = view.screen(rows)
      assert.isAtMost(screen.length, Math.max(rows, before + 1))
      assert.include(screen.join("\n"), "reason 0")
    }
    assert.include(view.screen(40).join("\n"), "  KILLED nothing is opened any more: reason 8")
    assert.include(view.screen(24).join("\n"), "more reasons")
  })

  it("sums up in JSON", () => {
    const { boards: [a, b], clock, view } = make()
    clock.now = 500
    view.begin()
    a.look(market({ "BTC/USDT": [99, 0.0000001] }), ["BTC/USDT"])
    show(b, { "BTC/USDT": [101, 102] })
    b.performance = { ...performance, events: 1, decodeFailures: 5, dropped: 6 } as unknown as Performance
    b.books = { tracked: 2, synced: 1, stale: 1, gaps: 3, resyncs: 4, updates: 9 } as never
    b.rejected.set("ETH/USDT", "unknown")
    clock.now = 2_500
    assert.deepStrictEqual(JSON.parse(JSON.stringify(view.summary())), {
      accounts: {},
      arbitrage: {
        routes: 0,
        found: 0,
        open: 0,
        bestProfit: 0,
        executions: null,
        pnl: null,
        funding: null,
        killed: null,
        reasons: [],
        exposure: {},
        underWay: null,
        pending: [],
        left: {},
        endedInMs: null
      },
      source: "simulator",
      seed: 7,
      durationMs: 2_000,
      pairs: 2,
      pairsSeen: 1,
      exchanges: {
        "a-spot": {
          state: "starting",
          island: null,
          outages: { count: 0, longestMs: 0, underWayMs: null },
          failure: null,
          pairsSeen: 1,
          rejected: {},
          updates: 0,
          updatesPerSecond: 0,
          latencyMs: null,
          processingMs: null,
          gaps: 0,
          reconnects: 0,
          errors: {},
          decodeFailures: 0,
          dropped: 0,
          books: null
        },
        "c-futures": {
          state: "starting",
          island: null,
          outages: { count: 0, longestMs: 0, underWayMs: null },
          failure: null,
          pairsSeen: 0,
          rejected: {},
          updates: 0,
          updatesPerSecond: 0,
          latencyMs: null,
          processingMs: null,
          gaps: 0,
          reconnects: 0,
          errors: {},
          decodeFailures: 0,
          dropped: 0,
          books: null
        },
        "b-spot": {
          state: "starting",
          island: null,
          outages: { count: 0, longestMs: 0, underWayMs: null },
          failure: null,
          pairsSeen: 1,
          rejected: { "ETH/USDT": "unknown" },
          updates: 1,
          updatesPerSecond: 0.5,
          latencyMs: percentiles(1),
          processingMs: { ...percentiles(0), count: 0 },
          gaps: 2,
          reconnects: 1,
          errors: { X: 3, Y: 4 },
          decodeFailures: 5,
          dropped: 6,
          books: { tracked: 2, synced: 1, stale: 1, gaps: 3, resyncs: 4 }
        }
      },
      spreads: {
        "BTC/USDT": {
          prices: { "a-spot": { bid: "99", ask: "0.0000001" }, "b-spot": { bid: "101", ask: "102" } },
          edge: {
            buy: "a-spot",
            sell: "b-spot",
            bps: Number((((101 - 1e-7) / ((101 + 1e-7) / 2)) * 10_000).toFixed(4))
          }
        },
        "ETH/USDT": {
          prices: { "a-spot": { bid: null, ask: null }, "b-spot": { bid: null, ask: null } },
          edge: null
        }
      },
      futures: {}
    })
  })
})

describe("the edges of the demo", () => {
  const leg = (exchange: string, averagePrice: number) => ({ exchange, pair: "BTC/USDT" as TradingPair, averagePrice })

  const opportunity = {
    buy: leg("a-spot", 100.123456789),
    sell: leg("c-futures", 101),
    quantity: 0.5,
    profit: 1.234,
    profitRatio: 0.0123
  } as unknown as Opportunity

  const execution = (_tag: Execution["_tag"]) =>
    ({
      _tag,
      acceptedAfterMs: 1.26,
      buy: { exchange: "a-spot", pair: "BTC/USDT", filled: Decimal.of("0.25") },
      sell: { exchange: "c-futures" },
      profit: Decimal.of("2.5")
    }) as unknown as Execution

  const board = () => {
    const board = new ArbitrageBoard()
    board.monitor = {
      routes: 3,
      entered: 12,
      evaluations: 99,
      withheld: { Stale: 4 },
      detection: { ...percentiles(0.1), p99: 0.4567 }
    } as unknown as MonitorPerformance
    board.executor = {
      executed: 9,
      completed: 5,
      compensated: 3,
      nothing: 1,
      exposed: 0,
      refused: { notReady: 2, maxNotional: 1 },
      inFlight: 0,
      profit: Decimal.of("12.345")
    } as unknown as ExecutorPerformance
    board.risk = { isKilled: false, killed: null, pnl: Decimal.of("11"), funding: Decimal.zero } as unknown as RiskState
    board.onOpportunity({ _tag: "Entered", opportunity })
    board.open = [opportunity]
    return board
  }

  const underWay = {
    exchange: "a-spot",
    pair: "BTC/USDT",
    side: "buy",
    clientOrderId: "o1",
    quantity: Decimal.of("0.5"),
    filled: Decimal.of("0.1")
  } as const

  const short = (id: string) => id.slice(0, 1)

  it("are counted in one line, and told with what became of them where there is room", () => {
    const edges = board()
    const line = () => ArbitrageRows.table(edges, Style.of(false))[1]!
    assert.match(line(), /^3 routes +1 +12 +0\.46 +5 +3 +3 +12\.35 +flat$/)
    for (const tag of ["Completed", "Compensated", "Nothing", "Exposed"] as const) edges.onExecution(execution(tag))
    assert.deepStrictEqual(ArbitrageRows.details(edges, 0, short), [])
    assert.deepStrictEqual(ArbitrageRows.details(edges, 6, short), [
      "  edge   BTC    a 100.12346 > c 101  0.5  1.23 (123.0 bp)",
      "  OPEN   BTC    a > c  0.25  2.50 in 1.3 ms",
      "  missed BTC    a > c  0.25  2.50 in 1.3 ms",
      "  mended BTC    a > c  0.25  2.50 in 1.3 ms"
    ])
    edges.exposure = [{ asset: "BTC", quantity: Decimal.of("0.1") }]
    assert.match(line(), /carrying$/)
    edges.executor = { ...edges.executor!, inFlight: 1 }
    assert.match(line(), /trading$/)
    edges.risk = { ...edges.risk!, isKilled: true }
    assert.match(line(), /KILLED$/)
    edges.reasons = Array.from(
      { length: 5 },
      (_, index) => ({ reason: `reason ${index}`, at: 0, of: "global", stops: "growing" } as const)
    )
    const killed = (most?: number) => ArbitrageRows.table(edges, Style.of(false), most).slice(2)
    const lines = edges.reasons.map(({ reason }) => `  KILLED nothing is opened any more: ${reason}`)
    assert.deepStrictEqual(killed(), lines)
    assert.deepStrictEqual(killed(5), lines)
    assert.deepStrictEqual(killed(3), [...lines.slice(0, 2), "  KILLED and for 3 more reasons"])
    assert.deepStrictEqual(killed(1), ["  KILLED for 5 reasons, the first: reason 0"])
    edges.executor = null
    assert.match(line(), /- +- +- +- +watching$/)
    const monitor = { ...board().monitor!, routes: 1 }
    assert.match(ArbitrageRows.table(Object.assign(board(), { monitor }), Style.of(false))[1]!, /^1 route /)
    assert.match(ArbitrageRows.table(new ArbitrageBoard(), Style.of(false))[1]!, /^0 routes +0 +0 +-/)
  })

  it("end unfinished where an order is open, may be, or is under way, and only where orders were sent", () => {
    const edges = board()
    edges.left = [{ exchange: "a-spot", canceled: 2, open: [], problem: null, hasOrdered: true }]
    assert.deepStrictEqual(ArbitrageRows.unfinished(edges), ["orders under way: not all known"])
    edges.drained = { exposure: [], openOrders: 0, orders: [] }
    assert.deepStrictEqual(ArbitrageRows.unfinished(edges), [])
    edges.left = [
      { exchange: "a-spot", canceled: 0, open: [{} as TrackedOrder], problem: null, hasOrdered: true },
      { exchange: "b-spot", canceled: 0, open: [], problem: "it was not connected", hasOrdered: true },
      { exchange: "c-spot", canceled: 0, open: [], problem: "it was not connected", hasOrdered: false }
    ]
    edges.drained = { exposure: [], openOrders: 1, orders: [underWay] }
    assert.deepStrictEqual(ArbitrageRows.unfinished(edges), [
      "a-spot: 1 open (0 cancelled)",
      "b-spot: 0 open (0 cancelled), it was not connected",
      "a-spot buy BTC/USDT o1, 0.1 of 0.5 known to be filled"
    ])
    edges.executor = null
    assert.deepStrictEqual(ArbitrageRows.unfinished(edges), [])
    assert.strictEqual(Failure.exitCode(Exit.fail(Failure.left("orders are left"))), 7)
  })

  it("remembers the newest trades only", () => {
    const edges = board()
    for (let i = 0; i < 60; i++) edges.onExecution(execution("Completed"))
    assert.lengthOf(edges.executions, 50)
  })

  it("are reported at the end, with what is carried and what is left", () => {
    const edges = board()
    const report = () => ArbitrageRows.report(edges, (asset) => asset === "BTC" ? 100 : null).join("\n")
    assert.include(report(), "open         flat")
    edges.exposure = [{ asset: "BTC", quantity: Decimal.of("0.01") }]
    assert.include(report(), "open         1 asset not covered, worth 1.00; the most 0.01 BTC (1.00)")
    edges.exposure = [
      { asset: "ETH", quantity: Decimal.of("7") },
      { asset: "BTC", quantity: Decimal.of("-0.02") }
    ]
    edges.drained = { exposure: [], openOrders: 1, orders: [underWay] }
    edges.endedInMs = 321
    edges.left = [{ exchange: "a-spot", canceled: 2, open: [], problem: "too late", hasOrdered: true }]
    assert.strictEqual(
      report(),
      [
        "edges        12 found, 1 open at the end, the best 1.23",
        "executions   9: 5 completed, 3 compensated, 1 without a fill, 0 exposed; refused 3 (notReady 2, maxNotional 1)",
        "profit       12.35 made by the executions, at the prices of their fills",
        "accounts     gained 11.00: executions and resting orders, at present prices",
        "open         2 assets not covered, worth 2.00; the most -0.02 BTC (2.00)",
        "ended in     321 ms, 1 order under way; a-spot buy BTC/USDT o1, 0.1 of 0.5 known to be filled",
        "left         a-spot: 0 open (2 cancelled), too late"
      ].join("\n")
    )
    assert.deepInclude(ArbitrageRows.summary(edges), {
      underWay: 1,
      pending: [{ ...edges.drained.orders[0]!, quantity: "0.5", filled: "0.1" }]
    })
    edges.risk = { ...edges.risk!, funding: Decimal.of("-1.5") }
    assert.include(report(), "\nfunding      -1.50 of positions: in what the accounts gained, not in the profit\n")
    assert.strictEqual(ArbitrageRows.summary(edges)["funding"], "-1.5")
    const first = { reason: "exposed", at: 1, of: "global", stops: "growing" } as const
    edges.risk = { ...edges.risk!, killed: first }
    edges.reasons = [
      first,
      { reason: "a loss of 7", at: 2, of: "global", stops: "growing" },
      { reason: "by hand", at: 3, of: "b-spot", stops: "everything" },
      { reason: "hedge mode", at: 4, of: "a-spot", stops: "growing" }
    ]
    assert.include(
      report(),
      [
        "KILLED       nothing is opened any more: exposed",
        "KILLED       nothing is opened any more: a loss of 7",
        "KILLED       on b-spot nothing but cancels leaves any more: by hand",
        "KILLED       on a-spot nothing is opened any more: hedge mode",
        "ended in"
      ].join("\n")
    )
    assert.deepInclude(ArbitrageRows.summary(edges), {
      killed: "exposed",
      reasons: edges.reasons.map((reason) => ({ ...reason }))
    })
    const { executions, exposure, found, left } = ArbitrageRows.summary(edges)
    assert.deepStrictEqual(exposure, { ETH: "7", BTC: "-0.02" })
    assert.deepStrictEqual(left, { "a-spot": { open: 0, canceled: 2, problem: "too late" } })
    assert.strictEqual(found, 12)
    assert.deepInclude(executions, { executed: 9, profit: "12.345" })
  })
})

describe("WatchView", () => {
  const make = (
    channels: ReadonlyArray<PublicTag>,
    pairs: ReadonlyArray<TradingPair> = ["BTC/USDT"],
    kind: "spot" | "swap" = "spot"
  ) => {
    const clock = { now: 0 }
    const view = new WatchView({
      name: "A spot",
      connections: new Connections(),
      pairs,
      channels,
      kind,
      now: () => clock.now,
      style: Style.of(false),
      log: () => []
    })
    return { clock, view }
  }

  it("shows the columns of the channels asked for", () => {
    assert.match(make(["Trades"]).view.table()[0]!, /^PAIR +LAST +LAST QTY +SIDE +EVENTS\/s +GAPS +AGE s$/)
    assert.match(
      make(["BookTicker", "Book"]).view.table()[0]!,
      /^PAIR +BID +BID QTY +ASK +ASK QTY +BOOK BID +BOOK ASK +BOOK/
    )
  })

  it("shows the newest values, and none behind a break", () => {
    const { clock, view } = make(["BookTicker", "Trades", "Book"])
    const { onBookTicker, onTrade, onBook, onGap, onStatus } = view.handlers
    assert.deepStrictEqual(view.lines(), ["A spot  not connected  0 events  -/s"])
    onStatus?.(status("Connected"))
    onBookTicker?.(ticker("BTC/USDT", 1, 2))
    onBookTicker?.(ticker("ETH/USDT", 1, 2))
    onTrade?.(trade("BTC/USDT"))
    onTrade?.(trade(null))
    onBook?.({ _tag: "BookUpdate", pair: "BTC/USDT", receivedAt: 1_800 } as unknown as BookUpdate)
    let book: LiveBook | undefined
    view.books = { get: () => book } as never
    clock.now = 2_000
    assert.match(view.lines()[2]!, /^BTC\/USDT +1 +1 +2 +0\.0000001 +7 +8 +sell +- +- +- +2 +0 +0\.2$/)
    assert.match(view.lines()[0]!, /connected {2}3 events {2}2\/s/)
    book = synced(3, 4)
    assert.match(view.screen()[3]!, /sell +3 +4 +synced/)
    book = stale
    onGap?.(gap("BookTicker", "BTC/USDT"))
    onGap?.(gap("Trades", "BTC/USDT"))
    onGap?.(gap("Trades", null))
    assert.match(view.table()[1]!, /^BTC\/USDT +- +- +- +- +7 +8 +sell +- +- +stale: Sequence +2 +2 +0\.2$/)
    assert.strictEqual(view.count, 3)
  })

  const common = { pair: "BTC/USDT", symbol: "X", exchangeTime: null, receivedAt: 1_000, exact: null } as const

  const day: Ticker = {
    ...common,
    _tag: "Ticker",
    lastPrice: 100,
    bidPrice: null,
    askPrice: null,
    highPrice: 110,
    lowPrice: 90,
    change: 0.0123,
    baseVolume: 5,
    quoteVolume: 500.4
  }

  it("shows every channel, and forgets what described the present behind a gap", () => {
    const { clock, view } = make(
      ["Ticker", "Kline", "FuturesTicker", "Liquidations", "ContractStats"],
      ["BTC/USDT"],
      "swap"
    )
    const { onContractStats, onFuturesTicker, onGap, onKline, onLiquidation, onTicker } = view.handlers
    clock.now = 60_000
    onTicker?.(day)
    onKline?.(
      {
        ...common,
        _tag: "Kline",
        openTime: 3_600_000,
        open: 1,
        high: 4,
        low: 0.5,
        close: 2,
        baseVolume: 9
      } as unknown as Kline
    )
    onFuturesTicker?.(
      {
        ...common,
        _tag: "FuturesTicker",
        markPrice: 101,
        indexPrice: 102,
        fundingRate: 0.0001,
        nextFundingTime: 3_660_000,
        openInterest: 1234
      } as unknown as FuturesTicker
    )
    onLiquidation?.({ ...common, _tag: "Liquidation", price: 99, quantity: 7, side: "sell" } as unknown as Liquidation)
    onContractStats?.(
      {
        ...common,
        _tag: "ContractStats",
        openInterest: 55,
        takerRatio: 1.5,
        accountRatio: null,
        longLiquidations: 3,
        shortLiquidations: 0
      } as unknown as ContractStats
    )
    assert.match(view.lines()[0]!, /5 events .* quantities in contracts$/)
    assert.match(
      view.table()[1]!,
      /^BTC\/USDT +100 +1\.23 +90 +110 +500 +01:00 +1 +4 +0\.5 +2 +9 +101 +102 +0\.0100 +1:00:00 +1234 +99 +7 +sell +55 +1\.500 +- +3 +0 /
    )
    const tags: ReadonlyArray<PublicTag> = ["Ticker", "Kline", "FuturesTicker", "Liquidations", "ContractStats"]
    for (const tag of tags) onGap?.(gap(tag, "BTC/USDT"))
    assert.match(view.table()[1]!, /^BTC\/USDT( +-){16} +99 +7 +sell( +-){5} +\d+ +5 /)
  })

  it("keeps rate, gaps and age on a narrow terminal, and says what it has no room for", () => {
    const { clock, view } = make(["FuturesTicker", "ContractStats"], ["BTC/USDT"], "swap")
    clock.now = 1_000
    for (const columns of [80, 100]) {
      const screen = view.screen(24, columns)
      for (const line of screen) assert.isAtMost(line.length, columns, line)
      assert.match(screen[2]!, /^PAIR +MARK .* EVENTS\/s +GAPS +AGE s$/)
      assert.match(screen.at(-1)!, /^q or Ctrl-C ends it; no room for [0-9]+ columns: .*/)
      const shown = screen[2]!.trim().split(/ {2,}/u)
      const [, count] = /for ([0-9]+) columns/u.exec(screen.at(-1)!)!
      assert.strictEqual(shown.length + Number(count), 14)
    }
    assert.match(view.screen(24, 80).at(-1)!, /…$|SHORT LIQ$/)
    // Room for all, or no width known: nothing is cut.
    for (const columns of [200, undefined]) {
      const screen = view.screen(24, columns)
      assert.include(screen[2]!, "SHORT LIQ")
      assert.strictEqual(screen.at(-1), "q or Ctrl-C ends it")
    }
    // Not even room for those that are kept.
    assert.match(view.screen(24, 20)[2]!, /^PAIR +EVENTS\/s +GAPS +AGE s$/)
  })

  it("shows of every pair the most traded ones, as many as there is room for", () => {
    const { view } = make(["Ticker"], ["*/*"])
    const { onGap, onTicker } = view.handlers
    for (const [pair, quoteVolume] of [["A/USDT", 1], ["B/USDT", 3], ["C/USDT", 2]] as const) {
      onTicker?.({ ...day, pair, quoteVolume })
    }
    onTicker?.({ ...day, pair: null, symbol: "NEWUSDT", quoteVolume: 0.5 })
    const pairs = (lines: ReadonlyArray<string>) => lines.map((line) => line.split(" ")[0])
    assert.deepStrictEqual(pairs(view.table()), ["PAIR", "B/USDT", "C/USDT", "A/USDT", "NEWUSDT"])
    assert.deepStrictEqual(pairs(view.table(3)), ["PAIR", "B/USDT", "C/USDT", "and"])
    assert.include(view.screen(8).join("\n"), "and 2 more")
    assert.isAtMost(view.screen(8).length, 8)
    onGap?.(gap("Ticker", "*/*"))
    assert.match(view.table()[1]!, /^\S+( +-){5} /)
  })
})
