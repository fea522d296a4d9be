/** One open socket, as an acquisition: acquiring dials, closing the scope hangs up, and every end is an error. */
import type { Effect, Scope } from "effect"
import type { ExchangeError } from "../ExchangeError.ts"

/** What goes out. Text is sent as a text frame, bytes as a binary one. */
export type OutFrame = string | Uint8Array

/** The frames of one read of the socket, with one time stamp for all. Text frames come as their UTF-8 bytes. */
export interface Batch {
  readonly frames: ReadonlyArray<Uint8Array>
  /** Length of all frames together: who has pushed them knows it, and nobody has to touch every frame for it again. */
  readonly bytes: number
  /** When the bytes were read, ms since the epoch with fractions. */
  readonly receivedAt: number
}

/** Where to connect. Run anew for every connection, so that a key in it lives exactly as long as its socket. */
export interface Endpoint {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What has been seen on the connection; the socket and the session write it, heartbeat and staleness read it. ms. */
export interface Activity {
  /** Last frame of any kind. */
  receivedAt: number
  /** Whether there was one: the stamps begin with the opening. */
  heard: boolean
  /** Last frame that carried data. */
  dataAt: number
  /** Whether data is due at all: something is subscribed. */
  expectsData: boolean
  /** True while a subscriber that asked for it holds up reading: silence is then ours, and no sign of a dead peer. */
  held: boolean
}

/**
 * Takes frames in the socket's own turn, each as it is cut out of what was read. Plain functions, not methods; what they
 * throw is a defect.
 */
export interface FrameReader {
  /** The frame is `bytes[start, end)`, for this call only: the next read writes over it. True ends the turn with it. */
  readonly frame: (bytes: Uint8Array, start: number, end: number, receivedAt: number) => boolean
  /**
   * So many frames were handed over since the last time, `bytes` long together. True when the fiber that pulls is needed:
   * it is woken with a batch without frames, and what comes until it waits again queues for it.
   */
  readonly turn: (frames: number, bytes: number, receivedAt: number) => boolean
}

export interface Pull extends Effect.Effect<Batch, ExchangeError> {
  /**
   * From now on `reader` gets what comes while a fiber waits in this pull, without queue and fiber between. It hangs on
   * the pull, so that who wraps that sees every frame, and is absent where frames only come in batches: an effect that is
   * made of the pull (`Effect.mapBoth`, `Effect.tap`) has none, which costs every read a fiber's wake-up. A wrapper that
   * need not see the frames themselves puts one on again (`Object.assign`), as the metrics do.
   */
  readonly direct?: ((reader: FrameReader) => void) | undefined
}

export interface Connection {
  /** The next read's frames. Fails with the reason when the connection is over, also while it waits. */
  readonly pull: Pull
  /** Fails once this connection is over, so nothing meant for it can leave on the next one. */
  readonly write: (frame: OutFrame) => Effect.Effect<void, ExchangeError>
  /** Ends the connection: `pull` fails with `reason`. */
  readonly abort: (reason: ExchangeError) => Effect.Effect<void>
  readonly activity: Activity
  /** Bytes that the socket has read, also of a frame that is not whole yet; absent where the socket does not tell. */
  readonly bytesRead?: (() => number) | undefined
  /** Ends once the connection is over, though what was read before may be left to pull. For who does not pull just now. */
  readonly over?: Effect.Effect<void> | undefined
  /** Called by who pulls, in the turn in which it begins with a batch: a recorder then knows what came between two. */
  readonly taken?: ((batch: Batch) => void) | undefined
}

export type Dial<R = never> = Effect.Effect<Connection, ExchangeError, R | Scope.Scope>
