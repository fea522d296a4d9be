/** LIMIT: raw `ws`, bytes counted; texts are validated, as `ws` does unless told otherwise. */
import * as Raw from "./Raw.ts"
import { compete, consume, finish } from "./Run.ts"

let bytes = 0

await Raw.open((socket) =>
  socket.on("message", (data: Buffer) => {
    bytes += data.length
    consume(data)
  }), { perMessageDeflate: false })
finish(await compete({ hasEvents: false }))
