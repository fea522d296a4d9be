/** From a raw socket of any kind to a `Connection`: what every transport shares. */
import { Clock, Deferred, Duration, Effect } from "effect"
import { wallMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Connection, Endpoint, OutFrame } from "./Connection.ts"
import * as Inbox from "./Inbox.ts"
import type { Settings, SocketOptions } from "./SocketOptions.ts"
import { problemOf, settingsOf } from "./SocketOptions.ts"

/** One attempt to connect: checked options, and errors that name the exchange and keep the endpoint's secrets. */
export interface Attempt {
  readonly exchange: ExchangeId
  readonly endpoint: Endpoint
  readonly settings: Settings
  readonly clock: Clock.Clock
  readonly connectFailed: (detail: string, retryable: boolean) => ExchangeError.ExchangeError
  readonly disconnected: (code: number, detail: string) => ExchangeError.ExchangeError
  readonly frameTooLarge: () => ExchangeError.ExchangeError
}

/** A raw socket, open or about to be. Its callbacks push into the inbox and complete the two deferreds. */
export interface Wire {
  readonly inbox: Inbox.Inbox
  readonly opened: Deferred.Deferred<void, ExchangeError.ExchangeError>
  /** Whether the socket takes frames now. */
  readonly isOpen: () => boolean
  /** Bytes read so far, also of what is not whole yet; absent where the socket does not tell. */
  readonly bytesRead?: (() => number) | undefined
  /** Succeeds once the frame has been handed over and the send buffer is below `sendBufferBytes`. */
  readonly send: (frame: OutFrame) => Effect.Effect<void, ExchangeError.ExchangeError>
  /** Says goodbye, waits a bounded time for the peer's answer, and leaves. */
  readonly close: Effect.Effect<void>
  /** Leaves at once. */
  readonly terminate: () => void
}

/** Bytes that may wait in the send buffer before `write` waits as well. */
export const sendBufferBytes = 64 * 1024

/** How long a peer may take to answer our close frame, ms. */
export const closeTimeoutMillis = 1000

export const prepare = Effect.fnUntraced(function*(
  exchange: ExchangeId,
  endpoint: Endpoint,
  options: SocketOptions | undefined,
  canSendHeaders: boolean
) {
  const settings = settingsOf(options)
  const fail = (reason: ExchangeError.Reason) => ExchangeError.make(exchange, reason)
  const url = withoutSecrets(endpoint.url)
  const scrub = scrubber(endpoint)
  const self: Attempt = {
    exchange,
    endpoint,
    settings,
    clock: yield* Clock.Clock,
    connectFailed: (detail, retryable) =>
      fail(new ExchangeError.ConnectFailed({ url, detail: scrub(detail), retryable })),
    disconnected: (code, detail) => fail(new ExchangeError.Disconnected({ code, detail: scrub(detail) })),
    frameTooLarge: () => fail(new ExchangeError.FrameTooLarge({ limitBytes: settings.maxFrameBytes }))
  }
  const problem = problemOf(settings)
  if (problem !== null) return yield* Effect.fail(fail(new ExchangeError.InvalidUse({ detail: problem })))
  if (!isWebSocketUrl(endpoint.url)) {
    return yield* Effect.fail(self.connectFailed("the URL is malformed, or neither ws: nor wss:", false))
  }
  if (!canSendHeaders && Object.keys(endpoint.headers ?? {}).length > 0) {
    return yield* Effect.fail(
      self.connectFailed("this socket cannot send handshake headers; provide FrameSocket.layerWs", false)
    )
  }
  return self
})

const isWebSocketUrl = (text: string): boolean => URL.canParse(text) && /^wss?:$/.test(new URL(text).protocol)

/** Host and path: the query may hold a key, the user information a password. */
const withoutSecrets = (text: string): string => {
  if (!URL.canParse(text)) return text.replace(/[?#].*$/s, "").replace(/\/\/[^/]*@/, "//")
  const { host, pathname, protocol } = new URL(text)
  return `${protocol}//${host}${pathname}`
}

/** Shorter values are flags and counts; blotting them out would only make messages unreadable. */
const shortestSecret = 6

/** Removes from a text what of the endpoint a server's answer could echo. */
const scrubber = (endpoint: Endpoint): (text: string) => string => {
  const url = URL.canParse(endpoint.url) ? new URL(endpoint.url) : undefined
  const secrets = [
    ...Object.values(endpoint.headers ?? {}),
    ...(url === undefined ? [] : [url.search.slice(1), ...url.searchParams.values(), url.password])
  ]
    .flatMap((value) => [value, encodeURIComponent(value)])
    .filter((value) => value.length >= shortestSecret)
    // Longest first, so that no part of a longer one remains.
    .sort((a, b) => b.length - a.length)
  return (text) => secrets.reduce((scrubbed, secret) => scrubbed.replaceAll(secret, "***"), text)
}

export const makeInbox = (
  attempt: Attempt,
  options: Pick<Inbox.InboxOptions, "afterRead" | "isDirect" | "budget" | "highWaterBytes" | "onFull" | "onDrained">
): Inbox.Inbox =>
  Inbox.make({
    ...options,
    exchange: attempt.exchange,
    now: () => wallMillis(attempt.clock),
    batchFrames: attempt.settings.batchFrames
  })

/**
 * Opens. `makeWire` attaches every listener before it returns: a socket may fail in the very next tick. What it throws
 * is a mistake in the endpoint, so trying again cannot help.
 */
export const connect = Effect.fnUntraced(function*(attempt: Attempt, makeWire: () => Wire) {
  const wire = yield* Effect.acquireRelease(
    Effect.try({ try: makeWire, catch: (cause) => attempt.connectFailed(messageOf(cause), false) }),
    ({ close, inbox }) =>
      Effect.suspend(() => {
        inbox.discard(attempt.disconnected(1000, "closed by this side"))
        return close
      })
  )
  const timeout = Duration.fromInputUnsafe(attempt.settings.openTimeout)
  yield* Effect.timeoutOrElse(Deferred.await(wire.opened), {
    duration: timeout,
    orElse: () => Effect.fail(attempt.connectFailed(`not open within ${Duration.toMillis(timeout)} ms`, true))
  })
  return connection(attempt, wire)
})

const connection = (attempt: Attempt, wire: Wire): Connection => {
  const { inbox } = wire
  const over = Effect.suspend(() => {
    const reason = inbox.reason()
    return Effect.fail(
      reason?.reason._tag === "Disconnected"
        ? reason
        : attempt.disconnected(1006, `nothing can be sent: ${reason?.reason._tag ?? "the socket is closing"}`)
    )
  })
  return {
    activity: inbox.activity,
    pull: inbox.pull,
    bytesRead: wire.bytesRead,
    over: inbox.over,
    write: (frame) => Effect.suspend(() => inbox.reason() === undefined && wire.isOpen() ? wire.send(frame) : over),
    abort: (reason) =>
      Effect.sync(() => {
        inbox.discard(reason)
        wire.terminate()
      })
  }
}

/** Node leaves the message of an error about several addresses empty and only sets its code. */
export const messageOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  if (cause.message !== "") return cause.message
  return "code" in cause ? String(cause.code) : cause.name
}
