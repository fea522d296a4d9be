/** A session is written down, and run again through the same decoders, books and consumers: the log is the same. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { ExchangeFactory, Exchanges, PublicWebsocket } from "effect-exchange"
import * as JournalFile from "effect-exchange/JournalFile"
import { Console, Effect, Fiber, Stream } from "effect"
import { tmpdir } from "node:os"
import { join } from "node:path"

const file = join(tmpdir(), `example-${process.pid}.journal`)

/** The first events of a session, as text. Listening begins before the session does, so that nothing is missed. */
const firstEvents = PublicWebsocket.PublicWebsocket.use((websocket) =>
  Effect.gen(function*() {
    const listening = yield* Effect.forkChild(Stream.runCollect(Stream.take(websocket.events, 50)), {
      startImmediately: true
    })
    yield* websocket.initialize(["BTC/USDT"], ["Book", "Trades"])
    const items = yield* Fiber.join(listening)
    return items.map((item) => JSON.stringify(item, (_, value) => typeof value === "bigint" ? String(value) : value))
  })
)

const program = Effect.gen(function*() {
  const live = yield* Effect.scoped(Effect.gen(function*() {
    const journal = yield* JournalFile.record(file)
    return yield* Effect.provide(firstEvents, Exchanges.layerPublicConfig("gate-spot", { journal }))
  }))
  const recording = yield* JournalFile.read(file)
  const again = yield* Effect.provide(firstEvents, ExchangeFactory.layerReplay(Exchanges.get("gate-spot"), recording))
  yield* Console.log(`${live.length} events, ${live.filter((line, i) => line === again[i]).length} of them the same again`)
})

Effect.runPromise(Effect.provide(program, NodeFileSystem.layer))
