/**
 * Under load over real ports nothing is lost and every book is right. Throughput and latency are recorded and printed;
 * how fast this machine is decides nothing. Figures that mean something come from `npm run bench`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { createHistogram } from "node:perf_hooks"
import * as Channel from "../../src/domain/Channel.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as World from "./World.ts"

/** Changes and trades a second and market; nine markets. */
const load = { rate: 400, tradeRate: 200, history: 65_536 }

const enough = 2_000

const milliseconds = (nanos: number): string => (nanos / 1e6).toFixed(2)

describe("performance", () => {
  it.live("all exchanges under load: what was sent was received, in order, and the books are right", () =>
    World.overPorts(
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const clients = yield* World.clients()
        const latency = createHistogram()
        const counts = new Map<string, number>()
        const judges = new Map(clients.map(({ id }) => [id, new World.Judge(simulator, id)]))
        const problems: Array<string> = []
        yield* Effect.forEach(clients, ({ id, pair, websocket }) =>
          Effect.gen(function*() {
            const seen = (event: MarketEvent): void => {
              counts.set(id, (counts.get(id) ?? 0) + 1)
              const age = event.receivedAt - (event.exchangeTime ?? event.receivedAt)
              if (age >= 0) latency.record(Math.max(1, Math.round(age * 1e6)))
            }
            yield* websocket.handle({
              onBookTicker: seen,
              onTrade: seen,
              onBook: (update) => {
                seen(update)
                judges.get(id)!.apply(update)
              },
              onGap: ({ cause }) => void problems.push(`${id}: ${cause}`)
            })
            yield* websocket.initialize([pair("BTC"), pair("ETH"), pair("SOL")], ["BookTicker", "Trades", "Book"])
          }), { concurrency: "unbounded", discard: true })
        const began = process.hrtime.bigint()
        const before = [...counts.values()].reduce((sum, count) => sum + count, 0)
        yield* World.until(() => clients.every(({ id }) => (counts.get(id) ?? 0) >= enough))
        const seconds = Number(process.hrtime.bigint() - began) / 1e9
        const events = [...counts.values()].reduce((sum, count) => sum + count, 0) - before
        yield* simulator.inject({ _tag: "Silence" })
        const sent = (id: string) =>
          Object.values(simulator.counts().exchanges[id]!.topics).reduce((sum, topic) => sum + topic.sent.events, 0)
        for (const { id, websocket } of clients) {
          let performance = yield* websocket.performance
          while (performance.events < sent(id)) {
            yield* Effect.sleep(10)
            performance = yield* websocket.performance
          }
          assert.strictEqual(performance.events, sent(id), id)
          assert.deepStrictEqual(
            [performance.dropped, performance.conflated, performance.decodeFailures, performance.decoderFallbacks],
            [0, 0, 0, 0],
            id
          )
          const judge = judges.get(id)!
          assert.strictEqual(judge.wrong, 0, id)
          assert.isAbove(judge.compared, 0, id)
        }
        assert.deepStrictEqual(problems, [])
        console.log(
          `${events} events of ${clients.length} exchanges in ${seconds.toFixed(2)} s, ${
            Math.round(events / seconds)
          } a second; from the exchange's clock to the read ${
            [50, 95, 99].map((p) => `p${p} ${milliseconds(latency.percentile(p))} ms`).join(", ")
          }, simulator and client in one process`
        )
      }),
      load
    ))

  it.live("a reader that cannot keep up is told what it lost, to the event, while the others lose nothing", () =>
    World.overPorts(
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const clients = yield* World.clients()
        yield* Effect.forEach(clients, ({ id, pair, websocket }) =>
          Effect.gen(function*() {
            const quick = yield* websocket.feed(Channel.trades(pair("BTC")), { bufferSize: 100_000 })
            const slow = yield* websocket.feed(Channel.trades(pair("BTC")), { bufferSize: 16 })
            yield* World.until(() =>
              Object.values(simulator.counts().exchanges[id]!.topics)
                .some(({ sent }) => sent.events >= 300)
            )
            yield* simulator.inject(`silence,on=${id}`)
            const sent = () =>
              Object.values(simulator.counts().exchanges[id]!.topics).reduce((sum, each) => sum + each.sent.events, 0)
            let performance = yield* websocket.performance
            while (performance.events < sent()) {
              yield* Effect.sleep(10)
              performance = yield* websocket.performance
            }
            const [topic] = performance.topics
            const [all, some] = [
              yield* Effect.flatten(Stream.toPull(quick)),
              yield* Effect.flatten(Stream.toPull(slow))
            ]
            const lost = some.reduce((sum, item) => sum + (item._tag === "Gap" ? item.lost ?? 0 : 0), 0)
            const read = some.filter((item) => item._tag === "Data").length
            assert.strictEqual(all.length, topic!.received, id)
            assert.strictEqual(read + lost, topic!.received, id)
            assert.isAbove(lost, 0, id)
          }).pipe(Effect.scoped), { discard: true })
      }),
      load
    ))
})
