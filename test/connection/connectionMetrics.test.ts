import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { FrameReader } from "../../src/connection/Connection.ts"
import * as ConnectionMetrics from "../../src/connection/ConnectionMetrics.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as FakeConnection from "./FakeConnection.ts"

const silent = ExchangeError.make("test", new ExchangeError.Silent({ silentForMs: 1, detail: "test" }))
const refused = ExchangeError.make(
  "test",
  new ExchangeError.ConnectFailed({ url: "ws://x", detail: "refused", retryable: true })
)

const metrics = ConnectionMetrics.make("test")
const count = (metric: Metric.Counter<number>, reason?: string) =>
  Effect.map(
    Metric.value(reason === undefined ? metric : Metric.withAttributes(metric, { reason })),
    (state) => (state as Metric.CounterState<number>).count
  )

/** Each test has its own registry. */
const isolated = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.provideService(self, Metric.MetricRegistry, new Map())

const open = Effect.gen(function*() {
  const fake = FakeConnection.make(yield* Clock.Clock)
  const scope = yield* Scope.make()
  const connection = yield* Scope.provide(
    ConnectionMetrics.withMetrics({ exchange: "test" })(Effect.succeed(fake.connection)),
    scope
  )
  return { fake, scope, connection }
})

describe("withMetrics", () => {
  it.effect("counts frames and bytes in both directions", () =>
    isolated(Effect.gen(function*() {
      const { connection, fake } = yield* open
      fake.receive("12345")
      fake.receive("⚡")
      yield* connection.pull
      yield* connection.pull
      yield* connection.write("⚡")
      yield* connection.write(new Uint8Array(10))
      assert.strictEqual(yield* count(metrics.framesReceived), 2)
      assert.strictEqual(yield* count(metrics.bytesReceived), 8)
      assert.strictEqual(yield* count(metrics.framesSent), 2)
      assert.strictEqual(yield* count(metrics.bytesSent), 13)
    })))

  it.effect("counts what a reader is handed directly, a second later or when the connection ends", () =>
    isolated(Effect.gen(function*() {
      const fake = FakeConnection.make(yield* Clock.Clock)
      const scope = yield* Scope.make()
      let given: FrameReader | undefined
      const pull = Object.assign(Effect.map(fake.connection.pull, (batch) => batch), {
        direct: (reader: FrameReader) => {
          given = reader
        }
      })
      const connection = yield* Scope.provide(
        ConnectionMetrics.withMetrics({ exchange: "test" })(Effect.succeed({ ...fake.connection, pull })),
        scope
      )
      const turns: Array<number> = []
      const frame = (): boolean => false
      connection.pull.direct!({ frame, turn: (frames) => turns.push(frames) > 1 })
      assert.strictEqual(given!.frame, frame)
      assert.deepStrictEqual([given!.turn(3, 30, 1), given!.turn(1, 5, 2)], [false, true])
      assert.strictEqual(yield* count(metrics.framesReceived), 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* count(metrics.framesReceived), 4)
      assert.strictEqual(yield* count(metrics.bytesReceived), 35)
      given!.turn(2, 7, 3)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* count(metrics.framesReceived), 6)
      assert.strictEqual(yield* count(metrics.bytesReceived), 42)
    })))

  it.effect("does not count a write that fails", () =>
    isolated(Effect.gen(function*() {
      const { connection, fake } = yield* open
      fake.onWrite = () => Effect.fail(silent)
      assert.strictEqual(yield* Effect.flip(connection.write("x")), silent)
      assert.strictEqual(yield* count(metrics.framesSent), 0)
    })))

  it.effect("counts openings, the sockets that are open, and ends by reason", () =>
    isolated(Effect.gen(function*() {
      const active = Effect.map(Metric.value(metrics.active), (state) => state.value)
      const first = yield* open
      const second = yield* open
      const third = yield* open
      assert.strictEqual(yield* count(metrics.opened), 3)
      assert.strictEqual(yield* active, 3)
      first.fake.end(silent)
      assert.strictEqual(yield* Effect.flip(first.connection.pull), silent)
      yield* Scope.close(first.scope, Exit.void)
      yield* Scope.close(second.scope, Exit.void)
      yield* Scope.close(third.scope, Exit.fail(refused))
      assert.strictEqual(yield* active, 0)
      assert.strictEqual(yield* count(metrics.ended, "Silent"), 1)
      assert.strictEqual(yield* count(metrics.ended, "Closed"), 1)
      assert.strictEqual(yield* count(metrics.ended, "ConnectFailed"), 1)
    })))

  it.effect("tells an interruption from a defect", () =>
    isolated(Effect.gen(function*() {
      const dial = ConnectionMetrics.withMetrics({ exchange: "test" })(
        Effect.succeed(FakeConnection.make(yield* Clock.Clock).connection)
      )
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(dial, Effect.never)), {
        startImmediately: true
      })
      yield* Fiber.interrupt(fiber)
      yield* Effect.exit(Effect.scoped(Effect.andThen(dial, Effect.die("bug"))))
      assert.strictEqual(yield* count(metrics.ended, "Interrupted"), 1)
      assert.strictEqual(yield* count(metrics.ended, "Defect"), 1)
    })))

  it.effect("counts failed dials by reason and measures the others, in seconds", () =>
    isolated(Effect.gen(function*() {
      const withMetrics = ConnectionMetrics.withMetrics({ exchange: "test" })
      assert.strictEqual(yield* Effect.flip(withMetrics(Effect.fail(refused))), refused)
      assert.strictEqual(yield* count(metrics.failed, "ConnectFailed"), 1)
      assert.strictEqual(yield* count(metrics.opened), 0)
      const fake = FakeConnection.make(yield* Clock.Clock)
      const fiber = yield* Effect.forkChild(
        Effect.scoped(withMetrics(Effect.delay(Effect.succeed(fake.connection), 70)))
      )
      yield* TestClock.adjust("70 millis")
      yield* Fiber.join(fiber)
      const { count: measured, sum } = yield* Metric.value(metrics.connectDuration)
      assert.deepStrictEqual([measured, sum], [1, 0.07])
    })))

  it.effect("names and units follow OpenTelemetry, and every series says its exchange", () =>
    isolated(Effect.gen(function*() {
      const { connection, fake, scope } = yield* open
      fake.receive()
      yield* connection.pull
      yield* connection.write("x")
      yield* Scope.close(scope, Exit.void)
      const series = (yield* Metric.snapshot).map(({ attributes, id }) => [id, attributes])
      assert.deepStrictEqual(series.sort(), [
        ["exchange.ws.bytes.received", { exchange: "test", unit: "By" }],
        ["exchange.ws.bytes.sent", { exchange: "test", unit: "By" }],
        ["exchange.ws.connect.duration", { exchange: "test", unit: "s" }],
        ["exchange.ws.connections.active", { exchange: "test", unit: "{connection}" }],
        ["exchange.ws.connections.ended", { exchange: "test", unit: "{connection}", reason: "Closed" }],
        ["exchange.ws.connections.opened", { exchange: "test", unit: "{connection}" }],
        ["exchange.ws.frames.received", { exchange: "test", unit: "{frame}" }],
        ["exchange.ws.frames.sent", { exchange: "test", unit: "{frame}" }]
      ])
    })))
})
