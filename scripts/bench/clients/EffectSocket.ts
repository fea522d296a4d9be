/**
 * The stock Effect socket, on `ws` or on Node's own WebSocket. It hands texts over as strings, for which `JSON.parse` is
 * the decoder at hand; bytes go to this library's decoder.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Effect } from "effect"
import * as Socket from "effect/socket/Socket"
import type { GateFrame } from "../PlainDecoders.ts"
import { gateEvent } from "../PlainDecoders.ts"
import { makeCodec, sinkOf } from "./Adapter.ts"
import * as Raw from "./Raw.ts"
import { compete, consume, finish, job, setup, url } from "./Run.ts"

const sink = sinkOf((_, event) => consume(event))

/** MEXC's texts are answers. */
const onText = (text: string): void => {
  const event = setup.exchange === "mexc-spot" ? null : gateEvent(JSON.parse(text) as GateFrame, Raw.receivedAt)
  if (event !== null) consume(event)
}

const connect = Effect.fnUntraced(function*(requests: ReadonlyArray<string>) {
  const socket = yield* Socket.makeWebSocket(url, { headers: setup.headers })
  const reader = yield* socket.reader
  const writer = yield* socket.writer
  const codec = makeCodec()
  const onBatch = (batch: ReadonlyArray<Uint8Array | string>) =>
    Effect.sync(() => {
      for (let i = 0; i < batch.length; i++) {
        const frame = batch[i]!
        if (typeof frame === "string") onText(frame)
        else codec.decode(frame, Raw.receivedAt, sink)
      }
    })
  yield* Effect.forkScoped(Effect.forever(Effect.flatMap(reader.pull, onBatch), { disableYield: true }))
  for (const request of requests) yield* writer.write(request)
})

const constructor = job.contestant === "effectSocketNode"
  ? NodeSocket.layerWebSocketConstructor
  : NodeWS.layerWebSocketConstructor

const program = Effect.gen(function*() {
  for (const requests of setup.sockets) yield* connect(requests)
  // The acknowledgements.
  yield* Effect.sleep(300)
  return yield* Effect.promise(() => compete({ hasEvents: true }))
}).pipe(Effect.scoped, Effect.provide(constructor))

finish(await Effect.runPromise(program))
