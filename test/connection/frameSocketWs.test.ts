import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Queue, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { Batch, Connection, Endpoint } from "../../src/connection/Connection.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import { budgetMillis } from "../../src/connection/TurnBudget.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as TestServer from "./TestServer.ts"

const open = (endpoint: Endpoint | string, options?: FrameSocket.SocketOptions) =>
  FrameSocket.dial("test", Effect.succeed(typeof endpoint === "string" ? { url: endpoint } : endpoint), options).pipe(
    Effect.provide(FrameSocket.layerWs)
  )

/** A server with one client on it. */
const connected = (options?: FrameSocket.SocketOptions) =>
  Effect.gen(function*() {
    const server = yield* TestServer.make()
    const connection = yield* open(server.url, options)
    const peer = yield* Queue.take(server.peers)
    return { server, connection, peer }
  })

const textOf = (frame: Uint8Array) => Buffer.from(frame).toString()

/** Pulls until that many frames have come. */
const frames = (connection: Connection, count: number) =>
  Effect.gen(function*() {
    const all: Array<string> = []
    while (all.length < count) all.push(...(yield* connection.pull).frames.map(textOf))
    return all
  })

/** Pulls to the end. */
const drain = (connection: Connection) =>
  Effect.gen(function*() {
    const batches: Array<Batch> = []
    const error = yield* Effect.flip(
      Effect.forever(Effect.map(connection.pull, (batch) => {
        batches.push(batch)
      }))
    )
    return { texts: batches.flatMap((batch) => batch.frames.map(textOf)), batches, error }
  })

const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.yieldNow, until(condition)))

/** There and back over another connection, so that the event loop has turned and moved what it could. */
const roundTrips = (server: TestServer.TestServer, count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* open(server.url)
    const peer = yield* Queue.take(server.peers)
    peer.socket.on("message", (data) => peer.socket.send(data as Buffer))
    for (let i = 0; i < count; i++) {
      yield* connection.write("turn")
      yield* connection.pull
    }
  }))

const reasonOf = <Tag extends ExchangeError.Reason["_tag"]>(error: ExchangeError.ExchangeError, tag: Tag) => {
  assert.strictEqual(error.reason._tag, tag)
  return error.reason as Extract<ExchangeError.Reason, { readonly _tag: Tag }>
}

/** To send what `ws` would not. */
const rawOf = (peer: TestServer.Peer) =>
  (peer.socket as unknown as { readonly _socket: { readonly write: (bytes: Buffer) => void } })._socket

const silent = ExchangeError.make("test", new ExchangeError.Silent({ silentForMs: 1, detail: "test" }))

const json = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`

describe("FrameSocket.layerWs", () => {
  it.effect("says what it can do", () =>
    Effect.gen(function*() {
      const { capabilities } = yield* FrameSocket.FrameSocket
      assert.deepStrictEqual(capabilities, { headers: true, ping: true, compression: true })
    }).pipe(Effect.provide(FrameSocket.layerWs)))

  it.live("carries frames both ways, text as its UTF-8 bytes, in order", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.socket.send("text ⚡")
      peer.socket.send(Buffer.from([0, 255, 1]))
      peer.socket.send("")
      const batches: Array<Batch> = []
      while (batches.flatMap((batch) => batch.frames).length < 3) batches.push(yield* connection.pull)
      assert.deepStrictEqual(
        batches.flatMap((batch) => batch.frames).map((frame) => [...frame]),
        [[...Buffer.from("text ⚡")], [0, 255, 1], []]
      )
      assert.strictEqual(connection.activity.receivedAt, batches.at(-1)?.receivedAt)

      yield* connection.write("hello")
      yield* connection.write(new Uint8Array([104, 105]))
      assert.deepStrictEqual(yield* Queue.take(peer.messages), { text: "hello", isBinary: false })
      assert.deepStrictEqual(yield* Queue.take(peer.messages), { text: "hi", isBinary: true })
    }))

  it.live("stamps a read with the clock's wall time and starts idle", () =>
    Effect.gen(function*() {
      const before = Date.now() - 1
      const { connection, peer } = yield* connected()
      assert.isFalse(connection.activity.expectsData || connection.activity.held)
      assert.isAtLeast(connection.activity.dataAt, before)
      peer.socket.send("x")
      const { receivedAt } = yield* connection.pull
      assert.isAtLeast(receivedAt, before)
      assert.isAtMost(receivedAt, Date.now() + 1)
    }))

  it.live("caps batches and gives the frames of one read one stamp", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected({ batchFrames: 4 })
      // One write of the raw socket, so that the client reads all frames at once.
      rawOf(peer).write(Buffer.concat(Array.from({ length: 10 }, (_, index) => Buffer.from([0x82, 1, index]))))
      const batches = yield* Effect.all([connection.pull, connection.pull, connection.pull])
      assert.deepStrictEqual(batches.map((batch) => batch.frames.map((frame) => frame[0])), [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9]
      ])
      assert.strictEqual(new Set(batches.map((batch) => batch.receivedAt)).size, 1)
    }))

  it.live("sends the endpoint's headers", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      yield* open({ url: server.url, headers: { "X-Gate-Size-Decimal": "1" } })
      const peer = yield* Queue.take(server.peers)
      assert.strictEqual(peer.headers["x-gate-size-decimal"], "1")
      assert.isUndefined(peer.headers["sec-websocket-extensions"])
    }))

  it.live("answers the server's protocol-level ping", () =>
    Effect.gen(function*() {
      const { peer } = yield* connected()
      peer.socket.ping("are you there")
      assert.strictEqual(yield* Deferred.await(peer.ponged), "are you there")
    }))

  it.live("delivers what came before the peer's close, then its code, and refuses to write", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      for (let i = 0; i < 100; i++) peer.socket.send(String(i))
      peer.socket.close(4001, "maintenance")
      yield* Deferred.await(peer.closed)
      const { error, texts } = yield* drain(connection)
      assert.deepStrictEqual(texts, Array.from({ length: 100 }, (_, index) => String(index)))
      assert.deepInclude(reasonOf(error, "Disconnected"), { code: 4001, detail: "maintenance" })
      assert.isTrue(error.isTransient)
      assert.strictEqual(yield* Effect.flip(connection.write("late")), error)
    }))

  it.live("fails a waiting pull when the peer vanishes without a close frame", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      const fiber = yield* Effect.forkChild(Effect.flip(connection.pull), { startImmediately: true })
      peer.socket.terminate()
      assert.strictEqual(reasonOf(yield* Fiber.join(fiber), "Disconnected").code, 1006)
    }))

  it.live("calls broken framing a protocol error", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      rawOf(peer).write(Buffer.from([0xf2, 0]))
      const reason = reasonOf(yield* Effect.flip(connection.pull), "Disconnected")
      assert.strictEqual(reason.code, 1002)
      assert.include(reason.detail, "RSV")
    }))

  it.live("closing the scope fails a waiting pull, drops what is unread and tells the peer", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const scope = yield* Scope.make()
      const connection = yield* Scope.provide(open(server.url), scope)
      const peer = yield* Queue.take(server.peers)
      const fiber = yield* Effect.forkChild(Effect.flip(connection.pull), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(reasonOf(yield* Fiber.join(fiber), "Disconnected").code, 1000)
      assert.strictEqual((yield* Deferred.await(peer.closed)).code, 1000)
      assert.strictEqual((yield* Effect.flip(connection.write("late"))).reason._tag, "Disconnected")
    }))

  it.live("leaves a peer that does not answer the close frame", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const scope = yield* Scope.make()
      yield* Scope.provide(open(server.url), scope)
      const peer = yield* Queue.take(server.peers)
      peer.socket.pause()
      yield* Scope.close(scope, Exit.void)
      peer.socket.resume()
      yield* Deferred.await(peer.closed)
    }))

  it.live("a paused connection still reads the answer to its close frame", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      // This one runs into the time limit for the peer's answer. Who reads the answer is done long before.
      const unanswered = yield* Scope.make()
      yield* Scope.provide(open(server.url), unanswered)
      const muted = yield* Queue.take(server.peers)
      muted.socket.pause()
      const slow = yield* Effect.forkChild(Scope.close(unanswered, Exit.void), { startImmediately: true })
      for (let i = 0; i < 2; i++) {
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(open(server.url, { highWaterBytes: 1 }), scope)
        const peer = yield* Queue.take(server.peers)
        peer.socket.send("x")
        yield* until(() => connection.activity.held)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Deferred.await(peer.closed)).code, 1000)
      }
      assert.isUndefined(slow.pollUnsafe())
      yield* Fiber.join(slow)
    }))

  it.live("abort ends the connection at once with its reason, and later writes fail", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      const { connection: other } = yield* connected()
      const reason = yield* Effect.flip(Effect.andThen(other.abort(silent), other.pull))
      assert.strictEqual(reason, silent)
      const fiber = yield* Effect.forkChild(Effect.flip(connection.pull), { startImmediately: true })
      yield* connection.abort(silent)
      assert.strictEqual(yield* Fiber.join(fiber), silent)
      const refused = reasonOf(yield* Effect.flip(connection.write("late")), "Disconnected")
      assert.include(refused.detail, "Silent")
      yield* Deferred.await(peer.closed)
      assert.strictEqual(yield* Queue.size(peer.messages), 0)
    }))

  it.live("a slow consumer stops the peer instead of filling the memory, and loses nothing", () =>
    Effect.gen(function*() {
      const { connection, peer, server } = yield* connected({ highWaterBytes: 256 * 1024 })
      const total = 16 * 1024
      const frame = Buffer.alloc(4096)
      for (let i = 0; i < total; i++) {
        frame.writeUInt32LE(i)
        peer.socket.send(Buffer.from(frame))
      }
      yield* until(() => connection.activity.held)
      yield* roundTrips(server, 200)
      assert.isAbove(peer.socket.bufferedAmount, 32 * 1024 * 1024, "most of the 64 MiB is still with the peer")
      let next = 0
      while (next < total) {
        for (const received of (yield* connection.pull).frames) {
          assert.strictEqual(Buffer.from(received).readUInt32LE(), next++)
        }
      }
      assert.isFalse(connection.activity.held)
    }))

  it.live("a write waits for the send buffer, does not hold up reading, and goes on when the peer reads", () =>
    Effect.gen(function*() {
      const { connection, peer, server } = yield* connected()
      peer.socket.pause()
      let written = 0
      const writer = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 64 }),
          () => Effect.andThen(connection.write(new Uint8Array(1024 * 1024)), Effect.sync(() => written++))
        )
      )
      yield* roundTrips(server, 50)
      assert.isUndefined(writer.pollUnsafe())
      assert.isBelow(written, 64)
      peer.socket.send("still reading")
      assert.deepStrictEqual(yield* frames(connection, 1), ["still reading"])
      peer.socket.resume()
      yield* Fiber.join(writer)
      for (let i = 0; i < 64; i++) yield* Queue.take(peer.messages)
    }))

  it.live("a waiting write fails when the connection ends", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.socket.pause()
      const writer = yield* Effect.forkChild(
        Effect.flip(Effect.forever(connection.write(new Uint8Array(1024 * 1024)))),
        { startImmediately: true }
      )
      peer.socket.terminate()
      assert.strictEqual((yield* Fiber.join(writer)).reason._tag, "Disconnected")
      assert.strictEqual((yield* Effect.flip(connection.pull)).reason._tag, "Disconnected")
    }))

  const Burst = Schema.Struct({
    frames: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
    size: Schema.Literals([2, 100, 1000, 70_000]),
    pulls: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
  })

  it.live.prop(
    "delivers every frame once and in order whatever the sizes, pulls and bounds",
    {
      bursts: Schema.Array(Burst).check(Schema.isMinLength(1), Schema.isMaxLength(6)),
      highWaterBytes: Schema.Literals([1, 5000, 1_000_000]),
      batchFrames: Schema.Literals([1, 64])
    },
    ({ batchFrames, bursts, highWaterBytes }) =>
      Effect.scoped(Effect.gen(function*() {
        const { connection, peer } = yield* connected({ batchFrames, highWaterBytes })
        const got: Array<number> = []
        const pull = Effect.map(connection.pull, (batch) => {
          for (const frame of batch.frames) got.push(Buffer.from(frame).readUInt16LE())
        })
        let sent = 0
        for (const burst of bursts) {
          for (let i = 0; i < burst.frames; i++) {
            const frame = Buffer.alloc(burst.size)
            frame.writeUInt16LE(sent++)
            peer.socket.send(frame)
          }
          for (let i = 0; i < burst.pulls && got.length < sent; i++) yield* pull
        }
        peer.socket.close(1001)
        yield* Effect.flip(Effect.forever(pull))
        assert.deepStrictEqual(got, Array.from({ length: sent }, (_, index) => index))
      })),
    { arbitrary: { runs: 25 } }
  )

  describe("the time of a turn of the event loop", () => {
    interface Seen {
      readonly exchange: string
      /** In which turn. */
      readonly turn: number
      readonly receivedAt: number
    }

    /** What a frame takes to be worked on: more than 32 of them take longer than a turn may. */
    const frameNanos = BigInt(budgetMillis * 1e5)

    /** A socket of each, sent so many frames at once, as they are worked on. Time passes by that alone. */
    const flooded = (exchanges: ReadonlyArray<string>, count: number) =>
      Effect.gen(function*() {
        let nanos = 0n
        const clock: Clock.Clock = Object.assign(Object.create(Clock.Clock.defaultValue()) as Clock.Clock, {
          currentTimeMillisUnsafe: () => Number(nanos / 1_000_000n),
          monotonicTimeNanosUnsafe: () => nanos
        })
        const server = yield* TestServer.make()
        const seen: Array<Seen> = []
        let turn = 0
        const peers = yield* Effect.forEach(exchanges, (exchange) =>
          Effect.gen(function*() {
            const dialed = FrameSocket.dial(exchange, Effect.succeed({ url: server.url }))
            const { pull } = yield* Effect.provideService(dialed, Clock.Clock, clock)
            pull.direct!({
              frame: (_bytes, _start, _end, receivedAt) => {
                nanos += frameNanos
                seen.push({ exchange, turn, receivedAt })
                return false
              },
              turn: () => false
            })
            yield* Effect.forkScoped(pull, { startImmediately: true })
            return yield* Queue.take(server.peers)
          }))
        const frames = Buffer.concat(Array.from({ length: count }, () => Buffer.from([0x82, 1, 0])))
        // In one turn, so that all of them can be read in the next.
        for (const peer of peers) rawOf(peer).write(frames)
        while (seen.length < exchanges.length * count) {
          yield* Effect.promise(() => nextTurn())
          turn++
        }
        return seen
      }).pipe(Effect.provide(FrameSocket.layerWs))

    const turnsOf = (seen: ReadonlyArray<Seen>): number => new Set(seen.map(({ turn }) => turn)).size

    it.live("is shared by all sockets, whatever exchange they are of", () =>
      Effect.gen(function*() {
        const alone = turnsOf(yield* flooded(["a"], 6_400))
        // As many turns for as many frames, but for what is read in the first ones.
        for (const exchanges of [["a", "a"], ["a", "b"], ["a", "a", "b", "c"]]) {
          const seen = yield* flooded(exchanges, 6_400 / exchanges.length)
          assert.isAbove(turnsOf(seen), 0.75 * alone, exchanges.join())
        }
      }))

    it.live("is shared by exchanges: many sockets of one get no more of it than a single one of another", () =>
      Effect.gen(function*() {
        const seen = yield* flooded(["many", "many", "one", "many", "many"], 3_200)
        const [first, last] = [
          seen.findIndex(({ exchange }) => exchange === "one"),
          seen.findLastIndex(({ exchange }) => exchange === "one")
        ]
        const meanwhile = seen.slice(first, last).filter(({ exchange }) => exchange === "many").length
        assert.isBelow(meanwhile, 1.5 * 3_200)
      }))

    it.live("is used up by a read whose other frames wait: they keep its stamp", () =>
      Effect.gen(function*() {
        const seen = yield* flooded(["a"], 200)
        assert.isAbove(turnsOf(seen), 1)
        assert.strictEqual(new Set(seen.map(({ receivedAt }) => receivedAt)).size, 1)
      }))
  })

  describe("bounds on a frame", () => {
    it.live("a frame as large as the bound passes, a larger one ends the connection", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* connected({ maxFrameBytes: 1000 })
        peer.socket.send("x".repeat(1000))
        peer.socket.send("y".repeat(1001))
        const { error, texts } = yield* drain(connection)
        assert.deepStrictEqual(texts, ["x".repeat(1000)])
        assert.strictEqual(reasonOf(error, "FrameTooLarge").limitBytes, 1000)
        assert.isTrue(error.isTransient)
        const refused = reasonOf(yield* Effect.flip(connection.write("late")), "Disconnected")
        assert.include(refused.detail, "FrameTooLarge")
        yield* Deferred.await(peer.closed)
      }))

    for (const exponent of [40n, 53n, 63n]) {
      it.live(`a frame that announces 2^${exponent} bytes is too large`, () =>
        Effect.gen(function*() {
          const { connection, peer } = yield* connected({ maxFrameBytes: 1000 })
          const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0])
          header.writeBigUInt64BE(1n << exponent, 2)
          rawOf(peer).write(header)
          const { error } = yield* drain(connection)
          assert.strictEqual(reasonOf(error, "FrameTooLarge").limitBytes, 1000)
        }))
    }

    it.live("a message of too many fragments is a protocol error, and nothing behind it is read", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* connected()
        const fragments = Array.from({ length: 20_000 }, () => Buffer.from([0, 0]))
        rawOf(peer).write(Buffer.concat([Buffer.from([2, 0]), ...fragments, Buffer.from([0x80, 0, 0x82, 1, 120])]))
        const { error, texts } = yield* drain(connection)
        assert.deepStrictEqual(texts, [])
        assert.include(reasonOf(error, "Disconnected").detail, "fragments")
      }))

    it.live("reads compressed frames, and stops inflating at the bound", () =>
      Effect.gen(function*() {
        const server = yield* TestServer.make({ perMessageDeflate: true })
        const connection = yield* open(server.url, { compression: true, maxFrameBytes: 64 * 1024 })
        const peer = yield* Queue.take(server.peers)
        assert.include(peer.socket.extensions, "permessage-deflate")
        peer.socket.send("z".repeat(64 * 1024))
        yield* connection.write("plain")
        assert.strictEqual((yield* Queue.take(peer.messages)).text, "plain")
        assert.deepStrictEqual(yield* frames(connection, 1), ["z".repeat(64 * 1024)])
        peer.socket.send(Buffer.alloc(64 * 1024 * 1024))
        assert.strictEqual(reasonOf(yield* Effect.flip(connection.pull), "FrameTooLarge").limitBytes, 64 * 1024)
      }))

    it.live("offers no compression by default", () =>
      Effect.gen(function*() {
        const server = yield* TestServer.make({ perMessageDeflate: true })
        yield* open(server.url)
        const peer = yield* Queue.take(server.peers)
        assert.strictEqual(peer.socket.extensions, "")
      }))
  })

  describe("failing to open", () => {
    const secret = "listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"

    for (
      const [name, response, retryable, detail] of [
        ["403 in JSON", json("403 Forbidden", `{"code":700006}`), false, `HTTP 403 Forbidden: {"code":700006}`],
        ["401 in JSON", json("401 Unauthorized", `{"label":"INVALID_KEY"}`), false, "INVALID_KEY"],
        ["JSON without its content type", "HTTP/1.1 403 Forbidden\r\n\r\n {\"code\":1}", false, "{\"code\":1}"],
        [
          "403 in HTML",
          "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>blocked</html>",
          true,
          "HTTP 403 Forbidden"
        ],
        ["404", "HTTP/1.1 404 Not Found\r\n\r\n", true, "HTTP 404 Not Found"],
        ["429", json("429 Too Many Requests", `{"code":429}`), true, "429"],
        ["503", "HTTP/1.1 503\r\n\r\n", true, "HTTP 503"],
        [
          "a wrong handshake",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
          true,
          "Accept"
        ]
      ] as const
    ) {
      it.live(`${name} is ${retryable ? "retried" : "final"}`, () =>
        Effect.gen(function*() {
          const url = yield* TestServer.refusing(() => response)
          const error = yield* Effect.flip(open(`${url}/ws?${secret}`))
          const reason = reasonOf(error, "ConnectFailed")
          assert.include(reason.detail, detail)
          assert.strictEqual(reason.retryable, retryable)
          assert.strictEqual(reason.url, `${url}/ws`)
          assert.strictEqual(error.isTransient, retryable)
          assert.notInclude(error.message, "pqia91ma")
        }))
    }

    it.live("never shows what the server echoes of the query, the password or a header", () =>
      Effect.gen(function*() {
        const url = yield* TestServer.refusing((request) =>
          json("400 Bad Request", JSON.stringify([request.url, decodeURIComponent(request.url ?? ""), request.headers]))
        )
        const error = yield* Effect.flip(open({
          url: `${url.replace("//", "//user:passw0rd@")}/ws?signature=a%2Fsecret%2Bvalue&v=4`,
          headers: { "X-Key": "header-secret" }
        }))
        const shown = error.message + JSON.stringify(error)
        for (const hidden of ["passw0rd", "secret+value", "secret%2Bvalue", "header-secret"]) {
          assert.notInclude(shown, hidden)
        }
        assert.include(error.message, "HTTP 400")
      }))

    it.live("takes the beginning of a refusal that never ends", () =>
      Effect.gen(function*() {
        const head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\r\n"
        const url = yield* TestServer.refusing(() => head + `"${"x".repeat(5000)}`, { hang: true })
        const reason = reasonOf(yield* Effect.flip(open(url)), "ConnectFailed")
        assert.isBelow(reason.detail.length, 600)
        assert.isTrue(reason.retryable)
      }))

    it.live("a refused connection is retried and named", () =>
      Effect.gen(function*() {
        const port = yield* TestServer.unusedPort
        for (const host of ["127.0.0.1", "localhost"]) {
          const error = yield* Effect.flip(open(`ws://${host}:${port}/?${secret}`))
          assert.include(reasonOf(error, "ConnectFailed").detail, "ECONNREFUSED")
          assert.isTrue(error.isTransient)
          assert.notInclude(error.message, "pqia91ma")
        }
      }))

    for (
      const url of [
        `nonsense?${secret}`,
        `http://127.0.0.1/?${secret}`,
        `ws://user:pw@?${secret}`,
        `ws://127.0.0.1/#${secret}`
      ]
    ) {
      it.effect(`the URL ${url.slice(0, 12)}… is final`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(open(url))
          assert.isFalse(reasonOf(error, "ConnectFailed").retryable)
          assert.notInclude(error.message, "pqia91ma")
          assert.notInclude(error.message, "pw@")
        }))
    }

    it.effect("a header that cannot be sent is final", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(open({ url: "ws://127.0.0.1:1", headers: { "X-Bad": "line\nbreak" } }))
        assert.isFalse(reasonOf(error, "ConnectFailed").retryable)
        assert.include(error.message, "X-Bad")
        assert.notInclude(error.message, "line\nbreak")
      }))

    for (
      const [option, value] of [
        ["maxFrameBytes", 0],
        ["highWaterBytes", 1.5],
        ["batchFrames", Number.NaN],
        ["maxFrameBytes", 2 ** 31],
        ["openTimeout", 0]
      ] as const
    ) {
      it.effect(`${option}: ${value} is an invalid use`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(open("ws://127.0.0.1:1", { [option]: value }))
          assert.include(reasonOf(error, "InvalidUse").detail, option)
          assert.isFalse(error.isTransient)
        }))
    }

    it.effect("gives up a handshake that takes too long, and leaves", () =>
      Effect.gen(function*() {
        const server = yield* TestServer.mute
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flip(open(server.url))))
        yield* Deferred.await(server.accepted)
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        assert.include(reasonOf(error, "ConnectFailed").detail, "5000 ms")
        assert.isTrue(error.isTransient)
        yield* Deferred.await(server.left)
      }))

    it.live("an interrupted handshake leaves no socket behind", () =>
      Effect.gen(function*() {
        const server = yield* TestServer.mute
        const fiber = yield* Effect.forkChild(Effect.scoped(open(server.url)))
        yield* Deferred.await(server.accepted)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(server.left)
      }))
  })

  it.live("a program that has used sockets ends by itself", () =>
    Effect.gen(function*() {
      const server = yield* TestServer.make()
      const refused = yield* TestServer.refusing(() => "HTTP/1.1 503\r\n\r\n")
      const port = yield* TestServer.unusedPort
      const module = new URL("../../src/connection/FrameSocket.ts", import.meta.url).href
      const program = `
        import { Effect } from "effect"
        import * as FrameSocket from "${module}"
        const open = (url) => FrameSocket.dial("test", Effect.succeed({ url }))
        const closed = Effect.scoped(Effect.flatMap(open("${server.url}"), (c) => c.write("x")))
        const aborted = Effect.scoped(Effect.flatMap(open("${server.url}"), (c) => c.abort(new Error("test"))))
        const failed = (url) => Effect.scoped(Effect.flip(open(url)))
        await Effect.runPromise(Effect.all([
          closed, aborted, failed("${refused}"), failed("ws://127.0.0.1:${port}")
        ]).pipe(Effect.provide(FrameSocket.layerWs)))
        console.log("done")`
      const output = yield* Effect.callback<string>((resume) => {
        execFile(process.execPath, ["--input-type=module", "-e", program], (error, stdout, stderr) =>
          resume(error === null ? Effect.succeed(stdout) : Effect.die(new Error(stderr))))
      })
      assert.strictEqual(output.trim(), "done")
    }))
})
