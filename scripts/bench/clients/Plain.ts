/** PLAIN: raw `ws` with its own defaults and what a user would write. */
import { WebSocket } from "ws"
import { decoderOf } from "../PlainDecoders.ts"
import * as Raw from "./Raw.ts"
import { compete, consume, finish, setup, url } from "./Run.ts"

const decode = await decoderOf(setup.exchange)

await Raw.open((options) =>
  new WebSocket(url, options).on("message", (data: Buffer) => {
    const event = decode(data, Raw.receivedAt)
    if (event !== null) consume(event)
  })
)
finish(await compete({ hasEvents: true }))
