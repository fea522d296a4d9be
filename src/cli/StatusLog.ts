/** Connections that come and go, as log lines. */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { ConnectionStatus } from "../domain/Feed.ts"
import { PublicWebsocket } from "../PublicWebsocket.ts"

const describeRetry = (retryIn: number | null): string =>
  retryIn === null ? "it is not tried again" : `retry in ${Math.round(retryIn)} ms`

const log = (of: string) => (status: ConnectionStatus): Effect.Effect<void> => {
  const name = `[${status.exchange}] ${of}connection ${status.connection}`
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

/** Logs every change until the scope closes; `of` says whose connections they are. */
export const follow = (
  status: Stream.Stream<ConnectionStatus>,
  of = ""
): Effect.Effect<void, never, Scope.Scope> => Effect.asVoid(Effect.forkScoped(Stream.runForEach(status, log(of))))

/** The same of the market data. */
export const start = Effect.flatMap(PublicWebsocket, ({ status }) => follow(status))
