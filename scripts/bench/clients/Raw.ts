/** Raw `ws` sockets, as many as the exchange's limit asks for and as the product opens. */
import { once } from "node:events"
import { WebSocket } from "ws"
import type { ClientOptions } from "ws"
import { cutFrames } from "../../../src/connection/FrameCutter.ts"
import type { Codec, Sink } from "../../../src/ExchangeAdapter.ts"
import { job, setup, url } from "./Run.ts"

/** Opens each socket by `connect`, subscribes on it, and waits until the server has answered. */
export const open = async (connect: (options: ClientOptions) => WebSocket): Promise<void> => {
  for (const requests of setup.sockets) {
    const socket = connect({
      headers: { ...setup.headers },
      ...(job.deflate ? { perMessageDeflate: true } : {})
    })
    await once(socket, "open")
    for (const request of requests) socket.send(request)
    socket.ping()
    // The server answers in order: all is subscribed.
    await once(socket, "pong")
  }
}

/** Who takes messages from `ws` as anybody would. */
const isPlain = job.contestant === "wsFloor" || job.contestant === "wsBookFloor"

/** Opens the sockets and decodes every message by the fastest way there is. */
export const decode = (makeCodec: () => Codec, sink: Sink): Promise<void> =>
  open((wanted) => {
    const codec = makeCodec()
    const { attach, createConnection } = cutFrames(url, {
      maxFrameBytes: 2 ** 31 - 1,
      onFrame: (bytes, start, end) => codec.decodeIn!(bytes, start, end, receivedAt, sink),
      onGoOn: () => {},
      owner: "",
      budget: { begin: () => {}, checkExceeded: () => false, checkSpent: () => false, wait: () => {} }
    })
    const options: ClientOptions = { perMessageDeflate: false, ...wanted, skipUTF8Validation: true }
    const socket = new WebSocket(url, isPlain ? options : { ...options, createConnection })
    if (!isPlain) attach(socket)
    // All of one kind, as decoders like it.
    return socket.on("message", (data: Buffer) => codec.decode(data, receivedAt, sink))
  })

/** With fractions, as the product has it; read once, which flatters the raw contestants. */
export const receivedAt = performance.timeOrigin + performance.now() + 0.5
