/** Real servers on loopback, as scoped resources that report what they see through queues and deferreds. */
import { Deferred, Effect, Queue, type Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Ws from "ws"

export interface Peer {
  readonly socket: Ws.WebSocket
  readonly headers: Http.IncomingHttpHeaders
  readonly messages: Queue.Queue<{ readonly text: string; readonly isBinary: boolean }>
  readonly closed: Deferred.Deferred<{ readonly code: number; readonly reason: string }>
  readonly ponged: Deferred.Deferred<string>
}

export interface TestServer {
  readonly url: string
  /** The sockets in the order in which they opened. */
  readonly peers: Queue.Queue<Peer>
}

export const make = (options?: Ws.ServerOptions): Effect.Effect<TestServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const peers = yield* Queue.unbounded<Peer>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<Ws.WebSocketServer>((resume) => {
        const server = new Ws.WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, ...options })
        server.on("connection", (socket, request) => Queue.offerUnsafe(peers, peerOf(socket, request)))
        server.on("listening", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const client of server.clients) client.terminate()
          server.close(() => resume(Effect.void))
        })
    )
    return { url: `ws://127.0.0.1:${portOf(server.address())}`, peers }
  })

const peerOf = (socket: Ws.WebSocket, request: Http.IncomingMessage): Peer => {
  const peer: Peer = {
    socket,
    headers: request.headers,
    messages: Effect.runSync(Queue.unbounded<{ readonly text: string; readonly isBinary: boolean }>()),
    closed: Deferred.makeUnsafe(),
    ponged: Deferred.makeUnsafe()
  }
  socket.on("message", (data, isBinary) => Queue.offerUnsafe(peer.messages, { text: String(data), isBinary }))
  socket.on("pong", (data) => Deferred.doneUnsafe(peer.ponged, Effect.succeed(data.toString())))
  socket.on(
    "close",
    (code, reason) => Deferred.doneUnsafe(peer.closed, Effect.succeed({ code, reason: reason.toString() }))
  )
  socket.on("error", () => {})
  return peer
}

const portOf = (address: ReturnType<Net.Server["address"]>): number => (address as Net.AddressInfo).port

const listen = <S extends Net.Server>(server: S): Effect.Effect<number, never, Scope.Scope> => {
  const sockets = new Set<Net.Socket>()
  server.on("connection", (socket: Net.Socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
  })
  return Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(portOf(server.address()))))
    }),
    () =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
}

/** Answers every upgrade with these bytes, and ends the socket unless it is to hang. */
export const refusing = (
  respond: (request: Http.IncomingMessage) => string,
  options?: { readonly hang?: boolean }
): Effect.Effect<string, never, Scope.Scope> => {
  const server = Http.createServer()
  server.on("upgrade", (request, socket) => {
    if (options?.hang === true) socket.write(respond(request))
    else socket.end(respond(request))
  })
  return Effect.map(listen(server), (port) => `ws://127.0.0.1:${port}`)
}

/** Accepts connections and never says a word. */
export const mute: Effect.Effect<
  { readonly url: string; readonly accepted: Deferred.Deferred<void>; readonly left: Deferred.Deferred<void> },
  never,
  Scope.Scope
> = Effect.suspend(() => {
  const accepted = Deferred.makeUnsafe<void>()
  const left = Deferred.makeUnsafe<void>()
  const server = Net.createServer((socket) => {
    socket.resume()
    socket.on("close", () => Deferred.doneUnsafe(left, Effect.void))
    Deferred.doneUnsafe(accepted, Effect.void)
  })
  return Effect.map(listen(server), (port) => ({ url: `ws://127.0.0.1:${port}`, accepted, left }))
})

/** A port on which nobody listens any more. */
export const unusedPort: Effect.Effect<number> = Effect.scoped(Effect.suspend(() => listen(Net.createServer())))
