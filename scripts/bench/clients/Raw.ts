/** Raw `ws` sockets, as many as the exchange's limit asks for and as the product opens. */
import { once } from "node:events"
import { WebSocket } from "ws"
import type { ClientOptions } from "ws"
import { cutFrames } from "../../../src/connection/FrameCutter.ts"
import type { Codec, Sink } from "../../../src/ExchangeAdapter.ts"
import { job, setup, url } from "./Run.ts"

/** What is fastest. */
export const best: ClientOptions = { skipUTF8Validation: true, perMessageDeflate: false }

export const open = async (attach: (socket: WebSocket) => void, options: ClientOptions): Promise<void> => {
  for (const requests of setup.sockets) {
    const socket = new WebSocket(url, {
      ...options,
      headers: { ...setup.headers },
      ...(job.deflate ? { perMessageDeflate: true } : {})
    })
    attach(socket)
    await once(socket, "open")
    for (const request of requests) socket.send(request)
    socket.ping()
    // The server answers in order: all is subscribed.
    await once(socket, "pong")
  }
}

/** Who takes messages from `ws` as anybody would. */
const isPlain = job.contestant === "wsFloor" || job.contestant === "wsBookFloor"

/** Every message of a socket, by the fastest way there is. */
export const decodeFrames = (socket: WebSocket, codec: Codec, sink: Sink): void => {
  if (!isPlain) {
    const onFrame = (bytes: Uint8Array, start: number, end: number): void =>
      codec.decodeIn!(bytes, start, end, receivedAt, sink)
    cutFrames(socket, { maxFrameBytes: 2 ** 31 - 1, onFrame })
  }
  // All of one kind, as decoders like it.
  socket.on("message", (data: Buffer) => codec.decode(data, receivedAt, sink))
}

/** With fractions, as the product has it; read once, which flatters the raw contestants. */
export const receivedAt = performance.timeOrigin + performance.now() + 0.5
