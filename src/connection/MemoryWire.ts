/** Sockets of the in-memory network. */
import { Deferred, Effect, type Scheduler } from "effect"
import type { ExchangeError } from "../ExchangeError.ts"
import type * as Inbox from "./Inbox.ts"
import { isRefusal, type MemoryFrame, type MemoryNetwork, type MemorySocket } from "./MemoryNetwork.ts"
import { overflow } from "./PlatformWire.ts"
import type { Attempt, Wire } from "./Wire.ts"
import { makeInbox } from "./Wire.ts"

const encoder = new TextEncoder()

const bytesOf = (frame: MemoryFrame): Uint8Array => typeof frame === "string" ? encoder.encode(frame) : frame

/**
 * Frames are handed over through Effect's scheduler rather than in a microtask: a virtual clock waits for the tasks of
 * its scheduler before it moves on, and would outrun a microtask.
 */
export const make = (
  attempt: Attempt,
  network: MemoryNetwork["Service"],
  scheduler: Scheduler.Scheduler,
  overflowBytes: number
): Wire => {
  const dispatcher = scheduler.makeDispatcher()
  let socket: MemorySocket | undefined
  const close = () => socket?.close(1000, "")
  const giveUp = (reason: ExchangeError) => {
    inbox.end(reason)
    close()
  }
  const inbox: Inbox.Inbox = makeInbox(attempt, {
    afterRead: (flush) => dispatcher.scheduleTask(flush, 0),
    isDirect: false,
    ...overflow(attempt, overflowBytes, giveUp)
  })
  const connected = network.connect(attempt.endpoint.url, {
    onFrame: (frame) => {
      const bytes = bytesOf(frame)
      if (bytes.length > attempt.settings.maxFrameBytes) giveUp(attempt.frameTooLarge())
      else inbox.push(bytes, 0, bytes.length)
    },
    onClose: (code, reason) => inbox.end(attempt.disconnected(code, reason))
  }, attempt.endpoint.headers)
  const opened = Deferred.makeUnsafe<void, ExchangeError>()
  if (isRefusal(connected)) {
    Deferred.doneUnsafe(opened, Effect.fail(attempt.connectFailed(connected.refused, true)))
  } else {
    Deferred.doneUnsafe(opened, Effect.void)
    socket = connected
    // The very first frames may have come before there was a socket to close.
    if (inbox.reason() !== undefined) close()
  }
  return {
    inbox,
    opened,
    isOpen: () => true,
    send: (frame) => Effect.sync(() => socket?.send(frame)),
    close: Effect.sync(close),
    terminate: close
  }
}
