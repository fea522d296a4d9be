/** LIMIT: raw `ws`, bytes counted; texts are validated, as `ws` does unless told otherwise. */
import { WebSocket } from "ws"
import * as Raw from "./Raw.ts"
import { compete, consume, finish, url } from "./Run.ts"

let bytes = 0

await Raw.open((options) =>
  new WebSocket(url, { perMessageDeflate: false, ...options }).on("message", (data: Buffer) => {
    bytes += data.length
    consume(data)
  })
)
finish(await compete({ hasEvents: false }))
