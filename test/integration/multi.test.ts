/** All exchanges in one program: the same code, apart from each other in data and in failure. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Gap } from "../../src/domain/Feed.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as World from "./World.ts"

/** Opens everything on one exchange and keeps what comes. */
const watched = Effect.fnUntraced(function*(client: World.Client) {
  const simulator = yield* Simulator
  const judge = new World.Judge(simulator, client.id)
  const events: Array<MarketEvent> = []
  const gaps: Array<Gap> = []
  const keep = (event: MarketEvent): void => void events.push(event)
  yield* client.websocket.handle({
    onBookTicker: keep,
    onTrade: keep,
    onBook: (update) => {
      keep(update)
      judge.apply(update)
    },
    onGap: (gap) => void gaps.push(gap)
  })
  yield* client.websocket.initialize([client.pair("BTC"), client.pair("ETH")], ["BookTicker", "Trades", "Book"])
  return { client, events, gaps, judge }
})

describe("several exchanges in one program", () => {
  it.live("each brings its own pairs, symbols and books, and nothing of the others", () =>
    World.overPorts(Effect.gen(function*() {
      const all = yield* Effect.forEach(yield* World.clients(), watched, { concurrency: "unbounded" })
      yield* World.until(() => all.every(({ events, judge }) => events.length >= 200 && judge.compared >= 40))
      for (const { client, events, gaps, judge } of all) {
        const { adapter } = client.subject
        const symbols = new Set([adapter.symbol(client.pair("BTC")), adapter.symbol(client.pair("ETH"))])
        assert.isTrue(events.every(({ symbol }) => symbols.has(symbol)), client.id)
        assert.isTrue(
          events.every((event) =>
            event._tag !== "Trade" || (adapter.kind === "spot" ? event.contractSize === 1 : event.contractSize! > 0)
          ),
          client.id
        )
        assert.strictEqual(judge.wrong, 0, client.id)
        assert.deepStrictEqual(gaps, [], client.id)
      }
    })))

  it.live("one of them can fail and come back unseen by the others", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      const all = yield* Effect.forEach(yield* World.clients(), watched, { concurrency: "unbounded" })
      yield* World.until(() => all.every(({ judge }) => judge.compared > 0))
      for (const failing of all) {
        const before = failing.gaps.length
        const others = all.filter((one) => one !== failing).map(({ gaps }) => gaps.length)
        yield* simulator.inject(`refuse:503,on=${failing.client.id}@0s:300ms`)
        yield* simulator.inject(`drop,on=${failing.client.id}`)
        yield* World.until(() => failing.gaps.length > before)
        const seen = failing.judge.compared
        yield* World.until(() => failing.judge.compared > seen + 5)
        assert.deepStrictEqual(all.filter((one) => one !== failing).map(({ gaps }) => gaps.length), others)
      }
      for (const { judge } of all) assert.strictEqual(judge.wrong, 0)
    })))

  it.live("books of one coin on all exchanges stand side by side", () =>
    World.overPorts(Effect.gen(function*() {
      const clients = yield* World.clients()
      const books = yield* Effect.forEach(clients, (client) =>
        Effect.provideService(OrderBooks.make([client.pair("BTC")]), PublicWebsocket, client.websocket))
      const shown = () =>
        books.map((one, index) => one.get(clients[index]!.pair("BTC")))
      yield* World.until(() => shown().every((book) => book?._tag === "Synced"))
      // The simulated exchanges follow one price, each a basis point or so away.
      const mids = shown().map((book) => book?._tag === "Synced" ? book.book.mid : Number.NaN)
      assert.isBelow(Math.max(...mids) / Math.min(...mids) - 1, 0.01)
    })))

  it.live("the same program runs on each, merged into one stream", () =>
    World.overPorts(Effect.gen(function*() {
      const clients = yield* World.clients()
      const quotes = Stream.mergeAll(
        clients.map(({ id, pair, websocket }) =>
          Stream.unwrap(websocket.feed(Channel.bookTicker(pair("BTC")))).pipe(Stream.map((item) => ({ id, item })))
        ),
        { concurrency: "unbounded" }
      )
      const seen = new Set<string>()
      yield* Stream.runDrain(Stream.takeUntil(quotes, ({ id }) => seen.add(id).size === clients.length))
      assert.deepStrictEqual([...seen].sort(), clients.map(({ id }) => id).sort())
    })))
})
