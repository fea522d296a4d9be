/** Sockets of the `ws` package. */
import { Deferred, Effect } from "effect"
import type { IncomingMessage } from "node:http"
import * as Ws from "ws"
import type { ExchangeError } from "../ExchangeError.ts"
import { cutFrames, maxFragments } from "./FrameCutter.ts"
import * as TurnBudget from "./TurnBudget.ts"
import type { Attempt, Wire } from "./Wire.ts"
import { closeTimeoutMillis, makeInbox, messageOf, sendBufferBytes } from "./Wire.ts"

/** The types of `ws` do not know `closeTimeout` yet. */
interface Options extends Ws.ClientOptions {
  readonly closeTimeout: number
}

const optionsOf = ({ endpoint, settings }: Attempt): Options => ({
  ...(endpoint.headers === undefined ? {} : { headers: { ...endpoint.headers } }),
  maxPayload: settings.maxFrameBytes,
  maxFragments,
  perMessageDeflate: settings.compression,
  // Decoders check the bytes that they read; validating whole texts first would read every byte twice.
  skipUTF8Validation: true,
  closeTimeout: closeTimeoutMillis
})

/** Requests are small: compressing them would only delay them. */
const uncompressed = { compress: false }

export const make = (attempt: Attempt): Wire => {
  const opened = Deferred.makeUnsafe<void, ExchangeError>()
  const closed = Deferred.makeUnsafe<void>()
  const { endpoint, settings } = attempt
  const budget = TurnBudget.of(attempt.clock)
  const inbox = makeInbox(attempt, {
    afterRead: queueMicrotask,
    isDirect: true,
    budget,
    highWaterBytes: settings.highWaterBytes,
    onFull: () => socket.pause(),
    onDrained: () => socket.resume()
  })
  const { attach, bytesRead, createConnection } = cutFrames(endpoint.url, {
    maxFrameBytes: settings.maxFrameBytes,
    onFrame: inbox.push,
    onGoOn: inbox.goOn,
    owner: attempt.exchange,
    budget
  })
  const socket = new Ws.WebSocket(endpoint.url, { ...optionsOf(attempt), createConnection })
  socket.on("open", () => {
    Deferred.doneUnsafe(opened, Effect.void)
  })
  attach(socket)
  // The binary type stays at its default, so every message is one Buffer and none is copied.
  socket.on("message", (data) => {
    const frame = bytesOf(data as Buffer)
    inbox.push(frame, 0, frame.length)
  })
  socket.on("unexpected-response", (_request, response) =>
    readRefusal(response, (refusal) => {
      Deferred.doneUnsafe(opened, Effect.fail(attempt.connectFailed(refusal.detail, refusal.retryable)))
      socket.terminate()
    }))
  socket.on("error", (cause) => {
    Deferred.doneUnsafe(opened, Effect.fail(attempt.connectFailed(messageOf(cause), true)))
    inbox.end(failureOf(attempt, cause))
  })
  socket.on("close", (code, reason) => {
    inbox.end(attempt.disconnected(code, reason.toString()))
    Deferred.doneUnsafe(closed, Effect.void)
  })
  const isOpen = () => socket.readyState === Ws.WebSocket.OPEN
  const lost = Effect.suspend(() => Effect.fail(attempt.disconnected(1006, "the socket ended before the frame left")))
  return {
    inbox,
    opened,
    isOpen,
    bytesRead,
    send: (frame) => {
      if (socket.bufferedAmount < sendBufferBytes) {
        socket.send(frame, uncompressed)
        return Effect.void
      }
      return Effect.callback((resume) => {
        // A destroyed socket completes the write under way without an error.
        socket.send(frame, uncompressed, (cause) => resume(cause || !isOpen() ? lost : Effect.void))
      })
    },
    close: Effect.suspend(() => {
      if (isOpen()) {
        // The peer's close frame must be readable. `ws` destroys the socket after `closeTimeout` without one.
        socket.resume()
        socket.close(1000)
      } else {
        socket.terminate()
      }
      return Deferred.await(closed)
    }),
    terminate: () => {
      socket.close(1000)
      socket.terminate()
    }
  }
}

/** As a plain array of bytes: decoders that see arrays of one kind only are faster. */
const bytesOf = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length)

/** How `ws` calls what is larger than it may be, and what is larger than a number can say exactly. */
const tooLarge: ReadonlySet<unknown> = new Set([
  "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH"
])

const failureOf = (attempt: Attempt, cause: Error): ExchangeError =>
  "code" in cause && tooLarge.has(cause.code)
    ? attempt.frameTooLarge()
    : attempt.disconnected(1002, messageOf(cause))

interface Refusal {
  readonly detail: string
  readonly retryable: boolean
}

/** As much of a refusal's body as goes into an error, in characters. */
const refusalLength = 512

/** Reads why the server did not upgrade and calls `done` once. */
const readRefusal = (response: IncomingMessage, done: (refusal: Refusal) => void): void => {
  let body = ""
  let answered = false
  const answer = () => {
    if (answered) return
    answered = true
    done(refusalOf(response, body.slice(0, refusalLength).trim()))
  }
  response.setEncoding("utf8")
  response.on("data", (text: string) => {
    body += text
    if (body.length >= refusalLength) answer()
  })
  response.on("error", answer)
  response.on("close", answer)
}

/** A 401 or 403 in JSON is the exchange's own word; one in HTML comes from whatever stands before it, and passes. */
const refusalOf = (response: IncomingMessage, body: string): Refusal => {
  const status = response.statusCode
  const title = ["HTTP", status, response.statusMessage].join(" ").trim()
  const isJson = /json/i.test(response.headers["content-type"] ?? "") || /^[{[]/.test(body)
  return {
    detail: isJson ? `${title}: ${body}` : title,
    retryable: !(isJson && (status === 401 || status === 403))
  }
}
