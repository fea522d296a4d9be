/** PLAIN: raw `ws` with its own defaults and what a user would write. */
import { decoderOf } from "../PlainDecoders.ts"
import * as Raw from "./Raw.ts"
import { compete, consume, finish, setup } from "./Run.ts"

const decode = await decoderOf(setup.exchange)

await Raw.open((socket) =>
  socket.on("message", (data: Buffer) => {
    const event = decode(data, Raw.receivedAt)
    if (event !== null) consume(event)
  }), {})
finish(await compete({ hasEvents: true }))
