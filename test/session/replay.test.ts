/** What was recorded comes out again: the same events, the same breaks, at the same recorded times. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, FileSystem, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as Journal from "../../src/connection/Journal.ts"
import type { Entry } from "../../src/connection/JournalFormat.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { ChannelChoice } from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as JournalFile from "../../src/JournalFile.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"
import * as Recordings from "../recordings/Recordings.ts"
import { toy } from "../simulator/ToyDialect.ts"
import type * as Exchange from "../suites/Exchange.ts"

const btc = "BTC/USDT"
const eth = "ETH/USDT"

const gate: Exchange.Subject = { adapter: gateSpot, dialect: gateSpotDialect }

interface Case {
  readonly name: string
  readonly subject: Exchange.Subject
  readonly channels: Recordings.Channels
  readonly options?: ExchangeFactory.RedundantOptions
  /** What the log must hold, or the test would not test it. */
  readonly holds: ReadonlyArray<string>
}

const breaks = ["\"cause\":\"Reconnected\"", "\"cause\":\"Sequence\"", "\"_tag\":\"Disconnected\""]

const cases: ReadonlyArray<Case> = [
  {
    name: "mexc-spot",
    subject: { adapter: mexcSpot, dialect: mexcSpotDialect },
    channels: ["BookTicker", "Trades", "Book"],
    holds: [...breaks, "\"origin\":\"Reconciled\"", "\"cause\":\"Unreadable\""]
  },
  {
    name: "gate-spot",
    subject: gate,
    channels: ["BookTicker", "Trades", "Book"],
    holds: [...breaks, "\"cause\":\"Unreadable\""]
  },
  {
    name: "gate-spot, books by snapshots",
    subject: gate,
    channels: ["Trades", { _tag: "Book", source: "order_book_update" }],
    holds: [...breaks, "\"origin\":\"Reconciled\""]
  },
  {
    name: "gate-spot, on two connections that are replaced every few seconds",
    subject: gate,
    channels: ["BookTicker", "Trades", { _tag: "Book", source: "order_book_update" }],
    options: { connections: 2, rotateAfter: "1500 millis" },
    holds: ["\"_tag\":\"Disconnected\"", "\"connection\":5"]
  },
  {
    name: "mexc-spot, on two connections that are replaced every few seconds",
    subject: { adapter: mexcSpot, dialect: mexcSpotDialect },
    channels: ["BookTicker", "Trades", "Book"],
    options: { connections: 2, rotateAfter: "1500 millis" },
    holds: ["\"_tag\":\"Disconnected\"", "\"connection\":5"]
  },
  {
    name: "toy",
    subject: { adapter: toySpot, dialect: toy },
    channels: ["BookTicker", "Book"],
    holds: breaks
  }
]

const faults = ["duplicate:2%", "gap:1%", "corrupt:1%", "drop@3s", "refuse:503@4s:1s", "drop@6s", "slow-snapshot:80ms"]

const planOf = (subject: Exchange.Subject, more: Partial<Recordings.Plan> = {}): Recordings.Plan => ({
  subject,
  simulator: { seed: 11, faults },
  pairs: [btc, eth],
  channels: ["BookTicker", "Trades", "Book"],
  millis: 8_000,
  ...more
})

/** A short session without faults, on Gate. */
const calm = Recordings.recordBytes(planOf(gate, { simulator: { seed: 3, faults: [], rate: 20 }, millis: 2_000 })).pipe(
  Effect.flatMap(({ bytes }) => Journal.read(bytes))
)

/** A journal of our own making: the preamble of another with other entries. */
const withEntries = (recording: Journal.Recording, change: (entries: Array<Entry>) => Array<Entry>) =>
  Effect.gen(function*() {
    const entries: Array<Entry> = []
    for (let block = 0; block < recording.blocks; block++) entries.push(...yield* recording.entries(block))
    const changed = change(entries)
    return { ...recording, blocks: 1, entries: () => Effect.succeed(changed) }
  })

describe("replay", () => {
  for (const { channels, holds, name, options, subject } of cases) {
    const { adapter } = subject
    it.effect(
      `of ${name} gives the events and breaks of the recorded session, at any speed`,
      () =>
        Effect.gen(function*() {
          const plan = planOf(subject, { channels, options })
          const { bytes, log } = yield* Recordings.recordBytes(plan)
          assert.isAbove(log.handled.length, 200)
          for (const text of holds) {
            assert.isTrue([...log.handled, ...log.streamed].some((line) => line.includes(text)), `no ${text}`)
          }
          const recording = yield* Journal.read(bytes)
          const replay = (speed: number | "max") =>
            Recordings.replay(adapter, recording, plan.pairs, plan.channels, { speed })
          const first = yield* replay("max")
          // The recording goes on while the session is taken down: changes of connections, and nothing else.
          assert.deepStrictEqual(first.streamed, log.streamed)
          assert.deepStrictEqual(first.handled.slice(0, log.handled.length), log.handled)
          for (const speed of ["max", 10, 1, 0.5] as const) assert.deepStrictEqual(yield* replay(speed), first)
        }).pipe(Effect.provide(TestClock.layer())),
      60_000
    )
  }

  it.effect("takes the time that the recording took, or a part of it", () =>
    Effect.gen(function*() {
      const recording = yield* calm
      const { from, to } = recording.summary
      const timed = (speed: number | "max") =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(
            Effect.gen(function*() {
              const { reading } = yield* Recordings.consume
              const began = yield* Clock.currentTimeMillis
              yield* (yield* PublicWebsocket).initialize([btc], ["Trades"])
              yield* Fiber.join(reading)
              return (yield* Clock.currentTimeMillis) - began
            }).pipe(Effect.scoped, Effect.provide(ExchangeFactory.layerReplay(gateSpot, recording, { speed }))),
            { startImmediately: true }
          )
          // As fast as possible needs no time at all.
          while (speed !== "max" && fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
          return yield* Fiber.join(fiber)
        })
      assert.closeTo(yield* timed(1), to - from, 20)
      assert.closeTo(yield* timed(10), (to - from) / 10, 20)
      assert.strictEqual(yield* timed("max"), 0)
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("of a part of the topics gives that part of the log", () =>
    Effect.gen(function*() {
      const { bytes, log } = yield* Recordings.recordBytes(planOf(gate))
      const part = yield* Recordings.replay(gateSpot, yield* Journal.read(bytes), [eth], ["Trades", "Book"])
      const wanted = log.streamed.filter((line) => line.includes("ETH_USDT") && !line.includes("\"BookTicker\""))
      const gaps = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("\"gap\"")).length
      assert.deepStrictEqual(
        part.streamed.filter((line) => !line.includes("\"gap\"")),
        wanted.filter((line) => !line.includes("\"gap\""))
      )
      assert.isAbove(gaps(part.streamed), 0)
      assert.isAtMost(gaps(part.streamed), gaps(wanted))
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("refuses by type what was not recorded, and a recording of another exchange", () =>
    Effect.gen(function*() {
      const recording = yield* calm
      const error = yield* Effect.flip(Recordings.replay(gateSpot, recording, ["SOL/USDT"], ["Trades"]))
      assert.strictEqual(error._tag, "ExchangeError")
      assert.strictEqual(
        error.message,
        "[gate-spot] Trades SOL/USDT is not offered: the recording has BookTicker BTC/USDT, Trades BTC/USDT, " +
          "Book BTC/USDT, BookTicker ETH/USDT, Trades ETH/USDT, Book ETH/USDT"
      )
      const other = yield* Effect.flip(Recordings.replay(mexcSpot, recording, [btc], ["Trades"]))
      assert.strictEqual(other._tag, "JournalError")
      assert.strictEqual(other.message, "it was recorded from gate-spot, not from mexc-spot")
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("answers a subscription as the exchange did", () =>
    Effect.gen(function*() {
      const simulator = { seed: 3, faults: ["reject:ETH/USDT"] }
      const plan = planOf(gate, { simulator, channels: ["Trades"], millis: 1_000 })
      const recording = yield* Effect.flatMap(Recordings.recordBytes(plan), ({ bytes }) => Journal.read(bytes))
      const subscribed = (listening: boolean) =>
        Recordings.over(
          gateSpot,
          recording,
          Effect.gen(function*() {
            if (listening) yield* Recordings.consume
            return yield* (yield* PublicWebsocket).initialize([btc, eth], ["Trades"])
          })
        )
      for (const listening of [true, false]) {
        const { accepted, rejected } = yield* subscribed(listening)
        assert.deepStrictEqual(accepted, [btc])
        assert.strictEqual(rejected.get(eth)?.reason._tag, "SubscriptionRejected")
      }
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("gives the answers that came over HTTP, and what the exchange lists", () =>
    Effect.gen(function*() {
      const parts: Array<Uint8Array> = []
      const plan = planOf(gate, { simulator: { seed: 3, faults: [] }, millis: 200 })
      const sink: Journal.Sink = (bytes) => Effect.sync(() => void parts.push(bytes.slice()))
      const asking = Effect.gen(function*() {
        const rest = yield* MarketRest
        const { feed } = yield* PublicWebsocket
        yield* feed(Channel.trades(btc))
        return { instruments: yield* rest.instruments, serverTime: yield* rest.serverTime }
      })
      const live = yield* Recordings.with(plan, Journal.make({ sink }), asking)
      const recording = yield* Journal.read(Buffer.concat(parts))
      const again = yield* Recordings.over(gateSpot, recording, asking)
      assert.deepStrictEqual(again, live)
      const missing = yield* Recordings.over(
        gateSpot,
        recording,
        Effect.flip(Effect.flatMap(MarketRest, (rest) => rest.book("BTC_USDT", Channel.book(btc), 0)))
      )
      assert.strictEqual(missing.reason._tag, "RequestFailed")
      assert.include(missing.message, "the recording has no answer")
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("gives books to those who come late, and to those who were too slow", () =>
    Effect.gen(function*() {
      const channels: [ChannelChoice] = [{ _tag: "Book", source: "order_book_update" }]
      const plan = planOf(gate, { simulator: { seed: 3, faults: [], rate: 50 }, channels, millis: 3_000 })
      const recording = yield* Effect.flatMap(Recordings.recordBytes(plan), ({ bytes }) => Journal.read(bytes))
      const { full, late } = yield* Recordings.over(
        gateSpot,
        recording,
        Effect.gen(function*() {
          const { feed } = yield* PublicWebsocket
          const collect = (items: Array<Feed<BookUpdate>>) => (item: Feed<BookUpdate>) =>
            Effect.sync(() => void items.push(item))
          const full: Array<Feed<BookUpdate>> = []
          const late: Array<Feed<BookUpdate>> = []
          const channel = Channel.book(btc, { source: "order_book_update" })
          const first = yield* Effect.forkScoped(Stream.runForEach(yield* feed(channel), collect(full)))
          yield* Effect.sleep(1_000)
          yield* Stream.runForEach(yield* feed(channel), collect(late))
          yield* Fiber.join(first)
          return { full, late }
        }),
        { speed: 1 }
      )
      const updates = (items: ReadonlyArray<Feed<BookUpdate>>) =>
        items.flatMap((item) => item._tag === "Data" ? [item.value] : [])
      const [snapshot, ...deltas] = updates(late)
      if (snapshot === undefined) return assert.fail("nothing came")
      assert.strictEqual(snapshot.kind, "snapshot")
      const behind = updates(full).filter(({ version }) => version > snapshot.version)
      assert.isAbove(behind.length, 10)
      assert.deepStrictEqual(deltas, behind)
      assert.isAbove(updates(full).length, behind.length)
      // The snapshot is the book as the others have it.
      const book = (side: "asks" | "bids") => {
        const levels = new Map<number, number>()
        for (const update of updates(full).filter(({ version }) => version <= snapshot.version)) {
          if (update.kind === "snapshot") levels.clear()
          for (let i = 0; i < update[side].length; i += 2) levels.set(update[side][i]!, update[side][i + 1]!)
        }
        return [...levels].filter(([, quantity]) => quantity > 0).sort(([a], [b]) => side === "bids" ? b - a : a - b)
      }
      assert.deepStrictEqual(snapshot.bids, book("bids").flat())
      assert.deepStrictEqual(snapshot.asks, book("asks").flat())
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("keeps order books, which begin behind the session", () =>
    Effect.gen(function*() {
      const recording = yield* calm
      const synced = yield* Recordings.over(
        gateSpot,
        recording,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const { reading } = yield* Recordings.consume
          yield* websocket.initialize([btc, eth], ["Book"])
          const books = yield* OrderBooks.make([btc, eth])
          const replay = yield* ExchangeFactory.Replay
          yield* replay.ended
          const found = [btc, eth].map((pair) => books.get(pair as "BTC/USDT")?._tag)
          yield* Fiber.join(reading)
          assert.closeTo(replay.now(), recording.summary.to, 1)
          return found
        })
      )
      assert.deepStrictEqual(synced, ["Synced", "Synced"])
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("is not held up for long by a reader that reads something else", () =>
    Effect.gen(function*() {
      const recording = yield* calm
      const found = yield* Recordings.over(
        gateSpot,
        recording,
        Effect.gen(function*() {
          const { feed } = yield* PublicWebsocket
          const tickers = yield* feed(Channel.bookTicker(btc))
          return yield* tickers.pipe(
            Stream.take(1),
            // While this one takes nothing.
            Stream.mapEffect(() => feed(Channel.trades(eth))),
            Stream.flatMap((trades) => Stream.take(trades, 1)),
            Stream.runCollect
          )
        })
      )
      assert.strictEqual(found[0]?._tag, "Data")
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("tells a break where the recorder could not keep up", () =>
    Effect.gen(function*() {
      const recording = yield* calm
      const broken = yield* withEntries(recording, (entries) =>
        entries.flatMap((entry, i) =>
          i === Math.floor(entries.length / 2)
            ? [entry, { _tag: "Lost", at: 77, entries: 5, bytes: 100 } as const]
            : [entry]
        ))
      const { streamed } = yield* Recordings.replay(gateSpot, broken, [btc], ["Trades", "Book"])
      const gaps = streamed.filter((line) =>
        line.includes("\"gap\"")
      )
      assert.strictEqual(gaps.length, 2)
      assert.isTrue(gaps.every((line) => line.includes("\"cause\":\"Reconnected\",\"at\":77")))
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("of a ring begins in the midst, with the topics as they stood", () =>
    Effect.gen(function*() {
      const plan = planOf(gate, { simulator: { seed: 5, faults: [] } })
      let dumped: Uint8Array | null = null
      const recorder = Effect.gen(function*() {
        const ring = yield* Journal.ring({ blockBytes: 4_096, maxBytes: 60_000 })
        yield* Effect.addFinalizer(() => Effect.map(ring.dump, (bytes) => void (dumped = bytes)))
        return ring.recorder
      })
      const log = yield* Recordings.record(plan, recorder)
      const recording = yield* Journal.read(dumped!)
      const found = yield* Recordings.replay(gateSpot, recording, [btc, eth], ["Trades"])
      const trades = log.handled.filter((line) => line.includes("\"Trade\""))
      const again = found.handled.filter((line) => line.includes("\"Trade\""))
      assert.isAbove(again.length, 5)
      assert.isBelow(again.length, trades.length)
      assert.deepStrictEqual(again, trades.slice(-again.length))
    }).pipe(Effect.provide(TestClock.layer())))
})

/** Every file in the folder is a test: copy the recording of an incident there, and its log beside it if it is right. */
describe("recordings", () => {
  const folder = resolve(import.meta.dirname, "..", "fixtures", "recordings")
  const names = readdirSync(folder).filter((name) => name.endsWith(".journal")).map((name) => name.slice(0, -8))

  for (const name of names) {
    it.effect(`${name} gives the same log every time, and books without a hole`, () =>
      Effect.gen(function*() {
        const recording = yield* Effect.provide(
          JournalFile.read(join(folder, `${name}.journal`)),
          NodeFileSystem.layer
        )
        const id = recording.header.exchange
        assert.isTrue(Exchanges.isKnown(id))
        const adapter = Exchanges.get(id as Exchanges.KnownExchange)
        const topics = [...recording.topics.values()].map(({ channel }) => channel)
        const choices = new Map(topics.map(({ pair: _, ...choice }) => [JSON.stringify(choice), choice]))
        const pairs = [...new Set(topics.map(({ pair }) => pair))] as unknown as Recordings.Pairs
        const channels = [...choices.values()] as unknown as Recordings.Channels
        const first = yield* Recordings.replay(adapter, recording, pairs, channels)
        assert.deepStrictEqual(yield* Recordings.replay(adapter, recording, pairs, channels), first)
        const golden = readFileSync(join(folder, `${name}.ndjson`), "utf8")
        assert.deepStrictEqual(first.handled, golden.trimEnd().split("\n"))
        checkBooks(first.streamed)
      }).pipe(Effect.provide(TestClock.layer())))
  }
})

interface Line {
  readonly symbol: string
  readonly gap?: unknown
  readonly kind?: "snapshot" | "delta"
  readonly firstVersion?: string
  readonly version?: string
}

/** After a break a book begins with a snapshot. */
const checkBooks = (lines: ReadonlyArray<string>): void => {
  const last = new Map<string, Sequence.Sequence>()
  for (const { firstVersion, gap, kind, symbol, version } of lines.map((line) => JSON.parse(line) as Line)) {
    if (gap !== undefined) last.delete(symbol)
    if (kind === undefined) continue
    if (kind === "delta") assert.isTrue(last.has(symbol), `a delta of ${symbol} ${firstVersion} behind a break`)
    last.set(symbol, Sequence.fromText(version!)!)
  }
}

describe("JournalFile", () => {
  const inFolder = <A, E>(body: (folder: string) => Effect.Effect<A, E, FileSystem.FileSystem | Scope.Scope>) =>
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      return yield* body(yield* fileSystem.makeTempDirectoryScoped())
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))

  it.live("writes what a killed process leaves behind within the flush interval", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "a.journal")
        const recorder = yield* JournalFile.record(path, { flushEvery: "1 millis" })
        recorder.begin("toy", {})
        recorder.batch(1, { receivedAt: 1, frames: [Buffer.from("a frame")] })
        // The recorder is never closed here; its file is read as it stands.
        const recording = yield* JournalFile.read(path).pipe(
          Effect.filterOrFail(({ summary }) => summary.frames === 1),
          Effect.eventually
        )
        assert.match(recording.header.package ?? "", /^\d+\.\d+\.\d+/)
        const torn = readFileSync(path).subarray(0, -1)
        const fileSystem = yield* FileSystem.FileSystem
        yield* fileSystem.writeFile(path, torn)
        const { summary } = yield* JournalFile.read(path)
        assert.strictEqual(summary.frames, 0)
        assert.match(summary.truncated ?? "", /no whole block/)
      })
    ))

  it.live("finds damage by zstd's checksum", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "a.journal")
        yield* Effect.scoped(Effect.gen(function*() {
          const recorder = yield* JournalFile.record(path)
          recorder.begin("toy", {})
          recorder.batch(1, { receivedAt: 1, frames: [Buffer.from("a frame that is long enough to be a block")] })
        }))
        const bytes = readFileSync(path)
        bytes[bytes.length - 8]! ^= 0xff
        yield* Effect.flatMap(FileSystem.FileSystem, (fileSystem) => fileSystem.writeFile(path, bytes))
        const { summary } = yield* JournalFile.read(path)
        assert.match(summary.truncated ?? "", /^block 1 of 1 cannot be read: /)
      })
    ))

  it.live("says what is wrong with a path", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const missing = yield* Effect.flip(JournalFile.read(join(folder, "none")))
        assert.strictEqual(missing.kind, "file")
        assert.include(missing.message, "cannot read")
        const nowhere = yield* Effect.flip(Effect.scoped(JournalFile.record(join(folder, "no", "folder"))))
        assert.include(nowhere.message, "cannot record to")
      })
    ))

  it.live("writes the latest to a file when a chosen break comes", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = (count: number) => join(folder, `${count}.journal`)
        const { recorder } = yield* JournalFile.ring({ on: ["Sequence"], after: "1 millis", path })
        recorder.begin("toy", {})
        recorder.batch(1, { receivedAt: 1, frames: [Buffer.from("a frame")] })
        recorder.decide(0, { _tag: "Interrupted", cause: "Silent", lost: null })
        recorder.decide(0, { _tag: "Break", cause: "Sequence" })
        const recording = yield* Effect.eventually(JournalFile.read(path(1)))
        assert.strictEqual(recording.summary.frames, 1)
      })
    ))
})
