/** MEXC's channels end to end: what the shared suite leaves out because only this exchange has it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { Scope } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Data } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate, Ticker } from "../../src/domain/Market.ts"
import type { WorldLevel } from "../../src/ExchangeDialect.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

const id = mexcSpot.id
const btc: TradingPair = "BTC/USDT"
const subject: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }

const over = <A, E>(
  mode: Exchange.Mode,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>,
  simulator?: Partial<SimulatorOptions>
) => Exchange.withExchange(mode, mode.layer(subject, simulator), body)

const inMemory = <A, E>(
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>,
  simulator?: Partial<SimulatorOptions>
) => over(Exchange.memory, body, simulator)

/** The first so many events of a channel, which must come without a break. */
const take = <const C extends Channel.PublicChannel>(channel: C, count: number) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const items = yield* Stream.runCollect(Stream.take(yield* websocket.feed(channel), count))
    assert.deepStrictEqual(items.filter(({ _tag }) => _tag === "Gap"), [])
    return items.flatMap((item) => item._tag === "Data" ? [(item as Data<Channel.EventOf<C>>).value] : [])
  })

const flat = (side: ReadonlyArray<WorldLevel>) =>
  side.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])

const requests = Simulator.use(({ counts }) => Effect.sync(() => counts().exchanges[id]!.client.requests))

/** Each book of a feed is what the simulator had at that version, `depth` levels of it. */
const checkBooks = Effect.fnUntraced(function*(updates: ReadonlyArray<BookUpdate>, depth: number) {
  const { truth } = yield* Simulator
  for (const { asks, bids, firstVersion, kind, pair, version } of updates) {
    const book = truth(id, pair!, Number(version), depth)
    assert.isDefined(book)
    assert.deepStrictEqual({ kind, firstVersion }, { kind: "snapshot", firstVersion: version })
    assert.deepStrictEqual({ bids, asks }, { bids: flat(book.bids), asks: flat(book.asks) })
  }
})

/** The candle and the day of a market that holds still, by the simulator. */
const checkTicker = Effect.fnUntraced(function*(ticker: Ticker) {
  const { statistics } = yield* Simulator
  const day = statistics(id, ticker.pair!)!
  assert.deepInclude(ticker, {
    lastPrice: Number(day.last),
    highPrice: Number(day.high),
    lowPrice: Number(day.low),
    baseVolume: Number(day.baseVolume),
    quoteVolume: Number(day.quoteVolume)
  })
})

describe("MEXC over the simulator, whole books of few levels", () => {
  it.effect("MUST each be the exchange's at that version", () =>
    inMemory(Effect.gen(function*() {
      for (const depth of [5, 10, 20]) {
        yield* checkBooks(yield* take(Channel.book(btc, { source: "limit", depth }), 20), depth)
      }
    })))

  it.effect("MUST reach a newcomer without a request, and without a break for the others", () =>
    inMemory(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const limited = Channel.book(btc, { source: "limit" })
      const running = yield* Effect.forkScoped(take(limited, 40))
      yield* take(limited, 5)
      const before = yield* requests
      yield* checkBooks(yield* take(limited, 5), 20)
      assert.strictEqual((yield* Fiber.join(running)).length, 40)
      assert.strictEqual(yield* requests, before)
      assert.strictEqual((yield* websocket.performance).topics.length, 1)
    })))
})

describe("MEXC over the simulator, tickers", () => {
  it.effect("MUST be what the exchange counts of the day, in these units", () =>
    inMemory(Effect.gen(function*() {
      const { pause } = yield* Simulator
      yield* take(Channel.bookTicker(btc), 100)
      yield* pause
      const [ticker] = yield* take(Channel.ticker(btc), 1)
      yield* checkTicker(ticker!)
      assert.isAbove(ticker!.quoteVolume!, ticker!.baseVolume!)
    })))

  it.effect("MUST name symbol and pair of each where one topic stands for every pair", () =>
    inMemory(Effect.gen(function*() {
      const { pairs, pause } = yield* Simulator
      yield* take(Channel.bookTicker(btc), 100)
      yield* pause
      const tickers = yield* take(Channel.ticker(Channel.everyPair, { zone: "UTC+8" }), pairs.length)
      assert.deepStrictEqual(tickers.map(({ pair }) => pair).toSorted(), [...pairs].toSorted())
      for (const ticker of tickers) {
        assert.strictEqual(ticker.symbol, mexcSpot.symbol(ticker.pair!))
        assert.strictEqual(ticker.lastPrice, Number((yield* Simulator).statistics(id, ticker.pair!)!.last))
      }
      const { topics } = yield* PublicWebsocket.use(({ performance }) => performance)
      assert.include(topics.map(({ topic }) => topic), "spot@public.miniTickers.v3.api.pb@UTC+8")
    })))

  it.effect("MUST come in batches with the prices of the exchange", () =>
    inMemory(Effect.gen(function*() {
      const { truth } = yield* Simulator
      const tickers = (yield* take(Channel.bookTicker(btc, { source: "batch" }), 60)) as ReadonlyArray<BookTicker>
      // The last one of a frame is the book of its version; the others were before it.
      const newest = tickers.filter(({ version }, index) => tickers[index + 1]?.version !== version).slice(0, -1)
      assert.isBelow(newest.length, tickers.length - 10)
      assert.isAbove(newest.length, 5)
      for (const { askPrice, bidPrice, pair, version } of newest) {
        const book = truth(id, pair!, Number(version), 1)!
        assert.deepStrictEqual([bidPrice, askPrice], [Number(book.bids[0]!.price), Number(book.asks[0]!.price)])
      }
    })))
})

describe("MEXC over the simulator, candles", () => {
  const intervals = [["1m", 60_000], ["1h", 3_600_000], ["8h", 28_800_000], ["1w", "week"], ["1M", "month"]] as const

  it.effect("MUST be the exchange's of every length", () =>
    inMemory(Effect.gen(function*() {
      const { kline, pause } = yield* Simulator
      yield* take(Channel.bookTicker(btc), 100)
      yield* pause
      for (const [interval, length] of intervals) {
        const [candle] = yield* take(Channel.kline(btc, { interval }), 1)
        const { baseVolume, close, closeTime, high, low, open, openTime, quoteVolume } = kline(id, btc, length)!
        assert.deepInclude(candle, {
          interval,
          openTime,
          closeTime,
          open: Number(open),
          high: Number(high),
          low: Number(low),
          close: Number(close),
          baseVolume: Number(baseVolume),
          quoteVolume: Number(quoteVolume)
        })
      }
    })))
})

describe("MEXC over the simulator, REST", () => {
  it.effect("MUST tell every market's turnover in quote", () =>
    inMemory(Effect.gen(function*() {
      const { pairs, pause, statistics } = yield* Simulator
      yield* take(Channel.bookTicker(btc), 100)
      yield* pause
      const turnovers = yield* MarketRest.use((rest) => rest.turnovers)
      assert.deepStrictEqual(
        turnovers,
        new Map(pairs.map((pair) => [mexcSpot.symbol(pair)!, Number(statistics(id, pair)!.quoteVolume)]))
      )
    })))
})

describe("MEXC over the simulator, what is not offered", () => {
  const refused: ReadonlyArray<Channel.PublicChannel> = [
    Channel.book(btc, { source: "limit", depth: 7 }),
    Channel.bookTicker(btc, { source: "batch", speed: "10ms" }),
    Channel.ticker(btc, { zone: "CET" }),
    Channel.kline(btc, { interval: "3m" }),
    Channel.kline(btc, { price: "mark" }),
    Channel.kline(Channel.everyPair),
    Channel.futuresTicker(btc),
    Channel.liquidations(Channel.everyPair)
  ]

  it.effect("MUST be refused before anything is sent", () =>
    inMemory(Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      for (const channel of refused) {
        const error = yield* Effect.flip(Effect.scoped(websocket.feed(channel)))
        assert.strictEqual(error.reason._tag, "UnsupportedChannel")
        assert.match(error.message, /offer/)
      }
      const { counts } = yield* Simulator
      assert.strictEqual(counts().exchanges[id]!.connections.accepted, 0)
    })))
})

describe("MEXC over real ports", () => {
  const channels = [
    Channel.book(btc, { source: "limit", depth: 5 }),
    Channel.bookTicker(btc, { source: "batch" }),
    Channel.ticker(btc),
    Channel.ticker(Channel.everyPair),
    Channel.kline(btc, { interval: "1M" })
  ] as const

  it.live("every channel MUST deliver", () =>
    over(
      Exchange.ports,
      Effect.gen(function*() {
        const events = yield* Effect.forEach(channels, (channel) => take(channel, 1), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          events.map(([event]) => event!._tag),
          ["BookUpdate", "BookTicker", "Ticker", "Ticker", "Kline"]
        )
        const { decoderFallbacks, decodeFailures } = yield* PublicWebsocket.use(({ performance }) => performance)
        assert.deepStrictEqual({ decoderFallbacks, decodeFailures }, { decoderFallbacks: 0, decodeFailures: 0 })
      })
    ))
})

describe("MEXC over the simulator, books of two depths", () => {
  it.effect("MUST each be whole: the snapshot is as deep as the deepest that share the topic", () =>
    inMemory(
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { truth } = yield* Simulator
        const levelsOf = (depth: number) =>
          Effect.gen(function*() {
            const stream = yield* websocket.feed(Channel.book(btc, { depth }))
            const [item] = yield* Stream.runCollect(Stream.take(stream, 1))
            assert(item?._tag === "Data" && item.value.kind === "snapshot")
            const { bids } = truth(id, btc, Number(item.value.version), depth)!
            assert.deepStrictEqual(item.value.bids.slice(0, 2 * depth), flat(bids))
            return bids.length
          })
        assert.strictEqual(yield* levelsOf(5), 5)
        assert.strictEqual(yield* levelsOf(40), 40)
        assert.strictEqual(yield* levelsOf(5), 5)
        const together = yield* Effect.all([levelsOf(60), levelsOf(80)], { concurrency: "unbounded" })
        assert.deepStrictEqual(together, [60, 80])
      }),
      { levels: 100 }
    ))

  it.effect("MUST stay right in the depth that was asked for while the market moves away", () =>
    inMemory(
      Effect.gen(function*() {
        const { feed } = yield* PublicWebsocket
        const { truth } = yield* Simulator
        const depth = 5
        const items = yield* Stream.runCollect(Stream.take(yield* feed(Channel.book(btc, { depth })), 300))
        const book = new OrderBook(btc)
        for (const item of items) {
          assert.strictEqual(item._tag, "Data")
          if (item._tag === "Data") book.apply(item.value)
          const { asks, bids } = truth(id, btc, Number(book.version), depth)!
          assert.deepStrictEqual(book.view!.top(depth), { bids: flat(bids), asks: flat(asks) })
        }
      }),
      { levels: 100, rate: 100, tradeRate: 20 }
    ))
})
