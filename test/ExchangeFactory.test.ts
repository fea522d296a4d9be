/** Every option is read from the configuration and reaches the wire; several Layers live side by side. */
import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Scope,
  Stream
} from "effect"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import type { Endpoint } from "../src/connection/Connection.ts"
import * as FrameSocket from "../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../src/connection/MemoryNetwork.ts"
import * as NodeHttp from "../src/connection/NodeHttp.ts"
import * as Channel from "../src/domain/Channel.ts"
import type { ConnectionStatus, Feed } from "../src/domain/Feed.ts"
import type { ExchangeAdapter } from "../src/ExchangeAdapter.ts"
import type { ExchangeDialect } from "../src/ExchangeDialect.ts"
import * as ExchangeError from "../src/ExchangeError.ts"
import * as ExchangeFactory from "../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../src/exchanges/mexc/MexcSpot.ts"
import { MarketRest } from "../src/MarketRest.ts"
import { PublicWebsocket } from "../src/PublicWebsocket.ts"
import { Simulator } from "../src/simulator/Simulator.ts"
import * as Simulated from "../src/simulator/Simulator.ts"
import { toySpot } from "./exchanges/toy/ToyAdapter.ts"
import { toy } from "./simulator/ToyDialect.ts"
import * as Exchange from "./suites/Exchange.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

// ---- reading --------------------------------------------------------------------------------------------------------

const read = (adapter: ExchangeAdapter, env: Record<string, string>) =>
  ExchangeFactory.config(adapter).parse(ConfigProvider.fromEnv({ env }))

/** A name behind the prefix, a text, where the option stands, and what it must be. */
const readings: ReadonlyArray<readonly [name: string, text: string, path: ReadonlyArray<string>, expected: unknown]> = [
  ["WS_URL", "ws://127.0.0.1:1/ws", ["url"], "ws://127.0.0.1:1/ws"],
  ["REST_URL", "http://127.0.0.1:1", ["restUrl"], "http://127.0.0.1:1"],
  ["OPEN_TIMEOUT", "250 millis", ["socket", "openTimeout"], 250],
  ["MAX_FRAME_BYTES", "4096", ["socket", "maxFrameBytes"], 4096],
  ["COMPRESSION", "true", ["socket", "compression"], true],
  ["HIGH_WATER_BYTES", "65536", ["socket", "highWaterBytes"], 65_536],
  ["BATCH_FRAMES", "16", ["socket", "batchFrames"], 16],
  ["PING_INTERVAL", "3 seconds", ["heartbeat", "interval"], 3000],
  ["PING_TIMEOUT", "2 seconds", ["heartbeat", "timeout"], 2000],
  ["PING_FIRST", "100 millis", ["heartbeat", "first"], 100],
  ["STALE_AFTER", "7 seconds", ["staleAfter"], 7000],
  ["STALE_AFTER", "off", ["staleAfter"], null],
  ["SILENCE_BOOK_TICKER", "1 minute", ["silence", "BookTicker"], 60_000],
  ["SILENCE_BOOK_TICKER", "off", ["silence", "BookTicker"], null],
  ["SILENCE_TRADES", "1 hour", ["silence", "Trades"], 3_600_000],
  ["SILENCE_TRADES", "off", ["silence", "Trades"], null],
  ["SILENCE_BOOK", "30 seconds", ["silence", "Book"], 30_000],
  ["SILENCE_BOOK", "off", ["silence", "Book"], null],
  ["SILENCE_KLINE", "90 seconds", ["silence", "Kline"], 90_000],
  ["SILENCE_BOOK_FLOOR", "2 seconds", ["silence", "Book", "floor"], 2000],
  ["SILENCE_BOOK_CEILING", "20 seconds", ["silence", "Book", "ceiling"], 20_000],
  ["SILENCE_TRADES_FLOOR", "7 seconds", ["silence", "Trades", "floor"], 7000],
  ["SILENCE_FUTURES_TICKER_CEILING", "30 minutes", ["silence", "FuturesTicker", "ceiling"], 1_800_000],
  ["ANSWER_TIMEOUT", "900 millis", ["answerTimeout"], 900],
  ["IDLE_TIMEOUT", "4 seconds", ["idleTimeout"], 4000],
  ["ROTATE_AFTER", "1 hour", ["rotateAfter"], 3_600_000],
  ["ROTATE_AFTER", "off", ["rotateAfter"], null],
  ["REQUEST_TIMEOUT", "3 seconds", ["requestTimeout"], 3000],
  ["BUFFER_SIZE", "12", ["bufferSize"], 12],
  ["RECONNECT_STABLE_AFTER", "20 seconds", ["reconnect", "stableAfter"], 20_000]
]

const at = (options: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce((value, key) => (value as Record<string, unknown> | undefined)?.[key], options)

const plain = (value: unknown): unknown => Duration.isDuration(value) ? Duration.toMillis(value) : value

describe("config", () => {
  for (const [adapter, prefix] of [[mexcSpot, "MEXC_SPOT_"], [gateSpot, "GATE_SPOT_"]] as const) {
    for (const [name, text, path, expected] of readings) {
      it.effect(`reads ${prefix}${name}=${text}`, () =>
        Effect.gen(function*() {
          assert.strictEqual(plain(at(yield* read(adapter, { [prefix + name]: text }), path)), expected)
        }))
    }

    it.effect(`takes nothing from names that do not begin with ${prefix}`, () =>
      Effect.gen(function*() {
        const other = prefix === "MEXC_SPOT_" ? "GATE_SPOT_" : "MEXC_SPOT_"
        const env = Object.fromEntries(readings.map(([name, text]) => [other + name, text]))
        const options = yield* read(adapter, env)
        for (const [name, , path] of readings) assert.isUndefined(at(options, path), name)
      }))
  }

  for (
    const [name, text] of [
      ["OPEN_TIMEOUT", "soon"],
      ["MAX_FRAME_BYTES", "8 MiB"],
      ["MAX_FRAME_BYTES", "1.5"],
      ["COMPRESSION", "perhaps"],
      ["HIGH_WATER_BYTES", "much"],
      ["BATCH_FRAMES", "few"],
      ["PING_INTERVAL", "10"],
      ["PING_TIMEOUT", "never"],
      ["STALE_AFTER", "none"],
      ["SILENCE_BOOK_TICKER", "no"],
      ["SILENCE_TRADES", "no"],
      ["SILENCE_BOOK", "no"],
      ["ANSWER_TIMEOUT", "x"],
      ["IDLE_TIMEOUT", "x"],
      ["ROTATE_AFTER", "never"],
      ["REQUEST_TIMEOUT", "x"],
      ["BUFFER_SIZE", "big"],
      ["RECONNECT_STABLE_AFTER", "x"]
    ] as const
  ) {
    it.effect(`refuses ${name}=${text} and says which name and what is expected`, () =>
      Effect.gen(function*() {
        const env = { [`GATE_SPOT_${name}`]: text }
        const error = yield* Effect.flip(read(gateSpot, env))
        assert.instanceOf(error, Config.ConfigError)
        assert.include(error.message, `GATE_SPOT_${name}`)
        assert.match(error.message, /Expected .*(?:Duration|"true"|finite|integer|number|int)/i)
        const built = Layer.build(ExchangeFactory.layerPublicConfig(gateSpot)).pipe(
          Effect.scoped,
          Effect.provide([
            ConfigProvider.layer(ConfigProvider.fromEnv({ env })),
            FrameSocket.layerWs,
            NodeHttp.layer
          ])
        )
        assert.instanceOf(yield* Effect.flip(built), Config.ConfigError)
      }))
  }
})

// ---- in memory ------------------------------------------------------------------------------------------------------

interface Opened {
  readonly endpoint: Endpoint
  readonly options: FrameSocket.SocketOptions | undefined
}

/** Remembers what is asked of the sockets. */
const spying = (opened: Array<Opened>) =>
  Layer.effect(
    FrameSocket.FrameSocket,
    Effect.map(FrameSocket.FrameSocket, (inner) =>
      FrameSocket.FrameSocket.of({
        capabilities: inner.capabilities,
        open: (exchange, endpoint, options) => {
          opened.push({ endpoint, options })
          return inner.open(exchange, endpoint, options)
        }
      }))
  ).pipe(Layer.provide(FrameSocket.layerMemory()))

interface Setting {
  readonly adapter?: ExchangeAdapter
  readonly dialect?: ExchangeDialect
  /** Names without their prefix; an empty text takes a name away. */
  readonly env?: Readonly<Record<string, string>>
  readonly overrides?: ExchangeFactory.WebsocketOptions
  readonly simulator?: Partial<Simulated.SimulatorOptions>
  readonly opened?: Array<Opened>
}

/** Nothing happens in these markets unless the test publishes it. */
const still = { rate: 0, tradeRate: 0 } as const

type Services = Exchange.Services | Scope.Scope

/** Runs under the virtual clock, over the simulator in memory, configured by the environment. */
const configured = <A, E>(setting: Setting, body: Effect.Effect<A, E, Services>) => {
  const { adapter = gateSpot, dialect = gateSpotDialect, env = {}, opened = [], overrides, simulator } = setting
  const layer = Layer.unwrap(Effect.map(Simulator, ({ urls }) => {
    const { rest, ws } = urls[adapter.id]!
    const named = Object.entries({ WS_URL: ws, REST_URL: rest, ...env })
      .filter(([, text]) => text !== "")
      .map(([name, text]) => [ExchangeFactory.prefixOf(adapter) + name, text])
    return ExchangeFactory.layerPublicConfig(adapter, overrides).pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: Object.fromEntries(named) })))
    )
  }))
  const market = Simulated.layerMemory({ dialects: [dialect], pairs: [btc, eth], limits: "off", seed: 3, ...simulator })
  return Exchange.memory.run(
    body.pipe(
      Effect.scoped,
      Effect.provide(layer.pipe(
        Layer.provide(Layer.merge(spying(opened), MemoryNetwork.layerHttpClient)),
        Layer.provideMerge(Layer.orDie(market)),
        Layer.orDie
      ))
    ) as Effect.Effect<A, E>
  )
}

/** The first status that fits, however soon it comes. */
const statusOf = Effect.fnUntraced(function*(fits: (status: ConnectionStatus) => boolean) {
  const websocket = yield* PublicWebsocket
  const found = yield* Deferred.make<ConnectionStatus>()
  yield* websocket.handle({ onStatus: (status) => fits(status) && Deferred.doneUnsafe(found, Exit.succeed(status)) })
  return Deferred.await(found)
})

const isLost = (reason: string) => (status: ConnectionStatus) =>
  status._tag === "Disconnected" && status.reason === reason

const messageOf = (status: ConnectionStatus) => status._tag === "Disconnected" ? status.message : status._tag

/** Subscribes in the background; what becomes of it does not matter. */
const subscribing = (channel: Channel.PublicChannel) =>
  Effect.flatMap(PublicWebsocket, (websocket) => Effect.forkScoped(Effect.ignore(websocket.feed(channel))))

const firstGap = <A>(stream: Stream.Stream<Feed<A>, ExchangeError.ExchangeError>) =>
  Stream.runCollect(Stream.takeUntil(stream, (item) => item._tag === "Gap")).pipe(
    Effect.map((items) => items.at(-1)),
    Effect.map((last) => last?._tag === "Gap" ? last : assert.fail("no gap"))
  )

/** Reads over a break to the first data behind it. */
const pastGap = <A>(stream: Stream.Stream<Feed<A>, ExchangeError.ExchangeError>) =>
  Effect.suspend(() => {
    let broken = false
    return Stream.runDrain(Stream.takeUntil(stream, (item) => {
      const past = broken && item._tag === "Data"
      broken ||= item._tag === "Gap"
      return past
    }))
  })

const millis = Clock.currentTimeMillis

describe("options reach the wire", () => {
  it.effect("WS_URL and REST_URL: where sockets and requests go", () => {
    const opened: Array<Opened> = []
    return configured(
      { opened },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { counts, urls } = yield* Simulator
        yield* websocket.feed(Channel.trades(btc))
        assert.deepStrictEqual(opened.map(({ endpoint }) => endpoint.url), [urls["gate-spot"]!.ws])
        yield* Effect.flatMap(MarketRest, ({ serverTime }) => serverTime)
        assert.strictEqual(counts().exchanges["gate-spot"]!.rest.requests, 1)
      })
    )
  })

  it.effect("without them the live addresses are meant", () => {
    const opened: Array<Opened> = []
    return configured(
      { opened, env: { WS_URL: "", REST_URL: "" } },
      Effect.gen(function*() {
        const lost = yield* statusOf(isLost("ConnectFailed"))
        yield* subscribing(Channel.trades(btc))
        assert.include(messageOf(yield* lost), `nobody listens at ${gateSpot.urls.websocket}`)
        assert.strictEqual(opened[0]?.endpoint.url, gateSpot.urls.websocket)
        const error = yield* Effect.flip(Effect.flatMap(MarketRest, ({ serverTime }) => serverTime))
        assert.include(error.message, gateSpot.urls.rest)
      })
    )
  })

  it.effect("overrides win, field by field, and what they leave undefined stands", () => {
    const opened: Array<Opened> = []
    return configured(
      {
        opened,
        env: { BATCH_FRAMES: "9", HIGH_WATER_BYTES: "5000" },
        overrides: { url: undefined, restUrl: undefined, socket: { batchFrames: 11, highWaterBytes: undefined } }
      },
      Effect.gen(function*() {
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
        assert.strictEqual(opened[0]?.options?.batchFrames, 11)
        assert.strictEqual(opened[0]?.options?.highWaterBytes, 5000)
      })
    )
  })

  it.effect("MAX_FRAME_BYTES: a larger frame ends the connection with FrameTooLarge, counted", () =>
    configured(
      { env: { MAX_FRAME_BYTES: "1000" } },
      Effect.gen(function*() {
        const lost = yield* statusOf(isLost("FrameTooLarge"))
        yield* subscribing(Channel.book(btc))
        assert.include(messageOf(yield* lost), "1000 bytes")
        assert.isAtLeast((yield* PublicWebsocket.use(({ performance }) => performance)).errors["FrameTooLarge"]!, 1)
      })
    ))

  it.effect("HIGH_WATER_BYTES, BATCH_FRAMES, COMPRESSION and OPEN_TIMEOUT: handed to every socket", () => {
    const opened: Array<Opened> = []
    return configured(
      {
        opened,
        env: { HIGH_WATER_BYTES: "70000", BATCH_FRAMES: "3", COMPRESSION: "true", OPEN_TIMEOUT: "3 seconds" }
      },
      Effect.gen(function*() {
        const { inject } = yield* Simulator
        const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.bookTicker(btc)))
        yield* inject("drop")
        yield* pastGap(stream)
        assert.strictEqual(opened.length, 2)
        for (const { options } of opened) {
          assert.deepInclude(options, { highWaterBytes: 70_000, batchFrames: 3, compression: true })
          assert.strictEqual(plain(options?.openTimeout), 3000)
        }
      })
    )
  })

  it.effect("an option out of range ends the feed with InvalidUse, which names it", () =>
    configured(
      { env: { BATCH_FRAMES: "0" } },
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          PublicWebsocket.use((websocket) => Effect.scoped(websocket.feed(Channel.trades(btc))))
        )
        assert.strictEqual(error.reason._tag, "InvalidUse")
        assert.include(error.message, "batchFrames is 0")
      })
    ))

  it.effect("PING_INTERVAL: a quiet connection is pinged so often", () =>
    configured(
      { env: { PING_INTERVAL: "700 millis" }, simulator: still },
      Effect.gen(function*() {
        const { counts } = yield* Simulator
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
        yield* Effect.sleep("7500 millis")
        assert.strictEqual(counts().exchanges["gate-spot"]!.client.pings, 10)
      })
    ))

  it.effect("PING_FIRST: a new connection that has brought nothing is pinged so soon", () =>
    configured(
      { env: { PING_INTERVAL: "1 minute", PING_FIRST: "100 millis" }, simulator: still },
      Effect.gen(function*() {
        const { counts, inject } = yield* Simulator
        yield* inject("half-open@0s:1m")
        const lost = yield* statusOf(isLost("Silent"))
        yield* Effect.forkChild(PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc))))
        const before = yield* millis
        yield* lost
        assert.isAtMost((yield* millis) - before, 3_200)
        assert.strictEqual(counts().exchanges["gate-spot"]!.client.pings, 0)
      })
    ))

  it.effect("PING_TIMEOUT: a half-open peer is found after interval and timeout", () =>
    configured(
      { env: { PING_INTERVAL: "700 millis", PING_TIMEOUT: "300 millis", PING_FIRST: "700 millis" }, simulator: still },
      Effect.gen(function*() {
        const { inject } = yield* Simulator
        const lost = yield* statusOf(isLost("Silent"))
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
        yield* inject("half-open")
        const before = yield* millis
        assert.include(messageOf(yield* lost), "no answer to a ping")
        const waited = (yield* millis) - before
        assert.isAtLeast(waited, 900)
        assert.isAtMost(waited, 1010)
      })
    ))

  it.effect("STALE_AFTER: a connection that answers pings but brings no data is given up", () =>
    configured(
      { env: { STALE_AFTER: "4 seconds" }, simulator: still },
      Effect.gen(function*() {
        const lost = yield* statusOf(isLost("Silent"))
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
        assert.include(messageOf(yield* lost), "alive but brings no data")
      })
    ))

  it.effect("STALE_AFTER=off: never", () =>
    configured(
      { env: { STALE_AFTER: "off" }, simulator: { ...still, tickMillis: 1000 } },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.feed(Channel.trades(btc))
        yield* Effect.sleep("6 minutes")
        assert.strictEqual((yield* websocket.performance).reconnects, 0)
      })
    ))

  for (
    const [name, channel] of [
      ["SILENCE_BOOK_TICKER", Channel.bookTicker(btc)],
      ["SILENCE_TRADES", Channel.trades(btc)],
      ["SILENCE_BOOK", Channel.book(btc)]
    ] as const
  ) {
    it.effect(`${name}: a silent topic is subscribed anew`, () =>
      configured(
        { env: { [name]: "1500 millis" }, simulator: still },
        Effect.gen(function*() {
          const { counts, until } = yield* Simulator
          const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(channel))
          const requests = () => counts().exchanges["gate-spot"]!.client.requests
          assert.strictEqual(requests(), 1)
          const before = yield* millis
          assert.strictEqual((yield* firstGap(stream)).cause, "Silent")
          assert.isAtMost((yield* millis) - before, 1800)
          yield* until(() => requests() === 3)
        })
      ))
  }

  it.effect("SILENCE_BOOK_TICKER=off: never, where the adapter has a bound", () =>
    configured(
      { env: { SILENCE_BOOK_TICKER: "off" }, simulator: still },
      Effect.gen(function*() {
        const { counts } = yield* Simulator
        assert.isNotNull(gateSpot.silence.BookTicker)
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.bookTicker(btc)))
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(counts().exchanges["gate-spot"]!.client.requests, 1)
      })
    ))

  it.effect("ANSWER_TIMEOUT: who asked is told when the exchange does not answer", () => {
    const mute: ExchangeDialect = {
      ...toy,
      connect: () => ({ onFrame: () => {}, onClose: () => {}, topics: () => new Set() })
    }
    return configured(
      { adapter: toySpot, dialect: mute, env: { ANSWER_TIMEOUT: "1200 millis" } },
      Effect.gen(function*() {
        const error = yield* Effect.flip(PublicWebsocket.use((websocket) => websocket.feed(Channel.book(btc))))
        assert.strictEqual(error.reason._tag, "SubscriptionTimeout")
        assert.strictEqual(error.reason._tag === "SubscriptionTimeout" ? error.reason.afterMs : 0, 1200)
        assert.isTrue(error.isTransient)
      })
    )
  })

  it.effect("ROTATE_AFTER: a connection of this age is replaced", () =>
    configured(
      { env: { ROTATE_AFTER: "10 seconds" } },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { counts } = yield* Simulator
        yield* websocket.feed(Channel.trades(btc))
        yield* Effect.sleep("8 seconds")
        assert.strictEqual(counts().exchanges["gate-spot"]!.dials.length, 1)
        yield* Effect.sleep("3 seconds")
        assert.strictEqual(counts().exchanges["gate-spot"]!.dials.length, 2)
      })
    ))

  it.effect("REQUEST_TIMEOUT: a request that is not answered has failed", () => {
    const adapter: ExchangeAdapter = {
      ...gateSpot,
      makeRest: (options) => ({ ...gateSpot.makeRest(options), serverTime: Effect.never })
    }
    return configured(
      { adapter, env: { REQUEST_TIMEOUT: "2 seconds" } },
      Effect.gen(function*() {
        const began = yield* millis
        const error = yield* Effect.flip(Effect.flatMap(MarketRest, ({ serverTime }) => serverTime))
        assert.deepInclude(error.reason, { _tag: "RequestFailed", code: "timeout", class: "retryable" })
        assert.strictEqual((yield* millis) - began, 2000)
      })
    )
  })

  it.effect("IDLE_TIMEOUT: a connection without topics is closed", () =>
    configured(
      { env: { IDLE_TIMEOUT: "2 seconds" } },
      Effect.gen(function*() {
        const { counts, until } = yield* Simulator
        const connections = () => counts().exchanges["gate-spot"]!.connections
        yield* Effect.scoped(PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc))))
        const before = yield* millis
        yield* until(() => connections().closedByClient === 1)
        const waited = (yield* millis) - before
        assert.isAtLeast(waited, 2000)
        assert.isAtMost(waited, 2500)
      })
    ))

  it.effect("BUFFER_SIZE: what a stream holds, unless it says otherwise itself", () =>
    configured(
      { env: { BUFFER_SIZE: "4" }, simulator: still },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { counts, publish, until } = yield* Simulator
        const small = yield* websocket.feed(Channel.trades(btc))
        const large = yield* websocket.feed(Channel.trades(btc), { bufferSize: 100 })
        const watched = yield* Effect.forkScoped(Stream.runCollect(Stream.take(large, 20)))
        for (let i = 0; i < 20; i++) {
          yield* publish("gate-spot", btc, { _tag: "Trade", side: "buy", quantity: "0.01", price: "100" })
        }
        yield* until(() => counts().exchanges["gate-spot"]!.topics["spot.trades|BTC_USDT"]?.sent.events === 20)
        assert.isTrue((yield* Fiber.join(watched)).every(({ _tag }) => _tag === "Data"))
        const gap = yield* firstGap(small)
        assert.strictEqual(gap.cause, "Overflow")
        assert.isAtLeast(gap.lost!, 10)
      })
    ))

  for (
    const [text, attempts] of [["1 second", [1, 1]], ["1 hour", [1, 2]]] as ReadonlyArray<
      readonly [string, ReadonlyArray<number>]
    >
  ) {
    it.effect(`RECONNECT_STABLE_AFTER=${text}: whether a life of five seconds was healthy`, () =>
      configured(
        { env: { RECONNECT_STABLE_AFTER: text } },
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const { inject } = yield* Simulator
          const seen: Array<number> = []
          yield* websocket.handle({ onStatus: (status) => status._tag === "Connecting" && seen.push(status.attempt) })
          const stream = yield* websocket.feed(Channel.bookTicker(btc))
          yield* Effect.sleep("5 seconds")
          yield* inject("drop")
          yield* pastGap(stream)
          assert.deepStrictEqual(seen, attempts)
        })
      ))
  }

  it.effect("through: wraps every dial", () => {
    const seen: Array<string> = []
    const through: ExchangeFactory.WebsocketOptions["through"] = (dial) =>
      Effect.map(dial, (connection) => ({
        ...connection,
        write: (frame) => Effect.andThen(Effect.sync(() => seen.push(String(frame))), connection.write(frame))
      }))
    return configured(
      { overrides: { through } },
      Effect.gen(function*() {
        yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
        assert.strictEqual(seen.length, 1)
        assert.include(seen[0], "spot.trades")
      })
    )
  })
})

// ---- permanent errors -----------------------------------------------------------------------------------------------

describe("a permanent connect error", () => {
  it.effect("ends what waits with its reason, and a later feed tries again", () => {
    const opened: Array<Opened> = []
    return configured(
      { env: { WS_URL: "not a URL" }, opened },
      Effect.gen(function*() {
        const feed = Effect.scoped(PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc))))
        for (let times = 1; times <= 2; times++) {
          const error = yield* Effect.flip(feed)
          assert.strictEqual(error.reason._tag, "ConnectFailed")
          assert.isFalse(error.isTransient)
          assert.include(error.message, "malformed")
          assert.strictEqual(opened.length, times)
        }
      })
    )
  })

  it.effect("ends running streams with its reason, and a later feed lives", () => {
    let dials = 0
    const refused = ExchangeError.make(
      "gate-spot",
      new ExchangeError.ConnectFailed({ url: "ws://x", detail: "not for you", retryable: false })
    )
    const through: ExchangeFactory.WebsocketOptions["through"] = (dial) =>
      Effect.suspend(() => ++dials === 2 ? Effect.fail(refused) : dial)
    return configured(
      { overrides: { through } },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { inject, topics } = yield* Simulator
        const streams = [yield* websocket.feed(Channel.trades(btc)), yield* websocket.feed(Channel.book(eth))]
        yield* websocket.initialize([eth], ["Trades"])
        const events = yield* Effect.forkScoped(Effect.flip(Stream.runDrain(websocket.events)), {
          startImmediately: true
        })
        yield* inject("drop")
        const drained = streams.map((stream: Stream.Stream<unknown, ExchangeError.ExchangeError>) =>
          Effect.flip(Stream.runDrain(stream))
        )
        for (const ended of drained) assert.strictEqual(yield* ended, refused)
        assert.strictEqual(yield* Fiber.join(events), refused)
        assert.isFalse(yield* websocket.isConnected)
        const again = yield* websocket.feed(Channel.trades(btc))
        const [item] = yield* Stream.runCollect(Stream.take(again, 1))
        assert.strictEqual(item?._tag, "Data")
        assert.strictEqual(dials, 3)
        assert.deepStrictEqual([...topics("gate-spot")], ["spot.trades|BTC_USDT"])
      })
    )
  })
})

// ---- several Layers -------------------------------------------------------------------------------------------------

describe("several Layers", () => {
  it.effect("of one exchange have their own sockets, options and ends", () =>
    Exchange.memory.run(
      Effect.gen(function*() {
        const { counts, urls, until } = yield* Simulator
        const { rest, ws } = urls["gate-spot"]!
        const build = (bufferSize: number) =>
          Effect.map(
            Layer.build(
              ExchangeFactory.layerPublic(gateSpot, { url: ws, restUrl: rest, bufferSize, idleTimeout: "1 second" })
            ),
            Context.get(PublicWebsocket)
          )
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(build(1), scope)
        const second = yield* build(1000)
        assert.notStrictEqual(first, second)
        yield* Scope.provide(first.feed(Channel.bookTicker(btc)), scope)
        const stream = yield* second.feed(Channel.bookTicker(btc))
        const connections = () => counts().exchanges["gate-spot"]!.connections
        assert.strictEqual(connections().open, 2)
        yield* Scope.close(scope, Exit.void)
        yield* until(() => connections().open === 1)
        const items = yield* Stream.runCollect(Stream.take(stream, 5))
        assert.isTrue(items.every(({ _tag }) => _tag === "Data"))
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient).pipe(
            Layer.provideMerge(Layer.orDie(Simulated.layerMemory({ dialects: [gateSpotDialect], pairs: [btc] })))
          )
        )
      )
    ))

  it.effect("of both exchanges run in one program", () =>
    Exchange.memory.run(
      Effect.gen(function*() {
        const { urls } = yield* Simulator
        const websockets = yield* Effect.forEach([mexcSpot, gateSpot], (adapter) => {
          const { rest, ws } = urls[adapter.id]!
          return Effect.map(
            Layer.build(ExchangeFactory.layerPublic(adapter, { url: ws, restUrl: rest })),
            Context.get(PublicWebsocket)
          )
        })
        const seen = yield* Effect.forEach(
          websockets,
          (websocket) =>
            Effect.map(
              Effect.flatMap(websocket.feed(Channel.book(btc)), (stream) => Stream.runCollect(Stream.take(stream, 3))),
              (items) => items.flatMap((item) => item._tag === "Data" ? [item.value.symbol] : [])
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(seen, [["BTCUSDT", "BTCUSDT", "BTCUSDT"], ["BTC_USDT", "BTC_USDT", "BTC_USDT"]])
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient).pipe(
            Layer.provideMerge(
              Layer.orDie(Simulated.layerMemory({ dialects: [mexcSpotDialect, gateSpotDialect], pairs: [btc] }))
            )
          )
        )
      )
    ))
})

// ---- over real ports ------------------------------------------------------------------------------------------------

/** A server on a port of its own, gone with the scope and all its sockets. */
const listening = (onSocket: (socket: Socket) => void) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const server: Server = createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        onSocket(socket)
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return { server, sockets, port: (server.address() as AddressInfo).port }
    }),
    ({ server, sockets }) =>
      Effect.promise(async () => {
        for (const socket of sockets) socket.destroy()
        server.close()
        await once(server, "close")
      })
  )

const overPorts = (env: Record<string, string>) =>
  ExchangeFactory.layerPublicConfig(gateSpot).pipe(
    Layer.provide([
      FrameSocket.layerWs,
      NodeHttp.layer,
      ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
    ])
  )

describe("over real sockets", () => {
  it.live("OPEN_TIMEOUT: a server that never answers the handshake is left", () =>
    Effect.gen(function*() {
      const { port } = yield* listening(() => {})
      yield* Effect.gen(function*() {
        const lost = yield* statusOf(isLost("ConnectFailed"))
        yield* subscribing(Channel.trades(btc))
        assert.include(messageOf(yield* lost), "not open within 150 ms")
      }).pipe(
        Effect.scoped,
        Effect.provide(overPorts({ GATE_SPOT_WS_URL: `ws://127.0.0.1:${port}`, GATE_SPOT_OPEN_TIMEOUT: "150 millis" }))
      )
    }).pipe(Effect.scoped))

  for (const compression of [true, false]) {
    it.live(`COMPRESSION=${compression}: permessage-deflate is ${compression ? "offered and used" : "not offered"}`, () =>
      Effect.gen(function*() {
        const { urls } = yield* Simulator
        const target = new URL(urls["gate-spot"]!.ws)
        const heads = { request: "", response: "" }
        // Listens in on the handshake.
        const { port } = yield* listening((client) => {
          const server = connect(Number(target.port), target.hostname)
          server.on("error", () => client.destroy())
          client.on("close", () => server.destroy())
          client.on("data", (bytes) => heads.request += bytes.toString("latin1"))
          server.on("data", (bytes) => heads.response += bytes.toString("latin1"))
          client.pipe(server)
          server.pipe(client)
        })
        yield* Effect.gen(function*() {
          const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.book(btc)))
          const [item] = yield* Stream.runCollect(Stream.take(stream, 1))
          assert.isAbove(item?._tag === "Data" ? item.value.bids.length : 0, 0)
        }).pipe(
          Effect.scoped,
          Effect.provide(overPorts({
            GATE_SPOT_WS_URL: `ws://127.0.0.1:${port}${target.pathname}`,
            GATE_SPOT_COMPRESSION: String(compression)
          }))
        )
        const header = /^sec-websocket-extensions: *permessage-deflate/im
        assert.strictEqual(header.test(heads.request), compression)
        assert.strictEqual(header.test(heads.response), compression)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.orDie(Simulated.layer({ dialects: [gateSpotDialect], pairs: [btc], compression: true })))
      ))
  }
})
