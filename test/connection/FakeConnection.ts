/** A connection without a socket, for what wraps connections. The test plays the peer. */
import { Cause, type Clock, Effect, Queue } from "effect"
import type { Activity, Batch, Connection, OutFrame } from "../../src/connection/Connection.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"

export interface FakeConnection {
  readonly connection: Connection
  readonly activity: Activity
  readonly written: Array<OutFrame>
  readonly aborted: Array<ExchangeError>
  /** A frame arrives: the stamp moves and the frame waits for a pull. */
  readonly receive: (text?: string) => void
  /** So many bytes arrive of a frame that is not whole. */
  readonly trickle: (bytes: number) => void
  /** The peer ends it. */
  readonly end: (error: ExchangeError) => void
  /** What `write` does beside keeping the frame. */
  onWrite: (frame: OutFrame) => Effect.Effect<void, ExchangeError>
}

export const make = (clock: Clock.Clock): FakeConnection => {
  const now = () => Number(clock.currentTimeNanosUnsafe()) / 1e6
  const batches = Effect.runSync(Queue.unbounded<Batch, ExchangeError>())
  const activity: Activity = { receivedAt: now(), heard: false, dataAt: now(), expectsData: false, held: false }
  const end = (error: ExchangeError) => Queue.failCauseUnsafe(batches, Cause.fail(error))
  let bytesRead = 0
  const fake: FakeConnection = {
    activity,
    written: [],
    aborted: [],
    onWrite: () => Effect.void,
    receive: (text = "frame") => {
      activity.receivedAt = now()
      activity.heard = true
      const frame = Buffer.from(text)
      Queue.offerUnsafe(batches, { frames: [frame], bytes: frame.length, receivedAt: activity.receivedAt })
    },
    trickle: (bytes) => {
      bytesRead += bytes
    },
    end,
    connection: {
      activity,
      bytesRead: () => bytesRead,
      pull: Queue.take(batches),
      write: (frame) =>
        Effect.suspend(() => {
          fake.written.push(frame)
          return fake.onWrite(frame)
        }),
      abort: (reason) =>
        Effect.sync(() => {
          fake.aborted.push(reason)
          end(reason)
        })
    }
  }
  return fake
}
