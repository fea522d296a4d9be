import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, Schema, Scope } from "effect"
import * as Socket from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import type { Connection, Endpoint } from "../../src/connection/Connection.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as TestServer from "./TestServer.ts"

const textOf = (frame: Uint8Array) => Buffer.from(frame).toString()

const drain = (connection: Connection) =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    const error = yield* Effect.flip(
      Effect.forever(Effect.map(connection.pull, (batch) => {
        texts.push(...batch.frames.map(textOf))
      }))
    )
    return { texts, error }
  })

const reasonOf = <Tag extends ExchangeError.Reason["_tag"]>(error: ExchangeError.ExchangeError, tag: Tag) => {
  assert.strictEqual(error.reason._tag, tag)
  return error.reason as Extract<ExchangeError.Reason, { readonly _tag: Tag }>
}

describe("FrameSocket.layerSocket on the platform's WebSocket", () => {
  const open = (endpoint: Endpoint | string, options?: FrameSocket.SocketOptions) =>
    FrameSocket.dial("test", Effect.succeed(typeof endpoint === "string" ? { url: endpoint } : endpoint), options).pipe(
      Effect.provide(Layer.provide(FrameSocket.layerSocket(), Socket.layerWebSocketConstructorGlobal))
    )

  const connected = (options?: FrameSocket.SocketOptions) =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const connection = yield* open(server.url, options)
      return { connection, peer: yield* Queue.take(server.peers) }
    })

  it.live("carries frames both ways, text as its UTF-8 bytes, in order", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.socket.send("text ⚡")
      peer.socket.send(Buffer.from([0, 255]))
      const got: Array<ReadonlyArray<number>> = []
      while (got.length < 2) got.push(...(yield* connection.pull).frames.map((frame) => [...frame]))
      assert.deepStrictEqual(got, [[...Buffer.from("text ⚡")], [0, 255]])
      yield* connection.write("hello")
      yield* connection.write(new Uint8Array([104, 105]))
      assert.deepStrictEqual(yield* Queue.take(peer.messages), { text: "hello", isBinary: false })
      assert.deepStrictEqual(yield* Queue.take(peer.messages), { text: "hi", isBinary: true })
    }))

  it.live("delivers what came before the peer's close, then its code, and refuses to write", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      for (let i = 0; i < 100; i++) peer.socket.send(String(i))
      peer.socket.close(4001, "maintenance")
      const { error, texts } = yield* drain(connection)
      assert.deepStrictEqual(texts, Array.from({ length: 100 }, (_, index) => String(index)))
      assert.deepInclude(reasonOf(error, "Disconnected"), { code: 4001, detail: "maintenance" })
      assert.strictEqual(yield* Effect.flip(connection.write("late")), error)
    }))

  it.live("closing the scope fails a waiting pull and tells the peer", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const scope = yield* Scope.make()
      const connection = yield* Scope.provide(open(server.url), scope)
      const peer = yield* Queue.take(server.peers)
      const fiber = yield* Effect.forkChild(Effect.flip(connection.pull), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(reasonOf(yield* Fiber.join(fiber), "Disconnected").code, 1000)
      assert.strictEqual((yield* Deferred.await(peer.closed)).code, 1000)
    }))

  it.live("ends a connection whose frame passes the bound", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected({ maxFrameBytes: 10 })
      peer.socket.send("é".repeat(5))
      peer.socket.send("é".repeat(6))
      const { error, texts } = yield* drain(connection)
      assert.deepStrictEqual(texts, ["é".repeat(5)])
      assert.strictEqual(reasonOf(error, "FrameTooLarge").limitBytes, 10)
      yield* Deferred.await(peer.closed)
    }))

  it.live.prop(
    "delivers every frame once and in order",
    { sizes: Schema.Array(Schema.Literals([0, 1, 300, 70_000])).check(Schema.isMaxLength(40)) },
    ({ sizes }) =>
      Effect.scoped(Effect.gen(function*() {
        const { connection, peer } = yield* connected({ batchFrames: 3 })
        const texts = sizes.map((size, index) => `${index}`.padEnd(size, "."))
        for (const text of texts) peer.socket.send(text)
        peer.socket.close(1001)
        assert.deepStrictEqual((yield* drain(connection)).texts, texts)
      })),
    { arbitrary: { runs: 20 } }
  )

  it.live("refuses an endpoint with headers and names the layer that sends them", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(open({ url: "ws://127.0.0.1:1", headers: { "X-Gate-Size-Decimal": "1" } }))
      const reason = reasonOf(error, "ConnectFailed")
      assert.include(reason.detail, "FrameSocket.layerWs")
      assert.isFalse(reason.retryable)
    }))

  it.live("a refused connection and a refused upgrade are retried", () =>
    Effect.gen(function*() {
      const port = yield* TestServer.unusedPort
      const refusing = yield* TestServer.refusing(() => "HTTP/1.1 503 Unavailable\r\n\r\n")
      for (const url of [`ws://127.0.0.1:${port}/?listenKey=secret-secret`, `${refusing}/?listenKey=secret-secret`]) {
        const error = yield* Effect.flip(open(url))
        assert.isTrue(reasonOf(error, "ConnectFailed").retryable)
        assert.notInclude(error.message, "secret-secret")
      }
    }))

  it.effect("a malformed URL is final", () =>
    Effect.gen(function*() {
      assert.isFalse(reasonOf(yield* Effect.flip(open("nonsense")), "ConnectFailed").retryable)
    }))
})

/** The least that `effect/socket` asks of a WebSocket. */
class FakeWebSocket implements Socket.WebSocketLike {
  readyState = 0
  bufferedAmount = 0
  readonly sent: Array<string | Uint8Array> = []
  readonly closes: Array<number | undefined> = []
  readonly listeners: Record<string, Array<(event: Socket.WebSocketEvent) => void>> = {}
  addEventListener(type: string, listener: (event: Socket.WebSocketEvent) => void) {
    ;(this.listeners[type] ??= []).push(listener)
  }
  removeEventListener() {}
  close(code?: number) {
    this.closes.push(code)
  }
  send(data: string | Uint8Array) {
    this.sent.push(data)
  }
  emit(type: string, event: Socket.WebSocketEvent & { readonly message?: string } = {}) {
    if (type === "open") this.readyState = 1
    if (type === "close") this.readyState = 3
    for (const listener of this.listeners[type] ?? []) listener(event)
  }
}

class PausableWebSocket extends FakeWebSocket {
  readonly calls: Array<string> = []
  pause() {
    this.calls.push("pause")
  }
  resume() {
    this.calls.push("resume")
  }
}

describe("FrameSocket.layerSocket on any WebSocketConstructor", () => {
  const layerOf = (construct: () => Socket.WebSocketLike, options?: FrameSocket.OverflowOptions) =>
    Layer.provide(FrameSocket.layerSocket(options), Layer.succeed(Socket.WebSocketConstructor, construct))

  const dial = (options?: FrameSocket.SocketOptions) =>
    FrameSocket.dial("test", Effect.succeed({ url: "ws://fake/?token=secret-secret" }), options)

  /** Opens before the dialling fiber waits for it. */
  const opened = <S extends FakeWebSocket>(
    socket: S,
    options?: FrameSocket.SocketOptions & FrameSocket.OverflowOptions
  ) =>
    dial(options).pipe(Effect.provide(layerOf(() => {
      queueMicrotask(() => socket.emit("open"))
      return socket
    }, options)))

  it.effect("says what it can do", () =>
    Effect.gen(function*() {
      const { capabilities } = yield* FrameSocket.FrameSocket
      assert.deepStrictEqual(capabilities, { headers: false, ping: true, compression: false })
    }).pipe(Effect.provide(layerOf(() => new FakeWebSocket()))))

  it.effect("pauses a socket that can be paused, and resumes it when all was pulled", () =>
    Effect.gen(function*() {
      const socket = new PausableWebSocket()
      const connection = yield* opened(socket, { highWaterBytes: 100 })
      socket.emit("message", { data: "x".repeat(100) })
      assert.deepStrictEqual(socket.calls, ["pause"])
      yield* connection.pull
      assert.deepStrictEqual(socket.calls, ["pause", "resume"])
      // The close handshake of a fake is never answered.
      socket.emit("close", { code: 1000 })
    }))

  it.effect("gives up a socket that cannot be paused when too much is unread, and says so", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      const connection = yield* opened(socket, { overflowBytes: 1000 })
      socket.emit("message", { data: "x".repeat(400) })
      assert.deepStrictEqual(socket.closes, [])
      socket.emit("message", { data: "y".repeat(600) })
      assert.deepStrictEqual(socket.closes, [1000])
      const { error, texts } = yield* drain(connection)
      assert.deepStrictEqual(texts, ["x".repeat(400), "y".repeat(600)])
      const reason = reasonOf(error, "Disconnected")
      assert.strictEqual(reason.code, 1008)
      assert.include(reason.detail, "1000 bytes")
      socket.emit("close")
    }))

  it.effect("waits for a full send buffer, and fails when the socket ends meanwhile", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      const connection = yield* opened(socket)
      socket.bufferedAmount = 1e6
      const first = yield* Effect.forkChild(connection.write("a"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(socket.sent, ["a"])
      assert.isUndefined(first.pollUnsafe())
      socket.bufferedAmount = 0
      yield* TestClock.adjust("5 millis")
      yield* Fiber.join(first)

      socket.bufferedAmount = 1e6
      const second = yield* Effect.forkChild(Effect.flip(connection.write("b")))
      yield* TestClock.adjust("5 millis")
      socket.emit("close", { code: 1006 })
      yield* TestClock.adjust("5 millis")
      assert.strictEqual((yield* Fiber.join(second)).reason._tag, "Disconnected")
    }))

  it.effect("sends nothing into a socket that is closing", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      const connection = yield* opened(socket)
      socket.readyState = 2
      assert.strictEqual((yield* Effect.flip(connection.write("late"))).reason._tag, "Disconnected")
      assert.deepStrictEqual(socket.sent, [])
      yield* connection.abort(ExchangeError.make("test", new ExchangeError.Closed({ detail: "test" })))
      assert.deepStrictEqual(socket.closes, [1000])
      socket.emit("close")
      assert.strictEqual((yield* Effect.flip(connection.pull)).reason._tag, "Closed")
    }))

  it.effect("leaves a peer that does not answer the close to the platform, after a second", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      const scope = yield* Scope.make()
      yield* Scope.provide(opened(socket), scope)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(socket.closes, [1000])
    }))

  for (
    const [name, emit, detail] of [
      ["an error", (socket: FakeWebSocket) => socket.emit("error"), "the handshake failed"],
      [
        "an error with a message",
        (socket: FakeWebSocket) => socket.emit("error", { message: "bad token secret-secret" }),
        "bad token ***"
      ],
      ["a close", (socket: FakeWebSocket) => socket.emit("close"), "closed during the handshake"]
    ] as const
  ) {
    it.effect(`${name} before the socket is open fails the dial`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          dial().pipe(
            Effect.provide(layerOf(() => {
              const socket = new FakeWebSocket()
              queueMicrotask(() => {
                emit(socket)
                socket.emit("close")
              })
              return socket
            })),
            Effect.scoped
          )
        )
        assert.strictEqual(reasonOf(error, "ConnectFailed").detail, detail)
        assert.isTrue(error.isTransient)
      }))
  }

  it.effect("a constructor that throws is final", () =>
    Effect.gen(function*() {
      for (const thrown of [new SyntaxError("no such protocol"), "no such protocol"]) {
        const error = yield* Effect.flip(
          dial().pipe(Effect.provide(layerOf(() => {
            throw thrown
          })))
        )
        assert.include(reasonOf(error, "ConnectFailed").detail, "no such protocol")
        assert.isFalse(error.isTransient)
      }
    }))

  it.effect("an error without message is called by its code or its name", () =>
    Effect.gen(function*() {
      // What Node throws when every address of a host refuses.
      const aggregate = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })
      for (const [thrown, detail] of [[new TypeError(), "TypeError"], [aggregate, "ECONNREFUSED"]] as const) {
        const error = yield* Effect.flip(
          dial().pipe(Effect.provide(layerOf(() => {
            throw thrown
          })))
        )
        assert.strictEqual(reasonOf(error, "ConnectFailed").detail, detail)
      }
    }))

  it.effect("fills in what a close event leaves out", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      const connection = yield* opened(socket)
      socket.emit("close")
      assert.deepInclude(reasonOf(yield* Effect.flip(connection.pull), "Disconnected"), { code: 1006, detail: "" })
    }))

  it.effect("works on a socket that does not tell its send buffer", () =>
    Effect.gen(function*() {
      const socket = new FakeWebSocket()
      Object.defineProperty(socket, "bufferedAmount", { value: undefined })
      const connection = yield* opened(socket)
      yield* connection.write("a")
      assert.deepStrictEqual(socket.sent, ["a"])
      socket.emit("close")
    }))
})
