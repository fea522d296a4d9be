/**
 * Random operations and random faults, seeded, in virtual time. What must hold whatever happens: books shown as current
 * equal the exchange's, trades miss nothing without a gap, every event is accounted for, and once the faults are over
 * everything delivers again, the exchange has exactly the wanted topics, and nothing is left behind. More of it:
 * `CHAOS_SEEDS=1,2,3 CHAOS_STEPS=300`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { TopicPerformance } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { InvalidFault, SimulatorService } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

const pairs = ["BTC/USDT", "ETH/USDT", "SOL/USDT"] as const satisfies ReadonlyArray<TradingPair>

interface World {
  readonly subject: Exchange.Subject
  /** Book feeds and how many levels a side each keeps right. */
  readonly books: ReadonlyArray<
    { readonly request: Omit<Channel.BookChannel, "_tag" | "pair">; readonly reach: number }
  >
  /** Wire topics of books and tickers: a lost trade is not to be seen on the wire. */
  readonly visible: ReadonlyArray<string>
}

const worlds: Readonly<Record<string, World>> = {
  gate: {
    subject: { adapter: gateSpot, dialect: gateSpotDialect },
    books: [{ request: {}, reach: 50 }, { request: { source: "order_book_update" }, reach: 20 }],
    visible: ["spot.obu*", "spot.order_book_update*", "spot.book_ticker*"]
  },
  mexc: {
    subject: { adapter: mexcSpot, dialect: mexcSpotDialect },
    books: [{ request: {}, reach: 60 }, { request: { speed: "10ms" }, reach: 60 }],
    visible: ["*depth*", "*bookTicker*"]
  }
}

/** Mulberry32. */
const makeDraw = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Draw = () => number
const below = (draw: Draw, count: number): number => Math.floor(draw() * count)
const pick = <A>(draw: Draw, values: ReadonlyArray<A>): A => values[below(draw, values.length)]!

const faultOf = (draw: Draw, { visible }: World): string => {
  const on = `topic=${pick(draw, visible)}`
  return pick(draw, [
    "drop",
    "drop:1011",
    "refuse:503@0s:1.5s",
    "half-open@0s:1s",
    `silence,${on}@0s:8s`,
    "gap:30%@0s:1s",
    "gap:1",
    `duplicate:50%,${on}@0s:1s`,
    `reorder:3,${on}`,
    `corrupt:2,mode=truncate,${on}`,
    "delay:1500ms@0s:2s",
    "delay:80ms@0s:5s",
    "reject,count=2@0s:2s",
    "stale-snapshot:2s@0s:2s",
    "slow-snapshot:700ms@0s:3s",
    "http-error:503,count=2",
    "http-error:429,count=1",
    "upgrade-notice"
  ])
}

/** Judges what one consumer is given. */
class Witness {
  readonly name: string
  readonly #pair: TradingPair
  readonly #reach: number
  readonly #exchange: string
  readonly #simulator: SimulatorService
  readonly #book: OrderBook
  #trade: number | null = null
  data = 0
  readonly wrong: Array<string> = []

  constructor(name: string, pair: TradingPair, reach: number, exchange: string, simulator: SimulatorService) {
    this.name = name
    this.#pair = pair
    this.#reach = reach
    this.#exchange = exchange
    this.#simulator = simulator
    this.#book = new OrderBook(pair)
  }

  take(item: Feed<MarketEvent>): void {
    if (item._tag === "Gap") {
      this.#book.end()
      this.#trade = null
      return
    }
    this.data++
    const { value } = item
    if (value._tag === "Trade") this.#onTrade(parseInt(value.id ?? "", 10))
    else if (value._tag === "BookUpdate") this.#onBook(value)
  }

  #onTrade(id: number): void {
    if (this.#trade !== null && id !== this.#trade + 1) this.wrong.push(`${this.name}: ${id} behind ${this.#trade}`)
    this.#trade = id
  }

  #onBook(update: Extract<MarketEvent, { readonly _tag: "BookUpdate" }>): void {
    const outcome = this.#book.apply(update)
    if (outcome !== "Applied") {
      this.wrong.push(`${this.name}: ${outcome} ${update.kind} ${update.firstVersion}..${update.version}`)
      return
    }
    const truth = this.#simulator.truth(this.#exchange, this.#pair, Number(update.version), this.#reach)
    if (truth === undefined) return
    const top = this.#book.view!.top(this.#reach)
    const flat = (levels: ReadonlyArray<{ readonly price: string; readonly quantity: string }>) =>
      levels.flatMap(({ price, quantity }) => [Number(price), Number(quantity)]).join()
    if (top.bids.join() !== flat(truth.bids) || top.asks.join() !== flat(truth.asks)) {
      this.wrong.push(`${this.name}: book differs at ${update.version} (${update.kind})`)
    }
  }
}

interface Open {
  readonly witness: Witness
  readonly key: string
  readonly scope: Scope.Closeable
  /** Ends with the stream. */
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** Milliseconds that it takes over every batch, before the faults are over. */
  readonly pause: number
}

const unaccounted = (topic: TopicPerformance): ReadonlyArray<string> => {
  const { abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, unrouted } = topic
  const left = received + reconciled - (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
  return left === 0 ? [] : [`${topic.topic}: ${left} events unaccounted for`]
}

interface Chaos {
  readonly world: World
  readonly seed: number
  readonly steps: number
  /** At most one feed for each topic: its ledger is exact then. */
  readonly alone: boolean
}

const chaos = ({ alone, seed, steps, world }: Chaos) =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator
    const exchange = world.subject.adapter.id
    const draw = makeDraw(seed)
    const open: Array<Open> = []
    const opening = new Set<string>()
    const wrong: Array<string> = []
    let calm = false
    let next = 1

    const openFeed = (key: string, channel: Channel.PublicChannel, reach: number) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const pause = pick(draw, [0, 0, 0, 5, 50, 400])
        const bufferSize = pick(draw, [1, 4, 32, 1024])
        const overflow = alone || draw() < 0.9 ? "auto" : "block"
        const name = `${next++} ${key} (${pause} ms, ${bufferSize}, ${overflow})`
        const witness = new Witness(name, channel.pair, reach, exchange, simulator)
        const result = yield* Effect.result(
          Scope.provide(websocket.feed(channel, { bufferSize, overflow }), scope)
        ).pipe(Effect.onInterrupt(() => Scope.close(scope, Exit.void)))
        if (result._tag === "Failure") return yield* Scope.close(scope, Exit.void)
        const reading = Stream.runForEachArray(result.success as Stream.Stream<Feed<MarketEvent>, unknown>, (items) => {
          for (const item of items) witness.take(item)
          return pause === 0 || calm ? Effect.void : Effect.sleep(pause)
        })
        open.push({ witness, key, scope, pause, fiber: yield* Effect.forkDetach(reading) })
      })

    const close = ({ fiber, scope, witness }: Open) =>
      Effect.gen(function*() {
        wrong.push(...witness.wrong)
        yield* Fiber.interrupt(fiber)
        yield* Scope.close(scope, Exit.void)
      })

    const closeEnded = Effect.gen(function*() {
      // A fault refuses topics for good: their feeds end with that.
      for (const feed of [...open]) {
        const ended = feed.fiber.pollUnsafe()
        if (ended === undefined) continue
        if (!String(ended).includes("was refused with code")) wrong.push(`${feed.witness.name}: ended ${String(ended)}`)
        open.splice(open.indexOf(feed), 1)
        yield* close(feed)
      }
    })

    const begin = Effect.gen(function*() {
      const pair = pick(draw, pairs)
      const index = below(draw, 2 + world.books.length)
      const book = world.books[index - 2]
      const channel = index === 0
        ? Channel.bookTicker(pair)
        : index === 1
        ? Channel.trades(pair)
        : Channel.book(pair, book!.request)
      const key = `${pair} ${index}`
      if (alone && (opening.has(key) || open.some((other) => other.key === key))) return
      opening.add(key)
      const fiber = yield* Effect.forkDetach(
        Effect.ensuring(openFeed(key, channel, book?.reach ?? 0), Effect.sync(() => opening.delete(key))),
        { startImmediately: true }
      )
      // Some are given up while they are being asked for.
      if (draw() < 0.15) {
        yield* Effect.sleep(pick(draw, [0, 10, 30, 300]))
        yield* Fiber.interrupt(fiber)
      }
    })

    const end = Effect.suspend(() => {
      if (open.length === 0) return Effect.void
      const [chosen] = open.splice(below(draw, open.length), 1)
      return close(chosen!)
    })

    const act = Effect.suspend((): Effect.Effect<unknown, InvalidFault, PublicWebsocket> => {
      const roll = draw()
      if (roll < 0.4) return begin
      if (roll < 0.6) return end
      return roll < 0.75 ? simulator.inject(faultOf(draw, world)) : Effect.void
    })

    for (let step = 0; step < steps; step++) {
      yield* act
      yield* Effect.sleep(pick(draw, [0, 10, 30, 100, 400, 1_500]))
    }

    calm = true
    yield* simulator.clear()
    yield* simulator.inject("drop:1001")
    yield* Effect.sleep("45 seconds")
    assert.strictEqual(opening.size, 0, "still being asked for")
    yield* closeEnded
    const before = new Map(open.map((feed) => [feed, feed.witness.data]))
    yield* Effect.sleep("5 seconds")
    for (const feed of open) {
      if (feed.witness.data === before.get(feed)) wrong.push(`${feed.witness.name}: brings nothing any more`)
    }
    const { topics } = yield* websocket.performance
    const wanted = topics.filter(({ subscribers }) => subscribers > 0).map(({ topic }) => topic)
    assert.deepStrictEqual([...simulator.topics(exchange)].sort(), wanted.sort())
    for (const feed of open.splice(0)) yield* close(feed)
    yield* Effect.sleep("15 seconds")
    assert.deepStrictEqual([...simulator.topics(exchange)], [])
    assert.strictEqual(simulator.counts().exchanges[exchange]!.connections.open, 0, "sockets left open")
    const after = yield* websocket.performance
    assert.strictEqual(after.connections, 0)
    if (alone) wrong.push(...after.topics.flatMap(unaccounted))
    assert.strictEqual(after.handlerFailures, 0)
    assert.deepStrictEqual(wrong.slice(0, 10), [])
  })

const options = {
  heartbeat: { interval: "2 seconds", timeout: "1 second" },
  staleAfter: "20 seconds",
  silence: { BookTicker: "3 seconds", Book: "3 seconds" },
  answerTimeout: "1 second",
  idleTimeout: "1 second"
} as const

const seeds = (process.env["CHAOS_SEEDS"] ?? "1").split(",").map(Number)

interface Way {
  readonly name: string
  readonly alone: boolean
  readonly options: ExchangeFactory.RedundantOptions
}

/** Topics on one socket, on sockets that are replaced all the time, and on two sockets at once. */
const ways: ReadonlyArray<Way> = [
  { name: "one for each topic", alone: true, options: {} },
  { name: "several for each topic", alone: false, options: {} },
  { name: "one for each topic, sockets replaced", alone: true, options: { rotateAfter: "4 seconds" } },
  {
    name: "several for each topic, two sockets",
    alone: false,
    options: { connections: 2, rotateAfter: "15 seconds" }
  }
]

describe("chaos", () => {
  for (const [name, world] of Object.entries(worlds)) {
    for (const way of ways) {
      for (const seed of seeds) {
        it.effect(`${name}, ${way.name}, seed ${seed}`, () =>
          Exchange.withExchange(
            Exchange.memory,
            Exchange.memory.layer(world.subject, { pairs, rate: 20, tradeRate: 10, seed }, {
              ...options,
              ...way.options
            }),
            chaos({ world, seed, alone: way.alone, steps: Number(process.env["CHAOS_STEPS"] ?? 80) })
          ), 60_000)
      }
    }
  }
})
