import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import { MemoryNetwork, type MemoryPeerHandlers } from "../../src/connection/MemoryNetwork.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"

/** A network with one server that the test plays itself. */
const network = (onConnect: (client: MemoryPeerHandlers) => void = () => {}) => {
  const state = {
    clients: [] as Array<MemoryPeerHandlers>,
    sent: [] as Array<string | Uint8Array>,
    closes: [] as Array<number>,
    headers: [] as Array<unknown>
  }
  const layer = Layer.succeed(MemoryNetwork, {
    connect: (url, client, headers) => {
      if (url.includes("nobody")) return { refused: "nobody listens" }
      state.clients.push(client)
      state.headers.push(headers)
      onConnect(client)
      return {
        send: (frame) => state.sent.push(frame),
        close: (code) => state.closes.push(code)
      }
    },
    request: () => Effect.die("not used")
  })
  return { state, layer }
}

const open = (
  layer: Layer.Layer<MemoryNetwork>,
  options?: FrameSocket.SocketOptions & FrameSocket.OverflowOptions,
  url = "ws://memory/ws"
) =>
  FrameSocket.dial("test", Effect.succeed({ url }), options).pipe(
    Effect.provide(Layer.provide(FrameSocket.layerMemory(options), layer))
  )

const textOf = (frame: Uint8Array) => Buffer.from(frame).toString()

describe("FrameSocket.layerMemory", () => {
  it.effect("carries frames both ways on the virtual clock", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      const connection = yield* open(layer)
      yield* TestClock.adjust("1 minute")
      state.clients[0]?.onFrame("text ⚡")
      state.clients[0]?.onFrame(new Uint8Array([1]))
      const batch = yield* connection.pull
      assert.deepStrictEqual(batch.frames.map((frame) => [...frame]), [[...Buffer.from("text ⚡")], [1]])
      assert.strictEqual(batch.receivedAt, 60_000)
      yield* connection.write("hello")
      assert.deepStrictEqual(state.sent, ["hello"])
    }))

  it.effect("the virtual clock waits for what a frame sets off before it moves on", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      const connection = yield* open(layer)
      const seen: Array<readonly [string, number]> = []
      yield* Effect.forkChild(Effect.forever(Effect.gen(function*() {
        const batch = yield* connection.pull
        yield* Effect.yieldNow
        yield* Effect.clockWith((clock) =>
          Effect.sync(() => seen.push([batch.frames.map(textOf).join(), clock.currentTimeMillisUnsafe()]))
        )
      })))
      yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (text) =>
          Effect.andThen(Effect.sleep(1000), Effect.sync(() => state.clients[0]?.onFrame(text))))
      )
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(seen, [["a", 1000], ["b", 2000], ["c", 3000]])
    }))

  it.effect("keeps frames that come before connect has returned", () =>
    Effect.gen(function*() {
      const { layer } = network((client) => client.onFrame("welcome"))
      const connection = yield* open(layer)
      assert.deepStrictEqual((yield* connection.pull).frames.map(textOf), ["welcome"])
    }))

  it.effect("closes a socket whose very first frame is too large", () =>
    Effect.gen(function*() {
      const { layer, state } = network((client) => client.onFrame("welcome"))
      const connection = yield* open(layer, { maxFrameBytes: 3 })
      assert.strictEqual((yield* Effect.flip(connection.pull)).reason._tag, "FrameTooLarge")
      assert.deepStrictEqual(state.closes, [1000])
    }))

  it.effect("gives what came before the server's close, then its code", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      const connection = yield* open(layer)
      const fiber = yield* Effect.forkChild(Effect.exit(Effect.all([connection.pull, connection.pull])), {
        startImmediately: true
      })
      state.clients[0]?.onFrame("last")
      state.clients[0]?.onClose(1006, "dropped")
      const exit = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        exit,
        Exit.fail(ExchangeError.make("test", new ExchangeError.Disconnected({ code: 1006, detail: "dropped" })))
      )
      assert.strictEqual((yield* Effect.flip(connection.write("late"))).reason._tag, "Disconnected")
      assert.deepStrictEqual(state.sent, [])
    }))

  it.effect("closing the scope and aborting close the socket", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      const scope = yield* Scope.make()
      yield* Scope.provide(open(layer), scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(state.closes, [1000])
      const connection = yield* open(layer)
      yield* connection.abort(ExchangeError.make("test", new ExchangeError.Closed({ detail: "test" })))
      assert.deepStrictEqual(state.closes, [1000, 1000])
      assert.strictEqual((yield* Effect.flip(connection.pull)).reason._tag, "Closed")
    }))

  it.effect("ends a connection that nobody reads", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      const connection = yield* open(layer, { overflowBytes: 100 })
      state.clients[0]?.onFrame("x".repeat(100))
      assert.deepStrictEqual(state.closes, [1000])
      yield* connection.pull
      assert.strictEqual((yield* Effect.flip(connection.pull)).reason._tag, "Disconnected")
    }))

  it.effect("a refused connection is retried", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(open(network().layer, {}, "ws://nobody/ws"))
      assert.include(refused.message, "nobody listens")
      assert.isTrue(refused.isTransient)
    }))

  it.effect("carries the headers of the handshake", () =>
    Effect.gen(function*() {
      const { layer, state } = network()
      yield* FrameSocket.dial("test", Effect.succeed({ url: "ws://memory", headers: { a: "b" } })).pipe(
        Effect.provide(Layer.provide(FrameSocket.layerMemory(), layer))
      )
      assert.deepStrictEqual(state.headers, [{ a: "b" }])
    }))
})
