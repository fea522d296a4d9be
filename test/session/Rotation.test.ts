/** Connections are replaced without a break: nothing lost, nothing twice, no gap, within the exchange's limits. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Stream } from "effect"
import { queryObjects } from "node:v8"
import * as Channel from "../../src/domain/Channel.ts"
import type { ConnectionStatus, Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Link } from "../../src/session/Link.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import type * as Exchange from "../suites/Exchange.ts"
import { over, still } from "./Memory.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }
const mexc: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }

const causesOf = (items: ReadonlyArray<Feed<unknown>>) =>
  items.flatMap((item) => item._tag === "Gap" ? [item.cause] : [])

/** Reads the stream in the background; what came so far. */
const reading = Effect.fnUntraced(function*(channel: Channel.PublicChannel) {
  const websocket = yield* PublicWebsocket
  const items: Array<Feed<MarketEvent>> = []
  const stream = yield* websocket.feed(channel)
  yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item))))
  return items
})

const idsOf = (items: ReadonlyArray<Feed<MarketEvent>>) =>
  items.flatMap((item) =>
    item._tag === "Data" && item.value._tag === "Trade" ? [parseInt(item.value.id ?? "", 10)] : []
  )

const statuses = Effect.gen(function*() {
  const seen: Array<ConnectionStatus> = []
  yield* PublicWebsocket.use((websocket) => websocket.handle({ onStatus: (status) => seen.push(status) }))
  return seen
})

/** Those that something still holds. */
const links = () => queryObjects(Link, { format: "count" })

const dialsOf = (simulator: Simulator["Service"], exchange: string) => simulator.counts().exchanges[exchange]!.dials

const unaccounted = Effect.map(
  PublicWebsocket,
  ({ performance }) =>
    Effect.map(
      performance,
      ({ topics }) =>
        topics.map(({ abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, unrouted }) =>
          received + reconciled - (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
        )
    )
).pipe(Effect.flatten)

describe("a connection that has reached its age", () => {
  for (const subject of [gate, mexc]) {
    it.effect(`MUST be replaced without a break: ${subject.adapter.name}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const simulator = yield* Simulator
          const trades = yield* reading(Channel.trades(btc))
          const tickers = yield* reading(Channel.bookTicker(btc))
          const books = yield* reading(Channel.book(btc))
          yield* Effect.sleep("60 seconds")
          assert.isAtLeast(dialsOf(simulator, subject.adapter.id).length, 5)
          for (const items of [trades, tickers, books]) assert.deepStrictEqual(causesOf(items), [])
          const ids = idsOf(trades)
          assert.isAtLeast(ids.length, 400)
          assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
          let last = 0
          for (const item of books) {
            if (item._tag === "Gap" || item.value._tag !== "BookUpdate") continue
            const { firstVersion, kind, version } = item.value
            if (kind === "delta") assert.isAtMost(Number(firstVersion), last + 1)
            assert.isAbove(Number(version), last)
            last = Number(version)
          }
          const versions = tickers.flatMap((item) =>
            item._tag === "Data" && item.value._tag === "BookTicker" ? [Number(item.value.version)] : []
          )
          assert.isTrue(versions.every((version, index) => index === 0 || version >= versions[index - 1]!))
          const { connections, duplicates, gaps, reconnects } = yield* websocket.performance
          assert.isAtMost(connections, 2)
          assert.deepStrictEqual({ gaps, reconnects }, { gaps: 0, reconnects: 0 })
          assert.isAtLeast(duplicates, 10)
          assert.isTrue(yield* websocket.isConnected)
          yield* simulator.inject("silence")
          yield* Effect.sleep("5 seconds")
          assert.deepStrictEqual(yield* unaccounted, [0, 0, 0])
        }),
        { rate: 50, tradeRate: 10 },
        { rotateAfter: "10 seconds", staleAfter: null }
      ))
  }

  it.effect("MUST be forgotten when it has been replaced, and count as a connection no more", () =>
    over(
      gate,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* reading(Channel.trades(btc))
        yield* Effect.sleep("5 seconds")
        const before = links()
        yield* Effect.sleep("55 seconds")
        assert.isAtLeast(dialsOf(simulator, "gate-spot").length, 5)
        assert.isAtMost(links(), before + 1)
        yield* simulator.inject("refuse:503@0s:5s")
        yield* simulator.inject("drop")
        yield* Effect.sleep("1 second")
        assert.isFalse(yield* websocket.isConnected)
      }),
      { rate: 20, tradeRate: 20 },
      { rotateAfter: "10 seconds", staleAfter: null }
    ))

  it.effect("MUST go on carrying a quiet topic until all that was on its way has come", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const print = simulator.publish("gate-spot", btc, {
          _tag: "Trade",
          side: "buy",
          quantity: "0.01",
          price: "100"
        })
        const trades = yield* reading(Channel.trades(btc))
        // Keeps the connection talking.
        yield* reading(Channel.trades(eth))
        yield* print
        yield* Effect.sleep("40 seconds")
        yield* print
        yield* Effect.sleep("2 seconds")
        assert.deepStrictEqual(trades.map(({ _tag }) => _tag), ["Data", "Data"])
        assert.isAtLeast(dialsOf(simulator, "gate-spot").length, 3)
        assert.isAtMost((yield* PublicWebsocket.use(({ performance }) => performance)).connections, 2)
      }),
      still,
      { rotateAfter: "10 seconds" }
    ))

  it.effect("MUST not be given up while the new one is refused, and its end is an ordinary reconnection", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const trades = yield* reading(Channel.trades(btc))
        yield* simulator.inject("refuse:503@9s:30s")
        yield* Effect.sleep("30 seconds")
        assert.isAtLeast(dialsOf(simulator, "gate-spot").filter(({ outcome }) => outcome === "refused").length, 3)
        assert.deepStrictEqual(causesOf(trades), [])
        const before = trades.length
        yield* Effect.sleep("1 second")
        assert.isAbove(trades.length, before)
        yield* simulator.inject("drop")
        yield* Effect.sleep("3 seconds")
        assert.deepStrictEqual(causesOf(trades), ["Reconnected"])
        yield* Effect.sleep("20 seconds")
        assert.deepStrictEqual(causesOf(trades), ["Reconnected"])
        assert.strictEqual(trades.at(-1)?._tag, "Data")
        assert.strictEqual((yield* PublicWebsocket.use(({ performance }) => performance)).connections, 1)
      }),
      { rate: 20, tradeRate: 10 },
      { rotateAfter: "10 seconds" }
    ))

  it.effect("MUST keep to the exchange's limit of topics, and pass the bound of sockets only by those that it replaces", () => {
    const pairs = Array.from({ length: 70 }, (_, index): TradingPair => `C${index}/USDT`) as [
      TradingPair,
      ...Array<TradingPair>
    ]
    return over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const gaps: Array<unknown> = []
        yield* websocket.handle({ onGap: (gap) => gaps.push(gap) })
        yield* websocket.initialize(pairs, ["BookTicker"])
        let most = 0
        for (let i = 0; i < 600; i++) {
          yield* Effect.sleep("100 millis")
          const { sockets } = yield* websocket.performance
          most = Math.max(most, sockets.length)
          for (const { topics } of sockets) assert.isAtMost(topics, 30)
        }
        assert.isAtMost(most, 2 * (Math.ceil(70 / 30) + 1))
        assert.isAtLeast(dialsOf(simulator, "mexc-spot").length, 10)
        assert.deepStrictEqual(gaps, [])
        assert.strictEqual(simulator.counts().exchanges["mexc-spot"]!.control.reject, 0)
        assert.strictEqual(simulator.topics("mexc-spot").size, 70)
      }),
      { pairs, rate: 5, limits: "real" },
      { rotateAfter: "15 seconds" }
    )
  })

  it.effect("MUST not be replaced when that is switched off", () =>
    over(
      { ...gate, adapter: { ...gateSpot, limits: { ...gateSpot.limits, connectionAge: "10 seconds" } } },
      Effect.gen(function*() {
        const simulator = yield* Simulator
        yield* reading(Channel.trades(btc))
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(dialsOf(simulator, "gate-spot").length, 1)
      }),
      undefined,
      { rotateAfter: null }
    ))

  it.effect("MUST be replaced before the age at which the exchange ends it", () => {
    const adapter: ExchangeAdapter = { ...gateSpot, limits: { ...gateSpot.limits, connectionAge: "100 seconds" } }
    return over(
      { ...gate, adapter },
      Effect.gen(function*() {
        const simulator = yield* Simulator
        yield* reading(Channel.trades(btc))
        yield* Effect.sleep("84 seconds")
        assert.strictEqual(dialsOf(simulator, "gate-spot").length, 1)
        yield* Effect.sleep("13 seconds")
        assert.strictEqual(dialsOf(simulator, "gate-spot").length, 2)
      }),
      { rate: 20, tradeRate: 10 }
    )
  })
})

describe("a connection whose end the exchange announces", () => {
  it.effect("MUST be replaced at once, without a break, and closed by us", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const seen = yield* statuses
        const trades = yield* reading(Channel.trades(btc))
        const books = yield* reading(Channel.book(btc))
        yield* Effect.sleep("5 seconds")
        const announced = yield* Clock.currentTimeMillis
        yield* simulator.inject("upgrade-notice")
        yield* Effect.sleep("10 seconds")
        assert.deepStrictEqual([...causesOf(trades), ...causesOf(books)], [])
        assert.deepStrictEqual(seen.map(({ _tag }) => _tag), [
          "Connecting",
          "Connected",
          "Connecting",
          "Connected",
          "Closed"
        ])
        assert.isAtMost(seen[2]!.at - announced, 600)
        const ids = idsOf(trades)
        assert.deepStrictEqual(ids, ids.map((_, index) => ids[0]! + index))
        const { closedByClient, closedByExchange } = simulator.counts().exchanges["gate-spot"]!.connections
        assert.deepStrictEqual({ closedByClient, closedByExchange }, { closedByClient: 1, closedByExchange: 0 })
      }),
      { rate: 20, tradeRate: 10 }
    ))

  it.effect("MUST be survived when it ends before the new one is ready, with the break told", () =>
    over(
      gate,
      Effect.gen(function*() {
        const simulator = yield* Simulator
        const trades = yield* reading(Channel.trades(btc))
        yield* Effect.sleep("2 seconds")
        yield* simulator.inject("refuse:503@0s:5s")
        yield* simulator.inject("upgrade-notice")
        yield* Effect.sleep("1 second")
        yield* simulator.inject("drop")
        yield* Effect.sleep("10 seconds")
        assert.deepStrictEqual(causesOf(trades), ["Reconnected"])
        assert.strictEqual(trades.at(-1)?._tag, "Data")
        assert.strictEqual((yield* PublicWebsocket.use(({ performance }) => performance)).connections, 1)
      }),
      { rate: 20, tradeRate: 10 }
    ))
})

describe("a stream that gives nothing to join on", () => {
  /** MEXC before its trades had ids. */
  const withoutIds: ExchangeAdapter = {
    ...mexcSpot,
    makeCodec: (context) => {
      const codec = mexcSpot.makeCodec(context)
      return {
        decode: (frame, receivedAt, sink) =>
          codec.decode(frame, receivedAt, {
            ...sink,
            acknowledged: (answer) => sink.acknowledged(answer),
            rejected: (answer, refusal) => sink.rejected(answer, refusal),
            pong: () => sink.pong(),
            closing: (detail) => sink.closing(detail),
            ignored: (detail) => sink.ignored(detail),
            failed: (detail) => sink.failed(detail),
            fallback: () => sink.fallback(),
            event: (topic, event) => sink.event(topic, event._tag === "Trade" ? { ...event, id: null } : event)
          })
      }
    }
  }

  it.effect("MUST be replaced with the gap told, once", () =>
    over(
      { ...mexc, adapter: withoutIds },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const trades = yield* reading(Channel.trades(btc))
        const tickers = yield* reading(Channel.bookTicker(btc))
        yield* Effect.sleep("15 seconds")
        assert.strictEqual(dialsOf(simulator, "mexc-spot").length, 2)
        assert.deepStrictEqual(causesOf(trades), ["Rotated"])
        assert.deepStrictEqual(causesOf(tickers), [])
        const prices = trades.flatMap((item) =>
          item._tag === "Data" && item.value._tag === "Trade" ? [item.value.exchangeTime!] : []
        )
        assert.isTrue(prices.every((time, index) => index === 0 || time >= prices[index - 1]!))
        assert.strictEqual((yield* websocket.performance).connections, 1)
      }),
      { rate: 20, tradeRate: 20 },
      { rotateAfter: "10 seconds" }
    ))
})
