/** Gate's channels end to end: what the shared suite leaves out because only this exchange has it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Stream } from "effect"
import type { Scope } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Data } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import { inBase } from "../../src/domain/Market.ts"
import type { WorldLevel } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { gateFuturesDialect, gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

const spot: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }
const futures: Exchange.Subject = { adapter: gateFutures, dialect: gateFuturesDialect }

const btc: TradingPair = "BTC/USDT"
const perpetual: TradingPair = "BTC/USDT:USDT"

const over = <A, E>(
  mode: Exchange.Mode,
  subject: Exchange.Subject,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>
) => Exchange.withExchange(mode, mode.layer(subject), body)

const inMemory = <A, E>(subject: Exchange.Subject, body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>) =>
  over(Exchange.memory, subject, body)

/** The first so many events of a channel, which must come without a break. */
const take = <const C extends Channel.PublicChannel>(channel: C, count: number) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const items = yield* Stream.runCollect(Stream.take(yield* websocket.feed(channel), count))
    assert.deepStrictEqual(items.filter(({ _tag }) => _tag === "Gap"), [])
    return items.flatMap((item) => item._tag === "Data" ? [(item as Data<Channel.EventOf<C>>).value] : [])
  })

/** Lets the market move, then holds it still, so that every frame says the same as the simulator. */
const settled = (pair: TradingPair) =>
  Effect.gen(function*() {
    const simulator = yield* Simulator
    yield* take(Channel.bookTicker(pair), 100)
    yield* simulator.pause
    return simulator
  })

const flat = (side: ReadonlyArray<WorldLevel>) =>
  side.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])

/** Each book of a feed is what the simulator had at that version, `depth` levels of it. */
const checkWhole = Effect.fnUntraced(function*(updates: ReadonlyArray<BookUpdate>, depth: number) {
  const { truth } = yield* Simulator
  const { exchange } = yield* PublicWebsocket
  for (const { asks, bids, firstVersion, kind, pair, version } of updates) {
    const book = truth(exchange, pair!, Number(version), depth)
    assert.isDefined(book)
    assert.deepStrictEqual({ kind, firstVersion }, { kind: "snapshot", firstVersion: version })
    assert.deepStrictEqual({ bids, asks }, { bids: flat(book.bids), asks: flat(book.asks) })
  }
})

/** No frame was refused, and none left to the general decoder. */
const clean = Effect.gen(function*() {
  const { decodeFailures, decoderFallbacks } = yield* PublicWebsocket.use(({ performance }) => performance)
  assert.deepStrictEqual({ decoderFallbacks, decodeFailures }, { decoderFallbacks: 0, decodeFailures: 0 })
})

describe("whole books of few levels", () => {
  const cases = [
    [spot, btc, [5, 10, 20, 30, 50, 100], undefined],
    [spot, btc, [5], "1000ms"],
    [futures, perpetual, [1, 5, 10, 20, 50, 100], undefined]
  ] as const
  for (const [subject, pair, depths, speed] of cases) {
    it.effect(`MUST each be the exchange's at that version: ${subject.adapter.id} ${speed ?? ""}`, () =>
      inMemory(
        subject,
        Effect.gen(function*() {
          for (const depth of depths) {
            yield* checkWhole(yield* take(Channel.book(pair, { source: "order_book", depth, speed }), 5), depth)
          }
          yield* clean
        })
      ))
  }

  it.effect("MUST reach both of two speeds, whose frames look the same", () =>
    inMemory(
      spot,
      Effect.gen(function*() {
        const source = "order_book"
        const slow = yield* Effect.forkScoped(take(Channel.book(btc, { source, depth: 5, speed: "1000ms" }), 3))
        yield* checkWhole(yield* take(Channel.book(btc, { source, depth: 5 }), 30), 5)
        yield* checkWhole(yield* Fiber.join(slow), 5)
        yield* clean
      })
    ))
})

describe("joined books of futures", () => {
  const requests = [{ depth: 100 }, { depth: 50 }, { speed: "20ms" }] as const
  for (const request of requests) {
    it.effect(`MUST begin with the exchange's book: ${JSON.stringify(request)}`, () =>
      inMemory(
        futures,
        Effect.gen(function*() {
          const { truth } = yield* Simulator
          const [first, ...deltas] = yield* take(
            Channel.book(perpetual, { source: "order_book_update", ...request }),
            20
          )
          const levels = "depth" in request ? request.depth : 20
          const book = truth("gate-futures", perpetual, Number(first!.version), levels)!
          assert.deepStrictEqual([first!.bids, first!.asks], [flat(book.bids), flat(book.asks)])
          assert.isTrue(deltas.every(({ kind }) => kind === "delta"))
          const { topics } = yield* PublicWebsocket.use(({ performance }) => performance)
          const item = "depth" in request ? `100ms|${levels}` : "20ms|20"
          assert.deepStrictEqual(topics.map(({ topic }) => topic), [`futures.order_book_update|BTC_USDT|${item}`])
          yield* clean
        })
      ))
  }
})

describe("the last 24 hours", () => {
  it.effect("MUST be what spot counts, in these units", () =>
    inMemory(
      spot,
      Effect.gen(function*() {
        const { statistics } = yield* settled(btc)
        const [ticker] = yield* take(Channel.ticker(btc), 1)
        const { baseVolume, high, last, low, open, quoteVolume } = statistics("gate-spot", btc)!
        assert.deepInclude(ticker, {
          lastPrice: Number(last),
          highPrice: Number(high),
          lowPrice: Number(low),
          baseVolume: Number(baseVolume),
          quoteVolume: Number(quoteVolume)
        })
        assert.approximately(ticker!.change!, Number(last) / Number(open) - 1, 1e-6)
        yield* clean
      })
    ))

  it.effect("MUST be what futures count, with mark and index price and funding", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const { statistics, swap } = yield* settled(perpetual)
        const [ticker] = yield* take(Channel.futuresTicker(perpetual), 1)
        const { high, last, low, quantity } = statistics("gate-futures", perpetual)!
        const { fundingRate, indexPrice, markPrice, nextFundingTime, openInterest } = swap("gate-futures", perpetual)!
        assert.deepInclude(ticker, {
          lastPrice: Number(last),
          highPrice: Number(high),
          lowPrice: Number(low),
          contractVolume: Number(quantity),
          markPrice: Number(markPrice),
          indexPrice: Number(indexPrice),
          fundingRate: Number(fundingRate),
          nextFundingTime,
          openInterest: Number(openInterest)
        })
        assert.strictEqual(nextFundingTime % ticker!.fundingInterval!, 0)
        yield* clean
      })
    ))
})

describe("candles", () => {
  const cases = [
    [spot, btc, [["1m", 60_000], ["2h", 7_200_000], ["1w", 604_800_000], ["30d", 2_592_000_000]], ["last"]],
    [futures, perpetual, [["1m", 60_000], ["4h", 14_400_000], ["1w", 604_800_000]], ["last", "mark", "index"]]
  ] as const
  for (const [subject, pair, intervals, prices] of cases) {
    const { id, kind } = subject.adapter
    it.effect(`MUST be the exchange's of every length and price: ${id}`, () =>
      inMemory(
        subject,
        Effect.gen(function*() {
          const { kline } = yield* settled(pair)
          for (const [interval, length] of intervals) {
            for (const price of prices) {
              const [candle] = yield* take(Channel.kline(pair, { interval, price }), 1)
              const truth = kline(id, pair, length, price)!
              assert.deepInclude(candle, {
                interval,
                price,
                openTime: truth.openTime,
                open: Number(truth.open),
                high: Number(truth.high),
                low: Number(truth.low),
                close: Number(truth.close),
                baseVolume: Number(truth.baseVolume),
                quoteVolume: kind === "spot" ? Number(truth.quoteVolume) : null,
                contractVolume: kind === "spot" ? null : Number(truth.quantity)
              })
            }
          }
          yield* clean
        })
      ))
  }
})

describe("contracts", () => {
  it.effect("MUST come with their size, so that every quantity is offered in base units", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const { trades: truth } = yield* Simulator
        const instruments = yield* MarketRest.use((rest) => rest.instruments)
        const { contractSize } = instruments.find(({ pair }) => pair === perpetual)!
        assert.isBelow(contractSize, 1)
        const trades = yield* take(Channel.trades(perpetual), 20)
        const latest = truth("gate-futures", perpetual)
        for (const trade of trades) {
          const { price, quantity, side } = latest.find(({ id }) => String(id) === trade.id)!
          assert.deepInclude(trade, {
            price: Number(price),
            quantity: Number(quantity),
            side,
            contractSize
          })
          assert.strictEqual(inBase(trade, trade.quantity), Number((Number(quantity) * contractSize).toPrecision(15)))
        }
        const [book] = yield* take(Channel.book(perpetual), 1)
        assert.strictEqual(book!.contractSize, contractSize)
        yield* clean
      })
    ))

  it.effect("MUST be counted by interval", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const { contractStats } = yield* settled(perpetual)
        const [stats] = yield* take(Channel.contractStats(perpetual, { interval: "1h" }), 1)
        const truth = contractStats("gate-futures", perpetual, 3_600_000)!
        assert.deepInclude(stats, {
          interval: "1h",
          markPrice: Number(truth.markPrice),
          openInterest: Number(truth.openInterest),
          openInterestValue: Number(truth.openInterestValue),
          longLiquidations: Number(truth.longLiquidations),
          shortLiquidations: Number(truth.shortLiquidations),
          takerRatio: truth.takerRatio,
          accountRatio: truth.accountRatio
        })
        yield* clean
      })
    ))

  it.effect("MUST be liquidated in the open, one pair or all at once", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const { liquidations: truth } = yield* Simulator
        const all = yield* Effect.forkScoped(take(Channel.liquidations(Channel.everyPair), 20))
        const own = yield* take(Channel.liquidations(perpetual), 3)
        const every = yield* Fiber.join(all)
        assert.isAbove(new Set(every.map(({ pair }) => pair)).size, 1)
        for (const { contractSize, pair, price, quantity, side, symbol } of [...own, ...every]) {
          assert.isNotNull(contractSize)
          assert.strictEqual(symbol, gateFutures.symbol(pair!))
          const known = truth("gate-futures", pair!).map((one) => [Number(one.price), Number(one.quantity), one.side])
          assert.deepInclude(known, [price, quantity, side])
        }
        assert.isTrue(own.every(({ pair }) => pair === perpetual))
        yield* clean
      })
    ))
})

describe("a contract that does not exist", () => {
  it.effect("MUST be refused, also where obu confirms it and stays silent", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const stream = yield* websocket.feed(Channel.book("NOPE/USDT:USDT"))
        const error = yield* Effect.flip(Stream.runDrain(stream))
        assert.isFalse(error.isTransient)
        const { reason } = error
        assert(reason._tag === "SubscriptionRejected")
        assert.deepInclude(reason, { code: "no snapshot", class: "item", topic: "futures.obu|ob.NOPE_USDT.50" })
        // The others go on.
        yield* take(Channel.book(perpetual), 5)
        const named = yield* Effect.flip(Effect.scoped(websocket.feed(Channel.trades("NOPE/USDT:USDT"))))
        assert(named.reason._tag === "SubscriptionRejected")
        assert.match(named.message, /unknown contract NOPE_USDT/)
      })
    ))
})

describe("a pair that does not exist, alone on a connection of spot, confirmed and then silent", () => {
  const nope: TradingPair = "NOPE/USDT"
  /** How its book ends, and what is said in the log. */
  const ending = (subject: Exchange.Subject, pair = nope) =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const error = yield* inMemory(
        subject,
        Effect.flatMap(
          PublicWebsocket.use((websocket) => websocket.feed(Channel.book(pair))),
          (stream) => Effect.orDie(Effect.flip(Stream.runDrain(stream)))
        )
      ).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])))
      const { reason } = error
      assert(reason._tag === "SubscriptionRejected")
      assert.deepInclude(reason, { code: "no snapshot", channel: "Book", symbol: pair })
      assert.include(logged, error.message)
      return { error, reason }
    })

  it.effect("MUST be refused for good and said in the log, with what to do", () =>
    Effect.gen(function*() {
      const { error, reason } = yield* ending(spot)
      assert.strictEqual(reason.class, "item")
      assert.isFalse(error.isTransient)
      assert.match(
        error.message,
        /Book NOPE\/USDT .* does not list NOPE_USDT.*; check the pair .* `exchange instruments`/
      )
    }))

  it.effect("MUST be tried again where nobody can tell, and name where to look", () =>
    Effect.gen(function*() {
      let asked = 0
      const makeRest: typeof gateSpot.makeRest = (options) => ({
        ...gateSpot.makeRest(options),
        instruments: Effect.suspend(() => {
          asked++
          return Effect.fail(
            ExchangeError.make("gate-spot", new ExchangeError.Disconnected({ code: 1006, detail: "down" }))
          )
        })
      })
      const { error } = yield* ending({ ...spot, adapter: { ...gateSpot, makeRest } })
      assert.isTrue(error.isTransient)
      assert.match(error.message, /Book NOPE\/USDT .*`exchange instruments`/)
      assert.strictEqual(asked, 2)
    }))

  it.effect("MUST be tried again where the exchange lists it", () =>
    Effect.gen(function*() {
      const dialect: typeof gateSpotDialect = {
        ...gateSpotDialect,
        connect: (world, peer, options) => {
          const send: typeof peer.send = (frame, about) => {
            if (!String(frame).includes("\"full\"")) peer.send(frame, about)
          }
          return gateSpotDialect.connect(world, { ...peer, send }, options)
        }
      }
      const stillness = { rate: 0, tradeRate: 0 }
      const error = yield* Exchange.withExchange(
        Exchange.memory,
        Exchange.memory.layer({ ...spot, dialect }, stillness),
        Effect.flatMap(
          PublicWebsocket.use((websocket) => websocket.feed(Channel.book(btc))),
          (stream) => Effect.orDie(Effect.flip(Stream.runDrain(stream)))
        )
      )
      assert.isTrue(error.isTransient)
      assert.match(error.message, /Book BTC\/USDT .*lists the pair/)
    }))
})

describe("a pair of spot", () => {
  it.effect("MUST be refused by futures before anything is sent, with how perpetuals are written", () =>
    inMemory(
      futures,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        for (const channel of [Channel.trades(btc), Channel.bookTicker(Channel.everyPair)]) {
          const error = yield* Effect.flip(Effect.scoped(websocket.feed(channel)))
          assert.strictEqual(error.reason._tag, "UnsupportedChannel")
          assert.match(error.message, /write pairs as BTC\/USDT:USDT|only Liquidations come for all pairs at once/)
        }
        const { counts } = yield* Simulator
        assert.strictEqual(counts().exchanges["gate-futures"]!.connections.accepted, 0)
      })
    ))
})

describe("REST", () => {
  for (const [subject, pair] of [[spot, btc], [futures, perpetual]] as const) {
    const { adapter } = subject
    it.effect(`MUST tell every market's turnover in quote: ${adapter.id}`, () =>
      inMemory(
        subject,
        Effect.gen(function*() {
          const { pairsOf, statistics } = yield* settled(pair)
          const turnovers = yield* MarketRest.use((rest) => rest.turnovers)
          assert.deepStrictEqual(
            turnovers,
            new Map(
              pairsOf(adapter.id).map((one) => [adapter.symbol(one)!, Number(statistics(adapter.id, one)!.quoteVolume)])
            )
          )
        })
      ))
  }
})

describe("over real ports", () => {
  it.live("every channel of futures MUST deliver, with the header that keeps sizes exact", () =>
    over(
      Exchange.ports,
      futures,
      Effect.gen(function*() {
        const events = yield* Effect.forEach(
          [
            Channel.book(perpetual, { source: "order_book_update" }),
            Channel.book(perpetual, { source: "order_book", depth: 5 }),
            Channel.futuresTicker(perpetual),
            Channel.kline(perpetual, { price: "mark" }),
            Channel.trades(perpetual)
          ] as const,
          (channel) => take(channel, 1),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          events.map(([event]) => event!._tag),
          ["BookUpdate", "BookUpdate", "FuturesTicker", "Kline", "Trade"]
        )
        yield* clean
      })
    ))
})
