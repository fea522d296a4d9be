/** Many topics: over how many connections, in which order, and what a slow, failing or refused one does to the others. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { ExchangeAdapter, Rest } from "../../src/ExchangeAdapter.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import type * as Exchange from "../suites/Exchange.ts"
import { over, pairs, still } from "./Memory.ts"

const mexc: Exchange.Subject = { adapter: mexcSpot, dialect: mexcSpotDialect }

/** MEXC that takes fewer topics on a connection than it says. */
const capped = (limit: number): ExchangeDialect => ({
  ...mexcSpotDialect,
  connect: (world, peer, options) => {
    const refuses = (topic: string) => connection.topics().size >= limit ? "Blocked!" : world.refuses(topic)
    const connection = mexcSpotDialect.connect({ ...world, refuses }, peer, options)
    return connection
  }
})

/** The adapter with other REST calls. */
const withRest = (change: (rest: Rest) => Partial<Rest>): ExchangeAdapter => ({
  ...mexcSpot,
  makeRest: (options) => {
    const rest = mexcSpot.makeRest(options)
    return { ...rest, ...change(rest) }
  }
})

const failure = (fields: Partial<ExchangeError.RequestFailed>) =>
  ExchangeError.make(
    "mexc-spot",
    new ExchangeError.RequestFailed({
      request: "GET",
      status: 500,
      code: "",
      detail: "by the test",
      class: "retryable",
      ...fields
    })
  )

const millis = Clock.currentTimeMillis

describe("sockets", () => {
  it.effect("MUST be no more than the topics need, plus one, with every topic on one of them", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const { accepted } = yield* websocket.initialize(pairs(100), ["BookTicker", "Trades"])
        assert.strictEqual(accepted.length, 100)
        const { progress, sockets } = yield* websocket.performance
        assert.isAtMost(sockets.length, Math.ceil(200 / 30) + 1)
        assert.strictEqual(sockets.reduce((sum, { topics }) => sum + topics, 0), 200)
        for (const socket of sockets) {
          assert.isAtMost(socket.topics, 30)
          assert.strictEqual(socket.confirmed, socket.topics)
          assert.isTrue(socket.connected)
          assert.isAtLeast(socket.age!, 0)
        }
        assert.deepStrictEqual(progress, {
          wanted: 200,
          confirmed: 200,
          rejected: 0,
          books: 0,
          booksSynced: 0,
          sockets: sockets.length
        })
        assert.strictEqual((yield* Simulator).counts().exchanges["mexc-spot"]!.control.reject, 0)
      }),
      { pairs: pairs(100), limits: "real", ...still }
    ))

  it.effect("MUST be fewer again when most topics have left, without a break", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const all = pairs(100)
        yield* websocket.initialize(all, ["Trades"])
        const before = (yield* websocket.performance).sockets.length
        assert.isAtLeast(before, 4)
        const ids = new Map<string, Array<number>>()
        const stayed = all.filter((_, index) => index % 9 === 0)
        for (const pair of stayed) {
          const stream = yield* websocket.feed(Channel.trades(pair))
          yield* Effect.forkScoped(
            Stream.runForEach(stream, (item) =>
              Effect.sync(() => {
                const id = item._tag === "Data" ? parseInt(item.value.id ?? "", 10) : Number.NaN
                ids.set(pair, [...ids.get(pair) ?? [], id])
              }))
          )
        }
        const [first, ...others] = all.filter((pair) => !stayed.includes(pair))
        yield* websocket.unsubscribe([first!, ...others])
        yield* Effect.sleep("3 seconds")
        assert.strictEqual((yield* websocket.performance).sockets.length, before)
        yield* Effect.sleep("40 seconds")
        const { connections, gaps, progress, reconnects, sockets } = yield* websocket.performance
        assert.isAtMost(sockets.length, Math.ceil(stayed.length / 30) + 1)
        assert.strictEqual(connections, sockets.length)
        assert.deepStrictEqual({ gaps, reconnects, confirmed: progress.confirmed }, {
          gaps: 0,
          reconnects: 0,
          confirmed: stayed.length
        })
        assert.strictEqual((yield* Simulator).topics("mexc-spot").size, stayed.length)
        for (const pair of stayed) {
          const seen = ids.get(pair) ?? []
          assert.isAtLeast(seen.length, 40)
          assert.deepStrictEqual(seen, seen.map((_, index) => seen[0]! + index), pair)
        }
      }),
      { pairs: pairs(100), limits: "real", rate: 0, tradeRate: 2 }
    ))

  it.effect("MUST take up what another refused for want of room, and the lower limit be learned", () =>
    over(
      { ...mexc, dialect: capped(20) },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const { accepted, rejected } = yield* websocket.initialize(pairs(100), ["BookTicker"])
        assert.strictEqual(accepted.length, 100, `refused: ${[...rejected.keys()].join()}`)
        assert.strictEqual(simulator.topics("mexc-spot").size, 100)
        const { sockets, subscriptions } = yield* websocket.performance
        assert.isAtMost(sockets.length, Math.ceil(100 / 20) + 1)
        for (const { topics } of sockets) assert.isAtMost(topics, 20)
        const refused = subscriptions.rejected
        assert.isAtLeast(refused, 8)
        yield* websocket.subscribe(pairs(120))
        const after = yield* websocket.performance
        assert.strictEqual(after.subscriptions.rejected, refused, "the limit was not learned")
        assert.strictEqual(simulator.topics("mexc-spot").size, 120)
      }),
      { pairs: pairs(120), ...still },
      { limits: { dialsPerSecond: 100 } }
    ))

  it.effect("MUST not be opened for ever for a pair that is refused on a roomy one too", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const { accepted, rejected } = yield* websocket.initialize([...pairs(10), "NOPE/USDT", "NADA/USDT"], [
          "BookTicker"
        ])
        assert.strictEqual(accepted.length, 10)
        assert.deepStrictEqual([...rejected.keys()].sort(), ["NADA/USDT", "NOPE/USDT"])
        assert.isFalse(rejected.get("NOPE/USDT")!.isTransient)
        assert.isAtMost(simulator.counts().exchanges["mexc-spot"]!.dials.length, 2)
        // Beside fewer topics than a connection was seen to carry: no doubt about it.
        const again = yield* Effect.result(websocket.subscribe(["ZILCH/USDT"]))
        assert.strictEqual(again._tag, "Failure")
        yield* Effect.sleep("10 seconds")
        assert.strictEqual((yield* websocket.performance).connections, 1)
      }),
      { pairs: pairs(10), ...still }
    ))

  it.effect("MUST keep to the limits of the options", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const began = yield* millis
        yield* websocket.initialize(pairs(12), ["BookTicker"])
        const { sockets } = yield* websocket.performance
        assert.deepStrictEqual(sockets.map(({ topics }) => topics), [2, 2, 2, 2, 2, 2])
        assert.isAtLeast((yield* millis) - began, 2_500)
      }),
      { pairs: pairs(12), ...still },
      { limits: { topicsPerConnection: 2, dialsPerSecond: 2 } }
    ))
})

describe("the order of many pairs", () => {
  const turnovers = new Map(pairs(40).map((pair, index) => [pair.replace("/", ""), index]))

  it.effect("MUST be the most liquid first, asked for once", () => {
    let asked = 0
    const adapter = withRest(() => ({
      turnovers: Effect.sync(() => {
        asked++
        return turnovers
      })
    }))
    return over(
      { ...mexc, adapter },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const subscribed = yield* websocket.initialize(pairs(40), ["BookTicker"])
        assert.strictEqual(subscribed.accepted.length, 40)
        const { topics } = yield* websocket.performance
        assert.deepStrictEqual(topics.map(({ pair }) => pair), pairs(40).toReversed())
        yield* websocket.unsubscribe(pairs(40))
        yield* websocket.subscribe(pairs(40))
        assert.strictEqual(asked, 1)
      }),
      { pairs: pairs(40), ...still }
    )
  })

  for (const [what, answer] of [["fails", Effect.fail(failure({}))], ["never comes", Effect.never]] as const) {
    it.effect(`MUST be as given when the answer ${what}`, () =>
      over(
        { ...mexc, adapter: withRest(() => ({ turnovers: answer })) },
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const began = yield* millis
          yield* websocket.initialize(pairs(40), ["BookTicker"])
          assert.isAtMost((yield* millis) - began, 7_000)
          const { topics } = yield* websocket.performance
          assert.deepStrictEqual(topics.map(({ pair }) => pair), pairs(40))
        }),
        { pairs: pairs(40), ...still }
      ))
  }
})

describe("snapshots of many books", () => {
  const turnovers = new Map(pairs(40).map((pair, index) => [pair.replace("/", ""), index]))

  /** REST calls that note which book was asked for, when. */
  const watching = (book: (symbol: string, real: Rest["book"]) => Rest["book"]) => {
    const asked: Array<string> = []
    const adapter = withRest((rest) => ({
      turnovers: Effect.succeed(turnovers),
      book: (symbol, channel, attempt) => {
        asked.push(symbol)
        return book(symbol, rest.book)(symbol, channel, attempt)
      }
    }))
    return { adapter, asked }
  }

  it.effect("MUST be asked for in the order of turnover, what was in sync and broke first", () => {
    const { adapter, asked } = watching((_, real) => real)
    return over(
      { ...mexc, adapter },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* websocket.handle({})
        yield* websocket.initialize(pairs(40), ["Book"])
        while (asked.length < 10) yield* Effect.sleep(10)
        const first = asked.slice(0, 10).map((symbol) => turnovers.get(symbol)!)
        // A few are under way at once, and the second connection's are confirmed a little later.
        assert.isAtLeast(Math.min(...first), 26)
        const broken = pairs(40)[39]!
        yield* simulator.inject({ _tag: "Gap", pair: broken, count: 1 })
        const before = asked.length
        while (!asked.slice(before).includes("C39USDT")) yield* Effect.sleep(10)
        assert.isAtMost(asked.slice(before).indexOf("C39USDT"), 12)
        assert.isBelow(asked.length, 40)
        while ((yield* websocket.performance).progress.booksSynced < 40) yield* Effect.sleep(10)
      }),
      { pairs: pairs(40), rate: 20 }
    )
  })

  it.effect("MUST not wait for one that never answers, nor for one that always fails", () => {
    const { adapter, asked } = watching((symbol, real) =>
      symbol === "C39USDT"
        ? () => Effect.never
        : symbol === "C38USDT"
        ? () => Effect.fail(failure({}))
        : real
    )
    return over(
      { ...mexc, adapter },
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* websocket.handle({})
        yield* websocket.initialize(pairs(40), ["Book"])
        const began = yield* millis
        while ((yield* websocket.performance).progress.booksSynced < 38) yield* Effect.sleep(10)
        // 40 at 10 a second, and a second for a quiet book.
        assert.isAtMost((yield* millis) - began, 8_000)
        yield* Effect.sleep("30 seconds")
        const { errors, gaps, progress } = yield* websocket.performance
        assert.deepStrictEqual({ gaps, synced: progress.booksSynced }, { gaps: 0, synced: 38 })
        assert.isAtLeast(errors["RequestFailed"]!, 8)
        assert.isAtLeast(asked.filter((symbol) => symbol === "C39USDT").length, 2, "given up for good")
      }),
      { pairs: pairs(40), rate: 20 },
      { requestTimeout: "5 seconds" }
    )
  })

  for (
    const [status, fields, least] of [
      [429, { class: "rateLimit", retryAfterMs: 4_000 }, 4_000],
      [403, { class: "rateLimit" }, 1_000],
      [503, { retryAfterMs: 3_000 }, 3_000]
    ] as const
  ) {
    it.effect(`MUST all pause when one is answered with ${status}, then try one at a time`, () => {
      let refusedAt = -1
      const starts: Array<number> = []
      const adapter = withRest((rest) => ({
        book: (symbol, channel, attempt) =>
          Effect.gen(function*() {
            const at = yield* millis
            starts.push(at)
            if (starts.length === 5) {
              refusedAt = at
              return yield* failure({ status, ...fields })
            }
            return yield* rest.book(symbol, channel, attempt)
          })
      }))
      return over(
        { ...mexc, adapter },
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          yield* websocket.handle({})
          yield* websocket.initialize(pairs(20), ["Book"])
          while ((yield* websocket.performance).progress.booksSynced < 20) yield* Effect.sleep(10)
          assert.strictEqual(starts.length, 21)
          assert.isAtLeast(starts[5]! - refusedAt, least)
          assert.isAtMost(starts[5]! - refusedAt, least + 200)
        }),
        { pairs: pairs(20), rate: 20 }
      )
    })
  }
})

describe("progress", () => {
  it.effect("MUST tell what is wanted, refused and in step", () =>
    over(
      mexc,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        yield* Effect.forkScoped(Effect.ignore(
          Effect.flatMap(websocket.feed(Channel.book("C0/USDT")), (stream) => Stream.runDrain(stream))
        ))
        yield* Effect.forkScoped(Effect.ignore(websocket.feed(Channel.trades("C1/USDT"))))
        yield* Effect.sleep(1)
        const before = (yield* websocket.performance).progress
        assert.deepStrictEqual([before.wanted, before.confirmed, before.booksSynced], [2, 0, 0])
        while ((yield* websocket.performance).progress.booksSynced < 1) yield* Effect.sleep(10)
        assert.deepStrictEqual((yield* websocket.performance).progress, {
          wanted: 2,
          confirmed: 2,
          rejected: 0,
          books: 1,
          booksSynced: 1,
          sockets: 1
        })
      }),
      { pairs: pairs(2) }
    ))
})
