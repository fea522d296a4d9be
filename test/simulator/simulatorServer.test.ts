import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { connect as connectTcp } from "node:net"
import type { Socket } from "node:net"
import { WebSocket } from "ws"
import type { ClientOptions } from "ws"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorOptions, SimulatorService } from "../../src/simulator/Simulator.ts"
import { ReplayedBook, withoutTime } from "./ToyClient.ts"
import type { ToyMessage } from "./ToyDialect.ts"
import { binaryToy, toy } from "./ToyDialect.ts"

const make = (options: Partial<SimulatorOptions> = {}) =>
  Simulator.make({ dialects: [toy, binaryToy], pairs: ["BTC/USDT", "ETH/USDT"], seed: 3, rate: 400, ...options })

interface Client {
  readonly socket: WebSocket
  readonly frames: Array<readonly [text: string, isBinary: boolean]>
  readonly messages: () => ReadonlyArray<ToyMessage>
  readonly send: (op: string, topic?: string) => void
  /** Waits until so many frames have come. */
  readonly received: (count: number) => Effect.Effect<void>
  readonly closed: Deferred.Deferred<readonly [code: number, reason: string]>
}

/** A client on a real socket; terminated with the scope. */
const dial = (url: string, options?: ClientOptions): Effect.Effect<Client, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Client, Error>((resume) => {
      const socket = new WebSocket(url, options)
      const frames: Array<readonly [string, boolean]> = []
      const waiting = new Set<() => void>()
      const closed = Deferred.makeUnsafe<readonly [number, string]>()
      const client: Client = {
        socket,
        frames,
        messages: () => frames.map(([text]) => JSON.parse(text) as ToyMessage),
        send: (op, topic) => socket.send(JSON.stringify({ op, topic })),
        received: (count) =>
          Effect.callback((resume) => {
            const check = () => {
              if (frames.length < count) return
              waiting.delete(check)
              resume(Effect.void)
            }
            waiting.add(check)
            check()
          }),
        closed
      }
      socket.on("message", (data, isBinary) => {
        frames.push([(data as Buffer).toString(), isBinary])
        for (const check of waiting) check()
      })
      socket.on("close", (code, reason) =>
        Deferred.doneUnsafe(closed, Effect.succeed([code, reason.toString()] as const)))
      socket.on("error", (error) =>
        resume(Effect.fail(error)))
      socket.on("open", () => resume(Effect.succeed(client)))
    }),
    ({ socket }) => Effect.sync(() => socket.terminate())
  )

const wsOf = (simulator: SimulatorService, id = "toy") => simulator.urls[id]!.ws

const fetchJson = (url: string, init?: RequestInit) =>
  Effect.promise(async () => {
    const response = await fetch(url, init)
    return [response.status, await response.json() as unknown] as const
  })

const wire = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

const connectionsOf = (simulator: SimulatorService) => simulator.counts().exchanges["toy"]!.connections

/** The book of a topic after the last delta that came. */
const replayed = (messages: ReadonlyArray<ToyMessage>, topic: string) => {
  let book: ReplayedBook | undefined
  for (const message of messages) {
    if (message.type === "snapshot" && message.topic === topic) book = new ReplayedBook(message.book)
    if (message.type === "delta" && message.topic === topic) book?.apply(message.delta)
  }
  return book!.levels()
}

describe("SimulatorServer", () => {
  it.live("serves every exchange under its own path, and books that can be replayed", () =>
    Effect.gen(function*() {
      const simulator = yield* make()
      const client = yield* dial(wsOf(simulator))
      const binary = yield* dial(wsOf(simulator, "toy-binary"))
      const topics = ["depth20:BTC_USDT:20", "depth:ETH_USDT:10"]
      for (const topic of topics) {
        client.send("sub", topic)
        binary.socket.send(Buffer.from(JSON.stringify({ op: "sub", topic })))
      }
      yield* client.received(80)
      yield* binary.received(80)
      assert.isTrue(client.frames.every(([, isBinary]) => !isBinary))
      assert.isTrue(binary.frames.every(([, isBinary]) => isBinary))
      assert.deepStrictEqual([...simulator.topics("toy")], topics)
      for (const [id, { messages }] of [["toy", client], ["toy-binary", binary]] as const) {
        const [btc, eth] = topics.map((topic) => replayed(messages(), topic))
        assert.deepStrictEqual(btc, withoutTime(simulator.truth(id, "BTC/USDT", btc!.version, 20)!))
        assert.deepStrictEqual(eth, withoutTime(simulator.truth(id, "ETH/USDT", eth!.version)!))
      }
    }))

  it.live("answers requests and protocol pings, and knows its own endpoints", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const { rest } = simulator.urls["toy"]!
      assert.deepStrictEqual(yield* fetchJson(`${rest}/book?pair=BTC/USDT&limit=3`), [
        200,
        wire(simulator.book("toy", "BTC/USDT", 3))
      ])
      const echo = { method: "POST", body: "x".repeat(1_000), headers: { "X-Toy": "yes" } }
      assert.deepStrictEqual(yield* fetchJson(`${rest}/echo`, echo), [200, { body: "x".repeat(1_000), header: "yes" }])
      const tooMuch = yield* Effect.promise(() => fetch(`${rest}/echo`, { ...echo, body: "x".repeat(2_000_000) }))
      assert.strictEqual(tooMuch.status, 400)
      assert.strictEqual((yield* fetchJson(`${rest}/nowhere`))[0], 404)
      assert.strictEqual((yield* fetchJson(`${simulator.admin}/health`))[0], 200)
      yield* fetchJson(`${simulator.admin}/fault`, { method: "POST", body: "http-error:429,retry-after=2s" })
      const limited = yield* Effect.promise(() => fetch(`${rest}/time`))
      assert.deepStrictEqual([limited.status, limited.headers.get("retry-after")], [429, "2"])
      yield* simulator.clear()
      yield* simulator.inject("http-error:reset,count=1")
      const broken = yield* Effect.flip(Effect.tryPromise(() => fetch(`${rest}/time`)))
      assert.include(String((broken.cause as Error).cause), "ECONNRESET")
      assert.strictEqual((yield* fetchJson(`${rest}/time`))[0], 200)
      const client = yield* dial(wsOf(simulator))
      yield* Effect.callback<void>((resume) => {
        client.socket.once("pong", () => resume(Effect.void))
        client.socket.ping()
      })
      assert.strictEqual(simulator.counts().exchanges["toy"]!.client.protocolPings, 1)
    }))

  it.live("a request that breaks off or makes no sense harms nobody", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const port = Number(new URL(simulator.admin).port)
      const raw = (text: string) =>
        Effect.callback<string>((resume) => {
          let answer = ""
          const socket: Socket = connectTcp(port, "127.0.0.1", () => socket.write(text))
          socket.on("data", (data) => answer += data.toString())
          socket.on("close", () => resume(Effect.succeed(answer)))
        })
      const head = "Host: x\r\nConnection: close\r\n"
      assert.include(yield* raw(`GET http://x/toy HTTP/1.1\r\n${head}\r\n`), "400 Bad Request")
      const upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      assert.include(yield* raw(`GET /toy/ws/v1 HTTP/1.1\r\n${upgrade}\r\n`), "400 Bad Request")
      assert.include(yield* raw(`GET http://x/toy/ws/v1 HTTP/1.1\r\n${upgrade}\r\n`), "404")
      yield* Effect.callback<void>((resume) => {
        const socket = connectTcp(port, "127.0.0.1", () => {
          socket.write(`POST /toy/api/v1/echo HTTP/1.1\r\n${head}Content-Length: 10\r\n\r\nabc`, () =>
            socket.resetAndDestroy())
        })
        socket.on("close", () =>
          resume(Effect.void))
      })
      assert.strictEqual((yield* fetchJson(`${simulator.admin}/health`))[0], 200)
    }))

  it.live("refuses what no exchange serves", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const root = new URL(simulator.admin).host
      for (const path of ["/toy/other", "/nobody/ws", "/"]) {
        assert.include((yield* Effect.flip(dial(`ws://${root}${path}`))).message, "404", path)
      }
    }))

  it.live("drop and refuse: with and without a close frame, by status or by reset", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const clients = [yield* dial(wsOf(simulator)), yield* dial(wsOf(simulator, "toy-binary"))]
      yield* simulator.inject("drop,on=toy")
      yield* simulator.inject("drop:4001,on=toy-binary")
      assert.deepStrictEqual(yield* Deferred.await(clients[0]!.closed), [1_006, ""])
      assert.deepStrictEqual(yield* Deferred.await(clients[1]!.closed), [4_001, ""])
      yield* simulator.inject("refuse")
      assert.include((yield* Effect.flip(dial(wsOf(simulator)))).message, "503")
      yield* simulator.clear()
      yield* simulator.inject("refuse:reset")
      assert.include((yield* Effect.flip(dial(wsOf(simulator)))).message, "ECONNRESET")
      assert.deepStrictEqual([connectionsOf(simulator).dropped, connectionsOf(simulator).refused], [1, 2])
    }))

  it.live("half-open: neither reads nor writes, until it is dropped with a close frame", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const client = yield* dial(wsOf(simulator))
      client.send("sub", "tickers:BTC_USDT:10")
      yield* client.received(1)
      yield* simulator.inject("half-open")
      client.send("ping")
      yield* simulator.tick(20)
      // Another client's round trip: long enough for the first one's to have happened.
      const other = yield* dial(wsOf(simulator))
      other.send("ping")
      yield* other.received(1)
      assert.strictEqual(client.frames.length, 1)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.client.frames, 2)
      yield* simulator.inject("drop:4000")
      assert.deepStrictEqual(yield* Deferred.await(client.closed), [4_000, ""])
      assert.strictEqual(client.frames.length, 1)
    }))

  it.live("what a client ends is ended here too, a reset included", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const leaving = yield* dial(wsOf(simulator))
      leaving.socket.close(1_000)
      yield* simulator.until(() => connectionsOf(simulator).closedByClient === 1)
      const broken = yield* dial(wsOf(simulator)) // A frame with a reserved bit.
      ;(broken.socket as unknown as { readonly _socket: Socket })._socket.write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]))
      yield* simulator.until(() => connectionsOf(simulator).errors === 1 && connectionsOf(simulator).open === 0)
      assert.strictEqual((yield* Deferred.await(broken.closed))[0], 1_002)
    }))

  it.live("frames for a client that is leaving are discarded, not sent", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false })
      const { host, pathname, port } = new URL(wsOf(simulator))
      const masked = (opcode: number, payload: Buffer) =>
        Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload])
      // A client that says goodbye, hears the answer, and keeps its end of the line open.
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => connectTcp({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true })),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.resume()
      socket.write(
        `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
      )
      socket.write(masked(1, Buffer.from(JSON.stringify({ op: "sub", topic: "tickers:BTC_USDT:10" }))))
      yield* simulator.until(() => simulator.topics("toy").size === 1)
      yield* simulator.tick(5)
      yield* Effect.callback<void>((resume) => {
        socket.once("end", () => resume(Effect.void))
        socket.write(masked(8, Buffer.from([0x03, 0xe8])))
      })
      assert.strictEqual(connectionsOf(simulator).open, 1)
      yield* simulator.tick(5)
      const { sent, offered, discarded } = simulator.counts().exchanges["toy"]!.topics["tickers:BTC_USDT:10"]!
      assert.deepStrictEqual([offered.frames, sent.frames, discarded.frames], [10, 5, 5])
      assert.strictEqual(connectionsOf(simulator).slow, 0)
    }))

  it.live("a client that does not read is dropped", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false, maxBufferedBytes: 10_000, levels: 1_000, rate: 20_000 })
      const client = yield* dial(wsOf(simulator))
      client.send("sub", "depth:BTC_USDT:10")
      yield* simulator.until(() => simulator.topics("toy").size === 1)
      client.socket.pause()
      // Until the kernel's buffers are full as well.
      for (let i = 0; i < 2_000 && connectionsOf(simulator).open > 0; i++) {
        yield* simulator.tick(5)
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual([connectionsOf(simulator).slow, connectionsOf(simulator).open], [1, 0])
      const { offered, sent, discarded } = simulator.counts().exchanges["toy"]!.topics["depth:BTC_USDT:10"]!
      assert.strictEqual(offered.frames, sent.frames + discarded.frames)
      client.socket.resume()
      assert.strictEqual((yield* Deferred.await(client.closed))[0], 1_006)
    }))

  it.live("a tick with more than is held back at once is written in parts, in order", () =>
    Effect.gen(function*() {
      const simulator = yield* make({ autoRun: false, rate: 190_000, tradeRate: 0, levels: 2_000 })
      const client = yield* dial(wsOf(simulator))
      const topics = Array.from({ length: 10 }, (_, i) => `depth${2_000 - i}:BTC_USDT:10`)
      for (const topic of topics) client.send("sub", topic)
      yield* client.received(20)
      yield* simulator.tick(2)
      yield* client.received(40)
      const deltas = client.frames.slice(20)
      assert.isAbove(deltas.slice(0, 10).reduce((bytes, [text]) => bytes + text.length, 0), 2 ** 18)
      assert.deepStrictEqual(client.messages().slice(20).map((message) => "topic" in message && message.topic), [
        ...topics,
        ...topics
      ])
    }))

  it.live("compression is negotiated only when it is offered", () =>
    Effect.gen(function*() {
      const plain = yield* make({ autoRun: false })
      assert.strictEqual((yield* dial(wsOf(plain))).socket.extensions, "")
      const compressing = yield* make({ autoRun: false, compression: true })
      const client = yield* dial(wsOf(compressing))
      assert.include(client.socket.extensions, "permessage-deflate")
      client.send("sub", "depth:BTC_USDT:10")
      yield* client.received(2)
      assert.deepStrictEqual(
        client.messages()[1],
        wire({ type: "snapshot", topic: "depth:BTC_USDT:10", book: compressing.book("toy", "BTC/USDT") })
      )
    }))

  it.live("a port in use, or no address at all, is a typed error", () =>
    Effect.gen(function*() {
      const first = yield* make({ autoRun: false })
      const port = Number(new URL(first.admin).port)
      const taken = yield* Effect.flip(make({ port }))
      assert.strictEqual(taken.message, `simulator, listen: 127.0.0.1:${port} is in use`)
      const nowhere = yield* Effect.flip(make({ host: "203.0.113.1" }))
      assert.include(nowhere.message, "simulator, listen: ")
    }))

  it.live("closes at once, whoever is connected, and leaves the port free", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const simulator = yield* Scope.provide(make(), scope)
      const clients = [yield* dial(wsOf(simulator)), yield* dial(wsOf(simulator))]
      clients[0]!.send("sub", "tickers:BTC_USDT:10")
      yield* clients[0]!.received(5)
      yield* simulator.inject("half-open")
      yield* simulator.inject("slow-snapshot:1h")
      const unanswered = Effect.promise(() =>
        fetch(`${simulator.urls["toy"]!.rest}/book?pair=BTC/USDT`).then(() => "answered", () => "broken off")
      )
      const asked = yield* Effect.forkChild(unanswered, { startImmediately: true })
      yield* simulator.until(() => simulator.counts().exchanges["toy"]!.rest.delayed === 1)
      yield* Scope.close(scope, Exit.void)
      for (const { closed } of clients) assert.deepStrictEqual(yield* Deferred.await(closed), [1_006, ""])
      assert.strictEqual(yield* Fiber.join(asked), "broken off")
      const again = yield* make({ port: Number(new URL(simulator.admin).port) })
      assert.strictEqual(again.admin, simulator.admin)
    }))

  it.live("the Layer provides it", () =>
    Effect.gen(function*() {
      const { admin } = yield* Simulator.Simulator
      assert.match(admin, /^http:\/\/\[::1\]:\d+\/_simulator$/)
    }).pipe(Effect.provide(Simulator.layer({ dialects: [toy], host: "::1", autoRun: false }))))
})
