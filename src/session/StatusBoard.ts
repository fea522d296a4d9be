/** The present state of every connection, and who hears of changes. */
import { Effect, Exit, PubSub, Stream, Take } from "effect"
import type { ConnectionStatus } from "../domain/Feed.ts"

export interface StatusBoard {
  readonly publish: (status: ConnectionStatus) => void
  /** Every change, beginning with the present state. A reader that lags by more than 256 changes loses the oldest. Ends with the scope. */
  readonly stream: Stream.Stream<ConnectionStatus>
  /** Returns how to stop listening. */
  readonly listen: (listener: (status: ConnectionStatus) => void) => () => void
}

/** `onFailure` hears of a listener that threw; the others go on. */
export const make = Effect.fnUntraced(function*(onFailure: (error: unknown) => void) {
  const statuses = yield* PubSub.sliding<Take.Take<ConnectionStatus>>(256)
  yield* Effect.addFinalizer(() => PubSub.end(statuses, Exit.void))
  const present = new Map<number, ConnectionStatus>()
  const listeners = new Set<(status: ConnectionStatus) => void>()

  const tell = (listener: (status: ConnectionStatus) => void, status: ConnectionStatus): void => {
    try {
      listener(status)
    } catch (error) {
      onFailure(error)
    }
  }

  const board: StatusBoard = {
    publish: (status) => {
      if (status._tag === "Closed") present.delete(status.connection)
      else present.set(status.connection, status)
      PubSub.publishUnsafe(statuses, [status])
      for (const listener of listeners) tell(listener, status)
    },
    stream: Stream.unwrap(Effect.gen(function*() {
      const subscription = yield* PubSub.subscribe(statuses)
      return Stream.concat(
        Stream.fromIterable([...present.values()]),
        Stream.fromPull(Effect.succeed(Effect.flatMap(PubSub.take(subscription), Take.toPull)))
      )
    })),
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
  return board
})
