/** What a session does when the exchange is slow, refuses, announces, limits or falls silent: beyond the shared suite. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { ConnectionStatus, Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { Codec } from "../../src/ExchangeAdapter.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"
import { toy } from "../simulator/ToyDialect.ts"
import * as Exchange from "../suites/Exchange.ts"
import { deafTo, over, pairs, refusing, still } from "./Memory.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }
const mexc: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }
const made: Exchange.Subject = { adapter: toySpot, dialect: toy }

const isData = <A>(item: Feed<A>) => item._tag === "Data"
const causesOf = (items: ReadonlyArray<Feed<unknown>>) =>
  items.flatMap((item) => item._tag === "Gap" ? [item.cause] : [])

/** Up to the first data behind a gap. */
const throughGap = <A>(stream: Stream.Stream<Feed<A>, ExchangeError.ExchangeError>) => {
  let gone = false
  return Stream.runCollect(Stream.takeUntil(stream, (item) => {
    gone = gone || item._tag === "Gap"
    return gone && item._tag === "Data"
  }))
}

/** The first thing that comes, which must be data. */
const first = <A>(stream: Stream.Stream<Feed<A>, ExchangeError.ExchangeError>) =>
  Effect.map(
    Stream.runCollect(Stream.take(stream, 1)),
    (items) => assert.deepStrictEqual(items.map(({ _tag }) => _tag), ["Data"])
  )

/** Every status from now on. */
const statuses = Effect.gen(function*() {
  const seen: Array<ConnectionStatus> = []
  yield* PublicWebsocket.use((websocket) => websocket.handle({ onStatus: (status) => seen.push(status) }))
  return seen
})

const millis = Clock.currentTimeMillis

/** Ends the first connection that was opened, from outside. */
const losing = () => {
  let abort: () => void = () => {}
  let dials = 0
  const through: ExchangeFactory.WebsocketOptions["through"] = (dial) =>
    Effect.gen(function*() {
      const connection = yield* dial
      const reason = ExchangeError.make("x", new ExchangeError.Disconnected({ code: 1006, detail: "lost by the test" }))
      if (++dials === 1) abort = () => Effect.runSync(connection.abort(reason))
      return connection
    })
  return { through, now: () => abort() }
}

describe("an exchange that does not answer", () => {
  it.effect("MUST tell who asked, and let a second try succeed", () => {
    let deaf = true
    const dialect = deafTo(gateSpotDialect, () => deaf)
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const error = yield* Effect.flip(Effect.scoped(websocket.feed(Channel.trades(btc))))
        assert.strictEqual(error.reason._tag, "SubscriptionTimeout")
        deaf = false
        yield* first(yield* websocket.feed(Channel.trades(btc)))
        const { confirmed, timedOut } = (yield* websocket.performance).subscriptions
        assert.deepStrictEqual({ confirmed, timedOut }, { confirmed: 1, timedOut: 1 })
      }),
      undefined,
      { answerTimeout: "1 second" }
    )
  })

  it.effect("MUST ask again for a live topic until it is answered", () => {
    let overlook = 0
    const dialect = deafTo(gateSpotDialect, (frame) => frame.includes("subscribe") && overlook-- > 0)
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.trades(btc))
        overlook = 3
        yield* simulator.inject("drop")
        assert.deepStrictEqual(causesOf(yield* throughGap(stream)), ["Reconnected"])
        const { errors, reconnects, subscriptions } = yield* websocket.performance
        assert.strictEqual(subscriptions.timedOut, 3)
        assert.strictEqual(errors["SubscriptionTimeout"], 3)
        assert.strictEqual(reconnects, 1)
      }),
      undefined,
      { answerTimeout: "1 second" }
    )
  })
})

describe("a refusal", () => {
  it.effect("that passes MUST be tried again with growing waits, and the stream goes on", () => {
    let refusals = 0
    const asked: Array<number> = []
    const clock: { now: () => number } = { now: () => 0 }
    const dialect = refusing(gateSpotDialect, () => {
      asked.push(clock.now())
      return refusals-- > 0 ? "server side error" : null
    })
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const current = yield* Clock.Clock
        clock.now = () => current.currentTimeMillisUnsafe()
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.trades(btc))
        refusals = 3
        asked.length = 0
        yield* simulator.inject("drop")
        assert.deepStrictEqual(causesOf(yield* throughGap(stream)), ["Reconnected"])
        const waits = asked.slice(1).map((at, index) => at - asked[index]!)
        assert.strictEqual(waits.length, 3)
        for (const [index, least] of [1000, 2000, 4000].entries()) {
          assert.isAtLeast(waits[index]!, least)
          assert.isAtMost(waits[index]!, least + 300)
        }
        assert.strictEqual((yield* websocket.performance).errors["SubscriptionRejected"], 3)
      })
    )
  })

  it.effect("that passes MUST still be told to who asks first, as transient", () =>
    over(
      { ...gate, dialect: refusing(gateSpotDialect, () => "server side error") },
      Effect.gen(function*() {
        const error = yield* Effect.flip(PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc))))
        assert.strictEqual(error.reason._tag, "SubscriptionRejected")
        assert.strictEqual(error.reason._tag === "SubscriptionRejected" ? error.reason.class : "", "retryable")
        assert.isTrue(error.isTransient)
      })
    ))

  it.effect("for good of a topic that was live MUST end its feed, be a gap in the session, and spare the others", () => {
    let delisted = false
    const dialect = refusing(
      gateSpotDialect,
      (topic) => delisted && topic.includes("BTC_USDT") ? "unknown currency pair: BTC_USDT" : null
    )
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const seen: Array<Feed<MarketEvent>> = []
        const handled: Array<string> = []
        const rejected = yield* Deferred.make<void>()
        const renewed = yield* Deferred.make<void>()
        yield* websocket.handle({ onGap: ({ cause, pair }) => handled.push(`${pair} ${cause}`) })
        yield* Effect.forkScoped(
          Stream.runForEach(websocket.events, (item) =>
            Effect.sync(() => {
              seen.push(item)
              if (item._tag === "Gap" && item.cause === "Rejected") Deferred.doneUnsafe(rejected, Exit.void)
              const after = seen.some((other) => other._tag === "Gap" && other.pair === eth)
              if (item._tag === "Data" && item.value.pair === eth && after) Deferred.doneUnsafe(renewed, Exit.void)
            })),
          { startImmediately: true }
        )
        yield* websocket.initialize([btc, eth], ["Trades"])
        const feed = yield* websocket.feed(Channel.trades(btc))
        const other = yield* websocket.feed(Channel.trades(eth))
        delisted = true
        yield* simulator.inject("drop")
        const error = yield* Effect.flip(Stream.runDrain(feed))
        assert.strictEqual(error.reason._tag, "SubscriptionRejected")
        assert.isFalse(error.isTransient)
        yield* Deferred.await(rejected)
        yield* Deferred.await(renewed)
        const gaps = seen.flatMap((item) => item._tag === "Gap" ? [`${item.pair} ${item.cause}`] : [])
        assert.strictEqual(gaps.filter((gap) => gap === `${btc} Rejected`).length, 1)
        assert.notInclude(gaps, `${eth} Rejected`)
        assert.include(handled, `${btc} Rejected`)
        assert.deepStrictEqual(causesOf(yield* throughGap(other)), ["Reconnected"])
        assert.deepStrictEqual([...simulator.topics("gate-spot")], ["spot.trades|ETH_USDT"])
      })
    )
  })
})

describe("connections", () => {
  it.effect("MUST be as many as the exchange's limit of topics asks, and all deliver", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const seen = new Set<string | null>()
        const whole = yield* Deferred.make<void>()
        yield* websocket.handle({
          onBookTicker: ({ pair }) => {
            seen.add(pair)
            if (seen.size === 40) Deferred.doneUnsafe(whole, Exit.void)
          }
        })
        const { accepted } = yield* websocket.initialize(pairs(40), ["BookTicker"])
        assert.strictEqual(accepted.length, 40)
        yield* Deferred.await(whole)
        const { connected, connections, errors } = yield* websocket.performance
        assert.deepStrictEqual({ connections, connected, errors }, { connections: 2, connected: 2, errors: {} })
        assert.strictEqual(simulator.counts().exchanges["mexc-spot"]!.control.reject, 0)
        assert.strictEqual(simulator.topics("mexc-spot").size, 40)
      }),
      { pairs: pairs(40), limits: "real" }
    ))

  it.effect("MUST lose only their own topics: the other goes on without a gap", () => {
    const loss = losing()
    return over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const gaps = new Set<string | null>()
        const resumed = yield* Deferred.make<void>()
        let dropped = false
        yield* websocket.handle({
          onGap: ({ pair }) => gaps.add(pair),
          onBookTicker: ({ pair }) => dropped && gaps.has(pair) && Deferred.doneUnsafe(resumed, Exit.void)
        })
        yield* websocket.initialize(pairs(40), ["BookTicker"])
        assert.isTrue(yield* websocket.isConnected)
        dropped = true
        loss.now()
        yield* Deferred.await(resumed)
        assert.strictEqual(gaps.size, 28)
        assert.strictEqual((yield* websocket.performance).reconnects, 1)
      }),
      { pairs: pairs(40) },
      { through: loss.through }
    )
  })

  it.effect("MUST be opened again for a topic that comes after the idle time", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const connections = () => simulator.counts().exchanges["gate-spot"]!.connections
        yield* Effect.scoped(websocket.feed(Channel.trades(btc)))
        yield* Effect.sleep("500 millis")
        yield* Effect.scoped(websocket.feed(Channel.trades(eth)))
        assert.strictEqual(connections().accepted, 1)
        yield* simulator.until(() => connections().open === 0)
        assert.isFalse(yield* websocket.isConnected)
        yield* first(yield* websocket.feed(Channel.trades(btc)))
        assert.strictEqual(connections().accepted, 2)
        assert.isTrue(yield* websocket.isConnected)
      }),
      undefined,
      { idleTimeout: "1 second" }
    ))

  it.effect("MUST be given up when the Layer goes while they are being opened", () => {
    let interrupted = 0
    return Exchange.memory.run(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const dialling = yield* Deferred.make<void>()
      const through: ExchangeFactory.WebsocketOptions["through"] = () =>
        Effect.sync(() => Deferred.doneUnsafe(dialling, Exit.void)).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Effect.sync(() => interrupted++))
        )
      const context = yield* Scope.provide(Layer.build(Exchange.memory.layer(gate, undefined, { through })), scope)
      const body = Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const waiting = yield* Effect.forkChild(Effect.scoped(websocket.feed(Channel.trades(btc))))
        yield* Deferred.await(dialling)
        assert.isFalse(yield* websocket.isConnected)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(interrupted, 1)
        return yield* Fiber.await(waiting)
      })
      const error = yield* Effect.flip(yield* Effect.provide(body, context))
      assert.strictEqual(error.reason._tag, "Closed")
    }))
  })

  it.effect("MUST end the streams that outlive their Layer with Closed", () =>
    Exchange.memory.run(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(Exchange.memory.layer(gate)), scope)
      yield* Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const stream = yield* websocket.feed(Channel.trades(btc))
        const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(stream)), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(reading)).reason._tag, "Closed")
      }).pipe(Effect.scoped, Effect.provide(context))
    })))
})

describe("a silent topic", () => {
  it.effect("MUST be subscribed anew after waits that double", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const at: Array<number> = []
        const stream = yield* websocket.feed(Channel.trades(btc))
        const start = yield* millis
        yield* Effect.forkScoped(Stream.runForEach(stream, (item) =>
          Effect.map(millis, (now) => {
            if (item._tag === "Gap") at.push(now - start)
          })))
        yield* Effect.sleep("16 seconds")
        assert.strictEqual(at.length, 4)
        for (const [index, expected] of [1000, 3000, 7000, 15_000].entries()) {
          assert.isAtLeast(at[index]!, expected)
          assert.isAtMost(at[index]!, expected + 1000)
        }
        const requests = simulator.counts().exchanges["gate-spot"]!.client.requests
        assert.strictEqual(requests, 1 + 4 * 2)
        yield* simulator.publish("gate-spot", btc, { _tag: "Trade", side: "buy", quantity: "0.01", price: "100" })
        const spoke = yield* millis
        yield* simulator.until(() => simulator.counts().exchanges["gate-spot"]!.client.requests === requests + 2)
        assert.isAtMost((yield* millis) - spoke, 1500)
      }),
      still,
      { silence: { Trades: "1 second" }, staleAfter: null }
    ))
})

describe("the book of a silent topic", () => {
  for (const subject of [mexc, gate]) {
    it.effect(`MUST NOT be shown while ${subject.adapter.id} sends none of its changes, and MUST be back once it does`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const simulator = yield* Simulator
          const clock = yield* Clock.Clock
          const told: Array<readonly [what: string, at: number]> = []
          const tell = (what: string) => void told.push([what, clock.currentTimeMillisUnsafe()])
          yield* websocket.handle({ onBook: ({ kind }) => tell(kind), onGap: ({ cause }) => tell(cause) })
          yield* websocket.initialize([btc], ["Book"])
          yield* Effect.sleep("5 seconds")
          yield* Effect.orDie(simulator.inject("silence@0s:60s"))
          const begins = yield* millis
          yield* Effect.sleep("70 seconds")
          const found = told.findIndex(([what]) => what === "Silent")
          const gap = told[found]
          const back = told.slice(found).find(([what]) => what === "snapshot" || what === "delta")
          assert.isAtMost(gap![1] - begins, 4_500)
          assert.strictEqual(back![0], "snapshot")
          assert.isAtLeast(back![1] - begins, 60_000, "the exchange was silent still")
          assert.isAtMost(back![1] - begins, 61_500)
        }),
        { rate: 20 },
        { silence: { Book: "3 seconds" }, staleAfter: null }
      ))
  }

  it.effect("MUST be shown again when it is what it was: the market is quiet", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const told: Array<string> = []
        yield* websocket.handle({
          onBook: ({ kind }) => void told.push(kind),
          onGap: ({ cause }) => void told.push(cause)
        })
        yield* websocket.initialize([btc], ["Book"])
        const level = { _tag: "Level", side: "bid", price: "1000", quantity: "0.5" } as const
        yield* Effect.orDie(simulator.publish("mexc-spot", btc, level))
        yield* Effect.sleep("6 seconds")
        assert.deepStrictEqual(told.slice(-2), ["Silent", "snapshot"])
      }),
      still,
      { silence: { Book: "3 seconds" }, staleAfter: null }
    ))
})

describe("an alarm about a silent topic", () => {
  /** Alarms, false ones, and the breaks of a book. */
  const watched = (body: Effect.Effect<void, never, Simulator>) =>
    Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const gaps: Array<string> = []
      yield* websocket.handle({ onGap: ({ cause }) => void gaps.push(cause) })
      yield* websocket.initialize([btc], ["Book"])
      yield* body
      const { falseAlarms, silences } = yield* websocket.performance
      return { falseAlarms, silences, gaps }
    })

  for (const subject of [mexc, gate]) {
    it.effect(`MUST count as false when ${subject.adapter.id} had nothing to say`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const quiet = yield* watched(Effect.gen(function*() {
            const simulator = yield* Simulator
            // A level that changes now and then.
            for (let i = 0; i < 6; i++) {
              const level = { _tag: "Level", side: "bid", price: "1000", quantity: `0.0${1 + i}` } as const
              yield* Effect.orDie(simulator.publish(subject.adapter.id, btc, level))
              yield* Effect.sleep("4 seconds")
            }
          }))
          assert.isAbove(quiet.silences, 1)
          assert.isAtLeast(quiet.falseAlarms, 1)
          assert.isTrue(quiet.gaps.every((cause) => cause === "Silent"))
        }),
        still,
        { silence: { Book: "3 seconds" } }
      ))

    it.effect(`MUST NOT count as false when frames of ${subject.adapter.id} stayed away`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const dead = yield* watched(Effect.gen(function*() {
            const simulator = yield* Simulator
            yield* Effect.sleep("5 seconds")
            yield* Effect.orDie(simulator.inject("silence:BTC/USDT@0s:4s"))
            yield* Effect.sleep("10 seconds")
          }))
          assert.isAbove(dead.silences, 0)
          assert.strictEqual(dead.falseAlarms, 0)
        }),
        {},
        { silence: { Book: "3 seconds" } }
      ))
  }
})

describe("a subscriber that holds up reading", () => {
  it.effect("MUST lose nothing, and its silence MUST not be taken for a dead peer", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.trades(btc), { bufferSize: 4, overflow: "block" })
        const print = simulator.publish("gate-spot", btc, {
          _tag: "Trade",
          side: "buy",
          quantity: "0.01",
          price: "100"
        })
        for (let i = 0; i < 50; i++) {
          yield* print
          yield* Effect.sleep("10 millis")
        }
        // Not even the answers to pings come now.
        yield* simulator.inject("half-open")
        yield* Effect.sleep("2 minutes")
        const held = yield* websocket.performance
        assert.strictEqual(held.reconnects, 0)
        assert.isAtMost(held.topics[0]!.received, 10)
        const all = yield* Stream.runCollect(Stream.takeUntil(stream, (item) => item._tag === "Gap"))
        assert.deepStrictEqual(causesOf(all), ["Reconnected"])
        const items = all.filter(isData)
        assert.strictEqual(items.length, 50)
        const ids = items.map((item) => item._tag === "Data" ? Number(item.value.id) : 0)
        assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
        const after = yield* websocket.performance
        assert.strictEqual(after.errors["Silent"], 1)
        assert.strictEqual(after.dropped, 0)
      }),
      still,
      {
        heartbeat: { interval: "1 second", timeout: "1 second" },
        staleAfter: "5 seconds",
        silence: { Trades: "5 seconds" }
      }
    ))
})

describe("a connection that ends while a subscriber holds up reading", () => {
  it.effect("MUST be told of at once and dialled again, and the frames that were read before MUST not be lost", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const told: Array<string> = []
        yield* websocket.handle({ onStatus: ({ _tag }) => told.push(_tag) })
        yield* websocket.handleFeed(Channel.trades(eth), {
          onEvent: ({ id }) => told.push(`other ${id}`),
          onGap: ({ cause }) => told.push(`other ${cause}`)
        })
        const stream = yield* websocket.feed(Channel.trades(btc), { bufferSize: 4, overflow: "block" })
        const print = Effect.andThen(
          simulator.publish("gate-spot", btc, { _tag: "Trade", side: "buy", quantity: "0.01", price: "100" }),
          Effect.sleep("10 millis")
        )
        told.length = 0
        yield* Effect.repeat(print, { times: 19 })
        const held = yield* websocket.performance
        assert.isAtMost(held.topics.find(({ pair }) => pair === btc)!.received, 10)
        yield* simulator.inject("drop")
        yield* Effect.sleep("2 seconds")
        assert.deepStrictEqual(told, ["other Reconnected", "Disconnected", "Connecting", "Connected"])
        assert.isTrue(yield* websocket.isConnected)
        const received = Effect.map(
          websocket.performance,
          ({ topics }) => topics.find(({ pair }) => pair === btc)!.received
        )
        assert.strictEqual(yield* received, 20)
        // The next one brings nothing while there is no room: the buffer takes no more, however often they end.
        for (let i = 0; i < 3; i++) {
          yield* Effect.repeat(print, { times: 19 })
          yield* simulator.inject("drop")
          yield* Effect.sleep("10 seconds")
        }
        assert.strictEqual(yield* received, 20)
        assert.strictEqual((yield* websocket.performance).reconnects, 4)
        const pull = yield* Stream.toPull(stream)
        const items = yield* pull
        assert.deepStrictEqual(causesOf(items), ["Reconnected"])
        assert.strictEqual(items.at(-1)!._tag, "Gap")
        const ids = items.flatMap((item) => item._tag === "Data" ? [Number(item.value.id)] : [])
        assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
        assert.strictEqual(ids.length, 20)
        yield* print
        assert.strictEqual((yield* pull).length, 1)
      }),
      still
    ))
})

describe("requests", () => {
  /** The most that came within any second. */
  const busiest = (times: ReadonlyArray<number>) =>
    Math.max(...times.map((start) => times.filter((at) => at >= start && at < start + 1000).length))

  it.effect("MUST keep below the exchange's limit in every second, wherever it begins", () => {
    const times: Array<number> = []
    const clock: { now: () => number } = { now: () => 0 }
    const dialect = deafTo(toy, () => {
      times.push(clock.now())
      return false
    })
    const all = pairs(45)
    return over(
      { ...made, dialect },
      Effect.gen(function*() {
        const current = yield* Clock.Clock
        clock.now = () => current.currentTimeMillisUnsafe()
        const websocket = yield* PublicWebsocket
        yield* websocket.initialize([all[0]], ["BookTicker", "Book"])
        yield* Effect.sleep("950 millis")
        const [, second, ...others] = all
        yield* websocket.subscribe([second!, ...others])
        assert.strictEqual(times.length, 90)
        assert.isAtMost(busiest(times), toySpot.limits.requestsPerSecond)
        yield* websocket.unsubscribe(all)
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(times.length, 180)
        assert.isAtMost(busiest(times), toySpot.limits.requestsPerSecond)
      }),
      { pairs: all },
      { heartbeat: { interval: "1 minute" }, silence: { BookTicker: null, Book: null } }
    )
  })
})

describe("topics", () => {
  it.effect("MUST deliver again after thousands of others were asked for on the same connection", () =>
    over(
      made,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.feed(Channel.bookTicker(eth))
        yield* Effect.scoped(Effect.flatMap(websocket.feed(Channel.bookTicker(btc)), first))
        yield* Effect.forEach(
          Array.from({ length: 5000 }, (_, index): TradingPair => `NOPE${index}/USDT`),
          (pair) => Effect.flip(Effect.scoped(websocket.feed(Channel.bookTicker(pair)))),
          { concurrency: 50, discard: true }
        )
        const { topics } = yield* websocket.performance
        assert.isUndefined(topics.find(({ pair }) => pair === btc), "its counts are still there: retire more")
        yield* first(yield* websocket.feed(Channel.bookTicker(btc)))
        const { connections, reconnects } = yield* websocket.performance
        assert.deepStrictEqual({ connections, reconnects }, { connections: 1, reconnects: 0 })
      })
    ))
})

describe("a book whose snapshot is fetched", () => {
  it.effect("MUST be shown after a second on a quiet market, although no delta has met it", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* Effect.sleep("1 second")
        const stream = yield* websocket.feed(Channel.book(btc))
        const asked = yield* millis
        const pull = yield* Stream.toPull(stream)
        const [item] = yield* pull
        assert.isAtLeast((yield* millis) - asked, 1000)
        assert.isAtMost((yield* millis) - asked, 1500)
        assert.deepInclude(item, { _tag: "Data", origin: "Reconciled" })
        assert.strictEqual(item?._tag === "Data" ? item.value.kind : "", "snapshot")
        const { version } = simulator.book("mexc-spot", btc)!
        assert.strictEqual(item?._tag === "Data" ? item.value.version : 0, version)
        yield* simulator.publish("mexc-spot", btc, { _tag: "Level", side: "bid", price: "1", quantity: "2" })
        const [next] = yield* pull
        assert.strictEqual(next?._tag === "Data" ? next.value.firstVersion : 0, version + 1)
      }),
      still
    ))

  it.effect("MUST be asked for again when the exchange has had enough, no sooner than it says", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const before = yield* millis
        const stream = yield* websocket.feed(Channel.book(btc))
        const [item] = yield* Stream.runCollect(Stream.take(stream, 1))
        assert.isTrue(item !== undefined && isData(item))
        assert.isAtLeast((yield* millis) - before, 6000)
        const { rest } = simulator.counts().exchanges["mexc-spot"]!
        assert.deepStrictEqual(rest.statuses, { 429: 2, 200: 1 })
        assert.strictEqual((yield* websocket.performance).errors["RequestFailed"], 2)
      }),
      { faults: ["http-error:429,count=2,retry-after=3s"] }
    ))

  it.effect("MUST end with the reason when the exchange refuses the request for good", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const other = yield* websocket.feed(Channel.trades(btc))
        const stream = yield* websocket.feed(Channel.book(btc, { source: "order_book_update" }))
        const error = yield* Effect.flip(Stream.runDrain(stream))
        assert.deepInclude(error.reason, { _tag: "RequestFailed", status: 401, class: "auth" })
        assert.isFalse(error.isTransient)
        assert.strictEqual(simulator.counts().exchanges["gate-spot"]!.rest.requests, 1)
        yield* first(other)
      }),
      { faults: ["http-error:401"] }
    ))
})

describe("what cannot be asked for", () => {
  for (
    const [channel, detail] of [
      [Channel.ticker(btc), "BookTicker, Trades, Book"],
      [Channel.bookTicker("BTC/USDT:USDT"), "has no such pair"],
      [Channel.bookTicker("BTC/" as TradingPair), "has no such pair"],
      [Channel.bookTicker(btc, { speed: "10ms" }), "speed 10ms is not offered; 20ms is"]
    ] as const
  ) {
    it.effect(`MUST be said before anything is sent: ${channel._tag} ${channel.pair}, ${detail}`, () =>
      over(
        made,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const error = yield* Effect.flip(websocket.feed(channel))
          assert.strictEqual(error.reason._tag, "UnsupportedChannel")
          assert.include(error.message, detail)
          assert.strictEqual((yield* Simulator).counts().exchanges["toy"]!.dials.length, 0)
        })
      ))
  }
})

describe("a stream that was confirmed and pushes no snapshot", () => {
  it.effect("MUST be asked again, and end with the reason when it never does", () => {
    const dialect: ExchangeDialect = {
      ...toy,
      connect: (world, peer, options) => {
        const send: typeof peer.send = (frame, about) => {
          if (!String(frame).includes("\"snapshot\"")) peer.send(frame, about)
        }
        return toy.connect(world, { ...peer, send }, options)
      }
    }
    return over(
      { ...made, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const other = yield* websocket.feed(Channel.bookTicker(btc))
        const stream = yield* websocket.feed(Channel.book(btc))
        const error = yield* Effect.flip(Stream.runDrain(stream))
        assert.deepInclude(error.reason, { _tag: "SubscriptionRejected", code: "no snapshot", symbol: btc })
        assert.isAtLeast((yield* websocket.performance).topics.find(({ channel }) => channel === "Book")!.stale, 1)
        yield* first(other)
      })
    )
  })
})

describe("a defect", () => {
  it.effect("of a decoder MUST end what depends on it, and be no hang", () => {
    const adapter = {
      ...toySpot,
      makeCodec: () => ({
        decode: () => {
          throw new Error("mine")
        }
      })
    }
    return over(
      { ...made, adapter },
      Effect.gen(function*() {
        const error = yield* Effect.flip(PublicWebsocket.use((websocket) => websocket.feed(Channel.book(btc))))
        assert.strictEqual(error.reason._tag, "InvalidUse")
        assert.include(error.message, "mine")
      })
    )
  })

  it.effect("of a REST call MUST end the book that needs it, and spare the others", () => {
    const adapter = {
      ...mexcSpot,
      makeRest: (options: Parameters<typeof mexcSpot.makeRest>[0]) => ({
        ...mexcSpot.makeRest(options),
        book: () => Effect.die(new Error("mine"))
      })
    }
    return over(
      { ...mexc, adapter },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const other = yield* websocket.feed(Channel.bookTicker(btc))
        const stream = yield* websocket.feed(Channel.book(btc))
        const error = yield* Effect.flip(Stream.runDrain(stream))
        assert.include(error.message, "mine")
        yield* first(other)
      })
    )
  })

  it.effect("of a status handler MUST be counted, and the others still hear", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.handle({
          onStatus: () => {
            throw new Error("mine")
          }
        })
        const seen = yield* statuses
        yield* websocket.feed(Channel.trades(btc))
        assert.deepStrictEqual(seen.map(({ _tag }) => _tag), ["Connecting", "Connected"])
        assert.strictEqual((yield* websocket.performance).handlerFailures, 2)
        const present = yield* Stream.runCollect(Stream.take(websocket.status, 1))
        assert.deepStrictEqual(present.map(({ _tag }) => _tag), ["Connected"])
      })
    ))
})

describe("a ping of the exchange's own", () => {
  it.effect("MUST be answered on the connection it came on", () => {
    const adapter = {
      ...toySpot,
      makeCodec: (context: Parameters<typeof toySpot.makeCodec>[0]): Codec => {
        const codec = toySpot.makeCodec(context)
        return {
          decode: (frame, receivedAt, sink) => {
            codec.decode(frame, receivedAt, sink)
            if (new TextDecoder().decode(frame).includes("\"ack\"")) sink.reply?.("{\"op\":\"quiet\"}")
          }
        }
      }
    }
    const answers: Array<string> = []
    const dialect = deafTo(toy, (frame) => frame.includes("quiet") && answers.push(frame) > 0)
    return over(
      { adapter, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.initialize([btc, eth], ["BookTicker"])
        yield* Effect.sleep("100 millis")
        assert.strictEqual(answers.length, 2)
      })
    )
  })
})
