/**
 * What one connection has read and nobody has pulled yet. Transports push frames in from their callbacks, the consumer
 * pulls them out as batches; between the two stands a bound in bytes.
 *
 * Which of two ways a frame goes depends on the fiber that pulls:
 *
 * | the fiber | `waiter` | `isDirect` | `isCalled` | a frame goes | until |
 * |---|---|---|---|---|---|
 * | works on what it pulled | none | no | no | into the queue | it pulls again: the queue comes first, then it waits |
 * | waits, without a reader | set | no | no | into the queue | the read ends, which wakes it with the queue's first batch |
 * | waits, with a reader | set | yes | no | to the reader, at once | a turn of the reader ends with true |
 * | is called by the reader | set | no | yes | into the queue | the read ends: an empty batch wakes it, then comes the queue |
 *
 * Nothing is queued while a reader is given frames, which keeps them in order. The end of the connection, and what a reader
 * throws, wake a fiber that waits in any of these.
 */
import { Deferred, Effect } from "effect"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Activity, Batch, FrameReader, Pull } from "./Connection.ts"
import type { TurnBudget } from "./TurnBudget.ts"

/** What holding a frame costs beside its bytes, so that a flood of empty frames meets the bound too. */
export const frameOverheadBytes = 64

/** The longest turn of a reader, in batches. */
const doublings = 8

export interface InboxOptions {
  readonly exchange: ExchangeId
  /** Now, ms since the epoch with fractions. Asked once per read. */
  readonly now: () => number
  /** Runs the hand-over once the current read has been parsed: `queueMicrotask` on a socket. */
  readonly afterRead: (flush: () => void) => void
  /** Whether a reader may be called where frames are pushed: in the socket's own turn, and not in the peer's. */
  readonly isDirect: boolean
  readonly batchFrames: number
  readonly highWaterBytes: number
  /** Of the turn in which the fiber works on what is queued; without it, it takes as long as it takes. */
  readonly budget?: TurnBudget | undefined
  /** The bound is reached: stop reading. */
  readonly onFull: () => void
  /** All was pulled after the bound had been reached: read on. */
  readonly onDrained: () => void
}

export interface Inbox {
  readonly activity: Activity
  /** The frame in `bytes[start, end)`, which may be written over behind this call unless it is the whole array. Never resumes the fiber that waits: that would cost every frame a wake-up. */
  readonly push: (bytes: Uint8Array, start: number, end: number) => void
  /** What is pushed now was read before, with what has its stamp. */
  readonly goOn: () => void
  /** The connection is over. What was read before is still pulled; the first reason stands. */
  readonly end: (reason: ExchangeError.ExchangeError) => void
  /** The connection is over and what was read before is dropped. */
  readonly discard: (reason: ExchangeError.ExchangeError) => void
  /** Why the connection is over, once it is. */
  readonly reason: () => ExchangeError.ExchangeError | undefined
  /** Waits until the connection is over. */
  readonly over: Effect.Effect<void>
  readonly pull: Pull
}

/** A batch in the queue; `next` is of no interest to who pulls it. */
interface Read extends Batch {
  readonly frames: Array<Uint8Array>
  bytes: number
  next: Read | undefined
}

type Resume = (effect: Effect.Effect<Batch, ExchangeError.ExchangeError>) => void

/**
 * A copy, for what was read is written over by the next read; a frame that has its bytes for itself is taken as it is.
 * Not by `slice`: that of a Node Buffer would share its memory.
 */
const frameOf = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
  end - start === bytes.length ? bytes : new Uint8Array(bytes.subarray(start, end))

export const make = (options: InboxOptions): Inbox => {
  const { afterRead, batchFrames, budget, highWaterBytes, now } = options
  const longest = batchFrames * doublings
  const openedAt = now()
  const activity: Activity = {
    receivedAt: openedAt,
    heard: false,
    dataAt: openedAt,
    expectsData: false,
    held: false
  }
  let first: Read | undefined
  let last: Read | undefined
  /** The batch that takes the frames of the current read; none between reads. */
  let current: Read | undefined
  let unreadBytes = 0
  let full = false
  let flushing = false
  let ended: ExchangeError.ExchangeError | undefined
  const over = Deferred.makeUnsafe<void>()
  let waiter: Resume | undefined
  let reader: FrameReader | undefined
  /** Beside the field of `activity`: a number that is read from there is boxed anew for each frame. */
  let readAt = openedAt
  /** A fiber waits and nothing is queued: the reader gets what comes. */
  let isDirect = false
  /** What the reader was given since its last turn ended. */
  let turnFrames = 0
  let turnBytes = 0
  /** So many frames are a turn: twice as many with each one of the same read, for who waits for a flood's end anyway. */
  let turnLimit = batchFrames
  /** The reader asked for the fiber that pulls. */
  let isCalled = false

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
    isDirect = false
    resume(pull)
  }

  /** What a reader throws ends the fiber that pulls, as if it had read itself. */
  const crash = (defect: unknown) => {
    isDirect = false
    const resume = waiter
    waiter = undefined
    resume?.(Effect.die(defect))
  }

  const endTurn = (to: FrameReader) => {
    const frames = turnFrames
    const bytes = turnBytes
    turnFrames = turnBytes = 0
    turnLimit = Math.min(turnLimit * 2, longest)
    try {
      isCalled = to.turn(frames, bytes, activity.receivedAt)
      isDirect = isDirect && !isCalled
    } catch (defect) {
      crash(defect)
    }
  }

  const hand = (to: FrameReader, bytes: Uint8Array, start: number, end: number) => {
    turnFrames++
    turnBytes += end - start
    let isPressing: boolean
    try {
      isPressing = to.frame(bytes, start, end, readAt)
    } catch (defect) {
      return crash(defect)
    }
    if (isPressing || turnFrames >= turnLimit) endTurn(to)
  }

  const queue = (bytes: Uint8Array, start: number, end: number) => {
    const batch = current === undefined || current.frames.length >= batchFrames ? beginBatch() : current
    batch.frames.push(frameOf(bytes, start, end))
    batch.bytes += end - start
    unreadBytes += end - start + frameOverheadBytes
    if (unreadBytes >= highWaterBytes && !full) {
      full = true
      activity.held = true
      options.onFull()
    }
  }

  const flush = () => {
    flushing = false
    current = undefined
    if (reader !== undefined && turnFrames > 0) endTurn(reader)
    turnLimit = batchFrames
    if (first !== undefined || isCalled) wake()
  }

  const wait = Effect.callback<Batch, ExchangeError.ExchangeError>((resume) => {
    waiter = resume
    isDirect = reader !== undefined
    return forget
  })
  const forget = Effect.sync(() => {
    waiter = undefined
    isDirect = false
  })
  const twice = Effect.fail(
    ExchangeError.make(
      options.exchange,
      new ExchangeError.InvalidUse({ detail: "two fibers pull from one connection; each frame can reach only one" })
    )
  )

  /** In a later turn, in turn with the others that wait for one. */
  const later = Effect.callback<Batch, ExchangeError.ExchangeError>((resume) =>
    budget!.wait(options.exchange, () => {
      resume(pull)
      return false
    })
  )

  const next = Effect.suspend(() => {
    if (isCalled) {
      isCalled = false
      return Effect.succeed<Batch>({ frames: [], bytes: 0, receivedAt: activity.receivedAt })
    }
    if (first !== undefined) return budget?.checkSpent() === true ? later : Effect.succeed(take(first))
    if (ended !== undefined) return Effect.fail(ended)
    return waiter === undefined ? wait : twice
  })
  const direct = (to: FrameReader): void => {
    reader = to
  }
  const pull: Pull = Object.assign(next, { direct: options.isDirect ? direct : undefined })

  const end = (reason: ExchangeError.ExchangeError) => {
    if (ended === undefined) ended = reason
    Deferred.doneUnsafe(over, Effect.void)
    if (reader !== undefined && turnFrames > 0) endTurn(reader)
    wake()
  }

  return {
    activity,
    push: (bytes, start, end) => {
      // Both set: the first frame of this read was handed over, and nothing has come between.
      if (isDirect && flushing) return hand(reader!, bytes, start, end)
      if (ended !== undefined) return
      if (!flushing) {
        flushing = true
        activity.receivedAt = readAt = now()
        activity.heard = true
        afterRead(flush)
      }
      if (isDirect) return hand(reader!, bytes, start, end)
      queue(bytes, start, end)
    },
    goOn: () => {
      if (flushing || ended !== undefined) return
      flushing = true
      afterRead(flush)
    },
    end,
    discard: (reason) => {
      first = last = current = undefined
      end(reason)
    },
    reason: () => ended,
    over: Deferred.await(over),
    pull
  }
}
