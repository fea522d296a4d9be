/** Operations that meet each other half-way: what one leaves behind must not hang, leak or falsify the other. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import type * as ExchangeError from "../../src/ExchangeError.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"
import { deafTo, over, refusing, still } from "./Memory.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }

const causesOf = (items: ReadonlyArray<Feed<unknown>>) =>
  items.flatMap((item) => item._tag === "Gap" ? [item.cause] : [])

const first = <A>(stream: Stream.Stream<Feed<A>, ExchangeError.ExchangeError>) =>
  Stream.runDrain(Stream.take(stream, 1))

/** Fails, rather than waits for ever, when nothing comes of it. */
const within = <A, E, R>(seconds: number, what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.timeoutOption(effect, `${seconds} seconds`),
    (result) => result._tag === "Some" ? Effect.succeed(result.value) : Effect.die(new Error(`hangs: ${what}`))
  )

const print = (id: string, price = "100") =>
  Simulator.use((simulator) => simulator.publish(id, btc, { _tag: "Trade", side: "buy", quantity: "0.01", price }))

describe("an unsubscribe that is never answered", () => {
  it.effect("MUST not keep a topic that is asked for meanwhile from being subscribed", () => {
    let overlook = false
    const dialect = deafTo(gateSpotDialect, (frame) => overlook && frame.includes("unsubscribe"))
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* Effect.scoped(Effect.flatMap(websocket.feed(Channel.trades(btc)), first))
        overlook = true
        yield* Effect.scoped(Effect.flatMap(websocket.feed(Channel.trades(eth)), first))
        yield* Effect.sleep("10 millis")
        yield* within(10, "feed", Effect.scoped(Effect.flatMap(websocket.feed(Channel.trades(eth)), first)))
      }),
      undefined,
      { answerTimeout: "1 second" }
    )
  })

  it.effect("MUST not keep a silent topic from being subscribed anew", () => {
    const dialect = deafTo(gateSpotDialect, (frame) => frame.includes("unsubscribe"))
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* websocket.feed(Channel.trades(btc))
        const before = simulator.counts().exchanges["gate-spot"]!.control.ack
        yield* within(
          20,
          "renewal",
          simulator.until(() => simulator.counts().exchanges["gate-spot"]!.control.ack > before)
        )
      }),
      still,
      { answerTimeout: "1 second", silence: { Trades: "1 second" }, staleAfter: null }
    )
  })

  it.effect("MUST not keep the connection open when nothing is left on it", () => {
    const dialect = deafTo(gateSpotDialect, (frame) => frame.includes("unsubscribe"))
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* Effect.scoped(websocket.feed(Channel.trades(btc)))
        yield* within(
          20,
          "idle link",
          simulator.until(() => simulator.counts().exchanges["gate-spot"]!.connections.open === 0)
        )
      }),
      undefined,
      { answerTimeout: "1 second", idleTimeout: "1 second" }
    )
  })
})

describe("a connection that is lost while its last topic leaves", () => {
  it.effect("MUST be closed for being idle, and not be kept for ever", () => {
    let overlook = true
    const dialect = deafTo(gateSpotDialect, (frame) => overlook && frame.includes("unsubscribe"))
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* Effect.scoped(websocket.feed(Channel.trades(btc)))
        yield* Effect.sleep("20 millis")
        overlook = false
        yield* simulator.inject("drop")
        yield* Effect.sleep("10 seconds")
        assert.strictEqual((yield* websocket.performance).connections, 0)
        assert.strictEqual(simulator.counts().exchanges["gate-spot"]!.connections.open, 0)
      }),
      undefined,
      { idleTimeout: "1 second" }
    )
  })
})

describe("a subscription that is answered too late", () => {
  it.effect("MUST not stay with the exchange when nobody wants it any more", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* websocket.feed(Channel.trades(eth))
        yield* simulator.inject("delay:3s@0s:4s")
        const error = yield* Effect.flip(Effect.scoped(websocket.feed(Channel.trades(btc))))
        assert.strictEqual(error.reason._tag, "SubscriptionTimeout")
        yield* Effect.sleep("15 seconds")
        assert.deepStrictEqual([...simulator.topics("gate-spot")], ["spot.trades|ETH_USDT"])
      }),
      undefined,
      { answerTimeout: "1 second" }
    ))
})

describe("a topic that is taken up again while it is being unsubscribed", () => {
  it.effect("MUST declare what it may have missed in between", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* websocket.feed(Channel.trades(eth))
        const scope = yield* Scope.make()
        yield* Scope.provide(websocket.feed(Channel.trades(btc)), scope)
        yield* simulator.inject("delay:200ms@0s:10s")
        // Its answer is on the way for 200 ms, and the data before it too.
        yield* print("gate-spot")
        yield* Scope.close(scope, Exit.void)
        yield* Effect.sleep("20 millis")
        const again = yield* Effect.forkChild(websocket.feed(Channel.trades(btc)), { startImmediately: true })
        yield* Effect.sleep("50 millis")
        yield* print("gate-spot")
        const stream = yield* Fiber.join(again)
        yield* print("gate-spot")
        const items: Array<Feed<unknown>> = []
        yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item))))
        yield* Effect.sleep("2 seconds")
        const ids = items.map((item) => item._tag === "Gap" ? item.cause : (item.value as { id: string }).id)
        const numbers = ids.filter((id) => id !== "Reconnected").map(Number)
        const whole = numbers.every((id, index) => index === 0 || id === numbers[index - 1]! + 1)
        assert.isTrue(whole || causesOf(items).length > 0, `silently incomplete: ${ids.join(", ")}`)
      }),
      still
    ))
})

describe("a topic that is taken up again although the exchange has not answered that it is off", () => {
  /** Reads on 1.5 s behind an unsubscribe, and on from there 0.4 s later. */
  const tired: ExchangeDialect = {
    ...gateSpotDialect,
    connect: (world, peer, options) => {
      const connection = gateSpotDialect.connect(world, peer, options)
      let waiting: Array<string | Uint8Array> | null = null
      const wake = (): void => {
        const frames = waiting ?? []
        waiting = null
        for (const frame of frames) connection.onFrame(frame)
      }
      return {
        ...connection,
        onFrame: (frame) => {
          if (waiting !== null) return void waiting.push(frame)
          if (!String(frame).includes("unsubscribe")) return connection.onFrame(frame)
          waiting = []
          peer.after(1_500, () => connection.onFrame(frame))
          peer.after(1_900, wake)
        }
      }
    }
  }

  it.effect("MUST declare what it may have missed when the exchange has done both", () =>
    over(
      { ...gate, dialect: tired },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.feed(Channel.trades(eth))
        const scope = yield* Scope.make()
        yield* Scope.provide(websocket.feed(Channel.trades(btc)), scope)
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(print("gate-spot"), Effect.sleep("100 millis"))))
        yield* Effect.sleep("500 millis")
        yield* Scope.close(scope, Exit.void)
        yield* Effect.sleep("20 millis")
        const items: Array<Feed<unknown>> = []
        yield* Effect.forkScoped(Effect.flatMap(websocket.feed(Channel.trades(btc)), (stream) =>
          Stream.runForEach(stream, (item) =>
            Effect.sync(() => items.push(item)))))
        yield* Effect.sleep("8 seconds")
        let last: number | null = null
        for (const item of items) {
          const id: number | null = item._tag === "Gap" ? null : Number((item.value as { id: string }).id)
          if (last !== null && id !== null) {
            assert.strictEqual(id, last + 1, "silently incomplete")
          }
          last = id
        }
        assert.isAbove(items.length, 50)
      }),
      still,
      { answerTimeout: "1 second", staleAfter: null }
    ))
})

describe("a renewal for one subscriber that the exchange refuses", () => {
  it.effect("MUST be told to the others, whose book has stopped", () => {
    let refuse = false
    const dialect = refusing(gateSpotDialect, () => refuse ? "server side error" : null)
    return over(
      { ...gate, dialect },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const items: Array<Feed<unknown>> = []
        const stream = yield* websocket.feed(Channel.book(btc))
        yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item))))
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(causesOf(items), [])
        refuse = true
        yield* Effect.result(websocket.feed(Channel.book(btc)))
        yield* Effect.sleep("2 seconds")
        assert.isAbove(causesOf(items).length, 0, "the book stands still and looks synced")
      })
    )
  })
})

describe("a book whose snapshot was refused for good while a session holds it", () => {
  it.effect("MUST tell the next who asks, and not leave him waiting", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const rejected = yield* Deferred.make<void>()
        yield* websocket.handle({
          onGap: ({ cause }) => cause === "Rejected" && Deferred.doneUnsafe(rejected, Exit.void)
        })
        yield* websocket.initialize([btc], [{ _tag: "Book", source: "order_book_update" }])
        yield* Deferred.await(rejected)
        const stream = yield* websocket.feed(Channel.book(btc, { source: "order_book_update" }))
        const error = yield* within(60, "the second subscriber", Effect.flip(Stream.runDrain(stream)))
        assert.strictEqual(error.reason._tag, "RequestFailed")
        yield* simulator.clear()
        const later = yield* websocket.feed(Channel.book(btc, { source: "order_book_update" }))
        yield* within(60, "the third subscriber", first(later))
      }),
      { faults: ["http-error:401"] }
    ))
})

describe("what is closed while it is being subscribed", () => {
  const refused = { faults: ["refuse:503"] }

  it.effect("MUST end initialize, when the session is closed", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const opening = yield* Effect.forkChild(websocket.initialize([btc], ["Trades"]), { startImmediately: true })
        yield* Effect.sleep("100 millis")
        yield* websocket.close
        const error = yield* within(30, "initialize", Effect.flip(Fiber.join(opening)))
        assert.strictEqual(error.reason._tag, "Closed")
      }),
      refused
    ))

  it.effect("MUST end subscribe, when its pair is taken out", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* websocket.initialize([eth], ["Trades"])
        yield* simulator.inject("refuse:503")
        yield* simulator.inject("drop")
        yield* Effect.sleep("100 millis")
        const adding = yield* Effect.forkChild(websocket.subscribe([btc]), { startImmediately: true })
        yield* Effect.sleep("100 millis")
        yield* websocket.unsubscribe([btc])
        const result = yield* within(30, "subscribe", Effect.result(Fiber.join(adding)))
        assert.strictEqual(result._tag, "Failure")
      })
    ))

  it.effect("MUST not report a pair as accepted to a second caller before the exchange has answered", () =>
    over(
      {
        ...gate,
        dialect: refusing(gateSpotDialect, (topic) => topic.includes("BTC") ? "unknown currency pair" : null)
      },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.initialize([eth], ["Trades"])
        const results = yield* Effect.forEach([1, 2], () => Effect.result(websocket.subscribe([btc])), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Failure", "Failure"])
      })
    ))
})

describe("a Layer that has gone", () => {
  const gone = <A, E>(body: (websocket: PublicWebsocket["Service"]) => Effect.Effect<A, E, Scope.Scope>) =>
    Exchange.memory.run(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(Exchange.memory.layer(gate)), scope)
      return yield* PublicWebsocket.use((websocket) =>
        Effect.andThen(Scope.close(scope, Exit.void), within(60, "it", body(websocket)))
      ).pipe(Effect.scoped, Effect.provide(context))
    }))

  it.effect("MUST refuse a feed with Closed", () =>
    gone((websocket) =>
      Effect.map(
        Effect.flip(websocket.feed(Channel.trades(btc))),
        ({ reason }) => assert.strictEqual(reason._tag, "Closed")
      )
    ))

  it.effect("MUST end its status stream", () => gone((websocket) => Stream.runDrain(websocket.status)))

  it.effect("MUST end a status stream that outlives it", () =>
    Exchange.memory.run(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(Exchange.memory.layer(gate)), scope)
      const websocket = yield* Effect.provide(PublicWebsocket, context)
      const reading = yield* Effect.forkChild(Stream.runDrain(websocket.status), { startImmediately: true })
      yield* Effect.sleep("1 second")
      yield* Scope.close(scope, Exit.void)
      yield* within(60, "status", Fiber.join(reading))
    })))
})

describe("a feed's stream that is run twice at once", () => {
  it.effect("MUST not leave one of the readers waiting", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const stream = yield* websocket.feed(Channel.trades(btc))
        const one = yield* Effect.forkChild(Effect.result(first(stream)), { startImmediately: true })
        const two = yield* Effect.forkChild(Effect.result(first(stream)), { startImmediately: true })
        yield* Effect.sleep("100 millis")
        yield* print("gate-spot")
        yield* Effect.sleep("100 millis")
        yield* print("gate-spot")
        yield* within(10, "one", Fiber.join(one))
        yield* within(10, "two", Fiber.join(two))
      }),
      still
    ))
})

describe("a consumer that never pulls", () => {
  it.effect("MUST not collect the gaps of a flapping connection", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const pairs: ReadonlyArray<TradingPair> = [btc, eth, "SOL/USDT"]
        const items: Array<Feed<unknown>> = []
        const hold = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          Stream.runForEachArray(websocket.events, (batch) =>
            Effect.andThen(
              Effect.sync(() => items.push(...batch)),
              Deferred.await(hold)
            )),
          { startImmediately: true }
        )
        yield* websocket.initialize(pairs as [TradingPair], ["Trades"])
        for (let i = 0; i < 60; i++) {
          yield* simulator.inject("drop")
          yield* Effect.sleep("2 seconds")
        }
        assert.isAtLeast((yield* websocket.performance).gaps, 90)
        Deferred.doneUnsafe(hold, Exit.void)
        yield* Effect.sleep("1 second")
        assert.isAtMost(items.length, 30)
      }),
      still,
      { bufferSize: 8, staleAfter: null }
    ))
})

describe("a pair that the session lost for good", () => {
  it.effect("MUST be asked for again by subscribe", () => {
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
        const rejected = yield* Deferred.make<void>()
        yield* websocket.handle({
          onGap: ({ cause }) => cause === "Rejected" && Deferred.doneUnsafe(rejected, Exit.void)
        })
        yield* websocket.initialize([btc, eth], ["Trades"])
        delisted = true
        yield* simulator.inject("drop")
        yield* Deferred.await(rejected)
        const result = yield* Effect.result(websocket.subscribe([btc]))
        assert.strictEqual(result._tag, "Failure", "accepted, and nothing will come")
      })
    )
  })
})
