/** The simulator behind a real port: one HTTP server, and WebSockets on the same port. */
import { Effect, FiberSet } from "effect"
import type { Scope } from "effect"
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { WebSocketServer } from "ws"
import type { RawData, WebSocket } from "ws"
import type { DialectResponse } from "../ExchangeDialect.ts"
import type { Engine } from "./Engine.ts"
import * as Gateway from "./Gateway.ts"
import type { Control, Reachable } from "./Gateway.ts"
import type { SimulatedConnection, Transport } from "./SimulatedConnection.ts"
import { SimulatorError } from "./SimulatorError.ts"

export interface ServerSettings {
  readonly host: string
  readonly port: number
  readonly compression: boolean
  readonly maxBufferedBytes: number
}

const largestBody = 2 ** 20
/** Corked bytes at which a tick's frames are written without waiting for its end. */
const largestBatch = 2 ** 18

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/** The whole body as text; null when it is too large or breaks off. */
const readBody = (request: IncomingMessage): Effect.Effect<string | null> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    request.on("data", (chunk: Buffer) => {
      length += chunk.length
      if (length <= largestBody) chunks.push(chunk)
    })
    request.on("end", () => resume(Effect.succeed(length > largestBody ? null : Buffer.concat(chunks).toString())))
    request.on("error", () => resume(Effect.succeed(null)))
  })

const headersOf = (request: IncomingMessage): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))

/** An IPv4 client of an IPv6 socket has its IPv4 address. */
const addressOf = ({ socket }: IncomingMessage): string => (socket.remoteAddress ?? "").replace(/^::ffff:/u, "")

/** The host does not matter here. Null when a proxy is addressed. */
const urlOf = ({ url = "" }: IncomingMessage): URL | null =>
  url.startsWith("/") ? new URL(`http://simulator${url}`) : null

const badRequest: DialectResponse = { status: 400, headers: { "Content-Type": "text/plain" }, body: "bad request" }

const answer = (engine: Engine, control: Control, request: IncomingMessage): Effect.Effect<DialectResponse> =>
  Effect.flatMap(readBody(request), (body) => {
    const url = urlOf(request)
    return body === null || url === null
      ? Effect.succeed(badRequest)
      : Gateway.request(engine, control, {
        method: request.method!,
        url,
        headers: headersOf(request),
        body,
        address: addressOf(request)
      })
  })

const write = (response: ServerResponse, answer: DialectResponse): void => {
  if (Gateway.isReset(answer)) return void response.socket?.resetAndDestroy()
  const { status, headers, body } = answer
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) })
  response.end(body)
}

// ---- WebSockets -----------------------------------------------------------------------------------------------------

/** Holds the frames of a tick together, so that a socket takes them in one system call. */
class Corks {
  readonly #engine: Engine
  readonly #sockets = new Map<Socket, number>()

  constructor(engine: Engine) {
    this.#engine = engine
    engine.onTickEnd = () => this.#release()
  }

  /** `bytes` are about to be written. */
  hold(socket: Socket, bytes: number): void {
    if (!this.#engine.ticking) return
    const held = this.#sockets.get(socket)
    if (held === undefined) {
      socket.cork()
      this.#sockets.set(socket, bytes)
    } else if (held < largestBatch) {
      this.#sockets.set(socket, held + bytes)
    } else {
      socket.uncork()
      socket.cork()
      this.#sockets.set(socket, bytes)
    }
  }

  #release(): void {
    for (const socket of this.#sockets.keys()) socket.uncork()
    this.#sockets.clear()
  }
}

const textFrame = { binary: false }
const binaryFrame = { binary: true }

const transportOf = (client: WebSocket, socket: Socket, corks: Corks, maxBufferedBytes: number): Transport => ({
  send: (frame) => {
    if (client.readyState !== client.OPEN) return "closed"
    if (client.bufferedAmount > maxBufferedBytes) return "slow"
    corks.hold(socket, frame.length)
    client.send(frame, typeof frame === "string" ? textFrame : binaryFrame)
    return "sent"
  },
  close: (code, reason) => {
    if (code === 1006) return client.terminate()
    // A paused socket would never see the client's answer.
    client.resume()
    client.close(code, reason)
  },
  freeze: () => client.pause()
})

/** With the default binary type and one fragment, messages are Buffers. */
const frameOf = (data: RawData, isBinary: boolean): string | Uint8Array => {
  const bytes = data as Buffer
  return isBinary ? bytes : bytes.toString()
}

const listenTo = (client: WebSocket, connection: SimulatedConnection): void => {
  client.on("message", (data, isBinary) => connection.receive(frameOf(data, isBinary)))
  client.on("ping", () => connection.protocolPing())
  client.on("error", () => connection.socketFailed())
  client.on("close", (code, reason) => connection.end("closedByClient", code, reason.toString()))
}

const refuse = (socket: Socket, status: number): void => {
  if (status === 0) socket.resetAndDestroy()
  else socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

const makeUpgrade = (engine: Engine, { compression, maxBufferedBytes }: ServerSettings) => {
  const corks = new Corks(engine)
  const websockets = new WebSocketServer({ noServer: true, perMessageDeflate: compression, maxPayload: largestBody })
  return (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    // Until the handshake is done nobody else listens; a client that breaks it off needs no answer.
    const ignore = (): void => {}
    socket.on("error", ignore)
    const url = urlOf(request)
    const exchange = Gateway.websocketAt(engine, url?.pathname ?? "")
    if (url === null || exchange === null) return refuse(socket, 404)
    const refusal = exchange.dial()
    if (refusal !== null) return refuse(socket, refusal.status ?? 503)
    websockets.handleUpgrade(request, socket, head, (client) => {
      socket.off("error", ignore)
      const handshake = {
        headers: headersOf(request),
        query: new Map(url.searchParams),
        address: addressOf(request)
      }
      listenTo(client, exchange.accept(transportOf(client, socket, corks, maxBufferedBytes), handshake))
    })
  }
}

// ---- life -----------------------------------------------------------------------------------------------------------

interface Listening {
  readonly server: Server
  readonly sockets: ReadonlySet<Socket>
}

const listen = (server: Server, { host, port }: ServerSettings): Effect.Effect<Listening, SimulatorError> =>
  Effect.callback((resume) => {
    const sockets = new Set<Socket>()
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    const fail = (error: NodeJS.ErrnoException): void => {
      const detail = error.code === "EADDRINUSE" ? `${host}:${port} is in use` : error.message
      resume(Effect.fail(new SimulatorError({ operation: "listen", detail })))
    }
    server.once("error", fail)
    server.listen({ host, port }, () => {
      server.off("error", fail)
      resume(Effect.succeed({ server, sockets }))
    })
  })

/** Waits for nobody: every socket is destroyed. */
const close = ({ server, sockets }: Listening): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })

const hostText = ({ address, family }: AddressInfo): string => family === "IPv6" ? `[${address}]` : address

/** Listens until the scope closes. Fails with the reason when it cannot. */
export const serve = Effect.fnUntraced(
  function*(
    engine: Engine,
    control: Control,
    settings: ServerSettings
  ): Effect.fn.Return<Reachable, SimulatorError, Scope.Scope> {
    const run = yield* FiberSet.makeRuntime()
    const server = createServer((request, response) => {
      run(Effect.map(answer(engine, control, request), (result) => write(response, result)))
    })
    const upgrade = makeUpgrade(engine, settings)
    // An HTTP server hands over TCP sockets, whatever the type says.
    server.on("upgrade", (request, socket, head) => upgrade(request, socket as Socket, head))
    yield* Effect.addFinalizer(() => Effect.sync(() => engine.hangUp()))
    yield* Effect.acquireRelease(listen(server, settings), close)
    const address = server.address() as AddressInfo
    const root = `${hostText(address)}:${address.port}`
    return {
      urls: Gateway.urlsOf(engine, { ws: `ws://${root}`, http: `http://${root}` }),
      admin: `http://${root}${Gateway.adminPath}`
    }
  }
)
