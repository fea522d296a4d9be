/** Every topic on several sockets: losing all but one is not to be noticed, and what it gains is counted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { Connection, Dial } from "../../src/connection/Connection.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { WorldBook } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

const btc = "BTC/USDT"

const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }
const mexc: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }

/** Open sockets in the order in which they were opened, to be ended or slowed down one by one. */
const makeSockets = () => {
  const open: Array<Connection> = []
  const dialled: Array<number> = []
  const through = (dial: Dial): Dial =>
    Effect.gen(function*() {
      const connection = yield* dial
      open.push(connection)
      dialled.push(dialled.length)
      yield* Effect.addFinalizer(() => Effect.sync(() => open.splice(open.indexOf(connection), 1)))
      return connection
    })
  const end = (index: number): Effect.Effect<void> => {
    const reason = ExchangeError.make("x", new ExchangeError.Disconnected({ code: 1006, detail: "ended by the test" }))
    return open[index]?.abort(reason) ?? Effect.void
  }
  return { through, end, open, dialled }
}

const over = <A, E>(
  subject: Exchange.Subject,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>,
  simulator: Partial<SimulatorOptions> = {},
  options: ExchangeFactory.RedundantOptions = {}
): Effect.Effect<A, E> =>
  Exchange.withExchange(
    Exchange.memory,
    Exchange.memory.layer(subject, { rate: 50, tradeRate: 20, ...simulator }, { connections: 2, ...options }),
    body
  )

const causesOf = (items: ReadonlyArray<Feed<unknown>>) =>
  items.flatMap((item) => item._tag === "Gap" ? [item.cause] : [])

const reading = Effect.fnUntraced(function*(channel: Channel.PublicChannel) {
  const websocket = yield* PublicWebsocket
  const items: Array<Feed<MarketEvent>> = []
  const stream = yield* websocket.feed(channel, { bufferSize: 100_000 })
  yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item))))
  return items
})

const idsOf = (items: ReadonlyArray<Feed<MarketEvent>>) =>
  items.flatMap((item) =>
    item._tag === "Data" && item.value._tag === "Trade" ? [parseInt(item.value.id ?? "", 10)] : []
  )

/** Every update goes on from the one before. */
const assertChain = (items: ReadonlyArray<Feed<MarketEvent>>): void => {
  let last = 0
  for (const item of items) {
    if (item._tag === "Gap") continue
    const { firstVersion, kind, version } = item.value as BookUpdate
    if (kind === "delta") assert.isAtMost(Number(firstVersion), last + 1)
    assert.isAtLeast(Number(version), last)
    last = Number(version)
  }
}

/** What a consumer that applies every update sees is what the exchange had at that version, as far as that is remembered. */
const assertTrue = (
  items: ReadonlyArray<Feed<MarketEvent>>,
  truthOf: (version: number, depth: number) => WorldBook | undefined
): void => {
  const depth = 5
  const book = new OrderBook(btc)
  let compared = 0
  for (const item of items) {
    if (item._tag === "Gap") continue
    const update = item.value as BookUpdate
    book.apply(update)
    const truth = truthOf(Number(update.version), depth)
    if (truth === undefined) continue
    compared++
    const top = book.view!.top(depth)
    for (const side of ["bids", "asks"] as const) {
      const expected = truth[side].flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
      assert.deepStrictEqual([...top[side]], expected, `${side} at ${update.version}`)
    }
  }
  assert.isAtLeast(compared, 500)
}

const balances = Effect.gen(function*() {
  const { topics } = yield* (yield* PublicWebsocket).performance
  return topics.map(({ abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, unrouted }) =>
    received + reconciled - (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
  )
})

describe("redundant sockets", () => {
  for (const subject of [gate, mexc]) {
    const { id, name } = subject.adapter
    it.effect(`MUST hide the end of any one of them: ${name}`, () => {
      const sockets = makeSockets()
      return over(
        subject,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const simulator = yield* Simulator
          const trades = yield* reading(Channel.trades(btc))
          const tickers = yield* reading(Channel.bookTicker(btc))
          const books = yield* reading(Channel.book(btc))
          yield* Effect.sleep("5 seconds")
          assert.strictEqual(sockets.open.length, 2)
          for (let i = 0; i < 30; i++) {
            yield* sockets.end(i % 2)
            yield* Effect.sleep("4 seconds")
          }
          assert.isAtLeast(sockets.dialled.length, 30)
          for (const items of [trades, tickers, books]) assert.deepStrictEqual(causesOf(items), [])
          const ids = idsOf(trades)
          assert.isAtLeast(ids.length, 2_000)
          assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
          assertChain(books)
          assertTrue(books, (version) => simulator.truth(id, btc, version, 5))
          const versions = tickers.flatMap((item) =>
            item._tag === "Data" && item.value._tag === "BookTicker" ? [Number(item.value.version)] : []
          )
          assert.isTrue(versions.every((version, index) => index === 0 || version > versions[index - 1]!))
          const { gaps, lanes, reconnects } = yield* websocket.performance
          assert.strictEqual(gaps, 0)
          assert.isAtLeast(reconnects, 30)
          assert.strictEqual(lanes.length, 2)
          assert.isAtLeast(lanes[0]!.won, 100)
          assert.isAtLeast(lanes[1]!.won, 100)
          yield* simulator.inject("silence")
          yield* Effect.sleep("5 seconds")
          assert.deepStrictEqual(yield* balances, [0, 0, 0])
        }),
        {},
        { through: sockets.through, staleAfter: null }
      )
    })
  }

  for (const subject of [gate, mexc]) {
    it.effect(`MUST tell of what none of them could read: ${subject.adapter.name}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const trades = yield* reading(Channel.trades(btc))
          yield* Effect.sleep("5 seconds")
          yield* simulator.inject("corrupt:100%,topic=*")
          yield* Effect.sleep("2 seconds")
          yield* simulator.clear()
          yield* Effect.sleep("3 seconds")
          const ids = idsOf(trades)
          assert.isAbove(ids.at(-1)! - ids[0]! + 1, ids.length)
          const hole = trades.findIndex((item, index) => {
            const id = idsOf([item])[0]
            const before = idsOf(trades.slice(0, index)).at(-1)
            return id !== undefined && before !== undefined && id !== before + 1
          })
          const [first] = causesOf(trades.slice(0, hole))
          assert.strictEqual(first, "Unreadable")
        })
      ))
  }

  it.effect("MUST tell when all of them end at once", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const trades = yield* reading(Channel.trades(btc))
        yield* Effect.sleep("5 seconds")
        yield* simulator.inject("drop")
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual(causesOf(trades), ["Reconnected"])
        assert.strictEqual(trades.at(-1)?._tag, "Data")
      })
    ))

  it.effect("MUST fill from another what one of them lacks", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const books = yield* reading(Channel.book(btc))
        yield* Effect.sleep("5 seconds")
        yield* simulator.inject("gap:10%")
        yield* Effect.sleep("60 seconds")
        yield* simulator.clear()
        yield* Effect.sleep("3 seconds")
        const { lanes } = yield* websocket.performance
        assert.isAtLeast(lanes[0]!.alone + lanes[1]!.alone, 50)
        // Both lack the same one in a hundred; the rest is filled.
        const holes = causesOf(books).filter((cause) => cause === "Sequence").length
        assert.isAtMost(holes, 25)
        assertChain(books.slice(books.findLastIndex(({ _tag }) => _tag === "Gap") + 1))
      })
    ))

  it.effect("MUST be spread over the hosts that are given", () => {
    const urls = ["ws://one.memory/", "ws://two.memory/"]
    const opened: Array<string> = []
    return over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* Effect.ignore(Effect.timeoutOption(websocket.feed(Channel.trades(btc)), "2 seconds"))
        assert.deepStrictEqual(new Set(opened.slice(0, 2)), new Set(urls))
      }),
      {},
      {
        urls,
        through: (dial) =>
          Effect.tapError(dial, ({ reason }) =>
            Effect.sync(() => {
              if (reason._tag === "ConnectFailed") opened.push(reason.url)
            }))
      }
    )
  })

  it.effect("MUST subscribe anew, without a word, where one of them brings nothing of a topic", () => {
    let mute = true
    return over(
      {
        ...gate,
        dialect: {
          ...gateSpotDialect,
          connect: (world, peer, options) => {
            const isFirst = mute
            mute = false
            const send: typeof peer.send = (frame, about) => {
              if (isFirst && about._tag === "Data" && about.topic.includes("book_ticker")) return
              peer.send(frame, about)
            }
            return gateSpotDialect.connect(world, { ...peer, send }, options)
          }
        }
      },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const tickers = yield* reading(Channel.bookTicker(btc))
        yield* Effect.sleep("20 seconds")
        assert.deepStrictEqual(causesOf(tickers), [])
        assert.isAtLeast(tickers.length, 100)
        // Two, four and eight seconds behind each other.
        assert.isAtLeast((yield* websocket.performance).subscriptions.confirmed, 4)
      }),
      {},
      { silence: { BookTicker: "2 seconds" } }
    )
  })

  it.effect("MUST refuse a pair that all of them are refused", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const error = yield* Effect.flip(websocket.feed(Channel.trades("NOPE/USDT")))
        assert.strictEqual(error.reason._tag, "SubscriptionRejected")
        const { accepted, rejected } = yield* websocket.initialize([btc, "NADA/USDT"], ["Trades"])
        assert.deepStrictEqual([accepted, [...rejected.keys()]], [[btc], ["NADA/USDT"]])
      })
    ))

  it.effect("MUST leave nothing subscribed when the last holder leaves, on none of them", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        yield* Effect.scoped(PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc))))
        yield* simulator.until(() => simulator.topics("gate-spot").size === 0)
        yield* simulator.until(() => simulator.counts().exchanges["gate-spot"]!.connections.open === 0)
      }),
      {},
      { idleTimeout: "1 second" }
    ))

  it.effect("MUST be replaced at their age like others, without a break", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const trades = yield* reading(Channel.trades(btc))
        const books = yield* reading(Channel.book(btc))
        yield* Effect.sleep("60 seconds")
        assert.isAtLeast(simulator.counts().exchanges["mexc-spot"]!.dials.length, 8)
        assert.deepStrictEqual([...causesOf(trades), ...causesOf(books)], [])
        const ids = idsOf(trades)
        assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
        assertChain(books)
        assert.isAtMost((yield* websocket.performance).connections, 4)
      }),
      {},
      { rotateAfter: "12 seconds" }
    ))
})
