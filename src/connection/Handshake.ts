/** What has to be said before a connection may be used, such as a login. */
import { Effect } from "effect"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Batch, Connection, Dial } from "./Connection.ts"

/**
 * Runs on a fresh connection and may write and pull. It returns the batches that it pulled and did not use, in their
 * order: the session pulls them first, so that data which overtakes an answer is not lost. It sets its own time limit.
 */
export type Handshake<R = never> = (
  connection: Connection
) => Effect.Effect<ReadonlyArray<Batch> | void, ExchangeError, R>

/** Dialling succeeds once the handshake has; its failure is the dial's. */
export const withHandshake = <R2>(handshake: Handshake<R2>) => <R>(self: Dial<R>): Dial<R | R2> =>
  Effect.flatMap(
    self,
    (connection) =>
      Effect.map(handshake(connection), (unused) => (unused === undefined ? connection : prepend(connection, unused)))
  )

const prepend = (connection: Connection, batches: ReadonlyArray<Batch>): Connection => {
  let next = 0
  return {
    ...connection,
    pull: Effect.suspend(() => {
      const batch = batches[next]
      if (batch === undefined) return connection.pull
      next++
      return Effect.succeed(batch)
    })
  }
}
