/** One exchange from end to end over real ports, as a program uses it: several kinds of consumers at once. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Stream } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as World from "./World.ts"

for (const subject of World.subjects) {
  describe(`${subject.adapter.id}, end to end over ports`, () => {
    it.live("handlers, the session's stream, feeds and live books see the same market", () =>
      World.overPorts(Effect.gen(function*() {
        const simulator = yield* Simulator
        const { id, pair, rest, websocket } = yield* World.client(subject)
        const [btc, eth] = [pair("BTC"), pair("ETH")]
        const judge = new World.Judge(simulator, id)
        const handled: Array<MarketEvent> = []
        const streamed: Array<MarketEvent> = []
        const gaps: Array<string> = []
        const keep = (event: MarketEvent): void => void handled.push(event)
        yield* websocket.handle({
          onBookTicker: keep,
          onTrade: keep,
          onBook: (update) => {
            keep(update)
            judge.apply(update)
          },
          onGap: ({ cause }) => void gaps.push(cause)
        })
        yield* Effect.forkScoped(
          Stream.runForEach(
            websocket.events,
            (item) =>
              Effect.sync(() => item._tag === "Data" ? void streamed.push(item.value) : void gaps.push(item.cause))
          ),
          { startImmediately: true }
        )
        const instruments = yield* rest.instruments
        assert.strictEqual(instruments.find((one) => one.pair === btc)?.symbol, subject.adapter.symbol(btc))
        const { accepted } = yield* websocket.initialize([btc, eth], ["BookTicker", "Trades", "Book"])
        assert.deepStrictEqual([...accepted].sort(), [btc, eth])
        const books = yield* Effect.provideService(OrderBooks.make([btc, eth]), PublicWebsocket, websocket)
        yield* World.until(() =>
          judge.compared >= 60 && books.pairs().every((one) => books.get(one)?._tag === "Synced")
        )
        // A book that is shown has the exchange's best bid of its version.
        const shown = books.get(btc)
        assert(shown?._tag === "Synced")
        const truth = simulator.truth(id, btc, Number(shown.book.version), 1)
        assert.strictEqual(shown.book.bidPrice(), Number(truth!.bids[0]!.price))

        const sol = yield* Stream.runCollect(Stream.take(yield* websocket.feed(Channel.trades(pair("SOL"))), 3))
        assert.isTrue(sol.every((item) => item._tag === "Data" && item.value.pair === pair("SOL")))
        for (const one of books.pairs()) yield* books.untrack(one)
        yield* websocket.unsubscribe([eth])
        const ofEth = handled.filter((event) => event.pair === eth).length
        yield* World.until(() => handled.length > ofEth + 100)
        yield* websocket.close
        yield* World.until(() => simulator.topics(id).size === 0)
        // The stream ends with the session; what it was handed is what the handlers saw.
        assert.deepStrictEqual(streamed, handled.slice(0, streamed.length))
        assert.isAtLeast(streamed.length, handled.length - 50)
        assert.strictEqual(judge.wrong, 0)
        assert.deepStrictEqual(gaps, [])
      })))

    it.live("a program that knows no exchange takes it from the configuration", () =>
      World.overPorts(Effect.gen(function*() {
        const { urls } = yield* Simulator
        const { rest, ws } = urls[subject.adapter.id]!
        const program = Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const stream = yield* websocket.feed(Channel.bookTicker(World.pairOf(subject, "BTC")))
          return yield* Stream.runCollect(Stream.take(stream, 2))
        }).pipe(Effect.scoped)
        const prefix = ExchangeFactory.prefixOf(subject.adapter)
        const config = ConfigProvider.layer(
          ConfigProvider.fromUnknown({
            [`${prefix}WS_URL`]: ws,
            [`${prefix}REST_URL`]: rest,
            [`${prefix}BUFFER_SIZE`]: "8"
          })
        )
        const layer = ExchangeFactory.layerPublicConfig(subject.adapter).pipe(
          Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, config))
        )
        const items = yield* Effect.provide(program, layer)
        assert.isTrue(items.every((item) => item._tag === "Data"))
      })))

    it.live("two programs on one Layer share its sockets, and each leaves without disturbing the other", () =>
      World.overPorts(Effect.gen(function*() {
        const simulator = yield* Simulator
        const { id, pair, websocket } = yield* World.client(subject)
        const take = (count: number) =>
          Effect.scoped(Effect.flatMap(
            websocket.feed(Channel.bookTicker(pair("BTC"))),
            (stream) => Stream.runCollect(Stream.take(stream, count))
          ))
        const long = yield* Effect.forkScoped(take(12))
        yield* World.until(() => simulator.topics(id).size === 1)
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* take(2)).length, 2)
        const items = yield* Fiber.join(long)
        assert.isTrue(items.every((item) => item._tag === "Data"))
        assert.strictEqual(simulator.counts().exchanges[id]!.dials.length, 1)
      })))
  })
}
