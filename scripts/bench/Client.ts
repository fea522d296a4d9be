/** One contestant in a process of its own: connects, subscribes, checks one pass, and takes part in one timed run. */
import { Clock, Effect, Layer, Stream } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Hdr from "hdr-histogram-js"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { WebSocket } from "ws"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { BookView } from "../../src/composite/OrderBook.ts"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { Sink, Topic } from "../../src/ExchangeAdapter.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { Job, Latency, Report } from "./Contestants.ts"
import * as Plain from "./Plain.ts"
import * as Scenario from "./Scenario.ts"

const job = JSON.parse(process.argv[2]!) as Job
const of = Scenario.cases.find(({ id }) => id === job.caseId)!
const { adapter } = of
const http = `http://127.0.0.1:${job.port}`
const url = `ws://127.0.0.1:${job.port}${of.dialect.websocketPath}`

const command = async (text: string): Promise<void> => {
  const response = await fetch(`${http}/bench/${text}`, { method: "POST" })
  await response.text()
}

// ---- counting: the same few instructions for everybody --------------------------------------------------------------

let count = 0
/** The count at which something is to be done. */
let next = Number.POSITIVE_INFINITY
/** Kept, so that no event can be optimised away. */
let last: unknown
let onNext = (): void => {}

const consume = (event: unknown): void => {
  last = event
  if (++count === next) onNext()
}

const advance = (by: number): void => {
  count += by
  if (count >= next) onNext()
}

const counters = { fallbacks: 0, failures: 0, gaps: 0, lost: 0 }

const longest = 60_000

/** Runs until `total` events have come; the partial count when they do not. */
const counted = async (total: number, send: string, begin: (done: () => void) => void): Promise<void> => {
  count = 0
  const done = new Promise<void>(begin)
  await command(send)
  await Promise.race([done, sleep(longest, undefined, { ref: false })])
  if (count < total) process.stderr.write(`${job.caseId} ${job.contestant}: ${count} of ${total} events came\n`)
}

let hash = 0

/** Without what differs from run to run; summed, because connections are not ordered among each other. */
const addToHash = (event: MarketEvent): void => {
  const { receivedAt: _, version: _version, ...rest } = event as BookTicker
  const { firstVersion: _first, ...values } = rest as typeof rest & { firstVersion?: unknown }
  const text = JSON.stringify(Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1))
  let value = 0
  for (let i = 0; i < text.length; i++) value = (Math.imul(value, 31) + text.charCodeAt(i)) | 0
  hash = (hash + value) | 0
}

const hasEvents = job.contestant === "floor" || job.contestant === "plain" || job.contestant === "handler" ||
  job.contestant === "stream"

/** One pass over all frames, every event of which goes into the hash. */
const verify = (): Promise<void> =>
  counted(Scenario.passFrames, `flood?frames=${Scenario.passFrames}`, (done) => {
    onNext = () => {
      if (hasEvents) addToHash(last as MarketEvent)
      if (count >= Scenario.passFrames) done()
      else next = count + 1
    }
    next = 1
  })

interface Timed {
  readonly messages: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly latency: Latency | null
}

const warmShare = 0.3

const flooded = async (): Promise<Timed> => {
  let from = { at: 0, cpu: process.cpuUsage(), count: 0 }
  let timed: Timed = { messages: 0, seconds: 0, cpuSeconds: 0, latency: null }
  await counted(job.frames, `flood?frames=${job.frames}`, (done) => {
    const end = (): void => {
      const cpu = process.cpuUsage(from.cpu)
      const seconds = (performance.now() - from.at) / 1000
      timed = { messages: count - from.count, seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6, latency: null }
      next = Number.POSITIVE_INFINITY
      done()
    }
    onNext = () => {
      next = job.frames
      onNext = end
      from = { at: performance.now(), cpu: process.cpuUsage(), count }
    }
    next = Math.floor(job.frames * warmShare)
  })
  return timed
}

const micros = (): number => Number(process.hrtime.bigint() / 1_000n)

/** Times run from the moment a frame was due, so what a late frame delays counts too: no coordinated omission. */
const paced = async (rate: number): Promise<Timed> => {
  const histogram = Hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3
  })
  const cpu = process.cpuUsage()
  const started = performance.now()
  const warm = job.frames * warmShare
  await counted(job.frames, `paced?frames=${job.frames}&rate=${rate}`, (done) => {
    onNext = () => {
      const due = Number((last as BookTicker).version) - Scenario.stampBase
      if (count > warm) histogram.recordValue(Math.max(0, micros() - due))
      if (count >= job.frames) done()
      else next = count + 1
    }
    next = 1
  })
  const used = process.cpuUsage(cpu)
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile)
  return {
    messages: job.frames,
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (used.user + used.system) / 1e6,
    latency: { count: histogram.totalCount, p50: at(50), p95: at(95), p99: at(99), max: histogram.maxValue }
  }
}

/** What every contestant does once it is subscribed. `bookOf` gives a book at the end. */
const compete = async (bookOf: ((pair: TradingPair) => BookView | null) | null): Promise<Report> => {
  await command("quiet")
  await sleep(50)
  await verify()
  const { rate } = job
  const timed = await (rate === null ? flooded() : paced(rate))
  return {
    contestant: job.contestant,
    sent: job.frames,
    delivered: count,
    ...timed,
    peakRssMb: process.resourceUsage().maxRSS / 1024,
    ...counters,
    hash: hasEvents ? hash : null,
    bookHash: bookOf === null ? null : bookHash(bookOf)
  }
}

const bookHash = (bookOf: (pair: TradingPair) => BookView | null): number => {
  let sum = 0
  for (const pair of Scenario.pairs) {
    const top = bookOf(pair)?.top(1_000)
    const text = JSON.stringify(top)
    for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0
  }
  return sum
}

// ---- raw sockets ----------------------------------------------------------------------------------------------------

const topics = Scenario.topicsOf(of)

/** As many sockets as the exchange's limit asks for, as the product opens them. */
const openRaw = async (
  attach: (socket: WebSocket) => void,
  options: { readonly skipUTF8Validation?: boolean; readonly perMessageDeflate?: boolean }
): Promise<void> => {
  const size = adapter.limits.topicsPerConnection
  for (let from = 0; from < topics.length; from += size) {
    const socket = new WebSocket(url, options)
    attach(socket)
    await once(socket, "open")
    for (const { frame } of Scenario.subscriptions(of, topics.slice(from, from + size))) socket.send(frame)
    socket.ping()
    // The server answers in order: all is subscribed.
    await once(socket, "pong")
  }
}

const best = { skipUTF8Validation: true, perMessageDeflate: false }

let bytes = 0

const limit = async (): Promise<Report> => {
  await openRaw((socket) =>
    socket.on("message", (data: Buffer) => {
      bytes += data.length
      consume(data)
    }), { perMessageDeflate: false })
  return compete(null)
}

/** With fractions, as ours has it; read once, which flatters the raw contestants. */
const receivedAt = performance.timeOrigin + performance.now() + 0.5

const openWithCodec = async (event: Sink["event"]): Promise<void> => {
  const sink: Sink = {
    event,
    acknowledged: () => {},
    rejected: () => counters.failures++,
    pong: () => {},
    closing: () => {},
    ignored: () => {},
    failed: () => counters.failures++,
    fallback: () => counters.fallbacks++
  }
  const byKey = new Map(topics.map((topic) => [topic.key, topic]))
  await openRaw((socket) => {
    const codec = adapter.makeCodec({ topicOf: (key) => byKey.get(key)! })
    socket.on("message", (data: Buffer) => codec.decode(data, receivedAt, sink))
  }, best)
}

const floor = async (): Promise<Report> => {
  await openWithCodec((_, event) => consume(event))
  return compete(null)
}

const plain = async (): Promise<Report> => {
  const decode = Plain.decoderOf(adapter.id)
  await openRaw((socket) =>
    socket.on("message", (data: Buffer) => {
      const event = decode(data, receivedAt)
      if (event !== null) consume(event)
    }), {})
  return compete(null)
}

interface RestBook {
  readonly bids: ReadonlyArray<readonly [string, string]>
  readonly asks: ReadonlyArray<readonly [string, string]>
}

const restPath = (symbol: string): string =>
  adapter.id === "mexc-spot"
    ? `/api/v3/depth?symbol=${symbol}&limit=5000`
    : `${of.dialect.restPath}/spot/order_book?currency_pair=${symbol}&limit=100&with_id=true`

/** The whole book that the deltas begin with, for a feed that does not push it. */
const snapshotOf = async ({ pair, symbol }: Topic): Promise<BookUpdate> => {
  const { asks, bids } = await (await fetch(http + restPath(symbol))).json() as RestBook
  const flat = (rows: RestBook["bids"]): ReadonlyArray<number> =>
    rows.flatMap(([price, quantity]) => [+price, +quantity])
  const version = Scenario.firstVersion
  const base = {
    _tag: "BookUpdate",
    kind: "snapshot",
    pair,
    symbol,
    exchangeTime: null,
    receivedAt,
    contractSize: 1,
    exact: null
  } as const
  return { ...base, bids: flat(bids), asks: flat(asks), firstVersion: version, version }
}

const bookFloor = async (): Promise<Report> => {
  const books = new Map(Scenario.pairs.map((pair) => [pair, new OrderBook(pair)]))
  for (const topic of topics) topic.slot = books.get(topic.pair!)
  await openWithCodec((topic, event) => {
    const outcome = (topic.slot as OrderBook).apply(event as BookUpdate)
    if (outcome === "Faulty") counters.failures++
    consume(event)
  })
  for (const topic of topics) {
    const book = books.get(topic.pair!)!
    if (book.view === null) book.apply(await snapshotOf(topic))
  }
  // The delta that joins each snapshot.
  await sleep(100)
  return compete((pair) => books.get(pair)!.view)
}

// ---- the product ----------------------------------------------------------------------------------------------------

/** Waits for every book's snapshot; tickers need no state to begin from. */
const allSynced = (): () => Promise<void> => {
  if (!of.isBook) return () => Promise.resolve()
  const seen = new Set<string>()
  const all = new Promise<void>((resolve) => {
    onNext = () => {
      next = count + 1
      seen.add((last as BookUpdate).symbol)
      if (seen.size === Scenario.symbolCount) resolve()
    }
    next = count + 1
  })
  return () => all
}

const forBatch = (batch: ReadonlyArray<Feed<MarketEvent>>): void => {
  for (let i = 0; i < batch.length; i++) {
    const element = batch[i]!
    if (element._tag === "Data") consume(element.value)
  }
}

const subscribeEvents = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const synced = allSynced()
  if (job.contestant === "handler") {
    yield* websocket.handle(of.isBook ? { onBook: consume } : { onBookTicker: consume })
  } else {
    yield* Effect.forkScoped(Stream.runForEachArray(websocket.events, (batch) => Effect.sync(() => forBatch(batch))))
    yield* Effect.yieldNow
  }
  const { rejected } = yield* websocket.initialize(Scenario.pairs as [TradingPair], [of.choice])
  counters.failures += rejected.size
  yield* Effect.promise(synced)
  return null
})

/** A listener reads the version: how far the book has come. */
const listenerOf = (synced: OrderBooks.Synced): OrderBooks.BookListener => {
  let seen = Number(synced.book.version)
  return (live) => {
    if (live._tag === "Stale") return
    const version = Number(live.book.version)
    advance((version - seen) / Scenario.versionStep)
    seen = version
  }
}

const subscribeBooks = Effect.gen(function*() {
  const options = typeof of.choice === "string" ? {} : { source: "order_book_update" }
  const books = yield* OrderBooks.make(Scenario.pairs, options)
  for (const pair of Scenario.pairs) yield* books.onUpdate(pair, listenerOf(yield* books.awaitSynced(pair)))
  return {
    status: books.status,
    bookOf: (pair: TradingPair): BookView | null => {
      const live = books.get(pair)
      return live?._tag === "Synced" ? live.book : null
    }
  }
})

/** The books driven by hand from the session's handlers: no fiber stands between. */
const subscribeFollowers = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const clock = yield* Clock.Clock
  const options = { clock, counters: OrderBooks.makeCounters(), report: () => counters.failures++ }
  const followers = new Map(Scenario.pairs.map((pair) => [pair, new OrderBooks.BookFollower(pair, options)]))
  const synced = allSynced()
  yield* websocket.handle({
    onBook: (update) => {
      followers.get(update.pair!)!.onBook(update)
      consume(update)
    },
    onGap: (gap) => followers.get(gap.pair!)!.onGap(gap)
  })
  const { rejected } = yield* websocket.initialize(Scenario.pairs as [TradingPair], [of.choice])
  counters.failures += rejected.size
  yield* Effect.promise(synced)
  return {
    status: Effect.succeed({ crossed: options.counters.crossed, gaps: options.counters.gaps }),
    bookOf: (pair: TradingPair): BookView | null => {
      const { live } = followers.get(pair)!
      return live._tag === "Synced" ? live.book : null
    }
  }
})

const subscribe = Effect.suspend(() => {
  if (job.contestant === "books") return subscribeBooks
  return job.contestant === "followers" ? subscribeFollowers : subscribeEvents
})

const product = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const books = yield* subscribe
  const before = yield* websocket.performance
  const report = yield* Effect.promise(() => compete(books === null ? null : books.bookOf))
  const after = yield* websocket.performance
  const status = books === null ? null : yield* books.status
  const lost = (counts: typeof after): number =>
    counts.conflated + counts.dropped + counts.stale + counts.topics.reduce((sum, { unrouted }) => sum + unrouted, 0)
  return {
    ...report,
    fallbacks: after.decoderFallbacks,
    failures: after.decodeFailures + after.handlerFailures + counters.failures + (status?.crossed ?? 0),
    gaps: after.gaps + (status?.gaps ?? 0),
    lost: lost(after) - lost(before)
  }
}).pipe(
  Effect.scoped,
  Effect.provide(
    ExchangeFactory.layerPublic(adapter, { url, restUrl: http + of.dialect.restPath }).pipe(
      Layer.provide(Layer.merge(FrameSocket.layerWs, FetchHttpClient.layer))
    )
  )
)

const contestants: Readonly<Record<Job["contestant"], () => Promise<Report>>> = {
  limit,
  floor,
  plain,
  handler: () => Effect.runPromise(product),
  stream: () => Effect.runPromise(product),
  bookFloor,
  books: () => Effect.runPromise(product),
  followers: () => Effect.runPromise(product)
}

setTimeout(() => {
  const { caseId, contestant, deadline, port } = job
  process.stderr.write(
    `${caseId} ${contestant}: no report within ${deadline / 1000} s; is the server on port ${port} still there?\n`
  )
  process.exit(1)
}, job.deadline)

await command(`begin?case=${job.caseId}`)
const report = await contestants[job.contestant]()
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
