/**
 * Opens sockets and yields what they read in batches. Pick the layer that fits the platform: `layerWs` (Node),
 * `layerSocket` (browsers, Bun, Deno) or `layerMemory` (inside the process, for the simulator).
 */
import { Context, Effect, Layer, Scheduler, type Scope } from "effect"
import * as Socket from "effect/socket/Socket"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Connection, Dial, Endpoint } from "./Connection.ts"
import { MemoryNetwork } from "./MemoryNetwork.ts"
import * as MemoryWire from "./MemoryWire.ts"
import * as PlatformWire from "./PlatformWire.ts"
import type { SocketOptions } from "./SocketOptions.ts"
import * as Wire from "./Wire.ts"
import * as WsWire from "./WsWire.ts"

export { defaults, type SocketOptions } from "./SocketOptions.ts"

export interface Capabilities {
  /** Handshake headers can be sent. */
  readonly headers: boolean
  /** The server's protocol-level pings are answered. */
  readonly ping: boolean
  /** The option `compression` decides whether permessage-deflate is offered; where false, the platform decides. */
  readonly compression: boolean
}

export class FrameSocket extends Context.Service<FrameSocket, {
  readonly capabilities: Capabilities
  /**
   * Dials. Fails with `ConnectFailed`, or with `InvalidUse` when an option is out of range. The connection lives as
   * long as the scope: closing it fails a waiting pull, drops what is unread, says goodbye to the peer and releases the
   * socket. When the peer ends the connection, what was read before is pulled first.
   */
  readonly open: (
    exchange: ExchangeId,
    endpoint: Endpoint,
    options?: SocketOptions
  ) => Effect.Effect<Connection, ExchangeError, Scope.Scope>
}>()("effect-exchange/connection/FrameSocket") {}

/** A dial that runs `endpoint` anew for every connection, in the connection's scope. */
export const dial = <R>(
  exchange: ExchangeId,
  endpoint: Effect.Effect<Endpoint, ExchangeError, R>,
  options?: SocketOptions
): Dial<R | FrameSocket> =>
  Effect.flatMap(
    FrameSocket,
    (socket) => Effect.flatMap(endpoint, (address) => socket.open(exchange, address, options))
  )

const make = (
  capabilities: Capabilities,
  makeWire: (attempt: Wire.Attempt) => Effect.Effect<() => Wire.Wire>
): FrameSocket["Service"] =>
  FrameSocket.of({
    capabilities,
    open: (exchange, endpoint, options) =>
      Effect.flatMap(Wire.prepare(exchange, endpoint, options, capabilities.headers), (attempt) =>
        Effect.flatMap(makeWire(attempt), (wire) => Wire.connect(attempt, wire)))
  })

/** On the `ws` package: headers, compression, back-pressure down to the peer, and no frame is copied. */
export const layerWs: Layer.Layer<FrameSocket> = Layer.sync(FrameSocket, () =>
  make(
    { headers: true, ping: true, compression: true },
    (attempt) => Effect.succeed(() => WsWire.make(attempt))
  ))

export interface OverflowOptions {
  /**
   * Unread bytes at which the connection ends with `Disconnected`, because its socket cannot be paused. Default 16 MiB.
   */
  readonly overflowBytes?: number | undefined
}

/** Default of `OverflowOptions`. */
export const overflowBytes = 16 * 1024 * 1024

/**
 * On any `WebSocketConstructor` of `effect/socket`. Such a socket sends no headers, hides the HTTP status of a refusal,
 * cannot be destroyed and mostly cannot be paused, so prefer `layerWs` where it runs.
 */
export const layerSocket = (
  options?: OverflowOptions
): Layer.Layer<FrameSocket, never, Socket.WebSocketConstructor> =>
  Layer.effect(
    FrameSocket,
    Effect.map(Socket.WebSocketConstructor, (construct) =>
      make(
        { headers: false, ping: true, compression: false },
        (attempt) =>
          Effect.succeed(() =>
            PlatformWire.make(attempt, construct(attempt.endpoint.url), options?.overflowBytes ?? overflowBytes)
          )
      ))
  )

/** On the in-memory network; everything then runs under a virtual clock. */
export const layerMemory = (options?: OverflowOptions): Layer.Layer<FrameSocket, never, MemoryNetwork> =>
  Layer.effect(
    FrameSocket,
    Effect.map(MemoryNetwork, (network) =>
      make(
        { headers: true, ping: false, compression: false },
        (attempt) =>
          Effect.map(
            Scheduler.Scheduler,
            (scheduler) => () => MemoryWire.make(attempt, network, scheduler, options?.overflowBytes ?? overflowBytes)
          )
      ))
  )
