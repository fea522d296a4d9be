/** Consumers that are slow, throw, or leave. Each stands on a pair of its own beside the session. */
import { Effect, Fiber, Stream } from "effect"
import { OrderBook } from "../../../src/composite/OrderBook.ts"
import * as Channel from "../../../src/domain/Channel.ts"
import type { Feed } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate, MarketEvent } from "../../../src/domain/Market.ts"
import type { Performance, TopicPerformance } from "../../../src/PublicWebsocket.ts"
import type { Fault, World } from "../Fault.ts"
import { drop } from "./Steps.ts"

const quiet = { gaps: [], within: 1_000 } as const

const ofSol = ({ topics }: Performance, { sol }: World): TopicPerformance | undefined =>
  topics.find(({ pair }) => pair === sol)

type Items = ReadonlyArray<Feed<MarketEvent>>

/** A feed that is not read for so long, and then to its end. */
const slow = (
  channel: (pair: TradingPair) => Channel.PublicChannel,
  millis: number,
  judge: (items: Items, world: World) => void
) =>
(world: World) =>
  Effect.scoped(Effect.gen(function*() {
    const stream = yield* world.websocket.feed(channel(world.sol), { bufferSize: 8 })
    yield* Effect.sleep(millis)
    const items: Array<Feed<MarketEvent>> = []
    const reading = yield* Effect.forkChild(
      Stream.runForEach(
        stream as Stream.Stream<Feed<MarketEvent>, unknown>,
        (item) => Effect.sync(() => void items.push(item))
      )
    )
    yield* Effect.sleep(1_000)
    judge(items, world)
    yield* Fiber.interrupt(reading)
  }))

const overflows = (items: Items): number =>
  items.filter((item) => item._tag === "Gap" && item.cause === "Overflow").length

/** Whether a slow reader's book has the exchange's best bid; null where the exchange's is not known any more. */
const isRight = ({ simulator, sol, subject }: World, book: OrderBook, update: BookUpdate): boolean | null => {
  book.apply(update)
  const truth = simulator.truth(subject.adapter.id, sol, Number(update.version), 1)
  return truth === undefined ? null : book.view?.bid(0)?.price === Number(truth.bids[0]!.price)
}

/** Each update's verdict: right, wrong, not known any more, or a delta without a snapshot. */
const verdictsOf = (items: Items, world: World): ReadonlyArray<boolean | null | "delta"> => {
  let book: OrderBook | null = null
  return items.flatMap((item) => {
    if (item._tag === "Gap" || item.value._tag !== "BookUpdate") {
      book = null
      return []
    }
    if (item.value.kind === "snapshot") book = new OrderBook(world.sol)
    return [book === null ? "delta" : isRight(world, book, item.value)]
  })
}

/** Book updates that a slow reader got, against the exchange's book. */
const judgeBook = (items: Items, world: World): void => {
  const verdicts = verdictsOf(items, world)
  if (verdicts.includes("delta")) world.problem("a delta came behind no snapshot")
  if (verdicts.includes(false)) world.problem("the slow reader's book is wrong")
  if (!verdicts.includes(true)) world.problem("no book of the slow reader was compared")
  if (overflows(items) === 0) world.problem("the slow reader lost nothing")
}

export const consumer: ReadonlyArray<Fault> = [
  {
    name: "slow-reader-of-quotes",
    group: "consumer",
    injects: "a stream of quotes with a buffer of 8 is not read",
    when: "for 3 s",
    holds: "it keeps the newest quote and counts the others as conflated, without a gap; the others do not notice",
    from: "running",
    act: slow(Channel.bookTicker, 3_000, (items, { problem }) => {
      if (items.some((item) => item._tag === "Gap")) problem("a gap in quotes")
    }),
    expect: { ...quiet, counted: ["conflated"] },
    check: (performance, world) => (ofSol(performance, world)?.dropped ?? 0) > 0 ? ["quotes were dropped"] : []
  },
  {
    name: "slow-reader-of-trades",
    group: "consumer",
    injects: "a stream of trades with a buffer of 8 is not read",
    when: "for 3 s",
    holds: "gaps say exactly how many were lost: received = read + lost",
    from: "running",
    act: slow(Channel.trades, 3_000, (items, { problem }) => {
      if (overflows(items) === 0) problem("nothing was lost")
      const ids = items.flatMap((item) => item._tag === "Data" && item.value._tag === "Trade" ? [item.value.id] : [])
      if (new Set(ids).size !== ids.length) problem("a trade came twice")
    }),
    expect: { ...quiet, counted: ["dropped"] }
  },
  {
    name: "slow-reader-of-a-book",
    group: "consumer",
    injects: "a stream of book updates with a buffer of 8 is not read",
    when: "for 3 s",
    holds: "one declared loss, then a snapshot, and the book is the exchange's",
    from: "running",
    act: slow(Channel.book, 3_000, judgeBook),
    expect: { ...quiet, counted: ["dropped"] }
  },
  {
    name: "blocking-reader",
    group: "consumer",
    injects: "a stream of trades that may block holds up reading again and again",
    when: "for 3 s",
    holds: "nothing is lost anywhere, and our own silence is not taken for the exchange's",
    from: "running",
    act: (world) =>
      Effect.scoped(Effect.gen(function*() {
        const stream = yield* world.websocket.feed(Channel.trades(world.sol), { bufferSize: 2, overflow: "block" })
        const end = world.now() + 3_000
        yield* Stream.runForEach(
          Stream.takeUntil(stream, () => world.now() >= end),
          (item) => item._tag === "Gap" ? Effect.sync(() => world.problem("a gap")) : Effect.sleep(40 + world.below(60))
        )
      })),
    expect: { gaps: [], within: 2_000 },
    check: ({ dropped }) => dropped > 0 ? [`${dropped} events were dropped`] : []
  },
  {
    name: "handler-throws",
    group: "consumer",
    injects: "a handler throws on every trade, another rejects a promise on every quote",
    when: "for 2 s",
    holds: "counted and logged; the other handlers get everything",
    from: "running",
    act: (world) =>
      Effect.scoped(Effect.gen(function*() {
        yield* world.websocket.handle({
          onTrade: () => {
            throw new Error("a consumer's mistake")
          },
          onBookTicker: (() => Promise.reject(new Error("a consumer's mistake"))) as unknown as () => void
        })
        yield* Effect.sleep(2_000)
      })),
    logs: true,
    shares: true,
    expect: { ...quiet, counted: ["handlerFailures"] }
  },
  {
    name: "status-handler-throws",
    group: "consumer",
    injects: "a handler of connection changes throws",
    when: "behind a drop",
    holds: "counted and logged; it reconnects all the same",
    from: "running",
    act: (world) =>
      Effect.scoped(Effect.gen(function*() {
        yield* world.websocket.handle({
          onStatus: () => {
            throw new Error("a consumer's mistake")
          }
        })
        yield* drop(world)
        yield* Effect.sleep(1_000)
      })),
    logs: true,
    shares: true,
    expect: { gaps: ["Reconnected"], counted: ["handlerFailures", "reconnects"], within: 1_500 }
  },
  {
    name: "consumer-leaves-within-a-batch",
    group: "consumer",
    injects: "consumers take three events and leave, more waiting behind them",
    when: "twelve in a row",
    holds: "what they left is counted as abandoned or unrouted; the topic is off the wire behind the last",
    from: "running",
    act: (world) =>
      Effect.forEach(
        Array.from({ length: 12 }, (_, index) => index),
        () =>
          Effect.scoped(
            Effect.flatMap(
              world.websocket.feed(Channel.trades(world.sol)),
              (stream) => Stream.runDrain(Stream.take(stream, 3))
            )
          ),
        { discard: true }
      ),
    expect: quiet
  },
  {
    name: "stream-run-twice",
    group: "consumer",
    injects: "the stream of one feed is run a second time",
    when: "while the first run goes on",
    holds: "the second fails with `InvalidUse` and says what to do; the first goes on",
    from: "running",
    act: (world) =>
      Effect.scoped(Effect.gen(function*() {
        const stream = yield* world.websocket.feed(Channel.trades(world.sol))
        const first = yield* Effect.forkChild(Stream.runCollect(Stream.take(stream, 10)))
        yield* Effect.sleep(100)
        const error = yield* Effect.flip(Stream.runDrain(stream))
        if (error.reason._tag !== "InvalidUse") world.problem(`failed with ${error.reason._tag}`)
        if ((yield* Fiber.join(first)).length !== 10) world.problem("the first run ended early")
      })),
    expect: quiet
  }
]
