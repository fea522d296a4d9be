/**
 * What `PublicExchange` must do on every exchange, run over the simulator with nothing mocked. A file of its own calls it with
 * an adapter and its dialect; names begin with MUST, so that a failure reads as a broken requirement.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { Scope } from "effect"
import * as PublicExchange from "../../src/composite/PublicExchange.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type * as ExchangeError from "../../src/ExchangeError.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "./Exchange.ts"

const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index])

/** So deep are the books of every exchange. */
const reach = 20

/** Compares every state of every book with the simulator's at that version. */
const judge = (simulator: Simulator["Service"], exchange: string) => {
  const judged = { compared: 0, wrong: 0, closed: new Array<TradingPair>() }
  const consumer: PublicExchange.BookConsumer = (live) => {
    if (live._tag === "Stale") {
      if (live.cause === "Closed") judged.closed.push(live.pair)
      return
    }
    const { book, pair } = live
    const truth = simulator.truth(exchange, pair, Number(book.version), reach)
    if (truth === undefined) return
    judged.compared++
    const side = (levels: typeof truth.bids) =>
      levels.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const { asks, bids } = book.top(reach)
    if (!same(bids, side(truth.bids)) || !same(asks, side(truth.asks))) judged.wrong++
  }
  return { consumer, judged }
}

const failureOf = <A, R>(effect: Effect.Effect<A, ExchangeError.ExchangeError, R>) => Effect.orDie(Effect.flip(effect))

const awaitState = (market: PublicExchange.PublicExchange["Service"], state: PublicExchange.HealthState) =>
  Effect.orDie(Effect.map(
    Stream.runHead(Stream.filter(market.healthChanges, (health) => health.state === state)),
    (found) => {
      assert.strictEqual(found._tag, "Some")
    }
  ))

export const publicExchangeSuite = (name: string, subject: Exchange.Subject): void => {
  for (const mode of [Exchange.memory, Exchange.ports]) {
    suiteIn(`PublicExchange of ${name} over ${mode.name}`, subject, mode)
  }
}

const suiteIn = (name: string, subject: Exchange.Subject, mode: Exchange.Mode): void => {
  const { adapter, dialect } = subject
  const pairOf = (base: string): TradingPair => dialect.kind === "spot" ? `${base}/USDT` : `${base}/USDT:USDT`
  const [btc, eth, nope] = [pairOf("BTC"), pairOf("ETH"), pairOf("NOPE")]
  const isMemory = mode.name === "memory"
  const check = (
    requirement: string,
    body: (
      market: PublicExchange.PublicExchange["Service"]
    ) => Effect.Effect<void, ExchangeError.ExchangeError | Error, Exchange.Services | Scope.Scope>,
    options?: PublicExchange.PublicExchangeOptions
  ) =>
    (isMemory ? it.effect : it.live)(requirement, () =>
      Exchange.withExchange(
        mode,
        mode.layer(subject, undefined, { idleTimeout: "100 millis" }),
        Effect.orDie(Effect.flatMap(PublicExchange.make(options), body))
      ))

  // Most of the time goes by waiting for real sockets; each test has an exchange of its own.
  const group = mode.name === "ports" ? describe.concurrent : describe

  group(name, () => {
    check(
      "MUST keep the books of its pairs as the exchange has them, and refuse an unknown pair alone",
      (market) =>
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { consumer, judged } = judge(simulator, adapter.id)
          yield* market.onBook(consumer)
          const { accepted, rejected } = yield* market.initialize([btc, nope, eth])
          assert.deepStrictEqual(accepted, [btc, eth])
          assert.deepStrictEqual([...rejected.keys()], [nope])
          for (const pair of [btc, eth]) {
            const { book } = yield* market.awaitBook(pair)
            assert.isAbove(book.bidCount, 0)
          }
          yield* simulator.until(() => judged.compared >= (isMemory ? 100 : 10))
          assert.strictEqual(judged.wrong, 0)
          yield* awaitState(market, "degraded")
          const health = yield* market.health
          assert.deepStrictEqual([...health.refused.keys()], [nope])
          assert.strictEqual(health.booksSynced, 2)
          assert.isAtLeast(health.lastDataAt!, (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - 60_000)
          assert.strictEqual(yield* failureOf(market.awaitBook(nope)), health.refused.get(nope))
          assert.isUndefined(market.book(nope))
          yield* market.remove([nope])
          yield* awaitState(market, "healthy")
        })
    )

    // The rest does not differ by what carries the bytes, and real time costs.
    if (!isMemory) return

    check(
      "MUST add and remove pairs while it runs, and tell the consumers of books that a pair is gone",
      (market) =>
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { consumer, judged } = judge(simulator, adapter.id)
          const [first, second] = yield* Effect.all(
            [market.initialize([btc]), Effect.delay(market.add([btc, eth, btc]), "1 millis")],
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(first.accepted, [btc])
          assert.deepStrictEqual([...second.accepted].sort(), [btc, eth])
          yield* market.awaitBook(eth)
          yield* market.onBook(consumer)
          assert.isAbove(judged.compared, 0, "told what there is")
          yield* market.remove([eth, eth, nope])
          assert.deepStrictEqual(judged.closed, [eth])
          assert.isUndefined(market.book(eth))
          assert.isNull(market.bestPrice(eth))
          assert.deepStrictEqual(market.pairs(), [btc])
          assert.strictEqual((yield* failureOf(market.awaitBook(eth))).reason._tag, "InvalidUse")
          yield* simulator.until(() => [...simulator.topics(adapter.id)].every((topic) => !topic.includes("ETH")))
          yield* market.add([eth])
          yield* market.awaitBook(eth)
          assert.strictEqual((yield* failureOf(market.add([nope]))).reason._tag, "SubscriptionRejected")
          assert.deepStrictEqual(market.pairs(), [btc, eth], "a call that fails leaves nothing behind")
        })
    )

    check(
      "MUST know best prices, tickers and funding as far as the exchange has them",
      (market) =>
        Effect.gen(function*() {
          const simulator = yield* Simulator
          yield* market.initialize([btc])
          const { book } = yield* market.awaitBook(btc)
          const best = market.bestPrice(btc)
          assert.deepInclude(best, { source: "book", bidPrice: book.bidPrice(), askQuantity: book.askQuantity() })
          yield* simulator.until(() => market.bookTicker(btc) !== null)
          assert.isBelow(market.bookTicker(btc)!.bidPrice!, market.bookTicker(btc)!.askPrice!)
          const hasTicker = adapter.channels.has("Ticker")
          if (hasTicker) yield* simulator.until(() => market.ticker(btc) !== null)
          assert.strictEqual(market.ticker(btc) !== null, hasTicker)
          if (adapter.kind === "spot") {
            assert.strictEqual((yield* failureOf(market.funding(btc))).reason._tag, "UnsupportedChannel")
            assert.isNull(market.futuresTicker(btc))
          } else {
            yield* simulator.until(() => market.futuresTicker(btc) !== null)
            const funding = yield* market.funding(btc)
            const truth = simulator.swap(adapter.id, btc)!
            assert.closeTo(funding!.rate, Number(truth.fundingRate), 1e-9)
            assert.isAbove(funding!.nextAt!, funding!.receivedAt)
          }
        })
    )

    check("MUST know the instruments and the exchange's clock", (market) =>
      Effect.gen(function*() {
        assert.isUndefined(market.instruments.current(btc))
        const instrument = yield* market.instruments.get(btc)
        assert.strictEqual(instrument.symbol, adapter.symbol(btc))
        assert.strictEqual(market.instruments.current(btc), instrument)
        assert.strictEqual((yield* failureOf(market.instruments.get(nope))).reason._tag, "UnknownPair")
        yield* market.refresh
        assert.isNotNull(market.clock())
        assert.isBelow(Math.abs(market.clock()!.offsetMs), 1_000)
        assert.isNotNull((yield* market.health).instrumentsAt)
      }))

    check(
      "MUST show nothing of the past behind a drop, say so, and come back by itself",
      (market) =>
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const { consumer, judged } = judge(simulator, adapter.id)
          const states = yield* Effect.forkScoped(
            Stream.runCollect(Stream.takeUntil(
              Stream.map(market.healthChanges, ({ state }) => state),
              (state) => state === "down"
            )),
            { startImmediately: true }
          )
          yield* market.initialize([btc, eth])
          yield* awaitState(market, "healthy")
          yield* market.onBook(consumer)
          yield* simulator.inject({ _tag: "Refuse", durationMillis: 300 })
          yield* simulator.inject("drop")
          assert.deepStrictEqual(yield* Fiber.join(states), ["starting", "healthy", "down"])
          for (const pair of [btc, eth]) {
            assert.strictEqual(market.book(pair)!._tag, "Stale")
            assert.isNull(market.bestPrice(pair))
            assert.isNull(market.bookTicker(pair))
          }
          const health = yield* market.health
          assert.isFalse(health.isConnected)
          assert.deepStrictEqual(health.stale, [btc, eth])
          assert.isNotEmpty(health.problems)
          yield* awaitState(market, "healthy")
          const { compared } = judged
          yield* simulator.until(() => judged.compared >= compared + 50)
          assert.strictEqual(judged.wrong, 0)
        })
    )

    check("MUST leave nothing subscribed when it is closed", (market) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const websocket = yield* PublicWebsocket
        yield* market.initialize([btc, eth])
        const waiting = yield* Effect.forkScoped(failureOf(market.awaitBook(btc)), { startImmediately: true })
        yield* market.close
        yield* market.close
        yield* Fiber.await(waiting)
        assert.strictEqual((yield* failureOf(market.add([btc]))).reason._tag, "Closed")
        assert.strictEqual((yield* failureOf(market.initialize([btc]))).reason._tag, "Closed")
        assert.strictEqual((yield* failureOf(market.awaitBook(btc))).reason._tag, "Closed")
        assert.strictEqual((yield* market.health).state, "closed")
        const states = yield* Stream.runCollect(Stream.map(market.healthChanges, ({ state }) => state))
        assert.deepStrictEqual(states, ["closed"], "the last state, and the end")
        yield* simulator.until(() => simulator.topics(adapter.id).size === 0)
        assert.strictEqual((yield* websocket.performance).progress.wanted, 0)
      }))

    check(
      "MUST follow books alone when asked to",
      (market) =>
        Effect.gen(function*() {
          const simulator = yield* Simulator
          yield* market.initialize([btc, eth])
          yield* market.awaitBook(btc)
          assert.strictEqual(simulator.topics(adapter.id).size, 2)
          assert.strictEqual((yield* failureOf(market.initialize([btc]))).reason._tag, "InvalidUse")
          assert.deepInclude(market.books.bookStatus(btc), { pair: btc, state: "Synced", error: null })
          assert.isUndefined(market.books.bookStatus(nope))
        }),
      { tickers: [], healthInterval: "100 millis" }
    )
  })
}
