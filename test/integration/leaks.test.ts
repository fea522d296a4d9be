/** Opened and closed thousands of times, nothing stays: no topic, socket, timer, fiber, listener, and no heap to speak of. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Channel from "../../src/domain/Channel.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import { memory } from "../suites/Exchange.ts"
import * as World from "./World.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heap = (): number => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

/** Runs `round` so many times and then as many again; bytes that a round of the second half left behind. */
const growth = <E, R>(rounds: number, round: Effect.Effect<void, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    for (let i = 0; i < rounds; i++) yield* round
    const before = heap()
    for (let i = 0; i < rounds; i++) yield* round
    return (heap() - before) / rounds
  })

/** What may stay of a round, bytes: the market goes on meanwhile, and the simulator keeps its history and its dials. */
const most = 3_000
/** The same of a Layer, whose codec alone is larger by far. */
const mostOfLayer = 10_000

/** No trades: the simulator keeps thousands of them, which is growth of its own. */
const slow = { rate: 20, tradeRate: 0, history: 1_024, tickMillis: 50 }

const inVirtualTime = <A, E>(body: Parameters<typeof World.inMemory<A, E>>[0]) =>
  memory.run(World.inMemory(body, slow)).pipe(Effect.provide(TestClock.layer()))

const options = { idleTimeout: "20 millis" } as const

for (const subject of World.subjects) {
  const { id } = subject.adapter

  describe(`${id} leaves nothing behind`, () => {
    it.live("of 2000 feeds", () =>
      inVirtualTime(Effect.gen(function*() {
        const simulator = yield* Simulator
        const { pair, websocket } = yield* World.client(subject, options)
        const channels = [Channel.bookTicker(pair("BTC")), Channel.trades(pair("ETH")), Channel.book(pair("SOL"))]
        let turn = 0
        const round = Effect.suspend(() => {
          const channel = channels[turn++ % channels.length]!
          const count = channel._tag === "Trades" ? 0 : 1
          return Effect.scoped(
            Effect.flatMap(websocket.feed(channel), (stream) => Stream.runDrain(Stream.take(stream, count)))
          )
        })
        const left = yield* growth(1_000, round)
        yield* simulator.until(() => simulator.counts().exchanges[id]!.connections.open === 0)
        yield* Effect.sleep(300)
        assert.strictEqual(simulator.topics(id).size, 0)
        assert.strictEqual(simulator.counts().exchanges[id]!.connections.open, 0)
        const { connections, progress } = yield* websocket.performance
        assert.deepStrictEqual([connections, progress.wanted], [0, 0])
        assert.isBelow(left, most)
      })))

    it.live("of 600 changes of a session's pairs", () =>
      inVirtualTime(Effect.gen(function*() {
        const simulator = yield* Simulator
        const { pair, websocket } = yield* World.client(subject, options)
        yield* websocket.initialize([pair("BTC")], ["BookTicker", "Trades", "Book"])
        const one = simulator.topics(id).size
        const round = Effect.andThen(
          websocket.subscribe([pair("ETH"), pair("SOL")]),
          websocket.unsubscribe([pair("ETH"), pair("SOL")])
        )
        const left = yield* growth(300, Effect.asVoid(round))
        yield* simulator.until(() => simulator.topics(id).size === one)
        yield* websocket.close
        yield* simulator.until(() => simulator.topics(id).size === 0)
        assert.isBelow(left, most)
      })))

    it.live("of 240 Layers, with handlers, streams and a feed each", () =>
      inVirtualTime(Effect.gen(function*() {
        const simulator = yield* Simulator
        const round = Effect.gen(function*() {
          const { pair, websocket } = yield* World.client(subject, options)
          yield* websocket.handle({ onBookTicker: () => {}, onStatus: () => {} })
          yield* Effect.forkScoped(Stream.runDrain(websocket.events))
          yield* websocket.initialize([pair("BTC")], ["BookTicker", "Trades", "Book"])
          yield* Stream.runDrain(Stream.take(yield* websocket.feed(Channel.bookTicker(pair("ETH"))), 1))
        }).pipe(Effect.scoped)
        const left = yield* growth(120, round)
        assert.strictEqual(simulator.topics(id).size, 0)
        assert.strictEqual(simulator.counts().exchanges[id]!.connections.open, 0)
        assert.isBelow(left, mostOfLayer)
      })))
  })
}

describe("real sockets", () => {
  it.live("are closed with their Layers, timers and all", () =>
    Effect.gen(function*() {
      const handles = () => process.getActiveResourcesInfo().toSorted().join()
      const round = World.overPorts(Effect.gen(function*() {
        const clients = yield* World.clients()
        yield* Effect.forEach(clients, ({ pair, websocket }) =>
          Effect.gen(function*() {
            yield* websocket.handle({ onBook: () => {} })
            yield* websocket.initialize([pair("BTC")], ["BookTicker", "Book"])
            yield* Stream.runDrain(Stream.take(yield* websocket.feed(Channel.bookTicker(pair("BTC"))), 2))
          }), { concurrency: "unbounded" })
      }))
      yield* round
      const sockets = () => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|Immediate/.test(name)).length
      yield* Effect.sleep(50)
      const before = sockets()
      for (let i = 0; i < 5; i++) yield* round
      // Sockets of a pool of requests close when they are told that the server is gone.
      yield* World.until(() => sockets() <= before)
      assert.isAtMost(sockets(), before, handles())
    }))

  it.live("a Layer that is built and dropped at once leaves no fiber that would keep a scope open", () =>
    World.overPorts(Effect.gen(function*() {
      for (let i = 0; i < 50; i++) {
        const scope = yield* Scope.make()
        yield* Effect.forEach(World.subjects, (subject) => Scope.provide(World.client(subject), scope))
        yield* Scope.close(scope, Exit.void)
      }
      const simulator = yield* Simulator
      for (const { adapter } of World.subjects) {
        assert.strictEqual(simulator.counts().exchanges[adapter.id]!.dials.length, 0)
      }
    })))
})
