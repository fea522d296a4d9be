/**
 * A network inside the process: sockets and HTTP without ports, on the simulator's clock. Frames reach the client in
 * the simulator's own turn, so that everything runs under a virtual clock, which outruns real sockets.
 */
import { Context, Effect, Layer } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"

/** Text frames are strings, binary frames bytes, as on a real socket. */
export type MemoryFrame = string | Uint8Array

/**
 * The client's end. Both are called synchronously, `onFrame` possibly before `connect` has returned; neither is called
 * after `onClose`, nor after the client has closed its socket.
 */
export interface MemoryPeerHandlers {
  /** The frame is the client's to keep. */
  readonly onFrame: (frame: MemoryFrame) => void
  /** The server ended the socket. Code 1006: without a close frame. */
  readonly onClose: (code: number, reason: string) => void
}

export interface MemorySocket {
  /** Does nothing once the socket is over. */
  readonly send: (frame: MemoryFrame) => void
  /** Ends the socket from the client's side; `onClose` is not called for it. */
  readonly close: (code: number, reason: string) => void
}

/** Nobody answers at the address, or the connection was refused: the detail says which. */
export interface MemoryRefusal {
  readonly refused: string
}

export interface MemoryRequest {
  readonly method: string
  /** Absolute, with query. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface MemoryResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export class MemoryNetwork extends Context.Service<MemoryNetwork, {
  /** `headers` are those of the handshake. */
  readonly connect: (
    url: string,
    client: MemoryPeerHandlers,
    headers?: Readonly<Record<string, string>>
  ) => MemorySocket | MemoryRefusal
  /** A delayed answer comes when the simulated time has passed. */
  readonly request: (request: MemoryRequest) => Effect.Effect<MemoryResponse, MemoryRefusal>
}>()("effect-exchange/MemoryNetwork") {}

export const isRefusal = (result: MemorySocket | MemoryRefusal): result is MemoryRefusal => "refused" in result

/** An `HttpClient` whose requests stay inside the process. */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, MemoryNetwork> = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    MemoryNetwork,
    (network) =>
      HttpClient.make((request, url) =>
        Effect.flatMap(
          bodyOf(request),
          (body) =>
            network.request({ method: request.method, url: url.href, headers: request.headers, body }).pipe(
              Effect.mapError(({ refused }) =>
                new HttpClientError.HttpClientError({
                  reason: new HttpClientError.TransportError({ request, description: refused })
                })
              ),
              Effect.map((response) => toClientResponse(request, response))
            )
        )
      )
  )
)

const bodyOf = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<string, HttpClientError.HttpClientError> => {
  switch (request.body._tag) {
    case "Empty":
      return Effect.succeed("")
    case "Uint8Array":
      return Effect.succeed(new TextDecoder().decode(request.body.body))
    default:
      return Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.EncodeError({
            request,
            description: `a ${request.body._tag} body cannot be sent through the in-memory network`
          })
        })
      )
  }
}

const withoutBody: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * An answer as a client's. The body is there already: it is read without the promise of a web response, which a virtual clock would not wait
 * for.
 */
export const toClientResponse = (
  request: HttpClientRequest.HttpClientRequest,
  { status, headers, body }: MemoryResponse
): HttpClientResponse.HttpClientResponse => {
  const response = HttpClientResponse.fromWeb(
    request,
    new Response(withoutBody.has(status) ? null : body, { status, headers: { ...headers } })
  )
  return Object.create(response, {
    text: { value: Effect.succeed(body) },
    arrayBuffer: { value: Effect.sync(() => new TextEncoder().encode(body).buffer) }
  }) as HttpClientResponse.HttpClientResponse
}
