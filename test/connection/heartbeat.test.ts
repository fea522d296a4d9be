import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as Heartbeat from "../../src/connection/Heartbeat.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as FakeConnection from "./FakeConnection.ts"
import * as ManualClock from "./ManualClock.ts"
import * as TestServer from "./TestServer.ts"

const options: Heartbeat.HeartbeatOptions = {
  exchange: "test",
  interval: "15 seconds",
  timeout: "5 seconds",
  first: "15 seconds",
  ping: () => "ping"
}

const disconnected = ExchangeError.make("test", new ExchangeError.Disconnected({ code: 1006, detail: "" }))

/** A connection with a heartbeat in the test's scope. */
const beating = (overrides?: Partial<Heartbeat.HeartbeatOptions>) =>
  Effect.gen(function*() {
    const fake = FakeConnection.make(yield* Clock.Clock)
    yield* Heartbeat.withHeartbeat({ ...options, ...overrides })(Effect.succeed(fake.connection))
    yield* Effect.yieldNow
    return fake
  })

const silentFor = (error: ExchangeError.ExchangeError | undefined) =>
  error?.reason._tag === "Silent" ? error.reason.silentForMs : undefined

describe("withHeartbeat", () => {
  it.effect("pings once nothing came for the interval, and gives up after the timeout", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(fake.written, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fake.written, ["ping"])
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(fake.aborted, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fake.aborted.map(silentFor), [20_000])
      assert.isTrue(fake.aborted[0]?.isTransient)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(fake.aborted.length, 1)
      assert.strictEqual(fake.written.length, 1)
    }))

  it.effect("any frame counts as life: no ping while frames come", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("10 seconds")
        fake.receive()
      }
      assert.deepStrictEqual(fake.written, [])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(fake.aborted.map(silentFor), [20_000])
    }))

  it.effect("an answered ping keeps the connection, again and again", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      fake.onWrite = () => Effect.sync(() => fake.receive("pong"))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(fake.written.length, 40)
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("a timeout longer than the interval does not keep the next ping waiting", () =>
    Effect.gen(function*() {
      const fake = yield* beating({ interval: "2 seconds", timeout: "10 seconds" })
      fake.onWrite = () =>
        Effect.forkDetach(Effect.andThen(Effect.sleep("10 millis"), Effect.sync(() => fake.receive())))
      yield* TestClock.adjust("2010 millis")
      assert.strictEqual(fake.written.length, 1)
      // Answered, and gone from then on.
      fake.onWrite = () => Effect.void
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(fake.written.length, 2)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(fake.aborted.map(silentFor), [12_000])
    }))

  it.effect("finds a peer that goes silent at any moment within interval and timeout", () =>
    Effect.forEach([0, 1, 7_500, 14_999, 15_001, 19_999], (lastFrameAt) =>
      Effect.scoped(Effect.gen(function*() {
        const fake = yield* beating()
        yield* TestClock.adjust(Duration.millis(lastFrameAt))
        fake.receive()
        yield* TestClock.adjust("19999 millis")
        assert.deepStrictEqual(fake.aborted, [], `${lastFrameAt}`)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(fake.aborted.map(silentFor), [20_000], `${lastFrameAt}`)
      }))))

  it.effect("asks a new connection that has brought nothing soon, and each other one after the interval", () =>
    Effect.gen(function*() {
      const fake = yield* beating({ first: undefined })
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual(fake.written, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fake.written, ["ping"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(fake.aborted.map(silentFor), [5_500])
      const other = yield* beating({ first: undefined })
      yield* TestClock.adjust("100 millis")
      other.receive()
      yield* TestClock.adjust("14 seconds")
      assert.deepStrictEqual(other.written, [])
    }))

  it.effect("takes a large frame that is still coming in for life, and a control frame for none", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("4 seconds")
        fake.trickle(1_024)
      }
      assert.deepStrictEqual(fake.aborted, [])
      assert.isAbove(fake.written.length, 0)
      for (let i = 0; i < 6; i++) {
        fake.trickle(31)
        yield* TestClock.adjust("4 seconds")
      }
      assert.strictEqual(fake.aborted.length, 1)
    }))

  /** One dial, again and again; the peer of each connection answers a ping after so long, or never. */
  const redialled = (lives: ReadonlyArray<number | null>) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let answersAfter: number | null = null
      const dial = Heartbeat.withHeartbeat(options)(Effect.sync(() => {
        const fake = FakeConnection.make(clock)
        const after = answersAfter
        if (after !== null) {
          fake.onWrite = () =>
            Effect.asVoid(
              Effect.forkDetach(Effect.andThen(Effect.sleep(Duration.millis(after)), Effect.sync(() => fake.receive())))
            )
        }
        fakes.push(fake)
        return fake.connection
      }))
      const fakes: Array<FakeConnection.FakeConnection> = []
      for (const life of lives) {
        answersAfter = life
        yield* Effect.scoped(Effect.andThen(dial, TestClock.adjust("1 minute")))
      }
      return fakes.map(({ aborted }) => silentFor(aborted[0]))
    })

  it.effect("gives a peer that never answers longer from the eleventh connection on, up to four times", () =>
    Effect.gen(function*() {
      const found = yield* redialled(Array.from({ length: 14 }, () => null))
      assert.deepStrictEqual(found.slice(0, 10), Array.from({ length: 10 }, () => 20_000))
      assert.deepStrictEqual(found.slice(10), [25_000, 35_000, 35_000, 35_000])
    }))

  it.effect("forgets that nobody answered once a new connection is answered soon", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const fakes: Array<FakeConnection.FakeConnection> = []
      const dial = Heartbeat.withHeartbeat({ ...options, first: "500 millis" })(Effect.sync(() => {
        const fake = FakeConnection.make(clock)
        fakes.push(fake)
        return fake.connection
      }))
      const live = (receives: boolean, isQuiet = true) =>
        Effect.scoped(Effect.gen(function*() {
          yield* dial
          const fake = fakes.at(-1)!
          yield* TestClock.adjust("100 millis")
          if (receives) fake.receive()
          if (!isQuiet) {
            for (let second = 0; second < 60; second++) {
              yield* TestClock.adjust("10 seconds")
              fake.receive()
            }
          }
          yield* TestClock.adjust("1 minute")
          return silentFor(fake.aborted[0])
        }))
      for (let outage = 0; outage < 6; outage++) {
        for (let dials = 0; dials < 6; dials++) assert.strictEqual(yield* live(false), 5_500)
        // Ends as all do that are there when the server goes.
        assert.strictEqual(yield* live(true, false), 20_000)
      }
    }))

  it.effect("gives a peer whose answers take long, once it was given up, three times as long as they took of late", () =>
    Effect.gen(function*() {
      const slow = yield* redialled([4_000, 6_000, 9_000, null])
      assert.deepStrictEqual(slow, [undefined, 20_000, undefined, 15_000 + 20_000])
      // What was slow once is forgotten.
      assert.deepStrictEqual(yield* redialled([4_000, null, 10, null]), [undefined, 20_000, undefined, 20_000])
    }))

  it.effect("a write that hangs does not put off the verdict", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      fake.onWrite = () => Effect.never
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(fake.aborted.map(silentFor), [20_000])
    }))

  it.effect("a write that fails ends the heartbeat quietly", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      fake.onWrite = () => Effect.fail(disconnected)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(fake.written.length, 1)
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("pings but does not judge while reading is held up", () =>
    Effect.gen(function*() {
      const fake = yield* beating()
      fake.activity.held = true
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(fake.written.length, 30)
      assert.deepStrictEqual(fake.aborted, [])
      fake.activity.held = false
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(fake.aborted.length, 1)
    }))

  it.effect("ends with the connection's scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const fake = yield* Scope.provide(beating(), scope)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(fake.written, [])
    }))

  it.effect("a ping that throws ends the connection for good instead of leaving it unwatched", () =>
    Effect.gen(function*() {
      const fake = yield* beating({
        ping: () => {
          throw new Error("no ping today")
        }
      })
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(fake.aborted.length, 1)
      assert.include(fake.aborted[0]?.message, "no ping today")
      assert.isFalse(fake.aborted[0]?.isTransient)
    }))

  it.effect("does not touch a dial that fails", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Heartbeat.withHeartbeat(options)(Effect.fail(disconnected)))
      assert.strictEqual(error, disconnected)
    }))
})

describe("withHeartbeat on a clock that jumps", () => {
  const setup = Effect.gen(function*() {
    const manual = ManualClock.make()
    const fake = FakeConnection.make(manual.clock)
    yield* Heartbeat.withHeartbeat(options)(Effect.succeed(fake.connection)).pipe(
      Effect.provideService(Clock.Clock, manual.clock)
    )
    yield* Effect.yieldNow
    return { ...manual, fake }
  })

  it.effect("a process that slept through everything pings before it judges", () =>
    Effect.gen(function*() {
      const { fake, pass } = yield* setup
      yield* pass(600_000)
      assert.deepStrictEqual(fake.written, ["ping"])
      assert.deepStrictEqual(fake.aborted, [])
      fake.receive("pong")
      yield* pass(5_000)
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("a process that slept after its ping pings once more, and only once", () =>
    Effect.gen(function*() {
      const { fake, pass } = yield* setup
      yield* pass(15_000)
      assert.strictEqual(fake.written.length, 1)
      yield* pass(600_000)
      assert.strictEqual(fake.written.length, 2)
      assert.deepStrictEqual(fake.aborted, [])
      yield* pass(600_000)
      assert.strictEqual(fake.written.length, 2)
      assert.strictEqual(fake.aborted.length, 1)
    }))

  it.effect("what waited in the socket while the process slept is read before the verdict", () =>
    Effect.gen(function*() {
      const { fake, pass } = yield* setup
      yield* pass(15_000)
      // The event loop runs timers before it reads sockets: this runs after the heartbeat has woken up.
      yield* Effect.forkChild(Effect.sync(() => fake.receive("pong")))
      yield* pass(5_000)
      assert.deepStrictEqual(fake.aborted, [])
    }))

  it.effect("a corrected wall clock neither hides a silence nor makes one up", () =>
    Effect.gen(function*() {
      const { correctWall, fake, pass } = yield* setup
      fake.receive()
      // The first look.
      yield* pass(20)
      yield* pass(10_000)
      fake.receive()
      correctWall(3_600_000)
      yield* pass(5_000)
      // The frame came between the two looks, so it is at most 15 s old, whatever the wall clock says.
      assert.deepStrictEqual(fake.written, ["ping"])
      fake.receive("pong")
      yield* pass(5_000)
      correctWall(-7_200_000)
      yield* pass(10_000)
      assert.strictEqual(fake.written.length, 2)
      yield* pass(5_000)
      assert.deepStrictEqual(fake.aborted.map(silentFor), [20_000])
    }))
})

describe("withHeartbeat over a real socket", () => {
  const dial = (url: string) =>
    FrameSocket.dial("test", Effect.succeed({ url })).pipe(
      Heartbeat.withHeartbeat(options),
      Effect.provide(FrameSocket.layerWs)
    )

  it.effect("finds a half-open peer and leaves it", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const connection = yield* dial(server.url)
      const peer = yield* Queue.take(server.peers)
      const fiber = yield* Effect.forkChild(Effect.flip(connection.pull), { startImmediately: true })
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Queue.take(peer.messages)).text, "ping")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(silentFor(yield* Fiber.join(fiber)), 20_000)
      yield* Deferred.await(peer.closed)
    }))

  it.effect("keeps a peer that is in the middle of a large frame", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const connection = yield* dial(server.url)
      const peer = yield* Queue.take(server.peers)
      const { _socket: raw } = peer.socket as unknown as { readonly _socket: { write: (bytes: Uint8Array) => void } }
      const fiber = yield* Effect.forkChild(connection.pull, { startImmediately: true })
      const part = 50_000
      const read = connection.bytesRead!
      const bytes = read()
      yield* TestClock.adjust("15 seconds")
      yield* Queue.take(peer.messages)
      raw.write(new Uint8Array([0x82, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa0]))
      raw.write(new Uint8Array(part))
      while (read() - bytes < part) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("5 seconds")
      raw.write(new Uint8Array(part))
      const { frames } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(frames.map(({ length }) => length), [100_000])
    }))

  it.effect("keeps a peer that answers", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const connection = yield* dial(server.url)
      const peer = yield* Queue.take(server.peers)
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("15 seconds")
        yield* Queue.take(peer.messages)
        peer.socket.send("pong")
        yield* connection.pull
      }
      peer.socket.send("still here")
      assert.strictEqual((yield* connection.pull).frames.length, 1)
    }))
})
