/** Live books of every pair: how long until all are in step, what they hold, and how they come back from broken lines. */
import { Effect } from "effect"
import { Exchanges, OrderBooks, PublicWebsocket } from "effect-exchange"
import { setTimeout as sleep } from "node:timers/promises"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { Metric, Report } from "../Protocol.ts"
import { command, faults, finish, heapMb, job, report, restUrl, setup, url } from "./Run.ts"

type LiveBooks = OrderBooks.OrderBooks["Service"]
type Metrics = Partial<Record<Metric, number>>

const pairs = setup.pairs as ReadonlyArray<TradingPair>

const [choice] = setup.choices as ReadonlyArray<string | { readonly source?: string; readonly depth?: number }>

const limits = {
  topicsPerConnection: setup.topicsPerConnection,
  requestsPerSecond: 10_000,
  dialsPerSecond: 1_000,
  restPerSecond: 10_000,
  restConcurrency: 16
}

const layer = Exchanges.layerPublic(setup.exchange, { url, restUrl, limits })

const megabyte = 1024 * 1024

/** What lives, on the heap and in typed arrays beside it. */
const livingMb = (): number => heapMb() + process.memoryUsage().arrayBuffers / megabyte

const synced = (books: LiveBooks): number => pairs.filter((pair) => books.get(pair)?._tag === "Synced").length

/** Until every book is in step again, by a view that is not the one before. */
const recovered = (books: LiveBooks) =>
  Effect.promise(async () => {
    const views = pairs.map((pair) => {
      const live = books.get(pair)
      return live?._tag === "Synced" ? live.book : null
    })
    const isBack = (pair: TradingPair, index: number): boolean => {
      const live = books.get(pair)
      return live?._tag === "Synced" && live.book !== views[index]
    }
    const from = performance.now()
    await command("break")
    while (!pairs.every(isBack)) await sleep(1)
    return { recoveredMs: performance.now() - from }
  })

/** Between two floods, ms, and between two breaks. */
const beat = 100
const breakMillis = 10_000

const stable = Effect.fnUntraced(function*(seconds: number) {
  const websocket = yield* PublicWebsocket.PublicWebsocket
  const before = yield* websocket.performance
  const heap = yield* Effect.promise(async () => {
    const from = performance.now()
    const end = from + seconds * 1_000
    let nextBreak = from + Math.min(breakMillis, (seconds * 1_000) / 2)
    let settledAt: number | null = null
    while (performance.now() < end) {
      await command(`flood?frames=${setup.passFrames}`)
      await sleep(beat)
      if (performance.now() < nextBreak) continue
      settledAt ??= heapMb()
      await command("break")
      nextBreak += breakMillis
    }
    await sleep(3_000)
    const after = heapMb()
    return { heapGrowthMb: after - (settledAt ?? after), heapMb: after }
  })
  const after = yield* websocket.performance
  return { ...heap, reconnects: after.reconnects - before.reconnects, gaps: after.gaps - before.gaps }
})

const measure = (books: LiveBooks, started: Metrics) => {
  if (job.mode === "reconnect") return recovered(books)
  return job.mode === "stability" ? stable(job.frames) : Effect.succeed(started)
}

const program = Effect.gen(function*() {
  const living = livingMb()
  const from = performance.now()
  const books = yield* OrderBooks.make(pairs, typeof choice === "string" ? {} : choice ?? {})
  yield* Effect.forEach(pairs, (pair) => books.awaitSynced(pair), { concurrency: "unbounded", discard: true })
  const syncedSeconds = (performance.now() - from) / 1_000
  yield* Effect.sleep(500)
  const metrics = yield* measure(books, { syncedSeconds, heldMb: livingMb() - living })
  const { decodeFailures, decoderFallbacks } = yield* PublicWebsocket.PublicWebsocket.use(({ performance }) =>
    performance
  )
  faults["failures"]! += decodeFailures
  faults["fallbacks"]! += decoderFallbacks
  // Books take the place of frames: how many there should be, and how many are in step in the end.
  return { ...report(metrics), sent: pairs.length, delivered: synced(books) } satisfies Report
}).pipe(Effect.scoped, Effect.provide(layer))

finish(await Effect.runPromise(program))
