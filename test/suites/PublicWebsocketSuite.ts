/**
 * What every exchange's `PublicWebsocket` must and should do, run over the simulator. A file of its own calls it with an
 * adapter and its dialect; names begin with MUST or SHOULD, so that a failure reads as a broken requirement.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed, Gap } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type * as ExchangeError from "../../src/ExchangeError.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import type { PublicWebsocketHandlers, TopicPerformance } from "../../src/PublicWebsocket.ts"
import { handlersFor, PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Exchange from "./Exchange.ts"

type Item = Feed<MarketEvent>

const isData = (item: Item) => item._tag === "Data"
const causesOf = (items: ReadonlyArray<Item>) => items.flatMap((item) => item._tag === "Gap" ? [item.cause] : [])

const takeUntil = <A>(stream: Stream.Stream<A, ExchangeError.ExchangeError>, last: (item: A) => boolean) =>
  Stream.runCollect(Stream.takeUntil(stream, last))

/** Applies a book feed and compares each state with the simulator's book at that version, as far as the book reaches. */
const judge = (simulator: Simulator["Service"], exchange: string) => {
  const books = new Map<string, { readonly book: OrderBook; reach: number }>()
  const judged = { compared: 0, wrong: 0, versions: new Set<string>() }
  const compare = (update: BookUpdate): void => {
    const { book, reach } = books.get(update.symbol)!
    const truth = simulator.truth(exchange, update.pair!, Number(update.version), reach)
    if (truth === undefined) return
    judged.compared++
    judged.versions.add(`${update.symbol} ${update.version}`)
    const bids = truth.bids.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const asks = truth.asks.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const top = book.view?.top(reach)
    if (top === undefined || !same(top.bids, bids) || !same(top.asks, asks)) judged.wrong++
  }
  const apply = (update: BookUpdate): void => {
    if (update.kind === "snapshot") {
      const book = new OrderBook(update.pair!)
      // A window of n levels is only known to be right for n levels.
      books.set(update.symbol, { book, reach: Math.min(20, update.bids.length / 2, update.asks.length / 2) })
    }
    const entry = books.get(update.symbol)
    assert.isDefined(entry, "a delta came before any snapshot")
    entry.book.apply(update)
    compare(update)
  }
  return { apply, judged }
}

const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index])

/** Checks the promise of the book channel: a snapshot first and behind every gap, then versions without a hole. */
const chainFault = (items: ReadonlyArray<Feed<BookUpdate>>): string | null => {
  let last: Sequence.Sequence | null = null
  let joining = false
  for (const item of items) {
    if (item._tag === "Gap") {
      last = null
      continue
    }
    const update = item.value
    if (update.kind === "delta") {
      if (last === null) return `delta ${update.version} without a snapshot`
      if (update.firstVersion > Sequence.next(last)) return `hole between ${last} and ${update.firstVersion}`
      // The first delta may cover the snapshot's version and end with it: absolute quantities change nothing then.
      if (update.version < last || (update.version === last && !joining)) {
        return `version ${update.version} behind ${last}`
      }
    }
    joining = update.kind === "snapshot"
    last = update.version
  }
  return null
}

/** An event's name on the wire where it has one: a version or an id. */
const nameOf = (event: MarketEvent): string | null => {
  if (event._tag === "Trade") return event.id
  if (event._tag === "BookTicker") return event.version === null ? null : Sequence.toText(event.version)
  return null
}

/** The first event that came twice. Best prices may be sent again unchanged, one behind the other. */
const repetitionIn = (items: ReadonlyArray<Item>): string | null => {
  const seen = new Set<string>()
  let last: string | null = null
  for (const item of items) {
    const name = item._tag === "Data" ? nameOf(item.value) : null
    if (item._tag === "Gap" || name === null) continue
    const isRepeated = name === last && item.value._tag === "BookTicker"
    if (seen.has(name) && !isRepeated) return name
    seen.add(name)
    last = name
  }
  return null
}

/** In minus out: 0 when every event is accounted for. */
const imbalance = (topic: TopicPerformance): number =>
  topic.received + topic.reconciled -
  (topic.delivered + topic.conflated + topic.dropped + topic.stale + topic.abandoned + topic.unrouted +
    topic.duplicates)

export const publicWebsocketSuite = (name: string, subject: Exchange.Subject): void => {
  for (const mode of [Exchange.memory, Exchange.ports]) suiteIn(`${name} over ${mode.name}`, subject, mode)
}

/** Channels that tell several times a second: over real ports nobody waits for the others. */
const prompt: ReadonlySet<Channel.PublicTag> = new Set(["BookTicker", "Trades", "Book"])

const suiteIn = (name: string, subject: Exchange.Subject, mode: Exchange.Mode): void => {
  const { adapter, dialect } = subject
  const [firstTag, ...otherTags] = [...adapter.channels].filter((tag) => mode.name === "memory" || prompt.has(tag))
  const tags = [firstTag!, ...otherTags] as const
  const pairOf = (base: string): TradingPair => dialect.kind === "spot" ? `${base}/USDT` : `${base}/USDT:USDT`
  const [btc, eth, sol, nope] = [pairOf("BTC"), pairOf("ETH"), pairOf("SOL"), pairOf("NOPE")]
  const test = mode.name === "memory" ? it.effect : it.live
  const check = (
    requirement: string,
    body: Effect.Effect<void, ExchangeError.ExchangeError | Error, Exchange.Services | Scope.Scope>,
    simulator?: Parameters<Exchange.Mode["layer"]>[1],
    options?: Parameters<Exchange.Mode["layer"]>[2]
  ) => test(requirement, () => Exchange.withExchange(mode, mode.layer(subject, simulator, options), Effect.orDie(body)))

  /** Real time passes at its own pace. */
  const many = mode.name === "memory" ? 200 : 60

  // Most of the time goes by waiting for real sockets; each test has an exchange of its own.
  const group = mode.name === "ports" ? describe.concurrent : describe

  group(name, () => {
    check(
      "MUST deliver every channel of every pair, and refuse an unknown pair without touching the others",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const seen = new Set<string>()
        const all = new Set(tags.flatMap((tag) => [btc, eth].map((pair) => `${tag} ${pair}`)))
        const fiber = yield* Effect.forkScoped(
          Stream.runForEach(
            Stream.takeUntil(websocket.events, (item) => {
              if (item._tag === "Data") seen.add(`${Channel.tagOf[item.value._tag]} ${item.value.pair}`)
              return seen.size === all.size
            }),
            () => Effect.void
          ),
          { startImmediately: true }
        )
        const { accepted, rejected } = yield* websocket.initialize([btc, eth, nope], tags)
        assert.deepStrictEqual([...accepted].sort(), [btc, eth])
        assert.deepStrictEqual([...rejected.keys()], [nope])
        const reason = rejected.get(nope)!.reason
        assert.strictEqual(reason._tag, "SubscriptionRejected")
        assert.isFalse(rejected.get(nope)!.isTransient)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(seen, all)
        assert.isTrue(yield* websocket.isConnected)
      })
    )

    check(
      "MUST give pairs, times and units as the domain says",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const ticker = yield* takeUntil(yield* websocket.feed(Channel.bookTicker(btc)), isData)
        const [first] = ticker
        assert.isTrue(first?._tag === "Data")
        if (first?._tag !== "Data") return
        assert.strictEqual(first.value.pair, btc)
        assert.isBelow(first.value.bidPrice!, first.value.askPrice!)
        assert.isAtLeast(first.receivedAt, first.value.exchangeTime! - 1)
        if (!adapter.channels.has("Trades")) return
        const [second] = yield* takeUntil(yield* websocket.feed(Channel.trades(btc)), isData)
        if (second?._tag !== "Data") return assert.fail("no trade")
        assert.include(["buy", "sell"], second.value.side)
        assert.isNotNull(second.value.id)
        assert.isAbove(second.value.price, 0)
      })
    )

    check(
      "MUST show a book that is the exchange's at every version, level by level",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.book(btc))
        const items = yield* Stream.runCollect(Stream.take(stream, 60))
        assert.isNull(chainFault(items))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of items) if (item._tag === "Data") apply(item.value)
        assert.strictEqual(judged.wrong, 0)
        assert.isAtLeast(judged.compared, 50)
      })
    )

    check(
      "MUST give a subscriber that joins a running book a snapshot of its own, and not disturb the others",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const first = yield* websocket.feed(Channel.book(btc))
        const watched = yield* Effect.forkScoped(Stream.runCollect(Stream.take(first, 80)))
        yield* Effect.ignore(Stream.runDrain(Stream.take(yield* websocket.feed(Channel.bookTicker(btc)), 5)))
        const late = yield* Stream.runCollect(Stream.take(yield* websocket.feed(Channel.book(btc)), 30))
        const early = yield* Fiber.join(watched)
        for (const items of [early, late]) {
          assert.isNull(chainFault(items))
          assert.deepStrictEqual(causesOf(items), [])
          const { apply, judged } = judge(simulator, adapter.id)
          for (const item of items) if (item._tag === "Data") apply(item.value)
          assert.strictEqual(judged.wrong, 0)
        }
        const [opening] = late
        assert.strictEqual(opening?._tag === "Data" ? opening.value.kind : "", "snapshot")
      })
    )

    check(
      "MUST resubscribe everything after a drop, with a gap before the first data, and books right again",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const feeds = yield* Effect.forEach(tags, (tag) =>
          Effect.gen(function*() {
            const stream = yield* websocket.feed(Channel.forPair(tag, btc))
            let broken = false
            let after = 0
            return yield* Effect.forkScoped(
              takeUntil(stream as Stream.Stream<Item, ExchangeError.ExchangeError>, (item) => {
                if (item._tag === "Gap") broken = true
                else if (broken) after++
                return after === 3
              })
            )
          }))
        const topics = simulator.topics(adapter.id)
        assert.strictEqual(topics.size, tags.length)
        yield* simulator.inject("drop")
        const results = yield* Effect.forEach(feeds, (fiber) => Fiber.join(fiber))
        for (const items of results) assert.deepStrictEqual(causesOf(items), ["Reconnected"])
        const book = results[tags.indexOf("Book")]!
        assert.isNull(chainFault(book as ReadonlyArray<Feed<BookUpdate>>))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of book) if (item._tag === "Data") apply(item.value as BookUpdate)
        assert.strictEqual(judged.wrong, 0)
        assert.deepStrictEqual(simulator.topics(adapter.id), topics)
        assert.isAtLeast((yield* websocket.performance).reconnects, 1)
      })
    )

    check(
      "MUST replace connections without a gap, a loss or a repetition, and keep the ledger exact",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const seen = new Map<string, Array<Item>>()
        for (const tag of tags) {
          const items: Array<Item> = []
          seen.set(tag, items)
          const stream = yield* websocket.feed(Channel.forPair(tag, btc), { bufferSize: 100_000 })
          yield* Effect.forkScoped(
            Stream.runForEach(
              stream as Stream.Stream<Item, ExchangeError.ExchangeError>,
              (item) => Effect.sync(() => items.push(item))
            )
          )
        }
        yield* simulator.until(() => simulator.counts().exchanges[adapter.id]!.dials.length >= 3)
        yield* simulator.until(() => simulator.counts().exchanges[adapter.id]!.connections.open === 1)
        for (const [tag, items] of seen) {
          assert.deepStrictEqual(causesOf(items), [], tag)
          assert.isNull(repetitionIn(items), tag)
        }
        const book = seen.get("Book")! as ReadonlyArray<Feed<BookUpdate>>
        assert.isNull(chainFault(book))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of book) if (item._tag === "Data") apply(item.value)
        assert.strictEqual(judged.wrong, 0)
        assert.strictEqual((yield* websocket.performance).reconnects, 0)
        yield* simulator.inject({ _tag: "Silence" })
        yield* Effect.sleep("2 seconds")
        const performance = yield* websocket.performance
        assert.isAtLeast(performance.duplicates, 1)
        for (const topic of performance.topics) assert.strictEqual(imbalance(topic), 0, topic.topic)
      }),
      undefined,
      { rotateAfter: "1500 millis", idleTimeout: "300 millis" }
    )

    check(
      "MUST spread topics over connections within the limit, and lose nothing of the others when one ends",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const { accepted } = yield* websocket.initialize([btc, eth, sol], tags)
        assert.strictEqual(accepted.length, 3)
        const { progress, sockets } = yield* websocket.performance
        const topics = 3 * tags.length
        assert.isAtMost(sockets.length, Math.ceil(topics / 2) + 1)
        for (const socket of sockets) assert.isAtMost(socket.topics, 2)
        assert.deepInclude(progress, { wanted: topics, confirmed: topics, rejected: 0 })
        assert.strictEqual(simulator.topics(adapter.id).size, topics)
        yield* simulator.inject("drop")
        yield* simulator.until(() => simulator.topics(adapter.id).size === 0)
        yield* simulator.until(() => simulator.topics(adapter.id).size === topics)
      }),
      undefined,
      { limits: { topicsPerConnection: 2, dialsPerSecond: 50 } }
    )

    check(
      "MUST come back when the exchange refuses connections for a while",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        let connected = 0
        yield* websocket.handle({ onStatus: (status) => connected += status._tag === "Connected" ? 1 : 0 })
        const stream = yield* websocket.feed(Channel.bookTicker(btc))
        yield* simulator.inject("refuse:503@0s:2s")
        yield* simulator.inject("drop")
        let gone = false
        yield* takeUntil(stream, (item) => {
          if (item._tag === "Gap") gone = true
          return gone && item._tag === "Data"
        })
        const { dials } = simulator.counts().exchanges[adapter.id]!
        assert.isAtLeast(dials.filter(({ outcome }) => outcome === "refused").length, 2)
        assert.isAtLeast((yield* websocket.performance).errors["ConnectFailed"]!, 2)
      })
    )

    check(
      "MUST refuse the handler of a channel that the exchange lacks, with a typed error",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const handled: ReadonlyArray<readonly [Channel.PublicTag, PublicWebsocketHandlers]> = [
          ["BookTicker", { onBookTicker: () => {} }],
          ["Trades", { onTrade: () => {} }],
          ["Book", { onBook: () => {} }],
          ["Ticker", { onTicker: () => {} }],
          ["Kline", { onKline: () => {} }],
          ["FuturesTicker", { onFuturesTicker: () => {} }],
          ["Liquidations", { onLiquidation: () => {} }],
          ["ContractStats", { onContractStats: () => {} }]
        ]
        assert.sameMembers(handled.map(([tag]) => tag), [...Channel.publicTags])
        for (const [tag, handlers] of handled) {
          const outcome = yield* Effect.match(Effect.scoped(websocket.handle(handlers)), {
            onFailure: ({ message, reason }) => [reason._tag as string, message.includes(tag)],
            onSuccess: () => ["there", true]
          })
          assert.deepStrictEqual(outcome, [adapter.channels.has(tag) ? "there" : "UnsupportedChannel", true], tag)
        }
        const all = Object.assign({ onGap: () => {}, onStatus: () => {} }, ...handled.map(([, handlers]) => handlers))
        const those = handlersFor(websocket.channels, all)
        assert.strictEqual(Object.keys(those).length, adapter.channels.size + 2)
        yield* Effect.scoped(websocket.handle(those))
      })
    )

    check(
      "MUST find a half-open peer within the heartbeat's bound",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.bookTicker(btc))
        yield* simulator.inject("half-open")
        let gone = false
        yield* takeUntil(stream, (item) => {
          if (item._tag === "Gap") gone = true
          return gone && item._tag === "Data"
        })
        assert.strictEqual((yield* websocket.performance).errors["Silent"], 1)
      }),
      undefined,
      { heartbeat: { interval: "200 millis", timeout: "200 millis" } }
    )

    check(
      "MUST subscribe a silent topic anew, and leave the others alone",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const silent = yield* websocket.feed(Channel.bookTicker(btc))
        const other = yield* websocket.feed(Channel.bookTicker(eth))
        const gaps: Array<Gap> = []
        const watching = yield* Effect.forkScoped(
          Stream.runForEach(other, (item) => Effect.sync(() => item._tag === "Gap" && gaps.push(item)))
        )
        yield* simulator.inject({ _tag: "Silence", pair: btc, durationMillis: 1_500 })
        let gone = false
        const items = yield* takeUntil(silent, (item) => {
          if (item._tag === "Gap") gone = true
          return gone && item._tag === "Data"
        })
        assert.deepStrictEqual([...new Set(causesOf(items))], ["Silent"])
        assert.deepStrictEqual(gaps, [])
        yield* Fiber.interrupt(watching)
      }),
      undefined,
      { silence: { BookTicker: "600 millis" } }
    )

    check(
      "MUST report a hole in the versions for that pair only, and begin again from a snapshot",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const holed = yield* websocket.feed(Channel.book(btc))
        const whole = yield* Effect.forkScoped(
          Stream.runCollect(Stream.take(yield* websocket.feed(Channel.book(eth)), 60))
        )
        let count = 0
        let behind = 0
        const reading = yield* Effect.forkScoped(takeUntil(holed, (item) => {
          count++
          if (item._tag === "Gap") behind = count
          return behind > 0 && count >= behind + 10
        }))
        yield* Effect.forkScoped(
          Effect.andThen(simulator.until(() => count >= 5), simulator.inject({ _tag: "Gap", pair: btc, count: 1 }))
        )
        const items = yield* Fiber.join(reading)
        const gap = items.find((item): item is Gap => item._tag === "Gap")
        assert.strictEqual(gap?.cause, "Sequence")
        assert.isTrue(gap!.from! < gap!.to!)
        assert.isNull(chainFault(items))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of items) if (item._tag === "Data") apply(item.value)
        assert.strictEqual(judged.wrong, 0)
        assert.deepStrictEqual(causesOf(yield* Fiber.join(whole)), [])
      })
    )

    check(
      "MUST never show a wrong book under duplicates, reordering, gaps, stale and slow snapshots",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.book(btc), { bufferSize: 100_000 })
        const items = yield* Stream.runCollect(Stream.take(stream, many))
        assert.isNull(chainFault(items))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of items) if (item._tag === "Data") apply(item.value)
        assert.strictEqual(judged.wrong, 0)
        assert.isAtLeast(judged.compared, many * 0.7)
      }),
      { faults: ["duplicate:5%", "reorder:3%", "gap:3%", "stale-snapshot:300ms@0s:1s", "slow-snapshot:50ms"] }
    )

    check(
      "MUST count frames that cannot be read, and decode the clean ones between them",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const stream = yield* websocket.feed(Channel.bookTicker(btc))
        const items = yield* Stream.runCollect(Stream.take(stream, 40))
        assert.isTrue(items.every(isData))
        const { decodeFailures } = yield* websocket.performance
        assert.isAtLeast(decodeFailures, 1)
        const corrupted = Object.values(simulator.counts().exchanges[adapter.id]!.topics)
          .reduce((sum, topic) => sum + topic.corrupted.frames, 0)
        assert.isAtMost(decodeFailures, corrupted)
      }),
      { faults: ["corrupt:30%,mode=truncate"] }
    )

    check(
      "MUST leave nothing subscribed when the last holder leaves, and release the sockets when the Layer goes",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const scope = yield* Scope.make()
        yield* Effect.forEach(tags, (tag) => websocket.feed(Channel.forPair(tag, sol)).pipe(Scope.provide(scope)))
        assert.strictEqual(simulator.topics(adapter.id).size, tags.length)
        yield* Scope.close(scope, Exit.void)
        yield* simulator.until(() => simulator.topics(adapter.id).size === 0)
        yield* simulator.until(() => simulator.counts().exchanges[adapter.id]!.connections.open === 0)
        assert.isFalse(yield* websocket.isConnected)
      }),
      undefined,
      { idleTimeout: "300 millis" }
    )

    check(
      "MUST give a slow book subscriber a declared loss and a fresh snapshot, and not disturb the quick one",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const slow = yield* websocket.feed(Channel.book(btc), { bufferSize: 4 })
        const quick = yield* Stream.runCollect(Stream.take(yield* websocket.feed(Channel.book(btc)), 60))
        assert.deepStrictEqual(causesOf(quick), [])
        assert.isNull(chainFault(quick))
        let behind = 0
        const items = yield* takeUntil(slow, (item) => {
          if (item._tag === "Gap") behind = 1
          else if (behind > 0) behind++
          return behind > 10
        })
        const gap = items.find((item): item is Gap => item._tag === "Gap")
        assert.strictEqual(gap?.cause, "Overflow")
        assert.isAtLeast(gap!.lost!, 4)
        assert.isNull(chainFault(items))
        const { apply, judged } = judge(simulator, adapter.id)
        for (const item of items) if (item._tag === "Data") apply(item.value)
        assert.strictEqual(judged.wrong, 0)
      })
    )

    check(
      "MUST leave nothing behind of an initialize that was interrupted",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        yield* simulator.inject({ _tag: "Silence", pair: eth })
        const opening = yield* Effect.forkScoped(websocket.initialize([btc, eth, sol], tags))
        yield* simulator.until(() => simulator.topics(adapter.id).size > 0)
        yield* Fiber.interrupt(opening)
        yield* simulator.until(() => simulator.topics(adapter.id).size === 0)
        yield* simulator.clear()
        const { accepted } = yield* websocket.initialize([btc], [tags[0]!])
        assert.deepStrictEqual(accepted, [btc])
        assert.strictEqual(simulator.topics(adapter.id).size, 1)
      })
    )

    check(
      "SHOULD list instruments that name the pairs it streams, and tell its time",
      Effect.gen(function*() {
        const rest = yield* MarketRest
        const instruments = yield* rest.instruments
        const found = instruments.find(({ pair }) => pair === btc)
        assert.strictEqual(found?.symbol, adapter.symbol(btc))
        assert.isTrue(dialect.kind === "spot" ? found!.contractSize === 1 : found!.contractSize > 0)
        assert.isAbove(found!.priceStep, 0)
        assert.isAbove(yield* rest.serverTime, -1)
      })
    )

    check(
      "SHOULD account for every event of every topic",
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const scope = yield* Scope.make()
        yield* websocket.handle({}).pipe(Scope.provide(scope))
        yield* websocket.initialize([btc, eth, sol], tags)
        const simulated = () => Object.values(simulator.counts().exchanges[adapter.id]!.topics)
        yield* simulator.until(() => simulated().reduce((sum, topic) => sum + topic.sent.events, 0) > 300)
        yield* websocket.unsubscribe([btc, eth, sol])
        yield* simulator.until(() => simulator.topics(adapter.id).size === 0)
        const sent = () => simulated().reduce((sum, topic) => sum + topic.sent.events, 0)
        const received = Effect.map(
          websocket.performance,
          ({ topics }) => topics.reduce((sum, topic) => sum + topic.received, 0)
        )
        // Over real sockets the last frames may still be on their way when the exchange has forgotten the topics.
        while ((yield* received) < sent()) yield* Effect.sleep(10)
        const performance = yield* websocket.performance
        for (const topic of performance.topics) {
          assert.strictEqual(imbalance(topic), 0, topic.topic)
        }
        assert.strictEqual(yield* received, sent())
        assert.strictEqual(performance.decodeFailures, 0)
        assert.strictEqual(performance.decoderFallbacks, 0)
      })
    )
  })
}
