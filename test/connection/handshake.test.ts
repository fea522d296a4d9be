import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import type { Connection } from "../../src/connection/Connection.ts"
import * as Handshake from "../../src/connection/Handshake.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as FakeConnection from "./FakeConnection.ts"

const rejected = ExchangeError.make("test", new ExchangeError.AuthRejected({ code: "1", detail: "no" }))
const textsOf = (connection: Connection) =>
  Effect.map(connection.pull, (batch) => batch.frames.map((frame) => Buffer.from(frame).toString()))

describe("withHandshake", () => {
  it.effect("runs before the connection is handed out", () =>
    Effect.gen(function*() {
      const fake = FakeConnection.make(yield* Clock.Clock)
      const login = Effect.fnUntraced(function*(connection: Connection) {
        yield* connection.write("login")
        yield* connection.pull
      })
      const fiber = yield* Effect.forkChild(Handshake.withHandshake(login)(Effect.succeed(fake.connection)), {
        startImmediately: true
      })
      assert.deepStrictEqual(fake.written, ["login"])
      assert.isUndefined(fiber.pollUnsafe())
      fake.receive("welcome")
      const connection = yield* Fiber.join(fiber)
      fake.receive("data")
      assert.deepStrictEqual(yield* textsOf(connection), ["data"])
    }))

  it.effect("gives the session first what the handshake pulled and did not use", () =>
    Effect.gen(function*() {
      const fake = FakeConnection.make(yield* Clock.Clock)
      fake.receive("early 1")
      fake.receive("early 2")
      fake.receive("welcome")
      fake.receive("data")
      const connection = yield* Handshake.withHandshake((connection) =>
        Effect.map(Effect.all([connection.pull, connection.pull, connection.pull]), ([one, two]) => [one, two])
      )(Effect.succeed(fake.connection))
      assert.deepStrictEqual(
        yield* Effect.all([textsOf(connection), textsOf(connection), textsOf(connection)]),
        [["early 1"], ["early 2"], ["data"]]
      )
      assert.strictEqual(connection.activity, fake.activity)
      fake.end(rejected)
      assert.strictEqual(yield* Effect.flip(connection.pull), rejected)
    }))

  it.effect("fails the dial when it fails, and closes with the dial's scope", () =>
    Effect.gen(function*() {
      const fake = FakeConnection.make(yield* Clock.Clock)
      let closed = false
      const scope = yield* Scope.make()
      const dial = Effect.acquireRelease(Effect.succeed(fake.connection), () =>
        Effect.sync(() => {
          closed = true
        }))
      const error = yield* Effect.flip(
        Scope.provide(Handshake.withHandshake(() => Effect.fail(rejected))(dial), scope)
      )
      assert.strictEqual(error, rejected)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(closed)
    }))
})
