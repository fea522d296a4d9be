/** The simulator as an in-memory network: no ports, and frames arrive in the simulator's own turn. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { MemoryNetwork } from "../connection/MemoryNetwork.ts"
import type { MemoryPeerHandlers, MemoryRefusal, MemorySocket } from "../connection/MemoryNetwork.ts"
import type { Engine } from "./Engine.ts"
import * as Gateway from "./Gateway.ts"
import type { Control, Reachable } from "./Gateway.ts"

const host = "simulator.memory"

/** Of every client. */
const loopback = "127.0.0.1"

const connect = (
  engine: Engine,
  url: string,
  client: MemoryPeerHandlers,
  headers: Readonly<Record<string, string>>
): MemorySocket | MemoryRefusal => {
  const address = URL.canParse(url) ? new URL(url) : null
  const exchange = address?.host === host ? Gateway.websocketAt(engine, address.pathname) : null
  if (address === null || exchange === null) return { refused: `nobody listens at ${url}` }
  const refusal = exchange.dial()
  if (refusal !== null) return { refused: Gateway.refusalText(refusal.status ?? 503) }
  // The connection says nothing and hears nothing once it is over.
  const connection = exchange.accept({
    send: (frame) => {
      client.onFrame(frame)
      return "sent"
    },
    close: (code, reason) => client.onClose(code, reason),
    freeze: () => {}
  }, { headers, query: new Map(address.searchParams), address: loopback })
  return {
    send: (frame) => connection.receive(frame),
    close: (code, reason) => connection.end("closedByClient", code, reason)
  }
}

const inLowerCase = (headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

/** All sockets end with the scope. */
export const make = (
  engine: Engine,
  control: Control
): Effect.Effect<
  { readonly network: MemoryNetwork["Service"]; readonly reachable: Reachable },
  never,
  Scope.Scope
> => {
  const network = MemoryNetwork.of({
    connect: (url, client, headers) => connect(engine, url, client, inLowerCase(headers)),
    request: ({ method, url, headers, body }) =>
      URL.canParse(url) && new URL(url).host === host
        ? Effect.filterOrFail(
          Gateway.request(engine, control, { method, url: new URL(url), headers, body, address: loopback }),
          (response) => !Gateway.isReset(response),
          () => ({ refused: Gateway.resetText })
        )
        : Effect.fail({ refused: `nobody listens at ${url}` })
  })
  const reachable: Reachable = {
    urls: Gateway.urlsOf(engine, { ws: `ws://${host}`, http: `http://${host}` }),
    admin: `http://${host}${Gateway.adminPath}`
  }
  return Effect.as(Effect.addFinalizer(() => Effect.sync(() => engine.hangUp())), { network, reachable })
}
