/** Connections that come and go, as log lines. */
import { Effect, Stream } from "effect"
import type { ConnectionStatus } from "../domain/Feed.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"

const describeRetry = (retryIn: number | null): string =>
  retryIn === null ? "it is not tried again" : `retry in ${Math.round(retryIn)} ms`

const log = (status: ConnectionStatus): Effect.Effect<void> => {
  const name = `[${status.exchange}] connection ${status.connection}`
  switch (status._tag) {
    case "Connecting":
      return Effect.logDebug(`${name}: connecting, attempt ${status.attempt}`)
    case "Connected":
      return Effect.logInfo(`${name}: connected`)
    case "Disconnected":
      return Effect.logWarning(`${name}: disconnected: ${status.message} (${describeRetry(status.retryIn)})`)
    case "Closed":
      return Effect.logDebug(`${name}: closed`)
  }
}

/** Logs every change until the scope closes. */
export const start = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  yield* Effect.forkScoped(Stream.runForEach(websocket.status, log))
})
