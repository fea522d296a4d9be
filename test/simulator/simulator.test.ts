import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { TestClock } from "effect/testing"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import { Engine } from "../../src/simulator/Engine.ts"
import type { EngineClock } from "../../src/simulator/Engine.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorOptions, TopicCounts } from "../../src/simulator/Simulator.ts"
import { connect, ReplayedBook, withoutTime } from "./ToyClient.ts"
import type { ToyClient } from "./ToyClient.ts"
import { binaryToy, toy } from "./ToyDialect.ts"

const pair = "BTC/USDT"

/** Moved by `tick` alone. */
const manual = (options: Partial<SimulatorOptions> = {}) =>
  MemoryNetwork.layerHttpClient.pipe(
    Layer.provideMerge(
      Simulator.layerMemory({
        dialects: [toy],
        pairs: [pair, "ETH/USDT"],
        seed: 11,
        rate: 400,
        autoRun: false,
        ...options
      })
    )
  )

const dial = (exchange = "toy") => Effect.flatMap(Simulator.Simulator, ({ urls }) => connect(urls[exchange]!.ws))

const subscribed = (...topics: ReadonlyArray<string>) =>
  Effect.map(dial(), (client) => {
    for (const topic of topics) client.send("sub", topic)
    return client
  })

const tick = (count: number) => Effect.flatMap(Simulator.Simulator, (simulator) => simulator.tick(count))

const replay = (client: ToyClient, topic: string): ReplayedBook => {
  const book = new ReplayedBook(client.of("snapshot", topic)[0]!.book)
  for (const { delta } of client.of("delta", topic)) book.apply(delta)
  return book
}

const topicCounts = (topic: string): Effect.Effect<TopicCounts, never, Simulator.Simulator> =>
  Effect.map(Simulator.Simulator, (simulator) => simulator.counts().exchanges["toy"]!.topics[topic]!)

/** The ledger of a topic must add up to the frame and to the event. */
const assertBalanced = (counts: TopicCounts) => {
  for (const unit of ["frames", "events"] as const) {
    const { gap, silence, halfOpen } = counts.suppressed
    assert.strictEqual(
      counts.offered[unit] + counts.duplicated[unit],
      counts.sent[unit] + gap[unit] + silence[unit] + halfOpen[unit] + counts.discarded[unit] + counts.held[unit],
      unit
    )
  }
}

const get = (path: string, base?: string) =>
  Effect.gen(function*() {
    const { urls } = yield* Simulator.Simulator
    return yield* HttpClient.get(`${base ?? urls["toy"]!.rest}${path}`)
  })

const getJson = (path: string, base?: string) => Effect.flatMap(get(path, base), (response) => response.json)

/** Counts the intervals behind its first request. */
const watching = (): ExchangeDialect => {
  let seen = -1
  return {
    ...toy,
    onHttp: (_request, world) => {
      if (seen < 0) world.watch({ _tag: "Ticker", pair, everyMillis: 10, repeat: true, listener: () => seen++ })
      seen = Math.max(seen, 0)
      return { status: 200, headers: {}, body: JSON.stringify({ seen }) }
    }
  }
}

/** An engine without a network and without markets' own moves. */
const bareEngine = (clock?: EngineClock) =>
  new Engine({
    dialects: [toy],
    pairs: [pair],
    draws: () => ({ nextDoubleUnsafe: () => 0.5 }),
    limits: "off",
    bookPhases: "shared",
    rate: 0,
    tradeRate: 0,
    levels: 10,
    history: 1_024,
    version: 1,
    tickMillis: 10,
    epoch: 5_000,
    clock
  })

describe("books on the wire", () => {
  it.effect.prop(
    "replaying every delta gives the truth exactly, for whole books and for windows, whenever one joins",
    [
      Schema.String,
      Schema.Literals([1, 3, 20, 45]),
      Schema.Array(Schema.Struct({
        ticks: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })),
        every: Schema.Literals([0, 10, 20, 100, 1_000]),
        window: Schema.UndefinedOr(Schema.Literals([1, 5, 20, 60]))
      })).check(Schema.isMinLength(1), Schema.isMaxLength(8))
    ],
    ([seed, levels, steps]) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        const subscriptions: Array<
          { readonly client: ToyClient; readonly topic: string; readonly window: number | undefined }
        > = []
        for (const { ticks, every, window } of steps) {
          const topic = `depth${window ?? ""}:BTC_USDT:${every}`
          subscriptions.push({ client: yield* subscribed(topic), topic, window })
          yield* simulator.tick(ticks)
          for (const { client, topic, window } of subscriptions) {
            const replayed = replay(client, topic).levels()
            const truth = simulator.truth("toy", pair, replayed.version, window)
            assert.isDefined(truth)
            assert.deepStrictEqual(replayed, withoutTime(truth!))
          }
        }
        // To the end of the longest interval.
        yield* simulator.tick(100 - (simulator.counts().ticks % 100))
        for (const { client, topic } of subscriptions) {
          assert.strictEqual(
            replay(client, topic).version,
            simulator.book("toy", pair)?.version,
            "everyone has been told"
          )
          assertBalanced(yield* topicCounts(topic))
        }
      }).pipe(Effect.provide(manual({ seed, levels: Math.max(2, levels), rate: 1_500 }))),
    { arbitrary: { runs: 25 } }
  )

  it.effect("watchers of one topic at one interval get the same deltas at the same moments", () =>
    Effect.gen(function*() {
      const first = yield* subscribed("depth20:BTC_USDT:100")
      yield* tick(13)
      const second = yield* subscribed("depth20:BTC_USDT:100")
      yield* tick(40)
      const before = first.of("delta")
      const after = second.of("delta")
      assert.strictEqual(before.length, 5)
      assert.strictEqual(after.length, 4)
      assert.strictEqual(after[0]!.delta.firstVersion, second.of("snapshot")[0]!.book.version + 1)
      assert.deepStrictEqual(after.slice(1), before.slice(2))
    }).pipe(Effect.provide(manual())))

  it.effect("with phases of their own, connections get the same changes cut into other deltas", () =>
    Effect.gen(function*() {
      const first = yield* subscribed("depth20:BTC_USDT:100")
      const second = yield* subscribed("depth20:BTC_USDT:100")
      yield* tick(60)
      const ends = ({ of }: ToyClient) => of("delta").map(({ delta }) => delta.version)
      assert.strictEqual(ends(first).length, 6)
      assert.strictEqual(ends(second).length, 6)
      assert.isFalse(ends(second).some((version) => ends(first).includes(version)))
      const simulator = yield* Simulator.Simulator
      for (const client of [first, second]) {
        const replayed = replay(client, "depth20:BTC_USDT:100").levels()
        assert.deepStrictEqual(replayed, withoutTime(simulator.truth("toy", pair, replayed.version, 20)!))
      }
    }).pipe(Effect.provide(manual({ bookPhases: "own", rate: 1_500 }))))

  it.effect("a version that advances outside the window is news without levels", () =>
    Effect.gen(function*() {
      const { publish } = yield* Simulator.Simulator
      const client = yield* subscribed("depth1:BTC_USDT:0")
      yield* publish("toy", pair, { _tag: "Level", side: "bid", price: "1.00", quantity: "3" })
      const [message] = client.of("delta")
      assert.deepStrictEqual([message?.delta.bids, message?.delta.asks], [[], []])
      assert.strictEqual(message?.delta.version, client.of("snapshot")[0]!.book.version + 1)
    }).pipe(Effect.provide(manual({ rate: 0 }))))

  it.effect("a delta is told before the history runs out, however long the interval", () =>
    Effect.gen(function*() {
      const client = yield* subscribed("depth:BTC_USDT:100000", "trades:BTC_USDT:100000")
      yield* tick(300)
      const deltas = client.of("delta")
      assert.isAbove(deltas.length, 1)
      const simulator = yield* Simulator.Simulator
      yield* simulator.tick(10_000)
      const trades = client.of("trades").flatMap(({ trades }) => trades)
      assert.deepStrictEqual(trades.map(({ id }) => id), trades.map((_, index) => index + 1))
      assert.isAbove(trades.length, 4_096)
      replay(client, "depth:BTC_USDT:100000")
    }).pipe(Effect.provide(manual({ rate: 2_000, tradeRate: 100, history: 1_024 }))))
})

describe("tickers and trades", () => {
  it.effect("a ticker comes when the best levels changed, with the version that changed them; or every interval", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("ticker:BTC_USDT:20", "tickers:BTC_USDT:20")
      yield* tick(400)
      const tickers = client.of("ticker", "ticker:BTC_USDT:20").map(({ ticker }) => ticker)
      const repeated = client.of("ticker", "tickers:BTC_USDT:20").map(({ ticker }) => ticker)
      assert.strictEqual(repeated.length, 200)
      assert.isTrue(tickers.length > 10 && tickers.length < 200, `${tickers.length} tickers`)
      for (const [index, { version, bid, ask, time }] of tickers.entries()) {
        const truth = simulator.truth("toy", pair, version, 1)!
        assert.deepStrictEqual([bid, ask, time], [truth.bids[0]!, truth.asks[0]!, truth.time])
        if (index > 0) assert.isAbove(version, tickers[index - 1]!.version)
      }
      assert.deepStrictEqual(
        repeated.filter(({ version }, i) => i === 0 || version > repeated[i - 1]!.version).slice(-5),
        tickers.slice(-5)
      )
    }).pipe(Effect.provide(manual({ rate: 30, tradeRate: 0 }))))

  it.effect("an empty side is null", () =>
    Effect.gen(function*() {
      const { publish, book } = yield* Simulator.Simulator
      const client = yield* subscribed("ticker:BTC_USDT:0")
      for (const { price } of book("toy", pair)!.asks) {
        yield* publish("toy", pair, { _tag: "Level", side: "ask", price, quantity: "0" })
      }
      assert.isNull(client.of("ticker").at(-1)?.ticker.ask)
      assert.isNotNull(client.of("ticker").at(-1)?.ticker.bid)
    }).pipe(Effect.provide(manual({ rate: 0, levels: 3 }))))

  it.effect("every trade is told once, in order, at any interval", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("trades:BTC_USDT:0", "trades:BTC_USDT:100")
      yield* tick(500)
      const late = yield* subscribed("trades:BTC_USDT:0")
      yield* tick(100)
      const truth = simulator.trades("toy", pair)
      const told = (from: ToyClient, topic?: string) => from.of("trades", topic).flatMap(({ trades }) => trades)
      assert.isAbove(truth.length, 100)
      assert.deepStrictEqual(told(client, "trades:BTC_USDT:0"), truth)
      assert.deepStrictEqual(told(client, "trades:BTC_USDT:100"), truth)
      assert.deepStrictEqual(told(late), truth.slice(-told(late).length))
      assert.isBelow(client.of("trades", "trades:BTC_USDT:100").length, 61)
      const counts = yield* topicCounts("trades:BTC_USDT:100")
      assert.strictEqual(counts.sent.events, truth.length)
      assert.strictEqual(counts.sent.frames, client.of("trades", "trades:BTC_USDT:100").length)
      assert.deepStrictEqual([counts.channel, counts.pair], ["Trades", pair])
    }).pipe(Effect.provide(manual())))

  it.effect("what is published is told exactly, at once where no interval is asked for", () =>
    Effect.gen(function*() {
      const { publish, book } = yield* Simulator.Simulator
      const client = yield* subscribed("trades:BTC_USDT:0", "depth:BTC_USDT:0", "trades:BTC_USDT:20")
      const price = book("toy", pair)!.bids[0]!.price
      const id = yield* publish("toy", pair, { _tag: "Trade", side: "sell", price, quantity: "0.5" })
      const version = yield* publish("toy", pair, { _tag: "Level", side: "bid", price, quantity: "7" })
      assert.deepStrictEqual(client.of("trades").map(({ trades }) => trades), [[{
        id,
        price,
        side: "sell",
        quantity: "0.500000",
        time: 0
      }]])
      assert.deepStrictEqual(client.of("delta")[0]?.delta, {
        firstVersion: version,
        version,
        bids: [{ price, quantity: "7.000000" }],
        asks: [],
        time: 0
      })
      yield* tick(2)
      assert.strictEqual(client.of("trades", "trades:BTC_USDT:20").length, 1)
      const failure = yield* Effect.flip(
        publish("toy", "FOO/BAR", { _tag: "Trade", side: "buy", price: "1", quantity: "1" })
      )
      assert.strictEqual(failure.message, "simulator, publish: there is no FOO/BAR on toy")
      const crossing = yield* Effect.flip(publish("toy", pair, { _tag: "Level", side: "ask", price, quantity: "1" }))
      assert.include(crossing.message, "cross")
    }).pipe(Effect.provide(manual({ rate: 0 }))))
})

describe("repeatability", () => {
  const record = (options: Partial<SimulatorOptions>, meddle: boolean) =>
    Effect.gen(function*() {
      const client = yield* subscribed("depth5:BTC_USDT:10", "trades:ETH_USDT:20", "tickers:BTC_USDT:10")
      yield* tick(100)
      // What others do changes nothing.
      if (meddle) yield* subscribed("depth:ETH_USDT:10")
      yield* tick(100)
      return client.frames
    }).pipe(Effect.provide(manual(options)))

  const same = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>) => JSON.stringify(a) === JSON.stringify(b)

  it.effect("the same seed and ticks give the same frames, with the same faults too", () =>
    Effect.gen(function*() {
      const frames = yield* record({ seed: "x" }, false)
      assert.isAbove(frames.length, 200)
      assert.isTrue(same(yield* record({ seed: "x" }, true), frames))
      assert.isFalse(same(yield* record({ seed: "y" }, false), frames))
      const faulty = { seed: "x", faults: ["gap:10%", "corrupt:5%", "duplicate:5%"] }
      const hurt = yield* record(faulty, false)
      assert.isFalse(same(hurt, frames))
      assert.isTrue(same(yield* record(faulty, false), hurt))
    }))

  it.effect("every exchange has its own prices around a common one, and its own versions", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const versions = simulator.pairs.flatMap((pair) =>
        ["toy", "toy-binary"].map((id) => simulator.book(id, pair)!.version)
      )
      assert.strictEqual(new Set(versions).size, 4)
      yield* tick(2_000)
      const middle = (id: string) => {
        const { bids, asks } = simulator.book(id, pair, 1)!
        return (Number(bids[0]!.price) + Number(asks[0]!.price)) / 2
      }
      assert.notStrictEqual(middle("toy"), middle("toy-binary"))
      assert.closeTo(middle("toy") / middle("toy-binary"), 1, 0.002)
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy] }))))

  it.effect("books start at the version that is asked for", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* tick(50)
      assert.isAbove(simulator.book("toy", pair)!.version, 9_000_000_000_000_000)
      assert.strictEqual(simulator.truth("toy", pair, 9_000_000_000_000_000)?.bids.length, 150)
      assert.isUndefined(simulator.truth("toy", pair, 1))
      assert.isUndefined(simulator.truth("nowhere", pair, 1))
      assert.isUndefined(simulator.book("toy", "FOO/BAR"))
      assert.deepStrictEqual(simulator.trades("nowhere", pair), [])
      assert.strictEqual(simulator.topics("nowhere").size, 0)
    }).pipe(Effect.provide(manual({ version: 9_000_000_000_000_000 }))))
})

describe("time", () => {
  it.effect("runs on Effect's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      yield* Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        const client = yield* subscribed("tickers:BTC_USDT:100")
        yield* TestClock.adjust("10 seconds")
        const tickers = client.of("ticker")
        assert.deepStrictEqual(
          tickers.map(({ at }) => at),
          Array.from({ length: 100 }, (_, i) => 1_700_000_000_100 + i * 100)
        )
        const { ticks, skippedTicks, elapsedMillis, at } = simulator.counts()
        assert.deepStrictEqual([ticks, skippedTicks, elapsedMillis, at], [1_000, 0, 10_000, 1_700_000_010_000])
      }).pipe(Effect.provide(manual({ autoRun: true })))
    }))

  it.effect("ticks that a test has made ahead of the clock are not made again", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("tickers:BTC_USDT:10")
      yield* simulator.tick(3)
      yield* TestClock.adjust("30 millis")
      assert.strictEqual(simulator.counts().ticks, 3)
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(simulator.counts().ticks, 4)
      assert.strictEqual(client.of("ticker").length, 4)
    }).pipe(Effect.provide(manual({ autoRun: true }))))

  it("ticks that are far too late are left out and counted", () => {
    const time = { now: 5_000, elapsed: 0 }
    const engine = bareEngine({ now: () => time.now, elapsed: () => time.elapsed })
    const made = () => {
      const { ticks, skippedTicks } = engine.counts()
      return [ticks, skippedTicks]
    }
    time.elapsed = 9.5
    assert.strictEqual(engine.advance(), 0.5)
    assert.deepStrictEqual(made(), [0, 0])
    time.elapsed = 103
    assert.strictEqual(engine.advance(), 7)
    assert.deepStrictEqual(made(), [10, 0])
    time.elapsed = 1_108
    assert.strictEqual(engine.advance(), 2)
    assert.deepStrictEqual(made(), [20, 90])
    // Where the wall clock has stayed behind, nothing happens in its future.
    assert.strictEqual(engine.time, 5_000)
    time.now = 7_000
    assert.strictEqual(engine.time, 6_108)
    assert.strictEqual(engine.now(), 7_000)
  })

  it.effect("pausing holds the market; connections and timers go on", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("depth:BTC_USDT:10")
      yield* tick(10)
      yield* simulator.pause
      const version = simulator.book("toy", pair)!.version
      client.send("later", "50")
      yield* tick(10)
      assert.strictEqual(simulator.book("toy", pair)!.version, version)
      assert.strictEqual(client.of("late").length, 1)
      client.send("ping")
      assert.strictEqual(client.of("pong").length, 1)
      yield* simulator.resume
      yield* tick(10)
      assert.isAbove(simulator.book("toy", pair)!.version, version)
    }).pipe(Effect.provide(manual())))

  it.effect("timers run once, in order, can be cancelled, and end with the connection", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      client.send("later", "30")
      client.send("later", "10")
      client.send("later-cancelled", "20")
      yield* tick(1)
      assert.strictEqual(client.of("late").length, 1)
      yield* tick(10)
      assert.strictEqual(client.of("late").length, 2)
      client.send("later", "10")
      client.close()
      yield* tick(10)
      assert.strictEqual(client.of("late").length, 2)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.control.notice, 2)
    }).pipe(Effect.provide(manual())))

  it.effect("a timer that is due together with one that ends its connection does not run", () =>
    Effect.gen(function*() {
      const client = yield* dial()
      yield* tick(3)
      assert.deepStrictEqual(client.closes, [[1_000, "first"]])
    }).pipe(Effect.provide(manual({
      dialects: [{
        ...toy,
        connect: (world, peer) => {
          peer.after(20, () => peer.close(1_000, "first"))
          peer.after(20, () => assert.fail("the connection is over"))
          return toy.connect(world, peer, { limits: "off" })
        }
      }]
    }))))

  it.effect("`until` waits for what clients do and for what ticks bring", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const topics = yield* Effect.forkChild(simulator.until(() => simulator.topics("toy").has("trades:BTC_USDT:0")))
      const ticks = yield* Effect.forkChild(simulator.until(() => simulator.counts().ticks >= 5))
      yield* Effect.yieldNow
      const client = yield* dial()
      assert.isUndefined(topics.pollUnsafe())
      client.send("sub", "trades:BTC_USDT:0")
      yield* Fiber.join(topics)
      yield* simulator.tick(4)
      assert.isUndefined(ticks.pollUnsafe())
      yield* simulator.tick()
      yield* Fiber.join(ticks)
      yield* simulator.until(() => true)
      const throwing = yield* Effect.forkChild(
        simulator.until(() => {
          if (simulator.counts().ticks > 5) throw new Error("a defect of the test")
          return false
        }),
        { startImmediately: true }
      )
      yield* simulator.tick()
      assert.isTrue(Exit.hasDies(yield* Fiber.await(throwing)))
      const never = yield* Effect.forkChild(simulator.until(() => false))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(never)
      client.send("unsub", "trades:BTC_USDT:0")
      assert.strictEqual(simulator.topics("toy").size, 0)
    }).pipe(Effect.provide(manual())))
})

describe("connections", () => {
  it.effect("counts what clients do and what they are answered", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      for (const op of ["ping", "ping", "nonsense", "quiet"]) client.send(op)
      client.send("sub", "trades:BTC_USDT:0")
      client.send("sub", "trades:NO_PAIR:0")
      client.send("sub", "gibberish")
      client.send("close", "4000")
      client.send("ping")
      assert.deepStrictEqual(client.closes, [[4_000, "asked for"]])
      const other = yield* dial()
      other.close()
      other.close()
      other.send("ping")
      const { client: counts, control, connections, dials } = simulator.counts().exchanges["toy"]!
      assert.deepStrictEqual(counts, {
        frames: 8,
        pings: 2,
        requests: 3,
        errors: 1,
        unanswered: 2,
        lost: 0,
        late: 0,
        protocolPings: 0
      })
      assert.deepStrictEqual(control, { ack: 1, reject: 2, pong: 2, notice: 0, error: 1 })
      assert.deepStrictEqual(connections, {
        accepted: 2,
        refused: 0,
        open: 0,
        halfOpen: 0,
        dropped: 0,
        closedByExchange: 1,
        closedByClient: 1,
        slow: 0,
        errors: 0
      })
      assert.deepStrictEqual(dials.map(({ outcome }) => outcome), ["accepted", "accepted"])
    }).pipe(Effect.provide(manual())))

  it.effect("what a connection watched ends with it", () =>
    Effect.gen(function*() {
      const client = yield* subscribed("depth:BTC_USDT:10")
      yield* tick(5)
      const { offered } = yield* topicCounts("depth:BTC_USDT:10")
      client.close()
      yield* tick(50)
      assert.deepStrictEqual((yield* topicCounts("depth:BTC_USDT:10")).offered, offered)
    }).pipe(Effect.provide(manual())))

  it.effect("a dialect that throws ends its connection, not the simulator", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const bad = yield* dial()
      const good = yield* subscribed("depth:BTC_USDT:10")
      bad.send("throw")
      assert.deepStrictEqual(bad.closes, [[1_011, "the simulated exchange has failed"]])
      yield* tick(5)
      assert.isAbove(good.of("delta").length, 0)
      const [failure] = simulator.counts().failures
      assert.include(failure, "toy: Error: a defect of the dialect")
      const response = yield* get("/throw")
      assert.strictEqual(response.status, 500)
      assert.strictEqual(simulator.counts().failures.length, 2)
      for (let i = 0; i < 150; i++) yield* get("/throw")
      assert.strictEqual(simulator.counts().failures.length, 100)
    }).pipe(Effect.provide(manual())))

  it.effect("a dialect that throws in a listener, in `connect` or at the end is no different", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const broken = yield* Effect.forEach(["listener", "connect", "close", "unknown"], (id) => dial(id))
      yield* tick(20)
      for (const client of broken) client.close()
      const { failures, exchanges } = simulator.counts()
      assert.deepStrictEqual(failures.map((text) => text.split("\n")[0]!).sort(), [
        "close: TypeError: oops",
        "connect: Error: oops",
        "listener: Error: oops",
        "unknown: RangeError: a dialect watches NO/PAIR, which is not among the world's markets"
      ])
      for (const { connections } of Object.values(exchanges)) assert.strictEqual(connections.open, 0)
    }).pipe(Effect.provide(manual({
      dialects: [
        {
          ...toy,
          id: "listener",
          connect: (world, peer) => {
            world.watch({
              _tag: "Ticker",
              pair,
              everyMillis: 0,
              repeat: true,
              listener: () => {
                throw new Error("oops")
              }
            })
            return toy.connect(world, peer, { limits: "off" })
          }
        },
        {
          ...toy,
          id: "connect",
          connect: () => {
            throw new Error("oops")
          }
        },
        {
          ...toy,
          id: "close",
          connect: (world, peer) => ({
            ...toy.connect(world, peer, { limits: "off" }),
            onClose: () => {
              throw new TypeError("oops")
            }
          })
        },
        {
          ...toy,
          id: "unknown",
          connect: (world, peer) => {
            world.watch({ _tag: "Trades", pair: "NO/PAIR", everyMillis: 0, listener: () => {} })
            return toy.connect(world, peer, { limits: "off" })
          }
        }
      ]
    }))))

  it.effect("a dialect may watch for itself, without a connection", () =>
    Effect.gen(function*() {
      yield* tick(1)
      assert.deepStrictEqual(yield* getJson("/watched"), { seen: 0 })
      yield* tick(5)
      assert.deepStrictEqual(yield* getJson("/watched"), { seen: 5 })
    }).pipe(Effect.provide(manual({ dialects: [watching()] }))))

  it.effect("a dialect may hang up while it is being connected", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      assert.deepStrictEqual(client.closes, [[1_008, "no"]])
      client.send("ping")
      assert.strictEqual(simulator.counts().exchanges["toy"]!.client.frames, 0)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.connections.closedByExchange, 1)
      // Whoever is gone can neither be written to nor be reminded.
      assert.strictEqual(simulator.counts().exchanges["toy"]!.controlLost, 1)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.topics["late"]?.discarded.events, 3)
    }).pipe(Effect.provide(manual({
      dialects: [{
        ...toy,
        connect: (_world, peer) => {
          peer.close(1_008, "no")
          peer.after(10, () => assert.fail("the connection is over"))()
          peer.send("late", { _tag: "Control", kind: "notice" })
          peer.send("late", { _tag: "Data", topic: "late", events: 3 })
          return { onFrame: () => assert.fail("the connection is over"), onClose: () => {}, topics: () => new Set() }
        }
      }]
    }))))

  it.effect("nobody listens elsewhere", () =>
    Effect.gen(function*() {
      const { urls } = yield* Simulator.Simulator
      for (
        const url of [
          "ws://simulator.memory/toy/ws/v2",
          "ws://simulator.memory/other/ws",
          "ws://elsewhere/toy/ws/v1",
          "nonsense",
          "ws://simulator.memory"
        ]
      ) {
        assert.include((yield* Effect.flip(connect(url))).refused, "nobody listens")
      }
      // With or without the slash at the end.
      yield* connect("ws://simulator.memory/toy/ws/v1")
      assert.strictEqual(urls["toy"]!.ws, "ws://simulator.memory/toy/ws/v1/")
      const network = yield* MemoryNetwork.MemoryNetwork
      const request = { method: "GET", headers: {}, body: "" }
      yield* Effect.flip(network.request({ ...request, url: "http://elsewhere/toy" }))
      yield* Effect.flip(network.request({ ...request, url: "nonsense" }))
    }).pipe(Effect.provide(manual())))

  it.effect("all sockets end with the simulator", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { network, simulator } = yield* Simulator.makeMemory({ dialects: [toy] }).pipe(Scope.provide(scope))
      const client = yield* connect(simulator.urls["toy"]!.ws).pipe(
        Effect.provideService(MemoryNetwork.MemoryNetwork, network)
      )
      assert.strictEqual(simulator.pairs.length, 16)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(client.closes, [[1_006, ""]])
    }))
})

describe("faults", () => {
  const depth = "depth:BTC_USDT:10"

  it.effect("drop closes what is open, at its time, with its code, once", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const first = yield* subscribed(depth)
      const binary = yield* dial("toy-binary")
      yield* tick(4)
      assert.deepStrictEqual(first.closes, [])
      yield* tick(1)
      assert.deepStrictEqual([first.closes, binary.closes], [[[1_006, ""]], [[1_006, ""]]])
      const second = yield* subscribed(depth)
      yield* tick(20)
      assert.deepStrictEqual(second.closes, [])
      yield* simulator.inject("drop:4001,on=toy-binary")
      assert.deepStrictEqual(second.closes, [])
      yield* simulator.inject({ _tag: "Drop", exchange: "toy", code: 1_001 })
      assert.deepStrictEqual(second.closes, [[1_001, ""]])
      const counts = simulator.counts()
      assert.deepStrictEqual(counts.faults, [
        { id: 1, fault: "drop@50ms", active: false, applied: 2 },
        { id: 2, fault: "drop:4001,on=toy-binary", active: false, applied: 0 },
        { id: 3, fault: "drop:1001,on=toy", active: false, applied: 1 }
      ])
      assert.strictEqual(counts.exchanges["toy"]!.connections.dropped, 2)
      assert.strictEqual(counts.exchanges["toy"]!.connections.open, 0)
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy], faults: ["drop@50ms"] }))))

  it.effect("a fault that is cleared before its time does nothing", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      const id = yield* simulator.inject("drop@50ms")
      yield* simulator.inject("drop@60ms")
      yield* simulator.clear(id)
      yield* simulator.clear(99)
      yield* tick(5)
      assert.deepStrictEqual(client.closes, [])
      yield* simulator.clear()
      yield* tick(5)
      assert.deepStrictEqual(client.closes, [])
      assert.deepStrictEqual(simulator.counts().faults.map(({ applied }) => applied), [0, 0])
    }).pipe(Effect.provide(manual())))

  it.effect("refuse refuses new sockets for its time", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* dial()
      yield* tick(1)
      assert.strictEqual((yield* Effect.flip(dial())).refused, "HTTP 503")
      yield* tick(2)
      yield* dial()
      yield* simulator.inject("refuse:reset")
      assert.strictEqual((yield* Effect.flip(dial())).refused, "connection reset")
      const { dials, connections } = simulator.counts().exchanges["toy"]!
      assert.deepStrictEqual(dials, [
        { at: 0, outcome: "accepted" },
        { at: 10, outcome: "refused" },
        { at: 30, outcome: "accepted" },
        { at: 30, outcome: "refused" }
      ])
      assert.deepStrictEqual([connections.accepted, connections.refused, connections.open], [2, 2, 2])
      for (let i = 0; i < 10_000; i++) yield* Effect.flip(dial())
      assert.strictEqual(simulator.counts().exchanges["toy"]!.dials.length, 10_000)
    }).pipe(Effect.provide(manual({ faults: ["refuse@10ms:20ms"] }))))

  it.effect("half-open: the socket stays, and nothing passes any more", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed(depth)
      yield* tick(5)
      const seen = client.frames.length
      yield* simulator.inject("half-open")
      yield* simulator.inject("half-open")
      client.send("ping")
      client.send("close", "4000")
      yield* tick(20)
      assert.strictEqual(client.frames.length, seen)
      assert.deepStrictEqual(client.closes, [])
      assert.strictEqual(simulator.topics("toy").size, 0)
      const fresh = yield* subscribed(depth)
      yield* tick(5)
      assert.isAbove(fresh.of("delta").length, 0)
      assert.strictEqual(simulator.topics("toy").size, 1)
      const counts = yield* topicCounts(depth)
      assert.isAbove(counts.suppressed.halfOpen.frames, 10)
      assertBalanced(counts)
      assert.deepStrictEqual(simulator.counts().faults.map(({ applied }) => applied), [1, 0])
      assert.strictEqual(simulator.counts().exchanges["toy"]!.connections.halfOpen, 1)
      yield* simulator.inject("drop")
      assert.deepStrictEqual(client.closes, [[1_006, ""]])
    }).pipe(Effect.provide(manual())))

  it.effect("half-open for a time takes the sockets that come in it, and the exchange gives them up unheard", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const before = yield* dial()
      before.send("later", "100")
      yield* simulator.inject("half-open@0ms:50ms")
      const within = yield* dial()
      within.send("ping")
      yield* tick(5)
      const after = yield* dial()
      after.send("ping")
      yield* tick(20)
      assert.deepStrictEqual([before, within, after].map(({ frames }) => frames.length), [0, 0, 1])
      assert.strictEqual(simulator.counts().exchanges["toy"]!.controlLost, 1)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.connections.halfOpen, 2)
      within.close()
      assert.strictEqual(simulator.counts().exchanges["toy"]!.connections.open, 2)
      // A defect ends a half-open connection for the exchange alone.
      assert.deepStrictEqual(before.closes, [])
    }).pipe(Effect.provide(manual())))

  it.effect("a half-open client does not learn that the exchange has hung up", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      yield* simulator.inject("half-open")
      yield* tick(2)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.connections.closedByExchange, 1)
      assert.deepStrictEqual(client.closes, [])
    }).pipe(Effect.provide(manual({
      dialects: [{
        ...toy,
        connect: (world, peer) => {
          peer.after(20, () => peer.close(1_000, "idle"))
          return toy.connect(world, peer, { limits: "off" })
        }
      }]
    }))))

  it.effect("silence keeps the data of a topic back, and nothing else", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed(depth, "depth:ETH_USDT:10", "trades:BTC_USDT:10")
      const id = yield* simulator.inject("silence:BTC/USDT,topic=depth*")
      yield* tick(50)
      assert.strictEqual(client.of("delta", depth).length, 0)
      assert.isAbove(client.of("delta", "depth:ETH_USDT:10").length, 20)
      assert.isAbove(client.of("trades").length, 5)
      const counts = yield* topicCounts(depth)
      assert.strictEqual(counts.suppressed.silence.frames, simulator.counts().faults[0]!.applied)
      assertBalanced(counts)
      yield* simulator.clear(id)
      yield* tick(5)
      assert.isAbove(client.of("delta", depth).length, 0)
    }).pipe(Effect.provide(manual())))

  it.effect("gap loses exactly the deltas that it counts", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed(depth, "trades:BTC_USDT:10", "ticker:BTC_USDT:10")
      yield* tick(20)
      yield* simulator.inject("gap:3")
      yield* tick(200)
      const deltas = client.of("delta").map(({ delta }) => delta)
      const holes = deltas.filter(({ firstVersion }, i) => i > 0 && firstVersion !== deltas[i - 1]!.version + 1)
      assert.strictEqual(holes.length, 1, "three frames in a row")
      const counts = yield* topicCounts(depth)
      assert.deepStrictEqual(counts.suppressed.gap, { frames: 3, events: 3 })
      assert.strictEqual(counts.sent.frames, deltas.length + 1)
      assertBalanced(counts)
      assert.deepStrictEqual((yield* topicCounts("trades:BTC_USDT:10")).suppressed.gap, { frames: 0, events: 0 })
      assert.deepStrictEqual(simulator.counts().faults, [{ id: 1, fault: "gap:3", active: false, applied: 3 }])
    }).pipe(Effect.provide(manual())))

  it.effect.prop(
    "whatever the faults do to frames, the ledger is exact and matches what arrived",
    [
      Schema.String,
      Schema.Array(Schema.Literals([
        "gap:20%",
        "duplicate:20%",
        "reorder:20%",
        "corrupt:20%",
        "corrupt:20%,mode=flip",
        "delay:30ms",
        "delay:55ms@100ms:200ms",
        "silence@200ms:100ms",
        "half-open@450ms",
        "drop@480ms"
      ]))
    ],
    ([seed, faults]) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        const topics = [depth, "trades:BTC_USDT:10", "tickers:ETH_USDT:20"]
        const client = yield* subscribed(...topics)
        yield* tick(50)
        const counts = simulator.counts().exchanges["toy"]!
        let sent = counts.control.ack
        for (const topic of topics) {
          const ledger = counts.topics[topic]!
          assertBalanced(ledger)
          sent += ledger.sent.frames
        }
        assert.strictEqual(client.frames.length, sent, "every frame that was sent arrived")
        const corrupted = topics.reduce((sum, topic) => sum + counts.topics[topic]!.corrupted.frames, 0)
        const applied = (kind: string) =>
          simulator.counts().faults.filter(({ fault }) => fault.startsWith(kind)).reduce(
            (sum, { applied }) => sum + applied,
            0
          )
        assert.strictEqual(corrupted, applied("corrupt"))
        assert.strictEqual(
          topics.reduce((sum, topic) => sum + counts.topics[topic]!.reordered.frames, 0),
          applied("reorder")
        )
        assert.strictEqual(
          topics.reduce((sum, topic) => sum + counts.topics[topic]!.duplicated.frames, 0),
          applied("duplicate")
        )
        assert.strictEqual(counts.topics[depth]!.suppressed.gap.frames, applied("gap"))
        yield* simulator.inject("drop")
        for (const topic of topics) {
          const ledger = simulator.counts().exchanges["toy"]!.topics[topic]!
          assertBalanced(ledger)
          assert.deepStrictEqual(ledger.held, { frames: 0, events: 0 })
        }
      }).pipe(Effect.provide(manual({ seed, faults }))),
    { arbitrary: { runs: 40 } }
  )

  it.effect("duplicate sends the same frame twice", () =>
    Effect.gen(function*() {
      const client = yield* subscribed(depth)
      yield* tick(50)
      const { duplicated } = yield* topicCounts(depth)
      const deltas = client.of("delta")
      const twice = deltas.filter(({ delta }, i) => i > 0 && delta.version === deltas[i - 1]!.delta.version)
      // The snapshot was the first of them.
      assert.strictEqual(client.of("snapshot").length, 2)
      assert.strictEqual(twice.length, 4)
      assert.deepStrictEqual(duplicated, { frames: 5, events: 5 })
    }).pipe(Effect.provide(manual({ faults: ["duplicate:5"] }))))

  it.effect("reorder lets a frame change places with the next of its topic", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed(depth, "tickers:BTC_USDT:10")
      yield* tick(5)
      yield* simulator.inject("reorder:1,topic=depth*")
      yield* tick(1)
      assert.deepStrictEqual((yield* topicCounts(depth)).held, { frames: 1, events: 1 })
      yield* tick(30)
      const versions = client.of("delta").map(({ delta }) => delta.version)
      const inOrder = versions.toSorted((a, b) => a - b)
      const moved = versions.flatMap((version, i) => (version === inOrder[i] ? [] : [i]))
      assert.strictEqual(moved.length, 2)
      assert.strictEqual(moved[1], moved[0]! + 1)
      assert.deepStrictEqual((yield* topicCounts(depth)).held, { frames: 0, events: 0 })
      assert.strictEqual(client.of("ticker").length, 36)
    }).pipe(Effect.provide(manual())))

  it.effect("corrupt makes frames unreadable, text and bytes", () =>
    Effect.gen(function*() {
      const client = yield* subscribed("tickers:BTC_USDT:10")
      const binary = yield* dial("toy-binary")
      binary.send("sub", "tickers:BTC_USDT:10")
      yield* tick(20)
      for (const from of [client, binary]) {
        assert.strictEqual(from.frames.length, 21)
        assert.strictEqual(from.of("ticker").length, 0)
        assert.isTrue(from.frames.slice(1).every(({ length }) => length >= 50))
      }
      assert.strictEqual((yield* topicCounts("tickers:BTC_USDT:10")).corrupted.frames, 20)
      assert.instanceOf(binary.frames[1], Uint8Array)
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy], faults: ["corrupt:100%"] }))))

  it.effect("corrupt can flip a single bit", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* tick(100)
      yield* simulator.pause
      const clients = [yield* subscribed("tickers:BTC_USDT:10"), yield* dial("toy-binary")]
      clients[1]!.send("sub", "tickers:BTC_USDT:10")
      yield* tick(1)
      const fault = yield* simulator.inject("corrupt:100%,mode=flip")
      yield* tick(30)
      yield* simulator.clear(fault)
      for (const { frames } of clients) {
        const bytes = frames.slice(1).map((frame) => Buffer.from(frame as string))
        const bits = bytes.slice(1).map((frame) => {
          assert.strictEqual(frame.length, bytes[0]!.length)
          // Only the time of sending differs from frame to frame; it is at the end.
          let differing = 0
          for (let i = 0; i < frame.length - 12; i++) {
            for (let bit = frame[i]! ^ bytes[0]![i]!; bit > 0; bit &= bit - 1) differing++
          }
          return differing
        })
        assert.isTrue(bits.every((count) => count <= 1))
        assert.isAbove(bits.filter((count) => count === 1).length, 20)
      }
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy] }))))

  it.effect("delay keeps the order, control frames and the close included", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("tickers:BTC_USDT:10")
      assert.strictEqual(client.frames.length, 0)
      yield* tick(5)
      assert.deepStrictEqual(client.messages().map(({ type }) => type), ["ack"])
      yield* tick(5)
      assert.deepStrictEqual(client.of("ticker").map(({ at }) => at), [10, 20, 30, 40, 50])
      yield* simulator.clear()
      // No longer delayed, but behind those that are.
      client.send("ping")
      client.send("close", "4002")
      assert.deepStrictEqual(client.closes, [])
      yield* tick(5)
      assert.deepStrictEqual(client.closes, [[4_002, "asked for"]])
      assert.deepStrictEqual(client.of("ticker").map(({ at }) => at), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
      assert.strictEqual(client.messages().at(-1)?.type, "pong")
      const counts = yield* topicCounts("tickers:BTC_USDT:10")
      assertBalanced(counts)
      assert.isAtLeast(counts.delayed.frames, 10)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.control.pong, 1)
    }).pipe(Effect.provide(manual({ faults: ["delay:50ms"] }))))

  it.effect("delay and loss strike the connection that is so old at that moment", () =>
    Effect.gen(function*() {
      const topic = "tickers:BTC_USDT:10"
      const first = yield* subscribed(topic)
      const second = yield* subscribed(topic)
      yield* tick(10)
      assert.deepStrictEqual([first.of("ticker").length, second.of("ticker").length], [10, 5])
      // The second is the oldest from here on.
      first.send("close", "1000")
      const third = yield* subscribed(topic)
      yield* tick(10)
      assert.deepStrictEqual([second.of("ticker").length, third.of("ticker").length], [20, 5])
      const simulator = yield* Simulator.Simulator
      yield* simulator.inject("silence,connection=1")
      yield* tick(10)
      assert.deepStrictEqual([second.of("ticker").length, third.of("ticker").length], [20, 15])
      assertBalanced(yield* topicCounts(topic))
    }).pipe(Effect.provide(manual({ faults: ["delay:50ms,connection=2"] }))))

  it("what a client is too slow for is discarded, second copies too, and ends its connection", () => {
    const engine = bareEngine()
    const exchange = engine.exchanges.get("toy")!
    const sent: Array<unknown> = []
    const closes: Array<number> = []
    const connection = exchange.accept({
      send: (frame) => {
        if (sent.length === 2) return "slow"
        sent.push(frame)
        return "sent"
      },
      close: (code) => closes.push(code),
      freeze: () => {}
    }, { headers: {}, query: new Map(), address: "127.0.0.1" })
    engine.inject({ _tag: "Duplicate" }, { nextDoubleUnsafe: () => 0 })
    connection.receive(JSON.stringify({ op: "sub", topic: "tickers:BTC_USDT:10" }))
    connection.receive(JSON.stringify({ op: "ping" }))
    engine.tick()
    assert.deepStrictEqual(closes, [1_006])
    const { topics, connections } = engine.counts().exchanges["toy"]!
    const { offered, duplicated, discarded } = topics["tickers:BTC_USDT:10"]!
    assert.deepStrictEqual([offered.frames, duplicated.frames, discarded.frames], [1, 1, 2])
    assert.deepStrictEqual([connections.slow, connections.open], [1, 0])
  })

  it.effect("what waits for a connection that becomes half-open or ends is lost and counted", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const topic = "tickers:BTC_USDT:10"
      const frozen = yield* subscribed(topic)
      yield* tick(3)
      yield* simulator.inject("half-open")
      yield* tick(10)
      assert.strictEqual(frozen.frames.length, 0)
      const counts = yield* topicCounts(topic)
      assertBalanced(counts)
      assert.deepStrictEqual(counts.sent, { frames: 0, events: 0 })
      assert.strictEqual(counts.suppressed.halfOpen.frames, 13)
      const leaving = yield* subscribed(topic)
      yield* tick(3)
      leaving.close()
      const after = yield* topicCounts(topic)
      assertBalanced(after)
      assert.strictEqual(after.discarded.frames, 3)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.controlLost, 2)
    }).pipe(Effect.provide(manual({ faults: ["delay:50ms"] }))))

  it.effect("reject refuses subscriptions", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed(depth, "depth:ETH_USDT:10", "trades:BTC_USDT:10", "ticker:BTC_USDT:10")
      assert.deepStrictEqual(client.of("reject").map(({ topic }) => topic), [depth, "trades:BTC_USDT:10"])
      assert.strictEqual(simulator.topics("toy").size, 2)
      assert.strictEqual(simulator.counts().faults[0]!.applied, 2)
    }).pipe(Effect.provide(manual({ faults: ["reject:BTC/USDT,count=2"] }))))

  it.effect("an upgrade notice goes to those that have one", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const clients = [yield* dial(), yield* dial("toy-binary")]
      yield* simulator.inject("upgrade-notice")
      assert.deepStrictEqual(clients.map((client) => client.of("upgrade").length), [1, 0])
      assert.strictEqual(simulator.counts().faults[0]!.applied, 1)
      assert.strictEqual(simulator.counts().exchanges["toy"]!.control.notice, 1)
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy] }))))
})

describe("REST", () => {
  it.effect("serves the dialect's answers", () =>
    Effect.gen(function*() {
      const { urls, book } = yield* Simulator.Simulator
      assert.strictEqual(urls["toy"]!.rest, "http://simulator.memory/toy/api/v1")
      assert.deepStrictEqual(yield* getJson("/time"), { time: 0 })
      assert.deepStrictEqual(
        yield* getJson("/book?pair=BTC/USDT&limit=3"),
        JSON.parse(JSON.stringify(book("toy", pair, 3)))
      )
      assert.strictEqual((yield* get("/nowhere")).status, 404)
      for (const path of ["/toy/other", "/nobody/api/v1/time", "/", "/_simulator/nothing"]) {
        assert.strictEqual((yield* get(path, "http://simulator.memory")).status, 404, path)
      }
      const empty = yield* get("/empty")
      assert.strictEqual(empty.status, 204)
      assert.strictEqual(yield* empty.text, "")
      const echo = yield* HttpClientRequest.post(`${urls["toy"]!.rest}/echo`).pipe(
        HttpClientRequest.setHeader("x-toy", "yes"),
        HttpClientRequest.bodyText("hello"),
        HttpClient.execute
      )
      assert.deepStrictEqual(yield* echo.json, { body: "hello", header: "yes" })
      assert.strictEqual(new TextDecoder().decode(yield* echo.arrayBuffer), yield* echo.text)
      assert.strictEqual(echo.headers["content-type"], "application/json")
    }).pipe(Effect.provide(manual())))

  it.effect("refuses what cannot be sent, and fails where nobody listens", () =>
    Effect.gen(function*() {
      const { urls } = yield* Simulator.Simulator
      const form = HttpClientRequest.post(`${urls["toy"]!.rest}/echo`).pipe(
        HttpClientRequest.bodyFormDataRecord({ a: "b" })
      )
      const unsent = yield* Effect.flip(HttpClient.execute(form))
      assert.include(unsent.message, "FormData body cannot be sent")
      const unheard = yield* Effect.flip(HttpClient.get("http://elsewhere/x"))
      assert.strictEqual(unheard.reason._tag, "TransportError")
      assert.include(unheard.message, "nobody listens")
    }).pipe(Effect.provide(manual())))

  it.effect("a stale snapshot is the book as it was", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* tick(100)
      const then = simulator.book("toy", pair, 5)
      yield* tick(50)
      const answer = yield* getJson("/book?pair=BTC/USDT&limit=5")
      assert.deepStrictEqual(answer, JSON.parse(JSON.stringify(then)))
      yield* simulator.inject("stale-snapshot:1h")
      const oldest = (yield* getJson("/book?pair=BTC/USDT&limit=5")) as { readonly version: number }
      assert.deepStrictEqual(simulator.truth("toy", pair, oldest.version, 5)?.version, oldest.version)
      assert.isUndefined(simulator.truth("toy", pair, oldest.version - 1))
      yield* simulator.clear()
      assert.notDeepEqual(yield* getJson("/book?pair=BTC/USDT&limit=5"), answer)
      const { rest } = simulator.counts().exchanges["toy"]!
      assert.deepStrictEqual([rest.requests, rest.snapshots, rest.stale, rest.failed], [3, 3, 2, 0])
      assert.deepStrictEqual(rest.statuses, { 200: 3 })
    }).pipe(Effect.provide(manual({ faults: ["stale-snapshot:500ms"] }))))

  it.effect("a slow snapshot comes later, as it was when asked for; other answers do not wait", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* tick(10)
      const then = simulator.book("toy", pair, 5)
      const asked = yield* Effect.forkChild(getJson("/book?pair=BTC/USDT&limit=5"), { startImmediately: true })
      assert.deepStrictEqual(yield* getJson("/time"), { time: 100 })
      yield* tick(99)
      assert.isUndefined(asked.pollUnsafe())
      yield* tick(1)
      assert.deepStrictEqual(yield* Fiber.join(asked), JSON.parse(JSON.stringify(then)))
      assert.strictEqual(simulator.counts().exchanges["toy"]!.rest.delayed, 1)
    }).pipe(Effect.provide(manual({ faults: ["slow-snapshot:1s"] }))))

  it.effect("slow snapshots wait on the virtual clock", () =>
    Effect.gen(function*() {
      const asked = yield* Effect.forkChild(getJson("/book?pair=BTC/USDT"), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(asked.pollUnsafe())
    }).pipe(Effect.provide(manual({ autoRun: true, faults: ["slow-snapshot:1s"] }))))

  it.effect("requests fail with the status of the fault", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const limited = yield* get("/time")
      assert.deepStrictEqual([limited.status, limited.headers["retry-after"]], [429, "3"])
      assert.strictEqual((yield* get("/time")).status, 429)
      assert.strictEqual((yield* get("/time")).status, 200)
      yield* simulator.inject("http-error:403,path=/book")
      const forbidden = yield* get("/book?pair=BTC/USDT")
      assert.deepStrictEqual([forbidden.status, forbidden.headers["content-type"]], [403, "text/html"])
      assert.include(yield* forbidden.text, "Access Denied")
      assert.strictEqual((yield* get("/time")).status, 200)
      yield* simulator.clear()
      yield* simulator.inject("http-error")
      assert.strictEqual((yield* get("/time")).headers["retry-after"], "1")
      yield* simulator.clear()
      yield* simulator.inject("http-error:503,share=50%")
      const statuses = yield* Effect.forEach(Array.from({ length: 200 }), () =>
        Effect.map(get("/time"), ({ status }) => status))
      const failed = statuses.filter((status) =>
        status === 503
      ).length
      assert.closeTo(failed, 100, 30)
      const { rest } = simulator.counts().exchanges["toy"]!
      assert.strictEqual(rest.failed, failed + 4)
      assert.strictEqual(rest.requests, 206)
      assert.deepStrictEqual(rest.statuses, { 200: 202 - failed, 429: 3, 403: 1, 503: failed })
    }).pipe(Effect.provide(manual({ faults: ["http-error:429,count=2,retry-after=2500ms"] }))))
})

describe("REST faults", () => {
  const rest = Effect.map(Simulator.Simulator, (simulator) => simulator.counts().exchanges["toy"]!.rest)

  it.effect("429 comes without Retry-After when it is left out", () =>
    Effect.gen(function*() {
      const { headers, status } = yield* get("/time")
      assert.deepStrictEqual([status, headers["retry-after"]], [429, undefined])
    }).pipe(Effect.provide(manual({ faults: ["http-error:429,retry-after=none"] }))))

  it.effect("one pair fails, the others do not; a reset is no answer at all", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      assert.strictEqual((yield* get("/book?pair=BTC/USDT")).status, 503)
      assert.strictEqual((yield* get("/book?pair=ETH/USDT")).status, 200)
      yield* simulator.clear()
      yield* simulator.inject("http-error:reset,pair=ETH/USDT")
      const error = yield* Effect.flip(get("/book?pair=ETH/USDT"))
      assert.include(error.message, "connection reset")
      assert.strictEqual((yield* get("/book?pair=BTC/USDT")).status, 200)
      assert.deepStrictEqual((yield* rest).failed, 2)
    }).pipe(Effect.provide(manual({ faults: ["http-error:503,pair=BTC/USDT"] }))))

  it.effect("answers are slow for one pair or for all, whatever they hold", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const slow = yield* Effect.forkChild(get("/book?pair=BTC/USDT"), { startImmediately: true })
      assert.strictEqual((yield* get("/book?pair=ETH/USDT")).status, 200)
      yield* tick(99)
      assert.isUndefined(slow.pollUnsafe())
      yield* tick(1)
      assert.strictEqual((yield* Fiber.join(slow)).status, 200)
      yield* simulator.inject("slow-http:500ms,count=1")
      const time = yield* Effect.forkChild(get("/time"), { startImmediately: true })
      assert.strictEqual((yield* get("/time")).status, 200, "the second one is as quick as ever")
      yield* tick(50)
      assert.strictEqual((yield* Fiber.join(time)).status, 200)
      assert.strictEqual((yield* rest).delayed, 2)
    }).pipe(Effect.provide(manual({ faults: ["slow-http:1s,pair=BTC/USDT"] }))))

  it.effect("snapshots are slow or old for one pair", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const slow = yield* Effect.forkChild(get("/book?pair=BTC/USDT"), { startImmediately: true })
      yield* tick(100)
      assert.strictEqual((yield* Fiber.join(slow)).status, 200)
      const version = Effect.map(
        getJson("/book?pair=ETH/USDT"),
        (book) => (book as { readonly version: number }).version
      )
      const then = simulator.book("toy", "ETH/USDT")!.version
      yield* tick(100)
      assert.strictEqual(yield* version, then)
      assert.deepStrictEqual([(yield* rest).delayed, (yield* rest).stale], [1, 1])
    }).pipe(Effect.provide(manual({ faults: ["slow-snapshot:1s,pair=BTC/USDT", "stale-snapshot:1s,pair=ETH/USDT"] }))))

  it.effect("answers are cut short", () =>
    Effect.gen(function*() {
      const whole = "{\"time\":0}"
      assert.strictEqual(yield* Effect.flatMap(get("/time"), ({ text }) => text), whole.slice(0, 5))
      assert.strictEqual(yield* Effect.flatMap(get("/time"), ({ text }) => text), whole)
      assert.strictEqual((yield* rest).garbled, 1)
    }).pipe(Effect.provide(manual({ faults: ["garble-http:1"] }))))

  it.effect("the exchange's clock is off, its markets' is not", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const before = simulator.book("toy", pair)!.time
      assert.deepStrictEqual(yield* getJson("/time"), { time: -5_000 })
      yield* simulator.clear()
      yield* simulator.inject("skew:1h")
      assert.deepStrictEqual(yield* getJson("/time"), { time: 3_600_000 })
      assert.strictEqual(simulator.book("toy", pair)!.time, before)
    }).pipe(Effect.provide(manual({ faults: ["skew:-5s"] }))))
})

describe("faults of chosen connections and of answers", () => {
  const counts = Effect.map(Simulator.Simulator, (simulator) => simulator.counts().exchanges["toy"]!)

  it.effect("drop closes the one that is meant, by its number or by its topic", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const first = yield* subscribed("depth:BTC_USDT:10")
      const second = yield* subscribed("depth:ETH_USDT:10")
      const third = yield* subscribed("ticker:BTC_USDT:10")
      yield* simulator.inject("drop,connection=2")
      assert.deepStrictEqual([first, second, third].map(({ closes }) => closes.length), [0, 1, 0])
      yield* simulator.inject("drop,topic=ticker:*")
      assert.deepStrictEqual([first, third].map(({ closes }) => closes.length), [0, 1])
      yield* simulator.inject("drop,pair=ETH/USDT")
      yield* simulator.inject("drop,connection=7")
      assert.strictEqual(first.closes.length, 0)
      yield* simulator.inject("drop,pair=BTC/USDT")
      assert.strictEqual(first.closes.length, 1)
      assert.deepStrictEqual(simulator.counts().faults.map(({ applied }) => applied), [1, 1, 0, 0, 1])
    }).pipe(Effect.provide(manual())))

  it.effect("half-open takes the one that is meant, and none that comes later", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* subscribed("depth:BTC_USDT:10")
      yield* subscribed("depth:ETH_USDT:10")
      yield* simulator.inject({ _tag: "HalfOpen", pair: "ETH/USDT", durationMillis: 10_000 })
      yield* subscribed("depth:ETH_USDT:10")
      assert.strictEqual((yield* counts).connections.halfOpen, 1)
      assert.deepStrictEqual([...simulator.topics("toy")].sort(), ["depth:BTC_USDT:10", "depth:ETH_USDT:10"])
    }).pipe(Effect.provide(manual())))

  it.effect("connections end at their age, the old ones at once", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const old = yield* dial()
      yield* tick(150)
      const young = yield* dial()
      yield* simulator.inject("connection-age:1s,code=1000")
      yield* tick(1)
      assert.deepStrictEqual(old.closes, [[1000, ""]])
      yield* tick(98)
      assert.deepStrictEqual(young.closes, [])
      yield* tick(1)
      assert.deepStrictEqual(young.closes, [[1000, ""]])
      assert.strictEqual((yield* counts).connections.dropped, 2)
    }).pipe(Effect.provide(manual())))

  it.effect("an upgrade notice is followed by the close that it announces", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      const plain = yield* dial("toy-binary")
      yield* simulator.inject("upgrade-notice:1s")
      assert.strictEqual(client.of("upgrade").length, 1)
      yield* tick(99)
      assert.deepStrictEqual(client.closes, [])
      yield* tick(1)
      assert.deepStrictEqual(client.closes, [[1001, "service upgrade"]])
      assert.deepStrictEqual(plain.closes, [], "what has no notice is not closed")
    }).pipe(Effect.provide(manual({ dialects: [toy, binaryToy] }))))

  it.effect("an answer is late while the data comes; one that is late for its connection is lost", () =>
    Effect.gen(function*() {
      const client = yield* subscribed("ticker:BTC_USDT:10")
      yield* tick(99)
      assert.strictEqual(client.of("ack").length, 0)
      assert.isAbove(client.of("ticker").length, 10)
      yield* tick(1)
      assert.strictEqual(client.of("ack").length, 1)
      client.send("sub", "nothing")
      client.send("ping")
      assert.strictEqual(client.of("pong").length, 1, "only answers to subscriptions are late")
      client.close()
      yield* tick(200)
      assert.strictEqual((yield* counts).controlLost, 1)
      assert.deepStrictEqual((yield* counts).control, { ack: 1, reject: 0, pong: 1, notice: 0, error: 0 })
    }).pipe(Effect.provide(manual({ faults: ["late-ack:1s"] }))))

  it.effect("an answer is lost, and what it tells of has happened", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("ticker:BTC_USDT:10", "ticker:ETH_USDT:10")
      assert.deepStrictEqual(client.of("ack").map(({ topic }) => topic), ["ticker:ETH_USDT:10"])
      assert.strictEqual(simulator.topics("toy").size, 2)
      assert.strictEqual((yield* counts).controlLost, 1)
    }).pipe(Effect.provide(manual({ faults: ["lose-ack:1"] }))))

  it.effect("a refusal has the reason that is given", () =>
    Effect.gen(function*() {
      const reasons: Array<string | null> = []
      const asking: ExchangeDialect = {
        ...toy,
        onHttp: (_, world) => {
          reasons.push(world.refuses("depth:BTC_USDT:10"))
          return { status: 200, headers: {}, body: "" }
        }
      }
      yield* Effect.provide(get("/"), manual({ dialects: [asking], faults: ["reject:BTC/USDT,reason=server busy"] }))
      assert.deepStrictEqual(reasons, ["server busy"])
    }))
})

describe("endpoints for other processes", () => {
  const admin = (method: "GET" | "POST" | "DELETE", path: string, body?: string) =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const request = HttpClientRequest.make(method)(`${simulator.admin}/${path}`)
      const response = yield* HttpClient.execute(
        body === undefined ? request : HttpClientRequest.bodyText(request, body)
      )
      return [response.status, yield* response.json] as const
    })

  it.effect("tell the truth, the counts and the health", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      yield* subscribed("depth:BTC_USDT:10")
      yield* tick(50)
      const wire = (value: unknown) => JSON.parse(JSON.stringify(value)) as Schema.Json
      const version = simulator.book("toy", pair)!.version
      assert.deepStrictEqual(yield* admin("GET", `truth?exchange=toy&pair=BTC/USDT&version=${version - 5}&depth=7`), [
        200,
        wire(simulator.truth("toy", pair, version - 5, 7))
      ])
      assert.deepStrictEqual(yield* admin("GET", "truth?exchange=toy&pair=BTC/USDT"), [
        200,
        wire(simulator.book("toy", pair))
      ])
      assert.deepStrictEqual(yield* admin("GET", "trades?exchange=toy&pair=BTC/USDT"), [
        200,
        wire(simulator.trades("toy", pair))
      ])
      assert.deepStrictEqual(yield* admin("GET", "counts"), [200, wire(simulator.counts())])
      const [, health] = yield* admin("GET", "health")
      assert.deepStrictEqual(health, {
        status: "ok",
        exchanges: ["toy"],
        pairs: [pair, "ETH/USDT"],
        paused: false,
        elapsedMillis: 500,
        ticks: 50,
        failures: []
      })
      yield* get("/throw")
      assert.deepInclude((yield* admin("GET", "health"))[1], { status: "failing" })
      assert.strictEqual((yield* admin("GET", "truth?exchange=toy&pair=BTC/USDT&version=1"))[0], 404)
      assert.strictEqual((yield* admin("GET", "truth?exchange=nobody&pair=BTC/USDT"))[0], 404)
      assert.strictEqual((yield* admin("GET", "trades?exchange=toy&pair=NO/PAIR"))[0], 404)
      assert.strictEqual((yield* admin("GET", "truth?exchange=toy"))[0], 400)
      assert.strictEqual((yield* admin("GET", "truth?exchange=toy&pair=BTC/USDT&version=abc"))[0], 400)
      assert.strictEqual((yield* admin("POST", "health"))[0], 404)
    }).pipe(Effect.provide(manual())))

  it.effect("set, list and end faults, publish, and pause", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* subscribed("trades:BTC_USDT:0")
      assert.deepStrictEqual(yield* admin("POST", "fault", "gap:5%"), [200, { id: 1 }])
      assert.deepStrictEqual(yield* admin("POST", "fault", `{"_tag":"Drop"}`), [200, { id: 2 }])
      assert.strictEqual(client.closes.length, 1)
      const [status, refusal] = yield* admin("POST", "fault", "gpa:5%")
      assert.strictEqual(status, 400)
      assert.include((refusal as { readonly error: string }).error, "unknown")
      assert.strictEqual((yield* admin("POST", "fault", "{broken"))[0], 400)
      assert.deepStrictEqual((yield* admin("GET", "fault"))[1], [
        { id: 1, fault: "gap:5%", active: true, applied: 0 },
        { id: 2, fault: "drop", active: false, applied: 1 }
      ])
      assert.strictEqual((yield* admin("DELETE", "fault?id=9"))[0], 404)
      assert.strictEqual((yield* admin("DELETE", "fault?id=1"))[0], 200)
      assert.strictEqual((yield* admin("DELETE", "fault"))[0], 200)
      assert.isFalse(simulator.counts().faults.some(({ active }) => active))
      const change = { exchange: "toy", pair, change: { _tag: "Trade", side: "buy", price: "1.5", quantity: "2" } }
      assert.deepStrictEqual(yield* admin("POST", "publish", JSON.stringify(change)), [200, { result: 1 }])
      assert.strictEqual((yield* admin("POST", "publish", JSON.stringify({ ...change, pair: "NO/PAIR" })))[0], 400)
      assert.strictEqual((yield* admin("POST", "publish", "{}"))[0], 400)
      assert.deepStrictEqual(yield* admin("POST", "pause"), [200, { paused: true }])
      assert.deepInclude((yield* admin("GET", "health"))[1], { paused: true })
      assert.deepStrictEqual(yield* admin("POST", "resume"), [200, { paused: false }])
    }).pipe(Effect.provide(manual({ rate: 0 }))))
})

describe("options", () => {
  const refused = (options: Partial<SimulatorOptions>) =>
    Effect.scoped(Simulator.makeMemory({ dialects: [toy], ...options })).pipe(
      Effect.flip,
      Effect.map(({ message }) => message)
    )

  it.effect("are checked", () =>
    Effect.gen(function*() {
      assert.include(yield* refused({ dialects: [] }), "simulator, options: dialects need ids")
      assert.include(yield* refused({ dialects: [toy, toy] }), "each different")
      assert.include(yield* refused({ dialects: [{ ...toy, id: "a/b" }] }), "[a/b]")
      assert.include(yield* refused({ pairs: [] }), "pairs")
      assert.include(yield* refused({ pairs: [pair, pair] }), "pairs")
      assert.include(yield* refused({ pairs: ["BTCUSDT" as "BTC/USDT"] }), "a pair such as BTC/USDT")
      assert.include(yield* refused({ rate: -1 }), "rate")
      assert.include(yield* refused({ rate: 1e6 }), "must not bring more than 2000 changes in a tick of 10 ms")
      assert.include(yield* refused({ levels: 1 }), "levels")
      assert.include(yield* refused({ tickMillis: 0 }), "tickMillis")
      assert.include(yield* refused({ version: 2 ** 53 - 1 }), "version")
      assert.include(yield* refused({ faults: ["gpa"] }), `"gpa" is not a fault`)
    }))

  it.effect("left out or undefined they are the defaults", () =>
    Effect.gen(function*() {
      const { simulator } = yield* Simulator.makeMemory({ dialects: [toy], rate: undefined, pairs: undefined })
      assert.strictEqual(simulator.pairs.length, 16)
      assert.strictEqual(simulator.book("toy", pair)?.version, 81_721_676_217)
    }))
})
