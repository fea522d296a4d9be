import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, type Duration, Effect, Exit, Fiber, Queue, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { Connection, Dial } from "../../src/connection/Connection.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as Reconnect from "../../src/connection/Reconnect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as SteppedClock from "../SteppedClock.ts"
import * as FakeConnection from "./FakeConnection.ts"
import * as TestServer from "./TestServer.ts"

const lost = ExchangeError.make("test", new ExchangeError.Disconnected({ code: 1006, detail: "" }))
const refused = ExchangeError.make(
  "test",
  new ExchangeError.ConnectFailed({ url: "ws://x", detail: "refused", retryable: true })
)
const auth = ExchangeError.make("test", new ExchangeError.AuthRejected({ code: "1", detail: "no" }))

/** Keeps every wait, null for the last. */
const recording = () => {
  const waits: Array<number | null> = []
  const hooks: Reconnect.Hooks = {
    onDisconnected: (_error, retryInMs) => {
      waits.push(retryInMs)
    }
  }
  return { waits, hooks }
}

const pulling = (connection: Connection) => Effect.forever(connection.pull)

/** Waits of a client that never gets through, for that long. */
const outage = (seed: string, duration: Duration.Input) =>
  Effect.gen(function*() {
    const { hooks, waits } = recording()
    const fiber = yield* Effect.forkChild(
      Reconnect.supervise(Effect.fail(refused), pulling, Reconnect.defaults, hooks).pipe(Random.withSeed(seed))
    )
    yield* TestClock.adjust(duration)
    yield* Fiber.interrupt(fiber)
    return waits
  })

describe("back-off", () => {
  it.effect("doubles from 50 ms to 1 s in the first minute, 2 s in the first five, then 30 s; always the upper half", () =>
    Effect.gen(function*() {
      const waits = yield* outage("seed", "10 minutes")
      let elapsed = 0
      let step = 25
      for (const wait of waits) {
        step = Math.min(step * 2, elapsed < 60_000 ? 1_000 : elapsed < 300_000 ? 2_000 : 30_000)
        assert.isAtLeast(wait ?? 0, step / 2, `after ${elapsed} ms`)
        assert.isAtMost(wait ?? 0, step, `after ${elapsed} ms`)
        elapsed += wait ?? 0
      }
      assert.strictEqual(step, 30_000)
    }))

  it.effect("can be made with other bounds", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const backoff = Reconnect.makeBackoff({
        first: "1 second",
        stages: [{ upTo: "10 seconds", longest: "2 seconds" }],
        longest: "4 seconds"
      })
      yield* Effect.forkChild(
        Reconnect.supervise(Effect.fail(refused), pulling, { ...Reconnect.defaults, backoff }, hooks)
      )
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(waits[0] ?? 0, 1_000)
      assert.isAtMost(Math.max(...waits.slice(0, 5).map(Number)), 2_000)
      assert.isAbove(Math.max(...waits.map(Number)), 2_000)
      assert.isAtMost(Math.max(...waits.map(Number)), 4_000)
    }))

  it.effect("of the first minute stays when the machine's clock is set meanwhile", () =>
    Effect.gen(function*() {
      for (const hour of [-3_600_000, 3_600_000]) {
        const { clock, step } = yield* SteppedClock.make
        const { hooks, waits } = recording()
        const fiber = yield* Effect.forkChild(
          Reconnect.supervise(Effect.fail(refused), pulling, Reconnect.defaults, hooks).pipe(
            Effect.provideService(Clock.Clock, clock)
          )
        )
        yield* TestClock.adjust("5 seconds")
        const before = waits.length
        step(hour)
        yield* TestClock.adjust("50 seconds")
        assert.isAtLeast(waits.length - before, 49)
        yield* TestClock.adjust("6 minutes")
        assert.isAbove(waits.at(-1) ?? 0, 2_000)
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("is repeated by its seed, and differs from client to client from the first wait on", () =>
    Effect.gen(function*() {
      const first = yield* outage("a", "5 seconds")
      assert.deepStrictEqual(yield* outage("a", "5 seconds"), first)
      const firstWaits = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `client ${index}`),
        (seed) => Effect.map(outage(seed, "10 millis"), (waits) => waits[0])
      )
      assert.strictEqual(new Set(firstWaits).size, 20)
    }))

  it.effect("after an outage of 10 s 95 % of clients are back within 1.5 s, with at most 30 dials each", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const start = clock.currentTimeMillisUnsafe()
      const clients = Array.from({ length: 200 }, () => ({ dials: 0, backAfter: Number.POSITIVE_INFINITY }))
      yield* Effect.forEach(clients, (client, index) => {
        const dial: Dial = Effect.suspend(() => {
          client.dials++
          const outageOver = clock.currentTimeMillisUnsafe() - start - 10_000
          if (outageOver < 0) return Effect.fail(refused)
          client.backAfter = outageOver
          return Effect.succeed(FakeConnection.make(clock).connection)
        })
        return Effect.forkChild(Reconnect.supervise(dial, () => Effect.never).pipe(Random.withSeed(index)))
      })
      yield* TestClock.adjust("12 seconds")
      const delays = clients.map((client) => client.backAfter).sort((a, b) => a - b)
      assert.isAtMost(delays[Math.ceil(0.95 * delays.length) - 1] ?? Number.NaN, 1500)
      assert.isAtMost(Math.max(...clients.map((client) => client.dials)), 30)
      assert.isAtLeast(Math.min(...clients.map((client) => client.dials)), 2)
    }))
})

describe("supervise", () => {
  /** Each life ends after the next of these, ms. */
  const living = (lives: ReadonlyArray<number>, error = lost) => {
    let next = 0
    return (): Effect.Effect<never, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        const life = lives[next++]
        return life === undefined ? Effect.never : Effect.andThen(Effect.sleep(life), Effect.fail(error))
      })
  }

  const connecting: Dial = Effect.map(Clock.Clock, (clock) => FakeConnection.make(clock).connection)

  it.effect("starts the back-off anew after a healthy life, and counts attempts since then", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const attempts: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(connecting, living([100, 100, 100, 9_999, 10_001, 100]), Reconnect.defaults, {
          ...hooks,
          onConnecting: (attempt) => {
            attempts.push(attempt)
          }
        }).pipe(Random.withSeed(1))
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.interrupt(fiber)
      const steps = [50, 100, 200, 400, 50, 100]
      assert.strictEqual(waits.length, steps.length)
      waits.forEach((wait, index) => {
        assert.isAtLeast(wait ?? 0, steps[index]! / 2)
        assert.isAtMost(wait ?? 0, steps[index]!)
      })
      assert.deepStrictEqual(attempts, [1, 2, 3, 4, 5, 1, 2])
    }))

  it.effect("takes how long is healthy from the policy", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const policy = { backoff: Schedule.exponential("1 second"), stableAfter: "1 minute" } as const
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(connecting, living([10_000, 10_000, 60_000, 0]), policy, hooks)
      )
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(waits, [1000, 2000, 1000, 2000])
    }))

  it.effect("a failed dial is never a healthy life, however long it took", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(Effect.andThen(Effect.sleep("1 minute"), Effect.fail(refused)), pulling, {
          backoff: Schedule.exponential("1 second"),
          stableAfter: "10 seconds"
        }, hooks)
      )
      yield* TestClock.adjust("190 seconds")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(waits, [1000, 2000, 4000])
    }))

  it.effect("counts the time in which the peer said nothing as waited, unless it had been healthy", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const silent = ExchangeError.make("test", new ExchangeError.Silent({ silentForMs: 3_500, detail: "" }))
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(connecting, living([3_500, 3_500, 3_500, 3_500, 20_000], silent), {
          backoff: Schedule.exponential("1 second"),
          stableAfter: "10 seconds"
        }, hooks)
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(waits, [0, 0, 500, 4_500, 1_000])
    }))

  it.effect("ends with an error that cannot pass, from the dial or from the session", () =>
    Effect.gen(function*() {
      const fromDial = recording()
      assert.strictEqual(
        yield* Effect.flip(Reconnect.supervise(Effect.fail(auth), pulling, undefined, fromDial.hooks)),
        auth
      )
      const fromSession = recording()
      assert.strictEqual(
        yield* Effect.flip(Reconnect.supervise(connecting, () => Effect.fail(auth), undefined, fromSession.hooks)),
        auth
      )
      assert.deepStrictEqual([fromDial.waits, fromSession.waits], [[null], [null]])
    }))

  it.effect("ends with the last error when the policy is exhausted", () =>
    Effect.gen(function*() {
      const { hooks, waits } = recording()
      const policy = {
        backoff: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
        stableAfter: "10 seconds"
      } as const
      const fiber = yield* Effect.forkChild(
        Effect.flip(Reconnect.supervise(Effect.fail(refused), pulling, policy, hooks))
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), refused)
      assert.deepStrictEqual(waits, [1000, 1000, null])
    }))

  it.effect("waits at least as long as the exchange asks, or a limit of our own is used up", () =>
    Effect.gen(function*() {
      const limited = (retryAfterMs: number | undefined) =>
        ExchangeError.make(
          "test",
          new ExchangeError.RequestFailed({
            request: "GET /listenKey",
            status: 429,
            code: "429",
            detail: "slow down",
            class: "rateLimit",
            retryAfterMs
          })
        )
      const paused = ExchangeError.make(
        "test",
        new ExchangeError.RateLimited({ budget: "listen keys", retryAfterMs: 120_000, detail: "too late" })
      )
      const ages = ExchangeError.make(
        "test",
        new ExchangeError.RateLimited({ budget: "listen keys", retryAfterMs: 3_600_000, detail: "too late" })
      )
      const errors = [limited(7000), limited(1), limited(undefined), paused, ages]
      const { hooks, waits } = recording()
      const dial: Dial = Effect.suspend(() => Effect.fail(errors.shift() ?? auth))
      const policy = { backoff: Schedule.spaced("1 second"), stableAfter: "10 seconds" } as const
      const fiber = yield* Effect.forkChild(Effect.flip(Reconnect.supervise(dial, pulling, policy, hooks)))
      yield* TestClock.adjust("8 minutes")
      assert.strictEqual(yield* Fiber.join(fiber), auth)
      assert.deepStrictEqual(waits, [7000, 1000, 1000, 120_000, 300_000, null])
    }))

  it.effect("calls its hooks in order, plain or effects", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const note = (text: string) => Effect.sync(() => void log.push(text))
      const session = living([100])
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(connecting, session, { backoff: Schedule.spaced("1 second"), stableAfter: "10 seconds" }, {
          onConnecting: (attempt) => note(`connecting ${attempt}`),
          onConnected: () => void log.push("connected"),
          onDisconnected: (error, retryInMs) => note(`${error.reason._tag} ${retryInMs}`)
        })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["connecting 1", "connected", "Disconnected 1000", "connecting 2", "connected"])
    }))

  it.effect("needs no hooks, and passes defects of dial, session and hooks through", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      const exits = yield* Effect.all([
        Effect.exit(Reconnect.supervise(Effect.die(bug), pulling)),
        Effect.exit(Reconnect.supervise(connecting, () => Effect.die(bug))),
        Effect.exit(Reconnect.supervise(connecting, pulling, undefined, {
          onConnected: () => {
            throw bug
          }
        }))
      ])
      for (const exit of exits) assert.deepStrictEqual(exit, Exit.die(bug))
    }))

  it.effect("gives each life a scope of its own, closed before the wait", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let life = 0
      const dial: Dial = Effect.suspend(() => {
        const name = `${++life}`
        return Effect.andThen(
          Effect.acquireRelease(
            Effect.sync(() => void log.push(`open ${name}`)),
            () => Effect.sync(() => void log.push(`close ${name}`))
          ),
          connecting
        )
      })
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(dial, living([100, 100]), undefined, {
          onDisconnected: () => void log.push("wait")
        })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["open 1", "close 1", "wait", "open 2", "close 2", "wait", "open 3", "close 3"])
    }))

  it.live("redials a real server that drops its clients, and hangs up when interrupted", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const got = yield* Queue.unbounded<string>()
      const fiber = yield* Effect.forkChild(
        Reconnect.supervise(
          FrameSocket.dial("test", Effect.succeed({ url: server.url })),
          (connection) =>
            Effect.forever(Effect.flatMap(connection.pull, (batch) =>
              Queue.offerAll(
                got,
                batch.frames.map((frame) => Buffer.from(frame).toString())
              )))
        ).pipe(Effect.provide(FrameSocket.layerWs))
      )
      for (const text of ["one", "two", "three"]) {
        const peer = yield* Queue.take(server.peers)
        peer.socket.send(text)
        assert.strictEqual(yield* Queue.take(got), text)
        peer.socket.terminate()
      }
      const last = yield* Queue.take(server.peers)
      last.socket.send("four")
      assert.strictEqual(yield* Queue.take(got), "four")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* Deferred.await(last.closed)).code, 1000)
    }))
})
