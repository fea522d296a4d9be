/** Sockets of any `WebSocketConstructor` of `effect/socket`: the browser's, Bun's, Deno's, Node's global one. */
import { Deferred, Duration, Effect } from "effect"
import type * as Socket from "effect/socket/Socket"
import type { ExchangeError } from "../ExchangeError.ts"
import type * as Inbox from "./Inbox.ts"
import type { Attempt, Wire } from "./Wire.ts"
import { closeTimeoutMillis, makeInbox, sendBufferBytes } from "./Wire.ts"

interface Pausable {
  readonly pause: () => void
  readonly resume: () => void
}

const isPausable = (socket: object): socket is Pausable => "pause" in socket && typeof socket.pause === "function"

/** Every platform has it; the interface of `effect/socket` leaves it out. */
const bufferedAmount = (socket: object): number =>
  "bufferedAmount" in socket && typeof socket.bufferedAmount === "number" ? socket.bufferedAmount : 0

const OPEN = 1

/** The API has no event for a drained send buffer. */
const drainPoll = Duration.millis(5)

const encoder = new TextEncoder()

const bytesOf = (data: unknown): Uint8Array =>
  typeof data === "string" ? encoder.encode(data) : new Uint8Array(data as ArrayBuffer)

export const make = (attempt: Attempt, socket: Socket.WebSocketLike, overflowBytes: number): Wire => {
  const opened = Deferred.makeUnsafe<void, ExchangeError>()
  const closed = Deferred.makeUnsafe<void>()
  const { maxFrameBytes } = attempt.settings
  const giveUp = (reason: ExchangeError) => {
    inbox.end(reason)
    socket.close(1000)
  }
  const inbox: Inbox.Inbox = makeInbox(attempt, {
    afterRead: queueMicrotask,
    isDirect: true,
    ...(isPausable(socket)
      ? {
        highWaterBytes: attempt.settings.highWaterBytes,
        onFull: () => socket.pause(),
        onDrained: () => socket.resume()
      }
      : overflow(attempt, overflowBytes, giveUp))
  })
  if ("binaryType" in socket) (socket as { binaryType: string }).binaryType = "arraybuffer"
  socket.addEventListener("open", () => {
    Deferred.doneUnsafe(opened, Effect.void)
  })
  socket.addEventListener("message", (event) => {
    const frame = bytesOf(event.data)
    if (frame.length > maxFrameBytes) giveUp(attempt.frameTooLarge())
    else inbox.push(frame, 0, frame.length)
  })
  socket.addEventListener("error", (event) => {
    const detail = "message" in event && typeof event.message === "string" ? event.message : "the handshake failed"
    Deferred.doneUnsafe(opened, Effect.fail(attempt.connectFailed(detail, true)))
  })
  socket.addEventListener("close", (event) => {
    Deferred.doneUnsafe(opened, Effect.fail(attempt.connectFailed("closed during the handshake", true)))
    inbox.end(attempt.disconnected(event.code ?? 1006, event.reason ?? ""))
    Deferred.doneUnsafe(closed, Effect.void)
  })
  const drained: Effect.Effect<void, ExchangeError> = Effect.suspend(() => {
    if (bufferedAmount(socket) < sendBufferBytes) return Effect.void
    return socket.readyState === OPEN
      ? Effect.delay(drained, drainPoll)
      : Effect.fail(attempt.disconnected(1006, "the socket ended before the frame left"))
  })
  return {
    inbox,
    opened,
    isOpen: () => socket.readyState === OPEN,
    send: (frame) => {
      socket.send(frame as string | Uint8Array<ArrayBuffer>)
      return drained
    },
    // Nothing in this API destroys a socket; whoever does not answer is left to the platform.
    close: Effect.suspend(() => {
      socket.close(1000)
      return Effect.asVoid(Effect.timeoutOption(Deferred.await(closed), closeTimeoutMillis))
    }),
    terminate: () => socket.close(1000)
  }
}

/** For sockets that cannot be paused: what is never pulled must not fill the memory. */
export const overflow = (
  attempt: Attempt,
  overflowBytes: number,
  giveUp: (reason: ExchangeError) => void
): Pick<Inbox.InboxOptions, "highWaterBytes" | "onFull" | "onDrained"> => ({
  highWaterBytes: overflowBytes,
  onFull: () =>
    giveUp(attempt.disconnected(1008, `${overflowBytes} bytes are unread and this socket cannot be paused`)),
  onDrained: () => {}
})
