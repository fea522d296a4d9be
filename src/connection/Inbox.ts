/**
 * What one connection has read and nobody has pulled yet. Transports push frames in from their callbacks, the consumer
 * pulls them out as batches; between the two stands a bound in bytes.
 */
import { Effect } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Activity, Batch } from "./Connection.ts"

/** What holding a frame costs beside its payload, so that a flood of empty frames meets the bound too. */
export const frameOverheadBytes = 64

export interface InboxOptions {
  readonly exchange: ExchangeId
  /** Now, ms since the epoch with fractions. Asked once per read. */
  readonly now: () => number
  /** Runs the hand-over once the current read has been parsed: `queueMicrotask` on a socket. */
  readonly afterRead: (flush: () => void) => void
  readonly batchFrames: number
  readonly highWaterBytes: number
  /** The bound is reached: stop reading. */
  readonly onFull: () => void
  /** All was pulled after the bound had been reached: read on. */
  readonly onDrained: () => void
}

export interface Inbox {
  readonly activity: Activity
  /** Never delivers inline: a consumer resumed here would cost every frame a fibre wake-up. */
  readonly push: (frame: Uint8Array) => void
  /** The connection is over. What was read before is still pulled; the first reason stands. */
  readonly end: (reason: ExchangeError.ExchangeError) => void
  /** The connection is over and what was read before is dropped. */
  readonly discard: (reason: ExchangeError.ExchangeError) => void
  /** Why the connection is over, once it is. */
  readonly reason: () => ExchangeError.ExchangeError | undefined
  readonly pull: Effect.Effect<Batch, ExchangeError.ExchangeError>
}

/** A batch in the queue; `next` is of no interest to who pulls it. */
interface Read extends Batch {
  readonly frames: Array<Uint8Array>
  bytes: number
  next: Read | undefined
}

type Resume = (effect: Effect.Effect<Batch, ExchangeError.ExchangeError>) => void

export const make = (options: InboxOptions): Inbox => {
  const { afterRead, batchFrames, highWaterBytes, now } = options
  const openedAt = now()
  const activity: Activity = { receivedAt: openedAt, dataAt: openedAt, expectsData: false, held: false }
  let first: Read | undefined
  let last: Read | undefined
  /** The batch that takes the frames of the current read; none between reads. */
  let current: Read | undefined
  let unreadBytes = 0
  let full = false
  let flushing = false
  let ended: ExchangeError.ExchangeError | undefined
  let waiter: Resume | undefined

  const beginBatch = (): Read => {
    const batch: Read = { frames: [], receivedAt: activity.receivedAt, bytes: 0, next: undefined }
    if (last === undefined) first = batch
    else last.next = batch
    last = batch
    current = batch
    return batch
  }

  const take = (batch: Read): Batch => {
    first = batch.next
    if (first === undefined) last = undefined
    if (current === batch) current = undefined
    batch.next = undefined
    unreadBytes -= batch.bytes + batch.frames.length * frameOverheadBytes
    if (full && first === undefined) {
      full = false
      activity.held = false
      if (ended === undefined) options.onDrained()
    }
    return batch
  }

  const wake = () => {
    const resume = waiter
    if (resume === undefined) return
    waiter = undefined
    resume(pull)
  }

  const flush = () => {
    flushing = false
    current = undefined
    if (first !== undefined) wake()
  }

  const wait = Effect.callback<Batch, ExchangeError.ExchangeError>((resume) => {
    waiter = resume
    return forget
  })
  const forget = Effect.sync(() => {
    waiter = undefined
  })
  const twice = Effect.fail(
    ExchangeError.make(
      options.exchange,
      new ExchangeError.InvalidUse({ detail: "two fibers pull from one connection; each frame can reach only one" })
    )
  )

  const pull: Inbox["pull"] = Effect.suspend(() => {
    if (first !== undefined) return Effect.succeed(take(first))
    if (ended !== undefined) return Effect.fail(ended)
    return waiter === undefined ? wait : twice
  })

  const end = (reason: ExchangeError.ExchangeError) => {
    if (ended === undefined) ended = reason
    wake()
  }

  return {
    activity,
    push: (frame) => {
      if (ended !== undefined) return
      if (!flushing) {
        flushing = true
        activity.receivedAt = now()
        afterRead(flush)
      }
      const batch = current === undefined || current.frames.length >= batchFrames ? beginBatch() : current
      const { length } = frame
      batch.frames.push(frame)
      batch.bytes += length
      unreadBytes += length + frameOverheadBytes
      if (unreadBytes >= highWaterBytes && !full) {
        full = true
        activity.held = true
        options.onFull()
      }
    },
    end,
    discard: (reason) => {
      first = last = current = undefined
      end(reason)
    },
    reason: () => ended,
    pull
  }
}
