/**
 * One program, two Layers: an exchange, and a scripted one that breaks when it is told to. The program cannot tell them
 * apart, which is why its tests need no exchange.
 */
import { Channel, Exchanges, PublicWebsocket, PublicWebsocketTest } from "effect-exchange"
import { Console, Effect, Fiber, Stream } from "effect"

/** What a program does when it meets a break is what its tests are for. */
const twoEvents = PublicWebsocket.stream(Channel.trades("BTC/USDT")).pipe(
  Stream.map((item) => item._tag === "Gap" ? `gap: ${item.cause}` : "a trade"),
  Stream.take(2),
  Stream.runCollect
)

const scripted = Effect.gen(function*() {
  const control = yield* PublicWebsocketTest.TestControl
  const running = yield* Effect.forkChild(twoEvents)
  yield* control.awaitSubscribed(Channel.trades("BTC/USDT"))
  yield* control.emit(PublicWebsocketTest.trade("BTC/USDT", { price: 67_000 }))
  yield* control.reconnect
  return yield* Fiber.join(running)
})

const program = Effect.gen(function*() {
  const fromTest = yield* Effect.provide(scripted, PublicWebsocketTest.layer())
  yield* Console.log(`the test Layer: ${fromTest.join(", ")}`)
  const fromExchange = yield* Effect.provide(twoEvents, Exchanges.layerPublicConfig("gate-spot"))
  yield* Console.log(`the exchange: ${fromExchange.join(", ")}`)
})

Effect.runPromise(program)
