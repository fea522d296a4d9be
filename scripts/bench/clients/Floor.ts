/** FLOOR: raw `ws` with its fastest options, this library's frame cutter and decoder, one call for each event. */
import { makeCodec, sinkOf } from "./Adapter.ts"
import * as Raw from "./Raw.ts"
import { compete, consume, finish } from "./Run.ts"

const sink = sinkOf((_, event) => consume(event))

await Raw.decode(makeCodec, sink)
finish(await compete({ hasEvents: true }))
